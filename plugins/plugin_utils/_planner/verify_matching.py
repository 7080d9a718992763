# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""Descriptors and the template language, read and matched in the most naive way, for the verifier alone. Pure.

It shares no code with ``_descriptor`` and ``_compat``, a fault of which is not to hide what it makes of a plan; the names that
drivers compare are data, see ``verify_drivers.py``.
"""

from __future__ import annotations

import itertools
import re
import typing as t
from dataclasses import dataclass
from fractions import Fraction

from ansible_collections.vfio.migration.plugins.plugin_utils._planner.verify_drivers import (
    known_of,
)

Attributes = t.Mapping[str, str]
# Values of variables, and all those that each variable may have.
_Choice = dict[str, t.Any]
_Values = dict[str, tuple[int | str, ...]]


# --- descriptors -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class NaiveDescriptor:
    """A device's own attributes and its ``compatible``: as written, and read, ``None`` for a set that is void."""

    own: dict[str, str]
    written: list[dict[str, str]]
    sets: list[NaiveSet | None]
    derived: bool
    shown: t.Mapping[str, str]


_OLDER_NAMES = {
    "device_type": "device_api",
    "mdev_type": "type",
    "device_id": "pci_id",
    "interface_version": "software_version",
}
# What a descriptor must state by its device_api.
MUSTS = {"vfio-pci": "pci_id", "vfio-ccw": "subchannel_type"}
VERSION = "software_version"
_MOST_SETS, _MOST_NAMES = 64, 64
_VALUE = re.compile("[ -~]{0,1024}")
_VERSION = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})(\.[0-9]{1,18})?")


def read_naive_descriptor(raw: t.Any) -> NaiveDescriptor | None:
    """Return the descriptor in ``{self, compatible[, origin]}``; ``None`` where it breaks a rule of its form."""
    try:
        own = _read_attributes(raw["self"])
        written = [_read_attributes(each) for each in raw.get("compatible", ())]
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    shown = raw.get("configuration") or {}
    derived = raw.get("origin") == "derived"
    must = None if derived else MUSTS.get(own.get("device_api", ""))
    if (
        len(written) > _MOST_SETS
        or not all(own.get(each) for each in ("device_api", "type", must or "type"))
        or not _VERSION.fullmatch(own.get("software_version", ""))
        or not re.fullmatch("([0-9a-f]{8})?", own.get("pci_id", ""))
        or not isinstance(shown, t.Mapping)
        or not all(isinstance(each, str) for item in shown.items() for each in item)
    ):
        return None
    sets = [read_naive_set(each, derived) for each in written]
    version = {"software_version": own["software_version"]}
    return NaiveDescriptor(own, [version | each for each in written], sets, derived, shown)


def _read_attributes(raw: t.Any) -> dict[str, str]:
    """Return an attribute set with the names and spellings of today; raises ``ValueError`` where that is none."""
    attributes = {}
    for written, value in raw.items():
        name = _OLDER_NAMES.get(written, written)
        text = "" if value is None else str(value).strip()
        if name in attributes or isinstance(value, bool) or not _VALUE.fullmatch(text):
            raise ValueError(name)
        if len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1]:
            text = text[1:-1]
        attributes[name] = text if "{" in text or "}" in text else _spelled(name, text)
    if len(attributes) > _MOST_NAMES:
        raise ValueError(len(attributes))
    return attributes


def _spelled(name: str, text: str) -> str:
    """Return ``text``, a value of the attribute ``name`` or a part of one, in the spelling in which it is compared."""
    if name == "device_api":
        return text.replace("_", "-")
    return text.lower().replace("0x", "").replace(":", "") if name == "pci_id" else text


def version_serves(source: str, target: str) -> bool:
    """Return whether a target of one version may serve a source of another: equal major, and no smaller minor."""
    one, other = _VERSION.fullmatch(source), _VERSION.fullmatch(target)
    return bool(one and other and int(one[1]) == int(other[1]) and int(one[2]) <= int(other[2]))


# --- templates -------------------------------------------------------------------------------------------------------

_PIECE = re.compile(
    r"((?:[^{}]|\{\{|\}\})+)"
    r"|\{ *([A-Za-z_][A-Za-z0-9_]*) *"
    r"(?:: *int *:((?: *-?[0-9]{1,18} *,)* *-?[0-9]{1,18} *)|: *string *:((?: *\"[^\"]*\" *,)* *\"[^\"]*\" *))?\}"
)
_ORDER = re.compile(r"\{(?:(rising|falling):([0-9]{1,20}(?:,[0-9]{1,20})*)|(none):([0-9a-f,]*))\}")
_NUMBERS = re.compile("[0-9]+(,[0-9]+)*")
_SIGNS = re.compile("[-+*/%]")
_ARITHMETIC = re.compile(r"[-0-9+*/%() ]*")
_TOKEN = re.compile("[0-9]+|[^0-9 ]")
_INTEGER = re.compile("-?[0-9]+")
# What a derived descriptor has instead of a version, where its driver states none.
_UNSTATED = "0.0"
# More choices are not tried: then nothing matches.
_MOST_CHOICES = 20_000


class _Term(t.NamedTuple):
    """An attribute of a set: its ``parts`` are texts, ``(text, None)``, and variables, ``("", name)``."""

    name: str
    rule: str
    parts: list[tuple[str, str | None]]
    variables: frozenset[str]


class NaiveSet(t.NamedTuple):
    """A set: its terms, those first whose variables follow from the device's value, and the values of each variable."""

    terms: list[_Term]
    values: _Values
    names: frozenset[str]
    # Those in which a device that does not show them is not known to differ.
    may_be_unknown: frozenset[str] = frozenset()


def read_naive_set(attributes: Attributes, derived: bool) -> NaiveSet | None:
    """Return a set of ``compatible``, ``None`` where it breaks a rule of the template language and so is void."""
    orders = {name: _ORDER.fullmatch(value) for name, value in attributes.items() if derived}
    ordered = [
        _Term(name, found[1] or found[3], [(found[2] or found[4] or "", None)], frozenset())
        for name, found in orders.items()
        if found
    ]
    values: _Values = {}
    parts: dict[str, list[tuple[str, str | None]]] = {}
    for name, value in attributes.items():
        if orders.get(name):
            continue
        parts[name], at = [], 0
        while at < len(value):
            piece = _PIECE.match(value, at)
            if piece is None:
                return None
            text, variable, integers, strings = piece.groups()
            at = piece.end()
            parts[name].append(((text or "").replace("{{", "{").replace("}}", "}"), variable))
            declared: list[t.Any] = re.findall('"([^"]*)"', strings or "")
            declared += map(int, (integers or "").split(",") if integers else ())
            once = tuple(dict.fromkeys(declared))
            if variable and declared and values.setdefault(variable, once) != once:
                return None
    terms = [*(_term(name, found, values) for name, found in parts.items()), *ordered]
    stated = {term.name for term in terms if term.parts}
    if not stated >= {"device_api", "type"} or any(term.rule == "void" for term in terms):
        return None
    # A software_version that is left empty is not stated.
    terms = [each for each in terms if each.parts or each.name != "software_version"]
    rules = ("text", "rising", "falling", "none", "integer", "version", "arithmetic")
    terms.sort(key=lambda each: rules.index(each.rule))
    unknown = learnt_names(attributes) if derived else frozenset()
    return NaiveSet(terms, values, frozenset(attributes), unknown)


# What the target of an AP matrix must have none of, by what of the matrix it is about.
_ASKED_OF_TARGET = {"unfit_adapters": "adapters", "missing_control_domains": "control_domains"}


def has_ap_cards(own: Attributes) -> bool:
    """Return whether a derived descriptor is of an AP matrix whose driver can migrate."""
    return (own.get("driver"), own.get("migratable")) == ("vfio_ap", "yes")


def asked_of_target(own: Attributes) -> set[str]:
    """Return of what a target has to have none, though its own host need not show it."""
    return {each for each, kept in _ASKED_OF_TARGET.items() if has_ap_cards(own) and own.get(kept)}


def learnt_names(attributes: Attributes) -> frozenset[str]:
    """Return the names among ``attributes`` of what a driver's devices show on some hosts and not on others."""
    names = known_of(attributes).learnt | {VERSION}
    return frozenset(each for each in attributes if each in names)


def shown_attributes(own: Attributes) -> Attributes:
    """Return what a derived descriptor states: a version of 0.0 stands for one that its driver does not state."""
    unstated = own.get(VERSION) == _UNSTATED
    return {name: value for name, value in own.items() if not (unstated and name == VERSION)}


def unknown_names(own: Attributes, other: Attributes) -> list[str]:
    """Return what one of two devices does not show, or neither, although their driver compares it."""
    own, other = shown_attributes(own), shown_attributes(other)
    found = learnt_names({**other, **own})
    # Of these nothing is asked of the source.
    asked = asked_of_target(own)
    found |= asked
    one_sided = [
        each
        for each in found
        if (each not in other if each in asked else (each in own) != (each in other))
    ]
    every = known_of(own).always_compared
    return sorted([*one_sided, *(every - own.keys() - other.keys())])


def _term(name: str, parts: list[tuple[str, str | None]], values: _Values) -> _Term:
    """Return one attribute of a set, with the rule by which it is compared."""
    variables = frozenset(variable for _text, variable in parts if variable is not None)
    text = "".join(text for text, _variable in parts)
    rule = "text"
    if not variables <= values.keys():
        rule = "void"
    elif name == "software_version":
        rule = "version" if variables or not text or _VERSION.fullmatch(text) else "void"
    elif variables and all(isinstance(values[each][0], int) for each in variables):
        if len(parts) == 1:
            rule = "integer"
        elif _ARITHMETIC.fullmatch(text) and _SIGNS.search(text):
            rule = "arithmetic"
    return _Term(name, rule, parts, variables)


def set_matches(
    pattern: NaiveSet,
    subject: Attributes,
    complete: bool,
    owner_version: str | None,
    owner_is_source: bool,
) -> bool:
    """Return whether one choice of values makes every attribute of a set fit; versions do without an ``owner_version``.

    Attribute after attribute, one value after the other is tried for the variables that have none yet. All choices that
    fit so far are kept, without the values that no later attribute needs.
    """
    terms = pattern.terms
    if owner_version is None:
        terms = [each for each in terms if each.name != VERSION]
    elif not any(term.rule == "version" for term in terms):
        own = _Term("software_version", "version", [(owner_version, None)], frozenset())
        terms = [own, *terms]
    choices: list[_Choice] = [{}]
    for number, term in enumerate(terms, 1):
        later = {variable for each in terms[number:] for variable in each.variables}
        known = complete and term.name not in pattern.may_be_unknown
        actual = subject.get(term.name, "" if known else None)
        if VERSION in pattern.may_be_unknown and term.name == VERSION:
            actual = None if _UNSTATED in (actual, term.parts[0][0]) else actual
        found: dict[tuple[t.Any, ...], _Choice] = {}
        for before in choices:
            extended = _choices_in_text if term.rule == "text" else _choices
            for choice in extended(term, actual, before, pattern.values, owner_is_source):
                needed = {name: choice[name] for name in sorted(choice.keys() & later)}
                found[tuple(needed.items())] = needed
            if len(found) > _MOST_CHOICES:
                return False
        choices = list(found.values())
    return bool(choices)


def _choices_in_text(
    term: _Term, actual: str | None, before: _Choice, values: _Values, _owner_is_source: bool
) -> list[_Choice]:
    """Return each choice that extends ``before`` and makes the text ``actual``; any does where that is not known."""
    if actual is None:
        return [before]
    actual = _spelled(term.name, actual)
    found = [(0, before)]
    for text, variable in term.parts:
        reached, found = found, []
        for at, choice in reached:
            if variable is None:
                options: list[tuple[int | str, _Choice]] = [(text, choice)]
            elif variable in choice:
                options = [(choice[variable], choice)]
            else:
                options = [(each, {**choice, variable: each}) for each in values[variable]]
            for value, extended in options:
                piece = _spelled(term.name, str(value))
                if actual.startswith(piece, at):
                    found.append((at + len(piece), extended))
        if len(found) > _MOST_CHOICES:
            return []
    return [choice for at, choice in found if at == len(actual)]


def _choices(
    term: _Term, actual: str | None, before: _Choice, values: _Values, owner_is_source: bool
) -> t.Iterator[_Choice]:
    """Yield each choice that extends ``before`` and fits ``actual`` as a version, an integer or a result."""
    unbound = sorted(term.variables - before.keys())
    for chosen in itertools.islice(
        itertools.product(*(values[name] for name in unbound)), _MOST_CHOICES
    ):
        choice = {**before, **dict(zip(unbound, chosen, strict=True))}
        pieces = [text if name is None else choice[name] for text, name in term.parts]
        if term.rule == "version":
            version = "".join(map(str, pieces))
            pair = (version, actual or "") if owner_is_source else (actual or "", version)
            fits = actual is None or version_serves(*pair)
        elif term.rule == "none":
            fits = not (actual if owner_is_source else pieces[0])
        elif term.rule in ("rising", "falling"):
            own = str(pieces[0])
            fits = actual is None or _is_in_order(term.rule, own, actual, owner_is_source)
        else:
            result = pieces[0] if term.rule == "integer" else _result(pieces)
            fits = isinstance(result, int)
            if actual is not None:
                fits = fits and bool(_INTEGER.fullmatch(actual)) and int(actual) == result
        if fits:
            yield choice


def _is_in_order(rule: str, own: str, actual: str, owner_is_source: bool) -> bool:
    """Return whether each number goes from the source to the target as its order allows."""
    if not _NUMBERS.fullmatch(actual):
        return False
    source, target = (own, actual) if owner_is_source else (actual, own)
    pairs = [*itertools.zip_longest(source.split(","), target.split(","))]
    if any(None in pair for pair in pairs):
        return False
    changes = [int(after) - int(before) for before, after in pairs]
    return min(changes) >= 0 if rule == "rising" else max(changes) <= 0


def _result(pieces: t.Iterable[int | str]) -> int | None:
    """Return the value of arithmetic; ``None`` for no integer, a division by zero, or what is no arithmetic."""
    # Numbers and operators, a list of them for each parenthesis that is still open.
    lists: list[list[Fraction | str]] = [[]]
    tokens = [
        token
        for piece in pieces
        for token in ([piece] if isinstance(piece, int) else _TOKEN.findall(piece))
    ]
    try:
        for token in tokens:
            if token == "(":
                lists.append([])
            elif token == ")":
                inner = _flat_result(lists.pop())
                lists[-1].append(inner)
            elif isinstance(token, int) or (token.isdigit() and len(token) <= 18):
                lists[-1].append(Fraction(token))
            else:
                lists[-1].append(token)
        (outer,) = lists
        result = _flat_result(outer)
    except (ValueError, IndexError, ZeroDivisionError):
        return None
    return int(result) if result.denominator == 1 else None


def _flat_result(items: t.Iterable[Fraction | str]) -> Fraction:
    """Return the value of numbers and operators, products before sums; raises ``ValueError`` where that is nothing."""
    total, product, sign = Fraction(0), Fraction(0), 1
    operator, negative, number_next = "+", False, True
    for item in items:
        if not number_next:
            if item not in tuple("+-*/%"):
                raise ValueError(item)
            operator, negative, number_next = str(item), False, True
        elif item == "-":
            negative = not negative
        elif not isinstance(item, Fraction):
            raise ValueError(item)
        else:
            number = -item if negative else item
            number_next = False
            if operator in "+-":
                total, product, sign = total + sign * product, number, 1 if operator == "+" else -1
            elif operator == "*":
                product *= number
            else:
                product = product / number if operator == "/" else product % number
    if number_next:
        raise ValueError
    return total + sign * product
