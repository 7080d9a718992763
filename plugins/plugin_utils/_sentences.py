# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Sentences about verdicts that an operator can act on. Pure."""

from __future__ import annotations

import typing as t


def sentence(
    reason: dict[str, t.Any], where: str, host: str, subject_is_target: bool = True
) -> str:
    """What ``reason`` says of the device at ``where``, and what would have to change.

    ``host`` is the target's. ``subject_is_target`` says whether that device is the target, as where the source's
    list decides, or the source.
    """
    attribute, expected, actual = reason["attribute"], reason["expected"], reason["actual"]
    match reason["rule"]:
        case "version_minor" if subject_is_target:
            return (
                f"update the driver on {host} to {_minor(expected)} or newer: {where} has {actual}"
            )
        case "version_minor":
            return (
                f"update the driver on {host} to {_minor(actual)} or newer: it accepts {expected}"
            )
        case "version_major":
            major = expected.partition(".")[0]
            return f"{where} has software_version {actual}; major version {major} is needed"
        case "present":
            return f"{where} has no {attribute}; {expected} is needed"
        case "void_set":
            return f"set {reason['set']} of 'compatible' is void: {attribute}: expected {expected}"
        case "no_descriptor":
            return f"{where}: expected {expected}"
        case _:
            return f"{where} has {attribute} {actual}; {expected} is needed"


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def nearest(reasons: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """The reasons of the nearest set alone."""
    return [reason for reason in reasons if reason["set"] == reasons[0]["set"]]
