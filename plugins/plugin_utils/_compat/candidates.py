# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Candidates: the devices of a host that can receive a source device, those there are and those it can make. Pure."""

from __future__ import annotations

import functools
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import drivers, virtio
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import VDPA
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.pattern import mismatch
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.template import (
    InvalidPattern,
)
from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.certainty import (
    Reason,
    excludes,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.configuration import (
    differences_from_new,
    takes,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import (
    Judge,
    provisional_warnings,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import (
    Descriptor,
    derive,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Choices,
    Device,
    Fleet,
    Host,
    MdevType,
    Parent,
    ParentFacts,
)

# These come with the parent and the type; all other attributes of a set are the vendor's.
_GIVEN = ("software_version", "device_api", "type", "pci_id", "driver")
# What says how many instances of its type an mdev takes. No parent has more than the kernel counts.
AGGREGATOR = "aggregator"
_INSTANCES = re.compile(r"[1-9][0-9]{0,9}\Z")

_WAITS = (
    "nothing is assigned to the target yet: the announced migration of its driver brings that along"
)

Versions = dict[tuple[str | None, bool], str]


@dataclass(frozen=True, slots=True)
class Existing:
    """A device that is there, with the ``attributes`` that it is to be given, if any; ``judge`` gives the verdict on it.

    ``waits`` is whether the migration itself configures it.
    """

    device: Device
    descriptor: Descriptor
    judge: t.Callable[[], contract.Verdict]
    attributes: tuple[tuple[str, str], ...] = ()
    waits: bool = False

    @property
    def verdict(self) -> contract.Verdict:
        """The verdict; what is not yet as it will be may turn out otherwise."""
        verdict = self.judge()
        if self.waits:
            verdict = {**verdict, "warnings": [*verdict["warnings"], _WAITS]}
        if self.attributes or self.waits:
            return {**verdict, "certainty": "provisional"}
        return verdict

    @property
    def compatible(self) -> bool:
        return bool(self.verdict["compatible"])

    @property
    def reasons(self) -> list[contract.Reason]:
        return self.verdict["reasons"]


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


class Offer(t.NamedTuple):
    """All that is known of an mdev of one type, or a vDPA device of one class, before it is made.

    The driver's version on the host is known where a device of the parent, or else of its driver, states it, and apart
    from that where a derived descriptor does. ``features`` and ``max_vqs`` are those of vDPA.
    ``given`` are the attributes that it has of its parent.
    """

    type: str
    name: str | None
    device_api: str
    pci_id: str | None
    driver: str | None
    version: str | None
    derived_version: str | None
    features: int | None
    max_vqs: int | None
    configuration: tuple[tuple[str, str], ...] = ()
    given: tuple[tuple[str, str], ...] = ()

    def known(self, source: Descriptor) -> dict[str, str]:
        """Return the attributes that are certain, as far as those of ``source`` can be compared with them."""
        known = {"type": self.type, "device_api": self.device_api}
        if self.features is not None:
            return known | self._known_of_virtio(source, self.features)
        version = self.derived_version if source.derived else self.version
        if self.pci_id:
            known["pci_id"] = self.pci_id
        if version:
            known["software_version"] = version
        if source.derived and self.driver:
            known["driver"] = self.driver
        # Derived where a type's id may mean another type with another release of the driver.
        if source.derived and self.name and "type_name" in source.self_attributes:
            known["type_name"] = self.name
        if source.derived:
            known = drivers.foreseen(source.self_attributes, dict(self.given)) | known
        return known

    def _known_of_virtio(self, source: Descriptor, features: int) -> dict[str, str]:
        """Return what a new vDPA device will not be as ``source`` is; the rest it is given."""
        known = {"software_version": virtio.SOFTWARE_VERSION}
        known |= dict.fromkeys(_features(source) - _features_of(features, self.type), "")
        pairs = source.self_attributes.get("max_vqp", "")
        if self.max_vqs is not None and pairs.isdigit() and 2 * int(pairs) > self.max_vqs:
            known["max_vqp"] = str(self.max_vqs // 2)
        return known

    def configured(
        self, source: Descriptor, required: dict[str, str], configurable: tuple[str, ...]
    ) -> tuple[tuple[str, str], ...]:
        """Return the attributes to give a new device so that it has those that are ``required``.

        They have their full names, in the source's order, which ``configurable`` is.
        """
        # The proposal has every vendor attribute configurable under the same name on the target. What the source itself
        # does not let configure cannot be, and is only verified once the device is there.
        full_names: dict[str, str] = {}
        for full_name in configurable:
            full_names.setdefault(full_name.rpartition("/")[2], full_name)
        attributes = tuple(
            (full_name, required[name])
            for name, full_name in full_names.items()
            if name in required and name not in _GIVEN
        )
        if self.features is None:
            if not source.derived:
                return attributes
            own, given = source.self_attributes, dict(self.given)
            return (*drivers.attributes_to_write(own, given, attributes),)
        offered = _features_of(self.features, self.type)
        mask = virtio.attributes_mask(_features(source) & offered, self.type)
        return (*attributes, ("device_features", hex(mask)))


class Candidates:
    """Judge targets for the devices of a fleet; equal questions are answered once.

    A ``judge`` for this direction knows what it was asked for other fleets.
    """

    def __init__(self, fleet: Fleet, direction: str, judge: Judge | None = None) -> None:
        self.judge = judge or Judge(direction)
        # Only a direction that asks the source shows what a device must be that is not there yet.
        self.predicts = direction in ("source_lists", "either")
        self.fleet = fleet
        self._verdicts: dict[tuple[Descriptor, Descriptor], contract.Verdict] = {}
        self._refusals: dict[tuple[Descriptor, Descriptor], list[Reason]] = {}
        self._given_descriptors: dict[tuple[t.Any, ...], Descriptor] = {}
        self._creatable: dict[tuple[Descriptor, tuple[str, ...], Offer], Creatable | None] = {}
        self._refused: dict[tuple[Descriptor, Offer], Creatable] = {}
        self._offers: dict[Offer, Offer] = {}
        self._offered: dict[tuple[str, str, str], Offer] = {}
        self._wanted_features: dict[Descriptor, list[frozenset[str]]] = {}
        self._versions: dict[str, Versions] = {}

    def compatible(self, source: Device, target: Device) -> Existing | None:
        """Return what ``target`` is to ``source``; ``None`` where it is not compatible, whose reasons are not looked for."""
        found = self._become(source, target)
        if found is None or source.descriptor is None:
            return None
        if not self.judge.allows(source.descriptor, found[0]):
            return None
        return self.existing(source, target)

    def existing(self, source: Device, target: Device) -> Existing | None:
        """Return what ``target`` is to ``source``; ``None`` where one of them has no descriptor."""
        found = self._become(source, target)
        if found is None or source.descriptor is None:
            return None
        descriptor, attributes = found
        judge = functools.partial(self._verdict, source.descriptor, descriptor)
        waits = descriptor is not target.descriptor and not attributes
        return Existing(target, descriptor, judge, attributes, waits)

    def refused(self, source: Device, target: Device) -> list[Reason]:
        """Return why ``source`` may not become ``target``; nothing where it may, or where one of them has no descriptor."""
        found = self._become(source, target)
        if found is None or source.descriptor is None:
            return []
        key = (source.descriptor, found[0])
        if key not in self._refusals:
            allowed = self.judge.allows(*key)
            self._refusals[key] = [] if allowed else self.judge.refusal(*key)[0]
        return self._refusals[key]

    def _become(
        self, source: Device, target: Device
    ) -> tuple[Descriptor, tuple[tuple[str, str], ...]] | None:
        """Return what ``target`` is or will be, and what it is given for that; ``None`` where one has no descriptor."""
        if source.descriptor is None or target.descriptor is None:
            return None
        descriptor: Descriptor = target.descriptor
        if target.choices is not None:
            return self._given(source, target, target.choices, descriptor)
        # Virtual functions have the same ids on every host.
        if target.kind == "mdev" and source.id == target.id:
            return self._configured(target, source.descriptor, descriptor), ()
        return descriptor, ()

    def _verdict(self, source: Descriptor, target: Descriptor) -> contract.Verdict:
        key = (source, target)
        if key not in self._verdicts:
            self._verdicts[key] = self.judge.verdict(source, target)
        return self._verdicts[key]

    def _given(
        self, source: Device, target: Device, choices: Choices, descriptor: Descriptor
    ) -> tuple[Descriptor, tuple[tuple[str, str], ...]]:
        """Return what ``target`` will be once given the ``source``'s attributes, if it has none of its own yet."""
        values = dict(source.attributes)
        if values.get(choices.attribute) not in choices.values:
            return descriptor, ()
        own = descriptor.self_attributes
        names = [choices.attribute, *(name for name, _value in target.attributes)]
        attributes = tuple(
            (name, values[name])
            for name in dict.fromkeys(names)
            # What belongs to one device alone is no part of what it is.
            if name in values and name.rpartition("/")[2] in own
        )
        key = (descriptor, attributes)
        if key not in self._given_descriptors:
            self._given_descriptors[key] = derive(
                own | dict(_compared(own, name, value) for name, value in attributes),
                descriptor.configuration,
            )
        return self._given_descriptors[key], attributes

    def _configured(self, target: Device, descriptor: Descriptor, there: Descriptor) -> Descriptor:
        """Return what ``target`` becomes with the state of a source of its UUID, which has ``descriptor``; it may not be configured yet."""
        if not (descriptor.derived and there.derived):
            return there
        host = self.fleet.hosts.get(target.host)
        if host is None:
            # A twin of the source on a host that the fleet does not have: it is what it is to be.
            return there
        parents = [each for each in host.equipment if each.id == target.parent]
        given = dict(parents[0].given) if parents else {}
        own = descriptor.self_attributes
        shown = drivers.configured_as(there.self_attributes, own, given)
        return there if shown is None else derive(shown, there.configuration)

    def makeable(self, source: Device, parent: Parent, mdev_type: MdevType) -> Creatable | None:
        """Return the new mdev of ``mdev_type`` that can be the target of ``source``, ``None`` where none can."""
        if source.descriptor is None:
            return None
        offered = self._offer(parent, mdev_type)
        configurable = tuple([name for name, value in source.attributes])
        return self.offered(source.descriptor, configurable, offered)

    def _offer(self, parent: Parent, mdev_type: MdevType) -> Offer:
        """Return what a parent offers with one of its types, which is one object for all that ask."""
        key = (parent.host, parent.id, mdev_type.id)
        if key not in self._offered:
            found = offer(self.versions_on(parent.host), parent, mdev_type)
            self._offered[key] = self._offers.setdefault(found, found)
        return self._offered[key]

    def creatable(self, source: Device, parent: Parent, mdev_type: MdevType) -> Creatable | None:
        """Return what a new mdev of ``mdev_type`` would be to ``source``; ``None`` where ``source`` has no descriptor."""
        made = self.makeable(source, parent, mdev_type)
        if made is not None or source.descriptor is None:
            return made
        offered = self._offer(parent, mdev_type)
        key = (source.descriptor, offered)
        if key not in self._refused:
            reasons = self._reasons(source.descriptor, offered)
            self._refused[key] = Creatable(None, {}, (), 0, reasons, [])
        return self._refused[key]

    def offered(
        self, source: Descriptor, configurable: tuple[str, ...], offered: Offer
    ) -> Creatable | None:
        """Return a new mdev for a device with this descriptor and these attributes; ``None`` where none can do.

        ``configurable`` are the full names of the source's attributes.
        """
        if offered.features is not None and self._lacks_features(source, offered):
            return None
        key = (source, configurable, offered)
        if key in self._creatable:
            return self._creatable[key]
        made = None
        known = offered.known(source)
        shown = dict(offered.configuration)
        fits = self.predicts and not differences_from_new(source, shown)
        taken = takes(source.configuration, shown)
        for index, pattern in enumerate(self.judge.patterns(source, True, taken) if fits else ()):
            if isinstance(pattern, InvalidPattern):
                continue
            completion = pattern.completion(known, source.self_attributes)
            if completion is not None:
                bindings, required = completion
                attributes = offered.configured(source, required, configurable)
                warnings = pattern.warnings(known)
                warnings += provisional_warnings(source, known, shown, dict(attributes))
                instances = instances_of(attributes)
                if instances is None:
                    continue
                made = Creatable(index, bindings, attributes, instances, [], warnings)
                break
        self._creatable[key] = made
        return made

    def _lacks_features(self, source: Descriptor, offered: Offer) -> bool:
        """Return whether each set of ``source`` wants a virtio feature of it that is not offered: quick, as most pairs end here."""
        if source not in self._wanted_features:
            own = _features(source)
            self._wanted_features[source] = [
                own.intersection([name for name, text in pattern.plain if text])
                for pattern in self.judge.patterns(source, True)
                if not isinstance(pattern, InvalidPattern)
            ]
        there = _features_of(offered.features or 0, offered.type)
        return all(not wanted <= there for wanted in self._wanted_features[source])

    def doubts(self, source: Device, target: Device) -> t.Sequence[t.Mapping[str, t.Any]]:
        """Return the reasons against ``target`` where they are only assumed; none where it does or it is known not to."""
        found = self.existing(source, target)
        # What is to be given attributes is provisional in any case; here it counts whether it is known what refuses it.
        if found is None or found.compatible or found.judge()["certainty"] != "assumed":
            return []
        return found.reasons

    def doubts_of_new(self, source: Device, parent: Parent, mdev_type: MdevType) -> list[Reason]:
        """Return the same for a new mdev of ``mdev_type``."""
        made = self.creatable(source, parent, mdev_type)
        if made is None or source.descriptor is None or made.compatible:
            return []
        known = self._offer(parent, mdev_type).known(source.descriptor)
        is_known = self.predicts and excludes(
            source.descriptor, known, source.descriptor.derived, made.reasons
        )
        return [] if is_known else made.reasons

    def versions_on(self, host: str) -> Versions:
        """Return the versions that the mediated devices of ``host`` state; see ``stated_versions``."""
        if host not in self._versions:
            self._versions[host] = stated_versions(self.fleet.hosts[host])
        return self._versions[host]

    def returns(self, device: Device, target: Device) -> bool:
        """Return whether what went from ``device`` to ``target`` can go back."""
        there = self.existing(device, target)
        if there is None or device.descriptor is None:
            return False
        return bool(self._verdict(there.descriptor, device.descriptor)["compatible"])

    def made_returns(self, source: Device, parent: Parent) -> bool:
        """Return whether a device that went from ``source`` to a compatible new one of ``parent`` can go back.

        What a driver lists for a device that is not there is not known; what is derived for it is: equal versions do. A
        vDPA device is provisioned with nothing that its source has not got.
        """
        if parent.kind == VDPA:
            return True
        if source.descriptor is None or not source.descriptor.derived:
            return False
        version = versions_under(self.versions_on(parent.host), parent)[True]
        return version is not None and _minor(version) == _minor(source.descriptor.version)

    def _reasons(self, source: Descriptor, offered: Offer) -> list[dict[str, t.Any]]:
        if not self.predicts:
            return [
                {
                    "set": None,
                    "attribute": None,
                    "rule": "no_descriptor",
                    "expected": "a device that exists, as only that shows what it accepts,",
                    "actual": None,
                }
            ]
        shown = dict(offered.configuration)
        differing = differences_from_new(source, shown)
        assumed = source.self_attributes | offered.known(source)
        # Where all else would match, the set does not say how many instances it takes.
        patterns = self.judge.patterns(source, True, takes(source.configuration, shown))
        found = mismatch(patterns, assumed) + differing
        return found or [
            {
                "set": None,
                "attribute": AGGREGATOR,
                "rule": "equal",
                "expected": "a number of instances, 1 or more,",
                "actual": source.self_attributes.get(AGGREGATOR),
            }
        ]


def stated_versions(host: Host) -> Versions:
    """Return the software_version that devices state by their parent's id and by its driver, and whether it was derived."""
    of_parents = {parent.id: parent.driver for parent in host.equipment}
    return {
        (stater, derived): version
        for parent, derived, version in host.stated
        for stater in (parent, of_parents.get(parent or ""))
    }


def versions_under(
    versions: Versions, parent: Parent | ParentFacts
) -> tuple[str | None, str | None]:
    """Return the software_version that a new device of ``parent`` will state, and the one it is given if it states none.

    ``None`` where no device of the parent, nor of its driver on that host, shows one, and its driver's module states none.
    """
    stated, derived = (
        versions.get((parent.id, each)) or versions.get((parent.driver, each))
        for each in (False, True)
    )
    return stated, derived or dict(parent.given).get("software_version")


def offer(versions: Versions, parent: Parent | ParentFacts, mdev_type: MdevType) -> Offer:
    """Return what a parent of a host with these ``versions`` offers with one of its types."""
    version, derived_version = versions_under(versions, parent)
    return Offer(
        *(mdev_type.id, mdev_type.name, mdev_type.device_api),
        *(parent.pci_id, parent.driver, version, derived_version),
        *(mdev_type.features, mdev_type.max_vqs),
        *(parent.configuration, parent.given),
    )


def _compared(own: t.Mapping[str, str], name: str, value: str) -> tuple[str, str]:
    """Return an attribute as a derived ``self`` has it once it is given: its last name, and the value as it is compared."""
    last = name.rpartition("/")[2]
    return last, drivers.spelled(own, last, value)


# One source is asked about after the other; none is kept for long.
@functools.lru_cache(maxsize=16)
def _features(source: Descriptor) -> frozenset[str]:
    """Return the attributes that say which virtio features a device offers its guest."""
    return frozenset([name for name in source.self_attributes if name.startswith(virtio.FEATURE)])


@functools.lru_cache(maxsize=1024)
def _features_of(mask: int, device_class: str) -> frozenset[str]:
    """Return the attributes that say which virtio features are in ``mask``: each source asks for those of each parent."""
    return frozenset(virtio.feature_attributes(mask, device_class))


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def instances_of(attributes: t.Iterable[tuple[str, str]]) -> int | None:
    """Return how many instances of its type an mdev with these attributes takes; ``None`` where that is no number.

    That is its ``aggregator`` (2020-08-05 in the discussion).
    """
    named = {name.rpartition("/")[2]: value for name, value in attributes}
    aggregator = named.get(AGGREGATOR) or "1"
    return int(aggregator) if _INSTANCES.match(aggregator) else None
