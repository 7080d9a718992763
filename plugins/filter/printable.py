# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import (
    printable as printable_module,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import (
    one_or_more,
    quoted,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Sentence

DOCUMENTATION = r"""
name: printable
short_description: Make text from hosts safe to print
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Returns a name or message that hosts have given as it can be shown in a loop's label or a message.
  - Each character that would steer a terminal, hide, or change the direction of text becomes an escape, such as V(\\x1b) or V(\\u202e).
    These are what Unicode calls control and format characters, surrogates, characters that are private or not assigned, separators but for the
    ordinary space, and those that are to be ignored by default. All else stays as it is.
  - What the other filters of this collection return as sentences is printable already. Names and values in their results are data, and are not.
options:
  _input:
    description: The text. Any other value is shown as text.
    type: raw
    required: true
  limit:
    description: How long the result may become, in characters. It ends with V(...) where it is cut. At least 4.
    type: int
    default: 16384
positional: _input, limit
seealso:
  - ref: ansible_collections.vfio.migration.docsite.trust_guide
    description: What is believed of what hosts say.
"""

EXAMPLES = r"""
- name: Show who holds a device
  ansible.builtin.debug:
    msg: "{{ item.in_use.name | vfio.migration.printable }}"
  loop: "{{ ansible_facts.vfio_migration.devices | selectattr('in_use') }}"
  loop_control:
    label: "{{ item.id | vfio.migration.printable(limit=80) }}"
"""

RETURN = r"""
_value:
  description: The text in one line, with only printable characters.
  type: str
"""


@as_filter("printable")
def printable(value: t.Any, limit: t.Any = printable_module.MAX_MESSAGE) -> Sentence:
    return printable_module.printable(
        value if isinstance(value, str) else quoted(value, printable_module.MAX_MESSAGE),
        max(4, one_or_more("limit", limit)),
    )


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"printable": printable}
