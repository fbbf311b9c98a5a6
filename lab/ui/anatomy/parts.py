"""Which tensors a method trains, each at the module of the model where it is drawn; their counts add up to the method's."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod

from lab.contracts import FUSED, ROLES, Linear, Method, Place, Shape

SPOTS = {  # where a tensor works that is not a branch beside the matrix: on what goes in, or on what comes out
    "oft": {"Q": "before"}, "boft": {"D": "before", "s": "after"}, "hra": {"u": "before"}, "dora": {"m": "after"}, "beft": {"Δb": "after"},
    "ia3": {"l": "after"}, "sparse": {"values of D": "mask"},
}
ADAPTER = ("D", "D bias", "U", "U bias")


@dataclass(frozen=True)
class Tensor:
    """`spot`: weight, bias, mask, branch, before, after, adapter, beside, norm, table, rows, vectors, network, shared or gate."""

    name: str
    sizes: tuple[int, ...]
    spot: str

    @property
    def count(self) -> int:
        return prod(self.sizes)


@dataclass(frozen=True)
class Part:
    """What is trained at one module, alike in each of `layers` (none: outside the blocks, once)."""

    at: str  # module path inside its block; outside the blocks that inside the model
    stack: int  # 1 in the decoder of an encoder-decoder
    role: str  # as the method's count has it
    names: tuple[str, ...]  # by which the page finds everything that belongs to it
    tensors: tuple[Tensor, ...]
    layers: tuple[int, ...]

    @property
    def each(self) -> int:
        return sum(tensor.count for tensor in self.tensors)

    @property
    def times(self) -> int:
        return max(1, len(self.layers))

    @property
    def total(self) -> int:
        return self.each * self.times


@dataclass(frozen=True)
class _Found:
    """The trained tensors of one place, before equal ones of several layers are put together."""

    at: str
    stack: int
    role: str
    names: tuple[str, ...]
    layer: int | None
    tensors: tuple[Tensor, ...]


def trained(method: Method, shape: Shape) -> tuple[Part, ...]:
    """Everything the method trains; the parts of a combination one after another."""
    found = [each for single in singles(method) for each in _merged(_of(single, shape))]
    groups: dict[tuple[object, ...], list[int]] = {}
    for each in found:
        layers = groups.setdefault((each.at, each.stack, each.role, each.names, each.tensors, each.layer is None), [])
        if each.layer is not None:
            layers.append(each.layer)
    return tuple(Part(at, stack, role, names, tensors, tuple(layers)) for (at, stack, role, names, tensors, _), layers in groups.items())


def singles(method: Method) -> tuple[Method, ...]:
    """A combination's parts, or the method itself."""
    return tuple(getattr(method, "parts", (method,)))


def names_by_role(method: Method, shape: Shape) -> dict[str, str]:
    """For each role of the method's count the names of the parts that it is drawn at."""
    found: dict[str, dict[str, None]] = {}
    for part in trained(method, shape):
        found.setdefault(part.role, {}).update(dict.fromkeys(part.names))
    return {role: " ".join(names) for role, names in found.items()}


def stack_of(shape: Shape, layer: int | None) -> int:
    return int(bool(shape.encoder_layers) and layer is not None and layer >= shape.encoder_layers)


def inside(shape: Shape, module: str, layer: int | None) -> str:
    return module if layer is None else module.removeprefix(shape.block(layer) + ".")


def _merged(found: Iterable[_Found]) -> Iterator[_Found]:
    """A norm's gain and shift are two places of one module."""
    groups: dict[tuple[object, ...], list[Tensor]] = {}
    for each in found:
        groups.setdefault((each.at, each.stack, each.role, each.names, each.layer), []).extend(each.tensors)
    return (_Found(*key, tuple(tensors)) for key, tensors in groups.items())


def _of(method: Method, shape: Shape) -> Iterator[_Found]:
    linears = shape.select(method.targets) if hasattr(method, "targets") else shape.linears
    waiting: dict[tuple[str, int | None], list[Linear]] = {}
    for linear in linears:
        waiting.setdefault((linear.role, linear.layer), []).append(linear)
    owned = {linear.module: linear for linear in shape.linears}
    for place in method.places(shape):
        if all("." in name for name, _ in place.tensors):
            yield _of_base(place, shape, owned)
        elif place.role in ROLES:
            yield _at_linear(method, place, waiting[place.role, place.layer].pop(0), shape)
        else:
            yield from _elsewhere(method, place, shape)


def _of_base(place: Place, shape: Shape, owned: dict[str, Linear]) -> _Found:
    """Tensors of the model itself are named by their module path."""
    first = place.tensors[0][0]
    module = first.rpartition(".")[0] if first.endswith((".weight", ".bias")) else first
    ends = [(name.removeprefix(module + "."), sizes) for name, sizes in place.tensors]
    linear = owned.get(module)
    if linear is None:
        spot = {"norm": "norm", "embedding": "table"}.get(place.role, "after")
        names = (place.role,) if not first.endswith(".bias") or place.role == "norm" else (place.role, "bias")
        signs = {"norm": {"weight": "g", "bias": "b"}, "table": {"weight": "E", "bias": "b"}}.get(spot, {})
        tensors = tuple(Tensor(signs.get(end, end), sizes, spot) for end, sizes in ends)
    else:
        only_bias = all(end == "bias" for end, _ in ends)
        names = (*role_names(linear.role), "bias") if only_bias else role_names(linear.role)
        tensors = tuple(Tensor({"weight": "W", "bias": "b"}[end], sizes, "bias" if only_bias else "weight") for end, sizes in ends)
    return _Found(inside(shape, module, place.layer), stack_of(shape, place.layer), place.role, names, place.layer, tensors)


def role_names(role: str) -> tuple[str, ...]:
    """Where query, key and value are one matrix, each of the three names means it."""
    return ("qkv", *FUSED) if role == "qkv" else ("head",) if role == "lm_head" else (role,)


def _at_linear(method: Method, place: Place, linear: Linear, shape: Shape) -> _Found:
    adapter = tuple(name for name, _ in place.tensors) == ADAPTER
    spots = SPOTS.get(method.key, {})
    if adapter:
        tensors = tuple(Tensor(name, sizes, "beside" if method.key == "parallel" else "adapter") for name, sizes in place.tensors)
    else:
        tensors = tuple(Tensor(name, sizes, _spot(spots.get(name, "branch"), method.key, linear.role)) for name, sizes in place.tensors)
    names = (*role_names(linear.role), "adapter")
    return _Found(inside(shape, linear.module, linear.layer), stack_of(shape, linear.layer), place.role, names, linear.layer, tensors)


def _spot(spot: str, method: str, role: str) -> str:
    return "before" if method == "ia3" and role == "ffn_out" else spot  # there the inputs are scaled


def _elsewhere(method: Method, place: Place, shape: Shape) -> Iterator[_Found]:
    """Prompts, prefixes, rows of the table of words, and what all layers share."""
    tensors = dict(place.tensors)
    match method.key:
        case "prefix_tuning" if set(tensors) == {"P"}:
            yield from _prefix(method, shape)
        case "prefix_tuning" | "p_tuning":
            prefix = method.key == "prefix_tuning"
            yield _Found("network", stack_of(shape, shape.layers - 1) if prefix else 0, place.role, ("prefix" if prefix else "prompt",), None,
                         _spotted(place, "network"))
        case "llama_adapter":
            yield _Found("gate", stack_of(shape, place.layer), place.role, ("prompt",), place.layer, _spotted(place, "gate"))
        case "trainable_tokens":
            yield _Found(shape.embedding, 0, place.role, ("embedding",), None, _spotted(place, "rows"))
        case "prompt_tuning" if shape.kind == "seq2seq" and method.position == "front":  # vectors for two stacks; only the first are put anywhere
            rows, width = tensors["P"]
            for stack in (0, 1):
                yield _Found("prompt", stack, place.role, ("prompt",), None, (Tensor("P", (rows // 2, width), "vectors"),))
        case _ if place.role == "prompt":
            yield _Found("prompt", 0, place.role, ("prompt",), None, _spotted(place, "vectors"))
        case _:
            yield _Found(place.role, 0, place.role, ("adapter",), None, _spotted(place, "shared"))


def _spotted(place: Place, spot: str) -> tuple[Tensor, ...]:
    return tuple(Tensor(name, sizes, spot) for name, sizes in place.tensors)


def prefixed(shape: Shape) -> Iterator[tuple[Linear, str, int]]:
    """Where a prefix stands: the linear, the name of what stands before its outputs, and how wide that is; an encoder-decoder's writing stack has it."""
    seen: set[tuple[str, int | None]] = set()
    for linear in shape.linears:
        if linear.role in ("key", "value", "qkv") and linear.layer is not None and linear.layer >= shape.encoder_layers:
            if (linear.role, linear.layer) in seen:
                continue  # the attention to the other stack
            seen.add((linear.role, linear.layer))
            for name in ("P_k", "P_v") if linear.role == "qkv" else ("P_k",) if linear.role == "key" else ("P_v",):
                yield linear, name, linear.outputs // 3 if linear.role == "qkv" else linear.outputs


def _prefix(method: Method, shape: Shape) -> Iterator[_Found]:
    rows, chosen = method.virtual_tokens, [shape.encoder_layers + block for block in method.blocks(shape)]
    for linear, name, width in prefixed(shape):
        if linear.layer not in chosen:
            continue
        at = inside(shape, linear.module, linear.layer)
        yield _Found(at, stack_of(shape, linear.layer), "prompt", ("prefix", *role_names(linear.role)), linear.layer, (Tensor(name, (rows, width), "after"),))
