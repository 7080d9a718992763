# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Whether a guest is sent over several connections at once: QEMU's multifd, which libvirt calls parallel. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import listed
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.encryption import (
    ALWAYS,
    AUTO,
    NEVER,
    OVER_TCP,
    has_option,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import (
    QEMU,
    LibvirtHost,
    is_older,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Sentence

# The first QEMU that sends the state of VFIO devices, too, over these connections, of guests with a machine type as new as
# that (docs/devel/migration/vfio.rst, x-migration-multifd-transfer; hw/core/machine.c, hw_compat_9_2).
MINIMUM_FOR_MULTIFD = "10.0.0"
# As many as QEMU itself has (multifd-channels).
CONNECTIONS = 2
# QEMU's parameter is a byte.
MOST_CONNECTIONS = 255
# Options of virsh with which libvirt refuses it, or with which an operator says it all.
_EXCLUDE = ("tunnelled", "compressed", "comp-methods", "rdma-pin-all")
_OWN = ("parallel", "parallel-connections")


@dataclass(frozen=True)
class Multifd:
    """What an operator wants: ``auto``, ``always`` or ``never``, how many connections, to which URI, and which options of ``virsh migrate``."""

    choice: str = AUTO
    connections: int = CONNECTIONS
    transport: str = "tcp://{host}"
    options: t.Sequence[str] = ()

    def check(self) -> None:
        """Raise ``FleetError`` where there are to be several connections, and something else that was asked for keeps QEMU from it."""
        if self.choice == ALWAYS and (why := self._why_impossible()) is not None:
            raise FleetError(f"migrate_libvirt_multifd is {ALWAYS}, and {why}")

    def _why_impossible(self) -> str | None:
        excluding = [f"--{name}" for name in _EXCLUDE if has_option(self.options, name)]
        if excluding:
            return f"QEMU has one connection with {listed(excluding)} of migrate_libvirt_options"
        if not self.transport.startswith(OVER_TCP):
            return (
                f"several connections go over TCP alone; migrate_libvirt_transport is {self.transport!r};"
                " expected tcp://{host}"
            )
        return None

    @property
    def by_versions(self) -> bool:
        """Whether the hosts' versions of QEMU decide if there are several connections."""
        own = any(has_option(self.options, name) for name in _OWN)
        return self.choice != NEVER and not own and self._why_impossible() is None

    def options_between(self, source: LibvirtHost, target: LibvirtHost) -> list[str]:
        """Return the options with which a guest of ``source`` is sent to ``target``, beside those that the operator has given."""
        if not self.by_versions or _lacks(source) or _lacks(target):
            return []
        return ["--parallel", f"--parallel-connections={self.connections}"]

    def requires(self, host: LibvirtHost) -> str | None:
        """Return in words what a host has to have and has not; ``None`` for nothing."""
        needed = self.choice == ALWAYS and self.by_versions and _lacks(host)
        return f"QEMU {MINIMUM_FOR_MULTIFD} or newer" if needed else None

    def over_one(
        self, hosts: t.Mapping[str, LibvirtHost], sources: t.Iterable[str], targets: t.Iterable[str]
    ) -> t.Iterator[Sentence]:
        """Yield which hosts guests leave, or come to, over one connection though there could be several."""
        ends = {*sources, *targets} if self.by_versions else set()
        lacking = sorted(host for host in ends if _lacks(hosts[host]))
        if lacking:
            yield (
                f"guests are sent over one connection from or to {listed(lacking)}, where no QEMU {MINIMUM_FOR_MULTIFD} or newer is"
                " known; see migrate_libvirt_multifd"
            )


def _lacks(host: LibvirtHost) -> bool:
    version = host.versions.get(QEMU)
    return version is None or is_older(version, MINIMUM_FOR_MULTIFD)
