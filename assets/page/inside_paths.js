// Two drawings that move with the replay: the ranks of one row's tokens over the looks, and all vectors on a map of the vocabulary.
import { figure as svg } from "./anatomy.js";
import { el, fill, say } from "./dom.js";
import { SPACE, neighboursAt } from "./inside_film.js";
import { readable } from "./inside_lens.js";

const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const RIVER = { width: 560, height: 250, left: 132, right: 132, top: 22, row: 20, ranks: 10 };
const MAP = { width: 560, height: 380, edge: 14 };
const NAMED = 34; // words on the map that carry their names
const LONGEST = 15; // signs of a name

export function createRiver(go) {
  const title = el("h3", {});
  const drawing = el("div", { class: "drawn" });
  const hint = el("p", { class: "soft" }, "Rank of every token that was ever among the five nearest: on the left at the start, on the right at the end. The line marks the look shown above.");
  const node = el("section", { class: "inside-river", "aria-label": "Neighbours over the training", "data-part": "prompt" }, title, drawing, hint);

  function show(film, place, position) {
    const looks = film.frames.map((frame, at) => (frame.river ? neighboursAt(film, at, position).map((each) => each.id) : null));
    node.hidden = film.frames.length < 2 || !looks.some((each) => each?.length);
    if (node.hidden) return;
    say(title, `Virtual token ${position + 1}: its nearest tokens as it learned`);
    fill(drawing, river(film, looks, place, go));
  }

  return { node, show };
}

function river(film, looks, here, go) {
  const { width, height, left, right, top, row, ranks } = RIVER;
  const x = (at) => left + ((width - left - right) * at) / Math.max(1, looks.length - 1);
  const y = (rank) => top + row * Math.min(rank, ranks);
  const [first, last] = [looks.find(Boolean) || [], looks.findLast(Boolean) || []].map((each) => each.slice(0, 5));
  const ever = [...new Set(looks.flatMap((each) => (each || []).slice(0, 5)))];
  const strong = [...new Set([...last, ...first])];
  const colour = (id) => (strong.includes(id) ? COLOURS[strong.indexOf(id) % COLOURS.length] : "");
  const name = (id) => readable(film.texts[id] ?? `#${id}`);
  const rank = (at, id) => (looks[at] ? (looks[at].includes(id) ? looks[at].indexOf(id) : ranks) : null);
  const line = (id) => {
    const points = looks.map((_, at) => [at, rank(at, id)]).filter(([, place]) => place !== null).map(([at, place]) => `${x(at).toFixed(1)},${y(place)}`);
    return ["polyline", { points: points.join(" "), class: first[0] === id ? "start" : "", ...(colour(id) ? { style: `stroke: ${colour(id)}` } : {}) }, ["title", {}, name(id)]];
  };
  const label = (id, place, at, anchor) => ["text", { x: at, y: y(place) + 4, "text-anchor": anchor }, short(name(id))];
  const drawing = svg(["svg", { xmlns: SPACE, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Nearest at the start: ${first.map(name).join(", ")}. Nearest at the end: ${last.map(name).join(", ")}.` },
    ["line", { class: "here", x1: x(here), x2: x(here), y1: top - 10, y2: y(ranks) + 8 }], ...ever.filter((id) => !strong.includes(id)).map(line), ...strong.toReversed().map(line),
    ...first.map((id, place) => label(id, place, left - 10, "end")), ...last.map((id, place) => label(id, place, width - right + 10, "start")),
    ["text", { x: left - 10, y: y(ranks) + 4, "text-anchor": "end", class: "soft" }, `below rank ${ranks}`],
    ["text", { x: left, y: 10, class: "soft", "text-anchor": "middle" }, `step ${film.steps[0]}`], ["text", { x: width - right, y: 10, class: "soft", "text-anchor": "middle" }, `step ${film.steps.at(-1)}`]]);
  drawing.addEventListener("click", (event) => {
    const box = drawing.getBoundingClientRect();
    const at = Math.round((((event.clientX - box.left) / box.width) * width - left) / ((width - left - right) / Math.max(1, looks.length - 1)));
    go(Math.min(looks.length - 1, Math.max(0, at)));
  });
  return drawing;
}

export function createMap(picked) {
  const drawing = el("div", { class: "drawn" });
  const hint = el("p", { class: "soft" });
  const node = el("section", { class: "inside-map", "aria-label": "Map of the vocabulary", "data-part": "prompt" }, el("h3", {}, "Where the vectors went, among the words"), drawing, hint);

  function show(film, place, chosen) {
    const looks = film.frames.map((frame) => frame.map?.points || null);
    node.hidden = !looks.some(Boolean);
    if (node.hidden) return;
    fill(drawing, map(film, looks, place, chosen, picked));
    const share = film.explained.reduce((sum, part) => sum + part, 0);
    say(hint, `The two directions in which the vocabulary varies most${share ? `, ${(100 * share).toPrecision(2)} % of its variance` : ""}: what is near here may be far apart in the others. Grey: common words. Lines: the way of each vector up to this look.`);
  }

  return { node, show };
}

function map(film, looks, here, chosen, picked) {
  const { width, height, edge } = MAP;
  const known = [...film.words, ...looks.filter(Boolean).flat()];
  const span = (axis) => [Math.min(...known.map((each) => each[axis])), Math.max(...known.map((each) => each[axis]))];
  const [[left, right], [low, high]] = [span(0), span(1)];
  const at = ([x, y]) => [edge + ((width - 2 * edge) * (x - left)) / Math.max(1e-9, right - left), height - edge - ((height - 2 * edge) * (y - low)) / Math.max(1e-9, high - low)];
  const now = looks.findLast((each, place) => each && place <= here) || looks.find(Boolean);
  const many = now.length;
  const way = (position) => looks.slice(0, here + 1).filter(Boolean).map((points) => at(points[position]).map((part) => part.toFixed(1)).join(",")).join(" ");
  const order = [...Array(many).keys()].filter((position) => position !== chosen).concat(chosen < many ? [chosen] : []);
  const drawing = svg(["svg", { xmlns: SPACE, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${many} vectors among ${film.words.length} common words` },
    ...film.words.map((word) => { const [x, y] = at(word); return ["circle", { class: "word", cx: x.toFixed(1), cy: y.toFixed(1), r: 1.6 }, ["title", {}, readable(word[2])]]; }), ...names(film.words, at),
    ...order.map((position) => ["polyline", { class: position === chosen ? "way chosen" : "way", points: way(position), "data-position": position }]),
    ...order.map((position) => { const [x, y] = at(now[position]); return ["circle", { class: position === chosen ? "vector chosen" : "vector", cx: x.toFixed(1), cy: y.toFixed(1), r: position === chosen ? 6 : 4, "data-position": position }, ["title", {}, `virtual token ${position + 1}`]]; }),
    ...(chosen < many ? [["text", { class: "number", x: at(now[chosen])[0] + 9, y: at(now[chosen])[1] + 4 }, String(chosen + 1)]] : [])]);
  drawing.addEventListener("click", (event) => { if (event.target.dataset.position !== undefined) picked(Number(event.target.dataset.position)); });
  return drawing;
}

// Names of words that do not cover one another.
function names(words, at) {
  const taken = [];
  for (const word of words) {
    const [x, y] = at(word), text = short(readable(word[2])), wide = 6 * text.length + 8;
    if (taken.length >= NAMED || x + wide > MAP.width || taken.some((each) => Math.abs(each.y - y) < 13 && x < each.x + each.wide && each.x < x + wide)) continue;
    taken.push({ x, y, wide, text });
  }
  return taken.map(({ x, y, text }) => ["text", { class: "soft", x: (x + 4).toFixed(1), y: (y + 3).toFixed(1) }, text]);
}

function short(text) {
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}
