# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import ProvisionError
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Step, place
from ansible_collections.vfio.migration.plugins.module_utils._change.original_state import (
    StoredBinding,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_apply import BindDriver
from ansible_collections.vfio.migration.plugins.module_utils._host import processes
from ansible_collections.vfio.migration.plugins.modules import vfio_pci
from ansible_collections.vfio.migration.tests.unit.journals import (
    SPOILT,
    contents,
    leave,
    spoil,
)
from ansible_collections.vfio.migration.tests.unit.pci_trees import (
    BRIDGE,
    CARD,
    FIRST,
    SECOND,
    VARIANT,
    PciKernel,
    PciTree,
)
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import nobody

FUNCTION = {"address": CARD, "sriov_numvfs": 2}
DEVICE = {"address": FIRST, "driver": VARIANT}


@pytest.fixture(autouse=True)
def kernel(tmp_path, monkeypatch):
    """Build a host with a card that has no virtual functions yet, and where nobody holds a device."""
    kernel = PciKernel(PciTree(tmp_path / "sys"))
    monkeypatch.setattr(vfio_pci, "Sysfs", lambda root: kernel)
    monkeypatch.setattr(processes, "unknown", nobody)
    return kernel


def test_it_prepares_and_then_changes_nothing(run_module):
    prepared = run_module(vfio_pci.main, functions=[FUNCTION], devices=[DEVICE])
    assert prepared["changed"] is True
    assert prepared["recovered"] == []
    assert prepared["devices"][0]["self"]["type"] == "i915-GVTg_V5_8"
    again = run_module(vfio_pci.main, functions=[FUNCTION], devices=[DEVICE])
    assert again["changed"] is False
    assert again["devices"] == [{**prepared["devices"][0], "action": "unchanged"}]


def test_a_parent_as_facts_have_it_is_taken(run_module, kernel):
    device = {**DEVICE, "parent": CARD}
    made = run_module(vfio_pci.main, functions=[FUNCTION], devices=[device])
    assert made["changed"] is True
    assert run_module(vfio_pci.main, devices=[{"id": FIRST, "parent": CARD}])["changed"] is False
    assert run_module(vfio_pci.main, devices=[device], state="absent")["changed"] is True


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ({"id": FIRST, "parent": "0000:99:00.0"}, f"it is a virtual function of {CARD}"),
        ({"id": CARD, "parent": CARD}, "it is not a virtual function and has no parent"),
        ({"id": FIRST, "parent": "card"}, "is not a PCI address"),
    ],
)
@pytest.mark.parametrize("state", ["present", "absent"])
def test_another_parent_is_refused_before_anything_is_touched(
    run_module, kernel, device, reason, state
):
    run_module(vfio_pci.main, functions=[FUNCTION], devices=[DEVICE])
    before = kernel.tree.snapshot()
    failed = run_module(vfio_pci.main, devices=[device], state=state)
    assert failed["failed"] and reason in failed["msg"]
    assert kernel.tree.snapshot() == before


def test_another_parent_of_a_function_that_is_still_to_be_made_is_refused(run_module, kernel):
    before = kernel.tree.snapshot()
    device = {**DEVICE, "parent": "0000:99:00.0"}
    failed = run_module(vfio_pci.main, functions=[FUNCTION], devices=[device])
    assert failed["failed"] and f"it is a virtual function of {CARD}" in failed["msg"]
    assert kernel.tree.snapshot() == before


@pytest.mark.parametrize("state", ["present", "absent"])
def test_check_mode_tells_the_same_and_does_nothing(run_module, kernel, state):
    if state == "absent":
        run_module(vfio_pci.main, functions=[FUNCTION], devices=[DEVICE])
    before = kernel.tree.snapshot()
    wish = {"functions": [FUNCTION], "devices": [DEVICE], "state": state, "_ansible_diff": True}
    predicted = run_module(vfio_pci.main, **wish, _ansible_check_mode=True)
    assert kernel.tree.snapshot() == before
    done = run_module(vfio_pci.main, **wish)
    for key in ("changed", "diff", "functions"):
        assert predicted[key] == done[key]
    for key in ("address", "action", "driver", "attributes"):
        assert predicted["devices"][0][key] == done["devices"][0][key]
    assert list(done["diff"]["after"]) == [CARD, FIRST]
    assert done["diff"]["after"][CARD] == {"sriov_numvfs": 2 if state == "present" else 0}


def test_it_does_nothing_to_what_may_be_in_use(run_module, kernel, monkeypatch):
    kernel.tree.add_functions(2)
    monkeypatch.setattr(processes, "unknown", lambda: processes.Holders({}, complete=False))
    result = run_module(vfio_pci.main, devices=[DEVICE])
    assert "it is unknown whether a process holds it" in result["msg"]
    assert kernel.writes == []


def test_a_failure_tells_everything_a_program_needs(run_module, kernel):
    kernel.tree.add_functions(2)
    kernel.faults[3] = 22
    result = run_module(vfio_pci.main, devices=[DEVICE])
    assert result["msg"].startswith(f"device {FIRST}: cannot bind it to the driver {VARIANT}: ")
    assert result["msg"].endswith("Changes undone: 1")
    assert {key: result[key] for key in ("failed", "changed", "step", "device", "errno")} == {
        "failed": True,
        "changed": False,
        "step": "bind",
        "device": FIRST,
        "errno": "EINVAL",
    }
    assert result["undone"] == [{"device": FIRST, "change": f"driver={VARIANT}"}]
    assert "the host must have an IOMMU that is switched on" in result["hint"]


def test_a_signal_takes_effect_between_two_steps(run_module, kernel):
    kernel.tree.add_functions(2)
    before = kernel.tree.snapshot()
    kernel.afterwards = lambda: signal.raise_signal(signal.SIGTERM)
    result = run_module(vfio_pci.main, devices=[DEVICE, {"address": SECOND, "driver": VARIANT}])
    assert "interrupted by SIGTERM. Changes undone: 1" in result["msg"]
    assert kernel.tree.snapshot() == before


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"devices": [DEVICE, DEVICE]}, "it is in the list of devices twice"),
        ({"functions": [FUNCTION, FUNCTION]}, "it is in the list of functions twice"),
        ({"functions": [{"address": CARD}]}, "'sriov_numvfs' is missing"),
        ({"functions": [{"address": CARD, "sriov_numvfs": -1}]}, "expected 0 or more"),
        ({"devices": [{**DEVICE, "accept": []}]}, "'accept' has no set"),
    ],
)
def test_what_makes_no_sense_is_refused(run_module, kernel, wish, reason):
    result = run_module(vfio_pci.main, **wish)
    assert reason in result["msg"]
    assert result["step"] == "validate"
    assert kernel.writes == []


def modprobe_of(*known: str) -> vfio_pci.Modprobe:
    """Return a modprobe that knows the modules ``known``."""

    def run(arguments: list[str]) -> tuple[int, str, str]:
        return (0, "", "") if arguments[-1] in known else (1, "", "no such module\n")

    return vfio_pci.Modprobe(run)


def test_only_vfio_drivers_are_loaded():
    modprobe = modprobe_of("vfio-pci", "usb_storage")
    assert modprobe.can_load("vfio-pci")
    assert not modprobe.can_load("usb_storage")
    assert not modprobe.can_load("mlx5_vfio_pci")
    with pytest.raises(ProvisionError, match="cannot load the driver igbvf: no such module"):
        modprobe.load("igbvf")
    assert not vfio_pci.Modprobe(None).can_load("vfio-pci")


def test_a_driver_that_is_to_be_loaded_is_there_in_time(run_module, kernel, monkeypatch):
    kernel.tree.add_functions(2)
    drivers = kernel.tree.root / "bus/pci/drivers"
    (drivers / VARIANT).rename(drivers / "elsewhere")
    monkeypatch.setattr(vfio_pci.Modprobe, "can_load", lambda self, driver: driver == VARIANT)
    monkeypatch.setattr(
        vfio_pci.Modprobe,
        "load",
        lambda self, driver: (drivers / "elsewhere").rename(drivers / driver),
    )
    assert run_module(vfio_pci.main, devices=[DEVICE])["devices"][0]["driver"] == VARIANT


def test_a_file_that_is_not_what_it_should_be_is_named(run_module, kernel):
    kernel.tree.write(f"{BRIDGE}/{CARD}/sriov_totalvfs", "many\n")
    result = run_module(vfio_pci.main, functions=[FUNCTION])
    assert "sriov_totalvfs: 'many'; expected a number" in result["msg"]


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("kind", SPOILT)
def test_a_journal_that_is_not_understood_stops_the_call(run_module, kernel, kind, check_mode):
    kernel.tree.add_functions(2)
    directory = place(kernel, "pci")
    undo = BindDriver(StoredBinding("vfio-pci", "vfio-pci"), None)
    leave(directory, Step(CARD, FIRST, "driver=igbvf", undo))
    journal, words = spoil(directory, kind)
    before = kernel.tree.snapshot(), contents(directory)
    result = run_module(vfio_pci.main, devices=[DEVICE], _ansible_check_mode=check_mode)
    assert result["msg"].startswith(f"{journal}: line 1: ")
    assert words in result["msg"]
    assert (result["changed"], result["step"]) == (False, "recover")
    assert (kernel.tree.snapshot(), contents(directory)) == before


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        ({"format": 2}, "written by a newer release of vfio.migration"),
        ({"state": {"driver": "igbvf"}}, "it is damaged: 'attributes' is missing"),
        (None, "it is damaged or cut off: no JSON"),
    ],
)
def test_an_original_state_that_is_not_understood_is_refused_in_time(
    run_module, kernel, spoilt, words, check_mode
):
    kernel.tree.add_functions(2)
    run_module(vfio_pci.main, devices=[{"address": SECOND, "driver": "vfio-pci"}])
    kernel.writes.clear()
    directory = place(kernel, "pci")
    path = Path(directory) / f"{SECOND}.json"
    stored = {} if spoilt is None else {**json.loads(path.read_text()), **spoilt}
    path.write_text(json.dumps(stored) if stored else path.read_text()[:-9])
    before = kernel.tree.snapshot(), contents(directory)
    second = {"address": SECOND, "driver": VARIANT}
    for wish in (
        {"devices": [DEVICE, second]},
        {"devices": [second], "state": "absent"},
        {"functions": [{"address": CARD, "sriov_numvfs": 3}], "force": True},
        {"functions": [{"address": CARD, "sriov_numvfs": 0}], "devices": [DEVICE], "force": True},
    ):
        result = run_module(vfio_pci.main, **wish, _ansible_check_mode=check_mode)
        assert f"device {SECOND}: {path}: " in result["msg"]
        assert words in result["msg"]
        assert " and remove the file. Nothing was changed" in result["msg"]
        assert (result["failed"], result["changed"], result["step"]) == (True, False, "inspect")
    assert kernel.writes == []
    assert (kernel.tree.snapshot(), contents(directory)) == before
