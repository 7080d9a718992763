# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.original_state import (
    OriginalState,
    OriginalStates,
    StoredBinding,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.records import Attribute
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    PciDevice,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
)
from ansible_collections.vfio.migration.tests.unit.pci_trees import FIRST, PciKernel, PciTree

STATE = OriginalState(
    StoredBinding("igbvf", None), attributes=[Attribute("nvidia/current_vgpu_type", "0")]
)
BY_HAND = "give the device by hand what the file says it had and remove the file"


@pytest.fixture
def device(tmp_path):
    tree = PciTree(tmp_path / "sys")
    tree.add_functions(2)
    with PciDevice(PciKernel(tree), FIRST) as device:
        yield device


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "run" / f"{FIRST}.json"


@pytest.fixture
def states(path):
    return OriginalStates(str(path.parent))


def test_what_is_kept_is_found_again_until_nothing_is_left_of_it(device, path, states):
    assert states.read(device) == OriginalState()
    states.write(device, STATE)
    assert states.read(device) == STATE
    states.write(device, STATE.without("binding", "attributes"))
    assert states.read(device) == OriginalState()
    assert list(path.parent.iterdir()) == []


def test_the_file_names_its_format_and_every_field(device, path, states):
    states.write(device, STATE)
    assert json.loads(path.read_text()) == {
        "format": 1,
        "inode": device.inode,
        "state": {
            "binding": {"driver": "igbvf", "driver_override": None},
            "migratable": None,
            "attributes": [{"name": "nvidia/current_vgpu_type", "value": "0"}],
            "sriov_numvfs": None,
            "network": {},
        },
    }
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_known_of_the_first_change_stays():
    later = OriginalState(
        StoredBinding("vfio-pci", "vfio-pci"),
        True,
        [Attribute("nvidia/current_vgpu_type", "7"), Attribute("nvidia/vgpu_params", "")],
        0,
    )
    assert STATE.completed(later) == OriginalState(
        StoredBinding("igbvf", None),
        True,
        [Attribute("nvidia/current_vgpu_type", "0"), Attribute("nvidia/vgpu_params", "")],
        0,
    )
    assert OriginalState(sriov_numvfs=0).completed(later).sriov_numvfs == 0
    assert OriginalState(migratable=False).completed(later).migratable is False


def refused(device, states) -> str:
    with pytest.raises(HostReadError) as raised:
        states.read(device)
    with pytest.raises(HostReadError, match=FIRST):
        states.check(device.id)
    return str(raised.value)


def change(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(("found", "age"), [(2, "a newer"), (0, "an older")])
def test_a_file_of_another_format_is_refused_with_what_to_do(device, path, states, found, age):
    states.write(device, STATE)
    change(path, format=found)
    assert refused(device, states) == (
        f"{path}: it has format {found}, written by {age} release of vfio.migration, and this release has format 1;"
        f" use that release, or {BY_HAND}"
    )


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"format": None}, "the number of its format is missing"),
        ({"inode": "7"}, "'inode' has a wrong type"),
        ({"state": None}, "'state' has a wrong type"),
        ({"state": []}, "'state' has a wrong type"),
        ({"state": {}}, "'attributes' is missing"),
        ({"more": 1}, "'more' is unknown"),
    ],
)
def test_a_malformed_file_is_refused(device, path, states, fields, problem):
    states.write(device, STATE)
    change(path, **fields)
    assert refused(device, states) == f"{path}: it is damaged: {problem}; {BY_HAND}"


def test_a_file_that_was_cut_off_is_refused(device, path, states):
    states.write(device, STATE)
    # Its last byte is the end of the line.
    for length in range(path.stat().st_size - 2, -1, -1):
        os.truncate(path, length)
        assert refused(device, states) == f"{path}: it is damaged or cut off: no JSON; {BY_HAND}"


@pytest.mark.parametrize("content", [b"\xff", b"\0" * 64, b"[]", b"null", b"[" * 100_000])
def test_a_file_that_is_no_record_is_refused(device, path, states, content):
    states.write(device, STATE)
    path.write_bytes(content)
    assert refused(device, states).startswith(f"{path}: it is damaged")
