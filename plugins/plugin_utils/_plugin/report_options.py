# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Reports from arguments as a play gives them."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import (
    hold,
    read_fleet,
    uncollected,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import names, reasons
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import (
    last_run,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.previous_plan import (
    changed_since,
    conditions_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.shown_plan import (
    out_of_date,
    recomputed,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import first_of
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    direction_of,
    plain,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import age_limit
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import (
    check_headroom,
    check_plan,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.migration_record import (
    records_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.pci_database import models_of
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import printed
from ansible_collections.vfio.migration.plugins.plugin_utils._report.document import make_report
from ansible_collections.vfio.migration.plugins.plugin_utils._report.hardware_names import pci_ids


def report_for(
    fleet: t.Any,
    hosts: t.Any = None,
    direction: str | None = None,
    plan: t.Any = None,
    title: str = "Migration report",
    made: str = "",
    max_age: t.Any = None,
    left_out: t.Any = None,
    is_own: t.Callable[..., bool] | None = None,
    headroom: t.Any = None,
    record: t.Any = None,
) -> contract.Report:
    """Return the report on a fleet, ``made`` at that time, on a plan for it, its ``headroom`` and a ``record``, if these are given.

    ``record`` is the text of a file that the playbook ``migrate_libvirt`` writes, empty where that is not there yet.

    ``direction`` is by default that of the plan. A plan of which ``is_own`` says that this run has made it of
    these facts is verified, and not computed once more. Raise ``FleetError`` where an argument is wrong.
    """
    read = read_fleet(
        hold(fleet, names("hosts", hosts)),
        limit=age_limit(max_age),
        left_out=reasons("left_out", left_out),
    )
    if plan is not None:
        check_plan("plan", plan)
    if direction is None:
        direction = "source_lists" if plan is None else plan.get("direction", "source_lists")
    known = {name: each.facts for name, each in read.hosts.items()}
    relied_on = {} if plan is None else changed_since(plan.get("relied_on", {}), known)
    changed = [host for host, has_changed in relied_on.items() if has_changed]
    if plan is not None:
        occasion = {name: plan[name] for name in ("targets", "avoid") if name in plan}
        conditions = Conditions.parse(occasion, conditions_of(plan))
        if changed:
            plan = out_of_date(plan, read, changed, conditions)
        else:
            _verify(plan, known, conditions)
            if is_own is None or not is_own(plan, known, read.unknown):
                plan = recomputed(plan, read, conditions)
        plan = {**plan, "conditions": conditions.stated()}
    models = models_of(pci_ids(read))
    report = make_report(read, direction_of(direction), title, made, plan, changed, models)
    if headroom is not None:
        check_headroom("headroom", headroom)
        report["headroom"] = plain(headroom)
    found = last_run(records_of(record or ""))
    if found is not None:
        report["last_run"] = found
    return printed(report, contract.Report)


@uncollected()
def _verify(plan: t.Any, facts: t.Mapping[str, t.Any], conditions: Conditions) -> None:
    """Raise ``FleetError`` where a plan for these facts breaks a rule: a report shows no such plan."""
    try:
        broken = violations(plan, facts, conditions)
    except ValueError as error:
        raise FleetError(f"'plan': {error}") from error
    if broken:
        raise FleetError(f"the plan does not hold: {'; '.join(first_of(broken, 'violation'))}")
