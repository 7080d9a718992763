# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What a report comes to: whether everything can move, and why not. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet, obstacle
from ansible_collections.vfio.migration.plugins.plugin_utils._report.causes import (
    Cause,
    count_causes,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.class_section import (
    ClassSection,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.reachability import (
    Reachability,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.wording import counted

# A sentence names so many hosts; of more it has the number.
MAX_NAMED = 3


def plan_conclusion(plan: contract.PlanSection) -> contract.Conclusion:
    """Return what a report on a plan comes to."""
    count, placed, unplaced = plan["devices"], plan["placed"], plan["unplaced"]
    sources = _joined(plan["sources"])
    if not count:
        return {"level": "nothing", "sentence": "There is nothing to move.", "because": []}
    if not unplaced:
        every = f"All {count:,} devices" if count > 1 else "The only device"
        sentence = f"{every} can leave {sources}."
    elif not placed:
        none = f"None of the {count:,} devices can" if count > 1 else "The only device cannot"
        sentence = f"{none} leave {sources}."
    else:
        sentence = f"{placed:,} of {count:,} devices can leave {sources}; {unplaced:,} cannot."
    return {"level": _level(placed, unplaced), "sentence": sentence, "because": plan["causes"]}


def fleet_conclusion(
    totals: contract.Totals, fleet: Fleet, classes: ClassSection
) -> contract.Conclusion:
    """Return what a report without a plan comes to."""
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


def _without_devices(totals: contract.Totals) -> contract.Conclusion:
    """Return what a report comes to that has no device: that there is none may only be said of hosts with facts."""
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


class PlanCauses:
    """Finds in short why a plan left a device behind."""

    def __init__(self, fleet: Fleet, reachability: Reachability, classes: ClassSection) -> None:
        self._fleet = fleet
        self._reachability = reachability
        self._classes = classes

    def cause_of(self, unplaced: contract.Unplaced) -> Cause:
        """Return why the device has no place."""
        source, reasons = unplaced["source"], unplaced["reasons"]
        # What is true of all hosts, or of the device itself, comes first in a plan.
        if reasons[0]["host"] in (None, source["host"]):
            return Cause(reasons[0]["reason"])
        name = self._class_of(source)
        if name and self._reachability.stays(name, source["host"]):
            return self._classes.cause(name, more=True)
        # What the plan says of a host that has something for the device is nearest to the point.
        receiving = [
            each
            for each in reasons
            if name and each["host"] and self._reachability.can_receive(name, each["host"])
        ]
        return Cause(
            (receiving or reasons)[0]["reason"],
            more=len(reasons) > 1 or bool(reasons[0].get("alike")),
        )

    def _class_of(self, source: contract.DeviceLabel) -> str | None:
        host = self._fleet.hosts.get(source["host"])
        found = (each for each in (host.devices if host else ()) if each.id == source["id"])
        device = next(found, None)
        return None if device is None else self._reachability.class_of(device)


def _why_staying(fleet: Fleet, classes: ClassSection) -> t.Iterator[tuple[Cause, int]]:
    """Yield why devices can go nowhere, and how many there are."""
    for host in fleet.hosts.values():
        for _kind, _id, each in host.excluded:
            yield Cause(obstacle(each) or ""), 1
    for entry in sorted(classes.entries, key=lambda each: -each["staying"]):
        if entry["staying"]:
            yield classes.cause(entry["name"], more=False), entry["staying"]


def _level(yes: int, no: int) -> str:
    return ("some" if yes else "none") if no else "all"


def _joined(names: list[str]) -> str:
    """Return a few names in words, of more only how many they are."""
    if len(names) > MAX_NAMED:
        return f"{len(names):,} hosts"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if names[1:] else "".join(names)
