# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbook migrate_libvirt decides on the control node; the whole of it is run in tests/playbooks."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin import (
    migrating,
    migration_request,
    move_outcomes,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import (
    arrival_info,
    certificates,
    guest_info,
    host_info,
    libvirt_info,
)
from ansible_collections.vfio.migration.tests.unit.libvirt_runs import (
    OVER_TWO,
    answer,
    begun,
    found_in,
    moving_others,
    ordered,
    two_hosts,
    with_others,
)

pytestmark = pytest.mark.usefixtures("place")


# How guests are sent between hosts whose QEMU can.
PARALLEL = ["--parallel", "--parallel-connections=2"]


def test_only_the_guest_of_the_very_name_is_found():
    hostvars = {
        "a": answer(
            device(UUIDS[1], vm="vm-17"),
            device(UUIDS[2], vm="vm-1"),
            running=[(UUIDS[5], "vm-17"), (UUIDS[6], "vm-1")],
        ),
        "b": answer(),
    }
    run = found_in(begun(guests="vm-17"), hostvars)
    assert run["reading"] == {"a": [UUIDS[5]]}
    assert run["reading_hosts"] == ["a", "b"]


def two_guests():
    """Return the answers of two hosts, on the first of which two guests hold a device each, and nobody a third one."""
    held = [device(UUIDS[1], vm="vm-17"), device(UUIDS[2], vm="vm-1", pid=2), device(UUIDS[3])]
    return {
        "a": answer(*held, running=[(UUIDS[5], "vm-17"), (UUIDS[6], "vm-1")]),
        "b": answer(),
    }


def test_by_a_device_its_guest_is_found():
    asked = {"host": "a", "id": UUIDS[1]}
    run = found_in(begun(devices=[asked]), two_guests())
    assert run["reading"] == {"a": [UUIDS[5]]}
    # With guests that are named, each once.
    run = found_in(begun(devices=[asked], guests="vm-1,vm-17"), two_guests())
    assert {uuid for uuids in run["reading"].values() for uuid in uuids} == {UUIDS[5], UUIDS[6]}
    assert len(run["found"]) == 2


@pytest.mark.parametrize("name", ["vm-17", UUIDS[5]])
def test_by_a_device_no_guest_of_another_host_is_found_whatever_that_is_called(name):
    hostvars = two_hosts() | {
        "evil": answer(device(UUIDS[7], vm=name), running=[(UUIDS[5], name)]),
    }
    asked = {"host": "a", "id": UUIDS[1]}
    run = found_in(begun(hosts=["a", "b", "evil"], devices=[asked]), hostvars)
    assert [(each["host"], each["reason"]) for each in run["found"]] == [("a", None)]
    assert run["reading"] == {"a": [UUIDS[5]]}


def test_a_guest_of_a_plan_is_on_its_host_or_its_target():
    """Otherwise a host would have its own guest moved by the plan for another one of that name."""
    source = {"host": "a", "kind": "mdev", "id": UUIDS[1]}
    target = {"host": "b", "kind": "mdev", "id": UUIDS[2]}
    placed = {"vm": "vm-17", "source": source, "target": target}
    left = {"vm": "vm-1", "source": {**source, "id": UUIDS[3]}, "reasons": []}
    hosts = {"hosts": ["a", "b", "evil"]}
    found = migration_request.guests_of({"placements": [placed], "unplaced": [left]})
    assert found == {"vm-1": ["a"], "vm-17": ["a", "b"]}
    run = begun(**hosts, guests=["vm-17"]) | {"guests_on": found}
    hostvars = two_hosts() | {
        "evil": answer(device(UUIDS[7], vm="vm-17"), running=[(UUIDS[5], "vm-17")])
    }
    assert found_in(run, hostvars)["reading"] == {"a": [UUIDS[5]]}
    hostvars["a"] = answer()
    with pytest.raises(
        FleetError, match=r"no host has a process of the name vm-17 \(on a, b\) that"
    ):
        found_in(run, hostvars)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"host": "a", "id": UUIDS[3]}, f"no guest is known to hold {UUIDS[3]} on a"),
        ({"host": "a", "id": UUIDS[4]}, UUIDS[4]),
        ({"host": "c", "id": UUIDS[1]}, "c"),
        ({"id": UUIDS[1]}, "expected {host: …, id: …}"),
    ],
)
def test_a_device_that_no_guest_has_stops_everything(asked, error):
    with pytest.raises(FleetError, match=error):
        found_in(begun(devices=[asked]), two_guests())


def test_possible_targets_are_asked_about_the_guests_and_no_more_of_these_than_they_need():
    run = found_in(begun(drain="a"), two_hosts())
    assert run["receiving"] == ["b"]
    (arriving,) = run["arriving"]
    assert (arriving["name"], arriving["uuid"]) == ("vm-17", UUIDS[5])
    assert arriving.keys() == {
        *("name", "uuid", "arch", "machine", "virt_type", "emulator", "loader", "cpu", "disks"),
        "boot_files",
    }


@pytest.mark.parametrize("first", ["a", "evil"])
def test_what_a_target_lacks_for_a_guest_is_not_held_against_another_one_of_its_uuid(first):
    """Whichever comes first: a host may say that its own guest has the UUID of another one, and needs what no target has."""
    here = {
        "a": answer(device(UUIDS[1], vm="vm-17"), running=[(UUIDS[5], "vm-17")]),
        "evil": answer(device(UUIDS[2], vm="other"), running=[(UUIDS[5], "other")]),
    }
    for each in here.values():
        each["migrate_libvirt_asked"] = each["migrate_libvirt_answer"]
    order = sorted(here, key=lambda name: name != first)
    hostvars = {name: here[name] for name in order} | {"b": answer()}
    run = found_in(begun(hosts=[*hostvars], drain=order), hostvars)
    missing = {"vm-17": [], "other": ["/evil"]}
    assert [each["name"] for each in run["arriving"]] == [
        {"a": "vm-17", "evil": "other"}[name] for name in order
    ]
    there = [arrival_info(UUIDS[5], missing=missing[each["name"]]) for each in run["arriving"]]
    hostvars["b"]["migrate_libvirt_asked"] = libvirt_info(arriving=there)
    checks = migrating.check(run, hostvars)["checks"]
    assert [(each["vm"], each["host"]) for each in checks["chosen"]] == [("vm-17", "a")]
    assert [(each["vm"], each["host"]) for each in checks["left"]] == [("other", "evil")]


def test_of_a_host_with_so_many_guests_some_stay_and_all_others_are_asked_about(monkeypatch):
    monkeypatch.setattr(migrating, "MOST_ARRIVING", 5)
    hostvars = two_hosts()
    names = [f"vm-{number}" for number in range(20, 26)]
    uuids = [f"00000000-0000-4000-8000-0000000000{number}" for number in range(20, 26)]
    held = [device(uuid, vm=name) for uuid, name in zip(uuids, names, strict=True)]
    hostvars["c"] = answer(*held, running=zip(uuids, names, strict=True))
    run = found_in(begun(hostvars, hosts=["a", "b", "c"], drain="a,c"), hostvars)
    assert [each["name"] for each in run["arriving"]] == ["vm-17", *names[:4]]
    assert run["reading"] == {"a": [UUIDS[5]], "c": uuids[:4]}
    reasons = {each["vm"]: each["reason"] for each in run["found"]}
    left = (
        "6 guests of c are to move, and targets are asked about 4 of them at a time; run this again"
        " for the others"
    )
    assert reasons == {
        **dict.fromkeys(["vm-17", *names[:4]]),
        **dict.fromkeys(names[4:], left),
    }


def test_where_no_guest_can_go_nobody_is_asked_again():
    hostvars = two_hosts()
    hostvars["a"] |= answer(device(UUIDS[1], vm="vm-17"))
    run = found_in(begun(drain="a"), hostvars)
    assert (run["reading_hosts"], run["arriving"]) == ([], [])


def test_a_name_that_no_host_has_stops_everything():
    with pytest.raises(FleetError, match="no host has a process of the name vm-18 that holds"):
        found_in(begun(guests="vm-17,vm-18"), two_hosts())


def test_a_host_that_did_not_answer_is_named_where_a_guest_is_missing():
    hostvars = two_hosts() | {"b": {"prepare_gathered": {"unreachable": True, "msg": "no route"}}}
    with pytest.raises(FleetError, match="b: it did not answer: no route"):
        found_in(begun(guests="vm-18"), hostvars)


def test_facts_of_an_earlier_run_do_not_make_a_host_one_that_answers():
    hostvars = two_hosts()
    del hostvars["b"]["prepare_gathered"]
    assert found_in(begun(guests="vm-17"), hostvars)["answered"] == ["a"]


def test_where_no_host_answers_that_is_said():
    with pytest.raises(FleetError, match="no host has answered"):
        found_in(begun(guests="vm-17"), {"a": {}, "b": {}})


@pytest.mark.parametrize(
    "libvirt",
    [
        *(None, [], "text", {"rc": True}, {"msg": 7}, {"guests": []}),
        libvirt_info() | {"guests": [{}]},
        libvirt_info() | {"host": host_info(machines={"x86_64": 7})},
    ],
)
def test_an_answer_that_is_none_costs_its_host_alone(libvirt):
    hostvars = two_hosts()
    hostvars["b"]["migrate_libvirt_asked"] = libvirt
    run, _hosts = ordered_for_checks(hostvars)
    assert run["checks"]["targets"] == ["a"]
    assert any(note.startswith("b is excluded") for note in run["checks"]["notes"])


def ordered_for_checks(hostvars):
    run = found_in(begun(guests="vm-17"), hostvars)
    return migrating.check(run, hostvars), hostvars


@pytest.mark.parametrize(
    "answer",
    [None, 7, {"unreachable": True}, {"failed": True, "msg": "no"}, libvirt_info(), {"guests": 7}],
)
def test_a_second_answer_that_is_none_costs_its_guests_alone(answer):
    hostvars = two_hosts()
    hostvars["a"]["migrate_libvirt_asked"] = answer
    run, _hosts = ordered_for_checks(hostvars)
    assert [guest["vm"] for guest in run["checks"]["left"]] == ["vm-17"]
    assert run["sources"] == []


def test_a_host_that_does_not_answer_any_more_is_no_target():
    hostvars = two_hosts()
    hostvars["b"]["migrate_libvirt_asked"] = {"unreachable": True, "msg": "no route"}
    run, _hosts = ordered_for_checks(hostvars)
    assert run["checks"]["targets"] == ["a"]
    assert "b is excluded: libvirt on b does not answer: no route" in run["checks"]["notes"]


def test_libvirt_is_asked_first_where_the_guests_are_and_then_everywhere_once():
    """Each task on a host of a big fleet costs: what a target has, it says when it is asked about the guests."""
    hostvars = two_hosts() | {"c": answer(device(UUIDS[2], vm="vm-1"))}
    run = migrating.locate(begun(hostvars, hosts=[*hostvars], guests="vm-17"), hostvars)
    assert (run["answered"], run["asking_hosts"]) == (["a", "b", "c"], ["a"])
    run = migrating.find(run, hostvars)
    assert run["reading_hosts"] == ["a", "b", "c"]
    assert run["receiving"] == ["a", "b", "c"]
    assert run["only_receiving"] == ["b", "c"]
    drained = migrating.locate(begun(hostvars, hosts=[*hostvars], drain="c"), hostvars)
    assert drained["asking_hosts"] == ["c"]


def test_where_no_guest_can_go_no_target_is_said_not_to_answer():
    hostvars = two_hosts()
    hostvars["a"]["migrate_libvirt_answer"] = libvirt_info()
    run = found_in(begun(guests="vm-17", targets="b"), hostvars)
    assert run["reading_hosts"] == []
    run = migrating.check(run, hostvars)
    assert [guest["vm"] for guest in run["checks"]["left"]] == ["vm-17"]
    assert run["checks"]["notes"] == []


def test_what_is_stated_of_capacity_is_handed_on_with_the_memory():
    hostvars = two_hosts()
    memory = {"free": 1024, "default_huge_page": 2048, "huge_pages": []}
    hostvars["b"]["migrate_libvirt_asked"]["host"] = host_info(memory=memory)
    stated = {"hosts": {"b": {"cpus": 4}}, "guests": {"vm-17": {"cpus": 2}}}
    options = {"guests": "vm-17", "targets": "b", "capacity": stated}
    run = migrating.check(found_in(begun(**options), hostvars), hostvars)
    assert run["checks"]["capacity"] == stated
    run = begun(**options, spare={"KiB of memory": 1, "cpus": 1})
    run = migrating.check(found_in(run, hostvars), hostvars)
    capacity = run["checks"]["capacity"]
    assert capacity["hosts"] == {"b": {"cpus": 4, "KiB of memory": 1024}}
    # The facts do not tell the UUID.
    taken = {"cpus": 2, "KiB of memory": 1024}
    assert capacity["guests"] == {"vm-17": taken}
    # The next run has what was stated from the plan, and asks the hosts for the rest.
    conditions = {"capacity": capacity, "spare": {"cpus": 1}}
    earlier = {"conditions": conditions, "direction": "both", "policy": "pack"}
    again = migration_request._stated({}, earlier)
    assert again["capacity"]["hosts"] == stated["hosts"]
    assert again["capacity"]["guests"]["vm-17"] == {"cpus": 2}
    assert again["spare"] == {"cpus": 1}
    assert migration_request._stated({"capacity": {}, "spare": {"cpus": 2}}, earlier) == {
        "capacity": {},
        "spare": {"cpus": 2},
    }
    with pytest.raises(FleetError, match="capacity has the key"):
        begun(guests="vm-17", capacity={"host": {}})


def test_options_that_copy_disks_reach_the_checks():
    alone = {"target": "vda", "type": "file", "source": "/x", "readonly": False}
    info = guest_info(
        "vm-17", UUIDS[5], disks=[alone | {"shareable": False, "shared": False, "backing": []}]
    )
    for options, count in (([], 0), (["--copy-storage-all"], 1)):
        hostvars = two_hosts()
        hostvars["a"]["migrate_libvirt_asked"] = libvirt_info(info)
        run = found_in(begun(guests="vm-17", options=options), hostvars)
        assert len(migrating.check(run, hostvars)["sources"]) == count


def test_what_the_network_carries_is_compared_with_how_long_a_guest_may_stand_still():
    hostvars = two_hosts()
    for answered in hostvars.values():
        (given,) = answered["ansible_facts"]["vfio_migration"]["parents"]
        for each in given["types"]:
            each["framebuffer"] = 4096
    run = found_in(begun(guests="vm-17", bandwidth=1000, downtime_max=4000), hostvars)
    (note,) = migrating.check(run, hostvars)["checks"]["notes"]
    assert note.startswith("vm-17 may need a downtime of 4096 ms, and is allowed 4000: ")
    run = found_in(begun(guests="vm-17", options="--bandwidth=100", downtime_max=4000), hostvars)
    (note,) = migrating.check(run, hostvars)["checks"]["notes"]
    assert note.startswith("vm-17 may need a downtime of 40960 ms, and is allowed 4000: ")
    run = found_in(begun(guests="vm-17", downtime_max=4000), hostvars)
    (note,) = migrating.check(run, hostvars)["checks"]["notes"]
    assert note.startswith(
        "it is unknown whether the state of their devices can be sent within the downtime of 4000"
    )
    for odd in (0, -1, "fast"):
        with pytest.raises(FleetError, match="bandwidth is "):
            begun(guests="vm-17", bandwidth=odd)


def test_by_default_guests_without_devices_are_named():
    run, _hostvars = ordered(with_others((UUIDS[6], "plain", 1024)), drain="a")
    assert run["reading"] == {"a": [UUIDS[5]]}
    assert run["checks"]["notes"] == ["plain on a has no VFIO device and was left alone"]


def test_guests_without_devices_can_stop_a_drain_and_nothing_else():
    hostvars = with_others((UUIDS[6], "plain", 1024))
    with pytest.raises(FleetError, match="to be drained: plain on a; move them before"):
        found_in(begun(drain="a", other_guests="fail"), hostvars)
    assert found_in(begun(guests="vm-17", other_guests="fail"), hostvars)["found"]
    assert found_in(begun(drain="a", other_guests="fail"), two_hosts())["found"]


def test_a_silent_libvirt_may_run_guests_without_devices():
    hostvars = two_hosts()
    hostvars["a"]["ansible_facts"]["vfio_migration"]["devices"] = []
    hostvars["a"]["migrate_libvirt_answer"] = {"failed": True, "msg": "no socket"}
    words = "every guest without VFIO devices on a: it is unknown whether there are any"
    with pytest.raises(FleetError, match=words):
        found_in(begun(drain="a", other_guests="fail"), hostvars)
    (unknown,) = found_in(begun(drain="a", other_guests="move"), hostvars)["found"]
    assert "no socket" in unknown["reason"]
    assert found_in(begun(drain="a"), hostvars)["found"] == []


def test_guests_without_devices_go_after_those_with_some_and_are_no_part_of_the_plan():
    run, _hostvars = moving_others((UUIDS[6], "plain", 1024))
    assert run["reading"] == {"a": [UUIDS[5], UUIDS[6]]}
    assert run["sentences"] == [f"{each} to b{OVER_TWO}" for each in ("vm-17", "plain")]
    assert [each["uuid"] for each in run["leaving"]["a"]] == [UUIDS[5], UUIDS[6]]
    assert run["checks"]["notes"] == []


def test_a_guest_that_is_to_be_paused_on_its_target_is_not_waited_for():
    paused = two_hosts()
    for name in ("migrate_libvirt_answer", "migrate_libvirt_asked"):
        for each in paused["a"][name]["guests"]:
            each["state"] = "paused"
    for hosts, options in ((paused, []), (two_hosts(), ["--suspend"])):
        run, _hosts = ordered(hosts, guests="vm-17", options=options)
        assert run["logs"]["b"][0][3:] == ["bash"]


def test_each_host_is_told_what_leaves_it_and_what_comes():
    run, _hosts = ordered(
        two_hosts(), guests="vm-17", tls="never", options="--auto-converge", parallel_target=3
    )
    assert run["participants"] == ["a", "b"]
    assert (run["leaving"].keys(), run["logs"].keys()) == ({"a"}, {"b"})
    (guest,) = run["leaving"]["a"]
    assert (guest["number"], guest["label"]) == (0, "vm-17 to b")
    assert guest["options"] == ["--auto-converge", *PARALLEL]
    assert (guest["destination"], guest["transport"]) == ("qemu+ssh://root@b/system", "tcp://b")
    assert [each["target"]["id"] for each in guest["plan"]["placements"]] == [UUIDS[8]]
    settle, qemu, kernel = run["logs"]["b"]
    assert settle[3:] == ["bash", UUIDS[5]]
    assert qemu[-1] == "/var/log/libvirt/qemu/vm-17.log"
    assert kernel[-1].startswith("dmesg")
    assert run["turns"]["ways"] == [("a", "b")]
    assert run["turns"]["limits"] == {
        "total": 2,
        "source": 1,
        "target": 3,
        "failures": None,
        "not_after": None,
        "concurrent": {},
    }


def test_a_target_that_is_not_reached_is_told_before_anything_is_made():
    hostvars = two_hosts()
    run = found_in(begun(hostvars, guests="vm-17"), hostvars)
    assert "qemu+ssh://root@b/system" in run["peers"]
    said = hostvars["a"]["migrate_libvirt_asked"]
    unreached = {"uri": "qemu+ssh://root@b/system", "problem": "Host key verification failed."}
    hostvars["a"]["migrate_libvirt_asked"] = {**said, "peers": [unreached]}
    run = migrating.check(run, hostvars)
    assert run["sources"] == []
    assert any("(Host key verification failed.)" in each for each in run["sentences"])


def test_of_many_possible_targets_none_is_tried():
    hostvars = two_hosts() | {f"host-{number}": answer() for number in range(40)}
    run = begun(hostvars, guests="vm-17", hosts=[*hostvars])
    run = found_in(run, hostvars)
    assert len(run["receiving"]) > 32
    assert run["peers"] == []


@pytest.mark.parametrize(
    ("choice", "there", "options"),
    [
        ("auto", True, ["--tls"]),
        ("auto", False, []),
        ("always", True, ["--tls"]),
        ("never", True, []),
    ],
)
def test_a_guest_is_sent_encrypted_where_that_is_wanted_and_both_hosts_can(choice, there, options):
    hostvars = two_hosts()
    hostvars["b"]["migrate_libvirt_asked"]["host"] = host_info(tls=certificates(there))
    run, _hosts = ordered(hostvars, guests="vm-17", tls=choice)
    (guest,) = run["leaving"]["a"]
    assert guest["options"] == [*options, *PARALLEL]
    assert any("is not encrypted" in each for each in run["checks"]["notes"]) == (options == [])


@pytest.mark.parametrize(
    ("choice", "version", "options"),
    [
        ("auto", "10.0.0", PARALLEL),
        ("auto", "9.2.4", []),
        ("always", "10.1.0", PARALLEL),
        ("never", "10.1.0", []),
    ],
)
def test_a_guest_is_sent_over_several_connections_where_that_is_wanted_and_both_hosts_can(
    choice, version, options
):
    for name, asked in (("a", "migrate_libvirt_answer"), ("b", "migrate_libvirt_asked")):
        hostvars = two_hosts()
        versions = {"libvirt": "11.3.0", "qemu": version}
        hostvars[name][asked]["versions"] = versions
        run, _hosts = ordered(hostvars, guests="vm-17", multifd=choice, tls="never")
        (guest,) = run["leaving"]["a"]
        assert guest["options"] == options
        assert run["sentences"] == [f"vm-17 to b{OVER_TWO if options else ''}"]
        named = f"guests are sent over one connection from or to {name}, where no QEMU 10.0.0"
        expected = choice == "auto" and not options
        assert any(named in each for each in run["checks"]["notes"]) == expected


def test_a_guest_takes_no_more_of_the_plan_along_than_what_is_of_its_host():
    run, hostvars = ordered(two_hosts(), guests="vm-17")
    plan = hostvars["localhost"]["prepare_run"]["plan"]
    elsewhere = {"vm": None, "source": {"host": "c", "kind": "mdev", "id": UUIDS[3]}}
    plan["unplaced"] = [{**elsewhere, "reasons": []}]
    plan["placements"].append({**elsewhere, "target": plan["placements"][0]["target"]})
    (guest,) = migrating.order(run, hostvars)["leaving"]["a"]
    taken = guest["plan"]
    assert (len(taken["placements"]), taken["unplaced"]) == (1, [])


@pytest.mark.parametrize("name", ["True", "[1, 2]", "{{ x }}"])
def test_a_name_stays_the_text_that_it_is(name):
    run, _hosts = ordered(two_hosts(name), guests=[name])
    assert run["migrations"]["going"][0]["vm"] == name


def test_in_check_mode_nobody_moves():
    hostvars = two_hosts()
    run, hostvars = ordered(hostvars, guests="vm-17", check_mode=True)
    assert run["leaving"] == {} and run["participants"] == [] and not run["cleaning"]
    assert move_outcomes.end(run, hostvars)["sentences"] == ["vm-17 would move from a to b"]


def webs():
    """Return what hosts registered of which a and b each have a guest of one name, and c and d have none."""
    hostvars = {}
    for name, number in (("a", 1), ("b", 2)):
        held = answer(device(UUIDS[number], vm="web"), running=[(UUIDS[number + 4], "web")])
        hostvars[name] = {**held, "migrate_libvirt_asked": held["migrate_libvirt_answer"]}
    arriving = [arrival_info(UUIDS[5]), arrival_info(UUIDS[6])]
    for name in "cd":
        hostvars[name] = answer() | {"migrate_libvirt_asked": libvirt_info(arriving=arriving)}
    return hostvars


@pytest.mark.parametrize("targets", [["c"], ["c", "d"]])
def test_two_guests_of_one_name_get_hosts_of_their_own_by_the_plan(targets):
    hostvars = webs()
    options = {"hosts": [*"abcd"], "drain": "a,b", "targets": targets, "apart": [["x", "y"]]}
    run = migrating.check(found_in(begun(hostvars, **options), hostvars), hostvars)
    assert [each["host"] for each in run["checks"]["chosen"]] == ["a", "b"]
    assert run["apart"] == [["x", "y"], ["web"]]
    facts = {name: each["ansible_facts"]["vfio_migration"] for name, each in hostvars.items()}
    plan = migration_plan(facts, sources=run["sources"], targets=targets, apart=run["apart"])
    chosen = [each["target"]["host"] for each in plan["placements"]]
    assert sorted(chosen) == targets
    assert len(plan["unplaced"]) == 2 - len(targets)


@pytest.mark.parametrize("targets", [32, 33])
def test_that_targets_are_too_many_to_be_tried_is_told(targets):
    others = {f"t{number}": answer() for number in range(targets)}
    there = libvirt_info(arriving=[arrival_info(UUIDS[5])])
    hostvars = two_hosts() | {
        name: each | {"migrate_libvirt_asked": there} for name, each in others.items()
    }
    options = {"hosts": ["a", *others], "guests": "vm-17"}
    # The host of the guest may receive, too.
    run = found_in(begun(hostvars, targets=[*others], **options), hostvars)
    assert bool(run["peers"]) == (targets <= 32)
    notes = migrating.check(run, hostvars)["checks"]["notes"]
    assert any(
        "it is not known whether the guests' hosts reach libvirt on the 33" in each
        for each in notes
    ) == (targets > 32)
