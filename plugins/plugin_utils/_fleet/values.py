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


def names(name: str, value: t.Any) -> list[str] | None:
    """Return a list of host names, of which one may be given as it is; raise ``FleetError``."""
    if value is None:
        return None
    if isinstance(value, str):
        return [value]
    if isinstance(value, t.Iterable) and not isinstance(value, t.Mapping):
        return [str(each) for each in value]
    raise FleetError(f"{name} is {value!r}; expected a list of host names")


def listed(name: str, value: t.Any) -> list[t.Any] | None:
    """Return ``value`` as a list, ``None`` where it is not given; raise ``FleetError``."""
    if value is None or (isinstance(value, t.Sequence) and not isinstance(value, str)):
        return None if value is None else list(value)
    raise FleetError(f"{name} is {value!r}; expected a list")


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
