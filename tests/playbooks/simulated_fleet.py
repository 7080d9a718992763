# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet of simulated hosts on this machine, and Ansible to run the collection's playbooks on them.

Each host is a Python of its own: what is in the ``STATE`` of the fleet takes the place of the kernel and of libvirt; see
simulated_host.py.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from ansible_collections.vfio.migration.tests.unit.domains import domain_of, hostdev
from ansible_collections.vfio.migration.tests.unit.fleets import device, host, parent
from ansible_collections.vfio.migration.tests.unit.libvirt_answers import (
    arrival_info,
    guest_info,
    libvirt_info,
)

COLLECTION = Path(__file__).resolve().parents[2]
# For whoever takes text for a template: it makes the file canary. A name may have it, as it has no slash.
PROGRAM = "{{ lookup('ansible.builtin.pipe', 'touch $CANARY') }}"
_PROGRAMS = Path(__file__).with_name("simulated_host.py")
# A task of a role is rarely as slow, even on a busy machine.
_SECONDS = 900

Guests = t.Mapping[str, t.Mapping[str, t.Any]]


class Fleet:
    """Hosts by name, in the inventory's order, with the guests that hold their devices.

    ``guests`` has for each guest its ``host``, ``uuid`` and ``device``, which may be ``None``, as ``xml`` what else its domain has, as ``info`` what
    else libvirt_guest_info returns of it, as ``error`` what libvirt says where it refuses to migrate it, as ``seconds`` how long that
    takes, as ``dies`` the steps of the module that are killed once they have done what they do, and as ``told`` what its host says of the
    migration in place of how far it is. ``room`` is how many devices each host may get, ``forks`` how many of them Ansible works on at the same time.
    """

    # What Python is to run as ansible-playbook.
    ANSIBLE_PLAYBOOK: t.ClassVar[tuple[str, str]] = ("-m", "ansible.cli.playbook")

    def __init__(
        self, place: Path, hosts: t.Sequence[str], guests: Guests, room: int = 8, forks: int = 4
    ) -> None:
        self.place = place
        self._forks = forks
        self.hosts = list(hosts)
        self._state = place / "state"
        for directory in ("state", "home", "work", "tmp"):
            (place / directory).mkdir(parents=True)
        namespace = place / "collections/ansible_collections/vfio"
        namespace.mkdir(parents=True)
        (namespace / "migration").symlink_to(COLLECTION)
        # No other configuration than Ansible's own defaults.
        (place / "ansible.cfg").touch()
        self._write("device", host([device("none")]))
        self._write("libvirt", libvirt_info(guest_info(), arriving=[arrival_info()]))
        self._write("guests", {vm: {**each, "xml": _xml(vm, each)} for vm, each in guests.items()})
        for name in hosts:
            devices = [
                device(each["device"], vm=vm, pid=pid)
                for pid, (vm, each) in enumerate(guests.items(), start=1)
                if each["host"] == name and each["device"]
            ]
            self._write(name, host(devices, [parent(available={"i915-GVTg_V5_4": room})]))
            self.install(name)

    @property
    def work(self) -> Path:
        """The directory in which Ansible runs."""
        return self.place / "work"

    @property
    def canary(self) -> Path:
        """The file that ``PROGRAM`` makes."""
        return self.place / "canary"

    def read(self, name: str) -> t.Any:
        """Return a host's facts as they are by now, or the ``guests``."""
        return json.loads((self._state / name).read_text())

    def guests(self) -> dict[str, str]:
        """Return the host that each guest is on by now."""
        return {vm: each["host"] for vm, each in self.read("guests").items()}

    def holders(self, name: str) -> list[str | None]:
        """Return who holds the devices of a host by now, a name each, or ``None`` for one that is free."""
        holders = [each["in_use"] for each in self.read(name)["devices"]]
        return sorted((each and each["name"] for each in holders), key=str)

    def put(self, name: str, facts: t.Mapping[str, t.Any]) -> None:
        """Let a host have these facts."""
        self._write(name, facts)

    def keep(self, name: str, device: str) -> None:
        """Let nobody remove this device of a host."""
        self._write(f"{name}.stuck", device)

    def interrupt(self, name: str) -> None:
        """Let a host have the journal of a call of vfio_mdev that was killed, until the next call."""
        (self._state / f"{name}.journals").write_text("/run/vfio.migration/mdev\n")

    def interrupted(self, name: str) -> bool:
        """Return whether a host has the journal of a call that was killed."""
        return (self._state / f"{name}.journals").exists()

    @contextlib.contextmanager
    def sending(self, name: str, uuid: str) -> t.Iterator[Path]:
        """Let a process of a host send a guest meanwhile; the file with the state of its migration is then as of one that has ended."""
        path = self._state / f"{name}.run/migrate/{uuid}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield path

    def lie(
        self,
        name: str,
        *,
        texts: t.Sequence[str] = (),
        after: str | None = None,
        facts: t.Mapping[str, t.Any] | None = None,
        keys: t.Mapping[str, t.Any] | None = None,
    ) -> None:
        """Let a host answer modules with ``texts`` in turn, or with further ``facts`` and other ``keys`` than the module's.

        Its answers are honest until that of the module ``after``, which is the last honest one.
        """
        lie = {
            "texts": [*texts],
            "after": after,
            "told": 0,
            "facts": facts or {},
            "keys": keys or {},
        }
        self._write(f"{name}.answer", lie)

    def cache(self, name: str, facts: t.Mapping[str, t.Any]) -> None:
        """Let Ansible's fact cache have ``facts`` of a host, in the form of every ansible-core."""
        self.keep_facts()
        text = json.dumps(facts)
        (self._cache / name).write_text(text)
        (self._cache / f"s1_{name}").write_text(json.dumps({"__payload__": text}))

    def age(self, name: str, minutes: int) -> None:
        """Let what Ansible's fact cache has of a host, if anything, be so old."""
        for path in (self._cache / f"s1_{name}", self._cache / name):
            if path.exists():
                found = json.loads(path.read_text())
                facts = json.loads(found["__payload__"]) if "__payload__" in found else found
                when = time.gmtime(time.time() - 60 * minutes)
                facts["vfio_migration"]["gathered"]["time"] = time.strftime(
                    "%Y-%m-%dT%H:%M:%SZ", when
                )
                self.cache(name, facts)
                return

    def keep_facts(self) -> None:
        """Let Ansible have a fact cache from now on, in which it keeps what it gathers."""
        self._cache.mkdir(parents=True, exist_ok=True)

    @property
    def _cache(self) -> Path:
        return self.place / "local/cache"

    def play(
        self,
        playbooks: str,
        variables: t.Mapping[str, t.Any] | None = None,
        extra: str = "",
        arguments: t.Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run ``playbooks``, by their names, with ``variables`` of the inventory, and ``extra`` variables as YAML."""
        return subprocess.run(
            self._command(playbooks, variables or {}, extra, arguments),
            cwd=self.work,
            env=os.environ | self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )

    def timed(
        self, playbooks: str, variables: t.Mapping[str, t.Any] | None = None, extra: str = ""
    ) -> tuple[int, list[tuple[float, str]]]:
        """Run ``playbooks``; return the exit status, and what Ansible printed, each line with when it did, in seconds."""
        process = subprocess.Popen(
            self._command(playbooks, variables or {}, extra, ()),
            cwd=self.work,
            env=os.environ | self.environment() | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with process:
            lines = [(time.monotonic(), line) for line in process.stdout or ()]
        return process.returncode, lines

    def kill(
        self,
        playbooks: str,
        task: str | int,
        variables: t.Mapping[str, t.Any] | None = None,
        extra: str = "",
    ) -> bool:
        """Run ``playbooks`` and kill Ansible with all its children once it is at ``task``; return whether it got there.

        The task is given by its name or a part of that, or that of its play, or by its number in the run.
        """
        process = subprocess.Popen(
            self._command(playbooks, variables or {}, extra, ()),
            cwd=self.work,
            env=os.environ | self.environment() | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        with process:
            tasks, reached = 0, False
            for line in process.stdout or ():
                tasks += line.startswith("TASK [")
                reached = tasks == task if isinstance(task, int) else task in line and "[" in line
                if reached:
                    break
            os.killpg(process.pid, signal.SIGKILL)
        return reached

    def signal(
        self, playbooks: str, line: str, number: int, variables: t.Mapping[str, t.Any]
    ) -> str:
        """Run ``playbooks`` and signal Ansible once it has shown a line with this text, as a terminal does; return what it shows."""
        process = subprocess.Popen(
            # Tests that run under nohup(1) ignore SIGHUP, and so would all that they start.
            ["env", "--default-signal", *self._command(playbooks, variables, "", ())],
            cwd=self.work,
            env=os.environ | self.environment() | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        said = []
        with process:
            for each in process.stdout or ():
                said.append(each)
                if line in each and process.poll() is None and number:
                    os.killpg(process.pid, number)
                    number = 0
        return "".join(said)

    def change(self, guest: str, **changes: t.Any) -> None:
        """Let a guest be another one from now on; see ``__init__``."""
        guests = self.read("guests")
        guests[guest].update(changes)
        self._write("guests", guests)

    def answer(self, **changes: t.Any) -> None:
        """Let libvirt_guest_info return other values under these keys on all hosts from now on."""
        self._write("libvirt", self.read("libvirt") | changes)

    def arrive(self, guest: str, target: str) -> None:
        """Let a guest that is on its way arrive though nobody watches."""
        guests = self.read("guests")
        source = guests[guest]["host"]
        sent = self.read(f"{guests[guest]['uuid']}.sent")
        here, there = self.read(source), self.read(target)
        if guests[guest]["device"]:
            new = re.findall("<address uuid='(.*?)'", sent["active_xml"])[0]
            (left,) = [each for each in here["devices"] if each["id"] == guests[guest]["device"]]
            (held,) = [each for each in there["devices"] if each["id"] == new]
            held["in_use"], left["in_use"] = left["in_use"], None
        guests[guest]["host"] = target
        for place, data in ((source, here), (target, there), ("guests", guests)):
            self._write(place, data)

    def _command(
        self,
        playbooks: str,
        variables: t.Mapping[str, t.Any],
        extra: str,
        arguments: t.Sequence[str],
    ) -> list[str]:
        (self.place / "hosts.json").write_text(json.dumps(self.inventory(variables)))
        (self.place / "extra.yml").write_text(extra or "{}")
        command = [sys.executable, *self.ANSIBLE_PLAYBOOK, "--inventory=../hosts.json"]
        return [*command, "--extra-vars=@../extra.yml", *arguments, *playbooks.split()]

    def inventory(self, variables: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Return an inventory of the hosts, which all are in the group ``hypervisors``, with variables of all of them."""
        hosts = {name: self._connection(name) for name in self.hosts}
        groups = {"hypervisors": {"hosts": dict.fromkeys(hosts)}}
        return {"all": {"hosts": hosts, "children": groups, "vars": dict(variables)}}

    def _write(self, name: str, data: t.Any) -> None:
        (self._state / name).write_text(json.dumps(data))

    def install(self, name: str) -> None:
        """Put the programs of a host where its Python finds them."""
        bin_ = self.place / name / "bin"
        lines = f"export HOST={name} STATE={self._state} PATH={bin_}:$PATH"
        run = f"exec {sys.executable} -I {_PROGRAMS}"
        _program(bin_ / "python", f'{lines}\n{run} python "$@"')
        _program(bin_ / "virsh", f'{run} virsh "$@"')
        _program(bin_ / "mdevctl", "exit 1")
        _program(bin_ / "find", f"cat {self._state}/{name}.journals")
        # The second line is what the kernel of a host says once that has sent a guest.
        _program(
            bin_ / "dmesg",
            f'echo "[1.5] boot"; [ ! -e {self._state}/{name}.tried ] || echo "[2.5] it {{{{ refuses }}}}"',
        )

    def _connection(self, name: str) -> dict[str, str]:
        python = f"{self.place}/{name}/bin/python"
        return {"ansible_connection": "local", "ansible_python_interpreter": python}

    def environment(self) -> dict[str, str]:
        """Return what Ansible runs with on this machine, and nothing of the machine's own configuration."""
        cache = {
            "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(self._cache),
        }
        return {
            **(cache if self._cache.is_dir() else {}),
            "LC_ALL": "C.UTF-8",
            "CANARY": str(self.canary),
            "HOME": f"{self.place}/home",
            "TMPDIR": f"{self.place}/tmp",
            "ANSIBLE_ASYNC_DIR": f"{self.place}/async",
            "ANSIBLE_CONFIG": f"{self.place}/ansible.cfg",
            "ANSIBLE_COLLECTIONS_PATH": f"{self.place}/collections",
            "ANSIBLE_DEPRECATION_WARNINGS": "0",
            "ANSIBLE_FORKS": str(self._forks),
            "ANSIBLE_LOCAL_TEMP": f"{self.place}/local",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_REMOTE_TEMP": f"{self.place}/remote",
        }


def shown(output: str, task: str) -> list[str]:
    """Return the list that a task of ansible.builtin.debug shows."""
    found = re.search(rf"TASK \[[^\n]*{task}\].*?\"msg\": (\[.*?\n    \])", output, re.DOTALL)
    return t.cast("list[str]", json.loads(found[1] if found else "[]"))


def _xml(name: str, guest: t.Mapping[str, t.Any]) -> str:
    devices = [hostdev("mdev", guest["device"])] if guest["device"] else []
    domain = domain_of(*devices, guest.get("xml", ""), name=name)
    return domain.replace("1048576", "1024")


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
