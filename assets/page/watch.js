// One run as it goes: asks for what is new, draws it, and finds back by itself after a lost network.
import { ask, el, fill, say } from "./dom.js";
import { draw, figureHolder, showChart } from "./figure.js";
import { onHub } from "./hub.js";
import { blockDrawing, counts, files, image, memoryBar, memoryParts, scoreRows, shareBar } from "./pieces.js";
import { copyRunLink, handOver, offers, question, who } from "./session.js";

const FAST = 250, HIDDEN = 5000; // milliseconds between questions, where the lab does not say
const ENDED = ["finished", "failed", "cancelled"];
const WORDS = { queued: "waiting", preparing: "preparing", running: "running", finished: "finished", failed: "failed", cancelled: "stopped" };
let explained = null; // which lesson explains which method: asked for once
const SPOKEN = { queued: "Your run is waiting.", preparing: "Your run is being prepared.", running: "Training has begun.", finished: "The run is finished; its results are below the chart.",
  failed: "The run failed; the reason is above the chart.", cancelled: "The run was stopped." };

export function createWatch(server, { opened, edit, close, try_next }) {
  const state = { run: null, mark: "", view: null, tries: 0, timer: 0, asking: false, traced: null, answered: false };
  const title = el("h2", { tabindex: "-1" });
  const chip = el("span", { class: "chip" });
  const status = el("p", { class: "status" });
  const spoken = el("p", { class: "hidden-text", role: "status", "aria-live": "polite" });
  const settings = el("p", { class: "soft settings" });
  const progress = el("div", { class: "progress", role: "progressbar", "aria-label": "steps done", "aria-valuemin": 0, "aria-valuemax": 100 }, el("span"));
  const stop = el("button", { type: "button", class: "plain", onclick: () => stopRun() }, "Stop");
  const share = el("button", { type: "button", class: "plain", onclick: () => copyLink() }, "Copy link");
  const back = el("button", { type: "button", class: "plain", onclick: () => { leave(); close(); } }, "Start screen");
  const notice = el("div", { class: "notice", hidden: true });
  const taken = el("p", { class: "taken", hidden: true });
  const offline = el("div", { class: "notice offline", role: "status", hidden: true });
  const chart = figureHolder("Loss and score over the steps", 430);
  const learned = card("What it learned", "learned");
  const trained = card("What it trained", "trained");
  const cost = card("What it cost", "cost");
  const next = el("div", { class: "next" });
  const node = el("section", { class: "watch", "aria-label": "The run" },
    el("header", { class: "run-head" }, el("div", { class: "run-title" }, title, chip), el("div", { class: "buttons" }, stop, share, back)),
    settings, progress, status, taken, spoken, offline, notice, chart.node, el("div", { class: "cards" }, learned.node, trained.node, cost.node), next);

  function card(name, key) {
    const body = el("div", { class: "body" });
    return { node: el("article", { class: `card ${key}` }, el("h3", {}, name), body), body, drawn: "" };
  }

  // `answered` says that this run was asked for and had been made before.
  function open(run, answered = false) {
    state.answered = answered;
    if (state.run === run) { // it may have a new name by now
      clearTimeout(state.timer);
      state.mark = "";
      look(run);
      return;
    }
    leave();
    Object.assign(state, { run, mark: "", view: null, tries: 0 });
    wait();
    look(run);
  }

  function wait() {
    stop.hidden = true; // until it is known that there is something to stop
    for (const each of [chart.node, trained.node, cost.node]) each.hidden = false;
    learned.node.style.minHeight = "";
    showChart(chart); // the numbers of one run are not wanted for the next
    say(title, "Your run");
    say(status, "asking for it …");
    say(settings, " ");
    chip.textContent = "";
    notice.hidden = taken.hidden = true;
    for (const each of [learned, trained, cost]) { each.drawn = ""; fill(each.body, el("p", { class: "soft" }, "when the run is finished")); }
    fill(next);
    draw(chart, { data: [], layout: { xaxis: { range: [0, 1], showticklabels: false }, yaxis: { range: [0, 1], domain: [0.56, 1], showticklabels: false }, yaxis2: { range: [0, 1], domain: [0, 0.46], showticklabels: false } }, alt: "No point yet", table: { columns: [], rows: [] } }, "none");
  }

  function leave() {
    clearTimeout(state.timer);
    state.run = null;
  }

  async function look(run) {
    clearTimeout(state.timer); // of two chains of questions one is left
    if (state.run !== run) return;
    try {
      const owner = await who();
      const answer = await question(server, "poll", { run, owner, mark: state.mark });
      if (state.run !== run) return;
      state.tries = 0;
      offline.hidden = true;
      if (answer.error) return missing(answer.error);
      if (answer.state) show(answer);
      else if (answer.status) say(status, state.view.status = answer.status); // another place in the queue
      state.mark = answer.mark;
      state.again = 1000 * answer.again;
    } catch {
      if (state.run !== run) return;
      state.tries += 1;
      offline.hidden = false;
      say(offline, "No connection to the lab. Your run goes on without this page; asking again every few seconds.");
    }
    if (ENDED.includes(state.view?.state) && !state.tries) return;
    const pause = document.hidden ? HIDDEN : state.tries ? Math.min(5000, 500 * 2 ** state.tries) : state.again || FAST;
    state.timer = setTimeout(() => look(run), pause);
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && state.run) { clearTimeout(state.timer); look(state.run); }
  });
  window.addEventListener("online", () => { if (state.run) { clearTimeout(state.timer); look(state.run); } });

  function missing(error) {
    say(title, "This run is not here");
    say(status, "");
    node.dataset.state = "missing";
    chip.textContent = "not found";
    stop.hidden = share.hidden = true;
    progress.hidden = taken.hidden = true;
    notice.hidden = false;
    fill(notice, el("p", {}, el("b", {}, capital(error)), "."), el("button", { type: "button", class: "plain", onclick: () => { leave(); close(); } }, "To the start screen"));
    state.run = null;
  }

  function show(view) {
    const first = state.view === null;
    const before = state.view?.state;
    state.view = view;
    node.dataset.state = view.state;
    say(title, view.title || view.name);
    say(chip, view.label || (view.stopping ? "stopping" : WORDS[view.state]));
    chip.className = `chip ${view.state}`;
    say(settings, view.settings);
    say(status, view.status);
    progress.hidden = false;
    progress.firstChild.style.width = `${100 * view.progress}%`;
    progress.setAttribute("aria-valuenow", Math.round(100 * view.progress));
    progress.setAttribute("aria-label", view.scoring ? `${view.asked} answered` : "steps done");
    progress.classList.toggle("scoring", view.scoring);
    progress.classList.toggle("busy", view.state === "preparing" || view.state === "queued" || (view.state === "running" && view.progress >= 1));
    const ended = ENDED.includes(view.state);
    stop.hidden = ended || !view.mine;
    stop.disabled = view.stopping;
    share.hidden = false;
    if (before !== view.state && SPOKEN[view.state]) say(spoken, SPOKEN[view.state]);
    for (const each of [chart.node, trained.node, cost.node]) each.hidden = Boolean(view.unbegun); // nothing to see in them
    learned.node.style.minHeight = view.unbegun ? "0" : "";
    draw(chart, view.figure, view.id);
    failure(view);
    remembered(view);
    cards(view, ended);
    if (first || before !== view.state) opened(view);
  }

  function failure(view) {
    const found = view.diagnoses?.[0];
    notice.hidden = view.state !== "failed" && !found;
    notice.classList.toggle("diagnosis", Boolean(found));
    if (found) {
      fill(notice, el("p", {}, el("b", {}, `${found.title}. `), found.says), el("p", {}, found.advice), view.diagnoses.slice(1).map((each) => el("p", {}, el("b", {}, `${each.title}. `), each.says)),
        found.knob && view.mine ? el("div", { class: "buttons" }, el("button", { type: "button", class: "plain", onclick: () => edit(view.draft, found.knob) }, "Take me to that knob")) : null);
      return;
    }
    if (view.state !== "failed") return;
    fill(notice, el("p", {}, el("b", {}, view.reason)), view.advice ? el("p", {}, view.advice) : null,
      el("div", { class: "buttons" }, el("button", { type: "button", class: "plain", onclick: () => edit(view.draft, view.knob) }, view.knob ? "Take me to that knob" : "Change the settings"),
      el("button", { type: "button", class: "plain", onclick: () => try_next(view.draft) }, "Run it again")));
  }

  // Of a run that was not trained for this browser just now; whose it was is nobody's to know.
  function remembered(view) {
    taken.hidden = view.state !== "finished" || !(view.reused || state.answered);
    if (taken.hidden) return;
    fill(taken, el("b", {}, "Taken from the history. "), view.reused ? "An equal run (same settings, seed, weights and data) had been trained here, so nothing was trained for this one: these are its results." :
      "You had trained this very run before (same settings, seed, weights and data), so nothing was trained now: these are its results.", " ",
      view.mine ? el("button", { type: "button", class: "link", onclick: () => try_next(view.draft, true) }, "Run it anew") : null);
  }

  function cards(view, ended) {
    redraw(learned, [view.learned, view.nothing, view.unbegun], () => (view.learned.rows.length && !view.unbegun ? [el("p", { class: "soft" }, view.learned.about), scoreRows(view.learned.rows), further(view.learned.more),
      view.learned.general ? el("p", { class: "soft" }, view.learned.general) : null, view.learned.verdict ? el("p", { class: "verdict" }, view.learned.verdict) : null, samples(view.learned, view.asked, ended)] :
      [el("p", { class: "soft" }, view.nothing)]));
    redraw(trained, view.trained, () => (view.trained ? [el("p", { class: "big" }, view.trained.trainable, el("small", {}, `${view.trained.share} of all numbers`)), shareBar(view.trained.part),
      counts(view.trained.rows), blockDrawing(view.trained.block)] : [el("p", { class: "soft" }, "The lab no longer knows this method.")]));
    redraw(cost, [view.cost, view.done, view.files], () => costs(view));
    redraw({ body: next, drawn: next.drawn, keep: next }, [view.next, ended], () => (ended && view.next.length ? [el("h3", {}, "What next?"), el("div", { class: "buttons" },
      view.unbegun || !offers("inside") ? null : el("button", { type: "button", class: "plain look-inside", onclick: () => handOver("inside", { run: state.run }) }, "Look inside"),
      view.done && view.cost.adapter && offers("try") ? el("button", { type: "button", class: "plain try-it", onclick: () => handOver("try", { run: state.run }) }, "Try it") : null,
      why(view),
      view.beside && view.done && view.id && offers("compare") ? el("button", { type: "button", class: "plain beside", onclick: () => handOver("compare", { spec: view.draft }) }, view.beside) : null,
      view.next.map((offer) => el("button", { type: "button", class: "plain", onclick: () => try_next(offer.draft) }, offer.words)))] : []));
  }

  // The lesson that explains the method of this run, at the step where it does.
  function why(view) {
    if (!offers("learn")) return null;
    const button = el("button", { type: "button", class: "plain why", hidden: true });
    explained ||= fetch(new URL("explained.json", document.baseURI)).then((answer) => answer.json()).catch(() => { explained = null; return {}; });
    explained.then((found) => {
      const place = found[view.draft.method?.name || view.draft.method];
      if (!place) { button.remove(); return; }
      say(button, `Why? Lesson ${place.number}: ${place.title}`);
      button.title = `“${place.heading}”`;
      button.addEventListener("click", () => handOver("learn", { lesson: place.lesson, step: place.step }));
      button.hidden = false;
    });
    return button;
  }

  function redraw(place, value, make) {
    const now = JSON.stringify(value ?? null);
    if (place.drawn === now) return;
    (place.keep || place).drawn = now;
    fill(place.body, make());
  }

  function costs(view) {
    const { times, moment, adapter, machine } = view.cost;
    const traced = state.traced?.run === state.run ? state.traced : null;
    const bars = traced?.bar ? [view.cost.bars[0], traced.bar] : view.cost.bars;
    if (view.done && view.cost.against && !traced) foretell(state.run, view);
    const longest = Math.max(...bars.map((bar) => bar.bytes), 1);
    return [times.length ? el("dl", { class: "times" }, times.flatMap((each) => [el("dt", {}, each.name), el("dd", {}, each.value)])) : el("p", { class: "soft" }, "nothing yet"),
      bars.length ? el("h4", {}, "Memory of one step, at its peak") : null, bars.map((bar) => memoryBar(bar, longest)), bars.length ? memoryParts(bars) : null,
      moment ? el("p", { class: "soft" }, moment) : null,
      view.cost.against ? el("p", { class: "soft against" }, [traced?.bar ? null : view.cost.against, traced?.against, traced?.bar ? view.cost.against : null].filter(Boolean).join(" ")) : null,
      machine ? el("p", { class: "soft" }, machine) : null,
      view.done && adapter && view.id && (view.files || []).some((each) => each.words === "Adapter") ? el("a", { class: "plain button", href: view.files.find((each) => each.words === "Adapter").href, download: "" }, `Download the adapter (${adapter})`) : null,
      view.done && adapter && view.hub && view.mine ? onHub(view) : null,
      files((view.files || []).filter((each) => each.words !== "Adapter"))];
  }

  // What the run measured is held against a traced step of the same size, which may take a few seconds.
  async function foretell(run, view) {
    state.traced = { run };
    for (let tries = 0; tries < 60 && state.run === run; tries += 1) {
      const answer = await question(server, "traced", { run, owner: await who() }).catch(() => ({ error: "lost" }));
      if (answer.error || state.run !== run) return;
      if (!answer.waiting) {
        state.traced = { run, ...answer };
        fill(cost.body, costs(view));
        return;
      }
      await new Promise((go) => setTimeout(go, 500));
    }
  }

  function samples({ samples: rows, noise }, asked, ended) {
    if (!rows.length) return el("div", { class: "samples waiting" }, el("p", { class: "soft" }, ended ? "" : "Answers before and after training come with the score."));
    const drawn = rows[0].pixels;
    const certain = (each) => (each.probability === undefined ? null : el("small", {}, ` ${Math.round(100 * each.probability)}\u00a0%`));
    const alike = (one, other) => one.trim().toLowerCase() === other.trim().toLowerCase();
    const written = !drawn && rows[0].before.probability === undefined;
    const answer = (each, right) => (written && !alike(each.answer, right) ? el("span", {}, each.answer || "(nothing)") :
      el("span", { class: alike(each.answer, right) ? "right" : "wrong" }, `${alike(each.answer, right) ? "✓" : "✗"} ${each.answer}`, certain(each)));
    const table = el("table", { class: written ? "samples written" : "samples" }, el("thead", {}, el("tr", {}, [asked.replace(/s$/, ""), written ? "a right answer" : "is", "before", "after"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, el("td", {}, row.pixels ? image(row.pixels) : row.text), el("td", {}, row.label), el("td", {}, answer(row.before, row.label)), el("td", {}, answer(row.after, row.label))))));
    const read = rows.filter((row) => row.read);
    return [noise ? el("p", { class: "soft" }, noise) : null, table, read.length ? el("details", {}, el("summary", {}, "the same texts as the model reads them"), read.map((row) => el("pre", {}, row.read))) : null];
  }

  function further(more) {
    return more ? el("table", { class: "parts further" }, el("thead", {}, el("tr", {}, more.columns.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, more.rows.map(([name, ...values]) => el("tr", {}, el("th", { scope: "row" }, name), values.map((value) => el("td", {}, value)))))) : null;
  }

  function stoppable() {
    return Boolean(state.run && state.view?.mine && !ENDED.includes(state.view.state));
  }

  async function stopRun() {
    const run = state.run;
    if (!stoppable() || state.asking) return;
    state.asking = true;
    const sure = await ask(state.view.scoring ? "Stop this run? Training is done, only scoring is left: stopping now loses the score." : "Stop this run? What it has shown so far is kept.", "Stop it", "Let it go on");
    state.asking = false;
    if (!sure) return;
    stop.disabled = true;
    const stopped = await question(server, "stop", { run, owner: await who() }).catch(() => ({ error: "The lab does not answer, so the run goes on: try again in a moment." }));
    if (stopped.error) { stop.disabled = false; say(status, stopped.error); }
  }

  async function copyLink() {
    const wrong = await copyRunLink(server, share, { run: state.view.id, mine: state.view.mine });
    if (wrong) say(status, wrong);
    else if (wrong === "") say(spoken, "Who has this link can see the run; only this browser can change it.");
  }

  return { node, open, leave, stop: stopRun, stoppable, shown: () => state.view, focus: () => title.focus({ preventScroll: true }) };
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
