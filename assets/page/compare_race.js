// The race: one chart for all arms, and a row an arm with how far its seeds are and a way to stop it.
import { capital, redraw } from "./compare_pieces.js";
import { el, fill, say } from "./dom.js";
import { draw as drawFigure, figureHolder } from "./figure.js";

const STATES = { missing: "not begun", queued: "waiting", running: "running", finished: "done", failed: "failed", cancelled: "stopped" };
const MEASURES = [["score", "Score"], ["loss", "Training loss"]];

export function createRace({ stopArm, chart, open }) {
  const state = { figure: "" };
  const title = el("h3", {}, "The race");
  const done = el("p", { class: "soft" });
  const choice = el("div", { class: "segments", role: "radiogroup", "aria-label": "What the chart shows" }, MEASURES.map(([value, words]) => el("label", {},
    el("input", { type: "radio", name: "compare-chart", value, onchange: () => chart(value) }), el("span", {}, words))));
  const plot = figureHolder("Scores of all arms over the steps", 360);
  const rows = el("ol", { class: "compare-rows" });
  const node = el("section", { class: "compare-race", "aria-label": "The race", hidden: true }, el("header", {}, title, done, choice), plot.node, rows);

  function show(view, { over, chart: measure, live }) {
    node.hidden = false;
    say(title, over ? "Learning curves" : "The race");
    for (const input of choice.querySelectorAll("input")) input.checked = input.value === measure; // the loss until there is a score, unless somebody chose
    say(done, over ? "" : `${view.done} of ${view.of} trainings are done`);
    if (view.race && JSON.stringify([view.race, measure]) !== state.figure) {
      state.figure = JSON.stringify([view.race, measure]);
      drawFigure(plot, view.race, measure);
    }
    plot.node.hidden = !view.race;
    const shown = over ? view.rows.filter((row) => row.reasons.length || row.stopped) : view.rows;
    redraw(rows, [shown, live], () => shown.map((row) => line(row, live)));
  }

  function line(row, live) {
    const going = live && !row.stopped && ["queued", "running", "missing"].includes(row.state);
    const words = row.stopped ? "stopped" : row.says || (row.state === "missing" && row.done ? "more to come" : STATES[row.state]);
    const name = row.run ? el("button", { type: "button", class: "link what", title: "open its run in the Train tab", onclick: () => open(row.run) }, row.name) : el("span", { class: "what" }, row.name);
    return el("li", { class: row.state, style: { "--arm": row.colour } }, el("i", { class: row.dash, "aria-hidden": "true" }), name,
      el("span", { class: "progress", role: "progressbar", "aria-label": row.name, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(100 * row.progress) }, el("span", { style: { width: `${100 * row.progress}%` } })),
      el("span", { class: "state" }, `${row.done} of ${row.of} seeds`, row.score ? `, ${row.score}` : ""), el("span", { class: "says" }, words),
      going ? el("button", { type: "button", class: "small", "aria-label": `stop ${row.name}`, onclick: () => stopArm(row.name) }, "Stop") : el("span", {}),
      row.reasons.map((reason) => el("p", { class: "reason" }, `${capital(reason)}`)));
  }

  return { node, show, hide: () => { node.hidden = true; state.figure = ""; fill(rows); delete rows.dataset.drawn; } };
}
