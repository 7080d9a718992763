# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures what matters to big fleets and busy hosts: ``make bench``.

Reading and matching patterns stands beside reading the same bytes as JSON, and beside that what the worst patterns
known take, alone and in a fleet of which every class has one; pairs and plans for big fleets, playbooks on simulated
hosts and planning jobs on cached facts beside what ``fleet.py``, ``plans.py``, ``moving.py`` and ``cached.py`` name. The
CPU time of ``vfio_migration_facts`` on a lab host with 24 mediated devices stands beside that of
``ansible.builtin.ping``, which does nothing but be an Ansible module, and of ``mdevctl list`` plus ``mdevctl types``; that of
``libvirt_guest_info``, where there is a guest, beside a task that runs ``virsh list``.
What counts are the ratios: what is compared is measured in turn, round by round, on one machine.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import statistics
import subprocess
import sys
import time
import typing as t
from collections import defaultdict
from pathlib import Path

INVENTORY = os.path.join(os.environ.get("VFIO_MIGRATION_LAB") or ".lab", "inventory.yml")
HOST = "a"
DEVICES = 24
ROUNDS = 5
WORST_HOSTS = 300
# What a task takes on a lab host beside another, at most.
BARS = (
    ("vfio_migration_facts", "ansible.builtin.ping", 1.3),
    ("libvirt_guest_info", "a task that runs virsh list", 3.0),
)

MEASURED = "/run/measured-python"
TIMES = "/run/measured-times"
# The shell's times: what it used itself and what its children did, each user and system.
WRAPPER = f"""#!/bin/sh
/usr/bin/python3 "$@"
status=$?
times >>{TIMES}
exit $status
"""


def ansible(module: str, arguments: str = "", *options: str) -> str:
    """Run one ad hoc command on the host and return what it printed."""
    command = ["ansible", "--inventory", INVENTORY, HOST, "--module-name", module, *options]
    if arguments:
        command += ["--args", arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{module} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def measure(module: str, arguments: str = "") -> float:
    """Return the CPU seconds that one run of a module takes on the host, with all that it starts."""
    ansible(module, arguments, "--extra-vars", f"ansible_python_interpreter={MEASURED}")
    return read_times()


def measure_mdevctl() -> float:
    """Return the CPU seconds that ``mdevctl list`` and ``mdevctl types`` take together."""
    commands = f"mdevctl list >/dev/null; mdevctl types >/dev/null; times >{TIMES}"
    ansible("ansible.builtin.raw", f"sh -c '{commands}'")
    return read_times()


TASKS: dict[str, t.Callable[[], float]] = {
    "ansible.builtin.ping": lambda: measure("ansible.builtin.ping"),
    "vfio_migration_facts": lambda: measure("vfio.migration.vfio_migration_facts"),
    "mdevctl list + mdevctl types": measure_mdevctl,
}
# Once there is a guest.
GUEST_TASKS: dict[str, t.Callable[[], float]] = {
    "a task that runs virsh list": lambda: measure("ansible.builtin.command", "virsh list"),
    "libvirt_guest_info": lambda: measure("vfio.migration.libvirt_guest_info"),
}


def read_times() -> float:
    """Return user plus system seconds from the host's file of times, lines like ``0m1.23s 0m0.45s``, and remove it."""
    text = ansible("ansible.builtin.raw", f"cat {TIMES} && rm {TIMES}")
    shown = re.findall(r"(\d+)m([\d.]+)s", text)
    return sum(60 * int(minutes) + float(seconds) for minutes, seconds in shown)


def measure_patterns() -> None:
    """Print what reading and matching a pattern costs beside reading the same bytes as JSON."""
    from ansible_collections.vfio.migration.plugins.module_utils._descriptor.pattern import Pattern

    patterns = [
        {
            "aggregator": f"{{val1}}/{2 * number}",
            "device_api": "vfio-pci",
            "pci_id": "80865963",
            "software_version": "0.1.0",
            "type": f"i915-GVTg_V{number}_{{val1:int:1,2,4,8}}",
        }
        for number in range(1, 2001)
    ]
    device = {
        "aggregator": "1",
        "device_api": "vfio-pci",
        "pci_id": "80865963",
        "software_version": "0.2.0",
        "type": "i915-GVTg_V4_8",
    }
    texts = [json.dumps(pattern) for pattern in patterns]
    taken: dict[str, list[float]] = {"json.loads": [], "parse": [], "match": []}
    for _round in range(ROUNDS):
        parsed = clock(taken["json.loads"], texts, json.loads)
        compiled = clock(taken["parse"], parsed, Pattern)
        clock(taken["match"], compiled, lambda pattern: pattern.binding(device))
    print(f"\nOne of {len(patterns)} distinct patterns, median of {ROUNDS} rounds on this machine:")
    base = statistics.median(taken["json.loads"])
    for name, values in taken.items():
        value = statistics.median(values)
        print(f"  {name:30} {1e6 * value:6.1f} us   {value / base:6.2f} times json.loads")


def measure_worst() -> None:
    """Print what the sets that take longest cost: CPU time, the least of the rounds."""
    from ansible_collections.vfio.migration.plugins.module_utils._descriptor.pattern import Pattern
    from ansible_collections.vfio.migration.plugins.module_utils._descriptor.template import (
        InvalidPattern,
    )
    from ansible_collections.vfio.migration.tests.unit.worst_patterns import WORST

    slowest = dict.fromkeys(("parse", "match", "explain"), (0.0, ""))
    for name, (attributes, device) in WORST.items():
        calls: dict[str, t.Callable[[], t.Any]] = {"parse": functools.partial(Pattern, attributes)}
        try:
            parsed = Pattern(attributes)
            calls["match"] = functools.partial(parsed.binding, device)
            calls["explain"] = functools.partial(parsed.failures, device)
        except InvalidPattern:
            pass
        for step, call in calls.items():
            slowest[step] = max(slowest[step], (least(call, InvalidPattern), name))
    print(f"\nThe worst known pattern of {len(WORST)}, CPU time, least of {ROUNDS} rounds:")
    for step, (value, name) in slowest.items():
        print(f"  {step:30} {1e3 * value:6.2f} ms   {name}")


def measure_worst_fleets() -> None:
    """Print what pairs, a plan, an explanation and the report cost for fleets of the worst sets."""
    from ansible_collections.vfio.migration.plugins.plugin_utils._compat.pairs import (
        compatible_pairs,
    )
    from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
    from ansible_collections.vfio.migration.plugins.plugin_utils._planner.explain import explain
    from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import (
        plan_for,
    )
    from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.report_options import (
        report_for,
    )
    from ansible_collections.vfio.migration.tests.unit import worst_patterns

    print(
        f"\nThe worst sets, in fleets of {WORST_HOSTS} hosts with a device each, CPU time of one run:"
    )
    print(f"  {'':40} {'pairs':>6} json.loads  pairs  plan  explain  report, times json.loads")
    for name in worst_patterns.IN_FLEETS:
        facts = worst_patterns.fleet(name, WORST_HOSTS)
        text = json.dumps(facts)
        fleet = read_fleet(facts)
        base = least(functools.partial(json.loads, text), ValueError)
        source, *others = (device.label for device in fleet.devices())
        pairs = len(compatible_pairs(fleet, "source_lists")["pairs"])
        calls: list[t.Callable[[], t.Any]] = [
            functools.partial(compatible_pairs, fleet, "source_lists"),
            functools.partial(plan_for, facts, [source["host"]]),
            functools.partial(explain, fleet, source, others[-1]["host"], "source_lists"),
            functools.partial(report_for, facts),
        ]
        taken = []
        for call in calls:
            started = time.process_time()
            call()
            taken.append((time.process_time() - started) / base)
        ratios = "  ".join(f"{each:6.0f}" for each in taken)
        print(f"  {name:40} {pairs:6} {1e3 * base:7.1f} ms {ratios}")


def least(call: t.Callable[[], t.Any], expected: type[Exception]) -> float:
    """Return the CPU seconds that ``call``, which may raise ``expected``, takes where nothing disturbs it."""
    taken = []
    for _round in range(ROUNDS):
        started = time.process_time()
        with contextlib.suppress(expected):
            call()
        taken.append(time.process_time() - started)
    return min(taken)


def clock(taken: list[float], items: list[t.Any], call: t.Callable[[t.Any], t.Any]) -> list[t.Any]:
    """Call ``call`` with each item, note the seconds per item in ``taken``, and return the results."""
    started = time.perf_counter()
    results = [call(item) for item in items]
    taken.append((time.perf_counter() - started) / len(items))
    return results


def measure_tasks() -> dict[str, float]:
    """Bring a lab host up if there is none, give it devices and a guest, measure, and leave the lab as it was.

    Returns the median of the CPU seconds that each task takes.
    """
    started = not Path(INVENTORY).exists()
    if started:
        subprocess.run([sys.executable, "tests/lab/lab.py", "up", "--hosts", "1"], check=True)
    uuids = [f"{number:08d}-1111-4222-8333-444444444444" for number in range(DEVICES)]
    devices = [{"uuid": uuid, "parent": "mtty", "type": "mtty-1"} for uuid in uuids]
    try:
        ansible("vfio.migration.vfio_mdev", json.dumps({"devices": devices}))
        wrapper = {"content": WRAPPER, "dest": MEASURED, "mode": "0755"}
        ansible("ansible.builtin.copy", json.dumps(wrapper))
        found = medians(TASKS)
        ansible("ansible.builtin.raw", f"lab-domain libvirt && lab-domain start vm-1 {uuids[0]}")
        found |= medians(GUEST_TASKS)
        ansible("ansible.builtin.raw", "virsh destroy vm-1 && virsh undefine vm-1")
        ansible("vfio.migration.vfio_mdev", json.dumps({"devices": devices, "state": "absent"}))
    finally:
        if started:
            subprocess.run([sys.executable, "tests/lab/lab.py", "down"], check=True)
    return found


def medians(tasks: t.Mapping[str, t.Callable[[], float]]) -> dict[str, float]:
    """Return the median of what each task takes, round by round."""
    taken: dict[str, list[float]] = defaultdict(list)
    for _round in range(ROUNDS):
        for name, task in tasks.items():
            taken[name].append(task())
    return {name: statistics.median(each) for name, each in taken.items()}


def report(taken: dict[str, float]) -> None:
    """Print the table."""
    print(f"\nCPU time on a lab host with {DEVICES} mediated devices, median of {ROUNDS} rounds:")
    for name, value in taken.items():
        print(
            f"  {name:30} {value:6.2f} s   {value / taken['ansible.builtin.ping']:5.2f} times ping"
        )
    for name, beside, most in BARS:
        ratio = taken[name] / taken[beside]
        verdict = "met" if ratio <= most else "missed"
        print(f"The bar for {name} is {most} times {beside}: {verdict}, with {ratio:.2f}.")


def measure_fleets() -> None:
    """Print what pairs and plans for big fleets cost."""
    env = os.environ | {"PYTHONPATH": ".collections"}
    for part in ("fleet", "plans", "moving", "cached"):
        module = f"ansible_collections.vfio.migration.tests.bench.{part}"
        subprocess.run([sys.executable, "-m", module], env=env, check=part == "fleet")


if __name__ == "__main__":
    sys.path.insert(0, ".collections")
    measure_patterns()
    measure_worst()
    measure_worst_fleets()
    measure_fleets()
    report(measure_tasks())
