# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Headroom: whether each host, and each failure domain, can be emptied, or fail, with its guests placed elsewhere. Pure.

The fleet is posed once, with the guests of all hosts. Hosts with equal guests and equal places are one class, as what is
true of one is true of all. For each class, guests first go to the first host that has room: where that places all of
them, the host can be emptied. Only the others are planned as a drain is, of so many classes at most.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import operator
import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted, listed
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Fleet,
    obstacle_in_guest,
    why_unknown,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import uncollected
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.assignment import (
    Neighbours,
    allows,
    less,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.effort import Effort
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.packings import (
    EFFORT,
    Bin,
    Demands,
    PackingProblem,
    Packings,
    State,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.additions import (
    smallest_addition,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import (
    NO_EXCLUSIONS,
    Admission,
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
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.reason import (
    MAX_COMPARISONS,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Request,
    guests_of,
    perhaps_staying,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import (
    Progress,
    Proof,
    Solution,
    prove,
    solve,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.waves import AT_ONCE

SCHEMA = 1
# So many classes of hosts are planned exactly, and of so many it is told in detail what stands in the way.
SEARCHES = 400
_DETAILED = 40
# So many causes are told in sentences.
_SHOWN = 20
# What is planned without branch and bound first: where all have a place, what that costs does not matter.
_ROUNDS = 200
_STEPS = 5_000
# So many hosts are taken over into a part of the problem in the time of one transition; fewer where each part looks at all devices.
_HOSTS = 32
_HOSTS_LOOKED_AT = 8


class _Subject(t.NamedTuple):
    """One host, or a failure domain, that is emptied as a whole."""

    name: str
    hosts: tuple[str, ...]
    is_domain: bool


class _Outcome(t.NamedTuple):
    """Why not all guests of a class have a place: the guests ``left``, by their places among its guests."""

    left: tuple[int, ...]
    cause: contract.HeadroomCause


@uncollected()
def headroom(
    fleet: Fleet,
    conditions: Conditions,
    progress: Progress,
    searches: int = SEARCHES,
    exempt: t.Collection[str] = (),
) -> contract.Headroom:
    """Return whether each host of ``fleet``, and each of the ``failure_domains`` of the conditions, can be emptied; raise ``FleetError``.

    No more than so many ``searches`` are made, and all of them together look at no more than one for a plan does: hosts and
    domains for which there would have to be another one are unproven.
    Hosts and domains that are ``exempt`` need not be such as can be emptied.
    """
    subjects = [_Subject(name, (name,), False) for name in sorted(fleet.hosts)]
    subjects += [
        _domain(fleet, name, hosts) for name, hosts in sorted(conditions.failure_domains.items())
    ]
    progress(f"looking at {len(fleet.hosts)} hosts")
    whole = _Whole(fleet, conditions)
    classes: dict[t.Hashable, list[_Subject]] = defaultdict(list)
    not_known: list[contract.HeadroomCause] = []
    for subject in subjects:
        cause = _not_known(fleet, subject)
        if cause is None:
            classes[whole.class_of(subject)].append(subject)
        else:
            not_known.append(cause)
    causes: list[contract.HeadroomCause] = []
    searched = 0
    for done, alike in enumerate(classes.values()):
        if done and not done % 100:
            progress(f"{done} of {len(classes)} classes of hosts are looked at")
        left = whole.left_by_first_fit(alike[0])
        if not left:
            continue
        if searched < searches and not whole.effort_is_used_up:
            searched += 1
            outcome = whole.look_into(alike[0], len(causes) < _DETAILED)
        else:
            outcome = whole.not_looked_into(alike[0], left, searched)
        while outcome is not None:
            told = [each for each in alike if not _is_added_on(outcome.cause, each)]
            outcome.cause["subjects"] = [whole.left_on(each, outcome.left) for each in told]
            causes.append(outcome.cause)
            alike = [each for each in alike if each not in told]
            outcome = (
                whole.with_another_addition(alike[0], outcome, len(causes) < _DETAILED)
                if alike
                else None
            )
    return _result(fleet, conditions, subjects, [*causes, *not_known], exempt)


def _is_added_on(cause: contract.HeadroomCause, subject: _Subject) -> bool:
    """Return whether what a cause adds is on a host of the subject, which is no place once that is emptied."""
    addition = cause["addition"]
    return addition is not None and any(
        each["host"] in subject.hosts for each in addition["devices"]
    )


def _domain(fleet: Fleet, name: str, hosts: t.Collection[str]) -> _Subject:
    """Return a failure domain as a subject; raise ``FleetError`` where one of its hosts is none of the fleet's."""
    for host in hosts:
        if host not in fleet.hosts and host not in fleet.unknown:
            raise FleetError(
                f"failure domain {name!r} has {host!r}, and there is no host of this name"
            )
    return _Subject(name, tuple(sorted(set(hosts))), True)


def _not_known(fleet: Fleet, subject: _Subject) -> contract.HeadroomCause | None:
    """Return that whether a subject can be emptied cannot be told, where nothing is known of one of its hosts."""
    host = next((each for each in subject.hosts if each not in fleet.hosts), None)
    if host is None:
        return None
    sentence = f"whether it can be emptied is not known: {host}: {why_unknown(fleet, host)}"
    cause = _cause("unproven", sentence)
    cause["subjects"] = [{"name": subject.name, "failure_domain": subject.is_domain, "guests": []}]
    return cause


def _result(
    fleet: Fleet,
    conditions: Conditions,
    subjects: t.Sequence[_Subject],
    causes: t.Sequence[contract.HeadroomCause],
    exempt: t.Collection[str],
) -> contract.Headroom:
    short = {
        (each["failure_domain"], each["name"]): cause["status"]
        for cause in causes
        for each in cause["subjects"]
    }
    counts: dict[bool, contract.HeadroomCounts] = {
        is_domain: {"emptied": 0, "infeasible": 0, "unproven": 0} for is_domain in (False, True)
    }
    for subject in subjects:
        status = short.get((subject.is_domain, subject.name), "emptied")
        of_kind: t.Any = counts[subject.is_domain]
        of_kind[status] += 1
    return {
        "schema": SCHEMA,
        "hosts": counts[False],
        "failure_domains": counts[True],
        "holds": {name for _is_domain, name in short}.union(fleet.unknown) <= {*exempt},
        "sentences": _sentences(counts, causes, fleet.unknown),
        "causes": [*causes],
        "conditions": conditions.stated(),
        "unknown": fleet.unknown,
    }


def _sentences(
    counts: t.Mapping[bool, contract.HeadroomCounts],
    causes: t.Sequence[contract.HeadroomCause],
    unknown: t.Sequence[str],
) -> list[str]:
    """Return what it comes to, and the first causes."""
    sentences = []
    for is_domain, of_kind in counts.items():
        total = sum(t.cast("dict[str, int]", of_kind).values())
        if total:
            what = counted(total, "failure domain" if is_domain else "host")
            unproven = (
                f"; of {of_kind['unproven']:,} it is not proven" if of_kind["unproven"] else ""
            )
            sentences.append(f"{of_kind['emptied']:,} of {what} can be emptied or fail{unproven}")
    if unknown:
        sentences.append(f"there are no usable facts of {listed(unknown)}")
    for cause in causes[:_SHOWN]:
        names = listed([each["name"] for each in cause["subjects"]])
        addition = f": {cause['addition']['sentence']}" if cause["addition"] else ""
        sentences.append(f"{names}: {cause['sentence']}{addition}")
    if len(causes) > _SHOWN:
        sentences.append(f"and {counted(len(causes) - _SHOWN, 'more cause')}")
    return sentences


# --- the fleet, posed once ---


class _Whole:
    """The problem of which that of each host is a part: all guests of all hosts, and every host's places."""

    def __init__(self, fleet: Fleet, conditions: Conditions) -> None:
        held = [device for device in fleet.devices() if device.in_use is not None]
        guests = guests_of(held)
        self._fleet = fleet
        self._conditions = conditions
        receiving = conditions.hosts(fleet)
        # Nobody moves but from the host that is emptied: who is on the others stays.
        problem = pose(fleet, Request(guests, receiving, conditions))
        self._of_host: dict[str, list[int]] = defaultdict(list)
        for number, guest in enumerate(guests):
            self._of_host[guest.host].append(number)
        # How many members of each group a host and its failure domains have, where guests are to be apart.
        self._members: Counter[tuple[str, int]] = Counter()
        self._near = Neighbours(problem.bins)
        for guest, item in zip(guests, problem.items, strict=True):
            if item.anti_affinity:
                for name in self._with_it(problem, guest.host):
                    self._members.update([(name, group) for group in item.anti_affinity])
        of_host: dict[str, set[int]] = defaultdict(set)
        for name, group in self._members:
            of_host[name].add(group)
        bins = [
            dataclasses.replace(each, anti_affinity=frozenset(of_host[name]))
            if name in of_host
            else each
            for name, each in zip(problem.names, problem.bins, strict=True)
        ]
        self._problem = dataclasses.replace(problem, bins=bins)
        self._numbers = {name: number for number, name in enumerate(problem.names)}
        packing = PackingProblem(problem.resources, problem.items, bins)
        self._first_fit = _FirstFit(problem, packing, self._near)
        self._effort, self._explaining = Effort(EFFORT), Effort(MAX_COMPARISONS)
        self._budget = Budget(_ROUNDS, 0, solver=False, shared=self._effort)
        self._proofs: dict[t.Hashable, Proof] = {}

    @property
    def effort_is_used_up(self) -> bool:
        """Whether the searches so far have looked at so much that there is none more."""
        return self._effort.used_up

    def _with_it(self, problem: Problem, host: str) -> set[str]:
        """Return ``host`` and the hosts among those of ``problem`` that have a failure domain in common with it."""
        near = self._near.in_domains(self._conditions.domains_of(host))
        return {host, *[problem.names[number] for number in near]}

    def _groups_left(self, subject: _Subject) -> dict[int, frozenset[int]]:
        """Return the groups of the hosts that fail with some of the subject's, and remain, once its guests have gone."""
        if not self._conditions.apart or not self._conditions.failure_domains:
            return {}
        gone: Counter[tuple[str, int]] = Counter()
        for host in subject.hosts:
            near = self._with_it(self._problem, host) - {*subject.hosts}
            for number in self._of_host.get(host, ()) if near else ():
                groups = self._problem.items[number].anti_affinity
                gone.update([(name, group) for name in near for group in groups])
        left: dict[int, frozenset[int]] = {}
        for (name, group), count in gone.items():
            if self._members[name, group] == count:
                number = self._numbers[name]
                there = left.get(number, self._problem.bins[number].anti_affinity)
                left[number] = there - {group}
        return left

    def _guests(self, subject: _Subject) -> list[int]:
        """Return the numbers of the subject's guests, equal ones of equal hosts at the same places."""
        numbers = [number for host in subject.hosts for number in self._of_host.get(host, ())]
        return sorted(numbers, key=self._first_fit.rank)

    def class_of(self, subject: _Subject) -> t.Hashable:
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

    def _may_stay(self, subject: _Subject) -> set[int]:
        """Return the numbers of the subject's guests of which it is unknown whether they are any, and have to move."""
        keys = {each.key for each in perhaps_staying(self._fleet, self._emptied(subject))}
        guests = self._problem.request.guests
        return {
            number
            for host in (subject.hosts if keys else ())
            for number in self._of_host.get(host, ())
            if guests[number].devices[0].key in keys
        }

    def _gone_for_all(self, subject: _Subject) -> frozenset[t.Hashable]:
        """Return the kinds of places, and of what there may be, that no host has but the subject's."""
        return self._problem.survey.only_on(self._problem.admission, subject.hosts)

    def _emptied(self, subject: _Subject) -> Conditions:
        """Return the conditions of a plan that empties a subject: what nobody holds, as far as is known, would stay."""
        return dataclasses.replace(self._conditions, drain=subject.hosts, free_devices="none")

    def _obstacles(self, number: int) -> tuple[str | None, ...]:
        """Return for each device of a guest why it cannot migrate."""
        devices = self._problem.request.guests[number].devices
        return tuple([obstacle_in_guest(each, devices) for each in devices])

    def left_by_first_fit(self, subject: _Subject) -> tuple[int, ...]:
        """Return the guests, by their places among the subject's, for which first fit finds no place elsewhere."""
        return self._first_fit.left(
            self._guests(subject), self._gone(subject), self._groups_left(subject)
        )

    def _gone(self, subject: _Subject) -> set[int]:
        return {self._numbers[host] for host in subject.hosts if host in self._numbers}

    def left_on(self, subject: _Subject, left: t.Sequence[int]) -> contract.HeadroomSubject:
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

    def not_looked_into(self, subject: _Subject, left: tuple[int, ...], searches: int) -> _Outcome:
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
            cause = _cause("infeasible", sentence)
            cause["at_least"] = sum(proof.bound.unplaced for proof in stuck.values() if proof.bound)
            return _Outcome(tuple(stuck), cause)
        sentence = (
            f"first fit leaves {len(left):,} of {counted(len(guests), 'guest')} without a place, and a search was made for the first"
            f" {searches:,} classes of hosts only"
        )
        return _Outcome(left, _cause("unproven", sentence))

    def _alone(self, guest: int) -> Proof:
        """Return what is proven of one guest by itself, which has no place anywhere; once of those whose hosts take the same with them."""
        subject = _Subject("", (self._problem.request.guests[guest].host,), False)
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

    def look_into(self, subject: _Subject, detailed: bool) -> _Outcome | None:
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
            cause["addition"] = smallest_addition(taking, solution, left, self._budget)
        return _Outcome(left, cause)

    def with_another_addition(
        self, subject: _Subject, outcome: _Outcome, detailed: bool
    ) -> _Outcome:
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
            "unproven": f"{many}; that there is none is not proven",
        }
        at_least = proof.bound.unplaced if proof.bound else None
        if at_least and at_least < solution.cost.unplaced:
            proven = counted(at_least, "device")
            sentences["infeasible"] = f"{many}, and that is proven of {proven}"
        cause = _cause(proof.status, sentences[proof.status])
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

    def _taking(self, subject: _Subject, guests: t.Sequence[int]) -> Problem:
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

    def _hosts_but(self, subject: _Subject) -> tuple[list[str], list[Supply], list[Bin]]:
        """Return the names of all hosts but a subject's, and what they have."""
        whole = self._problem
        names, supplies, bins = [*whole.names], [*whole.supplies], [*whole.bins]
        for number in sorted(self._gone(subject), reverse=True):
            del names[number], supplies[number], bins[number]
        return names, supplies, bins

    def _part(
        self, subject: _Subject, guests: t.Sequence[int], there: t.Sequence[int] | None = None
    ) -> Problem:
        """Return the part of the whole problem that the subject's is, with the hosts ``there``: all that remain, unless they are given."""
        whole = self._problem
        names, supplies, bins = self._hosts_but(subject) if there is None else self._hosts(there)
        hosts = _HOSTS if whole.admission.is_plain else _HOSTS_LOOKED_AT
        self._effort.spend(1 + len(names) // hosts)
        groups = self._groups_left(subject)
        numbers = self._numbers
        if groups:
            bins = [
                dataclasses.replace(there, anti_affinity=groups[numbers[name]])
                if numbers[name] in groups
                else there
                for name, there in zip(names, bins, strict=True)
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


def _cause(status: str, sentence: str) -> contract.HeadroomCause:
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


# --- first fit ---


class _Left(t.NamedTuple):
    """What is left of the limits of hosts, and the groups that they have, where that is not as it was."""

    limits: dict[int, tuple[int, ...]]
    groups: dict[int, frozenset[int]]


class _FirstFit:
    """Places the guests of one host after the other, each time in a fleet in which nothing else has moved.

    Each guest goes to the first host that has room, hosts with the least room first. Which hosts have room for a guest as
    they are is found once for all guests that need the same, and no farther than it was asked for.
    """

    def __init__(self, problem: Problem, packing: PackingProblem, near: Neighbours) -> None:
        self._near = near
        self._items = problem.items
        self._bins = packing.bins
        self._guests = problem.request.guests
        self._resources = problem.resources
        self._packings = Packings(packing)
        self._order = sorted(
            range(len(packing.bins)),
            key=lambda number: (self._packings.free_slots(packing.bins[number].state), number),
        )
        self._types = [self._packings.type_numbers[each.state] for each in packing.bins]
        self._found: dict[Demands, list[int]] = defaultdict(list)
        self._ahead: dict[Demands, t.Iterator[int]] = {}

    @functools.cached_property
    def _sizes(self) -> dict[int, tuple[int, int]]:
        """How few devices with each demand one resource takes in, and how few kinds of resources do."""
        return {
            demand: (
                max([self._resources.capacity(each, demand) for each in takers], default=0),
                len(takers),
            )
            for demand, takers in self._packings.takers.items()
        }

    def rank(self, number: int) -> tuple[t.Any, ...]:
        """Return the rank of a guest in the order of its host's: what takes the most first; equal ones by their names."""
        guest = self._guests[number]
        demands = self._items[number].demands
        least = min([self._sizes[each] for each in demands], default=(0, 0))
        weights = self._items[number].weights
        return least, -len(demands), demands, weights, guest.devices[0].may_be_held, guest.key

    @functools.cached_property
    def _with(self) -> dict[int, list[int]]:
        """The hosts that have a resource, by resource."""
        found: dict[int, list[int]] = defaultdict(list)
        for number, there in enumerate(self._bins):
            for resource in set(there.state):
                found[resource].append(number)
        return found

    def taking(self, demands: t.Iterable[int]) -> set[int]:
        """Return the hosts that take in a device with one of these demands as they are."""
        takers = {resource for demand in demands for resource in self._packings.takers[demand]}
        return {number for resource in takers for number in self._with[resource]}

    def fits_nowhere(self, guest: int) -> bool:
        """Return whether no host has room for a guest, even as hosts are."""
        return next(self._with_room(self._items[guest].demands), None) is None

    def left(
        self,
        guests: t.Sequence[int],
        gone: t.Container[int],
        groups: t.Mapping[int, frozenset[int]],
    ) -> tuple[int, ...]:
        """Return the guests without a place, by their places among these; hosts that are ``gone`` have none.

        ``groups`` are those that some hosts have in place of their own.
        """
        states: dict[int, State] = {}
        more = _Left({}, {**groups})
        return tuple(
            [
                place
                for place, guest in enumerate(guests)
                if not self._place(guest, gone, states, more)
            ]
        )

    def _place(
        self,
        guest: int,
        gone: t.Container[int],
        states: dict[int, State],
        more: _Left,
    ) -> bool:
        """Place a guest on the first host that takes it, and return whether there is one.

        ``states`` are what is left of hosts, and ``more`` what is left of their limits, and the groups that they have.
        """
        item = self._items[guest]
        for number in self._with_room(item.demands):
            if number in gone:
                continue
            there: Bin = self._bins[number]
            limits = more.limits.get(number, there.limits)
            groups = more.groups.get(number, there.anti_affinity)
            if not allows(item, None, limits, groups, there.refuses):
                continue
            packing = self._packings.best(states.get(number, there.state), item.demands)
            if packing is not None:
                states[number] = packing.after
                more.limits[number] = less(limits, item.weights)
                for each in self._near.of(number) if item.anti_affinity else ():
                    groups = more.groups.get(each, self._bins[each].anti_affinity)
                    more.groups[each] = groups | item.anti_affinity
                return True
        return False

    def _with_room(self, demands: Demands) -> t.Iterator[int]:
        """Yield the hosts that have room for ``demands`` as they are."""
        if not demands:
            return
        found = self._found[demands]
        ahead = self._ahead.get(demands)
        if ahead is None:
            # A host that takes in all takes in each; which do is asked of those alone that are come to.
            least, *others = self._packings.types_with_takers(demands)
            ahead = self._ahead[demands] = (
                number
                for number in self._order
                if (of_type := self._types[number]) in least
                and all(of_type in each for each in others)
                and self._packings.best(self._bins[number].state, demands) is not None
            )
        for place in itertools.count():
            if place == len(found):
                number = next(ahead, None)
                if number is None:
                    return
                found.append(number)
            yield found[place]
