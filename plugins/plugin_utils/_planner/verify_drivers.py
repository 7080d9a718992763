# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the verifier knows of drivers: plain data of their entries, the only thing of the engine's that it reads. Pure.

Which attributes a driver compares, and how many functions it migrates at a time, is what documents say. It is in one place,
so that a new driver is one entry. The verifier runs none of an entry's functions: what these decide, as of AP matrices, it
decides by rules of its own.
"""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import entries_of


class KnownOfDriver(t.NamedTuple):
    """What documents say of a driver.

    ``learnt`` are the attributes that not every host shows of its devices, ``always_compared`` those of them that it compares
    of all devices. Where it ``needs_more``, its functions migrate only where the physical function has what sysfs does not show;
    devlink itself shows what it switches. It migrates ``at_once`` so many functions of one physical function, 0 for any number.
    """

    learnt: frozenset[str]
    always_compared: frozenset[str]
    needs_more: bool
    at_once: int


def known_of(own: t.Mapping[str, str]) -> KnownOfDriver:
    """Return what is known of the driver that a derived descriptor names, as far as it is data."""
    return _known(own.get("driver", "").replace("-", "_"))


# Hosts choose the names.
@functools.lru_cache(maxsize=256)
def _known(driver: str) -> KnownOfDriver:
    entries = entries_of(driver)
    return KnownOfDriver(
        frozenset(str(name) for each in entries for name in each.learnt),
        frozenset(str(name) for each in entries for name in each.always_compared),
        any(each.needs is not None and not each.switched for each in entries),
        max((each.at_once or 0 for each in entries), default=0),
    )
