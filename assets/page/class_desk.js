// The desk of whoever teaches: signed in with the secret of this lab, it shows the class as it works.
import { capital, field } from "./class_door.js";
import { leaders, predicted, progressTable, scrolled } from "./class_pieces.js";
import { ask, download, el, fill, say } from "./dom.js";
import { tellClass } from "./member.js";

const TOKEN = "peft-lab-desk"; // for this tab of the browser only, and for hours
const OFTEN = 3000, SELDOM = 10000;
const VIEWS = [["queue", "Runs"], ["progress", "Progress"], ["predictions", "Predictions"], ["gallery", "Results"], ["files", "Files"]];
const FILES = [["progress", "Progress in lessons", "a row a student and lesson"], ["predictions", "Predictions", "what each expected before a result"],
  ["observations", "Observations", "each answer within lessons and their quizzes, and whether it is right: the first one counts"], ["quiz", "Scores", "of the quizzes and of the two forms of the test, first answers"], ["runs", "Runs", "of members, with settings and measured values"]];

export function createDesk(again) {
  const state = { view: "queue", lesson: "", task: "", truth: false, drawn: "", timer: 0, turn: 0 };
  const node = el("section", { class: "class-desk", hidden: true, "aria-label": "For whoever teaches" });
  const body = el("div", { class: "class-body" });
  const trouble = el("p", { class: "error-text", role: "alert" });
  const tabs = VIEWS.map(([key, words]) => el("button", { type: "button", class: "plain", onclick: () => look(key) }, words));
  const desk = el("div", { class: "class-open" }, el("header", {}, el("h2", {}, "The class"), el("nav", { class: "class-views", "aria-label": "Views of the class" }, tabs),
    el("button", { type: "button", class: "link", onclick: leave }, "Sign out")), trouble, body);
  const lock = createLock();
  document.addEventListener("visibilitychange", () => { if (!document.hidden && open()) refresh(); });

  function open() {
    return Boolean(token());
  }

  async function show(offered) {
    node.hidden = !offered;
    if (!offered) return;
    if (!open()) { stop(); fill(node, lock.node); return; }
    if (desk.parentNode !== node) { fill(node, desk); look(state.view); }
  }

  function createLock() {
    const secret = field("class-secret", "Instructor secret", { type: "password", autocomplete: "current-password", maxlength: 200, required: true });
    const wrong = el("p", { class: "error-text", role: "alert" });
    const enter = async (event) => {
      event.preventDefault();
      const answer = await tellClass("enter", { secret: secret.input.value });
      secret.input.value = "";
      if (answer.error) return say(wrong, capital(answer.error));
      say(wrong, "");
      keep(answer.token);
      return again();
    };
    return { node: el("details", { class: "class-another" }, el("summary", {}, "For whoever teaches"),
      el("form", { onsubmit: enter }, el("p", { class: "soft" }, "The secret stands in the configuration of this lab."), el("div", { class: "class-fields one" }, secret.node),
        el("div", { class: "class-go" }, el("button", { type: "submit", class: "plain" }, "Open the desk"), wrong))) };
  }

  async function leave() {
    const old = token();
    keep("");
    await tellClass("out", { token: old });
    again();
  }

  function stop() {
    clearTimeout(state.timer);
    state.turn += 1;
    state.drawn = "";
  }

  async function asked(question, said = {}) {
    const answer = await tellClass(question, { token: token(), ...said });
    say(trouble, answer.error ? capital(answer.error) : "");
    if (answer.error && !answer.lost && answer.error.startsWith("your sign-in is over")) { keep(""); again(); }
    return answer.error ? null : answer;
  }

  function look(view) {
    stop();
    state.view = view;
    tabs.forEach((button, place) => { button.setAttribute("aria-pressed", VIEWS[place][0] === view); });
    fill(body, el("p", { class: "soft" }, "asking for it …"));
    refresh();
  }

  async function refresh() {
    clearTimeout(state.timer);
    const turn = state.turn;
    const { view } = state;
    if (view === "files") { fill(body, files()); return; }
    if (node.offsetParent && !document.hidden) {
      const found = await asked(view, { lesson: state.lesson, task: state.task });
      if (turn !== state.turn) return;
      const drawn = JSON.stringify(found);
      if (found && drawn !== state.drawn && !busy()) { state.drawn = drawn; fill(body, PAINT[view](found)); }
    }
    state.timer = setTimeout(refresh, view === "queue" ? OFTEN : SELDOM);
  }

  // A menu that is open, or a button that the keyboard is on, is not drawn anew.
  function busy() {
    return body.contains(document.activeElement) && document.activeElement.matches("select, button");
  }

  const PAINT = {
    queue: (found) => [
      el("dl", { class: "class-figures" }, [{ name: "Members", value: String(found.members), about: "have joined" }, { name: "Running", value: String(found.running), about: [`${found.waiting} waiting`, found.following ? `${found.following} to follow` : ""].filter(Boolean).join(", ") }, ...found.capacity]
        .map((each) => el("div", {}, el("dt", {}, each.name), el("dd", {}, each.value, el("small", {}, each.about))))),
      el("section", { class: "class-card" }, el("h3", {}, "Who runs and who waits"),
        found.rows.length ? scrolled("Runs", el("table", { class: "class-table" }, el("thead", {}, el("tr", {}, ["who", "what", "state", "since", ""].map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, found.rows.map(run))))
          : el("p", { class: "soft" }, "Nothing runs and nothing waits."),
        found.follow ? el("p", { class: "soft" }, found.follow) : null)],
    progress: (found) => el("section", { class: "class-card" }, el("h3", {}, "How far everybody is"), el("p", { class: "soft" }, "A column a lesson; its title shows when you point at it."), progressTable(found)),
    predictions: (found) => {
      const menu = el("select", { id: "class-lesson", onchange: () => { Object.assign(state, { lesson: menu.value, truth: false }); menu.blur(); look("predictions"); } }, found.lessons.map((each) => el("option", { value: each.key }, `${each.title}${each.members ? ` (${each.members})` : ""}`)));
      menu.value = found.lesson;
      const truth = el("input", { type: "checkbox", class: "toggle", checked: state.truth, onchange: () => { state.truth = truth.checked; fill(body, PAINT.predictions(found)); document.getElementById("class-truth")?.focus(); }, id: "class-truth" });
      return [el("div", { class: "class-choose" }, el("label", { for: "class-lesson" }, "Lesson"), menu, el("label", { class: "class-tick" }, truth, "Show what came out")),
        found.predictions.length ? el("div", { class: "class-grid" }, found.predictions.map((each) => predicted(each, state.truth))) : el("p", { class: "soft" }, "This lesson asks for no prediction.")];
    },
    gallery: (found) => {
      if (!found.tasks.length) return el("p", { class: "soft" }, "No run of a member has finished yet.");
      const menu = el("select", { id: "class-task", onchange: () => { state.task = menu.value; menu.blur(); look("gallery"); } }, found.tasks.map((each) => el("option", { value: each.key }, `${each.title} (${each.runs} ${each.runs === 1 ? "run" : "runs"} of ${each.owners})`)));
      menu.value = found.task;
      return [el("div", { class: "class-choose" }, el("label", { for: "class-task" }, "Task"), menu),
        el("section", { class: "class-card" }, el("h3", {}, "Best scores, without names"), el("p", { class: "soft" }, found.shared ? "Members see this list in their Class tab. Scores that differ by less than their ± may be equal." : "Each member's best run on test texts. Scores that differ by less than their ± may be equal."), leaders(found.board)),
        el("section", { class: "class-card" }, el("h3", {}, "All runs"), scrolled("Runs", el("table", { class: "class-table" }, el("thead", {}, el("tr", {}, [["who", ""], ["run", ""], ["test score", "value"], ["test items", "value"], ["trained", "value"], ["took", "value"]].map(([name, kind]) => el("th", { scope: "col", class: kind || null }, name)))),
          el("tbody", {}, found.runs.map((each) => el("tr", {}, el("th", { scope: "row" }, each.name), el("td", {}, each.title), [each.score, each.items, each.trainable, each.seconds].map((value) => el("td", { class: "value" }, value))))))))];
    },
  };

  function run(each) {
    const state_ = each.state === "running" ? (each.stopping ? "stopping" : "running") : `${each.place} in line${each.wait ? `, ${each.wait}` : ""}`;
    return el("tr", {}, el("th", { scope: "row" }, each.who), el("td", {}, each.what, each.settings ? el("small", {}, each.settings) : null), el("td", {}, state_), el("td", {}, each.since),
      el("td", {}, el("button", { type: "button", class: "plain small", "aria-label": `stop the run of ${each.who}: ${each.what}`, disabled: each.stopping, onclick: () => cancel(each) }, "Stop")));
  }

  async function cancel(each) {
    if (!(await ask(`Stop “${each.what}” of ${each.who}? What it has so far is kept.`, "Stop it", "Let it go on"))) { document.activeElement?.blur(); return; }
    await asked("cancel", { run: each.id });
    document.activeElement?.blur();
    refresh();
  }

  function files() {
    const save = async (what) => {
      const found = await asked("export", { what });
      if (found) download(found.name, found.text);
    };
    return el("section", { class: "class-card" }, el("h3", {}, "Tables for a spreadsheet (CSV)"), el("ul", { class: "class-files" }, FILES.map(([what, words, about]) =>
      el("li", {}, el("div", {}, el("b", {}, words), el("small", {}, about)), el("button", { type: "button", class: "plain", "aria-label": `Download ${words}`, onclick: () => save(what) }, "Download")))));
  }

  return { node, show, open };
}

function token() {
  try { return sessionStorage.getItem(TOKEN) || ""; } catch { return ""; }
}

function keep(value) {
  try { if (value) sessionStorage.setItem(TOKEN, value); else sessionStorage.removeItem(TOKEN); } catch { /* then the desk closes with every reload */ }
}
