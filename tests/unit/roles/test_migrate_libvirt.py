# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role migrate_libvirt with those that it uses and their filters, run by Ansible on two simulated hosts.

That guests really move is tried on the lab.
"""

from __future__ import annotations

import json

from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS
from ansible_collections.vfio.migration.tests.unit.simulated_fleet import Fleet, shown

OLD, BROKEN = "vm-old", "vm-broken"
TOO_OLD = (
    "QEMU 10.0.2 cannot migrate a VFIO device behind a virtual IOMMU;"
    " take <iommu> out of the domain and restart it, or update QEMU to 11.0.0"
)


def test_guests_move_fail_and_stay_whatever_their_names_are(tmp_path):
    # A guest's name is no program, for no version of Ansible.
    program = f"{{{{ lookup('ansible.builtin.pipe', 'touch {tmp_path}/canary') }}}}"
    hostile, error = f"vm {program} [1]", f"error: {program}"
    guests = {
        hostile: {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]},
        OLD: {
            "host": "a",
            "uuid": UUIDS[6],
            "device": UUIDS[2],
            "xml": "<iommu model='intel'/>",
        },
        BROKEN: {"host": "b", "uuid": UUIDS[7], "device": UUIDS[3], "error": error},
    }
    fleet = Fleet(tmp_path, "ab", guests)
    # What an operator gives is a template unless it is marked.
    options = "".join(f"\n- !unsafe {json.dumps(guest)}" for guest in guests)
    ended = fleet.play(
        "vfio.migration.migrate_libvirt", extra=f"migrate_libvirt_guests:{options}\n"
    )

    said = ended.stdout + ended.stderr
    assert shown(said, "Show what became of them") == [
        f"{hostile} has moved from a to b",
        f"{OLD} stays on a:",
        f"  {TOO_OLD}",
        f"{BROKEN} stays on b:",
        f"  virsh: {error}",
        "  the guest on b is running (unpaused)",
        "  the kernel on a: [2.5] it {{ refuses }}",
    ]
    assert f"for the reasons shown before: {OLD}, {BROKEN}; mend that" in said
    assert ended.returncode == 2
    assert not (tmp_path / "canary").exists()
    assert fleet.guests() == {hostile: "b", OLD: "a", BROKEN: "b"}
    # What the guest has left is removed, and what was made for the one that has not moved.
    assert fleet.holders("a") == [OLD]
    assert fleet.holders("b") == sorted([BROKEN, hostile])
