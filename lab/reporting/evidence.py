"""What is known of a comparison's methods beside its own runs: how exact their learning rate must be, and on how many tasks they do well as they come."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import log10
from statistics import fmean

from lab import catalogue
from lab.compare import Comparison
from lab.compare.comparison import follows
from lab.comparing import Shelf
from lab.events import RunResult
from lab.metrics import METRICS
from lab.recording import Recorded
from lab.reporting.tradeoffs import POINTS, Evidence
from lab.spec import RunSpec
from lab.sweeping import Sweep

Sweeps = Mapping[tuple[str, str], Sweep]


def evidence(comparison: Comparison, sweeps: Sweeps, shelf: Shelf | None = None, recorded: Sequence[Recorded] = ()) -> Evidence:
    """Only of arms that are a method as it comes: its default knobs and learning rate. A task counts where all of them have a recorded score on it."""
    plain = {name: spec for name, spec in comparison.specs.items() if _as_it_comes(spec)}
    tried = {name: sweeps.get((str(spec.model), spec.method.key)) for name, spec in plain.items()}
    widths = {name: log10(sweep.good[1] / sweep.good[0]) for name, sweep in tried.items() if sweep is not None and sweep.good is not None}
    if len(plain) < len(comparison.specs):
        return Evidence(widths)
    scores: dict[str, dict[str, list[float]]] = {}
    for spec, result in _recorded(shelf, recorded, str(comparison.base_spec.model), {spec.method.key for spec in plain.values()}):
        tuned = result.scores.get("tuned")
        if tuned is not None and tuned.score is not None:
            scores.setdefault(str(spec.task), {}).setdefault(spec.method.key, []).append(tuned.score)
    near = {name: [0, 0] for name in plain}
    for task, by_method in scores.items():
        if any(spec.method.key not in by_method for spec in plain.values()):
            continue
        means = {name: fmean(by_method[spec.method.key]) for name, spec in plain.items()}
        scale = METRICS[_metric(task)].most if _metric(task) in METRICS else 1.0
        for name, mean in means.items():
            near[name][0] += mean >= max(means.values()) - POINTS * scale
            near[name][1] += 1
    return Evidence(widths, {name: (count, of) for name, (count, of) in near.items()})


def _as_it_comes(spec: RunSpec) -> bool:
    return _like(spec, _defaults(spec))


def _like(spec: RunSpec, usual: RunSpec) -> bool:
    return spec.method == usual.method and follows(spec) and not spec.quantization and not spec.shuffle_labels


def _defaults(spec: RunSpec) -> RunSpec:
    """What one gets who chooses nothing but model, task and method."""
    return RunSpec.parse({"model": spec.model, "task": spec.task, "method": spec.method.key})


def _metric(task: str) -> str:
    return catalogue.find("tasks", task).metric


def _recorded(shelf: Shelf | None, recorded: Sequence[Recorded], model: str, methods: set[str]) -> Iterator[tuple[RunSpec, RunResult]]:
    """Every recorded run of these methods as they come, once."""
    seen = set()
    for each in recorded:
        if each.spec.model == model and each.spec.method.key in methods and _usual(each.spec):
            seen.add(each.spec.fingerprint)
            yield each.spec, each.result
    for asked in shelf.questions.values() if shelf else ():
        for spec in asked.runs.values():
            if spec.model == model and spec.method.key in methods and spec.fingerprint not in seen and _usual(spec):
                seen.add(spec.fingerprint)
                kept = shelf.of(spec)
                if kept is not None:
                    yield spec, kept.result


def _usual(spec: RunSpec) -> bool:
    """With as many steps and texts as one gets who chooses nothing."""
    usual = _defaults(spec)
    return _like(spec, usual) and (spec.steps, spec.batch, spec.train_items) == (usual.steps, usual.batch, usual.train_items)
