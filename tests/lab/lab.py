# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab of Linux kernels with mediated devices: virtual machines under emulation, no hardware."""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import build
import hosts
from errors import LabError
from inventory import inventory
from machines import Machine

# Other than this, a directory in the checkout can be the place of another lab.
_STATE = Path(__file__).resolve().parents[2] / (os.environ.get("VFIO_MIGRATION_LAB") or ".lab")
_INVENTORY = _STATE / "inventory.yml"
_BOOT_SECONDS = 180


def main() -> int:
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if os.geteuid() != 0:
            raise LabError("The lab needs root: it installs packages and builds file systems")
        with _locked():
            arguments.command(arguments)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted", file=sys.stderr)
        return 130
    return 0


def _up(arguments: argparse.Namespace) -> None:
    begin = time.monotonic()
    wanted = [
        Machine(host, _STATE) for host in hosts.table(arguments.hosts, arguments.newer_kernel)
    ]
    products = build.ensure({machine.suite() for machine in wanted})
    _boot([machine for machine in wanted if not machine.process()], products)
    for machine in wanted:
        print(_line(machine))
    print(f"Inventory: {_INVENTORY} ({time.monotonic() - begin:.0f} s in all)")


def _down(arguments: argparse.Namespace) -> None:
    for machine in _known():
        if machine.stop():
            print(f"Host {machine.host.name}: stopped")
    shutil.rmtree(_STATE / "run", ignore_errors=True)
    _INVENTORY.unlink(missing_ok=True)


def _status(arguments: argparse.Namespace) -> None:
    machines = _known()
    for machine in machines:
        print(_line(machine))
    if not machines:
        print("The lab is down")


def _reboot(arguments: argparse.Namespace) -> None:
    machine = next((known for known in _known() if known.host.name == arguments.host), None)
    if not machine:
        raise LabError(f"Host {arguments.host} is not up")
    products = build.ensure([machine.suite()])
    port = machine.port()
    machine.stop()
    _boot([machine], products, port)
    print(_line(machine))


def _boot(machines: Sequence[Machine], products: build.Products, port: int | None = None) -> None:
    """Start the hosts all at once and waits for them; on failure none of them stays behind."""
    deadline = time.monotonic() + _BOOT_SECONDS
    try:
        for machine in machines:
            machine.start(products, port)
        for machine in machines:
            machine.wait(deadline)
        _INVENTORY.write_text(inventory([known for known in _known() if known.process()]))
    except BaseException:
        for machine in machines:
            machine.stop()
        raise


def _known() -> list[Machine]:
    """Return the hosts that were started and not taken down since, whether they still run or not."""
    names = {path.name for path in (_STATE / "run").glob("*")}
    return [Machine(host, _STATE) for host in hosts.table(hosts.LIMIT) if host.name in names]


def _line(machine: Machine) -> str:
    name = machine.host.name
    process = machine.process()
    if not process:
        return f"Host {name}: dead; its console: {machine.console}"
    kernel = machine.kernel()
    state = f"Linux {kernel}" if kernel else "does not answer over SSH"
    return (
        f"Host {name}: pid {process.pid}, port {machine.port()}, up {process.uptime():.0f} s, {state}:"
        f" {machine.host.simulates}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab.py", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="build what is missing, start the hosts that do not run")
    up.add_argument("--hosts", type=_count, default=len(hosts.HOSTS), help="default: %(default)s")
    up.add_argument(
        "--newer-kernel",
        action="append",
        default=[],
        metavar="HOST",
        help="let this host have the kernel of Debian's backports; may be repeated",
    )
    up.set_defaults(command=_up)
    down = commands.add_parser("down", help="stop every host")
    down.set_defaults(command=_down)
    status = commands.add_parser("status", help="show every host")
    status.set_defaults(command=_status)
    reboot = commands.add_parser(
        "reboot", help="stop one host, unless it has died, and start it again"
    )
    reboot.add_argument("host", metavar="HOST")
    reboot.set_defaults(command=_reboot)
    return parser


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= hosts.LIMIT:
        raise argparse.ArgumentTypeError(f"must be from 1 to {hosts.LIMIT}")
    return count


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _locked() -> Iterator[None]:
    """Let one command at a time work on the lab of this checkout."""
    _STATE.mkdir(parents=True, exist_ok=True)
    with (_STATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
