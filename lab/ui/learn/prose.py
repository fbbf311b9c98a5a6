"""Markdown and formulas as a tree of plain values that a script builds into elements: no text of a lesson ever becomes markup."""
from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

MATH = re.compile(r"\$\$(.+?)\$\$|(?<![\\$\w])\$(?=\S)([^$\n]+?)(?<=\S)\$(?!\w)", re.DOTALL)
MARK = re.compile("\ue000(\\d+)\ue001")  # where a formula stood: a text that Markdown leaves alone
TAGS = {"paragraph": "p", "strong": "strong", "em": "em", "bullet_list": "ul", "ordered_list": "ol", "list_item": "li", "blockquote": "blockquote",
        "table": "table", "thead": "thead", "tbody": "tbody", "tr": "tr", "th": "th", "td": "td"}
LESSON = re.compile(r"(?:\./)?(\d\d-[a-z0-9-]+)(?:\.md)?")
Node = Any  # a text, or [tag, {attribute: value}, child, …]


def prose(text: str) -> list[Node]:
    """Paragraphs, lists, tables, quotes, code, links and formulas; anything else of Markdown, HTML above all, is shown as it was typed."""
    formulas: list[tuple[str, bool]] = []

    def keep(found: re.Match[str]) -> str:
        formulas.append((found[1] or found[2], found[1] is not None))
        return f"\ue000{len(formulas) - 1}\ue001"

    text = MATH.sub(keep, text.replace("\ue000", "").replace("\ue001", ""))
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    return [made for child in SyntaxTreeNode(parser.parse(text)).children for made in _nodes(child, formulas)]


def _nodes(node: SyntaxTreeNode, formulas: Sequence[tuple[str, bool]]) -> Iterator[Node]:
    if node.type == "text":
        yield from _text(node.content, formulas)
    elif node.type in TAGS:
        yield [TAGS[node.type], {}, *_children(node, formulas)]
    elif node.type == "heading":
        yield ["h4", {}, *_children(node, formulas)]
    elif node.type == "code_inline":
        yield ["code", {}, node.content]
    elif node.type in ("fence", "code_block"):
        yield ["pre", {}, ["code", {}, node.content]]
    elif node.type == "link":
        yield from _link(node, formulas)
    elif node.type in ("softbreak", "hardbreak"):
        yield " "
    elif node.type == "inline":
        yield from _children(node, formulas)
    else:
        yield from _text(node.content or "", formulas)


def _children(node: SyntaxTreeNode, formulas: Sequence[tuple[str, bool]]) -> list[Node]:
    return [made for child in node.children for made in _nodes(child, formulas)]


def _link(node: SyntaxTreeNode, formulas: Sequence[tuple[str, bool]]) -> Iterator[Node]:
    """To another lesson, or out of the lab by https; anything else is text."""
    target = str(node.attrs.get("href", ""))
    lesson = LESSON.fullmatch(target)
    if lesson:
        yield ["a", {"lesson": lesson[1]}, *_children(node, formulas)]
    elif target.startswith("https://"):
        yield ["a", {"href": target}, *_children(node, formulas)]
    else:
        yield from _children(node, formulas)


def _text(text: str, formulas: Sequence[tuple[str, bool]]) -> Iterator[Node]:
    end = 0
    for found in MARK.finditer(text):
        if text[end:found.start()]:
            yield text[end:found.start()]
        yield formula(*formulas[int(found[1])])
        end = found.end()
    if text[end:]:
        yield text[end:]


def formula(latex: str, display: bool = False) -> Node:
    """As MathML, which browsers draw themselves; what cannot be read stays as it was typed."""
    from latex2mathml.converter import convert
    from latex2mathml.exceptions import (
        DenominatorNotFoundError,
        DoubleSubscriptsError,
        DoubleSuperscriptsError,
        ExtraLeftOrMissingRightError,
        InvalidAlignmentError,
        InvalidStyleForGenfracError,
        InvalidWidthError,
        LimitsMustFollowMathOperatorError,
        MissingEndError,
        MissingSuperScriptOrSubscriptError,
        NoAvailableTokensError,
        NumeratorNotFoundError,
    )

    try:
        return _math(ElementTree.fromstring(convert(latex.strip(), display="block" if display else "inline")))
    except (DenominatorNotFoundError, DoubleSubscriptsError, DoubleSuperscriptsError, ExtraLeftOrMissingRightError, InvalidAlignmentError,
            InvalidStyleForGenfracError, InvalidWidthError, LimitsMustFollowMathOperatorError, MissingEndError, MissingSuperScriptOrSubscriptError,
            NoAvailableTokensError, NumeratorNotFoundError, ElementTree.ParseError, IndexError, KeyError, ValueError):
        return ["code", {}, latex.strip()]


def _math(element: ElementTree.Element) -> Node:
    kept = {name: value for name, value in element.attrib.items() if name in ("display", "stretchy", "mathvariant", "accent", "columnalign", "width", "fence")}
    text = (element.text or "").strip(" \t\n")  # no more than that: a space in a formula is one that does not break
    texts = [text] if text else []
    return [element.tag.rpartition("}")[2], kept, *texts, *map(_math, element)]
