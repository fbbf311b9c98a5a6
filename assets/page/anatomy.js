// The drawing of one block: Python says every figure, here they become SVG elements. The table beside it says the same in words.
import { el, fill, say } from "./dom.js";

export function createAnatomy() {
  const title = el("h2", {});
  const formula = el("code", { class: "formula" });
  const sheets = el("div", { class: "sheets" });
  const body = el("div", { class: "twin" });
  const table = el("details", { open: matchMedia("(min-width: 1200px)").matches }, el("summary", {}, "The same as a table"), body);
  const pieces = el("div", { class: "pieces" }, sheets, table);
  const inner = el("section", { class: "anatomy", "aria-label": "What is trained, drawn on one block" }, el("div", { class: "what" }, title, formula), pieces);
  const node = el("div", { class: "anatomy-holder", hidden: true }, inner);
  let drawn = "";
  return {
    node,
    stale: () => inner.classList.add("stale"),
    show(anatomy, symbols) {
      inner.classList.remove("stale");
      const now = JSON.stringify([anatomy, symbols]);
      if (now === drawn) return;
      drawn = now;
      node.hidden = false;
      say(title, anatomy.title);
      fill(formula, spelled(symbols));
      pieces.classList.toggle("single", anatomy.sheets.length === 1);
      fill(sheets, anatomy.sheets.map((sheet) => figure(sheet)));
      fill(body, rows(anatomy));
    },
  };
}

// [tag, attributes, child, …] as Python wrote it; texts are set as texts.
export function figure([tag, { xmlns, ...attributes }, ...children], space = xmlns) {
  const node = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.map((child) => (typeof child === "string" ? child : figure(child, space))));
  return node;
}

// A formula whose signs know which part they stand for.
export function spelled(symbols) {
  return symbols.map(({ text, part, symbol }) => (part || symbol ? el("span", { "data-part": part || null, "data-symbol": symbol || null }, text) : text));
}

function rows(anatomy) {
  if (!anatomy.rows.length) return el("p", { class: "soft" }, "Nothing is trained, so there is nothing to count.");
  return el("table", {}, el("thead", {}, el("tr", {}, ["part", "each", "total"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, anatomy.rows.map((row) => el("tr", { "data-part": row.part, tabindex: 0 },
      el("th", { scope: "row" }, row.name, el("small", {}, row.tensors.map((each) => el("span", { "data-part": row.part, "data-symbol": each.symbol || null }, each.text)))), el("td", {}, row.each, el("small", {}, row.layers)), el("td", {}, row.total)))),
    el("tfoot", {}, el("tr", {}, el("th", { scope: "row", colspan: 2 }, "trainable, together"), el("td", {}, anatomy.total))));
}
