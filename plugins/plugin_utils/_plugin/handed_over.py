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

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import plain_text
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import quoted
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.planner import SCHEMA
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    NotRequired,
    may_be_absent,
)

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
    """What is needed of a target to tell under which parent it failed."""

    host: str
    id: str
    parent: str | None


class _Made(t.TypedDict):
    """What is needed of a placement to tell what has failed with it."""

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
    """What is needed of a plan to tell what was made for it."""

    hosts: dict[str, _Tasks]
    placements: NotRequired[list[_Made]]


_WRONG = "the plan is none; expected what migration_plan returns"


def check_plan(name: str, value: t.Any) -> None:
    """Raise ``FleetError`` where the argument ``name`` is no plan: with the place in it, and what would be right."""
    check_schema(f"'{name}'", value)
    _check(value, contract.Plan, f"'{name}' is no plan of vfio.migration.migration_plan")


def check_headroom(name: str, value: t.Any) -> None:
    """Raise ``FleetError`` where the argument ``name`` is no headroom: with the place in it, and what would be right."""
    _check(
        value, contract.Headroom, f"'{name}' is no headroom of vfio.migration.migration_headroom"
    )


def check_form(value: t.Any, shape: t.Any, wrong: str) -> None:
    """Raise ``FleetError``, which says that it is ``wrong``, where ``value`` does not have ``shape``: with the place in it."""
    _check(value, shape, wrong)


def check_schema(shown: str, value: t.Any) -> None:
    """Raise ``FleetError`` where ``value``, shown so, is a plan of another schema: whatever it means, it is not what is read here."""
    schema = value.get("schema", SCHEMA) if isinstance(value, t.Mapping) else SCHEMA
    if isinstance(schema, bool) or schema != SCHEMA:
        made_by = plain_text(value.get("collection"))
        raise FleetError(
            f"{shown} is a plan of schema {quoted(schema)}, and this version of vfio.migration reads schema {SCHEMA}:"
            f" use the version that made it{f', {made_by},' if made_by else ''} or plan anew"
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
    found = _fault(value, shape, "")
    if found is not None:
        place, expected = found
        where = f" at {place.lstrip('.')}" if place else ""
        raise FleetError(f"{wrong}:{where} {expected} is expected")


def _fault(value: t.Any, shape: t.Any, place: str) -> tuple[str, str] | None:
    """Return where ``value`` is not of ``shape``, and what would be right; ``None`` where it is."""
    origin, arguments = t.get_origin(shape), t.get_args(shape)
    if origin in (t.Annotated, NotRequired):
        return _fault_with(value, arguments, place)
    if origin in (t.Union, types.UnionType):
        faults = [_fault(value, each, place) for each in arguments]
        if None in faults:
            return None
        # What is wrong deep inside is more to the point than that it is not null.
        return max((each for each in faults if each), key=lambda each: len(each[0]))
    if t.is_typeddict(shape):
        return _fault_in_fields(value, shape, place)
    if origin is list:
        return _fault_in_list(value, arguments[0], place)
    if origin is dict:
        return _fault_in_values(value, arguments[1], place)
    plain = isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
    return None if plain else (place, _PLAIN[shape])


def _fault_with(value: t.Any, arguments: tuple[t.Any, ...], place: str) -> tuple[str, str] | None:
    """Return the fault of a value of the first of these, with the keywords of a JSON Schema in the others."""
    fault = _fault(value, arguments[0], place)
    if fault is not None:
        return fault
    for keywords in arguments[1:]:
        rules = dict(keywords) if isinstance(keywords, tuple) else {}
        choices = rules.get("enum")
        if choices is not None and value not in choices:
            return place, f"one of {', '.join(choices)}"
        least = rules.get("minimum")
        if least is not None and value < least:
            return place, f"an integer from {least} on"
        if len(value) < rules["minItems"] if "minItems" in rules else False:
            return place, f"a list of {rules['minItems']} or more"
    return None


def _fault_in_fields(value: t.Any, shape: t.Any, place: str) -> tuple[str, str] | None:
    if not isinstance(value, t.Mapping):
        return place, "a mapping"
    for name, field in _fields_of(shape):
        if name in value:
            fault = _fault(value[name], field, f"{place}.{name}")
            if fault is not None:
                return fault
        elif not may_be_absent(field):
            return place, f"the key '{name}'"
    return None


@functools.cache
def _fields_of(shape: t.Any) -> list[tuple[str, t.Any]]:
    """Return the fields of a shape with what they are to be; to find that out takes longer than to check a value."""
    return list(t.get_type_hints(shape, include_extras=True).items())


def _fault_in_list(value: t.Any, shape: t.Any, place: str) -> tuple[str, str] | None:
    if not isinstance(value, t.Sequence) or isinstance(value, (str, bytes)):
        return place, "a list"
    faults = (_fault(each, shape, f"{place}[{index}]") for index, each in enumerate(value))
    return next((each for each in faults if each is not None), None)


def _fault_in_values(value: t.Any, shape: t.Any, place: str) -> tuple[str, str] | None:
    if not isinstance(value, t.Mapping):
        return place, "a mapping"
    if not all(isinstance(key, str) for key in value):
        return place, "a text for each key"
    faults = (_fault(each, shape, f"{place}.{key}") for key, each in value.items())
    return next((each for each in faults if each is not None), None)
