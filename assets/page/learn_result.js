// A result, recorded or live: shown once it is asked for, with the gap to the guess that was made of it; and figures.
import { createAnatomy } from "./anatomy.js";
import { createTable } from "./compare_table.js";
import { el, fill, say } from "./dom.js";
import { draw, figureHolder } from "./figure.js";
import { diagnosis } from "./learn_diagnosis.js";
import { createTimeline } from "./memory_timeline.js";
import { gap, unanswered } from "./learn_gap.js";
import { counts, memoryBar, memoryKey, scoreRows, shareBar, terms } from "./pieces.js";
import { handOver, offers, question, STATES, teacher, who } from "./session.js";

const LOST = "The lab cannot be reached; try again in a moment.";
const ENDED = ["finished", "failed", "cancelled"];
const STEADY = 500, HIDDEN = 4000; // milliseconds between questions
const TRACED = 400; // milliseconds between looks at a step that is being traced
const NAMES = { run: "Run", compare: "Compare", measure: "Measure" };

export function createResult(server, block, context) {
  const state = { shown: false, live: "", timer: 0, answered: false, open: false, runs: "" };
  const chip = el("span", { class: "chip" });
  const about = el("p", { class: "soft" }, lead(block));
  const show = el("button", { type: "button", class: "main", onclick: () => reveal() }, block.kind === "run" ? "Show what came out" : "Show the result");
  const own_one = block.kind !== "compare" && block.offered && !(teacher.recorded && block.recorded);
  const train = own_one ? el("button", { type: "button", class: block.recorded ? "plain" : "main", onclick: () => begin() }, "Run it yourself") : null;
  const stop = el("button", { type: "button", class: "plain", hidden: true, onclick: () => halt() }, "Stop");
  const further = block.kind === "compare" && offers("compare") ? el("button", { type: "button", class: "plain", onclick: () => handOver("compare", { comparison: block.comparison }) }, "Open it in Compare") : null;
  const status = el("p", { class: "status", role: "status" });
  const chart = figureHolder("The run as it goes", 300);
  const bar = el("progress", { class: "learn-progress", max: 1, value: 0, hidden: true, "aria-label": "How far the measurement is" });
  const body = el("div", { class: "learn-result-body" });
  const gaps = el("div", { class: "learn-gaps" });
  const node = el("section", { class: "learn-result", "aria-label": NAMES[block.kind], "data-name": block.name },
    el("header", {}, el("span", { class: "tag" }, NAMES[block.kind]), el("b", {}, block.title || block.says || ""), chip), about,
    el("div", { class: "buttons" }, block.recorded || block.kind !== "run" ? show : null, train, stop, further), status, bar, gaps, body);
  if (block.kind === "measure" && !block.recorded) { show.hidden = true; say(status, train ? "This has not been recorded yet: run it yourself." : "This has not been recorded yet."); }
  if (block.kind === "compare" && !block.recorded) say(status, further ? "This has not been recorded yet. Open it in Compare and start it there: once an arm has all its seeds, its result counts here as well." : "This has not been recorded yet.");

  const kept = () => context.kept();
  if (train && kept().going?.[block.name]) goOn(kept().going[block.name]);
  else if (kept().seen?.includes(block.name)) reveal();

  function seen() {
    if (!kept().seen?.includes(block.name)) context.keep({ seen: [...(kept().seen || []), block.name] });
  }

  async function reveal(words = "") {
    state.runs = runsNow();
    const found = await question(server, "result", { lesson: context.lesson.key, kind: block.kind, name: block.name, guesses: kept().guesses, live: kept().runs, owner: await who() }).catch(() => ({ error: LOST }));
    if (!context.alive()) return;
    if (found.error) { say(status, found.error); return; }
    if (found.waiting) { say(status, block.kind === "compare" ? "There is no result yet: start it in Compare, and come back when an arm has all its seeds." : "There is no result yet: run it yourself."); return; }
    state.shown = true;
    say(status, words);
    say(chip, found.chip);
    chip.className = "chip finished";
    show.hidden = true;
    if (train) train.textContent = own() ? "Run it anew" : "Run it yourself";
    state.open = Object.keys(found.open).length > 0;
    fill(gaps, Object.entries(found.answers).map(([name, answer]) => gap(prediction(name), kept().guesses[name], answer)),
      Object.entries(found.open).map(([name, steps]) => unanswered(prediction(name), kept().guesses[name], steps)),
      Object.entries(found.later).map(([name, step]) => el("p", { class: "soft later" }, `This is a part of what you were asked: “${prediction(name).ask}” It is answered in “${step}”.`)));
    DRAWN[block.kind](body, found);
    seen();
    context.settle();
  }

  // A guess that could not be answered yet is answered as soon as what was missing has been run.
  function settle() {
    if (state.open && stop.hidden && state.runs !== runsNow()) reveal();
  }

  function runsNow() {
    return JSON.stringify(kept().runs || {});
  }

  // The block of a prediction of this lesson, by its name.
  function prediction(name) {
    return context.lesson.sequence.flatMap((step) => step.blocks).find((each) => each.kind === "predict" && each.name === name);
  }

  function own() {
    return kept().runs?.[block.name];
  }

  // An equal run that has finished here is taken; who has its result already wants it made anew.
  async function begin() {
    train.disabled = true;
    say(status, "asking for a place …");
    const found = await question(server, "begin", { lesson: context.lesson.key, kind: block.kind, name: block.name, owner: await who(), anew: Boolean(own()) }).catch(() => ({ error: LOST }));
    if (found.error) { train.disabled = false; say(status, found.error); return; }
    state.answered = found.answered;
    context.keep({ going: { ...kept().going, [block.name]: found.run } });
    if (context.alive()) goOn(found.run);
  }

  // A run that was begun here, also before the page was left.
  function goOn(run) {
    Object.assign(state, { live: run, open: false });
    train.disabled = true;
    stop.hidden = false;
    fill(body, block.kind === "run" ? chart.node : null);
    fill(gaps);
    if (block.kind === "run") follow("");
    else measure();
  }

  function gone() {
    train.disabled = false;
    stop.hidden = bar.hidden = true;
    show.hidden = block.kind === "measure" && !block.recorded;
    context.keep({ going: { ...kept().going, [block.name]: undefined } });
  }

  async function follow(mark) {
    const run = state.live;
    const answer = await question(server, "poll", { run, mark, owner: await who() }).catch(() => null);
    if (!context.alive() || state.live !== run) return;
    if (answer?.error) { gone(); say(status, answer.error); return; }
    if (!answer) say(status, "No connection to the lab; the run goes on without this page.");
    if (answer?.status && !answer.state) say(status, answer.status);
    if (answer?.state) {
      say(status, answer.status || answer.state);
      say(chip, STATES[answer.state] || answer.state);
      chip.className = `chip ${answer.state}`;
      draw(chart, answer.figure, run);
      if (ENDED.includes(answer.state)) { ended(run, answer); return; }
    }
    setTimeout(() => follow(answer?.mark ?? mark), document.hidden ? HIDDEN : 1000 * answer?.again || STEADY);
  }

  // A measurement has no curve: how far it is, and what is left.
  async function measure() {
    const run = state.live;
    const answer = await question(server, "measuring", { run, owner: await who() }).catch(() => null);
    if (!context.alive() || state.live !== run) return;
    if (answer?.error) { gone(); say(status, answer.error); return; }
    say(status, answer ? answer.status : "No connection to the lab; the measurement goes on without this page.");
    if (answer) {
      bar.hidden = false;
      bar.value = answer.part;
      say(chip, STATES[answer.state] || answer.state);
      chip.className = `chip ${answer.state}`;
      if (ENDED.includes(answer.state)) { ended(run, answer); return; }
    }
    setTimeout(measure, document.hidden ? HIDDEN : 1000 * answer?.again || STEADY);
  }

  function ended(run, view) {
    gone();
    state.live = "";
    if (view.state !== "finished") { say(status, [view.reason, view.advice].filter(Boolean).join(" ") || "It was stopped."); failed(run, view); return; }
    context.keep({ runs: { ...kept().runs, [block.name]: run } });
    reveal(view.reused || state.answered ? "Taken from the history: an equal run had been trained here, so nothing was trained now. “Run it anew” trains it." : "");
  }

  // What is wrong with one that failed, by name; its curve stays above.
  async function failed(run, view) {
    if (view.state !== "failed" || block.kind !== "run") return;
    const found = await question(server, "failure", { run, owner: await who() }).catch(() => ({ error: LOST }));
    if (context.alive() && !state.live && found.wrong?.length) body.append(...found.wrong.map(diagnosis));
  }

  async function halt() {
    say(status, "stopping …");
    await question(server, "stop", { run: state.live, owner: await who() }).catch(() => null);
  }

  return { node, settle, waits: () => (kept().seen?.includes(block.name) || (block.kind !== "run" && !block.recorded) ? "" : "Look at the result to go on.") };
}

function lead(block) {
  if (block.kind === "run") return block.seconds ? `Takes about ${block.seconds} s here.` : "Takes about a minute on two cores.";
  if (block.kind === "compare") return `${block.arms.length} arms × ${block.runs / block.arms.length} seeds: ${block.arms.join(", ")}.`;
  return block.offered ? `${block.about} Running it yourself takes ${block.takes}.` : block.about;
}

const DRAWN = { run: drawRun, compare: drawCompared, measure: drawMeasured };

export function drawRun(body, { figure, learned, trained, cost, wrong = [] }) {
  const chart = figureHolder("Loss and score over the steps", 340);
  const longest = Math.max(1, ...cost.bars.map((bar) => bar.bytes));
  fill(body, chart.node, el("section", { class: "learned" }, el("h4", {}, "What it learned"), scoreRows(learned.rows), el("p", { class: "soft" }, learned.noise)),
    el("div", { class: "learn-cards-row" },
    el("section", {}, el("h4", {}, "What it trained"), el("p", { class: "big" }, trained.trainable, el("small", {}, `${trained.share} of all numbers`)), shareBar(trained.part)),
    el("section", {}, el("h4", {}, "What a step took"), cost.bars.map((bar) => memoryBar(bar, longest)), cost.bars.length ? memoryKey(cost.bars[0]) : null)), wrong.map(diagnosis));
  draw(chart, figure, "lesson");
}

function drawCompared(body, { figure, verdicts, table }) {
  const chart = figure ? figureHolder(figure.title, 300) : null;
  const grid = createTable();
  const sentence = (each) => el("li", {}, each.says, each.warning ? el("small", {}, ` ${each.warning}.`) : null);
  fill(body, chart?.node, el("div", { class: "compare-verdicts" }, verdicts.lead ? el("p", {}, el("b", {}, verdicts.lead)) : null,
    verdicts.told.length ? el("ul", { class: "told" }, verdicts.told.map(sentence)) : null,
    verdicts.open.length ? el("details", {}, el("summary", {}, `${verdicts.open.length} ${verdicts.open.length === 1 ? "pair" : "pairs"} that cannot be told apart`), el("ul", { class: "open" }, verdicts.open.map(sentence))) : null), grid.node);
  grid.show(table);
  if (chart) draw(chart, figure.figure, "lesson");
}

function drawMeasured(body, { rows, table }) {
  fill(body, el("dl", { class: "learn-measured" }, rows.flatMap((row) => [el("dt", {}, row.about), el("dd", {}, row.value, row.error ? el("small", {}, ` ${row.error}`) : null)])),
    el("details", {}, el("summary", {}, "All numbers"), plainTable(table)));
}

function plainTable({ columns, rows }) {
  return el("div", { class: "learn-table", tabindex: "0", role: "region", "aria-label": "Numbers" }, el("table", {}, el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", {}, cell)))))));
}

// A part of another tab, inside a lesson.
export function createFigure(server, block, context) {
  const body = el("div", { class: "learn-figure-body" });
  const node = el("figure", { class: "learn-figure", "data-name": block.name }, body, el("figcaption", { class: "soft" }, block.caption));
  if (block.figure === "picture") {
    fill(body, el("img", { src: block.src, alt: block.words || block.caption, loading: "lazy" }),
      block.words ? el("details", {}, el("summary", {}, "This picture in words"), el("p", {}, block.words)) : null);
    return { node };
  }
  return { node, settle: againWithRuns(context, show) };

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

// What is shown of a lesson's runs is asked for now, and anew each time one of one's own has ended.
export function againWithRuns(context, show) {
  let before = null;
  const settle = () => {
    const runs = JSON.stringify(context.kept().runs || {});
    if (before === runs) return;
    before = runs;
    show(context.kept().runs, () => context.alive() && before === runs);
  };
  settle();
  return settle;
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
    fill(body, plainTable({ columns: ["text", "is", "before", "after"], rows: found.learned.samples.map((row) => [row.text, row.label, row.before.answer, row.after.answer]) }));
  } else if (found.learned) {
    fill(body, scoreRows(found.learned.rows));
  } else {
    fill(body, (found.says || []).map((text) => el("p", {}, text)), found.table ? plainTable(found.table) : null);
  }
}
