"""What a measurement promises: a claim that no training run answers, settled by a small computation on real weights, with its numbers as a table.

No torch at the top here or in a measurement: the page imports both.
"""
from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from lab import catalogue
from lab.contracts import LabError, explain

Progress = tuple[int, int]  # how much is done, of how much


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

    @abstractmethod
    def measure(self, workshop: Any) -> Generator[Progress, None, dict[str, Any]]:
        """Yields how far it is; returns {"values": {quantity: [value, standard error]}, "columns": […], "rows": [[…]]}, plain JSON values. The standard
        error is 0 where the same computation gives the same number again."""


def named(key: str, knobs: Mapping[str, Any]) -> str:
    """A measurement with its knobs in one line: equal ones have an equal name."""
    asked = catalogue.find("measurements", key).made(knobs)
    return f"{key} {json.dumps(asked.model_dump(mode='json'), sort_keys=True, separators=(',', ':'))}"
