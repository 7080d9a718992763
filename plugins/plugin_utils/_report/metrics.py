# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The report's numbers as a Prometheus text file, for the textfile collector of node_exporter. Pure.

The format is that of Prometheus' documentation, "Text-based format" 0.0.4. Hosts have no say in any label.
"""

from __future__ import annotations

import typing as t
from collections import Counter

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.age import seconds
from ansible_collections.vfio.migration.plugins.plugin_utils._report.causes import cause_in

# Numbers with the labels of each.
_Samples = t.Sequence[tuple[t.Mapping[str, str], int]]


def as_metrics(report: contract.Report) -> str:
    """Return the numbers of ``report``, each metric with its help; those of guests only where there is a plan."""
    return "".join(_lines(*metric) for metric in _metrics(report))


def _metrics(report: contract.Report) -> t.Iterator[tuple[str, str, _Samples]]:
    totals = report["totals"]
    yield (
        "hosts",
        "Hosts, by whether their facts are usable.",
        [({"facts": "usable"}, totals["hosts"]), ({"facts": "unknown"}, totals["unknown"])],
    )
    yield "devices", "VFIO and vDPA devices.", [({}, totals["devices"])]
    unknown = totals["holder_unknown"]
    yield (
        "devices_in_use",
        "Devices that a process holds, or of which it is unknown whether one does.",
        [({"holder": "known"}, totals["in_use"] - unknown), ({"holder": "unknown"}, unknown)],
    )
    yield (
        "devices_excluded",
        "Devices that can neither migrate nor receive a migration.",
        [({}, totals["excluded"])],
    )
    yield (
        "devices_movable",
        "Devices that could go to another host now, each by itself.",
        [({}, totals["reachable"])],
    )
    yield "problems", "Problems that hosts have reported.", [({}, totals["problems"])]
    oldest = seconds(report["facts"]["oldest"])
    if oldest is not None:
        yield (
            "facts_oldest_timestamp_seconds",
            "When the oldest facts were gathered, by the clock of their host.",
            [({}, int(oldest))],
        )
    headroom = report.get("headroom")
    if headroom is not None:
        for what in ("hosts", "failure_domains"):
            counts = headroom["hosts"] if what == "hosts" else headroom["failure_domains"]
            yield (
                f"headroom_{what}",
                f"{what.replace('_', ' ').capitalize()} by whether they can be drained or can fail, each by itself.",
                [({"status": status}, count) for status, count in _statuses(counts)],
            )
        yield (
            "headroom_blocked_guests",
            "Guests and single devices that have no place elsewhere when their host is drained, by the code of the reason.",
            [({"cause": code}, count) for code, count in sorted(_blocked(headroom).items())],
        )
    last_run = report.get("last_run")
    began = None if last_run is None else seconds(last_run["run"])
    if last_run is not None and began is not None:
        yield (
            "last_run_timestamp_seconds",
            "When the last run began that moved guests, by the clock of the control node.",
            [({}, int(began))],
        )
        yield (
            "last_run_guests",
            "Guests of the last run, by outcome.",
            [
                ({"outcome": "moved"}, last_run["moved"]),
                ({"outcome": "stayed"}, last_run["stayed"]),
                ({"outcome": "not_tried"}, last_run["not_tried"]),
                ({"outcome": "unknown"}, last_run["unknown"]),
            ],
        )
    plan = report["plan"]
    if plan is not None:
        moves = sum(1 for each in plan["guests"] if each["to"] is not None)
        yield (
            "plan_guests",
            "Guests and single devices of the plan, by whether they have a place.",
            [({"place": "yes"}, moves), ({"place": "no"}, len(plan["guests"]) - moves)],
        )
        yield (
            "plan_blocked_guests",
            "Guests and single devices of the plan that stay, by the code of the reason.",
            [({"cause": code}, count) for code, count in sorted(_staying(plan).items())],
        )


def _staying(plan: contract.PlanSection) -> Counter[str]:
    return Counter(each["code"] for each in plan["guests"] if each["code"] is not None)


def _blocked(headroom: contract.Headroom) -> Counter[str]:
    """Count the guests that keep hosts from being emptied; only the first causes say why, the others are ``more``."""
    counts: Counter[str] = Counter()
    for cause in headroom["causes"]:
        code = cause_in(cause["unplaced"][0], "").code if cause["unplaced"] else "more"
        hosts = [each for each in cause["subjects"] if not each["failure_domain"]]
        counts[code] += sum(len(each["guests"]) for each in hosts)
    return +counts


def _statuses(counts: contract.HeadroomCounts) -> t.Iterator[tuple[str, int]]:
    yield "emptied", counts["emptied"]
    yield "infeasible", counts["infeasible"]
    yield "unproven", counts["unproven"]


def _lines(name: str, description: str, samples: _Samples) -> str:
    """Return a metric; without samples, nothing."""
    if not samples:
        return ""
    name = f"vfio_migration_{name}"
    head = f"# HELP {name} {description}\n# TYPE {name} gauge\n"
    return head + "".join(f"{name}{_labels(labels)} {value}\n" for labels, value in samples)


def _labels(labels: t.Mapping[str, str]) -> str:
    pairs = [f'{name}="{value}"' for name, value in labels.items()]
    return f"{{{','.join(pairs)}}}" if pairs else ""
