# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The steps of the playbook ``maintain`` that are taken on the control node: plan, see which hosts are empty, see which are back.

Each takes what the one before returned, and returns that with what is new. ``now`` is what the plays in between are to do:
empty the hosts ``drain`` onto ``targets``, which have free what ``capacity`` says; ``avoid`` says which guests do not go to which of them, and
``keep_type`` whether devices keep their types; then work on ``hosts``. It has no hosts once there is nothing to do.
"""

from __future__ import annotations

import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import (
    listed,
    why_in_use,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Host
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import (
    FACT,
    hold,
    read_fleet,
    uncollected,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import (
    count,
    flag,
    names,
    one_or_more,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.free_capacity import (
    followed,
    guests_by_host,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.in_short import (
    guests_in,
    why_in,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import OPTIONS
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    chosen_hosts,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import absolute
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.maintenance_file import (
    read_maintenance,
    remove_maintenance,
    write_maintenance,
    write_steps,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.maintenance_options import (
    CONDITIONS,
    maintenance_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.operators_role import (
    role_to_include,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.progress_file import (
    progress_path,
    read_progress,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.run_variables import (
    cause_of,
    gathered,
    result_of,
    stale,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    MaintenanceBlock,
    MaintenancePlan,
    Outfit,
    Placement,
)

_Run = dict[str, t.Any]
# What the tasks of the role register.
GATHERED, LOOKED, BACK = "maintain_gathered", "maintain_looked", "maintain_back"
_NOTHING: _Run = {
    "hosts": [],
    "drain": [],
    "targets": [],
    "avoid": [],
    "keep_type": False,
    "capacity": {},
    "dest": "",
}
_NO_HOST = "maintain_drain has no host: nothing is drained"
_AGAIN = "that host is still to be drained, so it would move again"
_TAKE_UP = "Run the same command again to resume"


def begin(options: t.Mapping[str, t.Any], hostvars: t.Any, check_mode: bool) -> _Run:
    """Return what is asked for, checked, and how far an earlier run has come; raise ``FleetError``."""
    if flag("limited", options.get("limited")):
        raise FleetError(
            "the run is limited; name the hosts with maintain_hosts and maintain_drain instead"
        )
    role, tasks = options.get("role"), options.get("tasks")
    if not role and not tasks:
        raise FleetError("give maintain_role or maintain_tasks: the work for each drained host")
    if tasks and not os.path.isfile(absolute(tasks)):
        raise FleetError(f"maintain_tasks: there is no file {absolute(tasks)}")
    role = role_to_include("maintain_role", role) if role else ""
    hosts = chosen_hosts(options, "maintain_hosts", ("drain", "targets"))
    drained = names("drain", options.get("drain"))
    emptied = hosts if drained is None else drained
    dest = absolute(options["dest"])
    path = os.path.join(dest, "maintenance.json")
    before = read_maintenance(path)
    if before is not None and before["emptied"] != emptied:
        raise FleetError(
            f"{path} records unfinished maintenance of {listed(before['emptied'])}:"
            " run again with the same hosts, or remove the file to start over"
        )
    conditions = {name: options[name] for name in CONDITIONS if options.get(name) is not None}
    if "targets" in conditions:
        conditions["targets"] = names("targets", conditions["targets"]) or []
    capacity = conditions.get("capacity")
    conditions["capacity"] = (
        OPTIONS["capacity"].check("capacity", capacity) if capacity is not None else {}
    )
    stated = before["stated"] if before else None
    return {
        "hosts": hosts,
        "asked": hosts,
        "emptied": emptied,
        "role": role,
        "tasks": absolute(tasks) if tasks else "",
        "at_once": one_or_more("at_once", options.get("at_once")),
        "keep_order": flag("keep_order", options.get("keep_order")),
        "use_returned": flag("use_returned", options.get("use_returned")),
        "partial": flag("partial", options.get("partial")),
        "persistent": flag("persistent", options.get("persistent")),
        "timeout": count("timeout", options.get("timeout"), "seconds"),
        "conditions": conditions,
        "dest": dest,
        "progress": path,
        "done": before["done"] if before else [],
        "working": before["working"] if before else {},
        # Other numbers than those of an earlier run are of this one.
        "stated": stated if stated and stated["capacity"] == conditions["capacity"] else None,
        "check_mode": check_mode,
        "now": _NOTHING,
        "wanted": {},
        "shown": False,
        "stale": stale(hostvars, hosts, GATHERED, LOOKED, BACK),
    }


def plan_next(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with what is to be done next; raise ``FleetError`` where not all that is left can be done."""
    run |= {"now": _NOTHING, "sentences": []}
    rest = [host for host in run["emptied"] if host not in run["done"]]
    if not run["asked"]:
        return run
    if not rest:
        return _ended(run)
    if run["working"]:
        # Their guests have gone: whether it is still so is looked at.
        hosts = sorted(run["working"])
        again = f"{listed(hosts)}: drained in an earlier run; its tasks are run again"
        return run | {"now": _NOTHING | {"hosts": hosts}, "sentences": [again]}
    answered, silent = _answers(run, rest, hostvars)
    run |= _followed(run, hostvars, answered)
    plan = _plan(run, rest, hostvars, answered, silent)
    blocked = plan["blocked"]
    if blocked is not None and not (run["partial"] and plan["steps"]):
        sentences = [*_why_blocked(run, plan, blocked, rest), *_kept_reasons(run, plan)]
        raise FleetError(". ".join(sentences))
    sentences = (
        plan["sentences"] if not run["shown"] else plan["sentences"][-len(plan["steps"]) :][:1]
    )
    run |= {"sentences": sentences, "shown": True}
    if run["check_mode"]:
        return run | {"asked": []}
    if blocked is None:
        remove_maintenance(_blocked_path(run))
    _write(run, {})
    return run | {"now": _first_step(run, plan, rest)}


def _why_blocked(
    run: _Run, plan: MaintenancePlan, blocked: MaintenanceBlock, rest: t.Sequence[str]
) -> list[str]:
    """Return which guests have no place, what is short for them and what would do."""
    done = f"; done are {listed(run['done'])}" if run["done"] else ""
    sentences = [f"{blocked['sentence']}{done}", f"Nothing was begun on {listed(rest)}"]
    if blocked["unplaced"]:
        guests, why = guests_in(blocked["unplaced"]), why_in(blocked["unplaced"])
        sentences.append(f"No place for {guests}: {why}")
    if blocked["addition"]:
        sentences.append(_what_would_do(plan, blocked["addition"]["sentence"], len(rest) > 1))
    return sentences


def _kept_reasons(run: _Run, plan: MaintenancePlan) -> list[str]:
    """Write all reasons to a file, except in check mode, and return where they are; an error would hide what blocks the plan."""
    if run["check_mode"]:
        return []
    try:
        write_steps(_blocked_path(run), plan)
    except AnsibleActionFail as error:
        return [f"The file with all reasons is missing: {error}"]
    return [f"All reasons are in {_blocked_path(run)}"]


def _what_would_do(plan: MaintenancePlan, words: str, several: bool) -> str:
    """Return with what a host that cannot be drained could be, which is known of it as the steps before leave the fleet."""
    if plan["order"]:
        gone = "has" if len(plan["order"]) == 1 else "have"
        return f"Once {listed(plan['order'])} {gone} been drained as planned, {words}"
    return f"If it is drained first, {words}" if several else f"{words[:1].upper()}{words[1:]}"


def _blocked_path(run: _Run) -> str:
    return os.path.join(run["dest"], "blocked.json")


def _write(run: _Run, working: t.Mapping[str, Outfit]) -> None:
    write_maintenance(run["progress"], run["emptied"], run["done"], working, run["stated"])


def _answers(run: _Run, rest: t.Sequence[str], hostvars: t.Any) -> tuple[list[str], dict[str, str]]:
    """Return which hosts have answered, and why the others have not; raise ``FleetError`` where one of ``rest`` has not."""
    answered, silent = gathered(hostvars, run["hosts"], GATHERED)
    for host in rest:
        if host not in answered:
            why = silent.get(host, "it did not answer in this run")
            raise FleetError(f"cannot drain {host}: {why}")
    return answered, silent


@uncollected()
def _followed(run: _Run, hostvars: t.Any, answered: t.Collection[str]) -> _Run:
    """Return what hosts have free now, and what that was concluded from: where guests were when it was stated, which may be now."""
    capacity = run["conditions"]["capacity"]
    if not capacity:
        return {"capacity": {}, "stated": None}
    now = guests_by_host(capacity, read_fleet(hold(hostvars, answered)))
    stated = run["stated"] or {"capacity": capacity, "guests": now}
    return {"capacity": followed(capacity, stated["guests"], now), "stated": stated}


def _plan(
    run: _Run,
    rest: t.Sequence[str],
    hostvars: t.Any,
    answered: t.Collection[str],
    silent: t.Mapping[str, str],
) -> MaintenancePlan:
    conditions = run["conditions"] | {"capacity": run["capacity"]}
    if not run["use_returned"]:
        wanted = conditions["targets"] if "targets" in conditions else run["hosts"]
        conditions["targets"] = [host for host in wanted if host not in run["done"]]
    if "targets" in conditions:
        asked = {*answered, *silent}
        conditions["targets"] = [host for host in conditions["targets"] if host in asked]
    return maintenance_for(
        hostvars,
        rest,
        answered,
        at_once=run["at_once"],
        keep_order=run["keep_order"],
        use_returned=run["use_returned"],
        max_age=0,
        left_out=silent,
        # Libvirt migrates to no other.
        **conditions | {"keep_kind": True},
    )


def _first_step(run: _Run, plan: MaintenancePlan, rest: t.Sequence[str]) -> _Run:
    """Return the first step of a plan as the migration's options: each guest may go where it has that one, and wherever guests may stay.

    What an earlier run has left in the middle of this step is cleaned up by the migration, so that is played even where
    no guest is to move any more.
    """
    step = plan["steps"][0]
    dest = os.path.join(run["dest"], f"{len(run['done']) + 1}.json")
    left_over = step["hosts"] if read_progress(progress_path(dest)) else []
    targets = {each["target"]["host"] for each in step["placements"]}
    wanted = run["conditions"].get("targets", run["hosts"])
    closed = {*rest} if run["use_returned"] else {*rest, *run["done"]}
    targets |= {host for host in wanted if host not in closed and host not in plan["unknown"]}
    conditions = run["conditions"]
    # Those that will be emptied later: to the migration all targets are alike, and it knows nothing of moving again.
    pending = sorted({each["target"]["host"] for each in step["placements"]}.intersection(rest))
    # For one guest and host, the operator's own reason is the one that is shown.
    avoid = [*_moves_avoided(step["placements"], pending), *conditions.get("avoid", ())]
    # A guest that moves again does so with what it has, which was planned with equal devices.
    kept = bool(pending) and not step["conversions"]
    return {
        "hosts": step["hosts"],
        "drain": sorted({*left_over, *(each["source"]["host"] for each in step["placements"])}),
        "targets": sorted(targets),
        "avoid": avoid,
        "keep_type": kept or flag("keep_type", conditions.get("keep_type", False)),
        "capacity": run["capacity"],
        "dest": dest,
    }


def _moves_avoided(
    placements: t.Sequence[Placement], pending: t.Collection[str]
) -> t.Iterator[dict[str, str]]:
    """Yield who does not go to which of the ``pending`` hosts that receive others, as the option ``avoid`` of a plan has it."""
    planned: dict[tuple[str, str], set[str]] = {}
    guests: dict[tuple[str, str], None] = {}
    for each in placements:
        source, names_ = each["source"]["host"], (each.get("vm_uuid"), each["vm"])
        found = [(name, source) for name in names_ if name]
        guests |= dict.fromkeys(found[:1])
        for guest in found:
            # Several that share a name may go wherever one of them does.
            planned.setdefault(guest, set()).add(each["target"]["host"])
    for name, source in guests:
        for host in pending:
            if host not in planned[name, source]:
                yield {"host": host, "guest": name, "guest_host": source, "problem": _AGAIN}


def look(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` once no process holds a device of the hosts that are to be worked on; raise ``FleetError`` where one does."""
    hosts = run["now"]["hosts"]
    if not hosts:
        return run
    try:
        found = {host: _host(hostvars, host, LOOKED) for host in hosts}
    except FleetError as error:
        raise FleetError(f"{error}. {_TAKE_UP}") from error
    for name, host in found.items():
        held = [
            f"{device.id}: {why_in_use(device)}" for device in host.devices if why_in_use(device)
        ]
        if held:
            raise FleetError(
                f"{name} is not empty, and nothing was begun on it: {'; '.join(held)}. {_TAKE_UP}"
            )
    working = run["working"] or {
        name: _outfit(host, run["persistent"]) for name, host in found.items()
    }
    _write(run, working)
    wanted = {name: [*each["parents"], *each["devices"]] for name, each in working.items()}
    return run | {"working": working, "wanted": wanted}


def back(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` once the hosts have come back with what they had; raise ``FleetError`` where one has not."""
    hosts = run["now"]["hosts"]
    if not hosts:
        return run
    faults = [fault for host in hosts if (fault := _fault(run, hostvars, host)) is not None]
    if faults:
        raise FleetError(f"{'; '.join(faults)}. {_TAKE_UP}")
    run |= {"done": [*run["done"], *hosts], "working": {}, "now": _NOTHING}
    _write(run, {})
    return run | {"sentences": [f"{listed(hosts)}: drained, and back"]}


def _fault(run: _Run, hostvars: t.Any, name: str) -> str | None:
    """Return what is wrong with a host that was worked on, ``None`` where it is back."""
    if not result_of(hostvars, name, BACK):
        return f"the tasks on {name} have failed, or it does not answer any more"
    try:
        host = _host(hostvars, name, BACK)
    except FleetError as error:
        return str(error)
    wanted, there = run["working"][name], _outfit(host, True)
    missing = [
        *({*wanted["parents"]} - {*there["parents"]}),
        *({*wanted["devices"]} - {*there["devices"]}),
    ]
    return f"{name} has come back without {listed(sorted(missing))}" if missing else None


def _host(hostvars: t.Any, name: str, registered: str) -> Host:
    """Return a host by the facts that a task has gathered on it; raise ``FleetError`` where it has none that can be used."""
    result = result_of(hostvars, name, registered)
    facts = result.get("ansible_facts")
    found = facts.get(FACT) if isinstance(facts, t.Mapping) else None
    if found is None:
        why = cause_of(result) if result else "it did not answer"
        raise FleetError(f"the facts of {name} could not be gathered: {why}")
    fleet = read_fleet({name: found})
    if name not in fleet.hosts:
        problems = [str(each["problem"]) for each in fleet.problems]
        raise FleetError(f"the facts of {name} are of no use: {'; '.join(problems)}")
    return fleet.hosts[name]


def _outfit(host: Host, devices: bool) -> Outfit:
    """Return what a host has that must be there again when it comes back."""
    return {
        "parents": sorted(parent.id for parent in host.parents),
        "devices": sorted(device.id for device in host.devices) if devices else [],
    }


def _ended(run: _Run) -> _Run:
    if not run["check_mode"]:
        remove_maintenance(run["progress"])
    done = f"{listed(run['done'])}: all are done" if run["done"] else _NO_HOST
    return run | {"asked": [], "sentences": [done]}


def end(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with what is left to do, as ``failure`` where that is something."""
    if run["check_mode"]:
        return run | {"sentences": ["check mode: nothing was changed"]}
    rest = [host for host in run["emptied"] if host not in run["done"]]
    if not rest:
        return _ended(run) if run["asked"] else run
    return run | {
        "failure": f"{listed(rest)}: not done yet, as a run takes a number of steps only. {_TAKE_UP}"
    }
