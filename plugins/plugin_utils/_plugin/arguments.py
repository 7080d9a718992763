# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What the filters, tests and actions share: reading arguments, and errors in Ansible's terms."""

from __future__ import annotations

import contextlib
import functools
import typing as t

from ansible import template
from ansible.errors import AnsibleActionFail, AnsibleFilterError
from ansible.utils.unsafe_proxy import wrap_var
from ansible.vars.hostvars import HostVars
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    DescriptorError,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.verdict import DIRECTIONS
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import listed
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.descriptor import (
    Descriptor,
    plain_text,
    read_descriptor,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import (
    FleetError,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import (
    grouped,
    names,
    one_name,
    one_of,
    quoted,
    split,
    whole_number,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.fact_cache import read_once
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import printed
from jinja2 import Undefined

Result = t.TypeVar("Result")
Parameters = t.ParamSpec("Parameters")

# Before ansible-core 2.19, any text that is not marked is a template; since then, only what is marked as trusted.
_TEXT_IS_DATA = hasattr(template, "trust_as_template")

# Types of options that are given as texts.
_TEXTS = ("str", "path")


def as_filter(
    name: str,
) -> t.Callable[[t.Callable[Parameters, Result]], t.Callable[Parameters, Result]]:
    """Return a decorator that makes a function a filter, or a test, whose errors name it ``vfio.migration.<name>``.

    Text in its result comes from hosts, and is never run as a template. Its sentences, which the function's return
    annotation marks, are printable.
    """

    def decorate(function: t.Callable[Parameters, Result]) -> t.Callable[Parameters, Result]:
        @functools.wraps(function)
        def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            for value in (*args, *kwargs.values()):
                # Before ansible-core 2.19 a filter is called with what is undefined, too; to read it says so.
                if isinstance(value, Undefined):
                    str(value)
            # A fleet is any argument of a filter, by position or by name.
            read_args: t.Any = [_read(value) for value in args]
            read_kwargs: t.Any = {key: _read(value) for key, value in kwargs.items()}
            try:
                result = printed(function(*read_args, **read_kwargs), _shape_of(function))
            except VfioMigrationError as error:
                # ansible-core adds what the causes of an error say, which may be anything that a host has said.
                raise AnsibleFilterError(f"vfio.migration.{name}: {error}") from None
            except RecursionError:
                raise AnsibleFilterError(
                    f"vfio.migration.{name}: an argument has lists or mappings in each other, deeper than Python reads"
                ) from None
            return result if _TEXT_IS_DATA else t.cast(Result, wrap_var(result))

        return guarded

    return decorate


def _read(value: t.Any) -> t.Any:
    return read_once(value) if isinstance(value, HostVars) else value


@functools.cache
def _shape_of(function: t.Callable[..., t.Any]) -> t.Any:
    """Return the shape of what ``function`` returns."""
    return t.get_type_hints(function, include_extras=True)["return"]


def plain(value: t.Any) -> t.Any:
    """Return ``value`` with texts, lists and mappings of the built-in types, whatever types templating hands out."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, t.Mapping):
        return {_plain_key(key): plain(each) for key, each in value.items()}
    if isinstance(value, t.Sequence):
        return [plain(each) for each in value]
    return value


def _plain_key(value: t.Any) -> t.Any:
    return plain_text(value) if isinstance(value, str) else value


@contextlib.contextmanager
def expected(name: str, what: str) -> t.Iterator[None]:
    """Raise ``FleetError`` where a part that the code looks for is missing or wrong in the argument ``name``, which is to be ``what``."""
    try:
        yield
    except VfioMigrationError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FleetError(f"{name} is none; expected {what}") from error


def with_lists(
    arguments: t.Mapping[str, t.Any], specs: t.Mapping[str, t.Mapping[str, t.Any]]
) -> dict[str, t.Any]:
    """Return an action's ``arguments`` with every list option as a list; raise ``AnsibleActionFail``.

    Ansible's own reading, which comes after it, splits a text at commas, too, but not alike in all versions. Of a list or
    a mapping in the place of a text it would make the text of a program.
    """
    try:
        return {
            name: _as_list(name, value, specs.get(name, {})) for name, value in arguments.items()
        }
    except FleetError as error:
        raise AnsibleActionFail(str(error)) from None


def _as_list(name: str, value: t.Any, spec: t.Mapping[str, t.Any]) -> t.Any:
    if spec.get("type") in _TEXTS and isinstance(value, (list, t.Mapping)):
        raise FleetError(f"{name} is {quoted(value)}; expected text")
    if spec.get("type") != "list":
        return value
    return grouped(name, value) if spec.get("elements") == "list" else split(name, value)


def text(name: str, value: t.Any) -> str:
    """Return ``value`` where it is a text, as a plain one; raise ``FleetError``."""
    found = plain_text(value)
    if found is None:
        raise FleetError(f"{name} is {type(value).__name__}; expected text")
    return found


def priorities(name: str, value: t.Any) -> dict[str, int]:
    """Return ``value`` as whole numbers by names, empty where it is ``None``; raise ``FleetError``."""
    if not isinstance(value, t.Mapping | None):
        raise FleetError(f"{name} is {quoted(value)}; expected numbers by the names of guests")
    named = [(one_name(name, guest), number) for guest, number in (value or {}).items()]
    return {
        guest: whole_number(f"{name} for {guest}", number, "a number") for guest, number in named
    }


def chosen_hosts(options: t.Mapping[str, t.Any], option: str, named: t.Iterable[str]) -> list[str]:
    """Return the ``hosts`` among a playbook's ``options``, which its variable ``option`` chose.

    ``named`` are options with names of some of these hosts, shown as the playbook's variables. Raise ``FleetError`` where no host is
    chosen, or one that is named is none of them.
    """
    hosts = names("hosts", options.get("hosts")) or []
    if not hosts:
        raise FleetError(f"no host of the inventory matches {option}")
    prefix = option.removesuffix("hosts")
    for name in named:
        for host in names(name, options.get(name)) or ():
            if host not in hosts:
                raise FleetError(
                    f"{prefix}{name} has {host!r}, which is none of the hosts of {option}: {listed(hosts)};"
                    f" {prefix}{name} takes names of hosts, no groups or patterns"
                )
    return hosts


def check_moved(prefix: str, options: t.Mapping[str, t.Any], required: bool) -> None:
    """Raise ``FleetError`` where ``options``, a playbook's variables without ``prefix``, name what moves in two ways, or in none if it is ``required``."""
    drained = any(options.get(name) is not None for name in ("drain", "lost"))
    named = any(options.get(name) is not None for name in ("sources", "guests", "devices"))
    if drained and named:
        raise FleetError(
            f"set hosts with {prefix}drain and {prefix}lost, or guests with {prefix}guests and {prefix}devices, not both"
        )
    if required and not drained and not named:
        raise FleetError(
            f"nothing is named to move: set {prefix}drain, the hosts to drain, or {prefix}guests and {prefix}devices,"
            f" or {prefix}from, a plan"
        )


def direction_of(value: str) -> str:
    """Return ``value`` where it is a direction; raise ``FleetError``."""
    return one_of("direction", value, DIRECTIONS)


def descriptor_argument(name: str, value: t.Any) -> Descriptor | DescriptorError:
    """Return the descriptor in a filter's argument.

    One that breaks a rule is an answer, returned as ``DescriptorError``; for one of the wrong shape ``FleetError`` is raised.
    """
    if not isinstance(value, t.Mapping) or "self" not in value:
        raise FleetError(
            f"{name} is not a descriptor; expected a mapping with 'self' and 'compatible'"
        )
    try:
        return read_descriptor(value)
    except DescriptorError as malformed:
        return malformed
