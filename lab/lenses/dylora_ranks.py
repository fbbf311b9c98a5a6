"""DyLoRA's promise put to the test: the score at every smaller rank, from one training.

    h = W x + (alpha / b) B[:, :b] A[:b] x, asked with b = 1 … r
"""
from collections.abc import Generator
from typing import Any

from lab.contracts import Support, knob
from lab.lens import Probe, Progress, Specimen, Table
from lab.lenses import _parts
from lab.spec import RunSpec

EVERY = 8  # up to this rank each is asked, beyond it every doubling


class DyloraRanks(Probe):
    """Score and loss of the trained model cut to smaller ranks."""

    key = "dylora_ranks"
    title = "One training, every rank"
    about = ("What the model scores when only the first b directions of every matrix are used, without training again. It says how much of this run lies in "
             "its first directions, not how well a LoRA trained at rank b would do.")
    source = "DyLoRA, Valipour et al. 2022, section 4"

    items: int = knob(200, "test items asked at each rank", low=2, high=1000)

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        if _nested(spec) is not None:
            return Support(True)
        return Support(False, "its directions were not trained to be cut; dylora's are")

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        return f"{len(ranks(_nested(spec).rank))} evaluations of 200 items each"

    def look(self, specimen: Specimen) -> Generator[Progress, None, Any]:
        """{"ranks": [{"rank", "score", "standard_error", "loss", "items"}], smallest first; the last one is the rank that was trained}."""
        from lab.lenses import _nested_ranks

        method = _nested(specimen.spec)
        asked, found = ranks(method.rank), []
        for number, rank in enumerate(asked):
            with _nested_ranks.cut(specimen.module, rank, method.alpha):
                scored = yield from _parts.counted(specimen.scored(specimen.module, self.items), number, len(asked))
            found.append({"rank": rank, **scored.to_dict()})
        return {"ranks": found}

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        found = value["ranks"]
        last = found[-1]
        near = next(each for each in found if each["score"] >= last["score"] - last["standard_error"])
        return (f"Rank {near['rank']} already scores {near['score']:.3f}, within a standard error of rank {last['rank']}'s {last['score']:.3f} "
                f"± {last['standard_error']:.3f}.",
                "All ranks answer the same items and come from one training: their differences are surer than the errors suggest, and say nothing of "
                "another seed.")

    @classmethod
    def table(cls, value: Any) -> Table:
        columns = ("rank", "score", "standard_error", "loss", "items")
        return Table(columns, tuple(tuple(each[column] for column in columns) for each in value["ranks"]))


def ranks(largest: int) -> list[int]:
    """Which are asked for."""
    if largest <= EVERY:
        return list(range(1, largest + 1))
    return [*(2**power for power in range(largest.bit_length()) if 2**power < largest), largest]


def _nested(spec: RunSpec) -> Any:
    """The part of the method that draws a rank at each step."""
    return next((part for part in _parts.parts_of(spec) if hasattr(part, "drawn")), None)


entry = DyloraRanks
