# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""vDPA devices and the management devices that make them, as the kernel tells of them.

The tool ``vdpa`` shows neither the features that a device was provisioned with nor the bits it has no name for, so the
kernel is asked as the tool asks it: include/uapi/linux/vdpa.h. Changes nothing.
"""

from __future__ import annotations

import errno
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import (
    attributes as attributes_module,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import UNKNOWN
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.virtio import (
    DEVICE_API,
    SOFTWARE_VERSION,
    class_name,
    class_names,
    feature_attributes,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.netlink import (
    Attributes,
    Family,
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
_NODE = "vhost-vdpa-"


class ManagementDevice:
    """A device that vDPA devices can be made on; ``name`` is ``bus/name`` or, without a bus, its name.

    ``features`` is a mask, and ``max_vqs`` a number; ``None`` where the kernel (before Linux 5.18) does not tell them.
    """

    def __init__(self, told: Attributes) -> None:
        self.name = _handle(told)
        self.classes = class_names(number(told[_MGMTDEV_SUPPORTED_CLASSES]))
        self.max_vqs = _number(told, _DEV_MGMTDEV_MAX_VQS)
        self.features = _number(told, _DEV_SUPPORTED_FEATURES)

    @property
    def device_class(self) -> str | None:
        """The class of its devices, ``None`` where there are several."""
        return self.classes[0] if len(self.classes) == 1 else None


class VdpaDevice:
    """A vDPA device.

    ``offered`` is the mask of the features it was provisioned with, which the kernel tells from Linux 6.1 on, and
    ``negotiated`` of those that its driver, a guest's for one, has accepted; each may be ``None``. ``mac``, ``mtu`` and
    ``max_vqp`` are ``None`` where the device has not got the feature. ``configuration`` is what else a guest reads.
    """

    def __init__(self, told: Attributes, configuration: Attributes) -> None:
        self.name = text(told[_DEV_NAME])
        self.parent = _handle(told)
        self.device_class = class_name(number(told[_DEV_ID]))
        self.max_vq_size = _number(told, _DEV_MAX_VQ_SIZE)
        self.offered = _number(configuration, _DEV_FEATURES)
        self.negotiated = _number(configuration, _DEV_NEGOTIATED_FEATURES)
        self.mac = _mac(configuration)
        self.mtu = _number(configuration, _DEV_NET_CFG_MTU)
        self.max_vqp = _number(configuration, _DEV_NET_CFG_MAX_VQP)
        self.configuration = {
            name: number(configuration[kind])
            for kind, name in _BLOCK_CONFIGURATION.items()
            if kind in configuration
        }

    def attributes(self) -> list[dict[str, str]]:
        """How it was provisioned, ``[{name, value}]`` as the tool takes them."""
        features = None if self.offered is None else hex(self.offered)
        values = (
            ("mac", self.mac),
            ("mtu", self.mtu),
            ("max_vqp", self.max_vqp),
            ("device_features", features),
        )
        return [{"name": name, "value": str(value)} for name, value in values if value is not None]

    def descriptor(self) -> dict[str, t.Any]:
        """The derived descriptor; raises ``DescriptorError`` where too little is known of the device.

        Of the features, those that the guest has accepted are asked of a target, as it may go on using them; before it
        has accepted any, all that the device offers.
        """
        offered = self.negotiated if self.offered is None else self.offered
        if offered is None:
            raise attributes_module.DescriptorError(
                "the kernel does not tell which features it offers; Linux 6.1 and newer do"
            )
        asked = offered if self.negotiated is None else offered & self.negotiated
        own = attributes_module.normalise(self._identity() + self._features(offered))
        attributes_module.check_self(own, attributes_module.DERIVED)
        pattern = attributes_module.normalise(self._identity() + self._features(asked))
        return {"origin": attributes_module.DERIVED, "self": own, "compatible": [pattern]}

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


class Bus:
    """Management devices, devices, and what the kernel would not tell of them."""

    def __init__(self) -> None:
        self.management_devices: list[ManagementDevice] = []
        self.devices: list[VdpaDevice] = []
        self.problems: list[HostReadError] = []


def ask(sysfs: Sysfs) -> Bus:
    """What the running kernel, whose tree ``sysfs`` is, tells; raises ``HostReadError`` where it does not answer."""
    bus = Bus()
    # Where vDPA was not used since the host started, there is no bus and nothing to ask.
    if not sysfs.exists(VDPA_BUS):
        return bus
    with reading(sysfs.path(VDPA_BUS)), _family(sysfs) as family:
        bus.management_devices += map(ManagementDevice, family.dump(_MGMTDEV_GET))
        for told in family.dump(_DEV_GET):
            path = sysfs.path(VDPA_DEVICES, text(told[_DEV_NAME]))
            try:
                with reading(path):
                    bus.devices.append(VdpaDevice(told, _configuration(family, told)))
            except HostReadError as problem:
                bus.problems.append(problem)
    return bus


def no_answer(sysfs: Sysfs) -> Bus:
    """What a copied tree tells of vDPA devices: at most that there were some."""
    bus = Bus()
    if sysfs.names(VDPA_DEVICES):
        problem = "the kernel tells what vDPA devices are, a copy of its sysfs does not"
        bus.problems.append(HostReadError(sysfs.path(VDPA_DEVICES), problem))
    return bus


def driver(sysfs: Sysfs, name: str) -> str | None:
    """The driver of the device ``name``, ``None`` where it has none."""
    with reading(sysfs.path(VDPA_DEVICES, name)):
        link = sysfs.link(VDPA_DEVICES, name, "driver")
    return None if link is None else link.rpartition("/")[2]


def device_nodes(sysfs: Sysfs, name: str) -> list[str]:
    """The device nodes through which a process may hold the device ``name``."""
    with reading(sysfs.path(VDPA_DEVICES, name)):
        entries = sysfs.names(VDPA_DEVICES, name)
    return ["/dev/" + entry for entry in entries if entry.startswith(_NODE)]


def migration(driver: str | None) -> tuple[bool | None, str]:
    """Whether a device with this driver can migrate, as far as is known, and the evidence."""
    if driver in (None, USER_SPACE_DRIVER):
        return None, UNKNOWN
    return False, f"driver {driver} gives it to the host itself"


def _family(sysfs: Sysfs) -> Family:
    try:
        return Family(_FAMILY, _VERSION)
    except FileNotFoundError:
        raise HostReadError(
            sysfs.path(VDPA_BUS),
            "the kernel tells of vDPA devices only in the host's own network namespace",
        ) from None


def _configuration(family: Family, told: Attributes) -> Attributes:
    # All at once would end at the first device that the kernel does not know the configuration of.
    try:
        return family.ask(_DEV_CONFIG_GET, {_DEV_NAME: told[_DEV_NAME]})
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return {}
        if error.errno == errno.ENODEV:
            raise OSError(errno.ENODEV, "vanished while it was read") from None
        raise


def _handle(told: Attributes) -> str:
    name = text(told[_MGMTDEV_DEV_NAME])
    return f"{text(told[_MGMTDEV_BUS_NAME])}/{name}" if _MGMTDEV_BUS_NAME in told else name


def _number(told: Attributes, kind: int) -> int | None:
    return number(told[kind]) if kind in told else None


def _mac(told: Attributes) -> str | None:
    if _DEV_NET_CFG_MACADDR not in told:
        return None
    return ":".join(f"{byte:02x}" for byte in told[_DEV_NET_CFG_MACADDR])
