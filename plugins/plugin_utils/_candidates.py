# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Candidates: the devices of a host that can receive a source device, those there are and those it can make. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.module_utils import _pattern
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet import (
    Device,
    Fleet,
    Host,
    MdevType,
    Parent,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._verdict import (
    Descriptor,
    Judge,
    provisional_warnings,
)

# These come with the parent and the type; all other attributes of a set are the vendor's.
_GIVEN = ("software_version", "device_api", "type", "pci_id", "driver")


@dataclass(frozen=True, slots=True)
class Existing:
    """A device that is there, and the verdict on it."""

    device: Device
    verdict: dict[str, t.Any]

    @property
    def compatible(self) -> bool:
        return bool(self.verdict["compatible"])

    @property
    def reasons(self) -> list[dict[str, t.Any]]:
        return list(self.verdict["reasons"])


@dataclass(frozen=True, slots=True)
class Creatable:
    """What a new mdev of one type under one parent would have to be, or in ``reasons`` why it cannot do.

    ``attributes`` are those to write after its creation, in order; ``instances`` is how many of the type's
    available_instances it takes.
    """

    set: int | None
    bindings: dict[str, t.Any]
    attributes: tuple[tuple[str, str], ...]
    instances: int
    reasons: list[dict[str, t.Any]]
    warnings: list[str]

    @property
    def compatible(self) -> bool:
        return self.set is not None


class Candidates:
    """Judges targets for the devices of a fleet; equal questions are answered once."""

    def __init__(self, fleet: Fleet, direction: str) -> None:
        self._judge = Judge(direction)
        self._verdicts: dict[tuple[str, str], dict[str, t.Any]] = {}
        self._creatable: dict[tuple[t.Any, ...], Creatable] = {}
        self._fleet = fleet
        self._versions: dict[str, dict[tuple[str | None, bool], str]] = {}

    def existing(self, source: Device, target: Device) -> Existing | None:
        """What ``target`` is to ``source``; ``None`` where one of them has no descriptor."""
        if source.descriptor is None or target.descriptor is None:
            return None
        key = (source.descriptor.digest, target.descriptor.digest)
        if key not in self._verdicts:
            self._verdicts[key] = self._judge.verdict(source.descriptor, target.descriptor)
        return Existing(target, self._verdicts[key])

    def creatable(self, source: Device, parent: Parent, mdev_type: MdevType) -> Creatable | None:
        """What a new mdev of ``mdev_type`` would be to ``source``; ``None`` where ``source`` has no descriptor.

        The driver's version on the target is known where a device of the parent, or else of its driver, states it.
        """
        if source.descriptor is None:
            return None
        derived = source.descriptor.derived
        version = self.versions_under(parent)[derived]
        key = (
            source.descriptor.digest,
            tuple(name for name, value in source.attributes),
            (mdev_type.id, mdev_type.name, mdev_type.device_api),
            (parent.pci_id, parent.driver, version),
        )
        if key not in self._creatable:
            known = {"type": mdev_type.id, "device_api": mdev_type.device_api}
            if parent.pci_id:
                known["pci_id"] = parent.pci_id
            if version:
                known["software_version"] = version
            if derived and parent.driver:
                known["driver"] = parent.driver
            # Derived where a type's id may mean another type with another release of the driver.
            if derived and mdev_type.name and "type_name" in source.descriptor.self_attributes:
                known["type_name"] = mdev_type.name
            self._creatable[key] = self._predict(source.descriptor, source.attributes, known)
        return self._creatable[key]

    def versions_under(self, parent: Parent) -> tuple[str | None, str | None]:
        """The software_version that a new device of ``parent`` will state, and the one it will be given if it states none.

        ``None`` where no device of the parent, nor of its driver on that host, tells.
        """
        versions = self._versions.get(parent.host)
        if versions is None:
            host = self._fleet.hosts[parent.host]
            versions = self._versions[parent.host] = dict(_stated_versions(host))
        stated, derived = (
            versions.get((parent.id, derived)) or versions.get((parent.driver, derived))
            for derived in (False, True)
        )
        return stated, derived

    def returns(self, source: Device, target: Device) -> bool:
        """Whether a device that went from ``source`` to ``target`` can go back."""
        back = self.existing(target, source)
        return back is not None and back.compatible

    def made_returns(self, source: Device, parent: Parent) -> bool:
        """Whether a device that went from ``source`` to a compatible new one of ``parent`` can go back.

        What a driver lists for a device that is not there is not known; what is derived for it is: equal versions do.
        """
        if source.descriptor is None or not source.descriptor.derived:
            return False
        version = self.versions_under(parent)[True]
        return version is not None and _minor(version) == _minor(source.descriptor.version)

    def _predict(
        self,
        source: Descriptor,
        configurable: tuple[tuple[str, str], ...],
        known: dict[str, str],
    ) -> Creatable:
        if self._judge.direction not in ("source_lists", "either"):
            return _not_creatable(
                [
                    {
                        "set": None,
                        "attribute": None,
                        "rule": "no_descriptor",
                        "expected": "a device that exists, as only that tells what it accepts,",
                        "actual": None,
                    }
                ]
            )
        patterns = self._judge.patterns(source, True)
        for index, pattern in enumerate(patterns):
            try:
                completion = (
                    None
                    if isinstance(pattern, _pattern.Void)
                    else pattern.completion(known, source.self_attributes)
                )
            except _pattern.Void:
                continue
            if completion is not None and isinstance(pattern, _pattern.Pattern):
                bindings, required = completion
                attributes = _to_configure(required, configurable)
                return Creatable(
                    index,
                    bindings,
                    attributes,
                    instances_of(attributes),
                    [],
                    pattern.warnings(known) + provisional_warnings(source, known),
                )
        assumed = source.self_attributes | known
        return _not_creatable(_pattern.match_compiled(patterns, assumed)["reasons"])


def _not_creatable(reasons: list[dict[str, t.Any]]) -> Creatable:
    return Creatable(None, {}, (), 0, reasons, [])


def _stated_versions(host: Host) -> t.Iterator[tuple[tuple[str | None, bool], str]]:
    """The software_version of devices by their parent's id and by its driver, and whether it was derived."""
    drivers = {parent.id: parent.driver for parent in host.parents}
    for device in host.devices:
        if device.kind == "mdev" and device.descriptor is not None:
            for stater in (device.parent, drivers.get(device.parent or "")):
                yield (stater, device.descriptor.derived), device.descriptor.version


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def _to_configure(
    required: dict[str, str], configurable: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """The required vendor attributes that can be written, in the order in which the source has them.

    The proposal has every vendor attribute configurable under the same name on the target; what the source itself
    does not let configure cannot be, and is only verified once the device is there.
    """
    names = dict.fromkeys(name.rpartition("/")[2] for name, value in configurable)
    return tuple(
        (name, required[name]) for name in names if name in required and name not in _GIVEN
    )


def instances_of(attributes: t.Iterable[tuple[str, str]]) -> int:
    """An mdev of a type with ``aggregator`` n takes the room of n of that type (2020-08-05 in the discussion)."""
    aggregator = {name.rpartition("/")[2]: value for name, value in attributes}.get(
        "aggregator", "1"
    )
    return max(1, int(aggregator)) if aggregator.isdigit() else 1
