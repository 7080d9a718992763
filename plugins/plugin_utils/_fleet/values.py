# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Values that are given as arguments: each checked, and in plain types."""

from __future__ import annotations

import json
import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError

# A message shows no more of a value.
_SHOWN = 200
# No number of anything is larger: it fits into 64 bits, as in JSON everywhere.
_MOST = 2**63 - 1


def quoted(value: t.Any, longest: int = _SHOWN) -> str:
    """Return a value as a message shows it, whatever it is: as Python writes it, cut where that is long."""
    try:
        found = repr(value)
    except (RecursionError, ValueError):
        # Nested too deep, or a number of more digits than Python writes.
        return "too large to show"
    return found if len(found) <= longest else f"{found[: longest - 3]}..."


def parsed(text: str) -> t.Any:
    """Return what ``text`` is as JSON; raise ``ValueError``."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def one_of(name: str, value: str, choices: t.Sequence[str]) -> str:
    """Return ``value`` where it is one of ``choices``; raise ``FleetError``."""
    if value not in choices:
        raise FleetError(f"{name} is {quoted(value)}; expected one of {', '.join(choices)}")
    return value


def split(name: str, value: t.Any) -> list[t.Any] | None:
    """Return ``value`` as a list, ``None`` where it is not given; raise ``FleetError``.

    A text is split at its commas, as Ansible's own list options are: every list option of a role goes through here. What
    has a comma in its name is given in a list.
    """
    if isinstance(value, str):
        return [each for part in str(value).split(",") if (each := part.strip())]
    # The name True, which ansible-core before 2.19 takes for a value once it has been through a template.
    if isinstance(value, bool):
        return [str(value)]
    if value is None or (isinstance(value, t.Iterable) and not isinstance(value, t.Mapping)):
        return None if value is None else list(value)
    raise FleetError(f"{name} is {quoted(value)}; expected a list")


def listed(name: str, value: t.Any) -> list[t.Any] | None:
    """Return ``value`` as a list, ``None`` where it is not given; raise ``FleetError``."""
    if value is None or (isinstance(value, t.Sequence) and not isinstance(value, str)):
        return None if value is None else list(value)
    raise FleetError(f"{name} is {quoted(value)}; expected a list")


def grouped(name: str, value: t.Any) -> list[list[str]]:
    """Return a list of lists of names; raise ``FleetError``.

    A text is refused: it does not show which of its parts belong together.
    """
    found = listed(name, value) or []
    if any(isinstance(group, str) for group in found):
        raise FleetError(f"{name} is {quoted(value)}; expected a list of lists of names")
    return [names(name, group) or [] for group in found]


def names(name: str, value: t.Any) -> list[str] | None:
    """Return a list of names as texts, ``None`` where none is given; raise ``FleetError``."""
    found = split(name, value)
    if found is None:
        return None
    return [one_name(name, each) for each in found]


def one_name(name: str, value: t.Any) -> str:
    """Return a name, which may be a number, as a text; raise ``FleetError``."""
    try:
        if isinstance(value, (str, int, float)):
            return str.__str__(str(value))
    except ValueError:
        # A number of more digits than Python writes.
        pass
    raise FleetError(f"{name} has {quoted(value)}; expected names")


def reasons(name: str, value: t.Any) -> dict[str, str]:
    """Return a mapping of names to reasons, empty where none is given; raise ``FleetError``."""
    if value is None:
        return {}
    if not isinstance(value, t.Mapping):
        raise FleetError(f"{name} is {quoted(value)}; expected a mapping of host to reason")
    return {one_name(name, key): one_name(name, why) for key, why in value.items()}


def flag(name: str, value: t.Any) -> bool:
    """Return whether a condition holds, as YAML or the command line has it; raise ``FleetError``."""
    try:
        return value is not None and bool(boolean(value))
    except (RecursionError, TypeError, ValueError):
        raise FleetError(f"{name} is {quoted(value)}; expected true or false") from None


def count(name: str, value: t.Any, of: str = "devices") -> int:
    """Return a number of something; raise ``FleetError``."""
    return whole_number(name, value, f"a number of {of}, 0 or more", 0)


def one_or_more(name: str, value: t.Any) -> int:
    """Return ``value`` as a number of 1 or more; raise ``FleetError``."""
    return whole_number(name, value, "a number, 1 or more", 1)


def whole_number(name: str, value: t.Any, wanted: str, least: int = -_MOST) -> int:
    """Return a whole number from ``least`` on; raise ``FleetError``, which says that one that is ``wanted`` is expected."""
    try:
        number = int(value)
    except (OverflowError, TypeError, ValueError):
        number = least - 1
    # What Ansible hands over as text is a number too, in digits alone; true and 1.5 are none.
    if isinstance(value, str):
        whole = value.isascii() and "_" not in value
    else:
        whole = number == value and not isinstance(value, bool)
    if not whole or not least <= number <= _MOST:
        most = f" and less than 2^{_MOST.bit_length()}" if number > _MOST else ""
        raise FleetError(f"{name} is {quoted(value)}; expected {wanted}{most}")
    return number
