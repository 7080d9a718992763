# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sets that take longest to read, to match or to explain, of all within the limits that were ever found."""

from __future__ import annotations

BASE = {"device_api": "vfio-pci", "type": "t", "pci_id": "80865963"}
SELF = {**BASE, "software_version": "1.0"}


def integers(count: int, first: int = 0) -> str:
    return ",".join(map(str, range(first, first + count)))


def repeated(unit: str, head: str = "") -> str:
    """As long a value as there may be."""
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
