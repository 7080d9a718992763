# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Hosts of the inventory by patterns, as ``hosts`` of a play has them."""

from __future__ import annotations

import typing as t

import ansible.constants
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager, split_host_pattern
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import names

# What is between patterns, and what a pattern begins with that takes hosts out or keeps only those.
_SEPARATORS = " ,:"
_OPERATORS = ("!", "&")
# What a name may have in it to be more than a name, or to match hosts beside the group of that name.
_SPECIAL = frozenset(" ,:!&~.?*[")
# What Ansible takes for a pattern of no host, or of every one: of a variable that is empty.
_EMPTY = ("", "~")


def matching(
    option: str, patterns: t.Any, groups: t.Mapping[str, t.Iterable[str]], loader: t.Any
) -> list[str]:
    """Return the hosts of ``groups`` that ``patterns`` choose, which the variable ``option`` has; raise ``FleetError``.

    Ansible goes on without a pattern that nothing matches. Here each one is of a host or a group that there is: a host
    that a wrong name was to leave out would be changed.
    """
    # An empty pattern would be every host.
    found = [each for each in names(option, patterns) or () if each.strip(_SEPARATORS)]
    if not found:
        return []
    if len(found) == 1 and found[0] in groups and _SPECIAL.isdisjoint(found[0]):
        # A group, as most often: no inventory need be made for that.
        return [*dict.fromkeys(groups[found[0]])]
    inventory: t.Any = InventoryManager(loader, parse=False)
    for group, hosts in groups.items():
        inventory.add_group(group)
        for host in hosts:
            inventory.add_host(host, group=group)
    for pattern in split_host_pattern(found):
        # Ansible takes off one operator, and looks for what remains, which may begin with another.
        name = pattern[1:] if pattern.startswith(_OPERATORS) else pattern
        if name in _EMPTY or (name not in groups and not _matched(inventory, name)):
            raise FleetError(
                f"no host or group of the inventory matches {name or pattern!r}, which {option} has"
            )
    return _hosts(inventory, found)


def _matched(inventory: t.Any, name: str) -> bool:
    """Return whether ``name``, a single pattern without its operator, matches a host."""
    # Behind another operator none of its own counts, and with a comma there nothing else splits it once more.
    return name in inventory.hosts or bool(_hosts(inventory, f"all,&{name}"))


def _hosts(inventory: t.Any, patterns: t.Any) -> list[str]:
    """Return the hosts that ``patterns`` choose. Ansible has no notice of its own here where nothing matches one."""
    constants: t.Any = ansible.constants
    before = constants.HOST_PATTERN_MISMATCH
    constants.HOST_PATTERN_MISMATCH = "ignore"
    try:
        return [str(host.name) for host in inventory.get_hosts(patterns)]
    except AnsibleError:
        # A pattern that is none.
        return []
    finally:
        constants.HOST_PATTERN_MISMATCH = before
