# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One refusal decides and explains: each condition has its words, and holds for what is there as for what can be made."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import Candidates
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import (
    INCOMPATIBLE,
    JUDGED_REQUIREMENTS,
    NO_EXCLUSIONS,
    REQUIREMENTS,
    Admission,
    Exclusions,
    NewDevice,
    Refusal,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    OPTIONS,
    Avoided,
    Conditions,
    Request,
    requested,
)
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
    vf,
)

FLEET = read_fleet(
    {
        "a": host(
            [
                device(UUIDS[0], gvt("4", "2"), vm="vm-1"),
                device(UUIDS[4], gvt("4", "2"), vm="vm-2", pid=2),
            ]
        ),
        "b": host(
            [
                device(UUIDS[1], gvt("4", "2")),
                device(UUIDS[2], gvt("8", "1")),
                device("0000:01:10.0", gvt("8", "4"), kind="pci", attributes=[]),
                device(UUIDS[3], gvt("4", "2"), vm="resident", pid=9),
            ],
            [parent()],
        ),
    }
)
SOURCE = FLEET.hosts["a"].devices[0]
EQUAL, OTHER, FUNCTION, HELD = FLEET.hosts["b"].devices


def admission(exclusions: Exclusions = NO_EXCLUSIONS, **conditions) -> Admission:
    asked = Conditions(**conditions)
    request = Request(requested(FLEET, ["a"], None), ["b"], asked)
    return Admission(request, Candidates(FLEET, asked.direction), exclusions)


def said(refusal: Refusal | None) -> str:
    return refusal.words if refusal else ""


def made(type_id: str) -> NewDevice:
    (card,) = FLEET.hosts["b"].parents
    (mdev_type,) = [each for each in card.types if each.id == type_id]
    return NewDevice(card.kind, type_id, card, mdev_type)


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("avoid", [{}, {Avoided("b", "0000:01:00.0"): "it fails"}])
@pytest.mark.parametrize("name", ["a", "b"])
def test_to_be_had_is_whatever_there_is_no_reason_against(name, avoid, reuse):
    asked, there = admission(reuse=reuse, avoid=avoid), FLEET.hosts[name]
    assert asked.to_be_had(there) == [
        each for each in there.devices if asked.unavailable(each) is None
    ]


def test_a_device_of_which_no_holder_is_known_is_neither_held_nor_free():
    unknown = {**vf(2), "in_use": {"pid": None, "name": None}}
    there = read_fleet({"c": host([vf(0), vf(1, "vm-1", pid=3), unknown])})
    free, _held, perhaps = there.hosts["c"].devices
    assert there.hosts["c"].unheld == [free]
    assert there.hosts["c"].perhaps_held == [perhaps]


@pytest.mark.parametrize("target", [EQUAL, FUNCTION, made("i915-GVTg_V5_8")])
def test_what_is_compatible_is_not_refused_where_nothing_is_asked(target):
    assert admission().refusal(SOURCE, target) is None


def test_what_is_not_compatible_is_refused_as_that_whatever_is_asked():
    asked = admission(keep_kind=True, keep_type=True)
    assert asked.refusal(SOURCE, OTHER) == INCOMPATIBLE


@pytest.mark.parametrize(
    ("condition", "target", "words"),
    [
        ("keep_kind", FUNCTION, "it is not of kind mdev"),
        ("keep_type", FUNCTION, "it is not of type i915-GVTg_V5_4"),
        ("keep_type", made("i915-GVTg_V5_8"), "it is not of type i915-GVTg_V5_4"),
        ("round_trip", made("i915-GVTg_V5_8"), "could migrate back"),
    ],
)
def test_a_condition_refuses_in_its_own_words(condition, target, words):
    assert words in said(admission(**{condition: True}).refusal(SOURCE, target))
    assert admission(**{condition: True}).refusal(SOURCE, EQUAL) is None


def test_every_requirement_is_a_condition():
    assert REQUIREMENTS.keys() <= OPTIONS.keys()
    assert JUDGED_REQUIREMENTS.keys() <= OPTIONS.keys() - REQUIREMENTS.keys()


def test_a_device_is_to_be_had_unless_something_holds_it_or_it_moves_itself():
    assert admission().unavailable(EQUAL) is None
    assert "resident" in said(admission().unavailable(HELD))
    assert said(admission().unavailable(SOURCE)) == "it moves, too"
    assert admission(reuse=True).unavailable(SOURCE) is None
    excluded = Exclusions(devices=frozenset([SOURCE.key]))
    assert said(admission(excluded, reuse=True).unavailable(SOURCE)) == "it moves, too"
    avoided = admission(avoid={Avoided("b"): "it failed"})
    assert said(avoided.unavailable(EQUAL)) == "it is excluded: it failed"
