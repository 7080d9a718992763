# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What an earlier plan of ``migrate_libvirt`` says of memory, with what hosts have free of it now."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.memory import (
    is_memory,
    with_memory_of,
    without_memory,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.previous_plan import (
    conditions_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.libvirt_answers import (
    said_by_libvirt,
)


def counts_memory(earlier: t.Any) -> bool:
    """Return whether an ``earlier`` plan counts on memory."""
    needs = (conditions_of(earlier).get("capacity") or {}).get("guests", {})
    return any(is_memory(name) for each in needs.values() for name in each)


def conditions_of_now(
    earlier: t.Any, spare: t.Any, said: t.Mapping[str, t.Mapping[str, t.Any]]
) -> dict[str, t.Any]:
    """Return the ``capacity`` of an ``earlier`` plan with the memory of hosts by what libvirt has ``said`` there.

    Where none has said it, it is unknown: memory is excluded from the plan, and from what is to be ``spare``, by default as then.
    """
    then = conditions_of(earlier)
    libvirt = {host: said_by_libvirt(result).info for host, result in said.items()}
    hosts = {host: info for host, info in libvirt.items() if info is not None}
    if hosts:
        return {"capacity": with_memory_of(then["capacity"], hosts)}
    spare = spare if isinstance(spare, t.Mapping) else then.get("spare") or {}
    return {
        "capacity": without_memory(then["capacity"]),
        "spare": {name: each for name, each in spare.items() if not is_memory(name)},
    }
