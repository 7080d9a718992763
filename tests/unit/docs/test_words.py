# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The words of the user documentation: those of the trade, and not this project's own for the same thing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# What to write in their place.
AVOIDED = {
    "tells": "says, shows or reports",
    "told": "stated, shown or given",
    "what becomes of": "the result of, or the state of",
    "by other means": "with another tool",
}
TEXTS = sorted(
    path
    for pattern in (
        "*.md",
        "docs/docsite/rst/*.rst",
        "roles/*/README.md",
        "roles/*/meta/argument_specs.yml",
        "roles/*/tasks/*.yml",
        "playbooks/**/*.yml",
        "plugins/doc_fragments/*.py",
        "plugins/modules/*.py",
        "plugins/filter/*.py",
        "plugins/test/*.py",
    )
    for path in ROOT.glob(pattern)
    # It has the words that are no longer used.
    if path.name != "glossary.rst"
)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_for_users_have_the_words_of_the_trade(path):
    text = " ".join(path.read_text(encoding="utf-8").split())
    found = [word for word in AVOIDED if re.search(rf"\b{word}\b", text, re.IGNORECASE)]
    assert {word: AVOIDED[word] for word in found} == {}
