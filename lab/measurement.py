"""What a measurement promises: a claim that no training run answers, settled by a small computation on real weights, with its numbers as a table.

No torch at the top here or in a measurement: the page imports both.
"""
from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from lab import catalogue
from lab.contracts import LabError, explain, shorten
from lab.spec import RunSpec

Progress = tuple[int, int]  # how much is done, of how much
PROGRESS, MEASURED = "progress", "measured"  # the names under which a measurement that goes on tells how far it is, and in the end what came out
KIND = "measure"  # of such a job
LONGEST = 8_000  # characters of its JSON


class Gives(NamedTuple):
    """A quantity a measurement gives: its unit (count, bytes, share, seconds, points, loss, times) and what it is."""

    unit: str
    about: str


class Measurement(BaseModel, ABC):
    """Its fields are its knobs, as a method's are."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    key: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]  # what is done, in two sentences for a student
    source: ClassVar[str] = ""
    gives: ClassVar[Mapping[str, Gives]]

    @classmethod
    def unit(cls, quantity: str) -> str:
        """Raises LabError for a quantity it does not give."""
        if quantity not in cls.gives:
            raise LabError(f'{cls.key} gives no "{quantity}": it gives {", ".join(cls.gives)}')
        return cls.gives[quantity].unit

    @classmethod
    def made(cls, knobs: Mapping[str, Any]) -> Measurement:
        """With these knobs. Raises LabError in the lab's words."""
        try:
            return cls.model_validate(dict(knobs))
        except ValidationError as error:
            raise explain(error, cls) from None

    def specs(self) -> dict[str, RunSpec]:
        """The runs that it trains, by the names of their folders; none where it trains nothing."""
        return {}

    @abstractmethod
    def measure(self, workshop: Any) -> Generator[Progress, None, dict[str, Any]]:
        """Yields how far it is; returns {"values": {quantity: [value, standard error]}, "columns": […], "rows": [[…]]}, plain JSON values. The standard
        error is 0 where the same computation gives the same number again."""


def named(key: str, knobs: Mapping[str, Any]) -> str:
    """A measurement with its knobs in one line: equal ones have an equal name."""
    asked = catalogue.find("measurements", key).made(knobs)
    return f"{key} {json.dumps(asked.model_dump(mode='json'), sort_keys=True, separators=(',', ':'))}"


class Measuring(BaseModel):
    """A measurement as a job of the store: which one, with which knobs."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ignored_types=(cached_property,))

    measurement: str
    knobs: dict[str, Any] = {}

    @classmethod
    def parse(cls, data: Any) -> Measuring:
        """From the dict form, with all knobs. Raises LabError."""
        if not isinstance(data, Mapping):
            raise LabError(f"this is {shorten(data)}: what is to be measured is an object with measurement and knobs")
        try:
            asked = cls.model_validate(dict(data))
        except ValidationError as error:
            raise explain(error, cls) from None
        return asked.model_copy(update={"knobs": asked.made.model_dump(mode="json")})

    @classmethod
    def from_json(cls, text: str) -> Measuring:
        if len(text) > LONGEST:
            raise LabError(f"what is to be measured has {len(text):,} characters: at most {LONGEST:,}")
        return cls.parse(json.loads(text))

    @cached_property
    def made(self) -> Measurement:
        """Raises LabError for an unknown measurement, and for a knob out of bounds."""
        return catalogue.find("measurements", self.measurement).made(self.knobs)

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @cached_property
    def fingerprint(self) -> str:
        """Equal measurements have an equal fingerprint."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()
