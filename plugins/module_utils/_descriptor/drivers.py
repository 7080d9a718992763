# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What is known of today's drivers, none of which speaks the proposal: one entry of ``_DRIVERS`` for each.

A derived descriptor holds what the kernel shows of every device, and the configurable attributes. A driver has an entry
if that does not distinguish its devices, or holds too much; if it is known whether its devices can migrate; or if more is
documented than sysfs shows. What a driver's devices show, compare and need stands in its entry. How the parents of NVIDIA
and of GVT-g share a card among types stands in the planner, where cards are counted. Pure: the caller reads the files.
"""

from __future__ import annotations

import functools
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DescriptorError,
    literal,
    shown,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.kernel_files import (
    Files,
    Read,
    is_before,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.order import (
    NONE,
    RISING,
    as_order,
)

# A value in the one spelling in which two of them can be compared.
Spelling = t.Callable[[str], str]

UNKNOWN = "unknown"
NOT_SHOWN = "not shown"

# The software_version of a derived ``self`` whose driver's module states none.
UNSTATED_VERSION = "0.0"
_VERSION = "software_version"
# What that is compared for, where only one of two devices has one.
_VERSIONS = (
    "versions of one driver must have the same major, and the target's minor must not be smaller"
)

_KERNEL_COMPARES = frozenset(("device_api", "driver"))

# The most bytes that a table of choices may have.
MAX_CHOICES = 65536

_CHANNEL_PATHS = re.compile(r"[0-9a-f]{2}(?: [0-9a-f]{2}){7}\Z")
_PATH_MASKS = re.compile(r"[0-9a-f]{2}(?: [0-9a-f]{2}){2}\Z")
_PCI_REVISION = re.compile(r"0x[0-9a-f]{2}\Z")
# The first of HiSilicon's whose functions migrate.
_QM_HW_V3 = 0x30
# Decimal, or hexadecimal with 0x.
_INTEGER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+)\Z")


@dataclass(frozen=True)
class Numbers:
    """A set of numbers that a device keeps: the attribute that takes one ``away`` again, and how to read the set.

    ``read`` gives ``None`` where the driver does not show the set.
    """

    away: str
    read: t.Callable[[Read], set[int] | None]


@dataclass(frozen=True)
class Driver:
    """What is known of one driver. The defaults hold of a driver of which nothing is known.

    Paths are those of files, from the device's directory. Attributes are named as in the facts, ``group/name``, except for
    the last part alone in ``instance`` and ``spellings``.
    """

    # Whether its devices can migrate, if all can or none, and the Linux release that brought it.
    migrates: bool | None = None
    since: tuple[int, int] | None = None
    # What a device needs besides before it can migrate, which only debugfs or, where it is ``switched``, devlink shows.
    needs: str | None = None
    # Whether devlink shows if a virtual function was made migratable.
    switched: bool = False
    # Gives further pairs for ``self``. ``files`` are those it reads that lie neither in the device's own attribute groups
    # nor among the PCI ids, and ``links`` those it follows, so that a copy of the host's sysfs has them; a path may hold
    # ``*``.
    attributes: t.Callable[[Files], t.Iterable[tuple[str, str]]] | None = None
    files: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    # The attributes of ``self``, numbers, that may be another one on the target, and in which direction; see ``order``.
    orders: t.Mapping[str, str] = field(default_factory=dict)
    # Those of which the target of a device with this derived ``self`` must have none, whether or not its host shows them.
    demanded: t.Callable[[t.Mapping[str, str]], t.Iterable[str]] | None = None
    # By attribute, the value with which a device asks for the same of its target; with another one it asks for nothing.
    asks_with: t.Mapping[str, str] = field(default_factory=dict)
    # What the device itself shows of whether it can migrate, and the evidence; ``None`` where it shows nothing.
    shows: t.Callable[[Files], tuple[bool | None, str] | None] | None = None
    # Gives pairs for the ``self`` of a parent: those that each of its mediated devices has of it, and those from which
    # ``foreseen`` works out what else a new one would show that is as one with a derived ``self``.
    of_parent: t.Callable[[Files], t.Iterable[tuple[str, str]]] | None = None
    foreseen: t.Callable[[t.Mapping[str, str], t.Mapping[str, str]], dict[str, str]] | None = None
    # Gives what to write to a new device in order that it is as one with a derived ``self``, from that, from what its
    # parent shows and from what would be written otherwise; ``settled`` is what of ``self`` is all decided by it. For a
    # driver some of whose attributes can only be written.
    written: (
        t.Callable[
            [t.Mapping[str, str], t.Mapping[str, str], t.Sequence[tuple[str, str]]],
            list[tuple[str, str]],
        ]
        | None
    ) = None
    settled: frozenset[str] = frozenset()
    # The configurable attributes that belong to one device and not to what it is.
    instance: frozenset[str] = frozenset()
    # Name and value of the attribute of a device that has no state to migrate. It must have this value before it takes
    # another one, and the file ``choices`` lists those that it takes then.
    idle: tuple[str, str] | None = None
    choices: str | None = None
    # What is written to an attribute to empty it, where that is not an empty line.
    emptied_by: t.Mapping[str, str] = field(default_factory=dict)
    # How to write values that can be written in several ways.
    spellings: t.Mapping[str, Spelling] = field(default_factory=dict)
    # The attributes that each add one number to a set, and those of them that may change while a guest runs.
    numbers: t.Mapping[str, Numbers] = field(default_factory=dict)
    live: frozenset[str] = frozenset()
    # What is documented and sysfs does not show, in words, with the document.
    cautions: tuple[str, ...] = ()
    # How many functions of one physical function the driver migrates at a time, where that is documented.
    at_once: int | None = None
    # Whether the target of a device with this derived ``self`` has to have its UUID, and whether one with this is still to
    # be configured, which the target may be.
    same_uuid: t.Callable[[t.Mapping[str, str]], bool] | None = None
    unconfigured: t.Callable[[t.Mapping[str, str]], bool] | None = None
    # Attributes of ``self`` that not every host shows, and what decides by them, with the document. Where one of two
    # devices does not show one, nothing is known of it there: that is said, and is no reason against them.
    learnt: t.Mapping[str, str] = field(default_factory=dict)
    # Those of them that the driver compares of all devices: where neither of two shows one, that is not known either.
    always_compared: frozenset[str] = frozenset()
    # Attributes of ``self`` that every host shows and that the driver is documented to compare. One that differs and is
    # neither here nor ``learnt`` keeps devices apart only as nothing is known of it.
    compared: frozenset[str] = frozenset()
    # What is ``learnt``, by the name of an attribute, as a caution: it is said where no side shows that.
    unless_shown: t.Mapping[str, str] = field(default_factory=dict)
    # Attributes of ``self`` that should be equal, although a target that differs may serve the source, and why.
    better_equal: t.Mapping[str, str] = field(default_factory=dict)
    # Reads in a type's description what a device of it takes of its parent, numbers by name.
    resources: t.Callable[[str], dict[str, int]] | None = None
    # The PCI ids of the functions whose state it knows, as a regular expression, and whether physical functions, or other
    # devices, have the same ids. A distribution need not build the driver.
    functions: str | None = None
    only_virtual: bool = False
    # Whether the types of a parent take from common resources in proportion, so that a plan may mix them. Of another
    # driver's parent a plan makes one type only, which is safe however its types share the parent.
    proportional: bool = False

    def is_same(self, name: str, one: str, other: str) -> bool:
        """Return whether two values of an attribute are the same: as text, in the driver's spelling, or as integers."""
        if one == other:
            return True
        spelling = self.spellings.get(name.rpartition("/")[2])
        if spelling is not None:
            return spelling(one) == spelling(other)
        if not (_INTEGER.match(one) and _INTEGER.match(other)):
            return False
        return _integer(one) == _integer(other)


def _integer(text: str) -> int:
    return int(text, 16 if "x" in text.lower() else 10)


def driver_profile(kind: str, driver: str | None) -> Driver:
    """Return what is known of a driver: of mediated devices (``kind`` mdev) the parent's, of PCI devices their own."""
    # Modules and drivers of one name are spelt with either.
    found = _DRIVERS.get((kind, (driver or "").replace("-", "_")), _NOTHING_KNOWN)
    return found if isinstance(found, Driver) else found()


def entries_of(driver: str) -> list[Driver]:
    """Return what is known of the driver of this name, spelt as in ``_DRIVERS``, one entry for each kind of its devices."""
    return [
        found if isinstance(found, Driver) else found()
        for (_kind, name), found in _DRIVERS.items()
        if name == driver
    ]


def derived_set(own: t.Mapping[str, str]) -> dict[str, str]:
    """Return the one set of a derived ``compatible``: what is equal to ``own``, except for what its driver demands otherwise."""
    pattern = literal(own)
    for profile in _profiles(own):
        for name, rule in profile.orders.items():
            if name in own:
                pattern[name] = as_order(rule, own[name]) or pattern[name]
        for name, asking in profile.asks_with.items():
            if own.get(name) != asking:
                pattern.pop(name, None)
    return {**pattern, **{name: _nothing_of(own, name) for name in _demanded(own)}}


def _demanded(own: t.Mapping[str, str]) -> list[str]:
    """Return of what the target of a device with the derived ``self`` ``own`` must have none."""
    hooks = [profile.demanded for profile in _profiles(own)]
    return [name for hook in hooks if hook for name in hook(own)]


def _nothing_of(own: t.Mapping[str, str], name: str) -> str:
    return as_order(NONE, own.get(name, "")) or ""


def may_be_unknown(own: t.Mapping[str, str]) -> frozenset[str]:
    """Return which attributes of a derived set are no reason against a device that does not show them."""
    learnt = {_VERSION, *(name for profile in _profiles(own) for name in profile.learnt)}
    return frozenset(name for name in own if name in learnt)


def is_documented(own: t.Mapping[str, str], name: str) -> bool:
    """Return whether devices that differ in an attribute of the derived ``self`` ``own`` are known not to go together.

    That holds for the interface and the driver, as none reads another one's state, and of what a driver is documented to
    compare. All else is equal only to be safe: another type, for one, may be the same share of a card.
    """
    return name in _KERNEL_COMPARES or any(
        name in profile.learnt or name in profile.compared for profile in _profiles(own)
    )


def is_unknown(name: str, value: str | None) -> bool:
    """Return whether a derived ``self`` with this value of an attribute in ``may_be_unknown`` states nothing by it."""
    return value is None or (name == _VERSION and value == UNSTATED_VERSION)


def spelled(own: t.Mapping[str, str], name: str, value: str) -> str:
    """Return a value in the spelling in which the driver that ``own`` names has its values compared."""
    for profile in _profiles(own):
        if name in profile.spellings:
            return profile.spellings[name](value)
    return value


def unknown(source: t.Mapping[str, str], target: t.Mapping[str, str]) -> list[str]:
    """Return, in sentences, what a driver compares of two devices and one of them, or neither, shows."""
    sentences = []
    sides = [
        {name: value for name, value in side.items() if not is_unknown(name, value)}
        for side in (source, target)
    ]
    source, target = sides
    demanded = _demanded(source)
    for profile in _profiles(source):
        for name, words in {_VERSION: _VERSIONS, **profile.learnt}.items():
            if name in demanded:
                sentences += (
                    [] if name in target else [f"{name} is {NOT_SHOWN} on the target: {words}"]
                )
            elif (name in source) != (name in target):
                sentences.append(
                    f"{name} is {source.get(name, NOT_SHOWN)} on the source and"
                    f" {target.get(name, NOT_SHOWN)} on the target: {words}"
                )
            elif name not in source and name in profile.always_compared:
                sentences.append(words)
    return list(dict.fromkeys(sentences))


def _profiles(own: t.Mapping[str, str]) -> tuple[Driver, Driver]:
    """Return what is known of the driver that a derived ``self`` or set names.

    The kind is no attribute; where a driver has devices of both, the same is documented for them.
    """
    driver = own.get("driver")
    return driver_profile("mdev", driver), driver_profile("pci", driver)


def attributes_to_write(
    own: t.Mapping[str, str],
    given: t.Mapping[str, str],
    attributes: t.Sequence[tuple[str, str]],
) -> list[tuple[str, str]]:
    """Return what to write to a new mediated device so that it is as one with the derived ``self`` ``own``.

    ``given`` is what its parent shows, and ``attributes`` are those that the other device has.
    """
    written = driver_profile("mdev", own.get("driver")).written
    return written(own, given, attributes) if written else [*attributes]


def foreseen(own: t.Mapping[str, str], given: t.Mapping[str, str]) -> dict[str, str]:
    """Return what a new mediated device that is as one with the derived ``self`` ``own`` has of its parent, which shows ``given``."""
    found = {name: text for name, text in given.items() if name in own}
    hook = driver_profile("mdev", own.get("driver")).foreseen
    return {**found, **hook(own, given)} if hook else found


def line_for(name: str, value: str) -> str:
    """Return the line that is written to the attribute ``name``, with its group or without, so that it has ``value``.

    It is the line that ``echo`` would write: NVIDIA's driver takes the last byte for the newline and keeps the rest (oVirt,
    vdsm, issue 92), and the kernel does not see a write of nothing. The name identifies the driver, as its groups are its own:
    definitions, by which devices come back, need not know to which one a device will be bound.
    """
    return (value or _EMPTIED_BY.get(name, "")) + "\n"


def wants_its_uuid(own: t.Mapping[str, str]) -> bool:
    """Return whether a mediated device with the derived ``self`` ``own`` migrates only to one of its own UUID."""
    hook = driver_profile("mdev", own.get("driver")).same_uuid
    return hook is not None and hook(own)


def configured_as(
    own: t.Mapping[str, str], other: t.Mapping[str, str], given: t.Mapping[str, str]
) -> dict[str, str] | None:
    """Return what a device with the derived ``self`` ``own`` shows once it is configured as ``other``, under a parent that shows ``given``.

    ``None`` where it is configured already, or is of no driver that takes a device that is not.
    """
    profile = driver_profile("mdev", own.get("driver"))
    if profile.unconfigured is None or not profile.unconfigured(own):
        return None
    settled = {name: other[name] for name in profile.settled if name in other}
    return {**own, **settled, **foreseen(other, given)}


def settled_by_writing(own: t.Mapping[str, str]) -> frozenset[str]:
    """Return what of a derived ``self`` a new device has by what is written to it, though it is not written under that name."""
    return driver_profile("mdev", own.get("driver")).settled


def cautions(
    source: t.Mapping[str, str],
    target: t.Mapping[str, str],
    settled: t.Container[str] = (),
) -> list[str]:
    """Return, in sentences, what to see to before a device with derived ``self`` ``source`` migrates to ``target``.

    The target must be compatible. Of one that is still to be created, what is not certain is left out. ``settled`` are
    the cautions that something else has answered.
    """
    sentences: list[str] = []
    for profile in _profiles(source):
        sentences += [each for each in profile.cautions if each not in settled]
        sentences += [
            words
            for name, words in profile.unless_shown.items()
            if name not in source and name not in target
        ]
        for name, words in profile.better_equal.items():
            one, other = source.get(name), target.get(name)
            shown_by_both = not (is_unknown(name, one) or is_unknown(name, other))
            if shown_by_both and one != other and words not in settled:
                sentences.append(
                    f"{name} is {one} on the source and {other} on the target: {words}"
                )
    return list(dict.fromkeys(sentences))


def migration_support(
    kind: str,
    driver: str | None,
    attributes: t.Iterable[t.Mapping[str, t.Any]],
    release: t.Callable[[], str | None],
    pci_id: str | None = None,
    virtual: bool = False,
) -> tuple[bool | None, str]:
    """Return whether a device with these configurable ``attributes`` can migrate, ``None`` if unknown, and the evidence.

    ``release`` gives the kernel's release, ``None`` if unknown. It is called only where it matters. ``pci_id`` is that of
    a PCI device, by which the driver is found that it would need, and ``virtual`` whether that is a virtual function.
    """
    profile = driver_profile(kind, driver)
    idle = why_idle(kind, driver, attributes)
    if idle is not None:
        return False, idle
    if profile.migrates is None:
        return None, UNKNOWN
    hint = migration_hint(kind, driver, pci_id, virtual)
    if profile.needs is not None:
        return None, f"{hint}, which is not shown here"
    if profile.since is None:
        verb = "is known to support it" if profile.migrates else "never supports it"
        also = f"; {hint}" if hint else ""
        return profile.migrates, f"driver {driver} {verb}{also}"
    too_old = is_before(release(), profile.since)
    if too_old is None:
        return None, UNKNOWN
    return not too_old, "driver {} supports it from Linux {}.{} on".format(driver, *profile.since)


def unshown_need(own: t.Mapping[str, str]) -> str | None:
    """Return what a device with the derived ``self`` ``own`` needs to migrate, where only the kernel could show it.

    What devlink switches, a caution of the driver has already.
    """
    for kind, profile in zip(("mdev", "pci"), _profiles(own)):
        if profile.needs is not None and not profile.switched:
            return migration_hint(kind, own["driver"])
    return None


def migration_hint(
    kind: str, driver: str | None, pci_id: str | None = None, virtual: bool = False
) -> str | None:
    """Return what a device that does not migrate lacks to do so, as far as it is known: what its driver needs, or another driver.

    ``pci_id`` and ``virtual`` are those of ``migration_support``.
    """
    profile = driver_profile(kind, driver)
    if profile.needs is not None:
        return f"driver {driver} supports it where {profile.needs}"
    better = _variant_driver(pci_id or "", virtual) if profile.migrates is False else None
    return f"bind it to {better}, where this kernel has it" if better else None


def why_idle(
    kind: str, driver: str | None, attributes: t.Iterable[t.Mapping[str, t.Any]]
) -> str | None:
    """Return why a device has no state to migrate yet, whatever its driver could; ``None`` where it may have one."""
    idle = driver_profile(kind, driver).idle
    if idle and idle in ((each["name"], each["value"]) for each in attributes):
        return "{} is {}, so it has no state to migrate yet".format(*idle)
    return None


def _variant_driver(pci_id: str, virtual: bool) -> str | None:
    """Return the driver that knows the state of functions with this id; ``None`` where Linux has none."""
    for (_kind, driver), found in _DRIVERS.items():
        if isinstance(found, Driver) and found.functions and re.fullmatch(found.functions, pci_id):
            return None if found.only_virtual and not virtual else driver
    return None


def choices(text: str) -> list[str]:
    """Return the values that an attribute takes, from a table of ``<value> : <name>`` lines below a header ``ID : …``."""
    return [value for value, _name in _table(text)]


def choice_names(text: str) -> list[str]:
    """Return the names of these values, in the same order."""
    return [name for _value, name in _table(text)]


def _table(text: str) -> list[tuple[str, str]]:
    """Return value and name of each line."""
    lines = (line.partition(":") for line in text.splitlines())
    pairs = [(value.strip(), name.strip()) for value, _colon, name in lines]
    return [pair for pair in pairs if pair[0] and not pair[0].startswith("ID")]


def _subchannel(read: Read) -> t.Iterator[tuple[str, str]]:
    """Yield the number of the device behind the subchannel, as of a disk, and the types of its channel paths and itself.

    The types may not be mixed (Cornelia Huck, 2020-08-13). Files: Documentation/ABI/testing/sysfs-bus-css,
    drivers/s390/cio/chp.c, drivers/s390/cio/css.c (``dev_busid``).
    """
    device = read("../dev_busid")
    # The kernel prints none where no device is behind the subchannel: that is shown, and is no other subchannel's disk.
    if device is not None:
        yield "dev_busid", device
    subchannel_type = read("../type")
    if subchannel_type is not None:
        yield "subchannel_type", subchannel_type
    paths = read("../chpids")
    masks = read("../pimpampom")
    if paths is None or masks is None:
        return
    if not _CHANNEL_PATHS.match(paths) or not _PATH_MASKS.match(masks):
        raise DescriptorError(
            f"chpids is {shown(paths)} and pimpampom {shown(masks)}; expected 8 and 3 times 2 hex digits"
        )
    # Only the paths in the first mask are installed, the leftmost bit is the first path's.
    installed = int(masks[:2], 16)
    used = [path for bit, path in enumerate(paths.split()) if installed & 0x80 >> bit]
    types = {read(f"../../chp0.{path}/type") for path in used}
    if types and None not in types:
        yield "chpid_type", ",".join(sorted(f"0x{each}" for each in types))


def _never_in_qemu(kind: str) -> t.Callable[[Files], tuple[bool | None, str]]:
    """Return what says of every device of vfio-``kind`` that QEMU does not migrate it."""

    def shows(files: Files) -> tuple[bool | None, str]:
        return False, f"QEMU migrates no vfio-{kind} device (QEMU, hw/vfio/{kind}.c)"

    return shows


def _sorted_parameters(text: str) -> str:
    """Sort the parameters of ``nvidia/vgpu_params``, which stand in any order."""
    return ",".join(sorted(parameter.strip() for parameter in text.split(",")))


def _nvidia_mdev(read: Read) -> t.Iterator[tuple[str, str]]:
    """Yield the type's name, as each release of the driver numbers types differently, and the board, whose variants do not mix.

    Source: docs.nvidia.com/ai-enterprise, release 8, "Live Migration", on variants of GPU boards.
    """
    name = read("mdev_type/name")
    if name is not None:
        yield "type_name", name
    yield from _board(read)


def _board(read: Read) -> t.Iterator[tuple[str, str]]:
    """Yield the PCI subsystem of the physical function, by which variants of a board differ."""
    vendor = read("../subsystem_vendor")
    device = read("../subsystem_device")
    if vendor is not None and device is not None:
        yield "subsystem_id", (vendor + device).replace("0x", "")


def _gvt_resources(description: str) -> dict[str, int]:
    """Return what a GVT-g type takes: graphics memory in MiB and fences; nothing where that is not all there.

    The form: Linux, drivers/gpu/drm/i915/gvt/kvmgt.c, ``description_show``.
    """
    found = {name: int(number) for name, number in _GVT_RESOURCE.findall(description)}
    return found if len(found) == len(_GVT_RESOURCES) else {}


def _services(read: Read) -> t.Iterator[tuple[str, str]]:
    """Yield the services of a virtual function's rings, which its physical function has and which have to be equal.

    Their order means nothing, so it is made one. Files: Documentation/ABI/testing/sysfs-driver-qat. The rule:
    drivers/crypto/intel/qat/qat_common/adf_gen4_vf_mig.c.
    """
    services = read("physfn/qat/cfg_services")
    if services is not None:
        yield "cfg_services", ";".join(sorted(each.strip() for each in services.split(";")))


def _hisi_shows(files: Files) -> tuple[bool | None, str] | None:
    """Return that the card is too old, by its PCI revision.

    Only from 0x30 on has a virtual function what migration needs; an older one gets the generic interface (Linux,
    drivers/vfio/pci/hisilicon/hisi_acc_vfio_pci.c, include/linux/hisi_acc_qm.h).
    """
    revision = files("physfn/revision") or files("revision")
    if revision is None or not _PCI_REVISION.match(revision) or int(revision, 16) >= _QM_HW_V3:
        return None
    return False, f"the card's PCI revision is {revision}, and migration needs 0x30 or later"


def _xe_function(files: Files) -> t.Iterator[tuple[str, str]]:
    """Yield the PCI revision, which has to be equal, and the video memory in bytes, of which the target needs as much.

    Files: Documentation/ABI/testing/sysfs-driver-intel-xe-sriov, sysfs-bus-pci. The rules: Linux,
    drivers/gpu/drm/xe/xe_sriov_packet.c ("revid mismatch"), xe_sriov_pf_migration.c.
    """
    revision = files("revision")
    if revision is not None:
        yield "revision", revision
    for name in files.names("physfn/sriov_admin"):
        if files.target(f"physfn/sriov_admin/{name}/device") == files.id:
            quota = files(f"physfn/sriov_admin/{name}/profile/vram_quota")
            if quota is not None:
                yield "vram_quota", quota


def _mlx5_function(files: Files) -> t.Iterator[tuple[str, str]]:
    """Yield the firmware's version and the board's id (PSID) of the physical function, both of which have to be equal.

    Its RDMA device shows them, or else devlink. Files: Documentation/ABI/stable/sysfs-class-infiniband. Names:
    Documentation/networking/devlink/mlx5.rst. The rule: NVIDIA, DOCA SDK, "SR-IOV Live Migration".
    """
    shown = {
        attribute: files(f"physfn/infiniband/{name}/{attribute}")
        for name in files.names("physfn/infiniband")[:1]
        for attribute in ("fw_ver", "board_id")
    }
    if None in shown.values() or not shown:
        versions = files.versions("physfn")
        shown = {
            "fw_ver": versions.get("fw.version"),
            "board_id": versions.get("fw.psid"),
            **{name: value for name, value in shown.items() if value is not None},
        }
    for name, value in shown.items():
        if value is not None:
            yield name, value


_GVT_RESOURCES = ("low_gm_size", "high_gm_size", "fence")
_GVT_RESOURCE = re.compile(rf"\b({'|'.join(_GVT_RESOURCES)}): ([0-9]{{1,9}})(?:MB)?(?=\s|,|\Z)")
_NOTHING_KNOWN = Driver()
# Place on the board and in the partition, and a switch; each device has its own.
_NVIDIA_INSTANCE = frozenset(("gpu_instance_id", "placement_id", "warm_update"))
ECC = (
    "ECC must be equal on both GPUs, which sysfs does not show: compare 'nvidia-smi -q -d ECC'"
    " (KubeVirt, VEP 109, vGPU live migration)"
)
HOST_DRIVER = (
    "with different host drivers migration fails (Red Hat, RHEL 10, Live migrating a virtual machine with an attached"
    " NVIDIA vGPU), or works from RHEL KVM 9.6 on (NVIDIA, vGPU release notes for RHEL KVM)"
)
_QUEUES = (
    "number of queue pairs, isolation state and major version of the migration driver must be equal, which sysfs does"
    " not show (Linux, drivers/vfio/pci/hisilicon/hisi_acc_vfio_pci.c)"
)
_MIGRATABLE = (
    "both functions must be made migratable before they are bound to the driver, which sysfs does not show:"
    " see 'devlink port show' (Linux, Documentation/networking/devlink/devlink-port.rst)"
)
_FIRMWARE = (
    "the firmware and the board (PSID) must be equal, which an RDMA device of the physical function shows, or devlink:"
    " compare 'devlink dev info' (Linux, Documentation/networking/devlink/mlx5.rst)"
)
_FOUR_AT_A_TIME = (
    "at most 4 virtual functions of one physical function migrate at a time, and VF_MIGRATION_MODE must be enabled in the"
    " firmware (NVIDIA, DOCA SDK, SR-IOV Live Migration)"
)
_CCW_UNMIGRATABLE = "no device of vfio-ccw migrates with QEMU today (QEMU, hw/vfio/ccw.c)"
_AP_UNMIGRATABLE = (
    "no device of vfio-ap migrates with QEMU today (QEMU, hw/vfio/ap.c); the master keys of both cards must be equal,"
    " which sysfs does not show (Linux, Documentation/arch/s390/vfio-ap.rst)"
)
_RATE_LIMITS = (
    "rate limits of the source must not be greater than those of the target, and the target must have all capabilities of"
    " the source: what is in qat_rl shows a limit only after a write there, so it is not read (Linux,"
    " Documentation/ABI/testing/sysfs-driver-qat_rl; adf_mstate_sla_check in"
    " drivers/crypto/intel/qat/qat_common/adf_gen4_vf_mig.c)"
)
_SERVICES = (
    "the services of both physical functions must be equal, which sysfs shows in qat/cfg_services (Linux,"
    " Documentation/ABI/testing/sysfs-driver-qat)"
)
_REVISION = "the PCI revisions must be equal (Linux, drivers/gpu/drm/xe/xe_sriov_packet.c, 'revid mismatch')"
_VIDEO_MEMORY = (
    "the target needs as much video memory as the source has, which sysfs shows from Linux 7.0 on (Linux,"
    " Documentation/ABI/testing/sysfs-driver-intel-xe-sriov)"
)
_SAME_DISK = (
    "the device behind the subchannel, as a disk, must be the same (Linux, drivers/s390/cio/css.c)"
)
_CHANNELS = "subchannels and channel paths of different types do not mix (Linux, Documentation/ABI/testing/sysfs-bus-css)"
_AP_MATRIX = "adapters, domains and control domains must be equal (Linux, Documentation/arch/s390/vfio-ap.rst)"
_AP_DRIVER = "the target's driver must support migration, too (features; Linux, patches 'vfio-ap: live guest migration', version 4)"
_AP_CARD = "the target's cards must support what the source's cards support (Linux, patches 'vfio-ap: live guest migration', version 4)"
_AP_UNFIT = (
    "the target's host needs the guest's adapters, and none of them bound to a secure guest (Linux, patches 'vfio-ap:"
    " live guest migration', version 4)"
)
_AP_CONTROL = (
    "the target's host needs the guest's control domains (Linux, ap_control_domain_mask; patches 'vfio-ap: live guest"
    " migration', version 4)"
)
_TYPE_NAME = "an id may mean another type with another release of the driver (NVIDIA, Virtual GPU Software User Guide)"
_BOARD = "variants of a GPU's board do not mix (NVIDIA, docs.nvidia.com/ai-enterprise, release 8, Live Migration)"
_GGTT = (
    "both functions need an equal share of the graphics address table (GGTT), which sysfs does not show (Linux,"
    " drivers/gpu/drm/xe/xe_sriov_pf_migration.c)"
)
_MADE_MIGRATABLE = "its port was made migratable before it was bound"
_DEVICE_PARTS = "the physical function offers the device's parts"
_XE_FIRMWARE = "the physical function has memory-based interrupts and GuC firmware from 70.54.0 on"
# Virtual GPU Software User Guide, "Setting vGPU Plugin Parameters": to clear them, write a space.
_NVIDIA_EMPTIED_BY = {"nvidia/vgpu_params": " "}
_NVIDIA_SPELLINGS = {"vgpu_params": _sorted_parameters}


@functools.lru_cache(maxsize=None)
def _vfio_ap() -> Driver:
    """Return what is known of vfio_ap, which has a file of its own: only hosts with crypto queues have to compile that."""
    from ansible_collections.vfio.migration.plugins.module_utils._descriptor import ap_matrix

    numbers = {
        "assign_adapter": Numbers("unassign_adapter", ap_matrix.read_adapters),
        "assign_domain": Numbers("unassign_domain", ap_matrix.read_domains),
        "assign_control_domain": Numbers("unassign_control_domain", ap_matrix.read_control_domains),
    }
    return Driver(
        attributes=ap_matrix.matrix,
        files=ap_matrix.FILES,
        links=ap_matrix.LINKS,
        orders={"hwtype": RISING, "ap_class": RISING},
        demanded=ap_matrix.demanded,
        asks_with={"migratable": "yes"},
        shows=lambda files: ap_matrix.shows(files) or _never_in_qemu("ap")(files),
        written=ap_matrix.written,
        settled=ap_matrix.SETTLED,
        of_parent=ap_matrix.of_parent,
        foreseen=ap_matrix.foreseen,
        cautions=(_AP_UNMIGRATABLE,),
        same_uuid=ap_matrix.is_migratable,
        unconfigured=ap_matrix.is_unconfigured,
        compared=frozenset(("adapters", "domains")),
        learnt={
            # Linux before 6.10 has the same in adapters, domains and control_domains alone.
            "ap_config": _AP_MATRIX,
            "control_domains": _AP_MATRIX,
            "migratable": _AP_DRIVER,
            "ap_functions": _AP_CARD,
            "ap_class": _AP_CARD,
            "hwtype": _AP_CARD,
            "unfit_adapters": _AP_UNFIT,
            "missing_control_domains": _AP_CONTROL,
        },
        spellings={"ap_config": ap_matrix.full_masks},
        numbers=numbers,
        # "Hot plug/unplug support" in vfio-ap.rst. To take away, or replace, what a guest uses is another matter.
        live=frozenset(numbers),
    )


# Whether they migrate: Linux, drivers/vfio/pci/*/Kconfig and samples/vfio-mdev (mtty: commit 2b88119e35b0). Whose functions'
# state they know: the id tables in drivers/vfio/pci/*/.
_DRIVERS: dict[tuple[str, str], Driver | t.Callable[[], Driver]] = {
    # GVT-g works out the available_instances of every type from what is left of apertures and fences
    # (drivers/gpu/drm/i915/gvt/vgpu.c). Whether it can migrate depends on the kernel's build.
    ("mdev", "i915"): Driver(proportional=True, resources=_gvt_resources),
    ("mdev", "vfio_ccw"): Driver(
        attributes=_subchannel,
        files=("../dev_busid", "../type", "../chpids", "../pimpampom", "../../chp0.*/type"),
        shows=_never_in_qemu("ccw"),
        cautions=(_CCW_UNMIGRATABLE,),
        of_parent=_subchannel,
        learnt={"dev_busid": _SAME_DISK, "subchannel_type": _CHANNELS, "chpid_type": _CHANNELS},
    ),
    ("mdev", "vfio_ap"): _vfio_ap,
    ("mdev", "nvidia"): Driver(
        attributes=_nvidia_mdev,
        of_parent=_board,
        # A vGPU goes to one of its type: NVIDIA, Virtual GPU Software User Guide, "Migrating a VM Configured with vGPU".
        compared=frozenset(("type",)),
        learnt={"type_name": _TYPE_NAME, "subsystem_id": _BOARD},
        instance=_NVIDIA_INSTANCE,
        cautions=(ECC,),
        better_equal={"software_version": HOST_DRIVER},
        emptied_by=_NVIDIA_EMPTIED_BY,
        spellings=_NVIDIA_SPELLINGS,
    ),
    ("mdev", "mtty"): Driver(
        migrates=True,
        since=(6, 7),
        # It refuses the state of one with another number of ports, which is what its types are (samples/vfio-mdev/mtty.c).
        compared=frozenset(("type",)),
    ),
    ("mdev", "mdpy"): Driver(migrates=False),
    ("mdev", "mbochs"): Driver(migrates=False),
    # Virtual functions without mdev, from vGPU release 17 on: the type's number is nvidia/current_vgpu_type, 0 for none.
    # Its name is in nvidia/creatable_vgpu_types only while another one of it could be made, so it is left out.
    ("pci", "nvidia"): Driver(
        instance=_NVIDIA_INSTANCE,
        compared=frozenset(("current_vgpu_type",)),
        idle=("nvidia/current_vgpu_type", "0"),
        choices="nvidia/creatable_vgpu_types",
        cautions=(ECC,),
        better_equal={"software_version": HOST_DRIVER},
        emptied_by=_NVIDIA_EMPTIED_BY,
        spellings=_NVIDIA_SPELLINGS,
    ),
    # The driver for any device knows no device's state.
    ("pci", "vfio_pci"): Driver(migrates=False),
    ("pci", "hisi_acc_vfio_pci"): Driver(
        migrates=True,
        functions="19e5a25[169]",
        files=("physfn/revision", "revision"),
        shows=_hisi_shows,
        cautions=(_QUEUES,),
    ),
    ("pci", "mlx5_vfio_pci"): Driver(
        migrates=True,
        functions="15b3101e",
        needs=_MADE_MIGRATABLE,
        switched=True,
        attributes=_mlx5_function,
        files=("physfn/infiniband/*/fw_ver", "physfn/infiniband/*/board_id"),
        cautions=(_MIGRATABLE, _FOUR_AT_A_TIME),
        at_once=4,
        learnt={"fw_ver": _FIRMWARE, "board_id": _FIRMWARE},
        always_compared=frozenset(("fw_ver", "board_id")),
        unless_shown={"fw_ver": _FIRMWARE},
    ),
    ("pci", "pds_vfio_pci"): Driver(migrates=True, functions="1dd81003"),
    ("pci", "qat_vfio_pci"): Driver(
        migrates=True,
        functions="8086494[1359]",
        attributes=_services,
        files=("physfn/qat/cfg_services",),
        cautions=(_RATE_LIMITS,),
        learnt={"cfg_services": _SERVICES},
        always_compared=frozenset(("cfg_services",)),
    ),
    ("pci", "virtio_vfio_pci"): Driver(
        migrates=True, functions="1af4104[12]", only_virtual=True, needs=_DEVICE_PARTS
    ),
    ("pci", "xe_vfio_pci"): Driver(
        migrates=True,
        # Intel's graphics BMG, PTL and WCL (Linux, drivers/vfio/pci/xe/main.c, include/drm/intel/pciids.h).
        functions="8086(?:e2(?:0[29bcd]|1[0126]|2[0-3])|b0(?:8[0-7f]|[9ab]0)|fd8[01])",
        only_virtual=True,
        needs=_XE_FIRMWARE,
        attributes=_xe_function,
        files=("revision", "physfn/sriov_admin/vf*/profile/vram_quota"),
        links=("physfn/sriov_admin/vf*/device",),
        orders={"vram_quota": RISING},
        cautions=(_GGTT,),
        # It refuses the state of a function with another device id, as that of another revision (xe_sriov_packet.c).
        compared=frozenset(("pci_id",)),
        learnt={"revision": _REVISION, "vram_quota": _VIDEO_MEMORY},
        always_compared=frozenset(("revision", "vram_quota")),
    ),
}
# By the name with its group, and without that, as users may leave it out.
_EMPTIED_BY = {
    each: text
    for profile in _DRIVERS.values()
    if isinstance(profile, Driver)
    for name, text in profile.emptied_by.items()
    for each in (name, name.rpartition("/")[2])
}
