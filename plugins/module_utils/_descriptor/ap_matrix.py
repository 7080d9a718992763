# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""What vfio_ap shows of a guest's crypto queues, its matrix, and what a new matrix would show. Pure.

Files: Documentation/arch/s390/vfio-ap.rst. ``matrix`` may be cut off at a page, the newer ``ap_config`` is complete. What
decides on a migration, and that the driver's ``features`` show ``migratable``: patches "vfio-ap: live guest migration",
version 4, which Linux has not taken yet.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.attributes import (
    MAX_VALUE,
    DescriptorError,
    shown,
)
from ansible_collections.vfio.migration.plugins.module_utils._descriptor.kernel_files import (
    Files,
    Read,
    is_before,
)

_FEATURES = "../features"
_CARDS = "../../../../bus/ap/devices"
_HOST_MASK = "../../../../bus/ap/ap_control_domain_mask"
# From the directory of a mediated device; ``LINKS`` are followed.
FILES = (_FEATURES, f"{_CARDS}/card*/ap_functions", f"{_CARDS}/card*/hwtype", _HOST_MASK)
LINKS = (f"{_CARDS}/card*",)
_WITH_AP_CONFIG = (6, 10)
# What a matrix states that all that is written to a new one settles.
SETTLED = frozenset(("adapters", "domains", "control_domains", "ap_config"))
# What each number of these is written to, in the driver's order.
_ASSIGNED = {
    "adapters": "assign_adapter",
    "domains": "assign_domain",
    "control_domains": "assign_control_domain",
}
# What is compared of each card, in this order, in a matrix and in the ``cards`` of a parent.
_OF_CARDS = ("ap_functions", "ap_class", "hwtype")
_ABSENT = "absent"
_SECURE = "secure"

_MASKS = re.compile(r"0x([0-9a-f]{64}),0x([0-9a-f]{64}),0x([0-9a-f]{64})\Z")
_ONE_MASK = re.compile(r"0x([0-9a-f]{64})\Z")
_SHORT_MASK = re.compile(r"(?:0x)?([0-9a-f]{1,64})\Z")
_FUNCTIONS = re.compile(r"0x[0-9A-Fa-f]{8}\Z")
_HWTYPE = re.compile(r"[0-9]{1,3}\Z")
_CARD = re.compile(r"card([0-9a-f]{2})\Z")
_QUEUE = re.compile(r"([0-9a-f]{2})?\.([0-9a-f]{4})?\Z")


def matrix(files: Files) -> t.Iterator[tuple[str, str]]:
    """Yield adapters, domains and control domains of a guest's matrix, hexadecimal.

    Where the driver can migrate, it says so, and what the adapters' cards are follows, in the order of the adapters and as
    far as all of them show it: the upper bits of ``ap_functions`` (facilities, mode, APXA, filtering) have to be equal, the
    class may only become more, and the generation may only rise. So do the adapters and control domains of the matrix that
    the host has not, or not for its guests: ``demanded``.
    """
    adapters = sorted(read_adapters(files) or ())
    yield "adapters", _hexadecimal(adapters)
    yield "domains", _hexadecimal(read_domains(files) or ())
    control = read_control_domains(files)
    if control is not None:
        yield "control_domains", _hexadecimal(control)
    features = _features(files)
    if features is None:
        return
    yield "migratable", "yes" if _migrates(features) else "no"
    if not _migrates(features):
        return
    present = _present(files)
    cards = {
        f"{each:02x}": _card(files, each) for each in adapters if not present or each in present
    }
    yield from _of_cards(cards, [f"{each:02x}" for each in adapters])
    usable = _usable(files)
    if control and usable is not None:
        yield "missing_control_domains", _hexadecimal(control - usable)


def of_parent(files: Files) -> t.Iterator[tuple[str, str]]:
    """Yield what a parent shows from which it follows what a new matrix would: ``foreseen``.

    ``features`` are those of the driver, none before Linux 6.10. Where it can migrate, ``cards`` has which adapters have
    the same values, and ``host_control_domains`` the host's.
    """
    features = _features(files)
    if features is not None:
        yield "features", features
    if not _migrates(features):
        return
    alike: dict[str, list[int]] = {}
    for adapter in _present(files):
        alike.setdefault("/".join(_card(files, adapter)), []).append(adapter)
    cards = " ".join(f"{values}={_hexadecimal(adapters)}" for values, adapters in alike.items())
    if cards and len(cards) <= MAX_VALUE:
        yield "cards", cards
    usable = _usable(files)
    if usable is not None:
        yield "host_control_domains", _hexadecimal(usable)


def foreseen(own: t.Mapping[str, str], given: t.Mapping[str, str]) -> dict[str, str]:
    """Return what a new matrix like ``own`` would show under a parent of which ``of_parent`` has given that.

    Where the driver of ``own`` cannot migrate, nothing of the cards counts.
    """
    features = given.get("features")
    if "migratable" not in own or features is None:
        return {}
    found = {"migratable": "yes" if _migrates(features) else "no"}
    if not (is_migratable(own) and is_migratable(found)):
        return found
    if given.get("cards"):
        cards = {
            adapter: tuple(values.split("/"))
            for values, _equals, adapters in (
                each.partition("=") for each in given["cards"].split(" ")
            )
            for adapter in adapters.split(",")
        }
        found.update(
            _of_cards(cards, [each for each in own.get("adapters", "").split(",") if each])
        )
    if "host_control_domains" in given and own.get("control_domains"):
        usable = given["host_control_domains"].split(",")
        wanted = own["control_domains"].split(",")
        missing = [each for each in wanted if each not in usable]
        found["missing_control_domains"] = ",".join(missing)
    return found


def demanded(own: t.Mapping[str, str]) -> list[str]:
    """Return the attributes that the target of such a matrix must leave empty: the adapters and control domains that its host lacks."""
    lacking = {"unfit_adapters": "adapters", "missing_control_domains": "control_domains"}
    return [name for name, kept in lacking.items() if is_migratable(own) and own.get(kept)]


def is_migratable(own: t.Mapping[str, str]) -> bool:
    """Return whether a matrix with this ``self`` is one of a driver that can migrate, and so has to go to one of its UUID."""
    return own.get("migratable") == "yes"


def is_unconfigured(own: t.Mapping[str, str]) -> bool:
    """Return whether a matrix of such a driver has nothing assigned to it."""
    return is_migratable(own) and not any(own.get(kept) for kept in _ASSIGNED)


def written(
    own: t.Mapping[str, str],
    given: t.Mapping[str, str],
    attributes: t.Sequence[tuple[str, str]],
) -> list[tuple[str, str]]:
    """Return what to write to a new matrix in order that it is as ``own``, where ``attributes`` would be written otherwise.

    Without ``ap_config``, of the source or of the target's driver, that are numbers, one by one.
    """
    features = given.get("features")
    if "ap_config" in own and (features is None or "ap_config" in features.split()):
        return [*attributes]
    numbers = [
        (name, f"0x{number}")
        for kept, name in _ASSIGNED.items()
        for number in own.get(kept, "").split(",")
        if number
    ]
    return [*(each for each in attributes if each[0] != "ap_config"), *numbers]


def shows(files: Files) -> tuple[bool | None, str] | None:
    """Return whether a matrix can migrate, as far as the driver's features show that it could; ``None`` if they do not."""
    if not _migrates(files(_FEATURES)):
        return None
    for adapter in sorted(read_adapters(files) or ()):
        if _SECURE in _card(files, adapter):
            return False, f"adapter {adapter:02x} is bound to a secure guest (ap_functions)"
    return None, "the driver's features show migratable; whether QEMU supports it is unknown"


def read_adapters(read: Read) -> set[int] | None:
    """Return the adapters of a matrix; ``None`` where it does not show them."""
    masks = _ap_config(read)
    return _queues(read, 1) if masks is None else masks[0]


def read_domains(read: Read) -> set[int] | None:
    """Return the domains of a matrix; ``None`` where it does not show them."""
    masks = _ap_config(read)
    return _queues(read, 2) if masks is None else masks[1]


def read_control_domains(read: Read) -> set[int] | None:
    """Return the control domains of a matrix; ``None`` where it does not show them."""
    masks = _ap_config(read)
    if masks is not None:
        return masks[2]
    lines = read("control_domains")
    if lines is None:
        return None
    try:
        return {int(line, 16) for line in lines.split()}
    except ValueError:
        raise DescriptorError(f"control_domains is {shown(lines)}; expected hex digits") from None


def full_masks(text: str) -> str:
    """Write ``ap_config`` as the driver prints it; it takes masks without the zeros at their right ends too (``ap_hex2bitmap``)."""
    masks = [_SHORT_MASK.match(mask) for mask in text.lower().split(",")]
    full = ["0x" + mask.group(1).ljust(64, "0") for mask in masks if mask]
    return ",".join(full) if len(full) == len(masks) else text


def _features(files: Files) -> str | None:
    """Return the driver's features, of which it had none before Linux 6.10; ``None`` where they are not shown."""
    features = files(_FEATURES)
    is_older = features is None and is_before(files.release(), _WITH_AP_CONFIG)
    return "" if is_older else features


def _migrates(features: str | None) -> bool:
    return "migratable" in (features or "").split()


def _of_cards(
    cards: t.Mapping[str, tuple[str, ...]], adapters: t.Sequence[str]
) -> t.Iterator[tuple[str, str]]:
    """Yield what is compared of the cards of a matrix with these adapters, as far as all of them show it."""
    for place, name in enumerate(_OF_CARDS):
        values = [(*cards.get(each, ()), *(_ABSENT,) * 3)[place] for each in adapters]
        if values and all(values):
            yield name, ",".join(values)
    functions = [cards.get(each, (_ABSENT,))[0] for each in adapters]
    unfit = [
        each for each, shown_of_it in zip(adapters, functions) if shown_of_it in (_ABSENT, _SECURE)
    ]
    if unfit or (adapters and all(functions)):
        yield "unfit_adapters", ",".join(unfit)


def _present(files: Files) -> list[int]:
    """Return the adapters of the host's cards; none where the cards are not shown."""
    return [int(card.group(1), 16) for each in files.names(_CARDS) if (card := _CARD.match(each))]


def _card(files: Files, adapter: int) -> tuple[str, str, str]:
    """Return what is compared of an adapter's card; empty where it is not shown."""
    functions, hwtype = _functions(files, adapter), _hwtype(files, adapter)
    if functions is None:
        return "", "", hwtype
    # Bits 16 and 17: bound to, or associated with, a secure guest.
    if functions >> 14 & 3:
        return _SECURE, _SECURE, hwtype
    upper = f"{functions >> 24:02x}"
    # Only of a card with one of bits 8 and 9 may the class change.
    if functions >> 22 & 3 in (0, 3):
        upper += f"{functions >> 16 & 0xC0:02x}"
    return upper, str(functions >> 23 & 1), hwtype


def _functions(files: Files, adapter: int) -> int | None:
    """Return the function bits of an adapter's card, bit 0 the highest of 32; ``None`` where they are not shown."""
    functions = files(f"{_CARDS}/card{adapter:02x}/ap_functions")
    if functions is None:
        return None
    if not _FUNCTIONS.match(functions):
        raise DescriptorError(
            f"ap_functions of card{adapter:02x} is {shown(functions)}; expected 0x and 8 hex digits"
        )
    return int(functions, 16)


def _hwtype(files: Files, adapter: int) -> str:
    """Return the generation of an adapter's card, a number; empty where it is not shown."""
    hwtype = files(f"{_CARDS}/card{adapter:02x}/hwtype")
    if hwtype is not None and not _HWTYPE.match(hwtype):
        raise DescriptorError(f"hwtype of card{adapter:02x} is {shown(hwtype)}; expected a number")
    return hwtype or ""


def _usable(files: Files) -> set[int] | None:
    """Return the control domains that the host has; ``None`` where they are not shown."""
    text = files(_HOST_MASK)
    # What the kernel prints of a machine that does not show its configuration (ap_control_domain_mask_show).
    if text in (None, "not supported"):
        return None
    mask = _ONE_MASK.match(text)
    if not mask:
        raise DescriptorError(
            f"ap_control_domain_mask is {shown(text)}; expected 0x and 64 hex digits"
        )
    return _numbers_of_mask(mask.group(1))


def _ap_config(read: Read) -> list[set[int]] | None:
    """Return adapters, domains and control domains; ``None`` before the driver had ``ap_config``."""
    config = read("ap_config")
    if config is None:
        return None
    masks = _MASKS.match(config)
    if not masks:
        raise DescriptorError(
            f"ap_config is {shown(config)}; expected three masks of 64 hex digits"
        )
    return [_numbers_of_mask(mask) for mask in masks.groups()]


def _numbers_of_mask(mask: str) -> set[int]:
    """Return the numbers whose bits are set in 64 hex digits; the leftmost bit is that of number 0."""
    bits = int(mask, 16)
    return {number for number in range(256) if bits >> 255 - number & 1}


def _queues(read: Read, group: int) -> set[int] | None:
    """Return the adapters (``group`` 1) or domains (2) of ``matrix``."""
    lines = read("matrix")
    if lines is None:
        return None
    found = set()
    for line in lines.split():
        queue = _QUEUE.match(line)
        if not queue:
            raise DescriptorError(f"matrix has {shown(line)}; expected adapter.domain")
        if queue.group(group):
            found.add(int(queue.group(group), 16))
    return found


def _hexadecimal(numbers: t.Iterable[int]) -> str:
    return ",".join(f"{each:02x}" for each in sorted(numbers))
