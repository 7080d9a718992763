# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-test runs to put pip into its virtual environments, from Python's own copy of pip.

The one it would download instead comes from a server of its own, which a network that only reaches
a package index does not have.
"""

from __future__ import annotations

import subprocess
import sys

packages = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
python = [sys.executable, "-I", "-m"]
subprocess.run([*python, "ensurepip", "--default-pip"], check=True)
if packages:
    subprocess.run([*python, "pip", "install", "--quiet", *packages], check=True)
