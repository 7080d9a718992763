# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.vfio.migration.tests.playbooks.simulated_fleet import Fleet

# Ansible makes many objects that stay, among which Python looks for garbage again and again, and wakes a thousand times a second
# to see whether a task has ended: a sixth of its time, which no test is about. Benchmarks run it as it is.
_PATIENT = """\
import gc
gc.set_threshold(100_000, 20, 50)
from ansible.cli.playbook import main
from ansible import constants
constants.DEFAULT_INTERNAL_POLL_INTERVAL = 0.005
main()
"""
Fleet.ANSIBLE_PLAYBOOK = ("-c", _PATIENT)


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory a short name: ansible-core 2.22 listens on a socket below it, whose path may have 107 bytes (unix(7))."""
    return tmp_path_factory.mktemp("run")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have tests of the same playbook run in the same process, which has what it comes to among honest hosts."""
    for item in items:
        case = getattr(item, "callspec", None)
        if case is not None and "playbook" in case.params:
            item.add_marker(pytest.mark.xdist_group(case.params["playbook"]))
