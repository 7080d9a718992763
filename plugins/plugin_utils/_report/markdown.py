# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The report as Markdown, short enough for a ticket. Pure.

What hosts say is put so that no ticket system takes it for markup, a link or somebody's name.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._report.html import counted

# Tickets take some 65,000 characters; the HTML report and the plan have everything.
MAX_ROWS = 60
MAX_LEFT = 30
MAX_COLUMNS = 10

_Told = t.Mapping[str, t.Any]
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>|~&$!])")
# A mention, a reference to a ticket, and links that are made of plain text.
_LINKS = re.compile(r"[@#]|(?<=:)/|(?<=www)\.", re.IGNORECASE)
_BREAK = "\u200b"
_MARKS = {"all": "✓", "some": "◐", "none": "✕", "nothing": "—"}


def as_markdown(report: _Told) -> str:
    """The document ``report`` for a ticket."""
    parts = [
        [f"# {plain(report['title'])}", "", _when(report)],
        _verdict(report),
        *([_moves(report["plan"]), _left(report["plan"])] if report["plan"] else []),
        _matrix(report),
        _versions(report["versions"]),
        _problems(report),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def plain(text: t.Any) -> str:
    """``text`` in one line as it is, with nothing in it that could be markup."""
    line = _MARKUP.sub(r"\\\1", " ".join(str(text).split()))
    return _LINKS.sub(lambda found: found[0] + _BREAK, line)


def code(text: t.Any) -> str:
    """``text`` as a piece of code, also within a table."""
    line = " ".join(str(text).split()).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {line} {fence}" if longest else f"`{line}`"


def _when(report: _Told) -> str:
    totals = report["totals"]
    return plain(
        f"{report['made']}, {counted(totals['hosts'], 'host')}, {counted(totals['devices'], 'device')}"
    )


def _verdict(report: _Told) -> list[str]:
    verdict, plan = report["verdict"], report["plan"]
    lines = [f"**{_MARKS[verdict['level']]} {plain(verdict['sentence'])}**"]
    because = [
        f"- {counted(each['devices'], 'device')}: {plain(each['reason'])}"
        + (f" (for example: {plain(each['example'])})" if each["example"] else "")
        for each in verdict["because"]
    ]
    lines += ["", *because] if because else []
    if plan and plan["changed_since"]:
        hosts = ", ".join(map(code, plan["changed_since"]))
        lines += [
            "",
            f"**The plan is out of date**: the facts of {hosts} are no longer those it was made with.",
        ]
    if plan:
        lines += ["", f"{plan['meaning']} Status {plan['status']}, policy {plan['policy']}."]
    return lines


def _moves(plan: _Told) -> list[str]:
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


def _left(plan: _Told) -> list[str]:
    if not plan["left"]:
        return []
    lines = ["## What is left behind", ""]
    for each in plan["left"][:MAX_LEFT]:
        first = each["devices"][0]
        who = f"{code(first['vm'] or first['id'])} on {code(first['host'])}"
        others = len(each["devices"]) - 1
        who += f" and {counted(others, 'device')} more" if others else ""
        lines.append(f"- {who}: {plain(each['cause'])}")
    shown = sum(len(each["devices"]) for each in plan["left"][:MAX_LEFT])
    return lines + _rest(plan["unplaced"] - shown)


def _matrix(report: _Told) -> list[str]:
    groups = report["groups"]
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


def _versions(versions: t.Sequence[_Told]) -> list[str]:
    mixed = [each for each in versions if each["mixed"]]
    rows = [
        [
            code(" ".join([*card["drivers"], card["model"]])),
            code(each["version"]),
            str(each["hosts"]),
            str(each["devices"]),
        ]
        for card in mixed
        for each in card["versions"]
    ]
    if not rows:
        return []
    head = ("Model", "Version", "Hosts", "Devices")
    lines = _table(head, rows[:MAX_ROWS]) + _rest(len(rows) - MAX_ROWS)
    return ["## Models in several versions", "", *lines]


def _problems(report: _Told) -> list[str]:
    told = [
        (each, each.get("reason") or each.get("problem"))
        for each in (*report["unknown"], *report["excluded"], *report["problems"])
    ]
    lines = [
        f"- {', '.join(map(code, each['names'][:3]))}"
        + (f" and {counted(each['hosts'] - 3, 'host')} more" if each["hosts"] > 3 else "")
        + f": {plain(text)}"
        for each, text in told[:MAX_LEFT]
    ]
    return ["## Problems", "", *lines, *_rest(len(told) - MAX_LEFT)] if lines else []


def _table(head: t.Sequence[str], rows: t.Iterable[t.Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _rest(count: int) -> list[str]:
    return ["", f"and {count:,} more, which the HTML report has."] if count > 0 else []
