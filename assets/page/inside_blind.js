// The blind reader: five lists of words without names, one of them of a trained prompt. Guesses stay in this browser, and are held against chance.
import { el, fill, say } from "./dom.js";
import { asking, readable, redraw } from "./inside_lens.js";
import { recall, remember } from "./session.js";

const KINDS = { trained: "the trained prompt", init: "the same prompt before training", direction: "chance: random directions", noise: "chance: random words, moved as far", permuted: "chance: its own numbers in another order" };
const KEPT = 200; // guesses, of as many deals

export function createBlind() {
  const state = { context: null, row: null };
  const heading = el("h4", {});
  const about = el("p", { class: "soft" });
  const lists = el("div", { class: "blind-lists" });
  const verdict = el("p", { class: "blind-verdict", role: "status" });
  const tally = el("p", { class: "soft" });
  const more = el("div", { class: "trial-go" });
  const node = el("article", { class: "card trial blind" }, heading, about, lists, verdict, tally, more);

  function update(context, row) {
    Object.assign(state, { context, row });
    say(heading, row.title);
    say(about, row.about);
    node.setAttribute("aria-label", row.title);
    const said = guess();
    redraw(lists, [row.mark, said], () => (row.value ? row.value.lists.map((words, place) => list(words, place, said)) : []));
    say(verdict, row.value && said !== null ? told(row.value, said) : "");
    say(tally, counted());
    redraw(more, [row.mark, row.look, row.missing, row.asks, said], () => actions(said));
  }

  // A deal is known by the look that made it; the same lists are guessed once.
  function deal() {
    return `${state.context.view.run} ${state.row.mark}`;
  }

  function guesses() {
    const kept = recall("blind");
    return Array.isArray(kept) ? kept : [];
  }

  function guess() {
    return state.row.value ? guesses().find((each) => each.deal === deal())?.guess ?? null : null;
  }

  function pick(place) {
    if (guess() !== null) return;
    const { answer, alike = [answer] } = state.row.value;
    remember("blind", [...guesses(), { deal: deal(), guess: place, right: alike.includes(place), alike: alike.length }].slice(-KEPT));
    update(state.context, state.row);
    verdict.scrollIntoView({ block: "nearest" });
  }

  function list(words, place, said) {
    const { answer, kinds } = state.row.value;
    const open = said !== null;
    return el("section", { class: open && place === answer ? "blind-list trained" : "blind-list", "aria-label": `List ${place + 1}` }, el("h5", {}, `List ${place + 1}`, open && place === said ? el("small", {}, " your guess") : null),
      el("div", { class: "trial-words" }, words.map((word) => el("span", {}, readable(word)))),
      open ? el("p", { class: "kind" }, place === answer ? `✓ ${KINDS.trained}` : KINDS[kinds?.[place]] || String(kinds?.[place] ?? "")) :
        el("button", { type: "button", class: "plain", onclick: () => pick(place) }, "This one was trained"));
  }

  function told({ answer, alike = [answer] }, said) {
    if (alike.length > 1) return `Lists ${alike.map((place) => place + 1).join(" and ")} are the same, word by word: training moved no vector to another word, so no reader can tell. This round is not counted.`;
    return said === answer ? `Right: list ${answer + 1} is the trained prompt's.` : `It was list ${answer + 1}. If you could not tell, the words alone do not show that something was learned.`;
  }

  function counted() {
    const all = guesses().filter((each) => !(each.alike > 1)); // where two lists are the same, a guess shows nothing
    if (!all.length) return state.row.value ? "Blind guessing finds it one time in five (20 %)." : "";
    const right = all.filter((each) => each.right).length;
    const p = atLeast(right, all.length, 0.2);
    return `In this browser: ${right} right of ${all.length} (${Math.round((100 * right) / all.length)} %); blind guessing gets 20 %, and at least as many in ${p < 0.001 ? "less than 0.1" : p >= 0.1 ? Math.round(100 * p) : (100 * p).toPrecision(2).replace(/\.0$/, "")} % of such series.`;
  }

  // Once answered, other lists can be dealt, where the lens has a seed to draw them by.
  function actions(said) {
    const { context, row } = state;
    const seed = row.knobs.find((knob) => knob.name === "seed");
    if (!row.value || row.look) return asking(context, { ...row, knobs: [] }, "Deal five lists");
    if (said === null || !seed || !row.asks) return null;
    const trouble = el("p", { class: "error-text", role: "alert", hidden: true });
    return [el("button", { type: "button", class: "plain", onclick: async (event) => {
      event.target.disabled = true;
      const answer = await context.ask(row.key, { seed: next(seed) });
      event.target.disabled = false;
      trouble.hidden = !answer.error;
      say(trouble, answer.error || "");
    } }, "Deal other lists"), trouble];
  }

  function next(seed) {
    const low = seed.low ?? 0, high = seed.high ?? 2 ** 31 - 1;
    return low + Math.floor(Math.random() * (Math.min(high, low + 1_000_000) - low + 1));
  }

  return { node, update };
}

// How likely so many or more are right by chance alone.
export function atLeast(right, of, chance) {
  let term = (1 - chance) ** of, below = 0;
  for (let count = 0; count < right; count += 1) {
    below += term;
    term *= ((of - count) / (count + 1)) * (chance / (1 - chance));
  }
  return Math.min(1, Math.max(0, 1 - below));
}
