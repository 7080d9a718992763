# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter that others are measured against: it only reads facts."""

from __future__ import annotations

import typing as t


def read_facts(hostvars: t.Any, hosts: list[str]) -> int:
    """How many of ``hosts`` have facts, read untemplated."""
    return sum("vfio_migration" in hostvars.raw_get(host)["ansible_facts"] for host in hosts)


class FilterModule:
    """The filter for the playbook beside it."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"read_facts": read_facts}
