# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What PCI devices were before they were changed, kept on the host until they are given back.

``ADDRESS.json`` has ``format``, ``inode`` and ``state``, the fields of ``OriginalState``. The files lie below ``/run``, as
what they are about does not outlast a reboot either.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._change.private_directory import (
    PrivateDirectory,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.records import (
    Attribute,
    Record,
    RecordError,
    decode,
    encode,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.device import (
    PciDevice,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.pci_driver import Binding
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
    reading,
)

# Count it up when a field changes its name, type or meaning.
FORMAT = 1

_BY_HAND = "give the device by hand what the file says it had"


@dataclasses.dataclass
class StoredBinding(Record):
    """The driver that a device is bound to, and the one that alone may be bound to it; each may be ``None``."""

    driver: str | None
    driver_override: str | None

    @classmethod
    def of(cls, binding: Binding) -> StoredBinding:
        """Return a binding as it is stored."""
        return cls(binding.driver, binding.override)

    def binding(self) -> Binding:
        """Return the binding that is stored."""
        return Binding(self.driver, self.driver_override)


@dataclasses.dataclass
class OriginalState(Record):
    """What a device was before it was changed; ``None``, or no attribute or setting, where nothing was changed.

    ``attributes`` are in the order in which they are written back, ``network`` are the settings of a network card's function.
    """

    binding: StoredBinding | None = None
    migratable: bool | None = None
    attributes: list[Attribute] = dataclasses.field(default_factory=list)
    sriov_numvfs: int | None = None
    network: dict[str, t.Any] = dataclasses.field(default_factory=dict)

    def completed(self, former: OriginalState) -> OriginalState:
        """Return the state with what ``former`` adds; what is known from an earlier change stays."""
        names = {each.name for each in self.attributes}
        added = [each for each in former.attributes if each.name not in names]
        known = {name: value for name, value in vars(self).items() if value is not None}
        merged = {
            "attributes": self.attributes + added,
            "network": {**former.network, **self.network},
        }
        return dataclasses.replace(former, **{**known, **merged})

    def former_binding(self, current: Binding) -> Binding:
        """Return how the device was bound, which is its ``current`` binding where that was not changed."""
        return current if self.binding is None else self.binding.binding()

    def former_attributes(self, device: PciDevice) -> list[tuple[str, str]]:
        """Return names and values of the attributes, without those that the device's driver has no longer."""
        files = device.attribute_files()
        return [(each.name, each.value) for each in self.attributes if each.name in files]

    def without(self, *names: str) -> OriginalState:
        """Return the state without the fields ``names``."""
        blank = OriginalState()
        return dataclasses.replace(self, **{name: getattr(blank, name) for name in names})


@dataclasses.dataclass
class _File(Record):
    inode: int
    state: OriginalState


class OriginalStates:
    """The original states in ``directory``, by the address of the device."""

    def __init__(self, directory: str) -> None:
        self._directory = PrivateDirectory(directory)

    def check(self, address: str) -> None:
        """Raise ``HostReadError`` where the file of a device is damaged or of another release."""
        self._stored(address)

    def read(self, device: PciDevice) -> OriginalState:
        """Return the original state of a device, without fields where nothing was changed; raise ``HostReadError``."""
        stored = self._stored(device.id)
        # A virtual function that is made again has its predecessor's address.
        if stored is None or stored.inode != device.inode:
            return OriginalState()
        return stored.state

    def _stored(self, address: str) -> _File | None:
        path = self._directory.path(_name(address))
        try:
            with reading(path):
                data = self._read(address)
            stored: _File | None = None if data is None else _File.from_json(decode(data, FORMAT))
        except RecordError as error:
            raise HostReadError(path, error.advice(_BY_HAND)) from None
        return stored

    def write(self, device: PciDevice, state: OriginalState) -> None:
        """Replace the original state of a device; one without fields removes the file."""
        if state == OriginalState():
            self._directory.remove(_name(device.id))
        else:
            content = encode(_File(device.inode, state).to_json(), FORMAT)
            self._directory.replace(_name(device.id), content)

    def _read(self, address: str) -> bytes | None:
        try:
            return self._directory.read(_name(address))
        except FileNotFoundError:
            return None


def _name(address: str) -> str:
    return f"{address}.json"
