# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What is to be defined of a PCI device so that it is back after a reboot, compared with what is. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._change.boot_units import (
    DefinedUnit,
    Definition,
    FunctionsDefinition,
    PciDefinition,
    VdpaDefinition,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import (
    DEFINED,
    UNCHANGED,
    UNDEFINED,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.records import pairs_of
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    attribute_list,
)

_Pairs = t.Sequence[t.Tuple[str, str]]


@dataclasses.dataclass
class ToDefine:
    """What is defined of a device: its driver and whether it is migratable, unless ``None``, and its attributes."""

    driver: str | None
    migratable: bool | None
    attributes: _Pairs

    @classmethod
    def of(cls, defined: DefinedUnit | None) -> ToDefine | None:
        """Return what is defined of a device, ``None`` for nothing."""
        if defined is None or not isinstance(defined.definition, PciDefinition):
            return None
        found = defined.definition
        return cls(found.driver, found.migratable, pairs_of(found.attributes))

    def is_in(self, found: ToDefine | None) -> bool:
        """Return whether what is ``found``, which has full names, says the same."""
        return (
            found is not None
            and (self.driver, self.migratable) == (found.driver, found.migratable)
            and len(self.attributes) == len(found.attributes)
            and all(
                value == stored and full in (name, f"{full.rpartition('/')[0]}/{name}")
                for (name, value), (full, stored) in zip(self.attributes, found.attributes)
            )
        )

    def stated(self) -> dict[str, t.Any]:
        """Return it for the diff."""
        stated = {"driver": self.driver, "attributes": attribute_list(self.attributes)}
        return stated if self.migratable is None else {**stated, "migratable": self.migratable}


def to_define(
    present: bool, asked: ToDefine, keep_driver: bool, found: ToDefine | None
) -> ToDefine | None:
    """Return what is to be defined of a device, of which that is ``found`` so far; ``None`` for nothing.

    What is ``asked`` for stands in place of that, but a driver that is not named stays. One that is given back and is to
    ``keep_driver`` keeps that alone.
    """
    if present:
        driver, migratable = asked.driver, asked.migratable
        if found is not None:
            driver = found.driver if driver is None else driver
            migratable = found.migratable if migratable is None else migratable
        wanted = ToDefine(driver, migratable, asked.attributes)
    elif keep_driver and found is not None:
        wanted = ToDefine(found.driver, found.migratable, ())
    else:
        return None
    return wanted if wanted.driver is not None or wanted.attributes else None


def definition_word(found: DefinedUnit | None, wanted: bool, is_defined: bool) -> str:
    """Return the word for the change of a definition; ``is_defined`` is whether the one that is found says what is wanted."""
    if not wanted:
        return UNCHANGED if found is None else UNDEFINED
    return UNCHANGED if is_defined and found is not None and found.enabled else DEFINED


def lock_of(definition: Definition) -> str:
    """Return the lock under which the definition of a PCI device changes, or of what is on it: that of its physical function."""
    if isinstance(definition, FunctionsDefinition):
        return definition.address
    parent = definition.parent if isinstance(definition, (PciDefinition, VdpaDefinition)) else None
    return parent or definition.function or ""


def stated_definition(defined: DefinedUnit | None) -> dict[str, t.Any] | None:
    """Return for the diff what is defined of a device, ``None`` for nothing."""
    definition = defined and defined.definition
    if isinstance(definition, VdpaDefinition):
        attributes = attribute_list(pairs_of(definition.attributes))
        return {"mgmtdev": definition.mgmtdev, "attributes": attributes}
    found = ToDefine.of(defined)
    return None if found is None else found.stated()
