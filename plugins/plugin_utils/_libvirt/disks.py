# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Which disks of a guest libvirt copies, which only its host has, and which must be on its target before. Pure.

The rules are those of libvirt's ``qemuMigrationAnyCopyDisk``, ``qemuMigrationSrcIsSafe`` and ``qemuMigrationDstPrecreateStorage``.
"""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.module_utils._change.migration_options import (
    read_options,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.info import DiskInfo

_COPY, _COPY_ABOVE, _UNSAFE = "NON_SHARED_DISK", "NON_SHARED_INC", "UNSAFE"
# Types of disks that are files, or may be.
_MAY_BE_FILES = ("file", "dir", "volume")
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
        if self.named:
            return disk["target"] in self.named
        return not disk["readonly"] and not disk["shareable"] and disk["source"] is not None

    def alone(self, disks: t.Iterable[DiskInfo]) -> list[DiskInfo]:
        """Return the disks with which libvirt refuses to migrate a guest, as only its host has them."""
        written = () if self.unsafe else self._written(disks)
        return [each for each in written if each["shared"] is False or each["type"] == _OF_ONE_HOST]

    def may_be_alone(self, disks: t.Iterable[DiskInfo]) -> list[DiskInfo]:
        """Return the disks that only a guest's host may have, or not. Of a block device nobody ever knows."""
        return [
            each
            for each in self._written(disks)
            if each["shared"] is None and each["type"] in _MAY_BE_FILES and each["source"]
        ]

    def onto_themselves(self, disks: t.Iterable[DiskInfo]) -> list[DiskInfo]:
        """Return the disks that are copied though other hosts have them, too: if a target has the same one, onto themselves."""
        there = [each for each in disks if each["shared"] or each["type"] == "network"]
        return [each for each in there if self.is_copied(each)]

    def needs(self, disks: t.Iterable[DiskInfo], path: str) -> bool:
        """Return whether a target must have the file of a disk before the guest comes."""
        if not self.copies or self.above:
            return True
        left = [each for each in disks if not self.is_copied(each)]
        return any(path in (each["source"], *each["backing"]) for each in left)

    def unknown(self, disks: t.Iterable[DiskInfo]) -> list[str]:
        """Return the disks that are to be copied and that a guest has not, for which libvirt refuses to migrate it."""
        there = {each["target"] for each in disks}
        return sorted({*self.named} - there) if self.copies else []

    def remedy(self, disks: t.Sequence[DiskInfo]) -> str:
        """Return in words with which options libvirt would copy the disks that only a guest's host has, and no other."""
        alone = self.alone(disks)
        others = [each for each in disks if each["shared"] or each["type"] == "network"]
        named = f"--migrate-disks={','.join(str(each['target']) for each in alone)}"
        if self.copies:
            return named
        every = not others and not any(each["shareable"] for each in alone)
        return "--copy-storage-all" if every else f"--copy-storage-all and {named}"

    def _written(self, disks: t.Iterable[DiskInfo]) -> t.Iterator[DiskInfo]:
        """Yield the disks that a guest writes to where they are."""
        for each in disks:
            if not each["readonly"] and not self.is_copied(each):
                yield each


# It is asked for each guest and each host.
@functools.lru_cache(maxsize=4)
def copying_by(options: tuple[str, ...]) -> DiskCopying:
    """Return what ``options`` of ``virsh migrate`` say; raise ``MigrationOptionError`` where they are none."""
    given = read_options(options)
    named = t.cast("list[str]", given.parameters.get("migrate_disks", []))
    above = _COPY_ABOVE in given.flags
    return DiskCopying(above or _COPY in given.flags, above, named, _UNSAFE in given.flags)
