"""Gradient norms of a low-rank pair: at step 0 B = 0 lets no gradient through to A, so B moves first.

    dL/dA = s B^T G,  dL/dB = s G A^T,  G: (outputs, inputs) the gradient of the full matrix
"""
from collections import defaultdict
from typing import Any

from lab.contracts import Support
from lab.lens import Seen, Specimen, Table, Trace
from lab.spec import RunSpec


class GradientNorms(Trace):
    """Length of the gradient of all A and of all B matrices, before clipping."""

    key = "gradient_norms"
    title = "Which matrix moves first"
    about = ("How long the gradients of all A and of all B matrices are as training goes on. With B = 0 at the start, A's gradient is exactly 0 at step 0: "
             "only B can move first. A long gradient is not yet a large change: Adam rescales each number's step.")
    source = "LoRA, Hu et al. 2021, section 4.1"

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        tensors = {name for place in spec.method.places(spec.shape) for name, _ in place.tensors}
        return Support(True) if {"A", "B"} <= tensors else Support(False, "it has no pair of matrices A and B; LoRA and its relatives have")

    def look(self, specimen: Specimen, begun: Any, gradients: bool) -> dict[str, float] | None:
        """{"A": norm, "B": norm}; None where no gradient is at hand."""
        squares: dict[str, float] = defaultdict(float)
        for name, weight in specimen.module.named_parameters():
            side = next((side for side in ("A", "B") if f"lora_{side}" in name), None)
            if side and weight.grad is not None:
                squares[side] += float(weight.grad.float().square().sum())
        return {side: square ** 0.5 for side, square in sorted(squares.items())} if gradients and squares else None

    @classmethod
    def says(cls, value: list[Seen]) -> tuple[str, ...]:
        first = next((seen.value for seen in value if seen.value and set(seen.value) == {"A", "B"}), None)
        if first is None or not any(first.values()):
            return ()
        still = [side for side in ("A", "B") if not first[side]]
        if not still:
            return (f"Neither started at 0, so both move at once: before the first step the gradient of all A matrices is {first['A']:.3g} long, that of all B "
                    f"matrices {first['B']:.3g}. A longer gradient is not a larger step: Adam rescales it.",)
        moves = "B" if still == ["A"] else "A"
        return (f"Before the first step the gradient of all {still[0]} matrices is exactly 0 and that of all {moves} matrices is {first[moves]:.3g}: "
                f"{moves} moves first.",)

    @classmethod
    def table(cls, value: list[Seen]) -> Table:
        return Table(("step", "gradient of A", "gradient of B"), tuple((seen.step, seen.value["A"], seen.value["B"]) for seen in value if seen.value))


entry = GradientNorms
