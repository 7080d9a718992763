# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Descriptors that use every construct of the language, and often nearly match each other."""

from __future__ import annotations

from hypothesis import strategies as st

_MANY = ",".join(str(number) for number in range(1, 201))

SELVES = st.fixed_dictionaries(
    {
        "software_version": st.sampled_from(["0.1.0", "0.2", "1.0"]),
        "device_api": st.sampled_from(["vfio-pci", "vfio-pci", "vfio-ap"]),
        "type": st.sampled_from(["t1", "t2", "t4", "4"]),
        "pci_id": st.sampled_from(["80865963", "8086591d"]),
    },
    optional={
        "aggregator": st.sampled_from(["1", "2", "4", "04", "x", ""]),
        "remote_url": st.sampled_from(["nvme://h/1", "nvme://h/2", "nvme://h/3"]),
    },
)

PATTERNS = st.fixed_dictionaries(
    {
        "device_api": st.sampled_from(["vfio-pci", "vfio-pci", 'vfio{api:string:"_pci","-ap"}']),
        "type": st.sampled_from(
            [
                *("t1", "t{v:int:1,2,4}", '{s:string:"t1","t2"}', "{v:int:2,4}"),
                *("t{v:int:1,2}{w:int:1,2}", f"t{{v:int:{_MANY}}}", "t{v:real:1}"),
            ]
        ),
    },
    optional={
        "software_version": st.sampled_from(["0.1.0", "0.2", "0.{m:int:1,2}", "x{m:int:1}"]),
        "pci_id": st.sampled_from(["80865963", '8086{p:string:"5963","591d"}']),
        "aggregator": st.sampled_from(
            [
                *("2", "", "{v}", "{v}/2", "{v}*2 % 3", "{u:int:1,2}", "{v}{v}"),
                *('{e:string:"","1"}', f"{{v}}*{{x:int:{_MANY}}}", "1/({v}-1)"),
            ]
        ),
        "remote_url": st.sampled_from(["nvme://h/1", "nvme://h/{n:int:1,2}"]),
    },
)

DESCRIPTORS = st.builds(
    lambda own, compatible: {"self": own, "compatible": compatible},
    SELVES,
    st.lists(PATTERNS, max_size=3),
)
