"""A parameter count that can be followed by hand: the tensors of each place with their sizes put in, times the places, and the sum."""
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from lab.contracts import Place, Shape, listing
from lab.spec import RunSpec
from lab.ui.wording import whole

ROLE_WORDS = {
    "query": "query", "key": "key", "value": "value", "output": "output", "qkv": "query, key and value in one", "ffn_in": "feed-forward in",
    "ffn_gate": "feed-forward gate", "ffn_out": "feed-forward out", "prompt": "prompt", "embedding": "embeddings", "norm": "norms", "lm_head": "output words",
    "coordinates": "coordinates",
}
SIGN = re.compile(r"E\(x\)|E\[t\]|FFN\(x\)|[A-Za-zΔΛΓλγ]\w*")
MEANT = {  # signs of the formulas → (names of parts, names of tensors); other signs are looked for among the method's tensors
    "E(x)": ("embedding", "E"), "E[t]": ("embedding", "E[t]"), "FFN(x)": ("ffn_out", ""), "W": ("", "W"),
    "W_0": ("", "W"), "W_nf4": ("", "W"), "theta_0": ("", "W"),
    "W_k": ("key", "W"), "W_v": ("value", "W"), "W_in": ("ffn_in", "W"), "W_out": ("ffn_out", "W"), "l_k": ("key", "l"), "l_v": ("value", "l"),
    "l_ff": ("ffn_out", "l"), "P_k": ("prefix key", "P_k"), "P_v": ("prefix value", "P_v"), "K": ("key", ""), "V": ("value", ""), "Q": ("query", ""),
    "MLP": ("prompt", ""), "LSTM": ("prompt", ""), "adapters": ("adapter", "D U"), "R": ("", "Q"), "R_1": ("", "D"), "R_m": ("", "D"), "R_i": ("", "D"),
    "u_i": ("", "u"), "H_1": ("", "u"), "H_r": ("", "u"), "W2": ("", "W2a W2b W2"), "Λb": ("", "b"), "Λd": ("", "d"), "Λ_j": ("", "λ"), "Γ_j": ("", "γ"),
    "bank_j": ("adapter", "bank"), "U_k": ("prompt", "U"), "V_k": ("prompt", "V"), "norms": ("norm", ""), "D": ("", "D"),
}
Tensors = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Term:
    """Places whose tensors have equal names and sizes."""

    tensors: Tensors
    places: tuple[Place, ...]

    @property
    def each(self) -> int:
        return sum(prod(sizes) for _, sizes in self.tensors)

    @property
    def total(self) -> int:
        return self.each * len(self.places)


def terms(places: Sequence[Place]) -> tuple[Term, ...]:
    groups: dict[Tensors, list[Place]] = {}
    for place in places:
        groups.setdefault(tuple((_short(name), sizes) for name, sizes in place.tensors), []).append(place)
    return tuple(Term(tensors, tuple(found)) for tensors, found in groups.items())


def lines(spec: RunSpec) -> list[dict[str, str]]:
    """Each term as {"each", "where", "total"}, then the new head's, in words and numbers."""
    found = [{"each": _each(term), "where": _where(term.places, spec.shape), "total": whole(term.total)} for term in terms(spec.method.places(spec.shape))]
    head = spec.counts.head
    if head:
        labels = head // (spec.shape.width + 1)
        found.append({"each": f"W {labels} × {spec.shape.width} + b {labels}", "where": "in the new classification head", "total": whole(head)})
    return found


def symbols(spec: RunSpec) -> list[dict[str, str]]:
    """The method's formula in pieces: {"text", "part", "symbol"}, so that the page can show what each sign stands for."""
    text, found, end = spec.method.formula, [], 0
    tensors = {_short(name): place for place in spec.method.places(spec.shape) for name, _ in place.tensors}
    for match in SIGN.finditer(text):
        part, symbol = _meant(match.group(), tensors)
        if part or symbol:
            found += [{"text": text[end:match.start()], "part": "", "symbol": ""}, {"text": match.group(), "part": part, "symbol": symbol}]
            end = match.end()
    return [piece for piece in [*found, {"text": text[end:], "part": "", "symbol": ""}] if piece["text"]]


def _meant(sign: str, tensors: dict[str, Place]) -> tuple[str, str]:
    if sign in tensors:
        return ("prompt" if tensors[sign].role == "prompt" else ""), sign
    if sign == "b" and "bias" in tensors:
        return ("norm" if tensors["bias"].role == "norm" else "bias"), "b"
    if sign == "g" and "weight" in tensors:
        return "norm", "g"
    return MEANT.get(sign, ("", ""))


def _each(term: Term) -> str:
    text = " + ".join(f"{name} {_times(sizes)}" for name, sizes in term.tensors)
    simple = len(term.tensors) == 1 and len(term.tensors[0][1]) == 1
    return text if simple else f"{text} = {whole(term.each)}"


def _times(sizes: tuple[int, ...]) -> str:
    return " × ".join(whole(size) for size in sizes)


def _where(places: tuple[Place, ...], shape: Shape) -> str:
    roles = listing([ROLE_WORDS.get(role, role) for role in dict.fromkeys(place.role for place in places)])
    layers = sorted({place.layer for place in places if place.layer is not None})
    if not layers:
        return f"in the {roles}" if len(places) == 1 else f"in {len(places)} places: {roles}"
    outside = sum(place.layer is None for place in places)
    beside = f", {outside} outside them" if outside else ""
    return f"in {len(places)} place{'s' * (len(places) > 1)}: {roles} of {layers_said(layers, shape.layers)}{beside}"


def layers_said(layers: list[int], of: int) -> str:
    if len(layers) == of:
        return f"all {of} layers"
    if layers == list(range(of - len(layers), of)):
        return f"the last {len(layers)} of {of} layers" if len(layers) > 1 else f"the last of {of} layers"
    return f"{len(layers)} of {of} layers"


def _short(name: str) -> str:
    """Tensors of the base are named by their module path; the last word says what they are."""
    return name.rpartition(".")[2]
