// The Train tab: form on the left, the run in the middle, what the settings cost on the right.
import { createAnatomy } from "./anatomy.js";
import { createCode } from "./code.js";
import { el, fill, say } from "./dom.js";
import { createForm } from "./form.js";
import { createHome } from "./home.js";
import "./linked.js";
import { refreshOwn } from "./own.js";
import { counts, memoryBar, memoryParts, shareBar, terms } from "./pieces.js";
import { address, handOver, known, offers, question, recall, remember, setAddress, STATES, who } from "./session.js";
import { createWatch } from "./watch.js";

export function mount(element, { props, server, watch }) {
  const holder = element.querySelector(".lab-view");
  if (holder.childElementCount) return;
  watch("value", () => known(props.value));
  known(props.value);
  const start = props.start;
  const page = { asked: 0, edited: false, address: "" };

  const form = createForm({ catalogues: start.catalogues, ask: (name, value) => question(server, name, value), touched: () => { page.edited = true; }, changed, train });
  const panel = createPanel(() => train(true));
  const anatomy = createAnatomy();
  const runView = createWatch(server, { opened, edit, close: () => { showHome(); findLast(false); }, try_next: tryNext });
  const home = createHome(start.home, () => begin(), (run) => open(run));
  const last = el("p", { class: "last", hidden: true });
  const broken = el("div", { class: "notice broken", role: "alert", hidden: true });
  const middle = el("div", { class: "middle" });
  fill(holder, el("div", { class: "lab bench" }, form.node, middle, panel.node));
  const bench = holder.firstChild;
  const narrow = matchMedia("(max-width: 1199px)");
  const arrange = () => { // moved, not reordered by style: the tab key follows the eye
    if (narrow.matches) bench.prepend(middle);
    else form.node.after(middle);
    place();
  };
  // The drawing: on a phone below the form, on a wide screen in the middle, on top while one chooses.
  const place = () => {
    if (narrow.matches) panel.node.before(anatomy.node);
    else if (bench.dataset.state === "choosing") middle.prepend(anatomy.node);
    else middle.append(anatomy.node);
  };
  narrow.addEventListener("change", arrange);
  arrange();
  bench.dataset.state = "home";
  const code = createCode(server, form.node, narrow);

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !document.querySelector("dialog[open]") && holder.offsetParent && runView.stoppable()) {
      event.preventDefault(); // else the same key would close the question at once
      setTimeout(runView.stop);
    }
  });
  window.addEventListener("lab-open", (event) => open(event.detail));
  window.addEventListener("popstate", begin_from_address);
  begin_from_address();
  refreshOwn();

  async function begin_from_address() {
    const { run, spec } = address();
    const draft = recall("draft");
    if (spec && (await openLink(spec)) === "lost") return null; // the address stays as it is
    if (!spec) await paint(!run && draft ? draft : start.draft, !run && draft ? null : { form: start.form, price: start.price });
    if (run) return open(run);
    showHome();
    return findLast();
  }

  async function openLink(spec) {
    form.button.disabled = true; // until the form says what the link says, there is something else to train than what was meant
    const answer = await question(server, "open_link", { spec, owner: await who() }).catch(() => null);
    if (!answer) {
      broken.hidden = false;
      fill(broken, el("p", {}, el("b", {}, "The lab does not answer, so this link is not open yet.")),
        el("button", { type: "button", class: "plain", onclick: () => { broken.hidden = true; begin_from_address(); } }, "Try again"));
      fill(middle, broken);
      return "lost";
    }
    if (!answer.error) {
      page.edited = true; // what the link says is not to be overwritten by a run that is found
      return paint(answer.draft, answer);
    }
    await paint(start.draft, { form: start.form, price: start.price });
    broken.hidden = false;
    fill(broken, el("p", {}, el("b", {}, "This link cannot be read; here is the usual start instead.")), el("p", { class: "soft" }, answer.error));
    return null;
  }

  async function paint(draft, ready) {
    const failed = await form.set(draft, ready?.form || null);
    if (failed && page.painted) return failed; // what stood there stays
    page.painted = true;
    if (failed) return form.set(start.draft, start.form).then(() => priced(start.price));
    if (ready?.price) priced(ready.price);
    return count(form.values());
  }

  // The draft is kept and the address follows, so a reload or a copied address loses nothing that was typed.
  function changed(draft) {
    broken.hidden = true;
    page.edited = true;
    if (bench.dataset.state === "home") choosing();
    remember("draft", draft);
    count(draft);
  }

  function choosing() {
    bench.dataset.state = "choosing"; // on a phone the button to press is now Train
    place();
  }

  async function count(draft) {
    const asked = ++page.asked;
    const answer = await question(server, "count", draft).catch(() => null);
    if (asked !== page.asked || !answer) return;
    if (answer.error) { form.fail(answer); panel.stale(); anatomy.stale(); code.stale(); return; }
    form.fail(null);
    priced(answer);
    if (page.edited) setAddress({ run: address().run, spec: answer.address });
  }

  function priced(answer) {
    page.address = answer.address;
    panel.show(answer);
    anatomy.show(answer.anatomy, answer.symbols);
    form.spell(answer.symbols);
    code.follow(form.values());
    say(form.button, answer.spec.steps ? "Train" : "Ask it");
    say(form.time, answer.time);
  }

  // Where an equal run has finished here the answer is its result, without the wait; unless it is to be trained anew.
  async function train(anew = false) {
    if (form.button.disabled) return;
    form.button.disabled = true;
    try {
      const answer = await question(server, "submit", { draft: form.values(), owner: await who(), anew });
      if (answer.error) return form.fail(answer);
      page.edited = false;
      open(answer.run, answer.answered);
      if (runView.node.getBoundingClientRect().top < 0 || narrow.matches) runView.node.scrollIntoView({ block: "start" });
      return null;
    } catch {
      form.fail({ error: "The lab cannot be reached. Your settings are kept; try again in a moment." });
      return null;
    } finally {
      form.button.disabled = false;
    }
  }

  function open(run, answered = false) {
    setAddress({ run, spec: page.edited ? page.address : null });
    fill(middle, broken, runView.node);
    bench.dataset.state = "run";
    place();
    runView.open(run, answered);
  }

  // A run that is opened fills the form with its own settings, unless something was typed that would be lost.
  function opened(view) {
    if (!page.edited && !address().spec && !view.mine) paint(view.draft, null);
    else if (!page.edited && !address().spec && page.first !== false) paint(view.draft, null);
    page.first = false;
    if (view.state === "finished") count(form.values()); // this machine's pace is known now
  }

  function edit(draft, knob) {
    paint(draft, null).then((failed) => { if (failed) return; page.edited = true; form.focus(knob); });
  }

  function tryNext(draft, anew = false) {
    paint(draft, null).then((failed) => { if (failed) return; page.edited = false; train(anew); });
  }

  function showHome() {
    fill(middle, broken, last, home);
    bench.dataset.state = "home";
    place();
    setAddress({ run: null, spec: page.edited ? page.address : null });
  }

  // A closed tab finds its run again; one that has ended is offered, not forced.
  async function findLast(reopen = true) {
    const owner = await who();
    const answer = await question(server, "latest", { owner }).catch(() => null);
    if (!answer?.run || bench.dataset.state !== "home") return;
    if (reopen && !answer.ended && !address().spec) return open(answer.run);
    last.hidden = false;
    fill(last, "Your last run: ", el("button", { type: "button", class: "link", onclick: () => open(answer.run) }, answer.name), `, ${STATES[answer.state] || answer.state}`);
  }

  function begin() {
    const first = start.home ? paint(start.home.draft, null) : Promise.resolve();
    first.then(() => { page.edited = true; choosing(); form.focus("rank"); });
  }
}

function createPanel(trainAnew) {
  const body = el("div", { class: "body" });
  const node = el("aside", { class: "costs", "aria-label": "What these settings train and cost" }, el("h2", {}, "Before you train"), body);
  return {
    node,
    stale: () => node.classList.add("stale"),
    show(price) {
      node.classList.remove("stale");
      const open = [...body.querySelectorAll("details")].map((each) => each.open);
      fill(body,
        el("p", { class: "big", id: "trainable" }, price.trainable, el("small", {}, `${price.share} of all numbers are trained`)), shareBar(price.part), counts(price.rows),
        el("h3", {}, "Count it by hand"), terms(price.terms, price.total, price.linked),
        el("h3", {}, "Memory of one step, estimated"), memoryBar(price.memory, price.memory.bytes), el("details", {}, el("summary", {}, "by part"), memoryParts([price.memory])),
        el("p", { class: "soft" }, "A rule of thumb, with every text at its full length: usually more than a run measures, on the tiniest models less."),
        !offers("memory") ? null : el("p", { class: "soft" }, el("button", { type: "button", class: "link", id: "trace-step", onclick: () => handOver("memory", price.step) }, "Follow it through one step"), ", and what would make it smaller"),
        el("h3", {}, "Time"), el("p", { class: "soft" }, price.time),
        price.made_before ? el("p", { class: "soft", id: "made-before" }, "This very run has been made here before: Train shows its result at once. ",
          el("button", { type: "button", class: "link", id: "anew", onclick: trainAnew }, "Run it anew")) : null);
      body.querySelectorAll("details").forEach((each, place) => { each.open = open[place] || false; });
    },
  };
}
