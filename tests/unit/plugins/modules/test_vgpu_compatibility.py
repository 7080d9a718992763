# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host import nvml
from ansible_collections.vfio.migration.plugins.modules import vgpu_compatibility
from ansible_collections.vfio.migration.tests.unit.nvml_libraries import build


@pytest.fixture
def library(tmp_path, monkeypatch):
    path = build(tmp_path)
    monkeypatch.setattr(nvml, "find_library", lambda: path)
    return path


def encoded(header: int, announced: int = 60, there: int = 60) -> str:
    content = bytes(header - 4) + announced.to_bytes(4, "little") + bytes(there)
    return base64.b64encode(content).decode()


def test_the_library_answers_for_each_pair(run_module, library):
    found = nvml.gather(library)
    pair = {"vgpu": found["vgpus"][0]["metadata"], "gpu": found["gpus"][0]["metadata"]}
    result = run_module(vgpu_compatibility.main, pairs=[pair, pair])
    assert not result["changed"]
    everything = {"states": ["cold", "hibernate", "sleep", "live"], "limits": []}
    assert result["pairs"] == [everything, everything]


@pytest.mark.parametrize(
    ("vgpu", "words"),
    [
        ("!", "no metadata in base64"),
        (encoded(100), "expected 208 to 65536"),
        (encoded(208, announced=4000), "4000 bytes of opaque data announced, 60 there"),
        (encoded(208, there=70000), "expected 208 to 65536"),
        ("A" * 200000, "more than 65536 bytes"),
    ],
    # The environment of programs has the id.
    ids=["no base64", "too short", "opaque data is missing", "too much opaque data", "too long"],
)
def test_what_is_no_metadata_does_not_reach_the_library(run_module, library, vgpu, words):
    pair = {"vgpu": vgpu, "gpu": encoded(124)}
    result = run_module(vgpu_compatibility.main, pairs=[pair])
    assert result["failed"]
    assert result["msg"].startswith("pairs[0].vgpu: ")
    assert words in result["msg"]


def test_a_host_without_the_library_says_so(run_module, monkeypatch):
    monkeypatch.setattr(nvml, "find_library", lambda: None)
    pair = {"vgpu": encoded(208), "gpu": encoded(124)}
    result = run_module(vgpu_compatibility.main, pairs=[pair])
    assert result["failed"]
    assert result["msg"] == "there is no libnvidia-ml.so.1 on this host"


def test_what_the_library_refuses_is_said(run_module, library):
    pair = {"vgpu": encoded(208, 8, 8), "gpu": encoded(124)}
    result = run_module(vgpu_compatibility.main, pairs=[pair])
    assert result["failed"]
    assert "nvmlGetVgpuCompatibility returned 2" in result["msg"]


def test_more_pairs_than_anybody_asks_about_are_refused(run_module, library):
    pair = {"vgpu": encoded(208), "gpu": encoded(124)}
    result = run_module(vgpu_compatibility.main, pairs=[pair] * 65)
    assert result["failed"]
    assert "64 at most" in result["msg"]


def test_the_running_host_is_not_taken_for_a_copied_tree(run_module, library):
    pair = {"vgpu": encoded(208), "gpu": encoded(124)}
    result = run_module(vgpu_compatibility.main, pairs=[pair], sysfs="/copy/sys")
    assert result["failed"]
    assert "sysfs is '/copy/sys'" in result["msg"]
