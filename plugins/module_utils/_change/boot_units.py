# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What makes PCI and vDPA devices again when the host starts: one unit of systemd for each, ``NAME.service``.

Such a unit is the definition of its device. It runs a few lines of shell with what the device is to have, and needs nothing
of the collection. Its second line is a comment with the definition as a record, JSON with the number of its format; the rest
of the file follows from that, so one that was edited is noticed. It is enabled by the link that ``systemctl enable``
makes. A unit whose device does not come, or is another one by now, fails and stops no other.

Syntax: systemd.service(5), systemd.syntax(7).
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shlex
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._change.errors import Irreversible
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Operation, Step
from ansible_collections.vfio.migration.plugins.module_utils._change.original_state import (
    OriginalState,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.private_directory import (
    PrivateDirectory,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.records import (
    Attribute,
    Record,
    RecordError,
    decode,
    encode,
    pairs_of,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import line_for
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
    reading,
)

# Count it up when a definition, or what a unit does with it, changes.
FORMAT = 1

UNITS = "/etc/systemd/system"
_WANTS = "multi-user.target.wants"
_UNIT = re.compile(r"vfio-migration-[a-z]+-[A-Za-z0-9_.:-]{1,100}\.service\Z")
_VDPA_UNIT = "vfio-migration-vdpa-"
_PCI_DEVICES = "/sys/bus/pci/devices"
_BY_HAND = "remove by hand what it defines, with the link to it in multi-user.target.wants,"

# Each waits for what it needs until systemd's TimeoutStartSec ends it.
_CHECK_ID = """
read -r vendor <"$1/vendor"; read -r device <"$1/device";
if [ "$vendor:$device" != "$2" ]; then
  echo "$1 is $vendor:$device by now, not $2 as it was defined; it is left alone" >&2; exit 1;
fi;
"""
_FUNCTIONS = f"""
until [ -e "$1/driver" ] && [ -e "$1/sriov_numvfs" ]; do sleep 0.2; done;
{_CHECK_ID}
read -r number <"$1/sriov_numvfs";
if [ "$number" != "$3" ]; then echo "$3" >"$1/sriov_numvfs"; fi;
"""
_DEVICE = f"""
until [ -e "$1/driver_override" ]; do sleep 0.2; done;
{_CHECK_ID}
driver=$3; port=$4; migratable=$5; drivers=$6;
bound() {{ link=$(readlink "$1/driver") && [ "${{link##*/}}" = "$driver" ]; }};
if [ -n "$port" ]; then
  until devlink port show "$port" >/dev/null 2>&1; do sleep 0.2; done;
  if devlink port show "$port" | grep -qw "migratable $migratable"; then port=; fi;
fi;
if [ -n "$driver" ]; then
  if bound "$1" && [ -n "$port" ]; then
    echo "$1 is bound to $driver already, so it cannot be made migratable any more" >&2; exit 1;
  fi;
  if ! bound "$1"; then
    if [ -n "$(find "$1/" -name block -o -name "nvme*n*")" ]; then
      echo "$1 has disks, so it is left to its driver" >&2; exit 1;
    fi;
    for net in "$1"/net/*; do
      if [ -e "$net/master" ] || [ -n "$(ip -o address show dev "${{net##*/}}" scope global 2>/dev/null)" ]; then
        echo "$1 is the network interface ${{net##*/}}, which is in use, so it is left to its driver" >&2; exit 1;
      fi;
    done;
    if ! [ -e "$drivers/$driver" ]; then modprobe -- "$driver"; fi;
    echo "$driver" >"$1/driver_override";
    until ! [ -e "$1/driver" ] || [ -e "$1/driver/unbind" ]; do sleep 0.2; done;
    if [ -e "$1/driver" ] && ! bound "$1"; then echo "${{1##*/}}" >"$1/driver/unbind"; fi;
    if [ -n "$port" ]; then devlink port function set "$port" migratable "$migratable"; fi;
    if ! bound "$1"; then echo "${{1##*/}}" >"$drivers/$driver/bind"; fi;
  fi;
fi;
path=$1; shift 6;
while [ $# -gt 0 ]; do
  until [ -e "$path/$1" ]; do sleep 0.2; done;
  has=$(cat "$path/$1" 2>/dev/null) || has=;
  if [ "$has" != "$2" ] && [ "$has" != "$3" ]; then echo "$1=$2"; printf "%s\\n" "$3" >"$path/$1"; fi;
  shift 3;
done;
"""
_VDPA = """
name=$1; mgmtdev=$2; driver=$3; devices=$4; shift 4;
if [ -n "$driver" ]; then modprobe -- "$driver"; fi;
until vdpa mgmtdev show "$mgmtdev" >/dev/null 2>&1; do sleep 0.2; done;
if ! vdpa dev show "$name" >/dev/null 2>&1; then vdpa dev add name "$name" mgmtdev "$mgmtdev" "$@"; fi;
if [ -n "$driver" ]; then
  link=$(readlink "$devices/$name/driver") || link=none;
  if [ "${link##*/}" != "$driver" ]; then
    echo "$name is bound to ${link##*/}, not to $driver as it was defined" >&2; exit 1;
  fi;
fi;
"""


@dataclasses.dataclass
class Definition(Record):
    """What is defined of a device; a subclass says what of."""

    module: t.ClassVar[str]
    kind: t.ClassVar[str]

    @property
    def unit(self) -> str:
        """The name of its unit's file."""
        raise NotImplementedError

    @property
    def device(self) -> str:
        """The name of the device that the module knows it by."""
        raise NotImplementedError

    @property
    def function(self) -> str | None:
        """The address of the PCI function that it waits for, ``None`` where that is none."""
        raise NotImplementedError

    def title(self) -> str:
        """Return in words what the unit makes."""
        raise NotImplementedError

    def after(self) -> list[str]:
        """Return the names of the units that come before this one."""
        raise NotImplementedError

    def command(self) -> tuple[str, list[str]]:
        """Return what a shell does at the start of the host, and its arguments."""
        raise NotImplementedError


@dataclasses.dataclass
class FunctionsDefinition(Definition):
    """How many virtual functions the device ``address`` has, ``pci_id`` being its vendor and device as sysfs has them.

    ``original`` is their number before the module changed it, ``None`` where that did not.
    """

    module = "vfio_pci"
    kind = "functions"
    address: str
    pci_id: str
    sriov_numvfs: int
    original: int | None

    @property
    def unit(self) -> str:
        return functions_unit(self.address)

    @property
    def device(self) -> str:
        return self.address

    @property
    def function(self) -> str | None:
        return self.address

    def title(self) -> str:
        return f"Virtual functions of {self.address}"

    def after(self) -> list[str]:
        return []

    def command(self) -> tuple[str, list[str]]:
        return _FUNCTIONS, [
            f"{_PCI_DEVICES}/{self.address}",
            self.pci_id,
            str(self.sriov_numvfs),
        ]


@dataclasses.dataclass
class PciDefinition(Definition):
    """The driver and the attributes of the device ``address``, a function of ``parent`` unless that is ``None``.

    ``driver`` is ``None`` where the device is to keep that which takes it. ``port`` is that of devlink through which it is
    made ``migratable``, both ``None`` where that is not asked for. ``attributes`` have full names. ``original`` is what the
    device was before the module changed it.
    """

    module = "vfio_pci"
    kind = "device"
    address: str
    pci_id: str
    parent: str | None
    driver: str | None
    port: str | None
    migratable: bool | None
    attributes: list[Attribute]
    original: OriginalState

    @property
    def unit(self) -> str:
        return pci_unit(self.address)

    @property
    def device(self) -> str:
        return self.address

    @property
    def function(self) -> str | None:
        return self.address

    def title(self) -> str:
        return f"Driver and attributes of {self.address}"

    def after(self) -> list[str]:
        # Those of NVIDIA bring a GPU's types.
        vendors = ["nvidia-vgpud.service", "nvidia-vgpu-mgr.service"]
        return vendors + ([] if self.parent is None else [functions_unit(self.parent)])

    def command(self) -> tuple[str, list[str]]:
        return _DEVICE, [
            f"{_PCI_DEVICES}/{self.address}",
            self.pci_id,
            self.driver or "",
            self.port or "",
            "enable" if self.migratable else "disable",
            "/sys/bus/pci/drivers",
            # What has the value, as it is read and as it is written: of one that is empty, the two may be different.
            *(
                word
                for name, value in pairs_of(self.attributes)
                for word in (name, value, line_for(name, value)[:-1])
            ),
        ]


@dataclasses.dataclass
class VdpaDefinition(Definition):
    """The vDPA device ``name`` on ``mgmtdev``, with the attributes that it was given.

    ``driver`` is the one that it is bound to, ``parent`` the physical function that its management device is of; each may
    be ``None``.
    """

    module = "vdpa_device"
    kind = "vdpa"
    name: str
    mgmtdev: str
    parent: str | None
    driver: str | None
    attributes: list[Attribute]

    @property
    def unit(self) -> str:
        return vdpa_unit(self.name)

    @property
    def device(self) -> str:
        return self.name

    @property
    def function(self) -> str | None:
        bus, slash, device = self.mgmtdev.partition("/")
        return device if bus == "pci" and slash else None

    def title(self) -> str:
        return f"vDPA device {self.name}"

    def after(self) -> list[str]:
        units = [functions_unit(self.parent)] if self.parent is not None else []
        function = self.function
        return units + ([functions_unit(function), pci_unit(function)] if function else [])

    def command(self) -> tuple[str, list[str]]:
        attributes = (word for pair in pairs_of(self.attributes) for word in pair)
        place = "/sys/bus/vdpa/devices"
        return _VDPA, [self.name, self.mgmtdev, self.driver or "", place, *attributes]


_KINDS: dict[str, type[Definition]] = {
    each.kind: each for each in (FunctionsDefinition, PciDefinition, VdpaDefinition)
}


def functions_unit(address: str) -> str:
    """Return the name of the unit that makes the virtual functions of ``address``."""
    return f"vfio-migration-functions-{address}.service"


def pci_unit(address: str) -> str:
    """Return the name of the unit that binds and configures ``address``."""
    return f"vfio-migration-device-{address}.service"


def vdpa_unit(name: str) -> str:
    """Return the name of the unit that creates the vDPA device ``name``."""
    return f"{_VDPA_UNIT}{name}.service"


def as_unit(definition: Definition) -> str:
    """Return the text of a definition's unit."""
    record = encode({"kind": definition.kind, "definition": definition.to_json()}, FORMAT)
    script, arguments = definition.command()
    words = " ".join(
        _quoted(each) for each in (" ".join(script.split()), "vfio.migration", *arguments)
    )
    after = "".join(f" {each}" for each in definition.after())
    return f"""\
# Made by vfio.migration.{definition.module} with persistent=true, and removed by it with state=absent. Do not edit it.
# {record.decode("ascii").rstrip()}
[Unit]
Description={definition.title()}, as vfio.migration has defined it
After=systemd-modules-load.service{after}
Before=libvirtd.service virtqemud.service libvirt-guests.service

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=2min
ExecStart=/bin/sh -euc {words}

[Install]
WantedBy=multi-user.target
"""


def _quoted(word: str) -> str:
    r"""Return a word of a command so that systemd passes it on as it is, with ``\``, quotes, ``%`` and ``$``."""
    for character, escaped in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(character, escaped)
    return f'"{word}"'


def _parsed(text: str) -> Definition:
    """Return the definition in a unit; raise ``RecordError`` where it is not the whole of one of this release."""
    comment = text.split("\n")[1:2]
    if not comment or not comment[0].startswith("# "):
        raise RecordError("it is none of vfio.migration, or damaged: the definition is missing")
    fields = decode(comment[0][2:].encode("ascii", "replace"), FORMAT)
    kind = fields.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise RecordError("it is damaged: what it defines is unknown")
    definition: Definition = _KINDS[kind].from_json(fields.get("definition"))
    if as_unit(definition) != text:
        raise RecordError(
            "it is damaged or was edited: it does not do what its second line defines"
        )
    return definition


@dataclasses.dataclass
class DefinedUnit:
    """A definition that there is, and whether its unit is enabled."""

    definition: Definition
    enabled: bool


class BootUnits:
    """The units in ``directory``. What reads raises ``HostReadError``, what writes ``OSError`` too."""

    def __init__(self, directory: str = UNITS) -> None:
        self._units = PrivateDirectory(directory)
        self._wanted = PrivateDirectory(f"{directory}/{_WANTS}")

    def path(self, unit: str) -> str:
        """Return the path of a unit's file."""
        return self._units.path(unit)

    def names(self) -> set[str]:
        """Return the names of all units that there are, those of other tools included."""
        with reading(self._units.path("")):
            return set(self._units.names())

    def vdpa(self) -> list[DefinedUnit]:
        """Return what is defined of vDPA devices, except for units that do not say what they define: they are of no known device."""
        found = []
        for unit in sorted(self.names()):
            if unit.startswith(_VDPA_UNIT):
                with contextlib.suppress(HostReadError):
                    found.append(self.read(unit))
        return [each for each in found if each is not None]

    def read(self, unit: str) -> DefinedUnit | None:
        """Return what the unit of this name defines, ``None`` where there is none."""
        path = self._units.path(unit)
        with reading(path):
            try:
                text = self._units.read(unit).decode("ascii", "replace")
            except FileNotFoundError:
                return None
            enabled = self._wanted.exists(unit)
        try:
            definition = _parsed(text)
            if definition.unit != unit:
                raise RecordError(f"it is damaged: it defines what belongs in {definition.unit}")
        except RecordError as error:
            raise HostReadError(path, error.advice(_BY_HAND)) from None
        return DefinedUnit(definition, enabled)

    def write(self, unit: str, defined: DefinedUnit | None) -> None:
        """Let the unit define that, or with ``None`` be no more."""
        if defined is None or not defined.enabled:
            self._wanted.remove(unit)
        if defined is None:
            self._units.remove(unit)
            return
        self._units.replace(unit, as_unit(defined.definition).encode("ascii"), public=True)
        if defined.enabled and not self._wanted.exists(unit):
            self._wanted.link(unit, f"../{unit}")


@dataclasses.dataclass
class RestoreUnit(Operation):
    """Let the unit ``unit`` have its former ``definition``, of a ``kind`` and perhaps ``enabled``; ``None`` where there was none.

    ``with_device``: the device is removed in the same call for good, and without it the definition is of no use.
    """

    operation = "restore_unit"
    unit: str
    kind: str | None
    definition: dict[str, t.Any] | None
    enabled: bool
    with_device: bool

    @classmethod
    def of(cls, unit: str, former: DefinedUnit | None, with_device: bool = False) -> RestoreUnit:
        """Return what restores a unit as it was."""
        if former is None:
            return cls(unit, None, None, False, with_device)
        found = former.definition
        return cls(unit, found.kind, found.to_json(), former.enabled, with_device)

    def former(self) -> DefinedUnit | None:
        """Return the unit as it was; raise ``RecordError`` where that is no definition."""
        if self.definition is None:
            return None
        if self.kind not in _KINDS:
            raise RecordError(f"it names the kind {self.kind!a}", foreign=True)
        definition = _KINDS[self.kind].from_json(self.definition)
        if definition.unit != self.unit:
            raise RecordError(f"what it defines belongs in {definition.unit}")
        return DefinedUnit(definition, self.enabled)

    def by_hand(self, step: Step, path: str) -> str:
        unit = shlex.quote(self.unit)
        if self.definition is None:
            return f"rm -f {UNITS}/{_WANTS}/{unit} {UNITS}/{unit}"
        module = _KINDS[self.kind].module if self.kind in _KINDS else "the module"
        return f"vfio.migration.{module} with persistent=true, and what it was: {self.definition}"


def restore_unit(units: BootUnits | None, undo: RestoreUnit, device_exists: bool) -> bool:
    """Undo the change of a unit; return whether there was something to undo."""
    if undo.with_device and not device_exists:
        raise Irreversible("the device is gone")
    if units is None:
        return False
    try:
        if not _UNIT.match(undo.unit):
            raise RecordError("it is not a unit of this collection")
        former = undo.former()
    except RecordError as error:
        raise HostReadError(units.path(undo.unit), str(error)) from None
    if units.read(undo.unit) == former:
        return False
    units.write(undo.unit, former)
    return True
