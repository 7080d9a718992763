# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The door for facts: types, ranges, lengths and numbers of all that is made use of. Pure.

What ``vfio_migration_facts`` cannot have returned makes its host unknown: ``FactsError`` says where and what would be
right. What a driver or a user can have put there costs no more than the one device: a driver's descriptor that breaks a
rule leaves the device without one, and a guest's name, which its user chooses, is unknown where it is none.
What the reader does not use may be anything.

Where the facts of a host are plain, all of its devices are checked at once, column by column. Where anything is odd,
``plain_device`` looks at one after the other, and names the place.
"""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import shown
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    KINDS,
    MDEV,
    UUID,
    VDPA,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.network_settings import (
    NO_MAC,
    fault_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import plain_text
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import GATHER

CHOICES = "choices"
CHOICE_NAMES = "choice_names"
NETWORK = "network"
# The kinds of devices that can be made.
MADE_KINDS = frozenset((MDEV, VDPA))

# The most of one host.
MAX_DEVICES = 4096
MAX_DESCRIPTORS = 512
MAX_PARENTS = 1024
MAX_PROBLEMS = 1000
# The most of one parent, of one device, of one attribute.
MAX_TYPES = 256
MAX_ATTRIBUTES = 64
MAX_CHOICES = 1024
# The most devices that one process holds.
MAX_HELD = 64
# The most functions of one host that have the same MAC address: those of a bond, or in VLANs of their own.
MAX_OF_ADDRESS = 16
# The longest name: of a device, a type, a driver, a guest, an attribute; that of a file is no longer.
MAX_NAME = 255
# The longest of all other texts: a page of sysfs has no more.
MAX_TEXT = 4096
# The longest sentence on whether a device can migrate.
MAX_EVIDENCE = 1024
# The largest numbers: of the kernel's processes, NUMA nodes and virtqueues, and of what fits into its counters.
MAX_PID = 2**31 - 1
MAX_NODE = 1023
MAX_QUEUES = 2**16
MAX_INSTANCES = 2**32 - 1
# The most resources that a type states to take of its parent; one of GVT-g states three.
MAX_RESOURCES = 8

Entry = t.Mapping[str, t.Any]

_PLAIN_SETTINGS = frozenset((str, int, bool))

# What is raised where devices are not plain, or not as documented: they are then looked at one by one.
ODD = (AttributeError, KeyError, TypeError, ValueError)

# Stands for a value that is not there, where null would be one.
MISSING = object()


class FactsError(FleetError):
    """Facts are not what they should be; ``path`` is where in them."""

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path}: expected {expected}; {GATHER} again")
        self.path = path


# --- all at once -----------------------------------------------------------------------------------------------------


def plain_texts(texts: t.Sequence[t.Any], longest: int = MAX_NAME) -> None:
    """Raise ``TypeError`` where one of these is no plain text, or too long."""
    if texts and (
        {*map(type, texts)} != {str}
        or max(map(len, texts)) > longest
        or not is_unicode("".join(texts))
    ):
        raise TypeError


def holds_too_many(pids: t.Sequence[int]) -> bool:
    """Return whether one of the processes that hold a device each holds more of them than any guest has."""
    return len(pids) > MAX_HELD and max(Counter(pids).values()) > MAX_HELD


def guests_uuids(uuids: t.Iterable[t.Any]) -> None:
    """Raise ``TypeError`` where the UUIDs that guests' processes show are none."""
    if not all(isinstance(each, str) and UUID.match(each) for each in {*uuids}):
        raise TypeError


def plain_choices(attribute: t.Any) -> None:
    """Raise ``TypeError`` where the values that an attribute takes, or their names, are none."""
    for choices in (attribute[CHOICES], attribute.get(CHOICE_NAMES, [])):
        if choices.__class__ is not list or len(choices) > MAX_CHOICES:
            raise TypeError
        plain_texts(choices)


def plain_settings(entries: t.Iterable[t.Any]) -> None:
    """Raise ``TypeError`` where what is set of one of these devices is not all plain settings, with the MAC address among them."""
    for entry in entries:
        if NETWORK not in entry:
            continue
        network = entry[NETWORK]
        plain = network.__class__ is dict and _PLAIN_SETTINGS.issuperset(
            map(type, network.values())
        )
        if not plain or "mac" not in network or fault_of(network) is not None:
            raise TypeError


def too_common_address(entries: t.Collection[t.Any]) -> str | None:
    """Return a MAC address that more of these devices have than a host has of one; ``None`` where there is none."""
    if not entries:
        return None
    counts = Counter([each[NETWORK]["mac"] for each in entries if NETWORK in each])
    del counts[NO_MAC]
    return next((mac for mac, count in counts.items() if count > MAX_OF_ADDRESS), None)


def is_node(value: int | None) -> bool:
    """Return whether an integer is the number of a NUMA node, or ``None``."""
    return value is None or 0 <= value <= MAX_NODE


def is_unicode(text: str) -> bool:
    """Return whether a text can be written: one with half of a surrogate pair cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def described(value: t.Any) -> str:
    """Return what a value is, for a message: a text or number itself where it is short, else its type."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, int) and abs(value) < MAX_INSTANCES:
        return str(value)
    return "null" if value is None else f"a {type(value).__name__}"


# --- one by one ------------------------------------------------------------------------------------------------------


def mapping(value: t.Any, path: str) -> t.Any:
    """Return ``value`` where it is a mapping; raise ``FactsError``."""
    if isinstance(value, (dict, t.Mapping)):
        return value
    raise FactsError(path, "a mapping")


def listing(value: t.Any, path: str, most: int) -> t.Any:
    """Return ``value`` where it is a list with ``most`` elements at most; raise ``FactsError``."""
    if not isinstance(value, (list, t.Sequence)) or isinstance(value, (str, bytes)):
        raise FactsError(path, "a list")
    if len(value) > most:
        raise FactsError(path, f"{most:,} elements at most, and there are {len(value):,}")
    return value


def text(value: t.Any, path: str, longest: int = MAX_NAME) -> str:
    """Return ``value`` as a plain text where it is one that is not longer; raise ``FactsError``."""
    if not isinstance(value, str):
        raise FactsError(path, "a text")
    if len(value) > longest:
        raise FactsError(path, f"{longest:,} characters at most, and there are {len(value):,}")
    if not is_unicode(value):
        raise FactsError(path, f"Unicode, and it is {shown(value)}")
    return str.__str__(value)


def text_or_null(value: t.Any, path: str, longest: int = MAX_NAME) -> str | None:
    """Return ``value`` as a plain text where it is one, or ``None``; raise ``FactsError``."""
    if value is MISSING:
        raise FactsError(path, "a text or null")
    return None if value is None else text(value, path, longest)


def number(value: t.Any, path: str, least: int, most: int) -> int:
    """Return ``value`` where it is an integer from ``least`` to ``most``; raise ``FactsError``."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise FactsError(path, f"an integer from {least} to {most}")
    return int(value)


def number_or_null(value: t.Any, path: str, least: int, most: int) -> int | None:
    """Return ``value`` where it is such an integer or ``None``; raise ``FactsError``."""
    return None if value is None else number(value, path, least, most)


def one_of(value: t.Any, path: str, choices: t.Collection[str]) -> str:
    """Return ``value`` where it is one of ``choices``; raise ``FactsError``."""
    found = text(value, path)
    if found not in choices:
        raise FactsError(path, f"one of {', '.join(sorted(choices))}")
    return found


def distinct(ids: t.Iterable[str], path: str) -> None:
    """Raise ``FactsError`` where an id is there twice."""
    seen: set[str] = set()
    for each in ids:
        if each in seen:
            raise FactsError(path, f"every id once, and {shown(each)} is there twice")
        seen.add(each)


def plain_device(
    data: t.Any, path: str, descriptors: t.Mapping[str | None, t.Any]
) -> tuple[dict[str, t.Any], dict[str, str] | None]:
    """Return what a device's entry says, in plain types; raise ``FactsError``.

    The second is the problem with the name of the guest that holds the device, if there is one.
    """
    device = mapping(data, path)
    kind = one_of(device.get("kind"), f"{path}.kind", KINDS)
    descriptor = text_or_null(device.get("descriptor"), f"{path}.descriptor")
    if descriptor not in descriptors:
        raise FactsError(f"{path}.descriptor", "null or the name of one of 'descriptors'")
    migration = mapping(device.get("migration"), f"{path}.migration")
    supported = migration.get("supported")
    if supported is not None and not isinstance(supported, bool):
        raise FactsError(f"{path}.migration.supported", "true, false or null")
    if "in_use" not in device:
        raise FactsError(f"{path}.in_use", "a value or null")
    attributes = listing(device.get("attributes"), f"{path}.attributes", MAX_ATTRIBUTES)
    holder, problem = _plain_holder(device["in_use"], f"{path}.in_use")
    entry: dict[str, t.Any] = {
        "kind": kind,
        "id": text(device.get("id"), f"{path}.id"),
        "parent": _parent(kind, device.get("parent", MISSING), f"{path}.parent"),
        "type": text(device.get("type", MISSING), f"{path}.type"),
        "descriptor": descriptor,
        "attributes": [
            _plain_attribute(each, f"{path}.attributes[{index}]")
            for index, each in enumerate(attributes)
        ],
        "numa_node": number_or_null(device.get("numa_node"), f"{path}.numa_node", 0, MAX_NODE),
        "in_use": holder,
        "migration": {
            "supported": supported,
            "evidence": text_or_null(
                migration.get("evidence"), f"{path}.migration.evidence", MAX_EVIDENCE
            ),
        },
    }
    if "features" in migration:
        entry["migration"]["features"] = plain_features(migration["features"])
    if NETWORK in device:
        entry[NETWORK] = _plain_network(device[NETWORK], f"{path}.{NETWORK}")
    return entry, problem


def _parent(kind: str, data: t.Any, path: str) -> str | None:
    """Return what a device is under: only a PCI device may be under nothing; raise ``FactsError``."""
    return text_or_null(data, path) if kind == "pci" else text(data, path)


def _plain_network(data: t.Any, path: str) -> dict[str, t.Any]:
    """Return what is set of a function, in plain types; raise ``FactsError``."""
    network = mapping(data, path)
    if "mac" not in network:
        raise FactsError(f"{path}.mac", "the function's address")
    fault = fault_of(network)
    if fault is not None:
        name, expected = fault
        if expected is None:
            raise FactsError(path, "network settings alone, and it has another name")
        raise FactsError(f"{path}.{name}", expected)
    return {
        str.__str__(name): str.__str__(value)
        if isinstance(value, str)
        else value
        if isinstance(value, bool)
        else int(value)
        for name, value in network.items()
    }


def plain_features(data: t.Any) -> list[str]:
    """Return what a device supports, nothing where that is no list of texts: then it is unknown."""
    if not isinstance(data, (list, t.Sequence)) or isinstance(data, (str, bytes)):
        return []
    found = [plain_text(each) for each in data[:MAX_ATTRIBUTES]]
    return [each for each in found if each is not None]


def _plain_attribute(data: t.Any, path: str) -> dict[str, t.Any]:
    attribute = mapping(data, path)
    plain: dict[str, t.Any] = {
        "name": text(attribute.get("name"), f"{path}.name"),
        "value": text(attribute.get("value"), f"{path}.value", MAX_TEXT),
    }
    if CHOICES not in attribute:
        return plain
    for name in (CHOICES, CHOICE_NAMES):
        found = listing(attribute.get(name, []), f"{path}.{name}", MAX_CHOICES)
        plain[name] = [text(each, f"{path}.{name}") for each in found]
    return plain


def _plain_holder(data: t.Any, path: str) -> tuple[dict[str, t.Any] | None, dict[str, str] | None]:
    """Return who holds a device, and the problem with its name, which the user who starts a guest chooses."""
    if data is None:
        return None, None
    holder = mapping(data, path)
    if "pid" not in holder:
        raise FactsError(f"{path}.pid", f"an integer from 1 to {MAX_PID} or null")
    plain: dict[str, t.Any] = {"pid": number_or_null(holder["pid"], f"{path}.pid", 1, MAX_PID)}
    if "uuid" in holder:
        plain["uuid"] = _guest_uuid(holder["uuid"], f"{path}.uuid")
    try:
        return {**plain, "name": text_or_null(holder.get("name", MISSING), f"{path}.name")}, None
    except FactsError as error:
        if not isinstance(holder.get("name"), str):
            raise
        problem = f"the name of the guest is taken for unknown: {error}"
        return {**plain, "name": None}, {"path": error.path, "problem": problem}


def _guest_uuid(data: t.Any, path: str) -> str:
    """Return the UUID of a guest; raise ``FactsError`` where it is none."""
    if not isinstance(data, str) or not UUID.match(data):
        raise FactsError(path, "a UUID in lower case")
    return str(data)


def check_addresses(entries: t.Collection[Entry]) -> None:
    """Raise ``FactsError`` where more devices than a host has of one have the same MAC address."""
    mac = too_common_address(entries)
    if mac is not None:
        raise FactsError("devices", f"{MAX_OF_ADDRESS} of one MAC address at most, and not {mac}")


def check_held(entries: t.Iterable[Entry]) -> None:
    """Raise ``FactsError`` where one process holds more devices than any guest has."""
    held = Counter(each["in_use"]["pid"] for each in entries if each["in_use"] is not None)
    for pid, count in held.items():
        if pid is not None and count > MAX_HELD:
            raise FactsError(
                "devices", f"{MAX_HELD} of one process at most, and process {pid} holds {count:,}"
            )


def plain_problems(data: t.Any) -> list[dict[str, str | None]]:
    """Return the problems that a host reports, each no longer than a text may be; raise ``FactsError``."""
    problems = []
    entries = listing(data, "problems", MAX_DEVICES * MAX_ATTRIBUTES)
    for index, each in enumerate(entries[:MAX_PROBLEMS]):
        entry = mapping(each, f"problems[{index}]")
        problems.append({key: _shortened(entry.get(key)) for key in ("path", "problem")})
    if len(entries) > MAX_PROBLEMS:
        more = len(entries) - MAX_PROBLEMS
        problems.append({"path": "problems", "problem": f"there are {more:,} more problems"})
    return problems


def _shortened(value: t.Any) -> str | None:
    found = plain_text(value)
    if found is None:
        return None
    if len(found) > MAX_TEXT:
        found = found[: MAX_TEXT - 3] + "..."
    return found if is_unicode(found) else found.encode(errors="backslashreplace").decode()
