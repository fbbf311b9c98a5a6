// What came out: verdicts first, then the table, any two measures against each other, items, and what all arms share.
import { createFigures } from "./compare_figures.js";
import { createItems } from "./compare_items.js";
import { redraw } from "./compare_pieces.js";
import { createTable } from "./compare_table.js";
import { download, el, fill, say } from "./dom.js";
import { draw as drawFigure, figureHolder } from "./figure.js";

const FEW = 3; // verdicts without a winner that are read at a glance
const MANY = 6; // verdicts with one, the clearest first
const FILES = [["html", "Report (HTML)", "one file that opens offline"], ["table", "Table (CSV)", "a row an arm"], ["csv", "Runs (CSV)", "a row a run"], ["items", "Items (CSV)", "each answer of each run"],
  ["json", "Everything (JSON)", "all numbers and verdicts"], ["comparison", "The comparison (JSON)", "to run it with python -m lab compare"]];

export function createResult({ ask, more, by: chose, axes }) {
  const state = { figure: "", measures: "", table: "", scatter: null, zoom: "", by: "", about: "", result: null };
  const verdicts = el("div", { class: "compare-verdicts" });
  const by = el("select", { id: "compare-by", onchange: () => { state.by = by.value; chose(by.value === state.about ? "" : by.value); read(); } });
  const chooser = el("div", { class: "compare-by", hidden: true }, el("label", { for: "compare-by" }, "Compare by"), by);
  const table = createTable();
  const x = el("select", { id: "compare-x", onchange: () => axes({ x: x.value }) });
  const y = el("select", { id: "compare-y", onchange: () => axes({ y: y.value }) });
  const plot = figureHolder("Two measures of all arms", 360);
  const front = el("p", { class: "soft", role: "status" });
  const key = el("ul", { class: "compare-key", "aria-hidden": "true" }); // where names have no room beside their marks
  const narrow = matchMedia("(max-width: 700px)");
  narrow.addEventListener("change", () => picture());
  const items = createItems({ ask });
  const figures = createFigures();
  const from = el("div", { class: "compare-from" });
  const apart = el("p", { class: "hint compare-apart", hidden: true });
  const shared = el("details", { class: "compare-more" });
  const saves = el("section", { class: "compare-saves", "aria-label": "Downloads" }, el("h3", {}, "Take it away"), el("div", { class: "buttons" }, FILES.map(([format, words, about]) => el("button", { type: "button", class: "plain", title: about, onclick: () => file(format) }, words))));
  const scripts = el("p", { class: "compare-scripts" });
  saves.append(scripts);
  const hints = el("div", {});
  const trouble = el("p", { class: "error-text", role: "alert", hidden: true });
  const pick = (id, words, select) => el("div", { class: "compare-axis" }, el("label", { for: id }, words), select);
  const body = el("div", { class: "compare-body" }, figures.node, table.node, apart, hints, el("p", { class: "hint" }, "± is half of the 95 % interval of an arm's mean over its seeds. Whether two arms differ is told by the sentences above, from paired seeds, not by whether these overlap."),
    el("section", { class: "compare-front-part", "aria-label": "Two measures against each other" }, el("header", {}, el("h3", {}, "What does a score cost?"), pick("compare-y", "upwards", y), pick("compare-x", "to the right", x)), plot.node, key, front),
    items.node, shared, saves, trouble);
  const node = el("section", { class: "compare-result", "aria-label": "The result", hidden: true }, from, chooser, verdicts, body);

  function show(result, chosen) {
    node.hidden = !result;
    if (!result) return;
    redraw(from, result.sources, () => origin(result.sources));
    say(apart, result.sources.apart);
    apart.hidden = !result.sources.apart;
    redraw(hints, result.hints, () => result.hints.map((text) => el("p", { class: "hint" }, text)));
    redraw(scripts, result.scripts, () => programs(result.scripts));
    state.result = result;
    offer(result);
    body.hidden = Boolean(chosen.live && !result.verdicts.over); // while they run the race is what one looks at
    if (JSON.stringify(result.table) !== state.table) {
      state.table = JSON.stringify(result.table);
      table.show(result.table);
    }
    read();
    const { axes: drawn } = result;
    menus(result.measures, drawn);
    if (JSON.stringify(result.scatter) !== state.figure) {
      state.figure = JSON.stringify(result.scatter);
      Object.assign(state, { scatter: result.scatter, zoom: `${drawn.x} ${drawn.y}` });
      fill(key, result.table.rows.map((row) => el("li", {}, el("i", { style: { background: row.colour } }), row.name)));
      picture();
      say(front, result.scatter ? result.scatter.says : result.no_axis || (drawn.x === drawn.y ? "Choose two different measures." : "No arm has both measures yet."));
    }
    items.show(result);
    redraw(shared, result.shared, () => sharing(result.shared));
  }

  // What there is to read it by; first what it is about.
  function offer({ outcomes, by: wanted, verdicts: said }) {
    const about = outcomes[0].key;
    Object.assign(state, { about, by: outcomes.some((each) => each.key === wanted) ? wanted : about });
    redraw(by, outcomes.map((each) => [each.key, each.title]), () => outcomes.map((each) => el("option", { value: each.key }, each.title)));
    by.value = state.by;
    chooser.hidden = !said.over || outcomes.length < 2;
  }

  // The verdicts and the figure of what was chosen.
  function read() {
    const { result } = state, chosen = result.outcomes.find((each) => each.key === state.by);
    redraw(verdicts, [chosen, result.looks, result.warnings], () => told({ ...result, ...chosen, note: chosen.says }));
    figures.show(chosen.figure ? [chosen.figure, ...result.figures] : result.figures, chosen.figure ? chosen.figure.key : chosen.shown, state.by);
  }

  // Verdicts of other settings are not left behind.
  function hide() {
    node.hidden = true;
    Object.assign(state, { by: "", about: "" });
    fill(verdicts);
    delete verdicts.dataset.drawn;
    Object.assign(state, { figure: "", table: "" });
    figures.hide();
  }

  // What was recorded says so, with when, where and of what.
  function origin({ says, recorded, columns, rows }) {
    if (!recorded) return null;
    return [el("p", {}, el("span", { class: "chip finished" }, recorded < 0 ? "recorded" : "partly recorded"), " ", says),
      el("details", { class: "compare-more" }, el("summary", {}, "Where do these numbers come from?"), el("div", { class: "compare-items", tabindex: "0", role: "region", "aria-label": "Where the numbers come from" },
        el("table", {}, el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell))))))))];
  }

  // A program of each arm, which trains it without this lab, and why an arm has none.
  function programs(found) {
    const there = found.filter((each) => each.href), reasons = new Map();
    for (const { name, why } of found) if (why) reasons.set(why, [...(reasons.get(why) || []), name]);
    return [there.length ? ["Script and notebook of an arm: ", there.map((each, place) => [place ? ", " : "", el("a", { href: each.href, download: each.file }, each.name)]), ". "] : null,
      [...reasons].map(([why, names]) => el("small", { class: "soft" }, `None of ${names.join("; ")}: ${why.replace(/\.?$/, ".")} `))];
  }

  function told({ verdicts: said, looks, warnings, more: offer, note }) {
    const sentence = (each) => el("li", {}, each.says, each.warning ? el("small", {}, ` ${each.warning}.`) : null);
    const first = said.told.slice(0, said.told.length > MANY ? MANY : undefined), others = said.told.slice(first.length);
    const fold = said.open.length > FEW || said.told.length;
    return [
      said.lead ? el("h3", { class: said.over ? "lead" : "lead early" }, said.lead) : null,
      said.untouched ? el("p", { class: "compare-untouched" }, said.untouched) : null,
      said.told.length ? el("ul", { class: "told" }, first.map(sentence)) : null,
      others.length ? el("details", { class: "compare-more" }, el("summary", {}, `${others.length} more that can be told apart`), el("ul", { class: "told" }, others.map(sentence))) : null,
      said.open.length ? (fold ? el("details", { class: "compare-more" }, el("summary", {}, said.rest), el("ul", { class: "open" }, said.open.map(sentence)))
        : el("ul", { class: said.told.length ? "open" : "open large" }, said.open.map(sentence))) : null,
      note && said.over ? el("p", { class: "soft compare-aside" }, note) : null,
      looks ? el("p", { class: "soft" }, looks) : null,
      warnings.length ? el("ul", { class: "notice compare-warnings" }, warnings.map((text) => el("li", {}, text.replace(/\.?$/, ".")))) : null,
      offer ? el("div", { class: "compare-offer" }, offer.count ? el("button", { type: "button", class: "plain", onclick: () => more(offer.count) }, `Add ${offer.count} seed${offer.count === 1 ? "" : "s"}`) : null, el("p", { class: "soft" }, offer.says)) : null,
    ];
  }

  function picture() {
    const { scatter, zoom } = state;
    plot.node.hidden = key.hidden = !scatter;
    if (scatter) drawFigure(plot, narrow.matches ? { ...scatter, data: scatter.data.map((trace) => (trace.mode === "markers+text" ? { ...trace, mode: "markers" } : trace)) } : scatter, zoom);
  }

  function menus(measures, drawn) {
    const now = JSON.stringify(measures);
    if (now !== state.measures) {
      state.measures = now;
      for (const select of [x, y]) fill(select, measures.map((each) => el("option", { value: each.key }, each.title)));
    }
    x.value = drawn.x;
    y.value = drawn.y;
  }

  function sharing({ says, columns, rows }) {
    return [el("summary", {}, "What do all arms share? ", el("span", { class: "soft" }, rows.length ? `hash ${rows[0][1]}${rows.length > 1 ? " …" : ""}` : "")), el("p", { class: "soft" }, says),
      el("div", { class: "compare-items", tabindex: "0", role: "region", "aria-label": "Hashes of what is shared" }, el("table", {}, el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, el("code", {}, cell))))))))];
  }

  async function file(format) {
    const answer = await ask("export", { format });
    trouble.hidden = !answer.error;
    if (answer.error) say(trouble, answer.error);
    else download(answer.name, answer.text);
  }

  return { node, show, hide };
}
