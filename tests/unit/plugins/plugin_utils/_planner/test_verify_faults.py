# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults in the code that makes plans: each makes a wrong plan for a small fleet, and the verifier refuses it.

The fault is planted by name, wherever the planner uses that name. Without it the plan for the same fleet verifies.
"""

from __future__ import annotations

import dataclasses
import sys
import typing as t

import pytest
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.network_settings import (
    UNSET,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import verify
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.reason import Reason
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.request import (
    OPTIONS,
    Conditions,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.resources import Resources
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_case import Objection
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.waves import MoveOrder
from ansible_collections.vfio.migration.tests.unit import cards
from ansible_collections.vfio.migration.tests.unit.fleets import (
    UUIDS,
    device,
    gvt,
    host,
    parent,
    vf,
)
from ansible_collections.vfio.migration.tests.unit.vdpa_hosts import SIMULATED, vdpa_device

Facts = dict[str, t.Any]
Make = t.Callable[[t.Any], t.Any]


PLUGINS = "ansible_collections.vfio.migration.plugins."
# The packages that a plan passes.
ROOMS = {"_descriptor", "_fleet", "_compat", "_packing", "_planner", "_plugin"}


class Plant:
    """Replaces functions, classes and methods of the collection by what ``make`` makes of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def function(self, name: str, make: Make) -> None:
        """Replace what has this name in every module that uses it."""
        real = self._only(name)
        for module in self._modules(name):
            if getattr(module, name) is real:
                self._monkeypatch.setattr(module, name, make(real))

    def method(self, owner: str | type, name: str, make: Make) -> None:
        """Replace a method of a class."""
        found = self._only(owner) if isinstance(owner, str) else owner
        self._monkeypatch.setattr(found, name, make(getattr(found, name)))

    def _only(self, name: str) -> t.Any:
        """Return the one thing with this name."""
        every = [getattr(module, name) for module in self._modules(name)]
        (real,) = {id(each): each for each in every}.values()
        return real

    def _modules(self, name: str) -> list[t.Any]:
        return [
            module
            for key, module in sorted(each for each in sys.modules.items() if PLUGINS in each[0])
            if ROOMS.intersection(key.split(".")) and ".verify" not in key
            if hasattr(module, name)
        ]

    def sets(self, change: t.Callable[[dict[str, str]], dict[str, str]]) -> None:
        """Have the pattern engine read other sets than it is given."""
        self.method(
            "Pattern",
            "__init__",
            lambda real: (
                lambda self, attributes, *rest: real(self, change(dict(attributes)), *rest)
            ),
        )


@dataclasses.dataclass
class Fault:
    """What goes wrong, and the fleet and request for which that makes a wrong plan; ``rule`` is the one it breaks."""

    rule: str
    facts: Facts
    plant: t.Callable[[Plant], None]
    asked: dict[str, t.Any] = dataclasses.field(default_factory=lambda: {"drain": ["a"]})


# --- fleets ----------------------------------------------------------------------------------------------------------

GPU = "0000:00:02.0"
SECOND_GPU = "0000:00:03.0"
VGPU = {"software_version": "1.2.0", "device_api": "vfio-pci", "type": "t4", "pci_id": "10de20b5"}


def vgpu(*compatible: dict[str, str], **own: str) -> dict[str, t.Any]:
    """Return a descriptor that lists ``compatible``, by default what is equal to it."""
    attributes = {**VGPU, **own}
    return {"self": attributes, "compatible": list(compatible) or [attributes]}


def moved(source: dict[str, t.Any], target: dict[str, t.Any], **others: t.Any) -> Facts:
    """Return a fleet of a guest with one device, and a free device."""
    return {
        "a": host([device(UUIDS[0], source, vm="vm-1")]),
        "b": host([device(UUIDS[5], target, **others)]),
    }


def made(*sources: dict[str, t.Any], available: dict[str, int], **others: t.Any) -> Facts:
    """Return a fleet of guests with one device each, and a parent with these types."""
    devices = [
        device(UUIDS[n], source, vm=f"vm-{n}", pid=10 + n, attributes=attributes_of(source))
        for n, source in enumerate(sources)
    ]
    return {"a": host(devices), "b": host(parents=[parent(available=available, **others)])}


def attributes_of(descriptor: dict[str, t.Any]) -> list[dict[str, str]]:
    return [
        {"name": f"intel_vgpu/{name}", "value": value}
        for name, value in descriptor["self"].items()
        if name == "aggregator"
    ]


def provisioned(negotiated: int, offered: int) -> Facts:
    """Return a fleet of a guest with a vDPA device, and a management device that offers features."""
    source = vdpa_device(negotiated=negotiated)
    entry = device(
        *("vdpa0", source.descriptor(), "vm-1"),
        kind="vdpa",
        parent="vdpasim_net",
        type="net",
        attributes=source.attributes(),
    )
    simulator = {
        **parent("vdpasim_net", None, {"net": 1}, device_api="vhost-vdpa"),
        "kind": "vdpa",
        "driver": None,
        "max_supported_vqs": 5,
        "dev_features_mask": hex(offered),
    }
    return {"a": host([entry]), "b": host(parents=[simulator])}


def guests(*names: str, targets: t.Sequence[dict[str, t.Any]] = (), **others: t.Any) -> Facts:
    """Return a fleet of guests with a device each, two hosts that have room for them, and perhaps other devices."""
    devices = [
        device(UUIDS[n], vgpu(), vm=name, pid=10 + n, **others) for n, name in enumerate(names)
    ]
    return {
        "a": host(devices),
        "b": host([device(UUIDS[5 + n], vgpu()) for n in range(len(names))]),
        "c": host(list(targets)),
    }


# --- the engine: templates, versions, verdicts, candidates, the reader -----------------------------------------------


def of_two_devices(free: dict[str, int], number: int) -> Facts:
    """Return the facts of a host with so many guests of two functions each, and of others with so many free functions."""
    held = [vf(2 * n + k, f"vm-{n}", pid=n + 1) for n in range(number) for k in range(2)]
    return {"a": host(held)} | {
        name: host([vf(n) for n in range(count)]) for name, count in free.items()
    }


def with_type(text: str, **others: str) -> dict[str, str]:
    return {**VGPU, "type": text, **others}


def derived(order: str, **own: str) -> dict[str, t.Any]:
    """Return a derived descriptor whose set lets its size be another one in one direction."""
    attributes = {**VGPU, "size": "8" if "8" in order else "4", **own}
    return {"self": attributes, "compatible": [{**attributes, "size": order}], "origin": "derived"}


def bound(driver: str, number: int, vm: str | None = None) -> dict[str, t.Any]:
    """Return a function with a derived descriptor whose driver is this one."""
    own = {
        "software_version": "1.0.0",
        "device_api": "vfio-pci",
        "type": "pci-1af41041",
        "pci_id": "1af41041",
        "driver": driver,
    }
    return {
        **vf(number, vm),
        "descriptor": {"self": own, "compatible": [own], "origin": "derived"},
    }


def parts(vm: str | None = None) -> dict[str, t.Any]:
    """Return a function of a driver that migrates it only where its card offers the device's parts."""
    return bound("virtio_vfio_pci", 1, vm)


def crowded(number: int, vm: str | None = None) -> dict[str, t.Any]:
    """Return a function of a driver that migrates four of one card at a time."""
    return bound("mlx5_vfio_pci", number, vm)


def with_features(*features: str) -> dict[str, t.Any]:
    """Return what is known of a device's migration where debugfs tells."""
    told = ["stop-copy", *features]
    return {"supported": True, "evidence": "debugfs", "features": told, "state": None}


def derived_matrix(**numbers: str) -> dict[str, t.Any]:
    """Return the descriptor of an AP matrix as it is derived before Linux 6.10; of other ``numbers`` where these are given."""
    own = {
        "software_version": "0.0",
        "device_api": "vfio-ap",
        "type": "vfio_ap-passthrough",
        "driver": "vfio_ap",
        "adapters": "05",
        "domains": "04",
        "control_domains": "",
        **numbers,
    }
    return {"self": own, "compatible": [own], "origin": "derived"}


def renamed(old: str, new: str) -> t.Callable[[Plant], None]:
    """Have the engine read a text in sets as another."""

    def change(attributes: dict[str, str]) -> dict[str, str]:
        return {name: value.replace(old, new) for name, value in attributes.items()}

    return lambda plant: plant.sets(change)


def forgotten(name: str) -> t.Callable[[Plant], None]:
    """Have the engine not compare an attribute."""
    return lambda plant: plant.sets(
        lambda attributes: {key: value for key, value in attributes.items() if key != name}
    )


def completed(change: t.Callable[[t.Any], t.Any], known: t.Sequence[str] = ()) -> Make:
    """Change what a new device is predicted to be; it is taken for unknown whether it has ``known``."""

    def make(real: t.Any) -> t.Any:
        def completion(self: t.Any, certain: t.Any, *rest: t.Any) -> t.Any:
            certain = {name: value for name, value in certain.items() if name not in known}
            found = real(self, certain, *rest)
            return found and change(found)

        return completion

    return make


def attributes_become(change: t.Callable[[t.Any], t.Any]) -> t.Callable[[Plant], None]:
    """Change the attributes that new devices are to be given."""

    def make(real: t.Any) -> t.Any:
        def makeable(*arguments: t.Any) -> t.Any:
            found = real(*arguments)
            return found and dataclasses.replace(found, attributes=change(found.attributes))

        return makeable

    return lambda plant: plant.method("Candidates", "makeable", make)


def taken_for(**others: t.Any) -> Make:
    """Have a class made of other facts than there are, whether these are given by place or by name."""

    def make(real: t.Any) -> t.Any:
        def made(self: t.Any, *facts: t.Any, **named: t.Any) -> None:
            real(self, *facts, **named)
            for name, value in others.items():
                object.__setattr__(self, name, value)

        return made

    return make


def devices_become(**others: t.Any) -> t.Callable[[Plant], None]:
    """Have the reader of facts take something for the same of all devices."""
    return lambda plant: plant.method("Device", "__init__", taken_for(**others))


def matched(**others: t.Any) -> Make:
    """Have a match told otherwise than it is."""
    return lambda real: lambda *arguments: (found := real(*arguments)) and {**found, **others}


def judged(real: t.Any) -> t.Any:
    return lambda *arguments: {**real(*arguments), "compatible": True, "set": 0}


def as_sure(real: t.Any) -> t.Any:
    def newly_made(*arguments: t.Any) -> t.Any:
        target, match = real(*arguments)
        return target, match | {"certainty": "declared"}

    return newly_made


def all_are_compatible(plant: Plant) -> None:
    plant.method("Judge", "allows", lambda real: lambda *_: True)
    plant.method("Judge", "verdict", judged)


TWO = {"i915-GVTg_V5_8": 8}
ENGINE = {
    "an attribute is not compared": Fault(
        "existing targets are compatible",
        moved(gvt(), gvt(pci_id="8086591d")),
        forgotten("pci_id"),
    ),
    "text is compared without its case": Fault(
        "existing targets are compatible",
        moved(vgpu(), vgpu(type="T4")),
        lambda plant: plant.function(
            "comparable", lambda real: lambda name, text: real(name, text).lower()
        ),
    ),
    "the version rule is gone": Fault(
        "existing targets are compatible",
        moved(vgpu(), vgpu(software_version="1.1.0")),
        lambda plant: plant.function("version_failure", lambda real: lambda *arguments: None),
    ),
    "the version rule is that of the other side": Fault(
        "existing targets are compatible",
        moved(vgpu(), vgpu(software_version="1.1.0")),
        lambda plant: plant.function(
            "version_failure", lambda real: lambda one, other, side=True: real(one, other, not side)
        ),
    ),
    "majors are not read": Fault(
        "existing targets are compatible",
        moved(vgpu(), vgpu(software_version="2.2.0")),
        lambda plant: plant.function(
            "parse_version", lambda real: lambda text: real(text) and (0, real(text)[1])
        ),
    ),
    "a version that is left out may be any": Fault(
        "existing targets are compatible",
        moved(
            vgpu({name: VGPU[name] for name in ("device_api", "type", "pci_id")}),
            vgpu(software_version="1.1.0"),
        ),
        lambda plant: plant.method(
            "Pattern",
            "__init__",
            lambda real: (
                lambda self, attributes, version=None, *rest: real(self, attributes, None, *rest)
            ),
        ),
    ),
    "a quotient is a product": Fault(
        "existing targets are compatible", moved(gvt(), gvt("4", "8")), renamed("/2", "*2")
    ),
    "a remainder is a difference": Fault(
        "existing targets are compatible",
        moved(vgpu(with_type("t{n:int:5,7}", size="{n}%4")), vgpu(type="t7", size="-4")),
        renamed("%4", "-11"),
    ),
    "parentheses are not read": Fault(
        "existing targets are compatible",
        moved(vgpu(with_type("t{n:int:2}", size="2*({n}+1)")), vgpu(type="t2", size="5")),
        lambda plant: plant.sets(
            lambda attributes: {k: v.strip(")").replace("(", "") for k, v in attributes.items()}
        ),
    ),
    "a variable has another value in each place": Fault(
        "existing targets are compatible",
        moved(gvt("4", "2"), gvt("8", "2")),
        renamed("{val1}", "{other:int:1,2,4,8}"),
    ),
    "a declaration has a value too many": Fault(
        "existing targets are compatible",
        moved(vgpu(with_type("t{n:int:4,5}")), vgpu(type="t6")),
        renamed("4,5", "4,5,6"),
    ),
    "braces that stand for themselves are a variable": Fault(
        "existing targets are compatible",
        moved(vgpu(with_type("t{n:int:4}", size="{{n}}")), vgpu(size="4")),
        renamed("{{n}}", "{n}"),
    ),
    "a void set is read": Fault(
        "existing targets are compatible",
        moved(vgpu(with_type("t{n}")), vgpu()),
        renamed("{n}", "{n:int:1,2,4}"),
    ),
    "what must be absent may be there": Fault(
        "existing targets are compatible",
        moved(vgpu(with_type("t4", display="")), vgpu(display="on")),
        forgotten("display"),
    ),
    "of two devices one cannot do P2P": Fault(
        "sources can migrate",
        {
            "a": host(
                [
                    device(UUIDS[n], vm="vm-1", pid=1, migration=migration)
                    for n, migration in enumerate((with_features("p2p"), with_features()))
                ]
            ),
            "b": host(parents=[parent()]),
        },
        lambda plant: plant.function(
            "obstacle_in_guest", lambda real: lambda device, guest: real(device, ())
        ),
    ),
    "of the targets of two devices one cannot do P2P": Fault(
        "sources can migrate",
        {
            "a": host(
                [
                    device(UUIDS[n], vgpu(), vm="vm-1", pid=1, migration=with_features("p2p"))
                    for n in (0, 1)
                ]
            ),
            "b": host(
                [
                    device(UUIDS[5 + n], vgpu(), migration=migration)
                    for n, migration in enumerate((with_features("p2p"), with_features()))
                ]
            ),
        },
        lambda plant: plant.function("has_several", lambda real: lambda device, guest: False),
    ),
    "a matrix is made without its numbers": Fault(
        "new devices will match",
        made(
            derived_matrix(),
            available={"vfio_ap-passthrough": 1},
            driver="vfio_ap",
            device_api="vfio-ap",
            pci_id=None,
        ),
        lambda plant: plant.function("attributes_to_write", lambda real: lambda *_: []),
    ),
    "a matrix goes to one of another UUID": Fault(
        "a target has the uuid that its source needs",
        moved(derived_matrix(migratable="yes"), derived_matrix(migratable="yes")),
        lambda plant: plant.function("wants_its_uuid", lambda real: lambda own: False),
    ),
    "a queue of a guest is given to another one, too": Fault(
        "an ap queue has one device",
        made(
            derived_matrix(),
            derived_matrix(adapters="04,05", domains="04,05"),
            available={"vfio_ap-passthrough": 9},
            driver="vfio_ap",
            device_api="vfio-ap",
            pci_id=None,
        ),
        lambda plant: plant.function("contested", lambda real: lambda matrices: set()),
    ),
    "what may only rise falls": Fault(
        "existing targets are compatible",
        moved(derived("{rising:8}"), derived("{rising:4}")),
        renamed("{rising:8}", "{falling:8}"),
    ),
    "what may only fall rises": Fault(
        "existing targets are compatible",
        moved(derived("{falling:4}"), derived("{falling:8}")),
        renamed("{falling:4}", "{rising:4}"),
    ),
    "everything matches": Fault(
        "existing targets are compatible",
        moved(vgpu(), vgpu(type="t8")),
        lambda plant: plant.function(
            "first_match", lambda real: lambda *_: {"set": 0, "bindings": {}, "warnings": []}
        ),
    ),
    "both lists are one": Fault(
        "existing targets are compatible",
        moved(vgpu(), vgpu(with_type("t8"))),
        lambda plant: plant.method(
            "Judge",
            "_lists_allow",
            lambda real: (
                lambda self, *two: real(dataclasses.replace(self, direction="either"), *two)
            ),
        ),
        {"drain": ["a"], "direction": "both"},
    ),
    "the other side's list decides": Fault(
        "existing targets are compatible",
        moved(vgpu(with_type("t8")), vgpu()),
        lambda plant: plant.method(
            "Candidates",
            "__init__",
            lambda real: (
                lambda self, fleet, direction, *rest: real(self, fleet, "target_accepts", *rest)
            ),
        ),
    ),
    "every verdict is yes": Fault(
        "existing targets are compatible",
        moved(vgpu(), vgpu(type="t8")),
        all_are_compatible,
    ),
    "a new device may be under another GPU": Fault(
        "new devices will match",
        made(gvt(), available=TWO, pci_id="8086591d"),
        lambda plant: plant.method(
            "Pattern", "completion", completed(lambda found: found, known=["pci_id"])
        ),
    ),
    "a new device is given another value": Fault(
        "new devices will match",
        made(gvt(), available=TWO),
        attributes_become(lambda pairs: tuple((name, "2") for name, value in pairs)),
    ),
    "a new device is not given what it needs": Fault(
        "new devices will match", made(gvt(), available=TWO), attributes_become(lambda pairs: ())
    ),
    "a new device is given an attribute by half of its name": Fault(
        "new devices will match",
        made(gvt(), available=TWO),
        attributes_become(
            lambda pairs: tuple((name.rpartition("/")[2], value) for name, value in pairs)
        ),
    ),
    "descriptors with equal selves are one": Fault(
        "existing targets are compatible",
        {
            "a": host(
                [
                    device(UUIDS[0], vgpu(with_type("t5")), vm="vm-0", pid=1),
                    device(UUIDS[1], vgpu(with_type("t6")), vm="vm-1", pid=2),
                ]
            ),
            "b": host([device(UUIDS[5], vgpu(type="t5")), device(UUIDS[6], vgpu(type="t5"))]),
        },
        lambda plant: plant.function(
            "digest", lambda real: lambda own, sets, *others: real(own, [], *others)
        ),
    ),
    "what else has to be equal is not compared": Fault(
        "existing targets are compatible",
        {
            "a": host([device(UUIDS[0], gvt() | {"configuration": {"pci.id": "8086:5963"}}, "vm")]),
            "b": host([device(UUIDS[5], gvt() | {"configuration": {"pci.id": "8086:10ca"}})]),
        },
        lambda plant: plant.function("differences", lambda real: lambda source, target: []),
    ),
    "a device that cannot migrate is moved": Fault(
        "sources can migrate",
        {
            **moved(vgpu(), vgpu()),
            "a": host([device(UUIDS[0], vgpu(), vm="vm-1", migration={"supported": False})]),
        },
        lambda plant: plant.function("obstacle", lambda real: lambda entry: None),
    ),
    "a device that cannot migrate is a target": Fault(
        "existing targets are free",
        moved(vgpu(), vgpu(), migration={"supported": False}),
        lambda plant: plant.function("obstacle", lambda real: lambda entry: None),
    ),
    "no process holds anything": Fault(
        "existing targets are free", moved(vgpu(), vgpu(), vm="other"), devices_become(in_use=None)
    ),
    "a set is read without an attribute": Fault(
        "existing targets are compatible",
        moved(vgpu(with_type("t4", ecc="on")), vgpu(ecc="off")),
        lambda plant: plant.function(
            "read_set",
            lambda real: (
                lambda raw, where: {
                    name: value for name, value in real(raw, where).items() if name != "ecc"
                }
            ),
        ),
    ),
    "a match is told with the values of another": Fault(
        "placements name the set that matches",
        moved(gvt(), gvt()),
        lambda plant: plant.function("first_match", matched(bindings={"val1": 8})),
    ),
    "a match is told of another set": Fault(
        "placements name the set that matches",
        moved(vgpu(with_type("t8"), with_type("t4")), vgpu()),
        lambda plant: plant.function("first_match", matched(set=0)),
    ),
    "a later set is told than the first that matches": Fault(
        "placements name the set that matches",
        moved(vgpu(with_type("t4"), with_type("t{n:int:4,8}")), vgpu()),
        lambda plant: plant.function("first_match", matched(set=1, bindings={"n": 4})),
    ),
    "a new device is told with values of another": Fault(
        "placements name the set that matches",
        made(gvt(), available=TWO),
        lambda plant: plant.method(
            "Pattern", "completion", completed(lambda found: ({"val1": 1}, found[1]))
        ),
    ),
    "what nobody compares is not told": Fault(
        "placements warn of what they assume",
        moved(vgpu(with_type("t4")), vgpu(with_type("t4"), display="on")),
        lambda plant: plant.function("_differences", lambda real: lambda *arguments: []),
    ),
    "it is not told that a list has no pci_id": Fault(
        "placements warn of what they assume",
        moved(vgpu({name: VGPU[name] for name in ("device_api", "type")}), vgpu()),
        lambda plant: plant.method("Pattern", "warnings", lambda real: lambda *arguments: []),
    ),
    "it is not told that only one list decides": Fault(
        "placements warn of what they assume",
        moved(vgpu(), vgpu(with_type("t8"))),
        lambda plant: plant.method(
            "Judge",
            "verdict",
            lambda real: lambda *arguments: {**real(*arguments), "warnings": []},
        ),
    ),
    "the P2P of new devices is not spoken of": Fault(
        "placements warn of what they assume",
        {
            "a": host(
                [device(UUIDS[n], vm="vm-1", pid=1, migration=with_features("p2p")) for n in (0, 1)]
            ),
            "b": host(parents=[parent()]),
        },
        lambda plant: plant.function("open_in_guest", lambda real: lambda *arguments: []),
    ),
    "what a driver needs is not spoken of": Fault(
        "placements warn of what they assume",
        {"a": host([parts("vm-1")]), "b": host([parts()])},
        lambda plant: plant.function("open_support", lambda real: lambda *arguments: []),
    ),
    "more functions than migrate at a time are not spoken of": Fault(
        "placements warn of what they assume",
        {
            "a": host([crowded(n, f"vm-{n}") for n in range(5)]),
            "b": host([crowded(n) for n in range(5)]),
        },
        lambda plant: plant.function(
            "with_crowds", lambda real: lambda moves: [placement for placement, _source in moves]
        ),
    ),
    "an unknown holder is not spoken of": Fault(
        "placements warn of what they assume",
        {
            "a": host([{**vf(n), "in_use": {"pid": None, "name": None}} for n in range(2)]),
            **{name: host([vf(1)]) for name in "bc"},
        },
        lambda plant: plant.function("open_in_guest", lambda real: lambda *arguments: []),
    ),
    "a new device is told with a warning of nothing": Fault(
        "placements warn of what they assume",
        made(gvt(), available=TWO),
        lambda plant: plant.function(
            "provisional_warnings", lambda real: lambda *arguments: ["all is well"]
        ),
    ),
    "a virtio feature that is not offered is planned": Fault(
        "new vdpa devices are offered",
        provisioned(SIMULATED, SIMULATED & ~(1 << 16)),
        lambda plant: plant.function(
            "_features_of", lambda real: lambda mask, of: real(mask | 1 << 16, of)
        ),
    ),
    "a virtio feature that the guest uses is left out": Fault(
        "new devices will match",
        provisioned(SIMULATED, SIMULATED),
        lambda plant: plant.function(
            "attributes_mask", lambda real: lambda names, of: real(names, of) & ~(1 << 16)
        ),
    ),
    "virtio features have the numbers of others": Fault(
        "new vdpa devices are offered",
        provisioned(SIMULATED, SIMULATED),
        lambda plant: plant.function(
            "attributes_mask", lambda real: lambda names, of: real(names, of) << 1
        ),
    ),
}


# --- capacity: instances, types of one parent, transitions, assignment, waves, costs ---------------------------------


# Two guests on functions of a network card, and free functions of another one.
NETWORKS = {
    "a": host(
        [vf(n, f"vm-{n}", network={**UNSET, "mac": f"52:54:00:00:00:0{n}"}) for n in range(2)]
    ),
    "b": host([vf(n, network=UNSET) for n in (8, 9)]),
}


def never_used_up(real: t.Any) -> t.Any:
    return lambda self, resource, demand: tuple(
        each._replace(**{each._fields[0]: resource}) for each in real(self, resource, demand)
    )


def always_the_first(real: t.Any) -> t.Any:
    def steady(*arguments: t.Any) -> t.Any:
        firsts: dict[int, t.Any] = {}
        placed, saved = real(*arguments)
        return [
            each._replace(device=each.device and firsts.setdefault(0, each.device))
            for each in placed
        ], saved

    return steady


def all_at_once(problem: t.Any, placed: t.Any, *others: t.Any) -> MoveOrder:
    return MoveOrder(placed)


def finds_nothing(real: t.Any) -> t.Any:
    """Take it that nothing has a place, and that all was looked at."""

    def settled(attempt: t.Any, found: t.Any) -> t.Any:
        every = tuple(range(len(attempt.problem.items)))
        nothing = {"assignment": {}, "unplaced": every, "optimal": True, "shortage": None}
        return real(attempt, dataclasses.replace(found, **nothing))

    return settled


def no_host_takes_any(plant: Plant) -> None:
    plant.function("_settled", finds_nothing)
    plant.method("Packings", "bin_types_for", lambda real: lambda self, demands: [])


WITH_A_SILENT_HOST = {
    "a": host([device(UUIDS[n], vgpu(), vm=f"vm-{n}", pid=n) for n in (1, 2)]),
    "b": host([device(UUIDS[5], vgpu())]),
    "c": {},
}

CAPACITY = {
    "an aggregated device takes one instance": Fault(
        "no parent is overcommitted",
        made(gvt(), gvt(), available={"i915-GVTg_V5_8": 7}),
        lambda plant: plant.function("instances_of", lambda real: lambda attributes: 1),
    ),
    "a parent has an instance more than it states": Fault(
        "no parent is overcommitted",
        made(vgpu(), vgpu(), available={"t4": 1}, pci_id="10de20b5", driver="nvidia"),
        lambda plant: plant.method("MdevType", "__init__", taken_for(available_instances=2)),
    ),
    "the types of any parent share": Fault(
        "no parent is overcommitted",
        made(
            *(vgpu(), vgpu(type="t8")),
            available={"t4": 4, "t8": 2},
            pci_id="10de20b5",
            driver="nvidia",
        ),
        lambda plant: plant.function(
            "driver_profile",
            lambda real: lambda *key: dataclasses.replace(real(*key), proportional=True),
        ),
    ),
    "a card holds more than its types state": Fault(
        "no card holds more than it can",
        {"a": cards.guests(5, 12), "b": host(parents=cards.parents())},
        lambda plant: plant.function(
            "stated_limits", lambda real: lambda text: real(text)._replace(max_instance=99)
        ),
    ),
    "a card takes any two sizes": Fault(
        "no card holds more than it can",
        {
            "a": host(
                [
                    cards.vgpu(each, size, cards.function(cards.CARD, each), vm=f"vm-{each}")
                    for each, size in enumerate((12, 24))
                ]
            ),
            "b": host(parents=cards.parents()),
        },
        lambda plant: plant.function(
            "stated_limits", lambda real: lambda text: real(text)._replace(framebuffer=1024)
        ),
    ),
    "the names of types tell nothing": Fault(
        "functions of a card are given what it holds",
        {
            "a": host([cards.typed(each, "1157", vm=f"vm-{each}") for each in range(3)]),
            "b": host(
                [
                    cards.typeless(each, {"1157": "NVIDIA L40S-24Q", "1158": "NVIDIA L40S-48Q"})
                    for each in range(4)
                ]
            ),
        },
        lambda plant: plant.function("named_share", lambda real: lambda name: None),
    ),
    "a card with types is taken for an empty one": Fault(
        "functions of a card are given what it holds",
        {
            "a": host([cards.typed(each, "1155", vm=f"vm-{each}") for each in range(3)]),
            "b": host(
                [
                    cards.typed(9, "1155", vm="there"),
                    *(cards.typeless(each, ["1155"]) for each in range(4)),
                ]
            ),
        },
        lambda plant: plant.function("count_with_type", lambda real: lambda *devices: 0),
    ),
    "a parent is never used up": Fault(
        "no parent is overcommitted",
        made(vgpu(), vgpu(), available={"t4": 1}, pci_id="10de20b5", driver="nvidia"),
        lambda plant: plant.method(Resources, "transitions", never_used_up),
    ),
    "equal devices are all the first one": Fault(
        "a target serves one source",
        guests("vm-1", "vm-2"),
        lambda plant: plant.function("steady", always_the_first),
    ),
    "what is made is as sure as what is there": Fault(
        "placements are no surer than they can be",
        made(gvt(), available=TWO),
        lambda plant: plant.function("newly_made", as_sure),
    ),
    "everything moves in the first wave": Fault(
        "existing targets are free",
        {
            "a": host([device(UUIDS[0], vgpu(flavour="x"), vm="vm-1", pid=1)]),
            "b": host([device(UUIDS[1], vgpu(flavour="x"), vm="vm-2", pid=2)]),
            "c": host([device(UUIDS[2], vgpu(flavour="x"))]),
        },
        lambda plant: plant.method("MoveOrder", "number", lambda real: lambda self, guest: 1),
        {"sources": ["vm-1", "vm-2"], "reuse": True, "targets": ["a", "b", "c"]},
    ),
    "guests that wait for each other are not seen": Fault(
        "existing targets are free",
        {
            "a": host([device(UUIDS[0], vgpu(flavour="x"), vm="vm-1", pid=1)]),
            "b": host([device(UUIDS[1], vgpu(flavour="x"), vm="vm-2", pid=2)]),
        },
        lambda plant: plant.function("order_moves", lambda real: all_at_once),
        {"sources": ["vm-1", "vm-2"], "reuse": True, "targets": ["a", "b"]},
    ),
    "new devices cost nothing": Fault(
        "the cost is counted",
        made(gvt(), available=TWO),
        lambda plant: plant.function(
            "cost_of", lambda real: lambda *arguments: real(*arguments)._replace(created=0)
        ),
    ),
    "a host without facts is forgotten": Fault(
        "status and shortage are true",
        WITH_A_SILENT_HOST,
        lambda plant: plant.function("_hosts_without_facts", lambda real: lambda problem: iter(())),
    ),
    "a host without facts is forgotten where guests are named": Fault(
        "status and shortage are true",
        WITH_A_SILENT_HOST,
        lambda plant: plant.function("_hosts_without_facts", lambda real: lambda problem: iter(())),
        {"sources": ["vm-1", "vm-2"]},
    ),
    "what nobody may hold is proven to have no place": Fault(
        "status and shortage are true",
        {
            "a": host([{**vf(n), "in_use": {"pid": None, "name": None}} for n in range(2)]),
            "b": host([vf(1)]),
        },
        lambda plant: plant.function("_perhaps_free", lambda real: lambda *arguments: {}),
    ),
    "what is left behind is nobody's": Fault(
        "what is left says whose it is",
        {
            "a": host([{**vf(0), "in_use": {"pid": 7, "name": "vm-1", "uuid": UUIDS[9]}}]),
            "b": host([vf(1, kind="w")]),
        },
        lambda plant: plant.function(
            "unplaced_of",
            lambda real: (
                lambda guest, device, reasons: real(
                    guest, dataclasses.replace(device, in_use=None), reasons
                )
            ),
        ),
    ),
    "sizes are mixed on a GPU without virtual functions": Fault(
        "no parent is overcommitted",
        {
            "a": host([device(UUIDS[n], vgpu(type=f"t{n}"), vm=f"vm-{n}", pid=n) for n in (1, 2)]),
            "b": host(
                parents=[
                    {
                        **(gpu := parent(GPU, "10de20b5", {"t1": 2, "t2": 4}, "nvidia")),
                        "types": [
                            {**each, "description": f"framebuffer={size}M, max_instance={most}"}
                            for each, (size, most) in zip(gpu["types"], [(8192, 2), (4096, 4)])
                        ],
                    }
                ]
            ),
        },
        lambda plant: plant.function("family_of", lambda real: lambda *arguments: "any"),
    ),
    "a place is not counted": Fault(
        "a shortage counts every place",
        {
            "a": host([device(UUIDS[n], vgpu(), vm=f"vm-{n}", pid=n) for n in (1, 2)]),
            "b": host([device(UUIDS[3], vgpu())]),
        },
        lambda plant: plant.function(
            "_places_of",
            lambda real: lambda *arguments: [{"host": "b", "id": GPU, "places": 1}],
        ),
    ),
    "a search says that it has seen all": Fault(
        "a proof leaves no place out",
        guests("vm-1", "vm-2"),
        lambda plant: plant.function("_settled", finds_nothing),
    ),
    "no host is seen to take a guest": Fault(
        "a proof leaves no place out", guests("vm-1"), no_host_takes_any
    ),
    "no host is seen to take a guest with two devices": Fault(
        "a proof leaves no place out",
        {
            "a": host([vf(n, "vm-1", pid=1) for n in range(2)]),
            "b": host([vf(n) for n in range(2)]),
        },
        no_host_takes_any,
    ),
    "who is left is said to fit nowhere": Fault(
        "a proof leaves no place out",
        {"a": host([vf(n, f"vm-{n}") for n in range(2)]), "b": host([vf(9)])},
        lambda plant: plant.function(
            "_proven_by",
            lambda real: lambda proof, *_: dataclasses.replace(proof, by=["no_place"]),
        ),
    ),
    "a proof by cases is of more devices than its guests have": Fault(
        "cases are of guests that are left behind",
        of_two_devices({"b": 3, "c": 1}, 2),
        lambda plant: plant.function(
            "case_proof", lambda real: lambda *found: {**real(*found), "left_out": 3}
        ),
    ),
    "a proof by cases leaves a host out": Fault(
        "every case ends where a guest has no place",
        of_two_devices({"b": 3, "c": 5}, 4),
        lambda plant: plant.method(
            "_Refuter",
            "_is_taken",
            lambda real: lambda self, item, number: number != 1 and real(self, item, number),
        ),
    ),
    "a proof by cases ends where there is a place": Fault(
        "every case ends where a guest has no place",
        of_two_devices({"b": 5, "c": 1}, 3),
        lambda plant: plant.method(
            "_Refuter", "_take_in", lambda real: lambda self, number, items: len(items) < 2
        ),
    ),
    "a host without devices has some of another version": Fault(
        "reasons are of what is there",
        {"a": host([vf(0, "vm-1")]), "b": host()},
        lambda plant: plant.method(
            "Reasons",
            "_why_no_option",
            lambda real: lambda *_: [Reason("driver_version", "b is older")],
        ),
    ),
    "a limit is named that nobody asked for": Fault(
        "reasons are of what is there",
        {"a": host([vf(0, "vm-1")]), "b": host()},
        lambda plant: plant.method(
            "Reasons", "_why_no_option", lambda real: lambda *_: [Reason("limit", "b is full")]
        ),
    ),
    "a shortage is of one device more": Fault(
        "status and shortage are true",
        made(vgpu(), vgpu(), available={"t4": 1}, pci_id="10de20b5", driver="nvidia"),
        lambda plant: plant.function(
            "find_shortage",
            lambda real: (
                lambda *arguments: dataclasses.replace(
                    real(*arguments), need=real(*arguments).need + 1
                )
            ),
        ),
    ),
}


# --- conditions ------------------------------------------------------------------------------------------------------


def answers(name: str, answer: t.Any) -> t.Callable[[Plant], None]:
    """Have a question about the conditions of a request answered always alike."""
    return lambda plant: plant.method("Conditions", name, lambda real: lambda *arguments: answer)


def requests_become(
    change: t.Callable[[t.Any, t.Any], dict[str, t.Any]],
) -> t.Callable[[Plant], None]:
    """Have the planner read another request than is made."""

    def make(real: t.Any) -> t.Any:
        def make_plan(fleet: t.Any, request: t.Any, *rest: t.Any, **others: t.Any) -> t.Any:
            request = dataclasses.replace(request, **change(fleet, request))
            return real(fleet, request, *rest, **others)

        return make_plan

    return lambda plant: plant.function("make_plan", make)


def conditions_become(**others: t.Any) -> t.Callable[[Plant], None]:
    """Have the planner read other conditions than are asked."""
    return requests_become(
        lambda fleet, request: {"conditions": dataclasses.replace(request.conditions, **others)}
    )


TWO_NODES = {
    "a": host([device(UUIDS[n], vgpu(), vm="vm-1", pid=10) for n in range(2)]),
    "b": host([device(UUIDS[5 + n], vgpu(), numa_node=n) for n in range(2)]),
}
FUNCTION: dict[str, t.Any] = {"kind": "pci", "parent": "0000:81:00.0"}
CONDITIONS = {
    "a limit is not read": Fault(
        "hosts receive no more than their limit",
        guests("vm-1", "vm-2"),
        answers("limit_of", None),
        {"drain": ["a"], "limit": {"b": 1}},
    ),
    "what has not moved is taken to have moved": Fault(
        "what was received is held there",
        guests("vm-1", "vm-2"),
        lambda plant: plant.function(
            "_is_held", lambda real: lambda device, by: device.host == by["host"]
        ),
        {
            "drain": ["a"],
            "limit": {"b": 2},
            "earlier": migration_plan(guests("vm-1", "vm-2"), drain=["a"], limit={"b": 1}),
        },
    ),
    "facts of a lost host are taken for newer ones": Fault(
        "lost hosts are known as of their facts",
        guests("vm-1"),
        lambda plant: plant.function(
            "gathered_at", lambda real: lambda facts: "2026-11-26T18:00:00Z"
        ),
        {"lost": ["a"]},
    ),
    "what guests take is not read": Fault(
        "hosts have what their guests take",
        guests("vm-1", "vm-2"),
        answers("resources", ()),
        {
            "drain": ["a"],
            "capacity": {
                "hosts": {"b": {"memory": 7}},
                "guests": {"vm-1": {"memory": 4}, "vm-2": {"memory": 4}},
            },
        },
    ),
    "what is to be spare is not read": Fault(
        "hosts have what their guests take",
        guests("vm-1"),
        answers("spare_of", 0),
        {
            "drain": ["a"],
            "capacity": {"hosts": {"b": {"memory": 7}}, "guests": {"vm-1": {"memory": 4}}},
            "spare": {"memory": 4},
        },
    ),
    "hosts to prefer are not read": Fault(
        "the cost is counted",
        {"a": host([vf(0, "vm-1")]), "b": host([vf(0)]), "c": host()},
        answers("prefers", True),
        {"drain": ["a"], "prefer": ["c"]},
    ),
    "what stays in a failure domain is not counted": Fault(
        "the cost is counted",
        {"a": host([vf(0, "vm-1")]), "b": host([vf(0)]), "c": host([vf(0, "vm-2")])},
        lambda plant: plant.function("_staying_on", lambda real: lambda *arguments: 0),
        {"drain": ["a"], "policy": "spread", "failure_domains": {"rack": ["b", "c"]}},
    ),
    "priority is not read": Fault(
        "guests move in the order of priority",
        {"a": host([vf(0, "vm-1"), vf(1, "vm-2")]), "b": host([vf(0)])},
        answers("rank_of", 0),
        {"drain": ["a"], "priority": {"vm-2": 1}},
    ),
    "groups are not read": Fault(
        "guests of a group are apart",
        guests("vm-1", "vm-2"),
        answers("groups_of", frozenset()),
        {"drain": ["a"], "apart": [["vm-1", "vm-2"]]},
    ),
    "links are not read": Fault(
        "no more guests move at a time than may",
        {
            "a": host([vf(n, f"vm-{n}", pid=n + 1) for n in range(2)]),
            "b": host([vf(n) for n in range(2)]),
        },
        lambda plant: plant.function("turns_of", lambda real: lambda moves: [1] * len(moves)),
        {"drain": ["a"], "concurrent_moves": {"links": {"rack": {"hosts": ["b"], "moves": 1}}}},
    ),
    "failure domains are not read": Fault(
        "guests of a group are apart",
        {
            "a": host([vf(0, "vm-1", pid=1), vf(1, "vm-2", pid=2)]),
            **{name: host([vf(0)]) for name in "bc"},
        },
        answers("domains_of", frozenset()),
        {
            "drain": ["a"],
            "apart": [["vm-1", "vm-2"]],
            "failure_domains": {"rack": ["b", "c"]},
        },
    ),
    "guests of a group meet on the way": Fault(
        "guests of a group are apart",
        {
            "a": host([vf(0, "vm-1"), vf(1)]),
            "b": host([vf(0, "vm-2"), vf(1)]),
        },
        lambda plant: plant.function("order_moves", lambda real: all_at_once),
        {"sources": ["vm-1", "vm-2"], "apart": [["vm-1", "vm-2"]], "targets": ["a", "b"]},
    ),
    "what is to be avoided is not read": Fault(
        "targets may receive",
        guests("vm-1"),
        answers("why_avoided", None),
        {"drain": ["a"], "avoid": [{"host": "b", "parent": GPU}]},
    ),
    "guests go where they may not": Fault(
        "targets may receive",
        guests("vm-1"),
        answers("refused_on", frozenset()),
        {"drain": ["a"], "avoid": [{"host": "b", "guest": "vm-1"}]},
    ),
    "a guest goes from one host where it may not": Fault(
        "targets may receive",
        guests("vm-1"),
        answers("refused_on", frozenset()),
        {"drain": ["a"], "avoid": [{"host": "b", "guest": "vm-1", "guest_host": "a"}]},
    ),
    "hosts that may not receive do": Fault(
        "targets may receive",
        guests("vm-1"),
        requests_become(lambda fleet, request: {"targets": ["b", "c"]}),
        {"drain": ["a"], "targets": ["c"]},
    ),
    "a drained host receives": Fault(
        "targets may receive",
        made(vgpu(), available={"t4": 1}, pci_id="10de20b5", driver="nvidia"),
        requests_become(lambda fleet, request: {"targets": ["b"]}),
        {"drain": ["a", "b"]},
    ),
    "a guest of a drained host is forgotten": Fault(
        "every source is known and planned once",
        guests("vm-1", "vm-2"),
        requests_become(lambda fleet, request: {"guests": request.guests[1:]}),
    ),
    "a guest is torn apart": Fault(
        "guests move as a whole",
        {
            "a": host([device(UUIDS[n], vgpu(), vm="vm-1", pid=10) for n in range(2)]),
            "b": host([device(UUIDS[5], vgpu())]),
            "c": host([device(UUIDS[6], vgpu())]),
        },
        requests_become(
            lambda fleet, request: {
                "guests": [
                    dataclasses.replace(guest, devices=(each,))
                    for guest in request.guests
                    for each in guest.devices
                ]
            }
        ),
    ),
    "NUMA nodes are not read": Fault(
        "guests stay on one numa node",
        TWO_NODES,
        lambda plant: plant.method(Resources, "numa_node", lambda real: lambda *_: None),
        {"drain": ["a"], "numa_local": True},
    ),
    "every device is on NUMA node 0": Fault(
        "guests stay on one numa node",
        TWO_NODES,
        devices_become(numa_node=0),
        {"drain": ["a"], "numa_local": True},
    ),
    "the GPUs of a guest are not read": Fault(
        "a guest gets one vgpu of a gpu",
        {
            "a": host(
                [cards.vgpu(n, 24, cards.function(cards.CARD, n), vm="vm", pid=7) for n in (0, 1)]
            ),
            "b": host(parents=cards.parents(number=2) + cards.parents(cards.OTHER_CARD, number=2)),
        },
        lambda plant: plant.method(Resources, "exclusive_place", lambda real: lambda *_: None),
        {"drain": ["a"], "distinct_gpus": True},
    ),
    "another kind will do": Fault(
        "devices keep their kind",
        moved(vgpu(), vgpu(), **FUNCTION),
        lambda plant: plant.function("REQUIREMENTS", lambda real: {}),
        {"drain": ["a"], "keep_kind": True},
    ),
    "another type will do": Fault(
        "devices keep their type",
        moved(vgpu(with_type("t{n:int:4,8}")), vgpu(type="t8")),
        lambda plant: plant.function("REQUIREMENTS", lambda real: {}),
        {"drain": ["a"], "keep_type": True},
    ),
    "what is there is taken to return": Fault(
        "existing targets are compatible",
        moved(vgpu(), vgpu(software_version="1.3.0")),
        lambda plant: plant.method("Candidates", "returns", lambda real: lambda *_: True),
        {"drain": ["a"], "round_trip": True},
    ),
    "what is made is taken to return": Fault(
        "new devices can return",
        made(gvt(), available=TWO),
        lambda plant: plant.method("Candidates", "made_returns", lambda real: lambda *_: True),
        {"drain": ["a"], "round_trip": True},
    ),
    "another direction is planned": Fault(
        "the plan is for what was asked",
        moved(vgpu(with_type("t8")), vgpu()),
        conditions_become(direction="either"),
    ),
    "another policy is planned": Fault(
        "the plan is for what was asked", guests("vm-1"), conditions_become(policy="spread")
    ),
    "another limit is stated": Fault(
        "the plan is for what was asked",
        guests("vm-1"),
        lambda plant: plant.method(
            "Conditions", "lasting", lambda real: lambda self: {**real(self), "limit": 7}
        ),
    ),
    "groups are not stated": Fault(
        "the plan is for what was asked",
        guests("vm-1"),
        lambda plant: plant.method(
            "Conditions", "lasting", lambda real: lambda self: {**real(self), "apart": []}
        ),
        {"drain": ["a"], "apart": [["vm-1", "vm-2"]]},
    ),
    "what nobody holds stays": Fault(
        "what stays has nothing to move",
        {
            "a": host([device(UUIDS[0], vgpu(), vm="vm-1"), device(UUIDS[1], vgpu())]),
            "b": host([device(UUIDS[2], vgpu()), device(UUIDS[3], vgpu())]),
        },
        lambda plant: plant.function(
            "_why_staying",
            lambda real: lambda device, which, left: None if device.in_use else "nobody holds it",
        ),
    ),
    "whoever holds a target is the guest that was to": Fault(
        "what stays has nothing to move",
        {
            "a": host([device(UUIDS[0], vgpu())]),
            "b": host([device(UUIDS[1], vgpu(), vm="vm-2")]),
            "c": host([device(UUIDS[2], vgpu())]),
        },
        lambda plant: plant.function("_is_guest", lambda real: lambda *_: True),
        {
            "drain": ["a"],
            "earlier": migration_plan(
                {
                    "a": host([device(UUIDS[0], vgpu(), vm="vm-1")]),
                    "b": host([device(UUIDS[1], vgpu())]),
                },
                drain=["a"],
            ),
        },
    ),
    "nothing is carried": Fault(
        "targets get the network settings of their sources",
        NETWORKS,
        lambda plant: plant.function("carried", lambda real: lambda *_: ({}, [])),
    ),
    "all functions are taken to have the same settings": Fault(
        "targets get the network settings of their sources",
        NETWORKS,
        devices_become(network=(("mac", "52:54:00:12:34:56"), ("vlan", 7))),
    ),
    "addresses are not compared": Fault(
        "a card has a mac address once",
        {
            "a": host(
                [vf(n, f"vm-{n}", network=NETWORKS["a"]["devices"][0]["network"]) for n in range(2)]
            ),
            "b": host([vf(n, network=UNSET) for n in (8, 9)]),
            "c": host([vf(16, network=UNSET)]),
        },
        lambda plant: plant.function("address_of", lambda real: lambda *_: None),
    ),
    "what is not set is not warned of": Fault(
        "placements warn of what they assume",
        {
            "a": host([vf(0, "vm-0", network={**UNSET, "vlan": 7})]),
            "b": host([vf(8)]),
        },
        lambda plant: plant.function("carried", lambda real: lambda *_: ({}, [])),
    ),
    "devices are used again": Fault(
        "existing targets are free",
        {
            "a": host([device(UUIDS[0], vgpu(flavour="x"), vm="vm-1", pid=1)]),
            "b": host([device(UUIDS[1], vgpu(flavour="x"), vm="vm-2", pid=2)]),
            "c": host([device(UUIDS[2], vgpu(flavour="x"))]),
        },
        conditions_become(reuse=True),
        {"sources": ["vm-1", "vm-2"], "targets": ["a", "b", "c"]},
    ),
}

FAULTS = {**ENGINE, **CAPACITY, **CONDITIONS}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_in_a_plan_is_left_out_whatever_made_it(fault, monkeypatch):
    plans = []

    def seen(plan: t.Any, *arguments: t.Any) -> list[Objection]:
        plans.append((plan, real(plan, *arguments)))
        return plans[-1][1]

    plant = Plant(monkeypatch)
    real = verify.objections
    plant.function("objections", lambda real: seen)
    migration_plan(fault.facts, **fault.asked)
    fault.plant(plant)
    plan = migration_plan(fault.facts, **fault.asked)
    (sound, nothing), (wrong, broken), *others = plans
    assert wrong != sound
    assert nothing == []
    assert any(each.sentence.startswith(f"{fault.rule}: ") for each in broken), broken
    # Either the rest of the plan is right, without its proof for one, or nothing moves.
    assert (others and others[-1][1] == []) or plan["placements"] == []
    told = [reason["reason"] for each in plan["unplaced"] for reason in each["reasons"]]
    told += plan.get("assumptions", ())
    forgotten = fault.rule == "every source is known and planned once"
    assert forgotten or any("the verifier objects" in each for each in told)


def test_each_group_has_faults():
    assert len(FAULTS) == len(ENGINE) + len(CAPACITY) + len(CONDITIONS) > 100
    assert {each.__name__.replace("_", " ") for _subject, each in verify.RULES} == {
        *(fault.rule for fault in FAULTS.values()),
        *SHOWN_BY_DAMAGE,
    }


# For each condition a fault by which a plan breaks it, and with which value of the condition the same plan would not break
# that rule. So a new condition needs a rule, and a fault that shows that the rule reads it.
BROKEN_BY: dict[str, tuple[str, t.Any]] = {
    # All rules go by the direction that the plan states, which one rule compares with what was asked.
    "direction": ("another direction is planned", "either"),
    "limit": ("a limit is not read", None),
    "capacity": ("what guests take is not read", {}),
    "spare": ("what is to be spare is not read", {}),
    "apart": ("groups are not read", ()),
    "failure_domains": ("failure domains are not read", {}),
    "prefer": ("hosts to prefer are not read", []),
    "priority": ("priority is not read", {}),
    "numa_local": ("NUMA nodes are not read", False),
    "distinct_gpus": ("the GPUs of a guest are not read", False),
    "keep_kind": ("another kind will do", False),
    "keep_type": ("another type will do", False),
    "round_trip": ("what is there is taken to return", False),
    "reuse": ("devices are used again", True),
    "concurrent_moves": ("links are not read", {}),
    "avoid": ("what is to be avoided is not read", {}),
    "drain": ("a drained host receives", None),
    "free_devices": ("what nobody holds stays", "none"),
    "targets": ("hosts that may not receive do", None),
}
# Conditions that no plan breaks, and why.
BROKEN_BY_NONE = {
    "policy": "it says which of two plans is better: what a plan comes to is in its cost, and the cost is counted",
}


def test_each_condition_has_a_rule_that_reads_it_or_an_excuse():
    assert sorted([*BROKEN_BY, *BROKEN_BY_NONE]) == sorted(OPTIONS)


@pytest.mark.parametrize("name", BROKEN_BY)
def test_a_plan_that_breaks_a_condition_is_refused_for_that(name, monkeypatch):
    fault, value = FAULTS[BROKEN_BY[name][0]], BROKEN_BY[name][1]
    seen: list[tuple[t.Any, ...]] = []
    plant = Plant(monkeypatch)
    real = verify.objections

    def noting(real: t.Any) -> t.Any:
        def objections(*given: t.Any) -> t.Any:
            seen.append(given)
            return real(*given)

        return objections

    plant.function("objections", noting)
    fault.plant(plant)
    migration_plan(fault.facts, **fault.asked)
    plan, facts, conditions, *others = seen[0]

    def broken(asked: Conditions) -> bool:
        found = real(plan, facts, asked, *others)
        return any(each.sentence.startswith(f"{fault.rule}: ") for each in found)

    # Any plan can state what it does not keep to.
    assert name == "direction" or fault.rule != "the plan is for what was asked"
    assert broken(conditions)
    assert not broken(dataclasses.replace(conditions, **{name: value}))


# No fault of one function makes plans that break these; test_verify.py has damaged plans that do.
SHOWN_BY_DAMAGE = {
    "new devices can be created",
    "placements say of sources what the facts say",
    "the tables say what the placements say",
}
