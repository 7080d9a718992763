# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Plans: which device goes where. Pure.

Supply and demand become numbers, the search finds a place for each guest, and the result becomes devices and names
again. Nothing depends on time or chance: the same input gives the same plan, byte for byte.
"""

from __future__ import annotations

import itertools
import typing as t
from collections import Counter, defaultdict

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    UUID,
    attribute_list,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.virtio import DEVICE_NAME
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.candidates import Candidates
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import Descriptor
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    VDPA,
    Device,
    Fleet,
    ParentFacts,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.bottleneck import (
    Shortage,
    find_shortage,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.local_search import (
    Budget,
    Found,
    Search,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.mip_model import improve
from ansible_collections.vfio.migration.plugins.plugin_utils._packing.objective import (
    Cost,
    cost_of,
    lower_bound,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.prepared import (
    Prepared,
    find_targets,
    made_again,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.problem import (
    Exclusions,
    Placement,
    Supply,
    assigned,
    claimed,
    named_id,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Guest, Request
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.unplaced import Reasons
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.waves import Waves


class Draft:
    """What the search found, with devices and parents again; ``anew``: wherever an earlier plan has had targets made."""

    def __init__(
        self,
        fleet: Fleet,
        request: Request,
        candidates: Candidates,
        blocked: Exclusions,
        budget: Budget,
        progress: t.Callable[[str], None],
        anew: bool = False,
    ) -> None:
        self._request = request
        self._blocked = blocked
        self._spread = request.conditions.policy == "spread"
        self.supply = Supply(fleet, request, candidates, blocked)
        self._targets = find_targets(self.supply)
        self._prepared = Prepared(self.supply, {} if anew else self._targets)
        self._bins = self._prepared.bins
        self._guests = self._to_search()
        self._items = [self.supply.items[guest] for guest in self._guests]
        self._shortage: Shortage | None = None
        there = len(request.guests) - len(self._guests)
        search = Search(
            self.supply,
            self._items,
            self._bins,
            self._spread,
            budget,
            lambda stage, placed: progress(
                f"{stage}, {there + placed} of {len(request.guests)} guests have a place"
            ),
        )
        # Those of all bins as they are, of which alone a proof can be.
        self._ways = self._prepared.ways if self._prepared.held else search.ways
        found = search.run(self._missing)
        self.solver = "search"
        self._settle(found)
        if self._may_be_better():
            self._sharpen(search, found)

    def _to_search(self) -> list[int]:
        """The guests that are not where an earlier plan has had their targets made."""
        there = {guest for held in self._prepared.held.values() for guest, way in held}
        return [guest for guest in range(len(self.supply.items)) if guest not in there]

    def _settle(self, found: Found) -> None:
        self.placed = self._realise(found)
        self.cost = self._cost_of(found)
        self._least = self._least_cost(found)

    @property
    def may_hold_back(self) -> bool:
        """Whether less might be left behind if what an earlier plan has had made were not used as that has it."""
        return bool(self._prepared.held) and self.cost.unplaced > self._least.unplaced

    def learn(self, other: Draft) -> None:
        """Takes over what another draft of the same plan has proven to be left behind at least."""
        if self.cost.unplaced:
            most = max(self._least.unplaced, other._least.unplaced)
            self._least = self._least._replace(unplaced=most)

    def in_the_way(self) -> frozenset[int]:
        """The guests that stay, though taken for gone, on a host to which another one of their group is to go."""
        if not self._request.conditions.apart:
            return frozenset()
        placed = {each.guest for each in self.placed}
        arriving: dict[str, set[int]] = defaultdict(set)
        for each in self.placed:
            name = self._request.guests[each.guest].name
            arriving[each.host] |= self._request.conditions.groups_of(name) if name else set()
        return frozenset(
            number
            for number, guest in enumerate(self._request.guests)
            if number not in placed
            and number not in self._blocked.guests
            and guest.name
            and self._request.conditions.groups_of(guest.name) & arriving[guest.host]
        )

    # --- what is proven ---

    @property
    def _holds_back(self) -> bool:
        """Whether not everything may move everywhere: what is found then is no proof of the whole."""
        return bool(self._request.kept) or self._blocked != Exclusions()

    @property
    def bound(self) -> Cost | None:
        """What no plan costs less than; ``None`` where that is not known."""
        return None if self._holds_back else self._least

    @property
    def shortage(self) -> Shortage | None:
        """The proof that not everything finds a place, if there is one of this kind."""
        return None if self._holds_back else self._shortage

    @property
    def status(self) -> str:
        if not self.cost.unplaced:
            return "optimal" if self.cost == self.bound else "feasible"
        return "infeasible" if self.bound and self.bound.unplaced else "unproven"

    def _missing(self) -> int:
        """How many devices find no place whatever is done."""
        demands = Counter(itertools.chain.from_iterable(i.demands for i in self.supply.items))
        resources = Counter(itertools.chain.from_iterable(b.state for b in self.supply.bins))
        self._shortage = find_shortage(self.supply, demands, resources)
        return self._shortage.missing if self._shortage else 0

    def _cost_of(self, found: Found) -> Cost:
        held = self._prepared.held
        together = {
            number: [*held.get(number, ()), *found.bins.get(number, ())]
            for number in held.keys() | found.bins.keys()
        }
        cost = cost_of(together, sum(map(_size, self._request.guests)), self._spread)
        return cost._replace(remade=made_again(self._targets, self.placed))

    def _least_cost(self, found: Found) -> Cost:
        complete = found.complete and not self._prepared.held
        # The search does not know what is made again.
        if complete and not self.cost.remade:
            return self.cost
        if self.cost.unplaced:
            return Cost(unplaced=self.cost.unplaced if complete else self._least_left())
        least = lower_bound(
            self.supply, self._ways, self._items, self.supply.bins, self.cost, self._spread
        )
        if self.cost.remade:
            return least
        prepared = self._prepared.least()
        return least._replace(
            load=max(least.load, prepared.load) if self._spread else 0,
            other_type=least.other_type + prepared.other_type,
        )

    def _least_left(self) -> int:
        """How many devices every plan leaves behind."""
        unfit = nowhere = 0
        for guest, item in zip(self._request.guests, self.supply.items, strict=True):
            if not item.demands:
                unfit += _size(guest)
            elif not self._ways.unsure and not self._ways.bin_types_for(item.demands):
                nowhere += _size(guest)
        return unfit + max(nowhere, self._shortage.missing if self._shortage else 0)

    def _may_be_better(self) -> bool:
        # What some plans cost that leave less behind is not known.
        if self.cost.unplaced:
            return self._least.unplaced < self.cost.unplaced
        return self._least < self.cost

    def _sharpen(self, search: Search, found: Found) -> None:
        """Asks the solver, if there is one."""
        placed = {item for held in found.bins.values() for item, way in held}
        left = [
            number
            for number, item in enumerate(self._items)
            if number not in placed and search.ways.bin_types_for(item.demands)
        ]
        improved = improve(self.supply, self._items, self._bins, found.bins, left, self._spread)
        if improved is None:
            return
        self.solver = "ortools"
        found.bins = improved.bins
        found.complete = improved.best and not left
        self._settle(found)
        if improved.most and not self._prepared.held:
            self._least = self._least._replace(unplaced=self.cost.unplaced)

    # --- devices and parents again ---

    def _realise(self, found: Found) -> list[Placement]:
        """What was placed, by guest."""
        placed = list(self._prepared.placed)
        for number in sorted(self._prepared.held.keys() | found.bins.keys()):
            behind, claims = self._prepared.left(number)
            for item, way in found.bins.get(number, ()):
                guest = self._guests[item]
                sources = [source for _demand, source in self.supply.shapes[guest]]
                claims += claimed(behind, guest, sources, way)
            placed += assigned(self.supply.names[number], claims)
        return sorted(placed, key=lambda each: (each.guest, each.source.id))


def _may_be_named(kind: str, name: str) -> bool:
    """Whether a new device may have a name that comes from another host."""
    pattern = DEVICE_NAME if kind == VDPA else UUID
    return pattern.match(name) is not None


def _size(guest: Guest) -> int:
    return len(guest.devices)


class Document:
    """The plan as the contract has it."""

    def __init__(
        self,
        fleet: Fleet,
        request: Request,
        candidates: Candidates,
        draft: Draft,
        waves: Waves,
        cycles: list[list[int]],
    ) -> None:
        self._fleet = fleet
        self._request = request
        self._candidates = candidates
        self._draft = draft
        self._waves = waves
        self._cycles = cycles
        self._taken: dict[str, set[str]] = {}
        self._acceptances: dict[Descriptor | None, dict[str, t.Any]] = {}

    def plan(self) -> dict[str, t.Any]:
        placements = [(each, self._source_of(each)) for each in self._request.kept]
        placements += [(self._placement(each), each.source) for each in self._draft.placed]
        placements.sort(key=lambda each: (each[1].host, each[0]["vm"] or "", each[1].id))
        hosts: dict[str, t.Any] = {}
        mapping: dict[str, dict[str, str]] = {}
        for placement, source in placements:
            target = placement["target"]
            mapping.setdefault(source.host, {})[source.id] = target["id"]
            host = hosts.get(target["host"])
            if host is None:
                host = hosts[target["host"]] = {
                    "devices": [],
                    "pci_devices": [],
                    "vdpa_devices": [],
                }
            if target["kind"] == "mdev":
                host["devices"].append(self._for_vfio_mdev(source, target))
            elif target["kind"] == "pci":
                host["pci_devices"].append(self._for_vfio_pci(source, target))
            else:
                host["vdpa_devices"].append(self._for_vdpa_device(source, target))
        return {
            "status": self._draft.status,
            "solver": self._draft.solver,
            "cost": self._shown(self._draft.cost),
            "bound": self._shown(self._draft.bound),
            "direction": self._request.conditions.direction,
            "policy": self._request.conditions.policy,
            "placements": [placement for placement, source in placements],
            "unplaced": self._unplaced(),
            "shortage": self._shortage(),
            "hosts": dict(sorted(hosts.items())),
            "map": mapping,
            "unknown": self._fleet.unknown,
        }

    def _shown(self, cost: Cost | None) -> dict[str, int] | None:
        """A cost, without what the plan's policy does not look at."""
        if cost is None or self._request.kept:
            return None
        unused = "opened" if self._request.conditions.policy == "spread" else "load"
        return {name: number for name, number in cost._asdict().items() if name != unused}

    def _source_of(self, placement: t.Mapping[str, t.Any]) -> Device:
        source = placement["source"]
        devices = self._fleet.hosts[source["host"]].devices
        return next(device for device in devices if device.id == source["id"])

    def _placement(self, placed: Placement) -> dict[str, t.Any]:
        device, existing = placed.device, placed.offer.existing
        if device is not None and existing is not None:
            target: dict[str, t.Any] = {
                "host": placed.host,
                "kind": device.kind,
                "id": device.id,
                "parent": device.parent,
                "type": device.type,
                "attributes": attribute_list(existing.attributes),
                "create": False,
            }
            verdict = existing.verdict
            found = (*(verdict[key] for key in ("set", "bindings", "certainty", "warnings")),)
        else:
            made, mdev_type = placed.offer.creation
            parent = t.cast(ParentFacts, placed.parent)
            target = {
                "host": placed.host,
                "kind": parent.kind,
                "id": self._new_id(placed.source, placed.host, parent.kind),
                "parent": parent.id,
                "type": mdev_type.id,
                "attributes": attribute_list(made.attributes),
                "create": True,
            }
            found = (made.set, made.bindings, "provisional", made.warnings)
        index, bindings, certainty, warnings = found
        return {
            "vm": self._request.guests[placed.guest].name,
            "source": placed.source.label,
            "target": target,
            "set": index,
            "bindings": bindings,
            "certainty": certainty,
            "warnings": warnings,
            "wave": self._waves.number(placed.guest),
        }

    def _new_id(self, source: Device, host: str, kind: str) -> str:
        """The name for a target made on ``host``: the source's own where that is free there, else one made from it."""
        if host not in self._taken:
            self._taken[host] = {device.id for device in self._fleet.hosts[host].devices}
            self._taken[host].update(
                each["target"]["id"]
                for each in self._request.kept
                if each["target"]["host"] == host
            )
        taken = self._taken[host]
        chosen = source.id
        if source.kind != kind or chosen in taken or not _may_be_named(kind, chosen):
            names = (named_id(source, count) for count in itertools.count())
            chosen = next(each for each in names if each not in taken)
        taken.add(chosen)
        return chosen

    def _for_vfio_mdev(self, source: Device, target: dict[str, t.Any]) -> dict[str, t.Any]:
        return {
            "uuid": target["id"],
            "parent": target["parent"],
            "type": target["type"],
            "attributes": target["attributes"],
            **self._acceptance(source.descriptor),
        }

    def _for_vdpa_device(self, source: Device, target: dict[str, t.Any]) -> dict[str, t.Any]:
        given: dict[str, t.Any] = {each["name"]: each["value"] for each in target["attributes"]}
        if "device_features" in given:
            given["device_features"] = [given["device_features"]]
        return {
            "name": target["id"],
            "mgmtdev": target["parent"],
            **given,
            **self._acceptance(source.descriptor),
        }

    def _for_vfio_pci(self, source: Device, target: dict[str, t.Any]) -> dict[str, t.Any]:
        # Without a driver: it has that which its descriptor is of.
        return {
            "address": target["id"],
            "attributes": target["attributes"],
            **self._acceptance(source.descriptor),
        }

    def _acceptance(self, descriptor: Descriptor | None) -> dict[str, t.Any]:
        """What the target's own ``self`` must match, as its host's module takes it."""
        found = self._acceptances.get(descriptor)
        if found is None:
            found = {}
            if descriptor and self._request.conditions.direction in ("source_lists", "both"):
                # A set that leaves the version out means the source's own; the target's host does not know that.
                version = {"software_version": descriptor.version}
                found = {"accept": [version | attributes for attributes in descriptor.compatible]}
            self._acceptances[descriptor] = found
        return found

    def _unplaced(self) -> list[dict[str, t.Any]]:
        placed = {each.guest for each in self._draft.placed}
        left = [guest for n, guest in enumerate(self._request.guests) if n not in placed]
        if not left:
            return []
        reasons = Reasons(
            self._fleet, self._request, self._candidates, self._draft.supply, self._draft.placed
        )
        short = self._short_sentences()
        circular = self._cycle_sentences()
        return [
            {
                "vm": guest.name,
                "source": device.label,
                "reasons": [
                    *({"host": None, "reason": each} for each in circular.get(guest.key, ())),
                    *({"host": None, "reason": each} for each in short.get(device.key, ())),
                    *reasons.of(guest, device),
                ],
            }
            for guest in left
            for device in guest.devices
        ]

    def _cycle_sentences(self) -> dict[tuple[str, str, str], list[str]]:
        sentences: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for cycle in self._cycles:
            guests = [self._request.guests[number] for number in cycle]
            names = [guest.name or f"{guest.devices[0].id} on {guest.host}" for guest in guests]
            for place, guest in enumerate(guests):
                order = " waits for ".join([*names[place:], *names[: place + 1]])
                sentences[guest.key].append(
                    f"places are to be had in a circle only: {order}; one more free place would open it"
                )
        return sentences

    def _shortage(self) -> dict[str, t.Any] | None:
        """The proof that not everything finds a place, if there is one of this kind."""
        shortage = self._draft.shortage
        if shortage is None:
            return None
        return {
            "need": shortage.need,
            "reachable": shortage.reachable,
            "devices": [device.label for device in self._short_of(shortage)],
        }

    def _short_of(self, shortage: Shortage) -> list[Device]:
        demands = set(shortage.demands)
        return [
            device
            for shape in self._draft.supply.shapes
            for demand, device in shape
            if demand in demands
        ]

    def _short_sentences(self) -> dict[tuple[str, str], list[str]]:
        shortage = self._draft.shortage
        if shortage is None:
            return {}
        devices = self._short_of(shortage)
        types = sorted({device.type or device.kind for device in devices})
        reason = (
            f"{shortage.need} devices ({', '.join(types)}) need places of which all targets together"
            f" have {shortage.reachable} at most: {shortage.missing} more are needed"
        )
        return {device.key: [reason] for device in devices}
