# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The report as Markdown, short enough for a ticket. Pure.

What hosts say must not become markup, a link or a user's name in a ticket system. Escaping does not reach that: GitHub
looks for ``@name``, ``#12``, ``www.`` and addresses in the text that is left when the escapes are gone. But no such
system looks into code. So names are code, and in sentences everything is that is no plain word or number.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    is_printable,
    printable,
)
from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted
from ansible_collections.vfio.migration.plugins.plugin_utils._report.wording import (
    asked,
    concerned,
)

# Tickets take some 65,000 characters; the HTML report and the plan have everything.
MAX_ROWS = 60
MAX_ENTRIES = 30
MAX_COLUMNS = 10

MAX_NAME = 300

# Letters and digits with single hyphens or apostrophes between them, a number, a time, or a dash by itself.
_WORD = re.compile(
    r"[^\W_]+(?:[-'\u2019][^\W_]+)*|[0-9]+(?:[.,][0-9]+)*%?|[0-9]{2}:[0-9]{2}(?::[0-9]{2})?|[\u2013\u2014\u2026]"
)
# A command or a value of several words between quotes, or what stands between blanks.
_TOKEN = re.compile(r"\(?'[^\s'][^']*'[),.;:]*(?=\s|\Z)|\S+")
# What is the name of a commit or, as GH-12, of a ticket.
_REFERENCE = re.compile(r"\b[0-9a-f]{7,40}\b|[a-z]-[0-9]", re.IGNORECASE)
_PIPE = re.compile(r"(\\*)\|")
_MARKS = {"all": "✓", "some": "◐", "none": "✕", "nothing": "—", "unknown": "?"}


def as_markdown(report: contract.Report) -> str:
    """Return the report for a ticket."""
    parts = [
        [f"# {plain(report['title'])}", "", _when(report)],
        _verdict(report),
        *([part(report["plan"]) for part in _PLAN_PARTS] if report["plan"] else []),
        _headroom(report),
        _matrix(report),
        _versions(report["versions"]),
        _problems(report),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def plain(text: t.Any) -> str:
    """Return a sentence in one line, with all that is no plain word as code."""
    return " ".join(map(_plain_word, _TOKEN.findall(" ".join(str(text).split()))))


def _plain_word(token: str) -> str:
    """Return a token as it is if it is a plain word; else what is between its parentheses and marks becomes code."""
    bare = token.lstrip("(").rstrip("),.;:")
    if _WORD.fullmatch(bare) and is_printable(bare) and not _REFERENCE.search(bare):
        return token
    before, middle, after = token.partition(bare or token)
    quoted = middle[:1] == middle[-1:] == "'" and len(middle) > 1
    return f"{before}{code(middle[1:-1] if quoted else middle)}{after}"


def code(text: t.Any) -> str:
    """Return ``text`` as a piece of code, also within a table."""
    line = printable(" ".join(str(text).split()), MAX_NAME) or " "
    # In a table a pipe ends the cell, within code, too, unless the number of backslashes before it is odd.
    line = _PIPE.sub(lambda found: f"{found[1]}{chr(92) * (1 + len(found[1]) % 2)}|", line)
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {line} {fence}" if longest else f"`{line}`"


def _when(report: contract.Report) -> str:
    totals = report["totals"]
    counts = [counted(totals["hosts"], "host"), counted(totals["devices"], "device")]
    return plain(", ".join([*([report["made"]] if report["made"] else []), *counts]))


def _verdict(report: contract.Report) -> list[str]:
    verdict, plan = report["verdict"], report["plan"]
    lines = [f"**{_MARKS[verdict['level']]} {plain(verdict['sentence'])}**"]
    because = [
        f"- {concerned(each)}: {plain(each['reason'])}"
        + (f" (for example: {plain(each['example'])})" if each["example"] else "")
        + (f". Remedy: {plain(each['remedy'])}." if each["remedy"] else "")
        for each in verdict["because"]
    ]
    lines += ["", *because] if because else []
    advice = [f"{number}. {plain(each)}." for number, each in enumerate(report["advice"], 1)]
    lines += ["", "What to do:", "", *advice] if advice else []
    if plan and plan["changed_since"]:
        hosts = ", ".join(map(code, plan["changed_since"]))
        lines += [
            "",
            f"**The plan is out of date**: the facts of {hosts} are no longer those it was made with.",
        ]
    if plan:
        lines += [
            "",
            f"{plain(plan['meaning'])} Status {plain(plan['status'])}, policy {plain(plan['policy'])}.",
        ]
        lines += ["", plain(asked(plan))]
        lines += (
            ["", *(f"- With concurrent_moves, {plain(each)}." for each in plan["turns"])]
            if "turns" in plan
            else []
        )
        for proof in plan.get("cases", []):
            steps = [f"{n}. {plain(each['sentence'])}." for n, each in enumerate(proof["steps"], 1)]
            lines += ["", f"{plain(proof['sentence'])}:", "", *steps]
        assumed = plan.get("assumptions", [])
        lines += ["", *(f"- {plain(each)}" for each in assumed)] if assumed else []
    return lines


def _moves(plan: contract.PlanSection) -> list[str]:
    if not plan["moves"]:
        return []
    rows = [
        [
            str(each["wave"]),
            code(each["vm"]) if each["vm"] else "—",
            code(each["host"]),
            code(each["id"]),
            code(each["to"]["host"]),
            ("new " if each["to"]["create"] else "existing ")
            + code(each["to"]["type"] or each["to"]["kind"]),
        ]
        for each in plan["moves"][:MAX_ROWS]
    ]
    head = ("Wave", "Guest", "From", "Device", "To", "Becomes")
    return ["## What moves", "", *_table(head, rows), *_rest(plan["placed"] - len(rows))]


def _assumed(plan: contract.PlanSection) -> list[str]:
    lines = [
        f"- {plain(each['warning'])} ({counted(each['moves'], 'move')})"
        for each in plan["warnings"][:MAX_ENTRIES]
    ]
    if not lines:
        return []
    text = "The plan does not check these conditions:"
    more = _rest(len(plan["warnings"]) - MAX_ENTRIES)
    return ["## Check by hand", "", text, "", *lines, *more]


def _writes(plan: contract.PlanSection) -> list[str]:
    rows = [
        [
            code(host["host"]),
            str(number),
            code(each["device"]),
            _write(each),
            code(each["where"]) if each["where"] else "",
        ]
        for host in plan["writes"]
        for number, each in enumerate(host["writes"], start=1)
    ]
    if not rows:
        return []
    lines = _table(("Host", "Step", "Device", "What is done", "Where"), rows[:MAX_ROWS])
    return ["## What will be written", "", *lines, *_rest(len(rows) - MAX_ROWS)]


def _write(write: contract.Write) -> str:
    what = code(write["what"]) if write["what"] else ""
    if write["action"] == "create":
        return f"create {what}" + (f" with {code(write['after'])}" if write["after"] else "")
    before = "" if write["before"] is None else f", which is {code(write['before'])} now"
    setting = code(f"{write['attribute']}={write['after']}")
    return f"set {setting}{f' ({what})' if what else ''}{before}"


def _left_behind(plan: contract.PlanSection) -> list[str]:
    if not plan["left_behind"]:
        return []
    lines = ["## Blocked devices", ""]
    for each in plan["left_behind"][:MAX_ENTRIES]:
        first = each["devices"][0]
        who = f"{code(first['vm'] or first['id'])} on {code(first['host'])}"
        others = len(each["devices"]) - 1
        who += f" and {counted(others, 'device')} more" if others else ""
        lines.append(f"- {who}: {plain(each['cause'])}")
    shown = sum(len(each["devices"]) for each in plan["left_behind"][:MAX_ENTRIES])
    return lines + _rest(plan["unplaced"] - shown)


def _staying(plan: contract.PlanSection) -> list[str]:
    groups = plan.get("staying", [])
    lines = [
        f"- {counted(each['devices'], 'device')} of {code(each['host'])}: {plain(each['reason'])}"
        for each in groups[:MAX_ENTRIES]
    ]
    if not lines:
        return []
    text = "These devices are not in use and stay unchanged:"
    return ["## What stays", "", text, "", *lines, *_rest(len(groups) - MAX_ENTRIES)]


_PLAN_PARTS = (_moves, _assumed, _writes, _left_behind, _staying)


def _headroom(report: contract.Report) -> list[str]:
    headroom = report.get("headroom")
    if headroom is None:
        return []
    return [
        "## Headroom: hosts that can be drained or can fail",
        "",
        *(f"- {plain(s)}" for s in headroom["sentences"]),
    ]


def _matrix(report: contract.Report) -> list[str]:
    groups = report["host_groups"]
    if not 1 < len(groups) <= MAX_COLUMNS:
        return []
    names = [
        code(each["name"]) + (f" and {each['hosts'] - 1} more" if each["hosts"] > 1 else "")
        for each in groups
    ]
    rows = [
        [
            names[row],
            *(
                "—" if row == column and group["hosts"] == 1 else f"{count} of {group['devices']}"
                for column, count in enumerate(report["matrix"][row])
            ),
        ]
        for row, group in enumerate(groups)
    ]
    text = "How many devices of each host could go to each host, each by itself:"
    return ["## What can go where", "", text, "", *_table(("From", *names), rows)]


def _versions(models: t.Sequence[contract.Model]) -> list[str]:
    rows = [
        [
            code(" ".join([*model["drivers"], model["model"]])),
            code(each["version"]),
            str(each["hosts"]),
            str(each["devices"]),
        ]
        for model in models
        if model["mixed"]
        for each in model["versions"]
    ]
    if not rows:
        return []
    head = ("Model", "Version", "Hosts", "Devices")
    lines = _table(head, rows[:MAX_ROWS]) + _rest(len(rows) - MAX_ROWS)
    return ["## Models in several versions", "", *lines]


def _problems(report: contract.Report) -> list[str]:
    findings = [*report["unknown"], *report["excluded"], *report["problems"]]
    lines = [
        f"- {', '.join(map(code, each['names'][:3]))}"
        + (f" and {counted(each['hosts'] - 3, 'host')} more" if each["hosts"] > 3 else "")
        + f": {plain(each['text'])}"
        for each in findings[:MAX_ENTRIES]
    ]
    return ["## Problems", "", *lines, *_rest(len(findings) - MAX_ENTRIES)] if lines else []


def _table(head: t.Sequence[str], rows: t.Iterable[t.Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _rest(count: int) -> list[str]:
    return ["", f"and {count:,} more, which the HTML report has."] if count > 0 else []
