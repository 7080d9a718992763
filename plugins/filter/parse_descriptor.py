# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    decode,
    normalise,
    parse_sets,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import as_filter

DOCUMENTATION = r"""
name: parse_descriptor
short_description: Read the text of a descriptor's self or compatible
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Reads the text of C(migration/self) or C(migration/compatible) in its multi-line form (proposal 2 of the 2020 proposal)
    into normalised attribute sets.
  - Sets are separated by blank lines or by lines C(COMPATIBLE:).
options:
  _input:
    description: The text, C(name=value) line by line.
    type: str
    required: true
seealso:
  - plugin: vfio.migration.compatibility
    plugin_type: filter
  - ref: ansible_collections.vfio.migration.docsite.verdict_guide
    description: The rules of verdicts, and their limits.
"""

EXAMPLES = r"""
- name: Show what a driver is compatible with
  ansible.builtin.debug:
    msg: "{{ text | vfio.migration.parse_descriptor }}"
  vars:
    text: |
      software_version=0.1.0
      device_api=vfio_pci
      type=i915-GVTg_V5_{val1:int:1,2,4,8}
      pci_id=80865963
      aggregator={val1}/2
  # [{"aggregator": "{val1}/2", "device_api": "vfio-pci", "pci_id": "80865963",
  #   "software_version": "0.1.0", "type": "i915-GVTg_V5_{val1:int:1,2,4,8}"}]
"""

RETURN = r"""
_value:
  description:
    - The attribute sets, in the order of the text. Names and spellings are those of the proposal. All values are text.
    - The filter fails if the text breaks a rule of the form. The error names the line or attribute.
  type: list
  elements: dict
"""


@as_filter("parse_descriptor")
def parse_descriptor(text: t.Any) -> list[dict[str, str]]:
    if not isinstance(text, str):
        raise FleetError(f"the input is {type(text).__name__}; expected text")
    raw = text.encode("utf-8", "surrogatepass")
    return [normalise(pairs) for pairs in parse_sets(decode(raw))]


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"parse_descriptor": parse_descriptor}
