# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Makes the changes of vDPA devices, or leaves the host as it was."""

from __future__ import annotations

import dataclasses
import functools
import shlex
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._change.boot_units import (
    DefinedUnit,
    RestoreUnit,
    restore_unit,
    vdpa_unit,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import (
    Journal,
    Operation,
    Step,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import (
    CREATED,
    DEFINED,
    REMOVED,
    UNDEFINED,
    HostChanges,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.records import (
    Attribute,
    attributes_of,
    pairs_of,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.transaction import Transaction
from ansible_collections.vfio.migration.plugins.module_utils._change.vdpa_plan import (
    LOCK,
    VdpaChange,
    VdpaHost,
    check_device_accepted,
    differences,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.kernel_log import KernelLog
from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa import (
    VDPA_DEVICES,
    VdpaDevice,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa_tool import (
    VdpaError,
    VdpaTool,
)


@dataclasses.dataclass
class DeleteVdpa(Operation):
    """Delete a device that was created on ``mgmtdev`` with ``attributes``."""

    operation = "delete_vdpa"
    mgmtdev: str
    attributes: list[Attribute]

    def by_hand(self, step: Step, path: str) -> str:
        return f"vdpa dev del {shlex.quote(step.device)}"


class VdpaTransaction(Transaction):
    """One call's changes of vDPA devices; there is one lock for all of a host."""

    def __init__(
        self,
        host: VdpaHost,
        tool: VdpaTool,
        journal: Journal,
        timeout: float,
        interrupted: t.Callable[[], str | None],
    ) -> None:
        super().__init__(journal, timeout, interrupted)
        self._host = host
        self._tool = tool

    def _place(self, device: str) -> str:
        return f"/sys/{VDPA_DEVICES}/{device}"

    def _apply(self, changes: HostChanges) -> dict[str, t.Any]:
        devices = [self._make(change) for change in changes.lists["devices"]]
        for change in changes.lists["devices"]:
            if change.definition == DEFINED:
                self._write_unit(change, DefinedUnit(change.new_definition(self._host), True))
        return {"devices": devices}

    def _write_unit(self, change: VdpaChange, new: DefinedUnit | None) -> None:
        self._device = change.name
        self._enter("define")
        unit = vdpa_unit(change.name)
        undo = RestoreUnit.of(unit, change.defined, with_device=change.action == REMOVED)
        step = Step(LOCK, change.name, UNDEFINED if new is None else DEFINED, undo)
        self._do(step, functools.partial(self._host.units.write, unit, new))

    def _make(self, change: VdpaChange) -> dict[str, t.Any]:
        self._device = change.name
        if change.definition == UNDEFINED:
            # The definition goes first, as it can be restored.
            self._write_unit(change, None)
        if change.action == CREATED:
            self._create(change)
            self._step = "verify"
            return change.result(self._host.facts(self._created(change)))
        if change.action == REMOVED:
            self._enter("remove")
            self._host.check_free(change.name)
            self._delete(change.name)
            self._done.append(Step(LOCK, change.name, REMOVED))
        return change.predicted()

    def _create(self, change: VdpaChange) -> None:
        self._enter("create")
        mgmtdev, attributes = change.wanted.mgmtdev or "", change.attributes.items()
        add = functools.partial(
            self._tool.add, change.name, mgmtdev, attributes, change.device_class
        )
        step = Step(LOCK, change.name, CREATED, DeleteVdpa(mgmtdev, attributes_of(attributes)))
        self._ask_kernel(functools.partial(self._do, step, add))

    def _created(self, change: VdpaChange) -> VdpaDevice:
        device = self._host.device(change.name)
        if device is None:
            raise self._failure("it was created, but is not there")
        different = differences(change.attributes, device)
        if different:
            raise self._failure(f"it was created, but has {different}")
        check_device_accepted(change.wanted, device)
        return device

    def _delete(self, name: str) -> None:
        self._ask_kernel(functools.partial(self._tool.delete, name))

    def _ask_kernel(self, act: t.Callable[[], None]) -> None:
        """Do with the tool what the kernel may refuse."""
        with KernelLog(live=True) as log:
            try:
                act()
            except VdpaError as error:
                kernels = error if error.errno is not None else None
                raise self._failure(error.said, kernels, error.hint, log.lines()) from None

    def _undo_creation(self, step: Step, undo: DeleteVdpa, recovering: bool) -> bool:
        self._device = step.device
        device = self._host.device(step.device)
        # What another one has made of the name since is not ours.
        stated = {"mgmtdev": undo.mgmtdev}
        if recovering:
            stated.update(pairs_of(undo.attributes))
        if device is None or differences(stated, device):
            return False
        self._host.check_free(step.device, ours=not recovering)
        self._delete(step.device)
        return True

    def _undo_definition(self, step: Step, undo: RestoreUnit, recovering: bool) -> bool:
        self._device = step.device
        there = not undo.with_device or self._host.device(step.device) is not None
        return restore_unit(self._host.units, undo, there)

    undoers: t.ClassVar = {DeleteVdpa: _undo_creation, RestoreUnit: _undo_definition}
