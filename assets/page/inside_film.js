// What was recorded of a soft prompt while it trained, put together look by look, and the player that goes through it.
import { figure as svg } from "./anatomy.js";
import { el, say } from "./dom.js";
import { redraw } from "./inside_lens.js";

const PAUSE = 900; // milliseconds a look stays on the screen while it plays
const SPACE = "http://www.w3.org/2000/svg";
const WIDTH = 1000, HEIGHT = 64;

export function filmOf(view) {
  const of = (key) => (view.lenses.find((row) => row.key === key)?.value || []).filter((seen) => seen.value);
  const [river, drift, map] = ["prompt_river", "prompt_drift", "prompt_map"].map(of);
  const steps = [...new Set([...river, ...drift, ...map].map((seen) => seen.step))].sort((one, other) => one - other);
  const at = (seen, step) => seen.find((each) => each.step === step)?.value || null;
  return {
    steps, frames: steps.map((step) => ({ step, river: at(river, step), drift: at(drift, step), map: at(map, step) })),
    texts: Object.assign({}, ...river.map((seen) => seen.value.texts || {})), words: map[0]?.value.words || [], explained: map[0]?.value.explained || [],
  };
}

// The nearest tokens of a position at a look, best first: [{id, text, value}].
export function neighboursAt(film, place, position) {
  return (film.frames[place]?.river?.positions[position] || []).map(([id, value]) => ({ id, text: film.texts[id] ?? `#${id}`, value }));
}

// `moved(place)` is told which look is on the screen.
export function createPlayer(moved) {
  const state = { at: 0, looks: 0, last: true, timer: 0, film: null };
  const play = el("button", { type: "button", class: "plain", onclick: () => (state.timer ? pause() : start()) }, "Play");
  const slider = el("input", { type: "range", min: 0, max: 0, step: 1, value: 0, "aria-label": "look during training", oninput: () => { pause(); go(Number(slider.value)); } });
  const where = el("output", {});
  const curve = el("div", { class: "inside-loss" });
  const node = el("section", { class: "inside-player", "aria-label": "Replay of the training" }, el("div", { class: "controls" }, play, slider, where), curve);

  function show(film, view) {
    state.film = film;
    state.view = view;
    const grown = film.steps.length !== state.looks;
    state.looks = film.steps.length;
    node.hidden = state.looks < 2;
    slider.max = Math.max(0, state.looks - 1);
    if (grown && state.last) state.at = Math.max(0, state.looks - 1); // who watches the end goes along with it
    redraw(curve, [view.losses.length, view.steps], () => [drawn(view)]);
    mark();
  }

  function go(place) {
    state.at = place;
    state.last = place === state.looks - 1;
    mark();
    moved(place);
  }

  function start() {
    if (state.last) go(0);
    play.textContent = "Pause";
    state.timer = setInterval(() => {
      if (!node.isConnected || state.at >= state.looks - 1) return pause();
      return go(state.at + 1);
    }, PAUSE);
  }

  function pause() {
    clearInterval(state.timer);
    state.timer = 0;
    play.textContent = "Play";
  }

  function mark() {
    const step = state.film.steps[state.at] ?? 0;
    slider.value = state.at;
    const words = `step ${step} of ${state.view.steps}`;
    slider.setAttribute("aria-valuetext", words);
    const loss = lossAt(state.view.losses, step);
    say(where, loss === null ? words : `${words}, loss ${loss.toFixed(3)}`);
    const line = curve.querySelector(".here");
    if (line) for (const end of ["x1", "x2"]) line.setAttribute(end, (WIDTH * step) / Math.max(1, state.view.steps));
  }

  return { node, show, pause, go: (place) => { pause(); go(place); }, at: () => state.at, ended: () => state.looks === 0 || state.at === state.looks - 1 };
}

// Before the first step there is no loss yet: the first one is that of the untrained prompt.
function lossAt(losses, step) {
  return losses.reduce((found, [at, loss]) => (at <= Math.max(1, step) ? loss : found), null);
}

function drawn(view) {
  const losses = view.losses;
  if (losses.length < 2) return el("p", { class: "soft" }, "The loss is drawn here as it comes.");
  const high = Math.max(...losses.map(([, loss]) => loss)), low = Math.min(...losses.map(([, loss]) => loss));
  const x = (step) => (WIDTH * step) / Math.max(1, view.steps);
  const y = (loss) => 4 + ((HEIGHT - 8) * (high - loss)) / Math.max(1e-9, high - low);
  const points = losses.map(([step, loss]) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`).join(" ");
  const drawing = svg(["svg", { xmlns: SPACE, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `Loss over the steps, from ${losses[0][1].toFixed(3)} to ${losses.at(-1)[1].toFixed(3)}` },
    ["polyline", { points, class: "loss" }], ["line", { class: "here", x1: "0", x2: "0", y1: "0", y2: String(HEIGHT) }]]);
  return el("div", { class: "curve" }, drawing, el("small", { class: "high" }, `loss ${high.toFixed(2)}`), el("small", { class: "low" }, low.toFixed(2)));
}

export { SPACE };
