# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the guide to scale shows below its commands is what they say, when they are run in its order with a cache of facts."""

from __future__ import annotations

import json

from ansible_collections.vfio.migration.tests.playbooks.guide_reader import Reader
from ansible_collections.vfio.migration.tests.playbooks.simulated_fleet import COLLECTION, Fleet

SAMPLE = COLLECTION / "playbooks/files/sample"


def aged(fleet: Fleet) -> None:
    """Let the facts of the slices be of different ages, however long a run takes."""
    for name in fleet.hosts:
        fleet.age(name, 24 if name.startswith("gpu") else 17)


def test_the_guide_shows_what_its_commands_say(tmp_path):
    hosts = {path.stem: json.loads(path.read_text()) for path in sorted(SAMPLE.glob("*.json"))}
    fleet = Fleet(tmp_path, list(hosts), {})
    for name, facts in hosts.items():
        fleet.put(name, facts)
    fleet.keep_facts()
    reader = Reader("scale_guide", fleet)
    reader.carry_out("Gather in slices", {"facts.yml": aged})
    reader.carry_out("Report and plan from the cache")
    reader.carry_out("Limit the age of facts")
    reader.carry_out("Prepare from the cache")
    assert reader.compared == 5
