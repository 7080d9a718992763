# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a guest sees of a configuration space, from its bytes."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.configuration import (
    ConfigurationError,
    configuration,
)
from ansible_collections.vfio.migration.tests.unit.pci_configurations import (
    config_space,
    extended,
    standard,
)
from hypothesis import example, given
from hypothesis import strategies as st

IDENTITY = "15b3101e"
MSIX = standard(0x11, "3f00 00200000 00300000")
AER = extended(0x01, "00000000 00004000 30204600 00000000 00e00000 a0000000", 2)


def seen(space: bytes, idle: bool = True, readable: int | None = None, size: int | None = None):
    shown = space[:readable]
    return configuration(
        IDENTITY,
        len(space) if size is None else size,
        lambda offset, count: shown[offset : offset + count],
        idle,
    )


def test_what_a_guest_sees_of_a_function():
    assert seen(config_space({0x40: standard(0x01, "0300 0800"), 0x70: MSIX}, {0x100: AER})) == {
        "pci.id": "15b3:101e",
        "pci.class": "020000",
        "pci.header": "00",
        "pci.revision": "01",
        "pci.01": "0003",
        "pci.11": "003f 00002000 00003000",
        "pci.capabilities": "01@40 11@70",
        "pci.0001": "00400000 00462030 0000e000 000000a0",
        "pci.extended": "0001.2@100",
    }


def test_what_a_guest_may_write_is_told_of_a_function_that_nobody_holds():
    space = config_space({0x70: MSIX}, {0x100: AER})
    held = seen(space, idle=False)
    assert "pci.0001" not in held
    assert seen(space) == {**held, "pci.0001": "00400000 00462030 0000e000 000000a0"}


def test_the_enabled_bits_of_interrupts_change_nothing():
    enabled = standard(0x11, "3f80 00200000 00300000")
    assert seen(config_space({0x70: enabled})) == seen(config_space({0x70: MSIX}))


def test_who_is_not_root_reads_the_first_64_bytes_and_claims_no_more():
    space = config_space({0x70: MSIX}, {0x100: AER})
    assert set(seen(space, readable=64)) == {"pci.id", "pci.class", "pci.header", "pci.revision"}
    assert "pci.extended" not in seen(space, readable=256)
    assert seen(space, readable=10) == {}


def test_a_conventional_function_has_no_extended_capabilities():
    assert seen(config_space({0x70: MSIX})[:256])["pci.extended"] == ""


@pytest.mark.parametrize("hidden", [0x0D, 0x14])
def test_capabilities_that_vfio_hides_are_left_out(hidden):
    space = config_space({0x40: standard(hidden, "0000"), 0x70: MSIX})
    assert seen(space)["pci.capabilities"] == "11@70"


@pytest.mark.parametrize("dropped", [0x0E, 0x10, 0x1B, 0x1E])
def test_extended_capabilities_that_vfio_hides_or_qemu_drops_are_left_out(dropped):
    space = config_space({}, {0x100: extended(dropped, "", 1), 0x140: AER})
    assert seen(space)["pci.extended"] == "0001.2@140"


def test_two_capabilities_of_one_id_are_told_apart():
    vendors = {0x40: standard(0x09, "14"), 0x60: standard(0x09, "18")}
    found = seen(config_space(vendors))
    assert (found["pci.09"], found["pci.09.2"]) == ("14", "18")
    assert found["pci.capabilities"] == "09@40 09@60"


def test_what_a_vendor_keeps_in_its_capability_is_not_compared():
    spaces = [config_space({0x40: standard(0x09, f"14 {each}")}) for each in ("00", "ff")]
    assert seen(spaces[0]) == seen(spaces[1])


def test_several_functions_of_one_device_do_not_show_in_the_header_type():
    space = bytearray(config_space({}))
    space[0x0E] |= 0x80
    assert seen(bytes(space))["pci.header"] == "00"


def test_a_function_that_does_not_answer_is_a_problem():
    with pytest.raises(ConfigurationError, match="does not answer"):
        seen(b"\xff" * 4096)


def test_a_list_that_leads_back_is_a_problem():
    space = bytearray(config_space({0x40: standard(0x01, "0000")}))
    space[0x41] = 0x40
    with pytest.raises(ConfigurationError, match="0x40"):
        seen(bytes(space))
    space = bytearray(config_space({}, {0x100: AER}))
    space[0x102:0x104] = (0x1002).to_bytes(2, "little")
    with pytest.raises(ConfigurationError, match="0x100"):
        seen(bytes(space))


@given(st.binary(max_size=600), st.booleans())
@example(b"\x00" * 0x34 + b"\x40" + b"\x00" * 565, True)
def test_whatever_a_function_shows_is_told_or_refused_in_an_end(space, idle):
    try:
        found = seen(space, idle, size=4096)
    except ConfigurationError:
        return
    assert all(name.isascii() and value.isascii() for name, value in found.items())
    assert len(found) <= 64 + 4 + 96
