# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts of which one kind of text, or every one, steers a terminal, hides, or turns text around."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    is_printable,
)
from ansible_collections.vfio.migration.tests.unit.domains import domain_of, hostdev
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, gvt, host, parent
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import guest_info, libvirt_info

# Escape sequences of 7 and 8 bits, DEL, overrides, isolates, marks, separators, what is invisible; in one line.
STEERING = "\x1b[2J\x9b1m\x7f\u202e\u2066\u200f\u061c\u2028\u2029\u0085\u200b\u3164\ufeff\U000e0041"
SURROGATE = "\ud800"
ALL = "all"
# What in facts, in a plan, or in what libvirt says is a text of its own.
FIELDS = (
    *("host", "target", "vm", "id", "parent", "type", "type_name", "description", "driver"),
    *("evidence", "path", "problem", "value", "error", "log", "state"),
)
# What is said in words: sentences show it, and no result has it as it was.
SAID = {"problem", "evidence", "error", "log", "state", "description", "type_name"}


class HostileWorld:
    """Hosts a and b, a plan that empties a, and what libvirt says there; the texts of ``field`` have ``text`` in them.

    ``data`` are the texts that stay as they are in results, as they name something.
    """

    def __init__(self, field: str, text: str) -> None:
        self._field = field
        self._text = text
        self.data: set[str] = set()
        self.source, self.target = self.name("host", "a"), self.name("target", "b")
        self.guests = [self.name("vm", f"vm-{number}") for number in range(4)]
        self.ids = [self.name("id", each) for each in UUIDS]
        self.facts = {self.source: self._source(), self.target: self._target()}

    def name(self, field: str, text: str) -> str:
        """Return a text of ``field``, hostile where that is asked for."""
        if self._field in (field, ALL):
            text += self._text
        if field not in SAID:
            self.data.add(text)
        return text

    def _source(self) -> dict[str, t.Any]:
        never = {
            "supported": False,
            "evidence": self.name("evidence", "driver x never does"),
            "features": [],
            "state": None,
        }
        value = self.name("value", "2")
        odd = gvt(type=self.name("type", "odd"))
        return host(
            [
                device(self.ids[0], vm=self.guests[0], pid=1, parent=self.name("parent", "p")),
                device(self.ids[1], odd, vm=self.guests[1], pid=2),
                device(self.ids[2], vm=self.guests[2], pid=3, migration=never),
                device(self.ids[3], attributes=[{"name": "intel_vgpu/aggregator", "value": value}]),
                device(self.ids[4], gvt() | {"compatible": []}, vm=self.guests[3], pid=4),
            ],
            problems=[
                {
                    "path": self.name("path", "/sys/x"),
                    "problem": self.name("problem", "it is broken"),
                }
            ],
        )

    def _target(self) -> dict[str, t.Any]:
        names = {"i915-GVTg_V5_4": self.name("type_name", "a type")}
        small = parent(
            self.name("parent", "p"),
            available={"i915-GVTg_V5_4": 1, self.name("type", "odd"): 1},
            driver=self.name("driver", "i915"),
            names=names,
        )
        small["types"][0]["description"] = self.name("description", "small")
        management_device = parent(
            self.name("parent", "pci/0000:65:00.2"), available={"net": 1}, device_api="vhost-vdpa"
        )
        management_device |= {
            "kind": "vdpa",
            "supported_classes": ["net"],
            "max_supported_vqs": 3,
            "dev_features": [],
            "dev_features_mask": "0x300020028",
        }
        return host([device(self.ids[5], vm=self.guests[0], pid=5)], [small, management_device])

    # --- libvirt -----------------------------------------------------------------------------------------------------

    def libvirt(self) -> dict[str, t.Any]:
        """Return what libvirt_guest_info returns: on the source its guests, on the target nothing but an error."""
        error = self.name("error", "failed to connect")
        guests = [
            guest_info(name, UUIDS[7], blocked_reasons=[error] if name.endswith("0") else [])
            for name in self.guests
        ]
        return {self.source: libvirt_info(*guests), self.target: {"msg": error}}

    def answered(self, item: dict[str, t.Any], rc: int = 1, stdout: str = "") -> dict[str, t.Any]:
        """Return the registered answer to one item of a loop, by default an error."""
        error = self.name("error", "error: there is none")
        answer = {"rc": rc, "stdout": stdout, "stderr": error if rc else ""}
        return {"item": item, "ansible_loop_var": "item", **answer}

    def domain(self) -> str:
        """Return the XML of a domain."""
        return domain_of(hostdev("mdev", UUIDS[0]), name="vm-0")


def unprintable(value: t.Any) -> t.Iterator[str]:
    """Yield the texts of a result, keys as well, that must not be shown as they are."""
    if isinstance(value, str):
        if not is_printable(value):
            yield value
    elif isinstance(value, t.Mapping):
        for key, each in value.items():
            yield from unprintable(key)
            yield from unprintable(each)
    elif isinstance(value, t.Iterable):
        for each in value:
            yield from unprintable(each)
