# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Sentences about verdicts and devices that an operator can act on, and numbers in words. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Device

# So many names are listed in a sentence.
MAX_NAMES = 10
# What several sentences say at their end; it shows who holds the devices of a host.
AS_ROOT = "gather the facts as root"


def sentence(
    reason: t.Mapping[str, t.Any], where: str, host: str, subject_is_target: bool = True
) -> str:
    """Return what ``reason`` says of the device at ``where``, and what would have to change.

    ``host`` is the target's. ``subject_is_target`` says whether that device is the target, as where the source's
    list decides, or the source.
    """
    attribute, expected, actual = reason["attribute"], reason["expected"], reason["actual"]
    lister = "source" if subject_is_target else "target"
    match reason["rule"]:
        case "configuration":
            return (
                f"what has to be equal differs: {attribute} is {expected} on the source and {actual}"
                f" on the target, {where if subject_is_target else host}"
            )
        case "version_minor":
            newer = updated_version(reason, subject_is_target)
            why = f"{where} has {actual}" if subject_is_target else f"it accepts {expected}"
            return f"update the driver on {host} to {newer} or newer: {why}"
        case "version_major":
            major = expected.partition(".")[0]
            return f"{where} has software_version {actual}; major version {major} is needed"
        case "present" if reason["set"] is None:
            return f"the {lister}'s driver lists no set of attributes that it is compatible with"
        case "equal" | "order" if not expected:
            return f"{where} has {attribute} {actual}; it must be absent or empty"
        case "present" | "equal" | "order" if not actual:
            return f"{where} has no {attribute}; {expected} is needed"
        case "void_set":
            return (
                f"the {lister}'s driver states what is void: set {reason['set']} of 'compatible',"
                f" {attribute}: expected {expected}"
            )
        case "no_descriptor":
            return f"{where}: {expected} is needed"
        case _:
            return f"{where} has {attribute} {actual}; {expected} is needed"


def updated_version(reason: t.Mapping[str, t.Any], subject_is_target: bool = True) -> str:
    """Return the version that the target's driver needs at least, by a reason of the rule ``version_minor``."""
    return _minor(reason["expected"] if subject_is_target else reason["actual"])


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def why_in_use(device: Device) -> str | None:
    """Return why ``device`` is in use, or may be: who holds it; ``None`` where no process does."""
    if device.in_use is None:
        return None
    if device.in_use.pid is None:
        return f"it is unknown whether a process holds it; {AS_ROOT}"
    uuid = f", UUID {device.in_use.uuid}" if device.in_use.uuid else ""
    return f"{device.in_use.name} (pid {device.in_use.pid}{uuid}) holds it"


def listed(names: t.Sequence[str]) -> str:
    """Return names with commas between, of more than ten the first and how many more there are."""
    if len(names) <= MAX_NAMES + 1:
        return ", ".join(names)
    return f"{', '.join(names[:MAX_NAMES])} and {len(names) - MAX_NAMES:,} more"


def counted(number: int, noun: str) -> str:
    """Return a number of something, as ``2 hosts``."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """Return the plural of a noun, as ``hosts`` or ``classes``."""
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def used_up(type_id: str, place: str, needed: int, left: int, devices: t.Sequence[Device]) -> str:
    """Return that the parent at ``place`` has too few instances of a type left, and who holds its ``devices``."""
    if left:
        short = f"{needed} instances of {type_id} needed under {place}, {left} left"
    else:
        short = f"no instance of {type_id} left under {place}"
    if not devices:
        return f"{short}, although it has no device: something else takes its capacity"
    users = {
        device.in_use.name or f"process {device.in_use.pid}"
        for device in devices
        if device.in_use and device.in_use.pid is not None
    }
    free = [device.id for device in devices if device.in_use is None]
    by = [listed(sorted(users))] if users else []
    if free:
        by.append(f"no process ({listed(free)})")
    if any(device.may_be_held for device in devices):
        by.append("what only facts gathered as root show")
    return f"{short}: {len(devices)} in use, by {', '.join(by)}"


def nearest(reasons: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return the reasons of the nearest set alone; where every set matches, the first of what else is compared."""
    if reasons and reasons[0]["rule"] == "configuration":
        return reasons[:1]
    return [
        reason
        for reason in reasons
        if reason["set"] == reasons[0]["set"] and reason["rule"] != "configuration"
    ]
