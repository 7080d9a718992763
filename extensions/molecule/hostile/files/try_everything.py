# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks vfio_mdev for what a compromised source host might ask for, and looks at what that did to sysfs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, "/tmp/calls.zip")

from calls import DEVICES, call, clear, left_in_run, make, state

UUID = "00000001-1111-4222-8333-444444444444"
PARENT = "0001:00:02.0"
GOOD = {"uuid": UUID, "parent": PARENT, "type": "i915-GVTg_V5_8"}
PARAMETERS = Path("/sys/module/migration_sample/parameters")

NAMES = [
    "",
    ".",
    "..",
    "../../enable",
    "../0001:00:02.0/enable",
    "intel_vgpu/../remove",
    "intel_vgpu/..",
    "/sys/bus/pci/rescan",
    "//etc/passwd",
    "intel_vgpu/",
    "/aggregator",
    "intel_vgpu//aggregator",
    "a/b/c",
    ".hidden",
    "intel_vgpu/.hidden",
    "aggregator\0",
    "aggregator\n",
    "aggre\ngator",
    "aggregator ",
    "aggregat\u00f6r",
    "a" * 100_000,
    "remove",
    "uevent",
    "driver_override",
    "power/control",
    "power/autosuspend_delay_ms",
    "migration/self",
    "migration/compatible",
    "driver/unbind",
    "driver/bind",
    "driver/module",
    "subsystem/drivers_probe",
    "subsystem/drivers_autoprobe",
    "iommu_group/type",
    "mdev_type/create",
    "vfio-dev/vfio0",
    "vfio-dev/uevent",
    # The driver's fault plant_link made a link of this name to the parent.
    "planted",
    "planted/enable",
    "planted/rescan",
    "planted/msi_bus",
    "planted/numa_node",
    "vgpu_id",
    "intel_vgpu/vgpu_id",
]
VALUES = ["2\n3", "2\r3", "2\0", "\u0662", "2" * 100_000, "\x1b[2J", "2\x7f"]
DEVICES_ASKED_FOR: list[dict[str, Any]] = [
    {"uuid": f"../{UUID}"},
    {"uuid": f"{UUID}\n"},
    {"uuid": ""},
    {"parent": "../pci_bus"},
    {"parent": "/sys"},
    {"parent": "."},
    {"parent": ""},
    {"parent": "0001:00:02.0\n"},
    {"parent": "0001:00:02.0\0"},
    {"type": "../../enable"},
    {"type": ".."},
    {"type": ""},
    {"type": "a" * 100_000},
    {"accept": [{"type": "{v:int:" + "1," * 50_000 + "1}", "device_api": "vfio-pci"}]},
    {"accept": [{"../type": "x"}]},
    {"accept": [{"type": "x"}] * 10_000},
]


def main() -> int:
    cases = [("name", {"attributes": [{"name": name, "value": "7"}]}) for name in NAMES]
    cases += [("value", {"attributes": [{"name": "aggregator", "value": each}]}) for each in VALUES]
    cases += [("device", each) for each in DEVICES_ASKED_FOR]
    (PARAMETERS / "plant_link").write_text("1")
    wrong = 0
    for exists in (True, False):
        clear()
        if exists:
            make({**GOOD, "attributes": []})
            if not (DEVICES / UUID / "planted").is_symlink():
                raise AssertionError("the driver planted no link")
        before = seen()
        for kind, asked in cases:
            result = call(devices=[{**GOOD, **asked}], timeout=0)
            refused = (
                bool(result.get("failed"))
                and not result.get("exception")
                and result.get("left") == []
            )
            if not refused or state() != before["state"]:
                wrong += 1
                print(f"{kind} {str(asked)[:100]!r}: {str(result)[:300]}")
        # To look everywhere takes longer than to ask.
        after = seen()
        changed = [path for path in {**before, **after} if before.get(path) != after.get(path)]
        wrong += len(changed)
        for path in changed:
            print(f"changed: {path}")
    (PARAMETERS / "plant_link").write_text("0")
    clear()
    print(f"hostile requests: {2 * len(cases)}, not refused or not without effect: {wrong}")
    return 1 if wrong else 0


def seen() -> dict[str, Any]:
    """Return the devices, and what every writable file of PCI devices and of the mdev bus reads."""
    found: dict[str, Any] = {"state": state(), "run": left_in_run()}
    for top in ("/sys/devices/pci0001:00", "/sys/bus/mdev"):
        for directory, _folders, names in os.walk(top):
            found.update((path, _text(path)) for path in (f"{directory}/{name}" for name in names))
    return found


def _text(path: str) -> str | None:
    # What cannot be written need not be read; a resource of a PCI device had better not be.
    try:
        if "resource" in path or not os.stat(path).st_mode & 0o200:
            return None
        return Path(path).read_text(errors="replace")
    except OSError:
        return None


if __name__ == "__main__":
    sys.exit(main())
