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
Patterns come from other hosts: reading and matching a set count their steps and end at a limit, which is that of
trying ``MAX_BINDINGS`` bindings, and nothing recurses deeper than a set has attributes. Pure: no files, no Ansible.
"""

from __future__ import annotations

import itertools
import math
import re

from ansible_collections.vfio.migration.plugins.module_utils._descriptor import (
    attributes as attributes_module,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:  # pragma: no cover
    import typing as t

    Value = t.Union[int, str]
    Binding = t.Dict[str, Value]
    # The values of each variable, in the order of their declaration.
    _Domains = t.Dict[str, t.Tuple[Value, ...]]
    _Number = t.Tuple[int, int]
    _Operation = t.Callable[[_Number, _Number], _Number]
    _Solve = t.Callable[["_Template", Binding, "_Budget"], t.Iterator[Binding]]
    Reason = t.Dict[str, t.Any]
    # An attribute, how its value is compared, and with what; None where no value would do.
    Term = t.Tuple[str, str, t.Optional[Value]]

MAX_BINDINGS = 4096

TEXT, INTEGER, VERSION = "text", "integer", "version"

# What is done for one set is counted in steps, each about a quarter of a microsecond.
_STEPS_OF_A_BINDING = 4
_STEPS_OF_A_TURN = 8
_STEPS_OF_A_PART = 6
_STEPS_OF_A_TOKEN = 5
_STEPS_OF_A_VALUE = 3
_MAX_STEPS = _STEPS_OF_A_BINDING * MAX_BINDINGS
_SMALLER = (
    f"a smaller set: at most {_MAX_STEPS // _STEPS_OF_A_PART} variables and texts between them,"
    f" {_MAX_STEPS // _STEPS_OF_A_VALUE} of their values, or {_MAX_STEPS // _STEPS_OF_A_TOKEN} numbers and operators"
)
# No value of a device has more digits.
_TOO_LARGE = 10**attributes_module.MAX_VALUE

_PIECE = re.compile(r"((?:[^{}]+|\{\{|\}\})+)|\{ *([A-Za-z_][A-Za-z0-9_]*) *")
_KIND = re.compile(r": *([A-Za-z_]*) *:")
_INTEGER_ITEM = re.compile(r" *(-?[0-9]{1,18}) *(?=[,}])")
_STRING_ITEM = re.compile(r' *"([^"]*)" *(?=[,}])')
_ITEMS = {
    "int": (_INTEGER_ITEM, int, "an integer of at most 18 digits, then ',' or '}'"),
    "string": (_STRING_ITEM, str, "a string in double quotes, then ',' or '}'"),
}
_TOKEN = re.compile(r" *([0-9]+|[-+*/%()])")
_ARITHMETIC = re.compile(r"[-0-9+*/%() ]*\Z")
_INTEGER = re.compile(r"-?[0-9]+\Z")
_MINUS_SIGN = "minus sign"
_PRECEDENCE = {_MINUS_SIGN: 3, "*": 2, "/": 2, "%": 2, "+": 1, "-": 1}


class InvalidPattern(VfioMigrationError, ValueError):
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

    def __init__(self, column: int, text: str, variable: str | None) -> None:
        self.column = column
        self.text = text
        self.variable = variable


class _Budget:
    """Counts what is done for one set, so that no input can make that slow."""

    class Spent(Exception):
        pass

    def __init__(self) -> None:
        self._left = _MAX_STEPS

    def spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise self.Spent


# --- parsing ---------------------------------------------------------------------------------------------------------


class _Scanner:
    """Reads one value into parts, and its declarations into ``domains``."""

    def __init__(self, attribute: str, value: str, domains: _Domains, budget: _Budget) -> None:
        self._attribute = attribute
        self._value = value
        self._domains = domains
        self._budget = budget
        self._at = 0

    def parts(self) -> list[_Part]:
        parts = []
        while self._at < len(self._value):
            self._budget.spend(_STEPS_OF_A_PART)
            piece = _PIECE.match(self._value, self._at)
            if piece is None:
                raise self._brace()
            column = self._at + 1
            self._at = piece.end()
            text, variable = piece.groups()
            if variable is None:
                parts.append(_Part(column, text.replace("{{", "{").replace("}}", "}"), None))
            elif self._value.startswith("}", self._at):
                self._at += 1
                parts.append(_Part(column, "", variable))
            else:
                self._declaration(variable)
                parts.append(_Part(column, "", variable))
        return parts

    def _brace(self) -> InvalidPattern:
        if self._value[self._at] == "}":
            return self._void("'}}' for a literal brace")
        self._at += 1
        return self._void("the name of a variable, or '{{' for a literal brace")

    def _declaration(self, name: str) -> None:
        self._budget.spend(_STEPS_OF_A_PART)
        start = self._at
        kind = self._take(_KIND, "'}', or ':int:' or ':string:' and values")
        if kind not in _ITEMS:
            self._at = start + 1
            raise self._void("the type int or string")
        values = self._values(*_ITEMS[kind])
        if self._domains.setdefault(name, values) != values:
            self._at = start
            raise self._void(f"the same values for '{name}' wherever it is declared")

    def _values(
        self, item: re.Pattern[str], convert: t.Callable[[str], Value], expected: str
    ) -> tuple[Value, ...]:
        values = {}
        end = ","
        while end == ",":
            self._budget.spend(_STEPS_OF_A_VALUE)
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

    def _void(self, expected: str) -> InvalidPattern:
        return InvalidPattern(self._attribute, expected, self._at + 1)


class _Arithmetic:
    """Turns the arithmetic in a value's parts into postfix ``(kind, value)`` items; raises ``InvalidPattern``."""

    def __init__(self, attribute: str, parts: list[_Part], budget: _Budget) -> None:
        self.postfix: list[tuple[str, t.Any]] = []
        self._attribute = attribute
        self._operators: list[str] = []
        self._operand_next = True
        column = 1
        for kind, value, column in _tokens(attribute, parts):
            budget.spend(_STEPS_OF_A_TOKEN)
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

    def _void(self, expected: str, column: int) -> InvalidPattern:
        return InvalidPattern(self._attribute, expected, column)


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
                raise InvalidPattern(attribute, "an integer of at most 18 digits", column)
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
        self._steps = _STEPS_OF_A_BINDING + len(parts) // 2
        self.variables = list(dict.fromkeys(p.variable for p in parts if p.variable is not None))

    def read(self, actual: str) -> t.Any:
        """A device's value as it is compared; ``None`` where nothing can make it match."""
        return attributes_module.comparable(self.attribute, actual)

    def solutions(
        self, actual: t.Any, binding: Binding, domains: _Domains, budget: _Budget
    ) -> t.Iterator[Binding]:
        """What must be added to ``binding`` to make ``actual``, as read, match, in the order in which values were declared."""
        if actual is not None:
            for values in self._choices(binding, domains, budget):
                if self._fits(actual, values):
                    yield self._added(binding, values)

    def every(self, binding: Binding, domains: _Domains, budget: _Budget) -> t.Iterator[Binding]:
        """All that can be added to ``binding`` so that this template has a value."""
        for values in self._choices(binding, domains, budget):
            if self._text(values) is not None:
                yield self._added(binding, values)

    def expected(self, binding: Binding) -> str:
        """What a device's value would have to be under ``binding``, as far as that is bound."""
        if any(name not in binding for name in self.variables):
            return self.value
        values = tuple(binding[name] for name in self.variables)
        text = self._text(values)
        return self._no_value(values) if text is None else text

    def term(self, values: tuple[Value, ...]) -> Term:
        """What a device's value is compared with under a choice of values."""
        raise NotImplementedError

    def most_steps(self) -> int:
        """No fewer than the steps that comparing a device's value with one choice of values takes."""
        return self._steps + _STEPS_OF_A_TURN + _STEPS_OF_A_PART * len(self._parts)

    def failure(self, actual: str, binding: Binding, domains: _Domains, budget: _Budget) -> str:
        """The rule that ``actual`` breaks under ``binding``, as far as that is bound."""
        return self.rule

    def _choices(
        self, binding: Binding, domains: _Domains, budget: _Budget
    ) -> t.Iterator[tuple[Value, ...]]:
        """The values that ``variables`` can have together where ``binding`` holds."""
        choices = ((binding[n],) if n in binding else domains[n] for n in self.variables)
        for values in itertools.product(*choices):
            budget.spend(self._steps)
            yield values

    def _added(self, binding: Binding, values: tuple[Value, ...]) -> Binding:
        return {n: value for n, value in zip(self.variables, values) if n not in binding}

    def _fits(self, actual: t.Any, values: tuple[Value, ...]) -> bool:
        raise NotImplementedError

    def _text(self, values: tuple[Value, ...]) -> str | None:
        """The value under a choice of values; ``None`` where there is none, or none that a device can have."""
        texts = dict(zip(self.variables, values))
        pieces = []
        room = attributes_module.MAX_VALUE
        for part in self._parts:
            piece = part.text if part.variable is None else str(texts[part.variable])
            room -= len(piece)
            if room < 0:
                return None
            pieces.append(piece)
        return "".join(pieces)

    def _no_value(self, values: tuple[Value, ...]) -> str:
        """Why ``_text`` gives none."""
        return f"no value: {self.value} has more than {attributes_module.MAX_VALUE} characters"


class _Text(_Template):
    """Text with variables inside: compared character by character."""

    def term(self, values: tuple[Value, ...]) -> Term:
        texts = dict(zip(self.variables, values))
        pieces = (p.text if p.variable is None else str(texts[p.variable]) for p in self._parts)
        text = "".join(attributes_module.comparable(self.attribute, piece) for piece in pieces)
        return self.attribute, TEXT, text

    def solutions(
        self, actual: str, binding: Binding, domains: _Domains, budget: _Budget
    ) -> t.Iterator[Binding]:
        pending: list[tuple[int, int, Binding]] = [(0, 0, {})]
        while pending:
            index, at, extra = pending.pop()
            if index == len(self._parts):
                if at == len(actual):
                    yield extra
                continue
            part = self._parts[index]
            name = part.variable
            known = None if name is None else extra.get(name, binding.get(name))
            if name is not None and known is None:
                budget.spend(len(domains[name]))
                for choice in reversed(domains[name]):
                    text = attributes_module.comparable(self.attribute, str(choice))
                    if actual.startswith(text, at):
                        budget.spend(_STEPS_OF_A_BINDING + len(extra) // 8)
                        pending.append((index + 1, at + len(text), dict(extra, **{name: choice})))
            else:
                budget.spend(_STEPS_OF_A_BINDING)
                literal = part.text if known is None else str(known)
                text = attributes_module.comparable(self.attribute, literal)
                if actual.startswith(text, at):
                    pending.append((index + 1, at + len(text), extra))


class _Integer(_Template):
    """One integer variable and nothing else: compared as an integer."""

    def term(self, values: tuple[Value, ...]) -> Term:
        return self.attribute, INTEGER, values[0]

    def read(self, actual: str) -> int | None:
        return read_integer(actual)

    def solutions(
        self, actual: int | None, binding: Binding, domains: _Domains, budget: _Budget
    ) -> t.Iterator[Binding]:
        (name,) = self.variables
        values = (binding[name],) if name in binding else domains[name]
        budget.spend(_STEPS_OF_A_BINDING + len(values) // 16)
        if actual in values:
            yield {} if name in binding else {name: actual}


class _Version(_Template):
    """A software_version with variables: each result is under the version rule."""

    order = 1

    def __init__(self, value: str, parts: list[_Part], subject_is_target: bool) -> None:
        super().__init__("software_version", value, parts)
        self._steps += _STEPS_OF_A_BINDING
        self._subject_is_target = subject_is_target

    def term(self, values: tuple[Value, ...]) -> Term:
        version = self._text(values)
        known = version is not None and attributes_module.parse_version(version)
        return self.attribute, VERSION, version if known else None

    def failure(self, actual: str, binding: Binding, domains: _Domains, budget: _Budget) -> str:
        """``version_minor`` where a choice of values has the major right."""
        try:
            for values in self._choices(binding, domains, budget):
                if self._failure(actual, values) == "version_minor":
                    return "version_minor"
        except _Budget.Spent:
            pass
        return "version_major"

    def _fits(self, actual: str, values: tuple[Value, ...]) -> bool:
        return self._failure(actual, values) is None

    def _failure(self, actual: str, values: tuple[Value, ...]) -> str | None:
        return version_failure(self._text(values) or "", actual, self._subject_is_target)


class _Expression(_Template):
    """Arithmetic: exact, and a result that is no integer matches nothing."""

    rule = "expression"
    order = 2

    def __init__(self, attribute: str, value: str, parts: list[_Part], budget: _Budget) -> None:
        super().__init__(attribute, value, parts)
        postfix = _Arithmetic(attribute, parts, budget).postfix
        self._integers = [(0, 1)] + [(value, 1) for kind, value in postfix if kind == "integer"]
        self._operations = self._compile(postfix)
        # Numbers get longer with every operation.
        count = len(self._operations)
        self._steps = _STEPS_OF_A_BINDING + (count - 1) // 2 * (1 + count // 32)

    def _compile(self, postfix: list[tuple[str, t.Any]]) -> list[tuple[_Operation, int, int]]:
        """The operations in order, each with the places of its operands: see ``_evaluate``."""
        zero = next_integer = len(self.variables)
        first_result = zero + len(self._integers)
        operations: list[tuple[_Operation, int, int]] = []
        stack: list[int] = []
        for kind, value in postfix:
            if kind == "variable":
                stack.append(self.variables.index(value))
            elif kind == "integer":
                next_integer += 1
                stack.append(next_integer)
            else:
                right = stack.pop()
                left = zero if value == _MINUS_SIGN else stack.pop()
                stack.append(first_result + len(operations))
                operations.append((_OPERATIONS[value], left, right))
        return operations

    def term(self, values: tuple[Value, ...]) -> Term:
        result = self._evaluate(values)
        if result is None or result[0] % result[1]:
            return self.attribute, INTEGER, None
        return self.attribute, INTEGER, result[0] // result[1]

    def read(self, actual: str) -> int | None:
        return read_integer(actual)

    def _fits(self, actual: int, values: tuple[Value, ...]) -> bool:
        result = self._evaluate(values)
        return result is not None and result[0] == actual * result[1]

    def _text(self, values: tuple[Value, ...]) -> str | None:
        result = self._evaluate(values)
        if result is None:
            return None
        whole, rest = divmod(result[0], result[1])
        return None if rest or abs(whole) >= _TOO_LARGE else str(whole)

    def _no_value(self, values: tuple[Value, ...]) -> str:
        result = self._evaluate(values)
        if result is None:
            return f"no value: {self.value} divides by zero"
        divisor = math.gcd(*result)
        if result[1] < 0:
            divisor = -divisor
        numerator, denominator = result[0] // divisor, result[1] // divisor
        if max(abs(numerator), denominator) >= _TOO_LARGE:
            return f"no value: {self.value} has more than {attributes_module.MAX_VALUE} digits"
        return f"no value: {self.value} is {numerator}/{denominator}"

    def _evaluate(self, values: tuple[Value, ...]) -> _Number | None:
        """The exact result; ``None`` for a division by zero."""
        # The variables' values, the integers with a zero before them, and the results of the operations so far.
        numbers: list[t.Any] = [(value, 1) for value in values]
        numbers += self._integers
        try:
            for operation, left, right in self._operations:
                numbers.append(operation(numbers[left], numbers[right]))
        except ZeroDivisionError:
            return None
        result: _Number = numbers[-1]
        return result


def read_integer(actual: str) -> int | None:
    """A device's value as an integer; ``None`` where it is none."""
    return int(actual) if _INTEGER.match(actual) else None


# Numbers are fractions: numerator and denominator, not reduced, as that would take longer than all the rest.
def _sum(left: _Number, right: _Number) -> _Number:
    return left[0] * right[1] + right[0] * left[1], left[1] * right[1]


def _difference(left: _Number, right: _Number) -> _Number:
    return left[0] * right[1] - right[0] * left[1], left[1] * right[1]


def _product(left: _Number, right: _Number) -> _Number:
    return left[0] * right[0], left[1] * right[1]


def _quotient(left: _Number, right: _Number) -> _Number:
    if not right[0]:
        raise ZeroDivisionError
    return left[0] * right[1], left[1] * right[0]


def _remainder(left: _Number, right: _Number) -> _Number:
    return left[0] * right[1] % (right[0] * left[1]), left[1] * right[1]


_OPERATIONS = {
    "+": _sum,
    "-": _difference,
    "*": _product,
    "/": _quotient,
    "%": _remainder,
    _MINUS_SIGN: _difference,
}


# --- sets ------------------------------------------------------------------------------------------------------------


def version_failure(owner: str, subject: str, subject_is_target: bool = True) -> str | None:
    """The rule that keeps a device of version ``subject`` from a pattern whose owner has version ``owner``.

    The target may serve the source if the majors are equal and the target's minor is no smaller; the bugfix
    never matters (2020-08-05 in the proposal's discussion). ``None`` where the rule holds.
    """
    owner_version = attributes_module.parse_version(owner)
    subject_version = attributes_module.parse_version(subject)
    if owner_version is None or subject_version is None or owner_version[0] != subject_version[0]:
        return "version_major"
    source, target = (
        (owner_version, subject_version) if subject_is_target else (subject_version, owner_version)
    )
    return None if target[1] >= source[1] else "version_minor"


class Pattern:
    """One set of ``compatible``, parsed; raises ``InvalidPattern`` where it breaks a rule of the language.

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
                raise InvalidPattern(name, f"a value; a set that does not state '{name}' is void")
        self._subject_is_target = subject_is_target
        self._stated = frozenset(name for name, value in attributes.items() if value)
        self._domains: _Domains = {}
        self._plain: list[tuple[str, str]] = []
        self._version = owner_version
        budget = _Budget()
        values = []
        templates = []
        name = ""
        try:
            for name, value in sorted(attributes.items()):
                if "{" not in value and "}" not in value:
                    self._add_plain(name, value)
                    continue
                parts = _Scanner(name, value, self._domains, budget).parts()
                if any(part.variable is not None for part in parts):
                    values.append((name, value, parts))
                else:
                    self._add_plain(name, "".join(part.text for part in parts))
            for name, value, parts in values:
                templates.append(self._template(name, value, parts, budget))
        except _Budget.Spent:
            raise InvalidPattern(name, _SMALLER) from None
        self._components = _components(sorted(templates, key=lambda each: each.order))
        # Whether neither ``binding`` nor ``failures`` can come to the limit of their steps, whatever the subject.
        self.bounded = sum(map(self._most_steps, self._components)) <= _MAX_STEPS

    def _add_plain(self, name: str, text: str) -> None:
        if name != "software_version":
            self._plain.append((name, attributes_module.comparable(name, text)))
        elif text:
            if attributes_module.parse_version(text) is None:
                raise InvalidPattern(name, "major.minor[.bugfix]", 1)
            self._version = text

    def _template(self, name: str, value: str, parts: list[_Part], budget: _Budget) -> _Template:
        for part in parts:
            if part.variable is not None and part.variable not in self._domains:
                raise InvalidPattern(
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
            return _Expression(name, value, parts, budget)
        return _Text(name, value, parts)

    def binding(self, subject: t.Mapping[str, str]) -> Binding | None:
        """The first binding, in the order of the declarations, that makes ``subject`` match; ``None`` where none does.

        Raises ``InvalidPattern`` where that takes more than ``MAX_BINDINGS`` bindings to find out.
        """
        if any(self._plain_failures(subject)):
            return None
        return self._bind(self._components, self._solve_for(subject))

    def completion(
        self, known: t.Mapping[str, str], preferred: t.Mapping[str, str]
    ) -> tuple[Binding, dict[str, str]] | None:
        """How a device that does not exist yet would match, of which only the attributes in ``known`` are certain.

        The binding, and the value that each other attribute of the set must have; where the set leaves a choice,
        those in ``preferred`` win. ``None`` where ``known`` rules a match out. Raises ``InvalidPattern`` as ``binding`` does.
        """
        if any(reason["attribute"] in known for reason in self._plain_failures(known)):
            return None
        components = [
            sorted(component, key=lambda template: template.attribute not in known)
            for component in self._components
        ]
        stated = self._solve_for({**preferred, **known})

        def solve(template: _Template, binding: Binding, budget: _Budget) -> t.Iterator[Binding]:
            name = template.attribute
            if name in known or name in preferred:
                yield from stated(template, binding, budget)
            if name not in known:
                yield from template.every(binding, self._domains, budget)

        binding = self._bind(components, solve)
        if binding is None:
            return None
        required = dict(self._plain)
        for template in itertools.chain.from_iterable(components):
            required[template.attribute] = template.expected(binding)
        return binding, {n: value for n, value in required.items() if value and n not in known}

    def alternatives(self) -> list[list[Term]]:
        """The terms of every set without variables that this one stands for; only few where it is ``bounded``."""
        plain: list[Term] = [(name, TEXT, text) for name, text in self._plain]
        if self._version is not None:
            plain.append(("software_version", VERSION, self._version))
        templates = list(itertools.chain.from_iterable(self._components))
        return [
            plain + [each.term(tuple(binding[n] for n in each.variables)) for each in templates]
            for values in itertools.product(*self._domains.values())
            for binding in [dict(zip(self._domains, values))]
        ]

    def _most_steps(self, component: list[_Template]) -> int:
        """For every choice of templates that fail, and every binding, each template once."""
        bindings = 1
        for name in {name for template in component for name in template.variables}:
            bindings *= len(self._domains[name])
        return sum(each.most_steps() for each in component) * bindings * (1 << len(component))

    def failures(self, subject: t.Mapping[str, str]) -> list[Reason]:
        """Why ``subject`` does not match: the fewest failures any binding leaves; ``{attribute, rule, expected, actual}``.

        Where finding the fewest takes more than ``MAX_BINDINGS`` bindings, they are those found until then.
        """
        failures = list(self._plain_failures(subject))
        failed: list[tuple[_Template, Binding]] = []
        undecided: list[tuple[_Template, Binding]] = []
        solve = self._solve_for(subject)
        budget = _Budget()
        for component in self._components:
            search = _Search(component, solve, budget, len(component))
            try:
                search.run()
            except _Budget.Spent:
                undecided.append((component[-1], {}))
            binding, unmatched = search.best or search.way
            failed += [(template, binding) for template in unmatched]
        if not failures and not failed:
            failed = undecided[:1]
        failures += [self._failure(*each, subject, budget) for each in failed]
        return sorted(failures, key=lambda failure: failure["attribute"])

    def _failure(
        self, template: _Template, binding: Binding, subject: t.Mapping[str, str], budget: _Budget
    ) -> Reason:
        name = template.attribute
        actual = subject.get(name)
        rule = "present"
        if actual is not None:
            rule = template.failure(actual, binding, self._domains, budget)
        return _reason(name, rule, template.expected(binding), actual)

    def warnings(self, subject: t.Mapping[str, str]) -> list[str]:
        """What a match of ``subject`` had to assume."""
        name = attributes_module.API_MUSTS.get(subject.get("device_api", ""))
        if name and name not in self._stated:
            return [f"the pattern states no {name}: any is accepted"]
        return []

    def _plain_failures(self, subject: t.Mapping[str, str]) -> t.Iterator[Reason]:
        for name, text in self._plain:
            actual = subject.get(name)
            if attributes_module.comparable(name, actual or "") != text:
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
            search = _Search(component, solve, budget, 0)
            try:
                search.run()
            except _Budget.Spent:
                expected = f"variables that at most {MAX_BINDINGS} bindings decide"
                raise InvalidPattern(component[0].attribute, expected) from None
            if search.best is None:
                return None
            binding.update(search.best[0])
        return binding

    def _solve_for(self, subject: t.Mapping[str, str]) -> _Solve:
        values = {
            template.attribute: template.read(subject.get(template.attribute, ""))
            for template in itertools.chain.from_iterable(self._components)
        }

        def solve(template: _Template, binding: Binding, budget: _Budget) -> t.Iterator[Binding]:
            return template.solutions(values[template.attribute], binding, self._domains, budget)

        return solve


def _components(templates: list[_Template]) -> list[list[_Template]]:
    """The templates in groups that share no variable, so that each group can be matched by itself."""
    components: list[tuple[set[str], list[_Template]]] = []
    for template in templates:
        variables, members = set(template.variables), [template]
        for other in [each for each in components if not each[0].isdisjoint(variables)]:
            components.remove(other)
            variables |= other[0]
            members = other[1] + members
        components.append((variables, members))
    return [sorted(members, key=lambda each: each.order) for variables, members in components]


class _Search:
    """Looks for the first of the bindings that leave the fewest of ``templates`` unmatched, if at most ``allowed``.

    ``best`` is that binding and the unmatched, ``None`` where there is none. Raises ``_Budget.Spent``: then ``best``
    is what was found until then, and before anything was found ``way`` is how far the search came.
    """

    def __init__(
        self, templates: list[_Template], solve: _Solve, budget: _Budget, allowed: int
    ) -> None:
        self.best: tuple[Binding, list[_Template]] | None = None
        self.way: tuple[Binding, list[_Template]] = ({}, [])
        self._templates = templates
        self._solve = solve
        self._budget = budget
        self._allowed = allowed

    def run(self) -> None:
        self._walk(0)

    def _walk(self, index: int) -> None:
        binding, unmatched = self.way
        if index == len(self._templates):
            self.best = dict(binding), list(unmatched)
            self._allowed = len(unmatched) - 1
            return
        template = self._templates[index]
        for extra in self._solve(template, binding, self._budget):
            binding.update(extra)
            self._walk(index + 1)
            for name in extra:
                del binding[name]
            if len(unmatched) > self._allowed:
                return
            self._budget.spend(_STEPS_OF_A_TURN)
        if len(unmatched) < self._allowed:
            self._budget.spend(_STEPS_OF_A_TURN)
            unmatched.append(template)
            self._walk(index + 1)
            unmatched.pop()


def compile_patterns(
    patterns: t.Iterable[t.Mapping[str, str]],
    owner_version: str | None = None,
    subject_is_target: bool = True,
) -> list[Pattern | InvalidPattern]:
    """The sets of one ``compatible``, parsed, void ones as the error that says why; see ``Pattern``."""
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
    """The first of ``patterns`` that ``subject`` matches: ``{"set": its index, "bindings": {}, "warnings": []}``."""
    for index, pattern in enumerate(patterns):
        if isinstance(pattern, InvalidPattern):
            continue
        try:
            binding = pattern.binding(subject)
        except InvalidPattern:
            continue
        if binding is not None:
            return {"set": index, "bindings": binding, "warnings": pattern.warnings(subject)}
    return None


def mismatch(
    patterns: t.Sequence[Pattern | InvalidPattern], subject: t.Mapping[str, str]
) -> list[Reason]:
    """Why ``subject`` matches none of ``patterns``: ``{set, attribute, rule, expected, actual}``.

    Those of the set with the fewest come first.
    """
    failures = [_failures(pattern, subject) for pattern in patterns]
    reasons = [
        dict(set=index, **failure)
        for index, own in sorted(
            enumerate(failures), key=lambda each: (each[1][0]["rule"] == "void_set", len(each[1]))
        )
        for failure in own
    ]
    if not patterns:
        reasons = [dict(set=None, **_reason("compatible", "present", "at least one set", None))]
    return reasons


def match(
    patterns: t.Iterable[t.Mapping[str, str]],
    subject: t.Mapping[str, str],
    owner_version: str | None = None,
    subject_is_target: bool = True,
) -> dict[str, t.Any]:
    """The first of ``patterns`` that ``subject`` matches, or why it matches none, for patterns that are used once.

    ``{"set": its index or None, "bindings": {}, "reasons": [], "warnings": []}``; see ``mismatch``.
    """
    compiled = compile_patterns(patterns, owner_version, subject_is_target)
    matched = first_match(compiled, subject)
    if matched is not None:
        return dict(matched, reasons=[])
    return {"set": None, "bindings": {}, "reasons": mismatch(compiled, subject), "warnings": []}


def _failures(pattern: Pattern | InvalidPattern, subject: t.Mapping[str, str]) -> list[Reason]:
    if isinstance(pattern, Pattern):
        try:
            if not pattern.bounded:
                pattern.binding(subject)
            return pattern.failures(subject)
        except InvalidPattern as void:
            pattern = void
    return [_reason(pattern.attribute, "void_set", pattern.expected, None)]


def _reason(attribute: str, rule: str, expected: str, actual: str | None) -> Reason:
    return {"attribute": attribute, "rule": rule, "expected": expected, "actual": actual}
