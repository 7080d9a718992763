# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One list of conditions: the fields of ``Conditions``, as filter, action, documentation and roles have them."""

from __future__ import annotations

import inspect
import typing as t
from pathlib import Path
from unittest import mock

import pytest
from ansible.module_utils.common.yaml import yaml_load
from ansible.utils.display import Display
from ansible_collections.vfio.migration.plugins.action.migration_plan import ActionModule
from ansible_collections.vfio.migration.plugins.doc_fragments import _fleet, _plan
from ansible_collections.vfio.migration.plugins.filter import migration_plan as filter_module
from ansible_collections.vfio.migration.plugins.modules import migration_plan as module
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.search import Budget
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import (
    make_verified_plan,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    OPTIONS,
    Conditions,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import (
    MAX_LINE,
    MAX_SENTENCES,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin import plan_options
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.headroom_options import (
    headroom_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.maintenance_options import (
    maintenance_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_arguments import ARGUMENTS
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.rebalance_options import (
    rebalance_for,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent

ROOT = Path(__file__).parents[5]
FLEET = {"a": host([device(UUIDS[0])]), "b": host(parents=[parent()])}
ROLES = ("prepare", "report")


def options_in(text: str) -> dict:
    return yaml_load(text)["options"]


def specified(options: dict) -> dict:
    """Return the options without their descriptions."""
    return {
        name: {key: value for key, value in option.items() if key != "description"}
        for name, option in options.items()
    }


def test_the_documentation_has_every_argument():
    shared = options_in(_plan.ModuleDocFragment.DOCUMENTATION)
    shared |= options_in(_plan.ModuleDocFragment.CONDITIONS)
    shared |= options_in(_plan.ModuleDocFragment.CAPACITY)
    shared |= options_in(_plan.ModuleDocFragment.MOVES)
    of_filter = options_in(_fleet.ModuleDocFragment.FLEET)
    of_module = options_in(module.DOCUMENTATION)
    shared |= options_in(_fleet.ModuleDocFragment.MAX_AGE)
    assert specified(shared | {"hosts": of_filter["hosts"]}) == ARGUMENTS
    assert specified(shared | {"hosts": of_module["hosts"]}) == ARGUMENTS


def test_the_filter_takes_every_argument_and_those_that_are_positional_in_their_order():
    parameters = inspect.signature(filter_module.migration_plan).parameters
    named = [name for name, each in parameters.items() if each.kind is not each.VAR_KEYWORD]
    positional = yaml_load(filter_module.DOCUMENTATION)["positional"].split(", ")
    assert named[1:] == positional[1:]
    assert set(named[1:]) <= ARGUMENTS.keys()
    rest = dict.fromkeys(ARGUMENTS.keys() - {"drain"})
    assert filter_module.migration_plan(FLEET, drain=["a"], **rest)["status"] == "optimal"


@pytest.mark.parametrize("role", ROLES)
def test_roles_have_every_condition(role):
    specs = yaml_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())
    options = specs["argument_specs"]["main"]["options"]
    expected = {f"{role}_{name}": option.spec for name, option in OPTIONS.items()}
    found = {name: specified(options)[name] for name in expected}
    defaults = {
        name.removeprefix(f"{role}_"): option.pop("default", None) for name, option in found.items()
    }
    assert found == expected
    assert Conditions.parse(defaults) == Conditions()


def test_an_option_that_there_is_not_is_refused_by_name():
    with pytest.raises(FleetError, match="there is no option polcy"):
        plan_for(FLEET, ["a"], polcy="pack")


def test_what_is_not_given_is_as_an_earlier_plan_had_it_but_for_what_is_of_one_request():
    earlier = Conditions.parse({"policy": "spread", "limit": "3", "avoid": [{"host": "x"}]})
    again = Conditions.parse({"limit": 4}, earlier.lasting() | {"avoid": [{"host": "x"}]})
    assert again == Conditions(policy="spread", limit=4)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("direction", "upwards"),
        ("policy", "squeeze"),
        ("limit", "many"),
        ("limit", {"a": -1}),
        ("apart", "vm-1"),
        ("numa_local", "perhaps"),
        ("reuse", "perhaps"),
        ("avoid", ["a"]),
        ("drain", {"a": 1}),
        ("targets", 7),
    ],
)
def test_a_condition_that_is_none_is_refused_by_name(option, value):
    with pytest.raises(FleetError, match=option):
        Conditions.parse({option: value})


@pytest.mark.parametrize("value", [0, 101, -1, 1.5, "much", True, [2]])
def test_effort_is_a_whole_number_within_bounds(value):
    with pytest.raises(FleetError, match=r"effort is .*; expected a whole number from 1 to 100"):
        plan_for(FLEET, ["a"], effort=value)


@pytest.mark.parametrize(("value", "times"), [(None, 1), (1, 1), ("2", 2), (100, 100)])
def test_effort_is_what_the_search_may_take(value, times, monkeypatch):
    budgets = []

    def noting(*given: t.Any) -> t.Any:
        budgets.append(given[-1])
        return make_verified_plan(*given)

    monkeypatch.setattr(plan_options, "make_verified_plan", noting)
    plan_for(FLEET, ["a"], effort=value)
    assert budgets == [Budget().times(times)]


@pytest.mark.parametrize(
    "named",
    [
        {"guests": "vm-1"},
        {"guests": ["vm-1"]},
        {"devices": [{"host": "a", "id": UUIDS[0]}]},
        {"guests": ["vm-1"], "devices": [{"host": "a", "id": UUIDS[0]}]},
    ],
)
def test_guests_and_devices_are_named_alike_everywhere(named):
    fleet = {"a": host([device(UUIDS[0], vm="vm-1")]), "b": host(parents=[parent()])}
    plan = plan_for(fleet, **named)
    assert [each["vm"] for each in plan["placements"]] == ["vm-1"]
    assert plan["placements"] == plan_for(fleet, sources=["vm-1"])["placements"]
    assert plan_for(fleet, **plan["request"])["request"] == plan["request"]


@pytest.mark.parametrize("claim", ["name", "uuid"])
def test_what_is_refused_to_a_guest_of_one_host_is_not_to_that_of_another_one(claim):
    """Whatever that calls itself: a host cannot close a target for the guests of another one."""
    one, other = (device(UUIDS[n], vm=vm, pid=7) for n, vm in enumerate(("vm-1", "vm-2")))
    one["in_use"]["uuid"] = UUIDS[8]
    other["in_use"] |= {"name": "vm-1"} if claim == "name" else {"uuid": UUIDS[8]}
    fleet = {"a": host([one]), "b": host(parents=[parent()]), "z": host([other])}
    named = "vm-1" if claim == "name" else UUIDS[8]
    avoid = [{"host": "b", "guest": named, "guest_host": "z"}]
    plan = plan_for(fleet, ["a", "z"], avoid=avoid)
    assert [each["source"]["host"] for each in plan["placements"]] == ["a"]
    assert plan["avoid"] == [{**avoid[0], "parent": None, "problem": "as asked for"}]
    anywhere = plan_for(fleet, ["a", "z"], avoid=[{"host": "b", "guest": named}])
    assert anywhere["placements"] == []


@pytest.mark.parametrize(
    "place", [{"host": "b", "guest_host": "a"}, {"host": "b", "guest": "vm-1", "guest_host": 7}]
)
def test_the_host_of_a_guest_is_a_name_beside_the_guest(place):
    with pytest.raises(FleetError, match=r"avoid has .*; expected .*guest_host"):
        Conditions.parse({"avoid": [place]})


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        (
            "avoid",
            [{"host": "b"}, {"host": "b", "parnet": "0000:00:02.0"}],
            "avoid has the key 'parnet'; expected host, parent, guest, guest_host, problem",
        ),
        ("avoid", [{"hots": "b"}], "avoid has the key 'hots'; expected host"),
        ("avoid", [{"host": "b", 7: "b"}], "avoid has the key 7; expected host"),
        ("capacity", {"host": {}}, "capacity has the key 'host'; expected hosts, guests"),
        ("capacity", {"hosts": {}, "guest": {}}, "capacity has the key 'guest'; expected hosts"),
    ],
)
def test_a_key_that_says_nothing_is_an_error_that_names_those_that_do(option, value, expected):
    with pytest.raises(FleetError) as raised:
        Conditions.parse({option: value})
    assert str(raised.value).startswith(expected)


# --- guests and parents that no facts have ---

GUEST = "aaaaaaaa-1111-4222-8333-444444444444"
HOLDER = {"pid": 4711, "name": "vm-1", "uuid": GUEST}
HELD = {
    "a": host([device(UUIDS[0], in_use=HOLDER)]),
    "b": host([device(UUIDS[1], vm="vm-2", parent="0000:00:04.0")], [parent()]),
    "c": host(parents=[parent()]),
}


@pytest.fixture
def warnings(monkeypatch):
    found = []
    monkeypatch.setattr(Display, "warning", lambda _self, message: found.append(message))
    return found


def named_so(name: str) -> dict[str, dict]:
    """Return each condition that names a guest, about the guest of this name."""
    return {
        "apart": {"apart": [["vm-1", name]]},
        "avoid": {"avoid": [{"host": "b", "guest": name}]},
        "priority": {"priority": {"vm-1": 2, name: 1}},
        "capacity.guests": {"capacity": {"guests": {name: {"memory": 0}}}},
    }


def by_action(fleet: dict, drain: list[str], **options: dict) -> dict:
    task = mock.Mock(args={"drain": drain, **options}, async_val=0, check_mode=False)
    action = ActionModule(task, *[mock.Mock() for _argument in range(5)])
    return action.run(task_vars={"hostvars": fleet})["plan"]


@pytest.mark.parametrize("option", [*named_so("")])
@pytest.mark.parametrize("ask", [plan_for, filter_module.migration_plan, by_action])
def test_a_guest_that_no_facts_have_is_told_of_and_no_error(ask, option, warnings):
    assert ask(HELD, ["a"], **named_so("vm-l")[option])["placements"]
    assert warnings == [f"{option} has 'vm-l', and no guest in the facts has this name or UUID"]


@pytest.mark.parametrize("ask", [headroom_for, rebalance_for, maintenance_for])
@pytest.mark.parametrize("option", ["apart", "avoid"])
def test_a_search_for_places_tells_of_it_too(ask, option, warnings):
    needed = {rebalance_for: [1], maintenance_for: [["a"]]}.get(ask, [])
    ask(HELD, *needed, **named_so("vm-l")[option])
    assert [each.partition(",")[0] for each in warnings] == [f"{option} has 'vm-l'"]


@pytest.mark.parametrize("name", ["vm-2", GUEST])
@pytest.mark.parametrize("option", [*named_so("")])
def test_of_a_guest_that_has_this_name_or_uuid_nothing_is_told(name, option, warnings):
    plan_for(HELD, ["a"], **named_so(name)[option])
    assert warnings == []


def test_a_guest_of_a_host_that_takes_no_part_is_there(warnings):
    of_no_use = {**HELD["b"], "schema": 7}
    plan_for(HELD, ["a"], hosts=["a", "c"], apart=[["vm-1", "vm-2"]])
    plan_for(HELD, ["a"], left_out={"b": "it did not answer"}, apart=[["vm-1", "vm-2"]])
    plan_for({**HELD, "b": of_no_use}, ["a"], apart=[["vm-1", "vm-2"]])
    assert warnings == []


@pytest.mark.parametrize(
    "facts",
    [
        None,
        7,
        {"schema": 7, "devices": {"in_use": {"name": "vm-l"}}},
        {"schema": 7, "devices": ["vm-l", {"in_use": ["vm-l"]}, {"in_use": {"name": ["vm-l"]}}]},
        {"schema": 7, "devices": [{}, {"in_use": None}, {"in_use": {"name": 7, "uuid": {}}}]},
    ],
)
def test_facts_that_are_none_have_no_guest(facts, warnings):
    plan_for({**HELD, "x": facts}, ["a"], apart=[["vm-1", "vm-l"]])
    assert len(warnings) == 1


def test_a_parent_to_avoid_that_its_host_has_not_is_told_of(warnings):
    places = [
        {"host": "b", "parent": each} for each in ("0000:00:02.0", "0000:00:04.0", "0000:00:20.0")
    ]
    plan_for({**HELD, "x": {}}, ["a"], avoid=[*places, {"host": "x", "parent": "0000:00:02.0"}])
    assert warnings == [
        "avoid has the parent '0000:00:20.0' of b, and it has none of this name in its facts"
    ]


def test_a_card_may_be_avoided(warnings):
    function = {**parent("0000:01:00.4"), "physical_function": "0000:01:00.0"}
    fleet = {**HELD, "c": host(parents=[function])}
    plan_for(fleet, ["a"], avoid=[{"host": "c", "parent": "0000:01:00.0"}])
    assert warnings == []


def test_what_an_earlier_plan_has_of_guests_that_have_gone_is_not_told(warnings):
    earlier = plan_for(HELD, ["a"], apart=[["vm-1", "vm-2"]])
    plan_for({**HELD, "b": host(parents=[parent()])}, ["a"], earlier=earlier)
    assert warnings == []


def test_no_more_is_told_than_can_be_read_and_nothing_that_a_terminal_obeys(warnings):
    many = [f"vm-{each}\x1b[2J\u202e\n{'x' * MAX_LINE}" for each in range(100, 200)]
    plan_for(HELD, ["a"], apart=[many])
    assert warnings[-1] == f"and {100 - MAX_SENTENCES} more: such names"
    assert len(warnings) == MAX_SENTENCES + 1
    assert all(each.isprintable() and len(each) <= MAX_LINE for each in warnings)


@pytest.mark.parametrize("option", ["drain", "lost"])
def test_a_drained_host_is_one_of_the_hosts_to_look_at(option):
    words = "cannot drain a: it is none of the hosts to look at; name it among these, too"
    with pytest.raises(FleetError, match=words):
        plan_for(FLEET, hosts=["b"], **{option: ["a"]})
    assert plan_for(FLEET, hosts=["a", "b"], max_age=0, **{option: ["a"]})["status"]


def test_of_a_lost_host_without_facts_nobody_is_sent_there():
    with pytest.raises(FleetError, match="cannot drain c: no facts are known, and what a lost"):
        plan_for({**FLEET, "c": {}}, lost=["c"], max_age=0)
