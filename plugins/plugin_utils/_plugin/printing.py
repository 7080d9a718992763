# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What filters and actions return, with every sentence in it fit for a terminal.

Names and values in results are data, and stay as they are. What is a sentence, the shape of a result says.
"""

from __future__ import annotations

import functools
import types
import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    MAX_MESSAGE,
    printable,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    NotRequired,
    Paragraph,
    Sentence,
)

Value = t.TypeVar("Value")
Shown = t.TypeVar("Shown", str, list[str])
# What is shown has so many lines or sentences, and a text so many characters; files have the rest.
MAX_LINES = 200
MAX_SHOWN = 4 * MAX_MESSAGE
_Printer = t.Callable[[t.Any], t.Any]


def printed(value: Value, shape: t.Any) -> Value:
    """Return ``value``, which is of ``shape``, with its sentences printable.

    A shape is a type of the contract, or one that is made of them. Raise ``FleetError`` where the value is of another:
    then something is, that a filter was handed over and has passed on.
    """
    printer = _printer(shape)
    if printer is None:
        return value
    try:
        return t.cast(Value, printer(value))
    except (AttributeError, TypeError, ValueError) as error:
        raise FleetError(
            "something in the arguments is not what this collection's filters and modules return"
        ) from error


def bounded(shown: Shown) -> Shown:
    """Return what is shown to an operator, a text of several lines or a list of sentences, cut to a size that can be read."""
    if isinstance(shown, list):
        return _first_lines(shown)
    return "\n".join(_first_lines(shown[:MAX_SHOWN].split("\n")))


def failed(result: dict[str, t.Any], name: str, error: Exception) -> dict[str, t.Any]:
    """Return the ``result`` of the action with this name that has failed with an ``error`` that is shown to the operator.

    Before 2.19 ansible-core shows an exception that an action raises beside its message, in Python's words.
    """
    message = bounded(printed(f"vfio.migration.{name}: {error}", Paragraph))
    return {**result, "failed": True, "msg": message}


def explained(run: t.Callable[..., dict[str, t.Any]]) -> t.Callable[..., dict[str, t.Any]]:
    """Return an action's ``run`` with its errors as results that ``failed``."""

    @functools.wraps(run)
    def explaining(
        self: t.Any, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        try:
            return run(self, tmp, task_vars)
        except (VfioMigrationError, AnsibleActionFail) as error:
            return failed({}, str(self._task.action).rpartition(".")[2], error)

    return explaining


def _first_lines(lines: list[str]) -> list[str]:
    # The last lines say what to do.
    more = len(lines) - MAX_LINES
    if more <= 0:
        return lines
    half = MAX_LINES // 2
    return [*lines[:half], f"... {more:,} more ...", *lines[-half:]]


def printed_throughout(value: t.Any) -> t.Any:
    """Return ``value`` with every text in it printable, line by line; what is of no type of JSON stays as it is."""
    if isinstance(value, str):
        return _paragraph(value)
    if isinstance(value, dict):
        return {printed_throughout(key): printed_throughout(each) for key, each in value.items()}
    if isinstance(value, list):
        return [printed_throughout(each) for each in value]
    return value


@functools.cache
def _printer(shape: t.Any) -> _Printer | None:
    """Return what makes the sentences of values of ``shape`` printable; ``None`` where it has none."""
    if shape == Sentence:
        return _sentence
    if shape == Paragraph:
        return _paragraph
    if t.is_typeddict(shape):
        return _of_fields(shape)
    origin, arguments = t.get_origin(shape), t.get_args(shape)
    if origin in (t.Annotated, NotRequired):
        return _printer(arguments[0])
    if origin in (t.Union, types.UnionType):
        return _of_choices(arguments)
    inner = _printer(arguments[-1]) if origin in (list, dict) else None
    if inner is None:
        return None
    return functools.partial(_of_items if origin is list else _of_values, inner)


def _sentence(text: t.Any) -> str:
    return printable(str(text), MAX_MESSAGE)


def _paragraph(text: str) -> str:
    return "\n".join(map(_sentence, text.split("\n")))


def _of_fields(shape: t.Any) -> _Printer | None:
    hints = t.get_type_hints(shape, include_extras=True)
    printers = {name: printer for name, hint in hints.items() if (printer := _printer(hint))}

    def print_fields(value: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        sentences = {name: each(value[name]) for name, each in printers.items() if name in value}
        return {**value, **sentences}

    return print_fields if printers else None


def _of_choices(choices: t.Iterable[t.Any]) -> _Printer | None:
    """Return the printer of the only one of ``choices`` beside ``None``; more than one must not have sentences."""
    choices = [each for each in choices if each is not types.NoneType]
    printers = [printer for each in choices if (printer := _printer(each))]
    if not printers:
        return None
    if len(choices) > 1:
        raise TypeError(f"which of {choices} has sentences cannot be distinguished from a value")
    return lambda value: None if value is None else printers[0](value)


def _of_items(printer: _Printer, values: t.Iterable[t.Any]) -> list[t.Any]:
    return [printer(each) for each in values]


def _of_values(printer: _Printer, values: t.Mapping[t.Any, t.Any]) -> dict[t.Any, t.Any]:
    return {key: printer(each) for key, each in values.items()}
