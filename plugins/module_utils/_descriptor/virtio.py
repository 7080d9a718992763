# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Classes and features of virtio devices: numbers, masks, the names for them, and what descriptors make of them.

Names are those of the tool ``vdpa`` (iproute2), which are those of the virtio specification without their prefix; bits
that newer features have, and older releases of the tool do not know, are named as well. What has no name is
``bit_<number>``, so no bit is ever lost. Pure.
"""

from __future__ import annotations

import re
import typing as t

# Class, features and configuration define a virtio device; it has no version besides.
SOFTWARE_VERSION = "1.0"
DEVICE_API = "vhost-vdpa"

NET = "net"
BLOCK = "block"
FEATURE_BITS = 64

# A name that the kernel can have for a vDPA device, and that no tool takes for an option or a path.
DEVICE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}\Z")

# In descriptors, before a feature's name, and the value there.
FEATURE = "feature_"
_OFFERED = "offered"

_CLASSES = {1: NET, 2: BLOCK}
_UNNAMED = re.compile(r"bit_([0-9]{1,2})\Z")
_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})\Z")

# include/uapi/linux/virtio_config.h and virtio_ring.h: the features of every class.
_TRANSPORT = {
    24: "NOTIFY_ON_EMPTY",
    27: "ANY_LAYOUT",
    28: "RING_INDIRECT_DESC",
    29: "RING_EVENT_IDX",
    32: "VERSION_1",
    33: "ACCESS_PLATFORM",
    34: "RING_PACKED",
    35: "IN_ORDER",
    36: "ORDER_PLATFORM",
    37: "SR_IOV",
    38: "NOTIFICATION_DATA",
    39: "NOTIF_CONFIG_DATA",
    40: "RING_RESET",
    41: "ADMIN_VQ",
}
_OWN = {
    # include/uapi/linux/virtio_net.h
    NET: {
        0: "CSUM",
        1: "GUEST_CSUM",
        2: "CTRL_GUEST_OFFLOADS",
        3: "MTU",
        5: "MAC",
        6: "GSO",
        7: "GUEST_TSO4",
        8: "GUEST_TSO6",
        9: "GUEST_ECN",
        10: "GUEST_UFO",
        11: "HOST_TSO4",
        12: "HOST_TSO6",
        13: "HOST_ECN",
        14: "HOST_UFO",
        15: "MRG_RXBUF",
        16: "STATUS",
        17: "CTRL_VQ",
        18: "CTRL_RX",
        19: "CTRL_VLAN",
        20: "CTRL_RX_EXTRA",
        21: "GUEST_ANNOUNCE",
        22: "MQ",
        23: "CTRL_MAC_ADDR",
        50: "DEVICE_STATS",
        52: "VQ_NOTF_COAL",
        53: "NOTF_COAL",
        54: "GUEST_USO4",
        55: "GUEST_USO6",
        56: "HOST_USO",
        57: "HASH_REPORT",
        59: "GUEST_HDRLEN",
        60: "RSS",
        61: "RSC_EXT",
        62: "STANDBY",
        63: "SPEED_DUPLEX",
    },
    # include/uapi/linux/virtio_blk.h
    BLOCK: {
        0: "BARRIER",
        1: "SIZE_MAX",
        2: "SEG_MAX",
        4: "GEOMETRY",
        5: "RO",
        6: "BLK_SIZE",
        7: "SCSI",
        9: "FLUSH",
        10: "TOPOLOGY",
        11: "CONFIG_WCE",
        12: "MQ",
        13: "DISCARD",
        14: "WRITE_ZEROES",
        16: "SECURE_ERASE",
        17: "ZONED",
    },
}


def class_name(number: int) -> str:
    """Return the class of a device by its virtio id: ``net`` or ``block`` as the tool has it, else ``virtio-<id>``."""
    return _CLASSES.get(number, f"virtio-{number}")


def class_names(mask: int) -> list[str]:
    """Return the classes in a mask that has the bit of each one's virtio id."""
    return [class_name(number) for number in range(FEATURE_BITS) if mask >> number & 1]


def feature_names(mask: int, device_class: str | None) -> list[str]:
    """Return the names of the features in ``mask``, by bit.

    ``device_class`` is the class that they belong to, ``None`` for no single one.
    """
    known = _names(device_class)
    return [known.get(bit, f"bit_{bit}") for bit in range(FEATURE_BITS) if mask >> bit & 1]


def feature_mask(features: t.Iterable[str], device_class: str | None) -> int:
    """Return the mask of ``features``, each a name or ``bit_<number>``, or a mask of several as a number.

    Raise ``ValueError`` where one is none of these.
    """
    bits = {name: bit for bit, name in _names(device_class).items()}
    mask = 0
    for feature in features:
        unnamed = _UNNAMED.match(feature)
        if feature in bits:
            mask |= 1 << bits[feature]
        elif unnamed:
            mask |= 1 << int(unnamed.group(1))
        elif _NUMBER.match(feature):
            mask |= int(feature, 16 if feature[:2] in ("0x", "0X") else 10)
        else:
            raise ValueError(feature)
    if mask >> FEATURE_BITS:
        raise ValueError(hex(mask))
    return mask


def feature_attributes(mask: int, device_class: str | None) -> dict[str, str]:
    """Return the attributes of a descriptor for the features in ``mask``."""
    return {FEATURE + name: _OFFERED for name in feature_names(mask, device_class)}


def attributes_mask(attributes: t.Iterable[str], device_class: str | None) -> int:
    """Return the mask that has these ``feature_attributes``."""
    return feature_mask((name[len(FEATURE) :] for name in attributes), device_class)


def _names(device_class: str | None) -> dict[int, str]:
    return {**_TRANSPORT, **_OWN.get(device_class or "", {})}
