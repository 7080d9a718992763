# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The form of the records that one call leaves on the host for another one.

A record is a JSON object, with the number of its format and the fields of a dataclass by name. It may come from another
release of the collection, or be damaged, so every name and type is checked before anything in it is believed.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)

_TYPES = {
    "None": type(None),
    "bool": bool,
    "int": int,
    "str": str,
    "dict[str, t.Any]": dict,
}
_DAMAGED = "it is damaged"


class RecordError(VfioMigrationError):
    """A record cannot be understood; the message says what is wrong with it.

    ``foreign`` says whether another release of the collection can understand it.
    """

    def __init__(self, message: str, foreign: bool = False) -> None:
        super().__init__(message)
        self.foreign = foreign

    def advice(self, by_hand: str) -> str:
        """Return what is wrong and what to do; ``by_hand`` is what a person does in place of the collection."""
        release = "use that release, or " if self.foreign else ""
        return f"{self}; {release}{by_hand} and remove the file"


@dataclasses.dataclass
class Record:
    """A dataclass that can be stored. The types of its fields are those of JSON, other records, and lists of them."""

    _classes: t.ClassVar[dict[str, type[Record]]] = {}

    def __init_subclass__(cls) -> None:
        Record._classes[cls.__name__] = cls

    def to_json(self) -> dict[str, t.Any]:
        """Return the fields by name."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: object) -> t.Any:
        """Return the record that ``value``, which comes from JSON, stands for; raise ``RecordError``."""
        if not isinstance(value, dict):
            raise RecordError(f"{_DAMAGED}: an object of fields is missing")
        types = {field.name: str(field.type) for field in dataclasses.fields(cls)}
        for problem, names in (
            ("is missing", types.keys() - value.keys()),
            ("is unknown", value.keys() - types.keys()),
        ):
            if names:
                raise RecordError(f"{_DAMAGED}: {min(names)[:64]!a} {problem}")
        return cls(**{name: _checked(name, types[name], value[name]) for name in types})


@dataclasses.dataclass
class Attribute(Record):
    """An attribute of a device, ``name`` or ``group/name``, and its value."""

    name: str
    value: str


def attributes_of(pairs: t.Iterable[tuple[str, str]]) -> list[Attribute]:
    """Return attributes as they are stored."""
    return [Attribute(*pair) for pair in pairs]


def pairs_of(attributes: t.Iterable[Attribute]) -> list[tuple[str, str]]:
    """Return the names and values of stored attributes."""
    return [(each.name, each.value) for each in attributes]


def encode(fields: t.Mapping[str, t.Any], version: int) -> bytes:
    """Return a record of format ``version`` as one line."""
    return json.dumps({"format": version, **fields}, sort_keys=True).encode("ascii") + b"\n"


def decode(data: bytes, version: int) -> dict[str, t.Any]:
    """Return the fields of a record that has the format ``version``; raise ``RecordError``."""
    try:
        fields = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError):
        raise RecordError(f"{_DAMAGED} or cut off: no JSON") from None
    if not isinstance(fields, dict) or not _is(fields.get("format"), int):
        raise RecordError(f"{_DAMAGED}: the number of its format is missing")
    found = fields.pop("format")
    if found != version:
        age = "a newer" if found > version else "an older"
        raise RecordError(
            f"it has format {found}, written by {age} release of vfio.migration, and this release has format {version}",
            foreign=True,
        )
    return fields


def _is(value: t.Any, kind: type) -> bool:
    """Return whether a value is of a type of JSON; ``true`` is no number."""
    return isinstance(value, kind) and isinstance(value, bool) == (kind is bool)


def _checked(name: str, annotation: str, value: t.Any) -> t.Any:
    """Return a value of a field that is annotated so; records are made of their objects."""
    for each in annotation.split(" | "):
        if each.startswith("list["):
            if isinstance(value, list):
                return [_checked(name, each[5:-1], item) for item in value]
        elif each in Record._classes:
            if isinstance(value, dict):
                return Record._classes[each].from_json(value)
        elif _is(value, _TYPES[each]):
            return value
    raise RecordError(f"{_DAMAGED}: {name!r} has a wrong type")
