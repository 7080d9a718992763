# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Which disks of a guest libvirt copies, which only its host has, and which must be on its target before. Pure.

The rules are those of libvirt's ``qemuMigrationAnyCopyDisk``, ``qemuMigrationSrcIsSafe``, ``qemuMigrationDstPrecreateStorage`` and
``qemuMigrationDstStartNBDServer``.
"""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.migration_options import (
    read_options,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.info import DiskInfo

_COPY_ALL = "--copy-storage-all"
_COPY, _COPY_ABOVE, _UNSAFE = "NON_SHARED_DISK", "NON_SHARED_INC", "UNSAFE"
# Types of disks that are files, or may be, and those that libvirt makes on the target of a guest before it copies them.
_MAY_BE_FILES = ("file", "dir", "volume")
_MADE = ("file", "volume")
# A controller of the host itself.
_OF_ONE_HOST = "nvme"


@dataclass(frozen=True, slots=True)
class DiskCopying:
    """Whether libvirt copies disks: those that are ``named``, or each that is written to and not shareable where none is.

    ``above``: it copies what a disk has above the files that it is an overlay of, and makes no file. ``unsafe``: it is to take no care.
    """

    copies: bool = False
    above: bool = False
    named: t.Collection[str] = ()
    unsafe: bool = False

    def is_copied(self, disk: DiskInfo) -> bool:
        """Return whether libvirt copies a disk."""
        if not self.copies:
            return False
        return disk["target"] in self.named if self.named else _is_copied_unnamed(disk)

    def alone(self, disks: t.Iterable[DiskInfo]) -> list[DiskInfo]:
        """Return the disks with which libvirt refuses to migrate a guest, as only its host has them."""
        written = () if self.unsafe else self._written(disks)
        return [each for each in written if _is_known_alone(each)]

    def may_be_alone(self, disks: t.Iterable[DiskInfo]) -> list[DiskInfo]:
        """Return the disks that only a guest's host may have, where that is unknown. Of a block device it always is."""
        return [
            each
            for each in self._written(disks)
            if each["shared"] is None and each["type"] in _MAY_BE_FILES and each["source"]
        ]

    def onto_themselves(self, disks: t.Iterable[DiskInfo]) -> list[DiskInfo]:
        """Return the disks that are copied though other hosts may have them, too: if a target has the same one, onto themselves."""
        there = [each for each in disks if not _is_known_alone(each)]
        return [each for each in there if self.is_copied(each)]

    def needs(self, disks: t.Iterable[DiskInfo], path: str) -> bool:
        """Return whether a target must have the file of a disk before the guest comes."""
        if not self.copies or self.above:
            return True
        left = [each for each in disks if not self.is_copied(each) or each["type"] not in _MADE]
        return any(path in (each["source"], *each["backing"]) for each in left)

    def unknown(self, disks: t.Iterable[DiskInfo]) -> list[str]:
        """Return the disks that are to be copied and that a guest has not, for which libvirt refuses to migrate it."""
        there = {each["target"] for each in disks}
        return sorted({*self.named} - there) if self.copies else []

    def uncopied(self, disks: t.Iterable[DiskInfo]) -> list[str]:
        """Return the disks that are to be copied, and of which libvirt copies none, as they are read-only or empty: it refuses the guest."""
        named = [each for each in disks if self.copies and each["target"] in self.named]
        return sorted(
            str(each["target"]) for each in named if each["readonly"] or each["source"] is None
        )

    def remedy(self, disks: t.Sequence[DiskInfo]) -> str | None:
        """Return the options with which libvirt would copy the disks that only a guest's host has, and no other, ``None`` where it cannot."""
        alone = self.alone(disks)
        if any(each["type"] == _OF_ONE_HOST for each in alone):
            return None
        by_default = [each for each in disks if _is_copied_unnamed(each)]
        wanted = all(_is_known_alone(each) for each in by_default)
        if not self.named and wanted and all(each in by_default for each in alone):
            return _COPY_ALL
        # The option is in place of the one that is given, and of what is copied by default.
        copied = [str(each["target"]) for each in disks if each in alone or self.is_copied(each)]
        named = f"--migrate-disks={','.join(copied)}"
        return named if self.copies else f"{_COPY_ALL} {named}"

    def _written(self, disks: t.Iterable[DiskInfo]) -> t.Iterator[DiskInfo]:
        """Yield the disks that a guest writes to where they are."""
        for each in disks:
            if not each["readonly"] and not self.is_copied(each):
                yield each


def _is_copied_unnamed(disk: DiskInfo) -> bool:
    return not disk["readonly"] and not disk["shareable"] and disk["source"] is not None


def _is_known_alone(disk: DiskInfo) -> bool:
    return disk["shared"] is False or disk["type"] == _OF_ONE_HOST


# It is asked for each guest and each host.
@functools.lru_cache(maxsize=4)
def copying_by(options: tuple[str, ...]) -> DiskCopying:
    """Return what ``options`` of ``virsh migrate`` say; raise ``MigrationOptionError`` where they are none."""
    given = read_options(options)
    named = t.cast("list[str]", given.parameters.get("migrate_disks", []))
    above = _COPY_ABOVE in given.flags
    return DiskCopying(above or _COPY in given.flags, above, named, _UNSAFE in given.flags)
