# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The variables that are a playbook's options: those with a name that is nearly one, as Ansible takes any, and those that are undefined."""

from __future__ import annotations

import difflib
import re
import typing as t
from pathlib import Path

from ansible.errors import AnsibleUndefinedVariable
from ansible.module_utils.common.yaml import yaml_load
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.printable import printable

_ROOT = Path(__file__).parents[3]
# Of Ratcliff and Obershelp's measure: two letters in each other's place are found in names of five letters.
_ALIKE = 0.8
# How Ansible names an option whose value it refuses.
_REFUSED = re.compile(r"(?<=argument ')\w+|(?<=option ')\w+|(?<=value of )\w+")


def misspelt(playbook: str, variables: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """Yield of which ``variables`` the names are nearly those of options of a playbook, and of which, in words.

    What tasks have registered, or forgotten since, was not set by a user.
    """
    prefix = f"{playbook}_"
    options = options_of(playbook)
    known = [name.removeprefix(prefix) for name in options]
    # The name of a playbook in the singular is a slip as well.
    begins = (prefix, f"{playbook.removesuffix('s')}_")
    for name, value in variables.items():
        # Ansible takes numbers for names in some places.
        text = str(name)
        begun = next((each for each in begins if text.startswith(each)), None)
        if begun is None or name in options or _is_result(value):
            continue
        for option in difflib.get_close_matches(text.removeprefix(begun), known, 1, _ALIKE):
            yield (
                f"the playbook vfio.migration.{playbook} does not read the variable {printable(name)}; did you mean {prefix}{option}?"
            )


def undefined(
    options: t.Iterable[str],
    variables: t.Mapping[str, t.Any],
    template: t.Callable[[t.Any], t.Any],
) -> t.Iterator[str]:
    """Yield which of the ``options`` that ``variables`` have use an undefined variable, in words.

    The playbooks leave out what is undefined, which is also what uses something undefined: without this check, a
    condition with a misspelt variable would not count. ``template`` fills in a value, and raises
    ``AnsibleUndefinedVariable``.
    """
    for name in sorted({*options}.intersection(variables)):
        try:
            template(variables[name])
        except AnsibleUndefinedVariable as error:
            # Before 2.19, ansible-core says it twice.
            why = ". ".join(dict.fromkeys(str(error.message).split(". ")))
            yield f"{name} has no value: {why}"
        except Exception:  # noqa: BLE001
            # It is to be left out, as a value may say, or fails where it is used.
            continue


def naming_variables(playbook: str, message: str) -> str:
    """Return Ansible's ``message`` on an option of an action with the name of the variable that the playbook takes it from."""
    options = options_of(playbook)

    def variable(found: re.Match[str]) -> str:
        name = f"{playbook}_{found[0]}"
        return name if name in options else found[0]

    return _REFUSED.sub(variable, message)


def _is_result(value: t.Any) -> bool:
    return isinstance(value, t.Mapping) and (not value or "changed" in value)


def options_of(playbook: str) -> set[str]:
    """Return the names of a playbook's options: those of its role, or else those that it reads itself."""
    specs = _ROOT / "roles" / playbook / "meta/argument_specs.yml"
    if specs.exists():
        parts = yaml_load(specs.read_text(encoding="utf-8"))["argument_specs"].values()
        return {name for part in parts for name in part.get("options", ())}
    text = (_ROOT / "playbooks" / f"{playbook}.yml").read_text(encoding="utf-8")
    return {*re.findall(rf"\b({playbook}_\w+)(?= \| default\(| is defined)", text)}
