# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pictures of the guide are those that their script makes, and show the first screen of each kind of fleet."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from .conftest import Opener
from .pictures import PLACE, SCREEN, main, pages

ROOT = PLACE.parents[1]
VERDICTS = {
    "report-small": "All 2 guests can leave gpu1.",
    "report-500-hosts": "All 200 guests can leave 50 hosts.",
    "report-blocked": "None of the 2 guests can leave gpu1.",
    "report-empty": "Nothing is known of a fleet without hosts: there are no usable facts.",
}


def test_the_script_makes_the_pictures_that_are_kept(tmp_path: Path) -> None:
    main(tmp_path)
    made = {path.name: path.read_bytes()[:24] for path in tmp_path.iterdir()}
    assert set(made) == {path.name for path in PLACE.iterdir()}
    for name, start in made.items():
        # Signature, header and width: PNG specification, sections 5.2 and 11.2.1.
        assert start[:8] == b"\x89PNG\r\n\x1a\n"
        assert int.from_bytes(start[16:20], "big") == SCREEN["width"], name


def test_the_guide_and_the_readme_show_pictures_that_there_are() -> None:
    shown: dict[str, set[str]] = {}
    for page in ("README.md", "docs/docsite/rst/plan_guide.rst"):
        shown[page] = set(re.findall(r"/docs/pictures/([\w-]+[.]png)", (ROOT / page).read_text()))
    kept = {path.name for path in PLACE.iterdir()}
    assert shown["README.md"]
    assert shown["README.md"] <= kept
    assert shown["docs/docsite/rst/plan_guide.rst"] == kept


@pytest.mark.parametrize("name", sorted(VERDICTS))
def test_the_first_screen_is_enough_to_decide(opened: Opener, name: str) -> None:
    html = pages()
    assert set(html) == set(VERDICTS)
    page = opened.show(html[name], viewport=SCREEN)
    verdict = page.locator("#verdict")
    expect(verdict.locator("h2")).to_contain_text(VERDICTS[name])
    box = verdict.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < SCREEN["height"]
    # No part of the page is an empty table.
    for table in page.locator("section table").all():
        assert table.locator("tbody tr").count() > 0
    assert Axe().run(page).violations_count == 0
