# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check what the collection puts out in the unit tests against its JSON Schemas.

``conftest`` wraps the functions that make what is public, before any test imports them. So every plan, report or
host's facts that a test has made is checked. Needs jsonschema; without it nothing is, and the test run says so.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import typing as t
from collections import Counter
from pathlib import Path

try:
    import jsonschema
except ImportError:  # pragma: no cover
    jsonschema = None

from ansible_collections.vfio.migration.tests.unit.quick_schemas import Conforms, quick

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"
_PLUGINS = "ansible_collections.vfio.migration.plugins"
# What makes what; a module before those that import from it.
_MAKERS = (
    ("facts", "module_utils._host.facts", "gather_facts"),
    ("verdict", "plugin_utils._compat.verdict", "verdict"),
    ("pairs", "plugin_utils._compat.pairs", "compatible_pairs"),
    ("plan", "plugin_utils._plugin.plan_options", "plan_for"),
    ("explanation", "plugin_utils._planner.explain", "explain"),
    ("candidates", "plugin_utils._planner.candidate_hosts", "candidates"),
    ("candidate_lists", "plugin_utils._planner.candidate_hosts", "candidates_of_each"),
    ("headroom", "plugin_utils._planner.headroom", "headroom"),
    ("maintenance", "plugin_utils._planner.maintenance", "maintenance_plan"),
    ("rebalance", "plugin_utils._planner.rebalance", "rebalance_plan"),
    ("report", "plugin_utils._plugin.report_options", "report_for"),
    ("migration_record", "plugin_utils._libvirt.record", "record"),
    ("nova_migrations", "plugin_utils._executors.nova", "nova_migrations"),
    ("proxmox_migrations", "plugin_utils._executors.proxmox", "proxmox_migrations"),
    ("kubevirt_migrations", "plugin_utils._executors.kubevirt", "kubevirt_migrations"),
    (
        "cloud_hypervisor_migrations",
        "plugin_utils._executors.cloud_hypervisor",
        "cloud_hypervisor_migrations",
    ),
)

# Whether documents can be checked.
POSSIBLE = jsonschema is not None
checked: t.Counter[str] = Counter()


def schema_of(name: str) -> t.Any:
    """Return the schema ``name``."""
    return json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=None)
def validator(name: str) -> t.Any:
    """Return the validator of the schema ``name``."""
    return jsonschema.Draft202012Validator(schema_of(name))


@functools.lru_cache(maxsize=None)
def conforms(name: str) -> Conforms:
    """Return what says whether a document conforms to the schema ``name``."""
    return quick(schema_of(name))


def check(name: str, document: t.Any) -> None:
    """Raise ``AssertionError`` where ``document`` does not conform to the schema ``name``."""
    checked[name] += 1
    if conforms(name)(document):
        return
    errors = _innermost(validator(name).iter_errors(document))
    faults = "; ".join(f"{each.json_path}: {each.message}" for each in errors)
    assert not faults, f"this is no {name} by its schema: {faults}"


def _innermost(errors: t.Iterable[t.Any]) -> t.Iterator[t.Any]:
    """Yield each error, and instead of one of a union those of the union's members."""
    for each in errors:
        if each.context:
            yield from _innermost(each.context)
        else:
            yield each


def install() -> None:
    """Let everything that makes a public document check it; only once, and before the tests are imported."""
    for name, module, function in _MAKERS if POSSIBLE else ():
        if module.startswith("plugin_utils.") and sys.version_info < (3, 10):
            continue
        try:
            owner = importlib.import_module(f"{_PLUGINS}.{module}")
        except ImportError:
            # Where ansible-test runs the tests of modules, there is no more of Ansible than on a managed host.
            continue
        *parts, function = function.split(".")
        for part in parts:
            owner = getattr(owner, part)
        setattr(owner, function, _checking(name, getattr(owner, function)))


def _as_returned(name: str, document: t.Any) -> t.Any:
    """Return ``document`` as filters and actions return it; facts are what a module returns."""
    if name == "facts":
        return document
    from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.printing import printed
    from ansible_collections.vfio.migration.tests.json_schemas import SHAPES

    return printed(document, SHAPES[name])


def _checking(name: str, make: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    @functools.wraps(make)
    def made(*arguments: t.Any, **named: t.Any) -> t.Any:
        document = make(*arguments, **named)
        check(name, _as_returned(name, document))
        return document

    return made
