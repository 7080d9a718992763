# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs of a simulated host: its Python, which Ansible runs modules with, and virsh; the first argument tells which.

The environment has the host's name as ``HOST`` and, as ``STATE``, a directory for the state of all hosts. There ``HOST`` has
the host's facts, ``guests`` the guests that libvirt runs, and ``HOST.answer`` what the host puts in place of an honest
answer, if it does. Python answers the collection's modules itself, and ansible.builtin.command, which most tasks run: the module
takes ten times as long to start as what it runs. All others it runs as they are.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
import typing as t

HOST, STATE = os.environ["HOST"], os.environ["STATE"]
# How every supported ansible-core hands arguments to a module: as JSON in one literal of the module's text.
_ARGUMENTS = re.compile(r"""('(?:[^'\\]|\\.)*"ANSIBLE_MODULE_ARGS"(?:[^'\\]|\\.)*')""")
_OURS = re.compile(
    r"(?:vfio[.]migration[.])?(vfio_\w+|vdpa_device|libvirt_\w+)\Z|(ansible[.]builtin[.]command)\Z"
)

State = dict[str, t.Any]


def read(name: str) -> t.Any:
    with open(f"{STATE}/{name}") as file:
        return json.load(file)


def write(name: str, data: t.Any) -> None:
    place = f"{STATE}/{name}"
    with open(f"{place}.{HOST}", "w") as file:
        json.dump(data, file)
    os.replace(f"{place}.{HOST}", place)


# --- Python ----------------------------------------------------------------------------------------------------------


def python(arguments: list[str]) -> None:
    """Answer as the module would that is in a file or comes from standard input, or as the host says in ``HOST.answer``."""
    if arguments and not os.path.basename(arguments[0]).startswith("AnsiballZ_"):
        os.execv(sys.executable, [sys.executable, *arguments])
    source = open(arguments[0]).read() if arguments else sys.stdin.read()  # noqa: SIM115
    found = _ARGUMENTS.search(source)
    options = json.loads(ast.literal_eval(found[1]))["ANSIBLE_MODULE_ARGS"] if found else {}
    ours = _OURS.match(str(options.get("_ansible_module_name")))
    module = (ours[1] or ours[2]) if ours else None
    lie = _lie(module)
    if lie and lie["texts"]:
        text = lie["texts"][lie["told"] % len(lie["texts"])]
        # A lone surrogate stands for a byte that is no text.
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        return
    honest = json.dumps(_MODULES[module](options)) if module else _run(source, arguments)
    print(_dishonest(honest, lie) if lie else honest)


def _lie(module: str | None) -> State:
    """Return what the host puts in place of this module's answer, empty where it is to be an honest one."""
    name = f"{HOST}.answer"
    if not os.path.exists(f"{STATE}/{name}"):
        return {}
    lie: State = read(name)
    if lie["after"]:
        write(name, {**lie, "after": lie["after"] if module != lie["after"] else None})
        return {}
    write(name, {**lie, "told": lie["told"] + 1})
    return lie


def _dishonest(honest: str, lie: State) -> str:
    """Return the honest answer with ``lie["keys"]`` in place of its own and ``lie["facts"]`` beside its facts."""
    answer = json.loads(honest)
    facts = {**lie["facts"], **answer.get("ansible_facts", {})}
    return json.dumps({**answer, **lie["keys"], "ansible_facts": facts})


def _run(source: str, arguments: list[str]) -> str:
    """Run a module as it is."""
    ended = subprocess.run(
        [sys.executable, *arguments],
        input=None if arguments else source,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return ended.stdout.strip()


def _facts(options: State) -> State:
    gathered = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "boot": None}
    facts = {**read(HOST), "gathered": gathered}
    return {"changed": False, "ansible_facts": {"vfio_migration": facts}}


def _mdev(options: State) -> State:
    facts = read(HOST)
    uuids = [each["uuid"] for each in options["devices"]]
    there = {each["id"] for each in facts["devices"]}
    if options.get("state", "present") == "present":
        new = {"in_use": None, "parent": facts["parents"][0]["id"]}
        example = read("device")
        facts["descriptors"].update(example["descriptors"])
        facts["devices"] += [
            {**example["devices"][0], **new, "id": uuid} for uuid in uuids if uuid not in there
        ]
        action = "created"
    else:
        stuck = os.path.exists(f"{STATE}/{HOST}.stuck") and read(f"{HOST}.stuck")
        gone = [*itertools.takewhile(lambda uuid: uuid != stuck, uuids)]
        facts["devices"] = [each for each in facts["devices"] if each["id"] not in gone]
        action = "removed"
        if gone != uuids:
            write(HOST, facts)
            return {"failed": True, "msg": f"cannot remove {uuids[len(gone)]}: it is busy"}
    if not options["_ansible_check_mode"]:
        write(HOST, facts)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{STATE}/{HOST}.journals")
    devices = [
        {"uuid": uuid, "action": "unchanged" if action == "created" and uuid in there else action}
        for uuid in uuids
    ]
    return {"changed": True, "devices": devices}


def _capture(options: State) -> State:
    with open(options["dest"], "w") as file:
        file.write(f"what sysfs of {HOST} shows")
    return {"changed": True, "dest": options["dest"]}


def _command(options: State) -> State:
    """Run a program as ansible.builtin.command does; what the collection has in /run is the host's own."""
    if options["_ansible_check_mode"]:
        return {"changed": False, "skipped": True, "rc": 0, "stdout": "", "stderr": ""}
    stdin = options.get("stdin")
    own = f"{STATE}/{HOST}.run"
    ended = subprocess.run(
        [each.replace("/run/vfio.migration", own) for each in options["argv"]],
        input=None if stdin is None else f"{stdin}\n",
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        check=False,
    )
    said = {"stdout": ended.stdout.rstrip("\r\n"), "stderr": ended.stderr.rstrip("\r\n")}
    answer: State = {"changed": True, "cmd": options["argv"], "rc": ended.returncode, **said}
    if ended.returncode:
        answer |= {"failed": True, "msg": "non-zero return code"}
    return answer


def _guest_info(options: State) -> State:
    """Return what libvirt says of the guests of the host, and that it lacks nothing for others."""
    here = {name: each for name, each in read("guests").items() if each["host"] == HOST}
    answer = read("libvirt")
    wanted, all_of_them = options.get("guests"), options.get("without_devices")
    named = options.get("named") or ()
    plain = [
        name
        for name, each in here.items()
        if not each["device"] and name not in named and each["uuid"] not in named
    ]
    unwanted = [
        name for name, each in here.items() if wanted is not None and each["uuid"] not in wanted
    ]
    left = unwanted if all_of_them else [*dict.fromkeys([*unwanted, *plain])]
    others = [{"name": name, "uuid": here[name]["uuid"]} for name in left]
    guests = [
        {
            **answer["guests"][0],
            "name": name,
            "uuid": each["uuid"],
            "devices": answer["guests"][0]["devices"] if each["device"] else [],
            "autostart": name == next(iter(here)),
            "definitions": _definitions(each) if options.get("definitions") else None,
            **each.get("info", {}),
        }
        for name, each in here.items()
        if (wanted is None or each["uuid"] in wanted) and (all_of_them or name not in plain)
    ]
    fitting = answer["arriving"][0]
    arriving = [{**fitting, "uuid": each["uuid"]} for each in options.get("arriving") or ()]
    return {
        **answer,
        "guests": guests,
        "others": others,
        "arriving": arriving,
    }


def _definitions(guest: State) -> State:
    """Return the XML of a guest as libvirt shows it to whoever may not see passwords."""
    xml = re.sub(" passwd='.*?'", "", guest["xml"])
    return {"active": xml, "persistent": xml}


def _libvirt_migrate(options: State) -> State:
    """Do what the module does for a guest: it is sent by the time that it has started, or that its ``seconds`` have passed."""
    guests = read("guests")
    (name,) = [name for name, each in guests.items() if each["uuid"] == options["uuid"]]
    step, place = options["step"], f"{options['uuid']}.sent"
    if step == "read":
        xml = guests[name]["xml"]
        return {"changed": False, "definitions": {"active": xml, "persistent": xml}}
    if step == "start":
        with open(f"{STATE}/{HOST}.tried", "w"):
            end = time.time() + guests[name].get("seconds", 0)
        write(place, {"end": end, "active_xml": options["active_xml"]})
        if end <= time.time():
            _send(name, place, options)
    if step in guests[name].get("dies", ()):
        os.kill(os.getpid(), signal.SIGKILL)
    if guests[name].get("told"):
        return {"changed": False, "begun": True, "status": {}, **guests[name]["told"]}
    left = read(place)["end"] - time.time()
    time.sleep(max(0.0, min(left, options.get("wait", 0))))
    if step == "watch" and left <= options.get("wait", 0):
        if "status" not in read(place):
            _send(name, place, options)
        return {"changed": False, "runs": False, "status": read(place)["status"]}
    status = {"data_total": 4 << 20, "data_processed": 3 << 20, "data_remaining": 1 << 20}
    return {"changed": True, "runs": True, "status": status}


def _send(name: str, place: str, options: State) -> None:
    """Let a guest be sent, and keep what came of it."""
    sent = read(place)
    with open(f"{STATE}/lock", "w") as lock:
        # Others migrate at the same time.
        fcntl.flock(lock, fcntl.LOCK_EX)
        write(place, {**sent, "status": _moved(read("guests"), name, {**options, **sent})})


def _moved(guests: State, name: str, options: State) -> State:
    """Let a guest move to the host of the URI, and its device be held there; return what the module returns."""
    times = {"began": 1800000000.5, "ended": 1800000001.0, "duration": 500}
    if guests[name].get("error"):
        logged = {"qemu_log": [], "kernel_log": ["it {{ refuses }}"]}
        failed = {"outcome": "failed", "errors": [guests[name]["error"]]}
        return {**failed, **logged, **times, "state": "running (unpaused)"}
    target = re.findall("qemu[+]ssh://root@(.*?)/system", options["destination"])[0]
    here, there = read(HOST), read(target)
    if guests[name]["device"]:
        new = re.findall("<address uuid='(.*?)'", options["active_xml"])[0]
        (source,) = [each for each in here["devices"] if each["id"] == guests[name]["device"]]
        (device,) = [each for each in there["devices"] if each["id"] == new]
        device["in_use"], source["in_use"] = source["in_use"], None
    guests[name]["host"] = target
    for place, data in ((HOST, here), (target, there), ("guests", guests)):
        write(place, data)
    return {"outcome": "moved", "errors": [], "state": None, "downtime": 70, "bytes": 4096, **times}


_MODULES: dict[str, t.Callable[[State], State]] = {
    "vfio_migration_facts": _facts,
    "vfio_mdev": _mdev,
    "vfio_capture": _capture,
    "libvirt_guest_info": _guest_info,
    "libvirt_migrate": _libvirt_migrate,
    "ansible.builtin.command": _command,
}


# --- virsh -----------------------------------------------------------------------------------------------------------


def virsh(arguments: list[str]) -> None:
    """Do what the role asks of libvirt, whose connection the first two arguments name."""
    words = arguments[2:]
    guests = read("guests")
    named = [name for name, each in guests.items() if each["uuid"] in " ".join(words)]
    command = words[0].split(" ")[0]
    _COMMANDS.get(command, _nothing)(guests, named[0] if named else "", words)


def _nothing(guests: State, name: str, words: list[str]) -> None:
    """Say nothing, as virsh does of limits and jobs."""


def _dumpxml(guests: State, name: str, words: list[str]) -> None:
    print(guests[name]["xml"])


def _domstate(guests: State, name: str, words: list[str]) -> None:
    if guests[name]["host"] != HOST:
        sys.exit("error: no domain")
    print("running (unpaused)")


_COMMANDS: dict[str, t.Callable[[State, str, list[str]], None]] = {
    "dumpxml": _dumpxml,
    "domstate": _domstate,
}


if __name__ == "__main__":
    {"python": python, "virsh": virsh}[sys.argv[1]](sys.argv[2:])
