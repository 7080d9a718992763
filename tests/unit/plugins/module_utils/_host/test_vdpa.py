# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import socket
import sys

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DescriptorError,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.pattern import match
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.virtio import (
    NET,
    feature_names,
)
from ansible_collections.vfio.migration.plugins.module_utils._host import vdpa
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree, nobody
from ansible_collections.vfio.migration.tests.unit.vdpa_hosts import (
    MQ_BIT,
    MTU_BIT,
    SIMULATED,
    encoded,
    vdpa_device,
)
from ansible_collections.vfio.migration.tests.unit.vdpa_recordings import ANSWERS, TOOL
from hypothesis import given
from hypothesis import strategies as st

MASKS = st.integers(0, 2**28 - 1).map(lambda mask: mask | 1 << 32)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path / "sys")


@pytest.fixture
def recorded(tree, monkeypatch):
    """Replay a Linux 6.12 whose answers were recorded; ``vdpa_recordings`` says what it had."""
    (tree.root / "bus/vdpa/devices").mkdir(parents=True)
    monkeypatch.setattr(socket, "socket", RecordedSocket)
    return Sysfs(str(tree.root))


class RecordedSocket:
    def __init__(self, *arguments):
        self._answers = []

    def settimeout(self, seconds):
        pass

    def bind(self, address):
        pass

    def send(self, data):
        self._answers = [bytes.fromhex(answer) for answer in ANSWERS[data.hex()]]

    def recv(self, size):
        return self._answers.pop(0)

    def close(self):
        pass


def gather(tree, ask, scan_holders=nobody):
    return gather_facts(Sysfs(str(tree.root)), scan_holders, ["vdpa"], ask)


# --- what the kernel answers -----------------------------------------------------------------------------------------


LITTLE_ENDIAN = pytest.mark.skipif(sys.byteorder != "little", reason="recorded on such a machine")


@LITTLE_ENDIAN
def test_a_recorded_kernel_is_understood_as_by_the_tool(recorded):
    bus = vdpa.ask(recorded)
    assert bus.problems == []
    shown = {
        each.name: {
            "supported_classes": each.classes,
            "max_supported_vqs": each.max_vqs,
            "dev_features": feature_names(each.features, each.device_class),
        }
        for each in bus.management_devices
    }
    assert shown == TOOL["mgmtdev"]
    assert {each.name: each.parent for each in bus.devices} == {
        name: each["mgmtdev"] for name, each in TOOL["dev"].items()
    }
    for device in bus.devices:
        # The tool has blanks behind some keys.
        configuration = {key.strip(): value for key, value in TOOL["config"][device.name].items()}
        assert (device.mac, device.mtu) == (configuration.get("mac"), configuration.get("mtu"))
        assert device.max_vq_size == TOOL["dev"][device.name]["max_vq_size"]
        negotiated = configuration.get("negotiated_features")
        assert (device.negotiated is None) == (negotiated is None)
        if negotiated is not None:
            assert feature_names(device.negotiated, NET) == negotiated


@LITTLE_ENDIAN
def test_a_recorded_kernel_tells_what_the_tool_does_not(recorded):
    devices = {device.name: device for device in vdpa.ask(recorded).devices}
    offered = {name: hex(device.offered) for name, device in devices.items()}
    assert offered == {
        "blk": "0x308007646",
        "feat": "0x300000020",
        "plain": "0x300020000",
        "used": hex(SIMULATED),
    }
    assert devices["blk"].configuration["capacity"] == 262144
    assert devices["blk"].configuration["blk_size"] == 512


def test_where_vdpa_was_never_used_nothing_is_asked(tree, monkeypatch):
    monkeypatch.setattr(vdpa, "Family", None)
    facts = gather(tree, vdpa.ask)
    del facts["gathered"]
    assert facts == {
        "schema": 1,
        "descriptors": {},
        "devices": [],
        "parents": [],
        "problems": [],
    }


class Family:
    """A kernel with two devices; it refuses the configuration of the first one, with an error."""

    def __init__(self, error):
        self._error = error

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def dump(self, command):
        names = [] if command == 2 else [b"one\0", b"two\0"]
        return [{2: b"x\0", 4: name, 5: encoded(26, 4)} for name in names]

    def ask(self, command, attributes):
        if attributes[4] == b"one\0":
            raise OSError(self._error, "no")
        return {20: encoded(1, 8)}


@pytest.mark.parametrize(
    ("number", "left", "problems"),
    [
        (errno.EOPNOTSUPP, ["one", "two"], []),
        (errno.ENODEV, ["two"], ["vanished while it was read"]),
        (errno.EPERM, ["two"], ["no"]),
    ],
)
def test_one_device_without_an_answer_costs_no_other(tree, monkeypatch, number, left, problems):
    (tree.root / "bus/vdpa/devices").mkdir(parents=True)
    monkeypatch.setattr(vdpa, "Family", lambda *arguments: Family(number))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    bus = vdpa.ask(Sysfs(str(tree.root)))
    assert [device.name for device in bus.devices] == left
    assert [problem.problem for problem in bus.problems] == problems


def test_another_network_namespace_is_a_problem_with_what_would_be_right(tree, monkeypatch):
    def family(*arguments):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    (tree.root / "bus/vdpa/devices").mkdir(parents=True)
    monkeypatch.setattr(vdpa, "Family", family)
    (problem,) = gather(tree, vdpa.ask)["problems"]
    assert problem == {
        "path": f"{tree.root}/bus/vdpa",
        "problem": "the kernel shows vDPA devices only in the host's own network namespace",
    }


def test_of_a_copied_tree_at_most_it_is_said_that_there_were_devices(tree):
    assert gather(tree, vdpa.no_answer)["problems"] == []
    tree.link("bus/vdpa/devices/vdpa0", "devices/vdpa0")
    facts = gather(tree, vdpa.no_answer)
    assert facts["devices"] == []
    assert [problem["path"] for problem in facts["problems"]] == [f"{tree.root}/bus/vdpa/devices"]


# --- descriptors -----------------------------------------------------------------------------------------------------


def accepts(source, target):
    descriptor = source.descriptor()
    return match(descriptor["compatible"], target.descriptor()["self"])["set"] is not None


@given(MASKS, MASKS, st.none() | MASKS)
def test_a_target_offers_what_the_guest_has_accepted_or_may_accept(offered, other, accepted):
    negotiated = None if accepted is None else accepted & offered
    # What a device without the feature has no MAC or MTU to tell of is for other tests.
    offered, other = (mask & ~(MTU_BIT | 1 << 5 | MQ_BIT) for mask in (offered, other))
    asked = offered if negotiated is None else negotiated & offered
    source = vdpa_device(features=offered, negotiated=negotiated)
    assert accepts(source, vdpa_device(features=other)) == (asked & ~other == 0)
    assert accepts(source, source)


@pytest.mark.parametrize(
    ("other", "compatible"),
    [
        ({"name": "vdpa1", "mgmtdev": "pci/0000:65:00.2"}, True),
        ({"mac": "02:00:00:00:00:01"}, False),
        ({"mtu": 9000}, False),
        ({"max_vqp": 2}, False),
    ],
)
def test_a_target_has_the_same_configuration_wherever_it_is(other, compatible):
    features = SIMULATED | MQ_BIT
    assert accepts(vdpa_device(features=features), vdpa_device(features=features, **other)) == (
        compatible
    )


def test_a_descriptor_needs_to_know_the_features():
    with pytest.raises(DescriptorError, match=r"Linux 6\.1 and newer do"):
        vdpa_device(features=None).descriptor()
    # What the guest has accepted is offered at least.
    descriptor = vdpa_device(features=None, negotiated=1 << 32).descriptor()
    assert descriptor["self"]["feature_VERSION_1"] == "offered"


def test_a_device_with_every_bit_has_a_descriptor_or_a_problem_and_never_another_one():
    with pytest.raises(DescriptorError, match="more than 64 attributes"):
        vdpa_device(features=2**64 - 1).descriptor()
