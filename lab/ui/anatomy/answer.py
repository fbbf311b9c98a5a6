"""What stands behind the blocks: the last norm, and the way from features to an answer."""
from __future__ import annotations

from lab.contracts import Linear
from lab.ui.anatomy.matrices import narrow
from lab.ui.anatomy.parts import Part, Tensor
from lab.ui.anatomy.pen import box, node, words
from lab.ui.anatomy.plan import final_norm
from lab.ui.anatomy.sheet import LEFT, MIDDLE, RIGHT, Sheet, counted, frozen, norm_box, shown
from lab.ui.wording import whole


def new_head(labels: int, width: int) -> Part | None:
    """The classifier on the features of an encoder or a vision model."""
    if not labels:
        return None
    return Part("head", 0, "head", ("head",), (Tensor("W", (labels, width), "weight"), Tensor("b", (labels,), "bias")), ())


def answer(sheet: Sheet, head: Part | None, y: float) -> float:
    """From the last block to the answer."""
    shape, stack = sheet.shape, sheet.stack
    norm = final_norm(shape, stack)
    if norm:
        sheet.flow((MIDDLE, y), (MIDDLE, y + 11))
        y = norm_box(sheet, norm, ("norm",), stack.norm, MIDDLE, y + 11, RIGHT - LEFT)
    if stack.title == "Encoder":
        sheet.flow((MIDDLE, y), (MIDDLE, y + 14))
        sheet.words(MIDDLE, y + 25, "to every block of the decoder", "small quiet")
        return y + 30
    if not shape.writes:
        return _classified(sheet, head, y)
    y = narrow(sheet, "project_out", y)
    sheet.flow((MIDDLE, y), (MIDDLE, y + 12))
    last = next((linear for linear in shape.linears if linear.role == "lm_head"), None)
    if last is None:
        again = words(MIDDLE, y + 39, "by the table of words again", "small")
        figures = box(MIDDLE - 90, y + 12, 180, 34, "shape"), words(MIDDLE, y + 26, "next word", "name"), again
        sheet.add(frozen(("embedding",), *figures, symbol="E", kind="part moved" if sheet.words_move else "part frozen"))
        return y + 46
    return y + 12 + _last(sheet, last, y + 12)


def _last(sheet: Sheet, last: Linear, y: float) -> float:
    found = sheet.found(last.module, "weight")
    high = 47 if found else 34
    figures = [box(MIDDLE - 90, y, 180, high, "shape"), words(MIDDLE, y + 14, "next word", "name"),
               words(MIDDLE, y + 27, shown((last.outputs, last.inputs)), "small")]
    if found:
        figures.append(words(MIDDLE, y + 41, whole(sum(tensor.count for _, tensor in found)), "count"))
        sheet.add(counted(found[0][0], tuple(tensor for _, tensor in found), *figures, symbol="W"))
    else:
        sheet.add(frozen(("head",), *figures, symbol="W"))
    return high


def _classified(sheet: Sheet, head: Part | None, y: float) -> float:
    sheet.flow((MIDDLE, y), (MIDDLE, y + 11))
    said = "mean over the patches" if sheet.shape.kind == "vision" else "mean over the text's tokens"
    sheet.add(node("g", box(MIDDLE - 84, y + 11, 168, 19, "shape", 9), words(MIDDLE, y + 24, said, "small", size=10.5), kind="part step"))
    if head is None:
        return y + 30
    sheet.flow((MIDDLE, y + 30), (MIDDLE, y + 41))
    w, b = head.tensors
    size = words(MIDDLE, y + 68, f"W {shown(w.sizes)} + b {shown(b.sizes)}", "small")
    sheet.add(counted(head, (w, b), box(MIDDLE - 84, y + 41, 168, 47, "shape"), words(MIDDLE, y + 55, "new head", "name"), size,
                      words(MIDDLE, y + 82, whole(head.each), "count"), symbol="W b"))
    return y + 88
