# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Candidates: which hosts can take a guest with all its devices, and why not the others. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import printable
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet, why_unknown
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import make_plan
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.reason import (
    OF_ANOTHER_DEVICE,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    Conditions,
    Guest,
    Request,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import (
    MAX_LINE,
    MAX_SENTENCES,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    CandidateHost,
    CandidateList,
    CandidateLists,
    Placement,
    PlanBody,
    ReasonCode,
)

# Lines on several guests are about as many at most, on the first of more guests than that.
MAX_LINES = 400
MAX_GUESTS = 100

_NONE_CHECKED = "no other host was checked: add hosts to 'hosts' or 'targets', or in the playbook to 'candidates_hosts'"
_NONE_HELD = "nothing holds a device on the hosts to drain"
_ANSWERS: dict[bool | None, str] = {True: "yes", False: "no", None: "unknown"}


def candidates(fleet: Fleet, source: t.Any, targets: list[str], direction: str) -> CandidateList:
    """Return for each of ``targets`` whether it can take the guest ``source``; raise ``FleetError``.

    ``source`` is a guest's name, or ``{host, id}`` of one of its devices. A host is judged as the only target of a plan for
    this guest alone, so what it takes is one small plan a host.
    """
    (guest,) = requested(fleet, None, [source])
    return _of_guest(fleet, guest, targets, direction)


def candidates_of_each(
    fleet: Fleet,
    drain: t.Collection[str] | None,
    sources: t.Sequence[t.Any] | None,
    targets: list[str],
    direction: str,
) -> CandidateLists:
    """Return for each guest of the hosts ``drain``, or that ``sources`` name, what ``candidates`` does; raise ``FleetError``."""
    asked = requested(fleet, drain, sources)
    lists = [_of_guest(fleet, guest, targets, direction) for guest in asked]
    most = MAX_LINES // (len(_ANSWERS) * min(len(lists), MAX_GUESTS)) if lists else 0
    sentences = [
        f"{guest.name or guest.devices[0].id} on {guest.host}: {sentence}"
        for guest, found in zip(asked[:MAX_GUESTS], lists, strict=False)
        for sentence in _sentences(found["hosts"], min(most, MAX_SENTENCES))
    ]
    if not asked:
        nothing = "no guest or device is named" if drain is None else _NONE_HELD
        sentences.append(f"no guest was checked: {nothing}")
    if (more := len(asked) - MAX_GUESTS) > 0:
        sentences.append(f"and {more:,} more: {'guest' if more == 1 else 'guests'}")
    return {"guests": lists, "sentences": sentences}


def _of_guest(fleet: Fleet, guest: Guest, targets: list[str], direction: str) -> CandidateList:
    hosts = [_judged(fleet, [guest], name, direction) for name in targets if name != guest.host]
    hosts.sort(
        key=lambda each: (each["candidate"] is not True, each["candidate"] is None, each["host"])
    )
    return {
        "vm": guest.name,
        "devices": [device.label for device in guest.devices],
        "hosts": hosts,
        "sentences": _sentences(hosts, MAX_SENTENCES),
    }


def _judged(fleet: Fleet, guests: list[Guest], name: str, direction: str) -> CandidateHost:
    if name not in fleet.hosts:
        unknown = why_unknown(fleet, name)
        return {
            "host": name,
            "candidate": None,
            "placements": [],
            "reasons": [unknown],
            "codes": ["no_facts"],
        }
    # Of the others nothing matters here.
    pair = Fleet({each: fleet.hosts[each] for each in (guests[0].host, name)})
    plan = make_plan(pair, Request(guests, [name], Conditions(direction)))
    reasons = _reasons(plan)
    taken = [] if plan["unplaced"] else plan["placements"]
    return {
        "host": name,
        "candidate": bool(taken),
        "placements": taken,
        "reasons": [*reasons],
        "codes": [*reasons.values()],
    }


def _reasons(plan: PlanBody) -> dict[str, ReasonCode]:
    """Return what stands in the way with its code, each reason once; in the plan's order, but first what is true of a device itself."""
    found = [reason for each in plan["unplaced"] for reason in each["reasons"]]
    found.sort(key=lambda each: each["code"] in OF_ANOTHER_DEVICE)
    return {each["reason"]: each["code"] for each in found}


def _sentences(hosts: t.Sequence[CandidateHost], most: int) -> list[str]:
    """Return a line on each host, and of more than ``most`` with one answer how many more there are."""
    lines = []
    for answer, word in _ANSWERS.items():
        found = [each for each in hosts if each["candidate"] is answer]
        lines += [printable(_sentence(each), MAX_LINE) for each in found[:most]]
        if (more := len(found) - most) > 0:
            lines.append(f"{word}, {counted(more, 'more host')}")
    return lines or [_NONE_CHECKED]


def _sentence(judged: CandidateHost) -> str:
    """Return one line on a host, which begins with ``yes``, ``no`` or ``unknown``."""
    reasons, word = judged["reasons"], _ANSWERS[judged["candidate"]]
    if judged["candidate"]:
        parts = [_becomes(each) for each in judged["placements"]]
        certainties = sorted({each["certainty"] for each in judged["placements"]})
        return f"{word}, {judged['host']}: {', '.join(parts)} ({', '.join(certainties)})"
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{word}, {judged['host']}: {reasons[0]}{more}"


def _becomes(placement: Placement) -> str:
    target = placement["target"]
    new = f"a new {target['type']} under {target['parent']}" if target["create"] else target["id"]
    return f"{placement['source']['id']} becomes {new}"
