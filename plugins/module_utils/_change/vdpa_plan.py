# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""vDPA devices as a host should have them: what is wanted, what is to be done, and doing it.

A vDPA device is provisioned when it is created, in one step, and its attributes stay as they are. So it is created or
deleted, and one that exists with other attributes is left as it is.
"""

from __future__ import annotations

import contextlib
import functools
import re

from ansible_collections.vfio.migration.plugins.module_utils._change import plan as plan_module
from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import (
    accepted,
    verify,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import ProvisionError
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Change
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import (
    ABSENT,
    CREATED,
    PRESENT,
    REMOVED,
    UNCHANGED,
    Plan,
    check_distinct,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.transaction import (
    InUse,
    Irreversible,
    Transaction,
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
from ansible_collections.vfio.migration.plugins.module_utils._host.kernel_log import KernelLog
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
    displayable,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa_tool import VdpaError

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

    from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Journal
    from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
    from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
    from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa import (
        Bus,
        ManagementDevice,
        VdpaDevice,
    )
    from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa_tool import VdpaTool

    _Named = t.TypeVar("_Named", VdpaDevice, ManagementDevice)

# Names are a host's, so one call at a time works on all of its vDPA devices.
LOCK = "vdpa"

_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}\Z")
# The kernel's own limits, drivers/vdpa/vdpa.c and include/uapi/linux/virtio_net.h.
_RANGES = {"mtu": (68, 65535), "max_vqp": (1, 32768)}


class Wanted:
    """A device as the user wants it; what is ``None`` may be as it likes.

    ``device_features`` are names and numbers, ``accept`` normalised sets.
    """

    def __init__(
        self,
        name: str,
        mgmtdev: str | None,
        mac: str | None,
        mtu: int | None,
        max_vqp: int | None,
        device_features: list[str] | None,
        accept: list[dict[str, str]] | None,
    ) -> None:
        self.name = name
        self.mgmtdev = mgmtdev
        self.mac = mac
        self.mtu = mtu
        self.max_vqp = max_vqp
        self.device_features = device_features
        self.accept = accept

    def attributes(self, device_class: str | None) -> dict[str, str]:
        """What is stated, as the tool takes it; ``device_class`` says whose the features are. Raises ``ProvisionError``."""
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
            raise ProvisionError(
                "validate",
                f"device_features has {shown(str(error))}; expected names of features of class {device_class}"
                " as in the facts, bit_<0 to 63>, or a mask of 64 bits",
                self.name,
            ) from None


class Action(plan_module.Action):
    """What is to be done for one device.

    ``device`` is the one that exists, ``device_class`` its class or that of the one to be created, and ``attributes``
    those to create it with; each may be ``None``.
    """

    def __init__(
        self, host: Host, wanted: Wanted, action: str, device: VdpaDevice | None = None
    ) -> None:
        super().__init__(wanted.name, action)
        self._host = host
        self.wanted = wanted
        self.device = device
        self.device_class = device.device_class if device else None
        self.attributes: dict[str, str] = {}

    def predicted(self) -> dict[str, t.Any]:
        return self.result(None if self.changes else self.device)

    def sides(self) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
        before = _state(self.device.parent, self.device.attributes()) if self.device else {}
        if self.action != CREATED:
            return before, {} if self.action == REMOVED else before
        return before, _state(self.wanted.mgmtdev, attribute_list(self.attributes.items()))

    def result(self, device: VdpaDevice | None) -> dict[str, t.Any]:
        """What the module returns of the device, which is ``device`` now."""
        found: dict[str, t.Any] = {
            "name": self.name,
            "action": self.action,
            "mgmtdev": self.device.parent if self.device else self.wanted.mgmtdev,
            "type": self.device_class,
            "attributes": attribute_list(self.attributes.items()),
            "driver": None,
            "node": None,
            "self": None,
        }
        if device is not None:
            found.update(self._host.told(device))
        return found


def validate(devices: t.Iterable[t.Mapping[str, t.Any]], state: str) -> list[Wanted]:
    """The devices of the user's list, in order; raises ``ProvisionError`` where one is not what it should be."""
    wanted = []
    for device in devices:
        each = Wanted(
            device["name"],
            device["mgmtdev"],
            None if device["mac"] is None else device["mac"].lower(),
            device["mtu"],
            device["max_vqp"],
            device["device_features"],
            accepted(device["accept"], displayable(device["name"])),
        )
        try:
            _check(each, state)
        except DescriptorError as malformed:
            raise ProvisionError("validate", str(malformed), displayable(each.name)) from None
        wanted.append(each)
    check_distinct([each.name for each in wanted])
    return wanted


def _check(wanted: Wanted, state: str) -> None:
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
            f"{shown(wanted.mac)} is no MAC address; expected 6 times 2 hex digits with ':' between them, quoted in"
            " YAML"
        )
    for name, value in (("mtu", wanted.mtu), ("max_vqp", wanted.max_vqp)):
        least, most = _RANGES[name]
        if value is not None and not least <= value <= most:
            raise DescriptorError(f"'{name}' is {value}; expected {least} to {most}")


class Host:
    """The vDPA devices of a host; ``ask`` and ``scan_holders`` tell how they are now."""

    def __init__(
        self,
        sysfs: Sysfs,
        ask: t.Callable[[Sysfs], Bus],
        scan_holders: t.Callable[[], Holders],
    ) -> None:
        self._sysfs = sysfs
        self._ask = ask
        self._scan_holders = scan_holders

    def ask(self) -> Bus:
        """Raises ``HostReadError``."""
        return self._ask(self._sysfs)

    def check_free(self, name: str, ours: bool = False) -> None:
        """Raises ``InUse`` where the device ``name`` is held, and ``HostReadError`` where it may be and this call made it not."""
        path = self._sysfs.path(vdpa.VDPA_DEVICES, name)
        driver = vdpa.driver(self._sysfs, name)
        if driver not in (None, vdpa.USER_SPACE_DRIVER):
            raise InUse(path, f"the host itself uses it, with driver {driver}; unbind that first")
        # To delete a device that is held blocks, and cannot be interrupted, until it is let go.
        nodes = vdpa.device_nodes(self._sysfs, name)
        holder = self._scan_holders().holder_of(nodes) if nodes else None
        check_not_held(path, holder, ours)

    def told(self, device: VdpaDevice) -> dict[str, t.Any]:
        """What the module returns of a device that there is."""
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


class Planner:
    """Compares what is wanted with what there is."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def locks(self, wanted: t.Iterable[Wanted], state: str) -> list[str]:
        """The one for all devices, whatever is wanted."""
        return [LOCK]

    def plan(self, wanted: t.Iterable[Wanted], state: str) -> Plan:
        """What is to be done, in order; raises ``ProvisionError`` where it cannot be done."""
        try:
            bus = self._host.ask()
        except HostReadError as problem:
            raise ProvisionError("inspect", str(problem)) from None
        actions = [self._action(each, state, bus) for each in wanted]
        for action in actions:
            if action.action == REMOVED:
                try:
                    self._host.check_free(action.name)
                except HostReadError as problem:
                    raise ProvisionError("inspect", problem.problem, action.name) from None
        return Plan(state, devices=actions)

    def _action(self, wanted: Wanted, state: str, bus: Bus) -> Action:
        device = _named(bus.devices, wanted.name)
        if device is not None:
            _check_existing(wanted, state, device)
            if state == PRESENT:
                _check_accepted(wanted, device)
            return Action(self._host, wanted, REMOVED if state == ABSENT else UNCHANGED, device)
        if state == ABSENT:
            return Action(self._host, wanted, UNCHANGED)
        management_device = _named(bus.management_devices, wanted.mgmtdev)
        if management_device is None:
            names = ", ".join(sorted(each.name for each in bus.management_devices))
            raise ProvisionError(
                "inspect",
                f"there is no management device {wanted.mgmtdev}; the host has {names or 'none'}",
                wanted.name,
            )
        action = Action(self._host, wanted, CREATED)
        action.device_class = management_device.device_class
        action.attributes = wanted.attributes(management_device.device_class)
        _check_offer(action, management_device)
        return action


def _check_existing(wanted: Wanted, state: str, device: VdpaDevice) -> None:
    stated = {} if wanted.mgmtdev is None else {"mgmtdev": wanted.mgmtdev}
    if state == PRESENT:
        stated.update(wanted.attributes(device.device_class))
    different = _different(stated, device)
    if different:
        raise ProvisionError(
            "inspect", f"it exists with {different}; it is left as it is", wanted.name
        )


def _check_accepted(wanted: Wanted, device: VdpaDevice) -> None:
    """Raises ``ProvisionError`` where the device is not one that the user accepts."""
    try:
        verify(wanted.name, wanted.accept, device.descriptor(), ())
    except DescriptorError as malformed:
        verify(wanted.name, wanted.accept, None, [HostReadError(wanted.name, str(malformed))])


def _different(stated: t.Mapping[str, str], device: VdpaDevice) -> str | None:
    """What of ``stated`` the device has otherwise, for people; ``None`` where it is as stated."""
    actual = dict(attribute_pairs(device.attributes()))
    actual["mgmtdev"] = device.parent
    if device.device_class == NET:
        # The kernel tells the number only where there can be several.
        actual.setdefault("max_vqp", "1")
    different = [
        f"{name} {actual.get(name, 'unknown')}, not {value}"
        for name, value in stated.items()
        if actual.get(name) != value
    ]
    return "; ".join(different) or None


def _check_offer(action: Action, management_device: ManagementDevice) -> None:
    wanted, offered = action.wanted, management_device.features
    asked = int(action.attributes.get("device_features", "0"), 16)
    if offered is not None and asked & ~offered:
        lacking, there = (
            ", ".join(feature_names(mask, action.device_class)) or "none"
            for mask in (asked & ~offered, offered)
        )
        raise ProvisionError(
            "inspect",
            f"{management_device.name} does not offer {lacking}; it offers {there}",
            wanted.name,
        )
    queues, most = 2 * (wanted.max_vqp or 0), management_device.max_vqs
    if most is not None and queues > most:
        raise ProvisionError(
            "inspect",
            f"max_vqp {wanted.max_vqp} needs {queues} virtqueues; {management_device.name} has {most}",
            wanted.name,
        )


class VdpaTransaction(Transaction):
    """One call's changes of vDPA devices; there is one lock for all of a host."""

    def __init__(
        self,
        host: Host,
        tool: VdpaTool,
        journal: Journal,
        timeout: float,
        interrupted: t.Callable[[], str | None],
    ) -> None:
        super().__init__(journal, timeout, interrupted)
        self._host = host
        self._tool = tool

    def _apply_plan(self, plan: Plan) -> dict[str, t.Any]:
        return {"devices": [self._apply(action) for action in plan.lists["devices"]]}

    def _apply(self, action: Action) -> dict[str, t.Any]:
        self._device = action.name
        if action.action == CREATED:
            self._create(action)
            self._step = "verify"
            return action.result(self._created(action))
        if action.action == REMOVED:
            self._enter("remove")
            self._host.check_free(self._device)
            self._delete(self._device)
            self._done.append(Change(LOCK, self._device, REMOVED))
            return action.result(None)
        return action.result(action.device)

    def _create(self, action: Action) -> None:
        self._enter("create")
        wanted = action.wanted
        add = functools.partial(
            self._tool.add,
            wanted.name,
            wanted.mgmtdev or "",
            action.attributes.items(),
            action.device_class,
        )
        change = Change(LOCK, wanted.name, CREATED, [wanted.mgmtdev, action.attributes])
        self._call(functools.partial(self._do, change, add))

    def _created(self, action: Action) -> VdpaDevice:
        device = _named(self._host.ask().devices, action.wanted.name)
        if device is None:
            raise self._failure("it was created, but is not there")
        different = _different(action.attributes, device)
        if different:
            raise self._failure(f"it was created, but has {different}")
        _check_accepted(action.wanted, device)
        return device

    def _delete(self, name: str) -> None:
        self._call(functools.partial(self._tool.delete, name))

    def _call(self, change: t.Callable[[], None]) -> None:
        with KernelLog(live=True) as log:
            try:
                change()
            except VdpaError as error:
                kernels = error if error.errno is not None else None
                raise self._failure(error.said, kernels, error.hint, log.lines()) from None

    def _undo_change(self, change: Change, recovering: bool) -> bool:
        if change.undo is None:
            raise Irreversible("it cannot be undone")
        self._device = change.device
        device = _named(self._host.ask().devices, change.device)
        mgmtdev, attributes = change.undo
        # What another one has made of the name since is not ours.
        stated = {"mgmtdev": mgmtdev, **(attributes if recovering else {})}
        if device is None or _different(stated, device):
            return False
        self._host.check_free(change.device, ours=not recovering)
        self._delete(change.device)
        return True


def _named(devices: t.Iterable[_Named], name: str | None) -> _Named | None:
    return next((each for each in devices if each.name == name), None)


def _state(mgmtdev: str | None, attributes: list[dict[str, str]]) -> dict[str, t.Any]:
    return {"mgmtdev": mgmtdev, "attributes": attributes}
