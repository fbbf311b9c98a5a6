// Looks at verdicts, which this browser and a link remember, and the comparison in the address.
import { copyLink } from "./dom.js";
import { comparisonQuery, recall, remember, setComparison } from "./session.js";

const KEPT = 30; // comparisons whose looks are remembered

export function createLooks() {
  let looked = recall("compare-looked") || {};

  // Verdicts that were read count as looks at these arms, whatever the seeds, also after a reload.
  function note(group, looks) {
    const seen = of(group);
    const fresh = looks.filter((seeds) => !seen.some((each) => sorted(each) === sorted(seeds)));
    if (!fresh.length) return;
    looked = Object.fromEntries([...Object.entries(looked).filter(([name]) => name !== group).slice(1 - KEPT), [group, [...seen, ...fresh]]]);
    remember("compare-looked", looked);
  }

  function of(group) {
    return looked[group] || [];
  }

  function address(plan) {
    setComparison(plan?.address || null, counts(plan));
  }

  function counts(plan) {
    return of(plan?.group).map((seeds) => seeds.length);
  }

  async function copy(button, plan) {
    await copyLink(button, `${location.origin}${location.pathname}?${comparisonQuery(plan.address, counts(plan)).join("&")}`);
  }

  return { note, of, address, copy };
}

function sorted(seeds) {
  return JSON.stringify([...seeds].sort((one, other) => one - other));
}
