// Ten questions before the course and ten after it, scored, with an explanation of every answer.
import { download, el, fill, say } from "./dom.js";
import { explain, explainBelow } from "./glossary.js";
import { sendTest } from "./member.js";
import { question, recall, remember } from "./session.js";

const LOST = "The lab cannot be reached; try again in a moment.";
const FORMS = [["A", "Before you start"], ["B", "After the lessons"]];

export function createTest(server) {
  const offers = el("div", { class: "buttons" });
  const body = el("div", { class: "test-body" });
  const node = el("section", { class: "learn-test", "aria-label": "Test yourself" }, el("h2", {}, "Test yourself"),
    el("p", { class: "soft" }, "Ten questions about what is often believed. Answer one form before the lessons and the other after them: they ask about the same things in other words."), offers, body);
  paint();

  function paint() {
    const kept = recall("test") || {};
    fill(offers, FORMS.map(([form, words]) => el("button", { type: "button", class: "plain", onclick: () => open(form) }, kept[form] ? `${words}: ${kept[form].right} of ${kept[form].of}` : words)));
  }

  async function open(form) {
    fill(body, el("p", { class: "soft" }, "fetching it …"));
    const found = await question(server, "test", { form }).catch(() => ({ error: LOST }));
    if (found.error) { fill(body, el("p", { class: "error-text" }, found.error)); return; }
    const answers = found.questions.map(() => null);
    const left = el("p", { class: "hint", role: "status" });
    const says = found.questions.map(() => el("p", { class: "says" }));
    const hand = el("button", { type: "button", class: "main", onclick: () => mark() }, "Hand it in");
    const head = el("h3", { tabindex: "-1" }, FORMS.find(([each]) => each === form)[1]);
    const boxes = found.questions.map((each, place) => el("fieldset", { class: "learn-question" }, el("legend", {}, el("span", { class: "tag" }, `${place + 1}`), each.ask),
      each.options.map((text, option) => el("label", {}, el("input", { type: "radio", name: `test-${form}-${place}`, onchange: () => { answers[place] = option + 1; count(); } }), el("span", {}, text))), says[place]));
    const score = el("div", { class: "test-score", role: "status" });
    fill(body, head, boxes, el("div", { class: "buttons" }, hand, el("button", { type: "button", class: "plain", onclick: () => { fill(body); } }, "Leave it")), left, score);
    explain(boxes.map((box) => box.querySelector("legend")));
    explainBelow(boxes);
    count();
    head.focus({ preventScroll: true });
    head.scrollIntoView({ block: "start" });

    function count() {
      const open_ones = answers.filter((each) => each === null).length;
      say(left, open_ones ? `${open_ones} of ${answers.length} not answered yet; what is left open counts as wrong.` : "All answered.");
    }

    async function mark() {
      const told = await question(server, "mark", { form, answers }).catch(() => ({ error: LOST }));
      if (told.error) { say(left, told.error); return; }
      sendTest(form, answers);
      remember("test", { ...(recall("test") || {}), [form]: { right: told.right, of: told.of } });
      told.rows.forEach((row, place) => {
        says[place].className = row.right ? "says right" : "says wrong";
        say(says[place], row.right ? `✓ ${row.says}` : `✗ ${row.says ? `${row.says} ` : ""}Right is: ${row.answer}`);
      });
      boxes.forEach((box) => box.querySelectorAll("input").forEach((input) => { input.disabled = true; }));
      hand.disabled = true;
      fill(score, el("p", { class: "big" }, `${told.right} of ${told.of}`), el("button", { type: "button", class: "plain", onclick: () => download(`test-${form}.csv`, told.csv) }, "Download as CSV"));
      paint();
      score.scrollIntoView({ block: "nearest" });
    }
  }

  return { node };
}
