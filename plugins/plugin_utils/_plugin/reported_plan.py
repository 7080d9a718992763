# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The plan of a report: made for it, or given, and looked at again."""

from __future__ import annotations

import typing as t

from ansible.utils.display import Display
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import printable
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import uncollected
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.previous_plan import (
    changed_since,
    conditions_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import first_of
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import check_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_file import (
    stamped,
    write_plan,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Plan


def made(
    path: str, hostvars: t.Any, options: t.Mapping[str, t.Any]
) -> tuple[Plan, dict[str, str] | None]:
    """Return a plan for the facts in ``hostvars``, after it is written to ``path``, and how that changes, if it does; raise ``FleetError``."""
    plan = stamped(plan_for(hostvars, progress=_show, **options), hostvars)
    return plan, write_plan(path, plan, check_mode=False)


def _show(words: str) -> None:
    Display().v(printable(f"report: {words}"))


def reported(
    plan: t.Any, read: Fleet, is_own: t.Callable[..., bool] | None
) -> tuple[t.Any, list[str]]:
    """Return ``plan`` as a report on a fleet shows it, and the hosts whose facts changed since it was made; raise ``FleetError``."""
    check_plan("plan", plan)
    known = {name: each.facts for name, each in read.hosts.items()}
    relied_on = changed_since(plan.get("relied_on", {}), known)
    changed = [host for host, has_changed in relied_on.items() if has_changed]
    occasion = {name: plan[name] for name in ("targets", "avoid") if name in plan}
    conditions = Conditions.parse(occasion, conditions_of(plan))
    if not changed:
        _verify(plan, known, conditions)
    if changed or is_own is None or not is_own(plan, known, read.unknown):
        # Ansible compiles in each run what is imported: a plan of this very run is shown as it is.
        from ansible_collections.vfio.migration.plugins.plugin_utils._planner.shown_plan import (
            out_of_date,
            recomputed,
        )

        plan = (
            out_of_date(plan, read, changed, conditions)
            if changed
            else recomputed(plan, read, conditions)
        )
    plan = {**plan, "conditions": conditions.stated()}
    return plan, changed


@uncollected()
def _verify(plan: t.Any, facts: t.Mapping[str, t.Any], conditions: Conditions) -> None:
    """Raise ``FleetError`` where a plan for these facts breaks a rule: a report shows no such plan."""
    try:
        broken = violations(plan, facts, conditions)
    except ValueError as error:
        raise FleetError(f"'plan': {error}") from error
    if broken:
        raise FleetError(f"the plan does not hold: {'; '.join(first_of(broken, 'violation'))}")
