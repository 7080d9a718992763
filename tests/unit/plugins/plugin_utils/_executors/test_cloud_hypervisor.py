# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan for Cloud Hypervisor, against the options that its commands take."""

from __future__ import annotations

import re

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._executors.cloud_hypervisor import (
    Connection,
    cloud_hypervisor_migrations,
    naming_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.tests.unit.executor_plans import (
    changed,
    function,
    function_fleet,
    mdev_fleet,
    plan_of,
)
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, host

URL = r"(unix:/\S+|tcp:[A-Za-z0-9.:\[\]-]+:[0-9]{1,5})"
# The keys that each command takes, and their values.
RECEIVE = {"receiver_url": URL, "tls_dir": "/.+"}
SEND = {"destination_url": URL, "tls_dir": "/.+"}
PATHS = {
    "--device": {"path": r"/sys/bus/(pci/devices/[0-9a-f:.]+|mdev/devices/[0-9a-f-]{36})/"},
    "--vdpa": {"path": "/dev/vhost-vdpa-[0-9]+"},
}
CONNECTION = Connection("/run/ch", 9000, "/etc/tls", {}, {})


def options(text: str, known: dict[str, str]) -> dict[str, str]:
    found = {}
    for part in text.split(","):
        name, separator, value = part.partition("=")
        assert separator
        assert name not in found
        assert re.fullmatch(known[name], value), part
        found[name] = value
    return found


def made(plan, guests=None, nodes=None, **others):
    naming = naming_of({"web": "web"} if guests is None else guests, nodes)
    return cloud_hypervisor_migrations(plan, naming, CONNECTION._replace(**others))


def test_a_machine_is_received_where_the_source_sends_it():
    (migration,) = made(plan_of(function_fleet()), nodes={"b": "192.0.2.7"})["migrations"]
    for command, socket in ((migration["receive"], "receive"), (migration["send"], "send")):
        assert command[:3] == ["ch-remote", "--api-socket=/run/ch/web.sock", f"{socket}-migration"]
    receiver = options(migration["receive"][3], RECEIVE)
    destination = options(migration["send"][3], SEND)
    assert receiver == {"receiver_url": "tcp:0.0.0.0:9000", "tls_dir": "/etc/tls"}
    assert destination == {"destination_url": "tcp:192.0.2.7:9000", "tls_dir": "/etc/tls"}


def test_machines_that_one_target_receives_have_ports_of_their_own():
    fleet = {"a": host([function(1, "x"), function(2, "y")]), "b": host([function(3), function(4)])}
    migrations = made(plan_of(fleet), {"x": "x", "y": "y"})["migrations"]
    ports = [each["receive"][3].split(",")[0].rpartition(":")[2] for each in migrations]
    assert ports == ["9000", "9001"]
    assert [each["send"][3].split(",")[0].rpartition(":")[2] for each in migrations] == ports
    result = made(plan_of(fleet), {"x": "x", "y": "y"}, port=65535)
    assert len(result["migrations"]) == 1
    assert any("b receives more guests than there are ports" in each for each in result["warnings"])


@pytest.mark.parametrize("plan", [plan_of(mdev_fleet()), plan_of(function_fleet())])
def test_devices_are_paths_of_sysfs(plan):
    (migration,) = made(plan)["migrations"]
    for each, placement in zip(migration["devices"], plan["placements"], strict=True):
        for end in ("source", "target"):
            path = options(each[end], PATHS[each["option"]])["path"]
            assert path.rstrip("/").endswith(placement[end]["id"])


def test_an_mdev_that_keeps_its_uuid_is_found_by_its_path():
    result = made(plan_of(mdev_fleet()))
    assert result["migrations"][0]["devices"][0]["same_path"]
    assert result["warnings"] == []


def test_what_is_to_be_done_for_another_path_is_said():
    plan = changed(plan_of(mdev_fleet()), id=UUIDS[9])
    result = made(plan, device_ids={UUIDS[0]: "vfio0"})
    (device,) = result["migrations"][0]["devices"]
    assert (device["id"], device["same_path"]) == ("vfio0", False)
    (warning,) = result["warnings"]
    assert "vfio_fds=[vfio0@FD] and iommufd_fd" in warning


def test_without_certificates_it_is_said_that_all_goes_in_plain():
    result = made(plan_of(mdev_fleet()), tls_dir=None)
    (migration,) = result["migrations"]
    assert "tls_dir" not in "".join([*migration["send"], *migration["receive"]])
    assert any("in plain" in each for each in result["warnings"])


def test_a_vdpa_device_needs_its_node():
    plan = plan_of(mdev_fleet())
    for each in plan["placements"]:
        for end, number in (("source", 0), ("target", 1)):
            each[end] = {**each[end], "kind": "vdpa", "id": f"vdpa{number}"}
    result = made(plan)
    assert result["migrations"] == []
    assert any("say it with 'vdpa_nodes'" in each for each in result["warnings"])
    result = made(plan, vdpa_nodes={"vdpa1": "/dev/vhost-vdpa-3"})
    (device,) = result["migrations"][0]["devices"]
    assert options(device["target"], PATHS[device["option"]])["path"] == "/dev/vhost-vdpa-3"
    assert any("they need the same number" in each for each in result["warnings"])


def test_processes_tell_no_names():
    result = made(plan_of(mdev_fleet()), {})
    assert result["migrations"] == []
    assert any("what Cloud Hypervisor calls web is not known" in w for w in result["warnings"])


@pytest.mark.parametrize(
    "odd",
    [
        {"sockets": "run"},
        {"sockets": "/run/a,b"},
        {"tls_dir": "/x,iommufd_fd=3"},
        {"tls_dir": ""},
        {"port": 0},
        {"port": 70000},
        {"device_ids": {"x": "a@b"}},
        {"vdpa_nodes": {"x": "/dev/x y"}},
    ],
)
def test_what_would_be_another_option_is_refused(odd):
    with pytest.raises(FleetError):
        made(plan_of(mdev_fleet()), **odd)
