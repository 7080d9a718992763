# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The file that says how far rolling maintenance has come: which hosts are done, and which are being worked on. JSON.

It is written before each thing that it records begins, and removed when all hosts are done. What is in it was decided on the
control node. As with the progress of a plan, no other run works with it while the run that wrote it goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import (
    read_format,
    replace,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import check_form
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.progress_file import (
    own_process,
    refuse_another_run,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    MaintenancePlan,
    MaintenanceProgress,
    Outfit,
    StatedCapacity,
)

# Count it up when the shape changes.
FORMAT = 1


def read_maintenance(path: str) -> MaintenanceProgress | None:
    """Return how far maintenance has come, ``None`` where none has begun; raise ``FleetError``, also where another run goes on."""
    wrong = f"{path} is not a progress file of vfio.migration.maintain"
    data = read_format(path, FORMAT, wrong)
    if data is None:
        return None
    check_form(data, MaintenanceProgress, wrong)
    refuse_another_run(path, data)
    return t.cast(MaintenanceProgress, data)


def write_maintenance(
    path: str,
    emptied: t.Sequence[str],
    done: t.Sequence[str],
    working: t.Mapping[str, Outfit],
    stated: StatedCapacity | None,
) -> None:
    """Put down how far maintenance has come, in one step; raise ``AnsibleActionFail``."""
    data: MaintenanceProgress = {
        "format": FORMAT,
        "process": own_process(),
        "emptied": [*emptied],
        "done": [*done],
        "working": {**working},
        "stated": stated,
    }
    replace(path, json.dumps(data, indent=1, sort_keys=True) + "\n")


def write_steps(path: str, plan: MaintenancePlan) -> None:
    """Put down the steps of maintenance that ends before a host that cannot be drained, and why; raise ``AnsibleActionFail``."""
    replace(path, json.dumps(plan, indent=1, sort_keys=True) + "\n")


def remove_maintenance(path: str) -> None:
    """Remove the file of maintenance that is done, or that goes on after it was blocked; raise ``AnsibleActionFail``."""
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    except OSError as error:
        raise AnsibleActionFail(f"cannot remove {path}: {error}") from None
