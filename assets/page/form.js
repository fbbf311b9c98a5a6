// The form: three choices, the method's knobs, the run's settings, and a fold for the rest. Python says what to draw; a draft holds only what was changed.
import { spelled } from "./anatomy.js";
import { el, fill } from "./dom.js";
import { explain } from "./glossary.js";
import { ADD, openOwn, ownTasks, taskOptions } from "./own.js";
import { teacher } from "./session.js";

const key = (control) => (control.part === "method" ? "method." : "") + control.name;

export function createForm({ catalogues, ask, touched, changed, train }) {
  const state = { form: null, draft: null, rows: new Map(), turn: 0, coming: null, wrong: null };
  const menus = el("div", { class: "menus" });
  const about = el("div", { class: "about" });
  const knobs = el("fieldset", { class: "group" });
  const settings = el("fieldset", { class: "group" });
  const count = el("span", { class: "soft" });
  const folded = el("div", {});
  const advanced = el("details", { class: "group" }, el("summary", {}, "Advanced settings ", count), folded);
  const error = el("p", { class: "error-text", role: "alert", hidden: true });
  const button = el("button", { type: "submit", class: "main", id: "train-button", disabled: true }, "Train"); // until there is something to train
  const time = el("span", { class: "time" });
  const node = el("form", { class: "choose", novalidate: true, "aria-label": "Choose what to train", onsubmit: (event) => { event.preventDefault(); train(); } },
    el("h2", {}, "Choose"), menus, about, knobs, settings, advanced, el("div", { class: "go" }, error, el("div", { class: "go-row" }, button, time)));

  function values() {
    const draft = state.coming || state.draft;
    return { ...draft, method: { ...draft.method } };
  }

  function current(control) {
    const held = control.part === "method" ? state.draft.method : state.draft;
    return held[control.name] ?? control.default;
  }

  function put(control, value) {
    const held = control.part === "method" ? state.draft.method : state.draft;
    if (same(value, control.default)) delete held[control.name];
    else held[control.name] = value;
    mark(control);
    changed(values());
  }

  function mark(control) {
    const row = state.rows.get(key(control));
    const other = !same(current(control), control.default);
    row.node.classList.toggle("changed", other);
    row.reset.hidden = !other;
    for (const each of [...state.form.knobs, ...state.form.advanced]) if (each.only) state.rows.get(key(each)).node.hidden = needless(each);
    const differ = state.form.advanced.filter((each) => !same(current(each), each.default)).length;
    count.textContent = differ === 0 ? "all at their defaults" : `${differ} ${differ === 1 ? "differs" : "differ"} from the defaults`;
  }

  // A knob that counts only where another one has a certain value, which it has not now.
  function needless({ only: [name, value] }) {
    const other = [...state.form.knobs, ...state.form.advanced].find((each) => each.name === name && each.part === "method");
    return Boolean(other) && current(other) !== value;
  }

  function untouched(name) {
    const control = [...state.form.settings, ...state.form.advanced].find((each) => each.name === name && each.part === "run");
    return !control || same(current(control), control.default);
  }

  // Another model or method: settings of the run that were changed stay; the knobs and, with another method, the learning rate belong to the method.
  async function choose(part, value) {
    touched(); // before the answer comes: whatever else would fill the form leaves it alone from now on
    if (value === ADD) return addOwn();
    const draft = values();
    if (part === "model") {
      draft.model = value;
      if (reason(draft.method.name, value)) draft.method = { name: fitting(value) };
      const usual = catalogues.models.find((each) => each.key === value).task;
      draft.task = usual;
      for (const name of ["steps", "batch", "tokens", "eval_items", "eval_every", "lr"]) if (untouched(name)) delete draft[name];
      if (Array.isArray(draft.method.targets)) delete draft.method.targets;
    } else if (part === "method") {
      draft.method = { name: value };
      delete draft.lr;
      if (untouched("steps")) delete draft.steps;
    } else {
      draft.task = value;
      for (const name of ["steps", "tokens", "eval_items", "eval_every", "train_items"]) if (untouched(name)) delete draft[name];
    }
    state.coming = draft; // a second choice builds on the first, even while that one's form is on its way
    if (await set(draft)) return null;
    changed(values());
    return null;
  }

  // The menu shows what was chosen before, until there is something new to choose.
  async function addOwn() {
    paint();
    const key = await openOwn();
    if (key) await choose("task", key);
    else paint();
    document.getElementById("choose-task")?.focus({ preventScroll: true });
  }

  async function set(draft, form = null) {
    const name = typeof draft.method === "string" ? draft.method : draft.method.name;
    const turn = ++state.turn;
    const wanted = form || (await ask("form", { model: draft.model, method: name, task: draft.task || null }).catch(() => ({ error: "The lab cannot be reached; choose again in a moment." })));
    if (turn !== state.turn) return null; // something else has been chosen since
    state.coming = null;
    if (wanted.error) {
      if (state.form) paint(); // the menus say again what the form is of
      fail(wanted);
      button.disabled = !state.form;
      return wanted;
    }
    state.form = wanted;
    state.draft = { ...draft, method: typeof draft.method === "string" ? { name } : { ...draft.method } };
    if (!state.draft.task) state.draft.task = wanted.task;
    for (const each of [...wanted.settings, ...wanted.advanced]) if (each.part === "run" && !allowed(each, state.draft[each.name])) delete state.draft[each.name];
    fail(null);
    paint();
    return null;
  }

  // LoRA where it is offered and fits, else the first method that does.
  function fitting(model) {
    const fine = catalogues.methods.filter((each) => !each.supports[model]).map((each) => each.key);
    return fine.includes("lora") || !fine.length ? "lora" : fine[0];
  }

  function reason(method, model) {
    return catalogues.methods.find((each) => each.key === method)?.supports[model];
  }

  function menu(part, label, options, value, help) {
    const select = el("select", { id: `choose-${part}`, onchange: () => choose(part, select.value) }, options);
    select.value = value;
    select.disabled = teacher.lock.has(part);
    return el("div", { class: "menu", hidden: teacher.hide.has(part) }, el("label", { for: `choose-${part}` }, label), select, el("p", { class: "help" }, help), set_by(part));
  }

  function paint() {
    const { form, draft } = state;
    const focused = document.activeElement?.id;
    const model = catalogues.models.find((each) => each.key === draft.model);
    const task = [...catalogues.tasks, ...ownTasks()].find((each) => each.key === draft.task);
    const families = [...new Set(catalogues.methods.map((each) => each.family))];
    const blocked = catalogues.methods.filter((each) => each.supports[draft.model]);
    fill(menus,
      menu("model", "Model", catalogues.models.map((each) => el("option", { value: each.key }, each.title)), draft.model, model?.about || ""),
      menu("task", "Task", taskOptions(catalogues.tasks, draft.model, draft.task), draft.task, task?.about || ""),
      menu("method", "Method", families.map((family) => el("optgroup", { label: family }, catalogues.methods.filter((each) => each.family === family)
        .map((each) => el("option", { value: each.key, disabled: Boolean(each.supports[draft.model]) }, each.title)))), draft.method.name, form.about));
    fill(about, form.formula ? el("code", { class: "formula" }, form.formula) : null,
      el("a", { href: form.paper.link, target: "_blank", rel: "noopener noreferrer", title: form.paper.title }, form.paper.text),
      blocked.length ? el("details", { class: "blocked" }, el("summary", {}, `${blocked.length} ${blocked.length === 1 ? "method does" : "methods do"} not fit this model`),
        el("ul", {}, blocked.map((each) => el("li", {}, el("b", {}, each.title), `: ${each.supports[draft.model]}`)))) : null);
    state.rows.clear();
    const rows = (controls) => controls.map((control) => row(control));
    knobs.hidden = form.knobs.length === 0;
    fill(knobs, el("legend", {}, `Knobs of ${form.title}`), rows(form.knobs));
    fill(settings, el("legend", {}, "The run"), rows(form.settings));
    fill(folded, rows(form.advanced));
    advanced.hidden = teacher.hide.has("advanced");
    [...form.knobs, ...form.settings, ...form.advanced].forEach(mark);
    point();
    explain([...menus.querySelectorAll("label"), ...node.querySelectorAll(".knob .label > :first-child, .knob .help"), about]);
    if (focused && focused !== document.activeElement?.id) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  function row(control) {
    const id = `knob-${control.name}`;
    const usual = control.choices.find(([each]) => each === control.default)?.[1] ?? shown(control.default);
    const reset = el("button", { type: "button", class: "reset", title: `back to ${usual}`, "aria-label": `${control.label}: back to ${usual}`, hidden: true,
      onclick: () => { put(control, control.default); paint(); document.getElementById(id)?.focus(); } }, "↺");
    const help = el("p", { class: "help", id: `${id}-help` }, control.help);
    const input = KINDS[control.kind](control, current(control), (value) => put(control, value), id);
    const single = !["targets", "choice", "parts"].includes(control.kind);
    const head = el("div", { class: "label" }, el(single ? "label" : "span", single ? { for: id } : { id: `${id}-label` }, control.label), el("small", {}, control.small), reset);
    const more = control.more ? el("details", { class: "more" }, el("summary", {}, "How it was chosen"), el("p", { class: "help" }, control.more)) : null;
    const node = el("div", { class: `knob ${control.kind}`, "data-knob": control.name }, head, input, help, more);
    const locked = teacher.lock.has(control.name);
    if (control.fixed || locked) node.querySelectorAll("input, select, button, textarea").forEach((each) => { each.disabled = true; });
    if (locked) node.append(set_by(control.name));
    node.classList.toggle("unshown", teacher.hide.has(control.name));
    state.rows.set(key(control), { node, reset });
    return node;
  }

  // A link of a teacher says what is fixed for a class.
  function set_by(name) {
    return teacher.lock.has(name) ? el("p", { class: "hint locked" }, "Set by your teacher's link.") : null;
  }

  function fail(answer) {
    node.querySelectorAll("[aria-invalid]").forEach((each) => each.removeAttribute("aria-invalid"));
    error.hidden = !answer;
    error.textContent = answer ? worded(answer) : "";
    button.disabled = Boolean(answer);
    state.wrong = answer?.field || null;
    point();
    return answer;
  }

  // The field that is wrong stays marked, also where the form is drawn anew while the error stands.
  function point() {
    if (state.wrong) document.getElementById(`knob-${state.wrong}`)?.setAttribute("aria-invalid", "true");
  }

  // The message begins with a setting's name in the code: here its label stands beside the field.
  function worded({ error: text, field }) {
    return field && text.startsWith(`${field} is `) ? `${labelled(field)}${text.slice(field.length)}` : text;
  }

  function labelled(name) {
    return [...(state.form?.knobs || []), ...(state.form?.settings || []), ...(state.form?.advanced || [])].find((each) => each.name === name)?.label || name;
  }

  function focus(name) {
    const field = document.getElementById(`knob-${name}`) || document.getElementById("choose-model");
    const fold = field.closest("details");
    if (fold) fold.open = true;
    field.closest(".knob, .menu")?.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    field.focus({ preventScroll: true });
    field.select?.();
  }

  // The formula, once it is known which part each of its signs stands for.
  function spell(symbols) {
    const place = about.querySelector(".formula");
    if (place) fill(place, spelled(symbols));
  }

  window.addEventListener("lab-own", () => { if (state.form) paint(); });

  return { node, set, values, fail, focus, spell, button, time, label: labelled };
}

// Whether what was set before can stay with another model or method.
function allowed(control, value) {
  return value === undefined || (!control.fixed && (control.kind !== "choice" || control.choices.some(([each]) => each === value)));
}

function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}

// A number as one would type it, never 3e-05.
export function shown(value) {
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value !== "number" || Number.isInteger(value)) return String(value ?? "");
  return value.toFixed(10).replace(/0+$/, "");
}

function described(id) {
  return { id, "aria-describedby": `${id}-help` };
}

function numeric(control, value, put, id) {
  const whole = control.kind === "whole";
  const field = el("input", { ...described(id), type: "text", inputmode: whole ? "numeric" : "decimal", autocomplete: "off", value: shown(value), placeholder: control.optional ? "all" : "" });
  const marks = control.marks;
  const slider = marks.length > 1 ? el("input", { type: "range", min: 0, max: marks.length - 1, step: 1, value: nearest(marks, value), "aria-label": `${control.label}, slider`, "aria-valuetext": shown(value) }) : null;
  field.addEventListener("input", () => {
    const typed = field.value.trim(); // 1,000 and 1 000 are a thousand, 0,001 is a thousandth
    const text = /^[1-9]\d{0,2}([,\s]\d{3})+(\.\d+)?$/.test(typed) ? typed.replace(/[,\s]/g, "") : typed.replace(",", ".");
    const read = text === "" ? (control.optional ? null : control.default) : Number(text);
    put(Number.isNaN(read) ? field.value : read);
    if (slider && !Number.isNaN(read)) { slider.value = nearest(marks, read); slider.setAttribute("aria-valuetext", shown(read)); }
  });
  field.addEventListener("blur", () => {
    if (field.value.trim() === "" && !control.optional) { // an empty field counts with the default, so it says so
      field.value = shown(control.default);
      if (slider) { slider.value = nearest(marks, control.default); slider.setAttribute("aria-valuetext", field.value); }
    }
  });
  slider?.addEventListener("input", () => {
    const read = marks[Number(slider.value)];
    field.value = shown(read);
    slider.setAttribute("aria-valuetext", field.value);
    put(read);
  });
  return el("div", { class: "numeric" }, slider ? tinted(slider, control, `${id}-help`) : null, field);
}

// The slider with its band, in which a rate is good, tinted on the track. Its marks lie evenly, a ladder of 1, 3, 10: so the track is nearly logarithmic.
function tinted(slider, { marks, band, band_says: says }, help) {
  if (!band) return slider;
  const place = (value) => {
    const above = marks.findIndex((mark) => mark >= value);
    if (above < 1 || marks[above] === value) return above < 0 ? marks.length - 1 : above;
    const [low, high] = [marks[above - 1] || marks[above] / 10, marks[above]];
    return above - 1 + Math.min(1, Math.max(0, Math.log(value / low) / Math.log(high / low)));
  };
  const [from, to] = band.map((value) => place(value) / (marks.length - 1));
  slider.title = says;
  slider.setAttribute("aria-description", says);
  slider.setAttribute("aria-describedby", help);
  const span = el("span", { class: "band", "aria-hidden": "true", style: { "--from": from, "--to": to } });
  return el("div", { class: "banded" }, span, slider);
}

function nearest(marks, value) {
  if (typeof value !== "number") return 0;
  const far = (mark) => Math.abs(Math.log((mark || 1e-9) / (value || 1e-9)));
  return marks.reduce((best, mark, place) => (far(mark) < far(marks[best]) ? place : best), 0);
}

export const KINDS = {
  whole: numeric,
  number: numeric,
  choice(control, value, put, id) {
    if (control.choices.length > 4 || control.choices.some(([, words]) => words.length > 20)) {
      const select = el("select", { ...described(id), "aria-labelledby": `${id}-label`, onchange: () => put(control.choices[select.selectedIndex][0]) },
        control.choices.map(([each, words]) => el("option", { value: each ?? "" }, words))); // nothing is a choice too, where a setting may be left out
      select.value = value ?? "";
      return select;
    }
    return el("div", { class: "segments", role: "radiogroup", "aria-labelledby": `${id}-label`, "aria-describedby": `${id}-help` }, control.choices.map(([each, words], place) =>
      el("label", {}, el("input", { type: "radio", name: id, value: each, checked: each === value, id: place ? `${id}-${place}` : id, onchange: () => put(each) }), el("span", {}, words))));
  },
  targets(control, value, put, id) {
    const chosen = new Set(Array.isArray(value) ? value : [value]);
    const pick = (each, box) => {
      box.checked ? chosen.add(each) : chosen.delete(each);
      const known = control.choices.map(([one]) => one);
      put([...known.filter((one) => chosen.has(one)), ...[...chosen].filter((one) => !known.includes(one))]);
    };
    return el("div", { class: "chips", role: "group", "aria-labelledby": `${id}-label`, "aria-describedby": `${id}-help` }, control.choices.map(([each, words], place) => {
      const box = el("input", { type: "checkbox", checked: covers(chosen, each), id: place ? `${id}-${place}` : id, onchange: () => { expand(chosen, control.choices); pick(each, box); } });
      return el("label", {}, box, el("span", {}, words));
    }));
  },
  // Which methods are combined; their own knobs are at their defaults here, and as they came where a link says otherwise.
  parts(control, value, put, id) {
    const named = (parts) => parts.map((part) => part.name ?? part).join("+");
    const select = el("select", { ...described(id), "aria-labelledby": `${id}-label`, onchange: () => put(select.value === named(control.default) ? control.default : select.value.split("+")) },
      control.choices.map(([each, words]) => el("option", { value: each }, words)));
    if (!control.choices.some(([each]) => each === named(value))) select.append(el("option", { value: named(value) }, named(value)));
    select.value = named(value);
    return select;
  },
  switch(control, value, put, id) {
    const box = el("input", { ...described(id), type: "checkbox", class: "toggle", checked: Boolean(value), onchange: () => put(box.checked) });
    return box;
  },
  text(control, value, put, id) {
    const field = el("textarea", { ...described(id), rows: 2, maxlength: 500, oninput: () => put(field.value) });
    field.value = value;
    return field;
  },
};

const GROUPS = { attention: ["query", "key", "value", "qkv", "output"], ffn: ["ffn_in", "ffn_gate", "ffn_out"] };
GROUPS.all = [...GROUPS.attention, ...GROUPS.ffn];
for (const role of ["query", "key", "value"]) GROUPS[role] = [role, "qkv"]; // where they are one matrix each of the three means the whole

function covers(chosen, role) {
  return chosen.has(role) || Object.entries(GROUPS).some(([group, roles]) => chosen.has(group) && roles.includes(role));
}

// `all` and the like become the roles they stand for, once a single one is changed.
function expand(chosen, choices) {
  for (const [group, roles] of Object.entries(GROUPS)) {
    if (chosen.delete(group)) choices.filter(([role]) => roles.includes(role)).forEach(([role]) => chosen.add(role));
  }
}
