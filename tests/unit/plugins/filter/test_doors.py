# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fuzzers of filters: whatever is wrong in facts, plans and answers of hosts is an error with words, or a result of its shape."""

from __future__ import annotations

import copy
import functools
import inspect
import types
import typing as t

import pytest
from ansible.errors import AnsibleError
from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_arguments import ARGUMENTS
from ansible_collections.vfio.migration.tests.unit.filter_calls import CALLS, Step, filter_of
from ansible_collections.vfio.migration.tests.unit.fuzzing import damaged, through
from ansible_collections.vfio.migration.tests.unit.hostile_texts import HostileWorld
from hypothesis import given
from hypothesis import strategies as st

# What filters of the collection return, or a plan as a file has it. What is wrong there may be wrong in a result, too.
PASSED_ON = {"guests", "checks", "migrations", "attempts", "unplaced", "states", "plan", "made"}


@functools.cache
def arguments_of(name: str) -> dict[str, t.Any]:
    return CALLS[name](Step(HostileWorld("none", "")))


def conforms(value: t.Any, shape: t.Any) -> bool:
    """Return whether a result is of the shape that a filter declares."""
    origin, arguments = t.get_origin(shape), t.get_args(shape)
    if shape is t.Any:
        return True
    if t.is_typeddict(shape):
        hints = t.get_type_hints(shape, include_extras=True)
        required = {name for name, hint in hints.items() if not contract.may_be_absent(hint)}
        # One without fields has those of something else.
        return isinstance(value, dict) and (
            not hints
            or (
                required <= value.keys() <= hints.keys()
                and all(conforms(each, hints[name]) for name, each in value.items())
            )
        )
    if origin in (t.Annotated, contract.NotRequired):
        return conforms(value, arguments[0])
    if origin in (t.Union, types.UnionType):
        return any(conforms(value, each) for each in arguments)
    if origin is list:
        return isinstance(value, list) and all(conforms(each, arguments[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            conforms(name, arguments[0]) and conforms(each, arguments[1])
            for name, each in value.items()
        )
    if shape is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, shape)


@pytest.mark.parametrize("name", sorted(CALLS))
@given(data=st.data())
def test_a_filter_ends_with_an_error_of_its_own_or_a_result_of_its_shape(name, data):
    sound = arguments_of(name)
    wrong = data.draw(st.sampled_from([*sound, tuple(sound)]))
    arguments = copy.deepcopy(sound)
    chosen = {wrong} if isinstance(wrong, str) else {*wrong}
    for each in sorted(chosen):
        arguments[each] = data.draw(damaged(sound[each]))
    result = through(lambda: filter_of(name)(**arguments), AnsibleError)
    hints = t.get_type_hints(inspect.unwrap(filter_of(name)), include_extras=True)
    assert result is None or chosen & PASSED_ON or conforms(result, hints["return"])


@pytest.mark.parametrize("said", ["x" * 20_000, "\x1b[2J", "vfio"])
def test_an_error_says_nothing_of_what_led_to_it(said):
    """ansible-core adds the texts of causes, and what a host has said is one."""
    arguments = {**arguments_of("migration_failure"), "logs": [{"ansible_loop_var": said}]}
    with pytest.raises(AnsibleError) as caught:
        filter_of("migration_failure")(**arguments)
    sentence = "the list of logs is none; expected the results of a loop over logs"
    assert str(caught.value) == f"vfio.migration.migration_failure: {sentence}"


def nested(depth: int) -> list[t.Any]:
    found: list[t.Any] = []
    for _level in range(depth):
        found = [found]
    return found


# Options that are not handed over from host to filter, but written by an operator.
ODD = (
    10**5000,
    {10**5000: 1},
    {("a",): 1},
    {"a": {"a": -(10**5000)}},
    [None],
    "\x1b[2J",
    nested(100_000),
)


@pytest.mark.parametrize("name", sorted(CALLS))
def test_an_option_of_the_wrong_kind_is_an_error_in_words(name):
    sound = arguments_of(name)
    parameters = inspect.signature(inspect.unwrap(filter_of(name))).parameters.values()
    options = {each.name for each in parameters if each.kind != each.VAR_KEYWORD}
    if any(each.kind == each.VAR_KEYWORD for each in parameters):
        options |= ARGUMENTS.keys()
    for option in sorted(options - {"fleet", "plan"}):
        for value in ODD:
            through(
                lambda arguments={**sound, option: value}: filter_of(name)(**arguments),
                AnsibleError,
            )
