# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ways to damage a sound plan, of which the verifier must reject every one."""

from __future__ import annotations

import copy
import functools
import itertools
import typing as t
from collections import Counter
from dataclasses import dataclass, replace

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Avoided,
    Conditions,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS


@dataclass
class Planned:
    """A plan, and what it was made of and for."""

    facts: dict[str, t.Any]
    plan: t.Any
    conditions: Conditions

    def broken(self) -> list[str]:
        return violations(self.plan, self.facts, self.conditions)


# Each gives the ways in which a plan can be damaged so: changes of the plan, the facts or the conditions.
Change = t.Callable[[Planned], None]
Damage = t.Callable[[Planned], t.Iterable[Change]]


def retabled(planned: Planned) -> None:
    """Make ``map`` and ``hosts`` say what the placements do: a lie that is not to be seen from these."""
    plan = planned.plan
    plan["map"], plan["hosts"] = {}, {}
    for each in plan["placements"]:
        source, target = each["source"], each["target"]
        accept = accepted(planned, source)
        plan["map"].setdefault(source["host"], {})[source["id"]] = target["id"]
        listed = plan["hosts"].setdefault(
            target["host"], {"devices": [], "pci_devices": [], "vdpa_devices": []}
        )
        if target["kind"] == "mdev":
            entry = {name: target[name] for name in ("parent", "type", "attributes")}
            listed["devices"].append({"uuid": target["id"], **entry, **accept})
        else:
            entry = {"address": target["id"], "attributes": target["attributes"]}
            listed["pci_devices"].append({**entry, **accept})


def accepted(planned: Planned, source: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return what the target's host is to verify, where the source's list decides."""
    facts = planned.facts[source["host"]]
    name = next(
        (each["descriptor"] for each in facts["devices"] if each["id"] == source["id"]), None
    )
    if name is None or planned.plan["direction"] not in ("source_lists", "both"):
        return {}
    descriptor = facts["descriptors"][name]
    version = {"software_version": descriptor["self"]["software_version"]}
    return {"accept": [{**version, **each} for each in descriptor["compatible"]]}


def changed(index: int, **values: t.Any) -> Change:
    def change(planned: Planned) -> None:
        planned.plan["placements"][index]["target"].update(copy.deepcopy(values))
        retabled(planned)

    return change


def asked(planned: Planned, **conditions: t.Any) -> Change:
    different = replace(planned.conditions, **conditions)
    return lambda planned: setattr(planned, "conditions", different)


def targets_of(planned: Planned) -> list[tuple[int, dict[str, t.Any], dict[str, t.Any]]]:
    return [
        (index, each["source"], each["target"])
        for index, each in enumerate(planned.plan["placements"])
    ]


def device_of(planned: Planned, entry: dict[str, t.Any]) -> dict[str, t.Any]:
    devices = planned.facts[entry["host"]]["devices"]
    return next(each for each in devices if each["id"] == entry["id"])


def parent_of(planned: Planned, target: dict[str, t.Any]) -> dict[str, t.Any]:
    parents = planned.facts[target["host"]]["parents"]
    return next(each for each in parents if each["id"] == target["parent"])


def guest_of(planned: Planned, source: dict[str, t.Any]) -> tuple[str, t.Any]:
    holder = device_of(planned, source)["in_use"]
    return source["host"], source["id"] if holder is None else holder["pid"]


def where_nothing_may_go(planned: Planned) -> t.Iterator[Change]:
    conditions = planned.conditions
    for index, source, target in targets_of(planned):
        for name in {source["host"], "nowhere", *conditions.drain}:
            yield changed(index, host=name)
        yield asked(planned, targets=[n for n in planned.facts if n != target["host"]])
        yield asked(planned, avoid={Avoided(target["host"], target["parent"]): "it failed"})
        yield asked(planned, avoid={Avoided(target["host"]): "it failed"})
        guest = planned.plan["placements"][index]["vm"]
        if guest is not None:
            yield asked(planned, avoid={Avoided(target["host"], guest=guest): "it does not fit"})
        yield asked(planned, drain=[*conditions.drain, target["host"]])


def another_target(planned: Planned) -> t.Iterator[Change]:
    for index, _source, target in targets_of(planned):
        yield changed(index, create=not target["create"])
        yield changed(index, type="i915-GVTg_V5_7")
        yield changed(index, parent="0000:00:09.0")
        yield changed(index, attributes=[{"name": "intel_vgpu/aggregator", "value": "99"}])
        for given in ([], [{**each, "name": "x"} for each in target["attributes"]]):
            if target["attributes"]:
                yield changed(index, attributes=given)
        if any("/" in each["name"] for each in target["attributes"]):
            short = [
                {**each, "name": each["name"].rpartition("/")[2]} for each in target["attributes"]
            ]
            yield changed(index, attributes=short)
        yield changed(index, id="x")
        yield changed(index, kind="pci" if target["kind"] == "mdev" else "mdev")
        there = [each["id"] for each in planned.facts[target["host"]]["devices"]]
        if target["create"]:
            yield from (changed(index, id=each) for each in there)
            yield changed(index, type="i915-GVTg_V5_1")


def one_target_for_two(planned: Planned) -> t.Iterator[Change]:
    for index, _source, target in targets_of(planned):
        for other, _source, _target in targets_of(planned):
            if other != index:
                yield changed(other, **target)


def torn_guests(planned: Planned) -> t.Iterator[Change]:
    sizes = Counter(guest_of(planned, source) for index, source, target in targets_of(planned))
    for index, source, target in targets_of(planned):
        if sizes[guest_of(planned, source)] > 1:
            yield lambda planned, index=index: planned.plan["placements"][index].update(wave=9)
            for other, _source, far in targets_of(planned):
                if far["host"] != target["host"]:
                    yield lambda planned, both=(index, other): _swap(planned, *both)


def _swap(planned: Planned, one: int, other: int) -> None:
    placements = planned.plan["placements"]
    first, second = placements[one]["target"], placements[other]["target"]
    placements[one]["target"], placements[other]["target"] = second, first
    retabled(planned)


def wrong_waves(planned: Planned) -> t.Iterator[Change]:
    waves = {
        (each["source"]["host"], each["source"]["id"]): each["wave"]
        for each in planned.plan["placements"]
    }
    for each in planned.plan["placements"]:
        vacated = waves.get((each["target"]["host"], each["target"]["id"]))
        if vacated is not None:
            guest = guest_of(planned, each["source"])

            def change(planned, guest=guest, wave=vacated):
                for other in planned.plan["placements"]:
                    if guest_of(planned, other["source"]) == guest:
                        other["wave"] = wave

            yield change


def wrong_turns(planned: Planned) -> t.Iterator[Change]:
    """Yield placements without a turn, turns with a gap, and two guests in one turn, where one at a time may leave a host."""
    placements = planned.plan["placements"]
    for index, each in enumerate(placements):
        if "turn" in each:
            yield lambda planned, index=index: planned.plan["placements"][index].pop("turn")
            yield lambda planned, index=index: planned.plan["placements"][index].update(turn=99)
    if planned.conditions.concurrent_moves.get("host") == 1:
        for one, other in itertools.permutations(placements, 2):
            guests = [guest_of(planned, each["source"]) for each in (one, other)]
            leaving = [(each["wave"], each["source"]["host"]) for each in (one, other)]
            if guests[0] != guests[1] and leaving[0] == leaving[1]:
                yield functools.partial(_in_turn, guest=guests[0], turn=other["turn"])


def _in_turn(planned: Planned, guest: t.Any, turn: int) -> None:
    for each in planned.plan["placements"]:
        if guest_of(planned, each["source"]) == guest:
            each["turn"] = turn


def sources_amiss(planned: Planned) -> t.Iterator[Change]:
    for index, source, target in targets_of(planned):

        def again(planned, index=index, fresh=f"{target['id'][:-1]}x"):
            copied = copy.deepcopy(planned.plan["placements"][index])
            copied["target"]["id"] = fresh
            planned.plan["placements"].append(copied)
            retabled(planned)

        def of_no_host(planned, index=index):
            planned.plan["placements"][index]["source"]["id"] = UUIDS[9]
            retabled(planned)

        def left_too(planned, source=source):
            planned.plan["unplaced"].append({"vm": None, "source": source, "reasons": []})

        def lost(planned, index=index):
            del planned.plan["placements"][index]
            retabled(planned)

        yield from (again, of_no_host, left_too)
        if source["host"] in planned.conditions.drain:
            yield lost
    for index, left in enumerate(planned.plan["unplaced"]):
        if left["source"]["host"] in planned.conditions.drain:
            yield lambda planned, index=index: planned.plan["unplaced"].pop(index)


def other_sources(planned: Planned) -> t.Iterator[Change]:
    for index, each in enumerate(planned.plan["placements"]):
        kind = "pci" if each["source"]["kind"] == "mdev" else "mdev"

        def of_another_kind(planned, index=index, kind=kind):
            planned.plan["placements"][index]["source"]["kind"] = kind

        def of_another_guest(planned, index=index):
            planned.plan["placements"][index]["vm"] = "another"

        yield from (of_another_kind, of_another_guest)


def another_status(planned: Planned) -> t.Iterator[Change]:
    complete = planned.plan["status"] in ("optimal", "feasible")
    for status in ("infeasible", "unproven") if complete else ("optimal", "feasible"):
        yield lambda planned, status=status: planned.plan.update(status=status)
    if not complete and planned.plan["bound"] is not None:
        proven = planned.plan["status"] == "infeasible"
        yield lambda planned: planned.plan.update(status="unproven" if proven else "infeasible")
    shortage = planned.plan["shortage"]
    if complete or shortage is None:
        yield lambda planned: planned.plan.update(proof=["shortage"])
    if shortage is not None:
        short = {(each["host"], each["id"]) for each in shortage["devices"]}
        placed = sum(
            (source["host"], source["id"]) in short for index, source, target in targets_of(planned)
        )
        for change in (
            {"need": shortage["need"] + 1},
            {"reachable": shortage["need"]},
            {"reachable": placed - 1},
            {"devices": shortage["devices"][1:]},
        ):
            yield lambda planned, change=change: planned.plan["shortage"].update(change)
        places = shortage.get("places", [])
        for number, place in enumerate(places):
            others = [*places[:number], *places[number + 1 :]]
            for change in (
                {"places": others},
                {"places": [*others, {**place, "places": place["places"] + 1}]},
                {"places": [*others, {**place, "id": "none"}]},
            ):
                yield lambda planned, change=change: planned.plan["shortage"].update(change)


def other_tables(planned: Planned) -> t.Iterator[Change]:
    for _index, source, target in targets_of(planned):

        def another_map(planned, source=source):
            planned.plan["map"][source["host"]][source["id"]] = UUIDS[9]

        def shorter_map(planned, source=source):
            del planned.plan["map"][source["host"]][source["id"]]

        yield from (another_map, shorter_map)
        if target["kind"] == "mdev":
            for key, value in (("type", "x"), ("parent", "x"), ("uuid", UUIDS[9])):
                yield lambda planned, target=target, change={key: value}: planned.plan["hosts"][
                    target["host"]
                ]["devices"][0].update(change)
            yield lambda planned, target=target: planned.plan["hosts"][target["host"]][
                "devices"
            ].pop()
            if planned.plan["direction"] in ("source_lists", "both"):
                for accept in ([], [{"device_api": "vfio-pci", "type": "x"}]):
                    yield lambda planned, target=target, accept=accept: planned.plan["hosts"][
                        target["host"]
                    ]["devices"][0].update(accept=accept)


def other_facts(planned: Planned) -> t.Iterator[Change]:
    moved = {(source["host"], source["id"]) for index, source, target in targets_of(planned)}
    for _index, source, target in targets_of(planned):
        if target["create"]:
            used = Counter(
                each["type"]
                for number, origin, each in targets_of(planned)
                if each["create"] and each["host"] == target["host"]
                if each["parent"] == target["parent"]
            )

            def less(planned, target=target, left=used[target["type"]] - 1):
                for each in parent_of(planned, target)["types"]:
                    if each["id"] == target["type"]:
                        each["available_instances"] = left

            def another_parent(planned, target=target):
                parent_of(planned, target)["pci_id"] = "80861234"

            yield from (less, another_parent)
        elif (target["host"], target["id"]) not in moved:
            yield lambda planned, target=target: device_of(planned, target).update(
                in_use={"pid": 99, "name": "busy"}
            )
        if planned.plan["direction"] != "either":
            yield lambda planned, source=source: device_of(planned, source).update(descriptor=None)


def other_conditions(planned: Planned) -> t.Iterator[Change]:
    received = Counter(target["host"] for index, source, target in targets_of(planned))
    for name, count in received.items():
        yield asked(planned, limit={name: count - 1})
    yield asked(planned, limit=max(received.values()) - 1)
    for each in planned.plan["placements"]:
        if each["vm"]:
            needs = {"guests": {each["vm"]: {"memory": 2}}}
            free = {"hosts": {each["target"]["host"]: {"memory": 1}}}
            yield asked(planned, capacity={**free, **needs})
            yield asked(planned, capacity={"hosts": {}, **needs})
            free = {"hosts": {each["target"]["host"]: {"memory": 3}}}
            yield asked(planned, capacity={**free, **needs}, spare={"memory": 2})
    names: dict[str, set[str]] = {}
    nodes: dict[t.Any, set[t.Any]] = {}
    for each in planned.plan["placements"]:
        target = each["target"]
        if each["vm"]:
            names.setdefault(target["host"], set()).add(each["vm"])
            place = parent_of if target["create"] else device_of
            node = place(planned, target)["numa_node"]
            nodes.setdefault(guest_of(planned, each["source"]), set()).add(node)
        if device_of(planned, each["source"])["type"] != target["type"]:
            yield asked(planned, keep_type=True)
        if each["source"]["kind"] != target["kind"]:
            yield asked(planned, keep_kind=True)
    yield from (asked(planned, apart=(group,)) for group in names.values() if len(group) > 1)
    if any(len(found) > 1 for found in nodes.values()):
        yield asked(planned, numa_local=True)


def another_cost(planned: Planned) -> t.Iterator[Change]:
    plan = planned.plan
    # Some plans have none, as that of guests to which free devices give way where it spreads.
    for name, number in (plan["cost"] or {}).items():
        if name != "remade":
            yield lambda planned, change={name: number + 1}: planned.plan["cost"].update(change)
    if plan["bound"] is not None:
        yield lambda planned: planned.plan["bound"].update(remade=plan["cost"]["remade"] + 1)
        yield lambda planned: planned.plan.update(cost=None)
    if plan["status"] in ("optimal", "feasible"):
        other = "feasible" if plan["status"] == "optimal" else "optimal"
        yield lambda planned: planned.plan.update(status=other)


def another_match(planned: Planned) -> t.Iterator[Change]:
    for index, each in enumerate(planned.plan["placements"]):
        number = 0 if each["set"] is None else each["set"]
        certainty = "derived" if each["certainty"] == "declared" else "declared"
        for change in (
            {"set": None},
            {"set": number + 1},
            {"set": -1},
            {"bindings": {**each["bindings"], "another": 1}},
            {"bindings": dict.fromkeys(each["bindings"], -7) or {"another": 1}},
            {"warnings": [*each["warnings"], "all is well"]},
            {"certainty": certainty},
        ):
            yield lambda planned, index=index, change=change: planned.plan["placements"][
                index
            ].update(change)
        for warning in each["warnings"]:

            def unwarned(planned, index=index, warning=warning):
                planned.plan["placements"][index]["warnings"].remove(warning)

            yield unwarned


def another_statement(planned: Planned) -> t.Iterator[Change]:
    stated = planned.conditions.lasting()
    for name, value in stated.items():
        other = {
            "limit": 77,
            "capacity": {"hosts": {"b": {"memory": 1}}, "guests": {}},
            "spare": {"memory": 1},
            "prefer": ["x"],
            "apart": [["vm-8", "vm-9"]],
            "failure_domains": {"rack": ["x"]},
            "concurrent_moves": {"host": 7},
        }.get(name, not value)
        if name not in planned.plan:
            for conditions in (
                {**stated, name: other},
                {each: stated[each] for each in stated if each != name},
            ):
                yield lambda planned, conditions=conditions: planned.plan.update(
                    conditions=conditions
                )


DAMAGE: list[Damage] = [
    another_match,
    another_statement,
    where_nothing_may_go,
    another_target,
    one_target_for_two,
    torn_guests,
    wrong_waves,
    wrong_turns,
    sources_amiss,
    other_sources,
    another_status,
    other_tables,
    other_facts,
    other_conditions,
    another_cost,
]
