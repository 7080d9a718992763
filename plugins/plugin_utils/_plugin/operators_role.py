# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""A role of the operator's, found before a playbook of this collection includes it.

Such a playbook is in the directory of the collection, and there Ansible would look for roles beside it.
"""

from __future__ import annotations

import importlib
import os
import typing as t

import ansible.constants
from ansible import context
from ansible.utils.collection_loader._collection_finder import AnsibleCollectionRef
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import listed
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError

# For Ansible a path may be that of a role of this collection, as it joins the two; of no collection there is such a role.
_OF_NO_COLLECTION = "no.collection/.."

# A role has one of these, or does nothing.
_PARTS = ("tasks", "meta")


def role_to_include(option: str, name: str) -> str:
    """Return what ``include_role`` takes for the role ``name``, which the variable ``option`` has; raise ``FleetError``.

    It is one of a collection, or a directory with tasks or dependencies: its path, from the working directory on, or a name
    of one in ``roles`` beside the operator's playbook, in ``roles`` of the working directory, or in the ``roles_path`` of
    Ansible's configuration.
    """
    reference = AnsibleCollectionRef.try_parse_fqcr(name, "role")
    if reference is not None and _is_there(reference.n_python_package_name):
        return name
    here = [os.getcwd()] if os.sep in name else []
    places = [*here, *dict.fromkeys(_places())]
    for place in places:
        path = os.path.abspath(os.path.join(place, os.path.expanduser(name)))
        if any(os.path.isdir(os.path.join(path, part)) for part in _PARTS):
            return f"{path}/{_OF_NO_COLLECTION}"
    looked = [f"the collection {reference.collection}"] if reference is not None else []
    raise FleetError(f"{option}: there is no role {name}; looked in {listed([*looked, *places])}")


def _is_there(package: str) -> bool:
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True


def _places() -> t.Iterator[str]:
    """Yield the directories in which a role is looked for by its name."""
    for playbook in context.CLIARGS.get("args", ()):
        # Another one is given by the name that it has in a collection.
        if os.path.exists(playbook):
            yield os.path.join(os.path.dirname(os.path.abspath(playbook)), "roles")
    yield os.path.abspath("roles")
    constants: t.Any = ansible.constants
    yield from constants.DEFAULT_ROLES_PATH or ()
