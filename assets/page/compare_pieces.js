// Small parts that several sides of a comparison share.
import { el } from "./dom.js";

export function options(methods, model) {
  return [...new Set(methods.map((each) => each.family))].map((family) => el("optgroup", { label: family }, methods.filter((each) => each.family === family)
    .map((each) => el("option", { value: each.key, disabled: Boolean(each.supports[model]), title: each.supports[model] || "" }, each.title))));
}

export function field(id, words, input, help = "") {
  return el("div", { class: "compare-field" }, el("label", { for: id }, words), input, help ? el("p", { class: "help", id: `${id}-help` }, help) : null);
}

export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// Drawn again only when what it shows has changed.
export function redraw(node, value, make) {
  const now = JSON.stringify(value ?? null);
  if (node.dataset.drawn === now) return;
  node.dataset.drawn = now;
  const parts = () => [...node.querySelectorAll("button, input, select, summary")], at = parts().indexOf(document.activeElement);
  node.replaceChildren(...[make()].flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  if (at >= 0) parts()[at]?.focus({ preventScroll: true }); // whoever goes by keyboard stays where they were
}
