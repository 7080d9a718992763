# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role migrate_libvirt with those that it uses and their filters, run by Ansible on two made-up hosts.

Their facts, the mediated devices that are made, and libvirt are those of a file. That guests really move is tried on the lab.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.vfio.migration.tests.unit.domains import domain_of, hostdev
from ansible_collections.vfio.migration.tests.unit.fleets import UUIDS, device, host, parent

COLLECTION = Path(__file__).parents[3]

# A guest's name is no program, for no version of Ansible.
HOSTILE = "vm {{ lookup('ansible.builtin.pipe', 'touch canary') }} [1]"
BROKEN, OLD = "vm-broken", "vm-old"
GUESTS = {
    HOSTILE: {"host": "a", "uuid": UUIDS[5], "device": UUIDS[1]},
    OLD: {"host": "a", "uuid": UUIDS[6], "device": UUIDS[2]},
    BROKEN: {"host": "b", "uuid": UUIDS[7], "device": UUIDS[3]},
}
ERROR = "error: {{ lookup('ansible.builtin.pipe', 'touch canary') }}"
TOO_OLD = (
    "QEMU 10.0.2 cannot migrate a VFIO device behind a virtual IOMMU;"
    " take <iommu> out of the domain and restart it, or update QEMU to 11.0.0"
)

STATE = """
import json, os
host = os.environ["HOST"]
def read(name):
    return json.load(open(f"{os.environ['STATE']}/{name}"))
def write(name, data):
    place = f"{os.environ['STATE']}/{name}"
    json.dump(data, open(f"{place}.{host}", "w"))
    os.replace(f"{place}.{host}", place)
"""

FACTS = """
import time
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({}, supports_check_mode=True)
gathered = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "boot": None}
module.exit_json(ansible_facts={"vfio_migration": read(host) | {"gathered": gathered}})
"""

MDEV = """
from ansible.module_utils.basic import AnsibleModule
options = {"devices": {"type": "list", "elements": "dict"}, "state": {"default": "present"}}
module = AnsibleModule(options | {"persistent": {"type": "bool"}, "timeout": {"type": "int"}})
facts = read(host)
uuids = [each["uuid"] for each in module.params["devices"]]
if module.params["state"] == "present":
    new = facts["devices"][0] | {"in_use": None}
    facts["devices"] += [new | {"id": uuid} for uuid in uuids]
else:
    facts["devices"] = [each for each in facts["devices"] if each["id"] not in uuids]
write(host, facts)
module.exit_json(changed=True, devices=[{"uuid": uuid, "action": "created"} for uuid in uuids])
"""

VIRSH = r"""
import re, sys
guests, words = read("guests"), sys.argv[3:]
here = {name: each for name, each in guests.items() if each["host"] == host}
found = [name for name, each in guests.items() if each["uuid"] in " ".join(words)]
if words[0].startswith("version"):
    print("Running hypervisor: QEMU 10.0.2\nRunning against daemon: 10.0.0\n==")
    print(*(f"{each['uuid']} {name}" for name, each in here.items()), sep="\n")
    print("", "==", *here, "", "==", *list(here)[:1], "", sep="\n")
elif words[0].startswith("dumpxml"):
    print("\n<==>\n".join([guests[found[0]]["xml"]] * (1 + (" --inactive " in words[0]))))
elif words[0] == "domstate":
    if found[0] not in here:
        sys.exit("error: no domain")
    print("running (unpaused)")
elif words[0] == "migrate":
    if found[0] == "vm-broken":
        sys.exit(read("error"))
    new = re.search("<address uuid='(.*?)'", open("domain00").read())[1]
    target = re.search("qemu[+]ssh://root@(.)/system", " ".join(words))[1]
    old = guests[found[0]]["device"]
    here, there = read(host), read(target)
    (source,) = [each for each in here["devices"] if each["id"] == old]
    (device,) = [each for each in there["devices"] if each["id"] == new]
    device["in_use"], source["in_use"] = source["in_use"], None
    guests[found[0]]["host"] = target
    for name, data in ((host, here), (target, there), ("guests", guests)):
        write(name, data)
elif words[0] == "autostart":
    sys.exit(0 if found[0] in here else "error: not here")
"""


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Build a directory with the collection but for two modules, the programs of the hosts, and their state."""
    copy = tmp_path / "ansible_collections/vfio/migration"
    (copy / "plugins/modules").mkdir(parents=True)
    for name in ("galaxy.yml", "meta", "playbooks", "roles"):
        (copy / name).symlink_to(COLLECTION / name)
    for path in (COLLECTION / "plugins").iterdir():
        if path.name != "modules":
            (copy / "plugins" / path.name).symlink_to(path)
    for path in (COLLECTION / "plugins/modules").glob("*.py"):
        (copy / "plugins/modules" / path.name).symlink_to(path)
    for name, text in (("vfio_migration_facts", FACTS), ("vfio_mdev", MDEV)):
        (copy / f"plugins/modules/{name}.py").unlink()
        (copy / f"plugins/modules/{name}.py").write_text(STATE + text)

    program(tmp_path / "bin/virsh", f"#!{sys.executable}\n{STATE}{VIRSH}")
    program(tmp_path / "bin/mdevctl", "#!/bin/sh\nexit 1\n")
    # The second line is what the kernel says after a migration has begun.
    dmesg = 'echo "[1.5] boot"; [ ! -e "$XML.was" ] || echo "[2.5] it {{ refuses }}"'
    program(tmp_path / "bin/dmesg", f"#!/bin/sh\n{dmesg}\n")
    program(tmp_path / "bin/mktemp", '#!/bin/sh\nmkdir "$XML" && : >"$XML.was" && echo "$XML"\n')
    for name in "ab":
        lines = f"export HOST={name} STATE={tmp_path}/state XML={tmp_path}/xml-{name} PATH={tmp_path}/bin:$PATH"
        program(tmp_path / name / "python", f'#!/bin/sh\n{lines}\nexec {sys.executable} "$@"\n')

    (tmp_path / "state").mkdir()
    for name in "ab":
        devices = [
            device(each["device"], vm=vm, pid=pid)
            for pid, (vm, each) in enumerate(GUESTS.items(), start=1)
            if each["host"] == name
        ]
        write(tmp_path, name, host(devices, [parent()]))
    write(tmp_path, "error", ERROR)
    guests = {vm: each | {"xml": xml_of(vm, each["device"])} for vm, each in GUESTS.items()}
    write(tmp_path, "guests", guests)
    return tmp_path


def write(place: Path, name: str, data: object) -> None:
    (place / "state" / name).write_text(json.dumps(data))


def read(place: Path, name: str) -> dict:
    return json.loads((place / "state" / name).read_text())


def xml_of(name: str, uuid: str) -> str:
    iommu = "<iommu model='intel'/>" if name == OLD else ""
    return domain_of(hostdev("mdev", uuid), iommu, name=name).replace("1048576", "1024")


def play(place: Path, guests: list[str]) -> subprocess.CompletedProcess[str]:
    hosts = {
        name: {
            "ansible_connection": "local",
            "ansible_python_interpreter": f"{place}/{name}/python",
        }
        for name in "ab"
    }
    (place / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    # What an operator gives is a template unless it is marked.
    options = "".join(f"\n- !unsafe {json.dumps(guest)}" for guest in guests)
    (place / "options.yml").write_text(f"migrate_libvirt_guests:{options}\n")
    command = [sys.executable, "-m", "ansible.cli.playbook", "--inventory=hosts.json"]
    command += ["--extra-vars=@options.yml", "vfio.migration.migrate_libvirt"]
    env = os.environ | {
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_ASYNC_DIR": f"{place}/async",
        "ANSIBLE_COLLECTIONS_PATH": str(place),
        "ANSIBLE_LOCAL_TEMP": f"{place}/local",
        "ANSIBLE_REMOTE_TEMP": f"{place}/remote",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
    }
    return subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, check=False)


def shown(output: str, task: str) -> list[str]:
    """Return the list that a task of ansible.builtin.debug shows."""
    found = re.search(rf"TASK \[[^\n]*{task}\].*?\"msg\": (\[.*?\n    \])", output, re.DOTALL)
    return json.loads(found[1])


def test_guests_move_fail_and_stay_whatever_their_names_are(place):
    ended = play(place, [*GUESTS])
    said = ended.stdout + ended.stderr
    assert shown(said, "Show what became of them") == [
        f"{HOSTILE} has moved from a to b",
        f"{OLD} stays on a:",
        f"  {TOO_OLD}",
        f"{BROKEN} stays on b:",
        f"  virsh: {ERROR}",
        "  the guest on b is running (unpaused)",
        "  the kernel on a: [2.5] it {{ refuses }}",
    ]
    assert f"for the reasons shown before: {OLD}, {BROKEN}; mend that" in said
    assert ended.returncode == 2
    assert not (place / "canary").exists()
    guests = read(place, "guests")
    assert {vm: each["host"] for vm, each in guests.items()} == {
        HOSTILE: "b",
        OLD: "a",
        BROKEN: "b",
    }
    # What the guest has left is removed, and what was made for the one that has not moved.
    holders = {
        name: sorted(each["in_use"]["name"] for each in read(place, name)["devices"])
        for name in "ab"
    }
    assert holders == {"a": [OLD], "b": sorted([BROKEN, HOSTILE])}
