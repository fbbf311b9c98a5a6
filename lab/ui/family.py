"""The Methods tab: which method when. Everything on it comes from the methods' own files, from arithmetic, and from the table of what was tried."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import gradio as gr

from lab import catalogue, describe, probing
from lab.accounting.counts import count
from lab.accounting.shapes import shape_of
from lab.classroom.offer import ALL, Offer
from lab.contracts import LabError, Method, Model, Shape, listing
from lab.spec import RunSpec
from lab.sweeping import Sweep
from lab.ui import charts, formula
from lab.ui.bench import Bench
from lab.ui.view import answered, view
from lab.ui.wording import percent, plain, whole

FAMILIES = {
    "additive": ("Additive", "New parts are put in, the model's own weights stay."),
    "reparameterised": ("Reparameterised", "The change of a weight matrix is written with fewer numbers than the matrix has."),
    "selective": ("Selective", "Some of the model's own weights move, nothing is put in."),
    "none": ("Nothing trained", "The model is asked in another way."),
}
COMPOSITIONS = {
    "parameter": ("weights", "It changes weight matrices."), "function": ("layers", "It computes something more behind or beside layers."),
    "input": ("input", "It changes what the model reads or attends to."), "none": ("nothing", "It changes nothing."),
}
LATENCY = {"none": "no extra work", "until merged": "no extra work once merged", "always": "extra work for every answer"}
STEPS = {"attach": "built", "train": "trained for two steps", "write": "asked to write", "save": "saved",
         "load": "loaded into a fresh base", "merge": "merged"}
GIVEN = {"nf4", "nf4_double", "fp4"}  # the formats in 4 bits


def tab(bench: Bench) -> gr.HTML:
    return view("family.js", server_functions=questions(bench.offer, bench.sweeps), elem_id="methods")


def questions(offer: Offer = ALL, sweeps: Mapping[tuple[str, str], Sweep] = MappingProxyType({})) -> list[Callable[[Any], dict[str, Any]]]:
    """What the page may ask: the family once, and what one model makes of it whenever another model is chosen."""

    @answered
    def family(asked: Any) -> dict[str, Any]:
        whole = everything()
        return {**whole, "methods": offer.only("methods", whole["methods"]), "models": offer.only("models", whole["models"])}

    @answered
    def fit(asked: Any) -> dict[str, Any]:
        model = catalogue.find("models", asked.get("model")).key
        if not offer.has("models", model):
            raise LabError(f'model is "{model}": this lab offers {", ".join(offer.models)}')
        return {"methods": {key: _with_rates(price, sweeps.get((model, key))) for key, price in on(model).items() if offer.has("methods", key)}}

    return [family, fit]


@cache
def everything() -> dict[str, Any]:
    """The methods, what they can be filtered by, and the matrix."""
    kinds = catalogue.entries("methods").values()
    ranked = sorted(kinds, key=lambda kind: (list(FAMILIES).index(kind.family), kind.title.lower()))
    rows = describe.catalogue_rows("models")
    models = [{"key": row["key"], "title": row["title"].partition(" (")[0], "full": row["title"]} for row in rows]
    cells = {kind.key: {row["key"]: cell(kind, catalogue.find("models", row["key"])) for row in rows} for kind in ranked}
    return {"methods": [card(kind) for kind in ranked], "groups": groups(), "words": WORDS, "models": models, "matrix": cells, "most": 3}


def groups() -> list[dict[str, Any]]:
    """The filters. Of a group with `any` one chosen option is enough; of the others all have to hold."""
    def options(words: dict[str, tuple[str, str]], used: set[str]) -> list[dict[str, str]]:
        return [{"key": key, "label": label, "help": about} for key, (label, about) in words.items() if key in used]

    kinds = catalogue.entries("methods").values()
    return [
        {"key": "family", "label": "Family", "any": True, "options": options(FAMILIES, {kind.family for kind in kinds})},
        {"key": "composition", "label": "Acts on", "any": True, "options": options(COMPOSITIONS, {kind.composition for kind in kinds})},
        {"key": "traits", "label": "Properties", "any": False, "options": options(TRAITS, {trait for kind in kinds for trait in traits(kind)})},
    ]


WORDS = [  # what a first-time reader has to know, and every sign of an equation that is no letter
    ("base", "the model as it was before, also called the pretrained model"),
    ("frozen", "used, but never changed by the training"),
    ("block", "one layer of the transformer: attention, then a feed-forward part of two matrices with a bend (a nonlinear function) between them"),
    ("matrix", "the weights W of a dense layer: W x turns a vector x of “in” numbers into one of “out” numbers"),
    ("bias", "a vector b that a layer adds behind its matrix: W x + b"),
    ("norm", "a layer that brings the numbers of a vector to a common size; its gains and shifts are weights"),
    ("rank", "the smallest number r with which a matrix can be written as a product B A, (out × r) times (r × in); a low rank needs few numbers"),
    ("virtual token", "a trained vector where a word's vector would stand"),
    ("window", "the most tokens that a model can read at once"),
    ("head", "a new layer that turns a model's features into labels"),
    ("merged", "computed into the base's weights once, so that answers cost no more than before"),
    ("4-bit base", "frozen weights rounded to one of 16 values, each block of them with a scale; adapters beside them stay exact"),
    ("(r, in)", "the shape of a tensor: r rows and “in” columns, as many as the layer reads"),
    ("step 0 is the base", "before the first step of training the model answers as its base, because the trained part starts at 0 (or at 1, where it scales)"),
    ("x, h, z", "what a layer reads; what it gives; what it gives with the method on it"),
    ("alpha / r", "a fixed factor that sets how strongly the trained part counts"),
    ("theta, delta, Δ", "all weights of the model; a change of them"),
    ("d, n, L", "the width of the model, unless said otherwise; how many, for instance virtual tokens; the number of blocks"),
    ("E(x)", "the vectors of the text's words, from the table of embeddings E"),
    ("[P ; E(x)]", "one behind the other: first the rows of P, then those of E(x)"),
    ("B[:, :b], A[:b]", "the first b columns of B, the first b rows of A"),
    ("⊙, *", "multiplied number by number"),
    ("⊗", "Kronecker product: each number of the left matrix times the whole right one"),
    ("Aᵀ, A', Q⁻¹", "transposed: rows become columns; the inverse, which undoes Q"),
    ("|u|", "length of a vector: the root of its summed squares"),
    ("Σ", "a sum over the index below it"),
    ("diag, Λ, Γ", "a matrix with numbers on its diagonal only, written as a vector: Λb for b"),
    ("blockdiag", "small matrices along the diagonal, zeros elsewhere"),
    ("F⁻¹, Re", "the inverse Fourier transform: from waves back to numbers; the real part of a complex number"),
    ("softmax", "positive numbers that sum to 1, larger where the input is larger"),
    ("f", "a bend: a function such as GELU or ReLU, applied to each number; without it two matrices in a row would be one"),
    ("u², ⌈k⌉, …", "the square; rounded up; and so on in the same way"),
    ("λ, γ, g, s, z", "names of trained numbers; the lines below an equation say their shapes"),
]
TRAITS = {
    "mergeable": ("can be merged", "After training it becomes part of the base's own weights, with the same answers."),
    "quick": ("answers at the base's pace", "No extra work when the trained model answers, once it is merged where it can be."),
    "slow": ("adds latency", "The trained model does more work for every answer than the base alone, and that cannot be merged away."),
    "four_bits": ("works on a 4-bit base", "It can be trained beside a frozen base that is kept in 4 bits."),
    "starts": ("starts as the base", "Before the first step it answers exactly as the base does."),
    "needs_biases": ("needs biases", "It cannot be had on a model that was made without biases, such as Llama."),
    "no_weights": ("trains nothing", "No weight of the model moves and none is added; a head on top may train."),
}


def traits(kind: type[Method]) -> list[str]:
    found = {
        "mergeable": kind.merges, "quick": kind.latency() != "always", "slow": kind.latency() == "always", "four_bits": four_bits(kind),
        "starts": kind().starts_as_base(), "needs_biases": kind.needs_biases, "no_weights": not kind().places(_any_shape(kind)),
    }
    return [trait for trait, has in found.items() if has]


def four_bits(kind: type[Method]) -> bool:
    return bool(kind.quantizable) and (kind.quantizable is True or bool(GIVEN & set(kind.quantizable)))


def _any_shape(kind: type[Method]) -> Shape:
    """The sizes of some model that it can be used on."""
    shapes = (shape_of(model.config) for model in catalogue.entries("models").values())
    return next(shape for shape in shapes if kind().supports(shape).ok)


def card(kind: type[Method]) -> dict[str, Any]:
    """What is the same on every model."""
    return {
        "key": kind.key, "title": kind.title, "about": describe.about(kind), "formula": kind.formula,
        "equation": describe.equation(kind), "colour": charts.colour(kind.key),
        "paper": {"text": f"{kind.paper.authors} {kind.paper.year}", "title": kind.paper.title, "link": kind.paper.link},
        "family": kind.family, "composition": kind.composition, "traits": traits(kind), "strengths": kind.strengths, "weaknesses": kind.weaknesses,
        "facts": [{"name": name, "value": value} for name, value in facts(kind)],
    }


def facts(kind: type[Method]) -> list[tuple[str, str]]:
    tokens, shows = kind().virtual_tokens_used(), kind.shots_shown is not Method.shots_shown
    merges = "yes" if kind.merges else "nothing to merge" if kind.latency() == "none" else "no"
    return [
        ("family", FAMILIES[kind.family][0].lower()), ("acts on", COMPOSITIONS[kind.composition][0]), ("can be merged", merges),
        ("when it answers", LATENCY[kind.latency()]), ("on a 4-bit base", "yes" if four_bits(kind) else "no"),
        ("before training", "answers as the base" if kind().starts_as_base() else "answers otherwise than the base"),
        ("places of the window", f"{tokens} by default" if tokens else "those of its examples" if shows else "none"),
    ]


# ── one model ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def on(model: str) -> dict[str, dict[str, Any]]:
    """What each method costs on this model at its defaults, or why it cannot be had."""
    entry = catalogue.find("models", model)
    return {key: cell(kind, entry) | (_price(kind, entry) if cell(kind, entry)["ok"] else {}) for key, kind in catalogue.entries("methods").items()}


def _price(kind: type[Method], model: Model) -> dict[str, Any]:
    """The head, which any method on a model that gives features has as well, is not counted here."""
    spec = RunSpec.parse({"model": model.key, "method": kind.key})
    counts = count(spec.method, spec.shape, 0)
    lines = formula.lines(spec)
    rate = kind.rates[spec.shape.kind]
    return {"count": whole(counts.method), "number": counts.method, "share": percent(counts.method / counts.total), "part": counts.method / counts.total,
            "lines": lines[:-1] if spec.counts.head else lines, "rate": plain(rate.default) if rate.high else "none"}


def _with_rates(price: dict[str, Any], sweep: Sweep | None) -> dict[str, Any]:
    """The usual learning rate, and from how many that were tried on this model it was chosen."""
    if price.get("rate", "none") == "none":
        return price
    many = len(sweep.tried) if sweep else 0
    known = f"chosen from {many} that were tried" if many > 1 else "the only one tried" if many else "an estimate: none was tried here"
    return {**price, "rate": f"{price['rate']} ({known})"}


def cell(kind: type[Method], model: Model) -> dict[str, Any]:
    """Whether this model takes the method, why not, and how that is known: tried on this very model or one of its architecture, or said by the method alone."""
    support = kind().supports(shape_of(model.config))
    if not support.ok:
        return {"ok": False, "reason": _sentence(support.reason), "tried": ""}
    known = _stored().get((kind.key, probing.kin(model) or ""))
    if known and not known.ok and known.how != (probing.DECLARED,):
        return {"ok": False, "reason": _sentence(known.reason), "tried": ""}
    return {"ok": True, "reason": "", "tried": tried(known, model)}


def tried(known: probing.Probed | None, model: Model) -> str:
    if known is None or not known.ok:
        return "By its arithmetic it fits; it has not been tried on a model of this architecture."
    where = "this model" if model.seeded else f"{catalogue.find('models', probing.kin(model)).title.partition(' (')[0]}, a tiny model of the same architecture"
    return f"Tried on {where}, with peft {known.versions['peft']}: {listing([STEPS[step] for step in known.how])}, with the same answers."


@cache
def _stored() -> dict[probing.Pair, probing.Probed]:
    return probing.read(probing.table())


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""
