// The button that puts a finished run's adapter, with its card, on the Hub: only drawn where this lab lets people sign in.
import { el, fill, promptFor } from "./dom.js";
import { who } from "./session.js";

const LOST = "The lab cannot be reached; try again in a moment.";

// `view.hub` is the name that is proposed.
export function onHub(view) {
  const told = el("p", { class: "soft", role: "status" });
  const button = el("button", { type: "button", class: "plain", onclick: put }, "Put it on the Hugging Face Hub");
  return el("div", { class: "on-hub" }, button, told);

  async function put() {
    const { name: account } = await tell("about", {});
    if (!account) return fill(told, "Sign in with the button at the top of the page first, then press this again.");
    const name = await promptFor(`A private repository of ${account}, called`, view.hub);
    if (!name) return null;
    button.disabled = true;
    fill(told, "Sending it …");
    const answer = await tell("push", { run: view.id, owner: await who(), name });
    button.disabled = false;
    if (answer.error) return fill(told, el("span", { class: "error-text" }, answer.error.charAt(0).toUpperCase() + answer.error.slice(1)));
    return fill(told, "It is at ", el("a", { href: answer.address, target: "_blank", rel: "noopener noreferrer" }, answer.repository), ", private: only you see it.");
  }
}

async function tell(question, said) {
  try {
    const answer = await fetch(new URL(`hub/${question}`, document.baseURI), { method: "POST", body: JSON.stringify(said) });
    return await answer.json();
  } catch {
    return { error: LOST };
  }
}
