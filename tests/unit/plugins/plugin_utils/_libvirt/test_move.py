# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be known before a guest is sent, and what is told of it meanwhile and afterwards."""

from __future__ import annotations

import math

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import (
    DomainDefinitions,
    progress_line,
    read_definitions,
    read_report,
    retargeted,
)
from ansible_collections.vfio.migration.tests.unit.domains import domain_of, hostdev
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS

XML = domain_of(hostdev("mdev", UUIDS[1]))


def plan(*pairs, host="a"):
    placements = [
        {
            "vm": "vm-17",
            "source": {"host": host, "kind": "mdev", "id": source},
            "target": {"host": "b", "kind": "mdev", "id": target},
        }
        for source, target in pairs
    ]
    return {"placements": placements, "unplaced": []}


def test_both_definitions_get_the_targets():
    found = retargeted(DomainDefinitions(XML, XML), plan((UUIDS[1], UUIDS[2])), "a")
    for xml in (found.active, found.persistent):
        assert UUIDS[2] in xml and UUIDS[1] not in xml


def test_a_definition_may_lack_what_was_attached_since_but_not_what_runs():
    both = plan((UUIDS[1], UUIDS[2]), (UUIDS[3], UUIDS[4]))
    active = domain_of(hostdev("mdev", UUIDS[1]) + hostdev("mdev", UUIDS[3]))
    assert UUIDS[2] in retargeted(DomainDefinitions(active, XML), both, "a").persistent
    with pytest.raises(FleetError, match="which the domain's XML does not name"):
        retargeted(DomainDefinitions(XML, XML), both, "a")


def test_a_device_without_a_place_keeps_the_guest():
    with pytest.raises(FleetError, match="has no target in the plan"):
        retargeted(DomainDefinitions(XML), plan((UUIDS[5], UUIDS[2])), "a")


@pytest.mark.parametrize(
    "answer",
    [None, 7, {}, {"definitions": 7}, {"definitions": {"active": None}}]
    + [{"definitions": {"active": "<domain/>", "persistent": ["x"]}}],
)
def test_an_answer_without_definitions_is_none(answer):
    with pytest.raises(FleetError, match="its host answered no definition of it"):
        read_definitions(answer)


@pytest.mark.parametrize(
    "status",
    [None, 7, {}, {"outcome": "gone"}, {"outcome": ["moved"]}, {"outcome": None, "errors": ["x"]}],
)
def test_what_is_no_result_is_a_lost_one(status):
    report = read_report(status)
    assert (report.outcome, report.errors) == ("lost", ["the result of the migration is lost"])


def test_of_a_result_that_is_taken_which_is_of_its_type():
    report = read_report(
        {
            "outcome": "failed",
            "errors": ["one\ntwo\x1b[2J", 7, None],
            "state": 7,
            "qemu_log": "x",
            "kernel_log": ["x" * 9000],
            "began": math.nan,
            "ended": 10**400,
            "duration": -1,
            "downtime": True,
            "bytes": 5,
        }
    )
    assert report.errors == ["one", "two\\x1b[2J"]
    assert (report.state, report.qemu_log) == (None, [])
    assert len(report.kernel_log[0]) < 2000
    assert report.numbers == {"bytes": 5}


def test_progress_is_one_line_with_all_that_is_known():
    status = {
        "data_total": 4 << 30,
        "data_processed": 1 << 30,
        "data_remaining": 3 << 30,
        "memory_bps": 100 << 20,
        "dirty_rate": 5 << 20,
        "downtime": 700,
        "downtime_limit": 500,
    }
    assert progress_line("vm-17 to b", status) == (
        "vm-17 to b: 25 %, 1024.0 MiB sent, 3072.0 MiB left, 100.0 MiB/s, 5.0 MiB/s change meanwhile,"
        " expected downtime 700 ms of 500 ms allowed"
    )
    refused = progress_line(
        "vm-17", {**status, "downtime_refusal": "libvirt does not set it\x1b[2J"}
    )
    assert refused.endswith("of 500 ms allowed, libvirt does not set it\\x1b[2J")
    assert progress_line("vm-17", {**status, "downtime_refusal": 7}).endswith("allowed")


@pytest.mark.parametrize(
    "status",
    [None, 7, {}, {"data_total": 0, "data_processed": 0, "data_remaining": 0}]
    + [{"data_total": "many", "data_processed": 1, "data_remaining": 1}]
    + [{"data_total": math.inf, "data_processed": 1, "data_remaining": 1}],
)
def test_without_numbers_there_is_no_progress_to_show(status):
    assert progress_line("vm-17", status) is None


def test_a_line_is_fit_for_a_terminal():
    status = {"data_total": 4, "data_processed": 9, "data_remaining": 9}
    line = progress_line("vm\x1b[2J\n", status)
    assert line.startswith("vm\\x1b[2J\\n: 0 %")
