# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gc
import os
import shutil

import pytest
from ansible_collections.vfio.migration.tests.unit import schema_checks, silence
from hypothesis import HealthCheck, settings

# A busy machine must not fail a test, nor must luck: the cases are the same every time.
_UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("unhurried", _UNHURRIED, derandomize=True, max_examples=12)
# For make fuzz; hypothesis keeps what it finds and tries it first the next time.
settings.register_profile("long", _UNHURRIED, max_examples=20_000)
# For a first look while working: pytest --hypothesis-profile=quick
settings.register_profile("quick", _UNHURRIED, derandomize=True, max_examples=10)
settings.load_profile("unhurried")


# Modules, tests and what hypothesis remembers are some million objects that stay. Python looks through them for garbage again
# and again, which was a tenth of the units' time: it is to look less often, and at nothing that was there before the first test.
gc.set_threshold(100_000, 20, 50)

# Made-up trees of sysfs are tens of thousands of small files. For a disk's file system these are most of the work of their tests,
# so they are in memory where there is enough of it, and where what is in it can be run, as tests do with tools that stand in.
MEMORY = "/dev/shm"
ENOUGH = 2**30


def has_trees_in_memory():
    """Return whether the directories of tests are to be in memory: they are on disk where it is said where, and in ``make fuzz``."""
    try:
        found = os.statvfs(MEMORY)
    except OSError:
        return False
    enough = found.f_bavail * found.f_frsize >= ENOUGH and not found.f_flag & os.ST_NOEXEC
    said = {"PYTEST_DEBUG_TEMPROOT", "TMPDIR"} & os.environ.keys()
    return enough and os.access(MEMORY, os.W_OK) and not said


def pytest_configure(config):
    # Processes of pytest-xdist are told where their directories are.
    if config.getoption("hypothesis_profile", None) != "long" and has_trees_in_memory():
        os.environ["PYTEST_DEBUG_TEMPROOT"] = MEMORY
    # Who only hands the tests out to others makes no documents, and loads nothing that does.
    if config.getoption("dist", "no") == "no" or hasattr(config, "workerinput"):
        schema_checks.install()


COMPARED = pytest.StashKey()
HOSTILE = pytest.StashKey()


@pytest.fixture(scope="session", autouse=True)
def freed_memory(request, tmp_path_factory):
    """Leave nothing in memory but what tests that failed may have written."""
    yield
    place = tmp_path_factory.getbasetemp()
    if str(place).startswith(f"{MEMORY}/") and not request.session.testsfailed:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def state_home(freed_memory, tmp_path_factory):
    """Keep the locks and journals of copied trees out of the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def silent(monkeypatch):
    """Return a function that never answers; whatever else a thread is asked answers in time."""
    never = silence.install(monkeypatch)
    yield never
    never.end()


@pytest.fixture(scope="session")
def compared(pytestconfig):
    """Return the counters of cases that the oracle judges and of its disagreements; they are shown at the end."""
    return pytestconfig.stash.setdefault(COMPARED, {"cases": 0, "disagreements": 0})


@pytest.fixture(scope="session")
def hostile_facts(pytestconfig):
    """Return the counters of a hostile host's facts: how many were planned with, and of how many the host was left out."""
    return pytestconfig.stash.setdefault(HOSTILE, {"planned": 0, "left out": 0})


def pytest_terminal_summary(terminalreporter, config):
    if not schema_checks.POSSIBLE:
        terminalreporter.write_sep("!", "jsonschema is missing", red=True)
        terminalreporter.write_line("Nothing was checked against the JSON Schemas in docs/schemas.")
    compared = config.stash.get(COMPARED, None)
    if compared:
        terminalreporter.write_sep("=", "template language against its oracle")
        terminalreporter.write_line(
            f"{compared['cases']} cases, {compared['disagreements']} disagreements"
        )
    hostile = config.stash.get(HOSTILE, None)
    if hostile:
        terminalreporter.write_sep("=", "facts of a hostile host beside an honest fleet")
        terminalreporter.write_line(
            f"{hostile['planned']:,} facts, the same plan every time;"
            f" with {hostile['left out']:,} of them the host was left out"
        )
