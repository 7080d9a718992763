# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What is left on hosts of what they were to remove, and how it can still be removed."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    MDEV,
    PCI,
    VDPA,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.preparation import (
    TASKS,
    ByModule,
    remaining,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.progress import PREPARED
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.run_variables import (
    ids_of,
    result_of,
)

# What the tasks of the role register.
GATHERED = "cleanup_gathered"
REMOVED = {
    MDEV: "cleanup_result",
    PCI: "cleanup_pci_result",
    VDPA: "cleanup_vdpa_result",
}
# The same for each device by itself, where a call for all of them has failed.
EACH_REMOVED = {
    MDEV: "cleanup_each_result",
    PCI: "cleanup_each_pci_result",
    VDPA: "cleanup_each_vdpa_result",
}

# What needs no plan: what calls of modules that were killed have left half done, by the journals on the hosts.
INTERRUPTED = "interrupted"
_REMOVE_LATER = "To remove what is left, when its host answers and nothing holds it:"


def cleanup_of(plan: str, remove: t.Sequence[str] = (PREPARED,)) -> str:
    """Return the command that cleans up after what was made for the plan in the file ``plan``."""
    what = "" if [*remove] == [PREPARED] else f" -e cleanup_remove={','.join(remove)}"
    where = "" if [*remove] == [INTERRUPTED] else f" -e cleanup_from={plan}"
    return f"ansible-playbook vfio.migration.cleanup{where}{what}"


def remove_later(plan: str | None, remove: t.Sequence[str] = (PREPARED,)) -> str:
    """Return in words how what is left can still be removed; ``plan`` is ``None`` where that is in no file."""
    again = "run the clean-up again" if plan is None else cleanup_of(plan, remove)
    return f"{_REMOVE_LATER} {again}"


def left_after(
    tasks: t.Mapping[str, t.Any], hostvars: t.Any
) -> tuple[dict[str, ByModule], list[str]]:
    """Return what is left on each host of what it was to remove by its ``tasks``, and that in words."""
    left: dict[str, ByModule] = {}
    words = []
    for host, asked in tasks.items():
        results = [results_of(hostvars, host, each.kind) for each in TASKS]
        rest, problem = remaining(asked, results, ids_of(result_of(hostvars, host, GATHERED)))
        if rest:
            left[host] = rest
            words.append(_left_behind(host, rest, problem))
    return left, words


def out_of_date(progress: str, write: t.Callable[[], None]) -> list[str]:
    """Return in words that the file ``progress`` cannot be brought up to date, where ``write`` fails: an error would hide the last word."""
    try:
        write()
    except (AnsibleActionFail, FleetError) as error:
        return [
            f"{progress} still names what has been removed or has moved: {error}; run the cleanup again once that is mended"
        ]
    return []


def results_of(hostvars: t.Any, host: str, kind: str) -> list[dict[str, t.Any]]:
    """Return the results of the call for all devices, of a ``kind``, or of the calls for each, where there were any."""
    found = result_of(hostvars, host, EACH_REMOVED[kind]).get("results")
    singles = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    if all(each.get("skipped") for each in singles):
        return [result_of(hostvars, host, REMOVED[kind])]
    return singles


def _left_behind(host: str, rest: t.Mapping[str, t.Any], problem: str | None) -> str:
    """Return in words what is left on a host."""
    found = [
        str(each.get("uuid") or each.get("address") or each.get("name"))
        for devices in rest.values()
        for each in devices
    ]
    return f"{host} still has {', '.join(found)}" + (f": {problem}" if problem else "")
