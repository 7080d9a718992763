# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages as include/uapi/linux/if_link.h has them, and questions to the kernel that runs the tests."""

from __future__ import annotations

import errno
import struct
import sys

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host import vf_network
from ansible_collections.vfio.migration.plugins.module_utils._host.netlink import (
    Links,
    decoded,
    encoded,
    text,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.plugins.module_utils._host.vf_network import (
    VfNetwork,
    decode_functions,
    request,
)
from ansible_collections.vfio.migration.tests.unit.pci_trees import (
    BRIDGE,
    CARD,
    FIRST,
    SECOND,
    PciTree,
)

SETTINGS = {
    "mac": "52:54:00:12:34:56",
    "vlan": 100,
    "qos": 3,
    "proto": "802.1ad",
    "spoofchk": True,
    "trust": False,
    "min_tx_rate": 10,
    "max_tx_rate": 1000,
    "link_state": "enable",
}


def link(*functions, address=bytes(6)):
    """Return the kernel's answer on an interface whose virtual functions have settings."""
    told = b"".join(decoded(encoded(request(*each)))[22] for each in functions)
    return decoded(encoded({1: address, 22: told}))


def test_what_a_function_is_given_is_what_is_told_of_it():
    other = {"mac": "00:00:00:00:00:00", "vlan": 0, "qos": 0}
    assert decode_functions(link((0, SETTINGS), (5, other))) == {0: SETTINGS, 5: other}


def test_what_a_driver_does_not_tell_is_missing():
    number = struct.pack("=I", 1)
    nothing = number + struct.pack("=i", -1)
    info = {1: number + bytes(32), 2: number + bytes(8), 4: nothing, 5: nothing, 9: nothing}
    answer = decoded(encoded({1: bytes(6), 22: encoded({1: encoded(info)})}))
    assert decode_functions(answer) == {1: {"mac": "00:00:00:00:00:00", "vlan": 0, "qos": 0}}


def test_of_another_network_than_ethernet_nothing_is_told():
    assert decode_functions(link((0, SETTINGS), address=bytes(20))) == {}


@pytest.mark.skipif(sys.byteorder != "little", reason="written down for such a machine")
def test_a_change_is_these_bytes():
    asked = {"vlan": 100, "qos": 0, "proto": "802.1Q", "trust": True}
    assert (
        encoded(request(2, asked)).hex()
        == (
            "2c001600" + "28000100"  # of the functions, one
            "18000c00" + "14000100" + "020000006400000000000000" + "81000000"  # its VLAN
            "0c000900" + "0200000001000000"  # its trust
        )
    )


def test_a_kernel_tells_of_its_interfaces():
    with Links() as links:
        answer = links.ask(1, {29: struct.pack("=I", 9)})
        assert text(answer[3]) == "lo"
        with pytest.raises(OSError) as raised:
            links.ask(2**31 - 1, {})
        assert raised.value.errno == errno.ENODEV
        # The answer to what is refused is an error, too: the loopback has no functions.
        with pytest.raises(OSError) as raised:
            links.change(1, request(0, {"trust": True}))
        assert raised.value.errno in (errno.EOPNOTSUPP, errno.EPERM)


class Kernel:
    """Answers as a card in the mode switchdev would: only its own interface, with the index 3, tells of its functions."""

    changes: list[object]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def ask(self, index, attributes):
        assert attributes == {29: struct.pack("=I", 9)}
        if index == 4:
            raise OSError(errno.ENODEV, "No such device")
        return link((0, SETTINGS), (1, {**SETTINGS, "vlan": 7})) if index == 3 else link()

    def change(self, index, attributes):
        self.changes.append((index, attributes))


@pytest.fixture
def tree(tmp_path, monkeypatch):
    tree = PciTree(tmp_path / "sys")
    tree.add_functions(2)
    monkeypatch.setattr(Sysfs, "live", True)
    monkeypatch.setattr(vf_network, "Links", Kernel)
    monkeypatch.setattr(Kernel, "changes", [], raising=False)
    return tree


def test_functions_are_found_by_their_address(tree):
    network = VfNetwork(Sysfs(str(tree.root)))
    assert network.interface(CARD) is None
    for name, index in (("eth0", 2), ("eth1", 4), ("eth2", 3)):
        tree.write(f"{BRIDGE}/{CARD}/net/{name}/ifindex", f"{index}\n")
    found = network.interface(CARD)
    assert (found.name, found.functions[FIRST]) == ("eth2", SETTINGS)
    assert found.functions[SECOND]["vlan"] == 7
    network.change(found, SECOND, {"mac": "52:54:00:00:00:01"})
    assert Kernel.changes == [(3, request(1, {"mac": "52:54:00:00:00:01"}))]


def test_a_kernel_that_refuses_is_a_problem_of_the_card(tree, monkeypatch):
    def refuse(self, index, attributes):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Kernel, "ask", refuse)
    tree.write(f"{BRIDGE}/{CARD}/net/eth0/ifindex", "3\n")
    with pytest.raises(HostReadError, match=f"{CARD}/net: .*not permitted"):
        VfNetwork(Sysfs(str(tree.root))).interface(CARD)


def test_of_a_copied_tree_nothing_is_asked(tree, monkeypatch):
    tree.write(f"{BRIDGE}/{CARD}/net/eth0/ifindex", "3\n")
    monkeypatch.setattr(Sysfs, "live", False)
    monkeypatch.setattr(vf_network, "Links", None)
    assert VfNetwork(Sysfs(str(tree.root))).interface(CARD) is None
