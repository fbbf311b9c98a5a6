// Membership in a class: what is asked at its door, and what a member's page sends of its lessons. Of who has not joined nothing is sent.
import { recall, remember, who } from "./session.js";

const PATIENCE = 15000, PAUSE = 400, MOST = 50;
const LOST = "The lab cannot be reached; try again in a moment.";
let timer = 0;

export async function tellClass(question, said = {}) {
  try {
    const answer = await fetch(new URL(`class/${question}`, document.baseURI), { method: "POST", body: JSON.stringify({ owner: await who(), ...said }), signal: AbortSignal.timeout(PATIENCE) });
    const found = await answer.json();
    return answer.ok ? found : { error: found.error || LOST, lost: true }; // what the lab means to refuse it refuses with 200
  } catch {
    return { error: LOST, lost: true };
  }
}

export function memberName() {
  return recall("member")?.name || "";
}

// `member` is null for who has left; `all` sends what was done before joining as well.
export function setMember(member, all = false) {
  remember("member", member ? { name: member.name } : null);
  remember("class-unsent", []);
  if (member && all) {
    for (const [lesson, kept] of Object.entries(recall("learn") || {})) sendLesson(lesson, kept, kept, {});
  }
  window.dispatchEvent(new CustomEvent("lab-member"));
}

// What has changed in a lesson. A guess counts as it was when its result was first seen: `frozen` says of a name whether it was.
export function sendLesson(lesson, now, change, before, frozen = () => false) {
  const records = [];
  if ("step" in change || "ended" in change) records.push({ kind: "progress", name: "", value: { step: now.step || 0, ended: Boolean(now.ended) } });
  for (const [name, value] of differing(change.guesses, before.guesses)) if (!frozen(name)) records.push({ kind: "prediction", name, value });
  for (const [name, place] of differing(change.answers, before.answers)) records.push({ kind: "answer", name, value: place + 1 });
  send(lesson, records);
}

export function sendTest(form, answers) {
  send("test", [{ kind: "test", name: form, value: answers }]);
}

function differing(now = {}, before = {}) {
  return Object.entries(now).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]));
}

// Kept in this browser until the lab has it: a lost network loses nothing.
function send(lesson, records) {
  if (!memberName() || !records.length) return;
  const same = (one, other) => one.lesson === other.lesson && one.record.kind === other.record.kind && one.record.name === other.record.name;
  const fresh = records.map((record) => ({ lesson, record }));
  remember("class-unsent", [...(recall("class-unsent") || []).filter((each) => !fresh.some((other) => same(each, other))), ...fresh]);
  clearTimeout(timer);
  timer = setTimeout(flush, PAUSE);
}

export async function flush() {
  clearTimeout(timer);
  const waiting = recall("class-unsent") || [];
  if (!memberName() || !waiting.length) return;
  const { lesson } = waiting[0];
  const going = waiting.filter((each) => each.lesson === lesson).slice(0, MOST);
  const answer = await tellClass("record", { lesson, records: going.map((each) => each.record) });
  if (answer.lost) { timer = setTimeout(flush, PATIENCE); return; }
  if (answer.error) { setMember(null); return; } // the class is over, or this member has been removed
  const sent = new Set(going.map((each) => JSON.stringify(each)));
  remember("class-unsent", (recall("class-unsent") || []).filter((each) => !sent.has(JSON.stringify(each))));
  await flush();
}

window.addEventListener("online", flush);
