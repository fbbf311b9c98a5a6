// The Try tab: choose a finished run, type a text or take a test item, and read the answers side by side. Python says every number.
import { el, fill, say } from "./dom.js";
import { address, copyRunLink, goTo, known, offers, question, recall, remember, setAddress, taken, trainWith, who } from "./session.js";
import { createAsk } from "./try_ask.js";
import { createMix } from "./try_mix.js";
import { createReply } from "./try_reply.js";
import { createSeveral } from "./try_several.js";

const SOON = 120, STEADY = 300, HIDDEN = 4000, WATCHED = 3000; // milliseconds between questions to the server
const VIEWS = {
  one: ["Ask one run", "Ask a finished run anything, and see what its base would have said without it."],
  batch: ["Ask several at once", "One base model answers for several finished runs in one batch, each row with its own trained part."],
  mix: ["Mix experts", "Make one model of several: by weighing their answers, or by adding up what they trained."],
};
const LOST = "The lab cannot be reached; try again in a moment.";

export function mount(element, { props, server, watch }) {
  const holder = element.querySelector(".lab-view");
  if (holder.childElementCount) return;
  watch("value", () => known(props.value));
  known(props.value);
  const page = { run: "", view: null, begun: false, timer: 0, going: "", sending: false, mark: "", tries: 0, found: null };

  const menu = el("select", { id: "try-run", "aria-label": "Run", onchange: () => open(menu.value, true) });
  const chip = el("span", { class: "chip" });
  const about = el("p", { class: "soft settings" });
  const toTrain = el("button", { type: "button", class: "plain", onclick: () => watchRun() }, "Open the run");
  const share = el("button", { type: "button", class: "plain", onclick: () => copyLink() }, "Copy link");
  const trouble = el("div", { class: "notice", role: "alert", hidden: true });
  const spoken = el("p", { class: "hidden-text", role: "status", "aria-live": "polite" });
  const asking = createAsk({ ask, stop, example, begun: warm });
  const reply = createReply({ time: () => ask(true), again: () => ask(false) });
  const body = el("div", { class: "try-body" });
  const choosing = el("div", { class: "try-choose" }, el("label", { for: "try-run" }, "Run"), menu, chip, el("div", { class: "buttons" }, toTrain, share));
  const several = { batch: createSeveral({ server }), mix: createMix({ server }) };
  const lead = el("p", { class: "soft" });
  const views = el("div", { class: "segments try-views", role: "radiogroup", "aria-label": "What to try" }, Object.entries(VIEWS).map(([key, [words]]) =>
    el("label", {}, el("input", { type: "radio", name: "try-view", value: key, checked: key === "one", onchange: () => turn(key) }), el("span", {}, words))));
  const one = el("div", { class: "try-one" }, trouble, body);
  const other = el("div", { hidden: true });
  fill(holder, el("div", { class: "lab try-page" },
    el("div", { class: "try-head" }, el("div", { class: "words" }, el("h2", {}, "Try a tuned model"), lead, views), choosing, about), spoken, one, other));
  turn("one");

  window.addEventListener("lab-handed", () => { if (page.begun) takeOver(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && page.going) { clearTimeout(page.timer); listen(); } });
  new IntersectionObserver((seen) => { if (seen.some((each) => each.isIntersecting)) begin(); }).observe(holder);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !page.going || !holder.offsetParent || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    stop();
  });

  // One run, or several: the simple view stays as it was left.
  function turn(view) {
    say(lead, VIEWS[view][1]);
    choosing.hidden = about.hidden = one.hidden = view !== "one";
    other.hidden = view === "one";
    if (view === "one") return;
    fill(other, several[view].node);
    several[view].show();
  }

  async function begin() {
    const first = !page.begun;
    const wanted = taken("try")?.run || (first ? address().run || recall("try") : "");
    page.begun = true;
    const found = await runs();
    if (!found) { page.begun = !first; return; }
    const start = wanted || (first || !page.run ? found.mine[0]?.run : "");
    if (start) open(start, false);
    else if (first || !page.run) empty();
    else if (page.view && page.view.standing !== "ready") look();
  }

  function takeOver() {
    const wanted = taken("try")?.run;
    if (wanted) runs().then(() => open(wanted, true));
  }

  async function runs() {
    const found = await question(server, "runs", { owner: await who() }).catch(() => ({ error: LOST }));
    if (found.error) { fail(found.error, begin); return null; }
    page.found = found;
    const choice = (each) => el("option", { value: each.run }, [each.name, each.told].filter(Boolean).join(" · "));
    fill(menu, found.mine.length ? el("optgroup", { label: "Your finished runs" }, found.mine.map(choice)) : el("option", { value: "" }, "none of yours yet"),
      found.recorded.length ? el("optgroup", { label: "Recorded runs (no weights)" }, found.recorded.map(choice)) : null);
    if (page.run) chosen(page.run, page.view?.name || "the run of this link");
    return found;
  }

  function chosen(run, name) {
    const there = [...menu.options].find((each) => each.value === run);
    if (!there) menu.prepend(el("option", { value: run }, name));
    else if (there.parentNode === menu) there.textContent = name;
    menu.value = run;
  }

  function empty() {
    chip.textContent = "";
    toTrain.hidden = share.hidden = true;
    say(about, "");
    fill(body, el("div", { class: "try-empty" }, el("h3", {}, "Nothing of yours to ask yet"),
      el("p", { class: "soft" }, "A run that has finished keeps what it trained, and can be asked here. A first one takes about half a minute."),
      offers("train") && el("button", { type: "button", class: "main", onclick: () => goTo("train") }, "Choose and train")));
  }

  function open(run, picked) {
    if (!run) return;
    leave();
    Object.assign(page, { run, view: null });
    chosen(run, [...menu.options].find((each) => each.value === run)?.textContent || "the run of this link");
    remember("try", run);
    if (picked) setAddress({ run, spec: address().spec ? encodeURIComponent(address().spec) : null });
    trouble.hidden = true;
    say(about, "opening it …");
    reply.clear();
    look();
  }

  async function look() {
    const run = page.run;
    const answer = await question(server, "view", { run, owner: await who() }).catch(() => ({ lost: true }));
    if (page.run !== run) return;
    if (answer.lost) { fail(LOST, () => open(run, false)); return; }
    if (answer.error) { gone(answer.error); return; }
    show(answer);
  }

  // Deleted, or a link that is not whole.
  function gone(error) {
    Object.assign(page, { run: "", view: null });
    remember("try", null);
    say(about, "");
    chip.textContent = "";
    fill(body);
    fail(error, () => { page.begun = false; setAddress({ run: null, spec: null }); begin(); }, "Show another run");
  }

  function show(view) {
    page.view = view;
    toTrain.hidden = share.hidden = false;
    chosen(view.run, view.title || view.name);
    say(chip, view.label || (view.standing === "ready" ? "can be asked" : view.standing === "going" ? "not finished" : "cannot be asked"));
    chip.className = `chip ${view.standing === "ready" ? "finished" : view.standing === "going" ? "running" : ""}`;
    say(about, [view.settings, view.score ? `test score ${view.score}` : null].filter(Boolean).join(" · "));
    clearTimeout(page.timer);
    if (view.standing !== "ready") {
      cannot(view);
      if (view.standing === "going" && holder.offsetParent) page.timer = setTimeout(look, document.hidden ? HIDDEN : WATCHED);
      return;
    }
    asking.show(view);
    reply.wait(view);
    if (asking.node.parentNode !== body) fill(body, asking.node, reply.node);
  }

  // Why this run cannot be asked, and one way on.
  function cannot(view) {
    const ways = { going: watchRun, ended: draft, gone: draft, recorded: draft, images: () => goTo("train"), unknown: () => goTo("train") };
    const other = page.found?.mine.find((each) => each.run !== view.run);
    fill(body, el("div", { class: "try-empty" }, el("h3", {}, view.standing === "going" ? "This run cannot be asked yet" : "This run cannot be asked"), el("p", { class: "soft" }, view.reason),
      el("div", { class: "buttons" }, el("button", { type: "button", class: "main", onclick: ways[view.standing] }, view.way_out),
        other ? el("button", { type: "button", class: "plain", onclick: () => open(other.run, true) }, "Ask your newest run") : null)));
  }

  function fail(error, retry = null, words = "Try again") {
    trouble.hidden = false;
    fill(trouble, el("p", {}, el("b", {}, error.charAt(0).toUpperCase() + error.slice(1))),
      retry ? el("button", { type: "button", class: "plain", onclick: () => { trouble.hidden = true; retry(); } }, words) : null);
  }

  async function ask(time) {
    if (page.going || page.sending || page.view?.standing !== "ready") return;
    const run = page.run;
    page.sending = true;
    asking.busy(true);
    reply.begin(time, asking.truth());
    const answer = await question(server, "ask", { run, owner: await who(), time, ...asking.values() }).catch(() => ({ error: LOST }));
    page.sending = false;
    if (page.run !== run) {
      asking.busy(false);
      if (answer.question) question(server, "stop", { question: answer.question, owner: await who() }).catch(() => null);
      return;
    }
    if (answer.error) { asking.busy(false); asking.fail(answer); reply.refused(time); return; }
    asking.fail(null);
    Object.assign(page, { going: answer.question, mark: "", tries: 0 });
    listen();
  }

  async function listen() {
    const going = page.going;
    let answer;
    try {
      answer = await question(server, "reply", { question: going, owner: await who(), mark: page.mark });
      page.tries = 0;
    } catch {
      answer = {};
      page.tries += 1;
      asking.status("No connection to the lab; asking again.");
    }
    if (page.going !== going) return;
    if (answer.error) { ended(answer.error); fail(answer.error, () => open(page.run, false)); return; }
    if (answer.state) {
      page.mark = answer.mark;
      asking.status(answer.status);
      reply.show(answer);
      if (["finished", "failed", "cancelled"].includes(answer.state)) { ended(spokenOf(answer)); return; }
    }
    page.timer = setTimeout(listen, document.hidden ? HIDDEN : page.tries ? Math.min(5000, 400 * 2 ** page.tries) : answer.cards?.some((card) => card.going) ? SOON : STEADY);
  }

  function ended(words) {
    page.going = "";
    asking.busy(false);
    say(spoken, words);
  }

  function spokenOf(answer) {
    if (answer.state === "failed") return `The question failed: ${answer.reason}`;
    if (answer.state === "cancelled") return "Stopped.";
    return answer.timing ? "The times are here." : `The answers are here: ${answer.cards.map((card) => `${card.title}: ${card.best ?? card.text}`).join("; ")}.`;
  }

  async function stop() {
    if (!page.going) return;
    asking.status("stopping …");
    await question(server, "stop", { question: page.going, owner: await who() }).catch(() => null);
  }

  // Whoever goes to another run does not wait for the answer of this one.
  function leave() {
    clearTimeout(page.timer);
    if (!page.going) return;
    stop();
    page.going = "";
    asking.busy(false);
  }

  // Somebody begins to type: meanwhile the run is opened.
  async function warm() {
    if (page.view?.standing === "ready") question(server, "warm", { run: page.run, owner: await who() }).catch(() => null);
  }

  async function example(number) {
    return question(server, "example", { run: page.run, number, owner: await who() }).catch(() => ({ error: LOST }));
  }

  function watchRun() {
    goTo("train");
    window.dispatchEvent(new CustomEvent("lab-open", { detail: page.run }));
  }

  // A run of one's own with these settings.
  function draft() {
    trainWith(page.view.address);
  }

  async function copyLink() {
    const wrong = await copyRunLink(server, share, { run: page.run, mine: page.view?.mine, place: "try" });
    if (wrong) fail(wrong, copyLink);
  }
}
