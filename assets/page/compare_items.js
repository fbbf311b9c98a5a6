// Test items on which arms disagree, with one seed at a time; and whether these very runs would differ on new items.
import { el, fill, say } from "./dom.js";
import { image } from "./pieces.js";

export function createItems({ ask }) {
  const state = { seed: null, start: 0, seeds: [], says: [], turn: 0 };
  const seed = el("select", { id: "compare-items-seed", onchange: () => { state.seed = Number(seed.value); state.start = 0; load(); } });
  const about = el("p", { class: "soft", role: "status" });
  const rows = el("div", { class: "compare-items", tabindex: "0", role: "region", "aria-label": "Items on which arms disagree" });
  const earlier = el("button", { type: "button", class: "small", onclick: () => page(-1) }, "Earlier");
  const later = el("button", { type: "button", class: "small", onclick: () => page(1) }, "Later");
  const tests = el("ul", { class: "compare-tests" });
  const node = el("details", { class: "compare-more", ontoggle: () => { if (node.open) load(); } }, el("summary", {}, "Where do the arms disagree?"),
    el("div", { class: "compare-items-head" }, el("label", { for: "compare-items-seed" }, "Seed"), seed, about), rows, el("div", { class: "buttons" }, earlier, later),
    el("details", {}, el("summary", {}, "Would these very runs differ on new items?"), tests));

  function show(result) {
    state.says = result.on_items;
    if (JSON.stringify(result.seeds) !== JSON.stringify(state.seeds)) {
      state.seeds = result.seeds;
      if (!state.seeds.includes(state.seed)) state.seed = state.seeds[0];
      fill(seed, state.seeds.map((each) => el("option", { value: each, selected: each === state.seed }, String(each))));
    }
    if (node.open) load();
  }

  function page(by) {
    state.start = Math.max(0, state.start + by * state.page);
    load();
  }

  async function load() {
    const turn = ++state.turn;
    const found = await ask("differ", { seed: state.seed, start: state.start });
    if (turn !== state.turn) return;
    const said = state.says.filter((each) => each.seed === state.seed);
    fill(tests, said.map((each) => el("li", {}, each.says)));
    tests.parentNode.hidden = !said.length;
    if (found.error) { say(about, found.error); fill(rows); return; }
    Object.assign(state, { start: found.start, page: found.page });
    const last = Math.min(found.count, found.start + found.page);
    say(about, `${found.says}${found.count > found.page ? ` Here are ${found.start + 1} to ${last}.` : ""}`);
    earlier.hidden = later.hidden = found.count <= found.page;
    earlier.disabled = found.start === 0;
    later.disabled = last >= found.count;
    rows.hidden = !found.rows.length;
    fill(rows, el("table", {}, el("thead", {}, el("tr", {}, ["item", "true label", ...found.arms].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, found.rows.map((row) => el("tr", {}, el("td", {}, row.pixels.length ? image(row.pixels) : row.text), el("td", {}, row.label),
        found.arms.map((name) => { const { answer, right } = row.answers[name]; return el("td", {}, el("span", { class: right ? "right" : "wrong" }, `${right ? "✓" : "✗"} ${answer}`)); }))))));
  }

  return { node, show };
}
