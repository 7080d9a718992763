# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the first guide shows of the sample fleet is what its commands say."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap

import pytest
from ansible_collections.vfio.migration.tests.playbooks.simulated_fleet import COLLECTION

pytestmark = pytest.mark.every_core

GUIDE = COLLECTION / "docs/docsite/rst/getting_started_guide.rst"
EVENTS = COLLECTION / "docs/docsite/rst/events_guide.rst"
PLANS = COLLECTION / "docs/docsite/rst/plan_guide.rst"
# What comes after it is about hosts of one's own.
END = "Report on your own hosts\n"
BLOCK = re.compile(
    r"^[.][.] code-block:: (\S+)\n(?:    :caption: (\S+)\n)?\n((?: {3,}\S.*\n|\n)+)", re.M
)
# What is otherwise each time, or with each user.
ODD = re.compile(r"[0-9]{4}-[0-9-]{5} [0-9:]{5,8}|(?<=requested by )\w+|/\S+(?=/sample-report)")


def in_a_line(text: str) -> str:
    return " ".join(ODD.sub("…", text).split())


@pytest.fixture
def play(tmp_path):
    """Return a function that runs a command line of ansible-playbook for a user who has the collection installed."""
    namespace = tmp_path / "collections/ansible_collections/vfio"
    namespace.mkdir(parents=True)
    (namespace / "migration").symlink_to(COLLECTION)
    environment = {
        "ANSIBLE_COLLECTIONS_PATH": f"{tmp_path}/collections",
        "ANSIBLE_CONFIG": f"{tmp_path}/ansible.cfg",
        "ANSIBLE_NOCOLOR": "1",
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
    }
    (tmp_path / "ansible.cfg").touch()

    def run(command):
        return subprocess.run(
            [sys.executable, "-m", "ansible.cli.playbook", *shlex.split(command)[1:]],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_audit_of_the_sample_says_what_its_guide_shows(tmp_path, play):
    after = PLANS.read_text().partition("On the sample fleet, of which")[2]
    (_console, _none, command), (_text, _none, said) = BLOCK.findall(after)[:2]
    ended = play(command.strip().removeprefix("$ "))
    # One host cannot be emptied, and that is what an audit fails for.
    assert ended.returncode == 2, ended.stdout + ended.stderr
    for paragraph in textwrap.dedent(said).strip().split("\n\n"):
        assert in_a_line(paragraph) in in_a_line(ended.stdout + ended.stderr)
    assert (tmp_path / "audit/report.html").exists()
    written = (tmp_path / "audit/report.prom").read_text().splitlines()
    events = EVENTS.read_text().splitlines()
    metrics = [line.strip() for line in events if line.startswith("    vfio_migration_")]
    assert len(metrics) > 5
    assert [line for line in metrics if line not in written] == []


def test_the_guide_shows_what_the_sample_says(tmp_path, play):
    said = ""
    shown = 0
    for language, caption, text in BLOCK.findall(GUIDE.read_text().partition(END)[0]):
        text = textwrap.dedent(text)
        if caption:
            (tmp_path / caption).write_text(text)
        elif language == "console" and "ansible-playbook" in text:
            (command,) = text.strip().removeprefix("$ ").splitlines()
            ended = play(command)
            assert ended.returncode == 0, ended.stdout + ended.stderr
            report = (tmp_path / "sample-report/report.md").read_text()
            said = in_a_line(f"{ended.stdout}\n{report}")
        elif language == "text":
            for paragraph in text.strip().split("\n\n"):
                assert in_a_line(paragraph) in said
                shown += 1
    assert shown > 10
