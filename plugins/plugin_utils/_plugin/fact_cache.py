# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Facts from the fact cache of this run, read without the other variables of a host."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import ReadOnce


def read_once(hostvars: t.Any) -> ReadOnce:
    """Return ``hostvars`` for several questions, with the facts from the fact cache where it has them."""
    return ReadOnce(hostvars, _cached_facts(hostvars))


def _cached_facts(hostvars: t.Any) -> t.Callable[[str], t.Mapping[str, t.Any] | None] | None:
    """Return a function from a host to all of its facts in the fact cache, ``None`` where the cache has none.

    ``hostvars`` has the same facts, but Ansible puts all variables of a host together for it, which takes as long again.
    It is this run's own object that is asked, as Ansible asks it: another one of the same plugin would read what is kept
    elsewhere, which a run that cannot write there, or another run, may have left otherwise. Its name is private to
    Ansible: where there is none, the variables are read. A cache that fails has nothing, and the caller that reads ``hostvars`` then
    gets its error.
    """
    cache = getattr(getattr(hostvars, "_variable_manager", None), "_fact_cache", None)
    return functools.partial(_get, cache) if cache is not None else None


def _get(cache: t.Any, host: str) -> t.Mapping[str, t.Any] | None:
    try:
        found = cache.get(host)
    except Exception:  # noqa: BLE001 - KeyError where there is no such host, else an error of the plugin's own
        return None
    return found if isinstance(found, t.Mapping) else None
