# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What is to be changed so that a host has the vDPA devices that the user wants.

A vDPA device is provisioned when it is created, in one step, and its attributes stay as they are. So it is created or
deleted, and one that exists with other attributes is left as it is. Compares and checks; changes nothing. ``vdpa_apply``
makes the changes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import (
    check_accepted,
    validate_accept,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.boot_units import (
    BootUnits,
    DefinedUnit,
    VdpaDefinition,
    vdpa_unit,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import (
    InUse,
    InvalidRequest,
    Refused,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import (
    ABSENT,
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
from ansible_collections.vfio.migration.plugins.module_utils._change.records import (
    attributes_of,
    pairs_of,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.transaction import (
    check_not_held,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DescriptorError,
    shown,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    attribute_list,
    attribute_pairs,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.virtio import (
    DEVICE_NAME,
    NET,
    feature_mask,
    feature_names,
)
from ansible_collections.vfio.migration.plugins.module_utils._host import vdpa
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
    displayable,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import PCI_DEVICES, Sysfs
from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa import (
    Bus,
    ManagementDevice,
    VdpaDevice,
)

_Named = t.TypeVar("_Named", VdpaDevice, ManagementDevice)

# Names are a host's, so one call at a time works on all of its vDPA devices.
LOCK = "vdpa"

_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}\Z")
# The kernel's own limits, drivers/vdpa/vdpa.c and include/uapi/linux/virtio_net.h.
_RANGES = {"mtu": (68, 65535), "max_vqp": (1, 32768)}


@dataclasses.dataclass
class WantedVdpa:
    """A device as the user wants it; what is ``None`` may have any value.

    ``device_features`` are names and numbers, ``accept`` normalised sets.
    """

    name: str
    mgmtdev: str | None
    mac: str | None
    mtu: int | None
    max_vqp: int | None
    device_features: list[str] | None
    accept: list[dict[str, str]] | None

    def attributes(self, device_class: str | None) -> dict[str, str]:
        """Return what is stated, as the tool takes it; ``device_class`` says whose the features are.

        Raise ``InvalidRequest`` where the class has no such feature.
        """
        mask = self._mask(device_class)
        values = (
            ("mac", self.mac),
            ("mtu", self.mtu),
            ("max_vqp", self.max_vqp),
            ("device_features", None if mask is None else hex(mask)),
        )
        return {name: str(value) for name, value in values if value is not None}

    def _mask(self, device_class: str | None) -> int | None:
        if self.device_features is None:
            return None
        try:
            return feature_mask(self.device_features, device_class)
        except ValueError as error:
            raise InvalidRequest(
                f"device_features has {shown(str(error))}; expected names of features of class {device_class}"
                " as in the facts, bit_<0 to 63>, or a mask of 64 bits",
                self.name,
            ) from None


@dataclasses.dataclass
class VdpaChange(DeviceChange):
    """The change of one device.

    ``device`` is the one that exists, and ``facts`` what the module returns of it. ``device_class`` is its class or that of
    the one to be created, and ``attributes`` are those to create it with. Each may be ``None`` or empty. ``definition`` is the
    word for the change of its definition, or ``None``, ``defined`` the former one, and ``to_define`` the attributes that are
    to be defined.
    """

    wanted: WantedVdpa
    device: VdpaDevice | None = None
    facts: dict[str, t.Any] | None = None
    device_class: str | None = None
    attributes: dict[str, str] = dataclasses.field(default_factory=dict)
    definition: str | None = None
    defined: DefinedUnit | None = None
    to_define: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return super().changed or self.definition in REDEFINED

    def predicted(self) -> dict[str, t.Any]:
        return self.result(self.facts if self.action == UNCHANGED else None)

    def sides(self) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        before = _state(self.device.parent, self.device.attributes()) if self.device else {}
        after = {} if self.action == REMOVED else dict(before)
        if self.action == CREATED:
            after = _state(self.wanted.mgmtdev, attribute_list(self.attributes.items()))
        if self.definition in REDEFINED:
            found = self.defined and self.defined.definition
            before["definition"] = after["definition"] = None
            if isinstance(found, VdpaDefinition):
                before["definition"] = _state(
                    found.mgmtdev, attribute_list(pairs_of(found.attributes))
                )
            if self.definition == DEFINED:
                after["definition"] = _state(
                    self.wanted.mgmtdev, attribute_list(self.to_define.items())
                )
        return before, after

    def new_definition(self, host: VdpaHost) -> VdpaDefinition:
        """Return the definition of the device, which is there now."""
        mgmtdev = self.wanted.mgmtdev or ""
        return VdpaDefinition(
            self.name,
            mgmtdev,
            host.physical_function(mgmtdev),
            host.driver(self.name),
            attributes_of(self.to_define.items()),
        )

    def result(self, facts: t.Mapping[str, t.Any] | None) -> dict[str, t.Any]:
        """Return what the module returns of the device; ``facts`` are those of the device that is there now."""
        return {
            "name": self.name,
            "action": self.action,
            "mgmtdev": self.device.parent if self.device else self.wanted.mgmtdev,
            "type": self.device_class,
            "attributes": attribute_list(self.attributes.items()),
            "definition": self.definition,
            "driver": None,
            "node": None,
            "self": None,
            **(facts or {}),
        }


def validate(devices: t.Iterable[t.Mapping[str, t.Any]], state: str) -> list[WantedVdpa]:
    """Return the devices of the user's list, in order; raise ``InvalidRequest`` where one is not what it must be."""
    wanted = []
    for given in devices:
        device = _with_attributes(given)
        each = WantedVdpa(
            device["name"],
            device["mgmtdev"],
            None if device["mac"] is None else device["mac"].lower(),
            device["mtu"],
            device["max_vqp"],
            device["device_features"],
            validate_accept(device["accept"], displayable(device["name"])),
        )
        try:
            _check(each, state)
        except DescriptorError as malformed:
            raise InvalidRequest(str(malformed), displayable(each.name)) from None
        wanted.append(each)
    check_distinct([each.name for each in wanted])
    return wanted


# What a device can be given as an attribute, and what takes its value.
_ATTRIBUTES: dict[str, t.Callable[[str], t.Any]] = {
    "mac": str,
    "mtu": int,
    "max_vqp": int,
    "device_features": lambda value: value.split(","),
}


def _with_attributes(device: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return a device of the user's list with its ``attributes`` as the options of these names; raise ``InvalidRequest``."""
    found = dict(device)
    for each in device.get("attributes") or ():
        name, value = each["name"], each["value"]
        problem = None
        if name not in _ATTRIBUTES:
            problem = f"has no attribute {shown(name)}; expected one of {', '.join(_ATTRIBUTES)}"
        elif found[name] is not None:
            problem = f"is given {name} twice"
        if problem:
            raise InvalidRequest(problem, displayable(device["name"]))
        try:
            found[name] = _ATTRIBUTES[name](value)
        except ValueError:
            raise InvalidRequest(
                f"{name} is {shown(value)}; expected a number", displayable(device["name"])
            ) from None
    return found


def _check(wanted: WantedVdpa, state: str) -> None:
    if not DEVICE_NAME.match(wanted.name):
        raise DescriptorError(
            f"{shown(wanted.name)} is not the name of a device; expected at most 100 letters, digits, '_', '.', ':'"
            " and '-', the first no '.', ':' or '-'"
        )
    if wanted.mgmtdev is None:
        if state == PRESENT:
            raise DescriptorError("'mgmtdev' is missing; it is needed to create it")
    elif not all(DEVICE_NAME.match(part) for part in wanted.mgmtdev.split("/", 1)):
        raise DescriptorError(
            f"{shown(wanted.mgmtdev)} is not the name of a management device; expected 'bus/device' or 'device'"
        )
    if wanted.mac is not None and not _MAC.match(wanted.mac):
        raise DescriptorError(
            f"{shown(wanted.mac)} is not a MAC address; expected 6 times 2 hex digits with ':' between them, quoted in"
            " YAML"
        )
    for name, value in (("mtu", wanted.mtu), ("max_vqp", wanted.max_vqp)):
        least, most = _RANGES[name]
        if value is not None and not least <= value <= most:
            raise DescriptorError(f"'{name}' is {value}; expected {least} to {most}")


class VdpaHost:
    """The vDPA devices of a host; ``ask`` and ``scan_holders`` return how they are now.

    ``units`` are those that create devices again when it starts.
    """

    def __init__(
        self,
        sysfs: Sysfs,
        ask: t.Callable[[Sysfs], Bus],
        scan_holders: t.Callable[[], Holders],
        units: BootUnits,
    ) -> None:
        self.units = units
        self._sysfs = sysfs
        self._ask = ask
        self._scan_holders = scan_holders

    def ask(self) -> Bus:
        """Return the devices and management devices; raise ``HostReadError``."""
        return self._ask(self._sysfs)

    def device(self, name: str) -> VdpaDevice | None:
        """Return the device ``name`` if there is one; raise ``HostReadError``."""
        return _named(self.ask().devices, name)

    def driver(self, name: str) -> str | None:
        """Return the driver that a device is bound to."""
        return vdpa.driver(self._sysfs, name)

    def physical_function(self, mgmtdev: str) -> str | None:
        """Return the physical function of a management device that is a virtual one, ``None`` of another."""
        bus, slash, device = mgmtdev.partition("/")
        if bus != "pci" or not slash:
            return None
        target = self._sysfs.link(PCI_DEVICES, device, "physfn")
        return None if target is None else target.rpartition("/")[2]

    def check_not_there(self, name: str, problems: t.Sequence[HostReadError]) -> None:
        """Raise ``Refused`` where sysfs shows a device that the kernel gave no answer about that can be read."""
        if self._sysfs.exists(vdpa.VDPA_DEVICES, name):
            said = "; ".join(str(problem) for problem in problems) or "it may have come just now"
            raise Refused(f"it is there, and the kernel does not say what it is: {said}", name)

    def check_free(self, name: str, ours: bool = False) -> None:
        """Raise ``InUse`` where the device ``name`` is held, ``HostReadError`` where it may be and is not ``ours``."""
        path = self._sysfs.path(vdpa.VDPA_DEVICES, name)
        driver = vdpa.driver(self._sysfs, name)
        if driver not in (None, vdpa.USER_SPACE_DRIVER):
            raise InUse(path, f"the host itself uses it, with driver {driver}; unbind that first")
        # To delete a device that is held blocks, and cannot be interrupted, until it is let go.
        nodes = vdpa.device_nodes(self._sysfs, name)
        holder = self._scan_holders().holder_of(nodes) if nodes else None
        check_not_held(path, holder, ours)

    def facts(self, device: VdpaDevice) -> dict[str, t.Any]:
        """Return what the module returns of a device that there is."""
        nodes = vdpa.device_nodes(self._sysfs, device.name)
        found = {
            "mgmtdev": device.parent,
            "type": device.device_class,
            "attributes": device.attributes(),
            "driver": vdpa.driver(self._sysfs, device.name),
            "node": nodes[0] if nodes else None,
        }
        with contextlib.suppress(DescriptorError):
            found["self"] = device.descriptor()["self"]
        return found


class VdpaPlanner:
    """Compares what is wanted with the host; ``persistent``: it is to be so after a reboot, too."""

    def __init__(self, host: VdpaHost, persistent: bool = False) -> None:
        self._host = host
        self._persistent = persistent

    def locks(self, wanted: t.Iterable[WantedVdpa], state: str) -> list[str]:
        """Return the one lock for all devices, whatever is wanted."""
        return [LOCK]

    def plan(self, wanted: t.Iterable[WantedVdpa], state: str) -> HostChanges:
        """Return the changes, in order; raise ``ProvisionError`` where they cannot be made."""
        try:
            bus = self._host.ask()
        except HostReadError as problem:
            raise Refused(str(problem)) from None
        changes = [self._change(each, state, bus) for each in wanted]
        for change in changes:
            if change.action == REMOVED:
                try:
                    self._host.check_free(change.name)
                except HostReadError as problem:
                    raise Refused(problem.problem, change.name) from None
        if self._persistent:
            for change in changes:
                self._plan_definition(change, state)
        return HostChanges(state, {"devices": changes})

    def _plan_definition(self, change: VdpaChange, state: str) -> None:
        try:
            change.defined = self._host.units.read(vdpa_unit(change.name))
        except HostReadError as problem:
            raise Refused(str(problem), change.name) from None
        found = change.defined and change.defined.definition
        if state == ABSENT:
            change.definition = UNDEFINED if change.defined else UNCHANGED
            return
        change.to_define = change.wanted.attributes(change.device_class)
        is_defined = (
            isinstance(found, VdpaDefinition)
            and change.defined is not None
            and change.defined.enabled
            and found.mgmtdev == change.wanted.mgmtdev
            and dict(pairs_of(found.attributes)) == change.to_define
        )
        change.definition = UNCHANGED if is_defined else DEFINED

    def _change(self, wanted: WantedVdpa, state: str, bus: Bus) -> VdpaChange:
        device = _named(bus.devices, wanted.name)
        if device is not None:
            _check_existing(wanted, state, device)
            if state == PRESENT:
                check_device_accepted(wanted, device)
            action = REMOVED if state == ABSENT else UNCHANGED
            facts = self._host.facts(device)
            return VdpaChange(wanted.name, action, wanted, device, facts, device.device_class)
        self._host.check_not_there(wanted.name, bus.problems)
        if state == ABSENT:
            return VdpaChange(wanted.name, UNCHANGED, wanted)
        management_device = _named(bus.management_devices, wanted.mgmtdev)
        if management_device is None:
            names = ", ".join(sorted(each.name for each in bus.management_devices))
            raise Refused(
                f"there is no management device {wanted.mgmtdev}; the host has {names or 'none'}",
                wanted.name,
            )
        device_class = management_device.device_class
        change = VdpaChange(
            wanted.name,
            CREATED,
            wanted,
            device_class=device_class,
            attributes=wanted.attributes(device_class),
        )
        _check_offer(change, management_device)
        return change


def _check_existing(wanted: WantedVdpa, state: str, device: VdpaDevice) -> None:
    stated = {} if wanted.mgmtdev is None else {"mgmtdev": wanted.mgmtdev}
    if state == PRESENT:
        stated.update(wanted.attributes(device.device_class))
    different = differences(stated, device)
    if different:
        raise Refused(f"it exists with {different}; it is left as it is", wanted.name)


def check_device_accepted(wanted: WantedVdpa, device: VdpaDevice) -> None:
    """Raise ``NotAccepted`` where the device is not one that the user accepts."""
    try:
        check_accepted(wanted.name, wanted.accept, device.descriptor(), ())
    except DescriptorError as malformed:
        check_accepted(
            wanted.name, wanted.accept, None, [HostReadError(wanted.name, str(malformed))]
        )


def differences(stated: t.Mapping[str, str], device: VdpaDevice) -> str | None:
    """Return in words what of ``stated`` the device has otherwise, ``None`` where it is as stated."""
    actual = dict(attribute_pairs(device.attributes()))
    actual["mgmtdev"] = device.parent
    if device.device_class == NET:
        # The kernel shows the number only where there can be several.
        actual.setdefault("max_vqp", "1")
    different = [
        f"{name} {actual.get(name, 'unknown')}, not {value}"
        for name, value in stated.items()
        if actual.get(name) != value
    ]
    return "; ".join(different) or None


def _check_offer(change: VdpaChange, management_device: ManagementDevice) -> None:
    wanted, offered = change.wanted, management_device.features
    asked = int(change.attributes.get("device_features", "0"), 16)
    if offered is not None and asked & ~offered:
        lacking, there = (
            ", ".join(feature_names(mask, change.device_class)) or "none"
            for mask in (asked & ~offered, offered)
        )
        raise Refused(
            f"{management_device.name} does not offer {lacking}; it offers {there}",
            wanted.name,
        )
    queues, most = 2 * (wanted.max_vqp or 0), management_device.max_vqs
    if most is not None and queues > most:
        raise Refused(
            f"max_vqp {wanted.max_vqp} needs {queues} virtqueues; {management_device.name} has {most}",
            wanted.name,
        )


def _named(devices: t.Iterable[_Named], name: str | None) -> _Named | None:
    return next((each for each in devices if each.name == name), None)


def _state(mgmtdev: str | None, attributes: list[dict[str, str]]) -> dict[str, t.Any]:
    return {"mgmtdev": mgmtdev, "attributes": attributes}
