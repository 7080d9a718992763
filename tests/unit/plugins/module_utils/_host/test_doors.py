# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fuzzers of what a host's kernel, its tools and its trees of files say to the modules that run there."""

from __future__ import annotations

import errno
import json
import os
import socket
import tarfile
import tempfile
import typing as t
from io import BytesIO
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DescriptorError,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    is_printable,
)
from ansible_collections.vfio.migration.plugins.module_utils._host import netlink, vdpa
from ansible_collections.vfio.migration.plugins.module_utils._host.capture import captured
from ansible_collections.vfio.migration.plugins.module_utils._host.descriptor_files import (
    read_stated_descriptor,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.devlink import (
    Devlink,
    Port,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.kernel_log import KernelLog
from ansible_collections.vfio.migration.plugins.module_utils._host.mdevctl import (
    Mdevctl,
    MdevctlError,
    autostart_problem,
    is_defined,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa_tool import (
    VdpaError,
    VdpaTool,
)
from ansible_collections.vfio.migration.tests.unit.fuzzing import (
    ANY_TEXT,
    damaged,
    limits,
    spliced,
    spliced_bytes,
    through,
)
from ansible_collections.vfio.migration.tests.unit.pci_trees import CARD, FIRST, PciTree
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import SELF, UUIDS, Tree
from ansible_collections.vfio.migration.tests.unit.vdpa_recordings import ANSWERS
from hypothesis import given
from hypothesis import strategies as st

# --- netlink ---------------------------------------------------------------------------------------------------------

RECORDED = [bytes.fromhex(message) for messages in ANSWERS.values() for message in messages]
# A port of a virtual function, as devlink answers about it, with the headers before it.
PORT = netlink._HEADER.pack(0, 24, 2, 0, 0) + bytes(4)
PORT += netlink.encoded(
    {
        1: b"pci\0",
        2: CARD.encode() + b"\0",
        3: (2).to_bytes(4, "little"),
        77: (4).to_bytes(2, "little"),
        127: bytes(2),
        128: (1).to_bytes(2, "little"),
        0x8000 | 145: netlink.encoded({4: bytes(8)}),
    }
)
DONE = netlink._HEADER.pack(20, 3, 2, 0, 0) + bytes(4)
MESSAGES = st.one_of(
    st.sampled_from([*RECORDED, PORT, DONE]).flatmap(spliced_bytes),
    st.sampled_from([*RECORDED, DONE]),
    st.binary(max_size=64),
)


class Kernel:
    """A socket of netlink that answers with whatever it is given, and then as a kernel that has no more to say."""

    def __init__(self, messages: t.Iterable[bytes]) -> None:
        self._messages = list(messages)

    def __call__(self, *arguments: object) -> Kernel:
        return self

    def recv(self, size: int) -> bytes:
        if not self._messages:
            raise socket.timeout("timed out")
        return self._messages.pop(0)[:size]

    def send(self, data: bytes) -> int:
        return len(data)

    def settimeout(self, seconds: float) -> None:
        pass

    def bind(self, address: tuple[int, int]) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def live() -> t.Iterator[Sysfs]:
    """Return a tree, taken for that of the running kernel, with a virtual function and a bus of vDPA devices."""
    with tempfile.TemporaryDirectory() as place:
        tree = PciTree(Path(place, "sys"))
        tree.add_functions(1)
        (tree.root / "bus/vdpa/devices").mkdir(parents=True)
        yield Live(str(tree.root))


class Live(Sysfs):
    """A tree that is taken for that of the running kernel."""

    live = True


def answered(messages: list[bytes], door: t.Callable[[], t.Any], errors: t.Any) -> t.Any:
    """Return what is behind a door to a kernel that has the family and then sends ``messages``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.socket", Kernel([RECORDED[0], *messages]))
        return through(door, errors)


@given(st.binary(max_size=200) | st.sampled_from(RECORDED).flatmap(spliced_bytes))
def test_attributes_are_bytes_by_number_whatever_the_lengths_say(data):
    found = through(lambda: netlink.decoded(data), OSError)
    for number, value in (found or {}).items():
        assert 0 <= number <= 0x3FFF
        assert value in data


@given(st.lists(MESSAGES, max_size=4), st.booleans())
def test_an_answer_is_attributes_or_the_kernels_error(messages, all_of_them):
    def ask():
        with netlink.Family("vdpa", 1) as family:
            return family.dump(5) if all_of_them else [family.ask(6, {4: b"vdpa0\0"})]

    for answer in answered(messages, ask, OSError) or []:
        assert all(isinstance(value, bytes) for value in answer.values())


@given(st.lists(MESSAGES, max_size=2))
def test_a_family_is_there_or_an_error(messages):
    def ask():
        with netlink.Family("vdpa", 1):
            return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.socket", Kernel(messages))
        through(ask, OSError)


@given(st.lists(MESSAGES, max_size=6))
def test_what_the_kernel_answers_about_vdpa_devices_is_these_or_problems(live, messages):
    bus = answered(messages, lambda: vdpa.ask(live), HostReadError)
    if bus is not None:
        assert all(isinstance(each, vdpa.ManagementDevice) for each in bus.management_devices)
        assert all(is_printable(str(each)) for each in bus.problems)
        for device in bus.devices:
            through(device.descriptor, DescriptorError)
            assert all(isinstance(each["value"], str) for each in device.attributes())


@given(st.lists(MESSAGES, max_size=4))
def test_what_devlink_answers_about_ports_is_one_or_none(live, messages):
    port = answered(messages, lambda: Devlink(live).port(FIRST), HostReadError)
    assert port is None or isinstance(port, Port)


# --- tools -----------------------------------------------------------------------------------------------------------

DEFINED = [
    {
        "0000:00:02.0": [
            {
                UUIDS[0]: {
                    "mdev_type": "i915-GVTg_V5_4",
                    "start": "auto",
                    "attrs": [{"intel_vgpu/aggregator": "2"}],
                }
            },
            {UUIDS[1]: {"mdev_type": "i915-GVTg_V5_8", "start": "manual"}},
        ]
    },
    {"matrix": []},
]
OUTPUTS = st.one_of(
    damaged(DEFINED).map(json.dumps),
    spliced(json.dumps(DEFINED), ('"', "[", "{", "}", "]" * 9, ",", "1e999", "NaN")),
    st.sampled_from(["[" * 100_000, '{"a":' * 100_000, "", "null", "7", '"x"', "9" * 70_000]),
)


@given(st.sampled_from([0, 0, 0, 0, 1, -9]), OUTPUTS, ANY_TEXT)
def test_what_mdevctl_lists_is_definitions_or_an_error(status, output, error):
    tool = Mdevctl(lambda arguments, data: (status, output, error))
    found = through(tool.definitions, MdevctlError)
    for uuid, parents in (found or {}).items():
        assert isinstance(uuid, str)
        for parent, each in parents.items():
            assert isinstance(parent, str)
            wanted = [("aggregator", "2")]
            with limits():
                assert is_defined(each, "i915-GVTg_V5_4", wanted) in (True, False)


RULE = b'ACTION=="change", RUN+="/bin/sh -c \'/usr/sbin/mdevctl start-parent-mdevs %k 2>&3\'"\n'


@given(spliced_bytes(RULE) | st.binary(max_size=100))
def test_whatever_a_rule_of_udev_says_it_is_read(content):
    with tempfile.TemporaryDirectory() as place:
        Path(place, "60-mdevctl.rules").write_bytes(content)
        problem = through(lambda: autostart_problem([place]), HostReadError)
    assert problem is None or isinstance(problem, str)


SAID = (
    "Error: mlx5_core: Some provided attributes are not supported: 0x102000.\n",
    "Error: vdpa: Missing features 0x300000020 for provided attributes.\n",
    "kernel answers: No space left on device\n",
    "kernel answers: Operation not supported\n",
)


@given(
    st.sampled_from([0, 1, 1, 1, 255, -9]),
    st.sampled_from(SAID).flatmap(lambda text: spliced(text, (*SAID, "0x", "f" * 20_000))),
    ANY_TEXT,
    st.sampled_from(["net", "block", None, "x"]),
)
def test_what_vdpa_says_is_success_or_an_error_with_a_cause(status, error, output, device_class):
    tool = VdpaTool(lambda arguments: (status, output, error))
    through(lambda: tool.add("vdpa0", "vdpasim_net", [("mtu", "1500")], device_class), VdpaError)
    through(lambda: tool.delete("vdpa0"), VdpaError)


# --- files -----------------------------------------------------------------------------------------------------------

RECORD = "3,100,12345,-;i915 0000:00:02.0: no room\n SUBSYSTEM=pci\n DEVICE=+pci:0000:00:02.0\n"
RECORDS = st.lists(
    st.one_of(
        spliced(RECORD, (";", ",", "\u00b2", "9" * 5000)).map(
            lambda text: text.encode("utf-8", "surrogatepass")
        ),
        st.binary(max_size=60),
        st.sampled_from([errno.EPIPE, errno.EINVAL]),
    ),
    max_size=12,
)


@given(RECORDS)
def test_what_the_kernel_logs_is_a_few_lines_that_can_be_shown(records):
    def read(descriptor, size):
        if not records:
            raise BlockingIOError(errno.EAGAIN, "")
        record = records.pop(0)
        if isinstance(record, int):
            raise OSError(record, "")
        return record

    with tempfile.NamedTemporaryFile() as file, pytest.MonkeyPatch.context() as patch, KernelLog(
        True, file.name
    ) as log:
        patch.setattr(os, "read", read)
        lines = through(log.lines, ())
        patch.undo()
    assert len(lines) <= 8
    assert all(is_printable(line) and len(line) <= 300 for line in lines)


STATED = SELF.format(type="i915-GVTg_V5_4", aggregator=2)
FILES = st.one_of(
    spliced(STATED, ("=", "COMPATIBLE:", "a=1\n" * 70, "{v:int:1,2}", "x" * 1025)).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    ),
    st.binary(max_size=60),
)
NAMES = ("self", "compatible", "compatible2", "compatible/sub", "self/type", "compatible/type")


@given(st.dictionaries(st.sampled_from(NAMES), FILES, max_size=5))
def test_what_a_driver_states_is_a_descriptor_or_an_error_with_its_file(files):
    with tempfile.TemporaryDirectory() as place:
        tree = Tree(Path(place, "sys"))
        tree.add_gpu()
        device = tree.add_mdev(UUIDS[0])
        for name, content in sorted(files.items()):
            path = tree.root / device / "migration" / name
            if not any(each.is_file() for each in path.parents) and not path.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        with Sysfs(str(tree.root)).open(device) as directory:
            found = through(
                lambda: read_stated_descriptor(directory, directory.entries()), HostReadError
            )
    if found is not None:
        assert set(found) == {"origin", "self", "compatible"}
        for each in (found["self"], *found["compatible"]):
            assert all(isinstance(text, str) for pair in each.items() for text in pair)


PLACES = ("", "intel_vgpu", "intel_vgpu/aggregator", "migration/self", "d/" * 300 + "x", "x\udcff")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(PLACES),
            st.one_of(
                st.binary(max_size=20), st.sampled_from(["pipe", "up", "/etc/passwd", "itself"])
            ),
        ),
        max_size=4,
    )
)
def test_a_copy_of_any_tree_is_an_archive_of_what_is_below_it(changes):
    with tempfile.TemporaryDirectory() as place:
        tree = Tree(Path(place, "sys"))
        tree.add_gpu()
        device = tree.root / tree.add_mdev(UUIDS[0])
        for name, content in changes:
            put(device / name, content)
        archive = through(lambda: captured(Sysfs(str(tree.root))), ())
    with tarfile.open(fileobj=BytesIO(archive)) as opened:
        for member in opened.getmembers():
            assert member.name.startswith("sys/")
            assert ".." not in member.name.split("/")
            assert b"root:" not in (opened.extractfile(member).read() if member.isfile() else b"")


def put(path: Path, content: bytes | str) -> None:
    """Put a file, a pipe or a link at ``path``, in the stead of what is there but a directory."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path) and not path.is_dir():
            path.unlink()
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to({"up": "..", "itself": path.name}.get(content, content))
    except OSError:
        pass
