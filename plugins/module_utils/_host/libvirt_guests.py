# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The guests that libvirt runs on a host, what QEMU says of them, and what the host has for guests of others.

What goes wrong with one guest is a problem that names it, and costs no other. Libvirt is asked for so long in all, and what
was not asked by then is a problem as well.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
import typing as t

from ansible_collections.vfio.migration.plugins.module_utils._host.arriving import Arriving
from ansible_collections.vfio.migration.plugins.module_utils._host.certificates import (
    certificate_facts,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.libvirt_binding import (
    CALL_SECONDS,
    DOMAIN_STATE,
    DOMAIN_STATES,
    Libvirt,
    LibvirtError,
    name_of,
    reason_of,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.libvirt_xml import (
    Facts,
    capability_facts,
    cpu_xml,
    guest_facts,
    networks_that_assign,
    short,
)
from ansible_collections.vfio.migration.plugins.module_utils._host.memory import memory_facts
from ansible_collections.vfio.migration.plugins.module_utils._host.mounts import is_shared
from ansible_collections.vfio.migration.plugins.module_utils._host.paths import Paths
from ansible_collections.vfio.migration.plugins.module_utils._host.volumes import is_shared_volume

# No host runs more guests, and no guest is blocked for more reasons.
MOST_GUESTS = 4096
MOST_PEERS = 64
# Of a guest that nothing holds, libvirt and QEMU say at once what they do. Else libvirt waits 30 seconds, and each such call is one of
# the five of a connection that it has in hand at a time.
_HELD_SECONDS = 2.0
# To log in to another host takes longer than to be answered.
_PEER_SECONDS = 30.0
_MOST_REASONS = 32
_MOST_ANSWER = 1 << 20

_QUERY = json.dumps({"execute": "query-migrate"})
# A host with all functions of some network cards has a device for each, and one more for each that represents one.
MOST_NAMES = 8192
_OPERATION = "VIR_DOMAIN_JOB_OPERATION_"
_OPERATIONS = (
    *("START", "SAVE", "RESTORE", "MIGRATION_IN", "MIGRATION_OUT", "SNAPSHOT", "SNAPSHOT_REVERT"),
    *("DUMP", "BACKUP", "SNAPSHOT_DELETE"),
)
_MIGRATION_IN = "migration in"
_COMPARED = ("INCOMPATIBLE", "IDENTICAL", "SUPERSET")


class Asking:
    """Asks libvirt on behalf of one task, for ``seconds`` in all; ``problems`` are those met so far."""

    def __init__(self, uri: str, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._seconds = seconds
        self.problems: list[Facts] = []
        self._paths = Paths()
        self._any_held = False
        self._pools_held = False
        self.libvirt = Libvirt(uri, self._left())

    def _left(self, most: float = CALL_SECONDS) -> float:
        return min(most, max(0.0, self._end - time.monotonic()))

    def ask(self, what: str, call: t.Callable[[], t.Any], most: float = CALL_SECONDS) -> t.Any:
        """Return what libvirt answers to ``call`` in what is left of the time, within so many seconds at ``most``.

        Raise ``LibvirtError``, which begins with ``what``.
        """
        left = self._left(most)
        if left <= 0:
            raise LibvirtError(
                f"{what}: libvirt was asked for {self._seconds:g} s, and that is over"
            )
        return self.libvirt.ask(what, call, left)

    def supported(
        self,
        what: str,
        call: t.Callable[[], t.Any],
        most: float = CALL_SECONDS,
        guest: str | None = None,
    ) -> t.Any:
        """Return what libvirt answers, ``None`` where it has nothing of that kind, or refuses, which is a problem of ``guest``."""
        try:
            return self.ask(what, call, most)
        except LibvirtError as error:
            if error.code != self.libvirt.binding.VIR_ERR_NO_SUPPORT:
                self.note(guest, error)
            return None

    def note(self, guest: str | None, error: Exception) -> None:
        """Note a problem, with the guest that it is about."""
        if len(self.problems) < MOST_GUESTS:
            self.problems.append({"guest": guest, "problem": short(str(error))})

    # --- guests ---

    def running(self) -> list[RunningDomain]:
        """Return the guests that run, by name; raise ``LibvirtError`` where libvirt does not say."""
        binding, connection = self.libvirt.binding, self.libvirt.connection
        domains = self.ask(
            "the guests cannot be listed",
            lambda: connection.listAllDomains(binding.VIR_CONNECT_LIST_DOMAINS_ACTIVE),
        )
        if len(domains) > MOST_GUESTS:
            raise LibvirtError(f"libvirt has {len(domains)} guests; expected {MOST_GUESTS} at most")
        found = [RunningDomain(short(each.name()), each.UUIDString(), each) for each in domains]
        return sorted(found, key=lambda each: each[:2])

    def paused(self) -> list[Facts] | None:
        """Return names and UUIDs of the guests that are paused, each with the reason, ``None`` where libvirt does not say which are.

        To be asked after ``running``: of those, one that still comes in is paused until it is whole.
        """
        binding, connection = self.libvirt.binding, self.libvirt.connection
        try:
            domains = self.ask(
                "the paused guests cannot be listed",
                lambda: connection.listAllDomains(binding.VIR_CONNECT_LIST_DOMAINS_PAUSED),
            )
        except LibvirtError as error:
            self.note(None, error)
            return None
        found = [fact for each in domains[:MOST_GUESTS] for fact in self._why_paused(each)]
        return sorted(found, key=lambda each: (each["name"], each["uuid"]))

    def _why_paused(self, domain: t.Any) -> t.Iterator[Facts]:
        """Yield a guest with the reason for which it is paused, unless it is not any more."""
        binding, reason = self.libvirt.binding, None
        name, uuid = short(domain.name()), domain.UUIDString()
        try:
            state, code = self.ask("why it is paused is not known", domain.state)[:2]
        except LibvirtError as error:
            if error.code == binding.VIR_ERR_NO_DOMAIN:
                return
            self.note(name, error)
        else:
            if state != binding.VIR_DOMAIN_PAUSED:
                return
            reason = reason_of(binding, "PAUSED", code)
        yield {"name": name, "uuid": uuid, "reason": reason}

    def guests(
        self,
        running: t.Iterable[RunningDomain],
        wanted: t.Collection[str] | None,
        blocked_reasons: bool,
        without_devices: bool = False,
        named: t.Collection[str] = (),
        definitions: bool = False,
    ) -> tuple[list[Facts], list[Facts]]:
        """Return the guests of ``running`` that have assigned devices, and names and UUIDs of the others.

        The others have none, are not wanted, or cannot be read, which is a problem. ``wanted`` are names or UUIDs, ``None`` for all. With
        ``blocked_reasons`` QEMU is asked, which taints the guest. With ``without_devices`` guests that have none are gathered like those
        that have some, without it those of them that are ``named``. With ``definitions`` their XML is added.
        """
        found, others = [], []
        for each in running:
            guest = None
            if wanted is None or each.is_among(wanted):
                whole = without_devices or each.is_among(named)
                try:
                    guest = self._guest(each, blocked_reasons, whole, definitions)
                except LibvirtError as error:
                    if error.code == self.libvirt.binding.VIR_ERR_NO_DOMAIN:
                        continue
                    self.note(each.name, error)
            if guest is None:
                others.append({"name": each.name, "uuid": each.uuid})
            else:
                found.append(guest)
        return found, others

    def defined(self) -> list[Facts] | None:
        """Return names and UUIDs of the guests that are defined and do not run, ``None`` where libvirt does not say."""
        binding, connection = self.libvirt.binding, self.libvirt.connection
        try:
            domains = self.ask(
                "the defined guests cannot be listed",
                lambda: connection.listAllDomains(binding.VIR_CONNECT_LIST_DOMAINS_INACTIVE),
            )
        except LibvirtError as error:
            self.note(None, error)
            return None
        found = sorted((short(each.name()), each.UUIDString()) for each in domains[:MOST_GUESTS])
        return [{"name": name, "uuid": uuid} for name, uuid in found]

    def _guest(
        self, guest: RunningDomain, blocked_reasons: bool, without_devices: bool, definitions: bool
    ) -> Facts | None:
        """Return what is known of a guest, ``None`` where it has no devices and that is not wanted.

        Raise ``LibvirtError`` where it cannot be read, or has ended meanwhile.
        """
        name, uuid, domain = guest
        xml = self.ask("its domain cannot be read", lambda: domain.XMLDesc(0))
        found = guest_facts(xml)
        if not found["devices"] and not without_devices:
            return None
        state, persistent, autostart = self.ask(
            "its state cannot be read",
            lambda: (
                domain.state()[0],
                domain.isPersistent(),
                domain.isPersistent() and domain.autostart(),
            ),
        )
        inactive = self._inactive(domain) if definitions and persistent else None
        obstacles, job_known = self._at_work(guest)
        if any(each["kind"] == "pci" for each in found["devices"]):
            names = networks_that_assign(xml, inactive or self._inactive(domain))
            obstacles += [{"kind": "network_device", "name": name} for name in names]
        found["obstacles"] += obstacles
        for disk in found["disks"]:
            disk["shared"] = self._is_shared(disk)
        known = {
            "name": name,
            "uuid": uuid,
            "state": self._name_of(DOMAIN_STATE, DOMAIN_STATES, state),
            "persistent": bool(persistent),
            "autostart": bool(autostart),
            "log": f"/var/log/libvirt/qemu/{name}.log",
            "job_known": job_known,
            "blocked_reasons": None,
            "definitions": {"active": xml, "persistent": inactive} if definitions else None,
        }
        if blocked_reasons:
            try:
                known["blocked_reasons"] = self._blocked_reasons(domain)
            except LibvirtError as error:
                self.note(name, error)
        return {**known, **found}

    def _at_work(self, guest: RunningDomain) -> tuple[list[Facts], bool]:
        """Return what is in the way of a guest that its domain does not show, and whether it is known if libvirt is at work on it."""
        found = []
        snapshots = self.supported(
            "its snapshots cannot be counted",
            lambda: guest.domain.snapshotNum(0),
            guest=guest.name,
        )
        if snapshots:
            found.append({"kind": "snapshots", "name": str(snapshots)})
        job, known = self._job(guest)
        if job is not None:
            found.append({"kind": "job", "name": job})
        return found, known

    def _job(self, guest: RunningDomain) -> tuple[str | None, bool]:
        """Return what libvirt does with a guest in the background, such as a migration, ``None`` for nothing, and whether that is known.

        It is not asked where something holds another guest: each call that libvirt leaves open is in the way of others.
        """
        if self._any_held:
            return None, False
        binding = self.libvirt.binding
        try:
            found = self._ask_promptly(
                lambda most: self.ask("its job is not known", guest.domain.jobStats, most),
                _HELD_SECONDS,
            )
        except LibvirtError as error:
            if error.code == binding.VIR_ERR_OPERATION_UNSUPPORTED:
                # Libvirt has the figures of a migration on its source alone, and says so on the target.
                return _MIGRATION_IN, True
            # It has no jobs, or no such guest any more.
            known = error.code in (binding.VIR_ERR_NO_SUPPORT, binding.VIR_ERR_NO_DOMAIN)
            if not known:
                self.note(guest.name, error)
            return None, known
        if not isinstance(found, dict) or not found.get("type"):
            return None, True
        name = self._name_of(_OPERATION, _OPERATIONS, found.get("operation", -1))
        return name.replace("_", " "), True

    def _ask_promptly(self, call: t.Callable[[float], t.Any], most: float) -> t.Any:
        """Return what a guest that nothing holds would say at once; ``call`` has the seconds for it, few where one has not said it."""
        try:
            return call(self._left(_HELD_SECONDS if self._any_held else most))
        except LibvirtError as error:
            self._any_held = self._any_held or error.code is None
            raise

    def _inactive(self, domain: t.Any) -> t.Any:
        """Return the XML of what a guest starts from, without passwords."""
        flags = self.libvirt.binding.VIR_DOMAIN_XML_INACTIVE
        return self.ask("what it starts from cannot be read", lambda: domain.XMLDesc(flags))

    def _blocked_reasons(self, domain: t.Any) -> list[str]:
        """Return why QEMU would not migrate a guest; raise ``LibvirtError`` where it does not say."""
        what = "QEMU does not say whether it can migrate"
        answer = self._ask_promptly(
            lambda most: self.libvirt.monitor_command(domain, _QUERY, what, most), CALL_SECONDS
        )
        try:
            if len(answer) > _MOST_ANSWER:
                raise ValueError(f"{len(answer)} characters; expected {_MOST_ANSWER} at most")
            reasons = json.loads(answer)["return"].get("blocked-reasons", [])
            return [short(str(each)) for each in [*reasons][:_MOST_REASONS]]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise LibvirtError(f"{what}: its answer is none: {error!r:.200}") from error

    def _is_shared(self, disk: Facts) -> bool | None:
        source = disk["source"]
        if disk["type"] not in ("file", "dir", "volume") or not source:
            return None
        try:
            if disk["type"] == "volume":
                return self._is_shared_volume(source)
            return t.cast(
                "bool | None", self.ask("a disk cannot be found", lambda: is_shared(source))
            )
        except LibvirtError:
            return None

    def _is_shared_volume(self, source: str) -> bool | None:
        """Return the same of a volume, ``None`` where libvirt was silent on another one; raise ``LibvirtError``."""
        if self._pools_held:
            return None
        try:
            found = self.ask(
                "a volume cannot be found",
                lambda: is_shared_volume(self.libvirt, source),
                _HELD_SECONDS,
            )
        except LibvirtError as error:
            self._pools_held = error.code is None
            raise
        return t.cast("bool | None", found)

    def _name_of(self, prefix: str, names: t.Sequence[str], code: t.Any) -> str:
        """Return the name that libvirt has for a number."""
        return (name_of(self.libvirt.binding, prefix, names, code) or "unknown").lower()

    # --- the host ---

    def versions(self) -> dict[str, str | None]:
        """Return the versions of libvirt and QEMU, ``None`` where libvirt does not say."""
        connection = self.libvirt.connection
        libvirt = self.supported("libvirt's version is not known", connection.getLibVersion)
        # Before libvirt answers, it looks at every QEMU that there is, which takes a slow host minutes.
        qemu = self.supported("QEMU's version is not known", self._qemu_version, self._seconds)
        return {"libvirt": _version(libvirt), "qemu": _version(qemu)}

    def _qemu_version(self) -> t.Any:
        """Return QEMU's version as a number.

        Libvirt looks for QEMU when it starts, which fails on a busy host, and again when it is asked for its capabilities.
        """
        connection = self.libvirt.connection
        try:
            return connection.getVersion()
        except self.libvirt.binding.libvirtError:
            connection.getCapabilities()
            return connection.getVersion()

    def host(self) -> Facts:
        """Return what the host has for guests: CPU, machine types, memory, networks, pools, links, IOMMUFD and certificates."""
        binding, connection = self.libvirt.binding, self.libvirt.connection
        capabilities: Facts = {"arch": None, "cpu": {"model": None, "vendor": None}, "machines": {}}
        try:
            capabilities = capability_facts(
                self.ask(
                    "the host's capabilities cannot be read",
                    connection.getCapabilities,
                    self._seconds,
                )
            )
        except LibvirtError as error:
            self.note(None, error)
        return {
            **capabilities,
            "memory": memory_facts(),
            "networks": self._active(
                "networks",
                lambda: connection.listAllNetworks(binding.VIR_CONNECT_LIST_NETWORKS_ACTIVE),
            ),
            "pools": self._active(
                "storage pools",
                lambda: connection.listAllStoragePools(
                    binding.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE
                ),
            ),
            "links": self._listed("network devices", _names_in("/sys/class/net")),
            "iommufd": os.path.exists("/dev/iommu"),
            "tls": certificate_facts(),
        }

    def _active(self, what: str, call: t.Callable[[], t.Any]) -> list[str] | None:
        """Return the names of what libvirt has active, none where it has nothing of that kind, ``None`` where it does not say."""
        before = len(self.problems)
        found = self.supported(f"the {what} cannot be listed", call)
        if len(self.problems) > before:
            return None
        return self._listed(what, [each.name() for each in found or ()])

    def _listed(self, what: str, names: t.Sequence[str]) -> list[str] | None:
        """Return the names in order, ``None`` where there are too many: a partial list does not show which are absent."""
        if len(names) > MOST_NAMES:
            self.note(
                None,
                LibvirtError(f"there are {len(names)} {what}; expected {MOST_NAMES} at most"),
            )
            return None
        return sorted(map(short, names))

    # --- guests of other hosts ---

    def arriving(self, guests: t.Sequence[Arriving]) -> list[Facts]:
        """Return what this host lacks for guests of others: how the CPU of each compares, and which files are not there.

        Each has its share of the time that is left, and what it leaves of that goes to those after it. ``unknown`` are files of
        which it did not show in time whether they are there.
        """
        compared = []
        for number, guest in enumerate(guests):
            end = time.monotonic() + self._left(self._seconds) / (len(guests) - number)
            compared.append(self._cpu(guest, end))
            for path in guest.paths:
                self._paths.look(path, end)
        # By now there may be an answer that came too late for the guest that it was first looked for.
        found = [{path: self._paths.found(path) for path in guest.paths} for guest in guests]
        return [
            {
                "uuid": guest.uuid,
                **cpu,
                "missing": [path for path in guest.paths if there[path] is False],
                "unknown": [path for path in guest.paths if there[path] is None],
            }
            for guest, cpu, there in zip(guests, compared, found)
        ]

    def peers(self, uris: t.Sequence[str]) -> list[Facts]:
        """Return which libvirt of other hosts this host does not reach, all asked at the same time, each with its ``problem``."""
        binding = self.libvirt.binding
        found: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()

        def reach(uri: str) -> None:
            try:
                binding.open(uri).close()
                found.put((uri, None))
            except Exception as error:  # noqa: BLE001 - any error is reported as the reason
                found.put((uri, short(str(error))))

        for uri in uris:
            threading.Thread(target=reach, args=(uri,), daemon=True).start()
        end = time.monotonic() + min(self._left(), _PEER_SECONDS)
        problems: dict[str, str | None] = dict.fromkeys(
            uris, f"it does not answer within {_PEER_SECONDS:g} s"
        )
        for _uri in uris:
            try:
                uri, problem = found.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                break
            problems[uri] = problem
        return [{"uri": uri, "problem": problem} for uri, problem in problems.items()]

    def _cpu(self, guest: Arriving, end: float) -> Facts:
        """Return how a guest's CPU compares, and why that cannot be said where libvirt refuses to."""
        cpu, problem = None, None
        try:
            cpu = self._compared(guest, end)
        except ValueError as error:
            problem = short(str(error))
        except LibvirtError as error:
            if error.code is None:
                # It is silent, and so says nothing against the guest.
                cpu = "unknown"
            # An unknown model or machine type is an error as well; to compare nothing at all is none.
            elif error.code != self.libvirt.binding.VIR_ERR_NO_SUPPORT:
                problem = short(str(error))
        return {"cpu": cpu, "cpu_problem": problem}

    def _compared(self, guest: Arriving, end: float) -> str | None:
        """Return how what the hypervisor here can give compares with the guest's CPU, ``None`` where that cannot be said."""
        if guest.cpu.get("mode") != "custom" or not guest.cpu.get("model"):
            return None
        connection, xml = self.libvirt.connection, cpu_xml(guest.cpu)
        emulator = guest.emulator
        if emulator is not None:
            self._paths.look(emulator, end)
            emulator = emulator if self._paths.found(emulator) else None
        found = self.ask(
            "its CPU cannot be compared",
            lambda: connection.compareHypervisorCPU(
                emulator, guest.arch, guest.machine, guest.virt_type, xml, 0
            ),
            min(CALL_SECONDS, end - time.monotonic()),
        )
        return self._name_of("VIR_CPU_COMPARE_", _COMPARED, found)


class RunningDomain(t.NamedTuple):
    """A guest that runs, as libvirt lists it."""

    name: str
    uuid: str
    domain: t.Any

    def is_among(self, names: t.Collection[str]) -> bool:
        """Return whether these have the name or the UUID of the guest."""
        return self.name in names or self.uuid in names


def _version(number: t.Any) -> str | None:
    """Return a version that libvirt has as a number, a million for each major one."""
    if not isinstance(number, int) or number <= 0:
        return None
    return f"{number // 1000000}.{number // 1000 % 1000}.{number % 1000}"


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
