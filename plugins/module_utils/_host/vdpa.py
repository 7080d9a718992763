# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""vDPA devices and the management devices that they are created on, as the kernel answers about them.

The tool ``vdpa`` shows neither the features that a device was provisioned with nor the bits it has no name for, so the
kernel is asked as the tool asks it: include/uapi/linux/vdpa.h. Changes nothing.
"""

from __future__ import annotations

import contextlib
import errno
import typing as t
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DERIVED,
    DescriptorError,
    check_self,
    normalise,
    shown,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import UNKNOWN
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.virtio import (
    DEVICE_API,
    SOFTWARE_VERSION,
    class_name,
    class_names,
    feature_attributes,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.device_numbers import VDPA_NODE
from ansible_collections.vfio.migration.plugins.module_utils._host.netlink import (
    Attributes,
    Family,
    broken_answer,
    number,
    text,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
    reading,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs

VDPA_BUS = "bus/vdpa"
VDPA_DEVICES = "bus/vdpa/devices"

_MAC_SIZE = 6
_MAX_NAME = 255

# The driver through which user space, such as QEMU, has a device; another one gives it to the host itself.
USER_SPACE_DRIVER = "vhost_vdpa"

_FAMILY = "vdpa"
_VERSION = 1
_MGMTDEV_GET = 2
_DEV_GET = 5
_DEV_CONFIG_GET = 6

_MGMTDEV_BUS_NAME = 1
_MGMTDEV_DEV_NAME = 2
_MGMTDEV_SUPPORTED_CLASSES = 3
_DEV_NAME = 4
_DEV_ID = 5
_DEV_MAX_VQ_SIZE = 8
_DEV_NET_CFG_MACADDR = 10
_DEV_NET_CFG_MAX_VQP = 12
_DEV_NET_CFG_MTU = 13
_DEV_NEGOTIATED_FEATURES = 14
_DEV_MGMTDEV_MAX_VQS = 15
_DEV_SUPPORTED_FEATURES = 16
_DEV_FEATURES = 20

# What a guest reads of its block device; named as in the kernel's struct virtio_blk_config.
_BLOCK_CONFIGURATION = {
    21: "capacity",
    22: "size_max",
    23: "blk_size",
    24: "seg_max",
    25: "num_queues",
    26: "physical_block_exp",
    27: "alignment_offset",
    28: "min_io_size",
    29: "opt_io_size",
    30: "max_discard_sectors",
    31: "max_discard_seg",
    32: "discard_sector_alignment",
    33: "max_write_zeroes_sectors",
    34: "max_write_zeroes_seg",
}


@dataclass(frozen=True)
class ManagementDevice:
    """A device that vDPA devices can be created on; ``name`` is ``bus/name`` or, without a bus, its name.

    ``features`` is a mask, and ``max_vqs`` a number; ``None`` where the kernel (before Linux 5.18) has no answer.
    """

    name: str
    classes: list[str]
    max_vqs: int | None
    features: int | None

    @classmethod
    def from_answer(cls, answer: Attributes) -> ManagementDevice:
        """Return the management device that one of the kernel's answers is about."""
        return cls(
            _handle(answer),
            class_names(number(answer[_MGMTDEV_SUPPORTED_CLASSES])),
            _number(answer, _DEV_MGMTDEV_MAX_VQS),
            _number(answer, _DEV_SUPPORTED_FEATURES),
        )

    @property
    def device_class(self) -> str | None:
        """The class of its devices; ``None`` where there are several."""
        return self.classes[0] if len(self.classes) == 1 else None


@dataclass(frozen=True)
class VdpaDevice:
    """A vDPA device.

    ``offered`` is the mask of the features it was provisioned with, which the kernel answers from Linux 6.1 on.
    ``negotiated`` is that of the features that its driver, such as a guest's, has accepted. Each may be ``None``. ``mac``,
    ``mtu`` and ``max_vqp`` are ``None`` where the device lacks the feature. ``configuration`` is what else a guest reads.
    """

    name: str
    parent: str
    device_class: str
    max_vq_size: int | None
    offered: int | None
    negotiated: int | None
    mac: str | None
    mtu: int | None
    max_vqp: int | None
    configuration: dict[str, int]

    @classmethod
    def from_answers(cls, answer: Attributes, configuration: Attributes) -> VdpaDevice:
        """Return the device that the kernel's answers, about it and about its configuration, are about."""
        return cls(
            name=_component(text(answer[_DEV_NAME])),
            parent=_handle(answer),
            device_class=class_name(number(answer[_DEV_ID])),
            max_vq_size=_number(answer, _DEV_MAX_VQ_SIZE),
            offered=_number(configuration, _DEV_FEATURES),
            negotiated=_number(configuration, _DEV_NEGOTIATED_FEATURES),
            mac=_mac(configuration),
            mtu=_number(configuration, _DEV_NET_CFG_MTU),
            max_vqp=_number(configuration, _DEV_NET_CFG_MAX_VQP),
            configuration={
                name: number(configuration[kind])
                for kind, name in _BLOCK_CONFIGURATION.items()
                if kind in configuration
            },
        )

    def attributes(self) -> list[dict[str, str]]:
        """Return how it was provisioned, ``[{name, value}]`` as the tool takes them."""
        features = None if self.offered is None else hex(self.offered)
        values = (
            ("mac", self.mac),
            ("mtu", self.mtu),
            ("max_vqp", self.max_vqp),
            ("device_features", features),
        )
        return [{"name": name, "value": str(value)} for name, value in values if value is not None]

    def descriptor(self) -> dict[str, t.Any]:
        """Return the derived descriptor; raise ``DescriptorError`` where too little is known of the device.

        A target must offer the features that the guest has accepted, as the guest may go on using them. Before the guest
        has accepted any, a target must offer all that the device offers.
        """
        offered = self.negotiated if self.offered is None else self.offered
        if offered is None:
            raise DescriptorError(
                "the kernel does not show which features it offers; Linux 6.1 and newer do"
            )
        asked = offered if self.negotiated is None else offered & self.negotiated
        own = normalise(self._identity() + self._features(offered))
        check_self(own, DERIVED)
        pattern = normalise(self._identity() + self._features(asked))
        return {"origin": DERIVED, "self": own, "compatible": [pattern]}

    def _identity(self) -> list[tuple[str, str]]:
        values = (
            ("software_version", SOFTWARE_VERSION),
            ("device_api", DEVICE_API),
            ("type", self.device_class),
            ("mac", self.mac),
            ("mtu", self.mtu),
            ("max_vqp", self.max_vqp),
            ("max_vq_size", self.max_vq_size),
            *self.configuration.items(),
        )
        return [(name, str(value)) for name, value in values if value is not None]

    def _features(self, mask: int) -> list[tuple[str, str]]:
        return list(feature_attributes(mask, self.device_class).items())


@dataclass
class Bus:
    """Management devices, devices, and the problems with what the kernel had no answer about."""

    management_devices: list[ManagementDevice] = field(default_factory=list)
    devices: list[VdpaDevice] = field(default_factory=list)
    problems: list[HostReadError] = field(default_factory=list)

    @contextlib.contextmanager
    def noting_problems(self) -> t.Iterator[None]:
        """Note a ``HostReadError`` as a problem, and go on after the block."""
        try:
            yield
        except HostReadError as problem:
            self.problems.append(problem)


def ask(sysfs: Sysfs) -> Bus:
    """Ask the running kernel, whose tree ``sysfs`` is; raise ``HostReadError`` where it does not answer."""
    bus = Bus()
    # Where vDPA was not used since the host started, there is no bus and nothing to ask.
    if not sysfs.exists(VDPA_BUS):
        return bus
    with reading(sysfs.path(VDPA_BUS)), _family(sysfs) as family:
        for answer in family.dump(_MGMTDEV_GET):
            # One that is odd costs no other.
            with bus.noting_problems(), reading(sysfs.path(VDPA_BUS)):
                bus.management_devices.append(ManagementDevice.from_answer(answer))
        for answer in family.dump(_DEV_GET):
            with bus.noting_problems(), reading(sysfs.path(VDPA_DEVICES)):
                name = _component(text(answer[_DEV_NAME]))
                with reading(sysfs.path(VDPA_DEVICES, name)):
                    configuration = _configuration(family, answer)
                    bus.devices.append(VdpaDevice.from_answers(answer, configuration))
    return bus


def no_answer(sysfs: Sysfs) -> Bus:
    """Return what a copied tree shows of vDPA devices: at most that there were some."""
    bus = Bus()
    with reading(sysfs.path(VDPA_DEVICES)):
        names = sysfs.names(VDPA_DEVICES)
    if names:
        problem = (
            "only the running kernel shows what its vDPA devices are; a copy of its sysfs does not"
        )
        bus.problems.append(HostReadError(sysfs.path(VDPA_DEVICES), problem))
    return bus


def driver(sysfs: Sysfs, name: str) -> str | None:
    """Return the driver of the device ``name``; ``None`` where it has none."""
    with reading(sysfs.path(VDPA_DEVICES, name)):
        link = sysfs.link(VDPA_DEVICES, name, "driver")
    return None if link is None else link.rpartition("/")[2]


def device_nodes(sysfs: Sysfs, name: str) -> list[str]:
    """Return the device nodes through which a process may hold the device ``name``."""
    with reading(sysfs.path(VDPA_DEVICES, name)):
        entries = sysfs.names(VDPA_DEVICES, name)
    return ["/dev/" + entry for entry in entries if entry.startswith(VDPA_NODE)]


def migration_support(driver: str | None) -> tuple[bool | None, str]:
    """Return whether a device with this driver can migrate, ``None`` if unknown, and the evidence."""
    if driver in (None, USER_SPACE_DRIVER):
        return None, UNKNOWN
    return False, f"driver {driver} gives it to the host itself"


def _family(sysfs: Sysfs) -> Family:
    try:
        return Family(_FAMILY, _VERSION)
    except FileNotFoundError:
        raise HostReadError(
            sysfs.path(VDPA_BUS),
            "the kernel shows vDPA devices only in the host's own network namespace",
        ) from None


def _configuration(family: Family, answer: Attributes) -> Attributes:
    # All at once would end at the first device that the kernel does not know the configuration of.
    try:
        return family.ask(_DEV_CONFIG_GET, {_DEV_NAME: answer[_DEV_NAME]})
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return Attributes()
        if error.errno == errno.ENODEV:
            raise OSError(errno.ENODEV, "vanished while it was read") from None
        raise


def _handle(answer: Attributes) -> str:
    names = [text(answer[_MGMTDEV_DEV_NAME])]
    if _MGMTDEV_BUS_NAME in answer:
        names.insert(0, text(answer[_MGMTDEV_BUS_NAME]))
    bus, slash, name = "/".join(names).partition("/")
    return _component(bus) + (f"/{_component(name)}" if slash else "")


def _component(name: str) -> str:
    """Return a name that the kernel gives, which is that of a directory of sysfs."""
    if name in ("", ".", "..") or "/" in name or len(name) > _MAX_NAME or not name.isprintable():
        raise broken_answer(f"{shown(name[:_MAX_NAME])} is not a name")
    return name


def _number(answer: Attributes, kind: int) -> int | None:
    return number(answer[kind]) if kind in answer else None


def _mac(answer: Attributes) -> str | None:
    if _DEV_NET_CFG_MACADDR not in answer:
        return None
    address = answer[_DEV_NET_CFG_MACADDR]
    if len(address) != _MAC_SIZE:
        raise broken_answer(f"{len(address)} bytes are not a MAC address")
    return ":".join(f"{byte:02x}" for byte in address)
