# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The steps of the playbooks ``report`` and ``capture`` that are taken on the control node: ask whom, and see who answered."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import flag, names
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import chosen_hosts
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import absolute
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.run_variables import (
    gathered,
    stale,
)

_Run = dict[str, t.Any]
# What the tasks of the role register.
GATHERED = "report_gathered"


def begin(options: t.Mapping[str, t.Any], hostvars: t.Any, check_mode: bool) -> _Run:
    """Return which hosts are to be reported on, and which of them asked; raise ``FleetError``."""
    hosts = chosen_hosts(options, options["chosen_by"], ("drain", "targets"))
    asked = hosts if flag("gather", options["gather"]) else []
    return {
        "hosts": hosts,
        "asked": asked,
        # To look at what hosts answered reads their facts, which takes as long as the report.
        "stale": stale(hostvars, asked, GATHERED),
        "drain": names("drain", options.get("drain")),
        "plans": options.get("drain") is not None or bool(options.get("moves")),
        "targets": names("targets", options.get("targets")),
        "dest": absolute(options["dest"]),
    }


def look(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with the hosts to be reported on, and those to be left out, with the reason, as they did not answer."""
    if not run["asked"]:
        return run | {"known": run["hosts"], "silent": {}}
    answered, silent = gathered(hostvars, run["asked"], GATHERED)
    words = {host: f"it did not answer: {error}" for host, error in silent.items()}
    return run | {"known": answered, "silent": words}
