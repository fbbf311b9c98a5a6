"""RunSpec: everything a student chooses, in one frozen value with one dict form for JSON, SQLite, lessons, links and the command line."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, field_validator, model_serializer, model_validator

from lab import catalogue
from lab.accounting.counts import Counts, count
from lab.accounting.memory import estimate
from lab.accounting.shapes import inner_head, shape_of, shape_of_class
from lab.contracts import LabError, Method, Model, Shape, Task, explain, shorten
from lab.owndata.entry import known as known_task
from lab.owndata.entry import task as task_by_key

LARGEST_SPEC_BYTES = 64_000  # of one that is stored or sent

Dtype = Literal["auto", "float32", "bfloat16"]
Optimizer = Literal["adamw", "adamw_foreach", "adamw_fused", "adamw_8bit", "paged_adamw_8bit", "sgd", "adafactor"]
Quantization = Literal["nf4", "nf4_double", "fp4", "int8"]
Mistake = Literal["other_wording", "fresh_adapter"]
SAME_TEXTS = {"movies", "rotten_tomatoes", "sst2"}  # very likely hold the same sentences: none of them is a test of what another taught
DEFAULTS = {"steps": 100, "batch": 16, "tokens": 64, "eval_items": 1000, "eval_every": 25}


class RunSpec(BaseModel):
    """A run. Values left out are filled in when it is made, from the model's and the method's defaults, so that a stored spec says it all."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, ignored_types=(cached_property,))

    model: str | dict[str, Any] = Field(description="a key of the catalogue, or for counts and memory a transformers config")
    task: str | None = Field(None, description="what it learns; `movies` unless said otherwise")
    method: Method = Field(description="how it learns, with its knobs")
    steps: int = Field(0, ge=0, le=5000, description="updates of the weights")
    batch: int = Field(0, ge=1, le=256, description="texts in one step")
    tokens: int = Field(0, ge=8, le=4096, description="longest text, in tokens; virtual tokens are not counted")
    lr: float = Field(0.0, ge=0, le=100, description="learning rate: how far one step moves the trained weights")
    warmup: float = Field(0.1, ge=0, le=1, description="share of the steps in which the learning rate rises from 0")
    weight_decay: float = Field(0.0, ge=0, le=1, description="pull of the trained weights towards 0")
    clip: float = Field(1.0, ge=0, le=1000, description="longest gradient allowed; 0 lets all pass")
    optimizer: Optimizer = Field("adamw_fused", description="the rule that turns gradients into steps")
    dtype: Dtype = Field("auto", description="number format of the arithmetic and of frozen weights; auto measures which is faster here")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="start of every random choice")
    train_items: int | None = Field(None, ge=2, le=1_000_000, description="texts to learn from; all of them unless said otherwise")
    eval_items: int = Field(0, ge=2, le=100_000, description="test texts behind each score")
    eval_every: int = Field(0, ge=0, le=5000, description="steps between looks at the validation texts; 0 for none")
    shuffle_labels: bool = Field(False, description="train on labels drawn at random: a control that must learn nothing")
    checkpointing: bool = Field(False, description="recompute activations instead of keeping them: less memory, more time")
    quantization: Quantization | None = Field(None, description="keep the frozen base in 4 or 8 bits: less memory, and more time, because weights are turned "
                                                                 "back to the number format wherever they are used")
    attention: Literal["auto", "eager", "sdpa"] = Field("auto", description="implementation of attention")
    adapter_dtype: Literal["auto", "float32", "bfloat16"] = Field("auto", description="number format of the trained parts; auto is float32")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where it runs")
    tested_on: tuple[str, ...] = Field((), description="tasks with the same labels whose test texts are answered as well after the last step")
    mistake: Mistake | None = Field(None, description="break the run on purpose, to see what that looks like: ask the trained model in another wording than "
                                                      "it learned with, or attach a fresh adapter where the saved one should be loaded")

    @classmethod
    def parse(cls, data: Any) -> RunSpec:
        """From the dict form. Raises LabError in the lab's words."""
        if not isinstance(data, Mapping):
            raise LabError(f"a spec is an object with model and method: this is {shorten(data)}")
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise explain(error, cls) from None

    @classmethod
    def from_json(cls, text: str) -> RunSpec:
        if len(text.encode()) > LARGEST_SPEC_BYTES:
            raise LabError(f"the spec has {len(text):,} characters: at most {LARGEST_SPEC_BYTES:,}")
        try:
            return cls.parse(json.loads(text))
        except json.JSONDecodeError as error:
            raise LabError(f"the spec is not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
        except RecursionError:
            raise LabError("the spec is nested too deeply: a spec has two levels") from None

    @classmethod
    def read(cls, path: Path) -> RunSpec:
        try:
            if path.stat().st_size > LARGEST_SPEC_BYTES:
                raise LabError(f"{path} has {path.stat().st_size:,} bytes: a spec has at most {LARGEST_SPEC_BYTES:,}")
            return cls.from_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise LabError(f"cannot read {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise LabError(f"{path} is not text in UTF-8: save it as plain JSON") from None

    @field_validator("tested_on", mode="before")
    @classmethod
    def _tested_on(cls, value: Any) -> Any:
        return tuple(dict.fromkeys(map(str, value))) if isinstance(value, list | tuple) else value

    @field_validator("method", mode="before")
    @classmethod
    def _method(cls, value: Any) -> Method:
        if isinstance(value, Method):
            return value
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping) or "name" not in value:
            raise ValueError(f'method is {shorten(value)}: give its name and knobs, like {{"name": "lora", "rank": 8}}')
        knobs = {key: part for key, part in value.items() if key != "name"}
        try:
            kind = catalogue.find("methods", value["name"])
            return kind.model_validate(knobs)
        except ValidationError as error:
            raise ValueError(str(explain(error, kind))) from None
        except LabError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        """Put the model's and the method's defaults where nothing was said, so that equal runs have equal specs."""
        if not isinstance(data, dict) or "model" not in data or "method" not in data:
            return data
        try:
            model, shape = _model_and_shape(data["model"])
            method = _started(cls._method(data["method"]), data["method"], known_task(data.get("task") or (model.defaults.get("task") if model else None)))
            support = method.supports(shape)
        except LabError as error:
            raise ValueError(str(error)) from None
        if not support.ok:
            raise ValueError(f"{method.title} cannot be used here: {support.reason}")
        defaults = {**DEFAULTS, **(model.defaults if model else {}), "lr": method.rates[shape.kind].default}
        if model:
            defaults["task"] = data.get("task") or model.defaults.get("task", "movies")
            defaults |= getattr(known_task(defaults["task"]), "defaults", {})
        filled = {**defaults, **{key: value for key, value in data.items() if value is not None}, "method": method}
        for key, value in method.fixed.items():
            if key in data and data[key] != value:
                raise ValueError(f"{key} is {shorten(data[key])}: {method.title} fixes it at {value}")
            filled[key] = value
        return filled

    @model_validator(mode="after")
    def _check(self) -> RunSpec:
        if self.steps == 0 and "steps" not in self.method.fixed:
            raise ValueError("steps is 0: must be 1 to 5,000")
        if self.task is not None:
            self._check_task()
        if self.quantization:
            self._check_quantizable()
        if self.mistake:
            self._check_mistake()
        used = self.longest + self.method.virtual_tokens_used()
        if used > self.shape.positions and self.shape.kind != "vision":  # an image has as many patches as it has
            raise ValueError(f"tokens is {self.tokens} and {used - self.tokens} more are needed, for the method's own tokens and for a written answer: "
                             f"together at most {self.shape.positions}, the model's window")
        return self

    def _check_task(self) -> None:
        try:
            task = task_by_key(self.task)
        except LabError as error:
            raise ValueError(str(error)) from None
        fits = task.fits(self.shape.kind)
        if not fits.ok:
            raise ValueError(f"task is {task.key}: {fits.reason}")
        suits = self.method.suits(task) if self.shape.kind == "decoder" else fits
        if not suits.ok:
            raise ValueError(f"{suits.reason}")
        tasks = catalogue.entries("tasks")
        leaks = SAME_TEXTS - {task.key} if task.key in SAME_TEXTS else set()
        alike = [key for key, other in tasks.items() if task.labels and (other.labels, other.words) == (task.labels, task.words) and key not in leaks]
        wrong = next((key for key in self.tested_on if key not in alike), None)
        if wrong is not None:
            raise ValueError(f'tested_on has "{shorten(wrong, 60)}": must be tasks with the labels of {task.key}, which are {", ".join(alike) or "none"}')

    def _check_quantizable(self) -> None:
        formats, reason = formats_of_base(self.method)
        if self.quantization not in formats:
            way_out = "" if formats else "; leave quantization out, or choose a method such as lora, which only builds on the frozen base"
            raise ValueError(f"quantization is {self.quantization}: {reason}{way_out}")

    def _check_mistake(self) -> None:
        """Raises ValueError where it would change nothing that a run shows."""
        task = self.goal if self.task else None
        if not self.steps:
            why = "nothing is trained"
        elif task is None or not task.labels:
            why = "there are no labels to answer with"
        elif self.mistake == "other_wording":
            why = "" if self.shape.writes and task.wordings else "this model has no other wording of the task"
        else:
            why = "a run on images is not loaded again at its end" if self.shape.kind == "vision" else ""
        if why:
            raise ValueError(f"mistake is {self.mistake}: {why}, so it would not show; leave it out")

    @field_serializer("method")
    def _settings(self, method: Method) -> dict[str, Any]:
        return method.written()

    @cached_property
    def shape(self) -> Shape:
        return _model_and_shape(self.model)[1]

    @model_serializer(mode="wrap")
    def _short(self, serialize: Any) -> dict[str, Any]:
        """Without the tests that were not asked for, and without the mistake that is not made: such a spec is the one that it was before there were any."""
        found = serialize(self)
        for name in ("tested_on", "mistake"):
            if not found.get(name):
                found.pop(name, None)
        return found

    @property
    def base(self) -> Model:
        """The catalogue's model. Raises LabError for a bare config."""
        if not isinstance(self.model, str):
            raise LabError("this spec names a config, not a model of the catalogue: it can be counted, not trained")
        return catalogue.find("models", self.model)

    @property
    def goal(self) -> Task:
        if self.task is None:
            raise LabError("this spec names no task: it can be counted, not trained")
        return task_by_key(self.task)

    @property
    def question(self) -> Task:
        """The task in the method's wording."""
        return self.method.worded(self.goal)

    @property
    def asked(self) -> Task:
        """The task as test texts are asked: in the wording that is learned with, unless that is the mistake."""
        learned = self.question
        if self.mistake != "other_wording":
            return learned
        return replace(learned, prompt=next(each for each in (*self.goal.wordings, self.goal.prompt) if each != learned.prompt))

    @property
    def beyond(self) -> tuple[str, ...]:
        """The tasks it is tested on beside its own."""
        return tuple(key for key in self.tested_on if key != self.task)

    @property
    def longest(self) -> int:
        """Tokens of the longest text that goes through the model, a decoder's written answer included; virtual tokens are not."""
        return self.tokens + (self.goal.answer_tokens if self.task and self.shape.kind == "decoder" else 0)

    @property
    def labels(self) -> int:
        """Classes to tell apart; 0 where none are known of. Raises LabError for a number that is none."""
        return len(self.goal.labels) if self.task else _labels(self.model)

    @cached_property
    def counts(self) -> Counts:
        inner = inner_head(self.shape, self.model.get("class")) if isinstance(self.model, Mapping) and not self.task else 0
        return count(self.method, self.shape, self.labels, inner)

    def memory(self, dtype: str) -> dict[str, Any]:
        """The rule of thumb for one step of this run, in the number format that it will have."""
        return estimate(self.method, self.shape, self.counts, batch=self.batch, tokens=self.longest, dtype=dtype,
                        optimizer=self.optimizer, checkpointing=self.checkpointing, quantization=self.quantization)

    def to_dict(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @cached_property
    def fingerprint(self) -> str:
        """Equal specs have an equal fingerprint: the SHA-256 of the dict form, keys sorted."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def formats_of_base(method: Method) -> tuple[tuple[str, ...], str]:
    """Which of the 4- and 8-bit formats the frozen base may have under a method, and why not the others: weights in so few bits have no gradient, and not
    every method's library can build on them."""
    if method.trains_base:
        return (), f"method {method.key} trains the base, so it cannot be quantised: weights in 4 or 8 bits have no gradient"
    if not method.quantizable:
        return (), f"method {method.key} cannot stand on a quantised base"
    if isinstance(method.quantizable, tuple):
        return method.quantizable, f"method {method.key} stands only on a base in {', '.join(method.quantizable)}"
    return get_args(Quantization), ""


def _model_and_shape(model: Any) -> tuple[Model | None, Shape]:
    """The catalogue's entry (None for a bare config) and the sizes."""
    if isinstance(model, Mapping):
        unknown = set(model) - {"config", "class", "num_labels"}
        if unknown or not isinstance(model.get("config"), Mapping):
            raise LabError(f'model is {shorten(model)}: give a key, or {{"config": {{…}}, "class": …, "num_labels": …}}')
        return None, shape_of_class(model["config"], model.get("class"))
    entry = catalogue.find("models", model)
    return entry, shape_of(entry.config)


def _started(method: Method, said: Any, task: Task | None) -> Method:
    """A method that starts from the words of a text starts from those of the task, where it has some and nobody chose others."""
    if task is None or not task.start or getattr(method, "init", "") != "text" or not hasattr(method, "text"):
        return method
    chosen = isinstance(said, Method) or (isinstance(said, Mapping) and said.get("text") is not None)
    return method if chosen else method.model_copy(update={"text": task.start})


def _labels(model: Any) -> int:
    """Two where a class that sorts texts is named and they are not, as in transformers."""
    named = str(model.get("class")) if isinstance(model, Mapping) else ""
    said = model.get("num_labels") if isinstance(model, Mapping) else 0
    labels = (2 if named.endswith("Classification") else 0) if said is None else said
    if not isinstance(labels, int) or isinstance(labels, bool) or not 0 <= labels <= 1_000_000:
        raise LabError(f"num_labels is {shorten(labels)}: must be 0 to 1,000,000")
    return labels


def check_length(spec: RunSpec) -> None:
    """Raises LabError for one with more text than can be stored: none of its knobs limits that by itself."""
    size = len(spec.to_json().encode())
    if size > LARGEST_SPEC_BYTES:
        raise LabError(f"these settings have {size:,} bytes of text: all of a run's together have at most {LARGEST_SPEC_BYTES:,}")
