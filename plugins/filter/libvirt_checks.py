# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import names
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.answers import (
    read_answer,
    read_loop,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.checks import (
    Checks,
    check_migration,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import read_host
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    as_filter,
    expected,
    plain,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import age_limit

DOCUMENTATION = r"""
name: libvirt_checks
short_description: Check which guests of libvirt can migrate, and where to
version_added: 0.1.0
author:
  - vfio.migration contributors (@vfio-migration)
description:
  - Decides which guests can migrate and which must stay and why, by the versions of libvirt and QEMU, the kinds of their devices and their domains.
  - Decides which hosts may receive, and under which of their parents nothing may be placed.
  - The role P(vfio.migration.migrate_libvirt#role) goes by it.
extends_documentation_fragment:
  - vfio.migration._fleet.max_age
options:
  _input:
    description: What P(vfio.migration.libvirt_guests#filter) returns.
    type: list
    elements: dict
    required: true
  fleet:
    description: The facts of the hosts, C(hostvars) itself or a mapping of host to that host's C(vfio_migration) facts.
    type: dict
    required: true
  libvirt:
    description:
      - For each host what it answered to C(virsh) with the four commands C(version --daemon), C(list --uuid --name), C(list --name --persistent)
        and C(list --name --autostart), with a line C(==) between each two, as M(ansible.builtin.command) registers it.
    type: dict
    required: true
  domains:
    description: The results of a loop of C(virsh dumpxml) over those of the guests that have no C(reason), of all hosts.
    type: list
    elements: dict
    required: true
  targets:
    description: The hosts that may receive. By default all of O(libvirt).
    type: list
    elements: str
  drain:
    description: The hosts to drain, which receive nothing.
    type: list
    elements: str
positional: _input, fleet, libvirt, domains, targets, drain
seealso:
  - plugin: vfio.migration.libvirt_guests
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Check the guests of a host
  hosts: a
  gather_facts: false
  tasks:
    - name: Gather
      vfio.migration.vfio_migration_facts:

    - name: Ask libvirt
      ansible.builtin.command:
        argv:
          - virsh
          - --connect
          - qemu:///system
          - version --daemon; echo ==; list --uuid --name; echo ==; list --name --persistent; echo ==; list --name --autostart
      environment:
        LC_ALL: C
      register: libvirt
      changed_when: false

    - name: Read the domains
      ansible.builtin.command:
        argv: [virsh, --connect, "qemu:///system", dumpxml, "{{ item.uuid }}"]
      loop: "{{ guests | rejectattr('reason') }}"
      register: domains
      changed_when: false
      failed_when: false
      vars:
        guests: "{{ hostvars | vfio.migration.libvirt_guests({'a': libvirt}, drain=['a']) }}"

    - name: Show who cannot migrate
      ansible.builtin.debug:
        msg: "{{ (guests | vfio.migration.libvirt_checks(hostvars, {'a': libvirt}, domains.results)).left }}"
      vars:
        guests: "{{ hostvars | vfio.migration.libvirt_guests({'a': libvirt}, drain=['a']) }}"
"""

RETURN = r"""
_value:
  description: What the checks come to.
  type: dict
  contains:
    chosen:
      description: The guests that can migrate, as P(vfio.migration.libvirt_guests#filter) returns them.
      type: list
      elements: dict
    left:
      description: The guests that must stay, each with all that keeps it as its C(reason).
      type: list
      elements: dict
    targets:
      description: The hosts that may receive.
      type: list
      elements: str
    avoid:
      description: Parents on these that are for devices of a kind which the host cannot migrate, as C(avoid) of a plan has them.
      type: list
      elements: dict
    notes:
      description: Which hosts take part in nothing or not in all, and which guests were left alone, as sentences.
      type: list
      elements: str
"""


@as_filter("libvirt_checks")
def libvirt_checks(
    guests: t.Any,
    fleet: t.Any,
    libvirt: t.Any,
    domains: t.Any,
    targets: t.Any = None,
    drain: t.Any = None,
    max_age: t.Any = None,
) -> Checks:
    with expected("libvirt", "a mapping of host to the registered answer of virsh"):
        hosts = {host: read_host(read_answer(answer)) for host, answer in plain(libvirt).items()}
    with expected("domains", "the results of a loop of virsh dumpxml over guests"):
        dumped = {
            (guest["host"], guest["vm"]): answer for guest, answer in read_loop(plain(domains))
        }
    with expected("the list of guests", "what libvirt_guests returns"):
        return check_migration(
            read_fleet(fleet, hosts, age_limit(max_age)),
            plain(guests),
            hosts,
            dumped,
            names("targets", targets),
            names("drain", drain) or (),
        )


class FilterModule:
    """Filters of vfio.migration"""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"libvirt_checks": libvirt_checks}
