# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Libvirt's XML of a guest and of a host's capabilities, read. Pure.

The formats are those of https://libvirt.org/formatdomain.html and https://libvirt.org/formatcaps.html. A document type,
and with it every entity of one's own, is refused, as is what libvirt's protocol would not carry. Of whatever a document
has many, the first ones are returned, and what they say is shown as far as it is printable.
"""

from __future__ import annotations

import itertools
import re
import typing as t
from xml.etree import ElementTree as Tree
from xml.parsers import expat

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    PCI_ADDRESS,
    UUID,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.libvirt_limits import (
    LONGEST,
    MOST,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.libvirt_binding import (
    LibvirtError,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import displayable

Facts = t.Dict[str, t.Any]

# REMOTE_STRING_MAX of libvirt's protocol, and what libxml2 takes.
_MAX_BYTES = 4 << 20
_MAX_DEPTH = 256

_NUMBER = re.compile(r"(?:0[xX]([0-9a-fA-F]{1,8})|([0-9]{1,10}))\Z")
_DIGITS = re.compile(r"[0-9]{1,18}\Z")
# How many bytes a unit of libvirt's has.
_UNITS = {
    "b": 1,
    "bytes": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "k": 1 << 10,
    "KiB": 1 << 10,
    "M": 1 << 20,
    "MiB": 1 << 20,
    "G": 1 << 30,
    "GiB": 1 << 30,
    "T": 1 << 40,
    "TiB": 1 << 40,
}
_PCI_PARTS = ("domain", "bus", "slot", "function")
# libvirt refuses longer chains of overlays.
_MOST_BACKING = 200
# What QEMU opens at its start: the kernel with what belongs to it, and tables of ACPI.
_BOOT_FILES = ("os/kernel", "os/initrd", "os/dtb", "os/shim", "os/acpi/table")
# Where a disk is, by its type: the attributes of <source>.
_PLACES = {"file": "file", "block": "dev", "dir": "dir", "network": "name"}


def guest_facts(xml: str) -> Facts:
    """Return what a domain's XML says of a guest; raise ``LibvirtError`` where it is none.

    Neither the XML itself is in it, nor anything that could be a password or a token.
    """
    root = _parsed(xml, "domain")
    os_type = root.find("os/type")
    devices = root.find("devices")
    devices = Tree.Element("devices") if devices is None else devices
    return {
        "virt_type": _text(root.get("type")),
        "arch": None if os_type is None else _text(os_type.get("arch")),
        "machine": None if os_type is None else _text(os_type.get("machine")),
        "emulator": _text(devices.findtext("emulator")),
        "loader": _text(root.findtext("os/loader")),
        "boot_files": _boot_files(root),
        "cpu": _cpu(root.find("cpu")),
        "memory": _kib(root.find("memory"), "memory"),
        "huge_pages": _huge_pages(root),
        "devices": list(_devices(devices)),
        "iommu": next((_text(each.get("model")) for each in devices.iter("iommu")), None),
        "iommufd": _uses_iommufd(root, devices),
        "disks": [_disk(each) for each in devices.findall("disk")[:MOST]],
        "networks": _names(_network_of(each) for each in devices.findall("interface")),
        "links": _names(_link_of(each) for each in devices.findall("interface")),
        "pools": _names(each.get("pool") for each in devices.findall("disk/source")),
        "obstacles": list(itertools.islice(_obstacles(devices), MOST)),
    }


def capability_facts(xml: str) -> Facts:
    """Return what a host's capabilities say of its CPU and of the machine types of its emulators, by architecture."""
    root = _parsed(xml, "capabilities")
    # Several elements may be of one architecture. The limit is that of their sum, so it comes last.
    machines: dict[str, list[str | None]] = {}
    for arch in root.findall("guest/arch")[:MOST]:
        name = _text(arch.get("name"))
        if name is not None:
            known = machines.setdefault(name, [])
            for each in arch.iter("machine"):
                known += (each.text, each.get("canonical"))
    return {
        "arch": _text(root.findtext("host/cpu/arch")),
        "cpu": {
            "model": _text(root.findtext("host/cpu/model")),
            "vendor": _text(root.findtext("host/cpu/vendor")),
        },
        "machines": {name: _names(known) for name, known in machines.items()},
    }


def cpu_xml(cpu: t.Mapping[str, t.Any]) -> str:
    """Return the XML of a CPU that ``guest_facts`` has found, for libvirt to compare with what a host can give."""
    root = Tree.Element("cpu", {"mode": "custom", "match": str(cpu.get("match") or "exact")})
    Tree.SubElement(root, "model", {"fallback": "forbid"}).text = str(cpu["model"])
    if cpu.get("vendor"):
        Tree.SubElement(root, "vendor").text = str(cpu["vendor"])
    for each in cpu.get("features") or ():
        Tree.SubElement(root, "feature", {key: str(each[key]) for key in ("policy", "name")})
    return Tree.tostring(root, encoding="unicode")


def networks_that_assign(active: str, inactive: str) -> list[str]:
    """Return the networks from which a guest has functions of its host, by the XML of what runs, and of what it was made of.

    Libvirt chooses one of the network's functions each time the guest starts on a host. What runs has it like one that was assigned
    by its address; what it was made of, and what a migration sends, has the network alone.
    """
    assigned = {
        mac
        for each in _interfaces(_parsed(active, "domain"))
        if each.get("type") == "hostdev" and (mac := _mac(each)) is not None
    }
    return _names(
        _network_of(each)
        for each in _interfaces(_parsed(inactive, "domain"))
        if each.get("type") == "network" and _mac(each) in assigned
    )


def _interfaces(domain: Tree.Element) -> list[Tree.Element]:
    return domain.findall("devices/interface")


def _mac(interface: Tree.Element) -> str | None:
    mac = interface.find("mac")
    return None if mac is None else mac.get("address", "").lower() or None


def short(text: str) -> str:
    """Return ``text`` as it is shown: printable, and no longer than is of use."""
    return displayable(text[:LONGEST])


# --- parsing ---


def _parsed(xml: str, expected: str) -> Tree.Element:
    """Return the root of a document, which must be an element ``expected``; raise ``LibvirtError``."""
    text = xml.encode(errors="surrogatepass")
    if len(text) > _MAX_BYTES:
        raise LibvirtError(f"its XML has {len(text)} bytes; expected {_MAX_BYTES} at most")
    builder = Tree.TreeBuilder()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise LibvirtError(f"its XML is deeper than {_MAX_DEPTH} elements")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    # Of the text as it was given, whatever encoding its declaration names.
    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = _refuse_document_type
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise LibvirtError(f"its XML is not well-formed: {error}") from error
    root = builder.close()
    if root.tag != expected:
        raise LibvirtError(f"its XML is of a <{short(root.tag)}>; expected a <{expected}>")
    return root


def _refuse_document_type(*_arguments: t.Any) -> None:
    raise LibvirtError("its XML has a document type, which libvirt never writes")


def _text(value: str | None) -> str | None:
    """Return a text as it is shown, ``None`` where there is none."""
    stripped = (value or "").strip()
    return short(stripped) if stripped else None


def _names(values: t.Iterable[str | None]) -> list[str]:
    """Return the first of these names, each once, in the order of the alphabet."""
    return sorted({name for name in map(_text, values) if name is not None})[:MOST]


def _boot_files(domain: Tree.Element) -> list[str]:
    """Return the files that QEMU starts a guest from without its firmware or disks, each once, in their order."""
    found = [_text(each.text) for path in _BOOT_FILES for each in domain.findall(path)]
    return [*dict.fromkeys(name for name in found if name is not None)][:MOST]


# --- memory and CPU ---


def _kib(element: Tree.Element | None, name: str, amount: str | None = None) -> int:
    """Return how much memory an element says, in KiB; raise ``LibvirtError`` where it is no number with a unit."""
    if element is None:
        raise LibvirtError(f"its XML has no <{name}>")
    amount = (element.text if amount is None else amount) or ""
    unit = element.get("unit", "KiB")
    if not _DIGITS.match(amount.strip()) or unit not in _UNITS:
        raise LibvirtError(
            f"its <{name}> is {short(repr(amount))} {short(unit)}; expected a number and a unit of memory"
        )
    return -(-int(amount) * _UNITS[unit] // 1024)


def _huge_pages(root: Tree.Element) -> list[int] | None:
    """Return the sizes of the huge pages, in KiB, none where the host's default counts; ``None`` where there are none to be."""
    if root.find("memoryBacking/hugepages") is None:
        return None
    pages = root.findall("memoryBacking/hugepages/page")[:MOST]
    return sorted({_kib(each, "page", each.get("size", "")) for each in pages})


def _cpu(cpu: Tree.Element | None) -> Facts:
    """Return the CPU that a guest sees, nothing of it where libvirt does not say."""
    cpu = Tree.Element("cpu") if cpu is None else cpu
    return {
        "mode": _text(cpu.get("mode")),
        "match": _text(cpu.get("match")),
        "check": _text(cpu.get("check")),
        "model": _text(cpu.findtext("model")),
        "vendor": _text(cpu.findtext("vendor")),
        "features": [
            {"name": _text(each.get("name")), "policy": _text(each.get("policy"))}
            for each in cpu.findall("feature")[:MOST]
            if each.get("name") and each.get("policy")
        ],
    }


# --- devices ---


def _devices(devices: Tree.Element) -> t.Iterator[dict[str, str]]:
    """Yield the VFIO and vDPA devices that a guest has; raise ``LibvirtError`` where one has no address."""
    for element in devices:
        kind = _kind(element)
        if kind == "vdpa":
            source = element.find("source")
            yield {"kind": kind, "id": short("" if source is None else source.get("dev", ""))}
        elif kind is not None:
            address = element.find("source/address")
            found = None if address is None else _ADDRESSES[kind](address)
            if found is None:
                raise LibvirtError(
                    f"its XML has a <{element.tag}> of {kind} kind without an address"
                )
            yield {"kind": kind, "id": found}


def _kind(element: Tree.Element) -> str | None:
    """Return the kind of device that an element below ``<devices>`` assigns, ``None`` where it assigns none."""
    kind = element.get("type")
    if element.tag == "hostdev" and element.get("mode", "subsystem") == "subsystem":
        return kind if kind in ("mdev", "pci") else None
    return _KINDS.get((element.tag, kind or ""))


def _uses_iommufd(domain: Tree.Element, devices: Tree.Element) -> bool:
    """Return whether a guest has a device through IOMMUFD: that says so, or the domain does for each PCI device which says nothing else."""
    if any(each.get("iommufd") == "yes" for each in devices.iter("driver")):
        return True
    whole = domain.find("iommufd")
    if whole is None or whole.get("enabled") != "yes":
        return False
    drivers = [each.find("driver") for each in devices if _kind(each) == "pci"]
    return any(each is None or each.get("iommufd") != "no" for each in drivers)


_KINDS = {
    ("interface", "hostdev"): "pci",
    ("interface", "vdpa"): "vdpa",
    ("disk", "vhostvdpa"): "vdpa",
}


def _mdev_id(address: Tree.Element) -> str | None:
    # Libvirt takes a UUID without hyphens, too.
    digits = address.get("uuid", "").strip().lower().replace("-", "")
    uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return uuid if UUID.match(uuid) else None


def _pci_id(address: Tree.Element) -> str | None:
    numbers = []
    for name in _PCI_PARTS:
        found = _NUMBER.match(address.get(name, "0" if name == "domain" else ""))
        if found is None:
            return None
        numbers.append(int(found[1] or found[2], 16 if found[1] else 10))
    text = "{:04x}:{:02x}:{:02x}.{:x}".format(*numbers)
    return text if PCI_ADDRESS.match(text) else None


_ADDRESSES = {"mdev": _mdev_id, "pci": _pci_id}


def _disk(disk: Tree.Element) -> Facts:
    """Return what is said of a disk. The query of a network's address, which may have a token, is left out."""
    source, target, driver = disk.find("source"), disk.find("target"), disk.find("driver")
    kind = _text(disk.get("type"))
    place = None if source is None else _place(kind, source)
    return {
        "target": None if target is None else _text(target.get("dev")),
        "type": kind,
        "source": _text(place.partition("?")[0] if place else None),
        "readonly": disk.find("readonly") is not None,
        "shareable": disk.find("shareable") is not None,
        "cache": None if driver is None else _text(driver.get("cache")),
        "backing": list(itertools.islice(_backing(disk), _MOST_BACKING)),
    }


def _place(kind: str | None, source: Tree.Element) -> str | None:
    """Return where a disk of this kind is, ``None`` where its ``<source>`` does not say, or in no words that are known here."""
    if kind == "volume":
        pool, volume = source.get("pool"), source.get("volume")
        return f"{pool}/{volume}" if pool and volume else None
    if kind == "nvme":
        address = source.find("address")
        return None if address is None else _pci_id(address)
    return source.get(_PLACES.get(kind or "", ""))


def _backing(disk: Tree.Element) -> t.Iterator[str]:
    """Yield the files and block devices that a disk is an overlay of, the nearest first."""
    below = disk.find("backingStore")
    while below is not None:
        source = below.find("source")
        kind = below.get("type", "")
        at = _PLACES[kind] if kind in ("file", "block") else None
        place = None if source is None or at is None else _text(source.get(at))
        if place is not None:
            yield place
        below = below.find("backingStore")


def _obstacles(devices: Tree.Element) -> t.Iterator[dict[str, str | None]]:
    """Yield what libvirt refuses to migrate a guest with, as far as its XML says so.

    Libvirt's source has these as ``qemuMigrationSrcIsAllowed``.
    """
    for element in devices:
        if element.tag == "hostdev" and element.get("type") in ("scsi", "scsi_host"):
            yield {"kind": "hostdev", "name": element.get("type")}
        elif element.tag == "shmem":
            model = element.find("model")
            is_plain = model is not None and model.get("type") != "ivshmem"
            if not is_plain or element.get("role") != "master":
                yield {"kind": "shmem", "name": _text(element.get("name"))}
        elif element.tag == "disk":
            target = element.find("target")
            name = None if target is None else _text(target.get("dev"))
            for tag, kind in (("transient", "transient_disk"), ("mirror", "block_job")):
                if element.find(tag) is not None:
                    yield {"kind": kind, "name": name}


def _network_of(interface: Tree.Element) -> str | None:
    source = interface.find("source")
    return None if source is None else source.get("network")


def _link_of(interface: Tree.Element) -> str | None:
    """Return the host's own network device that an interface is connected to, where no network of libvirt's names that."""
    source = interface.find("source")
    if source is None or source.get("network"):
        return None
    return {"bridge": source.get("bridge"), "direct": source.get("dev")}.get(
        interface.get("type", "")
    )
