# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""NVIDIA's management library (NVML), asked in a process of its own: it ends in time, whatever the driver does.

Sources: NVIDIA, nvml.h and docs.nvidia.com/deploy/nvml-api, "vGPU Migration". Every function here raises ``HostReadError``
where the library does not answer, or answers what it cannot.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._host import nvml_child
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
    reading,
)

LIBRARY = "libnvidia-ml.so.1"
# Where distributions and NVIDIA's installer put it.
_DIRECTORIES = (
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib",
    "/lib64",
)
# To wake many GPUs that nothing keeps awake takes a driver long.
SECONDS = 30.0
# For a process that has answered to end by itself, and for one that was killed; one that waits in the kernel does not.
_SECONDS_TO_EXIT = 0.3
_SECONDS_TO_END = 2.0
_MOST_BYTES = 16 * 1024 * 1024
_MOST_GPUS = 256
_MOST_VGPUS = 1024
MAX_METADATA = 65536
# Up to the opaque data in nvmlVgpuMetadata_t and nvmlVgpuPgpuMetadata_t; the last word is how long these are.
VGPU_HEADER = 208
GPU_HEADER = 124

_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.0\Z")
_TEXT = re.compile(r"[ -~]{0,96}\Z")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")

_VIRTUALIZATION = ("none", "passthrough", "vgpu", "host_vgpu", "host_vsga")
_HOST_MODES = ("non_sriov", "sriov")
# By their numbers in nvmlDeviceVgpuCapability_t; the others are bandwidths, or newer.
_CAPABILITIES = {
    0: "fractional_multi_vgpu",
    1: "heterogeneous_timeslice_profiles",
    2: "heterogeneous_timeslice_sizes",
    5: "device_streaming",
    6: "mini_quarter_gpu",
    7: "compute_media_engine_gpu",
    8: "warm_update",
    9: "homogeneous_placements",
    10: "mig_timeslicing_supported",
    11: "mig_timeslicing_enabled",
}
# Flags of nvmlVgpuVmCompatibility_t and of nvmlVgpuPgpuCompatibilityLimitCode_t.
_STATES = {1: "cold", 2: "hibernate", 4: "sleep", 8: "live"}
_LIMITS = {1: "host_driver", 2: "guest_driver", 4: "gpu", 1 << 31: "other"}

Facts = t.Dict[str, t.Any]


def find_library(directories: t.Iterable[str] = _DIRECTORIES) -> str | None:
    """Return the path of the library; ``None`` where the host has none."""
    paths = (f"{directory}/{LIBRARY}" for directory in directories)
    return next((path for path in paths if os.path.isfile(path)), None)


def gather(library: str, seconds: float = SECONDS) -> Facts:
    """Return ``{driver, gpus, vgpus}`` as the library reports them."""
    said = _ask(library, None, seconds)
    driver, gpus = said.get("driver"), said.get("gpus")
    if not (_is_text(driver) and isinstance(gpus, list) and len(gpus) <= _MOST_GPUS):
        raise _odd(library)
    found: Facts = {"driver": driver, "gpus": [], "vgpus": []}
    for entry in gpus:
        if not isinstance(entry, dict) or not _matches(_ADDRESS, entry.get("id")):
            raise _odd(library)
        found["gpus"].append(_gpu(library, entry))
        vgpus = entry.get("vgpus")
        if not isinstance(vgpus, list) or len(vgpus) > _MOST_VGPUS:
            raise _odd(library)
        found["vgpus"] += [_vgpu(library, each, entry["id"]) for each in vgpus]
    found["gpus"].sort(key=lambda each: str(each["id"]))
    found["vgpus"].sort(key=lambda each: (each["gpu"], each["id"] or "", each["metadata"] or ""))
    return found


def compatibility(
    library: str, pairs: t.Sequence[tuple[str, str]], seconds: float = SECONDS
) -> list[Facts]:
    """Return ``nvmlGetVgpuCompatibility``'s answer for pairs of a vGPU's and a GPU's metadata, in base64.

    Each is ``{states, limits}``: those in which the guest may go there, the coldest first, and what limits these.
    """
    answers = _ask(library, [list(each) for each in pairs], seconds).get("pairs")
    if not isinstance(answers, list) or len(answers) != len(pairs):
        raise _odd(library)
    return [_compatibility(library, each) for each in answers]


def _compatibility(library: str, said: t.Any) -> Facts:
    if not isinstance(said, list) or len(said) != 3 or not all(_is_number(each) for each in said):
        raise _odd(library)
    code, states, limits = said
    if code != 0:
        raise HostReadError(library, f"nvmlGetVgpuCompatibility returned {code}")
    return {
        "states": [name for flag, name in _STATES.items() if states & flag],
        "limits": [name for flag, name in _LIMITS.items() if limits & flag],
    }


def check_metadata(text: str, header: int) -> None:
    """Raise ``ValueError`` where ``text`` is no metadata in base64 whose header, of that size, states how long the rest is."""
    if len(text) > MAX_METADATA * 2:
        raise ValueError(f"more than {MAX_METADATA} bytes")
    content = base64.b64decode(text, validate=True)
    if not header <= len(content) <= MAX_METADATA:
        raise ValueError(f"{len(content)} bytes; expected {header} to {MAX_METADATA}")
    opaque = _word(content, header - 4)
    if opaque > len(content) - header:
        raise ValueError(f"{opaque} bytes of opaque data announced, {len(content) - header} there")


def _gpu(library: str, entry: Facts) -> Facts:
    capabilities = entry.get("capabilities")
    if not isinstance(capabilities, list) or len(capabilities) > 64:
        raise _odd(library)
    encoded = _metadata(library, entry.get("metadata"), GPU_HEADER)
    content = base64.b64decode(encoded or "")
    lowest, highest = _word(content, 112), _word(content, 116)
    return {
        "id": entry["id"],
        "ecc": _switch(entry.get("ecc")),
        "mig": _switch(entry.get("mig")),
        "virtualization": _named(_VIRTUALIZATION, entry.get("virtualization")),
        "host_mode": _named(_HOST_MODES, entry.get("host_mode")),
        "capabilities": [
            name
            for number, name in _CAPABILITIES.items()
            if number < len(capabilities) and capabilities[number] == 1
        ],
        # Before there was a range, these were zeros.
        "vgpu_versions": [lowest, highest] if lowest and highest and lowest <= highest else None,
        "metadata": encoded,
    }


def _vgpu(library: str, entry: t.Any, gpu: str) -> Facts:
    if not isinstance(entry, dict):
        raise _odd(library)
    mdev = entry.get("mdev")
    encoded = _metadata(library, entry.get("metadata"), VGPU_HEADER)
    content = base64.b64decode(encoded or "")
    # The fields of the guest are valid only once its driver has filled them in.
    filled = _word(content, 8) == 1
    return {
        "id": mdev.lower() if isinstance(mdev, str) and _UUID.match(mdev.lower()) else None,
        "gpu": gpu,
        "vm": entry["vm"] if _is_text(entry.get("vm")) else None,
        "guest_driver": (_string(content, 12) or None) if filled else None,
        "vgpu_version": (_word(content, 200) or None) if filled else None,
        "metadata": encoded,
    }


def _metadata(library: str, encoded: t.Any, header: int) -> str | None:
    """Return metadata with a header of that size; ``None`` where there are none."""
    if encoded is None:
        return None
    if not isinstance(encoded, str):
        raise _odd(library)
    try:
        check_metadata(encoded, header)
    except ValueError:
        raise _odd(library) from None
    return encoded


def _word(content: bytes, place: int) -> int:
    return int.from_bytes(content[place : place + 4], sys.byteorder)


def _string(content: bytes, place: int) -> str | None:
    text = content[place : place + 80].partition(b"\0")[0].decode("ascii", "replace")
    return text if _TEXT.match(text) else None


def _switch(value: t.Any) -> bool | None:
    return bool(value) if value in (0, 1) and _is_number(value) else None


def _named(names: t.Sequence[str], value: t.Any) -> str | None:
    return names[value] if _is_number(value) and 0 <= value < len(names) else None


def _is_number(value: t.Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: t.Any) -> bool:
    return value is None or _matches(_TEXT, value)


def _matches(expression: t.Pattern[str], value: t.Any) -> bool:
    return isinstance(value, str) and bool(expression.match(value))


def _odd(library: str) -> HostReadError:
    return HostReadError(library, "an answer that NVML does not give")


# --- the process -----------------------------------------------------------------------------------------------------


def _ask(library: str, pairs: t.Any, seconds: float) -> Facts:
    """Return what the process says that loads the library."""
    loader: t.Any = nvml_child.__spec__ and nvml_child.__spec__.loader
    source = loader.get_source(nvml_child.__name__) if loader else None
    if not source or not sys.executable:
        raise HostReadError(library, "there is no Python to ask it with")
    with reading(library):
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", source, library],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
    try:
        said = _exchange(library, process, json.dumps(pairs).encode("ascii"), seconds)
    finally:
        left = _end(process)
    if left is not None:
        raise HostReadError(library, left)
    try:
        answer = json.loads(said.decode("ascii"))
    except (ValueError, RecursionError):
        status = process.returncode
        ended = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
        raise HostReadError(library, f"the process that asked it {ended}") from None
    if not isinstance(answer, dict):
        raise _odd(library)
    if "error" in answer:
        raise HostReadError(library, str(answer["error"])[:1000])
    return answer


def _exchange(
    library: str, process: subprocess.Popen[bytes], question: bytes, seconds: float
) -> bytes:
    """Send the question and return all that is answered, within a time and a size."""
    deadline = time.monotonic() + seconds
    if process.stdin is None or process.stdout is None:
        raise HostReadError(library, "the process that asks it has no pipes")
    source, sink = process.stdout.fileno(), process.stdin.fileno()
    os.set_blocking(sink, False)
    said = b""
    while True:
        left = deadline - time.monotonic()
        ready = select.select([source], [sink] if question else [], [], max(0.0, left))
        if left <= 0 or not (ready[0] or ready[1]):
            raise HostReadError(library, f"no answer within {seconds:g} seconds")
        if ready[1]:
            try:
                question = question[os.write(sink, question) :]
            except BrokenPipeError:
                question = b""
            if not question:
                process.stdin.close()
        if ready[0]:
            piece = os.read(source, 65536)
            said += piece
            if len(said) > _MOST_BYTES:
                raise HostReadError(library, f"an answer of more than {_MOST_BYTES} bytes")
            if not piece:
                return said


def _end(process: subprocess.Popen[bytes]) -> str | None:
    """End the process and all that it has started; return what is left of it, where it cannot be ended."""
    # Until it is waited for, its number is no other's.
    deadline = time.monotonic() + _SECONDS_TO_EXIT
    while time.monotonic() < deadline and not _has_ended(process):
        time.sleep(0.01)
    # Nothing may be left of it.
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        return f"process {process.pid}, which asks it, waits in the kernel and cannot be ended"
    return None


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
