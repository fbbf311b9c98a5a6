// The Class tab: the door for students, and the desk of whoever teaches.
import { createDesk } from "./class_desk.js";
import { createDoor } from "./class_door.js";
import { el, fill, say } from "./dom.js";
import { memberName, setMember, tellClass } from "./member.js";
import { known } from "./session.js";

export function mount(element, { props, watch }) {
  const holder = element.querySelector(".lab-view");
  if (holder.childElementCount) return;
  watch("value", () => known(props.value));
  known(props.value);
  const trouble = el("p", { class: "error-text", role: "alert" });
  const door = createDoor(begin);
  const desk = createDesk(begin);
  fill(holder, el("div", { class: "lab class-page" }, trouble, door.node, desk.node));
  new IntersectionObserver((seen) => { if (seen.some((each) => each.isIntersecting)) begin(); }).observe(holder);

  // At the desk the door is not shown: the page is projected.
  async function begin() {
    const found = await tellClass("about");
    say(trouble, found.error || "");
    if (found.error) return;
    if (found.member && !memberName()) setMember(found.member, true);
    await desk.show(found.desk);
    door.show(found, !desk.open());
  }
}
