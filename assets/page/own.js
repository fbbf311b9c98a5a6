// Own data: which sets this browser keeps, as tasks for the menus of all tabs. The panel that adds and removes them is only loaded when it is opened.
import { el } from "./dom.js";
import { who } from "./session.js";

export const ADD = "own-data…"; // a choice in the menu of tasks that is no task
const state = { sets: [], limits: null };
const PATIENCE = 60000; // a slow line sends five megabytes in that time

export function ownTasks() {
  return state.sets;
}

export function ownLimits() {
  return state.limits;
}

// Ask with what is said and, where one was chosen, the file. Comes back with {"error"} in words, also where the lab cannot be reached.
export async function tell(question, said, file = null) {
  try {
    const body = new Blob([JSON.stringify({ ...said, owner: await who() }), "\n", ...(file ? [file] : [])]);
    const answer = await fetch(new URL(`own-data/${question}`, document.baseURI), { method: "POST", body, signal: AbortSignal.timeout(PATIENCE) });
    if (answer.status === 413) return { error: "The file is larger than this lab takes." };
    return await answer.json();
  } catch {
    return { error: "The lab cannot be reached, or the file has been changed or removed since it was chosen. Try again." };
  }
}

// Other tabs draw their menus again.
export async function refreshOwn() {
  const answer = await tell("list", {});
  if (answer.error) return answer;
  state.sets = answer.sets;
  state.limits = answer.limits;
  window.dispatchEvent(new CustomEvent("lab-own"));
  return answer;
}

// The options of a menu of tasks: the lab's own, this browser's, and the way to add some. A task that is neither has been removed, or is somebody else's.
export function taskOptions(tasks, model, chosen) {
  const option = (each) => el("option", { value: each.key, disabled: Boolean(each.unfit[model]), title: each.unfit[model] || "" }, each.title);
  const here = [...tasks, ...state.sets].some((each) => each.key === chosen);
  return [el("optgroup", { label: "Tasks of the lab" }, tasks.map(option)),
    el("optgroup", { label: "Your own data" }, state.sets.map(option), here || !chosen ? null : el("option", { value: chosen, disabled: true }, "A set that is not here"),
      el("option", { value: ADD }, state.sets.length ? "Add or remove your own data …" : "Add your own data …"))];
}

// Resolves to the key of a set to use, or to null.
export async function openOwn() {
  const panel = await import("./own_panel.js");
  return panel.open();
}
