# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The variables that are a playbook's options, and those that somebody has set in place of one: Ansible takes any name."""

from __future__ import annotations

import difflib
import re
import typing as t
from pathlib import Path

from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import printable

_ROLES = Path(__file__).parents[3] / "roles"
# Of Ratcliff and Obershelp's measure: two letters in each other's place are found in names of five letters.
_ALIKE = 0.8
# How Ansible names an option whose value it refuses.
_REFUSED = re.compile(r"(?<=argument ')\w+|(?<=option ')\w+|(?<=value of )\w+")


def misspelt(playbook: str, variables: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """Yield of which ``variables`` the names are nearly those of options of a playbook, and of which, in words.

    What tasks have registered, or forgotten since, nobody has set.
    """
    prefix = f"{playbook}_"
    options = _options_of(playbook)
    known = [name.removeprefix(prefix) for name in options]
    for name, value in variables.items():
        # Ansible takes numbers for names in some places.
        if not str(name).startswith(prefix) or name in options or _is_result(value):
            continue
        for option in difflib.get_close_matches(name.removeprefix(prefix), known, 1, _ALIKE):
            yield (
                f"the playbook vfio.migration.{playbook} does not read the variable {printable(name)}; did you mean {prefix}{option}?"
            )


def naming_variables(playbook: str, message: str) -> str:
    """Return Ansible's ``message`` on an option of an action with the name of the variable that the playbook takes it from."""
    options = _options_of(playbook)

    def variable(found: re.Match[str]) -> str:
        name = f"{playbook}_{found[0]}"
        return name if name in options else found[0]

    return _REFUSED.sub(variable, message)


def _is_result(value: t.Any) -> bool:
    return isinstance(value, t.Mapping) and (not value or "changed" in value)


def _options_of(playbook: str) -> set[str]:
    """Return the names of a playbook's options."""
    text = (_ROLES / playbook / "meta/argument_specs.yml").read_text(encoding="utf-8")
    parts = yaml_load(text)["argument_specs"].values()
    return {name for part in parts for name in part.get("options", ())}
