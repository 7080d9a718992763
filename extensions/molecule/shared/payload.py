# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs the modules with all they import, and ``calls``, into an archive that a lab host's Python can run from.

A scenario that calls a module hundreds of times does so on the host, as each call through Ansible takes seconds there.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import ansible

_SHARED = Path(__file__).resolve().parent
_PLUGINS = _SHARED.parents[2] / "plugins"
_COLLECTION = Path("ansible_collections/vfio/migration/plugins")
_PACKAGES = (
    "ansible",
    *(str(each) for each in reversed(_COLLECTION.parents) if each.name),
    str(_COLLECTION),
    str(_COLLECTION / "modules"),
    str(_COLLECTION / "module_utils"),
    *(str(_COLLECTION / "module_utils" / each.name) for each in _PLUGINS.glob("module_utils/_*/")),
)


def main() -> None:
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for source, name in _files():
            archive.write(source, str(name))
        for package in _PACKAGES:
            archive.writestr(f"{package}/__init__.py", "")


def _files() -> Iterator[tuple[Path, Path]]:
    yield _SHARED / "calls.py", Path("calls.py")
    core = Path(str(ansible.__file__)).parent
    yield core / "release.py", Path("ansible/release.py")
    for source in core.glob("module_utils/**/*.py"):
        yield source, Path("ansible") / source.relative_to(core)
    for pattern in ("modules/*.py", "module_utils/**/*.py"):
        for source in _PLUGINS.glob(pattern):
            yield source, _COLLECTION / source.relative_to(_PLUGINS)


if __name__ == "__main__":
    main()
