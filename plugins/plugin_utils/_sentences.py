# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Sentences about verdicts that an operator can act on. Pure."""

from __future__ import annotations

import typing as t


def sentence(reason: dict[str, t.Any], where: str) -> str:
    """What ``reason`` says of the target at ``where``, and what would have to change."""
    attribute, expected, actual = reason["attribute"], reason["expected"], reason["actual"]
    match reason["rule"]:
        case "version_minor":
            return f"{where} has software_version {actual}; {expected} or newer is needed"
        case "version_major":
            major = str(expected).partition(".")[0]
            return f"{where} has software_version {actual}; major version {major} is needed"
        case "present":
            return f"{where} has no {attribute}; {expected} is needed"
        case "void_set":
            return f"set {reason['set']} of 'compatible' is void: {attribute}: expected {expected}"
        case "no_descriptor":
            return f"{where}: expected {expected}"
        case _:
            return f"{where} has {attribute} {actual}; {expected} is needed"


def nearest(reasons: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """The reasons of the nearest set alone."""
    return [reason for reason in reasons if reason["set"] == reasons[0]["set"]]
