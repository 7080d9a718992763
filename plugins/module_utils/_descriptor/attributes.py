# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Device descriptors: from the text a driver gives to the normal form everything else works on.

An *attribute set* is a dict of attribute name to value, both ``str``. A *descriptor* is
``{"self": attribute set, "compatible": [attribute set, ...]}``, where the sets of ``compatible``
are patterns whose values may hold templates (see ``pattern.py``).

Names and musts are those of the proposal "device compatibility interface for live migration with
assigned devices" of 2020-08-19; the older spellings are those of its drafts. Pure: no files, no Ansible.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)

MAX_VALUE = 1024
MAX_NAME = 255
MAX_NAMES = 64
MAX_SETS = 64
# The longest text that can hold a list of sets within the limits above, in bytes.
MAX_TEXT = MAX_SETS * MAX_NAMES * (MAX_NAME + MAX_VALUE + len("=\n"))

DERIVED = "derived"

_OLDER_NAMES = {
    "device_type": "device_api",
    "mdev_type": "type",
    "device_id": "pci_id",
    "interface_version": "software_version",
}
_SET_HEADER = "COMPATIBLE:"
_TOO_MANY_NAMES = f"more than {MAX_NAMES} attributes in one set"
_NAME = re.compile(r"[A-Za-z0-9_.-]+\Z")
_PRINTABLE = re.compile(r"[\x20-\x7e]*\Z")
_VERSION = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})(?:\.[0-9]{1,18})?\Z")
_PCI_ID = re.compile(r"[0-9a-f]{8}\Z")


class DescriptorError(VfioMigrationError, ValueError):
    """What a driver gave breaks a rule of the descriptor's form; the message says which and what would be right.

    ``attribute`` is the name of the attribute at fault, or ``None`` where no single one is.
    """

    def __init__(self, problem: str, attribute: str | None = None) -> None:
        super().__init__(problem)
        self.attribute = attribute


def shown(text: str) -> str:
    """Return ``text`` quoted for a message: escaped, as it may come from a hostile driver, and no longer than a line."""
    quoted = ascii(text)
    return quoted if len(quoted) <= 80 else quoted[:76] + "...'"


def decode(raw: bytes) -> str:
    """Return the text of a file that must be ASCII; raise ``DescriptorError``."""
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError as error:
        raise DescriptorError(
            f"byte {error.start + 1} is not ASCII (0x{raw[error.start]:02x})"
        ) from None


def parse_sets(text: str) -> list[list[tuple[str, str]]]:
    """Return the sets of ``name=value`` lines in ``text`` (proposal 2), as pairs in the order of the text.

    Sets are separated by blank lines or ``COMPATIBLE:`` lines. Raises ``DescriptorError``.
    """
    sets: list[list[tuple[str, str]]] = []
    pairs: list[tuple[str, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line == _SET_HEADER:
            if pairs:
                sets.append(pairs)
            pairs = []
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise DescriptorError(f"line {number} has no '=': {shown(line)}; expected name=value")
        if len(pairs) == MAX_NAMES:
            raise DescriptorError(_TOO_MANY_NAMES)
        pairs.append((name.strip(), value.strip()))
    if pairs:
        sets.append(pairs)
    check_count(sets)
    return sets


def check_count(sets: t.Sequence[t.Any]) -> None:
    """Raise ``DescriptorError`` where there are more sets than a descriptor may have."""
    if len(sets) > MAX_SETS:
        raise DescriptorError(f"{len(sets)} sets; at most {MAX_SETS} are read")


def normalise(pairs: t.Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return one attribute set in normal form, sorted by name: names and spellings of the proposal; raise ``DescriptorError``."""
    attributes: dict[str, str] = {}
    for name, value in pairs:
        if len(name) > MAX_NAME or not _NAME.match(name):
            raise DescriptorError(
                f"{shown(name)} is not an attribute name; expected at most {MAX_NAME} letters, digits, '_', '.' and '-'"
            )
        name = _OLDER_NAMES.get(name, name)
        if name in attributes:
            raise DescriptorError(f"'{name}' is stated twice in one set", name)
        if len(attributes) == MAX_NAMES:
            raise DescriptorError(_TOO_MANY_NAMES)
        value = value.strip()
        check_value(name, value)
        # The drafts put quotes round a plain text; they are no part of it.
        if len(value) >= 2 and value[0] == value[-1] == '"' and '"' not in value[1:-1]:
            value = value[1:-1]
        template = "{" in value or "}" in value
        attributes[name] = value if template else comparable(name, value)
    return dict(sorted(attributes.items()))


def comparable(name: str, text: str) -> str:
    """Return ``text``, a value of attribute ``name`` or a part of one, in the spelling in which such values are compared."""
    if name == "device_api":
        return text.replace("_", "-")
    if name == "pci_id":
        return text.lower().replace("0x", "").replace(":", "")
    return text


@functools.lru_cache(maxsize=1024)
def parse_version(text: str) -> tuple[int, int] | None:
    """Return ``(major, minor)`` of ``major.minor[.bugfix]``; ``None`` where ``text`` is no such version."""
    match = _VERSION.match(text)
    return (int(match.group(1)), int(match.group(2))) if match else None


def version_failure(owner: str, subject: str, subject_is_target: bool = True) -> str | None:
    """Return the rule that keeps a device of version ``subject`` from a pattern whose owner has version ``owner``.

    The target may serve the source if the majors are equal and the target's minor is no smaller; the bugfix
    never matters (2020-08-05 in the proposal's discussion). ``None`` where the rule holds.
    """
    owner_version = parse_version(owner)
    subject_version = parse_version(subject)
    if owner_version is None or subject_version is None or owner_version[0] != subject_version[0]:
        return "version_major"
    source, target = (
        (owner_version, subject_version) if subject_is_target else (subject_version, owner_version)
    )
    return None if target[1] >= source[1] else "version_minor"


def check_self(attributes: t.Mapping[str, str], origin: str | None = None) -> None:
    """Raise ``DescriptorError`` where a normalised ``self`` lacks a must attribute or has an impossible one.

    A *derived* descriptor may lack the ``pci_id`` or ``subchannel_type``, as the parent of a mediated device
    need not be a PCI device even if the device itself has the vfio-pci API.
    """
    for name in ("software_version", "device_api", "type"):
        if not attributes.get(name):
            raise DescriptorError(f"'{name}' is missing; it is a must of 'self'", name)
    if parse_version(attributes["software_version"]) is None:
        version = shown(attributes["software_version"])
        raise DescriptorError(
            f"software_version is {version}; expected major.minor[.bugfix]", "software_version"
        )
    device_api = attributes["device_api"]
    must = API_MUSTS.get(device_api)
    if must and origin != DERIVED and not attributes.get(must):
        raise DescriptorError(f"'{must}' is missing; it is a must of 'self' for {device_api}", must)
    if attributes.get("pci_id") and not _PCI_ID.match(attributes["pci_id"]):
        pci_id = shown(attributes["pci_id"])
        raise DescriptorError(
            f"pci_id is {pci_id}; expected 8 hex digits, vendor then device", "pci_id"
        )


# The attribute that each device API adds to the musts of ``self``.
API_MUSTS = {"vfio-pci": "pci_id", "vfio-ccw": "subchannel_type"}


def literal(attributes: t.Mapping[str, str]) -> dict[str, str]:
    """Return the set that only these attributes match."""
    return {name: value.replace("{", "{{").replace("}", "}}") for name, value in attributes.items()}


def digest(
    self_attributes: t.Mapping[str, str],
    compatible: t.Sequence[t.Mapping[str, str]],
    configuration: t.Mapping[str, str] | None = None,
) -> str:
    """Return the name under which a descriptor is interned: 32 hex digits of SHA-256 over its canonical JSON."""
    content: dict[str, object] = {"self": self_attributes, "compatible": compatible}
    if configuration:
        content["configuration"] = configuration
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:32]


def check_value(name: str, value: str) -> None:
    """Raise ``DescriptorError`` where ``value`` is longer than a descriptor's may be, or no line of printable ASCII."""
    if len(value) > MAX_VALUE:
        raise DescriptorError(
            f"the value of '{name}' has {len(value)} characters; at most {MAX_VALUE} are read",
            name,
        )
    if not _PRINTABLE.match(value):
        raise DescriptorError(
            f"the value of '{name}' is not one line of printable ASCII: {shown(value)}",
            name,
        )
