# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The attributes of devices: what of them a user wants, what must be written, and whether the device is then accepted.

Compares and checks; changes nothing.
"""

from __future__ import annotations

import re
import stat

from ansible_collections.vfio.migration.plugins.module_utils._change.errors import ProvisionError
from ansible_collections.vfio.migration.plugins.module_utils._descriptor import (
    attributes as attributes_module,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor import drivers, pattern
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DescriptorError,
    shown,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    Device,
    is_attribute_name,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
    reading,
)

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

_INTEGER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+)\Z")
_MAX_LISTED = 12


def validated(
    device: t.Mapping[str, t.Any], name_of_device: str
) -> tuple[list[tuple[str, str]], list[dict[str, str]] | None]:
    """The ``attributes`` and ``accept`` of a device in the user's list; raises ``ProvisionError``."""
    attributes = [(each["name"], each["value"].strip()) for each in device["attributes"] or []]
    try:
        for name, value in attributes:
            if not is_attribute_name(name):
                raise DescriptorError(
                    f"{shown(name)} is not the name of an attribute that may be written; expected 'name' or"
                    " 'group/name' of letters, digits, '_', '.' and '-', and none of the kernel's own"
                )
            attributes_module.check_value(name, value)
    except DescriptorError as malformed:
        raise ProvisionError("validate", str(malformed), name_of_device) from None
    return attributes, accepted(device["accept"], name_of_device)


def accepted(
    sets: list[dict[str, t.Any]] | None, name_of_device: str
) -> list[dict[str, str]] | None:
    """The ``accept`` of a device in the user's list; raises ``ProvisionError``."""
    try:
        return None if sets is None else _normalised(sets)
    except DescriptorError as malformed:
        raise ProvisionError("validate", str(malformed), name_of_device) from None


def _normalised(sets: list[dict[str, t.Any]]) -> list[dict[str, str]]:
    if not sets:
        raise DescriptorError(
            "'accept' has no set, so no device matches; leave it out for no check"
        )
    attributes_module.check_count(sets)
    return [
        attributes_module.normalise((name, str(value)) for name, value in each.items())
        for each in sets
    ]


class Write:
    """A value to be written to an attribute, and the attribute and value that undo it."""

    def __init__(self, name: str, value: str, undo: tuple[str, str]) -> None:
        self.name = name
        self.value = value
        self.undo = undo


def resolved(
    device: Device, files: t.Iterable[str], attributes: t.Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """``attributes`` with the attribute file of ``files`` that each name means; raises ``HostReadError``."""
    return [(_resolve(device, files, name), value) for name, value in attributes]


def _resolve(device: Device, files: t.Iterable[str], name: str) -> str:
    """The file that has the name: with its group, or in the device's directory, or in the one group that has it."""
    if name in files:
        return name
    path = device.directory.path(name)
    found = [] if "/" in name else [each for each in files if each.endswith("/" + name)]
    if not found:
        raise HostReadError(path, f"no such attribute; {listed(files)}")
    if len(found) > 1:
        raise HostReadError(path, f"several groups have it; expected one of {', '.join(found)}")
    return found[0]


def writes(device: Device, attributes: t.Iterable[tuple[str, str]]) -> list[Write]:
    """What must be written so that the device is as ``attributes`` would make a new one, in order, with resolved names.

    Of a name that repeats the last value counts, unless each adds a number. What cannot be read back counts as equal.
    """
    files = device.attribute_files()
    pairs = resolved(device, files, attributes)
    if not pairs:
        return []
    vendor = device.driver_profile()
    taken, added = _numbers(device, vendor.numbers, pairs)
    different = {}
    for name, value in dict(pairs).items():
        if files[name] & stat.S_IRUSR:
            current = device.attribute(name)
            if not equal(current, value, vendor.spellings.get(name.rpartition("/")[2])):
                different[name] = current
    needed = list(taken)
    for name, value in pairs:
        if (name, value) in added:
            needed.append(added.pop((name, value)))
        elif name in different:
            needed.append(Write(name, value, (name, different[name])))
    return needed


def _numbers(
    device: Device,
    vendor: t.Mapping[str, drivers.Numbers],
    pairs: t.Sequence[tuple[str, str]],
) -> tuple[list[Write], dict[tuple[str, str], Write]]:
    """The numbers to be taken away, and those of ``pairs`` that are to be added."""
    taken: list[Write] = []
    added: dict[tuple[str, str], Write] = {}
    for name, numbers in vendor.items():
        stated = [(each, value) for each, value in pairs if each in (name, numbers.away)]
        with reading(device.path):
            current = numbers.read(device.kernel_text) if stated else None
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
        taken += [
            Write(numbers.away, str(number), (name, str(number)))
            for number in sorted(current - set(wanted))
        ]
        for number, value in wanted.items():
            if number not in current:
                added[name, value] = Write(name, value, (numbers.away, value))
    return taken, added


def _number(device: Device, name: str, value: str) -> int:
    """As the kernel reads it (``kstrtoul`` with base 0)."""
    base = 16 if value[:2].lower() == "0x" else 8 if value.startswith("0") else 10
    try:
        return int(value, base)
    except ValueError:
        path = device.directory.path(name)
        raise HostReadError(path, f"{shown(value)} is no number, as 5, 0x5 or octal 05") from None


def equal(one: str, other: str, spelling: drivers.Spelling | None = None) -> bool:
    """Whether two values are the same, as text, as integers, decimal or ``0x``, or in their vendor's spelling."""
    if one == other:
        return True
    if spelling is not None:
        return spelling(one) == spelling(other)
    if not (_INTEGER.match(one) and _INTEGER.match(other)):
        return False
    return _integer(one) == _integer(other)


def verify(
    name: str,
    accept: t.Sequence[t.Mapping[str, str]] | None,
    descriptor: t.Mapping[str, t.Any] | None,
    problems: t.Sequence[HostReadError],
) -> None:
    """Raises ``ProvisionError`` where the device ``name`` is not one that the user accepts."""
    if accept is None:
        return
    if descriptor is None:
        found = "; ".join(str(problem) for problem in problems)
        raise ProvisionError("verify", f"it has no valid descriptor to verify: {found}", name)
    verdict = pattern.match(accept, descriptor["self"])
    if verdict["set"] is None:
        reasons = verdict["reasons"]
        raise ProvisionError(
            "verify",
            "it matches no set of 'accept': " + "; ".join(_reason(each) for each in reasons),
            name,
            reasons=reasons,
        )


def _reason(reason: t.Mapping[str, t.Any]) -> str:
    actual = "nothing" if reason["actual"] is None else reason["actual"]
    return (
        f"set {reason['set']}: {reason['attribute']} is {actual}, expected {reason['expected']}"
        f" ({reason['rule']})"
    )


def listed(names: t.Iterable[str]) -> str:
    """What there is, for a message about what there is not."""
    every = list(names)
    if not every:
        return "there is none"
    more = f" and {len(every) - _MAX_LISTED} more" if len(every) > _MAX_LISTED else ""
    return f"there is {', '.join(every[:_MAX_LISTED])}{more}"


def _integer(text: str) -> int:
    return int(text, 16 if "x" in text.lower() else 10)
