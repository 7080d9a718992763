# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Earlier plans: what of them still holds. Pure.

A plan names the hosts that it relied on, each with a digest of its facts. Where the facts of both hosts of a guest
are still the same, so is what was planned for it. A plan also has the conditions that it was made for, which go on to
hold where no others are given, so that what was approved is what is carried out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    OPTIONS,
    Guest,
    Request,
)

Facts = t.Mapping[str, t.Mapping[str, t.Any]]

# What a plan is made of; problems that a host had on the way are not.
_RELEVANT = ("descriptors", "devices", "parents")


def digests(plan: t.Mapping[str, t.Any], facts: Facts) -> dict[str, str]:
    """The hosts between which ``plan`` moves something, each with the digest of its facts."""
    hosts = {each[side]["host"] for each in plan["placements"] for side in ("source", "target")}
    return {host: _digest(facts[host]) for host in sorted(hosts)}


def conditions_of(earlier: t.Any) -> dict[str, t.Any]:
    """Return the conditions that the plan ``earlier`` was made for, by their names as options; raise ``FleetError``."""
    with _reading():
        return dict(earlier["conditions"]) | {key: earlier[key] for key in ("direction", "policy")}


class PreviousPlan:
    """What of an ``earlier`` plan still holds: ``request`` is the rest of ``request``, with that as ``kept``.

    ``changes`` says for each guest that is to be planned anew why it is, ``given_up`` the same where all are, as
    what stays is in the way of the rest.
    """

    def __init__(self, earlier: t.Any, request: Request, facts: Facts) -> None:
        with _reading():
            self._read(earlier, request, facts)

    def _read(self, earlier: t.Any, request: Request, facts: Facts) -> None:
        placements: dict[tuple[str, str], t.Any] = {
            (each["source"]["host"], each["source"]["id"]): each for each in earlier["placements"]
        }
        others = self._other_conditions(earlier, request)
        changed = {
            host: host not in facts or _digest(facts[host]) != digest
            for host, digest in earlier["relied_on"].items()
        }
        kept: list[t.Any] = []
        rest: list[Guest] = []
        self.changes: list[dict[str, t.Any]] = []
        self.given_up: list[dict[str, t.Any]] = []
        for guest in request.guests:
            planned = [placements.get(device.key) for device in guest.devices]
            reason = others or self._why_anew(guest, planned, request, changed)
            if reason is None:
                kept.extend(planned)
            else:
                rest.append(guest)
                self.changes.append(_change(guest, reason))
            self.given_up.append(_change(guest, reason or "others would have no place otherwise"))
        for placement in kept:
            self._check(placement["target"], facts)
        self.request = dataclasses.replace(request, guests=rest, kept=kept)

    def _check(self, target: t.Any, facts: Facts) -> None:
        """Refuses a target that the facts, though they are the same, do not have."""
        host, parent, mdev_type = target["host"], target["parent"], target["type"]
        if target["create"]:
            there = any(
                offered["id"] == mdev_type and offered["available_instances"] > 0
                for each in facts[host]["parents"]
                if each["id"] == parent
                for offered in each["types"]
            )
        else:
            there = any(device["id"] == target["id"] for device in facts[host]["devices"])
        if not there:
            what = f"new {mdev_type} under {parent}" if target["create"] else target["id"]
            raise FleetError(f"the earlier plan does not hold: there is no {what} on {host}")

    def _other_conditions(self, earlier: t.Any, request: Request) -> str | None:
        now, then = request.conditions.lasting(), conditions_of(earlier)
        different = sorted(
            name for name in now if now[name] != then[name] and not OPTIONS[name].per_placement
        )
        if different:
            return f"the earlier plan was made with another {', '.join(different)}"
        # The order of moves is of all of them.
        return (
            "moves that wait for each other are planned together"
            if request.conditions.reuse
            else None
        )

    def _why_anew(
        self, guest: Guest, planned: list[t.Any], request: Request, changed: dict[str, bool]
    ) -> str | None:
        for device, placement in zip(guest.devices, planned, strict=True):
            if placement is None:
                return "the earlier plan has no place for it"
            for side in ("source", "target"):
                host = placement[side]["host"]
                if changed[host]:
                    return f"the facts of {host} have changed since the earlier plan"
            target = placement["target"]
            avoided = request.conditions.why_avoided(target["host"], target["parent"])
            if target["host"] not in request.targets or avoided is not None:
                return f"{target['host']} may not receive it any more"
            if not request.conditions.allows(device, target["kind"], target["type"]):
                return "the earlier plan makes it a device of another kind or type"
        return None


@contextlib.contextmanager
def _reading() -> t.Iterator[None]:
    """Turns what is wrong in a plan that somebody gave into ``FleetError``."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FleetError(
            f"'earlier' is no plan of vfio.migration.migration_plan: {error!r} is wrong in it"
        ) from error


def _change(guest: Guest, reason: str) -> dict[str, t.Any]:
    return {"vm": guest.name, "source": guest.devices[0].label, "reason": reason}


def _digest(facts: t.Mapping[str, t.Any]) -> str:
    relevant = {key: facts[key] for key in _RELEVANT}
    text = json.dumps(relevant, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
