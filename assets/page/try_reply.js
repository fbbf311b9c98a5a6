// The right side of the Try tab: a card for each who was asked, the tokens the tuned model read, and how long an answer takes in each form.
import { el, fill, say } from "./dom.js";
import { readable, redraw } from "./inside_lens.js";

const WAITING = { base: "what the base says without training", tuned: "what the run made of it" };

export function createReply({ time, again }) {
  const state = { truth: null, timing: false, view: null };
  const cards = el("div", { class: "try-cards" });
  const caution = el("p", { class: "soft try-caution", hidden: true });
  const notice = el("div", { class: "notice", role: "alert", hidden: true });
  const tokens = el("section", { class: "try-tokens", "aria-label": "Tokens", hidden: true });
  const clock = el("section", { class: "try-latency", "aria-label": "Latency", hidden: true });
  const measure = el("button", { type: "button", class: "plain", onclick: () => time() }, "Take the time of each");
  const measured = el("div", { class: "try-measured" });
  const node = el("section", { class: "try-reply", "aria-label": "Answers" }, notice, cards, caution, tokens, clock);
  const places = new Map();

  function clear() {
    state.view = null;
    measure.disabled = false;
    places.clear();
    fill(cards);
    for (const each of [caution, notice, tokens, clock]) each.hidden = true;
    for (const each of [tokens, measured]) { each.drawn = ""; fill(each); }
  }

  // Nothing has been asked yet: the places where the answers will be.
  function wait(view) {
    state.view = view;
    if (places.size) return;
    fill(cards, ["base", "tuned"].map((who) => el("article", { class: `try-card waiting ${who}` }, el("h3", {}, who === "base" ? `${view.base}, untouched` : `${view.base} with ${view.method}`),
      el("p", { class: "soft" }, WAITING[who]))));
  }

  function begin(timing, truth) {
    Object.assign(state, { timing });
    notice.hidden = true;
    measure.disabled = true;
    if (timing) return;
    state.truth = truth;
    for (const card of places.values()) card.node.classList.add("stale");
  }

  function refused(timing) {
    measure.disabled = false;
    if (!timing) for (const card of places.values()) card.node.classList.remove("stale");
  }

  function show(answer) {
    notice.hidden = answer.state !== "failed" && answer.state !== "cancelled";
    if (!notice.hidden) failed(answer);
    if (["finished", "failed", "cancelled"].includes(answer.state)) measure.disabled = false;
    if (answer.timing) { times(answer); return; }
    lay(answer);
    caution.hidden = !answer.caution;
    say(caution, answer.caution);
    read(answer);
    clock.hidden = answer.state !== "finished";
    if (answer.state === "finished") offer();
  }

  function failed(answer) {
    fill(notice, el("p", {}, el("b", {}, answer.state === "cancelled" ? "Stopped." : answer.reason)), answer.advice ? el("p", {}, answer.advice) : null,
      el("button", { type: "button", class: "plain", onclick: () => (answer.timing ? time() : again()) }, answer.timing ? "Take the time again" : "Ask again"));
  }

  function lay(answer) {
    const keys = answer.expected.map((each) => each.who);
    if (keys.join() !== [...places.keys()].join()) {
      places.clear();
      for (const key of keys) places.set(key, createCard(key));
      fill(cards, [...places.values()].map((card) => card.node));
      cards.dataset.count = keys.length;
    }
    for (const each of answer.expected) places.get(each.who).update({ ...each, kind: "" }, answer.cards.find((card) => card.who === each.who), state.truth, answer.state);
  }

  function read(answer) {
    tokens.hidden = !answer.tokens;
    if (!answer.tokens) return;
    const seen = answer.tokens;
    redraw(tokens, seen, () => [el("h3", {}, "What the tuned model read"), seen.says.map((line) => el("p", { class: "soft" }, line)), row(seen)]);
  }

  // Virtual tokens stand where the method puts them; added ones lie on top of the text's own.
  function row(seen) {
    const virtual = Array.from({ length: Math.min(seen.virtual, 24) }, (_, place) => el("li", { class: "token virtual" }, `virtual ${place + 1}`));
    if (seen.virtual > 24) virtual.push(el("li", { class: "token virtual" }, `… ${seen.virtual - 24} more`));
    const text = seen.tokens.map((each) => el("li", { class: "token" }, readable(each)));
    if (seen.total > seen.tokens.length) text.push(el("li", { class: "token" }, `… ${seen.total - seen.tokens.length} more`));
    if (seen.cut) text.push(el("li", { class: "token cut" }, `${seen.cut} not read`));
    const at = { end: text.length, middle: Math.ceil(text.length / 2) }[seen.position] ?? 0;
    return el("ol", { class: "try-row", "aria-label": "tokens in order" }, text.slice(0, at), virtual, text.slice(at));
  }

  function offer() {
    const calls = state.view.calls;
    say(measure, `Take the time of each form (${calls} calls each)`);
    if (!clock.childElementCount) fill(clock, el("h3", {}, "How long does an answer take?"), el("p", { class: "soft" }, "With the trained part beside the base, merged into it, or on a base in 4 bits, as far as this method allows it."), measure, measured);
  }

  function times(answer) {
    clock.hidden = false;
    offer();
    if (!answer.latency) return;
    const { rows, note, missing, writes, text } = answer.latency;
    const heads = ["form", "one answer", "middle half", writes ? "written" : "answer", ...(writes ? [] : ["differs by"])];
    redraw(measured, answer.latency, () => [
      el("div", { class: "numbers", tabindex: "0", role: "region", "aria-label": "Latency of each form" }, el("table", {}, el("caption", { class: "hidden-text" }, "Median latency of one answer in each form"),
        el("thead", {}, el("tr", {}, heads.map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, rows.map((each) => el("tr", { class: each.base ? "base" : "" }, el("th", { scope: "row" }, each.form),
          el("td", {}, el("div", { class: "try-line" }, bar(each.part), el("span", {}, each.median))), el("td", {}, each.half), el("td", {}, each.answer), writes ? null : el("td", {}, each.far)))))),
      writes ? null : el("p", { class: "soft" }, "“Differs by” is the largest difference of the logits to those of the run as it was trained, of their largest: rounding, or what 4 bits cost."),
      el("p", { class: "soft" }, note), missing.map((line) => el("p", { class: "soft" }, line)), el("p", { class: "soft" }, `Text: “${text.length > 90 ? `${text.slice(0, 90)}…` : text}”`)]);
  }

  return { node, clear, wait, begin, refused, show };
}

function bar(part) {
  return el("span", { class: "try-bar", "aria-hidden": "true" }, el("i", { style: { width: `${100 * part}%` } }));
}

function createCard(who) {
  const title = el("h3");
  const about = el("p", { class: "soft" });
  const body = el("div", { class: "body" });
  const took = el("p", { class: "soft took" });
  const node = el("article", { class: `try-card ${who}` }, title, about, body, took);
  const written = el("p", { class: "try-text" });

  function update(expected, card, truth, state) {
    say(title, expected.title);
    say(about, expected.about);
    node.classList.toggle("stale", false);
    const stopped = !card && ["failed", "cancelled"].includes(state);
    say(took, card?.took || "");
    if (!card) { redraw(body, [stopped], () => el("p", { class: "soft" }, stopped ? "no answer" : "…")); return; }
    if (card.kind === "refused") { redraw(body, [card], () => el("p", { class: "soft" }, `It could not be asked: ${card.text}.`)); return; }
    if (card.kind === "text") { writing(card, truth); return; }
    redraw(body, [card, truth], () => [answer(card, truth), table(card), card.note ? el("p", { class: "soft" }, card.note) : null]);
  }

  // A text grows in its place; nothing around it is drawn again.
  function writing(card, truth) {
    if (written.parentNode !== body) { body.drawn = ""; fill(body, written); }
    say(written, card.text || (card.going ? "" : "(nothing)"));
    written.classList.toggle("going", card.going);
    if (card.going || !truth || body.childElementCount > 1) return;
    const right = card.text.trim().toLowerCase() === truth.answer.trim().toLowerCase();
    body.append(el("p", { class: right ? "right" : "soft" }, right ? "✓ a right answer, word for word" : "not the right answer word for word"));
  }

  return { node, update };
}

function answer(card, truth) {
  const mark = truth ? (card.best === truth.answer ? "right" : "wrong") : "";
  return el("p", { class: `try-best ${mark}` }, { right: "✓ ", wrong: "✗ " }[mark] || "", card.best, mark ? el("span", { class: "hidden-text" }, mark === "right" ? " (right)" : " (wrong)") : null);
}

// The bars are a table: each label with its number, the bar drawn under it.
function table(card) {
  return el("table", { class: "try-shares" }, el("thead", { class: "hidden-text" }, el("tr", {}, el("th", { scope: "col" }, "label"), el("th", { scope: "col" }, card.unit))),
    el("tbody", {}, card.rows.map((row) => el("tr", { class: row.best ? "best" : "" }, el("th", { scope: "row" }, row.label),
      el("td", {}, el("div", { class: row.part === null ? "" : "try-line" }, row.part === null ? null : bar(row.part), el("span", {}, row.said)))))));
}
