"""Places of methods that train tensors of the base itself, and the learning rates of such tensors by how deep they lie."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from lab.accounting.shapes import shape_of
from lab.contracts import Code, Linear, Place, Shape, knob

DECAY = knob(1.0, "learning rate of each block, as a multiple of that of the block above it: 1 is the same for all; Howard and Ruder took 1 / 2.6",
             low=0, high=1, advanced=True)


def of_base(shape: Shape, chosen: Callable[[int | None], bool]) -> tuple[Place, ...]:
    """Every tensor of the base whose layer is chosen; `None` stands for what belongs to no layer, embeddings for instance."""
    linears = (Place(linear.role, linear.layer, of_linear(linear)) for linear in shape.linears if chosen(linear.layer))
    weights = (Place(weight.role, weight.layer, ((weight.name, weight.sizes),)) for weight in shape.weights if chosen(weight.layer))
    return (*linears, *weights)


def of_linear(linear: Linear) -> tuple[tuple[str, tuple[int, ...]], ...]:
    bias = ((f"{linear.module}.bias", (linear.outputs,)),) if linear.bias else ()
    return ((f"{linear.module}.weight", linear.weight_sizes), *bias)


def only(module: Any, places: Iterable[Place]) -> Any:
    """The tensors of the base at these places train, all others are frozen; a place names its tensors as the model does."""
    named = dict(module.requires_grad_(False).named_parameters())
    for place in places:
        for name, _ in place.tensors:
            named[name].requires_grad_(True)
    return module


def shape_in(module: Any) -> Shape:
    """The sizes of a loaded base, for hooks that are given the module alone."""
    return shape_of(module.config.to_dict())


def groups(module: Any, places: Iterable[Place], lr: float, decay: float) -> list[dict[str, Any]]:
    """Parameter groups for the optimizer: lr for the last block and what stands behind it, lr x decay^n for n blocks deeper; embeddings lie deepest."""
    top = shape_in(module).layers - 1
    far = {name: _distance(place, name, top) for place in places for name, _ in place.tensors}
    found = defaultdict(list)
    for name, weight in module.named_parameters():
        if weight.requires_grad:
            found[far[name]].append(weight)
    return [{"params": found[distance], "lr": lr * decay**distance} for distance in sorted(found)]


def code(shape: Shape, decay: float) -> Code:
    """`groups` as lines of the exported script: one group for each tensor, by how many blocks below the last it lies."""
    if decay == 1:
        return Code()
    stacks = [stack for stack in (shape.encoder_blocks, shape.blocks) if stack]
    below = dict.fromkeys("embeddings" if weight.name.startswith("embeddings.") else weight.name.rpartition(".")[0]
                          for weight in shape.weights if weight.role == "embedding")
    modules = ", ".join(f"model.{name}" for name in below)
    bottom = f"torch.nn.ModuleList([{modules}])" if len(below) > 1 else modules
    return Code(groups=(
        f"blocks = [{bottom}, {', '.join(f'*model.{stack}' for stack in stacks)}]  # from the bottom to the top",
        "far = {id(weight): depth for depth, block in enumerate(reversed(blocks)) for weight in block.parameters()}",
        f'groups = [{{"params": [w], "lr": LR * {decay!r} ** far.get(id(w), 0)}} for w in model.parameters() if w.requires_grad]'))


def _distance(place: Place, name: str, top: int) -> int:
    if place.layer is not None:
        return top - place.layer
    return top + 1 if place.role == "embedding" or name.startswith("embeddings.") else 0
