# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Classes: the descriptors of a fleet that have equal verdicts. Pure."""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    API_MUSTS,
    digest,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import Descriptor

_ALWAYS_COMPARED = frozenset(("software_version", "device_api", "type", *API_MUSTS.values()))


@dataclass(slots=True)
class Classes:
    """``of`` has the class of each descriptor, itself a descriptor.

    A vendor may state in ``self`` what names a device, like its remote_url. Attributes that no pattern of the fleet
    names decide nothing; ``uncompared`` are those of them in which otherwise equal devices differ, and a class is
    without them. ``without`` has, by the name of each class, those that its devices had.
    """

    of: dict[Descriptor, Descriptor]
    uncompared: list[str]
    without: dict[str, set[str]]

    def warnings(self, source: str, target: str) -> list[str]:
        """Return what a verdict on the classes with these names leaves open about their devices."""
        names = sorted(self.without[source] | self.without[target])
        return [f"{name} is not compared: devices of one class differ in it" for name in names]


def classify(descriptors: t.Collection[Descriptor]) -> Classes:
    """Return the classes of ``descriptors``, which are all those of a fleet."""
    named = _ALWAYS_COMPARED.union(
        *(names for descriptor in descriptors for names in descriptor.compatible)
    )
    uncompared = _differing(descriptors, named)
    classes: dict[str, Descriptor] = {}
    found = Classes({}, sorted(uncompared), defaultdict(set))
    # Where one of two equal descriptors is derived, no more is said of both than of that one.
    for descriptor in sorted(descriptors, key=lambda each: (each.digest, not each.derived)):
        reduced = _without(descriptor, uncompared)
        one = found.of[descriptor] = classes.setdefault(reduced.digest, reduced)
        found.without[one.digest] |= uncompared & descriptor.self_attributes.keys()
    return found


def _differing(descriptors: t.Collection[Descriptor], named: frozenset[str]) -> set[str]:
    """Return the attributes, none of them ``named``, in which descriptors differ that are equal in all others."""
    open_names = {name for each in descriptors for name in each.self_attributes} - named
    if not open_names:
        return set()
    alike: dict[str, list[Descriptor]] = defaultdict(list)
    for descriptor in descriptors:
        alike[_without(descriptor, open_names).digest].append(descriptor)
    return {
        name
        for members in alike.values()
        for name in open_names
        if len({member.self_attributes.get(name) for member in members}) > 1
    }


def _without(descriptor: Descriptor, names: set[str]) -> Descriptor:
    own = descriptor.self_attributes
    if names.isdisjoint(own):
        return descriptor
    own = {name: value for name, value in own.items() if name not in names}
    return Descriptor(
        own,
        descriptor.compatible,
        descriptor.origin,
        digest(own, descriptor.compatible, descriptor.configuration),
        descriptor.configuration,
    )
