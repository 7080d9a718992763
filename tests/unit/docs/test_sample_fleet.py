# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sample fleet is what today's code makes of it, and its trees give its facts."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

from ansible_collections.vfio.migration.plugins.module_utils._host import processes
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.tests import sample_fleet


def test_the_files_are_what_make_sample_makes():
    made = sample_fleet.files()
    shipped = {path.name: path.read_bytes() for path in sample_fleet.PLACE.iterdir()}
    assert sorted(shipped) == sorted(made)
    for name, content in made.items():
        assert _plain(name, shipped[name]) == _plain(name, content), f"{name}: run make sample"


def _plain(name: str, content: bytes) -> bytes:
    """Return what is in a file; how it is compressed depends on the version of Python."""
    return gzip.decompress(content) if name.endswith(".gz") else content


def test_the_trees_give_the_facts_but_for_the_holders(tmp_path: Path):
    for host in sample_fleet.FLEET:
        archive = (sample_fleet.PLACE / f"{host.name}.tar.gz").read_bytes()
        with tarfile.open(fileobj=io.BytesIO(archive)) as tree:
            tree.extractall(tmp_path / host.name, filter="data")
        facts = gather_facts(Sysfs(str(tmp_path / host.name / "sys")), processes.unknown)
        shipped = json.loads((sample_fleet.PLACE / f"{host.name}.json").read_text())
        del facts["gathered"]
        for device in [*facts["devices"], *shipped["devices"]]:
            del device["in_use"]
        assert facts == shipped
