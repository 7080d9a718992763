# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Files on the control node that actions write."""

from __future__ import annotations

import os
import tempfile

from ansible.errors import AnsibleActionFail


def content_of(path: str) -> str:
    """Return the text of the file ``path``, empty where there is none; raise ``AnsibleActionFail``."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise AnsibleActionFail(f"cannot read {path}: {error}") from error


def replace(path: str, text: str) -> None:
    """Put ``text`` into the file ``path`` in one step; raise ``AnsibleActionFail``.

    Directories that are missing are made.
    """
    place = os.path.dirname(path) or "."
    try:
        os.makedirs(place, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place, prefix=".vfio-")
        try:
            with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            os.replace(name, path)
        except OSError:
            os.unlink(name)
            raise
    except OSError as error:
        raise AnsibleActionFail(f"cannot write {path}: {error}") from error
