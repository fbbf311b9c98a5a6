// What all arms share: model, task, steps, batch and the number of seeds in front, everything else folded.
import { capital, field } from "./compare_pieces.js";
import { el, fill } from "./dom.js";
import { KINDS } from "./form.js";
import { ADD, openOwn, refreshOwn, taskOptions } from "./own.js";

const MOST_SEEDS = 200;

// `draft` gives the comparison as it is now.
export function createBase({ draft, changed, ask }) {
  const state = { menus: null, form: null, turn: 0, seeds: "" };
  const model = el("select", { id: "compare-model", onchange: () => choose({ model: model.value, task: undefined }) });
  const task = el("select", { id: "compare-task", onchange: () => (task.value === ADD ? addOwn() : choose({ task: task.value })) });
  const seeds = el("input", { type: "text", inputmode: "numeric", id: "compare-seeds", autocomplete: "off", "aria-describedby": "compare-seeds-help", oninput: () => setSeeds() });
  const looks = el("input", { type: "text", inputmode: "numeric", id: "compare-looks", autocomplete: "off", "aria-describedby": "compare-looks-help", oninput: () => setLooks() });
  const front = el("div", { class: "compare-front" });
  const folded = el("div", {});
  const count = el("span", { class: "soft" });
  const tests = el("div", { class: "compare-field", hidden: true });
  const more = el("details", { class: "compare-more" }, el("summary", {}, "More settings ", count), el("div", {}, folded, tests,
    field("compare-looks", "Looks planned", looks, "How often the verdicts may be read with seeds added in between. Each look is judged more strictly, so that all together stay below 5 %.")));
  const wide = matchMedia("(min-width: 901px)");
  const fold = el("details", { class: "compare-fold", open: wide.matches }, el("summary", {}, "What all arms share"),
    el("div", {}, field("compare-model", "Model", model), field("compare-task", "Task", task), front,
      field("compare-seeds", "Seeds", seeds, "Each arm is run once with each. A difference is told from 3 on; more find smaller ones."), more));
  wide.addEventListener("change", () => { fold.open = wide.matches; });
  window.addEventListener("lab-own", () => { if (state.form) offer(); });
  refreshOwn();
  const node = el("aside", { class: "compare-base", "aria-label": "What all arms share" }, fold);

  function begin(menus) {
    state.menus = menus;
    fill(model, menus.catalogues.models.map((each) => el("option", { value: each.key }, each.title)));
  }

  function show() {
    state.seeds = "";
    model.value = draft().base.model;
    seeds.value = String(draft().seeds.length);
    seeds.removeAttribute("aria-invalid");
    looks.value = String(draft().looks || 1);
    return load();
  }

  async function load() {
    const turn = ++state.turn;
    const form = await ask("base", { draft: { ...draft(), arms: [] } });
    if (turn !== state.turn || form.error) return;
    state.form = form;
    offer();
    fill(front, form.front.map(row));
    fill(folded, form.folded.map(row));
    tests.hidden = !form.tests.length;
    fill(tests, el("span", { class: "compare-label", id: "compare-tests-label" }, "Test on other tasks as well"),
      el("div", { class: "chips", role: "group", "aria-labelledby": "compare-tests-label" }, form.tests.map((each) => el("label", {}, el("input", { type: "checkbox", value: each.key, checked: each.on, onchange: () => setTests() }), el("span", {}, each.title)))),
      el("p", { class: "help" }, "After its own test each run answers theirs too, which takes about as long again for each: what carries over?"));
    tally();
  }

  function setTests() {
    const chosen = [...tests.querySelectorAll("input:checked")].map((each) => each.value);
    const { tested_on: _, ...base } = draft().base;
    changed({ ...draft(), base: chosen.length ? { ...base, tested_on: [state.form.task, ...chosen] } : base });
    tally();
  }

  function offer() {
    fill(task, taskOptions(state.menus.catalogues.tasks, state.form.model, state.form.task));
    task.value = state.form.task;
  }

  async function addOwn() {
    offer();
    const key = await openOwn();
    if (key) choose({ task: key });
    task.focus({ preventScroll: true });
  }

  function row(control) {
    const id = `compare-base-${control.name}`;
    const value = draft().base[control.name] ?? control.default;
    const slim = { ...control, marks: [] };
    const input = KINDS[control.kind](slim, value, (put) => set(control, put), id);
    if (control.name === "lr") input.querySelector("input").placeholder = "each its own";
    const single = control.kind !== "choice";
    return el("div", { class: `compare-field ${control.kind}`, "data-field": control.name }, el(single ? "label" : "span", single ? { for: id } : { id: `${id}-label`, class: "compare-label" }, control.label), input, el("p", { class: "help", id: `${id}-help` }, control.help));
  }

  function set(control, value) {
    const base = { ...draft().base };
    if (value === null || JSON.stringify(value) === JSON.stringify(control.default)) delete base[control.name];
    else base[control.name] = value;
    changed({ ...draft(), base });
    tally();
  }

  // Settings that suit another model or task take the place of those that nobody chose.
  function choose(part) {
    const base = { ...draft().base, ...part };
    if (base.task === undefined) delete base.task;
    if (!base.tested_on?.includes(base.task)) delete base.tested_on; // the other tests belong to the old task
    changed({ ...draft(), base });
    load();
  }

  function tally() {
    const differ = state.form.folded.filter((each) => draft().base[each.name] !== undefined).length + (draft().base.tested_on ? 1 : 0);
    count.textContent = differ ? `${differ} ${differ === 1 ? "differs" : "differ"} from the defaults` : "all at their defaults";
  }

  function setSeeds() {
    const wanted = seeds.value.trim();
    state.seeds = /^\d+$/.test(wanted) && Number(wanted) >= 1 && Number(wanted) <= MOST_SEEDS ? "" : `The number of seeds must be 1 to ${MOST_SEEDS}, not ${wanted ? `“${wanted}”` : "empty"}: each arm is run once with each.`;
    if (state.seeds) seeds.setAttribute("aria-invalid", "true");
    else seeds.removeAttribute("aria-invalid");
    const kept = draft().seeds.slice(0, state.seeds ? undefined : Number(wanted));
    while (!state.seeds && kept.length < Number(wanted)) kept.push(Math.max(-1, ...kept) + 1);
    changed({ ...draft(), seeds: kept });
  }

  function setLooks() {
    const wanted = looks.value.trim();
    const { looks: _, ...rest } = draft();
    changed(wanted === "" || wanted === "1" ? rest : { ...rest, looks: /^\d+$/.test(wanted) ? Number(wanted) : wanted });
  }

  // An error about a setting is shown beside it as well.
  function mark(answer) {
    node.querySelectorAll("[data-field] [aria-invalid]").forEach((each) => each.removeAttribute("aria-invalid"));
    if (!answer) return;
    const input = document.getElementById(`compare-base-${answer.field}`);
    input?.setAttribute("aria-invalid", "true");
    if (input?.closest(".compare-more")) more.open = true;
  }

  function worded({ error, field: name }) {
    const control = [...(state.form?.front || []), ...(state.form?.folded || [])].find((each) => each.name === name);
    const text = control && error.startsWith(`${name} is `) ? `${control.label}${error.slice(name.length)}` : error;
    return capital(text);
  }

  return { node, begin, show, mark, worded, seedTrouble: () => state.seeds };
}
