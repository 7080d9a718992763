# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters and the test as playbooks use them: through Ansible's own templating."""

from __future__ import annotations

import gc
import inspect

import pytest
from ansible import template
from ansible.errors import AnsibleError
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.vfio.migration.plugins.filter.compatibility import compatibility
from ansible_collections.vfio.migration.plugins.filter.compatible_pairs import compatible_pairs
from ansible_collections.vfio.migration.plugins.filter.explain import explain
from ansible_collections.vfio.migration.plugins.filter.libvirt_order import libvirt_order
from ansible_collections.vfio.migration.plugins.filter.migration_failure import migration_failure
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.filter.migration_result import migration_result
from ansible_collections.vfio.migration.plugins.filter.migration_way_back import (
    migration_way_back,
)
from ansible_collections.vfio.migration.plugins.filter.parse_descriptor import parse_descriptor
from ansible_collections.vfio.migration.plugins.filter.placement_states import placement_states
from ansible_collections.vfio.migration.plugins.filter.plan_summary import plan_summary
from ansible_collections.vfio.migration.plugins.filter.prepared_devices import prepared_devices
from ansible_collections.vfio.migration.plugins.filter.superfluous_devices import (
    superfluous_devices,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.checks import (
    MigrationCase,
    check_migration,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import find_guests
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import plain
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.libvirt_answers import (
    said_by_libvirt,
)
from ansible_collections.vfio.migration.plugins.test.compatible_with import compatible_with
from ansible_collections.vfio.migration.tests.unit.filter_calls import filter_of, plugins
from ansible_collections.vfio.migration.tests.unit.fleets import (
    COMPATIBLE,
    UUIDS,
    device,
    gvt,
    host,
    parent,
    sets,
)
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import guest_info, libvirt_info
from jinja2 import StrictUndefined, UndefinedError

FLEET = {"a": host([device(UUIDS[0])]), "b": host(parents=[parent()])}


LONG_AGO = {"gathered": {"time": "2020-08-19T10:05:53Z", "boot": None}}
RECORDED = {name: facts | LONG_AGO for name, facts in FLEET.items()}
CACHED = {name: {"ansible_facts": {"vfio_migration": facts}} for name, facts in RECORDED.items()}
SOURCE = {"host": "a", "id": UUIDS[0]}
OF_A_FLEET = {
    "compatible_pairs": lambda fleet, **age: compatible_pairs(fleet, **age)["unknown"],
    "migration_plan": lambda fleet, **age: migration_plan(fleet, sources=[], **age)["unknown"],
    "placement_states": lambda fleet, **age: [
        each["source"]["host"]
        for each in placement_states(fleet, migration_plan(FLEET, drain=["a"]), **age)
        if each["state"] == "unclear" and " old, and " in each["reason"]
    ],
}


@pytest.mark.parametrize("name", OF_A_FLEET)
def test_what_reads_cached_facts_knows_their_age(name):
    unknown = OF_A_FLEET[name]
    assert set(unknown(CACHED)) in ({"a", "b"}, {"a"})
    assert list(unknown(CACHED, max_age=0)) == list(unknown(RECORDED)) == []
    assert unknown(RECORDED, max_age=1) == unknown(CACHED)
    for odd in (-1, "soon", 1.5, True, []):
        with pytest.raises(AnsibleError, match=r"max_age is .*; expected a number of seconds"):
            unknown(RECORDED, max_age=odd)


def test_an_explanation_names_the_age_of_the_facts():
    with pytest.raises(AnsibleError, match=r"a is unknown: the facts are .* old"):
        explain(CACHED, SOURCE, "b")
    assert explain(CACHED, SOURCE, "b", max_age=0)["placement"]


def test_parse_descriptor_reads_text():
    assert parse_descriptor(COMPATIBLE) == sets(COMPATIBLE)
    assert parse_descriptor("") == []


@pytest.mark.parametrize("text", ["no equals sign", "a=1\na=2", "a=ä", 7])
def test_parse_descriptor_refuses_the_rest_by_name(text):
    with pytest.raises(AnsibleError, match=r"vfio\.migration\.parse_descriptor: "):
        parse_descriptor(text)


def test_compatibility_and_its_test_agree():
    for target in (gvt("8", "4"), gvt("8", "1")):
        assert compatibility(gvt(), target)["compatible"] == compatible_with(gvt(), target)


def test_a_descriptor_that_breaks_a_rule_is_a_verdict_and_no_error():
    result = compatibility({"self": {"type": "x"}, "compatible": []}, gvt())
    (reason,) = result["reasons"]
    assert (reason["rule"], reason["attribute"]) == ("no_descriptor", "software_version")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: compatibility([], gvt()), "the source is not a descriptor"),
        (lambda: compatibility(gvt(), gvt(), "upwards"), "direction is 'upwards'; expected one of"),
        (lambda: compatible_pairs([]), "a fleet is hostvars"),
        (lambda: compatible_pairs(FLEET, hosts={}), "hosts is {}; expected a list"),
        *(
            (lambda option=option: compatible_pairs(FLEET, **{option: ["x"]}), f"{option} has 'x'")
            for option in ("sources", "targets")
        ),
        (lambda: migration_plan(FLEET), "exactly one"),
        (lambda: migration_plan(FLEET, drain=["a"], policy="x"), "policy is 'x'"),
        (lambda: migration_plan(FLEET, drain=["a"], avoid=["b"]), "avoid has 'b'"),
        (
            lambda: migration_plan(FLEET, drain=["a"], avoid=[{"host": None}]),
            "avoid has {'host': None}",
        ),
        (
            lambda: migration_plan(FLEET, drain=["a"], avoid=[{"host": "b", "parent": 3}]),
            "avoid has {'host': 'b', 'parent': 3}",
        ),
        (lambda: migration_plan(FLEET, sources="vm-1"), "sources is 'vm-1'; expected a list"),
        (
            lambda: migration_plan(FLEET, [], policy=""),
            "policy is ''; expected one of pack, spread",
        ),
        (lambda: migration_plan(FLEET, [], keep_kind="mdev"), "keep_kind is 'mdev'; expected true"),
        (lambda: explain(FLEET, "x", "b"), "names no device"),
        (lambda: libvirt_order([], {}), "the plan is none; expected what migration_plan"),
        (lambda: libvirt_order([], {"placements": []}, 0), "priority is 0; expected numbers by"),
        (lambda: migration_way_back(7), "the record is none; expected its lines"),
        (
            lambda: migration_way_back([], "2026"),
            "the record has nothing of run '2026'; it has no run",
        ),
        (lambda: migration_way_back([], []), "run is list; expected text"),
        (lambda: migration_way_back("{"), "there is no record in what is given: line 1 of"),
        (lambda: migration_way_back([{}]), "a line of the record is none of format 1"),
        (lambda: migration_failure([{}], {}, "a", {}), "the list of logs is none; expected"),
        (lambda: migration_failure([], {}, "a", {}, lines="x"), "lines is 'x'; expected a number"),
        (
            lambda: libvirt_order([], {"placements": []}, {"x": "first"}),
            "priority for x is 'first'; expected a number",
        ),
        (lambda: migration_result({}, {}, []), "what the checks come to is none; expected"),
        (lambda: migration_result({}, {}, [{}]), "the list of attempts is none; expected"),
        (lambda: migration_result({}, {}, 7), "attempts is 7; expected a list"),
        (lambda: plan_summary([]), "the plan is none; expected what migration_plan returns"),
        (lambda: prepared_devices({}, "a", []), "the plan is none; expected what migration_plan"),
        (lambda: prepared_devices({"hosts": {}}, "a", [{}]), "and the results of its modules"),
        (
            lambda: prepared_devices({"hosts": {"a": {"devices": [{}]}}}, "a", [{}, {}, {}]),
            r"at hosts\.a\.devices\[0\] the key 'uuid' is expected",
        ),
        (lambda: superfluous_devices([{}], ["prepared"], []), "the list of states is none"),
        (lambda: superfluous_devices([], ["all"], []), "remove is 'all'; expected one of prepared"),
    ],
)
def test_wrong_arguments_are_named_with_what_would_be_right(call, words):
    with pytest.raises(AnsibleError, match=words):
        call()


def test_garbage_is_searched_for_again_after_pairs_were_found_or_not():
    compatible_pairs({"a": host([device(UUIDS[0])])})
    assert gc.isenabled()
    with pytest.raises(AnsibleError):
        compatible_pairs(["a"])
    assert gc.isenabled()
    gc.disable()
    try:
        compatible_pairs({})
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_one_host_may_be_named_without_a_list():
    assert migration_plan(FLEET, drain="a")["status"] == "optimal"


def test_hosts_narrow_the_fleet_and_targets_the_plan():
    assert migration_plan(FLEET, drain=["a"], hosts=["a"])["status"] == "infeasible"
    assert migration_plan(FLEET, drain=["a"], targets=[])["status"] == "infeasible"
    assert migration_plan(FLEET, drain=["a"], hosts=["a", "b", "z"])["unknown"] == ["z"]


class Tagged(str):
    """As templating hands out text: C libraries refuse it where they expect ``str`` itself."""


def tagged(value: object) -> object:
    if isinstance(value, dict):
        return {Tagged(name): tagged(each) for name, each in value.items()}
    if isinstance(value, list):
        return [tagged(each) for each in value]
    return Tagged(value) if isinstance(value, str) else value


def texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


def test_results_hold_text_that_is_no_template_whatever_kind_of_text_came_in():
    fleet = tagged(FLEET)
    # What is not marked so, ansible-core before 2.19 takes for a template.
    kind = str if hasattr(template, "trust_as_template") else type(wrap_var(""))
    for result in (
        migration_plan(fleet, drain=["a"]),
        compatible_pairs(fleet),
        explain(fleet, {"host": "a", "id": UUIDS[0]}, "b"),
        compatibility(tagged(gvt()), tagged(gvt("2", "2"))),
    ):
        assert {type(text) for text in texts(result)} == {kind}


def test_filters_of_the_roles_hand_on_texts_of_hosts_as_they_are():
    vm = "vm {{ 1 + 1 }}"
    uuid = UUIDS[9]
    fleet = tagged({"a": host([device(UUIDS[0], vm=vm)]), "b": host(parents=[parent()])})
    libvirt = {"a": libvirt_info(guest_info(vm, uuid)), "b": libvirt_info()}
    hosts = {name: said_by_libvirt(plain(tagged(answer))) for name, answer in libvirt.items()}
    read = read_fleet(fleet)
    guests = find_guests(read, hosts, asked=dict.fromkeys([vm]))
    checks = check_migration(MigrationCase(read, guests, hosts, hosts, drain=["a"]))
    plan = migration_plan(fleet, sources=[checks["chosen"][0]["device"]], targets=["b"])
    migrations = libvirt_order(checks["chosen"], plan, tagged({vm: "2"}))
    states = placement_states(fleet, plan)
    logs = [{"ansible_loop_var": "item", "item": {"host": "b", "who": "QEMU"}, "stdout": "2026- x"}]
    said = migration_failure(tagged(logs), {"stdout": vm}, "a", {"a": "", "b": ""}, exceeded=9)
    attempts = [{"vm": vm, "host": "a", "said": said, "states": states}]
    found = migration_result(checks, migrations, tagged(attempts), problems=[vm])
    skipped = [{"skipped": True}, {}, {"failed": True, "msg": vm, "device": UUIDS[0]}]
    moved = {"format": 1, "run": "now", "vm": vm, "vm_uuid": None, "source": "a", "target": "b"}
    moved["outcome"] = "moved"
    kind = str if hasattr(template, "trust_as_template") else type(wrap_var(""))
    for result in (
        *(migrations, said, found, plan_summary(plan, {"c": vm})),
        prepared_devices(plan, "b", tagged(skipped)),
        superfluous_devices(states, ["prepared"], ["a", "b"]),
        migration_way_back(tagged([moved])),
    ):
        assert {type(text) for text in texts(result)} == {kind}
    (one,) = migrations["going"]
    assert (one["vm"], one["uuid"], one["target"]) == (vm, uuid, "b")
    assert found["sentences"] == [
        f"{vm} stays on a:",
        f"  {said[0]}",
        f"  the guest on a is {vm}",
        "  QEMU on b: 2026- x",
    ]
    assert found["failure"].endswith(f"{vm}")


@pytest.mark.parametrize("name", [*plugins("filter"), *plugins("test")])
def test_what_is_undefined_is_named(name):
    called = filter_of(name)
    for place in range(len(inspect.signature(called).parameters)):
        arguments = [None] * place + [StrictUndefined(name="nowhere")]
        with pytest.raises(UndefinedError, match="'nowhere' is undefined"):
            called(*arguments)
