# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A reason why a device has no place: a code for programs, and a sentence for people. Pure.

The code is set where the reason is found. Nothing reads the sentence, so its wording is free.
"""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import (
    sentence,
    updated_version,
)

if t.TYPE_CHECKING:  # pragma: no cover
    from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Device
    from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import Guest

# So often is a set of patterns compared with what a host has; what takes more has no reasons in detail.
MAX_COMPARISONS = 300_000
# The rules of a verdict whose code is not simply that an attribute differs.
_OF_RULES = {
    "configuration": "configuration",
    "version_minor": "driver_version",
    "version_major": "major_version",
    "void_set": "void_set",
    "no_descriptor": "unknown_device",
}
# Of these a device is kept by another one of its guest, whose own reasons say why.
OF_ANOTHER_DEVICE = frozenset({"guest_stays", "guest_together", "guest_device"})


class Reason(t.NamedTuple):
    """What stands between a device and a host, as the contract has it, without the host."""

    code: contract.ReasonCode
    words: str
    attribute: str | None = None
    detail: str | None = None

    @property
    def rule(self) -> tuple[str | None, ...]:
        """What it has in common with those that differ only in the host, in devices and in numbers."""
        return self.code, self.attribute, self.detail

    def on(self, host: str | None) -> contract.UnplacedReason:
        """Return the reason as the contract has it, of ``host``; ``None`` is for all hosts together."""
        reason: contract.UnplacedReason = {"host": host, "code": self.code, "reason": self.words}
        if self.attribute is not None:
            reason["attribute"] = self.attribute
        if self.detail is not None:
            reason["detail"] = self.detail
        return reason


def code_of(reason: t.Mapping[str, t.Any]) -> contract.ReasonCode:
    """Return the code of a ``reason`` of a verdict."""
    if reason["rule"] == "present" and reason["set"] is None:
        return "no_list"
    return _OF_RULES.get(reason["rule"], "attribute")


def of_verdict(
    reason: t.Mapping[str, t.Any], where: str, host: str, subject_is_target: bool = True
) -> Reason:
    """Return a ``reason`` of a verdict on the device at ``where``; see ``wording.sentence``."""
    words = sentence(reason, where, host, subject_is_target)
    code, expected = code_of(reason), reason["expected"]
    detail = None
    if code == "attribute":
        detail = str(expected) if expected else "absent or empty"
    elif code == "driver_version":
        detail = updated_version(reason, subject_is_target)
    elif code == "major_version":
        detail = str(expected).partition(".")[0]
    return Reason(code, words, reason["attribute"], detail)


def unplaced_of(
    guest: Guest, device: Device, reasons: list[contract.UnplacedReason]
) -> contract.Unplaced:
    """Return what is said of one ``device`` of a guest that is left behind."""
    found: contract.Unplaced = {"vm": guest.name, "source": device.label, "reasons": reasons}
    if device.in_use is not None and device.in_use.uuid is not None:
        found["vm_uuid"] = device.in_use.uuid
    return found
