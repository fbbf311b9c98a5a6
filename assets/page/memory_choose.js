// The left side of the Memory tab: a model from one of three places, a GPU, the size of a step, the methods, and a fold for the rest.
import { el, fill } from "./dom.js";

const OWN = "own";
const LONGEST = 200000;

export function createChooser({ changed, ask, open }) {
  const state = { menus: null, settings: null, own: null, rows: new Map() };
  const model = el("select", { id: "memory-model", onchange: () => chooseModel(model.value) });
  const about = el("p", { class: "help" });
  const text = el("textarea", { id: "memory-config", rows: 6, spellcheck: "false", placeholder: '{"model_type": "llama", "num_hidden_layers": 32, …}' });
  const hub = el("input", { type: "text", id: "memory-hub", placeholder: "owner/name", autocomplete: "off", spellcheck: "false" });
  const fault = el("p", { class: "error-text", role: "alert", hidden: true });
  const paste = el("button", { type: "button", class: "plain", onclick: () => bring({ text: text.value }, text) }, "Use this config");
  const fetch = el("button", { type: "button", class: "plain", onclick: () => bring({ hub: hub.value }, hub) }, "Fetch its config");
  const other = el("details", { class: "memory-other" }, el("summary", {}, "A model that is not in the list"),
    el("div", {}, field("memory-config", "Paste its config.json", text), el("div", { class: "buttons" }, paste),
      field("memory-hub", "or its name on the Hub, when online", hub), el("div", { class: "buttons" }, fetch), fault));
  const gpu = el("select", { id: "memory-device", onchange: () => chooseDevice(gpu.value) });
  const room = el("input", { type: "text", inputmode: "decimal", id: "memory-own", value: "12", "aria-label": "memory of your GPU in GB", oninput: () => changed({ device: written() }) });
  const own = el("div", { class: "memory-own", hidden: true }, room, el("span", {}, "GB on my GPU"));
  const sizes = el("div", { class: "memory-sizes" });
  const chosen = el("ul", { class: "memory-methods", "aria-label": "Methods in the picture" });
  const more = el("select", { id: "memory-add", onchange: () => add(more.value) });
  const count = el("span", { class: "soft" });
  const folded = el("div", {});
  const advanced = el("details", { class: "memory-advanced" }, el("summary", {}, "Advanced settings ", count), folded);
  const wide = matchMedia("(min-width: 901px)");
  const fold = el("details", { class: "memory-fold", open: wide.matches }, el("summary", {}, "Methods, GPU and size of a step"),
    el("div", {}, el("section", {}, field("memory-add", "Methods, side by side", chosen, more)),
      el("section", {}, field("memory-device", "GPU", gpu), own, el("p", { class: "help", id: "memory-device-help" })), el("section", {}, sizes), advanced));
  wide.addEventListener("change", () => { fold.open = wide.matches; });
  const node = el("aside", { class: "memory-choose", "aria-label": "Choose a model and a step" },
    el("section", {}, field("memory-model", "Model", model), about, other),
    fold);

  // 12, 12.5 and 12,5
  function written() {
    return `${room.value.trim().replace(",", ".") || 0} GB`;
  }

  function field(id, words, ...inputs) {
    return el("div", { class: "memory-field" }, el("label", { for: id }, words), inputs);
  }

  function begin(menus) {
    state.menus = menus;
    const option = (each) => el("option", { value: JSON.stringify(each.value) }, `${each.title} (${each.numbers})`);
    fill(model, menus.models.map(({ group, models }) => el("optgroup", { label: group }, models.map(option))),
      el("optgroup", { label: "Worked examples from the papers" }, menus.examples.map((each) => el("option", { value: `example:${each.key}` }, each.title))));
    fill(gpu, menus.devices.map((each) => el("option", { value: each.key }, each.title)), el("option", { value: OWN }, "my own GPU …"));
    fill(more, el("option", { value: "" }, "Add a method …"), [...new Set(menus.methods.map((each) => each.family))].map((family) => el("optgroup", { label: family },
      menus.methods.filter((each) => each.family === family).map((each) => el("option", { value: each.key }, each.title)))));
    node.querySelector("#memory-device-help").textContent = menus.help.device;
    fill(sizes, ["batch", "tokens"].map((name) => ladder(name)));
    fill(folded, menus.knobs.map((each) => choice(each)), toggle("checkpointing"));
  }

  // ── the model ──

  function chooseModel(value) {
    if (value.startsWith("example:")) {
      show(state.settings);
      open(value.slice(8));
      return;
    }
    const wanted = value === OWN ? state.own : JSON.parse(value);
    changed({ model: wanted, example: null, ...suits(wanted) });
  }

  // Sizes that suit another model, as long as they are not what somebody chose.
  function suits(wanted) {
    const now = known(state.settings.model)?.suits, then = known(wanted)?.suits;
    const keep = (name) => now && state.settings[name] !== now[name];
    return then ? Object.fromEntries(Object.entries(then).filter(([name]) => !keep(name))) : {};
  }

  function known(value) {
    const key = JSON.stringify(value);
    if (value?.config) return state.own && JSON.stringify(state.own) === key ? state.own.menu : null;
    return state.menus.models.flatMap((each) => each.models).find((each) => JSON.stringify(each.value) === key);
  }

  async function bring(asked, input) {
    fault.hidden = true;
    input.removeAttribute("aria-invalid");
    if ((asked.text || "").length > LONGEST) return complain(`This text has ${asked.text.length.toLocaleString("en")} characters: a config.json has a few thousand.`, input);
    const answer = await ask("model", asked).catch(() => ({ error: "the lab cannot be reached; what you wrote is kept" }));
    if (answer.error) return complain(worded(answer), input);
    const before = known(state.settings.model)?.suits;
    adopt(answer.value, answer);
    const kept = Object.fromEntries(Object.entries(answer.suits).filter(([name]) => !before || state.settings[name] === before[name]));
    other.open = false;
    return changed({ model: state.own, example: null, ...kept });
  }

  function adopt(value, menu) {
    state.own = value;
    Object.defineProperty(state.own, "menu", { value: menu, enumerable: false });
    model.querySelector(".own")?.remove();
    model.prepend(el("optgroup", { label: "Yours", class: "own" }, el("option", { value: OWN }, menu.numbers ? `${value.title} (${menu.numbers})` : value.title)));
  }

  function complain(words, input) {
    fault.hidden = false;
    fault.textContent = words;
    input.setAttribute("aria-invalid", "true");
  }

  // ── the rest ──

  function chooseDevice(value) {
    own.hidden = value !== OWN;
    if (value === OWN) room.focus();
    changed({ device: value === OWN ? written() : value, ...(value === "cpu" && /8bit/.test(state.settings.optimizer) ? { optimizer: "adamw_fused" } : {}) });
  }

  function add(key) {
    if (!key) return;
    const methods = [...state.settings.methods, { name: key }];
    changed({ methods, shown: methods.length - 1 });
  }

  function remove(place) {
    const methods = state.settings.methods.filter((_, other_) => other_ !== place), shown = state.settings.shown;
    changed({ methods, shown: Math.max(0, Math.min(shown - (place < shown ? 1 : 0), methods.length - 1)) });
    chosen.querySelector("button")?.focus();
  }

  function ladder(name) {
    const [low, high] = state.menus.sizes[name];
    const input = el("input", { type: "text", inputmode: "numeric", id: `memory-${name}`, autocomplete: "off", "aria-describedby": `memory-${name}-help`, oninput: () => put(input.value) });
    const slider = el("input", { type: "range", min: Math.log2(low), max: Math.log2(high), step: 0.5, "aria-label": `${state.menus.names[name]}, slider`, oninput: () => put(String(Math.round(2 ** Number(slider.value)))) });
    const put = (written) => {
      const read = /^\d+$/.test(written.trim()) ? Number(written) : written;
      changed({ [name]: read });
    };
    state.rows.set(name, (value) => {
      if (document.activeElement !== input) input.value = value;
      if (typeof value === "number" && document.activeElement !== slider) slider.value = Math.log2(value);
      slider.setAttribute("aria-valuetext", String(value));
    });
    return el("div", { class: "memory-field" }, el("label", { for: `memory-${name}` }, state.menus.names[name]), el("div", { class: "numeric" }, slider, input), el("p", { class: "help", id: `memory-${name}-help` }, state.menus.help[name]));
  }

  function choice({ name, label, help, choices }) {
    const select = el("select", { id: `memory-${name}`, "aria-describedby": `memory-${name}-help`, onchange: () => changed({ [name]: select.value || null }) }, choices.map(([value, words]) => el("option", { value }, words)));
    state.rows.set(name, (value) => { select.value = value ?? ""; });
    return el("div", { class: "memory-field" }, el("label", { for: `memory-${name}` }, label), select, el("p", { class: "help", id: `memory-${name}-help` }, help));
  }

  function toggle(name) {
    const box = el("input", { type: "checkbox", class: "toggle", id: `memory-${name}`, "aria-describedby": `memory-${name}-help`, onchange: () => changed({ [name]: box.checked }) });
    state.rows.set(name, (value) => { box.checked = Boolean(value); });
    return el("div", { class: "memory-field switch" }, el("label", { for: `memory-${name}` }, state.menus.names[name]), box, el("p", { class: "help", id: `memory-${name}-help` }, state.menus.help[name]));
  }

  function show(settings) {
    state.settings = settings;
    if (settings.model.config && !known(settings.model)) adopt(settings.model, { title: settings.model.title });
    model.value = settings.model.config ? OWN : JSON.stringify(settings.model);
    about.textContent = (settings.model.config && state.own?.menu.about) || "Only its sizes are used: nothing is loaded or downloaded.";
    const listed = state.menus.devices.some((each) => each.key === settings.device);
    gpu.value = listed ? settings.device : OWN;
    own.hidden = listed;
    if (!listed && document.activeElement !== room) room.value = String(settings.device).replace(/[^\d.]/g, "");
    for (const [name, put] of state.rows) put(settings[name]);
    sizes.querySelector("#memory-tokens").closest(".memory-field").hidden = Boolean(known(settings.model)?.images); // an image has as many patches as it has
    const titled = (key) => state.menus.methods.find((each) => each.key === key)?.title || key;
    fill(chosen, settings.methods.map((method, place) => el("li", {}, el("span", {}, titled(method.name)),
      settings.methods.length > 1 ? el("button", { type: "button", class: "small", "aria-label": `remove ${titled(method.name)}`, onclick: () => remove(place) }, "×") : null)));
    more.value = "";
    more.disabled = settings.methods.length >= state.menus.most;
    more.options[0].textContent = more.disabled ? `At most ${state.menus.most}: remove one first` : "Add a method …";
    const usual = { ...state.menus.shared, ...(known(settings.model)?.suits || {}) };
    const differ = [...state.menus.knobs.map((each) => each.name), "checkpointing"].filter((name) => (settings[name] || null) !== (usual[name] || null)).length;
    count.textContent = differ === 0 ? "all at their defaults" : `${differ} ${differ === 1 ? "differs" : "differ"} from the defaults`;
  }

  function fail(answer) {
    node.querySelectorAll(".memory-sizes [aria-invalid], #memory-own[aria-invalid]").forEach((each) => each.removeAttribute("aria-invalid"));
    const place = answer && { device: "own" }[answer.field] || answer?.field;
    if (place) node.querySelector(`#memory-${CSS.escape(place)}`)?.setAttribute("aria-invalid", "true");
  }

  // The lab's messages begin with a setting's name in the code, here its label stands beside the field; names of a config are left as they are.
  function worded({ error, field: name }) {
    if (name && state.menus.names[name] && error.startsWith(`${name} is `)) return `${state.menus.names[name]} is ${error.slice(name.length + 4)}`;
    return (name || "").includes("_") ? error : `${error[0].toUpperCase()}${error.slice(1)}`;
  }

  return { node, begin, show, fail, suits, worded };
}
