# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""XML of libvirt's domains, as virsh dumpxml prints it."""

from __future__ import annotations

GUEST = "vm-17"
UUID = "c9cd7bbf-7a3d-4a8d-9bd6-6a2e0f4f1b3c"
MDEV = f"<address uuid='{UUID}'/>"
PCI = "<address domain='0x0000' bus='0x00' slot='0x00' function='0x0'/>"


def address(kind: str, device: str, quote: str = "'", **others: str) -> str:
    if kind == "mdev":
        attributes = {"uuid": device}
    else:
        place, function = device.split(".")
        domain, bus, slot = place.split(":")
        parts = {"domain": domain, "bus": bus, "slot": slot, "function": function}
        attributes = {name: f"0x{value}" for name, value in parts.items()}
    pairs = {**others, **attributes}
    return "<address " + " ".join(f"{key}={quote}{pairs[key]}{quote}" for key in pairs) + "/>"


def hostdev(kind: str, device: str, quote: str = "'") -> str:
    options = "managed='no' model='vfio-pci'" if kind == "mdev" else "managed='yes'"
    return f"""<hostdev mode='subsystem' type='{kind}' {options}>
      <source>
        {address(kind, device, quote)}
      </source>
      <alias name='hostdev0'/>
      <address type='pci' domain='0x0000' bus='0x06' slot='0x00' function='0x0'/>
    </hostdev>"""


def interface(kind: str, device: str, quote: str = "'") -> str:
    return f"""<interface type='hostdev' managed='yes'>
      <mac address='52:54:00:6d:90:02'/>
      <source>
        {address(kind, device, quote, type="pci")}
      </source>
    </interface>"""


def domain_of(*devices: str, name: str = GUEST, metadata: str = "") -> str:
    between = "\n    ".join(devices)
    return f"""<domain type='kvm' id='3'>
  <name>{name}</name>
  <metadata>{metadata}</metadata>
  <memory unit='KiB'>1048576</memory>
  <devices>
    {between}
  </devices>
</domain>
"""
