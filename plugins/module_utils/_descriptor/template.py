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

Value = t.Union[int, str]
Binding = t.Dict[str, Value]
# The values that each variable may have, in the order of their declaration.
Domains = t.Dict[str, t.Tuple[Value, ...]]
# A fraction: numerator and denominator. It is not reduced, as that would take longer than all the rest.
_Number = t.Tuple[int, int]
_Operation = t.Callable[[_Number, _Number], _Number]

# A literal text within a value, or else a variable, after the column (from 1) where it starts.
Part = t.Tuple[int, str, t.Optional[str]]

# How a device's value is compared with the wanted one.
TEXT, INTEGER, VERSION = "text", "integer", "version"

# No value of a device has more digits.
_TOO_LARGE = 10**MAX_VALUE
_PIECE = re.compile(r"((?:[^{}]+|\{\{|\}\})+)|\{ *([A-Za-z_][A-Za-z0-9_]*) *")
_TYPE = re.compile(r": *([A-Za-z_]*) *:")
_INTEGER_ITEM = re.compile(r" *(-?[0-9]{1,18}) *(?=[,}])")
_STRING_ITEM = re.compile(r' *"([^"]*)" *(?=[,}])')
_ITEMS: dict[str, tuple[re.Pattern[str], t.Callable[[str], Value], str]] = {
    "int": (_INTEGER_ITEM, int, "an integer of at most 18 digits, then ',' or '}'"),
    "string": (_STRING_ITEM, str, "a string in double quotes, then ',' or '}'"),
}
_ARITHMETIC = re.compile(r"[-0-9+*/%() ]*\Z")
_TOKEN = re.compile(r" *([0-9]+|[-+*/%()])")
_INTEGER = re.compile(r"-?[0-9]+\Z")


class InvalidPattern(ValueError):
    """A set breaks a rule of the language.

    ``attribute`` and ``column`` (from 1) say where, ``expected`` what would be right there.
    """

    def __init__(self, attribute: str, expected: str, column: int | None = None) -> None:
        place = "" if column is None else f" at column {column}"
        super().__init__(f"{attribute}{place}: expected {expected}")
        self.attribute = attribute
        self.expected = expected if column is None else f"{expected}{place}"


def read_integer(actual: str) -> int | None:
    """Return a device's value as an integer, ``None`` where it is none."""
    return int(actual) if _INTEGER.match(actual) else None


# --- reading ---------------------------------------------------------------------------------------------------------


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
        column, at = at + 1, piece.end()
        text, variable = piece.groups("")
        if text:
            parts.append((column, text.replace("{{", "{").replace("}}", "}"), None))
            continue
        parts.append((column, "", variable))
        if value[at : at + 1] == "}":
            at += 1
        else:
            at = _declare(attribute, value, at, variable, domains)
    return parts


def _declare(attribute: str, value: str, start: int, variable: str, domains: Domains) -> int:
    """Add the declaration whose first colon is at ``start`` to ``domains``, and return where it ends."""
    stated = _TYPE.match(value, start)
    if stated is None:
        raise InvalidPattern(attribute, "'}', or ':int:' or ':string:' and values", start + 1)
    if stated.group(1) not in _ITEMS:
        raise InvalidPattern(attribute, "the type int or string", start + 2)
    item, convert, expected = _ITEMS[stated.group(1)]
    values: dict[Value, None] = {}
    at = stated.end() - 1
    while value[at] != "}":
        found = item.match(value, at + 1)
        if found is None:
            raise InvalidPattern(attribute, expected, at + 2)
        values[convert(found.group(1))] = None
        at = found.end()
    if domains.setdefault(variable, tuple(values)) != tuple(values):
        same = f"the same values for '{variable}' wherever it is declared"
        raise InvalidPattern(attribute, same, start + 1)
    return at + 1


def read_template(
    attribute: str, value: str, parts: list[Part], domains: Domains, subject_is_target: bool
) -> Template:
    """Return the template that the ``parts`` of an attribute's ``value`` are; raise ``InvalidPattern``."""
    for column, _text, name in parts:
        if name and name not in domains:
            declaration = f"a declaration of '{name}' somewhere in the set"
            raise InvalidPattern(attribute, declaration, column)
    if attribute == "software_version":
        return Version(attribute, value, parts, subject_is_target)
    if all(isinstance(domains[name][0], int) for _column, _text, name in parts if name):
        if len(parts) == 1:
            return Integer(attribute, value, parts)
        text = "".join([text for _column, text, _name in parts])
        if _ARITHMETIC.match(text) and any(sign in text for sign in "+-*/%"):
            return Arithmetic(attribute, value, parts)
    return Template(attribute, value, parts)


# --- templates -------------------------------------------------------------------------------------------------------


class Template:
    """Text with variables inside, which is compared character by character.

    ``size`` is the number of its variables, texts and numbers, which is the work of writing it out once.
    """

    rule = "one_of"
    comparison = TEXT
    # The templates of a set are looked at in this order, and those of one order in that of their attributes.
    order = 0

    def __init__(self, attribute: str, value: str, parts: list[Part]) -> None:
        self.attribute = attribute
        self.variables = [*dict.fromkeys([name for _column, _text, name in parts if name])]
        self.size = len(parts)
        self.value = value
        self._parts = parts
        self._spelt = comparable(attribute, "_:") != "_:"
        self._format = self._with_places(spelt=True)

    def _with_places(self, spelt: bool) -> str:
        """Return the text as a format string with a place for each variable."""
        places = {name: f"{{{place}}}" for place, name in enumerate(self.variables)}
        return "".join(
            [
                places[name]
                if name
                else (comparable(self.attribute, text) if spelt else text)
                .replace("{", "{{")
                .replace("}", "}}")
                for _column, text, name in self._parts
            ]
        )

    def wanted(self, values: t.Sequence[Value]) -> Value | None:
        """Return what a device's value must be where ``variables`` have these values; ``None`` where nothing will do."""
        if self._spelt:
            values = [comparable(self.attribute, str(value)) for value in values]
        text = self._format.format(*values)
        return text if len(text) <= MAX_VALUE else None

    def may_fit(self, subject: t.Mapping[str, str]) -> bool:
        """Return whether a device's value begins as all fitting ones do, which is quickly told."""
        actual = comparable(self.attribute, subject.get(self.attribute, ""))
        return actual.startswith(comparable(self.attribute, self._parts[0][1]))

    def fitted(self, actual: str, wanted: t.Collection[Value | None]) -> t.Iterable[Value | None]:
        """Return which of the ``wanted`` a device's value fits."""
        return (comparable(self.attribute, actual),)

    def expected(self, binding: Binding) -> str:
        """Return in words what a device's value must be under ``binding``, as far as that is bound."""
        if any(name not in binding for name in self.variables):
            return self.value
        return self._shown([binding[name] for name in self.variables])

    def failure(self, actual: str, wanted: t.Iterable[Value | None]) -> str:
        """Return the rule that a device's value breaks which fits none of the ``wanted``."""
        return self.rule

    def _shown(self, values: t.Sequence[Value]) -> str:
        text = self._with_places(spelt=False).format(*values)
        if len(text) <= MAX_VALUE:
            return text
        return f"no value: {self.value} has more than {MAX_VALUE} characters"


class Version(Template):
    """A ``software_version`` with variables: each result is compared under the version rule."""

    comparison = VERSION
    order = 1

    def __init__(
        self, attribute: str, value: str, parts: list[Part], subject_is_target: bool
    ) -> None:
        super().__init__(attribute, value, parts)
        self._subject_is_target = subject_is_target
        # Every result is read as a version, and kept as one.
        self.size *= 8
        self._by_major: dict[int, list[tuple[int, Value | None]]] = {}

    def may_fit(self, subject: t.Mapping[str, str]) -> bool:
        return True

    def fitted(self, actual: str, wanted: t.Collection[Value | None]) -> t.Iterable[Value | None]:
        if not self._by_major:
            for each in wanted:
                major, minor = parse_version(str(each)) or (-1, 0)
                self._by_major.setdefault(major, []).append((minor, each))
        major, minor = parse_version(actual) or (-2, 0)
        same = self._by_major.get(major, ())
        if self._subject_is_target:
            return [each for least, each in same if least <= minor]
        return [each for most, each in same if minor <= most]

    def failure(self, actual: str, wanted: t.Iterable[Value | None]) -> str:
        """Return ``version_minor`` where one of the ``wanted`` has the major right."""
        parsed = parse_version(actual)
        majors = self._by_major
        if parsed is None or (majors and parsed[0] not in majors):
            return "version_major"
        minor = any((parse_version(str(each)) or (-1, 0))[0] == parsed[0] for each in wanted)
        return "version_minor" if minor else "version_major"


class Integer(Template):
    """One integer variable and nothing else, which is compared as an integer."""

    comparison = INTEGER

    def wanted(self, values: t.Sequence[Value]) -> Value | None:
        return values[0]

    def may_fit(self, subject: t.Mapping[str, str]) -> bool:
        return True

    def fitted(self, actual: str, wanted: t.Collection[Value | None]) -> t.Iterable[Value | None]:
        integer = read_integer(actual)
        return () if integer is None else (integer,)


class Arithmetic(Integer):
    """An expression, kept in reverse Polish notation; only a result that is an integer fits anything."""

    rule = "expression"
    order = 2

    def __init__(self, attribute: str, value: str, parts: list[Part]) -> None:
        super().__init__(attribute, value, parts)
        self._postfix = _postfix(attribute, parts)
        self.size = sum([not callable(item) for item in self._postfix])

    def wanted(self, values: t.Sequence[Value]) -> Value | None:
        result = self._result(values)
        if result is None or result[0] % result[1]:
            return None
        integer = result[0] // result[1]
        return integer if -_TOO_LARGE < integer < _TOO_LARGE else None

    def _shown(self, values: t.Sequence[Value]) -> str:
        result = self._result(values)
        if result is None:
            return f"no value: {self.value} divides by zero"
        divisor = math.gcd(*result) if result[1] > 0 else -math.gcd(*result)
        numerator, denominator = result[0] // divisor, result[1] // divisor
        if max(abs(numerator), denominator) >= _TOO_LARGE:
            return f"no value: {self.value} has more than {MAX_VALUE} digits"
        if denominator > 1:
            return f"no value: {self.value} is {numerator}/{denominator}"
        return str(numerator)

    def _result(self, values: t.Sequence[Value]) -> _Number | None:
        """Return the exact result, ``None`` for a division by zero."""
        numbers: dict[str, t.Any] = dict(zip(self.variables, values))
        stack: list[_Number] = []
        for item in self._postfix:
            if isinstance(item, tuple):
                stack.append(item)
            elif isinstance(item, str):
                stack.append((numbers[item], 1))
            else:
                right = stack.pop()
                stack[-1] = item(stack[-1], right)
                if not stack[-1][1]:
                    return None
        return stack[-1]


# --- arithmetic ------------------------------------------------------------------------------------------------------


_MINUS_SIGN = "minus sign"
# The precedence of each operator, and what it does with two fractions. A result over 0 is a division by zero.
_OPERATORS: dict[str, tuple[int, _Operation]] = {
    "+": (1, lambda a, b: (a[0] * b[1] + b[0] * a[1], a[1] * b[1])),
    "-": (1, lambda a, b: (a[0] * b[1] - b[0] * a[1], a[1] * b[1])),
    "*": (2, lambda a, b: (a[0] * b[0], a[1] * b[1])),
    "/": (2, lambda a, b: (a[0] * b[1], a[1] * b[0])),
    "%": (2, lambda a, b: (a[0] * b[1] % (b[0] * a[1]), a[1] * b[1]) if b[0] else (0, 0)),
}
_OPERATORS[_MINUS_SIGN] = (3, _OPERATORS["-"][1])
# An operand of an expression in reverse Polish notation, a variable or a number, or an operation.
_Item = t.Union[str, _Number, _Operation]


def _postfix(attribute: str, parts: list[Part]) -> list[_Item]:
    """Return an expression in reverse Polish notation, by the shunting yard (Dijkstra 1961); raise ``InvalidPattern``."""
    output: list[_Item] = []
    operators: list[str] = []
    due, column = True, 1
    for token, column in _tokens(attribute, parts):
        if due:
            due = not _operand(attribute, token, column, output, operators)
        elif token == ")":
            _unwind(0, output, operators)
            if not operators:
                raise InvalidPattern(attribute, "no ')' without its '('", column)
            operators.pop()
        elif token in _OPERATORS:
            _unwind(_OPERATORS[str(token)][0], output, operators)
            operators.append(str(token))
            due = True
        else:
            raise InvalidPattern(attribute, "an operator or ')'", column)
    if due:
        raise InvalidPattern(attribute, "an integer or a variable after the last operator", column)
    _unwind(0, output, operators)
    if operators:
        raise InvalidPattern(attribute, "a ')' for every '('", column)
    return output


def _operand(
    attribute: str, token: str | _Number, column: int, output: list[_Item], operators: list[str]
) -> bool:
    """Take a token where an operand is due, and return whether it is the whole of one."""
    if token == "-":
        output.append((0, 1))
        operators.append(_MINUS_SIGN)
    elif token == "(":
        operators.append("(")
    elif token == ")" or token in _OPERATORS:
        raise InvalidPattern(attribute, "an integer, a variable, '-' or '('", column)
    else:
        output.append(token)
        return True
    return False


def _unwind(precedence: int, output: list[_Item], operators: list[str]) -> None:
    while operators and operators[-1] != "(" and _OPERATORS[operators[-1]][0] >= precedence:
        output.append(_OPERATORS[operators.pop()][1])


def _tokens(attribute: str, parts: list[Part]) -> t.Iterator[tuple[str | _Number, int]]:
    """Yield the variables, numbers and operators of an expression, each with its column."""
    for start, text, name in parts:
        if name:
            yield name, start
        for match in _TOKEN.finditer(text):
            token, column = match.group(1), start + match.start(1)
            if not token.isdigit():
                yield token, column
            elif len(token) > 18:
                raise InvalidPattern(attribute, "an integer of at most 18 digits", column)
            else:
                yield (int(token), 1), column
