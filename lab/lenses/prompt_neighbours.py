"""Nearest words of a trained soft prompt, shown with what they are worth: the words before training, what chance gives, and what the words alone achieve."""
from collections.abc import Generator, Mapping
from typing import Any

from lab.contracts import Support, knob
from lab.lens import Probe, Progress, Specimen, Table
from lab.lenses import _soft
from lab.lenses.swap_test import SwapTest
from lab.spec import RunSpec

SURE = 0.05
DISAGREE = 0.5
NANOSECONDS = 6  # for a row, a draw and a position, both drawn nulls together, on two cores of 2024
PRODUCTS = 5e10  # multiplications and additions a second there


class PromptNeighbours(Probe):
    """The nearest words of every vector under four metrics, each with its chance."""

    key = "prompt_neighbours"
    title = "The words nearest to the prompt"
    about = ("The words nearest to each trained vector, beside those that were nearest before training and those that chance alone would bring. Something is "
             "always nearest: only a small p says nearer than chance, and only the swap test says whether the words do what the vectors do.")
    source = "Lester et al. 2021, section 7; nulls and swap test as in Khashabi et al. 2022 and Bailey et al. 2023"

    draws: int = knob(1000, "draws of each null for each position; rounded up to whole turns of the vector's coordinates", low=100, high=10_000)
    items: int = knob(200, "test items of the swap test, asked seven times over; 0 leaves it out", low=0, high=5000)

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        return _soft.has_prompt(spec, among_words=True)

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        draws, n, rows = cls().draws, _soft.prompt_of(spec).virtual_tokens, spec.shape.vocabulary
        products = 4 * draws * rows * spec.shape.embedding_width
        seconds = n * draws * rows * NANOSECONDS / 1e9 + products / PRODUCTS
        return f"about {max(1, round(seconds)):,} s on two cores for {draws:,} draws of two nulls; then {SwapTest.cost(spec)}"

    def look(self, specimen: Specimen) -> Generator[Progress, None, dict[str, Any]]:
        """{"vocabulary": rows considered, "banned": rows left out, "left_out": {reason: rows}, "draws": of each null, "top": 5,
        "positions": [{"position": from 0,
          "neighbours": {"centred": [{"id", "text", "value", "z", "p", "also": further tokens that are the same word}], "cosine", "l2", "dot"
                         (these with id, text, value)}, nearest first, each word once,
          "z", "p", "alone": of the nearest by centred cosine against the permuted null: standard deviations, p over all positions, p of this one alone,
          "nulls": {"permuted", "direction", "noise"} each with the same three,
          "init": [{"id", "text", "value"}] by centred cosine before training, "kept": its first word is still in the top 5,
          "agreement": words in all four lists over words in any, "drift": {"distance", "natural", "angle"}, "norm", "norm_percentile"}],
        "agreement": mean, "persistence": share of positions kept, "swap": what `swap_test` returns, or None}"""
        from lab.lenses import _neighbourhood

        return (yield from _neighbourhood.examined(specimen, self.draws, self.items))

    @classmethod
    def says(cls, value: Mapping[str, Any]) -> tuple[str, ...]:
        positions = value["positions"]
        n, near = len(positions), sum(position["p"] < SURE for position in positions)
        news = sum(position["p"] < SURE and not position["kept"] for position in positions)
        kept = sum(position["kept"] for position in positions)
        first = (f"{near} of {n} vectors lie nearer to a word than chance would bring them (p < {SURE}, all positions together), and {kept} of {n} still have "
                 f"the word they began beside among their {value['top']} nearest; nearer than chance and with a new word: {news}.")
        warning = (f" The four metrics agree on {value['agreement']:.0%} of the words: another metric, another story."
                   if value["agreement"] < DISAGREE else "")
        return (first + warning, *(SwapTest.says(value["swap"])[:1] if value["swap"] else ()))

    @classmethod
    def table(cls, value: Mapping[str, Any]) -> Table:
        rows = [(position["position"], metric, rank, each["id"], each["text"], each["value"], each.get("z"), each.get("p"))
                for position in value["positions"]
                for metric, line in (*position["neighbours"].items(), ("centred, before training", position["init"]))
                for rank, each in enumerate(line, start=1)]
        return Table(("position", "metric", "rank", "id", "text", "value", "z", "p"), tuple(rows))


entry = PromptNeighbours
