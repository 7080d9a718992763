# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts, finds and stops the virtual machines that are the lab's hosts."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from build import Products
from errors import with_log
from hosts import MODULES, Host

#: Name under which every host's key stands in known_hosts, so that ports do not matter there.
HOST_KEY_ALIAS = "vfio-migration-lab"

_LAB = Path(__file__).resolve().parent
_MEMORY_MIB = 512
_STOP_SECONDS = 10
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Process:
    """A running emulator; its start time tells it from a later process with the same id."""

    pid: int
    #: Clock ticks since the machine's boot, as in proc(5).
    started: int
    port: int

    def alive(self) -> bool:
        return _start_time(self.pid) == self.started

    def uptime(self) -> float:
        ticks = os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.started / ticks


class Machine:
    """One host of the lab in its state directory."""

    def __init__(self, host: Host, lab: Path) -> None:
        self.host = host
        self.ssh = Ssh(lab / "ssh")
        self._directory = lab / "run" / host.name
        self._state = self._directory / "process.json"
        self.console = self._directory / "console.log"

    def process(self) -> Process | None:
        """Returns the host's emulator if it runs."""
        try:
            process = Process(**json.loads(self._state.read_text()))
        except FileNotFoundError:
            return None
        return process if process.alive() else None

    def start(self, products: Products, port: int | None = None) -> None:
        """Starts the host and returns at once; `wait` tells when it is up."""
        self.ssh.ensure_keys()
        shutil.rmtree(self._directory, ignore_errors=True)
        config = self._directory / "config"
        config.mkdir(parents=True)
        self._write_config(config, products)
        port = port or _free_port()
        with (self._directory / "qemu.log").open("w") as log:
            emulator = subprocess.Popen(
                self._command(products, config, port),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            process = Process(emulator.pid, _start_time(emulator.pid) or 0, port)
            self._state.write_text(json.dumps(asdict(process)))
        except BaseException:
            emulator.kill()
            emulator.wait()
            raise

    def wait(self, deadline: float) -> None:
        """Waits until the host answers over SSH."""
        ready = f"lab: {self.host.name} is up"
        while ready not in self._console_text():
            self._running()
            if time.monotonic() > deadline:
                raise with_log(f"Host {self.host.name} did not come up in time:", self.console)
            time.sleep(_POLL_SECONDS)
        while not self.ssh.kernel(self._running().port):
            if time.monotonic() > deadline:
                raise with_log(f"Host {self.host.name} does not answer over SSH:", self.console)
            time.sleep(_POLL_SECONDS)

    def stop(self) -> bool:
        """Stops the host if it runs; returns whether it did. Its console's log stays."""
        process = self.process()
        if process:
            _kill(process)
        return process is not None

    def _running(self) -> Process:
        process = self.process()
        if process is None:
            log = self.console if self._console_text() else self._directory / "qemu.log"
            raise with_log(f"Host {self.host.name} stopped while it booted:", log)
        return process

    def _console_text(self) -> str:
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def _write_config(self, config: Path, products: Products) -> None:
        """Writes the directory that the host sees as /lab."""
        options = " ".join(f"{name}={value}" for name, value in self.host.driver.items())
        (config / "hostname").write_text(f"{self.host.name}\n")
        (config / "modules").write_text("\n".join(MODULES) + "\n")
        (config / "modprobe.conf").write_text(f"options migration_sample {options}\n")
        shutil.copy(_LAB / "init.sh", config / "init")
        (config / "init").chmod(0o755)
        shutil.copy(products.driver, config)
        shutil.copy(self.ssh.host_key, config / "ssh_host_key")
        shutil.copy(self.ssh.client_key.with_suffix(".pub"), config / "authorized_keys")

    def _command(self, products: Products, config: Path, port: int) -> list[str]:
        kernel_arguments = "console=ttyS0 panic=-1 mitigations=off net.ifnames=0"
        return [
            "qemu-system-x86_64",
            *("-name", f"vfio-migration-lab-{self.host.name}"),
            *("-no-user-config", "-nodefaults", "-no-reboot", "-display", "none"),
            *("-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"),
            *("-m", str(_MEMORY_MIB)),
            *("-serial", f"file:{_escaped(self.console)}"),
            *("-kernel", str(products.kernel), "-initrd", str(products.initramfs)),
            *("-append", kernel_arguments),
            *_shared("root", products.root),
            *_shared("config", config),
            *("-netdev", f"user,id=ssh,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"),
            *("-device", "virtio-net-pci,netdev=ssh,romfile="),
        ]


class Ssh:
    """The lab's keys and the client that uses them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.client_key = directory / "client_key"
        self.host_key = directory / "host_key"
        self.known_hosts = directory / "known_hosts"

    def ensure_keys(self) -> None:
        if self.known_hosts.exists():
            return
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True, mode=0o700)
        for key in (self.client_key, self.host_key):
            generate = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(key)]
            subprocess.run(generate, check=True)
        public = self.host_key.with_suffix(".pub").read_text()
        self.known_hosts.write_text(f"{HOST_KEY_ALIAS} {public}")

    def options(self) -> list[str]:
        """Returns the options that reach a host of the lab and no other."""
        return [
            f"-oHostKeyAlias={HOST_KEY_ALIAS}",
            f'-oUserKnownHostsFile="{self.known_hosts}"',
            "-oGlobalKnownHostsFile=/dev/null",
            "-oIdentitiesOnly=yes",
        ]

    def kernel(self, port: int) -> str | None:
        """Returns the release of the kernel that answers at the port, if one does."""
        command = ["ssh", "-F", "none", "-i", str(self.client_key), "-p", str(port)]
        command += [*self.options(), "-oBatchMode=yes", "-oConnectTimeout=10"]
        answer = subprocess.run(
            [*command, "root@127.0.0.1", "uname -r"], capture_output=True, text=True
        )
        return answer.stdout.strip() if answer.returncode == 0 else None


def _start_time(pid: int) -> int | None:
    """Returns when the process started, or nothing if it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field may hold blanks and parentheses; the third is the state, the 22nd the start.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _kill(process: Process) -> None:
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if not process.alive():
            return
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        if not ended.poll(_STOP_SECONDS * 1000):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            ended.poll()
    finally:
        os.close(descriptor)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _shared(tag: str, directory: Path) -> list[str]:
    """Returns the emulator's options that give a directory to the guest, to be read only."""
    share = f"local,id={tag},path={_escaped(directory)},security_model=none,readonly=on"
    return ["-fsdev", share, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")
