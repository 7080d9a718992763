# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The steps of the playbooks ``report`` and ``capture`` that are taken on the control node: choose the hosts to ask, note which answered, and report."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import uncollected
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import flag, names
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    check_moved,
    chosen_hosts,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import (
    absolute,
    content_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_arguments import ARGUMENTS
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_files import (
    time_of_report,
    write_forms,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    fleet_of,
    lost_hosts,
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.run_variables import (
    check_lost,
    gathered,
    is_unreachable,
    stale,
)

_Run = dict[str, t.Any]
# What the tasks of the role register.
GATHERED = "report_gathered"
# What is to be moved in a plan.
_MOVED = ("drain", "lost", "sources", "guests", "devices")
# What a plan is made with, beside the hosts that are reported on and how old their facts may be.
PLANNED = tuple(name for name in ARGUMENTS if name not in ("hosts", "max_age", "earlier"))
SHOWN = ("direction", "plan", "plan_file", "record", "title")
# The files of a report by its forms.
_FILES = {
    "html": "report.html",
    "markdown": "report.md",
    "json": "report.json",
    "metrics": "report.prom",
}


def begin(options: t.Mapping[str, t.Any], hostvars: t.Any, check_mode: bool) -> _Run:
    """Return which hosts are to be reported on, and which of them asked; raise ``FleetError``."""
    hosts = chosen_hosts(options, options["chosen_by"], ("drain", "lost", "targets"))
    check_moved("report_", options, required=False)
    asked = hosts if flag("gather", options["gather"]) else []
    return {
        "hosts": hosts,
        "asked": asked,
        # To look at what hosts answered reads their facts, which takes as long as the report.
        "stale": stale(hostvars, asked, GATHERED),
        "max_age": 0 if asked else options.get("max_age"),
        "lost": names("lost", options.get("lost")) or [],
        "plans": any(options.get(name) is not None for name in _MOVED),
        "planned": {name: options[name] for name in PLANNED if options.get(name) is not None},
        "shown": {name: options.get(name) for name in SHOWN},
        "dest": absolute(options["dest"]),
        "diff": flag("diff", options.get("diff", False)),
    }


def look(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with the hosts to be reported on, and those to be left out, with the reason, as they did not answer."""
    if not run["asked"]:
        return run | {"known": run["hosts"], "silent": {}}
    answered, silent = gathered(hostvars, run["asked"], GATHERED)
    return run | {"known": answered, "silent": silent}


@uncollected()
def write(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with what its report says in short, and the files that it is written to, after a plan if one is asked for.

    Raise ``FleetError`` or ``AnsibleActionFail``.
    """
    run = look(run, hostvars)
    # What a lost host had is known by its last facts.
    if run["asked"]:
        check_lost(hostvars, run["lost"], GATHERED)
    options = _with_lost(run, run["lost"])
    plan_path = f"{run['dest']}/plan.json"
    shown = dict(run["shown"])
    record, difference, read = shown.pop("record"), None, None
    if run["plans"]:
        # Ansible compiles in each run what is imported: what is about plans is imported where there is one.
        from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.reported_plan import (
            made,
        )

        # The facts of lost hosts count whatever their age.
        read = fleet_of(hostvars, **options, any_age=run["lost"])
        given = {**options, **run["planned"], "read": read}
        shown["plan"], difference = made(plan_path, hostvars, given)
    elif shown["plan"] is not None or shown["plan_file"] is not None:
        from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_file import (
            plan_or_file,
        )

        shown["plan"] = plan_or_file(shown, "plan", "plan_file")
        # Those that answer again, if without facts, are hosts as others are.
        lost = lost_hosts(shown["plan"])
        silent = [host for host in run["silent"] if is_unreachable(hostvars, host, GATHERED)]
        options = _with_lost(run, [host for host in silent if host in lost])
    del shown["plan_file"]
    report = report_for(
        hostvars,
        **options,
        **shown,
        read=read,
        record=(content_of(record) or "") if record else None,
        made=time_of_report(),
        # It was made of these very facts.
        is_own=(lambda *_made_of: True) if run["plans"] else None,
    )
    paths: _Run = {name: f"{run['dest']}/{file}" for name, file in _FILES.items()}
    write_forms(report, paths)
    if run["plans"]:
        paths["plan"] = plan_path
    elif shown["plan"] is None and os.path.isfile(plan_path):
        paths["warnings"] = [f"{plan_path} is of an earlier report; this one has no plan"]
    found = {"verdict": report["verdict"], "totals": report["totals"], "changed": True}
    return {**found, **paths} | ({"diff": difference} if difference and run["diff"] else {})


def _with_lost(run: _Run, lost: t.Sequence[str]) -> _Run:
    """Return the options that say which hosts are reported on: those that answered, and those that are ``lost``."""
    known = [*run["known"], *(host for host in lost if host not in run["known"])]
    silent = {host: why for host, why in run["silent"].items() if host not in lost}
    return {"hosts": known, "left_out": silent, "max_age": run["max_age"]}
