// Whatever belongs to one part of the model lights up together: in the drawing, the formula, the counts and the code.
// An element names parts (data-part: query, adapter, norm …), signs of the formula (data-symbol: A, B …), or both.

const LINKED = "[data-part], [data-symbol]";

document.addEventListener("pointerover", (event) => light(event.target));
document.addEventListener("focusin", (event) => light(event.target));
document.addEventListener("pointerleave", () => light(null));
document.addEventListener("focusout", () => light(null));

let last = null;

function light(target) {
  const chosen = target?.closest?.(LINKED) || null;
  if (chosen === last) return;
  last = chosen;
  for (const each of document.querySelectorAll(".lit")) each.classList.remove("lit");
  if (!chosen) return;
  for (const each of document.querySelectorAll(LINKED)) if (belong(chosen, each)) each.classList.add("lit");
}

// Two belong together when they agree on everything that both name, and both name something.
function belong(one, other) {
  const part = agree(names(one.dataset.part), names(other.dataset.part));
  const symbol = agree(names(one.dataset.symbol), names(other.dataset.symbol));
  return part !== false && symbol !== false && Boolean(part || symbol);
}

// The shorter list stands in the longer one; null where one of them says nothing.
function agree(one, other) {
  if (!one.length || !other.length) return null;
  const [few, many] = one.length <= other.length ? [one, other] : [other, one];
  return few.every((name) => many.includes(name));
}

function names(text) {
  return (text || "").split(" ").filter(Boolean);
}
