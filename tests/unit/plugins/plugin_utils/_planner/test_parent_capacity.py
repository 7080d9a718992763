# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans for parents whose types state what they take of it, as those of GVT-g do."""

from __future__ import annotations

import itertools
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit.fleets import device, gvt, host, parent
from hypothesis import given
from hypothesis import strategies as st

Amounts = tuple[int, int, int]

# Low and high graphics memory in MiB and fences, of the types in Linux, drivers/gpu/drm/i915/gvt/vgpu.c.
TAKES: dict[str, Amounts] = {
    "8": (64, 384, 4),
    "4": (128, 512, 4),
    "2": (256, 1024, 4),
    "1": (512, 2048, 4),
}


def graphics(left: Amounts, takes: t.Mapping[str, Amounts] | None = None) -> dict[str, t.Any]:
    """Return a parent that has so much left, as the driver shows it."""
    takes = takes or TAKES
    available = {f"i915-GVTg_V5_{each}": room(left, takes[each]) for each in takes}
    found = parent(available=available)
    for each in found["types"]:
        low, high, fence = takes[each["id"].rpartition("_")[2]]
        each["description"] = (
            f"low_gm_size: {low}MB\nhigh_gm_size: {high}MB\nfence: {fence}\nresolution: 1024x768\nweight: 2"
        )
    return found


def room(left: Amounts, needs: Amounts) -> int:
    return min(have // need for have, need in zip(left, needs, strict=True))


def guests(*sizes: str) -> dict[str, t.Any]:
    devices = []
    for number, size in enumerate(sizes):
        own = gvt(size, "1")["self"]
        name = f"{number:08x}-1111-4222-8333-444444444444"
        descriptor = {"self": own, "compatible": [own]}
        devices.append(device(name, descriptor, vm=f"vm-{number}", pid=number + 1))
    return host(devices)


def plan_of(there: dict[str, t.Any], *sizes: str) -> t.Any:
    fleet = {"a": guests(*sizes), "b": host(parents=[there])}
    plan = migration_plan(fleet, drain=["a"])
    assert violations(plan, fleet, Conditions(drain=["a"])) == []
    return plan


def test_a_mix_is_planned_for_which_there_is_enough_of_everything_though_its_shares_are_more_than_the_whole():
    # 6, 3 and 1 of the types can be had: shares of 1/6, 1/6 and 1.
    plan = plan_of(graphics((416, 3456, 28)), "2", "8", "8")
    assert plan["status"] == "optimal"
    without = graphics((416, 3456, 28))
    for each in without["types"]:
        each["description"] = None
    plan = plan_of(without, "2", "8", "8")
    assert plan["status"] == "unproven"
    assert "share it in proportion" in plan["assumptions"][0]


def test_facts_with_what_types_take_need_no_description():
    there = graphics((416, 3456, 28))
    for each in there["types"]:
        amounts = TAKES[each["id"].rpartition("_")[2]]
        names = ("low_gm_size", "high_gm_size", "fence")
        each.update(description=None, resources=dict(zip(names, amounts, strict=True)))
    assert plan_of(there, "2", "8", "8")["status"] == "optimal"


def test_what_may_be_left_besides_is_assumed_not_to_be():
    # Of low memory there may be more than three of one type take, where it is high memory that ends it.
    plan = plan_of(graphics((416, 3456, 28)), "2", "4", "8")
    assert plan["status"] == "unproven"
    assert "what available_instances say at least" in plan["assumptions"][0]


def test_what_types_take_proves_that_there_is_no_room():
    # The fences of all are taken, whichever the type: three devices, of which there can be two.
    takes = {"8": (64, 384, 4), "4": (64, 384, 4)}
    there = graphics((416, 3456, 8), takes)
    plan = plan_of(there, "8", "4", "4")
    assert plan["status"] == "infeasible"
    assert len(plan["placements"]) == 2


@pytest.mark.parametrize(
    "resources", [{"fence": -1}, {"fence": "4"}, ["fence"], {1: 2}, dict.fromkeys("abcdefghi", 1)]
)
def test_odd_amounts_make_their_host_unknown(resources):
    there = graphics((416, 3456, 28))
    there["types"][0]["resources"] = resources
    plan = migration_plan({"a": guests("8"), "b": host(parents=[there])}, drain=["a"])
    assert plan["unknown"] == ["b"]


def test_types_that_contradict_themselves_share_in_proportion():
    there = graphics((416, 3456, 28))
    # Where there is room for six of the smallest, there is for three of the next.
    for each in there["types"]:
        if each["id"].endswith("_4"):
            each["available_instances"] = 2
    plan = plan_of(there, "2", "8", "8")
    assert len(plan["placements"]) == 2
    assert "share it in proportion" in plan["assumptions"][0]


@st.composite
def amounts(draw) -> dict[str, Amounts]:
    """Draw what three types take; mostly each takes no less of anything than the one before."""
    drawn = [draw(st.lists(st.integers(1, 6), min_size=3, max_size=3)) for _resource in range(3)]
    if draw(st.integers(0, 3)):
        drawn = [sorted(each) for each in drawn]
    return dict(zip(("8", "4", "2"), zip(*drawn, strict=True), strict=True))


@given(
    left=st.tuples(*[st.integers(0, 16)] * 3),
    takes=amounts(),
    sizes=st.lists(st.sampled_from(["8", "4", "2"]), min_size=1, max_size=5),
)
def test_no_plan_takes_more_than_there_is_nor_proves_that_there_is_none_where_there_is(
    left, takes, sizes
):
    plan = plan_of(graphics(left, takes), *sizes)
    placed = [each["target"]["type"].rpartition("_")[2] for each in plan["placements"]]
    assert fits(left, takes, placed)
    most = max(
        number
        for number in range(len(sizes) + 1)
        if any(fits(left, takes, each) for each in itertools.combinations(sizes, number))
    )
    if plan["status"] == "infeasible":
        assert most < len(sizes)
    if plan["bound"] is not None:
        assert plan["bound"]["unplaced"] <= len(sizes) - most


def fits(left: Amounts, takes: t.Mapping[str, Amounts], sizes: t.Iterable[str]) -> bool:
    taken = [sum(each) for each in zip((0, 0, 0), *(takes[size] for size in sizes), strict=True)]
    return all(used <= have for used, have in zip(taken, left, strict=True))


# Of a GPU without virtual functions: frame buffer in MiB, and how many of the type it holds.
T4 = {"T4-8Q": (8192, 2), "T4-8C": (8192, 2), "T4-4Q": (4096, 4), "T4-4A": (4096, None)}


def gpu(left: int = 16) -> dict[str, t.Any]:
    """Return such a GPU with so many GB left."""
    found = parent(
        pci_id="10de1eb8",
        available={name: left * 1024 // size for name, (size, _most) in T4.items()},
        driver="nvidia",
    )
    for each in found["types"]:
        size, most = T4[each["id"]]
        stated = "" if most is None else f", max_instance={most}"
        each["description"] = f"num_heads=4, framebuffer={size}M{stated}"
    return found


def on_gpu(there: dict[str, t.Any], *types: str) -> t.Any:
    devices = []
    for number, name in enumerate(types):
        own = {
            "software_version": "550.90",
            "device_api": "vfio-pci",
            "type": name,
            "pci_id": "10de1eb8",
        }
        descriptor = {"self": own, "compatible": [own]}
        devices.append(
            device(
                f"{number:08x}-1111-4222-8333-444444444444",
                descriptor,
                vm=f"vm-{number}",
                pid=number + 1,
                attributes=[],
            )
        )
    fleet = {"a": host(devices), "b": host(parents=[there])}
    plan = migration_plan(fleet, drain=["a"])
    assert violations(plan, fleet, Conditions(drain=["a"])) == []
    return plan


@pytest.mark.parametrize(
    ("left", "types", "placed", "status"),
    [
        (16, ["T4-8Q", "T4-8C"], 2, "optimal"),
        (16, ["T4-8Q", "T4-8C", "T4-8C"], 2, "infeasible"),
        (8, ["T4-8Q", "T4-8C"], 1, "infeasible"),
        (16, ["T4-8Q", "T4-4Q"], 1, "unproven"),
        (16, ["T4-4A", "T4-4Q"], 1, "unproven"),
    ],
)
def test_a_gpu_without_virtual_functions_takes_types_of_one_size(left, types, placed, status):
    plan = on_gpu(gpu(left), *types)
    assert (len(plan["placements"]), plan["status"]) == (placed, status)


@pytest.mark.parametrize("types", [["T4-8Q", "T4-8C"], ["T4-8C", "T4-8Q"]])
def test_types_of_one_size_of_which_not_as_many_are_left_are_not_mixed(types):
    there = gpu()
    for each in there["types"]:
        each["available_instances"] -= each["id"] == "T4-8C"
    plan = on_gpu(there, *types)
    assert (len(plan["placements"]), plan["status"]) == (1, "unproven")


def test_a_gpu_without_virtual_functions_says_why_it_takes_no_other_size():
    plan = on_gpu(gpu(), "T4-8Q", "T4-4Q")
    (assumed,) = plan["assumptions"]
    assert assumed.startswith("a card, such as 0000:00:02.0 on b, gets one size of frame buffer")
    (left,) = plan["unplaced"]
    assert left["reasons"][0]["reason"].endswith("which takes one size of frame buffer only")
