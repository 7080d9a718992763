# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's hosts: what each of them simulates."""

from __future__ import annotations

import string
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from build import NEWER_SUITE, SUITE


@dataclass(frozen=True)
class Host:
    """One host and how the sample driver differs there from its defaults."""

    name: str
    simulates: str
    # Parameters of the module migration_sample, as ``modinfo`` lists them.
    driver: dict[str, str] = field(default_factory=dict)
    # The Debian suite that its kernel is from.
    suite: str = SUITE

    @property
    def address(self) -> str:
        """Its address in the network that joins the hosts of a lab."""
        return f"10.0.3.{self._number}"

    @property
    def mac(self) -> str:
        return f"52:54:00:00:03:{self._number:02x}"

    @property
    def _number(self) -> int:
        return 1 + string.ascii_lowercase.index(self.name)


HOSTS = (
    Host(
        "a",
        "two Intel graphics devices with driver version 0.1.0",
        {"gpu_version": "0.1.0,0.1.0", "keep_less": "1"},
    ),
    Host(
        "b",
        "the same two devices with driver version 0.2.0: takes what comes from a, never the reverse",
        {
            "gpu_version": "0.2.0,0.2.0",
            "gpu_states_version": "1,0",
            "vf_version": "0.2.0",
            "keep_less": "1",
        },
    ),
    Host(
        "c",
        "another major version, another device, and a device that does not speak the proposal",
        {
            "gpu_id": "8086:5963,8086:591d,8086:591d",
            "gpu_form": "file,directory,none",
            "gpu_version": "1.0.0,0.1.0,0.1.0",
            "physical_version": "1.1.0",
            "keep_less": "1",
        },
    ),
)

# How many hosts a lab can have.
LIMIT = len(string.ascii_lowercase)

# Modules that every host loads at boot, in this order.
MODULES = ("vfio_iommu_type1", "igb", "mtty", "mdpy", "migration_sample")


def table(count: int, newer: Collection[str] = ()) -> list[Host]:
    """Return the first hosts; those beyond the table repeat its rows under further letters. Those named have the newer kernel."""
    names = string.ascii_lowercase[:count]
    return [
        replace(HOSTS[index % len(HOSTS)], name=name, suite=NEWER_SUITE if name in newer else SUITE)
        for index, name in enumerate(names)
    ]
