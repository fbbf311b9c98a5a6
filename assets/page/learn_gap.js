// How far a guess was from what came out, drawn and said.
import { el } from "./dom.js";
import { svg } from "./learn_curve.js";
import { said, unitOf } from "./learn_guess.js";

// `second` is what was guessed again once this was known.
export function gap(block, guess, answer, second) {
  return el("div", { class: answer.near ? "learn-gap near" : "learn-gap" }, el("p", { class: "asked" }, el("span", { class: "tag" }, "You predicted"), block.ask), DRAWN[block.asks](block, guess, answer),
    el("p", { class: answer.near ? "says right" : "says wrong" }, answer.says), second === undefined ? null : el("p", { class: "soft" }, `With the result seen, you guessed again: ${said(block, second)}.`));
}

// A guess whose answer takes more than what is known by now.
export function unanswered(block, guess, steps) {
  return el("div", { class: "learn-gap open" }, el("p", { class: "asked" }, el("span", { class: "tag" }, "You predicted"), block.ask), el("dl", {}, el("dt", { class: "guess" }, "you"), el("dd", {}, said(block, guess))),
    el("p", { class: "says" }, `What came out is not known yet: it also takes ${steps.map((step) => `“${step}”`).join(" and ")}, which has not been run. Your guess is kept until then.`));
}

const DRAWN = { number, choice, order, curve };

function number(block, guess, { truth, shown, near }) {
  const { low, high, log, unit } = block;
  const at = (value) => 100 * Math.min(1, Math.max(0, log ? Math.log(Math.max(value, low) / low) / Math.log(high / low) : (value - low) / (high - low)));
  const [one, other] = [at(guess), at(truth)];
  const far = near ? "close" : distance(guess, truth);
  return el("div", { class: "gap-number" }, el("div", { class: "track", role: "img", "aria-label": `You said ${unitOf(guess, unit)}, it is ${shown}` },
    el("span", { class: "between", style: { left: `${Math.min(one, other)}%`, width: `${Math.abs(one - other)}%` } }), el("span", { class: "guess", style: { left: `${one}%` } }), el("span", { class: "truth", style: { left: `${other}%` } })),
  el("dl", {}, el("dt", { class: "guess" }, "you"), el("dd", {}, unitOf(guess, unit)), el("dt", { class: "truth" }, "it is"), el("dd", {}, shown), el("dt", {}, "apart"), el("dd", {}, far)));
}

// As a share of what came out: 33 % too little, 2.4 times as much.
function distance(guess, truth) {
  const way = guess > truth ? "too much" : "too little";
  if (!(guess > 0 && truth > 0)) return way;
  const ratio = guess / truth;
  return ratio >= 2 ? `${Number(ratio.toPrecision(2))} times as much` : `${Math.round(100 * Math.abs(ratio - 1))} % ${way}`;
}

function choice(block, guess, { truth, shown }) {
  return el("dl", { class: "gap-choice" }, el("dt", { class: "guess" }, "you"), el("dd", {}, block.options[guess - 1]),
    el("dt", { class: "truth" }, "it is"), el("dd", {}, block.options[truth - 1], shown && shown !== block.options[truth - 1] ? el("small", {}, ` (${shown})`) : null));
}

function order(block, guess, { truth, shown }) {
  const name = (key) => block.items.find((item) => item.key === key)?.name || key;
  const column = (title, items, kind) => el("div", {}, el("h4", { class: kind }, title), el("ol", {}, items.map((key) => el("li", {}, name(key)))));
  return el("div", { class: "gap-order" }, column("you", guess, "guess"), column("it is", truth, "truth"), el("p", { class: "soft" }, shown));
}

// Both curves in one picture; the numbers stand below.
function curve(block, guess, { truth }) {
  const { arms, low, high, unit } = block;
  const wide = 560, tall = 200, left = 60, right = 20, top = 12, foot = 34;
  const least = Math.min(low, ...truth), most = Math.max(high, ...truth);
  const x = (place) => left + ((wide - left - right) * place) / Math.max(1, arms.length - 1);
  const y = (value) => top + (tall - top - foot) * (1 - (value - least) / (most - least));
  const line = (values, kind) => svg("polyline", { points: values.map((value, place) => `${x(place)},${y(value)}`).join(" "), fill: "none", class: kind });
  const picture = svg("svg", { viewBox: `0 0 ${wide} ${tall}`, class: "guess-curve", role: "img", "aria-label": `Your sketch and what came out: ${arms.map((arm, place) => `${arm} ${unitOf(guess[place], unit)} against ${unitOf(truth[place], unit)}`).join(", ")}` });
  picture.append(...[least, most].map((value) => svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, unitOf(value, unit))),
    ...arms.map((arm, place) => svg("text", { x: x(place), y: tall - 10, "text-anchor": place ? (place === arms.length - 1 ? "end" : "middle") : "start" }, arm)), line(guess, "sketch"), line(truth, "came-out"));
  return el("div", {}, picture, el("p", { class: "soft" }, el("b", { class: "guess" }, "dashed: you"), " · ", el("b", { class: "truth" }, "line: what came out"), " · ",
    arms.map((arm, place) => `${arm} ${unitOf(truth[place], unit)}`).join(", ")));
}
