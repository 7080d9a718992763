# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fleets that a host in the wrong hands makes costly to plan for, each with less than 1 MB of facts a host."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet import check
from ansible_collections.vfio.migration.tests.unit.fleets import device, host, parent
from ansible_collections.vfio.migration.tests.unit.hostile_facts import management_device

Fleet = dict[str, t.Any]
MOST_BYTES = 1_000_000


def _device(number: int, mdev_type: str = "t0", vm: int | None = None, **others: t.Any) -> Fleet:
    own = {"software_version": "1.0", "device_api": "vfio-pci", "pci_id": "80865963"}
    own |= {"type": mdev_type, **others.pop("own", {})}
    return device(
        f"{number:08x}-1111-4222-8333-444444444444",
        {"self": own, "compatible": others.pop("compatible", [own])},
        vm=None if vm is None else f"vm-{vm}",
        pid=None if vm is None else 100 + vm,
        attributes=[],
        **others,
    )


def _parents(count: int, types: t.Sequence[str], driver: str = "x", **room: int) -> list[Fleet]:
    """Return parents with all of these types, no two of which have as many instances left."""
    least, different = room.get("least", 4), room.get("different", 3)
    return [
        parent(
            f"{number:04x}:00:02.0",
            available=dict.fromkeys(types, least + number % different),
            driver=driver,
        )
        for number in range(count)
    ]


def _types(count: int) -> list[str]:
    return [f"t{number}" for number in range(count)]


def _any_of(types: t.Sequence[str]) -> list[dict[str, str]]:
    names = ",".join(f'"{each}"' for each in types)
    own = {"software_version": "1.0", "device_api": "vfio-pci", "pci_id": "80865963"}
    return [own | {"type": f"{{x:string:{names}}}"}]


def one_guest(driver: str = "x", least: int = 4) -> Fleet:
    types = _types(8)
    devices = [
        _device(number, types[number % 8], vm=1, compatible=_any_of(types))
        for number in range(check.MAX_HELD)
    ]
    return {"z": host(devices), "a": host(parents=_parents(20, types, driver, least=least))}


def one_guest_of_shared_parents() -> Fleet:
    return one_guest("i915")


def one_guest_without_room() -> Fleet:
    return one_guest(least=1)


def guests_of_many_devices() -> Fleet:
    types = _types(8)
    devices = [
        _device(number, types[number * 7 % 8], vm=number // 16, compatible=_any_of(types))
        for number in range(1600)
    ]
    return {"z": host(devices), "a": host(parents=_parents(60, types, least=2, different=5))}


def guests_of_few_devices_without_room() -> Fleet:
    """Return guests of which most have no place: whichever has one, as many others have none, and a search for the best has no end."""
    types = _types(12)
    devices = [
        _device(number, types[number % 12], vm=number // 4, compatible=_any_of(types))
        for number in range(600)
    ]
    parents = _parents(20, types, "i915")
    for each in parents:
        for place, mdev_type in enumerate(each["types"]):
            mdev_type["resources"] = {f"r{n}": place * (n + 3) % 7 + 1 for n in range(8)}
    return {"z": host(devices), "a": host(parents=parents)}


def guests_of_many_kinds() -> Fleet:
    """Return guests whose devices are all of different kinds; each kind has places by itself, and not all together."""
    devices = [_device(n, f"t{n % 2}", vm=n // 64, own={"x": str(n % 200)}) for n in range(1200)]
    for number, each in enumerate(devices):
        own = each["descriptor"]["self"]
        each["descriptor"]["compatible"] = [own | {"x": str((number + k) % 200)} for k in range(4)]
    targets = [_device(5000 + n, f"t{n % 2}", own={"x": str(n % 200)}) for n in range(800)]
    return {"z": host(devices), "a": host(targets, parents=_parents(20, _types(2), "i915"))}


def guests_of_parents_of_many_types() -> Fleet:
    types = _types(100)
    devices = [_device(n, types[n % 100], vm=n // 64, numa_node=n % 2) for n in range(1200)]
    parents = _parents(40, types, "i915", least=2, different=7)
    for number, each in enumerate(parents):
        each["numa_node"] = number % 2
    return {"z": host(devices), "a": host(parents=parents)}


def many_kinds() -> Fleet:
    sources = [
        _device(n, f"t{n % 255}", vm=n, own={"x": str(n % 255)}, compatible=_any_of(_types(60)))
        for n in range(300)
    ]
    targets = [_device(1000 + n, f"t{n % 255}", own={"x": str(n % 255)}) for n in range(280)]
    return {"z": host(sources), "a": host(targets)}


def lists_that_overlap() -> Fleet:
    own = {"software_version": "1.0", "device_api": "vfio-pci", "pci_id": "80865963"}
    sources = [
        _device(
            n,
            f"t{n % 60}",
            vm=n // 3,
            own={"x": str(n % 60)},
            compatible=[own | {"type": f"t{(n + other) % 60}"} for other in range(8)],
        )
        for n in range(300)
    ]
    targets = [_device(1000 + n, f"t{n * 7 % 60}", own={"x": str(n % 60)}) for n in range(280)]
    return {"z": host(sources), "a": host(targets[:100]), "b": host(targets[100:])}


def many_parents() -> Fleet:
    types = _types(4)
    devices = [_device(n, vm=n, compatible=_any_of(types)) for n in range(800)]
    return {"z": host(devices), "a": host(parents=_parents(900, types, different=900))}


def many_types() -> Fleet:
    types = _types(200)
    devices = [_device(n, vm=n, compatible=_any_of(types[:100])) for n in range(500)]
    return {"z": host(devices), "a": host(parents=_parents(25, types, different=1))}


def nothing_alike() -> Fleet:
    count = check.MAX_DESCRIPTORS
    return {
        "z": host([_device(n, vm=n, own={"x": str(n)}) for n in range(count)]),
        "a": host([_device(5000 + n, own={"x": f"y{n}"}) for n in range(count)]),
    }


def long_lists() -> Fleet:
    own = {"software_version": "1.0", "device_api": "vfio-pci", "pci_id": "80865963"}
    sets = [own | {"type": "t0", "z": str(number)} for number in range(60)]
    return {
        "z": host([_device(n, vm=n, own={"x": str(n)}, compatible=sets) for n in range(120)]),
        "a": host([_device(5000 + n, own={"x": f"y{n}"}) for n in range(500)]),
    }


def a_host_that_cannot_migrate() -> Fleet:
    migration = {"supported": False, "evidence": "x" * check.MAX_EVIDENCE, "features": []}
    devices = [_device(n, vm=n // 64, migration=migration) for n in range(600)]
    return {"z": host(devices), "a": host(parents=_parents(2, _types(2)))}


def a_long_name() -> Fleet:
    facts = host([_device(n, vm=1) for n in range(2)])
    facts["devices"][0]["in_use"]["name"] = facts["devices"][1]["in_use"]["name"] = "x" * 900_000
    facts["devices"][1]["in_use"]["name"] = "y"
    return {"z": facts, "a": host(parents=_parents(2, _types(2)))}


def many_problems() -> Fleet:
    problems = [{"path": f"/sys/{n}", "problem": f"{n} is wrong"} for n in range(18_000)]
    return {
        "z": host([_device(1, vm=1)], problems=problems),
        "a": host(parents=_parents(2, ["t0"])),
    }


def _function(number: int, mac: str, vm: int | None = None) -> Fleet:
    own = {"software_version": "1.0", "device_api": "vfio-pci", "pci_id": "80865963", "type": "f"}
    place = f"0000:{number // 256:02x}"
    return device(
        f"{place}:{number // 8 % 32:02x}.{number % 8}",
        {"self": own, "compatible": [own]},
        vm=None if vm is None else f"vm-{vm}",
        pid=None if vm is None else 100 + vm,
        kind="pci",
        parent=f"{place}:00.0",
        network={"mac": mac},
    )


def few_addresses() -> Fleet:
    alike = check.MAX_OF_ADDRESS
    sources = [_function(n, f"02:00:00:00:00:{n // alike:02x}", vm=n) for n in range(1_600)]
    targets = {
        f"f{number:02}": host(
            [_function(n, f"02:00:00:01:{number:02x}:{n:02x}") for n in range(20)]
        )
        for number in range(60)
    }
    return {"z": host(sources), **targets}


def matrices() -> Fleet:
    """Return guests with AP queues of which most have some in common: each that a host takes leaves it in a state of its own."""
    features = "guest_matrix dyn ap_config"
    devices = []
    for number in range(500):
        own = {
            "device_api": "vfio-ap",
            "type": "vfio_ap-passthrough",
            "adapters": ",".join(f"{(number + other) % 256:02x}" for other in range(60)),
            "domains": f"{number % 256:02x},{number * 7 % 256:02x}",
            "features": features,
        }
        devices.append(_device(number, vm=number, own=own, parent="matrix"))
        del devices[-1]["descriptor"]["self"]["pci_id"]
        devices[-1]["descriptor"]["compatible"] = [devices[-1]["descriptor"]["self"]]
    there = parent(
        "matrix",
        pci_id=None,
        available={"vfio_ap-passthrough": 4000},
        driver="vfio_ap",
        device_api="vfio-ap",
    )
    there["self"] = {"features": features}
    return {"z": host(devices), "a": host(parents=[there])}


def management_devices() -> Fleet:
    """Return vDPA devices of different features, and parents of which no two offer the same."""
    devices = []
    for number in range(check.MAX_DESCRIPTORS):
        own = {
            "software_version": "1.0",
            "device_api": "vhost-vdpa",
            "type": "net",
            "mtu": str(number),
            **{f"feature_bit_{bit}": "offered" for bit in range(number % 30)},
        }
        each = _device(number, vm=number, compatible=[own], kind="vdpa", parent="m0")
        devices.append(each | {"id": f"d{number}", "type": "net"})
        devices[-1]["descriptor"]["self"] = own
    there = [
        management_device()
        | {"id": f"m{number}", "dev_features_mask": hex(number * 0x9E3779B97F4A7C15 % 2**64)}
        for number in range(500)
    ]
    return {"z": host(devices), "a": host(parents=there)}


def functions_of_cards() -> Fleet:
    """Return guests of several vGPUs, and cards whose functions state different room for the same types."""
    types = _types(12)
    devices = []
    for number in range(900):
        each = _device(number, types[number % 12], vm=number // 4, compatible=_any_of(types))
        for stated in (each["descriptor"]["self"], *each["descriptor"]["compatible"]):
            stated["driver"] = "nvidia"
        devices.append(each)
    there = _parents(200, types, "nvidia", least=1, different=5)
    for number, each in enumerate(there):
        each["physical_function"] = f"0000:41:{number // 20:02x}.0"
        for place, mdev_type in enumerate(each["types"]):
            mdev_type["max_instance"] = 2 + place * number % 30
            mdev_type["framebuffer"] = 1024 * (1 + place)
    return {"z": host(devices), "a": host(parents=there)}


def sets_of_many_choices() -> Fleet:
    """Return guests whose sets have two variables in several templates, and devices and types of which none is among them."""
    numbers = ",".join(map(str, range(40)))
    own = {"software_version": "1.0", "device_api": "vfio-pci", "pci_id": "80865963"}
    own |= {"type": f"{{a:int:{numbers}}}{{b:int:{numbers}}}", "x": "{a}{b}", "y": "{a}*{b}/{a}"}
    devices = [
        _device(
            *(number, f"t{number}", number),
            own={"x": str(number)},
            compatible=[own | {"q": str(each)} for each in range(8)],
        )
        for number in range(100)
    ]
    there = [
        _device(1000 + n, f"{n % 40}{n // 40}", own={"x": f"{n % 40}{n // 40}", "q": str(n % 8)})
        for n in range(500)
    ]
    return {"z": host(devices), "a": host(there, _parents(20, _types(30)))}


def beside_honest_hosts(fleet: Fleet, hosts: int = 24) -> Fleet:
    """Return a fleet with full hosts beside, no two of which have as many guests: whatever is asked of each is asked so often."""
    own = _any_of(_types(8))
    for number in range(hosts):
        first = 100_000 + 100 * number
        fleet[f"h{number:02}"] = host(
            [_device(first + n, vm=first + n, compatible=own) for n in range(2 + number)]
        )
    return fleet


FLEETS = (
    *(one_guest, one_guest_of_shared_parents, one_guest_without_room, guests_of_many_devices),
    *(guests_of_few_devices_without_room, guests_of_many_kinds, guests_of_parents_of_many_types),
    *(many_kinds, lists_that_overlap, many_parents, many_types, nothing_alike, long_lists),
    *(a_host_that_cannot_migrate, a_long_name, many_problems, few_addresses),
    *(matrices, management_devices, functions_of_cards, sets_of_many_choices),
)
