// A prediction: a number, a choice, an order or a curve. It is kept in this browser and compared with the result that follows.
import { createCurve } from "./learn_curve.js";
import { el, fill, say } from "./dom.js";
import { teacher } from "./session.js";

export function createGuess(block, context) {
  if (!teacher.predicts) return { node: el("div", { hidden: true }) };
  const state = { mode: "open" }; // then "locked", once a part of the result has been seen, and "again" where it is guessed knowing that
  const made = KINDS[block.asks](block, kept(), () => { if (state.mode === "open") told(); });
  const done = el("p", { class: "says", role: "status", tabindex: -1 });
  const button = el("button", { type: "button", class: "plain", onclick: () => keep() });
  const asItIs = el("button", { type: "button", class: "plain", hidden: true, onclick: () => { made.agree(); keep(); } }, "I think it is this order"); // shown where nothing was moved
  const again = el("button", { type: "button", class: "plain", hidden: true, onclick: () => reopen() }, "Guess again, now that you know");
  const leave = el("button", { type: "button", class: "plain", hidden: true, onclick: () => lock() }, "Leave it as it was");
  const box = el("fieldset", { class: "guess-box", "aria-label": "Your guess" }, made.node);
  const node = el("fieldset", { class: "learn-question predict" }, el("legend", {}, el("span", { class: "tag" }, "Predict"), block.ask), box, el("div", { class: "buttons" }, button, asItIs, again, leave), done);

  // One that no longer fits, since the lesson was changed, is none.
  function kept(part = "guesses") {
    const guess = context.kept()[part]?.[block.name];
    return FITS[block.asks](block, guess) ? guess : undefined;
  }

  // The first guess is what the result is held against; one that was made after the result was seen is kept beside it, as the second.
  function keep() {
    const guess = made.value();
    asItIs.hidden = guess !== null || !made.agree;
    if (guess === null) { say(done, made.missing || "Make a guess first; a wrong one teaches more than none."); return; }
    const part = state.mode === "again" ? "second" : "guesses";
    context.keep({ [part]: { ...context.kept()[part], [block.name]: guess } });
    if (state.mode === "again") lock();
    else if (state.mode === "open") told();
  }

  // A button that goes away leaves the keyboard at what is said beside it.
  function offer(...shown) {
    for (const each of [button, asItIs, again, leave]) {
      if (each === document.activeElement && !shown.includes(each)) done.focus({ preventScroll: true });
      each.hidden = !shown.includes(each);
    }
  }

  function changed(from) {
    const now = made.value();
    return now !== null && JSON.stringify(now) !== JSON.stringify(from);
  }

  // Before the result: what is kept, and how it is changed.
  function told() {
    const guess = kept();
    const first = guess === undefined, differs = !first && changed(guess);
    button.textContent = first ? "That is my guess" : "Keep the changed guess";
    if (first) return;
    offer(...(differs ? [button] : []));
    say(done, differs ? `Still kept: ${said(block, guess)}. What you have just set counts only once you press “Keep the changed guess”.`
      : `Kept: ${said(block, guess)}. You will see it beside the result${block.settled.length > 1 ? ` in “${block.answered_in}”` : ""}. Until then you can change it above.`);
  }

  // Once a part of what it is about has been looked at, a guess stays what it was; a run that was stopped before it showed anything was no look.
  function settle() {
    if (kept() === undefined) return;
    const seen = context.resultSeen(block.name);
    if (state.mode === "open" && seen) lock();
    else if (state.mode === "locked" && seen) stays();
    else if (state.mode === "locked") unlock();
  }

  function unlock() {
    state.mode = "open";
    box.disabled = false;
    made.lock?.(false);
    told();
  }

  function lock() {
    Object.assign(state, { mode: "locked" });
    box.disabled = true;
    made.set(kept());
    made.lock?.(true); // what is no form control does not follow the fieldset
    offer(again);
    stays();
  }

  function stays() {
    const second = kept("second");
    say(done, `You guessed: ${said(block, kept())}. ${reason()}, so this guess stays.${second === undefined ? "" : ` Knowing it, you guessed again: ${said(block, second)}.`}`);
  }

  // A guess that is made again says nothing of what was expected, so it takes the place of none.
  function reopen() {
    Object.assign(state, { mode: "again" });
    box.disabled = false;
    made.lock?.(false);
    made.set(kept("second") ?? kept());
    offer(button, leave);
    button.textContent = "Keep this as my second guess";
    say(done, `${reason()}, so a guess from now on is made with that knowledge: it is kept as your second, beside the first (${said(block, kept())}), which is what the result is held against.`);
  }

  function reason() {
    if (context.kept().seen?.includes(block.answered)) return "The result has been shown";
    return context.kept().seen?.some((name) => block.settled.includes(name)) ? `A part of the result has been shown (the answer comes in “${block.answered_in}”)` : "Your own run of it has been started";
  }

  told();
  return { node, settle, waits: () => (kept() === undefined ? "Make your guess above and press “That is my guess”; then go on." : "") };
}

const KINDS = { number, choice, order, curve: createCurve };

const FITS = {
  number: (block, guess) => Number.isFinite(guess),
  choice: (block, guess) => Number.isInteger(guess) && guess >= 1 && guess <= block.options.length,
  order: (block, guess) => Array.isArray(guess) && guess.length === block.items.length && block.items.every((item) => guess.includes(item.key)),
  curve: (block, guess) => Array.isArray(guess) && guess.length === block.arms.length,
};

// A guess in words.
export function said(block, guess) {
  if (block.asks === "choice") return block.options[guess - 1];
  if (block.asks === "order") return guess.map((key) => block.items.find((item) => item.key === key)?.name).join(", ");
  return [guess].flat().map((value) => unitOf(value, block.unit)).join(", ");
}

export function unitOf(value, unit) {
  const few = (amount) => Number(amount.toPrecision(3)).toLocaleString("en");
  if (unit === "share") return `${few(100 * value)} %`;
  if (unit === "bytes") {
    const [size, name] = [[1e9, "GB"], [1e6, "MB"], [1e3, "KB"], [1, "bytes"]].find(([each]) => Math.abs(value) >= each) || [1, "bytes"];
    return `${few(value / size)} ${name}`;
  }
  if (unit === "seconds") return `${few(value)} s`;
  if (unit === "times" || unit === "ratio") return `${few(value)} times`;
  return few(value);
}

function number(block, kept, changed) {
  const { low, high, log, unit } = block;
  const steps = 200;
  const at = (place) => (log ? low * (high / low) ** (place / steps) : low + ((high - low) * place) / steps);
  const place = (value) => Math.round(steps * (log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low)));
  const nice = (value) => (unit === "count" ? Math.round(Number(value.toPrecision(3))) : Number(value.toPrecision(3)));
  const state = { touched: kept !== undefined, value: kept ?? nice(at(steps / 2)) };
  const shown = el("output", {}, state.touched ? unitOf(state.value, unit) : "move the slider");
  const slider = el("input", { type: "range", min: 0, max: steps, value: place(state.value), "aria-label": block.ask,
    oninput: () => { Object.assign(state, { touched: true, value: nice(at(Number(slider.value))) }); paint(); changed(); } });
  const paint = () => {
    say(shown, unitOf(state.value, unit));
    slider.setAttribute("aria-valuetext", unitOf(state.value, unit));
  };
  if (state.touched) paint();
  return { node: el("div", { class: "guess-number" }, slider, shown, el("div", { class: "ends" }, el("span", {}, unitOf(low, unit)), el("span", {}, unitOf(high, unit)))),
    value: () => (state.touched ? state.value : null), set: (value) => { Object.assign(state, { touched: true, value }); slider.value = place(value); paint(); } };
}

function choice(block, kept, changed) {
  const state = { chosen: kept ?? null };
  const node = el("div", { class: "guess-choice" }, block.options.map((text, place) => el("label", {},
    el("input", { type: "radio", name: `guess-${block.name}`, checked: kept === place + 1, onchange: () => { state.chosen = place + 1; changed(); } }), el("span", {}, text))));
  return { node, value: () => state.chosen, set: (chosen) => { state.chosen = chosen; node.querySelectorAll("input")[chosen - 1].checked = true; } };
}

// Moved by buttons, which work with mouse, finger and keyboard alike.
function order(block, kept, changed) {
  const named = (keys) => keys.map((key) => block.items.find((item) => item.key === key));
  const state = { items: kept ? named(kept) : [...block.items], touched: kept !== undefined };
  const list = el("ol", { class: "guess-order" });
  const hint = el("p", { class: "hint" });
  const spoken = el("p", { class: "hidden-text", role: "status" });
  const move = (from, by) => {
    const to = from + by;
    if (to < 0 || to >= state.items.length) return;
    [state.items[from], state.items[to]] = [state.items[to], state.items[from]];
    state.touched = true;
    paint();
    const [wanted, other] = by < 0 ? [".up", ".down"] : [".down", ".up"];
    (list.children[to].querySelector(`${wanted}:enabled`) || list.children[to].querySelector(other)).focus(); // at an end one of them is off
    say(spoken, `${state.items[to].name} is now ${to + 1} of ${state.items.length}`);
    changed();
  };
  const paint = () => {
    say(hint, `Largest on top: ${block.about}.${state.touched ? "" : " They stand in no order yet: move them with the arrows."}`);
    fill(list, state.items.map((item, place) => el("li", {}, el("span", {}, item.name),
    el("button", { type: "button", class: "small up", "aria-label": `${item.name} up`, disabled: place === 0, onclick: () => move(place, -1) }, "↑"),
    el("button", { type: "button", class: "small down", "aria-label": `${item.name} down`, disabled: place === state.items.length - 1, onclick: () => move(place, 1) }, "↓"))));
  };
  paint();
  return { node: el("div", { class: "guess-arms" }, hint, list, spoken), value: () => (state.touched ? state.items.map((item) => item.key) : null), agree: () => { state.touched = true; paint(); },
    set: (keys) => { Object.assign(state, { items: named(keys), touched: true }); paint(); },
    missing: "Nothing has been moved yet, so this is no guess. Move them until the one you expect to be largest is on top; or, if this is the order that you expect, press “I think it is this order”." };
}
