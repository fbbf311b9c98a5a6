// A part of another tab inside a lesson; and when what is told of a lesson's runs may be asked for.
import { createAnatomy } from "./anatomy.js";
import { createTable } from "./compare_table.js";
import { el, fill } from "./dom.js";
import { draw, figureHolder } from "./figure.js";
import { createTimeline } from "./memory_timeline.js";
import { counts, image, memoryBar, memoryKey, scoreRows, shareBar, terms } from "./pieces.js";
import { question, who } from "./session.js";

const LOST = "The lab cannot be reached; try again in a moment.";
const FIRST_ROWS = 20;
const TRACED = 400; // milliseconds between looks at a step that is being traced

export function createFigure(server, block, context) {
  const body = el("div", { class: "learn-figure-body" });
  const node = el("figure", { class: "learn-figure", "data-name": block.name }, body, el("figcaption", { class: "soft" }, block.caption));
  if (block.figure === "picture") {
    fill(body, el("img", { src: block.src, alt: block.words || block.caption, loading: "lazy" }),
      block.words ? el("details", {}, el("summary", {}, "This picture in words"), el("p", {}, block.words)) : null);
    return { node };
  }
  return { node, settle: againWithRuns(context, show, block.after, (steps) => fill(body, el("p", { class: "soft" }, `Shown here once you have seen the result in ${steps}.`))) };

  async function show(live, fresh) {
    const found = await question(server, "figure", { lesson: context.lesson.key, name: block.name, live, owner: await who() }).catch(() => ({ error: LOST }));
    if (!fresh()) return;
    if ("tracing" in found) {
      fill(body, el("p", { class: "soft", role: "status" }, found.tracing ? "The tracing process is starting, which takes about ten seconds …" : "Tracing this step, allocation by allocation …"));
      setTimeout(() => { if (fresh()) show(live, fresh); }, TRACED);
      return;
    }
    if (found.error || found.waiting) { fill(body, el("p", { class: "soft" }, found.error || "Shown as soon as there is a run of it.")); return; }
    drawFigure(body, found);
  }
}

// What is shown of a lesson's runs is asked for once the results `after` which it may be told have been seen, and anew each time a run of one's own has ended.
// Until then `hold` says in which steps they stand.
export function againWithRuns(context, show, after, hold) {
  let before = null;
  const settle = () => {
    const missing = context.awaited(after);
    const runs = missing.length ? missing.join(" ") : JSON.stringify(context.kept().runs || {});
    if (before === runs) return;
    before = runs;
    if (missing.length) hold(missing.map((name) => `“${headingOf(context.lesson, name)}”`).join(" and "));
    else show(context.kept().runs, () => context.alive() && before === runs);
  };
  settle();
  return settle;
}

function headingOf(lesson, result) {
  return lesson.sequence.find((step) => step.blocks.some((each) => ["run", "compare", "measure"].includes(each.kind) && each.name === result)).heading;
}

function drawFigure(body, found) {
  if (found.anatomy) {
    const anatomy = createAnatomy();
    fill(body, anatomy.node);
    anatomy.show(found.anatomy, found.symbols);
  } else if (found.count) {
    const { trainable, share, part, rows, terms: lines, total, linked } = found.count;
    fill(body, el("p", { class: "big" }, trainable, el("small", {}, `${share} of all numbers`)), shareBar(part), counts(rows), terms(lines, total, linked));
  } else if (found.memory) {
    const longest = Math.max(1, ...found.memory.map((bar) => bar.bytes));
    fill(body, found.memory.map((bar) => memoryBar(bar, longest)), memoryKey(found.memory[0]));
  } else if (found.course) {
    const course = createTimeline("h4");
    fill(body, course.node, memoryKey(found));
    course.show(found.course);
  } else if (found.chart) {
    const chart = figureHolder("Chart", 300);
    fill(body, chart.node);
    draw(chart, found.chart, "lesson");
  } else if (found.arms) {
    const grid = createTable();
    fill(body, grid.node);
    grid.show(found.arms);
  } else if (found.samples) {
    fill(body, plainTable({ columns: [found.learned.samples[0].pixels ? "image" : "text", "is", "before", "after"], rows: found.learned.samples.map((row) => [row.pixels ? image(row.pixels) : row.text, row.label, row.before.answer, row.after.answer]) }));
  } else if (found.vectors) {
    fill(body, found.says.map((text) => el("p", {}, text)),
      found.scores.length ? [el("h4", {}, "The swap test: what stands in for the prompt, and its score"), scoreRows(found.scores), el("p", { class: "soft" }, `Bands: one standard error to each side, on ${found.items} test items.`)] : null,
      el("details", {}, el("summary", {}, `The nearest word of each of ${found.vectors.rows.length} vectors, before training and after`), plainTable(found.vectors)),
      el("details", {}, el("summary", {}, `All neighbours, by every measure: ${found.table.rows.length} rows`), plainTable(found.table)));
  } else if (found.learned) {
    fill(body, scoreRows(found.learned.rows));
  } else {
    fill(body, (found.says || []).map((text) => el("p", {}, text)), found.table ? plainTable(found.table) : null);
  }
}

// Of a long table the first rows, and the others when they are asked for; `note` says what an empty cell means.
export function plainTable({ columns, rows, note }) {
  const line = (row) => el("tr", {}, row.map((cell) => el("td", {}, cell)));
  const body = el("tbody", {}, rows.slice(0, FIRST_ROWS).map(line));
  const more = rows.length > FIRST_ROWS ? el("button", { type: "button", class: "small", onclick: () => { fill(body, rows.map(line)); more.remove(); } }, `Show all ${rows.length} rows`) : null;
  const table = el("div", { class: "learn-table", tabindex: "0", role: "region", "aria-label": "Numbers" }, el("table", {}, el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name)))), body));
  return el("div", { class: "learn-rows" }, table, more, note ? el("p", { class: "soft" }, note) : null);
}
