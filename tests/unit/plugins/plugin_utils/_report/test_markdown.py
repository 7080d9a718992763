# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports as Markdown: what hosts say never is markup there."""

from __future__ import annotations

import re

import pytest
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


@pytest.mark.parametrize(
    "text", ["<b>x</b>", "@someone", "[x](y)", "https://x.y", "www.x.y", "*x*", "#12"]
)
def test_text_is_no_markup_in_a_ticket(text):
    shown = plain(text)
    assert text not in shown
    assert re.sub(r"\\(.)", r"\1", shown).replace("\u200b", "") == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("vm-1", "`vm-1`"), ("a`b", "`` a`b ``"), ("a|b", "`a\\|b`"), ("a\nb", "`a b`")],
)
def test_names_are_code_in_a_ticket(text, shown):
    assert code(text) == shown


def test_a_ticket_has_the_verdict_the_moves_and_what_stays():
    facts = {
        "a": host([device(UUIDS[0], vm="vm-1"), device(UUIDS[1], gvt() | {"compatible": []})]),
        "b": host(parents=[parent()]),
    }
    text = as_markdown(report_for(facts, plan=plan_for(facts, drain=["a"])))
    assert "**◐ 1 of 2 devices can leave a; 1 cannot.**" in text
    assert f"| 1 | `vm-1` | `a` | `{UUIDS[0]}` | `b` | new `i915-GVTg_V5_4` |" in text
    assert f"- `{UUIDS[1]}` on `a`: " in text
    assert "| `a` | — | 1 of 2 |" in text


def test_a_ticket_takes_the_report_of_a_big_fleet():
    devices = {f"h{n}": host([device(f"d{n}-{m}") for m in range(9)]) for n in range(100)}
    facts = {"b": host(parents=[parent()])} | devices
    text = as_markdown(report_for(facts, plan=plan_for(facts, drain=[f"h{n}" for n in range(50)])))
    assert len(text) < 60_000
    assert "more, which the HTML report has" in text
