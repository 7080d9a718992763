# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever a driver puts into sysfs, gathering ends, tells of it, and the other devices are there."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from ansible_collections.vfio.migration.plugins.module_utils._inventory import KINDS, Inventory
from ansible_collections.vfio.migration.plugins.module_utils._sysfs import Sysfs
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import GPU, SELF, UUIDS, Tree, nobody
from hypothesis import given
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
    st.just(b"a=1\n" * 5000),
    st.sampled_from(["directory", "link to itself", "link out", "nothing"]),
)


def put(device: Path, place: str, content: bytes | str) -> None:
    """Put a file, directory or link at ``place``, in the stead of what is there; what cannot be is left out."""
    path = device / place
    try:
        if path.is_symlink() or path.is_file():
            path.unlink()
        if content == "nothing":
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content == "directory":
            path.mkdir(exist_ok=True)
        else:
            path.symlink_to(path.name if content == "link to itself" else "/etc/hostname")
    except OSError:
        pass


@given(st.lists(st.tuples(PLACES, CONTENTS), max_size=6))
def test_no_tree_makes_gathering_fail_or_costs_another_device(changes):
    with tempfile.TemporaryDirectory() as root:
        tree = Tree(Path(root, "sys"))
        tree.add_gpu()
        good = tree.add_mdev(UUIDS[0], group=1)
        tree.add_migration(good, SELF.format(type="i915-GVTg_V5_4", aggregator=2))
        odd = tree.add_mdev(UUIDS[1], group=2)
        tree.add_migration(odd, SELF.format(type="i915-GVTg_V5_4", aggregator=2))
        for place, content in changes:
            put(tree.root / odd, place, content)
        facts = Inventory(Sysfs(str(tree.root)), nobody).facts(KINDS)
    json.dumps(facts).encode("ascii")
    assert [parent["id"] for parent in facts["parents"]] in ([], [GPU])
    devices = {device["id"]: device for device in facts["devices"]}
    assert devices[UUIDS[0]]["descriptor"] in facts["descriptors"]
    if UUIDS[1] not in devices or devices[UUIDS[1]]["descriptor"] is None:
        assert [each for each in facts["problems"] if each["path"]]
