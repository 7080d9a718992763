# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is gathered from trees captured on real kernels is what those kernels' hosts gave, byte for byte but for the time.

``tests/unit/captured/renew.yml`` makes trees and facts anew.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host import processes
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs

CAPTURED = Path(__file__).parents[3] / "captured"


@pytest.mark.parametrize("host", ["a", "c"])
def test_a_captured_tree_gives_the_facts_of_its_host(host, tmp_path):
    archive = CAPTURED / f"{host}.tar.gz"
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", tmp_path], check=True)
    facts = gather_facts(Sysfs(str(tmp_path / "sys")), processes.unknown)
    assert len(facts["devices"]) > 1
    # A tree does not tell of the host's boot, and no two calls are at the same time.
    del facts["gathered"]
    for device in facts["devices"]:
        # Nobody held a device on the host; a tree does not tell.
        device["in_use"] = None
    assert json.dumps(facts, indent=1) + "\n" == (CAPTURED / f"{host}.json").read_text()
