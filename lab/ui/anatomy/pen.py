"""A drawing as plain values: SVG elements with attributes and children, given to the page as JSON lists or written out as SVG text."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from typing import Any

SIZES = {"name": 12, "heading": 14, "count": 11, "tiny": 8.5}  # of letters, where nothing else is said; 10 for the rest
DIGIT = 0.58  # width of a digit, as a share of the letter size; letters are a little narrower on average


@dataclass(frozen=True)
class Node:
    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: tuple[Node | str, ...] = ()

    def to_list(self) -> list[Any]:
        """[tag, attributes, child, …]: the page makes elements of it, and sets texts as texts."""
        return [self.tag, self.attributes, *(child if isinstance(child, str) else child.to_list() for child in self.children)]

    def markup(self) -> str:
        attributes = "".join(f' {name}="{escape(value)}"' for name, value in self.attributes.items())
        inner = "".join(escape(child, quote=False) if isinstance(child, str) else child.markup() for child in self.children)
        return f"<{self.tag}{attributes}>{inner}</{self.tag}>"

    def walk(self) -> Iterable[Node]:
        yield self
        for child in self.children:
            if isinstance(child, Node):
                yield from child.walk()


def number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def node(tag: str, *children: Node | str, **attributes: Any) -> Node:
    """`kind` is the class, `data_part` becomes data-part; what is None or empty is left out."""
    named = {"class" if key == "kind" else key.replace("_", "-"): number(value) if isinstance(value, float) else str(value)
             for key, value in attributes.items() if value is not None and value != ""}
    return Node(tag, named, children)


def box(x: float, y: float, width: float, height: float, kind: str = "box", radius: float = 5) -> Node:
    return node("rect", x=float(x), y=float(y), width=float(width), height=float(height), rx=radius, kind=kind)


def words(x: float, y: float, text: str, kind: str = "", anchor: str = "middle", size: float = 0) -> Node:
    size = size or SIZES.get(kind.partition(" ")[0], 10)
    return node("text", text, x=float(x), y=float(y), kind=kind, text_anchor=None if anchor == "start" else anchor, font_size=number(size))


def fitted(text: str, width: float, largest: float, smallest: float = 8) -> float:
    """The letter size at which the text fits."""
    return round(max(smallest, min(largest, width / (DIGIT * max(1, len(text))))), 1)


def line(*points: tuple[float, float], kind: str = "flow") -> Node:
    return node("path", d="M" + "L".join(f"{number(x)} {number(y)}" for x, y in points), kind=kind)


def arrow(*points: tuple[float, float], kind: str = "flow") -> tuple[Node, Node]:
    """A line whose last piece goes down into something."""
    x, y = points[-1]
    return line(*points[:-1], (x, y - 3), kind=kind), node("path", d=f"M{number(x - 3)} {number(y - 5)}h6l-3 5z", kind=f"tip {kind}")


def waist(x: float, y: float, width: float, height: float, top: float, bottom: float, kind: str) -> Node:
    """A four-sided figure that is `top` of the width wide above and `bottom` below."""
    cut = [(1 - share) * width / 2 for share in (top, bottom)]
    corners = (x + cut[0], y), (x + width - cut[0], y), (x + width - cut[1], y + height), (x + cut[1], y + height)
    return node("path", d="M" + "L".join(f"{number(a)} {number(b)}" for a, b in corners) + "Z", kind=kind)


def plus(x: float, y: float, kind: str = "") -> Node:
    across, down = line((x - 3.5, y), (x + 3.5, y), kind="sign"), line((x, y - 3.5), (x, y + 3.5), kind="sign")
    return node("g", node("circle", cx=float(x), cy=float(y), r=6), across, down, kind=f"plus {kind}".strip())
