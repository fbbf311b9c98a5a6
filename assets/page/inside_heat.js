// Layer by layer: what the lenses of any method saw, one at a time, as a map with its cells closely, or as curves; two runs on the same scale.
import { el, fill, say } from "./dom.js";
import { draw as drawFigure, figureHolder } from "./figure.js";
import { createGrid } from "./inside_grid.js";
import { asking, redraw, sentences } from "./inside_lens.js";
import { question, who } from "./session.js";

const OF_PROMPTS = ["swap_test", "cliff_walk", "knock_out", "label_words", "attention_mass", "prefix_norms", "blind_reader"]; // and those named after the prompt: they have views of their own
const GOING = ["queued", "running"];
const AGAIN = 1500; // milliseconds until it is asked whether the other run has been looked at
const LOST = { error: "The lab cannot be reached; try again in a moment." };

export function draw(box, context) {
  box.layers ||= create(box);
  box.layers.update(context);
}

function create(box) {
  const state = { context: null, run: "", lens: "", other: "", pictured: "", measures: {}, grid: null, asked: 0, timer: 0, waiting: "" };
  const tabs = el("div", { class: "segments heat-lenses", role: "group", "aria-label": "Which lens" });
  const about = el("div", {});
  const ask = el("div", {});
  const beside = el("select", { id: "heat-beside", onchange: () => against(beside.value) });
  const against_ = el("div", { class: "heat-beside", hidden: true }, el("label", { for: "heat-beside" }, "Beside another run"), beside);
  const trouble = el("div", { class: "heat-trouble", role: "status", hidden: true });
  const shown = el("div", { class: "heat-shown" });
  const closely = el("section", { class: "heat-closely", hidden: true, "aria-live": "polite", "aria-label": "One cell closely" });
  const says = el("div", {});
  const node = el("section", { class: "heat-section", "aria-label": "Layer by layer" }, el("div", { class: "heat-head" }, el("h3", {}, "Layer by layer"), tabs), about, says, ask, against_, trouble, shown, closely);
  fill(box, node);
  shown.addEventListener("change", () => { if (state.grid) state.measures[state.lens] = state.grid.measure(); });

  function update(context) {
    const rows = context.view.lenses.filter((row) => row.ok && row.kind !== "experiment" && !row.key.startsWith("prompt_") && !OF_PROMPTS.includes(row.key));
    state.context = context;
    node.hidden = !rows.length;
    if (!rows.length) return;
    if (context.view.run !== state.run) begin(context.view.run);
    if (!rows.some((row) => row.key === state.lens)) state.lens = (rows.find((row) => row.mark) || rows[0]).key;
    redraw(tabs, [rows.map((row) => [row.key, Boolean(row.mark)]), state.run], () => rows.map((row) => choice(row)));
    show(rows.find((row) => row.key === state.lens));
  }

  function begin(run) {
    Object.assign(state, { run, other: "", pictured: "", measures: {}, waiting: "" });
    clearTimeout(state.timer);
    clear();
  }

  function clear() {
    state.grid = null;
    fill(shown);
    fill(closely);
    closely.hidden = true;
    trouble.hidden = true;
  }

  function choice(row) {
    const input = el("input", { type: "radio", name: "heat-lens", value: row.key, checked: row.key === state.lens, onchange: () => {
      Object.assign(state, { lens: row.key, other: "", waiting: "" });
      clear();
      update(state.context);
    } });
    return el("label", { class: row.mark ? null : "unseen", title: row.mark ? null : "not looked at yet" }, input, el("span", {}, row.title));
  }

  function show(row) {
    redraw(about, [row.key], () => el("p", { class: "soft heat-about" }, row.about, row.source ? el("small", {}, ` ${row.source}.`) : null));
    if (row.mark ? node.lastChild !== ask : says.nextSibling !== ask) row.mark ? node.append(ask) : says.after(ask); // looking again is the last thing one wants
    redraw(ask, [state.run, row.key, row.mark, row.look, row.missing, row.asks], () => asking(state.context, row));
    redraw(says, [state.run, row.key, row.mark], () => sentences(row));
    const wanted = [state.run, row.key, row.mark, state.other].join(" ");
    if (wanted === state.pictured) return;
    state.pictured = wanted;
    if (row.mark) picture(row, wanted);
    else { clear(); against_.hidden = true; }
  }

  async function picture(row, wanted) {
    const answer = await question(state.context.server, "heat", { run: state.run, lens: row.key, other: state.other || null, owner: await who() }).catch(() => LOST);
    if (wanted !== state.pictured) return;
    if (answer.error) { complain(answer.error, "Try again", () => { state.pictured = ""; update(state.context); }); return; }
    clear();
    against_.hidden = answer.kind === "none";
    if (answer.kind !== "none" && state.offered !== `${state.run} ${row.key}`) offer(row);
    if (answer.kind === "grid") drawGrid(answer, row);
    else if (answer.kind === "curves") fill(shown, answer.figures.map((figure, place) => chart(figure, `${row.title}${place ? `, ${place + 1}` : ""}`, 300)));
    else fill(shown, el("p", { class: "soft" }, "This lens has no picture; ", el("button", { type: "button", class: "link", onclick: () => state.context.reveal(row.key) }, "read its numbers"), "."));
  }

  function drawGrid(answer, row) {
    const old = state.measures[row.key];
    state.grid = createGrid(answer, (layer, role) => look(row, layer, role));
    fill(shown, state.grid.node);
    if (old) state.grid.use(old);
  }

  function chart(figure, name, height) {
    const held = figureHolder(name, height);
    drawFigure(held, figure, name);
    return held.node;
  }

  // ── one cell ──

  async function look(row, layer, role) {
    const asked = ++state.asked;
    const answer = await question(state.context.server, "closely", { run: state.run, lens: row.key, other: state.other || null, layer, role, owner: await who() }).catch(() => LOST);
    if (asked !== state.asked || row.key !== state.lens) return;
    closely.hidden = false;
    if (answer.error) { fill(closely, el("p", { class: "error-text" }, answer.error)); return; }
    const past = answer.facts.some((fact) => fact.before.length);
    const heads = answer.runs.flatMap((name) => [answer.runs.length > 1 ? name : "after training", ...(past ? ["before"] : [])]);
    fill(closely, el("h4", {}, answer.title),
      el("div", { class: "heat-facts" }, el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "measure"), heads.map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, answer.facts.map((fact) => el("tr", {}, el("th", { scope: "row" }, el("b", {}, fact.name), el("small", {}, fact.about)),
          fact.values.flatMap((value, place) => [el("td", {}, value || "–"), ...(past ? [el("td", {}, fact.before[place] || "–")] : [])])))))),
      el("div", { class: "heat-figures" }, answer.figures.map((figure) => chart(figure, `${answer.title}: ${figure.layout.yaxis2.title.text}`, 220))));
  }

  // ── another run on the same scale ──

  async function offer(row) {
    state.offered = `${state.run} ${row.key}`;
    const answer = await question(state.context.server, "beside", { run: state.run, lens: row.key, owner: await who() }).catch(() => LOST);
    if (state.offered !== `${state.run} ${row.key}` || answer.error) return;
    state.runs = answer.runs;
    fill(beside, el("option", { value: "" }, answer.runs.length ? "none" : "there is no other run of this model"),
      answer.runs.map((each) => el("option", { value: each.run, selected: each.run === state.other }, each.ready ? each.name : `${each.name} · not looked at yet`)));
    beside.disabled = !answer.runs.length;
  }

  function against(run) {
    clearTimeout(state.timer);
    const chosen = (state.runs || []).find((each) => each.run === run);
    trouble.hidden = true;
    if (chosen && !chosen.ready) {
      state.other = "";
      complain(`${chosen.name} has not been looked at through this lens.`, "Look at it too", () => lookThere(run));
      return;
    }
    state.other = run;
    update(state.context);
  }

  async function lookThere(run) {
    const { lens } = state;
    const answer = await question(state.context.server, "ask", { run, lens, knobs: {}, owner: await who() }).catch(() => LOST);
    if (answer.error) { complain(answer.error); return; }
    complain("A worker looks at the other run; it comes beside this one as soon as it is there.");
    state.waiting = run;
    wait(run, lens);
  }

  function wait(run, lens) {
    state.timer = setTimeout(async () => {
      if (state.waiting !== run || state.lens !== lens) return;
      state.offered = "";
      await offer({ key: lens });
      const other = (state.runs || []).find((each) => each.run === run);
      beside.value = run;
      if (other?.ready) { state.waiting = ""; against(run); return; }
      if (!other?.look) { complain("That look has gone: choose the run again."); return; }
      if (!GOING.includes(other.look.state)) { complain(`The look at the other run ${other.look.state === "failed" ? `failed: ${other.look.reason}` : "was stopped."}`, "Look again", () => lookThere(run)); return; }
      complain(`A worker looks at the other run: ${other.look.status}.`);
      wait(run, lens);
    }, AGAIN);
  }

  function complain(words, button = "", act = null) {
    trouble.hidden = false;
    fill(trouble, el("p", {}, words), act ? el("button", { type: "button", class: "plain", onclick: act }, button) : null);
  }

  return { update };
}
