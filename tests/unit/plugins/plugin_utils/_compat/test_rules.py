# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of the guide "How verdicts come about", each with a test of its name, from text to verdict."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DescriptorError,
    decode,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import verdict
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import (
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Verdict
from ansible_collections.vfio.migration.tests.unit.fleets import sets

GUIDE = Path(__file__).parents[5] / "docs" / "docsite" / "rst" / "verdict_guide.rst"
BASE = "device_api=vfio-pci\ntype=t\npci_id=80865963\n"
SELF = BASE + "software_version=1.1.0\n"


def judged(
    compatible: str,
    own: str = SELF,
    source: str = SELF,
    direction: str = "source_lists",
    origin: str = "file",
) -> Verdict:
    """Return the verdict where the source lists ``compatible`` and the target, which lists nothing, is ``own``."""
    return verdict(
        read_descriptor(
            {"self": sets(source)[0], "compatible": sets(compatible), "origin": origin}
        ),
        read_descriptor({"self": sets(own)[0], "compatible": []}),
        direction,
    )


def fits(pattern: str, actual: str | None) -> bool:
    """Return whether a set whose attribute ``z`` is ``pattern`` describes a device whose ``z`` is ``actual``."""
    own = SELF if actual is None else f"{SELF}z={actual}\n"
    return judged(f"{BASE}z={pattern}\n", own)["compatible"]


def is_void(pattern: str) -> bool:
    reasons = judged(f"{BASE}z={pattern}\n", SELF + "z=1\n")["reasons"]
    return [reason["rule"] for reason in reasons] == ["void_set"]


def test_rule_lines():
    assert sets("a=1\n b = x y \n") == [{"a": "1", "b": "x y"}]
    with pytest.raises(DescriptorError):
        sets("a")


def test_rule_sets():
    assert len(sets("a=1\n\na=2\nCOMPATIBLE:\na=3")) == 3


def test_rule_first_equals():
    assert sets("a=b=c") == [{"a": "b=c"}]


def test_rule_names():
    assert sets("a_b.c-1=1") == [{"a_b.c-1": "1"}]
    for text in ("=1", "a b=1", "a/b=1", "x" * 256 + "=1"):
        with pytest.raises(DescriptorError):
            sets(text)


def test_rule_once():
    with pytest.raises(DescriptorError):
        sets("a=1\na=1")


def test_rule_ascii():
    for text in ("a=ä", "a=\x07"):
        with pytest.raises(DescriptorError):
            sets(decode(text.encode()))


def test_rule_limits():
    for text in (
        "a=" + "x" * 1025,
        "\n".join(f"n{n}=1" for n in range(65)),
        "\n\n".join(["a=1"] * 65),
    ):
        with pytest.raises(DescriptorError):
            sets(text)


def test_rule_older_names():
    assert sets("device_type=a\nmdev_type=b\ndevice_id=c\ninterface_version=d") == [
        {"device_api": "a", "pci_id": "c", "software_version": "d", "type": "b"}
    ]


def test_rule_quotes():
    assert sets('a="x y"\nb="x" "y"') == [{"a": "x y", "b": '"x" "y"'}]


def test_rule_device_api():
    assert judged(BASE.replace("vfio-pci", "vfio_pci"))["compatible"]


def test_rule_pci_id():
    assert judged(BASE.replace("80865963", "0x8086:0x5963"))["compatible"]
    for pattern in ('0x8086:{v:string:"5963"}', '8086{v:string:"0x:5963"}'):
        assert judged(BASE.replace("80865963", pattern))["compatible"]


def test_rule_musts_of_self():
    for name in ("software_version", "device_api", "type", "pci_id"):
        lines = [line for line in SELF.splitlines() if not line.startswith(name)]
        with pytest.raises(DescriptorError):
            read_descriptor({"self": sets("\n".join(lines))[0], "compatible": []})


def test_rule_musts_of_a_derived_self():
    own = sets("software_version=1.0\ndevice_api=vfio-pci\ntype=t")[0]
    assert read_descriptor({"self": own, "compatible": [], "origin": "derived"})


def test_rule_musts_of_a_set():
    for text in ("device_api=vfio-pci\n", "type=t\n"):
        assert judged(text)["reasons"][0]["rule"] == "void_set"


def test_rule_left_out():
    result = judged("device_api=vfio-pci\ntype=t\n")
    assert result["compatible"]
    assert result["warnings"] == [
        "the pattern states no pci_id: any is accepted",
        *result["warnings"][1:],
    ]


def test_rule_and():
    assert judged(BASE + "a=1\nb=2", SELF + "a=1\nb=2")["compatible"]
    assert not judged(BASE + "a=1\nb=2", SELF + "a=1\nb=3")["compatible"]


def test_rule_or():
    assert judged(f"{BASE}a=1\n\n{BASE}a=2", SELF + "a=2")["set"] == 1


def test_rule_vendor():
    assert judged(BASE, SELF + "vendor=x")["compatible"]
    assert not judged(BASE + "vendor=x", SELF)["compatible"]


def test_rule_empty():
    for pattern in ("", '""'):
        assert fits(pattern, None)
        assert fits(pattern, "")
        assert not fits(pattern, "x")


def test_rule_int():
    assert fits("{v:int:1,2}", "2")
    assert not fits("{v:int:1,2}", "3")


def test_rule_string():
    assert fits('{v:string:"a,b","c"}', "a,b")
    assert not fits('{v:string:"a,b","c"}', "a")
    assert fits('x{v:string:"{","{{w}}"}', "x{{w}}")


def test_rule_again():
    assert judged(f"{BASE}a={{v}}\nb=x{{v:int:1,2}}", SELF + "a=2\nb=x2")["compatible"]
    assert not judged(f"{BASE}a={{v}}\nb=x{{v:int:1,2}}", SELF + "a=2\nb=x1")["compatible"]


def test_rule_scope():
    result = judged(f"{BASE}z={{v:int:1}}\n\n{BASE}z={{v}}", SELF + "z=2")
    assert [reason["rule"] for reason in result["reasons"]] == ["one_of", "void_set"]


def test_rule_arithmetic():
    assert fits("({v:int:3} + 1) * 2", "8")
    assert not fits("V{v:int:4}/2", "V2")
    assert fits("V{v:int:4}/2", "V4/2")
    assert fits("({v:int:4})", "(4)")
    assert fits('{v:string:"4"}/2', "4/2")


def test_rule_precedence():
    assert fits("1 + {v:int:6}/3*2 - -1", "6")
    assert fits("{v:int:7} % 4", "3")


def test_rule_exact():
    assert not fits("{v:int:1}/2", "0")
    assert fits("{v:int:1}/2*2", "1")


def test_rule_zero():
    assert not fits("1/{v:int:0}", "0")
    assert fits("1/{v:int:0,1}", "1")


def test_rule_text():
    assert fits("V5_{v:int:1,2}", "V5_2")
    assert not fits("V5_{v:int:1,2}", "V5_02")


def test_rule_braces():
    assert fits("{{v}}", "{v}")


def test_rule_compare_integers():
    assert fits("{v:int:4}", "04")
    assert not fits("{v:int:4}", "4.0")
    assert not fits("4", "04")


def test_rule_void_undeclared():
    assert is_void("{v}")


def test_rule_void_two_declarations():
    assert is_void("{v:int:1}{v:int:2}")
    assert is_void("{v:int:1,2}{v:int:2,1}")
    assert not is_void("{v:int:1}{v:int:1}")


def test_rule_void_brace():
    assert is_void("{")
    assert is_void("x}")


def test_rule_void_type():
    assert is_void("{v:real:1}")


def test_rule_void_syntax():
    assert is_void("{v:int:1}+")
    assert is_void("({v:int:1}+1")


def test_rule_void_version():
    (reason,) = judged(BASE + "software_version=1")["reasons"]
    assert (reason["attribute"], reason["rule"]) == ("software_version", "void_set")
    assert judged(BASE + "software_version={v:int:2,1}.0")["compatible"]
    assert not judged(BASE + "software_version={v:int:2,0}.0")["compatible"]


def test_rule_void_limit():
    values = ",".join(map(str, range(64)))
    first, second, third = (f"{{{name}:int:{values}}}" for name in "abc")
    # Each variable by itself, and two that stand together.
    assert judged(f"{BASE}x={first}\ny=x{second}\nz={third}+1\n", f"{SELF}x=1\ny=x2\nz=4\n")[
        "bindings"
    ] == {"a": 1, "b": 2, "c": 3}
    assert judged(f"{BASE}z={first}*{second}\n", f"{SELF}z=3969\n")["compatible"]
    for large in (
        f"z={first}{second}{third}\n",
        f"x={first}\ny={second}\nz={{a}}-{{b}}+{third}\n",
        "".join(f"n{n}={'{v:int:1}' + '{v}' * 330}\n" for n in range(50)),
    ):
        (reason,) = judged(BASE + large)["reasons"]
        assert reason["rule"] == "void_set"
        assert "a smaller set" in reason["expected"]


def test_rule_void_others():
    assert judged(f"{BASE}z={{\n\n{BASE}")["set"] == 1


def test_rule_version():
    for version, rule in {
        "1.1.0": None,
        "1.1.9": None,
        "1.2": None,
        "1.0.9": "version_minor",
        "2.1": "version_major",
        "0.9": "version_major",
    }.items():
        own = SELF.replace("1.1.0", version)
        assert [reason["rule"] for reason in judged(BASE, own)["reasons"]] == (
            [rule] if rule else []
        )


def test_rule_version_stated():
    assert judged(BASE + "software_version=1.0", SELF.replace("1.1.0", "1.0.5"))["compatible"]
    assert not judged(BASE + "software_version=1.2", SELF)["compatible"]


def in_order(direction: str, source: int | str, target: str, origin: str = "derived") -> list[str]:
    reasons = judged(f"{BASE}z={{{direction}:{source}}}", SELF + f"z={target}\n", origin=origin)
    return [f"{each['rule']}: {each['expected']}" for each in reasons["reasons"]]


def accepted(direction: str, source: str, target: int | str) -> bool:
    """Return whether a target whose own set has an order accepts a source."""
    listing = {"self": sets(SELF)[0], "compatible": sets(f"{BASE}z={{{direction}:{target}}}")}
    return verdict(
        read_descriptor({"self": sets(f"{SELF}z={source}")[0], "compatible": []}),
        read_descriptor({**listing, "origin": "derived"}),
        "target_accepts",
    )["compatible"]


def test_rule_rising():
    assert in_order("rising", 9, "9") == in_order("rising", 9, "10") == []
    assert in_order("rising", 9, "8") == in_order("rising", 9, "x") == ["order: 9 or more"]
    assert accepted("rising", "9", 10)
    assert not accepted("rising", "10", 9)
    assert in_order("rising", "9,4", "9,5") == []
    for other in ("8,5", "9", "9,4,4", "9,x"):
        assert in_order("rising", "9,4", other) == ["order: 9,4 or more, each"]


def test_rule_falling():
    assert in_order("falling", 9, "9") == in_order("falling", 9, "8") == []
    assert in_order("falling", 9, "10") == in_order("falling", 9, "-1") == ["order: 9 or less"]
    assert accepted("falling", "10", 9)
    assert not accepted("falling", "9", 10)
    assert in_order("falling", "9,4", "8,4") == []
    assert in_order("falling", "9,4", "8,5") == ["order: 9,4 or less, each"]


def test_rule_none():
    for source in ("", "05", "05,0a"):
        assert in_order("none", source, "") == []
        assert in_order("none", source, "06") == ["order: "]
    # The other way round it is the target's own that matters.
    assert accepted("none", "05", "")
    assert not accepted("none", "", "06")


def test_rule_order_is_derived():
    for rule in ("rising", "none"):
        (reason,) = in_order(rule, 9, "9", origin="file")
        assert reason.startswith("void_set")


def test_rule_direction():
    lists = {"self": sets(SELF)[0], "compatible": sets(BASE)}
    silent = {"self": sets(SELF)[0], "compatible": []}
    for direction, there, back in (
        ("source_lists", True, False),
        ("target_accepts", False, True),
        ("both", False, False),
        ("either", True, True),
    ):
        one, other = read_descriptor(lists), read_descriptor(silent)
        assert verdict(one, other, direction)["compatible"] == there
        assert verdict(other, one, direction)["compatible"] == back
        assert verdict(one, other, direction)["direction_conflict"]


def named_in_the_guide(section: str) -> list[str]:
    text = GUIDE.read_text(encoding="utf-8").partition(f"{section}\n---")[2].partition("\n---")[0]
    return sorted(re.findall(r"^   \* - ``([a-z_-]+)``$", text, re.MULTILINE))


def test_the_guide_and_the_tests_name_the_same_rules():
    tested = [name for name in globals() if name.startswith("test_rule_")]
    rules = sorted(name[len("test_rule_") :].replace("_", "-") for name in tested)
    assert named_in_the_guide("The rules") == rules


def test_the_guide_names_every_reason():
    reasons = [
        "configuration",
        "equal",
        "expression",
        "no_descriptor",
        "one_of",
        "order",
        "present",
    ]
    assert named_in_the_guide("What a verdict says") == [
        *reasons,
        *("version_major", "version_minor", "void_set"),
    ]
