"""Why a run failed, in a student's words, and what to change."""
from __future__ import annotations

import re
import traceback
from math import isfinite

from lab.contracts import LabError, number
from lab.engine.room import TooLarge
from lab.events import Failed
from lab.spec import RunSpec

PATIENCE = 20  # steps in a row that the loss may stay far above its start
FAR = 3.0
OUT_OF_MEMORY = ("can't allocate memory", "cannot allocate memory", "out of memory")  # torch, the system's mmap, CUDA


class Diverged(LabError):
    """The loss stopped being a number, or ran away from its start."""


class Damaged(LabError):
    """The loss was no number before anything was trained."""


def check_loss(loss: float, step: int, started_at: float, far_for: int) -> int:
    """How many steps in a row the loss has been far above its start; raises Diverged when it is no number, or stayed far too long, and Damaged when it is
    none from the start."""
    if not isfinite(loss) and step == 1:  # taken before the first update
        raise Damaged("The loss is not a number before anything was trained: the weights of the base are damaged, or too large for this number format.")
    if not isfinite(loss):
        raise Diverged(f"The loss is not a number any more, from step {step}: the steps were so large that the weights overflowed.")
    far_for = far_for + 1 if loss > FAR * started_at + 1 else 0
    if far_for >= PATIENCE:
        raise Diverged(f"The loss ran away: it was {started_at:.2f} at the start and has been above {FAR * started_at + 1:.2f} for {PATIENCE} steps.")
    return far_for


def diagnose(error: BaseException, spec: RunSpec, step: int) -> Failed:
    """The event for an exception. `detail` holds the traceback without the paths of this machine."""
    detail = _without_paths("".join(traceback.format_exception(error)))
    if isinstance(error, Diverged):
        lower = spec.lr / 10
        return Failed(str(error), f"Lower the learning rate: it is {number(spec.lr)}, try {number(lower)}." + _known_band(spec), "lr", step, detail)
    if out_of_memory(error):
        return Failed(
            "The run needed more memory than it may use: what the forward pass keeps for the backward pass grows with batch and text length.",
            f"Halve the batch (now {spec.batch}) or the text length (now {spec.tokens} tokens), or turn checkpointing on.", "batch", step, detail)
    if isinstance(error, TooLarge):
        return Failed(str(error), f"Halve the batch (now {spec.batch}) or the text length (now {spec.tokens} tokens).", "batch", step, detail)
    return _other(error, step, detail)


def diagnose_look(error: BaseException) -> Failed:
    """The event for an exception of a look at a finished run."""
    detail = _without_paths("".join(traceback.format_exception(error)))
    if out_of_memory(error):
        return Failed("Looking inside needed more memory than it may use.", "Ask for fewer items, or look at a run of a smaller model.", detail=detail)
    return _other(error, 0, detail)


def diagnose_measurement(error: BaseException) -> Failed:
    """The event for an exception while something was measured."""
    detail = _without_paths("".join(traceback.format_exception(error)))
    if out_of_memory(error):
        return Failed("Measuring this needed more memory than a run may use here.", "Look at the recorded numbers instead.", detail=detail)
    return _other(error, 0, detail)


def diagnose_question(error: BaseException) -> Failed:
    """The event for an exception while a question to a finished run was answered."""
    detail = _without_paths("".join(traceback.format_exception(error)))
    if out_of_memory(error):
        return Failed("Answering needed more memory than the place for questions may use.", "Ask again; if that fails too, ask a run of a smaller model, or "
                      "close what else takes memory on this machine.", detail=detail)
    return _other(error, 0, detail)


def out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in OUT_OF_MEMORY)


def _other(error: BaseException, step: int, detail: str) -> Failed:
    if isinstance(error, Damaged):
        return Failed(str(error), "Run it again: the weights are read anew. If that does not help, choose float32.", "", step, detail)
    if isinstance(error, LabError):
        return Failed(str(error), "", "", step, detail)
    if "os error 28" in str(error):  # as libraries in Rust say it
        return Failed("The disk got in the way: No space left on device.", "Free some space or try again.", "", step, detail)
    if isinstance(error, OSError):
        words = error.strerror or _without_paths(str(error))[:200]
        return Failed(f"The disk or the network got in the way: {words}.", "Free some space or try again.", "", step, detail)
    return Failed(f"The lab made a mistake here ({type(error).__name__}: {_without_paths(str(error))[:200]}).",
                  "This is not your doing: please tell whoever hosts the lab, with the link of this run.", "", step, detail)


def _known_band(spec: RunSpec) -> str:
    rate = spec.method.rates[spec.shape.kind]
    return f" {spec.method.title} usually learns between {number(rate.low)} and {number(rate.high)}."


def _without_paths(text: str) -> str:
    return re.sub(r"(/[\w.@+-]+){2,}/", "…/", text)
