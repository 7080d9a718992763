# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import (
    InvalidRequest,
    NotAccepted,
    ProvisionError,
    Refused,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.module import run_module, warn
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DescriptorError,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    is_printable,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.mdevctl import MdevctlError
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError


class Ended(Exception):
    def __init__(self, **result):
        super().__init__(result)
        self.result = result


class Module:
    """Ends as a module of Ansible does, but with an exception."""

    def exit_json(self, **result):
        raise Ended(**result)

    def fail_json(self, **result):
        raise Ended(failed=True, **result)


def result_of(work):
    # It does not return, as far as its annotation says; here it raises.
    run: t.Any = run_module
    with pytest.raises(Ended) as ended:
        run(Module(), work)
    return ended.value.result


def failing(error):
    def work(module):
        raise error

    return work


def test_a_module_ends_with_the_result_of_its_work():
    assert result_of(lambda module: {"changed": True}) == {"changed": True}


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (ProvisionError("create", "no", "gpu"), "create"),
        (InvalidRequest("no", "gpu"), "validate"),
        (Refused("no", "gpu"), "inspect"),
        (NotAccepted("no", "gpu"), "verify"),
    ],
)
def test_what_stops_a_call_is_told_with_its_step(error, step):
    result = result_of(failing(error))
    assert result["msg"] == "device gpu: no. Nothing was changed"
    assert (result["failed"], result["changed"]) == (True, False)
    assert (result["step"], result["device"]) == (step, "gpu")


@pytest.mark.parametrize(
    "error",
    [HostReadError("/sys/x", "no"), DescriptorError("/sys/x: no"), MdevctlError("/sys/x: no")],
)
def test_no_error_of_the_utilities_is_a_traceback(error):
    result = result_of(failing(error))
    assert result["msg"] == "/sys/x: no. Nothing was changed"
    assert (result["failed"], result["changed"], result["step"]) == (True, False, "inspect")


def test_a_defect_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run_module(Module(), failing(ZeroDivisionError()))


@pytest.mark.parametrize(
    ("details", "end"),
    [
        ({"undone": [{}, {}]}, "Changes undone: 2"),
        ({"recovered": [{}]}, "Changes of a call that was killed undone: 1"),
        (
            {"left": [{"device": "gpu", "change": "created", "problem": "busy"}], "undone": [{}]},
            "Left behind: gpu: created (busy)",
        ),
    ],
)
def test_the_message_ends_with_how_the_host_is(details, end):
    error = ProvisionError("create", "no")
    error.details.update(details)
    result = result_of(failing(error))
    assert result["msg"] == f"no. {end}"
    assert result["changed"] is ("left" in details or "recovered" in details)


@pytest.mark.parametrize(
    ("recovered", "end"),
    [([], "Nothing was changed"), ([{}], "Changes of a call that was killed undone: 1")],
)
def test_what_a_killed_call_left_is_said_once_and_is_no_change_of_this_one(recovered, end):
    error = ProvisionError("recover", "a call that was killed left device gpu half done")
    left = [{"device": "gpu", "change": "created", "problem": "busy"}]
    error.details.update(left=left, recovered=recovered)
    result = result_of(failing(error))
    assert result["msg"] == f"a call that was killed left device gpu half done. {end}"
    assert (result["left"], result["changed"]) == (left, bool(recovered))


def test_a_message_has_the_kernels_error_a_hint_and_the_log():
    error = ProvisionError(
        "create", "no", "gpu", OSError(errno.ENOSPC, "No space"), "make room", kernel_log=["a", "b"]
    )
    assert str(error) == (
        "device gpu: no: no space (ENOSPC). Hint: make room. The kernel's log: a | b"
    )
    assert error.details["errno"] == "ENOSPC"


HOSTILE = "vm\x1b]0;owned\x07\x9b31m\u202egnp\u2066\u2028\udcff\n"


def test_a_message_shows_nothing_that_steers_a_terminal():
    failure = ProvisionError("remove", f"process 4711 ({HOSTILE}) holds it", HOSTILE)
    failure.details["left"] = [
        {
            "device": HOSTILE,
            "change": HOSTILE,
            "problem": HOSTILE,
            "where": HOSTILE,
            "by_hand": HOSTILE,
        }
    ]
    result = result_of(failing(failure))
    assert is_printable(result["msg"])
    assert "\\x1b]0;owned\\x07\\x9b31m\\u202egnp" in result["msg"]
    # Data stays what it is.
    assert result["left"][0]["device"] == HOSTILE


def test_a_warning_shows_nothing_that_steers_a_terminal():
    shown: list[str] = []

    class Warned(Module):
        def warn(self, text):
            shown.append(text)

    warn(t.cast(t.Any, Warned()), [HOSTILE])
    assert is_printable("".join(shown))


def test_the_last_word_says_what_is_left_where_and_what_to_do():
    failure = ProvisionError("remove", "no", "gpu")
    failure.details["left"] = [
        {
            "device": "uuid",
            "change": "created",
            "problem": "busy",
            "where": "/sys/uuid",
            "by_hand": "echo 1 > /sys/uuid/remove",
        },
        {"device": "other", "change": "removed", "problem": "it cannot be undone"},
    ]
    assert result_of(failing(failure))["msg"] == (
        "device gpu: no. Left behind: uuid: created (busy), at /sys/uuid; to undo it by hand: echo 1 >"
        " /sys/uuid/remove; other: removed (it cannot be undone)"
    )
