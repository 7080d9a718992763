# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The template language against the oracle: two implementations of the same rules must not disagree."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import normalise
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.pattern import match
from ansible_collections.vfio.migration.tests.unit import oracle
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

NAMES = ["type", "pci_id", "aggregator", "pv_mode", "x"]
DOMAINS = {
    "a": ["int:1,2,4,8", " int : 2 , 1 ", "int:-1,07,3", "int:1,2"],
    "b": ["int:0,3", "int:2,5,6"],
    "c": ['string:"none","none+ppgtt"', 'string:"a,b","}","1"', 'string:"5963","2"'],
}
VERSIONS = st.sampled_from(["0.1.0", "0.2", "1.0.3", "1.1"])
NOISE = st.sampled_from(
    [
        "{",
        "}",
        "{d}",
        "{a:int:}",
        "{a:real:1}",
        "{c:string:x}",
        "1234567890123456789",
        "+",
        ")",
        "(",
    ]
)


class Variable(str):
    """A variable's place in a value, of which one place in the set holds its declaration."""


# A value is a list of texts and variables.
SIGNS = st.sampled_from(["+", "-", "*", "/", "%", " - ", "/ "])
INTEGERS = st.sampled_from(["0", "1", "2", "3", "04"]).map(lambda text: [text])
VARIABLES = st.sampled_from("ab").map(lambda name: [Variable(name)])


def chains(operands: st.SearchStrategy) -> st.SearchStrategy:
    """Return a strategy for arithmetic of two to four operands in a row."""
    return st.tuples(operands, st.lists(st.tuples(SIGNS, operands), min_size=1, max_size=3)).map(
        lambda drawn: [*drawn[0], *(part for sign, right in drawn[1] for part in (sign, *right))]
    )


SIMPLE = st.one_of(VARIABLES, INTEGERS, VARIABLES.map(lambda value: ["-", *value]))
ARITHMETIC = chains(st.one_of(SIMPLE, SIMPLE, chains(SIMPLE).map(lambda value: ["(", *value, ")"])))
PIECES = st.sampled_from(
    ["V5_", "8086", ":", "{{", "}}", "nvme://h/", ".0", "0x", "0", "x", "A", "1", "/"]
)
TEXT = st.lists(st.one_of(PIECES, st.sampled_from("abc").map(Variable)), min_size=1, max_size=4)
NOISY = st.tuples(st.one_of(TEXT, ARITHMETIC), NOISE).map(lambda drawn: [*drawn[0], drawn[1]])
VALUES = st.one_of(
    ARITHMETIC,
    ARITHMETIC,
    ARITHMETIC,
    TEXT,
    TEXT,
    st.sampled_from("abc").map(lambda n: [Variable(n)]),
    st.sampled_from([[""], ['""']]),
)


def rarely(draw) -> bool:
    # Hypothesis likes the ends of a range.
    return draw(st.integers(0, 30)) == 17


@st.composite
def cases(draw) -> tuple[dict[str, str], dict[str, str], str]:
    """Draw one set, a device, and the version of the set's owner; most devices are made to fit, or nearly so."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=4))
    values: dict[str, list[str]] = {"device_api": ["vfio_pci"], "type": ["t"]}
    for name in names:
        values[name] = draw(NOISY if rarely(draw) else VALUES)
    if draw(st.booleans()):
        values["declared"] = [Variable("a"), "/", Variable("b"), "x", Variable("c")]
    if draw(st.integers(0, 3)) == 2:
        values["software_version"] = draw(
            st.sampled_from([["0.1.0"], ["1.0"], [Variable("a"), ".1"], ["x"]])
        )
    if rarely(draw):
        del values[draw(st.sampled_from(["device_api", "type"]))]
    pattern = normalise(_declared(draw, values).items())
    device = {"device_api": "vfio-pci", "software_version": draw(VERSIONS)}
    device.update(_made_to_fit(draw, pattern))
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=2)):
        changed = draw(st.sampled_from(["", "0", "1", "2", "-1", "04", "none", "V5_2", "x", None]))
        if changed is None:
            device.pop(name, None)
        else:
            device[name] = changed
    return pattern, device, draw(VERSIONS)


def _declared(draw, values: dict[str, list[str]]) -> dict[str, str]:
    """Draw the values as text, each variable declared in one of its places, or rarely in none or in two ways."""
    places = [
        (name, index)
        for name, value in values.items()
        for index, part in enumerate(value)
        if isinstance(part, Variable)
    ]
    declared = {}
    for variable in sorted({values[name][index] for name, index in places}):
        own = [place for place in places if values[place[0]][place[1]] == variable]
        for wanted in (not rarely(draw), draw(st.integers(0, 9)) == 7):
            if wanted:
                declared[draw(st.sampled_from(own))] = draw(st.sampled_from(DOMAINS[variable]))
    return {
        name: "".join(
            part
            if not isinstance(part, Variable)
            else f"{{{part}:{declared[name, index]}}}"
            if (name, index) in declared
            else f"{{{part}}}"
            for index, part in enumerate(value)
        )
        for name, value in values.items()
    }


def _made_to_fit(draw, pattern: dict[str, str]) -> dict[str, str]:
    try:
        made = oracle.OracleSet(pattern, "0.1.0", True)
    except oracle.Void:
        return {"type": "t"}
    return made.rendered(draw(st.sampled_from(list(made.bindings()))))


@settings(suppress_health_check=list(HealthCheck))
@given(cases(), st.booleans())
def test_both_implementations_agree_on_every_case(compared, case, subject_is_target):
    pattern, device, version = case
    judgement = oracle.judge(pattern, device, version, subject_is_target)
    result = match([pattern], device, version, subject_is_target)
    compared["cases"] += 1
    compared["disagreements"] += 1
    rules = {reason["attribute"]: reason["rule"] for reason in result["reasons"]}
    assert len(rules) == len(result["reasons"])
    if judgement is None:
        event("void")
        assert list(rules.values()) == ["void_set"]
    else:
        bindings, fewest = judgement
        event("match" if bindings else "no match")
        assert (result["set"] == 0) == bool(bindings)
        assert rules in fewest
        if bindings:
            assert any(result["bindings"].items() <= binding.items() for binding in bindings)
    compared["disagreements"] -= 1
