"""Places of methods that train tensors of the base itself."""
from __future__ import annotations

from collections.abc import Callable

from lab.contracts import Linear, Place, Shape


def of_base(shape: Shape, chosen: Callable[[int | None], bool]) -> tuple[Place, ...]:
    """Every tensor of the base whose layer is chosen; `None` stands for what belongs to no layer, embeddings for instance."""
    linears = (Place(linear.role, linear.layer, of_linear(linear)) for linear in shape.linears if chosen(linear.layer))
    weights = (Place(weight.role, weight.layer, ((weight.name, weight.sizes),)) for weight in shape.weights if chosen(weight.layer))
    return (*linears, *weights)


def of_linear(linear: Linear) -> tuple[tuple[str, tuple[int, ...]], ...]:
    bias = ((f"{linear.module}.bias", (linear.outputs,)),) if linear.bias else ()
    return ((f"{linear.module}.weight", linear.weight_sizes), *bias)
