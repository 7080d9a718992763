# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""AP queues: which mediated devices of vfio_ap cannot be on one host, as a queue belongs to one of them alone. Pure.

A device has the queue of every pair of its adapters and domains. The kernel refuses a device a queue that another one on
the host has, whether or not a guest uses that (Documentation/arch/s390/vfio-ap.rst, "EBUSY").
"""

from __future__ import annotations

import re
import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.model import Device, Host

_NUMBERS = re.compile(r"[0-9a-f]{1,2}(,[0-9a-f]{1,2})*\Z")


class Matrix(t.NamedTuple):
    """The adapters and domains of a device, as masks in which bit n stands for number n."""

    adapters: int
    domains: int

    def shared_queue(self, other: Matrix) -> str | None:
        """Return the first queue that both have, as the kernel writes it; ``None`` where there is none."""
        if not self.shares_a_queue(other):
            return None
        adapters, domains = self.adapters & other.adapters, self.domains & other.domains
        return f"{_lowest(adapters):02x}.{_lowest(domains):04x}"

    def shares_a_queue(self, other: Matrix) -> bool:
        """Return whether there is a queue that both have."""
        return bool(self.adapters & other.adapters and self.domains & other.domains)


class NumberedMatrices:
    """Matrices by number, so that a set of them is an integer: a search keeps many, and asks of each the same pairs again."""

    def __init__(self) -> None:
        self._numbers: dict[Matrix, int] = {}
        self._matrices: list[Matrix] = []
        # By number, with which others it was compared, and with which of these it has a queue in common.
        self._compared: list[int] = []
        self._sharing: list[int] = []

    def number(self, matrix: Matrix) -> int:
        """Return the number of ``matrix``."""
        number = self._numbers.setdefault(matrix, len(self._matrices))
        if number == len(self._matrices):
            self._matrices.append(matrix)
            self._compared.append(0)
            self._sharing.append(0)
        return number

    def is_contested(self, number: int, others: int) -> bool:
        """Return whether the matrix with this number has a queue of one of ``others``, which have a bit each."""
        matrix = self._matrices[number]
        for other in _bits(others & ~self._compared[number]):
            if matrix.shares_a_queue(self._matrices[other]):
                self._sharing[number] |= 1 << other
        self._compared[number] |= others
        return bool(self._sharing[number] & others)


def matrix_of(device: Device) -> Matrix | None:
    """Return the matrix of a device of vfio_ap; ``None`` for any other, and for one without queues."""
    own = device.descriptor.self_attributes if device.descriptor is not None else {}
    if device.kind != "mdev" or own.get("device_api") != "vfio-ap":
        return None
    found = Matrix(_mask(own.get("adapters", "")), _mask(own.get("domains", "")))
    return found if all(found) else None


def matrices_on(host: Host) -> list[tuple[Matrix, Device]]:
    """Return the matrices that are on a host, each with its device."""
    return [
        (matrix, device) for device in host.devices if (matrix := matrix_of(device)) is not None
    ]


def contested(matrices: t.Iterable[Matrix]) -> set[Matrix]:
    """Return those that have a queue in common with another one, or are there twice."""
    every = [*matrices]
    once: dict[int, int] = defaultdict(int)
    twice: dict[int, int] = defaultdict(int)
    for each in every:
        for adapter in _bits(each.adapters):
            twice[adapter] |= once[adapter] & each.domains
            once[adapter] |= each.domains
    return {
        each
        for each in every
        if any(twice[adapter] & each.domains for adapter in _bits(each.adapters))
    }


def _mask(numbers: str) -> int:
    if not _NUMBERS.match(numbers):
        return 0
    mask = 0
    for number in numbers.split(","):
        mask |= 1 << int(number, 16)
    return mask


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _bits(mask: int) -> t.Iterator[int]:
    while mask:
        yield _lowest(mask)
        mask &= mask - 1
