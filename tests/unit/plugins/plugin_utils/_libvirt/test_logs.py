# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of the logs of QEMU and the kernels."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.answers import Answer
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.logs import (
    failure,
    lost_states,
)
from ansible_collections.vfio.migration.tests.unit.domains import UUID


def log(host: str, who: str, lines: list[str], **others):
    return {"host": host, "who": who}, Answer(stdout="\n".join(lines), **others)


def test_of_the_kernels_logs_only_what_came_since_is_told():
    target_log = ["[    9.5] old", f"[  360.463267] mdev {UUID}: refuses", "no stamp"]
    source_log = ["[86400.25] older than the migration", "[86400.5] newer", "[86401.0] newest"]
    logs = [
        log("a", "QEMU", ["2026-11-25T06:00:13.5Z qemu: it failed", "warning: of no use"]),
        log("a", "the kernel", source_log),
        log("b", "the kernel", target_log),
    ]
    # The clocks of the two kernels have nothing to do with each other, nor with the time of the day.
    before = {
        "a": "[86400.25] older than the migration\n",
        "b": "MemAvailable: 1 kB\n[  360.000000] before\n",
    }
    assert failure(logs, Answer(stdout="running (unpaused)"), "a", before, 5) == [
        "the guest on a is running (unpaused)",
        "QEMU on a: 2026-11-25T06:00:13.5Z qemu: it failed",
        "the kernel on a: [86400.5] newer",
        "the kernel on a: [86401.0] newest",
        f"the kernel on b: [  360.463267] mdev {UUID}: refuses",
    ]


def test_a_log_that_was_empty_before_is_told_from_its_beginning():
    logs = [log("a", "the kernel", ["[1.5] x"])]
    state = Answer(stderr="error: no domain")
    told = failure(logs, state, "a", {"a": ""}, 5, exceeded=3600)
    assert "it took longer than migrate_libvirt_timeout allows, 3600 s" in told[0]
    assert told[1:] == ["the guest on a is error: no domain", "the kernel on a: [1.5] x"]


def test_only_the_end_of_a_kernels_log_is_told():
    logs = [log("a", "the kernel", [f"[{n}.0] line" for n in range(1, 9)])]
    told = failure(logs, Answer(stdout="running"), "a", {}, 2)
    assert told[1:] == ["the kernel on a: [7.0] line", "the kernel on a: [8.0] line"]


def test_a_host_that_does_not_answer_and_what_is_of_no_use_in_qemus_log():
    logs = [
        log("b", "QEMU", [], unreachable=True),
        log(
            "a",
            "QEMU",
            ["2026-11-25 qemu: warning: slow", "2026-11-25 domain is tainted", "-device x"],
        ),
    ]
    told = failure(logs, Answer(stdout="running\n"), "a", {}, 5)
    assert told == ["the guest on a is running", "b does not answer"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("qemu: Failed to load device state\n", ["qemu: Failed to load device state"]),
        ("device 0000:01:10.0 is in Error State", ["device 0000:01:10.0 is in Error State"]),
        (
            "failed to set device state\n2026: starting up libvirt version: 9\nall is well\n",
            [],
        ),
    ],
)
def test_states_that_were_lost_are_told_since_qemu_started_last(text, lines):
    assert lost_states(text) == lines
