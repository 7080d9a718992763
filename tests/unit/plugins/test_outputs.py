# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever the collection shows on the control node is printable, whatever hosts say.

The plugins are those that are there: a new one without a place in ``CALLS`` or ``REPORTS`` fails the first test.
"""

from __future__ import annotations

import importlib
import inspect
import typing as t
from pathlib import Path

import pytest
from ansible.errors import AnsibleError
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    is_printable,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._report.html import as_html
from ansible_collections.vfio.migration.plugins.plugin_utils._report.markdown import as_markdown
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, gvt
from ansible_collections.vfio.migration.tests.unit.hostile_texts import (
    ALL,
    FIELDS,
    STEERING,
    SURROGATE,
    HostileWorld,
    unprintable,
)

PLUGINS = Path(__file__).parents[3] / "plugins"
_PACKAGE = "ansible_collections.vfio.migration.plugins"
# Their results are for programs alone, and keep every text as it was.
DATA = {"parse_descriptor", "retarget_domain"}


def plugins(kind: str) -> list[str]:
    return sorted(path.stem for path in (PLUGINS / kind).glob("*.py"))


def filter_of(name: str) -> t.Callable[..., t.Any]:
    kind = "filter" if name in plugins("filter") else "test"
    return getattr(importlib.import_module(f"{_PACKAGE}.{kind}.{name}"), name)


class Step:
    """What filters return for a world, from which the arguments of others are made, as the roles do it."""

    def __init__(self, world: HostileWorld) -> None:
        self.world = world
        self.fleet = world.facts
        self.plan = plan_for(world.facts, drain=[world.source])
        self.libvirt = world.libvirt()

    @property
    def guests(self) -> t.Any:
        return filter_of("libvirt_guests")(self.fleet, self.libvirt, drain=[self.world.source])

    @property
    def domains(self) -> list[dict[str, t.Any]]:
        guests = [each for each in self.guests if each["uuid"]]
        told = [self.world.answered(each) for each in guests[:1]]
        return told + [self.world.answered(each, 0, self.world.domain()) for each in guests[1:]]

    @property
    def checks(self) -> t.Any:
        arguments = (self.guests, self.fleet, self.libvirt, self.domains)
        return filter_of("libvirt_checks")(*arguments, drain=[self.world.source])

    @property
    def migrations(self) -> t.Any:
        return filter_of("libvirt_rounds")(self.checks["chosen"], self.plan)

    @property
    def states(self) -> t.Any:
        return filter_of("placement_states")(self.fleet, self.plan)

    @property
    def attempts(self) -> list[dict[str, t.Any]]:
        world = self.world
        words = world.name("log", f"2026-01-01: failed to load device state of {world.guests[0]}")
        moved = [each | {"state": "moved"} for each in self.states]
        autostart = world.answered({})
        return [
            {"vm": world.guests[0], "host": world.source, "said": [words], "states": self.states},
            {
                "vm": world.guests[1],
                "host": world.source,
                "said": [],
                "states": moved,
                "log": words,
                "autostart": autostart,
            },
        ]

    @property
    def logs(self) -> list[dict[str, t.Any]]:
        world = self.world
        line = world.name("log", "2026-01-01 00:00:00: cannot write state")
        kernel = world.name("log", "[   12.000001] vfio: cannot")
        return [
            world.answered({"host": world.source, "who": "QEMU"}, 0, line),
            world.answered({"host": world.target, "who": "the kernel"}, 0, kernel),
            world.answered({"host": world.target, "who": "QEMU"}) | {"unreachable": True},
        ]


# The arguments with which each filter and test says something of every text of a world.
CALLS: dict[str, t.Callable[[Step], dict[str, t.Any]]] = {
    "compatibility": lambda step: {
        "source": gvt(remote_url=step.world.name("value", "x")),
        "target": gvt("8", "1"),
    },
    "compatible_pairs": lambda step: {"fleet": step.fleet, "expand": True},
    "compatible_with": lambda step: {"source": gvt(), "target": gvt()},
    "explain": lambda step: {
        "fleet": step.fleet,
        "source": {"host": step.world.source, "id": step.world.ids[0]},
        "target": step.world.target,
    },
    "libvirt_checks": lambda step: {
        "guests": step.guests,
        "fleet": step.fleet,
        "libvirt": step.libvirt,
        "domains": step.domains,
        "drain": [step.world.source],
        "targets": [step.world.target, step.world.name("host", "c")],
    },
    "libvirt_guests": lambda step: {
        "fleet": step.fleet,
        "libvirt": step.libvirt,
        "guests": [*step.world.guests, step.world.name("vm", "vm-9")],
    },
    "libvirt_memory": lambda step: {"xml": step.world.domain(), "there": "MemAvailable: 1 kB"},
    "libvirt_rounds": lambda step: {"guests": step.checks["chosen"], "plan": step.plan},
    "migration_failure": lambda step: {
        "logs": step.logs,
        "state": {"rc": 0, "stdout": step.world.name("state", "paused (ioerror)")},
        "host": step.world.source,
        "before": {},
        "exceeded": 5,
    },
    "migration_plan": lambda step: {"fleet": step.fleet, "drain": [step.world.source]},
    "migration_result": lambda step: {
        "checks": step.checks,
        "migrations": step.migrations,
        "attempts": step.attempts,
        "unplaced": step.plan["unplaced"],
        "problems": [step.world.name("error", "it cannot be removed")],
    },
    "parse_descriptor": lambda step: {"text": f"a={step.world.name('value', 'x')}"},
    "placement_states": lambda step: {"fleet": step.fleet, "plan": step.plan},
    "plan_summary": lambda step: {
        "plan": step.plan,
        "left_out": {step.world.source: step.world.name("error", "it does not answer")},
    },
    "prepared_devices": lambda step: {
        "plan": step.plan,
        "host": step.world.target,
        "results": [
            {"failed": True, "msg": step.world.name("error", "no"), "device": UUIDS[0]},
            {"unreachable": True, "msg": step.world.name("error", "away")},
            {"skipped": True},
        ],
    },
    "printable": lambda step: {"value": step.world.name("error", "x")},
    "retarget_domain": lambda step: {"xml": step.world.domain(), "plan": step.plan},
    "superfluous_devices": lambda step: {
        "states": step.states,
        "remove": ["prepared", "vacated"],
        "hosts": [step.world.source, step.world.target],
    },
    "vdpa_common_features": lambda step: {"fleet": step.fleet},
}
# The actions' results are those of migration_plan and of a report; what else they show is tried with them.
REPORTS = ("migration_plan", "migration_report")


@pytest.fixture(
    params=[
        *((field, STEERING) for field in (*FIELDS, ALL)),
        *((field, SURROGATE) for field in ("vm", "id", "problem", ALL)),
        *((field, "\n==\nvm-1: all is well") for field in ("vm", "problem", ALL)),
    ],
    ids=lambda param: f"{param[0]}-{ascii(param[1])[:8]}",
)
def step(request: pytest.FixtureRequest) -> Step:
    return Step(HostileWorld(*request.param))


def test_every_plugin_has_a_place_here():
    assert sorted(CALLS) == sorted(plugins("filter") + plugins("test"))
    assert sorted(REPORTS) == plugins("action")


def messages(name: str, arguments: dict[str, t.Any]) -> list[str]:
    """Return the messages of the error that a filter ends with, none where it does not; no other error may come."""
    try:
        filter_of(name)(**arguments)
    except AnsibleError as error:
        return [*chain(error)]
    return []


def chain(error: BaseException | None) -> t.Iterator[str]:
    """Yield the messages of an error and of all that it comes from, as newer versions of Ansible show them."""
    while error is not None:
        yield str(error)
        error = error.__cause__


def hidden_in(name: str, result: t.Any, world: HostileWorld) -> list[str]:
    """Return what of a result is no name or value as it was given, and must not be shown."""
    lines = [
        line
        for found in unprintable(result)
        if found not in world.data
        for line in (found.split("\n") if name == "plan_summary" else [found])
    ]
    return [line for line in lines if not is_printable(line)]


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_result_has_names_as_they_are_and_sentences_that_are_printable(name, step):
    arguments = CALLS[name](step)
    told = messages(name, arguments)
    if told:
        assert [*unprintable(told)] == []
    elif name not in DATA:
        assert hidden_in(name, filter_of(name)(**arguments), step.world) == []


def mistakes(name: str, world: HostileWorld) -> t.Iterator[t.Any]:
    """Yield what somebody else might hand over for an argument."""
    text = world.name("vm", "x")
    yield from (text, [text], {text: text}, [{text: text}], [{"host": text, "id": text}])
    yield from ({"host": text, "id": text}, {text: None}, {"placements": [{text: text}]})
    yield from (None, 7, [None], [[text]])


@pytest.mark.parametrize("name", sorted(CALLS))
def test_what_is_wrong_with_an_argument_is_told_in_printable_words(name):
    step = Step(HostileWorld("vm", STEERING))
    right = CALLS[name](step)
    for argument in inspect.signature(filter_of(name)).parameters:
        for mistake in mistakes(name, step.world):
            arguments = right | ({} if argument == "options" else {argument: mistake})
            assert [*unprintable(messages(name, arguments))] == [], (argument, mistake)


def test_a_report_shows_printable_text_alone(step):
    world = step.world
    for plan in (None, step.plan):
        report = report_for(world.facts, plan=plan, title=world.name("error", "Report"))
        assert hidden_in("report", report | {"title": ""}, world) == []
        for document in (as_markdown(report), as_html(report)):
            assert [each for each in document.split("\n") if not is_printable(each)] == []


@pytest.mark.parametrize("name", sorted(set(CALLS) - DATA))
def test_harmless_names_are_no_mistake(name):
    assert messages(name, CALLS[name](Step(HostileWorld(ALL, "-x")))) == []


# What only programs or the page's script look at.
NOT_SHOWN = {"path", "type_name", "description"}


@pytest.mark.parametrize("field", sorted(set(FIELDS) - NOT_SHOWN))
def test_a_text_of_each_kind_is_shown_somewhere_with_its_escapes(field):
    step = Step(HostileWorld(field, STEERING))
    results = [filter_of(name)(**CALLS[name](step)) for name in sorted(set(CALLS) - DATA)]
    results.append(report_for(step.world.facts, plan=step.plan))
    shown = r"\\x1b[2J\\x9b1m\\x7f\\u202e" in repr(results)
    assert shown, f"nothing says anything of a hostile {field}"
