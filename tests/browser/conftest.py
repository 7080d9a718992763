# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian's Chromium, and reports opened in it from a file as from a mail."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.html import as_html
from playwright.sync_api import Browser, Page, sync_playwright


@pytest.fixture(scope="session")
def browser() -> t.Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        yield chromium
        chromium.close()


class Opener:
    """Opens reports; whatever a page complains of or asks the network for is in ``complaints``."""

    def __init__(self, browser: Browser, place: Path) -> None:
        self._browser = browser
        self._file = place / "report.html"
        self.complaints: list[str] = []

    def __call__(self, facts: t.Any, drain: list[str] | None = None, **options: t.Any) -> Page:
        plan = plan_for(facts, drain=drain) if drain else None
        return self.show(as_html(report_for(facts, plan=plan, title="A report")), **options)

    def show(self, html: str, **options: t.Any) -> Page:
        self._file.write_text(html, encoding="utf-8")
        page = self._browser.new_page(**options)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("request", self._note_request)
        page.goto(self._file.as_uri())
        return page

    def _note_request(self, request: t.Any) -> None:
        if request.url != self._file.as_uri():
            self.complaints.append(request.url)


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> t.Iterator[Opener]:
    """Return what opens reports; none of them may complain."""
    opener = Opener(browser, tmp_path)
    yield opener
    assert opener.complaints == []


@pytest.fixture
def complaining(browser: Browser, tmp_path: Path) -> Opener:
    """Return what opens reports that may complain."""
    return Opener(browser, tmp_path)
