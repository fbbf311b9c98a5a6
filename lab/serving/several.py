"""A question to several finished runs at once: one batch for all of them, or a mix of them as one model. Which runs can share a base, and which can be mixed.

    Preparing* → Observed(together) → Observed(progress)* → Observed(throughput)          → Finished | Failed | Cancelled
    Preparing* → Observed(progress)* → Observed(mixed)                                    → Finished | Failed | Cancelled
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lab.contracts import GROUPS, LabError, Method, Support, explain, shorten
from lab.serving.question import LONGEST_QUESTION, LONGEST_TEXT, Question
from lab.spec import RunSpec

MOST_RUNS = 8
TOGETHER, THROUGHPUT, MIXED = "together", "throughput", "mixed"  # what the events tell of, beside those of a question to one run
LORAS = ("lora", "rslora", "lora_plus", "lora_fa", "pissa", "olora", "dylora")  # saved as plain LoRA, whatever their training was
VECTORS = ("prompt_tuning", "p_tuning", "prefix_tuning", "ia3")
NOTHING = ("head", "in_context")  # nothing inside the model

Way = Literal["posterior", "average", "stack", "sum", "linear", "ties", "dare_linear", "dare_ties", "svd", "ties_svd", "dare_linear_svd", "dare_ties_svd"]
OF_WEIGHTS = get_args(Way)[3:]  # these add up matrices
EQUAL_RANKS = ("linear", "ties", "dare_linear", "dare_ties")  # these mix A with A and B with B
PRUNES = ("ties", "dare_linear", "dare_ties", "ties_svd", "dare_linear_svd", "dare_ties_svd")  # keep a share of the numbers


class _Several(BaseModel):
    """What a question to several runs has: which they are, and the number format all of them stand in."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, ignored_types=(cached_property,))

    runs: tuple[str, ...]
    dtype: Literal["auto", "float32", "bfloat16"] = Field("auto", description="the number format of the base, one for all")

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, data: Any) -> Any:
        """JSON has no tuples; `run` is said again for who looks a question up by its run."""
        return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if key != "run"} if isinstance(data, dict) else data

    @field_validator("runs")
    @classmethod
    def _known(cls, runs: tuple[str, ...]) -> tuple[str, ...]:
        if not 2 <= len(runs) <= MOST_RUNS:
            raise ValueError(f"runs has {len(runs)}: choose 2 to {MOST_RUNS} finished runs of one base model")
        if len(set(runs)) < len(runs):
            raise ValueError("runs has one run twice: choose each once")
        if not all(run.isalnum() for run in runs):
            raise ValueError("runs has an id with other signs than letters and digits")
        return runs

    @classmethod
    def parse(cls, data: Any) -> Any:
        """From the dict form. Raises LabError in the lab's words."""
        if not isinstance(data, Mapping):
            raise LabError(f"a question to several runs is an object with runs: this is {shorten(data)}")
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise explain(error, cls) from None

    def to_json(self) -> str:
        return json.dumps({"run": self.runs[0], **self.model_dump(mode="json")}, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @cached_property
    def fingerprint(self) -> str:
        """Equal questions have an equal fingerprint."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


class Gathering(_Several):
    """A text for each of several runs, answered in one batch; and how long that takes beside one batch a run."""

    texts: tuple[str, ...] = Field(description="a text for each run, in their order")
    base: bool = Field(False, description="the untouched base answers each text as well, as further rows of the same batch")
    calls: int = Field(0, ge=0, le=25, description="0 answers; more also time so many batches of each kind")

    @field_validator("texts")
    @classmethod
    def _texts(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        for number, text in enumerate(texts, 1):
            if not text.strip():
                raise ValueError(f"text {number} is empty: type something to ask, or take an example")
            if len(text) > LONGEST_TEXT:
                raise ValueError(f"text {number} has {len(text):,} characters: at most {LONGEST_TEXT:,}")
        return texts

    @model_validator(mode="after")
    def _one_each(self) -> Gathering:
        if len(self.texts) != len(self.runs):
            raise ValueError(f"texts has {len(self.texts)} for {len(self.runs)} runs: give one for each")
        return self


class Mixture(_Several):
    """Several runs of tasks with the same labels as one model: their answers weighed, or their trained parts added up; and how well that does on each task."""

    way: Way = Field("posterior", description="what is mixed, and how")
    weights: tuple[float, ...] = Field(description="one for each run; of a mix of answers at least 0 and not all 0")
    density: float = Field(0.5, gt=0, le=1, description="share of the numbers that the ways which prune keep")
    prior: Literal["uniform", "earlier"] = Field("uniform", description="what is believed of a text's domain before it is read: all alike, or as the texts "
                                                                        "before it were; for the way posterior")
    split: Literal["validation", "test"] = Field("validation", description="the items it is scored on: those to choose with, or those to report on")
    items: int = Field(200, ge=20, le=1000, description="of each domain")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of what DARE drops at random")

    @field_validator("weights")
    @classmethod
    def _bounded(cls, weights: tuple[float, ...]) -> tuple[float, ...]:
        for weight in weights:
            if not -2 <= weight <= 2:
                raise ValueError(f"weights has {weight:g}: each must be -2 to 2")
        return weights

    @model_validator(mode="after")
    def _one_each(self) -> Mixture:
        if len(self.weights) != len(self.runs):
            raise ValueError(f"weights has {len(self.weights)} for {len(self.runs)} runs: give one for each")
        if self.way == "average" and (min(self.weights) < 0 or not any(self.weights)):
            raise ValueError("weights are shares of a mix of answers: each must be at least 0, and one of them more; only sums of trained parts can subtract")
        if self.way in OF_WEIGHTS and not any(self.weights):
            raise ValueError("weights are all 0: that is the untouched base; move one of them")
        return self


def asked(text: str) -> Question | Gathering | Mixture:
    """A question of any kind from its JSON."""
    if len(text) > LONGEST_QUESTION * MOST_RUNS:
        raise LabError(f"the question has {len(text):,} characters: at most {LONGEST_QUESTION * MOST_RUNS:,}")
    data = json.loads(text)
    kind = Question if "runs" not in data else Mixture if "weights" in data else Gathering
    return kind.parse(data)


def shares(spec: RunSpec) -> Support:
    """Whether a run of this spec can stand on one base with others, and if not, why."""
    if spec.shape.kind == "vision":
        return Support(False, "this model reads images, and the rows of a shared batch are texts")
    if spec.quantization:
        return Support(False, f"its base is in {spec.quantization}, and no other run stands on those rounded weights; train it on the base as it is")
    parts = spec.method.parts if spec.method.key == "stack" else (spec.method,)
    for part in parts:
        fits = _shares(part)
        if not fits.ok:
            return fits
        if part.key == "prefix_tuning" and spec.shape.kind == "seq2seq":
            return Support(False, "its prefix stands in the writing stack of an encoder-decoder, which has no row by row path here")
        if part.key == "prefix_tuning" and part.which != "all":
            return Support(False, "its prefix stands in half of the blocks, which has no row by row path here; a prefix in all of them can be shared")
        if part.key == "prefix_tuning" and spec.goal.writes:
            return Support(False, "its prefix would have to stay in front while an answer is written, which has no row by row path here")
        if part.key in LORAS and spec.shape.model_type == "opt" and any(linear.role in GROUPS["ffn"] for linear in spec.shape.select(part.targets)):
            return Support(False, "OPT lays the words of all rows one below the other in its feed-forward part, where peft cannot tell rows apart; "
                                  "train LoRA on its attention")
    return Support(True)


def _shares(method: Method) -> Support:
    if method.key in (*LORAS, *VECTORS, *NOTHING):
        return Support(True)
    if method.key == "dora":
        return Support(False, "DoRA also rescales the base's columns, and peft refuses it in a mixed batch; plain LoRA can be shared")
    if method.trains_base or (method.family == "selective" and method.composition != "input"):
        return Support(False, f"{method.title} changes weights of the base itself, so each such run needs a whole copy of the model")
    return Support(False, f"{method.title} has no path in a mixed batch: peft runs one for plain LoRA and passes over other methods without a word, and the "
                          "lab's own serves soft prompts, prefixes and IA3")


def together(specs: Sequence[RunSpec]) -> Support:
    """Whether runs of these specs can share one base, and if not, why."""
    if len(specs) < 2:
        return Support(False, "one run alone shares nothing: choose at least two")
    for number, spec in enumerate(specs, 1):
        fits = shares(spec)
        if not fits.ok:
            return Support(False, f"run {number} ({spec.method.title}, {spec.task}): {fits.reason}")
    models = list(dict.fromkeys(str(spec.model) for spec in specs))
    if len(models) > 1:
        return Support(False, f"they stand on different bases, {' and '.join(models)}: a batch goes through one model, so choose runs of one")
    return Support(True)


def mixable(specs: Sequence[RunSpec], way: Way) -> Support:
    """Whether these runs can be mixed that way, and if not, why."""
    fits = together(specs)
    if not fits.ok:
        return fits
    if any(spec.goal.writes for spec in specs):
        return Support(False, "a mix is scored by its labels, and one of these runs writes texts: choose runs of tasks with labels")
    labels = {spec.goal.labels for spec in specs}
    if len(labels) > 1:
        said = "; ".join(", ".join(each) for each in sorted(labels))
        return Support(False, f"they answer with different labels ({said}): only answers of one kind can be mixed")
    for number, spec in enumerate(specs, 1):
        if spec.method.key == "in_context":
            return Support(False, f"run {number} shows solved examples of its own task with every text, and nothing of it can be mixed")
    if way == "stack":
        return _stacks(specs)
    if way not in OF_WEIGHTS:
        return Support(True)
    for number, spec in enumerate(specs, 1):
        if spec.method.key not in LORAS:
            return Support(False, f"run {number} is {spec.method.title}: only the matrices of LoRA can be added up; its answers can be mixed")
    ranks = {spec.method.rank for spec in specs}
    if way in EQUAL_RANKS and len(ranks) > 1:
        return Support(False, f"their ranks are {', '.join(map(str, sorted(ranks)))}: {way} mixes A with A and B with B, which must be of one size; "
                              "choose sum, or a way that ends in svd")
    return Support(True)


def _stacks(specs: Sequence[RunSpec]) -> Support:
    """One pass with the parts of all: each place in the model takes one."""
    taken: dict[str, int] = {}
    for number, spec in enumerate(specs, 1):
        for part in spec.method.parts if spec.method.key == "stack" else (spec.method,):
            place = "LoRA" if part.key in LORAS else "a soft prompt" if part.key in ("prompt_tuning", "p_tuning") else part.title
            if place in taken:
                return Support(False, f"runs {taken[place]} and {number} both have {place}, and one would stand in the other's place: choose runs with "
                                      "different parts, for instance a LoRA and a soft prompt")
            taken[place] = number
    return Support(True)
