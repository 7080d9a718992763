# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Surveys: what is on hosts, whichever guests move, found once for a problem and all of its parts. Pure.

A part has some of the hosts of a problem and some of its guests, and the same conditions except for what is drained. Of
thousands of parts with thousands of hosts each, to look at every device again would take nearly all of the time.
"""

from __future__ import annotations

import functools
import itertools
import operator
import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import offer
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Fleet,
    Host,
    obstacle,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.admissible import (
    Admission,
    NewDevice,
    Target,
)


class _Found(t.NamedTuple):
    """What is available on a host: a device, or one that a parent could make; ``id`` is that of the device or of the parent.

    ``number`` is higher than that of what was found before.
    """

    number: int
    host: str
    id: str
    target: Target


class Survey:
    """What is on the hosts of these ``names``, in their order."""

    def __init__(self, fleet: Fleet, names: t.Sequence[str]) -> None:
        self._fleet = fleet
        self._names = names
        self._places: dict[t.Hashable, list[_Found]] | None = None
        self._contents: dict[str, int] = {}
        self._numbers: dict[t.Hashable, int] = {}
        self._kinds_on: dict[str, set[t.Hashable]] = {}
        self._hosts_with: dict[t.Hashable, set[str]] = {}

    @functools.cached_property
    def partly_read(self) -> list[str]:
        """The hosts of which not all could be read."""
        return [name for name in self._names if self._fleet.hosts[name].facts["problems"]]

    @functools.cached_property
    def with_perhaps_held(self) -> list[str]:
        """The hosts with devices of which it is unknown whether a process holds them."""
        return [name for name in self._names if self._fleet.hosts[name].perhaps_held]

    def places(
        self, admission: Admission, names: t.Sequence[str]
    ) -> t.Iterable[t.Sequence[_Found]]:
        """Return what is available on the hosts of a part, those that are alike together, in the order of the hosts."""
        if not admission.is_plain:
            return self._alike(admission, names).values()
        there = {*names}
        found = [
            part
            for alike in self._all_places(admission).values()
            if (part := [each for each in alike if each.host in there])
        ]
        return sorted(found, key=operator.itemgetter(0))

    def _all_places(self, admission: Admission) -> dict[t.Hashable, list[_Found]]:
        if self._places is None:
            self._places = self._alike(admission, self._names)
        return self._places

    def only_on(self, admission: Admission, names: t.Iterable[str]) -> frozenset[t.Hashable]:
        """Return what there is, or may be, on some of these hosts and on no other: without them, it need not be searched for.

        That is what may still distinguish hosts with equal places and guests: all else is on the hosts that remain, too.
        """
        if not self._kinds_on:
            self._note_kinds(admission)
        there = {*names}
        kinds = set[t.Hashable]().union(*(self._kinds_on.get(name, ()) for name in there))
        return frozenset([each for each in kinds if self._hosts_with[each] <= there])

    def _note_kinds(self, admission: Admission) -> None:
        """Note which hosts were partly read, and which have each kind of places, and of devices that may be held."""
        found: dict[t.Hashable, set[str]] = defaultdict(set)
        found["partly read"].update(self.partly_read)
        for name in self.with_perhaps_held:
            for device in self._fleet.hosts[name].perhaps_held:
                found[likeness(admission, device), obstacle(device)].add(name)
        for kind, places in self._all_places(admission).items():
            found[kind].update([each.host for each in places])
        on: dict[str, set[t.Hashable]] = {name: set() for name in self._names}
        for kind, hosts in found.items():
            for name in hosts:
                on[name].add(kind)
        self._kinds_on, self._hosts_with = on, found

    def _alike(
        self, admission: Admission, names: t.Iterable[str]
    ) -> dict[t.Hashable, list[_Found]]:
        candidates = admission.candidates
        alike: dict[t.Hashable, list[_Found]] = {}
        numbers = itertools.count()
        for name in names:
            host = self._fleet.hosts[name]
            for device in admission.to_be_had(host):
                found = _Found(next(numbers), name, device.id, device)
                alike.setdefault(likeness(admission, device), []).append(found)
            for parent in host.parents:
                for each in parent.types:
                    if each.available_instances > 0:
                        offered = offer(candidates.versions_on(name), parent, each)
                        new = NewDevice(parent.kind, each.id, parent, each)
                        found = _Found(next(numbers), name, parent.id, new)
                        alike.setdefault((parent.kind, offered), []).append(found)
        return alike

    def contents(
        self, admission: Admission, host: Host, find: t.Callable[[Host], t.Hashable]
    ) -> int:
        """Return the number that hosts have in common for which ``find`` returns the same, where that holds whichever guests move."""
        if not admission.is_plain or host.name in admission.moving:
            return self._number(find(host))
        if host.name not in self._contents:
            self._contents[host.name] = self._number(find(host))
        return self._contents[host.name]

    def _number(self, found: t.Hashable) -> int:
        return self._numbers.setdefault(found, len(self._numbers))


def likeness(admission: Admission, device: Device) -> t.Hashable:
    """Return what is equal of devices that receive alike."""
    apart = admission.card_of(device), admission.uuid_of(device)
    return device.kind, device.type, device.descriptor, device.choices, device.p2p, apart
