// The Learn tab: a map of lessons with this browser's progress, and one lesson as steps: predict, run, explain.
import { el, fill, say } from "./dom.js";
import { createLesson } from "./learn_lesson.js";
import { createMuseum } from "./learn_museum.js";
import { createTest } from "./learn_test.js";
import { createTeacher } from "./learn_teacher.js";
import { flush, memberName, sendLesson } from "./member.js";
import { goTo, known, offers, question, recall, remember, setLesson, lessonOpened, taken } from "./session.js";

const LOST = "The lab cannot be reached; try again in a moment.";

export function mount(element, { props, server, watch }) {
  const holder = element.querySelector(".lab-view");
  if (holder.childElementCount) return;
  watch("value", () => known(props.value));
  known(props.value);
  const page = { begun: false, lessons: [], opened: null };
  const trouble = el("div", { class: "notice", role: "alert", hidden: true });
  const body = el("div", { class: "learn-body" });
  const museum = createMuseum(server);
  const lesson = createLesson(server, { close: map, progress, open, looked, resultSeen });
  fill(holder, el("div", { class: "lab learn-page" }, trouble, body));
  window.addEventListener("lab-member", () => { if (page.begun && !page.opened) map(); });
  window.addEventListener("lab-handed", () => { if (page.begun) takeOver(); });
  new IntersectionObserver((seen) => {
    const shown = seen.some((each) => each.isIntersecting);
    if (shown && page.opened) setLesson(page.opened);
    else if (shown) begin();
    else if (page.begun && !holder.offsetParent) setLesson(null); // a reload opens what is looked at
  }).observe(holder);

  async function begin() {
    if (page.begun) return;
    page.begun = true;
    flush();
    const found = await question(server, "course_map", {}).catch(() => ({ error: LOST }));
    if (found.error) { page.begun = false; fail(found.error, begin); return; }
    page.lessons = found.lessons;
    if (page.opened) return; // a lesson was handed over meanwhile
    const wanted = taken("learn") || { lesson: lessonOpened() };
    if (wanted.lesson) open(wanted.lesson, wanted.step);
    else map();
  }

  function takeOver() {
    const wanted = taken("learn");
    if (wanted?.lesson) open(wanted.lesson, wanted.step);
  }

  function done(key) {
    return (recall("learn") || {})[key] || { step: 0, guesses: {}, runs: {}, ended: false };
  }

  // What a browser keeps of a lesson: the step, the guesses, those made a `second` time with the result seen, its runs, results `seen` and runs of one's own
  // `begun` since the lesson was, results `told` ever, and whether the end was reached.
  function progress(key, change) {
    const kept = recall("learn") || {};
    const before = done(key), now = { ...before, ...change };
    remember("learn", { ...kept, [key]: now });
    sendLesson(key, now, change, before, (name) => resultSeen(name, [...looked(before), ...(before.told || [])]));
    return now;
  }

  // A run of one's own shows its curve as it goes.
  function looked(kept) {
    return [...(kept.seen || []), ...(kept.begun || [])];
  }

  // Whether a result that shows something of what a prediction is about has been looked at.
  function resultSeen(name, seen) {
    const asked = (page.lesson?.sequence || []).flatMap((step) => step.blocks).find((each) => each.kind === "predict" && each.name === name);
    return (asked?.settled || []).some((result) => seen.includes(result));
  }

  function map() {
    page.opened = null;
    lesson.close();
    setLesson(null);
    trouble.hidden = true;
    const cards = page.lessons.map(card);
    const ended = page.lessons.filter((each) => done(each.key).ended).length;
    const minutes = page.lessons.reduce((sum, each) => sum + each.minutes, 0);
    const next = page.lessons.find((each) => done(each.key).step && !done(each.key).ended) || page.lessons.find((each) => !done(each.key).ended) || page.lessons[0];
    fill(body, el("section", { class: "learn-map", "aria-label": "Lessons" },
      el("header", {}, el("div", {}, el("h2", {}, "Learn by predicting"),
        el("p", { class: "lead" }, "Each lesson asks what you expect, runs it, and shows how far off you were. Start anywhere; the order is one that builds up."),
        el("p", { class: "soft" }, `${page.lessons.length} lessons, about ${hours(minutes)} in all. ${ended ? `You have finished ${ended}.` : "Your place in each is kept in this browser."}`, ...ofClass())),
      next ? el("button", { type: "button", class: "main", onclick: () => open(next.key) }, done(next.key).step ? `Go on: ${next.title}` : `Start: ${next.title}`) : null),
      el("ol", { class: "learn-cards" }, cards)), museum.node, createTest(server).node, createTeacher(server, page.lessons).node);
    museum.show();
  }

  function ofClass() {
    if (memberName()) return [` Your class sees it as ${memberName()}'s.`];
    return offers("class") ? [" In a class? ", el("button", { type: "button", class: "link", onclick: () => goTo("class") }, "Join it")] : [];
  }

  function hours(minutes) {
    return minutes < 90 ? `${minutes} minutes` : `${Math.round(minutes / 30) / 2} hours`;
  }

  function card(each) {
    const { step, ended } = done(each.key);
    const needs = each.needs.map((key) => page.lessons.find((other) => other.key === key)).filter((other) => other && !done(other.key).ended);
    return el("li", { class: ended ? "learn-card ended" : step ? "learn-card begun" : "learn-card" },
      el("span", { class: "number", "aria-hidden": "true" }, ended ? "✓" : each.number),
      el("div", {}, el("h3", {}, el("button", { type: "button", class: "link", onclick: () => open(each.key) }, each.title)), el("p", { class: "soft" }, each.about),
        el("p", { class: "facts" }, `${each.minutes} min`, step && !ended ? ` · step ${step + 1} of ${each.steps}` : "", ended ? " · finished" : "",
          needs.length ? ` · easier after ${needs.map((other) => other.number).join(", ")}` : "")),
      el("div", { class: "learn-bar", role: "img", "aria-label": `${ended ? each.steps : step} of ${each.steps} steps` }, el("span", { style: { width: `${100 * (ended ? 1 : step / each.steps)}%` } })));
  }

  // `step` is that at which the lesson is entered, counted from 0.
  async function open(key, step = null) {
    page.opened = key;
    trouble.hidden = true;
    const found = await question(server, "lesson", { lesson: key }).catch(() => ({ error: LOST }));
    if (page.opened !== key) return;
    if (found.error) { map(); fail(found.error, () => open(key, step)); return; }
    setLesson(key);
    page.lesson = found;
    fill(body, lesson.node);
    lesson.open(found, done(key), page.lessons, step);
  }

  function fail(error, again) {
    trouble.hidden = false;
    fill(trouble, el("p", {}, el("b", {}, error.charAt(0).toUpperCase() + error.slice(1))), el("button", { type: "button", class: "plain", onclick: () => { trouble.hidden = true; again(); } }, "Try again"));
  }
}
