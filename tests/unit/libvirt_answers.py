# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module libvirt_guest_info returns on a host."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.tests.unit.domains import GUEST, UUID

VERSIONS = {"libvirt": "11.3.0", "qemu": "10.0.2"}


def guest_info(name: str = GUEST, uuid: str = UUID, **changes: t.Any) -> t.Any:
    """Return a guest that fits every host as ``host_info`` makes them."""
    found = {
        "name": name,
        "uuid": uuid,
        "state": "running",
        "persistent": True,
        "autostart": False,
        "job_known": True,
        "log": f"/var/log/libvirt/qemu/{name}.log",
        "blocked_reasons": [],
        "definitions": None,
        "virt_type": "kvm",
        "arch": "x86_64",
        "machine": "pc-q35-10.0",
        "emulator": "/usr/bin/qemu-system-x86_64",
        "loader": None,
        "boot_files": [],
        "cpu": {
            "mode": "custom",
            "match": "exact",
            "check": "full",
            "model": "Skylake-Server",
            "vendor": "Intel",
            "features": [{"name": "ss", "policy": "require"}],
        },
        "memory": 1024,
        "huge_pages": None,
        "devices": [{"kind": "mdev", "id": UUID}],
        "iommu": None,
        "iommufd": False,
        "disks": [],
        "networks": [],
        "links": [],
        "pools": [],
        "obstacles": [],
    }
    return {**found, **changes}


def certificates(there: bool) -> t.Any:
    """Return what a host says that has certificates for migrations, or none."""
    return {"directory": "/etc/pki/qemu", "client": there, "server": there}


def host_info(**changes: t.Any) -> t.Any:
    """Return what a host has for guests: enough for those as ``guest_info`` makes them."""
    found = {
        "arch": "x86_64",
        "cpu": {"model": "Skylake-Server", "vendor": "Intel"},
        "machines": {"x86_64": ["pc-q35-10.0", "q35"]},
        "memory": {
            "free": 1 << 20,
            "default_huge_page": 2048,
            "huge_pages": [{"size": 2048, "free": 0}, {"size": 1048576, "free": 0}],
        },
        "networks": [],
        "pools": [],
        "links": ["lo"],
        "iommufd": False,
        "tls": certificates(True),
    }
    return {**found, **changes}


def arrival_info(uuid: str = UUID, **changes: t.Any) -> t.Any:
    """Return what a host says that lacks nothing for a guest."""
    found = {"uuid": uuid, "cpu": "superset", "cpu_problem": None, "missing": [], "unknown": []}
    return {**found, **changes}


def libvirt_info(*guests: t.Any, **changes: t.Any) -> t.Any:
    """Return the whole answer, with ``guests`` as ``guest_info`` makes them."""
    found = {
        "changed": False,
        "guests": list(guests),
        "others": [],
        "paused": [],
        "defined": [],
        "arriving": [],
        "peers": [],
        "versions": VERSIONS,
        "host": host_info(),
        "problems": [],
    }
    return {**found, **changes}
