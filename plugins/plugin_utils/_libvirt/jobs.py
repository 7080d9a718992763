# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""How far a migration is, as virsh tells it, and how it ended, as Ansible's job on the host does. Pure."""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.answers import read_answer

# Of what "virsh domjobinfo" prints, with the numbers and units of virsh.
_TOLD = re.compile(
    r"^((?:Time elapsed|Data (?:processed|remaining|total)|Expected downtime):) +([0-9.]{1,20}) +(\w{1,8})$",
    re.MULTILINE,
)


def job_progress(text: str) -> list[str]:
    """Return what ``virsh domjobinfo`` prints of a running migration's time and data, such as ``Time elapsed: 5000 ms``."""
    return [" ".join(found) for found in _TOLD.findall(text)]


def job_result(text: str) -> dict[str, t.Any] | None:
    """Return how a job of Ansible ended, by the JSON in its ``results_file``, ``None`` where it has not.

    That is its exit status ``rc``, what it wrote, ``stdout`` and ``stderr``, and what Ansible says of it, ``msg``. Only a
    result has the first or the last of these. A file that is no JSON is being written, or is none.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not found.keys() & {"rc", "msg"}:
        return None
    answer = read_answer(found)
    return {
        "rc": answer.rc,
        "stdout": answer.stdout,
        "stderr": answer.stderr,
        "msg": answer.message,
    }
