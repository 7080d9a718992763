# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters and the test as playbooks use them: through Ansible's own templating."""

from __future__ import annotations

import gc

import pytest
from ansible import template
from ansible.errors import AnsibleError
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.vfio.migration.plugins.filter.compatibility import compatibility
from ansible_collections.vfio.migration.plugins.filter.compatible_pairs import compatible_pairs
from ansible_collections.vfio.migration.plugins.filter.explain import explain
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.filter.parse_descriptor import parse_descriptor
from ansible_collections.vfio.migration.plugins.test.compatible_with import compatible_with
from ansible_collections.vfio.migration.tests.unit.fleets import (
    COMPATIBLE,
    UUIDS,
    device,
    gvt,
    host,
    parent,
    sets,
)

FLEET = {"a": host([device(UUIDS[0])]), "b": host(parents=[parent()])}


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
        (lambda: compatibility([], gvt()), "the source is no descriptor"),
        (lambda: compatibility(gvt(), gvt(), "upwards"), "direction is 'upwards'; expected one of"),
        (lambda: compatible_pairs([]), "a fleet is hostvars"),
        (lambda: compatible_pairs(FLEET, hosts={}), "hosts is {}; expected a list"),
        (lambda: migration_plan(FLEET), "exactly one"),
        (lambda: migration_plan(FLEET, drain=["a"], policy="x"), "policy is 'x'"),
        (lambda: migration_plan(FLEET, drain=["a"], avoid=["b"]), "avoid has 'b'"),
        (lambda: migration_plan(FLEET, sources="vm-1"), "sources is 'vm-1'; expected a list"),
        (
            lambda: migration_plan(FLEET, [], policy=""),
            "policy is ''; expected one of pack, spread",
        ),
        (lambda: migration_plan(FLEET, [], keep_kind="mdev"), "keep_kind is 'mdev'; expected true"),
        (lambda: explain(FLEET, "x", "b"), "names no device"),
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
    # What ansible-core 2.18 does not mark so, it takes for a template.
    kind = str if hasattr(template, "trust_as_template") else type(wrap_var(""))
    for result in (
        migration_plan(fleet, drain=["a"]),
        compatible_pairs(fleet),
        explain(fleet, {"host": "a", "id": UUIDS[0]}, "b"),
        compatibility(tagged(gvt()), tagged(gvt("2", "2"))),
    ):
        assert {type(text) for text in texts(result)} == {kind}
