# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What an emulator compares of two devices beside their descriptors, and what of it is not known. Pure.

A name is compared where both sides state it. What only one of them states is no reason against a pair.
"""

from __future__ import annotations

import typing as t
from collections import defaultdict
from collections.abc import Hashable

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import drivers
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.configuration import (
    CAPABILITIES,
    EXTENDED,
    ID,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.bitset import bitset
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import Descriptor

RULE = "configuration"
# The API of the devices whose configuration space a guest sees.
_PCI_API = "vfio-pci"
_LISTS = (CAPABILITIES, EXTENDED)
# The version of the interface between a vGPU and its guest, and those that a GPU's host takes.
VERSION = "nvidia.version"
VERSIONS = "nvidia.versions"
_REGISTERS = {
    ID: "vendor and device id",
    "pci.class": "class",
    "pci.header": "header type",
    "pci.revision": "revision",
}
_SETTINGS = {"nvidia.ecc": "ECC of the GPU", "nvidia.mig": "MIG of the GPU"}
_NAMES = {
    "01": "power management",
    "05": "MSI",
    "09": "vendor's",
    "10": "PCI Express",
    "11": "MSI-X",
    "13": "advanced features",
    "0001": "Advanced Error Reporting",
    "0003": "serial number",
    "000b": "vendor's",
    "000f": "ATS",
    "0015": "resizable BAR",
    "0017": "TPH",
}
_READ = (
    "not all of what a guest sees of the configuration space is known of both devices; QEMU compares it, and refuses what"
    " differs"
)
_WRITTEN = (
    "the registers of Advanced Error Reporting are not compared, as a guest may have written them where the function is in"
    " use; QEMU compares what they were before"
)

Reason = dict[str, t.Any]


def differences(source: Descriptor, target: Descriptor) -> list[Reason]:
    """Return the reasons against two devices in which what a guest sees of them differs."""
    return _compared(_seen(source, target), _seen(target, source))


def differences_from_new(source: Descriptor, known: t.Mapping[str, str]) -> list[Reason]:
    """Return the reasons against a device that is still to be made, of whose configuration that is ``known``."""
    return _compared(source.configuration, known)


def settled(source: t.Mapping[str, str], target: t.Mapping[str, str]) -> set[str]:
    """Return the cautions about drivers that two configurations answer."""
    answered = set()
    if "nvidia.ecc" in source and "nvidia.ecc" in target:
        answered.add(drivers.ECC)
    if takes(source, target):
        answered.add(drivers.HOST_DRIVER)
    return answered


def takes(source: t.Mapping[str, str], target: t.Mapping[str, str]) -> bool:
    """Return whether the host of a GPU is known to take a vGPU's version, of whatever release its driver is.

    Where it is not known which version the vGPU has, the host has to take all that it may have. The rule:
    docs.nvidia.com/deploy/nvml-api, "vGPU Migration", on nvmlGetVgpuCompatibility.
    """
    if VERSIONS not in target:
        return False
    possible, taken = _possible(source), _range(target[VERSIONS])
    return bool(possible and taken and taken[0] <= possible[0] and possible[1] <= taken[1])


def has_version(configuration: t.Mapping[str, str]) -> bool:
    """Return whether it is known which version a vGPU has, or may have, so that a host may be known to take it."""
    return VERSION in configuration or VERSIONS in configuration


def _compared(own: t.Mapping[str, str], other: t.Mapping[str, str]) -> list[Reason]:
    reasons: list[Reason] = []
    if VERSIONS in other:
        reasons += _version_differences(own, other[VERSIONS])
    for name in sorted(own.keys() & other.keys()):
        if own[name] == other[name] or name in (VERSION, VERSIONS):
            continue
        if name in _LISTS:
            reasons += _list_differences(name, own[name], other[name])
        elif not _is_moved(name, own, other):
            reasons.append(_reason(_words(name), own[name], other[name]))
    return reasons


def assumptions(source: Descriptor, target: Descriptor) -> list[str]:
    """Return what is not known of two devices, in sentences, that would make the verdict less certain."""
    own, other = source.configuration, target.configuration
    if not (ID in own or ID in other):
        return []
    if all(name in each for name in _LISTS for each in (own, other)):
        return []
    return [_READ]


def open_questions(source: Descriptor, target: Descriptor) -> list[str]:
    """Return what else cannot be compared of two devices now, in sentences."""
    own, other = source.configuration, target.configuration
    reporting = "pci.0001"
    return (
        [_WRITTEN]
        if (reporting in own) != (reporting in other) and ID in own and ID in other
        else []
    )


def likeness(descriptor: Descriptor) -> Hashable:
    """Return what is equal of descriptors for which ``differences`` are the same."""
    return tuple(sorted(descriptor.configuration.items())), _stated_id(descriptor)


class Agreeing:
    """Finds which of many devices agree with another one in what a guest sees."""

    def __init__(self, descriptors: t.Sequence[Descriptor], are_targets: bool = True) -> None:
        self._everything = (1 << len(descriptors)) - 1
        self._are_targets = are_targets
        self._any_stated = any(each.configuration for each in descriptors)
        alike: dict[Hashable, list[int]] = defaultdict(list)
        for number, each in enumerate(descriptors):
            alike[likeness(each)].append(number)
        self._alike = [
            (descriptors[numbers[0]], bitset(numbers, len(descriptors)))
            for numbers in alike.values()
        ]
        self._known: dict[Hashable, int] = {}

    def with_device(self, descriptor: Descriptor) -> int:
        """Return the set of those that agree with a device."""
        if not (self._any_stated or descriptor.configuration):
            return self._everything
        key = likeness(descriptor)
        if key not in self._known:
            self._known[key] = sum(
                numbers for each, numbers in self._alike if not self._differs(descriptor, each)
            )
        return self._known[key]

    def taking(self, descriptor: Descriptor) -> int:
        """Return the set of those of which ``takes`` says so, with a device on the other side."""
        if not (self._any_stated and VERSIONS in descriptor.configuration):
            return 0
        found = 0
        for member, numbers in self._alike:
            source, target = self._pair(descriptor, member)
            found |= numbers if takes(source.configuration, target.configuration) else 0
        return found

    def _pair(self, descriptor: Descriptor, member: Descriptor) -> tuple[Descriptor, Descriptor]:
        return (descriptor, member) if self._are_targets else (member, descriptor)

    def _differs(self, descriptor: Descriptor, member: Descriptor) -> bool:
        return bool(differences(*self._pair(descriptor, member)))


def _seen(device: Descriptor, other: Descriptor) -> t.Mapping[str, str]:
    """Return what is known of a device: where the other one shows its ids, and this one does not, those that it states."""
    stated = _stated_id(device)
    if stated is None or ID not in other.configuration:
        return device.configuration
    return {**device.configuration, ID: stated}


def _stated_id(device: Descriptor) -> str | None:
    """Return the ids that a device shows to its guest by its descriptor, where its configuration space cannot be read."""
    own = device.self_attributes
    identity = own.get("pci_id", "")
    if ID in device.configuration or own["device_api"] != _PCI_API or not identity:
        return None
    return f"{identity[:4]}:{identity[4:]}"


def _version_differences(own: t.Mapping[str, str], versions: str) -> t.Iterator[Reason]:
    """Yield why a GPU's host with these ``versions`` does not take a vGPU.

    Where it is not known which version the vGPU has, it is one that its own GPU's host takes.
    """
    taken = _range(versions)
    name = VERSION if VERSION in own else VERSIONS
    if name not in own:
        return
    possible = _possible(own)
    if not possible or not taken or max(possible[0], taken[0]) > min(possible[1], taken[1]):
        words = "vGPU version" if name == VERSION else "range of vGPU versions"
        yield _reason(words, own[name], f"one of {versions}")


def _possible(own: t.Mapping[str, str]) -> tuple[int, int] | None:
    """Return the lowest and the highest version that a vGPU may have; ``None`` where neither is known, or cannot be read."""
    return _range(f"{own[VERSION]}-{own[VERSION]}" if VERSION in own else own.get(VERSIONS, ""))


def _range(versions: str) -> tuple[int, int] | None:
    """Return the lowest and the highest of a range of versions; ``None`` where it cannot be read."""
    try:
        lowest, highest = (int(each, 16) for each in versions.split("-"))
    except ValueError:
        return None
    return lowest, highest


def _list_differences(name: str, one: str, other: str) -> list[Reason]:
    places = [_places(each) for each in (one, other)]
    reasons = []
    for capability in sorted(places[0].keys() | places[1].keys()):
        here, there = (" and ".join(each.get(capability, ["absent"])) for each in places)
        if here != there:
            reasons.append(_reason(_words(f"pci.{capability}"), here, there))
    return reasons or [_reason(f"order of the {_words(name)}", one, other)]


def _places(text: str) -> dict[str, list[str]]:
    """Return where each capability is, with its version where it has one."""
    places: dict[str, list[str]] = defaultdict(list)
    for entry in text.split():
        name, _at, where = entry.partition("@")
        capability, dot, version = name.partition(".")
        places[capability].append(f"at 0x{where}" + (f" in version {version}" if dot else ""))
    return places


def _is_moved(name: str, own: t.Mapping[str, str], other: t.Mapping[str, str]) -> bool:
    """Return whether a capability is elsewhere: its content need not be compared then."""
    capability = name.removeprefix("pci.").partition(".")[0]
    return any(
        _places(own[each]).get(capability) != _places(other[each]).get(capability)
        for each in _LISTS
        if each in own and each in other
    )


def _words(name: str) -> str:
    if name in _LISTS:
        return "PCI capabilities" if name == CAPABILITIES else "PCI extended capabilities"
    if name in _REGISTERS:
        return f"PCI {_REGISTERS[name]}"
    if not name.startswith("pci."):
        return _SETTINGS.get(name, name)
    capability = name.removeprefix("pci.").partition(".")[0]
    title = f" ({_NAMES[capability]})" if capability in _NAMES else ""
    extended = "extended " if len(capability) == 4 else ""
    return f"PCI {extended}capability 0x{capability}{title}"


def _reason(attribute: str, expected: str, actual: str) -> Reason:
    return {
        "set": None,
        "attribute": attribute,
        "rule": RULE,
        "expected": expected,
        "actual": actual,
    }
