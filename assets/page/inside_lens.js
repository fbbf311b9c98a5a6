// One lens in the plainest form: what it is, what it saw in words and numbers, or how to have it look. Other views use its pieces.
import { download, el, fill, say } from "./dom.js";

const KINDS = [["trace", "Recorded while it trained"], ["probe", "Examinations of the finished run"], ["experiment", "Trials of several runs"]];
const GOING = ["queued", "running"];

// Redraws a place only when what it shows has changed, so that nothing loses its focus or its scrolling for nothing.
export function redraw(node, value, make) {
  const now = JSON.stringify(value);
  if (node.drawn === now) return false;
  node.drawn = now;
  const inside = node.contains(document.activeElement);
  fill(node, make());
  if (inside) { node.tabIndex = -1; node.focus({ preventScroll: true }); }
  return true;
}

// The signs at a token's edges that cannot be seen are shown; a token without any begins in the middle of a word.
export function readable(text) {
  return text.replace(/ /g, "␣").replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(/\r/g, "↵") || "(empty)";
}

// What is to be done about a lens: ask for it with its cost, watch it look, or read why it cannot.
export function asking(context, row, words = "Look", kind = "plain") {
  const box = el("div", { class: "inside-ask" });
  const trouble = el("p", { class: "error-text", role: "alert", hidden: true });
  const knobs = row.knobs.length && row.asks ? settings(row) : null;
  const go = (name) => {
    const button = el("button", { type: "button", class: kind, onclick: async () => {
      button.disabled = true;
      const answer = await context.ask(row.key, knobs ? knobs.values() : {});
      button.disabled = false;
      trouble.hidden = !answer.error;
      say(trouble, answer.error || "");
    } }, name);
    return el("div", { class: "go-ask" }, button, row.cost ? el("small", {}, row.cost) : null);
  };
  if (!row.ok) return fill(box, el("p", { class: "soft" }, capital(row.reason), "."));
  if (row.look && GOING.includes(row.look.state)) return fill(box, going(context, row));
  const failed = row.look?.state === "failed" ? el("div", { class: "notice" }, el("p", {}, el("b", {}, row.look.reason)), row.look.advice ? el("p", {}, row.look.advice) : null) : null;
  const stopped = row.look?.state === "cancelled" ? el("p", { class: "soft" }, "This look was stopped.") : null;
  if (!row.asks) return fill(box, row.missing ? el("p", { class: "soft" }, row.missing) : null, again(context, row));
  const name = failed || stopped ? "Try again" : row.mark ? "Look again" : words;
  return fill(box, failed, stopped, row.mark && !knobs && !failed && !stopped ? null : go(name), knobs?.node, trouble);
}

// A recorded run that lacks something: the way to a run of one's own.
function again(context, row) {
  return context.view.label && row.missing && context.view.address ? el("button", { type: "button", class: "link", onclick: context.train }, "Make this run here") : null;
}

function going(context, { look }) {
  const part = look.of ? look.done / look.of : 0;
  const bar = el("div", { class: look.of ? "progress" : "progress busy", role: "progressbar", "aria-label": "how far this look is", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(100 * part) },
    el("span", { style: { width: `${100 * part}%` } }));
  return [bar, el("div", { class: "go-ask" }, el("small", {}, look.status),
    look.mine ? el("button", { type: "button", class: "small", onclick: (event) => { event.target.disabled = true; context.stop(look.id); } }, "Stop") : null)];
}

// Its knobs, folded: each with its help, numbers within their limits.
function settings(row) {
  const inputs = row.knobs.map((knob) => [knob, control(row, knob)]);
  const read = ([knob, input]) => [knob.name, knob.type === "boolean" ? input.checked : knob.type === "integer" || knob.type === "number" ? Number(input.value) : input.value];
  const node = el("details", { class: "inside-knobs" }, el("summary", {}, "Settings"),
    inputs.map(([knob, input]) => el("label", {}, el("span", {}, knob.name.replaceAll("_", " ")), input, el("small", {}, knob.help))));
  return { node, values: () => Object.fromEntries(inputs.filter(([, input]) => input.type === "checkbox" || input.value !== "").map(read)) };
}

function control(row, knob) {
  const id = `inside-${row.key}-${knob.name}`;
  if (knob.choices) return el("select", { id }, knob.choices.map((choice) => el("option", { value: choice, selected: choice === knob.default }, String(choice))));
  if (knob.type === "boolean") return el("input", { id, type: "checkbox", class: "toggle", checked: knob.default });
  const number = knob.type === "integer" || knob.type === "number";
  return el("input", { id, type: "text", inputmode: number ? "decimal" : null, value: String(knob.default ?? "") });
}

export function sentences(row) {
  return row.says?.length ? el("div", { class: "inside-says" }, row.says.map((line) => el("p", {}, line))) : null;
}

// The numbers, to be read or taken along.
export function numbersOf(context, row) {
  if (!row.table) return null;
  const note = el("small", { role: "status" });
  const save = async () => {
    const answer = await context.numbers(row.key);
    if (answer.error) say(note, answer.error);
    else download(answer.name, answer.text);
  };
  const { columns, rows, total } = row.table;
  return el("div", { class: "inside-numbers" },
    el("div", { class: "numbers", tabindex: "0", role: "region", "aria-label": `${row.title}, as numbers` },
      el("table", {}, el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col" }, String(name))))),
        el("tbody", {}, rows.map((line) => el("tr", {}, line.map((cell) => el("td", {}, told(cell)))))))),
    el("div", { class: "go-ask" }, el("button", { type: "button", class: "small", onclick: save }, "Download CSV"),
      el("small", {}, total > rows.length ? `the first ${rows.length} of ${total.toLocaleString("en")} rows; the file has all` : `${total.toLocaleString("en")} rows`), note));
}

function told(cell) {
  if (cell === null || cell === undefined) return "–";
  if (typeof cell === "number" && !Number.isInteger(cell)) return String(Number(cell.toPrecision(4)));
  return Array.isArray(cell) ? cell.map(told).join(" ") : String(cell);
}

// Every lens there is, by kind; what does not apply to this run is folded, with its reason.
export function createList() {
  const cards = new Map();
  const groups = KINDS.map(([kind, words]) => ({ kind, body: el("div", { class: "inside-lenses" }), words }));
  const away = el("details", { class: "inside-away" });
  const node = el("section", { class: "inside-all", "aria-label": "All lenses" }, el("h3", {}, "All lenses of this run, with their numbers"),
    groups.map((group) => { group.node = el("div", {}, el("h4", {}, group.words), group.body); return group.node; }), away);

  function show(context) {
    const rows = context.view.lenses;
    for (const row of rows) card(row.key).update(context, row);
    for (const group of groups) {
      const here = rows.filter((row) => row.ok && row.kind === group.kind).map((row) => card(row.key).node);
      if (here.some((each, place) => group.body.children[place] !== each) || group.body.childElementCount !== here.length) fill(group.body, here);
      group.node.hidden = !here.length;
    }
    const rest = rows.filter((row) => !row.ok);
    away.hidden = !rest.length;
    redraw(away, rest.map((row) => [row.key, row.reason]), () => [el("summary", {}, `What does not apply to this run (${rest.length})`),
      el("dl", {}, rest.flatMap((row) => [el("dt", {}, row.title), el("dd", {}, capital(row.reason), ".")]))]);
  }

  function card(key) {
    if (!cards.has(key)) cards.set(key, createCard());
    return cards.get(key);
  }

  function reveal(key) {
    const { node: details } = card(key);
    details.open = true;
    details.scrollIntoView({ block: "center" });
    details.querySelector("summary").focus({ preventScroll: true });
  }

  return { node, show, reveal };
}

function createCard() {
  const title = el("span", { class: "name" });
  const chip = el("span", { class: "chip" });
  const body = el("div", { class: "body" });
  const node = el("details", { class: "inside-lens" }, el("summary", {}, title, " ", chip), body);
  return {
    node,
    update(context, row) {
      say(title, row.title);
      say(chip, state(row, Boolean(context.view.label)));
      chip.className = `chip ${row.look?.state === "failed" ? "failed" : row.mark ? "finished" : row.look?.state || ""}`;
      redraw(body, [row.key, row.mark, row.look, row.missing, row.asks, row.reason], () => [el("p", { class: "soft" }, row.about, row.source ? el("small", {}, ` ${row.source}.`) : null),
        sentences(row), row.kind === "experiment" ? null : asking(context, row), numbersOf(context, row)]);
    },
  };
}

// A recorded run is read only: what was not kept of it cannot be asked for later.
function state(row, recorded) {
  if (row.look && GOING.includes(row.look.state)) return "looking";
  if (row.look?.state === "failed") return "failed";
  if (row.mark) return row.kind === "trace" ? `${row.value?.length || 0} looks` : "seen";
  return row.kind === "experiment" ? "several runs" : recorded ? "not recorded" : "not looked at yet";
}

export function capital(text) {
  return text ? text.charAt(0).toUpperCase() + text.slice(1).replace(/\.$/, "") : "";
}
