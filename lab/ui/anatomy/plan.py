"""How the blocks of an architecture are built, read from the names and sizes of its tensors: stacks, attentions, feed-forward parts and norms in order."""
from __future__ import annotations

from dataclasses import dataclass

from lab.contracts import Linear, Shape
from lab.ui.anatomy.parts import inside

PARALLEL = ("gpt_neox",)  # attention and feed-forward part read the same input, and both are added to it
HEAD_NORMS = (".q_norm", ".k_norm")


@dataclass(frozen=True)
class Sublayer:
    """Attention or feed-forward part: its linears by role, and the module of its norm inside the block ("" where it has no numbers)."""

    kind: str  # attention, cross, ffn
    linears: dict[str, Linear]
    norm: str


@dataclass(frozen=True)
class Stack:
    index: int
    title: str  # of an encoder-decoder's two
    layers: tuple[int, ...]
    sublayers: tuple[Sublayer, ...]
    norm: str  # LayerNorm or RMSNorm
    norm_sizes: dict[str, tuple[str, ...]]  # module → names of its tensors
    head_norms: dict[str, str]  # query or key → module
    positions: str  # a table of relative positions in the first block
    post: bool  # norms stand behind the sum, as in BERT; otherwise in front of each part
    parallel: bool


def stacks(shape: Shape) -> tuple[Stack, ...]:
    numbers = range(shape.layers)
    if not shape.encoder_layers:
        return (_stack(shape, 0, "", tuple(numbers)),)
    return (_stack(shape, 0, "Encoder", tuple(numbers[:shape.encoder_layers])), _stack(shape, 1, "Decoder", tuple(numbers[shape.encoder_layers:])))


def _stack(shape: Shape, index: int, title: str, layers: tuple[int, ...]) -> Stack:
    first = layers[0]
    own = [(inside(shape, weight.name, first), weight) for weight in shape.weights if weight.layer == first]
    sizes: dict[str, tuple[str, ...]] = {}
    for name, weight in own:
        if weight.role == "norm":
            module, _, end = name.rpartition(".")
            sizes[module] = (*sizes.get(module, ()), end)
    norms = [module for module in sizes if not module.endswith(HEAD_NORMS)]
    rms = bool(sizes) and all("bias" not in ends for ends in sizes.values())
    return Stack(
        index, title, layers, _sublayers(shape, first, norms), "RMSNorm" if rms else "LayerNorm", sizes,
        {("query", "key")[module.endswith(".k_norm")]: module for module in sizes if module.endswith(HEAD_NORMS)},
        next((name.rpartition(".")[0] for name, weight in own if weight.role == "position"), ""), _post(shape), shape.model_type in PARALLEL)


def _sublayers(shape: Shape, layer: int, norms: list[str]) -> tuple[Sublayer, ...]:
    """Each query begins another attention; the norms follow one another as the parts do."""
    groups: list[tuple[str, dict[str, Linear]]] = []
    for linear in (each for each in shape.linears if each.layer == layer):
        if linear.role in ("query", "qkv"):
            groups.append(("cross" if groups else "attention", {}))
        elif linear.role.startswith("ffn") and (not groups or groups[-1][0] != "ffn"):
            groups.append(("ffn", {}))
        groups[-1][1][linear.role] = linear
    return tuple(Sublayer(kind, linears, norms[place] if place < len(norms) else "") for place, (kind, linears) in enumerate(groups))


def _post(shape: Shape) -> bool:
    """Models with the norm in front of each part need one more behind the last block; those with it behind the sums have none there."""
    return not any(weight.role == "norm" and weight.layer is None and not weight.name.startswith("embeddings.") for weight in shape.weights)


def final_norm(shape: Shape, stack: Stack) -> str:
    """Module of the norm behind the last block."""
    names = [weight.name.rpartition(".")[0] for weight in shape.weights if weight.role == "norm" and weight.layer is None
             and not weight.name.startswith("embeddings.")]
    names = [name for name in dict.fromkeys(names) if not stack.title or name.startswith(stack.title.lower())]
    return names[0] if names else ""


def embedding_norm(shape: Shape) -> str:
    return next((weight.name.rpartition(".")[0] for weight in shape.weights if weight.role == "norm" and weight.name.startswith("embeddings.")), "")
