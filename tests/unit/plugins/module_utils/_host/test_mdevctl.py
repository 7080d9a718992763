# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host.mdevctl import autostart_problem

RULE = (
    'ACTION=="change", ENV{{MDEV_STATE}}=="registered", TEST=="/etc/mdevctl.d/$kernel",'
    " RUN+=\"/bin/sh -c '{program} start-parent-mdevs %k 2>&3 | logger -t mdevctl'\"\n"
)


@pytest.fixture
def program(tmp_path):
    program = tmp_path / "bin/mdevctl"
    program.parent.mkdir()
    return program


def add_rule(directory, program) -> str:
    directory.mkdir()
    rule = directory / "60-mdevctl.rules"
    rule.write_text("# comment\n\n" + RULE.format(program=program) * 2)
    return str(rule)


def test_a_rule_that_runs_mdevctl_starts_what_is_defined(tmp_path, program):
    program.touch()
    add_rule(tmp_path / "lib", program)
    assert autostart_problem([str(tmp_path / "lib")]) is None


def test_a_rule_that_runs_what_is_not_there_is_told(tmp_path, program):
    rule = add_rule(tmp_path / "lib", program)
    add_rule(tmp_path / "etc", "{ " + str(program))
    assert autostart_problem([str(tmp_path / "lib")]) == (
        f"{rule} runs {program}, which is not there; a link to mdevctl would be right"
    )
    assert autostart_problem([str(tmp_path / "etc")]) is not None


def test_the_first_rule_counts(tmp_path, program):
    program.touch()
    add_rule(tmp_path / "etc", program)
    add_rule(tmp_path / "lib", "/nonexistent/mdevctl")
    assert autostart_problem([str(tmp_path / each) for each in ("etc", "lib")]) is None


def test_where_there_is_no_rule_nobody_can_tell(tmp_path):
    assert autostart_problem([str(tmp_path)]) is None
