# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Why devices cannot move, in short: from what a plan says of each host, grouped by what is short."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.plugin_utils import contract

MAX_CAUSES = 5


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a device cannot move; ``more`` says whether there are further reasons, ``remedy`` what would make it possible."""

    reason: str
    example: str | None = None
    more: bool = False
    remedy: str | None = None


class _Obstacle(t.NamedTuple):
    """What a plan's reasons of a kind come to.

    ``pattern`` is what such a reason begins with or has in it. ``cause`` is said of all devices that it holds for, the reason itself where
    it is ``None``; ``remedy`` is what would make it possible. Both may name ``{what}``, the hardware that is needed, and the
    groups of the pattern.
    """

    pattern: re.Pattern[str]
    cause: str | None
    remedy: str | None


def _obstacle(pattern: str, cause: str | None, remedy: str | None) -> _Obstacle:
    return _Obstacle(re.compile(pattern), cause, remedy)


# What is true of a device itself, or of all hosts together.
_OWN = (
    _obstacle(
        r"it cannot migrate with another VFIO device",
        None,
        "a driver of all of the guest's devices that supports P2P, or one VFIO device for the guest",
    ),
    _obstacle(
        r"it cannot migrate",
        None,
        "a driver that can migrate it; else shut the guest down, and start it on another host",
    ),
    _obstacle(r"it has no usable descriptor", None, "mend what the problems of its host name"),
    _obstacle(
        r"it stays with (?P<other>\S+) of the same guest: (?P<why>.*)",
        "another device of its guest stays: {why}",
        "move the guest without that device, or shut it down and start it on another host",
    ),
    _obstacle(
        r"[\d,]+ devices \(.*: (?P<missing>[\d,]+) more are needed",
        None,
        "{missing} more places for {what}: on one more target host, or by freeing devices or parents",
    ),
    _obstacle(
        r"places are to be had in a circle only",
        "places are to be had in a circle only, each guest waiting for another",
        "one more free place for {what}",
    ),
    _obstacle(r"the verifier objects", None, "report it: the planner and the verifier disagree"),
    _obstacle(r"there is no host that it might go to", None, "name further hosts that may receive"),
)
# What is in the way on a host: what is nearest to being out of the way first.
_ON_HOST = (
    _obstacle(
        r"is taken by this plan\Z|(?:^|\s)this plan makes |not taken by this plan\Z",
        "other guests of this plan take what there is for {what}",
        "one more place for {what}, on one more target host or by freeing one",
    ),
    _obstacle(
        r"^(?:no instance of|[\d,]+ instances? of) ",
        "no host has room for a new {what}",
        "a target host with room for {what}, or remove what takes the room",
    ),
    _obstacle(
        r"holds [\d,]+ of \S+ at most|takes one size only|as only trying shows|has no type \S+\Z",
        "no card has room for one more {what}",
        "a card with room for {what}, or remove what takes the room",
    ),
    _obstacle(
        r"it is unknown whether a process holds it",
        "it is not known whether what would do is free",
        "gather the facts as root",
    ),
    _obstacle(r"would do, but .* holds it", "what would do is in use", "free one of what would do"),
    _obstacle(
        r"receives [\d,]+ devices already, and [\d,]+ at most",
        "the hosts with a place receive as many devices as the limit allows",
        "a greater limit, or further target hosts",
    ),
    _obstacle(
        r"no place there apart from",
        "no host has a place apart from the other guests of its group",
        "one more target host for the group",
    ),
    _obstacle(
        r"^no place there",
        "no host has a place for all devices of the guest at once",
        "one target host with room for all devices of the guest",
    ),
    _obstacle(r"is to be avoided: ", None, "take that off the places to avoid"),
    _obstacle(
        r"\S has nothing compatible (?P<asked>.*)",
        "nothing is compatible {asked}",
        "plan without that condition",
    ),
    _obstacle(
        r"(?P<update>update the driver on .* or newer)",
        "no device on another host is compatible; what comes nearest differs in software_version",
        "{update}",
    ),
    _obstacle(
        r"has software_version \S+; (?P<major>major version .* is needed)",
        "no device on another host is compatible; what comes nearest differs in software_version",
        "a target host whose driver has {major}",
    ),
    _obstacle(
        r"what has to be equal differs: (?P<name>\S+) is",
        "what is there differs in its configuration, in {name}",
        "a target that is configured as the source is: see the guide to verdicts",
    ),
    _obstacle(
        r"has no VFIO device with a usable descriptor|has no device of its kind",
        "no other host has hardware of its kind",
        "a target host with {what}",
    ),
    _obstacle(
        r" has (?:no )?(?P<name>\S+?)(?: .*)?; (?P<needed>.*) is needed\Z",
        "no device on another host is compatible; what comes nearest differs in {name}",
        "a device with {name} {needed}",
    ),
)


def cause_in(unplaced: contract.Unplaced, what: str) -> Cause:
    """Return in short why a plan left a device behind that is ``what``, from the reasons that the plan has."""
    reasons = unplaced["reasons"]
    if reasons[0]["host"] in (None, unplaced["source"]["host"]):
        return _found(_OWN, reasons[0]["reason"], what) or Cause(reasons[0]["reason"])
    more = len(reasons) > 1 or bool(reasons[0].get("alike"))
    for obstacle in _ON_HOST:
        for each in reasons:
            found = obstacle.pattern.search(each["reason"])
            if found is not None:
                return _cause(obstacle, found, each["reason"], what, more)
    return Cause(reasons[0]["reason"], more=more)


def _found(obstacles: t.Iterable[_Obstacle], reason: str, what: str) -> Cause | None:
    for obstacle in obstacles:
        found = obstacle.pattern.match(reason)
        if found is not None:
            return _cause(obstacle, found, reason, what, False)
    return None


def _cause(obstacle: _Obstacle, found: re.Match[str], reason: str, what: str, more: bool) -> Cause:
    words = {**found.groupdict(), "what": what}
    remedy = obstacle.remedy and _with(obstacle.remedy, words)
    if obstacle.cause is None:
        return Cause(reason, None, more, remedy)
    return Cause(_with(obstacle.cause, words), reason, more, remedy)


def _with(text: str, words: t.Mapping[str, str | None]) -> str:
    """Return ``text`` with words in the place of their names; what words have in them stays as it is."""
    return re.sub(r"\{(\w+)\}", lambda name: words.get(name[1]) or "", text)


def count_causes(
    causes: t.Iterable[tuple[Cause, int, t.Hashable | None]],
) -> list[contract.Cause]:
    """Return the causes with the most devices, given each cause, how many devices it is true of, and the guest that these are of, if any.

    Causes with the same reason are one. It has the example of the first of them.
    """
    counted: dict[str, contract.Cause] = {}
    guests: dict[str, set[t.Hashable]] = {}
    for cause, devices, guest in causes:
        entry = counted.setdefault(
            cause.reason,
            {
                "devices": 0,
                "guests": 0,
                "reason": cause.reason,
                "example": cause.example,
                "more": False,
                "remedy": cause.remedy,
            },
        )
        entry["devices"] += devices
        entry["more"] |= cause.more
        if guest is not None:
            guests.setdefault(cause.reason, set()).add(guest)
            entry["guests"] = len(guests[cause.reason])
    ordered = sorted(counted.values(), key=lambda each: (-each["devices"], each["reason"]))
    return ordered[:MAX_CAUSES]
