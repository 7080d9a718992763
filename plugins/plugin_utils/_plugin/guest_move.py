# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The migration of one guest, as the control node sees it: read, retarget, start, watch, step by step on its host."""

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    MAX_MESSAGE,
    printable,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.answers import read_answer
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import (
    LOST,
    REFUSED,
    DomainDefinitions,
    MoveReport,
    check_target,
    progress_line,
    read_definitions,
    read_report,
    retargeted,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import check_moves

# How long one look at a migration lasts, in seconds: at first a short one, as many are over soon.
_FIRST_LOOK = 2.0
LONGEST_LOOK = 10.0
# A host that cannot be reached is tried again so often, after so many seconds.
_RETRIES = 6
_RETRY_SECONDS = 10.0
_ENDED = "the run of Ansible has ended"
# What the action has for the module's own options.
_PASSED_ON = (
    *("uuid", "uri", "destination", "transport", "options"),
    *("downtime", "downtime_max", "stall", "timeout"),
)

Result = dict[str, t.Any]


class GuestMove:
    """A guest that is to leave its host.

    ``ask`` runs the module on that host with options and returns its answer, ``show`` shows a line to the operator.
    ``goes_on`` returns whether the run of Ansible does that this is a task of: a worker of ansible-core outlives one that is
    killed, and would begin what nobody sees to.
    """

    def __init__(
        self,
        given: t.Mapping[str, t.Any],
        host: str,
        ask: t.Callable[[Result], Result],
        show: t.Callable[[str], None],
        goes_on: t.Callable[[], bool],
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._given = given
        self._host = given.get("source") or host
        self._ask = ask
        self._show = show
        self._goes_on = goes_on
        self._sleep = sleep
        # An option that is not given is for the module to have a default for.
        self._options = {key: given[key] for key in _PASSED_ON if given.get(key) is not None}

    def run(self, check_mode: bool = False) -> MoveReport | None:
        """Return how it ended; ``None`` in check mode, where all is well so far."""
        try:
            definitions = self._definitions()
        except VfioMigrationError as error:
            return MoveReport(REFUSED, errors=[str(error)])
        if check_mode:
            return None
        return self._sent(definitions)

    def _definitions(self) -> DomainDefinitions:
        """Return what the guest is to be on its target; raise ``FleetError``."""
        check_moves(self._given["plan"])
        answer = self._asked({"step": "read"})
        if answer.get("failed") or answer.get("unreachable"):
            raise FleetError(_message(answer))
        found = read_definitions(answer)
        new = retargeted(found, self._given["plan"], self._host)
        if self._given.get("target_answer") is not None:
            there = read_answer(self._given["target_answer"])
            check_target(found, self._given.get("target") or "the target", there)
        return new

    def _sent(self, definitions: DomainDefinitions) -> MoveReport:
        domains = {
            "active_xml": definitions.active,
            **({"persistent_xml": definitions.persistent} if definitions.persistent else {}),
        }
        if not self._goes_on():
            return MoveReport(REFUSED, errors=[_ENDED])
        answer = self._asked({"step": "start", "wait": _FIRST_LOOK, **domains})
        if answer.get("failed"):
            return MoveReport(REFUSED, errors=[_message(answer)])
        look = _FIRST_LOOK
        failures = 0
        while answer.get("runs") is True or answer.get("unreachable"):
            if not self._goes_on():
                return MoveReport(LOST, errors=[_ENDED])
            failures = failures + 1 if answer.get("unreachable") else 0
            if failures > _RETRIES:
                return MoveReport(LOST, errors=[_message(answer)])
            if failures:
                self._sleep(_RETRY_SECONDS)
            elif line := progress_line(self._label(), answer.get("status")):
                self._show(line)
            look = min(2 * look, LONGEST_LOOK)
            answer = self._asked({"step": "watch", "wait": look})
        if answer.get("failed"):
            return MoveReport(LOST, errors=[_message(answer)])
        return read_report(answer.get("status"))

    def _label(self) -> str:
        return str(self._given.get("label") or self._given["uuid"])

    def _asked(self, options: Result) -> Result:
        """Return what the host answers, one that is ``unreachable`` where it does not."""
        try:
            return self._ask({**self._options, **options})
        except AnsibleConnectionFailure as error:
            text = f"{self._host} does not answer any more: {error}"
            return {"unreachable": True, "failed": False, "msg": printable(text, MAX_MESSAGE)}


def _message(answer: t.Mapping[str, t.Any]) -> str:
    return printable(str(answer.get("msg") or "its host does not say why"), MAX_MESSAGE)


def as_result(report: MoveReport | None) -> Result:
    """Return what the action returns for a report, or for none."""
    if report is None:
        return {"changed": True}
    found: Result = {
        "changed": report.tried,
        "outcome": report.outcome,
        "errors": [*report.errors],
        "state": report.state,
        "qemu_log": [*report.qemu_log],
        "kernel_log": [*report.kernel_log],
        **report.numbers,
    }
    if report.outcome != "moved":
        words = "; ".join(report.errors) or f"the migration ended as {report.outcome}"
        found |= {"failed": True, "msg": words}
    return found
