// What the views of several runs share: this browser's runs by base with those that are chosen, and a question that is asked and listened to.
import { el, fill, say } from "./dom.js";
import { question, who } from "./session.js";

const STEADY = 300, HIDDEN = 4000, WATCHED = 3000;
const when = (seconds) => new Date(1000 * seconds).toLocaleString([], { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
export const LOST = "The lab cannot be reached; try again in a moment.";
const ENDED = ["finished", "failed", "cancelled"];

// `extra` gives what a chosen run has under its name, `fits` says why a run cannot be chosen here ("" where it can), `first` which are chosen at the beginning.
export function createChooser({ legend, extra, fits, first, changed }) {
  const state = { found: null, model: "", chosen: new Set(), extras: new Map() };
  const base = el("select", { "aria-label": "Base model", onchange: () => { choose(base.value); changed(); } });
  const list = el("ul", { class: "try-runs" });
  const others = el("details", { class: "try-others" });
  const baseRow = el("div", { class: "try-base" }, el("b", {}, "Base"), base);
  const node = el("fieldset", { class: "try-choice" }, el("legend", {}, legend), baseRow, list, others);

  function show(found) {
    const before = new Set([...state.chosen]);
    state.found = found;
    const models = found.bases.map((each) => each.model);
    fill(base, found.bases.map((each) => el("option", { value: each.model }, each.title)));
    choose(models.includes(state.model) ? state.model : busiest(found), before);
  }

  // The base with most runs that can share it: there is most to choose from.
  function busiest(found) {
    const count = (model) => found.runs.filter((run) => run.ok && run.model === model).length;
    return found.bases.map((each) => each.model).sort((a, b) => count(b) - count(a))[0] || "";
  }

  function choose(model, kept = new Set()) {
    const other = model !== state.model;
    state.model = base.value = model;
    baseRow.hidden = state.found.bases.length < 2;
    const here = able();
    const still = here.filter((run) => kept.has(run.run)).map((run) => run.run);
    state.chosen = new Set(!other && still.length ? still : first(here).map((run) => run.run));
    draw();
  }

  function able() {
    return state.found.runs.filter((run) => run.model === state.model && run.ok);
  }

  function draw() {
    const away = state.found.runs.filter((run) => run.model === state.model && !run.ok);
    fill(list, able().map((run) => {
      const reason = state.chosen.has(run.run) ? "" : fits(run, chosen());
      if (!state.extras.has(run.run)) state.extras.set(run.run, extra(run));
      const box = el("input", { type: "checkbox", class: "toggle", checked: state.chosen.has(run.run), disabled: Boolean(reason), "data-run": run.run, onchange: () => toggle(run.run, box.checked) });
      return el("li", { class: reason ? "not" : "" }, el("label", {}, box, el("i", { class: "dot", style: { background: run.colour }, "aria-hidden": "true" }),
        el("span", {}, el("b", {}, run.name), " ", el("small", {}, words(run)), reason ? el("small", { class: "why" }, reason) : null)),
        state.chosen.has(run.run) ? state.extras.get(run.run).node : null);
    }));
    others.hidden = !away.length;
    fill(others, el("summary", {}, `${away.length} more of your runs on this model cannot be chosen here: ${[...new Set(away.map((run) => run.method))].join(", ")}`),
      el("p", { class: "soft" }, "Runs that are asked together stand on one copy of the untouched model, each with its own trained part beside it."),
      el("ul", {}, away.map((run) => el("li", { class: "soft" }, el("b", {}, run.name), ` (${words(run)}): ${run.reason}`))));
  }

  // What tells runs of the same method and task apart.
  function words(run) {
    return [run.told, run.score, run.ended && when(run.ended)].filter(Boolean).join(" · ");
  }

  function toggle(run, on) {
    if (on) state.chosen.add(run); else state.chosen.delete(run);
    draw();
    list.querySelector(`[data-run="${run}"]`)?.focus();
    changed();
  }

  function chosen() {
    return able().filter((run) => state.chosen.has(run.run));
  }

  return { node, show, draw, chosen, extra: (run) => state.extras.get(run), model: () => state.model, able, any: () => Boolean(state.found && able().length) };
}

// Ask, listen until it has ended, stop. `shown` gets every answer.
export function createTalk({ server, shown, busy, status, trouble }) {
  const state = { going: "", mark: "", timer: 0, tries: 0 };

  async function ask(name, values) {
    if (state.going) return;
    busy(true);
    trouble("");
    status("asking …");
    const answer = await question(server, name, { owner: await who(), ...values }).catch(() => ({ error: LOST }));
    if (answer.error) { done(); trouble(answer.error); return; }
    Object.assign(state, { going: answer.question, mark: "", tries: 0 });
    listen();
  }

  async function listen() {
    const going = state.going;
    const answer = await question(server, "reply", { question: going, owner: await who(), mark: state.mark }).catch(() => null);
    if (state.going !== going) return;
    if (!answer) { state.tries += 1; status("No connection to the lab; asking again."); }
    else {
      state.tries = 0;
      if (answer.error) { done(); trouble(answer.error); return; }
      if (answer.state) {
        state.mark = answer.mark;
        status(answer.status);
        shown(answer);
        if (ENDED.includes(answer.state)) {
          done();
          if (answer.state === "failed") trouble([answer.reason, answer.advice].filter(Boolean).join(" "));
          if (answer.state === "cancelled") status("Stopped.");
          return;
        }
      }
    }
    state.timer = setTimeout(listen, document.hidden ? HIDDEN : state.tries ? Math.min(5000, 400 * 2 ** state.tries) : STEADY);
  }

  function done() {
    clearTimeout(state.timer);
    state.going = "";
    busy(false);
    status("");
  }

  async function stop() {
    if (!state.going) return;
    status("stopping …");
    await question(server, "stop", { question: state.going, owner: await who() }).catch(() => null);
  }

  return { ask, stop, going: () => Boolean(state.going) };
}

// The button of a view, what it waits for, and what went wrong.
export function createGo(words, { go, stop }) {
  const button = el("button", { type: "button", class: "main", onclick: () => go() }, words);
  const stopping = el("button", { type: "button", class: "plain", hidden: true, onclick: () => stop() }, "Stop");
  const status = el("p", { class: "status try-status", role: "status" });
  const trouble = el("p", { class: "error-text", role: "alert", hidden: true });
  return {
    node: el("div", { class: "try-go-box" }, el("div", { class: "try-go" }, button, stopping), trouble, status), button,
    busy: (now) => { button.disabled = now; stopping.hidden = !now; },
    status: (text) => say(status, text || ""),
    trouble: (text) => { trouble.hidden = !text; say(trouble, text ? text.charAt(0).toUpperCase() + text.slice(1) : ""); },
  };
}

// Runs that one press trains: they are followed until they are there, and `ready` is told of each that has come.
export function createPlan({ server, plan, title, words, model, ready }) {
  const state = { timer: 0, start: false, done: -1 };
  const node = el("section", { class: "try-plan", hidden: true });
  const marks = { finished: "✓ ", running: "… ", failed: "✗ ", cancelled: "✗ " };
  const names = { queued: "waiting", running: "training", failed: "failed", cancelled: "stopped", finished: "" };

  // Also while another tab is looked at: what is still to be started is started later.
  function later() {
    clearTimeout(state.timer);
    state.timer = setTimeout(() => { if (node.parentNode?.offsetParent) look(); else later(); }, document.hidden ? 4 * WATCHED : WATCHED);
  }

  async function look(start = false) {
    clearTimeout(state.timer);
    state.start = state.start || start;
    const found = await question(server, "plan", { plan, model: model(), owner: await who(), start: state.start }).catch(() => null);
    if (!found) { if (state.start || state.done >= 0) later(); return; }
    if (found.error) { node.hidden = true; return; }
    if (!found.missing || found.trouble) state.start = false;
    node.hidden = found.done;
    fill(node, el("h3", {}, title), el("p", { class: "soft" }, found.says), el("p", { class: "try-states" }, found.runs.map((each) =>
      el("span", { class: `chip ${each.state}` }, `${marks[each.state] || ""}${each.name}${names[each.state] ? `, ${names[each.state]}` : ""}`))),
    found.trouble ? el("p", { class: "error-text" }, found.trouble) : null,
    found.missing && !state.start ? el("button", { type: "button", class: "main", onclick: () => look(true) }, words) : null);
    const done = found.runs.filter((each) => each.state === "finished").length;
    if (state.done >= 0 && done > state.done) ready();
    state.done = done;
    if (found.going || state.start) later();
  }

  return { node, look };
}
