# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The file beside a plan that says what may have been made for it, written before the first change.

It is JSON: ``format``, ``plan``, the plan's file, and ``placements``, in the shape that a plan has them: those whose targets the
playbook ``prepare`` has had made or changed, or was about to. The playbook ``cleanup`` works from it. What is in it was
decided on the control node; no host writes to it.

``process`` is the run of Ansible that wrote it last. While that goes on no other run may write to the file, nor clean up by it,
except for one that it has started itself, as it waits for that. A process is known by its start too, as numbers are given again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import (
    make_directory,
    read_format,
    replace,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    Attribute,
    DeviceLabel,
    NetworkSettings,
    NotRequired,
    Placement,
    Record,
    RecordProcess,
)

# Count it up when the shape changes.
FORMAT = 1
# How long another run may check and write the same file, in seconds.
_PATIENCE = 60.0


def progress_path(plan: str) -> str:
    """Return the progress file of the plan in the file ``plan``: ``plan.json`` has ``plan.progress.json``, ``plan`` has ``plan.progress``.

    No two plans have the same one.
    """
    root, extension = os.path.splitext(plan)
    return f"{root}.progress{extension}"


def read_progress(path: str) -> list[Placement]:
    """Return the placements in a progress file, none where there is no file; raise ``FleetError``."""
    return written_progress(path) or []


def written_progress(path: str) -> list[Placement] | None:
    """Return the placements in a progress file, ``None`` where there is no file; raise ``FleetError``."""
    data = _read(path)
    return None if data is None else t.cast("list[Placement]", data["placements"])


def _read(path: str) -> t.Any:
    """Return what is in a progress file, ``None`` where there is no file; raise ``FleetError``."""
    wrong = f"{path} is not a progress file of vfio.migration.prepare"
    data = read_format(path, FORMAT, wrong)
    if data is not None:
        check_placements(data, wrong)
    return data


def is_of_this_run(path: str) -> bool:
    """Return whether this run of Ansible has written a progress file last; raise ``FleetError``."""
    return (_read(path) or {}).get("process") == own_process()


def check_free(path: str) -> None:
    """Raise ``FleetError`` where another run of Ansible works with a progress file."""
    refuse_another_run(path, _read(path) or {})


def refuse_another_run(path: str, data: t.Mapping[str, t.Any]) -> None:
    """Raise ``FleetError`` where another run of Ansible works with the file ``path``, which has ``data``."""
    process = data.get("process")
    if not isinstance(process, dict):
        return
    pid, start = process.get("pid"), process.get("start")
    goes_on = isinstance(pid, int) and start is not None and start == _start(pid)
    if goes_on and pid not in _own_and_ancestors():
        raise FleetError(
            f"{path} is in use: process {pid} on this control node works with it."
            " Wait until that has ended, or give this run another place for its plan"
        )


@contextlib.contextmanager
def alone(path: str) -> t.Iterator[None]:
    """Let no other run check or write the progress file ``path`` meanwhile; raise ``FleetError`` where one works with it."""
    place = os.path.dirname(path) or "."
    try:
        make_directory(place)
        handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise AnsibleActionFail(f"cannot write {path}: {error}") from None
    try:
        _lock(handle, path)
        check_free(path)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, path: str) -> None:
    """Lock a directory; raise ``FleetError`` where another process has the lock for longer than it takes to write a file."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise FleetError(
                    f"{os.path.dirname(path)} is locked: another process works with what is in it."
                    " Wait until that has ended, or give this run another place for its plan"
                ) from None
            time.sleep(0.1)
        except OSError:
            # Not every file system has locks; the process that is written down does without.
            return
        else:
            return


def own_process() -> RecordProcess:
    """Return the run of Ansible that this is a task of: a task has a process of its own."""
    pid = os.getppid()
    return {"pid": pid, "start": _start(pid)}


def _own_and_ancestors() -> list[int]:
    """Return the number of the run of Ansible that this is a task of, and those of the processes that have started it."""
    found = [os.getppid()]
    while (stat := _stat(found[-1])) is not None and int(stat[1]) not in (0, *found):
        found.append(int(stat[1]))
    return found


def _start(pid: int) -> str | None:
    """Return the boot and the time in it at which a process started, which no other process of its number has."""
    stat = _stat(pid)
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {stat[19]}" if stat else None
    except OSError:
        return None


def _stat(pid: int) -> list[str] | None:
    """Return the fields of a process after its name (proc(5)): state, parent, and so on; ``None`` where there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The name before them may have anything in it.
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return fields if len(fields) > 19 else None


class _Target(DeviceLabel):
    """What is needed of a target to take back what was made for it."""

    attributes: list[Attribute]
    network: NotRequired[NetworkSettings]
    create: bool


class _Placement(t.TypedDict):
    """What is needed of a placement to follow it, and to take back what was made for it."""

    vm: str | None
    source: DeviceLabel
    target: _Target


class _Placements(t.TypedDict):
    """What a plan and its progress have in common."""

    placements: list[_Placement]


def check_placements(data: t.Any, wrong: str) -> None:
    """Raise ``FleetError``, which says that it is ``wrong``, where ``data`` has no placements: with the place, and what would be right."""
    # Ansible compiles in each run what is imported: few runs have read a file.
    from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import (
        check_form,
    )

    check_form(data, _Placements, wrong)


def write_progress(path: str, placements: t.Sequence[Placement], plan: str) -> None:
    """Put ``placements`` into a progress file in one step."""
    data: Record = {
        "format": FORMAT,
        "plan": plan,
        "process": own_process(),
        "placements": [*placements],
    }
    replace(path, json.dumps(data, indent=1, sort_keys=True) + "\n")
