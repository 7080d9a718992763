# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the modules that change a host have in common around their work: signals, warnings, and how they fail."""

from __future__ import annotations

import signal

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

    from ansible.module_utils.basic import AnsibleModule
    from ansible_collections.vfio.migration.plugins.module_utils._failure import Failure
    from ansible_collections.vfio.migration.plugins.module_utils._journal import Journal


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


def warn(module: AnsibleModule, warnings: t.Iterable[str]) -> None:
    for warning in warnings:
        module.warn(warning)


def warn_of_abandoned(module: AnsibleModule, journal: Journal) -> None:
    """Warns in check mode of what a killed call left, which this one would undo first."""
    try:
        names = journal.lock_abandoned()
    except PermissionError:
        return
    if names:
        module.warn(
            f"a call that was killed left something half done on {', '.join(names)}; it would be undone first,"
            " which is not shown here"
        )


def fail(module: AnsibleModule, failure: Failure) -> t.NoReturn:
    changed = bool(failure.details["left"] or failure.details["recovered"])
    module.fail_json(msg=f"{failure}. {_aftermath(failure)}", changed=changed, **failure.details)


def _aftermath(failure: Failure) -> str:
    """How the host is after the failure."""
    left = [
        f"{each['device']}: {each['change']} ({each['problem']})"
        for each in failure.details["left"]
    ]
    if left:
        return f"Left behind: {'; '.join(left)}"
    undone = len(failure.details["undone"])
    if undone:
        return f"Changes undone: {undone}"
    recovered = len(failure.details["recovered"])
    if recovered:
        return f"Changes of a call that was killed undone: {recovered}"
    return "Nothing was changed"
