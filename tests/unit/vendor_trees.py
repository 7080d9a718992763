# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small sysfs trees of today's drivers, one device each, and the facts to be gathered from it.

They are made from the documented ABI, of which each tree names its ``source``; they are not captured from hardware.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.tests.unit.sysfs_trees import UUIDS, Tree

UUID = UUIDS[0]
MDEV_ABI = "Linux, Documentation/ABI/testing/sysfs-bus-vfio-mdev"
MODULE_ABI = "Linux, Documentation/ABI/stable/sysfs-module"
PF = "0000:3b:00.0"
VF = "0000:3b:00.4"


@dataclass(frozen=True)
class VendorTree:
    """``files`` are those below the device, by path; ``parent`` those below a mediated device's parent.

    ``physical`` are those of a virtual function's physical function, ``links`` the links there, by path, and what they
    lead to from the root. ``own`` is the ``self`` expected, ``listed`` what is different in the set of its ``compatible``.
    ``version`` is the module's, ``release`` the kernel's. ``row`` is that of the guide's table of drivers.
    """

    driver: str
    source: str
    own: dict[str, str]
    supported: bool | None
    evidence: str
    mdev_type: str = ""
    # The parent's directory, or the device's where it is none of a parent's.
    place: str = f"devices/pci0000:3a/{VF}"
    device_api: str = "vfio-pci"
    type_name: str = ""
    files: dict[str, str] = field(default_factory=dict)
    parent: dict[str, str] = field(default_factory=dict)
    physical: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    listed: dict[str, str] = field(default_factory=dict)
    row: str = ""
    name: str = ""
    version: str = ""
    release: str = ""
    # Of a mediated device's type, and the driver that it is itself bound to.
    description: str = ""
    bound: str = ""

    @property
    def named(self) -> str:
        """The row of the guide's table of drivers."""
        return self.row or self.driver.replace("-", "_")

    @property
    def kind(self) -> str:
        return "mdev" if self.mdev_type else "pci"

    def __str__(self) -> str:
        return f"{self.kind}-{self.name or self.driver}"

    def build(self, tree: Tree) -> None:
        for path, text in self.parent.items():
            tree.write(f"{self.place}/{path}", text + "\n", 0o444)
        if self.mdev_type:
            self._add_mdev(tree)
        else:
            self._add_files(tree, self.place)
            tree.link(f"bus/pci/devices/{VF}", self.place)
            tree.link(f"{self.place}/driver", f"bus/pci/drivers/{self.driver}")
            (tree.root / self.place / "vfio-dev/vfio0").mkdir(parents=True)
        if self.physical:
            tree.link(f"{self.place}/physfn", f"devices/pci0000:3a/{PF}")
        for path, text in self.physical.items():
            tree.write(f"devices/pci0000:3a/{PF}/{path}", text + "\n")
        for path, target in self.links.items():
            tree.link(f"devices/pci0000:3a/{PF}/{path}", target)
        if self.version:
            bus = "pci" if self.kind == "pci" else "any"
            tree.write(f"bus/{bus}/drivers/{self.driver}/module/version", self.version + "\n")
        if self.release:
            tree.write("kernel/osrelease", self.release + "\n")

    def _add_files(self, tree: Tree, device: str) -> None:
        for path, text in self.files.items():
            tree.write(f"{device}/{path}", text + "\n", 0o444 if path in READ_ONLY else 0o644)

    def _add_mdev(self, tree: Tree) -> None:
        device = f"{self.place}/{UUID}"
        mdev_type = f"{self.place}/mdev_supported_types/{self.mdev_type}"
        tree.write(f"{mdev_type}/create", "", 0o200)
        tree.write(f"{mdev_type}/device_api", self.device_api + "\n", 0o444)
        tree.write(f"{mdev_type}/available_instances", "3\n", 0o444)
        tree.write(f"{mdev_type}/name", (self.type_name or self.mdev_type) + "\n", 0o444)
        if self.description:
            tree.write(f"{mdev_type}/description", self.description + "\n", 0o444)
        if self.bound:
            tree.link(f"{device}/driver", f"bus/mdev/drivers/{self.bound}")
            tree.write(f"bus/mdev/drivers/{self.bound}/module/version", "0.1\n", 0o444)
        tree.write(f"{device}/remove", "", 0o200)
        self._add_files(tree, device)
        tree.link(f"{device}/mdev_type", mdev_type)
        tree.link(f"{self.place}/driver", f"bus/any/drivers/{self.driver}")
        tree.link(f"class/mdev_bus/{self.place.rpartition('/')[2]}", self.place)
        tree.link(f"bus/mdev/devices/{UUID}", device)


READ_ONLY = {
    "control_domains",
    "device",
    "intel_vgpu/vgpu_id",
    "matrix",
    "nvidia/creatable_vgpu_types",
    "subsystem_device",
    "subsystem_vendor",
    "vendor",
    "vendor/sample_mdev_dev",
}


def ids(vendor: str, device: str, subsystem_vendor: str, subsystem_device: str) -> dict[str, str]:
    return {
        "vendor": f"0x{vendor}",
        "device": f"0x{device}",
        "subsystem_vendor": f"0x{subsystem_vendor}",
        "subsystem_device": f"0x{subsystem_device}",
    }


def sample(driver: str, mdev_type: str, **others: t.Any) -> VendorTree:
    """Return the tree of a driver of Linux's samples/vfio-mdev, whose parent is a virtual device."""
    return VendorTree(
        driver=driver,
        source=f"Linux, samples/vfio-mdev/{driver}.c; {MDEV_ABI}",
        mdev_type=mdev_type,
        place=f"devices/virtual/{driver}/{driver}",
        own={
            "software_version": "0.0",
            "device_api": "vfio-pci",
            "type": mdev_type,
            "driver": driver,
        },
        **others,
    )


def variant(
    driver: str,
    vendor: str,
    device: str,
    supported: bool | None = True,
    further: dict[str, str] | None = None,
    files: dict[str, str] | None = None,
    evidence: str = "",
    source: str = "Linux, drivers/vfio/pci/*/Kconfig; Documentation/ABI/testing/sysfs-bus-pci",
    **others: t.Any,
) -> VendorTree:
    """Return the tree of a virtual function bound to a driver of Linux's drivers/vfio/pci.

    ``further`` is what else is in ``self``.
    """
    usual = {
        True: f"driver {driver} is known to support it",
        False: f"driver {driver} never supports it",
        None: "unknown",
    }
    return VendorTree(
        driver=driver,
        source=source,
        files={**ids(vendor, device, vendor, "0001"), **(files or {})},
        own={
            "software_version": "0.0",
            "device_api": "vfio-pci",
            "type": f"pci-{vendor}{device}-{vendor}0001",
            "pci_id": vendor + device,
            "driver": driver,
            **(further or {}),
        },
        supported=supported,
        evidence=evidence or usual[supported],
        **others,
    )


def nvidia_mdev(source: str, further: dict[str, str] | None = None, **others: t.Any) -> VendorTree:
    """Return the tree of a mediated device of NVIDIA's framework; ``further`` is what else is in ``self``."""
    return VendorTree(
        driver="nvidia",
        source=f"{MDEV_ABI}; {source}; {MODULE_ABI}",
        mdev_type="nvidia-474",
        type_name="NVIDIA A100-10C",
        parent=ids("10de", "20b5", "10de", "1533"),
        own={
            "software_version": "550.90.05",
            "device_api": "vfio-pci",
            "type": "nvidia-474",
            "pci_id": "10de20b5",
            "driver": "nvidia",
            "type_name": "NVIDIA A100-10C",
            "subsystem_id": "10de1533",
            **(further or {}),
        },
        version="550.90.05",
        supported=None,
        evidence="unknown",
        **others,
    )


def nvidia_function(current: str, supported: bool | None, evidence: str) -> VendorTree:
    """Return the tree of a virtual function of NVIDIA's framework without mdev, of vGPU releases from 17 on."""
    return VendorTree(
        driver="nvidia",
        name=f"nvidia-{current}",
        row="nvidia_vf",
        source="NVIDIA, kubevirt-gpu-device-plugin, README.md; listing of a host in bigstack-oss/cubecos#312;"
        f" {MODULE_ABI}",
        files={
            **ids("10de", "2336", "10de", "18be"),
            "nvidia/creatable_vgpu_types": "ID    : vGPU Name",
            "nvidia/current_vgpu_type": current,
            "nvidia/gpu_instance_id": "4294967295",
            "nvidia/placement_id": "8",
            "nvidia/vgpu_params": "frame_rate_limiter=0",
            "nvidia/warm_update": "0",
        },
        own={
            "software_version": "570.133.10",
            "device_api": "vfio-pci",
            "type": "pci-10de2336-10de18be",
            "pci_id": "10de2336",
            "driver": "nvidia",
            "current_vgpu_type": current,
            "vgpu_params": "frame_rate_limiter=0",
        },
        version="570.133.10",
        supported=supported,
        evidence=evidence,
    )


SUBCHANNEL = VendorTree(
    driver="vfio_ccw",
    source="Linux, Documentation/ABI/testing/sysfs-bus-css, drivers/s390/cio/chp.c",
    mdev_type="vfio_ccw-io",
    place="devices/css0/0.0.0313",
    device_api="vfio-ccw",
    parent={
        "dev_busid": "0.0.4711",
        "type": "0",
        "chpids": "10 11 00 00 00 00 00 00",
        "pimpampom": "c0 c0 ff",
        # Path 00 is not installed on this subchannel.
        "../chp0.00/type": "1b",
        "../chp0.10/type": "1a",
        "../chp0.11/type": "1a",
    },
    own={
        "software_version": "0.0",
        "device_api": "vfio-ccw",
        "type": "vfio_ccw-io",
        "driver": "vfio_ccw",
        "dev_busid": "0.0.4711",
        "subchannel_type": "0",
        "chpid_type": "0x1a",
    },
    supported=False,
    evidence="QEMU migrates no vfio-ccw device (QEMU, hw/vfio/ccw.c)",
)

MATRIX_SELF = {
    "software_version": "0.0",
    "device_api": "vfio-ap",
    "type": "vfio_ap-passthrough",
    "driver": "vfio_ap",
    "adapters": "05,06",
    "domains": "04,ab",
}
QUEUES = "05.0004\n05.00ab\n06.0004\n06.00ab"
# Adapters 5 and 6; domains 4 and 0xab; control domain 4. The leftmost bit is that of number 0.
AP_CONFIG = ",".join(
    f"0x{sum(1 << 255 - number for number in numbers):064x}"
    for numbers in ((5, 6), (4, 0xAB), (4,))
)


def matrix(
    name: str, files: dict[str, str], own: dict[str, str], row: str = "vfio_ap", **others: t.Any
) -> VendorTree:
    usual = {
        "source": "Linux, Documentation/arch/s390/vfio-ap.rst",
        "supported": False,
        "evidence": "QEMU migrates no vfio-ap device (QEMU, hw/vfio/ap.c)",
    }
    return VendorTree(
        driver="vfio_ap",
        name=name,
        row=row,
        mdev_type="vfio_ap-passthrough",
        place="devices/vfio_ap/matrix",
        device_api="vfio-ap",
        files=files,
        own={**MATRIX_SELF, **own},
        **{**usual, **others},
    )


# What the patches of 2026-07-07 show of the cards; nothing of it is in Linux yet.
CARDS = {
    "../features": "guest_matrix dyn ap_config migratable",
    "../../../../bus/ap/devices/card05/ap_functions": "0x92800000",
    "../../../../bus/ap/devices/card05/hwtype": "13",
    "../../../../bus/ap/devices/card06/ap_functions": "0x92400000",
    "../../../../bus/ap/devices/card06/hwtype": "14",
    # Control domains 4 to 7.
    "../../../../bus/ap/ap_control_domain_mask": f"0x0f{'0' * 62}",
}
MIGRATABLE_MATRIX = matrix(
    "vfio_ap-migratable",
    {"matrix": QUEUES, "ap_config": AP_CONFIG},
    {
        "ap_config": AP_CONFIG,
        "control_domains": "04",
        "migratable": "yes",
        "ap_functions": "92,92",
        "ap_class": "1,0",
        "hwtype": "13,14",
        "unfit_adapters": "",
        "missing_control_domains": "",
    },
    row="vfio_ap_migratable",
    parent={path[3:]: text for path, text in CARDS.items()},
    listed={
        "ap_class": "{rising:1,0}",
        "hwtype": "{rising:13,14}",
        "unfit_adapters": "{none:}",
        "missing_control_domains": "{none:}",
    },
    source="Linux, patches 'vfio-ap: live guest migration', version 4, of 2026-07-07",
    supported=None,
    evidence="the driver's features show migratable; whether QEMU supports it is unknown",
)

QAT = variant(
    "qat_vfio_pci",
    "8086",
    "4941",
    source="Linux, Documentation/ABI/testing/sysfs-driver-qat; drivers/vfio/pci/qat/Kconfig",
    physical={"qat/cfg_services": "sym;dc"},
    further={"cfg_services": "dc;sym"},
)

TREES = (
    VendorTree(
        driver="i915",
        source=f"{MDEV_ABI}; Linux, drivers/gpu/drm/i915/gvt",
        mdev_type="i915-GVTg_V5_4",
        place="devices/pci0000:00/0000:00:02.0",
        files={"intel_vgpu/vgpu_id": "1"},
        description="low_gm_size: 128MB\nhigh_gm_size: 512MB\nfence: 4\nresolution: 1920x1200\nweight: 4",
        parent=ids("8086", "591d", "8086", "2212"),
        own={
            "software_version": "0.0",
            "device_api": "vfio-pci",
            "type": "i915-GVTg_V5_4",
            "pci_id": "8086591d",
            "driver": "i915",
        },
        supported=None,
        evidence="unknown",
    ),
    SUBCHANNEL,
    matrix(
        "vfio_ap-6",
        {"matrix": QUEUES, "control_domains": "0004"},
        {"control_domains": "04"},
        row="vfio_ap_before_6_10",
    ),
    matrix(
        "vfio_ap",
        {"matrix": QUEUES, "ap_config": AP_CONFIG},
        {"ap_config": AP_CONFIG, "control_domains": "04"},
    ),
    matrix("vfio_ap-empty", {"matrix": ""}, {"adapters": "", "domains": ""}),
    matrix("vfio_ap-adapters", {"matrix": "05.\n06."}, {"domains": ""}),
    MIGRATABLE_MATRIX,
    VendorTree(
        driver="i915",
        name="i915-5.18",
        row="vfio_mdev",
        bound="vfio_mdev",
        version="1.6.0",
        source=f"{MDEV_ABI}; {MODULE_ABI}; Linux 5.18, drivers/vfio/mdev/vfio_mdev.c",
        mdev_type="i915-GVTg_V5_4",
        place="devices/pci0000:00/0000:00:02.0",
        parent=ids("8086", "591d", "8086", "2212"),
        own={
            "software_version": "1.6.0",
            "device_api": "vfio-pci",
            "type": "i915-GVTg_V5_4",
            "pci_id": "8086591d",
            "driver": "i915",
        },
        supported=None,
        evidence="unknown",
    ),
    nvidia_mdev(
        row="nvidia_mdev_of_vf",
        source="OpenStack Nova, doc/source/admin/virtual-gpu.rst",
        name="nvidia-of-vf",
        description="num_heads=1, frl_config=60, framebuffer=10240M, max_resolution=4096x2160, max_instance=4",
        physical=ids("10de", "20b5", "10de", "1533"),
    ),
    nvidia_mdev(
        row="nvidia_mdev",
        source="NVIDIA, kubevirt-gpu-device-plugin, README.md",
        further={"vgpu_params": "disable_vnc=1"},
        files={"nvidia/vgpu_params": "disable_vnc=1", "nvidia/placement_id": "0"},
    ),
    nvidia_function("1428", None, "unknown"),
    nvidia_function("0", False, "nvidia/current_vgpu_type is 0, so it has no state to migrate yet"),
    variant("vfio-pci", "8086", "1889", supported=False),
    variant(
        "vfio-pci",
        "15b3",
        "101e",
        name="vfio-pci-mlx5",
        supported=False,
        evidence="driver vfio-pci never supports it; bind it to mlx5_vfio_pci, where this kernel has it",
    ),
    variant("nvgrace_gpu_vfio_pci", "10de", "2342", supported=None),
    variant("hisi_acc_vfio_pci", "19e5", "a251"),
    variant(
        "mlx5_vfio_pci",
        "15b3",
        "101e",
        supported=None,
        physical={
            "infiniband/mlx5_0/fw_ver": "28.39.1002",
            "infiniband/mlx5_0/board_id": "MT_0000000838",
        },
        further={"fw_ver": "28.39.1002", "board_id": "MT_0000000838"},
        source="NVIDIA, DOCA SDK, SR-IOV Live Migration; Linux, Documentation/ABI/stable/sysfs-class-infiniband",
        evidence="driver mlx5_vfio_pci supports it where its port was made migratable before it was bound, which is not"
        " shown here",
    ),
    variant("pds-vfio-pci", "1dd8", "1003"),
    QAT,
    variant(
        "virtio_vfio_pci",
        "1af4",
        "1041",
        supported=None,
        evidence="driver virtio_vfio_pci supports it where the physical function offers the device's parts, which is not"
        " shown here",
        source="Linux, drivers/vfio/pci/virtio/main.c, virtio_pci_admin_has_dev_parts",
    ),
    variant(
        "xe-vfio-pci",
        "8086",
        "e211",
        row="xe_vfio_pci",
        files={"revision": "0x05"},
        physical={
            "sriov_admin/vf1/profile/vram_quota": "8589934592",
            "sriov_admin/vf4/profile/vram_quota": "4294967296",
        },
        links={
            "sriov_admin/vf1/device": "devices/pci0000:3a/0000:3b:00.1",
            "sriov_admin/vf4/device": f"devices/pci0000:3a/{VF}",
        },
        further={"revision": "0x05", "vram_quota": "4294967296"},
        listed={"vram_quota": "{rising:4294967296}"},
        supported=None,
        evidence="driver xe-vfio-pci supports it where the physical function has memory-based interrupts and GuC firmware"
        " from 70.54.0 on, which is not shown here",
        source="Linux, drivers/gpu/drm/xe/xe_sriov_packet.c, xe_sriov_pf_migration.c;"
        " Documentation/ABI/testing/sysfs-driver-intel-xe-sriov, sysfs-bus-pci",
    ),
    sample(
        "mtty",
        "mtty-1",
        files={"vendor/sample_mdev_dev": f"This is MDEV {UUID}"},
        release="6.7.0",
        supported=True,
        evidence="driver mtty supports it from Linux 6.7 on",
    ),
    sample(
        "mtty",
        "mtty-2",
        name="mtty-6.1",
        release="6.1.0-44-amd64",
        supported=False,
        evidence="driver mtty supports it from Linux 6.7 on",
    ),
    sample("mtty", "mtty-2", name="mtty-somewhere", supported=None, evidence="unknown"),
    sample("mdpy", "mdpy-hd", supported=False, evidence="driver mdpy never supports it"),
    sample("mbochs", "mbochs-small", supported=False, evidence="driver mbochs never supports it"),
)

# A mediated device that is none of VFIO's: nothing in the facts.
NETWORK_FUNCTION = VendorTree(
    driver="mlx5_core",
    row="no_vfio_api",
    source=f"{MDEV_ABI}; NVIDIA, MLNX_OFED, sub-functions as mediated devices",
    mdev_type="mlx5_core-local",
    device_api="mlx5_core-local",
    parent=ids("15b3", "101d", "15b3", "0016"),
    own={},
    supported=None,
    evidence="",
)
