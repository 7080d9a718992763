# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Causes and requests in words, as all forms of the report have them. Pure."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted

# So many reasons of a host are given.
MAX_REASONS = 3
# So many names of what was asked for are given.
_MAX_ASKED = 3


def time_of(time: str) -> str:
    """Return a time of a document, as people read it."""
    return time.replace("T", " ").replace("Z", " UTC")


def concerned(cause: contract.Cause) -> str:
    """Return how many guests or devices a cause is true of."""
    devices = counted(cause["devices"], "device")
    return f"{counted(cause['guests'], 'guest')}, {devices}" if cause["guests"] else devices


def asked(plan: contract.PlanSection | None) -> str:
    """Return what the plan was asked for, on which conditions, by which user, and when, in a sentence; empty without a plan."""
    if plan is None:
        return ""
    request = plan["request"]
    if "drain" in request:
        what = f"Drain {_some(request['drain'])}"
    else:
        sources = [
            each if isinstance(each, str) else f"{each['id']} on {each['host']}"
            for each in request.get("sources", [])
        ]
        what = f"Move {_some(sources) or 'nothing'}"
    for host, time in request.get("lost", {}).items():
        what += f"; {host} is lost, and known as of {time_of(time) if time else 'an unknown time'}"
    conditions: t.Any = plan["conditions"]
    kept = [f"{name} {_value(value)}".rstrip() for name, value in conditions.items() if value]
    by = f"; requested by {plan['requested_by']}" if "requested_by" in plan else ""
    when = f"; planned {time_of(plan['time'])}" if "time" in plan else ""
    version = f" with vfio.migration {plan['collection']}" if "collection" in plan else ""
    within = (
        f" in a fleet of {counted(len(request['hosts']), 'host')}" if "hosts" in request else ""
    )
    on = f", with {', '.join(kept)}" if kept else ""
    return f"{what}{within}{on}{by}{when}{version}."


def _some(names: t.Sequence[str]) -> str:
    more = len(names) - _MAX_ASKED
    return ", ".join(names[:_MAX_ASKED]) + (f" and {more:,} more" if more > 0 else "")


def _value(value: t.Any) -> str:
    return "" if value is True else json.dumps(value)


def first_reasons(reasons: t.Sequence[str]) -> contract.FirstReasons:
    """Return the first of several reasons, and how many more there are."""
    return {"reasons": [*reasons[:MAX_REASONS]], "not_shown": max(0, len(reasons) - MAX_REASONS)}
