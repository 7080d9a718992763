# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Requests to the kernel over generic netlink.

Messages are those of include/uapi/linux/netlink.h and genetlink.h: headers and attributes in the machine's byte order,
each padded to 4 bytes. Every failure is the kernel's own ``OSError``.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import typing as t

# The value of each attribute, by its number.
Attributes: t.TypeAlias = "dict[int, bytes]"

_NETLINK_GENERIC = 16
_HEADER = struct.Struct("=IHHII")
_GENERIC_HEADER = struct.Struct("=BBH")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR_NUMBER = struct.Struct("=i")
_ERROR = 2
_DONE = 3
_REQUEST = 0x1
_ACKNOWLEDGE = 0x4
_DUMP = 0x300
# The number of an attribute shares its field with two flags.
_NUMBER = 0x3FFF
_CONTROLLER = 0x10
_CONTROLLER_VERSION = 1
_GET_FAMILY = 3
_FAMILY_ID = 1
_FAMILY_NAME = 2
# The kernel gives the messages of a dump in pieces, none longer than this.
_BUFFER = 65536
_TIMEOUT_SECONDS = 10


class Family:
    """The part of the kernel that answers under a name, such as ``vdpa``. Use it in ``with``.

    The constructor raises ``FileNotFoundError`` where the kernel, or this network namespace, has none of that name.
    """

    def __init__(self, name: str, version: int) -> None:
        self._version = version
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC)
        try:
            self._socket.settimeout(_TIMEOUT_SECONDS)
            self._socket.bind((0, 0))
            asked = {_FAMILY_NAME: name.encode("ascii") + b"\0"}
            answer = self._call(_CONTROLLER, _CONTROLLER_VERSION, _GET_FAMILY, 0, asked)
        except BaseException:
            self._socket.close()
            raise
        self._id = number(answer[0][_FAMILY_ID])

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def ask(self, command: int, attributes: Attributes) -> Attributes:
        """Return the answer to ``command``."""
        return self._call(self._id, self._version, command, 0, attributes)[0]

    def dump(self, command: int) -> list[Attributes]:
        """Return all answers to ``command``, of which there may be none."""
        return self._call(self._id, self._version, command, _DUMP, {})

    def change(self, command: int, attributes: Attributes) -> None:
        """Have ``command`` done, which has no answer."""
        self._call(self._id, self._version, command, _ACKNOWLEDGE, attributes)

    def _call(
        self, family: int, version: int, command: int, flags: int, attributes: Attributes
    ) -> list[Attributes]:
        body = _GENERIC_HEADER.pack(command, version, 0) + encoded(attributes)
        length = _HEADER.size + len(body)
        self._socket.send(_HEADER.pack(length, family, _REQUEST | flags, 0, 0) + body)
        answers: list[Attributes] = []
        while True:
            for kind, body in _messages(self._socket.recv(_BUFFER)):
                if kind in (_ERROR, _DONE):
                    # The end of a dump tells its error too.
                    (negative,) = _ERROR_NUMBER.unpack_from(body)
                    if negative < 0:
                        raise OSError(-negative, os.strerror(-negative))
                    return answers
                answers.append(decoded(body[_GENERIC_HEADER.size :]))
            if not flags & _DUMP:
                return answers


def number(value: bytes) -> int:
    """Return the unsigned integer in an attribute, of whatever size."""
    return int.from_bytes(value, sys.byteorder)


def text(value: bytes) -> str:
    """Return the text in an attribute, which ends with a NUL."""
    return value.split(b"\0", 1)[0].decode("utf-8", "replace")


def encoded(attributes: Attributes) -> bytes:
    """Return attributes as they are in a message, or in another attribute."""
    encoded = b""
    for kind, value in attributes.items():
        length = _ATTRIBUTE.size + len(value)
        encoded += _ATTRIBUTE.pack(length, kind) + value + bytes(_padded(length) - length)
    return encoded


def decoded(data: bytes) -> Attributes:
    """Return the attributes in a message, or in another attribute."""
    attributes = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        attributes[kind & _NUMBER] = data[_ATTRIBUTE.size : length]
        data = data[_padded(length) :]
    return attributes


def _messages(data: bytes) -> t.Iterator[tuple[int, bytes]]:
    """Yield kind and body of each message in ``data``."""
    while len(data) >= _HEADER.size:
        length, kind = _HEADER.unpack_from(data)[:2]
        yield kind, data[_HEADER.size : length]
        data = data[_padded(length) :]


def _padded(length: int) -> int:
    return (length + 3) & ~3
