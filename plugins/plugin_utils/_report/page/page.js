// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-3.0-or-later

// Shows the report's document. What it says comes from hosts: it only ever becomes text, never markup.
"use strict";

(() => {
  document.getElementById("scriptless").remove();
  const report = JSON.parse(document.getElementById("report").textContent);
  const { host_groups: groups, classes, hosts, plan } = report;
  const PAGE = 50;
  // With more columns than this the matrix has numbers for names, and signs and shares for counts.
  const FEW = 12;
  let ids = 0;

  // --- words ---

  const plural = (noun) => noun + (noun.endsWith("s") ? "es" : "s");
  const count = (number, what) => `${number.toLocaleString("en")} ${number === 1 ? what : plural(what)}`;
  const others = (names, number) =>
    names.join(", ") + (number > names.length ? ` and ${(number - names.length).toLocaleString("en")} more` : "");
  const level = (yes, all) => (all === 0 ? "nothing" : yes === all ? "all" : yes ? "some" : "none");
  const SIGNS = { all: "\u25CF", some: "\u25D0", none: "\u25CB", nothing: "\u2013" };

  function groupName(group) {
    if (group.hosts === 1) return group.name;
    return `${group.name} and ${count(group.hosts - 1, group.mixed ? "other" : "host")}${group.mixed ? "" : " like it"}`;
  }

  const KNOWN = ["type", "software_version", "device_api", "pci_id", "driver"];

  function className(number) {
    const own = classes[number].self;
    const rest = Object.keys(own).filter((name) => !KNOWN.includes(name) && own[name] !== "");
    return [own.type, own.software_version, ...rest.map((name) => `${name}=${own[name]}`)].join(" \u00B7 ");
  }

  const attributes = (set) => Object.entries(set).map(([name, value]) => `${name}=${value}`).join(", ");
  const configured = (pairs) => pairs.map((each) => `${each.name}=${each.value}`).join(", ");
  const bound = (bindings) => (Object.keys(bindings).length ? ` with ${attributes(bindings)}` : "");

  // --- elements ---

  // As module_utils/_descriptor/printable.py has it: what steers, hides or turns text around is shown as an escape.
  const HIDDEN = /(?! )[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]/gu;
  const ALIASES = { "\t": "\\t", "\n": "\\n", "\r": "\\r" };
  const printable = (text) => String(text).replace(HIDDEN, (character) => {
    const digits = character.codePointAt(0).toString(16);
    const [letter, length] = digits.length < 3 ? ["x", 2] : digits.length < 5 ? ["u", 4] : ["U", 8];
    return ALIASES[character] || `\\${letter}${digits.padStart(length, "0")}`;
  });

  // All text gets into the page here.
  function make(tag, properties, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties || {})) {
      if (value !== null && value !== undefined) element.setAttribute(name, printable(value));
    }
    const there = children.flat(Infinity).filter((child) => child !== null && child !== undefined);
    element.append(...there.map((child) => (child instanceof Node ? child : printable(child))));
    return element;
  }

  const code = (text) => make("code", {}, text);
  const quiet = (text) => make("span", { class: "quiet" }, text);
  const tag = (style, text) => make("span", { class: `tag ${style}` }, text);
  const list = (items, name) =>
    make("ul", { class: "plain-list", "aria-label": name }, items.map((item) => make("li", {}, item)));

  function button(text, style, action, more) {
    const element = make("button", { type: "button", class: style, ...more }, text);
    element.addEventListener("click", action);
    return element;
  }

  // A list under a heading; nothing where the list is empty.
  const part = (heading, items) => (items.length ? [make("p", { class: "part" }, heading), list(items, heading)] : []);

  const place = (id, ...children) => document.getElementById(id).append(...children);

  // What stands in the way on one host: the first of its reasons.
  const firstReasons = ({ reasons, not_shown }) =>
    list(not_shown ? [...reasons, quiet(`and ${count(not_shown, "reason")} like these`)] : reasons);

  // --- tables: filtered, sorted, opened, a page at a time ---

  // A column is {name, value(row), cell(row), number, wide}; cell is what is shown, by default the value.
  // choices are {text: test(row)}, the first of which is chosen; words(row) is what the filter looks at.
  function table({ caption, columns, rows, detail, choices, words }) {
    const body = make("tbody");
    const tally = make("output");
    let shown = PAGE;
    let order = null;
    let search = "";
    let test = choices ? Object.values(choices)[0] : () => true;

    const text = words || ((row) => columns.map((column) => column.value(row)).join(" "));
    const heads = columns.map((column, number) => {
      const sort = button(column.name, "sort", () => {
        const falling = order && order.number === number && !order.falling;
        order = { number, falling };
        heads.forEach((head) => head.removeAttribute("aria-sort"));
        heads[number].setAttribute("aria-sort", falling ? "descending" : "ascending");
        draw();
      });
      return make("th", { scope: "col", class: column.number ? "number" : null }, sort);
    });
    const more = button("Show more", "more", () => {
      shown += PAGE * 4;
      draw();
    });

    function chosen() {
      const wanted = search.toLowerCase().split(/\s+/).filter(Boolean);
      const found = rows.filter((row) => {
        if (!test(row)) return false;
        const there = text(row).toLowerCase();
        return wanted.every((word) => there.includes(word));
      });
      if (!order) return found;
      const { value, number } = columns[order.number];
      const sign = order.falling ? -1 : 1;
      const compare = number
        ? (one, other) => one - other
        : new Intl.Collator("en", { numeric: true }).compare;
      return found.sort((one, other) => sign * compare(value(one) ?? "", value(other) ?? ""));
    }

    function line(row) {
      const cells = columns.map((column) => {
        const content = column.cell ? column.cell(row) : column.value(row);
        return make("td", { class: column.number ? "number" : column.wide ? "wide" : null }, content === null ? "" : content);
      });
      const element = make("tr", {}, cells);
      if (detail) open(element, cells[0], row);
      return element;
    }

    function open(element, first, row) {
      const id = `detail-${(ids += 1)}`;
      const toggle = button([...first.childNodes], "expand", () => {
        const opened = toggle.getAttribute("aria-expanded") === "true";
        toggle.setAttribute("aria-expanded", String(!opened));
        if (opened) {
          element.nextElementSibling.remove();
        } else {
          const cell = make("td", { colspan: columns.length }, make("div", {}, detail(row)));
          element.after(make("tr", { class: "detail", id }, cell));
        }
      }, { "aria-expanded": "false" });
      first.append(toggle);
    }

    function draw() {
      const found = chosen();
      body.replaceChildren(...found.slice(0, shown).map(line));
      more.hidden = found.length <= shown;
      tally.textContent =
        found.length === rows.length
          ? `${rows.length.toLocaleString("en")} in all`
          : `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
    }

    const tools = make("div", { class: "tools" });
    if (rows.length > 5) {
      const input = make("input", { type: "search", autocomplete: "off", spellcheck: "false" });
      input.addEventListener("input", () => {
        search = input.value;
        shown = PAGE;
        draw();
      });
      tools.append(make("label", {}, `Filter ${caption.toLowerCase()}`, input));
      if (choices) {
        const names = Object.keys(choices);
        const select = make("select", {}, names.map((name) => make("option", {}, name)));
        select.addEventListener("change", () => {
          test = choices[select.value];
          shown = PAGE;
          draw();
        });
        tools.append(make("label", {}, "Show", select));
      }
      tools.append(tally);
    }
    draw();
    const element = make(
      "table", {},
      make("caption", { class: "hidden" }, caption),
      make("thead", {}, make("tr", {}, heads)),
      body,
    );
    return make("div", {}, tools.childNodes.length ? tools : null, scrolled(element, caption), more);
  }

  // What is wider than the screen is moved with the keyboard, too.
  const scrolled = (element, name) =>
    make("div", { class: "scroll", role: "group", "aria-label": name, tabindex: "0" }, element);

  // --- the plan ---

  function target(move) {
    const to = move.to;
    const what = to.type || to.kind;
    if (!to.create) return [`an existing ${what}`];
    return [`a new ${what}`, to.parent ? ` under ${to.parent}` : "", to.attributes ? `, ${to.attributes}` : ""];
  }

  function showPlan() {
    if (plan.waves.length > 1) {
      place("plan", make("p", {}, "Move everything in a wave, all at once if you like, before the next one."));
    }
    if (plan.moves.length) {
      const columns = [
        { name: "Guest", value: (move) => move.vm || "(no guest)", cell: (move) => move.vm || quiet("no guest") },
        { name: "From", value: (move) => move.host },
        { name: "To", value: (move) => move.to.host },
        { name: "Device", value: (move) => move.id, cell: (move) => code(move.id) },
        { name: "Becomes", value: (move) => target(move).join(""), wide: true },
        { name: "Certainty", value: (move) => move.certainty, cell: (move) => tag("plain", move.certainty) },
      ];
      if (plan.waves.length > 1) columns.unshift({ name: "Wave", value: (move) => move.wave, number: true });
      const detail = (move) => [
        make("p", {}, move.id === move.to.id ? "It keeps its id, " : "It gets the id ", code(move.to.id), "."),
        part("To know", move.warnings.map((number) => plan.warnings[number].warning)),
      ];
      place("plan", make("h3", {}, "What moves"));
      place("plan", table({ caption: "Moves", columns, rows: plan.moves, detail }));
      if (plan.moves_not_shown) {
        place("plan", make("p", {}, `${count(plan.moves_not_shown, "further move")} are in the plan itself.`));
      }
    }
    if (plan.left_behind.length) {
      place("plan", make("h3", {}, "What is left behind, and why"));
      place("plan", ...plan.left_behind.map(leftBehind));
      if (plan.left_behind_not_shown) {
        place("plan", make("p", {}, `${count(plan.left_behind_not_shown, "further device")} left behind are in the plan itself.`));
      }
    }
    if (plan.targets.length) {
      const columns = [
        { name: "Host", value: (each) => each.host },
        { name: "Receives", value: (each) => each.devices, number: true },
        { name: "Of them new", value: (each) => each.created, number: true },
      ];
      place("plan", make("h3", {}, "Who receives"), table({ caption: "Receivers", columns, rows: plan.targets }));
    }
    if (plan.warnings.length) {
      place("plan", make("h3", {}, "What the plan takes for granted"));
      place("plan", list(plan.warnings.map((each) => [each.warning, quiet(` (${count(each.moves, "move")})`)])));
    }
    if (plan.changes.length) {
      place("plan", make("h3", {}, "What was planned anew"));
      place("plan", list(plan.changes.map((each) => `${each.vm || each.id} on ${each.host}: ${each.reason}`)));
    }
  }

  function leftBehind(entry, number) {
    const who = entry.devices.length === 1
      ? `${entry.devices[0].vm || entry.devices[0].id} on ${entry.devices[0].host}`
      : count(entry.devices.length, "device");
    const reasons = entry.reasons.map((each) => [
      each.host === null ? null : make("strong", {}, each.host),
      each.alike ? quiet(` and ${count(each.alike, "further host")} alike`) : null,
      each.host === null ? each.reasons.join("; ") : firstReasons(each),
    ]);
    if (entry.reasons_not_shown) reasons.push(quiet(`and so on, ${count(entry.reasons_not_shown, "further host")}`));
    return make(
      "details", number === 0 ? { open: "" } : {},
      make("summary", {}, make("strong", {}, who), `: ${entry.cause}`),
      entry.devices.length > 1 || entry.devices[0].vm
        ? part("Devices", entry.devices.map((each) => [code(each.id), ` on ${each.host}${each.vm ? `, of ${each.vm}` : ""}`]))
        : null,
      part("Why", reasons),
    );
  }

  // --- the matrix ---

  function showMatrix() {
    const many = groups.length > FEW;
    const panel = make("div", { class: "panel", role: "region", "aria-label": "The chosen cell", "aria-live": "polite" });
    panel.hidden = true;
    const cells = groups.map((group, row) => groups.map((other, column) => cell(row, column, many)));
    let current = [0, 0];
    let pressed = null;

    function go(row, column) {
      cells[current[0]][current[1]].tabIndex = -1;
      current = [row, column];
      cells[row][column].tabIndex = 0;
    }
    const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const last = groups.length - 1;
    cells.forEach((line, row) => line.forEach((each, column) => {
      each.tabIndex = row + column ? -1 : 0;
      each.addEventListener("click", () => {
        go(row, column);
        if (pressed) pressed.setAttribute("aria-pressed", "false");
        pressed = each;
        each.setAttribute("aria-pressed", "true");
        panel.hidden = false;
        panel.replaceChildren(...cellDetail(row, column).filter(Boolean));
      });
      each.addEventListener("keydown", (event) => {
        const step = STEPS[event.key];
        const end = { Home: [row, 0], End: [row, last] }[event.key];
        if (!step && !end) return;
        event.preventDefault();
        const [to, across] = end || [row + step[0], column + step[1]];
        go(Math.min(last, Math.max(0, to)), Math.min(last, Math.max(0, across)));
        cells[current[0]][current[1]].focus();
      });
    }));

    const head = groups.map((group, number) => make(
      "th", { scope: "col", title: groupName(group) },
      many ? [String(number + 1), make("span", { class: "hidden" }, ` ${groupName(group)}`)] : groupName(group),
    ));
    const lines = groups.map((group, row) => make(
      "tr", {},
      make("th", { scope: "row", title: group.hardware.join(", ") },
        many ? quiet(`${row + 1} `) : null, group.name,
        group.hosts > 1 ? quiet(` + ${count(group.hosts - 1, group.mixed ? "other" : "alike").replace("alikes", "alike")}`) : null),
      cells[row].map((each) => make("td", {}, each)),
    ));
    const element = make(
      "table", { class: many ? "matrix many" : "matrix", role: "grid", "aria-label": "From each row to each column" },
      make("thead", {}, make("tr", {}, make("td", {}, make("span", { class: "hidden" }, "From")), head)),
      make("tbody", {}, lines),
    );
    const legend = [
      ["all", "all could go there"], ["some", many ? "some could, so many of a hundred" : "some could"], ["none", "none could"], ["nothing", "nothing to move"],
    ].map(([share, words]) => make("li", {}, make("span", { class: `cell-${share}`, "aria-hidden": "true" }, SIGNS[share]), words));
    place("matrix", make("div", { class: "scroll" }, element), make("ul", { class: many ? "legend many" : "legend" }, legend), panel);
  }

  const isSelf = (row, column) => row === column && groups[row].hosts === 1;

  function cell(row, column, many) {
    const all = isSelf(row, column) ? 0 : groups[row].devices;
    const yes = isSelf(row, column) ? 0 : report.matrix[row][column];
    const found = level(yes, all);
    const words = all ? `${yes} of ${all}` : isSelf(row, column) ? "the host itself" : "no devices";
    const share = Math.min(99, Math.max(1, Math.round((100 * yes) / all)));
    const short = found === "some" ? `${share}%` : SIGNS[found];
    return make(
      "button",
      { type: "button", class: `cell-${found}`, "aria-pressed": "false",
        "aria-label": `${groupName(groups[row])} to ${groupName(groups[column])}: ${words}` },
      many || !all ? short : `${yes} of ${all}`,
    );
  }

  // Class numbers and how many devices of them a group has.
  const has = groups.map(() => new Map());
  for (const host of hosts) {
    for (const [number, devices] of host.classes) {
      has[host.host_group].set(number, (has[host.host_group].get(number) || 0) + devices);
    }
  }

  function cellDetail(row, column) {
    const [from, to] = [groups[row], groups[column]];
    const heading = make("h3", {}, `${groupName(from)} \u2192 ${groupName(to)}`);
    if (isSelf(row, column)) return [heading, make("p", {}, "Nothing moves from a host to itself.")];
    if (!from.devices) return [heading, make("p", {}, "There is no device to move.")];
    const entries = [...has[row]].map(([number, devices]) => ({ number, devices, answer: answer(number, column) }));
    const excluded = from.devices - entries.reduce((sum, each) => sum + each.devices, 0);
    const shown = entries.slice(0, PAGE).map(({ number, devices, answer: [yes, words] }) => [
      tag(yes ? "all" : "none", yes ? "yes" : "no"), ` ${count(devices, "device")} of `, code(className(number)), ": ", words,
    ]);
    if (entries.length > PAGE) shown.push(quiet(`and ${count(entries.length - PAGE, "further class")} of devices`));
    if (excluded) shown.push([tag("none", "no"), ` ${count(excluded, "device")} cannot migrate at all; see the problems`]);
    const grouped = from.hosts > 1 || to.hosts > 1;
    return [
      heading,
      grouped ? make("p", { class: "quiet" }, `${from.hardware.join(", ")} \u2192 ${to.hardware.join(", ")}`) : null,
      make("p", {}, `${report.matrix[row][column].toLocaleString("en")} of ${count(from.devices, "device")} could go there, each by itself.`),
      list(shown),
    ];
  }

  // Whether something in a group could take devices of a class, and how or why not.
  function answer(number, column) {
    const found = classes[number].reach.find((each) => each.host_group === column);
    if (!found) return [false, whyNot(number, column)];
    const how = [
      found.free ? count(found.free, "free device") : null,
      found.new.length ? `room for a new ${found.new.join(" or ")}` : null,
    ].filter(Boolean).join(", and ");
    return [true, groups[column].hosts > 1 ? `${how}, on ${count(found.hosts, "host")}` : how];
  }

  function whyNot(number, column) {
    const found = classes[number].obstacles.find((each) => each.host_group === column);
    if (found) return firstReasons(found);
    const [near] = classes[number].misses;
    return near ? `nothing there is compatible. Nearest of all: ${near.reasons.join("; ")}` : "nothing there is compatible";
  }

  // --- hosts ---

  const devicesOf = new Map();
  for (const device of report.devices) {
    if (!devicesOf.has(device.host)) devicesOf.set(device.host, []);
    devicesOf.get(device.host).push(device);
  }

  function showHosts() {
    const columns = [
      { name: "Host", value: (host) => host.name },
      { name: "Hardware", value: (host) => groups[host.host_group].hardware.join(", "), wide: true },
      { name: "Devices", value: (host) => host.devices, number: true },
      { name: "In use", value: (host) => host.in_use, number: true },
      { name: "Could leave", value: (host) => host.reachable, number: true,
        cell: (host) => tag(host.devices ? level(host.reachable, host.devices) : "plain", `${host.reachable} of ${host.devices}`) },
    ];
    const choices = {
      "all hosts": () => true,
      "what could not all leave": (host) => host.reachable < host.devices,
      "what could all leave": (host) => host.devices > 0 && host.reachable === host.devices,
      "devices that cannot migrate": (host) => host.excluded > 0,
      "no devices": (host) => host.devices === 0,
    };
    const words = (host) => [
      host.name, ...groups[host.host_group].hardware,
      ...(devicesOf.get(host.name) || []).map((each) => `${each.id} ${each.vm || ""} ${each.type || ""}`),
    ].join(" ");
    place("hosts", table({ caption: "Hosts", columns, rows: hosts, detail: hostDetail, choices, words }));
  }

  function hostDetail(host) {
    const listed = devicesOf.get(host.name);
    const items = listed
      ? listed.map((device) => [
        code(device.id), ` ${device.type || device.kind}${device.parent ? ` under ${device.parent}` : ""}, `,
        device.vm ? `held by ${device.vm}` : device.in_use ? "in use" : "free",
        device.obstacle ? [": ", tag("none", "cannot migrate"), ` ${device.obstacle}`] : null,
      ])
      : host.classes.map(([number, devices, free]) => [
        `${count(devices, "device")}, ${free} free, of `, code(className(number)),
        classes[number].staying ? quiet(" (may have to stay)") : "",
      ]);
    if (!listed && host.excluded) items.push(`${count(host.excluded, "device")} cannot migrate at all`);
    const goes = host.classes.map(([number]) => {
      const to = classes[number].reach.filter((each) => groups[each.host_group].hosts > 1 || groups[each.host_group].name !== host.name);
      const names = to.slice(0, 8).map((each) => groupName(groups[each.host_group]));
      return [code(className(number)), to.length ? ` \u2192 ${others(names, to.length)}` : `: ${classes[number].why || "nowhere"}`];
    });
    return items.length
      ? [part("Devices", items), part("Where they could go", goes)]
      : [make("p", {}, "There is no VFIO device on it.")];
  }

  // --- classes of devices ---

  function showClasses() {
    const columns = [
      { name: "Class", value: (each) => className(each.number), cell: (each) => code(className(each.number)) },
      { name: "Model", value: (each) => each.self.pci_id || each.self.driver || each.self.device_api },
      { name: "Stated by", value: (each) => each.origin,
        cell: (each) => (each.origin === "derived" ? "sysfs (derived)" : "its driver") },
      { name: "Hosts", value: (each) => each.hosts, number: true },
      { name: "Devices", value: (each) => each.devices, number: true },
      { name: "Free", value: (each) => each.free, number: true },
      { name: "Have to stay", value: (each) => each.staying, number: true,
        cell: (each) => (each.staying ? tag(each.staying < each.devices ? "some" : "none", String(each.staying)) : "0") },
    ];
    const choices = {
      "all classes": () => true,
      "what has to stay": (each) => each.staying > 0,
      "what drivers state": (each) => each.origin !== "derived",
      "what is derived": (each) => each.origin === "derived",
    };
    const rows = classes.map((each, number) => ({ ...each, number }));
    place("classes", table({ caption: "Classes", columns, rows, detail: classDetail, choices }));
  }

  function classDetail(entry) {
    const sets = entry.compatible.map((set) => code(attributes(set)));
    const targets = entry.targets.map((each) => [
      code(className(each.class)), bound(each.bindings), ` (${each.certainty}): ${each.free} free of ${count(each.devices, "device")}`,
      each.direction_conflict ? quiet("; source and target disagree") : "",
      each.warnings.length ? list(each.warnings) : null,
    ]);
    if (entry.targets_not_shown) targets.push(quiet(`and ${count(entry.targets_not_shown, "further class")}`));
    return [
      part("It says of itself", [code(attributes(entry.self))]),
      part("It lists as compatible", sets),
      entry.why ? make("p", {}, `${count(entry.staying, "device")} would have to stay: ${entry.why}.`) : null,
      part("Devices that could take it", targets),
      part("New devices that could take it", entry.creatable.map((device) => [
        code(device.type), device.attributes.length ? ` with ${configured(device.attributes)}` : "",
        `: room for ${device.room} on ${count(device.hosts, "host")}`,
        device.warnings.length ? list(device.warnings) : null,
      ])),
      part("What comes near, and what keeps it away", entry.misses.map((each) => [
        code(className(each.class)), ` (${count(each.devices, "device")}): ${each.reasons.join("; ")}`,
      ])),
      part("Attributes that alone keep devices away", entry.barriers.map((each) =>
        `${each.attribute}: ${count(each.devices, "device")} of ${count(each.classes, "class")}`)),
    ];
  }

  // --- versions and problems ---

  function showVersions() {
    if (!report.versions.length) return place("versions", make("p", {}, "No device states one."));
    const rows = report.versions.flatMap((card) => card.versions.map((each) => ({ ...each, card })));
    const model = (row) => [...row.card.drivers, row.card.model].join(" ");
    const columns = [
      { name: "Model", value: model },
      { name: "Device API", value: (row) => row.card.device_api },
      { name: "Version", value: (row) => row.version,
        cell: (row) => [row.version, row.card.mixed ? " " : null, row.card.mixed ? tag("some", "one of several") : null] },
      { name: "Hosts", value: (row) => row.hosts, number: true },
      { name: "Devices", value: (row) => row.devices, number: true },
      { name: "Where", value: (row) => others(row.names.slice(0, 4), row.hosts), wide: true },
    ];
    const choices = { "all models": () => true, "models in several versions": (row) => row.card.mixed };
    return place("versions", table({ caption: "Versions", columns, rows, choices }));
  }

  function showProblems() {
    const parts = [
      ["Hosts without usable facts", report.unknown],
      ["Devices that cannot migrate at all", report.excluded],
      ["What went wrong while the facts were gathered", report.problems],
    ].filter(([, findings]) => findings.length);
    if (!parts.length) return place("problems", make("p", {}, "There are none."));
    return parts.forEach(([heading, findings]) => {
      const columns = [
        { name: "What", value: (each) => each.text, wide: true },
        { name: "Times", value: (each) => each.count, number: true },
        { name: "Hosts", value: (each) => others(each.names.slice(0, 4), each.hosts), wide: true },
      ];
      const detail = (each) => [
        part("Hosts", [others(each.names, each.hosts)]),
        part("Where", each.paths.map(code)),
      ];
      place("problems", make("h3", {}, heading), table({ caption: heading, columns, rows: findings, detail }));
    });
  }

  if (plan) showPlan();
  if (groups.length) showMatrix();
  showHosts();
  showClasses();
  showVersions();
  showProblems();
})();
