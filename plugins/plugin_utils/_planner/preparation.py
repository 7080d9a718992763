# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""How far a fleet has come with carrying out a plan: what was made, what failed, and which places and devices caused that. Pure.

What a host's modules answer is believed of that host alone: it names no device of another host, and what it says was
made counts only where the plan has it there.
"""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    MDEV,
    PCI,
    VDPA,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.reason import Reason
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    DeviceLabel,
    NotRequired,
    Placement,
    Plan,
    Sentence,
    Unplaced,
)

_Device = t.Mapping[str, t.Any]
_Result = t.Mapping[str, t.Any]


class Tasks(t.NamedTuple):
    """Where a plan has the tasks of the module for one kind, by what that names a device, and the action that made or changed it."""

    kind: str
    key: str
    name: str
    action: str


# In the order in which the modules run.
TASKS = (
    Tasks(MDEV, "devices", "uuid", "created"),
    Tasks(PCI, "pci_devices", "address", "configured"),
    Tasks(VDPA, "vdpa_devices", "name", "created"),
)
NO_RESULTS: t.Sequence[_Result] = ({},) * len(TASKS)

# The tasks of each module, by the key of ``Tasks``.
ByModule = dict[str, list[_Device]]


class HostFailure(t.TypedDict):
    """What failed on a host, and under which parent, as the option ``avoid`` of a plan has it."""

    host: str
    problem: Sentence
    parent: NotRequired[str]


class Preparation(t.TypedDict):
    """What was made on a host, by key of ``Tasks``, what of that the plan does not need, and where what failed."""

    made: ByModule
    leftover: ByModule
    failures: list[HostFailure]


class Fault(t.TypedDict):
    """Where what failed for a plan.

    ``parent`` and ``devices``, the sources that were to move together, are there where the module named a device.
    ``way`` is what failures of one kind have in common, and ``None`` where that is unknown.
    """

    host: str
    problem: str
    parent: str | None
    devices: list[DeviceLabel]
    way: str | None


def preparation(
    plan: Plan, host: str, results: t.Sequence[_Result], made: t.Mapping[str, t.Sequence[_Device]]
) -> Preparation:
    """Return how far ``host`` has come with ``plan``.

    ``results`` are the modules' for the plan's tasks, in the order of ``TASKS``; ``made`` is what was made for earlier
    plans. What may have been made counts as made: a host that does not answer any more says nothing. A device that is there,
    and that the plan gives nothing, is not part of it. A failure is as
    the option ``avoid`` of a plan has it: with the parent of the device that failed, if known.
    """
    tasks: t.Mapping[str, t.Any] = plan["hosts"].get(host) or {}
    changed = {each["target"]["id"] for each in changed_by(plan) if each["target"]["host"] == host}
    now: ByModule = {}
    leftover: ByModule = {}
    for each, result in zip(TASKS, results, strict=True):
        planned = tasks.get(each.key) or ()
        names = {task[each.name] for task in planned}
        before = [*made.get(each.key, ())]
        known = {task[each.name] for task in before}
        found = _made(each, planned, result, changed)
        new = [task for task in found if task[each.name] not in known]
        now[each.key] = before + new
        leftover[each.key] = [task for task in before if task[each.name] not in names]
    failure = fault_of(plan, host, results)
    avoided = [] if failure is None else [_place(failure)]
    return Preparation(made=now, leftover=leftover, failures=avoided)


def _made(
    tasks: Tasks, planned: t.Sequence[_Device], result: _Result, changed: t.Collection[str]
) -> list[_Device]:
    """Return what of the ``planned`` was made, or may have been; only the ids in ``changed`` are of devices that the plan changes."""
    if _is_lost(result):
        return [each for each in planned if each[tasks.name] in changed]
    found = _entries(result, "devices")
    # A list: a host may answer what is no name at all.
    done = [each.get(tasks.name) for each in found if each.get("action") == tasks.action]
    left = [each.get("device") for each in _entries(result, "left")]
    names = {each for each in done if isinstance(each, str)}
    names.update(each for each in left if isinstance(each, str) and each in changed)
    return [each for each in planned if each[tasks.name] in names]


def _is_lost(result: _Result) -> bool:
    """Return whether a module has ended without a word on what it made."""
    if result.get("skipped"):
        return False
    failed = result.get("failed") and not result.get("step")
    return bool(result.get("unreachable") or failed)


def _entries(result: _Result, key: str) -> list[_Device]:
    found = result.get(key)
    if not isinstance(found, t.Sequence) or isinstance(found, (str, bytes)):
        return []
    return [each for each in found if isinstance(each, t.Mapping)]


def fault_of(plan: Plan, host: str, results: t.Iterable[_Result]) -> Fault | None:
    """Return what failed on ``host``, where it did."""
    failed = [each for each in results if each.get("failed") or each.get("unreachable")]
    if not failed:
        return None
    # A module that failed names its device; a host that does not answer names none.
    failed.sort(key=lambda result: not result.get("failed"))
    first = failed[0]
    failure = Fault(
        host=host,
        problem="; ".join(str(each.get("msg", "unreachable")) for each in failed),
        parent=None,
        devices=[],
        way=f"{first['step']} {first.get('errno') or ''}".strip() if first.get("step") else None,
    )
    device = first.get("device")
    for placement in plan["placements"]:
        target = placement["target"]
        if device and (target["host"], target["id"]) == (host, device):
            failure["parent"] = target["parent"]
            failure["devices"] = [each["source"] for each in _together(plan, placement)]
    return failure


def _together(plan: Plan, placement: Placement) -> list[Placement]:
    """Return the placements of the guest that ``placement`` is of, which has its name, its host and its UUID, if known."""
    if placement.get("vm") is None:
        return [placement] if placement.get("source") else []
    guest = _guest_of(placement)
    return [each for each in plan["placements"] if _guest_of(each) == guest]


def _guest_of(placement: Placement) -> tuple[str, str | None, str | None]:
    return placement["source"]["host"], placement["vm"], placement.get("vm_uuid")


def _place(failure: Fault) -> HostFailure:
    """Return where a failure was, as the option ``avoid`` has it."""
    place: HostFailure = {"host": failure["host"], "problem": failure["problem"]}
    if failure["parent"]:
        place["parent"] = failure["parent"]
    return place


# --- what is to blame ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Blame:
    """What another plan does without: the places to ``avoid``, and the devices to be ``given_up``, each with the reason."""

    avoid: list[HostFailure]
    given_up: dict[tuple[str, str], str]


def blame(
    failures: t.Sequence[Fault], given_up: t.Mapping[tuple[str, str], str], partial: bool
) -> Blame:
    """Return the causes of the ``failures`` of all plans so far; ``given_up`` are devices known for hopeless.

    A device that failed in the same way on two targets is given up, where the plan may be ``partial``. What failed of a
    device that is given up rules out none of its parents, unless another device failed under the same one.
    """
    hopeless = dict(given_up)
    if partial:
        hopeless = _failing_alike(failures) | hopeless
    victims: dict[tuple[str, str | None], set[tuple[str, str]]] = defaultdict(set)
    for failure in failures:
        victims[failure["host"], failure["parent"]].update(_keys(failure)[:1])
    avoid = []
    for failure in failures:
        mine = _keys(failure)
        alone = len(victims[failure["host"], failure["parent"]]) < 2
        if mine and alone and all(key in hopeless for key in mine):
            continue
        place = _place(failure)
        if place not in avoid:
            avoid.append(place)
    return Blame(avoid, hopeless)


def _failing_alike(failures: t.Sequence[Fault]) -> dict[tuple[str, str], str]:
    """Return the devices of guests that failed in one way on two targets, and why."""
    seen: dict[tuple[tuple[tuple[str, str], ...], str], list[Fault]] = defaultdict(list)
    for failure in failures:
        if failure["way"] and failure["devices"]:
            seen[tuple(_keys(failure)), failure["way"]].append(failure)
    found = {}
    for (keys, _way), alike in seen.items():
        places = sorted({_where(each) for each in alike})
        if len(places) > 1:
            reason = f"it failed in the same way on {' and '.join(places)}: {alike[-1]['problem']}"
            found.update(dict.fromkeys(keys, reason))
    return found


def hopeless(
    plan: Plan, failures: t.Sequence[Fault], given_up: t.Mapping[tuple[str, str], str]
) -> dict[tuple[str, str], str]:
    """Return the devices that failed once and have no other place in ``plan``, which avoids where they failed, and why."""
    unplaced = {_key(each["source"]) for each in plan["unplaced"]} - given_up.keys()
    found = {}
    for failure in failures:
        mine = _keys(failure)
        if mine and all(key in unplaced for key in mine):
            reason = f"it failed on {_where(failure)}, and there is no other place for it: {failure['problem']}"
            found.update(dict.fromkeys(mine, reason))
    return found


def _where(failure: Fault) -> str:
    return f"{failure['parent']} of {failure['host']}" if failure["parent"] else failure["host"]


def _key(device: DeviceLabel) -> tuple[str, str]:
    return device["host"], device["id"]


def _keys(failure: Fault) -> list[tuple[str, str]]:
    return [_key(each) for each in failure["devices"]]


def without(
    plan: Plan, given_up: t.Mapping[tuple[str, str], str], movers: t.Sequence[Unplaced]
) -> Plan:
    """Return a ``plan`` that was made without the devices that are ``given_up``, and names them; ``movers`` has them."""
    left: list[Unplaced] = [
        {
            **each,
            "reasons": [Reason("failed", given_up[_key(each["source"])]).on(None)],
        }
        for each in movers
        if _key(each["source"]) in given_up
    ]
    changed: t.Any = {"unplaced": [*plan["unplaced"], *left]}
    if left and plan["status"] != "infeasible":
        changed["status"] = "unproven"
    return t.cast(Plan, {**plan, **changed})


# --- what is written down before it is made --------------------------------------------------------------------------


def changed_by(plan: Plan | t.Mapping[str, t.Any]) -> list[Placement]:
    """Return the placements whose targets ``plan`` has made, or given attributes or network settings: what cleanup may have to take back."""
    return [
        each
        for each in plan["placements"]
        if each["target"]["create"] or is_configured(each["target"])
    ]


def given_nothing(target: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return a target without what it is to be given."""
    return {
        **{name: value for name, value in target.items() if name != "network"},
        "attributes": [],
    }


def is_configured(target: t.Mapping[str, t.Any]) -> bool:
    """Return whether a physical device is given attributes or network settings."""
    return target["kind"] == "pci" and bool(target["attributes"] or target.get("network"))


def place_of(placement: t.Mapping[str, t.Any]) -> tuple[str, str, str]:
    """Return host, kind and id of the target of ``placement``, which no other device of the fleet has."""
    target = placement["target"]
    return target["host"], target["kind"], target["id"]


def merged(before: t.Iterable[Placement], new: t.Iterable[Placement]) -> list[Placement]:
    """Return the placements of both lists, of which ``new`` ones are in the place of those with the same target."""
    found = {place_of(each): each for each in before}
    found.update((place_of(each), each) for each in new)
    return [*found.values()]


def still_awaited(before: t.Iterable[Placement], new: t.Iterable[Placement]) -> list[Placement]:
    """Return the placements of ``before`` but those whose targets ``new`` ones leave: to these, guests have come."""
    left = {
        (source["host"], source["kind"], source["id"])
        for source in (each["source"] for each in new)
    }
    return [each for each in before if place_of(each) not in left]


_OF_KIND = {each.kind: each for each in TASKS}


def still_there(
    placements: t.Iterable[Placement], made: t.Mapping[str, ByModule]
) -> list[Placement]:
    """Return those of the ``placements`` whose targets are among what was ``made`` on each host."""
    names = {
        (host, tasks.key): {each[tasks.name] for each in by_module.get(tasks.key, ())}
        for host, by_module in made.items()
        for tasks in TASKS
    }
    found = []
    for placement in placements:
        host, kind, name = place_of(placement)
        if kind in _OF_KIND and name in names.get((host, _OF_KIND[kind].key), ()):
            found.append(placement)
    return found


def removed_of(
    placements: t.Sequence[Placement],
    removed: t.Mapping[str, ByModule],
    left: t.Mapping[str, ByModule],
) -> set[tuple[str, str, str]]:
    """Return the places of those of the ``placements`` that were to be ``removed`` from each host and are not ``left`` there."""
    rest = {place_of(each) for each in still_there(placements, left)}
    return {place_of(each) for each in still_there(placements, removed)} - rest


def tasks_for(made: ByModule, device: t.Mapping[str, t.Any]) -> None:
    """Add to what was ``made`` on a host a ``device`` of a plan."""
    tasks = _OF_KIND[device["kind"]]
    task = {tasks.name: device["id"]}
    if tasks.key == "devices":
        task |= {key: device[key] for key in ("parent", "type") if device.get(key)}
    made.setdefault(tasks.key, []).append(task)


def removals(made: t.Mapping[str, ByModule], persistent: bool) -> dict[str, dict[str, t.Any]]:
    """Return, for each host with something made, what the modules take to remove it, or to give it back.

    A physical device keeps the driver that it had when it was planned.
    """
    found = {}
    for host, by_module in made.items():
        devices = [
            {"uuid": each["uuid"], **{key: each[key] for key in ("parent", "type") if key in each}}
            for each in by_module.get("devices", ())
        ]
        pci = [
            {"address": each["address"], "keep_driver": True}
            for each in by_module.get("pci_devices", ())
        ]
        vdpa = [{"name": each["name"]} for each in by_module.get("vdpa_devices", ())]
        if devices or pci or vdpa:
            found[host] = {
                "devices": devices,
                "pci_devices": pci,
                "vdpa_devices": vdpa,
                "persistent": persistent,
                "boot_units": persistent,
            }
    return found


def remaining(
    removed: t.Mapping[str, t.Sequence[_Device]],
    results: t.Sequence[t.Sequence[_Result]],
    there: t.Collection[str] | None,
) -> tuple[ByModule, str | None]:
    """Return what of ``removed`` is, or may be, left on the host that was to remove it, and why.

    ``results`` are the modules', in the order of ``TASKS``: that of the one call for all devices, or those of the calls for
    each. ``there`` are the devices that the host has now, ``None`` where it does not answer. A physical device is always
    there; whether it was given back is its module's word.
    """
    left: ByModule = {}
    problems: dict[str, None] = {}
    for tasks, answers in zip(TASKS, results, strict=True):
        asked = [*removed.get(tasks.key, ())]
        for number, each in enumerate(asked):
            result = answers[number] if len(answers) == len(asked) else answers[0]
            failed = bool(result.get("failed") or result.get("unreachable")) or not result
            if there is None or tasks.key == "pci_devices":
                stays = failed or there is None
            else:
                stays = each[tasks.name] in there
            if stays:
                left.setdefault(tasks.key, []).append(each)
            if stays and failed:
                problems[str(result.get("msg", "it does not answer"))] = None
    return left, "; ".join(problems) or None
