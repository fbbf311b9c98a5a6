// Several runs in one batch: each with a text of its own, the answers in a table, what sharing one base saves, and how fast it is.
import { el, fill, say } from "./dom.js";
import { draw, figureHolder } from "./figure.js";
import { question, who } from "./session.js";
import { createChooser, createGo, createPlan, createTalk, LOST } from "./try_beside.js";

const FIRST = 4; // runs that are chosen at the beginning

export function createSeveral({ server }) {
  const chooser = createChooser({ legend: "Runs, and a text for each", extra: textOf, fits: (run, chosen) => (chosen.length >= 8 ? "at most 8 at a time" : ""), first: varied, changed });
  const go = createGo("Ask all in one batch", { go: ask, stop: () => talk.stop() });
  const talk = createTalk({ server, shown, busy, status: go.status, trouble: go.trouble });
  const answers = el("div", { class: "try-answers" });
  const bytes = figureHolder("Bytes of one base and its trained parts, and of whole copies", 190);
  const saved = el("p", { class: "soft" });
  const pace = figureHolder("Texts a second in one batch and in one batch a run", 300);
  const paceWords = el("div", { class: "try-pace-words" });
  const measure = el("button", { type: "button", class: "plain", onclick: () => time() }, "Measure the throughput");
  const storage = el("section", { class: "try-part", hidden: true }, el("h3", {}, "What sharing one base saves"), bytes.node, saved);
  const throughput = el("section", { class: "try-part", hidden: true }, el("h3", {}, "Is one batch faster?"),
    el("p", { class: "soft" }, "One mixed batch for all runs against one batch a run, one after the other: with 1, 4 and 16 test texts of each run."), measure, pace.node, paceWords);
  const plan = createPlan({ server, plan: "starters", title: "Three runs to begin with", words: "Train these three", model: () => chooser.model(), ready: show });
  const settings = el("div", { class: "try-side" }, chooser.node, go.node);
  const left = el("div", { class: "try-side" }, settings, plan.node);
  const right = el("div", { class: "try-reply" }, answers, storage, throughput);
  const node = el("div", { class: "try-body" });
  pace.node.hidden = true;

  async function show() {
    if (!node.childElementCount) fill(node, el("p", { class: "soft", role: "status" }, "asking for your runs …"));
    const found = await question(server, "beside", { owner: await who() }).catch(() => ({ error: LOST }));
    if (found.error) { fill(node, left); go.trouble(found.error); return; }
    chooser.show(found);
    fill(node, left, right);
    if (!answers.childElementCount) waiting();
    settings.hidden = !chooser.any();
    changed();
    if (chooser.able().length < 2 || !plan.node.hidden) plan.look();
  }

  function waiting() {
    fill(answers, el("div", { class: "try-placeholder" }, el("h3", {}, "One base, many tasks"),
      el("p", { class: "soft" }, "Every row of one batch goes through the same frozen model, each with its own adapter, soft prompt or factors, and each is answered by its own head. Serving a further task then costs a small file, and no second model."),
      el("pre", { class: "try-drawing", "aria-hidden": "true" }, "text 1 → base + LoRA of run 1   → head 1\ntext 2 → base, prompt of run 2  → head 2\ntext 3 → base ⊙ IA3 of run 3    → head 3")));
  }

  // Runs that differ in task or method show most.
  function varied(runs) {
    const seen = new Set();
    const other = runs.filter((run) => { const key = `${run.task} ${run.method}`; const fresh = !seen.has(key); seen.add(key); return fresh; });
    return (other.length > 1 ? other : runs).slice(0, FIRST);
  }

  function textOf(run) {
    const field = el("textarea", { rows: 2, spellcheck: "false", maxlength: 4000, "aria-label": `Text for ${run.name}, ${run.told}`, placeholder: "type a text, or take an example" });
    const right = el("small", { class: "truth" });
    const take = el("button", { type: "button", class: "small", onclick: () => example() }, "Example");
    const made = { node: el("div", { class: "try-own" }, field, el("div", { class: "try-own-row" }, take, right)), text: () => field.value, truth: () => (made.taken?.text === field.value ? made.taken : null), taken: null };
    async function example() {
      take.disabled = true;
      const found = await question(server, "example", { run: run.run, owner: await who() }).catch(() => ({ error: LOST }));
      take.disabled = false;
      if (found.error) { say(right, found.error); return; }
      made.taken = found;
      field.value = found.text;
      say(right, `right: ${found.answer}`);
    }
    field.addEventListener("input", () => { if (!made.truth()) say(right, ""); });
    example();
    return made;
  }

  function changed() {
    const count = chooser.chosen().length;
    go.button.disabled = count < 2;
    measure.disabled = count < 2;
    say(go.button, count < 2 ? "Choose at least two runs" : `Ask ${count} runs in one batch`);
  }

  function busy(now) {
    go.busy(now);
    measure.disabled = now;
    answers.classList.toggle("stale", now);
    if (!now) changed();
  }

  function values(time) {
    const runs = chooser.chosen();
    return { runs: runs.map((run) => run.run), texts: runs.map((run) => chooser.extra(run.run).text() || (time ? "." : "")), time };
  }

  function ask() { talk.ask("gather", values(false)); }
  function time() { talk.ask("gather", values(true)); }

  function shown(answer) {
    if (answer.answers) table(answer.answers);
    if (answer.storage) {
      storage.hidden = throughput.hidden = false;
      draw(bytes, answer.storage.figure, "bytes");
      say(saved, answer.storage.says);
    }
    if (!answer.throughput) return;
    pace.node.hidden = false;
    draw(pace, answer.throughput.figure, "pace");
    fill(paceWords, el("ul", { class: "plain-list" }, answer.throughput.says.map((line) => el("li", {}, line))), el("p", { class: "soft" }, answer.throughput.why), el("p", { class: "soft" }, answer.throughput.note));
  }

  function table({ rows, based, note }) {
    const truth = (row) => chooser.extra(row.run)?.truth();
    const right = (row) => { const known = truth(row); return known ? (row.tuned === known.answer || row.tuned.startsWith(`${known.answer} (`) ? "✓ " : "✗ ") : ""; };
    fill(answers, el("h3", {}, "The answers"), el("div", { class: "numbers", tabindex: "0", role: "region", "aria-label": "Answers of each run" }, el("table", { class: "try-table" },
      el("thead", {}, el("tr", {}, ["run", "text", "answer", ...(based ? ["untouched base"] : []), "tokens"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, el("th", { scope: "row" }, row.name), el("td", { class: "text" }, short(row.text)), el("td", {}, el("b", {}, right(row), row.tuned)),
        based ? el("td", {}, row.base) : null, el("td", {}, row.tokens)))))), el("p", { class: "soft" }, note));
  }

  return { node, show };
}

function short(text) {
  return text.length > 110 ? `${text.slice(0, 110)}…` : text;
}
