# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A second implementation of ``compatible_pairs``: every device is compared with every other. Slow, and easy to believe."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import Judge
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import nearest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import (
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import (
    Device,
    Fleet,
    obstacle,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Verdict

Pair = tuple[tuple[str, str], tuple[str, str]]


def device_pairs(
    fleet: Fleet,
    direction: str,
    sources: t.Collection[str] | None = None,
    targets: t.Collection[str] | None = None,
) -> dict[Pair, Verdict]:
    """Return the verdicts on all compatible pairs of devices."""
    judge = Judge(direction)
    found = {}
    for source in _movable(fleet, sources):
        for target in _movable(fleet, targets):
            if source.host != target.host:
                judged = judge.verdict(source.descriptor, target.descriptor)
                if judged["compatible"]:
                    found[(source.host, source.id), (target.host, target.id)] = judged
    return found


def misses(
    classes: dict[str, t.Any],
    source_hosts: t.Collection[str],
    target_hosts: t.Collection[str],
    direction: str,
) -> dict[str, list[dict[str, t.Any]]]:
    """Return the three nearest misses of each class of a class table, with every two classes compared."""
    judge = Judge(direction)
    descriptors = {name: read_descriptor(each) for name, each in classes.items()}
    found = {}
    for name, source in classes.items():
        near = []
        for other, target in classes.items():
            counts = {host: n for host, n in target["hosts"].items() if host in target_hosts}
            if any(a != b for a in source["hosts"] if a in source_hosts for b in counts):
                judged = judge.verdict(descriptors[name], descriptors[other])
                if not judged["compatible"]:
                    reasons = nearest(judged["reasons"])
                    near.append(
                        {
                            "target": other,
                            "devices": sum(counts.values()),
                            "certainty": judged["certainty"],
                            "reasons": reasons,
                        }
                    )
        near.sort(key=lambda miss: (len(miss["reasons"]), -miss["devices"], miss["target"]))
        if near:
            found[name] = near[:3]
    return found


def _movable(fleet: Fleet, hosts: t.Collection[str] | None) -> list[Device]:
    return [
        device
        for device in fleet.devices()
        if obstacle(device) is None and (hosts is None or device.host in hosts)
    ]
