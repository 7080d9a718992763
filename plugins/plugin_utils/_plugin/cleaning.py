# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The steps of the playbook ``cleanup`` that are taken on the control node: ask, decide what goes, report how it ended.

Each step takes what the one before returned, and returns that with what is new.
"""

from __future__ import annotations

import errno
import os
import re
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._descriptor.identifiers import (
    KINDS,
    PCI,
    UUID,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.errors import FleetError
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.reader import hold, read_fleet
from ansible_collections.vfio.migration.plugins.plugin_utils._fleet.values import (
    count,
    names,
    one_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.cleanup import (
    REMOVABLE,
    VACATED,
    Superfluous,
    guest_of,
    keeping_addresses,
    moved_in_part,
    superfluous,
    target_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.preparation import (
    TASKS,
    ByModule,
    changed_by,
    given_nothing,
    merged,
    place_of,
    removals,
    removed_of,
    tasks_for,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._planner.progress import (
    DONE,
    MOVED,
    PLANNED,
    PREPARED,
    placement_states,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.clock import age_limit
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.files import (
    absolute,
    read_json,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.handed_over import check_schema
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.left_behind import (
    GATHERED,
    INTERRUPTED,
    REMOVED,
    cleanup_of,
    left_after,
    out_of_date,
    remove_later,
    results_of,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.progress_file import (
    alone,
    check_placements,
    is_of_this_run,
    progress_path,
    read_progress,
    write_progress,
    written_progress,
)
from ansible_collections.vfio.migration.plugins.plugin_utils._plugin.run_variables import (
    gathered,
    has_failed,
    result_of,
    stale,
)
from ansible_collections.vfio.migration.plugins.plugin_utils.contract import Sentence

# What the tasks of the role register.
MDEVCTL = "cleanup_mdevctl"
LIBVIRT = "cleanup_libvirt"
DEFINED = "cleanup_definitions"
JOURNALS = "cleanup_journals"
AT_WORK = "cleanup_at_work"

_CHOICES = (*REMOVABLE, INTERRUPTED)
# Where a module has its journals.
_JOURNAL = re.compile(rf"/run/vfio[.]migration/({'|'.join(KINDS)})\Z")

_Run = dict[str, t.Any]


def cleanup_after_moves(plan: str) -> str:
    """Return the command that removes as well what guests have left that have moved by the plan in the file ``plan``."""
    return cleanup_of(plan, (PREPARED, VACATED))


def begin(options: t.Mapping[str, t.Any], hostvars: t.Any, check_mode: bool) -> _Run:
    """Return what is to be cleaned up, by a plan and what was written down beside it; raise ``FleetError``."""
    remove = [one_of("remove", each, _CHOICES) for each in names("remove", options["remove"]) or ()]
    by_journals = INTERRUPTED in remove
    plan, progress = options.get("plan"), None
    source = "the plan"
    if plan is None:
        source = absolute(options["from"])
        progress = progress_path(source)
        there_is_one = os.path.exists(source) or os.path.exists(progress)
        if not there_is_one and remove != [INTERRUPTED]:
            raise FleetError(
                f"there is neither a plan {source} nor a record of created devices {progress}; the plan is where prepare_dest was, by default"
                f" migration-plan.json in the directory of the run that prepared: correct cleanup_from, or set cleanup_remove to {INTERRUPTED},"
                " which needs only the journals on the hosts"
            )
        plan = read_json(source) if os.path.exists(source) else {"placements": []}
    check_schema(source, plan)
    written = _claimed(progress, source, check_mode) if progress else None
    began = written or []
    check_placements(plan, f"{source} is not a plan; expected what migration_plan returns")
    placements = merged(plan["placements"], began)
    inventory = names("hosts", options.get("hosts")) or []
    there = {each[end]["host"] for each in placements for end in ("source", "target")}
    hosts = [host for host in inventory if by_journals or host in there]
    return {
        "remove": remove,
        "progress": progress,
        "from": source,
        "placements": placements,
        # What was made is read from the progress file; without that, from the plan.
        "made": [list(place_of(each)) for each in (changed_by(plan) if written is None else began)],
        "began": [list(place_of(each)) for each in began],
        "leaving": _leaving(placements),
        "kept": options.get("kept") or [],
        "hosts": hosts,
        "vacated": VACATED in remove,
        "by_journals": by_journals,
        "timeout": count("timeout", options["timeout"], "seconds"),
        "check_mode": check_mode,
        "stale": stale(hostvars, hosts, GATHERED),
    }


def _leaving(placements: t.Iterable[t.Any]) -> dict[str, list[str]]:
    """Return the UUIDs of the guests that are to leave each host, as far as they are known."""
    found: dict[str, set[str]] = {}
    for each in placements:
        uuid = each.get("vm_uuid")
        if isinstance(uuid, str) and UUID.fullmatch(uuid):
            found.setdefault(each["source"]["host"], set()).add(uuid)
    return {host: sorted(uuids) for host, uuids in found.items()}


def _claimed(progress: str, plan: str, check_mode: bool) -> list[t.Any] | None:
    """Return what is written down in ``progress``, ``None`` where nothing is.

    No other run works with that file until this one has ended: where this one has written it, as it has made what it now removes,
    that is so already.
    """
    began = written_progress(progress)
    if check_mode or began is None or is_of_this_run(progress):
        return began
    with alone(progress):
        began = read_progress(progress)
        write_progress(progress, began, plan)
    return began


def find_superfluous(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with what each host is to define and to remove; raise ``FleetError``."""
    if not run["hosts"] and (run["placements"] or run["by_journals"]):
        raise FleetError("no host of the plan is among the hosts of cleanup_hosts")
    answered, silent = gathered(hostvars, run["hosts"], GATHERED)
    fleet = read_fleet(hold(hostvars, answered), limit=age_limit(0), left_out=silent)
    made = {tuple(each) for each in run["made"]}
    states = placement_states(
        fleet, {"placements": [_made(each, made) for each in run["placements"]]}
    )
    addresses = [[*key, mac] for key, mac in keeping_addresses(fleet, states).items()]
    run = run | {"silent": silent, "answered": answered, "states": states, "addresses": addresses}
    run["at_work"] = [*_at_work(run, hostvars)]
    found = _superfluous(run, hostvars, ())
    vacated = [each for each in found["vacated"] if each["source"]["kind"] == "mdev"]
    define = [each for each in vacated if _is_defined(hostvars, each["source"])]
    return _to_remove(run, hostvars, found) | {
        "define": _definitions(fleet, define),
        "define_hosts": sorted({each["target"]["host"] for each in define}),
        "sentences": _sentences(run, hostvars, found),
    }


def _at_work(run: _Run, hostvars: t.Any) -> t.Iterator[tuple[str, str]]:
    """Yield the guests, by host and UUID, that a process there is sending: it has the lock on the file of their migration.

    Any guest may be one of them where its host does not say which are.
    """
    for host, uuids in run["leaving"].items():
        result = result_of(hostvars, host, AT_WORK)
        lines = str(result.get("stdout") or "").splitlines()
        silent = _is_unclear(result)
        yield from ((host, uuid) for uuid in uuids if silent or f"at_work {uuid}" in lines)


def _is_unclear(result: t.Mapping[str, t.Any]) -> bool:
    """Return whether a host has not said which of the guests that are to leave it a process there is sending."""
    return has_failed(result) or result.get("rc") != 0


def _sentences(run: _Run, hostvars: t.Any, found: Superfluous) -> list[str]:
    """Return a sentence for each move on what is done for it, and what is undone by the journals on hosts."""
    moves = [*found["sentences"], *_of_silent(run, hostvars)]
    if not run["by_journals"]:
        return moves
    undone = [
        f"{host}: what a call that was killed has left half done is undone, by its journal in /run/vfio.migration/{kind}"
        for host in run["answered"]
        for kind in _interrupted(run, hostvars, host)
    ]
    return [
        *(moves if run["placements"] else ()),
        *(undone or ["no host has a journal of a call that was killed"]),
    ]


def _of_silent(run: _Run, hostvars: t.Any) -> list[str]:
    """Return what stays as a host that answers does not say which guests are on their way, or its libvirt not which it knows."""
    moved = {each["source"]["host"] for each in run["states"] if each["state"] == MOVED}
    found = []
    for host in run["answered"]:
        result = result_of(hostvars, host, AT_WORK)
        if host in run["leaving"] and _is_unclear(result):
            why = result.get("stderr") or result.get("msg") or "it was not asked"
            found.append(
                f"{host}: nothing is removed for the guests that are to leave it, as it does not say whether they are on their way: {why}"
            )
    for host in run["answered"] if VACATED in run["remove"] else ():
        result = result_of(hostvars, host, LIBVIRT)
        if host in moved and _is_silent(result):
            why = result.get("stderr") or result.get("msg") or "it was not asked"
            found.append(
                f"{host}: no source is removed there, as libvirt does not say which guests it knows: {why}"
            )
    return found


def _interrupted(run: _Run, hostvars: t.Any, host: str) -> list[str]:
    """Return the kinds of devices of which a host has journals of calls that have not ended."""
    if not run["by_journals"]:
        return []
    lines = str(result_of(hostvars, host, JOURNALS).get("stdout") or "").splitlines()
    found = {match[1] for line in lines if (match := _JOURNAL.match(line))}
    return [kind for kind in KINDS if kind in found]


def _made(placement: t.Any, made: t.Collection[tuple[str, ...]]) -> t.Any:
    """Return ``placement`` as one whose target was made, or not, whatever it says itself."""
    target = placement["target"]
    was_made = place_of(placement) in made
    given = {"create": was_made and target["kind"] != "pci"}
    if not was_made:
        target = given_nothing(target)
    return {**placement, "target": {**target, **given}}


def _superfluous(
    run: _Run, hostvars: t.Any, undefined: t.Collection[tuple[str, str]]
) -> Superfluous:
    kept: set[tuple[str, str | None]] = moved_in_part(run["states"])
    for host in run["answered"]:
        result = result_of(hostvars, host, LIBVIRT)
        if _is_silent(result):
            kept.update(guest_of(each) for each in run["states"] if each["source"]["host"] == host)
        # A name may have what Python takes for the end of a line as well.
        kept.update((host, vm) for vm in str(result.get("stdout") or "").split("\n"))
    addresses = {(host, address) for host, address, _mac in run["addresses"]}
    at_work = _guests_at_work(run)
    return superfluous(
        run["states"], run["remove"], run["answered"], undefined, kept, addresses, at_work
    )


def _guests_at_work(run: _Run) -> set[tuple[str, str | None]]:
    """Return the guests, by host and name, that a process there is sending, or may be, and those that the caller has kept."""
    at_work = {tuple(each) for each in run["at_work"]}
    return {tuple(each) for each in run["kept"]} | {
        guest_of(each)
        for each in run["placements"]
        if (each["source"]["host"], each.get("vm_uuid")) in at_work
    }


def _is_silent(result: t.Mapping[str, t.Any]) -> bool:
    """Return whether libvirt of a host has not said which guests it knows; where there is no virsh, it knows none."""
    no_virsh = result.get("rc") == errno.ENOENT and not result.get("stderr")
    return result.get("rc") != 0 and not no_virsh


def _is_defined(hostvars: t.Any, device: t.Mapping[str, t.Any]) -> bool:
    return device["id"] in str(result_of(hostvars, device["host"], MDEVCTL).get("stdout") or "")


def _definitions(fleet: t.Any, vacated: t.Iterable[t.Any]) -> dict[str, list[dict[str, t.Any]]]:
    """Return, for each target host, what is to be defined there in mdevctl, as the source was."""
    found: dict[str, list[dict[str, t.Any]]] = {}
    for each in vacated:
        target = each["target"]
        device = next(one for one in fleet.hosts[target["host"]].devices if one.id == target["id"])
        attributes = [{"name": name, "value": value} for name, value in device.attributes]
        found.setdefault(target["host"], []).append(
            {
                "uuid": target["id"],
                "parent": device.parent,
                "type": device.type,
                "attributes": target["attributes"] or attributes,
            }
        )
    return found


def settle(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` without the sources whose targets could not be defined where they are."""
    undefined = {
        (host, each["uuid"]): str(result.get("msg") or "it was not asked")
        for host, devices in run["define"].items()
        if not (result := result_of(hostvars, host, DEFINED)) or has_failed(result)
        for each in devices
    }
    found = _superfluous(run, hostvars, undefined)
    kept = [
        f"{each['source']['host']} still has {each['source']['id']}, which its guest has left: its definition in mdevctl stays, as"
        f" {each['target']['id']} could not be defined on {each['target']['host']}: {undefined[target_of(each)]}"
        for each in found["vacated"]
        if target_of(each) in undefined
    ]
    return _to_remove(run, hostvars, found) | {"undefined": kept}


def _to_remove(run: _Run, hostvars: t.Any, found: Superfluous) -> _Run:
    began, at_work = {tuple(each) for each in run["began"]}, _guests_at_work(run)
    devices: list[t.Any] = list(found["devices"])
    if PREPARED in run["remove"]:
        # The process that was to make these may still be at it; the module waits for that.
        devices += [
            each["target"]
            for each in run["states"]
            if each["state"] == PLANNED
            and place_of(each) in began
            and guest_of(each) not in at_work
        ]
    made: dict[str, ByModule] = {}
    # One move's source can be the target of another one, which has gone back there.
    once = {(each["host"], each["kind"], each["id"]): each for each in devices}
    for device in once.values():
        tasks_for(made.setdefault(device["host"], {}), device)
    removed = removals(made, False)
    tasks = {}
    for host in run["answered"]:
        interrupted = _interrupted(run, hostvars, host)
        if host in removed or interrupted:
            tasks[host] = {
                **{each.key: [] for each in TASKS},
                **removed.get(host, {}),
                "interrupted": interrupted,
                "persistent": result_of(hostvars, host, MDEVCTL).get("rc") == 0,
                # Unlike a definition of mdevctl, one of systemd takes no tool to remove.
                "boot_units": True,
                "timeout": run["timeout"],
            }
    return run | {"tasks": tasks, "participants": sorted(tasks)}


def end(run: _Run, hostvars: t.Any) -> _Run:
    """Return ``run`` with the last word, and write down what may still be there."""
    left, words = left_after({} if run["check_mode"] else run["tasks"], hostvars)
    words += [*_not_undone(run, hostvars), *_not_seen(run), *run.get("undefined", ())]
    if words:
        words.append(remove_later(run["from"] if run["progress"] else None, run["remove"]))
    if run["progress"] and not run["check_mode"]:
        words += out_of_date(run["progress"], lambda: _write(run, left))
    notes = [*remaining_addresses(run, hostvars)]
    return run | {"left": left, "notes": notes, "failure": "\n".join(words) or None}


def remaining_addresses(run: t.Mapping[str, t.Any], hostvars: t.Any) -> t.Iterator[Sentence]:
    """Yield which functions keep a MAC address that a guest has taken along: their hosts have no record of the earlier one."""
    for host, address, mac in run["addresses"]:
        asked = run["tasks"].get(host, {}).get("pci_devices", ())
        if all(each["address"] != address for each in asked):
            continue
        unchanged = [
            each.get("address")
            for result in results_of(hostvars, host, PCI)
            if not has_failed(result) and isinstance(result.get("devices"), list)
            for each in result["devices"]
            if isinstance(each, t.Mapping) and each.get("action") == "unchanged"
        ]
        if address in unchanged:
            yield (
                f"{address} on {host} keeps the MAC address {mac}, which its guest has taken along: what it had before is not known"
                " there; give it another one, such as zeros, as network of vfio_pci"
            )


def _not_undone(run: _Run, hostvars: t.Any) -> t.Iterator[str]:
    """Yield in words what journals on hosts there still are, and why."""
    if run["check_mode"]:
        return
    for host in run["tasks"]:
        for kind in _interrupted(run, hostvars, host):
            result = result_of(hostvars, host, REMOVED[kind])
            why = result.get("msg") if has_failed(result) else "; ".join(_warnings(result))
            yield f"{host} still has a journal in /run/vfio.migration/{kind}: {why or 'a call is at work'}"
    if run["by_journals"]:
        for host, error in run["silent"].items():
            yield f"{host} may still have journals in /run/vfio.migration: {error}"


def _warnings(result: t.Mapping[str, t.Any]) -> list[str]:
    found = result.get("warnings")
    return [str(each) for each in found] if isinstance(found, list) else []


def _not_seen(run: _Run) -> list[str]:
    """Return in words what was made on hosts that did not answer."""
    found: dict[str, list[str]] = {}
    for host, _kind, name in run["made"]:
        if host in run["silent"] and PREPARED in run["remove"]:
            found.setdefault(host, []).append(name)
    return [
        f"{host} may still have {', '.join(there)}: {run['silent'][host]}"
        for host, there in sorted(found.items())
    ]


def _write(run: _Run, left: t.Mapping[str, t.Any]) -> None:
    """Write down the placements whose targets may still have to be removed one day."""
    # A target that a guest holds by now is prepared no more, and is not removed when that guest moves on.
    at_work = _guests_at_work(run)
    gone = {
        place_of(each)
        for each in run["states"]
        if each["state"] in (MOVED, DONE) and guest_of(each) not in at_work
    }
    before = read_progress(run["progress"])
    gone |= removed_of(before, run["tasks"], left)
    rest = [each for each in before if place_of(each) not in gone]
    if rest != before:
        write_progress(run["progress"], rest, run["from"])
