"""Secrets stay out of what is printed and logged: tokens of the Hub by their form, and whatever the environment keeps under a secret's name."""
from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO

SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_KEY|ACCESS_KEY|CLASS_CODE", re.IGNORECASE)
NO_VALUES = ("_PATH", "_FILE", "_DIR")  # such a variable names a place
FORMS = re.compile(r"hf_[A-Za-z0-9]{8,}|eyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*|(?i:(?<=bearer )[\w.~+/=-]{8,})")  # of the Hub, a JSON web token, a header
SHORTEST = 6  # shorter values are words, and would be taken out of everything
INSTEAD = "[secret]"


def secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Values that must not be shown, the longest first."""
    named = (value for name, value in environment.items() if named_secret(name))
    return tuple(sorted({value for value in named if len(value) >= SHORTEST}, key=len, reverse=True))


def named_secret(variable: str) -> bool:
    return bool(SECRET_NAMES.search(variable)) and not variable.upper().endswith(NO_VALUES)


def redacted(text: str, known: tuple[str, ...] = ()) -> str:
    for value in known:
        text = text.replace(value, INSTEAD)
    return FORMS.sub(INSTEAD, text)


class Redacting:
    """A stream that writes everything but secrets; in all else the stream it stands for."""

    def __init__(self, stream: TextIO, known: tuple[str, ...]) -> None:
        self._stream, self._known = stream, known

    def write(self, text: str) -> int:
        self._stream.write(redacted(text, self._known))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard() -> None:
    """From now on for this process: what is printed, tracebacks, and logs, whose handlers find the streams when they are made."""
    known = secrets(os.environ)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Redacting):
            setattr(sys, name, Redacting(stream, known))
