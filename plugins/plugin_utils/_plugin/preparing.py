# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The steps of the playbook ``prepare`` that are taken on the control node: ask, plan and plan again, report how it ended.

Each step takes what the one before returned, and returns that with what is new. Between them hosts make what ``tasks`` has
for them, and in the end remove what ``undo`` has.

A plan may be made from facts that are there already, such as those of a cache. The hosts that take part in it are then to make
nothing but gather their facts, and only a plan whose hosts have all answered in this run is carried out.
"""

from __future__ import annotations

import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    MDEV,
    PCI,
    VDPA,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.age import in_words
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import gathered_time
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import (
    count,
    flag,
    names,
    one_or_more,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.preparation import (
    NO_RESULTS,
    TASKS,
    Blame,
    ByModule,
    Fault,
    blame,
    changed_by,
    fault_of,
    hopeless,
    merged,
    place_of,
    preparation,
    removals,
    removed_of,
    still_awaited,
    still_there,
    without,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    OPTIONS,
    Conditions,
    as_asked,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import (
    first_of,
    summarize,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    check_moved,
    chosen_hosts,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import age_of
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import (
    absolute,
    replace,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.left_behind import (
    cleanup_of,
    left_after,
    out_of_date,
    remove_later,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_file import (
    as_text,
    asked_by,
    given_plan,
    stamped,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import (
    effort_of,
    plan_for,
    sources_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.progress_file import (
    alone,
    check_free,
    progress_path,
    read_progress,
    write_progress,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.run_variables import (
    check_lost,
    gathered,
    result_of,
    stale,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Plan

# How many plans may fail, and how many there may be. The playbook has as many plays as passes. Of a card that has types
# already a pass gives functions their type for one guest: few take so many, and each pass that is not needed is two lines on the screen.
MOST_ATTEMPTS = 5
MOST_PASSES = 12

# What names what is to be moved, beside the hosts that are drained.
_MOVED = ("sources", "guests", "devices")

# What the tasks of the roles register.
GATHERED = "prepare_gathered"
MEMORY = "prepare_memory"
MADE = {MDEV: "prepare_result", PCI: "prepare_pci_result", VDPA: "prepare_vdpa_result"}

_ALL_OBSTACLES = "The playbook vfio.migration.report shows them all."
_Run = dict[str, t.Any]
_NOTHING_YET: _Run = {
    "made": {},
    "failures": [],
    "given_up": [],
    "movers": [],
    "attempt": 0,
    "began": [],
    "excused": 0,
    "silent": {},
    "written": False,
    "confirming": False,
    # Those that hold nothing any more on their hosts, which were planned for from facts gathered earlier.
    "gone": [],
}
_NOTHING_TO_MAKE: _Run = {each.key: [] for each in TASKS}
_LOST = {"unreachable": True, "msg": "it is excluded from the rest of the run"}


def begin(options: t.Mapping[str, t.Any], hostvars: t.Any, check_mode: bool) -> _Run:
    """Return what is asked for, checked, before any host is asked anything; raise ``FleetError``."""
    earlier = given_plan("prepare_from", options.get("earlier"))
    options = {**options, **asked_by(earlier, options, ("drain", "lost", *_MOVED))}
    hosts = chosen_hosts(options, "prepare_hosts", ("drain", "lost", "targets"))
    check_moved("prepare_", options, required=True)
    asked = {name: options.get(name) for name in OPTIONS} | {"sources": sources_of(options)}
    asked |= {name: names(name, options.get(name)) for name in ("drain", "lost", "targets")}
    attempts = one_or_more("attempts", options.get("attempts"))
    if attempts > MOST_ATTEMPTS:
        raise FleetError(f"attempts is {attempts}; expected {MOST_ATTEMPTS} at most")
    answered = flag("answered", options.get("answered", False))
    dest = absolute(options["dest"])
    gather = flag("gather", options.get("gather", True))
    # A lost host is asked in any case: it is none if it answers.
    asked_hosts = hosts if gather else asked["lost"] or []
    asks_memory = options.get("capacity") is None and _counts_memory(earlier)
    if not check_mode:
        check_free(progress_path(dest))
    return {
        "hosts": hosts,
        "gather": gather,
        "max_age": 0 if gather else options.get("max_age"),
        "effort": effort_of(options),
        "asked_hosts": asked_hosts,
        # How much of it was free when the earlier plan was made is of no use.
        "asks_memory": asks_memory,
        "memory_hosts": asked_hosts if asks_memory and gather else [],
        "options": {name: value for name, value in asked.items() if value is not None},
        "asked": as_asked(Conditions.parse(asked), asked["sources"], hosts),
        "earlier": earlier,
        "dest": dest,
        "progress": progress_path(dest),
        "partial": flag("partial", options.get("partial")),
        "persistent": flag("persistent", options.get("persistent")),
        "timeout": count("timeout", options.get("timeout"), "seconds"),
        "attempts": attempts,
        "check_mode": check_mode,
        # What these answered is of an earlier playbook in this run, unless that asked them for this one.
        "stale": [] if answered else stale(hostvars, asked_hosts, GATHERED),
    }


def _counts_memory(earlier: t.Any) -> bool:
    """Return whether an ``earlier`` plan, if there is one, counts on memory."""
    if earlier is None:
        return False
    from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.memory_of_now import (
        counts_memory,
    )

    return counts_memory(earlier)


def plan_next(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` after a look at what its hosts have made, and with what they are to make next, if anything.

    Raise ``FleetError`` as long as nothing was made, and for what goes wrong later have ``failure`` say it.
    """
    first = "plan" not in run
    run = _NOTHING_YET | run
    tried = not first and not run["confirming"]
    if tried:
        run = _noted(run, hostvars)
        failed = run["failed_now"]
        if not failed and not _goes_on(run):
            # Of a plan that leaves something behind only what another pass would have placed is missing.
            complete = run["partial"] or run["check_mode"]
            return _ended(run, None if complete else summarize(run["plan"], {})["obstacles"])
    answered, silent = gathered(hostvars, run["asked_hosts"], GATHERED)
    run |= {"silent": run["silent"] | silent, "stale": []}
    if run["confirming"] or (tried and not run["failed_now"]):
        # What asks hosts, and what follows a pass that made all it was to, is not one of the attempts at what failed.
        run["excused"] += 1
    if tried and len(_blame(run).given_up) > len(run["given_up"]):
        run["excused"] += 1
    if not first and (ending := _no_attempt_left(run)):
        return _ended(run, ending)
    try:
        planned = _planned(run, hostvars, answered)
        obstacles = summarize(planned["plan"], {})["obstacles"]
        if obstacles and not run["partial"] and not _may_go_on(planned):
            return _ended(planned, _refused(planned, obstacles))
        if planned["unconfirmed"]:
            return _to_be_confirmed(planned, hostvars)
        return _to_be_made(planned)
    except (AnsibleActionFail, FleetError) as error:
        if not run["made"]:
            raise
        # Else what was made would stay.
        return _ended(run, str(error))


def _refused(run: _Run, obstacles: str) -> str:
    """Return the ``obstacles`` to a plan, in short, with the file that has all of them; nothing else is written."""
    if run["check_mode"]:
        return f"{obstacles}\n{_ALL_OBSTACLES}"
    root, extension = os.path.splitext(run["dest"])
    path = f"{root}.refused{extension or '.json'}"
    replace(path, as_text(run["plan"]))
    return f"{obstacles}\nThe plan with all reasons is in {path}. {_ALL_OBSTACLES}"


def _goes_on(run: _Run) -> bool:
    """Return whether another pass follows one that has made all it was to: what is there now may leave capacity for more."""
    return not run["check_mode"] and _may_go_on(run)


def _may_go_on(run: _Run) -> bool:
    """Return whether only trying shows if more than the plan has can move, and there is a pass left for it."""
    return bool(run["plan"].get("further_pass")) and run["attempt"] < MOST_PASSES


def _noted(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with what its hosts have made by its plan, and what failed there."""
    made, failures = dict(run["made"]), []
    _answered, silent = gathered(hostvars, run["participants"], GATHERED)
    for host in run["participants"]:
        # A host that the run has lost says nothing, and may have made anything.
        results = [result_of(hostvars, host, MADE[each.kind]) or _LOST for each in TASKS]
        found = preparation(run["plan"], host, results, made.get(host) or {})
        made[host] = found["made"]
        failure = fault_of(run["plan"], host, results)
        if failure is None and host in silent:
            # No guest goes to a host that no longer says what it has.
            failure = fault_of(run["plan"], host, [{"failed": True, "msg": silent[host]}])
        if failure is not None:
            failures.append(failure)
    return run | {
        "made": made,
        "failures": [*run["failures"], *failures],
        "failed_now": failures,
    }


def _given_up(run: _Run) -> dict[tuple[str, str], str]:
    return {(host, device): reason for host, device, reason in run["given_up"]}


def _listed(given_up: t.Mapping[tuple[str, str], str]) -> list[list[str]]:
    return [[host, device, reason] for (host, device), reason in sorted(given_up.items())]


def _blame(run: _Run) -> Blame:
    failures: list[Fault] = run["failures"]
    return blame(failures, _given_up(run), run["partial"])


def _no_attempt_left(run: _Run) -> str | None:
    """Return why no other plan is tried, where none is. One that ends with a device given up is not counted."""
    # Facts that never hold are not asked for as often as a card may have capacity for one more.
    most = MOST_PASSES if run["made"] or not run["confirming"] else MOST_ATTEMPTS
    if run["attempt"] - run["excused"] < run["attempts"] and run["attempt"] < most:
        return None
    if run["confirming"]:
        hosts = ", ".join(run["participants"])
        return f"{counted(run['attempt'], 'plan')} from facts gathered earlier did not hold, the last one on {hosts}; gather the facts of all hosts again"
    failed = [f"{each['host']}: {each['problem']}" for each in run["failed_now"]]
    problems = "; ".join(first_of(failed, "host failed", "hosts failed"))
    return f"{counted(run['attempt'], 'plan')} failed, the last of them so: {problems}"


def _planned(run: _Run, hostvars: t.Any, answered: list[str]) -> _Run:
    """Return ``run`` with another plan; raise ``FleetError``.

    It is made with the facts of the hosts that ``answered``, and those that there are of hosts that were not asked.
    """
    absent = {*run["asked_hosts"]} - {*answered}
    known = [host for host in run["hosts"] if host not in absent]
    options = dict(run["options"])
    if run["asks_memory"]:
        from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.memory_of_now import (
            conditions_of_now,
        )

        said = {host: result_of(hostvars, host, MEMORY) for host in run["memory_hosts"]}
        options |= conditions_of_now(run["earlier"], options.get("spare"), said)
    lost = options.get("lost") or ()
    check_lost(hostvars, lost, GATHERED)
    for host in options.get("drain") or ():
        if host not in known and host not in lost:
            why = run["silent"].get(host, "it did not answer in this run")
            raise FleetError(f"cannot drain {host}: {why}")
    found = _blame(run)
    while True:
        plan = _plan(run, options, hostvars, known, answered, found)
        more = hopeless(plan, run["failures"], found.given_up) if run["partial"] else {}
        if not more:
            break
        found = blame(run["failures"], found.given_up | more, True)
    # Before anything was made, what hosts answered counts, and not what was known of them before.
    movers = (run["movers"] if run["made"] else []) or [
        {name: each[name] for name in ("vm", "vm_uuid", "source") if name in each}
        for each in [*plan["placements"], *plan["unplaced"]]
    ]
    # What failed since changes how the rest is planned, but not what was asked for.
    as_first = {
        name: plan["request"][name] for name in ("drain", "lost") if "lost" in plan["request"]
    }
    asked = run["asked"] | as_first
    plan = {**without(plan, found.given_up, movers), "request": asked}
    return run | {
        "asked": asked,
        "unconfirmed": sorted(_taking_part(plan, options) - {*answered, *lost}),
        "confirming": False,
        "gone": [*run["gone"], *_gone(run, plan)],
        "plan": stamped(t.cast(Plan, plan), hostvars),
        "movers": movers,
        "given_up": _listed(found.given_up),
        "attempt": run["attempt"] + 1,
    }


def _gone(run: _Run, plan: t.Any) -> list[str]:
    """Return in words which moves of the plan before, from facts gathered earlier, ``plan`` has no more: their sources are free."""
    if not run["confirming"]:
        return []
    before, now = (
        {(each["vm"] or each["source"]["id"], each["source"]["host"]): None for each in moves}
        for moves in ([*each["placements"], *each["unplaced"]] for each in (run["plan"], plan))
    )
    return [
        f"{name} held devices of {host} by facts gathered earlier, and holds none there now: it is left out of the plan"
        for name, host in before
        if (name, host) not in now
    ]


def _taking_part(plan: t.Any, options: t.Mapping[str, t.Any]) -> set[str]:
    """Return the hosts whose facts a plan relies on: those that are emptied, and those of each device that moves, or stays."""
    found = {*(options.get("drain") or ())}
    for each in plan["placements"]:
        found |= {each["source"]["host"], each["target"]["host"]}
    return found | {each["source"]["host"] for each in plan["unplaced"]}


def _to_be_confirmed(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with the hosts that are to gather their facts before anything is made, in check mode none."""
    if run["check_mode"]:
        return _ended(run, None)
    hosts = run["unconfirmed"]
    task = _NOTHING_TO_MAKE | {"persistent": run["persistent"], "timeout": run["timeout"]}
    return run | {
        "confirming": True,
        "asked_hosts": [*run["asked_hosts"], *hosts],
        "stale": stale(hostvars, hosts, GATHERED),
        "tasks": dict.fromkeys(hosts, task),
        "participants": hosts,
    }


def _plan(
    run: _Run,
    options: dict[str, t.Any],
    hostvars: t.Any,
    known: list[str],
    answered: list[str],
    found: Blame,
) -> t.Any:
    options = options | {"avoid": [*(options.get("avoid") or ()), *found.avoid]}
    silent = {host: why for host, why in run["silent"].items() if host not in answered}
    lost = options.get("lost") or ()
    for host in lost:
        silent.pop(host, None)
    asked = [*known, *silent]
    if found.given_up:
        # The same as before except for what is given up: what is emptied still receives nothing.
        drained = [*(options.pop("drain", None) or ()), *(options.pop("lost", None) or ())]
        options["sources"] = [
            {"host": each["source"]["host"], "id": each["source"]["id"]}
            for each in run["movers"]
            if (each["source"]["host"], each["source"]["id"]) not in found.given_up
        ]
        options.setdefault("targets", [host for host in asked if host not in drained])
    if "targets" in options:
        options["targets"] = [host for host in options["targets"] if host in asked]
    # What those might take that did not answer, no plan can prove.
    return plan_for(
        hostvars,
        hosts=[*known, *lost],
        # What was planned from facts that there were is carried out as far as it holds.
        earlier=run["plan"] if run["confirming"] and run["earlier"] is None else run["earlier"],
        max_age=run["max_age"],
        effort=run["effort"],
        fresh=answered,
        left_out=silent,
        **options,
    )


def _to_be_made(run: _Run) -> _Run:
    """Return ``run`` with what its hosts are to make, once that is written down."""
    plan = run["plan"]
    tasks = {
        host: each | {"persistent": run["persistent"], "timeout": run["timeout"]}
        for host, each in plan["hosts"].items()
        if any(each.values())
    }
    run |= {"tasks": tasks, "participants": sorted(tasks)}
    if not run["check_mode"]:
        to_make = changed_by(plan)
        _write(run, to_make)
        run |= {
            "written": True,
            "began": [*run["began"], *map(place_of, to_make)],
            "place": f"{_where(run)}; after an interruption: {cleanup_of(run['dest'])}",
        }
    return run if tasks else _ended(run, None)


def _where(run: _Run) -> str:
    return f"the plan is in {run['dest']}, and the record of created devices in {run['progress']}"


def _write(run: _Run, to_make: t.Sequence[t.Any]) -> None:
    """Write down what is to be made, beside what was made before, and the plan."""
    with alone(run["progress"]):
        before = still_awaited(read_progress(run["progress"]), run["plan"]["placements"])
        write_progress(run["progress"], merged(before, to_make), run["dest"])
        replace(run["dest"], as_text(run["plan"]))


def _ended(run: _Run, failure: str | None) -> _Run:
    """Return ``run`` at its end: on what was made that is not needed, all of it after a ``failure``."""
    made = run["made"]
    if failure is None:
        made = {
            host: preparation(run["plan"], host, NO_RESULTS, each)["leftover"]
            for host, each in made.items()
        }
    undo = {
        host: each | {"timeout": run["timeout"]}
        for host, each in removals(made, run["persistent"]).items()
    }
    return run | {
        "tasks": {},
        "participants": [],
        "failure": failure,
        "undo": undo,
        "undo_hosts": sorted(undo),
    }


def end(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with the last word: ``sentences`` on what was prepared, or ``failure`` with what is left of it."""
    left, words = left_after({} if run["check_mode"] else run["undo"], hostvars)
    late = out_of_date(run["progress"], lambda: _write_rest(run, left)) if run["written"] else []
    words = words and [*words, remove_later(run["dest"])]
    failure = run["failure"]
    if failure is not None and run["written"]:
        aftermath = "\n".join(words) or "Nothing that was made is left."
        failure = "\n".join([failure, f"Nothing was prepared. {aftermath}", *late])
    lost = run["plan"]["request"].get("lost", {})
    silent = {host: error for host, error in run["silent"].items() if host not in lost}
    sentences = summarize(run["plan"], silent)["sentences"]
    ages = [
        f"the facts of {host} are {in_words(age)} old"
        for host, time in lost.items()
        if (age := age_of(time)) is not None
    ]
    if run["unconfirmed"]:
        ages.append(_unconfirmed(run["unconfirmed"], hostvars))
    where = [_where(run)] if run["written"] else []
    gone = first_of(run["gone"], "guest is left out", "guests are left out")
    return run | {
        "failure": failure,
        "sentences": [*sentences, *gone, *ages, *words, *late, *where],
        "left": left,
    }


def _unconfirmed(hosts: t.Sequence[str], hostvars: t.Any) -> str:
    """Return the sentence on a plan whose ``hosts`` were not asked in this run."""
    times = {host: gathered_time(hostvars, host) for host in hosts}
    oldest = min(hosts, key=lambda host: times[host] or "")
    age = age_of(times[oldest])
    how_old = "of an unknown age" if age is None else f"{in_words(age)} old"
    return f"no host was asked: the plan relies on facts gathered earlier, the oldest of which, those of {oldest}, are {how_old}"


def _write_rest(run: _Run, left: t.Mapping[str, ByModule]) -> None:
    """Write down what may still be there: what was made and not removed, and what other runs have written down."""
    with alone(run["progress"]):
        before = read_progress(run["progress"])
        write_progress(run["progress"], _rest(run, before, left), run["dest"])


def _rest(run: _Run, before: t.Sequence[t.Any], left: t.Mapping[str, ByModule]) -> list[t.Any]:
    made = {place_of(each) for each in still_there(before, run["made"])}
    gone = removed_of(before, run["undo"], left)
    began = {tuple(each) for each in run["began"]}
    return [
        each
        for each in before
        if (place := place_of(each)) not in began or (place in made and place not in gone)
    ]
