// The table of arms: every column is sorted by a click or by the keyboard, the best first; what is not known goes last.
import { el, fill } from "./dom.js";

export function createTable() {
  const state = { table: null, by: "", best: true };
  const table = el("table", {});
  const node = el("div", { class: "compare-table", tabindex: "0", role: "region", "aria-label": "All arms, to sort" }, table);

  function show(found) {
    state.table = found;
    if (state.by && state.by !== "name" && !found.columns.some((column) => column.key === state.by)) state.by = "";
    paint();
  }

  function sort(key) {
    Object.assign(state, state.by === key ? { best: !state.best } : { by: key, best: true });
    paint();
    table.querySelector(`[data-key="${key}"]`)?.focus();
  }

  function paint() {
    const { table: found, by, best } = state;
    const column = found.columns.find((each) => each.key === by);
    const rows = column ? sorted(found.rows, column, best) : by === "name" ? [...found.rows].sort((one, other) => one.name.localeCompare(other.name) * (best ? 1 : -1)) : found.rows;
    const up = column && (column.better > 0) !== best; // whether the smallest stands on top
    fill(table, el("caption", { class: "hidden-text" }, "Arms of the comparison; the heads of the columns sort it"),
      el("thead", {}, el("tr", {}, head({ key: "name", title: "arm", help: "by name" }, by === "name" && best), found.columns.map((each) => head(each, up)))),
      el("tbody", {}, rows.map((row) => line(row, found.columns))));
  }

  function head({ key, title, help }, up) {
    const chosen = key === state.by;
    return el("th", { scope: "col", "aria-sort": chosen ? (up ? "ascending" : "descending") : "none" }, el("button", { type: "button", "data-key": key, title: help, onclick: () => sort(key) },
      title, el("span", { "aria-hidden": "true" }, chosen ? (up ? "▲" : "▼") : "↕")));
  }

  function line(row, columns) {
    return [el("tr", {}, el("th", { scope: "row" }, el("span", {}, el("i", { style: { background: row.colour }, "aria-hidden": "true" }), row.name)),
      columns.map((each) => cell(row.cells[each.key], row.bold && each.key === (state.table.about ?? "score")))),
    row.failed.length ? el("tr", { class: "failed" }, el("td", { colspan: columns.length + 1 }, row.failed.map((text) => `${row.name} failed with ${text}`).join(" · "), row.advice ? ` ${row.advice}` : "")) : null];
  }

  function cell({ text, exact, note }, bold) {
    return el("td", { title: exact }, bold ? el("b", {}, text) : text, note ? el("small", { class: "elsewhere" }, note) : null);
  }

  return { node, show };
}

function sorted(rows, { key, better }, best) {
  const value = (row) => row.cells[key].value;
  const known = rows.filter((row) => value(row) !== null), unknown = rows.filter((row) => value(row) === null);
  return [...known.sort((one, other) => (value(other) - value(one)) * better * (best ? 1 : -1)), ...unknown];
}
