// Looks at verdicts, which this browser and a link remember, and the comparison in the address.
import { copyLink } from "./dom.js";
import { comparisonQuery, recall, remember, setComparison } from "./session.js";

const KEPT = 1000; // pairs of arms whose looks are remembered

export function createLooks() {
  let looked = recall("compare-looked") || {};

  // Verdicts that were read count as looks at each pair of these arms, whatever the seeds and the other arms, also after a reload.
  function note(pairs, looks) {
    const known = of(pairs), fresh = {};
    for (const pair of pairs) {
      const seen = known[pair] || [];
      const more = looks.filter((seeds) => !seen.some((each) => sorted(each) === sorted(seeds)));
      if (more.length) fresh[pair] = [...seen, ...more];
    }
    if (!Object.keys(fresh).length) return;
    looked = Object.fromEntries([...Object.entries(looked).filter(([pair]) => !(pair in fresh)), ...Object.entries(fresh)].slice(-KEPT));
    remember("compare-looked", looked);
  }

  // What is known of these pairs, by pair.
  function of(pairs = []) {
    return Object.fromEntries(pairs.filter((pair) => looked[pair]).map((pair) => [pair, looked[pair]]));
  }

  function address(plan) {
    setComparison(plan?.address || null, counts(plan));
  }

  function counts(plan) {
    const longest = Object.values(of(plan?.pairs)).reduce((most, looks) => (looks.length > most.length ? looks : most), []);
    return longest.map((seeds) => seeds.length);
  }

  async function copy(button, plan) {
    await copyLink(button, `${location.origin}${location.pathname}?${comparisonQuery(plan.address, counts(plan)).join("&")}`);
  }

  return { note, of, address, copy };
}

function sorted(seeds) {
  return JSON.stringify([...seeds].sort((one, other) => one - other));
}
