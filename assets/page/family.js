// The Methods tab: which method when. The family as a list that filters narrow down, up to three side by side, and what every model takes.
import { compare } from "./family_compare.js";
import { createMatrix } from "./family_matrix.js";
import { el, fill, say } from "./dom.js";
import { shareBar, terms } from "./pieces.js";
import { address, known, question, recall, remember, trainDraft } from "./session.js";

const ORDERS = [["family", "by family"], ["count", "fewest trained first"], ["title", "by name"]];
const MARKS = [["mergeable", "merges"], ["four_bits", "4-bit"], ["slow", "latency"], ["needs_biases", "needs biases"]];
const BLANK = { family: [], composition: [], traits: [], fits: false, text: "" };

export function mount(element, { props, server, watch }) {
  const holder = element.querySelector(".lab-view");
  if (holder.childElementCount) return;
  watch("value", () => known(props.value));
  known(props.value);
  const page = { data: null, fit: {}, model: "", filter: { ...BLANK, ...recall("family")?.filter, text: "" }, order: "family", shown: "list", open: new Set(), marked: [], asked: 0 };

  const model = el("select", { id: "family-model", onchange: () => choose(model.value) });
  const order = el("select", { id: "family-order", onchange: () => { page.order = order.value; list(); } }, ORDERS.map(([value, words]) => el("option", { value }, words)));
  const search = el("input", { type: "search", id: "family-search", placeholder: "name, idea or paper", oninput: () => { page.filter.text = search.value.trim().toLowerCase(); list(); } });
  const chips = el("div", { class: "family-filters" });
  const summary = el("summary", {}, "Filters");
  const wide = matchMedia("(min-width: 701px)");
  const fold = el("details", { class: "family-fold", open: wide.matches }, summary, chips);
  wide.addEventListener("change", () => { fold.open = wide.matches; });
  const priced = el("p", { class: "soft priced" });
  const count = el("p", { class: "soft", role: "status", "aria-live": "polite" });
  const clear = el("button", { type: "button", class: "small", hidden: true, onclick: () => reset() }, "Clear filters");
  const words = el("details", { class: "family-words" });
  const rows = el("div", { class: "family-list" });
  const matrix = createMatrix();
  const tray = el("div", { class: "family-tray", hidden: true });
  const trouble = el("div", { class: "notice", role: "alert", hidden: true });
  const finding = el("div", { class: "family-finding" }, fold, el("div", { class: "family-found" }, count, clear, priced));
  fill(holder, el("div", { class: "lab family-page" },
    el("div", { class: "family-head" },
      el("div", { class: "words" }, el("h2", {}, "Which method when"),
        el("p", { class: "soft" }, "Every way to fine-tune that this lab has, priced for one model. Open one for its formula, what speaks for it and what against it; mark up to three to see them side by side.")),
      views()),
    trouble,
    el("div", { class: "family-tools" }, field("family-model", "Model", model), field("family-search", "Search", search), field("family-order", "Order", order)),
    finding, words, rows, matrix.node, tray));
  new IntersectionObserver((seen) => { if (seen.some((each) => each.isIntersecting) && !page.data) load(); }).observe(holder);

  function field(id, words, input) {
    return el("div", { class: `family-field ${id}` }, el("label", { for: id }, words), input);
  }

  function views() {
    const choice = (value, words) => el("label", {}, el("input", { type: "radio", name: "family-view", value, checked: value === page.shown, onchange: () => { page.shown = value; show(); } }), el("span", {}, words));
    return el("div", { class: "segments", role: "radiogroup", "aria-label": "What to show" }, choice("list", "Methods"), choice("matrix", "All models"));
  }

  async function load() {
    try {
      const data = await question(server, "family", {});
      if (data.error) throw new Error(data.error);
      page.data = data;
      fill(model, data.models.map((each) => el("option", { value: each.key }, each.full)));
      filters();
      fill(words, el("summary", {}, "Words and signs used here"), el("dl", {}, data.words.map(([word, means]) => el("div", {}, el("dt", {}, word), el("dd", {}, means)))));
      matrix.draw(data, (key) => choose(key));
      await choose(wished());
      show();
    } catch {
      page.data = null;
      trouble.hidden = false;
      fill(trouble, el("p", {}, "The lab cannot be reached."), el("button", { type: "button", class: "plain", onclick: () => load() }, "Try again"));
    }
  }

  // The model that the Train tab is about, where it names one.
  function wished() {
    const drafts = [parsed(address().spec), recall("draft"), { model: recall("family")?.model }, { model: "minilm-l6" }];
    return drafts.map((draft) => draft?.model).find((key) => page.data.models.some((each) => each.key === key)) || page.data.models[0].key;
  }

  async function choose(key) {
    const asked = ++page.asked;
    rows.classList.add("stale");
    const answer = await question(server, "fit", { model: key }).catch(() => ({ error: "The lab cannot be reached; choose the model again in a moment." }));
    if (asked !== page.asked) return;
    rows.classList.remove("stale");
    trouble.hidden = !answer.error;
    if (answer.error) { fill(trouble, el("p", {}, answer.error)); return; }
    page.model = model.value = key;
    page.fit = answer.methods;
    keep();
    matrix.mark(key);
    list();
  }

  function named() {
    return page.data.models.find((each) => each.key === page.model)?.title || "";
  }

  function keep() {
    remember("family", { model: page.model, filter: { ...page.filter, text: "" } });
  }

  function show() {
    rows.hidden = finding.hidden = words.hidden = page.shown !== "list";
    search.closest(".family-field").hidden = order.closest(".family-field").hidden = page.shown !== "list";
    matrix.node.hidden = page.shown !== "matrix";
    matrix.mark(page.model);
    trayed();
  }

  function filters() {
    const chip = (held, words, help, put) => {
      const box = el("input", { type: "checkbox", checked: held, onchange: () => { put(box.checked); keep(); list(); } });
      return el("label", { title: help }, box, el("span", {}, words));
    };
    const group = ({ key, label, options }) => el("fieldset", {}, el("legend", {}, label), el("div", { class: "chips" }, options.map((option) =>
      chip(page.filter[key].includes(option.key), option.label, option.help, (on) => { page.filter[key] = [...page.filter[key].filter((each) => each !== option.key), ...(on ? [option.key] : [])]; }))));
    fill(chips, page.data.groups.map(group), el("fieldset", {}, el("legend", {}, "Here"), el("div", { class: "chips" },
      chip(page.filter.fits, "fits this model", "Leave out what the chosen model cannot take.", (on) => { page.filter.fits = on; }))));
  }

  function reset() {
    page.filter = { ...BLANK };
    search.value = "";
    keep();
    filters();
    list();
  }

  function passes(method, filter) {
    const text = `${method.title} ${method.key} ${method.about} ${method.paper.title} ${method.paper.text}`.toLowerCase();
    return page.data.groups.every(({ key, any }) => {
      const has = key === "traits" ? method.traits : [method[key]];
      return filter[key].length === 0 || (any ? filter[key].some((each) => has.includes(each)) : filter[key].every((each) => has.includes(each)));
    }) && (!filter.fits || page.fit[method.key]?.ok) && text.includes(filter.text);
  }

  function list() {
    if (!page.data) return;
    const found = page.data.methods.filter((method) => passes(method, page.filter));
    const held = JSON.stringify(page.filter) !== JSON.stringify(BLANK);
    say(count, held ? `${found.length} of ${page.data.methods.length} methods` : `${found.length} methods`);
    clear.hidden = !held;
    const on = page.filter.family.length + page.filter.composition.length + page.filter.traits.length + page.filter.fits;
    say(summary, on ? `Filters (${on})` : "Filters");
    say(priced, `trained on ${named()}, at the defaults`);
    const focused = document.activeElement?.id;
    fill(rows, found.length ? sections(found) : nothing());
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    trayed();
  }

  function sections(found) {
    if (page.order === "family") {
      return page.data.groups.find((each) => each.key === "family").options.map((family) => section(family.label, family.help, found.filter((each) => each.family === family.key)));
    }
    const rank = { count: (each) => page.fit[each.key]?.number ?? Infinity, title: (each) => each.title.toLowerCase() }[page.order];
    return section("", "", [...found].sort((one, other) => (rank(one) < rank(other) ? -1 : rank(one) > rank(other) ? 1 : 0)));
  }

  function section(title, help, methods) {
    if (!methods.length) return null;
    return el("section", { "aria-label": title || "Methods" }, title ? el("div", { class: "family-title" }, el("h3", {}, title), el("p", { class: "soft" }, help)) : null, methods.map(row));
  }

  // What stands in the way, and how many there were without it.
  function nothing() {
    const without = [];
    for (const { key, options } of page.data.groups) {
      for (const one of page.filter[key]) without.push([options.find((each) => each.key === one).label, { ...page.filter, [key]: page.filter[key].filter((each) => each !== one) }]);
    }
    if (page.filter.fits) without.push(["fits this model", { ...page.filter, fits: false }]);
    if (page.filter.text) without.push([`“${search.value.trim()}”`, { ...page.filter, text: "" }]);
    const ways = without.map(([words, filter]) => [words, filter, page.data.methods.filter((method) => passes(method, filter)).length]).filter(([, , many]) => many);
    const take = (filter) => { page.filter = filter; if (!filter.text) search.value = ""; keep(); filters(); list(); };
    return el("div", { class: "family-nothing" }, el("h3", {}, "No method is all of that at once."),
      ways.length ? el("p", { class: "soft" }, "Let go of one:") : null,
      el("div", { class: "buttons" }, ways.map(([words, filter, many]) => el("button", { type: "button", class: "plain", onclick: () => take(filter) }, `${words} (then ${many})`)),
        el("button", { type: "button", class: "small", onclick: () => reset() }, "Clear filters")));
  }

  function row(method) {
    const fit = page.fit[method.key] || { ok: false, reason: "" };
    const open = page.open.has(method.key), id = `family-${method.key}`;
    const body = el("div", { class: "more", id: `${id}-more`, hidden: !open });
    const button = el("button", { type: "button", class: "name", id, "aria-expanded": String(open), "aria-controls": `${id}-more`, onclick: () => toggle() }, method.title);
    const box = el("input", { type: "checkbox", id: `${id}-mark`, "aria-label": `compare ${method.title}`, checked: page.marked.includes(method.key), onchange: () => marked(method.key, box.checked) });
    const toggle = () => {
      body.hidden = !body.hidden;
      button.setAttribute("aria-expanded", String(!body.hidden));
      page.open[body.hidden ? "delete" : "add"](method.key);
      if (!body.hidden) fill(body, detail(method, fit));
    };
    if (open) fill(body, detail(method, fit));
    const marks = MARKS.filter(([trait]) => method.traits.includes(trait)).map(([trait, words]) => el("span", { class: `chip ${trait}` }, words));
    return el("article", { class: fit.ok ? "family-row" : "family-row blocked", style: { "--method": method.colour } },
      el("div", { class: "line" }, el("span", { class: "pick" }, box), el("div", { class: "what" }, el("h4", {}, button), el("p", {}, fit.ok ? first(method.about) : fit.reason)),
        el("div", { class: "marks" }, marks),
        fit.ok ? el("div", { class: "cost" }, el("b", {}, fit.count), el("small", {}, fit.number ? fit.share : "of the model")) : el("div", { class: "cost" }, el("small", {}, "not on this model"))),
      body);
  }

  function detail(method, fit) {
    const fact = ({ name, value }) => [el("dt", {}, name), el("dd", {}, value)];
    const more = fit.ok ? method.about.slice(first(method.about).length).trim() : method.about; // the first sentence stands in the line above
    return [
      el("div", { class: "half" }, more ? el("p", {}, more) : null, el("div", { class: "formula" }, method.equation.map((line) => el("code", {}, line))),
        fit.ok ? [el("h5", {}, "Trained, counted by hand"), fit.number ? shareBar(fit.part) : null, terms(fit.lines, `${fit.count} (${fit.share})`)] : null),
      el("div", { class: "half" }, el("h5", {}, "For it"), el("p", {}, method.strengths || "–"), el("h5", {}, "Against it"), el("p", {}, method.weaknesses || "–"),
        el("dl", { class: "facts" }, method.facts.map(fact), fit.ok ? fact({ name: "usual learning rate", value: fit.rate }) : null),
        fit.tried ? el("p", { class: "soft" }, fit.tried) : null,
        el("p", {}, el("a", { href: method.paper.link, target: "_blank", rel: "noopener noreferrer" }, method.paper.title), ` (${method.paper.text})`),
        fit.ok ? el("div", { class: "buttons" }, el("button", { type: "button", class: "plain", onclick: () => train(method.key) }, "Train with it")) : null),
    ];
  }

  function marked(key, on) {
    page.marked = [...page.marked.filter((each) => each !== key), ...(on ? [key] : [])];
    trayed();
  }

  function trayed() {
    const most = page.data?.most || 3, names = page.marked.map((key) => page.data.methods.find((each) => each.key === key).title);
    tray.hidden = page.marked.length === 0 || page.shown !== "list";
    rows.querySelectorAll(".pick input").forEach((box) => {
      box.checked = page.marked.includes(box.id.slice(7, -5));
      box.disabled = !box.checked && page.marked.length >= most;
    });
    if (tray.hidden) return;
    fill(tray, el("p", { role: "status" }, el("span", {}, names.join(", ")), el("small", {}, page.marked.length < 2 ? "Mark a second one to compare." : page.marked.length === most ? "Three at most." : "")),
      el("div", { class: "buttons" }, el("button", { type: "button", class: "plain", onclick: () => { page.marked = []; trayed(); } }, "Clear"),
        el("button", { type: "button", class: "main", disabled: page.marked.length < 2, onclick: side }, "Side by side")));
  }

  function side() {
    compare(page.marked.map((key) => page.data.methods.find((each) => each.key === key)), page.fit, named(), train);
  }

  function train(key) {
    trainDraft({ model: page.model, method: { name: key } });
    requestAnimationFrame(() => document.querySelector("#train .choose")?.scrollIntoView({ block: "start" }));
  }
}

function first(text) {
  return text.match(/^.*?[.!?](?=\s|$)/)?.[0] || text;
}

function parsed(text) {
  try { return JSON.parse(text); } catch { return null; }
}
