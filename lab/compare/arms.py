"""Arms that are often wanted, and what two arms differ in."""
from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from lab.compare.comparison import Arm, Comparison, default_rate, follows
from lab.compare.paired import FEWEST
from lab.compare.says import named
from lab.contracts import LabError, Method, number
from lab.spec import RunSpec

SUSPECTS = (("lora",), ("prompt_tuning",), ("pfeiffer", "houlsby"), ("bitfit", "ia3"), ("head",), ("full",))  # the first of each that the model takes
WORDS = {"lr": "learning rate", "dtype": "number format", "tokens": "longest text", "clip": "gradient clipping"}
UNSEEN = ("method", "seed", "eval_every")  # told apart, shared, and without a say in what is learned


def usual_suspects(model: str, task: str | None = None) -> tuple[Arm, ...]:
    """One method of each sort that the model takes, each at its own defaults. Raises LabError for a model or a task that there is not."""
    task = RunSpec.parse({"model": model, "task": task, "method": "full"}).task
    chosen = (next((method for key in keys if (method := _fitting(model, task, key)) is not None), None) for keys in SUSPECTS)
    return tuple(Arm(name=method.title, change={"method": method.key}) for method in chosen if method is not None)


def _fitting(model: str, task: str | None, key: str) -> Method | None:
    try:
        return RunSpec.parse({"model": model, "task": task, "method": key}).method
    except LabError:
        return None


def swept(base: RunSpec, knob: str, values: Iterable[Any]) -> tuple[Arm, ...]:
    """An arm for each value of one knob, of the method or of the run. Raises LabError for a knob that neither has; a value out of bounds is told where
    the comparison is made."""
    knobs, keys = type(base.method).model_fields, set(RunSpec.model_fields) - {"model", "task", "method", "seed"}
    if knob not in knobs and knob not in keys:
        raise LabError(f'unknown knob "{knob}": {base.method.title} has {", ".join(knobs) or "none"}, a run has {", ".join(sorted(keys))}')
    return tuple(Arm(name=f"{_word(knob)} {_said(value)}", change={"method": {knob: value}} if knob in knobs else {knob: value}) for value in values)


def copied(arm: Arm, names: Collection[str]) -> Arm:
    """The same under a name that none of `names` is."""
    stem = arm.name[:54]
    return arm.model_copy(update={"name": next(name for number in range(2, len(names) + 3) if (name := f"{stem} {number}") not in names)})


def base_of(spec: RunSpec) -> dict[str, Any]:
    """A spec in short, for `base`: without its seed, and without everything that it would have anyway."""
    short = {key: value for key, value in spec.to_dict().items() if key != "seed" and value is not None}
    short["method"] = {knob: value for knob, value in short["method"].items() if knob == "name" or value != type(spec.method)().settings()[knob]}
    for key in [key for key in short if key not in ("model", "method")]:
        fewer = {other: value for other, value in short.items() if other != key}
        if RunSpec.parse(fewer | {"seed": spec.seed}) == spec:
            short = fewer
    return short


def differences(one: RunSpec, other: RunSpec) -> tuple[list[str], list[str]]:
    """What two specs differ in, each thing once; and what follows from it, in words, about the second. Another method is one thing, with its knobs and
    what it fixes; its own learning rate follows from it. An alpha that keeps its ratio to the rank follows from the rank."""
    things, notes = [], []
    same = one.method.key == other.method.key
    if not same:
        things.append("method")
    else:
        mine, theirs = one.method.settings(), other.method.settings()
        things += [_word(knob) for knob in mine if mine[knob] != theirs[knob]]
        if {"rank", "alpha"} <= set(things) and mine["alpha"] * theirs["rank"] == theirs["alpha"] * mine["rank"]:
            things.remove("alpha")
            notes.append(f"alpha is {number(theirs['alpha'])}, not {number(mine['alpha'])}: it follows the rank, alpha / rank stays "
                         f"{number(theirs['alpha'] / theirs['rank'])}")
    fixed = set() if same else {*one.method.fixed, *other.method.fixed}
    for key in RunSpec.model_fields:
        mine, theirs = getattr(one, key), getattr(other, key)
        if key in UNSEEN or mine == theirs:
            continue
        if key in fixed:
            notes.append(f"{_word(key)} is {_said(theirs)}, not {_said(mine)}: it follows from the method")
        elif key == "lr" and (not same or one.model != other.model) and follows(one) and follows(other):
            notes.append(f"the learning rate is {number(theirs)}, the default of {other.method.title}, not {number(mine)}")
        else:
            things.append(_word(key))
    if not same and one.lr == other.lr and not follows(other):
        notes.append(f"the learning rate {number(other.lr)} was chosen for all methods; the default of {other.method.title} is "
                     f"{number(default_rate(other))}")
    return things, notes


def in_common(comparison: Comparison) -> tuple[list[str], list[str]]:
    """What all arms will get alike in each seed, and what they will not, as far as their settings decide it: as the report finds it afterwards."""
    def apart(spec: RunSpec) -> dict[str, Any]:
        texts = (spec.task, spec.train_items, spec.shuffle_labels)
        return {"weights": spec.model, "texts to learn from": texts, "data order": (spec.model, spec.batch, spec.tokens, *texts),
                **({} if spec.shape.writes else {"head": (spec.shape.width, spec.labels)}), "test items": comparison.base_spec.eval_items}

    found = [apart(spec) for spec in comparison.specs.values()]
    parts = list(dict.fromkeys(part for each in found for part in each))
    same = [part for part in parts if len({each.get(part) for each in found}) == 1]
    return same, [part for part in parts if part not in same]


def blurred(one: str, other: str, things: list[str]) -> str:
    """Why a gap between two arms shows no cause, where they differ in more than one thing; else nothing."""
    if len(things) < 2:
        return ""
    return (f"{named(one)} and {named(other)} differ in {len(things)} things at once ({', '.join(things)}): a gap between them cannot be laid to one of "
            "these")


def warnings(comparison: Comparison) -> list[str]:
    """What can be said of a comparison before anything runs."""
    base, specs = comparison.base_spec, comparison.specs
    found = [blurred(name, "the base", differences(base, spec)[0]) for name, spec in specs.items()]
    first: dict[str, str] = {}
    for name, spec in specs.items():
        if first.setdefault(spec.fingerprint, name) != name:
            found.append(f"{named(name)} is the same run as {named(first[spec.fingerprint])}: it is run once, and they cannot differ")
    if len(comparison.seeds) < FEWEST:
        found.append(f"with {len(comparison.seeds)} of at least {FEWEST} seeds no verdict can be given: a difference may be the luck of the draw")
    return [warning for warning in found if warning]


def _word(key: str) -> str:
    return WORDS.get(key, key.replace("_", " "))


def _said(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else "none" if value is None else str(value)
