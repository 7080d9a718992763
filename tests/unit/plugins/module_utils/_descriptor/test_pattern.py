# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The template language and what a set matches."""

from __future__ import annotations

import itertools
import sys

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.pattern import (
    MAX_SIZE,
    Pattern,
    match,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.template import (
    InvalidPattern,
)
from ansible_collections.vfio.migration.tests.unit.fleets import COMPATIBLE, gvt_self, sets
from ansible_collections.vfio.migration.tests.unit.worst_patterns import (
    BASE,
    SELF,
    WORST,
    integers,
)
from hypothesis import given
from hypothesis import strategies as st


def matched(value: str, actual: str | None, **others: str) -> dict:
    """Return how attribute ``z`` with pattern ``value`` matches a device whose ``z`` is ``actual``."""
    subject = dict(SELF) if actual is None else {**SELF, "z": actual}
    return match([{**BASE, "z": value, **others}], subject)


def matches(value: str, actual: str | None, **others: str) -> bool:
    return matched(value, actual, **others)["set"] == 0


@pytest.mark.parametrize(
    ("mdev_type", "aggregator", "bound"),
    [("2", "1", 2), ("4", "2", 4), ("8", "4", 8), ("1", "1", None), ("1", "0", None)]
    + [("4", "4", None), ("3", "2", None)],
)
def test_the_proposals_example_means_three_devices(mdev_type, aggregator, bound):
    result = match(sets(COMPATIBLE), gvt_self(mdev_type, aggregator))
    assert result["set"] == (None if bound is None else 0)
    assert result["bindings"] == ({} if bound is None else {"val1": bound})


@pytest.mark.parametrize(
    ("value", "good", "bad"),
    [
        ("plain", ["plain"], ["", "Plain", None]),
        ("{v:int:1,2,4}", ["1", "2", "4", "04"], ["3", "", "x", "1.0", None]),
        ("{v:int:-1}", ["-1"], ["1"]),
        ("{ v : int : 1 , 2 }", ["1", "2"], ["3"]),
        ('{v:string:"none","none+ppgtt"}', ["none", "none+ppgtt"], ['"none"', "ppgtt"]),
        ('{v:string:"a,b","c}"}', ["a,b", "c}"], ["a", "b"]),
        ("V5_{v:int:1,8}", ["V5_1", "V5_8"], ["V5_01", "V5_", "V5_2", "xV5_1"]),
        ("nvme://{v:int:1,2}/2", ["nvme://1/2", "nvme://2/2"], ["1", "nvme://1"]),
        ("{v:int:4}/2", ["2"], ["4", "4/2", "2.0"]),
        ("({v:int:1,2} + 3) * 2 - 10 % 4", ["6", "8"], ["7"]),
        ("-{v:int:2}", ["-2"], ["2"]),
        ("7 - {v:int:2} - 1", ["4"], ["6"]),
        ("{v:int:8}/{w:int:2}/2", ["2"], ["8"]),
        ("{v:int:3}/2*2", ["3"], ["2"]),
        ("{v:int:1,2}/2", ["1"], ["0", "1/2"]),
        ("{v:int:4}/{w:int:0,2}", ["2"], ["0", "4"]),
        ("{v:int:7}%{w:int:0}", [], ["7", "0"]),
        ("{v:int:1,2}{v}", ["11", "22"], ["12", "21"]),
        ("{v:int:1,11}{w:int:1,11}", ["11", "111", "1111"], ["1"]),
        ("{{{v:int:1}}}", ["{1}"], ["1"]),
        ("{{v}}", ["{v}"], ["v"]),
        ("({v:int:1})", ["(1)"], ["1"]),
        ("", ["", None], ["x"]),
    ],
)
def test_every_construct_matches_what_it_means_and_nothing_else(value, good, bad):
    assert [actual for actual in good if not matches(value, actual)] == []
    assert [actual for actual in bad if matches(value, actual)] == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{v}", "a declaration of 'v' somewhere in the set at column 1"),
        ("x{", "the name of a variable, or '{{' for a literal brace at column 3"),
        ("x}", "'}}' for a literal brace at column 2"),
        ("{v:real:1}", "the type int or string at column 4"),
        ("{v:int:1;2}", "an integer of at most 18 digits, then ',' or '}' at column 8"),
        ("{v:int:}", "an integer of at most 18 digits, then ',' or '}' at column 8"),
        ("{v:int:1,}", "an integer of at most 18 digits, then ',' or '}' at column 10"),
        (
            "{v:int:1234567890123456789}",
            "an integer of at most 18 digits, then ',' or '}' at column 8",
        ),
        ("{v:string:a}", "a string in double quotes, then ',' or '}' at column 11"),
        ('{v:string:"a}', "a string in double quotes, then ',' or '}' at column 11"),
        ("{v:int:1", "an integer of at most 18 digits, then ',' or '}' at column 8"),
        ("{v:int:1}{v:int:2}", "the same values for 'v' wherever it is declared at column 12"),
        ("{v:int:1}+1234567890123456789", "an integer of at most 18 digits at column 11"),
        ("{v:int:1}+", "an integer or a variable after the last operator at column 10"),
        ("{v:int:1}+*2", "an integer, a variable, '-' or '(' at column 11"),
        ("({v:int:1}+2", "a ')' for every '(' at column 12"),
        ("{v:int:1}+2)", "no ')' without its '(' at column 12"),
        ("2{v:int:1}+2", "an operator or ')' at column 2"),
    ],
)
def test_a_set_that_breaks_a_rule_is_void_and_says_where(value, expected):
    result = matched(value, "1")
    assert result["set"] is None
    assert result["reasons"] == [
        {"set": 0, "attribute": "z", "rule": "void_set", "expected": expected, "actual": None}
    ]


@pytest.mark.parametrize("name", ["device_api", "type"])
def test_a_set_that_leaves_out_device_api_or_type_is_void(name):
    pattern = {key: value for key, value in BASE.items() if key != name}
    (reason,) = match([pattern], SELF)["reasons"]
    assert (reason["attribute"], reason["rule"]) == (name, "void_set")


def test_the_other_sets_of_a_void_one_still_count():
    result = match([{**BASE, "z": "{"}, BASE], SELF)
    assert result["set"] == 1


def test_a_variable_has_one_value_in_the_whole_set_wherever_it_is_declared():
    pattern = {**BASE, "a": "{v}", "b": "x{v:int:1,2}", "c": "{v}*2"}
    subject = {**SELF, "a": "2", "b": "x2", "c": "4"}
    assert match([pattern], subject)["bindings"] == {"v": 2}
    for name, value in {"a": "1", "b": "x1", "c": "2"}.items():
        assert match([pattern], {**subject, name: value})["set"] is None


def test_the_scope_of_a_variable_is_one_set():
    patterns = [{**BASE, "z": "{v:int:1}"}, {**BASE, "z": "{v:int:2}"}]
    assert match(patterns, {**SELF, "z": "2"})["set"] == 1


def test_the_same_declaration_twice_is_one_variable():
    assert matches("{v:int:1,2}-{v:int:1,2}", "0")


def test_device_api_and_pci_id_compare_in_their_normal_spelling_inside_templates_too():
    pattern = {
        "device_api": 'vfio_{a:string:"pci","ccw"}',
        "type": "t",
        "pci_id": '8086:{p:string:"5963","591D"}',
    }
    assert match([pattern], {**SELF, "pci_id": "8086591d"})["set"] == 0


@pytest.mark.parametrize(
    ("source", "target", "rule"),
    [
        ("1.2.3", "1.2.0", None),
        ("1.2", "1.3.9", None),
        ("0.1.0", "0.2.0", None),
        ("1.2.3", "1.1.9", "version_minor"),
        ("1.10", "1.9", "version_minor"),
        ("1.0", "2.0", "version_major"),
        ("2.0", "1.9", "version_major"),
    ],
)
def test_the_target_serves_the_source_with_an_equal_major_and_no_smaller_minor(
    source, target, rule
):
    outward = match([BASE], {**SELF, "software_version": target}, source)
    inward = match([BASE], {**SELF, "software_version": source}, target, subject_is_target=False)
    stated = match(
        [{**BASE, "software_version": source}], {**SELF, "software_version": target}, "9.9"
    )
    for result in (outward, inward, stated):
        assert [reason["rule"] for reason in result["reasons"]] == ([rule] if rule else [])


def test_without_any_version_to_compare_none_is_compared():
    assert match([BASE], SELF)["set"] == 0


def test_a_version_may_be_a_template():
    pattern = {**BASE, "software_version": "{v:int:1,3}.2.0"}
    for version, good in (("1.2.9", True), ("3.4", True), ("2.2", False), ("3.1", False)):
        found = match([pattern], {**SELF, "software_version": version})
        assert (found["set"] == 0) == good


def test_a_pattern_without_pci_id_accepts_any_and_warns():
    pattern = {"device_api": "vfio-pci", "type": "t"}
    result = match([pattern], SELF)
    assert result["set"] == 0
    assert result["warnings"] == ["the pattern states no pci_id: any is accepted"]


def test_reasons_name_expected_and_actual_of_the_nearest_binding():
    pattern = sets(COMPATIBLE)
    (reason,) = match(pattern, gvt_self("4", "4"))["reasons"]
    assert reason == {
        "set": 0,
        "attribute": "aggregator",
        "rule": "expression",
        "expected": "2",
        "actual": "4",
    }
    reasons = match(pattern, gvt_self("1", "1", pci_id="8086591d"))["reasons"]
    assert [(r["attribute"], r["rule"], r["expected"]) for r in reasons] == [
        ("aggregator", "expression", "no value: {val1}/2 is 1/2"),
        ("pci_id", "equal", "80865963"),
    ]


def test_reasons_are_the_fewest_that_any_binding_leaves():
    pattern = {**BASE, "x": "{v:int:1,2}*0", "y": "{v}*2", "z": "{v}*3"}
    (reason,) = match([pattern], {**SELF, "x": "0", "y": "4", "z": "5"})["reasons"]
    assert (reason["attribute"], reason["expected"]) == ("z", "6")


def test_the_set_with_the_fewest_reasons_comes_first_and_void_ones_last():
    patterns = [{**BASE, "x": "{"}, {**BASE, "x": "1", "y": "2"}, {**BASE, "x": "1"}]
    reasons = match(patterns, SELF)["reasons"]
    assert [reason["set"] for reason in reasons] == [2, 1, 1, 0]


def test_an_empty_list_of_sets_matches_nothing_and_says_so():
    (reason,) = match([], SELF)["reasons"]
    assert (reason["set"], reason["attribute"], reason["rule"]) == (None, "compatible", "present")


HOSTILE = {
    **WORST,
    "a thousand parentheses": ({**BASE, "z": "(" * 500 + "{v:int:1}+1" + ")" * 500}, SELF),
    "three hundred variables": ({**BASE, "z": "{v:int:1}" + "{v}" * 300 + "x"}, SELF),
    "unclosed": ({**BASE, "z": "{" * 1024}, SELF),
    "unclosed after many values": ({**BASE, "z": "{v:int:" + "1," * 500}, SELF),
}


@pytest.mark.parametrize(("pattern", "device"), HOSTILE.values(), ids=HOSTILE)
def test_no_set_makes_work_without_bound(pattern, device):
    calls = []

    def count(frame, event, argument):
        calls[-1] += event in ("call", "c_call")

    def counted(function):
        calls.append(0)
        sys.setprofile(count)
        try:
            return function(device)
        except InvalidPattern as void:
            return void
        finally:
            sys.setprofile(None)

    parsed = counted(lambda device: Pattern(pattern))
    if isinstance(parsed, Pattern):
        bound = counted(parsed.binding)
        assert isinstance(bound, dict) or counted(parsed.failures)
    # Six for each variable, text and number of the largest set, written out.
    assert max(calls) < 6 * MAX_SIZE


def test_4096_bindings_are_tried():
    pattern = {**BASE, "z": "*".join(f"{{v{n}:int:{integers(16, 1)}}}" for n in range(3))}
    for actual, found in (("4096", 0), ("4097", None)):
        result = match([pattern], {**SELF, "z": actual})
        assert result["set"] == found
    (reason,) = result["reasons"]
    assert reason["rule"] == "expression"


def test_a_set_of_too_many_parts_is_void():
    pattern = {**BASE, **{f"n{n}": "{v:int:1}" + "{v}" * 300 for n in range(60)}}
    (reason,) = match([pattern], SELF)["reasons"]
    assert (reason["rule"], reason["attribute"]) == ("void_set", "n58")
    assert reason["expected"].startswith("a smaller set: at most ")


def test_the_size_of_a_set_is_that_of_its_components_together_and_of_each_the_product():
    both = {"a": f"{{v:int:{integers(64)}}}*{{w:int:{integers(64)}}}"}
    assert sizes(both) == [64 * 64 * 2]
    assert sizes({**both, "b": f"x{{u:int:{integers(64)}}}"}) == [64 * 2, 64 * 64 * 2]
    assert sizes({"a": f"{{v:int:{integers(64)}}}", "b": "{v}/2", "c": "x{v}y"}) == [
        64 * (1 + 2 + 3)
    ]
    largest = {**both, "b": f"x{{u:int:{integers(64)}}}{{t:int:{integers(42)}}}"}
    assert sum(sizes(largest)) == 64 * 64 * 2 + 64 * 42 * 3 <= MAX_SIZE
    with pytest.raises(InvalidPattern, match=f"b: .* {MAX_SIZE} "):
        sizes({**both, "b": f"x{{u:int:{integers(64)}}}{{t:int:{integers(43)}}}"})


def sizes(values: dict[str, str]) -> list[int]:
    return [component.size for component in Pattern({**BASE, **values}).components]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{v:int:999999999999999999}" + "*{v}" * 249, "has more than 1024 digits"),
        ("1/{v:int:999999999999999999}" + "/{v}" * 240, "has more than 1024 digits"),
        ("{v:int:999999999999999999}" + "{v}" * 249, "has more than 1024 characters"),
    ],
)
def test_a_value_that_no_device_can_have_is_none(value, words):
    bound = {**BASE, "y": value, "z": "x{v}"}
    subject = {**SELF, "y": "1", "z": "x999999999999999999"}
    (reason,) = match([bound], subject)["reasons"]
    assert words in reason["expected"]
    assert Pattern(bound).completion({}, {}) is None


def test_more_choices_than_the_limit_make_a_set_void():
    pattern = {**BASE, "z": "".join(f'{{v{n}:string:"x","xx"}}' for n in range(40))}
    (reason,) = match([pattern], {**SELF, "z": "x" * 60 + "y"})["reasons"]
    assert reason["rule"] == "void_set"
    assert str(MAX_SIZE) in reason["expected"]


def test_completion_says_how_a_new_device_must_be_configured():
    pattern = Pattern(sets(COMPATIBLE)[0])
    for mdev_type, completed in {
        "1": None,
        "2": ({"val1": 2}, {"aggregator": "1"}),
        "4": ({"val1": 4}, {"aggregator": "2"}),
        "8": ({"val1": 8}, {"aggregator": "4"}),
    }.items():
        known = {"device_api": "vfio-pci", "type": f"i915-GVTg_V5_{mdev_type}"}
        known["pci_id"] = "80865963"
        assert pattern.completion(known, {"aggregator": "2"}) == completed
        assert pattern.completion({**known, "pci_id": "8086591d"}, {}) is None


def test_completion_keeps_what_the_source_has_where_the_set_leaves_a_choice():
    pattern = Pattern({**BASE, "mode": '{m:string:"a","b"}', "flag": "on"})
    known = {"device_api": "vfio-pci", "type": "t", "pci_id": "80865963"}
    assert pattern.completion(known, {"mode": "b"}) == ({"m": "b"}, {"flag": "on", "mode": "b"})
    assert pattern.completion(known, {"mode": "c"}) == ({"m": "a"}, {"flag": "on", "mode": "a"})


def test_completion_keeps_what_the_source_has_where_the_known_values_leave_a_choice():
    pattern = Pattern(
        {**BASE, "type": "t{a:int:1,11}{b:int:1,11}", "mode": "m{a}", "twice": "{b}*2"}
    )
    known = {"device_api": "vfio-pci", "type": "t111", "pci_id": "80865963"}
    one = ({"a": 1, "b": 11}, {"mode": "m1", "twice": "22"})
    other = ({"a": 11, "b": 1}, {"mode": "m11", "twice": "2"})
    assert pattern.completion(known, {}) == one
    for preferred in ({"mode": "m11"}, {"twice": "2"}, {"mode": "m11", "twice": "22"}):
        assert pattern.completion(known, preferred) == other


def test_what_is_expected_has_the_spelling_in_which_it_is_compared():
    pattern = {**BASE, "pci_id": '0x8086:{p:string:"591D"}', "x": "{p}"}
    (reason,) = match([pattern], {**SELF, "x": "591D"})["reasons"]
    assert (reason["expected"], reason["actual"]) == ("8086591d", "80865963")


@given(
    st.lists(st.integers(-20, 20), min_size=1, max_size=5, unique=True),
    st.lists(st.integers(-5, 5), min_size=1, max_size=4, unique=True),
    st.sampled_from(["{a}/{b}", "{a}%{b}", "{a}*{b}-1", "-({a}+{b})", "{a}-{b}"]),
    st.integers(-30, 30),
)
def test_arithmetic_agrees_with_trying_every_binding(first, second, expression, actual):
    pattern = {
        **BASE,
        "z": expression,
        "x": f"x{{a:int:{','.join(map(str, first))}}}",
        "y": f"y{{b:int:{','.join(map(str, second))}}}",
    }
    for a, b in itertools.product(first, second):
        try:
            if expression == "{a}/{b}":
                right = a % b == 0 and a // b == actual
            else:
                right = eval(expression.format(a=f"({a})", b=f"({b})")) == actual
        except ZeroDivisionError:
            right = False
        subject = {**SELF, "x": f"x{a}", "y": f"y{b}", "z": str(actual)}
        found = match([pattern], subject)
        assert (found["bindings"] == {"a": a, "b": b}) == right


@given(st.text(alphabet='{}v1:int,string"+-*/%() x', max_size=60))
def test_any_text_is_a_pattern_or_void(value):
    result = matched(value, "1")
    assert (result["set"] == 0) == (result["reasons"] == [])


@given(st.text(alphabet="{}ab1", max_size=20))
def test_an_escaped_text_matches_itself(text):
    escaped = text.replace("{", "{{").replace("}", "}}")
    assert matches(escaped, text)
