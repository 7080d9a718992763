# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role migrate_libvirt makes of hosts' answers, told by its templates; that guests really move is tried on the lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

ROLE = Path(__file__).parents[3] / "roles/migrate_libvirt"
UUID = "00000001-1111-4222-8333-444444444444"


@pytest.fixture
def rendered(tmp_path: Path) -> t.Callable[..., str]:
    def render(template: str, hosts: dict[str, t.Any], **variables: t.Any) -> str:
        """A template of the role as host a has it; ``hosts`` are those of the play with their variables and ``facts``."""
        given, result = tmp_path / "vars.json", tmp_path / "text"
        given.write_text(json.dumps(variables | {"ansible_python_interpreter": sys.executable}))
        inventory, playbook = tmp_path / "hosts.json", tmp_path / "playbook.json"
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        facts = {"vfio_migration": "{{ facts }}", "cacheable": True}
        content = f"{{{{ lookup('ansible.builtin.template', '{ROLE}/templates/{template}') }}}}"
        copy = {"content": f"{content}\n", "dest": str(result)}
        play = {
            "hosts": "all",
            "gather_facts": False,
            "vars_files": [f"{ROLE}/vars/main.yml", str(given)],
            "tasks": [
                {"ansible.builtin.set_fact": facts, "when": "facts is defined"},
                {"ansible.builtin.copy": copy, "when": "inventory_hostname == 'a'"},
            ],
        }
        playbook.write_text(json.dumps([play]))
        command = [sys.executable, "-m", "ansible.cli.playbook", "--connection=local"]
        command += [f"--inventory={inventory}", str(playbook)]
        env = os.environ | {"LC_ALL": "C.UTF-8"}
        ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return result.read_text()

    return render


@pytest.mark.parametrize(
    ("kinds", "domain", "qemu", "reason"),
    [
        (["mdev", "pci"], "<domain><devices/></domain>", "10.0.2", None),
        (["mdev", "vdpa"], "<domain><devices/></domain>", "10.0.2", "it has a vDPA device"),
        (["mdev"], "<iommu model='intel'/>", "10.0.2", "QEMU 10.0.2 cannot migrate"),
        (["mdev"], "<iommu model='intel'/>", "11.0.0", None),
    ],
)
def test_a_guest_that_cannot_migrate_stays_with_the_reason(rendered, kinds, domain, qemu, reason):
    guest = {"vm": "vm-17", "host": "a", "kinds": kinds, "reason": None}
    answer = {"migrate_libvirt_guest": guest, "stdout": domain, "stderr": "", "rc": 0}
    host = {
        "migrate_libvirt_domains": {"results": [answer]},
        "migrate_libvirt_lacks": {},
        "migrate_libvirt_versions": {"QEMU": qemu},
    }
    (checked,) = json.loads(
        rendered("checked.j2", {"a": host}, migrate_libvirt_found=[guest]),
    )
    assert checked["vm"] == "vm-17"
    assert (checked["reason"] or "").startswith(reason or "")
    assert (checked["reason"] is None) == (reason is None)


def test_of_the_kernels_logs_only_what_came_since_is_told(rendered):
    target_log = ["[    9.5] old", f"[  360.463267] mdev {UUID}: refuses", "no stamp"]
    source_log = ["[86400.25] older than the migration", "[86400.5] newer", "[86401.0] newest"]
    logs = [
        {"migrate_libvirt_log": {"host": host, "who": who}, "stdout_lines": lines}
        for host, who, lines in (
            ("a", "QEMU", ["2026-11-25T06:00:13.5Z qemu: it failed", "warning: of no use"]),
            ("a", "the kernel", source_log),
            ("b", "the kernel", target_log),
        )
    ]
    told = rendered(
        "said.j2",
        {"a": {}, "b": {}},
        migrate_libvirt_begun="1e12",
        migrate_libvirt_timeout="3600",
        migrate_libvirt_state={"stdout": "running (unpaused)"},
        migrate_libvirt_logs={"results": logs},
        # The clocks of the two kernels have nothing to do with each other, nor with the time of the day.
        migrate_libvirt_status={"stdout": "[86400.25] older than the migration\n"},
        migrate_libvirt_there={"stdout": "MemAvailable: 1 kB\n[  360.000000] before\n"},
    )
    assert told.splitlines() == [
        "the guest on a is running (unpaused)",
        "QEMU on a: 2026-11-25T06:00:13.5Z qemu: it failed",
        "the kernel on a: [86400.5] newer",
        "the kernel on a: [86401.0] newest",
        f"the kernel on b: [  360.463267] mdev {UUID}: refuses",
    ]


def test_a_log_that_was_empty_before_is_told_from_its_beginning(rendered):
    log = {"migrate_libvirt_log": {"host": "a", "who": "the kernel"}, "stdout_lines": ["[1.5] x"]}
    told = rendered(
        "said.j2",
        {"a": {}},
        migrate_libvirt_begun="0",
        migrate_libvirt_timeout=3600,
        migrate_libvirt_state={"stdout": "", "stderr": "error: no domain"},
        migrate_libvirt_logs={"results": [log]},
        migrate_libvirt_status={"stdout": ""},
    )
    assert "it took longer than migrate_libvirt_timeout allows, 3600 s" in told
    assert told.splitlines()[1:] == [
        "the guest on a is error: no domain",
        "the kernel on a: [1.5] x",
    ]


def test_in_a_round_one_guest_leaves_a_host_and_one_comes_to_a_host(rendered):
    moves = [("vm-1", "a", "c"), ("vm-2", "a", "d"), ("vm-3", "b", "c"), ("vm-4", "e", "d")]
    placements = [
        {"vm": vm, "source": {"host": source, "id": number}, "target": {"host": target}}
        for vm, source, target in moves
        for number in (1, 2)
    ]
    rounds = json.loads(
        rendered(
            "rounds.j2",
            {"a": {}},
            prepare_plan={"placements": placements},
            migrate_libvirt_parallel="2",
        )
    )
    there = [[guest["vm"] for guest in each] for each in rounds]
    assert there == [["vm-1", "vm-4"], ["vm-3", "vm-2"]]
    assert all(len(guest["placements"]) == 2 for each in rounds for guest in each)


def test_what_a_host_lacks_for_a_kind_is_told_of_that_kind_alone(rendered):
    host = {"migrate_libvirt_versions": {"libvirt": "9.5.0", "QEMU": "8.2.2"}}
    answer = {"rc": 0, "stdout": "", "stderr": ""}
    lacks = json.loads(rendered("lacks.j2", {"a": host}, migrate_libvirt_answer=answer))
    assert lacks.keys() == {"pci"}
    assert lacks["pci"][0].startswith("a has libvirt 9.5.0; update it to 10.0.0 or newer")
    # As Ansible has it where there is no such program.
    answer = {"rc": 2, "msg": "[Errno 2] No such file or directory: b'virsh'"}
    lacks = json.loads(rendered("lacks.j2", {"a": host}, migrate_libvirt_answer=answer))
    assert lacks.keys() == {"all"}
    assert "No such file or directory" in lacks["all"][0]


def test_a_host_that_lacks_something_for_a_kind_receives_the_others(rendered):
    facts = {
        "devices": [
            {"kind": "pci", "parent": "0000:01:00.0"},
            {"kind": "pci", "parent": None},
            {"kind": "mdev", "parent": "0000:00:02.0"},
        ],
        "parents": [{"kind": "mdev", "id": "0000:00:03.0"}],
    }
    hosts = {
        name: {"migrate_libvirt_lacks": lacks, "facts": facts}
        for name, lacks in {
            "a": {},
            "b": {"pci": ["b is old"]},
            "c": {"all": ["no libvirt"]},
            "d": {},
        }.items()
    }
    targets = json.loads(
        rendered(
            "targets.j2",
            hosts,
            migrate_libvirt_targets=list("dabcx"),
            migrate_libvirt_drain=["d"],
        )
    )
    # A host that is drained receives nothing, whatever the targets are.
    assert targets == ["a", "b"]
    avoid = json.loads(rendered("avoid.j2", hosts, migrate_libvirt_to=targets))
    assert avoid == [{"host": "b", "parent": "0000:01:00.0", "problem": "b is old"}]


@pytest.mark.parametrize(
    ("backing", "memory"),
    [
        ("", {"of": "memory", "free": 500}),
        ("<hugepages/>", {"of": "huge pages of 2048 KiB", "free": 3 * 2048}),
        (
            "<hugepages>\n<page size='1048576' unit='KiB'/>\n</hugepages>",
            {"of": "huge pages of 1048576 KiB", "free": 2 << 20},
        ),
        (
            "<hugepages><page size='1048576' unit='KiB'/><page size='16' unit='KiB'/></hugepages>",
            {"of": "huge pages of 1048576 and 16 KiB", "free": 2 << 20},
        ),
    ],
)
def test_the_memory_that_a_guest_needs_is_looked_for_where_it_takes_it(rendered, backing, memory):
    domain = (
        "<domain><memory dumpCore='off' unit='KiB'>1048576</memory>"
        f"<memoryBacking>{backing}</memoryBacking></domain>"
    )
    there = "MemTotal:  900 kB\nMemAvailable:    500 kB\nHugepagesize:    2048 kB\n"
    pools = "/sys/kernel/mm/hugepages/hugepages-{}kB/free_hugepages:{}\n"
    there += pools.format(1048576, 2) + pools.format(2048, 3) + "[    1.5] boot\n"
    told = json.loads(
        rendered(
            "memory.j2",
            {"a": {}},
            migrate_libvirt_forms=[domain],
            migrate_libvirt_there={"stdout": there},
        )
    )
    assert told == {"needed": 1048576} | memory


def test_what_holds_a_device_of_a_drained_host_and_cannot_be_told_stays(rendered):
    def device(number: int, name: str | None) -> dict[str, t.Any]:
        in_use = {"pid": number if name else None, "name": name}
        return {"id": f"mdev-{number}", "kind": "mdev", "in_use": in_use}

    devices = [device(1, "vm-1"), device(2, None), device(3, None)]
    host = {
        "facts": {"devices": devices},
        "migrate_libvirt_running": {"vm-1": UUID},
    }
    found = json.loads(rendered("guests.j2", {"a": host}, migrate_libvirt_drain=["a"]))
    assert {guest["vm"]: guest["reason"] is None for guest in found} == {
        "vm-1": True,
        "what holds mdev-2, mdev-3": False,
    }
    assert "gather as root" in found[0]["reason"]


def test_a_guest_that_ended_before_it_was_prepared_is_told_and_keeps_no_other(rendered):
    placements = [
        {"vm": vm, "source": {"host": "a", "id": number}, "target": {"host": "b"}}
        for vm, number in ((None, 1), ("vm-2", 2))
    ]
    plan = {"placements": placements, "unplaced": []}
    rounds = json.loads(
        rendered("rounds.j2", {"a": {}}, prepare_plan=plan, migrate_libvirt_parallel=2)
    )
    assert [[guest["vm"] for guest in each] for each in rounds] == [["vm-2"]]
    stay = json.loads(
        rendered(
            "stay.j2",
            {"a": {"migrate_libvirt_moved": ["vm-2"]}},
            prepare_plan=plan,
            migrate_libvirt_rounds=rounds,
            migrate_libvirt_left=[],
            migrate_libvirt_chosen=[{}],
        )
    )
    assert stay == [
        {"vm": "the guest that had 1", "host": "a", "said": ["it does not run any more"]}
    ]
