// Small drawings of the Class tab: a leaderboard, bars of what was predicted, the table of progress.
import { el } from "./dom.js";

export function leaders(rows) {
  if (!rows.length) return el("p", { class: "soft" }, "No run of a member has finished on this task yet.");
  return scrolled("Leaderboard", el("table", { class: "class-table class-leaders" },
    el("thead", {}, el("tr", {}, [["", ""], ["run", ""], ["test score", "value"], ["trained", "value"], ["took", "value"]].map(([name, kind]) => el("th", { scope: "col", class: kind || null }, name)))),
    el("tbody", {}, rows.map((row) => el("tr", { class: row.mine ? "mine" : null }, el("td", { class: "place" }, row.place), el("th", { scope: "row" }, row.title, row.mine ? el("span", { class: "chip" }, "you") : null),
      el("td", { class: "value" }, row.score), el("td", { class: "value" }, row.trainable), el("td", { class: "value" }, row.seconds))))));
}

export function scrolled(name, ...content) {
  return el("div", { class: "class-scroll", role: "region", tabindex: 0, "aria-label": name }, content);
}

// What a class predicted, and once it is to be seen, what came out.
export function predicted(each, shown) {
  const most = Math.max(1, ...each.bars.map((bar) => bar.count || 0));
  const many = `${each.guesses} ${each.guesses === 1 ? "prediction" : "predictions"}`;
  const near = !shown || each.near === null || !each.guesses ? "" : ` · ${each.near} ${["choice", "order"].includes(each.kind) ? "right" : "near"}`;
  return el("article", { class: "class-card class-predicted" }, el("h3", {}, each.ask), el("p", { class: "soft" }, `${many}${near}`, !shown ? "" : each.truth ? ` · came out: ${each.truth}` : " · not run yet"),
    each.guesses ? el("div", { class: "class-bars" }, each.bars.map((bar) => (each.kind === "curve" ? point({ ...bar, came_out: shown ? bar.came_out : null }) : count({ ...bar, truth: shown && bar.truth }, most)))) : null);
}

function count(bar, most) {
  return el("div", { class: bar.truth ? "class-bar truth" : "class-bar" }, el("span", { class: "name" }, bar.name, bar.truth ? el("small", {}, "came out") : null),
    el("span", { class: "track", "aria-hidden": "true" }, el("i", { style: { width: `${(100 * bar.count) / most}%` } })), el("b", {}, bar.count));
}

function point(bar) {
  const at = (value) => `${Math.min(100, Math.max(0, (100 * (value - bar.low)) / (bar.high - bar.low)))}%`;
  const few = (value) => Number(value.toPrecision(3)).toLocaleString("en");
  return el("div", { class: "class-bar points" }, el("span", { class: "name" }, bar.name),
    el("span", { class: "track", role: "img", "aria-label": `median guess ${few(bar.value)}${bar.came_out === null ? "" : `, came out ${few(bar.came_out)}`}` },
      el("i", { class: "guess", style: { left: at(bar.value) } }), bar.came_out === null ? null : el("i", { class: "came-out", style: { left: at(bar.came_out) } })),
    el("b", {}, few(bar.value), bar.came_out === null ? null : el("small", {}, ` → ${few(bar.came_out)}`)));
}

export function progressTable({ lessons, rows }) {
  if (!rows.length) return el("p", { class: "soft" }, "Nobody has joined yet. Tell your students the class code; they enter it here, in the Class tab.");
  const cell = (each, lesson) => {
    const words = each.ended ? "finished" : each.step ? `step ${each.step} of ${each.of}` : "not begun";
    return el("td", { title: `${lesson.title}: ${words}` }, el("span", { class: each.ended ? "class-cell ended" : "class-cell", role: "img", "aria-label": words },
      el("i", { style: { width: `${100 * each.part}%` } }), each.ended ? "✓" : each.step ? `${each.step}/${each.of}` : ""));
  };
  return scrolled("Progress of the class", el("table", { class: "class-table class-progress" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "name"), lessons.map((each) => el("th", { scope: "col", title: each.title }, each.number)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, el("th", { scope: "row" }, row.name), row.cells.map((each, place) => cell(each, lessons[place]))))),
    el("tfoot", {}, el("tr", {}, el("th", { scope: "row" }, "finished"), lessons.map((each) => el("td", {}, each.ended || "–"))))));
}
