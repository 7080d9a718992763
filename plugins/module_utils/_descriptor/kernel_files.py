# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""How what is known of drivers reads the kernel's files, which the caller opens. Pure."""

from __future__ import annotations

import re
import typing as t

_RELEASE = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})")

# The stripped text of a file, by its path from the device's directory; None where there is no such file.
Read = t.Callable[[str], t.Optional[str]]


class Files(t.Protocol):
    """The kernel's own files of the device ``id``, by path from its directory; called, it is a ``Read``."""

    id: str

    def __call__(self, path: str) -> str | None:
        """Return the stripped text of a file; ``None`` where there is no such file."""

    def names(self, path: str) -> list[str]:
        """Return the sorted names in a directory; none where there is no such directory."""

    def target(self, path: str) -> str | None:
        """Return the name of what a link leads to; ``None`` where there is no such link."""

    def versions(self, path: str) -> dict[str, str]:
        """Return the versions, by name, that devlink reports for the PCI device that a link leads to; none for a copied tree."""

    def release(self) -> str | None:
        """Return the release of the kernel whose files these are; ``None`` where it is not known."""


def is_before(release: str | None, first: tuple[int, int]) -> bool | None:
    """Return whether a kernel's release is older than the ``first`` of something; ``None`` where it is not known."""
    running = _RELEASE.match(release or "")
    return (int(running.group(1)), int(running.group(2))) < first if running else None
