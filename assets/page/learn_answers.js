// Answers of a question of which one is chosen. Arrow keys look through them; a click, Enter or Space answers, since an answer tells what is right.

import { el } from "./dom.js";

export function answers(name, texts, chosen, choose) {
  let looking = false;
  const inputs = texts.map((_, place) => el("input", { type: "radio", name, checked: place === chosen,
    onchange: () => { if (!looking) choose(place); }, onkeydown: (event) => pressed(event, place), onkeyup: () => { looking = false; } }));

  function pressed(event, place) {
    looking = event.key.startsWith("Arrow");
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    inputs[place].checked = true;
    choose(place);
  }

  return [...texts.map((text, place) => el("label", {}, inputs[place], el("span", {}, text))),
    el("p", { class: "soft keys" }, "Arrows look, Enter chooses.")];
}
