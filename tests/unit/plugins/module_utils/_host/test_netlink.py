# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions to the kernel that runs the tests: its generic netlink controller is in every Linux."""

from __future__ import annotations

import errno

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host.netlink import (
    Family,
    number,
    text,
)

CONTROLLER = ("nlctrl", 2)
GET_FAMILY = 3
ID, NAME = 1, 2


def test_the_kernel_answers_one_question_and_all():
    with Family(*CONTROLLER) as controller:
        answer = controller.ask(GET_FAMILY, {NAME: b"nlctrl\0"})
        answers = controller.dump(GET_FAMILY)
    assert (text(answer[NAME]), number(answer[ID])) == ("nlctrl", 0x10)
    assert answer[NAME] in [each[NAME] for each in answers]
    assert len(answers) > 1


def test_what_the_kernel_refuses_is_its_error():
    with Family(*CONTROLLER) as controller, pytest.raises(OSError) as caught:
        controller.ask(255, {})
    assert caught.value.errno == errno.EOPNOTSUPP
    # The next question is answered again.
    with Family(*CONTROLLER) as controller:
        assert controller.dump(GET_FAMILY)


def test_a_family_that_the_kernel_has_not_is_no_file():
    with pytest.raises(FileNotFoundError):
        Family("no-such-family", 1)
