# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages as include/uapi/linux/devlink.h has them; no card that sends them was at hand."""

from __future__ import annotations

import errno
import os
import struct
import sys
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import (
    driver_profile,
)
from ansible_collections.vfio.migration.plugins.module_utils._host import devlink as devlink_module
from ansible_collections.vfio.migration.plugins.module_utils._host.device import KernelFiles
from ansible_collections.vfio.migration.plugins.module_utils._host.devlink import (
    Devlink,
    Port,
    decode_function,
    decode_port,
    migratable_request,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.netlink import decoded, encoded
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import PCI_DEVICES, Sysfs
from ansible_collections.vfio.migration.tests.unit.pci_trees import CARD, FIRST, SECOND, PciTree

ROCE, MIGRATABLE = 1, 2


def answer_about(
    on=0, known=ROCE | MIGRATABLE, device=CARD, flavour=4, pf=0, vf=1, external=0, bus="pci"
):
    """Return the kernel's answer on the port of a virtual function: of the capabilities ``known``, those in ``on`` are set."""
    return decoded(
        encoded(
            {
                1: bus.encode() + b"\0",
                2: device.encode() + b"\0",
                3: struct.pack("=I", 2),
                4: struct.pack("=H", 2),
                77: struct.pack("=H", flavour),
                127: struct.pack("=H", pf),
                128: struct.pack("=H", vf),
                149: struct.pack("=B", external),
                0x8000 | 145: encoded({1: bytes(6), 4: struct.pack("=II", on, known)}),
            }
        )
    )


def answer_of_card(versions):
    """Return the kernel's answer on a card with these versions, each with the number of its attribute."""
    data = encoded({1: b"pci\0", 2: CARD.encode() + b"\0", 98: b"mlx5_core\0"})
    for kind, name, value in versions:
        entry = encoded({103: name.encode() + b"\0", 104: value.encode() + b"\0"})
        data += encoded({0x8000 | kind: entry})
    return decoded(data)


@pytest.mark.parametrize(
    ("on", "known", "migratable"),
    [
        (MIGRATABLE, ROCE | MIGRATABLE, True),
        (ROCE, ROCE | MIGRATABLE, False),
        (ROCE, ROCE, None),
        (MIGRATABLE, 0, None),
    ],
)
def test_a_port_tells_whether_its_function_may_be_migrated(on, known, migratable):
    port = decode_port(answer_about(on, known))
    assert (port.name, port.migratable) == (f"pci/{CARD}/2", migratable)


def test_a_port_of_an_older_kernel_does_not_tell():
    answer = answer_about()
    del answer[145]
    assert decode_port(answer).migratable is None


def test_a_port_belongs_to_one_function_of_this_host():
    assert decode_function(answer_about(vf=3)) == (CARD, 3)
    for other in (
        answer_about(flavour=3),
        answer_about(pf=1),
        answer_about(external=1),
        answer_about(bus="auxiliary"),
        {each: value for each, value in answer_about().items() if each != 77},
    ):
        assert decode_function(other) is None


@pytest.mark.parametrize("migratable", [True, False])
def test_what_is_asked_for_is_what_the_kernel_then_tells(migratable):
    change = migratable_request(Port(CARD, 2, not migratable), migratable)
    answer = answer_about()
    answer.update(decoded(encoded(change)))
    port = decode_port(answer)
    assert (port.name, port.migratable) == (f"pci/{CARD}/2", migratable)
    # Of the other capabilities nothing is said.
    assert decoded(answer[145])[4] == struct.pack("=II", MIGRATABLE * migratable, MIGRATABLE)


@pytest.mark.skipif(sys.byteorder != "little", reason="written down for such a machine")
def test_a_change_is_these_bytes():
    assert encoded(migratable_request(Port("0000:06:00.0", 2, False), True)).hex() == (
        "0800010070636900"  # pci
        "11000200303030303a30363a30302e3000000000"  # 0000:06:00.0
        "0800030002000000"
        "10009180" + "0c0004000200000002000000"  # of the function, the capabilities
    )


class Kernel:
    """Answers as a card with two virtual functions in use would."""

    changes: t.ClassVar[list[object]] = []

    def __init__(self, name, version):
        assert (name, version) == ("devlink", 1)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def dump(self, command):
        assert command == 5
        return [
            answer_about(flavour=0),
            answer_about(on=MIGRATABLE, vf=0),
            answer_about(vf=1),
            answer_about(vf=7),
        ]

    def ask(self, command, attributes):
        assert (command, attributes) == (51, {1: b"pci\0", 2: CARD.encode() + b"\0"})
        return answer_of_card(
            [(100, "fw.psid", "MT_0000000838"), (101, "fw.version", "28.39.1002")]
        )

    def change(self, command, attributes):
        self.changes.append((command, attributes))


@pytest.fixture
def sysfs(tmp_path, monkeypatch):
    tree = PciTree(tmp_path / "sys")
    tree.add_functions(2)
    monkeypatch.setattr(Sysfs, "live", True)
    monkeypatch.setattr(devlink_module, "Family", Kernel)
    monkeypatch.setattr(Kernel, "changes", [])
    return Sysfs(str(tree.root))


def test_ports_are_found_by_the_address_of_their_function(sysfs):
    devlink = Devlink(sysfs)
    found = [devlink.port(address) for address in (FIRST, SECOND)]
    assert [each.migratable for each in found] == [True, False]
    assert devlink.port(CARD) is None
    devlink.set_migratable(found[1], True)
    assert Kernel.changes == [(6, migratable_request(found[1], True))]


def test_a_kernel_without_devlink_has_no_ports(sysfs, monkeypatch):
    def missing(name, version):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(devlink_module, "Family", missing)
    assert Devlink(sysfs).port(FIRST) is None


def test_of_a_copied_tree_nothing_is_asked(sysfs, monkeypatch):
    monkeypatch.setattr(Sysfs, "live", False)
    monkeypatch.setattr(devlink_module, "Family", None)
    assert Devlink(sysfs).port(FIRST) is None
    assert Devlink(sysfs).versions(CARD) == {}


def test_all_versions_of_a_card_are_told():
    stored = [
        (102, "fw.version", "28.40.1000"),
        (101, "fw.version", "28.39.1002"),
        (101, "fw", "x"),
    ]
    assert devlink_module.decode_versions(answer_of_card(stored)) == {
        "fw.version": "28.39.1002",
        "fw": "x",
    }


@pytest.mark.parametrize("rdma", [{}, {"fw_ver": "28.38.1000"}])
def test_firmware_and_board_of_a_function_are_those_that_devlink_tells(sysfs, rdma):
    for name, value in rdma.items():
        place = f"{sysfs.path(PCI_DEVICES, CARD)}/infiniband/mlx5_0"
        os.makedirs(place, exist_ok=True)
        with open(f"{place}/{name}", "w") as file:
            file.write(value + "\n")
    attributes = driver_profile("pci", "mlx5_vfio_pci").attributes
    found = dict(attributes(KernelFiles(sysfs, PCI_DEVICES, FIRST)))
    # What an RDMA device shows comes first.
    assert found == {"fw_ver": "28.39.1002", "board_id": "MT_0000000838", **rdma}


@pytest.mark.parametrize("number", [errno.ENODEV, errno.EOPNOTSUPP])
def test_a_card_that_devlink_tells_nothing_of_has_no_versions(sysfs, monkeypatch, number):
    def fails(self, command, attributes):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Kernel, "ask", fails)
    assert Devlink(sysfs).versions(CARD) == {}
