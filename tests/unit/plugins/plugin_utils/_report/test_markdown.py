# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports as Markdown: what hosts say never is markup there."""

from __future__ import annotations

import re

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.headroom_options import (
    headroom_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.markdown import (
    as_markdown,
    code,
    plain,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, gvt, host, parent
from hypothesis import given
from hypothesis import strategies as st

ADDRESSES = ("www.evil.example", "https://evil.example", "ftp://x.y", "evil.example", "//x.y")
NAMES = ("a@evil.example", "@someone", "#12", "GH-12", "owner/repo#12", "0123abc", "a@0123abc")
MARKUP = (
    *("<b>x</b>", "[x](y)", "![x](y)", "[^1]", "*x*", "_x_", "~~x~~", "&lt;", "&#64;x", ":tada:"),
    *("$x$", "a|b", "\\", "x\\", "`", "``x`", "a`b", "---", "===", "+", "-", ">", "|-|"),
)


def outside_of_code(markdown):
    """Return what of a line is no code, by the rule of CommonMark 0.31, 6.1."""
    rest = ""
    while opening := re.search("`+", markdown):
        closing = re.compile(f"(?<!`){opening[0]}(?!`)").search(markdown, opening.end())
        assert closing, f"a code span does not end: {markdown!r}"
        rest += markdown[: opening.start()]
        markdown = markdown[closing.end() :]
    return rest + markdown


HARMLESS = re.compile(r"[^\W_]|[ (),.;:'%\u2013\u2014\u2026-]")


@pytest.mark.parametrize("text", [*ADDRESSES, *NAMES, *MARKUP])
@pytest.mark.parametrize("around", ["{}", "see ({}), or", "{};", "a {} {} b", "{0}{0}"])
def test_text_is_no_markup_no_link_and_nobodys_name_in_a_ticket(text, around):
    assert text not in outside_of_code(plain(around.format(text, text)))


@given(st.text("ab1 @#.:/-_*`|\\<>[](){}&~$!'wW\u202e\n", max_size=30))
def test_only_words_numbers_and_marks_are_outside_of_code_in_a_ticket(text):
    rest = outside_of_code(plain(text))
    assert all(map(HARMLESS.match, rest))
    assert not re.search(r"[^\W_][.:/@#][^\W\d_]", rest)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1 of 2 devices can leave a; 1 cannot.", "1 of 2 devices can leave a; 1 cannot."),
        ("b1 has type x_2 (pid 4711), 2,000.5", "b1 has type `x_2` (pid 4711), 2,000.5"),
        (
            "it is at www.x.y: vm-1's (0000:00:02.0)",
            "it is at `www.x.y`: `vm-1's` (`0000:00:02.0`)",
        ),
        ("at 12:00 \u2014 it's non-free", "at 12:00 \u2014 it's non-free"),
        ("a\u202eb", "`a\\u202eb`"),
        ("planned 2026-01-05 09:00:00 UTC", "planned 2026-01-05 09:00:00 UTC"),
        (
            "compare 'nvidia-smi -q -d ECC' (Linux); it's the hosts' own",
            "compare `nvidia-smi -q -d ECC` (Linux); it's the `hosts'` own",
        ),
    ],
)
def test_words_are_words_in_a_ticket(text, shown):
    assert plain(text) == shown


@given(st.lists(st.text("a`|\\ @\x1b", max_size=12), min_size=1, max_size=4))
def test_no_name_ends_its_cell_of_a_table(names):
    row = f"| {' | '.join(map(code, names))} |"
    # cmark-gfm takes a backslash with the next character, markdown-it looks at the last one alone.
    for cell_end in (r"(?:\\.|[^|\\])*\|", r"(?:[^|]*\\\|)*[^|]*\|"):
        assert len(re.findall(cell_end, row)) == len(names) + 1
    for name in names:
        assert not outside_of_code(code(name))


@pytest.mark.parametrize(
    ("text", "shown"),
    [("vm-1", "`vm-1`"), ("a`b", "`` a`b ``"), ("a|b", "`a\\|b`"), ("a\nb", "`a b`"), ("", "` `")],
)
def test_names_are_code_in_a_ticket(text, shown):
    assert code(text) == shown


def test_a_ticket_has_the_verdict_the_moves_and_what_stays():
    facts = {
        "a": host([device(UUIDS[0], vm="vm-1"), device(UUIDS[1], gvt() | {"compatible": []})]),
        "b": host(parents=[parent()]),
    }
    text = as_markdown(report_for(facts, plan=plan_for(facts, drain=["a"])))
    assert "**◐ The only guest can leave a; of 1 device not in use, none can.**" in text
    assert f"| 1 | `vm-1` | `a` | `{UUIDS[0]}` | `b` | new `i915-GVTg_V5_4` |" in text
    assert f"- `{UUIDS[1]}` on `a`: " in text
    assert "| `a` | — | 1 of 2 |" in text


def test_a_ticket_has_who_asked_what_is_to_be_checked_and_every_write():
    """Who approves a change by its ticket alone sees all that will be written."""
    own = gvt() | {"origin": "derived"}
    facts = {
        "a": host(
            [device(UUIDS[0], own, vm="vm-1", pid=1), device(UUIDS[1], own, vm="vm|2", pid=2)]
        ),
        "b": host(parents=[parent(available={"i915-GVTg_V5_4": 2})]),
    }
    plan = plan_for(facts, drain=["a"])
    occasion = {"requested_by": "change 4711", "time": "2026-01-05T09:00:00Z"}
    report = report_for(facts, plan={**plan, **occasion})
    text = as_markdown(report)
    section = report["plan"]
    assert "1 of 2 guests can leave a; 1 cannot." in text
    assert "- 1 guest, 1 device: " in text
    assert f"Remedy: {plain(section['causes'][0]['remedy'])}." in text
    assert "requested by change 4711" in text
    assert section["warnings"]
    for each in section["warnings"]:
        assert f"- {plain(each['warning'])} (" in text
    (target,) = section["writes"]
    assert [each["action"] for each in target["writes"]] == ["create", "set"]
    made, given = (each["device"] for each in target["writes"])
    assert f"| `b` | 1 | `{made}` | create `i915-GVTg_V5_4` | `0000:00:02.0` |" in text
    assert f"| `b` | 2 | `{given}` | set `intel_vgpu/aggregator=2` | `0000:00:02.0` |" in text
    assert as_markdown(report_for(facts)).startswith("# Migration report\n\n2 hosts, 2 devices\n")


@pytest.mark.parametrize("facts", [{}, {"a": None}, {"a": host()}])
def test_a_ticket_of_an_empty_fleet_says_what_to_do(facts):
    report = report_for(facts)
    assert report["advice"]
    text = as_markdown(report)
    first, *_others = report["advice"]
    assert f"\n\nWhat to do:\n\n1. {plain(first)}.\n" in text


def test_a_ticket_takes_the_report_of_a_big_fleet():
    devices = {f"h{n}": host([device(f"d{n}-{m}") for m in range(9)]) for n in range(100)}
    facts = {"b": host(parents=[parent()])} | devices
    text = as_markdown(report_for(facts, plan=plan_for(facts, drain=[f"h{n}" for n in range(50)])))
    assert len(text) < 60_000
    assert "more, which the HTML report has" in text


def test_what_can_be_emptied_has_a_section_where_it_was_asked_for():
    facts = {"a": host([device(UUIDS[1], vm="vm-1", pid=1)]), "b": host()}
    text = as_markdown(report_for(facts, headroom=headroom_for(facts)))
    section = text.partition("## Headroom: hosts that can be drained or can fail\n\n")[
        2
    ].splitlines()
    assert section[0] == "- 1 of 2 hosts can be drained or can fail"
    assert "1 of 1 guest has no place elsewhere, and that is proven" in section[1]
    assert "## What can be emptied" not in as_markdown(report_for(facts))
