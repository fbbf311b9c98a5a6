// The door to a class: code and name once, after reading what is kept; coming back on another device; leaving.
import { leaders } from "./class_pieces.js";
import { ask, el, fill, say } from "./dom.js";
import { flush, setMember, tellClass } from "./member.js";
import { remember } from "./session.js";

export function createDoor(again) {
  const state = { drawn: "" };
  const node = el("div", { class: "class-door", hidden: true });

  function show(found, visible) {
    node.hidden = !visible || !found.class;
    const drawn = JSON.stringify(found);
    if (node.hidden || drawn === state.drawn) return; // what is being typed stays
    state.drawn = drawn;
    fill(node, found.member ? inside(found) : outside(found));
  }

  function outside(found) {
    const code = field("class-code", "Class code", { autocomplete: "off", maxlength: 200, required: true });
    const name = field("class-name", "Your name", { autocomplete: "name", maxlength: 40, required: true });
    const agreed = el("input", { type: "checkbox", id: "class-agreed", class: "toggle" });
    const wrong = el("p", { class: "error-text", role: "alert" });
    const button = el("button", { type: "submit", class: "main" }, "Join");
    const form = el("form", { class: "class-card", onsubmit: join }, el("h2", {}, "Join the class"),
      el("p", { class: "lead" }, found.members_only ? "Enter the code that your teacher gave you, and the name you go by in class. Runs can be started by members only." : "Enter the code that your teacher gave you, and the name you go by in class."),
      el("div", { class: "class-fields" }, code.node, name.node),
      el("div", { class: "class-consent" }, el("h3", {}, "What is kept"), el("p", {}, found.consent), el("label", { class: "tick" }, agreed, el("span", {}, "I agree to this"))),
      el("div", { class: "class-go" }, button, wrong));
    return [form, another()];

    async function join(event) {
      event.preventDefault();
      if (!agreed.checked) { say(wrong, `Read what is kept and tick that you agree. ${found.members_only ? "Without it no run of yours can be started; what is recorded is open to you, and nothing is sent." : "Without it you can use the lab as well; nothing is sent then."}`); return agreed.focus(); }
      button.disabled = true;
      const answer = await tellClass("join", { code: code.input.value.trim(), name: name.input.value, agreed: true });
      button.disabled = false;
      if (answer.error) return say(wrong, capital(answer.error));
      setMember(answer.member, true);
      return again();
    }
  }

  function another() {
    const name = field("class-back-name", "Your name", { autocomplete: "off", maxlength: 40, required: true });
    const word = field("class-back-word", "Your word", { autocomplete: "off", maxlength: 40, required: true });
    const wrong = el("p", { class: "error-text", role: "alert" });
    return el("details", { class: "class-another" }, el("summary", {}, "I have joined on another device"),
      el("form", { onsubmit: back }, el("p", { class: "soft" }, "The word stands in the Class tab of the device you joined with."),
        el("div", { class: "class-fields" }, name.node, word.node), el("div", { class: "class-go" }, el("button", { type: "submit", class: "plain" }, "Come back"), wrong)));

    async function back(event) {
      event.preventDefault();
      const answer = await tellClass("back", { name: name.input.value, word: word.input.value });
      if (answer.error) return say(wrong, capital(answer.error));
      remember("owner", answer.owner);
      setMember(answer.member);
      return location.reload(); // every tab asks for what belongs to this name
    }
  }

  function inside({ member, consent, board }) {
    return [el("section", { class: "class-card" }, el("h2", {}, `You are in the class as ${member.name}`),
      el("p", { class: "lead" }, "Work as usual: your place in the lessons, your predictions and your answers reach the class by themselves."),
      el("dl", { class: "class-facts" }, el("dt", {}, "On another device"), el("dd", {}, "join with your name and this word: ", el("code", { class: "class-word" }, member.word.match(/.{1,4}/g).join("-"))),
        el("dt", {}, "What is kept"), el("dd", {}, consent)),
      el("div", { class: "buttons" }, el("button", { type: "button", class: "plain", onclick: signOut }, "Sign out on this device"), el("button", { type: "button", class: "plain", onclick: leave }, "Leave the class"))),
    board ? el("section", { class: "class-card" }, el("h2", {}, `Best scores: ${board.task}`),
      el("p", { class: "soft" }, "Everybody's best run on test texts, without names. Scores that differ by less than their ± may be equal."), leaders(board.rows)) : null];
  }

  // For a computer that several share: the next one starts with a key of their own, and this one comes back with their word.
  async function signOut() {
    if (!(await ask("Sign out on this device? Note your word first: with your name and it you come back, to your runs as well. This browser forgets your place in the lessons.", "Sign out", "Stay"))) return;
    await flush();
    try {
      for (const key of Object.keys(localStorage)) if (key.startsWith("peft-lab-") && key !== "peft-lab-theme") localStorage.removeItem(key);
    } catch { /* nothing was kept */ }
    remember("owner", [...crypto.getRandomValues(new Uint8Array(24))].map((byte) => byte.toString(16).padStart(2, "0")).join(""));
    setMember(null);
    location.replace(location.pathname);
  }

  async function leave() {
    if (!(await ask("Leave the class? What it kept of your lessons is deleted on the lab's server. Your runs stay yours.", "Leave", "Stay"))) return;
    const answer = await tellClass("leave");
    if (answer.error) { node.querySelector(".buttons")?.after(el("p", { class: "error-text", role: "alert" }, capital(answer.error))); return; }
    setMember(null);
    again();
  }

  return { node, show };
}

export function field(id, label, attributes) {
  const input = el("input", { type: "text", id, ...attributes });
  return { input, node: el("div", { class: "class-field" }, el("label", { for: id }, label), input) };
}

export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
