# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.record import (
    RequestBack,
    requests_back,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    plain,
    text,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.migration_record import (
    records_of,
)

DOCUMENTATION = r"""
name: migration_way_back
short_description: Make the requests that take migrated guests back
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Reverses the record that the playbook C(vfio.migration.migrate_libvirt) leaves. Returns the options of that playbook that take the guests
    back to the hosts that they came from. Which devices they get there, a new plan decides.
  - Guests that have not moved are in no request, nor are those that have moved on in a later run. If no guest has moved, there is no request.
  - A run that has taken up one that was broken off has the guests of both. Of a run that is broken off, who has arrived since is known only
    when the same command has been run again.
options:
  _input:
    description:
      - The text of the file C(migration-record.jsonl), or the list that C(set_stats) has handed on as C(migrate_libvirt_moves).
      - Of a line of the file that is not JSON, as a run was killed or the disk was full, a warning gives the number. The others count.
    type: raw
    required: true
  run:
    description:
      - Which run to reverse, by the time that its records have as C(run).
      - By default the last one in which a guest has moved, with the runs before it that had the same request, as far as that was not done
        the time before. So a drain that took several runs is reversed as a whole.
      - If those runs had one of the requests that this filter returned before, and not all guests of these requests are back, the way back continues.
        The result is then the same requests again, without the hosts whose guests are all back. A request includes the guests that are already back, so
        that the playbook counts them as done.
      - When all guests are back, the way back is reversed like any other run. To reverse a part of it, set O(run).
    type: str
positional: _input, run
seealso:
  - plugin: vfio.migration.migrate_libvirt
    plugin_type: role
  - ref: ansible_collections.vfio.migration.docsite.migration_guide
    description: The checks before guests migrate, and how to migrate them.
"""

EXAMPLES = r"""
# Then, for each file: ansible-playbook vfio.migration.migrate_libvirt -e @back-a.json
- name: Write the requests that take the guests back
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Read the record
      ansible.builtin.slurp:
        src: migration-record.jsonl
      register: record

    - name: Write the options of the playbook migrate_libvirt for each host that guests go back to
      ansible.builtin.copy:
        content: "{{ item | to_json }}"
        dest: "back-{{ item.migrate_libvirt_targets | first }}.json"
        mode: "0600"
      loop: "{{ record.content | b64decode | vfio.migration.migration_way_back }}"
"""

RETURN = r"""
_value:
  description: A request for each host that guests have left.
  type: list
  elements: dict
  contains:
    migrate_libvirt_guests:
      description: The UUIDs of the guests, or their names if the UUIDs are unknown.
      type: list
      elements: str
    migrate_libvirt_targets:
      description: The host that the guests have left.
      type: list
      elements: str
"""


@as_filter("migration_way_back")
def migration_way_back(record: t.Any, run: str | None = None) -> list[RequestBack]:
    wanted = None if run is None else text("run", run)
    return requests_back(records_of(plain(record)), wanted)


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"migration_way_back": migration_way_back}
