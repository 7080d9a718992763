# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of a fleet's facts, and what is refused."""

from __future__ import annotations

import copy
import dataclasses
import gc
import json
import weakref

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.pairs import compatible_pairs
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet import reader
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import (
    ChangingFleet,
    read_fleet,
)
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    gvt_self,
    host,
    parent,
)
from hypothesis import given
from hypothesis import strategies as st


class HostVars(dict):
    """As Ansible's own: reading an item would template it, ``raw_get`` does not."""

    def raw_get(self, name):
        return dict(self).get(name)

    def __getitem__(self, name):
        raise AssertionError("facts are to be read untemplated")


def test_hostvars_are_read_untemplated():
    hostvars = HostVars(a={"ansible_facts": {"vfio_migration": host([device(UUIDS[0])])}})
    assert [each.id for each in read_fleet(hostvars).devices()] == [UUIDS[0]]


class Cycle:
    """Garbage that only the collector finds."""

    def __init__(self):
        self.itself = self


def test_small_readings_leave_no_garbage_behind():
    fleet = {"a": host([device(UUIDS[0])])}
    living = weakref.WeakSet()
    usual = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    try:
        for _time in range(2_000):
            living.add(Cycle())
            read_fleet(fleet)
    finally:
        gc.set_threshold(*usual)
    assert len(living) < 1_000


def test_other_variables_of_a_host_do_not_hide_its_facts():
    facts = host([device(UUIDS[0])])
    for variables in ({"ansible_facts": {"vfio_migration": facts}}, {"vfio_migration": facts}):
        assert read_fleet({"a": {"schema": "public", **variables}}).unknown == []


def test_a_mapping_of_host_to_facts_is_a_fleet():
    fleet = read_fleet({"a": host([device(UUIDS[0])], [parent()])})
    assert fleet.hosts["a"].parents[0].types[0].available_instances == 1
    assert next(fleet.devices()).descriptor.self_attributes == gvt_self()


def test_equal_descriptors_of_different_hosts_are_one():
    fleet = read_fleet({name: host([device(UUIDS[0])]) for name in "ab"})
    one, other = fleet.devices()
    assert one.descriptor is other.descriptor


@pytest.mark.parametrize(
    "variables", [{}, {"ansible_facts": {}}, None, "text", {"ansible_facts": {"other": 1}}]
)
def test_hosts_without_facts_are_unknown_and_the_others_are_not_lost(variables):
    fleet = read_fleet({"a": host(), "b": variables}, ["a", "b", "c"])
    assert fleet.unknown == ["b", "c"]
    assert list(fleet.hosts) == ["a"]


def test_recorded_facts_in_an_inventory_are_read_whatever_types_ansible_gives_them(tmp_path):
    facts = {name: host([device(UUIDS[0])], [parent()]) for name in "ab"}
    path = tmp_path / "hosts.yml"
    path.write_text(json.dumps(facts))
    recorded = DataLoader().load_from_file(str(path)).items()
    fleet = read_fleet({name: {"vfio_migration": each} for name, each in recorded})
    assert (fleet.unknown, fleet.problems) == ([], [])
    plain = read_fleet(facts)
    for name, each in fleet.hosts.items():
        assert [one.label for one in each.devices] == [
            one.label for one in plain.hosts[name].devices
        ]
        assert each.parents == plain.hosts[name].parents


@pytest.mark.parametrize("schema", [0, 2, None, "1", True])
def test_facts_of_another_schema_are_refused_with_what_to_do(schema):
    fleet = read_fleet({"a": host() | {"schema": schema}})
    assert fleet.unknown == ["a"]
    (problem,) = fleet.problems
    assert problem["host"] == "a"
    assert "run vfio_migration_facts there again" in problem["problem"]


@pytest.mark.parametrize(
    ("key", "value", "path"),
    [
        ("devices", {}, "devices"),
        ("devices", ["x"], "devices[0]"),
        ("devices", [{"id": "x"}], "devices[0].kind"),
        ("parents", [parent() | {"types": [{"id": "x"}]}], "parents[0].types[0]"),
        ("descriptors", [], "descriptors"),
        ("problems", ["x"], "problems[0]"),
        ("parents", [parent(), parent()], "parents"),
        ("parents", [{k: v for k, v in parent().items() if k != "pci_id"}], "parents[0].pci_id"),
    ],
)
def test_facts_of_another_shape_name_the_place(key, value, path):
    fleet = read_fleet({"a": host() | {key: value}, "b": host()})
    assert fleet.unknown == ["a"]
    assert fleet.problems[0]["path"].startswith(path)
    assert list(fleet.hosts) == ["b"]


def test_a_malformed_descriptor_costs_its_devices_only_their_descriptor():
    facts = host([device(UUIDS[0])])
    (digest,) = list(facts["descriptors"])
    facts["descriptors"][digest]["self"]["software_version"] = "one"
    fleet = read_fleet({"a": facts})
    assert next(fleet.devices()).descriptor is None
    assert fleet.problems[0]["path"] == f"descriptors.{digest}"


def test_what_is_no_mapping_is_no_fleet():
    with pytest.raises(FleetError, match="hostvars, or a mapping"):
        read_fleet(["a"])


def test_problems_of_the_hosts_are_kept_with_their_host():
    fleet = read_fleet({"a": host(problems=[{"path": "/sys/x", "problem": "no '='"}])})
    assert fleet.problems == [{"host": "a", "path": "/sys/x", "problem": "no '='"}]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.sampled_from(sorted(host())), st.sampled_from(sorted(device("x"))), JSON)
def test_whatever_a_cache_holds_a_host_is_read_or_unknown(key, field, value):
    for facts in (
        host([device(UUIDS[0], gvt())], [parent()]) | {key: value},
        host() | {"devices": [device(UUIDS[0]) | {"descriptor": None, field: value}]},
        host() | {"parents": [parent() | {field: value}]},
        value,
    ):
        fleet = read_fleet({"a": facts})
        assert ("a" in fleet.hosts) != (fleet.unknown == ["a"])


def replaced(draw, facts, value):
    """Draw ``facts`` with one thing in them, however deep, replaced by ``value``."""
    if isinstance(facts, (dict, list)) and facts and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(facts) if isinstance(facts, dict) else range(len(facts))))
        changed = facts.copy()
        changed[key] = replaced(draw, facts[key], value)
        return changed
    return value


FACTS = {
    name: host(
        [
            device(f"{name}-1", gvt(), vm="vm-1"),
            device(f"{name}-2", gvt("8", "4")),
            device(f"{name}-3", gvt("8", "4"), attributes=[], numa_node=None),
        ],
        [parent()],
        [{"path": "/sys/x", "problem": "odd"}],
    )
    for name in "ab"
}


@given(st.data())
def test_what_is_wrong_with_a_host_costs_no_other_one(data):
    odd = replaced(data.draw, FACTS["b"], data.draw(JSON))
    fleet = read_fleet({"a": FACTS["a"], "b": odd})
    alone = read_fleet({"a": FACTS["a"]})
    assert fleet.hosts["a"].devices == [
        dataclasses.replace(each, descriptor=fleet.hosts["a"].devices[index].descriptor)
        for index, each in enumerate(alone.devices())
    ]
    assert [each.descriptor.digest for each in fleet.hosts["a"].devices] == [
        each.descriptor.digest for each in alone.devices()
    ]
    assert fleet.hosts["a"].parents == alone.hosts["a"].parents
    assert ("b" in fleet.hosts) != (fleet.unknown == ["b"])
    for direction in ("source_lists", "target_accepts"):
        compatible_pairs(fleet, direction, expand=True)


class Text(str):
    """As templating hands out text: not plain, so that it is looked at one by one."""


class Number(int):
    """As templating hands out an integer."""


def not_plain(value):
    if isinstance(value, dict):
        return {Text(name): not_plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [not_plain(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return Number(value)
    return Text(value) if isinstance(value, str) else value


@given(st.data())
def test_many_at_once_and_one_by_one_read_the_same(data):
    odd = replaced(data.draw, FACTS["a"], data.draw(JSON))
    plain, tagged = read_fleet({"a": odd}), read_fleet({"a": not_plain(odd)})
    assert (plain.unknown, plain.problems) == (tagged.unknown, tagged.problems)
    assert compatible_pairs(plain, "either") == compatible_pairs(tagged, "either")
    for one, other in zip(plain.devices(), tagged.devices(), strict=True):
        assert dataclasses.replace(one, descriptor=None) == dataclasses.replace(
            other, descriptor=None
        )
        assert {type(other.id)} == {str}


@pytest.mark.parametrize("uuid", ["", None, 7, "vm-1", "A" + UUIDS[1][1:], [UUIDS[1]]])
def test_what_is_no_uuid_of_a_guest_is_refused_many_at_once_and_one_by_one(uuid):
    facts = copy.deepcopy(FACTS["a"])
    facts["devices"][0]["in_use"]["uuid"] = uuid
    for each in (facts, not_plain(facts)):
        fleet = read_fleet({"a": each})
        assert fleet.unknown == ["a"]
        assert fleet.problems[0]["path"] == "devices[0].in_use.uuid"


@pytest.mark.parametrize(
    ("features", "p2p"),
    [
        (["stop-copy", "p2p"], True),
        (["stop-copy"], False),
        ([], None),
        *((odd, None) for odd in (None, 7, "p2p", {"p2p": 1}, [7], [None])),
    ],
)
def test_what_a_device_supports_is_read_whatever_else_is_odd_on_its_host(features, p2p):
    migration = {"supported": True, "evidence": "debugfs", "features": features, "state": None}
    plain = host([device(UUIDS[0], vm="vm-0"), device(UUIDS[1], migration=migration)])
    odd = copy.deepcopy(plain)
    odd["devices"][0]["in_use"]["name"] = "vm-\udcff"
    for facts in (plain, odd, not_plain(plain)):
        _first, found = read_fleet({"a": facts}).devices()
        assert found.p2p is p2p


def test_devices_are_counted_by_class():
    host_a, host_b = list(read_fleet(FACTS).hosts.values())
    counted = {
        (each.descriptor.self_attributes["type"], each.free, each.configurable): count
        for each, count in host_a.classes.items()
    }
    assert counted == {
        ("i915-GVTg_V5_4", False, ("intel_vgpu/aggregator",)): 1,
        ("i915-GVTg_V5_8", True, ("intel_vgpu/aggregator",)): 1,
        ("i915-GVTg_V5_8", True, ()): 1,
    }
    assert host_a.classes == host_b.classes


@pytest.mark.parametrize(
    "odd",
    [
        {"migration": {"supported": 1}},
        {"attributes": [{"name": None, "value": "2"}]},
        {"attributes": {}},
        {"numa_node": True},
        {"in_use": 0},
        {"in_use": {"pid": False, "name": "vm"}},
        {"descriptor": "another"},
        {"descriptor": []},
        {"type": 4},
    ],
)
def test_what_equals_the_right_thing_is_not_taken_for_it(odd):
    honest = host([device("d-1", vm="vm", migration={"supported": True}), device("d-2")])
    liar = host([device("d-1", vm="vm", migration={"supported": True}), device("d-2")])
    liar["devices"][0] |= odd
    fleet = read_fleet({"a": honest, "b": liar})
    assert fleet.unknown == ["b"]
    assert fleet.problems[0]["path"].startswith("devices[0]")
    assert list(fleet.hosts) == ["a"]


def test_a_host_cannot_pass_its_descriptor_off_as_that_of_another():
    honest, liar = host([device(UUIDS[0])]), host([device(UUIDS[1], gvt("8", "4"))])
    (digest,), (other,) = honest["descriptors"], liar["descriptors"]
    liar["descriptors"] = {digest: liar["descriptors"][other]}
    liar["devices"][0]["descriptor"] = digest
    for names in ("ab", "ba"):
        fleet = read_fleet(dict(zip(names, (honest, liar), strict=True)))
        types = {each.id: each.descriptor.self_attributes["type"] for each in fleet.devices()}
        assert types == {UUIDS[0]: "i915-GVTg_V5_4", UUIDS[1]: "i915-GVTg_V5_8"}
        assert {each.descriptor.digest for each in fleet.devices()} == {digest, other}


def test_facts_are_not_held_but_read_again_for_the_devices():
    reads = []

    class Facts(dict):
        def __getitem__(self, name):
            reads.append(name)
            return super().__getitem__(name)

    fleet = read_fleet(Facts(FACTS))
    assert reads == ["a", "b"]
    assert [each.id for each in fleet.hosts["b"].devices] == ["b-1", "b-2", "b-3"]
    assert reads == ["a", "b", "b"]


def test_descriptors_are_looked_at_once_for_a_host_and_its_devices():
    facts = {"a": host([device(UUIDS[0])]), "b": host([device(UUIDS[1], gvt("8", "4"))])}
    fleet = read_fleet(facts)
    for each in facts.values():
        each["descriptors"] = {}
    types = [each.descriptor.self_attributes["type"] for each in fleet.devices()]
    assert types == ["i915-GVTg_V5_4", "i915-GVTg_V5_8"]


def test_hosts_with_equal_parents_share_them():
    fleet = read_fleet(FACTS)
    one, other = list(fleet.hosts.values())
    assert one.equipment is other.equipment
    assert (one.parents[0].host, other.parents[0].host) == ("a", "b")


def test_a_changing_fleet_reads_only_what_has_changed_and_shares_what_is_equal():
    facts = {"a": host([device(UUIDS[0], vm="vm")]), "b": host([device(UUIDS[1])])}
    fleet = read_fleet(facts)
    changing = ChangingFleet(fleet, ["b", "a"])
    assert [*changing] == ["a", "b"]
    assert changing["a"] is fleet.hosts["a"]
    changing.change({"a": host([device(UUIDS[2])])})
    assert [each.id for each in changing["a"].devices] == [UUIDS[2]]
    assert changing["a"] is changing["a"]
    assert changing["b"] is fleet.hosts["b"]
    (one,), (other,) = (changing[name].devices for name in "ab")
    assert one.descriptor is other.descriptor
    assert [each.id for each in fleet.hosts["a"].devices] == [UUIDS[0]]


def test_a_fleet_that_was_put_together_changes_as_one_that_was_read():
    read = read_fleet({"a": host([device(UUIDS[0])]), "b": host([device(UUIDS[1])])})
    changing = ChangingFleet(Fleet(read.hosts), ["a", "b"])
    assert [each.id for name in changing for each in changing[name].devices] == [*UUIDS[:2]]


def test_odd_facts_of_a_host_do_not_outlast_it():
    odd = host([device(UUIDS[0], vm="vm")])
    odd["devices"][0]["in_use"]["name"] = "x" * 300
    changing = ChangingFleet(read_fleet({"a": host()}), ["a"])
    changing.change({"a": odd})
    assert changing["a"].devices[0].in_use.name is None
    changing.change({"a": host([device(UUIDS[1])])})
    assert [each.id for each in changing["a"].devices] == [UUIDS[1]]


def test_what_is_kept_of_attributes_has_an_end(monkeypatch):
    monkeypatch.setattr(reader, "_MOST_CONTENTS", 1)
    devices = [
        device(name, attributes=[{"name": "aggregator", "value": value}])
        for name, value in zip(UUIDS[:3], "123", strict=True)
    ]
    fleet = read_fleet({"a": host(devices)})
    assert [each.attributes for each in fleet.devices()] == [(("aggregator", n),) for n in "123"]
