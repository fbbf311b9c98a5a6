// One step from its start to its end, coloured by part: under the bars of the Memory tab, and in lessons.
import { el, say } from "./dom.js";
import { draw, figureHolder } from "./figure.js";

export function createTimeline(tag = "h2") {
  const heading = el("span", {});
  const moment = el("p", { class: "soft" });
  const chart = figureHolder("Memory over one step", 280);
  const node = el("div", { class: "memory-course" }, el(tag, {}, heading, el("small", { class: "of-before" }, " as before your change; the new step is being traced")), moment, chart.node);

  // `timeline` is nothing where a step cannot be traced: then only its peak is known.
  function show({ title, moment: peak, timeline }) {
    say(heading, `${title}: one step from start to end`);
    say(moment, peak);
    chart.node.hidden = !timeline;
    if (timeline) draw(chart, timeline, title);
  }

  return { node, show };
}
