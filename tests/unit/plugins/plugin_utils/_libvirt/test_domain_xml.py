# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The domains of libvirt: which devices they name, and that nothing but those is ever changed."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.domain_xml import (
    MAX_BYTES,
    read_domain,
    retargeted,
)
from ansible_collections.vfio.migration.tests.unit.domains import (
    GUEST,
    MDEV,
    PCI,
    UUID,
    domain_of,
    hostdev,
    interface,
)
from hypothesis import assume, event, given
from hypothesis import strategies as st

IDS = {"mdev": st.uuids(version=4).map(str)}
IDS["pci"] = st.builds(
    "{:04x}:{:02x}:{:02x}.{:x}".format,
    st.sampled_from([0, 0, 1, 0xFFFF, 0x10000]),
    st.integers(0, 255),
    st.integers(0, 31),
    st.integers(0, 7),
)
KINDS = st.sampled_from(["mdev", "pci"])
# What may stand between two elements without being one that is looked at.
BETWEEN = st.sampled_from(
    [
        "",
        "\n    ",
        "\t\r\n",
        "<!-- <hostdev type='mdev'><source><address uuid='x'/></source></hostdev> -->",
        "<emulator>/usr/bin/qemu é漢</emulator>",
        "<?x <address uuid='y'/>?>",
        "<controller type='usb' index='0'><address type='pci' domain='0x0000' bus='0x00'/></controller>",
        "<hostdev mode='subsystem' type='usb'><source><address bus='1' device='2'/></source></hostdev>",
        "<hostdev mode='capabilities' type='storage'><source><block>/dev/sda</block></source></hostdev>",
        "<interface type='bridge'><source bridge='br&amp;0'/></interface>",
    ]
)


@st.composite
def domains(draw):
    """Draw a domain's XML with the devices in it, kind and id, and each with another id of its kind."""
    kinds = draw(st.lists(KINDS, max_size=5))
    devices = [(kind, draw(IDS[kind])) for kind in kinds]
    targets = {id_: draw(IDS[kind]) for kind, id_ in devices}
    assume(len({*targets}) == len(devices) == len({*targets.values()}))
    elements = []
    for kind, id_ in devices:
        write = draw(st.sampled_from([hostdev, interface])) if kind == "pci" else hostdev
        elements += [write(kind, id_, quote=draw(st.sampled_from("'\""))), draw(BETWEEN)]
    prolog = draw(st.sampled_from(["", '<?xml version="1.0" encoding="ISO-8859-1"?>\n', "\ufeff"]))
    return prolog + domain_of(draw(BETWEEN), *elements), devices, targets


def without_ids(xml: str) -> str:
    """Return the XML without the values of what a target may change."""
    names = "uuid|domain|bus|slot|function"
    return re.sub(rf"\b({names})=(['\"])[^'\"]*\2", r"\1=", xml)


@given(domains())
def test_devices_are_found_in_their_order_and_nothing_else_is(generated):
    xml, devices, _targets = generated
    event(f"{len(devices)} devices")
    domain = read_domain(xml)
    assert [(each.kind, each.id) for each in domain.assigned] == devices
    assert domain.name == GUEST


@given(domains())
def test_targets_are_named_and_the_rest_is_untouched(generated):
    xml, devices, targets = generated
    result = retargeted(read_domain(xml), targets)
    assert [each.id for each in read_domain(result).assigned] == [
        targets[id_] for _kind, id_ in devices
    ]
    assert without_ids(result) == without_ids(xml)


@given(domains())
def test_there_and_back_is_the_original(generated):
    xml, _devices, targets = generated
    there = retargeted(read_domain(xml), targets)
    assert retargeted(read_domain(there), {to: back for back, to in targets.items()}) == xml


@given(domains())
def test_what_keeps_its_ids_keeps_every_byte(generated):
    xml, devices, _targets = generated
    assert retargeted(read_domain(xml), {id_: id_ for _kind, id_ in devices}) == xml


@given(domains())
def test_another_parser_sees_the_same_change(generated):
    xml, devices, targets = generated
    xml = xml.removeprefix("\ufeff").removeprefix('<?xml version="1.0" encoding="ISO-8859-1"?>\n')
    addresses = [
        address
        for text in (xml, retargeted(read_domain(xml), targets))
        for address in ElementTree.fromstring(text).iterfind("devices/*/source/address")
        if address.get("device") is None
    ]
    before, after = addresses[: len(devices)], addresses[len(devices) :]
    for (kind, id_), old, new in zip(devices, before, after):
        if kind == "mdev":
            assert (old.get("uuid"), new.get("uuid")) == (id_, targets[id_])
        else:
            assert (as_address(old), as_address(new)) == (id_, targets[id_])


def as_address(element) -> str:
    parts = [int(element.get(name), 16) for name in ("domain", "bus", "slot", "function")]
    return "{:04x}:{:02x}:{:02x}.{:x}".format(*parts)


@pytest.mark.parametrize(
    ("written", "changed"),
    [
        ("bus='0x01' slot='0x10' function='0x0'", "bus='0x01' slot='0x10' function='0x2'"),
        (
            "domain=\"0\" bus = '1'\n slot='020' function='0'",
            "domain=\"0\" bus = '1'\n slot='020' function='0x2'",
        ),
        ("bus='&#49;' slot='16' function='0'", "bus='&#49;' slot='16' function='0x2'"),
    ],
)
def test_only_the_parts_of_an_address_that_differ_are_written(written, changed):
    xml = hostdev("pci", "0000:00:00.0").replace(PCI, f"<address {written}/>")
    result = retargeted(read_domain(domain_of(xml)), {"0000:01:10.0": "0000:01:10.2"})
    assert result == domain_of(xml.replace(written, changed))


def test_a_domain_that_is_left_out_is_added_where_the_target_has_another():
    xml = hostdev("pci", "0000:00:00.0").replace(PCI, "<address bus='1' slot='0' function='0'/>")
    result = retargeted(read_domain(domain_of(xml)), {"0000:01:00.0": "0001:02:00.0"})
    assert "<address domain='0x0001' bus='0x02' slot='0' function='0'/>" in result


@pytest.mark.parametrize(
    "written", [UUID.upper(), UUID.replace("-", ""), f"&#{ord(UUID[0])};{UUID[1:]}"]
)
def test_a_uuid_is_read_as_libvirt_reads_it(written):
    xml = domain_of(hostdev("mdev", UUID).replace(UUID, written))
    assert [each.id for each in read_domain(xml).assigned] == [UUID]
    assert retargeted(read_domain(xml), {UUID: UUID}) == xml


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        (None, "the domain is NoneType"),
        ("", "not well-formed"),
        ("<domain><name>x</domain>", "not well-formed"),
        ("<domain><devices/></domain>", "has no name"),
        ("\ud800", "not a text that UTF-8 can hold"),
        ("<domstatus><domain/></domstatus>", "of a <domstatus>; expected that of a <domain>"),
        ('<!DOCTYPE domain [<!ENTITY a "b">]><domain><name>&a;</name></domain>', "document type"),
        ('<!DOCTYPE domain SYSTEM "file:///etc/passwd"><domain/>', "document type"),
        ("<domain><name>&xxe;</name></domain>", "not well-formed"),
        ("<domain>" + "<a>" * 256 + "</a>" * 256 + "</domain>", "deeper than 256"),
        (domain_of("<!--" + "x" * MAX_BYTES + "-->"), "expected 4194304 at most"),
        (domain_of(hostdev("mdev", UUID).replace(MDEV, "")), "has no address"),
        (domain_of(hostdev("mdev", UUID).replace(MDEV, MDEV * 2)), "a second address"),
        (domain_of(hostdev("mdev", "../../x")), "is not an address of mdev kind"),
        (domain_of(hostdev("pci", "0000:00:00.8")), "is not an address of pci kind"),
        (
            domain_of(hostdev("pci", "0000:00:1f.7").replace("0x1f", "1f")),
            "not an address of pci kind",
        ),
        (domain_of("<interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/></interface>"), "vDPA"),
        (domain_of("<disk type='vhostvdpa'><source dev='/dev/vhost-vdpa-0'/></disk>"), "vDPA"),
    ],
    ids=lambda value: None if isinstance(value, str) and len(value) < 60 else "xml",
)
def test_what_is_no_domain_is_refused(xml, words):
    with pytest.raises(FleetError, match=re.escape(words)):
        read_domain(xml)


def test_what_only_looks_like_a_device_is_none():
    xml = domain_of(
        "<x><hostdev mode='subsystem' type='mdev'><source><address uuid='1'/></source></hostdev></x>",
        metadata=f"<devices>{hostdev('mdev', UUID)}</devices>",
    )
    assert read_domain(xml).assigned == []


@given(domains(), st.data())
def test_torn_xml_is_refused_or_changed_as_any_other(generated, data):
    xml, _devices, targets = generated
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(xml))] * 2)))
    torn = xml[:first] + xml[last:]
    try:
        domain = read_domain(torn)
    except FleetError:
        return
    event("still a domain")
    chosen = {each.id: targets.get(each.id, each.id) for each in domain.assigned}
    assert without_ids(retargeted(domain, chosen)) == without_ids(torn)
