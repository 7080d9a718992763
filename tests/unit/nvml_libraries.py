# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds a library that answers as NVIDIA documents of NVML."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("nvml_library.c")


def build(directory: Path, *macros: str) -> str:
    """Return the path of the library, compiled with ``macros``; skip the test, and say so, where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("NO C COMPILER: NVML is not tried; install gcc")
    path = directory / "libnvidia-ml.so.1"
    options = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", *(f"-D{each}" for each in macros)]
    subprocess.run([compiler, *options, "-o", str(path), str(_SOURCE)], check=True)
    return str(path)
