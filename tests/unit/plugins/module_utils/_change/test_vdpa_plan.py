# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import os

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import ProvisionError
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Journal
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import ABSENT, PRESENT
from ansible_collections.vfio.migration.plugins.module_utils._change.vdpa_apply import (
    VdpaTransaction,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.vdpa_plan import (
    LOCK,
    VdpaHost,
    VdpaPlanner,
    validate,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa_tool import VdpaTool
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree, nobody
from ansible_collections.vfio.migration.tests.unit.vdpa_hosts import (
    MAC,
    MQ_BIT,
    SIMULATED,
    VdpaKernel,
    management_device,
    vdpa_device,
)

GUEST = {"pid": 4711, "name": "vm-17"}
REFUSED = "kernel answers: Invalid argument\n"


@pytest.fixture
def kernel(tmp_path):
    return VdpaKernel(Tree(tmp_path / "sys"))


def wanted(name="vdpa0", mgmtdev="vdpasim_net", **stated):
    blank = dict.fromkeys(("mac", "mtu", "max_vqp", "device_features", "accept"))
    return {"name": name, "mgmtdev": mgmtdev, **blank, **stated}


def apply(kernel, *devices, state=PRESENT, scan_holders=nobody, interrupted=lambda: None):
    host = VdpaHost(Sysfs(str(kernel.tree.root)), kernel.ask, scan_holders)
    with Journal(str(kernel.tree.root.parent / "run"), VdpaTransaction.undoers) as journal:
        transaction = VdpaTransaction(host, VdpaTool(kernel.run), journal, 0, interrupted)
        _plan, results = transaction.run(VdpaPlanner(host), validate(devices, state), state)
        kernel.recovered = transaction.recovered
        kernel.warnings = transaction.warnings
    return results["devices"]


def failure(kernel, *devices, **arguments):
    with pytest.raises(ProvisionError) as caught:
        apply(kernel, *devices, **arguments)
    return caught.value


def test_a_device_is_created_as_asked_for_and_then_left_alone(kernel):
    device = wanted(mac=MAC.upper(), mtu=9000, device_features=["MAC", "MTU", "0x300000000"])
    (created,) = apply(kernel, device)
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
    assert apply(kernel, device) == [{**created, "action": "unchanged"}]
    assert len(kernel.calls) == 1


def test_a_device_that_is_not_accepted_is_deleted_again(kernel):
    fits, other = (
        {"device_api": "vhost-vdpa", "type": "net", "mtu": mtu} for mtu in ("1500", 9000)
    )
    assert apply(kernel, wanted(accept=[other, fits]))[0]["action"] == "created"
    error = failure(kernel, wanted("vdpa1", accept=[other]))
    assert error.details["step"] == "verify"
    assert error.details["undone"] == [{"device": "vdpa1", "change": "created"}]
    assert [each["attribute"] for each in error.details["reasons"]] == ["mtu"]
    # One that is there is left as it is.
    assert "mtu is 1500, expected 9000" in str(failure(kernel, wanted(accept=[other])))
    assert list(kernel.devices) == ["vdpa0"]


def test_what_is_not_stated_is_not_compared(kernel):
    kernel.put(vdpa_device(mtu=9000))
    assert apply(kernel, wanted(mac=MAC))[0]["action"] == "unchanged"


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"mgmtdev": "pci/0000:65:00.2"}, "mgmtdev vdpasim_net, not pci/0000:65:00.2"),
        ({"mac": "02:00:00:00:00:01"}, f"mac {MAC}, not 02:00:00:00:00:01"),
        ({"mtu": 1400}, "mtu 1500, not 1400"),
        ({"max_vqp": 2}, "max_vqp 1, not 2"),
        ({"device_features": ["MAC"]}, f"device_features {hex(SIMULATED)}, not 0x20"),
    ],
)
def test_a_device_that_is_otherwise_is_left_as_it_is(kernel, stated, words):
    kernel.put(vdpa_device())
    error = failure(kernel, wanted(**stated))
    assert str(error) == f"device vdpa0: it exists with {words}; it is left as it is"
    assert error.details["step"] == "inspect"
    assert kernel.calls == []


def test_one_pair_of_queues_is_what_a_device_without_the_feature_has(kernel):
    kernel.put(vdpa_device())
    assert apply(kernel, wanted(max_vqp=1))[0]["action"] == "unchanged"


def test_what_an_old_kernel_does_not_tell_is_not_taken_for_equal(kernel):
    kernel.put(vdpa_device(features=None))
    assert "device_features unknown, not 0x20" in str(
        failure(kernel, wanted(device_features=["MAC"]))
    )


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"mgmtdev": "nope"}, "there is no management device nope; the host has vdpasim_net"),
        (
            {"device_features": ["MAC", "MQ", "bit_45"]},
            "vdpasim_net does not offer MQ, bit_45; it offers MTU, MAC, STATUS,",
        ),
        ({"max_vqp": 3}, "max_vqp 3 needs 6 virtqueues; vdpasim_net has 5"),
    ],
)
def test_what_the_management_device_does_not_offer_is_refused_before_anything_is_done(
    kernel, stated, words
):
    error = failure(kernel, wanted("vdpa1"), wanted(**stated))
    assert words in str(error)
    assert (error.details["step"], error.details["device"]) == ("inspect", "vdpa0")
    assert kernel.calls == []


def test_what_an_old_kernel_offers_is_left_to_it_to_say(kernel):
    kernel.management_devices = [management_device(features=None)]
    apply(kernel, wanted(device_features=["MAC"]))
    assert kernel.calls[0][-2:] == ["device_features", "0x20"]


def test_features_are_those_of_the_management_devices_class(kernel):
    kernel.management_devices = [management_device(features=1 << 12, ids=(2,))]
    apply(kernel, wanted(device_features=["MQ"]))
    assert kernel.calls[0][-1] == "0x1000"


def test_a_name_of_another_class_is_refused_with_what_would_be_right(kernel):
    kernel.management_devices = [management_device(ids=(1, 2))]
    error = failure(kernel, wanted(device_features=["MQ"]))
    assert "device_features has 'MQ'; expected names of features" in str(error)


HOSTILE = [
    {"name": ""},
    {"name": "-j"},
    {"name": "."},
    {"name": ".."},
    {"name": "../vdpa0"},
    {"name": "/sys"},
    {"name": "vdpa0\n"},
    {"name": "vdpa0\nvdpa1"},
    {"name": "vdpa0 mtu 9000"},
    {"name": "vdpa0\0"},
    {"name": "$(reboot)"},
    {"name": "vdp\u00e4"},
    {"name": "v" * 101},
    {"mgmtdev": "--help"},
    {"mgmtdev": ""},
    {"mgmtdev": "pci/../x"},
    {"mgmtdev": "pci/a/b"},
    {"mgmtdev": "/x"},
    {"mgmtdev": "pci/x\n"},
    {"mac": "02:00:00:00:00:01 mtu 9000"},
    {"mac": "02:00:00:00:00:01\n"},
    {"mac": "02:00:00:00:00"},
    {"mac": "1343144100"},
    {"mtu": 67},
    {"mtu": 65536},
    {"max_vqp": 0},
    {"max_vqp": 32769},
    {"device_features": ["MAC", "0x1; reboot"]},
    {"device_features": ["-1"]},
    {"device_features": ["bit_64"]},
    {"device_features": ["1" * 100_000]},
]


@pytest.mark.parametrize("stated", HOSTILE, ids=lambda stated: ascii(stated)[:40])
def test_names_and_values_that_are_none_reach_no_tool(kernel, stated):
    error = failure(kernel, wanted("vdpa1"), wanted(**stated))
    assert error.details["step"] == "validate"
    assert str(error).isprintable()
    assert len(str(error)) < 500
    assert kernel.calls == []


@pytest.mark.parametrize("name", ["vdpa0", "_x", "vdpa:0000:65:00.3", "a-b.c", "v" * 100])
@pytest.mark.parametrize("mgmtdev", ["pci/0000:65:00.2", "auxiliary/mlx5_core.sf.1", "vduse"])
def test_names_as_they_are_in_the_field_are_taken(kernel, name, mgmtdev):
    kernel.management_devices.append(management_device(mgmtdev))
    assert apply(kernel, wanted(name, mgmtdev))[0]["mgmtdev"] == mgmtdev


def test_a_device_is_stated_once_and_to_create_it_with_its_place(kernel):
    assert "twice" in str(failure(kernel, wanted(), wanted()))
    assert "'mgmtdev' is missing" in str(failure(kernel, wanted(mgmtdev=None)))


def test_a_failure_undoes_what_was_created(kernel):
    kernel.put(vdpa_device("vdpa9"))
    kernel.faults[3] = REFUSED
    error = failure(kernel, *(wanted(f"vdpa{n}") for n in range(4)))
    assert error.details["device"] == "vdpa2"
    assert (error.details["step"], error.details["errno"]) == ("create", "EINVAL")
    assert [each["device"] for each in error.details["undone"]] == ["vdpa1", "vdpa0"]
    assert error.details["left"] == []
    assert list(kernel.devices) == ["vdpa9"]


def test_what_comes_up_otherwise_than_asked_for_is_deleted_again(kernel):
    kernel.odd[2] = {"mtu": 1400}
    error = failure(kernel, wanted("vdpa0"), wanted("vdpa1", mtu=9000))
    assert error.details["step"] == "verify"
    assert "it was created, but has mtu 1400, not 9000" in str(error)
    assert kernel.devices == {}


def test_what_cannot_be_undone_is_told(kernel):
    kernel.faults.update({2: REFUSED, 3: "kernel answers: Device or resource busy\n"})
    error = failure(kernel, wanted("vdpa0"), wanted("vdpa1"))
    (left,) = error.details["left"]
    assert (left["device"], left["change"]) == ("vdpa0", "created")
    assert "dev del vdpa0" in left["problem"]


def test_a_new_device_that_a_guest_has_taken_meanwhile_is_left_to_it(kernel):
    kernel.faults[2] = REFUSED
    taken = Holders({"/dev/vhost-vdpa-0": GUEST}, complete=True)
    error = failure(kernel, wanted("vdpa0"), wanted("vdpa1"), scan_holders=lambda: taken)
    assert "process 4711 (vm-17) holds it" in error.details["left"][0]["problem"]
    assert list(kernel.devices) == ["vdpa0"]


@pytest.mark.parametrize("changes", range(4))
def test_a_signal_takes_effect_between_two_devices(kernel, changes):
    count = itertools.count()
    names = [f"vdpa{n}" for n in range(3)]

    def stop():
        return "SIGTERM" if next(count) >= changes else None

    if changes == len(names):
        apply(kernel, *map(wanted, names), interrupted=stop)
        assert list(kernel.devices) == names
    else:
        error = failure(kernel, *map(wanted, names), interrupted=stop)
        assert "interrupted by SIGTERM" in str(error)
        assert kernel.devices == {}


def test_devices_are_deleted_once(kernel):
    kernel.put(vdpa_device())
    (removed, nothing) = apply(kernel, wanted(mgmtdev=None), wanted("vdpa1"), state=ABSENT)
    assert (removed["action"], removed["mgmtdev"]) == ("removed", "vdpasim_net")
    assert nothing["action"] == "unchanged"
    assert kernel.devices == {}


def test_a_device_of_another_management_device_is_not_deleted(kernel):
    kernel.put(vdpa_device())
    assert "it exists with mgmtdev" in str(failure(kernel, wanted(mgmtdev="x"), state=ABSENT))


@pytest.mark.parametrize(
    ("holders", "words"),
    [
        (Holders({"/dev/vhost-vdpa-0": GUEST}, complete=True), "process 4711 (vm-17) holds it"),
        (Holders({}, complete=False), "it cannot be told whether a process holds it"),
    ],
)
def test_a_device_that_is_or_may_be_held_is_not_deleted(kernel, holders, words):
    kernel.put(vdpa_device())
    kernel.put(vdpa_device("vdpa1"))
    error = failure(kernel, wanted("vdpa1"), wanted(), state=ABSENT, scan_holders=lambda: holders)
    assert words in str(error)
    assert error.details["step"] == "inspect"
    assert kernel.calls == []


def test_a_device_that_the_host_uses_itself_is_not_deleted(kernel):
    kernel.put(vdpa_device(), driver="virtio_vdpa")
    error = failure(kernel, wanted(), state=ABSENT)
    assert "the host itself uses it, with driver virtio_vdpa" in str(error)
    assert kernel.calls == []


def test_a_guest_that_comes_between_keeps_its_device(kernel):
    kernel.put(vdpa_device())
    kernel.put(vdpa_device("vdpa1"))
    scans = iter([{}, {}, {}, {"/dev/vhost-vdpa-1": GUEST}])
    error = failure(
        kernel,
        wanted(),
        wanted("vdpa1"),
        state=ABSENT,
        scan_holders=lambda: Holders(next(scans), complete=True),
    )
    assert (error.details["step"], error.details["device"]) == ("remove", "vdpa1")
    assert list(kernel.devices) == ["vdpa1"]
    assert error.details["left"] == [
        {"device": "vdpa0", "change": "removed", "problem": "it cannot be undone"}
    ]


def test_a_kernel_that_does_not_answer_is_an_error(kernel):
    kernel.silent = True
    assert "/sys/bus/vdpa: no answer" in str(failure(kernel, wanted()))


def test_queue_pairs_are_verified_where_the_device_has_several(kernel):
    kernel.management_devices = [management_device(features=SIMULATED | MQ_BIT)]
    (created,) = apply(kernel, wanted(max_vqp=2, device_features=["MQ", "MAC", "0x300000000"]))
    assert {"name": "max_vqp", "value": "2"} in created["attributes"]


# --- calls that were killed, and calls at the same time ---------------------------------------------------------------


class Killed(BaseException):
    pass


class KilledTransaction(VdpaTransaction):
    """Does nothing of what a call does at its end."""

    def _undo(self):
        return {}


def kill(kernel, change, *devices):
    """A call that is killed right before (``change`` is even) or after (odd) the change of a device."""

    def run(arguments):
        if change == 2 * len(kernel.calls):
            raise Killed
        answer = kernel.run(arguments)
        if change == 2 * len(kernel.calls) - 1:
            raise Killed
        return answer

    host = VdpaHost(Sysfs(str(kernel.tree.root)), kernel.ask, nobody)
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
    devices = [wanted(f"vdpa{n}", mtu=9000) for n in range(3)]
    kill(kernel, change, *devices)
    made = sorted(set(kernel.devices) - {"vdpa9"}, reverse=True)
    assert len(made) == (change + 1) // 2
    results = apply(kernel, *(devices if again else []))
    assert [each["action"] for each in results] == ["created"] * len(results)
    assert [each["device"] for each in kernel.recovered] == made
    assert set(kernel.devices) == {"vdpa9"} | ({"vdpa0", "vdpa1", "vdpa2"} if again else set())
    assert os.listdir(kernel.tree.root.parent / "run") == [f"{LOCK}.lock"]


def test_what_another_one_made_of_the_name_since_is_not_undone(kernel):
    kill(kernel, 1, wanted(mtu=9000))
    kernel.devices["vdpa0"] = vdpa_device(mtu=1500)
    apply(kernel)
    assert (list(kernel.devices), kernel.recovered) == (["vdpa0"], [])


def test_a_device_that_a_killed_call_made_and_a_guest_has_is_left_to_it_with_a_warning(kernel):
    kill(kernel, 1, wanted(mtu=9000))
    taken = Holders({"/dev/vhost-vdpa-0": GUEST}, complete=True)
    apply(kernel, scan_holders=lambda: taken)
    assert list(kernel.devices) == ["vdpa0"]
    (warning,) = kernel.warnings
    assert "process 4711 (vm-17) holds it" in warning


def test_another_call_keeps_this_one_waiting(kernel):
    with Journal(str(kernel.tree.root.parent / "run")) as journal:
        assert journal.lock(LOCK)
        error = failure(kernel, wanted())
    assert error.details["step"] == "lock"
    assert kernel.calls == []


def test_a_device_that_another_one_made_meanwhile_is_not_undone(kernel):
    kernel.faults[1] = "kernel answers: File exists\n"
    kernel.beforehand = lambda: kernel.put(vdpa_device(mtu=9000))
    error = failure(kernel, wanted(mtu=9000))
    assert (error.details["errno"], error.details["undone"]) == ("EEXIST", [])
    assert list(kernel.devices) == ["vdpa0"]
