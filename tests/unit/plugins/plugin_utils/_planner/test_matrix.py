# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A new AP matrix is given its adapters and domains: at once, or one number after the other before Linux 6.10."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import random
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.filter.maintenance_plan import maintenance_plan
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import violations
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree, nobody
from ansible_collections.vfio.migration.tests.unit.vendor_trees import (
    AP_CONFIG,
    CARDS,
    MIGRATABLE_MATRIX,
    TREES,
    UUID,
)
from hypothesis import given
from hypothesis import strategies as st

ASSIGNED = [
    ("assign_adapter", "0x05"),
    ("assign_adapter", "0x06"),
    ("assign_domain", "0x04"),
    ("assign_domain", "0xab"),
    ("assign_control_domain", "0x04"),
]


@pytest.fixture
def fleet(tmp_path: Path) -> t.Callable[[str], dict[str, t.Any]]:
    """Return what makes two hosts of a tree: one whose guest has the device, and one that can make such a device.

    The guest's emulator is taken to migrate it, which QEMU does not do today.
    """

    def make(name: str) -> dict[str, t.Any]:
        tree = Tree(tmp_path / "sys")
        next(vendor for vendor in TREES if vendor.name == name).build(tree)
        source = gather_facts(Sysfs(str(tree.root)), nobody)
        (device,) = source["devices"]
        device["migration"]["supported"] = None
        device["in_use"] = {"pid": 17, "name": "vm-17"}
        target = copy.deepcopy(source)
        target["devices"] = []
        return {"a": source, "b": target}

    return make


@pytest.mark.parametrize(
    ("tree", "attributes"),
    [("vfio_ap-6", ASSIGNED), ("vfio_ap", [("ap_config", AP_CONFIG)]), ("vfio_ap-empty", [])],
)
def test_a_new_matrix_is_given_what_its_source_has(fleet, tree, attributes):
    facts = fleet(tree)
    plan = migration_plan(facts, drain=["a"])
    (placement,) = plan["placements"]
    target = placement["target"]
    assert target["create"]
    assert [(each["name"], each["value"]) for each in target["attributes"]] == attributes
    (device,) = plan["hosts"]["b"]["devices"]
    assert device["attributes"] == target["attributes"]
    assert violations(plan, facts) == []


def test_a_plan_that_leaves_a_number_out_is_objected_to(fleet):
    facts = fleet("vfio_ap-6")
    plan = migration_plan(facts, drain=["a"])
    for number in range(len(ASSIGNED)):
        wrong = copy.deepcopy(plan)
        del wrong["placements"][0]["target"]["attributes"][number]
        assert any("other numbers are assigned" in each for each in violations(wrong, facts))


def test_a_matrix_that_gets_another_uuid_has_a_warning(fleet):
    facts = fleet("vfio_ap")
    (placement,) = migration_plan(facts, drain=["a"])["placements"]
    assert placement["target"]["id"] == placement["source"]["id"]
    assert not any("UUID" in each for each in placement["warnings"])
    (device,) = facts["a"]["devices"]
    facts["b"]["devices"] = [{**device, "id": UUIDS[9], "in_use": None}]
    (placement,) = migration_plan(facts, drain=["a"])["placements"]
    assert any(f"UUID of the source, {device['id']}" in each for each in placement["warnings"])


@pytest.mark.parametrize("release", ["6.9.12", "6.10.0", ""])
def test_a_host_before_linux_6_10_is_given_the_numbers_though_the_source_has_masks(
    fleet, tmp_path, release
):
    facts = fleet("vfio_ap")
    tree = Tree(tmp_path / "target")
    vendor = next(vendor for vendor in TREES if vendor.name == "vfio_ap")
    dataclasses.replace(vendor, release=release).build(tree)
    facts["b"] = {**gather_facts(Sysfs(str(tree.root)), nobody), "devices": []}
    (placement,) = migration_plan(facts, drain=["a"])["placements"]
    written = [(each["name"], each["value"]) for each in placement["target"]["attributes"]]
    assert written == (ASSIGNED if release == "6.9.12" else [("ap_config", AP_CONFIG)])
    assert not any("ap_config" in each for each in placement["warnings"])


# --- what a driver that can migrate compares ---

OTHER_CONFIG = AP_CONFIG.replace("0x08", "0x04")
NOTHING = ",".join([f"0x{0:064x}"] * 3)
FEATURES, FUNCTIONS, TYPE, MASK = (
    "../features",
    "../../../../bus/ap/devices/card05/ap_functions",
    "../../../../bus/ap/devices/card05/hwtype",
    "../../../../bus/ap/ap_control_domain_mask",
)


class Migratable(t.NamedTuple):
    """Makes the facts of hosts whose driver shows that it can migrate."""

    root: Path

    def __call__(
        self,
        devices: t.Mapping[str, str] | None = None,
        cards: t.Mapping[str, str | None] | None = None,
        release: str = "",
        guest: str = "",
    ) -> dict[str, t.Any]:
        """Return the facts of a host with ``devices``, the masks by UUID; ``cards`` are other files, ``None`` for those that are missing."""
        files = {path: text for path, text in {**CARDS, **(cards or {})}.items() if text}
        parent = {path.removeprefix("../"): text for path, text in files.items()}
        found, descriptors = [], {}
        for uuid, masks in [*(devices or {}).items()] or [("", AP_CONFIG)]:
            root = self.root / str(len([*self.root.iterdir()]))
            files = {"matrix": "", "ap_config": masks}
            vendor = dataclasses.replace(
                MIGRATABLE_MATRIX, parent=parent, release=release, files=files
            )
            vendor.build(Tree(root))
            facts = gather_facts(Sysfs(str(root)), nobody)
            assert facts["problems"] == []
            for each in facts["devices"] if uuid else ():
                held = {"pid": 7, "name": guest} if guest else None
                found.append({**each, "id": uuid, "in_use": held})
                descriptors |= facts["descriptors"]
        return {**facts, "devices": found, "descriptors": descriptors}


@pytest.fixture
def migratable(tmp_path: Path) -> Migratable:
    return Migratable(tmp_path)


def planned(source: t.Any, **targets: t.Any) -> t.Any:
    facts = {"a": source, **targets}
    plan = migration_plan(facts, drain=["a"])
    assert violations(plan, facts) == []
    return plan


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        ({}, None),
        ({FEATURES: "guest_matrix dyn ap_config"}, "has migratable no; yes is needed"),
        # Unless the kernel tells its release, it is not known to be older.
        ({FEATURES: None}, None),
        ({TYPE: "14"}, None),
        ({TYPE: "12"}, "has hwtype 12,14; 13,14 or more, each is needed"),
        # Bit 9 may go to bit 8.
        ({FUNCTIONS: "0x92400000"}, "has ap_class 0,0; 1,0 or more, each is needed"),
        ({FUNCTIONS: "0x82800000"}, "has ap_functions 82,92; 92,92 is needed"),
        ({FUNCTIONS: "0x9280c000"}, "has ap_functions secure,92; 92,92 is needed"),
        ({FUNCTIONS: None, TYPE: None}, "has ap_functions absent,92; 92,92 is needed"),
        ({MASK: f"0xf7{'f' * 62}"}, "has missing_control_domains 04; it must be absent or empty"),
        ({MASK: f"0x08{'0' * 62}"}, None),
        ({MASK: None}, None),
        ({MASK: "not supported"}, None),
    ],
)
def test_what_a_hosts_cards_are_decides_on_a_matrix_before_it_is_made(migratable, cards, reason):
    plan = planned(migratable({UUID: AP_CONFIG}, guest="vm-1"), b=migratable(cards=cards))
    told = [each["reason"] for left in plan["unplaced"] for each in left["reasons"]]
    if reason is None:
        (placement,) = plan["placements"]
        assert placement["target"]["create"]
        assert placement["target"]["id"] == UUID
    else:
        assert plan["status"] == "infeasible"
        assert f"a new vfio_ap-passthrough under matrix on b {reason}" in told


def test_what_a_matrix_shows_is_what_was_foreseen(migratable):
    """A host whose cards would be refused has them refused of a device that is there, as well."""
    source = migratable({UUID: AP_CONFIG}, guest="vm-1")
    for cards in ({TYPE: "12"}, {FUNCTIONS: "0x82800000"}, {FUNCTIONS: None, TYPE: None}):
        new, there, waiting = (
            planned(source, b=migratable(devices, cards=cards))
            for devices in (None, {UUID: AP_CONFIG}, {UUID: NOTHING})
        )
        differing = [
            {
                each["reason"].partition(" has ")[2]
                for each in plan["unplaced"][0]["reasons"]
                if each["code"] == "attribute"
            }
            for plan in (new, there, waiting)
        ]
        assert differing[0] == differing[1] == differing[2] != set()


def test_a_host_before_linux_6_10_cannot_take_a_migration(migratable):
    source = migratable({UUID: AP_CONFIG}, guest="vm-1")
    plan = planned(source, b=migratable(cards={FEATURES: None}, release="6.9.1"))
    assert plan["status"] == "infeasible"


def test_a_matrix_goes_to_one_of_its_uuid(migratable):
    source = migratable({UUID: AP_CONFIG}, guest="vm-1")
    # One that is there and equal, and one that nothing is assigned to, which stays so until the state comes.
    for masks in (AP_CONFIG, NOTHING):
        plan = planned(source, b=migratable({UUID: masks}))
        (placement,) = plan["placements"]
        target = placement["target"]
        assert plan["status"] == "optimal"
        assert (target["id"], target["create"]) == (UUID, False)
        assert target["attributes"] == []
        (task,) = plan["hosts"]["b"]["devices"]
        assert (task["uuid"], task["attributes"]) == (UUID, [])
        # What is not there yet cannot be verified.
        waits = masks == NOTHING
        assert ("accept" in task) is not waits
        assert any("nothing is assigned" in each for each in placement["warnings"]) is waits
        assert placement["certainty"] == ("provisional" if waits else "derived")
    # One of another UUID is no target, and a new one comes before it.
    (placement,) = planned(source, b=migratable({UUIDS[9]: NOTHING}))["placements"]
    assert (placement["target"]["id"], placement["target"]["create"]) == (UUID, True)
    other = planned(source, b=migratable({UUIDS[9]: AP_CONFIG}))
    assert {code for code, _words in reasons(other)} == {"other_uuid", "queue_assigned"}
    # One of the UUID that has another matrix leaves no place for a new one.
    taken = planned(source, b=migratable({UUID: AP_CONFIG.replace("0x06", "0x01")}))
    assert [code for code, _words in reasons(taken)] == ["other_uuid"]
    assert "a device there has the UUID of the source" in reasons(taken)[0][1]


def test_a_matrix_that_waits_is_given_no_queue_that_another_one_has(migratable):
    source = migratable({UUID: AP_CONFIG}, guest="vm-1")
    plan = planned(source, b=migratable({UUID: NOTHING, UUIDS[9]: AP_CONFIG}))
    assert plan["status"] == "infeasible"
    assert "queue_assigned" in {code for code, _words in reasons(plan)}


@pytest.mark.parametrize(
    ("there", "uuid", "masks"),
    [
        ({UUID: NOTHING}, UUIDS[9], AP_CONFIG),
        ({}, UUIDS[9], AP_CONFIG),
        # Two hosts may have devices of one UUID.
        ({}, UUID, OTHER_CONFIG),
    ],
)
def test_what_is_kept_of_an_earlier_plan_has_its_queues_and_its_uuid(
    migratable, there, uuid, masks
):
    facts = {"a": migratable({UUID: AP_CONFIG}, guest="vm-1"), "c": migratable(there)}
    earlier = migration_plan(facts, drain=["a"])
    facts |= {"b": migratable({uuid: masks}, guest="vm-2"), "d": migratable()}
    plan = migration_plan(facts, drain=["a", "b"], earlier=earlier)
    targets = {each["vm"]: each["target"]["host"] for each in plan["placements"]}
    assert targets == {"vm-1": "c", "vm-2": "d"}
    assert violations(plan, facts) == []


@pytest.mark.parametrize(("uuid", "masks"), [(UUIDS[9], AP_CONFIG), (UUID, OTHER_CONFIG)])
def test_where_a_host_has_been_given_the_queues_or_the_uuid_since_an_earlier_plan_another_one_is_found(
    migratable, uuid, masks
):
    facts = {"a": migratable({UUID: AP_CONFIG}, guest="vm-1"), "b": migratable(), "c": migratable()}
    earlier = migration_plan(facts, drain=["a"])
    (before,) = earlier["placements"]
    taken = before["target"]["host"]
    facts[taken] = migratable({uuid: masks}, guest="vm-2")
    plan = migration_plan(facts, drain=["a"], earlier=earlier)
    (placement,) = plan["placements"]
    assert {placement["target"]["host"], taken} == {"b", "c"}
    assert [each["vm"] for each in plan["changes"]] == ["vm-1"]


@pytest.mark.parametrize("there", [{}, {UUID: NOTHING}, {UUID: NOTHING, UUIDS[9]: NOTHING}])
def test_maintenance_gives_a_queue_to_one_device_of_a_host(migratable, there):
    """What arrived with one step has its queues in the next one."""
    facts = {
        "a": migratable({UUID: AP_CONFIG}, guest="vm-1"),
        "b": migratable({UUIDS[9]: AP_CONFIG}, guest="vm-2"),
        "c": migratable(there),
    }
    found = maintenance_plan(facts, emptied=["a", "b"])
    assert [each["hosts"] for each in found["steps"]] == [["a"]]
    codes = {each["code"] for left in found["blocked"]["unplaced"] for each in left["reasons"]}
    assert "queue_assigned" in codes
    # With other queues there is room for both.
    facts["b"] = migratable({UUIDS[9]: OTHER_CONFIG}, guest="vm-2")
    facts["d"] = migratable()
    assert len(maintenance_plan(facts, emptied=["a", "b"])["steps"]) == 2


@pytest.mark.parametrize(
    "told",
    [
        {"features": "migratable", "cards": "=,/ == 92/1/13=05 x=06 92=05,06 /=/"},
        {"features": "migratable", "cards": " "},
        {"features": "migratable ap_config", "host_control_domains": ",,zz"},
        {"features": "", "cards": "92/1/13=05"},
    ],
)
def test_whatever_a_parent_tells_harms_its_host_alone(migratable, told):
    source = migratable({UUID: AP_CONFIG}, guest="vm-1")
    odd = migratable()
    odd["parents"][0]["self"] = told
    planned(source, b=odd)
    (placement,) = planned(source, b=odd, c=migratable(cards={}))["placements"]
    assert placement["target"]["host"] == "c"


# --- a queue belongs to one device of a host ---


def matrices(*numbers: tuple[str, str], on: str = "a") -> list[dict[str, t.Any]]:
    """Return guests' devices with these adapters and domains."""
    found = []
    for number, (adapters, domains) in enumerate(numbers):
        own = {
            "software_version": "0.0",
            "device_api": "vfio-ap",
            "type": "vfio_ap-passthrough",
            "driver": "vfio_ap",
            "adapters": adapters,
            "domains": domains,
            "control_domains": "",
        }
        descriptor = {"self": own, "compatible": [own], "origin": "derived"}
        name = f"vm-{on}{number}"
        place = "abcd".index(on) * 4 + number
        found.append(device(UUIDS[place], descriptor, name, parent="matrix", pid=10 + place))
    return found


def empty(*devices: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return a host that can make such devices, beside ``devices``."""
    made = parent(
        "matrix",
        None,
        {"vfio_ap-passthrough": 65536},
        device_api="vfio-ap",
        driver="vfio_ap",
    )
    return host([*devices], parents=[made])


def reasons(plan: dict[str, t.Any]) -> list[tuple[str, str]]:
    return [(each["code"], each["reason"]) for each in plan["unplaced"][0]["reasons"]]


SAME = [("05", "04"), ("04,05", "04,05")]


def test_guests_with_a_queue_in_common_go_to_different_hosts():
    facts = {
        "a": host(matrices(SAME[0], on="a")),
        "b": host(matrices(SAME[1], on="b")),
        "c": empty(),
        "d": empty(),
    }
    plan = migration_plan(facts, drain=["a", "b"])
    assert violations(plan, facts) == []
    assert {each["target"]["host"] for each in plan["placements"]} == {"c", "d"}


def test_a_host_is_never_given_a_queue_twice():
    facts = {"a": host(matrices(SAME[0], on="a")), "b": host(matrices(SAME[1], on="b"))}
    facts["c"] = empty()
    plan = migration_plan(facts, drain=["a", "b"])
    assert violations(plan, facts) == []
    assert (plan["status"], len(plan["placements"])) == ("infeasible", 1)
    found = dict(reasons(plan))
    assert "this plan gives its AP queue 05.0004 to another guest there" in found["queue_assigned"]


def test_a_queue_that_any_device_of_a_host_has_is_not_to_be_had_there():
    (there,) = matrices(("04,05", "04,06"), on="c")
    for holder in (there["in_use"], None):
        facts = {"a": host(matrices(SAME[0], on="a")), "c": empty({**there, "in_use": holder})}
        plan = migration_plan(facts, drain=["a"])
        assert violations(plan, facts) == []
        assert plan["placements"] == []
        words = dict(reasons(plan))["queue_assigned"]
        assert words.endswith(f": {there['id']} there has its AP queue 05.0004")


def test_a_device_that_has_the_queues_says_why_it_is_no_target_itself():
    (there,) = matrices(("05", "04"), on="c")
    there["in_use"] = None
    there["descriptor"]["self"]["control_domains"] = "07"
    facts = {"a": host(matrices(SAME[0], on="a")), "c": empty(there)}
    found = reasons(migration_plan(facts, drain=["a"]))
    assert [code for code, _words in found] == ["queue_assigned", "attribute"]
    assert found[1][1].startswith(f"{there['id']} on c has control_domains 07; ")


@given(st.integers(0, 100_000))
def test_as_many_guests_have_places_as_queues_allow(seed):
    chance = random.Random(seed)
    sources = {
        name: matrices(
            *(
                (",".join(sorted(chance.sample(["01", "02", "03"], chance.randint(1, 3)))), "04")
                for _guest in range(chance.randint(1, 3))
            ),
            on=name,
        )
        for name in "ab"
    }
    targets = "cd"[: chance.randint(1, 2)]
    facts = {name: host(devices) for name, devices in sources.items()}
    facts |= {name: empty() for name in targets}
    asked = {"drain": ["a", "b"], "policy": chance.choice(["pack", "spread"])}
    plan = migration_plan(facts, **asked)
    assert violations(plan, facts, Conditions(**asked)) == []
    wanted = [
        {*each["descriptor"]["self"]["adapters"].split(",")}
        for devices in sources.values()
        for each in devices
    ]
    most = max(
        sum(place is not None for place in places)
        for places in itertools.product([*targets, None], repeat=len(wanted))
        if all(
            one is None or one != other or adapters.isdisjoint(others)
            for (one, adapters), (other, others) in itertools.combinations(
                zip(places, wanted, strict=True), 2
            )
        )
    )
    assert len(plan["placements"]) == most
    assert plan["status"] in (["optimal", "feasible"] if most == len(wanted) else ["infeasible"])


@pytest.mark.parametrize("other", [("05", "05"), ("06", "04"), ("", "04")])
def test_without_a_queue_in_common_guests_are_together(other):
    facts = {"a": host(matrices(("05", "04"), other)), "c": empty()}
    plan = migration_plan(facts, drain=["a"])
    assert violations(plan, facts) == []
    assert len(plan["placements"]) == 2


def test_what_is_kept_of_an_earlier_plan_has_its_queues():
    facts = {"a": host(matrices(SAME[0], on="a")), "b": host(matrices(SAME[1], on="b"))}
    facts |= {"c": empty(), "d": empty()}
    earlier = migration_plan(facts, drain=["a"])
    plan = migration_plan(facts, drain=["a", "b"], earlier=earlier)
    assert violations(plan, facts) == []
    hosts = {each["source"]["host"]: each["target"]["host"] for each in plan["placements"]}
    assert hosts["a"] == earlier["placements"][0]["target"]["host"]
    assert {*hosts.values()} == {"c", "d"}
