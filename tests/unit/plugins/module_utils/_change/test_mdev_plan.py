# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import ProvisionError
from ansible_collections.vfio.migration.plugins.module_utils._change.mdev_plan import (
    MdevHost,
    MdevPlanner,
    validate,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import (
    ABSENT,
    PRESENT,
    HostChanges,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.mdevctl import Mdevctl
from ansible_collections.vfio.migration.plugins.module_utils._host.processes import Holders, unknown
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import (
    GPU,
    SELF,
    UUIDS,
    Tree,
    accept,
    nobody,
    wanted_mdev,
)

TYPE = "i915-GVTg_V5_4"
ACCEPT = accept(TYPE)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "sys")
    tree.add_gpu()
    return tree


def device(uuid: str = UUIDS[0], attributes: t.Sequence[tuple[str, str]] = (), **others):
    return wanted_mdev(uuid, TYPE, attributes, **others)


def plan(tree: Tree, devices, state=PRESENT, scan_holders=nobody, mdevctl=None, persistent=True):
    before = tree.snapshot()
    try:
        host = MdevHost(Sysfs(str(tree.root)), scan_holders, mdevctl)
        planner = MdevPlanner(host, persistent and mdevctl is not None)
        return planner.plan(validate(devices, state), state).lists["devices"]
    finally:
        assert tree.snapshot() == before


def diff(action):
    return HostChanges(PRESENT, {"devices": [action]}).diff()


def refusal(tree: Tree, *devices, **others) -> tuple[str, str]:
    """Return why the plan is refused, and at which step."""
    with pytest.raises(ProvisionError) as raised:
        plan(tree, devices, **others)
    assert raised.value.details["undone"] == raised.value.details["left"] == []
    return str(raised.value), raised.value.details["step"]


# --- what is wanted


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (device("882cc4da"), "'882cc4da' is not a UUID; expected 8, 4, 4, 4 and 12 hex digits"),
        (device(UUIDS[0] + "\n"), "is not a UUID"),
        (device(parent=None), "'parent' is missing"),
        (device(type=None), "'type' is missing"),
        (device(parent="../0000:00:02.0"), "is not the name of a parent"),
        (device(parent=".."), "is not the name of a parent"),
        (device(type="a/b"), "'a/b' is not the name of a type"),
        (device(type=""), "'' is not the name of a type"),
        (device(type="a\nb"), "is not the name of a type"),
        (device(attributes=[("remove", "1")]), "'remove' is not the name of an attribute"),
        (device(attributes=[("power/control", "on")]), "is not the name of an attribute"),
        (device(attributes=[("../../remove", "1")]), "is not the name of an attribute"),
        (device(attributes=[("aggregator", "1\n2")]), "is not one line of printable ASCII"),
        (device(attributes=[("aggregator", "\u00e4")]), "is not one line of printable ASCII"),
        (device(attributes=[("aggregator", "9" * 1025)]), "has 1025 characters"),
        (device(accept=[]), "leave it out for no check"),
        (device(accept=[{"a b": "1"}]), "'a b' is not an attribute name"),
        (device(accept=[{"type": "a", "mdev_type": "b"}]), "'type' is stated twice"),
    ],
)
def test_what_is_not_right_is_refused_before_anything_is_looked_at(tree, wanted, message):
    refused, step = refusal(tree, device(UUIDS[1]), wanted)
    assert message in refused
    assert step == "validate"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../../enable",
        "intel_vgpu/../remove",
        "/sys/bus/pci/rescan",
        "intel_vgpu/",
        "/aggregator",
        "intel_vgpu//aggregator",
        "a/b/c",
        ".hidden",
        "intel_vgpu/.hidden",
        "aggregator\0",
        "aggregator\n",
        "aggregator ",
        "aggregat\u00f6r",
        "uevent",
        "driver_override",
        "intel_vgpu/uevent",
        "migration/self",
        "driver/unbind",
        "subsystem/drivers_probe",
        "iommu_group/type",
        "mdev_type/create",
        "vfio-dev/vfio0",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_looked_at(tree, name):
    refused, step = refusal(tree, device(attributes=[(name, "1")]))
    assert "is not the name of an attribute that may be written" in refused
    assert "\n" not in refused
    assert "\0" not in refused
    assert step == "validate"


@pytest.mark.parametrize(
    "value", ["1\n2", "1\r2", "1\0", "\u0661", "1" * 100_000, "\x1b[2J", "\x7f"]
)
def test_a_value_is_one_short_line(tree, value):
    refused, step = refusal(tree, device(attributes=[("aggregator", value)]))
    assert len(refused) < 300
    assert refused.isprintable()
    assert step == "validate"


@pytest.mark.parametrize(
    "name", ["planted", "planted/enable", "intel_vgpu/planted", "child/enable"]
)
def test_a_link_or_a_device_in_the_devices_directory_is_no_attribute(tree, name):
    mdev = tree.add_mdev()
    tree.write("devices/pci0000:00/enable", "0\n")
    for link in ("planted", "intel_vgpu/planted"):
        tree.link(
            f"{mdev}/{link}",
            "devices/pci0000:00" if link == "planted" else "devices/pci0000:00/enable",
        )
    tree.write(f"{mdev}/child/uevent", "")
    tree.write(f"{mdev}/child/enable", "0\n")
    refused, step = refusal(tree, device(attributes=[(name, "1")]))
    assert f"{name}: no such attribute; existing: intel_vgpu/aggregator" in refused
    assert step == "inspect"


def test_a_uuid_can_be_there_only_once(tree):
    refused, step = refusal(tree, device(UUIDS[0]), device(UUIDS[0].upper()))
    assert refused == f"device {UUIDS[0]}: it is in the list of devices twice"
    assert step == "validate"


def test_to_be_absent_a_uuid_is_enough(tree):
    (action,) = plan(tree, [device(parent=None, type=None)], ABSENT)
    assert not action.changed


# --- what there is


def test_a_new_device_is_created(tree):
    (action,) = plan(tree, [device(UUIDS[0].upper(), attributes=[("aggregator", "2")])])
    assert action.predicted() == {
        "uuid": UUIDS[0],
        "parent": GPU,
        "type": TYPE,
        "action": "created",
        "definition": None,
        "attributes": [{"name": "aggregator", "value": "2"}],
        "self": None,
    }
    assert diff(action) == {
        "before": {UUIDS[0]: {}},
        "after": {
            UUIDS[0]: {
                "parent": GPU,
                "type": TYPE,
                "attributes": [{"name": "aggregator", "value": "2"}],
            }
        },
    }


@pytest.mark.parametrize("value", ["2", "0x2", "02"])
@pytest.mark.parametrize("name", ["aggregator", "intel_vgpu/aggregator"])
def test_a_device_that_is_as_wanted_stays(tree, name, value):
    tree.add_migration(tree.add_mdev(aggregator="2"), SELF.format(type=TYPE, aggregator=2))
    (action,) = plan(
        tree, [device(attributes=[(name, value)], accept=ACCEPT)], scan_holders=unknown
    )
    assert not action.changed
    assert action.predicted()["self"]["aggregator"] == "2"
    assert diff(action) == {"before": {}, "after": {}}


def test_a_device_that_differs_is_configured(tree):
    tree.add_mdev(aggregator="1")
    (action,) = plan(tree, [device(attributes=[("aggregator", "2")])])
    assert action.predicted()["action"] == "configured"
    sides = diff(action)
    name = "intel_vgpu/aggregator"
    assert sides["before"][UUIDS[0]]["attributes"] == [{"name": name, "value": "1"}]
    assert sides["after"][UUIDS[0]]["attributes"] == [{"name": name, "value": "2"}]


def test_of_a_repeated_attribute_the_last_value_counts(tree):
    tree.add_mdev(aggregator="2")
    wanted = device(attributes=[("aggregator", "1"), ("aggregator", "2")])
    assert not plan(tree, [wanted])[0].changed


def test_what_can_only_be_written_counts_as_equal(tree):
    tree.write(tree.add_mdev() + "/assign_adapter", "", 0o200)
    wanted = device(attributes=[("assign_adapter", "5"), ("assign_adapter", "6")])
    assert not plan(tree, [wanted])[0].changed


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (device(type="i915-GVTg_V5_8"), f"it exists with the type {TYPE}, not i915-GVTg_V5_8"),
        (device(parent="0000:00:03.0"), f"it exists with the parent {GPU}, not 0000:00:03.0"),
    ],
)
@pytest.mark.parametrize("state", [PRESENT, ABSENT])
def test_a_device_of_another_type_or_parent_is_never_replaced(tree, wanted, message, state):
    tree.add_mdev()
    refused, step = refusal(tree, wanted, state=state)
    assert message in refused
    assert step == "inspect"


def test_an_unknown_parent_is_told_with_those_there_are(tree):
    tree.add_gpu("0000:00:03.0")
    refused, _step = refusal(tree, device(parent="0000:00:09.0"))
    assert f"there is no parent 0000:00:09.0 in {tree.root}/class/mdev_bus" in refused
    assert refused.endswith("; existing: 0000:00:02.0, 0000:00:03.0")


def test_an_unknown_type_is_told_with_those_there_are(tree):
    refused, _step = refusal(tree, device(type="nvidia-11"))
    assert f"the parent {GPU} has no type nvidia-11; existing: i915-GVTg_V5_1, " in refused


def test_more_than_there_are_instances_is_refused(tree):
    devices = [device(uuid) for uuid in UUIDS[:5]]
    assert len(plan(tree, devices[:4])) == 4
    refused, step = refusal(tree, *devices)
    assert refused.startswith(f"device {UUIDS[4]}: no instance of type {TYPE} is left for it")
    assert "available_instances is 4, and it is number 5" in refused
    assert step == "inspect"


def test_an_attribute_that_an_existing_device_does_not_have(tree):
    tree.add_mdev()
    refused, step = refusal(tree, device(attributes=[("colour", "red")]))
    assert "colour: no such attribute; existing: intel_vgpu/aggregator, intel_vgpu/vgpu" in refused
    assert step == "inspect"


def test_an_attribute_in_several_groups_must_be_named_with_its_group(tree):
    tree.write(tree.add_mdev() + "/other/aggregator", "1\n")
    refused, _step = refusal(tree, device(attributes=[("aggregator", "1")]))
    assert "expected one of intel_vgpu/aggregator, other/aggregator" in refused
    assert not plan(tree, [device(attributes=[("other/aggregator", "1")])])[0].changed


def test_an_existing_device_must_be_one_that_is_accepted(tree):
    tree.add_migration(tree.add_mdev(), SELF.format(type=TYPE, aggregator=4))
    with pytest.raises(ProvisionError) as raised:
        plan(tree, [device(accept=ACCEPT)])
    assert raised.value.details["step"] == "verify"
    assert [each["attribute"] for each in raised.value.details["reasons"]] == ["aggregator"]
    assert "it matches no set of 'accept': set 0: aggregator is 4, expected " in str(raised.value)


@pytest.mark.parametrize("state", [PRESENT, ABSENT])
@pytest.mark.parametrize(
    ("holders", "message"),
    [
        (
            Holders({"/dev/vfio/7": {"pid": 4711, "name": "vm-17"}}, complete=True),
            "process 4711 (vm-17) holds it",
        ),
        (unknown(), "it is unknown whether a process holds it"),
    ],
)
def test_a_device_that_may_be_held_is_not_touched(tree, state, holders, message):
    tree.add_mdev(UUIDS[1], group=8)
    tree.add_mdev(aggregator="1")
    wanted = device(attributes=[("aggregator", "2")])
    refused, step = refusal(tree, wanted, state=state, scan_holders=lambda: holders)
    assert refused.startswith(f"device {UUIDS[0]}: {message}")
    assert step == "inspect"


@pytest.mark.parametrize("current", ["matrix", "ap_config"])
@pytest.mark.parametrize(
    ("attributes", "written"),
    [
        ([("assign_adapter", "5"), ("assign_adapter", "0x6"), ("assign_domain", "4")], []),
        ([], []),
        ([("assign_adapter", "5")], [("unassign_adapter", "6")]),
        (
            [("assign_adapter", "7"), ("assign_adapter", "06"), ("assign_domain", "0xab")],
            [
                ("unassign_adapter", "5"),
                ("unassign_domain", "4"),
                ("assign_adapter", "7"),
                ("assign_domain", "0xab"),
            ],
        ),
        (
            [("assign_adapter", "8"), ("unassign_adapter", "8"), ("assign_adapter", "5")],
            [("unassign_adapter", "6")],
        ),
        ([("unassign_adapter", "6")], [("unassign_adapter", "6")]),
        (
            [
                ("assign_adapter", "5"),
                ("assign_adapter", "0x5"),
                ("assign_adapter", "6"),
                ("assign_adapter", "9"),
                ("assign_adapter", "9"),
            ],
            [("assign_adapter", "9")],
        ),
        ([("assign_control_domain", "4")], [("assign_control_domain", "4")]),
    ],
)
def test_sets_of_numbers_become_what_the_list_would_make(tree, current, attributes, written):
    add_crypto_mdev(tree, current)
    (action,) = plan(tree, [device(attributes=attributes)])
    assert [(each["name"], each["value"]) for each in action.after.get("written", [])] == written
    assert action.changed is bool(written)


def test_what_is_no_number_is_not_compared_with_numbers(tree):
    add_crypto_mdev(tree, "matrix")
    refused, step = refusal(tree, device(attributes=[("assign_adapter", "five")]))
    assert "assign_adapter: 'five' is not a number such as 5, 0x5 or octal 05" in refused
    assert step == "inspect"


@pytest.mark.parametrize(
    ("attributes", "allowed"),
    [
        ([("assign_adapter", "5"), ("assign_adapter", "6"), ("assign_adapter", "7")], True),
        ([("assign_adapter", "5")], False),
        ([("ap_config", "0x02,0x08,0x00")], False),
    ],
)
def test_a_guest_is_given_more_and_nothing_is_taken_from_it(tree, attributes, allowed):
    add_crypto_mdev(tree, "ap_config")
    holders = Holders({"/dev/vfio/7": {"pid": 4711, "name": "vm-17"}}, complete=True)
    wanted = device(attributes=attributes)
    if allowed:
        (action,) = plan(tree, [wanted], scan_holders=lambda: holders)
        assert action.live
    else:
        refused, _step = refusal(tree, wanted, scan_holders=lambda: holders)
        assert "process 4711 (vm-17) holds it" in refused


@pytest.mark.parametrize(
    ("value", "same"),
    [
        ("0x06,0x08,0x00", True),
        ("06,08,0", True),
        ("0x" + "06" + "0" * 62 + ",0x08,0x0", True),
        ("0x060,0x08,0x", False),
        ("0x6,0x8,0x0", False),
        ("0x06,0x08", False),
        ("nonsense", False),
    ],
)
def test_masks_are_compared_as_the_driver_reads_them(tree, value, same):
    add_crypto_mdev(tree, "ap_config")
    (action,) = plan(tree, [device(attributes=[("ap_config", value)])])
    assert action.changed is not same


def add_crypto_mdev(tree: Tree, current: str) -> None:
    """Add a device of adapters 5 and 6 and domain 4, which it shows in the file ``current``."""
    (tree.root / f"devices/pci0000:00/{GPU}/driver").unlink()
    tree.link(f"devices/pci0000:00/{GPU}/driver", "bus/matrix/drivers/vfio_ap")
    mdev = tree.add_mdev()
    for name in ("adapter", "domain", "control_domain"):
        tree.write(f"{mdev}/assign_{name}", "", 0o200)
        tree.write(f"{mdev}/unassign_{name}", "", 0o200)
    if current == "matrix":
        tree.write(f"{mdev}/matrix", "05.0004\n06.0004\n", 0o444)
        tree.write(f"{mdev}/control_domains", "", 0o444)
    else:
        masks = [f"0x{mask:0<64}" for mask in ("06", "08", "0")]
        tree.write(f"{mdev}/ap_config", ",".join(masks) + "\n")


def test_parameters_are_compared_in_any_order(tree):
    (tree.root / f"devices/pci0000:00/{GPU}/driver").unlink()
    tree.link(f"devices/pci0000:00/{GPU}/driver", "bus/pci/drivers/nvidia")
    tree.write(tree.add_mdev() + "/nvidia/vgpu_params", "disable_vnc=1,frame_rate_limiter=0\n")
    for value, same in (
        ("frame_rate_limiter=0,disable_vnc=1", True),
        ("frame_rate_limiter=0", False),
    ):
        (action,) = plan(tree, [device(attributes=[("vgpu_params", value)])])
        assert action.changed is not same


# --- what mdevctl has


def mdevctl(defined: str):
    return Mdevctl(lambda arguments, data: (0, defined, ""))


def defined(
    parent: str = GPU, mdev_type: str = TYPE, start: str = "auto", attributes: str = ""
) -> str:
    return (
        f'[{{"{parent}": [{{"{UUIDS[0]}": {{"mdev_type": "{mdev_type}", "start": "{start}",'
        f' "attrs": [{attributes}]}}}}]}}]'
    )


@pytest.mark.parametrize(
    ("definitions", "change"),
    [
        ("[]", "defined"),
        (defined(attributes=r'{"intel_vgpu/aggregator": "2\n"}'), "unchanged"),
        # mdevctl would write it without a newline, which some drivers cut off.
        (defined(attributes='{"intel_vgpu/aggregator": "2"}'), "defined"),
        (defined(attributes=r'{"intel_vgpu/aggregator": "1\n"}'), "defined"),
        (defined(), "defined"),
        (defined(start="manual", attributes=r'{"intel_vgpu/aggregator": "2\n"}'), "defined"),
    ],
)
def test_a_definition_is_made_where_none_is_equal(tree, definitions, change):
    wanted = device(attributes=[("aggregator", "2")])
    (action,) = plan(tree, [wanted], mdevctl=mdevctl(definitions))
    assert action.definition == change


@pytest.mark.parametrize("name", ["vgpu_params", "nvidia/vgpu_params"])
@pytest.mark.parametrize(("value", "change"), [(r" \n", "unchanged"), (r"\n", "defined")])
def test_parameters_that_are_empty_are_defined_as_a_space(tree, name, value, change):
    """NVIDIA, Virtual GPU Software User Guide."""
    stated = defined(attributes=f'{{"nvidia/vgpu_params": "{value}"}}')
    (action,) = plan(tree, [device(attributes=[(name, "")])], mdevctl=mdevctl(stated))
    assert action.definition == change
    attribute = {name: " \n"}
    shown = action.sides()[1].get("definitions")
    assert shown is None or shown[GPU]["attrs"] == [attribute]


def test_a_definition_under_another_parent_is_never_replaced(tree):
    refused, step = refusal(tree, device(), mdevctl=mdevctl(defined("0000:00:03.0")))
    assert "mdevctl has a definition of it under 0000:00:03.0, not 0000:00:02.0" in refused
    assert step == "inspect"


def test_a_definition_of_another_type_is_never_replaced(tree):
    refused, step = refusal(tree, device(), mdevctl=mdevctl(defined(mdev_type="x")))
    assert f"mdevctl has a definition of it with the type x, not {TYPE}" in refused
    assert step == "inspect"


@pytest.mark.parametrize(
    ("definitions", "message"),
    [
        (defined(), None),
        (defined("0000:00:03.0"), "a definition of it under 0000:00:03.0, not 0000:00:02.0"),
        (defined(mdev_type="x"), "a definition of it with the type x"),
    ],
)
def test_an_inactive_device_is_not_made_a_second_time(tree, definitions, message):
    if message:
        refused, _step = refusal(tree, device(), mdevctl=mdevctl(definitions), persistent=False)
        assert message in refused
    else:
        (action,) = plan(tree, [device()], mdevctl=mdevctl(definitions), persistent=False)
        assert (action.action, action.definition) == ("created", None)


def test_who_does_not_want_definitions_does_not_need_mdevctl(tree):
    failing = Mdevctl(lambda arguments, data: (1, "", "Error: no such\n"))
    planner = MdevPlanner(MdevHost(Sysfs(str(tree.root)), nobody, failing), persistent=False)
    (action,) = planner.plan(validate([device()], PRESENT), PRESENT).lists["devices"]
    assert action.action == "created"
    assert planner.warnings == [
        "it is unknown what is defined in mdevctl: mdevctl list --defined --dumpjson: Error: no such"
    ]


@pytest.mark.parametrize(
    ("parent", "undefined"),
    [(None, True), (GPU, False), ("0000:00:03.0", True)],
)
def test_to_be_absent_is_to_be_undefined(tree, parent, undefined):
    wanted = device(parent=parent, type=None)
    (action,) = plan(tree, [wanted], ABSENT, mdevctl=mdevctl(defined("0000:00:03.0")))
    assert action.changed is undefined
    if undefined:
        sides = diff(action)
        assert set(sides["before"][UUIDS[0]]["definitions"]) == {"0000:00:03.0"}
        assert sides["after"][UUIDS[0]]["definitions"] == {}


def test_a_failing_mdevctl_is_told(tree):
    failing = Mdevctl(lambda arguments, data: (1, "", "Error: no such\n\nCaused by: x\n"))
    refused, step = refusal(tree, device(), mdevctl=failing)
    assert refused == "mdevctl list --defined --dumpjson: Error: no such Caused by: x"
    assert step == "inspect"
