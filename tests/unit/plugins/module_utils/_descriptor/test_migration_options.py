# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator adds to a migration, in virsh's words."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.migration_options import (
    MigrationOptionError,
    read_options,
)


def test_options_become_flags_and_parameters_of_libvirt():
    found = read_options(
        ["--auto-converge", "--bandwidth", "100", "--parallel-connections=4", "parallel", "--tls"]
        + ["--migrate-disks", "vda,vdb", "--listen-address", "::", "--tls"]
    )
    assert found.flags == ("AUTO_CONVERGE", "PARALLEL", "TLS")
    assert found.parameters == {
        "bandwidth": 100,
        "parallel.connections": 4,
        "migrate_disks": ["vda", "vdb"],
        "listen_address": "::",
    }


def test_nothing_is_nothing():
    assert read_options([]).flags == ()
    assert read_options([]).parameters == {}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--postcopy"], "QEMU cannot migrate a VFIO device with post-copy"),
        (["postcopy-bandwidth", "1"], "QEMU cannot migrate a VFIO device with post-copy"),
        (
            ["--bandwith", "1"],
            "the options have '--bandwith'; expected options of virsh migrate, of these:",
        ),
        (["--bandwidth", "much"], "the option --bandwidth is 'much'; expected a number"),
        (["--bandwidth", "-1"], "the option --bandwidth is '-1'; expected a number"),
        (["--bandwidth"], "the option --bandwidth needs a value"),
        (["--tls=yes"], "the option --tls has no value; it is '--tls=yes'"),
        (["--timeout", "5"], "has an option of its own for"),
        (["--desturi=x"], "has an option of its own for"),
        (["--undefinesource"], "which the collection sets itself"),
        ([""], "have ''; expected options of virsh migrate"),
    ],
)
def test_what_is_no_option_is_refused_with_what_would_be_right(words, error):
    with pytest.raises(MigrationOptionError, match=error):
        read_options(words)
