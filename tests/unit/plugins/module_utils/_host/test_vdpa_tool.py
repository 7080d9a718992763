# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.virtio import NET
from ansible_collections.vfio.migration.plugins.module_utils._host.vdpa_tool import (
    VdpaError,
    VdpaTool,
)

NOT_SUPPORTED = "Error: vdpa: Some provided attributes are not supported"
# What vdpa of iproute2 6.15 said on Linux 6.12, or what older kernels, without the line "Error", let it say.
REFUSALS = [
    (
        f"{NOT_SUPPORTED}: 0x1000.\nkernel answers: Operation not supported\n",
        f"{NOT_SUPPORTED}: 0x1000",
        95,
        "the management device does not take max_vqp",
    ),
    (
        f"{NOT_SUPPORTED}: 0x102000.\nkernel answers: Operation not supported\n",
        f"{NOT_SUPPORTED}: 0x102000",
        95,
        "the management device does not take mtu, device_features",
    ),
    (
        "Error: vdpa: Missing features 0x8 for provided attributes.\nkernel answers: Invalid argument\n",
        "Error: vdpa: Missing features 0x8 for provided attributes",
        22,
        "device_features lacks MTU, which another attribute needs",
    ),
    (
        "Error: vdpa: Fail to find the specified management device.\nkernel answers: No such device\n",
        "Error: vdpa: Fail to find the specified management device",
        19,
        "the management device, or the device, is going away",
    ),
    ("kernel answers: File exists\n", None, 17, "a device of this name was made meanwhile"),
    ("kernel answers: Operation not permitted\n", None, 1, "run as root"),
    ("kernel answers: No space left on device\n", None, 28, "takes no further device"),
    ("kernel answers: Value too large\n", "kernel answers: Value too large", None, None),
    ("Failed to connect to vdpa Netlink\n", "Failed to connect to vdpa Netlink", None, None),
    ('"zz" is invalid lladdr.\n', '"zz" is invalid lladdr', None, None),
    ("", "exit status 1", None, None),
]


@pytest.mark.parametrize(("said", "kept", "number", "hint"), REFUSALS)
def test_what_the_tool_says_comes_in_words(said, kept, number, hint):
    tool = VdpaTool(lambda arguments: (1, "", said))
    with pytest.raises(VdpaError) as caught:
        tool.add("vdpa0", "vdpasim_net", [("mtu", "1400")], NET)
    error = caught.value
    command = "vdpa dev add name vdpa0 mgmtdev vdpasim_net mtu 1400"
    assert error.said == (f"{command}: {kept}" if kept else command)
    assert error.errno == number
    assert error.hint == hint if hint is None else hint in error.hint


def test_each_value_is_one_argument():
    calls = []

    def run(arguments):
        calls.append(arguments)
        return 0, "", ""

    tool = VdpaTool(run)
    tool.add("a b", "pci/x; y", [("mac", "$(z)")], NET)
    tool.delete("a b")
    assert calls == [
        ["dev", "add", "name", "a b", "mgmtdev", "pci/x; y", "mac", "$(z)"],
        ["dev", "del", "a b"],
    ]
