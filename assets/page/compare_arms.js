// The arms as cards: what each is and trains, its form when it is changed, and the ways to add more.
import { createAdders } from "./compare_add.js";
import { capital, field, options } from "./compare_pieces.js";
import { el, fill } from "./dom.js";
import { KINDS } from "./form.js";

export function createArms({ draft, changed, ask }) {
  const state = { methods: [], open: -1, form: null, plan: null, cards: [], turn: 0 };
  const list = el("div", { class: "compare-arms" });
  const adders = createAdders({ draft, ask, add });
  const node = el("div", { class: "compare-arms-part" }, adders.empty, list, adders.node);

  function begin(menus) {
    state.methods = menus.catalogues.methods;
    adders.begin(state.methods);
  }

  function show(plan) {
    state.plan = plan;
    node.classList.remove("stale");
    adders.follow();
    list.hidden = !plan.arms.length;
    if (state.cards.length !== plan.arms.length) {
      state.cards = plan.arms.map(() => createCard());
      fill(list, state.cards.map((card) => card.node));
    }
    plan.arms.forEach((arm, place) => drawCard(state.cards[place], arm, place));
  }

  function createCard() {
    const head = el("h3", {}), body = el("div", { class: "body" }), editor = el("div", { class: "compare-editor", hidden: true }), foot = el("div", { class: "buttons" });
    return { node: el("article", {}, head, body, editor, foot), head, body, editor, foot, drawn: "" };
  }

  // Only what has changed is drawn again, so that a field keeps what is being typed.
  function drawCard(card, arm, place) {
    const changing = place === state.open, shown = JSON.stringify([arm, place, changing]);
    if (card.drawn === shown) return;
    card.drawn = shown;
    card.node.className = `compare-arm${arm.error ? " wrong" : ""}${changing ? " open" : ""}`;
    card.node.setAttribute("aria-label", arm.name);
    card.node.style.setProperty("--arm", arm.colour);
    const button = (words, act, label) => el("button", { type: "button", class: "small", "aria-label": `${label} ${arm.name}`, onclick: act }, words);
    fill(card.head, arm.name);
    fill(card.foot, changing ? button("Done", () => edit(-1), "done with") : button("Change", () => edit(place), "change"), button("Copy", () => copy(place), "copy"), button("Remove", () => remove(place), "remove"));
    fill(card.body, arm.error ? el("p", { class: "error-text" }, worded(arm)) : [
      el("p", { class: "soft" }, [arm.title !== arm.name ? arm.title : null, arm.settings].filter(Boolean).join(" · ")),
      el("p", { class: "numbers-line" }, el("b", {}, arm.trainable), ` trained (${arm.share}), about `, el("b", {}, arm.memory), " a step")],
      [...arm.notes, ...(arm.rates ? [arm.rates] : [])].map((text) => el("p", { class: "note" }, text)));
    card.editor.hidden = !changing;
    if (!changing) fill(card.editor);
  }

  // ── changing one ──

  function edit(place) {
    const before = state.open;
    state.open = place;
    show(state.plan);
    if (place >= 0) paint(place);
    else state.cards[before]?.foot.querySelector("button")?.focus();
  }

  async function paint(place) {
    const turn = ++state.turn;
    const arm = draft().arms[place], editor = state.cards[place].editor;
    if (!editor.childElementCount) fill(editor, el("p", { class: "soft" }, "asking for its knobs …"));
    const form = await ask("arm", { change: arm.change });
    if (turn !== state.turn || state.open !== place) return;
    if (form.error) { fill(editor, el("p", { class: "error-text" }, capital(form.error))); return; }
    state.form = form;
    const name = el("input", { type: "text", id: "compare-arm-name", maxlength: 60, value: arm.name, oninput: () => put(place, { ...draft().arms[place], name: name.value }) });
    const method = el("select", { id: "compare-arm-method", onchange: () => another(place, method.value) }, options(state.methods, draft().base.model));
    method.value = form.method;
    const rows = (controls) => controls.map((control) => row(control, place));
    const folded = form.folded.filter((control) => !control.fixed);
    fill(editor, el("div", { class: "compare-editor-head" }, field("compare-arm-name", "Name", name), field("compare-arm-method", "Method", method)),
      el("div", { class: "compare-knobs" }, rows(form.front)),
      el("details", { class: "compare-more", open: folded.some((control) => form.values[control.name] !== undefined) }, el("summary", {}, "More settings of this arm"), el("div", { class: "compare-knobs" }, rows(folded))));
    needless();
  }

  function controls() {
    return [...state.form.front, ...state.form.folded];
  }

  // A knob that counts only where another one has a certain value is not shown elsewhere.
  function needless() {
    for (const control of controls().filter((each) => each.only)) {
      const other = controls().find((each) => each.name === control.only[0]);
      const row = document.getElementById(`compare-knob-${control.name}`)?.closest(".compare-field");
      if (row && other) row.hidden = (state.form.values[other.name] ?? other.default) !== control.only[1];
    }
  }

  function row(control, place) {
    const id = `compare-knob-${control.name}`;
    const value = state.form.values[control.name] ?? control.default;
    const input = KINDS[control.kind]({ ...control, marks: [] }, value, (put) => turn(control, place, put), id);
    const single = !["targets", "choice", "parts"].includes(control.kind);
    if (control.fixed) input.querySelectorAll?.("input, select").forEach((each) => { each.disabled = true; });
    return el("div", { class: `compare-field ${control.kind}` }, el(single ? "label" : "span", single ? { for: id } : { id: `${id}-label`, class: "compare-label" }, control.label), input, el("p", { class: "help", id: `${id}-help` }, control.help));
  }

  // What an arm has as the base has it is not said again.
  function turn(control, place, value) {
    const arm = draft().arms[place], values = { ...state.form.values };
    if (JSON.stringify(value) === JSON.stringify(control.default)) delete values[control.name];
    else values[control.name] = value;
    state.form.values = values;
    needless();
    const of = (part) => controls().filter((each) => each.part === part && values[each.name] !== undefined).map((each) => [each.name, values[each.name]]);
    const change = { ...unsaid(arm.change), method: { name: state.form.method, ...Object.fromEntries(of("method")) }, ...Object.fromEntries(of("run")) };
    put(place, { ...arm, change });
  }

  // What no control of the form says stays as it is.
  function unsaid(change) {
    const own = new Set(controls().map((each) => each.part === "run" && each.name));
    return Object.fromEntries(Object.entries(change).filter(([name]) => name !== "method" && !own.has(name)));
  }

  // What is not of a method.
  function kept({ model, task }) {
    return { ...(model ? { model } : {}), ...(task ? { task } : {}) };
  }

  // Another method brings none of the knobs; a name that only told the old one follows.
  function another(place, key) {
    const arm = draft().arms[place], before = state.form.title;
    const title = state.methods.find((each) => each.key === key).title;
    const taken = draft().arms.some((each, other) => other !== place && each.name === title);
    put(place, { name: arm.name === before && !taken ? title : arm.name, change: { ...kept(arm.change), method: key } });
    paint(place);
  }

  function put(place, arm) {
    changed({ ...draft(), arms: draft().arms.map((each, other) => (other === place ? arm : each)) });
  }

  // ── adding and removing ──

  // The first arms decide what the base is: two of them then differ in what was meant, and not in their methods as well.
  function add(fresh) {
    const first = draft().arms.length === 0;
    const method = first ? fresh[0].change.method : null;
    const key = typeof method === "string" ? method : method?.name;
    const base = key ? { ...draft().base, method: key } : draft().base;
    state.open = -1;
    changed({ ...draft(), base, arms: [...draft().arms, ...fresh] }, 0);
  }

  async function copy(place) {
    const answer = await ask("add", { how: "copy", place });
    if (answer.error) adders.fail(answer.error);
    else add(answer.arms);
  }

  function remove(place) {
    Object.assign(state, { open: -1, cards: [] });
    changed({ ...draft(), arms: draft().arms.filter((_, other) => other !== place) }, 0);
  }

  function worded(arm) {
    const control = [...(state.form?.front || []), ...(state.form?.folded || [])].find((each) => each.name === arm.field);
    return capital(control && arm.error.startsWith(`${arm.field} is `) ? `${control.label}${arm.error.slice(arm.field.length)}` : arm.error);
  }

  return { node, begin, show, worded, stale: () => node.classList.add("stale"), close: () => { state.open = -1; } };
}
