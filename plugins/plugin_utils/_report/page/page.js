// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-3.0-or-later

// Makes the report's page handy: everything is there without it. It narrows tables down, sorts and saves them, opens and shuts
// details, and says why devices can or cannot go from one host to another. What hosts say only ever becomes text, never markup.
"use strict";

(() => {
  const { host_groups: groups, matrix: shares, has, reach, obstacles } = JSON.parse(document.getElementById("report").textContent);
  const PAGE = 50;
  // With more columns than this the matrix has numbers for names, and signs and shares for counts.
  const FEW = 12;

  // --- words ---

  const plural = (noun) => noun + (noun.endsWith("s") ? "es" : "s");
  const count = (number, what) => `${number.toLocaleString("en")} ${number === 1 ? what : plural(what)}`;
  const level = (yes, all) => (all === 0 ? "nothing" : yes === all ? "all" : yes ? "some" : "none");
  const SIGNS = { all: "\u25CF", some: "\u25D0", none: "\u25CB", nothing: "\u2013" };

  function groupName(group) {
    if (group.hosts === 1) return group.name;
    return `${group.name} and ${count(group.hosts - 1, group.mixed ? "other" : "host")}${group.mixed ? "" : " like it"}`;
  }

  const className = (number) => document.querySelector(`#class-${number} code`).textContent;

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

  const place = (id, ...children) => document.getElementById(id).append(...children);

  // What stands in the way on one host: the first of its reasons.
  const firstReasons = ({ reasons, not_shown }) =>
    list(not_shown ? [...reasons, quiet(`and ${count(not_shown, "reason")} like these`)] : reasons);

  // --- tables: filtered, sorted, opened, saved, a page at a time ---

  const tables = [];
  let everywhere = [];
  const wordsOf = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);
  const number = (text) => Number.parseFloat(text.replaceAll(",", "")) || 0;

  // What a cell or a row's details say, in one line.
  function plain(element) {
    const items = [...element.querySelectorAll("li")].filter((item) => !item.querySelector("li"));
    return (items.length ? items.map((item) => item.textContent.trim()).join("; ") : element.textContent.trim()).replace(/\s+/g, " ");
  }

  // A spreadsheet takes what begins so for a formula.
  const field = (text) => `"${(/^[=+\-@]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;

  function enhance(wrapper) {
    const element = wrapper.querySelector("table");
    const caption = element.caption.textContent;
    const body = element.tBodies[0];
    const choices = JSON.parse(wrapper.dataset.choices || "[]");
    const rows = [...body.children].filter((row) => !row.classList.contains("detail")).map((row) => {
      const next = row.nextElementSibling;
      return { row, detail: next && next.classList.contains("detail") ? next : null, kinds: (row.dataset.kinds || "").split("-") };
    });
    const heads = [...element.tHead.rows[0].cells];
    const names = heads.map((head) => head.textContent);
    const tally = make("output");
    let shown = PAGE;
    let sought = [];
    let choice = 0;

    const text = (entry) => {
      entry.text ??= `${entry.row.textContent} ${entry.detail ? entry.detail.textContent : ""}`.toLowerCase();
      return entry.text;
    };
    const chosen = () => {
      const wanted = [...sought, ...everywhere];
      return rows.filter((entry) => (!choice || entry.kinds.includes(String(choice))) && wanted.every((word) => text(entry).includes(word)));
    };
    const more = button("Show more", "more", () => {
      shown += PAGE * 4;
      draw();
    });

    function draw() {
      const found = new Set(chosen());
      let visible = 0;
      for (const entry of rows) {
        const out = !found.has(entry);
        visible += out ? 0 : 1;
        for (const line of [entry.row, entry.detail].filter(Boolean)) {
          line.classList.toggle("out", out);
          line.classList.toggle("later", !out && visible > shown);
        }
        if (!out && visible <= shown) open(entry);
      }
      more.hidden = found.size <= shown;
      tally.textContent = found.size === rows.length
        ? `${rows.length.toLocaleString("en")} in all`
        : `${found.size.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
    }

    function sort(column) {
      const falling = heads[column].getAttribute("aria-sort") === "ascending";
      heads.forEach((head) => head.removeAttribute("aria-sort"));
      heads[column].setAttribute("aria-sort", falling ? "descending" : "ascending");
      const value = heads[column].classList.contains("number")
        ? (entry) => number(entry.row.cells[column].textContent)
        : (entry) => plain(entry.row.cells[column]);
      const compare = heads[column].classList.contains("number")
        ? (one, other) => one - other
        : new Intl.Collator("en", { numeric: true }).compare;
      const keys = new Map(rows.map((entry) => [entry, value(entry)]));
      rows.sort((one, other) => (falling ? -1 : 1) * compare(keys.get(one), keys.get(other)));
      body.append(...rows.flatMap(({ row, detail }) => (detail ? [row, detail] : [row])));
      draw();
    }

    // Only what is shown needs something to open it with.
    function open(entry) {
      const { row, detail } = entry;
      if (!detail || entry.opened) return;
      entry.opened = true;
      const [first] = row.cells;
      const toggle = button([...first.childNodes], "expand", () => {
        const shut = detail.classList.toggle("shut");
        toggle.setAttribute("aria-expanded", String(!shut));
      }, { "aria-expanded": "false" });
      first.append(toggle);
    }

    function save() {
      const detailed = rows.some((entry) => entry.detail);
      const lines = chosen().map(({ row, detail }) => [
        ...[...row.cells].map(plain), ...(detailed ? [detail ? plain(detail) : ""] : []),
      ]);
      const head = [...names, ...(detailed ? ["Details"] : [])];
      const csv = [head, ...lines].map((line) => line.map(field).join(",")).join("\r\n");
      // The mark tells spreadsheets that it is UTF-8.
      const address = URL.createObjectURL(new Blob([`\ufeff${csv}\r\n`], { type: "text/csv" }));
      make("a", { href: address, download: `${caption.toLowerCase().replaceAll(" ", "-")}.csv` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10000);
    }

    heads.forEach((head, column) => head.replaceChildren(button([...head.childNodes], "sort", () => sort(column))));
    rows.filter((entry) => entry.detail).forEach(({ detail }) => detail.classList.add("shut"));
    const tools = make("div", { class: "tools" });
    if (rows.length > 5) {
      const input = make("input", { type: "search", autocomplete: "off", spellcheck: "false" });
      input.addEventListener("input", () => {
        sought = wordsOf(input.value);
        shown = PAGE;
        draw();
      });
      tools.append(make("label", {}, `Filter ${caption.toLowerCase()}`, input));
      if (choices.length) {
        const select = make("select", {}, choices.map((name) => make("option", {}, name)));
        select.addEventListener("change", () => {
          choice = select.selectedIndex;
          shown = PAGE;
          draw();
        });
        tools.append(make("label", {}, "Show", select));
      }
      tools.append(tally);
    }
    if (rows.length) tools.append(button("Save as CSV", "save", save, { "aria-label": `Save ${caption.toLowerCase()} as CSV` }));
    if (tools.childNodes.length) wrapper.prepend(tools);
    wrapper.append(more);
    draw();
    tables.push({
      search: () => {
        shown = PAGE;
        draw();
      },
      reveal: (row) => {
        const place = rows.findIndex((entry) => entry.row === row);
        if (place < 0) return;
        row.classList.remove("out", "later");
        const { detail } = rows[place];
        if (!detail) return;
        open(rows[place]);
        detail.classList.remove("out", "later", "shut");
        row.querySelector("button.expand").setAttribute("aria-expanded", "true");
      },
    });
  }

  function searchEverywhere() {
    const input = make("input", { type: "search", autocomplete: "off", spellcheck: "false" });
    input.addEventListener("input", () => {
      everywhere = wordsOf(input.value);
      tables.forEach((table) => table.search());
    });
    document.querySelector("nav").append(make("div", { class: "tools" }, make("label", {}, "Search all tables", input)));
  }

  // A link to a row that is not shown shows it.
  function follow() {
    const row = location.hash.length > 1 ? document.getElementById(location.hash.slice(1)) : null;
    if (!row || row.localName !== "tr") return;
    tables.forEach((table) => table.reveal(row));
    row.scrollIntoView();
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
    document.querySelector("#matrix .scroll").replaceWith(make("div", { class: "scroll" }, element));
    place("matrix", make("ul", { class: many ? "legend many" : "legend" }, legend), panel);
  }

  const isSelf = (row, column) => row === column && groups[row].hosts === 1;

  function cell(row, column, many) {
    const all = isSelf(row, column) ? 0 : groups[row].devices;
    const yes = isSelf(row, column) ? 0 : shares[row][column];
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

  function cellDetail(row, column) {
    const [from, to] = [groups[row], groups[column]];
    const heading = make("h3", {}, `${groupName(from)} \u2192 ${groupName(to)}`);
    if (isSelf(row, column)) return [heading, make("p", {}, "Nothing moves from a host to itself.")];
    if (!from.devices) return [heading, make("p", {}, "There is no device to move.")];
    const entries = has[row].map(([number, devices]) => ({ number, devices, answer: answer(number, column) }));
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
      make("p", {}, `${shares[row][column].toLocaleString("en")} of ${count(from.devices, "device")} could go there, each by itself.`),
      list(shown),
    ];
  }

  // Whether something in a group could take devices of a class, and how or why not.
  function answer(number, column) {
    const found = reach[number].find((each) => each.host_group === column);
    if (!found) return [false, whyNot(number, column)];
    const how = [
      found.free ? count(found.free, "free device") : null,
      found.new.length ? `capacity for a new ${found.new.join(" or ")}` : null,
    ].filter(Boolean).join(", and ");
    return [true, groups[column].hosts > 1 ? `${how}, on ${count(found.hosts, "host")}` : how];
  }

  function whyNot(number, column) {
    const found = obstacles[number].find((each) => each.host_group === column);
    if (found) return firstReasons(found);
    const near = document.querySelector(`#class-${number} + tr .near`);
    return near ? `nothing there is compatible. Nearest of all: ${near.textContent}` : "nothing there is compatible";
  }

  document.querySelectorAll(".scripted").forEach((each) => each.removeAttribute("hidden"));
  document.querySelectorAll(".table").forEach(enhance);
  searchEverywhere();
  if (groups.length) showMatrix();
  addEventListener("hashchange", follow);
  follow();
})();
