# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Crowds: more functions of one physical function that move in one wave than its driver migrates at a time. Pure.

They count together, whether one guest holds them or several: a wave is what may move at once.
"""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import (
    driver_profile,
)
from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import Descriptor
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Device, Host

Moves = t.Sequence[tuple[contract.Placement, Device]]
# What a placement takes part in: which way, the host and the physical function, and the wave.
_Crowd = tuple[str, str, str, int]

_AT_A_TIME = "functions of one physical function at a time"


def moves_of(placements: t.Sequence[contract.Placement], hosts: t.Mapping[str, Host]) -> Moves:
    """Return ``placements`` with their sources, which are devices of ``hosts``."""
    names = {each["source"]["host"] for each in placements}
    devices = {device.key: device for name in names for device in hosts[name].devices}
    return [(each, devices[each["source"]["host"], each["source"]["id"]]) for each in placements]


def with_crowds(moves: Moves) -> list[contract.Placement]:
    """Return the placements, with a warning on those of a crowd; a warning from a plan for fewer guests is counted again."""
    alike = {(source.kind, source.descriptor) for _placement, source in moves}
    most = {each: few for each in alike if (few := _most_at_once(*each))}
    if not most:
        return [placement for placement, _source in moves]
    few_of = [most.get((source.kind, source.descriptor)) for _placement, source in moves]
    sizes = Counter(
        crowd for move, few in zip(moves, few_of, strict=True) if few for crowd in _crowds(*move)
    )
    return [
        _with_warnings(*move, few, sizes) if few else move[0]
        for move, few in zip(moves, few_of, strict=True)
    ]


def _most_at_once(kind: str, descriptor: Descriptor | None) -> int | None:
    """Return how many functions of one physical function the driver of a source migrates at a time, where that is documented."""
    if descriptor is None or not descriptor.derived:
        # A descriptor of the driver's own says all that there is to say.
        return None
    return driver_profile(kind, descriptor.self_attributes.get("driver")).at_once


def _crowds(placement: contract.Placement, source: Device) -> t.Iterator[_Crowd]:
    target = placement["target"]
    if source.parent is not None:
        yield "leave", source.host, source.parent, placement["wave"]
    if target["kind"] == source.kind and target["parent"] is not None:
        yield "go to", target["host"], target["parent"], placement["wave"]


def _with_warnings(
    placement: contract.Placement, source: Device, most: int, sizes: t.Mapping[_Crowd, int]
) -> contract.Placement:
    driver = source.descriptor.self_attributes["driver"] if source.descriptor else ""
    warnings = [each for each in placement["warnings"] if _AT_A_TIME not in each]
    for crowd in _crowds(placement, source):
        way, host, function, wave = crowd
        if sizes[crowd] > most:
            warnings.append(
                f"{driver} migrates at most {most} {_AT_A_TIME}, and {sizes[crowd]} {way} {function} on {host} in wave"
                f" {wave}, which may be moved at once"
            )
    return {**placement, "warnings": warnings}
