// A soft prompt laid open: its nearest words only beside their test, the replay of its training, and what each vector is worth.
import { el, fill } from "./dom.js";
import { draw as drawFigure, figureHolder } from "./figure.js";
import { createPlayer, filmOf } from "./inside_film.js";
import { asking, capital, redraw, readable, sentences } from "./inside_lens.js";
import { createMap, createRiver } from "./inside_paths.js";
import { createTokens } from "./inside_tokens.js";
import { scoreRows } from "./pieces.js";

const PANELS = [["cliff_walk", 300], ["knock_out", 300], ["label_words", 380], ["attention_mass", 380], ["prefix_norms", 300]];
const SEEN_WORDS = 40; // more are folded
const KEYS = ["prompt_neighbours", "prompt_river", "prompt_map", "prompt_drift", "swap_test", ...PANELS.map(([key]) => key)];

export function applies(view) {
  return view.lenses.some((row) => row.ok && KEYS.includes(row.key));
}

export function draw(box, context) {
  box.prompt ||= build(box);
  box.prompt.update(context);
}

function build(box) {
  const state = { context: null, film: null, marks: "", position: 0 };
  const verdict = el("section", { class: "inside-verdict", "aria-label": "Are the words the prompt?" });
  const player = createPlayer(() => moved());
  const tokens = createTokens((position) => pick(position));
  const river = createRiver((place) => player.go(place));
  const map = createMap((position) => { pick(position); tokens.reach(position); });
  const panels = PANELS.map(([key, height]) => createPanel(key, height));
  const grid = el("div", { class: "inside-replay" }, tokens.node, el("div", { class: "inside-side" }, map.node, river.node));
  fill(box, verdict, player.node, grid, el("div", { class: "inside-panels" }, panels.map((panel) => panel.node)));

  const row = (key) => state.context.view.lenses.find((each) => each.key === key);

  function update(context) {
    state.context = context;
    const { view } = context;
    const marks = JSON.stringify(["prompt_river", "prompt_drift", "prompt_map", "prompt_neighbours"].map((key) => row(key)?.mark));
    const changed = marks !== state.marks;
    if (changed) Object.assign(state, { marks, film: filmOf(view) });
    const words = row("prompt_neighbours");
    grid.hidden = !words?.ok || !(state.film.steps.length || words.value);
    player.show(state.film, view);
    if (grid.hidden) player.node.hidden = true;
    redraw(verdict, [words?.mark, words?.look, words?.ok, words?.asks, words?.missing, row("swap_test")?.mark, Boolean(state.film.steps.length)], () => judged(words, row("swap_test")));
    if (changed && !grid.hidden) moved();
    for (const panel of panels) panel.update(context, row(panel.key), state.position);
  }

  // The list of the end is shown with its test; one without is marked, beside the call to make it.
  function moved() {
    const { film, position } = state;
    const tested = player.ended() ? row("prompt_neighbours")?.value : null;
    tokens.show(film, player.at(), tested || null, position, film.steps[player.at()] ?? state.context.view.step);
    river.show(film, player.at(), position);
    map.show(film, player.at(), position);
  }

  function pick(position) {
    state.position = position;
    tokens.choose(position);
    river.show(state.film, player.at(), position);
    map.show(state.film, player.at(), position);
    for (const panel of panels) panel.update(state.context, row(panel.key), position);
  }

  function judged(words, swap) {
    if (!words) return [];
    if (!words.ok) return [el("h3", {}, "There is no nearest token here"), el("p", { class: "lead" }, `${capital(words.reason)}.`)];
    if (!words.value) return [el("h3", {}, "The words are not tested yet"), untested(words, Boolean(state.film.steps.length)), asking(state.context, words, "Test these words", "main")];
    const said = swap?.value ? sentences(swap) : null;
    const rest = { says: words.says.filter((line) => !swap?.says.includes(line)) }; // it says again what its swap test says
    return [el("h3", {}, "Are these words the prompt?"), el("div", { class: "judged" },
      el("div", { class: "said" }, said ? el("div", { class: "lead" }, said) : null, sentences(rest), swap?.value ? taken(swap.value) : null, swap?.value ? fewer(swap.value.scores.prompt.items, state.context.view.score) : null, words.look ? asking(state.context, words) : null),
      swap?.figure ? scoreRows(swap.figure.rows) : null)];
  }

  return { update };
}

function untested(words, recorded) {
  const what = recorded ? "The lists below were recorded while it trained. A nearest word looks like a meaning, and often is none: " : "A nearest word looks like a meaning, and often is none: ";
  return el("p", {}, `${what}any vector has a nearest word, a random one too. The test holds each word against chance, against the list before training, and puts the words in place of the vectors.`);
}

function fewer(asked, score) {
  return score && asked < score.items ? el("p", { class: "soft" }, `These scores are of the first ${asked.toLocaleString("en")} test items, the run's own ${score.metric} of all ${score.items.toLocaleString("en")}: they differ a little.`) : null;
}

function taken({ words, written_text: written }) {
  const list = (words || []).map((word) => el("span", { class: "token" }, readable(word)));
  return [list.length > SEEN_WORDS ? el("details", {}, el("summary", {}, `The ${list.length} words that were put in`), el("p", {}, list)) :
    list.length ? el("p", { class: "soft" }, "The words that were put in: ", list) : null,
    written ? el("p", { class: "soft" }, `The hand-written prompt: “${written}”`) : null];
}

// One examination: what it asks, its picture with the numbers a click away, and its sentences.
function createPanel(key, height) {
  const title = el("h3", {});
  const about = el("p", { class: "soft" });
  const said = el("div", {});
  const chart = figureHolder(key.replaceAll("_", " "), height);
  const ask = el("div", {});
  const more = el("div", {});
  const node = el("article", { class: `inside-panel ${key}`, hidden: true, "data-part": "prompt" }, title, about, said, chart.node, more, ask);
  const drawn = { mark: "" };

  function update(context, row, position) {
    node.hidden = !row?.ok;
    if (node.hidden) return;
    title.textContent = row.title;
    about.textContent = row.about;
    chart.node.hidden = !row.figure;
    redraw(said, row.mark, () => [sentences(row)]);
    redraw(ask, [row.look, row.asks, row.missing, row.mark], () => [row.value && !row.look ? numbers(context, row) : asking(context, row)]);
    if (key === "attention_mass") redraw(more, [row.mark, position], () => [readings(row.value, position)]);
    if (row.figure && drawn.mark !== row.mark) drawFigure(chart, row.figure, row.mark);
    drawn.mark = row.mark;
  }

  return { key, node, update };
}

function numbers(context, row) {
  return el("button", { type: "button", class: "link", onclick: () => context.reveal(row.key) }, "All its numbers, as a file too");
}

// What each layer would say at a virtual token, if it were the last: after training beside before.
function readings(value, position) {
  const seen = value?.lens?.find((each) => each.position === position) || value?.lens?.[0];
  if (!seen) return null;
  const before = Object.fromEntries((seen.before || []).map((each) => [each.layer, each]));
  const said = (each) => (each ? [el("span", { class: "token" }, readable(each.text)), el("small", {}, ` ${Math.round(100 * each.probability)}\u202f%`)] : "–");
  return el("details", {}, el("summary", {}, `What each layer would write at virtual token ${seen.position + 1}`), el("div", { class: "numbers", tabindex: "0", role: "region", "aria-label": "likeliest token by layer" },
    el("table", {}, el("thead", {}, el("tr", {}, ["layer", "after training", "before"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, seen.layers.map((each) => el("tr", {}, el("th", { scope: "row" }, String(each.layer)), el("td", {}, said(each)), el("td", {}, said(before[each.layer]))))))));
}
