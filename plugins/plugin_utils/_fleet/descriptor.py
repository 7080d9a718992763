# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Descriptors of devices, as facts have them. Pure."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DERIVED,
    MAX_NAMES,
    MAX_VALUE,
    DescriptorError,
    check_count,
    check_self,
    check_value,
    digest,
    normalise,
    shown,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import derived_set

_ORIGINS = ("directory", "file", DERIVED)
# More digits than a value has.
_TOO_LARGE = 10**MAX_VALUE
_CONFIGURED = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")


@dataclass(frozen=True, slots=True, eq=False)
class Descriptor:
    """What a device says of itself, in normal form; equal ones of a fleet are one object.

    ``configuration`` is what else is compared of two devices, by name, as far as the host shows it.
    """

    self_attributes: dict[str, str]
    compatible: list[dict[str, str]]
    origin: str | None
    digest: str
    configuration: dict[str, str] = field(default_factory=dict)

    @property
    def derived(self) -> bool:
        return self.origin == DERIVED

    @property
    def version(self) -> str:
        return self.self_attributes["software_version"]


def read_descriptor(data: object, with_origin: bool = False) -> Descriptor:
    """Return the descriptor in ``{self, compatible[, origin]}``, whatever spelling it has; raise ``DescriptorError``.

    ``with_origin``: it is one of facts, which always state the origin.
    """
    if not isinstance(data, t.Mapping):
        raise DescriptorError("a descriptor is a mapping with 'self' and 'compatible'")
    origin = data.get("origin")
    compatible = data.get("compatible", [])
    if not isinstance(compatible, t.Sequence) or isinstance(compatible, str):
        raise DescriptorError("'compatible' is a list of attribute sets")
    check_count(compatible)
    sets = [read_set(attributes, "compatible") for attributes in compatible]
    if origin not in _ORIGINS and (with_origin or origin is not None):
        raise DescriptorError(f"the origin of a descriptor is one of {', '.join(_ORIGINS)}")
    self_attributes = read_set(data.get("self"), "self")
    check_self(self_attributes, origin)
    configuration = read_configuration(data.get("configuration"))
    return Descriptor(
        self_attributes,
        sets,
        plain_text(origin),
        digest(self_attributes, sets, configuration),
        configuration,
    )


def read_configuration(data: object) -> dict[str, str]:
    """Return what is compared of a device beside its attributes; raise ``DescriptorError`` where that is no such mapping."""
    if data is None:
        return {}
    if not isinstance(data, t.Mapping) or len(data) > MAX_NAMES:
        raise DescriptorError(
            f"'configuration' is not a mapping of at most {MAX_NAMES} names to texts"
        )
    found = {}
    for key, value in data.items():
        name, text = plain_text(key), plain_text(value)
        if name is None or text is None or not _CONFIGURED.match(name):
            raise DescriptorError(
                "'configuration' has a key that is not a name of lower-case letters, digits and dots"
            )
        check_value(name, text)
        found[name] = text
    return found


def derive(self_attributes: dict[str, str], configuration: dict[str, str]) -> Descriptor:
    """Return the descriptor that is derived for a device of which only ``self_attributes`` are known: an equal one will do.

    See ``drivers.derived_set``.
    """
    pattern = derived_set(self_attributes)
    return Descriptor(
        self_attributes,
        [pattern],
        DERIVED,
        digest(self_attributes, [pattern], configuration),
        configuration,
    )


def read_set(attributes: object, where: str) -> dict[str, str]:
    """Return the attribute set in a mapping of names to scalars, in normal form; raise ``DescriptorError``."""
    if not isinstance(attributes, t.Mapping):
        raise DescriptorError(f"'{where}' is missing or no mapping of names to values")
    pairs = []
    for key, value in attributes.items():
        name = _scalar(key)
        if name is None:
            raise DescriptorError(f"the name of an attribute in '{where}' is not a text")
        text = "" if value is None else _scalar(value)
        if text is None:
            raise DescriptorError(
                f"the value of {shown(name)} is not a text but {type(value).__name__}",
                None,
            )
        pairs.append((name, text))
        if len(pairs) > MAX_NAMES:
            break
    return normalise(pairs)


def _scalar(value: object) -> str | None:
    """Return a text, or an integer of no more digits than a value may have, as text; ``None`` for anything else."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _TOO_LARGE:
        return str(int(value))
    return None


def plain_text(value: object) -> str | None:
    """``value`` as a ``str`` that is no subclass of it, as templating hands them out; ``None`` where it is no text."""
    return str.__str__(value) if isinstance(value, str) else None
