# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows of the guide's table of drivers, each with a test of its name, from a tree of sysfs to verdict and facts."""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.filter.compatible_pairs import compatible_pairs
from ansible_collections.vfio.migration.plugins.filter.explain import explain
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import verdict
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import (
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner import verify
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Verdict
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree, nobody
from ansible_collections.vfio.migration.tests.unit.vendor_trees import (
    NETWORK_FUNCTION,
    TREES,
    VendorTree,
)

GUIDE = Path(__file__).parents[5] / "docs" / "docsite" / "rst" / "verdict_guide.rst"

WORDS = ("lab", "documented", "reported")

Gather = t.Callable[[VendorTree], t.Dict[str, t.Any]]


@pytest.fixture
def gather(tmp_path: Path) -> Gather:
    """Return what gathers the facts of a host that has one tree; each is a host of its own."""
    hosts = iter(range(1000))

    def gather_one(vendor: VendorTree) -> dict[str, t.Any]:
        tree = Tree(tmp_path / f"host-{next(hosts)}")
        vendor.build(tree)
        return gather_facts(Sysfs(str(tree.root)), nobody)

    return gather_one


@pytest.fixture
def judge(gather: Gather) -> t.Callable[[VendorTree, VendorTree], Verdict]:
    """Return what gives the verdict on the devices of two trees."""

    def descriptor(vendor: VendorTree) -> t.Any:
        (found,) = gather(vendor)["descriptors"].values()
        return read_descriptor(found, with_origin=True)

    return lambda source, target: verdict(descriptor(source), descriptor(target))


def tree_of(row: str) -> VendorTree:
    """Return the first tree of a row."""
    return next(vendor for vendor in TREES if vendor.named == row)


def with_files(vendor: VendorTree, **files: str) -> VendorTree:
    return replace(vendor, files={**vendor.files, **files})


def with_physical(vendor: VendorTree, **files: str) -> VendorTree:
    """Return a tree with other files of the physical function; ``__`` stands for ``/``."""
    changed = {name.replace("__", "/"): text for name, text in files.items()}
    return replace(vendor, physical={**vendor.physical, **changed})


def what_differs(judged: dict[str, t.Any]) -> list[tuple[str, str]]:
    assert judged["compatible"] is (not judged["reasons"])
    return [(reason["attribute"], reason["rule"]) for reason in judged["reasons"]]


def test_row_xe_vfio_pci(judge):
    small = tree_of("xe_vfio_pci")
    large = with_physical(small, sriov_admin__vf4__profile__vram_quota="8589934592")
    revised = with_files(small, revision="0x00")
    assert judge(small, small)["compatible"]
    assert judge(small, large)["compatible"]
    assert what_differs(judge(large, small)) == [("vram_quota", "order")]
    assert what_differs(judge(large, revised)) == [("revision", "equal"), ("vram_quota", "order")]
    assert any("GGTT" in warning for warning in judge(small, large)["warnings"])
    # Without its configuration space, too, the device id is known to decide, and the subsystem is not.
    for file, certainty in (("device", "derived"), ("subsystem_device", "assumed")):
        other = with_files(small, **{file: "0xe212"})
        assert judge(small, other)["certainty"] == certainty
        assert judge(other, small)["certainty"] == certainty


def test_an_xe_function_is_known_among_the_others_of_its_card(gather):
    """The number in ``vf<N>`` is none of the address: the link tells which function it is."""
    (found,) = gather(tree_of("xe_vfio_pci"))["descriptors"].values()
    assert found["self"]["vram_quota"] == "4294967296"
    assert found["compatible"] == [{**found["self"], "vram_quota": "{rising:4294967296}"}]


def device_of(facts: dict[str, t.Any]) -> dict[str, t.Any]:
    assert facts["problems"] == []
    (device,) = facts["devices"]
    return device


def with_parent(vendor: VendorTree, **files: str) -> VendorTree:
    return replace(vendor, parent={**vendor.parent, **files})


def warned(judged: dict[str, t.Any], words: str) -> bool:
    assert judged["compatible"]
    return any(words in warning for warning in judged["warnings"])


def test_row_hisi_acc_vfio_pci(judge):
    vendor = tree_of("hisi_acc_vfio_pci")
    assert warned(judge(vendor, vendor), "number of queue pairs")
    assert what_differs(judge(vendor, with_files(vendor, device="0xa256"))) == [
        ("pci_id", "equal"),
        ("type", "equal"),
    ]


@pytest.mark.parametrize(
    ("revision", "supported"), [("0x20", False), ("0x21", False), ("0x30", True), ("x", True)]
)
def test_an_accelerator_of_an_old_card_cannot_migrate(gather, revision, supported):
    vendor = with_files(tree_of("hisi_acc_vfio_pci"), revision=revision)
    migration = device_of(gather(vendor))["migration"]
    assert migration["supported"] is supported
    assert supported or migration["evidence"] == (
        f"the card's PCI revision is {revision}, and migration needs 0x30 or later"
    )


def test_a_subchannel_with_no_device_behind_it_is_none_of_a_disk(gather, judge):
    """The kernel prints ``none`` there (Linux, drivers/s390/cio/css.c)."""
    disk = tree_of("vfio_ccw")
    nothing = with_parent(disk, dev_busid="none")
    (parent,) = gather(nothing)["parents"]
    assert parent["self"]["dev_busid"] == "none"
    for source, target in ((disk, nothing), (nothing, disk)):
        found = judge(source, target)
        assert what_differs(found) == [("dev_busid", "equal")]
        assert found["certainty"] == "derived"
    found = judge(nothing, nothing)
    assert (found["compatible"], found["certainty"]) == (True, "derived")
    # Where the file is missing, nothing is known of the disk.
    unread = replace(disk, parent={n: x for n, x in disk.parent.items() if n != "dev_busid"})
    found = judge(disk, unread)
    assert (found["compatible"], found["certainty"]) == (True, "assumed")


def test_no_device_is_made_for_a_disk_where_none_is_behind_the_subchannel(gather):
    facts = {"a": gather(tree_of("vfio_ccw"))}
    for each in facts["a"]["devices"]:
        each["migration"] = {**each["migration"], "supported": True}
        each["in_use"] = {"pid": 7, "name": "vm-1"}

    def planned(**files: str) -> t.Any:
        target = gather(with_parent(tree_of("vfio_ccw"), **files))
        for each in target["parents"]:
            for offered in each["types"]:
                offered["available_instances"] = 1
        return migration_plan({**facts, "b": {**target, "devices": []}}, drain=["a"])

    assert len(planned()["placements"]) == 1
    (left,) = planned(dev_busid="none")["unplaced"]
    assert any("none" in each["reason"] for each in left["reasons"])


def test_row_i915(gather):
    """The types' descriptions say what each takes of the card."""
    (parent,) = gather(tree_of("i915"))["parents"]
    (mdev_type,) = parent["types"]
    assert mdev_type["resources"] == {"low_gm_size": 128, "high_gm_size": 512, "fence": 4}
    (parent,) = gather(replace(tree_of("i915"), description="low_gm_size: 128MB\nfence: 4"))[
        "parents"
    ]
    assert "resources" not in parent["types"][0]


def never_migrates(facts: dict[str, t.Any]) -> bool:
    migration = device_of(facts)["migration"]
    return migration["supported"] is False and "never supports it" in migration["evidence"]


def test_row_mbochs(gather):
    assert never_migrates(gather(tree_of("mbochs")))


def test_row_mdpy(gather):
    assert never_migrates(gather(tree_of("mdpy")))


def test_row_vfio_pci(gather):
    vendor = tree_of("vfio_pci")
    assert never_migrates(gather(vendor))
    known = replace(vendor, files={**vendor.files, "vendor": "0x15b3", "device": "0x101e"})
    assert "bind it to mlx5_vfio_pci" in device_of(gather(known))["migration"]["evidence"]


@pytest.mark.parametrize(
    ("pci_vendor", "device", "driver"),
    [
        ("0x8086", "0xe211", "xe_vfio_pci"),
        ("0x1af4", "0x1041", "virtio_vfio_pci"),
        ("0x1af4", "0x1042", "virtio_vfio_pci"),
    ],
)
def test_a_driver_for_virtual_functions_is_named_for_these_alone(
    gather, pci_vendor, device, driver
):
    """They have the ids of physical functions, or of any virtual machine's devices, which the driver is not for."""
    generic = tree_of("vfio_pci")
    vendor = replace(generic, files={**generic.files, "vendor": pci_vendor, "device": device})
    assert "bind it" not in device_of(gather(vendor))["migration"]["evidence"]
    function = replace(vendor, physical={"vendor": pci_vendor})
    assert f"bind it to {driver}," in device_of(gather(function))["migration"]["evidence"]


def test_row_mlx5_vfio_pci(judge):
    vendor = tree_of("mlx5_vfio_pci")
    judged = judge(vendor, vendor)
    assert warned(judged, "at most 4 virtual functions")
    assert not warned(judged, "devlink dev info")
    updated = with_physical(vendor, infiniband__mlx5_0__fw_ver="28.40.1000")
    assert what_differs(judge(vendor, updated)) == [("fw_ver", "equal")]
    other = with_physical(vendor, infiniband__mlx5_0__board_id="DEL0000000004")
    assert what_differs(judge(vendor, other)) == [("board_id", "equal")]
    silent = replace(vendor, physical={})
    assert warned(judge(silent, silent), "devlink dev info")


def test_row_mtty(gather):
    vendor = tree_of("mtty")
    for release, supported in (("6.7.0", True), ("6.6.9", False), ("10.0", True)):
        migration = device_of(gather(replace(vendor, release=release)))["migration"]
        assert migration["supported"] is supported


def test_row_no_vfio_api(gather):
    facts = gather(NETWORK_FUNCTION)
    assert (facts["devices"], facts["parents"], facts["problems"]) == ([], [], [])


def test_row_nvgrace_gpu_vfio_pci(gather):
    assert device_of(gather(tree_of("nvgrace_gpu_vfio_pci")))["migration"]["supported"] is None


def test_row_nvidia_mdev(judge):
    vendor = tree_of("nvidia_mdev")
    assert warned(judge(vendor, vendor), "ECC")
    # Parameters stand in any order.
    parameters = with_files(vendor, **{"nvidia/vgpu_params": "disable_vnc=1,frame_rate_limiter=0"})
    turned = with_files(vendor, **{"nvidia/vgpu_params": "frame_rate_limiter=0, disable_vnc=1"})
    assert judge(parameters, turned)["compatible"]
    assert what_differs(judge(parameters, vendor)) == [("vgpu_params", "equal")]
    newer = replace(vendor, version="550.144.02")
    assert warned(judge(vendor, newer), "with different host drivers migration fails")
    assert what_differs(judge(vendor, with_parent(vendor, subsystem_device="0x1534"))) == [
        ("subsystem_id", "equal")
    ]


def test_a_new_vgpu_is_made_on_a_board_of_the_same_kind_only(gather):
    """Variants of a board do not mix, and which one a parent is of is known before a device is there."""
    vendor = tree_of("nvidia_mdev")
    source = gather(vendor)
    source["devices"][0]["in_use"] = {"pid": 7, "name": "vm-1"}
    same, other = (
        {**gather(each), "devices": [], "descriptors": {}}
        for each in (vendor, with_parent(vendor, subsystem_device="0x1534"))
    )
    assert other["parents"][0]["self"]["subsystem_id"] == "10de1534"
    (placement,) = migration_plan({"a": source, "b": same}, drain=["a"])["placements"]
    assert placement["target"]["create"]
    refused = migration_plan({"a": source, "b": other}, drain=["a"])
    (unplaced,) = refused["unplaced"]
    assert any("subsystem_id" in each["reason"] for each in unplaced["reasons"])
    assert compatible_pairs({"a": source, "b": other})["creatable"] == {}
    # A host of which that is not known may try: the module looks at the device that it has made.
    del other["parents"][0]["self"]
    assert migration_plan({"a": source, "b": other}, drain=["a"])["unplaced"] == []


def test_row_nvidia_mdev_of_vf(judge, gather):
    vendor = tree_of("nvidia_mdev_of_vf")
    assert judge(vendor, vendor)["compatible"]
    assert what_differs(judge(vendor, replace(vendor, type_name="NVIDIA A100-20C"))) == [
        ("type_name", "equal")
    ]
    (parent,) = gather(vendor)["parents"]
    assert "max_instance=4" in parent["types"][0]["description"]


def test_row_nvidia_vf(judge, gather):
    vendor = tree_of("nvidia_vf")
    other = with_files(vendor, **{"nvidia/current_vgpu_type": "1429"})
    assert what_differs(judge(vendor, other)) == [("current_vgpu_type", "equal")]
    idle = with_files(vendor, **{"nvidia/current_vgpu_type": "0"})
    assert device_of(gather(idle))["migration"]["supported"] is False
    # Parameters stand in any order, where a function is given them too.
    unsorted = {"nvidia/vgpu_params": "frame_rate_limiter=0,disable_vnc=1"}
    source = gather(with_files(vendor, **unsorted))
    source["devices"][0]["in_use"] = {"pid": 7, "name": "vm-1"}
    turned = with_files(vendor, **{"nvidia/vgpu_params": "disable_vnc=1, frame_rate_limiter=0"})
    room = with_files(
        idle, **{"nvidia/creatable_vgpu_types": "ID    : vGPU Name\n1428  : NVIDIA H100-4C"}
    )
    for target, given in (
        (gather(turned), []),
        (gather(room), [("nvidia/current_vgpu_type", "1428"), *unsorted.items()]),
    ):
        (placement,) = migration_plan({"a": source, "b": target}, drain=["a"])["placements"]
        attributes = placement["target"]["attributes"]
        assert [(each["name"], each["value"]) for each in attributes] == given


def test_row_pds_vfio_pci(gather):
    assert device_of(gather(tree_of("pds_vfio_pci")))["migration"]["supported"] is True


def test_row_qat_vfio_pci(judge):
    vendor = tree_of("qat_vfio_pci")
    turned = with_physical(vendor, qat__cfg_services="dc;sym")
    assert judge(vendor, turned)["compatible"]
    fewer = with_physical(vendor, qat__cfg_services="sym")
    assert what_differs(judge(vendor, fewer)) == [("cfg_services", "equal")]
    assert warned(judge(vendor, vendor), "must not be greater than those of the target")


def test_row_vfio_ap(judge, gather):
    vendor = tree_of("vfio_ap")
    assert warned(judge(vendor, vendor), "no device of vfio-ap migrates with QEMU today")
    assert device_of(gather(vendor))["migration"]["supported"] is False


def test_row_vfio_ap_before_6_10(judge, gather):
    """A new matrix is given its numbers one by one: the plan of that is in ``test_matrix.py``."""
    vendor = tree_of("vfio_ap_before_6_10")
    assert device_of(gather(vendor))["attributes"] == []
    other = with_files(vendor, control_domains="0005")
    assert what_differs(judge(vendor, other)) == [("control_domains", "equal")]


AP = "../../../bus/ap/devices"


def test_row_vfio_ap_migratable(judge, gather):
    vendor = tree_of("vfio_ap_migratable")

    def card(**changed: str) -> VendorTree:
        files = {f"{AP}/card{name[-2:]}/{name[:-3]}": text for name, text in changed.items()}
        return with_parent(vendor, **files)

    assert judge(vendor, card(hwtype_05="14"))["compatible"]
    assert what_differs(judge(vendor, card(hwtype_05="12"))) == [("hwtype", "order")]
    # The class of card06, bit 9, may become that of bit 8, and not the other way round.
    assert judge(vendor, card(ap_functions_06="0x92800000"))["compatible"]
    assert what_differs(judge(vendor, card(ap_functions_05="0x92400000"))) == [
        ("ap_class", "order")
    ]
    # A card of both classes, or of none, goes to one that is the same.
    for functions in ("0x92000000", "0x92c00000"):
        other = card(ap_functions_05=functions)
        assert judge(other, other)["compatible"]
        for source, target in ((vendor, other), (other, vendor)):
            assert ("ap_functions", "equal") in what_differs(judge(source, target))
    # A facility, the mode, APXA, or the filtering.
    for functions in ("0x12800000", "0x82800000", "0x90800000", "0x93800000"):
        assert what_differs(judge(vendor, card(ap_functions_05=functions))) == [
            ("ap_functions", "equal")
        ]
    # The host has control domains 5 to 7, and not 4, which the guest has.
    without = with_parent(vendor, **{"../../../bus/ap/ap_control_domain_mask": f"0x07{'0' * 62}"})
    assert what_differs(judge(vendor, without)) == [("missing_control_domains", "order")]
    # What the source's host lacks itself does not matter.
    assert judge(without, vendor)["compatible"]
    assert not judge(without, without)["compatible"]
    unable = with_parent(vendor, features="guest_matrix dyn ap_config")
    assert what_differs(judge(vendor, unable)) == [("migratable", "equal")]
    torn = gather(with_parent(vendor, **{"../../../bus/ap/ap_control_domain_mask": "0x07"}))
    (problem,) = torn["problems"]
    assert "ap_control_domain_mask is '0x07'; expected 0x and 64 hex digits" in problem["problem"]
    secure = device_of(gather(card(ap_functions_05="0x92804000")))["migration"]
    assert secure["supported"] is False
    assert "secure guest" in secure["evidence"]


def test_a_matrix_of_every_adapter_there_can_be_has_a_descriptor(judge, gather):
    vendor = tree_of("vfio_ap_migratable")
    numbers = range(256)
    cards = {
        f"{AP}/card{number:02x}/{name}": text
        for number in numbers
        for name, text in (("ap_functions", "0x92800000"), ("hwtype", "14"))
    }
    config = ",".join([f"0x{'f' * 64}", *vendor.files["ap_config"].split(",")[1:]])
    queues = "\n".join(
        f"{number:02x}.{domain}" for number in numbers for domain in ("0004", "00ab")
    )
    whole = replace(
        with_parent(with_files(vendor, matrix=queues, ap_config=config), **cards), listed={}
    )
    assert gather(whole)["problems"] == []
    older = with_parent(whole, **{f"{AP}/cardff/hwtype": "13"})
    assert what_differs(judge(whole, older)) == [("hwtype", "order")]
    assert judge(older, whole)["compatible"]


def test_row_vfio_ccw(judge, gather):
    vendor = tree_of("vfio_ccw")
    assert device_of(gather(vendor))["migration"]["supported"] is False
    assert warned(judge(vendor, vendor), "no device of vfio-ccw migrates with QEMU today")
    assert what_differs(judge(vendor, with_parent(vendor, dev_busid="0.0.4712"))) == [
        ("dev_busid", "equal")
    ]
    # What a new device under the subchannel would have is known before it is there.
    (parent,) = gather(vendor)["parents"]
    assert parent["self"] == {
        "dev_busid": "0.0.4711",
        "subchannel_type": "0",
        "chpid_type": "0x1a",
    }


def test_row_vfio_mdev(judge):
    """The module vfio_mdev states 0.1 on every host; the parent's driver counts."""
    vendor = tree_of("vfio_mdev")
    older = replace(vendor, version="1.5.0")
    assert judge(older, vendor)["compatible"]
    assert what_differs(judge(vendor, older)) == [("software_version", "version_minor")]
    newer_kernel = replace(vendor, bound="")
    assert judge(vendor, newer_kernel)["compatible"]


@pytest.mark.parametrize("bound", ["vfio_mdev", ""])
def test_two_branches_of_nvidias_driver_are_two_whatever_their_mdevs_are_bound_to(judge, bound):
    vendor = replace(tree_of("nvidia_mdev"), bound="vfio_mdev")
    branches = [replace(vendor, version=each) for each in ("460.91.03", "470.63.01")]
    for source, target in (branches, branches[::-1]):
        assert what_differs(judge(source, target)) == [("software_version", "version_major")]
    updated = replace(vendor, version="460.106.00", bound=bound)
    assert judge(branches[0], updated)["compatible"]


@pytest.mark.parametrize("bound", ["vfio_mdev", ""])
def test_branches_are_compared_where_the_target_has_no_device_yet(gather, bound):
    vendor = replace(tree_of("nvidia_mdev"), bound=bound)
    source = gather(replace(vendor, version="460.91.03"))
    source["devices"][0]["in_use"] = {"pid": 7, "name": "vm-1"}

    def planned(version: str) -> t.Any:
        empty = {**gather(replace(vendor, version=version)), "devices": [], "descriptors": {}}
        facts = {"a": source, "b": empty}
        plan = migration_plan(facts, drain=["a"])
        assert verify.violations(plan, facts) == []
        return plan

    (placement,) = planned("460.91.03")["placements"]
    assert not [each for each in placement["warnings"] if "software_version" in each]
    (placement,) = planned("460.106.00")["placements"]
    assert [each for each in placement["warnings"] if "different host drivers" in each]
    refused = planned("470.63.01")
    assert refused["status"] == "unproven"
    (unplaced,) = refused["unplaced"]
    assert "has software_version 470.63.01; major version 460" in unplaced["reasons"][0]["reason"]
    # Where no module states one it is said that nobody compares it.
    (placement,) = planned("")["placements"]
    assert [each for each in placement["warnings"] if "software_version is 460.91.03" in each]


@pytest.mark.parametrize("told", [True, False])
def test_what_a_new_matrix_is_not_known_to_have_is_said(gather, told):
    source = gather(tree_of("vfio_ap_migratable"))
    source["devices"][0]["in_use"] = {"pid": 7, "name": "vm-1"}
    empty = {**gather(tree_of("vfio_ap_migratable")), "devices": [], "descriptors": {}}
    if not told:
        del empty["parents"][0]["self"]
    (placement,) = migration_plan({"a": source, "b": empty}, drain=["a"])["placements"]

    def is_open(name: str) -> bool:
        return any(each.startswith(f"{name} is ") for each in placement["warnings"])

    for name in (
        "migratable",
        "ap_functions",
        "ap_class",
        "hwtype",
        "unfit_adapters",
        "missing_control_domains",
    ):
        assert is_open(name) is not told
    # These it is given.
    assert not any(map(is_open, ("ap_config", "adapters", "domains", "control_domains")))


def test_row_virtio_vfio_pci(gather):
    migration = device_of(gather(tree_of("virtio_vfio_pci")))["migration"]
    assert migration["supported"] is None
    assert "offers the device's parts" in migration["evidence"]


@pytest.mark.parametrize(
    ("row", "need"),
    [
        ("virtio_vfio_pci", "offers the device's parts, which its host does not show"),
        ("xe_vfio_pci", "GuC firmware from 70.54.0 on, which its host does not show"),
    ],
)
def test_what_a_driver_needs_and_a_host_does_not_show_is_said_of_each_side(gather, row, need):
    """Debugfs may show it of one side, and not of the other."""

    def facts(supported: bool | None, vm: str | None) -> dict[str, t.Any]:
        found = gather(tree_of(row))
        for each in found["devices"]:
            each["migration"] = {**each["migration"], "supported": supported}
            each["in_use"] = vm and {"pid": 7, "name": vm}
        return found

    def sides(warnings: list[str]) -> list[str]:
        told = [each for each in warnings if each.startswith("whether ")]
        assert all(each.endswith(need) for each in told)
        return [each.partition(" can migrate is not known: driver ")[0][8:] for each in told]

    for source, target, expected in (
        (None, None, ["source", "target"]),
        (True, None, ["target"]),
        (None, True, ["source"]),
        (True, True, []),
    ):
        fleet = {"a": facts(source, "vm-1"), "b": facts(target, None)}
        (placement,) = migration_plan(fleet, sources=["vm-1"])["placements"]
        assert sides(placement["warnings"]) == [f"the {each}" for each in expected]
        found = compatible_pairs(fleet, sources=["a"], targets=["b"], expand=True)
        assert sides(found["pairs"][0]["warnings"]) == [f"every {each}" for each in expected]
        assert sides(found["devices"][0]["warnings"]) == [f"the {each}" for each in expected]
        ends = [{"host": name, "id": each["devices"][0]["id"]} for name, each in fleet.items()]
        explained = explain(fleet, *ends)
        assert sides(explained["sentences"]) == [f"the {each}" for each in expected]


def test_what_makes_a_function_of_mlx5_migratable_is_said_once(gather):
    """A caution of its driver has it."""
    vendor = tree_of("mlx5_vfio_pci")
    fleet = {"a": gather(vendor), "b": gather(vendor)}
    fleet["a"]["devices"][0]["in_use"] = {"pid": 7, "name": "vm-1"}
    assert device_of(fleet["a"])["migration"]["supported"] is None
    (placement,) = migration_plan(fleet, sources=["vm-1"])["placements"]
    assert len([each for each in placement["warnings"] if "made migratable" in each]) == 1


def rows_of_the_guide() -> dict[str, list[str]]:
    """Return the cells of each row of the guide's table of drivers, by the driver's name."""
    text = GUIDE.read_text(encoding="utf-8").partition("Drivers\n-------\n")[2]
    section = re.split(r"^-+$", text, maxsplit=1, flags=re.MULTILINE)[0]
    rows = re.split(r"^   \* - ", section, flags=re.MULTILINE)[2:]
    cells = (re.split(r"\n     - ", row.strip()) for row in rows)
    return {name.strip("`"): [" ".join(each.split()) for each in others] for name, *others in cells}


def test_each_row_has_its_tree_its_test_and_its_line():
    trees = {vendor.named for vendor in (*TREES, NETWORK_FUNCTION)}
    tests = {name[len("test_row_") :] for name in globals() if name.startswith("test_row_")}
    assert sorted(trees) == sorted(tests) == sorted(rows_of_the_guide())


def test_each_row_says_who_tried_it_on_which_kernel_what_is_compared_and_what_cannot_be():
    for name, cells in rows_of_the_guide().items():
        tried, kernel, compared, not_compared = cells
        assert tried in WORDS, name
        assert re.match(r"(from|before|to|all)\b", kernel), name
        assert compared and not_compared, name
