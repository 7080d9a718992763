# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a driver compares and one host does not show is unknown there, and no reason against a pair of devices."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.filter.compatibility import compatibility
from ansible_collections.vfio.migration.plugins.filter.compatible_pairs import compatible_pairs
from ansible_collections.vfio.migration.plugins.filter.migration_plan import migration_plan
from ansible_collections.vfio.migration.plugins.module_utils._host.facts import gather_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.sysfs import Sysfs
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.bulk_match import (
    Listing,
    Subjects,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import (
    DIRECTIONS,
    Judge,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import derive
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_matching import (
    read_naive_descriptor,
    set_matches,
    unknown_names,
)
from ansible_collections.vfio.migration.tests.unit.sysfs_trees import Tree, nobody
from ansible_collections.vfio.migration.tests.unit.vendor_trees import TREES, VendorTree
from hypothesis import given
from hypothesis import strategies as st

Facts = t.Dict[str, t.Any]


def tree_of(row: str) -> VendorTree:
    return next(vendor for vendor in TREES if vendor.named == row)


def without(row: str, *paths: str) -> VendorTree:
    """Return the tree of a row without these files of it, of its parent or of its physical function."""
    vendor = tree_of(row)
    kept = {
        name: {
            path: text for path, text in getattr(vendor, name).items() if not path.endswith(paths)
        }
        for name in ("files", "parent", "physical")
    }
    return replace(vendor, **kept)


# By attribute: its row, and the files without which it is not shown.
HIDDEN = {
    "fw_ver": ("mlx5_vfio_pci", ["fw_ver"]),
    "board_id": ("mlx5_vfio_pci", ["board_id"]),
    "vram_quota": ("xe_vfio_pci", ["vram_quota"]),
    "revision": ("xe_vfio_pci", ["revision"]),
    "cfg_services": ("qat_vfio_pci", ["cfg_services"]),
    "subsystem_id": ("nvidia_mdev", ["subsystem_vendor", "subsystem_device"]),
    "dev_busid": ("vfio_ccw", ["dev_busid"]),
    "chpid_type": ("vfio_ccw", ["chpids", "pimpampom"]),
    "control_domains": ("vfio_ap_before_6_10", ["control_domains"]),
    "ap_config": ("vfio_ap", ["ap_config"]),
    "hwtype": ("vfio_ap_migratable", ["card05/hwtype"]),
    "missing_control_domains": ("vfio_ap_migratable", ["ap_control_domain_mask"]),
    "ap_functions": ("vfio_ap_migratable", ["card06/ap_functions"]),
}
# What an attribute is hidden from where nothing is known of any device if neither host shows it.
ALWAYS_COMPARED = ("fw_ver", "board_id", "vram_quota", "revision", "cfg_services")
# What a target has to have none of, whatever is shown of the source; by ap_functions it is known that no card is secure.
OF_TARGET = ("missing_control_domains",)
NEEDED_OF_TARGET = (*OF_TARGET, "ap_functions")


@pytest.fixture
def gather(tmp_path: Path) -> t.Callable[[VendorTree], Facts]:
    hosts = iter(range(1000))

    def gather_one(vendor: VendorTree) -> Facts:
        tree = Tree(tmp_path / f"host-{next(hosts)}")
        vendor.build(tree)
        facts = gather_facts(Sysfs(str(tree.root)), nobody)
        assert facts["problems"] == []
        # Whether it migrates is another matter.
        for device in facts["devices"]:
            device["migration"] = {**device["migration"], "supported": True}
        return facts

    return gather_one


def descriptor_of(facts: Facts) -> Facts:
    (found,) = facts["descriptors"].values()
    return found


def held(facts: Facts) -> Facts:
    devices = [{**each, "in_use": {"pid": 7, "name": "vm-1"}} for each in facts["devices"]]
    return {**facts, "devices": devices}


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("attribute", HIDDEN)
def test_what_one_side_does_not_show_is_assumed_with_its_reason(gather, attribute, direction):
    row, paths = HIDDEN[attribute]
    shown, hidden = gather(tree_of(row)), gather(without(row, *paths))
    assert attribute in descriptor_of(shown)["self"]
    assert attribute not in descriptor_of(hidden)["self"]
    of_target = attribute in OF_TARGET
    for source, target in ((shown, hidden), (hidden, shown))[: 1 if of_target else 2]:
        judged = compatibility(descriptor_of(source), descriptor_of(target), direction)
        assert judged["compatible"] and not judged["direction_conflict"]
        assert judged["certainty"] == "assumed"
        sides = [
            descriptor_of(each)["self"].get(attribute, "not shown") for each in (source, target)
        ]
        words = f"{attribute} is {sides[0]} on the source and {sides[1]} on the target: "
        if of_target:
            words = f"{attribute} is not shown on the target: "
        assert [each for each in judged["warnings"] if each.startswith(words)]
        found = compatible_pairs(
            {"a": source, "b": target}, direction=direction, sources=["a"], targets=["b"]
        )
        (pair,) = found["pairs"]
        assert (pair["certainty"], pair["warnings"]) == ("assumed", judged["warnings"])
        plan = migration_plan(
            {"a": held(source), "b": {**target, "parents": []}},
            sources=["vm-1"],
            direction=direction,
        )
        (placement,) = plan["placements"]
        assert placement["certainty"] == "assumed"
        assert [each for each in placement["warnings"] if each.startswith(words)]


@pytest.mark.parametrize("attribute", HIDDEN)
def test_what_neither_side_shows_is_assumed_only_where_the_driver_compares_it_of_all(
    gather, attribute
):
    row, paths = HIDDEN[attribute]
    hidden = descriptor_of(gather(without(row, *paths)))
    judged = compatibility(hidden, hidden)
    assert judged["compatible"]
    assert (judged["certainty"] == "assumed") == (attribute in ALWAYS_COMPARED + NEEDED_OF_TARGET)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    ("hidden", "files"),
    [
        # Bound to a secure guest; no such card; no such control domain.
        (["ap_functions", "hwtype"], {"card05/ap_functions": "0x92808000"}),
        (["ap_functions", "hwtype"], {"card05/ap_functions": None, "card05/hwtype": None}),
        (["ap_control_domain_mask"], {"ap_control_domain_mask": f"0x07{'0' * 62}"}),
    ],
)
def test_what_only_the_target_has_to_have_decides_though_the_source_does_not_show_it(
    gather, hidden, files, direction
):
    vendor = tree_of("vfio_ap_migratable")
    changed = {
        path: next((text for end, text in files.items() if path.endswith(end)), content)
        for path, content in vendor.parent.items()
    }
    kept = {path: text for path, text in changed.items() if text is not None}
    source, lacking = (
        gather(without("vfio_ap_migratable", *hidden)),
        gather(replace(vendor, parent=kept)),
    )
    for target, fits in ((gather(vendor), True), (lacking, False)):
        judged = compatibility(descriptor_of(source), descriptor_of(target), direction)
        assert judged["compatible"] == fits
        plan = migration_plan({"a": held(source), "b": {**target, "devices": []}}, sources=["vm-1"])
        assert bool(plan["placements"]) == fits


def test_what_both_show_and_is_not_equal_still_decides(gather):
    vendor = tree_of("mlx5_vfio_pci")
    updated = replace(vendor, physical={"infiniband/mlx5_0/fw_ver": "28.40.1000"})
    judged = compatibility(descriptor_of(gather(vendor)), descriptor_of(gather(updated)))
    # The board of one is not shown.
    assert [reason["attribute"] for reason in judged["reasons"]] == ["fw_ver"]


def test_a_type_is_known_by_its_name_where_both_hosts_tell_it(gather):
    """The file ``name`` of a type is optional (Documentation/ABI/testing/sysfs-bus-vfio-mdev)."""
    told = descriptor_of(gather(tree_of("nvidia_mdev")))
    untold = {
        **told,
        "self": {name: value for name, value in told["self"].items() if name != "type_name"},
    }
    untold["compatible"] = [untold["self"]]
    for source, target in ((told, untold), (untold, told)):
        judged = compatibility(source, target)
        assert (judged["compatible"], judged["certainty"]) == (True, "assumed")


def test_a_set_that_a_driver_states_is_taken_at_its_word(gather):
    """Only of derived sets it is known what not every host shows."""
    shown = descriptor_of(gather(tree_of("qat_vfio_pci")))
    stated = {name: value for name, value in shown.items() if name != "origin"}
    less = {name: value for name, value in stated["self"].items() if name != "cfg_services"}
    judged = compatibility(stated, {"self": less, "compatible": [less]})
    assert [reason["attribute"] for reason in judged["reasons"]] == ["cfg_services"]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("row", ["nvidia_mdev", "vfio_mdev"])
def test_a_version_that_one_driver_does_not_state_is_assumed(gather, row, direction):
    """A module need state none, and a derived ``self`` has 0.0 then."""
    told, untold = (
        descriptor_of(gather(replace(tree_of(row), version=each))) for each in ("470.63", "")
    )
    assert untold["self"]["software_version"] == "0.0"
    for source, target, words in (
        (told, untold, "470.63 on the source and not shown on the target: "),
        (untold, told, "not shown on the source and 470.63 on the target: "),
    ):
        judged = compatibility(source, target, direction)
        assert (judged["compatible"], judged["certainty"]) == (True, "assumed")
        assert [each for each in judged["warnings"] if f"software_version is {words}" in each]
    # Most drivers of Linux state none, and nothing is unknown of two of these.
    assert compatibility(untold, untold, direction)["certainty"] == "derived"


def test_a_host_whose_driver_states_no_version_gets_guests_all_the_same(gather):
    shown = gather(replace(tree_of("nvidia_mdev"), version="470.63"))
    hidden = gather(replace(tree_of("nvidia_mdev"), version=""))
    for source, target in ((shown, hidden), (hidden, shown)):
        plan = migration_plan({"a": held(source), "b": {**target, "parents": []}}, drain=["a"])
        (placement,) = plan["placements"]
        assert placement["certainty"] == "assumed"
        (pair,) = compatible_pairs({"a": source, "b": target}, sources=["a"], targets=["b"])[
            "pairs"
        ]
        assert pair["certainty"] == "assumed"
        # A new one under its parent, too.
        plan = migration_plan({"a": held(source), "b": {**target, "devices": []}}, drain=["a"])
        assert [each["target"]["create"] for each in plan["placements"]] == [True]


# By driver: attributes of which not every host shows each, with some of their values.
LEARNT = {
    "mlx5_vfio_pci": {"fw_ver": ["28.39", "28.40"], "board_id": ["MT_1", "MT_2"]},
    "xe_vfio_pci": {"revision": ["0x00", "0x05"], "vram_quota": ["4", "8"]},
    "vfio_ap": {
        "hwtype": ["13", "14,13"],
        "ap_class": ["0", "1"],
        "ap_config": ["0x1", "0x2"],
        "adapters": ["", "05,06"],
        "migratable": ["yes", "no"],
        "unfit_adapters": ["", "05"],
    },
    "mtty": {"other": ["x", "y"]},
}


@st.composite
def derived_selves(draw: st.DrawFn) -> list[dict[str, str]]:
    """Draw what devices of one driver state, each with only some of the attributes."""
    driver = draw(st.sampled_from(sorted(LEARNT)))
    optional = {name: st.sampled_from(values) for name, values in LEARNT[driver].items()}
    selves = st.fixed_dictionaries(
        {
            "software_version": st.sampled_from(["0.0", "1.0", "1.2", "2.0"]),
            "device_api": st.just("vfio-pci"),
            "type": st.just("t"),
            "driver": st.just(driver),
        },
        optional=optional,
    )
    return draw(st.lists(selves, min_size=2, max_size=5))


@given(derived_selves())
def test_one_verdict_many_at_once_and_the_verifier_agree(selves):
    found = [derive(own, {}) for own in selves]
    naive = [
        read_naive_descriptor({"origin": "derived", "self": own, "compatible": each.compatible})
        for own, each in zip(selves, found, strict=True)
    ]
    judge = Judge()
    subjects = Subjects(selves, True)
    for source, judged in zip(found, naive, strict=True):
        matched = Listing(judge.patterns(source, True), subjects).matched
        assert judged is not None
        for number, target in enumerate(found):
            allowed = judge.allows(source, target)
            assert bool(matched >> number & 1) == allowed
            version = source.version
            (only,) = judged.sets
            assert only is not None
            assert set_matches(only, target.self_attributes, True, version, True) == allowed
            if allowed:
                unknown = unknown_names(source.self_attributes, target.self_attributes)
                certainty = judge.verdict(source, target)["certainty"]
                assert (certainty == "assumed") == bool(unknown)
