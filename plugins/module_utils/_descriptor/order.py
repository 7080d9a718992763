# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Orders: what is demanded of the target of a migration alone, or in one direction.

``{rising:N}`` in a derived set says that the number may only rise from the source of a migration to its target, and
``{falling:N}`` that it may only fall; ``{rising:N,M}`` says so of each of several numbers, one for each part of a device.
``{none:N,M}`` says that the target must have none of these, whatever its source has. The language of the proposal has no
such conditions, so a set that a driver states is void with them. Pure: no files, no Ansible.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass

RISING, FALLING, NONE = "rising", "falling", "none"

_ORDER = re.compile(
    rf"\{{(?:({RISING}|{FALLING}):([0-9]{{1,20}}(?:,[0-9]{{1,20}})*)|({NONE}):([0-9a-f,]*))\}}\Z"
)
_NUMBERS = re.compile(r"[0-9]{1,20}(?:,[0-9]{1,20})*\Z")


@dataclass(frozen=True)
class Order:
    """A ``rule`` and the value that the ``owner`` of the set has."""

    rule: str
    owner: str

    def refuses_all(self, subject_is_target: bool) -> bool:
        """Return whether the owner of the set is itself what no device may migrate to."""
        return self.rule == NONE and not subject_is_target and self.owner != ""

    def allows(self, actual: str, subject_is_target: bool) -> bool:
        """Return whether a device with the value ``actual`` may be on the other side of a migration."""
        if self.rule == NONE:
            return not (actual if subject_is_target else self.owner)
        numbers, found = _numbers(self.owner), _numbers(actual)
        if len(found) != len(numbers):
            return False
        in_order = operator.ge if (self.rule == RISING) == subject_is_target else operator.le
        return all(map(in_order, found, numbers))

    def expected(self, subject_is_target: bool) -> str:
        """Return in words what the other side's numbers must be; empty where there must be none."""
        if self.rule == NONE:
            return "" if subject_is_target else f"a target without {self.owner}"
        numbers = ",".join(map(str, _numbers(self.owner)))
        each = ", each" if "," in numbers else ""
        more = (self.rule == RISING) == subject_is_target
        return f"{numbers} or {'more' if more else 'less'}{each}"


def read_order(value: str) -> Order | None:
    """Return the order that a value of a derived set is; ``None`` where it is none."""
    found = _ORDER.match(value)
    return Order(found.group(1) or NONE, found.group(2) or found.group(4) or "") if found else None


def as_order(rule: str, value: str) -> str | None:
    """Return the value of a derived set that has the ``rule`` for ``value``; ``None`` where that is not of numbers."""
    if rule == NONE:
        return f"{{{rule}:{value}}}"
    numbers = _numbers(value)
    return f"{{{rule}:{','.join(map(str, numbers))}}}" if numbers else None


def _numbers(value: str) -> tuple[int, ...]:
    """Return the numbers in ``value``, none where it is anything else."""
    return tuple(map(int, value.split(","))) if _NUMBERS.match(value) else ()
