# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the verifier holds of a proof that some devices have no place, and of the reasons: no free device that is like them is left out. Pure.

A free device that is in all but its place like one of a guest, whose list takes in its like, matches. Others may match as well,
so a proof that nothing here speaks against need not be right; one that something speaks against is wrong.
"""

from __future__ import annotations

import typing as t
from operator import attrgetter

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import (
    WHOLE_PLAN,
    Case,
    Objection,
    Objections,
    Rule,
    name_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_free import (
    FreeGuests,
    FreePlaces,
)

# Reasons that name what a host has, so that there has to be something.
_OF_HARDWARE = frozenset(
    (
        *("driver_version", "major_version", "configuration", "attribute", "target_no_p2p"),
        *(
            "no_list",
            "void_set",
            "unknown_device",
            "taken",
            "capacity_taken",
            "no_capacity",
            "card_full",
        ),
        *("in_use", "holder_unknown", "moves_itself", "mac_address", "queue_assigned"),
        *("other_uuid", "guest_together"),
    )
)
# Reasons that are there only if something was asked for, each with what.
_OF_CONDITIONS = {"limit": "limit", "capacity": "capacity", "apart": "apart"}


def a_proof_leaves_no_place_out(case: Case) -> Objections:
    """Require that no more devices are proven to have no place than those for which nothing is free that is like them.

    Neither for each guest alone, where that is the proof, nor beside all that the plan places.
    """
    bound = case.plan["bound"]
    if case.plan["status"] != "infeasible" or bound is None or not case.is_of_the_occasion:
        return
    proof, shortage = case.plan.get("proof", ()), case.plan["shortage"]
    guests = FreeGuests(case).of(case.unplaced)
    places = FreePlaces(case, {like for each in guests for like in each.likes or ()})
    alone = sum(each.devices for each in guests if next(places.hosts_for(each), None) is None)
    missing = shortage["need"] - shortage["reachable"] if shortage and "shortage" in proof else 0
    missing += sum(
        each["left_out"] * (1 + len(each.get("alike", ()))) for each in case.plan.get("cases", ())
    )
    least = 1 if "search" in proof else bound["unplaced"] - missing
    if "no_place" in proof and least > alone:
        yield Objection(
            WHOLE_PLAN,
            f"the bound leaves {bound['unplaced']} devices behind as there is no place for them, and for all but {alone} something is free that is like them",
        )
    beside = places.place_beside(guests)
    if bound["unplaced"] > len(case.unplaced) - beside:
        yield Objection(
            WHOLE_PLAN,
            f"the bound leaves {bound['unplaced']} devices behind, and {beside} of {len(case.unplaced)} have a place beside the rest of the plan",
        )


def reasons_are_of_what_is_there(case: Case) -> Objections:
    """Require that a reason which names devices of a host is of one that has some, and one of a condition of what was asked for."""
    empty: dict[str, bool] = {}
    for key, each in zip(case.unplaced, case.plan["unplaced"], strict=True):
        for reason in each.get("reasons", ()):
            host, code = reason.get("host"), reason.get("code")
            if host in case.facts and host not in empty:
                facts = case.facts[host]
                empty[host] = not facts["devices"] and not facts["parents"]
            if code in _OF_HARDWARE and empty.get(host):
                yield Objection(
                    frozenset([key]),
                    f"{name_of(key)} has the reason {code} on {host}, which has no devices",
                )
            asked = _OF_CONDITIONS.get(code or "")
            if case.is_of_the_occasion and asked and not _was_asked(getattr(case.asked, asked)):
                yield Objection(
                    frozenset([key]),
                    f"{name_of(key)} has the reason {code}, and nothing such was asked for",
                )


def _was_asked(value: t.Any) -> bool:
    """Return whether a condition says something: a limit of 0 does."""
    return value is not None and (isinstance(value, int) or bool(value))


RULES: tuple[Rule, ...] = (
    (attrgetter("unplaced"), a_proof_leaves_no_place_out),
    (attrgetter("unplaced"), reasons_are_of_what_is_there),
)
