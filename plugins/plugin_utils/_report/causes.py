# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Why devices cannot move, in short: from what a plan says of each host, grouped by what is short."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.reason import (
    OF_ANOTHER_DEVICE,
)

MAX_CAUSES = 5


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a device cannot move, as a code and in words.

    ``more`` says whether there are further reasons, ``remedy`` what would make it possible.
    """

    code: contract.ReasonCode
    reason: str
    example: str | None = None
    more: bool = False
    remedy: str | None = None


class _Summary(t.NamedTuple):
    """The words for a plan's reasons of one code.

    ``cause`` is said of all devices that it holds for, the reason itself where it is ``None``; ``remedy`` is what would make it
    possible. Both may name ``{what}``, the hardware that is needed, and of the reason its ``{host}``, ``{attribute}`` and
    ``{detail}``.
    """

    cause: str | None
    remedy: str | None


_NEAREST = "no device on a target host is compatible; the closest device differs in {attribute}"
_NEAREST_VERSION = (
    "no device on a target host is compatible; the closest device differs in software_version"
)
_WAIT = "other guests of this plan take what there is for {what}"
_ONE_MORE = "one more place for {what}, on one more target host or by freeing one"
_NO_HARDWARE = "no target host is known to have hardware of its kind"
_LIST = "a newer driver, or a report to its vendor: the driver's list of what is compatible is of no use"

# What is true of a device itself, or of all hosts together.
_OWN: dict[contract.ReasonCode, _Summary] = {
    "no_p2p": _Summary(
        None,
        "a driver of all of the guest's devices that supports P2P, or one VFIO device for the guest",
    ),
    "cannot_migrate": _Summary(
        None, "a driver that can migrate it; else shut the guest down, and start it on another host"
    ),
    "no_descriptor": _Summary(None, "fix the problems listed for its host"),
    "guest_stays": _Summary(
        "another device of its guest stays: {detail}",
        "move the guest without that device, or shut it down and start it on another host",
    ),
    "shortage": _Summary(
        None,
        "more places for {what}, {detail} at least: on one more target host, or by freeing devices or parents",
    ),
    "circle": _Summary(
        "the guests wait for each other's places in a circle",
        "one more free place for {what}",
    ),
    "verifier": _Summary(None, "report it: the planner and the verifier disagree"),
    "lower_priority": _Summary(None, _ONE_MORE),
    "no_target_host": _Summary(None, "name further hosts that may receive"),
    "left_out": _Summary(None, "plan again"),
    "facts_changed": _Summary(None, "plan again"),
    "failed": _Summary(None, "fix what failed there, or free another place for {what}"),
}
# What is in the way on a host: what is nearest to being out of the way first.
_ON_HOST: dict[contract.ReasonCode, _Summary] = {
    "taken": _Summary(_WAIT, _ONE_MORE),
    "capacity_taken": _Summary(_WAIT, _ONE_MORE),
    "no_capacity": _Summary(
        "no target host has capacity for a new {what}",
        "a target host with capacity for {what}, or remove what takes it up",
    ),
    "card_full": _Summary(
        "no card of a target host has capacity for one more {what}",
        "a card with capacity for {what}, or remove what takes it up",
    ),
    "holder_unknown": _Summary(
        "it is unknown whether a compatible device is free", "gather the facts as root"
    ),
    "in_use": _Summary("compatible devices are in use", "free a compatible device"),
    "moves_itself": _Summary(
        "compatible devices move, too",
        "plan with reuse, to use vacated places in a later wave",
    ),
    "mac_address": _Summary(
        "on the cards with a place another guest has its MAC address",
        "a place on another card, or another MAC address for one of the two",
    ),
    "queue_assigned": _Summary(
        "on the hosts that could make it another device has one of its AP queues",
        "a host on which its AP queues are assigned to nothing, or remove the device there that has them",
    ),
    "other_uuid": _Summary(
        "no compatible device on a target host has, or can get, its UUID",
        "a free device with its UUID to which nothing is assigned, or remove the one that has the UUID",
    ),
    "limit": _Summary(
        "the hosts with a place receive as many devices as the limit allows",
        "raise the limit, or name further target hosts",
    ),
    "capacity": _Summary(
        "the hosts with a place have too little left of what the guest takes, or it is not stated",
        "a target host with more of it, or state what the hosts have",
    ),
    "apart": _Summary(
        "no target host has a place apart from the other guests of its group",
        "one more target host for the group",
    ),
    "guest_together": _Summary(
        "no target host has a place for all devices of the guest at once",
        "one target host with capacity for all devices of the guest",
    ),
    "guest_device": _Summary(
        "no target host has a place for all devices of the guest at once",
        "one target host with capacity for all devices of the guest",
    ),
    "avoided": _Summary(None, "take that off the places to avoid"),
    "condition": _Summary("nothing is compatible {detail}", "plan without that condition"),
    "target_no_p2p": _Summary(
        "compatible devices do not support P2P, which a guest with several VFIO devices needs",
        "a target whose driver supports P2P, or one VFIO device for the guest",
    ),
    "driver_version": _Summary(
        _NEAREST_VERSION, "update the driver on {host} to {detail} or newer"
    ),
    "major_version": _Summary(
        _NEAREST_VERSION, "a target host whose driver has major version {detail}"
    ),
    "configuration": _Summary(
        "what is there differs in its configuration, in {attribute}",
        "a target that is configured as the source is: see the guide to verdicts",
    ),
    "attribute": _Summary(_NEAREST, "a device with {attribute} {detail}"),
    "no_list": _Summary(None, _LIST),
    "void_set": _Summary(None, _LIST),
    "unknown_device": _Summary(None, "create the device, gather the facts again, and plan again"),
    "no_hardware": _Summary(_NO_HARDWARE, "a target host with {what}"),
    "nothing_usable": _Summary(_NO_HARDWARE, "a target host with {what}"),
    "no_facts": _Summary(None, "gather the facts of the hosts that may receive"),
    "not_examined": _Summary(None, "ask the filter explain about the device and a host"),
}
# With these the plan does not say what keeps the other device.
_TOGETHER = OF_ANOTHER_DEVICE - {"guest_stays"}


def causes_in(
    unplaced: t.Sequence[contract.Unplaced],
    what: t.Callable[[contract.DeviceLabel], str],
    guest: t.Callable[[contract.DeviceLabel], t.Hashable],
) -> list[Cause]:
    """Return in short why a plan left each of these devices behind, given functions that name each and identify its guest.

    Where the cause is another device of the guest, it is what keeps that one.
    """
    sources = [each["source"] for each in unplaced]
    causes = [cause_in(each, what(each["source"])) for each in unplaced]
    itself: dict[t.Hashable, Cause] = {}
    for source, cause in zip(sources, causes, strict=True):
        if cause.code not in OF_ANOTHER_DEVICE:
            itself.setdefault(guest(source), cause)
    return [
        _of_another(itself[guest(source)])
        if cause.code in _TOGETHER and guest(source) in itself
        else cause
        for source, cause in zip(sources, causes, strict=True)
    ]


def _of_another(cause: Cause) -> Cause:
    """Return the cause of a device that stays with another one of its guest, of which that is the ``cause``."""
    reason = f"another device of its guest stays: {cause.reason}"
    return replace(cause, code="guest_stays", reason=reason)


def cause_in(unplaced: contract.Unplaced, what: str) -> Cause:
    """Return in short why a plan left a device behind that is ``what``, from the reasons that the plan has."""
    reasons = unplaced["reasons"]
    first = reasons[0]
    if first["host"] in (None, unplaced["source"]["host"]):
        return _cause(_OWN.get(first["code"]), first, what, False)
    more = len(reasons) > 1 or bool(first.get("alike"))
    by_code = {each["code"]: each for each in reversed(reasons)}
    for code, summary in _ON_HOST.items():
        if code in by_code:
            return _cause(summary, by_code[code], what, more)
    return Cause(first["code"], first["reason"], more=more)


def _cause(
    summary: _Summary | None, reason: contract.UnplacedReason, what: str, more: bool
) -> Cause:
    if summary is None:
        return Cause(reason["code"], reason["reason"], None, more)
    words = {
        "what": what,
        "host": reason["host"],
        "attribute": reason.get("attribute"),
        "detail": reason.get("detail"),
    }
    remedy = summary.remedy and _with(summary.remedy, words)
    if summary.cause is None:
        return Cause(reason["code"], reason["reason"], None, more, remedy)
    return Cause(reason["code"], _with(summary.cause, words), reason["reason"], more, remedy)


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
                "code": cause.code,
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
