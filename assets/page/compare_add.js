// Ways to add arms: the usual suspects, one method, or one knob over several values. The first stands alone while there is nothing yet.
import { capital, field, options } from "./compare_pieces.js";
import { el, fill, say } from "./dom.js";

export function createAdders({ draft, ask, add }) {
  const state = { methods: [], knobs: [], model: "", turn: 0 };
  const trouble = el("p", { class: "error-text", role: "alert", hidden: true });
  const one = el("select", { id: "compare-add", onchange: () => { if (one.value) bring({ how: "method", method: one.value }); one.value = ""; } });
  const usual = el("button", { type: "button", class: "plain", hidden: true, onclick: () => bring({ how: "suspects" }) }, "Add the usual suspects");
  const method = el("select", { id: "compare-sweep-method", onchange: () => load() });
  const knob = el("select", { id: "compare-sweep-knob", onchange: () => suggest() });
  const help = el("p", { class: "help", id: "compare-sweep-knob-help" });
  const values = el("input", { type: "text", id: "compare-sweep-values", autocomplete: "off", "aria-describedby": "compare-sweep-values-help" });
  const sweep = el("form", { class: "compare-sweep", novalidate: true, onsubmit: (event) => { event.preventDefault(); bring({ how: "sweep", method: method.value, knob: knob.value, values: read() }); } },
    field("compare-sweep-method", "Method", method), el("div", { class: "compare-field" }, el("label", { for: "compare-sweep-knob" }, "Knob"), knob, help),
    field("compare-sweep-values", "Values", values, "One arm for each, commas between."), el("button", { type: "submit", class: "plain" }, "Add these arms"));
  const fold = el("details", { class: "compare-more", ontoggle: () => { if (fold.open) load(); } }, el("summary", {}, "Sweep one knob over several values"), sweep);
  const node = el("div", { class: "compare-adders" }, el("div", { class: "compare-adders-row" }, field("compare-add", "Add a method", one), usual), fold, trouble);
  const empty = el("div", { class: "compare-empty" }, el("h3", {}, "Or ask your own"),
    el("p", { class: "soft" }, "Put two or more arms side by side. The usual suspects are one method of each sort that fits the model: LoRA, prompt tuning, adapters, biases, the head alone and full fine-tuning."),
    el("button", { type: "button", class: "main", id: "compare-usual", onclick: () => bring({ how: "suspects" }) }, "Add the usual suspects"));

  function begin(methods) {
    state.methods = methods;
  }

  // Which methods fit hangs on the model.
  function follow() {
    empty.hidden = draft().arms.length > 0;
    usual.hidden = !empty.hidden;
    fail("");
    if (draft().base.model === state.model) return;
    state.model = draft().base.model;
    fill(one, el("option", { value: "" }, "choose one …"), options(state.methods, state.model));
    const kept = method.value || "lora";
    fill(method, options(state.methods, state.model));
    method.value = kept;
    if (fold.open) load();
  }

  async function load() {
    const turn = ++state.turn, wanted = knob.value;
    const answer = await ask("knobs", { method: method.value });
    if (turn !== state.turn) return;
    if (answer.error) { fail(answer.error); return; }
    state.knobs = answer.knobs;
    fill(knob, answer.knobs.map((each) => el("option", { value: each.name }, each.label)));
    if (answer.knobs.some((each) => each.name === wanted)) knob.value = wanted;
    suggest();
  }

  function suggest() {
    const chosen = state.knobs.find((each) => each.name === knob.value);
    values.value = chosen?.some || "";
    say(help, chosen?.help || "");
  }

  // Numbers as numbers; what is none goes as it is, and comes back with a reason.
  function read() {
    const texts = values.value.split(/[,;]\s*|\s+/).filter(Boolean);
    return texts.map((text) => (Number.isNaN(Number(text)) ? text : Number(text)));
  }

  async function bring(how) {
    fail("");
    const answer = await ask("add", how);
    if (answer.error) return fail(answer.error);
    if (!answer.arms.length) return fail("all of the usual suspects are there already");
    if (how.how === "sweep") fold.open = false;
    return add(answer.arms);
  }

  function fail(words) {
    trouble.hidden = !words;
    say(trouble, words ? capital(words) : "");
    return null;
  }

  return { node, empty, begin, follow, fail };
}
