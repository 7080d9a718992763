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
        """A template of the role as host a has it; ``hosts`` are those of the play with their variables."""
        inventory, given, result = (tmp_path / name for name in ("hosts.json", "vars.json", "text"))
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        given.write_text(json.dumps(variables))
        content = f"{{{{ lookup('ansible.builtin.template', '{ROLE}/templates/{template}') }}}}"
        command = [sys.executable, "-m", "ansible", "adhoc", "a", "--connection=local"]
        command += [f"--inventory={inventory}", f"--extra-vars=@{ROLE}/vars/main.yml"]
        command += [f"--extra-vars=@{given}", "--module-name=ansible.builtin.copy", "--args"]
        arguments = {"content": f"{content}\n", "dest": str(result)}
        python = {"ansible_python_interpreter": sys.executable}
        command += [json.dumps(arguments), f"--extra-vars={json.dumps(python)}"]
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
        "migrate_libvirt_lacks": [],
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
