# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the facts of every kind of device share: problems, holders, descriptors sent once, and the form of the facts."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import digest
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
    displayable,
    reading,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs

Facts = t.Dict[str, t.Any]


class _NotingProblems:
    def __init__(self, problems: list[HostReadError]) -> None:
        self._problems = problems

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, HostReadError):
            return False
        self._problems.append(error)
        return True


class Gathering:
    """One look at a host: ``problems`` are those met so far, ``descriptors`` the distinct ones by their digest.

    ``scan_holders`` is called at the first device, and never on a host without one.
    """

    def __init__(self, sysfs: Sysfs, scan_holders: t.Callable[[], Holders]) -> None:
        self.sysfs = sysfs
        self.problems: list[HostReadError] = []
        self.descriptors: dict[str, Facts] = {}
        self._scan_holders = scan_holders
        self._holders: Holders | None = None

    def noting_problems(self) -> _NotingProblems:
        """Return a context manager that notes a ``HostReadError`` as a problem, and goes on after its block."""
        return _NotingProblems(self.problems)

    def each(self, place: str, read: t.Callable[[str], Facts | None]) -> list[Facts]:
        """Return the facts that ``read`` gives for each name at ``place``.

        What cannot be read is a problem and costs no other; a device that vanishes meanwhile is left out.
        """
        names: list[str] = []
        with self.noting_problems(), reading(self.sysfs.path(place)):
            names = self.sysfs.names(place)
        found = []
        for name in names:
            before = len(self.problems)
            facts = None
            with self.noting_problems():
                facts = read(name)
            if len(self.problems) > before and not self.sysfs.exists(place, name):
                path = self.sysfs.path(place, name)
                self.problems[before:] = [HostReadError(path, "vanished while it was read")]
            elif facts is not None:
                found.append(facts)
        return found

    def device_facts(
        self,
        *,
        kind: str,
        name: str,
        parent: str | None,
        type_id: str,
        descriptor: Facts | None,
        attributes: list[Facts],
        numa_node: int | None,
        iommu_group: int | None,
        driver: str | None,
        nodes: list[str],
        migration: Facts,
    ) -> Facts:
        """Return the facts of one device; ``nodes`` are those through which a process may hold it."""
        return {
            "kind": kind,
            "id": name,
            "parent": parent,
            "type": type_id,
            "descriptor": self._intern(descriptor),
            "attributes": attributes,
            "numa_node": numa_node,
            "iommu_group": iommu_group,
            "driver": driver,
            "in_use": self.holder_of(nodes),
            "migration": migration,
        }

    def facts(
        self,
        schema: int,
        gathered: Facts,
        devices: list[Facts],
        parents: list[Facts],
        nvidia: Facts | None = None,
    ) -> Facts:
        """Return all facts in their order. The same host gives the same bytes except for ``gathered``, and nothing unprintable."""
        problems = [{"path": each.path, "problem": each.problem} for each in self.problems]
        facts = {
            "schema": schema,
            "gathered": gathered,
            "descriptors": dict(sorted(self.descriptors.items())),
            "devices": sorted(devices, key=lambda each: (each["id"], each["kind"])),
            "parents": sorted(parents, key=lambda each: (each["id"], each["kind"])),
            "problems": sorted(problems, key=lambda each: (each["path"], each["problem"])),
        }
        if nvidia is not None:
            facts["nvidia"] = nvidia
        return {name: _displayable(fact) for name, fact in facts.items()}

    def _intern(self, descriptor: Facts | None) -> str | None:
        if descriptor is None:
            return None
        name = digest(descriptor["self"], descriptor["compatible"], descriptor.get("configuration"))
        self.descriptors.setdefault(name, descriptor)
        return name

    def holder_of(self, nodes: list[str]) -> Facts | None:
        """Return the process that holds a device with these ``nodes``; ``None`` where none does."""
        if self._holders is None:
            self._holders = self._scan_holders()
        return self._holders.holder_of(nodes)


def migration_facts(
    supported: bool | None,
    evidence: str,
    features: t.Sequence[str] = (),
    state: str | None = None,
) -> Facts:
    """Return what is known of a device's ability to migrate, and how."""
    return {
        "supported": supported,
        "evidence": evidence,
        "features": list(features),
        "state": state,
    }


def _displayable(fact: t.Any) -> t.Any:
    if isinstance(fact, str):
        return displayable(fact)
    if isinstance(fact, dict):
        return {name: _displayable(each) for name, each in fact.items()}
    if isinstance(fact, list):
        return [_displayable(each) for each in fact]
    return fact
