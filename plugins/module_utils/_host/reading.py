# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Read text from sysfs: bounded, ASCII, and with errors that name the file.

Every function here raises ``HostReadError`` where a file cannot be read, or breaks a rule.
"""

from __future__ import annotations

import re

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DescriptorError,
    check_value,
    decode,
    shown,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    is_printable,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import (
    Directory,
    Sysfs,
    words,
)

# What one file of sysfs can hold: a page.
PAGE = 4096

_NUMBER = re.compile(r"[0-9]{1,18}\Z")


class HostReadError(VfioMigrationError):
    """A file of the host cannot be read, or breaks a rule: its ``path`` and, in words, the ``problem``."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = displayable(path)
        super().__init__(f"{self.path}: {problem}")
        self.problem = problem


class reading:  # noqa: N801 - read as a statement, like contextlib.suppress
    """Context manager that turns an ``OSError`` or ``DescriptorError`` into a ``HostReadError`` about ``path``."""

    # Entered for every file read. A class is faster than a generator.
    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise HostReadError(self._path, words(error)) from error
        if isinstance(error, DescriptorError):
            raise HostReadError(self._path, str(error)) from error


def displayable(text: str) -> str:
    """Return ``text`` as it can be sent and shown: escaped where a hostile driver or tree made it unprintable."""
    return text if is_printable(text) else ascii(text)[1:-1]


def read_text(directory: Directory, name: str, limit: int = PAGE) -> str:
    """Return the whole text of the file ``name``, which must be at most ``limit`` bytes long."""
    with reading(directory.path(name)):
        raw = directory.read(name, limit + 1)
        if len(raw) > limit:
            raise DescriptorError(f"more than {limit} bytes; at most that are read")
        return decode(raw)


def read_value(directory: Directory, name: str) -> str:
    """Return the value in the attribute's file ``name``: one line of printable text."""
    with reading(directory.path(name)):
        value = read_text(directory, name).strip()
        check_value(name, value)
        return value


def read_number(directory: Directory, name: str) -> int:
    """Return the number in the file ``name``, in decimal digits."""
    text = read_text(directory, name).strip()
    with reading(directory.path(name)):
        found = decimal(text)
        if found is None:
            raise DescriptorError(f"{shown(text)}; expected a number")
        return found


def decimal(text: str) -> int | None:
    """Return the number that ``text`` is in decimal digits, as the kernel writes it; ``None`` where it is none."""
    return int(text) if _NUMBER.match(text) else None


def read_kernel_text(sysfs: Sysfs, *names: str) -> str | None:
    """Return the stripped text of the kernel's own file at ``names``; ``None`` where there is none."""
    with reading(sysfs.path(*names)):
        if not sysfs.exists(*names):
            return None
        return decode(sysfs.read(*names, limit=PAGE)).strip()
