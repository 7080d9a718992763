# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Plans as documents: when, with which version and for which user they were made, and how they are given.

A plan itself is a function of its request and facts. What is true of the occasion is added here, at the edge.
"""

from __future__ import annotations

import functools
import json
import os
import pwd
import typing as t
from pathlib import Path

from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import listed
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import plain_text
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import variables_of
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import names, parsed
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import now
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import (
    absolute,
    content_of,
    read_json,
    replace,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import printed
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Paragraph, Plan

_ROOT = Path(__file__).parents[3]
# The variables in which a controller names the user that started a job, the newest name first.
_STARTED_BY = ("awx_user_name", "tower_user_name")


def stamped(plan: Plan, hostvars: t.Any) -> Plan:
    """Return ``plan`` with when, with which version and for which user it was made."""
    occasion: t.Any = {
        "time": now(),
        "collection": collection_version(),
        "requested_by": _requester(hostvars),
    }
    return printed(t.cast(Plan, {**plan, **occasion}), Plan)


def as_text(plan: Plan) -> str:
    """Return ``plan`` as its file has it."""
    return json.dumps(plan, indent=1, sort_keys=True) + "\n"


def is_same(plan: Plan, text: str) -> bool:
    """Return whether ``text``, what a file has, is ``plan`` made at some time."""
    try:
        there = parsed(text)
    except ValueError:
        return False
    return isinstance(there, dict) and {**there, "time": plan.get("time")} == plan


def write_plan(path: str, plan: Plan, check_mode: bool) -> dict[str, str] | None:
    """Put ``plan`` into the file ``path`` in one step, in check mode not; return the difference as Ansible shows it.

    Where the same plan is there already, made at another time, that stays, and ``None`` is returned.
    """
    before, text = content_of(path) or "", as_text(plan)
    if is_same(plan, before):
        return None
    if not check_mode:
        replace(path, text)
    return {
        "before": printed(before, Paragraph),
        "after": printed(text, Paragraph),
        "before_header": path,
        "after_header": path,
    }


def given_plan(name: str, value: t.Any) -> t.Any:
    """Return the plan that an option ``name`` gives, itself or the file that has it; ``None`` where it is not given.

    Raise ``FleetError`` where that is none.
    """
    if value is None:
        return None
    path = plain_text(value)
    plan = value if path is None else read_json(absolute(path))
    # Ansible compiles in each run what is imported: few runs are given a plan.
    from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import (
        check_plan,
    )

    check_plan(name if path is None else f"{name}: {absolute(path)}", plan)
    return plan


def plan_or_file(options: t.Mapping[str, t.Any], plan: str, file: str) -> t.Any:
    """Return the plan that one of the two options gives, ``None`` where none does; raise ``FleetError`` where both do."""
    if options.get(plan) is not None and options.get(file) is not None:
        raise FleetError(f"{plan} and {file} are both given; expected one of them")
    found = given_plan(plan, options.get(plan))
    return given_plan(file, options.get(file)) if found is None else found


def asked_by(
    plan: t.Any, options: t.Mapping[str, t.Any], moving: t.Collection[str]
) -> dict[str, t.Any]:
    """Return the options that ``plan`` was asked with, where none of those ``moving`` says in ``options`` what to move.

    What ``options`` have stays, except for the hosts that take part: those that took part then. Raise ``FleetError``, also where none
    of these is among the hosts of this run.
    """
    if plan is None or any(options.get(name) is not None for name in moving):
        return {}
    asked: dict[str, t.Any] = {**plan["request"]}
    asked |= {name: plan[name] for name in ("targets", "avoid") if name in plan}
    if "lost" in asked:
        asked["lost"] = [*asked["lost"]]
    found = {name: value for name, value in asked.items() if options.get(name) is None}
    if "hosts" in asked:
        hosts = names("hosts", options.get("hosts")) or ()
        found["hosts"] = [host for host in hosts if host in asked["hosts"]]
        if hosts and not found["hosts"]:
            raise FleetError(
                f"this run has none of the hosts of the plan: {listed(asked['hosts'])}"
            )
    return found


@functools.cache
def collection_version() -> str:
    """Return the collection's version, from what an installed one or a checkout has."""
    try:
        installed = json.loads((_ROOT / "MANIFEST.json").read_text(encoding="utf-8"))
        return str(installed["collection_info"]["version"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    try:
        return str(yaml_load((_ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown"


def _requester(hostvars: t.Any) -> str:
    """Return who has started this run: the controller's user, else the one of the control node."""
    variables = variables_of(hostvars, "localhost")
    names = (plain_text(variables.get(name)) for name in _STARTED_BY)
    by_controller = next((each for each in names if each), None)
    return by_controller or os.environ.get("SUDO_USER") or _user()


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"
