# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rulebooks, run by ansible-rulebook on a simulated fleet: an alert plans, an approval migrates, and nothing else does."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.tests.playbooks.simulated_fleet import PROGRAM, Fleet
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS

GUESTS = {"vm-1": {"host": "gpu-1.example", "uuid": UUIDS[5], "device": UUIDS[1]}}
TOKEN = "tests-own-token"
# A busy machine takes long to start a playbook.
SECONDS = 120


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path / "fleet", ["gpu-1.example", "gpu-2.example"], GUESTS)


@contextlib.contextmanager
def rulebook(fleet: Fleet, name: str, variables: dict[str, t.Any]) -> t.Iterator[Path]:
    """Run a rulebook of the collection while the block runs; return the file to which it prints."""
    (fleet.place / "hosts.json").write_text(json.dumps(fleet.inventory({})))
    (fleet.place / "variables.json").write_text(json.dumps(variables))
    command = ["ansible-rulebook", "--rulebook", f"vfio.migration.{name}"]
    command += ["--inventory", "../hosts.json", "--vars", "../variables.json"]
    printed = fleet.place / "printed"
    with printed.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=fleet.work,
            env=os.environ | fleet.environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield printed
        finally:
            process.terminate()
            process.wait()


def wait_for(what: t.Callable[[], bool], printed: Path) -> None:
    end = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < end, printed.read_text()
        time.sleep(0.5)


def send(port: int, event: dict[str, t.Any], token: str = TOKEN) -> int:
    """Send an event, and return the HTTP status of the answer, 0 while nobody listens."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/endpoint", json.dumps(event).encode(), headers
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError:
        return 0


def alert(host: str) -> dict[str, t.Any]:
    return {"status": "firing", "commonLabels": {"alertname": "Disk", "drain": host}}


def test_a_host_is_drained_on_an_alert_once_that_is_approved(fleet: Fleet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    plans = fleet.place / "plans"
    variables = {"listen_address": "127.0.0.1", "listen_port": port, "listen_token": TOKEN}
    with rulebook(fleet, "drain", {**variables, "plans": str(plans)}) as printed:
        wait_for(lambda: send(port, {"approved": PROGRAM}) == 200, printed)
        assert send(port, alert("gpu-1.example"), token="another") == 401
        for host in (PROGRAM, "../gpu-1.example", "gpu-1.example {{ 1 }}"):
            assert send(port, alert(host)) == send(port, {"approved": host}) == 200
        assert send(port, {**alert("gpu-1.example"), "status": "resolved"}) == 200

        assert send(port, alert("gpu-1.example")) == 200
        plan = plans / "gpu-1.example/plan.json"
        wait_for(plan.exists, printed)
        assert fleet.guests() == {"vm-1": "gpu-1.example"}
        assert send(port, {"approved": "gpu-1.example"}) == 200
        wait_for(lambda: fleet.guests() == {"vm-1": "gpu-2.example"}, printed)
    assert [each.name for each in plans.iterdir()] == ["gpu-1.example"]
    assert not fleet.canary.exists()


def test_the_fleet_is_reported_on_again_and_again(fleet: Fleet) -> None:
    reports = fleet.place / "reports"
    report = reports / "report.json"
    variables = {"audit_seconds": 1, "reports": str(reports)}
    with rulebook(fleet, "audit", variables) as printed:
        wait_for(report.exists, printed)
        first = report.stat().st_mtime
        wait_for(lambda: report.stat().st_mtime > first, printed)
    assert "gpu-1.example" in report.read_text()
