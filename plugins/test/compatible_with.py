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

DOCUMENTATION = r"""
name: compatible_with
short_description: Whether a device can migrate to another
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - True where the verdict of P(vfio.migration.compatibility#filter) is that the device can migrate.
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
  - plugin: vfio.migration.compatibility
    plugin_type: filter
  - ref: ansible_collections.vfio.migration.docsite.verdict_guide
    description: The rules of verdicts, and their limits.
"""

EXAMPLES = r"""
- name: Stop where the target's device cannot take over
  ansible.builtin.assert:
    that: source is vfio.migration.compatible_with(target)
  vars:
    source:
      self: {software_version: 1.0.0, device_api: vfio-ccw, type: vfio_ccw-io, subchannel_type: "0"}
      compatible:
        - {device_api: vfio-ccw, type: vfio_ccw-io, subchannel_type: "0"}
    target:
      self: {software_version: 1.1.0, device_api: vfio-ccw, type: vfio_ccw-io, subchannel_type: "0"}
      compatible: []
"""

RETURN = r"""
_value:
  description: Whether the device can migrate from the source to the target.
  type: bool
"""


@as_filter("compatible_with")
def compatible_with(source: t.Any, target: t.Any, direction: str = "source_lists") -> bool:
    given = verdict(
        descriptor_argument("the source", source),
        descriptor_argument("the target", target),
        direction_of(direction),
    )
    return bool(given["compatible"])


class TestModule:
    """Tests of vfio.migration"""

    def tests(self) -> dict[str, t.Callable[..., bool]]:
        return {"compatible_with": compatible_with}
