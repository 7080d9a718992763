# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is defined is what a shell does at the start of the host; a file that says otherwise is noticed."""

from __future__ import annotations

import os
import re
import string
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.plugins.module_utils._change.boot_units import (
    BootUnits,
    DefinedUnit,
    Definition,
    FunctionsDefinition,
    PciDefinition,
    RestoreUnit,
    VdpaDefinition,
    as_unit,
    restore_unit,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import Irreversible
from ansible_collections.vfio.migration.plugins.module_utils._change.original_state import (
    OriginalState,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.records import (
    Attribute,
    attributes_of,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import HostReadError
from ansible_collections.vfio.migration.tests.unit.fuzzing import spliced_bytes, through
from hypothesis import given
from hypothesis import strategies as st

ADDRESS = "0000:01:10.0"
CARD = "0000:01:00.0"
ID = "0x8086:0x10ca"
HOSTILE = "1; touch owned; $(touch owned) `touch owned` $HOME %i %% \\n ' \" | touch owned"
FUNCTIONS = FunctionsDefinition(CARD, "0x8086:0x10c9", 4, 0)
VDPA = VdpaDefinition("vdpa0", "pci/0000:01:10.2", CARD, "vhost_vdpa", [Attribute("mtu", "9000")])


def pci(
    *attributes: tuple[str, str], driver: str | None = "vfio-pci", **others: t.Any
) -> PciDefinition:
    stated: dict[str, t.Any] = {"port": None, "migratable": None, **others}
    return PciDefinition(
        ADDRESS,
        ID,
        CARD,
        driver,
        stated["port"],
        stated["migratable"],
        attributes_of(attributes),
        OriginalState(),
    )


DEFINITIONS = [FUNCTIONS, pci(("nvidia/vgpu_params", HOSTILE)), VDPA]


def words(unit: str) -> list[str]:
    """Return what systemd would run: its own way to read a line, systemd.syntax(7) and systemd.service(5)."""
    (line,) = (each for each in unit.splitlines() if each.startswith("ExecStart="))
    rest, found = line.partition("=")[2], []
    while rest:
        quoted = re.match(r'"((?:[^"\\]|\\.)*)"(?: |$)', rest)
        plain = re.match(r"([^ \"']+)(?: |$)", rest)
        match = quoted or plain
        assert match, rest
        word = re.sub(r"\\(.)", r"\1", match.group(1)) if quoted else match.group(1)
        assert not re.search(r"(?<!\$)(?:\$\$)*\$(?!\$)", word), "a variable of systemd"
        assert not re.search(r"(?<!%)(?:%%)*%(?!%)", word), "a specifier of systemd"
        found.append(word.replace("$$", "$").replace("%%", "%"))
        rest = rest[match.end() :]
    return found


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "group/name"]), st.text(string.printable[:95], max_size=40)
        ),
        max_size=4,
    )
)
def test_a_shell_gets_every_value_as_it_is(pairs):
    shell = words(as_unit(pci(*pairs)))
    assert shell[:2] == ["/bin/sh", "-euc"]
    told = [word for name, value in pairs for word in (name, value, value)]
    assert shell[-3 * len(pairs) :] == told or not pairs


# --- what the shell does ------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sh", "bash"])
def sys(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Build the files of a device that has the driver ``igbvf``, for the shells of Debian and of RHEL."""
    (tmp_path / request.param).touch()
    device = tmp_path / "devices" / ADDRESS
    drivers = tmp_path / "drivers"
    for name in ("vfio-pci", "igbvf"):
        (drivers / name).mkdir(parents=True)
        (drivers / name / "bind").touch()
        (drivers / name / "unbind").touch()
    (device / "nvidia").mkdir(parents=True)
    for name, value in {
        "vendor": "0x8086",
        "device": "0x10ca",
        "sriov_numvfs": "0",
        "driver_override": "(null)",
        "nvidia/current_vgpu_type": "0",
        "nvidia/vgpu_params": "",
    }.items():
        (device / name).write_text(value + "\n")
    (device / "driver").symlink_to(drivers / "igbvf")
    return tmp_path


def start(
    definition: Definition, sys: Path, tools: t.Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Do what systemd does with a definition's unit, on the files in ``sys`` and with ``tools`` of that text."""
    for name, text in (tools or {}).items():
        (sys / "bin").mkdir(exist_ok=True)
        (sys / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (sys / "bin" / name).chmod(0o755)
    places = {
        f"/sys/bus/pci/devices/{ADDRESS}": str(sys / "devices" / ADDRESS),
        f"/sys/bus/pci/devices/{CARD}": str(sys / "devices" / ADDRESS),
        "/sys/bus/pci/drivers": str(sys / "drivers"),
        "/sys/bus/vdpa/devices": str(sys / "vdpa"),
    }
    shell = ["bash", "--posix"] if (sys / "bash").exists() else ["/bin/sh"]
    command = [*shell, *(places.get(each, each) for each in words(as_unit(definition))[1:])]
    path = f"{sys / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=sys,
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def text(sys: Path, name: str) -> str:
    return (sys / "devices" / ADDRESS / name).read_text()


def test_functions_are_made_and_then_left_alone(sys):
    wanted = FunctionsDefinition(CARD, ID, 4, 0)
    assert start(wanted, sys).returncode == 0
    assert text(sys, "sriov_numvfs") == "4\n"
    (sys / "devices" / ADDRESS / "sriov_numvfs").chmod(0o444)
    assert start(wanted, sys).returncode == 0


@pytest.mark.parametrize("wanted", [FunctionsDefinition(CARD, "0x8086:0x1", 4, 0), pci(("a", "1"))])
def test_another_device_at_the_place_is_left_alone(sys, wanted):
    (sys / "devices" / ADDRESS / "device").write_text("0x9999\n")
    ended = start(wanted, sys)
    assert ended.returncode != 0
    assert "0x8086:0x9999 by now, not 0x8086:0x" in ended.stderr
    assert text(sys, "sriov_numvfs") == "0\n"
    assert text(sys, "driver_override") == "(null)\n"


def test_a_device_is_taken_from_its_driver_and_given_to_the_other(sys):
    assert start(pci(), sys).returncode == 0
    assert text(sys, "driver_override") == "vfio-pci\n"
    assert (sys / "drivers/igbvf/unbind").read_text() == f"{ADDRESS}\n"
    assert (sys / "drivers/vfio-pci/bind").read_text() == f"{ADDRESS}\n"


def test_a_driver_that_is_being_loaded_is_waited_for(sys):
    unbind = sys / "drivers/igbvf/unbind"
    unbind.unlink()
    assert start(pci(), sys, {"sleep": f"touch {unbind}"}).returncode == 0
    assert unbind.read_text() == f"{ADDRESS}\n"


def test_a_device_that_has_the_driver_keeps_it(sys):
    assert start(pci(driver="igbvf"), sys).returncode == 0
    assert text(sys, "driver_override") == "(null)\n"
    assert (sys / "drivers/igbvf/unbind").read_text() == ""


def test_a_driver_that_is_not_there_is_loaded(sys):
    tools = {"modprobe": f'mkdir {sys}/drivers/"$2"'}
    assert start(pci(driver="mlx5_vfio_pci"), sys, tools).returncode == 0
    assert (sys / "drivers/mlx5_vfio_pci/bind").read_text() == f"{ADDRESS}\n"


@pytest.mark.parametrize(
    "used", ["nvme/nvme0/nvme0n1/size", "host0/target/0:0/block/sda/size", "net/eth1/master/x"]
)
def test_a_device_that_the_host_may_use_is_left_to_it(sys, used):
    file = sys / "devices" / ADDRESS / used
    file.parent.mkdir(parents=True)
    file.touch()
    ended = start(pci(), sys)
    assert ended.returncode != 0
    assert "left to its driver" in ended.stderr
    assert text(sys, "driver_override") == "(null)\n"


def test_attributes_are_written_as_they_are_and_in_order(sys):
    wanted = pci(("nvidia/current_vgpu_type", "1429"), ("nvidia/vgpu_params", HOSTILE), driver=None)
    ended = start(wanted, sys)
    assert ended.returncode == 0, ended.stderr
    assert text(sys, "nvidia/current_vgpu_type") == "1429\n"
    assert text(sys, "nvidia/vgpu_params") == HOSTILE + "\n"
    assert text(sys, "driver_override") == "(null)\n"
    assert not (sys / "owned").exists()


@pytest.mark.parametrize(
    ("there", "then"), [("disable_vnc=1\n", " \n"), ("\n", "\n"), (" \n", " \n")]
)
def test_parameters_are_cleared_by_a_space_where_there_are_some(sys, there, then):
    """NVIDIA, Virtual GPU Software User Guide."""
    file = sys / "devices" / ADDRESS / "nvidia/vgpu_params"
    file.write_text(there)
    ended = start(pci(("nvidia/vgpu_params", ""), driver=None), sys)
    assert ended.returncode == 0, ended.stderr
    assert file.read_text() == then
    assert bool(ended.stdout) is (there != then)


def test_another_attribute_is_emptied_by_an_empty_line(sys):
    file = sys / "devices" / ADDRESS / "nvidia/other"
    file.write_text("1\n")
    assert start(pci(("nvidia/other", ""), driver=None), sys).returncode == 0
    assert file.read_text() == "\n"


def test_a_write_that_fails_fails_the_unit(sys):
    file = sys / "devices" / ADDRESS / "nvidia/current_vgpu_type"
    file.unlink()
    file.symlink_to("/dev/full")
    wanted = pci(("nvidia/current_vgpu_type", "1429"), ("nvidia/vgpu_params", "x"), driver=None)
    assert start(wanted, sys, {"cat": "echo 0"}).returncode != 0
    assert text(sys, "nvidia/vgpu_params") == "\n"


def test_a_port_is_made_migratable_while_no_driver_has_the_function(sys):
    tools = {
        "devlink": f'echo "$*" >>{sys}/log; if [ "$2" = show ]; then echo "migratable disable"; fi'
    }
    wanted = pci(port="pci/0000:01:00.0/1", migratable=True)
    assert start(wanted, sys, tools).returncode == 0
    assert (sys / "log").read_text().splitlines()[-1] == (
        "port function set pci/0000:01:00.0/1 migratable enable"
    )
    # What the driver has seen stays as it is.
    bound = pci(driver="igbvf", port="pci/0000:01:00.0/1", migratable=True)
    assert start(bound, sys, tools).returncode != 0


def test_a_vdpa_device_is_created_once(sys):
    (sys / "vdpa").mkdir()
    tools = {
        "modprobe": f'echo "modprobe $*" >>{sys}/log',
        "vdpa": f'case "$*" in "mgmtdev show"*) ;; "dev show"*) test -e {sys}/vdpa/vdpa0 ;; *)'
        f' echo "$*" >>{sys}/log; mkdir -p {sys}/vdpa/vdpa0; ln -s /x/vhost_vdpa {sys}/vdpa/vdpa0/driver ;; esac',
    }
    for _again in range(2):
        ended = start(VDPA, sys, tools)
        assert ended.returncode == 0, ended.stderr
    assert (sys / "log").read_text().splitlines() == [
        "modprobe -- vhost_vdpa",
        "dev add name vdpa0 mgmtdev pci/0000:01:10.2 mtu 9000",
        "modprobe -- vhost_vdpa",
    ]
    (sys / "vdpa/vdpa0/driver").unlink()
    (sys / "vdpa/vdpa0/driver").symlink_to("/x/virtio_vdpa")
    ended = start(VDPA, sys, tools)
    assert ended.returncode != 0
    assert "bound to virtio_vdpa, not to vhost_vdpa" in ended.stderr


def test_functions_come_before_drivers_and_those_before_vdpa_devices():
    assert FUNCTIONS.unit in pci().after()
    assert {FUNCTIONS.unit, f"vfio-migration-device-{ADDRESS[:-1]}2.service"} <= {*VDPA.after()}
    for each in DEFINITIONS:
        assert each.unit not in each.after()


# --- files --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def units(tmp_path: Path) -> BootUnits:
    return BootUnits(str(tmp_path / "etc/systemd/system"))


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda each: each.kind)
def test_a_definition_is_read_as_it_was_written(units, tmp_path, definition):
    assert units.read(definition.unit) is None
    units.write(definition.unit, DefinedUnit(definition, True))
    assert units.read(definition.unit) == DefinedUnit(definition, True)
    link = tmp_path / "etc/systemd/system/multi-user.target.wants" / definition.unit
    assert link.resolve() == Path(units.path(definition.unit))
    assert oct(link.stat().st_mode & 0o777) == "0o644"
    link.unlink()
    assert units.read(definition.unit) == DefinedUnit(definition, False)
    units.write(definition.unit, None)
    assert units.read(definition.unit) is None


def test_a_unit_that_was_edited_is_not_believed(units):
    units.write(FUNCTIONS.unit, DefinedUnit(FUNCTIONS, True))
    path = Path(units.path(FUNCTIONS.unit))
    content = path.read_text()
    for old, new, said in (
        ("2min", "9min", "does not do what its second line defines"),
        ('"format": 1', '"format": 2', "a newer release"),
        ('"sriov_numvfs": 4', '"sriov_numvfs": "4"', "wrong type"),
        (CARD, "0000:02:00.0", "belongs in vfio-migration-functions-0000:02:00.0.service"),
    ):
        path.write_text(content.replace(old, new))
        with pytest.raises(HostReadError) as raised:
            units.read(FUNCTIONS.unit)
        assert said in str(raised.value)
        assert str(path) in str(raised.value)


@given(st.sampled_from(DEFINITIONS), st.data())
def test_a_damaged_unit_is_a_definition_or_an_error_that_names_it(
    tmp_path_factory, definition, data
):
    units = BootUnits(str(tmp_path_factory.mktemp("etc") / "systemd/system"))
    units.write(definition.unit, DefinedUnit(definition, True))
    path = Path(units.path(definition.unit))
    path.write_bytes(data.draw(spliced_bytes(path.read_bytes())))
    found = through(lambda: units.read(definition.unit), HostReadError)
    assert found is None or as_unit(found.definition).encode() == path.read_bytes()


def test_undoing_restores_what_was_defined(units):
    units.write(FUNCTIONS.unit, DefinedUnit(FUNCTIONS, False))
    undo = RestoreUnit.of(FUNCTIONS.unit, units.read(FUNCTIONS.unit))
    assert not restore_unit(units, undo, device_exists=True)
    units.write(FUNCTIONS.unit, None)
    assert restore_unit(units, undo, device_exists=True)
    assert units.read(FUNCTIONS.unit) == DefinedUnit(FUNCTIONS, False)
    gone = RestoreUnit.of(VDPA.unit, None, with_device=True)
    with pytest.raises(Irreversible):
        restore_unit(units, gone, device_exists=False)


@pytest.mark.parametrize(
    "undo",
    [
        RestoreUnit("../passwd", None, None, False, False),
        RestoreUnit("sshd.service", None, None, False, False),
        RestoreUnit(VDPA.unit, "functions", FUNCTIONS.to_json(), True, False),
        RestoreUnit(VDPA.unit, "unknown", {}, True, False),
    ],
)
def test_a_journal_touches_no_other_unit(units, undo):
    with pytest.raises(HostReadError):
        restore_unit(units, undo, device_exists=True)
