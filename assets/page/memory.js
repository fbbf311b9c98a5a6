// The Memory tab: choose a model and methods on the left, see where the bytes of one step go on the right. Python says every number; here they are drawn.
import { createChooser } from "./memory_choose.js";
import { createDetail } from "./memory_detail.js";
import { createPicture } from "./memory_picture.js";
import { el, fill, say } from "./dom.js";
import { known, question, recall, remember, taken } from "./session.js";

const PAUSE = 200; // after the last change of a setting, before it is asked about
const BACK = "Back to my settings";
const AGAIN = 150; // between two looks at a step that is being traced

export function mount(element, { props, server, watch }) {
  const holder = element.querySelector(".lab-view");
  if (holder.childElementCount) return;
  watch("value", () => known(props.value));
  known(props.value);
  const page = { menus: null, settings: null, undo: null, asked: 0, timer: 0, helped: "" };

  const trouble = el("div", { class: "notice", role: "alert", hidden: true });
  const status = el("p", { class: "memory-status", role: "status", "aria-live": "polite" });
  const chooser = createChooser({ changed, ask: (name, value) => question(server, name, value), open: openExample });
  const picture = createPicture({ pick, knob });
  const detail = createDetail({ attempt, energy });
  const undo = el("button", { type: "button", class: "plain", hidden: true, onclick: () => take(page.undo, null) }, "Undo");
  const worked = el("section", { class: "memory-worked", hidden: true, "aria-label": "Worked example" });
  const shelf = el("details", { class: "memory-shelf" });
  fill(holder, el("div", { class: "lab memory-page" },
    el("div", { class: "memory-head" }, el("h2", {}, "Where the memory goes"),
      el("p", { class: "soft" }, "One training step, foretold before anything is loaded. Choose a model you would like to fine-tune: the picture shows what each method would need, and on which GPU that fits.")),
    el("div", { class: "memory-bench" }, chooser.node,
      el("div", { class: "memory-results" }, worked, el("div", { class: "memory-top" }, trouble, status, undo), picture.node, detail.node, shelf))));
  window.addEventListener("lab-handed", () => { // settings that come from another tab
    const wanted = page.settings && taken("memory");
    if (wanted) take({ ...page.settings, ...wanted, shown: 0, example: null }, page.settings);
  });
  new IntersectionObserver((seen) => { if (seen.some((each) => each.isIntersecting) && !page.menus) begin(); }).observe(holder);

  async function begin() {
    page.menus = {};
    const menus = await question(server, "begin", {}).catch(() => ({ error: "The lab cannot be reached." }));
    if (menus.error) {
      page.menus = null;
      fail(menus.error, () => begin());
      return;
    }
    page.menus = menus;
    trouble.hidden = true;
    chooser.begin(menus);
    picture.begin(menus);
    detail.begin(menus);
    shelve(menus.examples);
    const usual = { ...menus.shared, ...menus.first, shown: 1, steps: 1000, grid: menus.grids[0][0] };
    const wanted = taken("memory");
    take(wanted ? { ...usual, ...wanted, shown: 0 } : valid(recall("memory")) || usual, null);
  }

  // What this browser remembers may be of another version of the page.
  function valid(kept) {
    return kept && kept.model && Array.isArray(kept.methods) && kept.methods.length ? { steps: 1000, grid: page.menus.grids[0][0], ...page.menus.shared, ...kept } : null;
  }

  // New settings as a whole; `before` is what Undo goes back to.
  function take(settings, before, words = "Undo") {
    page.undo = before;
    undo.hidden = !before;
    say(undo, words);
    page.settings = settings;
    chooser.show(settings);
    ask();
  }

  function changed(change) {
    page.undo = null;
    undo.hidden = true;
    page.settings = { ...page.settings, ...change };
    worked.hidden = !worked.dataset.key || worked.dataset.key !== page.settings.example;
    chooser.show(page.settings);
    ask(PAUSE);
  }

  function attempt(change) {
    const { method, ...shared } = change;
    const methods = page.settings.methods.map((each, place) => (method && place === page.shown ? method : each));
    take({ ...page.settings, ...shared, methods }, page.settings);
    picture.node.scrollIntoView({ block: "nearest" });
  }

  function pick(place) {
    page.settings = { ...page.settings, shown: place };
    ask();
  }

  function knob(place, name, value) {
    changed({ methods: page.settings.methods.map((each, other) => (other === place ? { ...each, [name]: value } : each)) });
  }

  function energy(change) {
    page.settings = { ...page.settings, ...change };
    ask(PAUSE);
  }

  // What would help does not hang on what a run of so many steps takes in energy.
  function step() {
    const { steps, grid, ...rest } = page.settings;
    return JSON.stringify(rest);
  }

  function ask(pause = 0) {
    const asked = ++page.asked;
    picture.stale();
    detail.stale();
    if (page.helped !== step()) {
      page.helped = ""; // what is shown from now on is of no step yet
      detail.helping([], true);
    }
    clearTimeout(page.timer);
    page.timer = setTimeout(() => look(asked, true), pause);
  }

  // Counts and a rule of thumb at once where nothing is on the screen yet, then the traced step, asked for until it has come.
  async function look(asked, first) {
    const settings = page.settings;
    remember("memory", settings);
    try {
      if (first) {
        const soon = question(server, "memory", settings);
        const counts = await Promise.race([soon, question(server, "counts", settings)]);
        if (asked !== page.asked) return;
        show(counts);
        const answer = await soon;
        if (asked !== page.asked) return;
        finish(asked, answer);
      } else {
        finish(asked, await question(server, "memory", settings));
      }
    } catch {
      if (asked === page.asked) fail("The lab cannot be reached. What you chose is kept.", () => ask());
    }
  }

  function finish(asked, answer) {
    if (asked !== page.asked) return;
    show(answer);
    if (answer.waiting) page.timer = setTimeout(() => look(asked, false), AGAIN);
    else if (answer.detail) helps(asked, answer.shown);
  }

  function show(answer) {
    if (answer.error) {
      chooser.fail(answer);
      fail(`${chooser.worded(answer)}.`.replace(/\.\.$/, "."));
      return;
    }
    chooser.fail(null);
    trouble.hidden = true;
    status.hidden = false;
    page.shown = answer.shown;
    picture.show(answer);
    say(status, told(answer));
    if (answer.detail) detail.show(answer.detail, answer.rows[answer.shown]);
    else if (!answer.waiting && !answer.early) detail.hide();
  }

  function told(answer) {
    const open = answer.rows.filter((each) => each.state === "estimate").length;
    if (!open) return answer.sentence;
    const doing = answer.starting ? "The tracing process is starting, which takes about ten seconds" : `Tracing ${open} ${open === 1 ? "step" : "steps"}`;
    return `${answer.sentence} ${doing}; until then a rule of thumb stands here in grey.`.trim();
  }

  // One change after another is tried while the settings stay as they are; the largest saving comes first.
  async function helps(asked, shown) {
    const found = [], about = step();
    if (page.helped === about) return;
    detail.helping(found, true);
    for (let at = 0, more = true; more && asked === page.asked;) {
      const answer = await question(server, "help", { ...page.settings, shown, at }).catch(() => ({ error: "lost" }));
      if (asked !== page.asked) return;
      if (answer.error) break;
      if (answer.waiting) { await new Promise((go) => setTimeout(go, AGAIN)); continue; }
      if (answer.found) found.push(answer.found);
      more = answer.more;
      at += 1;
      detail.helping(found.sort((one, two) => two.bytes - one.bytes), more);
    }
    if (asked !== page.asked) return;
    page.helped = about;
    detail.helping(found, false);
  }

  function fail(words, again = null) {
    trouble.hidden = false;
    status.hidden = true;
    detail.helpless();
    fill(trouble, el("p", {}, words), again ? el("button", { type: "button", class: "plain", onclick: again }, "Try again") : null);
  }

  // ── worked examples ──

  function openExample(key) {
    const example = page.menus.examples.find((each) => each.key === key);
    worked.hidden = false;
    worked.dataset.key = key;
    fill(worked, sheet(example), el("div", { class: "buttons" }, el("button", { type: "button", class: "small", onclick: () => { worked.hidden = true; worked.dataset.key = ""; } }, "Close")));
    if (!example.model) return;
    const methods = example.method ? [example.method, ...(example.method.name === "full" ? [] : [{ name: "full" }])] : page.settings.methods;
    take({ ...page.settings, ...chooser.suits(example.model), model: example.model, methods, shown: 0, example: key }, page.settings, BACK);
    worked.append(el("p", { class: "soft" }, `The picture below is this example's now, in place of your own settings: "${BACK}" beside it brings them back.`));
  }

  // Only what contradicts its own formula is marked as wrong.
  const sign = (example) => (example.follows ? "follows" : example.departs === "contradiction" ? "differs" : "soft");

  function sheet(example) {
    return el("article", { class: "memory-example" }, el("h3", {}, example.title), el("p", { class: "soft" }, example.source),
      el("code", { class: "formula" }, example.formula),
      el("dl", { class: "sums" }, example.steps.map((step) => [el("dt", {}, step.text), el("dd", {}, step.value)])),
      el("p", {}, "Printed: ", el("b", {}, example.printed), ". Computed: ", el("b", {}, example.result), ". ", el("span", { class: sign(example) }, example.verdict)),
      example.remark ? el("p", { class: "soft" }, example.remark) : null);
  }

  function shelve(examples) {
    const row = (each) => el("tr", {}, el("th", { scope: "row" }, each.title), el("td", { "data-name": "printed" }, each.printed), el("td", { "data-name": "computed" }, each.result),
      el("td", { class: sign(each) }, each.word),
      el("td", {}, el("button", { type: "button", class: "small", "aria-label": `show the arithmetic of ${each.title}`, onclick: () => { openExample(each.key); holder.scrollIntoView({ block: "start" }); } }, "Arithmetic")));
    const count = (how) => examples.filter((each) => each.departs === how).length;
    fill(shelf, el("summary", {}, `${examples.length} worked examples from the papers `, el("span", { class: "soft" }, `Printed numbers that contradict the paper's own formula: ${count("contradiction")}; round figures: ${count("rounding")}; another number than is counted here, and no formula given: ${count("no_formula")}`)),
      el("div", { class: "scroll" }, el("table", { class: "examples" },
        el("thead", {}, el("tr", {}, ["example", "printed", "computed", "", ""].map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, examples.map(row)))));
  }
}
