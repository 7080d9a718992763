# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one call leaves to another is believed, so it must be nobody else's; in ``/run`` and in a home alike."""

from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Journal, Step
from ansible_collections.vfio.migration.plugins.module_utils._change.private_directory import (
    PrivateDirectory,
    write_whole,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError


@pytest.fixture
def place(tmp_path):
    """Return the path of a directory that is not there yet, nor is the one that it is in."""
    return tmp_path / "run/vfio.migration/mdev"


@pytest.fixture
def private(place):
    """Return the directory, with a file in it."""
    private = PrivateDirectory(str(place))
    private.replace("file", b"content")
    return private


def every_use(private):
    """Return everything that may be done, by name."""
    return {
        "read": lambda: private.read("file"),
        "open": lambda: os.close(private.open("file", os.O_RDWR | os.O_CREAT)),
        "names": private.names,
        "exists": lambda: private.exists("file"),
        "replace": lambda: private.replace("file", b"other"),
        "remove": lambda: private.remove("file"),
    }


USES = sorted(every_use(PrivateDirectory("")))


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_what_is_made_is_the_owners_alone_whatever_the_umask(place, umask):
    before = os.umask(umask)
    try:
        PrivateDirectory(str(place)).replace("file", b"content")
    finally:
        os.umask(before)
    for path in (place, *list(place.parents)[:2]):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((place / "file").stat().st_mode) == 0o600


def test_what_was_written_is_read_again(private):
    assert private.read("file") == b"content"
    private.replace("file", b"other")
    assert private.read("file") == b"other"
    assert private.names() == ["file"]
    private.remove("file")
    private.remove("file")
    assert not private.exists("file")


def test_where_nothing_is_nothing_is_made(place):
    private = PrivateDirectory(str(place))
    assert private.names() == []
    assert not private.exists("file")
    private.remove("file")
    for act in (lambda: private.read("file"), lambda: private.open("file", os.O_RDWR)):
        with pytest.raises(FileNotFoundError):
            act()
    assert not place.parent.exists()


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
@pytest.mark.parametrize("outer", [False, True])
@pytest.mark.parametrize("use", USES)
def test_a_directory_that_others_may_write_to_is_refused(private, place, mode, outer, use):
    path = place.parent if outer else place
    path.chmod(mode)
    with pytest.raises(
        HostReadError, match=f"{path}: writable by others .mode 0{mode:o}."
    ) as raised:
        every_use(private)[use]()
    assert "0700" in str(raised.value)
    path.chmod(0o700)
    assert private.read("file") == b"content"


def test_it_may_be_in_a_directory_where_all_may_make_their_own(private, place):
    place.parent.chmod(0o1777)
    assert private.read("file") == b"content"
    place.chmod(0o1777)
    with pytest.raises(HostReadError, match=r"writable by others .mode 1777."):
        private.read("file")


@pytest.mark.parametrize("outer", [False, True])
@pytest.mark.parametrize("use", USES)
def test_a_directory_that_is_a_link_is_refused(private, place, tmp_path, outer, use):
    path = place.parent if outer else place
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostReadError, match="a symbolic link, or no directory"):
        every_use(private)[use]()
    found = tmp_path / "elsewhere" / ("mdev/file" if outer else "file")
    assert found.read_bytes() == b"content"


@pytest.mark.parametrize("use", ["read", "open"])
@pytest.mark.parametrize("kind", ["link", "hard link", "fifo", "directory", "writable"])
def test_a_file_that_is_not_ours_alone_is_refused(private, place, tmp_path, kind, use):
    victim = tmp_path / "victim"
    victim.write_bytes(b"secret")
    file = place / "file"
    file.unlink()
    if kind == "link":
        file.symlink_to(victim)
    elif kind == "hard link":
        file.hardlink_to(victim) if hasattr(file, "hardlink_to") else os.link(victim, file)
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "directory":
        file.mkdir()
    else:
        file.write_bytes(b"secret")
        file.chmod(0o666)
    with pytest.raises((HostReadError, IsADirectoryError)) as raised:
        every_use(private)[use]()
    assert str(file) in str(raised.value)
    assert victim.read_bytes() == b"secret"


def test_no_name_leads_out_of_it(private, tmp_path):
    for name in ("../file", "../../victim", "/etc/passwd", f"{tmp_path}/victim"):
        for flags in (os.O_RDONLY, os.O_WRONLY | os.O_CREAT):
            with pytest.raises(OSError, match="not the name of a file"):
                private.open(name, flags)


def test_a_planted_new_file_is_not_followed_but_replaced(private, place, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"secret")
    (place / "file.new").symlink_to(victim)
    private.replace("file", b"other")
    assert (victim.read_bytes(), private.read("file")) == (b"secret", b"other")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("part", ["", "mdev", "mdev/file"])
def test_what_is_somebody_elses_is_refused(private, place, part):
    os.chown(place.parent / part, 1000, -1)
    with pytest.raises(HostReadError, match="owned by user 1000"):
        private.read("file")


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (lambda private: private.remove("file"), "file"),
        (lambda private: private.discard_new("file"), "file.new"),
        (lambda private: private.replace("file", b"other"), "file"),
        (lambda private: private.replace("file", b"other"), "file.new"),
    ],
)
def test_what_cannot_be_removed_or_replaced_is_named_with_its_path(private, place, use, name):
    private.remove("file")
    (place / name).mkdir()
    with pytest.raises(OSError, match=r"[Dd]irectory|not permitted") as error:
        use(private)
    assert error.value.filename == str(place / name)


def test_a_short_write_is_an_error(private, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    with pytest.raises(OSError, match="No space left"):
        private.replace("file", b"other")
    assert private.read("file") == b"content"
    with pytest.raises(OSError, match="No space left"):
        write_whole(os.open(os.devnull, os.O_WRONLY), b"other")


def test_a_lock_that_cannot_name_its_call_in_full_is_an_error(place, monkeypatch):
    write = os.write
    with Journal(str(place)) as journal:
        journal.lock("gpu")
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
            with pytest.raises(OSError, match="No space left"):
                journal.note(Step("gpu", "uuid", "created"))
    assert not [each for each in os.listdir(place) if each.endswith(".journal")]
