# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Which plans this very run has made, so that a report need not plan once more to see that what they say is so.

Each task is a process of its own. What they share is the private directory that ansible-core makes for a run and removes
after it: there an empty file is named for the digest of a plan and of all facts that it was made of. Another plan, or the
same one with other facts, has another digest. Only the user who runs Ansible can write there.
"""

from __future__ import annotations

import hashlib
import json
import os
import typing as t

from ansible import constants

# What is true of the occasion on which a plan was made; see ``plan_file.stamped``.
_OCCASION = ("time", "collection", "requested_by")


def digest_of(
    plan: t.Mapping[str, t.Any], facts: t.Mapping[str, t.Any], unknown: t.Sequence[str]
) -> str | None:
    """Return what names a ``plan`` and the ``facts`` by host that it was made of; ``None`` where they are no JSON."""
    body = {name: value for name, value in plan.items() if name not in _OCCASION}
    digest = hashlib.sha256()
    try:
        for part in (body, unknown, *([host, facts[host]] for host in sorted(facts))):
            text = json.dumps(part, sort_keys=True, separators=(",", ":"))
            digest.update(f"{len(text)}:{text}".encode())
    except (RecursionError, TypeError, ValueError):
        return None
    return digest.hexdigest()


def remember(digest: str | None) -> None:
    """Note that this run has made the plan with this ``digest``; where that cannot be noted, it is planned once more."""
    if digest is not None:
        try:
            os.close(os.open(_place(digest), os.O_WRONLY | os.O_CREAT, 0o600))
        except OSError:
            return


def is_own(
    plan: t.Mapping[str, t.Any], facts: t.Mapping[str, t.Any], unknown: t.Sequence[str]
) -> bool:
    """Return whether this run has made ``plan`` of these ``facts`` by host."""
    digest = digest_of(plan, facts, unknown)
    return digest is not None and os.path.isfile(_place(digest))


def _place(digest: str) -> str:
    settings: t.Any = constants
    return os.path.join(settings.DEFAULT_LOCAL_TMP, f"vfio-migration-plan-{digest}")
