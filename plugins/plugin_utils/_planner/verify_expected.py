# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the verifier expects of the descriptors of targets, new ones and existing ones. Pure."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import (
    NO_MAC,
    Case,
    Entry,
    Move,
    last_part,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_matching import (
    VERSION,
    NaiveDescriptor,
    asked_of_target,
    has_ap_cards,
    read_naive_set,
)

# What adds a number to an AP matrix, in the driver's order, and what a matrix without ``ap_config`` states of it.
ASSIGNED = {
    "assign_adapter": "adapters",
    "assign_domain": "domains",
    "assign_control_domain": "control_domains",
}
VDPA_VALUES = frozenset(("mac", "mtu", "max_vqp"))
# These come with a device's parent and type, and no module writes them.
NOT_GIVEN = frozenset(("software_version", "device_api", "type", "pci_id", "driver"))
HEXADECIMAL = re.compile("0x[0-9a-f]{1,16}")
# The bits of virtio features: virtio_config.h and virtio_ring.h, virtio_net.h and virtio_blk.h (include/uapi/linux).
_ALL_FEATURES = """24 NOTIFY_ON_EMPTY 27 ANY_LAYOUT 28 RING_INDIRECT_DESC 29 RING_EVENT_IDX 32 VERSION_1
33 ACCESS_PLATFORM 34 RING_PACKED 35 IN_ORDER 36 ORDER_PLATFORM 37 SR_IOV 38 NOTIFICATION_DATA 39 NOTIF_CONFIG_DATA
40 RING_RESET 41 ADMIN_VQ """
_FEATURES = {
    "net": """0 CSUM 1 GUEST_CSUM 2 CTRL_GUEST_OFFLOADS 3 MTU 5 MAC 6 GSO 7 GUEST_TSO4 8 GUEST_TSO6 9 GUEST_ECN
10 GUEST_UFO 11 HOST_TSO4 12 HOST_TSO6 13 HOST_ECN 14 HOST_UFO 15 MRG_RXBUF 16 STATUS 17 CTRL_VQ 18 CTRL_RX
19 CTRL_VLAN 20 CTRL_RX_EXTRA 21 GUEST_ANNOUNCE 22 MQ 23 CTRL_MAC_ADDR 50 DEVICE_STATS 52 VQ_NOTF_COAL 53 NOTF_COAL
54 GUEST_USO4 55 GUEST_USO6 56 HOST_USO 57 HASH_REPORT 59 GUEST_HDRLEN 60 RSS 61 RSC_EXT 62 STANDBY
63 SPEED_DUPLEX""",
    "block": """0 BARRIER 1 SIZE_MAX 2 SEG_MAX 4 GEOMETRY 5 RO 6 BLK_SIZE 7 SCSI 9 FLUSH 10 TOPOLOGY
11 CONFIG_WCE 12 MQ 13 DISCARD 14 WRITE_ZEROES 16 SECURE_ERASE 17 ZONED""",
}


def _configured(target: NaiveDescriptor, given: t.Iterable[Entry]) -> NaiveDescriptor:
    """Return what a device is once it is given attributes; it lists what is equal to it."""
    own = target.own | dict(_compared(last_part(each["name"]), each["value"]) for each in given)
    literal = {name: value.replace("{", "{{").replace("}", "}}") for name, value in own.items()}
    return NaiveDescriptor(own, [literal], [read_naive_set(literal, True)], True, target.shown)


def _compared(name: str, value: str) -> tuple[str, str]:
    """Return an attribute as it is compared: NVIDIA's parameters stand in any order."""
    return name, ",".join(
        sorted(map(str.strip, value.split(",")))
    ) if name == "vgpu_params" else value


class _Expected(t.NamedTuple):
    """What a new device will be: all that is ``certain``, what it is ``given``, and the attributes that are ``possible``.

    ``names`` are those of the attributes that it may be given, in full.
    """

    certain: dict[str, str]
    given: dict[str, str]
    possible: list[dict[str, str]]
    names: set[str]


def expected_target(case: Case, move: Move) -> _Expected | None:
    """Return what a new device will be; ``None`` where its source has no usable descriptor, or it no parent."""
    source, parent, offered = move.descriptor, move.parent, move.offered
    if parent is None or offered is None or source is None:
        return None
    names = {each["name"] for each in move.source["attributes"]}
    if has_no_ap_config(source, parent):
        names -= {"ap_config"}
    given = {last_part(each["name"]): each["value"] for each in readable_attributes(move)}
    versions: tuple[str, ...] = ()
    if parent["kind"] == "vdpa":
        names |= {"device_features"}
        certain = _vdpa_attributes(source, offered, given.pop("device_features", ""))
    else:
        certain = _mdev_attributes(source, parent, offered)
        versions = case.versions(move.place, source.derived)
    # What the source lets configure and the plan does not give is taken to be empty.
    known = {
        **{last_part(each): "" for each in names if last_part(each) not in NOT_GIVEN},
        **given,
        **certain,
    }
    possible = [{**known, "software_version": each} for each in versions] or [known]
    return _Expected(certain, given, possible, names)


def readable_attributes(move: Move) -> list[Entry]:
    """Return the attributes that a device is given and then shows: all but those that add a number to an AP matrix."""
    return [each for each in move.target["attributes"] if each["name"] not in ASSIGNED]


def _mdev_attributes(source: NaiveDescriptor, parent: Entry, offered: Entry) -> dict[str, str]:
    """Return what is certain of a new mdev before it is there, as far as its source states the same."""
    certain = {"type": offered["id"], "device_api": offered["device_api"]}
    if parent["pci_id"]:
        certain["pci_id"] = parent["pci_id"]
    if source.derived:
        stated = {"driver": parent.get("driver"), "type_name": offered.get("name")}
        stated |= _shown_by(parent) | dict(_cards_of_matrix(source, parent))
        certain |= {
            name: value
            for name, value in stated.items()
            if value is not None and name in source.own and name != VERSION
        }
    return certain


def _shown_by(parent: Entry) -> dict[str, str]:
    """Return what a parent shows of what its devices will, as text."""
    shown = parent.get("self") or {}
    return {name: "" if value is None else str(value) for name, value in shown.items()}


def has_no_ap_config(source: NaiveDescriptor, parent: Entry) -> bool:
    """Return whether an AP matrix like ``source`` can be given only one number after the other under ``parent``."""
    features = _shown_by(parent).get("features", "ap_config")
    return (
        source.derived
        and parent.get("driver") == "vfio_ap"
        and ("ap_config" not in source.own or "ap_config" not in features.split())
    )


def _cards_of_matrix(source: NaiveDescriptor, parent: Entry) -> t.Iterator[tuple[str, str]]:
    """Yield what a new AP matrix with the adapters of ``source`` would show of the host's cards and control domains."""
    shown = _shown_by(parent)
    if parent.get("driver") != "vfio_ap" or "features" not in shown:
        return
    if "migratable" not in shown["features"].split():
        yield "migratable", "no"
        return
    yield "migratable", "yes"
    rows: list[list[str]] = []
    for adapter in source.own.get("adapters", "").split(","):
        found = [each for each in shown.get("cards", "").split() if adapter in _adapters_of(each)]
        values = found[-1].partition("=")[0].split("/") if found else []
        rows.append([*values, "absent", "absent", "absent"])
    for place, name in enumerate(("ap_functions", "ap_class", "hwtype")):
        column = [row[place] for row in rows]
        if shown.get("cards") and all(column):
            yield name, ",".join(column)
    adapters = source.own.get("adapters", "").split(",")
    lacking = [
        each for each, row in zip(adapters, rows, strict=True) if row[0] in ("absent", "secure")
    ]
    if shown.get("cards") and adapters != [""] and (lacking or all(row[0] for row in rows)):
        yield "unfit_adapters", ",".join(lacking)
    if "host_control_domains" in shown:
        there = shown["host_control_domains"].split(",")
        wanted = [each for each in source.own.get("control_domains", "").split(",") if each]
        if wanted:
            yield "missing_control_domains", ",".join(each for each in wanted if each not in there)


def _adapters_of(cards: str) -> list[str]:
    return cards.partition("=")[2].split(",")


def _vdpa_attributes(source: NaiveDescriptor, offered: Entry, mask: str) -> dict[str, str]:
    """Return what is certain of a new vDPA device: it has the features that it is given, and no others."""
    asked = {name for each in source.written for name in each if name.startswith("feature_")}
    features = virtio_features(mask, offered["id"])
    return {
        "type": offered["id"],
        "device_api": offered["device_api"],
        "software_version": "1.0",
        **dict.fromkeys(asked, ""),
        **dict.fromkeys(features, "offered"),
    }


def existing_descriptor(case: Case, move: Move) -> NaiveDescriptor | None:
    """Return what an existing target is once it is given its attributes."""
    target = case.descriptor(move.target_key[0], move.there) if move.there else None
    given = move.target["attributes"]
    if target is not None and waits_for_its_matrix(case, move):
        parent = move.parent or {}
        return _with_matrix(target, t.cast(NaiveDescriptor, move.descriptor), parent)
    return _configured(target, given) if target is not None and given else target


def waits_for_its_matrix(case: Case, move: Move) -> bool:
    """Return whether a target is an AP matrix that nothing is assigned to, and has the UUID of a source that migrates to such a one."""
    if move.there is None or move.descriptor is None or not move.descriptor.derived:
        return False
    target = case.descriptor(move.target_key[0], move.there)
    if target is None or not target.derived:
        return False
    ends = (target, move.descriptor)
    return (
        not any(target.own.get(name) for name in ASSIGNED.values())
        and all(has_to_keep_its_uuid(each) for each in ends)
        and move.target["id"] == move.source["id"]
    )


def has_to_keep_its_uuid(descriptor: NaiveDescriptor | None) -> bool:
    """Return whether a device migrates only to one of its own UUID: an AP matrix of a driver that can migrate."""
    return descriptor is not None and descriptor.derived and has_ap_cards(descriptor.own)


def _with_matrix(
    target: NaiveDescriptor, source: NaiveDescriptor, parent: Entry
) -> NaiveDescriptor:
    """Return what a target is once it has the matrix of ``source``; it lists what is equal to it, or less."""
    own = dict(target.own)
    for name in (*ASSIGNED.values(), "ap_config"):
        if name in source.own:
            own[name] = source.own[name]
    own |= dict(_cards_of_matrix(source, parent))
    listed = {
        name: f"{{rising:{value}}}"
        if name in ("ap_class", "hwtype") and re.fullmatch("[0-9,]+", value)
        else value
        for name, value in own.items()
    } | {name: f"{{none:{own.get(name, '')}}}" for name in asked_of_target(own)}
    return NaiveDescriptor(own, [listed], [read_naive_set(listed, True)], True, target.shown)


def carried_settings(move: Move) -> dict[str, t.Any]:
    """Return what of its source's network settings a target is given: what its own host shows of it, where it is free."""
    there = move.there
    if there is None or there["in_use"] is not None or move.source["in_use"] is None:
        return {}
    if (move.source["kind"], there["kind"]) != ("pci", "pci"):
        return {}
    shown = there.get("network", {})
    return {name: each for name, each in move.source.get("network", {}).items() if name in shown}


def settings_left(move: Move) -> t.Iterator[str]:
    """Yield how the warning begins that some of its source's network settings are not given to a target."""
    there = move.there or {}
    if move.source["in_use"] is None or (move.source["kind"], there.get("kind")) != ("pci", "pci"):
        return
    if "network" not in move.source:
        if "network" in there:
            yield "its host does not show the network settings of the source"
        return
    given = carried_settings(move)
    left = [
        name
        for name, value in move.source["network"].items()
        if name not in given and value not in (0, "auto", "802.1Q", NO_MAC)
    ]
    if left and there["in_use"] is not None:
        yield "the target is in use, so its network settings are not set"
    elif left:
        yield "the target's host does not show these network settings of it"


def virtio_features(mask: str, device_class: str) -> set[str]:
    """Return the attributes of a descriptor for the features in ``mask``, hexadecimal, of a device of this class."""
    words = (_ALL_FEATURES + _FEATURES.get(device_class, "")).split()
    names = dict(zip(words[::2], words[1::2], strict=True))
    features = int(mask, 16) if HEXADECIMAL.fullmatch(mask) else 0
    bits = [str(bit) for bit in range(64) if features >> bit & 1]
    return {f"feature_{names.get(bit, f'bit_{bit}')}" for bit in bits}
