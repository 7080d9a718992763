# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Asks NVIDIA's management library. Its source runs in a process of its own, as a driver may hang or the library crash.

It stands alone, so that it can be handed to ``python -c`` with the library's path as the only argument: it reads pairs of
metadata from standard input, as JSON, and writes one JSON document to standard output. Structures and functions are those
of NVIDIA's nvml.h, section "vGPU Migration". What the library does not have, or refuses, is ``null``.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import sys
import typing as t

_SUCCESS = 0
_INSUFFICIENT_SIZE = 7
_FUNCTION_NOT_FOUND = 13

# The longest version, the longest name of a guest or UUID, and more than what is known of a GPU's address.
_TEXT = 96
_PCI_INFO = 256
# No vGPU's metadata are larger, and no host has more GPUs, and no GPU more vGPUs or capabilities.
_MOST_METADATA = 65536
_MOST_GPUS = 256
_MOST_VGPUS = 1024
_CAPABILITIES = 16


class Nvml:
    """The library at a path, ready to be asked."""

    def __init__(self, path: str) -> None:
        self._library = ctypes.CDLL(path)
        code = self.call("nvmlInit_v2")
        if code != _SUCCESS:
            raise OSError(f"nvmlInit_v2 returned {code}")

    def call(self, name: str, *arguments: t.Any) -> int:
        """Return what a function returns; where there is none of this name, the code that NVML returns then."""
        function = getattr(self._library, name, None)
        return _FUNCTION_NOT_FOUND if function is None else int(function(*arguments))

    def number(self, name: str, *arguments: t.Any) -> int | None:
        """Return the number that a function writes to its last argument."""
        value = ctypes.c_uint(0)
        return value.value if self.call(name, *arguments, ctypes.byref(value)) == _SUCCESS else None

    def mode(self, name: str, device: ctypes.c_void_p) -> int | None:
        """Return the current one of the two modes that a function writes."""
        current, pending = ctypes.c_uint(0), ctypes.c_uint(0)
        code = self.call(name, device, ctypes.byref(current), ctypes.byref(pending))
        return current.value if code == _SUCCESS else None

    def text(self, name: str, *arguments: t.Any, more: tuple[t.Any, ...] = ()) -> str | None:
        """Return the text that a function writes to a buffer; ``more`` are the arguments after its size."""
        buffer = ctypes.create_string_buffer(_TEXT)
        if self.call(name, *arguments, buffer, ctypes.c_uint(_TEXT), *more) != _SUCCESS:
            return None
        return buffer.value.decode("ascii", "replace")

    def metadata(self, name: str, owner: t.Any) -> str | None:
        """Return the metadata that a function writes, in base64: whole, as they are only of use to the library."""
        size = 1024
        for _attempt in range(3):
            buffer = ctypes.create_string_buffer(_MOST_METADATA)
            needed = ctypes.c_uint(size)
            code = self.call(name, owner, buffer, ctypes.byref(needed))
            size = needed.value
            if size > _MOST_METADATA:
                return None
            if code == _SUCCESS:
                return base64.b64encode(buffer.raw[:size]).decode("ascii")
            if code != _INSUFFICIENT_SIZE:
                return None
        return None

    def gpus(self) -> t.Iterator[dict[str, t.Any]]:
        """Yield what is known of each GPU."""
        for index in range(min(self.number("nvmlDeviceGetCount_v2") or 0, _MOST_GPUS)):
            device = ctypes.c_void_p()
            code = self.call(
                "nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(device)
            )
            address = self._address(device) if code == _SUCCESS else None
            if address is not None:
                yield {
                    "id": address,
                    "ecc": self.mode("nvmlDeviceGetEccMode", device),
                    "mig": self.mode("nvmlDeviceGetMigMode", device),
                    "virtualization": self.number("nvmlDeviceGetVirtualizationMode", device),
                    "host_mode": self.number("nvmlDeviceGetHostVgpuMode", device),
                    "capabilities": [
                        self.number("nvmlDeviceGetVgpuCapabilities", device, ctypes.c_uint(each))
                        for each in range(_CAPABILITIES)
                    ],
                    "metadata": self.metadata("nvmlDeviceGetVgpuMetadata", device),
                    "vgpus": list(self._vgpus(device)),
                }

    def _address(self, device: ctypes.c_void_p) -> str | None:
        """Return the address of a GPU; domain, bus and device are at the same place in all versions of the structure."""
        buffer = ctypes.create_string_buffer(_PCI_INFO)
        for name in ("nvmlDeviceGetPciInfo_v3", "nvmlDeviceGetPciInfo_v2"):
            if self.call(name, device, buffer) == _SUCCESS:
                domain, bus, slot = (
                    int.from_bytes(buffer.raw[place : place + 4], sys.byteorder)
                    for place in (16, 20, 24)
                )
                return f"{domain:04x}:{bus:02x}:{slot:02x}.0"
        return None

    def _vgpus(self, device: ctypes.c_void_p) -> t.Iterator[dict[str, t.Any]]:
        """Yield what is known of each vGPU at work on a GPU."""
        count = ctypes.c_uint(_MOST_VGPUS)
        instances = (ctypes.c_uint * _MOST_VGPUS)()
        code = self.call("nvmlDeviceGetActiveVgpus", device, ctypes.byref(count), instances)
        for number in range(min(count.value, _MOST_VGPUS) if code == _SUCCESS else 0):
            instance = ctypes.c_uint(instances[number])
            kind = ctypes.c_uint(0)
            yield {
                "mdev": self.text("nvmlVgpuInstanceGetMdevUUID", instance),
                "vm": self.text("nvmlVgpuInstanceGetVmID", instance, more=(ctypes.byref(kind),)),
                "metadata": self.metadata("nvmlVgpuInstanceGetMetadata", instance),
            }

    def compatibility(self, vgpu: str, pgpu: str) -> list[int]:
        """Return what NVML returns for the metadata of a vGPU and of a GPU: code, states and limit."""
        buffers = [
            ctypes.create_string_buffer(content, _MOST_METADATA)
            for content in (base64.b64decode(vgpu), base64.b64decode(pgpu))
        ]
        found = (ctypes.c_uint * 2)()
        code = self.call("nvmlGetVgpuCompatibility", *buffers, found)
        return [code, found[0], found[1]]


def answer(path: str, pairs: list[list[str]] | None) -> dict[str, t.Any]:
    """Return what the library at ``path`` says of ``pairs``; of the host's GPUs where these are ``None``."""
    nvml = Nvml(path)
    if pairs is not None:
        return {"pairs": [nvml.compatibility(vgpu, pgpu) for vgpu, pgpu in pairs]}
    return {"driver": nvml.text("nvmlSystemGetDriverVersion"), "gpus": list(nvml.gpus())}


def main() -> None:
    """Write what the library says, to where nothing else can be written."""
    output = os.dup(1)
    os.dup2(2, 1)
    pairs = json.loads(sys.stdin.read())
    try:
        said = answer(sys.argv[1], pairs)
    except (OSError, AttributeError) as error:
        said = {"error": str(error)}
    with os.fdopen(output, "w") as stream:
        json.dump(said, stream)


if __name__ == "__main__":
    main()
