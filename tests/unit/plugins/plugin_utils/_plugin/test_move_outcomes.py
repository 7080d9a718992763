# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a run of the playbook migrate_libvirt ended, by what its hosts answered."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.outcome import result
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import (
    as_lines,
    read_records,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import (
    begun as begun_line,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin import move_outcomes
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import libvirt_info
from ansible_collections.vfio.migration.tests.unit.libvirt_runs import (
    MOVED,
    OVER_TWO,
    ended,
    looked,
    moving_others,
    ordered,
    two_hosts,
)

pytestmark = pytest.mark.usefixtures("place")


def test_who_has_moved_is_told_so():
    run, hostvars = ordered(two_hosts(), guests="vm-17")
    found = ended(hostvars, run, [MOVED])
    assert found["sentences"] == ["vm-17 has moved from a to b"]
    assert found["failure"] is None


def test_what_a_guest_that_has_moved_did_not_take_along_is_a_failure():
    run, hostvars = ordered(two_hosts(), guests="vm-17")
    moved = MOVED | {"errors": ["it does not start with its new host: no answer"]}
    found = ended(hostvars, run, [moved])
    assert found["sentences"] == ["vm-17 has moved from a to b"]
    assert found["failure"] == (
        "vm-17 has moved, but it does not start with its new host: no answer"
    )


def test_what_became_of_a_guest_is_told_to_machines_beside_the_plan(place):
    numbers = {"began": 1800000000.0, "ended": 1800000002.5, "duration": 2500, "downtime": 70}
    here = {"number": 0, "outcome": "moved", "bytes": 4096, **numbers}
    run, hostvars = ordered(two_hosts(), guests="vm-17", dest="there/plan.json")
    found = ended(hostvars, run, [here])
    (line,) = found["record"]
    assert json.loads((place / "there/migration-record.jsonl").read_text()) == line
    assert (line["vm"], line["vm_uuid"], line["source"], line["target"]) == (
        *("vm-17", UUIDS[5]),
        *("a", "b"),
    )
    assert line["devices"] == [{"kind": "mdev", "source": UUIDS[1], "target": UUIDS[8]}]
    assert (line["begin"], line["end"]) == ("2027-01-15T08:00:00Z", "2027-01-15T08:00:02Z")
    assert (line["downtime_ms"], line["duration_ms"], line["bytes"]) == (70, 2500, 4096)
    assert (line["outcome"], line["errors"]) == ("moved", [])
    # What was written when the guest had moved is not written again.
    ended(hostvars, run, [here])
    assert len((place / "there/migration-record.jsonl").read_text().splitlines()) == 1
    # Those of the next run come after them, and nobody else reads them.
    ended(hostvars, run | {"begun": "2027-01-15T09:00:00Z"}, [here])
    assert len((place / "there/migration-record.jsonl").read_text().splitlines()) == 2
    assert (place / "there/migration-record.jsonl").stat().st_mode & 0o777 == 0o600


def test_who_has_moved_is_told_though_the_record_can_no_longer_be_written(place):
    run, hostvars = ordered(two_hosts(), guests="vm-17")
    (place / "migration-record.jsonl").mkdir()
    found = ended(hostvars, run, [MOVED])
    assert found["sentences"] == ["vm-17 has moved from a to b"]
    assert [each["vm"] for each in found["record"]] == ["vm-17"]
    assert f"the record in {place / 'migration-record.jsonl'} lacks" in found["failure"]


def test_a_damaged_line_of_the_record_keeps_nobody(place):
    (place / "migration-record.jsonl").write_text('{"format": 1, "ru')
    run, hostvars = ordered(two_hosts(), guests="vm-17")
    assert ended(hostvars, run, [MOVED])["failure"] is None
    damaged, line = (place / "migration-record.jsonl").read_text().splitlines()
    assert (damaged, json.loads(line)["vm"]) == ('{"format": 1, "ru', "vm-17")


def test_why_a_migration_failed_is_told_by_both_hosts():
    run, hostvars = ordered(two_hosts(), guests="vm-17")
    moved = {
        "number": 0,
        "outcome": "aborted",
        "errors": ["it took longer than it may, 5 s", "operation aborted"],
        "state": "running (unpaused)",
        "qemu_log": ["2026-01-01T00:00:00Z qemu: here", "warning: no matter"],
        "kernel_log": ["since"],
    }
    there = [
        {},
        {"stdout": "2026-01-01T00:00:00Z qemu: there"},
        {"stdout": "[6.0] before\n[8.0] refuses"},
    ]
    found = ended(hostvars, run, [moved], there, "prepared", {"stdout": "[7.0] before"})
    assert found["sentences"] == [
        "vm-17 stays on a:",
        "  it took longer than it may, 5 s",
        "  libvirt: operation aborted",
        "  the guest on a is running (unpaused)",
        "  QEMU on a: 2026-01-01T00:00:00Z qemu: here",
        "  the kernel on a: since",
        "  QEMU on b: 2026-01-01T00:00:00Z qemu: there",
        "  the kernel on b: [8.0] refuses",
    ]
    assert found["record"][0]["outcome"] == "stayed"
    assert found["record"][0]["errors"][:2] == [
        "it took longer than it may, 5 s",
        "libvirt: operation aborted",
    ]


def test_a_migration_that_was_not_begun_is_told_without_logs():
    run, hostvars = ordered(two_hosts(), guests="vm-17")
    moved = {"outcome": "refused", "errors": ["it has no target"], "kernel_log": ["x"]}
    found = ended(hostvars, run, [{"number": 0, **moved}], state="prepared")
    assert found["sentences"] == ["vm-17 stays on a:", "  it has no target"]
    assert found["record"][0]["outcome"] == "not_tried"


@pytest.mark.parametrize(
    "moves",
    [
        None,
        7,
        "text",
        {"number": 0},
        [None, 7, {"number": "0"}],
        [{"number": 0, "outcome": ["moved"], "errors": 7}],
        [{"number": 0, "outcome": "failed", "errors": ["\x1b[2J", 7], "began": 9e99}],
        [{"number": 0, "outcome": "failed", "ended": float("nan"), "bytes": True}],
    ],
)
def test_results_that_are_none_cost_their_host_alone(moves):
    run, hostvars = ordered(two_hosts(), guests="vm-17")
    found = ended(hostvars, run, moves, state="prepared")
    assert found["failure"]
    # By the schema, which the tests check each record against.
    assert found["record"][0]["bytes"] is None
    assert ended(hostvars, run, [MOVED], moves, before=moves)["stay"] == []
    assert "\x1b" not in str(ended(hostvars, run, moves, moves, "prepared")["sentences"])


def test_a_task_that_failed_before_it_came_to_its_guests_says_why():
    run, hostvars = ordered(two_hosts(), guests="vm-17")
    run = looked(run, hostvars, "prepared")
    hostvars["a"]["migrate_libvirt_moved"] = {"failed": True, "msg": "no space left"}
    assert move_outcomes.end(run, hostvars)["sentences"] == ["vm-17 stays on a:", "  no space left"]
    hostvars["a"]["migrate_libvirt_moved"] = None
    said = move_outcomes.end(run, hostvars)["sentences"]
    assert said == ["vm-17 stays on a:", "  a does not answer any more"]


def test_a_host_that_is_gone_is_named():
    run, hostvars = ordered(two_hosts(), guests="vm-17")
    moved = {"number": 0, "outcome": "lost", "errors": ["a does not answer any more"]}
    found = ended(hostvars, run, [moved], None, "unclear")
    assert found["sentences"] == [
        "vm-17 may be on its way from a to b:",
        "  a does not answer any more",
    ]
    assert found["record"][0]["outcome"] == "interrupted"


def test_what_cleaning_up_could_not_do_is_told():
    run, hostvars = ordered(two_hosts(), guests="vm-17")
    run = looked(run, hostvars)
    hostvars["a"]["migrate_libvirt_moved"] = {"moves": [MOVED]}
    hostvars["b"]["cleanup_definitions"] = {"failed": True, "msg": "no room"}
    hostvars["localhost"]["cleanup_run"] |= {"define_hosts": ["b"], "failure": "a still has x"}
    assert "b: no room; a still has x" in move_outcomes.end(run, hostvars)["failure"]


def test_a_clean_up_that_fails_takes_no_outcome_with_it(place):
    """Such as where the disk of the control node is full by then: nobody knows more than what the hosts of the guests say."""
    run, hostvars = ordered(two_hosts(), guests="vm-17")
    hostvars["localhost"]["cleanup_run"] = {"failed": True, "msg": "cannot write plan.progress"}
    hostvars["a"]["migrate_libvirt_moved"] = {"moves": [MOVED]}
    found = move_outcomes.end(move_outcomes.look(run, hostvars), hostvars)
    assert found["sentences"] == [
        "vm-17 may be on its way from a to b:",
        "  its devices are not known to have moved",
    ]
    assert "; the clean-up has failed: cannot write plan.progress" in found["failure"]
    (line,) = read_records((place / "migration-record.jsonl").read_text())[0]
    assert (line["outcome"], line["ended"]) == ("interrupted", True)


@pytest.mark.parametrize(
    ("outcome", "moved"), [("moved", True), ("failed", False), ("lost", False)]
)
def test_of_a_guest_without_devices_only_libvirt_says_whether_it_has_moved(outcome, moved):
    run, hostvars = moving_others((UUIDS[6], "plain", 1024))
    found = ended(hostvars, run, [MOVED, {"number": 1, "outcome": outcome, "errors": []}])
    assert ("plain has moved from a to b" in found["sentences"]) == moved
    assert [each["vm"] for each in found["stay"]] == ([] if moved else ["plain"])


def test_guests_of_one_name_that_stay_are_each_told_on_their_host():
    reasons = [{"host": "c", "reason": "it is full"}]
    unplaced: t.Any = [
        {
            "vm": "web",
            "source": {"host": name, "kind": "mdev", "id": UUIDS[1]},
            "reasons": reasons,
        }
        for name in "ab"
    ]
    checks: t.Any = {"left": [], "notes": []}
    stay = result(checks, {"going": [], "waiting": [], "ended": []}, unplaced, [])["stay"]
    assert [(each["vm"], each["host"]) for each in stay] == [("web", "a"), ("web", "b")]


def test_a_guest_without_devices_that_fits_nowhere_stays_with_what_is_short():
    # The guest with the device takes 1 MiB of the GiB that is free.
    run, hostvars = moving_others((UUIDS[6], "large", 1 << 20), (UUIDS[7], "small", 1024))
    assert run["sentences"] == [f"{each} to b{OVER_TWO}" for each in ("vm-17", "small")]
    found = ended(hostvars, run, [MOVED, MOVED | {"number": 1}])
    (stays,) = found["stay"]
    assert stays["vm"] == "large"
    assert stays["said"] == [
        "no host can take it: b has 1047552 KiB of memory left, and it needs 1048576; free some there"
    ]


# --- whose end nobody has seen ---

LOST = {"outcome": "lost", "errors": ["a does not answer any more"]}


NOT_SENT = {"results": [{"begun": True, "runs": False, "status": {}}]}


def traced(here, there, sending=None, report=None):
    """Return how a run ended in which nobody has seen the end of a guest without devices, and whom libvirt on each host has then.

    ``sending`` is what its source says of the process that sends it, ``report`` what it said of the migration.
    """
    run, hostvars = moving_others((UUIDS[6], "plain", 1024))
    moves = [MOVED, {"number": 1, **(LOST if report is None else report)}]
    hostvars["a"]["migrate_libvirt_moved"] = {"moves": moves}
    run = move_outcomes.trace(run, hostvars)
    assert run["tracing_hosts"] == ["a", "b"]
    for host, runs in (("a", here), ("b", there)):
        others = [{"name": "plain", "uuid": UUIDS[6]}] if runs else []
        silent = {"unreachable": True, "msg": "no route"}
        answered = silent if runs is None else {**libvirt_info(), "others": others}
        hostvars[host]["migrate_libvirt_traced"] = answered
    assert run["tracing_guests"] == {"a": [UUIDS[6]]}
    hostvars["a"]["migrate_libvirt_sending"] = NOT_SENT if sending is None else sending
    return ended(hostvars, run, moves)


@pytest.mark.parametrize(
    ("here", "there", "outcome"),
    [
        (False, True, "moved"),
        (True, False, "stayed"),
        (True, True, "interrupted"),
        (False, False, "stayed"),
        (None, False, "interrupted"),
        (False, None, "interrupted"),
        (None, True, "interrupted"),
        (True, None, "interrupted"),
    ],
)
def test_where_a_guest_without_devices_is_libvirt_of_both_hosts_says(here, there, outcome):
    found = traced(here, there)
    assert found["record"][1]["outcome"] == outcome
    told = {"moved": " has moved from", "stayed": " stays on", "interrupted": " may be on its way"}
    assert f"plain{told[outcome]}" in "\n".join(found["sentences"])
    ended = (here, there) == (False, False)
    assert ("  it does not run any more" in found["sentences"]) == ended


@pytest.mark.parametrize(
    "sending",
    [
        {"results": [{"begun": True, "runs": True, "status": {}}]},
        {"results": [{"unreachable": True, "msg": "no route"}]},
        {"results": [{"msg": "no room in /tmp"}]},
        {"results": [7]},
        {"unreachable": True},
        {},
    ],
)
def test_a_guest_without_devices_that_has_not_come_yet_stays_only_where_nobody_sends_it(sending):
    """Libvirt of its new host does not know it before it is sent."""
    found = traced(here=True, there=False, sending=sending)
    assert found["record"][1]["outcome"] == "interrupted"
    assert "plain may be on its way from a to b:" in found["sentences"]
    # That it has come is known all the same: what has sent it is about to end.
    assert traced(here=False, there=True, sending=sending)["record"][1]["outcome"] == "moved"


@pytest.mark.parametrize("outcome", ["failed", "aborted"])
@pytest.mark.parametrize("state", ["unknown", None])
def test_a_call_that_failed_without_a_guest_on_its_source_says_nothing_of_where_that_is(
    outcome, state
):
    report = {"outcome": outcome, "errors": ["End of file while reading data"], "state": state}
    (_moved, moved) = traced(here=False, there=True, report=report)["record"]
    assert moved["outcome"] == "moved"
    found = traced(here=True, there=None, report=report)
    assert found["record"][1]["outcome"] == "interrupted"
    assert "plain may be on its way from a to b:" in found["sentences"]
    back = traced(here=True, there=False, report=report)
    assert back["record"][1]["outcome"] == "stayed"
    # Libvirt has it there by now.
    said = "\n".join(back["sentences"])
    assert "plain stays on a:\n  libvirt: End of file" in said
    assert "not there" not in said
    assert "not known" not in said


def test_a_migration_that_failed_before_it_was_sent_is_told_without_a_state():
    run, hostvars = ordered(two_hosts(), guests="vm-17")
    found = ended(
        hostvars, run, [{"number": 0, "outcome": "failed", "errors": ["x"]}], None, "prepared"
    )
    assert found["sentences"][:2] == ["vm-17 stays on a:", "  libvirt: x"]
    assert not any("the guest on a" in each for each in found["sentences"])


def test_whom_its_host_has_seen_go_on_is_not_looked_for():
    run, hostvars = moving_others((UUIDS[6], "plain", 1024))
    back = {"number": 1, "outcome": "failed", "errors": [], "state": "running (unpaused)"}
    late = {"number": 1, "outcome": "refused", "errors": ["it is too late"]}
    for moves in ([MOVED, MOVED | {"number": 1}], [MOVED, back], [MOVED, late]):
        hostvars["a"]["migrate_libvirt_moved"] = {"moves": moves}
        assert move_outcomes.trace(run, hostvars)["tracing_hosts"] == []


CRASHED = {"outcome": "failed", "errors": ["QEMU has crashed"], "state": "shut off (crashed)"}
HALF = [{"name": "vm-17", "uuid": UUIDS[5], "reason": "migration"}]
PAUSED = [{"name": "vm-17", "uuid": UUIDS[5], "reason": "user"}]


@pytest.mark.parametrize(
    ("report", "here", "there", "outcome"),
    [
        # Its QEMU on the source has crashed, and the half on the target holds the device there.
        (CRASHED, {}, {"paused": HALF}, "stayed"),
        (LOST, {}, {"paused": HALF}, "interrupted"),
        (LOST, {}, {"paused": None}, "interrupted"),
        (LOST, {}, {"others": []}, "interrupted"),
        (CRASHED, {}, {"paused": PAUSED}, "moved"),
        (CRASHED, {}, {}, "moved"),
        (LOST, {}, {}, "moved"),
        (CRASHED, {}, None, "stayed"),
        (LOST, {}, None, "interrupted"),
        # Libvirt on the source has died when it had sent the guest; the kernel there has the device as free.
        (LOST, None, {}, "moved"),
        (LOST, None, {"paused": HALF}, "interrupted"),
        (LOST, None, {"paused": None}, "interrupted"),
    ],
)
def test_a_guest_with_devices_has_moved_only_where_libvirt_has_it_whole_on_its_target(
    report, here, there, outcome
):
    run, hostvars = ordered(two_hosts(), guests="vm-17")
    moves = [{"number": 0, **report}]
    hostvars["a"]["migrate_libvirt_moved"] = {"moves": moves}
    run = move_outcomes.trace(run, hostvars)
    # Whether a process sends it, the clean-up asks.
    assert (run["tracing_hosts"], run["tracing_guests"]) == (["a", "b"], {})
    running = {"others": [{"name": "vm-17", "uuid": UUIDS[5]}]}
    silent = {"unreachable": True, "msg": "no route"}
    said = {"a": here, "b": None if there is None else {**running, **there}}
    for host, answer in said.items():
        hostvars[host]["migrate_libvirt_traced"] = (
            silent if answer is None else libvirt_info(**answer)
        )
    run = move_outcomes.keep(run, hostvars)
    is_half = there is not None and there.get("paused") == HALF
    is_open = outcome == "interrupted" and there != {"others": []}
    # Of one that may not be whole there nothing is removed, whatever the kernels say.
    assert run["kept"] == ([("a", "vm-17")] if is_half or is_open else [])
    found = ended(hostvars, run, moves, state="moved")
    assert found["record"][0]["outcome"] == outcome
    assert ("vm-17 has moved from a to b" in found["sentences"]) == (outcome == "moved")
    told = f"remove that half with virsh destroy {UUIDS[5]}" in "\n".join(found["sentences"])
    assert told == (is_half and here is not None)
    assert bool(found["failure"]) == (outcome != "moved")


@pytest.mark.parametrize("result", [{"failed": True, "msg": "no space left"}, None])
@pytest.mark.parametrize(
    ("line", "outcome"), [("begun", "interrupted"), ("moved", "moved"), (None, "not_tried")]
)
def test_a_task_that_ends_without_a_word_has_written_down_whom_it_had_begun(
    place, result, line, outcome
):
    run, hostvars = ordered(two_hosts(), guests="vm-17")
    (going,) = run["migrations"]["going"]
    if line is not None:
        written: t.Any = {**begun_line(run["begun"], run["request"], going), "outcome": line}
        (place / "migration-record.jsonl").write_text(as_lines([written]))
    run = looked(run, hostvars, {"moved": "moved"}.get(line, "migrating" if line else "prepared"))
    hostvars["a"]["migrate_libvirt_moved"] = result
    assert move_outcomes.end(run, hostvars)["record"][0]["outcome"] == outcome
