# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters that ``compatible_pairs`` is measured against: what reads the same facts, and what returns a number only."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.filter.compatible_pairs import compatible_pairs


def read_facts(hostvars: t.Any, hosts: list[str]) -> int:
    """Return how many of ``hosts`` have facts, read untemplated."""
    return sum("vfio_migration" in hostvars.raw_get(host)["ansible_facts"] for host in hosts)


def count_pairs(hostvars: t.Any, hosts: list[str]) -> int:
    """Return how many compatible pairs of devices there are on ``hosts``."""
    return sum(pair["pairs"] for pair in compatible_pairs(hostvars, hosts, max_age=0)["pairs"])


class FilterModule:
    """The filters for the playbook beside them."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"read_facts": read_facts, "count_pairs": count_pairs}
