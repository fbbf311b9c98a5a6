// The table of a soft prompt: one row a virtual token, its nearest tokens beside those before training and what chance makes of them.
import { el, fill, say } from "./dom.js";
import { neighboursAt } from "./inside_film.js";
import { readable } from "./inside_lens.js";

const METRICS = [["centred", "centred cosine"], ["cosine", "cosine"], ["l2", "distance (L2)"], ["dot", "dot product"]];
const STRENGTHS = [1, 2, 3, 5]; // z from which a chip is one shade stronger
const LISTED = 5;
const COLUMNS = [["#", "virtual token"], ["nearest tokens", "after training, or at the look that is shown"], ["before training", "nearest to the start values"], ["p", "chance of a token as near, among all rows"],
  ["moved", "distance from the start, in distances from a token to its nearest one"], ["norm", "share of all tokens that are shorter"]];

// `picked(position)` is told which row was chosen.
export function createTokens(picked) {
  const state = { metric: "centred", tested: null };
  const switches = el("div", { class: "segments", role: "radiogroup", "aria-label": "How nearness is measured" }, METRICS.map(([key, words]) =>
    el("label", {}, el("input", { type: "radio", name: "inside-metric", value: key, checked: key === state.metric, onchange: () => { state.metric = key; show(...state.last); } }), el("span", {}, words))));
  const where = el("h3", {});
  const chip = el("span", { class: "chip" });
  const legend = el("div", { class: "inside-legend" }, el("span", {}, "z, against the prompt's own numbers in random order:"),
    [...STRENGTHS, Infinity].map((_, place) => el("span", { class: `token z${place}` }, place === 0 ? "below 1" : place === STRENGTHS.length ? "5 and more" : `from ${STRENGTHS[place - 1]}`)));
  const body = el("tbody", {});
  const head = COLUMNS.map(([name, title]) => el("th", { scope: "col", title }, name));
  const box = el("div", { class: "inside-tokens", tabindex: "0", role: "region", "aria-label": "Nearest tokens of each virtual token" }, el("table", {}, el("thead", {}, el("tr", {}, head)), body));
  const hint = el("p", { class: "soft" });
  const node = el("section", { class: "inside-table", "aria-label": "Nearest tokens", "data-part": "prompt" }, el("div", { class: "inside-bar" }, el("div", {}, where, " ", chip), switches), legend, box, hint);

  // `tested` is what prompt_neighbours found, of the end of the run alone; other looks have their recorded lists.
  function show(film, place, tested, chosen, step) {
    state.last = [film, place, tested, chosen, step];
    const metric = tested ? state.metric : "centred";
    for (const input of switches.querySelectorAll("input")) {
      input.disabled = !tested && input.value !== "centred";
      input.checked = input.value === metric;
    }
    say(where, `Nearest tokens ${film.steps.length && step === 0 ? "before training" : `after step ${step}`}`);
    say(chip, tested ? "tested" : "not tested");
    chip.className = `chip ${tested ? "finished" : "failed"}`;
    legend.hidden = !tested || metric !== "centred";
    const many = tested?.positions.length || film.frames[place]?.river?.positions.length || 0;
    const rows = Array.from({ length: many }, (_, position) => row(film, place, tested?.positions[position], position, metric));
    const top = box.scrollTop;
    fill(body, rows);
    box.scrollTop = top;
    choose(chosen);
    say(hint, explained(tested, film.frames[place]));
  }

  function row(film, place, tested, position, metric) {
    const now = tested ? tested.neighbours[metric] : neighboursAt(film, place, position).slice(0, LISTED);
    const before = tested ? tested.init : neighboursAt(film, 0, position).slice(0, LISTED);
    const drift = film.frames[place]?.drift;
    const moved = tested ? tested.drift?.natural : drift?.natural[position];
    const norm = tested ? tested.norm_percentile : drift?.norm_percentile[position];
    const number = el("button", { type: "button", class: "small", "aria-pressed": "false", "aria-label": `virtual token ${position + 1}`, onclick: () => picked(position) }, String(position + 1));
    return el("tr", {}, el("th", { scope: "row" }, number), el("td", { class: "list" }, chips(now, tested && metric === "centred")),
      el("td", { class: "list before", "data-name": "before" }, chips(before, false)),
      el("td", { class: `worth${tested && tested.p < 0.05 ? " unlikely" : ""}`, "data-name": "p" }, tested ? chance(tested.p) : "–"), el("td", { "data-name": "moved" }, figure(moved)),
      el("td", { "data-name": "norm" }, norm === undefined || norm === null ? "–" : `${Math.round(norm)}\u202f%`));
  }

  function choose(position) {
    [...body.children].forEach((line, place) => {
      line.classList.toggle("chosen", place === position);
      line.querySelector("button").setAttribute("aria-pressed", String(place === position));
    });
  }

  function reach(position) {
    const line = body.children[position];
    if (line) box.scrollTop = Math.max(0, line.offsetTop - box.clientHeight / 2);
  }

  return { node, show, choose, reach };
}

function chips(tokens, worth) {
  return tokens.length ? tokens.map((token) => el("span", { class: worth && token.z !== undefined && token.z !== null ? `token z${strength(token.z)}` : "token", title: said(token) }, readable(token.text),
    worth && token.z !== undefined && token.z !== null ? el("small", {}, ` ${rounded(token.z)}`) : null)) : "–";
}

function said(token) {
  const parts = [`token ${token.id}`, `value ${figure(token.value)}`];
  if (token.z !== undefined && token.z !== null) parts.push(`z ${figure(token.z)}`);
  if (token.p !== undefined && token.p !== null) parts.push(`p ${chance(token.p)}`);
  return parts.join(", ");
}

function rounded(z) {
  const text = Math.abs(z) < 0.05 ? "0" : z.toFixed(1);
  return text.replace("-", "−");
}

function strength(z) {
  return STRENGTHS.filter((from) => z >= from).length;
}

export function chance(p) {
  if (p === undefined || p === null) return "–";
  return p < 0.001 ? "< 0.001" : p < 0.1 ? p.toFixed(3) : p.toFixed(2);
}

function figure(value) {
  return value === undefined || value === null ? "–" : Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(2)));
}

function explained(tested, frame) {
  const parts = ["moved: in distances from a token to its nearest one", "norm: the share of all tokens that are shorter"];
  if (tested) parts.unshift("p: how often chance alone brings a token as near to any one of the rows");
  const kept = tested ? tested.persistence : frame?.river?.persistence;
  if (kept !== undefined && kept !== null) parts.push(`${Math.round(100 * kept)} % of the rows still have their starting token among the five nearest`);
  if (tested) parts.push(`${tested.vocabulary.toLocaleString("en")} tokens were compared; ${tested.banned.toLocaleString("en")} special, unused, unreadable or double ones were left out`);
  return `${parts.join("; ")}. ␣ is a space.`;
}
