# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""One device as sysfs shows it: its place, its attributes, its descriptor.

Every function here raises ``HostReadError`` where a file cannot be read, or breaks a rule.
"""

from __future__ import annotations

import re
import stat
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DERIVED,
    DescriptorError,
    check_self,
    normalise,
    shown,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.configuration import (
    Configuration,
    ConfigurationError,
    configuration,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import (
    Driver,
    derived_set,
    driver_profile,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.vgpu_types import (
    stated_limits,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.descriptor_files import (
    read_stated_descriptor,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    PAGE,
    HostReadError,
    decimal,
    read_kernel_text,
    read_text,
    read_value,
    reading,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import (
    DIRECTORY,
    FILE,
    MDEV_DEVICES,
    MDEV_PARENTS,
    MDEV_TYPES,
    PCI_DEVICES,
    Directory,
    Sysfs,
)

# What the kernel itself puts into a device's directory, or into a group of attributes there.
KERNEL_OWN = frozenset(
    (
        "driver",
        "driver_override",
        "firmware_node",
        "iommu",
        "iommu_group",
        "link",
        "mdev_supported_types",
        "mdev_type",
        "migration",
        "msi_irqs",
        "numa_node",
        "of_node",
        "power",
        "remove",
        "subsystem",
        "uevent",
        "vfio-dev",
        "waiting_for_supplier",
    )
)

_ABOVE = "../"
# Before Linux 5.19 mediated devices are bound to VFIO's own driver, whose version says nothing of the vendor's.
_GENERIC_MDEV_DRIVER = "vfio_mdev"

# Drivers of the host's own that leave a device's memory accesses to a guest all the same (``driver_managed_dma``).
_HARMLESS_DRIVERS = frozenset(("pci-stub", "pcieport"))

_API_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*\Z")
_ATTRIBUTE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)?\Z")
_PCI_ID = re.compile(r"[0-9a-f]{8}\Z")
_LEADING_VERSION = re.compile(r"([0-9]{1,18})(\.[0-9]{1,18})?(\.[0-9]{1,18})?")


class Parent:
    """A device that mediated devices can be created on."""

    def __init__(self, sysfs: Sysfs, name: str) -> None:
        self.name = name
        self._sysfs = sysfs
        # A parent may have many devices, and this never changes.
        self._device_apis: dict[str, str] = {}
        self.path = sysfs.path(MDEV_PARENTS, name)
        with reading(self.path), sysfs.open(MDEV_PARENTS, name) as directory:
            entries = directory.entries()
            self.driver = driver_name(directory, entries)
            self.pci_id = pci_id(directory, entries)
            self.numa_node = numa_node(directory, entries)
            # The card that a virtual function shares with others.
            self.physical_function = directory.target("physfn") if "physfn" in entries else None

    def type_ids(self) -> list[str]:
        """Return the ids of the parent's types, sorted."""
        with reading(self.path):
            return self._sysfs.names(MDEV_PARENTS, self.name, MDEV_TYPES)

    def read_type(self, type_id: str) -> dict[str, t.Any]:
        """Return ``{id, name, device_api, available_instances, description}`` of one type.

        The limits that NVIDIA's descriptions state too, and ``resources`` where the driver's say what a device takes of its parent.
        """
        place = (MDEV_PARENTS, self.name, MDEV_TYPES, type_id)
        with reading(self._sysfs.path(*place)), self._sysfs.open(*place) as directory:
            entries = directory.entries()
            available = decimal(stated := read_value(directory, "available_instances"))
            if available is None:
                raise DescriptorError(f"available_instances is {shown(stated)}; expected a number")
            device_api = self._device_apis[type_id] = read_value(directory, "device_api")
            description = _prose(directory, entries, "description")
            limits = stated_limits(description)._asdict()
            found = {
                "id": type_id,
                "name": _prose(directory, entries, "name"),
                "device_api": device_api,
                "available_instances": available,
                "description": description,
                **{name: limit for name, limit in limits.items() if limit is not None},
            }
            resources = driver_profile("mdev", self.driver).resources
            needed = resources(description) if resources and description else {}
            return {**found, "resources": needed} if needed else found

    def device_api(self, type_id: str) -> str:
        """Return the device API of one type, which must be well-formed."""
        if type_id not in self._device_apis:
            self.read_type(type_id)
        return self._device_apis[type_id]

    def given(self) -> dict[str, str]:
        """Return what it shows of what its mediated devices have of it in ``self``: its driver's ``of_parent``, and the version."""
        profile = driver_profile("mdev", self.driver)
        with reading(self.path):
            version = _stated_version(self.version())
            found = {} if version is None else {"software_version": version}
            if profile.of_parent:
                files = _FilesOfAnyDevice(self._sysfs, MDEV_PARENTS, self.name)
                found.update(profile.of_parent(files))
            return found

    def version(self) -> str | None:
        """Return the version that the driver's module states; ``None`` where it states none."""
        return _module_version(self._sysfs, MDEV_PARENTS, self.name)


class KernelFiles:
    """The kernel's own files of one device; see ``kernel_files.Files``."""

    def __init__(self, sysfs: Sysfs, place: str, name: str) -> None:
        self.id = name
        self._sysfs = sysfs
        self._device = (place, name)

    def __call__(self, path: str) -> str | None:
        """Return the stripped text of a file; ``None`` where there is no such file."""
        return read_kernel_text(self._sysfs, *self._device, path)

    def names(self, path: str) -> list[str]:
        """Return the sorted names in a directory; none where there is no such directory."""
        with reading(self._sysfs.path(*self._device, path)):
            return self._sysfs.names(*self._device, path)

    def target(self, path: str) -> str | None:
        """Return the name of what a link leads to; ``None`` where there is no such link."""
        with reading(self._sysfs.path(*self._device, path)):
            link = self._sysfs.link(*self._device, path)
        return link.rpartition("/")[2] if link else None

    def versions(self, path: str) -> dict[str, str]:
        """Return the versions, by name, that devlink reports for the PCI device that a link leads to."""
        # Few hosts need it.
        from ansible_collections.vfio.migration.plugins.module_utils._host.devlink import Devlink

        device = self.target(path)
        return Devlink(self._sysfs).versions(device) if device else {}

    def release(self) -> str | None:
        """Return the release of the kernel whose files these are; ``None`` where it is not known."""
        return self._sysfs.kernel_release()


class _FilesOfAnyDevice(KernelFiles):
    """The kernel's own files of a parent, by the paths that they have from the directory of any device below it."""

    def __call__(self, path: str) -> str | None:
        """Return the stripped text of a file; ``None`` where it is not one of the parent's."""
        return super().__call__(path[len(_ABOVE) :]) if path.startswith(_ABOVE) else None

    def names(self, path: str) -> list[str]:
        """Return the sorted names in a directory; none where it is not one of the parent's."""
        return super().names(path[len(_ABOVE) :]) if path.startswith(_ABOVE) else []


_Kind = t.TypeVar("_Kind", bound="Device")


class Device:
    """An open device; the subclasses are its kinds. Use it in ``with``."""

    kind = ""
    # Where the kind's devices are.
    place = ""
    # Whether the files in the device's own directory, not only those in groups, are a vendor's.
    _own_files = False

    def __init__(self, sysfs: Sysfs, name: str) -> None:
        self.id = name
        self.path = sysfs.path(self.place, name)
        self._sysfs = sysfs
        with reading(self.path):
            self.directory = sysfs.open(self.place, name)
        try:
            with reading(self.path):
                self.entries = self.directory.entries()
            self._inspect()
        except HostReadError:
            self.directory.close()
            raise

    def _inspect(self) -> None:
        """Read what else every device of the kind must have."""

    def __enter__(self: _Kind) -> _Kind:
        return self

    def __exit__(self, *exception: object) -> None:
        self.directory.close()

    def link(self, name: str) -> str | None:
        """Return the name of what the link ``name`` leads to; ``None`` where there is no such link."""
        if name not in self.entries:
            return None
        with reading(self.directory.path(name)):
            return self.directory.target(name)

    @property
    def iommu_group(self) -> int | None:
        """The number of its IOMMU group; ``None`` where it is in none."""
        group = self.link("iommu_group")
        return None if group is None else decimal(group)

    def character_devices(self) -> list[str]:
        """Return the names under which the device may be opened by itself, such as ``vfio0``."""
        if "vfio-dev" not in self.entries:
            return []
        with reading(self.directory.path("vfio-dev")), self.directory.directory(
            "vfio-dev"
        ) as directory:
            return list(directory.entries())

    def attribute_files(self) -> dict[str, int]:
        """Return the vendor's attribute files here and in groups, sorted: ``name`` or ``group/name`` to permission bits."""
        with reading(self.path):
            files = _modes(self.directory, self.entries, "") if self._own_files else {}
            for group, kind in self.entries.items():
                if kind == DIRECTORY and group not in KERNEL_OWN:
                    with self.directory.directory(group) as directory:
                        entries = directory.entries()
                        # A directory with a uevent is a device of its own, not a group.
                        if "uevent" not in entries:
                            files.update(_modes(directory, entries, group + "/"))
        return dict(sorted(files.items()))

    def attribute(self, name: str) -> str:
        """Return the value of the attribute ``name`` or ``group/name``."""
        return read_value(self.directory, name)

    def text(self, name: str, limit: int) -> str:
        """Return the lines of the attribute ``name`` or ``group/name``, at most ``limit`` bytes."""
        return read_text(self.directory, name, limit)

    def attributes(self) -> tuple[list[dict[str, str]], list[HostReadError]]:
        """Return the configurable attributes, ``[{name, value}]``, and the problems with those that are missing there."""
        values = []
        problems = []
        for name, mode in self.attribute_files().items():
            if mode & stat.S_IWUSR and mode & stat.S_IRUSR:
                try:
                    values.append({"name": name, "value": self.attribute(name)})
                except HostReadError as problem:
                    problems.append(problem)
        return values, problems

    def stated_descriptor(self) -> dict[str, t.Any] | None:
        """Return ``{origin, self, compatible}`` as the driver states it; ``None`` where it has no ``migration``."""
        return read_stated_descriptor(self.directory, self.entries)

    def derived_descriptor(self, attributes: t.Iterable[dict[str, str]]) -> dict[str, t.Any]:
        """Return the descriptor made of what the kernel shows of every device, and the configurable ``attributes``."""
        pairs = self._common()
        profile = driver_profile(self.kind, dict(pairs).get("driver"))
        for each in attributes:
            name = each["name"].rpartition("/")[2]
            if name not in profile.instance:
                spelling = profile.spellings.get(name)
                pairs.append((name, spelling(each["value"]) if spelling else each["value"]))
        with reading(self.path):
            if profile.attributes:
                pairs += profile.attributes(self.kernel_files)
            own = normalise(pairs)
            check_self(own, DERIVED)
        return {"origin": DERIVED, "self": own, "compatible": [derived_set(own)]}

    def _common(self) -> list[tuple[str, str]]:
        raise NotImplementedError

    def driver_profile(self) -> Driver:
        """Return what is known of the driver that has made the device what it is."""
        raise NotImplementedError

    def shown_support(self, driver: str | None) -> tuple[bool | None, str] | None:
        """Return whether it can migrate and the evidence, as its ``driver`` shows in the device; ``None`` where it does not."""
        shows = driver_profile(self.kind, driver).shows
        with reading(self.path):
            return shows(self.kernel_files) if shows else None

    @property
    def kernel_files(self) -> KernelFiles:
        """The kernel's own files of the device."""
        return KernelFiles(self._sysfs, self.place, self.id)


class MediatedDevice(Device):
    """A mediated device; ``parents`` are those known already, by name, and takes up new ones."""

    kind = "mdev"
    place = MDEV_DEVICES
    _own_files = True

    def __init__(self, sysfs: Sysfs, name: str, parents: dict[str, Parent]) -> None:
        self._parents = parents
        super().__init__(sysfs, name)

    def _inspect(self) -> None:
        self.parent = self._find_parent()
        self.type = self._find_type()

    def parent_device(self) -> Parent:
        """Return the parent, which is read at most once."""
        if self.parent not in self._parents:
            self._parents[self.parent] = Parent(self._sysfs, self.parent)
        return self._parents[self.parent]

    def driver_profile(self) -> Driver:
        """Return what is known of the parent's driver."""
        return driver_profile(self.kind, self.parent_device().driver)

    def _find_parent(self) -> str:
        with reading(self.path):
            target = self._sysfs.link(self.place, self.id)
        if target is None or "/" not in target:
            raise HostReadError(self.path, "not a link to a device below its parent")
        return target.split("/")[-2]

    def _find_type(self) -> str:
        mdev_type = self.link("mdev_type")
        if mdev_type is None:
            raise HostReadError(self.directory.path("mdev_type"), "no such file or directory")
        return mdev_type

    def _common(self) -> list[tuple[str, str]]:
        parent = self.parent_device()
        version = parent.version()
        if self.link("driver") != _GENERIC_MDEV_DRIVER:
            version = _module_version(self._sysfs, self.place, self.id) or version
        return _common(
            version,
            parent.device_api(self.type),
            self.type,
            parent.pci_id,
            parent.driver,
        )


class PciDevice(Device):
    """A physical PCI device or a virtual function."""

    kind = "pci"
    place = PCI_DEVICES

    @property
    def inode(self) -> int:
        """The number that distinguishes the device from an earlier one with its address."""
        return self.directory.inode()

    def driver_profile(self) -> Driver:
        """Return what is known of the driver that the device is bound to."""
        return driver_profile(self.kind, self.link("driver"))

    @property
    def physical_function(self) -> str | None:
        """The address of a virtual function's physical function; ``None`` for another device."""
        return self.link("physfn")

    @property
    def is_assignable(self) -> bool:
        """Whether it is bound to a VFIO driver."""
        driver = self.link("driver")
        return driver is not None and (
            is_vfio_driver_name(driver) or bool(self.character_devices())
        )

    def host_drivers(self) -> dict[str, str]:
        """Return the other devices of its IOMMU group that drivers of the host itself have: address to driver.

        A guest gets a whole group or nothing of it: Documentation/driver-api/vfio.rst, "Groups, Devices, and IOMMUs".
        """
        place = (self.place, self.id, "iommu_group", "devices")
        found = {}
        with reading(self._sysfs.path(*place)):
            for name in self._sysfs.names(*place):
                link = self._sysfs.link(*place, name, "driver")
                driver = (link or "").rpartition("/")[2]
                # Devices of every bus are here, and only those of VFIO have a ``vfio-dev``.
                if not (
                    name == self.id
                    or driver in ("", *_HARMLESS_DRIVERS)
                    or is_vfio_driver_name(driver)
                    or self._sysfs.exists(*place, name, "vfio-dev")
                ):
                    found[name] = driver
        return found

    @property
    def signature(self) -> str:
        """What stands for the type of a physical device that states no descriptor."""
        vendor, device, subsystem_vendor, subsystem_device = (
            _hexadecimal(self.directory, name)
            for name in ("vendor", "device", "subsystem_vendor", "subsystem_device")
        )
        return f"pci-{vendor}{device}-{subsystem_vendor}{subsystem_device}"

    def configuration(self, idle: bool) -> Configuration:
        """Return what a guest sees of its configuration space; ``idle`` is whether no process holds it."""
        identity = pci_id(self.directory, self.entries)
        if identity is None or self.entries.get("config") != FILE:
            return {}
        with reading(self.directory.path("config")):
            size = self.directory.size("config")
            # Some bytes of it at a time: only reads that VFIO itself makes.
            with self.directory.pieces("config") as pieces:
                try:
                    return configuration(identity, size, pieces.read, idle)
                except ConfigurationError as error:
                    raise DescriptorError(str(error)) from error

    def _common(self) -> list[tuple[str, str]]:
        return _common(
            _module_version(self._sysfs, self.place, self.id),
            "vfio-pci",
            self.signature,
            pci_id(self.directory, self.entries),
            self.link("driver"),
        )


def is_vfio_driver_name(driver: str) -> bool:
    """Return whether a driver is for VFIO by its name, which must do before Linux 6.0, where devices have no ``vfio-dev``."""
    return driver.endswith(("vfio-pci", "vfio_pci"))


def is_of_another_api(device_api: str) -> bool:
    """Return whether mediated devices with this API are not VFIO's, all of whose names begin with its own.

    The names are those of Linux, include/uapi/linux/vfio.h. What is no name says nothing of whose a device is.
    """
    is_name = _API_NAME.match(device_api) is not None
    return is_name and not device_api.replace("_", "-").startswith("vfio-")


def is_attribute_name(name: str) -> bool:
    """Return whether ``name`` can be a vendor's attribute, ``name`` or ``group/name``, and none of the kernel's own."""
    return bool(_ATTRIBUTE.match(name)) and KERNEL_OWN.isdisjoint(name.split("/"))


def read_descriptor(
    device: Device,
) -> tuple[dict[str, t.Any] | None, list[dict[str, str]], list[HostReadError]]:
    """Return a device's descriptor, its configurable attributes, and the problems.

    The descriptor is ``None`` where it is unreadable or malformed. It is ``None`` too where one would have to be derived
    from attributes that could not all be read, as it would claim more than is known. Raises nothing for these.
    """
    attributes, problems = device.attributes()
    try:
        descriptor = device.stated_descriptor()
        if descriptor is None and not problems:
            descriptor = device.derived_descriptor(attributes)
    except HostReadError as problem:
        return None, attributes, problems + [problem]
    return descriptor, attributes, problems


def driver_name(directory: Directory, entries: t.Mapping[str, str]) -> str | None:
    """Return what the kernel calls a device's driver: its driver's name, else its bus or class (``dev_driver_string``)."""
    for name in ("driver", "subsystem"):
        if name in entries:
            return directory.target(name)
    return None


def pci_id(directory: Directory, entries: t.Mapping[str, str]) -> str | None:
    """Return vendor and device of a PCI device, 8 hex digits; ``None`` for another device."""
    if entries.get("vendor") != FILE or entries.get("device") != FILE:
        return None
    found = _hexadecimal(directory, "vendor") + _hexadecimal(directory, "device")
    return found if _PCI_ID.match(found) else None


def numa_node(directory: Directory, entries: t.Mapping[str, str]) -> int | None:
    """Return a device's NUMA node; ``None`` where it has none."""
    if "numa_node" not in entries:
        return None
    return decimal(read_value(directory, "numa_node"))


def _common(
    version: str | None, device_api: str, type_id: str, pci: str | None, driver: str | None
) -> list[tuple[str, str]]:
    """Return the attributes that every derived ``self`` has."""
    pairs = [
        ("software_version", _stated_version(version) or "0.0"),
        ("device_api", device_api),
        ("type", type_id),
    ]
    optional = (("pci_id", pci), ("driver", driver))
    return pairs + [(name, value) for name, value in optional if value is not None]


def _stated_version(version: str | None) -> str | None:
    """Return the version that a module's text begins with, as major.minor[.bugfix]; ``None`` where it begins with none."""
    stated = _LEADING_VERSION.match(version or "")
    if stated is None:
        return None
    major, minor, bugfix = stated.groups("")
    return f"{major}{minor or '.0'}{bugfix}"


def _module_version(sysfs: Sysfs, *device: str) -> str | None:
    return read_kernel_text(sysfs, *device, "driver", "module", "version")


def _modes(directory: Directory, entries: t.Mapping[str, str], prefix: str) -> dict[str, int]:
    return {
        prefix + name: directory.mode(name)
        for name, kind in entries.items()
        if kind == FILE and is_attribute_name(prefix + name)
    }


def _prose(directory: Directory, entries: t.Container[str], name: str) -> str | None:
    """Return a text for people, its lines joined as mdevctl joins them; ``None`` where there is none."""
    if name not in entries:
        return None
    lines = directory.read(name, PAGE).decode("utf-8", "replace").strip().splitlines()
    return ", ".join(lines)


def _hexadecimal(directory: Directory, name: str) -> str:
    """Return the four hex digits of an id that reads ``0x8086``."""
    value = read_value(directory, name)
    return value[2:] if value.startswith("0x") else value
