# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The migration of one guest as the control node sees it, with a host that answers as it likes."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.guest_move import (
    LONGEST_LOOK,
    GuestMove,
    as_result,
)
from ansible_collections.vfio.migration.tests.unit.domains import domain_of, hostdev
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS

XML = domain_of(hostdev("mdev", UUIDS[1]))
PLAN = {
    "placements": [
        {
            "vm": "vm-17",
            "source": {"host": "a", "kind": "mdev", "id": UUIDS[1]},
            "target": {"host": "b", "kind": "mdev", "id": UUIDS[2]},
        }
    ]
}
READ = {"definitions": {"active": XML, "persistent": XML}}
SAMPLE = {"data_total": 4 << 20, "data_processed": 1 << 20, "data_remaining": 3 << 20}
RUNS = {"runs": True, "status": SAMPLE}
ENDED = {"runs": False, "status": {"outcome": "moved", "errors": [], "bytes": 7}}
AWAY = AnsibleConnectionFailure("no route\x1b")


class Host:
    """Gives its answers in turn, and keeps what it was asked and what was shown."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.shown = []
        self.slept = []
        self.asked_when_the_run_ends = 100

    def ask(self, options):
        self.asked.append(options)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def move(self, check_mode=False, **options):
        move = self.made(**options)
        return move.check() if check_mode else move.run()

    def made(self, **options):
        given = {"uuid": UUIDS[5], "plan": PLAN, "destination": "qemu+ssh://root@b/system"}
        given = {**given, "label": "vm-17 to b", **options}
        return GuestMove(
            *(given, "a", self.ask, self.shown.append),
            lambda: len(self.asked) < self.asked_when_the_run_ends,
            self.slept.append,
            # A minute passes with each question.
            lambda: 60.0 * len(self.asked),
        )


def test_a_guest_is_read_retargeted_sent_and_watched():
    host = Host(READ, RUNS, RUNS, ENDED)
    report = host.move(downtime=500, stall=None)
    assert (report.outcome, report.numbers) == ("moved", {"bytes": 7})
    assert [each["step"] for each in host.asked] == ["read", "start", "watch", "watch"]
    start = host.asked[1]
    for key in ("active_xml", "persistent_xml"):
        assert UUIDS[2] in start[key] and UUIDS[1] not in start[key]
    assert (start["downtime"], "stall" in start) == (500, False)
    assert host.shown == ["vm-17 to b: 25 %, 1.0 MiB sent, 3.0 MiB left"] * 2
    assert [each["uuid"] for each in host.asked] == [UUIDS[5]] * 4
    assert not any("active_xml" in each for each in host.asked[2:])


@pytest.mark.parametrize(("asked", "outcome"), [(1, "refused"), (2, "lost"), (3, "lost")])
def test_what_outlives_the_run_of_ansible_begins_nothing_and_waits_for_nothing(asked, outcome):
    host = Host(READ, RUNS, RUNS, ENDED)
    host.asked_when_the_run_ends = asked
    report = host.move()
    assert (report.outcome, report.errors) == (outcome, ["the run of Ansible has ended"])
    assert len(host.asked) == asked


def test_whether_it_may_still_begin_is_asked_when_its_host_has_answered_about_it():
    host = Host(READ)
    move = host.made()
    report = move.begin(lambda: "it is too late" if host.asked else None)
    assert (report.outcome, report.errors) == ("refused", ["it is too late"])
    assert [each["step"] for each in host.asked] == ["read"]


def test_looks_become_rarer_up_to_a_limit():
    host = Host(READ, *[RUNS] * 6, ENDED)
    host.move()
    waits = [each["wait"] for each in host.asked[1:]]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_LOOK


def test_in_check_mode_it_is_looked_up_and_nothing_begun():
    host = Host(READ)
    assert host.move(check_mode=True) is None
    assert as_result(None) == {"changed": True}
    refused = Host(AWAY).move(check_mode=True)
    assert (refused.outcome, "does not answer" in refused.errors[0]) == ("refused", True)


def test_a_guest_that_runs_only_has_no_definition_to_take_along():
    host = Host({"definitions": {"active": XML, "persistent": None}}, ENDED)
    assert host.move().outcome == "moved"
    assert "persistent_xml" not in host.asked[1]


@pytest.mark.parametrize(
    ("read", "options", "error"),
    [
        ({"failed": True, "msg": "install the package python3-libvirt"}, {}, "install the package"),
        (AWAY, {}, "a does not answer any more: no route\\x1b"),
        (AnsibleActionFail("no room for the module"), {}, "no room for the module"),
        ({}, {}, "its host answered no definition of it"),
        (READ, {"source": "c"}, "has no target in the plan"),
    ],
)
def test_what_speaks_against_it_is_said_before_anything_is_begun(read, options, error):
    host = Host(read)
    report = host.move(**options)
    assert report.outcome == "refused"
    assert error in report.errors[0]
    result = as_result(report)
    assert (result["failed"], result["changed"]) == (True, False)
    assert error in result["msg"]


NOT_BEGUN = {"begun": False, "runs": False, "status": {}}
NO_SPACE = {"failed": True, "msg": "no space left on device"}
NONSENSE = [{}, {"runs": 1}, {"runs": "true"}, {"status": 7}]
# What comes back where a module was killed, a connection was lost, or the answer is none; whether it has begun by then nobody knows.
UNCLEAR = [
    AWAY,
    AnsibleActionFail("MODULE FAILURE"),
    OSError("too many open files"),
    {"failed": True, "msg": "MODULE FAILURE: Killed", "rc": 137},
    {"failed": True, "begun": True, "msg": "the status cannot be read"},
    {"failed": True, "begun": "False", "msg": "it is no truth value"},
    {"failed": True, "runs": False, "status": {}, "msg": "it says both"},
    NO_SPACE,
    *NONSENSE,
]


def test_what_its_host_refuses_to_begin_was_not_begun():
    host = Host(
        READ, {"failed": True, "begun": False, "msg": "another run is already migrating it"}
    )
    report = host.move()
    assert (report.outcome, report.errors) == ("refused", ["another run is already migrating it"])
    assert len(host.asked) == 2


@pytest.mark.parametrize("start", UNCLEAR)
def test_a_start_without_a_clear_answer_is_watched(start):
    for answers in ([RUNS, ENDED], [ENDED], [AWAY, NO_SPACE, RUNS, AWAY, ENDED]):
        host = Host(READ, start, *answers)
        assert host.move().outcome == "moved"
        assert [each["step"] for each in host.asked[2:]] == ["watch"] * len(answers)


@pytest.mark.parametrize("start", UNCLEAR)
def test_it_is_refused_once_its_host_says_again_that_nothing_was_begun(start):
    host = Host(READ, start, NOT_BEGUN, NOT_BEGUN)
    report = host.move()
    assert report.outcome == "refused"
    assert report.errors[0]
    # A module that was slow to start has begun in between.
    assert len(host.slept) == 2
    assert Host(READ, start, NOT_BEGUN, RUNS, ENDED).move().outcome == "moved"
    # Nobody says whether it has.
    assert Host(READ, start, NOT_BEGUN, *[AWAY] * 20).move().outcome == "lost"
    # It has begun, and what sends it is gone.
    gone = {"begun": True, "runs": False, "status": {}}
    assert Host(READ, start, gone).move().outcome == "lost"


def test_each_migration_has_a_name_of_its_own_by_which_its_host_knows_it():
    hosts = [Host(READ, RUNS, ENDED) for _number in range(2)]
    for host in hosts:
        host.move()
    names = [{each["attempt"] for each in host.asked[1:]} for host in hosts]
    assert [len(each) for each in names] == [1, 1]
    assert names[0] != names[1]


def test_a_host_that_is_away_for_a_while_is_waited_for():
    host = Host(READ, RUNS, AWAY, AWAY, RUNS, AWAY, ENDED)
    assert host.move().outcome == "moved"
    assert len(host.slept) == 3


def test_a_host_that_stays_away_is_given_up():
    host = Host(READ, AWAY, *[AWAY] * 20)
    report = host.move()
    assert report.outcome == "lost"
    assert report.errors == ["a does not answer any more: no route\\x1b"]
    assert as_result(report)["changed"]


@pytest.mark.parametrize("answer", [NO_SPACE, AnsibleActionFail("MODULE FAILURE"), *NONSENSE])
def test_a_look_that_fails_says_nothing_of_the_guest_and_is_repeated(answer):
    host = Host(READ, RUNS, answer, answer, RUNS, answer, ENDED)
    assert host.move().outcome == "moved"
    assert len(host.slept) == 3


def test_looks_that_keep_failing_end_it_as_lost():
    report = Host(READ, RUNS, *[NO_SPACE] * 20).move()
    assert (report.outcome, report.errors) == ("lost", ["no space left on device"])


@pytest.mark.parametrize("answer", [*NONSENSE, {"runs": False, "status": {}}])
def test_nonsense_ends_it_as_lost(answer):
    assert Host(READ, *[answer] * 20).move().outcome == "lost"
    assert Host(READ, RUNS, *[answer] * 20).move().outcome == "lost"


def test_a_failure_is_told_with_all_that_its_host_says():
    status = {"outcome": "aborted", "errors": ["too long", "aborted\x1b"], "kernel_log": ["x"]}
    result = as_result(Host(READ, {"runs": False, "status": status}).move())
    assert (result["failed"], result["msg"]) == (True, "too long; aborted\\x1b")
    assert result["kernel_log"] == ["x"]
    assert XML not in str(result)
    # Where its host has not looked for the guest in the end, it was not sent.
    assert "state" not in result
    looked = as_result(Host(READ, {"runs": False, "status": status | {"state": None}}).move())
    assert looked["state"] is None


@pytest.mark.parametrize(("options", "seconds"), [({"timeout": 600}, 600), ({}, 3600)])
def test_a_host_that_never_ends_does_not_keep_the_run(options, seconds):
    host = Host(READ, *[RUNS] * 1000)
    report = host.move(**options)
    assert report.outcome == "lost"
    assert f"longer than its timeout of {seconds} s allows" in report.errors[0]
    # Not before it should have been given up.
    assert 60 * len(host.asked) > seconds + 360
