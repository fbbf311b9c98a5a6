// A form that makes a link for a class: a lesson, or the Train tab with the settings as they are; and any of the Train tab's controls fixed or hidden.
import { copyLink, el, fill, say } from "./dom.js";
import { question, recall } from "./session.js";

export function createTeacher(server, lessons) {
  const what = el("select", { id: "teacher-what", onchange: () => paint() }, lessons.map((each) => el("option", { value: each.key }, `${each.number} ${each.title}`)), el("option", { value: "" }, "The Train tab, set as it is now"));
  const ticks = el("div", { class: "teacher-choices" }, tick("Ask for predictions before results", "predict"), tick("Let students run things themselves", "live"));
  const choices = el("div", { class: "teacher-choices" });
  const link = el("output", { class: "teacher-link", "aria-label": "The link" });
  const copy = el("button", { type: "button", class: "plain", onclick: () => copyLink(copy, address()) }, "Copy link");
  const node = el("details", { class: "learn-teacher" }, el("summary", {}, "For teachers: make a link for a class"),
    el("div", {}, el("p", { class: "soft" }, "Who opens the link starts at that place. A link is a convenience, not a lock: a student who edits the address can change what it sets."),
      el("label", { for: "teacher-what" }, "What it opens"), what, ticks, choices, el("div", { class: "teacher-made" }, link, copy)));
  const chosen = { predict: true, live: true, spec: "", controls: new Map() };
  node.addEventListener("toggle", () => { if (node.open && !choices.childElementCount) paint(); });

  // What was chosen of a control stays where the next place has it, too.
  async function paint() {
    const lesson = what.value;
    ticks.hidden = !lesson;
    fill(choices, el("p", { class: "soft" }, "The link below works already. Reading which controls it can fix or hide …"));
    told();
    const found = await question(server, "controls", { draft: recall("draft"), lesson: lesson || null }).catch(() => ({ error: "The lab cannot be reached; try again in a moment." }));
    if (what.value !== lesson) return; // something else has been chosen since
    if (found.error) {
      fill(choices, el("p", { class: "error-text" }, found.error), el("button", { type: "button", class: "plain", onclick: () => paint() }, "Try again"));
      return;
    }
    chosen.spec = found.address;
    const known = new Set(found.groups.flatMap((group) => group.controls.map((each) => each.name)));
    for (const name of [...chosen.controls.keys()]) if (!known.has(name)) chosen.controls.delete(name);
    const tables = found.groups.map(group);
    fill(choices, el("p", { class: "soft" }, lesson ? `What is fixed is set as the Train tab is now: ${found.says}. What the lesson itself opens there keeps its own values.` : `Set in the Train tab now: ${found.says}.`),
      lesson ? el("details", { class: "teacher-controls", open: chosen.controls.size > 0 }, el("summary", {}, "Fix or hide controls of the Train tab, to which this lesson leads"), tables) : tables);
    told();
  }

  function tick(words, key) {
    const box = el("input", { type: "checkbox", class: "toggle", checked: true, onchange: () => { chosen[key] = box.checked; told(); } });
    return el("label", { class: "tick" }, box, el("span", {}, words));
  }

  function group({ title, folded, controls }) {
    const table = el("div", { class: "teacher-scroll", tabindex: "0", role: "region", "aria-label": title }, el("table", { class: "teacher-table" }, folded ? null : el("caption", {}, title),
      el("thead", {}, el("tr", {}, ["control", "free", "fixed", "hidden"].map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, controls.map(line))));
    return folded ? el("details", { class: "teacher-group", open: controls.some((each) => chosen.controls.has(each.name)) }, el("summary", {}, title), table) : table;
  }

  function line({ name, label, only_hidden: only }) {
    const now = chosen.controls.get(name) || "free";
    const cell = (value, words) => el("td", {}, el("input", { type: "radio", name: `teacher-${name}`, value, checked: value === now, "aria-label": `${label}: ${words}`, onchange: () => choose(name, value) }));
    return el("tr", {}, el("th", { scope: "row" }, label), cell("free", "free"), only ? el("td", {}, "–") : cell("lock", "fixed"), cell("hide", "hidden"));
  }

  function choose(name, value) {
    if (value === "free") chosen.controls.delete(name);
    else chosen.controls.set(name, value);
    told();
  }

  function address() {
    const listed = (way) => [...chosen.controls].filter(([, value]) => value === way).map(([name]) => name).join(",");
    const [lock, hide] = [listed("lock"), listed("hide")];
    const place = what.value ? [`lesson=${what.value}`, "place=learn", chosen.predict ? "" : "predict=off", chosen.live ? "" : "runs=recorded", lock && `spec=${chosen.spec}`] : [`spec=${chosen.spec}`];
    return `${location.origin}${location.pathname}?${[...place, lock && `lock=${lock}`, hide && `hide=${hide}`].filter(Boolean).join("&")}`;
  }

  function told() {
    return say(link, address());
  }

  return { node };
}
