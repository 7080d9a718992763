# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change import records
from ansible_collections.vfio.migration.plugins.module_utils._change.boot_units import RestoreUnit
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Operation
from ansible_collections.vfio.migration.plugins.module_utils._change.mdev_apply import (
    MdevTransaction,
    RemoveMdev,
    RestoreDefinition,
    WriteAttribute,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.original_state import (
    OriginalState,
    StoredBinding,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.pci_apply import (
    BindDriver,
    FunctionState,
    KeepOriginalState,
    MakeFunctions,
    PciTransaction,
    SetNetwork,
    WriteAttributes,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.records import (
    Attribute,
    Record,
    RecordError,
    decode,
    encode,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.vdpa_apply import (
    DeleteVdpa,
    VdpaTransaction,
)

ATTRIBUTES = [Attribute("nvidia/current_vgpu_type", "0"), Attribute("nvidia/vgpu_params", "")]
STATE = OriginalState(StoredBinding("igbvf", None), False, ATTRIBUTES, 4)
EXAMPLES = [
    RemoveMdev("i915-GVTg_V5_8"),
    WriteAttribute("intel_vgpu/aggregator", "1", live=False),
    RestoreDefinition(None, with_device=False),
    RestoreDefinition({"mdev_type": "a", "start": "auto", "attrs": [{"b/c": "1"}]}, True),
    BindDriver(StoredBinding("igbvf", None), None),
    BindDriver(StoredBinding(None, "vfio-pci"), True),
    WriteAttributes(ATTRIBUTES),
    WriteAttributes([]),
    KeepOriginalState(STATE),
    SetNetwork("eth0", 1, {"mac": "52:54:00:12:34:56", "trust": True}),
    KeepOriginalState(OriginalState()),
    MakeFunctions(
        1,
        [
            FunctionState(
                "0000:01:10.0",
                77,
                StoredBinding(None, None),
                None,
                ATTRIBUTES,
                {"vlan": 7},
                OriginalState(),
            )
        ],
    ),
    DeleteVdpa("pci/0000:65:00.2", [Attribute("mtu", "9000")]),
    RestoreUnit("vfio-migration-vdpa-vdpa0.service", None, None, False, with_device=True),
    RestoreUnit("vfio-migration-vdpa-vdpa0.service", "vdpa", {"name": "vdpa0"}, True, False),
]
# Every value of JSON; one of its kind is right.
VALUES = (None, True, 7, 7.5, "text", [], {}, [None], [{}], {"name": 1})


def named(example):
    return type(example).__name__


def test_every_operation_has_an_example_and_a_name_of_its_own():
    transactions = (MdevTransaction, PciTransaction, VdpaTransaction)
    operations = {each for transaction in transactions for each in transaction.undoers}
    assert {type(each) for each in EXAMPLES} == operations
    assert len({each.operation for each in operations}) == len(operations)
    assert all(issubclass(each, Operation) for each in operations)


@pytest.mark.parametrize("example", EXAMPLES, ids=named)
def test_what_is_stored_is_read_again(example):
    stored = decode(encode(example.to_json(), 3), 3)
    assert type(example).from_json(stored) == example


@pytest.mark.parametrize("example", EXAMPLES, ids=named)
def test_a_field_of_another_type_is_refused_or_kept_as_it_is(example):
    refused = 0
    for name in example.to_json():
        for value in VALUES:
            changed = {**example.to_json(), name: value}
            try:
                assert type(example).from_json(changed).to_json() == changed
            except RecordError:
                refused += 1
    assert refused >= 5 * len(example.to_json())


@pytest.mark.parametrize("example", EXAMPLES, ids=named)
def test_a_field_too_few_or_too_many_is_refused(example):
    fields = example.to_json()
    for name in fields:
        with pytest.raises(RecordError, match=f"'{name}' is missing"):
            type(example).from_json({key: fields[key] for key in fields if key != name})
    with pytest.raises(RecordError, match="'more' is unknown"):
        type(example).from_json({**fields, "more": 1})


def test_the_type_of_every_field_is_known():
    for each in Record._classes.values():
        for field in dataclasses.fields(each):
            for alternative in str(field.type).split(" | "):
                name = alternative[5:-1] if alternative.startswith("list[") else alternative
                assert name in records._TYPES or name in Record._classes, (each, field.name)
