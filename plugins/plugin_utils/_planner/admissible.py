# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Admission: which device may become which, and why not. Pure."""

from __future__ import annotations

import typing as t
from collections import defaultdict
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import (
    wants_its_uuid,
)
from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import (
    Candidates,
    Creatable,
    Existing,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import why_in_use
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Host,
    MdevType,
    Parent,
    has_several,
    obstacle,
    obstacle_code,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.ap_queues import (
    Matrix,
    contested,
    matrices_on,
    matrix_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.network import (
    address_of,
    takes_address,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Request,
)


class Refusal(t.NamedTuple):
    """Why something may not be, for a program and in ``words``; ``detail`` is what the code leaves open."""

    code: contract.ReasonCode
    words: str
    detail: str | None = None


INCOMPATIBLE = Refusal("attribute", "it is not compatible")
NO_P2P = Refusal(
    "target_no_p2p",
    "it does not support P2P (debugfs), without which QEMU starts no guest on the new host that has several VFIO devices"
    " and can migrate",
)


class NewDevice(t.NamedTuple):
    """A device of ``mdev_type`` that ``parent`` could make."""

    kind: str
    type: str
    parent: Parent
    mdev_type: MdevType


Target = Device | NewDevice


class Likeness(t.Protocol):
    """What is known of every target: of one that is there, of one that could be made, and of one that an earlier plan names."""

    @property
    def kind(self) -> str: ...

    @property
    def type(self) -> str | None: ...


class StatedTarget(t.NamedTuple):
    """What an earlier plan states of a target, wherever that is now."""

    kind: str
    type: str | None


class Requirement(t.NamedTuple):
    """A condition on a source and what its target is like: whether it ``holds``, and the ``words`` for what it wants.

    Each placement of an earlier plan shows by itself whether it keeps to it.
    """

    holds: t.Callable[[Device, Likeness], bool]
    words: t.Callable[[Device], str]


class JudgedRequirement(t.NamedTuple):
    """A condition that only a look at the target itself decides; otherwise as ``Requirement``."""

    holds: t.Callable[[Device, Target, Candidates], bool]
    words: t.Callable[[Device], str]


def _can_return(source: Device, target: Target, candidates: Candidates) -> bool:
    if isinstance(target, Device):
        return candidates.returns(source, target)
    return candidates.made_returns(source, target.parent)


# By the names of the conditions; each is asked only where its condition is.
REQUIREMENTS: dict[str, Requirement] = {
    "keep_kind": Requirement(
        lambda source, target: source.kind == target.kind,
        lambda source: f"of kind {source.kind}",
    ),
    "keep_type": Requirement(
        lambda source, target: source.type == target.type,
        lambda source: f"of type {source.type}",
    ),
}
JUDGED_REQUIREMENTS: dict[str, JudgedRequirement] = {
    "round_trip": JudgedRequirement(
        _can_return,
        lambda source: "from which it is known that the device could migrate back",
    ),
}


def asked_of_each(conditions: Conditions) -> list[Requirement]:
    """Return which requirements are asked for that each placement keeps, or does not keep, by itself."""
    return [each for name, each in REQUIREMENTS.items() if getattr(conditions, name)]


@dataclass(frozen=True, slots=True)
class Exclusions:
    """What an earlier search has shown to be in the way: devices that will not be free, and guests that stay."""

    devices: frozenset[tuple[str, str]] = frozenset()
    guests: frozenset[int] = frozenset()


NO_EXCLUSIONS = Exclusions()


class Address(t.NamedTuple):
    """A MAC address that goes with a guest, by its number, and that another one has as well."""

    mac: str
    guest: int


# Codes of refusals that are the only obstacle to a target which matches otherwise.
IN_THE_WAY = frozenset({"target_no_p2p", "mac_address", "queue_assigned", "other_uuid"})


class Admission:
    """Decides for one request what a device may become, and says why not."""

    def __init__(self, request: Request, candidates: Candidates, exclusions: Exclusions) -> None:
        self.candidates = candidates
        self._conditions = request.conditions
        self._exclusions = exclusions
        self.kept_sources = {
            (each["source"]["host"], each["source"]["id"]) for each in request.kept
        }
        self._of_others = {device.key for guest in request.others for device in guest.devices}
        self.asked: tuple[Requirement | JudgedRequirement, ...] = (
            *asked_of_each(request.conditions),
            *[
                each
                for name, each in JUDGED_REQUIREMENTS.items()
                if getattr(request.conditions, name)
            ],
        )
        self.moving: dict[str, set[str]] = defaultdict(set)
        # By host, the devices of guests with several, each of which has to support P2P, and so have their targets.
        self._several: dict[str, set[str]] = defaultdict(set)
        for guest in request.guests:
            self.moving[guest.host].update([device.id for device in guest.devices])
            if len(guest.devices) > 1:
                several = [each.id for each in guest.devices if has_several(each, guest.devices)]
                self._several[guest.host].update(several)
        # The cards on which a guest has a MAC address, or is given it by what is kept: by host and card, which function has it.
        self._there: dict[tuple[str, str | None], dict[str, str]] = defaultdict(dict)
        # By source, and whether two guests that move have one of them.
        self.addresses: dict[tuple[str, str], Address] = {}
        self._is_shared = False
        self._note_addresses(request)
        # The matrices that have a queue in common with another one, by source; by host those that are there.
        self.matrices: dict[tuple[str, str], Matrix] = {}
        self._matrices_on: dict[str, dict[Matrix, str]] = {}
        self._note_matrices(request)
        # The UUIDs that the targets of those that move have to have, and which of them are there, by host.
        self._uuids = {
            each.id for guest in request.guests for each in guest.devices if _wants_its_uuid(each)
        }
        self._uuids_on: dict[str, frozenset[str]] = {}
        self._kept_on: dict[str, set[str]] = defaultdict(set)
        for each in request.kept if self._uuids else ():
            self._kept_on[each["target"]["host"]].add(each["target"]["id"])
        # The checks of each target that some device that moves needs.
        self._obstacles: list[t.Callable[[Device, Target], Refusal | None]] = [
            *([self.beside_queues] if self.matrices else ()),
            *([self.of_another_uuid] if self._uuids else ()),
        ]

        # Whether what is available on a host, and what its devices are like, depends on nothing that moves.
        self.is_plain = not (
            self._conditions.reuse
            or self.kept_sources
            or self._of_others
            or self.addresses
            or self._uuids
            or any(each.in_use is None for guest in request.guests for each in guest.devices)
        )

    def _note_addresses(self, request: Request) -> None:
        """Note the MAC addresses that two guests might have on one card: the card would give each the other's frames."""
        going = [
            (each.key, Address(mac, number))
            for number, guest in enumerate(request.guests)
            for each in guest.devices
            if (mac := address_of(each)) is not None
        ]
        if not going:
            return
        owners: dict[str, set[int]] = defaultdict(set)
        for _key, (mac, number) in going:
            owners[mac].add(number)
        hosts_with: dict[str, set[str]] = defaultdict(set)

        def note(host: str, card: str | None, mac: str, device_id: str) -> None:
            self._there[host, card].setdefault(mac, device_id)
            hosts_with[mac].add(host)

        for name in request.targets:
            addresses = self.candidates.fleet.hosts[name].addresses
            for mac in owners.keys() & addresses.keys():
                for card, device_id in addresses[mac].items():
                    note(name, card, mac, device_id)
        for each in request.kept:
            target = each["target"]
            mac = target.get("network", {}).get("mac")
            if mac in owners:
                note(target["host"], target["parent"], str(mac), target["id"])
        self._is_shared = any(len(each) > 1 for each in owners.values())
        self.addresses = {
            key: address
            for key, address in going
            if len(owners[address.mac]) > 1 or hosts_with[address.mac] - {key[0]}
        }

    def _note_matrices(self, request: Request) -> None:
        """Note the AP queues that no two devices on one host can have: of those that move, and of those that are there."""
        going = {
            each.key: matrix
            for guest in request.guests
            for each in guest.devices
            if (matrix := matrix_of(each)) is not None
        }
        if not going:
            return
        hosts = self.candidates.fleet.hosts
        for name in request.targets:
            self._matrices_on[name] = {
                matrix: f"{device.id} there" for matrix, device in matrices_on(hosts[name])
            }
        self._note_kept_matrices(request.kept)
        there = [matrix for each in self._matrices_on.values() for matrix in each]
        shared = contested([*going.values(), *there])
        self.matrices = {key: matrix for key, matrix in going.items() if matrix in shared}

    def _note_kept_matrices(self, kept: t.Sequence[contract.Placement]) -> None:
        """Note as being there what is kept of an earlier plan and is still to be made, or waits for its matrix."""
        hosts = self.candidates.fleet.hosts
        sources = {host for host, _id in self.kept_sources if host in hosts}
        given = {
            device.key: matrix for name in sources for matrix, device in matrices_on(hosts[name])
        }
        for each in kept:
            target = each["target"]
            matrix = given.get((each["source"]["host"], each["source"]["id"]))
            if matrix is not None and target["host"] in self._matrices_on:
                there = self._matrices_on[target["host"]]
                there.setdefault(matrix, f"{target['id']}, which is to have it there,")

    def matrices_on(self, host: str) -> t.Mapping[Matrix, str]:
        """Return the matrices that are on a target host, where such devices move, each with the words for its device."""
        return self._matrices_on.get(host, {})

    def beside_queues(self, source: Device, target: Target) -> Refusal | None:
        """Return that another device on the host of ``target``, which is to be given the AP queues of ``source``, has one of them."""
        matrix = self.matrices.get(source.key)
        if matrix is None:
            return None
        if isinstance(target, Device):
            host, is_given = target.host, target.kind == "mdev" and matrix_of(target) is None
        else:
            host, is_given = target.parent.host, target.mdev_type.device_api == "vfio-ap"
        for other, whose in self.matrices_on(host).items() if is_given else ():
            queue = matrix.shared_queue(other)
            if queue is not None:
                return Refusal("queue_assigned", f"{whose} has its AP queue {queue}", queue)
        return None

    def is_one_of_several(self, source: Device) -> bool:
        """Return whether the guest of ``source``, which moves, has other devices with which that has to support P2P."""
        return source.id in self._several.get(source.host, ())

    def uuid_of(self, device: Device) -> str | None:
        """Return the UUID of ``device`` where something that moves has the same and may go to no other, or is that device."""
        return device.id if device.id in self._uuids and device.kind == "mdev" else None

    def uuids_on(self, host: str) -> frozenset[str]:
        """Return which of these UUIDs are on a host already, so that no new device there can have them."""
        if self._uuids and host not in self._uuids_on:
            ids = {each.id for each in self.candidates.fleet.hosts[host].devices}
            ids |= self._kept_on[host]
            self._uuids_on[host] = frozenset(ids & self._uuids)
        return self._uuids_on.get(host, frozenset())

    def of_another_uuid(self, source: Device, target: Target) -> Refusal | None:
        """Return that ``target`` has not, or cannot get, the UUID of ``source`` where it needs that."""
        if self.uuid_of(source) is None or not _wants_its_uuid(source):
            return None
        wanted = f"the UUID of the source, {source.id}, which migrates to no other"
        if isinstance(target, NewDevice):
            if source.id not in self.uuids_on(target.parent.host):
                return None
            return Refusal("other_uuid", f"a device there has {wanted}", source.id)
        if (target.kind, target.id) == ("mdev", source.id):
            return None
        return Refusal("other_uuid", f"it has not {wanted}", source.id)

    def card_of(self, target: Device) -> t.Hashable:
        """Return what sets the card of ``target`` apart from others that may be given other MAC addresses; ``None``: nothing."""
        if not self.addresses or not takes_address(target):
            return None
        there = frozenset(self._there.get((target.host, target.parent), ()))
        return (target.parent if self._is_shared else None), there

    def address_given(self, source: Device, target: Target | None) -> Address | None:
        """Return the MAC address that ``target`` would be given and that is not this guest's alone, if it is such a one."""
        if not self.addresses or not isinstance(target, Device) or not takes_address(target):
            return None
        return self.addresses.get(source.key)

    def admit(
        self, source: Device, target: Target
    ) -> tuple[Existing | Creatable | None, Refusal | None]:
        """Return the candidate that ``target`` is for ``source`` if it is available, or why ``source`` may not become it."""
        found: Existing | Creatable | None
        if isinstance(target, Device):
            found = self.candidates.compatible(source, target)
        else:
            found = self.candidates.makeable(source, target.parent, target.mdev_type)
        if found is None:
            return None, INCOMPATIBLE
        refusal = self._unwanted(source, target)
        return (None, refusal) if refusal else (found, None)

    def _unwanted(self, source: Device, target: Target) -> Refusal | None:
        """Return why ``source`` may not become ``target`` even if that is compatible; ``None`` where it may."""
        if isinstance(target, Device) and target.p2p is False and self.is_one_of_several(source):
            return NO_P2P
        if self.addresses and isinstance(target, Device) and takes_address(target):
            refusal = self.beside_address(source, target)
            if refusal is not None:
                return refusal
        for why_not in self._obstacles:
            refusal = why_not(source, target)
            if refusal is not None:
                return refusal
        for each in self.asked:
            if not self._holds(each, source, target):
                words = each.words(source)
                return Refusal("condition", f"it is not {words}", words)
        return None

    def _holds(
        self, asked: Requirement | JudgedRequirement, source: Device, target: Target
    ) -> bool:
        if isinstance(asked, Requirement):
            return asked.holds(source, target)
        return asked.holds(source, target, self.candidates)

    def beside_address(self, source: Device, target: Device) -> Refusal | None:
        """Return that another function of the card of ``target`` has the MAC address of ``source``, and is held, if one does."""
        given = self.addresses.get(source.key)
        if given is None or target.kind != "pci":
            return None
        function = self._there.get((target.host, target.parent), {}).get(given.mac)
        if function is None or (target.in_use is not None and function == target.id):
            return None
        return Refusal(
            "mac_address",
            f"{function} of the same card has its MAC address {given.mac}, and another guest has that",
            given.mac,
        )

    def doubts(self, source: Device, target: Target) -> list[str]:
        """Return the attributes by which alone, as is assumed and not known, ``source`` may not become ``target``."""
        if isinstance(target, Device):
            reasons = self.candidates.doubts(source, target)
        else:
            reasons = self.candidates.doubts_of_new(source, target.parent, target.mdev_type)
        if not reasons or self._unwanted(source, target) is not None:
            return []
        return sorted({each["attribute"] or "compatible" for each in reasons})

    def refusal(self, source: Device, target: Target) -> Refusal | None:
        """Return why ``source`` may not become ``target``, even if that is available; ``None`` where it may."""
        return self.admit(source, target)[1]

    def to_be_had(self, host: Host) -> list[Device]:
        """Return the devices of ``host`` that some source may become: those that are not ``unavailable``."""
        # Most devices are held: the reasons are worded on demand.
        perhaps = host.devices if self._conditions.reuse else host.unheld
        return [each for each in perhaps if self.unavailable(each) is None]

    def unavailable(self, device: Device) -> Refusal | None:
        """Return why ``device`` is unavailable to every source, whatever moves; ``None`` where it is available."""
        moves = device.id in self.moving.get(device.host, ())
        moves_later = (
            moves and self._conditions.reuse and device.key not in self._exclusions.devices
        )
        if (
            (moves and not moves_later)
            or (self.kept_sources and device.key in self.kept_sources)
            or (self._of_others and device.key in self._of_others)
        ):
            return Refusal("moves_itself", "it moves, too")
        why = obstacle(device)
        if why is not None and (device.choices is None or device.descriptor is None):
            return Refusal(obstacle_code(device), why)
        avoided = self._conditions.why_avoided(device.host, device.parent)
        if avoided is not None:
            return Refusal("avoided", f"it is excluded: {avoided}", avoided)
        return None if moves_later else refusal_in_use(device)


def _wants_its_uuid(device: Device) -> bool:
    descriptor = device.descriptor
    return (
        device.kind == "mdev"
        and descriptor is not None
        and bool(descriptor.derived)
        and wants_its_uuid(descriptor.self_attributes)
    )


def refusal_in_use(device: Device) -> Refusal | None:
    """Return why ``device`` is in use, or may be; ``None`` where no process holds it."""
    why = why_in_use(device)
    if why is None or device.in_use is None:
        return None
    return Refusal("holder_unknown" if device.in_use.pid is None else "in_use", why)
