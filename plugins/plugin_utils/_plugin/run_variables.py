# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What hosts answered in this run, read on the control node: as data, untemplated, and each host's for itself alone."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import (
    FACT,
    variables_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.arguments import plain

# How Ansible begins where a module has printed no result, before 2.19 and from then on.
_ONLY_PRINTED = ("MODULE FAILURE", "Module result deserialization failed")
_FAREWELL = re.compile(r"(?:Shared c|C)onnection to .* closed")


def result_of(hostvars: t.Any, host: str, name: str) -> dict[str, t.Any]:
    """Return what a task registered as ``name`` on ``host``, empty where it did not run there."""
    found = plain(variables_of(hostvars, host).get(name))
    return found if isinstance(found, dict) else {}


def stale(hostvars: t.Any, hosts: t.Iterable[str], *names: str) -> list[str]:
    """Return the ``hosts`` on which a task has registered one of ``names``: in an earlier playbook of this run."""
    return [host for host in hosts if any(result_of(hostvars, host, name) for name in names)]


def has_failed(result: t.Mapping[str, t.Any]) -> bool:
    """Return whether a task has failed on its host, or the host does not answer."""
    return bool(result.get("failed") or result.get("unreachable"))


def gathered(
    hostvars: t.Any, hosts: t.Iterable[str], name: str
) -> tuple[list[str], dict[str, str]]:
    """Return which of ``hosts`` answered the task registered as ``name`` with facts, and why not those that did not.

    A host on which the task did not run at all, as the run is limited to others, is neither.
    """
    answered, silent = [], {}
    for host in hosts:
        result = variables_of(hostvars, host).get(name)
        if not isinstance(result, t.Mapping) or not result:
            continue
        facts = result.get("ansible_facts")
        if result.get("unreachable"):
            silent[host] = f"it did not answer: {result.get('msg') or 'it is unreachable'}"
        elif has_failed(result):
            silent[host] = f"its facts could not be gathered: {cause_of(result)}"
        elif isinstance(facts, t.Mapping) and FACT in facts:
            answered.append(host)
        else:
            silent[host] = "it answered without facts"
    return answered, silent


def cause_of(result: t.Mapping[str, t.Any]) -> str:
    """Return why a task failed: where Ansible only refers to what a module has printed, the last line of that.

    With a terminal, ssh puts all of it into the standard output, and its own farewell into the other one.
    """
    message = str(result.get("msg") or "the task failed")
    if message.startswith(_ONLY_PRINTED):
        for printed in (result.get("module_stderr"), result.get("module_stdout")):
            lines = [line.strip() for line in str(printed or "").splitlines()]
            said = [line for line in lines if line and not _FAREWELL.match(line)]
            if said:
                return said[-1]
    return message


def check_lost(hostvars: t.Any, lost: t.Iterable[str], name: str) -> None:
    """Raise ``FleetError`` where one of the hosts that are ``lost`` answered the task registered as ``name``, or was not asked.

    One that cannot say what it has, and answers, may still run its guests.
    """
    for host in lost:
        if not is_unreachable(hostvars, host, name):
            raise FleetError(
                f"it is not known that {host} is lost: it answers, or was not asked in this run; drain it, or shut it down first"
            )


def is_unreachable(hostvars: t.Any, host: str, name: str) -> bool:
    """Return whether a host was asked by the task registered as ``name``, and did not answer at all."""
    return bool(result_of(hostvars, host, name).get("unreachable"))


def ids_of(result: t.Mapping[str, t.Any]) -> set[str] | None:
    """Return the devices in the facts that a host answered, ``None`` where it answered none."""
    if has_failed(result):
        return None
    facts = result.get("ansible_facts")
    found = facts.get(FACT) if isinstance(facts, t.Mapping) else None
    devices = found.get("devices") if isinstance(found, t.Mapping) else None
    if not isinstance(devices, list):
        return None
    return {str(each.get("id")) for each in devices if isinstance(each, t.Mapping)}
