# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Actions that answer a question about the whole fleet, as the filter of the same name does."""

from __future__ import annotations

import json
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import (
    plain,
    with_lists,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.fact_cache import read_once
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import (
    absolute,
    content_of,
    replace,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import (
    bounded,
    explained,
    printed,
)

FLEET_OPTIONS: dict[str, dict[str, t.Any]] = {
    "hosts": {"type": "list", "elements": "str"},
    "max_age": {"type": "int"},
    "left_out": {"type": "dict"},
}


class FleetQuestion(ActionBase):
    """An action that answers on the control node, with the facts in ``hostvars``.

    The ``answer``, of ``shape``, has ``sentences``, which are returned; the whole goes to the file ``dest``, or else is
    returned under the name of what was ``asked``.
    """

    _supports_check_mode = True
    _requires_connection = False

    asked: t.ClassVar[str]
    options: t.ClassVar[dict[str, dict[str, t.Any]]]
    answer: t.ClassVar[t.Callable[..., t.Any]]
    shape: t.ClassVar[t.Any]

    @explained
    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        validate: t.Any = self.validate_argument_spec
        spec = {**FLEET_OPTIONS, **self.options, "dest": {"type": "path"}}
        self._task.args = with_lists(self._task.args, spec)
        options = plain(validate(argument_spec=spec)[1])
        dest = options.pop("dest")
        answer = type(self).answer(read_once((task_vars or {})["hostvars"]), **options)
        answer = printed(answer, self.shape)
        result.update(changed=False, sentences=bounded(answer["sentences"]))
        if dest is None:
            result[self.asked] = answer
            return result
        text = json.dumps(answer, indent=1, sort_keys=True) + "\n"
        result.update(dest=absolute(dest), changed=content_of(dest) != text)
        if result["changed"] and not self._task.check_mode:
            replace(dest, text)
        return result
