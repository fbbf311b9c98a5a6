// Experiments of several runs: what they take is said before, the runs are ordinary trainings, and the view fills as they end. And the blind reader.
import { createBlind } from "./inside_blind.js";
import { el, fill, say } from "./dom.js";
import { draw as drawFigure, figureHolder } from "./figure.js";
import { readable, redraw } from "./inside_lens.js";
import { question, recall, remember, who } from "./session.js";

const FAST = 1500, HIDDEN = 5000, PAUSE = 400; // milliseconds: between questions while runs go on, and after the last key of a setting
const LOST = { error: "The lab cannot be reached; try again in a moment." };
const WORDS = { missing: "to be trained", known: "made before", queued: "waiting", running: "running", finished: "done", failed: "failed", cancelled: "stopped" };

export function draw(box, context) {
  box.trials ||= create(box);
  box.trials.update(context);
}

const cards = new Map(); // of the whole page: an experiment has one card, also after another run was looked at

function create(box) {
  const list = el("div", { class: "trial-cards" });
  const node = el("section", { class: "trial-section", "aria-label": "Experiments" }, el("h3", {}, "Put it to the test"), list);
  fill(box, node);

  function update(context) {
    const rows = context.view.lenses.filter((row) => row.ok && (row.kind === "experiment" || row.key === "blind_reader"));
    node.hidden = !rows.length;
    for (const row of rows) {
      const name = `${context.view.run} ${row.key}`;
      if (!cards.has(name)) cards.set(name, row.key === "blind_reader" ? createBlind() : createTrial(context, row));
    }
    const wanted = rows.map((row) => cards.get(`${context.view.run} ${row.key}`));
    if (wanted.length !== list.childElementCount || wanted.some((card, place) => card.node !== list.children[place])) fill(list, wanted.map((card) => card.node));
    rows.forEach((row, place) => wanted[place].update(context, row));
  }

  return { update };
}

// One experiment. What was set, and whether its runs are to be made, stays in this browser; which runs there are, the server finds out each time.
function createTrial(context, row) {
  const kept = `trial-${context.view.run}-${row.key}`;
  const memory = recall(kept) || {};
  const state = { context, knobs: { ...memory.knobs }, go: Boolean(memory.go), timer: 0, asked: 0, answer: null };
  const inputs = row.knobs.map((knob) => [knob, control(knob)]);
  const form = el("div", { class: "trial-form" }, inputs.map(([knob, input]) => el("div", { class: "trial-field" }, el("label", { for: input.id }, capital(knob.name.replaceAll("_", " "))), input, el("p", { class: "help", id: `${input.id}-help` }, knob.help))));
  const trouble = el("p", { class: "error-text", role: "alert", hidden: true });
  const cost = el("p", { class: "soft trial-cost" }, "asking what it takes …");
  const run = el("button", { type: "button", class: "main", disabled: true, onclick: () => begin() }, "Run it");
  const stop = el("button", { type: "button", class: "plain", hidden: true, onclick: () => halt() }, "Stop");
  const full = el("p", { class: "soft trial-full", role: "status" });
  const runs = el("ol", { class: "trial-runs" });
  const plot = figureHolder(row.title, 320);
  plot.node.hidden = true;
  const says = el("div", { class: "trial-says" });
  const body = el("div", {});
  const node = el("article", { class: "card trial", "aria-label": row.title }, el("h4", {}, row.title), el("p", { class: "soft" }, row.about, row.source ? el("small", {}, ` ${row.source}.`) : null),
    form, trouble, el("div", { class: "trial-go" }, run, stop, cost), full, runs, says, plot.node, body);
  look();

  function update(fresh) {
    state.context = fresh;
    if (!state.timer && state.answer && going()) plan(FAST);
  }

  function control(knob) {
    const id = `trial-${row.key}-${knob.name}`, value = state.knobs[knob.name] ?? knob.default;
    if (knob.choices) return el("select", { id, "aria-describedby": `${id}-help`, onchange: changed }, knob.choices.map((choice) => el("option", { value: choice, selected: choice === value }, String(choice))));
    const number = ["integer", "number", "array"].includes(knob.type);
    return el("input", { id, type: "text", value: Array.isArray(value) ? value.join(", ") : String(value ?? ""), inputmode: number ? "decimal" : null, maxlength: 400, "aria-describedby": `${id}-help`, oninput: changed });
  }

  function changed() {
    state.knobs = Object.fromEntries(inputs.filter(([, input]) => input.value.trim() !== "").map(([knob, input]) => [knob.name, read(knob, input.value.trim())]));
    state.go = false; // other settings are another experiment: it is made when it is asked for
    keep();
    plan(PAUSE);
  }

  function keep() {
    remember(kept, { knobs: state.knobs, go: state.go });
  }

  function begin() {
    state.go = true;
    keep();
    look({ again: true });
  }

  async function halt() {
    state.go = false;
    keep();
    stop.disabled = true;
    const asked = ++state.asked;
    show(asked, await question(state.context.server, "halt", await value()).catch(() => LOST));
    stop.disabled = false;
  }

  async function value(more = {}) {
    return { run: state.context.view.run, lens: row.key, knobs: state.knobs, go: state.go, owner: await who(), ...more };
  }

  async function look(more = {}) {
    state.timer = 0;
    const asked = ++state.asked;
    if (more.again) run.disabled = true;
    show(asked, await question(state.context.server, "trial", await value(more)).catch(() => LOST));
  }

  function going() {
    return state.answer && (state.answer.way > 0 || (state.go && state.answer.left > 0));
  }

  // Where the card is not shown, it is asked only as long as runs are still to be submitted, and more rarely.
  function plan(pause) {
    clearTimeout(state.timer);
    const shown = node.offsetParent && !document.hidden;
    state.timer = setTimeout(() => { if (node.offsetParent || (state.go && state.answer?.left)) look(); else plan(HIDDEN); }, shown ? pause : HIDDEN);
  }

  function show(asked, answer) {
    if (asked !== state.asked) return;
    trouble.hidden = !answer.error;
    run.disabled = Boolean(answer.error);
    if (answer.error) {
      say(trouble, capital(answer.error));
      if (answer === LOST) plan(HIDDEN);
      return;
    }
    state.answer = answer;
    if (state.go && !answer.left && !answer.way) { state.go = false; keep(); }
    say(cost, answer.cost);
    say(full, answer.full ? capital(answer.full) : "");
    drawButtons(answer);
    redraw(runs, answer.runs, () => answer.runs.map((each) => line(each)));
    redraw(says, answer.says, () => answer.says.map((text) => el("p", {}, text)));
    plot.node.hidden = !answer.figure;
    if (answer.figure && JSON.stringify(answer.figure) !== state.figure) {
      state.figure = JSON.stringify(answer.figure);
      drawFigure(plot, answer.figure, row.key);
    }
    redraw(body, [answer.value, answer.table], () => (DRAWN[row.key] || tableOf)(answer));
    if (going()) plan(FAST);
  }

  function drawButtons({ left, way, done, of, broken }) {
    const busy = state.go && left > 0;
    run.hidden = done === of || (way > 0 && !left && !broken) || busy;
    say(run, broken ? "Run those that are missing" : done || way ? "Run the rest" : `Run ${of} trainings`);
    stop.hidden = !way && !busy;
    say(stop, way ? "Stop" : "Make no more");
  }

  function line(each) {
    const part = each.state === "running" ? each.step / Math.max(1, each.steps) : each.state === "finished" ? 1 : 0;
    const name = each.run ? el("button", { type: "button", class: "link what", title: "look inside this run", onclick: () => state.context.open(each.run) }, each.name) : el("span", { class: "what" }, each.name);
    return el("li", { class: each.state }, name, el("span", { class: "progress", "aria-hidden": "true" }, el("span", { style: { width: `${100 * part}%` } })),
      el("span", { class: "state" }, each.state === "finished" ? each.score || "done" : each.state === "running" ? `step ${each.step} of ${each.steps}` : WORDS[each.state]),
      each.reason ? el("small", { class: "reason" }, each.reason) : null);
  }

  return { node, update };
}

// What was typed, as the server wants it; what is no number goes as it is, and comes back with a reason.
function read(knob, text) {
  const number = (part) => (part.trim() !== "" && !Number.isNaN(Number(part)) ? Number(part) : part.trim());
  if (knob.type === "array") return text.split(/[,;\s]+/).filter(Boolean).map(number);
  return knob.type === "integer" || knob.type === "number" ? number(text) : text;
}

function tableOf(answer) {
  if (!answer.table) return null;
  return el("div", { class: "trial-table", tabindex: "0", role: "region", "aria-label": "the numbers" }, el("table", {}, el("thead", {}, el("tr", {}, answer.table.columns.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, answer.table.rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell)))))));
}

function words(texts) {
  return el("div", { class: "trial-words" }, texts.map((text) => el("span", {}, readable(text))));
}

// How the prompt reads at each g, the way from its own words to the wanted ones.
function points({ value }) {
  if (!value) return null;
  const done = value.points.filter((point) => point.words?.length);
  if (!done.length) return null;
  const free = value.points.find((point) => point.g === 0 && point.score !== null && point.score !== undefined);
  return el("div", { class: "trial-reads" }, el("p", {}, "The text wanted: ", el("q", {}, value.target)), done.map((point) => el("section", {},
    el("h5", {}, `g = ${point.g}`, el("small", {}, ` F1 ${point.f1.toFixed(2)}`, point.score === null || point.score === undefined ? "" : `, score ${point.score.toFixed(3)} ± ${point.standard_error.toFixed(3)}`,
      free && point !== free && point.score !== null ? ` (${signed(point.score - free.score)} against g = 0)` : "")), words(point.words))));
}

function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
}

const SHOWN = 20;

// How often each word is among the nearest ones, of the real runs and of those with shuffled labels.
function tokens({ value }) {
  if (!value?.tokens?.length) return null;
  const bar = (count, of, kind) => el("td", {}, el("span", { class: `twin-bar ${kind}`, style: { "--share": `${(100 * count) / Math.max(1, of)}%` } }), ` ${count} of ${of}`);
  const heads = ["word", "real labels", "shuffled labels", "p (Fisher)", "after correction (Holm)", ""];
  return el("div", {}, el("div", { class: "trial-table", tabindex: "0", role: "region", "aria-label": "words of the twins" }, el("table", { class: "twins" },
    el("thead", {}, el("tr", {}, heads.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, value.tokens.slice(0, SHOWN).map((token) => el("tr", {}, el("th", { scope: "row" }, el("span", { class: "trial-word" }, readable(token.text))), bar(token.real, value.ended.real, "real"), bar(token.shuffled, value.ended.shuffled, "shuffled"),
      el("td", {}, small(token.p)), el("td", {}, small(token.adjusted)), el("td", {}, token.kept ? el("span", { class: "chip finished" }, "kept") : "")))))),
    value.tested > SHOWN ? el("p", { class: "soft" }, `The ${SHOWN} of ${value.tested} words that differ most.`) : null);
}

function small(p) {
  return p < 0.001 ? "< 0.001" : p.toFixed(3);
}

const DRAWN = { waywardness: points, twins: tokens };

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
