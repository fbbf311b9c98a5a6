"""Learning rates, measured: each method is trained on validation items at several rates, and the page says how many were tried beside each default.

Every run is kept as an event stream, also one that failed, and a stopped sweep goes on where it was: the default first, then uphill.

    python -m lab.sweeping [--models KEY …] [--methods KEY …] [--most N] [--out FOLDER]
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import log10
from pathlib import Path
from typing import Any

from lab import catalogue
from lab.contracts import LabError
from lab.recording import Recorded, provenance, read, write
from lab.spec import RunSpec
from lab.waiting import spin_briefly

MODELS = ("minilm-l6", "smollm2-135m")
STEP = 10 / 3  # between neighbouring rates: 1, 3, 10, 30 …
MOST = 5  # rates of a method
ITEMS = {"encoder": 400, "decoder": 200}  # validation items behind a score: a standard error of 2.5 and 3.5 points at most; a decoder takes much longer to ask
SUMMARY = "summary.json"


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Tried:
    """One learning rate of one method on one model."""

    lr: float
    score: float | None  # on validation items; None where the run failed
    se: float
    reason: str = ""


@dataclass(frozen=True)
class Sweep:
    """All rates tried for a method on a model, lowest first."""

    task: str
    steps: int
    majority: float
    tried: tuple[Tried, ...]

    @property
    def best(self) -> Tried | None:
        return max((each for each in self.tried if each.score is not None), key=lambda each: each.score, default=None)

    @property
    def learns(self) -> bool:
        """Whether the best rate is clearly above the majority class: by more than twice the standard error, and by 3 points."""
        best = self.best
        return best is not None and best.score - self.majority > max(2 * best.se, 0.03)

    def at(self, lr: float) -> Tried | None:
        return next((each for each in self.tried if _equal(each.lr, lr)), None)

    @property
    def good(self) -> tuple[float, float] | None:
        """Lowest and highest rate tried that lose at most 2 points, or one standard error where that is more, against the best."""
        best = self.best
        if best is None or not self.learns:
            return None
        near = [each.lr for each in self.tried if each.score is not None and each.score >= best.score - max(0.02, best.se)]
        return min(near), max(near)


def _equal(one: float, other: float) -> bool:
    return abs(log10(one / other)) < 0.02


@cache
def sweeps(folder: Path) -> Mapping[tuple[str, str], Sweep]:
    """(model, method) → what was tried, from the summary that the sweep writes; nothing where none was recorded."""
    path = folder / SUMMARY
    found = json.loads(path.read_text()) if path.exists() else {}
    return {(model, method): Sweep(**{**sweep, "tried": tuple(Tried(**each) for each in sweep["tried"])})
            for model, methods in found.items() for method, sweep in methods.items()}


def summarised(recorded: Iterator[Recorded]) -> dict[str, dict[str, Any]]:
    """The streams in short, as the summary holds them."""
    found: dict[str, dict[str, Any]] = {}
    for each in recorded:
        spec, result = each.spec, each.result
        last = next((score for score in result.evaluations if score.split == "validation" and score.step == spec.steps), None)
        score = (round(last.score, 4), round(last.standard_error, 4)) if last and result.state == "finished" else (None, 0.0)
        found.setdefault(spec.model, {}).setdefault(
            spec.method.key, {"task": spec.task, "steps": spec.steps, "majority": each.made["majority"], "tried": []},
        )["tried"].append({"lr": spec.lr, "score": score[0], "se": score[1], "reason": result.reason})
    for methods in found.values():
        for sweep in methods.values():
            sweep["tried"].sort(key=lambda each: each["lr"])
    return found


# ── making ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def planned(models: tuple[str, ...], methods: tuple[str, ...], most: int, out: Path) -> Iterator[RunSpec]:
    """A round: for each method the next rate to try, where there is one. Raises LabError for an unknown key."""
    for folder, keys in (("models", models), ("methods", methods)):
        for key in keys:
            catalogue.find(folder, key)
    for model in models:
        for method in methods or catalogue.entries("methods"):
            spec = usual(model, method)
            if spec is not None:
                lr = next_rate(round_rate(spec.lr), recorded_rates(spec, out), most)
                if lr is not None:
                    yield at_rate(spec, lr)


def next_rate(default: float, tried: Sequence[Tried], most: int) -> float | None:
    """Uphill: the default, three times as much, then on beside the best until there is a worse one on either side. None where no more is to be tried."""
    if not any(_equal(each.lr, default) for each in tried):
        return default
    ordered = sorted(tried, key=lambda each: each.lr)
    best = max(range(len(ordered)), key=lambda place: -1 if ordered[place].score is None else ordered[place].score)
    if len(tried) >= most or 0 < best < len(ordered) - 1:
        return None
    return round_rate(ordered[-1].lr * STEP if best == len(ordered) - 1 else ordered[0].lr / STEP)


def at_rate(spec: RunSpec, lr: float) -> RunSpec:
    """Of the test items two are asked, the fewest there are."""
    return RunSpec.parse({**spec.to_dict(), "lr": lr, "eval_items": 2, "eval_every": spec.steps})


def recorded_rates(spec: RunSpec, out: Path) -> list[Tried]:
    """What was recorded of a method at its present defaults."""
    streams = [read(path) for path in sorted(out.glob(f"{spec.model}_{spec.method.key}_*.jsonl.gz"))]
    own = [each for each in streams if each.result.started.fingerprint == at_rate(spec, each.spec.lr).fingerprint]
    found = summarised(iter(own)).get(spec.model, {}).get(spec.method.key, {"tried": []})
    return [Tried(**each) for each in found["tried"]]


def usual(model: str, method: str) -> RunSpec | None:
    """The method at its defaults on movies; None where it cannot be used, or trains nothing at a rate of its own."""
    try:
        spec = RunSpec.parse({"model": model, "method": method, "task": "movies"})
    except LabError:
        return None
    return None if {"steps", "lr"} & set(spec.method.fixed) or not spec.counts.trainable else spec


def round_rate(lr: float) -> float:
    """To one digit: 1, 3 or 10 times a power of ten and the like."""
    return float(f"{lr:.0e}")


def path_of(spec: RunSpec, out: Path) -> Path:
    return out / f"{spec.model}_{spec.method.key}_{spec.lr:g}.jsonl.gz"


def known(path: Path, spec: RunSpec) -> bool:
    """Whether this very run is recorded: a changed default makes it another."""
    return path.exists() and read(path).result.started.fingerprint == spec.fingerprint


def sweep(specs: Iterator[RunSpec], workshop: Any, out: Path) -> None:
    from lab.engine import train
    from lab.engine.scoring import finished

    for spec in specs:
        path = path_of(spec, out)
        if known(path, spec):
            continue
        items = ITEMS[spec.shape.kind]
        labels = Counter(item.label for item in finished(workshop.data(spec.goal)).splits.validation[:items])
        events = [event for event in train(spec, workshop, looked_at=items) if event.name not in ("observed", "preparing")]
        write(path, provenance("python -m lab.sweeping") | {"majority": round(max(labels.values()) / labels.total(), 4)}, events)
        print(f"{path.name}: {events[-1].name}", file=sys.stderr, flush=True)
        write_summary(out)


def write_summary(out: Path) -> None:
    """Raises LabError where a stream has no beginning."""
    found = summarised(map(read, sorted(out.glob("*.jsonl.gz"))))
    whole = out / f"{SUMMARY}.part"
    whole.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    whole.replace(out / SUMMARY)


def main() -> int:
    spin_briefly(os.environ)
    from lab.engine import Workshop
    from lab.supply import default_cache

    parser = argparse.ArgumentParser(prog="python -m lab.sweeping", description="Train methods at several learning rates and keep what came out.")
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--methods", nargs="*", default=())
    parser.add_argument("--most", type=int, default=MOST, choices=range(1, 10), help="learning rates of a method")
    parser.add_argument("--out", type=Path, default=Path("assets/sweeps"))
    parser.add_argument("--cache", type=Path, default=None, help="folder of fetched weights and data")
    options = parser.parse_args()
    try:
        workshop = Workshop(options.cache or default_cache())
        for most in range(1, options.most + 1):  # all methods at one rate before any at two, so that a sweep that is stopped has something on each
            sweep(planned(tuple(options.models), tuple(options.methods), most, options.out), workshop, options.out)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
