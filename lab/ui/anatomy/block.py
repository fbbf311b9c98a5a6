"""The inside of one block: attentions, feed-forward part and norms in the order of the architecture, with the adapters that stand at them."""
from __future__ import annotations

from lab.contracts import Linear
from lab.ui.anatomy.matrices import row
from lab.ui.anatomy.parts import Part, Tensor, inside
from lab.ui.anatomy.pen import box, fitted, node, waist, words
from lab.ui.anatomy.plan import Sublayer
from lab.ui.anatomy.sheet import BAR, LEFT, MIDDLE, RIGHT, Sheet, bar, neck, norm_box
from lab.ui.wording import whole

RESIDUAL = 18  # where that line runs


# ── parts of a block ──────────────────────────────────────────────────────────────────────────────────────────────────


def attention(sheet: Sheet, x: float, width: float, y: float, part: Sublayer) -> float:
    """Query, key and value, the look-up itself, and the output. Returns the end of the last."""
    shape, cross = sheet.shape, part.kind == "cross"
    if cross:
        sheet.add(node("g", box(x + width / 3 + 6, y + 5, width * 2 / 3 - 6, 16, "shape", 8),
                       words(x + width * 2 / 3 + 3, y + 16.5, "what the encoder gave", "small"), kind="part step"))
        sheet.line((x + width / 2, y), (x + (width - 14) / 6, y), (x + (width - 14) / 6, y + 21))
        y += 21
    linears = [part.linears[role] for role in ("query", "key", "value", "qkv") if role in part.linears]
    columns, bottom = row(sheet, x, width, y, linears, 1 if cross else None)
    if cross:
        for across, down, kind in (end for each in columns[1:] for end in each.inputs):
            sheet.flow((across, y), (across, down), kind=kind)
    top = bottom + 12
    for each in columns:
        sheet.flow(each.out, (each.out[0], top))
    heads = f"{shape.heads} heads" if shape.heads == shape.kv_heads else f"{shape.heads} heads, {shape.kv_heads} for keys and values"
    text = f"{'cross-attention' if cross else 'attention'}, {heads}"
    figures = [box(x, top, width, 24, "shape"), words(x + width / 2, top + 16, text, "name", size=fitted(text, width - 12, 11))]
    bottom = top + 24
    if sheet.windows > 1:
        grouped = f"in training: {sheet.windows} groups of tokens, half the heads shifted"
        figures = [box(x, top, width, 36, "shape"), figures[1], words(x + width / 2, top + 29, grouped, "small", size=fitted(grouped, width - 12, 10))]
        bottom = top + 36
    sheet.add(node("g", *figures, kind="part step"))
    for gate in sheet.parts.get("gate", []):
        _gate(sheet, gate, x, bottom + 6, width)
        bottom += 28
    positions = sheet.found(sheet.stack.positions, "after") if sheet.stack.positions and not cross else []
    if positions:
        sheet.add(bar(positions[0][0], Tensor("positions", positions[0][1].sizes, "after"), x + width / 2 + 10, bottom + 5, width / 2 - 10))
        bottom += 24
    under = top + (36 if sheet.windows > 1 else 24)
    if bottom > under:
        sheet.line((x + width / 2, under), (x + width / 2, bottom))
    return matrix_and_adapter(sheet, x, width, bottom, part.linears["output"])


def _gate(sheet: Sheet, part: Part, x: float, y: float, width: float) -> None:
    """LLaMA-Adapter: vectors that the attention looks at as well, through a gate."""
    p, g = part.tensors
    start, wide = x + width / 2 + 12, width / 2 - 12
    sheet.line((start + wide * 0.35, y), (start + wide * 0.35, y - 6), kind="flow trained")
    sheet.add(bar(part, p, start, y, wide * 0.7), bar(part, g, start + wide * 0.74, y, wide * 0.26))
    sheet.words(x + width / 2 - 12, y + 12.5, whole(part.each), "count", "end")


def matrix_and_adapter(sheet: Sheet, x: float, width: float, y: float, linear: Linear) -> float:
    """The last matrix of a part, with the bottleneck adapter that may stand behind it. Returns the end; the line goes on in the middle."""
    columns, _ = row(sheet, x, width, y, [linear])
    out, centre = columns[0].out, x + width / 2
    end = out[1]
    if out[0] != centre:
        sheet.line(out, (out[0], end + 14), (centre, end + 14))
        end += 14
    end = max(end, columns[0].bottom)
    found = sheet.found(inside(sheet.shape, linear.module, linear.layer), "adapter")
    if found:
        lower = 6 if len(columns[0].inputs) == 1 or out[0] != centre else 13  # below the count of the branch
        sheet.line((centre, out[1] if out[0] == centre else end), (centre, end + lower))
        return hourglass(sheet, found, centre, end + lower, min(124, width - 30), width > 200)
    if out[0] == centre and end > out[1]:
        sheet.line((centre, out[1]), (centre, end))
    return end


def hourglass(sheet: Sheet, found: list[tuple[Part, Tensor]], centre: float, y: float, width: float, room: bool, skip: bool = True) -> float:
    """A bottleneck adapter: down to few numbers, a bend, up again, and added to what came in."""
    part = found[0][0]
    down, down_bias, up, up_bias = (tensor for _, tensor in found)
    top, share = y + 5, neck(down.sizes)
    sheet.add(bar(part, down, centre - width / 2, top, width, down_bias), bar(part, up, centre - width / 2, top + BAR + 10, width, up_bias))
    sheet.add(node("g", waist(centre - width * share / 2, top + BAR, width * share, 10, 1, 1, "shape"),
                   words(centre, top + BAR + 8, f"f, m = {down.sizes[0]:,}", "tiny"), kind="part trained inner", data_part=" ".join(part.names)))
    bottom = top + 2 * BAR + 10
    end, side = bottom + 11, centre + width / 2 + 9
    if skip:
        sheet.line((centre, y), (side, y), (side, end), (centre + 6, end))
        sheet.line((centre, y), (centre, top), kind="flow trained")
        sheet.line((centre, bottom), (centre, end - 6), kind="flow trained")
        sheet.plus(centre, end)
    if room:
        sheet.words(centre - width / 2 - 8, top + 20, "adapter", "name lit-text", "end", 11)
        sheet.words(centre - width / 2 - 8, top + 33, whole(part.each), "count", "end")
    elif skip:
        sheet.words(centre - width / 2, end + 4, whole(part.each), "count", "start", 10)
    return end + 6 if skip else bottom


def feed_forward(sheet: Sheet, x: float, width: float, y: float, part: Sublayer) -> float:
    """In, the bend (with a gate or without), out; a parallel adapter stands beside all of it."""
    last = part.linears["ffn_out"]
    beside = sheet.found(inside(sheet.shape, last.module, last.layer), "beside")
    if not beside:
        return _feed_forward(sheet, x, width, y, part)
    centre, inner = x + width / 2, width - 116 if width > 200 else width
    if width <= 200:  # no room beside: below, and drawn as reading the input through the line at the side
        sheet.line((centre, y), (centre - 7, y))
        end = _feed_forward(sheet, x, width - 14, y, part)
        bottom = hourglass(sheet, beside, centre, end + 12, width - 34, False, False)
        side = x + width - 3
        sheet.words(x + 10, bottom + 13, whole(beside[0][0].each), "count", "start")
        sheet.line((centre - 7, end), (x + 6, end))
        sheet.line((centre, y), (side, y), (side, end + 10), (centre, end + 10), (centre, end + 17), kind="flow trained")
        sheet.line((centre, bottom), (centre, bottom + 12), kind="flow trained")
        sheet.line((x + 6, end), (x + 6, bottom + 18), (centre - 6, bottom + 18))
        sheet.plus(centre, bottom + 18)
        return bottom + 24
    sheet.line((centre, y), (x + inner / 2, y))
    end = _feed_forward(sheet, x, inner, y, part)
    across, top = x + width - 50, (y + end) / 2 - 30
    sheet.line((centre, y), (across, y), (across, top + 5), kind="flow trained")
    bottom = hourglass(sheet, beside, across, top, 100, False, False)
    join = max(end, bottom + 16) + 8
    sheet.words(across + 5, top - 1, "adapter", "name lit-text", "start", 11)
    sheet.words(across + 4, bottom + 13, whole(beside[0][0].each), "count", "start")
    sheet.line((across, bottom), (across, join), (centre + 6, join), kind="flow trained")
    sheet.line((x + inner / 2, end), (x + inner / 2, join), (centre - 6, join))
    sheet.words(centre + 30, join - 4, "× s", "tiny")
    sheet.plus(centre, join)
    return join + 6


def _feed_forward(sheet: Sheet, x: float, width: float, y: float, part: Sublayer) -> float:
    incoming = [part.linears[role] for role in ("ffn_gate", "ffn_in") if role in part.linears]
    columns, bottom = row(sheet, x, width, y, incoming)
    gated, centre, top = len(incoming) > 1, x + width / 2, bottom + 10
    text = "f(gate) × in" if gated else "f"
    wide = 88 if gated else 34
    for each in columns:
        end = min(max(each.out[0], centre - wide / 2 + 8), centre + wide / 2 - 8) if gated else centre
        sheet.flow(each.out, *([(each.out[0], top - 6), (end, top - 6)] if end != each.out[0] else []), (end, top))
    sheet.add(node("g", box(centre - wide / 2, top, wide, 18, "shape", 9), words(centre, top + 12.5, text, "small", size=10.5), kind="part step"))
    return matrix_and_adapter(sheet, x, width, top + 18, part.linears["ffn_out"])



# ── the block ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def block(sheet: Sheet, y: float) -> float:
    """All parts of the block from y on; returns where its outcome comes out, in the middle."""
    return _parallel(sheet, y) if sheet.stack.parallel else _sequence(sheet, y)


def _part(sheet: Sheet, x: float, width: float, y: float, part: Sublayer) -> float:
    return (feed_forward if part.kind == "ffn" else attention)(sheet, x, width, y, part)


def _sequence(sheet: Sheet, y: float) -> float:
    """One part after the other, each added to what went into it; the norm stands in front of it, or behind the sum."""
    stack = sheet.stack
    for part in stack.sublayers:
        start = y + 6
        sheet.line((MIDDLE, y), (MIDDLE, start))
        if not stack.post:
            sheet.flow((MIDDLE, start), (MIDDLE, start + 12))
            top = norm_box(sheet, part.norm, ("norm",), stack.norm, MIDDLE, start + 12, RIGHT - LEFT)
            sheet.line((MIDDLE, top), (MIDDLE, top + 8))
            top += 8
        else:
            sheet.line((MIDDLE, start), (MIDDLE, start + 8))
            top = start + 8
        end = _part(sheet, LEFT, RIGHT - LEFT, top, part)
        sheet.line((MIDDLE, end), (MIDDLE, end + 10))
        sheet.line((MIDDLE, start), (RESIDUAL, start), (RESIDUAL, end + 16), (MIDDLE - 6, end + 16), kind="flow residual")
        sheet.plus(MIDDLE, end + 16)
        y = end + 22
        if stack.post:
            sheet.flow((MIDDLE, y), (MIDDLE, y + 10))
            y = norm_box(sheet, part.norm, ("norm",), stack.norm, MIDDLE, y + 10, RIGHT - LEFT)
    return y


def _parallel(sheet: Sheet, y: float) -> float:
    """GPT-NeoX: both parts read the same input, each through a norm of its own, and all three are added."""
    start, half = y + 6, (RIGHT - LEFT - 12) / 2
    sheet.line((MIDDLE, y), (MIDDLE, start))
    ends = []
    for place, part in enumerate(sheet.stack.sublayers):
        x = LEFT + place * (half + 12)
        centre = x + half / 2
        sheet.flow((MIDDLE, start), (centre, start), (centre, start + 12))
        top = norm_box(sheet, part.norm, ("norm",), sheet.stack.norm, centre, start + 12, half)
        sheet.line((centre, top), (centre, top + 8))
        ends.append((centre, _part(sheet, x, half, top + 8, part)))
    join = max(end for _, end in ends) + 16
    for centre, end in ends:
        sheet.line((centre, end), (centre, join), (MIDDLE + (6 if centre > MIDDLE else -6), join))
    sheet.line((MIDDLE, start), (RESIDUAL, start), (RESIDUAL, join + 18), (MIDDLE - 6, join + 18), kind="flow residual")
    sheet.plus(MIDDLE, join)
    sheet.line((MIDDLE, join + 6), (MIDDLE, join + 12))
    sheet.plus(MIDDLE, join + 18)
    return join + 24

