# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's hosts, as the inventory has them, and the agents that run there."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

_AGENT = Path(__file__).with_name("agent.py")


class Refused(Exception):
    """What was asked of a host failed; ``said`` is what was said of it there, a line each."""

    def __init__(self, said: list[str]) -> None:
        super().__init__("\n".join(said))
        self.said = said


class Host:
    """One host of the lab, with an agent that runs there."""

    def __init__(self, name: str, variables: dict[str, Any]) -> None:
        self.name = name
        ssh = [
            *("ssh", "-F", "none", "-i", variables["ansible_ssh_private_key_file"]),
            *("-p", str(variables["ansible_port"])),
            *shlex.split(variables["ansible_ssh_common_args"]),
            f"{variables['ansible_user']}@{variables['ansible_host']}",
        ]
        program = shlex.quote(_AGENT.read_text())
        self._agent = subprocess.Popen(
            [*ssh, f"python3 -u -c {program}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, what: str, command: str, *arguments: str) -> Any:
        """Return what the agent answers to a command."""
        if not self._agent.stdin or not self._agent.stdout:
            raise RuntimeError("the agent has no pipes")
        self._agent.stdin.write(json.dumps([what, command, *arguments]) + "\n")
        self._agent.stdin.flush()
        line = self._agent.stdout.readline()
        if not line:
            raise RuntimeError(f"the agent on host {self.name} has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    def close(self) -> None:
        """End the agent, and with it the guest."""
        self._agent.communicate()


def connect(inventory: Path) -> dict[str, Host]:
    """Return the hosts of an inventory by name."""
    command = ["ansible-inventory", "--inventory", str(inventory), "--list"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {name: Host(name, variables) for name, variables in listed["_meta"]["hostvars"].items()}
