# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of the playbook migrate_libvirt on two hosts, step by step on the control node, with what the hosts registered."""

from __future__ import annotations

import time

from ansible_collections.vfio.migration.plugins.plugin_utils._plugin import (
    migrating,
    migration_request,
    move_outcomes,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import (
    arrival_info,
    guest_info,
    libvirt_info,
)

OPTIONS = {
    "hosts": ["a", "b"],
    "uri": "qemu+ssh://root@{host}/system",
    "transport": "tcp://{host}",
    "options": [],
    "tls": "auto",
    "multifd": "auto",
    "connections": 2,
    "ask_qemu": True,
    "other_guests": "name",
    "downtime": 2000,
    "stall": 300,
    "timeout": 3600,
    "dest": "migration-plan.json",
    "parallel": 2,
    "parallel_source": 1,
    "parallel_target": 1,
}


OVER_TWO = ", over 2 connections"


def begun(hostvars=None, check_mode=False, **options):
    return migration_request.begin(OPTIONS | options, hostvars or {"a": {}, "b": {}}, check_mode)


def answer(*devices, running=()):
    """Return what a host registered that has ``devices`` and on which libvirt runs guests, names by UUID."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    facts = {"vfio_migration": host([*devices], [parent()]) | {"gathered": {"time": now}}}
    guests = [guest_info(name, uuid) for uuid, name in running]
    libvirt = libvirt_info(*guests)
    registered = {"ansible_facts": facts}
    return {"prepare_gathered": registered, "migrate_libvirt_answer": libvirt, **registered}


def two_hosts(vm="vm-17"):
    held = answer(device(UUIDS[1], vm=vm), running=[(UUIDS[5], vm)])
    held["migrate_libvirt_asked"] = held["migrate_libvirt_answer"]
    # Libvirt on b is asked once, about the guest.
    there = libvirt_info(arriving=[arrival_info(UUIDS[5])])
    asked = {"migrate_libvirt_answer": {}, "migrate_libvirt_asked": there}
    return {"a": held, "b": answer() | asked}


def found_in(run, hostvars):
    """Return the run when libvirt was asked where the guests are."""
    return migrating.find(migrating.locate(run, hostvars), hostvars)


def ordered(hostvars, **options):
    """Return the run when the guest's target on b is there, and the hosts' variables."""
    run = found_in(begun(**options), hostvars)
    run = migrating.check(run, hostvars)
    (guest,) = run["checks"]["chosen"]
    target = {"host": "b", "kind": "mdev", "id": UUIDS[8]}
    placement = {"vm": guest["vm"], "source": {"kind": "mdev", **guest["device"]}, "target": target}
    plan = {"placements": [placement], "unplaced": []}
    prepared = {"plan": plan, "failure": None, "dest": "plan.json"}
    hostvars["localhost"] = {"prepare_run": prepared}
    return migrating.order(run, hostvars), hostvars


def looked(run, hostvars, state="moved"):
    (placement,) = hostvars["localhost"]["prepare_run"]["plan"]["placements"]
    states = [{**placement, "state": state, "reason": None}]
    cleaned = {"states": states, "answered": ["a", "b"], "define_hosts": [], "failure": None}
    cleaned |= {"addresses": [], "tasks": {}, "at_work": []}
    hostvars["localhost"]["cleanup_run"] = cleaned
    return move_outcomes.look(run, hostvars)


def with_others(*others):
    """Return a host with a guest with an mdev, and those others without devices, names by UUID, and another host."""
    hostvars = two_hosts()
    for answered in ("migrate_libvirt_answer", "migrate_libvirt_asked"):
        told = hostvars["a"][answered]
        plain = [guest_info(name, uuid, devices=[], memory=kib) for uuid, name, kib in others]
        hostvars["a"][answered] = {**told, "guests": [*told["guests"], *plain]}
    arriving = [arrival_info(uuid) for uuid in (UUIDS[5], *(uuid for uuid, *_rest in others))]
    hostvars["b"]["migrate_libvirt_asked"] = libvirt_info(arriving=arriving)
    return hostvars


def moving_others(*others):
    hostvars = with_others(*others)
    run = found_in(begun(drain="a", other_guests="move"), hostvars)
    run = migrating.check(run, hostvars)
    (device,) = run["sources"]
    target = {"host": "b", "kind": "mdev", "id": UUIDS[8]}
    placement = {"vm": "vm-17", "source": {"kind": "mdev", **device}, "target": target}
    plan = {"placements": [placement], "unplaced": []}
    hostvars["localhost"] = {"prepare_run": {"plan": plan, "failure": None, "dest": "plan.json"}}
    return migrating.order(run, hostvars), hostvars


MOVED = {"number": 0, "outcome": "moved", "errors": []}


def ended(hostvars, run, here, there=None, state="moved", before=None):
    hostvars["a"]["migrate_libvirt_moved"] = {"moves": here}
    hostvars["b"]["migrate_libvirt_logs"] = {"results": there}
    hostvars["b"]["migrate_libvirt_before"] = before
    return move_outcomes.end(looked(run, hostvars, state), hostvars)
