# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds what the lab's hosts boot from, once, into a cache outside the checkout.

The cache is keyed by content: the *base* (guest root, kernel, initramfs, build chroot) by the package
lists and scripts, *driver* and *domain* (what a guest boots) by their source and the base. Everything is made from Debian packages
of one suite, in chroots of that suite, so the machine's own release and apt sources do not matter.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from errors import LabError, with_log
from processes import uninterrupted

SUITE = "trixie"
# Commands that the lab needs on this machine and the Debian packages that bring them.
_MACHINE_PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "ssh": "openssh-client",
}

# Every Debian machine has the archive's keys here.
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

_LAB = Path(__file__).resolve().parent
_STOP_SECONDS = 30


@dataclass(frozen=True)
class Products:
    """What a host boots from."""

    root: Path
    kernel: Path
    initramfs: Path
    driver: Path
    boot_disk: Path


def ensure() -> Products:
    """Return the products, building what is missing; concurrent calls wait for each other."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vfio.migration/lab"
    cache.mkdir(parents=True, exist_ok=True)
    base_digest = _digest([_LAB / "guest", _LAB / "kernel"], SUITE)
    driver_digest = _digest([_LAB / "driver"], base_digest)
    domain_digest = _digest([_LAB / "domain"], base_digest)
    base = cache / f"base-{base_digest}"
    driver = cache / f"driver-{driver_digest}"
    domain = cache / f"domain-{domain_digest}"
    with _locked(cache / "lock"):
        _install_machine_packages(cache)
        if not base.exists():
            with _completed(base) as partial:
                _build_base(partial, log=cache / f"{base.name}.log")
        if not driver.exists():
            with _completed(driver) as partial:
                _build_driver(partial, base / "chroot", log=cache / f"{driver.name}.log")
        if not domain.exists():
            with _completed(domain) as partial:
                _build_boot_disk(partial, base / "chroot", log=cache / f"{domain.name}.log")
    return Products(
        root=base / "root",
        kernel=base / "vmlinuz",
        initramfs=base / "initramfs",
        driver=driver / "migration_sample.ko",
        boot_disk=domain / "boot.img",
    )


def _build_base(target: Path, log: Path) -> None:
    log.unlink(missing_ok=True)
    mirror = _mirror(log)
    root, chroot = target / "root", target / "chroot"
    _step(
        "Building the guests' root file system",
        _mmdebstrap(
            root,
            mirror,
            _LAB / "guest/packages",
            [f'copy-in "{_LAB}/guest/setup.sh" /', 'chroot "$1" sh /setup.sh', 'rm "$1/setup.sh"'],
        ),
        log,
    )
    _step(
        "Building the chroot for kernel modules",
        _mmdebstrap(
            chroot,
            mirror,
            _LAB / "kernel/packages",
            [
                'mkdir "$1/build"',
                f'sh "{_LAB}/kernel/download.sh" "$1"',
            ],
        ),
        log,
    )
    work = chroot / "build"
    shutil.copytree(_LAB / "kernel", work, dirs_exist_ok=True)
    _step(
        "Building kernel, modules and initramfs",
        ["chroot", str(chroot), "sh", "-c", "cd /build && sh build.sh"],
        log,
    )
    shutil.move(work / "out/vmlinuz", target)
    shutil.move(work / "out/initramfs", target)
    shutil.move(work / "out/modules", root / "usr/lib/modules")
    shutil.rmtree(work)


def _build_driver(target: Path, chroot: Path, log: Path) -> None:
    log.unlink(missing_ok=True)
    work = chroot / "driver"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(_LAB / "driver", work)
    headers = next((chroot / "usr/src").glob("linux-headers-*-amd64"))
    _step(
        "Building the sample driver",
        ["chroot", str(chroot), "make", "-C", f"/usr/src/{headers.name}", "M=/driver"]
        + ["CONFIG_DEBUG_INFO_BTF_MODULES=", "KCFLAGS=-Werror", "modules"],
        log,
    )
    shutil.move(work / "migration_sample.ko", target)
    shutil.rmtree(work)


def _build_boot_disk(target: Path, chroot: Path, log: Path) -> None:
    log.unlink(missing_ok=True)
    work = chroot / "domain"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(_LAB / "domain", work)
    _step(
        "Building the guests' boot disk",
        ["chroot", str(chroot), "sh", "-c", "cd /domain && sh build.sh"],
        log,
    )
    shutil.move(work / "boot.img", target)
    shutil.rmtree(work)


def _mmdebstrap(target: Path, mirror: str, packages: Path, hooks: Sequence[str]) -> list[str]:
    names = [line for line in packages.read_text().split("\n") if line and line[0] != "#"]
    return [
        "mmdebstrap",
        "--variant=minbase",
        "--format=directory",
        f"--include={','.join(names)}",
        *(f"--aptopt={option}" for option in _apt_transport()),
        *(f"--customize-hook={hook}" for hook in hooks),
        SUITE,
        str(target),
        f"deb [signed-by={_KEYRING}] {mirror} {SUITE} main",
    ]


def _mirror(log: Path) -> str:
    """Return the address of the Debian archive that this machine's apt uses."""
    address = _known_mirror()
    if not address:
        _step("Reading the package lists", ["apt-get", "update"], log)
        address = _known_mirror()
    if not address:
        raise LabError(
            "This machine's apt knows no Debian archive: the lab needs a Debian machine,"
            " with the section 'main' of Debian itself among its sources"
        )
    return address


def _known_mirror() -> str | None:
    """Return the archive's address if apt has read its lists: only they tell whose it is."""
    list_targets = [
        "apt-get",
        "indextargets",
        "--format=$(ORIGIN) $(LABEL) $(COMPONENT) $(REPO_URI)",
        "Created-By: Packages",
    ]
    output = subprocess.run(list_targets, check=True, capture_output=True, text=True).stdout
    for line in output.splitlines():
        description, _space, address = line.rpartition(" ")
        if description == "Debian Debian main":
            return address
    return None


def _apt_transport() -> list[str]:
    """Return how this machine's apt reaches the archive, a proxy for one."""
    dump = ["apt-config", "dump", "--no-empty", "Acquire::http", "Acquire::https"]
    output = subprocess.run(dump, check=True, capture_output=True, text=True).stdout
    return output.splitlines()


def _install_machine_packages(cache: Path) -> None:
    missing = [name for command, name in _MACHINE_PACKAGES.items() if not shutil.which(command)]
    if not missing:
        return
    log = cache / "apt.log"
    log.unlink(missing_ok=True)
    _step("Reading the package lists", ["apt-get", "update"], log)
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    _step(f"Installing {', '.join(missing)}", install, log)


def _step(title: str, command: Sequence[str], log: Path) -> None:
    """Run one command, its output in the log; stop it with all its children when interrupted."""
    print(f"{title} ...", flush=True)
    start = time.monotonic()
    process = None
    try:
        with log.open("a") as output, uninterrupted():
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
            )
        status = process.wait()
    except BaseException:
        if process:
            _stop_group(process)
        raise
    if status:
        raise with_log(f"{title} failed with status {status}:", log)
    print(f"{title}: {time.monotonic() - start:.0f} s", flush=True)


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def _completed(target: Path) -> Iterator[Path]:
    """Give a directory that becomes the target at the end, and vanishes if the end is not reached."""
    partial = target.with_name(f"{target.name}.partial")
    _remove(partial)
    partial.mkdir()
    try:
        yield partial
        partial.rename(target)
    finally:
        _remove(partial)


def _remove(tree: Path) -> None:
    # What mmdebstrap mounted in there is seen by it alone, but never cross a mount all the same.
    subprocess.run(["rm", "-rf", "--one-file-system", str(tree)], check=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(directories: Iterable[Path], *texts: str) -> str:
    digest = hashlib.sha256("\0".join(texts).encode())
    for directory in directories:
        for file in sorted(path for path in directory.rglob("*") if path.is_file()):
            content = file.read_bytes()
            digest.update(f"\0{file.relative_to(_LAB)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]
