# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The form of descriptors: what is read, how it is spelled, and what is refused with which words."""

from __future__ import annotations

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DERIVED,
    DescriptorError,
    check_self,
    decode,
    digest,
    normalise,
    parse_sets,
)
from ansible_collections.vfio.migration.tests.unit.fleets import COMPATIBLE, gvt_self, sets
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
VALUES = st.from_regex(r"[!-z]{1,20}", fullmatch=True)


def test_the_proposals_example_is_read():
    assert sets(COMPATIBLE) == [
        {
            "aggregator": "{val1}/2",
            "device_api": "vfio-pci",
            "pci_id": "80865963",
            "software_version": "0.1.0",
            "type": "i915-GVTg_V5_{val1:int:1,2,4,8}",
        }
    ]


@pytest.mark.parametrize("separator", ["\n", "\n\n\n", "COMPATIBLE:\n", "\n  COMPATIBLE:\n\n"])
def test_sets_are_separated_by_blank_lines_and_headers(separator):
    assert sets(f"a=1\n{separator}a=2\nb=3\n") == [{"a": "1"}, {"a": "2", "b": "3"}]


def test_a_text_of_blank_lines_and_headers_has_no_sets():
    assert sets("\n COMPATIBLE:\n\n") == []


def test_only_the_first_equals_sign_separates():
    assert sets("remote_url=nvme://h/?a=b") == [{"remote_url": "nvme://h/?a=b"}]


@pytest.mark.parametrize(
    ("older", "name"),
    [
        ("device_type", "device_api"),
        ("mdev_type", "type"),
        ("device_id", "pci_id"),
        ("interface_version", "software_version"),
    ],
)
def test_older_names_are_read_as_the_new_ones(older, name):
    assert sets(f"{older}=x") == [{name: "x"}]


@pytest.mark.parametrize(
    ("name", "value", "normal"),
    [
        ("device_api", "vfio_pci", "vfio-pci"),
        ("pci_id", "0x8086:0x591D", "8086591d"),
        ("pci_id", "8086:591D", "8086591d"),
        ("type", "vfio_ccw-io", "vfio_ccw-io"),
        ("pv_mode", '"none+ppgtt"', "none+ppgtt"),
        ("pv_mode", '""', ""),
        ("pv_mode", "", ""),
        ("pv_mode", '"a","b"', '"a","b"'),
        ("device_api", '{a_b:string:"vfio_pci"}', '{a_b:string:"vfio_pci"}'),
    ],
)
def test_values_have_one_spelling(name, value, normal):
    assert normalise([(name, value)]) == {name: normal}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a=1\nnonsense", r"line 2 has no '='.*expected name=value"),
        ("a=1\na=2", "'a' is stated twice in one set"),
        ("mdev_type=a\ntype=b", "'type' is stated twice in one set"),
        ("a=" + "x" * 1025, "'a' has 1025 characters; at most 1024"),
        ("\n".join(f"a{n}=1" for n in range(65)), "more than 64 attributes"),
        ("\n\n".join(["a=1"] * 65), "65 sets; at most 64"),
        ("a=\x1b[31m", "'a' is not one line of printable ASCII"),
        ("=1", "is not an attribute name"),
        ("../remove=1", "is not an attribute name"),
    ],
)
def test_what_breaks_the_form_is_refused_with_what_would_be_right(text, words):
    with pytest.raises(DescriptorError, match=words):
        sets(text)


def test_the_limits_themselves_are_allowed():
    assert len(sets("a=" + "x" * 1024)[0]["a"]) == 1024
    assert len(sets("\n".join(f"a{n}=1" for n in range(64)))[0]) == 64
    assert len(sets("\n\n".join(["a=1"] * 64))) == 64


def test_bytes_that_are_not_ascii_are_refused_with_their_place():
    with pytest.raises(DescriptorError, match=r"byte 4 is not ASCII \(0xc3\)"):
        decode("a=bä".encode()[0:3] + "ä".encode())


def test_a_hostile_text_is_escaped_and_shortened_in_messages():
    with pytest.raises(DescriptorError) as caught:
        sets("\x1b]0;" + "x" * 5000)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", ["software_version", "device_api", "type", "pci_id"])
@pytest.mark.parametrize("value", [None, ""])
def test_self_must_state_its_musts(name, value):
    attributes = gvt_self()
    del attributes[name]
    if value is not None:
        attributes[name] = value
    with pytest.raises(DescriptorError, match=f"'{name}' is missing") as caught:
        check_self(attributes)
    assert caught.value.attribute == name


def test_vfio_ccw_needs_a_subchannel_type_and_no_pci_id():
    attributes = {"software_version": "1.0", "device_api": "vfio-ccw", "type": "vfio_ccw-io"}
    with pytest.raises(DescriptorError, match="'subchannel_type' is missing"):
        check_self(attributes)
    check_self({**attributes, "subchannel_type": "0"})


def test_a_derived_self_may_lack_the_pci_id_as_a_parent_need_not_be_a_pci_device():
    attributes = {"software_version": "0.1", "device_api": "vfio-pci", "type": "mtty-1"}
    check_self(attributes, DERIVED)


@pytest.mark.parametrize("pci_id", ["8086", "8086:59630", "80865963x", "intel"])
def test_a_pci_id_is_eight_hex_digits(pci_id):
    attributes = normalise(gvt_self(pci_id=pci_id).items())
    with pytest.raises(DescriptorError, match="expected 8 hex digits"):
        check_self(attributes)


@pytest.mark.parametrize("version", ["1", "1.", "v1.0", "1.0.0.0", "1.0-rc1", "-1.0"])
def test_a_version_is_major_minor_bugfix(version):
    with pytest.raises(DescriptorError, match=r"expected major.minor\[.bugfix\]"):
        check_self(gvt_self(software_version=version))


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_order_does_not_matter_and_normalising_twice_changes_nothing(attributes):
    pairs = list(attributes.items())
    try:
        normal = normalise(pairs)
    except DescriptorError:
        return
    assert normalise(reversed(pairs)) == normal
    assert list(normal) == sorted(normal)
    assert normalise(normal.items()) == normal


@given(st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4), max_size=4))
def test_what_is_printed_reads_back_the_same(attribute_sets):
    try:
        normal = [normalise(each.items()) for each in attribute_sets]
    except DescriptorError:
        return
    printed = "\n\n".join(
        "\n".join(f"{name}={value}" for name, value in each.items()) for each in normal
    )
    assert sets(printed) == normal


LINES = st.sampled_from(
    [b"a=1", b"a = 2", b"b=", b"=", b"COMPATIBLE:", b"", b" ", b"type", b'x="y"', b"mdev_type=z"]
    + [b"z={v:int:1}", b"\xc3=1", b"n=\x00", b"m=" + b"x" * 1025, b"l" * 256 + b"=1", b"a=1=2\r"]
)


@given(st.one_of(st.binary(max_size=300), st.lists(LINES, max_size=70).map(b"\n".join)))
def test_any_bytes_are_read_or_refused(raw):
    try:
        for pairs in parse_sets(decode(raw)):
            normalise(pairs)
    except DescriptorError as malformed:
        assert str(malformed)


def test_the_digest_tells_descriptors_apart_whatever_the_order_of_their_attributes():
    one = digest({"a": "1", "b": "2"}, [{"c": "3"}])
    assert one == digest({"b": "2", "a": "1"}, [{"c": "3"}])
    assert len(one) == 32
    assert (
        len(
            {
                one,
                digest({"a": "1"}, [{"c": "3"}]),
                digest({}, []),
            }
        )
        == 3
    )
