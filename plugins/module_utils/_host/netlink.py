# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Requests to the kernel over netlink: generic netlink, and rtnetlink.

Messages are those of include/uapi/linux/netlink.h and genetlink.h: headers and attributes in the machine's byte order,
each padded to 4 bytes. Every failure is the kernel's own ``OSError``. An answer that breaks the form, or has no end, is
one with the errno EBADMSG.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
import typing as t

_Kind = t.TypeVar("_Kind", bound="_Connection")

_NETLINK_ROUTE = 0
_NETLINK_GENERIC = 16
_HEADER = struct.Struct("=IHHII")
_GENERIC_HEADER = struct.Struct("=BBH")
# struct ifinfomsg: family, type, index, flags and change.
_LINK_HEADER = struct.Struct("=BxHiII")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR_NUMBER = struct.Struct("=i")
_NOTHING = 1
_ERROR = 2
_DONE = 3
# The first number of a family, and the last one of an error (MAX_ERRNO).
_MIN_FAMILY = 16
_MAX_ERROR = 4095
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
# More than any host has of anything.
_MAX_PIECES = 10_000
_NEW_LINK = 16
_GET_LINK = 18
_SET_LINK = 19
_SIZES = (1, 2, 4, 8)


class Attributes(t.Dict[int, bytes]):
    """The value of each attribute, by its number; without one that is asked for, the answer breaks the form.

    Of an attribute that comes several times it is the last one; ``all`` has each.
    """

    def __init__(self, items: t.Iterable[tuple[int, bytes]] = ()) -> None:
        self._items = list(items)
        super().__init__(self._items)

    def all(self, kind: int) -> list[bytes]:
        """Return the values of an attribute that may come several times."""
        return [value for each, value in self._items if each == kind]

    def __missing__(self, kind: int) -> bytes:
        raise broken_answer(f"it lacks the attribute {kind}")


def broken_answer(problem: str) -> OSError:
    """Return the error of an answer that breaks the form; ``problem`` is a sentence about "it"."""
    return OSError(errno.EBADMSG, f"the kernel's answer is malformed: {problem}")


class _Connection:
    """A socket to one part of the kernel. Use it in ``with``."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        try:
            self._socket.settimeout(_TIMEOUT_SECONDS)
            self._socket.bind((0, 0))
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self: _Kind) -> _Kind:
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def _call(
        self,
        kind: int,
        answer_kind: int,
        flags: int,
        header: bytes,
        attributes: t.Mapping[int, bytes],
    ) -> list[Attributes]:
        """Return the attributes of each message of ``answer_kind``; each has a header as long as that of the request."""
        body = header + encoded(attributes)
        length = _HEADER.size + len(body)
        self._socket.send(_HEADER.pack(length, kind, _REQUEST | flags, 0, 0) + body)
        answers: list[Attributes] = []
        for _piece in range(_MAX_PIECES):
            for found, body in _messages(self._socket.recv(_BUFFER)):
                if found in (_ERROR, _DONE):
                    # The end of a dump carries its error, too.
                    _raise_error(body)
                    return answers
                if found != _NOTHING:
                    if found != answer_kind or len(body) < len(header):
                        raise broken_answer(
                            f"it has a message of kind {found} with {len(body)} bytes"
                        )
                    answers.append(decoded(body[len(header) :]))
            if not flags & _DUMP:
                return answers
        raise broken_answer("it has no end")


class Family(_Connection):
    """The part of the kernel that answers under a name, such as ``vdpa``. Use it in ``with``.

    The constructor raises ``FileNotFoundError`` where the kernel, or this network namespace, has none of that name.
    """

    def __init__(self, name: str, version: int) -> None:
        super().__init__(_NETLINK_GENERIC)
        self._version = version
        self._id = _CONTROLLER
        try:
            header = _GENERIC_HEADER.pack(_GET_FAMILY, _CONTROLLER_VERSION, 0)
            asked = {_FAMILY_NAME: name.encode("ascii") + b"\0"}
            answer = _only(self._call(_CONTROLLER, _CONTROLLER, 0, header, asked))
            self._id = number(answer[_FAMILY_ID])
            if not _MIN_FAMILY <= self._id <= 0xFFFF:
                raise broken_answer(f"{self._id} is not the number of a family")
        except BaseException:
            self._socket.close()
            raise

    def ask(self, command: int, attributes: t.Mapping[int, bytes]) -> Attributes:
        """Return the answer to ``command``."""
        return _only(self._command(command, 0, attributes))

    def dump(self, command: int) -> list[Attributes]:
        """Return all answers to ``command``, of which there may be none."""
        return self._command(command, _DUMP, {})

    def change(self, command: int, attributes: t.Mapping[int, bytes]) -> None:
        """Have ``command`` done, which has no answer."""
        self._command(command, _ACKNOWLEDGE, attributes)

    def _command(
        self, command: int, flags: int, attributes: t.Mapping[int, bytes]
    ) -> list[Attributes]:
        header = _GENERIC_HEADER.pack(command, self._version, 0)
        return self._call(self._id, self._id, flags, header, attributes)


class Links(_Connection):
    """The network interfaces of this network namespace, by their index: include/uapi/linux/rtnetlink.h. Use it in ``with``."""

    def __init__(self) -> None:
        super().__init__(_NETLINK_ROUTE)

    def ask(self, index: int, attributes: t.Mapping[int, bytes]) -> Attributes:
        """Return the kernel's answer about an interface."""
        return _only(self._call(_GET_LINK, _NEW_LINK, 0, _link_header(index), attributes))

    def change(self, index: int, attributes: t.Mapping[int, bytes]) -> None:
        """Change an interface."""
        self._call(_SET_LINK, _NEW_LINK, _ACKNOWLEDGE, _link_header(index), attributes)


def _link_header(index: int) -> bytes:
    return _LINK_HEADER.pack(0, 0, index, 0, 0)


def _only(answers: list[Attributes]) -> Attributes:
    if not answers:
        raise broken_answer("it is empty")
    return answers[0]


def _raise_error(body: bytes) -> None:
    """Raise the error that a message carries, if any."""
    if len(body) < _ERROR_NUMBER.size:
        raise broken_answer("it ends without a number")
    (negative,) = _ERROR_NUMBER.unpack_from(body)
    if -_MAX_ERROR <= negative < 0:
        raise OSError(-negative, os.strerror(-negative))
    if negative:
        raise broken_answer(f"it ends with the number {negative}")


def number(value: bytes) -> int:
    """Return the unsigned integer in an attribute, of whatever size."""
    if len(value) not in _SIZES:
        raise broken_answer(f"{len(value)} bytes are not a number")
    return int.from_bytes(value, sys.byteorder)


def text(value: bytes) -> str:
    """Return the text in an attribute, which ends with a NUL."""
    return value.split(b"\0", 1)[0].decode("utf-8", "replace")


def encoded(attributes: t.Mapping[int, bytes]) -> bytes:
    """Return attributes as they are in a message, or in another attribute."""
    encoded = b""
    for kind, value in attributes.items():
        length = _ATTRIBUTE.size + len(value)
        encoded += _ATTRIBUTE.pack(length, kind) + value + bytes(_padded(length) - length)
    return encoded


def decoded(data: bytes) -> Attributes:
    """Return the attributes in a message, or in another attribute."""
    items = _items(data, _ATTRIBUTE)
    return Attributes([(kind & _NUMBER, value) for (_length, kind), value in items])


def _messages(data: bytes) -> t.Iterator[tuple[int, bytes]]:
    """Yield kind and body of each message in ``data``."""
    for header, body in _items(data, _HEADER):
        yield header[1], body


def _items(data: bytes, header: struct.Struct) -> t.Iterator[tuple[tuple[int, ...], bytes]]:
    """Yield header and content of what ``data`` has one after the other; each begins with its length, header included."""
    start = 0
    while start < len(data):
        left = len(data) - start
        length = header.unpack_from(data, start)[0] if left >= header.size else 0
        # One of length 0 would be the last and the next for ever.
        if not header.size <= length <= left:
            raise broken_answer(f"{length} bytes at byte {start}, where {left} are left")
        yield header.unpack_from(data, start), data[start + header.size : start + length]
        start += _padded(length)


def _padded(length: int) -> int:
    return (length + 3) & ~3
