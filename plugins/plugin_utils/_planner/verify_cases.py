# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the verifier holds of proofs by cases: that no case is left out, and that each ends as it says. Pure.

It knows of places only what is free and like a guest's devices. So it may object to a wrong proof, and does not prove a right one.
"""

from __future__ import annotations

import itertools
import typing as t
from operator import attrgetter

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import (
    WHOLE_PLAN,
    Case,
    Entry,
    Key,
    Objection,
    Objections,
    Rule,
    places_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_free import (
    FreeGuest,
    FreeGuests,
    FreePlaces,
)

# So many times the steps of a proof are followed at most: a case may lead to a step that others lead to.
_MOST_STEPS = 10_000


def cases_are_of_guests_that_are_left_behind(case: Case) -> Objections:
    """Require that each proof by cases is of guests of the plan with all of their devices, no guest in two, and one of each left behind."""
    proofs = case.plan.get("cases", ())
    if bool(proofs) != ("cases" in case.plan.get("proof", ())):
        yield Objection(WHOLE_PLAN, "the proofs by cases are not what the plan says proves it")
    seen: set[Key] = set()
    guests = FreeGuests(case)
    for proof in proofs:
        for stated in (proof["guests"], *proof.get("alike", ())):
            devices = [_keys_of(guest) for guest in stated]
            keys = {key for of_guest in devices for key in of_guest}
            for fault in _faults_of(case, guests, proof, stated, devices):
                yield Objection(WHOLE_PLAN, f"{proof['sentence']}: {fault}")
            if keys & seen or len(keys) < sum(map(len, devices)):
                yield Objection(WHOLE_PLAN, f"{proof['sentence']}: a guest is in two proofs")
            seen |= keys


def _faults_of(
    case: Case,
    guests: FreeGuests,
    proof: Entry,
    stated: t.Sequence[Entry],
    devices: t.Sequence[t.Sequence[Key]],
) -> t.Iterator[str]:
    """Yield what is wrong with the guests that are ``stated`` in a proof, and have these ``devices``."""
    keys = {key for of_guest in devices for key in of_guest}
    if not all(map(case.is_planned, keys)) or case.left.isdisjoint(keys):
        yield "none of these is left behind"
    names = [guest["vm"] for guest in stated]
    if any(_is_another(case, guests, *each) for each in zip(names, devices, strict=True)):
        yield "these are not guests of the plan with all of their devices"
    if proof["left_out"] != min(map(len, devices)) or len(stated) != len(proof["guests"]):
        yield f"{proof['left_out']} is not the size of the smallest"


def _keys_of(guest: Entry) -> list[Key]:
    return [(guest["host"], each) for each in guest["devices"]]


def _is_another(case: Case, guests: FreeGuests, name: str | None, keys: t.Sequence[Key]) -> bool:
    """Return whether these are not all devices that the plan is about of one guest of this name."""
    found = guests.of(keys)
    if len(found) != 1 or found[0].name != name or found[0].devices != len(keys):
        return True
    host = keys[0][0]
    holder = case.devices[host][keys[0][1]]["in_use"] or {}
    if holder.get("pid") is None:
        return len(keys) > 1
    return {*keys} != {
        (host, device_id)
        for device_id, device in case.devices[host].items()
        if device["in_use"] and device["in_use"].get("pid") == holder["pid"]
        if case.is_planned((host, device_id))
    }


def every_case_ends_where_a_guest_has_no_place(case: Case) -> Objections:
    """Require that the steps go through all hosts that are known to have a place, and end beside guests with which they have none."""
    guests = FreeGuests(case)
    walks = [
        (proof, [guest for each in stated for guest in guests.of(_keys_of(each))])
        for proof in case.plan["cases"]
        for stated in (proof["guests"], *proof.get("alike", ()))
    ]
    likes = {like for _proof, found in walks for guest in found for like in guest.likes or ()}
    places = FreePlaces(case, likes)
    seen: set[t.Hashable] = set()
    for proof, found in walks:
        # Most that a proof is of are alike.
        likeness = id(proof), _likeness(places, found)
        if likeness in seen:
            continue
        seen.add(likeness)
        for sentence in _Walk(case, proof["steps"], found, places).faults():
            yield Objection(WHOLE_PLAN, f"{proof['sentence']}: {sentence}")


def _likeness(places: FreePlaces, guests: t.Sequence[FreeGuest]) -> t.Hashable:
    """Return what guests have in common for which the same steps are right or wrong."""
    apart = [
        one.groups.isdisjoint(other.groups) for one, other in itertools.combinations(guests, 2)
    ]
    return tuple(map(places.likeness, guests)), tuple(apart)


class _Walk:
    """Follows the steps of a proof."""

    def __init__(
        self,
        case: Case,
        steps: t.Sequence[Entry],
        guests: t.Sequence[FreeGuest],
        places: FreePlaces,
    ) -> None:
        self._case, self._steps, self._guests, self._places = case, steps, guests, places
        self._places_of = places_of(case)
        # By guest, the hosts that are known to have a place for it.
        self._known = [{*places.hosts_for(each)} for each in guests]
        self._taken = 0
        targets = case.asked.targets
        self._receiving = {*case.facts} if targets is None else {*targets} & case.facts.keys()
        self._receiving -= case.drained

    def faults(self) -> t.Iterator[str]:
        """Yield what is wrong in the first step that is, in the order in which they are followed."""
        faults = self._step(1, {})
        fault = next(faults, None)
        if fault is not None:
            yield fault

    def _step(self, number: int, there: t.Mapping[int, str]) -> t.Iterator[str]:
        """Yield what is wrong in a step and those that follow, where guests are on the hosts ``there``, by number."""
        self._taken += 1
        if not 1 <= number <= len(self._steps) or self._taken > _MOST_STEPS:
            yield f"step {number} is none, or leads to too many"
            return
        step = self._steps[number - 1]
        guest = step["guest"]
        if guest in there or not 1 <= guest <= len(self._guests):
            yield f"step {number} is of a guest that is in an earlier step, or in none"
            return
        hosts = [host for each in step["places"] for host in each["hosts"]]
        wrong = {*hosts} - self._receiving | ({*hosts} & {self._guests[guest - 1].host})
        if (wrong and self._case.is_of_the_occasion) or len({*hosts}) < len(hosts):
            yield f"step {number} has hosts that receive nothing, or one twice"
        missing = self._known[guest - 1].difference(hosts)
        if missing and self._case.is_of_the_occasion:
            yield f"step {number} leaves out {min(missing)}, where something is free that is like the guest's devices"
        for place in step["places"]:
            yield from self._place(number, guest, place, there)

    def _place(
        self, number: int, guest: int, place: Entry, there: t.Mapping[int, str]
    ) -> t.Iterator[str]:
        ends = {"then", "beside", "apart_from"} & place.keys()
        if len(ends) != 1 or not place["hosts"]:
            yield f"step {number} has a case without an end"
        elif "then" in place:
            yield from self._step(place["then"], {**there, guest: place["hosts"][0]})
        elif "apart_from" in place:
            if not self._are_apart(guest, place["apart_from"], place["hosts"], there):
                yield f"step {number} has guests that need not be apart"
        elif not self._may_be_full(guest, place["beside"], place["hosts"], there):
            yield f"step {number} ends on {place['hosts'][0]}, where something is free for all of these guests"

    def _are_apart(
        self, guest: int, other: int, hosts: t.Sequence[str], there: t.Mapping[int, str]
    ) -> bool:
        """Return whether a guest must be apart from another one that is on one of these hosts, or in a domain of each."""
        if other not in there:
            return False
        near = {*self._places_of(there[other])}
        together = all(not near.isdisjoint(self._places_of(host)) for host in hosts)
        return together and not self._guests[guest - 1].groups.isdisjoint(
            self._guests[other - 1].groups
        )

    def _may_be_full(
        self,
        guest: int,
        beside: t.Sequence[int],
        hosts: t.Sequence[str],
        there: t.Mapping[int, str],
    ) -> bool:
        """Return whether a host may have too little for a guest beside others that are on it."""
        if not beside or any([there.get(each)] != [*hosts] for each in beside):
            return False
        guests: list[FreeGuest] = [self._guests[each - 1] for each in (*beside, guest)]
        likes = [like for each in guests for like in each.likes or ()]
        unknown = any(each.likes is None or each.macs for each in guests)
        return unknown or not self._case.is_of_the_occasion or not self._places.has(hosts[0], likes)


RULES: tuple[Rule, ...] = (
    (attrgetter("has_proof"), cases_are_of_guests_that_are_left_behind),
    (attrgetter("has_cases"), every_case_ends_where_a_guest_has_no_place),
)
