"""What stands in front of the blocks: the text, the tables of embeddings, prompts among the vectors, and what all blocks share."""
from __future__ import annotations

from lab.contracts import Method, Shape, Weight
from lab.ui.anatomy.matrices import narrow
from lab.ui.anatomy.parts import Part, Tensor
from lab.ui.anatomy.pen import box, fitted, node, words
from lab.ui.anatomy.plan import embedding_norm
from lab.ui.anatomy.sheet import BAR, GAP, LEFT, MIDDLE, RIGHT, Sheet, bar, counted, form, frozen, norm_box, shown
from lab.ui.wording import whole

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
EDGES = 6.0, 304.0  # of the frame around the block
TOKEN = 24.0
Table = tuple[str, str, tuple[int, ...]]


def entrance(sheet: Sheet, methods: tuple[Method, ...], y: float) -> float:
    """From the text to what the first block reads. Returns where that begins."""
    shots = next((getattr(method, "shots", 0) for method in methods if method.key == "in_context"), 0)
    nearest = any(getattr(method, "examples", "") == "nearest" for method in methods)
    y = _shots(sheet, shots, nearest, y) if shots else _read(sheet, y)
    tables, network = _embeddings(sheet.shape), sheet.parts.get("network", [])
    prompt = bool(sheet.parts.get("prompt")) or any("prompt" in part.names for part in network)
    first = 1 if prompt or network else len(tables)  # a prompt stands among the vectors of words; places are added to both
    y = _tables(sheet, tables[:first], network, y)
    if prompt:
        y = _vectors(sheet, methods, y)
    y = narrow(sheet, "project_in", y)
    y = _added(sheet, tables[first:], y)
    norm = embedding_norm(sheet.shape)
    if norm:
        sheet.flow((MIDDLE, y), (MIDDLE, y + 10))
        y = norm_box(sheet, norm, ("norm",), "LayerNorm", MIDDLE, y + 10, RIGHT - LEFT)
    return _shared(sheet, y)


def _token(sheet: Sheet, x: float, y: float, text: str, kind: str = "part token", width: float = TOKEN) -> None:
    sheet.add(node("g", box(x, y, width, 19, "shape", 3), words(x + width / 2, y + 13.5, text, "small", size=fitted(text, width - 3, 10.5, 7)), kind=kind))


def _row(sheet: Sheet, signs: list[tuple[str, str]], y: float) -> None:
    """Boxes in a row, in the middle; an ellipsis has none."""
    width = TOKEN + 3
    x = MIDDLE - (len(signs) * width - 3) / 2
    for place, (text, kind) in enumerate(signs):
        if text == "…":
            sheet.words(x + place * width + TOKEN / 2, y + 13, text)
        else:
            _token(sheet, x + place * width, y, text, kind)


def _counted_off(sign: str, many: int | None, kind: str, few: int = 3) -> list[tuple[str, str]]:
    """x₁ x₂ x₃ … x_T; all of them where they are few."""
    lowered = SUBSCRIPTS if sign else {}
    begin = [(f"{sign}{number}".translate(lowered), kind) for number in range(1, (few if many is None or many > few + 1 else many) + 1)]
    return begin if many is not None and many <= few + 1 else [*begin, ("…", kind), (f"{sign}ₜ" if many is None else f"{sign}{many}".translate(lowered), kind)]


def _read(sheet: Sheet, y: float) -> float:
    shape = sheet.shape
    said = "an image, cut into patches" if shape.kind == "vision" else "the answer as far as it is written" if sheet.stack.index else "the text, as tokens"
    signs = _counted_off("", shape.positions - 1, "part token") if shape.kind == "vision" else _counted_off("x", None, "part token")
    sheet.words(MIDDLE, y + 9, said, "small quiet")
    _row(sheet, signs, y + 14)
    return y + 33


def _shots(sheet: Sheet, shots: int, nearest: bool, y: float) -> float:
    """Solved examples, and the text behind them."""
    which = "the nearest to this text, then the text" if nearest else "read again for every answer, then the text"
    sheet.words(MIDDLE, y + 9, f"{shots} solved example{'s' * (shots > 1)}, {which}", "small quiet")
    shown_ = [f"text {number} → answer" for number in range(1, min(shots, 2) + 1)]
    wide = (EDGES[1] - EDGES[0] - 70 - (16 if shots > 2 else 0)) / len(shown_) - 4
    x = EDGES[0]
    for text in shown_:
        _token(sheet, x, y + 14, text, "part token shot", wide)
        x += wide + 4
    if shots > 2:
        sheet.words(x + 6, y + 27, "…")
        x += 16
    _token(sheet, x, y + 14, "text → ?", "part token", EDGES[1] - x)
    return y + 33


def _tables(sheet: Sheet, found: list[Table], network: list[Part], y: float) -> float:
    """The tables that turn tokens into vectors; beside them the network of a P-tuning or of a projected prefix."""
    left = MIDDLE + 4 if network else EDGES[0] + 14
    wide = (RIGHT - left - 5 * (len(found) - 1)) / len(found)
    centre = left + (RIGHT - left) / 2 if network else MIDDLE
    sheet.flow((MIDDLE, y), *([(MIDDLE, y + 7), (centre, y + 7)] if network else []), (centre, y + 14))
    top = y + 14
    rows = [tensor for part in sheet.parts.get(sheet.shape.embedding, []) for tensor in part.tensors if tensor.spot == "rows"]
    high = 34 + (13 if any(sheet.found(at, "table", "weight") for at, _, _ in found) else 0) + (BAR + 6 if rows else 0)
    for place, table in enumerate(found):
        x = left + place * (wide + 5)
        _table(sheet, table, x, top, wide, high)
        if place == 0 and rows:
            part = sheet.parts[sheet.shape.embedding][0]
            sheet.add(bar(part, rows[0], x + 6, top + 33, wide - 12))
    bottom = top + high
    if not network:
        return bottom
    low = _network(sheet, network[0], top, left)
    prompt = "prompt" in network[0].names
    end = max(low + 4, bottom + 12)
    if prompt:
        sheet.flow((MIDDLE - 60, low), (MIDDLE - 60, end + 14), kind="flow trained")
        sheet.flow((centre, bottom), (centre, end + 14))
    else:
        sheet.line((centre, bottom), (centre, end), (MIDDLE, end))
    return end


def _table(sheet: Sheet, table: Table, x: float, y: float, wide: float, high: float) -> None:
    at, name, sizes = table
    size = "the same table" if sheet.stack.index else shown(sizes)
    figures = [box(x, y, wide, high, "shape"), words(x + wide / 2, y + 14, name, "name", size=fitted(name, wide - 6, 12)),
               words(x + wide / 2, y + 27, size, "small", size=fitted(size, wide - 6, 10, 7))]
    held = sheet.found(at, "table", "weight")
    if held:
        tensors = tuple(tensor for _, tensor in held)
        figures.append(words(x + wide / 2, y + 41, whole(sum(tensor.count for tensor in tensors)), "count"))
        sheet.add(counted(held[0][0], tensors, *figures, symbol="E"))
    else:
        again = sheet.stack.index and sheet.words_move
        sheet.add(frozen(("embedding",), *figures, symbol="E", kind="part moved" if again else "part frozen"))


def _added(sheet: Sheet, tables: list[Table], y: float) -> float:
    """What is added to the vectors of words and of a prompt alike."""
    if not tables:
        return y
    left = MIDDLE + 24
    wide = (RIGHT - left - 5 * (len(tables) - 1)) / len(tables)
    sheet.line((MIDDLE, y), (MIDDLE, y + 19))
    sheet.line((left, y + 25), (MIDDLE + 6, y + 25))
    sheet.plus(MIDDLE, y + 25)
    for place, table in enumerate(tables):
        _table(sheet, table, left + place * (wide + 5), y + 8, wide, 34)
    sheet.line((MIDDLE, y + 31), (MIDDLE, y + 46))
    return y + 46


def _embeddings(shape: Shape) -> list[Table]:
    """(module, name, sizes) of each table, words first."""
    found: list[Table] = []
    tables: list[Weight] = [weight for weight in shape.weights if weight.role == "embedding"]
    for weight in tables:
        module = weight.name.removesuffix(".weight").removesuffix(".bias")
        if weight.name.endswith(".bias"):
            continue
        found.append((module, table_name(module), weight.sizes))
    return sorted(found, key=lambda each: each[0] != shape.embedding)


def table_name(module: str) -> str:
    signs = {"cls": "class token", "patch": "patches", "pos": "positions", "wpe": "positions", "type": "types", "project_in": "to the blocks' width",
             "project_out": "to the words' width"}
    return next((name for sign, name in signs.items() if sign in module), "words")


def _network(sheet: Sheet, part: Part, top: float, right: float) -> float:
    """A network that puts out the vectors: its tensors, the many of an LSTM as one."""
    lstm = tuple(tensor for tensor in part.tensors if tensor.name.startswith(("forwards", "backwards")))
    lines: list[tuple[str, tuple[Tensor, ...]]] = []
    own = {tensor.name: tensor for tensor in part.tensors if tensor not in lstm}
    for name, tensor in own.items():
        if not name.endswith(" bias"):
            bias = own.get(f"{name} bias")
            text = f"{name} {shown(tensor.sizes)}" + (f" + {shown(bias.sizes)}" if bias else "")
            lines.append((text, (tensor, *([bias] if bias else []))))
    if lstm:  # it reads E, and the layers read it
        lines.insert(1, (f"LSTM, both ways: {whole(sum(tensor.count for tensor in lstm))}", lstm))
    x, wide = EDGES[0], right - 10 - EDGES[0]
    sheet.words(x + wide / 2, top - 3, "network, trained", "name lit-text", size=11)
    for place, (text, tensors) in enumerate(lines):
        y = top + place * (BAR + GAP)
        label = words(x + wide / 2, y + 12.3, text, "small", size=fitted(text, wide - 6, 10))
        sheet.add(counted(part, tensors, form(x, y, wide, BAR, tensors[0], "shape"), label))
    bottom = top + len(lines) * (BAR + GAP)
    sheet.words(x + wide / 2, bottom + 10, whole(part.each), "count")
    if "prefix" in part.names:
        sheet.words(x + wide / 2, bottom + 22, "puts out P_k and P_v of every block", "small", size=8.5)
        return bottom + 26
    return bottom + 14


def _vectors(sheet: Sheet, methods: tuple[Method, ...], y: float) -> float:
    """What the first block reads: the vectors of the words, and the prompt among them."""
    part = (sheet.parts.get("prompt") or sheet.parts["network"])[0]
    method = next(each for each in methods if hasattr(each, "virtual_tokens"))
    position, made = getattr(method, "position", "front"), part.at == "network"
    prompt = _counted_off("p", method.virtual_tokens, f"part {'moved' if made else 'trained inner'} token", 2)
    parts = sheet.stack.index == 1
    text = [] if parts else _counted_off("e", None, "part token", 2)
    if parts:
        return _unused(sheet, part, y)
    if not made:
        sheet.flow((MIDDLE, y), (MIDDLE, y + 14))
    top = y + 16
    if position == "added":
        text = _counted_off("e", None, "part token", len(prompt))
        _row(sheet, prompt, top)
        sheet.words(MIDDLE + len(prompt) * 13.5 + 12, top + 14, "+", "name", size=14)
        top += 23
        _row(sheet, text, top)
    else:
        half = len(text) // 2
        signs = {"front": [*prompt, *text], "middle": [*text[:half], *prompt, *text[half:]], "end": [*text, *prompt]}[position]
        _row(sheet, signs, top)
    if made:
        return top + 19
    tensors = [part.tensors[0]] if len(part.tensors) == 1 else list(part.tensors)
    wide = min(150.0, (RIGHT - LEFT - 40) / len(tensors))
    if len(tensors) == 1:
        right = position == "end"
        sheet.add(bar(part, tensors[0], MIDDLE + 6 if right else MIDDLE - 106, top + 23, 100))
        sheet.words(MIDDLE - 10 if right else MIDDLE + 10, top + 35.5, whole(part.each), "count", "end" if right else "start")
        sheet.line((MIDDLE, top + 19), (MIDDLE, top + 44))
        return top + 44
    for place, tensor in enumerate(tensors):
        sheet.add(bar(part, tensor, LEFT + place * (wide + 4), top + 24, wide))
    sheet.words(MIDDLE + 12, top + 54, whole(part.each), "count", "start")
    sheet.line((MIDDLE, top + 19), (MIDDLE, top + 24))
    sheet.line((MIDDLE, top + 24 + BAR), (MIDDLE, top + 58))
    return top + 58


def _unused(sheet: Sheet, part: Part, y: float) -> float:
    """For an encoder-decoder peft makes as many vectors again, which stand nowhere."""
    sheet.add(bar(part, part.tensors[0], EDGES[0] + 14, y + 8, 112))
    sheet.words(EDGES[0] + 132, y + 20, "counted by peft, read by nothing", "small quiet", "start", 9.5)
    return y + 26


def _shared(sheet: Sheet, y: float) -> float:
    """Numbers that all blocks use together: a subspace's coordinates, a bank of vectors."""
    found = [part for at in ("coordinates", "bank") for part in sheet.parts.get(at, [])]
    for part in found:
        said = "z moves every dashed matrix" if part.at == "coordinates" else "pieces of every A and B"
        sheet.line((MIDDLE, y), (MIDDLE, y + 12 + len(part.tensors) * (BAR + GAP)))
        for place, tensor in enumerate(part.tensors):
            sheet.add(bar(part, tensor, MIDDLE + 14, y + 10 + place * (BAR + GAP), 122))
        sheet.words(MIDDLE - 12, y + 22, said, "small quiet", "end", fitted(said, MIDDLE - 18 - EDGES[0], 10))
        y += 12 + len(part.tensors) * (BAR + GAP)
    return y
