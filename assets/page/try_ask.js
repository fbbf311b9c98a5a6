// The left side of the Try tab: the text, an example to take, how the trained part is put in, a prompt for the base, and the button.
import { el, fill, say } from "./dom.js";

export function createAsk({ ask, stop, example, begun }) {
  const state = { view: null, taken: null, warmed: "" };
  const text = el("textarea", { id: "try-text", rows: 5, spellcheck: "false", "aria-describedby": "try-trouble try-truth", oninput: () => edited(),
    onkeydown: (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); ask(false); } } });
  const truth = el("p", { class: "soft try-truth", id: "try-truth" });
  const takeOne = el("button", { type: "button", class: "plain", onclick: () => take() }, "Take a test example");
  const forms = el("fieldset", { class: "try-forms" });
  const shots = el("input", { type: "number", id: "try-shots", min: 0, max: 16, step: 1, value: "4", inputmode: "numeric" });
  const wording = el("textarea", { id: "try-wording", rows: 3, spellcheck: "false" });
  const others = el("div", { class: "try-wordings" });
  const prompt = el("details", { class: "try-prompt" });
  const button = el("button", { type: "submit", class: "main" }, "Ask");
  const stopping = el("button", { type: "button", class: "plain", hidden: true, onclick: () => stop() }, "Stop");
  const status = el("p", { class: "status try-status" });
  const trouble = el("p", { class: "error-text", id: "try-trouble", role: "alert", hidden: true });
  const here = el("p", { class: "notice try-here", hidden: true });
  const node = el("form", { class: "try-ask", "aria-label": "Your question", novalidate: true, onsubmit: (event) => { event.preventDefault(); ask(false); } },
    el("label", { for: "try-text" }, "Text"), text, el("div", { class: "try-take" }, takeOne, truth), forms, prompt, here,
    el("div", { class: "try-go" }, button, stopping, el("small", {}, "or Ctrl + Enter")), trouble, status);

  // The first touch of this form since the run was chosen.
  node.addEventListener("focusin", () => {
    if (!state.view || state.warmed === state.view.run) return;
    state.warmed = state.view.run;
    begun();
  });

  function show(view) {
    const other = !state.view || state.view.task !== view.task;
    state.view = view;
    text.maxLength = view.longest;
    wording.maxLength = view.longest_wording;
    if (other) { state.taken = null; wording.value = ""; fail(null); }
    truthful();
    here.hidden = !view.here;
    say(here, view.here);
    drawForms(view);
    drawPrompt(view);
    status.textContent = "";
  }

  function drawForms(view) {
    const before = forms.querySelector("input:checked")?.value;
    const now = view.forms.some((each) => each.ok && each.key === before) ? before : "adapter";
    const missing = view.forms.filter((each) => !each.ok);
    fill(forms, el("legend", {}, "The trained part"), el("div", { class: "segments", role: "radiogroup", "aria-label": "The trained part" }, view.forms.map((each) =>
      el("label", {}, el("input", { type: "radio", name: "try-form", value: each.key, checked: each.key === now, disabled: !each.ok }), el("span", {}, each.title)))),
      missing.map((each) => el("p", { class: "soft" }, el("b", {}, each.title), `: ${each.reason}.`)));
  }

  function drawPrompt(view) {
    prompt.hidden = !view.prompt.ok;
    if (!view.prompt.ok) return;
    const open = prompt.open;
    wording.placeholder = view.prompt.own;
    fill(others, view.prompt.others.map((each) => el("button", { type: "button", class: "small", onclick: () => { wording.value = each; } }, each.length > 44 ? `${each.slice(0, 44)}…` : each)));
    fill(prompt, el("summary", {}, "A prompt for the untouched base"),
      el("p", { class: "soft" }, "What a good prompt gets out of the base without any training. The tuned model is always asked as it was trained."),
      view.prompt.examples ? el("div", { class: "try-shots" }, el("label", { for: "try-shots" }, "Solved examples in front"), shots) : null,
      el("label", { for: "try-wording" }, "Wording"), el("p", { class: "soft", id: "try-wording-help" }, "Write {text} where the text goes; the answer follows the end. Empty is the task's own."),
      wording, others);
    wording.setAttribute("aria-describedby", "try-wording-help");
    prompt.open = open;
  }

  async function take() {
    takeOne.disabled = true;
    const found = await example(null);
    takeOne.disabled = false;
    if (found.error) { fail(found); return; }
    state.taken = found;
    text.value = found.text;
    fail(null);
    truthful();
  }

  function edited() {
    if (state.taken && text.value !== state.taken.text) { state.taken = null; truthful(); }
    if (!trouble.hidden) fail(null);
  }

  function truthful() {
    const { view, taken } = state;
    if (!taken) { fill(truth, view?.writes ? "or type your own" : `or type your own; the labels are ${list(view?.labels || [])}`); return; }
    fill(truth, `Test item ${(taken.number + 1).toLocaleString("en")} of ${taken.of.toLocaleString("en")}, never trained on. ${view.writes ? "A right answer" : "Its label"}: `, el("b", {}, taken.answer));
  }

  function fail(answer) {
    trouble.hidden = !answer;
    say(trouble, answer ? answer.error.charAt(0).toUpperCase() + answer.error.slice(1) : "");
    const field = { text: text, shots, wording }[answer?.field];
    for (const each of [text, shots, wording]) each.toggleAttribute("aria-invalid", false);
    if (!field) return;
    field.setAttribute("aria-invalid", "true");
    if (field !== text) prompt.open = true;
    field.focus();
  }

  function busy(now) {
    button.disabled = now;
    stopping.hidden = !now;
    if (!now) status.textContent = "";
  }

  function values() {
    const given = state.view.prompt.ok;
    return { text: text.value, form: forms.querySelector("input:checked")?.value || "adapter",
      shots: given && state.view.prompt.examples ? (shots.value.trim() === "" ? 0 : Number(shots.value)) : 0, wording: given ? wording.value.trim() : "" };
  }

  return { node, show, busy, fail, values, status: (words) => say(status, words || ""), truth: () => state.taken };
}

function list(words) {
  return words.length > 1 ? `${words.slice(0, -1).join(", ")} and ${words.at(-1)}` : words.join("");
}
