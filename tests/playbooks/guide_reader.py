# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carry out a guide as a reader does: its commands in order on a simulated fleet, and look in what they say for what it shows."""

from __future__ import annotations

import re
import shlex
import textwrap
import typing as t

from ansible_collections.vfio.migration.tests.playbooks.simulated_fleet import COLLECTION, Fleet

_SECTION = re.compile(r"^(.+)\n(?:-+|~+)\n((?:.*\n(?!.+\n(?:--+|~~+)\n))*)", re.MULTILINE)
_BLOCK = re.compile(
    r"^( *)[.][.] code-block:: (\S+)\n(?: +:caption: (\S+)\n)?\n((?:\1 {3,}\S.*\n|\n)+)", re.M
)
# Where Ansible runs, and how old facts are, which are others each time.
_ODD = re.compile(r"/\S+(?=/migration-)|[0-9]+ (?:s|min)(?= old)")
# What fails is shown by its message.
_FAILURE = re.compile(r"^ *vfio[.]migration[.]\w+: ", re.MULTILINE)

After = t.Mapping[str, t.Callable[[Fleet], None]]


def sections(guide: str) -> dict[str, str]:
    """Return the sections of a guide by their headings."""
    return dict(_SECTION.findall((COLLECTION / f"docs/docsite/rst/{guide}.rst").read_text()))


def _in_a_line(text: str) -> str:
    return " ".join(_ODD.sub("…", text).split())


class Reader:
    """Carries out sections of a guide on a fleet; ``compared`` is how many outputs of the guide were found."""

    def __init__(self, guide: str, fleet: Fleet) -> None:
        self.fleet = fleet
        self._sections = sections(guide)
        self.compared = 0

    def carry_out(self, heading: str, after: After | None = None) -> None:
        """Run the commands of a section, and compare; once a playbook in ``after`` has run, something else happens.

        What a block of text leaves out has ``…`` in its place. Programs other than ansible-playbook are not run.
        """
        said, failed = "", False
        for _indent, language, caption, text in _BLOCK.findall(self._sections[heading]):
            text = textwrap.dedent(text)
            if caption:
                (self.fleet.work / caption).write_text(text)
            elif language == "console":
                assert not failed, said
                commands = [each.removeprefix("$ ") for each in text.strip().splitlines()]
                ours = [each for each in commands if each.startswith("ansible-playbook ")]
                ran = [self._run(each, after or {}) for each in ours]
                said = _in_a_line("\n".join(each for each, _ok in ran))
                failed = not all(ok for _said, ok in ran)
            elif language == "text" and said:
                for part in re.split("…\n", text):
                    assert _in_a_line(part) in said
                failed = failed and not _FAILURE.search(text)
                self.compared += 1
        assert not failed, said

    def _run(self, command: str, after: After) -> tuple[str, bool]:
        """Return what a command has said and reported, and whether it has succeeded."""
        words = [word for word in shlex.split(command)[1:] if word != "--become"]
        del words[words.index("-i") : words.index("-i") + 2]
        (playbook,) = [
            word for word in words if re.fullmatch(r"vfio[.]migration[.]\w+|\w+[.]yml", word)
        ]
        ended = self.fleet.play(playbook, arguments=[word for word in words if word != playbook])
        after.get(playbook, lambda fleet: None)(self.fleet)
        report = self.fleet.work / "migration-report/report.md"
        written = report.read_text() if report.exists() else ""
        return ended.stdout + ended.stderr + written, ended.returncode == 0
