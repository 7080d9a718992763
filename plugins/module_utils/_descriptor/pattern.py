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
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    API_MUSTS,
    comparable,
    parse_version,
    version_failure,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.template import (
    TEXT,
    Binding,
    Domains,
    InvalidPattern,
    Template,
    Value,
    read_parts,
    read_template,
)

Reason = t.Dict[str, t.Any]
# The choices of values under which a template wants each value of a device.
Table = t.Dict[t.Optional[Value], t.List[int]]

# The size of a set, written out for every choice of values: its variables, texts and numbers with variables.
MAX_SIZE = 16384
_SMALLER = (
    f"a smaller set: at most {MAX_SIZE} variables, texts and numbers, written out for every choice of the values of"
    " variables that stand together"
)
# Up to so many choices a component keeps what it is written out; of others so many are kept.
_KEPT_CHOICES = 64
_KEPT_COMPONENTS = 64
# A component keeps what it has found for up to so many combinations of values.
_KEPT_MATCHES = 64


class Component:
    """Templates that share variables. Each choice of values for these has a number, in the order of their declaration."""

    def __init__(self, templates: list[Template], domains: Domains) -> None:
        self.templates = sorted(templates, key=lambda each: each.order)
        self.choices = 1
        # The values of each variable, and how far apart the choices are that differ in it by one place alone.
        self._domains: dict[str, tuple[tuple[Value, ...], int]] = {}
        names = dict.fromkeys([name for each in self.templates for name in each.variables])
        for name in reversed([*names]):
            self._domains[name] = (domains[name], self.choices)
            self.choices *= len(domains[name])
        self.size = self.choices * sum([template.size for template in templates])
        self._tables: list[Table] | None = None
        # The first matching choices so far, by the values of the templates' attributes.
        self._matches: dict[tuple[str | None, ...], Binding | None] = {}
        self._stated = tuple([(template.attribute, template.value) for template in self.templates])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Component) and self._stated == other._stated

    def __hash__(self) -> int:
        return hash(self._stated)

    def tables(self) -> list[Table]:
        """Return the component written out: a table for each template."""
        if self._tables is not None:
            return self._tables
        if self.choices > _KEPT_CHOICES:
            return _tables_of_many(self)
        self._tables = self.write_out()
        return self._tables

    def write_out(self) -> list[Table]:
        """Return the tables, made anew."""
        tables = []
        for template in self.templates:
            # The choices of the other variables, under which the template's value is the same.
            same = [0]
            for name, (values, stride) in self._domains.items():
                if name not in template.variables:
                    same = [n + place * stride for n in same for place in range(len(values))]
            table: Table = {}
            own = [self._domains[name] for name in template.variables]
            starts = itertools.product(
                *[range(0, len(values) * stride, stride) for values, stride in own]
            )
            for chosen, start in zip(
                itertools.product(*[values for values, _numbers in own]), starts
            ):
                number = sum(start)
                table.setdefault(template.wanted(chosen), []).extend([number + n for n in same])
            tables.append(table)
        return tables

    def match(self, subject: t.Mapping[str, str]) -> Binding | None:
        """Return the first choice under which ``subject`` fits every template; ``None`` where it never does."""
        values = tuple([subject.get(each.attribute) for each in self.templates])
        if values in self._matches:
            return self._matches[values]
        found = self._first_match(subject)
        if len(self._matches) < _KEPT_MATCHES:
            self._matches[values] = found
        return found

    def _first_match(self, subject: t.Mapping[str, str]) -> Binding | None:
        if self._tables is None and not all(each.may_fit(subject) for each in self.templates):
            return None
        fitting = self._fitting(subject)
        numbers: t.Collection[int] = next(fitting)
        for others in fitting:
            if not numbers:
                return None
            numbers = {*others}.intersection(numbers)
        return self._binding(min(numbers), self.templates) if numbers else None

    def complete(
        self, known: t.Mapping[str, str], preferred: t.Mapping[str, str]
    ) -> Binding | None:
        """Return the choice for a device of which only ``known`` is certain; see ``Pattern.completion``."""
        everything = range(self.choices)
        numbers = set(everything)
        certain: list[tuple[Template, t.Collection[int]]] = []
        possible: list[tuple[Template, t.Collection[int]]] = []
        stated = {**preferred, **known}
        tables = self.tables()
        for template, table, fits in zip(self.templates, tables, self._fitting(stated)):
            fitting = {*fits}
            if template.attribute in known:
                certain.append((template, fitting))
                numbers.intersection_update(fitting)
            else:
                if template.attribute in preferred:
                    possible.append((template, fitting))
                possible.append((template, everything))
                numbers.difference_update(table.get(None, ()))
        if not numbers:
            return None
        order = certain + possible
        return self._binding(
            self._first(numbers, order), [template for template, _numbers in order]
        )

    def nearest(self, subject: t.Mapping[str, str]) -> tuple[Binding, list[Template]]:
        """Return the first choice that leaves the fewest templates which ``subject`` does not fit, and these.

        The choice is of the variables of the other templates.
        """
        fitting = [
            (template, {*numbers})
            for template, numbers in zip(self.templates, self._fitting(subject))
        ]
        counts = collections.Counter(
            itertools.chain.from_iterable(each for _template, each in fitting)
        )
        if not counts:
            return {}, self.templates
        most = max(counts.values())
        number = self._first([n for n, count in counts.items() if count == most], fitting)
        matched = [template for template, numbers in fitting if number in numbers]
        failed = [template for template, numbers in fitting if number not in numbers]
        return self._binding(number, matched), failed

    def wanted(self, template: Template, binding: Binding) -> t.Iterator[Value | None]:
        """Yield all that a device's value may be for a template under ``binding``, as far as that is bound."""
        open_to = [
            (binding[name],) if name in binding else self._domains[name][0]
            for name in template.variables
        ]
        return map(template.wanted, itertools.product(*open_to))

    def _fitting(self, subject: t.Mapping[str, str]) -> t.Iterator[list[int]]:
        """Yield for each template the choices under which ``subject`` fits it."""
        for template, table in zip(self.templates, self.tables()):
            wanted = template.fitted(subject.get(template.attribute, ""), table)
            yield [n for each in wanted for n in table.get(each, ())]

    def _first(
        self, numbers: t.Iterable[int], order: t.Iterable[tuple[Template, t.Collection[int]]]
    ) -> int:
        """Return the first of some choices: of those that the first in ``order`` fits, in the order of its values, and so on."""
        left = [*numbers]
        for template, fitting in order:
            own = [self._domains[name] for name in template.variables]
            ranks = {
                n: [n // stride % len(values) for values, stride in own]
                for n in left
                if n in fitting
            }
            if ranks:
                least = min(ranks.values())
                left = [n for n, rank in ranks.items() if rank == least]
        return left[0]

    def _binding(self, number: int, templates: t.Iterable[Template]) -> Binding:
        """Return the values that a choice gives the variables of ``templates``."""
        binding = {}
        for template in templates:
            for name in template.variables:
                values, stride = self._domains[name]
                binding[name] = values[number // stride % len(values)]
        return binding


@functools.lru_cache(maxsize=_KEPT_COMPONENTS)
def _tables_of_many(component: Component) -> list[Table]:
    return component.write_out()


def _components(templates: list[Template], domains: Domains) -> list[Component]:
    """Return the templates in groups that share no variable."""
    groups: list[tuple[set[str], list[Template]]] = []
    for template in sorted(templates, key=lambda each: each.order):
        variables, members = set(template.variables), [template]
        for other in [each for each in groups if not each[0].isdisjoint(variables)]:
            groups.remove(other)
            variables |= other[0]
            members = other[1] + members
        groups.append((variables, members))
    return [Component(members, domains) for _names, members in groups]


class Pattern:
    """One set of ``compatible``, parsed; raises ``InvalidPattern`` where it breaks a rule of the language.

    ``attributes`` is a normalised attribute set. ``owner_version`` is the software_version of the device whose
    set it is; it is compared where the set states none (``None``: nothing is compared then).
    ``subject_is_target`` says which side of the migration the devices are on that are matched with it.

    ``plain`` are the attributes without variables, each with its text, but for the ``version``; the others are in
    ``components``.
    """

    def __init__(
        self,
        attributes: t.Mapping[str, str],
        owner_version: str | None = None,
        subject_is_target: bool = True,
    ) -> None:
        for name in ("device_api", "type"):
            if not attributes.get(name):
                raise InvalidPattern(name, f"a value; a set that does not state '{name}' is void")
        self.plain: list[tuple[str, str]] = []
        self.version = owner_version
        self._subject_is_target = subject_is_target
        self._stated = frozenset([name for name, value in attributes.items() if value])
        domains: Domains = {}
        size = 0
        values = []
        for name, value in sorted(attributes.items()):
            if "{" not in value and "}" not in value:
                self._add_plain(name, value)
                continue
            parts = read_parts(name, value, domains)
            size += len(parts)
            if size > MAX_SIZE:
                raise InvalidPattern(name, _SMALLER)
            if any(variable for _column, _text, variable in parts):
                values.append((name, value, parts))
            else:
                self._add_plain(name, "".join([text for _column, text, _variable in parts]))
        templates = [read_template(*each, domains, subject_is_target) for each in values]
        if "software_version" in [template.attribute for template in templates]:
            self.version = None
        self.components = _components(templates, domains)
        if sum([component.size for component in self.components]) > MAX_SIZE:
            largest = max(self.components, key=lambda each: each.size)
            raise InvalidPattern(largest.templates[0].attribute, _SMALLER)

    def _add_plain(self, name: str, text: str) -> None:
        if name != "software_version":
            self.plain.append((name, comparable(name, text)))
        elif text:
            if parse_version(text) is None:
                raise InvalidPattern(name, "major.minor[.bugfix]", 1)
            self.version = text

    def binding(self, subject: t.Mapping[str, str]) -> Binding | None:
        """Return the first binding, in the order of the declarations, that makes ``subject`` match; ``None`` where none does."""
        if any(self._plain_failures(subject)):
            return None
        return self._combined(component.match(subject) for component in self.components)

    def completion(
        self, known: t.Mapping[str, str], preferred: t.Mapping[str, str]
    ) -> tuple[Binding, dict[str, str]] | None:
        """Return how a device that does not exist yet would match, of which only the attributes in ``known`` are certain.

        The binding, and the value that each other attribute of the set must have; where the set leaves a choice,
        those in ``preferred`` win. ``None`` where ``known`` rules a match out.
        """
        if any(reason["attribute"] in known for reason in self._plain_failures(known)):
            return None
        binding = self._combined(each.complete(known, preferred) for each in self.components)
        if binding is None:
            return None
        required = dict(self.plain)
        for template in itertools.chain.from_iterable(each.templates for each in self.components):
            required[template.attribute] = template.expected(binding)
        return binding, {n: value for n, value in required.items() if value and n not in known}

    def failures(self, subject: t.Mapping[str, str]) -> list[Reason]:
        """Return why ``subject`` does not match: the fewest failures any binding leaves; ``{attribute, rule, expected, actual}``."""
        failures = [*self._plain_failures(subject)]
        for component in self.components:
            binding, failed = component.nearest(subject)
            for template in failed:
                actual = subject.get(template.attribute)
                rule = "present"
                if actual is not None:
                    rule = template.failure(actual, component.wanted(template, binding))
                expected = template.expected(binding)
                failures.append(_reason(template.attribute, rule, expected, actual))
        return sorted(failures, key=lambda failure: failure["attribute"])

    def texts(self, name: str) -> set[str] | None:
        """Return the texts that an attribute may be; ``None`` where it is not compared as text."""
        found = {text for attribute, text in self.plain if attribute == name}
        for component in self.components:
            for template, table in zip(component.templates, component.tables()):
                if template.attribute == name:
                    if template.comparison != TEXT:
                        return None
                    found |= {str(wanted) for wanted in table if wanted is not None}
        return found

    def warnings(self, subject: t.Mapping[str, str]) -> list[str]:
        """Return what a match of ``subject`` has to assume."""
        name = API_MUSTS.get(subject.get("device_api", ""))
        if name and name not in self._stated:
            return [f"the pattern states no {name}: any is accepted"]
        return []

    def _plain_failures(self, subject: t.Mapping[str, str]) -> t.Iterator[Reason]:
        for name, text in self.plain:
            actual = subject.get(name)
            if comparable(name, actual or "") != text:
                yield _reason(name, "present" if actual is None else "equal", text, actual)
        if self.version is not None:
            actual = subject.get("software_version")
            rule = version_failure(self.version, actual or "", self._subject_is_target)
            if rule:
                rule = "present" if actual is None else rule
                yield _reason("software_version", rule, self.version, actual)

    def _combined(self, bindings: t.Iterable[Binding | None]) -> Binding | None:
        combined: Binding = {}
        for each in bindings:
            if each is None:
                return None
            combined.update(each)
        return combined


def compile_patterns(
    patterns: t.Iterable[t.Mapping[str, str]],
    owner_version: str | None = None,
    subject_is_target: bool = True,
) -> list[Pattern | InvalidPattern]:
    """Return the sets of one ``compatible``, parsed, void ones as the error that says why; see ``Pattern``."""
    compiled: list[Pattern | InvalidPattern] = []
    for attributes in patterns:
        try:
            compiled.append(Pattern(attributes, owner_version, subject_is_target))
        except InvalidPattern as void:
            compiled.append(void)
    return compiled


def first_match(
    patterns: t.Sequence[Pattern | InvalidPattern], subject: t.Mapping[str, str]
) -> dict[str, t.Any] | None:
    """Return the first of ``patterns`` that ``subject`` matches: ``{"set": its index, "bindings": {}, "warnings": []}``."""
    for index, pattern in enumerate(patterns):
        if isinstance(pattern, Pattern):
            binding = pattern.binding(subject)
            if binding is not None:
                return {"set": index, "bindings": binding, "warnings": pattern.warnings(subject)}
    return None


def mismatch(
    patterns: t.Sequence[Pattern | InvalidPattern], subject: t.Mapping[str, str]
) -> list[Reason]:
    """Return why ``subject`` matches none of ``patterns``: ``{set, attribute, rule, expected, actual}``.

    Those of the set with the fewest come first, and those of void sets last.
    """
    if not patterns:
        return [dict(set=None, **_reason("compatible", "present", "at least one set", None))]
    distances = []
    for index, pattern in enumerate(patterns):
        void = isinstance(pattern, InvalidPattern)
        failures = (
            [_reason(pattern.attribute, "void_set", pattern.expected, None)]
            if isinstance(pattern, InvalidPattern)
            else pattern.failures(subject)
        )
        distances.append((void, len(failures), index, failures))
    return [
        dict(set=index, **each)
        for _distance, _order, index, own in sorted(distances)
        for each in own
    ]


def match(
    patterns: t.Iterable[t.Mapping[str, str]],
    subject: t.Mapping[str, str],
    owner_version: str | None = None,
    subject_is_target: bool = True,
) -> dict[str, t.Any]:
    """Return the first of ``patterns`` that ``subject`` matches, or why it matches none, for patterns that are used once.

    ``{"set": its index or None, "bindings": {}, "reasons": [], "warnings": []}``; see ``mismatch``.
    """
    compiled = compile_patterns(patterns, owner_version, subject_is_target)
    matched = first_match(compiled, subject)
    if matched is not None:
        return dict(matched, reasons=[])
    return {"set": None, "bindings": {}, "reasons": mismatch(compiled, subject), "warnings": []}


def _reason(attribute: str, rule: str, expected: str, actual: str | None) -> Reason:
    return {"attribute": attribute, "rule": rule, "expected": expected, "actual": actual}
