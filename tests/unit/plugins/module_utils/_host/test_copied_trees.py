# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A copied tree comes from somebody else: whatever it has in any place, nothing outside it is read and nothing special opened."""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import json
import os
import shutil
import socket
import stat
import tarfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host.capture import captured
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.plugins.modules import vfio_mdev, vfio_pci
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import (
    GPU,
    SELF_TEXT,
    UUIDS,
    Tree,
    nobody,
)
from ansible_collections.vfio.migration.tests.unit.vendor_trees import TREES
from hypothesis import settings

SECRET = "SECRET=SECRET"
VF = "0000:3b:00.4"


def mediated(tree: Tree) -> None:
    tree.add_gpu()
    tree.write(f"devices/pci0000:00/{GPU}/mdev_supported_types/i915-GVTg_V5_4/description", "d\n")
    tree.write("bus/pci/drivers/i915/module/version", "1.2\n")
    tree.add_migration(tree.add_mdev(UUIDS[1]), SELF_TEXT)
    device = tree.add_mdev(UUIDS[2], group=8)
    for name, value in (("type", "x"), ("device_api", "vfio-pci"), ("software_version", "1.0")):
        tree.write(f"{device}/migration/self/{name}", value + "\n")
        tree.write(f"{device}/migration/compatible/{name}", value + "\n")
    tree.write(f"kernel/debug/vfio/{UUIDS[1]}/migration/state", "RUNNING\n")
    tree.write(f"kernel/debug/vfio/{UUIDS[1]}/migration/features", "stop-copy\n")
    tree.write("kernel/osrelease", "6.12.0\n")


def of_vendor(driver: str, tree: Tree) -> None:
    next(vendor for vendor in TREES if vendor.driver == driver).build(tree)


def network(tree: Tree) -> None:
    tree.write("bus/vdpa/devices/vdpa0/driver_override", "x\n")
    tree.write("devices/pci0000:00/net/eth0/flags", "0x1003\n")
    tree.link("class/net/eth0", "devices/pci0000:00/net/eth0")


# With everything that a reader reads, each in a tree of its own too: to read the others again for each place takes long.
PARTS: tuple[t.Callable[[Tree], None], ...] = (
    mediated,
    functools.partial(of_vendor, "qat_vfio_pci"),
    functools.partial(of_vendor, "vfio_ap"),
    network,
)
# Of these each is on the same function, so that they are in no tree with the others.
ALONE = tuple(vendor.build for vendor in TREES if vendor.driver == "nvidia")


def build(root: Path) -> Tree:
    """Build a tree with all parts."""
    tree = Tree(root)
    for part in PARTS:
        part(tree)
    return tree


def places(root: Path) -> list[Path]:
    """Return every file, directory and link of a tree."""
    return sorted(root.rglob("*"))


@contextlib.contextmanager
def planted(kind: str, path: Path, outside: Path) -> t.Iterator[None]:
    """Put something in the place of what is at ``path``, and that back in the end."""
    aside = outside.parent / "aside"
    path.rename(aside)
    if kind == "absolute link":
        path.symlink_to(outside / "secret")
    elif kind == "relative link":
        path.symlink_to("../" * 40 + str(outside / "secret")[1:])
    elif kind == "link to a directory":
        path.symlink_to(outside)
    elif kind == "link to itself":
        path.symlink_to(path.name)
    elif kind == "file":
        path.write_text("no directory\n")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        # The path of a socket has at most 107 characters.
        parent = os.open(path.parent, os.O_PATH)
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(f"/proc/self/fd/{parent}/{path.name}")
        os.close(parent)
    yield
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    aside.rename(path)


KINDS = (
    "absolute link",
    "relative link",
    "link to a directory",
    "link to itself",
    "file",
    "fifo",
    "socket",
)


def is_tried(kind: str, number: int) -> bool:
    """Return whether a kind is planted in this place: in each the first, and one of the others in turn; all in ``make fuzz``.

    All readers open what they read through one class, for which a kind is the same in every place.
    """
    return settings.default.max_examples > 1000 or kind in (
        KINDS[0],
        KINDS[1 + number % (len(KINDS) - 1)],
    )


@pytest.fixture
def outside(tmp_path):
    """Return a directory outside the tree where everything, whatever its name, is a secret."""
    outside = tmp_path / "outside"
    for name in ("secret", "self/type", "compatible/type", "device", "vendor", "state", "version"):
        (outside / name).parent.mkdir(parents=True, exist_ok=True)
        (outside / name).write_text(SECRET + "\n")
    return outside


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """Return what was opened and is special, or is outside the tree."""
    found: list[str] = []
    original = os.open

    def record(path, flags, *arguments, **keywords):
        descriptor = original(path, flags, *arguments, **keywords)
        if not flags & os.O_PATH:
            real = os.readlink(f"/proc/self/fd/{descriptor}")
            mode = os.fstat(descriptor).st_mode
            if real.startswith(f"{tmp_path}/outside") or not (
                stat.S_ISREG(mode) or stat.S_ISDIR(mode)
            ):
                found.append(real)
        return descriptor

    monkeypatch.setattr(os, "open", record)
    return found


def content_of(archive: bytes) -> str:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive))) as opened:
        files = [opened.extractfile(each) for each in opened.getmembers() if each.isreg()]
        return "".join(file.read().decode("utf-8", "replace") for file in files)


@pytest.mark.hypothesis
@pytest.mark.parametrize("kind", KINDS)
def test_no_reader_leaves_the_tree_or_opens_what_is_special(tmp_path, outside, opened, kind):
    for name, part in enumerate((*PARTS, *ALONE)):
        tree = Tree(tmp_path / f"sys{name}")
        part(tree)
        sysfs = Sysfs(str(tree.root))
        for number, place in enumerate(places(tree.root)):
            if not is_tried(kind, number):
                continue
            with planted(kind, place, outside):
                assert SECRET not in json.dumps(gather_facts(sysfs, nobody)), place
                assert SECRET not in content_of(captured(sysfs)), place
            assert not opened, place


def test_the_parts_of_the_tree_have_all_files_that_are_read_in_the_whole(tmp_path, monkeypatch):
    def read(place: Path, parts: t.Iterable[t.Callable[[Tree], None]]) -> set[str]:
        tree, found = Tree(place), set()
        for part in parts:
            part(tree)
        original = os.open

        def record(path, flags, *arguments, **keywords):
            descriptor = original(path, flags, *arguments, **keywords)
            found.add(os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), place))
            return descriptor

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", record)
            gather_facts(Sysfs(str(place)), nobody)
            captured(Sysfs(str(place)))
        return found

    alone = [read(tmp_path / str(number), [part]) for number, part in enumerate(PARTS)]
    assert set().union(*alone) == read(tmp_path / "whole", PARTS)


@pytest.mark.parametrize("kind", KINDS)
def test_no_module_writes_outside_the_tree(tmp_path, outside, opened, kind, run_main):
    root = build(tmp_path / "sys").root
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    gpu = f"devices/pci0000:00/{GPU}"
    targets = [
        "bus/mdev",
        f"bus/mdev/devices/{UUIDS[1]}",
        f"class/mdev_bus/{GPU}",
        f"{gpu}/{UUIDS[1]}/intel_vgpu",
        f"{gpu}/{UUIDS[1]}/intel_vgpu/aggregator",
        f"{gpu}/{UUIDS[1]}/remove",
        f"{gpu}/mdev_supported_types/i915-GVTg_V5_4",
        f"{gpu}/mdev_supported_types/i915-GVTg_V5_4/create",
        f"bus/pci/devices/{VF}",
    ]
    wanted = {
        "parent": GPU,
        "type": "i915-GVTg_V5_4",
        "attributes": [{"name": "aggregator", "value": "2"}],
    }
    for place in targets:
        with planted(kind, root / place, outside):
            for state in ("present", "absent"):
                for uuid in (UUIDS[1], UUIDS[5]):
                    options = {"devices": [{"uuid": uuid, **wanted}], "state": state}
                    result = run_main(vfio_mdev.main, sysfs=str(root), timeout=0, **options)
                    assert SECRET not in json.dumps(result), place
                device = {"address": VF, **({"driver": "vfio-pci"} if state == "present" else {})}
                result = run_main(
                    vfio_pci.main, sysfs=str(root), timeout=0, devices=[device], state=state
                )
                assert SECRET not in json.dumps(result), place
        assert not [each for each in opened if each.startswith(str(outside))], place
    assert {path: path.read_bytes() for path in before} == before


@pytest.fixture
def run_main(monkeypatch, capfd):
    """Return a function that runs a module's ``main``; whatever it does, it ends with a result."""
    from ansible.module_utils import basic

    def run(main, **arguments):
        encoded = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", encoded)
        if hasattr(basic, "_ANSIBLE_PROFILE"):
            monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy")
        with contextlib.suppress(SystemExit):
            main()
        return json.loads(capfd.readouterr().out)

    return run


@pytest.mark.parametrize("name", [f"{GPU}.lock", "1-1.journal", f"{VF}.json"])
def test_what_was_planted_beside_the_tree_is_not_touched(tmp_path, run_main, name):
    root = build(tmp_path / "sys").root
    victim = tmp_path / "victim"
    victim.write_text(SECRET)
    for kind in ("mdev", "pci"):
        planted = tmp_path / "run/vfio.migration" / kind / name
        planted.parent.mkdir(parents=True)
        planted.symlink_to(victim)
    device = {"uuid": UUIDS[5], "parent": GPU, "type": "i915-GVTg_V5_4"}
    run_main(vfio_mdev.main, sysfs=str(root), timeout=0, devices=[device])
    run_main(vfio_pci.main, sysfs=str(root), timeout=0, devices=[{"address": VF}])
    assert victim.read_text() == SECRET
    assert (root.parent / "run/vfio.migration/mdev" / name).is_symlink()


def test_links_of_a_copy_are_resolved_in_it(tmp_path):
    relative = build(tmp_path / "relative")
    absolute = tmp_path / "absolute"
    shutil.copytree(relative.root, absolute, symlinks=True)
    for path in (absolute).rglob("*"):
        if path.is_symlink():
            target = os.path.normpath(path.parent / os.readlink(path))
            path.unlink()
            path.symlink_to("/" + os.path.relpath(target, absolute))

    def facts(root: Path) -> str:
        gathered = gather_facts(Sysfs(str(root)), nobody)
        del gathered["gathered"]
        return json.dumps(gathered).replace(str(root), "/sys")

    assert len(json.loads(facts(relative.root))["devices"]) > 2
    assert facts(absolute) == facts(relative.root)
