# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The choice of a plan's targets for the devices of a domain. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.domain_xml import (
    Assigned,
    Domain,
    is_id,
    names_device,
    read_domain,
    retargeted,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.summary import first_of

_Placement = t.Mapping[str, t.Any]


def retarget(
    xml: t.Any,
    plan: t.Any,
    host: str | None,
    partial: bool = False,
    vdpa_nodes: t.Collection[str] = (),
) -> str:
    """Return the XML of a domain on ``host`` with its devices replaced by their targets in ``plan``, or what is left of one.

    ``host`` is needed only where the plan moves devices of several hosts and not of one guest of the domain's name.
    ``partial`` XML may lack devices that the plan moves with the guest. ``vdpa_nodes`` are those that are the target's
    already. Raise ``FleetError`` where the domain has a device for which the plan has no target that libvirt can migrate
    it to, or names one where libvirt does not read it.
    """
    domain = read_domain(xml, vdpa_nodes)
    moves = _Moves(domain, plan, host)
    # First: what only such words name is no device of which the facts are old.
    moves.check_own_words()
    return retargeted(domain, moves.targets(partial))


class _Moves:
    """The placements of a plan that can be of a domain's devices: those of its guest, or of no guest as of one that does not run."""

    def __init__(self, domain: Domain, plan: t.Any, host: str | None) -> None:
        self._domain = domain
        placements = [each for each in plan["placements"] if host in (None, each["source"]["host"])]
        own = [each for each in placements if _is_of(each, domain)]
        free = [each for each in placements if each["vm"] is None]
        self._host = host or _only_host(domain.name, own or free)
        self._own = _by_source(own, self._host)
        self._moves = _by_source(free, self._host) | self._own
        self._targets = {each["target"]["id"] for each in self._moves.values()}
        self._assigned = {device.id for device in domain.assigned}
        self._holders = {
            id_: each["vm"] for id_, each in _by_source(placements, self._host).items()
        }
        self._staying = {
            each["source"]["id"]: "; ".join(
                first_of([reason["reason"] for reason in each["reasons"]], "reason")
            )
            for each in plan.get("unplaced", ())
            if each["source"]["host"] == self._host
        }

    def targets(self, partial: bool) -> dict[str, str]:
        """Return the target's id for each of the domain's devices; its own where the domain has the targets already.

        Raise ``FleetError`` where a device has none, or not all go to one host.
        """
        if self._is_there():
            return {device: device for device in self._assigned}
        chosen = {device.id: self._placement(device) for device in self._domain.assigned}
        for device in sorted(self._own.keys() - self._assigned) if not partial else ():
            raise FleetError(
                f"the plan moves {device} of {self._domain.name}, which the domain's XML does not name;"
                " gather the facts again"
            )
        hosts = sorted({each["target"]["host"] for each in chosen.values()})
        if len(hosts) > 1:
            raise FleetError(
                f"the plan has the devices of {self._domain.name} on several hosts: {', '.join(hosts)};"
                " gather the facts while the guest runs, so that it is known to hold them"
            )
        return {device: each["target"]["id"] for device, each in chosen.items()}

    def _is_there(self) -> bool:
        """Return whether the domain has its targets already."""
        return not self._assigned <= self._moves.keys() and self._assigned <= self._targets

    def check_own_words(self) -> None:
        """Raise ``FleetError`` where what the domain has for its emulator past libvirt names a device that moves.

        What is the target of another one as well may be meant as that only where the domain has the targets already.
        """
        left = {
            source: each
            for source, each in self._moves.items()
            if self._is_misnamed(source, each["target"]["id"])
        }
        for line, element, text in self._domain.own_words if left else ():
            for source, each in left.items():
                kind = each["source"]["kind"]
                if names_device(text, kind, source):
                    unclear = (
                        "; another device becomes that, so it is unclear which is meant"
                        if source in self._targets and source != each["target"]["id"]
                        else ""
                    )
                    raise FleetError(
                        f"line {line}: <{element}> of {self._domain.name} names {kind} {source}, which becomes"
                        f" {each['target']['id']}{unclear}: libvirt does not read that, so it is not changed; assign the device"
                        " with <hostdev>, or take it out there"
                    )

    def _is_misnamed(self, source: str, target: str) -> bool:
        """Return whether what is past libvirt must not name a ``source`` that becomes a ``target``."""
        if source == target:
            # Libvirt does not know it, so it would not migrate it.
            return source in self._own.keys() - self._assigned and not self._is_there()
        return source not in self._targets or not self._is_there()

    def _placement(self, device: Assigned) -> _Placement:
        what = f"{device.kind} {device.id} of {self._domain.name}"
        if device.id not in self._moves:
            raise FleetError(f"{what} has no target in the plan: {self._why_none(device.id)}")
        placement = self._moves[device.id]
        kind, target = placement["target"]["kind"], placement["target"]["id"]
        if kind != device.kind:
            raise FleetError(
                f"{what} is to become {kind} {target}: libvirt migrates a guest only to a device of the same kind"
            )
        if not is_id(kind, target):
            raise FleetError(
                f"the plan's target for {what}, {target!r}, is not an id of kind {kind}"
            )
        return placement

    def _why_none(self, device: str) -> str:
        if device in self._staying:
            return self._staying[device]
        if device in self._holders:
            return f"it has it for {self._holders[device]}"
        return f"it knows no such device on {self._host}" if self._host else "it moves nothing"


def _is_of(placement: _Placement, domain: Domain) -> bool:
    """Return whether a placement is of a domain's guest: by its name, and by its UUID where both state one."""
    uuid = placement.get("vm_uuid")
    return placement["vm"] == domain.name and (None in (uuid, domain.uuid) or uuid == domain.uuid)


def _by_source(placements: t.Iterable[_Placement], host: str | None) -> dict[str, _Placement]:
    return {each["source"]["id"]: each for each in placements if each["source"]["host"] == host}


def _only_host(name: str, placements: t.Iterable[_Placement]) -> str | None:
    hosts = sorted({each["source"]["host"] for each in placements})
    if len(hosts) > 1:
        raise FleetError(
            f"the plan moves devices of {', '.join(hosts)}; say with 'host' on which one {name} is"
        )
    return hosts[0] if hosts else None
