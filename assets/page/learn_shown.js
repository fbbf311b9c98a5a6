// A wrong observation, shown back: what it was about is scrolled to, marked and said in words there, until the right answer is given.
import { el } from "./dom.js";

// Returns where it is marked, in words for whoever stays at the question; "" where it is not on the page.
export function showBack(block, says, box, go) {
  clearShown(block);
  const target = shownAbove(block, box);
  if (!target) return "";
  const note = el("div", { class: "look-note", "data-of": block.name }, el("span", {}, el("b", {}, block.arm ? `Look here again, at ${block.arm}. ` : "Look here again. "), says),
    el("button", { type: "button", class: "plain", onclick: () => back(box) }, "Back to the question"));
  target.prepend(note);
  target.classList.add("look-here");
  if (go) bring(target);
  const [here, there] = [box, target].map((each) => each.closest(".learn-step"));
  return here === there ? "It is marked above, in this step." : `It is marked further up, in “${there?.getAttribute("aria-label")}”.`;
}

export function clearShown(block) {
  if (!block.show) return "";
  for (const note of document.querySelectorAll(`.learn-lesson .look-note[data-of="${CSS.escape(block.name)}"]`)) {
    const target = note.parentElement;
    note.remove();
    target.classList.toggle("look-here", Boolean(target.querySelector(":scope > .look-note")));
  }
  return "";
}

// The nearest one above the question: a figure may stand in several steps.
function shownAbove(block, box) {
  const named = [...document.querySelectorAll(`.learn-lesson [data-name="${CSS.escape(block.show)}"]`)];
  return named.filter((each) => each.compareDocumentPosition(box) & Node.DOCUMENT_POSITION_FOLLOWING).at(-1);
}

// Nothing moves where all of it is to be seen already.
function bring(target) {
  const { top, bottom, height } = target.getBoundingClientRect();
  if (top >= 0 && bottom <= innerHeight) return;
  target.scrollIntoView({ block: height > 0.8 * innerHeight ? "start" : "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

function back(box) {
  box.querySelector("input:checked")?.focus({ preventScroll: true });
  box.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}
