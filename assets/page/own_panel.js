// The panel for own data: choose a file, see how it was read, say which column is what, keep it; and remove what is kept.
import { ask, el, fill, say } from "./dom.js";
import { ownLimits, ownTasks, refreshOwn, tell } from "./own.js";

const TYPES = ".csv,.tsv,.txt,.jsonl,.ndjson,.json";
const WAIT = 350; // ms without a key, until a renamed label is sent

export function open() {
  return new Promise((resolve) => {
    const state = { file: null, said: {}, seen: null, turn: 0, title: null, later: 0, busy: false };
    const body = el("div", { class: "own-body" });
    const told = el("p", { class: "own-told soft", role: "status" });
    const wrong = el("p", { class: "error-text", role: "alert", hidden: true });
    const use = el("button", { type: "button", class: "main", id: "own-use", onclick: keep }, "Use this data");
    const again = el("button", { type: "button", class: "plain", onclick: () => { forget(); first(); } }, "Another file");
    const close = el("button", { type: "button", class: "plain", onclick: () => done(null) }, "Close");
    const foot = el("div", { class: "own-foot" }, wrong, told, el("div", { class: "buttons" }, close, again, use));
    const box = el("dialog", { class: "lab own-dialog", "aria-labelledby": "own-title" },
      el("h2", { id: "own-title", tabindex: -1 }, "Your own data"), body, foot);
    box.addEventListener("cancel", (event) => { if (event.target === box) { event.preventDefault(); done(null); } });
    box.addEventListener("dragover", (event) => { event.preventDefault(); box.classList.add("over"); });
    box.addEventListener("dragleave", () => box.classList.remove("over"));
    box.addEventListener("drop", (event) => { event.preventDefault(); box.classList.remove("over"); if (event.dataTransfer.files[0]) choose(event.dataTransfer.files[0]); });
    document.body.append(box);
    first();
    box.showModal();
    box.querySelector("#own-title").focus();
    const began = state.turn;
    refreshOwn().then((answer) => { // unless a file has been chosen meanwhile
      if (state.turn !== began) return;
      first();
      fail(answer.error);
    });

    function done(key) {
      clearTimeout(state.later);
      box.close();
      box.remove();
      resolve(key);
    }

    function forget() {
      Object.assign(state, { file: null, said: {}, seen: null, title: null, turn: state.turn + 1 });
    }

    function fail(text) {
      wrong.hidden = !text;
      wrong.textContent = text ? text.charAt(0).toUpperCase() + text.slice(1) : "";
    }

    function busy(text) {
      say(told, text);
      box.classList.toggle("busy", Boolean(text));
    }

    // ── before a file ──

    function first() {
      fail("");
      busy("");
      use.hidden = again.hidden = true;
      const limits = ownLimits();
      const input = el("input", { type: "file", accept: TYPES, id: "own-file", class: "own-input", onchange: () => { if (input.files[0]) choose(input.files[0]); } });
      fill(body,
        el("p", {}, "A table with one text a row and its label, or one prompt a row and the answer to write: CSV, TSV or JSON lines."),
        el("div", { class: "own-drop" }, input, el("label", { for: "own-file", class: "button plain" }, "Choose a file"), el("span", { class: "soft own-or" }, "or drop it here")),
        el("p", { class: "soft" }, limits ? `Limits: ${limits.words}.` : " "),
        kept(),
        el("section", { class: "own-privacy" }, el("h3", {}, "Who sees it, and how long"),
          el("dl", {}, (limits?.privacy || []).map(([what, words]) => [el("dt", {}, what), el("dd", {}, words)]))));
    }

    function kept() {
      const sets = ownTasks();
      if (!sets.length) return null;
      return el("section", {}, el("h3", {}, "Kept for this browser"), el("ul", { class: "own-kept" }, sets.map((each) => el("li", {},
        el("div", {}, el("b", {}, each.title), el("small", {}, `${each.texts}, until ${each.until}`)),
        el("div", { class: "buttons" },
          el("button", { type: "button", class: "plain small", "aria-label": `use ${each.title}`, onclick: () => done(each.key) }, "Use"),
          el("button", { type: "button", class: "plain small", "aria-label": `remove ${each.title}`, onclick: () => remove(each) }, "Remove"))))));
    }

    async function remove(set) {
      if (!(await ask(`Remove “${set.title}”? Its texts are gone then. Runs made with it stay, and say so.`, "Remove", "Keep it"))) return;
      const answer = await tell("remove", { key: set.key });
      await refreshOwn();
      first();
      if (answer.error) fail(answer.error);
      else say(told, `“${set.title}” has been removed.`);
    }

    // ── a file ──

    function choose(file) {
      forget();
      const limits = ownLimits();
      if (limits && file.size > limits.bytes) { // refused before a byte of it is sent
        first();
        return fail(`The file has ${(file.size / 1e6).toFixed(1)} MB: at most ${limits.bytes / 1e6} MB. Keep fewer rows, or only the columns that are needed.`);
      }
      state.file = file;
      state.title = file.name.replace(/\.[^.]*$/, "");
      return look();
    }

    async function look() {
      const turn = ++state.turn;
      const { file } = state;
      busy("Reading the file …");
      const answer = await tell("look", { name: file.name, ...state.said }, file);
      if (turn !== state.turn) return;
      busy("");
      if (!answer.columns) { // not a table at all
        forget();
        first();
        return fail(answer.error || "The file could not be read.");
      }
      state.seen = answer;
      state.said = { ...state.said, choice: answer.choice };
      paint();
    }

    function change(part) {
      const choice = { ...state.said.choice, ...part };
      if ("answer" in part || "kind" in part || "text" in part) choice.names = {};
      state.said = { ...state.said, choice };
      look();
    }

    function rename(label, name) {
      state.said.choice = { ...state.said.choice, names: { ...state.said.choice.names, [label]: name } };
      state.turn += 1; // an answer that is on its way does not know this letter
      clearTimeout(state.later);
      state.later = setTimeout(look, WAIT);
    }

    function paint() {
      const { seen } = state;
      const { id: focused, selectionStart: caret } = document.activeElement || {};
      use.hidden = again.hidden = false;
      use.disabled = Boolean(seen.error);
      fail(seen.error || "");
      const parts = [head(), columns(), preview(), seen.report ? outcome(seen.report) : notes(seen.notes), name()];
      const top = body.scrollTop;
      fill(body, parts);
      body.scrollTop = top;
      const field = focused?.startsWith("own-") ? document.getElementById(focused) : null;
      field?.focus({ preventScroll: true });
      if (field?.type === "text") field.setSelectionRange(caret, caret);
    }

    function head() {
      const { seen, file } = state;
      const box2 = el("input", { type: "checkbox", id: "own-header", checked: seen.header, onchange: () => { state.said = { header: box2.checked }; look(); } });
      return el("div", { class: "own-head" }, el("p", {}, el("b", {}, file.name), ` · ${seen.rows.toLocaleString("en")} rows, ${seen.how}`),
        seen.header === null ? null : el("label", { class: "own-check" }, box2, " the first row names the columns"));
    }

    function columns() {
      const { seen } = state;
      const { choice } = seen;
      const menu = (id, label, value, options, onchange) => {
        const select = el("select", { id: `own-${id}`, onchange: () => onchange(select.value) }, options);
        select.value = value;
        return el("div", { class: "own-field" }, el("label", { for: `own-${id}` }, label), select);
      };
      const names = (without) => seen.columns.filter((each) => each.name !== without).map((each) => el("option", { value: each.name, title: `${each.different} different values` }, each.name));
      const labels = choice.kind === "labels";
      return el("div", { class: "own-columns" },
        menu("text", labels ? "Text" : "Prompt", choice.text, names(null), (value) => change(value === choice.answer ? { text: value, answer: "" } : { text: value })),
        menu("kind", "To learn", choice.kind, [el("option", { value: "labels" }, "labels"), el("option", { value: "answers" }, "answers to write")], (value) => change({ kind: value, answer: "" })),
        menu("answer", labels ? "Label" : "Answer", choice.answer, names(choice.text), (value) => change({ answer: value, kind: "" })),
        menu("split", "Split", choice.split, [el("option", { value: "" }, "at random"), ...names(null).filter((each) => ![choice.text, choice.answer].includes(each.value))], (value) => change({ split: value })));
    }

    function preview() {
      const { columns: all, preview: rows, choice } = state.seen;
      const order = [choice.text, choice.answer, choice.split].filter(Boolean);
      const shown = [...order, ...all.map((each) => each.name).filter((each) => !order.includes(each))].slice(0, 6);
      const places = shown.map((name) => all.findIndex((each) => each.name === name));
      const rest = all.length - shown.length;
      return el("div", { class: "own-preview", tabindex: 0, role: "region", "aria-label": "The first rows" }, el("table", {},
        el("thead", {}, el("tr", {}, shown.map((name) => el("th", { scope: "col", class: order.includes(name) ? "chosen" : null }, name)))),
        el("tbody", {}, rows.map((row) => el("tr", {}, places.map((place, at) => el("td", { class: shown[at] === choice.text ? "text" : null }, row[place])))))),
      rest > 0 ? el("p", { class: "soft" }, `and ${rest} more column${rest > 1 ? "s" : ""}`) : null);
    }

    function outcome(report) {
      const { splits } = report;
      const line = `${splits.train.toLocaleString("en")} to train on, ${splits.validation.toLocaleString("en")} for validation, ${splits.test.toLocaleString("en")} for the test.`;
      return [el("p", {}, el("b", {}, "What a run gets: "), line,
        report.majority ? ` Always naming the most frequent label is right on ${report.majority} of the test.` : ` Scored by ${report.metric}; answers have at most ${report.answer_tokens} tokens.`),
      report.kind === "labels" ? labelled(report) : null, notes(report.notes)];
    }

    // What stands in the file on the left, what it is called on the right: the same name twice joins two labels, an empty one leaves rows out.
    function labelled(report) {
      const counts = Object.fromEntries(report.counts.map((each) => [each.label, each]));
      return el("details", { class: "own-labels", open: report.found.length <= 6 }, el("summary", {}, `${report.labels.length} labels`),
        el("table", {}, el("thead", {}, el("tr", {}, ["in the file", "rows", "called", "train", "valid.", "test"].map((word) => el("th", { scope: "col" }, word)))),
          el("tbody", {}, report.found.map((each, place) => {
            const id = `own-label-${place}`;
            const input = el("input", { type: "text", id, value: each.name, maxlength: 40, "aria-label": `call ${each.label}`, placeholder: "left out", autocomplete: "off", oninput: () => rename(each.label, input.value) });
            const count = counts[each.name.trim()];
            return el("tr", {}, el("th", { scope: "row" }, each.label), el("td", {}, each.count.toLocaleString("en")), el("td", { class: "name" }, input),
              ["train", "validation", "test"].map((split) => el("td", {}, count ? count[split].toLocaleString("en") : "–")));
          }))),
        el("p", { class: "soft" }, "The same name twice joins labels; an empty one leaves their rows out."));
    }

    function notes(list) {
      return list.length ? el("ul", { class: "notice own-notes" }, list.map((each) => el("li", {}, each))) : null;
    }

    function name() {
      const input = el("input", { type: "text", id: "own-name", value: state.title, maxlength: 60, autocomplete: "off", oninput: () => { state.title = input.value; } });
      return el("div", { class: "own-field own-name" }, el("label", { for: "own-name" }, "Name"), input);
    }

    async function keep() {
      if (state.busy) return;
      state.busy = use.disabled = true;
      clearTimeout(state.later);
      busy("Keeping it …");
      const answer = await tell("keep", { name: state.file.name, title: state.title, ...state.said }, state.file);
      busy("");
      state.busy = use.disabled = false;
      if (answer.error) return fail(answer.error);
      await refreshOwn();
      return done(answer.set.key);
    }
  });
}
