// Stacked bars, a row for each method, against the lines of real GPUs. Below them the knobs of the chosen method; the same as numbers one click away.
import { el, fill, say } from "./dom.js";

const LETTER = 7.2; // pixels of a GPU's name, at most

export function createPicture({ pick, knob }) {
  const state = { menus: null, answer: null, unnamed: [], old: new Map(), model: "", width: 0, numbers: false };
  const key = el("dl", { class: "memory-key" });
  const rows = el("div", { class: "memory-rows", role: "group", "aria-label": "Memory of one step, a row for each method" });
  const table = el("div", { class: "numbers", hidden: true, tabindex: "0", role: "region", "aria-label": "the bars as numbers" });
  const toggle = el("button", { type: "button", class: "small", "aria-pressed": "false", onclick: () => flip() }, "Numbers");
  const caption = el("p", { class: "hint" });
  const knobs = el("div", { class: "memory-knobs", hidden: true });
  const node = el("section", { class: "memory-picture", "aria-label": "Memory by method" }, key, rows, table, el("div", { class: "under" }, caption, toggle), knobs);
  new ResizeObserver(() => { const width = rows.clientWidth; if (width && Math.abs(width - state.width) > 4 && state.answer) paint(); }).observe(rows);

  function begin(menus) {
    state.menus = menus;
    fill(key, menus.parts.map((part) => el("div", {}, el("dt", {}, el("i", { style: { background: part.colour } }), part.name), el("dd", {}, part.about))));
  }

  function flip() {
    state.numbers = !state.numbers;
    rows.hidden = state.numbers;
    table.hidden = !state.numbers;
    toggle.setAttribute("aria-pressed", String(state.numbers));
    toggle.textContent = state.numbers ? "Bars" : "Numbers";
    paint();
  }

  // While a step is traced its old bar stays, in grey; of another model there is none, and a rule of thumb stands in for it.
  function show(answer) {
    if (answer.model !== state.model) state.old.clear();
    state.model = answer.model;
    const held = answer.rows.map((row) => {
      const old = state.old.get(row.method.name);
      return row.state === "estimate" && old ? { ...row, parts: old.parts, beside: old.beside, bytes: old.bytes, peak: old.peak, verdict: "", state: "old" } : row;
    });
    for (const row of answer.rows) if (row.state === "exact" || row.state === "static") state.old.set(row.method.name, row);
    const longest = Math.max(answer.scale.bytes, ...held.map((row) => (row.state === "old" ? 1.06 * (row.beside?.end || row.bytes) : 0)));
    state.answer = { ...answer, rows: held, scale: { ...answer.scale, bytes: longest } };
    node.classList.remove("stale");
    paint();
  }

  function paint() {
    const { rows: all, scale, shown } = state.answer;
    state.width = rows.clientWidth;
    if (state.numbers) return tabulate(all);
    const focused = document.activeElement?.id;
    fill(rows, head(scale), all.map((row, place) => line(row, place, scale, place === shown)), axis(scale));
    if (focused && focused !== document.activeElement?.id) document.getElementById(focused)?.focus({ preventScroll: true });
    say(caption, `Memory at the highest moment of one step. ${on(scale, all)}`.trim());
    drawKnobs(all[shown], shown);
    return null;
  }

  function on(scale, all) {
    if (scale.lines.length) return "Dashed lines are the memory of GPUs; the hatched end is what a GPU needs beside the tensors: torch's reserve, at most, and CUDA itself." +
      (state.unnamed.length ? ` Without a name for want of room: ${state.unnamed.join(", ")}.` : "");
    return all.some((row) => row.beside) ? "" : "On a CPU no line limits it; choose a GPU to see what fits.";
  }

  // ── rows ──

  const at = (bytes, scale) => `${(100 * bytes) / scale.bytes}%`;

  // The chosen GPU is named first, then the others from the left, as far as their names do not touch.
  function head(scale) {
    const wide = rows.querySelector(".axis .track")?.clientWidth || Math.max(160, state.width - (state.width > 800 ? 390 : 20));
    const kept = [];
    for (const each of [...scale.lines].sort((one, two) => two.chosen - one.chosen || one.bytes - two.bytes)) {
      const name = each.name.replace("GeForce ", "").replace(/ \d+GB$/, ""), x = (wide * each.bytes) / scale.bytes;
      const half = (LETTER * Math.max(name.length, each.size.length)) / 2 + 3;
      if (kept.every((other) => Math.abs(other.x - x) >= other.half + half)) kept.push({ ...each, name, x, half });
    }
    state.unnamed = scale.lines.filter((each) => !kept.some((other) => other.bytes === each.bytes)).map((each) => `${each.size} (${each.name.replace(/ \d+GB$/, "")})`);
    return el("div", { class: "row head" }, el("span", {}), el("div", { class: "track" }, kept.map((each) =>
      el("span", { class: each.chosen ? "gpu chosen" : "gpu", title: each.about, style: { left: at(each.bytes, scale) } }, el("b", {}, each.name), each.size))), el("span", {}));
  }

  function axis(scale) {
    return el("div", { class: "row axis", "aria-hidden": "true" }, el("span", {}), el("div", { class: "track" }, scale.ticks.map((tick) =>
      el("span", { class: "tick", style: { left: at(tick.bytes, scale) } }, tick.text))), el("span", {}));
  }

  function line(row, place, scale, chosen) {
    const name = el("button", { type: "button", class: "name", id: `memory-row-${place}`, "aria-pressed": String(chosen), disabled: row.state === "refused", onclick: () => pick(place) }, row.title);
    if (row.state === "refused") return el("div", { class: "row refused" }, el("div", { class: "who" }, name, el("small", {}, "not here")), el("p", { class: "reason" }, row.reason), el("span", {}));
    const parts = row.parts.filter((part) => part.bytes > 0);
    const bar = el("div", { class: "stack", role: "img", "aria-label": `${row.title}: ${row.parts.map((part) => `${part.name} ${part.text}`).join(", ")}` },
      parts.map((part) => el("span", { title: `${part.name}: ${part.text} (${part.bytes.toLocaleString("en")} bytes)`, style: { width: at(part.bytes, scale), background: part.colour } })),
      row.beside ? el("span", { class: "beside", title: `beside the tensors: up to ${row.beside.text}`, style: { width: at(row.beside.bytes, scale) } }) : null);
    const tells = row.state === "old" ? "tracing …" : row.state === "estimate" ? "rule of thumb, tracing …" : row.verdict;
    return el("div", { class: `row ${row.state} ${row.fits}${chosen ? " chosen" : ""}`, onclick: (event) => { if (!event.target.closest("button")) pick(place); } },
      el("div", { class: "who" }, name, el("small", { title: `${row.of_method} of the method${row.head === "0" ? "" : `, ${row.head} of a new head`}; ${row.total} in all` }, `trains ${row.trainable} (${row.share})`), row.where ? el("small", {}, row.where) : null, el("small", {}, row.format)),
      el("div", { class: "track" }, bar, scale.lines.map((each) => el("i", { class: each.chosen ? "line chosen" : "line", style: { left: at(each.bytes, scale) } }))),
      el("div", { class: "what" }, el("b", { title: `${row.bytes.toLocaleString("en")} bytes` }, row.peak), el("small", { class: "fit-words" }, tells)));
  }

  function tabulate(all) {
    const fine = all.filter((row) => row.parts);
    table.classList.toggle("old", fine.some((row) => row.state === "old" || row.state === "estimate"));
    const cell = (row, name) => row.parts.find((part) => part.name === name).text;
    fill(table, el("table", {}, el("thead", {}, el("tr", {}, ["", ...fine.map((row) => row.title)].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, state.menus.parts.map((part) => el("tr", {}, el("th", { scope: "row" }, part.name), fine.map((row) => el("td", {}, cell(row, part.name))))),
        [["peak", (row) => row.peak], ["needed beside it on a GPU, at most", (row) => row.beside?.text || "–"], ["trained", (row) => row.trainable], ["of the method", (row) => row.of_method], ["of a new head", (row) => row.head],
          ["frozen", (row) => row.frozen], ["in all", (row) => row.total], ["what fits", (row) => row.verdict || "–"]].map(([words, value]) => el("tr", {}, el("th", { scope: "row" }, words), fine.map((row) => el("td", {}, value(row))))))));
    return null;
  }

  // ── the chosen method's own settings ──

  function drawKnobs(row, place) {
    const all = row?.knobs || [];
    knobs.hidden = all.length === 0;
    if (knobs.contains(document.activeElement) && knobs.dataset.of === row?.method.name) return; // somebody is typing there
    knobs.dataset.of = row?.method.name || "";
    fill(knobs, el("h3", {}, `Settings of ${row?.title}`), all.map((each) => (each.kind === "targets" ? targets(each, place) : number(each, place))));
  }

  function number(each, place) {
    const id = `memory-knob-${each.name}`;
    const input = el("input", { type: "text", inputmode: "decimal", id, value: each.value, "aria-describedby": `${id}-help`, oninput: () => {
      const read = Number(input.value.trim().replace(",", "."));
      knob(place, each.name, input.value.trim() === "" || Number.isNaN(read) ? input.value : read);
    } });
    return el("div", { class: "memory-field" }, el("label", { for: id }, each.label), input, el("p", { class: "help", id: `${id}-help` }, each.help));
  }

  function targets(each, place) {
    const chosen = new Set(each.value);
    return el("fieldset", { class: "memory-field wide" }, el("legend", {}, each.label), el("div", { class: "chips" }, each.choices.map(([role, words]) => {
      const box = el("input", { type: "checkbox", checked: chosen.has(role), onchange: () => {
        chosen[box.checked ? "add" : "delete"](role);
        knob(place, each.name, each.choices.map(([one]) => one).filter((one) => chosen.has(one)));
      } });
      return el("label", {}, box, el("span", {}, words));
    })));
  }

  return { node, begin, show, stale: () => node.classList.add("stale") };
}
