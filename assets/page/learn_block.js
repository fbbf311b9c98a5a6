// What stands in a step: words, a prediction, a result, a question, a figure, a claim, something to explore.
import { el, fill, say } from "./dom.js";
import { answers } from "./learn_answers.js";
import { againWithRuns, createFigure } from "./learn_figure.js";
import { createGuess } from "./learn_guess.js";
import { createResult } from "./learn_result.js";
import { clearShown, showBack } from "./learn_shown.js";
import { words } from "./learn_words.js";
import { handOver, offers, question, trainDraft, who } from "./session.js";

const LOST = "The lab cannot be reached; try again in a moment.";
const VERDICTS = { holds: "holds here", contradicted: "contradicted here", "cannot tell": "cannot be told here", "not run": "not run yet" };

export function createBlock(server, block, context) {
  return MAKERS[block.kind](server, block, context);
}

// Opened once they are shown; `waits` says what is still to be done, or nothing.
const MAKERS = {
  words: (server, { prose }, { open }) => ({ node: el("div", { class: "learn-words" }, words(prose, open)) }),
  predict: (server, block, context) => createGuess(block, context),
  run: (server, block, context) => createResult(server, block, context),
  compare: (server, block, context) => createResult(server, block, context),
  measure: (server, block, context) => createResult(server, block, context),
  figure: (server, block, context) => createFigure(server, block, context),
  observe: (server, block, context) => createChoice(block, context, "What did you see?"),
  quiz: (server, block, context) => createChoice(block, context, "Check yourself"),
  claim, explore,
};

// One right answer; each says something to whoever chose it, and a wrong one may be put right. A wrong observation is shown back on what it was about.
function createChoice(block, context, name) {
  const kept = context.kept().answers?.[block.name];
  const says = el("p", { class: "says", role: "status" });
  const look = el("button", { type: "button", class: "link", hidden: true, onclick: () => shownBack(true) }, "Show me where");
  const box = el("fieldset", { class: "learn-question" }, el("legend", {}, el("span", { class: "tag" }, name), block.ask),
    answers(`${block.kind}-${block.name}`, block.options.map((option) => option.text), null, choose), says, look);
  let marked = false;

  function choose(place) {
    answer(place);
    context.keep({ answers: { ...context.kept().answers, [block.name]: place } });
    shownBack(true);
  }

  function answer(place) {
    const option = block.options[place];
    box.querySelectorAll("label").forEach((label, each) => label.classList.toggle("chosen", each === place));
    box.querySelectorAll("input")[place].checked = true;
    says.className = option.right ? "says right" : "says wrong";
    say(says, `${option.right ? "✓" : "✗"} ${option.says}`);
  }

  // `go` scrolls there; a page that is opened again only marks it.
  function shownBack(go) {
    marked = true;
    const option = block.options[context.kept().answers?.[block.name]];
    const where = option && !option.right && block.show ? showBack(block, option.says, box, go) : clearShown(block);
    look.hidden = !where;
    if (where) say(says, `✗ ${option.says} ${where}`);
  }

  if (kept !== undefined && block.options[kept]) answer(kept);
  const unanswered = () => context.kept().answers?.[block.name] === undefined;
  return { node: box, settle: () => { if (!marked) shownBack(false); }, asks: unanswered, waits: () => (unanswered() ? "Answer the question above to go on." : "") };
}

// A sentence of the field, and what these very runs say of it.
function claim(server, block, context) {
  const verdict = el("p", { class: "outcome", role: "status" });
  const why = el("p", { class: "soft" });
  const node = el("section", { class: "learn-claim", "aria-label": "Claim" }, el("p", { class: "sentence" }, el("span", { class: "tag" }, "Claim"), block.sentence), el("p", { class: "soft" }, block.source, ". ", block.rule), verdict, why);
  return { node, tells: true, settle: againWithRuns(context, hold, block.after, (steps) => fill(verdict, `What the runs say of it stands here once you have seen the result in ${steps}.`)) };

  async function hold(live, fresh) {
    say(verdict, "holding it against the runs …");
    const found = await question(server, "claim", { lesson: context.lesson.key, name: block.name, live, owner: await who() }).catch(() => ({ error: LOST }));
    if (!fresh()) return;
    if (found.error) { say(verdict, found.error); return; }
    node.dataset.verdict = found.verdict;
    fill(verdict, el("b", {}, VERDICTS[found.verdict]), " ", found.says);
    say(why, found.why);
  }
}

function explore(server, block) {
  const go = () => {
    if (block.comparison) return handOver("compare", { comparison: block.comparison });
    return trainDraft(block.draft);
  };
  return { node: el("div", { class: "learn-explore" }, el("p", {}, el("span", { class: "tag" }, "Change one thing"), block.text),
    offers(block.comparison ? "compare" : "train") && el("button", { type: "button", class: "plain", onclick: go }, block.comparison ? "Open it in Compare" : "Open it in Train")) };
}
