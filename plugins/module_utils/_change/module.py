# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the modules that change a host share around their work: their end, signals, check mode, tools."""

from __future__ import annotations

import os
import signal
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vfio.migration.plugins.module_utils._change.errors import (
    InvalidRequest,
    ProvisionError,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Journal
from ansible_collections.vfio.migration.plugins.module_utils._change.plan import (
    REDEFINED,
    UNDEFINED,
    HostChanges,
    Planner,
)
from ansible_collections.vfio.migration.plugins.module_utils._change.transaction import Transaction
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    MAX_MESSAGE,
    printable,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.reading import (
    HostReadError,
)

# Runs a tool with arguments and standard input; returns exit status, output and error.
Tool = t.Callable[..., t.Tuple[int, str, str]]


class Interruption:
    """Notes the signals that ask to stop, so that they take effect between two steps and not in one."""

    def __init__(self) -> None:
        self._name: str | None = None
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def name(self) -> str | None:
        """Return the name of the signal that came, ``None`` if none did."""
        return self._name

    def _note(self, number: int, frame: t.Any) -> None:
        self._name = signal.Signals(number).name


def run_module(
    module: AnsibleModule, work: t.Callable[[AnsibleModule], dict[str, t.Any]]
) -> t.NoReturn:
    """End the module with the result of its ``work``, or with the error that this raises."""
    try:
        result = work(module)
    except ProvisionError as failure:
        _fail(module, failure)
    except VfioMigrationError as error:
        _fail(module, ProvisionError("inspect", str(error)))
    module.exit_json(**result)


def apply_or_predict(
    module: AnsibleModule,
    journal: Journal,
    planner: Planner,
    begin: t.Callable[[t.Callable[[], str | None]], Transaction],
    *wanted: t.Any,
) -> dict[str, t.Any]:
    """Make the changes that lead to what is ``wanted``, or predict them in check mode; return the module's result.

    ``begin`` makes the transaction. Its argument returns the name of the signal that asks to stop, or ``None``.
    """
    if module.check_mode:
        _check_abandoned(module, journal)
        changes: HostChanges = planner.plan(*wanted)
        result = changes.predicted()
    else:
        transaction = begin(Interruption().name)
        try:
            changes, result = transaction.run(planner, *wanted)
        finally:
            warn(module, transaction.warnings)
        result["recovered"] = transaction.recovered
    result["changed"] = changes.changed or bool(result.get("recovered"))
    if module._diff:
        result["diff"] = changes.diff()
    return result


def tool(module: AnsibleModule, name: str, journal: Journal) -> Tool | None:
    """Return what runs the tool ``name`` in the C locale; ``None`` where the host does not have the tool."""
    path = module.get_bin_path(name)
    if path is None:
        return None
    module.run_command_environ_update = {"LANGUAGE": "C", "LC_ALL": "C"}

    def run(arguments: list[str], data: str | None = None) -> tuple[int, str, str]:
        # If this process is killed, the tool still finishes what it does, and keeps the locks until then.
        return module.run_command([path, *arguments], data=data, pass_fds=journal.descriptors)  # type: ignore[no-any-return]

    return run


def check_persistent(module: AnsibleModule, live: bool, present: bool) -> None:
    """Raise ``InvalidRequest`` where devices are to be ``persistent`` and cannot be; ``live`` is whether it is the kernel's /sys."""
    if not module.params["persistent"]:
        return
    if not live:
        raise InvalidRequest("'persistent' works with the running kernel's /sys alone")
    if present and module.get_bin_path("systemctl") is None:
        raise InvalidRequest("'persistent' needs systemd, which is not installed on the host")


def notify_systemd(module: AnsibleModule, units: t.Iterable[tuple[str, str | None]]) -> None:
    """Notify systemd of ``units``, each with the word for its change, if systemd runs the host."""
    changed = [(unit, word) for unit, word in units if word in REDEFINED]
    systemctl = module.get_bin_path("systemctl")
    if module.check_mode or not changed or systemctl is None or not _systemd_runs():
        return
    gone = [unit for unit, word in changed if word == UNDEFINED]
    if gone:
        # Neither does anything to a device. What was not started at this boot is not known to it.
        for verb in ("stop", "reset-failed"):
            module.run_command([systemctl, verb, "--", *gone])
    status, _output, error = module.run_command([systemctl, "daemon-reload"])
    if status != 0:
        warn(
            module, [f"systemd does not know yet what is defined: systemctl daemon-reload: {error}"]
        )


def _systemd_runs() -> bool:
    # sd_booted(3).
    return os.path.isdir("/run/systemd/system")


def warn(module: AnsibleModule, warnings: t.Iterable[str]) -> None:
    """Show ``warnings`` to the user."""
    for warning in warnings:
        module.warn(printable(warning, MAX_MESSAGE))


def _check_abandoned(module: AnsibleModule, journal: Journal) -> None:
    """Warn in check mode of what a killed call left, which this one would undo first."""
    try:
        names = journal.lock_abandoned()
        for name in names:
            journal.abandoned(name)
    except PermissionError:
        return
    except HostReadError as problem:
        raise ProvisionError("recover", str(problem)) from None
    if names:
        left = f"a call that was killed left something half done on {', '.join(names)}"
        warn(module, [f"{left}; it would be undone first, which is not shown here"])


def _fail(module: AnsibleModule, failure: ProvisionError) -> t.NoReturn:
    # What a killed call left is no change of this one.
    left = failure.details["left"] and failure.details["step"] != "recover"
    changed = bool(left or failure.details["recovered"])
    # What Ansible shows as it is. The details are data, which the caller escapes on display.
    message = printable(f"{failure}. {_aftermath(failure)}", 2 * MAX_MESSAGE)
    module.fail_json(msg=message, changed=changed, **failure.details)


def _aftermath(failure: ProvisionError) -> str:
    """Return a sentence on how the host is after the failure."""
    left = [
        f"{each['device']}: {each['change']} ({each['problem']})"
        + (
            f", at {each['where']}; to undo it by hand: {each['by_hand']}"
            if "by_hand" in each
            else ""
        )
        for each in failure.details["left"]
    ]
    # Of what a killed call left, the error itself says all of that.
    if left and failure.details["step"] != "recover":
        return f"Left behind: {'; '.join(left)}"
    undone = len(failure.details["undone"])
    if undone:
        return f"Changes undone: {undone}"
    recovered = len(failure.details["recovered"])
    if recovered:
        return f"Changes of a call that was killed undone: {recovered}"
    return "Nothing was changed"
