# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the filters, tests and actions share: reading arguments, and errors in Ansible's terms."""

from __future__ import annotations

import functools
import typing as t

from ansible import template
from ansible.errors import AnsibleFilterError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DescriptorError,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import DIRECTIONS
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import (
    Descriptor,
    plain_text,
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import (
    FleetError,
)

Result = t.TypeVar("Result")
Parameters = t.ParamSpec("Parameters")

# ansible-core 2.18 takes any text for a template that is not marked, newer ones only what is marked as trusted.
_TEXT_IS_DATA = hasattr(template, "trust_as_template")


def as_filter(
    name: str,
) -> t.Callable[[t.Callable[Parameters, Result]], t.Callable[Parameters, Result]]:
    """Makes a function a filter (or test) whose errors name it, ``vfio.migration.<name>``.

    Text in its result comes from hosts, and is never run as a template.
    """

    def decorate(function: t.Callable[Parameters, Result]) -> t.Callable[Parameters, Result]:
        @functools.wraps(function)
        def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            try:
                result = function(*args, **kwargs)
            except VfioMigrationError as error:
                raise AnsibleFilterError(f"vfio.migration.{name}: {error}") from error
            return result if _TEXT_IS_DATA else t.cast(Result, wrap_var(result))

        return guarded

    return decorate


def one_of(name: str, value: str, choices: t.Sequence[str]) -> str:
    """``value`` where it is one of ``choices``; raises ``FleetError``."""
    if value not in choices:
        raise FleetError(f"{name} is {value!r}; expected one of {', '.join(choices)}")
    return value


def direction_of(value: str) -> str:
    """``value`` where it is a direction; raises ``FleetError``."""
    return one_of("direction", value, DIRECTIONS)


def names(name: str, value: t.Any) -> list[str] | None:
    """A list of host names, of which one may be given as it is; raises ``FleetError``."""
    if value is None:
        return None
    if isinstance(value, str):
        return [value]
    if isinstance(value, t.Iterable) and not isinstance(value, t.Mapping):
        return [str(each) for each in value]
    raise FleetError(f"{name} is {value!r}; expected a list of host names")


def listed(name: str, value: t.Any) -> list[t.Any] | None:
    """``value`` as a list, ``None`` where it is not given; raises ``FleetError``."""
    if value is None or (isinstance(value, t.Sequence) and not isinstance(value, str)):
        return None if value is None else list(value)
    raise FleetError(f"{name} is {value!r}; expected a list")


def avoided(value: t.Any) -> dict[tuple[str, str | None], str]:
    """The places in a list of ``{host[, parent][, problem]}``, and why; raises ``FleetError``."""
    places = listed("avoid", value) or []
    for place in places:
        if not isinstance(place, t.Mapping) or "host" not in place:
            raise FleetError(f"avoid has {place!r}; expected {{host: …}} or {{host: …, parent: …}}")
    return {
        (str(place["host"]), plain_text(place.get("parent"))): str(
            place.get("problem", "as asked for")
        )
        for place in places
    }


def flag(name: str, value: t.Any) -> bool:
    """A condition that holds or not, as YAML or the command line has it; raises ``FleetError``."""
    try:
        return value is not None and bool(boolean(value))
    except TypeError:
        raise FleetError(f"{name} is {value!r}; expected true or false") from None


def limited(value: t.Any) -> int | dict[str, int] | None:
    """How many devices a host may receive, for all hosts or a mapping by name; raises ``FleetError``."""
    if isinstance(value, t.Mapping):
        return {str(host): _count("limit", number) for host, number in value.items()}
    return None if value is None else _count("limit", value)


def _count(name: str, value: t.Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise FleetError(f"{name} is {value!r}; expected a number of devices, 0 or more")
    return number


def groups(name: str, value: t.Any) -> list[frozenset[str]]:
    """The groups in a list of lists of guests' names; raises ``FleetError``."""
    return [frozenset(map(str, listed(name, group) or ())) for group in listed(name, value) or ()]


def descriptor_argument(name: str, value: t.Any) -> Descriptor | DescriptorError:
    """The descriptor in a filter's argument; one that breaks a rule is an answer, one of the wrong shape an error."""
    if not isinstance(value, t.Mapping) or "self" not in value:
        raise FleetError(
            f"{name} is no descriptor; expected a mapping with 'self' and 'compatible'"
        )
    try:
        return read_descriptor(value)
    except DescriptorError as malformed:
        return malformed
