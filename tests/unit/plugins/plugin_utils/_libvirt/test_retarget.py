# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of a plan's targets a domain is given, and what is refused."""

from __future__ import annotations

import copy
import itertools
import typing as t

import pytest
from ansible.errors import AnsibleError
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.filter.retarget_domain import retarget_domain
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.domain_xml import (
    names_device,
    read_domain,
)
from ansible_collections.vfio.migration.tests.unit.domains import GUEST, domain_of, hostdev
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
)
from hypothesis import event, given
from hypothesis import strategies as st

TAKEN = device(UUIDS[0], descriptor=gvt("8", "1"), vm="vm-9", pid=9)


def fleet(count: int = 2, vm: str | None = GUEST, **others):
    devices = [device(UUIDS[n], vm=vm) for n in range(count)]
    return {"a": host(devices), "b": host([TAKEN], [parent()]), **others}


def plan(**others):
    return migration_plan(fleet(**others), drain=["a"], targets=["b"])


def domain(count: int = 2) -> str:
    return domain_of(*(hostdev("mdev", UUIDS[n]) for n in range(count)))


def named(xml: str) -> list[str]:
    return [each.id for each in read_domain(xml).assigned]


@pytest.mark.parametrize("vm", [GUEST, None])
def test_the_devices_become_those_of_the_plan(vm):
    made = plan(vm=vm)
    result = retarget_domain(domain(), made)
    assert named(result) == [made["map"]["a"][id_] for id_ in UUIDS[:2]] != UUIDS[:2]
    assert retarget_domain(result, made) == result
    assert retarget_domain(domain(), made, "a") == retarget_domain(domain(), made, host="a")


@given(st.lists(st.sampled_from(UUIDS), min_size=1, max_size=5, unique=True), st.data())
def test_once_is_enough_unless_devices_only_change_places(sources, data):
    targets = data.draw(st.lists(st.sampled_from(UUIDS), unique=True, min_size=len(sources)))
    made = {
        "placements": [
            {
                "vm": GUEST,
                "source": {"host": "a", "kind": "mdev", "id": source},
                "target": {"host": "b", "kind": "mdev", "id": target},
            }
            for source, target in zip(sources, targets)
        ]
    }
    xml = domain_of(*(hostdev("mdev", source) for source in sources))
    once = retarget_domain(xml, made)
    assert named(once) == targets[: len(sources)]
    if {*sources} != {*targets[: len(sources)]}:
        event("other devices")
        assert retarget_domain(once, made) == once


def test_a_guest_of_the_same_name_on_another_host_needs_the_host():
    made = migration_plan(
        fleet(c=host([device(UUIDS[5], vm=GUEST)]), d=host(parents=[parent()])), drain=["a", "c"]
    )
    with pytest.raises(
        AnsibleError, match=r"devices of a, c; say with 'host' on which one vm-17 is"
    ):
        retarget_domain(domain(), made)
    assert named(retarget_domain(domain(), made, "a")) == [made["map"]["a"][n] for n in UUIDS[:2]]


def test_a_device_without_a_target_is_named_with_the_reason():
    with pytest.raises(
        AnsibleError, match=f"mdev {UUIDS[2]} of vm-17 has no target .*no such device on a"
    ):
        retarget_domain(domain(3), plan())
    unsupported = device(
        UUIDS[2], vm=GUEST, migration={"supported": False, "features": [], "state": None}
    )
    left = migration_plan(
        {**fleet(), "a": host([device(UUIDS[0], vm=GUEST), unsupported])}, drain=["a"]
    )
    with pytest.raises(AnsibleError, match="has no target in the plan: it cannot migrate"):
        retarget_domain(domain_of(hostdev("mdev", UUIDS[2])), left, "a")


def test_another_guests_device_is_refused():
    with pytest.raises(AnsibleError, match="has no target in the plan: it has it for vm-3"):
        retarget_domain(domain(), plan(vm="vm-3"), "a")


def test_a_device_that_moves_along_must_be_in_the_domain():
    with pytest.raises(
        AnsibleError, match=f"moves {UUIDS[1]} of vm-17, which the domain's XML does"
    ):
        retarget_domain(domain(1), plan())
    made = plan()
    assert named(retarget_domain(domain(1), made, partial=True)) == [made["map"]["a"][UUIDS[0]]]


VDPA = "<interface type='vdpa'><source dev='/dev/vhost-vdpa-{}'/></interface>"


def test_a_vdpa_device_that_was_changed_by_hand_stays_as_it_is():
    made = plan()
    xml = domain_of(*(hostdev("mdev", UUIDS[n]) for n in range(2)), VDPA.format(3))
    there = retarget_domain(xml, made, vdpa_nodes=["/dev/vhost-vdpa-3"])
    assert there == retarget_domain(domain(), made).replace(
        "\n  </devices>", f"\n    {VDPA.format(3)}\n  </devices>"
    )


@pytest.mark.parametrize("element", [VDPA.format(4), "<interface type='vdpa'><mac/></interface>"])
def test_a_vdpa_device_that_was_not_changed_is_refused_by_its_node(element):
    xml = domain_of(*(hostdev("mdev", UUIDS[n]) for n in range(2)), VDPA.format(3), element)
    with pytest.raises(AnsibleError, match="vdpa_nodes"):
        retarget_domain(xml, plan(), vdpa_nodes=["/dev/vhost-vdpa-3"])


ADDRESS = "0000:3b:00.4"


def with_words(xml: str, element: str) -> str:
    """Return a domain that has an element for its emulator past libvirt."""
    return xml.replace("</domain>", f"{element}</domain>").replace(
        "<domain ", "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' ", 1
    )


@pytest.mark.parametrize(
    "words",
    [
        f"vfio-pci,sysfsdev=/sys/bus/mdev/devices/{UUIDS[0]}",
        f"vfio-pci,sysfsdev=/sys/bus/mdev/devices/{UUIDS[0].upper()}",
    ],
)
@pytest.mark.parametrize(
    "element",
    [
        "<qemu:commandline><qemu:arg value='-device'/><qemu:arg value='{}'/></qemu:commandline>",
        "<qemu:commandline><qemu:env name='DEVICE' value='{}'/></qemu:commandline>",
    ],
)
def test_what_the_emulator_is_told_past_libvirt_of_a_device_that_moves_is_refused(element, words):
    xml = with_words(domain(), element.format(words))
    with pytest.raises(AnsibleError, match=f"line 2[0-9]: .* of vm-17 names mdev {UUIDS[0]}"):
        retarget_domain(xml, plan())
    other = with_words(domain(), element.format("virtio-rng-pci"))
    assert named(retarget_domain(other, plan())) != UUIDS[:2]


@pytest.mark.parametrize(
    ("words", "named_there"),
    [
        (f"vfio-pci,host={ADDRESS}", True),
        ("vfio-pci,host=3b:00.4,id=x", True),
        ("vfio-pci,host=0:3b:0.4", True),
        ("vfio-pci,host=3b:0.4", True),
        ("vfio-pci,host=0000:03b:00.4", True),
        ("vfio-pci,host=1:3b:0.4", False),
        ("vfio-pci,host=3b:10.4", False),
        ("vfio-pci,host=0001:3b:00.4", False),
        ("vfio-pci,host=3b:00.40", False),
        ("vfio-pci,host=13b:00.4", False),
    ],
)
def test_a_pci_device_is_found_on_a_command_line_with_or_without_its_domain(words, named_there):
    assert names_device(words, "pci", ADDRESS) is named_there


def test_a_command_line_with_the_targets_stays_as_it_is():
    made = plan()
    target = made["map"]["a"][UUIDS[0]]
    words = f"<qemu:commandline><qemu:arg value='vfio-pci,sysfsdev={target}'/></qemu:commandline>"
    there = retarget_domain(with_words(domain(), words), made)
    assert retarget_domain(there, made) == there


def test_a_device_that_only_the_command_line_names_is_said_to_be_there():
    """The facts are right: the guest holds it."""
    words = (
        f"<qemu:commandline><qemu:arg value='vfio-pci,sysfsdev=/x/{UUIDS[1]}'/></qemu:commandline>"
    )
    with pytest.raises(AnsibleError, match=f"<qemu:commandline> of vm-17 names mdev {UUIDS[1]}"):
        retarget_domain(with_words(domain(1), words), plan())


DEFAULT = "<commandline xmlns='http://libvirt.org/schemas/domain/qemu/1.0'><arg value='{}'/></commandline>"


def test_a_command_line_is_found_by_its_default_namespace_too():
    xml = domain().replace("</domain>", f"{DEFAULT.format(UUIDS[0])}</domain>")
    with pytest.raises(AnsibleError, match=f"<commandline> of vm-17 names mdev {UUIDS[0]}"):
        retarget_domain(xml, plan())
    # What comes after it is libvirt's again.
    xml = domain().replace("</domain>", f"{DEFAULT.format('x')}<title id='{UUIDS[0]}'/></domain>")
    assert named(retarget_domain(xml, plan())) != UUIDS[:2]


def test_a_command_line_that_names_what_is_source_and_target_is_refused_unless_the_targets_are_there():
    functions = [f"0000:81:00.{number}" for number in (1, 2, 3)]
    made: dict[str, t.Any] = {
        "placements": [
            {
                "vm": GUEST,
                "source": {"host": "a", "kind": "pci", "id": source},
                "target": {"host": "b", "kind": "pci", "id": target},
            }
            for source, target in itertools.pairwise(functions)
        ]
    }
    words = f"<qemu:commandline><qemu:arg value='vfio-pci,host={functions[1]}'/></qemu:commandline>"
    before, after = (
        with_words(domain_of(*(hostdev("pci", each) for each in assigned)), words)
        for assigned in (functions[:2], functions[1:])
    )
    with pytest.raises(AnsibleError, match="becomes that, so it is unclear which is meant"):
        retarget_domain(before, made)
    assert retarget_domain(after, made) == after
    # One that keeps its name is meant whichever it is.
    made["placements"][0]["target"]["id"] = functions[0]
    kept = before.replace(f"host={functions[1]}", f"host={functions[0]}")
    assert named(retarget_domain(kept, made)) == [functions[0], functions[2]]


def changed(key: str, value: str):
    made = copy.deepcopy(plan())
    made["placements"][0]["target"][key] = value
    return made


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (
            "kind",
            "pci",
            "is to become pci .*: libvirt migrates a guest only to a device of the same",
        ),
        ("id", "x'/><evil a='", "is not an id of kind mdev"),
        ("host", "c", "on several hosts: b, c"),
    ],
)
def test_targets_that_libvirt_cannot_have_are_refused(key, value, words):
    with pytest.raises(AnsibleError, match=words):
        retarget_domain(domain(), changed(key, value))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (None, "a mapping"),
        ([], "a mapping"),
        ({}, "the key 'placements'"),
        ({"placements": [{}]}, r"at placements\[0\] the key 'vm'"),
        ({"placements": None}, "at placements a list"),
        ({"placements": [], "unplaced": [{"source": 7}]}, r"at unplaced\[0\]\.source a mapping"),
    ],
)
def test_what_is_no_plan_is_refused_with_the_place(wrong, words):
    with pytest.raises(
        AnsibleError,
        match=rf"vfio\.migration\.retarget_domain: the plan is none; expected what migration_plan returns: {words} is expected",
    ):
        retarget_domain(domain(), wrong)


@pytest.mark.parametrize("host_of_domain", [None, "a"])
def test_of_guests_of_one_name_the_uuid_tells_whose_the_devices_are(host_of_domain):
    """Another process with the guest's name, on its host or another, has no part in its move."""
    own, other = ({"pid": n, "name": GUEST, "uuid": UUIDS[9 - n]} for n in (1, 2))
    hosts = {
        "a": host([device(UUIDS[0], in_use=own), device(UUIDS[1], in_use=other)]),
        "b": host([], [parent()]),
        "c": host([device(UUIDS[2], in_use=other)]),
    }
    made = migration_plan(hosts, drain=["a", "c"])
    for written in (UUIDS[8].replace("-", ""), UUIDS[8].upper()):
        xml = domain(1).replace("<metadata>", f"<uuid>{written}</uuid><metadata>")
        assert named(retarget_domain(xml, made, host_of_domain)) == [made["map"]["a"][UUIDS[0]]]
    with pytest.raises(AnsibleError, match=f"mdev {UUIDS[1]} of {GUEST} has no target in the plan"):
        retarget_domain(xml.replace(UUIDS[0], UUIDS[1]), made, host_of_domain)


def test_a_domain_without_assigned_devices_stays_as_it_is():
    assert retarget_domain(domain(0), plan(vm="vm-3")) == domain(0)
