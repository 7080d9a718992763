# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ansible inventory of the hosts that run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from machines import Machine

_SSH_ARGUMENTS = "-oControlMaster=auto -oControlPersist=60s"


def inventory(machines: Sequence[Machine]) -> str:
    """Return the inventory as YAML; scalars are written as JSON, which is YAML too."""
    lines = ["---", "hypervisors:", "  hosts:"]
    for machine in machines:
        lines += [
            f"    {machine.host.name}:",
            f"      ansible_port: {machine.port()}",
            f"      lab_simulates: {json.dumps(machine.host.simulates)}",
        ]
    lines.append("  vars:")
    lines += [f"    {name}: {json.dumps(value)}" for name, value in _variables(machines[0]).items()]
    return "\n".join(lines) + "\n"


def _variables(machine: Machine) -> dict[str, object]:
    return {
        "ansible_host": "127.0.0.1",
        "ansible_pipelining": True,
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_args": _SSH_ARGUMENTS,
        "ansible_ssh_common_args": shlex.join(machine.ssh.options()),
        "ansible_ssh_private_key_file": str(machine.ssh.client_key),
        # An emulated host on a busy machine takes longer than the ten seconds that Ansible waits for it.
        "ansible_timeout": 60,
        "ansible_user": "root",
    }
