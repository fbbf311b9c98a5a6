"""The drawing as a whole: one sheet for each stack of blocks, a table that says the same in words, and both as SVG text or as plain values."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lab.contracts import ROLES, Method, Shape, listing
from lab.ui.anatomy.answer import answer, new_head
from lab.ui.anatomy.block import block
from lab.ui.anatomy.entrance import EDGES, entrance, table_name
from lab.ui.anatomy.parts import Part, singles, trained
from lab.ui.anatomy.pen import Node, box, fitted, line, node, words
from lab.ui.anatomy.plan import Stack, stacks
from lab.ui.anatomy.sheet import BITS, MIDDLE, WIDTH, Sheet, sized
from lab.ui.formula import ROLE_WORDS
from lab.ui.wording import whole

STRIP = 315.0, 21.0  # where the column of all blocks stands, and how wide it is
SVG = "http://www.w3.org/2000/svg"
SPACE = 24.0  # between two sheets side by side
KINDS = {"encoder": "encoder", "decoder": "decoder", "seq2seq": "encoder-decoder", "vision": "vision transformer"}


NAMED = {"prompt": "prompt", "network": "network of the prompt", "gate": "prompt of the attention", "coordinates": "coordinates", "bank": "bank",
         "head": "new head"}
SPOTTED = {"bias": "bias of ", "adapter": "adapter behind ", "beside": "adapter beside the feed-forward part, "}


@dataclass(frozen=True)
class Drawing:
    title: str
    about: str
    sheets: tuple[Node, ...]
    rows: tuple[dict[str, Any], ...]
    total: int

    def to_dict(self) -> dict[str, Any]:
        return {"title": self.title, "about": self.about, "sheets": [sheet.to_list() for sheet in self.sheets], "rows": list(self.rows),
                "total": whole(self.total)}

    def svg(self) -> str:
        """All sheets side by side, as one picture that stands alone where lab.css and anatomy.css are."""
        high = max(float(sheet.attributes["viewBox"].split()[3]) for sheet in self.sheets)
        inner = [node("svg", *sheet.children[2:], x=place * (WIDTH + SPACE), width=WIDTH, height=sheet.attributes["viewBox"].split()[3],
                      viewBox=sheet.attributes["viewBox"]) for place, sheet in enumerate(self.sheets)]
        wide = len(self.sheets) * (WIDTH + SPACE) - SPACE
        return node("svg", node("title", self.title), node("desc", self.about), *inner, xmlns=SVG, kind="anatomy-sheet", role="img",
                    viewBox=f"0 0 {wide:g} {high:g}").markup()


def draw(shape: Shape, method: Method, *, labels: int = 0, quantization: str | None = None, dtype: str = "auto", adapter_dtype: str = "auto",
         model: str = "") -> Drawing:
    """`labels`: classes of the task, 0 where the model answers in words; `model`: its title."""
    parts, head = trained(method, shape), new_head(0 if shape.writes else labels, shape.width)
    title = f"{model or f'A {shape.model_type} model'} with {method.title}: what is trained"
    every = (*parts, *((head,) if head else ()))
    rows = tuple(_row(part, shape) for part in every)
    about = _about(shape, parts, head)
    sheets = tuple(_sheet(shape, stack, method, parts, head, quantization, _formats(quantization, dtype, adapter_dtype, bool(every)), title, about)
                   for stack in stacks(shape))
    return Drawing(title, about, sheets, rows, sum(part.total for part in every))


def _sheet(shape: Shape, stack: Stack, method: Method, parts: tuple[Part, ...], head: Part | None, quantization: str | None,
           formats: list[tuple[str, str]], title: str, about: str) -> Node:
    by_place: dict[str, list[Part]] = {}
    for part in parts:
        outside = not part.layers
        if part.stack == stack.index or (outside and part.at.startswith(stack.title.lower() or "/")) or (part.at == "lm_head" and stack.index):
            by_place.setdefault(part.at, []).append(part)
    sheet = Sheet(shape, stack, by_place, quantization, any(part.at == shape.embedding for part in parts), getattr(method, "windows", 1))
    y = 4.0
    if stack.title:
        sheet.words(EDGES[0], y + 12, f"{stack.title} block", "heading", "start")
        y += 16
    y = entrance(sheet, singles(method), y)
    top = y + 12
    sheet.line((MIDDLE, y), (MIDDLE, top + 20))
    end = block(sheet, top + 20)
    sheet.line((MIDDLE, end), (MIDDLE, end + 8))
    bottom = end + (26 if _in_blocks(sheet) else 10)
    frame = _frame(sheet, top, bottom)
    sheet.line((MIDDLE, bottom), (MIDDLE, bottom + 2))
    y = answer(sheet, head, bottom)
    if any("moved" in each.attributes.get("class", "").split() for each in sheet.nodes):
        formats = [*formats, ("moved", "follows from what is trained")]
    y = _legend(sheet, formats, y + 12) if not stack.index else y + 4
    name = f"anatomy-{stack.index}"
    return node("svg", node("title", title + (f": {stack.title.lower()}" if stack.title else ""), id=f"{name}-title"), node("desc", about, id=f"{name}-about"),
                node("defs", *_patterns(stack.index)), *frame, *sheet.nodes, xmlns=SVG, viewBox=f"0 0 {WIDTH} {y:g}", kind="anatomy-sheet", role="img",
                aria_labelledby=f"{name}-title", aria_describedby=f"{name}-about")


def _patterns(index: int) -> tuple[Node, ...]:
    """Hatching for few bits, dots for trained numbers strewn in."""
    return (
        node("pattern", line((0, 6), (6, 0), kind="hatching"), id=f"anatomy-hatch-{index}", width=6, height=6, patternUnits="userSpaceOnUse"),
        node("pattern", *(node("circle", cx=x, cy=y, r=1.1, kind="dot") for x, y in ((2, 3), (8, 7), (13, 2), (4, 12), (11, 13))),
             id=f"anatomy-dots-{index}", width=15, height=15, patternUnits="userSpaceOnUse"),
    )


def _in_blocks(sheet: Sheet) -> list[Part]:
    return [part for parts in sheet.parts.values() for part in parts if part.layers]


def _frame(sheet: Sheet, top: float, bottom: float) -> list[Node]:
    """The block's frame, and beside it all blocks of the stack: which of them are trained, and which is drawn."""
    stack, inside = sheet.stack, _in_blocks(sheet)
    layers = sorted({layer for part in inside for layer in part.layers})
    many, (left, wide) = len(stack.layers), STRIP
    shown_layer = layers[-1] if layers else stack.layers[-1]
    said = f"one of {many} blocks" if many > 1 else "its one block"
    if 0 < len(layers) < many:
        said = f"one of the {len(layers)} trained blocks of {many}" if len(layers) > 1 else f"the one trained block of {many}"
    nodes = [box(EDGES[0], top, EDGES[1] - EDGES[0], bottom - top, "frame", 10), words(EDGES[0] + 10, top + 14, said, "small quiet", "start")]
    high = min(40, (bottom - top) / many)
    for place, layer in enumerate(stack.layers):
        y, gap = top + place * high, 1 if high > 5 else 0.4
        kind = "trained" if layer in layers else "frozen"
        nodes.append(box(left, y + gap / 2, wide, high - gap, f"layer {kind}", min(3, high / 3)))
        if high >= 11:
            nodes.append(words(left + wide / 2, y + high / 2 + 3.5, str(layer), f"tiny {kind}"))
        if layer == shown_layer:
            nodes.append(node("path", d=f"M{left - 2:g} {y + high / 2 - 4:g}v8l-7 -4z", kind="pointer"))
    if inside:
        nodes.append(_sum(inside, bottom))
    return nodes


def _sum(inside: list[Part], bottom: float) -> Node:
    each, total, times = sum(part.each for part in inside), sum(part.total for part in inside), {part.times for part in inside}
    if len(times) == 1 and total > each:
        text = f"{whole(each)} × {times.pop()} blocks = {whole(total)}"
    else:
        text = f"{whole(total)} in {'all blocks' if total > each else 'this block'}"
    return words(MIDDLE, bottom - 6, text, "count", size=fitted(text, EDGES[1] - EDGES[0] - 20, 12))


def _formats(quantization: str | None, dtype: str, adapter_dtype: str, any_trained: bool) -> list[tuple[str, str]]:
    """(swatch, words) of the legend, with the number formats where the base has several."""
    bits = {"bfloat16": "16-bit", "float32": "32-bit"}
    own = f", {bits['float32' if adapter_dtype == 'auto' else adapter_dtype]}" if quantization else ""
    lit = [("trained", f"trained{own}")] if any_trained else []
    if not quantization:
        return [*lit, ("frozen", "frozen")]
    return [*lit, ("few", f"frozen, {BITS[quantization]}"), ("frozen", f"frozen, {bits.get(dtype, '16 or 32-bit')}")]


def _legend(sheet: Sheet, formats: list[tuple[str, str]], y: float) -> float:
    x = EDGES[0]
    for kind, text in formats:
        if x + 22 + 5.6 * len(text) > WIDTH:
            x, y = EDGES[0], y + 16
        swatch = [box(x, y, 13, 11, "shape", 2)] + ([box(x, y, 13, 11, f"hatch bits-{sheet.stack.index}", 2)] if kind == "few" else [])
        sheet.add(node("g", *swatch, words(x + 18, y + 9.5, text, "small", "start"), kind=f"part {kind} key"))
        x += 18 + 5.6 * len(text) + 14
    return y + 18


# ── in words ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _row(part: Part, shape: Shape) -> dict[str, Any]:
    tensors = [{"text": ("+ " if place else "") + f"{tensor.name} {sized(tensor)}".replace(f"{part.tensors[place - 1].name} bias ", ""), "symbol": tensor.name}
               for place, tensor in enumerate(part.tensors)]
    tensors = tensors if len(tensors) <= 6 else [{"text": f"{len(tensors)} tensors", "symbol": ""}]
    return {"part": " ".join(part.names), "name": named(part, shape), "tensors": tensors, "each": whole(part.each),
            "layers": f"× {part.times} block{'s' * (part.times > 1)}" if part.layers else "once", "total": whole(part.total)}


def named(part: Part, shape: Shape) -> str:
    """What a person calls it."""
    if part.at in NAMED:
        return NAMED[part.at] + (" (read by nothing)" if part.at == "prompt" and part.stack else "")
    name = ROLE_WORDS.get(part.role, part.role.replace("_", " "))
    if part.role == "prompt":
        return "prefix: " + listing([each for each in part.names if each in ROLES and each != "qkv"] or ["key"])
    if part.role == "embedding":
        return f"embeddings: {table_name(part.at)}"
    if part.role == "norm":
        return _norm_named(part, shape)
    kind = SPOTTED.get(part.tensors[0].spot, "")
    which = " (cross-attention)" if "EncDecAttention" in part.at else ""
    stack = f"{('encoder', 'decoder')[part.stack]} " if shape.encoder_layers and part.layers else ""
    return f"{stack}{kind}{name}{which}"


def _norm_named(part: Part, shape: Shape) -> str:
    if not part.layers:
        return "norm of the embeddings" if part.at.startswith("embeddings.") else "norm behind the blocks"
    stack = stacks(shape)[part.stack]
    of = next((sublayer.kind for sublayer in stack.sublayers if sublayer.norm == part.at), "")
    known = {"attention": "norm of the attention", "cross": "norm of the cross-attention", "ffn": "norm of the feed-forward part"}
    return (f"{stack.title.lower()} " if stack.title else "") + known.get(of, "norm of the heads")


def _about(shape: Shape, parts: tuple[Part, ...], head: Part | None) -> str:
    """For those who cannot see it."""
    built = f"One block of {'an' if KINDS[shape.kind][0] == 'e' else 'a'} {KINDS[shape.kind]} with {shape.layers} blocks of width {shape.width:,}."
    if not parts:
        return f"{built} No part of it is trained." + (f" The new head is: {whole(head.each)} numbers." if head else "")
    said = [f"{named(part, shape)} ({whole(part.total)})" for part in parts[:6]]
    more = f" and {len(parts) - 6} further parts" if len(parts) > 6 else ""
    end = f", and the new head ({whole(head.each)})." if head else "."
    return f"{built} Trained: {', '.join(said)}{more}, {whole(sum(part.total for part in parts))} numbers in all{end}"
