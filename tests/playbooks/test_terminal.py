# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbooks show nothing that steers the operator's terminal, hides or turns text around, whatever hosts say."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    is_printable,
)
from ansible_collections.vfio.migration.tests.playbooks.simulated_fleet import Fleet
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS

# Of 8 bits, as JSON has those of 7 escaped, which Ansible shows results as.
STEERING = "\x9b2J\x7f\u202e\u2066\u200f\u2028\u200b"
MOVES, STAYS, FAILS = (f"{name}{STEERING}" for name in ("vm-moves", "vm-stays", "vm-fails"))


@pytest.fixture
def fleet(tmp_path):
    guests = {
        MOVES: {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]},
        STAYS: {
            "host": "a",
            "uuid": UUIDS[6],
            "device": UUIDS[2],
            "xml": "<iommu model='intel'/>",
        },
        FAILS: {
            "host": "b",
            "uuid": UUIDS[7],
            "device": UUIDS[3],
            "error": f"error: no{STEERING}",
        },
    }
    return Fleet(tmp_path, "ab", guests)


def hidden(ended):
    """Return the lines that a run has shown and that must not be."""
    lines = (ended.stdout + ended.stderr).split("\n")
    return [line for line in lines if not is_printable(line)]


@pytest.mark.parametrize("playbook", ["prepare", "report"])
def test_a_drained_host(fleet, playbook):
    ended = fleet.play(f"vfio.migration.{playbook}", extra=f"{playbook}_drain: [a]\n")
    assert hidden(ended) == []
    assert ended.returncode == 0


def test_a_host_that_answers_with_errors_of_its_own(fleet):
    message = f"it is broken{STEERING}"
    fleet.lie("b", keys={"failed": True, "msg": message, "warnings": [message], "x": message})
    for playbook in ("prepare", "report"):
        ended = fleet.play(f"vfio.migration.{playbook}", extra=f"{playbook}_drain: [a]\n")
        assert hidden(ended) == []
        assert "it is broken" in ended.stdout + ended.stderr
