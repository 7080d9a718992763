# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Patterns: the attribute sets of ``compatible``, and what matches them.

A set matches the ``self`` of a device if one choice of values for its variables makes every attribute match. Templates
that share variables are a component; components are independent of each other, so each is written out by itself, once
for every choice of its variables' values. A set that breaks a rule of the language, or would be too large written out,
is void: it matches nothing, and its reason says what was expected where. Pure: no files, no Ansible.
"""

from __future__ import annotations

import collections
import functools
import itertools
import math
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    API_MUSTS,
    comparable,
    parse_version,
    version_failure,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.drivers import (
    is_unknown,
    may_be_unknown,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.order import read_order
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.template import (
    VERSION,
    Binding,
    Domains,
    InvalidPattern,
    Part,
    Table,
    Template,
    Value,
    Wanted,
    read_parts,
    read_template,
)

WrittenOut = t.Tuple[t.Dict[str, t.Tuple[Value, ...]], t.List[Table]]

# The size of a set, written out for every choice of values: its variables, texts and numbers with variables.
MAX_SIZE = 16384
_SMALLER = (
    f"a smaller set: at most {MAX_SIZE} variables, texts and numbers, written out for every choice of the values of"
    " variables that stand together"
)
# So many components are kept written out, and so many choices made for devices.
_KEPT_COMPONENTS = 64
_KEPT_CHOICES = 16384


class Failure(t.NamedTuple):
    """An attribute that does not match: the rule that it breaks, what it is expected to be and what it is."""

    attribute: str
    rule: str
    expected: str
    actual: str | None


# A ``Failure`` as a plain tuple, for callers that only ask whether there is one.
_Failing = t.Tuple[str, str, str, t.Optional[str]]


class Component:
    """Templates that share variables. Each choice of values for these has a number, in the order of their declaration."""

    def __init__(self, templates: list[Template], domains: Domains) -> None:
        self.templates = templates
        self.domains = {name: domains[name] for each in templates for name in each.variables}
        self.choices = math.prod([len(values) for values in self.domains.values()])
        self.size = self.choices * sum([template.size for template in templates])
        self.names = tuple([template.attribute for template in templates])

    def failures(self, subject: t.Mapping[str, str]) -> t.Iterator[Failure]:
        """Yield what ``subject`` does not fit under the first of the choices that leave the fewest such templates."""
        values, tables = written_out(self)
        fitting = [
            template.fitting(subject.get(template.attribute, ""), table)
            for template, table in zip(self.templates, tables)
        ]
        counts = collections.Counter(itertools.chain.from_iterable(fitting))
        most = max(counts.values(), default=0)
        nearest = {n for n, count in counts.items() if count == most} or {*range(self.choices)}
        for fits in fitting:
            nearest = nearest & fits or nearest
        number = min(nearest)
        # Only these variables have a value: nothing speaks for one of the others.
        binding = {
            name: values[name][number]
            for template, fits in zip(self.templates, fitting)
            if number in fits
            for name in template.variables
        }
        for template, table, fits in zip(self.templates, tables, fitting):
            if number not in fits:
                actual = subject.get(template.attribute)
                wanted = (each for each, of in table.items() if not nearest.isdisjoint(of))
                rule, expected = template.failure(actual, wanted), template.expected(binding)
                yield Failure(template.attribute, rule, expected, actual)


@functools.lru_cache(maxsize=_KEPT_COMPONENTS)
def written_out(component: Component) -> WrittenOut:
    """Return the values of the variables for every choice, by its number, and for each template a table of the choices."""
    values = dict(zip(component.domains, zip(*itertools.product(*component.domains.values()))))
    tables: list[Table] = []
    for template in component.templates:
        table: Table = collections.defaultdict(list)
        wanted: dict[t.Any, Wanted | None] = {}
        for number, own in enumerate(zip(*[values[name] for name in template.variables])):
            if own not in wanted:
                wanted[own] = template.wanted(*own)
            table[wanted[own]].append(number)
        tables.append(table)
    return values, tables


@functools.lru_cache(maxsize=_KEPT_CHOICES)
def _choose(
    component: Component, stated: tuple[str, ...], uncertain: frozenset[str]
) -> Binding | None:
    """Return the first choice under which a device fits a component; ``None`` where it never does.

    ``stated`` are its values of the component's ``names``. It may have others of those that are ``uncertain``, but has
    the stated ones where it can.
    """
    device = [*zip(component.templates, stated)]
    for template, value in device:
        begins = comparable(template.attribute, value).startswith(template.prefix)
        if not begins and template.attribute not in uncertain:
            return None
    values, tables = written_out(component)
    numbers = {*range(component.choices)}
    wishes = []
    for (template, value), table in zip(device, tables):
        fitting = template.fitting(value, table)
        if template.attribute in uncertain:
            numbers.difference_update(table.get(None, ()))
            wishes.append(fitting)
        else:
            numbers &= fitting
    if not numbers:
        return None
    for wish in wishes:
        numbers = numbers & wish or numbers
    number = min(numbers)
    return {name: of[number] for name, of in values.items()}


def _components(templates: list[Template], domains: Domains) -> list[Component]:
    """Return the templates in groups that share no variable: texts and lone variables, then versions, then expressions."""
    groups: list[tuple[set[str], list[Template]]] = []
    for template in sorted(
        templates, key=lambda each: (len(each.program) > 1, each.attribute == VERSION)
    ):
        variables, members = set(template.variables), [template]
        for other in [each for each in groups if not each[0].isdisjoint(variables)]:
            groups.remove(other)
            variables |= other[0]
            members = other[1] + members
        groups.append((variables, members))
    return [Component(members, domains) for _variables, members in groups]


class Pattern:
    """One set of ``compatible``, parsed; raises ``InvalidPattern`` where it breaks a rule of the language.

    ``attributes`` is a normalised attribute set. ``owner_version`` is the software_version of the device whose
    set it is; it is compared where the set states none (``None``: nothing is compared then).
    ``subject_is_target`` says which side of the migration the devices are on that are matched with it.

    ``derived`` says whether the set is a derived one, and no other may have orders, or names in ``may_be_unknown``: a
    device that does not show such an attribute is not known to differ in it, nor does one whose driver states no version.

    ``plain`` are the attributes without variables, each with its text, and ``ordered`` those with an order; the others
    are in ``components``.
    """

    def __init__(
        self,
        attributes: t.Mapping[str, str],
        owner_version: str | None = None,
        subject_is_target: bool = True,
        derived: bool = False,
    ) -> None:
        for name in ("device_api", "type"):
            if not attributes.get(name):
                raise InvalidPattern(name, f"a value; a set that does not state '{name}' is void")
        self._subject_is_target = subject_is_target
        self._stated = frozenset([name for name, value in attributes.items() if value])
        found = {name: read_order(value) for name, value in attributes.items() if derived}
        self.ordered = [(name, order) for name, order in sorted(found.items()) if order]
        refusing = [name for name, order in self.ordered if order.refuses_all(subject_is_target)]
        self.may_be_unknown = may_be_unknown(attributes) - {*refusing} if derived else frozenset()
        unordered = attributes.keys() - dict(self.ordered).keys()
        domains: Domains = {}
        plain: dict[str, str] = {}
        values: list[tuple[str, str, list[Part]]] = []
        size = 0
        for name, value in sorted([(name, attributes[name]) for name in unordered]):
            parts = read_parts(name, value, domains) if "{" in value or "}" in value else []
            size += len(parts)
            if size > MAX_SIZE:
                raise InvalidPattern(name, _SMALLER)
            if any(variable for _column, _text, variable in parts):
                values.append((name, value, parts))
            else:
                plain[name] = comparable(name, value.replace("{{", "{").replace("}}", "}"))
        if plain.get(VERSION) and parse_version(plain[VERSION]) is None:
            raise InvalidPattern(VERSION, "major.minor[.bugfix]", 1)
        if owner_version and not attributes.get(VERSION):
            plain[VERSION] = owner_version
        self.plain = [(name, text) for name, text in plain.items() if text or name != VERSION]
        templates = [read_template(*each, domains, subject_is_target) for each in values]
        self.components = _components(templates, domains)
        if sum([component.size for component in self.components]) > MAX_SIZE:
            largest = max(self.components, key=lambda each: each.size)
            raise InvalidPattern(largest.templates[0].attribute, _SMALLER)

    def binding(self, subject: t.Mapping[str, str]) -> Binding | None:
        """Return the first binding, in the order of the declarations, that makes ``subject`` match; ``None`` where none does."""
        return None if any(self._failing(subject)) else self._bound(subject)

    def completion(
        self, known: t.Mapping[str, str], preferred: t.Mapping[str, str]
    ) -> tuple[Binding, dict[str, str]] | None:
        """Return how a device that does not exist yet would match, of which only the attributes in ``known`` are certain.

        The binding, and the value that each other attribute of the set must have; where the set leaves a choice,
        those in ``preferred`` win. ``None`` where ``known`` rules a match out.
        """
        if any(name in known for name, *_others in self._failing(known)):
            return None
        binding = self._bound({**preferred, **known}, self._stated.difference(known))
        if binding is None:
            return None
        required = dict(self.plain)
        for component in self.components:
            for template in component.templates:
                wanted = template.wanted(*[binding[name] for name in template.variables])
                required[template.attribute] = str(wanted)
        given = {VERSION, *known}
        return binding, {n: value for n, value in required.items() if value and n not in given}

    def _bound(
        self, stated: t.Mapping[str, str], uncertain: frozenset[str] = frozenset()
    ) -> Binding | None:
        """Return the choices of all components together; see ``_choose``."""
        binding: Binding = {}
        for component in self.components:
            own = tuple([stated.get(name, "") for name in component.names])
            chosen = _choose(component, own, uncertain)
            if chosen is None:
                return None
            binding.update(chosen)
        return binding

    def failures(self, subject: t.Mapping[str, str]) -> list[Failure]:
        """Return why ``subject`` does not match: the fewest failures that any binding leaves."""
        failures = [*itertools.starmap(Failure, self._failing(subject))]
        for component in self.components:
            failures += component.failures(subject)
        return sorted(failures, key=lambda failure: failure.attribute)

    def _failing(self, subject: t.Mapping[str, str]) -> t.Iterator[_Failing]:
        """Yield what ``subject`` does not fit of the attributes without variables."""
        for name, text in self.plain:
            actual = subject.get(name)
            if actual == text and name != VERSION:
                continue
            if name in self.may_be_unknown and (is_unknown(name, actual) or is_unknown(name, text)):
                continue
            if name == VERSION:
                rule = version_failure(text, actual or "", self._subject_is_target)
            else:
                rule = None if comparable(name, actual or "") == text else "equal"
            if rule:
                yield name, "present" if actual is None else rule, text, actual
        for name, order in self.ordered:
            actual = subject.get(name)
            if actual is None and name in self.may_be_unknown:
                continue
            if not order.allows(actual or "", self._subject_is_target):
                expected = order.expected(self._subject_is_target)
                yield name, "present" if actual is None else "order", expected, actual

    def texts(self, name: str) -> set[str] | None:
        """Return the texts that an attribute may be; ``None`` where it is not compared as text."""
        if name in dict(self.ordered):
            return None
        found: set[Wanted | None] = {text for attribute, text in self.plain if attribute == name}
        for component in self.components:
            for template, table in zip(component.templates, written_out(component)[1]):
                found.update(table if template.attribute == name else ())
        texts = {each for each in found if isinstance(each, str)}
        return texts if texts == found - {None} else None

    def warnings(self, subject: t.Mapping[str, str]) -> list[str]:
        """Return what a match of ``subject`` has to assume."""
        name = API_MUSTS.get(subject.get("device_api", ""))
        if name and name not in self._stated:
            return [f"the pattern states no {name}: any is accepted"]
        return []


def compile_patterns(
    patterns: t.Iterable[t.Mapping[str, str]],
    owner_version: str | None = None,
    subject_is_target: bool = True,
    derived: bool = False,
) -> list[Pattern | InvalidPattern]:
    """Return the sets of one ``compatible``, parsed, void ones as the error that says why; see ``Pattern``."""
    compiled: list[Pattern | InvalidPattern] = []
    for attributes in patterns:
        try:
            compiled.append(Pattern(attributes, owner_version, subject_is_target, derived))
        except InvalidPattern as void:
            compiled.append(void)
    return compiled


def first_match(
    patterns: t.Sequence[Pattern | InvalidPattern], subject: t.Mapping[str, str]
) -> dict[str, t.Any] | None:
    """Return the first of ``patterns`` that ``subject`` matches: ``{"set": its index, "bindings": {}, "warnings": []}``."""
    for index, pattern in enumerate(patterns):
        binding = pattern.binding(subject) if isinstance(pattern, Pattern) else None
        if isinstance(pattern, Pattern) and binding is not None:
            return {"set": index, "bindings": binding, "warnings": pattern.warnings(subject)}
    return None


def mismatch(
    patterns: t.Sequence[Pattern | InvalidPattern], subject: t.Mapping[str, str]
) -> list[dict[str, t.Any]]:
    """Return why ``subject`` matches none of ``patterns``: ``{set, attribute, rule, expected, actual}``.

    Those of the set with the fewest come first, and those of void sets last.
    """
    if not patterns:
        nothing = Failure("compatible", "present", "at least one set", None)
        return [{"set": None, **nothing._asdict()}]
    valid, void = [], []
    for index, pattern in enumerate(patterns):
        if isinstance(pattern, Pattern):
            valid.append([(index, failure) for failure in pattern.failures(subject)])
        else:
            void.append((index, Failure(pattern.attribute, "void_set", pattern.expected, None)))
    found = itertools.chain(*sorted(valid, key=len), void)
    return [{"set": index, **failure._asdict()} for index, failure in found]


def match(
    patterns: t.Iterable[t.Mapping[str, str]],
    subject: t.Mapping[str, str],
    owner_version: str | None = None,
    subject_is_target: bool = True,
    derived: bool = False,
) -> dict[str, t.Any]:
    """Return the first of ``patterns`` that ``subject`` matches, or why it matches none, for patterns that are used once.

    ``{"set": its index or None, "bindings": {}, "reasons": [], "warnings": []}``; see ``mismatch``.
    """
    compiled = compile_patterns(patterns, owner_version, subject_is_target, derived)
    matched = first_match(compiled, subject)
    if matched is not None:
        return dict(matched, reasons=[])
    return {"set": None, "bindings": {}, "reasons": mismatch(compiled, subject), "warnings": []}
