# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moments that options say."""

from __future__ import annotations

import time

import pytest
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import moment, passed


@pytest.mark.parametrize("text", ["00:00", "4:30", "23:59"])
def test_a_time_of_day_is_the_next_one_on_this_node(text):
    found = moment("not_after", text)
    # Where summer time ends on that day, it has an hour more.
    assert time.time() < found <= time.time() + 25 * 3600
    hour, minute = map(int, text.split(":"))
    assert time.localtime(found)[3:5] == (hour, minute)


def test_a_time_in_full_is_that_time():
    assert moment("not_after", "2096-11-27T04:30:00Z") == 4004829000
    assert moment("not_after", "2096-11-27T04:30:00+01:00") == 4004829000 - 3600
    assert not passed(4004829000)


@pytest.mark.parametrize("text", ["24:00", "soon", "4:60", "", "12:00\n", 1234])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(FleetError, match=r"not_after is .*; expected a time of day"):
        moment("not_after", text)


def test_a_time_that_has_passed_is_refused():
    with pytest.raises(FleetError, match="which has passed"):
        moment("not_after", "2026-01-01T00:00:00Z")


def test_a_time_that_yaml_made_a_number_of_is_named_as_it_was_meant():
    for number in (1350, "1350"):
        with pytest.raises(FleetError, match="22:30 without quotes is this number to YAML"):
            moment("not_after", number)
