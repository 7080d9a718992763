# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Requests: what is to be moved, where to, and under which conditions. Pure."""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Fleet,
    why_unknown,
)

POLICIES = ("pack", "spread")


@dataclass(frozen=True, slots=True)
class Guest:
    """Devices that move together; ``name`` is ``None`` for a device that no process holds."""

    name: str | None
    devices: tuple[Device, ...]

    @property
    def host(self) -> str:
        return self.devices[0].host

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.host, self.name or "", self.devices[0].id)


@dataclass(slots=True)
class Request:
    """What is to be moved where.

    ``avoid`` has the places where nothing may go, ``(host, parent)`` or ``(host, None)`` for a whole host, and why.
    ``limit`` is how many devices a host may receive, for all hosts or by name. Guests of one group in ``apart`` must
    be on different hosts. With ``numa_local`` all devices of a guest must be on one NUMA node, with ``keep_kind``
    and ``keep_type`` of the kind and type they have, and with ``round_trip`` able to migrate back. With ``reuse`` a device that is to be moved
    itself may be a target as well: of a guest that moves later. ``kept`` are the placements of an earlier plan, of
    other guests, that stay as they are.
    """

    guests: list[Guest]
    targets: list[str]
    direction: str = "source_lists"
    policy: str = "pack"
    avoid: t.Mapping[tuple[str, str | None], str] = field(default_factory=dict)
    limit: int | t.Mapping[str, int] | None = None
    apart: t.Sequence[t.Collection[str]] = ()
    numa_local: bool = False
    keep_kind: bool = False
    keep_type: bool = False
    round_trip: bool = False
    reuse: bool = False
    kept: t.Sequence[t.Mapping[str, t.Any]] = ()

    def why_avoided(self, host: str, parent: str | None) -> str | None:
        """Why nothing may go under ``parent`` of ``host``; ``None`` where something may."""
        return self.avoid.get((host, None), self.avoid.get((host, parent)))

    def allows(self, source: Device, kind: str, type_id: str | None) -> bool:
        """Whether a target of this kind and type is one that ``source`` may go to."""
        return (kind == source.kind or not self.keep_kind) and (
            type_id == source.type or not self.keep_type
        )

    def limit_of(self, host: str) -> int | None:
        """How many devices ``host`` may receive; ``None`` where there is no limit."""
        if self.limit is None or isinstance(self.limit, int):
            return self.limit
        return self.limit.get(host)

    def groups_of(self, name: str | None) -> frozenset[int]:
        """The groups in ``apart`` that the guest is in."""
        if not self.apart:
            return frozenset()
        return frozenset(n for n, group in enumerate(self.apart) if name in group)


def requested(
    fleet: Fleet,
    drain: t.Collection[str] | None,
    sources: t.Sequence[t.Any] | None,
) -> list[Guest]:
    """The guests that ``drain`` (hosts) or ``sources`` (guest names and ``{host, id}``) name; raises ``FleetError``."""
    if (drain is None) == (sources is None):
        raise FleetError("what to move is either 'drain' or 'sources': give exactly one of them")
    if drain is not None:
        for name in drain:
            if name not in fleet.hosts:
                raise FleetError(f"cannot drain {name}: {why_unknown(fleet, name)}")
        return guests_of(device for name in set(drain) for device in fleet.hosts[name].devices)
    by_name: dict[t.Any, list[Guest]] = defaultdict(list)
    for guest in guests_of(fleet.devices()):
        if guest.name is not None:
            by_name[guest.name].append(guest)
        for device in guest.devices:
            by_name[device.key].append(guest)
    chosen: dict[tuple[str, str, str], Guest] = {}
    for source in sources or ():
        found = by_name.get(_named(source))
        if not found:
            raise FleetError(f"no guest or device in the fleet's facts is {_shown_source(source)}")
        chosen.update((guest.key, guest) for guest in found)
    return [guest for key, guest in sorted(chosen.items())]


def guests_of(devices: t.Iterable[Device]) -> list[Guest]:
    """The devices, those that one process holds together."""
    held: dict[tuple[str, t.Any], list[Device]] = defaultdict(list)
    for device in devices:
        holder = device.in_use
        known = holder is not None and holder.pid is not None
        held[(device.host, holder.pid if known and holder else device.id)].append(device)
    guests = []
    for together in held.values():
        holder = together[0].in_use
        guests.append(Guest(holder.name if holder else None, tuple(together)))
    return sorted(guests, key=lambda guest: guest.key)


def _named(source: t.Any) -> str | tuple[str, str]:
    """The name of a guest, or host and id of a device, that a source is given as."""
    if isinstance(source, t.Mapping):
        return str(source.get("host")), str(source.get("id"))
    return str(source)


def _shown_source(source: t.Any) -> str:
    if isinstance(source, t.Mapping):
        return f"{source.get('id')} on {source.get('host')}"
    return f"'{source}'"
