# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The file with the records of guests that were to move: lines are only ever added."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleError
from ansible.utils.display import Display
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import (
    MOVED,
    MoveReport,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.order import Migration
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import (
    as_lines,
    begun,
    interrupted,
    not_in,
    read_records,
    record,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import (
    append,
    check_appending,
    content_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import printed
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import MigrationRecord


def records_of(given: t.Any) -> list[MigrationRecord]:
    """Return records that are given as a list, or as the text of their file; a line that is lost is a warning.

    Raise ``FleetError`` where there is none among lines, or one of another format.
    """
    found, lost = read_records(given)
    if lost and not found:
        raise FleetError(f"there is no record in what is given: {'; '.join(lost)}")
    for each in lost:
        Display().warning(each)
    return found


def check_record(path: str) -> None:
    """Raise ``FleetError`` or ``AnsibleActionFail`` where the file ``path`` takes no records; nothing is changed.

    A line that is lost is a warning.
    """
    content = check_appending(path)
    try:
        lost = read_records(content)[1]
    except FleetError as error:
        raise FleetError(f"{path}: {error}") from error
    for each in lost:
        Display().warning(f"{path}: {each}")


def note_begin(path: str, run: str, request: str | None, migration: Migration) -> None:
    """Add the record of a guest whose migration is about to begin; see ``note_move``."""
    _note(path, begun(run, request, migration))


def note_interruption(path: str, run: str, request: str | None, migration: Migration) -> None:
    """Add the record of a guest that is on its way when the run is broken off; see ``note_move``."""
    _note(path, interrupted(run, request, migration))


def note_move(
    path: str, run: str, migration: Migration, report: MoveReport, request: str | None = None
) -> None:
    """Add the record of a guest that has moved, as its host says; a file that cannot be written is a warning, as others go on.

    Why others stay is known only when both hosts have been asked.
    """
    if report.outcome != MOVED:
        return
    _note(path, record(run, migration, report, True, report.errors, request))


def _note(path: str, found: MigrationRecord) -> None:
    try:
        append(path, as_lines([printed(found, MigrationRecord)]))
    except AnsibleError as error:
        Display().warning(str(error))


def note_outcomes(path: str, records: t.Sequence[MigrationRecord]) -> None:
    """Add the records of a run that are not written yet as they are; raise ``AnsibleActionFail``."""
    if new := not_in(content_of(path) or "", records):
        append(path, as_lines(new))
