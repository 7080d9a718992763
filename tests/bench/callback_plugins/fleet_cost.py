# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Gives a play the facts of a generated fleet, and measures its tasks: the CPU time of Ansible and of its workers."""

from __future__ import annotations

import json
import multiprocessing
import os
import typing as t
from pathlib import Path

from ansible.plugins.callback import CallbackBase
from ansible_collections.vfio.migration.tests.bench import generate

DOCUMENTATION = r"""
name: fleet_cost
type: aggregate
short_description: Measure tasks on the facts of a generated fleet
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Sets the facts before a play starts, as gathering does, and writes the seconds that each task took at the end.
  - The extra variables C(fleet_hosts), C(fleet_classes) and C(fleet_output) say how many, and where to write.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "fleet_cost"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._taken: dict[str, list[float]] = {}
        self._started = 0.0
        self._output = ""

    def v2_playbook_on_play_start(self, play: t.Any) -> None:
        manager = play.get_variable_manager()
        self._output = manager.extra_vars["fleet_output"]
        numbers = (int(manager.extra_vars[f"fleet_{name}"]) for name in ("hosts", "classes"))
        for host, text in generate.hosts(*numbers):
            manager.set_host_facts(host, {"vfio_migration": json.loads(text)})

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        self._started = _cpu_time()

    def v2_runner_on_ok(self, result: t.Any) -> None:
        # A worker's time counts once it has ended; with its result it is about to.
        for worker in multiprocessing.active_children():
            worker.join()
        self._taken.setdefault(result.task_name, []).append(_cpu_time() - self._started)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        Path(self._output).write_text(json.dumps(self._taken), encoding="utf-8")


def _cpu_time() -> float:
    """Return the CPU seconds that this process and the children it has waited for have taken."""
    return sum(os.times()[:4])
