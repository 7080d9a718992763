# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook maintain, run by Ansible on simulated hosts: each is emptied, worked on and back before the next one."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.tests.playbooks.simulated_fleet import Fleet, Guests
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS

GUESTS = {
    "vm-1": {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]},
    "vm-2": {"host": "b", "uuid": UUIDS[6], "device": UUIDS[2]},
}
# Writes down which host was worked on, and who held a device there then.
WORK = """\
- name: Work on the host
  ansible.builtin.command:
    argv:
      - /bin/sh
      - -c
      - >-
        echo {{ inventory_hostname }} >> {{ work }}/worked;
        cp {{ state }}/{{ inventory_hostname }} {{ work }}/worked-{{ inventory_hostname }};
        {{ then | default('true') }}
"""


class Maintained:
    """A fleet of three hosts, with two guests, that is maintained."""

    def __init__(self, place: Path, guests: Guests | None = None) -> None:
        self.fleet = Fleet(place, "abc", guests or GUESTS)
        (place / "work.yml").write_text(WORK)
        self.options = {
            "maintain_tasks": str(place / "work.yml"),
            "maintain_timeout": 5,
            "work": str(place),
            "state": str(place / "state"),
        }

    def play(self, *arguments: str, **options: t.Any) -> t.Any:
        variables = {**self.options, **options}
        return self.fleet.play("vfio.migration.maintain", variables, arguments=arguments)

    def worked(self) -> list[str]:
        path = self.fleet.place / "worked"
        return path.read_text().split() if path.exists() else []

    def held_then(self, name: str) -> list[str]:
        """Return the devices of a host that somebody held while it was worked on."""
        facts = json.loads((self.fleet.place / f"worked-{name}").read_text())
        return [each["id"] for each in facts["devices"] if each["in_use"]]

    @property
    def progress(self) -> Path:
        return self.fleet.work / "maintenance/maintenance.json"


@pytest.fixture
def maintained(tmp_path: Path) -> Maintained:
    return Maintained(tmp_path)


def test_each_host_is_emptied_and_worked_on_and_no_guest_is_lost(maintained):
    ended = maintained.play()
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert maintained.worked() == ["c", "a", "b"]
    assert [maintained.held_then(name) for name in "abc"] == [[], [], []]
    guests = maintained.fleet.guests()
    assert guests == {"vm-1": "c", "vm-2": guests["vm-2"]}
    assert guests["vm-2"] in "ac"
    assert "3 hosts in 3 steps, with 2 moves of 2 guests; this is the minimum" in said
    assert said.count("c, a, b: all are done") == 1
    assert not maintained.progress.exists()


@pytest.mark.every_core
def test_check_mode_shows_the_steps_and_changes_nothing(maintained):
    ended = maintained.play("--check")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("step 3: b: 1 move;") == 1
    assert "check mode: nothing was changed" in ended.stdout
    assert maintained.worked() == []
    assert maintained.fleet.guests() == {"vm-1": "a", "vm-2": "b"}
    assert not maintained.progress.exists()


@pytest.mark.every_core
@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_a_role_that_is_nowhere_stops_the_run_before_any_host_is_asked(maintained, arguments):
    ended = maintained.play(*arguments, maintain_role="site.kvm.upgrad")
    assert ended.returncode == 2
    assert (
        "maintain_role: there is no role site.kvm.upgrad; looked in the collection site.kvm, "
        in (ended.stdout)
    )
    asked = re.findall(r"^(?:ok|changed|fatal): \[(.*?)\]", ended.stdout, re.MULTILINE)
    assert asked == ["localhost"]


@pytest.mark.every_core
@pytest.mark.parametrize("own_playbook", [False, True])
def test_a_role_in_roles_of_the_operator_is_run_and_is_none_of_this_collection(
    maintained, own_playbook
):
    place = maintained.fleet.place / ("own" if own_playbook else "work")
    # Of the same name this collection has one.
    tasks = place / "roles/report/tasks"
    tasks.mkdir(parents=True)
    words = "{{ ansible_collection_name | default('', true) }}; {{ role_path }}"
    (tasks / "main.yml").write_text(
        f"- name: Say which role this is\n  ansible.builtin.debug:\n    msg: {json.dumps(words)}\n"
    )
    playbook = "vfio.migration.maintain"
    if own_playbook:
        (place / "own.yml").write_text(f"- ansible.builtin.import_playbook: {playbook}\n")
        playbook = "../own/own.yml"
    options = {**maintained.options, "maintain_role": "report", "maintain_drain": ["a"]}
    ended = maintained.fleet.play(playbook, options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f'"msg": "; {place / "roles/report"}"' in ended.stdout
    assert maintained.worked() == ["a"]


def test_a_run_that_is_killed_is_taken_up_where_it_was(maintained):
    # While the guest of the second host moves, and again once tasks have begun on it.
    options = maintained.options
    assert maintained.fleet.kill("vfio.migration.maintain", "Migrate the leaving guests", options)
    assert maintained.worked() == ["c"]
    assert json.loads(maintained.progress.read_text())["done"] == ["c"]
    assert maintained.fleet.kill("vfio.migration.maintain", "Wait until the host is back", options)
    assert maintained.worked() == ["c", "a"]
    working = json.loads(maintained.progress.read_text())
    assert ([*working["working"]], working["done"]) == (["a"], ["c"])
    ended = maintained.play()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "a: drained in an earlier run; its tasks are run again" in ended.stdout
    assert maintained.worked() == ["c", "a", "a", "b"]
    # What the guest of the run that was killed has left is gone, too.
    there = [holder for name in "abc" for holder in maintained.fleet.holders(name)]
    assert sorted(there) == ["vm-1", "vm-2"]
    assert [maintained.held_then(name) for name in "abc"] == [[], [], []]
    assert not maintained.progress.exists()


def test_what_hosts_have_free_follows_the_guests_that_have_moved(maintained):
    taken = {"memory": 4}
    capacity = {
        "hosts": {"a": {"memory": 1}, "b": {"memory": 0}, "c": {"memory": 5}},
        "guests": {"vm-1": taken, "vm-2": taken},
    }
    options = maintained.options | {"prepare_capacity": capacity, "prepare_spare": {"memory": 1}}
    options |= {"maintain_drain": ["a", "b"]}
    # On c there is what one of them takes and what is to be spare, on a nothing beside that.
    assert maintained.fleet.kill("vfio.migration.maintain", "Wait until the host is back", options)
    assert maintained.fleet.guests() == {"vm-1": "c", "vm-2": "b"}
    # Once it is taken up, what vm-1 has left is free, and what it has taken is not.
    ended = maintained.play(**options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert maintained.fleet.guests() == {"vm-1": "c", "vm-2": "a"}
    assert not maintained.progress.exists()


def test_a_step_says_how_many_turns_its_moves_take_and_why(tmp_path):
    maintained = Maintained(tmp_path, {vm: each | {"host": "a"} for vm, each in GUESTS.items()})
    link = {"hosts": ["a"], "moves": 1}
    ended = maintained.play(
        maintain_drain=["a"], prepare_concurrent_moves={"links": {"rack": link}}
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    turns = (
        "the moves take 2 turns, and no fewer than 2, as 1 may move over the link rack at a time"
    )
    assert turns in said, said
    assert "a" not in maintained.fleet.guests().values()


def test_no_more_guests_move_again_than_the_plan_says(tmp_path):
    maintained = Maintained(tmp_path, {vm: each | {"host": "a"} for vm, each in GUESTS.items()})
    taken = {"memory": 4}
    # c has memory for one of them, b for both.
    capacity = {
        "hosts": {"a": {"memory": 0}, "b": {"memory": 8}, "c": {"memory": 4}},
        "guests": {"vm-1": taken, "vm-2": taken},
    }
    ended = maintained.play(
        prepare_capacity=capacity, maintain_drain=["a", "b"], maintain_keep_order=True
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert "2 hosts in 2 steps, with 3 moves of 2 guests" in said, said
    # Who has come to c has not moved again.
    assert sorted(maintained.fleet.guests().values()) == ["a", "c"]
    records = (maintained.fleet.work / "maintenance").glob("**/migration-record.jsonl")
    lines = [json.loads(line) for each in records for line in each.read_text().splitlines()]
    assert [each["outcome"] for each in lines if each["ended"]] == ["moved"] * 3


def test_a_host_that_lacks_something_or_fails_stops_the_rest(maintained):
    lose = 'sed -i \'s/"parents": .*"problems"/"parents": [], "problems"/\' {{ state }}/{{ inventory_hostname }}'
    ended = maintained.play(then=lose)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 2
    assert "c has come back without 0000:00:02.0" in said
    assert maintained.worked() == ["c"]
    ended = maintained.play(then="false")
    assert ended.returncode == 2
    assert maintained.worked() == ["c", "c"]
    assert maintained.fleet.guests() == {"vm-1": "a", "vm-2": "b"}


def test_nothing_begins_where_a_host_cannot_be_emptied(maintained):
    ended = maintained.play(maintain_targets=["a"])
    assert ended.returncode == 2
    assert "a cannot be drained: 1 device of its guests has no place" in ended.stderr + ended.stdout
    assert maintained.worked() == []
    assert maintained.fleet.guests() == {"vm-1": "a", "vm-2": "b"}


def test_a_host_that_cannot_be_emptied_says_for_whom_what_is_short_and_what_would_do(maintained):
    capacity = {
        "hosts": {"a": {"memory": 8}, "b": {"memory": 8}, "c": {"memory": 15}},
        "guests": {"vm-1": {"memory": 16}},
    }
    ended = maintained.play(prepare_capacity=capacity)
    said = re.sub(r"\s+", " ", ended.stdout + ended.stderr)
    assert ended.returncode == 2, said
    assert maintained.worked() == []
    assert f"No place for vm-1 ({UUIDS[1]}): b has 8 of its memory left, and 16 is needed" in said
    assert (
        "Once c, b have been drained as planned, all have a place with 1 more free memory on c"
        in said
    )
    (path,) = {*re.findall(r"All reasons are in (\S+blocked\.json)", said)}
    blocked = json.loads(Path(path).read_text())["blocked"]
    assert (blocked["hosts"], [each["vm"] for each in blocked["unplaced"]]) == (["a"], ["vm-1"])
    capacity["hosts"]["c"]["memory"] += 1
    ended = maintained.play(prepare_capacity=capacity)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert not Path(path).exists()
