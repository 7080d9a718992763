# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Guests of other hosts of which a host is to say what it lacks for them, as its task names them."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.libvirt_limits import (
    LONGEST,
    MOST,
    MOST_ARRIVING,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.libvirt_binding import (
    LibvirtError,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.libvirt_xml import Facts

# What is read of a CPU, and the types of disks that are files of a host.
_CPU = ("mode", "match", "check", "model", "vendor")
_FILES = ("file", "block", "dir")


class Arriving(t.NamedTuple):
    """A guest of another host; ``paths`` are the files that it needs."""

    uuid: str
    arch: str | None
    machine: str | None
    virt_type: str | None
    emulator: str | None
    cpu: t.Mapping[str, t.Any]
    paths: t.Sequence[str]


def arriving_guests(entries: t.Sequence[t.Any]) -> list[Arriving]:
    """Return the guests in ``entries``, each as ``guests`` returns one elsewhere; raise ``LibvirtError`` where one is none."""
    if len(entries) > MOST_ARRIVING:
        raise LibvirtError(
            f"arriving: {MOST_ARRIVING} guests at most, and there are {len(entries)}"
        )
    return [_arriving(f"arriving[{index}]", entry) for index, entry in enumerate(entries)]


def _arriving(place: str, entry: t.Any) -> Arriving:
    fields = _texts(place, entry, ("uuid", "arch", "machine", "virt_type", "emulator"))
    loader = _texts(place, entry, ("loader",))["loader"]
    if fields["uuid"] is None:
        raise LibvirtError(f"{place} has no uuid")
    cpu: Facts = dict(_texts(f"{place}.cpu", entry.get("cpu") or {}, _CPU))
    features = _list(f"{place}.cpu.features", (entry.get("cpu") or {}).get("features"))
    cpu["features"] = [
        {key: value or "" for key, value in _texts(name, each, ("name", "policy")).items()}
        for name, each in features
    ]
    disks = [
        _texts(name, each, ("type", "source"))
        for name, each in _list(f"{place}.disks", entry.get("disks"))
    ]
    boot = [
        _text(name, each) for name, each in _list(f"{place}.boot_files", entry.get("boot_files"))
    ]
    paths = [each["source"] for each in disks if each["type"] in _FILES]
    needed = [path for path in [fields["emulator"], loader, *boot, *paths] if path]
    return Arriving(**fields, cpu=cpu, paths=needed)


def _texts(place: str, entry: t.Any, names: t.Iterable[str]) -> dict[str, t.Any]:
    """Return the texts of these names in a mapping, ``None`` for one that is not there; raise ``LibvirtError``."""
    if not isinstance(entry, t.Mapping):
        raise LibvirtError(f"{place} is not a mapping")
    return {name: _text(f"{place}.{name}", entry.get(name)) for name in names}


def _text(place: str, value: t.Any) -> str | None:
    """Return a text, ``None`` where there is none; raise ``LibvirtError``."""
    if value is not None and (not isinstance(value, str) or len(value) > LONGEST):
        raise LibvirtError(f"{place}: expected a text of {LONGEST} characters at most")
    return value


def _list(place: str, value: t.Any) -> list[tuple[str, t.Any]]:
    """Return the entries of a list, each after its place; raise ``LibvirtError``."""
    if not isinstance(value or [], list) or len(value or ()) > MOST:
        raise LibvirtError(f"{place}: expected a list of {MOST} at most")
    return [(f"{place}[{index}]", each) for index, each in enumerate(value or ())]
