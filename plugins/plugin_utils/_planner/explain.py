# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Explanations: why a device may or may not go to another device or to a host, for an operator. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import Candidates
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import verdict
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import (
    nearest,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Fleet,
    obstacle,
    obstacle_code,
    open_support,
    why_unknown,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import one_name, quoted
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import (
    refusal_in_use,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.reason import (
    OF_ANOTHER_DEVICE,
    of_verdict,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Request,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.unplaced import nearest_misses
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Explanation, Verdict


def explain(fleet: Fleet, source: t.Any, target: t.Any, direction: str) -> Explanation:
    """Return what ``direction`` makes of ``source`` (``{host, id}``) going to ``target`` (``{host, id}`` or a host's name).

    ``{source, target, verdict, placement, sentences}``; ``placement`` is how a host would receive the device,
    ``None`` where it cannot or where the target is a device. A source may be the name or the UUID of a guest; then the first sentence
    begins with yes or no, and the rest is of the device that stands in the way, or of the guest's first one.
    """
    if isinstance(source, str):
        return _of_guest(fleet, source, target, direction)
    device = _find(fleet, source)
    if isinstance(target, t.Mapping):
        return _to_device(fleet, device, _find(fleet, target), direction)
    name = one_name("target", target)
    if name not in fleet.hosts:
        raise FleetError(f"the target {name} is unknown: {why_unknown(fleet, name)}")
    return _to_host(fleet, device, name, direction)


def _of_guest(fleet: Fleet, source: str, target: t.Any, direction: str) -> Explanation:
    """Return the explanation of the device that keeps a guest from ``target``, after a sentence on the guest."""
    holders = (each.in_use for each in fleet.devices() if each.in_use)
    if not source or not any(source in (each.name, each.uuid) for each in holders):
        raise FleetError(
            f"{quoted(source)} names no device, and no guest of the fleet's facts;"
            " expected a guest's name, its UUID or {host: …, id: …}"
        )
    (guest,) = requested(fleet, None, [source])
    explained = [
        explain(fleet, {"host": each.host, "id": each.id}, target, direction)
        for each in guest.devices
    ]
    staying = [each for each in explained if not each["verdict"]["compatible"]]
    # First a device that stands in the way itself.
    staying.sort(key=lambda each: OF_ANOTHER_DEVICE.issuperset(each["codes"]))
    place = f"{target['id']} on {target['host']}" if isinstance(target, t.Mapping) else str(target)
    if isinstance(target, t.Mapping) and len(explained) > 1:
        sentence = f"no, {source} has {len(explained)} devices, which do not all go to {place}"
    elif guest.host == place:
        sentence = f"no, {source} is on {place} already"
    elif staying:
        why = staying[0]["sentences"]
        more = f" (and {len(why) - 1:,} more)" if len(why) > 1 else ""
        sentence = f"no, {source} cannot go to {place}: {why[0] if why else 'there is no place for it'}{more}"
    else:
        sentence = f"yes, {source} can go to {place}, with all of its {len(explained)} devices"
        if len(explained) == 1:
            sentence = f"yes, {source} can go to {place}"
    found = staying[0] if staying else explained[0]
    return {**found, "sentences": [sentence, *found["sentences"]]}


def _to_device(fleet: Fleet, source: Device, target: Device, direction: str) -> Explanation:
    given: t.Any = verdict(source.descriptor, target.descriptor, direction)
    if given["compatible"]:
        for who, device in (("the source", source), ("the target", target)):
            given["warnings"] += open_support(who, device.descriptor, device.supported)
    # Reasons are those of the source's list, unless only the target's keeps them apart.
    subject_is_target = direction != "target_accepts" and not (
        direction == "both" and verdict(source.descriptor, target.descriptor)["compatible"]
    )
    subject = target if subject_is_target else source
    where = f"{subject.id} on {subject.host}"
    reasons = [
        of_verdict(reason, where, target.host, subject_is_target)
        for reason in nearest(given["reasons"])
        if source.descriptor and target.descriptor
    ]
    codes, sentences = [each.code for each in reasons], [each.words for each in reasons]
    codes += [obstacle_code(each) for each in (source, target) if obstacle(each) is not None]
    sentences += _obstacles(fleet, source) + _obstacles(fleet, target)
    if (held := refusal_in_use(target)) is not None:
        codes.append(held.code)
        sentences.append(f"{target.id} on {target.host}: {held.words}")
    return {
        "source": source.label,
        "target": target.label,
        "verdict": given,
        "placement": None,
        "codes": [*dict.fromkeys(codes)],
        "sentences": sentences + given["warnings"],
    }


def _to_host(fleet: Fleet, source: Device, name: str, direction: str) -> Explanation:
    guests = requested(fleet, None, [{"host": source.host, "id": source.id}])
    plan = make_plan(fleet, Request(guests, [name], Conditions(direction)))
    placed = [each for each in plan["placements"] if each["source"] == source.label]
    left = [each for each in plan["unplaced"] if each["source"] == source.label]
    sentences = []
    reasons = [reason for each in left for reason in each["reasons"]]
    if source.host == name:
        sentences = [f"{source.id} is on {name} already"]
    elif not placed:
        sentences = _obstacles(fleet, source) or [each["reason"] for each in reasons]
    given: Verdict = {
        "compatible": bool(placed),
        "direction": direction,
        "direction_conflict": bool(placed) and _conflict(fleet, source, placed[0]),
        "certainty": placed[0]["certainty"] if placed else "provisional",
        "set": placed[0]["set"] if placed else None,
        "bindings": placed[0]["bindings"] if placed else {},
        "reasons": [] if placed else _nearest_reasons(fleet, source, name, direction),
        "warnings": placed[0]["warnings"] if placed else [],
    }
    return {
        "source": source.label,
        "target": name,
        "verdict": given,
        "placement": placed[0]["target"] if placed else None,
        "codes": [*dict.fromkeys(each["code"] for each in reasons)],
        "sentences": sentences + given["warnings"],
    }


def _conflict(fleet: Fleet, source: Device, placement: t.Mapping[str, t.Any]) -> bool:
    """Return whether the lists of a source and of the target that it has got say different things, where the target has one."""
    if placement["certainty"] == "provisional":
        return False
    target = _find(fleet, placement["target"])
    return bool(verdict(source.descriptor, target.descriptor)["direction_conflict"])


def _obstacles(fleet: Fleet, device: Device) -> list[str]:
    """Return why ``device`` can neither migrate nor receive a migration, with what was wrong when its facts were gathered."""
    why = obstacle(device)
    if why is None:
        return []
    problems = [
        f"{each['path']}: {each['problem']}"
        for each in fleet.problems
        if device.descriptor is None
        and each["host"] == device.host
        and device.id in (each["path"] or "")
    ]
    return [f"{device.id} on {device.host}: {why}", *problems]


def _nearest_reasons(fleet: Fleet, source: Device, host: str, direction: str) -> t.Any:
    """Return the reasons of what on ``host`` comes nearest to receiving ``source``, as a verdict has them."""
    misses = nearest_misses(fleet.hosts[host], Candidates(fleet, direction), source)
    return misses[0][1] if misses else []


def _find(fleet: Fleet, named: t.Any) -> Device:
    if not isinstance(named, t.Mapping) or not {"host", "id"} <= set(named):
        raise FleetError(f"{quoted(named)} names no device; expected {{host: …, id: …}}")
    name = one_name("host", named["host"])
    host = fleet.hosts.get(name)
    if host is None:
        raise FleetError(f"{name} is unknown: {why_unknown(fleet, name)}")
    for device in host.devices:
        if device.id == named["id"]:
            return device
    raise FleetError(
        f"{name} has no device {quoted(named['id'])}; expected the id of one of its devices"
    )
