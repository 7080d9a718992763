# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What NVIDIA's management library reports on the GPUs that a host's devices are on."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.configuration import (
    Configuration,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.gathering import (
    Facts,
    Gathering,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import reading
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import PCI_DEVICES

# Returns the library's answer, ``None`` where there is no library.
AskNvml = t.Callable[[], t.Optional[Facts]]


class NvidiaFacts:
    """The library's answer, which is asked for at the first device of NVIDIA's driver, and never on a host without one."""

    _DRIVER = "nvidia"

    def __init__(self, gathering: Gathering, ask: AskNvml | None, seconds: float) -> None:
        self._gathering = gathering
        self._seconds = seconds
        self._ask = ask or self._asked_of_the_library
        self._asked = False
        self.facts: Facts | None = None

    def configuration(
        self, driver: str | None, function: str | None, vgpu: str | None = None
    ) -> Configuration:
        """Return what has to be equal, or to fit, of a device of ``driver`` that is on a PCI function, or is one.

        ``vgpu`` is the mdev's UUID.
        """
        if driver != self._DRIVER or function is None:
            return {}
        self._look()
        return {**self._of_gpu(self._gpu_address(function)), **self._of_vgpu(vgpu)}

    def _look(self) -> None:
        if not self._asked:
            self._asked = True
            with self._gathering.noting_problems():
                self.facts = self._ask()

    def _gpu_address(self, function: str) -> str:
        """Return the address of the GPU that a function is, or is a virtual function of."""
        sysfs = self._gathering.sysfs
        names = (PCI_DEVICES, function, "physfn")
        with self._gathering.noting_problems(), reading(sysfs.path(*names)):
            link = sysfs.link(*names)
            return link.rpartition("/")[2] if link else function
        return function

    def _of_gpu(self, address: str) -> Configuration:
        gpus = self.facts["gpus"] if self.facts else ()
        found: Configuration = {}
        for gpu in gpus:
            if gpu["id"] == address:
                for name in ("ecc", "mig"):
                    if gpu[name] is not None:
                        found[f"nvidia.{name}"] = "on" if gpu[name] else "off"
                if gpu["vgpu_versions"] is not None:
                    lowest, highest = gpu["vgpu_versions"]
                    found["nvidia.versions"] = f"{lowest:#x}-{highest:#x}"
        return found

    def _of_vgpu(self, name: str | None) -> Configuration:
        for each in self.facts["vgpus"] if self.facts and name else ():
            if each["id"] == name and each["vgpu_version"] is not None:
                return {"nvidia.version": f"{each['vgpu_version']:#x}"}
        return {}

    def _asked_of_the_library(self) -> Facts | None:
        """Return what the host's own library reports; a copied tree has none."""
        if not self._gathering.sysfs.live:
            return None
        from ansible_collections.vfio.migration.plugins.module_utils._host import nvml

        library = nvml.find_library()
        return nvml.gather(library, self._seconds) if library else None
