"""What a run changed and where, by its method's own facts: no torch here, because the page asks it which lenses fit a run."""
from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from lab.contracts import Linear, Method, Shape
from lab.lens import Progress, Table
from lab.spec import RunSpec

NO_MATRIX = "it changes no matrix of the base model"


def parts_of(spec: RunSpec) -> tuple[Method, ...]:
    """The method, or the parts of a stack."""
    return getattr(spec.method, "parts", ()) or (spec.method,)


def tensors_of(method: Method, shape: Shape) -> set[str]:
    """Names of what it trains: its own, or the base's where it trains the base itself."""
    return {name for place in method.places(shape) for name, _ in place.tensors}


def trains(spec: RunSpec, *names: str) -> bool:
    """Whether some part of the method trains tensors of all these names."""
    return any(set(names) <= tensors_of(method, spec.shape) for method in parts_of(spec))


def changed_matrices(spec: RunSpec) -> tuple[Linear, ...]:
    """The matrices of the blocks that multiply otherwise after training: a low-rank product was added, they were turned, scaled, or moved themselves."""
    chosen = {linear for method in parts_of(spec) for linear in _changed(method, spec.shape)}
    return tuple(linear for linear in spec.shape.linears if linear.layer is not None and linear in chosen)


def _changed(method: Method, shape: Shape) -> Iterable[Linear]:
    targets = getattr(method, "targets", ())
    if targets and (method.merges or method.composition == "parameter"):
        return shape.select(targets)
    names = tensors_of(method, shape)
    return [linear for linear in shape.linears if f"{linear.module}.weight" in names]


def changed_layers(spec: RunSpec) -> list[int]:
    """Numbers of the blocks in which something of the method sits."""
    placed = {place.layer for method in parts_of(spec) for place in method.places(spec.shape)}
    return sorted((placed | {linear.layer for linear in changed_matrices(spec)}) - {None})


def bottlenecks(spec: RunSpec) -> tuple[Linear, ...]:
    """The layers behind or beside which a bottleneck adapter stands."""
    placed = {(place.layer, place.role) for method in parts_of(spec) if method.format.key == "bottleneck" for place in method.places(spec.shape)}
    return tuple(linear for linear in spec.shape.linears if (linear.layer, linear.role) in placed)


def roles(shape: Shape) -> dict[str, str]:
    """Module path of each linear → its role; where a block has a second one of a role, as the writing stack of an encoder-decoder has, that is the one
    that looks at the text."""
    found: dict[str, str] = {}
    seen: set[tuple[int | None, str]] = set()
    for linear in shape.linears:
        found[linear.module] = f"cross {linear.role}" if (linear.layer, linear.role) in seen else linear.role
        seen.add((linear.layer, linear.role))
    return found


def base_tensors(shape: Shape) -> Iterator[tuple[str, int | None, str]]:
    """(name, layer, a role of its own within the layer) of each tensor of the base."""
    names = roles(shape)
    for linear in shape.linears:
        yield f"{linear.module}.weight", linear.layer, names[linear.module]
        if linear.bias:
            yield f"{linear.module}.bias", linear.layer, f"{names[linear.module]} bias"
    yield from _others(shape)


def _others(shape: Shape) -> Iterator[tuple[str, int | None, str]]:
    """Norms are numbered in the order of their block."""
    norms: dict[tuple[int | None, bool], list[str]] = {}
    for weight in shape.weights:
        module, _, kind = weight.name.rpartition(".")
        if weight.role != "norm":
            yield weight.name, weight.layer, weight.name.removesuffix(".weight").rpartition(".")[2]
            continue
        stack = norms.setdefault((weight.layer, shape.encoder_blocks != "" and weight.name.startswith("decoder")), [])
        if module not in stack:
            stack.append(module)
        number = "" if weight.layer is None else f" {stack.index(module) + 1}"
        where = f"{module.partition('.')[0]} " if weight.layer is None and shape.encoder_blocks else ""
        yield weight.name, weight.layer, f"{where}norm{number} {'shift' if kind == 'bias' else 'gain'}"


def cell_name(cell: Mapping[str, Any]) -> str:
    """By which a cell's details are found."""
    return f"{cell['layer']}.{cell['role']}"


def place_name(cell: Mapping[str, Any]) -> str:
    """As a sentence says it, where people count blocks from 1."""
    return f"{cell['role']}" if cell["layer"] is None else f"block {cell['layer'] + 1}, {cell['role']}"


def cells_table(value: Mapping[str, Any]) -> Table:
    """The cells of a probe of modules, one a row; layers counted from 0, as in the files."""
    names = tuple(value["measures"])
    return Table(("layer", "role", *names), tuple((cell["layer"], cell["role"], *(cell.get(name) for name in names)) for cell in value["cells"]))


def largest(cells: Sequence[Mapping[str, Any]], measure: str) -> Mapping[str, Any] | None:
    known = [cell for cell in cells if cell.get(measure) is not None]
    return max(known, key=lambda cell: cell[measure]) if known else None


def middle(cells: Sequence[Mapping[str, Any]], measure: str) -> float | None:
    known = [cell[measure] for cell in cells if cell.get(measure) is not None]
    return median(known) if known else None


def short(value: float) -> float:
    """Four significant digits: what a figure can show, in a quarter of the characters."""
    return float(f"{float(value):.4g}")


def counted(asking: Generator[int, None, Any], number: int, whole: int) -> Generator[Progress, None, Any]:
    """Runs one evaluation of several, telling how many have been made."""
    while True:
        try:
            next(asking)
        except StopIteration as end:
            return end.value
        yield number, whole
