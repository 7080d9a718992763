# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What commands on hosts answered, as Ansible registers it. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a command on a host; ``rc`` is ``None`` where the command did not run or its host did not answer."""

    rc: int | None = None
    stdout: str = ""
    stderr: str = ""
    message: str = ""
    unreachable: bool = False

    @property
    def error(self) -> str:
        """What went wrong: what the command wrote to its standard error, or else what Ansible says; may be empty."""
        return self.stderr or self.message


def read_answer(result: t.Any) -> Answer:
    """Return the answer in the registered result of one command.

    A host makes it. Where it is no result of a command, that is an answer, too: one that the command did not run.
    """
    if not isinstance(result, t.Mapping) or not _is_of_a_command(result):
        return Answer(message="the host answered what is not the result of a command")
    return Answer(
        rc=result.get("rc"),
        stdout=result.get("stdout") or "",
        stderr=result.get("stderr") or "",
        message=result.get("msg") or "",
        unreachable=bool(result.get("unreachable")),
    )


def _is_of_a_command(result: t.Mapping[str, t.Any]) -> bool:
    """Return whether what there is of a result has the types that the module ``command`` gives it."""
    rc, texts = result.get("rc"), (result.get(name) for name in ("stdout", "stderr", "msg"))
    number = rc is None or (isinstance(rc, int) and not isinstance(rc, bool))
    return number and all(each is None or isinstance(each, str) for each in texts)


def read_loop(
    results: t.Iterable[t.Mapping[str, t.Any]],
) -> list[tuple[t.Mapping[str, t.Any], Answer]]:
    """Return each item of a loop with the answer to it, from the list ``results`` that a task with a loop registers."""
    return [(each[each["ansible_loop_var"]], read_answer(each)) for each in results]
