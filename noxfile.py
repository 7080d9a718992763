# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's checks: ``nox -l`` lists them, ``make test`` runs the default ones and, beside them, ``molecule``."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import antsibull_nox
import nox

# ansible-core, and the minor versions of Python 3 from and to which each of them runs unit tests.
CORES = {
    "2.16": (8, 12),
    "2.18": (8, 13),
    "2.19": (8, 13),
    "2.20": (9, 14),
    "2.21": (9, 14),
}
# The newest one for the Python at hand.
CORE = "2.21" if sys.version_info >= (3, 12) else "2.19"


def _set_path() -> None:
    """Put our own Python's tools first on the path, and interpreters for pyenv's shims.

    A shim is there for each version ever installed, whether it is to be run or not;
    ansible-test takes each for an interpreter.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    path = [entry for entry in os.get_exec_path() if entry != str(pyenv / "shims")]
    tools = Path(sys.executable).parent
    interpreters = sorted(pyenv.glob("versions/3.*/bin"))
    os.environ["PATH"] = os.pathsep.join(map(str, [tools, *path, *interpreters]))


def _oldest() -> list[str]:
    """Return the oldest Python here that managed hosts may have; the session units runs the same tests, and more, with a newer one."""
    oldest, newest = CORES[CORE]
    there = [f"3.{minor}" for minor in range(oldest, newest + 1)]
    return [version for version in there if shutil.which(f"python{version}")][:1]


def _provide_pip() -> None:
    """Put our get_pip.py where ansible-test looks before it would download one."""
    cache = Path.home() / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in ("23_1_2", "24_2", "25_2"):
        target = cache / f"get_pip_{version}.py"
        if not target.exists():
            shutil.copyfile(Path(__file__).parent / ".ci" / "get_pip.py", target)


def _drop_temporary_output() -> None:
    """Spare tests/output the virtual environments that ansible-test leaves there."""
    shutil.rmtree("tests/output/.tmp", ignore_errors=True)


# So that what is cleaned up on Ctrl-C, the lab above all, is so when a CI system stops us.
signal.signal(signal.SIGTERM, signal.default_int_handler)
_set_path()
# The newest ansible-core, with the Python at hand; and the oldest, with the oldest one that runs it where that is there.
NEWEST_AND_OLDEST = [
    (None, ""),
    ("3.10" if shutil.which("python3.10") else None, f"~={min(CORES)}.0"),
]
# The one that comes next, as soon as there is a candidate of it, with a Python that runs it.
NEXT_PYTHON, NEXT_CORE = "3.13", ">=2.22.0rc1,<2.23"
# The lab's: an emulated host takes twice as long, or more, to load what a module needs of newer ones, which the playbooks' tests have.
_LAB_CORE = "2.18" if sys.version_info < (3, 14) else CORE
# The labs run beside the checks, of which there is one at a time until then: with two processes they get their half of the machine.
_PYTEST = ("pytest", "pytest-xdist", "-r", "tests/unit/requirements.txt")
_WORKERS = ("--numprocesses=2", "--dist=loadgroup")
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = [
    "formatters",
    "codeqa",
    "yamllint",
    "typing",
    "antsibull-nox-config",
    "license-check",
    "extra-checks",
    "imports",
    "prose",
    "ansible-lint",
    "units",
    "units-ortools",
    "playbooks",
    "bench-smoke",
    "docs-check",
    "release",
    "galaxy",
    "execution-environment",
    "usage",
    "awx",
    "rulebooks",
    "browser",
    *(f"ansible-test-units-{CORE}-{version}" for version in _oldest()),
    f"ansible-test-sanity-{CORE}-3.{sys.version_info.minor}",
]

antsibull_nox.load_antsibull_nox_toml()
for _core, (_oldest, _newest) in CORES.items():
    _pythons = [["--python", f"3.{minor}"] for minor in range(_oldest, _newest + 1)]
    _each = [[command, *python] for command in ("sanity", "units") for python in ([], *_pythons)]
    for _command, *_python in _each:
        antsibull_nox.add_ansible_test_session(
            name="-".join(["ansible-test", _command, _core, *_python[1:]]),
            description=f"Run ansible-test {_command} with ansible-core {_core}{' on Python '.join(['', *_python[1:]])}.",
            ansible_test_params=[_command, "--venv", *_python],
            default=False,
            ansible_core_version=_core,
            ansible_core_source="pypi",
            callback_before=_provide_pip,
            callback_after=_drop_temporary_output,
        )


@nox.session
def imports(session: nox.Session) -> None:
    """Check that no import of the utilities points upward; pyproject.toml has the layers."""
    session.install("import-linter")
    session.run("lint-imports", "--no-cache", env={"PYTHONPATH": ".collections"})


@nox.session
def prose(session: nox.Session) -> None:
    """Check the English of the documentation; the units hold its words."""
    session.install("proselint")
    texts = [
        str(path)
        for place, name in (("docs/docsite/rst", "*.rst"), (".", "*.md"))
        for path in sorted(Path(place).glob(name))
    ]
    session.run("proselint", "check", "--config", ".proselintrc.json", *texts)


@nox.session
def units(session: nox.Session) -> None:
    """Run the unit tests in this checkout."""
    session.install("ansible-core", *_PYTEST)
    session.run("pytest", *_WORKERS, *session.posargs)


@nox.session
@nox.parametrize(
    "python,core",
    [
        *NEWEST_AND_OLDEST,
        (NEXT_PYTHON if shutil.which(f"python{NEXT_PYTHON}") else None, NEXT_CORE),
    ],
    ids=["newest", "oldest", "next"],
)
def playbooks(session: nox.Session, core: str) -> None:
    """Run the playbooks on simulated fleets, with the newest, the oldest and the coming ansible-core."""
    if core == NEXT_CORE and session.python is None:
        session.skip(f"there is no Python {NEXT_PYTHON} for ansible-core{NEXT_CORE}")
    session.install(f"ansible-core{core}", *_PYTEST)
    marked = ["-m", "every_core"] if core else []
    # The oldest and the newest have an attacker's answers, which are most of the work.
    marked += ["--ignore=tests/playbooks/test_attacker.py"] if core == NEXT_CORE else []
    session.run("pytest", *_WORKERS, "tests/playbooks", *marked, *session.posargs)
    # What depends on how an ansible-core takes text.
    if core == NEXT_CORE:
        session.run("pytest", "tests/unit/plugins/filter")


@nox.session(name="units-ortools")
def units_ortools(session: nox.Session) -> None:
    """Run the tests with the optional solver: of itself, and of plans beside exact ones; everywhere else they are skipped."""
    session.install("ansible-core", "pytest", "ortools", "-r", "tests/unit/requirements.txt")
    tests = Path("tests/unit/plugins/plugin_utils")
    with_solver = (tests / "_packing/test_mip_model.py", tests / "_planner/test_exact.py")
    session.run("pytest", *map(str, with_solver), *session.posargs)


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Run the property tests for long: the fuzzers of all doors, and the template language against its oracle."""
    session.install("ansible-core", "pytest", "-r", "tests/unit/requirements.txt")
    options = ("--hypothesis-profile=long", "--hypothesis-show-statistics")
    session.run("pytest", "-m", "hypothesis", *options, *session.posargs)


@nox.session(name="bench-smoke")
def bench_smoke(session: nox.Session) -> None:
    """Check that the benchmarks of big fleets run and that their results are right, and what the worst fleets cost at most."""
    session.install("ansible-core", "pytest")
    for part in ("fleet", "plans", "moving", "cached"):
        module = f"ansible_collections.vfio.migration.tests.bench.{part}"
        session.run("python", "-m", module, "--smoke", env={"PYTHONPATH": ".collections"})
    session.run("pytest", "tests/bench", *session.posargs)


@nox.session
def release(session: nox.Session) -> None:
    """Make a release in a clone, and throw it away."""
    session.install("ansible-core", "antsibull-changelog")
    session.run(".ci/release", "--dry-run", external=True)


@nox.session
@nox.parametrize(
    "python,tools,lint",
    [
        # The session ansible-lint has today's.
        (None, ("galaxy-importer", "ansible-lint", f"ansible-core~={CORE}.0"), False),
        (
            NEWEST_AND_OLDEST[1][0],
            ("galaxy-importer==0.4.31", "ansible-lint==24.12.2", "ansible-core==2.16.0"),
            True,
        ),
    ],
    ids=["newest", "certification"],
)
def galaxy(session: nox.Session, tools: tuple[str, ...], lint: bool) -> None:
    """Import a tarball as Galaxy does, with today's tools and with those of the certification of Automation Hub."""
    session.install(*tools)
    temporary = Path(session.create_tmp()).resolve()
    shutil.rmtree(temporary)
    clone, elsewhere = temporary / "clone", temporary / "elsewhere"
    elsewhere.mkdir(parents=True)
    session.run("git", "clone", "--quiet", ".", str(clone), external=True)
    with session.chdir(clone):
        session.run("ansible-galaxy", "collection", "build", "--output-path", str(temporary))
    (tarball,) = temporary.glob("*.tar.gz")
    settings = temporary / "importer.cfg"
    settings.write_text(
        f"[galaxy-importer]\nRUN_ANSIBLE_DOC = True\nRUN_ANSIBLE_LINT = {lint}\nRUN_ANSIBLE_TEST = False\n"
    )
    with session.chdir(elsewhere):
        said = session.run(
            "python",
            *("-m", "galaxy_importer.main", str(tarball)),
            env={"GALAXY_IMPORTER_CONFIG": str(settings)},
            silent=True,
        )
    # It ends well whatever it found.
    lines = str(said).splitlines()
    found = [line for line in lines if line.startswith(("WARNING", "ERROR"))]
    if found or "Importer processing completed successfully" not in lines:
        session.error("\n".join(["The import is not clean:", *(found or lines[-20:])]))


@nox.session(name="execution-environment")
def execution_environment(session: nox.Session) -> None:
    """Make the build context of the execution environment that the guide to AWX has; an image needs a network."""
    session.install("ansible-core", "ansible-builder")
    guide = Path("docs/docsite/rst/awx_guide.rst").read_text()
    block = re.search(r":caption: execution-environment\.yml\n\n((?:    .*\n|\n)+)", guide)
    if not block:
        session.error("the guide has no execution-environment.yml")
    place = Path(session.create_tmp()).resolve()
    definition, context = place / "execution-environment.yml", place / "context"
    definition.write_text(re.sub("^    ", "", block[1], flags=re.MULTILINE))
    shutil.rmtree(context, ignore_errors=True)
    session.run("ansible-builder", "create", "--file", str(definition), "--context", str(context))
    if "vfio.migration" not in (context / "_build/requirements.yml").read_text():
        session.error("the build context does not install the collection")


@nox.session
@nox.parametrize("python,core", NEWEST_AND_OLDEST, ids=["newest", "oldest"])
def usage(session: nox.Session, core: str) -> None:
    """Use the collection as the README says, in a fresh clone and installed from a tarball; with the oldest ansible-core, too."""
    session.install(f"ansible-core{core}")
    temporary = Path(session.create_tmp()).resolve()
    shutil.rmtree(temporary)
    clone, installed, elsewhere = (temporary / name for name in ("clone", "installed", "elsewhere"))
    elsewhere.mkdir(parents=True)
    session.run("git", "clone", "--quiet", ".", str(clone), external=True)

    with session.chdir(clone):
        _use(session, {})
        session.run("ansible-galaxy", "collection", "build", "--output-path", str(temporary))
    (tarball,) = temporary.glob("*.tar.gz")
    library = installed / "ansible_collections/vfio/migration/plugins/modules"
    env = {"ANSIBLE_COLLECTIONS_PATH": str(installed), "ANSIBLE_LIBRARY": str(library)}
    with session.chdir(elsewhere):
        session.run("ansible-galaxy", "collection", "install", str(tarball), env=env)
        _use(session, env)
    # What depends on how an ansible-core takes text; the session units has it with the newest.
    if core:
        session.install("pytest", "-r", "tests/unit/requirements.txt")
        session.run("pytest", "tests/unit/plugins/filter")


def _use(session: nox.Session, env: dict[str, str]) -> None:
    for module in ("vfio_migration_facts", "vfio.migration.vfio_migration_facts"):
        session.run("ansible", "localhost", "--module-name", module, env=env)
    expression = "msg={{ 'a=1' | vfio.migration.parse_descriptor }}"
    session.run("ansible", "localhost", "-m", "debug", "-a", expression, env=env)
    names = (
        *("candidates", "capture", "cleanup", "maintain", "migrate_libvirt"),
        *("prepare", "report", "sample"),
    )
    playbooks = [f"vfio.migration.{name}" for name in names]
    session.run("ansible-playbook", *playbooks, "--syntax-check", env=env)
    session.run("ansible-playbook", "vfio.migration.sample", env=env)
    _report(session, env)
    _prepare(session, env)
    _capture(session, env)


def _report(session: nox.Session, env: dict[str, str]) -> None:
    """Report on recorded facts of two hosts, which are there as variables of an inventory."""
    captured = Path(__file__).parent / "tests/unit/captured"
    facts = {host: json.loads((captured / f"{host}.json").read_text()) for host in ("a", "c")}
    hosts = {host: {"vfio_migration": each} for host, each in facts.items()}
    Path("hosts.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    options = {"report_gather": False, "report_drain": ["a"]}
    playbook = ("ansible-playbook", "--inventory", "hosts.yml", "vfio.migration.report")
    session.run(*playbook, "--extra-vars", json.dumps(options), env=env)
    for name in ("plan.json", "report.html", "report.md", "report.json", "report.prom"):
        if not Path("migration-report", name).stat().st_size:
            session.error(f"the report's {name} is empty")


def _prepare(session: nox.Session, env: dict[str, str]) -> None:
    """Write and read a plan, of nothing, in the working directory, and clean up after it."""
    options = {"prepare_sources": [], "prepare_dest": "plan.json"}
    _play_here(session, "prepare", options, env)
    # The plan says itself what it is of.
    _play_here(session, "prepare", {"prepare_from": "plan.json", "prepare_dest": "again.json"}, env)
    first, again = (json.loads(Path(each).read_text()) for each in ("plan.json", "again.json"))
    if first | {"time": again["time"]} != again:
        session.error("a plan that is carried out again has become another one")
    _play_here(session, "cleanup", {"cleanup_from": "plan.json"}, env)


def _capture(session: nox.Session, env: dict[str, str]) -> None:
    """Capture this host's VFIO devices, if it has any, and gather the facts of the copy, as the README says."""
    _play_here(session, "capture", {"capture_dest": "captures"}, env)
    Path("a").mkdir()
    session.run("tar", "-xf", "captures/localhost.tar.gz", "-C", "a", external=True)
    module = ("ansible", "localhost", "-m", "vfio.migration.vfio_migration_facts")
    session.run(*module, "-a", f"sysfs={Path.cwd()}/a/sys", env=env)


def _play_here(
    session: nox.Session, playbook: str, options: dict[str, object], env: dict[str, str]
) -> None:
    command = ("ansible-playbook", "--inventory", "localhost,", "--connection", "local")
    here = options | {"ansible_python_interpreter": str(Path(session.bin, "python"))}
    play = (*command, f"vfio.migration.{playbook}", "--extra-vars", json.dumps(here))
    session.run(*play, env=env)


@nox.session
def awx(session: nox.Session) -> None:
    """Run the workflow of the AWX guide on a simulated fleet with ansible-runner, with facts in Debian's Redis and in files."""
    if obstacle := _obstacle_to("redis-server"):
        session.skip(f"there is no Redis here: {obstacle}")
    session.install("ansible-core", "ansible-runner", "pytest", "redis")
    # For the cache plugin of community.general; its other dependency is the ansible-core that is there.
    session.install("--no-deps", "ansible")
    session.run("pytest", "tests/awx", *session.posargs)


@nox.session
def rulebooks(session: nox.Session) -> None:
    """Run the rulebooks with ansible-rulebook on a simulated fleet."""
    if obstacle := _obstacle_to("java", "default-jre-headless"):
        session.skip(f"there is no Java here, which ansible-rulebook needs: {obstacle}")
    session.install("ansible-core", "ansible-rulebook", "pytest")
    session.run("pytest", "tests/eda", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Use reports in Debian's Chromium; with the argument bench, measure how long a big one takes to open; with pictures, make those."""
    if obstacle := _obstacle_to("chromium"):
        session.skip(f"there is no Chromium here: {obstacle}")
    session.install("ansible-core", "axe-playwright-python", "pypdf", "pytest", "hypothesis")
    programs = {"bench": "tests.bench.report", "pictures": "tests.browser.pictures"}
    if len(session.posargs) == 1 and session.posargs[0] in programs:
        module = f"ansible_collections.vfio.migration.{programs[session.posargs[0]]}"
        session.run("python", "-m", module, env={"PYTHONPATH": ".collections"})
    else:
        session.run("pytest", "tests/browser", *session.posargs)


def _obstacle_to(program: str, package: str | None = None) -> str | None:
    """Install a program with Debian's package, of the same name where none is given, if need be; return why it is not there, if so."""
    package = package or program
    if shutil.which(program):
        return None
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return f"please install it (Debian's name: {package})"
    subprocess.run(["apt-get", "update"], capture_output=True, check=False)
    install = ["apt-get", "install", "--yes", "--no-install-recommends", package]
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    if subprocess.run(install, capture_output=True, check=False, env=env).returncode != 0:
        return f"apt-get cannot install {package}"
    return None


@nox.session(default=False)
def molecule(session: nox.Session) -> None:
    """Run the Molecule scenarios on two labs: all but what make faults runs, or those that the arguments name."""
    if obstacle := _obstacle_to_a_lab():
        session.skip(f"there can be no lab of virtual hosts here: {obstacle}")
    session.install(f"ansible-core~={_LAB_CORE}.0", "molecule")
    # When interrupted, it takes the labs down.
    timeouts = {"interrupt_timeout": 1, "terminate_timeout": 110}
    session.run("python", "tests/lab/run_scenarios.py", *session.posargs, **timeouts)


def _obstacle_to_a_lab() -> str | None:
    """Return why this machine cannot run virtual hosts, if so."""
    if os.geteuid() != 0:
        return "that needs root"
    if shutil.which("mmdebstrap"):
        return None
    if not shutil.which("apt-get"):
        return "mmdebstrap is not installed, and there is no apt-get to install it"
    subprocess.run(["apt-get", "update"], capture_output=True, check=False)
    install = ["apt-get", "install", "--simulate", "mmdebstrap"]
    if subprocess.run(install, capture_output=True, check=False).returncode != 0:
        return "mmdebstrap is not installed, and apt-get cannot install it"
    return None


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the documentation as HTML, guides and changelog included, and fail on a dead reference."""
    place = Path("docs/build").resolve()
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700)
    session.install("ansible-core", "antsibull-changelog", "antsibull-docs")
    env = {"ANSIBLE_COLLECTIONS_PATH": str(_with_changelog(session, place / "collections"))}
    session.run(
        *("antsibull-docs", "sphinx-init", "--use-current", "--lenient"),
        *("--dest-dir", str(place), "vfio.migration"),
        env=env,
    )
    session.install("-r", str(place / "requirements.txt"))
    (place / "rst").chmod(0o700)
    with session.chdir(place):
        session.run(
            *("antsibull-docs", "--config-file", "antsibull-docs.cfg", "collection"),
            *("--cleanup", "everything", "--use-current", "--dest-dir", "rst", "vfio.migration"),
            env=env,
        )
        sphinx = ("sphinx-build", "-M", "html", "rst", "build", "-c", ".")
        session.run(*sphinx, "-q", "-w", "warnings.txt")
    if ours := _warnings_of_ours((place / "warnings.txt").read_text()):
        session.error("Sphinx warns:\n" + "\n".join(ours))


def _with_changelog(session: nox.Session, place: Path) -> Path:
    """Return a path of collections with this one in ``place``, where the changelog has what the next release will say."""
    checkout = place / "ansible_collections/vfio/migration"
    checkout.mkdir(parents=True)
    for each in Path(".collections/ansible_collections/vfio/migration").iterdir():
        if each.name == "changelogs":
            shutil.copytree(each, checkout / each.name)
        else:
            (checkout / each.name).symlink_to(each.resolve())
    version = re.search(r"^version: (\S+)$", Path("galaxy.yml").read_text(), re.MULTILINE)
    released = (checkout / "changelogs/changelog.yaml").read_text()
    if version and f"\n  {version[1]}:\n" not in released:
        with session.chdir(checkout):
            session.run("antsibull-changelog", "release", "--version", version[1])
    return place


def _warnings_of_ours(warnings: str) -> list[str]:
    """Return Sphinx's warnings but those of Ansible's documentation, which is not there offline."""
    label = re.compile(r"undefined label: '(?!ansible_collections[.]vfio[.]migration[.])")
    known = "failed to reach any of the inventories"
    lines = [line for line in warnings.splitlines() if "WARNING: " in line or "ERROR: " in line]
    return [each for each in lines if not label.search(each) and known not in each]
