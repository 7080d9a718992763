# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Proofs by cases, as a plan has them: guests that cannot all have a place, step by step. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.refutation import (
    ItemPlace,
    Refutation,
    RefutationStep,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import Problem

# Of more hosts that are alike, and of more guests, only the first are named.
_MAX_NAMES = 3


def case_proof(problem: Problem, alike: t.Sequence[Refutation]) -> contract.CaseProof:
    """Return refutations that differ only in their guests, with the names of guests and hosts."""
    refutation, *others = alike
    names = _names(problem, refutation)
    numbers = {guest: number for number, guest in enumerate(refutation.items, 1)}
    sentence = f"{_every([*names.values()])} have a place"
    if others:
        groups = counted(len(others), "other group")
        sentence += f"; by the same steps, nor can all guests of {groups}"
    found: contract.CaseProof = {
        "guests": [_guest(problem, each) for each in refutation.items],
        "left_out": refutation.left_out,
        "sentence": sentence,
        "steps": [
            {
                "guest": numbers[step.item],
                "places": [_case(problem, *each, numbers) for each in step.cases],
                "sentence": _sentence(problem, step, names),
            }
            for step in refutation.steps
        ],
    }
    if others:
        found["alike"] = [[_guest(problem, item) for item in each.items] for each in others]
    return found


def _guest(problem: Problem, number: int) -> contract.CaseGuest:
    guest = problem.request.guests[number]
    return {
        "vm": guest.name,
        "host": guest.host,
        "devices": [device.id for device in guest.devices],
    }


def _every(names: t.Sequence[str]) -> str:
    """Return that not all guests with these names have something."""
    if len(names) > 2:
        return f"{_first(names, 'and')} cannot all"
    return f"{' and '.join(names)} cannot both" if len(names) > 1 else f"{names[0]} cannot"


def _case(
    problem: Problem, place: ItemPlace, then: int | None, numbers: t.Mapping[int, int]
) -> contract.PlaceCase:
    found: contract.PlaceCase = {"hosts": [problem.names[number] for number in place.bins]}
    if then is not None:
        found["then"] = then + 1
    elif place.apart_from is not None:
        found["apart_from"] = numbers[place.apart_from]
    else:
        found["beside"] = [numbers[item] for item in place.beside]
    return found


def _sentence(problem: Problem, step: RefutationStep, names: t.Mapping[int, str]) -> str:
    """Return a step in words, with those cases together that have the same end."""
    together: dict[t.Hashable, list[tuple[ItemPlace, int | None]]] = {}
    for place, then in step.cases:
        together.setdefault((then, place.conflicts, place.apart_from), []).append((place, then))
    ends = [_in_words(problem, cases, names) for cases in together.values()]
    return f"{names[step.item]} can only go {'; or '.join(ends)}"


def _in_words(
    problem: Problem,
    cases: t.Sequence[tuple[ItemPlace, int | None]],
    names: t.Mapping[int, str],
) -> str:
    hosts = [[problem.names[number] for number in place.bins] for place, _then in cases]
    place, then = cases[0]
    if then is None:
        to = _first([name for of_case in hosts for name in of_case], "or")
        if place.apart_from is not None:
            return f"to {to}, where it must be apart from {names[place.apart_from]}"
        beside = _first([names[item] for item in place.beside], "and")
        return f"to {to}, where it has no place beside {beside}"
    to = " or ".join(
        of_case[0] if len(of_case) == 1 else f"any of {_first(of_case, 'and')}, which are alike"
        for of_case in hosts
    )
    return f"to {to}: step {then + 1} follows"


def _names(problem: Problem, refutation: Refutation) -> dict[int, str]:
    """Return what the guests are called, with their hosts where two have one name."""
    guests = {item: problem.request.guests[item] for item in refutation.items}
    names = {item: guest.name or guest.devices[0].id for item, guest in guests.items()}
    several = len({*names.values()}) < len(names)
    return {
        item: f"{name} on {guests[item].host}" if several else name for item, name in names.items()
    }


def _first(names: t.Sequence[str], word: str) -> str:
    """Return few names with a ``word`` before the last one, of more names the first and how many more there are."""
    more = len(names) - _MAX_NAMES
    *first, last = [*names[:_MAX_NAMES], f"{more:,} more"] if more > 1 else names
    return f"{', '.join(first)} {word} {last}" if first else last
