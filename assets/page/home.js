// The first screen: two recorded runs side by side, what they measured, and one button.
import { el } from "./dom.js";
import { draw, figureHolder } from "./figure.js";
import { shareBar } from "./pieces.js";

export function createHome(home, begin, open) {
  if (!home) {
    return el("section", { class: "home empty" }, el("h2", {}, "Train a small model, and watch what it costs"),
      el("p", {}, "Choose a method, press Train, and the first loss is here in a second or two."), el("button", { type: "button", class: "main", onclick: begin }, "Choose and train"));
  }
  const chart = figureHolder("Scores of two recorded runs over their steps", 290);
  const node = el("section", { class: "home", "aria-label": "Two recorded runs" },
    el("h2", {}, "Two ways to teach one model the same task"),
    el("p", { class: "lead" }, home.sentence, " ", el("b", {}, home.question)),
    el("div", { class: "pair" }, home.runs.map((run) => card(run, open))),
    chart.node,
    el("div", { class: "home-go" }, el("button", { type: "button", class: "main", onclick: begin }, "Run it yourself"), el("p", { class: "soft" }, home.about)));
  draw(chart, home.figure, "home");
  return node;
}

function card(run, open) {
  return el("article", { class: "recorded", style: { "--method": run.colour } },
    el("header", {}, el("h3", {}, run.title), el("span", { class: "chip" }, run.label)),
    el("p", { class: "big" }, run.score), el("p", { class: "soft" }, run.metric), shareBar(run.part),
    el("dl", {}, run.facts.flatMap((fact) => [el("dt", {}, fact.name), el("dd", {}, fact.value)])),
    el("button", { type: "button", class: "link", "aria-label": `All of this run: ${run.title}`, onclick: () => open(run.run) }, "All of this run"));
}
