# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters that ``compatible_pairs`` is measured against: what reads the same facts, and what returns a number only."""

from __future__ import annotations

import json
import typing as t

from ansible import constants as C  # noqa: N812
from ansible.plugins.loader import cache_loader
from ansible_collections.vfio.migration.plugins.filter.compatible_pairs import compatible_pairs
from ansible_collections.vfio.migration.tests.bench.generate import hosts


def read_facts(hostvars: t.Any, hosts: list[str]) -> int:
    """Return how many of ``hosts`` have facts, read untemplated."""
    return sum("vfio_migration" in hostvars.raw_get(host)["ansible_facts"] for host in hosts)


def count_pairs(hostvars: t.Any, hosts: list[str]) -> int:
    """Return how many compatible pairs of devices there are on ``hosts``."""
    return sum(pair["pairs"] for pair in compatible_pairs(hostvars, hosts, max_age=0)["pairs"])


def keep_facts(count: int, classes: int, devices: int) -> list[str]:
    """Put the facts of so many hosts into the fact cache, as a play that gathers them does; return the names."""
    cache = cache_loader.get(C.config.get_config_value("CACHE_PLUGIN"))
    names = []
    for name, text in hosts(count, classes):
        facts = json.loads(text)
        facts["devices"] = facts["devices"][:devices]
        cache.set(name, {"vfio_migration": facts})
        names.append(name)
    return names


class FilterModule:
    """The filters for the playbook beside them."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"read_facts": read_facts, "count_pairs": count_pairs, "keep_facts": keep_facts}
