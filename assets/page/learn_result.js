// A result: the recorded one, one's own, or both beside each other; shown once it is asked for, with the gap to the guess that was made of it.
import { createTable } from "./compare_table.js";
import { el, fill, say } from "./dom.js";
import { draw, figureHolder } from "./figure.js";
import { diagnosis } from "./learn_diagnosis.js";
import { plainTable } from "./learn_figure.js";
import { gap, unanswered } from "./learn_gap.js";
import { memoryBar, memoryKey, scoreRows, shareBar } from "./pieces.js";
import { handOver, offers, question, STATES, teacher, who } from "./session.js";

const LOST = "The lab cannot be reached; try again in a moment.";
const ENDED = ["finished", "failed", "cancelled"];
const STEADY = 500, HIDDEN = 4000; // milliseconds between questions
const NAMES = { run: "Run", compare: "Compare", measure: "Measure" };
const OWN = { run: "Your own run", measure: "Your own measurement" };
const RECORDED = { run: "The recorded run", compare: "", measure: "The recorded measurement" };

export function createResult(server, block, context) {
  const state = { live: "", answered: false, open: false, runs: "", mine: null, theirs: null, held: null, second: "" };
  const mine = createPart(OWN[block.kind]), theirs = createPart(RECORDED[block.kind]);
  const show = el("button", { type: "button", onclick: () => reveal(ownFirst()) });
  const own_one = block.kind !== "compare" && block.offered && !(teacher.recorded && block.recorded);
  const train = own_one ? el("button", { type: "button", class: block.recorded ? "plain" : "main", onclick: () => begin() }) : null;
  const stop = el("button", { type: "button", class: "plain", hidden: true, onclick: () => halt() }, "Stop");
  const further = block.kind === "compare" && offers("compare") ? el("button", { type: "button", class: "plain", onclick: () => handOver("compare", { comparison: block.comparison }) }, "Open it in Compare") : null;
  const status = el("p", { class: "status", role: "status" });
  const chart = figureHolder("Your own run as it goes", 340);
  const bar = el("progress", { class: "learn-progress", max: 1, value: 0, hidden: true, "aria-label": "How far the measurement is" });
  const gaps = el("div", { class: "learn-gaps" });
  const both = el("div", { class: "learn-both", hidden: true });
  const about = lead(block);
  const node = el("section", { class: "learn-result", "aria-label": NAMES[block.kind], "data-name": block.name },
    el("header", {}, el("span", { class: "tag" }, NAMES[block.kind]), el("b", {}, block.title || block.says || ""), block.kind === "compare" ? theirs.chip : null), about ? el("p", { class: "soft" }, about) : null,
    el("div", { class: "buttons" }, show, train, stop, further), status, bar, gaps, both, mine.node, theirs.node);
  if (block.kind === "measure" && !block.recorded) say(status, train ? "This has not been recorded yet: run it yourself." : "This has not been recorded yet.");
  if (block.kind === "compare" && !block.recorded) say(status, further ? "This has not been recorded yet. Open it in Compare and start it there: once an arm has all its seeds, its result counts here as well." : "This has not been recorded yet.");

  const kept = () => context.kept();
  offer();
  if (train && kept().going?.[block.name]) goOn(kept().going[block.name]);
  if (kept().seen?.includes(block.name) && !(state.live && !block.recorded)) reveal(Boolean(own()) && !state.live);

  // Whether a run of one's own is there and not yet shown.
  function ownFirst() {
    return Boolean(own()) && !state.mine && !state.live;
  }

  // What the buttons do, with the time that it takes.
  function offer() {
    const words = block.kind === "run" ? "Show what came out" : "Show the result";
    if (ownFirst()) fill(show, words, el("small", {}, "your own, made before"));
    else if (state.mine) fill(show, "Show the recorded one, too", el("small", {}, "shown at once"));
    else fill(show, words, block.recorded ? el("small", {}, "recorded: shown at once") : null);
    show.className = state.mine ? "plain" : "main";
    show.hidden = !ownFirst() && (Boolean(state.theirs) || (block.kind !== "compare" && !block.recorded));
    if (train) fill(train, own() ? "Run it anew" : "Run it yourself", el("small", {}, `${block.kind === "run" ? "trains" : "measures"} here: ${block.takes}`));
  }

  function seen() {
    if (!kept().seen?.includes(block.name)) context.keep({ seen: [...(kept().seen || []), block.name] });
  }

  // Of one's own run, where there is one, or of the recorded one, which stays beside it.
  async function reveal(ownOne, words = "") {
    state.runs = runsNow();
    const live = ownOne ? kept().runs : { ...kept().runs, [block.name]: undefined };
    const found = await question(server, "result", { lesson: context.lesson.key, kind: block.kind, name: block.name, guesses: kept().guesses, live, owner: await who() }).catch(() => ({ error: LOST }));
    if (!context.alive()) return;
    if (found.error && ownOne && block.recorded && found.error !== LOST) { reveal(false, `Your own is not here any more: ${found.error}`); return; }
    if (found.error) { say(status, found.error); return; }
    if (found.waiting) { say(status, block.kind === "compare" ? "There is no result yet: start it in Compare, and come back when an arm has all its seeds." : "There is no result yet: run it yourself."); return; }
    const isOwn = ownOne && found.own; // a run of the lesson as it was before a change is none of this one
    state[isOwn ? "mine" : "theirs"] = found;
    if (!state.live) say(status, words);
    const part = isOwn ? mine : theirs;
    part.head(isOwn ? "finished" : found.chip, "finished");
    DRAWN[block.kind](part.body, found);
    if (isOwn || !state.mine) answered(found);
    seen();
    tell();
    context.settle();
    if (state.live && !isOwn) theirs.node.scrollIntoView({ block: "nearest" });
  }

  function answered(found) {
    const guesses = kept().guesses, second = kept().second || {};
    Object.assign(state, { held: found, open: Object.keys(found.open).length > 0, second: JSON.stringify(second) });
    fill(gaps, Object.entries(found.answers).map(([name, answer]) => gap(prediction(name), guesses[name], answer, second[name])),
      Object.entries(found.open).map(([name, steps]) => unanswered(prediction(name), guesses[name], steps)),
      Object.entries(found.later).map(([name, step]) => el("p", { class: "soft later" }, `This is a part of what you were asked: “${prediction(name).ask}” It is answered in “${step}”.`)));
  }

  // Which of the two is which, as soon as there could be two.
  function tell() {
    offer();
    say(theirs.note, state.live && state.theirs ? `This is not yours: it was recorded before. Your own ${block.kind === "run" ? "run" : "measurement"} goes on above, and will stand beside this one when it has ended.` : "");
    both.hidden = !(state.mine && state.theirs);
    if (!both.hidden) fill(both, el("h4", {}, "Both, side by side"), plainTable({ columns: ["", "yours", "recorded"], rows: sides(state.mine, state.theirs) }), gaps.childElementCount ? el("p", { class: "soft" }, "Your guess, above, is held against your own.") : null);
  }

  // A guess that could not be answered yet is answered as soon as what was missing has been run.
  function settle() {
    if (state.held && state.second !== JSON.stringify(kept().second || {})) answered(state.held);
    if (state.open && !state.live && state.runs !== runsNow()) reveal(Boolean(own()));
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
    context.keep({ going: { ...kept().going, [block.name]: found.run }, begun: [...new Set([...(kept().begun || []), block.name])] });
    if (context.alive()) goOn(found.run);
    context.settle();
  }

  // A run that was begun here, also before the page was left.
  function goOn(run) {
    Object.assign(state, { live: run, open: false, mine: null });
    train.disabled = true;
    stop.hidden = false;
    mine.head("", "");
    fill(mine.body, block.kind === "run" ? chart.node : null);
    tell();
    if (block.kind === "run") follow("");
    else measure();
  }

  function gone() {
    state.live = "";
    train.disabled = false;
    stop.hidden = bar.hidden = true;
    stop.disabled = false;
    tell();
    context.keep({ going: { ...kept().going, [block.name]: undefined } });
  }

  async function follow(mark) {
    const run = state.live;
    const answer = await question(server, "poll", { run, mark, owner: await who() }).catch(() => null);
    if (!context.alive() || state.live !== run) return;
    if (answer?.error) { gone(); say(status, answer.error); return; }
    if (!answer) say(status, "No connection to the lab; your run goes on without this page.");
    if (answer?.status && !answer.state) say(status, `Your own run: ${halted(answer) || answer.status}`);
    if (answer?.state) {
      say(status, `Your own run: ${halted(answer) || answer.status || answer.state}`);
      mine.head(STATES[answer.state] || answer.state, answer.state);
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
    say(status, answer ? `Your own measurement: ${halted(answer) || answer.status}` : "No connection to the lab; your measurement goes on without this page.");
    if (answer) {
      bar.hidden = false;
      bar.value = answer.part;
      mine.head(STATES[answer.state] || answer.state, answer.state);
      if (ENDED.includes(answer.state)) { ended(run, answer); return; }
    }
    setTimeout(measure, document.hidden ? HIDDEN : 1000 * answer?.again || STEADY);
  }

  // A step or a base that is being read is not broken off in the middle.
  function halted(answer) {
    return state.stopping === state.live && !ENDED.includes(answer.state) ? "stopping …" : "";
  }

  function ended(run, view) {
    gone();
    if (view.state !== "finished") {
      if (!drawsAny(view.figure)) context.keep({ begun: (kept().begun || []).filter((each) => each !== block.name) });
      unfinished(view);
      failed(run, view);
      context.settle();
      return;
    }
    context.keep({ runs: { ...kept().runs, [block.name]: run } });
    reveal(true, view.reused || state.answered ? "Taken from the history: an equal run had been trained here, so nothing was trained now. “Run it anew” trains it." : "");
  }

  // Why there is no result of one's own, and what there is instead.
  function unfinished(view) {
    const what = `Your own ${block.kind === "run" ? "run" : "measurement"} ${view.state === "failed" ? "failed" : "was stopped"}.`;
    const instead = block.recorded && !state.theirs ? " The recorded one can still be shown." : "";
    say(status, (view.state === "failed" ? [what, view.reason, view.advice].filter(Boolean).join(" ") : what) + instead);
    if (block.kind === "measure") fill(mine.body, el("p", { class: "soft" }, "Nothing came out of it."));
  }

  // What is wrong with one that failed, by name; its curve stays above.
  async function failed(run, view) {
    if (view.state !== "failed" || block.kind !== "run") return;
    const found = await question(server, "failure", { run, owner: await who() }).catch(() => ({ error: LOST }));
    if (context.alive() && !state.live && found.wrong?.length) mine.body.append(...found.wrong.map(diagnosis));
  }

  async function halt() {
    Object.assign(state, { stopping: state.live });
    stop.disabled = true;
    say(status, "stopping …");
    await question(server, "stop", { run: state.live, owner: await who() }).catch(() => null);
  }

  function isSeen() {
    return Boolean(kept().seen?.includes(block.name));
  }

  // `holds`: what stands below in this step tells what came out, and is shown with it.
  return { node, settle, holds: () => teacher.predicts && !isSeen() && (block.kind === "run" || Boolean(block.recorded)), waits: () => (isSeen() || (block.kind !== "run" && !block.recorded) ? "" : next()) };

  function next() {
    if (state.live) return `Your own ${block.kind === "run" ? "run" : "measurement"} goes on; what follows opens when it has ended${block.recorded ? ", or when you look at the recorded one" : ""}.`;
    const ways = [block.recorded ? `“${show.firstChild.textContent}”` : "", train ? `“${train.firstChild.textContent}”` : ""].filter(Boolean);
    return ways.length ? `Press ${ways.join(" or ")} above; what follows from it then opens.` : "This lab cannot run it and has no recording of it.";
  }
}

// A result under the name of who made it.
function createPart(title) {
  const chip = el("span", { class: "chip" }), note = el("p", { class: "soft note" }), body = el("div", { class: "learn-result-body" });
  const node = el("section", { class: title ? "learn-part" : "learn-part alone", hidden: true, "aria-label": title || null }, title ? el("h4", {}, title, " ", chip) : null, note, body);
  const head = (words, state) => {
    node.hidden = false;
    say(chip, words);
    chip.className = `chip ${state}`;
  };
  return { node, chip, note, body, head };
}

// [what, of one's own, as recorded] of everything that both tell.
function sides(mine, theirs) {
  const [one, other] = [mine, theirs].map(told);
  return [...one].filter(([name]) => other.has(name)).map(([name, value]) => [name, value, other.get(name)]);
}

// Whether a figure of a run has any point yet.
function drawsAny(figure) {
  return (figure?.data || []).some((line) => (line.y || []).some((value) => value !== null));
}

function told({ rows, learned, trained, cost }) {
  if (rows) return new Map(rows.map((row) => [row.about, [row.value, row.error].filter(Boolean).join(" ")]));
  const tuned = learned.rows.find((row) => row.who === "tuned");
  return new Map([...(tuned ? [["test score", tuned.text]] : []), ["numbers trained", trained.trainable], ...cost.bars.slice(0, 1).map((bar) => ["memory of a step at its peak", bar.peak]),
    ...cost.times.map((each) => [each.name, each.value]), ["made on", cost.machine]]);
}

function lead(block) {
  if (block.kind === "compare") return `${block.arms.length} arms × ${block.runs / block.arms.length} seeds: ${block.arms.join(", ")}.`;
  return block.kind === "measure" ? block.about : "";
}

const DRAWN = { run: drawRun, compare: drawCompared, measure: drawMeasured };

export function drawRun(body, { figure, learned, trained, cost, wrong = [] }) {
  const chart = figureHolder("Loss and score over the steps", 340);
  const bars = cost.bars.slice(0, 1); // what was measured: the rule of thumb from before the run has its place in Train and Memory
  const longest = Math.max(1, ...bars.map((bar) => bar.bytes));
  fill(body, chart.node, el("section", { class: "learned" }, el("h4", {}, "What it learned"), scoreRows(learned.rows), el("p", { class: "soft" }, [learned.about, learned.noise].filter(Boolean).join(" "))),
    el("div", { class: "learn-cards-row" },
    el("section", {}, el("h4", {}, "What it trained"), el("p", { class: "big" }, trained.trainable, el("small", {}, `${trained.share} of all numbers`)), shareBar(trained.part)),
    el("section", {}, el("h4", {}, "What a step took"), bars.map((bar) => memoryBar(bar, longest)), bars.length ? memoryKey(cost.bars[0]) : null)), wrong.map(diagnosis));
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
