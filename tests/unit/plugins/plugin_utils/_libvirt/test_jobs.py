# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a migration is, and how it ended."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.jobs import (
    job_progress,
    job_result,
)

# As virsh 11 prints it.
RUNNING = """Job type:         Unbounded
Operation:        Outgoing migration
Time elapsed:     5013         ms
Data processed:   1.205 GiB
Data remaining:   836.000 MiB
Data total:       2.009 GiB
Memory processed: 1.205 GiB
Memory bandwidth: 241.041 MiB/s
Dirty rate:       0            pages/s
Page size:        4096         bytes
Expected downtime: 300          ms
Setup time:       12           ms

"""


def test_time_data_and_downtime_are_told_without_columns():
    assert job_progress(RUNNING) == [
        "Time elapsed: 5013 ms",
        "Data processed: 1.205 GiB",
        "Data remaining: 836.000 MiB",
        "Data total: 2.009 GiB",
        "Expected downtime: 300 ms",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Job type:         None        \n\n",
        "Time elapsed:     \x1b[2J         ms\n",
        "Time elapsed:     {{ x }}      ms\n",
        "Data remaining:   " + "9" * 5000 + " MiB\n",
        "x Time elapsed:   5 ms\n",
    ],
)
def test_what_is_no_number_with_a_unit_is_not_told(text):
    assert job_progress(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "[" * 100_000,
        '{"started": 1, "finished": 0, "ansible_job_id": "j1.2"}',
    ],
)
def test_a_job_without_a_result_is_at_work(text):
    assert job_result(text) is None


def test_a_jobs_result_is_told_without_what_else_is_beside_it():
    text = '{"rc": 1, "stdout": "[1.5] boot", "stderr": "error: no", "ansible_facts": {"a": 1}}'
    assert job_result(text) == {
        "rc": 1,
        "stdout": "[1.5] boot",
        "stderr": "error: no",
        "msg": "",
    }


def test_a_result_that_is_none_is_told_as_one():
    found = job_result('{"msg": "no bash", "rc": "x", "stderr": 7}')
    assert (found["rc"], found["stderr"]) == (None, "")
    assert "no result of a command" in found["msg"]
