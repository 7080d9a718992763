# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.boot_units import (
    BootUnits,
    DefinedUnit,
    VdpaDefinition,
    functions_unit,
    pci_unit,
    vdpa_unit,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import ProvisionError
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Journal, place
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_apply import PciTransaction
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_plan import (
    PciPlanner,
    validate,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import (
    ABSENT,
    PRESENT,
    HostChanges,
)
from ansible_collections.vfio.migration.plugins.module_utils._host import processes
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
from ansible_collections.vfio.migration.tests.unit.pci_trees import (
    BRIDGE,
    CARD,
    FIRST,
    FUNCTIONS,
    SECOND,
    THIRD,
    TYPES,
    UNSET,
    VARIANT,
    PciKernel,
    PciTree,
    pci_host,
)
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import nobody

ACCEPT = [{"device_api": "vfio-pci", "type": "i915-GVTg_V5_8"}]


@pytest.fixture
def kernel(tmp_path: Path) -> PciKernel:
    """Build a host with two virtual functions, ``FIRST`` and ``SECOND``, that have their network driver."""
    tree = PciTree(tmp_path / "sys")
    tree.add_functions(2)
    return PciKernel(tree)


@pytest.fixture
def gpu(tmp_path: Path) -> PciKernel:
    """Build a host with two virtual functions of a GPU that have no type."""
    tree = PciTree(tmp_path / "sys")
    tree.add_functions(2, "nvidia")
    return PciKernel(tree, default="nvidia")


def device(
    address: str,
    driver: str | None = "vfio-pci",
    *attributes,
    accept=None,
    migratable=None,
    keep_driver=False,
):
    return {
        "address": address,
        "driver": driver,
        "migratable": migratable,
        "attributes": [{"name": name, "value": value} for name, value in attributes],
        "accept": accept,
        "keep_driver": keep_driver,
    }


def function(number: int | None):
    return {"address": CARD, "sriov_numvfs": number}


def apply(
    kernel: PciKernel,
    devices: t.Sequence[dict[str, t.Any]] = (),
    functions: t.Sequence[dict[str, t.Any]] = (),
    state: str = PRESENT,
    force: bool = False,
    persistent: bool = False,
    scan_holders: t.Callable[[], Holders] = nobody,
    is_free_disk: t.Callable[[str], bool] = lambda name: True,
    interrupted: t.Callable[[], str | None] = lambda: None,
) -> dict[str, t.Any]:
    wanted = validate(
        {
            "functions": functions,
            "devices": devices,
            "state": state,
            "force": force,
            "persistent": persistent,
        }
    )
    host = pci_host(kernel, scan_holders, is_free_disk)
    with Journal(place(kernel, "pci"), PciTransaction.undoers) as journal:
        transaction = PciTransaction(host, journal, 0.2, interrupted)
        return transaction.run(PciPlanner(host), wanted)[1]


def failure(kernel: PciKernel, *arguments, **others) -> ProvisionError:
    with pytest.raises(ProvisionError) as raised:
        apply(kernel, *arguments, **others)
    return raised.value


def state(kernel: PciKernel) -> dict[str, t.Any]:
    """Return what a user can see of the host: its files, and what is noted to be given back."""
    run = Path(place(kernel, "pci"))
    noted = sorted(path.name for path in run.glob("*.json"))
    return {
        "files": kernel.tree.snapshot(),
        "noted": noted,
        "journals": list(run.glob("*.journal")),
    }


def drivers(kernel: PciKernel) -> list[str | None]:
    return [kernel.tree.driver(address) for address in (FIRST, SECOND)]


# --- drivers -----------------------------------------------------------------------------------------------------------


def test_a_device_is_kept_from_other_drivers_before_it_is_taken_from_its_own(kernel):
    results = apply(kernel, [device(FIRST, VARIANT, accept=ACCEPT)])
    assert kernel.writes == [
        ("driver_override", f"{VARIANT}\n"),
        ("unbind", FIRST),
        ("bind", FIRST),
    ]
    assert results["devices"] == [
        {
            "address": FIRST,
            "action": "bound",
            "driver": VARIANT,
            "attributes": [],
            "definition": None,
            "self": {
                "device_api": "vfio-pci",
                "pci_id": "80865963",
                "software_version": "0.1.0",
                "type": "i915-GVTg_V5_8",
            },
        }
    ]


def test_a_second_time_nothing_is_written(kernel):
    devices = [device(FIRST, VARIANT, accept=ACCEPT), device(SECOND)]
    apply(kernel, devices)
    kernel.writes.clear()
    results = apply(kernel, devices)
    assert [each["action"] for each in results["devices"]] == ["unchanged", "unchanged"]
    # Nor where the driver is not named.
    apply(kernel, [device(FIRST, None, accept=ACCEPT)])
    assert kernel.writes == []


def test_a_device_is_given_back_to_the_driver_that_it_had_at_first(kernel):
    before = state(kernel)
    apply(kernel, [device(FIRST)])
    apply(kernel, [device(FIRST, VARIANT)])
    results = apply(kernel, [device(FIRST, None)], state=ABSENT)
    assert (results["devices"][0]["action"], results["devices"][0]["driver"]) == (
        "restored",
        "igbvf",
    )
    assert state(kernel) == before
    again = apply(kernel, [device(FIRST, None)], state=ABSENT)
    assert again["devices"][0]["action"] == "unchanged"


def test_a_device_without_driver_is_given_back_without(kernel):
    kernel.tree.unbind(FIRST)
    before = state(kernel)
    apply(kernel, [device(FIRST)])
    apply(kernel, [device(FIRST, None)], state=ABSENT)
    assert state(kernel) == before


def test_what_the_module_did_not_change_is_not_given_back(kernel):
    apply(kernel, [device(FIRST, None)], state=ABSENT)
    apply(kernel, [device("0000:02:00.0", None)], state=ABSENT)
    assert kernel.writes == []


def test_a_new_virtual_function_is_not_taken_for_one_that_had_its_address(kernel):
    apply(kernel, [device(FIRST)])
    kernel.tree.remove_functions()
    kernel.tree.add_functions(2, None)
    apply(kernel, [device(FIRST, None)], state=ABSENT)
    assert drivers(kernel) == [None, None]
    apply(kernel, [device(FIRST)])
    apply(kernel, [device(FIRST, None)], state=ABSENT)
    assert drivers(kernel) == [None, None]


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (device("0000:02:00.0"), "there is no such device"),
        (device(FIRST, "uio_pci_generic"), "the host has no driver uio_pci_generic"),
        (device(FIRST, None), "bound to igbvf, which is not a VFIO driver"),
        (device(CARD), "it has 2 virtual functions, which would go with its driver"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(kernel, wanted, reason):
    failed = failure(kernel, [device(SECOND), wanted])
    assert reason in str(failed)
    assert failed.details["step"] == "inspect"
    assert kernel.writes == []


def test_a_driver_that_is_not_for_vfio_is_no_use(kernel):
    kernel.tree.unbind(FIRST)
    before = state(kernel)
    kernel.default = None
    failed = failure(kernel, [device(FIRST, "igbvf")])
    assert "it is bound to igbvf, but that is not a VFIO driver" in str(failed)
    assert state(kernel) == before


def test_a_device_that_is_not_accepted_is_given_back(kernel):
    before = state(kernel)
    failed = failure(kernel, [device(FIRST), device(SECOND, accept=ACCEPT)])
    assert failed.details["step"] == "verify"
    assert failed.details["reasons"][0]["attribute"] == "type"
    assert state(kernel) == before


BOTH = [device(FIRST), device(SECOND, VARIANT)]


@pytest.mark.parametrize("number", range(1, 7))
@pytest.mark.parametrize("fault", [errno.EINVAL, errno.ENODEV, errno.EBUSY])
def test_whatever_fails_the_former_drivers_are_back(kernel, number, fault):
    before = state(kernel)
    kernel.faults[number] = fault
    failed = failure(kernel, BOTH)
    assert failed.details["errno"] == errno.errorcode[fault]
    assert failed.details["device"] == (FIRST if number <= 3 else SECOND)
    assert failed.details["left"] == []
    assert state(kernel) == before


@pytest.mark.parametrize("number", range(1, 7))
def test_what_fails_while_it_is_given_back_is_as_it_was_prepared(kernel, number):
    apply(kernel, BOTH)
    before = state(kernel)
    kernel.faults[len(kernel.writes) + number] = errno.EIO
    failed = failure(kernel, [device(FIRST, None), device(SECOND, None)], state=ABSENT)
    assert failed.details["left"] == []
    assert state(kernel) == before


def test_what_cannot_be_undone_is_told(kernel):
    kernel.faults.update({6: errno.EIO, 7: errno.EIO})
    failed = failure(kernel, BOTH)
    assert [each["device"] for each in failed.details["left"]] == [SECOND]
    assert drivers(kernel)[0] == "igbvf"


# --- killed ------------------------------------------------------------------------------------------------------------


def kill(kernel: PciKernel, number: int, *arguments: t.Any, **others: t.Any) -> None:
    """Apply changes in a process that ends right before its write ``number``, if it comes to that."""

    def end() -> None:
        if len(kernel.writes) + 1 == number:
            os._exit(9)

    child = os.fork()
    if child == 0:
        try:
            kernel.writes.clear()
            kernel.beforehand = end
            apply(kernel, *arguments, **others)
        finally:
            os._exit(1)
    assert os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize("number", range(1, 7))
def test_a_killed_call_is_undone_by_the_next(kernel, number):
    before = state(kernel)
    kill(kernel, number, BOTH)
    apply(kernel, [device(THIRD, None)], state=ABSENT)
    assert state(kernel) == before
    apply(kernel, BOTH)
    assert drivers(kernel) == ["vfio-pci", VARIANT]


@pytest.mark.parametrize("number", range(1, 6))
def test_a_killed_change_of_the_number_of_functions_is_undone_by_the_next(kernel, number):
    apply(kernel, BOTH)
    numbers = kernel.tree.snapshot()
    kill(kernel, number, [device(THIRD)], [function(3)])
    apply(kernel, [device(THIRD, None)], state=ABSENT)
    assert kernel.tree.snapshot() == numbers
    apply(kernel, [device(FIRST, None), device(SECOND, None)], state=ABSENT)
    assert drivers(kernel) == ["igbvf", "igbvf"]


def test_a_driver_that_is_being_loaded_is_waited_for(kernel, monkeypatch):
    unbind = kernel.tree.root / "bus/pci/drivers/igbvf/unbind"
    unbind.unlink()
    # It has the device before it can be told to let it go.
    monkeypatch.setattr("time.sleep", lambda seconds: unbind.touch())
    apply(kernel, [device(FIRST)])
    assert kernel.tree.driver(FIRST) == "vfio-pci"


# --- in use ------------------------------------------------------------------------------------------------------------


def held(address: str) -> t.Callable[[], Holders]:
    node = f"/dev/vfio/{ord(address[-1])}"
    return lambda: Holders({node: {"pid": 4711, "name": "vm-17"}}, complete=True)


def test_what_a_process_holds_is_left_alone(kernel):
    apply(kernel, [device(FIRST)])
    kernel.writes.clear()
    holders = held(FIRST)
    for arguments in (
        {"devices": [device(FIRST, VARIANT)]},
        {"devices": [device(FIRST, None)], "state": ABSENT},
        {"functions": [function(1)], "force": True},
        {"functions": [function(0)], "force": True},
    ):
        failed = failure(kernel, **arguments, scan_holders=holders)
        assert "process 4711 (vm-17) holds it; stop that first" in str(failed)
        assert failed.details["step"] == "inspect"
    # What needs no change may be held.
    apply(kernel, [device(FIRST)], scan_holders=holders)
    assert kernel.writes == []


def test_what_is_taken_meanwhile_is_left_alone_too(kernel):
    apply(kernel, [device(FIRST)])
    kernel.writes.clear()
    scans = iter([nobody(), held(FIRST)()])
    failed = failure(kernel, [device(FIRST, VARIANT)], scan_holders=lambda: next(scans))
    assert "process 4711 (vm-17) holds it" in str(failed)
    assert kernel.writes == []


def test_what_the_host_uses_is_left_alone(kernel):
    tree = kernel.tree
    tree.add_network_interface(FIRST, "0x1003")
    assert "its network interface eth2 is up" in str(failure(kernel, [device(FIRST)]))
    tree.write("class/net/eth2/flags", "0x1002\n")
    tree.link("class/block/nvme0n1", str(tree.device(SECOND).relative_to(tree.root) / "nvme0n1"))
    busy = failure(kernel, [device(SECOND)], is_free_disk=lambda name: name != "nvme0n1")
    assert "the host uses its disk nvme0n1" in str(busy)
    tree.link(
        "bus/mdev/devices/882cc4da", str(tree.device(SECOND).relative_to(tree.root) / "882cc4da")
    )
    assert "the mediated device 882cc4da was made on it" in str(failure(kernel, [device(SECOND)]))
    assert kernel.writes == []
    apply(kernel, [device(FIRST)])


# --- network settings --------------------------------------------------------------------------------------------------

ASKED = {"mac": "52:54:00:12:34:56", "vlan": 100, "max_tx_rate": 1000, "spoofchk": False}
GUEST = {**device(FIRST), "network": ASKED}


@pytest.fixture
def nic(kernel) -> PciKernel:
    """Let the card's network interface show what is set of each virtual function of ``kernel``."""
    kernel.network.add(FIRST)
    kernel.network.add(SECOND)
    return kernel


def test_a_function_is_given_its_network_settings_when_it_is_bound(nic):
    results = apply(nic, [GUEST])
    assert results["devices"][0]["action"] == "bound"
    assert nic.network.settings == {FIRST: {**UNSET, **ASKED}, SECOND: UNSET}
    assert nic.writes[-5][0] == "bind"
    nic.writes.clear()
    assert apply(nic, [GUEST])["devices"][0]["action"] == "unchanged"
    assert nic.writes == []
    # What is left out stays.
    later = {**device(FIRST), "network": {"qos": 3, "trust": None}}
    assert apply(nic, [later])["devices"][0]["action"] == "configured"
    assert nic.network.settings[FIRST] == {**UNSET, **ASKED, "qos": 3}


@pytest.mark.parametrize("keep_driver", [True, False])
def test_a_function_is_given_back_the_settings_that_it_had_at_first(nic, keep_driver):
    before = state(nic)
    apply(nic, [GUEST])
    apply(nic, [{**GUEST, "network": {"mac": "52:54:00:00:00:01", "qos": 3}}])
    apply(nic, [device(FIRST, keep_driver=keep_driver)], state=ABSENT)
    assert nic.network.settings == {FIRST: UNSET, SECOND: UNSET}
    assert drivers(nic)[0] == ("vfio-pci" if keep_driver else "igbvf")
    if not keep_driver:
        assert state(nic) == before


@pytest.mark.parametrize("number", range(4, 8))
def test_a_setting_that_a_driver_refuses_leaves_all_as_it_was(nic, number):
    before = state(nic)
    nic.faults[number] = errno.EOPNOTSUPP
    failed = failure(nic, [GUEST])
    assert failed.details["step"] == "network"
    assert failed.details["device"] == FIRST
    assert "of function 0 of eth0: operation not supported" in str(failed)
    assert "the driver of the physical function cannot do this" in failed.details["hint"]
    assert failed.details["left"] == []
    assert state(nic) == before


def test_a_setting_that_is_taken_and_not_kept_is_an_error(nic):
    before = state(nic)
    nic.ignored.add(5)
    failed = failure(nic, [GUEST])
    assert failed.details["step"] == "verify"
    assert "vlan=100,qos=0,proto=802.1Q was set and taken, but it reads back vlan=0" in str(failed)
    assert state(nic) == before


@pytest.mark.parametrize("number", range(1, 8))
def test_a_killed_call_leaves_the_network_settings_to_the_next(nic, number):
    before = state(nic)
    kill(nic, number, [GUEST])
    apply(nic, [device(THIRD)], state=ABSENT)
    assert state(nic) == before


@pytest.mark.parametrize("number", range(1, 7))
def test_what_fails_while_settings_are_given_back_is_as_it_was_prepared(nic, number):
    apply(nic, [GUEST])
    before = state(nic)
    nic.faults[len(nic.writes) + number] = errno.EIO
    failed = failure(nic, [device(FIRST, None)], state=ABSENT)
    assert failed.details["left"] == []
    assert state(nic) == before


def test_functions_that_are_made_again_have_the_settings_that_were_given(nic):
    apply(nic, [GUEST])
    nic.faults[len(nic.writes) + 4] = errno.EIO
    failed = failure(nic, [device(THIRD, VARIANT)], [function(3)], force=True)
    assert failed.details["left"] == []
    assert nic.network.settings == {FIRST: {**UNSET, **ASKED}, SECOND: UNSET}


def test_settings_are_not_given_to_what_cannot_have_them(kernel):
    failed = failure(kernel, [GUEST])
    assert "no network interface of its physical function shows what is set of it" in str(failed)
    kernel.network.add(FIRST)
    failed = failure(kernel, [{**GUEST, "network": {"trust": True}}])
    assert "the driver of eth0 does not show its trust" in str(failed)
    assert failed.details["step"] == "inspect"
    assert kernel.writes == []


def test_the_settings_of_a_function_that_a_process_holds_stay(nic):
    apply(nic, [GUEST])
    nic.writes.clear()
    wanted = [{**GUEST, "network": {"vlan": 7}}]
    failed = failure(nic, wanted, scan_holders=processes.unknown)
    assert failed.details["step"] == "inspect"
    assert nic.writes == []


@pytest.mark.parametrize("owner", [CARD, SECOND])
def test_no_function_gets_the_address_of_an_interface_of_the_host(nic, owner):
    nic.tree.add_network_interface(owner, "0x1002", ASKED["mac"])
    nic.tree.write("class/net/bonding_masters", "\n")
    failed = failure(nic, [GUEST])
    assert failed.details["step"] == "inspect"
    assert "the host's own network interface eth2 has the MAC address 52:54:00:12:34:56" in str(
        failed
    )
    assert nic.writes == []
    apply(nic, [{**GUEST, "network": {**ASKED, "mac": "52:54:00:00:00:01"}}])


def test_a_function_may_have_the_address_of_its_own_interface(nic):
    nic.tree.add_network_interface(FIRST, "0x1002", ASKED["mac"])
    assert apply(nic, [GUEST])["devices"][0]["action"] == "bound"


def test_no_function_gets_the_address_of_another_one_that_a_guest_has(nic):
    apply(nic, [{**GUEST, **device(SECOND), "network": ASKED}])
    holders = held(SECOND)
    failed = failure(nic, [GUEST], scan_holders=holders)
    assert f"{SECOND} of the same card has the MAC address 52:54:00:12:34:56" in str(failed)
    assert "vm-17" in str(failed)
    # An address of zeros is nobody's, and one that a free function has can be had.
    unset = {**GUEST, "network": {"mac": "00:00:00:00:00:00"}}
    apply(nic, [unset], scan_holders=holders)
    apply(nic, [GUEST])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mac": "53:54:00:12:34:56"}, "expected one function's address"),
        ({"mac": "52:54:00:12:34:56; reboot"}, "expected one function's address"),
        ({"vlan": 4095}, "from 0 to 4094"),
        ({"qos": -1}, "from 0 to 7"),
        ({"max_tx_rate": 2**31}, "from 0 to 2147483647"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, words):
    item = {**GUEST, "network": settings}
    params = {"functions": [], "devices": [item], "state": PRESENT, "force": False}
    with pytest.raises(ProvisionError, match=words):
        validate(params)


# --- devlink -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def card(kernel) -> PciKernel:
    """Give each virtual function of ``kernel`` a port in devlink."""
    kernel.ports.add(FIRST)
    kernel.ports.add(SECOND)
    return kernel


def test_a_function_is_made_migratable_before_it_is_bound(card):
    apply(card, [device(FIRST, VARIANT, migratable=True)])
    assert card.writes == [
        ("driver_override", f"{VARIANT}\n"),
        ("unbind", FIRST),
        (FIRST, "True"),
        ("bind", FIRST),
    ]
    assert card.ports.migratable == {FIRST: True, SECOND: False}
    card.writes.clear()
    assert apply(card, [device(FIRST, VARIANT, migratable=True)])["devices"][0]["action"] == (
        "unchanged"
    )
    assert card.writes == []


def test_a_function_that_has_its_driver_is_bound_anew(card):
    apply(card, [device(FIRST, VARIANT)])
    card.writes.clear()
    apply(card, [device(FIRST, None, migratable=True)])
    assert card.writes == [("unbind", FIRST), (FIRST, "True"), ("bind", FIRST)]
    assert drivers(card) == [VARIANT, "igbvf"]


def test_a_function_that_keeps_a_driver_of_the_hosts_is_refused(card):
    failed = failure(card, [device(FIRST, None, migratable=True)])
    assert "it is bound to igbvf, which is not a VFIO driver" in str(failed)
    assert card.writes == []


def test_a_function_is_given_back_as_it_was(card):
    before = state(card)
    apply(card, [device(FIRST, VARIANT, migratable=True)])
    apply(card, [device(FIRST)], state=ABSENT)
    assert card.ports.migratable == {FIRST: False, SECOND: False}
    assert state(card)["noted"] == before["noted"]
    assert drivers(card) == ["igbvf", "igbvf"]
    # What was so already is not ours to take away.
    card.ports.add(FIRST, migratable=True)
    apply(card, [device(FIRST, VARIANT, migratable=True)])
    apply(card, [device(FIRST)], state=ABSENT)
    assert card.ports.migratable[FIRST]


@pytest.mark.parametrize("number", range(1, 9))
def test_a_function_that_cannot_be_made_migratable_is_as_before(card, number):
    card.faults[number] = errno.EOPNOTSUPP
    devices = [device(FIRST, VARIANT, migratable=True), device(SECOND, migratable=True)]
    failed = failure(card, devices)
    assert failed.details["left"] == []
    assert card.ports.migratable == {FIRST: False, SECOND: False}
    assert drivers(card) == ["igbvf", "igbvf"]
    if number == 3:
        assert f"cannot set migratable of its port pci/{CARD}/0 to enable" in str(failed)
        assert "the card or its firmware cannot" in failed.details["hint"]


@pytest.mark.parametrize("number", range(1, 9))
def test_a_killed_call_leaves_the_ports_to_the_next(card, number):
    devices = [device(FIRST, VARIANT, migratable=True), device(SECOND, migratable=True)]
    kill(card, number, devices)
    apply(card, [device(THIRD)], state=ABSENT)
    assert card.ports.migratable == {FIRST: False, SECOND: False}
    assert drivers(card) == ["igbvf", "igbvf"]


def test_functions_that_are_made_again_are_as_migratable_as_they_were(card):
    apply(card, [device(FIRST, VARIANT, migratable=True)])
    card.faults[len(card.writes) + 4] = errno.EIO
    failed = failure(card, [device(THIRD, VARIANT)], [function(3)], force=True)
    assert failed.details["left"] == []
    assert drivers(card) == [VARIANT, "igbvf"]
    assert card.ports.migratable[FIRST]


def test_what_has_no_port_cannot_be_made_migratable(kernel):
    failed = failure(kernel, [device(FIRST, migratable=True)])
    assert failed.details["step"] == "inspect"
    assert "devlink shows no port of it" in str(failed)
    assert kernel.writes == []


# --- IOMMU groups ------------------------------------------------------------------------------------------------------


def test_a_device_that_shares_its_group_with_the_host_is_refused(kernel):
    kernel.tree.share_group(FIRST, SECOND)
    failed = failure(kernel, [device(FIRST)])
    assert (
        f"no guest can have it, as the host itself has others of its IOMMU group 100: {SECOND} with driver igbvf"
        in str(failed)
    )
    assert failed.details["step"] == "inspect"
    assert kernel.writes == []


@pytest.mark.parametrize("driver", [None, "pci-stub", "pcieport"])
def test_what_leaves_the_group_to_guests_does_not_matter(kernel, driver):
    kernel.tree.share_group(FIRST, SECOND)
    kernel.tree.unbind(SECOND)
    if driver:
        kernel.tree.link(f"{BRIDGE}/{SECOND}/driver", f"bus/pci/drivers/{driver}")
    assert apply(kernel, [device(FIRST)])["devices"][0]["action"] == "bound"


def test_a_whole_group_is_bound_in_one_call(kernel):
    kernel.tree.share_group(FIRST, SECOND)
    apply(kernel, [device(FIRST), device(SECOND, VARIANT)])
    assert drivers(kernel) == ["vfio-pci", VARIANT]
    # Either is given back for itself.
    apply(kernel, [device(FIRST)], state=ABSENT)
    assert drivers(kernel) == ["igbvf", VARIANT]
    assert "IOMMU group" in str(failure(kernel, [device(SECOND, VARIANT)]))


def test_new_functions_that_share_a_group_go_again(kernel):
    kernel.tree.remove_functions()
    kernel.tree.share_group(FIRST, SECOND)
    failed = failure(kernel, [device(FIRST)], [function(2)])
    assert failed.details["step"] == "verify"
    assert "IOMMU group" in str(failed)
    assert failed.details["left"] == []
    assert not list(kernel.tree.device(CARD).glob("virtfn*"))


# --- virtual functions -------------------------------------------------------------------------------------------------


def test_functions_are_made_before_the_devices_that_are_among_them(kernel):
    kernel.tree.remove_functions()
    before = state(kernel)
    results = apply(kernel, [device(SECOND, VARIANT)], [function(2)])
    assert results["functions"] == [
        {
            "address": CARD,
            "action": "resized",
            "sriov_numvfs": 2,
            "virtual_functions": [FIRST, SECOND],
            "definition": None,
            "undefined": [],
            "undefined_vdpa": [],
        }
    ]
    assert drivers(kernel) == ["igbvf", VARIANT]
    again = apply(kernel, [device(SECOND, VARIANT)], [function(2)])
    assert {each["action"] for those in again.values() for each in those} == {"unchanged"}
    given_back = apply(kernel, [device(SECOND, None)], [function(None)], state=ABSENT)
    assert given_back["functions"][0]["virtual_functions"] == []
    apply(kernel, [device(SECOND, None)], state=ABSENT)
    assert state(kernel)["files"] == before["files"]


def test_functions_that_the_host_has_go_by_force_alone(kernel):
    apply(kernel, [device(FIRST)])
    failed = failure(kernel, functions=[function(3)])
    assert f"{SECOND}: it is bound to igbvf; with 'force' it may go all the same" in str(failed)
    apply(kernel, functions=[function(3)], force=True)
    assert kernel.writes[-2:] == [("sriov_numvfs", "0"), ("sriov_numvfs", "3")]


def test_a_number_of_functions_is_known_still_when_the_driver_of_their_card_is_given_back(kernel):
    before = state(kernel)
    apply(kernel, functions=[function(0)], force=True)
    apply(kernel, [device(CARD)])
    apply(kernel, [device(CARD, None)], state=ABSENT)
    assert state(kernel) != before
    apply(kernel, functions=[function(None)], state=ABSENT)
    assert state(kernel) == before


def test_a_failure_brings_back_the_functions_that_were_there(kernel):
    apply(kernel, [device(FIRST), device(SECOND, VARIANT)])
    before = kernel.tree.snapshot()
    # Of the new functions the second one.
    kernel.faults[len(kernel.writes) + 8] = errno.EIO
    failed = failure(kernel, [device(SECOND), device(THIRD)], [function(3)])
    assert failed.details["left"] == []
    assert kernel.tree.snapshot() == before
    # They are still known to be no network devices.
    apply(kernel, [device(FIRST, None), device(SECOND, None)], state=ABSENT)
    assert drivers(kernel) == ["igbvf", "igbvf"]


@pytest.mark.parametrize(
    ("number", "devices", "reason"),
    [
        (8, [], "it can have 7 virtual functions, not 8"),
        (1, [device(SECOND)], "it would be none of so few functions"),
        (3, [device(THIRD, None)], "a new virtual function needs one"),
        (3, [device(THIRD, "uio")], "the host has no driver uio"),
    ],
)
def test_functions_that_cannot_be_are_refused(kernel, number, devices, reason):
    failed = failure(kernel, devices, [function(number)], force=True)
    assert reason in str(failed)
    assert kernel.writes == []


# --- attributes --------------------------------------------------------------------------------------------------------

TYPE = "nvidia/current_vgpu_type"
PARAMETERS = "nvidia/vgpu_params"


def test_a_type_is_reset_before_another_and_its_parameters_follow(gpu):
    apply(gpu, [device(FIRST, None, (TYPE, "1428"), (PARAMETERS, "disable_vnc=1"))])
    assert gpu.writes == [(TYPE, "1428"), (PARAMETERS, "disable_vnc=1")]
    gpu.writes.clear()
    gpu.tree.offer({"1428": "", "1429": ""})
    apply(gpu, [device(FIRST, None, (TYPE, "1429"), (PARAMETERS, "disable_vnc=1"))])
    assert gpu.writes == [(TYPE, "0"), (TYPE, "1429"), (PARAMETERS, "disable_vnc=1")]
    gpu.writes.clear()
    results = apply(gpu, [device(FIRST, None)], state=ABSENT)
    assert gpu.writes == [(TYPE, "0")]
    assert results["devices"][0]["attributes"][0] == {"name": TYPE, "value": "0"}


def test_a_type_that_a_sibling_leaves_no_room_for_is_refused_and_all_undone(gpu):
    before = state(gpu)
    failed = failure(
        gpu, [device(FIRST, None, (TYPE, "1428")), device(SECOND, None, (TYPE, "1429"))]
    )
    assert f"{SECOND}/nvidia/creatable_vgpu_types has 1428, not '1429'" in str(failed)
    assert failed.details["undone"] == [{"device": FIRST, "change": f"{TYPE}=1428"}]
    assert state(gpu) == before


def test_a_type_that_another_gave_is_given_back_with_its_parameters(gpu):
    first = gpu.tree.device(FIRST)
    (first / TYPE).write_text("1428\n")
    (first / PARAMETERS).write_text("disable_vnc=1\n")
    before = state(gpu)
    apply(gpu, [device(FIRST, None, (TYPE, "1429"), (PARAMETERS, "disable_vnc=0"))])
    gpu.tree.offer(TYPES)
    apply(gpu, [device(FIRST, None)], state=ABSENT)
    assert [(first / name).read_text() for name in (TYPE, PARAMETERS)] == [
        "1428\n",
        "disable_vnc=1\n",
    ]
    assert state(gpu)["noted"] == before["noted"]


def test_a_type_is_given_back_and_the_driver_kept_until_that_is_given_back_too(kernel):
    before = state(kernel)
    apply(kernel, [device(FIRST, "nvidia")])
    bound = state(kernel)
    apply(kernel, [device(FIRST, None, (TYPE, "1428"), (PARAMETERS, "disable_vnc=1"))])
    kept = [device(FIRST, None, keep_driver=True)]
    results = apply(kernel, kept, state=ABSENT)
    assert results["devices"][0]["action"] == "restored"
    kernel.tree.offer(TYPES)
    assert state(kernel) == bound
    assert apply(kernel, kept, state=ABSENT)["devices"][0]["action"] == "unchanged"
    apply(kernel, [device(FIRST, None)], state=ABSENT)
    assert state(kernel) == before


def test_parameters_that_are_not_asked_for_are_back_with_their_type(gpu):
    first = gpu.tree.device(FIRST)
    (first / TYPE).write_text("1428\n")
    (first / PARAMETERS).write_text("disable_vnc=1\n")
    before = state(gpu)
    # It is reset, and then the new type is not to be had.
    failed = failure(gpu, [device(FIRST, None, (TYPE, "9999"))])
    assert failed.details["left"] == []
    assert state(gpu)["noted"] == before["noted"]
    assert [(first / name).read_text() for name in (TYPE, PARAMETERS)] == [
        "1428\n",
        "disable_vnc=1\n",
    ]
    apply(gpu, [device(FIRST, None, (TYPE, "1429"))])
    assert (first / PARAMETERS).read_text() == "\n"
    gpu.tree.offer(TYPES)
    apply(gpu, [device(FIRST, None)], state=ABSENT)
    assert [(first / name).read_text() for name in (TYPE, PARAMETERS)] == [
        "1428\n",
        "disable_vnc=1\n",
    ]


def test_parameters_are_cleared_by_a_space_and_so_given_back(gpu):
    """NVIDIA, Virtual GPU Software User Guide."""
    apply(gpu, [device(FIRST, None, (TYPE, "1428"), (PARAMETERS, "disable_vnc=1"))])
    gpu.writes.clear()
    cleared = [device(FIRST, None, (TYPE, "1428"), (PARAMETERS, ""))]
    results = apply(gpu, cleared)
    assert gpu.writes == [(PARAMETERS, " ")]
    assert {"name": PARAMETERS, "value": ""} in results["devices"][0]["attributes"]
    # What the driver shows of it is as good as nothing.
    (gpu.tree.device(FIRST) / PARAMETERS).write_text(" \n")
    assert apply(gpu, cleared)["devices"][0]["action"] == "unchanged"
    gpu.writes.clear()
    wanted = device(FIRST, None, (TYPE, "1428"), (PARAMETERS, "disable_vnc=0"), accept=ACCEPT)
    assert failure(gpu, [wanted]).details["left"] == []
    assert gpu.writes == [(PARAMETERS, "disable_vnc=0"), (PARAMETERS, " ")]


def test_the_former_parameters_are_not_written_to_another_type(gpu):
    apply(gpu, [device(FIRST, None, (TYPE, "1428"), (PARAMETERS, "disable_vnc=1"))])
    gpu.writes.clear()
    wanted = device(FIRST, None, (TYPE, "1429"), (PARAMETERS, "disable_vnc=0"), accept=ACCEPT)
    assert failure(gpu, [wanted]).details["step"] == "verify"
    assert gpu.writes == [
        (TYPE, "0"),
        (TYPE, "1429"),
        (PARAMETERS, "disable_vnc=0"),
        (TYPE, "0"),
        (TYPE, "1428"),
        (PARAMETERS, "disable_vnc=1"),
    ]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_type_that_was_reset_is_back_with_its_parameters(gpu, number):
    apply(gpu, [device(FIRST, None, (TYPE, "1428"), (PARAMETERS, "disable_vnc=1"))])
    before = state(gpu)
    gpu.faults[len(gpu.writes) + number] = errno.EINVAL
    failed = failure(gpu, [device(FIRST, None, (TYPE, "1429"), (PARAMETERS, "disable_vnc=0"))])
    assert failed.details["left"] == []
    assert state(gpu) == before


# --- hostile input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["", "..", "0000:01:10.0/..", "../0000:01:10.0", "01:10.0", "0000:01:10.0\n", "0000:01:10.8"],
)
def test_addresses_lead_nowhere_else(kernel, address):
    assert "is not a PCI address" in str(failure(kernel, [device(address)]))
    assert "is not a PCI address" in str(
        failure(kernel, functions=[{**function(1), "address": address}])
    )


@pytest.mark.parametrize("driver", ["", "..", "../igb", "vfio-pci\n", "-r", "a" * 65])
def test_drivers_lead_nowhere_else(kernel, driver):
    assert "is not the name of a driver" in str(failure(kernel, [device(FIRST, driver)]))


@pytest.mark.parametrize(
    "name",
    [
        "driver_override",
        "remove",
        "../vendor",
        "/etc/passwd",
        "driver/unbind",
        "power/control",
        "nvidia/../remove",
        "a\0b",
        "a\nb",
    ],
)
def test_attributes_lead_nowhere_else(gpu, name):
    failed = failure(gpu, [device(FIRST, None, (name, "1"))])
    assert "is not the name of an attribute that may be written" in str(failed)
    assert gpu.writes == []


@pytest.mark.parametrize("name", ["sriov_numvfs", "vendor", "nvidia/planted", "planted/flags"])
def test_attributes_are_those_in_groups_and_no_links(gpu, name):
    first = gpu.tree.device(FIRST)
    (first / "nvidia/planted").symlink_to(first.parent / CARD / "sriov_numvfs")
    (first / "planted").symlink_to(first.parent / CARD)
    assert "no such attribute" in str(failure(gpu, [device(FIRST, None, (name, "1"))]))
    assert gpu.writes == []


def test_every_function_has_the_address_that_is_foretold(kernel):
    kernel.tree.remove_functions()
    results = apply(kernel, functions=[function(3)])
    assert results["functions"][0]["virtual_functions"] == FUNCTIONS


# --- defined for the next start ----------------------------------------------------------------------------------------


def units_of(kernel: PciKernel) -> BootUnits:
    return BootUnits(str(kernel.tree.root.parent / "etc/systemd/system"))


def defined(kernel: PciKernel) -> dict[str, t.Any]:
    """Return what is defined, by the name of the unit."""
    directory = kernel.tree.root.parent / "etc/systemd/system"
    units = units_of(kernel)
    return {path.name: units.read(path.name) for path in sorted(directory.glob("*.service"))}


def changes(
    kernel: PciKernel,
    devices: t.Sequence[dict[str, t.Any]] = (),
    functions: t.Sequence[dict[str, t.Any]] = (),
    present: bool = True,
) -> HostChanges:
    """Return what a persistent call would change."""
    wanted = {"state": PRESENT if present else ABSENT, "force": False, "persistent": True}
    host = pci_host(kernel, nobody, lambda name: True)
    return PciPlanner(host).plan(validate({"functions": functions, "devices": devices, **wanted}))


def reboot(kernel: PciKernel) -> None:
    """Let the host forget all but what is in ``/etc``."""
    kernel.tree.remove_functions()
    shutil.rmtree(place(kernel, "pci"), ignore_errors=True)


def test_what_is_persistent_is_defined_once_and_as_asked_for(kernel):
    arguments = ([device(FIRST, VARIANT), device(SECOND)], [function(2)])
    assert apply(kernel, *arguments)["devices"][0]["definition"] is None
    assert defined(kernel) == {}
    results = apply(kernel, *arguments, persistent=True)
    words = [each["definition"] for kind in ("functions", "devices") for each in results[kind]]
    assert words == ["defined"] * 3
    found = {name: each.definition for name, each in defined(kernel).items()}
    assert found[functions_unit(CARD)].sriov_numvfs == 2
    assert found[pci_unit(FIRST)].driver == VARIANT
    # As it was before the first call, which was not persistent.
    assert found[pci_unit(FIRST)].original.binding.driver == "igbvf"
    results = apply(kernel, *arguments, persistent=True)
    words = [each["definition"] for kind in ("functions", "devices") for each in results[kind]]
    assert words == ["unchanged"] * 3


def test_a_unit_that_was_disabled_is_enabled_again(kernel):
    apply(kernel, [device(FIRST)], persistent=True)
    link = kernel.tree.root.parent / "etc/systemd/system/multi-user.target.wants" / pci_unit(FIRST)
    link.unlink()
    assert apply(kernel, [device(FIRST)], persistent=True)["devices"][0]["definition"] == "defined"
    assert link.is_symlink()


def test_after_a_reboot_devices_are_given_back_to_what_they_were_at_first(kernel):
    kernel.tree.remove_functions()
    functions = [function(2)]
    apply(kernel, [device(FIRST, VARIANT)], functions, persistent=True)
    reboot(kernel)
    # What the units do.
    kernel.tree.add_functions(2)
    kernel.tree.unbind(FIRST)
    (kernel.tree.device(FIRST) / "driver_override").write_text(f"{VARIANT}\n")
    kernel.tree.bind(FIRST, VARIANT)
    again = apply(kernel, [device(FIRST, VARIANT)], functions, persistent=True)
    assert [each["action"] for each in again["devices"] + again["functions"]] == ["unchanged"] * 2
    assert [each["definition"] for each in again["devices"]] == ["unchanged"]
    results = apply(kernel, [device(FIRST, None)], state=ABSENT, persistent=True)
    assert [each["definition"] for each in results["devices"]] == ["undefined"]
    assert kernel.tree.driver(FIRST) == "igbvf"
    apply(kernel, functions=[function(None)], state=ABSENT, persistent=True)
    assert not list(kernel.tree.device(CARD).glob("virtfn*"))
    assert defined(kernel) == {}


def test_what_is_not_persistent_leaves_definitions_alone(kernel):
    apply(kernel, [device(FIRST)], persistent=True)
    before = defined(kernel)
    apply(kernel, [device(FIRST, None)], state=ABSENT)
    assert kernel.tree.driver(FIRST) == "igbvf"
    assert defined(kernel) == before
    # And one without its device goes all the same.
    reboot(kernel)
    results = apply(kernel, [device(FIRST, None)], state=ABSENT, persistent=True)
    assert [each["definition"] for each in results["devices"]] == ["undefined"]
    assert defined(kernel) == {}


@pytest.mark.parametrize("listed", [False, True], ids=["its function", "both"])
@pytest.mark.parametrize("number", [2, 1, 0, None])
def test_what_is_defined_of_functions_goes_with_them(kernel, number, listed):
    """At the next start of the host each would wait for a function that does not come, and fail."""
    kernel.tree.remove_functions()
    apply(kernel, [device(FIRST), device(SECOND)], [function(2)], persistent=True)
    present = number is not None
    # One that is given back and keeps its driver has none to keep when it is gone.
    devices = [] if present or not listed else [device(SECOND, None, keep_driver=True)]
    result = apply(
        kernel, devices, [function(number)], PRESENT if present else ABSENT, persistent=True
    )
    gone = [FIRST, SECOND][number or 0 :]
    assert result["functions"][0]["undefined"] == [
        each for each in gone if not devices or each != SECOND
    ]
    assert set(defined(kernel)) == {
        *(pci_unit(each) for each in (FIRST, SECOND) if each not in gone),
        *([functions_unit(CARD)] if number else []),
    }
    if not devices:
        assert not changes(kernel, functions=[function(number)], present=present).changed


def test_definitions_that_outlived_their_functions_go_and_others_stay(kernel):
    apply(kernel, [device(FIRST), device(SECOND)], [function(2)], persistent=True)
    apply(kernel, functions=[function(1)])
    assert pci_unit(SECOND) in defined(kernel)
    # One of a card that was there before, at an address that would be of this card's functions.
    other = dataclasses.replace(
        defined(kernel)[pci_unit(SECOND)].definition, address=THIRD, parent="0000:02:00.0"
    )
    units_of(kernel).write(pci_unit(THIRD), DefinedUnit(other, True))
    foretold = changes(kernel, functions=[function(1)])
    assert foretold.predicted()["functions"][0]["undefined"] == [SECOND]
    diff = foretold.diff()
    stated = {"driver": "vfio-pci", "attributes": []}
    assert diff["before"][CARD]["definitions"] == {SECOND: stated}
    assert diff["after"][CARD]["definitions"] == {SECOND: None}
    kernel.writes.clear()
    assert apply(kernel, functions=[function(1)], persistent=True) == foretold.predicted()
    assert kernel.writes == []
    assert set(defined(kernel)) == {functions_unit(CARD), pci_unit(FIRST), pci_unit(THIRD)}


def define_vdpa(kernel: PciKernel, name: str, mgmtdev: str, parent: str | None = CARD) -> str:
    """Let a vDPA device be defined as its own module does; return the name of its unit."""
    definition = VdpaDefinition(name, mgmtdev, parent, "vhost_vdpa", [])
    units_of(kernel).write(vdpa_unit(name), DefinedUnit(definition, True))
    return vdpa_unit(name)


@pytest.mark.parametrize("number", [2, 1, 0, None])
def test_what_is_defined_of_vdpa_devices_goes_with_their_functions(kernel, number):
    kernel.tree.remove_functions()
    apply(kernel, [device(FIRST), device(SECOND)], [function(2)])
    apply(kernel, functions=[function(2)], persistent=True)
    on = {each: define_vdpa(kernel, f"vdpa-{each}", f"pci/{each}") for each in (FIRST, SECOND)}
    others = {
        define_vdpa(kernel, "simulated", "vdpasim_net", None),
        define_vdpa(kernel, "subfunction", "auxiliary/mlx5_core.sf.2"),
        define_vdpa(kernel, "of-an-earlier-card", f"pci/{SECOND}", "0000:02:00.0"),
    }
    # Nobody knows what it is of.
    damaged = kernel.tree.root.parent / "etc/systemd/system" / vdpa_unit("damaged")
    damaged.write_text("[Unit]\n")
    wanted = [function(number)]
    present = number is not None
    foretold = changes(kernel, functions=wanted, present=present).predicted()
    result = apply(kernel, functions=wanted, state=PRESENT if present else ABSENT, persistent=True)
    gone = [FIRST, SECOND][number or 0 :]
    assert result["functions"][0]["undefined_vdpa"] == [f"vdpa-{each}" for each in gone]
    assert foretold["functions"][0]["undefined_vdpa"] == [f"vdpa-{each}" for each in gone]
    damaged.unlink()
    assert set(defined(kernel)) == {
        *others,
        *(on[each] for each in on if each not in gone),
        *([functions_unit(CARD)] if number else []),
    }


def test_a_definition_of_a_vdpa_device_that_changes_meanwhile_stays(kernel):
    apply(kernel, [device(FIRST), device(SECOND)])
    define_vdpa(kernel, "vdpa0", f"pci/{SECOND}")
    foretold = changes(kernel, functions=[function(1)])
    assert foretold.diff()["before"][CARD]["definitions"] == {
        "vdpa0": {"mgmtdev": f"pci/{SECOND}", "attributes": []}
    }

    def redefine() -> None:
        define_vdpa(kernel, "vdpa0", f"pci/{FIRST}")

    failed = failure(kernel, functions=[function(1)], persistent=True, interrupted=redefine)
    assert "defines has changed meanwhile; try again" in str(failed)
    assert defined(kernel)[vdpa_unit("vdpa0")].definition.mgmtdev == f"pci/{FIRST}"
    assert len(list(kernel.tree.device(CARD).glob("virtfn*"))) == 2


def test_a_failure_brings_the_definitions_of_functions_back(kernel, monkeypatch):
    apply(kernel, [device(FIRST), device(SECOND)], [function(2)], persistent=True)
    define_vdpa(kernel, "vdpa0", f"pci/{SECOND}")
    before, files = defined(kernel), state(kernel)
    write = BootUnits.write

    def fail(units, unit, new):
        if unit == pci_unit(FIRST):
            raise OSError(errno.ENOSPC, "no space left", unit)
        write(units, unit, new)

    monkeypatch.setattr(BootUnits, "write", fail)
    # The last of the functions goes first.
    failed = failure(kernel, [device(FIRST, VARIANT)], [function(1)], persistent=True)
    assert failed.details["left"] == []
    assert defined(kernel) == before
    assert state(kernel) == files


def test_who_keeps_the_driver_keeps_what_is_defined_of_it(gpu):
    typed = ("nvidia/current_vgpu_type", "1429")
    apply(gpu, [device(FIRST, "nvidia", typed)], persistent=True)
    # The driver is not named, and so stays.
    again = apply(gpu, [device(FIRST, None, ("current_vgpu_type", "1429"))], persistent=True)
    assert again["devices"][0]["definition"] == "unchanged"
    apply(gpu, [device(FIRST, None, keep_driver=True)], state=ABSENT, persistent=True)
    found = defined(gpu)[pci_unit(FIRST)].definition
    assert (found.driver, found.attributes) == ("nvidia", [])
    apply(gpu, [device(SECOND, None, typed)], persistent=True)
    apply(gpu, [device(SECOND, None, keep_driver=True)], state=ABSENT, persistent=True)
    assert list(defined(gpu)) == [pci_unit(FIRST)]


def test_a_failure_leaves_definitions_as_they_were(kernel, monkeypatch):
    apply(kernel, [device(FIRST)], persistent=True)
    before, files = defined(kernel), state(kernel)
    write, written = BootUnits.write, []

    def fail(units, unit, new):
        written.append(unit)
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "no space left", unit)
        write(units, unit, new)

    monkeypatch.setattr(BootUnits, "write", fail)
    failed = failure(kernel, [device(FIRST, VARIANT), device(SECOND)], persistent=True)
    assert failed.details["step"] == "define"
    assert failed.details["left"] == []
    assert defined(kernel) == before
    assert state(kernel) == files


@pytest.mark.parametrize("number", range(4))
def test_a_call_that_is_killed_while_it_defines_is_undone_by_the_next(kernel, number, monkeypatch):
    apply(kernel, [device(FIRST)], persistent=True)
    before, files = defined(kernel), state(kernel)
    child = os.fork()
    if child == 0:
        try:
            write, steps = BootUnits.write, []

            def killed(units, unit, new):
                steps.append(unit)
                if len(steps) * 2 - 2 == number:
                    os._exit(9)
                write(units, unit, new)
                if len(steps) * 2 - 1 == number:
                    os._exit(9)

            monkeypatch.setattr(BootUnits, "write", killed)
            apply(kernel, [device(FIRST, VARIANT), device(SECOND)], persistent=True)
        finally:
            os._exit(1)
    assert os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 9
    apply(kernel, [device(THIRD, None)], state=ABSENT)
    assert defined(kernel) == before
    assert state(kernel) == files


def test_a_controller_of_disks_is_not_defined(kernel):
    (kernel.tree.device(FIRST) / "class").write_text("0x010802\n")
    failed = failure(kernel, [device(FIRST)], persistent=True)
    assert "a controller of disks cannot be persistent" in str(failed)
    assert kernel.writes == []
    assert apply(kernel, [device(FIRST)])["devices"][0]["action"] == "bound"


@pytest.mark.parametrize("arguments", [{}, {"state": ABSENT}])
def test_a_definition_that_cannot_be_read_stops_the_call_in_time(kernel, arguments):
    apply(kernel, [device(FIRST)], persistent=True)
    path = Path(units_of(kernel).path(pci_unit(FIRST)))
    path.write_text(path.read_text() + "# by hand\n")
    kernel.writes.clear()
    failed = failure(kernel, [device(FIRST, VARIANT)], persistent=True, **arguments)
    assert str(path) in str(failed)
    assert kernel.writes == []
