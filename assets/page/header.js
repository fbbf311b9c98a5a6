// The switch between light and dark in the header, which this browser remembers, and the tab that a link may name.
import { goTo, offers, recall, remember } from "./session.js";

export function mount(element, { props }) {
  const { title } = props;
  if (title) element.querySelector("h1").textContent = title;
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
  const place = new URLSearchParams(location.search).get("place");
  if (place && /^[a-z]+$/.test(place)) whenThere(place);
}

// The tabs are built beside this script, by the page.
function whenThere(place, tries = 50) {
  if (offers(place)) goTo(place);
  else if (tries) setTimeout(() => whenThere(place, tries - 1), 100);
}
