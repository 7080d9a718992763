# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a lab host: starts guests with assigned devices, sends and receives them.

Reads commands from standard input, one a line as JSON (``[what, name, argument...]``), and answers each with a line
``{"result": ...}`` or ``{"error": [what was said of it...]}``. A host has one guest at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

_STATE = re.compile(r"^([0-9a-f]{4}) wrote ([0-9a-f]{2}) has ([0-9a-f]{2})$", re.MULTILINE)
# What is said of every guest.
_USUAL = re.compile("warning:|Cannot reset device|enabling device|iommu group")
# Long enough for a guest that boots beside much else.
_SECONDS = 240
# Where a device may write to all of a guest's memory, all of it is sent while the guest stands still.
_DOWNTIME_MS = 60_000


class Failed(Exception):
    """What QEMU or libvirt said."""


# What a guest once wrote into each of its devices, and what is there, in the order of the guest's own addresses.
States = list[list[str]]


class Console:
    """What a guest says of its devices: what it once wrote there, and what is there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)

    def next_states(self) -> States:
        deadline = time.monotonic() + _SECONDS
        known = len(self._said())
        while time.monotonic() < deadline:
            new = self._said()[known:]
            ports = {port for port, _wrote, _has in new}
            # The first one of each that comes may have been begun before.
            if ports and len(new) > 2 * len(ports):
                last = {port: [wrote, has] for port, wrote, has in new}
                return [last[port] for port in sorted(ports)]
            time.sleep(0.1)
        raise Failed("the guest says nothing")

    def _said(self) -> list[tuple[str, str, str]]:
        return _STATE.findall(self.path.read_text()) if self.path.exists() else []


class Qemu:
    """Guests under QEMU alone."""

    _LOG = Path("/tmp/fidelity.log")
    _PORT = 4444

    def __init__(self) -> None:
        self.console = Console(Path("/tmp/fidelity.console"))
        self._process: subprocess.Popen[bytes] | None = None
        self._events: list[dict[str, Any]] = []
        self._unread = b""

    def run(self, *devices: str) -> States:
        """Start a guest and return its devices' states."""
        self._start(devices)
        return self.console.next_states()

    def receive(self, *devices: str) -> None:
        """Start what receives a guest."""
        self._start(devices, "-incoming", "defer")
        self._ask("migrate-incoming", uri=f"tcp:0:{self._PORT}")

    def send(self, host: str, *_devices: str) -> None:
        """Send the guest to where it is received, and wait until that is done."""
        self._ask("migrate", uri=f"tcp:{host}:{self._PORT}")
        self._wait_for_migration()

    def arrived(self) -> States:
        """Wait until the guest has been received, and return its devices' states; raise where it does not come."""
        self._wait_for_migration()
        return self.console.next_states()

    def state(self) -> States:
        return self.console.next_states()

    def stop(self) -> None:
        """End the guest, if there is one."""
        if self._process:
            self._process.kill()
            self._process.wait()
        self._process = None

    def log(self) -> list[str]:
        return self._LOG.read_text(errors="replace").splitlines() if self._process else []

    def _start(self, devices: Sequence[str], *options: str) -> None:
        self.stop()
        self.console.clear()
        self._events, self._unread = [], b""
        # Nobody here tracks the pages that a device writes, so QEMU would not migrate it unasked. Nor would it find out
        # which pages have changed if it mapped the virtual functions' registers, which are no whole pages.
        migratable = "enable-migration=on,x-device-dirty-page-tracking=off,x-no-mmap=on"
        command = [
            *("qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-m", "32", "-nodefaults"),
            *("-display", "none", "-qmp", "stdio", "-serial", f"file:{self.console.path}"),
            *("-drive", "if=none,id=boot,file=/lab/boot.img,format=raw,readonly=on"),
            *("-device", "virtio-blk-pci,drive=boot"),
            *(
                option
                for device in devices
                for option in ("-device", f"vfio-pci,sysfsdev={device},{migratable}")
            ),
            *options,
        ]
        with self._LOG.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        self._next_message()
        self._ask("qmp_capabilities")
        # Both sides of a migration need the same. By the return path the source hears what becomes of it.
        capabilities = [{"capability": name, "state": True} for name in ("events", "return-path")]
        self._ask("migrate-set-capabilities", capabilities=capabilities)
        self._ask("migrate-set-parameters", **{"downtime-limit": _DOWNTIME_MS})

    def _ask(self, command: str, **arguments: Any) -> Any:
        """Return what QEMU answers to a command of its monitor."""
        request = json.dumps({"execute": command, "arguments": arguments}) + "\n"
        with contextlib.suppress(BrokenPipeError):
            # What it said before it ended can still be read.
            os.write(self._descriptor("stdin"), request.encode())
        while True:
            message = self._next_message()
            if "event" in message:
                self._events.append(message)
            elif "error" in message:
                raise Failed(message["error"]["desc"])
            else:
                return message["return"]

    def _wait_for_migration(self) -> None:
        while True:
            event = self._events.pop(0) if self._events else self._next_message()
            status = event.get("data", {}).get("status")
            if status == "completed":
                return
            if status == "failed":
                raise Failed(self._ask("query-migrate").get("error-desc", "the migration failed"))

    def _next_message(self) -> dict[str, Any]:
        stdout = self._descriptor("stdout")
        while b"\n" not in self._unread:
            if not select.select([stdout], [], [], _SECONDS)[0]:
                raise Failed("QEMU does not answer")
            received = os.read(stdout, 65536)
            if not received:
                raise Failed("QEMU has ended")
            self._unread += received
        line, _newline, self._unread = self._unread.partition(b"\n")
        return dict(json.loads(line))

    def _descriptor(self, name: str) -> int:
        pipe: IO[bytes] | None = getattr(self._process, name, None)
        if pipe is None:
            raise Failed("there is no guest")
        return pipe.fileno()


class Libvirt:
    """Guests under libvirt, with mediated devices, or with PCI devices that have the same addresses on all hosts."""

    _NAME = "fidelity"
    _LOGS = Path("/var/log/libvirt/qemu")

    def __init__(self) -> None:
        self.console = Console(self._LOGS / f"{self._NAME}.console")
        self._log = self._LOGS / f"{self._NAME}.log"

    def run(self, *devices: str) -> States:
        """Start a guest and return its devices' states."""
        self.stop()
        _run("lab-domain", "start", self._NAME, *(Path(device).name for device in devices))
        # Defined nowhere, it is only where it runs.
        _run("virsh", "undefine", self._NAME)
        return self.console.next_states()

    def receive(self, *_devices: str) -> None:
        """Make the host ready to receive a guest."""
        self.stop()
        _run("lab-domain", "libvirt")

    def send(self, host: str, *devices: str) -> None:
        """Send the guest to where it is received, and wait until that is done.

        ``devices`` are those that it has, and as many that it is to have there.
        """
        domain = Path("/tmp/fidelity.xml")
        text = _run("virsh", "dumpxml", "--migratable", self._NAME)
        half = len(devices) // 2
        for device, target in zip(devices[:half], devices[half:], strict=True):
            text = text.replace(Path(device).name, Path(target).name)
        domain.write_text(text)
        _run("virsh", "migrate-setmaxdowntime", self._NAME, str(_DOWNTIME_MS))
        to = f"qemu+ssh://root@{host}/system"
        _run("virsh", "migrate", "--live", "--xml", str(domain), self._NAME, to)

    def arrived(self) -> States:
        """Return the states of the devices of a guest that has been received; raise where it has not come."""
        _run("virsh", "domstate", self._NAME)
        return self.console.next_states()

    def state(self) -> States:
        return self.console.next_states()

    def stop(self) -> None:
        """End the guest, if there is one."""
        for end in ("destroy", "undefine"):
            subprocess.run(["virsh", end, self._NAME], capture_output=True, check=False)
        self.console.clear()
        self._log.unlink(missing_ok=True)

    def log(self) -> list[str]:
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return [line for line in lines if "qemu-system-x86_64: " in line]


class Sysfs:
    """Mediated devices."""

    def renew(self, device: str) -> None:
        """Make a device anew, with its attribute, as drivers may keep what a failed migration has left."""
        place = Path(device).resolve()
        supported = place.parent / "mdev_supported_types" / (place / "mdev_type").resolve().name
        attribute = place / "intel_vgpu/aggregator"
        aggregator = attribute.read_text() if attribute.exists() else None
        (place / "remove").write_text("1")
        (supported / "create").write_text(place.name)
        if aggregator is not None:
            attribute.write_text(aggregator)

    def log(self) -> list[str]:
        return []


class KernelLog:
    """What the kernel says of a guest's devices."""

    def __init__(self) -> None:
        self._descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        self._devices: list[str] = []

    def watch(self, *devices: str) -> None:
        """Watch what is said of these devices from now on."""
        self._devices = [Path(device).name for device in devices]
        os.lseek(self._descriptor, 0, os.SEEK_END)

    def lines(self) -> list[str]:
        lines: list[str] = []
        while True:
            try:
                record = os.read(self._descriptor, 8192).decode(errors="replace")
            except BlockingIOError:
                return lines
            line = record.partition(";")[2].splitlines()[0]
            if any(device in line for device in self._devices):
                lines.append(line)


def main() -> None:
    qemu = Qemu()
    ways: dict[str, Qemu | Libvirt | Sysfs] = {
        "QEMU": qemu,
        "libvirt": Libvirt(),
        "sysfs": Sysfs(),
    }
    kernel_log = KernelLog()
    for line in sys.stdin:
        what, name, *arguments = json.loads(line)
        way = ways[what]
        if name in {"run", "receive"}:
            kernel_log.watch(*arguments)
        answer: dict[str, Any]
        try:
            answer = {"result": getattr(way, name)(*arguments)}
        except Failed as failed:
            said = [f"Linux: {each}" for each in kernel_log.lines()]
            said += [f"QEMU: {each.rpartition('x86_64: ')[2]}" for each in way.log()]
            said.append(f"{what}: {failed}")
            answer = {"error": [each for each in said if not _USUAL.search(each)]}
        print(json.dumps(answer), flush=True)
    qemu.stop()


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(" ".join(done.stderr.split()))
    return done.stdout


if __name__ == "__main__":
    main()
