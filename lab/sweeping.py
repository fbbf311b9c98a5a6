"""Learning rates, measured: each method is trained on validation items at several rates, and the page says how many were tried beside each default.

Every run is kept as an event stream, also one that failed, and a stopped sweep goes on where it was: the default first, then uphill.

    python -m lab.sweeping [--models KEY …] [--methods KEY …] [--most N] [--out FOLDER]
    python -m lab.sweeping --base [--models KEY …]    what the untouched models score on the same items, for those that answer without training
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import log10
from pathlib import Path
from types import MappingProxyType
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
FEWEST = 3  # rates without which nothing is said of how exact one must be: the best and one on either side
POINTS = 0.02  # what a good rate may lose against the best, or a standard error where that is more
SUMMARY = "summary.json"
BASE = "base.json"


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Tried:
    """One learning rate of one method on one model, and how it ran: on a machine that may have had other work."""

    lr: float
    score: float | None  # on validation items; None where the run failed
    se: float
    reason: str = ""
    training_seconds: float | None = None
    seconds: float | None = None  # in all, scores included
    dtype: str = ""
    threads: int = 0


@dataclass(frozen=True)
class Sweep:
    """All rates tried for a method on a model, lowest first. `base` is what the untouched model scores on the same items, where it answers at all."""

    task: str
    steps: int
    majority: float
    tried: tuple[Tried, ...]
    base: float | None = None

    @property
    def best(self) -> Tried | None:
        return max((each for each in self.tried if each.score is not None), key=lambda each: each.score, default=None)

    @property
    def beaten(self) -> float:
        """What has to be beaten: the majority class, and the untouched model where that is better."""
        return max(self.majority, self.base or 0.0)

    @property
    def learns(self) -> bool:
        """Whether the best rate is clearly above the majority class and the untouched model: by more than twice the standard error, and by 3 points."""
        return self.best is not None and self.best.score - self.beaten > self.margin

    @property
    def margin(self) -> float:
        """From where on a lead of the best is clear."""
        return max(2 * self.best.se, 0.03) if self.best else 0.0

    def at(self, lr: float) -> Tried | None:
        return next((each for each in self.tried if _equal(each.lr, lr)), None)

    @property
    def good(self) -> tuple[float, float] | None:
        """Lowest and highest of the best rate's neighbours that come near it (`near_best`); None where too few were tried to know."""
        if len(self.tried) < FEWEST or not self.learns:
            return None
        first, last = near_best([each.score for each in self.tried], [each.se for each in self.tried])
        return self.tried[first].lr, self.tried[last].lr

    @property
    def quickest(self) -> Tried | None:
        """The run of these that took least: how long a method needs hardly depends on its rate."""
        return min((each for each in self.tried if each.seconds), key=lambda each: each.seconds, default=None)


def near_best(scores: Sequence[float | None], errors: Sequence[float], points: float = POINTS) -> tuple[int, int]:
    """First and last place of those around the highest score that lose at most so many points, or its standard error where that is more, against it. It
    ends at the first that loses more on either side, whatever lies beyond; None is worse than all."""
    known = [float("-inf") if score is None else score for score in scores]
    top = max(range(len(known)), key=lambda place: known[place])
    bar = known[top] - max(points, errors[top])
    first = last = top
    while first and known[first - 1] >= bar:
        first -= 1
    while last < len(known) - 1 and known[last + 1] >= bar:
        last += 1
    return first, last


def _equal(one: float, other: float) -> bool:
    return abs(log10(one / other)) < 0.02


@cache
def sweeps(folder: Path) -> Mapping[tuple[str, str], Sweep]:
    """(model, method) → what was tried, from the summary that the sweep writes; nothing where none was recorded."""
    path = folder / SUMMARY
    found = json.loads(path.read_text()) if path.exists() else {}
    return {(model, method): Sweep(**{**sweep, "tried": tuple(Tried(**each) for each in sweep["tried"])})
            for model, methods in found.items() for method, sweep in methods.items()}


def rates_tried(spec: RunSpec, known: Mapping[tuple[str, str], Sweep]) -> int | None:
    """How many learning rates its default was chosen from; None where that was not looked for on its model."""
    sweep = known.get((str(spec.model), spec.method.key))
    return len(sweep.tried) if sweep and sweep.at(spec.lr) else None


def note_rates(arms: Sequence[dict[str, Any]], specs: Iterable[RunSpec], known: Mapping[tuple[str, str], Sweep]) -> None:
    """Write that into each arm of a report."""
    for arm, spec in zip(arms, specs, strict=True):
        arm["rates"] = rates_tried(spec, known)


def usual(model: str, method: str) -> RunSpec | None:
    """The method at its defaults on movies; None where it cannot be used, or trains nothing at a rate of its own."""
    try:
        spec = RunSpec.parse({"model": model, "method": method, "task": "movies"})
    except LabError:
        return None
    return None if {"steps", "lr"} & set(spec.method.fixed) or not spec.counts.trainable else spec


Defaults = Callable[[str, str], RunSpec | None]  # (model, method) → what is swept


def summarised(recorded: Iterable[Recorded], bases: Mapping[str, Mapping[str, Any]] = MappingProxyType({}), defaults: Defaults = usual,
               ) -> dict[str, dict[str, Any]]:
    """The streams in short, as the summary holds them, those of other defaults than today's left out. `bases` is what BASE holds."""
    found: dict[str, dict[str, Any]] = {}
    for each in recorded:
        spec, result = each.spec, each.result
        if not current(each, defaults):
            continue
        last = next((score for score in result.evaluations if score.split == "validation" and score.step == spec.steps), None)
        score = (round(last.score, 4), round(last.standard_error, 4)) if last and result.state == "finished" else (None, 0.0)
        base = bases.get(spec.model, {}).get(spec.task)
        found.setdefault(spec.model, {}).setdefault(spec.method.key, {
            "task": spec.task, "steps": spec.steps, "majority": each.made["majority"], "base": base["score"] if base else None, "tried": [],
        })["tried"].append({
            "lr": spec.lr, "score": score[0], "se": score[1], "reason": result.reason, "training_seconds": _rounded(result.seconds.get("training")),
            "seconds": _rounded(result.seconds.get("total")), "dtype": result.started.dtype, "threads": result.started.threads})
    for methods in found.values():
        for sweep in methods.values():
            sweep["tried"].sort(key=lambda each: each["lr"])
    return found


def current(recorded: Recorded, defaults: Defaults = usual) -> bool:
    """Whether a run was made as it would be today: with another default, or a knob that came later, it is another run, and says nothing of this one."""
    spec = defaults(str(recorded.spec.model), recorded.spec.method.key)
    return spec is not None and at_rate(spec, recorded.spec.lr).fingerprint == recorded.result.started.fingerprint


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


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
    """What was recorded of a method at these settings."""
    streams = (read(path) for path in sorted(out.glob(f"{spec.model}_{spec.method.key}_*.jsonl.gz")))
    found = summarised((each for each in streams if each.spec.method.key == spec.method.key), defaults=lambda model, method: spec)
    return [Tried(**each) for each in found.get(str(spec.model), {}).get(spec.method.key, {"tried": []})["tried"]]


def round_rate(lr: float) -> float:
    """To one digit: 1, 3 or 10 times a power of ten and the like."""
    return float(f"{lr:.0e}")


def path_of(spec: RunSpec, out: Path) -> Path:
    return out / f"{spec.model}_{spec.method.key}_{spec.lr:g}.jsonl.gz"


def known(path: Path, spec: RunSpec) -> bool:
    """Whether this very run is recorded: a changed default makes it another."""
    return path.exists() and read(path).result.started.fingerprint == spec.fingerprint


def sweep(specs: Iterable[RunSpec], workshop: Any, out: Path, defaults: Defaults = usual) -> None:
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
        write_summary(out, defaults)


def record_base(specs: Iterable[RunSpec], workshop: Any, out: Path) -> None:
    """What the untouched model of each spec answers to the validation items that the sweep's scores are of; nothing of one that gives features, whose head
    has learned nothing before."""
    found = bases(out)
    for spec in specs:
        if spec.shape.writes:
            found.setdefault(str(spec.model), {})[str(spec.task)] = base_score(spec, workshop)
            print(f"{spec.model}, {spec.task}: {found[spec.model][spec.task]['score']}", file=sys.stderr, flush=True)
    _put(out / BASE, found)


def base_score(spec: RunSpec, workshop: Any) -> dict[str, Any]:
    """The engine's own score of the untouched model, and what it was made with."""
    from lab.engine.job import prepare
    from lab.engine.scoring import finished

    job = finished(prepare(spec, workshop))
    items = job.data.splits.validation[:ITEMS[spec.shape.kind]]
    seen = finished(job.prompted(spec.goal.prompt, items)).evaluated("base", "validation", 0, spec.goal.metric)
    return {"score": round(seen.score, 4), "se": round(seen.standard_error, 4), "items": seen.items, "dtype": str(job.dtype).removeprefix("torch."),
            "weights_sha256": job.pristine.sha256, "data_sha256": job.data.sha256, **provenance("python -m lab.sweeping --base")}


def bases(folder: Path) -> dict[str, dict[str, Any]]:
    """model → task → what its untouched weights score; nothing where none was recorded."""
    path = folder / BASE
    return json.loads(path.read_text()) if path.exists() else {}


def write_summary(out: Path, defaults: Defaults = usual) -> None:
    """Raises LabError where a stream has no beginning."""
    _put(out / SUMMARY, summarised(map(read, sorted(out.glob("*.jsonl.gz"))), bases(out), defaults))


def _put(path: Path, found: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name(f"{path.name}.part")
    whole.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    whole.replace(path)


def main() -> int:
    spin_briefly(os.environ)
    from lab.engine import Workshop
    from lab.supply import default_cache

    parser = argparse.ArgumentParser(prog="python -m lab.sweeping", description="Train methods at several learning rates and keep what came out.")
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--methods", nargs="*", default=())
    parser.add_argument("--most", type=int, default=MOST, choices=range(1, 10), help="learning rates of a method")
    parser.add_argument("--base", action="store_true", help="only score the untouched models on the same items, and write the summary")
    parser.add_argument("--out", type=Path, default=Path("assets/sweeps"))
    parser.add_argument("--cache", type=Path, default=None, help="folder of fetched weights and data")
    options = parser.parse_args()
    try:
        workshop = Workshop(options.cache or default_cache())
        if options.base:
            record_base([RunSpec.parse({"model": model, "method": "lora", "task": "movies"}) for model in options.models], workshop, options.out)
            write_summary(options.out)
            return 0
        for most in range(1, options.most + 1):  # all methods at one rate before any at two, so that a sweep that is stopped has something on each
            sweep(planned(tuple(options.models), tuple(options.methods), most, options.out), workshop, options.out)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
