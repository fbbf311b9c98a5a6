// The figures of a result: the one that answers the question first, the others one click away.
import { redraw } from "./compare_pieces.js";
import { el, say } from "./dom.js";
import { draw as drawFigure, figureHolder } from "./figure.js";

export function createFigures() {
  const state = { figures: [], chosen: "", drawn: "", by: "" };
  const choice = el("div", { class: "segments", role: "radiogroup", "aria-label": "Which figure" });
  const plot = figureHolder("The result in a picture", 380);
  const key = el("ul", { class: "compare-key always", "aria-hidden": "true", hidden: true });
  const says = el("p", { class: "soft", role: "status" });
  const narrow = matchMedia("(max-width: 700px)");
  narrow.addEventListener("change", () => { if (state.figures.length) paint(); });
  const called = (trace) => trace.name || String(trace.text).trim(), colour = (trace) => (trace.line || trace.marker).color;
  const notes = el("dl", { class: "compare-notes" });
  const node = el("section", { class: "compare-front-part compare-figures", "aria-label": "The result in pictures" }, choice, plot.node, key, notes, says);

  // `wanted` shows what the verdicts are about: it is turned to when that is chosen, and left when another one is clicked.
  function show(figures, wanted = "", by = "") {
    const turned = by !== state.by;
    Object.assign(state, { figures, by });
    node.hidden = !figures.length;
    if (!figures.length) return;
    if (turned && figures.some((each) => each.key === wanted)) state.chosen = wanted;
    if (!figures.some((each) => each.key === state.chosen)) state.chosen = figures[0].key;
    choice.hidden = figures.length < 2;
    redraw(choice, [figures.map((each) => [each.key, each.title]), state.chosen], () => figures.map((each) => el("label", {},
      el("input", { type: "radio", name: "compare-figure", value: each.key, checked: each.key === state.chosen, onchange: () => { state.chosen = each.key; paint(); } }), el("span", {}, each.title))));
    paint();
  }

  // Where names have no place in the picture they stand below it.
  function paint() {
    const { figure } = state.figures.find((each) => each.key === state.chosen);
    const now = JSON.stringify([state.chosen, figure, narrow.matches]);
    if (now === state.drawn) return;
    state.drawn = now;
    const beside = figure.data.filter((trace) => trace.mode === "markers+text"), bare = narrow.matches && beside.length > 0; // no room for names beside marks
    const named = bare ? beside : figure.data.filter((trace) => trace.line || trace.marker);
    key.hidden = !figure.key && !bare;
    if (!key.hidden) redraw(key, named.map((trace) => [called(trace), colour(trace)]), () => named.map((trace) => el("li", {}, el("i", { style: { background: colour(trace) } }), called(trace))));
    say(says, figure.says);
    says.hidden = !figure.says;
    notes.hidden = !figure.notes;
    redraw(notes, figure.notes, () => (figure.notes || []).map(([name, scale]) => el("div", {}, el("dt", {}, name), el("dd", {}, scale))));
    drawFigure(plot, bare ? { ...figure, data: figure.data.map((trace) => (beside.includes(trace) ? { ...trace, mode: "markers" } : trace)) } : figure, state.chosen);
  }

  return { node, show, hide: () => { Object.assign(state, { figures: [], chosen: "", drawn: "", by: "" }); } };
}
