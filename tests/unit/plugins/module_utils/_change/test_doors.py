# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fuzzers of what another call left on a host: journals, locks and original states, as another release or a damaged disk has them."""

from __future__ import annotations

import json
import os
import tempfile

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.boot_units import RestoreUnit
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import (
    Journal,
    Step,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.mdev_apply import (
    RemoveMdev,
    RestoreDefinition,
    WriteAttribute,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.original_state import (
    OriginalState,
    OriginalStates,
    StoredBinding,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_apply import (
    BindDriver,
    FunctionState,
    KeepOriginalState,
    MakeFunctions,
    SetNetwork,
    WriteAttributes,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.records import (
    Attribute,
    RecordError,
    decode,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.vdpa_apply import DeleteVdpa
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError
from ansible_collections.vfio.migration.tests.unit.fuzzing import (
    JSON,
    damaged,
    spliced_bytes,
    through,
)
from ansible_collections.vfio.migration.tests.unit.journals import leave
from hypothesis import example, given
from hypothesis import strategies as st

ADDRESS = "0000:01:10.0"
BINDING = StoredBinding("vfio-pci", None)
STATE = OriginalState(BINDING, True, [Attribute("nvidia/current_vgpu_type", "0")], 4, {"vlan": 7})
FUNCTION = FunctionState(ADDRESS, 17, BINDING, None, [Attribute("a", "1")], {"qos": 3}, STATE)
UNDO = (
    RemoveMdev("i915-GVTg_V5_4"),
    WriteAttribute("intel_vgpu/aggregator", "1", False),
    RestoreDefinition({"mdev_type": "x", "attrs": []}, True),
    BindDriver(BINDING, None),
    WriteAttributes([Attribute("a", "1")]),
    KeepOriginalState(STATE),
    SetNetwork("eth0", 1, {"mac": "52:54:00:12:34:56"}),
    MakeFunctions(4, [FUNCTION]),
    DeleteVdpa("vdpasim_net", [Attribute("mtu", "1500")]),
    RestoreUnit("vfio-migration-vdpa-vdpa0.service", "vdpa", {"name": "vdpa0"}, True, False),
)
OPERATIONS = [type(each) for each in UNDO]
STEPS = [Step("gpu", "a device", "changed", each) for each in UNDO]
STEPS.append(Step("gpu", "a device", "changed"))


@pytest.fixture(scope="module")
def sound():
    """Return the lines of a journal with every operation."""
    with tempfile.TemporaryDirectory() as place:
        directory = os.path.join(place, "run")
        leave(directory, *STEPS)
        (name,) = (each for each in os.listdir(directory) if each.endswith(".journal"))
        with open(os.path.join(directory, name), "rb") as file:
            return file.read()


@st.composite
def spoilt(draw, content):
    """Draw what may be left of a file with records, one a line."""
    if draw(st.booleans()):
        return draw(spliced_bytes(content))
    lines = content.splitlines()
    number = draw(st.integers(0, len(lines) - 1))
    lines[number] = json.dumps(draw(damaged(json.loads(lines[number])))).encode()
    return b"\n".join(lines) + draw(st.sampled_from([b"\n", b""]))


DEEP = [
    b"[" * 100_000 + b"\n",
    b'{"format":' * 50_000 + b"\n",
    b'{"format": ' + b"9" * 70_000 + b"}\n",
]


@given(st.data())
def test_a_journal_is_steps_or_an_error_that_names_it(sound, data):
    content = data.draw(st.one_of(spoilt(sound), st.sampled_from(DEEP), st.binary(max_size=80)))
    lock = data.draw(st.one_of(st.just(b"1-1"), spliced_bytes(b"1-1"), st.just(b"9" * 200)))
    with tempfile.TemporaryDirectory() as place:
        directory = os.path.join(place, "run")
        os.mkdir(directory, 0o700)
        for name, text in (("gpu.lock", lock), ("1-1.journal", content)):
            with open(os.path.join(directory, name), "wb") as file:
                file.write(text)
        with Journal(directory, OPERATIONS) as journal:

            def recover():
                names = journal.lock_abandoned()
                return [step for name in names for step in journal.abandoned(name)]

            steps = through(recover, HostReadError)
            who = through(lambda: journal.locker("gpu"), HostReadError)
    assert who is None or who.isdigit()
    for step in steps or []:
        assert step.undo is None or type(step.undo) in OPERATIONS
        assert [type(each) for each in (step.lock, step.device, step.change)] == [str] * 3


@given(
    st.binary(max_size=60)
    | st.sampled_from(DEEP)
    | JSON.map(lambda value: json.dumps(value).encode())
)
def test_a_record_is_its_fields_or_an_error(content):
    assert isinstance(through(lambda: decode(content, 1), RecordError), (dict, type(None)))


@pytest.mark.parametrize("undo", UNDO, ids=lambda undo: undo.operation)
@given(data=st.data())
def test_an_operation_is_as_it_is_declared_or_an_error(undo, data):
    value = data.draw(damaged(undo.to_json()))
    found = through(lambda: type(undo).from_json(value), RecordError)
    if found is not None:
        assert json.loads(json.dumps(found.to_json())) == json.loads(json.dumps(value))


FILE = {"format": 1, "inode": 17, "state": STATE.to_json()}


@given(
    st.one_of(
        damaged(FILE).map(lambda value: json.dumps(value).encode()),
        spliced_bytes(json.dumps(FILE).encode()),
        st.sampled_from(DEEP),
    )
)
@example(json.dumps(FILE).encode())
def test_an_original_state_is_one_or_an_error_that_names_the_file(content):
    class Device:
        id = ADDRESS
        inode = 17

    with tempfile.TemporaryDirectory() as place:
        directory = os.path.join(place, "run")
        os.mkdir(directory, 0o700)
        with open(os.path.join(directory, f"{ADDRESS}.json"), "wb") as file:
            file.write(content)
        states = OriginalStates(directory)
        found = through(lambda: states.read(Device()), HostReadError)
    assert found is None or isinstance(found, OriginalState)
