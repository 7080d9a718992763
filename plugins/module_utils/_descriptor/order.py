# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Orders: numbers that may be another one on the target, but only in one direction.

``{rising:N}`` in a derived set says that the number may only rise from the source of a migration to its target, and
``{falling:N}`` that it may only fall; ``{rising:N,M}`` says so of each of several numbers, one for each part of a device.
The language of the proposal has no such condition, so a set that a driver states is void with it. Pure: no files, no
Ansible.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass

RISING, FALLING = "rising", "falling"

_ORDER = re.compile(rf"\{{({RISING}|{FALLING}):([0-9]{{1,20}}(?:,[0-9]{{1,20}})*)\}}\Z")
_NUMBERS = re.compile(r"[0-9]{1,20}(?:,[0-9]{1,20})*\Z")


@dataclass(frozen=True)
class Order:
    """The owner's ``numbers``, and whether a target's may be larger or, otherwise, smaller than its source's."""

    rises: bool
    numbers: tuple[int, ...]

    def allows(self, actual: str, subject_is_target: bool) -> bool:
        """Return whether a device with the value ``actual`` may be on the other side of a migration."""
        found = _numbers(actual)
        if len(found) != len(self.numbers):
            return False
        in_order = operator.ge if self.rises == subject_is_target else operator.le
        return all(map(in_order, found, self.numbers))

    def expected(self, subject_is_target: bool) -> str:
        """Return in words what the other side's numbers must be."""
        numbers = ",".join(map(str, self.numbers))
        each = ", each" if len(self.numbers) > 1 else ""
        return f"{numbers} or {'more' if self.rises == subject_is_target else 'less'}{each}"


def read_order(value: str) -> Order | None:
    """Return the order that a value of a derived set is; ``None`` where it is none."""
    found = _ORDER.match(value)
    return Order(found.group(1) == RISING, _numbers(found.group(2))) if found else None


def as_order(direction: str, value: str) -> str | None:
    """Return the value of a derived set that lets ``value`` rise or fall; ``None`` where that is not of numbers."""
    numbers = _numbers(value)
    return f"{{{direction}:{','.join(map(str, numbers))}}}" if numbers else None


def _numbers(value: str) -> tuple[int, ...]:
    """Return the numbers in ``value``, none where it is anything else."""
    return tuple(map(int, value.split(","))) if _NUMBERS.match(value) else ()
