# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a call does with the steps of killed ones, whatever the devices: each is tried, and only those that fail are kept."""

from __future__ import annotations

import dataclasses
import errno
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import (
    InUse,
    Irreversible,
    ProvisionError,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import (
    Journal,
    Operation,
    Step,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.transaction import Transaction
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError
from ansible_collections.vfio.migration.tests.unit.journals import leave

GPU, OTHER = "0000:00:02.0", "0000:00:09.0"
BUSY = OSError(errno.EIO, "Input/output error")


@dataclasses.dataclass
class Write(Operation):
    operation = "write"
    value: str

    def by_hand(self, step: Step, path: str) -> str:
        return f"echo {self.value} > {path}"


class Host:
    """What calls undo here: ``faults`` are those of devices, ``tried`` those of which a step was tried to be undone."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.faults: dict[str, Exception] = {}
        self.tried: list[str] = []
        self.values: dict[str, str] = {}
        # Called right before a step is undone.
        self.beforehand: t.Callable[[Step], object] = lambda step: None

    def call(self, *locks: str) -> _Transaction:
        """Make a call under these locks that does nothing but undo what killed ones left; return its transaction."""
        self.tried.clear()
        with Journal(self.directory, [Write]) as journal:
            transaction = _Transaction(self, journal)
            try:
                transaction.run(t.cast(t.Any, _Planner()), *locks)
            except ProvisionError as failure:
                transaction.failure = failure
        return transaction

    def left(self) -> dict[str, list[str]]:
        """Return the devices of the steps that the journals still have, by lock."""
        with Journal(self.directory, [Write]) as journal:
            names = journal.lock_abandoned()
            return {name: [each.device for each in journal.abandoned(name)] for name in names}


class _Planner:
    def locks(self, *wanted: str) -> list[str]:
        return list(wanted)

    def plan(self, *wanted: str) -> None:
        return None


class _Transaction(Transaction):
    def __init__(self, host: Host, journal: Journal) -> None:
        super().__init__(journal, 0.2, lambda: None)
        self.host = host
        self.failure: ProvisionError | None = None

    def _place(self, device: str) -> str:
        return f"/sys/{device}"

    def _apply(self, changes: t.Any) -> dict[str, t.Any]:
        return {}

    def _undo_write(self, step: Step, undo: Write, recovering: bool) -> bool:
        self.host.beforehand(step)
        self.host.tried.append(step.device)
        if step.device in self.host.faults:
            raise self.host.faults[step.device]
        self.host.values[step.device] = undo.value
        return True

    undoers: t.ClassVar = {Write: _undo_write}


def step(number: int, lock: str = GPU) -> Step:
    return Step(lock, f"dev{number}", f"a={number}", Write("old"))


def left_of(number: int, problem: str) -> dict[str, str]:
    where = f"/sys/dev{number}"
    return {
        "device": f"dev{number}",
        "change": f"a={number}",
        "problem": problem,
        "where": where,
        "by_hand": f"echo old > {where}",
    }


def done(*numbers: int) -> list[dict[str, str]]:
    return [{"device": f"dev{number}", "change": f"a={number}"} for number in numbers]


@pytest.fixture
def host(tmp_path):
    """Build a host where a call was killed after four steps, of which the second and the last cannot be undone."""
    host = Host(str(tmp_path / "run/x"))
    leave(host.directory, *map(step, (1, 2, 3, 4)))
    host.faults = {"dev4": BUSY, "dev2": HostReadError("/sys/dev2", "nobody knows")}
    return host


SAID = (
    "a call that was killed left device dev4 half done (a=4), which cannot be undone: input/output error, at /sys/dev4;"
    " to undo it by hand: echo old > /sys/dev4; device dev2 half done (a=2), which cannot be undone: /sys/dev2: nobody"
    " knows, at /sys/dev2; to undo it by hand: echo old > /sys/dev2"
)
LEFT = [left_of(4, "input/output error"), left_of(2, "/sys/dev2: nobody knows")]


def test_each_step_is_tried_and_an_unrelated_call_goes_on_with_one_warning(host):
    call = host.call(OTHER)
    assert call.failure is None
    assert host.tried == ["dev4", "dev3", "dev2", "dev1"]
    assert call.recovered == done(3, 1)
    assert call.warnings == [SAID]
    assert host.left() == {GPU: ["dev4", "dev2"]}


def test_under_the_calls_own_lock_it_fails_with_all_that_is_left(host):
    call = host.call(GPU)
    assert host.tried == ["dev4", "dev3", "dev2", "dev1"]
    assert call.warnings == []
    assert str(call.failure) == SAID
    assert call.failure.details["step"] == "recover"
    assert call.failure.details["left"] == LEFT
    assert call.failure.details["recovered"] == done(3, 1)
    assert call.failure.details["undone"] == []
    assert host.left() == {GPU: ["dev4", "dev2"]}


def test_what_is_undone_is_not_undone_again_over_what_somebody_has_set_since(host):
    host.call(OTHER)
    host.values["dev3"] = "set since"
    again = host.call(GPU)
    assert host.tried == ["dev4", "dev2"]
    assert again.failure.details["left"] == LEFT
    assert again.failure.details["recovered"] == []
    host.faults.clear()
    last = host.call(GPU)
    assert last.failure is None
    assert last.recovered == done(4, 2)
    assert host.values["dev3"] == "set since"
    assert host.left() == {}
    assert not [each for each in os.listdir(host.directory) if "journal" in each]


def test_what_is_in_use_or_gone_for_good_is_settled_with_what_is_undone(host):
    leave(host.directory, step(5, OTHER), Step(OTHER, "dev6", "removed"), step(7, OTHER))
    host.faults["dev5"] = InUse("/sys/dev5", "process 4711 (vm-17) holds it")
    host.faults["dev7"] = Irreversible("the device is gone")
    host.faults["dev3"] = InUse("/sys/dev3", "process 4711 (vm-17) holds it")
    host.faults["dev1"] = Irreversible("the device is gone")
    call = host.call(OTHER)
    assert call.failure is None
    assert call.recovered == []
    assert [each for each in call.warnings if "and is left so" not in each] == [SAID]
    assert len(call.warnings) == 3
    assert host.left() == {GPU: ["dev4", "dev2"]}


def test_several_own_locks_are_told_in_one_failure_and_others_in_a_warning(host):
    leave(host.directory, step(5, OTHER), step(6, OTHER))
    leave(host.directory, step(7, "third"))
    host.faults.update(dev5=BUSY, dev7=BUSY)
    call = host.call(OTHER, GPU)
    assert [each["device"] for each in call.failure.details["left"]] == ["dev4", "dev2", "dev5"]
    assert all(f"device dev{number} " in str(call.failure) for number in (4, 2, 5))
    (warning,) = call.warnings
    assert "device dev7 half done" in warning
    assert sorted(host.tried) == [f"dev{number}" for number in range(1, 8)]


def test_a_defect_does_not_keep_the_other_steps_from_being_undone(host):
    host.faults = {"dev3": ZeroDivisionError()}
    call = host.call(GPU)
    assert call.failure.details["left"] == [left_of(3, "ZeroDivisionError()")]
    assert call.recovered == done(4, 2, 1)


@pytest.mark.parametrize("number", range(1, 5))
def test_a_call_killed_while_it_undoes_loses_nothing(host, number):
    def beforehand(at: Step) -> None:
        if at.device == f"dev{number}":
            os._exit(9)

    pid = os.fork()
    if pid == 0:
        host.beforehand = beforehand
        try:
            host.call(OTHER)
        finally:
            os._exit(0)
    assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 9
    host.call(OTHER)
    assert host.tried == ["dev4", "dev3", "dev2", "dev1"]
    assert host.left() == {GPU: ["dev4", "dev2"]}


@pytest.mark.parametrize("failing", ["fsync", "replace", "write"])
def test_a_journal_that_cannot_be_rewritten_stops_the_call_and_loses_nothing(
    host, monkeypatch, failing
):
    def full(*arguments: t.Any, **others: t.Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, full)
        call = host.call(OTHER)
    assert "cannot note in the journal of a killed call what of it is undone" in str(call.failure)
    assert call.failure.details["errno"] == "ENOSPC"
    assert call.failure.details["recovered"] == done(3, 1)
    # What is left is told all the same.
    assert call.warnings == [SAID]
    assert host.left() == {GPU: ["dev4", "dev3", "dev2", "dev1"]}


def test_what_stands_in_the_place_of_a_new_journal_is_named(host):
    (journal,) = Path(host.directory).glob("*.journal")
    new = Path(f"{journal}.new")
    new.mkdir()
    assert f"of it is undone, at {new}: " in str(host.call(OTHER).failure)
    new.rmdir()
    assert host.call(OTHER).failure is None


def test_what_another_call_undid_meanwhile_keeps_nobody_out(host, monkeypatch):
    lock = _Transaction._wait_for_lock

    def late(transaction, name, deadline):
        monkeypatch.undo()
        other = Host(host.directory)
        assert other.call(GPU).recovered == done(4, 2)
        lock(transaction, name, deadline)

    monkeypatch.setattr(_Transaction, "_wait_for_lock", late)
    call = host.call(GPU)
    assert (call.failure, call.warnings) == (None, [])
