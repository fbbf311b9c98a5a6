"""What the arms of a comparison vary: one number that is swept, the format of the base, the method, or some choice. Which figure it asks for follows.

Read from the arms' settings and never from a name, so a sweep of one's own is drawn as a ready one is.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.compare.arms import UNSEEN, WORDS
from lab.compare.comparison import Comparison, follows
from lab.spec import RunSpec

FEWEST = 3  # values behind a line
MOST_ALONE = 3  # arms beside it, drawn as levels
RUN = ("steps", "batch", "tokens", "lr", "warmup", "weight_decay", "clip", "train_items")
CHOICES = ("method.wording",)  # numbers that are names
MODEL = "model"  # swept by its size
GROUPS = ("Which method?", "How much of it?", "Which form of it?", "Data, steps and learning rate", "The base model", "Beyond the trained task",
          "Prompts without training")


@dataclass(frozen=True)
class Series:
    """Arms that differ in the swept number alone, by its value; None is a number of texts that only a run knows: all of them."""

    name: str  # what tells it from other series; "" where there is one
    points: tuple[tuple[str, float | None], ...]  # (arm, value)


@dataclass(frozen=True)
class Swept:
    """`word` names the number for an axis; `alone` are arms without it or with nothing to be joined to."""

    key: str
    word: str
    series: tuple[Series, ...]
    alone: tuple[str, ...]


def swept(comparison: Comparison) -> Swept | None:
    """The number that is swept: the one that joins most arms into lines. None where no line has three values, or too many arms stand beside it."""
    flat = {name: _flat(spec) for name, spec in comparison.specs.items()}
    keys = dict.fromkeys(key for each in flat.values() for key, value in each.items() if _number(key, value))
    found = [each for key in keys if (each := _by(key, flat, comparison.specs)) is not None]
    return min(found, key=lambda each: (len(each.alone), len(each.series)), default=None)


def strands(comparison: Comparison) -> list[tuple[str, ...]]:
    """Arms of one method that differ in one number, in its order: longest first, and no arm in two."""
    flat = {name: _flat(spec) for name, spec in comparison.specs.items()}
    keys = dict.fromkeys(key for each in flat.values() for key, value in each.items() if key != MODEL and _number(key, value))
    rows = []
    for key in [*keys, *(["lr"] if "lr" not in keys else [])]:
        sorts: dict[Any, list[tuple[float, str]]] = {}
        for name, each in flat.items():
            value = _value(key, comparison.specs[name]) if key in each else None
            if value is not None:
                sorts.setdefault((comparison.specs[name].method.key, _rest(each, key)), []).append((value, name))
        rows += [sorted(points) for points in sorts.values() if len({value for value, _ in points}) == len(points) > 1]
    found: list[tuple[str, ...]] = []
    for points in sorted(rows, key=len, reverse=True):
        names = tuple(name for _, name in points)
        if not any(name in other for other in found for name in names):
            found.append(names)
    return found


def _rest(flat: Mapping[str, Any], key: str) -> tuple[tuple[str, Any], ...]:
    """All other settings. Alpha stays, or keeps its ratio to the rank: no second thing."""
    beside = {key, *(("method.alpha",) if key == "method.rank" else ())}
    return tuple((other, value) for other, value in flat.items() if other not in beside)


def _flat(spec: RunSpec) -> dict[str, Any]:
    """Every setting that decides what is learned. A learning rate that follows the method is none of its own."""
    knobs = {f"method.{key}": _still(value) for key, value in spec.method.settings().items()}
    run = {key: _still(getattr(spec, key)) for key in RunSpec.model_fields if key not in (*UNSEEN, MODEL)}
    if follows(spec):
        run["lr"] = "its own"
    return {MODEL: spec.model, **knobs, **run}


def _still(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _number(key: str, value: Any) -> bool:
    if key == MODEL:
        return True
    return key not in CHOICES and (key.startswith("method.") or key in RUN) and isinstance(value, int | float) and not isinstance(value, bool)


def _by(key: str, flat: Mapping[str, Mapping[str, Any]], specs: Mapping[str, RunSpec]) -> Swept | None:
    sorts: dict[Any, dict[str, float | None]] = {}
    alone = []
    for name, each in flat.items():
        if key not in each:
            alone.append(name)
            continue
        sorts.setdefault(_rest(each, key), {})[name] = _value(key, specs[name])
    lines = []
    for points in sorts.values():
        if len(points) == 1:
            alone += points
        elif len(set(points.values())) < len(points):
            return None
        else:
            lines.append(points)
    if not any(len(points) >= FEWEST for points in lines) or len(alone) > MOST_ALONE:
        return None
    names = _names([specs[next(iter(points))] for points in lines])
    series = tuple(Series(name, tuple(sorted(points.items(), key=_largest_last))) for name, points in zip(names, lines, strict=True))
    return Swept(key.removeprefix("method."), _word(key), series, tuple(name for name in flat if name in alone))


def _largest_last(point: tuple[str, float | None]) -> tuple[bool, float]:
    return point[1] is None, point[1] or 0.0


def _value(key: str, spec: RunSpec) -> float | None:
    if key == MODEL:
        return spec.shape.total
    return spec.method.settings()[key.removeprefix("method.")] if key.startswith("method.") else getattr(spec, key)


def _names(firsts: Sequence[RunSpec]) -> list[str]:
    """The method where that tells them apart, else the model, else a number."""
    if len(firsts) == 1:
        return [""]
    for said in ([spec.method.title for spec in firsts], [spec.base.title.partition(" (")[0] for spec in firsts]):
        if len(set(said)) == len(said):
            return said
    return [f"{spec.method.title} {place}" for place, spec in enumerate(firsts, 1)]


def _word(key: str) -> str:
    own = {"train_items": "texts to learn from", MODEL: "numbers in the model", "method.virtual_tokens": "virtual tokens"}
    bare = key.removeprefix("method.")
    return own.get(key) or WORDS.get(bare, bare.replace("_", " "))


def formats(comparison: Comparison) -> bool:
    """Whether the arms differ in how many bits the base's weights have."""
    specs = list(comparison.specs.values())
    return len({(spec.quantization, spec.dtype) for spec in specs}) > 1 and len({spec.quantization for spec in specs}) > 1


def methods(comparison: Comparison) -> bool:
    return len({spec.method.key for spec in comparison.specs.values()}) > 1


def group(comparison: Comparison) -> str:
    """Where a question stands in a list of them."""
    specs = list(comparison.specs.values())
    found = swept(comparison)
    if specs[0].tested_on:
        return "Beyond the trained task"
    if {spec.method.key for spec in specs} == {"in_context"}:
        return "Prompts without training"
    if formats(comparison) or len({spec.model for spec in specs}) > 1:
        return "The base model"
    if (found is not None and found.key in RUN) or len({spec.shuffle_labels for spec in specs}) > 1:
        return "Data, steps and learning rate"
    if methods(comparison):
        return "Which method?"
    return "How much of it?" if found is not None else "Which form of it?"
