# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The shapes of everything public: facts, verdict, plan, explanation, pairs and report.

Each shape is a ``TypedDict`` (PEP 589). ``tests/json_schemas.py`` makes the JSON Schemas in ``docs/schemas`` from
this file: the string below a field becomes the field's description.

A text that takes only some values, and a number with a limit, are ``Annotated`` with the JSON Schema keywords that
say so. A type checker takes them for a plain ``str`` or ``int``. Numbers count devices, hosts or classes where
nothing else is said. Every key is always there unless it is ``NotRequired``.
"""

from __future__ import annotations

import sys
import types
import typing as t

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

Kind = t.Annotated[str, where(enum=("mdev", "pci", "vdpa"))]
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
# How it is proven that devices have no place in any plan: some have none though nobody else is to move, there are too few
# places for those that need them, or the search has looked at everything.
ProofKind = t.Annotated[str, where(enum=("no_place", "shortage", "search"))]
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
            # What is in the way on one host: it would do, but is not to be had.
            *(
                "taken",
                "room_taken",
                "no_room",
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
    """The full name: ``name`` or ``group/name``, or the name that the tool ``vdpa`` has for it."""
    value: str
    """The value, as text."""


class DeviceLabel(t.TypedDict):
    """What names a device of the fleet."""

    host: str
    """The host that has it, as the inventory names it."""
    kind: Kind
    """What kind of device it is."""
    id: str
    """The UUID of an mdev, the address of a PCI device, the name of a vDPA device."""


# --- facts -----------------------------------------------------------------------------------------------------------


class DescriptorFacts(t.TypedDict):
    """A device descriptor in normal form."""

    origin: Origin
    """Where it was read from: one file per attribute, one file, or derived from what the kernel shows of any device."""
    self: AttributeSet
    """What the device is."""
    compatible: AttributeSets
    """Patterns of the devices that it can be migrated to; one that matches is enough."""
    configuration: NotRequired[Configuration]
    """What an emulator compares too, by name, as far as the host shows it."""


class AttributeFacts(Attribute):
    """An attribute of a device that can be configured, and read."""

    choices: NotRequired[list[str]]
    """The values that it takes now, where the device is of no use before it has one."""
    choice_names: NotRequired[list[str]]
    """The names of these values, in the same order."""


class HolderFacts(t.TypedDict):
    """The process that holds a device."""

    pid: Positive | None
    """Its process id; null where it is unknown whether a process holds the device."""
    name: str | None
    """The name of the guest that a QEMU process runs, else of the command; null where unknown."""
    uuid: NotRequired[str]
    """The UUID of the guest, where the process shows one."""


class MigrationFacts(t.TypedDict):
    """What is known of a device's ability to migrate."""

    supported: bool | None
    """Whether it can; null where that is unknown."""
    evidence: str
    """How that is known: ``debugfs``, ``unknown``, or a sentence about the driver or what stands in the way."""
    features: list[str]
    """The migration features that the kernel shows, from Linux 6.18 on."""
    state: str | None
    """The migration state that the kernel shows; null where it does not."""


class NetworkSettings(t.TypedDict):
    """What is set of a virtual function of a network card; what the physical function's driver does not show is missing."""

    mac: Mac
    """Its MAC address; zeros where it was given none."""
    vlan: NotRequired[Count]
    """The VLAN that its frames are put into; 0 for none."""
    qos: NotRequired[Count]
    """The priority in the VLAN's tag."""
    proto: NotRequired[VlanProtocol]
    """The protocol of the VLAN's tag."""
    spoofchk: NotRequired[bool]
    """Whether frames with another sender's address are dropped."""
    trust: NotRequired[bool]
    """Whether the guest may do what affects other functions, such as the promiscuous mode."""
    min_tx_rate: NotRequired[Count]
    """The rate in Mbit/s at which it may always send; 0 for none."""
    max_tx_rate: NotRequired[Count]
    """The rate in Mbit/s at which it may send at most; 0 for no limit."""
    link_state: NotRequired[LinkState]
    """Whether its link is up: as the card's, always, or never."""


class DeviceFacts(t.TypedDict):
    """An mdev, a physical or virtual PCI function, or a vDPA device."""

    kind: Kind
    """What kind of device it is."""
    id: str
    """The UUID of an mdev, the address of a PCI device, the name of a vDPA device."""
    parent: str | None
    """The mdev's parent, the virtual function's physical function, the vDPA device's management device; else null."""
    type: str
    """The mdev type, the PCI device's ``type`` or a signature of its PCI ids, the vDPA device's class."""
    descriptor: Digest | None
    """Its key in ``descriptors``; null if its descriptor is unreadable or malformed."""
    attributes: list[AttributeFacts]
    """The attributes that can be configured on it, sorted by name."""
    numa_node: Count | None
    """Its NUMA node, or its parent's; null if there is none."""
    iommu_group: Count | None
    """The number of its IOMMU group; null if it is in none."""
    driver: str | None
    """The driver that it is bound to; null if it is bound to none."""
    in_use: HolderFacts | None
    """The process that holds it; null if none does."""
    migration: MigrationFacts
    """What is known of its ability to migrate."""
    network: NotRequired[NetworkSettings]
    """What is set of a virtual function of a network card; absent where that is not known."""


class TypeFacts(t.TypedDict):
    """An mdev type of a parent, or a device class of a management device."""

    id: str
    """The id of the type, or the class."""
    name: str | None
    """The type's name for people; null if it has none."""
    device_api: str
    """The API of such devices, as ``vfio-pci``."""
    available_instances: Count
    """How many more can be created now; the types of a parent usually share what there is."""
    description: str | None
    """The type's description; null if it has none."""
    resources: NotRequired[dict[str, Count]]
    """What a device of the type takes of its parent, where the description says so: for GVT-g ``low_gm_size`` and
    ``high_gm_size`` in MiB, and ``fence``."""
    max_instance: NotRequired[Positive]
    """How many of it one card holds, where the description states it."""
    framebuffer: NotRequired[Positive]
    """The frame buffer of each in MiB, where the description states it."""


class ParentFacts(t.TypedDict):
    """A device that mdevs can be created on."""

    kind: t.Annotated[str, where(const="mdev")]
    """The kind of devices that can be created on it."""
    id: str
    """The name of the device, as the PCI address."""
    driver: str | None
    """The name that the kernel has for its driver in the ids of its types."""
    pci_id: PciId | None
    """Vendor and device id; null where it is no PCI device."""
    physical_function: NotRequired[str]
    """The physical function of the card whose virtual function it is, and whose memory it shares; absent where it is none."""
    numa_node: Count | None
    """Its NUMA node; null if there is none."""
    types: list[TypeFacts]
    """The types that can be created on it."""
    self: NotRequired[AttributeSet]
    """The attributes that a device made there has of it in its own ``self``, and what distinguishes these, as far as the host shows them."""
    configuration: NotRequired[Configuration]
    """What is compared of the devices made there, as far as the host shows it."""


class ManagementDeviceFacts(t.TypedDict):
    """A management device: vDPA devices can be created on it."""

    kind: t.Annotated[str, where(const="vdpa")]
    """The kind of devices that can be created on it."""
    id: str
    """Its name as the tool ``vdpa`` has it: ``bus/device`` or ``device``."""
    driver: str | None
    """The driver that it is bound to."""
    pci_id: PciId | None
    """Vendor and device id; null where it is no PCI device."""
    numa_node: Count | None
    """Its NUMA node; null if there is none."""
    types: list[TypeFacts]
    """The classes that can be created on it, one available instance of each while it has no device."""
    supported_classes: list[str]
    """The classes of vDPA devices that it can create."""
    max_supported_vqs: Count | None
    """How many virtqueues a device can have there; null if the kernel does not show it."""
    dev_features: list[str]
    """The virtio features that a device can be provisioned with, by name."""
    dev_features_mask: Mask | None
    """The same features as a mask; null if the kernel does not show it, as before Linux 5.18."""


class GpuFacts(t.TypedDict):
    """A GPU, as NVIDIA's management library reports it."""

    id: str
    """Its PCI address."""
    ecc: bool | None
    """Whether ECC is on now; null where the library does not report it."""
    mig: bool | None
    """Whether MIG is on now; null where the library does not report it."""
    virtualization: str | None
    """Its virtualization mode: ``none``, ``passthrough``, ``vgpu``, ``host_vgpu``, ``host_vsga``; null if unknown."""
    host_mode: str | None
    """How a host has its vGPUs: ``sriov`` or ``non_sriov``; null if unknown."""
    capabilities: list[str]
    """What it can do with vGPUs, by NVML's names without ``NVML_DEVICE_VGPU_CAP_``."""
    vgpu_versions: t.Annotated[list[Count], where(minItems=2, maxItems=2)] | None
    """The lowest and the highest vGPU version that its host takes; null if unknown."""
    metadata: str | None
    """Its vGPU metadata for ``vgpu_compatibility``, base64; null where it can have no vGPU."""


class VgpuFacts(t.TypedDict):
    """A vGPU at work, as NVIDIA's management library reports it."""

    id: str | None
    """The UUID of its mdev; null where it is none."""
    gpu: str
    """The PCI address of its GPU."""
    vm: str | None
    """The name or UUID of its guest, as the library has it; null if unknown."""
    guest_driver: str | None
    """The version of the guest's driver; null as long as that has not reported it."""
    vgpu_version: Positive | None
    """The vGPU version that host and guest have agreed on; null as long as they have not."""
    metadata: str | None
    """Its metadata for ``vgpu_compatibility``, base64; null where the library does not give them."""


class NvidiaFacts(t.TypedDict):
    """What NVIDIA's management library reports."""

    driver: str | None
    """The version of the host's driver."""
    gpus: list[GpuFacts]
    """The GPUs."""
    vgpus: list[VgpuFacts]
    """The vGPUs at work."""


class ProblemFacts(t.TypedDict):
    """Something that could not be read, or that breaks a rule of the descriptor's form."""

    path: str
    """The file or directory."""
    problem: str
    """What is wrong, and what would be right."""


class GatheredFacts(t.TypedDict):
    """When the facts were gathered, by the host's own clock, and in which of its boots."""

    time: Time
    """The time before the first look, in UTC, as ``2026-11-26T17:20:00Z``."""
    boot: Uuid | None
    """The kernel's ``boot_id``; null for a copied tree, and where it cannot be read."""


class Facts(t.TypedDict):
    """The VFIO and vDPA devices of one host, as ``vfio_migration_facts`` returns them.

    Lists are sorted by ``id``: the same host gives the same bytes, but for ``gathered``.
    """

    schema: t.Annotated[int, where(const=1)]
    """The version of this shape."""
    gathered: GatheredFacts
    """When, and in which boot."""
    descriptors: dict[Digest, DescriptorFacts]
    """The distinct descriptors, each once; the key is the SHA-256 of its canonical JSON, 32 hex digits of it."""
    devices: list[DeviceFacts]
    """The devices."""
    parents: list[ParentFacts | ManagementDeviceFacts]
    """The devices that others can be created on."""
    problems: list[ProblemFacts]
    """What was wrong."""
    nvidia: NotRequired[NvidiaFacts]
    """What NVIDIA's management library reports, on a host with devices of its driver that has the library."""


# --- verdicts --------------------------------------------------------------------------------------------------------


class Reason(t.TypedDict):
    """Why one set of patterns does not match."""

    set: Index | None
    """The place of the set in its list; null where there is no set."""
    attribute: str | None
    """The attribute that fails; null where no single one does."""
    rule: Rule
    """The rule that it breaks."""
    expected: str
    """What would match, for people."""
    actual: str | None
    """The attribute's value; null where it has none."""


class Match(t.TypedDict):
    """How a target was found compatible."""

    set: Index | None
    """The place of the set that matched, in the deciding list; null where none did."""
    bindings: Bindings
    """The values of the set's variables."""
    certainty: Certainty
    """``declared`` by drivers, ``derived`` from what the kernel shows, ``assumed`` where not all is known that decides, ``provisional`` for a new device."""
    warnings: list[Sentence]
    """What the verdict had to assume, in sentences."""


class Verdict(Match):
    """Whether a device may migrate from a source to a target."""

    compatible: bool
    """Whether it may."""
    direction: Direction
    """Whose list decided."""
    direction_conflict: bool
    """Whether the lists of the source and the target say different things."""
    reasons: list[Reason]
    """Why not, those of the set with the fewest failures first; empty where compatible."""


# --- plans -----------------------------------------------------------------------------------------------------------


class Target(DeviceLabel):
    """The device that a source becomes."""

    parent: str | None
    """The device that it is under; null for a PCI device that is no virtual function."""
    type: str | None
    """Its type, or a vDPA device's class."""
    attributes: list[Attribute]
    """What it is to be given, in this order."""
    network: NotRequired[NetworkSettings]
    """The source's network settings that a virtual function of a network card is to be given; absent where it is given none."""
    create: bool
    """Whether it is still to be created."""


class Placement(Match):
    """A device that moves, and what it becomes."""

    vm: str | None
    """The guest that holds it; null where no process does."""
    vm_uuid: NotRequired[str]
    """The UUID of that guest, where its process shows one."""
    source: DeviceLabel
    """The device that moves."""
    target: Target
    """The device that it becomes."""
    wave: Positive
    """When it moves: after everything of the waves before."""


class UnplacedReason(t.TypedDict):
    """What stands between a device and a host."""

    host: str | None
    """The host; null for what is true of all hosts together."""
    code: ReasonCode
    """What stands in the way, as a program reads it."""
    reason: Sentence
    """The same as a sentence."""
    attribute: NotRequired[Sentence]
    """The attribute that differs; absent where it is not about one."""
    detail: NotRequired[Sentence]
    """What the code leaves open: the value or version that is needed, how many places are missing, the condition, or why."""
    alike: NotRequired[Positive]
    """Of how many further hosts the same is true."""


class Unplaced(t.TypedDict):
    """A device that is left behind."""

    vm: str | None
    """The guest that holds it; null where no process does."""
    vm_uuid: NotRequired[str]
    """The UUID of that guest, where its process shows one."""
    source: DeviceLabel
    """The device."""
    reasons: t.Annotated[list[UnplacedReason], where(minItems=1)]
    """Why it has no place."""


class StayingDevice(DeviceLabel):
    """A device of a host that is emptied which stays as it is: nobody holds it, and it has nothing to move."""

    reason: Sentence
    """Why it stays."""


class Cost(t.TypedDict):
    """What a plan is judged by: of two plans, the first number that differs decides which one is better."""

    unplaced: Count
    """Devices that are left behind."""
    remade: Count
    """Devices that go elsewhere though an earlier plan has had a target made for them."""
    not_preferred: Count
    """Devices that go to another host than those that were to be preferred."""
    created: Count
    """Devices that are created, or given the type without which they are of no use."""
    domain_load: NotRequired[Count]
    """With the policy ``spread`` and with ``failure_domains``: devices in the fullest failure domain that receives any, with those held there that stay."""
    load: NotRequired[Count]
    """With the policy ``spread``: devices on the fullest host that receives any, with those held there that stay."""
    opened: NotRequired[Count]
    """With the policy ``pack``: parents that get their first device."""
    other_type: Count
    """Devices that become ones of another type."""


class ShortageNumbers(t.TypedDict):
    """How many devices compete for how many places."""

    need: Count
    """How many devices there are."""
    reachable: Count
    """How many places all targets together have for them."""


class ShortagePlace(t.TypedDict):
    """A device that is free, or a parent or card under which some can be made."""

    host: str
    """Its host."""
    id: str
    """Its id there."""
    places: Positive
    """For how many of the devices that are short of places it has one at most, if nothing else goes there."""


class Shortage(ShortageNumbers):
    """The proof that not everything can have a place: these devices have too few places however they are used."""

    devices: list[DeviceLabel]
    """The devices."""
    places: NotRequired[list[ShortagePlace]]
    """All places that there are for any of them, which together are as many as can be reached; absent where they are not listed."""


class MdevTask(t.TypedDict):
    """An entry of ``devices`` of the module ``vfio_mdev``."""

    uuid: str
    """The new mdev's UUID."""
    parent: str
    """The parent to create it on."""
    type: str
    """Its type."""
    attributes: list[Attribute]
    """What to write to it once it is there, in this order."""
    accept: NotRequired[AttributeSets]
    """The source's patterns, of which the new device's own ``self`` must match one."""


class PciTask(t.TypedDict):
    """An entry of ``devices`` of the module ``vfio_pci``."""

    address: str
    """The PCI address."""
    attributes: list[Attribute]
    """What to write to it, in this order."""
    network: NotRequired[NetworkSettings]
    """The network settings to give it; absent where it keeps its own."""
    accept: NotRequired[AttributeSets]
    """The source's patterns, of which the device's own ``self`` must match one."""


class VdpaTask(t.TypedDict):
    """An entry of ``devices`` of the module ``vdpa_device``."""

    name: str
    """The new vDPA device's name."""
    mgmtdev: str
    """The management device to create it on."""
    mac: NotRequired[str]
    """Its MAC address."""
    mtu: NotRequired[str]
    """Its MTU in bytes."""
    max_vqp: NotRequired[str]
    """How many pairs of virtqueues it can have."""
    device_features: NotRequired[list[Mask]]
    """The virtio features to provision it with, as one mask."""
    accept: NotRequired[AttributeSets]
    """The source's patterns, of which the new device's own ``self`` must match one."""


class HostTasks(t.TypedDict):
    """What the modules are to do on a target host."""

    devices: list[MdevTask]
    """For ``vfio_mdev``."""
    pci_devices: list[PciTask]
    """For ``vfio_pci``."""
    vdpa_devices: list[VdpaTask]
    """For ``vdpa_device``."""


class Change(t.TypedDict):
    """A guest that was planned anew, though an earlier plan was given."""

    vm: str | None
    """Its name; null for a device that no process holds."""
    source: DeviceLabel
    """Its first device."""
    reason: Sentence
    """Why the earlier plan does not hold for it."""


class PlanConditions(t.TypedDict):
    """What was asked of a plan beside sources, targets, direction and policy."""

    # Its fields are those of ``_planner.request.Conditions`` that last, and their descriptions those of the options in
    # ``doc_fragments/_plan.py``: the JSON Schema is made from these.


class PlanBody(t.TypedDict):
    """A plan but for what makes it fit for use as an earlier plan."""

    status: Status
    """Whether everything has a place, and what of that is proven."""
    solver: Solver
    """What found it: the built-in search or OR-Tools."""
    cost: Cost | None
    """What it costs; null where an earlier plan is kept in part, or some are planned beside those with a higher priority."""
    bound: Cost | None
    """What no plan costs less than, number by number; null where nothing is known."""
    direction: Direction
    """Whose list decided."""
    policy: Policy
    """Whether devices were to be packed or spread."""
    placements: list[Placement]
    """What moves where, by source host, guest and device."""
    unplaced: list[Unplaced]
    """The devices that are left behind."""
    assumptions: NotRequired[list[Sentence]]
    """What took part in finding no place for everything beside the rules of kernel and drivers; absent where nothing did."""
    further_pass: NotRequired[t.Annotated[bool, where(const=True)]]
    """Once the plan is carried out, only trying shows whether more find a place; absent where that is known."""
    staying: NotRequired[list[StayingDevice]]
    """The devices of emptied hosts that stay as they are, as nobody holds them; absent where there are none."""
    proof: NotRequired[list[ProofKind]]
    """What proves that no plan has places for as many devices as ``bound`` says, or for one where there is none; absent where nothing does."""
    shortage: Shortage | None
    """The proof that not everything can have a place, where there is one of this kind."""
    shortages: NotRequired[list[Shortage]]
    """What it is made of, where no place is short for two of them; absent where it is one."""
    hosts: dict[str, HostTasks]
    """For each target host what the modules there are to do."""
    map: dict[str, dict[str, str]]
    """For each source host the source's id to the target's."""
    unknown: list[str]
    """The hosts without usable facts."""


class GivenDevice(t.TypedDict):
    """A device that is to be moved, as it is asked for."""

    host: str
    """The host that has it."""
    id: str
    """Its id there."""


class PlanRequest(t.TypedDict):
    """What was to be moved, by the options of ``migration_plan``; what was not given is absent."""

    drain: NotRequired[list[str]]
    """The hosts that were to be drained."""
    sources: NotRequired[list[str | GivenDevice]]
    """The guests, by name, and devices that were to be moved."""
    hosts: NotRequired[list[str]]
    """The hosts that took part."""
    lost: NotRequired[dict[str, Time | None]]
    """Those of the hosts that were to be drained which are gone, each with the time of its last facts; null where these have none."""
    free_devices: FreeDevices
    """Which devices that nobody holds were to leave the hosts that were to be drained."""


class AvoidedPlace(t.TypedDict):
    """Where nothing was to go."""

    host: str
    """The host."""
    parent: str | None
    """The parent; null for the whole host."""
    guest: NotRequired[str]
    """The name or UUID of the guest that was not to go to the host, where others were."""
    guest_host: NotRequired[str]
    """The host that this guest is on, where only that one's was meant."""
    problem: Sentence
    """Why, as it was asked for."""


class Plan(PlanBody):
    """Which device goes where, as ``migration_plan`` returns it.

    The filter's plan is a function of its arguments. What is written to a file, and what an action or a playbook returns, also
    says when, with which version and for whom it was made. Two plans of one request for the same facts differ only in ``time``.
    """

    schema: t.Annotated[int, where(const=1)]
    """The version of this shape. A plan of another one is refused."""
    time: NotRequired[Time]
    """When it was made, in UTC."""
    collection: NotRequired[str]
    """The version of the collection that made it."""
    requested_by: NotRequired[Sentence]
    """Who asked for it: the user of the controller that started the job, else who ran Ansible."""
    request: PlanRequest
    """What was to be moved. Where to, and how, is beside it: in ``targets``, ``avoid``, ``conditions``, ``direction`` and ``policy``."""
    changes: list[Change]
    """The guests of an earlier plan that were planned anew."""
    conditions: PlanConditions
    """What was asked of the plan; an earlier plan is known by it to be for the same."""
    relied_on: dict[str, Digest]
    """The hosts of the placements, each with a digest of the facts that the plan relied on."""
    targets: NotRequired[list[str]]
    """The hosts that were asked to receive, where some were."""
    avoid: NotRequired[list[AvoidedPlace]]
    """The places that were to be avoided, where there were some."""


class RecordProcess(t.TypedDict):
    """The run of Ansible that wrote a record last."""

    pid: Positive
    """Its process id on the control node."""
    start: str | None
    """The boot of the control node, and when in it the process has started; null where that is unknown."""


class Record(t.TypedDict):
    """What was made for a plan, or was about to be: ``plan.progress.json``, beside the plan."""

    format: t.Annotated[int, where(const=1)]
    """The version of this shape. A record of another one is refused."""
    plan: str
    """The file that has the plan."""
    process: RecordProcess
    """Who works with the record. No other run does as long as that goes on."""
    placements: list[Placement]
    """The moves whose targets were made, changed, or about to be."""


class MovedDevice(t.TypedDict):
    """A device of a guest that was to move, and the one that it was to become."""

    kind: Kind
    """What kind of device both are."""
    source: str
    """The id of the guest's device."""
    target: str
    """The id of the one on the target."""


class MigrationRecord(t.TypedDict):
    """The outcome for a guest that was to move: a line of ``migration-record.jsonl``, beside the plan."""

    format: t.Annotated[int, where(const=1)]
    """The version of this shape."""
    run: str
    """When the run began that the record is of, by the control node's clock."""
    vm: str
    """The guest's name."""
    vm_uuid: str | None
    """Its UUID, if it is known."""
    source: str
    """The host that it was on."""
    target: str
    """The host that it was to go to."""
    devices: list[MovedDevice]
    """Its devices."""
    begin: str | None
    """When its migration began, by its host's clock; null where it did not."""
    end: str | None
    """When that ended, likewise."""
    duration_ms: Count | None
    """How long that took; null where nobody knows."""
    downtime_ms: Count | None
    """How long the guest stood still; null where libvirt does not say."""
    bytes: Count | None
    """How much was sent; null where libvirt does not say."""
    dirty_rate: Count | None
    """How many bytes of its memory the guest changed in a second; null where libvirt does not say."""
    outcome: t.Annotated[str, where(enum=("begun", "interrupted", "moved", "stayed", "not_tried"))]
    """Whether the guest goes on on the target, by libvirt's word, and holds its devices there, by the kernels'; if not, whether its migration was begun.

    Where nobody has seen the end yet, it is begun, and interrupted where a signal has ended the run meanwhile, or its host has not
    said by the end of the run how it ended.
    """
    errors: list[Sentence]
    """Why it stays, or what went wrong although it has moved."""
    request: str | None
    """What identifies a request: the same guests, hosts to drain and targets have the same."""
    ended: bool
    """Whether the run had come to its end by then; one that is killed never does."""
    complete: bool
    """Whether all guests that were asked for had moved by then."""


class LastRun(t.TypedDict):
    """The outcome for the guests of the run that a record has last."""

    run: str
    """When it began, by the control node's clock."""
    moved: Count
    """How many guests have moved."""
    stayed: Count
    """How many have not, although their migration was begun."""
    not_tried: Count
    """Of how many it was not begun."""
    unknown: Count
    """Of how many nobody has seen the end, as the run goes on or was broken off, or their host does not say."""


class PlacementState(t.TypedDict):
    """How far the move of one device has come, as ``placement_states`` returns it."""

    vm: str | None
    """As in the plan."""
    source: DeviceLabel
    """As in the plan."""
    target: Target
    """As in the plan."""
    state: State
    """How far it has come."""
    reason: Sentence | None
    """What makes the state ``unclear``; null for every other state."""


class Explanation(t.TypedDict):
    """Why a device may or may not go to a device or host, as ``explain`` returns it."""

    source: DeviceLabel
    """The device."""
    target: DeviceLabel | str
    """The device, or the name of the host, that it was to go to."""
    verdict: Verdict
    """The verdict; for a host that on what receives the device there or comes nearest to it."""
    placement: Target | None
    """How the host would receive it; null where it cannot, or where the target is a device."""
    codes: list[ReasonCode]
    """What stands in the way, as a program reads it, each code once; empty where nothing does."""
    sentences: list[Sentence]
    """What stands in the way, and what the verdict had to assume."""


# --- headroom --------------------------------------------------------------------------------------------------------


class HeadroomCounts(t.TypedDict):
    """How many hosts, or groups of hosts, can be emptied."""

    emptied: Count
    """All of their guests have a place elsewhere."""
    infeasible: Count
    """Not all of them can have one, and that is proven."""
    unproven: Count
    """Not all of them have one, and it is not proven that there is none."""


class LeftGuest(t.TypedDict):
    """A guest, or a device that no guest is known of, without a place elsewhere."""

    vm: str | None
    """The guest's name; null where it has none."""
    host: str
    """The host that it is on."""
    devices: list[str]
    """The ids of its devices."""


class HeadroomSubject(t.TypedDict):
    """A host, or a failure domain, that cannot be emptied."""

    name: str
    """Its name."""
    failure_domain: bool
    """Whether it is a failure domain."""
    guests: list[LeftGuest]
    """The guests that have no place elsewhere, where the others have theirs."""


class AddedDevices(t.TypedDict):
    """Equal free devices that are to be added."""

    count: Positive
    """How many."""
    kind: Kind
    """What they are."""
    type: str | None
    """Their type; null where they have none."""
    version: str | None
    """Their software_version; null where they state none."""
    like: DeviceLabel
    """A device that they are to be like."""
    host: str | None
    """The host that they are to be on; null for any one that may receive, or may once it is one of the targets.

    Where guests are to be apart, or hosts have a limit, those of each guest are to be on one of their own.
    """
    together: Positive | None
    """What has the same number is to be on one host, as one guest lacks it; null where ``host`` says which, or each may be on another one."""


class Addition(t.TypedDict):
    """What would give all guests a place; a plan was made with it, and leaves nobody behind."""

    devices: list[AddedDevices]
    """The free devices to be added; a parent that can make them does as well."""
    smallest: bool
    """Whether it is proven that no fewer devices would do."""
    sentence: Sentence
    """The same in words."""


class HeadroomCause(t.TypedDict):
    """Why hosts, or groups of hosts, cannot be emptied: the same for all that have equal guests and places."""

    status: t.Annotated[str, where(enum=("infeasible", "unproven"))]
    """Whether it is proven that not all guests can have a place."""
    sentence: Sentence
    """The conclusion."""
    subjects: list[HeadroomSubject]
    """The hosts and groups of which it is true."""
    at_least: Count | None
    """How many devices have no place at least, whatever is done; null where nothing is known."""
    assumptions: list[Sentence]
    """What took part in finding no place for the first host or failure domain, beside the rules of kernel and drivers."""
    unplaced: list[Unplaced]
    """Of the first host or failure domain, the devices without a place and why; empty where only the first causes are described so closely."""
    shortages: list[Shortage]
    """Of the first host or failure domain, the shortages that prove it; empty like ``unplaced``."""
    addition: Addition | None
    """What would give all guests of any of these, emptied by itself, a place; null where nothing is known that would."""


class Headroom(t.TypedDict):
    """Whether each host, and each failure domain, can be emptied, or fail, with its guests placed elsewhere."""

    schema: t.Annotated[int, where(const=1)]
    """The version of this shape."""
    hosts: HeadroomCounts
    """How many hosts can be emptied, each by itself."""
    failure_domains: HeadroomCounts
    """How many failure domains can be emptied, each by itself."""
    holds: bool
    """Whether all hosts and failure domains can be emptied, and have usable facts, but those that are exempt."""
    sentences: list[Sentence]
    """The conclusion, and the first causes."""
    causes: list[HeadroomCause]
    """Why the others cannot."""
    conditions: PlanConditions
    """What was asked of the places."""
    unknown: list[str]
    """The hosts without usable facts, of which nothing is known."""


# --- maintenance -----------------------------------------------------------------------------------------------------


class MaintenanceStep(t.TypedDict):
    """Hosts that are emptied at a time, and come back before the next step."""

    hosts: t.Annotated[list[str], where(minItems=1)]
    """The hosts."""
    why: Sentence
    """Why these are the next."""
    moves: Count
    """How many guests move."""
    again: Count
    """How many of these have moved in a step before."""
    conversions: Count
    """How many devices become ones of another type."""
    returned: list[str]
    """The targets that have come back in a step before: what they take by then is not known, but what they take now."""
    placements: list[Placement]
    """What moves where, as in a plan."""


class MaintenanceBlock(t.TypedDict):
    """Why there is no further step."""

    hosts: t.Annotated[list[str], where(minItems=1)]
    """The hosts whose guests have no place."""
    proven: bool
    """Whether it is proven that these cannot be emptied, in whichever order; with a given order, in that one."""
    sentence: Sentence
    """The conclusion."""
    unplaced: list[Unplaced]
    """The devices without a place and why, as in a plan."""
    shortages: list[Shortage]
    """The shortages that prove it, as in a plan."""


class Outfit(t.TypedDict):
    """What a host has that must be there again when it comes back."""

    parents: list[str]
    """The ids of its parents."""
    devices: list[str]
    """The ids of its devices; empty where those need not be there again."""


class StatedCapacity(t.TypedDict):
    """What guests take beside devices and what hosts had free of it, as it was stated, and where the guests were then."""

    capacity: dict[str, dict[str, dict[str, Count]]]
    """What ``hosts`` had free, and what ``guests`` take."""
    guests: dict[str, list[str]]
    """By each host with facts, those of these guests that held devices there."""


class MaintenanceProgress(t.TypedDict):
    """How far rolling maintenance has come: ``maintenance.json``, in the directory of the playbook ``maintain``."""

    format: t.Annotated[int, where(const=1)]
    """The version of this shape. A file of another one is refused."""
    process: RecordProcess
    """Who works with it. No other run does as long as that goes on."""
    emptied: list[str]
    """The hosts that are to be emptied."""
    done: list[str]
    """Those that have come back."""
    working: dict[str, Outfit]
    """Those that are empty, and on which the operator's tasks may have begun, each with what must be there again."""
    stated: StatedCapacity | None
    """From what it is worked out how much hosts have free once guests have moved; ``null`` where nothing is stated."""


class MaintenancePlan(t.TypedDict):
    """In which steps hosts are emptied that come back, one after another or a few at a time, and what moves where in each."""

    schema: t.Annotated[int, where(const=1)]
    """The version of this shape."""
    status: Status
    """Whether all hosts are emptied, and whether it is proven that no order has fewer moves, or that there is none."""
    order: list[str]
    """The hosts that are emptied, in this order."""
    order_is: t.Annotated[str, where(enum=("chosen", "given"))]
    """Whose order it is."""
    steps: list[MaintenanceStep]
    """The steps, each of which begins when the hosts of the one before have come back."""
    guests: Count
    """How many guests there are on all hosts that are to be emptied."""
    moves: Count
    """How many moves of guests there are in all steps."""
    bound: Count | None
    """How many moves there are at least in every order; null where not all hosts are emptied."""
    conversions: Count
    """How many devices become ones of another type in all steps."""
    blocked: MaintenanceBlock | None
    """Which hosts could not be emptied and why; null where all can."""
    sentences: list[Sentence]
    """The conclusion, and each step."""
    assumptions: list[Sentence]
    """What is taken for granted beside what plans do."""
    conditions: PlanConditions
    """What was asked of the places."""
    unknown: list[str]
    """The hosts without usable facts, which receive nothing."""


# --- rebalancing -----------------------------------------------------------------------------------------------------


class HostLoad(t.TypedDict):
    """The load of one host: how many of its devices somebody holds."""

    host: str
    """The host."""
    before: Count
    """Its load now."""
    after: Count
    """Its load once the plan is carried out."""


class HostsWithPlaces(t.TypedDict):
    """On how many hosts the largest guest has a place."""

    before: Count
    """How many hosts have places now for as many devices as ``before`` of the plan says."""
    after: Count
    """How many have for as many as ``after`` says, once the plan is carried out."""
    bound: Count
    """How many have, after so few moves, for as many as ``bound`` says at most."""


class RebalancePlan(t.TypedDict):
    """Which few guests move so that loads are more even, fewer cards are in use, or a larger guest has a place, as ``rebalance_plan`` returns it."""

    schema: t.Annotated[int, where(const=1)]
    """The version of this shape."""
    measure: t.Annotated[str, where(enum=("even", "cards", "largest"))]
    """What is to become less, the sum of the squares of all loads or how many cards are in use; or more, how many devices the largest guest can have."""
    device_type: str | None
    """The type of these devices, null for another measure."""
    status: t.Annotated[str, where(enum=("optimal", "feasible"))]
    """Whether it is proven that no plan of so few moves is better."""
    before: Count
    """What it is now."""
    after: Count
    """What it is once the plan is carried out."""
    bound: Count
    """What no plan of so few moves among the hosts with usable facts betters."""
    hosts_with_places: HostsWithPlaces | None
    """On how many hosts the largest guest has a place, which counts between plans that give equally large ones a place; null for another measure."""
    moves: Count
    """How many guests move."""
    max_moves: Count
    """How many may."""
    loads: list[HostLoad]
    """The loads of all hosts with usable facts."""
    sentences: list[Sentence]
    """The conclusion."""
    plan: Plan
    """What moves where."""


# --- candidates ------------------------------------------------------------------------------------------------------


class CandidateHost(t.TypedDict):
    """Whether one host can take a guest."""

    host: str
    """The host."""
    candidate: bool | None
    """Whether it can take all of the guest's devices; null where nothing is known of it."""
    placements: list[Placement]
    """What each device becomes there, as in a plan; empty where it is no candidate."""
    reasons: list[Sentence]
    """What stands in the way; empty where it is a candidate."""
    codes: list[ReasonCode]
    """The same as a program reads it: a code for each of the reasons, in their order."""


class CandidateList(t.TypedDict):
    """Which hosts can take a guest, as ``candidates`` returns it."""

    vm: str | None
    """The guest; null where no process holds the device."""
    devices: list[DeviceLabel]
    """Its devices."""
    hosts: list[CandidateHost]
    """Each host: candidates first, then those that are none, then those of which nothing is known."""
    sentences: list[Sentence]
    """A line on each of them, which begins with yes, no or unknown; of more than 40 with one answer, how many more there are."""


class CandidateLists(t.TypedDict):
    """Which hosts can take each of several guests, as ``candidates`` returns it with ``drain``, ``guests`` or ``devices``."""

    guests: list[CandidateList]
    """Each guest, judged as if nothing else moved."""
    sentences: list[Sentence]
    """A line on each guest and host: the guest, and then yes, no or unknown. Of many, how many more there are."""


class CandidateAnswer(t.TypedDict):
    """What the filter ``candidates`` returns: a ``CandidateList`` or ``CandidateLists``, by what it is asked."""

    vm: NotRequired[str | None]
    devices: NotRequired[list[DeviceLabel]]
    hosts: NotRequired[list[CandidateHost]]
    guests: NotRequired[list[CandidateList]]
    sentences: list[Sentence]


# --- executors -------------------------------------------------------------------------------------------------------


class NovaMigration(t.TypedDict):
    """A server that Nova is to migrate."""

    server: str
    """The server's UUID, or what Nova was said to call it."""
    host: str
    """The compute host that it is to go to."""
    wave: Positive
    """When it goes: after all of the waves before."""
    command: list[str]
    """The command of the OpenStack client, word by word."""


class NovaMigrations(t.TypedDict):
    """What Nova needs for a plan, as the filter ``nova_migrations`` returns it."""

    migrations: list[NovaMigration]
    """The servers, in the order in which they go."""
    nova_conf: dict[str, str]
    """For each compute host what its ``nova.conf`` has to have for the devices there."""
    aliases: str
    """What the ``nova.conf`` of the controllers has to have, too; empty where no function of PCI moves."""
    warnings: list[Sentence]
    """What of the plan Nova cannot be given, and what does not move."""


class ProxmoxMapping(t.TypedDict):
    """A resource mapping of a PCI device."""

    id: str
    """Its id in the cluster."""
    mdev: bool
    """Whether the devices of it can provide mediated devices."""
    map: list[str]
    """For each node the device, as ``map`` of the mapping has it."""
    command: list[str]
    """The command of ``pvesh`` that makes it, word by word."""


class ProxmoxMigration(t.TypedDict):
    """A virtual machine that Proxmox VE is to migrate."""

    vmid: int
    """Its number."""
    source: str
    """The node that it is on, on which the command runs."""
    target: str
    """The node that it is to go to."""
    wave: Positive
    """When it goes: after all of the waves before."""
    hostpci: dict[str, str]
    """What its configuration has to have for its devices, by the name of the option."""
    command: list[str]
    """The command of ``qm``, word by word."""


class ProxmoxMigrations(t.TypedDict):
    """What Proxmox VE needs for a plan, as the filter ``proxmox_migrations`` returns it."""

    migrations: list[ProxmoxMigration]
    """The virtual machines, in the order in which they go."""
    mappings: list[ProxmoxMapping]
    """The resource mappings that these need."""
    pci_cfg: str
    """The same mappings as ``/etc/pve/mapping/pci.cfg`` has them."""
    warnings: list[Sentence]
    """What of the plan Proxmox VE cannot be given, and what does not move."""


class KubernetesMetadata(t.TypedDict):
    """The metadata of an object of Kubernetes."""

    name: NotRequired[str]
    """Its name."""
    generateName: NotRequired[str]
    """What its name begins with, where the cluster chooses the rest."""
    namespace: str
    """Its namespace."""


class KubevirtMigrationSpec(t.TypedDict):
    """What a migration of KubeVirt is to do."""

    vmiName: str
    """The instance that migrates."""
    addedNodeSelector: dict[str, str]
    """Labels of the nodes that it may go to, for this migration alone."""


class KubevirtMigration(t.TypedDict):
    """An object of KubeVirt that starts a migration."""

    apiVersion: t.Annotated[str, where(const="kubevirt.io/v1")]
    """The version of KubeVirt's interface."""
    kind: t.Annotated[str, where(const="VirtualMachineInstanceMigration")]
    """What kind of object it is."""
    metadata: KubernetesMetadata
    """Where it is to be."""
    spec: KubevirtMigrationSpec
    """What it is to do."""


class KubernetesConfigMap(t.TypedDict):
    """An object of Kubernetes that holds files."""

    apiVersion: t.Annotated[str, where(const="v1")]
    """The version of Kubernetes's interface."""
    kind: t.Annotated[str, where(const="ConfigMap")]
    """What kind of object it is."""
    metadata: KubernetesMetadata
    """Where it is to be."""
    data: dict[str, str]
    """The files by name."""


class KubevirtHook(t.TypedDict):
    """What puts the target devices of an instance into its domain."""

    config_map: KubernetesConfigMap
    """The script that a sidecar runs."""
    annotations: dict[str, str]
    """What the instance needs among its annotations from its start on, so that the sidecar is there."""


class KubevirtWave(t.TypedDict):
    """Instances that migrate at the same time."""

    wave: Positive
    """When they go: after all of the waves before."""
    migrations: list[KubevirtMigration]
    """The objects that start it."""


class KubevirtMigrations(t.TypedDict):
    """What KubeVirt needs for a plan, as the filter ``kubevirt_migrations`` returns it."""

    waves: list[KubevirtWave]
    """The instances, in the order in which they go."""
    hooks: list[KubevirtHook]
    """For each instance the hook that names its target devices."""
    warnings: list[Sentence]
    """What of the plan KubeVirt cannot be given, and what does not move."""


class CloudHypervisorDevice(t.TypedDict):
    """A device of a virtual machine of Cloud Hypervisor."""

    option: t.Annotated[str, where(enum=("--device", "--vdpa"))]
    """The option that gives it to a virtual machine."""
    source: str | None
    """The value of the option on the source; null where that is not known."""
    target: str
    """The value of the option on the target."""
    id: str | None
    """What the virtual machine calls it; null where that is not known."""
    same_path: bool
    """Whether the target finds it by the path that the source has."""


class CloudHypervisorMigration(t.TypedDict):
    """A virtual machine that Cloud Hypervisor is to migrate."""

    vm: str
    """Its name."""
    source: str
    """The host that it is on."""
    target: str
    """The host that it is to go to."""
    wave: Positive
    """When it goes: after all of the waves before."""
    devices: list[CloudHypervisorDevice]
    """Its devices."""
    receive: list[str]
    """The command of ``ch-remote`` on the target, word by word; it comes first."""
    send: list[str]
    """The command of ``ch-remote`` on the source, word by word."""


class CloudHypervisorMigrations(t.TypedDict):
    """What Cloud Hypervisor needs for a plan, as the filter ``cloud_hypervisor_migrations`` returns it."""

    migrations: list[CloudHypervisorMigration]
    """The virtual machines, in the order in which they go."""
    warnings: list[Sentence]
    """What of the plan Cloud Hypervisor cannot be given, and what does not move."""


# --- pairs -----------------------------------------------------------------------------------------------------------


class ClassFacts(DescriptorFacts):
    """A class: devices that no rule distinguishes."""

    hosts: dict[str, Positive]
    """How many of them each host has."""


class PairMatch(Match):
    """The fields of a verdict that a pair keeps."""

    direction_conflict: bool
    """Whether the lists of the source and the target say different things."""


class ClassPair(PairMatch):
    """Two classes of which one may migrate to the other."""

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
    """How many pairs there are of two devices on different hosts."""


class DevicePair(PairMatch):
    """Two devices of which one may migrate to the other."""

    source: DeviceLabel
    """The source device."""
    target: DeviceLabel
    """The target device."""
    source_class: Digest
    """The name of the source's class."""
    target_class: Digest
    """The name of the target's class."""


class NearMiss(t.TypedDict):
    """A target class that comes near to being compatible."""

    target: Digest
    """Its name."""
    devices: Count
    """How many devices it has."""
    certainty: Certainty
    """``assumed`` where it may do after all, as nothing is known of what it differs in."""
    reasons: list[Reason]
    """What keeps them apart."""


class BarrierCounts(t.TypedDict):
    """How much would be compatible if one attribute had another value."""

    classes: Count
    """How many classes."""
    devices: Count
    """How many devices they have."""


class CreatableDevice(Match):
    """A device that hosts could make for a class."""

    type: str
    """Its type, or a vDPA device's class."""
    attributes: list[Attribute]
    """What it is to be given."""
    room: dict[str, Positive]
    """How many of them a host has capacity for, by the first of the hosts that are ``alike``."""


class ExcludedDevice(DeviceLabel):
    """A device that can neither migrate nor receive a migration."""

    reason: Sentence
    """Why not."""


class HostProblem(t.TypedDict):
    """A problem that a host reported, or that its facts have."""

    host: str
    """The host."""
    path: str | None
    """The file, or the place in the facts."""
    problem: Sentence | None
    """What is wrong."""


class CompatiblePairs(t.TypedDict):
    """Which classes may migrate to which, as ``compatible_pairs`` returns it."""

    direction: Direction
    """Whose list decided."""
    classes: dict[Digest, ClassFacts]
    """The classes by name."""
    uncompared: list[str]
    """Attributes in which devices of one class differ, as no pattern of the fleet names them."""
    pairs: list[ClassPair]
    """The compatible pairs."""
    misses: dict[Digest, list[NearMiss]]
    """For each source class the three target classes that come nearest to being compatible."""
    barriers: dict[Digest, dict[str, BarrierCounts]]
    """For each source class the attributes that alone keep target classes away."""
    creatable: dict[Digest, list[CreatableDevice]]
    """For each source class the devices that hosts could make for it."""
    alike: dict[str, list[str]]
    """The hosts that could make the same, by the first of them."""
    excluded: list[ExcludedDevice]
    """The devices that can neither migrate nor receive a migration."""
    unknown: list[str]
    """The hosts without usable facts."""
    problems: list[HostProblem]
    """The problems of all hosts."""
    devices: NotRequired[list[DevicePair]]
    """Every pair of devices, where that was asked for."""


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
    """Something that is true of one or more hosts, or of devices there."""

    text: Sentence
    """What it is, as a sentence."""
    count: Positive
    """How often it was found."""
    hosts: Positive
    """On how many hosts."""
    names: list[str]
    """The first ten of these hosts."""
    paths: list[str]
    """The first ten places there: ids of devices, or paths."""


class Cause(t.TypedDict):
    """Why devices cannot move."""

    devices: Positive
    """How many devices it is true of."""
    guests: Count
    """How many guests they belong to."""
    code: ReasonCode
    """Why, as a program reads it."""
    reason: Sentence
    """Why, as a sentence."""
    example: Sentence | None
    """The nearest that a device comes to going somewhere; null where there is no example."""
    more: bool
    """Whether there are further reasons."""
    remedy: Sentence | None
    """What would make it possible; null where that is not known."""


class Conclusion(t.TypedDict):
    """What the report comes to."""

    level: Level
    """Whether all, some or none of the devices can move, or nothing is to be moved, or nothing is known."""
    sentence: Sentence
    """The same in words."""
    because: t.Annotated[list[Cause], where(maxItems=5)]
    """Why devices cannot move, what is true of most of them first."""


class Totals(t.TypedDict):
    """How many there are."""

    hosts: Count
    """Hosts with facts."""
    unknown: Count
    """Hosts without usable facts."""
    devices: Count
    """Devices."""
    in_use: Count
    """Devices that a process holds, or may hold."""
    holder_unknown: Count
    """Those of them of which it is unknown whether a process holds them."""
    excluded: Count
    """Devices that can neither migrate nor receive a migration."""
    reachable: Count
    """Devices that could go to another host now, each by itself."""
    problems: Count
    """Problems."""


class ReceivingHost(t.TypedDict):
    """A host that receives devices."""

    host: str
    """Its name."""
    devices: Positive
    """How many it receives."""
    created: Count
    """How many of these are to be created."""


class Wave(t.TypedDict):
    """Moves that can be made at once."""

    wave: Positive
    """Its number."""
    devices: Positive
    """How many devices move."""
    guests: Count
    """How many guests they belong to."""
    sources: Positive
    """How many hosts they leave."""
    targets: Positive
    """How many hosts receive them."""


class WarningCount(t.TypedDict):
    """What the plan had to assume."""

    warning: Sentence
    """The assumption, as a sentence."""
    moves: Positive
    """For how many moves."""


class MoveTarget(DeviceLabel):
    """What a device becomes."""

    parent: str | None
    """The device that it is under; null for a PCI device that is no virtual function."""
    type: str | None
    """Its type, or a vDPA device's class."""
    create: bool
    """Whether it is still to be created."""
    attributes: str
    """What it is to be given, as ``name=value`` with commas between, network settings included."""


class Move(DeviceLabel):
    """A device that moves."""

    wave: Positive
    """When it moves."""
    vm: str | None
    """The guest that holds it; null where no process does."""
    to: MoveTarget
    """What it becomes."""
    certainty: Certainty
    """How certain it is that the target is compatible."""
    warnings: list[Index]
    """What was assumed: places in the plan's ``warnings``."""


class GuestMove(t.TypedDict):
    """A guest, or a device that no process holds, that was to be moved."""

    vm: str | None
    """The guest's name; null where no process holds the device, or it is not known which."""
    in_use: bool
    """Whether a process holds it, or may hold it."""
    host: str
    """The host that it is on."""
    to: str | None
    """The host that it goes to; null where it stays."""
    wave: Positive | None
    """When it moves; null where it stays."""
    devices: t.Annotated[list[DeviceLabel], where(minItems=1)]
    """Its devices."""
    hardware: list[Sentence]
    """What these are, by name."""
    becomes: list[Sentence]
    """What each of them becomes, in the same order; empty where it stays."""
    certainty: Certainty | None
    """How certain the least certain of its moves is; null where it stays."""
    warnings: list[Index]
    """What was assumed: places in the plan's ``warnings``."""
    code: ReasonCode | None
    """Why it stays, as a program reads it; null where it moves."""
    why: Sentence | None
    """Why it stays; null where it moves."""
    remedy: Sentence | None
    """What would make it possible; null where it moves, or that is not known."""


class Write(t.TypedDict):
    """Something that carrying out the plan writes on a host."""

    device: str
    """The device that is created or changed."""
    action: Action
    """Whether the device is created, or one of its attributes or network settings set."""
    what: Sentence | None
    """What is created, or what the value means, by name; null where there is no name."""
    where: str | None
    """The parent or management device; null for a PCI device."""
    attribute: str | None
    """The attribute or network setting that is set; null for what is created."""
    before: str | None
    """The value that it has; null where that is not known, or the device is still to be created."""
    after: str | None
    """The value that it is given; for what is created the options that it is created with, if there are any."""


class HostWrites(t.TypedDict):
    """All that carrying out the plan writes on a host."""

    host: str
    """The host."""
    writes: t.Annotated[list[Write], where(minItems=1)]
    """What, in the order in which it is written."""


class CapacityLeft(t.TypedDict):
    """How many more of a type a receiving host could take."""

    host: str
    """The host."""
    type: Sentence
    """The type, by name."""
    before: Count
    """How many it could take now."""
    after: Count
    """How many it could take once the plan is carried out."""


class GuestDevice(DeviceLabel):
    """A device and its guest."""

    vm: str | None
    """The guest that holds it; null where no process does."""


class FirstReasons(t.TypedDict):
    """The first of several reasons."""

    reasons: t.Annotated[list[Sentence], where(maxItems=3)]
    """The first three, as sentences."""
    not_shown: Count
    """How many more there are."""


class HostReasons(FirstReasons):
    """What stands in the way on a host."""

    host: str | None
    """The host; null for what is true of all hosts."""
    alike: Count
    """Of how many further hosts the same is true."""


class LeftBehind(t.TypedDict):
    """Devices that are left behind for the same reasons."""

    devices: list[GuestDevice]
    """The devices."""
    cause: Sentence
    """Why, in one sentence."""
    reasons: t.Annotated[list[HostReasons], where(maxItems=20)]
    """What stands in the way on each of the first 20 hosts."""
    reasons_not_shown: Count
    """On how many further hosts something does."""


class ChangedGuest(GuestDevice):
    """A guest that was planned anew, though an earlier plan was given, by its first device."""

    reason: Sentence
    """Why the earlier plan does not hold for it."""


class StayingGroup(t.TypedDict):
    """Devices of an emptied host that stay as they are for one reason."""

    host: str
    """The host."""
    reason: Sentence
    """Why they stay."""
    devices: Positive
    """How many there are."""


class PlanSection(t.TypedDict):
    """What the report says of a plan."""

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
    """What the status means, in words."""
    solver: Solver
    """As in the plan."""
    direction: Direction
    """As in the plan."""
    policy: Policy
    """As in the plan."""
    conditions: PlanConditions
    """As in the plan."""
    guests: list[GuestMove]
    """The guests and single devices that were to be moved: first those that stay."""
    writes: list[HostWrites]
    """What is written on each target host."""
    capacity: list[CapacityLeft]
    """What places the receiving hosts have left."""
    devices: Count
    """How many devices were to be moved."""
    placed: Count
    """How many of them have a place."""
    created: Count
    """How many of the places are to be created."""
    unplaced: Count
    """How many devices are left behind."""
    sources: list[str]
    """The hosts that they are on."""
    targets: list[ReceivingHost]
    """The hosts that receive."""
    waves: list[Wave]
    """The waves, in their order."""
    warnings: list[WarningCount]
    """What the plan had to assume."""
    moves: t.Annotated[list[Move], where(maxItems=20000)]
    """The first 20,000 moves."""
    moves_not_shown: Count
    """How many further moves there are."""
    left_behind: list[LeftBehind]
    """The first 500 devices that are left behind, those with the same reasons together."""
    left_behind_not_shown: Count
    """How many further devices are left behind."""
    causes: t.Annotated[list[Cause], where(maxItems=5)]
    """Why devices are left behind, what is true of most of them first."""
    shortage: ShortageNumbers | None
    """The proof that not everything can have a place, where the plan has one of this kind."""
    assumptions: NotRequired[list[Sentence]]
    """As in the plan."""
    staying: NotRequired[list[StayingGroup]]
    """The devices of emptied hosts that stay as they are, as nobody holds them; absent where there are none."""
    changes: list[ChangedGuest]
    """The guests of an earlier plan that were planned anew."""
    changed_since: list[str]
    """The hosts whose facts are no longer those that the plan relied on."""


class FactsAge(t.TypedDict):
    """When the facts were gathered, by the clocks of their hosts."""

    oldest: Time | None
    """When the oldest were; null where no facts have a time."""
    newest: Time | None
    """When the newest were; null where no facts have a time."""


class HostGroup(t.TypedDict):
    """Hosts that are alike; in a small fleet each host is a group of its own."""

    name: str
    """The first of the hosts."""
    hosts: Positive
    """How many hosts there are."""
    mixed: bool
    """Whether they are not alike, but the rest of a fleet with too many groups."""
    devices: Count
    """How many devices they have."""
    hardware: list[Sentence]
    """What these are of, the first ten."""
    versions: list[str]
    """Their ``software_version``, the first ten."""


class TargetClass(_OfClass, PairMatch):
    """A class that devices of another could migrate to."""

    devices: Count
    """How many devices it has."""
    free: Count
    """How many of these no process holds."""


class CreatableClass(t.TypedDict):
    """Devices that could be created for those of a class."""

    type: str
    """Their type, or the class of vDPA devices."""
    attributes: list[Attribute]
    """What they are to be given."""
    set: Index | None
    """The place of the set that matched, in the deciding list."""
    bindings: Bindings
    """The values of the set's variables."""
    warnings: list[Sentence]
    """What had to be assumed, in sentences."""
    hosts: Count
    """How many hosts could create them."""
    room: Count
    """How many could be created."""


class ReachableGroup(t.TypedDict):
    """A group of hosts that has something for a class."""

    host_group: Index
    """Its place in ``host_groups``."""
    hosts: Positive
    """How many of its hosts have something."""
    free: Count
    """How many devices that no process holds."""
    new: list[str]
    """The types of which new devices can be created."""


class GroupObstacles(FirstReasons):
    """A group of hosts that has nothing for a class, and why."""

    host_group: Index
    """Its place in ``host_groups``."""


class MissedClass(_OfClass):
    """A class that comes near to being compatible."""

    devices: Count
    """How many devices it has."""
    certainty: Certainty
    """``assumed`` where it may do after all, as nothing is known of what it differs in."""
    reasons: list[Sentence]
    """What would have to change, in sentences."""


class Barrier(BarrierCounts):
    """An attribute that alone keeps devices away."""

    attribute: str
    """Its name."""


class ReportedClass(DescriptorFacts):
    """A class: devices that no rule distinguishes."""

    name: Digest
    """The name that ``compatible_pairs`` gives it."""
    hosts: Positive
    """On how many hosts there are any."""
    devices: Positive
    """How many there are."""
    free: Count
    """How many of these no process holds."""
    staying: Count
    """How many could go nowhere."""
    why: Sentence | None
    """Why these could not; null where all could."""
    targets: t.Annotated[list[TargetClass], where(maxItems=5)]
    """The first five classes that they could migrate to."""
    targets_not_shown: Count
    """How many further classes they could."""
    creatable: list[CreatableClass]
    """The devices that could be created for them."""
    reach: list[ReachableGroup]
    """The groups of hosts that have something for them."""
    obstacles: list[GroupObstacles]
    """What stands in the way in the others; empty where there would be more than 2,000 of these."""
    misses: t.Annotated[list[MissedClass], where(maxItems=3)]
    """The three classes that come nearest to being compatible."""
    barriers: list[Barrier]
    """The attributes that alone keep devices away."""


class ReportedHost(t.TypedDict):
    """A host."""

    name: str
    """Its name."""
    host_group: Index
    """The place of its group in ``host_groups``."""
    devices: Count
    """How many devices it has."""
    in_use: Count
    """How many of these a process holds, or may hold."""
    excluded: Count
    """How many can neither migrate nor receive a migration."""
    reachable: Count
    """How many could go to another host now, each by itself."""
    classes: list[t.Annotated[list[Count], where(minItems=3, maxItems=3)]]
    """For each of its classes: the place in ``classes``, how many devices, and how many of these are free."""


class ReportedDevice(_OfClassOrNone, DeviceLabel):
    """A device."""

    type: str | None
    """Its type, or a vDPA device's class."""
    parent: str | None
    """The device that it is under; null for a PCI device that is no virtual function."""
    vm: str | None
    """The guest that holds it; null where no process does, or it is not known which."""
    in_use: bool
    """Whether a process holds it, or may hold it."""
    obstacle: Sentence | None
    """Why it can neither migrate nor receive a migration; null where it can."""


class VersionCount(t.TypedDict):
    """A version, and where it is."""

    version: str
    """The ``software_version``."""
    hosts: Positive
    """On how many hosts."""
    devices: Positive
    """How many devices state it."""
    names: list[str]
    """The first ten of these hosts."""


class Model(t.TypedDict):
    """What devices are of, and in which versions."""

    device_api: str
    """The API of the devices."""
    model: str
    """Their PCI id, else their type."""
    name: Sentence | None
    """Vendor and model, or the type, by name; null where no name is known."""
    drivers: list[str]
    """The drivers of parents with this PCI id."""
    mixed: bool
    """Whether there are several major or minor versions."""
    versions: list[VersionCount]
    """The versions, in their order."""


class Report(t.TypedDict):
    """What can go where in a fleet, and what a plan comes to, as ``migration_report`` writes it."""

    schema: t.Annotated[int, where(const=1)]
    """The version of this shape."""
    title: str
    """The title."""
    made: str
    """When the report was made, for people."""
    direction: Direction
    """Whose list decides."""
    verdict: Conclusion
    """The conclusion: of the plan if there is one, else of the fleet."""
    advice: list[Sentence]
    """What to do, where there is nothing to report on."""
    totals: Totals
    """How many there are of what."""
    facts: FactsAge
    """How old the facts are."""
    plan: PlanSection | None
    """What the plan comes to; null without one."""
    host_groups: list[HostGroup]
    """The hosts that are alike."""
    matrix: list[list[Count]]
    """For each group of hosts (row) and each group (column), how many devices could go from one to the other."""
    classes: list[ReportedClass]
    """The classes of devices."""
    uncompared: list[str]
    """The attributes in which devices of one class differ, as no pattern names them."""
    excluded: list[CountedFinding]
    """Why devices can neither migrate nor receive a migration."""
    hosts: list[ReportedHost]
    """The hosts."""
    devices: t.Annotated[list[ReportedDevice], where(maxItems=2000)]
    """The devices; empty where there are more than 2,000."""
    devices_not_shown: Count
    """How many devices there are where they are more."""
    versions: list[Model]
    """What devices are of, and in which versions."""
    headroom: NotRequired[Headroom]
    """Whether each host can be emptied or fail; absent where that was not asked for."""
    last_run: NotRequired[LastRun]
    """The last run that moved guests; absent where no record of one was given."""
    unknown: list[CountedFinding]
    """Why hosts have no usable facts."""
    problems: list[CountedFinding]
    """The problems of all hosts."""
