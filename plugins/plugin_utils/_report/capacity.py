# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""How many more of what it receives a host could take once a plan is carried out."""

from __future__ import annotations

import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import Candidates
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet, Host, Parent
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.cards import CardCapacity
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.parent_capacity import (
    capacity_of,
    instances_left,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import Supply, pose
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Request,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.hardware_names import (
    HardwareNames,
)


class _Received(t.NamedTuple):
    """A target on a host, the type that it has once it is prepared, and how many instances of that it takes of its parent."""

    target: contract.Target
    type: str
    instances: int


def capacity_left(
    plan: contract.Plan, fleet: Fleet, names: HardwareNames
) -> list[contract.CapacityLeft]:
    """Return for each host that receives, and each type that it receives, the places before and after ``plan``."""
    hosts = sorted({each["target"]["host"] for each in plan["placements"]} & fleet.hosts.keys())
    # Nothing is to be moved: what each host has is asked for.
    problem = pose(fleet, Request([], hosts, Conditions(plan["direction"])))
    received: dict[str, list[_Received]] = defaultdict(list)
    for each in plan["placements"]:
        host = fleet.hosts.get(each["target"]["host"])
        if host is not None:
            instances = _instances(each, fleet, host, problem.admission.candidates)
            type_id = _given_type(host, each["target"])
            received[host.name].append(_Received(each["target"], type_id, instances))
    return [
        found
        for host, supply in zip(hosts, problem.supplies, strict=True)
        for found in _of_host(fleet.hosts[host], supply, received[host], names)
    ]


def _instances(
    placement: contract.Placement, fleet: Fleet, host: Host, candidates: Candidates
) -> int:
    """Return how many instances of its type a target takes of its parent; of one that is there, one."""
    source, target = placement["source"], placement["target"]
    there = fleet.hosts[source["host"]].devices if source["host"] in fleet.hosts else ()
    device = next((each for each in there if each.id == source["id"]), None)
    parent = next((each for each in host.parents if each.id == target["parent"]), None)
    offered = next((e for e in (parent.types if parent else ()) if e.id == target["type"]), None)
    if not target["create"] or device is None or parent is None or offered is None:
        return 1
    made = candidates.makeable(device, parent, offered)
    return made.instances if made is not None else 1


def _of_host(
    host: Host, supply: Supply, received: t.Sequence[_Received], names: HardwareNames
) -> t.Iterator[contract.CapacityLeft]:
    taken = {each.target["id"] for each in received if not each.target["create"]}
    made = _made(host, received)
    firsts = {each.type: each.target for each in reversed(received)}
    for type_id, instances in sorted({(each.type, each.instances) for each in received}):
        first = firsts[type_id]
        values = (names.value(host.name, e["name"], e["value"]) for e in first["attributes"])
        name = next((each for each in values if each), None) or names.type(type_id)
        before = _places(host, supply, (), {}, type_id, instances)
        after = _places(host, supply, taken, made, type_id, instances)
        yield {
            "host": host.name,
            "type": name if instances == 1 else f"{name}, {instances} instances each",
            "before": before,
            "after": min(before, after),
        }


def _given_type(host: Host, target: contract.Target) -> str:
    """Return the type that a target has once it is prepared."""
    device = next((each for each in host.devices if each.id == target["id"]), None)
    if device is not None and device.choices is not None:
        values = {each["name"]: each["value"] for each in target["attributes"]}
        return values.get(device.choices.attribute, target["type"] or "")
    return target["type"] or ""


Made = t.Mapping[str, t.Mapping[str, int]]


def _made(host: Host, received: t.Iterable[_Received]) -> dict[str, Counter[str]]:
    """Return how many instances of each type are made under each parent, and on each card."""
    made: dict[str, Counter[str]] = defaultdict(Counter)
    cards = {each.id: each.card for each in host.parents}
    for target, type_id, instances in received:
        parent = target["parent"] or target["id"]
        if target["create"]:
            made[parent][type_id] += instances
            card = cards.get(parent)
        else:
            # An mdev that is there has taken its share before.
            card = parent if target["kind"] == "pci" else None
        if card:
            made[card][type_id] += instances
    return made


def _places(
    host: Host,
    supply: Supply,
    taken: t.Collection[str],
    made: Made,
    type_id: str,
    instances: int,
) -> int:
    """Return how many more devices of a type, which take so many ``instances`` each, ``host`` could take."""
    free = sum(
        device.type == type_id and device.id not in taken
        for devices in supply.pools.values()
        for device in devices
    )
    on_cards = {each.id for each in host.parents if each.card in supply.cards}
    under_parents = sum(
        _under(parent, type_id, made.get(parent.id, {})) // instances
        for parent in host.parents
        if parent.id not in on_cards
    )
    on_card = sum(
        min(
            _on_card(each.capacity.with_more(made.get(card, {})), type_id),
            max(0, sum(map(len, each.functions)) - sum(made.get(card, {}).values())),
        )
        for card, each in supply.cards.items()
    )
    return free + under_parents + on_card


def _under(parent: Parent, type_id: str, made: t.Mapping[str, int]) -> int:
    """Return how many more of a type there can be under a parent once so many of its types are ``made``."""
    mdev_type = next((each for each in parent.types if each.id == type_id), None)
    if mdev_type is None:
        return 0
    return max(0, instances_left(parent, capacity_of(parent), mdev_type, made))


def _on_card(capacity: CardCapacity, type_id: str) -> int:
    """Return how many more of a type a card takes."""
    share = capacity.share(type_id)
    if share is None or capacity.size not in (None, share.size):
        return 0
    return max(0, (capacity.capacity - capacity.used) // share.units)
