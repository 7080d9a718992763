# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Whether what is sent of a guest is encrypted: by QEMU's TLS, with certificates on both hosts. Pure.

Libvirt's own connection, through which a tunnelled migration goes, is another matter, and encrypted as its URI says.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import listed
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.guests import LibvirtHost
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Sentence

# Where both hosts have certificates; or always, and hosts without certificates are excluded; or never.
AUTO, ALWAYS, NEVER = CHOICES = ("auto", "always", "never")
CLIENT, SERVER = "client", "server"
_TLS = "--tls"
# QEMU hands the guest's memory over to the kernel as it is.
_ZEROCOPY = "zerocopy"
OVER_TCP = "tcp:"


@dataclass(frozen=True)
class Encryption:
    """What an operator wants: one of ``CHOICES``, and to which URI and with which options of ``virsh migrate`` guests are sent."""

    choice: str = AUTO
    transport: str = "tcp://{host}"
    options: t.Sequence[str] = ()

    def check(self) -> None:
        """Raise ``FleetError`` where all that is sent is to be encrypted, and goes by a transport for which QEMU does not do so."""
        if self.choice == ALWAYS and not self.transport.startswith(OVER_TCP):
            raise FleetError(
                f"migrate_libvirt_tls is {ALWAYS}, and QEMU encrypts only what goes over TCP; migrate_libvirt_transport is"
                f" {self.transport!r}; expected tcp://{{host}}"
            )
        if self.choice == ALWAYS and has_option(self.options, _ZEROCOPY):
            raise FleetError(
                f"migrate_libvirt_tls is {ALWAYS}, and QEMU does not encrypt what --{_ZEROCOPY} sends;"
                f" take --{_ZEROCOPY} out of migrate_libvirt_options"
            )

    @property
    def by_certificates(self) -> bool:
        """Whether the hosts' certificates decide if a guest is sent encrypted."""
        over_tcp = self.transport.startswith(OVER_TCP)
        return self.choice != NEVER and over_tcp and not self._is_decided

    @property
    def _encrypts(self) -> bool:
        """Whether QEMU encrypts what is sent with these options, where both hosts have certificates."""
        return self.by_certificates and not has_option(self.options, _ZEROCOPY)

    def options_between(self, source: LibvirtHost, target: LibvirtHost) -> list[str]:
        """Return the options with which a guest of ``source`` is sent to ``target``."""
        encrypted = self._encrypts and can_send(source) and can_receive(target)
        return [*self.options, *([_TLS] if encrypted else [])]

    def requires(self, host: LibvirtHost, side: str) -> str | None:
        """Return in words which certificates a host has to have as ``client`` or ``server`` and has not; ``None`` for none."""
        if self.choice != ALWAYS or not self.by_certificates or host.info is None:
            return None
        tls = host.info["tls"]
        has = tls["client"] if side == CLIENT else tls["server"]
        names = f"ca-cert.pem, {side}-cert.pem and {side}-key.pem in {tls['directory']}"
        return None if has else names

    def in_plain(
        self, hosts: t.Mapping[str, LibvirtHost], sources: t.Iterable[str], targets: t.Iterable[str]
    ) -> t.Iterator[Sentence]:
        """Yield that guests are sent as they are, where that is so, and why."""
        if self._is_decided:
            return
        said = "what is sent of guests, their memory too, is not encrypted"
        if self.choice == NEVER:
            yield f"{said}: migrate_libvirt_tls is {NEVER}"
        elif not self.by_certificates:
            yield f"{said}: QEMU encrypts only what goes over TCP, and this goes to {self.transport}"
        else:
            lacking = [host for host in sources if not can_send(hosts[host])]
            lacking += [host for host in targets if not can_receive(hosts[host])]
            if has_option(self.options, _ZEROCOPY):
                yield f"{said}: QEMU does not encrypt what --{_ZEROCOPY} sends; see migrate_libvirt_options"
            elif lacking:
                named = listed(sorted({*lacking}))
                yield f"{said} from or to {named}, where no certificates for it are known; see migrate_libvirt_tls"

    @property
    def _is_decided(self) -> bool:
        """Whether the operator's own options say how it is sent."""
        return has_option(self.options, "tls") or has_option(self.options, "tunnelled")


def has_option(options: t.Iterable[str], name: str) -> bool:
    """Return whether ``options`` of ``virsh migrate`` have one, with a value or without."""
    return any(option.lstrip("-").partition("=")[0] == name for option in options)


def can_send(host: LibvirtHost) -> bool:
    """Return whether a host has the certificates of a sender."""
    return host.info is not None and host.info["tls"]["client"]


def can_receive(host: LibvirtHost) -> bool:
    """Return whether a host has the certificates of a receiver."""
    return host.info is not None and host.info["tls"]["server"]
