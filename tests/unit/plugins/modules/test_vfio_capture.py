# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import tarfile

import pytest
from ansible_collections.vfio.migration.plugins.modules import vfio_capture
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import UUIDS, Tree


@pytest.fixture
def tree(tmp_path):
    tree = Tree(tmp_path / "sys")
    tree.add_gpu()
    tree.add_mdev()
    return tree


def test_it_writes_an_archive_once(run_module, tree, tmp_path):
    options = {"sysfs": str(tree.root), "dest": str(tmp_path / "a.tar.gz")}
    result = run_module(vfio_capture.main, **options)
    assert (result["changed"], result["dest"]) == (True, options["dest"])
    with tarfile.open(options["dest"]) as archive:
        assert f"sys/bus/mdev/devices/{UUIDS[0]}" in archive.getnames()
    assert not run_module(vfio_capture.main, **options)["changed"]
    tree.add_mdev(UUIDS[1], group=8)
    assert run_module(vfio_capture.main, **options)["changed"]


def test_check_mode_writes_nothing(run_module, tree, tmp_path):
    dest = tmp_path / "a.tar.gz"
    result = run_module(
        vfio_capture.main, sysfs=str(tree.root), dest=str(dest), _ansible_check_mode=True
    )
    assert result["changed"]
    assert not dest.exists()


def test_a_tree_that_is_not_there_is_refused(run_module, tmp_path):
    result = run_module(
        vfio_capture.main, sysfs=str(tmp_path / "none"), dest=str(tmp_path / "a.tar.gz")
    )
    assert result["failed"]
    assert result["msg"] == f"there is no sysfs at {tmp_path}/none"


def test_a_place_that_cannot_be_written_is_named(run_module, tree, tmp_path):
    (tmp_path / "file").write_text("")
    dest = f"{tmp_path}/file/a.tar.gz"
    result = run_module(vfio_capture.main, sysfs=str(tree.root), dest=dest)
    assert result["failed"]
    assert "not a directory" in result["msg"]


def test_a_place_is_needed_and_fetching_is_the_actions(run_module, tree, tmp_path):
    for options in ({}, {"fetch_to": str(tmp_path / "a.tar.gz")}):
        result = run_module(vfio_capture.main, sysfs=str(tree.root), **options)
        assert result["failed"]
    assert "as vfio.migration.vfio_capture" in result["msg"]
    assert [each.name for each in tmp_path.iterdir()] == ["sys"]
