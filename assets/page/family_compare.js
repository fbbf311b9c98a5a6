// Two or three methods side by side, the same rows for each.
import { el } from "./dom.js";

export function compare(methods, fit, model, train) {
  const box = el("dialog", { class: "lab family-compare", lang: "en", "aria-label": "Methods side by side" });
  const close = () => { box.close(); box.remove(); };
  const here = (method) => fit[method.key];
  const rows = [
    ["idea", (method) => method.about], ["formula", (method) => el("code", {}, method.formula)],
    [`trained on ${model}`, (method) => (here(method).ok ? [el("b", {}, here(method).count), ` (${here(method).share})`] : here(method).reason)],
    ["usual learning rate", (method) => here(method).rate || "–"],
    ...methods[0].facts.map(({ name }) => [name, (method) => method.facts.find((each) => each.name === name).value]),
    ["for it", (method) => method.strengths || "–"], ["against it", (method) => method.weaknesses || "–"],
    ["paper", (method) => el("a", { href: method.paper.link, target: "_blank", rel: "noopener noreferrer", title: method.paper.title }, method.paper.text)],
    ["", (method) => (here(method).ok ? el("button", { type: "button", class: "plain", onclick: () => { close(); train(method.key); } }, "Train with it") : null)],
  ];
  const line = ([name, value]) => {
    const same = new Set(methods.map((method) => (typeof value(method) === "string" ? value(method) : method.key))).size === 1;
    return el("tr", { class: same ? "same" : null }, el(name ? "th" : "td", name ? { scope: "row" } : {}, name), methods.map((method) => el("td", {}, value(method))));
  };
  box.addEventListener("cancel", (event) => { event.preventDefault(); close(); });
  box.append(el("div", { class: "top" }, el("h2", {}, "Side by side"), el("button", { type: "button", class: "plain", onclick: close }, "Close")),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "comparison" },
      el("table", { style: { "--columns": methods.length } },
        el("thead", {}, el("tr", {}, el("td", {}), methods.map((method) => el("th", { scope: "col", style: { "--method": method.colour } }, method.title)))),
        el("tbody", {}, rows.map(line))),
      el("p", { class: "soft" }, "Counts are at each method's defaults, without the new head that models with features get. What a paper found holds for its models and tasks: before you say that one is better here, run both with several seeds.")));
  document.body.append(box);
  box.showModal();
}
