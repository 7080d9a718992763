# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!

"""The parts of the report's page except for its verdict, each as markup from the report's document alone."""

from __future__ import annotations

import typing as t
from collections import defaultdict

from ansible_collections.vfio.migration.plugins.plugin_utils import contract
from ansible_collections.vfio.migration.plugins.plugin_utils._compat.wording import counted
from ansible_collections.vfio.migration.plugins.plugin_utils._report.page_tables import (
    Column,
    Content,
    Row,
    Table,
    breaking,
    bullets,
    code,
    link,
    markup,
    part,
    quiet,
    tag,
    tagged,
)
from markupsafe import Markup

# So many names of groups of hosts are shown in a row, and so many kinds of hardware.
MAX_NAMES = 8
MAX_KINDS = 4
# Of more classes or hosts, what is below a row is shortened; the report as JSON has the rest.
MAX_DETAILED = 300
# What the name of a class begins with; the model has a column of its own.
_KNOWN = ("type", "software_version", "device_api", "pci_id", "driver")
_SIGNS = {"all": "●", "some": "◐", "none": "○", "nothing": "—"}
# What there is to know of a host or class, in the order in which it can be chosen.
_HOST_CHOICES = (
    "all hosts",
    "what could not all leave",
    "what could all leave",
    "devices that cannot migrate",
    "no devices",
)
_CLASS_CHOICES = ("all classes", "what has to stay", "what drivers state", "what is derived")
_GUEST_CHOICES = ("all", "what stays", "what moves")


def level(yes: int, count: int) -> str:
    """Return whether all, some or none of so many could."""
    return "nothing" if not count else "all" if yes == count else "some" if yes else "none"


def class_name(entry: contract.ReportedClass) -> str:
    """Return the attributes that distinguish a class, in a line."""
    own = entry["self"]
    rest = [f"{name}={value}" for name, value in own.items() if name not in _KNOWN and value]
    return " · ".join([own["type"], own["software_version"], *rest])


def group_name(group: contract.HostGroup) -> str:
    """Return what a group of hosts is called."""
    others = group["hosts"] - 1
    if not others:
        return group["name"]
    if group["mixed"]:
        return f"{group['name']} and {counted(others, 'other')}"
    return f"{group['name']} and {counted(others, 'host')} like it"


def first_of(names: t.Sequence[str], count: int) -> str:
    """Return some names of so many."""
    more = count - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more > 0 else "")


class PageParts:
    """Makes the parts of the page for one report."""

    def __init__(self, report: contract.Report) -> None:
        self._report = report
        self._groups = report["host_groups"]
        self._hosts = {each["name"]: number for number, each in enumerate(report["hosts"])}
        self._devices: dict[str, list[contract.ReportedDevice]] = defaultdict(list)
        for each in report["devices"]:
            self._devices[each["host"]].append(each)

    def _host(self, name: str) -> Content:
        """Return a host's name, as a link to what is known of it."""
        number = self._hosts.get(name)
        return breaking(name) if number is None else link(f"host-{number}", breaking(name))

    # --- the plan ---

    def guests(self, plan: contract.PlanSection) -> Markup:
        """Return who was to be moved: who stays, and why, and then who goes where."""
        if not plan["guests"]:
            return Markup("")
        waves = len(plan["waves"]) > 1
        columns = [
            Column("Guest"),
            Column("From"),
            Column("To"),
            *([Column("Wave", number=True)] if waves else []),
            Column("Devices", wide=True),
            Column("Target or reason", wide=True),
            Column("Remedy or note", wide=True),
        ]
        moves = {(each["host"], each["id"]): each for each in plan["moves"]}
        rows = [
            self._guest(each, number, plan, moves, waves)
            for number, each in enumerate(plan["guests"])
        ]
        return Table("Guests", columns, rows, _GUEST_CHOICES).markup()

    def _guest(
        self,
        guest: contract.GuestMove,
        number: int,
        plan: contract.PlanSection,
        moves: t.Mapping[tuple[str, str], contract.Move],
        waves: bool,
    ) -> Row:
        stays = guest["to"] is None
        unnamed = "not in use" if not guest["in_use"] else "unnamed guest"
        cells: list[Content] = [
            tagged("strong", guest["vm"]) if guest["vm"] else quiet(unnamed),
            self._host(guest["host"]),
            tag("none", "stays") if guest["to"] is None else self._host(guest["to"]),
            *([guest["wave"] or ""] if waves else []),
            markup(bullets(guest["hardware"])) if guest["hardware"][1:] else guest["hardware"],
            guest["why"] or "" if stays else self._in_short(guest["becomes"]),
            guest["remedy"] or "" if stays else self._to_know(guest["warnings"]),
        ]
        devices = [
            self._device(each, moves.get((each["host"], each["id"]))) for each in guest["devices"]
        ]
        return Row(cells, part("Devices", devices), f"guest-{number}", (1 if stays else 2,))

    def _in_short(self, becomes: t.Sequence[str]) -> Content:
        distinct = list(dict.fromkeys(becomes))
        return distinct[0] if len(distinct) == 1 else bullets(distinct)

    def _to_know(self, warnings: t.Sequence[int]) -> Content:
        """Return the numbers of what was assumed, as links to the list of that."""
        links = [link(f"assumed-{each}", f"({each + 1})") for each in warnings]
        return [Markup(" ").join(links)] if links else quiet("nothing")

    def _device(self, label: contract.DeviceLabel, move: contract.Move | None) -> Content:
        if move is None:
            return [code(label["id"]), f" on {label['host']}"]
        to = move["to"]
        kept = label["id"] == to["id"]
        what = f"a new {to['type']}" if to["create"] else f"an existing {to['type'] or to['kind']}"
        under = f" under {to['parent']}" if to["parent"] else ""
        given = f", {to['attributes']}" if to["attributes"] else ""
        return [
            code(label["id"]),
            f" on {label['host']} → ",
            [code(to["id"]), " "] if not kept else "the same id ",
            f"on {to['host']}, {what}{under}{given} ",
            tag("plain", move["certainty"]),
        ]

    def writes(self, plan: contract.PlanSection) -> Markup:
        """Return what is written on each target host, in order."""
        columns = [
            Column("Host"),
            Column("Step", number=True),
            Column("Device"),
            Column("What is done", wide=True),
            Column("Where"),
        ]
        rows = [
            Row(
                [
                    self._host(host["host"]),
                    number + 1,
                    code(each["device"]),
                    self._write(each),
                    code(each["where"]) if each["where"] else "",
                ]
            )
            for host in plan["writes"]
            for number, each in enumerate(host["writes"])
        ]
        if not rows:
            return tagged(
                "p", "Nothing is written: all targets are there, with all that they need."
            )
        return Table("Writes", columns, rows).markup()

    def _write(self, write: contract.Write) -> Content:
        what = f" ({write['what']})" if write["what"] else ""
        if write["action"] == "create":
            options = [" with ", code(write["after"])] if write["after"] else ""
            return [f"create {write['what']}", options]
        setting = f"{write['attribute']}={write['after']}"
        before = "" if write["before"] is None else f", which is {write['before']!r} now"
        return ["set ", code(setting), what, before]

    def capacity(self, plan: contract.PlanSection) -> Markup:
        """Return who receives, and what places they have left."""
        left: dict[str, list[contract.CapacityLeft]] = defaultdict(list)
        for each in plan["capacity"]:
            left[each["host"]].append(each)
        columns = [
            Column("Host"),
            Column("Receives", number=True),
            Column("Of them new", number=True),
            Column("Places left of what it receives, after the move", wide=True),
        ]
        rows = [
            Row(
                [
                    self._host(host["host"]),
                    host["devices"],
                    host["created"],
                    bullets(
                        f"{each['type']}: {each['after']:,} of {each['before']:,}"
                        for each in left[host["host"]]
                    ),
                ]
            )
            for host in plan["targets"]
        ]
        return Table("Receivers", columns, rows).markup()

    def waves(self, plan: contract.PlanSection) -> Markup:
        """Return the waves one after the other, each as long as the number of its devices."""
        most = max((each["devices"] for each in plan["waves"]), default=1)
        return tagged(
            "ol",
            [
                tagged(
                    "li",
                    [
                        tagged("strong", f"Wave {each['wave']}"),
                        Markup(
                            ' <meter min="0" max="{}" value="{}" aria-label="Devices of wave {}"></meter> '
                        ).format(most, each["devices"], each["wave"]),
                        _moving(each),
                    ],
                )
                for each in plan["waves"]
            ],
            "waves",
        )

    def assumed(self, plan: contract.PlanSection) -> Markup:
        """Return what the plan takes for granted, numbered as the guests' rows name it."""
        items = [
            Markup('<li id="assumed-{}">{} {}</li>').format(
                number,
                markup(each["warning"]),
                quiet(f"({counted(each['moves'], 'move')})"),
            )
            for number, each in enumerate(plan["warnings"])
        ]
        return tagged("ol", items, "plain-list") if items else Markup("")

    def left_behind(self, plan: contract.PlanSection) -> Markup:
        """Return the devices that are left behind, with the reasons on each host."""
        return markup([self._behind(each) for each in plan["left_behind"]])

    def _behind(self, entry: contract.LeftBehind) -> Markup:
        first, *others = entry["devices"]
        who = f"{first['vm'] or first['id']} on {first['host']}"
        if others:
            who += f" and {counted(len(others), 'device')} more"
        reasons: list[Content] = [
            [
                tagged("strong", each["host"]) if each["host"] is not None else "",
                quiet(f" and {counted(each['alike'], 'further host')} alike")
                if each["alike"]
                else "",
                ": " if each["host"] is not None else "",
                _reasons(each),
            ]
            for each in entry["reasons"]
        ]
        if entry["reasons_not_shown"]:
            reasons.append(
                quiet(f"and so on, {counted(entry['reasons_not_shown'], 'further host')}")
            )
        devices: list[Content] = [
            [code(each["id"]), f" on {each['host']}", f", of {each['vm']}" if each["vm"] else ""]
            for each in entry["devices"]
        ]
        return Markup("<details open><summary>{}</summary>{}{}</details>\n").format(
            markup([tagged("strong", who), f": {entry['cause']}"]),
            part("Devices", devices),
            part("Why", reasons),
        )

    # --- the fleet ---

    def matrix(self) -> Markup:
        """Return how many devices of each group (row) could go to each group (column)."""
        names = [group_name(each) for each in self._groups]
        heads = [
            Markup('<th scope="col">{}</th>').format(markup(str(number + 1)))
            for number, _name in enumerate(names)
        ]
        lines = [
            Markup('<tr><th scope="row">{}</th>{}</tr>\n').format(
                markup([quiet(f"{row + 1} "), names[row]]),
                markup([self._cell(row, column) for column in range(len(names))]),
            )
            for row in range(len(names))
        ]
        return Markup(
            '<table class="matrix plain"><caption class="hidden">From each row to each column, by number</caption>'
            '<thead><tr><th scope="col">From</th>{}</tr></thead><tbody>{}</tbody></table>'
        ).format(markup(heads), markup(lines))

    def _cell(self, row: int, column: int) -> Markup:
        itself = row == column and self._groups[row]["hosts"] == 1
        count = 0 if itself else self._groups[row]["devices"]
        yes = 0 if itself else self._report["matrix"][row][column]
        found = level(yes, count)
        return tagged("td", f"{yes} of {count}" if count else _SIGNS[found], f"cell-{found}")

    def hosts(self) -> Markup:
        """Return the hosts, each with its devices or classes of them."""
        columns = [
            Column("Host"),
            Column("Hardware", wide=True),
            Column("Devices", number=True),
            Column("In use", number=True),
            Column("Could leave", number=True),
        ]
        rows = [
            Row(
                [
                    breaking(each["name"]),
                    _hardware(self._groups[each["host_group"]]),
                    each["devices"],
                    each["in_use"],
                    tag(
                        level(each["reachable"], each["devices"]) if each["devices"] else "plain",
                        f"{each['reachable']} of {each['devices']}",
                    ),
                ],
                self._of_host(each),
                f"host-{number}",
                _host_kinds(each),
            )
            for number, each in enumerate(self._report["hosts"])
        ]
        return Table("Hosts", columns, rows, _HOST_CHOICES).markup()

    def _of_host(self, host: contract.ReportedHost) -> Content:
        devices = self._devices.get(host["name"])
        if devices is None and len(self._report["hosts"]) > MAX_DETAILED:
            counts = [
                f"{number + 1} ({count:,}, {free:,} free)"
                for number, count, free in host["classes"]
            ]
            return f"Classes: {', '.join(counts)}" if counts else ""
        if devices is None:
            classes = [
                [link(f"class-{number}", f"class {number + 1}"), f" {count:,}, {free:,} free"]
                for number, count, free in host["classes"]
            ]
            if host["excluded"]:
                classes.append([f"{counted(host['excluded'], 'device')} cannot migrate at all"])
            return Markup("; ").join(map(markup, classes)) or "There is no VFIO device on it."
        return part("Devices", [self._of_device(each) for each in devices])

    def _of_device(self, device: contract.ReportedDevice) -> Content:
        number = device["class"]
        under = f" under {device['parent']}" if device["parent"] else ""
        return [
            code(device["id"]),
            f" {device['type'] or device['kind']}{under}, ",
            f"held by {device['vm']}" if device["vm"] else "in use" if device["in_use"] else "free",
            ["; ", self._where(number, device["host"])] if number is not None else "",
            [": ", tag("none", "cannot migrate"), f" {device['obstacle']}"]
            if device["obstacle"]
            else "",
        ]

    def _where(self, number: int, host: str) -> Content:
        """Return where devices of a class could go from ``host``."""
        entry = self._report["classes"][number]
        groups = [self._groups[each["host_group"]] for each in entry["reach"]]
        # What is on a host does not go to the same host.
        places = [group_name(each) for each in groups if (each["name"], each["hosts"]) != (host, 1)]
        there = (
            f"could go to {first_of(places[:MAX_NAMES], len(places))}"
            if places
            else "nowhere to go"
        )
        return [link(f"class-{number}", f"class {number + 1}"), f", {there}"]

    def classes(self) -> Markup:
        """Return the classes of devices, each with what it states and what comes near to it."""
        columns = [
            Column("Class", wide=True),
            Column("Model"),
            Column("Stated by"),
            Column("Hosts", number=True),
            Column("Devices", number=True),
            Column("Free", number=True),
            Column("Have to stay", number=True),
        ]
        rows = [
            Row(
                [
                    [quiet(f"{number + 1} "), code(class_name(each))],
                    each["self"].get("pci_id")
                    or each["self"].get("driver")
                    or each["self"]["device_api"],
                    "sysfs (derived)" if each["origin"] == "derived" else "its driver",
                    each["hosts"],
                    each["devices"],
                    each["free"],
                    tag("some" if each["staying"] < each["devices"] else "none", each["staying"])
                    if each["staying"]
                    else "0",
                ],
                self._of_class(each),
                f"class-{number}",
                _class_kinds(each),
            )
            for number, each in enumerate(self._report["classes"])
        ]
        return Table("Classes", columns, rows, _CLASS_CHOICES).markup()

    def _of_class(self, entry: contract.ReportedClass) -> Content:
        """Return what a class states, where its devices could go, and what keeps others away."""
        if len(self._report["classes"]) > MAX_DETAILED:
            return self._of_one_of_many(entry)
        targets = [self._target(each) for each in entry["targets"]]
        if entry["targets_not_shown"]:
            targets.append(quiet(f"and {counted(entry['targets_not_shown'], 'further class')}"))
        why = f"{counted(entry['staying'], 'device')} would have to stay: {entry['why']}."
        return [
            part("It says of itself", [code(_listed(entry["self"]))]),
            part("It lists as compatible", [code(_listed(each)) for each in entry["compatible"]]),
            tagged("p", why) if entry["why"] else "",
            part("Devices that could take it", targets),
            part(
                "New devices that could take it", [_creatable(each) for each in entry["creatable"]]
            ),
            part(
                "Hosts that have something for it", [self._reach(each) for each in entry["reach"]]
            ),
            part(
                "Hosts that have nothing for it",
                [
                    [group_name(self._groups[each["host_group"]]), ": ", _reasons(each)]
                    for each in entry["obstacles"]
                ],
            ),
            part(
                "What comes near, and what keeps it away",
                [
                    [
                        self._class(each["class"]),
                        f" ({counted(each['devices'], 'device')}): ",
                        tagged("span", "; ".join(each["reasons"]), "near"),
                        quiet("; assumed") if each["certainty"] == "assumed" else "",
                    ]
                    for each in entry["misses"]
                ],
            ),
            part(
                "Attributes that alone keep devices away",
                [
                    f"{each['attribute']}: {counted(each['devices'], 'device')} of {counted(each['classes'], 'class')}"
                    for each in entry["barriers"]
                ],
            ),
        ]

    def _of_one_of_many(self, entry: contract.ReportedClass) -> Content:
        """Return the content for a class among very many."""
        near = entry["misses"][0]["reasons"] if entry["misses"] else []
        others = [each for each in entry["compatible"] if each != entry["self"]]
        return [
            ["It lists ", code("; ".join(map(_listed, others))), ". "] if others else "",
            f"{entry['why']}. " if entry["why"] else "",
            ["Nearest: ", tagged("span", "; ".join(near), "near")] if near else "",
        ]

    def _class(self, number: int) -> Markup:
        return link(f"class-{number}", class_name(self._report["classes"][number]))

    def _target(self, target: contract.TargetClass) -> Content:
        bound = f" with {_listed(target['bindings'])}" if target["bindings"] else ""
        return [
            self._class(target["class"]),
            f"{bound} ({target['certainty']}): {target['free']} free of {counted(target['devices'], 'device')}",
            quiet("; source and target disagree") if target["direction_conflict"] else "",
            bullets(target["warnings"]),
        ]

    def _reach(self, reach: contract.ReachableGroup) -> Content:
        how = [counted(reach["free"], "free device")] if reach["free"] else []
        how += [f"capacity for a new {' or '.join(reach['new'])}"] if reach["new"] else []
        group = self._groups[reach["host_group"]]
        on = f", on {counted(reach['hosts'], 'host')}" if group["hosts"] > 1 else ""
        return [group_name(group), f": {', and '.join(how)}{on}"]

    def versions(self) -> Markup:
        """Return the versions of each model, and where they are."""
        if not self._report["versions"]:
            return tagged("p", "No device states one.")
        columns = [
            Column("Model", wide=True),
            Column("Device API"),
            Column("Version"),
            Column("Hosts", number=True),
            Column("Devices", number=True),
            Column("Where", wide=True),
        ]
        rows = [
            Row(
                [
                    " ".join(
                        [
                            *([model["name"]] if model["name"] else []),
                            *model["drivers"],
                            model["model"],
                        ]
                    ),
                    model["device_api"],
                    [
                        each["version"],
                        [" ", tag("some", "one of several")] if model["mixed"] else "",
                    ],
                    each["hosts"],
                    each["devices"],
                    first_of(each["names"], each["hosts"]),
                ],
                kinds=(1,) if model["mixed"] else (),
            )
            for model in self._report["versions"]
            for each in model["versions"]
        ]
        choices = ("all models", "models in several versions")
        return Table("Versions", columns, rows, choices).markup()

    def problems(self) -> Markup:
        """Return the problems, those that were found most often first."""
        parts = [
            ("Hosts without usable facts", self._report["unknown"]),
            ("Devices that cannot migrate at all", self._report["excluded"]),
            ("What went wrong while the facts were gathered", self._report["problems"]),
        ]
        columns = [
            Column("What", wide=True),
            Column("Times", number=True),
            Column("Hosts", wide=True),
        ]
        shown = [
            [
                tagged("h3", heading),
                Table(
                    heading,
                    columns,
                    [
                        Row(
                            [each["text"], each["count"], first_of(each["names"], each["hosts"])],
                            part("Where", [code(path) for path in each["paths"]]),
                        )
                        for each in findings
                    ],
                ).markup(),
            ]
            for heading, findings in parts
            if findings
        ]
        return markup(shown) if shown else tagged("p", "There are none.")

    def data(self) -> dict[str, t.Any]:
        """Return what the script needs to say why devices of a group of hosts could or could not go to another one."""
        has: list[dict[int, int]] = [defaultdict(int) for _group in self._groups]
        for host in self._report["hosts"]:
            for number, count, _free in host["classes"]:
                has[host["host_group"]][number] += count
        return {
            "host_groups": self._groups,
            "matrix": self._report["matrix"],
            "has": [[[number, count] for number, count in each.items()] for each in has],
            "reach": [each["reach"] for each in self._report["classes"]],
            "obstacles": [each["obstacles"] for each in self._report["classes"]],
        }


def _host_kinds(host: contract.ReportedHost) -> list[int]:
    all_leave = host["devices"] > 0 and host["reachable"] == host["devices"]
    kinds = {1: host["reachable"] < host["devices"], 2: all_leave, 3: host["excluded"] > 0}
    return [number for number, holds in (kinds | {4: not host["devices"]}).items() if holds]


def _class_kinds(entry: contract.ReportedClass) -> list[int]:
    derived = entry["origin"] == "derived"
    return [*([1] if entry["staying"] else []), 3 if derived else 2]


def _hardware(group: contract.HostGroup) -> str:
    """Return what a host of the group is of; of hosts that are not alike, or of many kinds, the first of these."""
    kinds = group["hardware"]
    more = len(kinds) - MAX_KINDS
    return "; ".join(kinds[:MAX_KINDS]) + (f" and {more} more" if more > 0 else "")


def _moving(wave: contract.Wave) -> str:
    what = f"{counted(wave['guests'], 'guest')}, {counted(wave['devices'], 'device')}"
    return f"{what}, from {counted(wave['sources'], 'host')} to {counted(wave['targets'], 'host')}"


def _listed(values: t.Mapping[str, t.Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _reasons(found: contract.FirstReasons) -> Content:
    """Return the first reasons, and how many there are like them."""
    reasons: list[Content] = [*found["reasons"]]
    if found["not_shown"]:
        reasons.append(quiet(f"and {counted(found['not_shown'], 'reason')} like these"))
    return reasons[0] if len(reasons) == 1 else bullets(reasons)


def _creatable(device: contract.CreatableClass) -> Content:
    given = ", ".join(f"{each['name']}={each['value']}" for each in device["attributes"])
    return [
        code(device["type"]),
        f" with {given}" if given else "",
        f": capacity for {device['room']:,} on {counted(device['hosts'], 'host')}",
        bullets(device["warnings"]),
    ]
