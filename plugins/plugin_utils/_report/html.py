# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""The report as one HTML file that needs nothing else. Pure except for reading the page's own parts.

What hosts say gets into the page as escaped text, or as JSON that the script turns into text. Characters that steer,
hide or turn text around are shown as escapes. The page's content
security policy allows the script and style of this collection alone, by their hashes. Nothing is loaded or sent.
"""

from __future__ import annotations

import base64
import hashlib
import json
import typing as t
from pathlib import Path

import jinja2
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import printable
from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted, plural
from ansible_collections.vfio.migration.plugins.plugin_utils._report.page_parts import PageParts
from ansible_collections.vfio.migration.plugins.plugin_utils._report.wording import (
    asked,
    concerned,
    time_of,
)
from markupsafe import Markup

_PARTS = Path(__file__).with_name("page")
# What could end the element that the data is in, or begin a comment there, and the control that JSON does not escape.
_ESCAPES = str.maketrans({each: f"\\u{ord(each):04x}" for each in "<>&\x7f"})
_DECIDING = {
    "source_lists": "the source's list decides",
    "target_accepts": "the target's list decides",
    "both": "both lists must agree",
    "either": "one of both lists is enough",
}


def as_html(report: contract.Report) -> str:
    """Return the page that shows the report."""
    style, script = (
        (_PARTS / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    parts = PageParts(report)
    template = jinja2.Environment(
        autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined, finalize=_printable
    ).from_string((_PARTS / "page.html.j2").read_text(encoding="utf-8"))
    return template.render(
        report=report,
        verdict=report["verdict"],
        totals=report["totals"],
        plan=report["plan"],
        heading=_heading(report),
        asked=asked(report["plan"]),
        concerned=concerned,
        figures=_figures(report),
        headings=_headings(report),
        parts=parts,
        grouped=any(group["hosts"] > 1 for group in report["host_groups"]),
        count=counted,
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        data=Markup(json.dumps(parts.data(), separators=(",", ":")).translate(_ESCAPES)),
    )


def _printable(value: t.Any) -> t.Any:
    """Return text as people may see it, but parts of the page as they are."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; script-src '{_source(script)}'; style-src '{_source(style)}';"
        " base-uri 'none'; form-action 'none'"
    )


def _source(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _heading(report: contract.Report) -> list[str]:
    """Return what the report is of: when it was made, of how many hosts, and how old their facts are."""
    totals, facts = report["totals"], report["facts"]
    oldest, newest = facts["oldest"], facts["newest"]
    age = f"facts of {time_of(oldest)}" if oldest else "facts of an unknown time"
    if oldest and newest and newest != oldest:
        age = f"facts of {time_of(oldest)} to {time_of(newest)}"
    return [
        *([f"made {report['made']}"] if report["made"] else []),
        *([age] if totals["hosts"] else []),
        counted(totals["hosts"], "host"),
        f"{counted(totals['devices'], 'device')}, {totals['in_use']:,} in use",
        _DECIDING[report["direction"]],
    ]


def _figures(report: contract.Report) -> list[tuple[str, str]]:
    """Return the numbers to be seen at a glance, each after what there are so many of."""
    plan, totals = report["plan"], report["totals"]
    if plan:
        # Of devices that no process holds the verdict has how many can move, unless there is nothing else.
        held = [each for each in plan["guests"] if each["in_use"]]
        movers = held or plan["guests"]
        staying = sum(each["to"] is None for each in movers)
        figures = [
            (len(held), "guest"),
            (plan["devices"], "device"),
            (len(movers) - staying, "can move"),
            (staying, "stay" if staying != 1 else "stays"),
            (plan["created"], "to create"),
            (sum(len(each["writes"]) for each in plan["writes"]), "write"),
            (len(plan["targets"]), "receiving host"),
            (len(plan["waves"]), "wave"),
        ]
    else:
        figures = [
            (totals["hosts"], "host"),
            (totals["devices"], "device"),
            (totals["reachable"], "able to leave"),
            (totals["excluded"], "not able to migrate"),
            (len(report["classes"]), "class"),
        ]
    figures += [
        (number, what)
        for number, what in (
            (totals["unknown"], "unknown host"),
            (totals["problems"], "problem"),
        )
        if number
    ]
    nouns = ("host", "device", "class", "wave", "problem", "guest", "write")
    return [
        (plural(what) if what.endswith(nouns) and number != 1 else what, f"{number:,}")
        for number, what in figures
    ]


def _headings(report: contract.Report) -> list[tuple[str, str]]:
    """Return the id and heading of each part of the page; what would be a table without rows is left out."""
    parts = [("problems", "Problems")]
    if report["classes"]:
        parts = [("classes", "Classes of devices"), ("versions", "Versions"), *parts]
    if report["hosts"]:
        parts = [("matrix", "What can go where"), ("hosts", "Hosts"), *parts]
    if "headroom" in report:
        parts = [("headroom", "Headroom: hosts that can be drained or can fail"), *parts]
    return [("plan", "The plan"), *parts] if report["plan"] else parts
