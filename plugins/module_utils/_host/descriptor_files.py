# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Read a device's ``migration`` directory, where its driver states the descriptor itself.

The proposal "device compatibility interface for live migration with assigned devices" has two forms. In one ``self``
and ``compatible`` are directories with a file per attribute, in the other files with a line per attribute.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    MAX_TEXT,
    DescriptorError,
    check_count,
    check_self,
    normalise,
    parse_sets,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    read_text,
    reading,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import (
    DIRECTORY,
    FILE,
    Directory,
)

MIGRATION = "migration"

_FURTHER_SET = re.compile(r"compatible([0-9]{1,9})\Z")


def read_stated_descriptor(
    device: Directory, entries: t.Mapping[str, str]
) -> dict[str, t.Any] | None:
    """Return ``{origin, self, compatible}`` as the driver states it; ``None`` without a ``migration`` among ``entries``.

    Raises ``HostReadError``.
    """
    if MIGRATION not in entries:
        return None
    with reading(device.path(MIGRATION)):
        _expect(DIRECTORY, entries[MIGRATION])
        with device.directory(MIGRATION) as migration:
            return _read_migration(migration)


def _read_migration(migration: Directory) -> dict[str, t.Any]:
    entries = migration.entries()
    if "self" not in entries:
        raise DescriptorError("'self' is missing")
    form = entries["self"]
    own = _read_sets(migration, "self", form, nested=False)
    with reading(migration.path("self")):
        if len(own) != 1:
            raise DescriptorError(f"{len(own)} sets of attributes; expected exactly one")
        check_self(own[0])
    compatible = []
    for name in _compatible_names(entries):
        with reading(migration.path(name)):
            _expect(form, entries[name])
        compatible += _read_sets(migration, name, form, nested=name == "compatible")
        check_count(compatible)
    origin = "directory" if form == DIRECTORY else "file"
    return {"origin": origin, "self": own[0], "compatible": compatible}


def _compatible_names(entries: t.Iterable[str]) -> list[str]:
    """Return ``compatible`` first, then each ``compatible<N>`` by its number."""
    numbered = []
    for name in entries:
        further = _FURTHER_SET.match(name)
        if name == "compatible" or further:
            numbered.append((int(further.group(1)) if further else -1, name))
    return [name for number, name in sorted(numbered)]


def _read_sets(directory: Directory, name: str, form: str, nested: bool) -> list[dict[str, str]]:
    """Return the attribute sets in ``name``.

    A file may have several. A directory has one of its own and, where ``nested``, one per subdirectory.
    """
    with reading(directory.path(name)):
        if form != DIRECTORY:
            _expect(FILE, form)
            text = read_text(directory, name, MAX_TEXT)
            return [normalise(pairs) for pairs in parse_sets(text)]
        with directory.directory(name) as inner:
            entries = inner.entries()
            below = [each for each, kind in entries.items() if nested and kind == DIRECTORY]
            check_count(below)
            own = [each for each in entries if each not in below]
            sets = [normalise(_pairs(inner, own, entries))] if own else []
            for each in below:
                sets += _read_sets(inner, each, DIRECTORY, nested=False)
            return sets


def _pairs(
    directory: Directory, names: t.Iterable[str], entries: t.Mapping[str, str]
) -> t.Iterator[tuple[str, str]]:
    for name in names:
        with reading(directory.path(name)):
            _expect(FILE, entries[name])
            yield name, read_text(directory, name)


def _expect(wanted: str, kind: str) -> None:
    if kind != wanted:
        raise DescriptorError(f"a {kind}; expected a {wanted}")
