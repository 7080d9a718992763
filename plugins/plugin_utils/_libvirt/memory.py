# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Memory: what guests need, what hosts have free, and both as the condition ``capacity`` of a plan. Pure.

Ordinary memory is a resource of its own, and so are the huge pages of each size. Guests may share pages of several sizes: a
guest that names none takes whichever size is the default of its host, and one that names several does not say how much of
each. All fit where, of any sizes, those that can take no others need no more than is free of these together (Gale, 1957). So
each set of sizes that may be short is a resource, too.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.info import (
    GuestInfo,
    HostInfo,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Conditions

# How the names of these resources begin.
_UNIT = "KiB of "
_DEFAULT_WORDS = "the default size"
_NUMBER = re.compile(r"\b[1-9][0-9]{0,15}\b")
# The sizes of huge pages that Linux may have, in KiB.
_SIZES = frozenset(1 << power for power in range(2, 25))
# Stands for whichever size is the default of a host.
_DEFAULT = 0
# So many different sets of several sizes are distinguished.
_MOST_MIXED = 3
# More than any host has, and no more than a condition takes.
_MOST_KIB = 1 << 50

_Sizes = frozenset[int]
Capacity = dict[str, dict[str, dict[str, int]]]


class Need(t.NamedTuple):
    """How much memory a guest needs, in KiB: of huge pages of these ``sizes``, or of ordinary memory where there are none."""

    kib: int
    sizes: tuple[int, ...]

    @property
    def source(self) -> str:
        """Where the memory is taken from, in words."""
        if not self.sizes:
            return "memory"
        return f"huge pages of {' and '.join(map(str, self.sizes))} KiB"


def need(guest: GuestInfo, host: HostInfo) -> Need:
    """Return the memory that a guest needs of ``host``, whose default size of huge pages counts where it names none."""
    pages = guest["huge_pages"]
    if pages is None:
        return Need(guest["memory"], ())
    return Need(guest["memory"], tuple(pages or [host["memory"]["default_huge_page"]]))


def free(host: HostInfo, sizes: t.Collection[int]) -> int:
    """Return how much memory a host has free, in KiB: of huge pages of these ``sizes``, or else ordinary one."""
    if not sizes:
        return host["memory"]["free"]
    return sum(each["free"] for each in host["memory"]["huge_pages"] if each["size"] in sizes)


# --- as a condition of a plan ---


class ArrivingGuest(t.NamedTuple):
    """A guest that is to move: by which ``name`` or UUID a plan's facts have it, and the hosts to which it may not go."""

    info: GuestInfo
    name: str
    barred: t.Collection[str] = ()


def with_memory(
    stated: Conditions,
    guests: t.Sequence[ArrivingGuest],
    hosts: t.Mapping[str, HostInfo],
    only_scarce: bool = True,
) -> Capacity:
    """Return the ``capacity`` that was ``stated``, with the memory of ``hosts`` and that of the ``guests`` that are to go there.

    Of a resource that was stated as well, the greater demand and the lesser supply hold. If ``only_scarce``, what each host has
    enough of for all guests that may come is left out of the plan.
    """
    wanted = _wanted([each.info for each in guests], hosts.values())
    pools = {_name(sizes): sizes for sizes in _counted_together(wanted)}
    free_of = {
        host: {name: _within(_free(info, sizes)) for name, sizes in pools.items()}
        for host, info in hosts.items()
    }
    needs = [
        {name: _within(each.info["memory"]) for name, pool in pools.items() if _needs(sizes, pool)}
        for each, sizes in zip(guests, wanted, strict=True)
    ]
    names = {*pools}
    if only_scarce:
        names &= {*stated.spare, *_scarce(stated, guests, needs, free_of)}
    return _combined(stated, guests, [_part(each, names) for each in needs], free_of, names)


def without_memory(capacity: t.Mapping[str, t.Any]) -> Capacity:
    """Return a plan's ``capacity`` without what ``with_memory`` has put in, which was so then."""
    return {
        side: {
            owner: {name: each for name, each in amounts.items() if not is_memory(name)}
            for owner, amounts in owners.items()
        }
        for side, owners in capacity.items()
    }


def with_memory_of(capacity: t.Mapping[str, t.Any], hosts: t.Mapping[str, HostInfo]) -> Capacity:
    """Return a plan's ``capacity`` with the memory that ``hosts`` have free, in place of what was so when the plan was made.

    Guests need what they needed. How much a host has that is none of ``hosts`` is unknown, so it counts as none.
    """
    found = without_memory(capacity)
    needs: t.Mapping[str, t.Mapping[str, int]] = capacity.get("guests", {})
    names = sorted({name for each in needs.values() for name in each if is_memory(name)})
    supply = found.setdefault("hosts", {})
    for host, info in hosts.items():
        for name in names:
            supply.setdefault(host, {})[name] = _within(_free(info, _pool(name)))
    return {**found, "guests": {guest: {**each} for guest, each in needs.items()}}


def is_memory(resource: str) -> bool:
    """Return whether ``with_memory`` calls a resource so; others may be counted in KiB, too."""
    return resource.startswith(_UNIT) and _name(_pool(resource)) == resource


def _pool(name: str) -> _Sizes:
    """Return what ``_name`` has made a name of."""
    sizes = {int(each) for each in _NUMBER.findall(name)}
    return frozenset(sizes | ({_DEFAULT} if _DEFAULT_WORDS in name else set()))


def _wanted(guests: t.Iterable[GuestInfo], hosts: t.Iterable[HostInfo]) -> list[_Sizes | None]:
    """Return the sizes of which each guest takes pages, none where it takes ordinary memory; ``None`` where no host has any of them.

    Sets of sizes could be as many as guests, and those that are counted together many more. Of more than a few, the guests
    are taken to have pages of the smallest size alone, which may be less than they could have.
    """
    there = _SIZES & {pool["size"] for host in hosts for pool in host["memory"]["huge_pages"]}
    found = [_sizes(each, there) for each in guests]
    mixed = sorted({each for each in found if each and len(each) > 1}, key=sorted)
    narrowed = {*mixed[_MOST_MIXED:]}
    return [frozenset([min(each)]) if each and each in narrowed else each for each in found]


def _sizes(guest: GuestInfo, there: t.Collection[int]) -> _Sizes | None:
    pages = guest["huge_pages"]
    if pages is None:
        return frozenset()
    return frozenset(pages).intersection(there) or None if pages else frozenset([_DEFAULT])


def _counted_together(wanted: t.Iterable[_Sizes | None]) -> list[_Sizes]:
    """Return the sets of sizes that may be short while no part of them is: what guests want, and all that overlap as one."""
    sets = {each for each in wanted if each is not None}
    stated = {each for each in sets if each and _DEFAULT not in each}
    found, new = {*stated}, stated
    while new:
        new = {one | other for one in new for other in stated if one & other} - found
        found |= new
    default = frozenset([_DEFAULT])
    if default in sets:
        # On some host it is one of the others.
        found |= {default, *(each | default for each in found)}
    return sorted(found | sets, key=sorted)


def _needs(wanted: _Sizes | None, pool: _Sizes) -> bool:
    """Return whether a guest that wants these sizes can take no others than those of ``pool``."""
    return wanted is not None and bool(wanted) == bool(pool) and wanted <= pool


def _name(sizes: _Sizes) -> str:
    stated = " and ".join(map(str, sorted(sizes - {_DEFAULT})))
    words = [f"{stated} KiB"] if stated else []
    words += [_DEFAULT_WORDS] if _DEFAULT in sizes else []
    return f"{_UNIT}huge pages of {' and '.join(words)}" if words else f"{_UNIT}memory"


def _free(host: HostInfo, sizes: _Sizes) -> int:
    default = host["memory"]["default_huge_page"]
    return free(host, {default if each == _DEFAULT else each for each in sizes})


def _within(kib: int) -> int:
    """Return an amount as a condition takes it, whatever a host says."""
    return min(max(0, kib), _MOST_KIB)


def _scarce(
    stated: Conditions,
    guests: t.Sequence[ArrivingGuest],
    needs: t.Sequence[t.Mapping[str, int]],
    free_of: t.Mapping[str, t.Mapping[str, int]],
) -> set[str]:
    """Return of what some host has less than all guests need together that may come to it."""
    together = {name: sum(each.get(name, 0) for each in needs) for each in needs for name in each}
    return {
        name
        for host, amounts in free_of.items()
        for name, kib in amounts.items()
        # Most hosts have enough for all.
        if together.get(name, 0) > kib - stated.spare_of(name)
        if sum(
            each.get(name, 0)
            for guest, each in zip(guests, needs, strict=True)
            if host not in guest.barred
        )
        > kib - stated.spare_of(name)
    }


def _combined(
    stated: Conditions,
    guests: t.Sequence[ArrivingGuest],
    needs: t.Sequence[t.Mapping[str, int]],
    free_of: t.Mapping[str, t.Mapping[str, int]],
    names: t.Collection[str],
) -> Capacity:
    """Return what was ``stated`` with what guests need of these ``names``, and hosts have free."""
    found = {
        side: {owner: {**amounts} for owner, amounts in owners.items()}
        for side, owners in stated.capacity.items()
    }
    if not any(needs):
        return found
    supply, demand = found.setdefault("hosts", {}), found.setdefault("guests", {})
    for host, amounts in free_of.items():
        there = supply.setdefault(host, {})
        for name in names:
            # Where it was stated of some hosts, of the others it is not.
            if name in there or name not in stated.resources():
                there[name] = min(amounts[name], there.get(name, amounts[name]))
    for guest, taken in zip(guests, needs, strict=True):
        as_stated = stated.needs_of(guest.info["name"], guest.info["uuid"])
        if taken:
            # Guests may share a name: the greatest of them counts for all.
            known = demand.get(guest.name, {})
            demand[guest.name] = _greatest(known, as_stated, taken)
    return found


def _greatest(*amounts: t.Mapping[str, int]) -> dict[str, int]:
    names = sorted({name for each in amounts for name in each})
    return {name: max(each.get(name, 0) for each in amounts) for name in names}


def _part(amounts: t.Mapping[str, int], names: t.Collection[str]) -> dict[str, int]:
    return {name: kib for name, kib in amounts.items() if name in names}
