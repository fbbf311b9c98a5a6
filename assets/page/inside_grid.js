// A map of layers and roles: one measure at a time as colour, each cell reachable by keyboard, the same as a table one click away. Python says every number.
import { el, fill, say } from "./dom.js";

const FEW = 12; // columns in whose cells a number has room
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HALF = 0.5, FAR = 0.63; // beyond these the number in a cell changes between black and white: one scale, and either side of a centre
const STOPS = ["low", "middle", "high"];

// `pick` is told the layer and the role of a cell that is looked at closely.
export function createGrid(picture, pick) {
  const state = { measure: picture.measures[0], wipe: 0, chosen: "", numbers: false };
  const long = picture.columns.length > FEW;
  const switches = el("div", { class: "segments heat-measures", role: "group", "aria-label": "What the colour says", hidden: picture.measures.length < 2 });
  const about = el("p", { class: "soft" });
  const maps = el("div", { class: long ? "heat-maps long" : "heat-maps" });
  const table = el("div", { class: "numbers heat-numbers", hidden: true, tabindex: "0", role: "region", "aria-label": "The map as numbers" });
  const legend = el("div", { class: "heat-legend" });
  const here = el("p", { class: "heat-here", "aria-hidden": "true" });
  const toggle = el("button", { type: "button", class: "small", "aria-pressed": "false", onclick: () => flip() }, "Numbers");
  const wipe = el("input", { type: "range", min: 0, max: 100, value: 0, class: "heat-range", "aria-label": "How much of the map shows the state before training", oninput: () => { state.wipe = wipe.value / 100; paint(); } });
  const training = picture.maps.some((map) => map.before);
  const wiper = el("div", { class: "heat-wipe", hidden: !training }, el("span", {}, "after training"), wipe, el("span", {}, "before"));
  const node = el("div", { class: "heat" }, switches, about, el("div", { class: "heat-tools" }, legend, wiper), maps, table, el("div", { class: "under" }, here, toggle));
  const cells = [];

  const group = `heat-measure-${serial()}`;
  fill(switches, picture.measures.map((measure) => {
    const input = el("input", { type: "radio", name: group, checked: measure === state.measure, onchange: () => { state.measure = measure; paint(); } });
    return el("label", {}, input, el("span", {}, measure.title));
  }));
  fill(maps, picture.maps.map((map) => drawMap(map)));
  paint();

  function drawMap(map) {
    const grid = el("div", { class: long ? "heat-grid long" : "heat-grid", role: "group", style: { "--columns": picture.columns.length, "--rows": picture.rows.length },
      "aria-label": `${picture.maps.length > 1 ? `${map.name}: ` : ""}a map of ${picture.columns.length} blocks and ${picture.rows.length} rows; arrow keys move, Enter looks closely`, onkeydown: move });
    const heads = [
      ...picture.columns.map(({ name }, place) => el("span", { class: place % 5 === 4 || place === 0 ? "heat-column" : "heat-column between", "aria-hidden": "true", style: at(place + 2, 1) }, name)),
      ...picture.rows.map(({ name, part }, place) => el("span", { class: "heat-row", "data-part": part, "aria-hidden": "true", style: at(1, place + 2) }, name)),
    ];
    const before = new Map((map.before || []).map((cell) => [`${cell.column} ${cell.row}`, cell]));
    const drawn = map.now.map((cell) => {
      const [column, row] = [picture.columns[cell.column], picture.rows[cell.row]];
      const button = el("button", { type: "button", class: "heat-cell", tabindex: -1, "data-part": row.part, style: at(cell.column + 2, cell.row + 2), "aria-pressed": "false",
        onclick: () => choose(column.layer, row.role), onpointerenter: () => tell(button), onfocus: () => { reach(grid, button); tell(button); } });
      cells.push({ button, cell, map, before: before.get(`${cell.column} ${cell.row}`), key: `${column.layer} ${row.role}`, where: where(column, row) });
      return button;
    });
    if (drawn.length) drawn[0].tabIndex = 0;
    fill(grid, heads, drawn);
    return el("section", { class: "heat-map" }, picture.maps.length > 1 ? el("h4", {}, map.name) : null,
      el("p", { class: "heat-axis", "aria-hidden": "true" }, "blocks"), grid);
  }

  // Across on a wide page; the style sheet lets both change places on a narrow one.
  function at(across, down) {
    return { "--across": across, "--down": down };
  }

  function where(column, row) {
    const place = column.layer === null ? "outside the blocks" : `block ${column.name}`;
    return `${place}, ${row.name}`;
  }

  function paint() {
    const { measure } = state;
    say(about, capital(measure.about));
    for (const each of cells) {
      const now = each.cell.seen[measure.name], before = each.before?.seen[measure.name];
      const past = training && before ? Math.min(1, Math.max(0, state.wipe * picture.columns.length - each.cell.column)) : 0;
      const shown = past >= 0.5 ? before : now;
      each.button.style.background = !now ? "" : past === 0 ? colour(now[0], measure.both) : `linear-gradient(var(--heat-way), ${colour(before[0], measure.both)} ${100 * past}%, ${colour(now[0], measure.both)} ${100 * past}%)`;
      each.button.classList.toggle("empty", !now);
      each.button.classList.toggle("upper", Boolean(shown) && !measure.both && shown[0] > HALF);
      each.button.classList.toggle("far", Boolean(shown) && measure.both && Math.abs(shown[0]) > FAR);
      say(each.button, long || !shown ? "" : shown[1]);
      const words = now ? `${each.where}: ${now[1]}${before ? `, before training ${before[1]}` : ""}` : `${each.where}: nothing to measure`;
      each.button.setAttribute("aria-label", words);
      each.words = `${picture.maps.length > 1 ? `${each.map.name}: ` : ""}${words}`;
    }
    fill(legend, el("div", { class: measure.both ? "heat-bar both" : "heat-bar", "aria-hidden": "true" }), el("div", { class: "heat-ends" }, el("span", {}, measure.low), el("span", {}, measure.middle), el("span", {}, measure.high)),
      el("span", { class: "hidden-text" }, `The colours run from ${measure.low} to ${measure.high}.`));
    if (state.numbers) tabulate();
    if (!here.textContent) say(here, picture.details ? "Point at a cell to read it; press it to look closely." : "Point at a cell to read it; press it for all its numbers.");
  }

  function tell(button) {
    say(here, cells.find((each) => each.button === button).words);
  }

  function choose(layer, role) {
    state.chosen = `${layer} ${role}`;
    for (const each of cells) each.button.setAttribute("aria-pressed", String(each.key === state.chosen));
    pick(layer, role);
  }

  function reach(grid, button) {
    for (const each of grid.querySelectorAll(".heat-cell")) each.tabIndex = each === button ? 0 : -1;
  }

  // The nearest cell that way, as the cells lie on the screen.
  function move(event) {
    const way = ARROWS[event.key];
    if (!way || !event.target.classList.contains("heat-cell")) return;
    event.preventDefault();
    const from = centre(event.target);
    let best = null, least = Infinity;
    for (const other of event.currentTarget.querySelectorAll(".heat-cell")) {
      const to = centre(other), along = (to[0] - from[0]) * way[0] + (to[1] - from[1]) * way[1], aside = Math.abs((to[0] - from[0]) * way[1]) + Math.abs((to[1] - from[1]) * way[0]);
      if (along > 1 && along + 20 * aside < least) [best, least] = [other, along + 20 * aside];
    }
    best?.focus();
  }

  function centre(button) {
    const box = button.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  }

  function flip() {
    state.numbers = !state.numbers;
    maps.hidden = state.numbers;
    table.hidden = !state.numbers;
    toggle.setAttribute("aria-pressed", String(state.numbers));
    toggle.textContent = state.numbers ? "Map" : "Numbers";
    if (state.numbers) tabulate();
  }

  function tabulate() {
    const kinds = picture.maps.flatMap((map) => [["", map.now], ["before training", map.before]].filter(([, all]) => all).map(([when, all]) => [[picture.maps.length > 1 ? map.name : "", when].filter(Boolean).join(", "), all]));
    const cell = (all, row, column) => all.find((each) => each.row === row && each.column === column)?.seen[state.measure.name]?.[1] ?? "–";
    fill(table, el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, state.measure.title), picture.columns.map(({ layer, name }) => el("th", { scope: "col" }, layer === null ? name : `block ${name}`)))),
      el("tbody", {}, kinds.flatMap(([words, all]) => picture.rows.map(({ name }, row) => el("tr", {}, el("th", { scope: "row" }, [name, words].filter(Boolean).join(", ")), picture.columns.map((_, column) => el("td", {}, cell(all, row, column)))))))));
  }

  return { node, measure: () => state.measure.name, use: (name) => { const found = picture.measures.findIndex((each) => each.name === name); if (found > 0) switches.querySelectorAll("input")[found].click(); } };
}

// A strength between 0 and 1, or between -1 and 1 around a centre, mixed from the colours of the page's own theme.
function colour(amount, both) {
  if (both) return `color-mix(in oklab, var(--heat-${amount < 0 ? "under" : "over"}) ${percent(Math.abs(amount))}, var(--heat-zero))`;
  const upper = amount > 0.5 ? 1 : 0;
  return `color-mix(in oklab, var(--heat-${STOPS[upper + 1]}) ${percent(2 * amount - upper)}, var(--heat-${STOPS[upper]}))`;
}

function percent(share) {
  return `${Math.round(100 * Math.min(1, Math.max(0, share)))}%`;
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1).replace(/\.$/, "") + ".";
}

let made = 0;

function serial() {
  made += 1;
  return made;
}
