"""A rank so high that the two thin matrices hold more numbers than the one they are to spare."""
from math import prod

from lab.contracts import Place
from lab.diagnosed import Diagnosis
from lab.events import RunResult
from lab.spec import RunSpec

FACTORS = {"A", "B"}


class AboveBreakEven(Diagnosis):
    key = "above-break-even"
    title = "The rank is above break-even"
    about = "LoRA with rank 256 beside matrices of 384 × 384. Above r = in × out / (in + out), here 192, the thin matrices are no longer thin."
    knob = "rank"
    shown = "counts"
    broken = {"model": "minilm-l6", "task": "movies", "method": {"name": "lora", "rank": 256, "alpha": 512.0}}

    @classmethod
    def found(cls, spec: RunSpec, result: RunResult) -> str | None:
        rank = getattr(spec.method, "rank", None)
        if rank is None:
            return None
        for place in spec.method.places(spec.shape):
            sizes = _factors(place)
            if sizes is None:
                continue
            inside, out = sizes
            even = inside * out / (inside + out)
            if rank > even:
                return (f"Beside a matrix of {out:,} × {inside:,}, that is {out * inside:,} numbers, rank {rank} trains {rank * (inside + out):,}: "
                        f"more than all of it. Break-even is at rank {even:.0f}.")
        return None

    @classmethod
    def advice(cls, spec: RunSpec) -> str:
        return "Take a rank far below break-even, 8 for instance; or train the matrix itself."


def _factors(place: Place) -> tuple[int, int] | None:
    """(in, out) of the matrix that A: (r, in) and B: (out, r) stand beside."""
    named = {name.rpartition(".")[2].partition("_")[0]: sizes for name, sizes in place.tensors}
    if not set(named) >= FACTORS or any(len(named[name]) != 2 for name in FACTORS):
        return None
    (r, inside), (out, other) = named["A"], named["B"]
    return (inside, out) if r == other and prod((r, inside, out)) else None


entry = AboveBreakEven
