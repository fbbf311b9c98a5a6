"""One sheet of the drawing while it is made: what is known of the model, and the figures that every region of it uses."""
from __future__ import annotations

from dataclasses import dataclass, field
from math import log2

from lab.contracts import Shape
from lab.ui.anatomy.parts import Part, Tensor
from lab.ui.anatomy.pen import Node, arrow, box, fitted, line, node, plus, waist, words
from lab.ui.anatomy.plan import Stack
from lab.ui.wording import whole

WIDTH = 344
LEFT, RIGHT = 34, 296  # of what stands in the block; the residual line runs left of it, the layers stand right of it
MIDDLE = (LEFT + RIGHT) / 2
BAR, GAP = 17, 2
MADE = ("P_k", "P_v")
BITS = {"nf4": "4-bit NF4", "nf4_double": "4-bit NF4", "fp4": "4-bit FP4", "int8": "8-bit"}


@dataclass
class Sheet:
    shape: Shape
    stack: Stack
    parts: dict[str, list[Part]]  # of this stack, by module
    quantization: str | None
    words_move: bool = False  # the table of words is trained, here or on the other sheet
    windows: int = 1  # groups of tokens that attention keeps to while it trains
    nodes: list[Node] = field(default_factory=list)

    def add(self, *nodes: Node) -> None:
        self.nodes += nodes

    def flow(self, *points: tuple[float, float], kind: str = "flow") -> None:
        """A line with a tip, behind what is drawn later."""
        self.add(*arrow(*points, kind=kind))

    def line(self, *points: tuple[float, float], kind: str = "flow") -> None:
        self.add(line(*points, kind=kind))

    def plus(self, x: float, y: float, kind: str = "") -> None:
        self.add(plus(x, y, kind))

    def words(self, x: float, y: float, text: str, kind: str = "", anchor: str = "middle", size: float = 0) -> None:
        if text:
            self.add(words(x, y, text, kind, anchor, size))

    def found(self, at: str, *spots: str) -> list[tuple[Part, Tensor]]:
        """What is trained at a module, of these kinds."""
        return [(part, tensor) for part in self.parts.get(at, []) for tensor in part.tensors if tensor.spot in spots]


def shown(sizes: tuple[int, ...]) -> str:
    """8×384; of more than two sizes a leading 1 says nothing."""
    return "×".join(f"{size:,}" for size in (sizes[1:] if len(sizes) > 2 and sizes[0] == 1 else sizes))


def sized(tensor: Tensor) -> str:
    """A vector is shown as one, however it lies."""
    vector = tensor.spot in ("before", "after") and len(tensor.sizes) == 2 and 1 in tensor.sizes
    return f"{max(tensor.sizes):,}" if vector else shown(tensor.sizes)


def letter(name: str) -> str:
    """A tensor's sign in the narrow space of a bar."""
    return {"values of D": "D", "A logits": "A", "B logits": "B", "bank": "bank"}.get(name, name)


def counted(part: Part, tensors: tuple[Tensor, ...], *children: Node, symbol: str = "") -> Node:
    """A trained figure: it carries its count, and what it belongs to."""
    each = sum(tensor.count for tensor in tensors)
    told = " + ".join(f"{tensor.name} {sized(tensor)}" for tensor in tensors)
    said = f"{told} = {whole(each)}" + (f", in each of {len(part.layers)} blocks: {whole(each * part.times)}" if len(part.layers) > 1 else "")
    return node("g", node("title", said), *children, kind="part trained", data_part=" ".join(part.names), data_symbol=symbol or tensors[0].name,
                data_each=each, data_times=part.times, data_role=part.role)


def frozen(names: tuple[str, ...], *children: Node, symbol: str = "", kind: str = "part frozen") -> Node:
    return node("g", *children, kind=kind, data_part=" ".join(names), data_symbol=symbol)


def neck(sizes: tuple[int, ...]) -> float:
    """How narrow the middle is drawn: it grows with every doubling of the rank."""
    return min(0.92, 0.5 + 0.42 * log2(max(1, min(sizes))) / 8)


def form(x: float, y: float, width: float, height: float, tensor: Tensor, kind: str) -> Node:
    """A thin matrix is drawn as a funnel, into the narrow middle or out of it; anything else as a bar."""
    first = tensor.name[:1]
    thin = len(tensor.sizes) == 2 and min(tensor.sizes) > 0 and tensor.spot in ("branch", "adapter", "beside")
    if thin and (first in "AD" or tensor.name == "W2b"):
        return waist(x, y, width, height, 1, neck(tensor.sizes), kind)
    if thin and (first in "BU" or tensor.name == "W2a"):
        return waist(x, y, width, height, neck(tensor.sizes), 1, kind)
    return box(x, y, width, height, kind, 3)


def bar(part: Part | None, tensor: Tensor, x: float, y: float, width: float, *more: Tensor, names: tuple[str, ...] = ()) -> Node:
    """One tensor, with its bias if `more` has it. Without a part it is a frozen one, or one that a trained network puts out."""
    text = f"{letter(tensor.name)} {sized(tensor)}" + "".join(f" + {shown(each.sizes)}" for each in more)
    figures = form(x, y, width, BAR, tensor, "shape"), words(x + width / 2, y + 12.3, text, "small", size=fitted(text, width - 8, 10))
    if part:
        return counted(part, (tensor, *more), *figures)
    return frozen(names, *figures, symbol=tensor.name, kind="part moved" if tensor.name in MADE else "part frozen")


def bars(sheet: Sheet, found: list[tuple[Part | None, Tensor]], x: float, y: float, width: float, names: tuple[str, ...] = ()) -> float:
    """One below the other; the y of the end of the last."""
    for place, (part, tensor) in enumerate(found):
        sheet.add(bar(part, tensor, x, y + place * (BAR + GAP), width, names=names))
    return y + len(found) * (BAR + GAP) - GAP


def sum_of(found: list[tuple[Part | None, Tensor]]) -> str:
    """The count, where it is not what the only bar says anyway."""
    own = [tensor for part, tensor in found if part]
    plain = len(own) == 1 and sum(size > 1 for size in own[0].sizes) < 2
    return "" if plain or not own else whole(sum(tensor.count for tensor in own))


def norm_box(sheet: Sheet, at: str, names: tuple[str, ...], kind: str, centre: float, y: float, width: float) -> float:
    """A normalisation layer, with its gain and shift where they are trained. Returns its end."""
    found = sheet.found(at, "norm")
    sizes = " + ".join(f"{tensor.name} {shown(tensor.sizes)}" for _, tensor in found)
    wide = min(width, 250 if found else 96)
    low = bool(found) and width < 200
    figures = [box(centre - wide / 2, y, wide, 32 if low else 20, "shape", 10)]
    if low:
        figures += [words(centre, y + 13.5, kind, "name"), words(centre, y + 26, sizes, "small", size=fitted(sizes, wide - 4, 10))]
    else:
        text = f"{kind}  {sizes}".strip()
        figures.append(words(centre, y + 14, text, "name", size=fitted(text, wide - 10, 11)))
    sheet.add(counted(found[0][0], tuple(tensor for _, tensor in found), *figures) if found else frozen(("norm",), *figures))
    return y + (32 if low else 20)
