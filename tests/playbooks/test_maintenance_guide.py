# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the guide to maintenance shows below its commands is what they say, when they are run in its order on simulated hosts."""

from __future__ import annotations

import json
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.tests.playbooks.guide_reader import Reader, sections
from ansible_collections.vfio.migration.tests.playbooks.simulated_fleet import (
    COLLECTION,
    Fleet,
    Guests,
)

SAMPLE = COLLECTION / "playbooks/files/sample"
HOSTS = ("gpu1", "gpu2", "gpu3")
FIRST, SECOND = "a4d2d579-79c9-5bef-ae94-3fdf9fe1b43b", "9f4667ab-b751-5a3e-94a7-2ae354a3e7dd"


def gpus(place: Path) -> Fleet:
    """Return the hosts of the sample fleet with GPUs; two guests of the first have a vGPU each, and nobody has a network card."""
    guests = {
        "render-1": {"host": "gpu1", "uuid": FIRST, "device": FIRST},
        "render-2": {"host": "gpu1", "uuid": SECOND, "device": SECOND},
    }
    fleet = Fleet(place, HOSTS, guests)
    for name in HOSTS:
        facts = json.loads((SAMPLE / f"{name}.json").read_text())
        for each in facts["devices"]:
            if each["kind"] == "pci":
                each["in_use"] = None
        fleet.put(name, facts)
    # What is made on any of them is like those of the first.
    first = fleet.read("gpu1")
    vgpus = [each for each in first["devices"] if each["kind"] == "mdev"]
    fleet.put("device", {**first, "devices": vgpus})
    return fleet


def planned(place: Path) -> Reader:
    """Return a reader of the guide for whom the drain was planned the day before."""
    reader = Reader("maintenance_guide", gpus(place))
    reader.carry_out("The day before: report and approve")
    return reader


def move_with_another_tool(fleet: Fleet) -> None:
    source, target = fleet.read("gpu1"), fleet.read("gpu2")
    there = {each["id"]: each for each in target["devices"]}
    for each in source["devices"]:
        if each["in_use"]:
            there[each["id"]]["in_use"], each["in_use"] = each["in_use"], None
    fleet.put("gpu1", source)
    fleet.put("gpu2", target)


def guests_on(hosts: t.Sequence[str]) -> Guests:
    """Return guests with one device each, the first on the first of ``hosts`` and so on."""
    uuids = [f"9f4667ab-b751-5a3e-94a7-2ae354a3e7{number:02x}" for number in range(len(hosts))]
    return {
        f"vm-{number}": {"host": host, "uuid": uuid, "device": uuid}
        for number, (host, uuid) in enumerate(zip(hosts, uuids, strict=True), start=1)
    }


def test_the_sections_are_found():
    assert next(iter(sections("maintenance_guide"))) == "The day before: report and approve"
    assert "Rebalance hosts" in sections("maintenance_guide")
    assert "Empty whole cards" in sections("maintenance_guide")


def test_a_host_is_drained_and_its_guests_come_back_as_the_guide_shows(tmp_path):
    reader = planned(tmp_path)
    reader.carry_out("Drain")
    reader.carry_out("Bring the guests back")
    assert reader.fleet.guests() == {"render-1": "gpu1", "render-2": "gpu1"}
    assert reader.compared == 4


def test_a_host_is_drained_with_another_tool_as_the_guide_shows(tmp_path):
    reader = planned(tmp_path)
    reader.carry_out("Drain with another tool", {"vfio.migration.prepare": move_with_another_tool})
    assert reader.compared == 3


def test_all_hosts_are_maintained_as_the_guide_shows(tmp_path):
    reader = Reader("maintenance_guide", Fleet(tmp_path, HOSTS, guests_on(["gpu1", "gpu2"])))
    tasks = tmp_path / "collections/ansible_collections/site/kvm/roles/upgrade/tasks"
    tasks.mkdir(parents=True)
    (tasks / "main.yml").write_text("- name: Upgrade the host\n  ansible.builtin.meta: noop\n")
    reader.carry_out("Maintain all hosts in turn")
    assert reader.compared == 2


def test_loads_are_evened_as_the_guide_shows(tmp_path):
    reader = Reader("maintenance_guide", Fleet(tmp_path, HOSTS, guests_on([*["gpu1"] * 6, "gpu3"])))
    reader.carry_out("Rebalance hosts")
    assert reader.compared == 2
    loads = [len([each for each in reader.fleet.holders(name) if each]) for name in HOSTS]
    assert sorted(loads) == [2, 2, 3]


def test_an_interrupted_run_is_cleaned_up_as_the_guide_shows(tmp_path):
    reader = planned(tmp_path)
    extra = "migrate_libvirt_hosts: hypervisors\nprepare_from: migration-report/plan.json\n"
    assert reader.fleet.kill(
        "vfio.migration.migrate_libvirt", "Migrate the leaving guests", extra=extra
    )
    # What has begun on a host goes on.
    time.sleep(3)
    reader.carry_out("Interruption")
    assert reader.compared == 2
    assert "render-1" not in reader.fleet.holders("gpu2")


@pytest.mark.parametrize(
    ("guide", "heading"),
    [("upgrading_guide", "How to upgrade"), ("faq", "How do I undo a preparation?")],
)
def test_a_preparation_is_undone_as_other_guides_show(guide, heading, tmp_path):
    fleet = planned(tmp_path).fleet
    prepare = {"prepare_hosts": "hypervisors", "prepare_from": "migration-report/plan.json"}
    assert fleet.play("vfio.migration.prepare", prepare).returncode == 0
    reader = Reader(guide, fleet)
    reader.carry_out(heading)
    assert reader.compared == 1
    assert "render-1" not in fleet.holders("gpu2")


def test_a_plan_is_handed_over_as_the_guide_shows(tmp_path):
    reader = planned(tmp_path)
    reader.carry_out("Hand over a plan")
    assert reader.compared == 3
