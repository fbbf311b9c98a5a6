// Ready questions: each with what its answer would take, and a word where it is recorded. One click opens it.
import { redraw } from "./compare_pieces.js";
import { el, fill, say } from "./dom.js";

export function createReady({ ask, open }) {
  const list = el("div", { class: "compare-questions" });
  const count = el("p", { class: "soft" });
  const trouble = el("p", { class: "error-text", role: "alert", hidden: true });
  const own = el("button", { type: "button", class: "plain compare-own", onclick: () => { const usual = document.getElementById("compare-usual"); usual.scrollIntoView({ block: "center" }); usual.focus({ preventScroll: true }); } }, "Or build your own"); // where it stands below
  const node = el("section", { class: "compare-ready", "aria-label": "Ready questions", hidden: true }, el("h3", {}, "Start with a question"), count, own, trouble, list);

  async function show() {
    node.hidden = false;
    if (!list.childElementCount) say(count, "loading the questions …");
    const found = await ask("all_questions", {});
    trouble.hidden = !found.error;
    if (found.error) { say(trouble, found.error); if (!list.childElementCount) say(count, ""); return; }
    const rows = found.groups.flatMap((group) => group.rows);
    const there = rows.filter((row) => row.done === row.of).length;
    say(count, !rows.length ? "This lab came without ready questions." : `${rows.length} questions that are set up already. ${there ? `${there} ${there === 1 ? "is" : "are"} answered: ${there === 1 ? "it opens" : "they open"} at once. The others say what they take.` : "Each says what it takes to run; open one to see its arms."}`);
    redraw(list, [found.groups, found.broken], () => [...found.broken.map((text) => el("p", { class: "soft" }, text)), ...found.groups.map((group) => el("section", {}, el("h4", {}, group.name), el("ul", {}, group.rows.map(line))))]);
  }

  function line(row) {
    const answered = row.done === row.of;
    return el("li", {}, el("button", { type: "button", class: "compare-question", "data-key": row.key, onclick: () => open(row.key, trouble) },
      el("span", { class: "title" }, row.title), el("small", {}, row.about), el("small", { class: "arms" }, row.arms),
      el("span", { class: "there" }, answered || row.done ? el("span", { class: `chip${answered ? " finished" : ""}` }, row.state) : null, answered ? null : el("small", {}, row.cost))));
  }

  function fail(words) {
    trouble.hidden = !words;
    fill(trouble, words);
  }

  return { node, show, fail, hide: () => { node.hidden = true; } };
}
