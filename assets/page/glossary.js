// Every technical word explains itself: the first time it stands in a piece of text it is underlined, and hovering, tapping or reaching it by key shows what it means.
import { el, say } from "./dom.js";

let known = null; // a promise of {pattern, said}: fetched once a page
let bubble = null;

function glossary() {
  known ||= fetch(new URL("glossary.json", document.baseURI)).then((answer) => (answer.ok ? answer.json() : {})).then((said) => {
    const forms = Object.keys(said).sort((one, other) => other.length - one.length).map((form) => form.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    return { said, pattern: forms.length ? new RegExp(`(?<![\\p{L}\\p{N}_-])(${forms.join("|")})(?![\\p{L}\\p{N}_-])`, "giu") : null };
  }).catch(() => ({ said: {}, pattern: null }));
  return known;
}

// In each of these elements on its own; `seen` may be shared, so that a word is marked once in all of them.
export async function explain(nodes, seen = new Set()) {
  const { said, pattern } = await glossary();
  if (!pattern) return;
  for (const node of nodes) if (node.isConnected && !node.dataset.explained) mark(node, said, pattern, seen);
}

// Of words in answers to choose from, where a tap chooses: they are explained in a line below the last answer of each box.
export async function explainBelow(boxes) {
  const { said, pattern } = await glossary();
  if (!pattern) return;
  for (const box of boxes) {
    const labels = [...box.querySelectorAll("label")];
    if (!box.isConnected || !labels.length || box.dataset.explainedBelow) continue;
    box.dataset.explainedBelow = "yes";
    const seen = new Set();
    const fresh = labels.flatMap((label) => [...label.textContent.matchAll(pattern)]).map(([words]) => ({ words, entry: said[words.toLowerCase()] }))
      .filter(({ entry }) => entry && !seen.has(entry.term) && seen.add(entry.term));
    if (fresh.length) labels.at(-1).after(el("p", { class: "words-below" }, "Words in these answers: ", fresh.map(({ words, entry }, place) => [place ? " · " : "", term(inside(words), entry)])));
  }
}

// A word from the beginning of an answer, as it stands inside one.
function inside(words) {
  return /^\p{Lu}\p{Ll}+($| )/u.test(words) ? words[0].toLowerCase() + words.slice(1) : words;
}

function mark(root, said, pattern, seen) {
  root.dataset.explained = "yes";
  const texts = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT, { acceptNode: (text) => (text.parentElement.closest("code, math, button, a, .term, textarea, select") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT) });
  while (walker.nextNode()) texts.push(walker.currentNode);
  for (const text of texts) {
    const pieces = [];
    let end = 0;
    for (const found of text.data.matchAll(pattern)) {
      const entry = said[found[0].toLowerCase()];
      if (!entry || seen.has(entry.term)) continue;
      seen.add(entry.term);
      pieces.push(text.data.slice(end, found.index), term(found[0], entry));
      end = found.index + found[0].length;
    }
    if (pieces.length) text.replaceWith(...pieces.filter((piece) => piece !== ""), text.data.slice(end));
  }
}

function term(words, entry) {
  const node = el("span", { class: "term", tabindex: "0", role: "button", "aria-label": `${words}: ${entry.says}` }, words);
  node.addEventListener("pointerenter", () => show(node, entry));
  node.addEventListener("pointerleave", hide);
  node.addEventListener("focus", () => show(node, entry));
  node.addEventListener("blur", hide);
  node.addEventListener("click", (event) => { event.preventDefault(); event.stopPropagation(); show(node, entry); });
  node.addEventListener("keydown", (event) => { if (event.key === "Escape") { event.stopPropagation(); hide(); } });
  return node;
}

function show(node, entry) {
  if (!bubble) {
    bubble = el("div", { class: "lab term-bubble", role: "tooltip", hidden: true }, el("b"), el("span"));
    document.body.append(bubble);
    window.addEventListener("scroll", hide, { passive: true, capture: true });
  }
  say(bubble.firstChild, entry.term);
  say(bubble.lastChild, entry.says);
  bubble.hidden = false;
  const box = node.getBoundingClientRect(), wide = Math.min(320, innerWidth - 24);
  bubble.style.width = `${wide}px`;
  bubble.style.left = `${Math.max(12, Math.min(box.left, innerWidth - wide - 12))}px`;
  const below = box.bottom + 8 + bubble.offsetHeight < innerHeight;
  bubble.style.top = `${below ? box.bottom + 8 : Math.max(8, box.top - 8 - bubble.offsetHeight)}px`;
}

function hide() {
  if (bubble) bubble.hidden = true;
}
