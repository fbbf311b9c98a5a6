// Build page elements from values. Text is only ever set as text, so nothing a person or a model wrote can become markup.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name === "style") for (const [key, part] of Object.entries(value)) node.style.setProperty(key, part);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return node;
}

export function fill(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return node;
}

// Change a text only when it differs: a screen reader is not told the same thing twice.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
  return node;
}

export function download(name, text) {
  const link = el("a", { href: URL.createObjectURL(new Blob([text])), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// A question with two answers; Esc is no. Resolves to true or false.
export function ask(question, yes, no = "Go on") {
  return new Promise((resolve) => {
    const box = el("dialog", { class: "lab lab-dialog", "aria-label": question });
    const close = (answer) => () => { box.close(); box.remove(); resolve(answer); };
    box.addEventListener("cancel", close(false));
    box.append(el("p", {}, question), el("div", { class: "buttons" },
      el("button", { type: "button", class: "plain", onclick: close(false) }, no), el("button", { type: "button", class: "warn", onclick: close(true) }, yes)));
    document.body.append(box);
    box.showModal();
  });
}

// For browsers that do not let a page write to the clipboard.
export function showToCopy(text, what = "link") {
  const lines = text.includes("\n");
  const field = el(lines ? "textarea" : "input", { type: lines ? null : "text", rows: lines ? 12 : null, readonly: true, "aria-label": what });
  field.value = text;
  const box = el("dialog", { class: "lab lab-dialog", "aria-label": `Copy this ${what}` }, el("p", {}, `Copy this ${what}:`), field,
    el("div", { class: "buttons" }, el("button", { type: "button", class: "main", onclick: () => { box.close(); box.remove(); } }, "Done")));
  document.body.append(box);
  box.showModal();
  field.select();
}

// A link to the clipboard, which the button says; where a browser does not let it, the link is shown. Resolves to whether it was copied.
export async function copyLink(button, link) {
  const copied = await navigator.clipboard?.writeText(link).then(() => true, () => false);
  if (!copied) { showToCopy(link); return false; }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy link"; }, 2500);
  return true;
}

export function promptFor(question, value) {
  return new Promise((resolve) => {
    const box = el("dialog", { class: "lab lab-dialog", "aria-label": question });
    const field = el("input", { type: "text", value, maxlength: 200, "aria-label": question });
    const close = (answer) => { box.close(); box.remove(); resolve(answer); };
    box.addEventListener("cancel", () => close(null));
    box.append(el("form", { method: "dialog", onsubmit: (event) => { event.preventDefault(); close(field.value); } }, el("p", {}, question), field,
      el("div", { class: "buttons" }, el("button", { type: "button", class: "plain", onclick: () => close(null) }, "Cancel"), el("button", { type: "submit", class: "main" }, "Save"))));
    document.body.append(box);
    box.showModal();
    field.select();
  });
}
