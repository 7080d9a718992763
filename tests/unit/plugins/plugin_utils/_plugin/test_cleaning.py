# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbook ``cleanup`` decides between its plays: what goes, on whose word."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.preparation import (
    still_awaited,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin import cleaning
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.progress_file import (
    FORMAT,
    read_progress,
    write_progress,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host

OLD, NEW, OTHER = UUIDS[1:4]


def placement(vm: str | None = "vm-1", old: str = OLD, new: str = NEW, **target: t.Any) -> t.Any:
    made = {"parent": "0000:00:02.0", "type": "i915-GVTg_V5_4", "attributes": [], "create": True}
    return {
        "vm": vm,
        "source": {"host": "a", "kind": "mdev", "id": old},
        "target": {"host": "b", "kind": "mdev", "id": new, **made, **target},
    }


class Hosts(dict[str, dict[str, t.Any]]):
    """``hostvars`` of hosts that have these devices, each with its holder."""

    def __init__(self, **devices: t.Mapping[str, str | None]) -> None:
        super().__init__()
        for name, held in devices.items():
            self.answer(name, held)

    def answer(self, name: str, held: t.Mapping[str, str | None]) -> None:
        found = host([device(uuid, vm=vm, pid=7 if vm else None) for uuid, vm in held.items()])
        facts = {"ansible_facts": {"vfio_migration": found}}
        of_libvirt = {"cleanup_libvirt": {"rc": 0, "stdout": "", "stderr": ""}}
        self[name] = {**of_libvirt, **self.get(name, {}), **facts, "cleanup_gathered": facts}


@pytest.fixture
def clean(tmp_path):
    """Return a function that takes all steps; ``between`` is called before the last one."""

    def clean(hosts, plan=None, began=None, between=None, check_mode=False, **options: t.Any):
        path = tmp_path / "plan.json"
        if plan is not None:
            path.write_text(json.dumps({"placements": plan}))
        if began is not None:
            write_progress(str(tmp_path / "plan.progress.json"), began, str(path))
        given = {"hosts": [*hosts], "remove": ["prepared"], "from": str(path), "timeout": 10}
        run = cleaning.begin({**given, **options}, hosts, check_mode)
        run = cleaning.find_superfluous(run, hosts)
        if run["define_hosts"]:
            run = cleaning.settle(run, hosts)
        if between:
            between(run)
        return cleaning.end(run, hosts)

    return clean


def removed(run: t.Any) -> dict[str, list[str]]:
    return {
        name: [each["uuid"] for each in tasks["devices"]] for name, tasks in run["tasks"].items()
    }


def test_what_was_made_and_is_free_goes_and_is_forgotten(clean, tmp_path):
    hosts = Hosts(a={OLD: "vm-1"}, b={NEW: None})
    run = clean(hosts, [placement()], [placement()], lambda run: hosts.answer("b", {}))
    assert removed(run) == {"b": [NEW]}
    assert run["failure"] is None
    assert read_progress(str(tmp_path / "plan.progress.json")) == []


def test_what_is_left_is_told_though_it_can_no_longer_be_written_down(clean, tmp_path):
    hosts = Hosts(a={OLD: "vm-1"}, b={NEW: None})
    progress = tmp_path / "plan.progress.json"

    def lose(run):
        progress.unlink()
        progress.mkdir()

    run = clean(hosts, [placement()], [placement()], lose)
    assert run["left"]["b"]
    assert f"b still has {NEW}" in run["failure"]
    assert f"{progress} still names what has been removed or has moved" in run["failure"]


def test_what_this_run_has_written_down_is_not_written_again_to_begin(clean, tmp_path):
    """Where the disk is full by then, what was made is removed all the same."""
    hosts = Hosts(a={OLD: "vm-1"}, b={NEW: None})
    progress = tmp_path / "plan.progress.json"
    write_progress(str(progress), [placement()], str(tmp_path / "plan.json"))
    written = progress.stat().st_ino
    at_last = []
    clean(hosts, [placement()], None, lambda run: at_last.append(progress.stat().st_ino))
    assert at_last == [written]
    data = json.loads(progress.read_text())
    progress.write_text(json.dumps({**data, "process": {"pid": 1, "start": "another"}}))
    written = progress.stat().st_ino
    clean(hosts, [placement()], None, lambda run: at_last.append(progress.stat().st_ino))
    assert at_last[-1] != written


def test_of_a_guest_that_may_be_on_its_target_in_part_nothing_goes_and_nothing_is_forgotten(
    clean, tmp_path
):
    """Its half holds the device there. Once that is gone, and the guest runs on its source again, the target is to be found."""
    hosts = Hosts(a={OLD: None}, b={NEW: "vm-1"})
    remove = ["prepared", "vacated"]
    run = clean(hosts, [placement()], [placement()], remove=remove, kept=[["a", "vm-1"]])
    assert removed(run) == {}
    assert len(read_progress(str(tmp_path / "plan.progress.json"))) == 1
    hosts.answer("a", {OLD: "vm-1"})
    hosts.answer("b", {NEW: None})
    run = clean(hosts, None, None, lambda run: hosts.answer("b", {}), remove=remove)
    assert removed(run) == {"b": [NEW]}
    # Where it is whole there, its source goes.
    hosts = Hosts(a={OLD: None}, b={NEW: "vm-1"})
    assert removed(clean(hosts, [placement()], [placement()], remove=remove)) == {"a": [OLD]}


def test_a_device_that_is_not_there_yet_goes_too_where_it_was_begun(clean):
    hosts = Hosts(a={OLD: "vm-1"}, b={})
    assert removed(clean(hosts, [placement()], [placement()])) == {"b": [NEW]}
    # By the plan alone nobody has begun.
    assert removed(clean(hosts, remove=["prepared"], plan=[placement()], began=[])) == {}


def test_a_device_that_was_not_made_stays_whatever_the_plan_says(clean):
    hosts = Hosts(a={OLD: "vm-1"}, b={NEW: None})
    assert removed(clean(hosts, [placement()], [])) == {}
    assert removed(clean(hosts, [placement(create=False)], [])) == {}


def test_a_function_goes_back_to_its_settings_where_they_were_given(clean):
    hosts = Hosts(a={OLD: "vm-1"})
    function = host([device("0000:81:01.0", kind="pci")])
    facts = {"ansible_facts": {"vfio_migration": function}}
    hosts["b"] = {**facts, "cleanup_gathered": facts}
    network = {"mac": "52:54:00:12:34:56"}
    given = placement(new="0000:81:01.0", kind="pci", create=False, network=network)
    assert clean(hosts, [given], [])["tasks"] == {}
    (task,) = clean(hosts, [given], [given])["tasks"]["b"]["pci_devices"]
    assert task == {"address": "0000:81:01.0", "keep_driver": True}


MAC = "52:54:00:12:34:56"


def left_by_its_guest(
    clean, action: str = "restored", mac: str = MAC, remove: t.Any = ("vacated",)
):
    """Clean up when a guest has left a function of a card that has this ``mac``, and the module says that of it."""
    hosts = Hosts()
    function = {"kind": "pci", "parent": "0000:81:00.0", "network": {"mac": mac}}
    there = {"a": host([device("0000:81:01.0", **function)]), "b": host([device(NEW, vm="vm-1")])}
    for name, found in there.items():
        facts = {"ansible_facts": {"vfio_migration": found}}
        hosts[name] = {
            **facts,
            "cleanup_gathered": facts,
            "cleanup_libvirt": {"rc": 0, "stdout": ""},
        }
    hosts["a"]["cleanup_pci_result"] = {
        "devices": [{"address": "0000:81:01.0", "action": action}, "nonsense"]
    }
    moved = placement(kind="mdev", create=True, network={"mac": MAC})
    moved["source"] = {"host": "a", "kind": "pci", "id": "0000:81:01.0"}
    return clean(hosts, [moved], remove=[*remove])


def test_a_function_that_its_guest_has_left_gets_back_what_it_had(clean):
    run = left_by_its_guest(clean)
    (task,) = run["tasks"]["a"]["pci_devices"]
    assert task == {"address": "0000:81:01.0", "keep_driver": True}
    (sentence,) = run["sentences"]
    assert sentence.endswith("is moved; the source is given back what it had before")
    assert (run["notes"], run["failure"]) == ([], None)


def test_where_nobody_knows_what_a_function_had_that_is_said(clean):
    run = left_by_its_guest(clean, "unchanged")
    (note,) = run["notes"]
    assert note.startswith(f"0000:81:01.0 on a keeps the MAC address {MAC}, which its guest has")
    assert run["failure"] is None


def test_a_function_that_has_another_address_by_now_stays_as_it_is(clean):
    for others in ({"mac": "52:54:00:12:34:57"}, {"remove": ["prepared"]}):
        run = left_by_its_guest(clean, **others)
        assert (run["tasks"], run["notes"]) == ({}, [])


def test_a_device_that_an_earlier_run_made_goes_though_the_last_one_found_it_there(clean):
    hosts = Hosts(a={OLD: "vm-1"}, b={NEW: None})
    assert removed(clean(hosts, [placement(create=False)], [placement()])) == {"b": [NEW]}


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({OLD: None}, {NEW: "vm-1"}),
        ({OLD: "vm-1"}, {NEW: "vm-9"}),
        ({OLD: None}, {NEW: None}),
        ({}, {NEW: "vm-1"}),
    ],
)
def test_no_target_goes_that_its_host_or_the_sources_says_is_needed(clean, a, b):
    assert removed(clean(Hosts(a=a, b=b), [placement()], [placement()])) == {}


def test_a_host_that_does_not_answer_keeps_all_and_is_named(clean, tmp_path):
    hosts = Hosts(a={OLD: "vm-1"}, b={NEW: None})
    hosts["b"]["cleanup_gathered"] = {"unreachable": True, "msg": "no route"}
    run = clean(hosts, [placement()], [placement()])
    assert removed(run) == {}
    assert "unclear; b: it did not answer: no route" in run["sentences"][0]
    assert run["failure"] == (
        f"b may still have {NEW}: it did not answer: no route\n{later(tmp_path)}"
    )
    assert read_progress(str(tmp_path / "plan.progress.json")) == [placement()]


# --- vacated sources: on whose word ----------------------------------------------------------------------------------


def vacated(clean, hosts: Hosts, *plan: t.Any) -> dict[str, list[str]]:
    return removed(clean(hosts, [*plan], [*plan], remove=["vacated"]))


def test_a_source_goes_where_both_sides_say_that_its_guest_has_moved(clean):
    assert vacated(clean, Hosts(a={OLD: None}, b={NEW: "vm-1"}), placement()) == {"a": [OLD]}


def test_a_source_stays_while_its_own_host_knows_the_guest(clean):
    hosts = Hosts(a={OLD: None}, b={NEW: "vm-1"})
    hosts["a"]["cleanup_libvirt"] = {"rc": 0, "stdout": "vm-2\nvm-1\n\n"}
    assert vacated(clean, hosts, placement()) == {}
    # On another host that may be said of anybody.
    hosts["a"]["cleanup_libvirt"], hosts["b"]["cleanup_libvirt"] = (
        hosts[name]["cleanup_libvirt"] for name in "ba"
    )
    assert vacated(clean, hosts, placement()) == {"a": [OLD]}


@pytest.mark.parametrize(
    ("said", "goes"),
    [
        ({"rc": 1, "stdout": "", "stderr": "error: failed to connect to the hypervisor"}, False),
        ({"unreachable": True, "msg": "Connection refused"}, False),
        ({}, False),
        # There is no virsh.
        ({"rc": 2, "stdout": "", "stderr": "", "msg": "Error executing command."}, True),
    ],
)
def test_a_source_stays_where_libvirt_does_not_say_which_guests_it_knows(clean, said, goes):
    hosts = Hosts(a={OLD: None}, b={NEW: "vm-1"})
    hosts["a"]["cleanup_libvirt"] = said
    run = clean(hosts, [placement()], [placement()], remove=["vacated"])
    assert removed(run) == ({"a": [OLD]} if goes else {})
    told = [each for each in run["sentences"] if "does not say which guests" in each]
    assert len(told) == (0 if goes else 1)


def test_a_guest_is_known_by_its_whole_name(clean):
    vm = "vm\u2028x"
    hosts = Hosts(a={OLD: None}, b={NEW: vm})
    hosts["a"]["cleanup_libvirt"] = {"rc": 0, "stdout": f"{vm}\n\n"}
    assert vacated(clean, hosts, placement(vm=vm)) == {}


def test_a_guest_that_holds_one_of_its_devices_has_not_moved(clean):
    hosts = Hosts(a={OLD: None, UUIDS[4]: "vm-1"}, b={NEW: "vm-1", OTHER: None})
    assert vacated(clean, hosts, placement(), placement(old=UUIDS[4], new=OTHER)) == {}


def test_a_source_that_is_defined_stays_where_its_target_cannot_be(clean):
    hosts = Hosts(a={OLD: None}, b={NEW: "vm-1"})
    hosts["a"]["cleanup_mdevctl"] = {"rc": 0, "stdout": json.dumps([{"p": [{OLD: {}}]}])}
    assert vacated(clean, hosts, placement()) == {}
    hosts["b"]["cleanup_definitions"] = {"failed": True, "msg": "no mdevctl"}
    assert vacated(clean, hosts, placement()) == {}
    run = clean(hosts, [placement()], [placement()], remove=["vacated"])
    assert f"a still has {OLD}, which its guest has left" in run["failure"]
    assert f"{NEW} could not be defined on b: no mdevctl" in run["failure"]
    hosts["b"]["cleanup_definitions"] = {"changed": True}
    assert vacated(clean, hosts, placement()) == {"a": [OLD]}


def test_a_definition_that_fails_keeps_no_source_of_another_hosts_target(clean):
    """Two targets may have one UUID, as who has the second one chooses that."""
    other = UUIDS[9]
    hosts = Hosts(a={OLD: None}, b={OLD: "vm-1"}, c={other: None}, z={OLD: "vm-2"})
    for name, there in (("a", OLD), ("c", other)):
        hosts[name]["cleanup_mdevctl"] = {"rc": 0, "stdout": f"{there} x"}
    hosts["b"]["cleanup_definitions"] = {"changed": True}
    hosts["z"]["cleanup_definitions"] = {"failed": True, "msg": "no"}
    plan = [placement(new=OLD), placement("vm-2", old=other, new=OLD, host="z", create=False)]
    plan[1]["source"]["host"] = "c"
    run = clean(hosts, plan, plan[:1], remove=["vacated"])
    assert removed(run) == {"a": [OLD]}
    assert f"c still has {other}, which its guest has left" in run["failure"]


@pytest.mark.parametrize("missing", ["parent", "type"])
def test_what_is_defined_is_what_is_there_whatever_the_plan_says(clean, missing):
    hosts = Hosts(a={OLD: None}, b={NEW: "vm-1"})
    hosts["a"]["cleanup_mdevctl"] = {"rc": 0, "stdout": OLD}
    hosts["b"]["cleanup_definitions"] = {"changed": True}
    plan = placement()
    plan["target"].pop(missing, None)
    (task,) = clean(hosts, [plan], [plan], remove=["vacated"])["define"]["b"]
    (there,) = hosts["b"]["cleanup_gathered"]["ansible_facts"]["vfio_migration"]["devices"]
    assert (task["parent"], task["type"]) == (there["parent"], there["type"])


# --- the end ---------------------------------------------------------------------------------------------------------


def later(tmp_path, remove: str = "") -> str:
    """Return how what is left is said to be removed later."""
    command = (
        f"ansible-playbook vfio.migration.cleanup -e cleanup_from={tmp_path}/plan.json{remove}"
    )
    return f"To remove what is left, when its host answers and nothing holds it: {command}"


@pytest.mark.parametrize("remove", [["prepared", "vacated"], ["prepared", "interrupted"]])
def test_how_to_remove_what_is_left_names_what_was_to_be_removed(clean, tmp_path, remove):
    hosts = Hosts(a={OLD: "vm-1"}, b={NEW: None})
    hosts["b"]["cleanup_result"] = {"failed": True, "msg": "EBUSY"}
    run = clean(hosts, [placement()], [placement()], remove=remove)
    *_words, last = run["failure"].splitlines()
    assert last == later(tmp_path, f" -e cleanup_remove={','.join(remove)}")


def test_of_a_plan_in_no_file_no_file_is_named():
    hosts = Hosts(a={OLD: "vm-1"}, b={NEW: None})
    hosts["b"]["cleanup_result"] = {"failed": True, "msg": "EBUSY"}
    given = {"hosts": [*hosts], "remove": ["prepared"], "timeout": 10}
    run = cleaning.begin({**given, "plan": {"placements": [placement()]}}, hosts, False)
    run = cleaning.end(cleaning.find_superfluous(run, hosts), hosts)
    assert run["failure"].endswith(
        "when its host answers and nothing holds it: run the clean-up again"
    )


def test_what_is_left_is_said_and_stays_written_down(clean, tmp_path):
    hosts = Hosts(a={OLD: "vm-1"}, b={NEW: None})
    hosts["b"]["cleanup_result"] = {"failed": True, "msg": "EBUSY"}
    run = clean(hosts, [placement()], [placement()])
    assert run["failure"] == f"b still has {NEW}: EBUSY\n{later(tmp_path)}"
    assert read_progress(str(tmp_path / "plan.progress.json")) == [placement()]


def test_of_devices_that_were_removed_one_by_one_those_are_left_that_could_not_be(clean):
    functions = [f"0000:81:01.{number}" for number in range(3)]
    given: t.Any = {"kind": "pci", "create": False, "network": {"mac": MAC}}
    made = [placement(f"vm-{n}", UUIDS[n], each, **given) for n, each in enumerate(functions)]
    hosts = Hosts(a={UUIDS[n]: f"vm-{n}" for n in range(3)})
    function = host([device(each, kind="pci") for each in functions])
    facts = {"ansible_facts": {"vfio_migration": function}}
    failed = {"failed": True, "msg": "EBUSY"}
    hosts["b"] = {**facts, "cleanup_gathered": facts, "cleanup_pci_result": failed}
    run = clean(hosts, made, made)
    assert run["failure"].splitlines()[0] == f"b still has {', '.join(functions)}: EBUSY"
    done = {"changed": True}
    hosts["b"]["cleanup_each_pci_result"] = {"results": [done, failed, done]}
    run = clean(hosts, made, made)
    assert run["failure"].splitlines()[0] == f"b still has {functions[1]}: EBUSY"
    # What was not asked for by itself, or is nonsense, tells nothing.
    for odd in ([{"skipped": True}] * 3, "x", [7], []):
        hosts["b"]["cleanup_each_pci_result"] = {"results": odd}
        assert functions[2] in clean(hosts, made, made)["failure"]


def test_what_a_guest_has_come_to_is_not_written_down_any_more(clean, tmp_path):
    # Else it would be removed as one that was prepared, once that guest has moved on.
    for there in ({OLD: None}, {}):
        clean(Hosts(a=there, b={NEW: "vm-1"}), [placement()], [placement()])
        assert read_progress(str(tmp_path / "plan.progress.json")) == []


def test_check_mode_changes_no_file(clean, tmp_path):
    hosts = Hosts(a={OLD: "vm-1"}, b={NEW: None})
    run = clean(hosts, [placement()], [placement()], check_mode=True)
    assert (removed(run), run["failure"]) == ({"b": [NEW]}, None)
    assert read_progress(str(tmp_path / "plan.progress.json")) == [placement()]


def test_hosts_that_a_plan_names_are_asked_only_if_the_inventory_has_them(clean):
    hosts = Hosts(a={OLD: "vm-1"}, b={NEW: None}, c={})
    run = clean(hosts, [placement(host="all")], [placement()])
    assert run["hosts"] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("plan.json", "[]", "is not a plan"),
        ("plan.json", "{", "no JSON in"),
        (
            "plan.json",
            "{}",
            "is not a plan; expected what migration_plan returns: the key 'placements' is",
        ),
        ("plan.json", json.dumps({"placements": [7]}), r"at placements\[0\] a mapping is expected"),
        (
            "plan.json",
            json.dumps({"placements": [placement(kind="foo")]}),
            r"at placements\[0\]\.target\.kind one of mdev, pci, vdpa is expected",
        ),
        ("plan.progress.json", "{", "is not a progress file of vfio.migration.prepare"),
        ("plan.progress.json", json.dumps({"format": FORMAT + 1}), "expected 1; use the version"),
        (
            "plan.progress.json",
            json.dumps({"format": FORMAT, "placements": [{"vm": None, "source": {}}]}),
            "is not a progress file",
        ),
        (None, "", "there is neither a plan .*: correct cleanup_from, or set cleanup_remove to"),
    ],
)
def test_files_that_are_none_are_named(clean, tmp_path, name, text, words):
    if name:
        (tmp_path / name).write_text(text)
    with pytest.raises(FleetError, match=words):
        clean(Hosts(a={}, b={}))


@pytest.mark.parametrize("check_mode", [False, True])
def test_progress_that_is_empty_does_not_say_that_nothing_was_made(clean, tmp_path, check_mode):
    # As a host that lost its power may leave it. By the plan alone there would be something to remove.
    progress = tmp_path / "plan.progress.json"
    progress.write_text("")
    with pytest.raises(FleetError, match=f"^{progress} is not a progress file .*: it is empty$"):
        clean(Hosts(a={OLD: "vm-1"}, b={NEW: None}), [placement()], check_mode=check_mode)
    assert progress.read_text() == ""


@pytest.mark.parametrize("name", ["plan.json", "plan.progress.json"])
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"vm": {}}, "vm a text"),
        ({"vm": []}, "vm a text"),
        ({"source": None}, "source a mapping"),
        ({"source": {"host": "a", "kind": "mdev"}}, "source the key 'id'"),
        ({"target": placement(network=None)["target"]}, "target.network a mapping"),
        ({"target": placement(network=5)["target"]}, "target.network a mapping"),
        ({"target": placement(network={})["target"]}, "target.network the key 'mac'"),
        ({"target": placement(network={"mac": 5})["target"]}, "target.network.mac a text"),
        ({"target": placement(attributes=[5])["target"]}, "target.attributes[0] a mapping"),
        ({"target": placement(create=None)["target"]}, "target.create true or false"),
    ],
)
def test_what_is_no_placement_is_an_error_with_its_file_and_place(
    clean, tmp_path, name, changed, words
):
    text = json.dumps({"format": FORMAT, "placements": [placement(), {**placement(), **changed}]})
    (tmp_path / name).write_text(text)
    with pytest.raises(FleetError) as error:
        clean(Hosts(a={}, b={}))
    assert str(error.value).startswith(str(tmp_path / name))
    assert str(error.value).endswith(f"at placements[1].{words} is expected")


def journals(*kinds: str) -> dict[str, t.Any]:
    return {"rc": 0, "stdout": "\n".join(f"/run/vfio.migration/{kind}" for kind in kinds)}


def test_without_a_plan_it_goes_by_the_journals_on_hosts(clean):
    """What a host lists is a kind of devices and nothing else; a path is never taken from it."""
    hosts = Hosts(a={OLD: None}, b={}, c={})
    hosts["a"]["cleanup_journals"] = journals("mdev", "pci", "../etc", "mdev/x", "mdev")
    hosts["c"]["cleanup_gathered"] = {"unreachable": True, "msg": "no route"}

    def between(run: t.Any) -> None:
        hosts["a"]["cleanup_journals"] = journals("pci")
        hosts["a"]["cleanup_pci_result"] = {"changed": False, "warnings": ["device x is left so"]}

    run = clean(hosts, remove=["interrupted"], between=between)
    assert run["participants"] == ["a"]
    assert run["tasks"]["a"]["interrupted"] == ["mdev", "pci"]
    assert not any(run["tasks"]["a"][key] for key in ("devices", "pci_devices", "vdpa_devices"))
    assert run["failure"] == (
        "a still has a journal in /run/vfio.migration/pci: device x is left so\n"
        "c may still have journals in /run/vfio.migration: it did not answer: no route\n"
        "To remove what is left, when its host answers and nothing holds it:"
        " ansible-playbook vfio.migration.cleanup -e cleanup_remove=interrupted"
    )


def test_journals_alone_say_nothing_of_a_plan(clean):
    hosts = Hosts(a={OLD: "vm-1"}, b={NEW: None})
    hosts["b"]["cleanup_journals"] = journals("mdev")
    run = clean(hosts, [placement()], [placement()], remove=["prepared"])
    assert run["tasks"]["b"]["interrupted"] == []
    run = clean(hosts, [placement()], [placement()], remove=["interrupted"])
    assert run["tasks"]["b"]["interrupted"] == ["mdev"]
    assert run["tasks"]["b"]["devices"] == []


def test_of_guests_that_leave_hosts_only_uuids_are_passed_on(clean):
    uuids = [UUIDS[5], "../../etc", "*", "", None, 7, UUIDS[6].replace("4", "A"), f"{UUIDS[6]} /"]
    moves = [placement(new=str(n)) | {"vm_uuid": uuid} for n, uuid in enumerate(uuids)]
    assert clean(Hosts(a={}, b={}), moves)["leaving"] == {"a": [UUIDS[5]]}


@pytest.mark.parametrize("hosts", [Hosts(), Hosts(c={OTHER: None})])
def test_hosts_of_which_the_plan_has_none_stop_it(clean, hosts):
    with pytest.raises(FleetError, match="no host of the plan is among the hosts of cleanup_hosts"):
        clean(hosts, [placement()])


def test_a_guest_that_goes_back_leaves_its_device_once(clean):
    """The run that brought it was killed, so that what was made for it is still written down; so was the one that took it back."""
    hosts = Hosts(a={OLD: None}, b={OLD: "vm-1"})
    there = placement(new=OLD)
    back = {**there, "source": {**there["source"], "host": "b"}}
    back["target"] = {**there["target"], "host": "a"}
    run = clean(hosts, [back], [there, back], remove=["prepared", "vacated"])
    assert removed(run) == {"a": [OLD]}


def test_where_a_guest_leaves_is_no_target_that_waits_for_it():
    there = placement(new=OLD)
    back: t.Any = {**there, "source": {**there["source"], "host": "b"}}
    back["target"] = {**there["target"], "host": "a"}
    assert still_awaited([there], [back]) == []
    assert still_awaited([there], [placement(old=NEW, new=OTHER)]) == [there]


def at_work(hosts: Hosts, printed: str) -> Hosts:
    hosts["a"]["cleanup_at_work"] = {"rc": 0, "stdout": printed}
    return hosts


@pytest.mark.parametrize("there", [{NEW: None}, {}])
def test_nothing_goes_that_is_for_a_guest_which_a_process_is_about_to_send(clean, tmp_path, there):
    """Its new host has not come to it yet, so the target looks free."""
    made = [{**placement(), "vm_uuid": UUIDS[5]}]
    hosts = at_work(Hosts(a={OLD: "vm-1"}, b=there), f"at_work {UUIDS[5]}\n")
    run = clean(hosts, made, made)
    assert run["tasks"] == {}
    assert run["sentences"][0].endswith("; its guest may be migrating")
    assert read_progress(str(tmp_path / "plan.progress.json")) == made
    for printed in ("", *(f"{word}{UUIDS[5]}" for word in ("ended ", "", "at_work x"))):
        assert removed(clean(at_work(hosts, printed), made, made)) == {"b": [NEW]}


def test_of_another_hosts_guest_no_host_says_that_it_is_on_its_way(clean):
    made = [{**placement(), "vm_uuid": UUIDS[5]}]
    hosts = at_work(Hosts(a={OLD: "vm-1"}, b={NEW: None}), "")
    hosts["b"]["cleanup_at_work"] = {"rc": 0, "stdout": f"at_work {UUIDS[5]}"}
    assert removed(clean(hosts, made, made)) == {"b": [NEW]}


@pytest.mark.parametrize("there", [{NEW: None}, {}])
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"failed": True, "msg": "no bash"}, "no bash"),
        ({"unreachable": True, "msg": "no route"}, "no route"),
        ({"failed": True, "rc": 127, "stdout": "", "stderr": "flock: not found"}, "flock: not"),
        ({}, "it was not asked"),
    ],
)
def test_where_a_host_does_not_say_who_is_being_sent_nothing_goes_that_is_for_its_guests(
    clean, there, answer, why
):
    """It answers with facts all the same, and the target looks free."""
    made = [{**placement(), "vm_uuid": UUIDS[5]}]
    hosts = Hosts(a={OLD: "vm-1"}, b=there)
    hosts["a"]["cleanup_at_work"] = answer
    run = clean(hosts, made, made)
    assert run["tasks"] == {}
    assert run["sentences"][0].endswith("; its guest may be migrating")
    assert f"it does not say whether they are on their way: {why}" in run["sentences"][1]
