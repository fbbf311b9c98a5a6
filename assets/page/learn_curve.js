// A curve sketched over the arms of a comparison: drawn with mouse or finger, or point by point with the arrow keys.
import { el, say } from "./dom.js";
import { unitOf } from "./learn_guess.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDE = 560, HIGH = 220, LEFT = 60, RIGHT = 20, TOP = 14, LOW = 40;

export function createCurve(block, kept, changed) {
  const { arms, low, high, unit } = block;
  const state = { points: kept ? [...kept] : arms.map(() => (low + high) / 2), touched: kept !== undefined, locked: false };
  const x = (place) => LEFT + ((WIDE - LEFT - RIGHT) * place) / Math.max(1, arms.length - 1);
  const y = (value) => TOP + (HIGH - TOP - LOW) * (1 - (value - low) / (high - low));
  const clamp = (value) => Math.min(high, Math.max(low, value));
  const picture = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "guess-curve", role: "group", "aria-label": `Sketch: ${block.about}, from ${arms[0]} to ${arms.at(-1)}` });
  const path = svg("polyline", { fill: "none", class: "sketch" });
  const marks = arms.map((arm, place) => {
    const mark = svg("circle", { r: 8, class: "sketch-point", tabindex: 0, role: "slider", "aria-label": arm, "aria-valuemin": low, "aria-valuemax": high });
    mark.addEventListener("keydown", (event) => key(event, place));
    return mark;
  });
  picture.append(...[low, (low + high) / 2, high].flatMap((value) => [svg("line", { x1: LEFT, x2: WIDE - RIGHT, y1: y(value), y2: y(value), class: "grid" }),
    text(unitOf(value, unit), LEFT - 8, y(value) + 4, "end")]), ...arms.map((arm, place) => text(arm, x(place), HIGH - LOW + 22, place ? (place === arms.length - 1 ? "end" : "middle") : "start")), path, ...marks);
  const spoken = el("p", { class: "hint" }, "Draw from left to right, or choose a point and use the arrow keys.");

  picture.addEventListener("pointerdown", (event) => { picture.setPointerCapture(event.pointerId); draw(event); });
  picture.addEventListener("pointermove", (event) => { if (event.buttons) draw(event); });

  function draw(event) {
    const box = picture.getBoundingClientRect();
    const across = ((event.clientX - box.left) / box.width) * WIDE, down = ((event.clientY - box.top) / box.height) * HIGH;
    const place = Math.round(((across - LEFT) / (WIDE - LEFT - RIGHT)) * (arms.length - 1));
    if (place < 0 || place >= arms.length || state.locked) return;
    event.preventDefault();
    set(place, low + (high - low) * (1 - (down - TOP) / (HIGH - TOP - LOW)));
  }

  function key(event, place) {
    const by = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 5, PageDown: -5 }[event.key];
    if (!by || state.locked) return;
    event.preventDefault();
    set(place, state.points[place] + (by * (high - low)) / 50);
  }

  function set(place, value) {
    state.points[place] = Number(clamp(value).toPrecision(4));
    state.touched = true;
    paint();
    changed();
  }

  function show(points) {
    Object.assign(state, { points: [...points], touched: true });
    paint();
  }

  // Its points can still be read, and are moved no more.
  function lock(locked) {
    state.locked = locked;
    picture.classList.toggle("locked", locked);
    marks.forEach((mark) => mark.setAttribute("aria-disabled", String(locked)));
  }

  function paint() {
    path.setAttribute("points", state.points.map((value, place) => `${x(place)},${y(value)}`).join(" "));
    marks.forEach((mark, place) => {
      mark.setAttribute("cx", x(place));
      mark.setAttribute("cy", y(state.points[place]));
      mark.setAttribute("aria-valuenow", state.points[place]);
      mark.setAttribute("aria-valuetext", unitOf(state.points[place], unit));
    });
    if (state.touched) say(spoken, arms.map((arm, place) => `${arm}: ${unitOf(state.points[place], unit)}`).join(" · "));
  }

  paint();
  return { node: el("div", {}, el("p", { class: "hint" }, `Upwards: ${block.about}.`), picture, spoken), value: () => (state.touched ? [...state.points] : null), set: show, lock };
}

export function svg(name, attributes, words = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = words;
  return made;
}

function text(words, x, y, anchor) {
  return svg("text", { x, y, "text-anchor": anchor }, words);
}
