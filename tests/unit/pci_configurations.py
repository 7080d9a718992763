# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration spaces of PCI functions, as the PCI specification lays them out."""

from __future__ import annotations

import typing as t

Capabilities = t.Mapping[int, bytes]


def standard(capability: int, content: str) -> bytes:
    """Return a capability whose ``content``, hexadecimal, follows its id and the pointer to the next."""
    return bytes([capability, 0]) + bytes.fromhex(content)


def extended(capability: int, content: str, version: int = 1) -> bytes:
    """Return an extended capability whose ``content``, hexadecimal, follows its header."""
    return (capability | version << 16).to_bytes(4, "little") + bytes.fromhex(content)


def config_space(
    capabilities: Capabilities, more: Capabilities | None = None, revision: int = 1
) -> bytes:
    """Return 4,096 bytes with ``capabilities`` by their offset, and extended ones, ``more``, by theirs."""
    space = bytearray(4096)
    # As of a virtual function, whose ids are not there.
    space[0:4] = b"\xff\xff\xff\xff"
    space[0x08:0x0C] = bytes([revision, 0x00, 0x00, 0x02])
    places = sorted(capabilities)
    if places:
        space[0x06], space[0x34] = 0x10, places[0]
    for place, following in zip(places, [*places[1:], 0][: len(places)]):
        content = capabilities[place]
        space[place : place + len(content)] = content
        space[place + 1] = following
    places = sorted(more or {})
    for place, following in zip(places, [*places[1:], 0][: len(places)]):
        content = (more or {})[place]
        space[place : place + len(content)] = content
        space[place + 2] |= following << 4 & 0xF0
        space[place + 3] = following >> 4
    return bytes(space)
