// One method closely: the course of its step, why it takes what it takes, what would help, what each block keeps, energy, and what is taken for granted.
import { el, fill } from "./dom.js";
import { createTimeline } from "./memory_timeline.js";

export function createDetail({ attempt, energy }) {
  const wide = matchMedia("(min-width: 1200px)");
  const course = createTimeline();
  const why = el("section", { class: "memory-card why" });
  const help = el("section", { class: "memory-card help-list", "aria-live": "off" });
  const trains = el("section", { class: "memory-card map trains" });
  const map = el("section", { class: "memory-card map" });
  const spent = el("div", {});
  const steps = el("input", { type: "text", inputmode: "numeric", id: "memory-steps", oninput: () => energy({ steps: /^\d+$/.test(steps.value.trim()) ? Number(steps.value) : steps.value }) });
  const mix = el("select", { id: "memory-grid", onchange: () => energy({ grid: Number(mix.value) }) });
  const cost = el("section", { class: "memory-card energy" }, el("h3", {}, "Energy and CO₂ of a run, estimated"),
    el("div", { class: "memory-pair" }, field("memory-steps", "Steps", steps), field("memory-grid", "CO₂ of the grid, kg a kWh", mix)), spent);
  const granted = el("section", { class: "memory-card granted" });
  const node = el("section", { class: "memory-detail", hidden: true, "aria-label": "The chosen method closely" }, course.node,
    el("div", { class: "memory-cards" }, why, help, trains, map, cost, granted));

  function field(id, words, input) {
    return el("div", { class: "memory-field" }, el("label", { for: id }, words), input);
  }

  function begin(menus) {
    fill(mix, menus.grids.map(([value, words]) => el("option", { value }, words)));
  }

  function show(detail) {
    node.hidden = false;
    node.classList.remove("stale");
    course.show(detail);
    drawWhy(detail.why);
    drawTrains(detail.trains);
    drawMap(detail.map);
    drawEnergy(detail.energy);
    fill(granted, el("h3", {}, "What is taken for granted"), el("ul", {}, detail.assumptions.map((each) => el("li", {}, each))),
      el("details", {}, el("summary", {}, "Each moment of the step in numbers"), el("div", { class: "scroll" }, el("table", { class: "moments" },
        el("thead", {}, el("tr", {}, detail.moments.columns.map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, detail.moments.rows.map((row) => el("tr", {}, row.map((cell, place) => (place ? el("td", {}, cell) : el("th", { scope: "row" }, cell))))))))));
  }

  function drawWhy(told) {
    fill(why, el("h3", {}, `${told.heading}: ${told.share}`), told.sentences.map((sentence) => el("p", {}, sentence)),
      el("details", { open: told.largest === "activations" || wide.matches }, el("summary", {}, "The rule: what a block keeps for the backward pass"),
        el("p", { class: "soft" }, "Bytes for each token, text and unit of width, in 16 bits, the new weights too where a row does not say otherwise, measured on GPT-2 and BERT."),
        el("table", { class: "rules" }, el("tbody", {}, told.rules.map((rule) => el("tr", { class: rule.mark === "this step" ? "yours" : null }, el("td", {}, rule.bytes), el("th", { scope: "row" }, rule.about, rule.mark ? el("small", {}, ` ${rule.mark}`) : null))),
          told.yours ? el("tr", { class: "measured" }, el("td", {}, told.yours), el("th", { scope: "row" }, `your blocks${told.bits}: `, told.sum)) : null)),
        told.differs ? el("p", { class: "differs-why" }, told.differs) : null,
        el("p", { class: "soft" }, "More is kept where norms and rotary positions are computed in 32 bits (Llama 2 7B: 45.8 where every weight trains; with LoRA on query and value 34.4 if the new weights have 16 bits, 40.4 if they have 32, as peft makes them), where an activation function is written out in several operations, as in GPT-2's own, and where new weights in 32 bits read a copy. The map below says which modules keep it.")));
  }

  // Ways to need less, the largest saving first; each can be tried with one click and undone.
  function helping(found, more) {
    fill(help, el("h3", {}, "What would help"),
      found.length ? el("ol", {}, found.map((each) => el("li", {}, el("div", {}, el("b", {}, `−${each.saves}`), el("small", {}, ` ${each.share}`), el("p", {}, each.words), each.verdict ? el("small", {}, `then ${each.peak}: ${each.verdict}`) : el("small", {}, `then ${each.peak}`)),
        el("button", { type: "button", class: "plain", "aria-label": `try: ${each.words}`, onclick: () => attempt(each.change) }, "Try")))) : null,
      more ? el("p", { class: "soft", role: "status" }, found.length ? "Trying further changes …" : "Trying one change after another …") : found.length ? null : el("p", { class: "soft" }, "No single change of these settings saves more than half a percent."));
  }

  // Where the settings are no step, there is nothing to try.
  function helpless() {
    fill(help, el("h3", {}, "What would help"), el("p", { class: "soft" }, "Found as soon as these settings make a step."));
  }

  // Blocks across, a row for each role or module.
  function grid(told, what, font) {
    if (!told.rows.length) return null;
    const across = told.blocks > 1 ? `1 to ${told.blocks}` : "1";
    const strip = (row) => el("div", { class: "strip", role: "img", "aria-label": `${row.name}: ${row.each} in a block, ${row.all} in all` },
      row.cells.map((cell, place) => el("i", { title: `block ${place + 1}, ${row.name}: ${row.texts[place]}`, style: { "--amount": `${Math.round(100 * cell)}%` } })));
    return el("div", { class: "grid" }, el("div", { class: "top" }, el("span", {}, what), el("span", { class: "across" }, `blocks ${across}; stronger is more`), el("span", { class: "number" }, "a block"), el("span", { class: "number" }, "all")),
      told.rows.map((row) => el("div", {}, el("span", { class: font }, row.name), strip(row), el("span", { class: "number" }, row.each), el("span", { class: "number" }, row.all))));
  }

  function drawTrains(told) {
    fill(trains, el("h3", {}, "What is trained"), el("p", {}, told.about), grid(told, "part", "role"),
      told.outside.length ? el("p", { class: "soft" }, `Outside the blocks: ${told.outside.map((each) => `${each.name} ${each.text}`).join(", ")}.`) : null,
      el("dl", { class: "tally" }, told.sums.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
  }

  function drawMap(told) {
    map.hidden = !told;
    if (!told) return;
    fill(map, el("h3", {}, "What each block keeps for the backward pass"), el("p", {}, told.about), grid(told, "module", "module"),
      told.left ? el("p", { class: "soft" }, `Smaller ones together: ${told.left}.`) : null,
      told.outside.length ? el("p", { class: "soft" }, `Outside the blocks ${told.outside_total}: ${told.outside.map((each) => `${each.name} ${each.text}`).join(", ")}.`) : null);
  }

  function drawEnergy(told) {
    if (document.activeElement !== steps && told.steps) steps.value = told.steps;
    if (told.grid !== undefined) mix.value = told.grid;
    steps.toggleAttribute("aria-invalid", false);
    if (told.error) {
      steps.setAttribute("aria-invalid", "true");
      fill(spent, el("p", { class: "error-text", role: "alert" }, told.error));
      return;
    }
    fill(spent, el("dl", { class: "sums" }, [["time", told.time], ["energy", told.energy], ["CO₂", told.carbon], ["tokens read", told.tokens]].map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
      el("ul", { class: "soft" }, told.assumptions.map((each) => el("li", {}, each))));
  }

  return { node, begin, show, helping, helpless, stale: () => node.classList.add("stale"), hide: () => { node.hidden = true; } };
}
