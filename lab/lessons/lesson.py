"""What a lesson is made of: the values of its front matter and the steps of its text. Checked once, where the file is read."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lab import catalogue
from lab.compare import Comparison
from lab.lessons import measures
from lab.spec import RunSpec

STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
Sentence = Annotated[str, Field(min_length=3, max_length=600)]
Reference = Annotated[str, Field(min_length=1, max_length=120)]  # a run, a measurement, or an arm as `comparison/arm`
RULES = ("above", "below", "within noise", "order", "equal")


class Asked(BaseModel):
    """A quantity of a run, an arm or a measurement; with `per` the ratio to another one's, with `less` the difference."""

    model_config = STRICT

    measure: str
    of: Reference
    per: Reference | None = None
    less: Reference | None = None

    @model_validator(mode="after")
    def _one(self) -> Asked:
        if self.per and self.less:
            raise ValueError("per and less: give one of them")
        return self

    @property
    def references(self) -> tuple[str, ...]:
        return tuple(each for each in (self.of, self.per, self.less) if each)


# ── predictions ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Option(BaseModel):
    """An answer to choose. `until`: it is right up to this value of what was measured, from where the one before ends."""

    model_config = STRICT

    text: Sentence
    says: Sentence  # what it answers to whoever chose it
    until: float | None = None


class Number(BaseModel):
    """A number on a slider. `log`: equal steps multiply."""

    model_config = STRICT

    kind: Literal["number"]
    ask: Sentence
    truth: Asked
    low: float
    high: float
    log: bool = False
    close: Sentence
    too_low: Sentence
    too_high: Sentence
    within: float = Field(0.25, gt=0, le=2)  # a guess this near, as a share of the truth, is close

    @model_validator(mode="after")
    def _bounds(self) -> Number:
        if self.high <= self.low or (self.log and self.low <= 0):
            raise ValueError(f"low is {self.low} and high is {self.high}: high must be above low, and low above 0 on a log scale")
        return self


class Choice(BaseModel):
    """One of 2 to 5. What is right is said (`answer`, counted from 1), measured (`truth`, and `until` with each option but the last), or a verdict on a pair
    of arms (`pair`: the options are then first better, second better, cannot tell)."""

    model_config = STRICT

    kind: Literal["choice"]
    ask: Sentence
    options: Annotated[list[Option], Field(min_length=2, max_length=5)]
    answer: int | None = None
    truth: Asked | None = None
    pair: Annotated[list[Reference], Field(min_length=2, max_length=2)] | None = None

    @model_validator(mode="after")
    def _right(self) -> Choice:
        ways = [name for name in ("answer", "truth", "pair") if getattr(self, name) is not None]
        if len(ways) != 1:
            raise ValueError(f"options: say which is right with one of answer, truth or pair (there {'is none' if not ways else 'are ' + ' and '.join(ways)})")
        if self.answer is not None and not 1 <= self.answer <= len(self.options):
            raise ValueError(f"answer is {self.answer}: must be 1 to {len(self.options)}")
        if self.pair is not None and len(self.options) != 3:
            raise ValueError(f"options has {len(self.options)}: a verdict has three, first better, second better, cannot tell")
        limits = [option.until for option in self.options[:-1]]
        if self.truth is not None and (None in limits or limits != sorted(limits) or self.options[-1].until is not None):
            raise ValueError("options: with truth each but the last needs until, rising")
        return self


class Order(BaseModel):
    """Arms put into an order, the largest first."""

    model_config = STRICT

    kind: Literal["order"]
    ask: Sentence
    measure: str
    arms: Annotated[list[Reference], Field(min_length=3, max_length=6)]
    right: Sentence
    wrong: Sentence


class Curve(BaseModel):
    """A curve drawn over the arms of a comparison, from left to right."""

    model_config = STRICT

    kind: Literal["curve"]
    ask: Sentence
    measure: str
    over: str  # a comparison
    low: float
    high: float
    close: Sentence
    apart: Sentence
    within: float = Field(gt=0)  # a mean distance to the measured points that counts as close


Prediction = Annotated[Number | Choice | Order | Curve, Field(discriminator="kind")]


# ── after the run ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Seen(BaseModel):
    """One answer to a question about what is on the chart."""

    model_config = STRICT

    text: Sentence
    says: Sentence
    right: bool = False


class Observation(BaseModel):
    """A question about what was seen; a wrong answer is shown back on what `show` names."""

    model_config = STRICT

    ask: Sentence
    options: Annotated[list[Seen], Field(min_length=2, max_length=5)]
    show: str = ""  # a figure, run or comparison of this lesson

    @model_validator(mode="after")
    def _one(self) -> Observation:
        if sum(option.right for option in self.options) != 1:
            raise ValueError("options: exactly one is right: true")
        return self


class Claim(BaseModel):
    """A sentence, its source, and the rule that would contradict it.

    above, below: `value` against `than` (a number, or another arm); within noise: the arms `pair` cannot be told apart; order: `measure` falls from arm to
    arm of `arms`; equal: `value` is `than` but for `tolerance`. `here` is what came out of the recorded runs, and `why` is said where that is not "holds".
    """

    model_config = STRICT

    sentence: Sentence
    source: Sentence
    rule: Literal["above", "below", "within noise", "order", "equal"]
    value: Asked | None = None
    than: float | Reference | None = None
    tolerance: float = Field(0.0, ge=0)
    pair: Annotated[list[Reference], Field(min_length=2, max_length=2)] | None = None
    arms: Annotated[list[Reference], Field(min_length=2, max_length=8)] | None = None
    measure: str = "score"
    number: int | None = Field(None, ge=1, le=99)  # in the list of claims of the course
    here: Literal["holds", "contradicted", "cannot tell"] = "holds"
    why: str = ""

    @model_validator(mode="after")
    def _parts(self) -> Claim:
        needs = {"above": ("value", "than"), "below": ("value", "than"), "equal": ("value", "than"), "within noise": ("pair",), "order": ("arms",)}[self.rule]
        for name in ("value", "than", "pair", "arms"):
            if (getattr(self, name) is not None) != (name in needs):
                raise ValueError(f'{name} {"is missing: the rule" if name in needs else "is not used by the rule"} "{self.rule}" takes {" and ".join(needs)}')
        if self.here != "holds" and not self.why:
            raise ValueError(f'why is missing: the recorded runs say "{self.here}", so say why these small models do')
        return self


class Quiz(BaseModel):
    """A question with one right answer, for the end of a lesson."""

    model_config = STRICT

    ask: Sentence
    options: Annotated[list[Seen], Field(min_length=2, max_length=5)]
    misconception: str = ""  # M1 to M12

    @model_validator(mode="after")
    def _one(self) -> Quiz:
        if sum(option.right for option in self.options) != 1:
            raise ValueError("options: exactly one is right: true")
        return self


class Figure(BaseModel):
    """Something to look at: a part of another tab, of this run, comparison or measurement, or a picture of the lesson's own."""

    model_config = STRICT

    kind: Literal["anatomy", "count", "memory", "timeline", "neighbours", "curves", "scores", "answers", "picture", "table"]
    of: str = ""
    file: str = ""
    caption: Sentence

    @model_validator(mode="after")
    def _one(self) -> Figure:
        if (self.kind == "picture") == (not self.file) or (self.kind == "picture") == bool(self.of):
            raise ValueError('of or file: a "picture" has the name of a file, all others what they are of')
        return self


class Explore(BaseModel):
    """One thing changed in a run: the Train tab opens with it, or the comparison with it in the Compare tab."""

    model_config = STRICT

    text: Sentence
    of: str
    change: dict[str, Any] = Field(default_factory=dict)


class Measured(BaseModel):
    """A measurement of the catalogue, with knobs of its own."""

    model_config = STRICT

    name: str
    knobs: dict[str, Any] = Field(default_factory=dict)


# ── the whole ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Matter(BaseModel):
    """The front matter."""

    model_config = STRICT

    title: Annotated[str, Field(min_length=3, max_length=80)]
    about: Sentence
    minutes: int = Field(ge=1, le=120)
    needs: list[str] = []  # lessons before this one
    terms: list[str] = []  # of the glossary, first met here
    explains: dict[str, str] = {}  # methods, each with the heading of the step at which “Why?” after a run of it opens this lesson
    runs: dict[str, dict[str, Any]] = {}
    comparisons: dict[str, str | dict[str, Any]] = {}  # a file of assets/comparisons, or one written here
    measurements: dict[str, Measured] = {}
    predictions: dict[str, Prediction] = {}
    observations: dict[str, Observation] = {}
    figures: dict[str, Figure] = {}
    claims: dict[str, Claim] = {}
    explore: dict[str, Explore] = {}
    quiz: dict[str, Quiz] = {}


KINDS = {"Predict": "predictions", "Run": "runs", "Compare": "comparisons", "Measure": "measurements", "Observe": "observations", "Figure": "figures",
         "Claim": "claims", "Explore": "explore", "Quiz": "quiz"}
RESULTS = ("Run", "Compare", "Measure")  # what must be predicted before it is shown
OF_ONE = ("anatomy", "count", "timeline", "neighbours", "curves", "answers")  # figures of a run or of one arm, never of a whole comparison
CONTROLS = ("Predict", "Observe", "Quiz", *RESULTS)  # one a step


@dataclass(frozen=True)
class Words:
    """Markdown between two places."""

    text: str
    line: int


@dataclass(frozen=True)
class Place:
    """Where something of the front matter stands in the text: `**Predict** `share``."""

    kind: str
    name: str
    line: int


@dataclass(frozen=True)
class Step:
    """What is on the screen at once; its heading is that of its section."""

    heading: str
    blocks: tuple[Words | Place, ...]

    @property
    def places(self) -> Iterator[Place]:
        return (block for block in self.blocks if isinstance(block, Place))


@dataclass(frozen=True)
class Lesson:
    key: str  # the file's name without .md, such as 05-lora
    matter: Matter
    runs: Mapping[str, RunSpec]
    comparisons: Mapping[str, Comparison]
    steps: tuple[Step, ...]
    opening: str  # Markdown before the first step
    pictures: Mapping[str, Path] = field(default_factory=dict)  # where the file of each picture lies, by its name

    @property
    def number(self) -> int:
        return int(self.key.partition("-")[0])

    @property
    def places(self) -> tuple[Place, ...]:
        """Of all steps, in the order of the text."""
        return tuple(place for step in self.steps for place in step.places)

    def arm(self, reference: str) -> tuple[str, str]:
        """(comparison, arm) of `comparison/arm`; ("", name) of a run or a measurement."""
        comparison, slash, arm = reference.partition("/")
        return (comparison, arm) if slash else ("", reference)

    def unit(self, measure: str, of: str) -> str:
        """Raises LabError for a quantity that there is not."""
        if of in self.matter.measurements:
            return catalogue.find("measurements", self.matter.measurements[of].name).unit(measure)
        return measures.find(measure).unit
