# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose a progress file is: two runs of Ansible never work with one."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin import (
    cleaning,
    progress_file,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.progress_file import (
    alone,
    check_free,
    progress_path,
    read_progress,
    write_progress,
    written_progress,
)

# A run of Ansible, whose task it is that writes: it lives until its input ends.
RUN = """
import os, sys
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.progress_file import alone, write_progress
task = os.fork()
if not task:
    with alone(sys.argv[1]):
        write_progress(sys.argv[1], [], "plan.json")
    os._exit(0)
os.waitpid(task, 0)
print("written", flush=True)
sys.stdin.read()
"""

CHECK = """
import sys
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin import progress_file
progress_file.check_free(sys.argv[1])
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "plan.progress.json")


@pytest.fixture
def other(path):
    """Return another run, that has written the file and goes on."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", RUN, path],
        text=True,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == "written\n"
        yield process
        process.kill()


def test_no_two_plans_have_one_progress_file():
    plans = [
        *("x", "x.json", "x.yml", "x.", ".x", "x.y.json", "x.y", "x.progress", "x.progress.json"),
        *("d/x", "d.json/x", "d.json/x.json"),
    ]
    found = [progress_path(plan) for plan in plans]
    assert len({*found}) == len(plans)
    assert progress_path("d/plan.json") == "d/plan.progress.json"
    assert all(one != other for one, other in zip(plans, found))


def test_a_run_goes_on_with_its_own_file(path):
    for _time in range(2):
        with alone(path):
            write_progress(path, read_progress(path), "plan.json")


def test_a_file_that_another_run_works_with_is_refused_until_that_has_ended(path, other, tmp_path):
    words = f"{path} is in use: process {other.pid} on this control node works with it"
    cleanup = {"remove": ["prepared"], "from": str(tmp_path / "plan.json"), "timeout": 1}
    before = (tmp_path / "plan.progress.json").read_text()
    with pytest.raises(FleetError, match=words):
        check_free(path)
    with pytest.raises(FleetError, match=words), alone(path):
        write_progress(path, [], "another")
    with pytest.raises(FleetError, match=words):
        cleaning.begin(cleanup, {}, check_mode=False)
    assert (tmp_path / "plan.progress.json").read_text() == before
    # To look is no harm.
    cleaning.begin(cleanup, {}, check_mode=True)
    # Killed, as a run may be.
    other.kill()
    other.wait()
    with alone(path):
        write_progress(path, [], "another")


def test_a_run_that_the_one_with_the_file_has_started_may_work_with_it(path, monkeypatch):
    with monkeypatch.context() as patch:
        # As for a task of this process.
        patch.setattr(os, "getppid", os.getpid)
        write_progress(path, [], "plan.json")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    # The shell stands for what is between the two runs.
    command = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", CHECK, path]
    subprocess.run(command, check=True, env=environment)


def test_the_number_of_a_process_that_is_given_again_is_not_that_process(path, other):
    with open(path, encoding="utf-8") as file:
        data = json.load(file)
    data["process"]["start"] = "another boot 1"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(data, file)
    check_free(path)


@pytest.mark.parametrize("process", [None, {}, {"pid": "x", "start": None}, 7, {"pid": 0}])
def test_what_names_no_process_is_free(path, process):
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"format": 1, "plan": "p", "process": process, "placements": []}, file)
    check_free(path)


def test_what_is_empty_is_no_file_that_is_not_there(path, tmp_path):
    assert written_progress(path) is None
    write_progress(path, [], "plan.json")
    assert written_progress(path) == []
    (tmp_path / "plan.progress.json").write_text("")
    for read in (written_progress, read_progress, check_free):
        with pytest.raises(FleetError, match=f"^{path} is not a progress file .*: it is empty$"):
            read(path)


def test_whoever_keeps_the_lock_keeps_nobody_waiting_for_ever(path, tmp_path, monkeypatch):
    monkeypatch.setattr(progress_file, "_PATIENCE", 0.2)
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(FleetError, match=f"{tmp_path} is locked: another process"), alone(path):
            write_progress(path, [], "plan.json")
    finally:
        os.close(handle)
    with alone(path):
        write_progress(path, [], "plan.json")
