"""One weight matrix with what is trained at it, and several of them side by side."""
from __future__ import annotations

from dataclasses import dataclass

from lab.contracts import Linear
from lab.ui.anatomy.parts import Part, Tensor, inside, prefixed, role_names
from lab.ui.anatomy.pen import Node, box, fitted, words
from lab.ui.anatomy.sheet import BAR, GAP, MIDDLE, Sheet, bars, counted, frozen, shown, sum_of
from lab.ui.formula import ROLE_WORDS
from lab.ui.wording import whole

Found = list[tuple[Part | None, Tensor]]
Input = tuple[float, float, str]  # across and down, where a line of this kind ends


@dataclass(frozen=True)
class Column:
    """A matrix with what stands at it: where lines go in, and where one comes out."""

    inputs: tuple[Input, ...]
    out: tuple[float, float]
    bottom: float


def column(sheet: Sheet, x: float, width: float, y: float, linear: Linear, lead: float = 0) -> Column:
    """`lead`: room for what works on the inputs, the same for all columns of a row."""
    at = inside(sheet.shape, linear.module, linear.layer)
    before, branch = sheet.found(at, "before"), _branch(sheet, at, linear)
    after = [*sheet.found(at, "after", "bias"), *_head_norm(sheet, linear), *_made(sheet, linear)]
    aside = bool(branch) and width > 200
    top, high = y + 9 + lead, 47 if sheet.found(at, "weight", "mask") else 34
    left, wide = (x, width / 2 - 9) if aside else (x + 9, width - 9) if branch else (x + max(0, width - 126) / 2, min(width, 126))
    middle, centre = left + wide / 2, x + width / 2
    sheet.add(matrix(sheet, at, linear, left, top, wide, high))
    inputs = [(middle, top, "flow")]
    if before:
        bars(sheet, before, left, top - lead, wide)
        sheet.line((middle, top - lead + len(before) * (BAR + GAP) - GAP), (middle, top))
        inputs = [(middle, top - lead, "flow")]
    out = (middle, top + high)
    if branch:
        inputs, out = _join(sheet, x, width, branch, (left, wide, top, high), inputs, aside, role_names(linear.role), not after)
    if after:
        start, span = out[1] + 5, min(width, 130)
        sheet.line(out, (out[0], start))
        bottom = bars(sheet, after, centre - span / 2, start, span, role_names(linear.role))
        out = (centre, bottom)
    told = sum_of([*before, *branch, *after])
    if told and width > 200 and (after or not branch):
        sheet.words(centre + min(width, 126) / 2 + 6, out[1] - 5, told, "count", "start")
    elif told and (after or not branch):
        sheet.words(centre, out[1] + 12, told, "count")
        return Column(tuple(inputs), (centre, out[1] + 15), out[1] + 15)  # the line goes on below the number
    return Column(tuple(inputs), out, out[1] + (6 if branch and not aside and not after else 0))


def _branch(sheet: Sheet, at: str, linear: Linear) -> Found:
    """What is added beside the matrix; the random matrices that VeRA and LoRA-FA do not train stand there too."""
    found: Found = list(sheet.found(at, "branch"))
    names = tuple(tensor.name for _, tensor in found)
    if names == ("B",):
        return [(None, Tensor("A", (found[0][1].sizes[1], linear.inputs), "branch")), *found]
    if names == ("b", "d"):
        (own, b), (_, d) = found
        rank = d.sizes[0]
        return [(None, Tensor("A", (rank, linear.inputs), "branch")), (own, d), (None, Tensor("B", (linear.outputs, rank), "branch")), (own, b)]
    return found


def _head_norm(sheet: Sheet, linear: Linear) -> Found:
    """Qwen3 normalises queries and keys head by head."""
    at = sheet.stack.head_norms.get(linear.role, "")
    if not at:
        return []
    found = sheet.found(at, "norm")
    size = next(weight.sizes for weight in sheet.shape.weights if weight.layer is not None and f".{at}." in weight.name)
    return list(found) or [(None, Tensor("norm", size, "norm"))]


def _made(sheet: Sheet, linear: Linear) -> Found:
    """Keys and values of a prefix that a network puts out: they are not counted, the network is."""
    network = next((part for part in sheet.parts.get("network", []) if "prefix" in part.names), None)
    rows = network.tensors[0].sizes[0] if network else 0
    return [(None, Tensor(name, (rows, width), "after")) for each, name, width in prefixed(sheet.shape) if network and each is linear]


def _join(sheet: Sheet, x: float, width: float, branch: Found, own: tuple[float, float, float, float], inputs: list[Input], aside: bool,
          names: tuple[str, ...], last: bool) -> tuple[list[Input], tuple[float, float]]:
    """The branch, from the same input, and the sum of both: side by side where there is room, otherwise below. `last`: nothing more is trained behind."""
    left, wide, top, high = own
    told = sum_of(branch) if last else ""
    if aside:
        start = x + width / 2 + 9
        bottom = bars(sheet, branch, start, top - 1, width / 2 - 9, names)
        end, middle, centre = max(bottom, top + high) + 11, start + (width / 2 - 9) / 2, x + width / 2
        sheet.line((left + wide / 2, top + high), (left + wide / 2, end), (centre - 6, end))
        sheet.line((middle, bottom), (middle, end), (centre + 6, end), kind="flow trained")
        sheet.plus(centre, end)
        sheet.words(middle, end + 12, told, "count")
        return [*inputs, (middle, top - 1, "flow trained")], (centre, end + 6)
    bottom = bars(sheet, branch, x, top + high + 5, width - 9, names)
    end, lane, middle = bottom + 10, x + width - 4, x + (width - 9) / 2
    sheet.line((lane, top + high), (lane, end - 6))
    sheet.line((middle, bottom), (middle, end), (lane - 6, end), kind="flow trained")
    sheet.plus(lane, end)
    sheet.words(middle, end + 12, told, "count")
    return [*inputs, (x + 4, top + high + 5, "flow trained")], (lane, end + 6)


def matrix(sheet: Sheet, at: str, linear: Linear, x: float, y: float, width: float, height: float) -> Node:
    """A weight matrix: frozen, perhaps in few bits; trained whole; or with a few trained numbers strewn in."""
    weight, mask = sheet.found(at, "weight"), sheet.found(at, "mask")
    middle, names = x + width / 2, role_names(linear.role)
    name = "query · key · value" if linear.role == "qkv" else ROLE_WORDS.get(linear.role, linear.role)
    name = name.replace("feed-forward", "FFN") if width < 100 else name
    size = shown((linear.outputs, linear.inputs))
    few = sheet.quantization and linear.layer is not None
    figures = [box(x, y, width, height, "shape"), words(middle, y + 14.5, name, "name", size=fitted(name, width - 16, 12)),
               words(middle, y + 27, size, "small", size=fitted(size, width - 6, 10))]
    if few:
        figures.insert(1, box(x, y, width, height, f"hatch bits-{sheet.stack.index}"))
    moved = "shared" in {tensor.spot for parts in sheet.parts.values() for part in parts if part.at == "coordinates" for tensor in part.tensors}
    if weight:
        tensors = tuple(tensor for _, tensor in weight)
        figures.append(words(middle, y + 41, whole(sum(tensor.count for tensor in tensors)), "count"))
        return counted(weight[0][0], tensors, *figures, symbol="W")
    if mask:
        figures.insert(1, box(x, y, width, height, f"strewn dots-{sheet.stack.index}"))
        text = f"{whole(mask[0][1].count)} of them"
        figures.append(words(middle, y + 41, text, "count", size=fitted(text, width - 6, 11)))
        return counted(mask[0][0], (mask[0][1],), *figures, symbol="D")
    if moved and linear.layer is not None:
        return frozen(names, *figures, symbol="W", kind="part moved")
    return frozen(names, *figures, symbol="W", kind="part frozen few" if few else "part frozen")


def row(sheet: Sheet, x: float, width: float, y: float, linears: list[Linear], fed: int | None = None) -> tuple[list[Column], float]:
    """Matrices side by side, fed from one line; only the first `fed` of them from the stream."""
    lead = max(len(sheet.found(inside(sheet.shape, each.module, each.layer), "before")) for each in linears) * (BAR + GAP)
    lead += 4 if lead else 0
    wide = (width - 7 * (len(linears) - 1)) / len(linears)
    columns = [column(sheet, x + place * (wide + 7), wide, y, each, lead) for place, each in enumerate(linears)]
    ends = [end for each in columns[:fed] for end in each.inputs]
    crossed = [end[0] for end in ends] + ([x + width / 2] if fed is None else [])
    if min(crossed) != max(crossed):
        sheet.line((min(crossed), y), (max(crossed), y))
    for across, down, kind in ends:
        sheet.flow((across, y), (across, down), kind=kind)
    return columns, max(each.bottom for each in columns)


def narrow(sheet: Sheet, name: str, y: float) -> float:
    """OPT's words may be narrower than its blocks: a matrix stands between."""
    linear = next((each for each in sheet.shape.linears if each.layer is None and each.module.endswith(name)), None)
    if linear is None:
        return y
    sheet.flow((MIDDLE, y), (MIDDLE, y + 10))
    high = 47 if sheet.found(linear.module, "weight") else 34
    sheet.add(matrix(sheet, linear.module, linear, MIDDLE - 63, y + 10, 126, high))
    return y + 10 + high
