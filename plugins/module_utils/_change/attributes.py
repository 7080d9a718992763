# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The attributes of devices: what the user wants of them, what must be written, and whether the device is then accepted.

Compares and checks; changes nothing.
"""

from __future__ import annotations

import dataclasses
import shlex
import stat
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._change.errors import (
    InvalidRequest,
    NotAccepted,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DERIVED,
    DescriptorError,
    check_count,
    check_value,
    normalise,
    shown,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import (
    Numbers,
    line_for,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.pattern import match
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    Device,
    is_attribute_name,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
    reading,
)

_MAX_LISTED = 12


@dataclasses.dataclass
class AttributeWrite:
    """A value to be written to an attribute, and ``undo``, the attribute and value that undo it."""

    name: str
    value: str
    undo: tuple[str, str]


def validate_attributes(
    device: t.Mapping[str, t.Any], name_of_device: str
) -> list[tuple[str, str]]:
    """Return the ``attributes`` of a device in the user's list, in order; raise ``InvalidRequest``."""
    attributes = [(each["name"], each["value"].strip()) for each in device["attributes"] or []]
    try:
        for name, value in attributes:
            if not is_attribute_name(name):
                raise DescriptorError(
                    f"{shown(name)} is not the name of an attribute that may be written; expected 'name' or"
                    " 'group/name' of letters, digits, '_', '.' and '-', and none of the kernel's own"
                )
            check_value(name, value)
    except DescriptorError as malformed:
        raise InvalidRequest(str(malformed), name_of_device) from None
    return attributes


def validate_accept(
    sets: list[dict[str, t.Any]] | None, name_of_device: str
) -> list[dict[str, str]] | None:
    """Return the ``accept`` of a device in the user's list, normalised; raise ``InvalidRequest``."""
    try:
        return None if sets is None else _normalised(sets)
    except DescriptorError as malformed:
        raise InvalidRequest(str(malformed), name_of_device) from None


def _normalised(sets: list[dict[str, t.Any]]) -> list[dict[str, str]]:
    if not sets:
        raise DescriptorError(
            "'accept' has no set, so no device matches; leave it out for no check"
        )
    check_count(sets)
    return [normalise((name, str(value)) for name, value in each.items()) for each in sets]


def resolve_names(
    device: Device, files: t.Iterable[str], attributes: t.Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Return ``attributes`` with the full name, of those in ``files``, that each name stands for; raise ``HostReadError``."""
    return [(_full_name(device, files, name), value) for name, value in attributes]


def _full_name(device: Device, files: t.Iterable[str], name: str) -> str:
    """Return the file of this name: with its group, or in the device's directory, or in the one group that has it."""
    if name in files:
        return name
    path = device.directory.path(name)
    found = [] if "/" in name else [each for each in files if each.endswith("/" + name)]
    if not found:
        raise HostReadError(path, f"no such attribute; {listed(files)}")
    if len(found) > 1:
        raise HostReadError(path, f"several groups have it; expected one of {', '.join(found)}")
    return found[0]


def needed_writes(device: Device, attributes: t.Iterable[tuple[str, str]]) -> list[AttributeWrite]:
    """Return what must be written so that the device is as ``attributes`` would make a new one, in order.

    The names are full ones. Of a name that repeats the last value counts, unless each value adds a number to a set. An
    attribute that cannot be read back counts as equal.
    """
    files = device.attribute_files()
    pairs = resolve_names(device, files, attributes)
    if not pairs:
        return []
    profile = device.driver_profile()
    removed, added = _number_writes(device, profile.numbers, pairs)
    different = {}
    for name, value in dict(pairs).items():
        if files[name] & stat.S_IRUSR:
            current = device.attribute(name)
            if not profile.is_same(name, current, value):
                different[name] = current
    needed = list(removed)
    for name, value in pairs:
        if (name, value) in added:
            needed.append(added.pop((name, value)))
        elif name in different:
            needed.append(AttributeWrite(name, value, (name, different[name])))
    return needed


def _number_writes(
    device: Device,
    sets: t.Mapping[str, Numbers],
    pairs: t.Sequence[tuple[str, str]],
) -> tuple[list[AttributeWrite], dict[tuple[str, str], AttributeWrite]]:
    """Return the writes that remove numbers from the device's sets, and by the pair those that add one."""
    removed: list[AttributeWrite] = []
    added: dict[tuple[str, str], AttributeWrite] = {}
    for name, numbers in sets.items():
        stated = [(each, value) for each, value in pairs if each in (name, numbers.away)]
        with reading(device.path):
            current = numbers.read(device.kernel_files) if stated else None
        if current is None:
            continue
        adds = any(each == name for each, value in stated)
        wanted = {} if adds else {number: str(number) for number in current}
        for each, value in stated:
            number = _number(device, each, value)
            if each == name:
                wanted.setdefault(number, value)
            else:
                wanted.pop(number, None)
        removed += [
            AttributeWrite(numbers.away, str(number), (name, str(number)))
            for number in sorted(current - set(wanted))
        ]
        for number, value in wanted.items():
            if number not in current:
                added[name, value] = AttributeWrite(name, value, (numbers.away, value))
    return removed, added


def _number(device: Device, name: str, value: str) -> int:
    """Return a number as the kernel reads it (``kstrtoul`` with base 0)."""
    base = 16 if value[:2].lower() == "0x" else 8 if value.startswith("0") else 10
    try:
        return int(value, base)
    except ValueError:
        path = device.directory.path(name)
        raise HostReadError(
            path, f"{shown(value)} is not a number such as 5, 0x5 or octal 05"
        ) from None


def as_written(name: str, value: str) -> bytes:
    """Return what is written to the attribute ``name`` so that it has ``value``."""
    return line_for(name, value).encode("ascii")


def echoed(path: str, name: str, value: str) -> str:
    """Return the command that writes the same by hand to the attribute ``name`` of the device at ``path``."""
    return f"echo {shlex.quote(line_for(name, value)[:-1])} > {path}/{name}"


def check_accepted(
    name: str,
    accept: t.Sequence[t.Mapping[str, str]] | None,
    descriptor: t.Mapping[str, t.Any] | None,
    problems: t.Sequence[HostReadError],
) -> None:
    """Raise ``NotAccepted`` where the device ``name`` is not one that the user accepts."""
    if accept is None:
        return
    if descriptor is None:
        found = "; ".join(str(problem) for problem in problems)
        raise NotAccepted(f"it has no valid descriptor to verify: {found}", name)
    # Only a source whose descriptor is derived lists one that is.
    derived = descriptor.get("origin") == DERIVED
    verdict = match(accept, descriptor["self"], derived=derived)
    if verdict["set"] is None:
        reasons = verdict["reasons"]
        raise NotAccepted(
            "it matches no set of 'accept': " + "; ".join(_sentence(each) for each in reasons),
            name,
            reasons,
        )


def _sentence(reason: t.Mapping[str, t.Any]) -> str:
    actual = "nothing" if reason["actual"] is None else reason["actual"]
    return (
        f"set {reason['set']}: {reason['attribute']} is {actual}, expected {reason['expected']}"
        f" ({reason['rule']})"
    )


def listed(names: t.Iterable[str]) -> str:
    """Return what there is, for a message about what there is not."""
    every = list(names)
    if not every:
        return "existing: none"
    more = f" and {len(every) - _MAX_LISTED} more" if len(every) > _MAX_LISTED else ""
    return f"existing: {', '.join(every[:_MAX_LISTED])}{more}"
