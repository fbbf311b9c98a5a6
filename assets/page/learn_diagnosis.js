// What the lab says is wrong with a run, by name, with what to change and the chart in which it is to be seen.
import { el } from "./dom.js";
import { draw, figureHolder } from "./figure.js";
import { memoryBar, memoryKey } from "./pieces.js";

export function diagnosis(seen) {
  return el("div", { class: "notice diagnosis" }, el("p", {}, el("b", {}, `${seen.title}. `), seen.says), evidence(seen), el("p", {}, seen.advice));
}

function evidence({ title, figure, bars, above }) {
  if (above) return el("p", { class: "soft" }, above);
  if (bars) {
    const longest = Math.max(...bars.map((bar) => bar.bytes));
    return el("div", { class: "diagnosis-bars" }, bars.map((bar) => memoryBar(bar, longest)), memoryKey(bars[0]));
  }
  const chart = figureHolder(title, 240);
  draw(chart, figure, title);
  return chart.node;
}
