// Puts the words of a translation in the place of the page's English, whoever writes it and whenever; loaded only where a host has named a translation.
const ATTRIBUTES = ["title", "aria-label", "placeholder", "alt"];
const NUMBER = /\d+(?:[.,]\d+)*(?:e[+-]?\d+)?/g;
const LEFT = "code, pre, textarea, script, style, math"; // whose text is no sentence of the page
const missing = new Set();

const { language, words } = await (await fetch(new URL("translation.json", document.baseURI))).json();
const said = new Set(Object.values(words));
document.documentElement.lang = language;

function translated(text) {
  const bare = text.trim();
  if (!/\p{L}/u.test(bare) || said.has(bare)) return null;
  const other = words[bare] ?? filled(bare);
  if (other === undefined) missing.add(bare.replace(NUMBER, "{}"));
  return other === undefined ? null : text.replace(bare, () => other);
}

// A sentence with numbers: found without them, and they are put back in.
function filled(bare) {
  const other = words[bare.replace(NUMBER, "{}")];
  if (other === undefined) return undefined;
  const numbers = bare.match(NUMBER) ?? [];
  let place = 0;
  const text = other.replace(/\{(\d*)\}/g, (_, number) => numbers[number ? number - 1 : place++] ?? "");
  said.add(text);
  if (said.size > 20000) said.clear();
  return text;
}

function put(node) {
  if (node.nodeType === Node.TEXT_NODE) {
    const other = node.parentElement?.closest(LEFT) ? null : translated(node.data);
    if (other !== null) node.data = other;
    return;
  }
  if (node.nodeType !== Node.ELEMENT_NODE || node.matches(LEFT)) return;
  attributes(node);
  for (const child of node.childNodes) put(child);
}

function attributes(node) {
  for (const name of ATTRIBUTES) {
    const other = node.hasAttribute(name) ? translated(node.getAttribute(name)) : null;
    if (other !== null) node.setAttribute(name, other);
  }
}

new MutationObserver((changes) => {
  for (const change of changes) {
    if (change.type === "childList") change.addedNodes.forEach(put);
    else if (change.type === "attributes") attributes(change.target);
    else put(change.target);
  }
}).observe(document.documentElement, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ATTRIBUTES });
put(document.documentElement);

// What was shown and has no words yet, as the start of a translation: for the browser's console.
window.labMissingWords = () => JSON.stringify(Object.fromEntries([...missing].sort().map((text) => [text, ""])), null, 1);
