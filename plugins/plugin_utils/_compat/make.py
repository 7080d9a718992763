# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Whether two devices are of one kind of hardware, so that it helps to say what keeps them apart.

It decides no verdict. A vGPU and a function of a network card are both ``vfio-pci``, and what differs between them is
everything: to name an attribute of it would lead nowhere.
"""

from __future__ import annotations

import typing as t

# What the type of a physical or virtual function begins with, which is a signature of its PCI ids.
_SIGNATURE = "pci-"


def of_one_make(one: t.Mapping[str, str], other: t.Mapping[str, str]) -> bool:
    """Return whether devices with these attributes of ``self`` may be of one kind of hardware."""
    if one.get("device_api", "") != other.get("device_api", ""):
        return False
    first, second = one.get("pci_id", ""), other.get("pci_id", "")
    if first == second or not (first and second):
        return True
    drivers = {one.get("driver"), other.get("driver")}
    return (
        first[:4] == second[:4]
        and _is_function(one) == _is_function(other)
        and (None in drivers or len(drivers) == 1)
    )


def _is_function(attributes: t.Mapping[str, str]) -> bool:
    return attributes.get("type", "").startswith(_SIGNATURE)
