# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import stat
import tempfile
import threading

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import (
    Journal,
    Operation,
    Step,
    place,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.tests.unit.journals import leave
from hypothesis import given
from hypothesis import strategies as st


@dataclasses.dataclass
class Remove(Operation):
    operation = "remove"
    number: int


@pytest.fixture
def directory(tmp_path):
    return str(tmp_path / "run/mdev")


def change(name="gpu", number=1):
    return Step(name, f"uuid-{number}", "created", Remove(number))


def killed_after(directory, *changes, names=("gpu", "matrix")):
    """Note changes as a call does that is killed then."""
    leave(directory, *changes, locks=names)


def noted(directory, name):
    with Journal(directory, [Remove]) as journal:
        return journal.abandoned(name)


def files(directory):
    """Return the files that are not empty."""
    return sorted(file for file in os.listdir(directory) if os.stat(f"{directory}/{file}").st_size)


def test_one_call_at_a_time_has_a_lock(directory):
    with Journal(directory) as one, Journal(directory) as other:
        assert one.lock("gpu")
        assert not other.lock("gpu")
        assert other.lock("matrix")
        assert one.holds("gpu")
        assert not other.holds("gpu")
    with Journal(directory) as other:
        assert other.lock("gpu")


def test_a_lock_is_kept_by_a_child_that_outlives_the_call(directory):
    with Journal(directory) as journal:
        assert journal.lock("gpu")
        (descriptor,) = journal.descriptors
        inherited = os.dup(descriptor)
    with Journal(directory) as other:
        assert not other.lock("gpu")
        os.close(inherited)
        assert other.lock("gpu")


def test_locks_of_a_killed_call_are_orphaned(directory):
    pid = os.fork()
    if pid == 0:
        killed_after(directory, change())
        os._exit(9)
    with Journal(directory) as journal:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert journal.orphaned() == []
        os.waitpid(pid, 0)
        assert journal.orphaned() == ["gpu", "matrix"]
        journal.lock_abandoned()
        for name in ("gpu", "matrix"):
            journal.settle(name)
        assert journal.orphaned() == []


def test_a_call_that_changes_something_is_named(directory):
    with Journal(directory) as journal:
        journal.lock("gpu")
        assert journal.locker("gpu") is None
        journal.note(change())
        assert journal.locker("gpu") == str(os.getpid())


def test_only_root_can_look(directory):
    with Journal(directory) as journal:
        journal.lock("gpu")
        journal.note(change())
        assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
        for file in os.listdir(directory):
            assert stat.S_IMODE(os.stat(f"{directory}/{file}").st_mode) == 0o600


def test_a_call_that_comes_to_its_end_leaves_nothing(directory):
    with Journal(directory) as journal:
        journal.lock("gpu")
        journal.note(change())
    assert files(directory) == []
    with Journal(directory) as other:
        assert other.lock_abandoned() == []
        assert other.lock("gpu")
        assert other.abandoned("gpu") == []


def test_what_a_killed_call_did_is_told_last_change_first(directory):
    changes = [change(), change("matrix", 2), change("gpu", 3)]
    killed_after(directory, *changes)
    with Journal(directory) as journal:
        assert journal.lock_abandoned() == ["gpu", "matrix"]
        assert noted(directory, "gpu") == [changes[2], changes[0]]
        assert noted(directory, "matrix") == [changes[1]]


def test_what_is_settled_is_forgotten_and_what_is_not_is_kept(directory):
    killed_after(directory, change(), change("matrix", 2))
    with Journal(directory) as journal:
        journal.lock_abandoned()
        journal.settle("gpu")
    with Journal(directory) as journal:
        assert journal.lock_abandoned() == ["matrix"]
        assert noted(directory, "matrix") == [change("matrix", 2)]
        journal.settle("matrix")
    assert files(directory) == []
    assert not [file for file in os.listdir(directory) if file.endswith(".journal")]


@pytest.mark.parametrize("kept", [[3], [1], [3, 1], [5, 3], [5, 3, 1]])
def test_steps_that_failed_are_kept_in_their_order_with_those_of_other_locks(directory, kept):
    steps = {number: change("matrix" if number % 2 == 0 else "gpu", number) for number in range(6)}
    killed_after(directory, *steps.values())
    with Journal(directory, [Remove]) as journal:
        journal.lock_abandoned()
        journal.settle("gpu", [steps[number] for number in kept])
    with Journal(directory, [Remove]) as journal:
        assert journal.lock_abandoned() == ["gpu", "matrix"]
        assert journal.abandoned("gpu") == [steps[number] for number in kept]
        assert journal.abandoned("matrix") == [steps[4], steps[2], steps[0]]
        journal.settle("matrix")
        assert journal.abandoned("gpu") == [steps[number] for number in kept]
        journal.settle("gpu")
    assert not [file for file in os.listdir(directory) if "journal" in file]
    assert files(directory) == []


def test_what_was_not_written_in_full_does_not_spoil_the_steps_that_are_kept(directory):
    killed_after(directory, change(), change(number=2), change(number=3))
    path = journal_of(directory)
    os.truncate(path, os.stat(path).st_size - 1)
    with Journal(directory, [Remove]) as journal:
        journal.lock_abandoned()
        journal.settle("gpu", [change(number=2)])
        assert journal.abandoned("gpu") == [change(number=2)]
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_journal_of_which_all_steps_failed_is_not_touched(directory):
    killed_after(directory, change(), change(number=2))
    before = os.stat(journal_of(directory))
    with Journal(directory, [Remove]) as journal:
        journal.lock_abandoned()
        journal.settle("gpu", [change(number=2), change()])
    after = os.stat(journal_of(directory))
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("function", ["write", "fsync", "replace"])
def test_who_is_killed_while_a_journal_is_rewritten_loses_nothing(directory, monkeypatch, function):
    steps = [change(), change("matrix", 2), change(number=3)]
    killed_after(directory, *steps)

    def settle(failed):
        with Journal(directory, [Remove]) as journal:
            journal.lock_abandoned()
            journal.settle("gpu", failed)

    pid = os.fork()
    if pid == 0:
        monkeypatch.setattr(os, function, lambda *arguments, **others: os._exit(9))
        try:
            settle([steps[0]])
        finally:
            os._exit(0)
    assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 9
    with Journal(directory, [Remove]) as journal:
        assert journal.lock_abandoned() == ["gpu", "matrix"]
        assert journal.abandoned("gpu") == [steps[2], steps[0]]
        assert journal.abandoned("matrix") == [steps[1]]
    # Nor does what it left of the new file stay.
    settle([steps[0]])
    assert not [file for file in os.listdir(directory) if file.endswith(".new")]


@pytest.mark.parametrize("names", [("gpu",), ("gpu", "matrix")])
@pytest.mark.parametrize("number", range(1, 9))
def test_of_who_is_killed_while_it_settles_the_next_call_leaves_nothing(
    directory, monkeypatch, names, number
):
    killed_after(directory, *map(change, names), names=names)
    # As of a rewriting that was stopped.
    with open(journal_of(directory) + ".new", "wb") as file:
        file.write(b"x")

    def settle():
        with Journal(directory, [Remove]) as journal:
            for name in journal.lock_abandoned():
                journal.settle(name)

    pid = os.fork()
    if pid == 0:
        left = itertools.count(1)

        def until_killed(function):
            def call(*arguments, **others):
                if next(left) == number:
                    os._exit(9)
                return function(*arguments, **others)

            return call

        try:
            for function in ("unlink", "ftruncate"):
                monkeypatch.setattr(os, function, until_killed(getattr(os, function)))
            settle()
        finally:
            os._exit(0)
    # Two removals for the journal, and one lock or two to empty: after these there is nothing to be killed in.
    steps = 2 + len(names)
    assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == (9 if number <= steps else 0)
    settle()
    # What a lock names that is empty, or gone, is nothing.
    assert sorted(os.listdir(directory)) == sorted(f"{name}.lock" for name in names)


def test_calls_that_settle_one_journal_at_once_leave_none(directory, monkeypatch):
    killed_after(directory, change(), change("matrix", 2))
    ftruncate = os.ftruncate

    with Journal(directory, [Remove]) as one, Journal(directory, [Remove]) as other:
        assert one.lock("gpu")
        assert other.lock("matrix")
        second = threading.Thread(target=other.settle, args=("matrix",))

        def meanwhile(*arguments):
            # The first one has seen that the other lock names the journal, and still names it itself.
            monkeypatch.undo()
            second.start()
            second.join(0.2)
            ftruncate(*arguments)

        monkeypatch.setattr(os, "ftruncate", meanwhile)
        one.settle("gpu")
        second.join()
    assert files(directory) == []
    assert sorted(os.listdir(directory)) == ["gpu.lock", "matrix.lock"]


def test_a_new_journal_is_on_the_disk_before_it_takes_the_place_of_the_old_one(
    directory, monkeypatch
):
    killed_after(directory, change(), change(number=2))
    calls = []

    def noting(name, function):
        def call(*arguments, **others):
            calls.append(name)
            return function(*arguments, **others)

        return call

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noting(name, getattr(os, name)))
    with Journal(directory, [Remove]) as journal:
        journal.lock_abandoned()
        journal.settle("gpu", [change()])
    assert calls == ["fsync", "replace"]


def test_calls_that_rewrite_one_journal_wait_for_each_other(directory, monkeypatch):
    steps = [change(), change("matrix", 2), change(number=3), change("matrix", 4)]
    killed_after(directory, *steps)
    replace = os.replace

    with Journal(directory, [Remove]) as one, Journal(directory, [Remove]) as other:
        assert one.lock("gpu")
        assert other.lock("matrix")
        second = threading.Thread(target=other.settle, args=("matrix", [steps[1]]))

        def meanwhile(*arguments, **others):
            # Between the reading and the replacing of the first one.
            monkeypatch.undo()
            second.start()
            second.join(0.2)
            assert second.is_alive()
            replace(*arguments, **others)

        monkeypatch.setattr(os, "replace", meanwhile)
        one.settle("gpu", [steps[0]])
        second.join()
        assert one.abandoned("gpu") == [steps[0]]
        assert other.abandoned("matrix") == [steps[1]]


def test_a_live_call_is_left_alone(directory):
    with Journal(directory) as live:
        live.lock("gpu")
        live.note(change())
        with Journal(directory) as journal:
            assert journal.lock_abandoned() == []
        live.note(change(number=2))


def test_a_change_that_was_not_made_is_withdrawn(directory):
    journal = Journal(directory)
    journal.lock("gpu")
    journal.note(change(number=1))
    journal.note(change(number=2))
    journal.withdraw()
    journal.note(change(number=3))
    os.close(journal.descriptors[0])
    with Journal(directory, [Remove]) as other:
        assert other.lock_abandoned() == ["gpu"]
        assert [each.device for each in other.abandoned("gpu")] == ["uuid-3", "uuid-1"]


def test_a_line_that_was_not_written_in_full_announces_nothing(directory):
    killed_after(directory, change(), change(number=2))
    (path,) = (f"{directory}/{file}" for file in os.listdir(directory) if "journal" in file)
    os.truncate(path, os.stat(path).st_size - 1)
    with Journal(directory, [Remove]) as journal:
        journal.lock_abandoned()
        assert [each.device for each in journal.abandoned("gpu")] == ["uuid-1"]


def test_locks_that_name_a_journal_that_is_gone_are_of_a_complete_call(directory):
    killed_after(directory, change())
    (path,) = (f"{directory}/{file}" for file in os.listdir(directory) if "journal" in file)
    os.unlink(path)
    with Journal(directory) as journal:
        assert journal.lock_abandoned() == []
        assert journal.lock("gpu")
        assert journal.abandoned("gpu") == []
        journal.note(change())
        assert journal.locker("gpu") == str(os.getpid())


def test_the_journals_are_in_run():
    assert place(Sysfs("/sys"), "mdev") == "/run/vfio.migration/mdev"


def test_those_of_a_copied_tree_are_in_the_callers_home_and_of_that_tree_alone(
    tmp_path, monkeypatch
):
    for name in ("one/sys", "other/sys"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_STATE_HOME")
    one, other = Sysfs(f"{tmp_path}/one/sys"), Sysfs(f"{tmp_path}/other/sys")
    assert place(one, "pci").startswith(f"{tmp_path}/home/.local/state/vfio.migration/")
    assert place(one, "pci") == place(Sysfs(f"{tmp_path}/other/../one/sys"), "pci")
    places = {place(sysfs, kind) for sysfs in (one, other) for kind in ("mdev", "pci")}
    assert len(places) == 4
    # Another tree that takes the place of the first one is not that.
    before = place(one, "pci")
    (tmp_path / "one/sys").rename(tmp_path / "old")
    (tmp_path / "one/sys").mkdir()
    assert place(one, "pci") != before
    monkeypatch.setenv("XDG_STATE_HOME", "beside")
    assert place(other, "pci").startswith(f"{tmp_path}/home/")
    with monkeypatch.context() as patch, pytest.raises(HostReadError, match="XDG_STATE_HOME"):
        patch.setattr(os.path, "expanduser", lambda path: path)
        place(other, "pci")
    monkeypatch.setenv("XDG_STATE_HOME", f"{tmp_path}/state")
    assert place(other, "pci").startswith(f"{tmp_path}/state/vfio.migration/")


# --- journals of other releases, and damaged ones


def journal_of(directory):
    (file,) = (file for file in os.listdir(directory) if file.endswith(".journal"))
    return f"{directory}/{file}"


def rewritten(directory, old, new):
    """Return the journal of a killed call with something else in its second line."""
    killed_after(directory, change(), change("matrix", 2))
    path = journal_of(directory)
    with open(path, "rb") as file:
        first, second, rest = file.read().split(b"\n")
    assert old in second
    with open(path, "wb") as file:
        file.write(b"\n".join((first, second.replace(old, new), rest)))
    return path


def refused(directory):
    """Return why a journal is not understood; check that it has the locks of both lines, and gives neither to be undone."""
    said = set()
    with Journal(directory, [Remove]) as journal:
        for name in journal.lock_abandoned():
            with pytest.raises(HostReadError) as raised:
                journal.abandoned(name)
            said.add(str(raised.value))
    (message,) = said
    return message


def test_a_line_is_an_object_with_its_format_and_names(directory):
    killed_after(directory, change())
    with open(journal_of(directory), encoding="ascii") as file:
        assert json.load(file) == {
            "format": 1,
            "lock": "gpu",
            "device": "uuid-1",
            "change": "created",
            "undo": {"operation": "remove", "arguments": {"number": 1}},
        }


@pytest.mark.parametrize(("found", "age"), [(b"2", "a newer"), (b"0", "an older")])
def test_a_journal_of_another_format_is_refused_with_what_to_do(directory, found, age):
    path = rewritten(directory, b'"format": 1', b'"format": ' + found)
    assert refused(directory) == (
        f"{path}: line 2: it has format {found.decode()}, written by {age} release of vfio.migration, and this release"
        " has format 1; use that release, or undo by hand what the file lists and remove the file"
    )


def test_an_unknown_operation_is_refused_with_what_to_do(directory):
    path = rewritten(directory, b'"remove"', b'"hide\\n"')
    assert refused(directory) == (
        f"{path}: line 2: it names the operation 'hide\\n', which this release of vfio.migration does not know;"
        " use that release, or undo by hand what the file lists and remove the file"
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b'"number": 2', b'"number": "2"', "'number' has a wrong type"),
        (b'"number": 2', b'"number": true', "'number' has a wrong type"),
        (b'"number": 2', b'"number": null', "'number' has a wrong type"),
        (b'"number": 2', b"", "'number' is missing"),
        (b'"number": 2', b'"number": 2, "force": 1', "'force' is unknown"),
        (b'{"number": 2}', b"[2]", "'arguments' has a wrong type"),
        (
            b'{"arguments": {"number": 2}, "operation": "remove"}',
            b'["remove", 2]',
            "'undo' has a wrong type",
        ),
        (b'"device"', b'"devise"', "'device' is missing"),
        (b'"lock": "matrix"', b'"lock": 7', "'lock' has a wrong type"),
        (b'"format": 1', b'"format": "1"', "the number of its format is missing"),
        (b'"format": 1', b'"format": true', "the number of its format is missing"),
        (b'"format": 1, ', b"", "the number of its format is missing"),
    ],
)
def test_malformed_arguments_are_refused(directory, old, new, problem):
    path = rewritten(directory, old, new)
    message = refused(directory)
    assert message.startswith(f"{path}: line 2: it is damaged: {problem}")
    assert message.endswith("; undo by hand what the file lists and remove the file")


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"null", b"\xff", b"\0" * 64, b"[" * 100_000])
def test_a_line_that_is_no_record_is_refused(directory, line):
    killed_after(directory, change())
    path = journal_of(directory)
    with open(path, "ab") as file:
        file.write(line + b"\n")
    assert refused(directory).startswith(f"{path}: line 2: it is damaged")


def test_a_journal_that_was_cut_off_and_written_on_is_refused(directory):
    killed_after(directory, change())
    path = journal_of(directory)
    with open(path, "rb") as file:
        line = file.read()
    for length in range(1, len(line) - 1):
        with open(path, "wb") as file:
            file.write(line[:length] + b"\n" + line)
        assert refused(directory).startswith(f"{path}: line 1: it is damaged or cut off: no JSON; ")


def test_however_a_journal_is_cut_off_it_lists_its_whole_lines(directory):
    changes = [change(), change(number=2)]
    killed_after(directory, *changes)
    path = journal_of(directory)
    with open(path, "rb") as file:
        content = file.read()
    for length in range(len(content)):
        os.truncate(path, length)
        whole = content[:length].count(b"\n")
        with Journal(directory, [Remove]) as journal:
            assert journal.abandoned("gpu") == changes[:whole][::-1]
        with open(path, "wb") as file:
            file.write(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "format": st.just(1) | JSON,
        "lock": st.just("gpu") | JSON,
        "device": st.text() | JSON,
        "change": st.text() | JSON,
        "undo": st.fixed_dictionaries(
            {"operation": st.just("remove") | JSON, "arguments": st.just({"number": 1}) | JSON}
        )
        | JSON,
    },
)


@given(
    st.lists(st.binary(max_size=20) | (FIELDS | JSON).map(lambda each: json.dumps(each).encode()))
)
def test_whatever_is_in_a_journal_it_is_steps_or_refused(lines):
    with tempfile.TemporaryDirectory() as temporary:
        directory = f"{temporary}/run/mdev"
        killed_after(directory, change())
        path = journal_of(directory)
        with open(path, "wb") as file:
            file.write(b"\n".join([*lines, b""]))
        with Journal(directory, [Remove]) as journal:
            try:
                steps = journal.abandoned("gpu")
            except HostReadError as problem:
                assert str(problem).startswith(f"{path}: line ")
            else:
                assert all(step.lock == "gpu" for step in steps)
                assert len(steps) <= len(lines)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"../../etc/passwd", b"1-2\n", b"\0", b"7" * 99])
def test_a_lock_that_names_no_call_is_of_a_complete_one(directory, content):
    killed_after(directory, change())
    for name in ("gpu", "matrix"):
        with open(f"{directory}/{name}.lock", "wb") as file:
            file.write(content)
    with Journal(directory, [Remove]) as journal:
        assert journal.lock_abandoned() == []
        assert journal.orphaned() == []
        assert journal.lock("gpu")


def test_a_step_that_finds_no_room_in_the_journal_is_an_error(directory, monkeypatch):
    write = os.write
    with Journal(directory, [Remove]) as journal:
        journal.lock("gpu")
        journal.note(change())
        # As on a file system that becomes full.
        monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:10]))
        with pytest.raises(OSError, match="No space left on device"):
            journal.note(change(number=2))
        monkeypatch.undo()
        journal.note(change(number=3))
        assert noted(directory, "gpu") == [change(number=3), change()]
