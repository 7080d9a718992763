# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The features that the management devices of many hosts have in common. Pure.

A vDPA device that is provisioned with them alone is the same on every host: what supports X on the source and Y on the
target is given X and Y on both (Jason Wang, "vdpa: device feature provisioning", 2022-09-27).
"""

from __future__ import annotations

import functools
import operator
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import VDPA
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.virtio import feature_names
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import MASK


def common_features(
    fleet: Fleet,
    device_class: str,
    mgmtdevs: t.Collection[str] | None,
) -> dict[str, t.Any]:
    """Return what all of the hosts' management devices for ``device_class`` offer; the filter documents the result.

    ``mgmtdevs`` are the names of the management devices to look at, of
    whichever host (default: all).
    """
    offers: dict[tuple[str, str], int] = {}
    without, unknown = [], [*fleet.unknown]
    for host, each in fleet.hosts.items():
        masks = _masks(each.facts, device_class)
        if masks is None:
            unknown.append(host)
            continue
        looked_at = {name: masks[name] for name in masks if mgmtdevs is None or name in mgmtdevs}
        offers.update({(host, name): mask for name, mask in looked_at.items()})
        if not looked_at:
            without.append(host)
    if not offers:
        raise FleetError(f"no host has facts of a management device for class {device_class}")
    common = functools.reduce(operator.and_, offers.values())
    some = functools.reduce(operator.or_, offers.values())
    return {
        "features": feature_names(common, device_class),
        "mask": hex(common),
        "lacking": {
            name: [
                {"host": host, "mgmtdev": mgmtdev}
                for (host, mgmtdev), mask in offers.items()
                if name not in feature_names(mask, device_class)
            ]
            for name in feature_names(some & ~common, device_class)
        },
        "mgmtdevs": [{"host": host, "mgmtdev": mgmtdev} for host, mgmtdev in offers],
        "without": without,
        "unknown": sorted(unknown),
    }


def _masks(facts: t.Mapping[str, t.Any], device_class: str) -> dict[str, int] | None:
    """Return the feature mask of each of a host's management devices by name, or ``None`` where its facts lack or garble one."""
    masks = {}
    for parent in facts["parents"]:
        if parent.get("kind") != VDPA:
            continue
        name, mask, classes = (
            parent.get(key) for key in ("id", "dev_features_mask", "supported_classes")
        )
        if not isinstance(name, str) or not isinstance(classes, list):
            return None
        if device_class in classes:
            if not (isinstance(mask, str) and MASK.match(mask)):
                return None
            masks[str.__str__(name)] = int(mask, 16)
    return dict(sorted(masks.items()))
