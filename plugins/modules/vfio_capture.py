#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vfio_capture
short_description: Copy what sysfs shows of VFIO devices into an archive
version_added: 0.1.0
description:
  - Copies what a host's sysfs shows of its VFIO devices into a gzipped tar archive on that host, and nothing else of the host.
  - The module M(vfio.migration.vfio_migration_facts) with the option O(vfio.migration.vfio_migration_facts#module:sysfs) gives the
    same facts of the unpacked copy as of the host, byte for byte, but for what is not in sysfs.
  - The playbook C(vfio.migration.capture) runs this module on many hosts, and fetches the archives.
author:
  - vfio.migration contributors (@vfio-migration)
notes:
  - Without root rights, files that only root may read hold the byte 0xff in the copy, which no reader takes for a value.
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._attributes.actiongroup_vfio
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - The archive is binary.
  idempotent:
    support: full
    details:
      - The same tree gives the same bytes.
options:
  dest:
    description:
      - The archive to write, a path on the host. Its directory must exist.
      - The members of the archive lie in C(sys).
      - Give either this or O(fetch_to).
    type: path
  fetch_to:
    description:
      - A file on the control node that the archive is fetched to. Nothing then stays on the host. Its directory is made if it is not there.
      - In check mode, nothing is fetched.
    type: path
  sysfs:
    description:
      - The sysfs tree to copy from.
      - In another tree than C(/sys), links are followed as if the tree was C(/sys), so that none leads out of it, and nothing but regular
        files and directories is opened.
    type: path
    default: /sys
  timeout:
    description:
      - Copying waits for nothing, so this has no effect.
      - It is an option so that C(module_defaults) can set it for the whole action group.
    type: int
    default: 30
seealso:
  - module: vfio.migration.vfio_migration_facts
  - ref: ansible_collections.vfio.migration.docsite.troubleshooting_guide
    description: Messages, their causes and what to do.
"""

EXAMPLES = r"""
- name: Copy what sysfs shows of VFIO devices
  vfio.migration.vfio_capture:
    dest: /root/vfio.tar.gz
"""

RETURN = r"""
dest:
  description: The path of the archive, O(fetch_to) if it is set and O(dest) otherwise.
  returned: always
  type: str
  sample: /root/vfio.tar.gz
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import printable
from ansible_collections.vfio.migration.plugins.module_utils._host.capture import captured
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs, words


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path"},
            # The action's: what comes here has a place in dest.
            "fetch_to": {"type": "path"},
            "sysfs": {"type": "path", "default": "/sys"},
            "timeout": {"type": "int", "default": 30},
        },
        mutually_exclusive=[("dest", "fetch_to")],
        required_one_of=[("dest", "fetch_to")],
        supports_check_mode=True,
    )
    if module.params["dest"] is None:
        module.fail_json(
            msg="use the module as vfio.migration.vfio_capture to have it fetch the archive"
        )
    sysfs, dest = Sysfs(module.params["sysfs"]), module.params["dest"]
    if not sysfs.exists():
        module.fail_json(msg=printable(f"there is no sysfs at {sysfs.path()}"))
    archive = captured(sysfs)
    try:
        changed = not _holds(dest, archive)
        if changed and not module.check_mode:
            _write(module, dest, archive)
    except OSError as error:
        module.fail_json(msg=printable(f"{dest}: {words(error)}"))
    module.exit_json(changed=changed, dest=dest)


def _holds(path: str, content: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(content) + 1) == content
    except FileNotFoundError:
        return False


def _write(module: AnsibleModule, path: str, content: bytes) -> None:
    temporary = os.path.join(module.tmpdir, "capture.tar.gz")
    with open(temporary, "wb") as file:
        file.write(content)
    module.atomic_move(temporary, path)


if __name__ == "__main__":
    main()
