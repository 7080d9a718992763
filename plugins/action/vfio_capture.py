# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import base64
import binascii
import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.answers import (
    HostAction,
    documented,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import (
    absolute,
    replace_bytes,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import explained

_RETURNED = frozenset(("dest",))
# Some 100 times what hosts with many devices have.
_MOST = 64 * 1024 * 1024

_Result = dict[str, t.Any]


class ActionModule(HostAction):
    """Runs ``vfio_capture`` on the host, and fetches the archive if it is asked to."""

    _supports_check_mode = True

    @explained
    def run(self, tmp: str | None = None, task_vars: _Result | None = None) -> _Result:
        result: _Result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        fetch_to = arguments.pop("fetch_to", None)
        try:
            if fetch_to is None:
                answer = self._answer("vfio.migration.vfio_capture", arguments, task_vars)
                return result | documented(answer, _RETURNED)
            return result | self._fetched(str(fetch_to), arguments, task_vars)
        finally:
            self.remove_temporary()

    def _fetched(self, fetch_to: str, arguments: _Result, task_vars: _Result | None) -> _Result:
        """Return the result of a capture whose archive goes to the control node and not to a place on the host."""
        place = absolute(fetch_to)
        if "dest" in arguments:
            raise AnsibleActionFail("give either dest, a place on the host, or fetch_to")
        if self._task.check_mode:
            return {"changed": not os.path.exists(place), "dest": place}
        if self._connection._shell.tmpdir is None:
            self._make_tmp_path()
        there = self._connection._shell.join_path(self._connection._shell.tmpdir, "vfio.tar.gz")
        answer = self._answer("vfio.migration.vfio_capture", arguments | {"dest": there}, task_vars)
        if answer.get("failed"):
            return documented(answer, _RETURNED)
        fetched = self._answer("ansible.builtin.slurp", {"src": there}, task_vars)
        if fetched.get("failed"):
            return documented(fetched, ())
        return {"changed": replace_bytes(place, _content(fetched.get("content"))), "dest": place}

    def _answer(self, module: str, arguments: _Result, task_vars: _Result | None) -> _Result:
        return self._execute_module(module_name=module, module_args=arguments, task_vars=task_vars)


def _content(encoded: t.Any) -> bytes:
    """Return what a host sent; raise ``AnsibleActionFail``."""
    if not isinstance(encoded, str) or len(encoded) > _MOST:
        raise AnsibleActionFail(f"the host sent no archive, or one of more than {_MOST} bytes")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AnsibleActionFail(f"the host sent no archive: {error}") from None
