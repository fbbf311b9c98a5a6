// A form that makes a link for a class: a lesson, or the Train tab with the settings as they are and some of them fixed or hidden.
import { copyLink, el, fill, say } from "./dom.js";
import { question, recall } from "./session.js";

export function createTeacher(server, lessons) {
  const what = el("select", { id: "teacher-what", onchange: () => paint() }, lessons.map((each) => el("option", { value: each.key }, `${each.number} ${each.title}`)), el("option", { value: "" }, "The Train tab, set as it is now"));
  const choices = el("div", { class: "teacher-choices" });
  const link = el("output", { class: "teacher-link" });
  const copy = el("button", { type: "button", class: "plain", onclick: () => copyLink(copy, address()) }, "Copy link");
  const node = el("details", { class: "learn-teacher" }, el("summary", {}, "For teachers: make a link for a class"),
    el("div", {}, el("p", { class: "soft" }, "Who opens the link starts at that place. A link is a convenience, not a lock: a student who edits the address can change what it sets."),
      el("label", { for: "teacher-what" }, "What it opens"), what, choices, el("div", { class: "teacher-made" }, link, copy)));
  node.addEventListener("toggle", () => { if (node.open && !choices.childElementCount) paint(); });
  const chosen = { predict: true, live: true, spec: "", controls: new Map() };

  async function paint() {
    if (what.value) {
      fill(choices, tick("Ask for predictions before results", "predict"), tick("Let students run things themselves", "live"));
      return told();
    }
    fill(choices, el("p", { class: "soft" }, "reading the form …"));
    const found = await question(server, "controls", { draft: recall("draft") }).catch(() => ({ error: "The lab cannot be reached; try again in a moment." }));
    if (found.error) { fill(choices, el("p", { class: "error-text" }, found.error)); return null; }
    chosen.spec = found.address;
    chosen.controls = new Map();
    fill(choices, el("p", { class: "soft" }, `Set in the Train tab now: ${found.says}.`), el("table", { class: "teacher-table" }, el("thead", {}, el("tr", {}, ["control", "free", "fixed", "hidden"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, found.controls.map(line))));
    return told();
  }

  function tick(words, key) {
    const box = el("input", { type: "checkbox", class: "toggle", checked: chosen[key], onchange: () => { chosen[key] = box.checked; told(); } });
    return el("label", { class: "tick" }, box, el("span", {}, words));
  }

  function line({ name, label }) {
    const cell = (value, words) => el("td", {}, el("input", { type: "radio", name: `teacher-${name}`, value, checked: value === "free", "aria-label": `${label}: ${words}`, onchange: () => { chosen.controls.set(name, value); told(); } }));
    return el("tr", {}, el("th", { scope: "row" }, label), cell("free", "free"), name === "advanced" ? el("td", {}, "–") : cell("lock", "fixed"), cell("hide", "hidden"));
  }

  function address() {
    const start = `${location.origin}${location.pathname}`;
    const listed = (way) => [...chosen.controls].filter(([, value]) => value === way).map(([name]) => name).join(",");
    const parts = what.value ? [`lesson=${what.value}`, "place=learn", chosen.predict ? "" : "predict=off", chosen.live ? "" : "runs=recorded"]
      : [`spec=${chosen.spec}`, listed("lock") && `lock=${listed("lock")}`, listed("hide") && `hide=${listed("hide")}`];
    return `${start}?${parts.filter(Boolean).join("&")}`;
  }

  function told() {
    return say(link, address());
  }

  return { node };
}
