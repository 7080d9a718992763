# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets two calls of vfio_mdev race for the last instance of a type, many times.

In some of the races the callers do not see each other's locks, as where one of them is another tool; then the kernel decides.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

sys.path.insert(0, "/tmp/calls.zip")

from ansible_collections.vfio.migration.plugins.modules import vfio_mdev
from calls import Call, clear, left_in_run, state

RACES = 100
UNLOCKED = 20
UUIDS = [f"0000000{number}-1111-4222-8333-444444444444" for number in (1, 2)]


def main() -> int:
    failed = 0
    for title, races, locked in (
        ("with locks", RACES, True),
        ("without", UNLOCKED, False),
    ):
        losses: Counter[str] = Counter()
        winners = left = 0
        for number in range(races):
            clear()
            # One waits for the other, so let each be the first to come in half of the races.
            won, lost = race(UUIDS if number % 2 else UUIDS[::-1], locked)
            winners += len(won) == 1
            left += sorted(state()) != won or bool(left_in_run())
            losses.update(lost)
        print(f"races {title}: {races}, single winners: {winners}, leftovers: {left}")
        for message, count in losses.items():
            print(f"  {count} times: {message}")
        failed += races - winners + left
    clear()
    return 1 if failed else 0


def race(uuids: list[str], locked: bool) -> tuple[list[str], list[str]]:
    """Return the UUIDs of those that were made, and the errors of the others."""
    reader, writer = os.pipe()
    calls = [
        Call(
            _starting(reader, writer, locked, uuid),
            devices=[{"uuid": uuid, "parent": "0001:00:02.0", "type": "i915-GVTg_V5_1"}],
            timeout=60,
        )
        for uuid in uuids
    ]
    os.close(reader)
    # Both are waiting for this.
    os.close(writer)
    results = {
        uuid: each.result() or {"msg": "killed"} for uuid, each in zip(uuids, calls, strict=True)
    }
    won = [uuid for uuid, result in results.items() if result.get("changed")]
    lost = [
        result["msg"].replace(uuid, "UUID") for uuid, result in results.items() if uuid not in won
    ]
    return sorted(won), lost


def _starting(reader: int, writer: int, locked: bool, uuid: str) -> Callable[[], None]:
    def prepare() -> None:
        os.close(writer)
        if not locked:
            module: Any = vfio_mdev
            module.place = lambda sysfs, kind: f"/run/vfio.migration/{uuid}"
        os.read(reader, 1)

    return prepare


if __name__ == "__main__":
    sys.exit(main())
