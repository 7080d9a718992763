# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import verdict
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    descriptor_argument,
    direction_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Verdict

DOCUMENTATION = r"""
name: compatibility
short_description: Give the verdict on a device migrating to another
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Compares the descriptors of two devices by the rules of the 2020 proposal and returns a verdict with its reasons.
extends_documentation_fragment:
  - vfio.migration._fleet
options:
  _input:
    description: The source's descriptor, a dictionary with C(self) and C(compatible).
    type: dict
    required: true
  target:
    description: The target's descriptor, a dictionary with C(self) and C(compatible).
    type: dict
    required: true
positional: _input, target, direction
seealso:
  - plugin: vfio.migration.compatible_with
    plugin_type: test
  - plugin: vfio.migration.explain
    plugin_type: filter
  - name: JSON Schema
    description: The exact structure of verdicts, for programs.
    link: https://github.com/vfio-migration/vfio.migration/blob/main/docs/schemas/verdict.json
  - ref: ansible_collections.vfio.migration.docsite.verdict_guide
    description: The rules of verdicts, and their limits.
"""

EXAMPLES = r"""
- name: Explain why the device of one host may not go to that of another
  ansible.builtin.debug:
    msg: "{{ (source | vfio.migration.compatibility(target)).reasons }}"
  vars:
    source:
      self: {software_version: 0.1.0, device_api: vfio-pci, type: i915-GVTg_V5_4, pci_id: "80865963", aggregator: "2"}
      compatible:
        - {device_api: vfio-pci, type: "i915-GVTg_V5_{val1:int:1,2,4,8}", pci_id: "80865963", aggregator: "{val1}/2"}
    target:
      self: {software_version: 0.1.0, device_api: vfio-pci, type: i915-GVTg_V5_8, pci_id: 8086591d, aggregator: "4"}
      compatible: []
  # [{"set": 0, "attribute": "pci_id", "rule": "equal", "expected": "80865963", "actual": "8086591d"}]
"""

RETURN = r"""
_value:
  description: The verdict.
  type: dict
  contains:
    compatible:
      description: Whether the device can migrate from the source to the target.
      type: bool
    direction:
      description: Whose list decided.
      type: str
    direction_conflict:
      description: Whether the lists of the source and the target give different answers.
      type: bool
    certainty:
      description:
        - How certain the verdict is.
        - V(declared) if both drivers state a descriptor. V(derived) if a descriptor was derived from what the kernel shows.
        - V(assumed) if some values that an emulator or a driver compares are unknown. For devices that are not compatible, V(assumed) means that no document
          states that a driver refuses their differences.
        - V(provisional) if the target does not exist yet.
      type: str
    set:
      description: The index of the matching set. V(null) if none matches.
      type: int
    bindings:
      description: The variables of the matching set and their values.
      type: dict
    reasons:
      description:
        - The reasons why the device cannot migrate. Empty if it can. The reasons of the set with the fewest reasons come first.
        - Each has C(set), which is the index of the set or V(null) if the reason is not about a set, C(attribute), C(rule), C(expected) and C(actual).
        - The rules are V(present), V(equal), V(one_of), V(expression), V(version_major), V(version_minor), V(order), V(void_set), V(no_descriptor)
          and V(configuration).
      type: list
      elements: dict
    warnings:
      description:
        - What the verdict assumes. For drivers that state no descriptor, also the requirements of their vendors that sysfs does not show, with the document
          that states them.
      type: list
      elements: str
"""


@as_filter("compatibility")
def compatibility(source: t.Any, target: t.Any, direction: str = "source_lists") -> Verdict:
    return verdict(
        descriptor_argument("the source", source),
        descriptor_argument("the target", target),
        direction_of(direction),
    )


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"compatibility": compatibility}
