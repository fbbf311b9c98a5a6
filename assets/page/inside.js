// The Look-inside tab: choose a run, see what its lenses recorded, ask for what a worker can find in it. Python says every number.
import { createAnatomy } from "./anatomy.js";
import { el, fill, say } from "./dom.js";
import { draw as drawHeat } from "./inside_heat.js";
import { createList } from "./inside_lens.js";
import { applies as hasPrompt, draw as drawPrompt } from "./inside_prompt.js";
import { draw as drawTrials } from "./inside_trials.js";
import "./linked.js";
import { address, copyRunLink, goTo, known, offers, question, recall, remember, setAddress, STATES, taken, trainWith, who } from "./session.js";

const FAST = 400, STEADY = 1500, HIDDEN = 5000; // milliseconds between questions, while something goes on
const GOING = ["queued", "running"];

export function mount(element, { props, server, watch }) {
  const holder = element.querySelector(".lab-view");
  if (holder.childElementCount) return;
  watch("value", () => known(props.value));
  known(props.value);
  const page = { run: "", view: null, timer: 0, tries: 0, begun: false, boxes: null, drawing: "" };

  const menu = el("select", { id: "inside-run", "aria-label": "Run", onchange: () => open(menu.value, true) });
  const chip = el("span", { class: "chip" });
  const about = el("p", { class: "soft settings" });
  const toTrain = el("button", { type: "button", class: "plain", onclick: () => openInTrain() }, "Open the run");
  const share = el("button", { type: "button", class: "plain", onclick: () => copyLink() }, "Copy link");
  const trouble = el("div", { class: "notice", role: "alert", hidden: true });
  const spoken = el("p", { class: "hidden-text", role: "status", "aria-live": "polite" });
  const anatomy = createAnatomy();
  const drawn = el("details", { class: "inside-drawing", ontoggle: () => { if (drawn.open) drawing(); } }, el("summary", {}, "What was trained, drawn on one block"), anatomy.node);
  const body = el("div", { class: "inside-body" });
  fill(holder, el("div", { class: "lab inside-page" },
    el("div", { class: "inside-head" },
      el("div", { class: "words" }, el("h2", {}, "Look inside what was learned"),
        el("p", { class: "soft" }, "Every view comes with what it is worth: what the same numbers are before training, by chance, and when they are put to the test.")),
      el("div", { class: "inside-choose" }, el("label", { for: "inside-run" }, "Run"), menu, chip, el("div", { class: "buttons" }, toTrain, share)), about),
    trouble, spoken, drawn, body));

  window.addEventListener("lab-handed", () => { if (page.begun) takeOver(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && page.run) again(0); });
  new IntersectionObserver((seen) => { if (seen.some((each) => each.isIntersecting)) begin(); }).observe(holder);

  async function begin() {
    const wanted = taken("inside")?.run || (page.begun ? "" : address().run || recall("inside"));
    const first = !page.begun;
    page.begun = true;
    const found = await runs();
    if (!found) { page.begun = !first; return; }
    const all = [...found.mine, ...found.recorded];
    if (wanted) open(wanted, false);
    else if (first && all.length) open(all[0].run, false);
    else if (first) empty();
    else again(0);
  }

  function takeOver() {
    const wanted = taken("inside")?.run;
    if (wanted) runs().then(() => open(wanted, true));
  }

  async function runs() {
    const found = await question(server, "runs", { owner: await who() }).catch(() => ({ error: "The lab cannot be reached; try again in a moment." }));
    if (found.error) { fail(found.error, begin); return null; }
    const choice = (each) => el("option", { value: each.run }, [each.name, each.told, each.task, each.score || STATES[each.state] || each.state].filter(Boolean).join(" · "));
    fill(menu, found.mine.length ? el("optgroup", { label: "Your runs" }, found.mine.map(choice)) : null,
      found.recorded.length ? el("optgroup", { label: "Recorded runs" }, found.recorded.map(choice)) : null);
    if (page.run) chosen(page.run, page.view?.name || "the run of this link");
    return found;
  }

  // A run of somebody else's, come to by its link, has a place in the menu as well.
  function chosen(run, name) {
    const known = [...menu.options].find((each) => each.value === run);
    if (!known) menu.prepend(el("option", { value: run }, name));
    else if (known.parentNode === menu) known.textContent = name;
    menu.value = run;
  }

  function empty() {
    chip.textContent = "";
    fill(body, el("div", { class: "inside-empty" }, el("h3", {}, "There is no run to look into yet"),
      el("p", { class: "soft" }, "Train one: a soft prompt of 20 virtual tokens takes about a minute, and its nearest words can be read here while it learns."),
      offers("train") && el("button", { type: "button", class: "main", onclick: () => goTo("train") }, "Choose and train")));
  }

  function open(run, picked) {
    clearTimeout(page.timer);
    const label = [...menu.options].find((each) => each.value === run)?.textContent;
    Object.assign(page, { run, view: null, tries: 0, boxes: null, drawing: "" });
    chosen(run, label || "the run of this link");
    remember("inside", run);
    if (picked) keep(run);
    trouble.hidden = true;
    say(about, "opening it …");
    drawn.open = false;
    fill(body, el("div", { class: "inside-wait" }));
    return look();
  }

  function keep(run) {
    setAddress({ run, spec: address().spec ? encodeURIComponent(address().spec) : null });
  }

  async function look() {
    const run = page.run;
    try {
      const marks = Object.fromEntries((page.view?.lenses || []).map((row) => [row.key, row.mark]));
      const answer = await question(server, "view", { run, owner: await who(), marks });
      if (page.run !== run) return null;
      page.tries = 0;
      if (answer.error) return gone(answer.error);
      trouble.hidden = true;
      show(answer);
    } catch (error) {
      if (page.run !== run) return null;
      if (error.message !== "no answer" && !(error instanceof TypeError)) throw error;
      page.tries += 1;
      fail("No connection to the lab; asking again every few seconds.");
    }
    return again();
  }

  function again(pause = null) {
    clearTimeout(page.timer);
    const looks = (page.view?.lenses || []).some((row) => row.look && GOING.includes(row.look.state));
    const live = page.view && GOING.includes(page.view.state);
    const wait = pause ?? (page.tries ? Math.min(5000, 500 * 2 ** page.tries) : document.hidden ? HIDDEN : looks ? FAST : live ? STEADY : null);
    if (wait !== null && holder.offsetParent) page.timer = setTimeout(look, wait);
  }

  function gone(error) {
    page.run = "";
    remember("inside", null);
    say(about, "");
    chip.textContent = "";
    drawn.hidden = true;
    fill(body);
    fail(error, () => {
      page.begun = false;
      keep(null); // the address would lead here again
      begin();
    }, "Show another run");
  }

  function fail(error, retry = null, words = "Try again") {
    trouble.hidden = false;
    fill(trouble, el("p", {}, el("b", {}, error.charAt(0).toUpperCase() + error.slice(1))),
      retry ? el("button", { type: "button", class: "plain", onclick: () => { trouble.hidden = true; retry(); } }, words) : null);
  }

  // Values that had not changed were not sent again: they are those of the last answer.
  function show(answer) {
    const before = Object.fromEntries((page.view?.lenses || []).map((row) => [row.key, row]));
    answer.lenses = answer.lenses.map((row) => (row.kept ? { ...before[row.key], ...row } : row));
    tell(page.view, answer);
    if (page.view && GOING.includes(page.view.state) && !GOING.includes(answer.state)) runs(); // the menu says how it ended
    page.view = answer;
    chosen(answer.run, answer.name);
    say(chip, answer.label || STATES[answer.state] || answer.state);
    chip.className = `chip ${answer.state}`;
    say(about, [answer.settings, answer.score ? `${answer.score.metric} ${answer.score.text}` : null].filter(Boolean).join(" · "));
    drawn.hidden = !answer.address;
    share.hidden = false;
    const context = { view: answer, ask, stop, server, props, refresh: () => look(), reveal: (key) => page.boxes.list.reveal(key), numbers, open: (run) => open(run, true), train: openDraft };
    page.boxes ||= build();
    place(page.boxes.prompt, hasPrompt(answer), drawPrompt, context);
    place(page.boxes.heat, answer.lenses.some((row) => row.ok), drawHeat, context);
    place(page.boxes.trials, answer.lenses.some((row) => row.ok && (row.kind === "experiment" || row.key === "blind_reader")), drawTrials, context);
    page.boxes.list.show(context);
  }

  function build() {
    const boxes = { prompt: el("div", { class: "inside-box" }), heat: el("div", { class: "inside-box" }), trials: el("div", { class: "inside-box" }), list: createList() };
    fill(body, boxes.prompt, boxes.heat, boxes.trials, boxes.list.node);
    return boxes;
  }

  function place(box, wanted, draw, context) {
    box.hidden = !wanted;
    if (wanted) draw(box, context);
  }

  // For those who do not see the screen: what has come since the last answer.
  function tell(before, after) {
    if (!before) return;
    const was = Object.fromEntries(before.lenses.map((row) => [row.key, row]));
    const come = after.lenses.filter((row) => row.kind === "probe" && row.mark && row.mark !== was[row.key]?.mark).map((row) => `${row.title} is here.`);
    const failed = after.lenses.filter((row) => row.look?.state === "failed" && was[row.key]?.look?.state !== "failed").map((row) => `${row.title} failed: ${row.look.reason}`);
    if (come.length + failed.length) say(spoken, [...come, ...failed].join(" "));
  }

  async function ask(lens, knobs = {}) {
    const answer = await question(server, "ask", { run: page.run, lens, knobs, owner: await who() }).catch(() => ({ error: "The lab cannot be reached; try again in a moment." }));
    if (!answer.error) await look();
    return answer;
  }

  async function stop(id) {
    const answer = await question(server, "stop", { look: id, owner: await who() }).catch(() => ({ error: "The lab cannot be reached; try again in a moment." }));
    await look();
    return answer;
  }

  async function numbers(lens) {
    return question(server, "numbers", { run: page.run, lens, owner: await who() }).catch(() => ({ error: "The lab cannot be reached; try again in a moment." }));
  }

  async function drawing() {
    if (page.drawing === page.run) return;
    const run = page.run;
    const answer = await question(server, "drawing", { run, owner: await who() }).catch(() => ({ error: "lost" }));
    if (answer.error || page.run !== run) return;
    page.drawing = run;
    anatomy.show(answer.anatomy, answer.symbols);
  }

  function openInTrain() {
    goTo("train");
    window.dispatchEvent(new CustomEvent("lab-open", { detail: page.run }));
  }

  // A run of one's own with the settings of the one that is shown.
  function openDraft() {
    trainWith(page.view.address);
  }

  async function copyLink() {
    const wrong = await copyRunLink(server, share, { run: page.run, mine: page.view?.mine, place: "inside" });
    if (wrong) fail(wrong, copyLink);
  }
}
