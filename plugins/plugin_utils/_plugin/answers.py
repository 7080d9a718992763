# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What a host answers to a module, as far as the module documents it.

A host in the wrong hands answers what it likes. Of a module's answer Ansible takes ``ansible_facts`` for variables, which go
before those of the inventory: with ``inventory_hostname`` among them the host's next tasks run on another one. So nothing is
let in but what the module documents.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import (
    MAX_MESSAGE,
    printable,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import (
    printed_throughout,
)

_DIFF = "diff"
# What Ansible itself reads, or adds on the control node, and what it is.
_COMMON: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("changed", "failed", "skipped", "unreachable"), bool),
    **dict.fromkeys(("msg", "module_stdout", "module_stderr"), str),
    **dict.fromkeys(("ansible_job_id", "results_file"), str),
    **dict.fromkeys(("rc", "started", "finished"), int),
    _DIFF: (dict, list),
    "exception": object,
    "invocation": dict,
}
# What the modules that change a host return.
CHANGES = frozenset(
    (
        *("devices", "recovered", "step", "device", "errno", "hint", "kernel_log", "reasons"),
        *("undone", "left"),
    )
)
_NOTES = ("warnings", "deprecations")
# Some times what the modules return, and a fraction of what Python can follow.
MAX_DEPTH = 64
_DISCOVERED = "discovered_interpreter_"
_FACTS = "ansible_facts"


def documented(
    result: t.Mapping[str, t.Any], returned: t.Collection[str], facts: t.Collection[str] = ()
) -> dict[str, t.Any]:
    """Return of a module's ``result`` what it documents: the keys ``returned``, and these ``facts``.

    Of what Ansible reads itself that is kept which is of its type. Warnings are made printable, and so are differences and
    all of an answer that is no success: Ansible shows these as they are. What is nested so deep that Ansible, or a user's
    filter, could not follow it, is no answer.
    """
    if _is_deeper(result, MAX_DEPTH):
        return {"failed": True, "msg": f"its answer is nested deeper than {MAX_DEPTH} levels"}
    found = {
        key: value
        for key, value in result.items()
        if key in returned
        or key.startswith("_ansible_")
        or (key in _COMMON and isinstance(value, _COMMON[key]))
    }
    for key in _NOTES:
        if isinstance(result.get(key), list) and (notes := list(_notes(result[key]))):
            found[key] = notes
    if _DIFF in found:
        found[_DIFF] = printed_throughout(found[_DIFF])
    given = result.get(_FACTS)
    if isinstance(given, t.Mapping):
        known = {
            key: value
            for key, value in given.items()
            if key in facts or key.startswith(_DISCOVERED)
        }
        if known:
            found[_FACTS] = known
    if found.get("failed") or found.get("unreachable"):
        # What newer versions of Ansible have made of the message, and would show instead.
        found.pop("exception", None)
        return t.cast("dict[str, t.Any]", printed_throughout(found))
    return found


def _is_deeper(value: t.Any, most: int) -> bool:
    """Return whether mappings and lists are nested in ``value`` more than ``most`` levels deep."""
    level = [value]
    for _depth in range(most + 1):
        level = [
            each
            for holder in level
            if isinstance(holder, (dict, list))
            for each in (holder.values() if isinstance(holder, dict) else holder)
        ]
        if not level:
            return False
    return True


def _notes(notes: t.Iterable[t.Any]) -> t.Iterator[t.Any]:
    for note in notes:
        if isinstance(note, str):
            yield printable(note, MAX_MESSAGE)
        elif not isinstance(note, (bool, dict, int, float, list, type(None))):
            # What Ansible itself has made of a note.
            yield note


class HostAction(ActionBase):
    """Runs modules on a host; an answer that Ansible itself cannot read is a failure of that host."""

    def _execute_module(self, *arguments: t.Any, **options: t.Any) -> dict[str, t.Any]:
        run: t.Any = super()._execute_module
        try:
            return dict(run(*arguments, **options))
        # Where a host answers null for a mapping, say; no ansible-core takes that into account.
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            return {"failed": True, "msg": f"its answer is not a module's: {error}"}

    def remove_temporary(self) -> None:
        """Remove what modules have left in the host's temporary directory; a host that is gone keeps it, and costs no result."""
        remove: t.Any = self._remove_tmp_path
        with contextlib.suppress(AnsibleConnectionFailure):
            remove(self._connection._shell.tmpdir)


class DocumentedAction(HostAction, NormalAction):
    """Runs the module of its name on the host, and returns what that documents alone."""

    returned: t.ClassVar[frozenset[str]] = frozenset()
    facts: t.ClassVar[frozenset[str]] = frozenset()

    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        run: t.Any = super().run
        return documented(run(tmp, task_vars), self.returned, self.facts)
