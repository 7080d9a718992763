# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Templates: the values with variables that the patterns of ``compatible`` have.

* ``{val1:int:1,2,4,8}`` and ``{pv:string:"none","none+ppgtt"}`` declare a variable and the values it may have.
* ``{val1}`` is the same variable again, anywhere in the same set.
* ``{val1}/2`` is arithmetic. The whole value is integer variables, integers, ``+ - * / % ( )`` and blanks, with at
  least one variable and one operator. It is exact: a result that is no integer matches nothing.
* ``V5_{val1}`` is text with a variable inside; ``{{`` and ``}}`` are literal braces.

Values come from other hosts. To read one takes time in proportion to its length, and nothing recurses. Pure.
"""

from __future__ import annotations

import math
import re
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    MAX_VALUE,
    comparable,
    parse_version,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.errors import (
    VfioMigrationError,
)

Value = t.Union[int, str]
# What a device's value is compared with: an integer, a text, or the major and minor of a version.
Wanted = t.Union[int, str, t.Tuple[int, int]]
Binding = t.Dict[str, Value]
# The values that each variable may have, in the order of their declaration.
Domains = t.Dict[str, t.Tuple[Value, ...]]
# The choices of values under which a template wants each value of a device, and under ``None`` those for which none will do.
Table = t.Dict[t.Optional[Wanted], t.List[int]]
# A text within a value, its braces doubled, or else a variable, after the column (from 1) where it starts.
Part = t.Tuple[int, str, t.Optional[str]]
# A fraction: numerator and denominator. It is not reduced, as that would take longer than all the rest.
_Number = t.Tuple[int, int]

VERSION = "software_version"
# No value of a device has more digits.
_TOO_LARGE = 10**MAX_VALUE
_INTEGER = re.compile(r"-?[0-9]+\Z")
_PIECE = re.compile(
    r"((?:[^{}]+|\{\{|\}\})+)|\{ *([A-Za-z_][A-Za-z0-9_]*) *(\}|: *([A-Za-z_]*) *(?=:))?"
)
_INTEGER_ITEM = re.compile(r" *(-?[0-9]{1,18}) *(?=[,}])")
_STRING_ITEM = re.compile(r' *"([^"]*)" *(?=[,}])')
_ITEMS: dict[str, tuple[re.Pattern[str], t.Callable[[str], Value], str]] = {
    "int": (_INTEGER_ITEM, int, "an integer of at most 18 digits, then ',' or '}'"),
    "string": (_STRING_ITEM, str, "a string in double quotes, then ',' or '}'"),
}

_ARITHMETIC = re.compile(r"[0-9() ]*[-+*/%][-0-9+*/%() ]*\Z")
_TOKEN = re.compile(r"\{ *([A-Za-z0-9_]+)[^}]*\}|[0-9]+|[-+*/%()]")
# What a token begins with where an operand is due, and where one has just been.
_OPERAND, _OPERATOR = "{0123456789-(", "+-*/%)"
# What is expected there, and at the end.
_EXPECTED = {
    _OPERAND: (
        "an integer, a variable, '-' or '('",
        "an integer or a variable after the last operator",
    ),
    _OPERATOR: ("an operator or ')'", "a ')' for every '('"),
}
_SIGN = "minus sign"
# What stands before an operand: what it puts before it, and the operator that it is.
_PREFIXES: dict[str, tuple[list[Value], str]] = {"-": ([0], _SIGN), "(": ([], "(")}
_PRECEDENCE = {"(": 0, ")": 1, "+": 1, "-": 1, "*": 2, "/": 2, "%": 2, _SIGN: 3}
# What is done with two fractions. A result over 0 is a division by zero.
_OPERATIONS: dict[Value, t.Callable[[_Number, _Number], _Number]] = {
    "+": lambda a, b: (a[0] * b[1] + b[0] * a[1], a[1] * b[1]),
    "-": lambda a, b: (a[0] * b[1] - b[0] * a[1], a[1] * b[1]),
    "*": lambda a, b: (a[0] * b[0], a[1] * b[1]),
    "/": lambda a, b: (a[0] * b[1], a[1] * b[0]),
    "%": lambda a, b: (a[0] * b[1] % (b[0] * a[1]), a[1] * b[1]) if b[0] else (0, 0),
}
_OPERATIONS[_SIGN] = _OPERATIONS["-"]


class InvalidPattern(VfioMigrationError, ValueError):
    """A set breaks a rule of the language, so it is void.

    ``attribute`` and ``column`` (from 1) say where, ``expected`` what would be right there.
    """

    def __init__(self, attribute: str, expected: str, column: int | None = None) -> None:
        place = "" if column is None else f" at column {column}"
        super().__init__(f"{attribute}{place}: expected {expected}")
        self.attribute = attribute
        self.expected = f"{expected}{place}"


class Template(t.NamedTuple):
    """A value with variables.

    ``size`` is the number of its variables, texts and numbers, which is the work of writing it out once. ``form`` is the
    value as a format string with a place for each variable, and ``prefix`` what every text that it gives begins with.
    ``program`` is what is compared as an integer, an expression or a lone variable, in reverse Polish notation.
    """

    attribute: str
    value: str
    variables: list[str]
    size: int
    form: str
    prefix: str
    program: list[Value]
    subject_is_target: bool

    def wanted(self, *values: Value) -> Wanted | None:
        """Return what a device's value must be where ``variables`` have these values; ``None`` where nothing will do."""
        if len(self.program) == 1:
            return values[0]
        if self.program:
            above, below = self._result(values)
            if not below or above % below:
                return None
            integer = above // below
            return integer if -_TOO_LARGE < integer < _TOO_LARGE else None
        text = self.form.format(*[comparable(self.attribute, str(value)) for value in values])
        if self.attribute == VERSION:
            return parse_version(text)
        return text if len(text) <= MAX_VALUE else None

    def _result(self, values: t.Iterable[Value]) -> _Number:
        """Return the exact result of the program, a number over 0 for a division by zero."""
        numbers: dict[Value, t.Any] = dict(zip(self.variables, values))
        stack: list[_Number] = []
        for item in self.program:
            operation = _OPERATIONS.get(item)
            if operation is None:
                stack.append((numbers.get(item, item), 1))
                continue
            right = stack.pop()
            stack[-1] = operation(stack[-1], right)
            if not stack[-1][1]:
                break
        return stack[-1]

    def fitting(self, actual: str, table: Table) -> set[int]:
        """Return the choices in ``table`` that a device's value fits."""
        wanted: list[Wanted | None] = [comparable(self.attribute, actual)]
        if self.program:
            integer = read_integer(actual)
            wanted = [] if integer is None else [integer]
        elif self.attribute == VERSION:
            major, minor = parse_version(actual) or (-1, 0)
            same = [each for each in table if isinstance(each, tuple) and each[0] == major]
            sign = 1 if self.subject_is_target else -1
            wanted = [each for each in same if sign * each[1] <= sign * minor]
        return {number for each in wanted for number in table.get(each, ())}

    def failure(self, actual: str | None, wanted: t.Iterable[Wanted | None]) -> str:
        """Return the rule that a device's value breaks which fits none of the ``wanted``."""
        if actual is None:
            return "present"
        if self.attribute == VERSION:
            major, _minor = parse_version(actual) or (-1, 0)
            same = any(isinstance(each, tuple) and each[0] == major for each in wanted)
            return "version_minor" if same else "version_major"
        return "expression" if len(self.program) > 1 else "one_of"

    def expected(self, binding: Binding) -> str:
        """Return in words what a device's value must be under ``binding``, as far as that is bound."""
        if any(name not in binding for name in self.variables):
            return self.value
        values = [binding[name] for name in self.variables]
        if not self.program:
            text = self.form.format(*[comparable(self.attribute, str(value)) for value in values])
            if len(text) <= MAX_VALUE:
                return text
            return f"no value: {self.value} has more than {MAX_VALUE} characters"
        above, below = self._result(values)
        if not below:
            return f"no value: {self.value} divides by zero"
        divisor = math.gcd(above, below) * (1 if below > 0 else -1)
        above, below = above // divisor, below // divisor
        if max(abs(above), below) >= _TOO_LARGE:
            return f"no value: {self.value} has more than {MAX_VALUE} digits"
        return str(above) if below == 1 else f"no value: {self.value} is {above}/{below}"


def read_integer(actual: str) -> int | None:
    """Return a device's value as an integer, ``None`` where it is none."""
    return int(actual) if _INTEGER.match(actual) else None


def read_parts(attribute: str, value: str, domains: Domains) -> list[Part]:
    """Return the parts of an attribute's value, and add what it declares to ``domains``; raise ``InvalidPattern``."""
    parts: list[Part] = []
    at, end = 0, len(value)
    while at < end:
        piece = _PIECE.match(value, at)
        if piece is None and value[at] == "}":
            raise InvalidPattern(attribute, "'}}' for a literal brace", at + 1)
        if piece is None:
            expected = "the name of a variable, or '{{' for a literal brace"
            raise InvalidPattern(attribute, expected, at + 2)
        parts.append((at + 1, piece[1] or "", piece[2]))
        at = piece.end()
        if piece[2] and piece[3] != "}":
            at = _declare(attribute, value, piece, domains)
    return parts


def _declare(attribute: str, value: str, piece: re.Match[str], domains: Domains) -> int:
    """Add the declaration that begins with ``piece`` to ``domains``, and return where it ends; raise ``InvalidPattern``."""
    at = piece.end()
    if not piece[3]:
        raise InvalidPattern(attribute, "'}', or ':int:' or ':string:' and values", at + 1)
    if piece[4] not in _ITEMS:
        raise InvalidPattern(attribute, "the type int or string", piece.start(3) + 2)
    item, convert, expected = _ITEMS[piece[4]]
    values: dict[Value, None] = {}
    while value[at] != "}":
        found = item.match(value, at + 1)
        if found is None:
            raise InvalidPattern(attribute, expected, at + 2)
        values[convert(found[1])] = None
        at = found.end()
    if domains.setdefault(piece[2], tuple(values)) != tuple(values):
        same = f"the same values for '{piece[2]}' wherever it is declared"
        raise InvalidPattern(attribute, same, piece.start(3) + 1)
    return at + 1


def read_template(
    attribute: str, value: str, parts: list[Part], domains: Domains, subject_is_target: bool
) -> Template:
    """Return the template that the ``parts`` of an attribute's ``value`` are; raise ``InvalidPattern``."""
    places: dict[str, str] = {}
    for column, _text, name in parts:
        if name and name not in domains:
            declaration = f"a declaration of '{name}' somewhere in the set"
            raise InvalidPattern(attribute, declaration, column)
        if name:
            places.setdefault(name, f"{{{len(places)}}}")
    form = "".join(
        [places[name] if name else comparable(attribute, text) for _column, text, name in parts]
    )
    size, prefix = len(parts), re.split("[{}]", form, maxsplit=1)[0]
    program: list[Value] = []
    if attribute == VERSION:
        # Every result is read as a version, and kept as one.
        size, prefix = 8 * size, ""
    elif all(isinstance(domains[name][0], int) for name in places):
        if size == 1:
            program = [*places]
        elif _ARITHMETIC.match("".join([text for _column, text, _name in parts])):
            prefix, program = "", _postfix(attribute, value)
            size = sum([item not in _OPERATIONS for item in program])
    return Template(attribute, value, [*places], size, form, prefix, program, subject_is_target)


def _postfix(attribute: str, value: str) -> list[Value]:
    """Return an expression in reverse Polish notation, by the shunting yard (Dijkstra 1961); raise ``InvalidPattern``."""
    output: list[Value] = []
    operators: list[str] = []
    due, column = _OPERAND, 1
    for token in _TOKEN.finditer(value):
        text, column = token[0], token.start() + 1
        if text.isdigit() and len(text) > 18:
            raise InvalidPattern(attribute, "an integer of at most 18 digits", column)
        if text[0] not in due:
            raise InvalidPattern(attribute, _EXPECTED[due][0], column)
        if due == _OPERAND and text in _PREFIXES:
            zero, sign = _PREFIXES[text]
            output += zero
            operators.append(sign)
        elif due == _OPERAND:
            output.append(token[1] or int(text))
            due = _OPERATOR
        else:
            while operators and _PRECEDENCE[operators[-1]] >= _PRECEDENCE[text]:
                output.append(operators.pop())
            if text != ")":
                operators.append(text)
                due = _OPERAND
            elif operators:
                operators.pop()
            else:
                raise InvalidPattern(attribute, "no ')' without its '('", column)
    if due == _OPERAND or "(" in operators:
        raise InvalidPattern(attribute, _EXPECTED[due][1], column)
    return [*output, *reversed(operators)]
