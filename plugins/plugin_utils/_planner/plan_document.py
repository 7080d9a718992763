# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The plan as the contract has it. Pure."""

from __future__ import annotations

import itertools
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    UUID,
    VDPA,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.template import VERSION
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.virtio import DEVICE_NAME
from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.configuration import (
    has_version,
    takes,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import Descriptor
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Device, Fleet, Host
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.objective import Cost
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import backing
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.cards import count_with_type
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.crowds import (
    Moves,
    moves_of,
    with_crowds,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.placing import (
    newly_made,
    onto,
    placement_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import Problem
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.reason import (
    Reason,
    unplaced_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Request,
    named_id,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.resources import Pool
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import (
    Proof,
    Solution,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.waves import MoveOrder

if t.TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.vfio.migration.plugins.plugin_utils._packing.bottleneck import (
        Shortage,
    )


def document(
    problem: Problem,
    solution: Solution,
    proof: Proof,
    order: MoveOrder,
    explaining: Effort | None = None,
) -> contract.PlanBody:
    """Return the plan that ``solution`` is, with the moves in ``order``; ``explaining`` is what reasons may take."""
    request, shortage = problem.request, proof.shortage
    maker = _Maker(problem, order)
    placements = [(each, _source_of(problem, each)) for each in request.kept]
    placements += [(maker.placement(each), each.source) for each in solution.placed]
    placements.sort(key=lambda each: (each[1].host, each[0]["vm"] or "", each[1].id))
    hosts: dict[str, contract.HostTasks] = defaultdict(_no_tasks)
    mapping: dict[str, dict[str, str]] = defaultdict(dict)
    for placement, source in placements:
        target = placement["target"]
        mapping[source.host][source.id] = target["id"]
        maker.add_task(hosts[target["host"]], source, target)
    plan: contract.PlanBody = {
        "status": proof.status,
        "solver": solution.solver,
        "cost": _shown(problem, solution.cost),
        "bound": _shown(problem, proof.bound),
        "direction": request.conditions.direction,
        "policy": request.conditions.policy,
        "placements": in_turns(_with_trials(placements, problem.fleet), request.conditions),
        "unplaced": [],
        "shortage": _shortage(problem, shortage) if shortage else None,
        "hosts": dict(sorted(hosts.items())),
        "map": dict(mapping),
        "unknown": problem.fleet.unknown,
    }
    # What few plans need is imported for these: Ansible compiles it in each run.
    if solution.cost.unplaced:
        from ansible_collections.vfio.migration.plugins.plugin_utils._planner.unplaced import (
            left_behind,
        )

        plan["unplaced"] = left_behind(problem, solution, proof, order, explaining)
    if shortage:
        from ansible_collections.vfio.migration.plugins.plugin_utils._planner.shortages import (
            shortages_in,
        )

        parts = shortages_in(problem, shortage)
        if len(parts) > 1:
            plan["shortages"] = [_shortage(problem, each) for each in parts]
    if proof.by:
        plan["proof"] = [*proof.by]
    if proof.refutations:
        from ansible_collections.vfio.migration.plugins.plugin_utils._planner.case_proofs import (
            case_proof,
        )

        plan["cases"] = [case_proof(problem, each) for each in proof.refutations]
    if proof.assumptions:
        plan["assumptions"] = [*proof.assumptions]
    if solution.cost.unplaced and _may_take_more_later(problem, solution):
        plan["further_pass"] = True
    if request.staying:
        plan["staying"] = [*request.staying]
    return plan


def _no_tasks() -> contract.HostTasks:
    return {"devices": [], "pci_devices": [], "vdpa_devices": []}


def in_turns(moves: Moves, conditions: Conditions) -> list[contract.Placement]:
    """Return the placements with the warnings of crowds, and with turns where these are asked for."""
    placements = with_crowds(moves)
    if not conditions.concurrent_moves:
        return placements
    # Ansible compiles in each run what is imported: few plans have turns.
    from ansible_collections.vfio.migration.plugins.plugin_utils._planner.turns import with_turns

    sources = [source for _placement, source in moves]
    return with_turns([*zip(placements, sources, strict=True)], conditions.concurrent_moves)


def combined(
    fleet: Fleet,
    nothing: contract.PlanBody,
    plans: t.Sequence[contract.PlanBody],
    conditions: Conditions,
) -> contract.PlanBody:
    """Return the plan of a ``fleet`` that joins ``plans``, each for some of the guests; ``nothing`` is the plan for no guest at all.

    Each places all that it is for, beside the others or after them. What other plans there are for all of it together is not known.
    """
    if not plans:
        return nothing
    placements = [each for plan in plans for each in plan["placements"]]
    placements.sort(
        key=lambda each: (each["source"]["host"], each["vm"] or "", each["source"]["id"])
    )
    mapping: dict[str, dict[str, str]] = {}
    for each in placements:
        source = each["source"]
        mapping.setdefault(source["host"], {})[source["id"]] = each["target"]["id"]
    tasks: dict[str, contract.HostTasks] = {}
    for plan in plans:
        for host, own in plan["hosts"].items():
            tasks[host] = _together(tasks[host], own) if host in tasks else own
    found: contract.PlanBody = {
        **nothing,
        "status": "feasible",
        "cost": None,
        "bound": None,
        "placements": in_turns(moves_of(placements, fleet.hosts), conditions),
        "hosts": dict(sorted(tasks.items())),
        "map": mapping,
    }
    return found


def _together(one: contract.HostTasks, other: contract.HostTasks) -> contract.HostTasks:
    """Return what is to be done on one host for two plans."""
    return {
        "devices": [*one["devices"], *other["devices"]],
        "pci_devices": [*one["pci_devices"], *other["pci_devices"]],
        "vdpa_devices": [*one["vdpa_devices"], *other["vdpa_devices"]],
    }


def without_proof(plan: contract.PlanBody | contract.Plan) -> contract.PlanBody:
    """Return a ``plan`` without what it proves of other plans, as one that leaves something behind."""
    of_proof = ("shortages", "proof", "cases")
    found: t.Any = {name: each for name, each in plan.items() if name not in of_proof}
    found |= {"status": "unproven", "bound": None, "shortage": None}
    return t.cast("contract.PlanBody", found)


def without_places(shortage: contract.Shortage) -> contract.Shortage:
    """Return a shortage in numbers and devices alone, for a document that has many."""
    found: t.Any = {name: value for name, value in shortage.items() if name != "places"}
    return t.cast("contract.Shortage", found)


def _shortage(problem: Problem, shortage: Shortage) -> contract.Shortage:
    found = _shortage_in_numbers(problem, shortage)
    places = [*_places_of(problem, shortage)]
    # With the planner's own rules there are fewer places than it was proven without them.
    if sum(each["places"] for each in places) == shortage.reachable:
        found["places"] = places
    return found


def _places_of(problem: Problem, shortage: Shortage) -> t.Iterator[contract.ShortagePlace]:
    """Yield all that is free, or can make some, for devices that are short of places."""
    resources = problem.resources

    def most(resource: int) -> int:
        return max(resources.capacity(resource, demand) for demand in shortage.demands)

    for name, supply in zip(problem.names, problem.supplies, strict=True):
        parents = problem.fleet.hosts[name].equipment
        found = [
            (device.id, 1)
            for group, devices in supply.pools.items()
            if most(resources.number(Pool(group, len(devices))))
            for device in devices
        ]
        found += [
            (parent.id, most(resource))
            for resource, parent in zip(supply.parents, parents, strict=False)
            if resource is not None
        ]
        found += [(card, most(each.resource)) for card, each in supply.cards.items()]
        for device_id, places in sorted(found):
            if places:
                yield {"host": name, "id": device_id, "places": places}


def _shortage_in_numbers(problem: Problem, shortage: Shortage) -> contract.Shortage:
    from ansible_collections.vfio.migration.plugins.plugin_utils._planner.shortages import (
        short_of,
    )

    return {
        "need": shortage.need,
        "reachable": shortage.reachable,
        "devices": [device.label for device in short_of(problem, shortage)],
    }


def _with_trials(moves: Moves, fleet: Fleet) -> Moves:
    """Return the moves, those with a warning that give a card several types of which only a trial shows whether it has capacity for all."""
    given: dict[tuple[str, str], list[str]] = defaultdict(list)
    for placement, _source in moves:
        target = placement["target"]
        if target["attributes"] and target["kind"] == "pci":
            given[target["host"], target["parent"] or target["id"]].append(target["id"])
    tried = {
        card: len(ids)
        for card, ids in given.items()
        if len(ids) > 1 and _is_partly_used(fleet.hosts[card[0]], card[1], ids)
    }
    if not tried:
        return moves
    found = []
    for placement, source in moves:
        target = placement["target"]
        card = (target["host"], target["parent"] or target["id"])
        if card in tried and target["attributes"]:
            words = f"only trying shows whether {card[1]} on {card[0]} takes all {tried[card]}"
            placement = {
                **placement,
                "warnings": [*placement["warnings"], f"{words} of the guest"],
            }
        found.append((placement, source))
    return found


def _is_partly_used(host: Host, card: str, ids: t.Container[str]) -> bool:
    """Return whether a card has functions with a type beside those of these ``ids``, which have none."""
    under = [device for device in host.devices if (device.parent or device.id) == card]
    return bool(count_with_type(under, [device for device in under if device.id in ids]))


def _may_take_more_later(problem: Problem, solution: Solution) -> bool:
    """Return whether a card that is given a type may have one more for a guest without a place, once that is done."""
    numbers = {name: number for number, name in enumerate(problem.names)}
    placed = {each.guest for each in solution.placed}
    left = {
        demand
        for guest, needed in enumerate(problem.demands)
        if guest not in placed
        for demand, _device in needed
    }
    given = {
        (each.host, each.device.parent or each.device.id)
        for each in solution.placed
        if each.device is not None and each.device.choices is not None
    }
    cards = [problem.supplies[numbers[host]].cards[address] for host, address in sorted(given)]
    return any(
        problem.resources.could_take(card.resource, demand)
        for card in cards
        if not card.capacity.certain
        for demand in left
    )


def sources_of(
    entries: t.Iterable[contract.Placement | contract.Unplaced],
) -> set[tuple[str, str]]:
    """Return the devices, by host and id, that these placements, or devices without a place, are of."""
    return {(each["source"]["host"], each["source"]["id"]) for each in entries}


def with_left_out(
    plan: contract.PlanBody,
    request: Request,
    left_out: t.Mapping[tuple[str, str], str],
    code: contract.ReasonCode,
) -> contract.PlanBody:
    """Return ``plan``, made for the rest of ``request``, with the guests ``left_out``, by their first device, and why, of which ``code`` is the kind."""
    behind: list[contract.Unplaced] = [
        unplaced_of(guest, device, [Reason(code, left_out[guest.devices[0].key]).on(None)])
        for guest in request.guests
        if guest.devices[0].key in left_out
        for device in guest.devices
    ]
    return with_others_left(plan, request, behind)


def with_others_left(
    plan: contract.PlanBody, request: Request, behind: t.Sequence[contract.Unplaced]
) -> contract.PlanBody:
    """Return ``plan``, made for a part of ``request``, with those devices of the other part that are left ``behind``."""
    places = {
        device.key: number
        for number, device in enumerate(d for guest in request.guests for d in guest.devices)
    }
    unplaced = sorted(
        [*plan["unplaced"], *behind],
        key=lambda each: places[each["source"]["host"], each["source"]["id"]],
    )
    cost = plan["cost"]
    if request.conditions.policy == "spread":
        # Where those that are left out are, there is more than was counted.
        cost = None
    if cost is not None:
        cost = {**cost, "unplaced": cost["unplaced"] + len(behind)}
    # What is proven of the rest is no proof of the whole.
    return without_proof(plan) | {
        "cost": cost,
        "unplaced": unplaced,
    }


def with_rest(
    best: contract.PlanBody, plan: contract.PlanBody, request: Request
) -> contract.PlanBody:
    """Return ``plan``, in which the rest of ``request`` is beside those that ``best`` is made for, as a plan for all."""
    assumed = [*best.get("assumptions", ()), *plan.get("assumptions", ())]
    further_pass = best.get("further_pass")
    plan = with_others_left(plan, request, best["unplaced"])
    if assumed:
        plan["assumptions"] = [*dict.fromkeys(assumed)]
    if further_pass:
        plan["further_pass"] = True
    return plan


def _shown(problem: Problem, cost: Cost | None) -> contract.Cost | None:
    """Return a cost without what the plan's policy does not look at."""
    if cost is None or problem.request.kept:
        return None
    shown = cost._asdict()
    conditions = problem.request.conditions
    del shown["opened" if conditions.policy == "spread" else "load"]
    if not conditions.spreads_over_domains:
        del shown["domain_load"]
    return t.cast(contract.Cost, shown)


def _source_of(problem: Problem, placement: contract.Placement) -> Device:
    source = placement["source"]
    devices = problem.fleet.hosts[source["host"]].devices
    return next(device for device in devices if device.id == source["id"])


@dataclass(slots=True, eq=False)
class _Maker:
    """Makes placements, and what the modules on target hosts are to do."""

    _problem: Problem
    _order: MoveOrder
    _names: dict[str, set[str]] = field(default_factory=dict)
    # What an earlier plan has or makes on each host.
    _kept: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _acceptances: dict[tuple[Descriptor | None, bool], dict[str, list[dict[str, str]]]] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        for each in self._problem.request.kept:
            self._kept[each["target"]["host"]].add(each["target"]["id"])

    def placement(self, placed: backing.Placement) -> contract.Placement:
        """Return where one device goes."""
        # The device or the parent shows which of these it is. There is no cast, as it is a call for each device of the fleet.
        candidate: t.Any
        mdev_type: t.Any
        parent: t.Any
        number, source, host, (candidate, mdev_type, _group), device, parent = placed
        if device is not None:
            found = onto(candidate, device)
        else:
            new_id = self._new_id(source, host, parent.kind)
            found = newly_made(candidate, host, parent, mdev_type.id, new_id)
        guest = self._problem.request.guests[number]
        return placement_of(guest, source, found, self._order.number(number), device)

    def _new_id(self, source: Device, host: str, kind: str) -> str:
        """Return the name for a target made on ``host``: the source's own where that is free there, else one made from it."""
        taken = self._names.get(host)
        if taken is None:
            taken = self._names[host] = {
                each.id for each in self._problem.fleet.hosts[host].devices
            }
            taken |= self._kept[host]
        chosen = source.id
        # A name from another host may be anything.
        pattern = DEVICE_NAME if kind == VDPA else UUID
        if source.kind != kind or chosen in taken or not pattern.match(chosen):
            names = (named_id(source, count) for count in itertools.count())
            chosen = next(each for each in names if each not in taken)
        taken.add(chosen)
        return chosen

    def add_task(self, tasks: contract.HostTasks, source: Device, target: contract.Target) -> None:
        """Add to the ``tasks`` of its host what the module for ``target`` is to do."""
        given = target["attributes"]
        task: t.Any
        if target["kind"] == "mdev":
            task = {
                "uuid": target["id"],
                "parent": target["parent"],
                "type": target["type"],
                "attributes": given,
                **self._accepted(source, target),
            }
            tasks["devices"].append(task)
        elif target["kind"] == "pci":
            # Without a driver: it has that which its descriptor is of.
            task = {"address": target["id"], "attributes": given}
            if "network" in target:
                task["network"] = target["network"]
            task |= self._accepted(source, target)
            tasks["pci_devices"].append(task)
        else:
            task = {"name": target["id"], "mgmtdev": target["parent"]}
            task |= {each["name"]: each["value"] for each in given}
            if "device_features" in task:
                task["device_features"] = [task["device_features"]]
            tasks["vdpa_devices"].append(task | self._accepted(source, target))

    def _accepted(self, source: Device, target: contract.Target) -> dict[str, list[dict[str, str]]]:
        """Return what the target's own ``self`` must match, as its host's module takes it."""
        descriptor = source.descriptor
        if not target["create"] and self._waits(source, target):
            return {}
        taken = descriptor is not None and descriptor.derived and self._takes(descriptor, target)
        found = self._acceptances.get((descriptor, taken))
        if found is None:
            found = {}
            if descriptor and self._problem.request.conditions.direction in (
                "source_lists",
                "both",
            ):
                # A set that leaves the version out means the source's own; the target's host does not know that.
                version = {VERSION: descriptor.version}
                accept = [version | attributes for attributes in descriptor.compatible]
                for attributes in accept if taken else ():
                    # No releases of the driver are compared; see ``Judge.patterns``.
                    del attributes[VERSION]
                found = {"accept": accept}
            self._acceptances[descriptor, taken] = found
        return found

    def _waits(self, source: Device, target: contract.Target) -> bool:
        """Return whether a target is there and only the migration makes it what it has to be."""
        if target["create"] or (target["kind"], target["id"]) != ("mdev", source.id):
            return False
        host = self._problem.fleet.hosts[target["host"]]
        there = next((each for each in host.devices if each.id == target["id"]), None)
        existing = (
            None if there is None else self._problem.admission.candidates.existing(source, there)
        )
        return existing is not None and existing.waits

    def _takes(self, descriptor: Descriptor, target: contract.Target) -> bool:
        """Return whether the target's host is known to take the version of the vGPU with this derived descriptor."""
        if not has_version(descriptor.configuration):
            return False
        host = self._problem.fleet.hosts[target["host"]]
        shown: t.Iterable[t.Mapping[str, str]]
        if target["create"]:
            shown = (
                dict(each.configuration) for each in host.equipment if each.id == target["parent"]
            )
        else:
            shown = (
                each.descriptor.configuration
                for each in host.devices
                if each.id == target["id"] and each.descriptor is not None
            )
        return any(takes(descriptor.configuration, each) for each in shown)
