# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A plan in sentences, for who carries it out. Pure."""

from __future__ import annotations

import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import printable
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    Paragraph,
    Placement,
    Plan,
    Sentence,
    StayingDevice,
    Unplaced,
    UnplacedReason,
)

# Of more devices that stay for one reason, only the first are named.
MAX_IDS = 4


class Summary(t.TypedDict):
    """What a plan does, and what keeps it from moving all; the latter is ``None`` where all move."""

    sentences: list[Sentence]
    obstacles: Paragraph | None


def summarize(plan: Plan, left_out: t.Mapping[str, str]) -> Summary:
    """Return what ``plan`` does; ``left_out`` are hosts whose facts could not be gathered, each with the error."""
    placements, unplaced = plan["placements"], plan["unplaced"]
    nothing = [] if placements or unplaced else ["there is nothing to move"]
    return Summary(
        sentences=[
            *map(_move, placements),
            *nothing,
            *(
                f"{host} takes no part: its facts could not be gathered: {error}"
                for host, error in left_out.items()
            ),
            *(
                f"{each['vm'] or each['source']['id']} on {each['source']['host']} was planned anew:"
                f" {each['reason']}"
                for each in plan["changes"]
            ),
            *(
                f"{_guest(each)}{each['source']['host']} {each['source']['id']} stays:"
                f" {'; '.join(reason['reason'] for reason in each['reasons'])}"
                for each in unplaced
            ),
            *_staying(plan.get("staying", ())),
        ],
        obstacles=_obstacles(plan) if unplaced else None,
    )


def _staying(devices: t.Iterable[StayingDevice]) -> t.Iterator[str]:
    """Yield a sentence for the devices of each host that stay as they are for one reason."""
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in devices:
        alike[each["host"], each["reason"]].append(each["id"])
    for (host, reason), ids in alike.items():
        more = f" and {len(ids) - MAX_IDS} more" if len(ids) > MAX_IDS else ""
        yield f"{host} {', '.join(ids[:MAX_IDS])}{more}: stays as it is, as nobody holds it: {reason}"


def _move(placement: Placement) -> str:
    source, target = placement["source"], placement["target"]
    what = f"{'a new' if target['create'] else 'an existing'} {target['type']}"
    under = f" under {target['parent']}" if target["parent"] else ""
    values = "".join(f", {each['name']}={each['value']}" for each in target["attributes"])
    return (
        f"{_guest(placement)}{source['host']} {source['id']} -> {target['host']} {target['id']},"
        f" {what}{under}{values}"
    )


def _obstacles(plan: Plan) -> str:
    lines = [f"Not everything can move; the plan is {plan['status']}."]
    lines += [f"It is not proven that it cannot: {each}." for each in plan.get("assumptions", ())]
    for each in plan["unplaced"]:
        guest = f" of {each['vm']}" if each["vm"] else ""
        lines.append(f"{each['source']['id']} on {each['source']['host']}{guest} has no place:")
        lines += [f"  {_reason(reason)}" for reason in each["reasons"]]
    return "\n".join(map(printable, lines))


def _reason(reason: UnplacedReason) -> str:
    where = f"{reason['host']}: " if reason["host"] else ""
    alike = reason.get("alike")
    further = f" (and so on {alike} further hosts)" if alike else ""
    return f"{where}{reason['reason']}{further}"


def _guest(entry: Placement | Unplaced) -> str:
    return f"{entry['vm']}: " if entry["vm"] else ""
