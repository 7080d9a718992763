# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever a driver puts into sysfs, gathering ends, tells of it, and the other devices are there."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import pattern
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import GPU, SELF, UUIDS, Tree, nobody
from ansible_collections.vfio.migration.tests.unit.vendor_trees import TREES
from hypothesis import event, example, given
from hypothesis import strategies as st

# Where a driver's words are read, seen from an mdev's directory.
PLACES = st.sampled_from(
    [
        "migration",
        "migration/self",
        "migration/self/type",
        "migration/compatible",
        "migration/compatible/a",
        "migration/compatible/sub/a",
        "migration/compatible2",
        "migration/compatible2/a",
        "migration/compatible99999999999999999999/a",
        "intel_vgpu/aggregator",
        "intel_vgpu/" + "x" * 200,
        "intel_vgpu/a\nb",
        "intel_vgpu/\u00e9",
        "intel_vgpu/\udcff",
        "migration/self/a\tb",
        "migration/compatible/\udcff",
        "..",
        "vendor",
        "../vendor",
        "../device",
        "../numa_node",
        "../mdev_supported_types/i915-GVTg_V5_4/available_instances",
        "../mdev_supported_types/i915-GVTg_V5_4/device_api",
        "../mdev_supported_types/i915-GVTg_V5_4/description",
        "mdev_type",
        "iommu_group",
        "driver",
    ]
)
LINES = st.sampled_from(
    [
        b"type=x\n",
        b"a={v:int:1}\n",
        b"=\n",
        b"a\n",
        b"\n",
        b"COMPATIBLE:\n",
        b"software_version=1.0\n",
    ]
)
CONTENTS = st.one_of(
    st.binary(max_size=200),
    st.lists(LINES, max_size=8).map(b"".join),
    st.sampled_from(["directory", "link to itself", "link up", "link out", "pipe", "nothing"]),
    st.sampled_from(["a large file", "a long value", "65 names", "70 directories"]),
)
FILES = {
    "a large file": b"a=1\n" * 5000,
    "a long value": b"x" * 1025 + b"\n",
    "65 names": b"".join(b"n%d=1\n" % number for number in range(65)),
}
LINKS = {"link up": "..", "link out": "/etc/hostname"}


def put(device: Path, place: str, content: bytes | str) -> None:
    """Put something at ``place`` in the stead of what is there but a directory; what cannot be is left out."""
    path = device / place
    try:
        if os.path.lexists(path) and (path.is_symlink() or not path.is_dir()):
            path.unlink()
        if content == "nothing":
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content in FILES:
            path.write_bytes(FILES[content])
        elif content == "directory":
            path.mkdir(exist_ok=True)
        elif content == "70 directories":
            for number in range(70):
                (path / f"d{number}").mkdir(parents=True)
        elif content == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(LINKS.get(content, path.name))
    except OSError:
        pass


def gather(tree: Tree) -> dict:
    facts = gather_facts(Sysfs(str(tree.root)), nobody)
    json.dumps(facts).encode("ascii")
    return facts


@given(st.lists(st.tuples(PLACES, CONTENTS), max_size=6))
def test_no_tree_makes_gathering_fail_or_costs_another_device(changes):
    with tempfile.TemporaryDirectory() as root:
        tree = Tree(Path(root, "sys"))
        tree.add_gpu()
        # Of another type: a type that the kernel says is not VFIO's costs each device of it.
        good = tree.add_mdev(UUIDS[0], share=8, group=1)
        tree.add_migration(good, SELF.format(type="i915-GVTg_V5_8", aggregator=2))
        odd = tree.add_mdev(UUIDS[1], group=2)
        tree.add_migration(odd, SELF.format(type="i915-GVTg_V5_4", aggregator=2))
        for place, content in changes:
            put(tree.root / odd, place, content)
        facts = gather(tree)
    assert [parent["id"] for parent in facts["parents"]] in ([], [GPU])
    devices = {device["id"]: device for device in facts["devices"]}
    assert devices[UUIDS[0]]["descriptor"] in facts["descriptors"]
    if UUIDS[1] not in devices or devices[UUIDS[1]]["descriptor"] is None:
        assert [each for each in facts["problems"] if each["path"]]


@given(
    st.sampled_from(TREES),
    st.lists(st.tuples(st.integers(min_value=0, max_value=99), CONTENTS), min_size=1, max_size=4),
)
def test_whatever_the_files_of_a_known_driver_hold_its_device_has_a_descriptor_or_a_problem(
    vendor, changes
):
    with tempfile.TemporaryDirectory() as root:
        tree = Tree(Path(root, "sys"))
        vendor.build(tree)
        below = tree.root / "devices"
        files = sorted(str(path.relative_to(below)) for path in below.rglob("*"))
        for number, content in changes:
            put(below, files[number % len(files)], content)
        facts = gather(tree)
    described = [device for device in facts["devices"] if device["descriptor"]]
    event("described" if described else "a problem" if facts["problems"] else "not there any more")
    assert len(facts["devices"]) <= 1
    for device in described:
        assert device["descriptor"] in facts["descriptors"]


TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
ODD = st.one_of(TEXTS, st.text(alphabet='{}v:int1"_=x', max_size=12))


@example("vfio_{pci", "1.0", {})
@given(ODD, ODD, st.dictionaries(st.sampled_from(["aggregator", "mode", "pci_id", "x"]), ODD))
def test_the_derived_set_of_a_device_accepts_the_device_itself(device_api, version, attributes):
    with tempfile.TemporaryDirectory() as root:
        tree = Tree(Path(root, "sys"))
        tree.add_gpu()
        device = tree.add_mdev()
        gpu = f"devices/pci0000:00/{GPU}"
        tree.write(f"{gpu}/mdev_supported_types/i915-GVTg_V5_4/device_api", device_api)
        tree.write("bus/mdev/drivers/intel_vgpu_mdev/module/version", version)
        for name, value in attributes.items():
            tree.write(f"{device}/intel_vgpu/{name}", value)
        facts = gather(tree)
    for descriptor in facts["descriptors"].values():
        own = descriptor["self"]
        event("stated" if device_api in own["device_api"] else "respelled")
        result = pattern.match(descriptor["compatible"], own, own["software_version"])
        assert (result["set"], result["warnings"]) == (0, [])
    is_name = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", device_api.strip())
    if is_name and not re.match("vfio[-_]", device_api.strip()):
        # The kernel says that it is not VFIO's.
        assert facts["devices"] == []
    else:
        assert bool(facts["descriptors"]) != bool(facts["problems"])
