# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts of a host in the wrong hands: right ones with anything anywhere in them, always the same for the same seed."""

from __future__ import annotations

import json
import random
import typing as t

from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, gvt, host, parent

Path = tuple[t.Any, ...]


def _nested(depth: int) -> list[t.Any]:
    found: list[t.Any] = []
    for _level in range(depth):
        found = [found]
    return found


# What stands where something else should. Some are no JSON: facts may also come from a file or an inventory.
VALUES: tuple[t.Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 7, 2**31, 2**64, 10**5000, -(10**5000), 1.5),
    *(float("nan"), float("inf"), "", "x", "\udcff", "a\ud800b", "\0", "\x1b[2J", "\u202e"),
    *("x" * 300, "x" * 5000, "²", "0x2", "1_0", "-1", "+1", " 2 ", "9" * 5000),
    *("{a:int:1,2}", "{a}", "{", "}}", '{a:string:"b"}/{b:int:0}', "1/0", "1.0.0", "1"),
    *("mdev", "pci", "vdpa", "foo", "vhost-vdpa", "vfio-pci", "net", "0xffffffffffffffff"),
    *("declared", "derived", "vm-1", "a", "b", "../../etc", "{{ 7 * 7 }}", "aggregator"),
    *([], {}, [[]], [{}], {"": ""}, {"a": 1}, {1: 2}, {None: None}, {"name": []}, b"x", (1, 2)),
    *({"pid": 1, "name": "vm-1"}, {"pid": -1, "name": None}, {"pid": None, "name": []}),
    *([{"name": "aggregator", "value": "2"}] * 70, {"self": {}}, _nested(50), _nested(200_000)),
    *(["x"] * 5000, {str(number): number for number in range(5000)}),
)


def management_device() -> dict[str, t.Any]:
    """Return a parent that vDPA devices can be made on."""
    return {
        "kind": "vdpa",
        "id": "pci/0000:01:00.0",
        "driver": "mlx5_core",
        "pci_id": "15b3101e",
        "numa_node": 0,
        "types": [
            {
                "id": "net",
                "name": None,
                "device_api": "vhost-vdpa",
                "available_instances": 1,
                "description": None,
            }
        ],
        "supported_classes": ["net"],
        "max_supported_vqs": 64,
        "dev_features": ["MTU"],
        "dev_features_mask": "0x300000020",
    }


def right() -> dict[str, t.Any]:
    """Return facts as a host may have them, with something of every kind."""
    function = device("0000:01:10.0", gvt("8", "4"), kind="pci")
    function["attributes"][0]["choices"] = ["1", "2"]
    function["network"] = {"mac": "52:54:00:12:34:56", "vlan": 7, "trust": True, "proto": "802.1Q"}
    net = {"software_version": "1.0", "device_api": "vhost-vdpa", "type": "net", "mtu": "1500"}
    net |= {"feature_MTU": "offered"}
    return host(
        [
            device(UUIDS[0], gvt(), vm="vm-1", pid=4711),
            device(UUIDS[1], gvt("8", "4"), numa_node=None),
            device(UUIDS[2], gvt("8", "4"), vm="vm-2", pid=4712),
            function,
            device("net0", {"self": net, "compatible": [net]}, kind="vdpa", type="net"),
        ],
        [parent(), management_device()],
        [{"path": "/sys/x", "problem": "odd"}],
    )


_RIGHT = json.dumps(right())


def hostile(seed: int) -> t.Any:
    """Return facts with one to four things in them that are replaced, left out, doubled or under another key."""
    chance = random.Random(seed)
    facts = json.loads(_RIGHT)
    for _number in range(chance.choice((1, 1, 1, 2, 4))):
        *above, key = chance.choice([path for path, _node in _nodes(facts) if path] or [(None,)])
        value = _copied(chance.choice(VALUES))
        place = facts
        for each in above:
            place = place[each]
        if key is None or not chance.randrange(100):
            return value
        _change(place, key, value, chance.randrange(8))
    return facts


def each_left_out() -> t.Iterator[tuple[Path, t.Any]]:
    """Yield where one key or element is left out of right facts, and these facts."""
    for path, _node in _nodes(right()):
        if path:
            facts = right()
            place = facts
            for each in path[:-1]:
                place = place[each]
            del place[path[-1]]
            yield path, facts


def _copied(value: t.Any, depth: int = 9) -> t.Any:
    """Return a value whose parts may be changed, as deep as they are, without a change for other facts."""
    if depth and isinstance(value, list):
        return [_copied(each, depth - 1) for each in value]
    if depth and isinstance(value, dict):
        return {key: _copied(each, depth - 1) for key, each in value.items()}
    return value


def _change(place: t.Any, key: t.Any, value: t.Any, way: int) -> None:
    if way == 0 and isinstance(place, dict):
        del place[key]
    elif way == 0:
        place.append(place[key])
    elif way == 1 and isinstance(place, dict) and isinstance(value, t.Hashable):
        place[value] = place.pop(key)
    elif way == 2 and isinstance(place[key], str):
        # A value in one attribute set or type, where only a part of it is odd.
        place[key] += value if isinstance(value, str) else str(type(value))
    else:
        place[key] = value


def _nodes(data: t.Any, path: Path = ()) -> t.Iterator[tuple[Path, t.Any]]:
    yield path, data
    if len(path) > 7 or not isinstance(data, (dict, list)) or len(data) > 100:
        return
    for key in data if isinstance(data, dict) else range(len(data)):
        yield from _nodes(data[key], (*path, key))
