# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work that goes on when nobody waits for it any more; the processes are real."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.background import (
    AtWork,
    BackgroundWork,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.private_directory import (
    PrivateDirectory,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError

SECONDS = 20


@pytest.fixture
def place(tmp_path):
    return tmp_path / "outer" / "work"


@pytest.fixture
def work(place):
    return BackgroundWork(PrivateDirectory(str(place)), "one")


def until(path):
    """Wait until a file is there."""
    end = time.monotonic() + SECONDS
    while not path.exists():
        assert time.monotonic() < end, f"there is no {path}"
        time.sleep(0.01)


def held(tmp_path, **result):
    """Return work that tells that it has begun, waits for the file ``go``, and ends with a result."""

    def doing(tell):
        tell({"percent": 50, "pid": os.getpid()})
        (tmp_path / "begun").touch()
        until(tmp_path / "go")
        return {"outcome": "done", **result}

    return doing


def test_its_status_and_its_result_are_told(work, tmp_path):
    work.begin(held(tmp_path, said="x" * 5000))
    until(tmp_path / "begun")
    found = work.look()
    assert (found.runs, found.ended, found.status["percent"]) == (True, False, 50)
    assert found.status["pid"] != os.getpid()
    (tmp_path / "go").touch()
    found = work.wait(SECONDS)
    assert (found.ended, found.status) == (True, {"outcome": "done", "said": "x" * 5000})


def test_what_it_waits_for_is_limited(work, tmp_path):
    work.begin(held(tmp_path))
    begin = time.monotonic()
    assert not work.wait(0.1).ended
    assert time.monotonic() - begin < 5
    (tmp_path / "go").touch()
    assert work.wait(SECONDS).ended


def test_nobody_begins_it_twice(work, tmp_path, place):
    work.begin(held(tmp_path))
    with pytest.raises(AtWork, match="another run is already migrating it"):
        work.begin(held(tmp_path))
    assert [each.name for each in place.iterdir()] == ["one.json"]
    (tmp_path / "go").touch()
    assert work.wait(SECONDS).ended


def test_what_has_ended_lower_priority_to_the_next(work, tmp_path):
    (tmp_path / "go").touch()
    for number in range(2):
        work.begin(held(tmp_path, number=number))
        assert work.wait(SECONDS).status["number"] == number
        # Its process ends a moment after.
        end = time.monotonic() + SECONDS
        while work.look().runs and time.monotonic() < end:
            time.sleep(0.01)


def tried(place, attempt):
    return BackgroundWork(PrivateDirectory(str(place)), "one", attempt)


def test_an_attempt_is_begun_once_however_often_it_is_asked_for(place, tmp_path):
    first = tried(place, "first")
    first.begin(held(tmp_path, number=1))
    until(tmp_path / "begun")
    tried(place, "first").begin(held(tmp_path, number=2))
    with pytest.raises(AtWork):
        tried(place, "second").begin(held(tmp_path, number=2))
    assert not tried(place, "second").look().begun
    (tmp_path / "go").touch()
    assert first.wait(SECONDS).status == {"outcome": "done", "number": 1}
    # Though it has ended by now.
    tried(place, "first").begin(held(tmp_path, number=2))
    assert tried(place, "first").look().status["number"] == 1
    end = time.monotonic() + SECONDS
    while first.look().runs and time.monotonic() < end:
        time.sleep(0.01)
    tried(place, "second").begin(held(tmp_path, number=2))
    assert tried(place, "second").wait(SECONDS).status["number"] == 2
    assert not first.look().begun


def test_who_has_the_lock_and_has_not_written_yet_is_waited_for(place, tmp_path):
    work = tried(place, "first")
    holder = work._locked()
    threading.Timer(0.2, lambda: work._record(holder, {})).start()
    tried(place, "first").begin(held(tmp_path))
    os.close(holder)
    # Who held it was killed before it could begin: nobody knows that for certain, and nothing is begun twice.
    found = tried(place, "first").look()
    assert (found.begun, found.runs, found.status) == (True, False, {})


def test_an_attempt_that_begins_and_ends_while_another_start_of_it_comes_is_begun_once(
    place, tmp_path, monkeypatch
):
    (tmp_path / "go").touch()
    late, locked = tried(place, "first"), BackgroundWork._locked

    def after_another(self):
        monkeypatch.undo()
        first = tried(place, "first")
        first.begin(held(tmp_path, number=1))
        end = time.monotonic() + SECONDS
        while first.look().runs and time.monotonic() < end:
            time.sleep(0.01)
        return locked(self)

    monkeypatch.setattr(BackgroundWork, "_locked", after_another)
    late.begin(held(tmp_path, number=2))
    assert late.wait(SECONDS).status["number"] == 1


def test_where_the_end_of_children_is_ignored_it_begins_all_the_same(work, tmp_path):
    """As by who began this process: a program that is executed has that from the one before."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        work.begin(held(tmp_path))
    finally:
        signal.signal(signal.SIGCHLD, before)
    (tmp_path / "go").touch()
    assert work.wait(SECONDS).status == {"outcome": "done"}


def test_work_whose_process_was_killed_has_ended_without_a_result(work, tmp_path):
    work.begin(held(tmp_path))
    until(tmp_path / "begun")
    os.kill(work.look().status["pid"], signal.SIGKILL)
    found = work.wait(SECONDS)
    assert (found.runs, found.ended) == (False, True)
    assert "outcome" not in found.status


def test_work_that_fails_has_no_result(work):
    def failing(tell):
        raise ValueError

    work.begin(failing)
    found = work.wait(SECONDS)
    assert (found.ended, found.status) == (True, {})


def test_where_not_all_that_is_told_finds_a_place_the_work_goes_on_and_its_outcome_is_told(
    place, tmp_path
):
    def telling(tell):
        # As on a full disk, the first bytes are written.
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        tell({"percent": 50})
        tell({"percent": 60, "said": "x" * 9000})
        (tmp_path / "begun").touch()
        until(tmp_path / "go")
        return {"outcome": "done", "bytes": 7, "errors": ["x" * 9000]}

    tried(place, "first").begin(telling)
    until(tmp_path / "begun")
    found = tried(place, "first").look()
    assert (found.begun, found.runs, found.status) == (True, True, {"percent": 50})
    (tmp_path / "go").touch()
    assert tried(place, "first").wait(SECONDS).status == {"outcome": "done", "bytes": 7}


def test_it_is_on_after_who_began_it_was_killed(tmp_path, place):
    began = os.fork()
    if not began:
        work = BackgroundWork(PrivateDirectory(str(place)), "one")
        work.begin(held(tmp_path))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(began, 0)
    until(tmp_path / "begun")
    work = BackgroundWork(PrivateDirectory(str(place)), "one")
    assert work.look().runs
    (tmp_path / "go").touch()
    assert work.wait(SECONDS).status == {"outcome": "done"}


def test_it_has_nothing_open_that_somebody_waits_for(work, tmp_path):
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    work.begin(held(tmp_path))
    os.close(writer)
    # The end of the pipe: nobody else has it.
    assert os.read(reader, 1) == b""
    os.close(reader)
    (tmp_path / "go").touch()
    assert work.wait(SECONDS).ended


def test_work_that_nobody_has_begun_is_not_there(work):
    assert (work.look().begun, work.look().runs, work.look().status) == (False, False, {})


def test_its_file_is_for_its_owner_alone(work, tmp_path, place):
    (tmp_path / "go").touch()
    work.begin(held(tmp_path))
    assert (place / "one.json").stat().st_mode & 0o777 == 0o600
    work.wait(SECONDS)


def test_a_link_in_its_place_is_not_believed(work, tmp_path, place):
    place.mkdir(parents=True, mode=0o700)
    (tmp_path / "secret").write_text("{}")
    (place / "one.json").symlink_to(tmp_path / "secret")
    with pytest.raises(HostReadError, match="a symbolic link"):
        work.look()
    with pytest.raises(HostReadError, match="a symbolic link"):
        work.begin(held(tmp_path))
    assert (tmp_path / "secret").read_text() == "{}"
