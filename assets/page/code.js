// "Show code": the run as a plain script, beside the knobs that change it. Python says every line, here they become elements.
import { download, el, fill, say, showToCopy } from "./dom.js";
import { question, recall, remember, who } from "./session.js";

const FADE = 1600; // ms that a changed line stays marked
const AGAIN = 3000; // ms until a question without an answer is asked again

export function createCode(server, form, narrow) {
  const state = { draft: null, asked: 0, open: false, before: [], answer: null };
  const toggle = el("button", { type: "button", class: "plain", id: "show-code", "aria-expanded": "false", "aria-controls": "code", onclick: pressed }, "Show code");
  const title = el("h2", {}, "The same run in plain code");
  const about = el("p", { class: "soft" });
  const told = el("span", { class: "soft", role: "status" });
  const copy = el("button", { type: "button", class: "plain", onclick: copied }, "Copy");
  const pack = el("button", { type: "button", class: "plain", onclick: packed }, "Download script + data (zip)");
  const hide = el("button", { type: "button", class: "plain hide", onclick: () => { pressed(); toggle.focus({ preventScroll: true }); } }, "Hide");
  const buttons = el("div", { class: "buttons" }, copy, pack, hide, told);
  const listing = el("ol", { class: "listing", tabindex: 0, "aria-label": "The script, line by line" });
  const rest = el("div", { class: "rest" });
  const node = el("section", { class: "code", id: "code", "aria-label": "The script", hidden: true }, el("div", { class: "top" }, title, about, buttons), listing, rest);

  copy.hidden = pack.hidden = true; // until there is a script
  form.querySelector(".go").before(toggle);
  const stand = () => form.after(node);
  narrow.addEventListener("change", stand);
  stand();
  turn(Boolean(recall("code")));

  function turn(open) {
    state.open = open;
    node.hidden = !open;
    node.parentNode?.classList.toggle("coding", open);
    toggle.setAttribute("aria-expanded", String(open));
    say(toggle, open ? "Hide code" : "Show code");
    remember("code", open);
    if (open && state.draft) ask();
  }

  // On a wide screen the script stands at the top of the middle, out of sight from below the form.
  function pressed() {
    turn(!state.open);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (state.open) node.scrollIntoView({ block: narrow.matches ? "nearest" : "start", behavior: calm ? "auto" : "smooth" });
  }

  async function ask() {
    const asked = ++state.asked;
    const answer = await question(server, "script", state.draft).catch(() => null);
    if (asked !== state.asked) return;
    if (!answer) { // a busy or lost lab: what is shown may be old
      node.classList.add("stale");
      say(about, "The lab does not answer; asking again …");
      setTimeout(() => { if (state.open && asked === state.asked) ask(); }, AGAIN);
      return;
    }
    if (answer.error) { node.classList.add("stale"); return; }
    node.classList.remove("stale");
    say(told, "");
    paint(answer);
  }

  function paint(answer) {
    state.answer = answer;
    const written = Boolean(answer.lines);
    copy.hidden = pack.hidden = listing.hidden = !written;
    if (!written) {
      state.before = [];
      say(about, `There is no short script for this: ${answer.reason}.`);
      fill(rest, answer.sources.map((file, place) => source(file, place === 0)), exhibit(answer));
      return;
    }
    say(about, `${answer.lines.length} lines of transformers, peft and torch, nothing of the lab. Fed with the same batches it starts from the same numbers.`);
    const texts = answer.lines.map((line) => line.map(([text]) => text).join(""));
    const known = new Set(state.before);
    fill(listing, answer.lines.map((line, place) => row(line, state.before.length > 0 && texts[place] !== "" && !known.has(texts[place]))));
    state.before = texts;
    fill(rest, el("p", { class: "soft" }, "In the archive: ", el("code", {}, "train.py"), ", the same as a notebook, ", el("code", {}, "train.ipynb"), ", ", el("code", {}, "data.jsonl"), " with the batches in their order, ",
      el("code", {}, "requirements.txt"), answer.seeded ? [", and ", el("code", {}, "base/"), " with the model"] : null, ". Run it with ",
      el("code", {}, "pip install -r requirements.txt && python train.py"), "."), exhibit(answer));
  }

  function source(file, open) {
    return el("details", { class: "source", open }, el("summary", {}, file.path, el("small", {}, ` ${file.lines} lines`)), el("pre", { tabindex: 0 }, file.text));
  }

  function exhibit(answer) {
    return answer.exhibit ? el("div", { class: "exhibit" }, el("p", {}, answer.exhibit.about), source(answer.exhibit, false)) : null;
  }

  // The indent moves to the left edge of a wrapped line as well, so that a narrow screen keeps the shape of the code.
  function row(spans, fresh) {
    const text = spans.map(([part]) => part).join("");
    const indent = text.length - text.trimStart().length;
    const line = el("code", { style: { "--indent": `${indent}ch` } }, spans.map(([part, kind, roles]) =>
      kind || roles ? el("span", { class: kind || null, "data-part": roles || null }, part) : part));
    const item = el("li", { class: fresh ? "fresh" : null }, line);
    if (fresh) setTimeout(() => item.classList.remove("fresh"), FADE);
    return item;
  }

  async function copied() {
    try {
      await navigator.clipboard.writeText(state.answer.text);
      say(told, "copied");
    } catch {
      showToCopy(state.answer.text, "script");
    }
  }

  // The batches are put in order by a process of its own on the server: that takes a few seconds.
  async function packed() {
    const { archive, archived } = state.answer;
    pack.disabled = true;
    say(told, "packing: the batches are put in order …");
    try {
      const answer = await fetch(new URL(archive, document.baseURI), { headers: { "x-lab-owner": await who() } });
      if (!answer.ok) return say(told, await answer.text());
      download(archived, await answer.blob());
      return say(told, "downloaded");
    } catch {
      return say(told, "The lab cannot be reached.");
    } finally {
      pack.disabled = false;
    }
  }

  return {
    node,
    follow(draft) {
      state.draft = draft;
      if (state.open) ask();
    },
    stale: () => node.classList.add("stale"),
  };
}
