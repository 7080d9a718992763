# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the fuzzers of doors share. A door is a function that takes what others wrote: a host, its tools, its kernel, a file.

Behind each door is either an error of the kind that the door documents, with a message that can be shown, or a result of
the documented shape; both soon, and in memory that has a limit.
"""

from __future__ import annotations

import contextlib
import copy
import resource
import signal
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    MAX_MESSAGE,
    is_printable,
)
from hypothesis import strategies as st

# Of the processor's time; what waits for something is stopped after many times that.
SECONDS = 5.0
PATIENCE = 60.0
MEGABYTES = 500

Errors = t.Union[t.Type[BaseException], t.Tuple[t.Type[BaseException], ...]]


class TookTooLong(BaseException):
    """A door was not through in time; no code under test catches this."""


@contextlib.contextmanager
def limits(seconds: float = SECONDS, megabytes: int = MEGABYTES) -> t.Iterator[None]:
    """Raise ``TookTooLong`` after ``seconds`` of work, and let no more than ``megabytes`` of further memory be had."""

    def stop(number: int, frame: t.Any) -> None:
        raise TookTooLong(f"after {seconds} seconds")

    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    timers = (
        (signal.SIGPROF, signal.ITIMER_PROF, seconds),
        (signal.SIGALRM, signal.ITIMER_REAL, PATIENCE),
    )
    before = [signal.signal(number, stop) for number, _timer, _time in timers]
    try:
        resource.setrlimit(resource.RLIMIT_AS, (size + (megabytes << 20), hard))
        for _number, timer, time in timers:
            signal.setitimer(timer, time)
        yield
    finally:
        for (number, timer, _time), handler in zip(timers, before):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def through(door: t.Callable[[], t.Any], errors: Errors) -> t.Any:
    """Return what is behind ``door``, ``None`` where it is one of ``errors``; any other exception is the test's failure."""
    with limits():
        try:
            return door()
        except errors as error:
            message = str(error)
    assert message
    assert is_printable(message)
    assert len(message) <= MAX_MESSAGE + 100
    return None


# --- what others may write -------------------------------------------------------------------------------------------

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=12)
# Of every type of JSON, as Python's json reads it: NaN, numbers without end and half characters included.
NUMBERS = st.one_of(
    st.integers(-2, 300), st.sampled_from([-1, 2**31, 2**63, 2**64, 10**400]), st.floats()
)
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, ANY_TEXT, st.just("x" * 70_000))
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(ANY_TEXT, inner, max_size=3)
    ),
    max_leaves=4,
)


# Made once: to make and validate a strategy takes longer than to draw from it.
_WAYS = st.sampled_from(["replace", "replace", "splice", "leave out", "double", "add"])
_TIMES = st.sampled_from([1, 1, 1, 2, 40])
_PIECES: dict[tuple[str, ...], t.Any] = {}


def _piece(pieces: t.Sequence[str]) -> t.Any:
    """Return what draws a text to be put in."""
    key = tuple(pieces)
    if key not in _PIECES:
        _PIECES[key] = st.one_of(ANY_TEXT, st.sampled_from(["", "\n", "\0", *key]))
    return _PIECES[key]


@st.composite
def damaged(draw: t.Any, sound: t.Any, most: int = 3) -> t.Any:
    """Draw ``sound`` data of JSON's types with up to ``most`` parts of it replaced, left out, doubled or added."""
    found = [copy.deepcopy(sound)]
    for _time in range(draw(st.integers(1, most))):
        holder: t.Any = found
        place: t.Any = 0
        while _parts(holder[place]) and draw(st.integers(0, 4)):
            holder = holder[place]
            place = draw(st.sampled_from(_parts(holder)))
        _damage(draw, holder, place)
    return found[0]


def _parts(value: t.Any) -> list[t.Any]:
    if isinstance(value, dict):
        return list(value)
    return list(range(len(value))) if isinstance(value, list) else []


def _damage(draw: t.Any, holder: t.Any, place: t.Any) -> None:
    value = holder[place]
    how = draw(_WAYS)
    if how == "splice" and isinstance(value, str):
        holder[place] = draw(spliced(value))
    elif how == "leave out" and isinstance(holder, dict):
        del holder[place]
    elif how == "double" and isinstance(holder, list):
        holder.append(copy.deepcopy(value))
    elif how == "add" and isinstance(value, dict):
        value[draw(ANY_TEXT)] = draw(JSON)
    elif how == "add" and isinstance(value, list):
        value.append(draw(JSON))
    else:
        holder[place] = draw(JSON)


@st.composite
def spliced(draw: t.Any, sound: str, pieces: t.Sequence[str] = ()) -> str:
    """Draw a text with something put in, taken out or cut off; ``pieces`` are what is often put in."""
    text = sound
    for _time in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 2, 9, len(text)])))
        inserted = draw(_piece(pieces))
        text = text[:start] + inserted * draw(_TIMES) + text[end:]
    return text


@st.composite
def spliced_bytes(draw: t.Any, sound: bytes) -> bytes:
    """Draw bytes with some of them changed, put in, or cut off."""
    data = bytearray(sound)
    for _time in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 1, 2, 4, 16, len(data)])))
        data[start:end] = draw(st.binary(max_size=8))
    return bytes(data)
