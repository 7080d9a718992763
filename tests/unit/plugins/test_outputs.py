# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever the collection shows on the control node is printable, whatever hosts say.

The plugins are those that are there: a new one without a place in ``CALLS`` or ``REPORTS`` fails the first test.
"""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import typing as t
from unittest import mock

import pytest
from ansible.errors import AnsibleError
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    is_printable,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.answers import (
    DocumentedAction,
    documented,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.fleet_question import (
    FleetQuestion,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.guest_move import GuestAction
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
    report_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.steps import StepAction
from ansible_collections.vfio.migration.plugins.plugin_utils._report.html import as_html
from ansible_collections.vfio.migration.plugins.plugin_utils._report.markdown import as_markdown
from ansible_collections.vfio.migration.tests.unit.filter_calls import (
    CALLS,
    PACKAGE,
    Step,
    filter_of,
    plugins,
)
from ansible_collections.vfio.migration.tests.unit.hostile_texts import (
    ALL,
    FIELDS,
    STEERING,
    SURROGATE,
    HostileWorld,
    unprintable,
)

# Their results are for programs alone, and keep every text as it was.
DATA = {"migration_way_back", "parse_descriptor", "retarget_domain"}
# Actions whose results are tried here; those of all others go through their base classes or documented().
REPORTS = {"migration_plan", "migration_report"}


@pytest.fixture(
    params=[
        *((field, STEERING) for field in (*FIELDS, ALL)),
        *((field, SURROGATE) for field in ("vm", "id", "problem", ALL)),
        *((field, "\n==\nvm-1: all is well") for field in ("vm", "problem", ALL)),
    ],
    ids=lambda param: f"{param[0]}-{ascii(param[1])[:8]}",
)
def step(request: pytest.FixtureRequest) -> Step:
    # With a world of its own: what is said of it while a filter is tried is data of that filter alone.
    return copy.deepcopy(planned_step(*request.param))


@functools.cache
def planned_step(field: str, text: str) -> Step:
    return Step(HostileWorld(field, text))


def test_every_plugin_has_a_place_here():
    assert sorted(CALLS) == sorted(plugins("filter") + plugins("test"))
    for name in {*plugins("action")} - REPORTS:
        module = importlib.import_module(f"{PACKAGE}.action.{name}")
        shown = (StepAction, DocumentedAction, GuestAction, FleetQuestion)
        shows = issubclass(module.ActionModule, shown)
        assert shows or module.documented is documented, name
    assert {*plugins("action")} >= REPORTS


class Told(StepAction):
    """A step of a playbook that tells what it was given."""

    playbook = "report"
    options: t.ClassVar = {"words": {"type": "raw"}}
    steps: t.ClassVar = {}

    @staticmethod
    def first(options: dict[str, t.Any], hostvars: t.Any, check_mode: bool) -> dict[str, t.Any]:
        if options["words"] is None:
            raise FleetError(f"x{STEERING}")
        words = options["words"]
        return {"sentences": [words], "failure": f"{words}\n{words}", "plan": words}


def ran(words: str | None) -> dict[str, t.Any]:
    task = mock.Mock(args={"step": "begin", "words": words}, async_val=0, check_mode=False)
    action = Told(task, mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock())
    return action.run(task_vars={"hostvars": {}, "groups": {}})


def test_steps_of_playbooks_tell_printable_sentences():
    result = ran(f"x{STEERING}")
    shown = [*result["sentences"], *result["failure"].split("\n")]
    assert len(shown) == 3
    assert [*unprintable(shown)] == []
    assert result["plan"] == f"x{STEERING}"


def test_a_step_that_fails_says_why_and_shows_no_exception():
    result = ran(None)
    assert result["failed"] is True
    assert "exception" not in result
    assert result["msg"].startswith("vfio.migration.report: x")
    assert [*unprintable([result["msg"]])] == []


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
