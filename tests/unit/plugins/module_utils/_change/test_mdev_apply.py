# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import ProvisionError
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import (
    Journal,
    Step,
    place,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.mdev_apply import (
    MdevTransaction,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.mdev_plan import (
    MdevHost,
    MdevPlanner,
    validate,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import ABSENT, PRESENT
from ansible_collections.vfio.migration.plugins.module_utils._host.mdevctl import Mdevctl
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders, unknown
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import MDEV_DEVICES
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import (
    GPU,
    UUIDS,
    Kernel,
    Tree,
    accept,
    nobody,
    wanted_mdev,
)

TYPE = "i915-GVTg_V5_8"
ACCEPT = accept(TYPE)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """Build a host with one device, ``UUIDS[0]``, whose aggregator is 1."""
    tree = Tree(tmp_path / "sys")
    tree.add_gpu()
    kernel = Kernel(tree)
    apply(kernel, [device(UUIDS[0])])
    kernel.writes.clear()
    return kernel


def device(uuid: str, aggregator: str | None = "1", **others):
    attributes = [] if aggregator is None else [("aggregator", aggregator)]
    return wanted_mdev(uuid, TYPE, **{"attributes": attributes, **others})


def apply(
    kernel: Kernel,
    devices: t.Sequence[dict[str, t.Any]],
    state: str = PRESENT,
    scan_holders: t.Callable[[], Holders] = nobody,
    mdevctl: Mdevctl | None = None,
    interrupted: t.Callable[[], str | None] = lambda: None,
) -> list[dict[str, t.Any]]:
    planner = MdevPlanner(MdevHost(kernel, nobody, mdevctl), persistent=mdevctl is not None)
    host = MdevHost(kernel, scan_holders, mdevctl)
    with Journal(place(kernel, "mdev"), MdevTransaction.undoers) as journal:
        transaction = MdevTransaction(host, journal, 0.2, interrupted)
        return transaction.run(planner, validate(devices, state), state)[1]["devices"]


def failure(kernel: Kernel, devices, **others) -> ProvisionError:
    with pytest.raises(ProvisionError) as raised:
        apply(kernel, devices, **others)
    return raised.value


def test_devices_are_created_and_configured_in_order(kernel):
    devices = [device(UUIDS[1], "2", accept=ACCEPT), device(UUIDS[0], "2"), device(UUIDS[2], None)]
    results = apply(kernel, devices)
    assert kernel.writes == [
        ("create", UUIDS[1]),
        ("intel_vgpu/aggregator", "2"),
        ("intel_vgpu/aggregator", "2"),
        ("create", UUIDS[2]),
    ]
    assert [each["action"] for each in results] == ["created", "configured", "created"]
    assert results[0] == {
        "uuid": UUIDS[1],
        "parent": GPU,
        "type": TYPE,
        "action": "created",
        "definition": None,
        "attributes": [{"name": "intel_vgpu/aggregator", "value": "2"}],
        "self": {
            "aggregator": "2",
            "device_api": "vfio-pci",
            "pci_id": "80865963",
            "software_version": "0.1.0",
            "type": TYPE,
        },
    }


def test_a_second_time_nothing_is_written(kernel):
    devices = [device(UUIDS[1], "2", accept=ACCEPT), device(UUIDS[0], "2")]
    apply(kernel, devices)
    kernel.writes.clear()
    assert [each["action"] for each in apply(kernel, devices)] == ["unchanged", "unchanged"]
    assert kernel.writes == []


def test_attributes_that_can_only_be_written_are_written_in_order_and_repeatedly(kernel):
    add_mdev = kernel.tree.add_mdev

    def add_crypto_mdev(*arguments, **others):
        where = add_mdev(*arguments, **others)
        for name in ("assign_adapter", "assign_domain"):
            kernel.tree.write(f"{where}/{name}", "", 0o200)
        return where

    kernel.tree.add_mdev = add_crypto_mdev
    written = [("assign_adapter", "5"), ("assign_domain", "4"), ("assign_domain", "0xab")]
    apply(kernel, [device(UUIDS[1], attributes=written)])
    assert kernel.writes[1:] == written


FIVE = [device(UUIDS[0], "2"), *(device(uuid) for uuid in UUIDS[1:5])]


@pytest.mark.parametrize("number", range(1, 10))
@pytest.mark.parametrize("fault", [errno.EINVAL, errno.ENOSPC, errno.EIO])
def test_whatever_fails_the_host_is_left_as_it_was(kernel, number, fault):
    before = kernel.tree.snapshot()
    kernel.faults[number] = fault
    failed = failure(kernel, FIVE)
    assert kernel.tree.snapshot() == before
    assert failed.details["errno"] == errno.errorcode[fault]
    assert failed.details["left"] == []
    # Write 1 configures a device; then each is created with an even number and configured with an odd one.
    assert failed.details["step"] == ("create" if number % 2 == 0 else "attribute")
    assert failed.details["device"] == UUIDS[number // 2]
    undone = list(reversed(UUIDS[: (number + 1) // 2])) if number > 1 else []
    assert [each["device"] for each in failed.details["undone"]] == undone


@pytest.mark.parametrize("number", [3, 9])
def test_a_value_that_does_not_stay_is_a_failure(kernel, number):
    before = kernel.tree.snapshot()
    kernel.ignored.add(number)
    failed = failure(kernel, [FIVE[0], *(device(uuid, "2") for uuid in UUIDS[1:5])])
    assert kernel.tree.snapshot() == before
    assert failed.details["step"] == "attribute"
    assert "was set to '2' and took it, but reads back '1'" in str(failed)


def test_a_device_that_is_not_what_was_wanted_is_a_failure(kernel):
    before = kernel.tree.snapshot()
    failed = failure(kernel, [device(UUIDS[1]), device(UUIDS[2], "4", accept=ACCEPT)])
    assert kernel.tree.snapshot() == before
    assert failed.details["step"] == "verify"
    assert [each["attribute"] for each in failed.details["reasons"]] == ["aggregator"]
    assert [each["change"] for each in failed.details["undone"]] == ["created", "created"]


def test_an_existing_device_is_configured_back_if_it_is_not_what_was_wanted(kernel):
    before = kernel.tree.snapshot()
    failed = failure(kernel, [device(UUIDS[0], "4", accept=ACCEPT)])
    assert kernel.tree.snapshot() == before
    assert failed.details["undone"] == [{"device": UUIDS[0], "change": "intel_vgpu/aggregator=4"}]


def test_an_attribute_that_does_not_appear_is_waited_for_and_then_a_failure(kernel):
    before = kernel.tree.snapshot()
    failed = failure(kernel, [device(UUIDS[1], attributes=[("colour", "red")])])
    assert kernel.tree.snapshot() == before
    assert failed.details["step"] == "wait"
    assert "colour: no such attribute" in str(failed)
    assert str(failed).endswith("waited 0.2 seconds")


def test_a_read_only_attribute_is_a_failure(kernel):
    before = kernel.tree.snapshot()
    failed = failure(kernel, [device(UUIDS[1], attributes=[("vgpu_id", "7")])])
    assert kernel.tree.snapshot() == before
    assert str(failed).endswith("intel_vgpu/vgpu_id is read-only")


def test_a_full_parent_is_named_whatever_the_drivers_errno(kernel):
    available = f"class/mdev_bus/{GPU}/mdev_supported_types/{TYPE}/available_instances"
    kernel.faults[1] = errno.EINVAL
    # The last instance is taken between the look and the write.
    kernel.beforehand = lambda: kernel.tree.write(available, "0\n")
    failed = failure(kernel, [device(UUIDS[1])])
    assert failed.details["errno"] == "EINVAL"
    assert failed.details["hint"] == (
        f"no instance of type {TYPE} is left under {GPU}; available_instances is 0"
    )


def test_what_cannot_be_undone_is_told(kernel):
    kernel.faults.update({4: errno.EINVAL, 5: errno.EBUSY})
    failed = failure(kernel, [device(UUIDS[1]), device(UUIDS[2])])
    assert failed.details["left"][0]["device"] == UUIDS[2]
    assert "EBUSY" in failed.details["left"][0]["problem"]
    assert [each["device"] for each in failed.details["undone"]] == [UUIDS[1]]


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EBUSY, "busy"), KeyError("a defect"), HostReadError("/x", "no")],
    ids=str,
)
def test_every_device_is_tried_though_one_cannot_be_removed(kernel, monkeypatch, error):
    wanted = [device(uuid) for uuid in UUIDS[1:5]]
    kernel.faults[2 * len(wanted)] = errno.EINVAL
    remove = MdevTransaction._remove

    def removing(self, uuid):
        if uuid == UUIDS[2]:
            raise error
        remove(self, uuid)

    monkeypatch.setattr(MdevTransaction, "_remove", removing)
    failed = failure(kernel, wanted)
    (left,) = failed.details["left"]
    path = f"{kernel.tree.root}/bus/mdev/devices/{UUIDS[2]}"
    assert (left["device"], left["change"]) == (UUIDS[2], "created")
    assert (left["where"], left["by_hand"]) == (path, f"echo 1 > {path}/remove")
    assert {each["device"] for each in failed.details["undone"]} == {UUIDS[1], *UUIDS[3:5]}
    assert set(kernel.names("bus/mdev/devices")) == {UUIDS[0], UUIDS[2]}


def test_a_new_device_that_a_process_took_is_not_taken_away(kernel):
    kernel.faults[3] = errno.EINVAL
    holders = Holders({"/dev/vfio/7": {"pid": 4711, "name": "vm-17"}}, complete=True)
    failed = failure(kernel, [device(UUIDS[1]), device(UUIDS[2])], scan_holders=lambda: holders)
    (left,) = failed.details["left"]
    assert (left["device"], left["change"]) == (UUIDS[1], "created")
    assert "process 4711 (vm-17) holds it" in left["problem"]


def test_a_new_device_is_taken_away_where_holders_are_unknown(kernel):
    before = kernel.tree.snapshot()
    kernel.faults[3] = errno.EINVAL
    failure(kernel, [device(UUIDS[1]), device(UUIDS[2])], scan_holders=unknown)
    assert kernel.tree.snapshot() == before


@pytest.mark.parametrize("number", range(1, 9))
def test_a_signal_stops_it_and_undoes_what_was_done(kernel, number):
    before = kernel.tree.snapshot()

    def interrupted():
        return "SIGTERM" if len(kernel.writes) >= number else None

    failed = failure(kernel, FIVE, interrupted=interrupted)
    assert kernel.tree.snapshot() == before
    assert "interrupted by SIGTERM" in str(failed)
    assert failed.details["left"] == []


def test_a_defect_does_not_leave_half_of_it_behind(kernel):
    before = kernel.tree.snapshot()

    def interrupted():
        if len(kernel.writes) == 4:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        apply(kernel, FIVE, interrupted=interrupted)
    assert len(kernel.writes) > 4
    assert kernel.tree.snapshot() == before


# --- what a killed call leaves


def kill(kernel: Kernel, number: int, devices, **others) -> bool:
    """Kill a call right before its write of that number; return whether there was such a write."""

    def beforehand() -> None:
        if len(kernel.writes) + 1 == number:
            os._exit(9)

    pid = os.fork()
    if pid == 0:
        kernel.beforehand = beforehand
        try:
            apply(kernel, devices, **others)
        finally:
            os._exit(0)
    return os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 9


def in_run(kernel: Kernel) -> list[str]:
    """Return the names of journals, and of locks that name one."""
    directory = Path(place(kernel, "mdev"))
    return [file.name for file in directory.glob("*") if file.stat().st_size]


def recovered(kernel: Kernel, devices, state: str = PRESENT, **others) -> MdevTransaction:
    """Return the transaction of a further call, which does not fail."""
    scan_holders = others.pop("scan_holders", nobody)
    host = MdevHost(kernel, scan_holders, None)
    with Journal(place(kernel, "mdev"), MdevTransaction.undoers) as journal:
        transaction = MdevTransaction(host, journal, 0.2, lambda: None)
        transaction.run(MdevPlanner(host, persistent=False), validate(devices, state), state)
    return transaction


# Changes nothing itself, and is about another parent.
ANOTHER = {**device(UUIDS[7]), "parent": "0000:00:09.0", "type": None}


@pytest.mark.parametrize(("number", "killed"), [(9, True), (10, False)])
def test_the_last_write_is_the_ninth(kernel, number, killed):
    assert kill(kernel, number, FIVE) is killed


@pytest.mark.parametrize("number", range(1, 10))
def test_what_a_killed_call_did_is_undone_by_another(kernel, number):
    before = kernel.tree.snapshot()
    kill(kernel, number, FIVE)
    transaction = recovered(kernel, [ANOTHER], ABSENT)
    assert kernel.tree.snapshot() == before
    assert in_run(kernel) == []
    # What was about to be written may have been; a device that was about to be created is not there.
    undone = [each["device"] for each in transaction.recovered]
    assert undone == UUIDS[(number - 1) // 2 :: -1]
    assert transaction.warnings == []


@pytest.mark.parametrize("number", range(1, 10))
def test_a_killed_call_that_is_made_again_comes_to_its_end(kernel, number):
    kill(kernel, number, FIVE)
    apply(kernel, FIVE)
    made = kernel.tree.snapshot()
    assert in_run(kernel) == []
    kernel.writes.clear()
    assert {each["action"] for each in apply(kernel, FIVE)} == {"unchanged"}
    assert kernel.writes == []
    assert kernel.tree.snapshot() == made


@pytest.mark.parametrize("number", range(1, 9))
def test_a_call_killed_while_it_undoes_is_undone(kernel, number):
    before = kernel.tree.snapshot()
    kernel.faults[9] = errno.EINVAL
    # Writes 10 to 14 undo what those before did.
    kill(kernel, 9 + number, FIVE)
    kernel.faults.clear()
    recovered(kernel, [ANOTHER], ABSENT)
    assert kernel.tree.snapshot() == before
    assert in_run(kernel) == []


def test_a_device_that_a_guest_took_meanwhile_is_its_own(kernel):
    kill(kernel, 3, FIVE)
    half_done = kernel.tree.snapshot()
    holders = Holders({"/dev/vfio/7": {"pid": 4711, "name": "vm-17"}}, complete=True)
    transaction = recovered(kernel, [ANOTHER], ABSENT, scan_holders=lambda: holders)
    assert kernel.tree.snapshot() == half_done
    assert transaction.recovered == []
    assert len(transaction.warnings) == 2
    assert f"left device {UUIDS[1]} half done (created), and is left so" in transaction.warnings[0]
    assert "process 4711 (vm-17) holds it" in transaction.warnings[0]
    assert recovered(kernel, [ANOTHER], ABSENT).warnings == []
    assert kernel.tree.snapshot() == half_done


def test_what_cannot_be_undone_yet_is_tried_again_and_keeps_its_parent_closed(kernel):
    before = kernel.tree.snapshot()
    kill(kernel, 3, FIVE)
    transaction = recovered(kernel, [ANOTHER], ABSENT, scan_holders=unknown)
    assert "which cannot be undone: " in transaction.warnings[0]
    failed = failure(kernel, [device(UUIDS[3])], scan_holders=unknown)
    assert failed.details["step"] == "recover"
    assert "it is unknown whether a process holds it" in str(failed)
    assert recovered(kernel, [ANOTHER], ABSENT).warnings == []
    assert kernel.tree.snapshot() == before


def test_a_step_that_cannot_be_undone_does_not_keep_the_others_and_is_told_with_what_to_do(kernel):
    kill(kernel, 5, FIVE)
    # The first of what recovery writes removes the last device that was made.
    kernel.writes.clear()
    kernel.faults[1] = errno.EBUSY
    failed = failure(kernel, [device(UUIDS[3])])
    where = kernel.path(MDEV_DEVICES, UUIDS[2])
    assert failed.details["left"] == [
        {
            "device": UUIDS[2],
            "change": "created",
            "problem": failed.details["left"][0]["problem"],
            "where": where,
            "by_hand": f"echo 1 > {where}/remove",
        }
    ]
    assert "EBUSY" in failed.details["left"][0]["problem"]
    assert f"to undo it by hand: echo 1 > {where}/remove" in str(failed)
    assert [each["device"] for each in failed.details["recovered"]] == [UUIDS[1], UUIDS[0]]
    # Somebody else's value stays when what was left is undone at last.
    aggregator = kernel.tree.root / "bus/mdev/devices" / UUIDS[0] / "intel_vgpu/aggregator"
    aggregator.write_text("3\n")
    kernel.faults.clear()
    transaction = recovered(kernel, [ANOTHER], ABSENT)
    assert [each["device"] for each in transaction.recovered] == [UUIDS[2]]
    assert aggregator.read_text() == "3\n"
    assert in_run(kernel) == []


def test_a_device_that_another_made_of_the_same_uuid_is_left_alone(kernel):
    kill(kernel, 2, FIVE)
    kernel.tree.add_mdev(UUIDS[1], share=4)
    made = kernel.tree.snapshot()
    transaction = recovered(kernel, [ANOTHER], ABSENT)
    assert [each["device"] for each in transaction.recovered] == [UUIDS[0]]
    assert set(made) == set(kernel.tree.snapshot())


def test_what_a_killed_call_had_started_comes_to_its_end_first(kernel):
    before = kernel.tree.snapshot()
    kill(kernel, 3, FIVE)
    lock = os.open(f"{place(kernel, 'mdev')}/{GPU}.lock", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    # A child of the killed call, which has its lock and lets go of it while the next call waits.
    child = threading.Timer(0.1, os.close, [lock])
    child.start()
    recovered(kernel, [ANOTHER], ABSENT)
    child.join()
    assert kernel.tree.snapshot() == before


def test_calls_on_one_parent_wait_for_each_other(kernel):
    with Journal(place(kernel, "mdev")) as journal:
        assert journal.lock(GPU)
        failed = failure(kernel, [device(UUIDS[1])])
        assert failed.details["step"] == "lock"
        assert f"another call is at work on {GPU}; waited 0.2 seconds" in str(failed)
        journal.note(Step(GPU, UUIDS[0], "created"))
        failed = failure(kernel, [device(UUIDS[1])])
        assert f"another call, process {os.getpid()}, is at work on {GPU}" in str(failed)
    apply(kernel, [device(UUIDS[1])])


def test_a_call_that_waits_for_another_can_be_stopped(kernel):
    with Journal(place(kernel, "mdev")) as journal:
        journal.lock(GPU)
        failed = failure(kernel, [device(UUIDS[1])], interrupted=lambda: "SIGTERM")
    assert "interrupted by SIGTERM" in str(failed)


def test_a_device_that_is_taken_after_the_plan_is_not_touched(kernel):
    taken = Holders({"/dev/vfio/7": {"pid": 4711, "name": "vm-17"}}, complete=True)
    before = kernel.tree.snapshot()
    for state in (PRESENT, ABSENT):
        # The plan is made while it is free.
        failed = failure(kernel, [device(UUIDS[0], "2")], state=state, scan_holders=lambda: taken)
        assert "process 4711 (vm-17) holds it" in str(failed)
        assert failed.details["step"] == ("attribute" if state == PRESENT else "remove")
        assert kernel.tree.snapshot() == before


def test_devices_are_removed(kernel):
    apply(kernel, [device(UUIDS[1])])
    results = apply(
        kernel, [{**device(uuid), "parent": None, "type": None} for uuid in UUIDS[:3]], ABSENT
    )
    assert [each["action"] for each in results] == ["removed", "removed", "unchanged"]
    assert kernel.names("bus/mdev/devices") == []


def test_devices_removed_before_one_that_cannot_be_are_told(kernel):
    apply(kernel, [device(UUIDS[1])])
    kernel.writes.clear()
    kernel.faults[2] = errno.EBUSY
    failed = failure(kernel, [device(UUIDS[0]), device(UUIDS[1])], state=ABSENT)
    assert failed.details["step"] == "remove"
    assert failed.details["device"] == UUIDS[1]
    assert failed.details["left"] == [
        {"device": UUIDS[0], "change": "removed", "problem": "it cannot be undone"}
    ]


class Definitions:
    """Keeps definitions as mdevctl does; ``failing`` is the number of the call, from 1, that fails."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], t.Any] = {}
        self.failing = 0
        self.calls = 0

    def run(self, arguments: list[str], data: str | None) -> tuple[int, str, str]:
        if arguments[0] == "list":
            return 0, json.dumps([{p: [{u: d}]} for (u, p), d in self.kept.items()]), ""
        self.calls += 1
        if self.calls == self.failing:
            return 1, "", "Error: refused"
        options = dict(zip(arguments[1::2], arguments[2::2]))
        key = options["--uuid"], options["--parent"]
        if arguments[0] == "define":
            assert key not in self.kept
            self.kept[key] = json.loads(data or "")
        else:
            del self.kept[key]
        return 0, "", ""


def definition(**attributes: str) -> dict[str, t.Any]:
    attrs = [{f"intel_vgpu/{name}": value + "\n"} for name, value in attributes.items()]
    return {"mdev_type": TYPE, "start": "auto", "attrs": attrs}


def test_devices_are_defined_as_they_were_made(kernel):
    definitions = Definitions()
    definitions.kept[UUIDS[0], GPU] = definition(aggregator="1")
    mdevctl = Mdevctl(definitions.run)
    devices = [device(UUIDS[0], "2"), device(UUIDS[1])]
    results = apply(kernel, devices, mdevctl=mdevctl)
    assert [each["definition"] for each in results] == ["defined", "defined"]
    assert definitions.kept == {
        (UUIDS[0], GPU): definition(aggregator="2"),
        (UUIDS[1], GPU): definition(aggregator="1"),
    }
    results = apply(kernel, devices, mdevctl=mdevctl)
    assert [each["definition"] for each in results] == ["unchanged", "unchanged"]
    results = apply(kernel, devices, ABSENT, mdevctl=mdevctl)
    assert [each["definition"] for each in results] == ["undefined", "undefined"]
    assert definitions.kept == {}


def started_by_mdevctl(kernel: Kernel, attributes: dict[str, str]) -> None:
    """Make the device as mdevctl does when the host starts: it writes what is defined, and no newline of its own."""
    apply(kernel, [device(UUIDS[0], None)])
    directory = kernel.open(MDEV_DEVICES, UUIDS[0])
    for name, value in attributes.items():
        directory.write(name, value.encode())


@pytest.mark.parametrize("value", ["12", "1"])
def test_what_mdevctl_has_started_with_a_cut_value_is_mended(kernel, value):
    definitions = Definitions()
    cut = {"mdev_type": TYPE, "start": "auto", "attrs": [{"intel_vgpu/aggregator": value}]}
    definitions.kept[UUIDS[0], GPU] = cut
    started_by_mdevctl(kernel, {"intel_vgpu/aggregator": value})
    assert attribute_of(kernel) == value[:-1]
    mdevctl = Mdevctl(definitions.run)
    (result,) = apply(kernel, [device(UUIDS[0], value)], mdevctl=mdevctl)
    assert (result["action"], result["definition"]) == ("configured", "defined")
    assert attribute_of(kernel) == value
    # The next start of the host is right.
    apply(kernel, [device(UUIDS[0], None)], ABSENT)
    (attribute,) = definitions.kept[UUIDS[0], GPU]["attrs"]
    started_by_mdevctl(kernel, attribute)
    assert attribute_of(kernel) == value


def test_what_mdevctl_has_started_with_a_cut_value_is_told_where_a_guest_has_it(kernel):
    started_by_mdevctl(kernel, {"intel_vgpu/aggregator": "12"})
    holders = Holders({"/dev/vfio/7": {"pid": 4711, "name": "vm-17"}}, complete=True)
    failed = failure(kernel, [device(UUIDS[0], "12")], scan_holders=lambda: holders)
    assert "process 4711 (vm-17) holds it" in str(failed)
    assert attribute_of(kernel) == "1"


def attribute_of(kernel: Kernel) -> str:
    path = f"bus/mdev/devices/{UUIDS[0]}/intel_vgpu/aggregator"
    return (kernel.tree.root / path).read_text().strip()


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_definitions_are_undone_too(kernel, failing):
    definitions = Definitions()
    definitions.kept[UUIDS[0], GPU] = definition(aggregator="1")
    definitions.failing = failing
    before = kernel.tree.snapshot(), dict(definitions.kept)
    failed = failure(
        kernel, [device(UUIDS[0], "2"), device(UUIDS[1])], mdevctl=Mdevctl(definitions.run)
    )
    assert (kernel.tree.snapshot(), definitions.kept) == before
    assert failed.details["step"] == "define"
    assert failed.details["left"] == []
