"""Neighbour river: which words lie nearest to each vector of a soft prompt as training goes on, and whether they are still those it began with."""
from typing import Any

from lab.contracts import Support
from lab.lens import Seen, Specimen, Table, Trace
from lab.lenses import _soft
from lab.spec import RunSpec

TOP, FEW, MANY_POSITIONS = 10, 5, 60  # words a position; fewer where there are many positions, so that a look stays under 40 kB
KEPT = 5  # a first word among the nearest so many is still there


class PromptRiver(Trace):
    """The nearest words of each vector, look by look."""

    key = "prompt_river"
    title = "Which words are near"
    about = ("The words nearest to each vector by centred cosine, from before the first step to the end. A vector that began as a word mostly stays beside it, "
             "so what is near in the end tells of the start as much as of the task: compare the first look.")
    source = "Lester et al. 2021, section 7; centring after Mu and Viswanath 2018"

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        return _soft.has_prompt(spec, among_words=True)

    def begin(self, specimen: Specimen) -> Any:
        from lab.lenses import _started

        return _started.begun(specimen), set()  # of tokens whose text has been told

    def look(self, specimen: Specimen, begun: Any, gradients: bool) -> dict[str, Any]:
        """{"positions": for each a list of [token id, centred cosine], nearest word first: 10, or 5 of more than 60 positions,
        "texts": {id: text} of the tokens that no earlier look named,
        "persistence": share of positions whose nearest word before the first step is still among their 5 nearest,
        "start": for each position [token id of that word, its rank among all rows now; 1 is nearest]}"""
        from lab.lenses import _prompt

        start, told = begun
        around = start.around(_prompt.vectors(specimen.module).to(start.vectors.device))
        near = [line[:TOP if len(around.centred) <= MANY_POSITIONS else FEW] for line in around.centred]
        new = {each.token: each.text for line in near for each in line} | {token: start.words.shown(token) for token in start.tokens}
        texts = {str(token): text for token, text in new.items() if token not in told}
        told.update(new)
        return {
            "positions": [[[each.token, float(f"{each.value:.3g}")] for each in line] for line in near], "texts": texts,
            "persistence": round(sum(start.stayed(near, KEPT)) / len(near), 4),
            "start": [[token, rank] for token, rank in zip(start.tokens, around.ranks, strict=True)],
        }

    @classmethod
    def says(cls, value: list[Seen]) -> tuple[str, ...]:
        if not value:
            return ()
        last = value[-1].value
        kept, of = round(last["persistence"] * len(last["positions"])), len(last["positions"])
        return (f"{kept} of {of} vectors still have the word they began beside among their {KEPT} nearest after {value[-1].step} steps. "
                "A word that was near before training says nothing about the task.",)

    @classmethod
    def table(cls, value: list[Seen]) -> Table:
        texts: dict[str, str] = {}
        rows = []
        for seen in value:
            texts |= seen.value["texts"]
            rows += [(seen.step, position, rank, token, texts[str(token)], cosine)
                     for position, line in enumerate(seen.value["positions"]) for rank, (token, cosine) in enumerate(line, start=1)]
        return Table(("step", "position", "rank", "token", "text", "centred cosine"), tuple(rows))


entry = PromptRiver
