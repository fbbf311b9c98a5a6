// Draw a figure that Python described, in the colours of the page, with the same numbers as a table one click away.
import { el, fill, say } from "./dom.js";

const CONFIG = { displayModeBar: false, responsive: false, displaylogo: false, doubleClick: "reset" };

function colours() {
  const style = getComputedStyle(document.querySelector(".lab") || document.body);
  const of = (name) => style.getPropertyValue(name).trim();
  return { ink: of("--ink"), soft: of("--soft"), line: of("--line"), ground: of("--ground"), strong: of("--strong-line") };
}

// Names stand beside the chart, where they cover no mark: in one line where there is room, and else small and in two.
function named(label, wide, soft) {
  const [first, second] = wide ? [`${label.name} `, ""] : halves(label);
  const text = `${plain(first)}${second === "" ? "" : `<br>${plain(second)} `}<b>${label.value}</b>`;
  return { yref: "y2", xref: "paper", x: 1, y: wide ? label.at : label.apart, showarrow: false, text, font: { size: wide ? 12 : 10.5, color: label.colour ? readable(label.colour) : soft },
    xanchor: "left", xshift: wide ? 8 : 4, yanchor: "middle", align: "left" };
}

// The name broken where the longer of two lines is shortest; the value is on the second.
function halves({ name, value }) {
  const words = name.split(" ");
  const ways = words.map((_, place) => [words.slice(0, place + 1).join(" "), words.slice(place + 1).join(" ")]);
  const longest = ([first, second]) => Math.max(first.length, second.length + value.length + 1);
  const [first, second] = ways.reduce((best, way) => (longest(way) < longest(best) ? way : best));
  return second ? [first, second] : [`${first} `, ""];
}

// A colour that carries meaning, mixed with white or black until small text in it can be read.
function readable(colour) {
  const dark = document.body.classList.contains("dark");
  const mixed = [1, 3, 5].map((place) => parseInt(colour.slice(place, place + 2), 16)).map((part) => Math.round(dark ? part + 0.5 * (255 - part) : 0.75 * part));
  return `rgb(${mixed.join(",")})`;
}

function plain(name) {
  return name.replace(/[<>&]/g, ""); // the library reads a little markup
}

function room(labels, wide) {
  if (wide) return 24 + 6.3 * Math.max(...labels.map((label) => label.name.length + label.value.length + 1));
  return 8 + 5.5 * Math.max(...labels.map((label) => { const [first, second] = halves(label); return second ? Math.max(first.length, second.length + label.value.length + 1) : first.length + label.value.length; }));
}

function dressed(figure, zoom, width, height) {
  const { ink, soft, line, ground, strong } = colours();
  const axis = { color: soft, gridcolor: line, zeroline: false, linecolor: line, fixedrange: false, automargin: true, tickfont: { size: 12 } };
  const layout = { ...figure.layout };
  for (const name of Object.keys(layout)) if (/^[xy]axis/.test(name)) layout[name] = { ...axis, ...layout[name] };
  const wide = width > 520;
  if (layout.polar) layout.polar = polar(layout.polar, soft, line, wide);
  layout.shapes = (layout.shapes || []).map((shape) => ({ ...shape, line: { color: strong, ...shape.line } }));
  const labels = figure.labels || [];
  layout.annotations = labels.map((label) => named(label, wide, soft));
  const data = figure.data.map((trace) => trace.marker && trace.marker.line ? { ...trace, marker: { ...trace.marker, line: { ...trace.marker.line, color: ground } } } : trace);
  return [data, {
    ...layout, showlegend: false, margin: layout.polar ? { l: 80, r: 80, t: 36, b: 36 } : { l: 8, r: labels.length ? room(labels, wide) : 14, t: 8, b: 8 }, width, height, autosize: false, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", uirevision: zoom,
    font: { family: "system-ui, sans-serif", color: ink, size: 13 }, hovermode: "closest", hoverlabel: { bgcolor: ground, bordercolor: strong, font: { color: ink } }, dragmode: "zoom",
  }];
}

// Axes that go round a centre, with room for their names.
function polar({ radialaxis, ...rest }, soft, line, wide) {
  const axis = { color: soft, gridcolor: line, linecolor: line, tickfont: { size: 12 } };
  return { bgcolor: "rgba(0,0,0,0)", ...rest, radialaxis: { ...axis, ...radialaxis }, angularaxis: { ...axis, tickfont: { size: wide ? 13 : 11.5 } } };
}

const holders = new Set(); // for light and dark; it keeps none of them

new MutationObserver(() => {
  for (const each of holders) {
    const held = each.deref();
    if (!held) holders.delete(each);
    else if (held.node.isConnected) draw(held, held.figure, held.zoom);
  }
}).observe(document.body, { attributes: true, attributeFilter: ["class"] });

// A holder with a fixed height: nothing moves when the curve comes.
export function figureHolder(name, height) {
  const plot = el("div", { class: "plot", style: { height: `${height}px` }, role: "img", "aria-label": name });
  const table = el("div", { class: "numbers", hidden: true, tabindex: "0", role: "region", "aria-label": `${name}, as numbers`, style: { height: `${height}px` } });
  const toggle = el("button", { type: "button", class: "small", "aria-pressed": "false" }, "Numbers");
  const hint = el("figcaption", { class: "hint" });
  const node = el("figure", { class: "figure" }, plot, table, el("div", { class: "under" }, hint, toggle));
  const held = { node, plot, table, hint, figure: null, zoom: "", width: 0 };
  held.show = (numbers) => {
    table.hidden = !numbers;
    plot.hidden = numbers;
    toggle.setAttribute("aria-pressed", String(numbers));
    toggle.textContent = numbers ? "Chart" : "Numbers";
    draw(held, held.figure, held.zoom);
  };
  toggle.addEventListener("click", () => held.show(table.hidden));
  new ResizeObserver(() => { if (plot.clientWidth && plot.clientWidth !== held.width) draw(held, held.figure, held.zoom); }).observe(plot);
  holders.add(new WeakRef(held));
  return held;
}

export function showChart(held) {
  if (!held.table.hidden) held.show(false);
}

export function draw(held, figure, zoom) {
  held.figure = figure;
  held.zoom = zoom;
  if (!figure) return;
  held.plot.setAttribute("aria-label", figure.alt);
  say(held.hint, figure.caption ? `${figure.caption}${held.table.hidden && !figure.layout.polar ? " Drag to zoom, double click to reset." : ""}` : " ");
  if (!held.table.hidden) return tabulate(held.table, figure.table);
  held.width = held.plot.clientWidth;
  if (!held.width) return null; // not on the page yet, or in a tab that is not shown: drawn when it gets a size
  if (!window.Plotly) {
    if (!held.plot.childElementCount) fill(held.plot, el("p", { class: "soft plot-waits" }, "loading the chart …"));
    return drawing().then(() => { if (held.figure === figure) draw(held, figure, zoom); });
  }
  held.plot.querySelector(".plot-waits")?.remove();
  return window.Plotly.react(held.plot, ...dressed(figure, zoom, held.width, held.plot.clientHeight), CONFIG);
}

let library = null;

// The figure library takes a second to be read, so it begins when the page stands and there is something to draw.
function drawing() {
  library ||= new Promise((done) => {
    const begin = () => {
      const script = el("script", { src: "lab-assets/plotly.min.js", onload: done, onerror: () => { script.remove(); setTimeout(begin, 5000); } });
      document.head.append(script);
    };
    requestAnimationFrame(() => setTimeout(begin));
  });
  return library;
}

function tabulate(holder, { columns, rows }) {
  fill(holder, el("table", {}, el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", {}, cell)))))));
}
