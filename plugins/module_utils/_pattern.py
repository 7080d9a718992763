# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Patterns: the attribute sets of ``compatible``, their template language, and what matches them.

A value of a pattern is plain text, or a template with variables:

* ``{val1:int:1,2,4,8}`` and ``{pv:string:"none","none+ppgtt"}`` declare a variable and the values it may have;
* ``{val1}`` is the same variable again, anywhere in the same set;
* ``{val1}/2`` is arithmetic, where the whole value is integer variables, integers, ``+ - * / % ( )`` and
  blanks with at least one variable and one operator: exact, a result that is no integer matches nothing;
* ``V5_{val1}`` is text with a variable inside; ``{{`` and ``}}`` are literal braces.

A set matches the ``self`` of a device if one binding of its variables makes every attribute match.
A set that breaks a rule of the language is void: it matches nothing, and its reason says what was expected where.
Patterns come from other hosts: parsing and matching neither recurse without bound nor try more than
``MAX_BINDINGS`` values. Pure: no files, no Ansible.
"""

from __future__ import annotations

import itertools
import operator
import re
from fractions import Fraction

from ansible_collections.vfio.migration.plugins.module_utils import _descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

    Value = t.Union[int, str]
    Binding = t.Dict[str, Value]
    _Solve = t.Callable[["_Template", Binding, "_Budget"], t.Iterator[Binding]]
    Reason = t.Dict[str, t.Any]

MAX_BINDINGS = 4096

_VARIABLE = re.compile(r" *([A-Za-z_][A-Za-z0-9_]*) *")
_KIND = re.compile(r": *([A-Za-z_]*) *:")
_INTEGER_ITEM = re.compile(r" *(-?[0-9]{1,18}) *(?=[,}])")
_STRING_ITEM = re.compile(r' *"([^"]*)" *(?=[,}])')
_ITEMS = {
    "int": (_INTEGER_ITEM, int, "an integer of at most 18 digits"),
    "string": (_STRING_ITEM, str, "a string in double quotes"),
}
_TOKEN = re.compile(r" *([0-9]+|[-+*/%()])")
_ARITHMETIC = re.compile(r"[-0-9+*/%() ]*\Z")
_INTEGER = re.compile(r"-?[0-9]+\Z")
_MINUS_SIGN = "minus sign"
_PRECEDENCE = {_MINUS_SIGN: 3, "*": 2, "/": 2, "%": 2, "+": 1, "-": 1}


class Void(ValueError):
    """A set breaks a rule of the language.

    ``attribute`` and ``column`` (from 1) say where, ``expected`` what would be right there.
    """

    def __init__(self, attribute: str, expected: str, column: int | None = None) -> None:
        place = "" if column is None else f" at column {column}"
        super().__init__(f"{attribute}{place}: expected {expected}")
        self.attribute = attribute
        self.expected = expected if column is None else f"{expected}{place}"


class _Part:
    """A run of literal text, or one variable, within a value; ``column`` is where it starts."""

    __slots__ = ("column", "text", "variable")

    def __init__(self, column: int, text: str = "", variable: str | None = None) -> None:
        self.column = column
        self.text = text
        self.variable = variable


class _Budget:
    """Counts the values tried for one set, so that no input can make matching slow."""

    class Spent(Exception):
        pass

    def __init__(self) -> None:
        self._left = MAX_BINDINGS

    def spend(self) -> None:
        if not self._left:
            raise self.Spent
        self._left -= 1


# --- parsing ---------------------------------------------------------------------------------------------------------


class _Scanner:
    """Reads one value into parts, and its declarations into ``domains``."""

    def __init__(self, attribute: str, value: str, domains: dict[str, tuple[Value, ...]]) -> None:
        self._attribute = attribute
        self._value = value
        self._domains = domains
        self._at = 0

    def parts(self) -> list[_Part]:
        parts = []
        text = ""
        text_column = 1
        while self._at < len(self._value):
            two, one = self._value[self._at : self._at + 2], self._value[self._at]
            if not text:
                text_column = self._at + 1
            if two in ("{{", "}}"):
                text += one
                self._at += 2
            elif one == "{":
                if text:
                    parts.append(_Part(text_column, text))
                    text = ""
                parts.append(_Part(self._at + 1, variable=self._variable()))
            elif one == "}":
                raise self._void("'}}' for a literal brace")
            else:
                text += one
                self._at += 1
        if text:
            parts.append(_Part(text_column, text))
        return parts

    def _variable(self) -> str:
        self._at += 1
        name = self._take(_VARIABLE, "the name of a variable, or '{{' for a literal brace")
        if self._value.startswith("}", self._at):
            self._at += 1
            return name
        start = self._at
        kind = self._take(_KIND, "'}', or ':int:' or ':string:' and values")
        if kind not in _ITEMS:
            self._at = start + 1
            raise self._void("the type int or string")
        values = self._values(*_ITEMS[kind])
        if self._domains.setdefault(name, values) != values:
            self._at = start
            raise self._void(f"the same values for '{name}' wherever it is declared")
        return name

    def _values(
        self, item: re.Pattern[str], convert: t.Callable[[str], Value], expected: str
    ) -> tuple[Value, ...]:
        values = {}
        end = ","
        while end == ",":
            values[convert(self._take(item, expected))] = True
            end = self._value[self._at]
            self._at += 1
        return tuple(values)

    def _take(self, expression: re.Pattern[str], expected: str) -> str:
        match = expression.match(self._value, self._at)
        if match is None:
            raise self._void(expected)
        self._at = match.end()
        return match.group(1)

    def _void(self, expected: str) -> Void:
        return Void(self._attribute, expected, self._at + 1)


class _Arithmetic:
    """Turns the arithmetic in a value's parts into postfix ``(kind, value)`` items; raises ``Void``."""

    def __init__(self, attribute: str, parts: list[_Part]) -> None:
        self.postfix: list[tuple[str, t.Any]] = []
        self._attribute = attribute
        self._operators: list[str] = []
        self._operand_next = True
        column = 1
        for kind, value, column in _tokens(attribute, parts):
            read = self._operand if self._operand_next else self._operator
            read(kind, value, column)
        if self._operand_next:
            raise self._void("an integer or a variable after the last operator", column)
        self._unwind(0)
        if self._operators:
            raise self._void("a ')' for every '('", column)

    def _operand(self, kind: str, value: Value, column: int) -> None:
        if kind != "operator":
            self.postfix.append((kind, value))
            self._operand_next = False
        elif value == "(":
            self._operators.append("(")
        elif value == "-":
            self._operators.append(_MINUS_SIGN)
        else:
            raise self._void("an integer, a variable, '-' or '('", column)

    def _operator(self, kind: str, value: Value, column: int) -> None:
        if kind != "operator" or value == "(":
            raise self._void("an operator or ')'", column)
        if value == ")":
            self._unwind(0)
            if not self._operators:
                raise self._void("no ')' without its '('", column)
            self._operators.pop()
        else:
            self._unwind(_PRECEDENCE[str(value)])
            self._operators.append(str(value))
            self._operand_next = True

    def _unwind(self, precedence: int) -> None:
        operators = self._operators
        while operators and operators[-1] != "(" and _PRECEDENCE[operators[-1]] >= precedence:
            self.postfix.append(("operator", operators.pop()))

    def _void(self, expected: str, column: int) -> Void:
        return Void(self._attribute, expected, column)


def _tokens(attribute: str, parts: list[_Part]) -> t.Iterator[tuple[str, Value, int]]:
    for part in parts:
        if part.variable is not None:
            yield "variable", part.variable, part.column
            continue
        for match in _TOKEN.finditer(part.text):
            token, column = match.group(1), part.column + match.start(1)
            if not token.isdigit():
                yield "operator", token, column
            elif len(token) > 18:
                raise Void(attribute, "an integer of at most 18 digits", column)
            else:
                yield "integer", int(token), column


# --- templates: the values with variables ----------------------------------------------------------------------------


class _Template:
    """A value with variables; the subclasses differ in how a device's value is compared with it."""

    rule = "one_of"
    # Templates that bind variables by looking at the device's value come before those that only try values.
    order = 0

    def __init__(self, attribute: str, value: str, parts: list[_Part]) -> None:
        self.attribute = attribute
        self.value = value
        self._parts = parts
        self.variables = list(dict.fromkeys(p.variable for p in parts if p.variable is not None))

    def solutions(
        self, actual: str, binding: Binding, domains: dict[str, tuple[Value, ...]], budget: _Budget
    ) -> t.Iterator[Binding]:
        """What must be added to ``binding`` to make ``actual`` match, in the order in which values were declared."""
        for extra in self.every(binding, domains, budget):
            if self._holds(actual, dict(binding, **extra)):
                yield extra

    def every(
        self, binding: Binding, domains: dict[str, tuple[Value, ...]], budget: _Budget
    ) -> t.Iterator[Binding]:
        """All that can be added to ``binding`` so that this template has a value."""
        free = [name for name in self.variables if name not in binding]
        for values in itertools.product(*(domains[name] for name in free)):
            budget.spend()
            extra = dict(zip(free, values))
            if self._has_value(dict(binding, **extra)):
                yield extra

    def expected(self, binding: Binding) -> str:
        """What a device's value would have to be under ``binding``, as far as that is bound."""
        if any(name not in binding for name in self.variables):
            return self.value
        return self._result(binding)

    def _holds(self, actual: str, binding: Binding) -> bool:
        return actual == self._result(binding)

    def _has_value(self, binding: Binding) -> bool:
        return True

    def _result(self, binding: Binding) -> str:
        return "".join(
            p.text if p.variable is None else str(binding[p.variable]) for p in self._parts
        )


class _Text(_Template):
    """Text with variables inside: compared character by character."""

    def solutions(
        self, actual: str, binding: Binding, domains: dict[str, tuple[Value, ...]], budget: _Budget
    ) -> t.Iterator[Binding]:
        pending: list[tuple[int, int, Binding]] = [(0, 0, {})]
        while pending:
            index, at, extra = pending.pop()
            if index == len(self._parts):
                if at == len(actual):
                    yield extra
                continue
            part = self._parts[index]
            if part.variable is None:
                text = _descriptor.comparable(self.attribute, part.text)
                if actual.startswith(text, at):
                    pending.append((index + 1, at + len(text), extra))
                continue
            known = extra.get(part.variable, binding.get(part.variable))
            for choice in reversed(domains[part.variable] if known is None else (known,)):
                budget.spend()
                text = _descriptor.comparable(self.attribute, str(choice))
                if actual.startswith(text, at):
                    more = extra if known is not None else dict(extra, **{part.variable: choice})
                    pending.append((index + 1, at + len(text), more))


class _Integer(_Template):
    """One integer variable and nothing else: compared as an integer."""

    def _holds(self, actual: str, binding: Binding) -> bool:
        return bool(_INTEGER.match(actual)) and int(actual) == binding[self.variables[0]]


class _Version(_Template):
    """A software_version with variables: each result is under the version rule."""

    order = 1

    def __init__(self, value: str, parts: list[_Part], subject_is_target: bool) -> None:
        super().__init__("software_version", value, parts)
        self._subject_is_target = subject_is_target

    def _holds(self, actual: str, binding: Binding) -> bool:
        return version_failure(self._result(binding), actual, self._subject_is_target) is None


class _Expression(_Template):
    """Arithmetic: exact, and a result that is no integer matches nothing."""

    rule = "expression"
    order = 2

    def __init__(self, attribute: str, value: str, parts: list[_Part]) -> None:
        super().__init__(attribute, value, parts)
        self._postfix = _Arithmetic(attribute, parts).postfix

    def _holds(self, actual: str, binding: Binding) -> bool:
        return bool(_INTEGER.match(actual)) and int(actual) == self._evaluate(binding)

    def _has_value(self, binding: Binding) -> bool:
        return isinstance(self._evaluate(binding), int)

    def _result(self, binding: Binding) -> str:
        result = self._evaluate(binding)
        if result is None:
            return f"no value: {self.value} divides by zero"
        return str(result) if isinstance(result, int) else f"no value: {self.value} is {result}"

    def _evaluate(self, binding: Binding) -> int | Fraction | None:
        """The exact result, an ``int`` wherever it is one; ``None`` for a division by zero."""
        stack: list[t.Any] = []
        for kind, value in self._postfix:
            if kind == "integer":
                stack.append(value)
            elif kind == "variable":
                stack.append(binding[value])
            elif value == _MINUS_SIGN:
                stack.append(-stack.pop())
            else:
                right, left = stack.pop(), stack.pop()
                if value in "/%" and not right:
                    return None
                stack.append(_OPERATIONS[value](left, right))
        result: int | Fraction = stack[0]
        return int(result) if result.denominator == 1 else result


def _quotient(left: int | Fraction, right: int | Fraction) -> int | Fraction:
    return left // right if left % right == 0 else Fraction(left) / right


_OPERATIONS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _quotient,
    "%": operator.mod,
}


# --- sets ------------------------------------------------------------------------------------------------------------


def version_failure(owner: str, subject: str, subject_is_target: bool = True) -> str | None:
    """The rule that keeps a device of version ``subject`` from a pattern whose owner has version ``owner``.

    The target may serve the source if the majors are equal and the target's minor is no smaller; the bugfix
    never matters (2020-08-05 in the proposal's discussion). ``None`` where the rule holds.
    """
    owner_version = _descriptor.parse_version(owner)
    subject_version = _descriptor.parse_version(subject)
    if owner_version is None or subject_version is None or owner_version[0] != subject_version[0]:
        return "version_major"
    source, target = (
        (owner_version, subject_version) if subject_is_target else (subject_version, owner_version)
    )
    return None if target[1] >= source[1] else "version_minor"


class Pattern:
    """One set of ``compatible``, parsed; raises ``Void`` where it breaks a rule of the language.

    ``attributes`` is a normalised attribute set. ``owner_version`` is the software_version of the device whose
    set it is; it is compared where the set states none (``None``: nothing is compared then).
    ``subject_is_target`` says which side of the migration the devices are on that are matched with it.
    """

    def __init__(
        self,
        attributes: t.Mapping[str, str],
        owner_version: str | None = None,
        subject_is_target: bool = True,
    ) -> None:
        for name in ("device_api", "type"):
            if not attributes.get(name):
                raise Void(name, f"a value; a set that does not state '{name}' is void")
        self._subject_is_target = subject_is_target
        self._stated = frozenset(name for name, value in attributes.items() if value)
        self._domains: dict[str, tuple[Value, ...]] = {}
        self._plain: list[tuple[str, str]] = []
        self._version = owner_version
        templates = []
        for name, value in sorted(attributes.items()):
            parts = _Scanner(name, value, self._domains).parts()
            if any(part.variable is not None for part in parts):
                templates.append((name, value, parts))
            else:
                self._add_plain(name, "".join(part.text for part in parts))
        self._components = _components(
            sorted((self._template(*each) for each in templates), key=lambda each: each.order)
        )

    def _add_plain(self, name: str, text: str) -> None:
        if name != "software_version":
            self._plain.append((name, _descriptor.comparable(name, text)))
        elif text:
            if _descriptor.parse_version(text) is None:
                raise Void(name, "major.minor[.bugfix]", 1)
            self._version = text

    def _template(self, name: str, value: str, parts: list[_Part]) -> _Template:
        for part in parts:
            if part.variable is not None and part.variable not in self._domains:
                raise Void(
                    name,
                    f"a declaration of '{part.variable}' somewhere in the set",
                    part.column,
                )
        if name == "software_version":
            self._version = None
            return _Version(value, parts, self._subject_is_target)
        variables = [part.variable for part in parts if part.variable is not None]
        text = "".join(part.text for part in parts)
        integers = all(isinstance(self._domains[name][0], int) for name in variables)
        if integers and len(parts) == 1:
            return _Integer(name, value, parts)
        if integers and _ARITHMETIC.match(text) and any(sign in text for sign in "+-*/%"):
            return _Expression(name, value, parts)
        return _Text(name, value, parts)

    def binding(self, subject: t.Mapping[str, str]) -> Binding | None:
        """The first binding, in the order of the declarations, that makes ``subject`` match; ``None`` where none does.

        Raises ``Void`` where that takes more than ``MAX_BINDINGS`` values to find out.
        """
        if any(self._plain_failures(subject)):
            return None
        return self._bind(self._components, self._solve_for(subject))

    def completion(
        self, known: t.Mapping[str, str], preferred: t.Mapping[str, str]
    ) -> tuple[Binding, dict[str, str]] | None:
        """How a device that does not exist yet would match, of which only the attributes in ``known`` are certain.

        The binding, and the value that each other attribute of the set must have; where the set leaves a choice,
        those in ``preferred`` win. ``None`` where ``known`` rules a match out. Raises ``Void`` as ``binding`` does.
        """
        if any(reason["attribute"] in known for reason in self._plain_failures(known)):
            return None

        def solve(template: _Template, binding: Binding, budget: _Budget) -> t.Iterator[Binding]:
            name = template.attribute
            actual = known.get(name, preferred.get(name))
            if actual is not None:
                yield from template.solutions(actual, binding, self._domains, budget)
            if name not in known:
                yield from template.every(binding, self._domains, budget)

        components = [
            sorted(component, key=lambda template: template.attribute not in known)
            for component in self._components
        ]
        binding = self._bind(components, solve)
        if binding is None:
            return None
        required = dict(self._plain)
        for template in itertools.chain.from_iterable(components):
            required[template.attribute] = template.expected(binding)
        return binding, {n: value for n, value in required.items() if value and n not in known}

    def failures(self, subject: t.Mapping[str, str]) -> list[Reason]:
        """Why ``subject`` does not match: the fewest failures any binding leaves; ``{attribute, rule, expected, actual}``.

        Of attributes for which finding the fewest takes too many values, the last is named.
        """
        failures = list(self._plain_failures(subject))
        solve = self._solve_for(subject)
        budget = _Budget()
        for component in self._components:
            found = self._search(component, solve, budget)
            for allowed in range(1, len(component) + 1):
                if found is None:
                    try:
                        found = _fewest_unmatched(component, solve, budget, allowed)
                    except _Budget.Spent:
                        found = {}, component[-1:]
            binding, failed = found or ({}, [])
            failures.extend(self._failure(template, binding, subject) for template in failed)
        return sorted(failures, key=lambda failure: failure["attribute"])

    def _failure(
        self, template: _Template, binding: Binding, subject: t.Mapping[str, str]
    ) -> Reason:
        actual = subject.get(template.attribute)
        expected = template.expected(binding)
        rule = "present" if actual is None else template.rule
        if isinstance(template, _Version) and actual is not None:
            rule = version_failure(expected, actual, self._subject_is_target) or rule
        return _reason(template.attribute, rule, expected, actual)

    def warnings(self, subject: t.Mapping[str, str]) -> list[str]:
        """What a match of ``subject`` had to assume."""
        name = _descriptor.API_MUSTS.get(subject.get("device_api", ""))
        if name and name not in self._stated:
            return [f"the pattern states no {name}: any is accepted"]
        return []

    def _plain_failures(self, subject: t.Mapping[str, str]) -> t.Iterator[Reason]:
        for name, text in self._plain:
            actual = subject.get(name)
            if (actual or "") != text:
                yield _reason(name, "present" if actual is None else "equal", text, actual)
        if self._version is not None:
            actual = subject.get("software_version")
            rule = (
                "present"
                if actual is None
                else version_failure(self._version, actual, self._subject_is_target)
            )
            if rule:
                yield _reason("software_version", rule, self._version, actual)

    def _bind(self, components: list[list[_Template]], solve: _Solve) -> Binding | None:
        budget = _Budget()
        binding: Binding = {}
        for component in components:
            found = self._search(component, solve, budget)
            if found is None:
                return None
            binding.update(found[0])
        return binding

    def _search(
        self, component: list[_Template], solve: _Solve, budget: _Budget
    ) -> tuple[Binding, list[_Template]] | None:
        """The first binding under which the whole component matches; raises ``Void`` where that takes too long."""
        try:
            return _fewest_unmatched(component, solve, budget, 0)
        except _Budget.Spent:
            expected = f"variables that at most {MAX_BINDINGS} values decide"
            raise Void(component[0].attribute, expected) from None

    def _solve_for(self, subject: t.Mapping[str, str]) -> _Solve:
        def solve(template: _Template, binding: Binding, budget: _Budget) -> t.Iterator[Binding]:
            actual = subject.get(template.attribute, "")
            return template.solutions(actual, binding, self._domains, budget)

        return solve


def _components(templates: list[_Template]) -> list[list[_Template]]:
    """The templates in groups that share no variable, so that each group can be matched by itself."""
    components: list[tuple[set[str], list[_Template]]] = []
    for template in templates:
        variables, members = set(template.variables), [template]
        for other in [each for each in components if each[0] & variables]:
            components.remove(other)
            variables |= other[0]
            members = other[1] + members
        components.append((variables, members))
    return [sorted(members, key=lambda each: each.order) for variables, members in components]


def _fewest_unmatched(
    templates: list[_Template], solve: _Solve, budget: _Budget, allowed: int
) -> tuple[Binding, list[_Template]] | None:
    """The first binding that leaves at most ``allowed`` of ``templates`` unmatched, and those."""

    def walk(
        index: int, binding: Binding, unmatched: list[_Template]
    ) -> tuple[Binding, list[_Template]] | None:
        if index == len(templates):
            return binding, unmatched
        template = templates[index]
        for extra in solve(template, binding, budget):
            found = walk(index + 1, dict(binding, **extra), unmatched)
            if found is not None:
                return found
        if len(unmatched) < allowed:
            return walk(index + 1, binding, unmatched + [template])
        return None

    return walk(0, {}, [])


def compile_patterns(
    patterns: t.Iterable[t.Mapping[str, str]],
    owner_version: str | None = None,
    subject_is_target: bool = True,
) -> list[Pattern | Void]:
    """The sets of one ``compatible``, parsed, void ones as the error that says why; see ``Pattern``."""
    compiled: list[Pattern | Void] = []
    for attributes in patterns:
        try:
            compiled.append(Pattern(attributes, owner_version, subject_is_target))
        except Void as void:
            compiled.append(void)
    return compiled


def match_compiled(
    patterns: t.Sequence[Pattern | Void], subject: t.Mapping[str, str]
) -> dict[str, t.Any]:
    """The first of ``patterns`` that ``subject`` matches, or why it matches none.

    ``{"set": its index or None, "bindings": {}, "reasons": [], "warnings": []}``; reasons are
    ``{set, attribute, rule, expected, actual}``, those of the set with the fewest first.
    """
    for index, pattern in enumerate(patterns):
        if isinstance(pattern, Void):
            continue
        try:
            binding = pattern.binding(subject)
        except Void:
            continue
        if binding is not None:
            return {
                "set": index,
                "bindings": binding,
                "reasons": [],
                "warnings": pattern.warnings(subject),
            }
    reasons: list[Reason] = []
    for index, failures in sorted(
        ((index, _set_failures(pattern, subject)) for index, pattern in enumerate(patterns)),
        key=lambda item: (item[1][0]["rule"] == "void_set", len(item[1])),
    ):
        reasons.extend(dict(set=index, **failure) for failure in failures)
    if not patterns:
        reasons = [dict(set=None, **_reason("compatible", "present", "at least one set", None))]
    return {"set": None, "bindings": {}, "reasons": reasons, "warnings": []}


def match(
    patterns: t.Iterable[t.Mapping[str, str]],
    subject: t.Mapping[str, str],
    owner_version: str | None = None,
    subject_is_target: bool = True,
) -> dict[str, t.Any]:
    """``match_compiled`` for patterns that are used once."""
    return match_compiled(compile_patterns(patterns, owner_version, subject_is_target), subject)


def _set_failures(pattern: Pattern | Void, subject: t.Mapping[str, str]) -> list[Reason]:
    if isinstance(pattern, Pattern):
        try:
            return pattern.failures(subject)
        except Void as void:
            pattern = void
    return [_reason(pattern.attribute, "void_set", pattern.expected, None)]


def _reason(attribute: str, rule: str, expected: str, actual: str | None) -> Reason:
    return {"attribute": attribute, "rule": rule, "expected": expected, "actual": actual}
