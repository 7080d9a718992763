# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""One device as sysfs shows it: its place, its attributes, its descriptor.

Reads through ``_sysfs`` only. What breaks a rule, or cannot be read, is raised as a ``HostReadError``.
"""

from __future__ import annotations

import re
import stat

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import (
    attributes as attributes_module,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor import drivers
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DescriptorError,
    shown,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import (
    DIRECTORY,
    FILE,
    words,
)

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

    from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Directory, Sysfs

MDEV_DEVICES = "bus/mdev/devices"
MDEV_PARENTS = "class/mdev_bus"
MDEV_TYPES = "mdev_supported_types"
PCI_DEVICES = "bus/pci/devices"

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

# Drivers of the host's own that leave a device's memory accesses to a guest all the same (``driver_managed_dma``).
_HARMLESS_DRIVERS = frozenset(("pci-stub", "pcieport"))

# What one file of sysfs can hold: a page.
_PAGE = 4096
_ATTRIBUTE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)?\Z")
_PCI_ID = re.compile(r"[0-9a-f]{8}\Z")
_FURTHER_SET = re.compile(r"compatible([0-9]{1,9})\Z")
_LEADING_VERSION = re.compile(r"([0-9]{1,18})(\.[0-9]{1,18})?(\.[0-9]{1,18})?")


class HostReadError(VfioMigrationError):
    """Something about one file that an operator should know: ``path`` and, in words, the ``problem``."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = displayable(path)
        super().__init__(f"{self.path}: {problem}")
        self.problem = problem


class ProblemsAt:
    """A context that turns what goes wrong inside into a ``HostReadError`` of the file at ``path``."""

    # Entered for every file read, and so no generator.
    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise HostReadError(self._path, words(error)) from error
        if isinstance(error, DescriptorError):
            raise HostReadError(self._path, str(error)) from error


def displayable(text: str) -> str:
    """``text``, such as a name that a hostile driver or tree has, as it can be sent and shown: escaped if need be."""
    return text if text.isprintable() else ascii(text)[1:-1]


class Parent:
    """A device that mediated devices can be made on."""

    def __init__(self, sysfs: Sysfs, name: str) -> None:
        self.name = name
        self._sysfs = sysfs
        # A parent may have many devices, and this never changes.
        self._device_apis: dict[str, str] = {}
        self.path = sysfs.path(MDEV_PARENTS, name)
        with ProblemsAt(self.path), sysfs.open(MDEV_PARENTS, name) as directory:
            entries = directory.entries()
            self.driver = driver_name(directory, entries)
            self.pci_id = pci_id(directory, entries)
            self.numa_node = numa_node(directory, entries)

    def type_ids(self) -> list[str]:
        with ProblemsAt(self.path):
            return self._sysfs.names(MDEV_PARENTS, self.name, MDEV_TYPES)

    def read_type(self, type_id: str) -> dict[str, t.Any]:
        """``{id, name, device_api, available_instances, description}`` of one type."""
        path = self._sysfs.path(MDEV_PARENTS, self.name, MDEV_TYPES, type_id)
        with ProblemsAt(path), self._sysfs.open(
            MDEV_PARENTS, self.name, MDEV_TYPES, type_id
        ) as directory:
            entries = directory.entries()
            available = _value(directory, "available_instances")
            if not available.isdigit():
                raise DescriptorError(
                    f"available_instances is {shown(available)}; expected a number"
                )
            device_api = self._device_apis[type_id] = _value(directory, "device_api")
            return {
                "id": type_id,
                "name": _prose(directory, entries, "name"),
                "device_api": device_api,
                "available_instances": int(available),
                "description": _prose(directory, entries, "description"),
            }

    def device_api(self, type_id: str) -> str:
        """The device API of one type, which must be well-formed."""
        if type_id not in self._device_apis:
            self.read_type(type_id)
        return self._device_apis[type_id]

    def version(self) -> str | None:
        """The version of the driver's module, as it is stated; ``None`` where none is."""
        return _module_version(self._sysfs, MDEV_PARENTS, self.name)


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
        with ProblemsAt(self.path):
            self.directory = sysfs.open(self.place, name)
        try:
            with ProblemsAt(self.path):
                self.entries = self.directory.entries()
            self._inspect()
        except HostReadError:
            self.directory.close()
            raise

    def _inspect(self) -> None:
        """Finds out what else every device of the kind must have; raises ``HostReadError``."""

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.directory.close()

    def link(self, name: str) -> str | None:
        """The name of what the link ``name`` leads to; ``None`` where there is no such link."""
        if name not in self.entries:
            return None
        with ProblemsAt(self.directory.path(name)):
            return self.directory.target(name)

    @property
    def iommu_group(self) -> int | None:
        group = self.link("iommu_group")
        return int(group) if group is not None and group.isdigit() else None

    def character_devices(self) -> list[str]:
        """The names under which the device may be opened by itself, such as ``vfio0``."""
        if "vfio-dev" not in self.entries:
            return []
        with ProblemsAt(self.directory.path("vfio-dev")), self.directory.directory(
            "vfio-dev"
        ) as directory:
            return list(directory.entries())

    def attribute_files(self) -> dict[str, int]:
        """The vendor's attribute files here and in groups: ``name`` or ``group/name`` to permission bits, sorted."""
        with ProblemsAt(self.path):
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
        """The value of the attribute ``name`` or ``group/name``."""
        return _value(self.directory, name)

    def text(self, name: str, limit: int) -> str:
        """What the attribute ``name`` or ``group/name`` has in several lines, at most ``limit`` bytes."""
        with ProblemsAt(self.directory.path(name)):
            return _text(self.directory, name, limit)

    def attributes(self) -> tuple[list[dict[str, str]], list[HostReadError]]:
        """The configurable attributes, ``[{name, value}]``, and what was wrong with those that are missing there."""
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
        """``{origin, self, compatible}`` as the driver states it; ``None`` where it has no ``migration``."""
        if "migration" not in self.entries:
            return None
        path = self.directory.path("migration")
        with ProblemsAt(path):
            _expect(DIRECTORY, self.entries["migration"])
            with self.directory.directory("migration") as migration:
                return _read_migration(migration)

    def derived_descriptor(self, attributes: t.Iterable[dict[str, str]]) -> dict[str, t.Any]:
        """The descriptor made of what the kernel tells about every device, and the configurable ``attributes``."""
        pairs = self._common()
        vendor = drivers.of(self.kind, dict(pairs).get("driver"))
        for each in attributes:
            name = each["name"].rpartition("/")[2]
            if name not in vendor.instance:
                pairs.append((name, each["value"]))
        with ProblemsAt(self.path):
            if vendor.attributes:
                pairs += vendor.attributes(self.told)
            own = attributes_module.normalise(pairs)
            attributes_module.check_self(own, attributes_module.DERIVED)
        return {
            "origin": attributes_module.DERIVED,
            "self": own,
            "compatible": [attributes_module.literal(own)],
        }

    def _common(self) -> list[tuple[str, str]]:
        raise NotImplementedError

    def known(self) -> drivers.Driver:
        """What is known of the driver that has made the device what it is."""
        raise NotImplementedError

    def told(self, path: str) -> str | None:
        """The stripped text of the kernel's own file at ``path`` from here; ``None`` where there is none."""
        return _told(self._sysfs, self.place, self.id, path)


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
        if self.parent not in self._parents:
            self._parents[self.parent] = Parent(self._sysfs, self.parent)
        return self._parents[self.parent]

    def known(self) -> drivers.Driver:
        return drivers.of(self.kind, self.parent_device().driver)

    def _find_parent(self) -> str:
        with ProblemsAt(self.path):
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
        version = _module_version(self._sysfs, self.place, self.id) or parent.version()
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
        """What tells the device from another one that had its address."""
        return self.directory.inode()

    def known(self) -> drivers.Driver:
        return drivers.of(self.kind, self.link("driver"))

    @property
    def physical_function(self) -> str | None:
        return self.link("physfn")

    @property
    def is_assignable(self) -> bool:
        """Whether it is bound to a VFIO driver."""
        driver = self.link("driver")
        return driver is not None and (
            is_vfio_driver_name(driver) or bool(self.character_devices())
        )

    def host_drivers(self) -> dict[str, str]:
        """The other devices of its IOMMU group that the host's own drivers have, and these drivers.

        A guest gets all of a group or nothing of it: Documentation/driver-api/vfio.rst, "Groups, Devices, and IOMMUs".
        """
        place = (self.place, self.id, "iommu_group", "devices")
        found = {}
        with ProblemsAt(self._sysfs.path(*place)):
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
        """Of a physical device what the type is of a mediated one."""
        vendor, device, subsystem_vendor, subsystem_device = (
            _hexadecimal(self.directory, name)
            for name in ("vendor", "device", "subsystem_vendor", "subsystem_device")
        )
        return f"pci-{vendor}{device}-{subsystem_vendor}{subsystem_device}"

    def _common(self) -> list[tuple[str, str]]:
        return _common(
            _module_version(self._sysfs, self.place, self.id),
            "vfio-pci",
            self.signature,
            pci_id(self.directory, self.entries),
            self.link("driver"),
        )


def is_vfio_driver_name(driver: str) -> bool:
    """Whether a driver is for VFIO by its name, which must do before Linux 6.0, where devices have no ``vfio-dev``."""
    return driver.endswith(("vfio-pci", "vfio_pci"))


def is_attribute_name(name: str) -> bool:
    """Whether ``name`` can be that of a vendor's attribute, ``name`` or ``group/name``, and none of the kernel's own."""
    return bool(_ATTRIBUTE.match(name)) and KERNEL_OWN.isdisjoint(name.split("/"))


def read_descriptor(
    device: Device,
) -> tuple[dict[str, t.Any] | None, list[dict[str, str]], list[HostReadError]]:
    """A device's descriptor, its configurable attributes, and what was wrong.

    The descriptor is ``None`` where it is unreadable or malformed. One derived from attributes that could not
    all be read would claim more than is known, so there is none then.
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
    """What the kernel calls a device's driver: its driver's name, else its bus or class (``dev_driver_string``)."""
    for name in ("driver", "subsystem"):
        if name in entries:
            return directory.target(name)
    return None


def pci_id(directory: Directory, entries: t.Mapping[str, str]) -> str | None:
    """Vendor and device of a PCI device, 8 hex digits; ``None`` for another device."""
    if entries.get("vendor") != FILE or entries.get("device") != FILE:
        return None
    found = _hexadecimal(directory, "vendor") + _hexadecimal(directory, "device")
    return found if _PCI_ID.match(found) else None


def numa_node(directory: Directory, entries: t.Mapping[str, str]) -> int | None:
    if "numa_node" not in entries:
        return None
    node = _value(directory, "numa_node")
    return int(node) if node.isdigit() else None


def _common(
    version: str | None, device_api: str, type_id: str, pci: str | None, driver: str | None
) -> list[tuple[str, str]]:
    """The attributes that every derived ``self`` has."""
    stated = _LEADING_VERSION.match(version or "")
    major, minor, bugfix = stated.groups("") if stated else ("0", "", "")
    pairs = [
        ("software_version", major + (minor or ".0") + bugfix),
        ("device_api", device_api),
        ("type", type_id),
    ]
    optional = (("pci_id", pci), ("driver", driver))
    return pairs + [(name, value) for name, value in optional if value is not None]


def _module_version(sysfs: Sysfs, *device: str) -> str | None:
    return _told(sysfs, *device, "driver", "module", "version")


def _told(sysfs: Sysfs, *names: str) -> str | None:
    """The stripped text of a file of the kernel's own; ``None`` where there is none."""
    with ProblemsAt(sysfs.path(*names)):
        if not sysfs.exists(*names):
            return None
        return attributes_module.decode(sysfs.read(*names, limit=_PAGE)).strip()


def _read_migration(migration: Directory) -> dict[str, t.Any]:
    entries = migration.entries()
    if "self" not in entries:
        raise DescriptorError("'self' is missing")
    form = entries["self"]
    own = _read_sets(migration, "self", form, nested=False)
    with ProblemsAt(migration.path("self")):
        if len(own) != 1:
            raise DescriptorError(f"{len(own)} sets of attributes; expected exactly one")
        attributes_module.check_self(own[0])
    compatible = []
    for name in _compatible_names(entries):
        with ProblemsAt(migration.path(name)):
            _expect(form, entries[name])
        compatible += _read_sets(migration, name, form, nested=name == "compatible")
        attributes_module.check_count(compatible)
    origin = "directory" if form == DIRECTORY else "file"
    return {"origin": origin, "self": own[0], "compatible": compatible}


def _compatible_names(entries: t.Iterable[str]) -> list[str]:
    """``compatible`` first, then ``compatible<N>`` by number."""
    numbered = []
    for name in entries:
        further = _FURTHER_SET.match(name)
        if name == "compatible" or further:
            numbered.append((int(further.group(1)) if further else -1, name))
    return [name for number, name in sorted(numbered)]


def _read_sets(directory: Directory, name: str, form: str, nested: bool) -> list[dict[str, str]]:
    """The sets in ``name``: of a file all, of a directory its own and, where ``nested``, those of subdirectories."""
    with ProblemsAt(directory.path(name)):
        if form != DIRECTORY:
            _expect(FILE, form)
            text = _text(directory, name, attributes_module.MAX_TEXT)
            return [
                attributes_module.normalise(pairs) for pairs in attributes_module.parse_sets(text)
            ]
        with directory.directory(name) as inner:
            entries = inner.entries()
            below = [each for each, kind in entries.items() if nested and kind == DIRECTORY]
            attributes_module.check_count(below)
            own = [each for each in entries if each not in below]
            sets = [attributes_module.normalise(_pairs(inner, own, entries))] if own else []
            for each in below:
                sets += _read_sets(inner, each, DIRECTORY, nested=False)
            return sets


def _pairs(
    directory: Directory, names: t.Iterable[str], entries: t.Mapping[str, str]
) -> t.Iterator[tuple[str, str]]:
    for name in names:
        with ProblemsAt(directory.path(name)):
            _expect(FILE, entries[name])
            yield name, _text(directory, name)


def _modes(directory: Directory, entries: t.Mapping[str, str], prefix: str) -> dict[str, int]:
    return {
        prefix + name: directory.mode(name)
        for name, kind in entries.items()
        if kind == FILE and is_attribute_name(prefix + name)
    }


def _expect(wanted: str, kind: str) -> None:
    if kind != wanted:
        raise DescriptorError(f"a {kind}; expected a {wanted}")


def _text(directory: Directory, name: str, limit: int = _PAGE) -> str:
    raw = directory.read(name, limit + 1)
    if len(raw) > limit:
        raise DescriptorError(f"more than {limit} bytes; at most that are read")
    return attributes_module.decode(raw)


def _value(directory: Directory, name: str) -> str:
    """The value of an attribute: one line of text."""
    with ProblemsAt(directory.path(name)):
        value = _text(directory, name).strip()
        attributes_module.check_value(name, value)
        return value


def _prose(directory: Directory, entries: t.Container[str], name: str) -> str | None:
    """A text for people, its lines joined as mdevctl joins them; ``None`` where there is none."""
    if name not in entries:
        return None
    lines = directory.read(name, _PAGE).decode("utf-8", "replace").strip().splitlines()
    return ", ".join(lines)


def _hexadecimal(directory: Directory, name: str) -> str:
    """The four hex digits of an id that reads ``0x8086``."""
    value = _value(directory, name)
    return value[2:] if value.startswith("0x") else value
