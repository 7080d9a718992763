# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's checks: ``nox -l`` lists them, ``make test`` runs the default ones."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import antsibull_nox
import nox

CORES = ("2.18", "2.19", "2.20", "2.21")
# The newest one for the Python at hand.
CORE = "2.21" if sys.version_info >= (3, 12) else "2.19"

nox.needs_version = ">=2026.8.10"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = [
    "lint",
    "ansible-lint",
    "license-check",
    "extra-checks",
    "docs-check",
    "units",
    f"ansible-test-units-{CORE}",
    f"ansible-test-sanity-{CORE}",
    "build-import-check",
    "installation",
    "molecule",
]

antsibull_nox.load_antsibull_nox_toml()


def _prefer_interpreters_to_shims() -> None:
    """Replace pyenv's shims on the path by the interpreters they stand for.

    A shim is there for each version ever installed, whether it is to be run or not;
    ansible-test takes each for an interpreter.
    """
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    path = [entry for entry in os.environ["PATH"].split(os.pathsep) if entry != str(root / "shims")]
    path += map(str, sorted(root.glob("versions/3.*/bin")))
    os.environ["PATH"] = os.pathsep.join(path)


def _provide_pip() -> None:
    """Put our get_pip.py where ansible-test looks before it would download one."""
    cache = Path.home() / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in ("24_2", "25_2"):
        target = cache / f"get_pip_{version}.py"
        if not target.exists():
            shutil.copyfile(Path(__file__).parent / ".ci" / "get_pip.py", target)


def _drop_temporary_output() -> None:
    """Spare tests/output the virtual environments that ansible-test leaves there."""
    shutil.rmtree("tests/output/.tmp", ignore_errors=True)


_prefer_interpreters_to_shims()
for _core in CORES:
    for _command in ("sanity", "units"):
        antsibull_nox.add_ansible_test_session(
            name=f"ansible-test-{_command}-{_core}",
            description=f"Run ansible-test {_command} with ansible-core {_core}.",
            ansible_test_params=[_command, "--venv"],
            default=False,
            ansible_core_version=_core,
            ansible_core_source="pypi",
            callback_before=_provide_pip,
            callback_after=_drop_temporary_output,
        )


@nox.session
def units(session: nox.Session) -> None:
    """Run the unit tests in this checkout."""
    session.install("ansible-core", "pytest", "-r", "tests/unit/requirements.txt")
    session.run("pytest", *session.posargs)
