# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory of the guide to groups, on the facts of the sample fleet."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap

import pytest
from ansible_collections.vfio.migration.tests.playbooks.simulated_fleet import COLLECTION

pytestmark = pytest.mark.every_core

GUIDE = COLLECTION / "docs/docsite/rst/groups_guide.rst"
SAMPLE = COLLECTION / "playbooks/files/sample"
CACHED = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact:
        vfio_migration: "{{ lookup('ansible.builtin.file', sample ~ '/' ~ inventory_hostname ~ '.json') | from_json }}"
        cacheable: true
"""
LIMIT = """
- hosts: vfio_driver_mlx5_vfio_pci:!vfio_held
  gather_facts: false
  tasks:
    - ansible.builtin.debug:
        msg: "{{ ansible_play_hosts | join(',') }}"
"""


@pytest.fixture
def run(tmp_path):
    environment = {
        "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": f"{tmp_path}/facts",
        "ANSIBLE_CONFIG": f"{tmp_path}/ansible.cfg",
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    (tmp_path / "ansible.cfg").touch()
    (tmp_path / "inventory.ini").write_text("[hypervisors]\ngpu[1:3]\nnet[1:2]\n")
    capabilities = re.search(
        r":caption: capabilities.yml\n\n((?:       .*\n|\n)+)", GUIDE.read_text()
    )
    (tmp_path / "capabilities.yml").write_text(textwrap.dedent(capabilities[1]))

    def run(program, *arguments):
        ended = subprocess.run(
            [sys.executable, "-m", f"ansible.cli.{program}", "-i", "inventory.ini", *arguments],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    for name, text in (("cache", CACHED), ("limit", LIMIT)):
        (tmp_path / f"{name}.yml").write_text(text)
    run("playbook", "cache.yml", "-e", f"sample={SAMPLE}")
    return run


def test_hosts_are_in_the_groups_that_the_guide_shows(run):
    shown = re.search(
        r"--graph\n.*?code-block:: text\n\n(.*?)\n\nUse", GUIDE.read_text(), re.DOTALL
    )
    graph = run("inventory", "-i", "capabilities.yml", "--graph")
    assert graph.strip() == textwrap.dedent(shown[1]).strip()


def test_a_play_works_on_a_group_of_hosts_and_a_host_without_facts_is_in_none(run, tmp_path):
    with (tmp_path / "inventory.ini").open("a") as inventory:
        inventory.write("silent\n")
    graph = run("inventory", "-i", "capabilities.yml", "--graph")
    assert graph.count("silent") == 1
    played = run("playbook", "-i", "capabilities.yml", "limit.yml")
    assert '"msg": "net2"' in played
