# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Arguments of the filters that put a plan into the words of another executor."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._executors.guests import Holding
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import plain_text
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import (
    held_devices,
    hold,
    read_fleet,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import one_name, quoted
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import DeviceLabel, Plan


def facts_of(fleet: t.Any, plan: Plan) -> Fleet:
    """Return the facts of the hosts of ``plan``, none where no ``fleet`` is given; raise ``FleetError``.

    What they are needed for, the ids of hardware, does not age: facts of any age will do.
    """
    if fleet is None:
        return Fleet()
    hosts = {each[end]["host"] for each in plan["placements"] for end in ("source", "target")}
    return read_fleet(hold(fleet, hosts), hosts)


def held_in(fleet: t.Any) -> list[Holding]:
    """Return what guests hold on every host, nothing where no ``fleet`` is given; raise ``FleetError``.

    Facts of any age count, and of hosts that no plan can have: they show that a guest may be theirs.
    """
    found = []
    for host, device, holder in held_devices(fleet) if fleet is not None else ():
        id_, kind = plain_text(device.get("id")), plain_text(device.get("kind"))
        label = DeviceLabel(host=host, kind=kind or "", id=id_ or "")
        holding = Holding(vm=plain_text(holder.get("name")), source=label)
        uuid = plain_text(holder.get("uuid"))
        found.append(holding if uuid is None else Holding(**holding, vm_uuid=uuid))
    return found


def texts_of(name: str, value: t.Any) -> dict[str, str]:
    """Return a mapping of text to text, empty where none is given; raise ``FleetError``."""
    if value is None:
        return {}
    if not isinstance(value, t.Mapping) or not all(
        isinstance(each, str) for each in value.values()
    ):
        raise FleetError(f"{name} is {quoted(value)}; expected a mapping of texts")
    return {one_name(name, key): str.__str__(each) for key, each in value.items()}
