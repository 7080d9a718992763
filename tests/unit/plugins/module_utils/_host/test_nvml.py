# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""NVIDIA's management library, played by one that answers as NVIDIA documents."""

from __future__ import annotations

import base64
import json
import os
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host import nvml
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError
from ansible_collections.vfio.migration.tests.unit.nvml_libraries import build
from hypothesis import given
from hypothesis import strategies as st

MDEV = "c73f1fa6-489e-4834-9476-d70dabd98c40"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> t.Callable[..., str]:
    return lambda *macros: build(tmp_path_factory.mktemp("nvml"), *macros)


def test_what_the_library_tells_of_gpus_and_vgpus(library):
    found = nvml.gather(library())
    first, second = found["gpus"]
    assert found["driver"] == "550.90.05"
    metadata = base64.b64decode(first.pop("metadata"))
    assert metadata[8:18] == b"550.90.05\0"
    assert metadata[-60:] == b"\xa5" * 60
    assert first == {
        "id": "0000:41:00.0",
        "ecc": True,
        "mig": False,
        "virtualization": "host_vgpu",
        "host_mode": "sriov",
        "capabilities": ["heterogeneous_timeslice_sizes", "device_streaming"],
        "vgpu_versions": [0x70001, 0x100001],
    }
    assert second == {
        "id": "0000:81:00.0",
        "ecc": True,
        "mig": None,
        "virtualization": "none",
        "host_mode": None,
        "capabilities": [],
        "vgpu_versions": None,
        "metadata": None,
    }
    (vgpu,) = found["vgpus"]
    assert len(base64.b64decode(vgpu.pop("metadata"))) == 208 + 60
    assert vgpu == {
        "id": MDEV,
        "gpu": "0000:41:00.0",
        "vm": "guest-1",
        "guest_driver": "550.90.07",
        "vgpu_version": 0x100001,
    }


def test_metadata_larger_than_expected_are_whole(library):
    found = nvml.gather(library("LARGE"))
    assert len(base64.b64decode(found["gpus"][0]["metadata"])) == 124 + 5000
    assert len(base64.b64decode(found["vgpus"][0]["metadata"])) == 208 + 5000


def test_an_old_library_tells_what_it_has(library):
    found = nvml.gather(library("OLD"))
    assert [each["ecc"] for each in found["gpus"]] == [True, True]
    assert [each["metadata"] for each in found["gpus"]] == [None, None]
    assert found["vgpus"] == []


def test_what_the_library_prints_is_no_part_of_its_answer(library):
    assert nvml.gather(library("NOISY")) == nvml.gather(library())


def test_compatibility_is_the_library_s_own_answer(library):
    same = nvml.gather(library())
    vgpu, pgpu = same["vgpus"][0]["metadata"], same["gpus"][0]["metadata"]
    other = base64.b64decode(pgpu).replace(b"550.90.05", b"535.183.0")
    pairs = [(vgpu, pgpu), (vgpu, base64.b64encode(other).decode())]
    assert nvml.compatibility(library(), pairs) == [
        {"states": ["cold", "hibernate", "sleep", "live"], "limits": []},
        {"states": ["cold"], "limits": ["host_driver"]},
    ]
    with pytest.raises(HostReadError, match="nvmlGetVgpuCompatibility returned 2"):
        nvml.compatibility(library(), [(vgpu, base64.b64encode(bytes(200)).decode())])
    with pytest.raises(HostReadError, match="nvmlGetVgpuCompatibility returned 13"):
        nvml.compatibility(library("OLD"), pairs)


def test_a_driver_that_hangs_costs_a_bounded_time_and_leaves_no_process(library):
    begin = time.monotonic()
    path = library("HANGS")
    with pytest.raises(HostReadError, match="no answer within 1 seconds"):
        nvml.gather(path, seconds=1)
    assert time.monotonic() - begin < 10
    # A process that has only just been killed may not have been looked after yet.
    deadline = time.monotonic() + 5
    while path in _commands() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert path not in _commands()


def _commands() -> str:
    """Return the command lines of all processes."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.append((process / "cmdline").read_bytes().decode("utf-8", "replace"))
        except OSError:
            continue
    return "\n".join(found)


@pytest.mark.parametrize(
    ("macro", "words"),
    [
        ("CRASHES", "ended by signal 6"),
        ("REFUSES", "nvmlInit_v2 returned 9"),
        ("ENDLESS", "an answer of more than"),
    ],
)
def test_a_library_that_does_not_answer_is_a_problem_with_its_path(library, macro, words):
    path = library(macro)
    with pytest.raises(HostReadError, match=words) as error:
        nvml.gather(path)
    assert error.value.path == path


def test_what_is_no_library_is_a_problem(tmp_path):
    text = tmp_path / "libnvidia-ml.so.1"
    text.write_text("no library")
    with pytest.raises(HostReadError, match=r"libnvidia-ml\.so\.1: "):
        nvml.gather(str(text))


def test_the_library_is_looked_for_where_it_is_installed(tmp_path):
    assert nvml.find_library([str(tmp_path)]) is None
    (tmp_path / nvml.LIBRARY).write_bytes(b"")
    assert nvml.find_library([str(tmp_path / "none"), str(tmp_path)]) == str(
        tmp_path / nvml.LIBRARY
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
GPUS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just("0000:41:00.0") | JSON,
        **dict.fromkeys(("ecc", "mig", "virtualization", "host_mode"), JSON),
        "capabilities": st.lists(JSON, max_size=3) | JSON,
        "metadata": st.just("AAAA") | JSON,
        "vgpus": st.lists(
            st.fixed_dictionaries({}, optional=dict.fromkeys(("mdev", "vm", "metadata"), JSON)),
            max_size=2,
        )
        | JSON,
    },
)
ANSWERS = st.fixed_dictionaries(
    {}, optional={"driver": JSON, "gpus": st.lists(GPUS, max_size=2) | JSON}
)


@given(ANSWERS)
def test_an_answer_that_nvml_does_not_give_is_a_problem_or_told_in_form(answer):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nvml, "_ask", lambda *arguments: answer)
        try:
            found = nvml.gather("libnvidia-ml.so.1")
        except HostReadError:
            return
    assert json.dumps(found).isascii()
    for gpu in found["gpus"]:
        assert gpu["id"] == "0000:41:00.0"
        assert gpu["ecc"] in (True, False, None)


def test_the_process_that_asks_is_not_this_one(library):
    before = os.getpid()
    nvml.gather(library())
    assert "libnvidia-ml" not in Path(f"/proc/{before}/maps").read_text()
