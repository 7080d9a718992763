# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Text of others as people may see it: on a terminal, in a log or in a report. Pure.

Python's ``str.isprintable`` decides what is shown as it is. It excludes the Unicode categories "Other" (Cc: ESC, DEL
and whatever else steers a terminal; Cf: marks, overrides and isolates of direction, zero-width characters; Cs, Co,
Cn: what has no meaning) and "Separator" (Zl, Zp, and Zs except for the ordinary space: what breaks lines, or looks like
a space and is none). The letters and marks of Unicode's ``Default_Ignorable_Code_Point`` are as invisible as those
of Cf, and are excluded, too.
"""

from __future__ import annotations

import re

# How long the message of an error may become.
MAX_MESSAGE = 16384
# How long a name may become in a label or a sentence.
MAX_LABEL = 120

_CUT = "..."
_ALIASES = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}
# Joiners, fillers and selectors that DerivedCoreProperties.txt lists and that isprintable() lets pass.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def printable(text: str, limit: int | None = None) -> str:
    r"""Return ``text`` with an escape such as ``\x1b`` or ``\u202e`` for each character that steers, hides or misleads.

    What is printable stays as it is, a backslash included, so that nothing changes when the result is made printable
    again. A result longer than ``limit`` is cut between two characters or escapes, and ends with ``...``.
    """
    # Each character becomes at least one: no more of them than this can be shown.
    looked_at = text if limit is None else text[: limit + 1]
    if not is_printable(looked_at):
        pieces = [each if is_printable(each) else _escape(each) for each in looked_at]
    elif len(looked_at) == len(text) and (limit is None or len(text) <= limit):
        return text
    else:
        pieces = list(looked_at)
    if limit is None or sum(map(len, pieces)) <= limit:
        return "".join(pieces)
    return _cut(pieces, limit)


def is_printable(text: str) -> bool:
    """Return whether ``text`` is shown as it is."""
    return text.isprintable() and (text.isascii() or not _IGNORABLE.search(text))


def _escape(character: str) -> str:
    code = ord(character)
    if character in _ALIASES:
        return _ALIASES[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _cut(pieces: list[str], limit: int) -> str:
    room = limit - len(_CUT)
    kept = []
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept) + _CUT
