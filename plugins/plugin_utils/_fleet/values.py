# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Values that somebody gives as arguments: each checked, and in plain types."""

from __future__ import annotations

import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError


def one_of(name: str, value: str, choices: t.Sequence[str]) -> str:
    """Return ``value`` where it is one of ``choices``; raise ``FleetError``."""
    if value not in choices:
        raise FleetError(f"{name} is {value!r}; expected one of {', '.join(choices)}")
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
    raise FleetError(f"{name} is {value!r}; expected a list")


def listed(name: str, value: t.Any) -> list[t.Any] | None:
    """Return ``value`` as a list, ``None`` where it is not given; raise ``FleetError``."""
    if value is None or (isinstance(value, t.Sequence) and not isinstance(value, str)):
        return None if value is None else list(value)
    raise FleetError(f"{name} is {value!r}; expected a list")


def grouped(name: str, value: t.Any) -> list[list[str]]:
    """Return a list of lists of names; raise ``FleetError``.

    A text is none: of its parts nobody could tell which belong together.
    """
    found = listed(name, value) or []
    if any(isinstance(group, str) for group in found):
        raise FleetError(f"{name} is {value!r}; expected a list of lists of names")
    return [names(name, group) or [] for group in found]


def names(name: str, value: t.Any) -> list[str] | None:
    """Return a list of names as texts, ``None`` where none is given; raise ``FleetError``."""
    found = split(name, value)
    if found is None:
        return None
    for each in found:
        if isinstance(each, (bytes, t.Mapping)) or not isinstance(each, (str, int, float)):
            raise FleetError(f"{name} has {each!r}; expected names")
    return [str.__str__(str(each)) for each in found]


def reasons(name: str, value: t.Any) -> dict[str, str]:
    """Return a mapping of names to reasons, empty where none is given; raise ``FleetError``."""
    if value is None:
        return {}
    if not isinstance(value, t.Mapping):
        raise FleetError(f"{name} is {value!r}; expected a mapping of host to reason")
    return {str.__str__(str(key)): str.__str__(str(why)) for key, why in value.items()}


def flag(name: str, value: t.Any) -> bool:
    """Return whether a condition holds, as YAML or the command line has it; raise ``FleetError``."""
    try:
        return value is not None and bool(boolean(value))
    except TypeError:
        raise FleetError(f"{name} is {value!r}; expected true or false") from None


def count(name: str, value: t.Any, of: str = "devices") -> int:
    """Return a number of something; raise ``FleetError``."""
    try:
        number = int(value)
    except (OverflowError, TypeError, ValueError):
        number = -1
    # What Ansible hands over as text is a number too; true and 1.5 are none.
    whole = not isinstance(value, bool) and (isinstance(value, str) or number == value)
    if number < 0 or not whole:
        raise FleetError(f"{name} is {value!r}; expected a number of {of}, 0 or more")
    return number
