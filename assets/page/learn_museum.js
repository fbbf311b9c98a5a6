// The museum of failures: look at a run that went wrong, name what it was, and then hear the lab's own diagnosis.
import { el, fill, say } from "./dom.js";
import { explain, explainBelow } from "./glossary.js";
import { answers } from "./learn_answers.js";
import { diagnosis } from "./learn_diagnosis.js";
import { drawRun } from "./learn_result.js";
import { question, recall, remember, trainDraft } from "./session.js";

const LOST = "The lab cannot be reached; try again in a moment.";

export function createMuseum(server) {
  const list = el("div", { class: "museum-list" });
  const node = el("section", { class: "learn-museum", "aria-label": "Museum of failures", hidden: true }, el("h2", {}, "Museum of failures"),
    el("p", { class: "lead" }, "Runs that were broken on purpose. Look at what such a run shows, and say what went wrong; then the lab names it from the run's own events, as it does with yours. If a knob of the method was turned, the label leaves it out: exhibits with the same settings differ in that, and in what came out."), list);

  async function show() {
    if (!list.childElementCount) fill(list, el("p", { class: "soft", role: "status" }, "loading the exhibits …"));
    node.hidden = false;
    const found = await question(server, "museum", {}).catch(() => ({ error: LOST }));
    node.hidden = !found.exhibits?.length;
    if (!node.hidden) fill(list, found.exhibits.map(exhibit));
  }

  function exhibit(each, place) {
    const body = el("div", { class: "museum-body" });
    const known = recall("museum") || {};
    const summary = el("summary", {}, el("span", { class: "tag" }, `Exhibit ${place + 1}`), each.says);
    const fold = el("details", { class: "museum-exhibit", ontoggle: () => { if (fold.open && !body.childElementCount) open(each, body, known[each.key]); } }, summary, body);
    return fold;
  }

  async function open(each, body, kept) {
    fill(body, el("p", { class: "soft", role: "status" }, "loading the run …"));
    const found = await question(server, "exhibit", { exhibit: each.key }).catch(() => ({ error: LOST }));
    if (found.error) {
      fill(body, el("p", { class: "soft" }, found.error), el("button", { type: "button", class: "plain", onclick: () => open(each, body, kept) }, "Try again"));
      return;
    }
    const picture = el("div", { class: "learn-result-body" });
    const told = el("div", { class: "museum-told", role: "status" });
    const box = el("fieldset", { class: "learn-question" }, el("legend", {}, el("span", { class: "tag" }, "What went wrong?"), "Look at the loss, the scores, the count and the memory."),
      answers(`exhibit-${each.key}`, each.names.map((name) => name.title), each.names.findIndex((name) => name.key === kept), (place) => choose(each.names[place].key)));
    fill(body, el("p", { class: "soft" }, found.chip), picture, box, told);
    drawRun(picture, found);
    explainBelow([box]);
    if (each.names.some((name) => name.key === kept)) answer(kept);

    function choose(key) {
      remember("museum", { ...(recall("museum") || {}), [each.key]: key });
      answer(key);
    }

    function answer(key) {
      const right = key === each.key;
      const [main, ...others] = found.diagnoses;
      fill(told, el("p", { class: right ? "says right" : "says wrong" }, right ? "✓ That is it." : `✗ Not this one. ${found.against[key] || ""}`),
        el("p", {}, el("b", {}, "What was done: "), found.about), diagnosis(main),
        others.length ? el("p", {}, "The same mistake shows in another way as well:") : null, others.map(diagnosis),
        el("button", { type: "button", class: "plain", onclick: () => trainDraft(found.draft) }, "Open it in Train, and mend it"));
      explain(told.querySelectorAll("p"));
    }
  }

  return { node, show };
}
