"""A rank so high that the two thin matrices hold more numbers than the one they are to spare."""
from collections.abc import Iterator
from math import prod

from lab.contracts import Place
from lab.diagnosed import Diagnosis
from lab.events import RunResult
from lab.spec import RunSpec

FACTORS = {"A", "B"}


class AboveBreakEven(Diagnosis):
    key = "above-break-even"
    title = "The rank is above break-even"
    about = "LoRA was given rank 256 beside matrices of 384 × 384, at a learning rate with which it still learns: nothing but the count looks odd."
    knob = "rank"
    shown = "counts"
    mistaken = ("by-heart", "cut-off", "nothing-frozen")
    broken = {"model": "minilm-l6", "task": "movies", "method": {"name": "lora", "rank": 256, "alpha": 512.0}, "lr": 0.001}

    @classmethod
    def found(cls, spec: RunSpec, result: RunResult) -> str | None:
        for rank, inside, out in _pairs(spec):
            even = inside * out / (inside + out)
            if rank > even:
                return (f"Beside a matrix of {out:,} × {inside:,}, that is {out * inside:,} numbers, rank {rank} trains {rank * (inside + out):,}: "
                        f"more than all of it. Break-even is at rank {even:.0f}, which is in × out / (in + out).")
        return None

    @classmethod
    def against(cls, spec: RunSpec, result: RunResult) -> str:
        rank, inside, out = next(_pairs(spec), (0, 0, 0))
        if not rank:
            return f"{spec.method.title} has no rank: the {result.started.counts['method']:,} numbers that it trains are no thin matrices beside others."
        return (f"Its rank is {rank}: that is {rank * (inside + out):,} numbers beside a matrix of {out * inside:,}. Break-even is at rank "
                f"{inside * out / (inside + out):.0f}.")

    @classmethod
    def advice(cls, spec: RunSpec) -> str:
        return "Take a rank far below break-even, 8 for instance; or train the matrix itself."


def _pairs(spec: RunSpec) -> Iterator[tuple[int, int, int]]:
    """(rank, in, out) of each pair of thin matrices."""
    rank = getattr(spec.method, "rank", None)
    for place in spec.method.places(spec.shape) if rank else ():
        sizes = _factors(place)
        if sizes is not None:
            yield rank, *sizes


def _factors(place: Place) -> tuple[int, int] | None:
    """(in, out) of the matrix that A: (r, in) and B: (out, r) stand beside."""
    named = {name.rpartition(".")[2].partition("_")[0]: sizes for name, sizes in place.tensors}
    if not set(named) >= FACTORS or any(len(named[name]) != 2 for name in FACTORS):
        return None
    (r, inside), (out, other) = named["A"], named["B"]
    return (inside, out) if r == other and prod((r, inside, out)) else None


entry = AboveBreakEven
