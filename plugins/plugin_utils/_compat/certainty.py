# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""How certain a refusal is: which reasons against two devices are known, and which only the care of a derived descriptor. Pure."""

from __future__ import annotations

import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import drivers, virtio
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.configuration import (
    RULE as CONFIGURATION,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.make import of_one_make
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import Descriptor

Reason = dict[str, t.Any]

_VERSION = "software_version"


def excludes(
    owner: Descriptor, subject: t.Mapping[str, str], derived: bool, reasons: t.Iterable[Reason]
) -> bool:
    """Return whether the ``reasons`` that the ``owner``'s list has against a device show that none of its sets can match.

    ``subject`` is what is known of the device's ``self``, and ``derived`` whether that is. A set may match after all if
    nothing is known of what keeps the two apart.
    """
    if not (owner.derived or derived) or not of_one_make(owner.self_attributes, subject):
        return True
    by_set: dict[int | None, list[Reason]] = defaultdict(list)
    for each in reasons:
        if each["rule"] == CONFIGURATION:
            return True
        by_set[each["set"]].append(each)
    return all(any(_is_known(owner, each) for each in found) for found in by_set.values())


def _is_known(owner: Descriptor, reason: Reason) -> bool:
    """Return whether a reason is one that a driver states or is documented to have, and not a derived descriptor's care."""
    name = reason["attribute"]
    if reason["set"] is None or reason["rule"] == "void_set":
        return True
    if owner.self_attributes["device_api"] == virtio.DEVICE_API:
        return not name.startswith(virtio.FEATURE) or _accepted_is_known(owner)
    if reason["actual"] is None:
        # A descriptor that is derived may lack what a driver states, and that has not what only a derived one shows.
        return False
    if owner.derived:
        return drivers.is_documented(owner.self_attributes, name)
    # The version of a module need not count what a driver's version counts.
    return bool(name != _VERSION)


def _accepted_is_known(device: Descriptor) -> bool:
    """Return whether the list of a vDPA device has what the guest accepted, and not all that it might accept."""
    offered = {name for name in device.self_attributes if name.startswith(virtio.FEATURE)}
    return any(not offered <= accepted.keys() for accepted in device.compatible)
