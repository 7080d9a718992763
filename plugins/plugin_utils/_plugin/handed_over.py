# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Plans that are handed over, out of a file or a variable: whether they have the shape of the contract, and where not."""

from __future__ import annotations

import functools
import types
import typing as t
from collections.abc import Callable, Mapping, Sequence

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import plain_text
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import quoted
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import SCHEMA
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    NotRequired,
    may_be_absent,
)

# Where below a value something is wrong, and what would be right there.
_Fault = tuple[str, str]
_FaultFinder = Callable[[t.Any], _Fault | None]

_PLAIN: dict[t.Any, str] = {
    str: "a text",
    int: "an integer",
    bool: "true or false",
    type(None): "null",
}


class _Named(t.TypedDict):
    """What is needed of a source or target to find it again."""

    host: str
    kind: str
    id: str


class _Move(t.TypedDict):
    """What is needed of a placement to follow it."""

    vm: str | None
    vm_uuid: NotRequired[str]
    source: _Named
    target: _Named


class _Why(t.TypedDict):
    """What is needed of a reason to pass it on."""

    host: str | None
    reason: str


class _Staying(t.TypedDict):
    """What is needed of a device that is left behind to say why."""

    source: _Named
    reasons: list[_Why]


class _Moves(t.TypedDict):
    """What is needed of a plan to follow its moves."""

    placements: list[_Move]
    unplaced: NotRequired[list[_Staying]]


class _MadeTarget(t.TypedDict):
    """What is needed of a target to find under which parent it failed."""

    host: str
    id: str
    parent: str | None


class _Made(t.TypedDict):
    """What is needed of a placement to find what has failed with it."""

    vm: str | None
    vm_uuid: NotRequired[str]
    source: _Named
    target: _MadeTarget


class _Mdev(t.TypedDict):
    uuid: str


class _Function(t.TypedDict):
    address: str


class _VdpaDevice(t.TypedDict):
    name: str


class _Tasks(t.TypedDict):
    """What is needed of what the modules on a host are to make."""

    devices: NotRequired[list[_Mdev]]
    pci_devices: NotRequired[list[_Function]]
    vdpa_devices: NotRequired[list[_VdpaDevice]]


class _Preparing(t.TypedDict):
    """What is needed of a plan to find what was made for it."""

    hosts: dict[str, _Tasks]
    placements: NotRequired[list[_Made]]


_WRONG = "the plan is none; expected what migration_plan returns"


def check_plan(name: str, value: t.Any) -> None:
    """Raise ``FleetError`` where the argument ``name`` is no plan: with the place in it, and what would be right."""
    check_schema(f"'{name}'", value)
    _check(value, contract.Plan, f"'{name}' is not a plan of vfio.migration.migration_plan")


def check_headroom(name: str, value: t.Any) -> None:
    """Raise ``FleetError`` where the argument ``name`` is no headroom: with the place in it, and what would be right."""
    _check(
        value, contract.Headroom, f"'{name}' is not a headroom of vfio.migration.migration_headroom"
    )


def check_form(value: t.Any, shape: t.Any, wrong: str) -> None:
    """Raise ``FleetError``, which says that it is ``wrong``, where ``value`` does not have ``shape``: with the place in it."""
    _check(value, shape, wrong)


def check_schema(shown: str, value: t.Any) -> None:
    """Raise ``FleetError`` where ``value``, shown so, is a plan of another schema: whatever it means, it is not what is read here."""
    schema = value.get("schema", SCHEMA) if isinstance(value, Mapping) else SCHEMA
    if isinstance(schema, bool) or schema != SCHEMA:
        made_by = plain_text(value.get("collection"))
        raise FleetError(
            f"{shown} is a plan of schema {quoted(schema)}, and this version of vfio.migration reads schema {SCHEMA}:"
            f" use the version that made it{f', {made_by},' if made_by else ''} or plan again"
        )


def check_moves(plan: t.Any) -> None:
    """Raise ``FleetError`` where ``plan`` has no moves that can be followed; it may lack what is not needed for that."""
    check_schema("the plan", plan)
    _check(plan, _Moves, _WRONG)


def check_tasks(plan: t.Any) -> None:
    """Raise ``FleetError`` where ``plan`` has no tasks for hosts, or moves that these are not of."""
    check_schema("the plan", plan)
    _check(plan, _Preparing, _WRONG)


def check_answer(value: t.Any, shape: t.Any) -> None:
    """Raise ``FleetError`` where what a module returned on a host does not have the ``shape`` that it documents."""
    _check(value, shape, "its answer is none of the module")


def _check(value: t.Any, shape: t.Any, wrong: str) -> None:
    found = _fault_finder(shape)(value)
    if found is not None:
        place, expected = found
        where = f" at {place.lstrip('.')}" if place else ""
        raise FleetError(f"{wrong}:{where} {expected} is expected")


@functools.cache
def _fault_finder(shape: t.Any) -> _FaultFinder:
    """Return what finds where a value is not of ``shape``.

    Made once: to find out what a shape is takes longer than to check a value.
    """
    origin, arguments = t.get_origin(shape), t.get_args(shape)
    if origin in (t.Annotated, NotRequired):
        return _with_keywords(arguments)
    if origin in (t.Union, types.UnionType):
        return _of_choices(arguments)
    if t.is_typeddict(shape):
        return _of_fields(shape)
    if origin is list:
        return _of_items(arguments[0])
    if origin is dict:
        return _of_values(arguments[1])
    return _of_plain(shape)


def _of_plain(shape: t.Any) -> _FaultFinder:
    fault = ("", _PLAIN[shape])
    if shape is not int:
        return lambda value: None if isinstance(value, shape) else fault
    return lambda value: None if isinstance(value, int) and not isinstance(value, bool) else fault


def _of_choices(shapes: tuple[t.Any, ...]) -> _FaultFinder:
    finders = [_fault_finder(each) for each in shapes]

    def find(value: t.Any) -> _Fault | None:
        faults = []
        for each in finders:
            fault = each(value)
            if fault is None:
                return None
            faults.append(fault)
        # What is wrong deep inside is more to the point than that it is not null.
        return max(faults, key=lambda each: len(each[0]))

    return find


def _with_keywords(arguments: tuple[t.Any, ...]) -> _FaultFinder:
    """Return what finds the fault of a value of the first of these, with the keywords of a JSON Schema in the others."""
    inner = _fault_finder(arguments[0])
    rules = [dict(each) for each in arguments[1:] if isinstance(each, tuple)]
    if not rules:
        return inner

    def find(value: t.Any) -> _Fault | None:
        fault = inner(value)
        if fault is not None:
            return fault
        faults = (_fault_by(each, value) for each in rules)
        return next((each for each in faults if each is not None), None)

    return find


def _fault_by(rules: dict[str, t.Any], value: t.Any) -> _Fault | None:
    choices = rules.get("enum")
    if choices is not None and value not in choices:
        return "", f"one of {', '.join(choices)}"
    least = rules.get("minimum")
    if least is not None and value < least:
        return "", f"an integer from {least} on"
    if len(value) < rules["minItems"] if "minItems" in rules else False:
        return "", f"a list of {rules['minItems']} or more"
    return None


def _of_fields(shape: t.Any) -> _FaultFinder:
    fields = [
        (name, _fault_finder(field), may_be_absent(field))
        for name, field in t.get_type_hints(shape, include_extras=True).items()
    ]

    def find(value: t.Any) -> _Fault | None:
        if not isinstance(value, Mapping):
            return "", "a mapping"
        for name, finder, optional in fields:
            if name in value:
                fault = finder(value[name])
                if fault is not None:
                    return _below(f".{name}", fault)
            elif not optional:
                return "", f"the key '{name}'"
        return None

    return find


def _of_items(shape: t.Any) -> _FaultFinder:
    finder = _fault_finder(shape)

    def find(value: t.Any) -> _Fault | None:
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
            return "", "a list"
        for index, each in enumerate(value):
            fault = finder(each)
            if fault is not None:
                return _below(f"[{index}]", fault)
        return None

    return find


def _of_values(shape: t.Any) -> _FaultFinder:
    finder = _fault_finder(shape)

    def find(value: t.Any) -> _Fault | None:
        if not isinstance(value, Mapping):
            return "", "a mapping"
        if not all(isinstance(key, str) for key in value):
            return "", "a text for each key"
        for key, each in value.items():
            fault = finder(each)
            if fault is not None:
                return _below(f".{key}", fault)
        return None

    return find


def _below(place: str, fault: _Fault) -> _Fault:
    return place + fault[0], fault[1]
