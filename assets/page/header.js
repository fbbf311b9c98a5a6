// The switch between light and dark in the header; what was chosen is remembered in this browser.
import { recall, remember } from "./session.js";

export function mount(element) {
  const button = element.querySelector("button");
  const paint = (wished) => {
    if (wished) document.body.classList.toggle("dark", wished === "dark");
    button.textContent = document.body.classList.contains("dark") ? "Light" : "Dark";
  };
  paint(recall("theme"));
  button.addEventListener("click", () => {
    const wished = document.body.classList.contains("dark") ? "light" : "dark";
    remember("theme", wished);
    paint(wished);
  });
}
