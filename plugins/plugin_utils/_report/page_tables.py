# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Tables of the report's page, with all of their rows: they are there on paper and without the page's script.

The script only hides: rows beyond the first page of a table, and the details below each row until they are asked for.
All text becomes markup here, escaped; what steers, hides or turns text around is shown as escapes.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import printable
from markupsafe import Markup, escape

# Text becomes markup; markup stays as it is; of several parts, each.
Content = t.Any


def markup(content: Content) -> Markup:
    """Return text, markup, or a sequence of both as markup."""
    if isinstance(content, Markup):
        return content
    if isinstance(content, (list, tuple)):
        return Markup("".join([markup(each) for each in content]))
    return escape(printable(str(content)))


# What follows is joined as plain text, which is several times as fast as ``Markup.format``: all in it is markup, or ours.


def tagged(tag: str, content: Content, style: str = "") -> Markup:
    """Return an element with this ``content``, of the class ``style``."""
    given = f' class="{style}"' if style else ""
    return Markup(f"<{tag}{given}>{markup(content)}</{tag}>")


def breaking(name: str) -> Markup:
    """Return the name of a host, to be broken behind its dots where it is too long for a line."""
    return Markup(".<wbr>".join([markup(each) for each in name.split(".")]))


def code(text: str) -> Markup:
    return tagged("code", text)


def quiet(content: Content) -> Markup:
    return tagged("span", content, "quiet")


def tag(style: str, content: Content) -> Markup:
    return tagged("span", content, f"tag {style}")


def link(place: str, content: Content) -> Markup:
    """Return a link to what has the id ``place`` on the page."""
    return Markup(f'<a href="#{place}">{markup(content)}</a>')


def bullets(items: t.Iterable[Content], style: str = "plain-list") -> Markup:
    """Return a list; nothing where it would be empty."""
    entries = [tagged("li", each) for each in items]
    return tagged("ul", entries, style) if entries else Markup("")


def part(heading: str, items: t.Sequence[Content], style: str = "plain-list") -> Markup:
    """Return a list below a heading; nothing where it would be empty."""
    return markup([tagged("p", heading, "part"), bullets(items, style)]) if items else Markup("")


class Column(t.NamedTuple):
    """A column; ``number`` says that it has numbers, by which it is sorted, ``wide`` that its text wraps."""

    name: str
    number: bool = False
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A row; ``detail`` is what is below it, ``place`` an id to link to, ``kinds`` the choices of the table that it belongs to."""

    cells: t.Sequence[Content]
    detail: Content = ""
    place: str = ""
    kinds: t.Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table. ``choices`` are what its rows can be narrowed down to, after all of them."""

    caption: str
    columns: t.Sequence[Column]
    rows: t.Sequence[Row]
    choices: t.Sequence[str] = field(default=())

    def markup(self) -> Markup:
        """Return the table with all of its rows, and their details."""
        heads = [
            Markup('<th scope="col"{}>{}</th>').format(
                Markup(' class="number"') if column.number else "", markup(column.name)
            )
            for column in self.columns
        ]
        styles = [
            "<td class=number>" if column.number else "<td class=wide>" if column.wide else "<td>"
            for column in self.columns
        ]
        choices = ""
        if self.choices:
            choices = Markup(' data-choices="{}"').format(printable(json.dumps(self.choices)))
        return Markup(
            '<div class="table"{0}>'
            '<div class="scroll" role="group" aria-label="{1}" tabindex="0"><table>'
            '<caption class="hidden">{1}</caption><thead><tr>{2}</tr></thead>\n<tbody>\n{3}</tbody>'
            "</table></div></div>\n"
        ).format(
            choices,
            markup(self.caption),
            markup(heads),
            Markup("".join([self._row(each, styles) for each in self.rows])),
        )

    def _row(self, row: Row, styles: t.Sequence[str]) -> str:
        place = f' id="{row.place}"' if row.place else ""
        kinds = f" data-kinds={'-'.join(map(str, row.kinds))}" if row.kinds else ""
        cells = "".join(
            [f"{style}{markup(cell)}" for style, cell in zip(styles, row.cells, strict=True)]
        )
        line = f"<tr{place}{kinds}>{cells}\n"
        detail = markup(row.detail)
        if not detail:
            return line
        return f"{line}<tr class=detail><td colspan={len(self.columns)}><div>{detail}</div>\n"
