# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The verifier: check a finished plan against the raw facts. Pure.

It shares no decision with what makes plans. It reads facts, templates, versions and virtio features by itself and in the
most naive way, so that one fault there cannot both make a wrong plan and hide it. Given to both are the facts, the fields of
``Conditions``, and the data of drivers. A false claim that something has no place is found only in part. A rule is a function whose name says what
holds; it yields a sentence with host and device for each case in which that does not hold.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._planner import (
    verify_assumptions,
    verify_capacity,
    verify_cases,
    verify_conditions,
    verify_document,
    verify_proof,
    verify_sources,
    verify_targets,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import (
    Case,
    Entry,
    Facts,
    Objection,
    Readings,
)

_NO_CONDITIONS = Conditions()
RULES = (
    *verify_conditions.RULES,
    *verify_sources.RULES,
    *verify_targets.RULES,
    *verify_assumptions.RULES,
    *verify_capacity.RULES,
    *verify_document.RULES,
    *verify_proof.RULES,
    *verify_cases.RULES,
)


def violations(plan: Entry, facts: Facts, conditions: Conditions = _NO_CONDITIONS) -> list[str]:
    """Return the rules that ``plan`` breaks, each with the host and device concerned; empty for a sound plan.

    ``facts`` maps each host to its ``vfio_migration`` facts. Raise ``ValueError`` where ``plan`` is none, with the place in it.
    """
    try:
        return [each.sentence for each in objections(plan, facts, conditions)]
    except _WRONG_SHAPE as error:
        place = _place_of_fault(plan, facts, conditions)
        raise ValueError(
            f"the plan is none; expected what migration_plan returns; see {place}: {error!r:.200}"
        ) from error


def objections(
    plan: Entry,
    facts: Facts,
    conditions: Conditions = _NO_CONDITIONS,
    unknown: t.Collection[str] | None = None,
    readings: Readings | None = None,
) -> list[Objection]:
    """Return the rules that ``plan`` breaks as ``violations`` does, each with the sources that it is about.

    ``unknown`` are the hosts without usable facts, where that is known better than by what the plan says.
    ``readings`` are what was read for other plans.
    """
    case = Case(plan, facts, conditions, unknown, readings)
    return [
        Objection(sources, f"{rule.__name__.replace('_', ' ')}: {sentence}")
        for subject, rule in RULES
        if subject(case)
        for sources, sentence in rule(case)
    ]


_WRONG_SHAPE = (
    *(ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
)


def _place_of_fault(plan: t.Any, facts: Facts, conditions: Conditions) -> str:
    """Return what of a ``plan`` that cannot be read to its end was read last."""
    trail = ["the plan"]
    with contextlib.suppress(*_WRONG_SHAPE):
        objections(_watched(plan, "", trail), facts, conditions)
    return trail[-1]


def _watched(value: t.Any, place: str, trail: list[str]) -> t.Any:
    """Return a part of a plan with mappings that put into ``trail`` what is read of them; ``place`` is its own."""
    if isinstance(value, t.Mapping):
        parts = {key: _watched(each, f"{place}.{key}", trail) for key, each in value.items()}
        return _Watched(parts, place, trail)
    if isinstance(value, list):
        return [_watched(each, f"{place}[{index}]", trail) for index, each in enumerate(value)]
    return value


class _Watched(dict[t.Any, t.Any]):
    """A mapping that records which of its entries are read."""

    def __init__(self, parts: t.Mapping[t.Any, t.Any], place: str, trail: list[str]) -> None:
        super().__init__(parts)
        self._place, self._trail = place, trail

    def __getitem__(self, key: t.Any) -> t.Any:
        self._trail.append(f"{self._place}.{key}".lstrip("."))
        return super().__getitem__(key)

    def get(self, key: t.Any, default: t.Any = None) -> t.Any:
        try:
            return self[key]
        except KeyError:
            return default
