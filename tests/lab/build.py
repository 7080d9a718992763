# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds what the lab's hosts boot from, once, into a cache outside the checkout.

The cache is keyed by content: the guests' *root* and each *kernel* (with its initramfs, modules and the chroot they are built in) by
package lists and scripts, *driver* and *domain* (what a guest boots) by their source and the kernel in whose chroot they are built.
Everything is made from Debian packages of one suite, and its backports for a newer kernel, in chroots of that suite, so the machine's
own release and apt sources do not matter.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from errors import LabError, with_log
from processes import stop_group, uninterrupted

SUITE = "trixie"
# Where a newer kernel is from.
NEWER_SUITE = f"{SUITE}-backports"
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
class Kernel:
    """A kernel: ``tree`` is to lie over a host's root, with its modules."""

    image: Path
    initramfs: Path
    tree: Path
    driver: Path


@dataclass(frozen=True)
class Products:
    """What hosts boot from, the kernels by the suites that they are from."""

    root: Path
    kernels: Mapping[str, Kernel]
    boot_disk: Path


def ensure(suites: Collection[str]) -> Products:
    """Return the products, with the kernels of these suites, building what is missing; concurrent calls wait for each other."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vfio.migration/lab"
    cache.mkdir(parents=True, exist_ok=True)
    root = cache / f"root-{_digest([_LAB / 'guest'], SUITE)}"
    bases = {
        suite: cache / f"kernel-{_digest([_LAB / 'kernel'], suite)}" for suite in {SUITE, *suites}
    }
    drivers = {
        suite: cache / f"driver-{_digest([_LAB / 'driver'], base.name)}"
        for suite, base in bases.items()
    }
    domain = cache / f"domain-{_digest([_LAB / 'domain'], bases[SUITE].name)}"
    with _locked(cache / "lock"):
        _install_machine_packages(cache)
        with ExitStack() as meanwhile:
            if not root.exists():
                partial = meanwhile.enter_context(_completed(root))
                meanwhile.enter_context(_root_built(partial, log=cache / f"{root.name}.log"))
            for suite, base in bases.items():
                if not base.exists():
                    with _completed(base) as partial:
                        _build_kernel(partial, suite, log=cache / f"{base.name}.log")
                if not drivers[suite].exists():
                    with _completed(drivers[suite]) as partial:
                        log = cache / f"{drivers[suite].name}.log"
                        _build_driver(partial, base / "chroot", log)
            if not domain.exists():
                with _completed(domain) as partial:
                    log = cache / f"{domain.name}.log"
                    _build_boot_disk(partial, bases[SUITE] / "chroot", log)
    return Products(
        root=root / "root",
        kernels={
            suite: Kernel(
                image=base / "vmlinuz",
                initramfs=base / "initramfs",
                tree=base / "tree",
                driver=drivers[suite] / "migration_sample.ko",
            )
            for suite, base in bases.items()
        },
        boot_disk=domain / "boot.img",
    )


@contextmanager
def _root_built(target: Path, log: Path) -> Iterator[None]:
    """Build the hosts' root file system while the block runs."""
    log.unlink(missing_ok=True)
    hooks = [
        f'copy-in "{_LAB}/guest/setup.sh" "{_LAB}/guest/keep_code.py" /',
        'chroot "$1" sh /setup.sh',
        'rm "$1/setup.sh"',
    ]
    packages = _packages(_LAB / "guest/packages")
    command = _mmdebstrap(target / "root", [SUITE], packages, hooks, log)
    with _running("Building the guests' root file system", command, log):
        yield


def _build_kernel(target: Path, suite: str, log: Path) -> None:
    log.unlink(missing_ok=True)
    chroot = target / "chroot"
    hooks = ['mkdir "$1/build"', f'sh "{_LAB}/kernel/download.sh" "$1"']
    packages = [*_packages(_LAB / "kernel/packages"), f"linux-headers-amd64/{suite}"]
    suites = list(dict.fromkeys([SUITE, suite]))
    _step(
        f"Building the chroot for kernel modules of {suite}",
        _mmdebstrap(chroot, suites, packages, hooks, log),
        log,
    )
    work = chroot / "build"
    shutil.copytree(_LAB / "kernel", work, dirs_exist_ok=True)
    _step(
        f"Building kernel, modules and initramfs of {suite}",
        _inside(chroot, "/build", "sh", "build.sh"),
        log,
    )
    for name in ("vmlinuz", "initramfs", "tree"):
        shutil.move(work / "out" / name, target)
    shutil.rmtree(work)


def _build_driver(target: Path, chroot: Path, log: Path) -> None:
    log.unlink(missing_ok=True)
    work = chroot / "driver"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(_LAB / "driver", work)
    headers = next((chroot / "usr/src").glob("linux-headers-*-amd64"))
    _step(
        "Building the sample driver",
        _inside(
            chroot,
            f"/usr/src/{headers.name}",
            *("make", "M=/driver", "CONFIG_DEBUG_INFO_BTF_MODULES=", "KCFLAGS=-Werror", "modules"),
        ),
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
        _inside(chroot, "/domain", "sh", "build.sh"),
        log,
    )
    shutil.move(work / "boot.img", target)
    shutil.rmtree(work)


def _inside(chroot: Path, directory: str, *command: str) -> list[str]:
    """Return a command that runs inside a chroot, where /proc is mounted for it: tools of newer kernels need that."""
    namespaces = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    return ["unshare", *namespaces, f"--root={chroot}", f"--wd={directory}", *command]


def _packages(file: Path) -> list[str]:
    return [line for line in file.read_text().split("\n") if line and line[0] != "#"]


def _mmdebstrap(
    target: Path, suites: Sequence[str], packages: Sequence[str], hooks: Sequence[str], log: Path
) -> list[str]:
    """Return the command that makes a file system of packages from the first suite, unless they say of which other."""
    mirror = _mirror(log)
    return [
        "mmdebstrap",
        "--variant=minbase",
        "--format=directory",
        f"--include={','.join(packages)}",
        *(f"--aptopt={option}" for option in _apt_transport()),
        *(f"--customize-hook={hook}" for hook in hooks),
        suites[0],
        str(target),
        *(f"deb [signed-by={_KEYRING}] {mirror} {suite} main" for suite in suites),
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
    """Run one command, its output in the log."""
    with _running(title, command, log):
        pass


@contextmanager
def _running(title: str, command: Sequence[str], log: Path) -> Iterator[None]:
    """Run a command while the block runs, its output in the log, and wait for it; stop it with all its children when interrupted."""
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
        yield
        status = process.wait()
    except BaseException:
        if process:
            stop_group(process, _STOP_SECONDS)
        raise
    if status:
        raise with_log(f"{title} failed with status {status}:", log)
    print(f"{title}: {time.monotonic() - start:.0f} s", flush=True)


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
