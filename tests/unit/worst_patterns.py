# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sets that take longest to read, to match or to explain, of all within the limits that were ever found."""

from __future__ import annotations

import typing as t

from ansible_collections.vfio.migration.tests.unit.fleets import device, host, parent

BASE = {"device_api": "vfio-pci", "type": "t", "pci_id": "80865963"}
SELF = {**BASE, "software_version": "1.0"}


def integers(count: int, first: int = 0) -> str:
    return ",".join(map(str, range(first, first + count)))


def repeated(unit: str, head: str = "") -> str:
    """Return as long a value as there may be."""
    return head + unit * ((1024 - len(head)) // len(unit))


# What is written in a set, and the value that every attribute of the device has.
SETS = {
    "texts": ({f"n{n}": "{{" * 512 for n in range(60)}, "{" * 512),
    "references": ({f"n{n}": repeated("{v}", "{v:int:1}") for n in range(7)}, "1" * 339),
    "references everywhere": (
        {f"n{n}": repeated("{v}", "{v:int:1}") for n in range(60)},
        "1" * 339,
    ),
    "declarations": (
        {f"n{n}": "".join(f"{{v{n}_{m}:int:1}}" for m in range(17)) for n in range(60)},
        "1" * 17,
    ),
    "values": ({f"n{n}": f"{{v{n}:int:{integers(270)}}}" for n in range(19)}, "269"),
    "values in texts": ({f"n{n}": f"x{{v{n}:int:{integers(270)}}}" for n in range(19)}, "x269"),
    "arithmetic": ({f"n{n}": f"{{v{n}:int:1}}" + "+1" * 25 for n in range(60)}, "2"),
    "long arithmetic": ({f"n{n}": repeated("+1", f"{{v{n}:int:1}}") for n in range(3)}, "1"),
    "large numbers": ({"n": repeated("*{v}", "{v:int:999999999999999999}")}, "1"),
    "large fractions": (
        {f"n{n}": repeated("+1/{v}", "{v:int:999999999999999999}") for n in range(4)},
        "1",
    ),
    "large nested fractions": (
        {
            f"n{n}": "(" * 100 + "{v:int:999999999999999997,999999999999999999}" + "/{v}+1)" * 100
            for n in range(3)
        },
        "1",
    ),
    "4,096 products": (
        {"n": "*".join(f"{{v{n}:int:{integers(16, 1)}}}" for n in range(3))},
        "4097",
    ),
    "4,096 quotients and a long value": (
        {"n": "/".join(f"{{v{n}:int:{integers(64, 1)}}}" for n in range(2))},
        "9" * 1024,
    ),
    "five variables of a hundred values in one sum": (
        {
            **{f"n{n}": f"{{v{n}:int:{integers(100)}}}" for n in range(5)},
            "sum": "+".join(f"{{v{n}}}" for n in range(5)),
        },
        "495",
    ),
    "a sum of five": (
        {"sum": "+".join(f"{{v{n}:int:{integers(50)}}}" for n in range(5))},
        "9999",
    ),
    "ambiguous text": (
        {"n": "".join(f'{{v{n}:string:"x","xx"}}' for n in range(40))},
        "x" * 60 + "y",
    ),
    "versions": (
        {"software_version": f"{{a:int:{integers(64)}}}.{{b:int:{integers(64, 1)}}}"},
        "1",
    ),
    "versions of long texts": (
        {
            "software_version": '{a:string:"1.0"}{b}{c}',
            **{n: f"x{{{n}:string:" + ",".join(f'"{m}"' for m in range(170)) + "}" for n in "bc"},
        },
        "1",
    ),
    "texts that share variables": (
        {
            f"n{n}_{m}": f"{{v{n}:int:1,11,111}}{{v{m}:int:1,11,111}}"
            for n in range(10)
            for m in range(n)
        },
        "11111",
    ),
    "a chain of texts": (
        {f"n{n}": f"{{v{n}:int:0,1}}{{v{(n + 1) % 30}}}" for n in range(30)},
        "01",
    ),
    "a choice that the rest does not bear out": (
        {
            "a": "".join(f"{{x{n}:int:1,11}}" for n in range(30)),
            "b": "{v:int:" + "7," * 400 + "5}",
            "c": "{v}+{x0}+{x1}",
            "d": "{v}",
        },
        "1" * 33,
    ),
    "long values": (
        {
            **{f"n{n}": f'y{{s{n}:string:"{"a" * 490}","{"b" * 490}"}}' for n in range(12)},
            "software_version": "".join(f"{{s{n % 12}}}" for n in range(200)),
        },
        "y" + "a" * 490,
    ),
}
WORST = {
    name: ({**BASE, **values}, {**SELF, **dict.fromkeys(values, actual), "software_version": "9.0"})
    for name, (values, actual) in SETS.items()
}

# What a set states, and the values of the device with a number: sets whose components must not be multiplied, and those
# that are nearly too large.
_IN_FLEETS: dict[str, tuple[dict[str, str], t.Callable[[int], dict[str, str]]]] = {
    "8 variables of 8 values": (
        {f"a{n}": f"{{v{n}:int:{integers(8)}}}" for n in range(8)},
        lambda number: {f"a{n}": str((number >> n) % 9) for n in range(8)},
    ),
    "3 variables of 64 values": (
        {f"a{n}": f"{{v{n}:int:{integers(64)}}}" for n in range(3)},
        lambda number: {f"a{n}": str(number * (n + 1) % 66) for n in range(3)},
    ),
    "3 variables of 64 values in one text": (
        {"a": "x" + "-".join(f"{{v{n}:int:{integers(64)}}}" for n in range(3))},
        lambda number: {"a": f"x{number % 64}-1-2"},
    ),
    "11 variables of 32 values": (
        {f"a{n}": f"{{v{n}:int:{integers(32)}}}" for n in range(11)},
        lambda number: {f"a{n}": str(number * (n + 1) % 33) for n in range(11)},
    ),
    "texts that share variables": (
        {f"n{n}_{m}": f"{{v{n}:int:1,11}}{{v{m}:int:1,11}}" for n in range(7) for m in range(n)},
        lambda number: {
            f"n{n}_{m}": "1" * (2 + (number >> n) % 3) for n in range(7) for m in range(n)
        },
    ),
    "texts that share too many variables": (
        {
            f"n{n}_{m}": f"{{v{n}:int:1,11,111}}{{v{m}:int:1,11,111}}"
            for n in range(10)
            for m in range(n)
        },
        lambda number: {f"n{n}_{m}": "1" * (2 + number % 4) for n in range(10) for m in range(n)},
    ),
    "two variables of 64 values and their sum": (
        {"a": f"{{v:int:{integers(64)}}}", "b": f"{{w:int:{integers(64)}}}", "c": "{v}+{w}"},
        lambda number: {"a": str(number % 66), "b": "2", "c": str(number % 66 + number % 5)},
    ),
    "versions": (
        {"software_version": f"{{a:int:{integers(26, 1)}}}.{{b:int:{integers(26)}}}"},
        lambda number: {"software_version": f"{number % 28}.{number % 30}.{number}"},
    ),
    "a variable everywhere": (
        {**{f"a{n}": "{v}" for n in range(50)}, "b": f"{{v:int:{integers(200)}}}"},
        lambda number: {**{f"a{n}": str(number + n * number % 3) for n in range(50)}, "b": "7"},
    ),
}
IN_FLEETS = tuple(_IN_FLEETS)


def fleet(name: str, hosts: int) -> dict[str, t.Any]:
    """Return the facts of hosts with a device each, whose sets are of one kind and whose classes differ."""
    values, own = _IN_FLEETS[name]
    return {
        f"host{number:03d}": host(
            [
                device(
                    f"{number:08d}-1111-4222-8333-444444444444",
                    {
                        # Every fourth has a list of its own.
                        "compatible": [{**BASE, **values, "n": str(number % 4 and 1)}],
                        "self": {**SELF, **own(number), "n": str(number % 7 and 1)},
                    },
                    vm=f"vm-{number}" if number < 3 else None,
                )
            ],
            [parent(available={"t": 2})] if number % 50 == 49 else [],
        )
        for number in range(hosts)
    }
