# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's SSH keys, and the client that uses them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

# The name under which every host's key stands in known_hosts, so that ports do not matter there.
_HOST_KEY_ALIAS = "vfio-migration-lab"


class Ssh:
    """One key that all hosts accept, one key that all hosts have, made for this lab alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.client_key = directory / "client_key"
        self.host_key = directory / "host_key"
        self._known_hosts = directory / "known_hosts"

    def ensure_keys(self) -> None:
        if self._known_hosts.exists():
            return
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True, mode=0o700)
        for key in (self.client_key, self.host_key):
            generate = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(key)]
            subprocess.run(generate, check=True)
        public = self.host_key.with_suffix(".pub").read_text()
        self._known_hosts.write_text(f"{_HOST_KEY_ALIAS} {public}")

    def options(self) -> list[str]:
        """Return the options that reach a host of this lab and no other."""
        return [
            f"-oHostKeyAlias={_HOST_KEY_ALIAS}",
            f'-oUserKnownHostsFile="{self._known_hosts}"',
            "-oGlobalKnownHostsFile=/dev/null",
            "-oIdentitiesOnly=yes",
        ]

    def kernel(self, port: int) -> str | None:
        """Return the release of the kernel that answers at the port, if one does."""
        command = ["ssh", "-F", "none", "-i", str(self.client_key), "-p", str(port)]
        command += [*self.options(), "-oBatchMode=yes", "-oConnectTimeout=10"]
        answer = subprocess.run(
            [*command, "root@127.0.0.1", "uname -r"], capture_output=True, check=False, text=True
        )
        return answer.stdout.strip() if answer.returncode == 0 else None
