# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""How far a host has come with carrying out a plan: what was made there, and what failed. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Plan, Sentence

_Device = t.Mapping[str, t.Any]
_Result = t.Mapping[str, t.Any]


class Tasks(t.NamedTuple):
    """Where a plan has the tasks of one module, by what that names a device, and the action that made or changed it."""

    key: str
    name: str
    action: str


# In the order in which the modules run.
TASKS = (
    Tasks("devices", "uuid", "created"),
    Tasks("pci_devices", "address", "configured"),
    Tasks("vdpa_devices", "name", "created"),
)

# The tasks of each module, by the key of ``Tasks``.
ByModule = dict[str, list[_Device]]


class Failure(t.TypedDict):
    """What failed on a host, and under which parent, as the option ``avoid`` of a plan has it."""

    host: str
    problem: Sentence
    parent: t.NotRequired[str]


class Preparation(t.TypedDict):
    """What was made on a host, by key of ``Tasks``, what of that the plan does not need, and where what failed."""

    made: ByModule
    leftover: ByModule
    failures: list[Failure]


def preparation(
    plan: Plan, host: str, results: t.Sequence[_Result], made: t.Mapping[str, t.Sequence[_Device]]
) -> Preparation:
    """Return how far ``host`` has come with ``plan``.

    ``results`` are the modules' for the plan's tasks, in the order of ``TASKS``; ``made`` is what was made for earlier
    plans. A failure is as the option ``avoid`` of a plan has it: with the parent of the device that failed, if known.
    """
    tasks: t.Mapping[str, t.Any] = plan["hosts"].get(host) or {}
    now: ByModule = {}
    leftover: ByModule = {}
    for (key, name, action), result in zip(TASKS, results, strict=True):
        planned = tasks.get(key) or ()
        done = {
            each.get(name) for each in result.get("devices") or () if each.get("action") == action
        }
        before = [*made.get(key, ())]
        now[key] = before + [each for each in planned if each[name] in done]
        needed = {each[name] for each in planned}
        leftover[key] = [each for each in before if each[name] not in needed]
    return Preparation(made=now, leftover=leftover, failures=_failures(plan, host, results))


def _failures(plan: Plan, host: str, results: t.Iterable[_Result]) -> list[Failure]:
    failed = [each for each in results if each.get("failed") or each.get("unreachable")]
    if not failed:
        return []
    # A module that failed names its device; a host that does not answer names none.
    failed.sort(key=lambda result: not result.get("failed"))
    failure: Failure = {
        "host": host,
        "problem": "; ".join(str(each.get("msg", "unreachable")) for each in failed),
    }
    device = failed[0].get("device")
    for placement in plan["placements"]:
        target = placement["target"]
        if device and (target["host"], target["id"]) == (host, device) and target["parent"]:
            return [{**failure, "parent": target["parent"]}]
    return [failure]
