# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The conclusion of a report: whether everything can move, and why not. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Fleet,
    obstacle,
    obstacle_code,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.causes import (
    Cause,
    count_causes,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.class_section import (
    ClassSection,
)

# A sentence names so many hosts; of more it has the number.
MAX_NAMED = 3


def plan_conclusion(plan: contract.PlanSection) -> contract.Conclusion:
    """Return the conclusion of a report on a plan: of guests, and of the devices that no process holds."""
    held = [each for each in plan["guests"] if each["in_use"]]
    free = [each for each in plan["guests"] if not each["in_use"]]
    if not held and not free:
        return {"level": "nothing", "sentence": "There is nothing to move.", "because": []}
    sources = _joined(plan["sources"])
    able = sum(each["to"] is not None for each in held or free)
    if not held:
        sentence = _who_leaves(free, "device", sources)
    else:
        sentence = _who_leaves(held, "guest", sources) + _and_free(free, able == len(held))
    if plan["changed_since"]:
        # That was so with other facts. What can leave now was not planned.
        changed = _joined(plan["changed_since"])
        sentence = (
            f"By a plan that is out of date, as the facts of {changed} have changed since,"
            f" {sentence[0].lower()}{sentence[1:]}."
        )
        return {"level": "unknown", "sentence": sentence, "because": plan["causes"]}
    return {
        "level": _level(able, plan["unplaced"]),
        "sentence": f"{sentence}.",
        "because": plan["causes"],
    }


def _who_leaves(movers: t.Sequence[contract.GuestMove], noun: str, sources: str) -> str:
    """Return how many of these can leave their hosts, in words."""
    count, placed = len(movers), sum(each["to"] is not None for each in movers)
    if placed == count:
        return (
            f"{f'All {count:,} {noun}s' if count > 1 else f'The only {noun}'} can leave {sources}"
        )
    if not placed:
        none = f"None of the {count:,} {noun}s can" if count > 1 else f"The only {noun} cannot"
        return f"{none} leave {sources}"
    return f"{placed:,} of {count:,} {noun}s can leave {sources}; {count - placed:,} cannot"


def _and_free(movers: t.Sequence[contract.GuestMove], all_guests: bool) -> str:
    """Return how many of the devices that no process holds can leave as well, in words; ``all_guests`` can or not."""
    count, placed = len(movers), sum(each["to"] is not None for each in movers)
    if not movers:
        return ""
    free = f"{counted(count, 'device')} not in use"
    if placed == count:
        return f", and so can {free}" if all_guests else f"; {free} can"
    return f"; of {free}, {placed or 'none'} can"


def fleet_conclusion(
    totals: contract.Totals, fleet: Fleet, classes: ClassSection
) -> contract.Conclusion:
    """Return the conclusion of a report without a plan."""
    count, reachable = totals["devices"], totals["reachable"]
    staying = count - reachable
    if not count:
        return _without_devices(totals)
    sentence = f"{reachable:,} of {count:,} devices could go to another host now, each by itself"
    sentence += f"; {staying:,} could not." if staying else "."
    return {
        "level": _level(reachable, staying),
        "sentence": sentence,
        "because": count_causes(_why_staying(fleet, classes)),
    }


def with_unknown(found: contract.Conclusion, totals: contract.Totals) -> contract.Conclusion:
    """Return a conclusion that says as well how many hosts it leaves out, as they have no usable facts."""
    # Without devices, it says so already.
    if not totals["unknown"] or not totals["devices"]:
        return found
    hosts = counted(totals["unknown"], "host")
    sentence = f"{found['sentence']} Not examined: {hosts} without usable facts."
    return {**found, "sentence": sentence}


def advice(totals: contract.Totals) -> list[str]:
    """Return what to do where there is nothing to report on; nothing where there is something."""
    if totals["devices"]:
        return []
    if not totals["hosts"] and not totals["unknown"]:
        return [
            "Name hosts of the inventory that match: 'report_hosts' of the playbook 'report', or 'hosts' of the module"
        ]
    steps = []
    if totals["unknown"]:
        steps.append(
            "Gather the facts as root: run the playbook 'vfio.migration.report' with '--become' and without 'report_gather=false', or"
            " 'ansible HOSTS --become -m vfio.migration.vfio_migration_facts' with a fact cache"
        )
    if totals["hosts"]:
        steps += [
            "Load a driver that creates mediated devices, create virtual functions ('sriov_numvfs'), or load a management device of vDPA",
            "Bind the functions to the VFIO driver of their vendor; only those bound to a VFIO driver are listed",
            "Gather again, and look at the problems that hosts report",
        ]
    return steps


def _without_devices(totals: contract.Totals) -> contract.Conclusion:
    """Return the conclusion of a report that has no device: that there is none may only be said of hosts with facts."""
    if not totals["hosts"]:
        hosts = counted(totals["unknown"], "host") if totals["unknown"] else "a fleet without hosts"
        sentence = f"Nothing is known of {hosts}: there are no usable facts."
        return {"level": "unknown", "sentence": sentence, "because": []}
    sentence = "There is no VFIO device on these hosts."
    if totals["unknown"]:
        sentence = (
            f"There is no VFIO device on {counted(totals['hosts'], 'host')}; nothing is known of"
            f" {counted(totals['unknown'], 'host')} without usable facts."
        )
    return {"level": "nothing", "sentence": sentence, "because": []}


def _why_staying(fleet: Fleet, classes: ClassSection) -> t.Iterator[tuple[Cause, int, None]]:
    """Yield why devices can go nowhere, and how many there are."""
    for host in fleet.hosts.values():
        for _kind, _id, each in host.excluded:
            yield Cause(obstacle_code(each), obstacle(each) or ""), 1, None
    for entry in sorted(classes.entries, key=lambda each: -each["staying"]):
        if entry["staying"]:
            yield classes.cause(entry["name"], more=False), entry["staying"], None


def _level(yes: int, no: int) -> str:
    return ("some" if yes else "none") if no else "all"


def _joined(names: list[str]) -> str:
    """Return a few names in words, of more only how many they are."""
    if len(names) > MAX_NAMED:
        return f"{len(names):,} hosts"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if names[1:] else "".join(names)
