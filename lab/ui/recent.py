"""What many ask for at the same moment, worked out once."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Keeps the last value for so many seconds; one thread makes a new one while the others wait for it."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self._clock, self._lock = seconds, clock, threading.Lock()
        self._kept: tuple[float, Hashable, Value] | None = None

    def get(self, key: Hashable, make: Callable[[], Value], enough: Callable[[Value], bool] = lambda value: True) -> Value:
        """The value for the key; made anew where it is older, of another key, or not `enough`."""
        with self._lock:
            if self._kept is not None:
                made, known, value = self._kept
                if known == key and self._clock() - made < self.seconds and enough(value):
                    return value
            value = make()
            self._kept = self._clock(), key, value
            return value
