// A mix of experts: whose answers or trained parts count how much, and how well the mix does in each domain beside the best single expert.
import { el, fill, say } from "./dom.js";
import { draw, figureHolder } from "./figure.js";
import { question, who } from "./session.js";
import { createChooser, createGo, createPlan, createTalk, LOST } from "./try_beside.js";

export function createMix({ server }) {
  const state = { found: null, looks: new Map() };
  const chooser = createChooser({ legend: "Experts", extra: slider, fits, first: domains, changed });
  const way = el("select", { id: "try-way", onchange: () => changed() });
  const aboutWay = el("p", { class: "soft" });
  const density = el("input", { type: "range", id: "try-density", min: 0.1, max: 1, step: 0.1, value: "0.5", oninput: () => said() });
  const densitySaid = el("output", {});
  const densityRow = el("div", { class: "try-slider" }, el("label", { for: "try-density" }, "Numbers kept"), density, densitySaid);
  const prior = el("div", { class: "segments", role: "radiogroup", "aria-label": "Before a text is read" }, [["uniform", "all domains alike"], ["earlier", "like the texts before"]].map(([value, words]) =>
    el("label", {}, el("input", { type: "radio", name: "try-prior", value, checked: value === "uniform" }), el("span", {}, words))));
  const priorRow = el("div", { class: "try-prior" }, el("b", {}, "Before a text is read"), prior);
  const go = createGo("Try it on validation items", { go: () => ask("validation"), stop: () => talk.stop() });
  const test = el("button", { type: "button", class: "plain", onclick: () => ask("test") }, "Score it on test items");
  go.node.querySelector(".try-go").append(test);
  const talk = createTalk({ server, shown, busy, status: go.status, trouble: go.trouble });
  const plan = createPlan({ server, plan: "experts", title: "The four experts", words: "Train the four experts", model: () => chooser.model(), ready: show });
  const result = el("div", { class: "try-reply" });
  const figure = figureHolder("Accuracy of every expert and of the mix in each domain", 300);
  const settings = el("div", { class: "try-side" }, chooser.node, el("label", { for: "try-way", class: "try-way" }, "What is mixed"), way, aboutWay, densityRow, priorRow, go.node);
  const left = el("div", { class: "try-side" }, settings, plan.node);
  const node = el("div", { class: "try-body" });

  async function show() {
    if (!node.childElementCount) fill(node, el("p", { class: "soft", role: "status" }, "asking for your runs …"));
    const found = await question(server, "beside", { owner: await who() }).catch(() => ({ error: LOST }));
    if (found.error) { fill(node, left); go.trouble(found.error); return; }
    state.found = found;
    if (!way.childElementCount) fill(way, found.ways.map((each) => el("option", { value: each.key }, each.title)));
    chooser.show({ ...found, runs: found.runs.filter((run) => run.labels.length) });
    fill(node, left, result);
    if (!result.childElementCount) waiting();
    settings.hidden = !chooser.any();
    changed();
    if (domains(chooser.able()).length < state.found.domains.length || !plan.node.hidden) plan.look();
  }

  function waiting() {
    fill(result, el("div", { class: "try-placeholder" }, el("h3", {}, "Four experts, one model"),
      el("p", { class: "soft" }, "Each expert learned from one kind of text: film reviews, product reviews, newspaper editorials, tweets. Mixed, can they do well on all four, without a model that was trained on everything?"),
      el("p", { class: "soft" }, "Choose with validation items as often as you like; score what you chose once on the test items. The best single expert is scored beside it, and a test says whether the two differ at all.")));
  }

  // The newest run of each of the four domains; where there are none, whatever can be mixed.
  function domains(runs) {
    const found = state.found.domains.map((task) => runs.find((run) => run.task === task && run.lora)).filter(Boolean);
    return found.length > 1 ? found : [];
  }

  function fits(run, chosen) {
    const kind = current();
    if (kind?.loras && !run.lora) return "only LoRA's changes can be added up";
    if (chosen[0] && chosen[0].labels.join() !== run.labels.join()) return `answers with other labels: ${run.labels.join(", ")}`;
    return chosen.length >= 8 ? "at most 8 at a time" : "";
  }

  function current() {
    return state.found?.ways.find((each) => each.key === way.value);
  }

  function slider(run) {
    const field = el("input", { type: "range", min: -1, max: 1.5, step: 0.05, value: "0.25", "aria-label": `Weight of ${run.name}, ${run.told}`, oninput: () => tell() });
    const output = el("output", {});
    const made = { node: el("div", { class: "try-slider" }, el("small", {}, "weight"), field, output), weight: () => Number(field.value), bound: (low) => { field.min = low; if (Number(field.value) < low) field.value = low; tell(); } };
    function tell() { say(output, Number(field.value).toFixed(2).replace("-", "−")); }
    tell();
    return made;
  }

  function said() {
    say(densitySaid, `${Math.round(100 * density.value)} %`);
  }

  function changed() {
    const kind = current();
    if (!kind) return;
    chooser.draw();
    say(aboutWay, kind.about);
    for (const run of chooser.chosen()) { const own = chooser.extra(run.run); own.node.hidden = !kind.slides; own.bound(kind.low); }
    densityRow.hidden = !kind.prunes;
    priorRow.hidden = kind.key !== "posterior";
    said();
    ready();
  }

  function ready() {
    const chosen = chooser.chosen();
    const not = chosen.find((run) => current()?.loras && !run.lora);
    go.button.disabled = test.disabled = talk.going() || chosen.length < 2 || Boolean(not);
    say(go.button, chosen.length < 2 ? "Choose at least two experts" : not ? "Leave out what is no LoRA" : "Try it on validation items");
  }

  function busy(now) {
    go.busy(now);
    test.disabled = now;
    result.classList.toggle("stale", now);
    if (!now) ready();
  }

  function ask(split) {
    const runs = chooser.chosen();
    talk.ask("blend", { runs: runs.map((run) => run.run), way: way.value, weights: runs.map((run) => chooser.extra(run.run).weight()), density: Number(density.value),
      prior: prior.querySelector("input:checked").value, split });
  }

  function shown(answer) {
    if (!answer.mixed) return;
    const mixed = answer.mixed;
    const key = `${mixed.split} ${chooser.chosen().map((run) => run.run).join()}`;
    if (answer.state === "finished") state.looks.set(key, (state.looks.get(key) || 0) + 1);
    fill(result, el("h3", {}, mixed.split === "test" ? "On the test items" : "On validation items"), el("p", { class: `try-verdict ${mixed.split}` }, mixed.says), looked(mixed.split, key),
      mixed.cautions.map((line) => el("p", { class: "notice" }, line)), figure.node, table(mixed), el("p", { class: "soft" }, mixed.how),
      mixed.rank ? el("p", { class: "soft" }, `The mix is a LoRA of rank ${mixed.rank}.`) : null, mixed.posterior ? believed(mixed.posterior) : null);
    draw(figure, mixed.figure, "mix");
  }

  // How often the same items have been looked at with these runs.
  function looked(split, key) {
    const times = state.looks.get(key) || 1;
    if (times < 2) return null;
    return el("p", { class: "soft" }, split === "test" ? `You have looked at the test items ${times} times with these experts. Each further look gives luck another chance, so the test above says less than it seems to.`
      : `${times} mixes of these experts have been tried on the validation items.`);
  }

  function table({ columns, rows }) {
    return el("div", { class: "numbers", tabindex: "0", role: "region", "aria-label": "Scores of every model in each domain" }, el("table", { class: "try-table" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "model"), columns.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, rows.map((row) => el("tr", { class: row.mix ? "mix" : "" }, el("th", { scope: "row" }, row.name, row.best ? el("small", {}, " best single, by validation") : null),
        row.cells.map((cell) => el("td", {}, cell.said, cell.perplexity ? el("small", { class: "under" }, cell.perplexity) : null)))))));
  }

  function believed({ columns, rows, note }) {
    return el("section", { class: "try-part" }, el("h3", {}, "Whose answers counted"), el("div", { class: "numbers", tabindex: "0", role: "region", "aria-label": "Share of each expert in each domain" },
      el("table", { class: "try-table" }, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "texts of"), columns.map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, rows.map((row) => el("tr", {}, el("th", { scope: "row" }, row.task), row.cells.map((cell, place) =>
          el("td", { class: "shared", style: { "--share": `${100 * row.shares[place]}%` } }, cell))))))), el("p", { class: "soft" }, note));
  }

  return { node, show };
}
