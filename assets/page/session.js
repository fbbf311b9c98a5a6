// What belongs to this browser: the key its runs are kept under, the address bar, and questions to the server that survive a lost network.

let owner = "";
const waiting = [];

// The key comes from the server once a page load; questions that need it wait for it.
export function known(value) {
  if (!value || !value.owner || owner) return;
  owner = value.owner;
  waiting.splice(0).forEach((go) => go(owner));
}

export function who() {
  return owner ? Promise.resolve(owner) : new Promise((resolve) => waiting.push(resolve));
}

const PATIENCE = 15000;

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
  const kept = [...new URLSearchParams(location.search)].filter(([name]) => name !== "run" && name !== "spec").map((pair) => pair.map(encodeURIComponent).join("="));
  const parts = [...kept, ...(run ? [`run=${encodeURIComponent(run)}`] : []), ...(spec ? [`spec=${spec}`] : [])];
  history.replaceState(history.state, "", location.pathname + (parts.length ? "?" + parts.join("&") : ""));
}

export function remember(key, value) {
  try { localStorage.setItem("peft-lab-" + key, JSON.stringify(value)); } catch { /* private windows may refuse: then nothing is remembered */ }
}

export function recall(key) {
  try { return JSON.parse(localStorage.getItem("peft-lab-" + key)); } catch { return null; }
}

export function goTo(place) {
  document.getElementById(`place-${place}-button`)?.click();
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
