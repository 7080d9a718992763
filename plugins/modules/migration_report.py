#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_report
short_description: Report on a fleet and a plan
version_added: 0.1.0
description:
  - Makes a report of the facts that M(vfio.migration.vfio_migration_facts) left in C(hostvars), and of a plan if one is given.
  - Says first whether everything can move and what cannot and why, then the plan, which host's devices could go to which host, the hosts,
    the classes of devices, their versions across the fleet, and the problems.
  - O(html) is a page for people, one file that needs no network and nothing else, also as an attachment. O(markdown) is the same in short, for a ticket.
    O(json) is for programs.
  - It is for fleets of any size. Where there are more than 24 hosts, those that are alike are shown together.
  - It runs on the control node, and reads the facts without templating them.
author:
  - vfio.migration contributors (@vfio-migration)
notes:
  - Run it once, with C(run_once=true), and not on every host.
extends_documentation_fragment:
  - vfio.migration._attributes
  - vfio.migration._fleet.left_out
  - vfio.migration._fleet.max_age
attributes:
  check_mode:
    support: full
    details:
      - The report is made, but not written.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - A report has the time when it was made.
  platform:
    platforms: posix
    details:
      - The action runs on the control node and does not contact the managed host.
options:
  hosts:
    description:
      - The hosts to look at. Those without facts, or whose facts cannot be used, are listed.
      - By default all hosts of the inventory.
    type: list
    elements: str
  direction:
    description:
      - Whose list decides what could go where; see the filter P(vfio.migration.compatibility#filter).
      - By default as in the plan, and without one V(source_lists).
    type: str
    choices:
      - source_lists
      - target_accepts
      - both
      - either
  plan:
    description:
      - The plan to report on, as the filter P(vfio.migration.migration_plan#filter) returns it,
        or the name of a file on the control node to which M(vfio.migration.migration_plan) has written one.
      - Where the facts of a host are no longer those that the plan was made with, the report says so.
    type: raw
  plan_file:
    description: The file on the control node that has the plan, instead of O(plan).
    type: path
  headroom:
    description:
      - Whether each host can be emptied or fail, as the filter P(vfio.migration.migration_headroom#filter) returns it. Every form of the report
        then has it.
    type: dict
  record:
    description:
      - The file on the control node to which the playbook V(vfio.migration.migrate_libvirt) writes the outcome for each guest. The report then has the last
        run, in RV(report.last_run) and among the metrics, if there was one.
    type: path
  title:
    description: The title of the report.
    type: str
    default: Migration report
  html:
    description: A file on the control node to write the report to, as an HTML page. Its directory is made if it is not there.
    type: path
  markdown:
    description: A file on the control node to write the report to, as Markdown.
    type: path
  json:
    description: A file on the control node to write the report to, as JSON, with the shape of RV(report).
    type: path
  metrics:
    description:
      - A file on the control node to write the report's numbers to, as metrics for the textfile collector of Prometheus' node_exporter.
        Its name has to end in C(.prom) for that.
    type: path
seealso:
  - module: vfio.migration.migration_plan
  - module: vfio.migration.vfio_migration_facts
  - name: JSON Schema
    description: The exact shape of reports, for programs.
    link: https://github.com/vfio-migration/vfio.migration/blob/main/docs/schemas/report.json
  - ref: ansible_collections.vfio.migration.docsite.maintenance_guide
    description: Drain a host, patch it, and bring its guests back.
  - ref: ansible_collections.vfio.migration.docsite.scale_guide
    description: Fact caches, slices and big fleets.
"""

EXAMPLES = r"""
- name: Report on a fleet
  hosts: hypervisors
  gather_facts: false
  become: true
  tasks:
    - name: Gather the descriptors
      vfio.migration.vfio_migration_facts:

    - name: Plan how to drain the first host
      vfio.migration.migration_plan:
        hosts: "{{ groups['hypervisors'] }}"
        drain: "{{ groups['hypervisors'][:1] }}"
        dest: /tmp/plan.json
      become: false
      run_once: true

    - name: Report
      vfio.migration.migration_report:
        hosts: "{{ groups['hypervisors'] }}"
        plan: /tmp/plan.json
        html: /tmp/report.html
        markdown: /tmp/report.md
      become: false
      run_once: true
      register: reported

    - name: Show the verdict
      ansible.builtin.debug:
        var: reported.verdict.sentence
      run_once: true
"""

RETURN = r"""
verdict:
  description: What the report comes to.
  returned: success
  type: dict
  contains:
    level:
      description: Whether V(all), V(some) or V(none) of the devices can move, or V(nothing) is to be moved, or V(unknown) as no host has usable facts.
      type: str
      sample: some
    sentence:
      description: The same in words.
      type: str
      sample: 7 of 9 guests can leave a; 2 cannot.
    because:
      description:
        - Why devices cannot move, at most five causes, each with C(devices), how many, C(guests), how many they belong to, C(code), C(reason),
          the same in words, perhaps an C(example), C(more), whether there are further reasons, and C(remedy), what would make it possible.
      type: list
      elements: dict
headroom:
  description: What O(headroom) comes to; RV(report.headroom) has all of it.
  returned: when O(headroom) is given
  type: dict
  contains:
    holds:
      description: Whether all hosts and groups can be emptied, and all hosts have usable facts, but those that are exempt.
      type: bool
    sentences:
      description: The conclusion, and the first causes.
      type: list
      elements: str
totals:
  description:
    - How many there are of C(hosts), of hosts without usable facts (C(unknown)), of C(devices), of those C(in_use), of those that cannot migrate
      at all (C(excluded)), of those that could go to another host (C(reachable)), and of C(problems).
  returned: success
  type: dict
html:
  description: The file with the page.
  returned: with O(html)
  type: str
markdown:
  description: The file with the Markdown.
  returned: with O(markdown)
  type: str
json:
  description: The file with the JSON.
  returned: with O(json)
  type: str
metrics:
  description: The file with the metrics.
  returned: with O(metrics)
  type: str
report:
  description: The report.
  returned: with none of O(html), O(markdown), O(json) and O(metrics)
  type: dict
  contains:
    schema:
      description: The version of this shape, V(1).
      type: int
    title:
      description: The title.
      type: str
    made:
      description: When the report was made.
      type: str
      sample: 2026-11-23 08:30 UTC
    direction:
      description: Whose list decided.
      type: str
    verdict:
      description: As RV(verdict).
      type: dict
    advice:
      description: What to do, where there is nothing to report on.
      type: list
      elements: str
    totals:
      description: As RV(totals).
      type: dict
    facts:
      description: When the C(oldest) and the C(newest) facts were gathered.
      type: dict
    plan:
      description: What the plan comes to; V(null) without one.
      type: dict
      contains:
        request:
          description: As in the plan, like C(time), C(collection) and C(requested_by), which a plan that is no document lacks.
          type: dict
        guests:
          description:
            - The guests and single devices that were to be moved, each with C(vm), C(in_use), C(host), C(to), C(wave), C(devices), C(hardware) by name,
              C(becomes), C(certainty), C(warnings), C(why) it stays, its C(code), and C(remedy), what would make it possible. Those that stay come first.
          type: list
          elements: dict
        writes:
          description:
            - What is written on each target C(host), in order. Each of its C(writes) has C(device), C(action), C(what), C(where), C(attribute),
              C(before) and C(after).
          type: list
          elements: dict
        capacity:
          description: How many more of each C(type) that it receives each C(host) could take C(before) and C(after) the plan.
          type: list
          elements: dict
        status:
          description: As in the plan, like C(solver), C(direction), C(policy), C(conditions).
          type: str
        meaning:
          description: What the status means.
          type: str
        solver:
          description: As in the plan.
          type: str
        direction:
          description: As in the plan.
          type: str
        policy:
          description: As in the plan.
          type: str
        conditions:
          description: As in the plan.
          type: dict
        devices:
          description: How many devices were to be moved.
          type: int
        placed:
          description: How many of them have a place.
          type: int
        created:
          description: How many of the places are to be created.
          type: int
        unplaced:
          description: How many are left behind.
          type: int
        sources:
          description: The hosts that they are on.
          type: list
          elements: str
        targets:
          description: The hosts that receive, each with C(host), C(devices), and how many of these are C(created).
          type: list
          elements: dict
        waves:
          description: The waves, each with its number (C(wave)), and the numbers of its C(devices), C(guests), C(sources) and C(targets), which are hosts.
          type: list
          elements: dict
        warnings:
          description: What the plan takes for granted, each a C(warning) with the number of C(moves).
          type: list
          elements: dict
        moves:
          description:
            - The first 20,000 moves, each with C(wave), C(vm), C(host), C(kind), C(id), C(to), C(certainty),
              and C(warnings), places in RV(report.plan.warnings).
            - C(to) has C(host), C(kind), C(id), C(parent), C(type), C(create), and C(attributes) as text.
          type: list
          elements: dict
        moves_not_shown:
          description: How many further moves there are.
          type: int
        left_behind:
          description:
            - Of what is left behind the first 500 devices, those with the same reasons together. Each entry has the C(devices)
              with C(vm), C(host), C(kind) and C(id), the C(cause) in short, and the C(reasons) on at most 20 hosts, each with C(host)
              (V(null) for all), how many further hosts are C(alike),
              C(reasons) (three at most) and how many more there are (C(not_shown)); C(reasons_not_shown) is the number of further hosts.
          type: list
          elements: dict
        left_behind_not_shown:
          description: How many further devices are left behind.
          type: int
        causes:
          description: As C(because) in RV(verdict).
          type: list
          elements: dict
        shortage:
          description: As in the plan, with C(need) and C(reachable).
          type: dict
        changes:
          description: As in the plan, each with C(vm), C(host), C(kind), C(id) and C(reason).
          type: list
          elements: dict
        changed_since:
          description: The hosts whose facts are no longer those that the plan was made with.
          type: list
          elements: str
    host_groups:
      description:
        - The hosts that are alike, or each host for itself, each entry with C(name) (the first host's), the number of C(hosts) and C(devices),
          the C(hardware) and C(versions) (ten at most), and C(mixed), whether they are the rest that is not alike.
      type: list
      elements: dict
    matrix:
      description: For each group (row) and each group (column) how many devices of the former could go to another host that is in the latter, each by itself.
      type: list
      elements: list
    classes:
      description: The classes of devices that are equal by every rule.
      type: list
      elements: dict
      contains:
        name:
          description: The name that the filter P(vfio.migration.compatible_pairs#filter) gives it.
          type: str
        origin:
          description: Where its descriptor was read from.
          type: str
        self:
          description: What its devices say of themselves.
          type: dict
        compatible:
          description: What they list.
          type: list
          elements: dict
        hosts:
          description: On how many hosts there are any.
          type: int
        devices:
          description: How many there are.
          type: int
        free:
          description: How many of them nobody holds.
          type: int
        staying:
          description: How many could go nowhere.
          type: int
        why:
          description: Why these could not, V(null) where all could.
          type: str
        targets:
          description:
            - The first five classes that could take one, each with C(class) (its place in this list), C(devices), C(free), and
              C(set), C(bindings), C(certainty), C(direction_conflict) and C(warnings) of the verdict.
          type: list
          elements: dict
        targets_not_shown:
          description: How many further classes could.
          type: int
        creatable:
          description:
            - The new devices that could take one, each with C(type), C(attributes), C(set), C(bindings), C(warnings), the number of C(hosts),
              and for how many there is C(room).
          type: list
          elements: dict
        reach:
          description:
            - The groups that have something for it, each with C(host_group) (its place in RV(report.host_groups)), on how many C(hosts),
              how many C(free) devices, and the types of C(new) ones that can be made.
          type: list
          elements: dict
        obstacles:
          description:
            - For the other groups what stands in the way, as C(host_group), C(reasons) (three at most) and how many more there are (C(not_shown)).
            - Empty where there would be more than 2,000 of these.
          type: list
          elements: dict
        misses:
          description: The three classes that come nearest to being compatible, each with C(class), C(devices), C(certainty) and C(reasons) in words.
          type: list
          elements: dict
        barriers:
          description: The attributes that alone keep devices away, each with C(attribute), and how many C(classes) and C(devices).
          type: list
          elements: dict
    uncompared:
      description: The attributes in which devices of one class differ, as nobody compares them.
      type: list
      elements: str
    excluded:
      description:
        - Why devices cannot migrate at all, each C(text) with how often (C(count)) and on how many C(hosts) it is true,
          and the first ten C(names) of hosts and ids of devices (C(paths)).
      type: list
      elements: dict
    hosts:
      description:
        - The hosts, each with C(name), C(host_group), the numbers of its C(devices), those C(in_use), C(excluded) and C(reachable), and C(classes),
          for each class its place in RV(report.classes), the number of devices and of free ones.
      type: list
      elements: dict
    devices:
      description:
        - The devices, if they are not more than 2,000, each with C(host), C(kind), C(id), C(type), C(parent), C(class) (V(null) for one that cannot migrate),
          C(vm), C(in_use) and C(obstacle).
      type: list
      elements: dict
    devices_not_shown:
      description: How many devices there are where they are more.
      type: int
    versions:
      description:
        - What devices are of, each with C(device_api), C(model) (its PCI id or type), C(name), C(drivers), whether there are several major or minor
          versions (C(mixed)), and C(versions), each with C(version), C(hosts), C(devices) and the first ten C(names) of hosts.
      type: list
      elements: dict
    headroom:
      description: As O(headroom); absent without it.
      type: dict
    last_run:
      description:
        - The last run in O(record), absent without one. It has C(run), when it began, and how many guests have C(moved), C(stayed) although their
          migration was begun, or were C(not_tried); of C(unknown) ones nobody has seen the end.
      type: dict
    unknown:
      description: Why hosts have no usable facts, with the same fields as RV(report.excluded).
      type: list
      elements: dict
    problems:
      description: The problems of all hosts, with the same fields as RV(report.excluded); C(paths) are on the hosts.
      type: list
      elements: dict
"""
