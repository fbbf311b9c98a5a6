"""Comparison: a base spec, arms that each change something of it, and seeds; checked once, in one dict form for JSON, links and the command line."""
from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lab import catalogue
from lab.contracts import LabError, Method, explain, shorten
from lab.spec import LARGEST_SPEC_BYTES, RunSpec

ARMS, SEEDS, RUNS = 12, 200, 600  # at most; 12 arms are 66 pairs, each judged more strictly for the others
COMMON = ("task", "eval_items", "tested_on")  # what all arms are asked: of the base only; each may learn one of the tasks that all are tested on
TRAINING_LOSS = "training loss"  # the metric of a comparison that is about what was learned by heart
STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, ignored_types=(cached_property,))


class Arm(BaseModel):
    """One side of a comparison: what it is called, and what it has otherwise than the base."""

    model_config = STRICT

    name: str = Field(description="shown in charts and verdicts; no two arms share one")
    change: dict[str, Any] = Field(default_factory=dict, description="keys of the spec with this arm's values; nothing for the base itself")

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        if not 1 <= len(name.strip()) <= 60:
            raise ValueError(f'name is "{shorten(name)}": must have 1 to 60 characters')
        return name.strip()


class Comparison(BaseModel):
    """Every arm is run with every seed. How a change is put into the base: `changed`."""

    model_config = STRICT

    title: str = Field("", max_length=120, description="what is asked")
    base: dict[str, Any] = Field(description="the spec that the arms change; its seed is not used")
    arms: tuple[Arm, ...] = Field(description="what is compared, 2 to 12")
    seeds: tuple[int, ...] = Field((0, 1, 2), description="each arm is run once with each; a difference is told from 3 on")
    measure: Literal["score", "last_loss", "forgetting", "elsewhere", "drop", "gap", "vote", "step_seconds", "alone_times", "peak_bytes"] = Field(
        "score", description="what verdicts are about: the score on the test; the loss of the last steps on training texts; forgetting, which is the "
                             "perplexity of unrelated text after training; the score on the other tasks; the drop from kinds of items that were trained "
                             "to those that were not; the gap between the loss on test and on training texts; the vote of the seeds against their mean; "
                             "the time of a step, the time of one text or the memory of a step")
    train: bool = Field(False, description="whether the loss on training texts is drawn against that on test texts")
    by: str = Field("", max_length=80, description="the outcome by which verdicts are read first, where that is not what they are about; nothing that is run "
                                                   "hangs on it")
    looks: int = Field(1, ge=1, le=10, description="how often the verdicts may be read with seeds added in between; each time they are stricter")

    @classmethod
    def parse(cls, data: Any) -> Comparison:
        """From the dict form. Raises LabError in the lab's words."""
        if not isinstance(data, Mapping):
            raise LabError(f"a comparison is an object with base, arms and seeds: this is {shorten(data)}")
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise explain(error, cls) from None

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        if len(text.encode()) > LARGEST_SPEC_BYTES:
            raise LabError(f"the comparison has {len(text):,} characters: at most {LARGEST_SPEC_BYTES:,}")
        try:
            return cls.parse(json.loads(text))
        except json.JSONDecodeError as error:
            raise LabError(f"the comparison is not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
        except RecursionError:
            raise LabError("the comparison is nested too deeply: it has four levels") from None

    @classmethod
    def read(cls, path: Path) -> Comparison:
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise LabError(f"cannot read {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise LabError(f"{path} is not text in UTF-8: save it as plain JSON") from None

    @field_validator("arms", mode="before")
    @classmethod
    def _arms(cls, value: Any) -> tuple[Arm, ...]:
        if not isinstance(value, list | tuple) or not 2 <= len(value) <= ARMS:
            have = f"of {len(value)}" if isinstance(value, list | tuple) else shorten(value)
            raise ValueError(f'arms must be a list of 2 to {ARMS}, not {have}: like [{{"name": "LoRA", "change": {{"method": "lora"}}}}, …]')
        arms = tuple(_arm(place, each) for place, each in enumerate(value, 1))
        twice = next((name for name, times in Counter(arm.name for arm in arms).items() if times > 1), None)
        if twice is not None:
            raise ValueError(f'arms has the name "{twice}" more than once: give each its own, verdicts are told by it')
        return arms

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds(cls, value: Any) -> tuple[int, ...]:
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= SEEDS:
            have = f"of {len(value)}" if isinstance(value, list | tuple) else shorten(value)
            raise ValueError(f"seeds must be a list of 1 to {SEEDS}, not {have}: like [0, 1, 2]")
        for seed in value:
            if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**31:
                raise ValueError(f"seeds has {shorten(seed)}: each must be a whole number from 0 to 2,147,483,647")
        twice = next((seed for seed, times in Counter(value).items() if times > 1), None)
        if twice is not None:
            raise ValueError(f"seeds has {twice} more than once: the same run again is no new evidence, take another number")
        return tuple(value)

    @model_validator(mode="after")
    def _check(self) -> Comparison:
        runs = len(self.arms) * len(self.seeds)
        if runs > RUNS:
            raise ValueError(f"seeds and arms make {runs:,} runs: at most {RUNS}, take fewer of one or the other")
        if self.measure == "last_loss" and self.base.get("tested_on"):
            raise ValueError(f"measure is {self.measure}: tested_on asks for scores on tests, leave one of the two out")
        if self.measure == "elsewhere" and not self.base.get("tested_on"):
            raise ValueError("measure is elsewhere: the base must say in tested_on which other tasks the runs are tested on")
        try:
            self.specs  # noqa: B018  every arm is checked where the comparison is made
            writes = self.base_spec.goal.writes
        except LabError as error:
            raise ValueError(str(error)) from None
        if self.measure == "vote" and writes:
            raise ValueError("measure is vote: written answers cannot be voted on, only labels can")
        if self.measure == "elsewhere" and self.mixed:
            raise ValueError("measure is elsewhere: arms that learn different tasks have different other ones, leave it out")
        return self

    @cached_property
    def base_spec(self) -> RunSpec:
        try:
            spec = RunSpec.parse(self.base)
            spec.base, spec.goal  # noqa: B018  a bare config cannot be run
        except LabError as error:
            raise LabError(f"base: {error}") from None
        return spec

    @cached_property
    def specs(self) -> dict[str, RunSpec]:
        """Each arm's spec, with the first seed."""
        return {arm.name: self._spec(arm) for arm in self.arms}

    def _spec(self, arm: Arm) -> RunSpec:
        base = self.base_spec
        try:
            spec = RunSpec.parse(changed(self.base, base, arm.change) | {"seed": self.seeds[0]})
            spec.base  # noqa: B018
        except LabError as error:
            raise LabError(f'arm "{arm.name}": {error}') from None
        return spec

    def run(self, name: str, seed: int) -> RunSpec:
        """The run of an arm with a seed."""
        return self.runs[name, seed]

    @cached_property
    def runs(self) -> dict[tuple[str, int], RunSpec]:
        """By arm and seed, in the order in which they are run: seed by seed over all arms, so that one point of everything comes first."""
        return {(name, seed): RunSpec.parse({**spec.to_dict(), "seed": seed}) for seed in self.seeds for name, spec in self.specs.items()}

    def to_dict(self) -> dict[str, Any]:
        """As it was given, without what has its default: short enough for an address. `parse` of it gives an equal comparison."""
        said = {"title": self.title} if self.title else {}
        more = {key: value for key in ("measure", "train", "by", "looks") if (value := getattr(self, key)) != type(self).model_fields[key].default}
        return {**said, "base": self.base, "arms": [arm.model_dump() for arm in self.arms], "seeds": list(self.seeds), **more}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))

    @property
    def scored(self) -> bool:
        """Whether an arm is headed by its score on the test; else by the loss on training texts."""
        return self.measure != "last_loss"

    @property
    def headline(self) -> str:
        """The metric that an arm is headed by."""
        return self.base_spec.goal.metric if self.scored else TRAINING_LOSS

    @property
    def itemised(self) -> bool:
        """Whether two runs can be held against each other item by item."""
        return self.scored and not self.mixed

    @cached_property
    def mixed(self) -> bool:
        """Whether arms learn different tasks. Their score is then the mean over the tests of all of them."""
        return len({spec.task for spec in self.specs.values()}) > 1

    @cached_property
    def fingerprint(self) -> str:
        """Comparisons of equally named equal runs have an equal one, however their changes were written: the SHA-256 of names, full specs and seeds."""
        arms = [[name, {**spec.to_dict(), "seed": None}] for name, spec in self.specs.items()]
        return hashlib.sha256(json.dumps([arms, list(self.seeds)], sort_keys=True).encode()).hexdigest()


def _arm(place: int, value: Any) -> Arm:
    if isinstance(value, Arm):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f'arms has {shorten(value)} at place {place}: must be like {{"name": "LoRA", "change": {{"method": "lora"}}}}')
    try:
        return Arm.model_validate(dict(value))
    except ValidationError as error:
        raise ValueError(f"arms, place {place}: {explain(error, Arm)}") from None


# ── a change put into the base ────────────────────────────────────────────────────────────────────────────────────────


def changed(base: Mapping[str, Any], spec: RunSpec, change: Mapping[str, Any]) -> dict[str, Any]:
    """The dict form of the base with a change in it; `spec` is the base as parsed.

    A key of the change takes the place of the base's; null goes back to the default. Of the method, knobs are changed one by one where it stays the same
    (`{"rank": 4}`, with or without its name); a string is that method with its own defaults; another method brings none of the old one's knobs, nor what
    the old one fixes. A learning rate that is the base's own default follows the method and the model; one that was chosen is kept.
    Task and test items are the base's, also where another model would have others by default. Raises LabError for a change of what all arms share.
    """
    if "seed" in change:
        raise LabError("change has seed: the comparison's seeds are run for every arm, leave it out")
    for key in COMMON:
        if key in change and not (key == "task" and {change["task"], spec.task} <= set(spec.tested_on)):
            raise LabError(f"change has {key}: all arms are asked the same, so it belongs into base")
    unknown = next((key for key in change if key not in RunSpec.model_fields), None)
    if unknown is not None:
        raise LabError(f'unknown key "{shorten(unknown, 60)}" in change: there are {", ".join(RunSpec.model_fields)}')
    method = _method(spec.method, change["method"]) if change.get("method") is not None else base["method"]
    other = _key(method) != spec.method.key
    kept = {key: value for key, value in base.items() if key not in ("seed", "method")} | {key: getattr(spec, key) for key in COMMON}
    if other:
        fixed = {*spec.method.fixed, *catalogue.find("methods", _key(method)).fixed}
        kept = {key: value for key, value in kept.items() if key not in fixed}
    if (other or change.get("model", spec.model) != spec.model) and follows(spec):
        kept.pop("lr", None)
    said = {key: value for key, value in change.items() if key != "method"}
    return {key: value for key, value in {**kept, **said, "method": method}.items() if value is not None}


def follows(spec: RunSpec) -> bool:
    """Whether the learning rate is the method's own default on such a model."""
    return spec.lr == default_rate(spec)


def default_rate(spec: RunSpec) -> float:
    return spec.method.rates[spec.shape.kind].default


def _method(base: Method, change: Any) -> Any:
    """The dict form of the method with the change in it; what is no method is left for RunSpec to refuse."""
    if not isinstance(change, Mapping) or change.get("name", base.key) != base.key:
        return change
    return {key: value for key, value in {**base.settings(), **change}.items() if value is not None}


def _key(method: Any) -> Any:
    if isinstance(method, Method):
        return method.key
    key = method.get("name") if isinstance(method, Mapping) else method
    if not isinstance(key, str):
        raise LabError(f'method is {shorten(method)}: give its name, its knobs or both, like {{"name": "lora", "rank": 8}}')
    return key
