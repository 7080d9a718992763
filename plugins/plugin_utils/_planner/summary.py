# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A plan in sentences, for who carries it out. Pure."""

from __future__ import annotations

import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import printable
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import (
    AS_ROOT,
    counted,
    listed,
    plural,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.network import given_to
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import NOT_HELD
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import (
    CaseProof,
    Paragraph,
    Placement,
    Plan,
    Sentence,
    StayingDevice,
    Unplaced,
    UnplacedReason,
)

# Of more devices that stay for one reason, only the first are named.
MAX_IDS = 4
# So many sentences of each kind are shown, and so many reasons and characters in each; the plan and the report have all.
MAX_SENTENCES = 40
MAX_REASONS = 5
MAX_LINE = 1000
# So many proofs by cases are shown, and so many steps of each.
MAX_PROOFS = 3
MAX_STEPS = 12


class Summary(t.TypedDict):
    """What a plan does, and what keeps it from moving all; the latter is ``None`` where all move."""

    sentences: list[Sentence]
    obstacles: Paragraph | None


def summarize(plan: Plan, left_out: t.Mapping[str, str]) -> Summary:
    """Return what ``plan`` does; ``left_out`` are hosts whose facts could not be gathered, each with the error."""
    placements, unplaced = plan["placements"], plan["unplaced"]
    last_wave = max((each.get("wave", 1) for each in placements), default=1)
    nothing = [] if placements or unplaced else ["there is nothing to move"]
    return Summary(
        sentences=[
            *first_of([_move(each, last_wave > 1) for each in placements], "move"),
            *nothing,
            *_turns(plan),
            *first_of(
                [
                    f"{host} is lost: what it had is known as of {time or 'an unknown time'}"
                    for host, time in plan["request"].get("lost", {}).items()
                ],
                "host is lost",
                "hosts are lost",
            ),
            *first_of(
                [f"{host} is excluded: {error}" for host, error in left_out.items()],
                "host is excluded",
                "hosts are excluded",
            ),
            *first_of(
                [
                    f"{host} was not examined: it has no usable facts"
                    for host in plan["unknown"]
                    if host not in left_out
                ],
                "host was not examined",
                "hosts were not examined",
            ),
            *first_of(
                [
                    f"{each['vm'] or each['source']['id']} on {each['source']['host']} was planned again:"
                    f" {each['reason']}"
                    for each in plan["changes"]
                ],
                "guest was planned again",
                "guests were planned again",
            ),
            *_once(
                first_of([_stays(each) for each in unplaced], "device stays", "devices stay"),
                unplaced,
            ),
            *first_of([*_staying(plan.get("staying", ()))], "reason for devices to stay"),
        ],
        obstacles=_obstacles(plan) if unplaced else None,
    )


def _turns(plan: Plan) -> list[str]:
    """Return how many turns the moves take, where only so many guests may move at a time."""
    if not any("turn" in each for each in plan["placements"]):
        return []
    # Ansible compiles in each run what is imported: few plans have turns.
    from ansible_collections.vfio.migration.plugins.plugin_utils._planner.turns import (
        turns_in_words,
    )

    return first_of(turns_in_words(plan), "wave")


def first_of(sentences: t.Sequence[str], noun: str, several: str | None = None) -> list[str]:
    """Return the first sentences of a kind, cut to a length, and how many more there are."""
    shown = [printable(each, MAX_LINE) for each in sentences[:MAX_SENTENCES]]
    more = len(sentences) - MAX_SENTENCES
    if more > 0:
        shown.append(f"and {more:,} more: {noun if more == 1 else several or plural(noun)}")
    return shown


def _stays(each: Unplaced) -> str:
    reasons = [reason["reason"] for reason in each["reasons"][:MAX_REASONS]]
    more = len(each["reasons"]) - MAX_REASONS
    reasons += [f"and {counted(more, 'more reason')}"] if more > 0 else []
    return (
        f"{_guest(each)}{each['source']['host']} {each['source']['id']} stays: {'; '.join(reasons)}"
    )


def _staying(devices: t.Iterable[StayingDevice]) -> t.Iterator[str]:
    """Yield a sentence for the devices of each host that stay as they are for one reason."""
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in devices:
        alike[each["host"], each["reason"]].append(each["id"])
    for (host, reason), ids in alike.items():
        more = f" and {len(ids) - MAX_IDS} more" if len(ids) > MAX_IDS else ""
        stay = "stays as it is" if len(ids) == 1 else "stay as they are"
        why = reason if reason.startswith(NOT_HELD) else f"{NOT_HELD}, and {reason}"
        yield f"{host} {', '.join(ids[:MAX_IDS])}{more}: {stay}: {why}"


def _move(placement: Placement, in_waves: bool) -> str:
    source, target = placement["source"], placement["target"]
    what = f"{'a new' if target['create'] else 'an existing'} {target['type']}"
    under = f" under {target['parent']}" if target["parent"] else ""
    values = "".join(f", {each}" for each in given_to(target))
    wave = f", in wave {placement['wave']}" if in_waves else ""
    return (
        f"{_guest(placement)}{source['host']} {source['id']} -> {target['host']} {target['id']},"
        f" {what}{under}{values}{wave}"
    )


def _obstacles(plan: Plan) -> str:
    lines = [f"Not everything can move; the plan is {plan['status']}."]
    lines += [f"It is unproven that it cannot: {each}." for each in plan.get("assumptions", ())]
    for proof in plan.get("cases", [])[:MAX_PROOFS]:
        lines += _steps(proof)
    unplaced = plan["unplaced"]
    seen: set[tuple[str, ...]] = set()
    shown = 0
    for each in unplaced:
        reasons = tuple(map(_reason, each["reasons"]))
        # Reasons that many have in common are shown for the first of them.
        if reasons in seen and len(unplaced) > MAX_IDS:
            continue
        if len(seen) == MAX_IDS:
            break
        seen.add(reasons)
        shown += 1
        guest = f" of {each['vm']}" if each["vm"] else ""
        lines.append(f"{each['source']['id']} on {each['source']['host']}{guest} has no place:")
        lines += [f"  {reason}" for reason in reasons[:MAX_REASONS]]
        if (more := len(reasons) - MAX_REASONS) > 0:
            lines.append(f"  and {counted(more, 'more reason')}")
    if (more := len(unplaced) - shown) > 0:
        lines.append(f"No place for {counted(more, 'more device')}, for these or other reasons.")
    lines = [printable(each, MAX_LINE) for each in lines]
    return "\n".join(_once(lines, unplaced, plan.get("assumptions", ())))


def _steps(proof: CaseProof) -> list[str]:
    """Return the steps of a proof by cases, a line for each."""
    steps = proof["steps"]
    lines = [f"{proof['sentence']}, step by step:"]
    lines += [f"  {n}. {each['sentence']}" for n, each in enumerate(steps[:MAX_STEPS], 1)]
    if (more := len(steps) - MAX_STEPS) > 0:
        lines.append(f"  and {counted(more, 'more step')} in the plan's 'cases'")
    return lines


def _once(
    lines: list[str], unplaced: t.Iterable[Unplaced], assumptions: t.Iterable[str] = ()
) -> list[str]:
    """Return ``lines`` with the hint that several of them give on unknown holders given once, for the hosts."""
    hint = f"; {AS_ROOT}"
    if sum(line.count(hint) for line in lines) < 2:
        return lines
    # An assumption does not name its hosts.
    hosts = [] if any(hint in each for each in assumptions) else _perhaps_held_on(unplaced)
    facts = f"the facts of {listed(hosts)}" if hosts else "the facts"
    last = f"Gather {facts} as root, which shows what processes hold."
    return [*(line.replace(hint, "") for line in lines), printable(last, MAX_LINE)]


def _perhaps_held_on(unplaced: t.Iterable[Unplaced]) -> list[str]:
    """Return the hosts of which it is unknown what processes hold; none where a reason names one of them and counts the others."""
    reasons = [
        reason
        for each in unplaced
        for reason in each["reasons"]
        if reason["code"] == "holder_unknown"
    ]
    if any(reason.get("alike") for reason in reasons):
        return []
    return sorted({reason["host"] for reason in reasons if reason["host"] is not None})


def _reason(reason: UnplacedReason) -> str:
    where = f"{reason['host']}: " if reason["host"] else ""
    alike = reason.get("alike")
    further = f" (and so on {alike} further hosts)" if alike else ""
    return f"{where}{reason['reason']}{further}"


def _guest(entry: Placement | Unplaced) -> str:
    return f"{entry['vm']}: " if entry["vm"] else ""
