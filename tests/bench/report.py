# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure the report of a big fleet: what making it costs, how big it is, and how long Chromium takes to open it.

Needs Playwright: run it with ``nox --session browser -- bench``. Making it is measured in seconds of the CPU.
Opening it, which several processes share, is measured in seconds of the clock, until everything is drawn.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.html import as_html
from ansible_collections.vfio.migration.tests.bench.fleet import HEADER, JsonFacts, judged
from playwright.sync_api import Browser, sync_playwright

HOSTS = 5000
ROUNDS = 3
MOST_MEGABYTES = 5
MOST_SECONDS = 3
_DRAWN = """new Promise((resolve) => requestAnimationFrame(() => setTimeout(() =>
    resolve(performance.now() / 1000))))"""


def made(classes: int) -> tuple[float, str]:
    """Return the CPU seconds that the page takes from facts as JSON in memory, and the page."""
    facts = JsonFacts(HOSTS, classes)
    started = time.process_time()
    page = as_html(report_for(facts))
    return time.process_time() - started, page


def opened(browser: Browser, html: str) -> float:
    """Return the seconds from asking for the page until it is drawn."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "report.html")
        file.write_text(html, encoding="utf-8")
        page = browser.new_page()
        page.goto(file.as_uri())
        seconds: t.Any = page.evaluate(_DRAWN)
        page.close()
    return float(seconds)


def main() -> None:
    """Print the table."""
    print(f"\nThe report of {HOSTS:,} hosts, opened the least of {ROUNDS} rounds:")
    print("   classes      made      size   opened")
    rows = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for classes in (200, 2000):
            making, html = made(classes)
            opening = min(opened(browser, html) for _round in range(ROUNDS))
            print(f"  {classes:8,} {making:7.2f} s {len(html) / 1e6:6.2f} MB {opening:6.2f} s")
            rows += [
                judged(f"{classes:,} classes: size", MOST_MEGABYTES, len(html) / 1e6, "MB"),
                judged(f"{classes:,} classes: until it is drawn", MOST_SECONDS, opening, "s"),
            ]
        browser.close()
    print(HEADER, *rows, sep="\n")


if __name__ == "__main__":
    main()
