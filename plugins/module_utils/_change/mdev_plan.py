# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What is to be changed so that a host has the mediated devices that the user wants.

Compares and checks; changes nothing. ``mdev_apply`` makes the changes.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import (
    AttributeWrite,
    check_accepted,
    listed,
    needed_writes,
    validate_accept,
    validate_attributes,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import (
    InvalidRequest,
    Refused,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import (
    ABSENT,
    CONFIGURED,
    CREATED,
    DEFINED,
    PRESENT,
    REDEFINED,
    REMOVED,
    UNCHANGED,
    UNDEFINED,
    DeviceChange,
    HostChanges,
    check_distinct,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import shown
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    UUID,
    attribute_list,
    attribute_pairs,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    MediatedDevice,
    Parent,
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.mdevctl import (
    Mdevctl,
    MdevctlError,
    definition,
    is_defined,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import (
    Holders,
    nodes,
    why_held,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
    reading,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import (
    MDEV_DEVICES,
    MDEV_PARENTS,
    Sysfs,
)

# mdevctl's definitions of one device, by parent.
_Definitions = t.Mapping[str, t.Dict[str, t.Any]]


@dataclasses.dataclass
class MdevHost:
    """A host with mediated devices: its sysfs, what finds the process that holds a device, and mdevctl if it is there."""

    sysfs: Sysfs
    scan_holders: t.Callable[[], Holders]
    mdevctl: Mdevctl | None


@dataclasses.dataclass
class WantedMdev:
    """A device as the user wants it; ``attributes`` are names and values in order, ``accept`` normalised sets."""

    uuid: str
    parent: str | None
    type: str | None
    attributes: list[tuple[str, str]]
    accept: list[dict[str, str]] | None


@dataclasses.dataclass
class MdevChange(DeviceChange):
    """The change of one device and of its definition in mdevctl.

    ``before`` and ``after`` are ``{parent, type, attributes}``, or ``None`` where there is no device. ``own`` is its
    descriptor's ``self`` before, ``nodes`` are the paths by which a process may hold it. ``live`` says whether the change
    may be made while a process holds the device. ``definition`` is the word for the change of the definition, or
    ``None``, and ``definitions`` are those before, by parent.
    """

    wanted: WantedMdev
    before: dict[str, t.Any] | None = None
    after: dict[str, t.Any] | None = None
    own: dict[str, str] | None = None
    nodes: list[str] = dataclasses.field(default_factory=list)
    live: bool = False
    definition: str | None = None
    definitions: _Definitions = dataclasses.field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return super().changed or self.definition in REDEFINED

    @property
    def parents(self) -> set[str]:
        """The parents under which something changes."""
        parents = set(self.definitions)
        if self.before and self.action != UNCHANGED:
            parents.add(self.before["parent"])
        new = self.action == CREATED or self.definition == DEFINED
        if new and self.wanted.parent is not None:
            parents.add(self.wanted.parent)
        return parents

    def predicted(self) -> dict[str, t.Any]:
        device = self.after or self.before or {}
        return self.result(
            device.get("parent", self.wanted.parent),
            device.get("type", self.wanted.type),
            device["attributes"] if self.after else [],
            self.own if self.action == UNCHANGED else None,
        )

    def sides(self) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        before, after = dict(self.before or {}), dict(self.after or {})
        if self.definition in REDEFINED:
            before["definitions"] = dict(self.definitions)
            after["definitions"] = {}
        if self.definition == DEFINED:
            content = definition(self.wanted.type, self.wanted.attributes)
            after["definitions"] = {self.wanted.parent: content}
        return before, after

    def result(
        self,
        parent: str | None,
        type_id: str | None,
        attributes: list[dict[str, str]],
        own: dict[str, str] | None,
    ) -> dict[str, t.Any]:
        """Return what the module returns of the device."""
        return {
            "uuid": self.wanted.uuid,
            "parent": parent,
            "type": type_id,
            "action": self.action,
            "definition": self.definition,
            "attributes": attributes,
            "self": own,
        }


# --- what is wanted --------------------------------------------------------------------------------------------------


def validate(devices: t.Iterable[t.Mapping[str, t.Any]], state: str) -> list[WantedMdev]:
    """Return the devices of the user's list, in order; raise ``InvalidRequest`` where one is not what it must be."""
    wanted = [_validated(device, state) for device in devices]
    check_distinct([each.uuid for each in wanted])
    return wanted


def _validated(device: t.Mapping[str, t.Any], state: str) -> WantedMdev:
    uuid = device["uuid"].lower()
    if not UUID.match(uuid):
        raise InvalidRequest(
            f"{shown(device['uuid'])} is not a UUID; expected 8, 4, 4, 4 and 12 hex digits with '-' between them",
        )
    for name in ("parent", "type"):
        value = device[name]
        if value is None:
            if state == PRESENT:
                raise InvalidRequest(f"'{name}' is missing; it is needed to create it", uuid)
        elif value in ("", ".", "..") or "/" in value or not value.isprintable():
            raise InvalidRequest(f"{shown(value)} is not the name of a {name}", uuid)
    return WantedMdev(
        uuid,
        device["parent"],
        device["type"],
        validate_attributes(device, uuid),
        validate_accept(device["accept"], uuid),
    )


# --- what there is, and what is to be done ---------------------------------------------------------------------------


class MdevPlanner:
    """Compares what is wanted with the host.

    mdevctl is asked for ``persistent`` devices and for those to be created. ``warnings`` are for the user.
    """

    def __init__(self, host: MdevHost, persistent: bool) -> None:
        self.warnings: list[str] = []
        self._sysfs = host.sysfs
        self._scan_holders = host.scan_holders
        self._mdevctl = host.mdevctl
        self._persistent = persistent
        self._parents: dict[str, Parent] = {}

    def locks(self, wanted: t.Iterable[WantedMdev], state: str) -> set[str]:
        """Return the parents that the changes are about, as far as they are known before planning."""
        definitions = self._definitions() if self._persistent else {}
        parents = set()
        for each in wanted:
            target = self._sysfs.link(MDEV_DEVICES, each.uuid) or ""
            parents |= {*target.split("/")[-2:-1], *definitions.get(each.uuid, ())}
            # One that is not there is refused later, and needs no lock.
            if each.parent is not None and self._sysfs.exists(MDEV_PARENTS, each.parent):
                parents.add(each.parent)
        return parents

    def plan(self, wanted: t.Iterable[WantedMdev], state: str) -> HostChanges:
        """Return the changes, in order; raise ``ProvisionError`` where they cannot be made."""
        changes = []
        for each in wanted:
            try:
                changes.append(self._change(each, state))
            except HostReadError as problem:
                raise Refused(str(problem), each.uuid) from None
        self._check_instances(changes)
        self._check_holders(changes)
        self._plan_definitions(changes, state)
        return HostChanges(state, {"devices": changes})

    def _change(self, wanted: WantedMdev, state: str) -> MdevChange:
        if self._sysfs.exists(MDEV_DEVICES, wanted.uuid):
            with MediatedDevice(self._sysfs, wanted.uuid, self._parents) as device:
                return self._existing(wanted, state, device)
        if state == ABSENT:
            return MdevChange(wanted.uuid, UNCHANGED, wanted)
        self._check_type(wanted)
        after = _state(wanted.parent, wanted.type, wanted.attributes)
        return MdevChange(wanted.uuid, CREATED, wanted, after=after)

    def _existing(self, wanted: WantedMdev, state: str, device: MediatedDevice) -> MdevChange:
        for name, expected, actual in (
            ("parent", wanted.parent, device.parent),
            ("type", wanted.type, device.type),
        ):
            if expected is not None and expected != actual:
                raise Refused(
                    f"it exists with the {name} {actual}, not {expected}; it is left as it is",
                    wanted.uuid,
                )
        descriptor, attributes, problems = read_descriptor(device)
        current = dict(attribute_pairs(attributes))
        needed = needed_writes(device, wanted.attributes) if state == PRESENT else []
        action = REMOVED if state == ABSENT else CONFIGURED if needed else UNCHANGED
        if action == UNCHANGED:
            check_accepted(wanted.uuid, wanted.accept, descriptor, problems)
        return MdevChange(
            wanted.uuid,
            action,
            wanted,
            before=_state(device.parent, device.type, current.items()),
            after=_after(device, current, needed) if state == PRESENT else None,
            own=descriptor["self"] if descriptor else None,
            nodes=nodes(device.iommu_group, device.character_devices()),
            live=state == PRESENT and is_live(device, needed),
        )

    def _check_type(self, wanted: WantedMdev) -> None:
        with reading(self._sysfs.path(MDEV_PARENTS)):
            parents = self._sysfs.names(MDEV_PARENTS)
        if wanted.parent not in parents:
            raise Refused(
                f"there is no parent {wanted.parent} in {self._sysfs.path(MDEV_PARENTS)}; {listed(parents)}",
                wanted.uuid,
            )
        types = self._parent(wanted.parent).type_ids()
        if wanted.type not in types:
            raise Refused(
                f"the parent {wanted.parent} has no type {wanted.type}; {listed(types)}",
                wanted.uuid,
            )

    def _check_instances(self, changes: t.Iterable[MdevChange]) -> None:
        # The types of a parent share what there is, so more may be too much yet: there the driver has the last word.
        needed: dict[tuple[str, str], int] = {}
        for change in changes:
            parent, type_id = change.wanted.parent, change.wanted.type
            if change.action != CREATED or parent is None or type_id is None:
                continue
            number = needed[parent, type_id] = needed.get((parent, type_id), 0) + 1
            try:
                available = self._parent(parent).read_type(type_id)["available_instances"]
            except HostReadError as problem:
                raise Refused(str(problem), change.wanted.uuid) from None
            if number > available:
                raise Refused(
                    f"no instance of type {type_id} is left for it under {parent}: available_instances is {available},"
                    f" and it is number {number} that this call creates",
                    change.wanted.uuid,
                )

    def _check_holders(self, changes: t.Iterable[MdevChange]) -> None:
        touched = [
            change
            for change in changes
            if change.action in (CONFIGURED, REMOVED) and not change.live
        ]
        if touched:
            holders = self._scan_holders()
            for change in touched:
                holder = holders.holder_of(change.nodes)
                if holder is not None:
                    raise Refused(why_held(holder), change.wanted.uuid)

    def _plan_definitions(self, changes: t.Sequence[MdevChange], state: str) -> None:
        if self._persistent:
            definitions = self._definitions()
            for change in changes:
                self._plan_definition(change, state, definitions.get(change.wanted.uuid, {}))
        else:
            self._check_definitions([change for change in changes if change.action == CREATED])

    def _plan_definition(self, change: MdevChange, state: str, found: _Definitions) -> None:
        wanted = change.wanted
        change.definition = UNCHANGED
        if state == ABSENT:
            change.definitions = {
                parent: each
                for parent, each in found.items()
                if wanted.parent is None or wanted.parent == parent
            }
            if change.definitions:
                change.definition = UNDEFINED
            return
        self._check_defined_parent(wanted, found)
        self._check_defined_type(wanted, found.get(wanted.parent or ""))
        if not is_defined(found.get(wanted.parent or ""), wanted.type, wanted.attributes):
            change.definitions = found
            change.definition = DEFINED

    def _check_definitions(self, created: t.Sequence[MdevChange]) -> None:
        """Raise ``Refused`` where mdevctl has another definition of a device that is to be created."""
        if not created or self._mdevctl is None:
            return
        try:
            definitions = self._mdevctl.definitions()
        except MdevctlError as error:
            self.warnings.append(f"it is unknown what is defined in mdevctl: {error}")
            return
        for change in created:
            found = definitions.get(change.wanted.uuid, {})
            self._check_defined_parent(change.wanted, found)
            self._check_defined_type(change.wanted, found.get(change.wanted.parent or ""))

    def _check_defined_parent(self, wanted: WantedMdev, found: _Definitions) -> None:
        others = sorted(set(found) - {wanted.parent or ""})
        if others:
            raise Refused(
                f"mdevctl has a definition of it under {', '.join(others)}, not {wanted.parent};"
                " it is left as it is",
                wanted.uuid,
            )

    def _check_defined_type(self, wanted: WantedMdev, found: t.Mapping[str, t.Any] | None) -> None:
        if found is not None and found.get("mdev_type") != wanted.type:
            raise Refused(
                f"mdevctl has a definition of it with the type {found.get('mdev_type')}, not {wanted.type};"
                " it is left as it is",
                wanted.uuid,
            )

    def _definitions(self) -> t.Mapping[str, _Definitions]:
        if self._mdevctl is None:
            return {}
        try:
            return self._mdevctl.definitions()
        except MdevctlError as error:
            raise Refused(str(error)) from None

    def _parent(self, name: str) -> Parent:
        if name not in self._parents:
            self._parents[name] = Parent(self._sysfs, name)
        return self._parents[name]


def is_live(device: MediatedDevice, needed: t.Sequence[AttributeWrite]) -> bool:
    """Return whether the driver takes all of what is needed while a process holds the device."""
    if not needed:
        return False
    live = device.driver_profile().live
    return all(write.name in live for write in needed)


def _after(
    device: MediatedDevice, current: t.Mapping[str, str], needed: t.Iterable[AttributeWrite]
) -> dict[str, t.Any]:
    """Return the device's state with what is ``needed``; what cannot be read is listed as written."""
    attributes = dict(current)
    written = []
    for write in needed:
        if write.name in current:
            attributes[write.name] = write.value
        else:
            written.append((write.name, write.value))
    after = _state(device.parent, device.type, attributes.items())
    if written:
        after["written"] = attribute_list(written)
    return after


def _state(
    parent: str | None, type_id: str | None, attributes: t.Iterable[tuple[str, str]]
) -> dict[str, t.Any]:
    return {
        "parent": parent,
        "type": type_id,
        "attributes": attribute_list(attributes),
    }
