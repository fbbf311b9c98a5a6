"""How workers die, and what the runs that they held are told: a reason and what to do."""
from __future__ import annotations

import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab.serving import KIND

LAST_WORDS_BYTES = 2_000

STOPPED = ("The lab was stopped while this run was going.", "Run it again: nothing in its settings was wrong.")
OUT_OF_MEMORY = ("The system ended this run's worker, probably because the machine ran out of memory.",
                 "Halve the batch or the text length, turn checkpointing on, or choose a smaller model or a method that trains less.")
NO_MEMORY = ("bad_alloc", "MemoryError", "allocate memory", "Thread creation failed")  # last words of libraries that end the process themselves
TOO_MUCH_ASKED = ("The system ended the worker that answers, probably because the machine ran out of memory.",
                  "Ask again in a moment; if that happens again, ask a run of a smaller model.")
CRASHED_ADVICE = "Run it again; if that happens again, change the settings or tell whoever hosts the lab. Nobody else's run was touched."


@dataclass(frozen=True)
class Death:
    """How a worker ended: the exit code, negative for a signal, and its last words."""

    name: str
    code: int
    log: str
    file: str = ""


def why(death: Death, kind: str = "train") -> tuple[str, str]:
    """Reason and advice for the run, or the question, of a worker that died."""
    if kind == KIND:
        out = -death.code == getattr(signal, "SIGKILL", None) or any(words in death.log for words in NO_MEMORY)
        return TOO_MUCH_ASKED if out else ("The worker that answers ended unexpectedly.", "Ask again: it is started anew. No training was touched.")
    if -death.code == getattr(signal, "SIGKILL", None) or any(words in death.log for words in NO_MEMORY):
        return OUT_OF_MEMORY
    if death.code < 0:
        return f"This run's worker crashed ({signal.Signals(-death.code).name}).", CRASHED_ADVICE
    return f"This run's worker ended unexpectedly (exit code {death.code}).", CRASHED_ADVICE


def last_words(path: Path, start: int) -> str:
    """The last words after `start`."""
    with suppress(OSError):
        return path.read_bytes()[start:][-LAST_WORDS_BYTES:].decode(errors="replace")
    return ""
