# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the modules that change a host have in common: signals that ask them to stop, and how they fail."""

from __future__ import annotations

import signal

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

    from ansible.module_utils.basic import AnsibleModule
    from ansible_collections.vfio.migration.plugins.module_utils._mdev import Failure


class Interruption:
    """Notes the signals that ask to stop, so that they take effect between two steps and not in one."""

    def __init__(self) -> None:
        self._name: str | None = None
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def name(self) -> str | None:
        """The name of the signal that came, ``None`` if none did."""
        return self._name

    def _note(self, number: int, frame: t.Any) -> None:
        self._name = signal.Signals(number).name


def fail(module: AnsibleModule, failure: Failure) -> t.NoReturn:
    """Ends the module with what went wrong and how the host is now."""
    left = bool(failure.details["left"])
    module.fail_json(msg=f"{failure}. {_aftermath(failure)}", changed=left, **failure.details)


def _aftermath(failure: Failure) -> str:
    """How the host is after the failure."""
    left = [
        f"{each['device']}: {each['change']} ({each['problem']})"
        for each in failure.details["left"]
    ]
    if left:
        return f"Left behind: {'; '.join(left)}"
    undone = len(failure.details["undone"])
    return f"Changes undone: {undone}" if undone else "Nothing was changed"
