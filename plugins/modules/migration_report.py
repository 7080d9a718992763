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
  - Starts with whether everything can move, and if not, what is blocked and why. Then lists the plan, which host's devices could go to which host,
    the hosts, the classes of devices, their versions across the fleet, and the problems.
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
      - Whether each host can be drained or can fail, as the filter P(vfio.migration.migration_headroom#filter) returns it. Every form of the report
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
    description: A file on the control node to write the report to, as JSON in the form of RV(report).
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
    description: The exact structure of reports, for programs.
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
  description: The conclusion of the report.
  returned: success
  type: dict
  contains:
    level:
      description:
        - V(all), V(some) or V(none) of the devices can move.
        - V(nothing) if there is nothing to move. V(unknown) if no host has usable facts.
      type: str
      sample: some
    sentence:
      description: The conclusion as a sentence.
      type: str
      sample: 7 of 9 guests can leave a; 2 cannot.
    because:
      description:
        - The first five causes why devices cannot move.
        - Each has the numbers of its C(devices) and C(guests), the C(code), the C(reason) as text, C(more), which is whether there are further reasons,
          and C(remedy), which is what would make the moves possible. Some have an C(example).
      type: list
      elements: dict
headroom:
  description: The summary of O(headroom). RV(report.headroom) has all of it.
  returned: with O(headroom)
  type: dict
  contains:
    holds:
      description: Whether all hosts and failure domains can be drained and all hosts have usable facts, except for those that are exempt.
      type: bool
    sentences:
      description: The conclusion and the first causes, one sentence each.
      type: list
      elements: str
totals:
  description:
    - The numbers of C(hosts), hosts without usable facts (C(unknown)), C(devices), devices C(in_use), devices that cannot migrate at all (C(excluded)),
      devices that can go to another host (C(reachable)), and C(problems).
  returned: success
  type: dict
html:
  description: The file with the HTML page.
  returned: with O(html)
  type: str
markdown:
  description: The file with the summary in Markdown.
  returned: with O(markdown)
  type: str
json:
  description: The file with the report as JSON.
  returned: with O(json)
  type: str
metrics:
  description: The file with the metrics for Prometheus.
  returned: with O(metrics)
  type: str
report:
  description: The report.
  returned: with none of O(html), O(markdown), O(json) and O(metrics)
  type: dict
  contains:
    schema:
      description: The version of this structure, V(1).
      type: int
    title:
      description: The title of the report.
      type: str
    made:
      description: The time at which the report was made.
      type: str
      sample: 2026-11-23 08:30 UTC
    direction:
      description: Whose list decided.
      type: str
    verdict:
      description: As RV(verdict).
      type: dict
    advice:
      description: What to do if there is nothing to report on.
      type: list
      elements: str
    totals:
      description: As RV(totals).
      type: dict
    facts:
      description: The times at which the C(oldest) and the C(newest) facts were gathered.
      type: dict
    plan:
      description: The section on the plan. V(null) without a plan.
      type: dict
      contains:
        request:
          description: As in the plan, with C(time), C(collection) and C(requested_by) if the plan has them.
          type: dict
        guests:
          description:
            - The guests and single devices to move. Those that stay come first.
            - Each has C(vm), C(in_use), C(host), C(to), C(wave), C(devices), the names of its C(hardware), C(becomes), C(certainty) and C(warnings). If it
              stays, C(why) and C(code) are the reason, and C(remedy) is what would make the move possible.
          type: list
          elements: dict
        writes:
          description:
            - The changes on each target C(host), in their order. Each of its C(writes) has C(device), C(action), C(what), C(where), C(attribute), C(before)
              and C(after).
          type: list
          elements: dict
        capacity:
          description: For each C(host) and C(type) that it receives, how many more devices it can take C(before) and C(after) the plan.
          type: list
          elements: dict
        status:
          description: As in the plan.
          type: str
        meaning:
          description: The meaning of the status, as text for people.
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
          description: The number of devices to move.
          type: int
        placed:
          description: How many of these have a place.
          type: int
        created:
          description: How many of the places do not exist yet.
          type: int
        unplaced:
          description: How many of these are left behind.
          type: int
        sources:
          description: The hosts of the devices to move.
          type: list
          elements: str
        targets:
          description: The hosts that receive devices. Each has C(host), the number of its C(devices), and how many of these are C(created).
          type: list
          elements: dict
        waves:
          description:
            - The waves. Each has its number (C(wave)), and the numbers of C(devices), C(guests), source hosts (C(sources)) and target hosts (C(targets)).
          type: list
          elements: dict
        warnings:
          description: The assumptions of the plan, each a C(warning) with the number of its C(moves).
          type: list
          elements: dict
        moves:
          description:
            - The first 20,000 moves, each with C(wave), C(vm), C(host), C(kind), C(id), C(to), C(certainty) and C(warnings).
            - C(to) has C(host), C(kind), C(id), C(parent), C(type), C(create), and C(attributes) as text.
            - C(warnings) are indexes in RV(report.plan.warnings).
          type: list
          elements: dict
        moves_not_shown:
          description: The number of further moves.
          type: int
        left_behind:
          description:
            - The first 500 devices that are left behind, grouped by their reasons.
            - Each entry has the C(devices), each with C(vm), C(host), C(kind) and C(id), the C(cause) as a short text, and C(reasons) for 20 hosts at most.
            - Each of the C(reasons) has C(host), or V(null) for all hosts, the number of further hosts that are C(alike), C(reasons), three at most, and
              the number of further reasons as C(not_shown). C(reasons_not_shown) is the number of further hosts.
          type: list
          elements: dict
        left_behind_not_shown:
          description: The number of further devices that are left behind.
          type: int
        causes:
          description: As RV(verdict.because).
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
          description: The hosts whose facts have changed since the plan was made.
          type: list
          elements: str
    host_groups:
      description:
        - The groups of hosts that are alike. In a small fleet, each host is its own group.
        - Each has C(name), which is that of its first host, the numbers of its C(hosts) and C(devices), C(hardware), ten C(versions) at most, and C(mixed),
          which is whether the group has all remaining hosts, which are not alike.
      type: list
      elements: dict
    matrix:
      description: For each group of hosts (row) and each group (column), how many devices on the former can go to another host in the latter, each by itself.
      type: list
      elements: list
    classes:
      description: The classes of devices that are equal by every rule.
      type: list
      elements: dict
      contains:
        name:
          description: The name of the class in the result of P(vfio.migration.compatible_pairs#filter).
          type: str
        origin:
          description: The source of the descriptor.
          type: str
        self:
          description: C(self) of the descriptor.
          type: dict
        compatible:
          description: C(compatible) of the descriptor.
          type: list
          elements: dict
        hosts:
          description: The number of hosts with devices of the class.
          type: int
        devices:
          description: The number of devices of the class.
          type: int
        free:
          description: How many of these no process holds.
          type: int
        staying:
          description: How many of these cannot go to any other host.
          type: int
        why:
          description: The reason why these cannot. V(null) if all can.
          type: str
        targets:
          description:
            - The first five classes of devices that are compatible targets.
            - Each has C(class), which is its index in RV(report.classes), C(devices), C(free), and C(set), C(bindings), C(certainty), C(direction_conflict)
              and C(warnings) of the verdict.
          type: list
          elements: dict
        targets_not_shown:
          description: The number of further classes of compatible targets.
          type: int
        creatable:
          description:
            - The new devices that would be compatible targets. Each has C(type), C(attributes), C(set), C(bindings), C(warnings), the number of C(hosts), and
              C(room), which is how many can be created.
          type: list
          elements: dict
        reach:
          description:
            - The groups of hosts with targets for the class. Each has C(host_group), which is its index in RV(report.host_groups), the numbers of C(hosts) and
              C(free) devices, and the types of C(new) devices that can be created.
          type: list
          elements: dict
        obstacles:
          description:
            - The reasons for each other group of hosts. Each has C(host_group), C(reasons), three at most, and the number of further reasons as C(not_shown).
            - Empty if there would be more than 2,000 entries.
          type: list
          elements: dict
        misses:
          description: The three classes that are closest to compatible. Each has C(class), C(devices), C(certainty), and C(reasons) as text.
          type: list
          elements: dict
        barriers:
          description: The attributes that are the only reason against targets. Each has C(attribute), and the numbers of C(classes) and C(devices) concerned.
          type: list
          elements: dict
    uncompared:
      description: The attributes in which devices of one class differ, because no pattern compares them.
      type: list
      elements: str
    excluded:
      description:
        - The reasons why devices cannot migrate at all. Each has C(text), C(count), which is how often it applies, the number of C(hosts), and the first ten
          host names (C(names)) and device ids (C(paths)).
      type: list
      elements: dict
    hosts:
      description:
        - The hosts. Each has C(name), C(host_group), the numbers of C(devices), devices C(in_use), C(excluded) and C(reachable) devices, and C(classes).
        - C(classes) has, for each class on the host, its index in RV(report.classes), the number of devices, and the number of free devices.
      type: list
      elements: dict
    devices:
      description:
        - The devices, unless there are more than 2,000. Each has C(host), C(kind), C(id), C(type), C(parent), C(class), C(vm), C(in_use) and C(obstacle).
        - C(class) is V(null) for a device that cannot migrate.
      type: list
      elements: dict
    devices_not_shown:
      description: The number of devices if RV(report.devices) does not list them, otherwise V(0).
      type: int
    versions:
      description:
        - The software versions of each model of devices. Each entry has C(device_api), C(model), which is a PCI id or a type, C(name), C(drivers), C(mixed),
          which is whether there are several major or minor versions, and C(versions).
        - Each of the C(versions) has C(version), the numbers of C(hosts) and C(devices), and the first ten host names (C(names)).
      type: list
      elements: dict
    headroom:
      description: As O(headroom). Absent without this option.
      type: dict
    last_run:
      description:
        - The last run in O(record). Absent without a run.
        - C(run) is the time at which it began. C(moved), C(stayed), C(not_tried) and C(unknown) are numbers of guests. Guests in C(stayed) did not move
          although their migration began. For guests in C(unknown), the end of the migration was not seen.
      type: dict
    unknown:
      description: The reasons why hosts have no usable facts, with the same fields as RV(report.excluded).
      type: list
      elements: dict
    problems:
      description: The problems of all hosts, with the same fields as RV(report.excluded). C(paths) are files and directories on the hosts.
      type: list
      elements: dict
"""
