# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""Planning from arguments as a play gives them: what the filter and the action have in common."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import DIRECTIONS
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import (
    facts_of,
    read_fleet,
    uncollected,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.plan_document import (
    Progress,
    make_plan,
    no_progress,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.previous_plan import (
    PreviousPlan,
    asked,
    asked_before,
    digests,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    POLICIES,
    Request,
    requested,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify import (
    Conditions,
    violations,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    avoided,
    direction_of,
    flag,
    groups,
    limited,
    listed,
    names,
    one_of,
)


@uncollected()
def plan_for(
    fleet: t.Any,
    drain: t.Any = None,
    sources: t.Any = None,
    hosts: t.Any = None,
    targets: t.Any = None,
    direction: str | None = None,
    policy: str | None = None,
    avoid: t.Any = None,
    limit: t.Any = None,
    apart: t.Any = None,
    numa_local: bool | None = None,
    keep_kind: bool | None = None,
    keep_type: bool | None = None,
    round_trip: bool | None = None,
    reuse: bool | None = None,
    earlier: t.Any = None,
    tell: Progress = no_progress,
) -> dict[str, t.Any]:
    """A verified plan; the arguments are those of the filter ``migration_plan``. Raises ``FleetError``.

    ``tell`` is told from time to time, in words, how far it is.
    """
    given = {
        "direction": direction,
        "policy": policy,
        "limit": limit,
        "apart": apart,
        "numa_local": numa_local,
        "keep_kind": keep_kind,
        "keep_type": keep_type,
        "round_trip": round_trip,
        "reuse": reuse,
    }
    otherwise = {"direction": DIRECTIONS[0], "policy": POLICIES[0]}
    if earlier is not None:
        otherwise.update(asked_before(earlier))
    wish: dict[str, t.Any] = {
        name: otherwise.get(name) if value is None else value for name, value in given.items()
    }
    tell("reading the facts")
    chosen = names("hosts", hosts)
    facts = {name: facts_of(fleet, name) for name in (fleet if chosen is None else chosen)}
    read = read_fleet(facts)
    drained = names("drain", drain)
    wanted = names("targets", targets)
    receiving = set(read.hosts if wanted is None else wanted).difference(drained or ())
    request = Request(
        guests=requested(read, drained, listed("sources", sources)),
        targets=[name for name in read.hosts if name in receiving],
        direction=direction_of(wish["direction"]),
        policy=one_of("policy", wish["policy"], POLICIES),
        avoid=avoided(avoid),
        limit=limited(wish["limit"]),
        apart=groups("apart", wish["apart"]),
        numa_local=flag("numa_local", wish["numa_local"]),
        keep_kind=flag("keep_kind", wish["keep_kind"]),
        keep_type=flag("keep_type", wish["keep_type"]),
        round_trip=flag("round_trip", wish["round_trip"]),
        reuse=flag("reuse", wish["reuse"]),
    )
    known = {name: facts[name] for name in read.hosts}
    kept = PreviousPlan(earlier, request, known) if earlier is not None else None
    changes = kept.changes if kept else []
    plan = make_plan(read, kept.request if kept else request, tell=tell)
    if kept and kept.request.kept and plan["unplaced"]:
        anew = make_plan(read, request, tell=tell)
        if len(anew["unplaced"]) < len(plan["unplaced"]):
            # What stays was in the way of the rest.
            plan, changes, kept = anew, kept.given_up, None
        else:
            # What is proven of every plan is so of this one.
            plan |= {key: anew[key] for key in ("status", "shortage")}
    conditions = Conditions(
        drain=drained or (),
        targets=wanted,
        avoid=request.avoid,
        limit=request.limit,
        apart=request.apart,
        numa_local=request.numa_local,
        keep_kind=request.keep_kind,
        keep_type=request.keep_type,
        round_trip=request.round_trip,
    )
    tell("verifying the plan")
    broken = violations(plan, known, conditions)
    if broken and kept and kept.request.kept:
        raise FleetError(f"the earlier plan does not hold: {'; '.join(broken)}")
    if broken:
        raise RuntimeError(
            f"the plan breaks its own rules, please report this: {'; '.join(broken)}"
        )
    return plan | {
        "changes": changes,
        "conditions": asked(request),
        "relied_on": digests(plan, known),
    }
