# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The template language against the oracle: two implementations of the same rules must not disagree."""

from __future__ import annotations

from ansible_collections.vfio.migration.plugins.module_utils import _descriptor, _pattern
from ansible_collections.vfio.migration.tests.unit import oracle
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

CASES = max(300, settings.default.max_examples)

NAMES = ["pci_id", "aggregator", "pv_mode", "x"]
VARIABLES = ["a", "b", "c"]
DECLARATIONS = [
    "{a:int:1,2,4,8}",
    "{ a : int : 2 , 1 }",
    "{b:int:0,3}",
    "{b:int:-1,07}",
    '{c:string:"none","none+ppgtt"}',
    '{c:string:"a,b","}","1"}',
    '{b:string:"1","5963"}',
]
PIECES = [
    *DECLARATIONS,
    *(f"{{{name}}}" for name in VARIABLES),
    *"+-*/%()12 ",
    *("V5_", "8086", ":", "{{", "}}", "nvme://h", ".0", "0x", "A"),
]
NOISE = ["{", "}", "{a", "{d}", "{a:int:}", "{a:real:1}", "{c:string:x}", "1234567890123456789"]

VALUES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join)
NOISY = st.lists(st.sampled_from([*PIECES, *NOISE]), min_size=1, max_size=6).map("".join)
VERSIONS = st.sampled_from(["0.1.0", "0.2", "1.0.3", "1.1"])


@st.composite
def cases(draw) -> tuple[dict[str, str], dict[str, str], str]:
    """One set, a device, and the version of the set's owner; half of the devices are made to fit, or nearly so."""
    values = draw(st.sampled_from([VALUES, VALUES, NOISY]))
    pattern = {"device_api": "vfio_pci", "type": draw(st.one_of(st.just("t"), values))}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3)):
        pattern[name] = draw(st.one_of(values, st.just("")))
    # Most sets declare what they use.
    if draw(st.booleans()):
        pattern["declared"] = "".join(draw(st.permutations(DECLARATIONS))[:2])
    if draw(st.booleans()):
        pattern["software_version"] = draw(st.one_of(VERSIONS, st.just("{a}.1"), st.just("x")))
    if draw(st.integers(0, 30)) == 0:
        del pattern[draw(st.sampled_from(["device_api", "type"]))]
    pattern = _descriptor.normalise(pattern.items())
    device = {"device_api": "vfio-pci", "software_version": draw(VERSIONS)}
    device.update(_made_to_fit(draw, pattern))
    if draw(st.booleans()):
        device[draw(st.sampled_from(["type", *NAMES]))] = draw(
            st.sampled_from(["", "0", "1", "2", "-1", "04", "none", "V5_2", "x"])
        )
    return pattern, device, draw(VERSIONS)


def _made_to_fit(draw, pattern: dict[str, str]) -> dict[str, str]:
    try:
        made = oracle.OracleSet(pattern, "0.1.0", True)
    except oracle.Void:
        return {"type": "t"}
    return made.rendered(draw(st.sampled_from(list(made.bindings()))))


@settings(max_examples=CASES, suppress_health_check=list(HealthCheck))
@given(cases(), st.booleans())
def test_both_implementations_agree_on_every_case(case, subject_is_target):
    pattern, device, version = case
    fewest, bindings = oracle.judge(pattern, device, version, subject_is_target)
    result = _pattern.match([pattern], device, version, subject_is_target)
    rules = [reason["rule"] for reason in result["reasons"]]
    if fewest is None:
        event("void")
        assert rules == ["void_set"]
    elif bindings:
        event("match")
        assert result["set"] == 0
        assert any(result["bindings"].items() <= binding.items() for binding in bindings)
    else:
        event("no match")
        assert "void_set" not in rules
        assert len(rules) == fewest
