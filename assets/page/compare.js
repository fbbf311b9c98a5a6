// The Compare tab: arms and seeds are chosen, their runs submitted and watched, and verdicts read. Python says every number and sentence.
import { createBase } from "./compare_base.js";
import { createLooks } from "./compare_looks.js";
import { createArms } from "./compare_arms.js";
import { capital } from "./compare_pieces.js";
import { createRace } from "./compare_race.js";
import { createReady } from "./compare_ready.js";
import { createResult } from "./compare_result.js";
import { ask, el, fill, say } from "./dom.js";
import { comparisonOpened, goTo, known, question, recall, remember, setComparison, taken, who } from "./session.js";

const PAUSE = 250, FIRST = 300, FAST = 1200, HIDDEN = 5000; // milliseconds: after the last key, and between questions until the first point and while runs go on
const ALIKE = "All arms are alike but for what you change, and each is run once with each seed.", THEN = "Then it is said which differences are more than luck.";
const OFFER = "Showing the result is a look at its verdicts, and counts as one.";
const LOST = { error: "The lab cannot be reached. What you chose is kept; try again in a moment." };

export function mount(element, { props, server, watch }) {
  const holder = element.querySelector(".lab-view");
  if (holder.childElementCount) return;
  watch("value", () => known(props.value));
  known(props.value);
  const page = { draft: null, plan: null, view: null, started: false, go: false, without: [], again: [], asked: 0, turn: 0, timer: 0, chart: "", x: "", y: "", mark: "", had: [], before: null, wanted: false };

  const trouble = el("div", { class: "notice", role: "alert", hidden: true });
  const spoken = el("p", { class: "hidden-text", role: "status", "aria-live": "polite" });
  const looks = createLooks();
  const share = el("button", { type: "button", class: "plain", hidden: true, onclick: () => looks.copy(share, page.plan) }, "Copy link");
  const anew = el("button", { type: "button", class: "plain", hidden: true, onclick: () => startOver() }, "All questions");
  const base = createBase({ draft: () => page.draft, changed: change, ask: asked });
  const arms = createArms({ draft: () => page.draft, changed: change, ask: asked });
  const race = createRace({ stopArm, chart: (measure) => { page.chart = measure; look(); }, open: openRun });
  const result = createResult({ ask: asked, more: addSeeds, by: readBy, axes: (axes) => { Object.assign(page, axes); look(); } });
  const ready = createReady({ ask: asked, open: openQuestion });
  const gone = el("div", { class: "notice", role: "status", hidden: true });
  const run = el("button", { type: "button", class: "main", id: "compare-run", onclick: () => begin() }, "Run");
  const stop = el("button", { type: "button", class: "plain", hidden: true, onclick: () => stopAll() }, "Stop all");
  const cost = el("p", { class: "soft compare-cost" });
  const error = el("p", { class: "error-text", role: "alert", hidden: true });
  const go = el("div", { class: "compare-go", hidden: true }, error, el("div", { class: "compare-go-row" }, run, stop, cost));
  const warnings = el("div", { class: "notice compare-warnings", role: "status", hidden: true });
  const count = el("span", { class: "soft" });
  const fold = el("details", { class: "compare-build", open: true }, el("summary", {}, "Arms ", count), arms.node, warnings);
  const main = el("div", { class: "compare-main" }, gone, result.node, race.node, fold, go);
  const lead = el("p", { class: "soft" }, `${ALIKE} ${THEN}`);
  const heading = el("h2", { tabindex: "-1" }, "Compare side by side");
  const waiting = el("p", { class: "soft", role: "status" }, "loading …"); // until it is known what the page is opened with
  const bench = el("div", { class: "compare-bench", hidden: true }, ready.node, base.node, main);
  fill(holder, el("div", { class: "lab compare-page" },
    el("div", { class: "compare-head" }, el("div", { class: "words" }, heading,
      lead),
      el("div", { class: "buttons" }, share, anew)), trouble, spoken, waiting, bench));
  window.addEventListener("lab-handed", () => { if (page.draft) handed(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && going()) look(); });
  new IntersectionObserver((seen) => {
    const shown = seen.some((each) => each.isIntersecting);
    if (shown && !page.draft) open();
    else if (shown) { addressed(); if (page.started || page.view) look(); }
    else if (!holder.offsetParent) setComparison(null);
  }).observe(holder);

  // ── what is compared ──

  async function open() {
    page.draft = {};
    const menus = await asked("begin", {});
    if (menus.error) {
      page.draft = null;
      return fail(menus.error, open);
    }
    page.blank = menus.blank;
    base.begin(menus);
    arms.begin(menus);
    const link = comparisonOpened(), kept = recall("compare");
    if (await handed()) return null;
    if (link) return openLink(link);
    if (kept?.draft?.base) {
      Object.assign(page, { started: Boolean(kept.started), go: Boolean(kept.go), without: kept.without || [], had: kept.had || [], before: kept.before || null });
      return take(kept.draft, { goOn: true });
    }
    return take(structuredClone(menus.blank));
  }

  async function openLink(link) {
    const found = await asked("open_link", link);
    if (found === LOST) return fail("The lab does not answer, so this link is not open yet.", () => openLink(link));
    if (found.error) {
      await take(structuredClone(page.blank));
      return fail(`This link cannot be read; here is an empty comparison instead. ${capital(found.error)}`);
    }
    looks.note(found.pairs, found.looked);
    const kept = recall("compare"), said = (draft) => JSON.stringify(Object.entries(draft || {}).sort()); // the same one as before goes on as it was
    if (said(kept?.draft) === said(found.draft)) Object.assign(page, { started: Boolean(kept.started), go: Boolean(kept.go), without: kept.without || [], had: kept.had || [], before: kept.before || null });
    return take(found.draft, { goOn: true, wanted: found.looked.length > 0 });
  }

  async function openQuestion(key) {
    const found = await asked("question", { key });
    if (found.error) return ready.fail(capital(found.error));
    fold.open = true;
    await take(found.draft, { wanted: true });
    bench.scrollIntoView({ block: "start" });
    return heading.focus({ preventScroll: true });
  }

  // Settings that come from another tab: a run of its own against another method.
  async function handed() {
    const wanted = taken("compare");
    if (wanted?.comparison) { await take(wanted.comparison, { wanted: true }); return true; }
    if (!wanted?.spec) return false;
    const found = await asked("beside", { spec: wanted.spec });
    if (found.error) return fail(found.error);
    await take(found.draft);
    return true;
  }

  // A comparison as a whole; where its result is `wanted` and all its runs are there, it is shown at once.
  function take(draft, { goOn = false, wanted = false } = {}) {
    page.draft = draft;
    if (!goOn) forget();
    page.wanted = wanted;
    arms.close();
    base.show();
    return plan();
  }

  // Other settings are another comparison: it is run when it is asked for.
  function change(draft, pause = PAUSE) {
    page.draft = draft;
    forget();
    clearTimeout(page.timer);
    page.asked += 1;
    page.timer = setTimeout(plan, pause);
  }

  function forget() {
    Object.assign(page, { started: false, go: false, without: [], again: [], view: null, mark: "", had: [], before: null, wanted: false });
    page.turn += 1;
    gone.hidden = true;
    race.hide();
    result.hide();
    place(false);
    keep();
  }

  function keep() {
    remember("compare", { draft: page.draft, started: page.started, go: page.go, without: page.without, had: page.had, before: page.before });
  }

  async function plan() {
    const turn = ++page.asked;
    keep();
    const seeds = base.seedTrouble();
    const answer = await asked("plan", {});
    if (turn !== page.asked) return null;
    trouble.hidden = true;
    base.mark(answer.error && typeof answer.error === "string" ? answer : null);
    if (answer === LOST) return fail(LOST.error, plan);
    if (typeof answer.error === "string") {
      arms.stale();
      return stuck(base.worded(answer));
    }
    page.plan = answer;
    shown();
    arms.show(answer);
    const few = page.draft.arms.length, empty = few === 0;
    bench.classList.toggle("empty", empty);
    if (empty) ready.show();
    else ready.hide();
    say(heading, page.draft.title || "Compare side by side");
    say(lead, `${answer.common || ALIKE} ${THEN}`);
    say(count, empty ? "" : `${few} of at most 12`);
    share.hidden = anew.hidden = empty;
    go.hidden = empty;
    warnings.hidden = !answer.warnings.length;
    fill(warnings, answer.warnings.map((text) => el("p", {}, `${capital(text)}.`)));
    addressed();
    const wrong = answer.arms.find((arm) => arm.error);
    if (seeds) return stuck(seeds);
    if (wrong) return stuck(`${wrong.name}: ${arms.worded(wrong)}`);
    if (answer.error) return stuck(answer.error.arm ? `${answer.error.arm}: ${answer.error.text}` : capital(answer.error.text));
    if (few < 2) return stuck(empty ? "" : "One arm alone cannot be compared: add another.", false);
    stuck(null);
    say(cost, answer.cost);
    drawButtons();
    return look();
  }

  function shown() {
    waiting.hidden = true;
    bench.hidden = false;
  }

  // Why it cannot be started; null where it can.
  function stuck(words, bad = true) {
    shown();
    const can = words === null;
    run.disabled = !can;
    error.hidden = can || !bad;
    say(error, can || !bad ? "" : words);
    if (!can) {
      say(cost, bad ? "" : words);
      run.hidden = false;
      stop.hidden = true;
      say(run, "Run");
    }
    return null;
  }

  // ── its runs ──

  function begin() {
    const { view } = page, before = page.before || view?.had || [], failed = Boolean(view && page.started && !view.left && !view.stopped && view.failed);
    Object.assign(page, { started: true, go: true, before, without: [], again: view?.stopped ? ["cancelled"] : [], mark: "" });
    fold.open = false;
    keep();
    say(spoken, "The comparison has begun.");
    look({ again: failed ? ["failed"] : page.again });
    bench.scrollIntoView({ block: "start" });
  }

  function going() {
    return page.view && page.started && (page.view.way > 0 || (page.go && page.view.left > 0));
  }

  async function look(more = {}) {
    clearTimeout(page.timer);
    const turn = ++page.turn, draft = page.draft;
    const answer = await asked("look", { go: page.go, again: page.again, chart: page.chart, x: page.x, y: page.y, mark: page.mark, had: page.had, before: page.before, ...more });
    if (turn !== page.turn || draft !== page.draft) return;
    if (answer === LOST) {
      fail("No connection to the lab. The runs that were submitted go on without this page; asking again every few seconds.");
      page.timer = setTimeout(look, HIDDEN);
      return;
    }
    trouble.hidden = true;
    if (answer.error) { stuck(capital(answer.error)); return; }
    page.mark = answer.mark;
    if (answer.rows) show(answer);
    if (going()) page.timer = setTimeout(look, document.hidden || !holder.offsetParent ? HIDDEN : page.view?.race?.table.rows.length ? FAST : FIRST);
  }

  function show(view) {
    const before = page.view;
    page.view = view;
    const all = view.done + view.failed === view.of;
    if (!page.started && (view.way > 0 || (all && page.wanted))) page.started = true;
    lost(view);
    if (page.go && !view.left) Object.assign(page, { go: false, again: [] });
    keep();
    say(cost, [view.cost, view.left === view.known && !page.started ? OFFER : "", capital(view.full)].filter(Boolean).join(" "));
    drawButtons();
    if (!page.started) return;
    if (!before && (view.way || all)) fold.open = false;
    const over = Boolean(view.result?.verdicts.over);
    race.show(view, { over, chart: view.chart, live: going() });
    result.show(view.result, { live: going() });
    if (over) {
      looks.note(view.pairs, [view.result.seeds]);
      addressed();
      if (before && !before.result?.verdicts.over) say(spoken, "All runs have ended; the verdicts are at the top.");
    }
  }

  // A run that was there and is not any more is said until it is made again.
  function lost(view) {
    const key = (each) => JSON.stringify(each);
    const there = new Set([...view.had, ...(view.gone.length ? page.had : [])].map(key));
    page.had = [...there].map((each) => JSON.parse(each));
    gone.hidden = !view.gone.length;
    fill(gone, view.gone.map((text) => el("p", {}, `${text}.`)), view.gone.length ? el("p", {}, "Run the rest makes it again with the same settings.") : null);
  }

  function drawButtons() {
    const { view, plan: said } = page, total = said?.left === undefined ? page.draft.arms.length * page.draft.seeds.length : said.left - said.known;
    const started = page.started && view;
    const broken = started ? view.failed + view.stopped : 0;
    run.hidden = Boolean(started && (going() || (!view.left && !broken)));
    run.disabled = false;
    say(run, !started ? (!total ? "Show the result" : `Run ${total} training${total === 1 ? "" : "s"}`) : view.left || view.stopped ? "Run the rest" : view.failed === 1 ? "Run the failed one again" : "Run the failed ones again");
    stop.hidden = !started || !going();
    run.className = started && !view.left ? "plain" : "main"; // what failed may be left as it is
    go.hidden = run.hidden && stop.hidden;
    place(started);
    say(stop, view?.way ? "Stop all" : "Make no more");
  }

  // The buttons stand where one looks: below the arms while they are chosen, above the race while it goes on.
  function place(started) {
    const wanted = started ? race.node : null;
    if (go.nextElementSibling !== wanted) main.insertBefore(go, wanted);
  }

  async function stopArm(name) {
    page.without = [...page.without, name];
    keep();
    await asked("halt", { arm: name });
    look();
  }

  async function stopAll() {
    if (page.view?.way && !(await ask("Stop all runs of this comparison? What has ended is kept.", "Stop them", "Let them go on"))) return;
    Object.assign(page, { go: false, again: [] });
    keep();
    stop.disabled = true;
    const answer = await asked("halt", {});
    stop.disabled = false;
    if (answer.error) fail(answer.error);
    look();
  }

  // Another outcome is read of the same runs: it goes into the address, and starts nothing.
  function readBy(key) {
    const { by: _, ...rest } = page.draft;
    page.draft = key ? { ...rest, by: key } : rest;
    keep();
    plan();
  }

  // More seeds after the verdicts were read: the same arms, another look.
  function addSeeds(count) {
    const highest = Math.max(...page.draft.seeds);
    const draft = { ...page.draft, seeds: [...page.draft.seeds, ...Array.from({ length: count }, (_, place) => highest + 1 + place)] };
    Object.assign(page, { draft, started: true, go: true, before: page.view?.had || page.before, view: null, mark: "" });
    base.show();
    keep();
    plan();
  }

  function openRun(id) {
    goTo("train");
    window.dispatchEvent(new CustomEvent("lab-open", { detail: id }));
  }

  function addressed() {
    if (holder.offsetParent && page.draft?.arms) looks.address(page.draft.arms.length ? page.plan : null);
  }

  async function startOver() {
    if (going() && !(await ask("Start over? Runs that were submitted go on, and stay in your history.", "Start over", "Go on"))) return;
    fold.open = true;
    take(structuredClone(page.blank));
  }

  // ── talking ──

  async function asked(name, value) {
    const context = { draft: page.draft, owner: await who(), without: page.without, looked: looks.of(page.plan?.pairs) };
    return question(server, name, { ...context, ...value }).catch(() => LOST);
  }

  function fail(words, again = null) {
    waiting.hidden = true;
    trouble.hidden = false;
    fill(trouble, el("p", {}, capital(words)), again ? el("button", { type: "button", class: "plain", onclick: () => { trouble.hidden = true; waiting.hidden = !bench.hidden; again(); } }, "Try again") : null);
    return null;
  }
}
