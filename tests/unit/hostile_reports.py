# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet of which everything that can be a text tries to be a script."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, gvt, host, parent

# In short, as a descriptor's value is limited. Sets what a test can see.
HOSTILE = (
    "\"'><!--</title></script><script>window.ran=1</script><img src=x onerror=window.ran=1>"
    "<svg/onload=window.ran=1>`${window.ran=1}`&lt;{{ 7*7 }}"
)
SEPARATED = HOSTILE + "\u2028\u2029"


def hostile_fleet() -> dict[str, t.Any]:
    """Draw hosts of which the first is to be emptied; some of its devices can leave it, and some cannot."""
    own = gvt() | {"compatible": [gvt()["self"] | {"remote_url": HOSTILE}]}
    facts = host(
        [
            device(UUIDS[0], gvt(), vm=f"vm{SEPARATED}", pid=1),
            device(UUIDS[1], own, vm=f"other{SEPARATED}", pid=2),
            device(
                f"2{SEPARATED}",
                gvt(remote_url=HOSTILE),
                migration={
                    "supported": False,
                    "evidence": SEPARATED,
                    "features": [],
                    "state": None,
                },
            ),
            device(
                f"3{SEPARATED}",
                {**gvt(type=HOSTILE), "compatible": [gvt()["self"] | {"type": HOSTILE}]},
            ),
        ],
        [parent(f"p{SEPARATED}", driver=SEPARATED, available={HOSTILE: 0})],
        [{"path": SEPARATED, "problem": SEPARATED}],
    )
    target = host(
        [device(f"4{SEPARATED}", gvt(remote_url=HOSTILE), vm=SEPARATED, pid=3)],
        [parent(f"q{SEPARATED}", driver=SEPARATED, available={"i915-GVTg_V5_4": 4, HOSTILE: 2})],
    )
    return {f"a{SEPARATED}": facts, f"b{SEPARATED}": target, f"c{SEPARATED}": {"schema": HOSTILE}}
