// Small drawings that several screens share: counts, the block, the memory bar, scores with their errors.
import { el } from "./dom.js";

// What can be taken home, as links in a line.
export function files(offers) {
  return offers.length ? el("p", { class: "files soft" }, "Take home: ", offers.map((each, place) => [place ? " · " : "", el("a", { href: each.href, download: each.name }, each.words)])) : null;
}

// A small grey image, pixel by pixel.
export function image(pixels) {
  const most = Math.max(1, ...pixels.flat());
  return el("span", { class: "image", role: "img", "aria-label": "the image", style: { "grid-template-columns": `repeat(${pixels[0].length}, 1fr)` } },
    pixels.flat().map((ink) => el("i", { style: { opacity: ink / most } })));
}

export function shareBar(part) {
  return el("div", { class: "share", role: "img", "aria-label": `trained: ${(100 * part).toPrecision(2)} % of all numbers` },
    el("span", { style: { width: `${Math.max(0.4, 100 * part)}%` } }));
}

export function counts(rows) {
  return el("dl", { class: "counts" }, rows.flatMap((row) => [
    el("dt", { class: row.name }, row.name, el("small", {}, row.about)), el("dd", { class: row.name }, row.value)]));
}

// `linked`: for each line the parts of the model that it counts.
export function terms(lines, total, linked = []) {
  if (!lines.length) return el("p", { class: "soft" }, "Nothing is trained, so there is nothing to count.");
  return el("div", { class: "terms" }, lines.map((line, place) => el("div", { "data-part": linked[place] || null }, el("code", {}, line.each), el("small", {}, line.where), el("b", {}, line.total))),
    el("div", { class: "sum" }, el("span", {}, "trainable, together"), el("b", {}, total)));
}

// The model in boxes: grey is frozen, the accent is trained; the count says it a second time.
export function blockDrawing(block) {
  const box = (each) => el("span", { class: each.trained ? "box trained" : "box", title: each.trained ? `${each.count} trained` : "frozen" },
    each.name, el("small", {}, each.trained ? each.count : "frozen"));
  return el("div", { class: "drawing" }, block.before.map(box),
    el("div", { class: "block" }, el("span", { class: "times" }, block.caption), block.boxes.map(box)), block.after.map(box));
}

export function memoryBar(bar, longest) {
  const share = (part) => `${(100 * part.bytes) / Math.max(longest, 1)}%`;
  return el("div", { class: "memory" }, el("div", { class: "head" }, el("span", {}, bar.name), el("b", { title: `${bar.bytes.toLocaleString("en")} bytes` }, bar.peak)),
    el("div", { class: "stack", role: "img", "aria-label": `${bar.name}: ${bar.parts.map((part) => `${part.name} ${part.text}`).join(", ")}` },
      bar.parts.map((part) => el("span", { title: `${part.name}: ${part.bytes.toLocaleString("en")} bytes`, style: { width: share(part), background: part.colour } }))));
}

// What the colours of a memory bar mean.
export function memoryKey(bar) {
  return el("ul", { class: "memory-colours" }, bar.parts.map((part) => el("li", {}, el("i", { style: { background: part.colour }, "aria-hidden": "true" }), part.name)));
}

export function memoryParts(bars) {
  return el("table", { class: "parts" }, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "part"), bars.map((bar) => el("th", { scope: "col" }, bar.name)))),
    el("tbody", {}, bars[0].parts.map((part, place) => el("tr", {}, el("th", { scope: "row" }, el("i", { style: { background: part.colour } }), part.name),
      bars.map((bar) => el("td", {}, bar.parts[place].text))))));
}

// Scores on one line from 0 to 1: a mark, and a band of one standard error to each side.
export function scoreRows(rows) {
  return el("div", { class: "scores" }, rows.map((row) => el("div", { class: `score ${row.who}` },
    el("div", { class: "who" }, row.name, el("small", {}, row.about)),
    el("div", { class: "track", role: "img", "aria-label": row.text },
      el("span", { class: "error", style: { left: `${100 * Math.max(0, row.score - row.error)}%`, width: `${100 * Math.min(1, 2 * row.error)}%` } }),
      el("span", { class: "mark", style: { left: `${100 * row.score}%` } })),
    el("b", { title: row.exact }, row.text))));
}
