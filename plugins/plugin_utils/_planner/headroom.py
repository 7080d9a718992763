# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Headroom: whether each host, and each failure domain, can be emptied, or fail, with its guests placed elsewhere. Pure.

The fleet is posed once, with the guests of all hosts. Hosts with equal guests and equal places are one class, as what is
true of one is true of all. For each class, guests first go to the first host that has room: where that places all of
them, the host can be emptied. Only the others are planned as a drain is, of so many classes at most.
"""

from __future__ import annotations

import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted, listed
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet, why_unknown
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import uncollected
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.in_short import (
    MAX_GUESTS,
    capped,
    why_in,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.solution import Progress
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.whole_fleet import (
    Subject,
    WholeFleet,
    bare_cause,
)

SCHEMA = 1
# So many classes of hosts are planned exactly, and for so many the obstacles are listed in detail.
SEARCHES = 400
_DETAILED = 40
# So many causes have a sentence.
_SHOWN = 20


@uncollected()
def headroom(
    fleet: Fleet,
    conditions: Conditions,
    progress: Progress,
    searches: int = SEARCHES,
    exempt: t.Collection[str] = (),
) -> contract.Headroom:
    """Return whether each host of ``fleet``, and each of the ``failure_domains`` of the conditions, can be emptied; raise ``FleetError``.

    No more than so many ``searches`` are made, and all of them together look at no more than one for a plan does: hosts and
    domains for which there would have to be another one are unproven.
    Hosts and domains that are ``exempt`` need not be such as can be emptied.
    """
    subjects = [Subject(name, (name,), False) for name in sorted(fleet.hosts)]
    subjects += [
        _domain(fleet, name, hosts) for name, hosts in sorted(conditions.failure_domains.items())
    ]
    _check_exempt(exempt, subjects, fleet)
    progress(f"looking at {len(fleet.hosts)} hosts")
    whole = WholeFleet(fleet, conditions)
    classes: dict[t.Hashable, list[Subject]] = defaultdict(list)
    not_known: list[contract.HeadroomCause] = []
    for subject in subjects:
        cause = _not_known(fleet, subject)
        if cause is None:
            classes[whole.class_of(subject)].append(subject)
        else:
            not_known.append(cause)
    causes: list[contract.HeadroomCause] = []
    searched = 0
    for done, alike in enumerate(classes.values()):
        if done and not done % 100:
            progress(f"{done} of {len(classes)} classes of hosts are looked at")
        left = whole.left_by_first_fit(alike[0])
        if not left:
            continue
        if searched < searches and not whole.effort_is_used_up:
            searched += 1
            outcome = whole.look_into(alike[0], len(causes) < _DETAILED)
        else:
            outcome = whole.not_looked_into(alike[0], left, searched)
        while outcome is not None:
            covered = [each for each in alike if not _is_added_on(outcome.cause, each)]
            outcome.cause["subjects"] = [whole.left_on(each, outcome.left) for each in covered]
            causes.append(outcome.cause)
            alike = [each for each in alike if each not in covered]
            outcome = (
                whole.with_another_addition(alike[0], outcome, len(causes) < _DETAILED)
                if alike
                else None
            )
    return _result(fleet, conditions, subjects, [*causes, *not_known], exempt)


def _is_added_on(cause: contract.HeadroomCause, subject: Subject) -> bool:
    """Return whether what a cause adds is on a host of the subject, which is no place once that is emptied."""
    addition = cause["addition"]
    return addition is not None and any(
        each["host"] in subject.hosts for each in (*addition["devices"], *addition["amounts"])
    )


def _check_exempt(exempt: t.Iterable[str], subjects: t.Iterable[Subject], fleet: Fleet) -> None:
    """Raise ``FleetError`` where something is exempt that is neither a host nor a failure domain: a mistyped one would count."""
    known = {*[each.name for each in subjects], *fleet.unknown}
    unknown = [name for name in exempt if name not in known]
    if unknown:
        raise FleetError(
            f"exempt has {listed([repr(name) for name in unknown])}; there is no host and no failure domain of this name"
        )


def _domain(fleet: Fleet, name: str, hosts: t.Collection[str]) -> Subject:
    """Return a failure domain as a subject; raise ``FleetError`` where one of its hosts is none of the fleet's."""
    for host in hosts:
        if host not in fleet.hosts and host not in fleet.unknown:
            raise FleetError(
                f"failure domain {name!r} has {host!r}, and there is no host of this name"
            )
    return Subject(name, tuple(sorted(set(hosts))), True)


def _not_known(fleet: Fleet, subject: Subject) -> contract.HeadroomCause | None:
    """Return the cause that it is unknown whether a subject can be emptied, where nothing is known of one of its hosts."""
    host = next((each for each in subject.hosts if each not in fleet.hosts), None)
    if host is None:
        return None
    sentence = f"it is unknown whether it can be drained: {host}: {why_unknown(fleet, host)}"
    cause = bare_cause("unproven", sentence)
    cause["subjects"] = [{"name": subject.name, "failure_domain": subject.is_domain, "guests": []}]
    return cause


def _result(
    fleet: Fleet,
    conditions: Conditions,
    subjects: t.Sequence[Subject],
    causes: t.Sequence[contract.HeadroomCause],
    exempt: t.Collection[str],
) -> contract.Headroom:
    short = {
        (each["failure_domain"], each["name"]): cause["status"]
        for cause in causes
        for each in cause["subjects"]
    }
    counts: dict[bool, contract.HeadroomCounts] = {
        is_domain: {"emptied": 0, "infeasible": 0, "unproven": 0} for is_domain in (False, True)
    }
    for subject in subjects:
        status = short.get((subject.is_domain, subject.name), "emptied")
        of_kind: t.Any = counts[subject.is_domain]
        of_kind[status] += 1
    return {
        "schema": SCHEMA,
        "hosts": counts[False],
        "failure_domains": counts[True],
        "holds": {name for _is_domain, name in short}.union(fleet.unknown) <= {*exempt},
        "sentences": _sentences(counts, causes, fleet.unknown),
        "causes": [*causes],
        "conditions": conditions.stated(),
        "unknown": fleet.unknown,
    }


def _short_for(cause: contract.HeadroomCause) -> t.Iterator[str]:
    """Yield which guests have no place, and what is short for those of the first host or domain."""
    subjects = cause["subjects"]
    is_one_host = len(subjects) == 1 and not subjects[0]["failure_domain"]
    guests = [
        name if is_one_host else f"{name} on {guest['host']}"
        for each in subjects
        for guest in each["guests"]
        for name in [guest["vm"] or guest["devices"][0]]
    ]
    # A host and its failure domain may have the same guest.
    guests = [*dict.fromkeys(guests)]
    if guests:
        why = why_in(cause["unplaced"])
        yield f"no place for {capped(guests, MAX_GUESTS, 'guest')}{': ' if why else ''}{why}"


def _sentences(
    counts: t.Mapping[bool, contract.HeadroomCounts],
    causes: t.Sequence[contract.HeadroomCause],
    unknown: t.Sequence[str],
) -> list[str]:
    """Return the conclusion, and the first causes."""
    sentences = []
    for is_domain, of_kind in counts.items():
        total = sum(t.cast("dict[str, int]", of_kind).values())
        if total:
            what = counted(total, "failure domain" if is_domain else "host")
            open_ones = of_kind["unproven"]
            are = "is" if open_ones == 1 else "are"
            unproven = f"; {open_ones:,} {are} unproven" if open_ones else ""
            sentences.append(
                f"{of_kind['emptied']:,} of {what} can be drained or can fail{unproven}"
            )
    if unknown:
        sentences.append(f"there are no usable facts of {listed(unknown)}")
    for cause in causes[:_SHOWN]:
        names = listed([each["name"] for each in cause["subjects"]])
        addition = f": {cause['addition']['sentence']}" if cause["addition"] else ""
        sentences.append(f"{names}: {cause['sentence']}{addition}")
        sentences += [f"{names}: {words}" for words in _short_for(cause)]
    if len(causes) > _SHOWN:
        sentences.append(f"and {counted(len(causes) - _SHOWN, 'more cause')}")
    return sentences
