"""Stack: two or three methods on one frozen model, each where it works: on matrices, behind layers, in front of the text.

    f(x) = f([P ; E(x)]; W + B A, adapters …),  each part as it is alone
"""
import inspect
import json
import linecache
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from textwrap import indent
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from lab import catalogue
from lab.contracts import Base, Format, LabError, Method, Paper, Place, Rate, Shape, Support, Task, explain, knob, shorten

ORDER = ("matrices", "layers", "prompt")  # what is put in first: each finds the module names it knows, and a prompt stands outside all
LIKELY = 1e-3  # the learning rate at which each part learns at its own default


def _kind(method: Method) -> str:
    """Where a part works, or nothing if it cannot be one."""
    alone = method.trains_base or method.fixed or type(method).optimizer is not Method.optimizer
    hooked = any(getattr(type(method), name) is not getattr(Method, name) for name in ("look", "before_step", "after_step"))
    if alone or hooked or method.key == "stack":
        return ""
    if method.format.key == "bottleneck":
        return "layers"
    if method.composition == "input":
        return "prompt" if method.family == "additive" else ""
    return "matrices" if method.format.key == "peft" else ""


def _part(value: Any) -> Method:
    """A method of the catalogue from its dict form or its key."""
    if isinstance(value, Method):
        return value
    value = {"name": value} if isinstance(value, str) else value
    if not isinstance(value, dict) or "name" not in value:
        raise ValueError(f'parts has {shorten(value)}: give each part its name and knobs, like {{"name": "lora", "rank": 8}}')
    try:
        kind = catalogue.find("methods", value["name"])
        return kind.model_validate({key: knob for key, knob in value.items() if key != "name"})
    except ValidationError as error:
        raise ValueError(f'parts, {value["name"]}: {explain(error, kind)}') from None
    except LabError as error:
        raise ValueError(f"parts: {error}") from None


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Part = Annotated[Method, BeforeValidator(_part), PlainSerializer(lambda part: _part(part).written(), return_type=dict[str, Any])]
Parts = Annotated[tuple[Part, ...], BeforeValidator(_as_tuple), Field(min_length=2, max_length=3, json_schema_extra={"choices": "parts"})]


class _OfParts:
    """How the parts lie in a folder: one folder for each. The printed loader is made of the parts' own."""

    def __get__(self, stack: "Stack | None", owner: type) -> Format:
        parts = (owner() if stack is None else stack).ordered()
        return Format(key="stack", save=partial(_save, parts), load=_loader(parts))


class _OnBase:
    """The base in the formats that every part can stand on."""

    def __get__(self, stack: "Stack | None", owner: type) -> bool | tuple[str, ...]:
        claims = [part.quantizable for part in stack.parts] if stack else [True]
        few = [set(claim) for claim in claims if isinstance(claim, tuple)]
        return all(claims) and (tuple(sorted(set.intersection(*few))) if few else True)


class Stack(Method):
    """Use several methods at once, for instance a prompt in front of the text and LoRA in the matrices. Each part is counted and saved apart, and learns at
    its own rate."""

    model_config = ConfigDict(validate_default=True)

    key = "stack"
    title = "Combination"
    paper = Paper("UniPELT: A Unified Framework for Parameter-Efficient Language Model Tuning", "Mao et al.", 2022, "https://arxiv.org/abs/2110.07577")
    formula = "f([P ; E(x)]; W + B A, adapters)"
    family = "additive"
    composition = "function"
    strengths = "Parts that work in different places at once; UniPELT, whose gates are left out here, finds combinations ahead of their parts."
    weaknesses = "More knobs and the costs of all parts together; whether it gains on one part alone has to be shown each time."
    rates = {"encoder": Rate(LIKELY, 3e-4, 3e-3), "decoder": Rate(LIKELY, 3e-4, 3e-3)}
    format = _OfParts()
    quantizable = _OnBase()

    parts: Parts = knob(({"name": "prompt_tuning"}, {"name": "lora"}), "two or three methods: at most one on matrices, one bottleneck and one prompt")

    def ordered(self) -> tuple[Method, ...]:
        return tuple(sorted(self.parts, key=lambda part: ORDER.index(_kind(part)) if _kind(part) else len(ORDER)))

    def attach(self, base: Base) -> Any:
        whole, attached, trained = base.module, [], {}
        for part in self.ordered():
            before = {id(weight) for weight in trained.values()}
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*second time")  # peft warns of what is meant here
                whole = part.attach(base)
            for name, weight in whole.named_parameters():
                if weight.requires_grad:
                    trained[f"{part.key} {name}"] = weight
            own = [weight for weight in whole.parameters() if weight.requires_grad and id(weight) not in before]
            attached.append((part, whole, own, base.shape.kind))
        for weight in trained.values():
            weight.requires_grad_(True)  # a later part froze what an earlier one had put in, as peft does without a word
        _check(attached, base.shape)
        whole.stacked = attached
        return whole

    def places(self, shape: Shape) -> tuple[Place, ...]:
        return tuple(place for part in self.ordered() for place in part.places(shape))

    def suits(self, task: Task) -> Support:
        return next((answer for part in self.parts if not (answer := part.suits(task)).ok), Support(True))

    def supports(self, shape: Shape) -> Support:
        for part in self.parts:
            if not _kind(part):
                return Support(False, f"{part.title} cannot be part of a combination: it trains the model's own weights, or decides something about the whole "
                               "run; parts are LoRA and its like, bottleneck adapters and prompts")
            alone = part.supports(shape)
            if not alone.ok:
                return Support(False, f"{part.title}: {alone.reason}")
        for kind, words in zip(ORDER, ("work on the model's matrices", "are bottleneck adapters", "are prompts"), strict=True):
            twice = [part.title for part in self.parts if _kind(part) == kind]
            if len(twice) > 1:
                return Support(False, f"{' and '.join(twice)} both {words}, so one would stand in the other's place; take one of them")
        return Support(True)

    def starts_as_base(self) -> bool:
        return all(part.starts_as_base() for part in self.parts)

    def virtual_tokens_used(self) -> int:
        return sum(part.virtual_tokens_used() for part in self.parts)

    def penalty(self, module: Any) -> Any:
        found = [penalty for part, whole, *_ in module.stacked if (penalty := part.penalty(whole)) is not None]
        return sum(found) if found else None

    def groups(self, module: Any, lr: float) -> list[dict[str, Any]]:
        """Each part at its own default rate where lr is 1e-3, and at so many times that elsewhere; a part whose tensors learn at several rates keeps them."""
        return [group for part, whole, weights, kind in module.stacked for group in _own(part.groups(whole, lr / LIKELY * part.rates[kind].default), weights)]


def _own(groups: list[dict[str, Any]], weights: list[Any]) -> Iterator[dict[str, Any]]:
    """What a part says of its own tensors: those of the other parts stand in the same model."""
    own = {id(weight) for weight in weights}
    for group in groups:
        kept = [weight for weight in group["params"] if id(weight) in own]
        if kept:
            yield {**group, "params": kept}


def _check(attached: list[tuple[Any, ...]], shape: Shape) -> None:
    for part, _, weights, _ in attached:
        wanted = sum(part.count(shape).values())
        if sum(weight.numel() for weight in weights) != wanted or not all(weight.requires_grad for weight in weights):
            raise LabError(f"{part.title} does not train its {wanted:,} parameters in this combination: leave one part out")


def _folders(parts: tuple[Method, ...]) -> Iterator[str]:
    return (f"{number}_{part.key}" for number, part in enumerate(parts, start=1))


def _save(parts: tuple[Method, ...], module: Any, folder: Path) -> None:
    names = list(_folders(parts))
    for name, (part, whole, *_) in zip(names, module.stacked, strict=True):
        (folder / name).mkdir(parents=True, exist_ok=True)
        part.format.save(whole, folder / name)
    (folder / "stack.json").write_text(json.dumps([{"folder": name, **part.written()} for name, part in zip(names, parts, strict=True)], indent=1))


def _loader(parts: tuple[Method, ...]) -> Any:
    """One function out of the parts' loaders: what a student is shown is what runs."""
    lines, calls = ["def load(model, folder):"], []
    for name, part in zip(_folders(parts), parts, strict=True):
        source = inspect.getsource(part.format.load).replace("def load(", f"def load_{part.key}(", 1)
        lines.append(indent(source, "    ").rstrip() + "\n")
        calls.append(f'    whole = load_{part.key}(model, f"{{folder}}/{name}")')
    lines += ["    # each puts its part into the model itself; what the last one gives is asked", *calls, "    return whole\n"]
    source = "\n".join(lines)
    file = f"<loader of {', '.join(part.key for part in parts)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)  # so that its source can be printed
    found: dict[str, Any] = {}
    exec(compile(source, file, "exec"), found)
    return found["load"]


entry = Stack
