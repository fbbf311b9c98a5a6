"""Twins: which neighbours of a prompt does the task bring, and which would any training bring? The same run with other seeds, and each again on random labels.

    a token counts where it is nearer to some vector than all but a few; Fisher's exact test of how many real and how many shuffled runs it is in
"""
from collections.abc import Iterable, Sequence
from itertools import combinations
from math import comb
from typing import Any

from lab.contracts import Support, knob
from lab.events import RunResult
from lab.lens import Experiment, Table
from lab.lenses import _soft
from lab.spec import RunSpec

UNLIKELY = 0.05


class Twins(Experiment):
    """Seeds, and the same seeds on shuffled labels."""

    key = "twins"
    title = "Twins on shuffled labels"
    about = ("Several seeds of this run, and each of them again on labels drawn at random, from which nothing can be learned. A neighbour is worth a look only "
             "where it is more frequent among the real ones, and with few seeds chance alone can do that.")
    source = "control tasks: Hewitt and Liang 2019; Fisher's exact test"

    seeds: int = knob(5, "seeds, each trained on the real labels and on shuffled ones", low=2, high=10)
    top: int = knob(5, "nearest words of each vector that count", low=1, high=5)

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        return Support(False, "it was itself trained on shuffled labels; plan twins from a run on real ones") if spec.shuffle_labels else \
            _soft.has_prompt(spec, among_words=True)

    def specs(self, spec: RunSpec) -> tuple[RunSpec, ...]:
        """All real ones, this run's own seed first, then their twins. Pairs share seed and start."""
        whole = spec.to_dict()
        return tuple(RunSpec.parse({**whole, "seed": (spec.seed + step) % 2**31, "shuffle_labels": shuffled})
                     for shuffled in (False, True) for step in range(self.seeds))

    def shown(self, spec: RunSpec, results: Sequence[RunResult | None]) -> Any:
        """{"tokens": [{"id", "text", "real", "shuffled": in how many runs, "p": of Fisher's one-sided test, "adjusted": p after Holm for all tokens,
        "kept": whether adjusted is at most 0.05}, smallest p first, at most 200],
        "jaccard": {"real", "shuffled": mean over pairs of runs of |A and B| / |A or B|, None below two}, "seeds": runs planned of each kind,
        "done": runs that have ended with neighbours, "ended": {"real", "shuffled"}, "least": the smallest p that so many runs could give, "tested": tokens}"""
        texts: dict[int, str] = {}
        found = [_tokens(result, self.top, texts) for result in results]
        real, shuffled = ([tokens for tokens in part if tokens is not None] for part in (found[:self.seeds], found[self.seeds:]))
        tokens = _tested(real, shuffled, texts) if min(len(real), len(shuffled)) >= 2 else []  # fewer runs tell nothing of any token
        return {"tokens": tokens[:200], "jaccard": {"real": jaccard(real), "shuffled": jaccard(shuffled)}, "seeds": self.seeds,
                "done": len(real) + len(shuffled), "ended": {"real": len(real), "shuffled": len(shuffled)},
                "least": float(f"{fisher(len(real), len(real), 0, len(shuffled)):.4g}"), "tested": len(tokens)}

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        ended = value["ended"]
        if min(ended.values()) < 2:
            return (f"{value['done']} of {2 * value['seeds']} runs have ended: at least two of each kind are needed.",)
        kept = [each["text"] for each in value["tokens"] if each["kept"]]
        told = f"{', '.join(kept[:10])} {'is' if len(kept) == 1 else 'are'} more frequent with real labels than chance would have it" if kept else \
            f"none of {value['tested']} neighbours is more frequent with real labels than chance would have it"
        few = "" if kept or value["least"] * value["tested"] <= UNLIKELY else \
            f" So few runs could not have shown it: a token in all real and no shuffled runs has p = {value['least']:.2g}, and {value['tested']} are tested."
        spread = value["jaccard"]
        return (f"{told[0].upper()}{told[1:]} (after correcting for how many are tested).{few}",
                f"Two seeds share {spread['real']:.0%} of their neighbours on real labels and {spread['shuffled']:.0%} on shuffled ones.")

    @classmethod
    def table(cls, value: Any) -> Table:
        names = ("id", "text", "real", "shuffled", "p", "adjusted", "kept")
        return Table(names, tuple(tuple(token[name] for name in names) for token in value["tokens"]))


def _tokens(result: RunResult | None, top: int, texts: dict[int, str]) -> set[int] | None:
    """Neighbours in the last look of a finished run; `texts` gets theirs, each told once a run."""
    looks = [seen for seen in result.observed if seen.lens == "prompt_river"] if result and result.state == "finished" else []
    if not looks:
        return None
    for look in looks:
        texts.update({int(token): text for token, text in look.value["texts"].items()})
    return {token for line in looks[-1].value["positions"] for token, _ in line[:top]}


def _tested(real: Sequence[set[int]], shuffled: Sequence[set[int]], texts: dict[int, str]) -> list[dict[str, Any]]:
    rows = []
    for token in set().union(*real, *shuffled):
        one, other = (sum(token in tokens for tokens in part) for part in (real, shuffled))
        rows.append((fisher(one, len(real), other, len(shuffled)), token, one, other))
    rows.sort(key=lambda row: (row[0], -row[2], row[1]))
    return [{"id": token, "text": texts.get(token, ""), "real": one, "shuffled": other, "p": float(f"{p:.4g}"), "adjusted": float(f"{adjusted:.4g}"),
             "kept": adjusted <= UNLIKELY} for (p, token, one, other), adjusted in zip(rows, holm(row[0] for row in rows), strict=True)]


def fisher(one: int, of_one: int, other: int, of_other: int) -> float:
    """The chance of at least `one` of `one + other` marked runs among the first `of_one`, were marks given blindly: the one-sided exact test."""
    marked, whole = one + other, of_one + of_other
    ways = sum(comb(of_one, hits) * comb(of_other, marked - hits) for hits in range(one, min(marked, of_one) + 1) if marked - hits <= of_other)
    return ways / comb(whole, marked)


def holm(ordered: Iterable[float]) -> list[float]:
    """Of p-values from the smallest up, corrected for their number."""
    values, largest, found = list(ordered), 0.0, []
    for place, p in enumerate(values):
        largest = max(largest, min(1.0, p * (len(values) - place)))
        found.append(largest)
    return found


def jaccard(sets: Sequence[set[int]]) -> float | None:
    """Mean over all pairs."""
    pairs = [len(one & other) / len(one | other) for one, other in combinations(sets, 2) if one | other]
    return round(sum(pairs) / len(pairs), 4) if pairs else None


entry = Twins
