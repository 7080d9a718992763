# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The migration of one guest, as the control node sees it: read, retarget, start, watch, step by step on its host."""

from __future__ import annotations

import math
import os
import time
import typing as t
import uuid

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.utils.display import Display
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    MAX_MESSAGE,
    printable,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._libvirt.move import (
    LOST,
    REFUSED,
    DomainDefinitions,
    MoveReport,
    progress_line,
    read_definitions,
    read_report,
    retargeted,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.answers import (
    HostAction,
    documented,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import plain
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import check_moves
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.interruption import Screen

# What a guest's host is asked with, and what that answers.
MODULE = "vfio.migration.libvirt_migrate"
STEP_RETURNS = frozenset(("begun", "definitions", "runs", "status"))
# How long one look at a migration lasts, in seconds: at first a short one, as many are over soon.
_FIRST_LOOK = 2.0
LONGEST_LOOK = 10.0
# A host that cannot be reached, or does not say how far it is, is asked again so often, after so many seconds.
_RETRIES = 6
_RETRY_SECONDS = 10.0
# A host that did not say whether it has begun must say so often in a row that it has not: it may be about to.
_LOOKS_FOR_BEGIN = 2
# How much longer than its timeout a migration may take, in seconds: to be given up, and to find out its outcome.
_GRACE_SECONDS = 900.0
_TIMEOUT_SECONDS = 3600
ENDED = "the run of Ansible has ended"
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
    killed, and would begin what no run then watches.
    """

    def __init__(
        self,
        given: t.Mapping[str, t.Any],
        host: str,
        ask: t.Callable[[Result], Result],
        show: t.Callable[[str], None],
        goes_on: t.Callable[[], bool],
        sleep: t.Callable[[float], None] = time.sleep,
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self._given = given
        self._host = given.get("source") or host
        self._ask = ask
        self._show = show
        self._goes_on = goes_on
        self._sleep = sleep
        self._clock = clock
        self._end = math.inf
        # An option that is not given is for the module to have a default for.
        self._options = {key: given[key] for key in _PASSED_ON if given.get(key) is not None}
        # By this its host distinguishes it from other attempts with the guest: earlier ones, and a start that comes there twice.
        self._options["attempt"] = uuid.uuid4().hex
        self._wait = _FIRST_LOOK
        # What its host said in place of whether it has begun, and how often it has said since that it has not.
        self._unclear: str | None = None
        self._not_begun = 0
        # How often in a row its host did not say how far it is.
        self._silent = 0

    def run(self) -> MoveReport:
        """Return how it ended."""
        report = self.begin()
        while report is None:
            report = self.look()
        return report

    def check(self) -> MoveReport | None:
        """Return why it cannot begin; ``None`` where all is well so far."""
        try:
            self._definitions()
        except VfioMigrationError as error:
            return MoveReport(REFUSED, errors=[str(error)])
        return None

    def begin(self, stopped: t.Callable[[], str | None] = lambda: None) -> MoveReport | None:
        """Begin it; return how it ended, ``None`` where it goes on, or may: only its host can say that nothing was begun.

        ``stopped`` returns why none begins any more. It is asked last: to read the guest takes its host a while, and a busy one long.
        """
        try:
            definitions = self._definitions()
        except VfioMigrationError as error:
            return MoveReport(REFUSED, errors=[str(error)])
        domains = {
            "active_xml": definitions.active,
            **({"persistent_xml": definitions.persistent} if definitions.persistent else {}),
        }
        reason = stopped() if self._goes_on() else ENDED
        if reason is not None:
            return MoveReport(REFUSED, errors=[reason])
        self._end = self._clock() + self._timeout + _GRACE_SECONDS
        answer = self._asked({"step": "start", "wait": self._wait, **domains})
        if answer.get("failed") and answer.get("begun") is False:
            return MoveReport(REFUSED, errors=[_message(answer)])
        if not _is_look(answer):
            # A module that was killed, or a connection that was lost, may have begun it before.
            self._unclear = _message(answer)
        return self._ended(answer)

    def look(self, longest: float = LONGEST_LOOK) -> MoveReport | None:
        """Look at it for ``longest`` seconds at most; return how it ended, ``None`` where it goes on."""
        if not self._goes_on():
            return MoveReport(LOST, errors=[ENDED])
        self._wait = min(2 * self._wait, longest)
        return self._ended(self._asked({"step": "watch", "wait": self._wait}))

    def _definitions(self) -> DomainDefinitions:
        """Return what the guest is to be on its target; raise ``FleetError``."""
        check_moves(self._given["plan"])
        answer = self._asked({"step": "read"})
        if answer.get("failed") or answer.get("unreachable"):
            raise FleetError(_message(answer))
        return retargeted(read_definitions(answer), self._given["plan"], self._host)

    def _ended(self, answer: Result) -> MoveReport | None:
        """Return how it ended by what its host answers; ``None`` where it goes on."""
        self._silent = 0 if _is_look(answer) else self._silent + 1
        if self._silent > _RETRIES:
            return MoveReport(LOST, errors=[_message(answer)])
        if self._silent:
            self._sleep(_RETRY_SECONDS)
            return None
        if self._unclear is not None and answer.get("begun") is False:
            return self._refused_after_all()
        self._unclear = None
        if answer.get("runs") is not True:
            return read_report(answer.get("status"))
        if self._clock() > self._end:
            # Its host enforces the limits; one that does not would keep the run from ever ending.
            words = f"its host says that it goes on, longer than its timeout of {self._timeout:g} s allows; see to it there (virsh domjobinfo)"
            return MoveReport(LOST, errors=[words])
        if line := progress_line(self._label(), answer.get("status")):
            self._show(line)
        return None

    def _refused_after_all(self) -> MoveReport | None:
        """Return that it has not begun, as its host says now; ``None`` as long as that may still be about to."""
        self._not_begun += 1
        if self._not_begun < _LOOKS_FOR_BEGIN:
            self._sleep(_RETRY_SECONDS)
            return None
        return MoveReport(REFUSED, errors=[self._unclear or ""])

    @property
    def _timeout(self) -> float:
        return float(self._options.get("timeout", _TIMEOUT_SECONDS))

    def _label(self) -> str:
        return str(self._given.get("label") or self._given["uuid"])

    def _asked(self, options: Result) -> Result:
        """Return what the host answers, one that is ``unreachable`` where it does not."""
        try:
            return self._ask({**self._options, **options})
        except AnsibleConnectionFailure as error:
            text = f"{self._host} does not answer any more: {error}"
            return {"unreachable": True, "failed": False, "msg": printable(text, MAX_MESSAGE)}
        except (AnsibleError, OSError) as error:
            # Other guests of the host go on, and so may this one.
            return {"failed": True, "msg": printable(str(error), MAX_MESSAGE)}


def _is_look(answer: t.Mapping[str, t.Any]) -> bool:
    """Return whether a host has said if the migration goes on. The migration may go on even if the look at it has failed."""
    failed = answer.get("unreachable") or answer.get("failed")
    return not failed and isinstance(answer.get("runs"), bool)


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
        **({"state": report.state} if report.looked else {}),
        "qemu_log": [*report.qemu_log],
        "kernel_log": [*report.kernel_log],
        **report.numbers,
    }
    if report.outcome != "moved":
        words = "; ".join(report.errors) or f"the migration ended as {report.outcome}"
        found |= {"failed": True, "msg": words}
    return found


class GuestAction(HostAction):
    """Migrates guests of the host of its task."""

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        self._variables = task_vars or {}
        self._run_of_ansible = os.getppid()
        self._screen = Screen(self._run_of_ansible)
        result: Result = super().run(tmp, task_vars)
        return result

    @property
    def host(self) -> str:
        return str(self._variables["inventory_hostname"])

    def move_of(self, given: t.Mapping[str, t.Any]) -> GuestMove:
        """Return the migration of a guest, with the options of ``libvirt_migrate``."""
        return GuestMove(given, self.host, self.ask, Display().display, self.goes_on)

    def ask(self, options: Result) -> Result:
        answer = self._execute_module(
            module_name=MODULE, module_args=options, task_vars=self._variables
        )
        return t.cast(Result, plain(documented(answer, STEP_RETURNS)))

    def show_at_last(self, text: str) -> None:
        """Show a line to the operator though the run of Ansible, which shows all others, is about to end, or has ended."""
        self._screen.show(text)

    def goes_on(self) -> bool:
        """Return whether the run of Ansible does: a process whose parent has ended gets another one."""
        return os.getppid() == self._run_of_ansible
