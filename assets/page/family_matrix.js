// What every model takes: methods down, models across. One cell is in the tab order; arrow keys move; hover, focus or tap tells what is behind a sign.
import { el, fill, say } from "./dom.js";

const SIGNS = { tried: ["✓", "takes it"], fits: ["○", "fits by its arithmetic, not tried"], no: ["–", "cannot take it"] };

export function createMatrix() {
  const head = el("thead", {}), body = el("tbody", {});
  const table = el("table", { class: "matrix", role: "grid", "aria-label": "Methods by models" }, head, body);
  const told = el("p", { class: "told", role: "status", "aria-live": "polite" });
  const legend = el("p", { class: "soft legend" }, Object.values(SIGNS).map(([sign, words]) => el("span", {}, el("b", {}, sign), ` ${words}`)));
  const node = el("section", { class: "family-matrix", hidden: true, "aria-label": "What every model takes" },
    el("p", { class: "soft" }, "Ticks were found by trying: each method was built, trained for two steps, asked to write, saved and loaded on a tiny model of each architecture. Point at a sign, or move with the arrow keys, to read what is behind it."),
    legend, el("div", { class: "beside" }, el("div", { class: "scroll" }, table), told));
  const grid = [];

  function draw(data, choose) {
    const titled = (each) => el("th", { scope: "col", "data-model": each.key }, el("span", {}, each.title));
    fill(head, el("tr", {}, el("th", { scope: "col" }, "method"), data.models.map(titled)));
    grid.length = 0;
    const families = data.groups.find((each) => each.key === "family").options;
    fill(body, families.map((family) => [
      el("tr", { class: "of" }, el("th", { scope: "rowgroup", colspan: data.models.length + 1 }, el("span", {}, family.label))),
      data.methods.filter((each) => each.family === family.key).map((method) => line(method, data)),
    ]));
    grid[0][0].tabIndex = 0;
    say(told, "");
    head.querySelectorAll("[data-model]").forEach((cell) => cell.addEventListener("click", () => choose(cell.dataset.model)));
  }

  function line(method, data) {
    const place = grid.length, cells = data.models.map((model, column) => cell(method, model, data.matrix[method.key][model.key], place, column));
    grid.push(cells);
    return el("tr", {}, el("th", { scope: "row" }, method.title), cells);
  }

  function cell(method, model, found, row, column) {
    const kind = !found.ok ? "no" : found.tried.startsWith("Tried") ? "tried" : "fits";
    const [sign, words] = SIGNS[kind], text = `${method.title} on ${model.title}: ${found.ok ? found.tried : found.reason}`;
    const tell = () => say(told, text);
    const node = el("td", { class: kind, tabindex: "-1", "data-model": model.key, onmouseenter: tell, onclick: tell,
      onfocus: () => { grid.flat().forEach((each) => { each.tabIndex = -1; }); node.tabIndex = 0; tell(); },
      onkeydown: (event) => {
        const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
        const next = step && grid[row + step[0]]?.[column + step[1]];
        if (next) { event.preventDefault(); next.focus(); }
      } }, el("span", { "aria-hidden": "true" }, sign), el("span", { class: "hidden-text" }, found.ok ? words : `${words}: ${found.reason}`));
    return node;
  }

  function mark(model) {
    table.querySelectorAll("[data-model]").forEach((each) => each.classList.toggle("chosen", each.dataset.model === model));
  }

  return { node, draw, mark };
}
