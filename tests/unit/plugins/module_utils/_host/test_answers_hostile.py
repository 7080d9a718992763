# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever the kernel or a tool answers, reading it ends, with what was asked for or with an error that says what is wrong."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import struct
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host import (
    devlink,
    netlink,
    vdpa,
    vf_network,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.devlink import Devlink
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.kernel_log import KernelLog
from ansible_collections.vfio.migration.plugins.module_utils._host.mdevctl import (
    Mdevctl,
    MdevctlError,
    definition,
    is_defined,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.netlink import (
    Family,
    decoded,
    encoded,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa_tool import (
    VdpaError,
    VdpaTool,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.vf_network import VfNetwork
from ansible_collections.vfio.migration.tests.unit.pci_trees import BRIDGE, CARD, PciTree
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import UUIDS, Tree, nobody
from hypothesis import example, given
from hypothesis import strategies as st

FAMILY = 0x20
VF = "0000:03:00.2"


def message(kind: int, body: bytes, length: int | None = None) -> bytes:
    size = 16 + len(body) if length is None else length
    return struct.pack("=IHHII", size, kind, 0, 0, 0) + body + bytes(-len(body) % 4)


def answer(attributes: dict[int, bytes], kind: int = FAMILY) -> bytes:
    return message(kind, b"\1\1\0\0" + encoded(attributes))


DONE = message(3, bytes(4))
NAMED = answer({1: struct.pack("=H", FAMILY)}, kind=0x10)


class FakeSocket:
    """Answers the first question with the family's number, and the next one with ``pieces``, over and over."""

    pieces: t.ClassVar[list[bytes]] = []

    # Whether the first question is none for the family's number.
    named = False

    def __init__(self, *_arguments):
        self._named = self.named
        self._given = 0

    def settimeout(self, seconds):
        pass

    bind = send = settimeout

    def close(self):
        pass

    def recv(self, _size):
        if not self._named:
            self._named = True
            return NAMED
        self._given += 1
        return self.pieces[(self._given - 1) % len(self.pieces)]


@contextlib.contextmanager
def answering(*pieces: bytes):
    """Let the kernel answer with ``pieces``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeSocket, "pieces", list(pieces))
        patch.setattr(socket, "socket", FakeSocket)
        yield


ATTRIBUTES = st.dictionaries(
    st.integers(0, 200) | st.sampled_from([1, 2, 3, 4, 5, 77, 127, 128, 145]),
    st.binary(max_size=12)
    | st.sampled_from([b"pci\0", b"..\0", b"a/b\0", b"0000:03:00.0\0", b"\4\0", bytes(8)])
    | st.integers(0, 2**32 - 1).map(lambda number: number.to_bytes(4, sys.byteorder)),
    max_size=12,
)
PIECES = st.lists(
    st.binary(max_size=64)
    | ATTRIBUTES.map(answer)
    | st.builds(message, st.integers(0, 64), st.binary(max_size=32), st.none() | st.integers(0, 80))
    | st.just(DONE),
    min_size=1,
    max_size=4,
)


NUMBERS = st.integers(0, 3) | st.integers(0, 2**32 - 1)
FORMS = {1: "=I32s", 2: "=III", 4: "=II", 5: "=II", 6: "=III", 9: "=II"}


@st.composite
def links(draw) -> bytes:
    """Return an answer about an interface with virtual functions, much of which is odd."""
    functions = b""
    for _each in range(draw(st.integers(0, 3))):
        info = {}
        for kind, form in FORMS.items():
            values = [draw(NUMBERS) for _each in range(form.count("I"))]
            info[kind] = struct.pack(form, *values, *[draw(st.binary(max_size=32))] * ("s" in form))
        vlan = struct.pack("=III", *(draw(NUMBERS) for _each in range(3)))
        info[12] = encoded(
            {1: vlan + draw(st.sampled_from([b"\x81\0\0\0", b"\x88\xa8\0\0", b"", bytes(4)]))}
        )
        for kind in draw(st.sets(st.sampled_from([*info]), max_size=2)):
            info[kind] = draw(st.binary(max_size=40))
        functions += encoded({1: encoded(info)})
    address = draw(st.just(bytes(6)) | st.binary(max_size=20))
    attributes = encoded({1: address, 22: functions})
    return message(16, bytes(16) + attributes)


LINKS = links()


@given(ATTRIBUTES)
def test_what_is_encoded_is_decoded_again(attributes):
    assert decoded(encoded(attributes)) == attributes


@given(st.binary(max_size=200))
@example(bytes(4))
@example(b"\3\0\1\0")
@example(b"\5\0\1\0")
@example(b"\4\0\1\0\1")
def test_any_bytes_are_attributes_or_an_error(data):
    with contextlib.suppress(OSError):
        assert sum(map(len, decoded(data).values())) <= len(data)


@pytest.mark.parametrize(
    ("piece", "words"),
    [
        (b"", "no end"),
        (bytes(16), "0 bytes at byte 0"),
        (bytes(3), "where 3 are left"),
        (message(FAMILY, b"\1\1\0\0" + bytes(4)), "0 bytes at byte 0"),
        (message(FAMILY, b"\1\1\0\0" + b"\xff\xff\1\0"), "65535 bytes at byte 0, where 4 are left"),
        (message(FAMILY, b"\1\1\0\0", length=400), "400 bytes at byte 0"),
        (message(FAMILY, b"\1"), "with 1 bytes"),
        (answer({}, kind=FAMILY + 1), f"of kind {FAMILY + 1}"),
        (message(2, b""), "without a number"),
        (message(2, struct.pack("=i", -(2**31))), "ends with the number -2147483648"),
        (message(2, struct.pack("=i", 5)), "ends with the number 5"),
        (answer({}), "no end"),
    ],
)
def test_a_malformed_answer_is_an_error(piece, words):
    with answering(piece), Family("vdpa", 1) as family, pytest.raises(
        OSError, match=words
    ) as raised:
        family.dump(1)
    assert raised.value.errno == errno.EBADMSG


@pytest.mark.parametrize("attributes", [{}, {1: b"\1"}, {1: b"abc"}, {1: bytes(8)}])
def test_a_family_without_a_number_is_an_error(monkeypatch, attributes):
    monkeypatch.setattr(FakeSocket, "recv", lambda self, size: answer(attributes, 0x10))
    monkeypatch.setattr(socket, "socket", FakeSocket)
    with pytest.raises(OSError, match="malformed"):
        Family("vdpa", 1)


def test_an_answer_without_what_was_asked_for_is_an_error():
    with answering(DONE), Family("vdpa", 1) as family, pytest.raises(OSError, match="it is empty"):
        family.ask(1, {})


@given(PIECES)
def test_any_answer_about_vdpa_devices_is_facts_and_problems(pieces):
    with tempfile.TemporaryDirectory() as directory, answering(
        *pieces
    ), pytest.MonkeyPatch.context() as patch:
        patch.setattr(netlink, "_MAX_PIECES", 20)
        tree = Tree(Path(directory) / "sys")
        tree.write("bus/vdpa/devices/vdpa0/driver_override", "")
        facts = gather_facts(Sysfs(str(tree.root)), nobody, ["vdpa"], vdpa.ask)
    for each in facts["devices"]:
        assert each["id"] not in ("", ".", "..")
        assert "/" not in each["id"]
    json.dumps(facts)


@given(PIECES)
def test_any_answer_about_ports_is_a_port_or_a_problem(pieces):
    with answering(*pieces), pytest.MonkeyPatch.context() as patch:
        patch.setattr(netlink, "_MAX_PIECES", 20)
        patch.setattr(Sysfs, "live", True)
        patch.setattr(Sysfs, "link", lambda self, *names: f"../{VF}")
        with contextlib.suppress(HostReadError):
            port = Devlink(Sysfs("/sys")).port(VF)
            if port is not None:
                devlink.migratable_request(port, True)
        with contextlib.suppress(HostReadError):
            json.dumps(Devlink(Sysfs("/sys")).versions(VF))


@given(PIECES | st.lists(LINKS, min_size=1, max_size=3))
def test_any_answer_about_functions_of_a_card_is_settings_or_a_problem(pieces):
    with answering(*pieces), pytest.MonkeyPatch.context() as patch:
        patch.setattr(netlink, "_MAX_PIECES", 20)
        patch.setattr(FakeSocket, "named", True)
        patch.setattr(Sysfs, "live", True)
        with tempfile.TemporaryDirectory() as directory:
            tree = PciTree(Path(directory) / "sys")
            tree.add_functions(2)
            tree.write(f"{BRIDGE}/{CARD}/net/eth0/ifindex", "2\n")
            with contextlib.suppress(HostReadError):
                found = VfNetwork(Sysfs(str(tree.root))).interface(CARD)
                if found is not None:
                    json.dumps(found.functions)
                    for address, settings in found.functions.items():
                        # What is told can be asked for.
                        vf_network.request(found.numbers[address], settings)


def test_one_odd_device_costs_no_other(tmp_path):
    tree = Tree(tmp_path / "sys")
    tree.write("bus/vdpa/devices/vdpa0/driver_override", "")
    good = {1: b"pci\0", 2: b"0000:01:00.0\0", 3: (2).to_bytes(8, sys.byteorder)}
    odd = [{**good, 2: b"../../etc\0"}, {2: b"x\0"}, {**good, 3: b"abc"}]
    with answering(*map(answer, odd), answer(good) + DONE):
        bus = vdpa.ask(Sysfs(str(tree.root)))
    assert [each.name for each in bus.management_devices] == ["pci/0000:01:00.0"]
    # Each of them, once as a management device and once as a device; the good one is no device.
    assert len(bus.problems) == 7
    assert all("malformed" in each.problem for each in bus.problems)


# --- mdevctl ---------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3)
    ),
    max_leaves=12,
)
DEFINITIONS = st.lists(
    st.dictionaries(
        st.sampled_from(["mtty", "0000:00:02.0"]),
        st.lists(
            st.dictionaries(
                st.sampled_from(UUIDS[:2]),
                st.fixed_dictionaries(
                    {},
                    optional={
                        "mdev_type": JSON,
                        "start": JSON,
                        "attrs": JSON | st.lists(st.dictionaries(st.text(max_size=3), JSON)),
                    },
                )
                | JSON,
            )
            | JSON,
        )
        | JSON,
    )
    | JSON,
)


def definitions(output: str):
    return Mdevctl(lambda arguments, data: (0, output, "")).definitions()


@given(JSON | DEFINITIONS)
def test_any_json_is_definitions_or_an_error(document):
    with contextlib.suppress(MdevctlError):
        for parents in definitions(json.dumps(document)).values():
            for found in parents.values():
                assert not is_defined(found, "another type", [("a", "1")])


def test_what_mdevctl_lists_is_found():
    content = definition("mtty-1", [("group/name", "1")])
    listed = [{"mtty": [{UUIDS[0]: content}, {UUIDS[1]: content}]}]
    assert definitions(json.dumps(listed)) == {
        UUIDS[0]: {"mtty": content},
        UUIDS[1]: {"mtty": content},
    }
    assert definitions("") == {}


@pytest.mark.parametrize(
    "output",
    [
        "x",
        "{",
        "null",
        "1",
        '"text"',
        "[1]",
        '[{"mtty": 1}]',
        '[{"mtty": [1]}]',
        '[{"mtty": [{"uuid": []}]}]',
        '[{"mtty": [{"uuid": {"mdev_type": 1}}]}]',
        '[{"mtty": [{"uuid": {"start": {}}}]}]',
        '[{"mtty": [{"uuid": {"attrs": "ab"}}]}]',
        '[{"mtty": [{"uuid": {"attrs": ["ab"]}}]}]',
        '[{"mtty": [{"uuid": {"attrs": [{"a": 1}]}}]}]',
        "[" * 100_000,
        "[" + "9" * 20_000 + "]",
        "[" + " " * (16 * 1024 * 1024) + "]",
    ],
    ids=lambda output: output[:60].strip(),
)
def test_malformed_definitions_are_an_error_that_says_so(output):
    with pytest.raises(MdevctlError, match=r"mdevctl (gave|lists)") as raised:
        definitions(output)
    assert len(str(raised.value)) < 1000


# --- the tool vdpa, and the kernel's log -----------------------------------------------------------------------------


@given(
    st.text()
    | st.sampled_from(
        [
            "kernel answers: ",
            "kernel answers: No such device",
            "attributes are not supported: 0x" + "f" * 5000,
            "Missing features 0x" + "f" * 5000 + " for provided attributes",
            "attributes are not supported: 0x\nkernel answers: Operation not supported",
            "x" * 100_000,
        ]
    )
    | st.text(alphabet="kernel answers: No such device\n0x")
)
def test_whatever_the_tool_says_is_its_error(said):
    with pytest.raises(VdpaError) as raised:
        VdpaTool(lambda arguments: (1, "", said)).delete("vdpa0")
    assert isinstance(str(raised.value), str)


@given(
    st.lists(
        st.binary(max_size=40) | st.sampled_from(["\u00b2,1,1,-;x".encode(), b"9" * 5000 + b",;x"])
    )
)
@example(["\u00b2,1,1,-;x".encode()])
def test_whatever_is_in_the_log_is_lines(records):
    left = list(records)
    with pytest.MonkeyPatch.context() as patch, KernelLog(True, os.devnull) as log:
        patch.setattr(os, "read", lambda descriptor, size: left.pop(0) if left else b"")
        lines = log.lines()
    assert all(each.isprintable() for each in lines)


def test_a_log_that_never_ends_keeps_nobody_waiting():
    with pytest.MonkeyPatch.context() as patch, KernelLog(True, os.devnull) as log:
        patch.setattr(os, "read", lambda descriptor, size: b"3,1,1,-;again\n")
        assert log.lines() == ["again"] * 8
