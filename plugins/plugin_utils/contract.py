# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The shapes of all public data: facts, verdicts, plans, explanations, pairs and reports.

Each shape is a ``TypedDict`` (PEP 589). ``tests/json_schemas.py`` makes the JSON Schemas in ``docs/schemas`` from
this file. The string below a field becomes its description.

A text that is one of several values, and a number with a limit, are ``Annotated`` with the JSON Schema keywords for
this. A type checker treats them as a plain ``str`` or ``int``. Unless stated otherwise, numbers count devices, hosts or
classes. Every key is present unless it is ``NotRequired``.

The annotations are evaluated: as texts, they would take twice the time in each run.
"""

import sys
import types
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import KINDS

if t.TYPE_CHECKING:
    from typing_extensions import NotRequired as NotRequired  # pylint: disable=useless-import-alias
elif sys.version_info >= (3, 11):
    from typing import NotRequired as NotRequired  # pylint: disable=useless-import-alias
else:

    class NotRequired:
        """Marks a key that may be absent, as the one of ``typing`` does from Python 3.11 on."""

        __class_getitem__ = classmethod(types.GenericAlias)


def may_be_absent(hint: t.Any) -> bool:
    """Return whether a key whose type hint this is may be absent."""
    return t.get_origin(hint) is NotRequired


def where(**keywords: t.Any) -> tuple[tuple[str, t.Any], ...]:
    """Return JSON Schema ``keywords`` as an annotation, which must be hashable."""
    return tuple(keywords.items())


# --- values ----------------------------------------------------------------------------------------------------------

Count = t.Annotated[int, where(minimum=0)]
Positive = t.Annotated[int, where(minimum=1)]
Index = t.Annotated[int, where(minimum=0)]

Kind = t.Annotated[str, where(enum=KINDS)]
Origin = t.Annotated[str, where(enum=("directory", "file", "derived"))]
VlanProtocol = t.Annotated[str, where(enum=("802.1Q", "802.1ad"))]
LinkState = t.Annotated[str, where(enum=("auto", "enable", "disable"))]
Direction = t.Annotated[str, where(enum=("source_lists", "target_accepts", "both", "either"))]
Certainty = t.Annotated[str, where(enum=("declared", "derived", "assumed", "provisional"))]
Rule = t.Annotated[
    str,
    where(
        enum=(
            *("present", "equal", "one_of", "expression", "version_major", "version_minor"),
            *("order", "void_set", "no_descriptor", "configuration"),
        )
    ),
]
Policy = t.Annotated[str, where(enum=("pack", "spread"))]
FreeDevices = t.Annotated[str, where(enum=("movable", "all", "none"))]
# How it is proven that devices have no place in any plan: some have none even if no other device moves, there are too few
# places for those that need them, or the search has looked at everything.
ProofKind = t.Annotated[str, where(enum=("no_place", "shortage", "cases", "search"))]
Status = t.Annotated[str, where(enum=("optimal", "feasible", "infeasible", "unproven"))]
Solver = t.Annotated[str, where(enum=("search", "ortools"))]
Action = t.Annotated[str, where(enum=("create", "set"))]
# Why a device stays, as a program reads it; the sentences beside it are for people and may change.
ReasonCode = t.Annotated[
    str,
    where(
        enum=(
            # What is true of the device, its guest, or all hosts together.
            *("cannot_migrate", "no_descriptor", "no_p2p", "guest_stays"),
            *(
                "shortage",
                "circle",
                "no_target_host",
                "verifier",
                "left_out",
                "failed",
                "lower_priority",
            ),
            # What is in the way on one host: a device that matches but cannot be used.
            *(
                "taken",
                "capacity_taken",
                "no_capacity",
                "card_full",
                "in_use",
                "holder_unknown",
                "moves_itself",
                "mac_address",
                "queue_assigned",
                "other_uuid",
            ),
            *(
                "limit",
                "capacity",
                "apart",
                "guest_together",
                "guest_device",
                "avoided",
                "condition",
            ),
            # What is there is not compatible.
            *("driver_version", "major_version", "configuration", "attribute", "target_no_p2p"),
            *("no_list", "void_set", "unknown_device", "no_hardware", "nothing_usable"),
            # What is not known, or not said.
            *("no_facts", "facts_changed", "not_examined", "more"),
        )
    ),
]
Level = t.Annotated[str, where(enum=("all", "some", "none", "nothing", "unknown"))]
State = t.Annotated[
    str, where(enum=("planned", "prepared", "migrating", "moved", "done", "unclear"))
]

# Text for people, in one line: without characters that would steer a terminal, hide or change the direction of text.
# Where names are in it, such characters of theirs are escapes.
_NO_CONTROLS = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff]*$"
Sentence = t.Annotated[str, where(pattern=_NO_CONTROLS)]
# The same in several lines.
Paragraph = t.Annotated[
    str, where(pattern=_NO_CONTROLS.replace("\\u001f", "\\u0009\\u000b-\\u001f"))
]

Time = t.Annotated[str, where(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]
Uuid = t.Annotated[
    str, where(pattern="^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
]
Digest = t.Annotated[str, where(pattern="^[0-9a-f]{32}$")]
PciId = t.Annotated[str, where(pattern="^[0-9a-f]{8}$")]
Mac = t.Annotated[str, where(pattern="^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")]
Mask = t.Annotated[str, where(pattern="^0x[0-9a-f]{1,16}$")]

AttributeName = t.Annotated[str, where(pattern="^[A-Za-z0-9_.-]+$", maxLength=255)]
AttributeValue = t.Annotated[str, where(pattern="^[ -~]*$", maxLength=1024)]
# Attribute name to value, in the proposal's spelling; a pattern's values may hold templates.
AttributeSet = dict[AttributeName, AttributeValue]
AttributeSets = t.Annotated[list[AttributeSet], where(maxItems=64)]
# What a guest sees of a function, as far as it is compared: ``pci.id``, ``pci.capabilities`` and so on.
ConfigurationName = t.Annotated[str, where(pattern="^[a-z0-9][a-z0-9._-]{0,62}$")]
Configuration = dict[ConfigurationName, AttributeValue]
# Variable of a pattern to its value.
Bindings = dict[str, int | str]


class Attribute(t.TypedDict):
    """An attribute that can be configured."""

    name: str
    """The full name: ``name``, ``group/name``, or the name that the tool ``vdpa`` uses."""
    value: str
    """The value, as text."""


class DeviceLabel(t.TypedDict):
    """Identifies a device of the fleet."""

    host: str
    """The inventory name of its host."""
    kind: Kind
    """The kind of device."""
    id: str
    """The UUID of an mdev, the address of a PCI device, the name of a vDPA device."""


# --- facts -----------------------------------------------------------------------------------------------------------


class DescriptorFacts(t.TypedDict):
    """A device descriptor in normal form."""

    origin: Origin
    """Its source: ``directory`` with one file per attribute, a single ``file``, or ``derived`` from what the kernel shows of every device."""
    self: AttributeSet
    """The attributes of the device itself."""
    compatible: AttributeSets
    """Patterns of the devices that it can migrate to. One match is enough."""
    configuration: NotRequired[Configuration]
    """The properties that an emulator compares in addition, by name, as far as the host shows them."""


class AttributeFacts(Attribute):
    """An attribute of a device that can be configured and read."""

    choices: NotRequired[list[str]]
    """The values that it accepts now. Present only if the device cannot be used before the attribute has a value."""
    choice_names: NotRequired[list[str]]
    """The names of these values, in the same order."""


class HolderFacts(t.TypedDict):
    """The process that holds a device."""

    pid: Positive | None
    """The process ID. Null if it is unknown whether a process holds the device."""
    name: str | None
    """The name of the guest if the process is QEMU, else the name of the command. Null if unknown."""
    uuid: NotRequired[str]
    """The UUID of the guest, if the process shows one."""


class MigrationFacts(t.TypedDict):
    """Whether a device can migrate, and how that is known."""

    supported: bool | None
    """Whether the device can migrate. Null if unknown."""
    evidence: str
    """How that is known: ``debugfs``, ``unknown``, or a sentence about the driver or the obstacle."""
    features: list[str]
    """The migration features that the kernel shows. Linux 6.18 and newer show them."""
    state: str | None
    """The migration state that the kernel shows. Null if it shows none."""


class NetworkSettings(t.TypedDict):
    """The settings of a virtual function of a network card. A setting that the driver of the physical function does not show is absent."""

    mac: Mac
    """The MAC address. All zeros if none is set."""
    vlan: NotRequired[Count]
    """The VLAN of its frames. 0 if there is none."""
    qos: NotRequired[Count]
    """The priority in the VLAN tag."""
    proto: NotRequired[VlanProtocol]
    """The protocol of the VLAN tag."""
    spoofchk: NotRequired[bool]
    """Whether the card drops frames with another source address."""
    trust: NotRequired[bool]
    """Whether the guest may use features that affect other functions, such as promiscuous mode."""
    min_tx_rate: NotRequired[Count]
    """The guaranteed transmit rate in Mbit/s. 0 if there is none."""
    max_tx_rate: NotRequired[Count]
    """The maximum transmit rate in Mbit/s. 0 if there is no limit."""
    link_state: NotRequired[LinkState]
    """The state of its link: ``auto`` follows the card, ``enable`` is always up, ``disable`` is never up."""


class DeviceFacts(t.TypedDict):
    """An mdev, a physical or virtual PCI function, or a vDPA device."""

    kind: Kind
    """The kind of device."""
    id: str
    """The UUID of an mdev, the address of a PCI device, the name of a vDPA device."""
    parent: str | None
    """The parent of an mdev, the physical function of a virtual function, or the management device of a vDPA device. Null for other devices."""
    type: str
    """The type of an mdev, the ``type`` of a PCI device or a signature of its PCI IDs, or the class of a vDPA device."""
    descriptor: Digest | None
    """The key of its descriptor in ``descriptors``. Null if the descriptor is unreadable or invalid."""
    attributes: list[AttributeFacts]
    """The attributes that can be configured on the device, sorted by name."""
    numa_node: Count | None
    """The NUMA node of the device or its parent. Null if there is none."""
    iommu_group: Count | None
    """The number of its IOMMU group. Null if it is in none."""
    driver: str | None
    """The driver that it is bound to. Null if there is none."""
    in_use: HolderFacts | None
    """The process that holds it. Null if none does."""
    migration: MigrationFacts
    """Whether it can migrate, and how that is known."""
    network: NotRequired[NetworkSettings]
    """The settings of a virtual function of a network card. Absent if unknown."""


class TypeFacts(t.TypedDict):
    """An mdev type of a parent, or a device class of a management device."""

    id: str
    """The ID of the type, or the class."""
    name: str | None
    """The display name of the type. Null if there is none."""
    device_api: str
    """The API of such devices, such as ``vfio-pci``."""
    available_instances: Count
    """How many more devices can be created now. The types of a parent usually share its capacity."""
    description: str | None
    """The description of the type. Null if there is none."""
    resources: NotRequired[dict[str, Count]]
    """What a device of the type takes of its parent, if the description states it: for GVT-g, ``low_gm_size`` and
    ``high_gm_size`` in MiB, and ``fence``."""
    max_instance: NotRequired[Positive]
    """How many devices of the type a card can hold, if the description states it."""
    framebuffer: NotRequired[Positive]
    """The frame buffer of each device in MiB, if the description states it."""


class ParentFacts(t.TypedDict):
    """A device on which mdevs can be created."""

    kind: t.Annotated[str, where(const="mdev")]
    """The kind of devices that it can create."""
    id: str
    """The name of the device, such as its PCI address."""
    driver: str | None
    """The name of its driver in the kernel's IDs of the types."""
    pci_id: PciId | None
    """The vendor and device IDs. Null if it is not a PCI device."""
    physical_function: NotRequired[str]
    """The physical function of the card, if the parent is a virtual function that shares the memory of the card. Otherwise absent."""
    numa_node: Count | None
    """The NUMA node. Null if there is none."""
    types: list[TypeFacts]
    """The types of devices that it can create."""
    self: NotRequired[AttributeSet]
    """The attributes that a new device takes from the parent into its own ``self``, and those that distinguish such devices, as far as the host shows them."""
    configuration: NotRequired[Configuration]
    """The compared properties of devices that are created on it, as far as the host shows them."""


class ManagementDeviceFacts(t.TypedDict):
    """A management device, on which vDPA devices can be created."""

    kind: t.Annotated[str, where(const="vdpa")]
    """The kind of devices that it can create."""
    id: str
    """The name that the tool ``vdpa`` uses: ``bus/device`` or ``device``."""
    driver: str | None
    """The driver that it is bound to."""
    pci_id: PciId | None
    """The vendor and device IDs. Null if it is not a PCI device."""
    numa_node: Count | None
    """The NUMA node. Null if there is none."""
    types: list[TypeFacts]
    """The classes of devices that it can create. Each has one available instance while there is no device."""
    supported_classes: list[str]
    """The classes of vDPA devices that it supports."""
    max_supported_vqs: Count | None
    """How many virtqueues a device can have. Null if the kernel does not show it."""
    dev_features: list[str]
    """The names of the virtio features that a device can be provisioned with."""
    dev_features_mask: Mask | None
    """The same features as a mask. Null if the kernel does not show it, such as before Linux 5.18."""


class GpuFacts(t.TypedDict):
    """A GPU, as NVIDIA's management library reports it."""

    id: str
    """Its PCI address."""
    ecc: bool | None
    """Whether ECC is on now. Null if the library does not report it."""
    mig: bool | None
    """Whether MIG is on now. Null if the library does not report it."""
    virtualization: str | None
    """The virtualization mode: ``none``, ``passthrough``, ``vgpu``, ``host_vgpu`` or ``host_vsga``. Null if unknown."""
    host_mode: str | None
    """How the host provides vGPUs: ``sriov`` or ``non_sriov``. Null if unknown."""
    capabilities: list[str]
    """Its vGPU capabilities, as the names in NVML without ``NVML_DEVICE_VGPU_CAP_``."""
    vgpu_versions: t.Annotated[list[Count], where(minItems=2, maxItems=2)] | None
    """The lowest and the highest vGPU version that the host supports. Null if unknown."""
    metadata: str | None
    """The vGPU metadata of the GPU for ``vgpu_compatibility``, in base64. Null if it cannot have vGPUs."""


class VgpuFacts(t.TypedDict):
    """An active vGPU, as NVIDIA's management library reports it."""

    id: str | None
    """The UUID of its mdev. Null if it is not an mdev."""
    gpu: str
    """The PCI address of its GPU."""
    vm: str | None
    """The name or UUID of its guest, as the library reports it. Null if unknown."""
    guest_driver: str | None
    """The version of the guest's driver. Null until the driver reports it."""
    vgpu_version: Positive | None
    """The vGPU version that host and guest agreed on. Null until they do."""
    metadata: str | None
    """The metadata of the vGPU for ``vgpu_compatibility``, in base64. Null if the library does not return it."""


class NvidiaFacts(t.TypedDict):
    """What NVIDIA's management library reports."""

    driver: str | None
    """The version of the host's driver."""
    gpus: list[GpuFacts]
    """The GPUs."""
    vgpus: list[VgpuFacts]
    """The active vGPUs."""


class ProblemFacts(t.TypedDict):
    """Something that could not be read, or that is not valid in a descriptor."""

    path: str
    """The file or directory."""
    problem: str
    """The problem, and what would be correct."""


class GatheredFacts(t.TypedDict):
    """When the host gathered the facts, by its own clock, and since which boot."""

    time: Time
    """The time at which gathering began, in UTC, such as ``2026-11-26T17:20:00Z``."""
    boot: Uuid | None
    """The ``boot_id`` of the kernel. Null for a copied tree, or if it cannot be read."""


class Facts(t.TypedDict):
    """The VFIO and vDPA devices of one host, as ``vfio_migration_facts`` returns them.

    Lists are sorted by ``id``. The same host gives the same bytes, except for ``gathered``.
    """

    schema: t.Annotated[int, where(const=1)]
    """The version of this format."""
    gathered: GatheredFacts
    """The time of gathering, and the boot."""
    descriptors: dict[Digest, DescriptorFacts]
    """The distinct descriptors. The key of each is the first 32 hex digits of the SHA-256 of its canonical JSON."""
    devices: list[DeviceFacts]
    """The devices."""
    parents: list[ParentFacts | ManagementDeviceFacts]
    """The devices on which others can be created."""
    problems: list[ProblemFacts]
    """The problems."""
    nvidia: NotRequired[NvidiaFacts]
    """The report of NVIDIA's management library. Present only on hosts with the library and devices of its driver."""


# --- verdicts --------------------------------------------------------------------------------------------------------


class Reason(t.TypedDict):
    """Why one set of patterns does not match."""

    set: Index | None
    """The index of the set in its list. Null if there is no set."""
    attribute: str | None
    """The attribute that does not match. Null if there is no single one."""
    rule: Rule
    """The rule that is not met."""
    expected: str
    """What would match, as text for people."""
    actual: str | None
    """The value of the attribute. Null if it has none."""


class Match(t.TypedDict):
    """Why a target is compatible, and how certain that is."""

    set: Index | None
    """The index of the set that matched in the deciding list. Null if none did."""
    bindings: Bindings
    """The values of the variables in the set."""
    certainty: Certainty
    """``declared`` by drivers, ``derived`` from what the kernel shows, ``assumed`` if a deciding property is unknown, or ``provisional`` for a new device."""
    warnings: list[Sentence]
    """The assumptions of the verdict, in sentences."""


class Verdict(Match):
    """Whether a source device can migrate to a target."""

    compatible: bool
    """Whether the source can migrate to the target."""
    direction: Direction
    """The side whose list decided."""
    direction_conflict: bool
    """Whether the lists of the source and the target disagree."""
    reasons: list[Reason]
    """Why not, beginning with the set that fails in the fewest attributes. Empty if compatible."""


# --- plans -----------------------------------------------------------------------------------------------------------


class Target(DeviceLabel):
    """The device that a source becomes."""

    parent: str | None
    """The device that it belongs to. Null for a PCI device that is not a virtual function."""
    type: str | None
    """The type, or the class of a vDPA device."""
    attributes: list[Attribute]
    """The attributes to set, in this order."""
    network: NotRequired[NetworkSettings]
    """The network settings of the source to set on a virtual function of a network card. Absent if there are none to set."""
    create: bool
    """Whether it must be created."""


class Placement(Match):
    """A device that moves, and its target."""

    vm: str | None
    """The guest that holds it. Null if no process does."""
    vm_uuid: NotRequired[str]
    """The UUID of that guest, if its process shows one."""
    source: DeviceLabel
    """The device that moves."""
    target: Target
    """The device that it becomes."""
    wave: Positive
    """When it moves: after all earlier waves."""
    turn: NotRequired[Positive]
    """When it moves in its wave: after all earlier turns. Only with the condition ``concurrent_moves``."""


class UnplacedReason(t.TypedDict):
    """What prevents a device from going to a host."""

    host: str | None
    """The host. Null for a reason that concerns all hosts together."""
    code: ReasonCode
    """The reason as a code, for programs."""
    reason: Sentence
    """The reason as a sentence."""
    attribute: NotRequired[Sentence]
    """The attribute that differs. Absent for other reasons."""
    detail: NotRequired[Sentence]
    """The details of the code: the needed value or version, the number of missing places, the condition, or a cause."""
    alike: NotRequired[Positive]
    """How many other hosts this applies to as well."""


class Unplaced(t.TypedDict):
    """A device without a target."""

    vm: str | None
    """The guest that holds it. Null if no process does."""
    vm_uuid: NotRequired[str]
    """The UUID of that guest, if its process shows one."""
    source: DeviceLabel
    """The device."""
    reasons: t.Annotated[list[UnplacedReason], where(minItems=1)]
    """Why it has no target."""


class GuestsDevice(DeviceLabel):
    """A device that a guest holds instead of one that it has left."""

    vm: str
    """The guest's name."""


class ReceivedDevice(GuestsDevice):
    """A device that a guest holds on its new host by a move of an earlier plan. It counts for ``limit``."""

    vm_uuid: NotRequired[str]
    """The UUID of the guest, if its process shows one."""
    source: DeviceLabel
    """The device that the guest has left."""


class StayingDevice(DeviceLabel):
    """A device on a drained host that stays as it is, because no process holds it and it has no state to move."""

    reason: Sentence
    """Why it stays."""
    moved_to: NotRequired[GuestsDevice]
    """What its guest holds now, where only an earlier plan, which has that as its target, shows it."""


class Cost(t.TypedDict):
    """The measure of a plan. Of two plans, the first number that differs decides which is better."""

    unplaced: Count
    """Devices without a target."""
    remade: Count
    """Devices that go elsewhere although an earlier plan already created a target for them."""
    not_preferred: Count
    """Devices that go to a host that is not preferred."""
    created: Count
    """Devices that are created, or that receive the type that they need before use."""
    domain_load: NotRequired[Count]
    """With the policy ``spread`` and with ``failure_domains``: devices in the fullest receiving failure domain, including the held devices that stay there."""
    load: NotRequired[Count]
    """With the policy ``spread``: devices on the fullest receiving host, including the held devices that stay there."""
    opened: NotRequired[Count]
    """With the policy ``pack``: parents that get their first device."""
    other_type: Count
    """Devices whose target has another type."""


class ShortageNumbers(t.TypedDict):
    """The number of devices that compete, and the number of places."""

    need: Count
    """How many devices there are."""
    reachable: Count
    """How many places all targets have for them in total."""


class ShortagePlace(t.TypedDict):
    """A free device, or a parent or card on which devices can be created."""

    host: str
    """Its host."""
    id: str
    """Its ID on that host."""
    places: Positive
    """How many of the competing devices it has places for at most, if nothing else goes there."""


class Shortage(ShortageNumbers):
    """The proof that some devices cannot have a target: these devices have too few places, however those are used."""

    devices: list[DeviceLabel]
    """The devices."""
    places: NotRequired[list[ShortagePlace]]
    """All places for any of these devices. In total, these are as many as ``reachable`` states. Absent if they are not listed."""


class CaseGuest(t.TypedDict):
    """A guest of a proof by cases."""

    vm: str | None
    """Its name. Null for a device that no process holds."""
    host: str
    """The host that it leaves."""
    devices: list[str]
    """The IDs of its devices there."""


class PlaceCase(t.TypedDict):
    """What follows if a guest goes to one of these hosts: one of ``then``, ``beside`` and ``apart_from`` is present."""

    hosts: list[str]
    """The hosts. If there are several, they are alike at this step, so that what follows for the first follows for each."""
    then: NotRequired[Positive]
    """The number of the step that follows."""
    beside: NotRequired[list[Positive]]
    """The numbers of guests that earlier steps put there. Beside all of these it has no place, beside some of them it has one."""
    apart_from: NotRequired[Positive]
    """The number of a guest from which it is to be apart, and which an earlier step put there or in the same failure domain."""


class CaseStep(t.TypedDict):
    """A step of a proof by cases: all places of one guest."""

    guest: Positive
    """The number of the guest in ``guests``."""
    places: list[PlaceCase]
    """All hosts that could receive the guest if they received nothing else."""
    sentence: Sentence
    """The step in words."""


class CaseProof(t.TypedDict):
    """Guests that cannot all have a place, and the cases that prove it."""

    guests: list[CaseGuest]
    """The guests, which count from 1. Without any one of them, the others may have a place."""
    left_out: Positive
    """How many devices have no target at least: those of the smallest of these guests. The same number for each list in ``alike``."""
    sentence: Sentence
    """The conclusion."""
    alike: NotRequired[list[list[CaseGuest]]]
    """Other guests of which not all can have a place either, by the same steps: each list has them in the order of ``guests``."""
    steps: list[CaseStep]
    """The steps, which count from 1. The proof begins with the first. Each case ends where a guest has no place."""


class MdevTask(t.TypedDict):
    """An entry of ``devices`` of the module ``vfio_mdev``."""

    uuid: str
    """The new mdev's UUID."""
    parent: str
    """The parent on which to create it."""
    type: str
    """Its type."""
    attributes: list[Attribute]
    """The attributes to write after it is created, in this order."""
    accept: NotRequired[AttributeSets]
    """The patterns of the source. The ``self`` of the new device must match one of them."""


class PciTask(t.TypedDict):
    """An entry of ``devices`` of the module ``vfio_pci``."""

    address: str
    """The PCI address."""
    attributes: list[Attribute]
    """The attributes to write, in this order."""
    network: NotRequired[NetworkSettings]
    """The network settings to set. Absent if the device keeps its own."""
    accept: NotRequired[AttributeSets]
    """The patterns of the source. The ``self`` of the device must match one of them."""


class VdpaTask(t.TypedDict):
    """An entry of ``devices`` of the module ``vdpa_device``."""

    name: str
    """The new vDPA device's name."""
    mgmtdev: str
    """The management device on which to create it."""
    mac: NotRequired[str]
    """Its MAC address."""
    mtu: NotRequired[str]
    """Its MTU in bytes."""
    max_vqp: NotRequired[str]
    """The maximum number of virtqueue pairs."""
    device_features: NotRequired[list[Mask]]
    """The virtio features to provision, as one mask."""
    accept: NotRequired[AttributeSets]
    """The patterns of the source. The ``self`` of the new device must match one of them."""


class HostTasks(t.TypedDict):
    """The tasks of the modules on a target host."""

    devices: list[MdevTask]
    """The devices for ``vfio_mdev``."""
    pci_devices: list[PciTask]
    """The devices for ``vfio_pci``."""
    vdpa_devices: list[VdpaTask]
    """The devices for ``vdpa_device``."""


class Change(t.TypedDict):
    """A guest that was planned again although an earlier plan was given."""

    vm: str | None
    """The name of the guest. Null for a device that no process holds."""
    source: DeviceLabel
    """The first device of the guest."""
    reason: Sentence
    """Why the earlier plan is no longer valid for it."""


class NetworkLink(t.TypedDict):
    """A network link with hosts behind it."""

    hosts: list[str]
    """All hosts behind it. A guest moves over it if either its host or its target is one of them, but not both."""
    moves: Positive
    """How many guests can move over it at the same time."""


class ConcurrentMoves(t.TypedDict):
    """How many guests can move at the same time."""

    host: NotRequired[Positive]
    """How many can leave a host or come to it, for each host."""
    hosts: NotRequired[dict[str, Positive]]
    """Other numbers for some hosts."""
    links: NotRequired[dict[str, NetworkLink]]
    """The links that only so many guests can move over, by name."""


class PlanConditions(t.TypedDict):
    """The requested conditions of a plan, except sources, targets, direction and policy."""

    # Its fields are those of ``_planner.request.Conditions`` that last, and their descriptions those of the options in
    # ``doc_fragments/_plan.py``: the JSON Schema is made from these.


class PlanBody(t.TypedDict):
    """A plan without the data that is needed to use it as an earlier plan."""

    status: Status
    """Whether all devices have a target, and what of this is proven."""
    solver: Solver
    """What found the plan: the built-in search or OR-Tools."""
    cost: Cost | None
    """The cost of the plan. Null if a part of an earlier plan is kept, or if guests are planned beside those with a higher priority."""
    bound: Cost | None
    """A proven lower limit of the cost of every plan, number by number. Null if none is known."""
    direction: Direction
    """The side whose list decided."""
    policy: Policy
    """Whether to pack or to spread the devices."""
    placements: list[Placement]
    """The moves, sorted by source host, guest and device."""
    unplaced: list[Unplaced]
    """The devices without a target."""
    assumptions: NotRequired[list[Sentence]]
    """What contributed to the lack of targets, except the rules of the kernel and drivers. Absent if nothing did."""
    further_pass: NotRequired[t.Annotated[bool, where(const=True)]]
    """Present if only another plan, after this one is carried out, shows whether more devices can have a target."""
    staying: NotRequired[list[StayingDevice]]
    """The devices on drained hosts that stay as they are, because no process holds them. Absent if there are none."""
    proof: NotRequired[list[ProofKind]]
    """What proves that as many devices as ``bound`` states, or one if ``bound`` is null, have no target in any plan. Absent if nothing does."""
    shortage: Shortage | None
    """The proof by shortage that some devices cannot have a target. Null if there is none."""
    shortages: NotRequired[list[Shortage]]
    """The independent shortages that ``shortage`` consists of. No two of them share a place. Absent if there is only one."""
    cases: NotRequired[list[CaseProof]]
    """The proofs by cases. No two of them share a guest. Absent if there are none."""
    hosts: dict[str, HostTasks]
    """The tasks of the modules on each target host."""
    map: dict[str, dict[str, str]]
    """For each source host, the IDs of its devices, each with the ID of the target."""
    unknown: list[str]
    """The hosts without usable facts."""


class GivenDevice(t.TypedDict):
    """A device to move, as requested."""

    host: str
    """The host of the device."""
    id: str
    """Its ID on that host."""


class PlanRequest(t.TypedDict):
    """The requested moves, by the options of ``migration_plan``. Options that were not given are absent."""

    drain: NotRequired[list[str]]
    """The hosts to drain."""
    sources: NotRequired[list[str | GivenDevice]]
    """The guests, by name, and the devices to move."""
    hosts: NotRequired[list[str]]
    """The hosts that take part."""
    lost: NotRequired[dict[str, Time | None]]
    """The hosts to drain that are lost, each with the time of its last facts. The time is null if the facts have none."""
    free_devices: FreeDevices
    """Which devices that no process holds leave the hosts to drain, too."""


class AvoidedPlace(t.TypedDict):
    """A place to avoid."""

    host: str
    """The host."""
    parent: str | None
    """The parent. Null for the whole host."""
    guest: NotRequired[str]
    """The name or UUID of the guest that must not go to the host. Absent if nothing may go there."""
    guest_host: NotRequired[str]
    """The host of this guest, if only the guest of that name on this host is meant."""
    problem: Sentence
    """The reason that the request states."""


class Plan(PlanBody):
    """Which device goes where, as ``migration_plan`` returns it.

    The plan of the filter is a function of its arguments. A plan in a file, or from an action or a playbook, also states when,
    with which version and for which user it was made. Two plans of one request for the same facts differ only in ``time``.
    """

    schema: t.Annotated[int, where(const=1)]
    """The version of this format. Plans of other versions are refused."""
    time: NotRequired[Time]
    """The time of planning, in UTC."""
    collection: NotRequired[str]
    """The version of the collection that made the plan."""
    requested_by: NotRequired[Sentence]
    """The requester: the user of the controller that started the job, or the user that ran Ansible."""
    request: PlanRequest
    """The requested moves. ``targets``, ``avoid``, ``conditions``, ``direction`` and ``policy`` limit where they go."""
    received: NotRequired[list[ReceivedDevice]]
    """What hosts have received by moves of earlier plans, if the request has a ``limit``, which counts it. Absent if they have received nothing."""
    changes: list[Change]
    """The guests of an earlier plan that were planned again."""
    conditions: PlanConditions
    """The requested conditions. They show whether an earlier plan is for the same request."""
    relied_on: dict[str, Digest]
    """The hosts of the placements, and of ``received``, each with a digest of the facts that the plan relies on."""
    targets: NotRequired[list[str]]
    """The hosts that can receive. Absent if the request does not limit them."""
    avoid: NotRequired[list[AvoidedPlace]]
    """The places to avoid. Absent if there are none."""


class RecordProcess(t.TypedDict):
    """The run of Ansible that last wrote a record."""

    pid: Positive
    """The process ID on the control node."""
    start: str | None
    """The boot of the control node, and when the process started in it. Null if unknown."""


class Record(t.TypedDict):
    """The targets that were created for a plan, or were about to be: ``plan.progress.json``, in the directory of the plan."""

    format: t.Annotated[int, where(const=1)]
    """The version of this format. Records of other versions are refused."""
    plan: str
    """The file with the plan."""
    process: RecordProcess
    """The run that uses the record. No other run can use it at the same time."""
    placements: list[Placement]
    """The moves whose targets were created or changed, or were about to be."""


class MovedDevice(t.TypedDict):
    """A device of a guest to move, and its target."""

    kind: Kind
    """The kind of both devices."""
    source: str
    """The ID of the source device."""
    target: str
    """The ID of the target device."""


class MigrationRecord(t.TypedDict):
    """The outcome for a guest to move: a line of ``migration-record.jsonl``, in the directory of the plan."""

    format: t.Annotated[int, where(const=1)]
    """The version of this format."""
    run: str
    """When the run began, by the clock of the control node."""
    vm: str
    """The name of the guest."""
    vm_uuid: str | None
    """The UUID of the guest. Null if unknown."""
    source: str
    """The source host."""
    target: str
    """The target host."""
    devices: list[MovedDevice]
    """The devices of the guest."""
    begin: str | None
    """When the migration began, by the clock of the source host. Null if it did not."""
    end: str | None
    """When the migration ended, by the clock of the source host. Null if that is unknown."""
    duration_ms: Count | None
    """The duration of the migration. Null if unknown."""
    downtime_ms: Count | None
    """How long the guest was paused. Null if libvirt does not report it."""
    bytes: Count | None
    """How many bytes were sent. Null if libvirt does not report it."""
    dirty_rate: Count | None
    """How many bytes of its memory the guest changed per second. Null if libvirt does not report it."""
    outcome: t.Annotated[str, where(enum=("begun", "interrupted", "moved", "stayed", "not_tried"))]
    """The outcome. ``moved`` if the guest runs on the target according to libvirt, and holds its devices there according to the kernels.

    Otherwise, ``stayed`` if its migration began, and ``not_tried`` if it did not. While the end of the migration is unknown, ``begun``,
    or ``interrupted`` if a signal ended the run, or if the host did not report the end before the run ended.
    """
    errors: list[Sentence]
    """Why the guest stays, or what failed although it moved."""
    request: str | None
    """Identifies the request. It is the same for the same guests, hosts to drain and targets."""
    ended: bool
    """Whether the run had ended by then. A killed run never does."""
    complete: bool
    """Whether all requested guests had moved by then."""


class LastRun(t.TypedDict):
    """The outcome of the last run in a record."""

    run: str
    """When the run began, by the clock of the control node."""
    moved: Count
    """How many guests moved."""
    stayed: Count
    """How many guests did not move although their migration began."""
    not_tried: Count
    """How many guests did not begin to migrate."""
    unknown: Count
    """How many guests have an unknown outcome, because the run has not ended or was interrupted, or because their host does not report it."""


class PlacementState(t.TypedDict):
    """The progress of the move of one device, as ``placement_states`` returns it."""

    vm: str | None
    """As in the plan."""
    source: DeviceLabel
    """As in the plan."""
    target: Target
    """As in the plan."""
    state: State
    """The state of the move."""
    reason: Sentence | None
    """Why the state is ``unclear``. Null for all other states."""


class Explanation(t.TypedDict):
    """Why a device can or cannot go to a device or host, as ``explain`` returns it."""

    source: DeviceLabel
    """The device."""
    target: DeviceLabel | str
    """The target device, or the name of the target host."""
    verdict: Verdict
    """The verdict. For a host, the verdict on the target there that receives the device, or that comes nearest to it."""
    placement: Target | None
    """How the host would receive the device. Null if it cannot, or if the target is a device."""
    codes: list[ReasonCode]
    """The codes of what blocks the device, for programs, each once. Empty if nothing does."""
    sentences: list[Sentence]
    """What blocks the device, and the assumptions of the verdict."""


# --- headroom --------------------------------------------------------------------------------------------------------


class HeadroomCounts(t.TypedDict):
    """How many hosts, or failure domains, can be drained."""

    emptied: Count
    """How many can be drained: all of their guests have a target elsewhere."""
    infeasible: Count
    """How many provably cannot be drained: some guests cannot have a target."""
    unproven: Count
    """How many have guests without a target, although it is not proven that there is none."""


class LeftGuest(t.TypedDict):
    """A guest, or a device without a known guest, that has no target elsewhere."""

    vm: str | None
    """The name of the guest. Null if it has none."""
    host: str
    """Its host."""
    devices: list[str]
    """The IDs of its devices."""


class HeadroomSubject(t.TypedDict):
    """A host, or a failure domain, that cannot be drained."""

    name: str
    """Its name."""
    failure_domain: bool
    """Whether it is a failure domain."""
    guests: list[LeftGuest]
    """The guests without a target elsewhere when all others have theirs."""


class AddedDevices(t.TypedDict):
    """Equal free devices to add."""

    count: Positive
    """The number of devices."""
    kind: Kind
    """Their kind."""
    type: str | None
    """Their type. Null if they have none."""
    version: str | None
    """Their ``software_version``. Null if they have none."""
    like: DeviceLabel
    """A device that they must be like."""
    host: str | None
    """The host that they must be on. Null for any host that can receive, or could if it were one of the targets.

    If guests must be apart, or if hosts have a limit or a stated capacity, the devices of each guest must be on a host of their own.
    """
    further: bool
    """Whether they must be on a further host with everything else that the guest takes, because no known host may receive the guest."""
    numa_node: int | None
    """The NUMA node of ``host`` that they must be on with the other devices of the guest. Null if it does not matter, or if there are no others."""
    together: Positive | None
    """Devices with the same number must be on one host, and with ``numa_local`` on one NUMA node, because one guest needs them. Null for others."""


class AddedAmount(t.TypedDict):
    """What a host must have more of, such as memory."""

    host: str
    """The host."""
    resource: str
    """The name of the resource in ``capacity``."""
    amount: Positive
    """How much more must be free, in the unit of ``capacity``."""


class Addition(t.TypedDict):
    """What would give all guests a target. A plan was made with it, and leaves no guest behind."""

    devices: list[AddedDevices]
    """The free devices to add. A parent that can create them is as good."""
    amounts: list[AddedAmount]
    """What hosts must have more of. If it is all that is short, there are no ``devices``."""
    smallest: bool
    """Whether it is proven that fewer devices, or if there are none, less on this host, are not enough."""
    sentence: Sentence
    """The same as a sentence."""


class HeadroomCause(t.TypedDict):
    """Why hosts, or failure domains, cannot be drained. All with equal guests and places share a cause."""

    status: t.Annotated[str, where(enum=("infeasible", "unproven"))]
    """Whether it is proven that some guests cannot have a target."""
    sentence: Sentence
    """The conclusion."""
    subjects: list[HeadroomSubject]
    """The hosts and failure domains with this cause."""
    at_least: Count | None
    """How many devices at least have no target in any plan. Null if unknown."""
    assumptions: list[Sentence]
    """What contributed to the lack of targets for the first host or failure domain, except the rules of the kernel and drivers."""
    unplaced: list[Unplaced]
    """The devices of the first host or failure domain without a target, and why. Empty for the later causes, which are not described in detail."""
    shortages: list[Shortage]
    """The shortages of the first host or failure domain that prove it. Empty when ``unplaced`` is empty for that reason."""
    cases: NotRequired[list[CaseProof]]
    """The proofs by cases for the first host or failure domain, as in a plan. Absent if there are none, or when ``unplaced`` is empty for that reason."""
    addition: Addition | None
    """What would give all guests of any one of these a target when it is drained by itself. Null if unknown."""


class Headroom(t.TypedDict):
    """Whether each host and each failure domain can be drained, or can fail, with its guests placed elsewhere."""

    schema: t.Annotated[int, where(const=1)]
    """The version of this format."""
    hosts: HeadroomCounts
    """How many hosts can be drained, each by itself."""
    failure_domains: HeadroomCounts
    """How many failure domains can be drained, each by itself."""
    holds: bool
    """Whether all hosts and failure domains, except exempt ones, have usable facts and can be drained."""
    sentences: list[Sentence]
    """The conclusion, and the first causes."""
    causes: list[HeadroomCause]
    """Why the others cannot be drained."""
    conditions: PlanConditions
    """The requested conditions."""
    unknown: list[str]
    """The hosts without usable facts."""


# --- maintenance -----------------------------------------------------------------------------------------------------


class MaintenanceStep(t.TypedDict):
    """Hosts that are drained at the same time, and return before the next step."""

    hosts: t.Annotated[list[str], where(minItems=1)]
    """The hosts."""
    why: Sentence
    """Why these hosts are next."""
    moves: Count
    """How many guests move."""
    again: Count
    """How many of these guests already moved in an earlier step."""
    conversions: Count
    """How many devices change their type."""
    returned: list[str]
    """The targets that returned in an earlier step. The plan relies on what they accept now. What they accept after their return is unknown."""
    placements: list[Placement]
    """The moves, as in a plan."""


class MaintenanceBlock(t.TypedDict):
    """Why no further step is possible."""

    hosts: t.Annotated[list[str], where(minItems=1)]
    """The hosts whose guests have no target."""
    proven: bool
    """Whether it is proven that these hosts cannot be drained in any order, or in the given order."""
    sentence: Sentence
    """The conclusion."""
    unplaced: list[Unplaced]
    """The devices without a target and why, as in a plan."""
    shortages: list[Shortage]
    """The shortages that prove it, as in a plan."""
    cases: NotRequired[list[CaseProof]]
    """The proofs by cases, as in a plan. Absent if there are none."""
    addition: Addition | None
    """What would give all guests of these hosts a target, as in headroom. Null if unknown."""


class Outfit(t.TypedDict):
    """What a host must have again when it returns."""

    parents: list[str]
    """The IDs of its parents."""
    devices: list[str]
    """The IDs of its devices. Empty if devices need not be present again."""


class StatedCapacity(t.TypedDict):
    """The stated needs of guests other than devices, the stated free capacity of hosts, and where the guests were at that time."""

    capacity: dict[str, dict[str, dict[str, Count]]]
    """The free capacity of ``hosts``, and the needs of ``guests``."""
    guests: dict[str, list[str]]
    """For each host with facts, the guests of these that held devices there."""


class MaintenanceProgress(t.TypedDict):
    """The progress of rolling maintenance: ``maintenance.json``, in the directory of the playbook ``maintain``."""

    format: t.Annotated[int, where(const=1)]
    """The version of this format. Files of other versions are refused."""
    process: RecordProcess
    """The run that uses the file. No other run can use it at the same time."""
    emptied: list[str]
    """The hosts to empty."""
    done: list[str]
    """The hosts that have returned."""
    working: dict[str, Outfit]
    """The hosts that are empty, and on which your tasks may have begun, each with what it must have again."""
    stated: StatedCapacity | None
    """The basis for the free capacity of hosts after guests have moved. Null if none is stated."""


class MaintenancePlan(t.TypedDict):
    """The steps of rolling maintenance, in which hosts are drained and return one after another or a few at a time, with the moves of each."""

    schema: t.Annotated[int, where(const=1)]
    """The version of this format."""
    status: Status
    """Whether all hosts are drained, and whether it is proven that no order has fewer moves, or that no order exists."""
    order: list[str]
    """The hosts, in the order in which they are drained."""
    order_is: t.Annotated[str, where(enum=("chosen", "given"))]
    """The origin of the order: ``chosen`` by the plan, or ``given``."""
    steps: list[MaintenanceStep]
    """The steps. Each begins after the hosts of the previous step have returned."""
    guests: Count
    """How many guests are on the hosts to empty."""
    moves: Count
    """The total number of guest moves in all steps."""
    bound: Count | None
    """A lower limit of the moves in every order. Null if not all hosts are drained."""
    conversions: Count
    """How many devices change their type in all steps."""
    blocked: MaintenanceBlock | None
    """The hosts that cannot be drained and why. Null if all can."""
    sentences: list[Sentence]
    """The conclusion, and a sentence for each step."""
    assumptions: list[Sentence]
    """The assumptions in addition to those of plans."""
    conditions: PlanConditions
    """The requested conditions."""
    unknown: list[str]
    """The hosts without usable facts. They receive nothing."""


# --- rebalancing -----------------------------------------------------------------------------------------------------


class HostLoad(t.TypedDict):
    """The load of a host: how many of its devices are in use."""

    host: str
    """The host."""
    before: Count
    """Its load now."""
    after: Count
    """Its load after the plan is carried out."""


class HostsWithPlaces(t.TypedDict):
    """How many hosts have places for the largest guest."""

    before: Count
    """How many hosts have places now for the number of devices in ``before`` of the plan."""
    after: Count
    """How many hosts have places for the number in ``after``, after the plan is carried out."""
    bound: Count
    """How many hosts at most can have places for the number in ``bound``, with the same limit on moves."""


class RebalancePlan(t.TypedDict):
    """A few moves that even out loads, empty cards, or make a place for a larger guest, as ``rebalance_plan`` returns them."""

    schema: t.Annotated[int, where(const=1)]
    """The version of this format."""
    measure: t.Annotated[str, where(enum=("even", "cards", "largest"))]
    """What the plan improves: ``even`` lowers the sum of the squares of all loads, ``cards`` lowers the number of cards in use, and ``largest``
    raises the number of devices that the largest guest can have."""
    device_type: str | None
    """The type of the devices of the largest guest. Null for other measures."""
    status: t.Annotated[str, where(enum=("optimal", "feasible"))]
    """Whether it is proven that no plan within the limit on moves is better."""
    before: Count
    """The value of the measure now."""
    after: Count
    """The value of the measure after the plan is carried out."""
    bound: Count
    """The value that no plan within the limit on moves, among the hosts with usable facts, can improve on."""
    hosts_with_places: HostsWithPlaces | None
    """How many hosts have places for the largest guest, which decides between plans with an equal value. Null for other measures."""
    moves: Count
    """How many guests move."""
    max_moves: Count
    """How many guests may move."""
    loads: list[HostLoad]
    """The loads of all hosts with usable facts."""
    sentences: list[Sentence]
    """The conclusion."""
    plan: Plan
    """The plan of the moves."""


# --- candidates ------------------------------------------------------------------------------------------------------


class CandidateHost(t.TypedDict):
    """Whether a host can take a guest."""

    host: str
    """The host."""
    candidate: bool | None
    """Whether the host can take all devices of the guest. Null if nothing is known of the host."""
    placements: list[Placement]
    """The target of each device there, as in a plan. Empty if the host is not a candidate."""
    reasons: list[Sentence]
    """Why it is not a candidate. Empty if it is one."""
    codes: list[ReasonCode]
    """The code of each reason, for programs, in the same order."""


class CandidateList(t.TypedDict):
    """Which hosts can take a guest, as ``candidates`` returns it."""

    vm: str | None
    """The guest. Null if no process holds the device."""
    devices: list[DeviceLabel]
    """Its devices."""
    hosts: list[CandidateHost]
    """All hosts: first the candidates, then the hosts that are not candidates, then the hosts of which nothing is known."""
    sentences: list[Sentence]
    """A line for each host, which begins with yes, no or unknown. If more than 40 have the same answer, a line counts the others."""


class CandidateLists(t.TypedDict):
    """Which hosts can take each of several guests, as ``candidates`` returns it with ``drain``, ``guests`` or ``devices``."""

    guests: list[CandidateList]
    """Each guest, as if nothing else moved."""
    sentences: list[Sentence]
    """A line for each guest and host: the guest, and then yes, no or unknown. If there are many, a line counts the others."""


class CandidateAnswer(t.TypedDict):
    """What the filter ``candidates`` returns: a ``CandidateList`` or ``CandidateLists``, depending on its arguments."""

    vm: NotRequired[str | None]
    devices: NotRequired[list[DeviceLabel]]
    hosts: NotRequired[list[CandidateHost]]
    guests: NotRequired[list[CandidateList]]
    sentences: list[Sentence]


# --- executors -------------------------------------------------------------------------------------------------------


class NovaMigration(t.TypedDict):
    """A server for Nova to migrate."""

    server: str
    """The UUID of the server, or the given name of it in Nova."""
    host: str
    """The target compute host."""
    wave: Positive
    """When it migrates: after all earlier waves."""
    command: list[str]
    """The command of the OpenStack client, word by word."""


class NovaMigrations(t.TypedDict):
    """What Nova needs for a plan, as the filter ``nova_migrations`` returns it."""

    migrations: list[NovaMigration]
    """The servers, in the order in which they migrate."""
    nova_conf: dict[str, str]
    """For each compute host, the settings that its ``nova.conf`` needs for the devices there."""
    aliases: str
    """The settings that the ``nova.conf`` of the controllers needs, too. Empty if no PCI function moves."""
    warnings: list[Sentence]
    """The parts of the plan that Nova cannot carry out, and what does not move."""


class ProxmoxMapping(t.TypedDict):
    """A resource mapping of a PCI device."""

    id: str
    """Its ID in the cluster."""
    mdev: bool
    """Whether its devices can provide mediated devices."""
    map: list[str]
    """The device on each node, in the form of the property ``map``."""
    command: list[str]
    """The ``pvesh`` command that creates it, word by word."""


class ProxmoxMigration(t.TypedDict):
    """A virtual machine for Proxmox VE to migrate."""

    vmid: int
    """Its number."""
    source: str
    """The source node, on which to run the command."""
    target: str
    """The target node."""
    wave: Positive
    """When it migrates: after all earlier waves."""
    hostpci: dict[str, str]
    """The options that its configuration needs for its devices, by name."""
    command: list[str]
    """The ``qm`` command, word by word."""


class ProxmoxMigrations(t.TypedDict):
    """What Proxmox VE needs for a plan, as the filter ``proxmox_migrations`` returns it."""

    migrations: list[ProxmoxMigration]
    """The virtual machines, in the order in which they migrate."""
    mappings: list[ProxmoxMapping]
    """The resource mappings that the virtual machines need."""
    pci_cfg: str
    """The same mappings in the format of ``/etc/pve/mapping/pci.cfg``."""
    warnings: list[Sentence]
    """The parts of the plan that Proxmox VE cannot carry out, and what does not move."""


class KubernetesMetadata(t.TypedDict):
    """The metadata of a Kubernetes object."""

    name: NotRequired[str]
    """Its name."""
    generateName: NotRequired[str]
    """The prefix of its name. The cluster chooses the rest."""
    namespace: str
    """Its namespace."""


class KubevirtMigrationSpec(t.TypedDict):
    """The specification of a KubeVirt migration."""

    vmiName: str
    """The instance to migrate."""
    addedNodeSelector: dict[str, str]
    """The labels of the possible target nodes, for this migration only."""


class KubevirtMigration(t.TypedDict):
    """A KubeVirt object that starts a migration."""

    apiVersion: t.Annotated[str, where(const="kubevirt.io/v1")]
    """The version of the KubeVirt API."""
    kind: t.Annotated[str, where(const="VirtualMachineInstanceMigration")]
    """The kind of object."""
    metadata: KubernetesMetadata
    """Its name and namespace."""
    spec: KubevirtMigrationSpec
    """Its specification."""


class KubernetesConfigMap(t.TypedDict):
    """A Kubernetes object that holds files."""

    apiVersion: t.Annotated[str, where(const="v1")]
    """The version of the Kubernetes API."""
    kind: t.Annotated[str, where(const="ConfigMap")]
    """The kind of object."""
    metadata: KubernetesMetadata
    """Its name and namespace."""
    data: dict[str, str]
    """The files, by name."""


class KubevirtHook(t.TypedDict):
    """A hook that puts the target devices of an instance into its domain."""

    config_map: KubernetesConfigMap
    """The script that a sidecar runs."""
    annotations: dict[str, str]
    """The annotations that the instance must have when it starts, so that it has the sidecar."""


class KubevirtWave(t.TypedDict):
    """Instances that migrate at the same time."""

    wave: Positive
    """When they migrate: after all earlier waves."""
    migrations: list[KubevirtMigration]
    """The objects that start their migrations."""


class KubevirtMigrations(t.TypedDict):
    """What KubeVirt needs for a plan, as the filter ``kubevirt_migrations`` returns it."""

    waves: list[KubevirtWave]
    """The instances, in the order in which they migrate."""
    hooks: list[KubevirtHook]
    """For each instance, the hook that names its target devices."""
    warnings: list[Sentence]
    """The parts of the plan that KubeVirt cannot carry out, and what does not move."""


class CloudHypervisorDevice(t.TypedDict):
    """A device of a Cloud Hypervisor virtual machine."""

    option: t.Annotated[str, where(enum=("--device", "--vdpa"))]
    """The option that assigns it to a virtual machine."""
    source: str | None
    """The value of the option on the source. Null if unknown."""
    target: str
    """The value of the option on the target."""
    id: str | None
    """The ID of the device in the virtual machine. Null if unknown."""
    same_path: bool
    """Whether it has the same path on the target as on the source."""


class CloudHypervisorMigration(t.TypedDict):
    """A virtual machine for Cloud Hypervisor to migrate."""

    vm: str
    """Its name."""
    source: str
    """The source host."""
    target: str
    """The target host."""
    wave: Positive
    """When it migrates: after all earlier waves."""
    devices: list[CloudHypervisorDevice]
    """Its devices."""
    receive: list[str]
    """The ``ch-remote`` command on the target, word by word. Run it first."""
    send: list[str]
    """The ``ch-remote`` command on the source, word by word."""


class CloudHypervisorMigrations(t.TypedDict):
    """What Cloud Hypervisor needs for a plan, as the filter ``cloud_hypervisor_migrations`` returns it."""

    migrations: list[CloudHypervisorMigration]
    """The virtual machines, in the order in which they migrate."""
    warnings: list[Sentence]
    """The parts of the plan that Cloud Hypervisor cannot carry out, and what does not move."""


# --- pairs -----------------------------------------------------------------------------------------------------------


class ClassFacts(DescriptorFacts):
    """A class of devices that no rule distinguishes."""

    hosts: dict[str, Positive]
    """How many devices of the class each host has."""


class PairMatch(Match):
    """The fields of a verdict that a pair includes."""

    direction_conflict: bool
    """Whether the lists of the source and the target disagree."""


class ClassPair(PairMatch):
    """Two classes. Devices of the first can migrate to devices of the second."""

    source: Digest
    """The name of the source class."""
    target: Digest
    """The name of the target class."""
    sources: Count
    """How many source devices there are."""
    targets: Count
    """How many target devices there are."""
    free_targets: Count
    """How many of these no process holds."""
    pairs: Count
    """How many pairs of devices on different hosts there are."""


class DevicePair(PairMatch):
    """Two devices. The first can migrate to the second."""

    source: DeviceLabel
    """The source device."""
    target: DeviceLabel
    """The target device."""
    source_class: Digest
    """The name of the class of the source."""
    target_class: Digest
    """The name of the class of the target."""


class NearMiss(t.TypedDict):
    """A target class that is nearly compatible."""

    target: Digest
    """Its name."""
    devices: Count
    """How many devices it has."""
    certainty: Certainty
    """``assumed`` if it may be compatible after all, because the property in which it differs is unknown."""
    reasons: list[Reason]
    """Why the classes are not compatible."""


class BarrierCounts(t.TypedDict):
    """How many devices would be compatible if one attribute had another value."""

    classes: Count
    """The number of classes."""
    devices: Count
    """The number of devices in these classes."""


class CreatableDevice(Match):
    """A device that hosts can create for a class."""

    type: str
    """The type, or the class of a vDPA device."""
    attributes: list[Attribute]
    """The attributes to set."""
    room: dict[str, Positive]
    """How many of them a host has capacity for. The key is the first of the hosts that are ``alike``."""


class ExcludedDevice(DeviceLabel):
    """A device that can neither migrate nor receive a migration."""

    reason: Sentence
    """The reason."""


class HostProblem(t.TypedDict):
    """A problem that a host reports, or a problem in its facts."""

    host: str
    """The host."""
    path: str | None
    """The file, or the place in the facts."""
    problem: Sentence | None
    """The problem."""


class CompatiblePairs(t.TypedDict):
    """Which classes can migrate to which, as ``compatible_pairs`` returns it."""

    direction: Direction
    """The side whose list decided."""
    classes: dict[Digest, ClassFacts]
    """The classes, by name."""
    uncompared: list[str]
    """Attributes that may differ within a class, because no pattern of the fleet names them."""
    pairs: list[ClassPair]
    """The compatible pairs."""
    misses: dict[Digest, list[NearMiss]]
    """For each source class, the three target classes that are most nearly compatible."""
    barriers: dict[Digest, dict[str, BarrierCounts]]
    """For each source class, the attributes that are the only obstacle for target classes."""
    creatable: dict[Digest, list[CreatableDevice]]
    """For each source class, the devices that hosts can create for it."""
    alike: dict[str, list[str]]
    """The groups of hosts that can create the same devices. The key is the first host."""
    excluded: list[ExcludedDevice]
    """The devices that can neither migrate nor receive a migration."""
    unknown: list[str]
    """The hosts without usable facts."""
    problems: list[HostProblem]
    """The problems of all hosts."""
    devices: NotRequired[list[DevicePair]]
    """All pairs of devices, if requested."""


# --- report ----------------------------------------------------------------------------------------------------------

# What refers to a class of devices by its place in the report's list; ``class`` is no name that a class body can have.
_OfClass = t.TypedDict(
    "_OfClass",
    {"class": t.Annotated[Index, where(description="The place of the class in `classes`.")]},
)
_OfClassOrNone = t.TypedDict(
    "_OfClassOrNone",
    {
        "class": t.Annotated[
            Index | None,
            where(
                description="The place of its class in `classes`; null where it cannot migrate at all."
            ),
        ]
    },
)


class CountedFinding(t.TypedDict):
    """A finding about one or more hosts, or their devices."""

    text: Sentence
    """The finding, as a sentence."""
    count: Positive
    """The number of occurrences."""
    hosts: Positive
    """The number of hosts."""
    names: list[str]
    """The first ten of these hosts."""
    paths: list[str]
    """The first ten places on these hosts: IDs of devices, or paths."""


class Cause(t.TypedDict):
    """Why devices cannot move."""

    devices: Positive
    """How many devices it affects."""
    guests: Count
    """How many guests these devices belong to."""
    code: ReasonCode
    """The reason as a code, for programs."""
    reason: Sentence
    """The reason as a sentence."""
    example: Sentence | None
    """An example of the nearest miss. Null if there is none."""
    more: bool
    """Whether there are other reasons."""
    remedy: Sentence | None
    """What would make the move possible. Null if unknown."""


class Conclusion(t.TypedDict):
    """The conclusion of a report."""

    level: Level
    """Whether ``all``, ``some`` or ``none`` of the devices can move. ``nothing`` if there is nothing to move, ``unknown`` if nothing is known."""
    sentence: Sentence
    """The same as a sentence."""
    because: t.Annotated[list[Cause], where(maxItems=5)]
    """Why devices cannot move, most frequent cause first."""


class Totals(t.TypedDict):
    """The totals of a report."""

    hosts: Count
    """Hosts with facts."""
    unknown: Count
    """Hosts without usable facts."""
    devices: Count
    """Devices."""
    in_use: Count
    """Devices that a process holds or may hold."""
    holder_unknown: Count
    """Devices for which it is unknown whether a process holds them."""
    excluded: Count
    """Devices that can neither migrate nor receive a migration."""
    reachable: Count
    """Devices that can go to another host now, each by itself."""
    problems: Count
    """Problems."""


class ReceivingHost(t.TypedDict):
    """A host that receives devices."""

    host: str
    """Its name."""
    devices: Positive
    """How many devices it receives."""
    created: Count
    """How many of these must be created."""


class Wave(t.TypedDict):
    """Moves that can take place at the same time."""

    wave: Positive
    """Its number."""
    devices: Positive
    """How many devices move."""
    guests: Count
    """How many guests these devices belong to."""
    sources: Positive
    """How many hosts they leave."""
    targets: Positive
    """How many hosts receive them."""


class WarningCount(t.TypedDict):
    """The assumptions of the plan."""

    warning: Sentence
    """The assumption, as a sentence."""
    moves: Positive
    """How many moves rely on the assumption."""


class MoveTarget(DeviceLabel):
    """The target of a device."""

    parent: str | None
    """The device that it belongs to. Null for a PCI device that is not a virtual function."""
    type: str | None
    """The type, or the class of a vDPA device."""
    create: bool
    """Whether it must be created."""
    attributes: str
    """The attributes and network settings to set, as ``name=value`` separated by commas."""


class Move(DeviceLabel):
    """A device that moves."""

    wave: Positive
    """The wave in which it moves."""
    vm: str | None
    """The guest that holds it. Null if no process does."""
    to: MoveTarget
    """The target."""
    certainty: Certainty
    """How certain it is that the target is compatible."""
    warnings: list[Index]
    """The assumptions, as indexes into ``warnings`` of the plan."""


class GuestMove(t.TypedDict):
    """A guest to move, or a device to move that no process holds."""

    vm: str | None
    """The name of the guest. Null if no process holds the device, or if the guest is unknown."""
    in_use: bool
    """Whether a process holds it or may use it."""
    host: str
    """Its host."""
    to: str | None
    """The target host. Null if it stays."""
    wave: Positive | None
    """The wave in which it moves. Null if it stays."""
    devices: t.Annotated[list[DeviceLabel], where(minItems=1)]
    """Its devices."""
    hardware: list[Sentence]
    """The hardware of these devices, by name."""
    becomes: list[Sentence]
    """The target of each device, in the same order. Empty if it stays."""
    certainty: Certainty | None
    """The certainty of its least certain move. Null if it stays."""
    warnings: list[Index]
    """The assumptions, as indexes into ``warnings`` of the plan."""
    code: ReasonCode | None
    """Why it stays, as a code for programs. Null if it moves."""
    why: Sentence | None
    """Why it stays. Null if it moves."""
    remedy: Sentence | None
    """What would make the move possible. Null if it moves, or if unknown."""


class Write(t.TypedDict):
    """A change that carrying out the plan makes on a host."""

    device: str
    """The device that is created or changed."""
    action: Action
    """Whether the device is created, or one of its attributes or network settings set."""
    what: Sentence | None
    """The name of what is created, or of the value. Null if there is none."""
    where: str | None
    """The parent or management device. Null for a PCI device."""
    attribute: str | None
    """The attribute or network setting to set. Null if the device is created."""
    before: str | None
    """The current value. Null if it is unknown, or if the device must first be created."""
    after: str | None
    """The new value. For a device that is created, its options. Null if there are none."""


class HostWrites(t.TypedDict):
    """All changes that carrying out the plan makes on a host."""

    host: str
    """The host."""
    writes: t.Annotated[list[Write], where(minItems=1)]
    """The changes, in the order in which they are made."""


class CapacityLeft(t.TypedDict):
    """How many more devices of a type a receiving host can take."""

    host: str
    """The host."""
    type: Sentence
    """The type, by name."""
    before: Count
    """How many it can take now."""
    after: Count
    """How many it can take after the plan is carried out."""


class GuestDevice(DeviceLabel):
    """A device and its guest."""

    vm: str | None
    """The guest that holds it. Null if no process does."""


class FirstReasons(t.TypedDict):
    """The first of several reasons."""

    reasons: t.Annotated[list[Sentence], where(maxItems=3)]
    """The first three, as sentences."""
    not_shown: Count
    """How many more there are."""


class HostReasons(FirstReasons):
    """What blocks devices on a host."""

    host: str | None
    """The host. Null for reasons that concern all hosts."""
    alike: Count
    """How many other hosts this applies to as well."""


class LeftBehind(t.TypedDict):
    """Devices without a target for the same reasons."""

    devices: list[GuestDevice]
    """The devices."""
    cause: Sentence
    """Why, in one sentence."""
    reasons: t.Annotated[list[HostReasons], where(maxItems=20)]
    """The reasons on each of the first 20 hosts."""
    reasons_not_shown: Count
    """How many other hosts have reasons that are not listed."""


class ChangedGuest(GuestDevice):
    """A guest that was planned again although an earlier plan was given, identified by its first device."""

    reason: Sentence
    """Why the earlier plan is no longer valid for it."""


class StayingGroup(t.TypedDict):
    """Devices on a drained host that stay as they are for the same reason."""

    host: str
    """The host."""
    reason: Sentence
    """Why they stay."""
    devices: Positive
    """The number of devices."""


class PlanSection(t.TypedDict):
    """The plan in a report."""

    time: NotRequired[Time]
    """As in the plan."""
    collection: NotRequired[str]
    """As in the plan."""
    requested_by: NotRequired[Sentence]
    """As in the plan."""
    request: PlanRequest
    """As in the plan."""
    status: Status
    """As in the plan."""
    meaning: Sentence
    """The meaning of the status, in words."""
    solver: Solver
    """As in the plan."""
    direction: Direction
    """As in the plan."""
    policy: Policy
    """As in the plan."""
    conditions: PlanConditions
    """As in the plan."""
    guests: list[GuestMove]
    """The guests and single devices to move. Those that stay are first."""
    writes: list[HostWrites]
    """The changes on each target host."""
    capacity: list[CapacityLeft]
    """How much capacity the receiving hosts have left."""
    devices: Count
    """How many devices to move there are."""
    placed: Count
    """How many of them have a target."""
    created: Count
    """How many of the targets must be created."""
    unplaced: Count
    """How many devices have no target."""
    sources: list[str]
    """The hosts that the devices to move are on."""
    targets: list[ReceivingHost]
    """The hosts that receive devices."""
    waves: list[Wave]
    """The waves, in their order."""
    warnings: list[WarningCount]
    """The assumptions of the plan."""
    moves: t.Annotated[list[Move], where(maxItems=20000)]
    """The first 20,000 moves."""
    moves_not_shown: Count
    """How many moves are not listed."""
    left_behind: list[LeftBehind]
    """The first 500 devices without a target, grouped by reasons."""
    left_behind_not_shown: Count
    """How many devices without a target are not listed."""
    causes: t.Annotated[list[Cause], where(maxItems=5)]
    """Why devices have no target, most frequent cause first."""
    shortage: ShortageNumbers | None
    """The proof by shortage that some devices cannot have a target. Null if the plan has none."""
    cases: NotRequired[list[CaseProof]]
    """The proofs by cases of the plan. Absent if it has none."""
    turns: NotRequired[list[Sentence]]
    """For each wave in which guests wait for their turn, how many turns it takes, and why. Absent if there is none."""
    assumptions: NotRequired[list[Sentence]]
    """As in the plan."""
    staying: NotRequired[list[StayingGroup]]
    """The devices on drained hosts that stay as they are, because no process holds them. Absent if there are none."""
    changes: list[ChangedGuest]
    """The guests of an earlier plan that were planned again."""
    changed_since: list[str]
    """The hosts whose facts have changed since the plan."""


class FactsAge(t.TypedDict):
    """When the facts were gathered, by the clocks of the hosts."""

    oldest: Time | None
    """The time of the oldest facts. Null if no facts have a time."""
    newest: Time | None
    """The time of the newest facts. Null if no facts have a time."""


class HostGroup(t.TypedDict):
    """Hosts that are alike. In a small fleet, each host is its own group."""

    name: str
    """The name of the first host."""
    hosts: Positive
    """The number of hosts."""
    mixed: bool
    """Whether the group has all remaining hosts of a fleet with too many groups, which are not alike."""
    devices: Count
    """How many devices they have."""
    hardware: list[Sentence]
    """The hardware of these devices, the first ten names."""
    versions: list[str]
    """The first ten values of their ``software_version``."""


class TargetClass(_OfClass, PairMatch):
    """A class to which devices of another class can migrate."""

    devices: Count
    """How many devices it has."""
    free: Count
    """How many of these no process holds."""


class CreatableClass(t.TypedDict):
    """Devices that can be created as targets for a class."""

    type: str
    """The type, or the class of vDPA devices."""
    attributes: list[Attribute]
    """The attributes to set."""
    set: Index | None
    """The index of the set that matched in the deciding list. Null if none did."""
    bindings: Bindings
    """The values of the variables in the set."""
    warnings: list[Sentence]
    """The assumptions, in sentences."""
    hosts: Count
    """How many hosts can create them."""
    room: Count
    """How many devices can be created."""


class ReachableGroup(t.TypedDict):
    """A group of hosts with possible targets for a class."""

    host_group: Index
    """Its index in ``host_groups``."""
    hosts: Positive
    """How many of its hosts have possible targets."""
    free: Count
    """How many possible targets no process holds."""
    new: list[str]
    """The types of devices that can be created."""


class GroupObstacles(FirstReasons):
    """A group of hosts without possible targets for a class, and why."""

    host_group: Index
    """Its index in ``host_groups``."""


class MissedClass(_OfClass):
    """A class that is nearly compatible."""

    devices: Count
    """How many devices it has."""
    certainty: Certainty
    """``assumed`` if it may be compatible after all, because the property in which it differs is unknown."""
    reasons: list[Sentence]
    """What would have to change, in sentences."""


class Barrier(BarrierCounts):
    """An attribute that is the only obstacle for devices."""

    attribute: str
    """Its name."""


class ReportedClass(DescriptorFacts):
    """A class of devices that no rule distinguishes."""

    name: Digest
    """The name of the class in ``compatible_pairs``."""
    hosts: Positive
    """How many hosts have devices of the class."""
    devices: Positive
    """The number of devices."""
    free: Count
    """How many of these no process holds."""
    staying: Count
    """How many cannot go to any other host."""
    why: Sentence | None
    """Why these cannot. Null if all can."""
    targets: t.Annotated[list[TargetClass], where(maxItems=5)]
    """The first five classes to which they can migrate."""
    targets_not_shown: Count
    """How many other classes are not listed."""
    creatable: list[CreatableClass]
    """The devices that can be created for them."""
    reach: list[ReachableGroup]
    """The groups of hosts with possible targets for them."""
    obstacles: list[GroupObstacles]
    """What blocks them in the other groups. Empty if there would be more than 2,000 entries."""
    misses: t.Annotated[list[MissedClass], where(maxItems=3)]
    """The three classes that are most nearly compatible."""
    barriers: list[Barrier]
    """The attributes that are the only obstacle for devices."""


class ReportedHost(t.TypedDict):
    """A host."""

    name: str
    """Its name."""
    host_group: Index
    """The index of its group in ``host_groups``."""
    devices: Count
    """How many devices it has."""
    in_use: Count
    """How many of these a process holds or may hold."""
    excluded: Count
    """How many can neither migrate nor receive a migration."""
    reachable: Count
    """How many can go to another host now, each by itself."""
    classes: list[t.Annotated[list[Count], where(minItems=3, maxItems=3)]]
    """For each of its classes, the index in ``classes``, the number of devices, and the number of free devices."""


class ReportedDevice(_OfClassOrNone, DeviceLabel):
    """A device."""

    type: str | None
    """The type, or the class of a vDPA device."""
    parent: str | None
    """The device that it belongs to. Null for a PCI device that is not a virtual function."""
    vm: str | None
    """The guest that holds it. Null if no process does, or if the guest is unknown."""
    in_use: bool
    """Whether a process holds it or may use it."""
    obstacle: Sentence | None
    """Why it can neither migrate nor receive a migration. Null if it can."""


class VersionCount(t.TypedDict):
    """A version, and the devices and hosts with it."""

    version: str
    """The ``software_version``."""
    hosts: Positive
    """The number of hosts."""
    devices: Positive
    """How many devices have this version."""
    names: list[str]
    """The first ten of these hosts."""


class Model(t.TypedDict):
    """A model of devices, and its versions."""

    device_api: str
    """The API of the devices."""
    model: str
    """Their PCI ID, or else their type."""
    name: Sentence | None
    """The name of the vendor and model, or of the type. Null if no name is known."""
    drivers: list[str]
    """The drivers of parents with this PCI ID."""
    mixed: bool
    """Whether major or minor versions differ."""
    versions: list[VersionCount]
    """The versions, in order."""


class Report(t.TypedDict):
    """Which devices of a fleet can go where, and the outcome of a plan, as ``migration_report`` writes it."""

    schema: t.Annotated[int, where(const=1)]
    """The version of this format."""
    title: str
    """The title."""
    made: str
    """When the report was made, as text for people."""
    direction: Direction
    """The side whose list decides."""
    verdict: Conclusion
    """The conclusion on the plan, or on the fleet if there is no plan."""
    advice: list[Sentence]
    """What to do if there is nothing to report on."""
    totals: Totals
    """The totals."""
    facts: FactsAge
    """The age of the facts."""
    plan: PlanSection | None
    """The outcome of the plan. Null if there is none."""
    host_groups: list[HostGroup]
    """The hosts that are alike."""
    matrix: list[list[Count]]
    """For each group of hosts (row) and each group (column), how many devices can go from the first to the second."""
    classes: list[ReportedClass]
    """The classes of devices."""
    uncompared: list[str]
    """The attributes that may differ within a class, because no pattern names them."""
    excluded: list[CountedFinding]
    """Why devices can neither migrate nor receive a migration."""
    hosts: list[ReportedHost]
    """The hosts."""
    devices: t.Annotated[list[ReportedDevice], where(maxItems=2000)]
    """The devices. Empty if there are more than 2,000."""
    devices_not_shown: Count
    """The number of devices if there are more than 2,000. Otherwise 0."""
    versions: list[Model]
    """A model of devices, and its versions."""
    headroom: NotRequired[Headroom]
    """Whether each host can be drained or can fail. Absent if not requested."""
    last_run: NotRequired[LastRun]
    """The last run that migrated guests. Absent if no record was given."""
    unknown: list[CountedFinding]
    """Why hosts have no usable facts."""
    problems: list[CountedFinding]
    """The problems of all hosts."""
