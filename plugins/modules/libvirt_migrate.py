#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_migrate
short_description: Migrate a guest of libvirt with its VFIO devices
version_added: 0.1.0
description:
  - Migrates one running guest from this host to the target that a plan has for its devices. The targets must be there, as the playbook
    C(vfio.migration.prepare) or the module M(vfio.migration.vfio_mdev) makes them.
  - Reads the guest's domain, puts the plan's devices into it on the control node, and lets this host's libvirt send the guest to the
    target's libvirt, as C(virsh migrate --live --p2p) does. A guest with a persistent definition is defined on the target and no longer here.
    It starts with its new host if it did with this one.
  - Shows about every ten seconds how far it is. Where a pass over its memory begins with no less to send than one before it, the limit of
    its downtime is doubled until it is O(downtime_max). Where libvirt refuses a limit, the one before it stays in force, the progress says so, and it is
    tried again ten seconds later. A migration that takes longer than O(timeout), or comes no nearer to its end for
    O(stall), is aborted. The guest then runs on here.
  - Domains may have passwords in them. They are on no disk of either host or of the control node, where C(pipelining) is on, and in no result.
  - A process of its own on this host does the work, so a migration goes on and its limits hold when Ansible is killed or loses its
    connection. A second migration of the guest is refused meanwhile. The result is in C(/run/vfio.migration/migrate) until the next
    migration of the guest or a reboot takes it away, or the playbook C(vfio.migration.cleanup), by a plan that has the guest's devices.
  - If the connection or the module ended before the host reported whether the migration has begun, the host is queried for it. Only what has
    certainly not begun is V(refused).
  - The playbook C(vfio.migration.migrate_libvirt) moves guests by this module. It also checks them, makes the targets and cleans up.
author:
  - vfio.migration contributors (@vfio-migration)
requirements:
  - libvirt's Python binding on the host, the package C(python3-libvirt)
extends_documentation_fragment:
  - vfio.migration._attributes
attributes:
  check_mode:
    support: full
    details:
      - The domain is read and the devices are looked up in the plan. No guest is migrated.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - A guest that has moved is not here any more.
options:
  uuid:
    description: The guest's UUID in libvirt.
    type: str
    required: true
  plan:
    description:
      - The plan that has the guest's devices, as P(vfio.migration.migration_plan#filter) returns it.
      - Needed but for a single O(step).
    type: dict
  source:
    description: The name that the plan has for this host. By default the one in the inventory.
    type: str
  label:
    description: What the guest is called where its progress is shown. By default its UUID.
    type: str
  destination:
    description:
      - The URI by which this host's libvirt reaches the target's, such as V(qemu+ssh://root@b/system).
      - Needed but for a single O(step).
    type: str
  transport:
    description: The URI to which this host's QEMU sends the guest, such as V(tcp://b). By default libvirt chooses one.
    type: str
  options:
    description:
      - Further options of C(virsh migrate), such as V(--auto-converge), V(--tls) or V(--parallel), each word an element.
      - Post-copy is not possible with VFIO devices.
    type: list
    elements: str
    default: []
  downtime:
    description: The allowed downtime of the guest, in milliseconds.
    type: int
    default: 2000
  downtime_max:
    description:
      - The longest allowed downtime, in milliseconds, where the migration would not end otherwise.
      - By default no longer than O(downtime), and never less than that.
    type: int
  stall:
    description:
      - After how many seconds without progress to abort a migration that has the longest allowed downtime, or of which nothing is sent.
      - With V(0), migrations are not aborted for this reason.
    type: int
    default: 300
  timeout:
    description: After how many seconds to abort a migration.
    type: int
    default: 3600
  uri:
    description: How to reach libvirt on this host.
    type: str
    default: qemu:///system
  step:
    description:
      - V(all) is the migration. It consists of the others.
      - V(read) reads the domain. V(start) begins to send it. V(watch) waits for the end, but not longer than O(wait).
    type: str
    choices:
      - all
      - read
      - start
      - watch
    default: all
  active_xml:
    description: For V(start), the domain that is to run on the target.
    type: str
  persistent_xml:
    description: For V(start), the definition that it is to have there.
    type: str
  attempt:
    description:
      - For V(start) and V(watch), a text that no other migration has. What has it is begun once, however often V(start) comes to this host,
        and V(watch) looks at no other.
    type: str
  wait:
    description: For V(start) and V(watch), how many seconds to wait for an end.
    type: float
    default: 0
seealso:
  - plugin: vfio.migration.retarget_domain
    plugin_type: filter
  - plugin: vfio.migration.migration_plan
    plugin_type: filter
  - ref: ansible_collections.vfio.migration.docsite.migration_guide
    description: The checks before guests migrate, and how to migrate them.
"""

EXAMPLES = r"""
- name: Migrate a guest by a plan
  vfio.migration.libvirt_migrate:
    uuid: 4dea22b3-1d52-d8f3-2516-782e98ab3fa0
    plan: "{{ hostvars.localhost.prepare_plan }}"
    destination: qemu+ssh://root@b/system
    downtime: 500
    downtime_max: 4000
"""

RETURN = r"""
outcome:
  description:
    - The outcome of the migration.
    - V(moved) if the guest runs on its target.
    - V(failed) if libvirt or QEMU refused the migration, or the call failed. V(aborted) if a limit was exceeded. In both cases, the migration may still be
      running, or the guest may have ended, unless RV(state) shows the guest on this host as running or paused by its owner.
    - V(stuck) if the migration does not end and cannot be aborted.
    - V(lost) if the process that runs the migration ended without a result, or the host no longer answers. The migration may still be running.
    - V(refused) if no migration was begun.
  returned: after V(step=all)
  type: str
  sample: moved
errors:
  description: Errors of libvirt and QEMU, the limit that was exceeded, and the reason why a guest that has moved does not start with its new host.
  returned: after V(step=all)
  type: list
  elements: str
state:
  description:
    - The state of the guest on this host at the end of the migration, as in C(virsh domstate --reason).
    - V(null) if the guest is not on this host. V(unknown) if libvirt did not report the state within a minute.
  returned: if libvirt was asked to send the guest
  type: str
  sample: running (unpaused)
began:
  description: The time at which the migration began, in seconds since 1970, by the host's clock.
  returned: if the migration was begun
  type: float
ended:
  description: The time at which the migration ended, in seconds since 1970, by the host's clock.
  returned: if the migration was begun
  type: float
duration:
  description: The duration of the migration, in milliseconds.
  returned: if the migration was begun
  type: int
downtime:
  description: How long the guest was paused, in milliseconds. V(null) if libvirt does not report it.
  returned: if libvirt was asked to send the guest
  type: int
setup:
  description: The duration of the setup, in milliseconds.
  returned: if libvirt reports it
  type: int
bytes:
  description: The number of bytes that were sent.
  returned: if libvirt reports it
  type: int
iterations:
  description: The number of passes over the guest's memory.
  returned: if libvirt reports it
  type: int
dirty_rate:
  description: How many bytes of memory the guest changed per second, as libvirt reported it last.
  returned: if libvirt reports it
  type: int
qemu_log:
  description: The last lines of the log of the guest's QEMU on this host.
  returned: if the guest has not moved
  type: list
  elements: str
kernel_log:
  description: What the kernel of this host logged during the migration.
  returned: if the guest has not moved
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vfio.migration.plugins.module_utils._change.background import (
    BackgroundWork,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.guest_migration import (
    GuestMigration,
    MigrationOrder,
    read_definitions,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.migration_limits import (
    MigrationLimits,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.private_directory import (
    PrivateDirectory,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import UUID
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.migration_options import (
    MigrationOptionError,
    read_options,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.libvirt_binding import (
    DEFAULT_URI,
    Libvirt,
)

_STATUS = "/run/vfio.migration/migrate"
_Result = t.Dict[str, t.Any]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "uuid": {"type": "str", "required": True},
            "uri": {"type": "str", "default": DEFAULT_URI},
            "destination": {"type": "str"},
            "transport": {"type": "str"},
            "options": {"type": "list", "elements": "str", "default": []},
            "downtime": {"type": "int", "default": 2000},
            "downtime_max": {"type": "int"},
            "stall": {"type": "int", "default": 300},
            "timeout": {"type": "int", "default": 3600},
            "step": {
                "type": "str",
                "choices": ["all", "read", "start", "watch"],
                "default": "all",
            },
            "active_xml": {"type": "str", "no_log": True},
            "persistent_xml": {"type": "str", "no_log": True},
            "attempt": {"type": "str"},
            "wait": {"type": "float", "default": 0},
            # The action's.
            "plan": {"type": "dict"},
            "source": {"type": "str"},
            "label": {"type": "str"},
        },
        required_if=[("step", "start", ("active_xml", "destination"))],
        supports_check_mode=True,
    )
    step = module.params["step"]
    if step not in _STEPS:
        module.fail_json(
            msg="use the module as vfio.migration.libvirt_migrate, whose steps are taken one by one"
        )
    if not UUID.match(module.params["uuid"]):
        module.fail_json(msg=f"uuid is {module.params['uuid']!r}; expected a guest's UUID")
    try:
        result = _STEPS[step](module)
    except (VfioMigrationError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def _read(module: AnsibleModule) -> _Result:
    libvirt = Libvirt(module.params["uri"])
    return {"changed": False, "definitions": read_definitions(libvirt, module.params["uuid"])}


def _start(module: AnsibleModule) -> _Result:
    try:
        order = _order(module.params)
        if module.check_mode:
            return {"changed": True, "begun": False, "runs": False, "status": {}}
        _work(module).begin(lambda report: GuestMigration(order, report).run())
    except (VfioMigrationError, OSError) as error:
        module.fail_json(msg=str(error), begun=False)
    return {**_watch(module), "changed": True}


def _order(given: t.Mapping[str, t.Any]) -> MigrationOrder:
    first, most = given["downtime"], given["downtime_max"]
    if most is not None and most < first:
        raise MigrationOptionError(
            f"downtime_max is {most}, and downtime {first}; expected no less than that"
        )
    return MigrationOrder(
        uri=given["uri"],
        uuid=given["uuid"],
        destination=given["destination"],
        transport=given["transport"],
        active=given["active_xml"],
        persistent=given["persistent_xml"],
        options=read_options(given["options"]),
        limits=MigrationLimits(
            downtime=first,
            longest_downtime=first if most is None else most,
            timeout=given["timeout"],
            stall=given["stall"],
        ),
    )


def _watch(module: AnsibleModule) -> _Result:
    # The result stays: its answer may be lost on the way.
    found = _work(module).wait(module.params["wait"])
    return {
        "changed": False,
        "begun": found.begun,
        "runs": not found.ended,
        "status": found.status,
    }


def _work(module: AnsibleModule) -> BackgroundWork:
    given = module.params
    return BackgroundWork(PrivateDirectory(_STATUS), given["uuid"], given["attempt"])


_STEPS = {"read": _read, "start": _start, "watch": _watch}


if __name__ == "__main__":
    main()
