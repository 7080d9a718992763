# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the guides to hardware show below a command is what that says on hosts with the documented files of such devices."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import textwrap
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.tests.playbooks.simulated_fleet import COLLECTION, Fleet
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree, nobody
from ansible_collections.vfio.migration.tests.unit.vdpa_hosts import (
    MTU_BIT,
    SIMULATED,
    VdpaKernel,
    management_device,
    vdpa_device,
)
from ansible_collections.vfio.migration.tests.unit.vendor_trees import (
    MIGRATABLE_MATRIX,
    TREES,
    VendorTree,
)

pytestmark = pytest.mark.every_core

SAMPLE = COLLECTION / "playbooks/files/sample"
# A command, and what is shown of its output below it.
SHOWN = re.compile(
    r"^[.][.] code-block:: console\n\n    \$ (ansible-playbook .*)\n\n(?:(?![.][.] ).*\n)*?[.][.] code-block:: text\n\n((?: {4}.*\n|\n)+)",
    re.M,
)
UUIDS = [f"882cc4da-dede-11e7-9180-078a6206{number:04x}" for number in range(4)]

Facts = dict[str, t.Any]
Hosts = dict[str, Facts]


def of_tree(place: Path, tree: VendorTree) -> Facts:
    """Return the facts of a host with this tree."""
    place.mkdir(parents=True)
    sysfs = Tree(place / "sys")
    tree.build(sysfs)
    return dict(gather_facts(Sysfs(str(sysfs.root)), nobody))


def of_vdpa(place: Path, features: int = SIMULATED, with_device: bool = False) -> Facts:
    """Return the facts of a host with the kernel's vDPA simulator, which offers ``features``."""
    place.mkdir(parents=True)
    tree = Tree(place / "sys")
    kernel = VdpaKernel(tree)
    (tree.root / "bus/vdpa/devices").mkdir(parents=True)
    kernel.management_devices = [management_device(features=features)]
    if with_device:
        kernel.put(vdpa_device())
    return dict(gather_facts(Sysfs(str(tree.root)), nobody, ["vdpa"], kernel.ask))


def held(facts: Facts, guest: str) -> Facts:
    """Return ``facts`` with the first device held by ``guest``."""
    facts["devices"][0]["in_use"] = {"pid": 4711, "name": guest}
    return facts


def tree_of(name: str) -> VendorTree:
    return next(each for each in TREES if name in (each.name, each.row))


def intel(place: Path) -> Hosts:
    whole = tree_of("xe_vfio_pci")
    quotas = {path: "2147483648" for path in whole.physical if path.endswith("vram_quota")}
    half = dataclasses.replace(whole, physical=whole.physical | quotas)
    return {
        "xe1": held(of_tree(place / "1", whole), "vm-17"),
        "xe2": of_tree(place / "2", whole),
        "xe3": of_tree(place / "3", half),
    }


def s390x(place: Path) -> Hosts:
    empty = dataclasses.replace(MIGRATABLE_MATRIX, files={"matrix": ""})
    older = {
        path: "12" if path.endswith("card05/hwtype") else text
        for path, text in MIGRATABLE_MATRIX.parent.items()
    }
    return {
        "lpar1": held(of_tree(place / "1", tree_of("vfio_ap")), "vm-17"),
        "lpar2": of_tree(place / "2", dataclasses.replace(empty, parent=older)),
        "lpar3": held(of_tree(place / "3", MIGRATABLE_MATRIX), "vm-18"),
        "lpar4": of_tree(place / "4", empty),
    }


def vdpa(place: Path) -> Hosts:
    return {
        "host1": held(of_vdpa(place / "1", with_device=True), "vm-17"),
        "host2": of_vdpa(place / "2"),
        "host3": of_vdpa(place / "3", SIMULATED & ~MTU_BIT),
    }


def nvidia(_place: Path) -> Hosts:
    """Return the hosts of the sample fleet that have GPUs, where one guest has both vGPUs of the first."""
    hosts = {name: json.loads((SAMPLE / f"{name}.json").read_text()) for name in _GPUS}
    devices = hosts["gpu1"]["devices"]
    (guest,) = [each["in_use"] for each in devices if each["kind"] == "pci" and each["in_use"]]
    for each in devices:
        if each["in_use"]:
            each["in_use"] = guest
    return hosts


_GPUS = ("gpu1", "gpu2", "gpu3")
FLEETS: dict[str, t.Callable[[Path], Hosts]] = {
    "intel_guide": intel,
    "s390x_guide": s390x,
    "vdpa_guide": vdpa,
    "nvidia_guide": nvidia,
}
GUESTS = {
    "vm-17": {"host": "host1", "uuid": UUIDS[0], "device": UUIDS[1]},
    "vm-18": {"host": "host1", "uuid": UUIDS[2], "device": UUIDS[3]},
}


def in_a_line(text: str) -> str:
    return " ".join(text.split())


def compare(guide: str, fleet: Fleet) -> None:
    """Run the commands of ``guide`` on ``fleet``, and look for what is shown of each in what it says and reports."""
    found = SHOWN.findall((COLLECTION / f"docs/docsite/rst/{guide}.rst").read_text())
    assert found
    for command, text in found:
        words = [word for word in shlex.split(command)[1:] if word != "--become"]
        if "-i" in words:
            del words[words.index("-i") : words.index("-i") + 2]
        (playbook,) = [word for word in words if word.startswith("vfio.migration.")]
        ended = fleet.play(playbook, arguments=[word for word in words if word != playbook])
        assert ended.returncode == 0, ended.stdout + ended.stderr
        report = fleet.work / "migration-report/report.md"
        said = ended.stdout + (report.read_text() if report.exists() else "")
        for paragraph in textwrap.dedent(text).strip().split("\n\n"):
            assert in_a_line(paragraph) in in_a_line(said)


@pytest.mark.parametrize("guide", FLEETS)
def test_a_guide_to_hardware_shows_what_its_commands_say(guide, tmp_path):
    hosts = FLEETS[guide](tmp_path / "trees")
    fleet = Fleet(tmp_path / "fleet", list(hosts), {})
    for name, facts in hosts.items():
        fleet.put(name, facts)
    compare(guide, fleet)


def test_the_guide_to_checks_shows_what_they_say(tmp_path):
    compare("migration_guide", Fleet(tmp_path, ["host1", "host2", "host3"], GUESTS))
