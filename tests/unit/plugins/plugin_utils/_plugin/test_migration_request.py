# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbook migrate_libvirt is asked for."""

from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import ReadOnce
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import (
    request_back_key,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin import (
    migration_request,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS
from ansible_collections.vfio.migration.tests.unit.libvirt_runs import (
    MOVED,
    begun,
    ended,
    ordered,
    two_hosts,
)

pytestmark = pytest.mark.usefixtures("place")


@pytest.mark.parametrize("given", ["vm-17, vm-1", ["vm-17", "vm-1"]])
def test_a_text_is_a_list_split_at_commas(given):
    assert begun(guests=given)["guests"] == ["vm-17", "vm-1"]


def test_a_request_that_takes_guests_back_is_known_by_its_key():
    back = {"migrate_libvirt_guests": ["vm-17", UUIDS[6]], "migrate_libvirt_targets": ["b"]}
    run = begun(guests=back["migrate_libvirt_guests"], targets=back["migrate_libvirt_targets"])
    assert request_back_key(back) == run["request"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, "Give either migrate_libvirt_drain"),
        ({"guests": "vm-17", "drain": "a"}, "Give either migrate_libvirt_drain"),
        ({"devices": [], "drain": "a"}, "Give either migrate_libvirt_drain"),
        ({"devices": "vm-17"}, "devices is 'vm-17'; expected a list"),
        ({"drain": "gpu12"}, "migrate_libvirt_drain has 'gpu12', which is none of the hosts"),
        ({"guests": "vm-17", "targets": "ab"}, "migrate_libvirt_targets has 'ab'"),
        ({"guests": "vm-17", "options": "--tls,--postcopy"}, "QEMU cannot migrate a VFIO device"),
        ({"guests": "vm-17", "options": ["postcopy-bandwidth"]}, "QEMU cannot migrate"),
        ({"guests": "vm-17", "downtime": 2_000_001}, "downtime is 2000001; expected"),
        (
            {"guests": "vm-17", "options": ["--bandwith", "1"]},
            "the options have '--bandw",
        ),
        ({"guests": "vm-17", "downtime_max": 2_000_001}, "downtime_max is 2000001; expected"),
        (
            {"guests": "vm-17", "downtime": 2000, "downtime_max": 1000},
            "migrate_libvirt_downtime_max is 1000, and a guest may stand still for 2000 at first",
        ),
        (
            {"guests": "vm-17", "uri": "qemu+ssh://c/system"},
            "migrate_libvirt_uri is 'qemu.ssh://c/system', which is one host",
        ),
        (
            {"guests": "vm-17", "transport": "tcp://c", "targets": "a,b"},
            "migrate_libvirt_transport is 'tcp://c', which is one host",
        ),
        ({"guests": "vm-17", "stall": -1}, "stall is -1; expected"),
        ({"guests": "vm-17", "downtime": 0}, "downtime is 0; expected"),
        ({"guests": "vm-17", "timeout": "soon"}, "timeout is 'soon'; expected"),
        ({"guests": "vm-17", "parallel": 0}, "parallel is 0; expected"),
        ({"guests": "vm-17", "parallel_source": 0}, "parallel_source is 0; expected"),
        ({"guests": "vm-17", "parallel_target": "x"}, "parallel_target is 'x'; expected"),
        ({"guests": "vm-17", "max_failures": 0}, "max_failures is 0; expected"),
        ({"guests": "vm-17", "priority": ["vm-17"]}, "priority is .'vm-17'.; expected numbers"),
        ({"guests": "vm-17", "not_after": "24:00"}, "not_after is '24:00'; expected a time of day"),
        ({"guests": "vm-17", "not_after": "2026-01-01"}, r"not_after is 2026-01-01, which has pas"),
        ({"guests": "vm-17", "tls": "perhaps"}, "tls is 'perhaps'; expected one of auto, always"),
        (
            {"guests": "vm-17", "tls": "always", "transport": "rdma://{host}"},
            "migrate_libvirt_tls is always, and QEMU encrypts only what goes over TCP",
        ),
        ({"guests": "vm-17", "multifd": "on"}, "multifd is 'on'; expected one of auto, always"),
        ({"guests": "vm-17", "connections": 1}, "connections is 1; expected 2 to 255"),
        ({"guests": "vm-17", "connections": 256}, "connections is 256; expected 2 to 255"),
        (
            {"guests": "vm-17", "multifd": "always", "options": "--tunnelled"},
            "migrate_libvirt_multifd is always, and QEMU has one connection with --tunnelled",
        ),
        ({"guests": "vm-17", "hosts": []}, "no host of the inventory matches"),
    ],
)
def test_what_cannot_be_is_refused_before_any_host_is_asked(options, error):
    with pytest.raises(FleetError, match=error):
        begun(**options)


def test_a_uri_may_be_of_the_one_target():
    run = begun(guests="vm-17", targets="b", uri="qemu+tls://b-2/system", transport="tcp://b-2")
    assert (run["uri"], run["transport"]) == ("qemu+tls://b-2/system", "tcp://b-2")


def test_the_inventory_says_by_which_address_a_host_is_reached():
    hostvars = {"a": {"migrate_libvirt_address": "fd00::1"}, "b": {}}
    assert begun(hostvars, guests="vm-17")["addresses"] == {"a": "[fd00::1]", "b": "b"}


class Untemplated(dict):
    """As Ansible's own variables of hosts: an item has its templates filled in, ``raw_get`` has them as they were given."""

    def raw_get(self, name):
        return dict.fromkeys(self[name], "{{ other }}")


def test_an_address_may_be_a_template():
    hostvars = ReadOnce(Untemplated({"a": {"migrate_libvirt_address": "10.0.0.1"}, "b": {}}))
    assert begun(hostvars, guests="vm-17")["addresses"] == {"a": "10.0.0.1", "b": "b"}


def test_a_host_that_gives_itself_an_address_takes_no_part():
    evil = {"migrate_libvirt_address": "evil", "ansible_facts": {"migrate_libvirt_address": "evil"}}
    run = begun({"a": {}, "b": evil}, guests="vm-17")
    assert run["hosts"] == ["a"]
    assert "clear the fact cache" in run["silent"]["b"]


def test_what_is_done_with_other_guests_is_one_of_three():
    with pytest.raises(FleetError, match="other_guests is 'ignore'; expected one of name, move"):
        begun(drain="a", other_guests="ignore")


def test_groups_of_an_earlier_plan_go_on_to_hold_beside_names():
    earlier = {"conditions": {"apart": [["x", "y"]]}, "direction": "both", "policy": "spread"}
    assert migration_request._apart({}, earlier) == [["x", "y"]]
    assert migration_request._apart({"apart": [["v", "w"]]}, earlier) == [["v", "w"]]
    assert migration_request._apart({}, None) == []


@pytest.mark.parametrize("content", [None, b"\xff\n", b'{"format": 2}\n'])
def test_a_file_that_takes_no_record_is_told_before_any_host_is_asked(place, content):
    path = place / "migration-record.jsonl"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises((AnsibleActionFail, FleetError), match=str(path)):
        begun(guests="vm-17")


def test_the_record_is_where_the_operator_wants_it(place, monkeypatch):
    monkeypatch.setenv("HOME", str(place))
    run, hostvars = ordered(two_hosts(), guests="vm-17", record="~/mine.jsonl")
    ended(hostvars, run, [MOVED])
    assert json.loads((place / "mine.jsonl").read_text())["outcome"] == "moved"
