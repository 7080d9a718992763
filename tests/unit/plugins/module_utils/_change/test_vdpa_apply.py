# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.boot_units import vdpa_unit
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Journal
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import ABSENT, PRESENT
from ansible_collections.vfio.migration.plugins.module_utils._change.vdpa_apply import (
    VdpaTransaction,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.vdpa_plan import (
    LOCK,
    VdpaPlanner,
    validate,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa_tool import VdpaTool
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree
from ansible_collections.vfio.migration.tests.unit.vdpa_hosts import (
    MAC,
    MQ_BIT,
    SIMULATED,
    VdpaKernel,
    apply_vdpa,
    management_device,
    vdpa_device,
    vdpa_failure,
    vdpa_host,
    wanted_vdpa,
)

GUEST = {"pid": 4711, "name": "vm-17"}
REFUSED = "kernel answers: Invalid argument\n"


@pytest.fixture
def kernel(tmp_path):
    return VdpaKernel(Tree(tmp_path / "sys"))


def test_a_device_is_created_as_asked_for_and_then_left_alone(kernel):
    device = wanted_vdpa(mac=MAC.upper(), mtu=9000, device_features=["MAC", "MTU", "0x300000000"])
    (created,) = apply_vdpa(kernel, device)
    assert kernel.calls == [
        ["dev", "add", "name", "vdpa0", "mgmtdev", "vdpasim_net", "mac", MAC, "mtu", "9000"]
        + ["device_features", "0x300000028"]
    ]
    assert created["attributes"] == [
        {"name": "mac", "value": MAC},
        {"name": "mtu", "value": "9000"},
        {"name": "device_features", "value": "0x300000028"},
    ]
    assert (created["driver"], created["node"]) == ("vhost_vdpa", "/dev/vhost-vdpa-0")
    assert created["self"]["mac"] == MAC
    assert apply_vdpa(kernel, device) == [{**created, "action": "unchanged"}]
    assert len(kernel.calls) == 1


def test_a_device_that_is_not_accepted_is_deleted_again(kernel):
    fits, other = (
        {"device_api": "vhost-vdpa", "type": "net", "mtu": mtu} for mtu in ("1500", 9000)
    )
    assert apply_vdpa(kernel, wanted_vdpa(accept=[other, fits]))[0]["action"] == "created"
    error = vdpa_failure(kernel, wanted_vdpa("vdpa1", accept=[other]))
    assert error.details["step"] == "verify"
    assert error.details["undone"] == [{"device": "vdpa1", "change": "created"}]
    assert [each["attribute"] for each in error.details["reasons"]] == ["mtu"]
    # One that is there is left as it is.
    assert "mtu is 1500, expected 9000" in str(vdpa_failure(kernel, wanted_vdpa(accept=[other])))
    assert list(kernel.devices) == ["vdpa0"]


def test_a_failure_undoes_what_was_created(kernel):
    kernel.put(vdpa_device("vdpa9"))
    kernel.faults[3] = REFUSED
    error = vdpa_failure(kernel, *(wanted_vdpa(f"vdpa{n}") for n in range(4)))
    assert error.details["device"] == "vdpa2"
    assert (error.details["step"], error.details["errno"]) == ("create", "EINVAL")
    assert [each["device"] for each in error.details["undone"]] == ["vdpa1", "vdpa0"]
    assert error.details["left"] == []
    assert list(kernel.devices) == ["vdpa9"]


def test_what_comes_up_otherwise_than_asked_for_is_deleted_again(kernel):
    kernel.odd[2] = {"mtu": 1400}
    error = vdpa_failure(kernel, wanted_vdpa("vdpa0"), wanted_vdpa("vdpa1", mtu=9000))
    assert error.details["step"] == "verify"
    assert "it was created, but has mtu 1400, not 9000" in str(error)
    assert kernel.devices == {}


def test_what_cannot_be_undone_is_told(kernel):
    kernel.faults.update({2: REFUSED, 3: "kernel answers: Device or resource busy\n"})
    error = vdpa_failure(kernel, wanted_vdpa("vdpa0"), wanted_vdpa("vdpa1"))
    (left,) = error.details["left"]
    assert (left["device"], left["change"]) == ("vdpa0", "created")
    assert "dev del vdpa0" in left["problem"]


def test_a_new_device_that_a_guest_has_taken_meanwhile_is_left_to_it(kernel):
    kernel.faults[2] = REFUSED
    taken = Holders({"/dev/vhost-vdpa-0": GUEST}, complete=True)
    error = vdpa_failure(
        kernel, wanted_vdpa("vdpa0"), wanted_vdpa("vdpa1"), scan_holders=lambda: taken
    )
    assert "process 4711 (vm-17) holds it" in error.details["left"][0]["problem"]
    assert list(kernel.devices) == ["vdpa0"]


@pytest.mark.parametrize("changes", range(4))
def test_a_signal_takes_effect_between_two_devices(kernel, changes):
    count = itertools.count()
    names = [f"vdpa{n}" for n in range(3)]

    def stop():
        return "SIGTERM" if next(count) >= changes else None

    if changes == len(names):
        apply_vdpa(kernel, *map(wanted_vdpa, names), interrupted=stop)
        assert list(kernel.devices) == names
    else:
        error = vdpa_failure(kernel, *map(wanted_vdpa, names), interrupted=stop)
        assert "interrupted by SIGTERM" in str(error)
        assert kernel.devices == {}


def test_devices_are_deleted_once(kernel):
    kernel.put(vdpa_device())
    (removed, nothing) = apply_vdpa(
        kernel, wanted_vdpa(mgmtdev=None), wanted_vdpa("vdpa1"), state=ABSENT
    )
    assert (removed["action"], removed["mgmtdev"]) == ("removed", "vdpasim_net")
    assert nothing["action"] == "unchanged"
    assert kernel.devices == {}


def test_a_guest_that_comes_between_keeps_its_device(kernel):
    kernel.put(vdpa_device())
    kernel.put(vdpa_device("vdpa1"))
    scans = iter([{}, {}, {}, {"/dev/vhost-vdpa-1": GUEST}])
    error = vdpa_failure(
        kernel,
        wanted_vdpa(),
        wanted_vdpa("vdpa1"),
        state=ABSENT,
        scan_holders=lambda: Holders(next(scans), complete=True),
    )
    assert (error.details["step"], error.details["device"]) == ("remove", "vdpa1")
    assert list(kernel.devices) == ["vdpa1"]
    assert error.details["left"] == [
        {"device": "vdpa0", "change": "removed", "problem": "it cannot be undone"}
    ]


def test_queue_pairs_are_verified_where_the_device_has_several(kernel):
    kernel.management_devices = [management_device(features=SIMULATED | MQ_BIT)]
    (created,) = apply_vdpa(
        kernel, wanted_vdpa(max_vqp=2, device_features=["MQ", "MAC", "0x300000000"])
    )
    assert {"name": "max_vqp", "value": "2"} in created["attributes"]


# --- calls that were killed, and calls at the same time ---------------------------------------------------------------


class Killed(BaseException):
    pass


class KilledTransaction(VdpaTransaction):
    """Does nothing of what a call does at its end."""

    def _undo(self):
        return {}


def kill(kernel, change, *devices):
    """Run a call that is killed right before (``change`` is even) or after (odd) the change of a device."""

    def run(arguments):
        if change == 2 * len(kernel.calls):
            raise Killed
        answer = kernel.run(arguments)
        if change == 2 * len(kernel.calls) - 1:
            raise Killed
        return answer

    host = vdpa_host(kernel)
    journal = Journal(str(kernel.tree.root.parent / "run"))
    transaction = KilledTransaction(host, VdpaTool(run), journal, 0, lambda: None)
    with pytest.raises(Killed):
        transaction.run(VdpaPlanner(host), validate(devices, PRESENT), PRESENT)
    for descriptor in journal.descriptors:
        os.close(descriptor)


@pytest.mark.parametrize("change", range(6))
@pytest.mark.parametrize("again", [True, False])
def test_what_a_killed_call_left_is_undone_by_the_next(kernel, change, again):
    kernel.put(vdpa_device("vdpa9"))
    devices = [wanted_vdpa(f"vdpa{n}", mtu=9000) for n in range(3)]
    kill(kernel, change, *devices)
    made = sorted(set(kernel.devices) - {"vdpa9"}, reverse=True)
    assert len(made) == (change + 1) // 2
    results = apply_vdpa(kernel, *(devices if again else []))
    assert [each["action"] for each in results] == ["created"] * len(results)
    assert [each["device"] for each in kernel.recovered] == made
    assert set(kernel.devices) == {"vdpa9"} | ({"vdpa0", "vdpa1", "vdpa2"} if again else set())
    assert os.listdir(kernel.tree.root.parent / "run") == [f"{LOCK}.lock"]


def test_what_another_one_made_of_the_name_since_is_not_undone(kernel):
    kill(kernel, 1, wanted_vdpa(mtu=9000))
    kernel.devices["vdpa0"] = vdpa_device(mtu=1500)
    apply_vdpa(kernel)
    assert (list(kernel.devices), kernel.recovered) == (["vdpa0"], [])


def test_a_device_that_a_killed_call_made_and_a_guest_has_is_left_to_it_with_a_warning(kernel):
    kill(kernel, 1, wanted_vdpa(mtu=9000))
    taken = Holders({"/dev/vhost-vdpa-0": GUEST}, complete=True)
    apply_vdpa(kernel, scan_holders=lambda: taken)
    assert list(kernel.devices) == ["vdpa0"]
    (warning,) = kernel.warnings
    assert "process 4711 (vm-17) holds it" in warning


def test_another_call_keeps_this_one_waiting(kernel):
    with Journal(str(kernel.tree.root.parent / "run")) as journal:
        assert journal.lock(LOCK)
        error = vdpa_failure(kernel, wanted_vdpa())
    assert error.details["step"] == "lock"
    assert kernel.calls == []


def test_a_device_that_another_one_made_meanwhile_is_not_undone(kernel):
    kernel.faults[1] = "kernel answers: File exists\n"
    kernel.beforehand = lambda: kernel.put(vdpa_device(mtu=9000))
    error = vdpa_failure(kernel, wanted_vdpa(mtu=9000))
    assert (error.details["errno"], error.details["undone"]) == ("EEXIST", [])
    assert list(kernel.devices) == ["vdpa0"]


# --- defined for the next start ----------------------------------------------------------------------------------------


def unit(kernel, name="vdpa0"):
    return vdpa_host(kernel).units.read(vdpa_unit(name))


def test_a_persistent_device_is_defined_once_and_goes_with_its_definition(kernel):
    wanted = wanted_vdpa(mac=MAC, mtu=9000)
    (created,) = apply_vdpa(kernel, wanted, persistent=True)
    assert (created["action"], created["definition"]) == ("created", "defined")
    found = unit(kernel).definition
    assert (found.mgmtdev, found.driver) == ("vdpasim_net", "vhost_vdpa")
    assert {each.name: each.value for each in found.attributes} == {"mac": MAC, "mtu": "9000"}
    (again,) = apply_vdpa(kernel, wanted, persistent=True)
    assert (again["action"], again["definition"]) == ("unchanged", "unchanged")
    # Without it, the definition stays.
    (removed,) = apply_vdpa(kernel, wanted, state=ABSENT)
    assert (removed["action"], removed["definition"]) == ("removed", None)
    assert unit(kernel).definition == found
    (gone,) = apply_vdpa(kernel, wanted, state=ABSENT, persistent=True)
    assert (gone["action"], gone["definition"]) == ("unchanged", "undefined")
    assert unit(kernel) is None


def test_a_failure_restores_the_definitions(kernel):
    apply_vdpa(kernel, wanted_vdpa(mtu=1500), persistent=True)
    before = unit(kernel)
    kernel.faults[len(kernel.calls) + 1] = REFUSED
    vdpa_failure(kernel, wanted_vdpa(), state=ABSENT, persistent=True)
    assert unit(kernel) == before
    kernel.faults.clear()
    path = Path(vdpa_host(kernel).units.path(vdpa_unit("vdpa1")))
    path.mkdir()
    failed = vdpa_failure(kernel, wanted_vdpa("vdpa1"), persistent=True)
    assert str(path) in str(failed)
    assert "vdpa1" not in kernel.devices


def test_a_definition_of_what_is_gone_for_good_does_not_come_back(kernel):
    devices = [wanted_vdpa(), wanted_vdpa("vdpa1")]
    apply_vdpa(kernel, *devices, persistent=True)
    kernel.faults[len(kernel.calls) + 2] = REFUSED
    failed = vdpa_failure(kernel, *devices, state=ABSENT, persistent=True)
    assert unit(kernel) is None
    assert unit(kernel, "vdpa1") is not None
    assert {each["change"] for each in failed.details["left"]} == {"removed", "undefined"}
