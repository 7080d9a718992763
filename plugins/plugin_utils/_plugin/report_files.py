# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The forms of a report, each a file."""

from __future__ import annotations

import json
import time
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import replace
from ansible_collections.vfio.migration.plugins.plugin_utils._report.html import as_html
from ansible_collections.vfio.migration.plugins.plugin_utils._report.markdown import as_markdown
from ansible_collections.vfio.migration.plugins.plugin_utils._report.metrics import as_metrics
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Report


def _as_json(report: Report) -> str:
    """Return ``report`` as JSON with a line for each of its parts: each value on a line of its own takes five times as long."""
    lines = [f"{json.dumps(name)}: {json.dumps(part)}" for name, part in report.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


# The forms by the options that name their files.
FORMS: dict[str, t.Callable[[Report], str]] = {
    "html": as_html,
    "markdown": as_markdown,
    "json": _as_json,
    "metrics": as_metrics,
}


def write_forms(report: Report, paths: t.Mapping[str, str]) -> None:
    """Write ``report`` in each form that has one of the ``paths``; raise ``AnsibleActionFail``."""
    for name, path in paths.items():
        # The collector of Prometheus has a user of its own. Metrics name no host and no guest.
        replace(path, FORMS[name](report), 0o644 if name == "metrics" else 0o600)


def time_of_report() -> str:
    """Return the time now as a report has it."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
