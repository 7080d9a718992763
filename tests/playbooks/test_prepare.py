# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks prepare and cleanup, run by Ansible on a simulated fleet, and killed while they run."""

from __future__ import annotations

import json
import re

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.rebalance_options import (
    rebalance_for,
)
from ansible_collections.vfio.migration.tests.playbooks.simulated_fleet import Fleet, shown
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS

GUESTS = {
    "vm-1": {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]},
    "vm-2": {"host": "a", "uuid": UUIDS[6], "device": UUIDS[2]},
}


@pytest.fixture
def fleet(tmp_path):
    return Fleet(tmp_path / "fleet", ["a", "b", "c"], GUESTS)


def devices(fleet: Fleet) -> dict[str, list[str]]:
    found = {name: [each["id"] for each in fleet.read(name)["devices"]] for name in fleet.hosts}
    return {name: ids for name, ids in found.items() if ids}


def progress(fleet: Fleet) -> list[str]:
    text = (fleet.work / "migration-plan.progress.json").read_text()
    return [each["target"]["id"] for each in json.loads(text)["placements"]]


def answering(output: str) -> set[str]:
    """Return the hosts on which a task ran."""
    return set(re.findall(r"^(?:ok|changed|fatal): \[([^\] ]+)", output, re.MULTILINE))


def test_a_fleet_is_prepared_and_cleaned_up_by_what_was_written_down(fleet):
    before = devices(fleet)
    # Where the operator has set it is all the same, for every host or on the command line.
    hosts = {name: ["a", "b:c"] for name in ("prepare_hosts", "cleanup_hosts")}
    asked = {"prepare_drain": "a", "prepare_targets": "b,c"}
    ended = fleet.play("vfio.migration.prepare", hosts | asked)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (made,) = {name: ids for name, ids in devices(fleet).items() if name != "a"}.values()
    assert sorted(made) == sorted(progress(fleet)) == [UUIDS[1], UUIDS[2]]
    assert "migration-plan.json" in shown(ended.stdout, "Show what was prepared")[-1]
    assert (fleet.work / "migration-plan.json").stat().st_mode & 0o077 == 0

    ended = fleet.play("vfio.migration.cleanup", hosts)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert devices(fleet) == before
    assert progress(fleet) == []


def test_check_mode_shows_what_would_be_created_and_creates_nothing(fleet):
    before = devices(fleet)
    arguments = ("--check", "--diff")
    ended = fleet.play("vfio.migration.prepare", {"prepare_drain": "a"}, arguments=arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert devices(fleet) == before
    assert [*fleet.work.glob("*.json")] == []


def test_what_is_for_a_guest_that_is_being_sent_stays_and_check_mode_of_cleanup_says_so(fleet):
    facts = fleet.read("a")
    for each in facts["devices"]:
        each["in_use"]["uuid"] = GUESTS[each["in_use"]["name"]]["uuid"]
    fleet.put("a", facts)
    assert fleet.play("vfio.migration.prepare", {"prepare_drain": "a"}).returncode == 0
    before, written = devices(fleet), progress(fleet)
    with fleet.sending("a", UUIDS[6]) as other:
        pass  # It ends before.
    with fleet.sending("a", UUIDS[5]) as own:
        said = []
        for arguments in (("--check",), ()):
            ended = fleet.play("vfio.migration.cleanup", arguments=arguments)
            assert ended.returncode == 0, ended.stdout + ended.stderr
            said.append(shown(ended.stdout, "Show the state of each move"))
            if arguments:
                assert (devices(fleet), progress(fleet)) == (before, written)
                assert (own.exists(), other.exists()) == (True, True)
    (of_one, of_other) = said[0]
    assert of_one.endswith("; its guest may be migrating"), said
    assert "may be migrating" not in of_other
    assert said[1] == said[0]
    assert (own.exists(), other.exists()) == (True, False)
    (left,) = progress(fleet)
    assert devices(fleet) == {**before, "b": [left]}
    # It has ended.
    ended = fleet.play("vfio.migration.cleanup")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (devices(fleet), own.exists()) == ({"a": before["a"]}, False)


def test_a_plan_of_a_report_is_carried_out_alone_from_wherever_it_is(fleet):
    asked = {"report_drain": "a", "report_targets": "c"}
    ended = fleet.play("vfio.migration.report", asked)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (fleet.work / "migration-report/plan.json").rename(fleet.place / "approved.json")
    ended = fleet.play("vfio.migration.prepare", extra='{"prepare_from": "../approved.json"}')
    assert ended.returncode == 0, ended.stdout + ended.stderr
    there = devices(fleet)
    assert sorted(there.pop("c")) == [UUIDS[1], UUIDS[2]]
    assert [*there] == ["a"]


def test_a_plan_that_evens_loads_is_carried_out_alone(fleet):
    found = rebalance_for({name: fleet.read(name) for name in fleet.hosts}, 1)
    (fleet.place / "rebalance.json").write_text(json.dumps(found["plan"]))
    ended = fleet.play("vfio.migration.prepare", extra='{"prepare_from": "../rebalance.json"}')
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (placement,) = found["plan"]["placements"]
    there = devices(fleet)
    assert there.pop(placement["target"]["host"]) == [placement["target"]["id"]]
    assert [*there] == ["a"]


def test_hosts_are_chosen_by_patterns(fleet):
    asked = {
        f"{name}_hosts": ["a", "b,!b", "c"] for name in ("report", "capture", "candidates", "audit")
    }
    playbooks = [f"vfio.migration.{name}" for name in ("report", "capture", "candidates", "audit")]
    more = {"candidates_guest": "vm-1", "audit_exempt": ["a", "c"]}
    ended = fleet.play(" ".join(playbooks), asked | more)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = json.loads((fleet.work / "migration-report/report.json").read_text())
    assert [each["name"] for each in report["hosts"]] == ["a", "c"]
    for name in "ac":
        assert f'"msg": "{fleet.work}/captures/{name}.tar.gz"' in ended.stdout
    assert sorted(each.name for each in (fleet.work / "captures").iterdir()) == [
        "a.tar.gz",
        "c.tar.gz",
    ]


def test_an_audit_fails_where_a_host_cannot_be_emptied_and_says_what_would_mend_it(fleet):
    ended = fleet.play("vfio.migration.audit", {"audit_failure_domains": {"rack": ["b", "c"]}})
    report = json.loads((fleet.work / "audit/report.json").read_text())
    headroom = report["headroom"]
    assert sum(headroom["hosts"].values()) == len(report["hosts"])
    assert sum(headroom["failure_domains"].values()) == 1
    assert ended.returncode == (0 if headroom["holds"] else 2), ended.stdout + ended.stderr
    assert headroom["sentences"][0] in ended.stdout
    assert (
        "vfio_migration_headroom_failure_domains" in (fleet.work / "audit/report.prom").read_text()
    )

    # With a on its own, nothing of it has a place.
    ended = fleet.play("vfio.migration.audit", {"audit_targets": ["a"]})
    assert ended.returncode == 2
    assert "no place elsewhere" in ended.stdout
    short = json.loads((fleet.work / "audit/report.json").read_text())["headroom"]["causes"]
    names = {each["name"] for cause in short for each in cause["subjects"]}
    exempt = {"audit_targets": ["a"], "audit_exempt": sorted(names)}
    ended = fleet.play("vfio.migration.audit", exempt)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    # Of hosts without facts nothing is known.
    ended = fleet.play("vfio.migration.audit", exempt | {"audit_gather": False})
    assert ended.returncode == 2
    assert "there are no usable facts of a" in ended.stdout


def test_without_a_plan_cleanup_goes_by_the_journals_on_hosts(fleet):
    before = devices(fleet)
    fleet.interrupt("b")
    ended = fleet.play("vfio.migration.cleanup")
    assert ended.returncode == 2
    assert "cleanup_remove to interrupted" in ended.stdout
    assert fleet.interrupted("b")
    ended = fleet.play("vfio.migration.cleanup", {"cleanup_remove": "interrupted"})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert shown(ended.stdout, "Show the state of each move") == [
        "b: what a call that was killed has left half done is undone, by its journal in /run/vfio.migration/mdev"
    ]
    assert not fleet.interrupted("b")
    assert devices(fleet) == before
    assert [*fleet.work.iterdir()] == []


def test_what_a_host_had_that_is_gone_is_made_elsewhere_by_its_last_facts(fleet, monkeypatch):
    fleet.cache("a", {"vfio_migration": fleet.read("a")})
    reached, gone = fleet._connection, {"ansible_connection": "ssh", "ansible_port": 1}
    monkeypatch.setattr(
        fleet,
        "_connection",
        lambda name: {**gone, "ansible_host": "127.0.0.1"} if name == "a" else reached(name),
    )
    ended = fleet.play("vfio.migration.prepare", {"prepare_lost": "a"})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (made,) = {name: ids for name, ids in devices(fleet).items() if name != "a"}.values()
    assert sorted(made) == [UUIDS[1], UUIDS[2]]
    said = shown(ended.stdout, "Show what was prepared")
    assert any("a is lost: what it had is known as of" in each for each in said)
    assert any(re.match("the facts of a are .* old", each) for each in said)


def test_a_plan_from_cached_facts_is_made_once_the_hosts_that_take_part_confirm_it(fleet):
    for name in fleet.hosts:
        fleet.cache(name, {"vfio_migration": fleet.read(name)})
    before = devices(fleet)
    asked = {"prepare_drain": "a", "prepare_gather": False, "prepare_max_age": 0}
    ended = fleet.play("vfio.migration.prepare", asked, arguments=("--check",))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert answering(ended.stdout) == {"localhost"}
    said = shown(ended.stdout, "Show what was prepared")
    assert any("no host was asked" in each for each in said)
    assert (devices(fleet), [*fleet.work.glob("*.json")]) == (before, [])

    ended = fleet.play("vfio.migration.prepare", asked)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (made,) = {name: ids for name, ids in devices(fleet).items() if name != "a"}.values()
    assert sorted(made) == [UUIDS[1], UUIDS[2]]
    assert len(answering(ended.stdout)) == 3


def test_what_cached_facts_have_and_a_host_does_not_is_not_relied_on(fleet):
    for name in fleet.hosts:
        fleet.cache(name, {"vfio_migration": fleet.read(name)})
    fleet._write("a", {**fleet.read("a"), "devices": fleet.read("a")["devices"][:1]})
    asked = {"prepare_drain": "a", "prepare_gather": False, "prepare_max_age": 0}
    ended = fleet.play("vfio.migration.prepare", asked)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(progress(fleet)) == 1


def test_a_device_that_cannot_be_removed_keeps_no_other_one(fleet):
    before = devices(fleet)
    ended = fleet.play("vfio.migration.prepare", {"prepare_drain": "a", "prepare_targets": "b"})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    first, other = progress(fleet)
    fleet.keep("b", first)

    ended = fleet.play("vfio.migration.cleanup")
    assert ended.returncode != 0
    assert devices(fleet) == {**before, "b": [first]}
    assert progress(fleet) == [first]
    said = ended.stdout + ended.stderr
    assert f"b still has {first}: cannot remove {first}: it is busy" in said
    assert f"b still has {other}" not in said


# In and after the play in which the devices are made.
@pytest.mark.every_core
@pytest.mark.parametrize("task", ["Create, configure", "Evaluate the attempt"])
def test_after_a_run_is_killed_cleanup_leaves_nothing(fleet, task):
    before = devices(fleet)
    assert fleet.kill("vfio.migration.prepare", task, extra='{"prepare_drain": "a"}')
    assert sorted(progress(fleet)) == [UUIDS[1], UUIDS[2]]
    ended = fleet.play("vfio.migration.cleanup")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert devices(fleet) == before


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"prepare_sources": "vm-1,vm"}, "no guest or device in the fleet's facts is 'vm'"),
        # Ansible takes an empty pattern, such as that of a shell's variable that is not set, for every host.
        ({"prepare_drain": "a", "prepare_hosts": ""}, "no host of the inventory matches"),
        ({"prepare_drain": "a", "prepare_hosts": [", ", ""]}, "no host of the inventory matches"),
        (
            {"prepare_drain": "a", "prepare_hosts": "a,bb"},
            "no host or group of the inventory matches 'bb'",
        ),
        (
            {"prepare_drain": "a", "prepare_hosts": ["all", "!bb"]},
            "matches 'bb', which prepare_hosts has",
        ),
        (
            {"prepare_drain": "a", "prepare_dest": ["plan.json"]},
            "dest is ['plan.json']; expected text",
        ),
        ({"prepare_drain": "a", "prepare_limit": {"bb": 1}}, "limit has 'bb', and there is no"),
        ({"prepare_drain": "a", "prepare_avoid": [{"host": "bb"}]}, "avoid has 'bb', and there"),
    ],
)
def test_a_name_that_matches_nothing_stops_everything(fleet, asked, said):
    before = devices(fleet)
    ended = fleet.play("vfio.migration.prepare", extra=json.dumps(asked))
    assert ended.returncode == 2
    assert said in ended.stdout
    assert devices(fleet) == before
    assert [*fleet.work.iterdir()] == []


@pytest.mark.parametrize(
    ("playbook", "asked"),
    [
        ("prepare", {"prepare_hosts": "a,bb", "prepare_drain": "a"}),
        ("report", {"report_hosts": "a:b?"}),
        ("audit", {"audit_hosts": ["a", "!bb"]}),
        ("maintain", {"maintain_hosts": "a,bb", "maintain_role": "upgrade"}),
        ("candidates", {"candidates_hosts": ["a", "b&"], "candidates_guest": "vm-1"}),
        ("capture", {"capture_hosts": "hypervisors:&bb"}),
        ("capture", {"capture_dest": {"a": "captures"}}),
        ("cleanup", {"cleanup_hosts": "a,bb", "cleanup_remove": "interrupted"}),
        ("migrate_libvirt", {"migrate_libvirt_hosts": "a,bb", "migrate_libvirt_guests": "vm-1"}),
    ],
)
def test_hosts_of_which_there_is_one_less_are_an_error_in_every_playbook(fleet, playbook, asked):
    ended = fleet.play(f"vfio.migration.{playbook}", asked)
    assert ended.returncode == 2
    wrong = rf"no host or group of the inventory matches '\S+', which {playbook}_hosts has|expected text"
    assert len(re.findall(rf"^fatal: .*({wrong})", ended.stdout, re.MULTILINE)) == 1
    # Nobody is asked, and Ansible adds no notice of its own.
    assert re.findall(r"^(?:ok|changed|fatal): \[(.*?)\]", ended.stdout, re.MULTILINE) == [
        "localhost"
    ]
    assert "no hosts matched" not in ended.stdout
    assert "Could not match" not in ended.stdout + ended.stderr
    assert [*fleet.work.iterdir()] == []


@pytest.mark.parametrize(
    ("playbook", "asked", "said"),
    [
        ("prepare", {}, "nothing is named to move: set prepare_drain"),
        (
            "prepare",
            {"prepare_drain": "a", "prepare_guests": "vm-1"},
            "set hosts with prepare_drain",
        ),
        ("report", {"report_drain": "a", "report_guests": "vm-1"}, "set hosts with report_drain"),
        ("candidates", {}, "Give exactly one of these"),
        (
            "candidates",
            {"candidates_guest": "vm-1", "candidates_device": {"host": "a", "id": UUIDS[2]}},
            "Give exactly one of these",
        ),
        (
            "candidates",
            {"candidates_drain": "a", "candidates_devices": [{"host": "a", "id": UUIDS[2]}]},
            "Give exactly one of these",
        ),
        (
            "candidates",
            {"candidates_guest": "vm-1", "candidates_direction": "sideways"},
            "vfio.migration.candidates: value of candidates_direction must be one of",
        ),
        (
            "candidates",
            {"candidates_drain": "a*"},
            "candidates_drain takes names of hosts, no groups or patterns",
        ),
        (
            "candidates",
            {"candidates_guest": "vm-1", "candidates_max_age": "old"},
            "vfio.migration.candidates: argument 'candidates_max_age'",
        ),
    ],
)
def test_what_moves_is_named_in_one_way_or_no_host_is_asked(fleet, playbook, asked, said):
    ended = fleet.play(f"vfio.migration.{playbook}", asked)
    assert ended.returncode == 2
    assert said in ended.stdout
    contacted = re.findall(r"^(?:ok|changed|fatal): \[(.*?)\]", ended.stdout, re.MULTILINE)
    assert contacted == ["localhost"]


@pytest.mark.every_core
@pytest.mark.parametrize(
    ("playbook", "asked", "option"),
    [
        ("prepare", {"prepare_drain": "a", "prepare_targets": "{{ nowhere }}"}, "prepare_targets"),
        ("report", {"report_drain": "{{ nowhere }}"}, "report_drain"),
        ("audit", {"audit_exempt": ["a", "{{ nowhere }}"]}, "audit_exempt"),
        ("maintain", {"maintain_drain": "{{ nowhere }}"}, "maintain_drain"),
        (
            "candidates",
            {"candidates_guest": "vm-1", "candidates_hosts": "{{ nowhere }}"},
            "candidates_hosts",
        ),
        ("capture", {"capture_hosts": "{{ nowhere }}"}, "capture_hosts"),
        ("migrate_libvirt", {"prepare_avoid": "{{ nowhere }}"}, "prepare_avoid"),
    ],
)
def test_an_option_with_an_undefined_variable_is_an_error_in_every_playbook(
    fleet, playbook, asked, option
):
    """Ansible takes such an option for one that is not set: of a condition nothing would be left."""
    ended = fleet.play(f"vfio.migration.{playbook}", extra=json.dumps(asked))
    assert ended.returncode == 2
    assert (
        f"vfio.migration.{playbook}: {option} has no value: 'nowhere' is undefined" in ended.stdout
    )
    assert re.findall(r"^(?:ok|changed|fatal): \[(.*?)\]", ended.stdout, re.MULTILINE) == [
        "localhost"
    ]


@pytest.mark.every_core
def test_options_of_reports_are_none_of_candidates_and_none_checked_is_an_answer(fleet):
    of_reports = {
        "report_drain": "zz",
        "report_lost": "zz",
        "report_targets": "zz",
        "report_sources": [],
        "report_direction": "sideways",
    }
    asked = {"candidates_guest": "vm-1", "candidates_hosts": "a"}
    ended = fleet.play("vfio.migration.candidates", of_reports | asked)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "no other host was checked" in ended.stdout


@pytest.mark.every_core
def test_an_argument_that_an_action_refuses_is_shown_without_words_of_python(fleet):
    task = {"vfio.migration.migration_plan": {"drain": ["a"], "policy": "none"}}
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [task]}
    (fleet.work / "mine.yml").write_text(json.dumps([play]))
    ended = fleet.play("mine.yml")
    assert ended.returncode == 2
    assert "vfio.migration.migration_plan: value of policy must be one of" in ended.stdout
    assert "NoneType" not in ended.stdout + ended.stderr
    assert "exception" not in ended.stdout + ended.stderr


def test_a_run_that_is_limited_to_hosts_says_that_it_lacks_localhost(fleet):
    ended = fleet.play("vfio.migration.prepare", {"prepare_drain": "a"}, arguments=["--limit=a,b"])
    assert ended.returncode != 0
    assert "add localhost to --limit" in ended.stdout + ended.stderr


def test_a_play_of_ones_own_with_a_role_says_what_to_import(fleet):
    roles = [f"vfio.migration.{name}" for name in ("prepare", "cleanup", "report")]
    play = {"hosts": "all", "gather_facts": False, "serial": 1, "strategy": "free"}
    play["roles"] = [{"role": role, "ignore_errors": True} for role in roles]
    (fleet.work / "mine.yml").write_text(json.dumps([play]))
    ended = fleet.play("mine.yml")
    for role in roles:
        assert f"import_playbook: {role}" in ended.stdout
