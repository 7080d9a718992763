# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the modules that change a host have in common around their work: how they end, signals, warnings, tools."""

from __future__ import annotations

import signal

from ansible_collections.vfio.migration.plugins.module_utils._change.errors import ProvisionError

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

    from ansible.module_utils.basic import AnsibleModule
    from ansible_collections.vfio.migration.plugins.module_utils._change.journal import Journal
    from ansible_collections.vfio.migration.plugins.module_utils._change.transaction import (
        Planner,
        Transaction,
    )

    Tool: t.TypeAlias = "t.Callable[..., tuple[int, str, str]]"


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


def run_module(
    module: AnsibleModule, work: t.Callable[[AnsibleModule], dict[str, t.Any]]
) -> t.NoReturn:
    """Ends the module with the result of its ``work``, or with its ``ProvisionError``."""
    try:
        result = work(module)
    except ProvisionError as failure:
        changed = bool(failure.details["left"] or failure.details["recovered"])
        module.fail_json(
            msg=f"{failure}. {_aftermath(failure)}", changed=changed, **failure.details
        )
    module.exit_json(**result)


def change(
    module: AnsibleModule,
    journal: Journal,
    planner: Planner,
    begin: t.Callable[[t.Callable[[], str | None]], Transaction],
    *wanted: t.Any,
) -> dict[str, t.Any]:
    """Brings about what is ``wanted``, or in check mode what it would come to: the module's result.

    ``begin`` makes the transaction, and is given what tells it of a signal that asks to stop.
    """
    if module.check_mode:
        _warn_of_abandoned(module, journal)
        plan = planner.plan(*wanted)
        result = plan.predicted()
    else:
        transaction = begin(Interruption().name)
        try:
            plan, result = transaction.run(planner, *wanted)
        finally:
            warn(module, transaction.warnings)
        result["recovered"] = transaction.recovered
    result["changed"] = plan.changes or bool(result.get("recovered"))
    if module._diff:
        result["diff"] = plan.diff()
    return result


def tool(module: AnsibleModule, name: str, journal: Journal) -> Tool | None:
    """What runs the tool ``name`` in the C locale, with arguments and standard input: exit status, output and error.

    ``None`` where the host does not have it.
    """
    path = module.get_bin_path(name)
    if path is None:
        return None
    module.run_command_environ_update = {"LANGUAGE": "C", "LC_ALL": "C"}

    def run(arguments: list[str], data: str | None = None) -> tuple[int, str, str]:
        # If this process is killed, the tool still finishes what it does, and keeps the locks until then.
        return module.run_command([path, *arguments], data=data, pass_fds=journal.descriptors)  # type: ignore[no-any-return]

    return run


def warn(module: AnsibleModule, warnings: t.Iterable[str]) -> None:
    for warning in warnings:
        module.warn(warning)


def _warn_of_abandoned(module: AnsibleModule, journal: Journal) -> None:
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


def _aftermath(failure: ProvisionError) -> str:
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
