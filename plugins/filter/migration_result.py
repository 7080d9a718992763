# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import flag, listed
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.outcome import (
    Attempt,
    Result,
    result,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    expected,
    plain,
)

DOCUMENTATION = r"""
name: migration_result
short_description: Report which guests of libvirt have migrated, and which not
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Reports which guests have moved, by who holds which device, which have not and why, and what else an operator has to see to.
  - The role P(vfio.migration.migrate_libvirt#role) ends with it.
options:
  _input:
    description: RV(vfio.migration.migrate_libvirt_step#module:checks).
    type: dict
    required: true
  migrations:
    description: What P(vfio.migration.libvirt_order#filter) returns.
    type: dict
    required: true
  attempts:
    description:
      - The migrations that were tried, each with C(vm) and C(host), C(said), a list of what went wrong, and C(states), what
        P(vfio.migration.placement_states#filter) returns after it.
      - If QEMU called it a success, also C(log), QEMU's log on the target.
    type: list
    elements: dict
    required: true
  unplaced:
    description: C(unplaced) of the plan.
    type: list
    elements: dict
  problems:
    description: What else went wrong, sentences.
    type: list
    elements: str
  check_mode:
    description: Whether nothing was to be tried.
    type: bool
    default: false
positional: _input, migrations, attempts, unplaced, problems, check_mode
seealso:
  - plugin: vfio.migration.placement_states
    plugin_type: filter
  - ref: ansible_collections.vfio.migration.docsite.migration_guide
    description: The checks before guests migrate, and how to migrate them.
"""

EXAMPLES = r"""
- name: Show which guests have moved
  hosts: localhost
  gather_facts: false
  tasks:
    # After the playbook migrate_libvirt, which leaves the variables on localhost. Nothing was tried here, so there are no attempts.
    - name: Show the outcome
      ansible.builtin.debug:
        msg: "{{ (checks | vfio.migration.migration_result(ordered, [], prepare_plan.unplaced, [], true)).sentences }}"
      vars:
        checks: "{{ migrate_libvirt_run.checks }}"
        ordered: "{{ checks.chosen | vfio.migration.libvirt_order(prepare_plan) }}"
"""

RETURN = r"""
_value:
  description: The outcome of the run.
  type: dict
  contains:
    stay:
      description: The guests that have not moved. Each has C(vm), C(host), and C(said), which is a list of reasons.
      type: list
      elements: dict
    sentences:
      description: Sentences on the outcome for each guest, and on what was left out, as text for people.
      type: list
      elements: str
    failure:
      description: A sentence on what failed. V(null) if nothing did.
      type: str
"""


@as_filter("migration_result")
def migration_result(
    checks: t.Any,
    migrations: t.Any,
    attempts: t.Any,
    unplaced: t.Any = None,
    problems: t.Any = None,
    check_mode: t.Any = False,
) -> Result:
    with expected("the list of attempts", "what was tried, with vm, host, said and states"):
        tried = [_attempt(each) for each in plain(listed("attempts", attempts) or [])]
    with expected(
        "what the checks come to", "the checks of migrate_libvirt and what libvirt_order returns"
    ):
        return result(
            plain(checks),
            plain(migrations),
            plain(listed("unplaced", unplaced) or []),
            tried,
            plain(listed("problems", problems) or []),
            flag("check_mode", check_mode),
        )


def _attempt(data: dict[str, t.Any]) -> Attempt:
    return Attempt(
        vm=data["vm"],
        host=data["host"],
        said=data["said"],
        states=data["states"],
        log=data.get("log") or "",
    )


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"migration_result": migration_result}
