// The name of the lab above the tabs, and the switch between light and dark.
import { el } from "./dom.js";
import { recall, remember } from "./session.js";

export function header() {
  if (document.querySelector(".lab-header")) return;
  const wished = recall("theme");
  if (wished) document.body.classList.toggle("dark", wished === "dark");
  const words = () => (document.body.classList.contains("dark") ? "Light" : "Dark");
  const theme = el("button", { type: "button", class: "plain", "aria-label": "switch between light and dark", onclick: () => {
    const dark = document.body.classList.toggle("dark");
    remember("theme", dark ? "dark" : "light");
    theme.textContent = words();
  } }, words());
  const node = el("header", { class: "lab lab-header" }, el("h1", {}, "The PEFT Lab"), el("p", {}, "Train a few numbers of a model, and see what that buys and costs."), theme);
  document.getElementById("places")?.before(node);
}
