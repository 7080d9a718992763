# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts of an attacker in a fleet: their Python answers every module with whatever they like.

Each playbook is run three times: with honest hosts alone; with a first host that also answers with a value for every option
and variable of every role and with keys that Ansible itself acts upon; and with a dozen hosts that answer nonsense. What
the others do and say, and what is written on the control node, must be the same.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.vfio.migration.tests.playbooks.simulated_fleet import (
    COLLECTION,
    PROGRAM,
    Fleet,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS

EVIL = "evil"
HONEST = ("a", "b", "c", "localhost")
GUESTS = {
    "vm-1": {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]},
    "vm-2": {"host": "c", "uuid": UUIDS[6], "device": UUIDS[2]},
    "vm-3": {"host": EVIL, "uuid": UUIDS[7], "device": UUIDS[3]},
}
# Playbooks, with variables of the inventory for all hosts; what is not among them has the default of its role.
VARIABLES: dict[str, dict[str, t.Any]] = {
    # Without a plan, so that there is room for one of the attacker's.
    "report capture": {},
    "audit": {"audit_failure_domains": {"rack": ["a", "b"]}},
    "report": {
        "report_sources": ["vm-1", "vm-2", "vm-3"],
        "report_targets": [EVIL, "b", "c"],
    },
    "prepare cleanup": {
        "prepare_sources": ["vm-1", "vm-2", "vm-3"],
        "prepare_targets": [EVIL, "b", "c"],
    },
    "migrate_libvirt": {
        "migrate_libvirt_guests": ["vm-1", "vm-2"],
        "migrate_libvirt_targets": [EVIL, "b"],
    },
    "maintain": {"maintain_drain": [EVIL, "a"], "maintain_tasks": "../upgrade.yml"},
    "candidates": {"candidates_guests": ["vm-1", "vm-2"], "candidates_dest": "candidates.json"},
    "sample": {},
}
# What the operator has done on a host that is maintained.
UPGRADE = """\
- name: Upgrade the host
  ansible.builtin.command: /bin/true
"""
# Where Ansible and the attacker's host work, links, and what Ansible is run with.
_WORKPLACES = {"async", "collections", "local", "remote", "state", "hosts.json", "extra.yml", EVIL}
_TIME = re.compile(
    rb"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d([.]\d+)?)?( ?UTC|Z|[+]00:00)?|(?<=_timestamp_seconds )\d+"
)
# The run of Ansible that has written a progress file.
_PROCESS = re.compile(rb'"pid": [0-9]+,\s+"start": "[^"]+"')
_RESULT = re.compile(r"\w+: \[([^\] ]+)|(\S+) +: ok=")
_PROGRESS = re.compile(r"vm-\d to \w+: \d+ %, ")
_HEADINGS = ("PLAY ", "TASK [", "[", "included: ", "An exception occurred")


@dataclass
class Outcome:
    """What can be seen of a run: what each host said, what is on the control node, and what has become of the hosts."""

    status: int
    said: dict[str, list[str]]
    files: dict[str, bytes]
    facts: dict[str, t.Any]
    guests: dict[str, str]

    def given(self) -> dict[str, bytes]:
        """Return the files in the working directory, where all destinations are."""
        return {name: each for name, each in self.files.items() if name.startswith("work/")}

    def others(self) -> dict[str, bytes]:
        """Return all other files, but for the programs of the hosts."""
        return {
            name: each
            for name, each in self.files.items()
            if not name.startswith("work/") and "/bin/" not in name
        }


def outcome(fleet: Fleet, ended: subprocess.CompletedProcess[str]) -> Outcome:
    here = str(fleet.place)
    return Outcome(
        status=ended.returncode,
        said=_said(ended.stdout.replace(here, "PLACE")),
        files={
            str(path.relative_to(fleet.place)): _comparable(path, here)
            for path in sorted(fleet.place.rglob("*"))
            if path.relative_to(fleet.place).parts[0] not in _WORKPLACES and path.is_file()
        },
        facts={name: fleet.read(name) for name in fleet.hosts},
        guests=fleet.guests(),
    )


def _comparable(path: Path, place: str) -> bytes:
    """Return what is in a file, but for the time and for where the fleet is."""
    content = path.read_bytes().replace(place.encode(), b"PLACE")
    if path.suffix == ".jsonl":
        # Records of guests that leave different hosts are in the order in which these have moved.
        content = b"".join(sorted(content.splitlines(keepends=True)))
    content = _PROCESS.sub(b"PROCESS", _TIME.sub(b"TIME", content))
    # Facts of several hosts are of one second, or of several.
    return content.replace(b"TIME to TIME", b"TIME")


def _said(output: str) -> dict[str, list[str]]:
    """Return, for each host, its results in their order, and its lines of the recaps."""
    said: dict[str, list[str]] = {}
    where: list[str] = []
    for line in output.splitlines():
        # Whichever result comes before it, it is of no host.
        if _PROGRESS.match(line):
            continue
        if found := _RESULT.match(line):
            where = said.setdefault(found[1] or found[2], [])
        elif not line or line.startswith(_HEADINGS):
            where = []
        where.append(line)
    return said


def sentences_on_guests(outcome: Outcome) -> list[str]:
    """Return what is said of the guests, but for what is not known as a liar has not answered."""
    lines = (line.strip().rstrip(",") for line in outcome.said["localhost"])
    return [line for line in lines if line.startswith('"vm-') and ": unknown, liar" not in line]


# --- what an attacker says -------------------------------------------------------------------------------------------


def options() -> dict[str, dict[str, t.Any]]:
    """Return every option of every role, from the roles' own specifications."""
    found: dict[str, dict[str, t.Any]] = {}
    for path in sorted(COLLECTION.glob("roles/*/meta/argument_specs.yml")):
        for entry in yaml_load(path.read_text())["argument_specs"].values():
            found.update(entry["options"])
    return found


def variables() -> set[str]:
    """Return every word in the roles and playbooks that may be a variable, but for the facts that a host is asked for."""
    files = [*COLLECTION.glob("roles/**/*.yml"), *COLLECTION.glob("playbooks/**/*.yml")]
    words = {
        word for path in files for word in re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", path.read_text())
    }
    return words - {"vfio_migration"}


def evil_value(name: str, option: dict[str, t.Any], place: Path) -> t.Any:
    """Return a value that would do harm if anybody went by it."""
    if "choices" in option:
        return next(each for each in option["choices"] if each != option.get("default"))
    by_type: dict[str, t.Any] = {
        "path": str(place / "home/precious"),
        "bool": not option.get("default"),
        "int": 1 if option.get("default") != 1 else 2,
        "dict": forged_plan(),
        "str": PROGRAM,
        "raw": forged_plan() if name.endswith("plan") else {"b": 0, "c": 0},
    }
    if option["type"] != "list":
        return by_type[option["type"]]
    elements: dict[str, t.Any] = {
        "dict": [{"host": name, "parent": "0000:00:02.0", "problem": "evil"} for name in "bc"],
        "list": [["vm-1", "vm-2", "vm-3"]],
        "raw": [{"host": "a", "id": UUIDS[1]}],
        "str": [EVIL],
    }
    return elements[option["elements"]]


def forged_plan() -> dict[str, t.Any]:
    """Return a plan that has a guest of an honest host move to the attacker's."""
    place = {"host": EVIL, "kind": "mdev", "parent": "0000:00:02.0", "type": "i915-GVTg_V5_4"}
    source = {"host": "a", "kind": "mdev", "id": UUIDS[1], "parent": "0000:00:02.0"}
    target = {**place, "id": UUIDS[9], "create": True, "attributes": [], "accept": []}
    placement = {"vm": "vm-1", "source": source, "target": target, "wave": 0}
    device = {"uuid": UUIDS[9], "parent": "0000:00:02.0", "type": "i915-GVTg_V5_4"}
    return {
        "schema": 1,
        "status": "optimal",
        "placements": [placement],
        "hosts": {
            name: {"devices": [device], "pci_devices": [], "vdpa_devices": []} for name in "abc"
        },
        "unplaced": [],
        "map": {},
    }


def every_variable(place: Path) -> dict[str, t.Any]:
    """Return facts with an evil value for every option and variable, and for what says how hosts are reached."""
    evil = PROGRAM
    reached = {
        "ansible_connection": "local",
        "ansible_host": "b",
        "ansible_user": "nobody",
        "ansible_become": True,
        "ansible_become_method": evil,
        "ansible_become_exe": evil,
        "ansible_shell_executable": evil,
        "ansible_ssh_common_args": "-o ProxyCommand='touch $CANARY'",
        "ansible_python_interpreter": f"{place}/b/bin/python",
        "ansible_playbook_python": evil,
        "ansible_remote_tmp": str(place / "home"),
        "ansible_facts": {"vfio_migration": {}},
        "ansible_delegated_vars": {"b": {"ansible_host": EVIL}},
        "ansible_play_hosts": [EVIL],
        "ansible_check_mode": True,
        "hostvars": {"b": {}, "localhost": {}},
        "groups": {"all": [EVIL]},
        "inventory_hostname": "b",
        "omit": evil,
        "item": evil,
    }
    words = {name: evil for name in variables() if not name.startswith("ansible_")}
    given = {name: evil_value(name, option, place) for name, option in options().items()}
    return {**words, **reached, **given}


def every_key(place: Path) -> dict[str, t.Any]:
    """Return keys of an answer that Ansible, or whoever shows it, acts upon."""
    evil = PROGRAM
    return {
        "add_host": {"host_name": "b", "groups": ["all"], "host_vars": {"prepare_targets": [EVIL]}},
        "add_group": "all",
        "_ansible_delegated_vars": {"ansible_delegated_host": "b", "ansible_host": "b"},
        "_ansible_facts_gathered": True,
        "_ansible_item_label": evil,
        "_ansible_no_log": True,
        "_ansible_notify": [evil],
        "_ansible_verbose_always": True,
        "ansible_included_var_files": [str(place / "home/precious")],
        "ansible_loop_var": evil,
        "ansible_stats": {"data": {"b": evil}, "per_host": True, "aggregate": True},
        "diff": [{"before": evil, "after": evil}, evil],
        "exception": f"{evil}\n\x1b]0;owned\x07",
        "invocation": {"module_args": {"devices": evil}},
        "deprecations": [{"msg": evil, "version": "9"}],
        "warnings": [evil, "\x1b[2J"],
        "include": evil,
        "include_args": {"a": evil},
        "skip_reason": evil,
        "msg": evil,
    }


def nonsense(place: Path) -> list[str]:
    """Return answers that are no honest module's, a text each."""
    evil = PROGRAM
    facts = [
        None,
        [],
        "vfio",
        {"vfio_migration": None},
        {"vfio_migration": [evil]},
        {"vfio_migration": {"schema": 1, "devices": 7, "parents": {}, "descriptors": "x"}},
        {"vfio_migration": {"schema": 10**400, "devices": [], "parents": [], "problems": []}},
        {"vfio_migration": {"schema": 1, "devices": [{"kind": "mdev", "id": "\ud800"}]}},
        {evil: evil, "\ud800": "\ud800", "": ""},
    ]
    answers: list[t.Any] = [{"ansible_facts": each} for each in facts]
    answers += [
        {"failed": True, "msg": f"\x1b[2J\u202e{evil}", "exception": evil},
        {"failed": "no", "rc": "1", "stdout": [evil], "stderr": {"a": evil}, "results": evil},
        {"unreachable": True, "msg": evil},
        {"skipped": True, "results": [{"failed": True}], "changed": evil},
        {"msg": ["x" * 1000] * 3000},
        [{"changed": True}],
        evil,
        None,
    ]
    texts = [json.dumps(each) for each in answers]
    deep = "[" * 5000 + "]" * 5000
    return [*texts, "", "no JSON {", '{"changed": "\udcff"}', f'{{"ansible_facts": {deep}}}']


# --- the runs --------------------------------------------------------------------------------------------------------


def run(
    place: Path,
    playbook: str,
    lies: t.Callable[[Fleet], None] | None = None,
    liars: t.Sequence[str] = (),
) -> Outcome:
    fleet = Fleet(place, [*liars, EVIL, "a", "b", "c"], GUESTS, room=2)
    (place / "home/precious").write_text("the operator's\n")
    (place / "upgrade.yml").write_text(UPGRADE)
    if lies:
        lies(fleet)
    names = " ".join(f"vfio.migration.{name}" for name in playbook.split())
    ended = fleet.play(names, VARIABLES[playbook])
    return outcome(fleet, ended)


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """Return what a playbook comes to where nobody lies."""

    @functools.cache
    def honest(playbook: str) -> Outcome:
        found = run(tmp_path_factory.mktemp(playbook.replace(" ", "-")), playbook)
        # Else there is nothing that an attacker could change.
        assert found.status == 0
        return found

    return honest


def test_every_playbook_and_role_is_played():
    played = {name for each in VARIABLES for name in each.split()}
    assert played == {path.stem for path in (COLLECTION / "playbooks").glob("*.yml")}
    # A playbook has all parts of the role of its name.
    assert {path.name for path in (COLLECTION / "roles").iterdir()} <= played


# A run of maintain takes as long as all others, and is for the most part one of migrate_libvirt.
@pytest.mark.parametrize(
    "playbook",
    [
        pytest.param(each, marks=() if each == "maintain" else pytest.mark.every_core)
        for each in VARIABLES
    ],
)
def test_what_one_host_answers_beside_its_facts_has_no_effect(honest, tmp_path, playbook):
    def lies(fleet: Fleet) -> None:
        fleet.lie(EVIL, facts=every_variable(tmp_path), keys=every_key(tmp_path))

    expected, found = honest(playbook), run(tmp_path, playbook, lies)
    assert found.files == expected.files
    for name in HONEST:
        assert found.said.get(name) == expected.said.get(name)
    assert found.facts == expected.facts
    assert found.guests == expected.guests


@pytest.mark.parametrize("playbook", ["report", "prepare cleanup"])
def test_what_a_fact_cache_has_of_one_host_has_no_effect(honest, tmp_path, playbook):
    """As another playbook has gathered it, whose modules let in whatever a host answers."""

    def lies(fleet: Fleet) -> None:
        # Of how a host is reached Ansible itself lets nothing in.
        words = {
            name: value
            for name, value in every_variable(tmp_path).items()
            if not name.startswith("ansible_")
        }
        forged = {"changed": False, "ansible_facts": {"vfio_migration": fleet.read("b")}}
        answers = dict.fromkeys((f"{name}_gathered" for name in ("report", "prepare")), forged)
        fleet.cache(EVIL, {**words, **answers, "vfio_migration": fleet.read("b")})

    expected, found = honest(playbook), run(tmp_path, playbook, lies)
    assert found.files == expected.files
    for name in "abc":
        assert found.said.get(name) == expected.said.get(name)
    # What becomes of its own part is up to that host.
    of_others = [
        [line for line in sentences_on_guests(each) if f"-> {EVIL} " not in line]
        for each in (found, expected)
    ]
    assert of_others[0] == of_others[1]
    for name in "abc":
        assert found.facts[name] == expected.facts[name]
    assert found.guests == expected.guests


@pytest.mark.parametrize("playbook", [each for each in VARIABLES if each != "maintain"])
def test_nonsense_of_some_hosts_is_no_matter_of_the_others(honest, tmp_path, playbook):
    # All playbooks gather the same facts by the same module, and capture with another one.
    every = 1 if "capture" in playbook else 4
    texts = nonsense(tmp_path)[::every]
    answers = dict(zip((f"liar{number}" for number in range(100)), texts))

    def lies(fleet: Fleet) -> None:
        for name, text in answers.items():
            fleet.lie(name, texts=[text])

    expected, found = honest(playbook), run(tmp_path, playbook, lies, [*answers])
    for name in (*"abc", EVIL):
        assert found.said.get(name) == expected.said.get(name)
        assert found.facts[name] == expected.facts[name]
    assert sentences_on_guests(found) == sentences_on_guests(expected)
    assert found.guests == expected.guests
    assert [*found.others()] == [*expected.others()]
    for name, content in expected.given().items():
        if name.endswith("plan.json"):
            plans = [json.loads(each) for each in (found.given()[name], content)]
            assert plans[0]["placements"] == plans[1]["placements"]
            assert plans[0]["hosts"] == plans[1]["hosts"]
        elif name.endswith(".tar.gz"):
            assert found.given()[name] == content
        else:
            assert found.given()[name]


def test_no_guest_goes_to_a_target_that_turns_to_nonsense(tmp_path):
    """It is chosen, makes the device and says nothing sensible from then on: another target is, and what it has is left there."""

    def lies(fleet: Fleet) -> None:
        fleet.lie(EVIL, texts=nonsense(tmp_path), after="vfio_mdev")

    found = run(tmp_path, "migrate_libvirt", lies)
    assert found.guests == {"vm-1": "b", "vm-2": "b", "vm-3": EVIL}
    said = "\n".join(found.said["localhost"])
    for guest, host in (("vm-1", "a"), ("vm-2", "c")):
        assert f'"{guest} has moved from {host} to b"' in said
        assert found.facts[host]["devices"] == []
    assert f"{EVIL} still has {UUIDS[1]}" in said
    assert sorted(each["in_use"]["name"] for each in found.facts["b"]["devices"]) == [
        "vm-1",
        "vm-2",
    ]
