"""A question to a finished run, as a job of the store, and what the events of such a job add up to.

    Preparing* → Observed(tokens) → (Observed(piece) | Observed(answer))* → Finished | Failed | Cancelled
    Preparing* → Observed(progress)* → Observed(latency)                  → Finished | Failed | Cancelled     where `calls` asks for the time it takes

No torch here: the page imports this file. A worker answers in engine/answering.py.
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.util import find_spec
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lab.contracts import LabError, Support, explain, shorten
from lab.events import RunResult
from lab.spec import RunSpec, formats_of_base

KIND = "question"
LONGEST_TEXT = 4_000  # characters; what a run reads of them is bounded by its tokens
LONGEST_WORDING = 1_000
LONGEST_QUESTION = 40_000  # characters of its JSON, where one sign may take six
MOST_SHOTS = 16
TOKENS, PIECE, ANSWER, PROGRESS, LATENCY = "tokens", "piece", "answer", "progress", "latency"  # what the events of a question tell of

Form = Literal["adapter", "merged", "nf4"]
Who = Literal["tuned", "base", "prompted"]


class Question(BaseModel):
    """A text for a finished run, and how it is to be answered. The untouched base answers beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ignored_types=(cached_property,))

    run: str
    text: str = Field(description="what the model is asked")
    form: Form = Field("adapter", description="how the trained part is put in: beside the base's weights, merged into them, or on a base in 4 bits")
    shots: int = Field(0, ge=0, le=MOST_SHOTS, description="solved training examples in front of the text, for the untouched base with a prompt")
    wording: str = Field("", description="a hand-written prompt with {text}, for the untouched base; without one it is the task's own")
    longest: int = Field(0, ge=0, le=256, description="most new tokens of a written answer; 0 is as many as the task allows")
    calls: int = Field(0, ge=0, le=25, description="0 answers; more time so many answers of each form")
    dtype: Literal["auto", "float32", "bfloat16"] = Field("auto", description="the number format that the run was scored in")

    @field_validator("text")
    @classmethod
    def _text(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("text is empty: type something to ask, or take an example")
        if len(text) > LONGEST_TEXT:
            raise ValueError(f"text has {len(text):,} characters: at most {LONGEST_TEXT:,}")
        return text

    @field_validator("wording")
    @classmethod
    def _wording(cls, wording: str) -> str:
        """Braces other than {text} would be read as commands by `str.format`."""
        if len(wording) > LONGEST_WORDING:
            raise ValueError(f"wording has {len(wording):,} characters: at most {LONGEST_WORDING:,}")
        rest = wording.replace("{text}", "", 1)
        if wording and (rest == wording or "{" in rest or "}" in rest):
            raise ValueError("wording must have {text} once, where the text goes, and no other braces")
        return wording

    @classmethod
    def parse(cls, data: Any) -> Question:
        """From the dict form. Raises LabError in the lab's words."""
        if not isinstance(data, Mapping):
            raise LabError(f"a question is an object with run and text: this is {shorten(data)}")
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise explain(error, cls) from None

    @classmethod
    def from_json(cls, text: str) -> Question:
        if len(text) > LONGEST_QUESTION:
            raise LabError(f"the question has {len(text):,} characters: at most {LONGEST_QUESTION:,}")
        return cls.parse(json.loads(text))

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @cached_property
    def fingerprint(self) -> str:
        """Equal questions have an equal fingerprint."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def askable(spec: RunSpec) -> Support:
    """Whether a run of this spec can be asked with a text, and if not, why."""
    if spec.shape.kind == "vision":
        return Support(False, "this model reads images, and a text is none; its answers to test images stand with the run")
    return Support(True)


def forms(spec: RunSpec) -> dict[Form, Support]:
    """How a run's trained part can be put in on this machine, and why not otherwise."""
    return {"adapter": Support(True), "merged": _merged(spec), "nf4": _four_bits(spec)}


def prompts(spec: RunSpec) -> Support:
    """Whether the untouched base can be given a prompt of another wording, or solved examples, and if not, why."""
    if not spec.shape.writes:
        return Support(False, f"{spec.base.title} gives features and continues no text, so no prompt can tell it what to do")
    return Support(True)


def shows_examples(spec: RunSpec) -> bool:
    """Whether solved examples can stand in front of a text: an encoder-decoder answers a text instead of continuing it."""
    return spec.shape.kind == "decoder"


def _merged(spec: RunSpec) -> Support:
    method = spec.method
    if spec.quantization:
        return Support(False, f"its base is in {spec.quantization}: merging into so few bits would round what was learned away")
    if method.merges:
        return Support(True)
    if type(method).latency() == "none":
        return Support(False, f"{method.title} adds nothing to the base, so there is nothing to merge")
    return Support(False, f"what {method.title} learned cannot be written into the base's own weights")


def _four_bits(spec: RunSpec) -> Support:
    if spec.quantization:
        return Support(False, f"its base is in {spec.quantization} as it is")
    formats, reason = formats_of_base(spec.method)
    if "nf4" not in formats:
        return Support(False, reason)
    if find_spec("bitsandbytes") is None:
        return Support(False, "bitsandbytes is not installed on this machine")
    return Support(True)


def told(result: RunResult) -> dict[str, Any]:
    """What the events of a question say so far: {"tokens", "answers": {who: answer}, "progress", "latency"}; an answer that is still being written has
    its text so far and `going`."""
    answers: dict[str, Any] = {}
    for topic, value in _seen(result):
        if topic == PIECE:
            begun = answers.setdefault(value["who"], {"who": value["who"], "kind": "text", "text": "", "going": True})
            begun["text"] += value["text"]
        elif topic == ANSWER:
            answers[value["who"]] = value
    return {"answers": answers, **{topic: result.seen(topic) for topic in (TOKENS, PROGRESS, LATENCY)}}


def _seen(result: RunResult) -> Iterator[tuple[str, Any]]:
    return ((seen.lens, seen.value) for seen in result.observed)
