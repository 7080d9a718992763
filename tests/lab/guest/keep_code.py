# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets Python on the lab's hosts keep the code of what it imports from archives, once it has compiled that.

Ansible sends modules as archives of source, the same few dozen files with every task; under emulation it takes the better
part of a second to compile them. Python loads this when it starts, as its ``sitecustomize``.
"""

from __future__ import annotations

import marshal
import os
import zipimport

# Not hashlib, which loads OpenSSL: every start of Python pays for what is loaded here.
from _blake2 import blake2b
from types import CodeType

_PLACE = "/run/lab-code"

_compile = zipimport._compile_source  # type: ignore[attr-defined]


def _kept(path: str, source: bytes) -> CodeType:
    file = f"{_PLACE}/{blake2b(source, digest_size=16).hexdigest()}"
    try:
        with open(file, "rb") as kept:
            code = marshal.load(kept)
    except (OSError, EOFError, ValueError):
        code = _compile(path, source)
        _keep(file, code)
    return code  # type: ignore[no-any-return]


def _keep(file: str, code: CodeType) -> None:
    try:
        os.makedirs(_PLACE, exist_ok=True)
        with open(f"{file}.{os.getpid()}", "wb") as new:
            marshal.dump(code, new)
        os.replace(new.name, file)
    except OSError:
        # As an ordinary user, or with a full disk, it does without.
        pass


zipimport._compile_source = _kept  # type: ignore[attr-defined]
