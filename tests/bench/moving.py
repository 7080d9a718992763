# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbooks on simulated hosts, which are local connections: what they cost beside what they do.

Guests that move from host to host are beside the time that the longest host's own moves take, with a stand-in for libvirt that takes
seconds for each. One host that is drained, or one guest that moves, in a big fleet is in CPU seconds beside a play that gathers there
what the playbook gathers.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.vfio.migration.tests.playbooks.simulated_fleet import Fleet

HOSTS, GUESTS, SECONDS = 5, 20, 10
# How often each size of a fleet is measured.
FLEETS = {200: 3, 1000: 1}
BAR_MOVES, BAR_PREPARE, BAR_ONE = 1.3, 1.2, 1.3
_TASK = "TASK ["
_MOVES = "Migrate the leaving guests]"
_NOTHING = "- hosts: hypervisors\n  gather_facts: false\n  tasks:\n"
_FACTS = "    - vfio.migration.vfio_migration_facts:\n      register: gathered\n"
_LIBVIRT = "    - vfio.migration.libvirt_guest_info:\n      register: answered\n"


def report(smoke: bool) -> bool:
    """Print the rows, and return whether each holds; ``smoke``: short moves in a small fleet, of which times do not matter."""
    print("\nPlaybooks on simulated hosts, beside what is in them that nobody can spare:")
    print(f"  {'':54} {'takes':>8} {'beside':>8} {'times':>6} {'bar':>4}  verdict")
    rows = [_moves(2, 4, 1) if smoke else _moves(HOSTS, GUESTS, SECONDS)]
    for fleet, rounds in {4: 1}.items() if smoke else FLEETS.items():
        rows += _fleets(fleet, rounds)
    missed = [_row(*row, smoke) for row in rows]
    return not any(missed)


_Row = tuple[str, float, float, float, str | None]


def _row(
    name: str, taken: float, beside: float, most: float, fault: str | None, smoke: bool
) -> bool:
    missed = fault or ("over the bar" if not smoke and taken > most * beside else None)
    print(
        f"  {name:54} {taken:6.1f} s {beside:6.1f} s {taken / beside:6.2f} {most:4.1f}"
        f"  {f'MISSED: {missed}' if missed else 'holds'}",
        flush=True,
    )
    return missed is not None


def _moves(hosts: int, guests: int, seconds: int) -> _Row:
    sources = [f"a{number}" for number in range(hosts)]
    targets = [f"b{number}" for number in range(hosts)]
    there = {
        f"vm-{number:02}": {
            "host": sources[number % hosts],
            "uuid": _uuid(number),
            "device": _uuid(number + 1000),
            "seconds": seconds,
        }
        for number in range(guests)
    }
    with tempfile.TemporaryDirectory() as place:
        fleet = Fleet(
            # A device takes two of the parent's instances.
            Path(place) / "fleet",
            [*sources, *targets],
            there,
            room=2 * guests // hosts,
            forks=2 * hosts,
        )
        options = {
            "migrate_libvirt_drain": ",".join(sources),
            "migrate_libvirt_parallel": hosts,
            "migrate_libvirt_parallel_target": 2,
        }
        _status, lines = fleet.timed("vfio.migration.migrate_libvirt", options)
        moved = sum(host in targets for host in fleet.guests().values())
    tasks = [(when, line) for when, line in lines if line.startswith(_TASK)]
    begin = next((n for n, (_when, line) in enumerate(tasks) if _MOVES in line), 0)
    taken = tasks[begin + 1][0] - tasks[begin][0]
    fault = None if moved == guests else f"{moved} of {guests} guests have moved"
    name = f"{guests} guests, {hosts} hosts to {hosts} others, {seconds} s each"
    return name, taken, guests / hosts * seconds, BAR_MOVES, fault


def _fleets(hosts: int, rounds: int) -> list[_Row]:
    """Return the rows of a drained host and a guest that moves, the least of ``rounds`` each."""
    names = [f"h{number:03}" for number in range(hosts)]
    held = {"vm-1": {"host": names[0], "uuid": _uuid(1), "device": _uuid(1001)}}
    taken: dict[str, list[float]] = {}
    faults: dict[str, str | None] = {}
    for _round in range(rounds):
        for name, tasks in (("facts", _FACTS), ("facts and libvirt", _FACTS + _LIBVIRT)):
            with tempfile.TemporaryDirectory() as place:
                fleet = Fleet(Path(place) / "fleet", names, held)
                (fleet.work / "gather.yml").write_text(_NOTHING + tasks)
                _measure(taken, faults, name, lambda: fleet.timed("gather.yml"))  # noqa: B023
        for name, options in (
            ("prepare", {"prepare_drain": names[0]}),
            ("migrate_libvirt", {"migrate_libvirt_guests": "vm-1"}),
        ):
            with tempfile.TemporaryDirectory() as place:
                fleet = Fleet(Path(place) / "fleet", names, held)
                _measure(
                    *(taken, faults, name),
                    lambda: fleet.timed(f"vfio.migration.{name}", options),  # noqa: B023
                )
    least = {name: min(each) for name, each in taken.items()}
    return [
        (
            *(f"prepare of one drained host of {hosts}, beside gathering", least["prepare"]),
            *(least["facts"], BAR_PREPARE, faults["prepare"]),
        ),
        (
            *(f"one guest that moves in a fleet of {hosts}, the same", least["migrate_libvirt"]),
            *(least["facts and libvirt"], BAR_ONE, faults["migrate_libvirt"]),
        ),
    ]


def _measure(
    taken: dict[str, list[float]],
    faults: dict[str, str | None],
    name: str,
    run: t.Callable[[], tuple[int, list[tuple[float, str]]]],
) -> None:
    """Keep the CPU seconds of a run of Ansible and its children, and whether it failed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    status, lines = run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    taken.setdefault(name, []).append(used)
    faults[name] = "".join(line for _when, line in lines[-20:]) if status else None


def _uuid(number: int) -> str:
    return f"{number:08}-1111-4222-8333-444444444444"


if __name__ == "__main__":
    sys.exit(not report(smoke="--smoke" in sys.argv))
