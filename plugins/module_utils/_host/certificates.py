# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The certificates with which QEMU encrypts migrations on this host.

The directory is set in libvirt's ``qemu.conf``: ``migrate_tls_x509_cert_dir``, else ``/etc/pki/libvirt-migrate`` where that is
there, else ``default_tls_x509_cert_dir``. The sender needs client certificates, as libvirt lets QEMU ask for them.
"""

from __future__ import annotations

import os
import re
import typing as t

_CONFIGURATION = "/etc/libvirt/qemu.conf"
_OF_MIGRATIONS = "/etc/pki/libvirt-migrate"
_DEFAULT = "/etc/pki/qemu"
_MOST_BYTES = 1 << 20
_SETTING = re.compile(r'^[ \t]*(migrate|default)_tls_x509_cert_dir[ \t]*=[ \t]*"([^"\n]+)"', re.M)
_AUTHORITY = "ca-cert.pem"
_OF = {
    "client": (_AUTHORITY, "client-cert.pem", "client-key.pem"),
    "server": (_AUTHORITY, "server-cert.pem", "server-key.pem"),
}

Facts = t.Dict[str, t.Any]


def certificate_facts(root: str = "/") -> Facts:
    """Return ``directory``, and whether it has what the ``client`` needs that sends, and the ``server`` that receives."""
    directory = _directory(root)
    there = {
        side: all(os.path.isfile(_below(root, f"{directory}/{name}")) for name in names)
        for side, names in _OF.items()
    }
    return {"directory": directory, **there}


def _directory(root: str) -> str:
    set_to = dict(_SETTING.findall(_text(_below(root, _CONFIGURATION))))
    if "migrate" in set_to:
        return str(set_to["migrate"])
    if os.path.isdir(_below(root, _OF_MIGRATIONS)):
        return _OF_MIGRATIONS
    return str(set_to.get("default", _DEFAULT))


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_MOST_BYTES)
    except OSError:
        return ""


def _below(root: str, path: str) -> str:
    return os.path.join(root, path.lstrip("/"))
