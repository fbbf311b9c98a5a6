"""What the tab can be asked about: models, methods, GPUs, settings with their terms explained, and the papers' worked examples."""
from __future__ import annotations

from functools import cache
from typing import Any

from lab import catalogue, describe
from lab.accounting.devices import GB, GPUS
from lab.accounting.energy import GRIDS
from lab.accounting.papers import Example, examples
from lab.accounting.presets import presets
from lab.accounting.shapes import shape_of
from lab.classroom.offer import ALL, Offer
from lab.contracts import Method, Shape
from lab.ui import charts
from lab.ui.controls import label
from lab.ui.formula import ROLE_WORDS
from lab.ui.memory.asked import MOST_METHODS, SHARED, Chosen
from lab.ui.wording import percent, size, whole

FIRST = {"model": {"preset": "llama-2-7b"}, "methods": [{"name": name} for name in ("full", "lora", "qlora", "prompt_tuning")]}
FAMILY = {"additive": "Additive", "reparameterised": "Reparameterised", "selective": "Selective", "none": "Nothing trained"}
TERMS = {
    "weights": "all numbers of the model, trained or not",
    "gradients": "one number for each trained parameter: which way it should move",
    "optimizer": "what the optimizer remembers of each trained parameter; AdamW keeps two numbers",
    "activations": "what the forward pass keeps, because the backward pass will need it",
    "temporary": "needed for a moment only",
}
LARGEST = {"weights": "weights", "gradients": "gradients", "optimizer": "optimizer states", "activations": "activations", "temporary": "temporary tensors"}
CHOICES = {
    "dtype": (("bfloat16", "16 bits (bfloat16)"), ("float32", "32 bits (float32)"), ("auto", "as this lab would choose")),
    "optimizer": (("adamw_fused", "AdamW, fused"), ("adamw", "AdamW, plain loop"), ("adamw_foreach", "AdamW, foreach"), ("adamw_8bit", "AdamW, 8-bit states"),
                  ("paged_adamw_8bit", "AdamW, 8-bit and paged"), ("adafactor", "Adafactor"), ("sgd", "SGD, no states")),
    "quantization": (("", "its number format"), ("nf4_double", "4 bits: NF4, scales quantised too"), ("nf4", "4 bits: NF4"), ("fp4", "4 bits: FP4"),
                     ("int8", "8 bits: int8")),
    "attention": (("auto", "the model's usual one"), ("sdpa", "one operation, keeps no scores"), ("eager", "written out, keeps its scores")),
    "adapter_dtype": (("auto", "32 bits, as peft does"), ("bfloat16", "16 bits"), ("float32", "32 bits")),
}
HELP = {
    "batch": "Texts that go through the model together in one step.", "tokens": "Length of each text; activations grow with it.",
    "device": "The lines in the picture are GPUs; this one decides what fits. Its memory is what matters, not its speed.",
    "dtype": "How many bits a number of the model has.", "optimizer": "The rule that moves the trained parameters, and what it remembers of each.",
    "quantization": "Keep the frozen base in fewer bits. Only for methods that do not train it.",
    "checkpointing": "Keep only what enters a block and compute the rest again in the backward pass: less memory, about a third more time.",
    "attention": "Attention written out keeps a table of scores, tokens x tokens for each head.",
    "adapter_dtype": "How many bits a new, trained number has.",
}
NAMES = {"batch": "Texts in a step (batch)", "tokens": "Tokens in a text", "dtype": "Number format", "optimizer": "Optimizer", "quantization": "Frozen base in",
         "checkpointing": "Recompute activations (checkpointing)", "attention": "Attention", "adapter_dtype": "New weights in", "device": "GPU"}
RATIOS = {"batch": (1, 256), "tokens": (8, 4096)}
WORDS = {"": "✓ follows", "contradiction": "≠ does not follow", "rounding": "≈ round figures", "no_formula": "? no formula given"}  # of a paper's number
KNOBS = ("rank", "virtual_tokens", "bottleneck", "targets", "layers", "dropout")  # of a method, those that memory depends on


def menus(offer: Offer = ALL) -> dict[str, Any]:
    """All that the page needs before it asks for anything; of the lab's own models and methods those that it offers."""
    whole = everything()
    methods = offer.only("methods", whole["methods"])
    own = [{**group, "models": [each for each in group["models"] if "lab" not in each["value"] or offer.has("models", each["value"]["lab"])]}
           for group in whole["models"]]
    first = [each for each in FIRST["methods"] if offer.has("methods", each["name"])] or [{"name": methods[0]["key"]}]
    return {**whole, "methods": methods, "models": [group for group in own if group["models"]], "first": {**FIRST, "methods": first}}


@cache
def everything() -> dict[str, Any]:
    kinds = catalogue.entries("methods").values()
    gpus = [{"key": gpu.key, "title": f"{gpu.key.removeprefix('NVIDIA ')}, {gpu.bytes // GB} GB"} for gpu in GPUS]
    return {
        "models": models(), "devices": [*gpus, {"key": "cpu", "title": "none: on a CPU"}],
        "methods": [{"key": kind.key, "title": kind.title, "family": FAMILY[kind.family], "fixed": list(kind.fixed)}
                    for kind in sorted(kinds, key=lambda kind: (list(FAMILY).index(kind.family), kind.title.lower()))],
        "parts": [{"name": part, "colour": charts.PARTS[part], "about": about} for part, about in TERMS.items()],
        "knobs": [{"name": name, "label": NAMES[name], "help": HELP[name], "choices": list(map(list, choices))} for name, choices in CHOICES.items()],
        "grids": [[grid, f"{grid:g}: {of}"] for grid, of in GRIDS], "names": NAMES, "help": HELP, "sizes": RATIOS, "shared": SHARED,
        "first": FIRST, "most": MOST_METHODS, "examples": [example(each) for each in examples()],
    }


def models() -> list[dict[str, Any]]:
    """Groups for the menu: the lab's own models, which can be trained here, then well-known ones by family."""
    own = [{"value": {"lab": row["key"]}, **about(catalogue.find("models", row["key"]).config, row["title"].partition(" (")[0], own=row["defaults"])}
           for row in describe.catalogue_rows("models")]
    groups: dict[str, list[dict[str, Any]]] = {}
    for each in presets():
        groups.setdefault(each.family, []).append({"value": {"preset": each.key}, **about(each.config, each.title)})
    return [*({"group": family, "models": found} for family, found in groups.items()), {"group": "Of this lab, can be trained here", "models": own}]


def about(config: Any, title: str, own: Any = None) -> dict[str, Any]:
    shape = shape_of(config)
    return {"title": title, "numbers": parameters(shape.total), "suits": suits(shape, own), "images": shape.kind == "vision"}


def suits(shape: Shape, own: Any = None) -> dict[str, Any]:
    """Sizes of a step to begin with: the lab's own models are trained on a CPU, as they are by default."""
    room = max(8, shape.positions - 32)  # a method's own tokens need places too
    if own is not None:
        return {"batch": own.get("batch", 16), "tokens": min(own.get("tokens", 64), room), "device": "cpu", "dtype": "auto"}
    batch, tokens = (4, 512) if shape.writes else (16, 128)
    return {"batch": batch, "tokens": min(tokens, room), "device": SHARED["device"], "dtype": SHARED["dtype"]}


def parameters(count: int) -> str:
    """69 T, 7 B, 125 M"""
    for unit, worth in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if count >= worth:
            value = count / worth
            return f"{value:.0f} {unit}" if value >= 9.95 else f"{value:.1f} {unit}"
    return str(count)


def described(model: Chosen) -> dict[str, Any]:
    """A model that was pasted, in the words of the menu."""
    shape = model.shape
    return {"title": model.title, "numbers": parameters(shape.total), "suits": suits(shape), "images": shape.kind == "vision",
            "about": f"{whole(shape.total)} parameters in {shape.layers} blocks of width {shape.width:,}."}


def knobs(method: Method, shape: Shape) -> list[dict[str, Any]]:
    """The method's own settings that its memory depends on."""
    found = {knob["name"]: knob for knob in describe.knobs(type(method)) if knob["name"] in KNOBS}
    roles = [linear.role for linear in shape.linears if linear.layer is not None]
    offered = [[role, ROLE_WORDS[role]] for role in dict.fromkeys(roles) if role in ROLE_WORDS]
    values = method.model_dump(mode="json")
    if "targets" in values:
        values["targets"] = [role for role, _ in offered if role in {linear.role for linear in shape.select(values["targets"])}]
    return [{"name": name, "label": label(name), "value": values[name], "help": found[name]["help"][:1].upper() + found[name]["help"][1:] + ".",
             "kind": "targets" if name == "targets" else found[name]["type"], "choices": offered if name == "targets" else []}
            for name in KNOBS if name in found]


# ── worked examples ───────────────────────────────────────────────────────────────────────────────────────────────────


def example(each: Example) -> dict[str, Any]:
    """With its numbers as people write them. How a paper's number departs from the computed one is said."""
    steps = [{"text": text, "value": number(value)} for text, value in each.steps]
    unit = each.as_printed.partition(" ")[2]
    return {"key": each.key, "title": each.title, "source": each.source, "formula": each.formula, "steps": steps,
            "result": f"{number(each.result)} {unit}".strip(), "printed": each.as_printed, "follows": each.follows, "departs": each.departs, "word": word(each),
            "verdict": verdict(each), "remark": each.remark,
            "model": {"preset": each.model} if each.model else None, "method": each.method}


def word(each: Example) -> str:
    if each.limit:
        return "✓ fits" if each.follows else "≠ does not fit"
    return WORDS[each.departs]


def verdict(each: Example) -> str:
    if each.limit:
        room = each.printed - each.result
        return f"It fits: {number(room)} GB are left." if each.follows else f"It does not fit: {number(-room)} GB too much."
    if each.follows:
        return "The printed number follows from the formula."
    off = f"{percent(abs(each.difference))} {'more' if each.difference > 0 else 'less'}"
    match each.departs:
        case "rounding":
            return f"The paper names it in round figures, which are {off}."
        case "no_formula":
            return f"The source gives no formula for it: the printed number is {off} than the count made here."
        case _:
            return f"The printed number does not follow from the paper's own formula: it is {off}."


def number(value: float) -> str:
    return whole(value) if float(value).is_integer() else f"{value:,.3g}" if abs(value) < 100 else f"{value:,.1f}"


def bytes_said(amount: float) -> str:
    return f"{amount / 1e12:.2f} TB" if amount >= 0.9995e12 else size(amount)
