// What belongs to this browser: the key its runs are kept under, the address bar, and questions to the server that survive a lost network.
import { copyLink } from "./dom.js";

let owner = "";
const waiting = [];

// The key comes from the server once a page load; questions that need it wait for it.
export function known(value) {
  if (!value || !value.owner || owner) return;
  owner = recall("owner") || value.owner; // of a name that was taken up again on this device
  waiting.splice(0).forEach((go) => go(owner));
}

export function who() {
  return owner ? Promise.resolve(owner) : new Promise((resolve) => waiting.push(resolve));
}

const PATIENCE = 15000;
export const STATES = { queued: "waiting", cancelled: "stopped" }; // as they are called where a person reads them

// A link to a run goes to the clipboard; a run of one's own is shared by that. Resolves to what went wrong, "" where nothing did, null where it is shown to be copied by hand.
export async function copyRunLink(server, button, { run, mine, place = "" }) {
  const shared = mine ? await question(server, "share", { run, owner: await who() }).catch(() => ({ error: "lost" })) : {};
  if (shared.error) return "The link could not be made: the lab did not answer. Try again in a moment.";
  return (await copyLink(button, `${location.origin}${location.pathname}?run=${run}${place ? `&place=${place}` : ""}`)) ? "" : null;
}

// Ask the server; rejects when it cannot be reached or takes too long.
export function question(server, name, value) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error("no answer")), PATIENCE));
  return Promise.race([server[name](value), late]).then((answer) => {
    if (answer === null || typeof answer !== "object") throw new Error("no answer");
    return answer;
  });
}

export function address() {
  const query = new URLSearchParams(location.search);
  return { run: query.get("run"), spec: query.get("spec") };
}

// `spec` comes escaped from the server. Other parts of the query, a theme for instance, stay as they are.
export function setAddress({ run, spec }) {
  replaceQuery(["run", "spec"], [...(run ? [`run=${encodeURIComponent(run)}`] : []), ...(spec ? [`spec=${spec}`] : [])]);
}

const COMPARING = ["compare", "looked"];
const opened = new URLSearchParams(location.search);

// What the page was opened with: other tabs write to the address before this one is built.
export function comparisonOpened() {
  const found = opened.get("compare") ? { compare: opened.get("compare"), looked: opened.get("looked") } : null;
  opened.delete("compare");
  return found;
}

// `compare` comes escaped from the server; null where its tab is left, so that a reload opens what is looked at.
export function setComparison(compare, looked = []) {
  replaceQuery(COMPARING, compare ? comparisonQuery(compare, looked) : [], "compare");
}

export function comparisonQuery(compare, looked) {
  return [`compare=${compare}`, ...(looked.length ? [`looked=${looked.join(".")}`] : []), "place=compare"];
}

// What a teacher's link sets: controls that cannot be changed, controls that are not shown, lessons without predictions or without live runs.
const listed = (name) => new Set((opened.get(name) || "").split(",").filter((each) => /^[a-z_]{1,30}$/.test(each)));
export const teacher = { lock: listed("lock"), hide: listed("hide"), predicts: opened.get("predict") !== "off", recorded: opened.get("runs") === "recorded" };

// Of the lesson that is open; `learn` may be asked for before its tab is built.
const LEARNING = ["lesson"];

export function lessonOpened() {
  const found = opened.get("lesson");
  opened.delete("lesson");
  return found;
}

export function setLesson(key) {
  replaceQuery(LEARNING, key ? [`lesson=${encodeURIComponent(key)}`, "place=learn"] : [], "learn");
}

// `place` is the tab that these parts belong to: with none of them the address no longer names it, and leaves another tab's name alone.
function replaceQuery(names, parts, place) {
  const old = (name, value) => names.includes(name) || (name === "place" && place && (parts.length || value === place));
  const kept = [...new URLSearchParams(location.search)].filter((pair) => !old(...pair)).map((pair) => pair.map(encodeURIComponent).join("="));
  const query = [...kept, ...parts].join("&");
  history.replaceState(history.state, "", location.pathname + (query ? `?${query}` : ""));
}

export function remember(key, value) {
  try { localStorage.setItem("peft-lab-" + key, JSON.stringify(value)); } catch { /* private windows may refuse: then nothing is remembered */ }
}

export function recall(key) {
  try { return JSON.parse(localStorage.getItem("peft-lab-" + key)); } catch { return null; }
}

// Whether the tab is there: whoever hosts the lab may leave some out.
export function offers(place) {
  return Boolean(document.getElementById(`place-${place}-button`));
}

export function goTo(place) {
  document.getElementById(`place-${place}-button`)?.click();
}

// A run of one's own with these settings, escaped: the Train tab reads the address as it does when a link is opened.
export function trainWith(spec) {
  setAddress({ run: null, spec });
  goTo("train");
  window.dispatchEvent(new PopStateEvent("popstate"));
}

export function trainDraft(draft) {
  trainWith(encodeURIComponent(JSON.stringify(draft)));
}

const handed = new Map();

// Open a tab with settings for it. A tab that was never open is only now built, so it asks for what lies here.
export function handOver(place, value) {
  handed.set(place, value);
  window.dispatchEvent(new CustomEvent("lab-handed"));
  goTo(place);
}

export function taken(place) {
  const value = handed.get(place) || null;
  handed.delete(place);
  return value;
}
