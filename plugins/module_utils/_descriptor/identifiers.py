# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The kinds, names and addresses of devices, and lists of attributes. Pure."""

from __future__ import annotations

import re
import typing as t

# The kinds of devices: every list of them is made from this one, or a test compares the two.
MDEV, PCI, VDPA = "mdev", "pci", "vdpa"
KINDS = (MDEV, PCI, VDPA)

# The name of an mdev, as the kernel shows it.
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
# The name of a PCI device; domains of more than four digits are those of virtual buses.
PCI_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]\Z")


def attribute_list(pairs: t.Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Return attributes as in facts and results: ``[{name, value}]``."""
    return [{"name": name, "value": value} for name, value in pairs]


def attribute_pairs(attributes: t.Iterable[t.Mapping[str, str]]) -> list[tuple[str, str]]:
    """Return names and values of attributes that are in facts, or that the user lists."""
    return [(each["name"], each["value"]) for each in attributes]
