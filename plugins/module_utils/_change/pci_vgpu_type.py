# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The type of vGPU of an NVIDIA virtual function, ``nvidia/current_vgpu_type``: set, reset, and as it was originally.

Without mdev (vGPU release 17 and newer) a function takes a new type only when it has none, which is ``0``. To reset the
type takes the function's other attributes from it, and what others take of the GPU limits which types can be set.
"""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._change.attributes import (
    AttributeWrite,
    needed_writes,
    resolve_names,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import shown
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import (
    MAX_CHOICES,
    choices,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    attribute_pairs,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    PciDevice,
)

_Pairs = t.Sequence[t.Tuple[str, str]]


class VgpuType:
    """The vGPU type of one open device, and the writes of its attributes around it.

    A device whose driver has no such type has its attributes written like those of any other device.
    """

    def __init__(self, device: PciDevice) -> None:
        profile = device.driver_profile()
        self._device = device
        self._name, self._none = profile.idle or ("", "")
        self._creatable = profile.choices
        # The attributes that belong to this device alone, and are never given to another one.
        self._instance = profile.instance

    def needed_writes(self, attributes: _Pairs) -> list[AttributeWrite]:
        """Return what must be written, in order, with full names.

        Before another type is set, the type is reset. The attributes that follow it are written again.
        """
        needed = needed_writes(self._device, attributes)
        values = {write.name: write.value for write in needed}
        if values.get(self._name, self._none) == self._none:
            return needed
        current = self._device.attribute(self._name)
        writes: list[AttributeWrite] = []
        set_type = False
        for name, value in resolve_names(self._device, self._device.attribute_files(), attributes):
            if name == self._name and not set_type:
                set_type = True
                if current != self._none:
                    writes.append(AttributeWrite(name, self._none, (name, current)))
                writes.append(AttributeWrite(name, value, (name, self._none)))
            elif set_type or name in values:
                writes.append(AttributeWrite(name, value, (name, self._device.attribute(name))))
        return writes

    def with_undo(
        self, needed: t.Sequence[AttributeWrite]
    ) -> t.Iterator[tuple[AttributeWrite, list[tuple[str, str]]]]:
        """Yield each write with the attributes and values that undo it, right before it is made.

        To undo a reset is to set the former type, and then the attributes that went with it.
        """
        reset = False
        for index, write in enumerate(needed):
            undo = [write.undo]
            if write.name == self._name and write.undo[1] != self._none:
                later = [each.undo for each in needed[index + 1 :] if each.name != self._name]
                undo += dict([*later, *self._lost_by_reset()]).items()
                reset = True
            elif write.name != self._name and reset:
                undo = []
            yield write, undo

    def original(self, needed: t.Iterable[AttributeWrite]) -> list[tuple[str, str]]:
        """Return the values before what is ``needed`` is written, in the order in which they are written back."""
        former: dict[str, str] = {}
        for write in needed:
            former.setdefault(*write.undo)
        if former.get(self._name) == self._none:
            # Without a type the other attributes mean nothing, and may not be writable.
            former = {self._name: self._none}
        elif self._name in former:
            first = {self._name: former[self._name]}
            former = {**first, **former, **dict(self._lost_by_reset())}
        return list(former.items())

    def why_not_creatable(self, write: AttributeWrite) -> str | None:
        """Return why a type cannot be set right now, ``None`` where it can: others take of what they share."""
        if write.name != self._name or write.value == self._none or not self._creatable:
            return None
        found = choices(self._device.text(self._creatable, MAX_CHOICES))
        if write.value in found:
            return None
        path = self._device.directory.path(self._creatable)
        return f"{path} has {', '.join(found) or 'nothing'}, not {shown(write.value)}"

    def resets(self, write: AttributeWrite) -> bool:
        """Return whether a write resets the type."""
        return (write.name, write.value) == (self._name, self._none)

    def why_not_reset(self) -> str | None:
        """Return in words that the device still has a type, ``None`` where it has none."""
        current = self._device.attribute(self._name)
        if current == self._none:
            return None
        return f"{self._device.directory.path(self._name)} still has {shown(current)}"

    def _lost_by_reset(self) -> list[tuple[str, str]]:
        """Return the other attributes that a reset takes from the device."""
        return [
            (name, value)
            for name, value in attribute_pairs(self._device.attributes()[0])
            if name != self._name and name.rpartition("/")[2] not in self._instance
        ]
