# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A filter that measures another, within one task: what it costs beside only reading the same facts."""

from __future__ import annotations

import json
import time
import typing as t

from ansible_collections.vfio.migration.plugins.filter.compatible_pairs import compatible_pairs
from ansible_collections.vfio.migration.tests.bench import generate

ROUNDS = 3


def fleet_cost(hostvars: t.Any, hosts: int, classes: int) -> str:
    """Seconds for reading the facts of all hosts untemplated, and for ``compatible_pairs``, as JSON."""
    names = []
    for name, text in generate.hosts(hosts, classes):
        # As the strategy does with what a module returns.
        hostvars._variable_manager.set_host_facts(name, {"vfio_migration": json.loads(text)})
        names.append(name)
    reading, pairing = [], []
    for _round in range(ROUNDS):
        started = time.process_time()
        for name in names:
            hostvars.raw_get(name)
        read = time.process_time()
        result = compatible_pairs(hostvars, names)
        reading.append(read - started)
        pairing.append(time.process_time() - read)
    pairs = sum(pair["pairs"] for pair in result["pairs"])
    return json.dumps({"reading": min(reading), "pairing": min(pairing), "pairs": pairs})


class FilterModule:
    """The filter for the playbook beside it."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"fleet_cost": fleet_cost}
