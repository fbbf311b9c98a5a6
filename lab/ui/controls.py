"""From knobs to a form: every control with its label, help, limits and default, described as plain values that the page draws."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from lab import catalogue, describe
from lab.contracts import ROLES, LabError, Method, Shape, listing
from lab.spec import RunSpec, formats_of_base
from lab.sweeping import Sweep
from lab.ui.formula import ROLE_WORDS
from lab.ui.wording import plain, seconds

LABELS = {
    "lr": "Learning rate", "virtual_tokens": "Virtual tokens", "eval_every": "Steps between looks", "eval_items": "Test texts", "train_items": "Training texts",
    "tokens": "Longest text", "clip": "Gradient clipping", "dtype": "Number format", "adapter_dtype": "Number format of trained parts",
    "shuffle_labels": "Shuffle the labels", "checkpointing": "Recompute activations", "init": "Start values", "batch": "Batch size",
    "weight_decay": "Weight decay", "warmup": "Warm-up", "text": "Words to start from",
    "quantization": "Frozen base in fewer bits", "mistake": "A mistake on purpose",
}
FORMATS = {None: "no", "nf4": "4 bits (NF4)", "nf4_double": "4 bits (NF4), scales rounded too", "fp4": "4 bits (FP4)", "int8": "8 bits"}
MISTAKES = {None: "none", "other_wording": "ask in another wording", "fresh_adapter": "attach a fresh adapter"}
ONLY = {"text": ("init", "text"), "chosen": ("which", "chosen")}  # knobs that count only where another one has a value
STACKS = (("prompt_tuning", "lora"), ("prompt_tuning", "houlsby"), ("ia3", "houlsby"), ("houlsby", "lora"), ("prompt_tuning", "houlsby", "lora"))
FAMILIES = {
    "additive": "Additive: new parts are put in", "reparameterised": "Reparameterised: the change is written smaller",
    "selective": "Selective: some of the model's own weights", "none": "Nothing is trained",
}
MAIN = ("steps", "lr", "batch", "seed")  # the other settings of a run are folded away
HIDDEN = ("model", "task", "method", "device", "tested_on")  # chosen above, or not offered yet
DECADES = (1, 3)
HOW_FAR = "How far one step moves the trained weights."
LONG_SECONDS = 90  # a run that takes longer says so


def form(model: str, method: str, task: str | None = None, sweeps: Mapping[tuple[str, str], Sweep] = MappingProxyType({})) -> dict[str, Any]:
    """All controls below the choice of model, task and method. Raises LabError for what does not go together."""
    kind = catalogue.find("methods", method)
    spec = defaults(model, method, task)
    knobs = [_knob(knob, spec) for knob in describe.knobs(kind)]
    settings = [_setting(name, spec) for name in RunSpec.model_fields if name not in HIDDEN]
    if (model, method) in sweeps:
        next(each for each in settings if each["name"] == "lr").update(measured(sweeps[model, method], spec))
    return {
        "model": model, "method": method, "task": spec.task, "about": describe.about(kind), "title": kind.title, "formula": kind.formula,
        "paper": {"text": f"{kind.paper.authors} {kind.paper.year}", "title": kind.paper.title, "link": kind.paper.link},
        "knobs": [knob for knob in knobs if not knob["advanced"]],
        "settings": sorted((each for each in settings if each["name"] in MAIN), key=lambda each: MAIN.index(each["name"])),
        "advanced": [*(knob for knob in knobs if knob["advanced"]), *(each for each in settings if each["name"] not in MAIN)],
    }


def measured(sweep: Sweep, spec: RunSpec) -> dict[str, Any]:
    """What the learning rate says of itself where some were tried on this model: a band only where enough of them were. `more` stands in a fold."""
    tried, many = sweep.at(spec.lr), len(sweep.tried)
    where = f"{sweep.steps} steps on {catalogue.find('tasks', sweep.task).title.lower()}"
    score = f" It scored {tried.score:.2f} ± {tried.se:.2f} on validation texts, {_against(sweep)}." if tried and tried.score is not None else ""
    if not sweep.learns:
        said = _unlearned(sweep, where)
    elif many == 1:
        said = f"No other rate than {plain(sweep.tried[0].lr)} was tried on this model, for {where}.{score}"
    else:
        said = f"{plain(spec.lr)} was chosen from {many} that were tried, each for {where}.{score}"
    band = sweep.good
    tinted = _tinted(sweep, band) if band else ""
    more = (_each(sweep), "Only this rate was swept: the other knobs have usual values, which no sweep chose", *filter(None, [tinted]))
    return {"band": list(band) if band else None, "band_says": tinted, "more": f"{'. '.join(more)}.",
            "help": " ".join((HOW_FAR, said, *_slow(sweep), *_head(spec)))}


def _against(sweep: Sweep) -> str:
    untouched = f", the untouched model {sweep.base:.2f}" if sweep.base is not None else ""
    return f"naming the larger class {sweep.majority:.2f}{untouched}"


def _unlearned(sweep: Sweep, where: str) -> str:
    """That nothing tried is clearly better than what is had without training."""
    one, best = len(sweep.tried) == 1, sweep.best
    who = f"The one rate that was tried, {plain(sweep.tried[0].lr)}," if one else f"None of the {len(sweep.tried)} rates that were tried"
    got = f": {'it scored' if one else 'the best scored'} {best.score:.2f} ± {best.se:.2f} there" if best else ""
    if sweep.base is not None and sweep.base >= sweep.majority:
        clear = f", and a lead is clear from {sweep.margin:.2f} on" if best else ""
        untouched = f"the untouched model ({sweep.base:.2f} on the same validation texts)"
        return f"{who} {'cannot' if one else 'can'} be told from {untouched} within {where}{got}{clear}."
    return (f"{who} {'does not beat' if one else 'beats'} the larger class ({sweep.majority:.2f}) within {where}{got}; "
            "this method needs more steps than that, or another model.")


def _tinted(sweep: Sweep, band: tuple[float, float]) -> str:
    reach = f"from {plain(band[0])} to {plain(band[1])}" if band[1] > band[0] else f"{plain(band[0])} alone"
    return (f"Tinted: {reach}, the best of the {len(sweep.tried)} that were tried and its neighbours that lose at most 2 points against it, "
            "or its standard error where that is more")


def _each(sweep: Sweep) -> str:
    """Tried: 0.0003 (0.79) and 0.001 (0.81) in bfloat16; 0.01 (failed) in float32."""
    formats = dict.fromkeys(each.dtype for each in sweep.tried)
    groups = []
    for dtype in formats:
        rates = listing([f"{plain(each.lr)} ({'failed' if each.score is None else f'{each.score:.2f}'})" for each in sweep.tried if each.dtype == dtype])
        groups.append(f"{rates} in {dtype}" if dtype else rates)
    return f"Tried: {'; '.join(groups)}"


def _slow(sweep: Sweep) -> Iterator[str]:
    """How long it takes, where that is longer than one waits. Machines had other work as well, so the quickest of the runs says most."""
    quickest = sweep.quickest
    if quickest and quickest.seconds > LONG_SECONDS:
        threads = f", {quickest.threads} {'thread' if quickest.threads == 1 else 'threads'}" if quickest.threads else ""
        of = "The quickest of these runs" if len(sweep.tried) > 1 else "That run"
        yield (f"{of} took {seconds(quickest.seconds)} when it was recorded ({quickest.dtype}{threads}, perhaps beside other work), so one may take "
               f"longer than {seconds(LONG_SECONDS)} here.")


def _head(spec: RunSpec) -> Iterator[str]:
    if spec.counts.head and spec.method.head_rate(1.0) == spec.method.head_rate(2.0):
        yield f"The new head has a rate of its own, {plain(spec.method.head_rate(spec.lr))}."


def defaults(model: str, method: str, task: str | None = None) -> RunSpec:
    """What is run where nothing was changed; a method whose own defaults do not suit the model says so."""
    return RunSpec.parse({"model": model, "method": {"name": method}, **({"task": task} if task else {})})


def catalogues() -> dict[str, Any]:
    """What the three menus offer."""
    models = [{key: row[key] for key in ("key", "title", "kind", "seeded", "licence")}
              | {"about": f"{row['about']} {row['origin']}", "task": _usual_task(row["key"])}
              for row in describe.catalogue_rows("models")]
    tasks = [{key: row[key] for key in ("key", "title", "about", "rule", "licence", "source")}
             | {"unfit": {model: fits["reason"] for model, fits in row["fits"].items() if not fits["ok"]}} for row in describe.catalogue_rows("tasks")]
    methods = [{"key": row["key"], "title": row["title"], "family": FAMILIES[row["family"]], "supports": _reasons(row)}
               for row in describe.catalogue_rows("methods")]
    order = list(FAMILIES.values())
    return {"models": models, "tasks": tasks, "methods": sorted(methods, key=lambda row: order.index(row["family"]))}


def _reasons(row: Mapping[str, Any]) -> dict[str, str]:
    """{model: why not}; a model that is not in it can be used."""
    return {model: answer["reason"] for model, answer in row["supports"].items() if not answer["ok"]}


def _usual_task(model: str) -> str:
    return catalogue.find("models", model).defaults.get("task", "movies")


def _knob(knob: Mapping[str, Any], spec: RunSpec) -> dict[str, Any]:
    shape, name = spec.shape, knob["name"]
    low, high = knob["low"], knob["high"]
    if name == "layers":  # a method cannot reach more blocks than there are
        high = min(high or shape.layers, shape.layers)
    usual = spec.method.model_dump(mode="json")[name]
    if name == "text" and spec.task and spec.goal.start:
        usual = spec.goal.start
    return _control(name, _kind(knob), usual, low, high, _choices(knob, shape), knob["help"],
                    small=f"peft: {knob['peft']}" if knob["peft"] else "", advanced=knob["advanced"], part="method")


def _kind(knob: Mapping[str, Any]) -> str:
    if knob["choices"]:
        return "choice"
    if knob["of"] == "parts":
        return "parts"
    return {"array": "targets", "integer": "whole", "number": "number", "boolean": "switch"}.get(knob["type"], "text")


def _choices(knob: Mapping[str, Any], shape: Shape) -> list[list[str]]:
    if knob["choices"]:
        return [[str(choice), str(choice).replace("_", " ")] for choice in knob["choices"]]
    if knob["of"] == "parts":
        return [["+".join(names), " and ".join(catalogue.find("methods", name).title for name in names)] for names in STACKS if _stands(names, shape)]
    if knob["type"] == "array":
        here = {linear.role for linear in shape.linears if linear.layer is not None}
        return [[role, ROLE_WORDS[role]] for role in ROLES if role in here]
    return []


def _stands(names: tuple[str, ...], shape: Shape) -> bool:
    return catalogue.find("methods", "stack").model_validate({"parts": names}).supports(shape).ok


def _setting(name: str, spec: RunSpec) -> dict[str, Any]:
    field, about = RunSpec.model_fields[name], RunSpec.model_json_schema()["properties"][name]
    variants = [about, *about.get("anyOf", [])]
    found = {key: next((variant[key] for variant in variants if key in variant), None) for key in ("type", "enum", "minimum", "maximum")}
    kind = "choice" if found["enum"] else {"integer": "whole", "number": "number", "boolean": "switch"}[found["type"]]
    choices: list[list[Any]] = [[value, value.replace("_", " ")] for value in found["enum"] or ()]
    low = 1 if name == "steps" and "steps" not in spec.method.fixed else found["minimum"]
    control = _control(name, kind, getattr(spec, name), low, found["maximum"], choices, field.description or "", small=name, part="run")
    control["optional"] = any(variant.get("type") == "null" for variant in variants)
    if name == "quantization":
        control |= _formats(spec.method, control["help"])
    if name == "mistake":
        control["choices"] = [[value, words] for value, words in MISTAKES.items()]
    if name in spec.method.fixed:
        control |= {"fixed": True, "help": f"{spec.method.title} fixes this."}
    if name == "lr":
        rate, title = spec.method.rates[spec.shape.kind], spec.method.title
        if rate.high:
            control["band"] = [rate.low, rate.high]
            control["band_says"] = f"Tinted: from {plain(rate.low)} to {plain(rate.high)}, where {title} usually learns; an estimate, not measured here"
            control["help"] = f"{HOW_FAR} {title} usually learns between {plain(rate.low)} and {plain(rate.high)}: an estimate."
        control["help"] = " ".join((control["help"], *_head(spec)))
    if spec.shape.kind == "vision":
        control |= {part: control[part].replace("text", "image") for part in ("label", "help")}
    return control


def _formats(method: Method, help: str) -> dict[str, Any]:
    """What the base may be kept in, and a reason where that is not all there is."""
    formats, reason = formats_of_base(method)
    reason = reason.replace(f"method {method.key}", "this method")
    choices = [[value, words] for value, words in FORMATS.items() if value is None or value in formats]
    return {"choices": choices, "fixed": not formats, "help": f"{help} {_sentence(reason)}" if reason and formats else _sentence(reason) or help}


def _control(name: str, kind: str, default: Any, low: float | None, high: float | None, choices: list[list[str]], help: str, *,
             small: str = "", advanced: bool = False, part: str) -> dict[str, Any]:
    words = label(name)
    return {"name": name, "part": part, "label": words, "small": small if small != words.lower() else "", "kind": kind, "default": default,
            "low": low, "high": high, "choices": choices, "help": _sentence(help), "advanced": advanced,
            "marks": marks(kind, low, high, default), "optional": False, "fixed": False,
            "only": ONLY.get(name) if part == "method" else None, "band": None, "band_says": "", "more": ""}


def label(name: str) -> str:
    return LABELS.get(name) or name.replace("_", " ").capitalize()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""


def marks(kind: str, low: float | None, high: float | None, default: Any) -> list[float]:
    """Where a slider stops: each value of a short range, powers of two of a long one, a 1-3-10 ladder for a learning rate."""
    if kind == "whole" and low is not None and high is not None:
        if high - low <= 24:
            return list(range(int(low), int(high) + 1))
        if high > 5000:
            return []
        ladder = _ladder(high) if high > 512 else [2**power for power in range(14)]
        return sorted({value for value in (low, *ladder, default or low) if low <= value <= high})
    if kind == "number" and low == 0 and high is not None:
        if high <= 1:
            return [step / 20 for step in range(21) if step / 20 <= high]
        if high == 100:  # a learning rate
            ladder = [digit * 10.0**power for power in range(-6, 1) for digit in DECADES]
            return sorted({round(value, 8) for value in (*ladder, default)})
        return sorted({value for value in (0, *(2.0**power for power in range(13)), default) if value <= high})
    return []


def _ladder(high: float) -> list[int]:
    return [digit * 10**power for power in range(5) for digit in (1, 2, 3, 5) if digit * 10**power <= high]


def parse(draft: Any, made: Callable[[Mapping[str, Any]], RunSpec] = RunSpec.parse) -> RunSpec:
    """What a browser sends becomes a spec, or a LabError in words: limits are enforced here, not in the form."""
    if not isinstance(draft, Mapping) or not isinstance(draft.get("model"), str):
        raise LabError("the form sent no model: load the page again")
    spec = made(draft)
    spec.base, spec.goal  # noqa: B018  both raise for what cannot be run
    if spec.goal.gone:
        raise LabError(f"task is gone: {spec.goal.gone}")
    return spec
