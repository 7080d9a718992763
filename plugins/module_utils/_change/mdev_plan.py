# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Mediated devices as a host should have them: what is wanted, what there is, and what is to be done.

Compares and checks; changes nothing. ``_mdev_transaction`` carries the plan out.
"""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.module_utils._change import plan as plan_module
from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import (
    listed,
    validated,
    verify,
    writes,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import ProvisionError
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import (
    ABSENT,
    CONFIGURED,
    CREATED,
    PRESENT,
    REMOVED,
    UNCHANGED,
    Plan,
    check_distinct,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import shown
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    UUID,
    attribute_list,
    attribute_pairs,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    MDEV_DEVICES,
    MDEV_PARENTS,
    MediatedDevice,
    Parent,
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.mdevctl import (
    MdevctlError,
    definition,
    is_defined,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import nodes, why_held
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
    reading,
)

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

    from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import Write
    from ansible_collections.vfio.migration.plugins.module_utils._host.mdevctl import Mdevctl
    from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
    from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs

    # mdevctl's definitions of one device, by parent.
    _Definitions: t.TypeAlias = "t.Mapping[str, dict[str, t.Any]]"

DEFINED = "defined"
UNDEFINED = "undefined"


class Wanted:
    """A device as the user wants it; ``attributes`` are names and values in order, ``accept`` normalised sets."""

    def __init__(
        self,
        uuid: str,
        parent: str | None,
        type_id: str | None,
        attributes: list[tuple[str, str]],
        accept: list[dict[str, str]] | None,
    ) -> None:
        self.uuid = uuid
        self.parent = parent
        self.type = type_id
        self.attributes = attributes
        self.accept = accept


class Action(plan_module.Action):
    """What is to be done for one device.

    ``before`` and ``after`` are ``{parent, type, attributes}``, or ``None`` where there is no device. ``own`` is its
    descriptor's ``self`` before, ``nodes`` are the paths by which a process may hold it. ``live`` says whether it may
    be done while a process does.
    """

    def __init__(self, wanted: Wanted, action: str) -> None:
        super().__init__(wanted.uuid, action)
        self.wanted = wanted
        self.before: dict[str, t.Any] | None = None
        self.after: dict[str, t.Any] | None = None
        self.own: dict[str, str] | None = None
        self.nodes: list[str] = []
        self.live = False
        # What mdevctl is to be told: the change, and its definitions of the device before by parent.
        self.definition: str | None = None
        self.definitions: _Definitions = {}

    @property
    def changes(self) -> bool:
        return super().changes or self.definition in (DEFINED, UNDEFINED)

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
        if self.definition in (DEFINED, UNDEFINED):
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
        """What the module returns of the device."""
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


def validate(devices: t.Iterable[t.Mapping[str, t.Any]], state: str) -> list[Wanted]:
    """The devices of the user's list, in order; raises ``ProvisionError`` where one is not what it should be."""
    wanted = [_validated(device, state) for device in devices]
    check_distinct([each.uuid for each in wanted])
    return wanted


def _validated(device: t.Mapping[str, t.Any], state: str) -> Wanted:
    uuid = device["uuid"].lower()
    if not UUID.match(uuid):
        raise ProvisionError(
            "validate",
            f"{shown(device['uuid'])} is no UUID; expected 8, 4, 4, 4 and 12 hex digits with '-' between them",
        )
    for name in ("parent", "type"):
        value = device[name]
        if value is None:
            if state == PRESENT:
                raise ProvisionError(
                    "validate", f"'{name}' is missing; it is needed to create it", uuid
                )
        elif value in ("", ".", "..") or "/" in value or not value.isprintable():
            raise ProvisionError("validate", f"{shown(value)} is not the name of a {name}", uuid)
    attributes, accept = validated(device, uuid)
    return Wanted(uuid, device["parent"], device["type"], attributes, accept)


# --- what there is, and what is to be done ---------------------------------------------------------------------------


class Planner:
    """Compares what is wanted with what there is.

    ``mdevctl`` is ``None`` where there is none; it is asked for ``persistent`` devices and for those to be created.
    ``warnings`` are for the user.
    """

    def __init__(
        self,
        sysfs: Sysfs,
        scan_holders: t.Callable[[], Holders],
        mdevctl: Mdevctl | None,
        persistent: bool,
    ) -> None:
        self.warnings: list[str] = []
        self._sysfs = sysfs
        self._scan_holders = scan_holders
        self._mdevctl = mdevctl
        self._persistent = persistent
        self._parents: dict[str, Parent] = {}

    def locks(self, wanted: t.Iterable[Wanted], state: str) -> set[str]:
        """The parents that a plan is about, as far as can be told before it is made."""
        definitions = self._definitions() if self._persistent else {}
        parents = set()
        for each in wanted:
            target = self._sysfs.link(MDEV_DEVICES, each.uuid) or ""
            parents |= {*target.split("/")[-2:-1], *definitions.get(each.uuid, ())}
            # One that is not there is refused later, and needs no lock.
            if each.parent is not None and self._sysfs.exists(MDEV_PARENTS, each.parent):
                parents.add(each.parent)
        return parents

    def plan(self, wanted: t.Iterable[Wanted], state: str) -> Plan:
        """What is to be done, in order; raises ``ProvisionError`` where it cannot be done."""
        actions = []
        for each in wanted:
            try:
                actions.append(self._action(each, state))
            except HostReadError as problem:
                raise ProvisionError("inspect", str(problem), each.uuid) from None
        self._check_instances(actions)
        self._check_holders(actions)
        self._plan_definitions(actions, state)
        return Plan(state, devices=actions)

    def _action(self, wanted: Wanted, state: str) -> Action:
        if self._sysfs.exists(MDEV_DEVICES, wanted.uuid):
            with MediatedDevice(self._sysfs, wanted.uuid, self._parents) as device:
                return self._existing(wanted, state, device)
        if state == ABSENT:
            return Action(wanted, UNCHANGED)
        self._check_type(wanted)
        action = Action(wanted, CREATED)
        action.after = _state(wanted.parent, wanted.type, wanted.attributes)
        return action

    def _existing(self, wanted: Wanted, state: str, device: MediatedDevice) -> Action:
        for name, expected, actual in (
            ("parent", wanted.parent, device.parent),
            ("type", wanted.type, device.type),
        ):
            if expected is not None and expected != actual:
                raise ProvisionError(
                    "inspect",
                    f"it exists with the {name} {actual}, not {expected}; it is left as it is",
                    wanted.uuid,
                )
        descriptor, attributes, problems = read_descriptor(device)
        current = dict(attribute_pairs(attributes))
        needed = writes(device, wanted.attributes) if state == PRESENT else []
        action = Action(wanted, REMOVED if state == ABSENT else CONFIGURED if needed else UNCHANGED)
        action.before = _state(device.parent, device.type, current.items())
        if state == PRESENT:
            action.live = is_live(device, needed)
            action.after = _after(device, current, needed)
        if action.action == UNCHANGED:
            verify(wanted.uuid, wanted.accept, descriptor, problems)
        action.own = descriptor["self"] if descriptor else None
        action.nodes = nodes(device.iommu_group, device.character_devices())
        return action

    def _check_type(self, wanted: Wanted) -> None:
        with reading(self._sysfs.path(MDEV_PARENTS)):
            parents = self._sysfs.names(MDEV_PARENTS)
        if wanted.parent not in parents:
            raise ProvisionError(
                "inspect",
                f"there is no parent {wanted.parent} in {self._sysfs.path(MDEV_PARENTS)}; {listed(parents)}",
                wanted.uuid,
            )
        types = self._parent(wanted.parent).type_ids()
        if wanted.type not in types:
            raise ProvisionError(
                "inspect",
                f"the parent {wanted.parent} has no type {wanted.type}; {listed(types)}",
                wanted.uuid,
            )

    def _check_instances(self, actions: t.Iterable[Action]) -> None:
        # The types of a parent share what there is, so more may be too much yet: there the driver has the last word.
        needed: dict[tuple[str, str], int] = {}
        for action in actions:
            parent, type_id = action.wanted.parent, action.wanted.type
            if action.action != CREATED or parent is None or type_id is None:
                continue
            number = needed[parent, type_id] = needed.get((parent, type_id), 0) + 1
            try:
                available = self._parent(parent).read_type(type_id)["available_instances"]
            except HostReadError as problem:
                raise ProvisionError("inspect", str(problem), action.wanted.uuid) from None
            if number > available:
                raise ProvisionError(
                    "inspect",
                    f"no instance of type {type_id} is left for it under {parent}: available_instances is {available},"
                    f" and it is number {number} that this call creates",
                    action.wanted.uuid,
                )

    def _check_holders(self, actions: t.Iterable[Action]) -> None:
        touched = [
            action
            for action in actions
            if action.action in (CONFIGURED, REMOVED) and not action.live
        ]
        if touched:
            holders = self._scan_holders()
            for action in touched:
                holder = holders.holder_of(action.nodes)
                if holder is not None:
                    raise ProvisionError("inspect", why_held(holder), action.wanted.uuid)

    def _plan_definitions(self, actions: t.Sequence[Action], state: str) -> None:
        if self._persistent:
            definitions = self._definitions()
            for action in actions:
                self._plan_definition(action, state, definitions.get(action.wanted.uuid, {}))
        else:
            self._check_definitions([action for action in actions if action.action == CREATED])

    def _plan_definition(self, action: Action, state: str, found: _Definitions) -> None:
        wanted = action.wanted
        action.definition = UNCHANGED
        if state == ABSENT:
            action.definitions = {
                parent: each
                for parent, each in found.items()
                if wanted.parent is None or wanted.parent == parent
            }
            if action.definitions:
                action.definition = UNDEFINED
            return
        self._check_place(wanted, found)
        self._check_kind(wanted, found.get(wanted.parent or ""))
        if not is_defined(found.get(wanted.parent or ""), wanted.type, wanted.attributes):
            action.definitions = found
            action.definition = DEFINED

    def _check_definitions(self, created: t.Sequence[Action]) -> None:
        """What mdevctl has defined but not started must be what is to be created, so that it is not there twice."""
        if not created or self._mdevctl is None:
            return
        try:
            definitions = self._mdevctl.definitions()
        except MdevctlError as error:
            self.warnings.append(f"it cannot be told what is defined in mdevctl: {error}")
            return
        for action in created:
            found = definitions.get(action.wanted.uuid, {})
            self._check_place(action.wanted, found)
            self._check_kind(action.wanted, found.get(action.wanted.parent or ""))

    def _check_place(self, wanted: Wanted, found: _Definitions) -> None:
        others = sorted(set(found) - {wanted.parent or ""})
        if others:
            raise ProvisionError(
                "inspect",
                f"mdevctl has a definition of it under {', '.join(others)}, not {wanted.parent};"
                " it is left as it is",
                wanted.uuid,
            )

    def _check_kind(self, wanted: Wanted, found: t.Mapping[str, t.Any] | None) -> None:
        if found is not None and found.get("mdev_type") != wanted.type:
            raise ProvisionError(
                "inspect",
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
            raise ProvisionError("inspect", str(error)) from None

    def _parent(self, name: str) -> Parent:
        if name not in self._parents:
            self._parents[name] = Parent(self._sysfs, name)
        return self._parents[name]


def is_live(device: MediatedDevice, needed: t.Sequence[Write]) -> bool:
    """Whether the driver takes all of what is needed while a process holds the device."""
    if not needed:
        return False
    live = device.driver_profile().live
    return all(write.name in live for write in needed)


def _after(
    device: MediatedDevice, current: t.Mapping[str, str], needed: t.Iterable[Write]
) -> dict[str, t.Any]:
    """The device's state with what is ``needed``; what cannot be read is told as written."""
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
