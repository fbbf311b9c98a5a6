// One lesson: a step at a time. What was done stays above, what comes is hidden, and no result is shown before a guess.
import { el, fill, say } from "./dom.js";
import { explain, explainBelow } from "./glossary.js";
import { createBlock } from "./learn_block.js";
import { words } from "./learn_words.js";
import { teacher } from "./session.js";

export function createLesson(server, { close, progress, open, looked, resultSeen }) {
  const state = { lesson: null, kept: null, all: [], blocks: [], first: 0, turn: 0, seen: new Set() };
  const title = el("h2", { tabindex: "-1" });
  const where = el("p", { class: "soft", role: "status", "aria-live": "polite" });
  const bar = el("div", { class: "learn-bar", "aria-hidden": "true" }, el("span"));
  const opening = el("div", { class: "learn-words lead" });
  const visit = el("div", { class: "learn-visit", hidden: true });
  const steps = el("div", { class: "learn-steps" });
  const next = el("button", { type: "button", class: "main", onclick: () => forward() }, "Next");
  const why = el("p", { class: "hint" });
  const foot = el("div", { class: "learn-foot" }, next, why);
  const end = el("div", { class: "learn-end", hidden: true });
  const node = el("article", { class: "learn-lesson", "aria-label": "Lesson" },
    el("header", {}, el("button", { type: "button", class: "plain", onclick: () => close() }, "All lessons"), el("div", { class: "title" }, title, where)), bar, opening, visit, steps, foot, end);

  // `at` is a step to come in at, as from a run; where that is further than this browser has got, the steps before it are left for later.
  function show(lesson, kept, all, at = null) {
    const reached = Math.min(kept.step, lesson.sequence.length - 1);
    const first = at !== null && at > reached ? at : 0;
    Object.assign(state, { lesson, kept, all, blocks: [], first, turn: state.turn + 1, seen: new Set() });
    say(title, lesson.title);
    fill(opening, words(lesson.opening, open));
    delete opening.dataset.explained;
    explain([opening], state.seen);
    fill(steps);
    end.hidden = true;
    visit.hidden = !first;
    if (first) fill(visit, el("p", {}, `You came in at step ${first + 1} of ${lesson.sequence.length}. What stands before it can be done later.`), fromWhereIWas("plain"));
    for (let place = first; place <= Math.max(first, reached); place += 1) add(place);
    settle();
    const section = at !== null ? steps.children[at - first] : kept.step ? steps.lastElementChild : null;
    if (at !== null && section) section.querySelector("h3").focus({ preventScroll: true });
    if (section) section.scrollIntoView({ block: "start" });
    else title.focus({ preventScroll: true });
  }

  function fromWhereIWas(kind) {
    return el("button", { type: "button", class: kind, onclick: () => show(state.lesson, state.kept, state.all) }, state.kept.step ? "Go on where I was" : "Begin at the first step");
  }

  // How many steps of the lesson are behind, those that were left for later included.
  function behind() {
    return state.first + state.blocks.length;
  }

  function add(place) {
    const { heading, blocks } = state.lesson.sequence[place];
    const made = blocks.map((each) => createBlock(server, each, context()));
    state.blocks.push(made);
    const section = el("section", { class: "learn-step", "aria-label": heading }, el("h3", { tabindex: "-1" }, heading), made.map((each) => each.node));
    steps.append(section);
    explain(section.querySelectorAll(":scope > .learn-words, :scope > .learn-question legend, :scope > .learn-claim .sentence, :scope > .learn-figure > figcaption, :scope > .learn-result > .soft, :scope > .learn-explore > p"), state.seen);
    explainBelow(section.querySelectorAll(":scope > .learn-question"));
    return section;
  }

  function context() {
    const turn = state.turn;
    return {
      lesson: state.lesson, open, alive: () => turn === state.turn, kept: () => state.kept,
      keep: (change) => { state.kept = progress(state.lesson.key, change); settle(); }, settle, resultSeen: (name) => resultSeen(name, looked(state.kept)),
      awaited: (results) => (teacher.predicts ? results.filter((name) => !state.kept.seen?.includes(name)) : []),
    };
  }

  // Whether the step asks for something that has not been done.
  function settle() {
    if (!state.lesson) return;
    const { sequence } = state.lesson;
    for (const made of state.blocks) hold(made);
    for (const block of state.blocks.flat()) block.settle?.();
    const waiting = (state.blocks.at(-1) || []).find((each) => each.waits && each.waits());
    const last = behind() >= sequence.length;
    next.disabled = Boolean(waiting);
    say(why, waiting ? waiting.waits() : last ? "This was the last step." : `Go on with “${sequence[behind()].heading}”.`);
    next.textContent = last ? "Finish the lesson" : "Next";
    foot.hidden = !end.hidden;
    say(where, `Lesson ${state.lesson.number} · step ${behind()} of ${sequence.length}`);
    bar.firstChild.style.width = `${(100 * (behind() - (end.hidden ? 1 : 0))) / sequence.length}%`;
  }

  // What stands below a result tells what came out, so it comes with it; a claim below a question may tell the answer.
  function hold(made) {
    const at = made.findIndex((each) => each.holds?.()), asked = made.findIndex((each) => each.asks?.());
    made.forEach((each, place) => each.node.classList.toggle("held-back", (at >= 0 && place > at) || (each.tells === true && asked >= 0 && place > asked)));
  }

  function forward() {
    if (behind() >= state.lesson.sequence.length) return finish();
    const section = add(behind());
    if (!state.first) state.kept = progress(state.lesson.key, { step: behind() - 1 }); // steps that were left out are not done
    settle();
    section.querySelector("h3").focus({ preventScroll: true });
    return section.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  function finish() {
    if (state.first) return left();
    state.kept = progress(state.lesson.key, { ended: true });
    end.hidden = false;
    const later = state.all[state.all.findIndex((each) => each.key === state.lesson.key) + 1];
    fill(end, el("h3", { tabindex: "-1" }, "That was this lesson"), el("p", { class: "soft" }, "Your guesses and runs stay in this browser; open it again to look at them."),
      el("div", { class: "buttons" }, later ? el("button", { type: "button", class: "main", onclick: () => open(later.key) }, `Next: ${later.title}`) : null,
        el("button", { type: "button", class: "plain", onclick: () => close() }, "All lessons"),
        el("button", { type: "button", class: "plain", onclick: () => again() }, "Start this one again")));
    return ended();
  }

  // Of who came in further down: the lesson has not been done.
  function left() {
    end.hidden = false;
    fill(end, el("h3", { tabindex: "-1" }, "That was the last step"), el("p", { class: "soft" }, `You came in at step ${state.first + 1}; what stands before it is still to be done. Your guesses stay in this browser.`),
      el("div", { class: "buttons" }, fromWhereIWas("main"),
        el("button", { type: "button", class: "plain", onclick: () => close() }, "All lessons")));
    ended();
  }

  function ended() {
    settle();
    end.querySelector("h3").focus({ preventScroll: true });
    end.scrollIntoView({ block: "nearest" });
  }

  function again() {
    state.kept = progress(state.lesson.key, { step: 0, guesses: {}, second: {}, answers: {}, seen: [], begun: [], told: [...new Set([...(state.kept.told || []), ...looked(state.kept)])], ended: false });
    show(state.lesson, state.kept, state.all);
    node.scrollIntoView({ block: "start" });
  }

  return { node, open: show, close: () => { state.turn += 1; } };
}
