# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Reports from arguments as a play gives them."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import (
    hold,
    read_fleet,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import names, reasons
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    direction_of,
    plain,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import age_limit
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.pci_database import models_of
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import printed
from ansible_collections.vfio.migration.plugins.plugin_utils._report.document import make_report
from ansible_collections.vfio.migration.plugins.plugin_utils._report.hardware_names import pci_ids


def fleet_of(
    fleet: t.Any,
    hosts: t.Any,
    max_age: t.Any,
    left_out: t.Any,
    any_age: t.Collection[str] = frozenset(),
) -> Fleet:
    """Return the fleet that ``fleet``, ``hostvars`` or facts by host, yields with these options of a report; raise ``FleetError``.

    Facts of the hosts ``any_age`` may be older than ``max_age``.
    """
    return read_fleet(
        hold(fleet, names("hosts", hosts)),
        limit=age_limit(max_age),
        left_out=reasons("left_out", left_out),
        any_age=any_age,
    )


def report_for(
    fleet: t.Any,
    hosts: t.Any = None,
    direction: str | None = None,
    plan: t.Any = None,
    title: str = "Migration report",
    made: str = "",
    max_age: t.Any = None,
    left_out: t.Any = None,
    is_own: t.Callable[..., bool] | None = None,
    headroom: t.Any = None,
    record: t.Any = None,
    read: Fleet | None = None,
) -> contract.Report:
    """Return the report on a fleet, ``made`` at that time, on a plan for it, its ``headroom`` and a ``record``, if these are given.

    ``record`` is the text of a file that the playbook ``migrate_libvirt`` writes, empty where that is not there yet.

    ``read`` is what ``fleet`` yields with these options, where the caller has read it already.
    ``direction`` is by default that of the plan. A plan of which ``is_own`` says that this run has made it of
    these facts is verified, and not computed once more. Raise ``FleetError`` where an argument is wrong.
    """
    if read is None:
        read = fleet_of(fleet, hosts, max_age, left_out, lost_hosts(plan))
    changed: list[str] = []
    # Ansible compiles in each run what is imported: what only some reports need is imported for these.
    if plan is not None:
        from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.reported_plan import (
            reported,
        )

        plan, changed = reported(plan, read, is_own)
        if direction is None:
            direction = plan.get("direction")
    models = models_of(pci_ids(read))
    direction = direction_of("source_lists" if direction is None else direction)
    report = make_report(read, direction, title, made, plan, changed, models)
    if headroom is not None:
        from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import (
            check_headroom,
        )

        check_headroom("headroom", headroom)
        report["headroom"] = plain(headroom)
    if record:
        from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import last_run
        from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.migration_record import (
            records_of,
        )

        found = last_run(records_of(record))
        if found is not None:
            report["last_run"] = found
    return printed(report, contract.Report)


def lost_hosts(plan: t.Any) -> set[str]:
    """Return the hosts that were lost when a plan was made: their facts cannot be gathered any more."""
    request = plan.get("request") if isinstance(plan, t.Mapping) else None
    lost = request.get("lost") if isinstance(request, t.Mapping) else None
    return {*lost} if isinstance(lost, t.Mapping) else set()
