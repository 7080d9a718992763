# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether other hosts have a file, by the file system that it is on."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._host.mounts import (
    file_system_of,
    is_shared,
)

MOUNTS = r"""22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:40 / /srv/nfs rw,relatime shared:9 - nfs4 store:/export rw
31 22 0:41 / /srv/two\040words rw,relatime - xfs /dev/vdb rw
32 22 0:42 / /lab ro,relatime - 9p lab rw
33 22 0:43 / /srv/nfs/scratch rw - tmpfs tmpfs rw
34 22 0:44 / /over rw - nfs4 store:/export rw
35 34 0:45 / /over rw - ext4 /dev/vdc rw
"""


@pytest.fixture
def mounts(tmp_path):
    (tmp_path / "mountinfo").write_text(MOUNTS)
    return str(tmp_path / "mountinfo")


@pytest.mark.parametrize(
    ("path", "shared"),
    [
        ("/var/lib/libvirt/images/a.qcow2", False),
        ("/srv/nfs/a.qcow2", True),
        ("/srv/nfs", True),
        ("/srv/nfs2/a.qcow2", False),
        ("/srv/nfs/scratch/a.qcow2", False),
        ("/srv/two words/a", False),
        ("/over/a", False),
        ("/lab/boot.img", None),
    ],
)
def test_a_file_is_shared_if_its_file_system_is(mounts, path, shared):
    assert is_shared(path, mounts) is shared


def test_a_link_is_where_it_leads_to(mounts, tmp_path):
    (tmp_path / "disk").symlink_to("/srv/nfs/a.qcow2")
    assert is_shared(str(tmp_path / "disk"), mounts) is True


def test_where_the_kernel_does_not_say_nothing_is_known(tmp_path):
    assert is_shared("/a", str(tmp_path / "none")) is None


def test_the_kernels_own_file_system_is_found_here():
    assert file_system_of("/proc/version") == "proc"
