# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills a module with SIGKILL before things it does to the host, and holds what the next call makes of it.

That is every seventh one, or with the argument ``all`` each. The next call is the same one, which must reach what was wanted, or it is
about something else, and must leave all of the killed call's work or none: the one and the other in turn, or with ``all`` both.
"""

from __future__ import annotations

import fcntl
import functools
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, "/tmp/calls.zip")

import calls
from ansible_collections.vfio.migration.plugins.modules import vdpa_device, vfio_mdev, vfio_pci

Devices = list[dict[str, Any]]

# Odd, so that the next calls take turns.
_FEW = 7

GPU = {"parent": "0001:00:02.0", "type": "i915-GVTg_V5_8"}
MATRIX = {"parent": "matrix", "type": "vfio_ap-passthrough"}
CARD = "0000:01:00.0"
FUNCTIONS = ["0000:01:10.0", "0000:01:10.2"]
SIMULATOR = "vdpasim_net"


class Mediated:
    """Mediated devices that are also defined in mdevctl, and ``vfio_mdev``."""

    main = staticmethod(vfio_mdev.main)
    journals = calls.JOURNALS
    clear = staticmethod(calls.clear)
    state = staticmethod(calls.state)

    @staticmethod
    def device(number: int, kind: dict[str, str], *attributes: tuple[str, str]) -> dict[str, Any]:
        pairs = [{"name": name, "value": value} for name, value in attributes]
        return {
            "uuid": f"0000000{number}-1111-4222-8333-444444444444",
            "attributes": pairs,
            **kind,
        }

    def make(self, devices: Devices) -> None:
        for each in devices:
            calls.make(each)

    def stories(self) -> list[tuple[str, Devices, dict[str, Any]]]:
        before = [self.device(1, GPU, ("intel_vgpu/aggregator", "1"))]
        wanted = [
            self.device(1, GPU, ("intel_vgpu/aggregator", "2")),
            self.device(2, MATRIX, ("assign_adapter", "5"), ("assign_domain", "4")),
            self.device(3, GPU, ("intel_vgpu/aggregator", "3")),
        ]
        asked = {"devices": wanted, "persistent": True}
        return [
            ("create, configure and define", before, {**asked, "state": "present"}),
            ("undefine and remove", wanted, {**asked, "state": "absent"}),
        ]

    def elsewhere(self) -> dict[str, Any]:
        return {"devices": [self.device(4, {"parent": "mdpy"})], "state": "absent"}


class Physical:
    """Virtual functions of a network card, and ``vfio_pci``; what they were before is kept in ``/run``."""

    main = staticmethod(vfio_pci.main)
    journals = Path("/run/vfio.migration/pci")
    _place = Path("/sys/bus/pci/devices")

    def clear(self) -> None:
        (self._place / CARD / "sriov_numvfs").write_text("0")
        for file in self.journals.glob("*"):
            file.unlink()

    def make(self, devices: Devices) -> None:
        (self._place / CARD / "sriov_numvfs").write_text(str(len(devices)))
        for each in devices:
            if each["driver"] is not None:
                calls.call(self.main, devices=[each])

    def state(self) -> dict[str, dict[str, Any]]:
        found = {CARD: {"functions": (self._place / CARD / "sriov_numvfs").read_text().strip()}}
        for link in (self._place / CARD).glob("virtfn*"):
            device = link.resolve()
            found[device.name] = {
                "driver": (device / "driver").resolve().name,
                "override": (device / "driver_override").read_text().strip(),
            }
        for file in self.journals.glob("*.json"):
            stored = json.loads(file.read_text())
            device = self._place / file.stem
            # What is of a function that went with its number is not this one's.
            if device.exists() and device.stat().st_ino == stored["inode"]:
                found[device.name]["original"] = stored["state"]
        return found

    def stories(self) -> list[tuple[str, Devices, dict[str, Any]]]:
        own = [{"address": address, "driver": None} for address in FUNCTIONS]
        bound = [
            {"address": FUNCTIONS[0], "driver": "sample_vf_vfio_pci"},
            {"address": FUNCTIONS[1], "driver": "vfio-pci"},
        ]
        functions = [{"address": CARD, "sriov_numvfs": len(FUNCTIONS)}]
        return [
            ("make and bind", [], {"functions": functions, "devices": bound}),
            ("bind", own, {"devices": bound}),
            ("give back", bound, {"devices": bound, "state": "absent"}),
        ]

    def elsewhere(self) -> dict[str, Any]:
        return {"devices": [{"address": "0000:ff:1f.7"}], "state": "absent"}


class Vdpa:
    """Devices of a simulated management device, and ``vdpa_device``."""

    main = staticmethod(vdpa_device.main)
    journals = Path("/run/vfio.migration/vdpa")

    def clear(self) -> None:
        for name in self.state():
            subprocess.run(["vdpa", "dev", "del", name], check=True)
        for file in self.journals.glob("*"):
            file.unlink()

    def make(self, devices: Devices) -> None:
        for each in devices:
            words = [word for pair in each.items() for word in map(str, pair)]
            subprocess.run(["vdpa", "dev", "add", *words], check=True)

    def state(self) -> dict[str, dict[str, Any]]:
        shown = subprocess.run(
            ["vdpa", "-j", "dev", "config", "show"], check=True, capture_output=True
        ).stdout
        devices = dict(json.loads(shown or b"{}").get("config", {}))
        return {name: {"mac": each["mac"], "mtu": each["mtu"]} for name, each in devices.items()}

    def stories(self) -> list[tuple[str, Devices, dict[str, Any]]]:
        devices = [
            {"name": f"vdpa{number}", "mgmtdev": SIMULATOR, "mac": f"02:00:00:00:00:0{number}"}
            for number in (1, 2)
        ]
        wanted = [{**each, "mtu": 9000} for each in devices]
        return [
            ("create", [], {"devices": wanted, "state": "present"}),
            ("delete", wanted, {"devices": wanted, "state": "absent"}),
        ]

    def elsewhere(self) -> dict[str, Any]:
        return {"devices": [{"name": "vdpa9"}], "state": "absent"}


class Steps:
    """Ends the process that it is installed in before the ``last`` thing that this does to the host, and names that."""

    def __init__(self, last: int, names: int) -> None:
        self._last = last
        self._names = names
        self._count = 0
        self._write = os.write

    def install(self) -> None:
        python: Any = os
        for name in ("write", "pwrite", "ftruncate", "replace", "unlink", "open"):
            setattr(python, name, self._counted(name, getattr(os, name)))
        python = fcntl
        python.flock = self._counted("flock", fcntl.flock)
        python = subprocess
        python.Popen = functools.partial(self._run, subprocess.Popen)

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(file: Any, *arguments: Any, **others: Any) -> Any:
            if name != "open" or arguments[0] & os.O_CREAT:
                self._step(f"{name} {_path(file)}")
            return function(file, *arguments, **others)

        return counted

    def _run(self, popen: Callable[..., Any], command: list[Any], **others: Any) -> Any:
        words = " ".join(os.fsdecode(word) for word in command[:3])
        self._step(f"run {words}")
        process = popen(command, **others)
        self._step(f"wait for {words}")
        return process

    def _step(self, name: str) -> None:
        self._count += 1
        if self._count == self._last:
            self._write(self._names, name.encode())
            os.kill(os.getpid(), signal.SIGKILL)


def _path(file: Any) -> str:
    return os.readlink(f"/proc/self/fd/{file}") if isinstance(file, int) else os.fsdecode(file)


class Killer:
    """Goes through the stories of one kind of devices, ``subject``; counts the kill points and what is left wrong."""

    def __init__(self, subject: Any, every: bool) -> None:
        self.points = 0
        self.leftovers = 0
        self._subject = subject
        self._every = every

    def run(self) -> None:
        for title, start, arguments in self._subject.stories():
            print(f"{title}, killed before")
            before = self._begin(start)
            self._call(**arguments)
            goal = self._subject.state()
            following = [("the same call", arguments, False)]
            following += [("another call", self._subject.elsewhere(), True)]
            for number in itertools.count(1, 1 if self._every else _FEW):
                chosen = following if self._every else [following[(number + 1) % 2]]
                for next_, its, undone in chosen:
                    self._begin(start)
                    step = self._kill(number, arguments)
                    if step is None:
                        break
                    print(f"  {number}. {step}, then {next_}", flush=True)
                    self._call(**its)
                    self._check(next_, before, goal, undone)
                if step is None:
                    break
                self.points += 1
        self._subject.clear()

    def _begin(self, devices: Devices) -> dict[str, Any]:
        """Bring the host to where the calls start, and return its state."""
        self._subject.clear()
        self._subject.make(devices)
        return dict(self._subject.state())

    def _call(self, **arguments: Any) -> None:
        result = calls.call(self._subject.main, **arguments)
        if result.get("failed"):
            raise AssertionError(f"{arguments}: {result['msg']}")

    def _kill(self, number: int, arguments: dict[str, Any]) -> str | None:
        """Kill a call before its step ``number`` and return that step, or ``None`` where it has no more than it has."""
        reader, writer = os.pipe()
        call = calls.Call(Steps(number, writer).install, self._subject.main, **arguments)
        result = call.result()
        os.close(writer)
        with os.fdopen(reader) as names:
            step = names.read()
        if bool(step) == bool(result):
            raise AssertionError(f"step {number}: {step!r}, {result}")
        return step or None

    def _check(
        self, title: str, before: dict[str, Any], goal: dict[str, Any], undone: bool
    ) -> None:
        """Count the devices that are not as the goal wants them, nor, where that will do, as they were before.

        A removal is no more undone for a device; a creation only for all.
        """
        now = self._subject.state()
        wrong = {name for name in {*now, *before, *goal} if now.get(name) != goal.get(name)}
        if undone and goal:
            wrong = wrong if now != before else set()
        elif undone:
            wrong = {name for name in wrong if now.get(name) != before.get(name)}
        wrong |= set(calls.left_in_run(self._subject.journals))
        for each in sorted(wrong):
            print(f"     {title} leaves {each}: {now.get(each)}, wanted {goal.get(each)}")
        self.leftovers += len(wrong)


def main() -> int:
    killer = Killer(
        {"mdev": Mediated, "pci": Physical, "vdpa": Vdpa}[sys.argv[1]](), sys.argv[2:] == ["all"]
    )
    killer.run()
    print(f"kill points: {killer.points}, leftovers: {killer.leftovers}")
    return 1 if killer.leftovers else 0


if __name__ == "__main__":
    sys.exit(main())
