# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How each filter and test of the collection is called, with what hosts and other filters say."""

from __future__ import annotations

import functools
import importlib
import typing as t
from pathlib import Path

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.checks import (
    MigrationCase,
    check_migration,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import find_guests
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.libvirt_answers import (
    said_by_libvirt,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.plan_options import plan_for
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, gvt
from ansible_collections.vfio.migration.tests.unit.hostile_texts import HostileWorld

PLUGINS = Path(__file__).parents[2] / "plugins"
PACKAGE = "ansible_collections.vfio.migration.plugins"


def plugins(kind: str) -> list[str]:
    return sorted(path.stem for path in (PLUGINS / kind).glob("*.py"))


@functools.lru_cache(maxsize=None)
def filter_of(name: str) -> t.Callable[..., t.Any]:
    kind = "filter" if name in plugins("filter") else "test"
    return getattr(importlib.import_module(f"{PACKAGE}.{kind}.{name}"), name)


class Step:
    """What filters return for a world, from which the arguments of others are made, as the roles do it."""

    def __init__(self, world: HostileWorld) -> None:
        self.world = world
        self.fleet = world.facts
        self.plan = self._plan()
        self.libvirt = world.libvirt()

    def _plan(self) -> t.Any:
        try:
            return plan_for(self.fleet, drain=[self.world.source])
        except FleetError:
            # The door does not let the facts in.
            return plan_for(self.fleet, sources=[])

    @property
    def checks(self) -> t.Any:
        fleet = read_fleet(self.fleet)
        hosts = {host: said_by_libvirt(answer) for host, answer in self.libvirt.items()}
        guests = find_guests(fleet, hosts, drain=[self.world.source])
        return check_migration(
            MigrationCase(fleet, guests, hosts, hosts, drain=[self.world.source])
        )

    @property
    def migrations(self) -> t.Any:
        return filter_of("libvirt_order")(self.checks["chosen"], self.plan)

    @property
    def states(self) -> t.Any:
        return filter_of("placement_states")(self.fleet, self.plan)

    @property
    def attempts(self) -> list[dict[str, t.Any]]:
        world = self.world
        words = world.name("log", f"2026-01-01: failed to load device state of {world.guests[0]}")
        moved = [each | {"state": "moved"} for each in self.states]
        return [
            {"vm": world.guests[0], "host": world.source, "said": [words], "states": self.states},
            {
                "vm": world.guests[1],
                "host": world.source,
                "said": [],
                "states": moved,
                "log": words,
            },
        ]

    @property
    def logs(self) -> list[dict[str, t.Any]]:
        world = self.world
        line = world.name("log", "2026-01-01 00:00:00: cannot write state")
        kernel = world.name("log", "[   12.000001] vfio: cannot")
        return [
            world.answered({"host": world.source, "who": "QEMU"}, 0, line),
            world.answered({"host": world.target, "who": "the kernel"}, 0, kernel),
            world.answered({"host": world.target, "who": "QEMU"}) | {"unreachable": True},
        ]


def nodes_of(step: Step) -> dict[str, str]:
    """Return names of nodes for the hosts of a world, which may be called what no executor calls one."""
    return {step.world.source: "node-1", step.world.target: "node-2"}


def record_of(step: Step) -> dict[str, t.Any]:
    return {
        "format": 1,
        "run": "2026-01-01T00:00:00Z",
        "outcome": "moved",
        "vm_uuid": None,
        "vm": step.world.guests[0],
        "source": step.world.source,
        "target": step.world.target,
    }


# The arguments with which each filter and test says something of every text of a world.
CALLS: dict[str, t.Callable[[Step], dict[str, t.Any]]] = {
    "cloud_hypervisor_migrations": lambda step: {
        "plan": step.plan,
        "fleet": step.fleet,
        "guests": {guest: f"vm-{index}" for index, guest in enumerate(step.world.guests)},
        "nodes": nodes_of(step),
        "device_ids": {step.world.ids[0]: "vfio0"},
        "vdpa_nodes": {step.world.ids[0]: "/dev/vhost-vdpa-0"},
    },
    "candidates": lambda step: {
        "fleet": step.fleet,
        "source": {"host": step.world.source, "id": step.world.ids[0]},
    },
    "compatibility": lambda step: {
        "source": gvt(remote_url=step.world.name("value", "x")),
        "target": gvt("8", "1"),
    },
    "compatible_pairs": lambda step: {"fleet": step.fleet, "expand": True},
    "compatible_with": lambda step: {"source": gvt(), "target": gvt()},
    "explain": lambda step: {
        "fleet": step.fleet,
        "source": {"host": step.world.source, "id": step.world.ids[0]},
        "target": step.world.target,
    },
    "kubevirt_migrations": lambda step: {
        "plan": step.plan,
        "fleet": step.fleet,
        "guests": {step.world.guests[0]: "default.vm-1"},
        "nodes": nodes_of(step),
    },
    "libvirt_order": lambda step: {"guests": step.checks["chosen"], "plan": step.plan},
    "maintenance_plan": lambda step: {"fleet": step.fleet, "emptied": [step.world.source]},
    "migration_failure": lambda step: {
        "logs": step.logs,
        "state": {"rc": 0, "stdout": step.world.name("state", "paused (ioerror)")},
        "host": step.world.source,
        "before": {},
        "exceeded": 5,
    },
    "migration_headroom": lambda step: {
        "fleet": step.fleet,
        "failure_domains": {step.world.name("group", "rack"): [step.world.source]},
    },
    "migration_plan": lambda step: {"fleet": step.fleet, "drain": [step.world.source]},
    "migration_result": lambda step: {
        "checks": step.checks,
        "migrations": step.migrations,
        "attempts": step.attempts,
        "unplaced": step.plan["unplaced"],
        "problems": [step.world.name("error", "it cannot be removed")],
    },
    "migration_way_back": lambda step: {"record": [record_of(step)]},
    "nova_migrations": lambda step: {
        "plan": step.plan,
        "fleet": step.fleet,
        "guests": {step.world.guests[0]: UUIDS[0]},
        "nodes": nodes_of(step),
    },
    "parse_descriptor": lambda step: {"text": f"a={step.world.name('value', 'x')}"},
    "placement_states": lambda step: {"fleet": step.fleet, "plan": step.plan},
    "plan_summary": lambda step: {
        "plan": step.plan,
        "left_out": {step.world.source: step.world.name("error", "it does not answer")},
    },
    "prepared_devices": lambda step: {
        "plan": step.plan,
        "host": step.world.target,
        "results": [
            {"failed": True, "msg": step.world.name("error", "no"), "device": UUIDS[0]},
            {"unreachable": True, "msg": step.world.name("error", "away")},
            {"skipped": True},
        ],
    },
    "printable": lambda step: {"value": step.world.name("error", "x")},
    "proxmox_migrations": lambda step: {
        "plan": step.plan,
        "fleet": step.fleet,
        "guests": {step.world.guests[0]: "101"},
        "nodes": nodes_of(step),
    },
    "rebalance_plan": lambda step: {"fleet": step.fleet, "max_moves": 2},
    "retarget_domain": lambda step: {"xml": step.world.domain(), "plan": step.plan},
    "superfluous_devices": lambda step: {
        "states": step.states,
        "remove": ["prepared", "vacated"],
        "hosts": [step.world.source, step.world.target],
    },
    "vdpa_common_features": lambda step: {"fleet": step.fleet},
}
