# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report's page as people use it, in a real browser."""

from __future__ import annotations

import csv
import io
import typing as t
from pathlib import Path

import pypdf
import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    is_printable,
    printable,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.html import as_html
from ansible_collections.vfio.migration.tests.bench.fleet import JsonFacts
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, gvt, host, parent
from ansible_collections.vfio.migration.tests.unit.hostile_reports import HOSTILE, hostile_fleet
from ansible_collections.vfio.migration.tests.unit.hostile_texts import (
    ALL,
    STEERING,
    HostileWorld,
)
from ansible_collections.vfio.migration.tests.unit.report_fleets import five_hundred
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from .conftest import Opener

SCREEN = {"width": 1280, "height": 900}
NEVER = {"supported": False, "evidence": "x never does", "features": [], "state": None}


def fleet() -> dict[str, t.Any]:
    """Return a fleet: host a has a guest that can leave and one that cannot, b could make what it needs, c has other hardware."""
    return {
        "a": host(
            [
                device(UUIDS[0], vm="vm-1", pid=1),
                device(UUIDS[1], vm="vm-2", pid=2, migration=NEVER),
            ]
        ),
        "b": host([device(UUIDS[2], gvt(software_version="0.2.0"))], [parent()]),
        "c": host([device(UUIDS[3], gvt(pci_id="80861234"))]),
        "d": host(problems=[{"path": "/sys/x", "problem": "vanished"}]),
        "e": None,
    }


def many() -> dict[str, t.Any]:
    """Return 80 hosts of two classes, with one device each; those of every other one go nowhere."""
    descriptors = (gvt("4", "2"), gvt("8", "1") | {"compatible": []})
    return {f"host{n:03}": host([device(f"device{n}", descriptors[n % 2])]) for n in range(80)}


def rows(page: Page, part: str) -> t.Any:
    """Return the rows of a part that are shown."""
    return page.locator(f"#{part} tbody tr:not(.detail):visible")


def expand_all(page: Page) -> None:
    """Open a cell, and the first line of every table."""
    page.locator(".matrix button").nth(1).click()
    for part in page.locator("main section:has(button.expand)").all():
        part.locator("button.expand:visible").first.click()


def test_the_verdict_and_the_plan_are_there(opened: Opener) -> None:
    page = opened(fleet(), ["a"])
    expect(page.locator("#verdict h2")).to_contain_text("1 of 2 guests can leave a; 1 cannot.")
    expect(page.locator(".because")).to_contain_text("x never does")
    expect(page.locator(".because")).to_contain_text("Remedy: a driver")
    expect(page.locator("#plan")).to_contain_text("an existing i915-GVTg_V5_4")
    expect(page.locator("#guest-0")).to_contain_text("vm-2")
    expect(page.locator("#guest-0")).to_contain_text("stays")
    expect(page.locator("#guest-1")).to_contain_text("vm-1")
    expect(page.locator("#plan details")).to_contain_text("vm-2 on a")
    expect(page.locator("#versions")).to_contain_text("0.2.0")
    expect(page.locator("#problems")).to_contain_text("vanished")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 380)])
@pytest.mark.parametrize("facts", [fleet, many, hostile_fleet])
def test_axe_finds_nothing(opened: Opener, scheme: str, width: int, facts: t.Any) -> None:
    made = facts()
    size = {"width": width, "height": 900}
    page = opened(made, [next(iter(made))], color_scheme=scheme, viewport=size)
    expand_all(page)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_hosts_are_filtered_and_sorted(opened: Opener) -> None:
    page = opened(many())
    expect(rows(page, "hosts")).to_have_count(50)
    expect(page.locator("#hosts output")).to_have_text("80 in all")
    page.get_by_role("button", name="Show more").first.click()
    expect(rows(page, "hosts")).to_have_count(80)
    page.get_by_role("searchbox", name="Filter hosts").fill("host07")
    expect(page.locator("#hosts output")).to_have_text("10 of 80")
    expect(rows(page, "hosts")).to_have_count(10)
    heading = page.locator("#hosts th").first
    for order, first in (("ascending", "host070"), ("descending", "host079")):
        heading.get_by_role("button").click()
        expect(heading).to_have_attribute("aria-sort", order)
        expect(rows(page, "hosts").first).to_contain_text(first)
    page.get_by_role("searchbox", name="Filter hosts").fill("device42")
    expect(rows(page, "hosts")).to_contain_text("host042")
    page.get_by_role("searchbox", name="Filter hosts").fill("")
    page.locator("#hosts select").select_option("what could not all leave")
    expect(page.locator("#hosts output")).to_have_text("40 of 80")


def test_the_keyboard_does_everything(opened: Opener) -> None:
    page = opened(fleet(), ["a"])
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the verdict")).to_be_focused()
    cells = page.locator(".matrix button")
    expect(page.locator(".matrix button[tabindex='0']")).to_have_count(1)
    cells.first.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowLeft"):
        page.keyboard.press(key)
    expect(cells.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    panel = page.get_by_role("region", name="The chosen cell")
    expect(panel).to_contain_text("1 of 2 devices could go there, each by itself.")
    expect(panel).to_contain_text("capacity for a new i915-GVTg_V5_2 or i915-GVTg_V5_4")
    page.keyboard.press("End")
    page.keyboard.press("Home")
    expect(cells.first).to_be_focused()
    first = page.locator("#hosts button.expand").first
    first.focus()
    page.keyboard.press("Enter")
    expect(first).to_have_attribute("aria-expanded", "true")
    detail = page.locator("#hosts .detail:visible")
    expect(detail).to_contain_text(f"{UUIDS[0]} i915-GVTg_V5_4")
    page.keyboard.press("Space")
    expect(detail).to_have_count(0)


def test_a_cell_says_why_not(opened: Opener) -> None:
    page = opened(fleet())
    page.get_by_role("button", name="a to c: 0 of 2").click()
    panel = page.get_by_role("region", name="The chosen cell")
    expect(panel).to_contain_text(f"{UUIDS[3]} on c has pci_id 80861234; 80865963 is needed")
    expect(panel).to_contain_text("1 device cannot migrate at all")


def test_what_hosts_say_is_text_and_does_not_run(opened: Opener) -> None:
    facts = hostile_fleet()
    page = opened(facts, [next(iter(facts))])
    expand_all(page)
    assert page.evaluate("window.ran") is None
    assert page.locator("main img, main svg").count() == 0
    for part in ("verdict", "plan", "matrix", "hosts", "classes", "problems"):
        expect(page.locator(f"#{part}")).to_contain_text(HOSTILE)


TEXTS = """() => {
  const all = [...document.querySelectorAll("body, body *:not(script):not(style)")];
  const texts = all.flatMap((each) => [...each.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data));
  const values = all.flatMap((each) => [...each.attributes].map((attribute) => attribute.value));
  return [document.title, ...texts.map((text) => text.replaceAll("\\n", " ")), ...values];
}"""


@pytest.mark.parametrize("text", [STEERING, "\n"])
def test_nothing_steers_hides_or_turns_text_around(opened: Opener, text: str) -> None:
    world = HostileWorld(ALL, text)
    page = opened(world.facts, [world.source])
    expand_all(page)
    shown = page.evaluate(TEXTS)
    assert [each for each in shown if not is_printable(each)] == []
    for part in ("verdict", "plan", "matrix", "hosts", "problems"):
        expect(page.locator(f"#{part}")).to_contain_text(printable(text))
    assert page.locator("code").first.evaluate("(code) => getComputedStyle(code).unicodeBidi") == (
        "isolate"
    )


def test_a_script_that_got_in_would_not_run(complaining: Opener) -> None:
    html = as_html(report_for(fleet())).replace("</main>", "<script>window.ran = 1</script></main>")
    page = complaining.show(html)
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in each for each in complaining.complaints)
    expect(rows(page, "hosts")).to_have_count(4)


def printed(page: Page) -> str:
    """Return the text of the page as it is on paper, without white space."""
    reader = pypdf.PdfReader(io.BytesIO(page.pdf()))
    return "".join("".join(each.extract_text().split()) for each in reader.pages)


@pytest.mark.parametrize("script", [True, False])
def test_on_paper_and_without_scripts_every_move_is_there(opened: Opener, script: bool) -> None:
    facts, drain = five_hundred()
    plan = plan_for(facts, drain=drain)
    report = report_for(facts, plan=plan)
    page = opened.show(as_html(report), java_script_enabled=script, viewport=SCREEN)
    if not script:
        expect(rows(page, "hosts")).to_have_count(500)
        assert page.locator("#plan tr[id^=guest-]:visible").count() == 200
    paper = printed(page)
    assert len(plan["placements"]) == 200
    for each in plan["placements"]:
        line = f"{each['source']['id']}on{each['source']['host']}"
        assert line in paper
        assert f"on{each['target']['host']},anew{each['target']['type']}" in paper
    assert report["plan"] is not None
    for write in report["plan"]["writes"]:
        assert write["host"] in paper
    assert "ShowmoreSaveasCSV" not in paper


CUT = """() => [...document.querySelectorAll("th, td")].filter((cell) => cell.offsetParent
  && getComputedStyle(cell).overflow !== "visible" && cell.scrollWidth > cell.clientWidth + 1).map((cell) => cell.textContent)"""


@pytest.mark.parametrize("number", [4, 20])
def test_long_names_of_hosts_wrap_on_paper(opened: Opener, number: int) -> None:
    """As many hosts as numbers stand for in the matrix, and fewer."""
    facts = {
        f"gpu{each:03}.{'a-rather-long-name-of-a-rack-' * 3}example.org": host(
            [device(f"device{each}", gvt(pci_id=f"8086{each:04}"))]
        )
        for each in range(number)
    }
    # What a sheet of A4 has for the page.
    page = opened(facts, viewport={"width": 1032, "height": 700})
    page.emulate_media(media="print")
    assert page.evaluate(CUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 1032
    paper = printed(page)
    assert all(paper.count(name) > 1 for name in facts)


def test_what_is_filtered_and_shut_on_the_screen_is_on_paper(opened: Opener) -> None:
    page = opened(many(), viewport=SCREEN)
    page.get_by_role("searchbox", name="Search all tables").fill("host07")
    expect(rows(page, "hosts")).to_have_count(10)
    paper = printed(page)
    assert all(name in paper for name in many())
    assert "device42" in paper


def test_the_tables_are_searched_together(opened: Opener) -> None:
    page = opened(fleet(), ["a"])
    page.get_by_role("searchbox", name="Search all tables").fill("vm-2")
    expect(page.locator("#plan tr[id^=guest-]:visible")).to_have_count(1)
    expect(rows(page, "hosts")).to_have_count(1)
    expect(rows(page, "versions")).to_have_count(0)


@pytest.mark.parametrize("table", ["guests", "writes", "hosts", "classes"])
def test_a_table_is_saved_for_a_spreadsheet(opened: Opener, table: str, tmp_path: Path) -> None:
    facts, drain = five_hundred()
    # A spreadsheet would take it for a formula.
    facts[drain[0]]["devices"][0]["in_use"]["name"] = '=1+1, "x"'
    page = opened(facts, drain, accept_downloads=True)
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Save {table} as CSV").click()
    assert download.value.suggested_filename == f"{table}.csv"
    download.value.save_as(tmp_path / "table.csv")
    with open(tmp_path / "table.csv", encoding="utf-8-sig", newline="") as file:
        head, *lines = csv.reader(file)
    assert len(lines) == {"guests": 200, "writes": 200, "hosts": 500}.get(table, len(lines)) > 0
    assert {len(line) for line in lines} == {len(head)}
    assert not [cell for line in lines for cell in line if cell[:1] in ("=", "+", "-", "@")]
    if table == "guests":
        assert '\'=1+1, "x"' in {line[0] for line in lines}
    # Nothing was asked for but what the page itself has made.
    opened.complaints[:] = [each for each in opened.complaints if not each.startswith("blob:")]


def test_a_link_leads_to_a_host_that_is_not_shown(opened: Opener) -> None:
    facts, drain = five_hundred()
    page = opened(facts, [drain[-1]])
    expect(rows(page, "hosts")).to_have_count(50)
    page.locator("#guest-0 a").first.click()
    row = page.locator("#host-490")
    expect(row).to_be_visible()
    expect(row).to_contain_text(drain[-1])
    expect(row.locator("button")).to_have_attribute("aria-expanded", "true")


def test_the_order_of_rows_is_seen_and_waves_have_their_lengths(opened: Opener) -> None:
    page = opened(fleet(), ["a"])
    head = page.locator("#plan th", has_text="Guest").first
    arrow = "(head) => getComputedStyle(head.querySelector('button'), '::after').content"
    assert head.evaluate(arrow) == '"\u2195"'
    for shown in ('"\u2191"', '"\u2193"'):
        head.get_by_role("button").click()
        assert head.evaluate(arrow) == shown
    expect(page.get_by_label("Devices of wave 1")).to_have_attribute("value", "1")


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({}, "Nothing is known of a fleet without hosts: there are no usable facts."),
        ({"a": None}, "Nothing is known of 1 host: there are no usable facts."),
        ({"a": host()}, "There is no VFIO device on these hosts."),
    ],
)
def test_an_empty_fleet_has_a_page(opened: Opener, facts: dict[str, t.Any], sentence: str) -> None:
    page = opened(facts)
    expect(page.locator("#verdict h2")).to_contain_text(sentence)
    expect(page.locator("#verdict")).to_contain_text("What to do:")
    assert Axe().run(page).violations_count == 0


def test_a_page_of_5000_hosts_is_small_and_usable(opened: Opener) -> None:
    html = as_html(report_for(JsonFacts(5000, 200)))
    assert len(html) < 5_000_000
    page = opened.show(html)
    expect(page.locator("#hosts output")).to_have_text("5,000 in all")
    assert 1 < page.locator(".matrix tbody tr").count() <= 50
    page.get_by_role("searchbox", name="Filter hosts").fill("host004321")
    expect(rows(page, "hosts")).to_have_count(1)
    expand_all(page)
    expect(page.get_by_role("region", name="The chosen cell")).to_be_visible()
