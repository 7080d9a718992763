# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import signal

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Step, place
from ansible_collections.vfio.migration.plugins.module_utils._change.records import Attribute
from ansible_collections.vfio.migration.plugins.module_utils._change.vdpa_apply import DeleteVdpa
from ansible_collections.vfio.migration.plugins.module_utils._change.vdpa_plan import LOCK
from ansible_collections.vfio.migration.plugins.module_utils._host import processes, vdpa
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.plugins.modules import vdpa_device
from ansible_collections.vfio.migration.tests.unit.journals import (
    SPOILT,
    contents,
    leave,
    spoil,
)
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree, nobody
from ansible_collections.vfio.migration.tests.unit.vdpa_hosts import VdpaKernel


@pytest.fixture(autouse=True)
def kernel(tmp_path, monkeypatch):
    """Build a host with the tool, a management device and the device ``vdpa0``."""
    kernel = VdpaKernel(Tree(tmp_path / "sys"))
    kernel.run(["dev", "add", "name", "vdpa0", "mgmtdev", "vdpasim_net"])
    kernel.calls.clear()
    sysfs = Sysfs(str(kernel.tree.root))
    monkeypatch.setattr(vdpa_device, "Sysfs", lambda root: sysfs)
    monkeypatch.setattr(vdpa, "ask", kernel.ask)
    monkeypatch.setattr(processes, "scan", nobody)
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda *names: "/usr/sbin/vdpa")
    monkeypatch.setattr(
        AnsibleModule, "run_command", lambda module, command, **others: kernel.run(command[1:])
    )
    return kernel


def device(name="vdpa1", **stated):
    return {"name": name, "mgmtdev": "vdpasim_net", **stated}


def test_it_creates_and_then_changes_nothing(run_module, kernel):
    created = run_module(vdpa_device.main, devices=[device(mtu=9000)])
    assert created["changed"] is True
    again = run_module(vdpa_device.main, devices=[device(mtu=9000)])
    assert again["changed"] is False
    assert again["devices"] == [{**created["devices"][0], "action": "unchanged"}]


@pytest.mark.parametrize("state", ["present", "absent"])
def test_check_mode_tells_the_same_and_does_nothing(run_module, kernel, state):
    arguments = {
        "devices": [device("vdpa0"), device(mtu=9000)],
        "state": state,
        "_ansible_diff": True,
    }
    before = kernel.tree.snapshot()
    predicted = run_module(vdpa_device.main, **arguments, _ansible_check_mode=True)
    assert kernel.tree.snapshot() == before
    assert kernel.calls == []
    done = run_module(vdpa_device.main, **arguments)
    for key in ("changed", "diff"):
        assert predicted[key] == done[key]
    assert [each["action"] for each in predicted["devices"]] == [
        each["action"] for each in done["devices"]
    ]
    assert list(done["diff"]["after"]) == ["vdpa1" if state == "present" else "vdpa0"]


@pytest.mark.parametrize(
    ("given", "taken"),
    [("0x20", "0x20"), (0x20, "0x20"), (["MAC", 8], "0x28"), ("MAC,MTU", "0x28")],
)
def test_features_come_as_a_mask_or_as_names(run_module, kernel, given, taken):
    run_module(vdpa_device.main, devices=[device(device_features=given)])
    assert kernel.calls[0][-2:] == ["device_features", taken]


def test_a_failure_tells_everything_a_program_needs(run_module, kernel):
    kernel.faults[2] = "kernel answers: No space left on device\n"
    result = run_module(vdpa_device.main, devices=[device(), device("vdpa2")])
    result.pop("invocation", None)  # not there from ansible-core 2.22 on
    assert result == {
        "failed": True,
        "changed": False,
        "msg": "device vdpa2: vdpa dev add name vdpa2 mgmtdev vdpasim_net: no space left on device (ENOSPC)."
        " Hint: the management device takes no further device. Changes undone: 1",
        "step": "create",
        "device": "vdpa2",
        "errno": "ENOSPC",
        "hint": "the management device takes no further device",
        "kernel_log": [],
        "reasons": [],
        "recovered": [],
        "undone": [{"device": "vdpa1", "change": "created"}],
        "left": [],
    }


def test_what_is_left_behind_counts_as_changed(run_module, kernel):
    kernel.faults.update({2: "x\n", 3: "y\n"})
    result = run_module(vdpa_device.main, devices=[device(), device("vdpa2")])
    assert result["changed"] is True
    assert "Left behind: vdpa1: created (device vdpa1: vdpa dev del vdpa1: y)" in result["msg"]


def test_a_signal_takes_effect_between_two_devices(run_module, kernel):
    before = kernel.tree.snapshot()
    kernel.afterwards = lambda: signal.raise_signal(signal.SIGTERM)
    result = run_module(vdpa_device.main, devices=[device(), device("vdpa2")])
    assert "interrupted by SIGTERM. Changes undone: 1" in result["msg"]
    assert kernel.tree.snapshot() == before


def test_without_the_tool_nothing_is_done(run_module, kernel, monkeypatch):
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda *names: None)
    result = run_module(vdpa_device.main, devices=[device()])
    assert "the tool vdpa of iproute2 is not installed on the host" in result["msg"]
    assert result["step"] == "validate"


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("kind", SPOILT)
def test_a_journal_that_is_not_understood_stops_the_call(run_module, kernel, kind, check_mode):
    directory = place(Sysfs(str(kernel.tree.root)), "vdpa")
    undo = DeleteVdpa("vdpasim_net", [Attribute("mtu", "1500")])
    leave(directory, Step(LOCK, "vdpa0", "created", undo))
    journal, words = spoil(directory, kind)
    before = contents(directory)
    result = run_module(vdpa_device.main, devices=[device()], _ansible_check_mode=check_mode)
    assert result["msg"].startswith(f"{journal}: line 1: ")
    assert words in result["msg"]
    assert (result["changed"], result["step"]) == (False, "recover")
    assert kernel.calls == []
    assert contents(directory) == before


def test_the_running_host_is_not_taken_for_a_copied_tree(run_module, kernel):
    failed = run_module(vdpa_device.main, devices=[device()], sysfs="/copy/sys")
    assert failed["failed"] and "sysfs is '/copy/sys'" in failed["msg"]
    assert kernel.calls == []
    assert run_module(vdpa_device.main, devices=[device()], sysfs="/sys/")["changed"] is True
