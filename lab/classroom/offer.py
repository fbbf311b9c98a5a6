"""What a lab offers and allows, held against one spec: the same rules for the forms and for the server."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lab.classroom.settings import Limits, Settings
from lab.contracts import LabError, Method
from lab.owndata.shelf import is_own
from lab.spec import RunSpec

KNOBS = {"rank": "rank", "start_rank": "rank", "virtual_tokens": "virtual_tokens"}  # of a method, and the limit that holds for each
SETTINGS = ("steps", "train_items", "eval_items", "tokens", "batch")  # of a run
COUNTED = {"eval_items": "test texts", "tokens": "in a text", "batch": "texts in one step"}  # settings that every run has, and what they count
LONGEST_RUN = 5000  # steps that a spec may have


@dataclass(frozen=True)
class Offer:
    """Keys that may be used; None stands for all of them."""

    models: tuple[str, ...] | None = None
    tasks: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None

    @classmethod
    def of(cls, settings: Settings) -> Offer:
        return cls(*(tuple(keys) if keys is not None else None for keys in (settings.models, settings.tasks, settings.methods)))

    def has(self, folder: str, key: Any) -> bool:
        keys = getattr(self, folder)
        return keys is None or key in keys or (folder == "tasks" and is_own(key))

    def only(self, folder: str, rows: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Rows of a menu, each with its `key`, without those that are not offered."""
        return [row for row in rows if self.has(folder, row["key"])]

    def check(self, spec: RunSpec) -> None:
        """Raises LabError for a spec with something that is not offered."""
        methods = (("methods", "method", part.key) for part in parts(spec.method))
        tasks = (("tasks", "tested_on", key) for key in spec.tested_on)
        for folder, name, key in (("models", "model", spec.model), ("tasks", "task", spec.task), *tasks, *methods):
            if not self.has(folder, key):
                raise LabError(f'{name} is "{key}": this lab offers {", ".join(getattr(self, folder))}')

    def fits(self, spec: RunSpec) -> bool:
        try:
            self.check(spec)
        except LabError:
            return False
        return True


ALL = Offer()


def parts(method: Method) -> Iterator[Method]:
    """A method and, of a combination, those that it is made of."""
    yield method
    for part in getattr(method, "parts", ()):
        yield from parts(part)


def check_limits(spec: RunSpec, limits: Limits, seconds: float | None = None) -> None:
    """Raises LabError for a run that is larger than this lab allows; `seconds` is what it takes, where that is known."""
    if spec.steps > limits.steps:
        raise LabError(f"steps is {spec.steps:,}: this lab allows {limits.steps:,}")
    if limits.train_items is not None and (spec.train_items is None or spec.train_items > limits.train_items):
        said = "all of them" if spec.train_items is None else f"{spec.train_items:,}"
        raise LabError(f"train_items is {said}: this lab allows {limits.train_items:,} training texts")
    for name, what in COUNTED.items():
        value, allowed = getattr(spec, name), getattr(limits, name)
        if allowed is not None and value > allowed and not (name == "tokens" and spec.shape.kind == "vision"):  # an image has as many patches as it has
            raise LabError(f"{name} is {value:,}: this lab allows {allowed:,} {what}")
    for part in parts(spec.method):
        for name in KNOBS:
            value, most = getattr(part, name, None), getattr(limits, KNOBS[name])
            if most is not None and isinstance(value, int) and value > most:
                raise LabError(f"{name} is {value:,}: this lab allows {most:,}")
    if limits.seconds is not None and seconds is not None and seconds > limits.seconds:
        raise LabError(f"seconds is about {round(seconds):,}, as runs like this one take here: this lab allows {limits.seconds:,}; take fewer steps, texts or "
                       "test texts")


def most(limits: Limits, name: str) -> int | None:
    """The largest value that a control of this name may have; None where nothing but its own bounds holds."""
    return getattr(limits, KNOBS.get(name, name)) if name in (*KNOBS, *SETTINGS) else None


def completed(draft: Mapping[str, Any], limits: Limits) -> Mapping[str, Any]:
    """A draft in which what it leaves open has a value within the limits, where the usual one would be above."""
    free = limits.steps >= LONGEST_RUN and all(getattr(limits, name) is None for name in (*KNOBS.values(), *SETTINGS[1:]))
    if free or not isinstance(draft, Mapping):
        return draft
    filled = dict(draft)
    spec = RunSpec.parse(draft)
    for name in SETTINGS:
        largest, usual = getattr(limits, name), getattr(spec, name)
        if filled.get(name) is None and largest is not None and (usual is None or usual > largest) and name not in spec.method.fixed:
            filled[name] = largest
    method = filled.get("method")
    said = {"name": method} if isinstance(method, str) else dict(method) if isinstance(method, Mapping) else {}
    for name in KNOBS:
        largest, usual = getattr(limits, KNOBS[name]), getattr(spec.method, name, None)
        if said and name not in said and largest is not None and isinstance(usual, int) and usual > largest:
            said[name] = largest
            filled["method"] = said
    return filled
