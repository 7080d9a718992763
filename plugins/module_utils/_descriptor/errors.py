# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The base of the errors that the utilities of this collection raise."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    MAX_MESSAGE,
    printable,
)


class VfioMigrationError(Exception):
    """Something that a user should know; the message says what is wrong.

    Each kind of plugin and module catches this class at its edge and reports it in Ansible's way. The message may have
    names from hosts in it. It is printable.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(
            *(printable(each, MAX_MESSAGE) if isinstance(each, str) else each for each in arguments)
        )
