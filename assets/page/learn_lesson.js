// One lesson: a step at a time. What was done stays above, what comes is hidden, and no result is shown before a guess.
import { el, fill, say } from "./dom.js";
import { explain } from "./glossary.js";
import { createBlock } from "./learn_block.js";
import { words } from "./learn_words.js";

export function createLesson(server, { close, progress, open, resultSeen }) {
  const state = { lesson: null, kept: null, all: [], blocks: [], turn: 0, seen: new Set() };
  const title = el("h2", { tabindex: "-1" });
  const where = el("p", { class: "soft", role: "status", "aria-live": "polite" });
  const bar = el("div", { class: "learn-bar", "aria-hidden": "true" }, el("span"));
  const opening = el("div", { class: "learn-words lead" });
  const steps = el("div", { class: "learn-steps" });
  const next = el("button", { type: "button", class: "main", onclick: () => forward() }, "Next");
  const why = el("p", { class: "hint" });
  const foot = el("div", { class: "learn-foot" }, next, why);
  const end = el("div", { class: "learn-end", hidden: true });
  const node = el("article", { class: "learn-lesson", "aria-label": "Lesson" },
    el("header", {}, el("button", { type: "button", class: "plain", onclick: () => close() }, "All lessons"), el("div", { class: "title" }, title, where)), bar, opening, steps, foot, end);

  function show(lesson, kept, all) {
    Object.assign(state, { lesson, kept, all, blocks: [], turn: state.turn + 1, seen: new Set() });
    say(title, lesson.title);
    fill(opening, words(lesson.opening, open));
    delete opening.dataset.explained;
    explain([opening], state.seen);
    fill(steps);
    end.hidden = true;
    for (let place = 0; place <= Math.min(kept.step, lesson.sequence.length - 1); place += 1) add(place);
    settle();
    if (kept.step) steps.lastElementChild?.scrollIntoView({ block: "start" });
    else title.focus({ preventScroll: true });
  }

  function add(place) {
    const { heading, blocks } = state.lesson.sequence[place];
    const made = blocks.map((each) => createBlock(server, each, context()));
    state.blocks.push(made);
    const section = el("section", { class: "learn-step", "aria-label": heading }, el("h3", { tabindex: "-1" }, heading), made.map((each) => each.node));
    steps.append(section);
    explain(section.querySelectorAll(":scope > .learn-words, :scope > .learn-question legend, :scope > .learn-claim .sentence"), state.seen);
    return section;
  }

  function context() {
    const turn = state.turn;
    return {
      lesson: state.lesson, open, alive: () => turn === state.turn, kept: () => state.kept,
      keep: (change) => { state.kept = progress(state.lesson.key, change); settle(); }, settle, resultSeen: (name) => resultSeen(name, state.kept.seen || []),
    };
  }

  // Whether the step asks for something that has not been done.
  function settle() {
    if (!state.lesson) return;
    const { sequence } = state.lesson;
    for (const block of state.blocks.flat()) block.settle?.();
    const waiting = (state.blocks.at(-1) || []).find((each) => each.waits && each.waits());
    const last = state.blocks.length >= sequence.length;
    next.disabled = Boolean(waiting);
    say(why, waiting ? waiting.waits() : "");
    next.textContent = last ? "Finish the lesson" : "Next";
    foot.hidden = !end.hidden;
    say(where, `Lesson ${state.lesson.number} · step ${state.blocks.length} of ${sequence.length}`);
    bar.firstChild.style.width = `${(100 * (state.blocks.length - (end.hidden ? 1 : 0))) / sequence.length}%`;
  }

  function forward() {
    if (state.blocks.length >= state.lesson.sequence.length) return finish();
    const section = add(state.blocks.length);
    state.kept = progress(state.lesson.key, { step: state.blocks.length - 1 });
    settle();
    section.querySelector("h3").focus({ preventScroll: true });
    return section.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  function finish() {
    state.kept = progress(state.lesson.key, { ended: true });
    end.hidden = false;
    const later = state.all[state.all.findIndex((each) => each.key === state.lesson.key) + 1];
    fill(end, el("h3", { tabindex: "-1" }, "That was this lesson"), el("p", { class: "soft" }, "Your guesses and runs stay in this browser; open it again to look at them."),
      el("div", { class: "buttons" }, later ? el("button", { type: "button", class: "main", onclick: () => open(later.key) }, `Next: ${later.title}`) : null,
        el("button", { type: "button", class: "plain", onclick: () => close() }, "All lessons"),
        el("button", { type: "button", class: "plain", onclick: () => again() }, "Start this one again")));
    settle();
    end.querySelector("h3").focus({ preventScroll: true });
    end.scrollIntoView({ block: "nearest" });
  }

  function again() {
    state.kept = progress(state.lesson.key, { step: 0, guesses: {}, answers: {}, seen: [], told: [...new Set([...(state.kept.told || []), ...(state.kept.seen || [])])], ended: false });
    show(state.lesson, state.kept, state.all);
    node.scrollIntoView({ block: "start" });
  }

  return { node, open: show, close: () => { state.turn += 1; } };
}
