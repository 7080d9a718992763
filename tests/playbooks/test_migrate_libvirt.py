# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role migrate_libvirt with those that it uses and their filters, run by Ansible on two simulated hosts.

That guests really move is tried on the lab.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_way_back import (
    migration_way_back,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import read_records
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.rebalance_options import (
    rebalance_for,
)
from ansible_collections.vfio.migration.tests.playbooks.simulated_fleet import PROGRAM, Fleet, shown
from ansible_collections.vfio.migration.tests.unit.domains import hostdev
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import host_info

# Names that are values of other types, too.
OLD, BROKEN = "True", "[1, 2]"
TOO_OLD = (
    "QEMU 10.0.2 cannot migrate a VFIO device behind a virtual IOMMU;"
    " take <iommu> out of the domain and restart it, or update QEMU to 11.0.0"
)


# What a domain has that is for nobody to see.
SECRET = "s3cr3t"
GRAPHICS = f"<graphics type='vnc' passwd='{SECRET}'/>"


def files_with(text, place):
    """Return the files that have ``text`` in them, but for those that stand for libvirt's own memory."""
    files = [path for path in place.rglob("*") if path.is_file() and "state" not in path.parts]
    return [path for path in files if text.encode() in path.read_bytes()]


@pytest.mark.every_core
def test_guests_move_fail_and_stay_whatever_their_names_are(tmp_path):
    # A guest's name is no program, for no version of Ansible.
    hostile, error = f"vm {PROGRAM} [1]", f"error: {PROGRAM}"
    guests = {
        hostile: {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1], "xml": GRAPHICS},
        OLD: {
            "host": "a",
            "uuid": UUIDS[6],
            "device": UUIDS[2],
            "info": {"iommu": "intel"},
        },
        BROKEN: {"host": "b", "uuid": UUIDS[7], "device": UUIDS[3], "error": error},
    }
    fleet = Fleet(tmp_path, "ab", guests)
    # What an operator gives is a template unless it is marked.
    options = "".join(f"\n- !unsafe {json.dumps(guest)}" for guest in guests)
    ended = fleet.play(
        "vfio.migration.migrate_libvirt", extra=f"migrate_libvirt_guests:{options}\n"
    )

    said = ended.stdout + ended.stderr
    assert shown(said, "Show the outcome") == [
        f"{hostile} has moved from a to b",
        f"{OLD} stays on a:",
        f"  {TOO_OLD}",
        f"{BROKEN} stays on b:",
        f"  libvirt: {error}",
        "  the guest on b is running (unpaused)",
        "  the kernel on b: it {{ refuses }}",
        "  the kernel on a: [2.5] it {{ refuses }}",
    ]
    assert f"for the reasons shown before: {OLD}, {BROKEN}; fix that" in said
    assert ended.returncode == 2
    assert not fleet.canary.exists()
    assert fleet.guests() == {hostile: "b", OLD: "a", BROKEN: "b"}
    # What the guest has left is removed, and what was made for the one that has not moved.
    assert fleet.holders("a") == [OLD]
    assert fleet.holders("b") == sorted([BROKEN, hostile])
    # How far each of those was that were tried has been shown.
    for guest in (hostile, BROKEN):
        assert re.search(rf"^{re.escape(guest)} to [ab]: 75 %, 3.0 MiB sent", said, re.MULTILINE)
    # What is told to machines, too.
    (record,) = fleet.work.glob("**/migration-record.jsonl")
    assert record.stat().st_mode & 0o777 == 0o600
    written, _lost = read_records(record.read_text())
    lines = {each["vm"]: each for each in written}
    # They move at the same time; either may end first.
    ends = {vm: (line["source"], line["target"], line["outcome"]) for vm, line in lines.items()}
    assert ends == {hostile: ("a", "b", "moved"), BROKEN: ("b", "a", "stayed")}
    assert [lines[vm]["downtime_ms"] for vm in (hostile, BROKEN)] == [70, None]
    assert f"libvirt: {error}" in lines[BROKEN]["errors"]
    assert SECRET not in said
    assert files_with(SECRET, tmp_path) == []


# Before the guest moves, and while it does.
@pytest.mark.parametrize(
    "task",
    ["Migrate the leaving guests", "Read the logs of QEMU and the kernel for the arriving guests"],
)
def test_after_a_run_is_killed_cleanup_leaves_what_guests_hold(tmp_path, task):
    guest = {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1], "xml": GRAPHICS}
    fleet = Fleet(tmp_path, "ab", {"vm-1": guest})
    assert fleet.kill("vfio.migration.migrate_libvirt", task, {"migrate_libvirt_guests": "vm-1"})
    # What has begun on a host goes on.
    time.sleep(3)
    assert files_with(SECRET, tmp_path) == []
    ended = fleet.play("vfio.migration.cleanup", {"cleanup_remove": "prepared,vacated"})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    host = fleet.guests()["vm-1"]
    assert {name: fleet.holders(name) for name in "ab"} == {"a": [], "b": []} | {host: ["vm-1"]}


def test_the_same_run_again_ends_what_was_killed_though_nobody_is_left_to_move(tmp_path):
    fleet = Fleet(tmp_path, "ab", {"vm-1": {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]}})
    task = "Read the logs of QEMU and the kernel for the arriving guests"
    drain = {"migrate_libvirt_drain": "a"}
    assert fleet.kill("vfio.migration.migrate_libvirt", task, drain)
    assert {name: fleet.holders(name) for name in "ab"} == {"a": [None], "b": ["vm-1"]}
    # Who has moved is written down at once, so that this run can be reversed, too.
    (record,) = fleet.work.glob("**/migration-record.jsonl")
    (line,) = read_records(record.read_text())[0]
    assert line["outcome"] == "moved"
    ended = fleet.play("vfio.migration.migrate_libvirt", drain)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {name: fleet.holders(name) for name in "ab"} == {"a": [], "b": ["vm-1"]}


def test_a_guest_that_came_when_nobody_watched_is_in_the_record_of_the_next_run(tmp_path):
    fleet = Fleet(tmp_path, "ab", {"vm-1": {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]}})
    drain = {"migrate_libvirt_drain": "a"}
    task = "Read the logs of QEMU and the kernel for the arriving guests"
    assert fleet.kill("vfio.migration.migrate_libvirt", task, drain)
    # As if the run had been killed while the guest was on its way.
    (record,) = fleet.work.glob("**/migration-record.jsonl")
    record.unlink()
    ended = fleet.play("vfio.migration.migrate_libvirt", drain)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (line,) = map(json.loads, record.read_text().splitlines())
    assert (line["vm"], line["source"], line["target"]) == ("vm-1", "a", "b")
    assert (line["outcome"], line["begin"], line["downtime_ms"]) == ("moved", None, None)
    assert "while no run watched" in line["errors"][0]


def two_guests(place, hosts="abc", **changes):
    guests = {
        "vm-1": {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1], **changes},
        "vm-2": {"host": "a", "uuid": UUIDS[6], "device": UUIDS[2], **changes},
    }
    return Fleet(place, hosts, guests)


AFTER_THE_MOVES = "Read the logs of QEMU and the kernel for the arriving guests"


@pytest.mark.parametrize(
    ("named", "targets"),
    [
        ({"migrate_libvirt_guests": "vm-1,vm-2"}, {}),
        ({"migrate_libvirt_guests": "vm-1,vm-2"}, {"migrate_libvirt_targets": "b"}),
        (
            {
                "migrate_libvirt_devices": [
                    {"host": "a", "id": UUIDS[1]},
                    {"host": "a", "id": UUIDS[2]},
                ]
            },
            {},
        ),
    ],
)
def test_a_killed_run_with_named_guests_is_taken_up_and_can_be_reversed_as_a_whole(
    tmp_path, named, targets
):
    fleet = two_guests(tmp_path)
    options = {**named, **targets}
    assert fleet.kill("vfio.migration.migrate_libvirt", AFTER_THE_MOVES, options)
    there = fleet.guests()
    assert "a" not in there.values()
    ended = fleet.play("vfio.migration.migrate_libvirt", options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert fleet.guests() == there
    assert fleet.holders("a") == []
    said = shown(ended.stdout, "Show the outcome")
    assert [each.split(" in the run of ")[0] for each in said] == [
        f"{vm} has moved from a to {host}" for vm, host in there.items()
    ]
    (record,) = fleet.work.glob("**/migration-record.jsonl")
    (back,) = migration_way_back(record.read_text())
    assert back["migrate_libvirt_guests"] == [UUIDS[5], UUIDS[6]]
    # That was the end of it: the same command is a new one from now on.
    if not targets and "migrate_libvirt_guests" in named:
        assert fleet.play("vfio.migration.migrate_libvirt", options).returncode == 0
        now = fleet.guests()
        assert all(now[vm] != there[vm] for vm in there)


def test_a_run_that_left_guests_behind_is_repeated_for_these_alone(tmp_path):
    fleet = two_guests(tmp_path, hosts="ab")
    fleet.change("vm-2", error="internal error: not now")
    options = {"migrate_libvirt_guests": "vm-1,vm-2"}
    assert fleet.play("vfio.migration.migrate_libvirt", options).returncode == 2
    assert fleet.guests() == {"vm-1": "b", "vm-2": "a"}
    fleet.change("vm-2", error=None)
    ended = fleet.play("vfio.migration.migrate_libvirt", options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert fleet.guests() == {"vm-1": "b", "vm-2": "b"}
    (record,) = fleet.work.glob("**/migration-record.jsonl")
    (back,) = migration_way_back(record.read_text())
    assert back == {
        "migrate_libvirt_guests": [UUIDS[5], UUIDS[6]],
        "migrate_libvirt_targets": ["a"],
    }
    ended = fleet.play("vfio.migration.migrate_libvirt", extra=json.dumps(back))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert fleet.guests() == {"vm-1": "a", "vm-2": "a"}


PAST_LIBVIRT = (
    "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
    "<qemu:arg value='vfio-pci,host=0000:06:00.1'/></qemu:commandline>"
)


@pytest.mark.parametrize(
    ("arguments", "element", "words"),
    [
        (["--check"], hostdev("mdev", UUIDS[9]), f"mdev {UUIDS[9]} of vm-1 has no target"),
        ([], hostdev("mdev", UUIDS[9]), f"mdev {UUIDS[9]} of vm-1 has no target in the plan"),
        (["--check"], PAST_LIBVIRT, "'vfio-pci,host=0000:06:00.1', a device of its host"),
        ([], PAST_LIBVIRT, "'vfio-pci,host=0000:06:00.1', a device of its host"),
    ],
)
def test_what_no_plan_can_replace_in_a_domain_is_told_before_a_target_is_there(
    tmp_path, arguments, element, words
):
    guest = {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]}
    past_libvirt = element is PAST_LIBVIRT
    fleet = Fleet(tmp_path, "ab", {"vm-1": guest | ({} if past_libvirt else {"xml": element})})
    if past_libvirt:
        xml = fleet.read("guests")["vm-1"]["xml"].replace("</domain>", f"{element}</domain>")
        fleet.change("vm-1", xml=xml)
    options = {"migrate_libvirt_guests": "vm-1"}
    ended = fleet.play("vfio.migration.migrate_libvirt", options, arguments=arguments)
    assert words in ended.stdout
    assert "would move" not in ended.stdout
    assert ended.returncode == 2
    assert "Create the mediated devices" not in ended.stdout
    assert (fleet.guests(), fleet.holders("b")) == ({"vm-1": "a"}, [])


@pytest.mark.every_core
@pytest.mark.parametrize("seconds", [0, 4])
def test_a_migration_whose_start_never_answered_is_watched_to_its_end(tmp_path, seconds):
    """The module is killed once it has begun what it is to begin, as one is whose connection is lost."""
    fleet = two_guests(tmp_path, hosts="ab")
    fleet.change("vm-1", dies=["start"], seconds=seconds)
    ended = fleet.play("vfio.migration.migrate_libvirt", {"migrate_libvirt_drain": "a"})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert fleet.guests() == {"vm-1": "b", "vm-2": "b"}
    assert {name: fleet.holders(name) for name in "ab"} == {"a": [], "b": ["vm-1", "vm-2"]}


def test_a_clean_up_that_cannot_begin_takes_no_outcome_with_it(tmp_path):
    fleet = two_guests(tmp_path, hosts="ab")
    fleet.change("vm-2", error="it refuses")

    def damage() -> None:
        end = time.monotonic() + 120
        while not (begun := [*fleet.work.glob("**/migration-record.jsonl")]):
            if time.monotonic() > end:
                return
            time.sleep(0.05)
        # As a full disk leaves what is written by others.
        begun[0].with_name("migration-plan.progress.json").write_text("")

    threading.Thread(target=damage, daemon=True).start()
    ended = fleet.play("vfio.migration.migrate_libvirt", {"migrate_libvirt_drain": "a"})
    said = ended.stdout + ended.stderr
    assert ended.returncode == 2
    assert fleet.guests() == {"vm-1": "b", "vm-2": "a"}
    outcome = shown(said, "Show the outcome")
    assert "vm-1 may be on its way from a to b:" in outcome
    assert "  libvirt: it refuses" in outcome
    assert "the clean-up has failed" in said
    assert "it is empty" in said
    # Nothing is removed by what nobody could read.
    assert fleet.holders("b") == [None, "vm-1"]


def test_a_guest_without_devices_whose_end_nobody_saw_is_where_libvirt_of_both_hosts_says(
    tmp_path,
):
    """Its host never says how it ended; whether it was killed or its answers are lost is the same."""
    unseen: dict[str, t.Any] = {"host": "a", "device": None, "told": {"runs": False}}
    guests = {
        "vm-1": {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]},
        "plain": {"uuid": UUIDS[6], **unseen},
        # Nobody sends it any more.
        "back": {"uuid": UUIDS[7], "seconds": 600, **unseen},
    }
    fleet = Fleet(tmp_path, "ab", guests)
    options = {"migrate_libvirt_drain": "a", "migrate_libvirt_other_guests": "move"}
    options |= {f"migrate_libvirt_parallel{end}": 3 for end in ("", "_source", "_target")}
    ended = fleet.play("vfio.migration.migrate_libvirt", options)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert fleet.guests() == {"vm-1": "b", "plain": "b", "back": "a"}
    said = shown(ended.stdout, "Show the outcome")
    assert "plain has moved from a to b" in said
    assert "back stays on a:" in said, said
    (record,) = fleet.work.glob("**/migration-record.jsonl")
    (back,) = migration_way_back(record.read_text())
    assert back["migrate_libvirt_guests"] == [UUIDS[5], UUIDS[6]]


def test_a_guest_without_devices_that_came_when_the_run_was_killed_is_done_in_the_next_one(
    tmp_path,
):
    guests = {
        "plain": {"host": "a", "uuid": UUIDS[6], "device": None, "seconds": 600},
        "vm-1": {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]},
    }
    fleet = Fleet(tmp_path, "ab", guests)
    options = {"migrate_libvirt_drain": "a", "migrate_libvirt_other_guests": "move"}
    fleet.signal("vfio.migration.migrate_libvirt", "plain to b: 75 %", signal.SIGKILL, options)
    assert fleet.guests() == {"plain": "a", "vm-1": "b"}
    fleet.arrive("plain", "b")
    ended = fleet.play("vfio.migration.migrate_libvirt", options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    said = shown(ended.stdout, "Show the outcome")
    assert sorted(each.split(" in the run of ")[0] for each in said) == [
        "plain has moved from a to b",
        "vm-1 has moved from a to b",
    ]
    (record,) = fleet.work.glob("**/migration-record.jsonl")
    (back,) = migration_way_back(record.read_text())
    assert back["migrate_libvirt_guests"] == [UUIDS[5], UUIDS[6]]


@pytest.mark.every_core
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_word_of_who_is_on_the_way_and_of_what_to_do(tmp_path, number):
    fleet = two_guests(tmp_path, hosts="ab")
    fleet.change("vm-1", seconds=600)
    options = {"migrate_libvirt_drain": "a"}
    said = fleet.signal("vfio.migration.migrate_libvirt", "3.0 MiB sent", number, options)
    (record,) = fleet.work.glob("**/migration-record.jsonl")
    (line,) = read_records(record.read_text())[0]
    assert (line["vm"], line["source"], line["target"]) == ("vm-1", "a", "b")
    assert (line["outcome"], line["ended"]) == ("interrupted", False)
    assert "vm-1 to b: the run has ended during its migration from a" in said
    assert "run the same command again" in said
    commands = re.findall(r"clean up with ansible-playbook vfio.migration.cleanup (.*)", said)
    assert ["cleanup_remove=prepared,vacated" in each for each in commands] == [True]
    # Libvirt sends it nevertheless; nobody watches any more here, as on real hosts, so the stand-in is told that time has passed.
    fleet.arrive("vm-1", "b")
    ended = fleet.play("vfio.migration.migrate_libvirt", options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert fleet.guests() == {"vm-1": "b", "vm-2": "b"}
    (back,) = migration_way_back(record.read_text())
    assert back["migrate_libvirt_guests"] == [UUIDS[5], UUIDS[6]]


def test_a_host_that_takes_no_part_is_asked_for_its_facts_and_by_libvirt_once(tmp_path):
    """Each task on every host of a fleet costs more than all that is done for one guest."""
    guest = {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]}
    fleet = Fleet(tmp_path, "abc", {"vm-1": guest})
    ended = fleet.play("vfio.migration.migrate_libvirt", {"migrate_libvirt_guests": "vm-1"})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    target = fleet.guests()["vm-1"]
    (other,) = {*"bc"} - {target}
    asked = {name: len(re.findall(rf"\w+: \[{name}\]", ended.stdout)) for name in "abc"}
    assert asked[other] == 2
    assert min(asked["a"], asked[target]) > 2


def test_the_address_of_a_host_may_be_a_template(tmp_path):
    fleet = Fleet(tmp_path, "ab", {"vm-1": {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]}})
    variables = {
        "migrate_libvirt_guests": "vm-1",
        "migrate_libvirt_address": "{{ inventory_hostname }}.example",
    }
    ended = fleet.play("vfio.migration.migrate_libvirt", variables, arguments=["--check", "-v"])
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "qemu+ssh://root@b.example/system" in ended.stdout


# The environment may ask for every task, which takes a quarter of an hour; else the points are as far apart as this.
EVERY_TASK = os.environ.get("VFIO_MIGRATION_KILL_AT_EVERY_TASK")
FEWER = 10


def killed_at(place: Path, task: int) -> tuple[bool, list[str]]:
    """Kill a run at the task with this number, and clean up; return whether it got there, and what is not as it should be."""
    fleet = Fleet(place, "ab", {"vm-1": {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]}})
    reached = fleet.kill("vfio.migration.migrate_libvirt", task, {"migrate_libvirt_guests": "vm-1"})
    # What has begun on a host goes on.
    time.sleep(3)
    faults = []
    if any(fleet.work.iterdir()):
        ended = fleet.play("vfio.migration.cleanup", {"cleanup_remove": "prepared,vacated"})
        faults += [ended.stdout + ended.stderr] if ended.returncode else []
    found = {name: fleet.holders(name) for name in "ab"}
    if found != {"a": [], "b": []} | {fleet.guests()["vm-1"]: ["vm-1"]}:
        faults.append(f"task {task}: {fleet.guests()} and {found}")
    return reached, faults


def test_wherever_a_run_is_killed_cleanup_leaves_what_guests_hold_and_nothing_else(tmp_path):
    """At tasks of each part: before anything is made, while it is, while the guest moves, when it has, while the source goes."""
    points, faults, reached = 0, [], True
    while reached:
        number = 1 + points * (1 if EVERY_TASK else FEWER)
        reached, found = killed_at(tmp_path / str(number), number)
        faults += found
        points += reached
    print(f"kill points: {points}, leftovers: {len(faults)}")
    assert faults == []
    assert points >= (46 if EVERY_TASK else 5)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"migrate_libvirt_guests": "vm-1"}, "no host has a process of the name vm-1 that holds"),
        ({"migrate_libvirt_drain": "gpu12"}, "migrate_libvirt_drain has 'gpu12'"),
    ],
)
def test_a_part_of_a_name_chooses_nobody(tmp_path, options, error):
    fleet = Fleet(
        tmp_path, ["gpu1", "b"], {"vm-17": {"host": "gpu1", "uuid": UUIDS[5], "device": UUIDS[1]}}
    )
    ended = fleet.play("vfio.migration.migrate_libvirt", options)
    assert ended.returncode == 2
    assert error in ended.stdout
    assert fleet.guests() == {"vm-17": "gpu1"}
    assert [*fleet.work.iterdir()] == []


def test_a_host_without_guests_is_drained_already(tmp_path):
    fleet = Fleet(tmp_path, "abc", {"vm-1": {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]}})
    ended = fleet.play("vfio.migration.migrate_libvirt", {"migrate_libvirt_drain": "b"})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "there is nothing to move" in ended.stdout
    assert fleet.guests() == {"vm-1": "a"}


def test_memory_and_what_is_stated_of_capacity_hold_for_all_guests_of_the_plan(tmp_path):
    sizes = {"vm-1": 900_000, "vm-2": 600_000, "vm-3": 600_000, "vm-4": 100_000}
    fleet = Fleet(
        tmp_path,
        "abc",
        {
            name: {"host": "a", "uuid": UUIDS[4 + n], "device": UUIDS[n], "info": {"memory": kib}}
            for n, (name, kib) in enumerate(sizes.items(), 1)
        },
    )
    options = {
        "migrate_libvirt_drain": "a",
        "prepare_capacity": {
            "hosts": {"b": {"cpus": 1}, "c": {"cpus": 4}},
            "guests": {"vm-1": {"cpus": 2}},
        },
    }
    ended = fleet.play("vfio.migration.migrate_libvirt", options, arguments=["--check"])
    said = shown(ended.stdout, "Show the outcome")
    # Of vm-2 and vm-3 one stays, or else both go to b and c, and vm-1 stays.
    assert sum("would move" in each for each in said) == 3, ended.stdout + ended.stderr
    assert "vm-4 would move from a to" in str(said)
    assert re.search(
        r"[bc] has [0-9]+ of its KiB of memory left, and [69]00000 is needed", str(said)
    )
    assert "vm-1 would move from a to b" not in said


def test_a_plan_is_prepared_with_the_memory_that_is_free_by_then(tmp_path):
    sizes = {"vm-1": 900_000, "vm-2": 600_000}
    guests = {
        name: {"host": "a", "uuid": UUIDS[4 + n], "device": UUIDS[n], "info": {"memory": kib}}
        for n, (name, kib) in enumerate(sizes.items(), 1)
    }
    fleet = Fleet(tmp_path, "ab", {name: each | {"error": "no"} for name, each in guests.items()})
    ended = fleet.play("vfio.migration.migrate_libvirt", {"migrate_libvirt_drain": "a"})
    (plan,) = fleet.work.glob("**/migration-plan.json")
    assert len(json.loads(plan.read_text())["placements"]) == 1, ended.stdout + ended.stderr
    fleet.answer(host=host_info(memory={"free": 1 << 22, "default_huge_page": 0, "huge_pages": []}))
    ended = fleet.play("vfio.migration.prepare", {"prepare_from": str(plan)})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert fleet.holders("b") == [None, None]


def test_guests_of_later_waves_move_when_the_same_command_is_run_again(tmp_path):
    """Two guests never meet: one may come to b when the other one has left it."""
    guests = {
        "vm-1": {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]},
        "vm-2": {"host": "b", "uuid": UUIDS[6], "device": UUIDS[2]},
    }
    fleet = Fleet(tmp_path, "abc", guests)
    options = {
        "migrate_libvirt_guests": "vm-1,vm-2",
        "prepare_apart": [["vm-1", "vm-2"]],
        "prepare_avoid": [
            {"host": "c", "guest": "vm-1", "problem": "it is for others"},
            {"host": "a", "guest": "vm-2", "problem": "it is for others"},
        ],
    }
    ended = fleet.play("vfio.migration.migrate_libvirt", options)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert fleet.guests() == {"vm-1": "a", "vm-2": "c"}
    said = "these guests move after those that have moved now: vm-1; run the same command again"
    assert said in ended.stdout
    ended = fleet.play("vfio.migration.migrate_libvirt", options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert fleet.guests() == {"vm-1": "b", "vm-2": "c"}
    assert {name: fleet.holders(name) for name in "abc"} == {"a": [], "b": ["vm-1"], "c": ["vm-2"]}
    (record,) = fleet.work.glob("**/migration-record.jsonl")
    back = migration_way_back(record.read_text())
    assert [each["migrate_libvirt_guests"] for each in back] == [[UUIDS[5]], [UUIDS[6]]]


def test_guests_of_later_waves_of_a_drain_move_when_the_same_command_is_run_again(tmp_path):
    """The drained host is of the failure domain of the one that may receive one of the two."""
    fleet = two_guests(tmp_path)
    options = {
        "migrate_libvirt_drain": "a",
        "prepare_apart": [["vm-1", "vm-2"]],
        "prepare_failure_domains": {"rack": ["a", "b"]},
        "prepare_avoid": [{"host": "c", "guest": "vm-1", "problem": "it is for others"}],
    }
    ended = fleet.play("vfio.migration.migrate_libvirt", options)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert fleet.guests() == {"vm-1": "a", "vm-2": "c"}
    assert "vm-1; run the same command again" in ended.stdout
    ended = fleet.play("vfio.migration.migrate_libvirt", options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert fleet.guests() == {"vm-1": "b", "vm-2": "c"}


def test_a_plan_that_evens_loads_in_waves_moves_wave_by_wave(tmp_path):
    """One may come to b when another one has left it; those that stay may go nowhere."""
    guests = {
        "vm-1": {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]},
        "vm-2": {"host": "b", "uuid": UUIDS[6], "device": UUIDS[2]},
        "stays-1": {"host": "a", "uuid": UUIDS[7], "device": UUIDS[3]},
        "stays-2": {"host": "a", "uuid": UUIDS[8], "device": UUIDS[4]},
    }
    fleet = Fleet(tmp_path, "abc", guests)
    nowhere = [("b", "stays-1"), ("c", "stays-1"), ("b", "stays-2"), ("c", "stays-2")]
    found: t.Any = rebalance_for(
        {name: fleet.read(name) for name in "abc"},
        2,
        reuse=True,
        apart=[["vm-1", "vm-2"]],
        avoid=[{"host": name, "guest": vm} for name, vm in [*nowhere, ("c", "vm-1")]],
    )
    assert (found["before"], found["after"]) == (10, 6)
    (fleet.place / "rebalance.json").write_text(json.dumps(found["plan"]))
    options = {"prepare_from": "../rebalance.json"}
    ended = fleet.play("vfio.migration.migrate_libvirt", extra=json.dumps(options))
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "these guests move after those that have moved now: vm-1" in ended.stdout
    ended = fleet.play("vfio.migration.migrate_libvirt", extra=json.dumps(options))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert fleet.guests() == {"vm-1": "b", "vm-2": "c", "stays-1": "a", "stays-2": "a"}


@pytest.mark.parametrize("extra", [False, True])
def test_what_the_checks_and_an_operator_avoid_hold_both(tmp_path, extra):
    guests = {
        "vm-1": {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1], "info": {"networks": ["n"]}},
        "vm-2": {"host": "a", "uuid": UUIDS[6], "device": UUIDS[2]},
    }
    fleet = Fleet(tmp_path, "abc", guests)
    # On c there is no such network.
    fleet.lie("b", keys={"host": host_info(networks=["n"])})
    avoided = {"prepare_avoid": [{"host": "b", "problem": "old"}]}
    options = {"migrate_libvirt_drain": "a", **({} if extra else avoided)}
    ended = fleet.play(
        "vfio.migration.migrate_libvirt",
        options,
        # What is given with -e no playbook can change.
        extra=json.dumps(avoided) if extra else "",
        arguments=["--check"],
    )
    said = shown(ended.stdout, "Show the outcome")
    assert "vm-2 would move from a to c" in said, ended.stdout + ended.stderr
    assert "vm-1 stays on a:" in said


WITH_AND_WITHOUT = {
    "vm-1": {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]},
    "plain": {"host": "a", "uuid": UUIDS[6], "device": None},
    "stays": {"host": "a", "uuid": UUIDS[7], "device": None, "error": "error: it is busy"},
}


def test_guests_without_devices_leave_a_drained_host_where_that_is_wanted(tmp_path):
    fleet = Fleet(tmp_path, "ab", WITH_AND_WITHOUT)
    options = {"migrate_libvirt_drain": "a", "migrate_libvirt_other_guests": "move"}
    ended = fleet.play("vfio.migration.migrate_libvirt", options)
    said = ended.stdout + ended.stderr
    assert ended.returncode != 0, said
    assert fleet.guests() == {"vm-1": "b", "plain": "b", "stays": "a"}
    assert "plain has moved from a to b" in said
    assert "these guests have not moved, for the reasons shown before: stays" in said
    assert "it is busy" in said
    (record,) = fleet.work.rglob("migration-record.jsonl")
    # All that have moved go back as well, whether they have devices or not.
    (back,) = migration_way_back(record.read_text())
    lines = {each["vm"]: each for each in map(json.loads, record.read_text().splitlines())}
    assert lines["plain"]["devices"] == []
    assert {vm: each["outcome"] for vm, each in lines.items()} == {
        "vm-1": "moved",
        "plain": "moved",
        "stays": "stayed",
    }
    ended = fleet.play("vfio.migration.migrate_libvirt", extra=json.dumps(back))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert fleet.guests() == {"vm-1": "a", "plain": "a", "stays": "a"}


def test_a_host_with_no_other_guests_than_those_without_devices_is_drained(tmp_path):
    fleet = Fleet(tmp_path, "ab", {"plain": WITH_AND_WITHOUT["plain"]})
    options = {"migrate_libvirt_drain": "a", "migrate_libvirt_other_guests": "move"}
    ended = fleet.play("vfio.migration.migrate_libvirt", options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert fleet.guests() == {"plain": "b"}


def test_guests_without_devices_are_named_or_stop_a_drain_before_anything_is_made(tmp_path):
    fleet = Fleet(tmp_path, "ab", WITH_AND_WITHOUT)
    options = {"migrate_libvirt_drain": "a", "migrate_libvirt_other_guests": "fail"}
    ended = fleet.play("vfio.migration.migrate_libvirt", options)
    said = ended.stdout + ended.stderr
    assert ended.returncode != 0
    assert (
        "guests without VFIO devices are on hosts that are to be drained: plain on a, stays" in said
    )
    assert fleet.guests()["vm-1"] == "a"
    assert [*fleet.work.iterdir()] == []
    ended = fleet.play("vfio.migration.migrate_libvirt", {"migrate_libvirt_drain": "a"})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "plain on a has no VFIO device and was left alone" in ended.stdout
    assert fleet.guests() == {"vm-1": "b", "plain": "a", "stays": "a"}
