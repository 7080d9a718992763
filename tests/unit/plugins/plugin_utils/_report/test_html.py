# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports as HTML: what hosts say never is markup there."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.headroom_options import (
    headroom_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.html import as_html
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, gvt_self, host
from ansible_collections.vfio.migration.tests.unit.hostile_reports import HOSTILE, hostile_fleet
from ansible_collections.vfio.migration.tests.unit.report_fleets import two_of_three


class Page(HTMLParser):
    """The elements of a page: tags with their attributes, and what is in scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.comments = []
        self.content = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_comment(self, data):
        self.comments.append(data)

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] in ("script", "style") and data.strip():
            self.content.setdefault(len(self.tags) - 1, data)

    def of(self, tag):
        return [
            (attrs, self.content.get(n)) for n, (name, attrs) in enumerate(self.tags) if name == tag
        ]


def hostile_report():
    facts = hostile_fleet()
    plan = plan_for(facts, drain=[next(iter(facts))])
    return report_for(facts, plan=plan, title=HOSTILE, headroom=headroom_for(facts))


def test_the_script_has_what_it_needs_and_the_page_the_rest():
    report = hostile_report()
    scripts = Page(as_html(report)).of("script")
    assert [attrs.get("type") for attrs, text in scripts] == ["application/json", None]
    data = json.loads(scripts[0][1])
    assert (data["matrix"], data["host_groups"]) == (report["matrix"], report["host_groups"])
    assert data["obstacles"] == [each["obstacles"] for each in report["classes"]]


def test_what_hosts_say_is_no_markup():
    facts = two_of_three()
    harmless_report = report_for(facts, plan=plan_for(facts, drain=["a"]))
    hostile, harmless = (Page(as_html(each)) for each in (hostile_report(), harmless_report))
    assert {tag for tag, attrs in hostile.tags} <= {tag for tag, attrs in harmless.tags} | {
        "p",
        "wbr",
    }
    assert hostile.comments == harmless.comments
    assert not [name for tag, attrs in hostile.tags for name in attrs if name.startswith("on")]


def test_only_the_pages_own_script_and_style_may_run():
    page = Page(as_html(hostile_report()))
    (policy,) = (a["content"] for a, text in page.of("meta") if "http-equiv" in a)
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        content = page.of(tag)[-1][1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_the_page_needs_nothing_else():
    text = as_html(report_for({"a": host([device(UUIDS[0])])}))
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!#)|url\(|@import|https?:", text)


def test_what_can_be_emptied_has_a_section_where_it_was_asked_for():
    facts = two_of_three()
    sections = [
        [attrs["id"] for attrs, text in Page(as_html(report)).of("section")]
        for report in (report_for(facts, headroom=headroom_for(facts)), report_for(facts))
    ]
    assert "headroom" in sections[0]
    assert "headroom" not in sections[1]


def test_no_device_could_go_to_the_host_that_it_is_on():
    other = {"self": gvt_self("3"), "compatible": [gvt_self("3")]}
    facts = {
        "a": host([device(UUIDS[0], vm="vm-1", pid=1), device(UUIDS[1])]),
        "b": host([device(UUIDS[2])]),
        "c": host([device(UUIDS[3], other), device(UUIDS[4], other)]),
    }
    text = as_html(report_for(facts))
    places = {
        uuid: re.search(rf"{uuid}\b.*?, (could go to [^<]*|nowhere to go)", text, re.DOTALL)[1]
        for uuid in UUIDS[:5]
    }
    assert places == {
        UUIDS[0]: "could go to b",
        UUIDS[1]: "could go to b",
        UUIDS[2]: "could go to a",
        UUIDS[3]: "nowhere to go",
        UUIDS[4]: "nowhere to go",
    }
