# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Fleets: hosts with their devices and parents. Pure data."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import drivers
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import Descriptor
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import DeviceLabel, ReasonCode

GATHER = "run vfio_migration_facts there"

VDPA = "vdpa"

# What the mediated devices of a host state: parent's id, whether derived, and software_version.
Stated = tuple[tuple[str | None, bool, str], ...]


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a device; ``pid`` is ``None`` where it is unknown whether one does.

    ``uuid`` is that of the guest which ``name`` names, ``None`` where the process does not tell.
    """

    pid: int | None
    name: str | None
    uuid: str | None = None


class Choices(t.NamedTuple):
    """An attribute that a device must be given before it is of use, and the ``values`` that it takes now, with ``names``."""

    attribute: str
    values: tuple[str, ...]
    names: tuple[str, ...] = ()


@dataclass(slots=True, unsafe_hash=True)
class Device:
    """A device of a host; nothing changes one. It is not frozen, as it would take four times as long to make."""

    host: str
    kind: str
    id: str
    parent: str | None
    type: str | None
    descriptor: Descriptor | None
    attributes: tuple[tuple[str, str], ...]
    numa_node: int | None
    in_use: Holder | None
    supported: bool | None
    evidence: str | None
    choices: Choices | None = None
    # Whether it supports peer-to-peer, as the kernel tells from Linux 6.18 on; ``None`` where it does not tell.
    p2p: bool | None = None
    # Its network settings, by name; ``None`` where nothing shows what they are.
    network: tuple[tuple[str, str | int | bool], ...] | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from every other device of the fleet."""
        return self.host, self.id

    @property
    def may_be_held(self) -> bool:
        """Whether it is unknown whether a process holds it."""
        return self.in_use is not None and self.in_use.pid is None

    @property
    def label(self) -> DeviceLabel:
        return {"host": self.host, "kind": self.kind, "id": self.id}


@dataclass(slots=True, eq=False)
class DeviceClass:
    """Devices that differ in nothing that decides where they could go; those of a fleet are one object.

    ``configurable`` are the names of their attributes; ``obstacle`` is what it is for each of them.
    """

    descriptor: Descriptor | None
    supported: bool | None
    evidence: str | None
    free: bool
    configurable: tuple[str, ...]
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class MdevType:
    """What a parent can make: an mdev of one type, or a vDPA device of one class.

    Of that, ``features`` is the mask of those that it can have at most, and ``max_vqs`` how many virtqueues it can have if
    that is known. One card holds ``max_instance`` of an mdev type, each with a ``framebuffer`` in MiB, if it states that.
    ``resources`` is what a device of the type takes of its parent, by name, where the type states that.
    """

    id: str
    name: str | None
    device_api: str
    available_instances: int
    features: int | None = None
    max_vqs: int | None = None
    max_instance: int | None = None
    framebuffer: int | None = None
    resources: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Parent:
    """A parent; ``card`` is the physical function of which it is a virtual one, ``None`` where it is none.

    ``given`` are the attributes that its devices have of it in ``self``.
    """

    host: str
    kind: str
    id: str
    driver: str | None
    pci_id: str | None
    numa_node: int | None
    types: tuple[MdevType, ...]
    configuration: tuple[tuple[str, str], ...] = ()
    card: str | None = None
    given: tuple[tuple[str, str], ...] = ()


class ParentFacts(t.NamedTuple):
    """A parent but for its host."""

    kind: str
    id: str
    driver: str | None
    pci_id: str | None
    numa_node: int | None
    types: tuple[MdevType, ...]
    configuration: tuple[tuple[str, str], ...] = ()
    card: str | None = None
    given: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True, eq=False)
class Host:
    """One host; its devices and parents are made when they are first asked for.

    ``classes`` counts the devices, ``excluded`` has kind, id and class of those with an ``obstacle``. ``stated`` is what
    mediated devices state: parent's id, whether derived, and software_version. ``equipment`` are the parents; hosts
    whose parents are equal have the same one. ``read`` makes the devices of the host with that name, ``find_facts`` returns
    the facts that they are made of.
    """

    name: str
    classes: dict[DeviceClass, int]
    excluded: list[tuple[str, str, DeviceClass]]
    equipment: tuple[ParentFacts, ...]
    stated: Stated
    read: t.Callable[[str], list[Device]] = field(repr=False)
    find_facts: t.Callable[[str], t.Mapping[str, t.Any]] = field(repr=False)
    _devices: list[Device] | None = field(default=None, init=False, repr=False)
    _parents: list[Parent] | None = field(default=None, init=False, repr=False)
    _not_held: tuple[list[Device], list[Device]] | None = field(
        default=None, init=False, repr=False
    )
    _addresses: dict[str, dict[str | None, str]] | None = field(
        default=None, init=False, repr=False
    )

    @property
    def devices(self) -> list[Device]:
        if self._devices is None:
            self._devices = self.read(self.name)
        return self._devices

    @property
    def unheld(self) -> list[Device]:
        """Those of its devices that no process holds."""
        return self._by_holder()[0]

    @property
    def perhaps_held(self) -> list[Device]:
        """Those of its devices of which it is unknown whether a process holds them."""
        return self._by_holder()[1]

    def _by_holder(self) -> tuple[list[Device], list[Device]]:
        if self._not_held is None:
            self._not_held = (
                [each for each in self.devices if each.in_use is None],
                [each for each in self.devices if each.may_be_held],
            )
        return self._not_held

    @property
    def facts(self) -> t.Mapping[str, t.Any]:
        """Its ``vfio_migration`` facts."""
        return self.find_facts(self.name)

    @property
    def parents(self) -> list[Parent]:
        if self._parents is None:
            self._parents = [Parent(self.name, *each) for each in self.equipment]
        return self._parents

    @property
    def addresses(self) -> dict[str, dict[str | None, str]]:
        """The cards that have a MAC address, by the address: each with the function of it that has it and is held."""
        if self._addresses is None:
            self._addresses = {}
            for each in self.devices:
                if each.in_use is not None and each.network is not None:
                    mac = str(dict(each.network)["mac"])
                    self._addresses.setdefault(mac, {}).setdefault(each.parent, each.id)
        return self._addresses


@dataclass(slots=True)
class Fleet:
    """``hosts`` by name; the names of those without usable facts; ``{host, path, problem}`` of all.

    ``reader`` is what read all of its hosts, and knows what is equal on them, where one did.
    """

    hosts: dict[str, Host] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    problems: list[dict[str, t.Any]] = field(default_factory=list)
    reader: object = field(default=None, repr=False, compare=False)

    def devices(self) -> t.Iterator[Device]:
        for host in self.hosts.values():
            yield from host.devices


def why_unknown(fleet: Fleet, host: str) -> str:
    """Return why ``host`` is not among the fleet's hosts."""
    problems = [each["problem"] for each in fleet.problems if each["host"] == host]
    return problems[0] if problems else f"no facts are known; {GATHER}"


def obstacle_in_guest(device: Device, guest: t.Sequence[Device]) -> str | None:
    """Return why ``device`` cannot migrate with all of its ``guest``'s devices; ``None`` where it can."""
    if _lacks_p2p(device, guest):
        return (
            "it cannot migrate with another VFIO device of its guest, as it does not support P2P (debugfs): QEMU migrates"
            " such a guest only where all of its devices do"
        )
    return obstacle(device)


def _lacks_p2p(device: Device, guest: t.Iterable[Device]) -> bool:
    return device.p2p is False and has_several(device, guest)


def obstacle_code(device: Device | DeviceClass, guest: t.Sequence[Device] = ()) -> ReasonCode:
    """Return as a code what ``obstacle_in_guest`` says of a ``device`` that cannot migrate."""
    if isinstance(device, Device) and _lacks_p2p(device, guest):
        return "no_p2p"
    return "no_descriptor" if device.descriptor is None else "cannot_migrate"


def open_in_guest(
    device: Device, guest: t.Sequence[Device], target: Device | None, host: str
) -> list[str]:
    """Return what is not known of ``device`` and decides whether it can migrate with all of its ``guest``'s devices.

    ``target`` is the device of ``host`` that it becomes; ``None`` where that is still to be made.
    """
    sentences: list[str] = []
    if len(guest) == 1 and not device.may_be_held:
        return sentences
    if device.may_be_held:
        sentences.append(
            f"it is unknown whether a process holds {device.id}, and all devices of a guest have to go to one host: gather the facts of"
            f" {device.host} as root"
        )
    if has_several(device, guest):
        ends = [device.id] if device.p2p is None else []
        if target is None:
            ends.append(f"the new device on {host}")
        elif target.p2p is None:
            ends.append(f"{target.id} on {host}")
        untold = " and ".join(ends)
        if untold:
            sentences.append(
                "a guest with several VFIO devices migrates only where all of them support P2P, which the kernel does not show"
                f" of {untold} (QEMU, docs/devel/migration/vfio.rst)"
            )
    if len(guest) > 1 and is_vgpu_of_nvidia(device) and sum(map(is_vgpu_of_nvidia, guest)) > 1:
        sentences.append(
            "not every release of NVIDIA's vGPU software gives a guest several vGPUs of one GPU: where they come to one, check"
            " its release notes (OpenStack Nova, bug 1758086)"
        )
    return sentences


def open_support(who: str, descriptor: Descriptor | None, supported: bool | None) -> list[str]:
    """Return what a device needs to migrate and its host does not show, where it is not known whether it can.

    ``who`` is what the device is called. A descriptor of the driver's own says all that there is to say.
    """
    if supported is not None or descriptor is None or not descriptor.derived:
        return []
    need = drivers.unshown_need(descriptor.self_attributes)
    if need is None:
        return []
    return [f"whether {who} can migrate is not known: {need}, which its host does not show"]


def is_vgpu_of_nvidia(device: Device) -> bool:
    """Return whether ``device`` is a vGPU that NVIDIA's driver has made, with mdev or without."""
    return (
        device.descriptor is not None
        and device.descriptor.self_attributes.get("driver") == "nvidia"
    )


def has_several(device: Device, guest: t.Iterable[Device]) -> bool:
    """Return whether ``device`` and at least one other one of its ``guest`` are VFIO's: then each has to support P2P."""
    # Those of one guest are on one host.
    return device.kind != VDPA and bool(
        [each for each in guest if each.kind != VDPA and each.id != device.id]
    )


def obstacle(device: Device | DeviceClass) -> str | None:
    """Return why ``device`` can neither migrate nor receive a migration whatever the other side is; ``None`` where it can."""
    if device.descriptor is None:
        return "it has no usable descriptor; see the problems of its host"
    return why_unsupported(device)


def why_unsupported(device: Device | DeviceClass) -> str | None:
    """Return that ``device`` cannot migrate, with the evidence, where its driver or the kernel says so; else ``None``."""
    if device.supported is not False:
        return None
    evidence = f" ({device.evidence})" if device.evidence else ""
    return f"it cannot migrate{evidence}"
