# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the pictures of the report that the guide and the README show, in ``docs/pictures``.

Needs Playwright: run it with ``make pictures``. Each picture is what a window of 1,280 by 900 points shows first; the one that
is ``whole`` shows the page to its end.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.html import as_html
from ansible_collections.vfio.migration.tests.sample_fleet import PLACE as SAMPLE
from ansible_collections.vfio.migration.tests.unit.report_fleets import five_hundred
from playwright.sync_api import Browser, sync_playwright

PLACE = Path(__file__).resolve().parents[2] / "docs" / "pictures"
SCREEN = {"width": 1280, "height": 900}
_DRAINED = "gpu1"
_NEVER = {
    "supported": False,
    "evidence": "driver vfio-pci never supports it",
    "features": [],
    "state": None,
}
_GATHERED = {"time": "2026-01-05T08:58:00Z", "boot": None}
_OCCASION = {"time": "2026-01-05T09:00:00Z", "requested_by": "change 4711"}

_Facts = dict[str, t.Any]


def sample() -> _Facts:
    """Return the facts of the fleet that the collection ships."""
    facts = {path.stem: json.loads(path.read_text()) for path in sorted(SAMPLE.glob("*.json"))}
    return {host: {**each, "gathered": _GATHERED} for host, each in facts.items()}


def blocked() -> _Facts:
    """Return the same fleet, with drivers that support no migration."""
    facts = sample()
    for host in facts.values():
        for device in host["devices"]:
            device["migration"] = _NEVER
    return facts


def pages() -> dict[str, str]:
    """Return the reports, by the name of the picture."""
    big, drain = five_hundred()
    return {
        "report-small": _page("Drain gpu1", sample(), [_DRAINED]),
        "report-500-hosts": _page("Drain a tenth of 500 hosts", big, drain),
        "report-blocked": _page("Drain gpu1", blocked(), [_DRAINED]),
        "report-empty": _page("Drain gpu1", {}, []),
    }


def _page(title: str, facts: _Facts, drain: t.Sequence[str]) -> str:
    plan: t.Any = {**plan_for(facts, drain=list(drain)), **_OCCASION} if drain else None
    return as_html(report_for(facts, plan=plan, title=title))


def take(browser: Browser, html: str, picture: Path, whole: bool = False) -> None:
    """Write what a browser shows of a page to the file ``picture``."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "report.html")
        file.write_text(html, encoding="utf-8")
        page = browser.new_page(viewport=SCREEN)
        page.goto(file.as_uri())
        page.screenshot(path=picture, full_page=whole)
        page.close()


def main(place: Path = PLACE) -> None:
    """Make all pictures."""
    place.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        found = pages()
        for name, html in found.items():
            take(browser, html, place / f"{name}.png")
        take(browser, found["report-small"], place / "report-small-whole.png", whole=True)
        browser.close()


if __name__ == "__main__":
    main(*(Path(each) for each in sys.argv[1:]))
