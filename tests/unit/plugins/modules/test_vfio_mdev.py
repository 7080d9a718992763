# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import signal

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import (
    Journal,
    Step,
    place,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.mdev_apply import (
    RemoveMdev,
    WriteAttribute,
)
from ansible_collections.vfio.migration.plugins.modules import vfio_mdev
from ansible_collections.vfio.migration.tests.unit.journals import (
    SPOILT,
    contents,
    leave,
    spoil,
)
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import (
    GPU,
    SELF,
    UUIDS,
    Kernel,
    Tree,
)

TYPE = "i915-GVTg_V5_4"


@pytest.fixture(autouse=True)
def kernel(tmp_path, monkeypatch):
    """Build a host with one device, ``UUIDS[0]``, and a parent for more."""
    tree = Tree(tmp_path / "sys")
    tree.add_gpu()
    tree.add_migration(tree.add_mdev(), SELF.format(type=TYPE, aggregator=1))
    kernel = Kernel(tree)
    monkeypatch.setattr(vfio_mdev, "Sysfs", lambda root: kernel)
    return kernel


def device(uuid=UUIDS[1], aggregator=2):
    attributes = [{"name": "aggregator", "value": aggregator}]
    return {"uuid": uuid, "parent": GPU, "type": TYPE, "attributes": attributes}


def test_it_creates_and_then_changes_nothing(run_module, kernel):
    created = run_module(vfio_mdev.main, devices=[device()])
    assert created["changed"] is True
    assert created["devices"][0]["self"]["aggregator"] == "2"
    again = run_module(vfio_mdev.main, devices=[device()])
    assert again["changed"] is False
    assert again["devices"] == [{**created["devices"][0], "action": "unchanged"}]


def test_check_mode_tells_the_same_and_does_nothing(run_module, kernel):
    before = kernel.tree.snapshot()
    devices = [device(UUIDS[0], 1), device()]
    flags = {"_ansible_diff": True}
    predicted = run_module(vfio_mdev.main, devices=devices, _ansible_check_mode=True, **flags)
    assert kernel.tree.snapshot() == before
    done = run_module(vfio_mdev.main, devices=devices, **flags)
    for key in ("changed", "diff"):
        assert predicted[key] == done[key]
    assert [each["action"] for each in predicted["devices"]] == ["unchanged", "created"]
    assert list(done["diff"]["after"]) == [UUIDS[1]]


def test_without_diff_mode_there_is_no_diff(run_module):
    assert "diff" not in run_module(vfio_mdev.main, devices=[device()])


def test_a_failure_tells_everything_a_program_needs(run_module, kernel):
    kernel.faults[3] = 28
    result = run_module(vfio_mdev.main, devices=[device(), device(UUIDS[2])])
    result.pop("invocation", None)  # not there from ansible-core 2.22 on
    message = result.pop("msg")
    assert message.startswith(f"device {UUIDS[2]}: cannot create it through {kernel.path('class')}")
    assert message.endswith("Changes undone: 1")
    assert {key: result[key] for key in ("failed", "changed", "step", "device", "errno")} == {
        "failed": True,
        "changed": False,
        "step": "create",
        "device": UUIDS[2],
        "errno": "ENOSPC",
    }
    assert result["undone"] == [{"device": UUIDS[1], "change": "created"}]
    assert result["left"] == result["reasons"] == []


def test_what_is_left_behind_counts_as_changed(run_module, kernel):
    kernel.faults[3] = 22
    kernel.faults[4] = 16
    result = run_module(vfio_mdev.main, devices=[device(), device(UUIDS[2])])
    assert result["changed"] is True
    assert f"Left behind: {UUIDS[1]}: created" in result["msg"]


def test_a_signal_takes_effect_between_two_steps(run_module, kernel):
    before = kernel.tree.snapshot()
    kernel.afterwards = lambda: signal.raise_signal(signal.SIGTERM)
    result = run_module(vfio_mdev.main, devices=[device()])
    assert "interrupted by SIGTERM. Changes undone: 1" in result["msg"]
    assert kernel.tree.snapshot() == before


def test_it_removes_only_what_it_knows_to_be_free(run_module, kernel):
    result = run_module(vfio_mdev.main, devices=[{"uuid": UUIDS[0]}], state="absent")
    assert "it is unknown whether a process holds it" in result["msg"]
    assert kernel.writes == []


def test_persistent_needs_mdevctl(run_module, monkeypatch):
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda *names: None)
    result = run_module(vfio_mdev.main, devices=[device()], persistent=True)
    assert "'persistent' needs mdevctl, which is not installed on the host" in result["msg"]
    assert result["step"] == "validate"


def test_persistent_needs_the_kernels_own_tree(run_module, monkeypatch):
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda *names: "/bin/false")
    result = run_module(vfio_mdev.main, devices=[device()], persistent=True)
    assert "'persistent' works with the running kernel's /sys alone" in result["msg"]


def abandon(kernel, uuid=UUIDS[0]):
    """Leave what a call leaves that was killed when it had configured a device."""
    undo = WriteAttribute("intel_vgpu/aggregator", "1", live=False)
    leave(place(kernel, "mdev"), Step(GPU, uuid, "aggregator=2", undo))


def test_what_a_killed_call_left_is_only_told_in_check_mode(run_module, kernel, monkeypatch):
    warnings = []
    # Ansible keeps warnings for the whole process, which other tests share.
    monkeypatch.setattr(AnsibleModule, "warn", lambda module, warning: warnings.append(warning))
    abandon(kernel, "00000000-1111-4222-8333-444444444444")
    result = run_module(vfio_mdev.main, devices=[device(UUIDS[0], 1)], _ansible_check_mode=True)
    assert result["changed"] is False
    (warning,) = warnings
    assert f"a call that was killed left something half done on {GPU}" in warning
    result = run_module(vfio_mdev.main, devices=[device(UUIDS[0], 1)])
    # The device of the killed call is not there any more.
    assert result["recovered"] == []
    with Journal(place(kernel, "mdev")) as journal:
        assert journal.lock_abandoned() == []


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("kind", SPOILT)
def test_a_journal_that_is_not_understood_stops_every_call(run_module, kernel, kind, check_mode):
    directory = place(kernel, "mdev")
    abandon(kernel)
    journal, words = spoil(directory, kind)
    before = kernel.tree.snapshot(), contents(directory)
    wishes = {"devices": [device()]}, {"devices": [{"uuid": UUIDS[7]}], "state": "absent"}
    for wish in wishes:
        result = run_module(vfio_mdev.main, **wish, _ansible_check_mode=check_mode)
        assert result["msg"].startswith(f"{journal}: line 1: ")
        assert words in result["msg"]
        assert result["msg"].endswith(" and remove the file. Nothing was changed")
        assert (result["failed"], result["changed"], result["step"]) == (True, False, "recover")
    assert (kernel.tree.snapshot(), contents(directory)) == before
    # As it is told to.
    journal.unlink()
    assert run_module(vfio_mdev.main, devices=[device()])["changed"] is True


def test_nothing_is_undone_while_one_of_two_journals_is_not_understood(run_module, kernel):
    directory = place(kernel, "mdev")
    abandon(kernel)
    spoilt, _words = spoil(directory, "format")
    leave(directory, Step("0000:00:00.0", UUIDS[0], "aggregator=2", RemoveMdev(TYPE)))
    before = contents(directory)
    assert run_module(vfio_mdev.main, devices=[])["step"] == "recover"
    assert contents(directory) == before
    spoilt.unlink()
    assert run_module(vfio_mdev.main, devices=[])["changed"] is False
    assert [name for name in contents(directory) if name.endswith(".journal")] == []
