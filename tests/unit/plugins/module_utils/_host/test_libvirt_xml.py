# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of libvirt's XML, and what is refused."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.libvirt_limits import MOST
from ansible_collections.vfio.migration.plugins.module_utils._host import libvirt_xml
from ansible_collections.vfio.migration.plugins.module_utils._host.libvirt_binding import (
    LibvirtError,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.libvirt_xml import (
    capability_facts,
    cpu_xml,
    guest_facts,
)
from ansible_collections.vfio.migration.tests.unit.domains import hostdev, interface

MDEV = "c9cd7bbf-7a3d-4a8d-9bd6-6a2e0f4f1b3c"
VF = "0001:af:1f.7"
CAPABILITIES = """<capabilities>
  <host><cpu><arch>x86_64</arch><model>Skylake-Server-IBRS</model><vendor>Intel</vendor></cpu></host>
  <guest><os_type>hvm</os_type><arch name='x86_64'>
    <machine maxCpus='255' canonical='pc-q35-10.0'>q35</machine>
    <domain type='kvm'><machine maxCpus='240'>pc-q35-9.2</machine></domain>
  </arch></guest>
</capabilities>"""


def domain(*devices: str, above: str = "<memory unit='KiB'>1048576</memory>") -> str:
    return f"""<domain type='kvm' id='3'>
  {above}
  <os><type arch='x86_64' machine='pc-q35-10.0'>hvm</type></os>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{"".join(devices)}</devices>
</domain>"""


def test_the_devices_are_those_of_the_facts_in_the_order_of_the_domain():
    vdpa = (
        "<interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/></interface>"
        "<disk type='vhostvdpa'><source dev='/dev/vhost-vdpa-1'/></disk>"
    )
    usb = "<hostdev mode='subsystem' type='usb'><source><address bus='1' device='2'/></source></hostdev>"

    found = guest_facts(domain(hostdev("mdev", MDEV), interface("pci", VF), vdpa, usb))

    assert found["devices"] == [
        {"kind": "mdev", "id": MDEV},
        {"kind": "pci", "id": VF},
        {"kind": "vdpa", "id": "/dev/vhost-vdpa-0"},
        {"kind": "vdpa", "id": "/dev/vhost-vdpa-1"},
    ]


def test_machine_and_emulator_are_told():
    found = guest_facts(domain())
    assert {key: found[key] for key in ("virt_type", "arch", "machine", "emulator")} == {
        "virt_type": "kvm",
        "arch": "x86_64",
        "machine": "pc-q35-10.0",
        "emulator": "/usr/bin/qemu-system-x86_64",
    }


@pytest.mark.parametrize(
    ("memory", "kib"),
    [
        ("<memory>1024</memory>", 1024),
        ("<memory unit='KiB'>1024</memory>", 1024),
        ("<memory unit='bytes'>1025</memory>", 2),
        ("<memory unit='MiB'>32</memory>", 32 * 1024),
        ("<memory unit='G'>2</memory>", 2 * 1024 * 1024),
        ("<memory unit='GB'>1</memory>", 976563),
    ],
)
def test_memory_is_in_kib_whatever_its_unit_and_never_less_than_said(memory, kib):
    assert guest_facts(domain(above=memory))["memory"] == kib


@pytest.mark.parametrize(
    "memory",
    [
        "",
        "<memory/>",
        "<memory>much</memory>",
        "<memory>-1</memory>",
        "<memory unit='furlong'>1</memory>",
        f"<memory>{'9' * 5000}</memory>",
    ],
)
def test_memory_that_is_no_number_with_a_unit_is_refused(memory):
    with pytest.raises(LibvirtError, match="<memory>"):
        guest_facts(domain(above=memory))


@pytest.mark.parametrize(
    ("backing", "sizes"),
    [
        ("", None),
        ("<memoryBacking><locked/></memoryBacking>", None),
        ("<memoryBacking><hugepages/></memoryBacking>", []),
        (
            "<memoryBacking><hugepages><page size='1' unit='G' nodeset='0'/><page size='2048'/></hugepages></memoryBacking>",
            [2048, 1048576],
        ),
    ],
)
def test_huge_pages_are_told_by_size(backing, sizes):
    found = guest_facts(domain(above=f"<memory>1</memory>{backing}"))
    assert found["huge_pages"] == sizes


def test_iommu_and_iommufd_are_told():
    bare = guest_facts(domain(hostdev("mdev", MDEV)))
    assert (bare["iommu"], bare["iommufd"]) == (None, False)

    through = "<hostdev mode='subsystem' type='usb'><driver iommufd='yes'/></hostdev>"
    found = guest_facts(domain("<iommu model='intel'><driver intremap='on'/></iommu>", through))

    assert (found["iommu"], found["iommufd"]) == ("intel", True)


@pytest.mark.parametrize(
    ("whole", "own", "used"),
    [
        ("<iommufd enabled='yes'/>", "", True),
        ("<iommufd enabled='yes' fdgroup='x'/>", "<driver name='vfio'/>", True),
        ("<iommufd enabled='yes'/>", "<driver iommufd='no'/>", False),
        ("<iommufd enabled='no'/>", "", False),
        ("<iommufd enabled='no'/>", "<driver iommufd='yes'/>", True),
        ("", "", False),
    ],
)
@pytest.mark.parametrize(
    "element", ["hostdev mode='subsystem' type='pci'", "interface type='hostdev'"]
)
def test_what_a_domain_says_of_iommufd_holds_for_each_pci_device_that_says_nothing(
    element, whole, own, used
):
    address = "<source><address domain='0' bus='0x06' slot='0' function='0x1'/></source>"
    device = f"<{element}>{own}{address}</{element.split(' ')[0]}>"
    above = f"<memory>1</memory>{whole}"
    assert guest_facts(domain(device, above=above))["iommufd"] == used
    mdev = "<hostdev mode='subsystem' type='mdev'><source><address uuid='c9cd7bbf-7a3d-4a8d-9bd6-6a2e0f4f1b3c'/></source></hostdev>"
    assert not guest_facts(domain(mdev, above=above))["iommufd"]


def test_networks_links_and_pools_are_those_that_a_target_must_have():
    found = guest_facts(
        domain(
            "<interface type='network'><source network='tenants' portid='x' bridge='virbr1'/></interface>",
            "<interface type='bridge'><source network='office' bridge='br7'/></interface>",
            "<interface type='bridge'><source bridge='br0'/></interface>",
            "<interface type='direct'><source dev='eno1' mode='bridge'/></interface>",
            "<interface type='user'/>",
            "<disk type='volume'><source pool='images' volume='vm-17'/></disk>",
        )
    )
    assert found["networks"] == ["office", "tenants"]
    assert found["links"] == ["br0", "eno1"]
    assert found["pools"] == ["images"]


def test_disks_are_told_by_their_places():
    found = guest_facts(
        domain(
            "<disk type='file'><driver cache='none'/><source file='/srv/a.qcow2'/><target dev='vda'/></disk>",
            "<disk type='block'><source dev='/dev/vg/b'/><target dev='vdb'/><readonly/></disk>",
            "<disk type='file' device='cdrom'><target dev='sda'/><shareable/></disk>",
            "<disk type='volume'><source pool='images' volume='a/c.qcow2'/><target dev='vdc'/></disk>",
            "<disk type='nvme'><source type='pci' managed='yes' namespace='1'><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>"
            "</source><target dev='vdd'/></disk>",
        )
    )
    assert [(each["target"], each["type"], each["source"]) for each in found["disks"]] == [
        ("vda", "file", "/srv/a.qcow2"),
        ("vdb", "block", "/dev/vg/b"),
        ("sda", "file", None),
        ("vdc", "volume", "images/a/c.qcow2"),
        ("vdd", "nvme", "0000:01:00.0"),
    ]
    assert [(each["cache"], each["readonly"], each["shareable"]) for each in found["disks"]] == [
        ("none", False, False),
        (None, True, False),
        (None, False, True),
        (None, False, False),
        (None, False, False),
    ]


def test_the_files_that_a_guest_is_started_from_are_told():
    above = """<memory>1</memory><os><type arch='x86_64'>hvm</type><kernel>/boot/vmlinuz</kernel><initrd>/boot/initrd</initrd>
    <cmdline>root=/dev/vda</cmdline><dtb>/boot/x.dtb</dtb><acpi><table type='slic'>/a/slic</table><table type='raw'>/boot/initrd</table></acpi></os>"""
    files = ["/boot/vmlinuz", "/boot/initrd", "/boot/x.dtb", "/a/slic"]
    assert guest_facts(domain(above=above))["boot_files"] == files
    assert guest_facts(domain())["boot_files"] == []


def test_the_files_that_a_disk_is_an_overlay_of_are_told():
    found = guest_facts(
        domain(
            "<disk type='file'><source file='/nfs/a'/><target dev='vda'/><backingStore type='file'><source file='/base/b'/>"
            "<backingStore type='block'><source dev='/dev/c'/><backingStore type='file'><source file='/base/d'/>"
            "<backingStore/></backingStore></backingStore></backingStore></disk>"
        )
    )
    assert [each["backing"] for each in found["disks"]] == [["/base/b", "/dev/c", "/base/d"]]


@pytest.mark.parametrize(
    ("element", "obstacle"),
    [
        ("<hostdev mode='subsystem' type='scsi'/>", ("hostdev", "scsi")),
        ("<hostdev mode='subsystem' type='scsi_host'/>", ("hostdev", "scsi_host")),
        ("<hostdev mode='subsystem' type='usb'/>", None),
        ("<shmem name='my'><model type='ivshmem-plain'/></shmem>", ("shmem", "my")),
        ("<shmem name='my' role='master'><model type='ivshmem-plain'/></shmem>", None),
        ("<shmem name='my' role='master'><model type='ivshmem'/></shmem>", ("shmem", "my")),
        ("<shmem name='my' role='master'/>", ("shmem", "my")),
        (
            "<disk type='file'><target dev='vdb'/><transient/></disk>",
            ("transient_disk", "vdb"),
        ),
        (
            "<disk type='file'><target dev='vda'/><mirror type='file' job='copy'/></disk>",
            ("block_job", "vda"),
        ),
    ],
)
def test_what_libvirt_refuses_to_migrate_a_guest_with_is_told(element, obstacle):
    found = guest_facts(domain(element))["obstacles"]
    assert [(each["kind"], each["name"]) for each in found] == ([obstacle] if obstacle else [])


def test_nothing_secret_is_returned():
    found = guest_facts(
        domain(
            "<graphics type='vnc' passwd='SECRET'/>",
            "<disk type='network'><auth username='u'><secret uuid='SECRET'/></auth>"
            "<source protocol='https' name='image?token=SECRET' query='token=SECRET'/></disk>",
            above="<memory>1</memory><metadata>SECRET</metadata><description>SECRET</description>"
            "<qemu:commandline xmlns:qemu='x'><qemu:arg value='SECRET'/></qemu:commandline>",
        )
    )
    assert found["disks"][0]["source"] == "image"
    assert "SECRET" not in json.dumps(found)


def test_a_cpu_becomes_what_libvirt_compares():
    above = """<memory>1</memory><cpu mode='custom' match='exact' check='full'>
      <model fallback='forbid'>Skylake-Server-IBRS</model><vendor>Intel</vendor>
      <feature policy='require' name='ss'/><feature policy='disable' name='hle'/><feature/></cpu>"""

    cpu = guest_facts(domain(above=above))["cpu"]

    assert cpu["features"] == [
        {"name": "ss", "policy": "require"},
        {"name": "hle", "policy": "disable"},
    ]
    assert cpu_xml(cpu) == (
        '<cpu mode="custom" match="exact"><model fallback="forbid">Skylake-Server-IBRS</model><vendor>Intel</vendor>'
        '<feature policy="require" name="ss" /><feature policy="disable" name="hle" /></cpu>'
    )


def test_the_text_of_a_cpu_stays_text():
    xml = cpu_xml({"model": "</model><x/>", "features": [{"policy": "require'", "name": '"/>'}]})
    assert xml.count("<") == xml.count(">") == 5
    assert "<x" not in xml


def test_the_capabilities_are_told():
    assert capability_facts(CAPABILITIES) == {
        "arch": "x86_64",
        "cpu": {"model": "Skylake-Server-IBRS", "vendor": "Intel"},
        "machines": {"x86_64": ["pc-q35-10.0", "pc-q35-9.2", "q35"]},
    }


def capabilities_of(*arches: tuple[str, t.Iterable[str]]) -> str:
    guests = (
        f"<guest><arch name='{name}'>{''.join(f'<machine>{each}</machine>' for each in machines)}</arch></guest>"
        for name, machines in arches
    )
    return f"<capabilities>{''.join(guests)}</capabilities>"


def test_the_machine_types_of_several_emulators_of_an_architecture_are_told_together():
    xml = capabilities_of(("x86_64", ["b", "a"]), ("aarch64", ["virt"]), ("x86_64", ["c", "a"]))
    assert capability_facts(xml)["machines"] == {"x86_64": ["a", "b", "c"], "aarch64": ["virt"]}


def test_however_many_emulators_an_architecture_has_its_machine_types_are_limited():
    arches = [("x86_64", [f"{i}.{j}" for j in range(3)]) for i in range(400)]
    found = capability_facts(capabilities_of(*arches))["machines"]["x86_64"]
    assert found == sorted(each for _name, machines in arches for each in machines)[:MOST]


def test_the_machine_types_of_an_architecture_are_sorted_once_and_not_for_each_emulator(
    monkeypatch,
):
    sizes = []

    def counting(names):
        sizes.append(len(names))
        return sorted(names)

    monkeypatch.setattr(libvirt_xml, "sorted", counting, raising=False)
    capability_facts(capabilities_of(*(("x86_64", [f"{i}.0", f"{i}.1"]) for i in range(100))))
    assert sizes == [200]


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        ("", "not well-formed"),
        ("<domain><memory>", "not well-formed"),
        ("<network/>", "of a <network>; expected a <domain>"),
        ("<!DOCTYPE domain [<!ENTITY a 'b'>]><domain>&a;</domain>", "document type"),
        ("<domain>" + "<a>" * 300 + "</a>" * 300 + "</domain>", "deeper than 256"),
        (f"<domain>{' ' * (4 << 20)}</domain>", "expected 4194304 at most"),
        (domain("<hostdev type='mdev'/>"), "without an address"),
        (domain(hostdev("mdev", "c9cd7bbf")), "without an address"),
        (domain(hostdev("pci", "0000:1:2.zz")), "without an address"),
        (f"<domain>{chr(0xD800)}</domain>", "not well-formed"),
    ],
)
def test_what_is_no_sound_domain_is_refused(xml, words):
    with pytest.raises(LibvirtError, match=words):
        guest_facts(xml)


def test_lists_and_texts_end_somewhere():
    interfaces = [
        f"<interface type='network'><source network='{n:04}{'x' * 5000}'/></interface>"
        for n in range(600)
    ]
    found = guest_facts(domain(*interfaces, *["<disk/>"] * 600))
    assert len(found["networks"]) == len(found["disks"]) == 512
    assert max(map(len, found["networks"])) == 1024


def test_what_cannot_be_shown_is_escaped():
    found = guest_facts(
        domain("<interface type='network'><source network='a&#x202e;b'/></interface>")
    )
    assert found["networks"] == [r"a\u202eb"]
