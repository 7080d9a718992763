# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Verdicts: may a device migrate from a source to a target, and if not, why. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import drivers, virtio
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DescriptorError,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.pattern import (
    Pattern,
    compile_patterns,
    first_match,
    mismatch,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.template import (
    VERSION,
    InvalidPattern,
)
from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.certainty import (
    Reason,
    excludes,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.configuration import (
    assumptions,
    differences,
    open_questions,
    settled,
    takes,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import Descriptor

_ASSUMED = "that is assumed: nothing documents that a driver refuses what these two differ in, so the migration may succeed"

DIRECTIONS = ("source_lists", "target_accepts", "both", "either")


def verdict(
    source: Descriptor | DescriptorError | None,
    target: Descriptor | DescriptorError | None,
    direction: str = "source_lists",
) -> contract.Verdict:
    """Return the verdict: whether a device with descriptor ``source`` may migrate to one with ``target``.

    ``None`` stands for a device that has no descriptor, ``DescriptorError`` for one whose descriptor cannot be used.
    """
    if isinstance(source, Descriptor) and isinstance(target, Descriptor):
        return Judge(direction).verdict(source, target)
    reasons = [
        _no_descriptor(side, descriptor)
        for side, descriptor in (("source", source), ("target", target))
        if not isinstance(descriptor, Descriptor)
    ]
    return _result(direction, None, reasons, False, "assumed", [])


Patterns = list[Pattern | InvalidPattern]


@dataclass(slots=True, eq=False)
class Judge:
    """Gives verdicts for many pairs of descriptors: every list of patterns is parsed once, and asked once of a device."""

    direction: str = DIRECTIONS[0]
    _patterns: dict[tuple[str, bool, bool, bool], Patterns] = field(default_factory=dict)
    _equal_patterns: dict[t.Any, Patterns] = field(default_factory=dict)
    _matches: dict[tuple[int, str], dict[str, t.Any] | None] = field(default_factory=dict)
    _differences: dict[tuple[str, str], list[dict[str, t.Any]]] = field(default_factory=dict)

    def allows(self, source: Descriptor, target: Descriptor) -> bool:
        """Return whether two descriptors are compatible: ``compatible`` of their verdict."""
        return self._lists_allow(source, target) and not self._differing(source, target)

    def _lists_allow(self, source: Descriptor, target: Descriptor) -> bool:
        """Return whether the lists that have their say have the other device: the source's, the target's, both, or either."""
        if self.direction != "target_accepts":
            listed = self._match(source, target, True) is not None
            if self.direction == "source_lists" or listed == (self.direction == "either"):
                return listed
        return self._match(target, source, False) is not None

    def _differing(self, source: Descriptor, target: Descriptor) -> list[dict[str, t.Any]]:
        """Return what keeps two devices apart although their descriptors may match; see ``configuration.differences``."""
        if not (source.configuration or target.configuration):
            return []
        key = (source.digest, target.digest)
        if key not in self._differences:
            self._differences[key] = differences(source, target)
        return self._differences[key]

    def verdict(self, source: Descriptor, target: Descriptor) -> contract.Verdict:
        """Return the verdict for two descriptors; see the function ``verdict``."""
        outward = self._match(source, target, True)
        inward = self._match(target, source, False)
        listed, accepted = outward is not None, inward is not None
        deciding = None
        warnings = []
        differing = self._differing(source, target)
        derived_sides = _derived_sides(source, target)
        reasons: list[Reason] = []
        certainty = _certainty(source, target)
        if self._lists_allow(source, target) and not differing:
            # Of two, the source's, unless only the target's is the one that decides.
            by_source = listed and self.direction != "target_accepts"
            deciding, listing = (outward, source) if by_source else (inward, target)
        if deciding is not None:
            warnings += deciding["warnings"]
            judged = {"software_version", "pci_id", *listing.compatible[deciding["set"]]}
            own, others = source.self_attributes, target.self_attributes
            not_shown = drivers.unknown(own, others) if derived_sides else []
            judged |= drivers.may_be_unknown(own | others) if derived_sides else set()
            warnings += _differences(own, others, (own.keys() | others.keys()) - judged)
            if source.derived:
                answered = settled(source.configuration, target.configuration)
                warnings += drivers.cautions(
                    source.self_attributes, target.self_attributes, answered
                )
            warnings += [each for each in not_shown if each not in warnings]
            assumed = assumptions(source, target)
            certainty = "assumed" if assumed or not_shown else certainty
            warnings += assumed + open_questions(source, target)
        else:
            reasons, certainty = self.refusal(source, target)
            warnings += [_ASSUMED] if certainty == "assumed" else []
        if derived_sides:
            warnings.append(_only_derived(derived_sides, source.self_attributes["device_api"]))
        if listed != accepted:
            yes, no = ("source", "target") if listed else ("target", "source")
            warnings.append(f"the {yes}'s list has the other device, the {no}'s list has not")
        return _result(
            self.direction,
            deciding,
            reasons,
            listed != accepted,
            certainty,
            warnings,
        )

    def refusal(self, source: Descriptor, target: Descriptor) -> tuple[list[Reason], str]:
        """Return why two descriptors are not compatible, and how certain that is: ``reasons`` and ``certainty`` of the verdict.

        A refusal is ``assumed`` where only the care keeps devices apart with which descriptors are derived.
        """
        differing = self._differing(source, target)
        if differing and self._lists_allow(source, target):
            return differing, _certainty(source, target)
        refusals = self._refusals(source, target)
        owner, subject, found = next(refusals)
        reasons = found + differing
        is_known = excludes(owner, subject.self_attributes, subject.derived, reasons)
        if not differing and is_known == (self.direction == "either"):
            # Of "either" all refusals have to be known, else one.
            for owner, subject, found in refusals:
                is_known = excludes(owner, subject.self_attributes, subject.derived, found)
        return reasons, _certainty(source, target) if is_known else "assumed"

    def _refusals(
        self, source: Descriptor, target: Descriptor
    ) -> t.Iterator[tuple[Descriptor, Descriptor, list[Reason]]]:
        """Yield each list that the direction asks and that lacks the other device, by its owner, that device, and why."""
        for owner, subject, by_source in ((source, target, True), (target, source, False)):
            silent = "target_accepts" if by_source else "source_lists"
            # Only of "both" one may have the other device.
            matches = self.direction == "both" and self._match(owner, subject, by_source)
            if self.direction != silent and not matches:
                patterns = self._patterns_for(owner, subject, by_source)
                found = mismatch(patterns, subject.self_attributes)
                yield owner, subject, found

    def _patterns_for(
        self, owner: Descriptor, subject: Descriptor, owner_is_source: bool
    ) -> Patterns:
        # This runs for every pair, and few have a configuration.
        if not (owner.configuration and subject.configuration):
            return self.patterns(owner, owner_is_source)
        source, target = (owner, subject) if owner_is_source else (subject, owner)
        taken = takes(source.configuration, target.configuration)
        return self.patterns(owner, owner_is_source, taken)

    def patterns(
        self, descriptor: Descriptor, owner_is_source: bool, taken: bool = False
    ) -> Patterns:
        """Return the compiled sets of ``descriptor``'s ``compatible``, to match devices on the other side of a migration.

        Where it is known that the version of a vGPU is ``taken``, a derived list compares no releases of its driver; see
        ``configuration.takes``.
        """
        taken = taken and descriptor.derived
        key = (descriptor.digest, owner_is_source, descriptor.derived, taken)
        found = self._patterns.get(key)
        if found is None:
            compatible = descriptor.compatible
            if taken:
                compatible = [
                    {name: text for name, text in attributes.items() if name != VERSION}
                    for attributes in compatible
                ]
            sets = tuple([tuple(attributes.items()) for attributes in compatible])
            # Sets that all state a version are not compared with the descriptor's own.
            stated = all(attributes.get(VERSION) for attributes in compatible)
            version = "" if stated or taken else descriptor.version
            equal = (sets, version, owner_is_source, descriptor.derived)
            if equal not in self._equal_patterns:
                self._equal_patterns[equal] = compile_patterns(
                    compatible,
                    version,
                    subject_is_target=owner_is_source,
                    derived=descriptor.derived,
                )
            found = self._patterns[key] = self._equal_patterns[equal]
        return found

    def _match(
        self, owner: Descriptor, subject: Descriptor, owner_is_source: bool
    ) -> dict[str, t.Any] | None:
        """Return the first of the ``owner``'s sets that a device matches, and how; see ``pattern.first_match``."""
        patterns = self._patterns_for(owner, subject, owner_is_source)
        # These are kept, so no other list ever has the same id.
        key = (id(patterns), subject.digest)
        if key not in self._matches:
            self._matches[key] = first_match(patterns, subject.self_attributes)
        return self._matches[key]


def provisional_warnings(
    source: Descriptor,
    known: t.Mapping[str, str],
    shown: t.Mapping[str, str],
    given: t.Iterable[str],
) -> list[str]:
    """Return what is assumed where a device is to be made for ``source`` and only its attributes ``known`` are certain.

    ``shown`` is the configuration that it will have, as far as it is known, and ``given`` are the full names of the
    attributes that it will be given.
    """
    own = source.self_attributes
    warnings = list(_differences(own, known, ()))
    if source.derived:
        answered = settled(source.configuration, shown)
        settled_names = drivers.settled_by_writing(own).union(
            name.rpartition("/")[2] for name in given
        )
        if drivers.HOST_DRIVER in answered:
            settled_names |= {"software_version"}
        compared, there = (
            {name: text for name, text in side.items() if name not in settled_names}
            for side in (own, known)
        )
        warnings += [
            *drivers.cautions(own, known, answered),
            *drivers.unknown(compared, there),
            _only_derived(["source"], own["device_api"]),
        ]
    return warnings


def _derived_sides(source: Descriptor, target: Descriptor) -> list[str]:
    return [side for side, each in (("source", source), ("target", target)) if each.derived]


def _certainty(source: Descriptor, target: Descriptor) -> str:
    """Return how certain a verdict is where all is known that decides."""
    return "derived" if source.derived or target.derived else "declared"


def _only_derived(sides: list[str], device_api: str) -> str:
    descriptors = f"the descriptor {' and '.join(f'of the {side}' for side in sides)} is derived"
    if device_api == virtio.DEVICE_API:
        return (
            f"{descriptors} from what the kernel says of a vDPA device: one of the same class and configuration that offers"
            " the features which the guest has accepted, or might accept, is taken to be compatible"
        )
    return (
        f"{descriptors} from sysfs, as the driver does not say what it is compatible with: only an equal device"
        " counts as compatible"
    )


def _differences(
    one: t.Mapping[str, str], other: t.Mapping[str, str], uncompared: t.Iterable[str]
) -> t.Iterator[str]:
    """Yield a warning for each ``uncompared`` attribute in which two compatible devices differ, and for a PCI id of its own."""
    for name in sorted(uncompared):
        if one.get(name) != other.get(name):
            yield f"{name} is not compared: it is {_both(one, other, name)}"
    if one["type"] == other["type"] and one.get("pci_id") != other.get("pci_id"):
        yield f"the type is the same, but the PCI id is {_both(one, other, 'pci_id')}"


def _both(one: t.Mapping[str, str], other: t.Mapping[str, str], name: str) -> str:
    return f"{one.get(name, 'absent')} on the source and {other.get(name, 'absent')} on the target"


def _result(
    direction: str,
    match: dict[str, t.Any] | None,
    reasons: list[Reason],
    conflict: bool,
    certainty: str,
    warnings: list[str],
) -> contract.Verdict:
    # What runs on hosts knows the contract's shapes, but not the contract.
    why: t.Any = reasons
    return {
        "compatible": match is not None,
        "direction": direction,
        "direction_conflict": conflict,
        "certainty": certainty,
        "set": match["set"] if match else None,
        "bindings": dict(match["bindings"]) if match else {},
        "reasons": why,
        "warnings": warnings,
    }


def _no_descriptor(side: str, malformed: object) -> Reason:
    attribute = malformed.attribute if isinstance(malformed, DescriptorError) else None
    problem = f": {malformed}" if isinstance(malformed, DescriptorError) else ""
    return {
        "set": None,
        "attribute": attribute,
        "rule": "no_descriptor",
        "expected": f"a descriptor of the {side}{problem}",
        "actual": None,
    }
