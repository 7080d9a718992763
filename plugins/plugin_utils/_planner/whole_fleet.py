# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The whole fleet as one problem, of which that of each host, or failure domain, that is emptied is a part. Pure."""

from __future__ import annotations

import dataclasses
import functools
import operator
import typing as t
from collections import Counter, defaultdict
from types import MappingProxyType

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Fleet,
    obstacle_in_guest,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    EFFORT,
    Bin,
    PackingProblem,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.additions import (
    smallest_addition,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import (
    NO_EXCLUSIONS,
    Admission,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.fleet_first_fit import (
    FleetFirstFit,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.plan_document import (
    document,
    without_places,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import no_progress
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import (
    Problem,
    Supply,
    pose,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.reason import MAX_COMPARISONS
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Request,
    guests_of,
    perhaps_staying,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import (
    Proof,
    Solution,
    prove,
    solve,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.waves import AT_ONCE

# What is planned without branch and bound first: where all have a place, what that costs does not matter.
_ROUNDS = 200
_STEPS = 5_000
# So many hosts are taken over into a part of the problem in the time of one transition; fewer where each part looks at all devices.
_HOSTS = 32
_HOSTS_LOOKED_AT = 8


class Subject(t.NamedTuple):
    """One host, or a failure domain, that is emptied as a whole."""

    name: str
    hosts: tuple[str, ...]
    is_domain: bool


class Outcome(t.NamedTuple):
    """Why not all guests of a class have a place: the guests ``left``, by their places among its guests."""

    left: tuple[int, ...]
    cause: contract.HeadroomCause


class WholeFleet:
    """The problem of which that of each host is a part: all guests of all hosts, and every host's places."""

    def __init__(self, fleet: Fleet, conditions: Conditions) -> None:
        held = [device for device in fleet.devices() if device.in_use is not None]
        guests = guests_of(held)
        self._fleet = fleet
        self._conditions = conditions
        receiving = conditions.hosts(fleet)
        # Guests move from the host that is emptied alone: those on the others stay.
        problem = pose(fleet, Request(guests, receiving, conditions))
        self._of_host: dict[str, list[int]] = defaultdict(list)
        for number, guest in enumerate(guests):
            self._of_host[guest.host].append(number)
        # How many members of each group a failure domain has, or a host that is in none, where guests are to be apart.
        self._members: dict[t.Hashable, Counter[int]] = defaultdict(Counter)
        for guest, item in zip(guests, problem.items, strict=True):
            if item.anti_affinity:
                for zone in conditions.zones_of(guest.host):
                    self._members[zone].update(item.anti_affinity)
        groups_in = functools.cache(self._groups_in)
        bins = [
            dataclasses.replace(each, anti_affinity=groups)
            if (groups := groups_in(conditions.zones_of(name)))
            else each
            for name, each in zip(problem.names, problem.bins, strict=True)
        ]
        self._problem = dataclasses.replace(problem, bins=bins)
        self._numbers = {name: number for number, name in enumerate(problem.names)}
        packing = PackingProblem(problem.resources, problem.items, bins)
        self._first_fit = FleetFirstFit(problem, packing)
        self._effort, self._explaining = Effort(EFFORT), Effort(MAX_COMPARISONS)
        self._budget = Budget(_ROUNDS, 0, solver=False, shared=self._effort)
        self._proofs: dict[t.Hashable, Proof] = {}

    @property
    def effort_is_used_up(self) -> bool:
        """Whether the searches so far have looked at so much that there is none more."""
        return self._effort.used_up

    def _groups_in(
        self,
        zones: t.Iterable[t.Hashable],
        freed: t.Mapping[t.Hashable, t.AbstractSet[int]] = MappingProxyType({}),
    ) -> frozenset[int]:
        """Return the groups with members in these failure domains, or on a host that is in none, apart from what is ``freed`` there."""
        there = (
            self._members[zone].keys() - freed.get(zone, ())
            for zone in zones
            if zone in self._members
        )
        return frozenset[int]().union(*there)

    def _groups_left(self, subject: Subject) -> dict[frozenset[int], frozenset[int]]:
        """Return the groups of the failure domains in which some of the subject's hosts are, once its guests have gone."""
        gone: dict[t.Hashable, Counter[int]] = defaultdict(Counter)
        for host in subject.hosts if self._conditions.apart else ():
            for zone in self._conditions.domains_of(host):
                for number in self._of_host.get(host, ()):
                    gone[zone].update(self._problem.items[number].anti_affinity)
        freed = {
            zone: {group for group, count in of_zone.items() if count == self._members[zone][group]}
            for zone, of_zone in gone.items()
        }
        return {
            domains: self._groups_in(domains, freed)
            for domains in self._distinct_domains
            if any(freed.get(zone) for zone in domains)
        }

    @functools.cached_property
    def _distinct_domains(self) -> list[frozenset[int]]:
        """The failure domains that hosts are in, those of several hosts once."""
        return [*dict.fromkeys(each.domains for each in self._problem.bins if each.domains)]

    def _guests(self, subject: Subject) -> list[int]:
        """Return the numbers of the subject's guests, equal ones of equal hosts at the same places."""
        numbers = [number for host in subject.hosts for number in self._of_host.get(host, ())]
        return sorted(numbers, key=self._first_fit.rank)

    def class_of(self, subject: Subject) -> t.Hashable:
        """Return all of a subject that its answer depends on: what its guests need, and the places and doubts that are gone with it."""
        items, bins = self._problem.items, self._problem.bins
        may_stay = self._may_stay(subject)
        needs = tuple(
            [
                (
                    *(items[n].demands or self._obstacles(n), n in may_stay),
                    *(items[n].anti_affinity, items[n].refused, items[n].weights),
                )
                for n in self._guests(subject)
            ]
        )
        gone = [bins[self._numbers[host]] for host in subject.hosts if host in self._numbers]
        domains: tuple[frozenset[int], ...] = ()
        if self._conditions.apart:
            domains = tuple(
                [
                    self._conditions.domains_of(self._problem.request.guests[n].host)
                    for n in self._guests(subject)
                ]
            )
        places = tuple(sorted(gone, key=operator.attrgetter("state")))
        return needs, domains, places, self._gone_for_all(subject)

    def _may_stay(self, subject: Subject) -> set[int]:
        """Return the numbers of the subject's guests of which it is unknown whether they are any, and have to move."""
        keys = {each.key for each in perhaps_staying(self._fleet, self._emptied(subject))}
        guests = self._problem.request.guests
        return {
            number
            for host in (subject.hosts if keys else ())
            for number in self._of_host.get(host, ())
            if guests[number].devices[0].key in keys
        }

    def _gone_for_all(self, subject: Subject) -> frozenset[t.Hashable]:
        """Return the kinds of places, and of what there may be, that no host has but the subject's."""
        return self._problem.survey.only_on(self._problem.admission, subject.hosts)

    def _emptied(self, subject: Subject) -> Conditions:
        """Return the conditions of a plan that empties a subject: what no process holds, as far as is known, stays."""
        return dataclasses.replace(self._conditions, drain=subject.hosts, free_devices="none")

    def _obstacles(self, number: int) -> tuple[str | None, ...]:
        """Return for each device of a guest why it cannot migrate."""
        devices = self._problem.request.guests[number].devices
        return tuple([obstacle_in_guest(each, devices) for each in devices])

    def left_by_first_fit(self, subject: Subject) -> tuple[int, ...]:
        """Return the guests, by their places among the subject's, for which first fit finds no place elsewhere."""
        return self._first_fit.left(
            self._guests(subject), self._gone(subject), self._groups_left(subject)
        )

    def _gone(self, subject: Subject) -> set[int]:
        return {self._numbers[host] for host in subject.hosts if host in self._numbers}

    def left_on(self, subject: Subject, left: t.Sequence[int]) -> contract.HeadroomSubject:
        """Return a subject with its guests that have no place, which are at these places among its own."""
        guests = self._guests(subject)
        found = [self._problem.request.guests[guests[place]] for place in left]
        return {
            "name": subject.name,
            "failure_domain": subject.is_domain,
            "guests": [
                {"vm": each.name, "host": each.host, "devices": [d.id for d in each.devices]}
                for each in found
            ],
        }

    def not_looked_into(self, subject: Subject, left: tuple[int, ...], searches: int) -> Outcome:
        """Return what is known of a subject without a search, of which first fit has ``left`` these guests.

        A guest that finds nothing anywhere finds nothing elsewhere.
        """
        guests = self._guests(subject)
        nowhere = [
            place
            for place in left
            if not self._effort.used_up and self._first_fit.fits_nowhere(guests[place])
        ]
        stuck = {
            place: proof
            for place in nowhere
            if (proof := self._alone(guests[place])).status == "infeasible"
        }
        if stuck:
            sentence = f"{_have_no_place(len(stuck), len(guests))}, and that is proven"
            cause = bare_cause("infeasible", sentence)
            cause["at_least"] = sum(proof.bound.unplaced for proof in stuck.values() if proof.bound)
            return Outcome(tuple(stuck), cause)
        sentence = (
            f"first fit leaves {len(left):,} of {counted(len(guests), 'guest')} without a place, and a search was made for the first"
            f" {searches:,} classes of hosts only"
        )
        return Outcome(left, bare_cause("unproven", sentence))

    def _alone(self, guest: int) -> Proof:
        """Return what is proven of one guest by itself, which has no place anywhere; once of those whose hosts take the same with them."""
        subject = Subject("", (self._problem.request.guests[guest].host,), False)
        demands, resources = self._problem.items[guest].demands, self._problem.resources
        places = tuple(
            [
                resource
                for number in self._gone(subject)
                for resource in self._problem.bins[number].state
                if any(resources.could_take(resource, demand) for demand in demands)
            ]
        )
        may_stay = guest in self._may_stay(subject)
        needs = demands or self._obstacles(guest)
        key = (needs, may_stay, places, self._gone_for_all(subject))
        if key not in self._proofs:
            solution = solve(self._taking(subject, [guest]), self._budget, no_progress)
            self._proofs[key] = prove(self._part(subject, [guest]), solution)
        return self._proofs[key]

    def look_into(self, subject: Subject, detailed: bool) -> Outcome | None:
        """Plan as if the subject's hosts were drained, and return what is in the way; ``None`` where all have a place."""
        guests = self._guests(subject)
        taking = self._taking(subject, guests)
        solution = solve(taking, self._budget, no_progress)
        if solution.cost.unplaced > solution.least.unplaced:
            solution = solve(taking, dataclasses.replace(self._budget, steps=_STEPS), no_progress)
        if not solution.cost.unplaced:
            return None
        problem = self._part(subject, guests)
        proof = prove(problem, solution)
        placed = {each.guest for each in solution.placed}
        left = tuple([place for place in range(len(guests)) if place not in placed])
        cause = self._explained(problem, solution, proof, left)
        if detailed:
            self._add_details(cause, problem, solution, proof)
            cause["addition"] = smallest_addition(problem, taking, solution, left, self._budget)
        return Outcome(left, cause)

    def with_another_addition(self, subject: Subject, outcome: Outcome, detailed: bool) -> Outcome:
        """Return the outcome of a subject that is like another one of this ``outcome``, with an addition of its own, if one is known."""
        if detailed and not self.effort_is_used_up:
            own = self.look_into(subject, detailed)
            if own is not None and own.cause["status"] == outcome.cause["status"]:
                return own
        bare: contract.HeadroomCause = {
            **outcome.cause,
            "unplaced": [],
            "shortages": [],
            "addition": None,
        }
        bare.pop("cases", None)
        return outcome._replace(cause=bare)

    def _explained(
        self,
        problem: Problem,
        solution: Solution,
        proof: Proof,
        left: t.Sequence[int],
    ) -> contract.HeadroomCause:
        """Return that guests have no place, and what is proven of it."""
        guests = problem.request.guests
        many = _have_no_place(len(left), len(guests))
        sentences = {
            "infeasible": f"{many}, and that is proven",
            "unproven": f"{many} (unproven)",
        }
        at_least = proof.bound.unplaced if proof.bound else None
        if at_least and at_least < solution.cost.unplaced:
            proven = counted(at_least, "device")
            sentences["infeasible"] = f"{many}, and that is proven of {proven}"
        cause = bare_cause(proof.status, sentences[proof.status])
        cause["at_least"] = at_least
        if proof.assumptions:
            cause["assumptions"] = [*proof.assumptions]
        return cause

    def _add_details(
        self,
        cause: contract.HeadroomCause,
        problem: Problem,
        solution: Solution,
        proof: Proof,
    ) -> None:
        """Add to a cause why guests have no place."""
        plan = document(problem, solution, proof, AT_ONCE, self._explaining)
        cause["unplaced"] = plan["unplaced"]
        whole = [plan["shortage"]] if plan["shortage"] is not None else []
        cause["shortages"] = [without_places(each) for each in plan.get("shortages") or whole]
        if "cases" in plan:
            cause["cases"] = plan["cases"]

    def _taking(self, subject: Subject, guests: t.Sequence[int]) -> Problem:
        """Return the subject's part with those hosts alone that take in any device of its: a solution of it is one of the whole part.

        What the others have changes nothing, and in a full fleet they are nearly all.
        """
        demands = {demand for number in guests for demand in self._problem.items[number].demands}
        there = sorted(self._first_fit.taking(demands) - self._gone(subject))
        return self._part(subject, guests, there)

    def _hosts(self, there: t.Sequence[int]) -> tuple[list[str], list[Supply], list[Bin]]:
        """Return these hosts' names, and what they have."""
        whole = self._problem
        return (
            [whole.names[number] for number in there],
            [whole.supplies[number] for number in there],
            [whole.bins[number] for number in there],
        )

    def _hosts_but(self, subject: Subject) -> tuple[list[str], list[Supply], list[Bin]]:
        """Return the names of all hosts but a subject's, and what they have."""
        whole = self._problem
        names, supplies, bins = [*whole.names], [*whole.supplies], [*whole.bins]
        for number in sorted(self._gone(subject), reverse=True):
            del names[number], supplies[number], bins[number]
        return names, supplies, bins

    def _part(
        self, subject: Subject, guests: t.Sequence[int], there: t.Sequence[int] | None = None
    ) -> Problem:
        """Return the part of the whole problem that the subject's is, with the hosts ``there``: all that remain, unless they are given."""
        whole = self._problem
        names, supplies, bins = self._hosts_but(subject) if there is None else self._hosts(there)
        hosts = _HOSTS if whole.admission.is_plain else _HOSTS_LOOKED_AT
        self._effort.spend(1 + len(names) // hosts)
        groups = self._groups_left(subject)
        if groups:
            bins = [
                dataclasses.replace(there, anti_affinity=groups[there.domains])
                if there.domains in groups
                else there
                for there in bins
            ]
        emptied = self._emptied(subject)
        request = Request([whole.request.guests[number] for number in guests], names, emptied)
        return dataclasses.replace(
            whole,
            request=request,
            admission=Admission(request, whole.admission.candidates, NO_EXCLUSIONS),
            names=names,
            supplies=supplies,
            bins=bins,
            items=[dataclasses.replace(whole.items[number], home=None) for number in guests],
            demands=[whole.demands[number] for number in guests],
        )


def _have_no_place(left: int, guests: int) -> str:
    return f"{left:,} of {counted(guests, 'guest')} {'has' if left == 1 else 'have'} no place elsewhere"


def bare_cause(status: str, sentence: str) -> contract.HeadroomCause:
    """Return a cause of which nothing but this is said yet."""
    return {
        "status": t.cast("t.Any", status),
        "sentence": sentence,
        "subjects": [],
        "at_least": None,
        "assumptions": [],
        "unplaced": [],
        "shortages": [],
        "addition": None,
    }
