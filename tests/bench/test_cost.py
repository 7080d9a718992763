# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What less than 1 MB of facts may cost: not more than seconds, 500 MB, and a plan that can be read.

A process of its own makes plan and report, or headroom, or a plan of maintenance; the kernel ends it where it takes more. The limit on the CPU is generous, as
a busy machine counts more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.vfio.migration.tests.unit import worst_fleets

# Of a plan and of a report, which plans once more, or of all searches for headroom or maintenance together.
# On a machine that is busy with other things: processor time grows with that.
SECONDS = 30
MEGABYTES = 500
# Of what is made in one process.
MOST_OF_RESULT = 6_000_000

MAKE = f"""
import json, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import report_for
from ansible_collections.vfio.migration.tests.unit import worst_fleets
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.headroom_options import headroom_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.maintenance_options import maintenance_for
fleet = getattr(worst_fleets, sys.argv[1])()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if sys.argv[2] == "plan":
    plan = plan_for(fleet, ["z"])
    made = plan, report_for(fleet, plan=plan)
elif sys.argv[2] == "headroom":
    made = headroom_for(worst_fleets.beside_honest_hosts(fleet))
else:
    fleet = worst_fleets.beside_honest_hosts(fleet)
    made = maintenance_for(fleet, sorted(fleet))
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(len(json.dumps(made)), (most - before) // 1024)
"""


@pytest.mark.parametrize("what", ["plan", "headroom", "maintenance"])
@pytest.mark.parametrize("make", worst_fleets.FLEETS, ids=lambda make: make.__name__)
def test_no_facts_of_a_megabyte_cost_more(
    make: t.Callable[[], worst_fleets.Fleet], what: str
) -> None:
    assert all(len(json.dumps(each)) < worst_fleets.MOST_BYTES for each in make().values())
    done = subprocess.run(
        [sys.executable, "-c", MAKE, make.__name__, what],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:] or f"it takes more than {SECONDS} s"
    size, memory = map(int, done.stdout.split())
    assert size < MOST_OF_RESULT
    assert memory < MEGABYTES
