# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import (
    Change,
    Journal,
    place,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs


@pytest.fixture
def directory(tmp_path):
    return str(tmp_path / "run/mdev")


def change(name="gpu", number=1):
    return Change(name, f"uuid-{number}", "created", ["remove", number])


def killed_after(directory, *changes, names=("gpu", "matrix")):
    """A call that notes changes and then is killed, as far as its files can tell."""
    journal = Journal(directory)
    for name in names:
        assert journal.lock(name)
    for each in changes:
        journal.note(each)
    for descriptor in journal.descriptors:
        os.close(descriptor)


def noted(journal, name):
    return [vars(each) for each in journal.abandoned(name)]


def files(directory):
    """The files that have something in them."""
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
        assert noted(journal, "gpu") == [vars(changes[2]), vars(changes[0])]
        assert noted(journal, "matrix") == [vars(changes[1])]


def test_what_is_settled_is_forgotten_and_what_is_not_is_kept(directory):
    killed_after(directory, change(), change("matrix", 2))
    with Journal(directory) as journal:
        journal.lock_abandoned()
        journal.settle("gpu")
    with Journal(directory) as journal:
        assert journal.lock_abandoned() == ["matrix"]
        assert noted(journal, "matrix") == [vars(change("matrix", 2))]
        journal.settle("matrix")
    assert files(directory) == []
    assert not [file for file in os.listdir(directory) if file.endswith(".journal")]


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
    with Journal(directory) as other:
        assert other.lock_abandoned() == ["gpu"]
        assert [each.device for each in other.abandoned("gpu")] == ["uuid-3", "uuid-1"]


def test_a_line_that_was_not_written_in_full_announces_nothing(directory):
    killed_after(directory, change(), change(number=2))
    (path,) = (f"{directory}/{file}" for file in os.listdir(directory) if "journal" in file)
    os.truncate(path, os.stat(path).st_size - 1)
    with Journal(directory) as journal:
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


def test_the_journals_are_beside_the_tree(tmp_path):
    assert place(Sysfs("/sys"), "mdev") == "/run/vfio.migration/mdev"
    assert place(Sysfs(f"{tmp_path}/sys"), "pci") == f"{tmp_path}/run/vfio.migration/pci"
