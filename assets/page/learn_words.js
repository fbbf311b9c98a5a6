// The words of a lesson as elements: from a tree of tags that Python allows, texts set as texts.
import { el } from "./dom.js";

const MATH = "http://www.w3.org/1998/Math/MathML";
const PLAIN = new Set(["p", "strong", "em", "ul", "ol", "li", "blockquote", "table", "thead", "tbody", "tr", "th", "td", "h4", "code", "pre"]);
const MATHS = new Set(["math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "msub", "msup", "msubsup", "munder", "mover", "munderover", "mtable", "mtr", "mtd",
  "mstyle", "mpadded", "mphantom", "menclose"]);

export function words(nodes, open) {
  return nodes.map((node) => word(node, open));
}

function word(node, open) {
  if (typeof node === "string") return document.createTextNode(node);
  const [tag, attributes, ...children] = node;
  if (MATHS.has(tag)) return math(tag, attributes, children, open);
  if (tag === "a" && attributes.lesson) return el("button", { type: "button", class: "link", onclick: () => open(attributes.lesson) }, words(children, open));
  if (tag === "a") return el("a", { href: attributes.href, target: "_blank", rel: "noopener noreferrer" }, words(children, open));
  if (tag === "table") return el("div", { class: "learn-table", tabindex: "0", role: "region", "aria-label": "Table" }, el("table", {}, words(children, open)));
  return PLAIN.has(tag) ? el(tag, {}, words(children, open)) : el("span", {}, words(children, open));
}

function math(tag, attributes, children, open) {
  const made = document.createElementNS(MATH, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...words(children, open));
  return made;
}
