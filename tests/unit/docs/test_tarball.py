# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tarball has everything that an installation needs, and what only a checkout needs stays out."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# Where all that is in the repository is in the tarball.
SHIPPED = (
    "changelogs",
    "docs/docsite",
    "docs/schemas",
    "extensions/eda",
    "meta",
    "playbooks",
    "plugins",
    "roles",
    "tests/unit",
)
NOT_SHIPPED = (
    ".ci",
    ".collections",
    ".github",
    "extensions/molecule",
    "tests/bench",
    "tests/lab",
    "tests/playbooks",
)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the names of the files in a tarball of the checkout."""
    if not (ROOT / "galaxy.yml").exists():
        pytest.skip("needs a checkout")
    place = tmp_path_factory.mktemp("tarball")
    command = "from ansible.cli.galaxy import main; main()"
    arguments = ("ansible-galaxy", "collection", "build", "--output-path", str(place), str(ROOT))
    code = f"import sys; sys.argv = {list(arguments)!r}; {command}"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    (tarball,) = place.glob("*.tar.gz")
    with tarfile.open(tarball) as archive:
        return {member.name for member in archive if member.isfile()}


def test_what_an_installation_needs_is_in_the_tarball(names):
    listed = subprocess.run(
        ["git", "ls-files", *SHIPPED], cwd=ROOT, check=True, capture_output=True, text=True
    )
    there = {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    assert "playbooks/files/sample/gpu1.tar.gz" in there
    assert there - names == set()


def test_what_only_a_checkout_needs_is_not(names):
    assert [
        name for name in names if name.startswith(tuple(f"{each}/" for each in NOT_SHIPPED))
    ] == []
