# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual machines that are the lab's hosts."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import time
import uuid
from pathlib import Path

from build import Kernel, Products
from errors import with_log
from hosts import LIMIT, MODULES, Host, table
from processes import Process, uninterrupted
from ssh import Ssh

_LAB = Path(__file__).resolve().parent
_MEMORY_MIB = 1024
_POLL_SECONDS = 0.2
_KERNEL_PARAMETERS = (
    "console=ttyS0",
    "panic=-1",
    "mitigations=off",
    "net.ifnames=0",
    "intel_iommu=on",
    "iommu=pt",
)


class Machine:
    """One host of the lab, which keeps the state of all in one directory."""

    def __init__(self, host: Host, state: Path) -> None:
        self.host = host
        self.ssh = Ssh(state / "ssh")
        self._network = _network(state)
        self._directory = state / "run" / host.name
        self._state = self._directory / "state.json"
        self._log = self._directory / "qemu.log"
        self.console = self._directory / "console.log"

    def process(self) -> Process | None:
        """Return the host's emulator if it runs."""
        if not self._state.exists():
            return None
        state = json.loads(self._state.read_text())
        process = Process(state["pid"], state["started"])
        return process if process.alive() else None

    def port(self) -> int:
        """Return the port on 127.0.0.1 that leads to the SSH server of a host that was started."""
        return int(json.loads(self._state.read_text())["port"])

    def suite(self) -> str:
        """Return the Debian suite of the host's kernel; it stays the same once the host was started."""
        state = json.loads(self._state.read_text()) if self._state.exists() else {}
        return str(state.get("suite", self.host.suite))

    def kernel(self) -> str | None:
        """Return the release of the host's kernel if the host answers over SSH."""
        return self.ssh.kernel(self.port())

    def start(self, products: Products, port: int | None = None) -> None:
        """Start the host, again if it has a port, and return at once; ``wait`` tells when it is up."""
        suite = self.suite()
        kernel = products.kernels[suite]
        forgotten = self._directory / "config" if port else self._directory
        shutil.rmtree(forgotten, ignore_errors=True)
        # The definitions of mdevctl and the units of systemd are all that a host keeps.
        for kept in ("mdevctl.d", "units"):
            (self._directory / kept).mkdir(parents=True, exist_ok=True)
        self._write_config(kernel.driver, products.boot_disk)
        chosen = port or _free_port()
        command = self._command(products.root, kernel, chosen)
        with self._log.open("w") as log, uninterrupted():
            emulator = subprocess.Popen(
                command,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            state = {"port": chosen, "suite": suite, **vars(Process.of(emulator.pid))}
            self._state.write_text(json.dumps(state))

    def wait(self, deadline: float) -> None:
        """Wait until the host answers over SSH."""
        ready = f"lab: {self.host.name} is up"
        while ready not in self._console_text() or not self.kernel():
            if not self.process():
                log = self.console if self._console_text() else self._log
                raise with_log(f"Host {self.host.name} stopped while it booted:", log)
            if time.monotonic() > deadline:
                raise with_log(f"Host {self.host.name} did not come up in time:", self.console)
            time.sleep(_POLL_SECONDS)

    def stop(self) -> bool:
        """Stop the host if it runs; return whether it did. Its console's log stays."""
        process = self.process()
        if process:
            process.stop()
        return process is not None

    def _console_text(self) -> str:
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def _write_config(self, driver: Path, boot_disk: Path) -> None:
        """Write the directory that the host sees as /lab."""
        config = self._directory / "config"
        config.mkdir()
        options = " ".join(f"{name}={value}" for name, value in self.host.driver.items())
        (config / "hostname").write_text(f"{self.host.name}\n")
        (config / "address").write_text(f"{self.host.address}\n")
        (config / "hosts").write_text(
            "127.0.0.1 localhost\n"
            + "".join(f"{host.address} {host.name}\n" for host in table(LIMIT))
        )
        (config / "modules").write_text("\n".join(MODULES) + "\n")
        # The IOMMU remaps no interrupts, as with that the kernel does not always find its timer under load, and so VFIO
        # must be told that guests may be trusted with them.
        (config / "modprobe.conf").write_text(
            f"options migration_sample {options}\n"
            "options vfio_iommu_type1 allow_unsafe_interrupts=1\n"
        )
        shutil.copy(_LAB / "init.sh", config)
        shutil.copy(_LAB / "domain/domain.sh", config)
        shutil.copy(driver, config)
        shutil.copy(boot_disk, config)
        self.ssh.ensure_keys()
        shutil.copy(self.ssh.host_key, config / "ssh_host_key")
        shutil.copy(self.ssh.client_key, config / "ssh_client_key")
        host_key = self.ssh.host_key.with_suffix(".pub").read_text()
        (config / "ssh_known_hosts").write_text(f"* {host_key}")
        shutil.copy(self.ssh.client_key.with_suffix(".pub"), config / "authorized_keys")

    def _command(self, root: Path, kernel: Kernel, port: int) -> list[str]:
        """Return the emulator's command, to be run in the host's state directory."""
        return [
            *_emulator(root),
            *("-name", f"vfio-migration-lab-{self.host.name}"),
            # By which libvirt tells hosts apart.
            *("-uuid", str(uuid.uuid5(uuid.NAMESPACE_DNS, self.host.name))),
            *("-no-user-config", "-nodefaults", "-no-reboot", "-display", "none"),
            *("-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "Nehalem"),
            *("-device", "intel-iommu,intremap=off"),
            *("-m", str(_MEMORY_MIB)),
            *("-serial", f"file:{self.console.name}"),
            *("-kernel", str(kernel.image), "-initrd", str(kernel.initramfs)),
            *("-append", " ".join(_KERNEL_PARAMETERS)),
            *_shared("root", root),
            *_shared("kernel", kernel.tree),
            *_shared("config", Path("config")),
            *_shared("definitions", Path("mdevctl.d"), readonly="off"),
            *_shared("units", Path("units"), readonly="off"),
            *("-netdev", f"user,id=ssh,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"),
            *("-device", "virtio-net-pci,netdev=ssh,romfile="),
            # Joins the hosts of this lab, on the loopback interface alone.
            *("-netdev", f"socket,id=lab,mcast={self._network}:4789,localaddr=127.0.0.1"),
            *("-device", f"virtio-net-pci,netdev=lab,romfile=,mac={self.host.mac}"),
            # A card with virtual functions, as SR-IOV wants it: below a port, its network a hub without others.
            *("-device", "pcie-root-port,id=rp1,slot=1"),
            *("-netdev", "hubport,id=card,hubid=0"),
            *("-device", "igb,bus=rp1,netdev=card,romfile="),
            # Two devices that an IOMMU cannot keep apart, as they are behind a conventional bridge.
            *("-device", "pcie-pci-bridge,id=bridge"),
            *("-device", "virtio-rng-pci,bus=bridge,addr=1"),
            *("-device", "virtio-rng-pci,bus=bridge,addr=2"),
        ]


def _emulator(root: Path) -> list[str]:
    """Return the command of the emulator that the guests' root has, as this machine's may be too old.

    What it is linked with, and its firmware, are there too.
    """
    return [
        str(root / "lib64/ld-linux-x86-64.so.2"),
        *("--library-path", str(root / "usr/lib/x86_64-linux-gnu")),
        str(root / "usr/bin/qemu-system-x86_64"),
        *("-L", str(root / "usr/share/qemu"), "-L", str(root / "usr/share/seabios")),
    ]


def _network(state: Path) -> str:
    """Return a multicast address that the lab with this state has for itself."""
    digest = hashlib.sha256(bytes(state)).digest()
    return f"239.{digest[0]}.{digest[1]}.{digest[2]}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _shared(tag: str, directory: Path, readonly: str = "on") -> list[str]:
    """Return the emulator's options that give a directory to the guest."""
    path = str(directory).replace(",", ",,")
    share = f"local,id={tag},path={path},security_model=none,readonly={readonly}"
    return ["-fsdev", share, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
