# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The workflow of the AWX guide, job by job as a controller runs it: each in a directory of its own, with ansible-runner.

Facts come from a cache, in files or in Redis; the plan goes from job to job as an artifact.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

import ansible_runner
import pytest
from ansible_collections.vfio.migration.tests.playbooks.simulated_fleet import COLLECTION, Fleet
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS

GUIDE = COLLECTION / "docs/docsite/rst/awx_guide.rst"
GUESTS = {
    "vm-1": {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]},
    "vm-2": {"host": "a", "uuid": UUIDS[6], "device": UUIDS[2]},
}


def playbooks() -> dict[str, str]:
    """Return the guide's playbooks by their captions."""
    blocks = re.findall(r":caption: (\S+\.yml)\n\n((?:    .*\n|\n)+)", GUIDE.read_text())
    return {name: re.sub("^    ", "", text, flags=re.MULTILINE) for name, text in blocks}


class _Events:
    """What a job prints, and what it hands on with set_stats."""

    def __init__(self) -> None:
        self.output = ""
        self.artifacts: dict[str, t.Any] = {}

    def add(self, event: dict[str, t.Any]) -> None:
        self.output += event["stdout"] + "\n"
        self.artifacts |= event["event_data"].get("artifact_data", {})


class Controller:
    """Runs jobs on a fleet; ``artifacts`` are what the jobs of the workflow have handed on so far, and its survey's answer.

    Facts are in Redis, where that is given, or else where a controller keeps them: it puts them beside each job, and takes
    them from there when the job has ended.
    """

    def __init__(self, fleet: Fleet, redis: str | None = None) -> None:
        self._fleet = fleet
        self._settings = fleet.environment()
        if redis:
            self._settings["ANSIBLE_CACHE_PLUGIN"] = "community.general.redis"
            self._settings["ANSIBLE_CACHE_PLUGIN_CONNECTION"] = redis
        self._facts = None if redis else fleet.place / "facts"
        self._jobs = 0
        # What jobs are exposed to, in place of the directory that the guide names.
        self._kept = fleet.place / "kept"
        self._kept.mkdir()
        self.artifacts: dict[str, t.Any] = {"drain": "a"}

    def job(self, name: str, **options: t.Any) -> None:
        """Run a playbook of the guide and take over what it hands on."""
        job, events = self._template(name), _Events()
        runner = ansible_runner.run(quiet=True, event_handler=events.add, **job, **options)
        self._take_over(runner.status, events, job)

    def job_elsewhere(self, name: str) -> None:
        """Run a playbook of the guide as ``job`` does, on an execution node that gets the job as a stream."""
        job, events = self._template(name), _Events()
        here = {each: job[each] for each in ("private_data_dir", "ident")}
        with tempfile.TemporaryFile() as there, tempfile.TemporaryFile() as back:
            ansible_runner.run(streamer="transmit", _output=there, **job)
            there.seek(0)
            node = str(self._fleet.place / f"node-{self._jobs}")
            ansible_runner.run(streamer="worker", _input=there, _output=back, private_data_dir=node)
            back.seek(0)
            runner = ansible_runner.run(
                streamer="process", quiet=True, event_handler=events.add, _input=back, **here
            )
        self._take_over(runner.status, events, job)

    def _template(self, name: str) -> dict[str, t.Any]:
        self._jobs += 1
        place = self._fleet.place / "jobs" / f"{self._jobs}"
        (place / "project").mkdir(parents=True)
        text = playbooks()[name].replace("/var/lib/vfio", str(self._kept))
        (place / "project" / name).write_text(text)
        if self._facts and self._facts.exists():
            shutil.copytree(self._facts, place / "artifacts/job/fact_cache")
        return {
            "private_data_dir": str(place),
            "ident": "job",
            "playbook": name,
            "inventory": self._fleet.inventory({}),
            "extravars": self.artifacts,
            "envvars": self._settings,
            "fact_cache_type": "jsonfile" if self._facts else "redis",
        }

    def _take_over(self, status: str, events: _Events, job: dict[str, t.Any]) -> None:
        assert status == "successful", f"{job['playbook']}: {events.output}"
        self.artifacts |= events.artifacts
        if self._facts:
            beside = Path(job["private_data_dir"], "artifacts/job/fact_cache")
            shutil.copytree(beside, self._facts, dirs_exist_ok=True)


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path / "fleet", ["a", "b", "c"], GUESTS)


@contextlib.contextmanager
def redis(place: Path) -> t.Iterator[str]:
    """Run a Redis of our own, and return where it is as the cache plugin takes it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listening = ["--bind", "127.0.0.1", "--port", f"{port}", "--save", "", "--dir", str(place)]
    with subprocess.Popen(["redis-server", *listening], stdout=subprocess.DEVNULL) as server:
        try:
            for _attempt in range(100):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.1)
            yield f"127.0.0.1:{port}:0"
        finally:
            server.terminate()


def test_a_host_is_drained_by_the_jobs_of_the_workflow(fleet: Fleet) -> None:
    with redis(fleet.place) as where:
        controller = Controller(fleet, where)
        for a_slice in ("a:c", "b"):
            controller.job("facts.yml", limit=a_slice)
        # The planning job connects to no host.
        for name in fleet.hosts:
            shutil.rmtree(fleet.place / name / "bin")
        controller.job("plan.yml")
        for name in fleet.hosts:
            fleet.install(name)

        plan, report = controller.artifacts["vfio_plan"], controller.artifacts["vfio_report"]
        assert [each["source"]["id"] for each in plan["placements"]] == [UUIDS[1], UUIDS[2]]
        assert all(guest in report for guest in GUESTS)
        assert fleet.guests() == {"vm-1": "a", "vm-2": "a"}

        controller.job("migrate.yml")
        hosts = fleet.guests()
        assert hosts == {each["vm"]: each["target"]["host"] for each in plan["placements"]}
        controller.job("cleanup.yml")
    assert {name: fleet.holders(name) for name in fleet.hosts} == {
        name: sorted(vm for vm, host in hosts.items() if host == name) for name in fleet.hosts
    }


def test_jobs_run_on_execution_nodes_that_get_them_as_a_stream(fleet: Fleet) -> None:
    controller = Controller(fleet)
    controller.job_elsewhere("facts.yml")
    controller.job_elsewhere("plan.yml")
    placements = controller.artifacts["vfio_plan"]["placements"]
    assert [each["source"]["id"] for each in placements] == [UUIDS[1], UUIDS[2]]


def test_targets_are_prepared_for_another_tool_and_cleaned_up(fleet: Fleet) -> None:
    controller = Controller(fleet)
    for name in ("facts.yml", "plan.yml", "prepare.yml"):
        controller.job(name)
    targets = [each["target"] for each in controller.artifacts["vfio_plan"]["placements"]]
    assert {each["host"] for each in targets} <= {"b", "c"}
    prepared = [holder for name in "bc" for holder in fleet.holders(name)]
    assert prepared == [None] * len(targets) == [None, None]
    assert fleet.guests() == {"vm-1": "a", "vm-2": "a"}
    # No tool has moved a guest.
    controller.job("cleanup.yml")
    assert {name: fleet.holders(name) for name in "abc"} == {
        "a": ["vm-1", "vm-2"],
        "b": [],
        "c": [],
    }
