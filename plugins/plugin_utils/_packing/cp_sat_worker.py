# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Solve a linear programme in integers with OR-Tools' CP-SAT: JSON on standard input, JSON on standard output.

This is a program for a process of its own, where OR-Tools can neither disturb what else is loaded nor take it along
when it fails. ``mip_model`` describes what it reads and writes.
"""

from __future__ import annotations

import json
import sys
import typing as t

_SEED = 20200819


def solve(programme: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the best values found, and how many of the objectives, from the first, are known to be at their best."""
    from ortools.sat.python import cp_model  # type: ignore[import-not-found,unused-ignore]

    # Some of its methods have no annotations.
    model: t.Any = cp_model.CpModel()
    variables = [model.new_int_var(0, most, "") for most in programme["most"]]

    def total(terms: list[list[int]]) -> t.Any:
        return cp_model.LinearExpr.weighted_sum(
            [variables[number] for number, factor in terms], [factor for number, factor in terms]
        )

    for least, most, terms in programme["constraints"]:
        model.add_linear_constraint(total(terms), least, most)
    values, proven, effort = programme["start"], 0, programme["effort"]
    for place, terms in enumerate(programme["objectives"]):
        model.clear_hints()
        for variable, value in zip(variables, values, strict=True):
            model.add_hint(variable, value)
        model.minimize(total(terms))
        solver = cp_model.CpSolver()
        # One worker and a limit that is no time: the same input gives the same output.
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = _SEED
        solver.parameters.max_deterministic_time = effort
        status = solver.solve(model)
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            break
        values = [solver.value(variable) for variable in variables]
        if status == cp_model.OPTIMAL and proven == place:
            proven += 1
        effort -= solver.response_proto.deterministic_time
        if effort <= 0:
            break
        model.add(total(terms) <= sum(factor * values[number] for number, factor in terms))
    return {"values": values, "proven": proven}


if __name__ == "__main__":
    json.dump(solve(json.load(sys.stdin)), sys.stdout)
