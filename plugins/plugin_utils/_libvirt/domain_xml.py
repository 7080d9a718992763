# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The assigned devices in libvirt's domain XML, read and replaced. Pure.

The format is that of https://libvirt.org/formatdomain.html. XML is parsed only to find where the addresses are in the text.
Those alone are edited, and whatever else there is stays as it is, byte for byte. The XML comes from another host: a
document type, and with it every entity of one's own, is refused, as is what libvirt would not take for its size or depth.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field
from xml.parsers import expat

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import shown
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    PCI_ADDRESS,
    UUID,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError

MAX_BYTES = 4 << 20  # REMOTE_STRING_MAX of libvirt's protocol
_MAX_DEPTH = 256  # libxml2's

_NUMBER = re.compile(r"(?:0[xX]([0-9a-fA-F]{1,8})|(0[0-7]{0,10})|([1-9][0-9]{0,9}))\Z")
# As QEMU takes them after -device, in its own form and as JSON.
_HOST_DEVICE = re.compile(
    r"""\b(?:sysfsdev["']?\s*[=:]|host["']?\s*[=:]\s*["']?(?:(?:0x)?[0-9a-f]{1,8}:)?[0-9a-f]{1,3}:[0-9a-f]{1,2}[.][0-7]\b)""",
    re.IGNORECASE,
)
# Within a start tag that expat has found to be well-formed.
_ATTRIBUTE = re.compile(rb"\s+([^\s=]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_TAG_NAME = re.compile(rb"<[^\s/>]+")

# The parts of a PCI address, how libvirt writes them, and the least number that each is not.
_PCI_PARTS = (
    ("domain", "0x{:04x}", 1 << 32),
    ("bus", "0x{:02x}", 1 << 8),
    ("slot", "0x{:02x}", 1 << 5),
    ("function", "0x{:x}", 1 << 3),
)
_Attributes = dict[str, str]


@dataclass(frozen=True, slots=True)
class Assigned:
    """A device that a domain is assigned.

    ``kind`` is ``mdev`` or ``pci``, ``id`` is as in a host's facts. ``place`` is where its address element starts, in bytes.
    """

    kind: str
    id: str
    place: int


@dataclass(slots=True)
class Domain:
    """A domain: its XML in UTF-8, its name, the devices that it is assigned, in their order, and its UUID if it has one.

    ``own_words`` are those that the domain has for its emulator past libvirt, as ``<qemu:commandline>``: of each the
    line, the element and the text.
    """

    text: bytes
    name: str
    assigned: list[Assigned]
    uuid: str | None = None
    own_words: list[tuple[int, str, str]] = field(default_factory=list)


def read_domain(xml: t.Any, vdpa_nodes: t.Collection[str] = ()) -> Domain:
    """Return the domain that ``xml`` describes; raise ``FleetError`` where it is no domain's XML.

    ``vdpa_nodes`` are those that a vDPA device in it may have; see ``_check_vdpa``.
    """
    if not isinstance(xml, str):
        raise FleetError(f"the domain is {type(xml).__name__}; expected its XML as text")
    try:
        text = str.__str__(xml).encode()
    except UnicodeEncodeError as error:
        raise FleetError(f"the domain's XML is not a text that UTF-8 can hold: {error}") from error
    if len(text) > MAX_BYTES:
        raise FleetError(f"the domain's XML has {len(text)} bytes; expected {MAX_BYTES} at most")
    return _Reader(vdpa_nodes).read(text)


def retargeted(domain: Domain, targets: t.Mapping[str, str]) -> str:
    """Return the domain's XML with other devices; ``targets`` has, for the id of each of its devices, that of the new one."""
    pieces = []
    end = 0
    for device in domain.assigned:
        tag = _TAG_NAME.match(domain.text, device.place)
        start = tag.end() if tag else device.place
        pieces.append(domain.text[end:start])
        end, spans = _attribute_spans(domain.text, start)
        pieces.append(_edited(domain.text[start:end], start, spans, device, targets[device.id]))
    pieces.append(domain.text[end:])
    return b"".join(pieces).decode()


def names_device(text: str, kind: str, device: str) -> bool:
    """Return whether ``text``, of an emulator's command line, names the device with this id."""
    text = text.lower()
    if kind == "mdev":
        return device in text or device.replace("-", "") in text
    # QEMU takes a PCI address with or without the domain, and its numbers with or without zeros before them.
    domain, bus, slot, function = re.split("[:.]", device)
    numbers = [f"0*{each.lstrip('0') or '0'}" for each in (domain, bus, slot)]
    optional = f"(?:{numbers[0]}:)?" if not domain.strip("0") else f"{numbers[0]}:"
    address = rf"{optional}{numbers[1]}:{numbers[2]}[.]{function}"
    return re.search(rf"(?<![0-9a-f:.]){address}(?![0-9a-f.])", text) is not None


def assigns_device(text: str) -> bool:
    """Return whether ``text``, of an emulator's command line, gives it a VFIO device of its host, by address or by path in sysfs."""
    return _HOST_DEVICE.search(text) is not None


def is_id(kind: str, text: str) -> bool:
    """Return whether ``text`` can be the id of an assigned device of this kind."""
    pattern = {"mdev": UUID, "pci": PCI_ADDRESS}.get(kind)
    return pattern is not None and pattern.match(text) is not None


# --- reading ---------------------------------------------------------------------------------------------------------


class _Reader:
    """The state of a parser on its way through a domain's XML."""

    def __init__(self, vdpa_nodes: t.Collection[str]) -> None:
        self._vdpa_nodes = vdpa_nodes
        self._vdpa: str | None = None
        self._own_words: list[tuple[int, str, str]] = []
        # Whether the element below <domain> that is open is another one's than libvirt's, by its prefix or default namespace.
        self._is_foreign = False
        self._path: list[str] = []
        self._texts: dict[str, list[str]] = {"name": [], "uuid": []}
        self._assigned: list[Assigned] = []
        self._kind: str | None = None
        self._has_address = False
        # In bytes, and of the text as it was given, whatever encoding its declaration names.
        self._parser = expat.ParserCreate("utf-8")
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def read(self, text: bytes) -> Domain:
        """Return the domain that ``text`` describes; raise ``FleetError``."""
        try:
            self._parser.Parse(text, True)
        except expat.ExpatError as error:
            raise FleetError(f"the domain's XML is not well-formed: {error}") from error
        name, uuid = ("".join(self._texts[tag]).strip() for tag in ("name", "uuid"))
        if not name:
            raise FleetError("the domain's XML has no name")
        return Domain(text, name, self._assigned, _uuid(uuid) or uuid or None, self._own_words)

    def _doctype(self, name: str, system: str | None, public: str | None, internal: int) -> None:
        raise FleetError("the domain's XML has a document type, which libvirt never writes")

    def _start(self, tag: str, attributes: _Attributes) -> None:
        self._path.append(tag)
        if len(self._path) > _MAX_DEPTH:
            raise FleetError(f"the domain's XML is deeper than {_MAX_DEPTH} elements")
        match self._path:
            case [root]:
                if root != "domain":
                    raise FleetError(f"the XML is of a <{root}>; expected that of a <domain>")
            case ["domain", "devices", _]:
                self._kind = _assigned_kind(tag, attributes)
                self._has_address = False
                self._vdpa = _vdpa_element(tag, attributes)
            case ["domain", "devices", _, "source"] if self._vdpa is not None:
                _check_vdpa(self._vdpa, attributes.get("dev", ""), self._vdpa_nodes)
                self._vdpa = None
            case ["domain", own, *rest] if self._is_past_libvirt(own, rest, attributes):
                line = self._parser.CurrentLineNumber
                self._own_words += ((line, own, text) for text in attributes.values())
            case ["domain", "devices", _, "source", "address"] if self._kind is not None:
                self._address(self._kind, attributes)

    def _is_past_libvirt(self, own: str, below: t.Sequence[str], attributes: _Attributes) -> bool:
        """Return whether an element is in one with a prefix or a default namespace, which is not libvirt's own."""
        if not below:
            self._is_foreign = ":" in own or bool(attributes.get("xmlns"))
        return self._is_foreign

    def _address(self, kind: str, attributes: _Attributes) -> None:
        line = self._parser.CurrentLineNumber
        if self._has_address:
            raise FleetError(f"line {line}: a second address of one assigned device")
        self._has_address = True
        read = _mdev_id if kind == "mdev" else _pci_id
        found = read(attributes)
        if found is None:
            raise FleetError(
                f"line {line}: {shown(str(attributes))} is not an address of {kind} kind"
            )
        self._assigned.append(Assigned(kind, found, self._parser.CurrentByteIndex))

    def _end(self, tag: str) -> None:
        if len(self._path) == 3 and self._vdpa is not None:
            _check_vdpa(self._vdpa, "", self._vdpa_nodes)
        if len(self._path) == 3 and self._kind is not None:
            if not self._has_address:
                line = self._parser.CurrentLineNumber
                raise FleetError(f"line {line}: the assigned device that ends here has no address")
            self._kind = None
        self._path.pop()

    def _characters(self, text: str) -> None:
        if len(self._path) == 2 and self._path[1] in self._texts:
            self._texts[self._path[1]].append(text)


def _assigned_kind(tag: str, attributes: _Attributes) -> str | None:
    """Return the kind of VFIO device that an element below ``<devices>`` assigns, ``None`` where it assigns none."""
    kind = attributes.get("type")
    if tag == "hostdev" and attributes.get("mode", "subsystem") == "subsystem":
        return kind if kind in ("mdev", "pci") else None
    if tag == "interface" and kind == "hostdev":
        return "pci"
    return None


def _vdpa_element(tag: str, attributes: _Attributes) -> str | None:
    """Return how an element below ``<devices>`` begins that is a vDPA device, ``None`` for another one."""
    kind = attributes.get("type")
    if (tag, kind) in (("interface", "vdpa"), ("disk", "vhostvdpa")):
        return f"<{tag} type='{kind}'>"
    return None


def _check_vdpa(element: str, node: str, known: t.Collection[str]) -> None:
    """Raise ``FleetError`` where a vDPA device has a node that is none of those ``known`` to be the target's."""
    if not node or node not in known:
        raise FleetError(
            f"the domain has a {element} with {shown(node)}: libvirt names a vDPA device by a node that each host"
            " numbers for itself, which no plan knows; detach it, or change its node by hand to the target's and name"
            " that with 'vdpa_nodes'"
        )


def _mdev_id(attributes: _Attributes) -> str | None:
    return _uuid(attributes.get("uuid", ""))


def _uuid(text: str) -> str | None:
    """Return a UUID with its hyphens, without which libvirt takes it, too; ``None`` where ``text`` is none."""
    digits = text.strip().lower().replace("-", "")
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    uuid = "-".join(parts)
    return uuid if UUID.match(uuid) else None


def _pci_id(attributes: _Attributes) -> str | None:
    read = (
        _number(attributes.get(name, "0" if name == "domain" else ""), least)
        for name, _form, least in _PCI_PARTS
    )
    numbers = [number for number in read if number is not None]
    if attributes.get("type", "pci") != "pci" or len(numbers) < len(_PCI_PARTS):
        return None
    return "{:04x}:{:02x}:{:02x}.{:x}".format(*numbers)


def _number(text: str, least_too_big: int) -> int | None:
    """Return a number as libvirt reads it, with C's prefixes; ``None`` where it is none, or too big."""
    found = _NUMBER.match(text)
    if found is None:
        return None
    hexadecimal, octal, decimal = found.groups()
    number = int(hexadecimal or octal or decimal, 16 if hexadecimal else 8 if octal else 10)
    return number if number < least_too_big else None


# --- editing ---------------------------------------------------------------------------------------------------------


def _attribute_spans(text: bytes, start: int) -> tuple[int, dict[str, tuple[int, int]]]:
    """Return where a tag's attributes end, and where the value of each is."""
    spans = {}
    while found := _ATTRIBUTE.match(text, start):
        spans[found[1].decode()] = found.span(2 if found[2] is not None else 3)
        start = found.end()
    return start, spans


def _edited(
    attributes: bytes, start: int, spans: dict[str, tuple[int, int]], device: Assigned, target: str
) -> bytes:
    """Return a tag's attributes, which start at ``start``, with those changed in which the ids differ."""
    if target == device.id:
        return attributes
    changes = _changes(device, target)
    for name in sorted(changes.keys() & spans.keys(), key=lambda name: spans[name], reverse=True):
        first, last = (place - start for place in spans[name])
        attributes = attributes[:first] + changes.pop(name) + attributes[last:]
    # A domain of 0 may be left out.
    for name, value in changes.items():
        attributes = b" " + name.encode() + b"='" + value + b"'" + attributes
    return attributes


def _changes(device: Assigned, target: str) -> dict[str, bytes]:
    if device.kind == "mdev":
        return {"uuid": target.encode()}
    changes = {}
    for (name, form, _least), old, new in zip(
        _PCI_PARTS, _pci_numbers(device.id), _pci_numbers(target), strict=True
    ):
        if old != new:
            changes[name] = form.format(new).encode()
    return changes


def _pci_numbers(address: str) -> list[int]:
    return [int(part, 16) for part in re.split("[:.]", address)]
