# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What an operator adds to a migration, in the words of ``virsh migrate``, as flags and parameters of libvirt. Pure.

The names are those of libvirt's ``virDomainMigrateFlags`` and of its ``VIR_MIGRATE_PARAM_`` macros.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)

# Flags of libvirt, by the option of virsh that is for one.
FLAGS = {
    "abort-on-error": "ABORT_ON_ERROR",
    "auto-converge": "AUTO_CONVERGE",
    "change-protection": "CHANGE_PROTECTION",
    "compressed": "COMPRESSED",
    "copy-storage-all": "NON_SHARED_DISK",
    "copy-storage-inc": "NON_SHARED_INC",
    "copy-storage-synchronous-writes": "NON_SHARED_SYNCHRONOUS_WRITES",
    "parallel": "PARALLEL",
    "rdma-pin-all": "RDMA_PIN_ALL",
    "suspend": "PAUSED",
    "tls": "TLS",
    "tunnelled": "TUNNELLED",
    "unsafe": "UNSAFE",
    "zerocopy": "ZEROCOPY",
}
# Parameters of libvirt, by the option of virsh that is for one, and what a value is read with.
_NUMBERS = {
    "auto-converge-increment": "auto_converge.increment",
    "auto-converge-initial": "auto_converge.initial",
    "bandwidth": "bandwidth",
    "comp-mt-dthreads": "compression.mt.dthreads",
    "comp-mt-level": "compression.mt.level",
    "comp-mt-threads": "compression.mt.threads",
    "comp-xbzrle-cache": "compression.xbzrle.cache",
    "disks-port": "disks_port",
    "parallel-connections": "parallel.connections",
}
_TEXTS = {
    "disks-uri": "disks_uri",
    "graphicsuri": "graphics_uri",
    "listen-address": "listen_address",
    "tls-destination": "tls.destination",
}
_LISTS = {"comp-methods": "compression", "migrate-disks": "migrate_disks"}
_POSTCOPY = re.compile(r"postcopy")
# What the collection sets itself, some of it by options of its own.
_OWN = frozenset(
    (
        *("desturi", "migrateuri", "timeout", "domain", "live", "p2p", "persistent"),
        *("persistent-xml", "undefinesource", "xml"),
    )
)
_NUMBER = re.compile(r"[0-9]{1,9}\Z")

Value = t.Union[int, str, t.List[str]]


class MigrationOptionError(VfioMigrationError):
    """An option is none that a guest can be migrated with."""


@dataclass(frozen=True)
class MigrationOptions:
    """Names of libvirt's flags, without ``VIR_MIGRATE_``, and its parameters by name."""

    flags: tuple[str, ...] = ()
    parameters: dict[str, Value] = field(default_factory=dict)


def read_options(words: t.Sequence[str]) -> MigrationOptions:
    """Return what ``words`` say, options of ``virsh migrate`` with their values; raise ``MigrationOptionError``.

    A value stands in the option's word, after an equals sign, or is the next word.
    """
    flags: list[str] = []
    parameters: dict[str, Value] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        name = name.lstrip("-")
        _check_name(word, name)
        if name in FLAGS:
            if equals:
                raise MigrationOptionError(f"the option --{name} has no value; it is {word!r}")
            flags.append(FLAGS[name])
            continue
        if not equals:
            if not rest:
                raise MigrationOptionError(f"the option --{name} needs a value")
            value = rest.pop(0)
        parameters.update([_parameter(name, value)])
    return MigrationOptions(tuple(dict.fromkeys(flags)), parameters)


def _check_name(word: str, name: str) -> None:
    if _POSTCOPY.match(name):
        raise MigrationOptionError(
            "QEMU cannot migrate a VFIO device with post-copy; leave that out of the options"
        )
    if name in _OWN:
        raise MigrationOptionError(
            f"the options have {word!r}, which the collection sets itself, or has an option of its own for"
        )
    known = sorted([*FLAGS, *_NUMBERS, *_TEXTS, *_LISTS])
    if name not in known:
        listed = ", ".join(f"--{each}" for each in known)
        raise MigrationOptionError(
            f"the options have {word!r}; expected options of virsh migrate, of these: {listed}"
        )


def _parameter(name: str, value: str) -> tuple[str, Value]:
    if name in _LISTS:
        return _LISTS[name], [each for each in value.split(",") if each]
    if name in _TEXTS:
        return _TEXTS[name], value
    if not _NUMBER.match(value):
        raise MigrationOptionError(f"the option --{name} is {value!r}; expected a number")
    return _NUMBERS[name], int(value)
