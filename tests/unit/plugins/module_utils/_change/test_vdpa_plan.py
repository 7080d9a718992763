# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import ABSENT, PRESENT
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree
from ansible_collections.vfio.migration.tests.unit.vdpa_hosts import (
    MAC,
    SIMULATED,
    VdpaKernel,
    apply_vdpa,
    management_device,
    vdpa_device,
    vdpa_failure,
    wanted_vdpa,
)

GUEST = {"pid": 4711, "name": "vm-17"}
REFUSED = "kernel answers: Invalid argument\n"


@pytest.fixture
def kernel(tmp_path):
    return VdpaKernel(Tree(tmp_path / "sys"))


def test_what_is_not_stated_is_not_compared(kernel):
    kernel.put(vdpa_device(mtu=9000))
    assert apply_vdpa(kernel, wanted_vdpa(mac=MAC))[0]["action"] == "unchanged"


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
    error = vdpa_failure(kernel, wanted_vdpa(**stated))
    assert str(error) == f"device vdpa0: it exists with {words}; it is left as it is"
    assert error.details["step"] == "inspect"
    assert kernel.calls == []


def test_one_pair_of_queues_is_what_a_device_without_the_feature_has(kernel):
    kernel.put(vdpa_device())
    assert apply_vdpa(kernel, wanted_vdpa(max_vqp=1))[0]["action"] == "unchanged"


def test_what_an_old_kernel_does_not_tell_is_not_taken_for_equal(kernel):
    kernel.put(vdpa_device(features=None))
    assert "device_features unknown, not 0x20" in str(
        vdpa_failure(kernel, wanted_vdpa(device_features=["MAC"]))
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
    error = vdpa_failure(kernel, wanted_vdpa("vdpa1"), wanted_vdpa(**stated))
    assert words in str(error)
    assert (error.details["step"], error.details["device"]) == ("inspect", "vdpa0")
    assert kernel.calls == []


def test_what_an_old_kernel_offers_is_left_to_it_to_say(kernel):
    kernel.management_devices = [management_device(features=None)]
    apply_vdpa(kernel, wanted_vdpa(device_features=["MAC"]))
    assert kernel.calls[0][-2:] == ["device_features", "0x20"]


def test_features_are_those_of_the_management_devices_class(kernel):
    kernel.management_devices = [management_device(features=1 << 12, ids=(2,))]
    apply_vdpa(kernel, wanted_vdpa(device_features=["MQ"]))
    assert kernel.calls[0][-1] == "0x1000"


def test_a_name_of_another_class_is_refused_with_what_would_be_right(kernel):
    kernel.management_devices = [management_device(ids=(1, 2))]
    error = vdpa_failure(kernel, wanted_vdpa(device_features=["MQ"]))
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
    error = vdpa_failure(kernel, wanted_vdpa("vdpa1"), wanted_vdpa(**stated))
    assert error.details["step"] == "validate"
    assert str(error).isprintable()
    assert len(str(error)) < 500
    assert kernel.calls == []


@pytest.mark.parametrize("name", ["vdpa0", "_x", "vdpa:0000:65:00.3", "a-b.c", "v" * 100])
@pytest.mark.parametrize("mgmtdev", ["pci/0000:65:00.2", "auxiliary/mlx5_core.sf.1", "vduse"])
def test_names_as_they_are_in_the_field_are_taken(kernel, name, mgmtdev):
    kernel.management_devices.append(management_device(mgmtdev))
    assert apply_vdpa(kernel, wanted_vdpa(name, mgmtdev))[0]["mgmtdev"] == mgmtdev


def test_a_device_is_stated_once_and_to_create_it_with_its_place(kernel):
    assert "twice" in str(vdpa_failure(kernel, wanted_vdpa(), wanted_vdpa()))
    assert "'mgmtdev' is missing" in str(vdpa_failure(kernel, wanted_vdpa(mgmtdev=None)))


def test_a_device_of_another_management_device_is_not_deleted(kernel):
    kernel.put(vdpa_device())
    assert "it exists with mgmtdev" in str(
        vdpa_failure(kernel, wanted_vdpa(mgmtdev="x"), state=ABSENT)
    )


@pytest.mark.parametrize(
    ("holders", "words"),
    [
        (Holders({"/dev/vhost-vdpa-0": GUEST}, complete=True), "process 4711 (vm-17) holds it"),
        (Holders({}, complete=False), "it is unknown whether a process holds it"),
    ],
)
def test_a_device_that_is_or_may_be_held_is_not_deleted(kernel, holders, words):
    kernel.put(vdpa_device())
    kernel.put(vdpa_device("vdpa1"))
    error = vdpa_failure(
        kernel, wanted_vdpa("vdpa1"), wanted_vdpa(), state=ABSENT, scan_holders=lambda: holders
    )
    assert words in str(error)
    assert error.details["step"] == "inspect"
    assert kernel.calls == []


def test_a_device_that_the_host_uses_itself_is_not_deleted(kernel):
    kernel.put(vdpa_device(), driver="virtio_vdpa")
    error = vdpa_failure(kernel, wanted_vdpa(), state=ABSENT)
    assert "the host itself uses it, with driver virtio_vdpa" in str(error)
    assert kernel.calls == []


def test_a_kernel_that_does_not_answer_is_an_error(kernel):
    kernel.silent = True
    assert "/sys/bus/vdpa: no answer" in str(vdpa_failure(kernel, wanted_vdpa()))


@pytest.mark.parametrize("state", [PRESENT, ABSENT])
def test_a_device_that_the_kernel_does_not_describe_is_not_taken_for_none(kernel, state):
    kernel.put(vdpa_device("vdpa0"))
    kernel.problems.append(HostReadError("/sys/bus/vdpa/devices/vdpa0", "malformed"))
    failed = vdpa_failure(kernel, wanted_vdpa(), state=state)
    assert failed.details["step"] == "inspect"
    assert "it is there, and the kernel does not say what it is: /sys/bus/vdpa" in str(failed)
    assert kernel.calls == []


AS_FACTS = [
    {"name": "mac", "value": MAC},
    {"name": "mtu", "value": "1500"},
    {"name": "max_vqp", "value": "1"},
    {"name": "device_features", "value": hex(SIMULATED)},
]


def test_attributes_are_taken_as_facts_have_them(kernel):
    kernel.put(vdpa_device())
    wanted = {**wanted_vdpa(), "attributes": AS_FACTS}
    assert apply_vdpa(kernel, wanted)[0]["action"] == "unchanged"


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        (("speed", "1"), "has no attribute 'speed'; expected one of mac, mtu, max_vqp"),
        (("mtu", "many"), "mtu is 'many'; expected a number"),
        (("mac", MAC), "is given mac twice"),
    ],
)
def test_an_attribute_that_is_none_is_refused(kernel, attribute, words):
    given = [dict(zip(("name", "value"), attribute))]
    wanted = {**wanted_vdpa(mac="02:00:00:00:00:01"), "attributes": given}
    assert words in str(vdpa_failure(kernel, wanted))
    assert kernel.calls == []
