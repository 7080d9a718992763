#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vgpu_compatibility
short_description: Ask NVIDIA's library whether vGPUs can go to GPUs
version_added: 0.1.0
description:
  - Gives the answer of C(nvmlGetVgpuCompatibility) in NVIDIA's management library C(libnvidia-ml.so.1) for the metadata of vGPUs and GPUs,
    as M(vfio.migration.vfio_migration_facts) returns them.
  - Runs on any host that has the library; best on the one that has the GPU.
  - A separate process calls the library, and is ended after O(timeout) seconds.
author:
  - vfio.migration contributors (@vfio-migration)
notes:
  - NVIDIA documents that the answer does not say whether the GPU has capacity left.
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._attributes.actiongroup_vfio
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
  idempotent:
    support: full
options:
  pairs:
    description: The pairs to ask about, 64 at most.
    type: list
    elements: dict
    required: true
    suboptions:
      vgpu:
        description: The C(metadata) of one of RV(vfio.migration.vfio_migration_facts#module:ansible_facts.vfio_migration.nvidia.vgpus), in base64.
        type: str
        required: true
      gpu:
        description: The C(metadata) of one of RV(vfio.migration.vfio_migration_facts#module:ansible_facts.vfio_migration.nvidia.gpus), in base64.
        type: str
        required: true
  sysfs:
    description:
      - The sysfs tree, as in the other modules of the action group. Only V(/sys) is possible, as the module asks the host's own library.
      - Another one is an error, so that nothing of the running host is taken for part of a copied tree.
    type: path
    default: /sys
  timeout:
    description: For how many seconds the library may be asked.
    type: int
    default: 30
seealso:
  - module: vfio.migration.vfio_migration_facts
  - ref: ansible_collections.vfio.migration.docsite.nvidia_guide
    description: Mediated devices and virtual functions of NVIDIA GPUs.
"""

EXAMPLES = r"""
- name: Ask whether the first vGPU of one host can go to the first GPU of this one
  vfio.migration.vgpu_compatibility:
    pairs:
      - vgpu: "{{ hostvars['hv1'].ansible_facts.vfio_migration.nvidia.vgpus[0].metadata }}"
        gpu: "{{ ansible_facts.vfio_migration.nvidia.gpus[0].metadata }}"
  register: asked
"""

RETURN = r"""
pairs:
  description: The results, in the order of O(pairs).
  returned: success
  type: list
  elements: dict
  contains:
    states:
      description: The states in which the guest can move to the GPU, among V(cold), V(hibernate), V(sleep) and V(live).
      returned: always
      type: list
      elements: str
      sample: [cold, hibernate, sleep, live]
    limits:
      description: What limits these states, among V(host_driver), V(guest_driver), V(gpu) and V(other).
      returned: always
      type: list
      elements: str
      sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import printable
from ansible_collections.vfio.migration.plugins.module_utils._host import nvml
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import why_not_live

_MOST_PAIRS = 64


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "pairs": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "vgpu": {"type": "str", "required": True},
                    "gpu": {"type": "str", "required": True},
                },
            },
            "sysfs": {"type": "path", "default": "/sys"},
            "timeout": {"type": "int", "default": int(nvml.SECONDS)},
        },
        supports_check_mode=True,
    )
    why = why_not_live(module.params["sysfs"])
    if why is not None:
        module.fail_json(msg=printable(why))
    pairs = [(each["vgpu"], each["gpu"]) for each in module.params["pairs"]]
    if len(pairs) > _MOST_PAIRS:
        module.fail_json(msg=f"pairs: {_MOST_PAIRS} at most, and there are {len(pairs)}")
    for index, pair in enumerate(pairs):
        for name, metadata, header in zip(
            ("vgpu", "gpu"), pair, (nvml.VGPU_HEADER, nvml.GPU_HEADER)
        ):
            try:
                nvml.check_metadata(metadata, header)
            except ValueError as error:
                module.fail_json(
                    msg=printable(f"pairs[{index}].{name}: no metadata in base64: {error}")
                )
    library = nvml.find_library()
    if library is None:
        module.fail_json(msg=f"there is no {nvml.LIBRARY} on this host")
    try:
        module.exit_json(
            changed=False, pairs=nvml.compatibility(library, pairs, module.params["timeout"])
        )
    except HostReadError as error:
        module.fail_json(msg=printable(str(error)))


if __name__ == "__main__":
    main()
