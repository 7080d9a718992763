# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What of a plan is superfluous: targets whose guests have not moved, and sources whose guests have. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.network_settings import (
    NO_MAC,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.preparation import (
    is_configured,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.progress import (
    DONE,
    MOVED,
    PREPARED,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    DeviceLabel,
    PlacementState,
    Sentence,
)

VACATED = "vacated"
# What may be removed of a plan: targets that are prepared, sources that are vacated.
REMOVABLE = (PREPARED, VACATED)


class Superfluous(t.TypedDict):
    """Placements whose targets are superfluous, those whose sources are, these devices, and a sentence on each placement."""

    prepared: list[PlacementState]
    vacated: list[PlacementState]
    devices: list[DeviceLabel]
    sentences: list[Sentence]


def superfluous(
    states: t.Sequence[PlacementState],
    remove: t.Collection[str],
    hosts: t.Collection[str],
    undefined: t.Collection[tuple[str, str]] = (),
    kept: t.Collection[tuple[str, str | None]] = (),
    addresses: t.Collection[tuple[str, str]] = (),
    at_work: t.Collection[tuple[str, str | None]] = (),
) -> Superfluous:
    """Return what is to be removed of the placements in ``states``.

    Each claim has one source: the plan states that a target was made, its own host that it is free, and the source's host that
    its guest has not moved. A source is removed where both sides say that its guest has moved: the target's host, that
    the guest holds the target, and its own, that nothing holds the source and the guest is none of those ``kept`` there.

    ``remove`` is which of ``REMOVABLE``. ``hosts`` are those that answer. ``undefined`` are the targets, by host and id, that
    could not be defined in mdevctl where their sources are: these stay, as a definition must be on one host at least.
    ``addresses`` are the physical devices, by host and id, that ``keeping_addresses`` returns: they are given back. With the guests
    ``at_work`` a process on their hosts is, which sends them or is about to, or may be: what they have and what they get stays.
    """
    still = [each for each in states if guest_of(each) not in at_work]
    prepared = [each for each in still if PREPARED in remove and _was_made(each)]
    vacated = [
        each
        for each in still
        if VACATED in remove and _is_left(each, addresses) and guest_of(each) not in kept
    ]
    devices: list[DeviceLabel] = [each["target"] for each in prepared]
    devices += [
        each["source"]
        for each in vacated
        if each["target"]["host"] in hosts and target_of(each) not in undefined
    ]
    sentences = [
        _sentence(each, target_goes=each in prepared, source_goes=each in vacated)
        + ("; its guest may be migrating" if guest_of(each) in at_work else "")
        for each in states
    ]
    return Superfluous(
        prepared=prepared,
        vacated=vacated,
        devices=devices,
        sentences=sentences or ["the plan moves nothing"],
    )


def _was_made(state: PlacementState) -> bool:
    """Return whether the plan had the target made, or configured as a physical device, and its guest does not use it."""
    target = state["target"]
    return state["state"] == PREPARED and (target["create"] or is_configured(target))


def guest_of(state: PlacementState) -> tuple[str, str | None]:
    """Return what names the guest of a placement: its old host, and its name there."""
    return state["source"]["host"], state["vm"]


def target_of(state: PlacementState) -> tuple[str, str]:
    """Return what names the target of a placement: its host, and its id there, which other hosts may have as well."""
    return state["target"]["host"], state["target"]["id"]


def still_to_move(states: t.Iterable[PlacementState]) -> list[PlacementState]:
    """Return those of ``states`` whose device has not moved to any target: where a plan failed, another one made a second for it."""
    states = [*states]
    arrived = {_source_of(each) for each in states if each["state"] in (MOVED, DONE)}
    return [each for each in states if _source_of(each) not in arrived]


def moved_in_part(states: t.Iterable[PlacementState]) -> set[tuple[str, str | None]]:
    """Return the guests of which not every device is said to have moved: they have not."""
    return {guest_of(each) for each in still_to_move(states) if each["vm"] is not None}


def _source_of(state: PlacementState) -> tuple[str, str, str]:
    source = state["source"]
    return source["host"], source["kind"], source["id"]


def _is_left(state: PlacementState, addresses: t.Collection[tuple[str, str]]) -> bool:
    """Return whether the guest has left the source, and that can go: a physical device, what it was given for the guest."""
    source = state["source"]
    goes = source["kind"] in ("mdev", "vdpa") or (source["host"], source["id"]) in addresses
    return state["state"] == MOVED and goes


def keeping_addresses(
    fleet: Fleet, states: t.Iterable[PlacementState]
) -> dict[tuple[str, str], str]:
    """Return the MAC addresses that guests have taken along, by the functions, host and id, that still have them."""
    found = {}
    for each in states:
        source, mac = each["source"], each["target"].get("network", {}).get("mac", NO_MAC)
        if each["state"] != MOVED or source["kind"] != "pci" or mac == NO_MAC:
            continue
        for device in fleet.hosts[source["host"]].devices:
            now = dict(device.network or ()).get("mac")
            if device.key == (source["host"], source["id"]) and now == mac:
                found[device.key] = str(mac)
    return found


def _sentence(state: PlacementState, target_goes: bool, source_goes: bool) -> str:
    source, target = (f"{end['host']} {end['id']}" for end in (state["source"], state["target"]))
    guest = f"{state['vm']}: " if state["vm"] else ""
    sentence = f"{guest}{source} -> {target} is {state['state']}"
    if target_goes:
        return f"{sentence}; the target is removed"
    if source_goes and state["source"]["kind"] == "pci":
        return f"{sentence}; the source is given back what it had before"
    if source_goes:
        return f"{sentence}; the source is removed"
    return f"{sentence}; {state['reason']}" if state["reason"] else sentence
