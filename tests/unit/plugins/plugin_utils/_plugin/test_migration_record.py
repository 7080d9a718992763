# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file with the records of guests that were to move."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import MoveReport
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import (
    read_records,
    record,
    requests_back,
    unwatched,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.migration_record import (
    note_move,
    note_outcomes,
)

RUN = "2026-01-01T00:00:00Z"
MIGRATION = {
    "vm": "vm-1",
    "host": "a",
    "uuid": None,
    "persistent": True,
    "target": "b",
    "placements": [],
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "records" / "migration-record.jsonl"


def test_a_run_that_is_killed_leaves_who_has_moved_and_can_be_reversed(path):
    note_move(str(path), RUN, MIGRATION, MoveReport("moved"))
    (back,) = requests_back(read_records(path.read_text())[0])
    assert back == {"migrate_libvirt_guests": ["vm-1"], "migrate_libvirt_targets": ["a"]}


@pytest.mark.parametrize("outcome", ["failed", "aborted", "refused", "lost"])
def test_why_a_guest_stays_is_written_at_the_end(path, outcome):
    note_move(str(path), RUN, MIGRATION, MoveReport(outcome))
    assert not path.exists()


def test_what_turns_out_at_the_end_is_added_and_counts(path):
    note_move(str(path), RUN, MIGRATION, MoveReport("moved"))
    moved = record(RUN, MIGRATION, MoveReport("moved"), True, [])
    note_outcomes(str(path), [moved])
    assert len(path.read_text().splitlines()) == 1
    stayed = record(RUN, MIGRATION, MoveReport("moved"), False, ["it holds its source"])
    note_outcomes(str(path), [stayed])
    assert [json.loads(line) for line in path.read_text().splitlines()] == [moved, stayed]
    assert read_records(path.read_text())[0] == [stayed]


def state(source: str, how: str = "moved", target: str = "b", vm: str | None = "vm-1"):
    label = {"kind": "mdev", "id": source}
    there = {"host": target, "create": True, "attributes": [], **label}
    return {
        "vm": vm,
        "source": {"host": "a", **label},
        "target": there,
        "state": how,
        "reason": None,
    }


def test_who_came_to_its_targets_when_nobody_watched_is_written_down_later_and_can_be_reversed():
    states = [state("1"), state("2")]
    (found,) = unwatched(RUN, [], states, {("a", "vm-1"): "u"})
    assert (found["vm"], found["vm_uuid"], found["source"], found["target"]) == (
        *("vm-1", "u"),
        *("a", "b"),
    )
    assert [each["source"] for each in found["devices"]] == ["1", "2"]
    assert (found["outcome"], found["begin"], found["downtime_ms"]) == ("moved", None, None)
    assert "with what downtime is unknown" in found["errors"][0]
    assert requests_back([found]) == [
        {"migrate_libvirt_guests": ["u"], "migrate_libvirt_targets": ["a"]}
    ]
    # It is written once, by whomever.
    assert [*unwatched(RUN, [found], states, {("a", "vm-1"): "u"})] == []
    elsewhere: t.Any = {**found, "target": "c"}
    assert len([*unwatched(RUN, [elsewhere], states, {("a", "vm-1"): "u"})]) == 1


@pytest.mark.parametrize(
    "states",
    [
        [state("1", "prepared")],
        [state("1"), state("2", "migrating")],
        [state("1", "unclear")],
        [state("1", vm=None)],
    ],
)
def test_of_who_is_not_known_to_have_come_nothing_is_written(states):
    assert [*unwatched(RUN, [], states, {})] == []


def test_a_file_that_cannot_be_written_stops_no_other_guest(tmp_path, path):
    path.parent.write_text("in the way")
    note_move(str(path), RUN, MIGRATION, MoveReport("moved"))
    assert path.parent.read_text() == "in the way"
