# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files, classes and scenarios that the guides for maintainers name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GUIDES = sorted((ROOT / "docs/docsite/rst").glob("*.rst"))
LABEL = "ansible_collections.vfio.migration.docsite."
NAMES = {
    str(path.relative_to(ROOT))
    for place in ("plugins", "tests", "docs", "roles", "playbooks", "extensions")
    for path in (ROOT / place).rglob("*")
}


# build_ignore in galaxy.yml keeps some of what they name from the tarball.
in_a_checkout = pytest.mark.skipif(not (ROOT / "galaxy.yml").exists(), reason="needs a checkout")


@in_a_checkout
@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_files_that_a_guide_names_are_there(guide):
    named = re.findall(r"``([\w./-]+\.(?:py|yml|json|rst))``", guide.read_text())
    missing = [name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in NAMES)]
    assert [name for name in missing if not (ROOT / name).exists()] == []


@in_a_checkout
def test_scenarios_that_the_guide_to_tests_names_are_there():
    text = (ROOT / "docs/docsite/rst/proof_guide.rst").read_text()
    scenarios = {
        name
        for named in re.findall(r"scenarios? ((?:``\w+``(?:, | and )?)+)", text)
        for name in re.findall(r"``(\w+)``", named)
    }
    assert len(scenarios) > 8
    there = {path.parent.name for path in (ROOT / "extensions/molecule").glob("*/molecule.yml")}
    assert scenarios <= there


def test_each_guide_has_its_label_and_a_place_in_the_contents():
    contents = (ROOT / "docs/docsite/extra-docs.yml").read_text()
    for guide in GUIDES:
        assert f".. _{LABEL}{guide.stem}:\n" in guide.read_text(), guide.name
        assert f"      - {guide.stem}\n" in contents, guide.name


def test_references_to_guides_lead_to_guides():
    texts = [*GUIDES, *(ROOT / "plugins").rglob("*.py")]
    named = {name for path in texts for name in re.findall(LABEL + r"(\w+)", path.read_text())}
    assert named == {guide.stem for guide in GUIDES}


def test_the_readme_leads_to_guides_of_the_documentation_site():
    site = re.escape("https://vfio-migration.github.io/vfio.migration/")
    text = (ROOT / "README.md").read_text()
    pages = set(re.findall(rf"{site}collections/vfio/migration/docsite/(\w+)[.]html", text))
    assert "getting_started_guide" in pages
    assert pages <= {guide.stem for guide in GUIDES}
    assert "blob/main/docs/docsite/rst" not in text


def documentation(path: Path) -> str:
    """Return the text of a plugin's documentation, with that of its fragments."""
    text = path.read_text()
    named = re.findall(r"^ +- vfio[.]migration[.](\w+?)(?:[.]\w+)?$", text, re.MULTILINE)
    fragments = [ROOT / "plugins/doc_fragments" / f"{name}.py" for name in named]
    return "".join([text, *(each.read_text() for each in fragments if each.exists())])


@pytest.mark.parametrize(
    "path",
    sorted(
        path
        for pattern in ("plugins/modules/*.py", "plugins/filter/*.py", "plugins/test/*.py")
        for path in ROOT.glob(pattern)
        if "DOCUMENTATION" in path.read_text()
    ),
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_see_also_of_each_plugin_names_a_guide(path):
    assert f"  - ref: {LABEL}" in documentation(path)


@pytest.mark.parametrize("path", sorted(ROOT.glob("roles/*/meta/argument_specs.yml")), ids=str)
def test_see_also_of_each_role_names_a_guide(path):
    assert f"      - ref: {LABEL}" in path.read_text()
