// The Runs tab: what this browser has run. Open, rename, delete, export, and two of them side by side.
import { ask, download, el, fill, promptFor, say } from "./dom.js";
import { draw, figureHolder, showChart } from "./figure.js";
import { files } from "./pieces.js";
import { goTo, handOver, known, offers, question, STATES, who } from "./session.js";

const WHEN = { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" }; // 30 Nov 2026, 11:57
const FILTERS = [["", "every state"], ["finished", "finished"], ["running", "running"], ["queued", "waiting"], ["failed", "failed"], ["cancelled", "stopped"]];

export function mount(element, { props, server, watch }) {
  const holder = element.querySelector(".lab-view");
  if (holder.childElementCount) return;
  watch("value", () => known(props.value));
  known(props.value);
  const page = { rows: [], more: null, marked: [] };
  const search = el("input", { type: "search", placeholder: "search title, model, task or method", "aria-label": "search runs", oninput: later(() => load()) });
  const state = el("select", { "aria-label": "state", onchange: () => load() }, FILTERS.map(([value, words]) => el("option", { value }, words)));
  const disk = el("span", { class: "soft" });
  const list = el("div", { class: "runs-list" });
  const more = el("button", { type: "button", class: "plain", hidden: true, onclick: () => load(page.more) }, "Older runs");
  const note = el("p", { class: "soft", role: "status", "aria-live": "polite" });
  const chart = figureHolder("Two runs, loss and score over the steps", 420);
  const table = el("table", {});
  const caution = el("div", { class: "notice", hidden: true });
  const pair = el("section", { class: "pair-view", hidden: true, "aria-label": "Two runs side by side" }, el("h3", {}, "Side by side"),
    caution,
    el("p", { class: "soft" }, "One run each shows what happened once. Whether one method is better takes several seeds of both."), chart.node, table);
  const save = (format) => async () => {
    const answer = await asked("export", { format });
    if (answer) download(answer.name, answer.text);
  };
  fill(holder, el("div", { class: "lab runs-page" }, el("div", { class: "runs-head" }, el("h2", {}, "My runs"), el("div", { class: "grow" }, search), state, disk,
    el("div", { class: "buttons" }, el("button", { type: "button", class: "plain", onclick: save("csv") }, "Export CSV"), el("button", { type: "button", class: "plain", onclick: save("json") }, "Export JSON"))),
  note, pair, list, more));
  new IntersectionObserver((seen) => { if (seen.some((each) => each.isIntersecting)) load(); }).observe(holder);

  async function asked(name, value) {
    try {
      const answer = await question(server, name, { owner: await who(), ...value });
      if (answer.error) { say(note, answer.error); return null; }
      return answer;
    } catch {
      say(note, "No connection to the lab; try again in a moment.");
      return null;
    }
  }

  setInterval(() => {
    const going = page.rows.some((run) => run.state === "running" || run.state === "queued");
    if (going && holder.offsetParent && !document.hidden && !list.contains(document.activeElement)) load(null, true);
  }, 3000);

  // `again` keeps older pages that were asked for; of two questions on their way the later one counts.
  async function load(before = null, again = false) {
    const turn = (page.turn = (page.turn || 0) + 1);
    const answer = await asked("history", { search: search.value, state: state.value, before });
    if (!answer || turn !== page.turn) return;
    const fresh = new Set(answer.rows.map((each) => each.id)), longer = again && page.rows.length > answer.rows.length;
    page.rows = before ? [...page.rows, ...answer.rows] : longer ? [...answer.rows, ...page.rows.filter((each) => !fresh.has(each.id))] : answer.rows;
    if (!longer) page.more = answer.more;
    more.hidden = !page.more;
    say(disk, `${answer.disk} on disk`);
    const filtered = search.value || state.value;
    say(note, page.rows.length ? (hint()) : filtered ? "No run fits this search." : "No runs yet: train one, and it stays here.");
    fill(list, page.rows.map(line));
  }

  function hint() {
    if (page.marked.length === 1) return "Mark a second run to see the two side by side.";
    return page.marked.length === 0 && page.rows.length > 1 ? "Mark two to compare them." : "";
  }

  function line(run) {
    const name = run.title || run.name;
    const mark = el("input", { type: "checkbox", "aria-label": `mark ${name}`, checked: page.marked.includes(run.id), onchange: () => marked(run.id, mark.checked) });
    return el("div", { class: "run-row" }, mark,
      el("div", { class: "about" }, el("span", { class: "name", title: name }, name), " ", el("span", { class: `chip ${run.state}` }, STATES[run.state] || run.state), el("p", {}, run.settings),
        run.reason && run.state === "failed" ? el("p", {}, run.reason) : null, files(run.files)),
      el("span", { class: "value" }, run.score || "–", el("small", {}, "test score")), el("span", { class: "value" }, run.share || "–", el("small", {}, "trained")),
      el("span", { class: "value" }, new Date(run.at * 1000).toLocaleString("en-GB", WHEN), el("small", {}, run.seconds || " ")),
      el("div", { class: "buttons" }, el("button", { type: "button", class: "plain", onclick: () => open(run.id) }, "Open"),
        run.state === "queued" || !offers("inside") ? null : el("button", { type: "button", class: "plain", onclick: () => handOver("inside", { run: run.id }) }, "Look inside"), el("button", { type: "button", class: "plain", onclick: () => rename(run) }, "Rename"),
        el("button", { type: "button", class: "plain", onclick: () => remove(run) }, "Delete")));
  }

  function open(id) {
    goTo("train");
    window.dispatchEvent(new CustomEvent("lab-open", { detail: id }));
  }

  async function rename(run) {
    const title = await promptFor("A name for this run", run.title || run.name);
    if (title !== null && (await asked("rename", { run: run.id, title }))) load();
  }

  async function remove(run) {
    if (!(await ask(`Delete “${run.title || run.name}” and its adapter for good?`, "Delete", "Keep it"))) return;
    if (await asked("delete", { run: run.id })) { marked(run.id, false); load(); }
  }

  async function marked(id, on) {
    page.marked = [...page.marked.filter((each) => each !== id), ...(on ? [id] : [])].slice(-2);
    list.querySelectorAll("input[type=checkbox]").forEach((box, place) => { box.checked = page.marked.includes(page.rows[place].id); });
    say(note, hint());
    const answer = page.marked.length === 2 ? await asked("pair", { runs: page.marked }) : null;
    pair.hidden = !answer;
    if (!answer) return;
    const lines = [...answer.lines, ...answer.differ.map((each) => ({ ...each, name: `differs: ${each.name}` }))];
    fill(table, el("thead", {}, el("tr", {}, ["", "A", "B"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, lines.map((each) => el("tr", {}, el("th", { scope: "row" }, each.name), each.values.map((value) => el("td", {}, value || "–"))))));
    caution.hidden = !answer.caution;
    say(caution, answer.caution);
    showChart(chart);
    draw(chart, answer.figure, page.marked.join());
    pair.scrollIntoView({ block: "nearest" });
  }
}

function later(act) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(act, 200); };
}
