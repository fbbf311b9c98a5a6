"""Experiments: several trainings planned from one run, submitted as ordinary runs as room appears, and shown while they end.

Nothing is kept here: which runs belong to an experiment follows from its settings, so a closed page finds it again. The page asks again and again;
with `go` in the question, runs that are still to be made are submitted.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.contracts import LabError
from lab.events import RunResult
from lab.lens import Experiment, made
from lab.spec import RunSpec
from lab.store import Run
from lab.ui import charts
from lab.ui.bench import Bench
from lab.ui.controls import label
from lab.ui.inside.curves import said
from lab.ui.inside.subject import Subjects
from lab.ui.planned import mine, stop, submit
from lab.ui.view import answered
from lab.ui.wording import about, plain, score


@dataclass(frozen=True)
class Part:
    """One run of an experiment: not there yet, on its way, or ended. `known` says that an equal one has ended here, whoever made it."""

    spec: RunSpec
    run: Run | None
    result: RunResult | None  # of a run that has finished
    known: bool = False
    step: int = 0

    @property
    def state(self) -> str:
        return "finished" if self.result else self.run.state if self.run else "known" if self.known else "missing"


def questions(subjects: Subjects) -> list[Callable[[Any], dict[str, Any]]]:
    """`trial` tells how an experiment stands, and with `go` makes what is missing of it; `halt` stops its runs."""

    def planned(asked: Any) -> tuple[Experiment, RunSpec]:
        return plan(subjects, str(asked.get("run")), str(asked.get("lens")), asked.get("knobs"), str(asked.get("owner", "")))

    @answered
    def trial(asked: Any) -> dict[str, Any]:
        experiment, spec = planned(asked)
        owner, full = str(asked.get("owner", "")), ""
        if asked.get("go") and owner:
            full = submit(subjects.bench, parts(subjects, experiment.specs(spec), owner), owner, ("failed", "cancelled") if asked.get("again") else ())
        return told(subjects.bench, experiment, spec, parts(subjects, experiment.specs(spec), owner), full)

    @answered
    def halt(asked: Any) -> dict[str, Any]:
        experiment, spec = planned(asked)
        owner = str(asked.get("owner", ""))
        stop(subjects.bench, parts(subjects, experiment.specs(spec), owner), owner)
        return told(subjects.bench, experiment, spec, parts(subjects, experiment.specs(spec), owner), "")

    return [trial, halt]


def plan(subjects: Subjects, run: str, key: str, knobs: Any, owner: str) -> tuple[Experiment, RunSpec]:
    """Raises LabError for a knob out of bounds, and for a run that such an experiment cannot be made of."""
    experiment = made(key, knobs if isinstance(knobs, Mapping) else {}, Experiment)
    spec = subjects.read(run, owner).spec
    if spec is None:
        raise LabError("the catalogue no longer has what this run names: open another run")
    fits = experiment.applies(spec)
    if not fits.ok:
        raise LabError(f"{experiment.title}: {fits.reason}")
    return experiment, spec


# ── its runs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def parts(subjects: Subjects, specs: Sequence[RunSpec], owner: str) -> list[Part]:
    """Each run of the plan as it stands: recorded, of this browser, in the history, or nowhere."""
    bench = subjects.bench
    recorded = {each.spec.fingerprint: each.result for each in bench.recorded}
    own = mine(bench, specs, owner)
    return [_part(subjects, spec, own.get(spec.fingerprint), recorded.get(spec.fingerprint)) for spec in specs]


def _part(subjects: Subjects, spec: RunSpec, run: Run | None, recorded: RunResult | None) -> Part:
    if run and run.state == "finished":
        return Part(spec, run, subjects.result(run))
    if recorded is not None:
        return Part(spec, None, recorded)
    known = (run is None or run.ended) and subjects.bench.made_before(spec)
    return Part(spec, run, None, known, subjects.result(run).step if run and run.state == "running" else 0)


# ── what is told ──────────────────────────────────────────────────────────────────────────────────────────────────────


def told(bench: Bench, experiment: Experiment, spec: RunSpec, found: Sequence[Part], full: str) -> dict[str, Any]:
    """The plan, how far it is, and what its results show so far."""
    states = [part.state for part in found]
    seen = experiment.shown(spec, [part.result for part in found]) if any(part.result for part in found) else None
    table = experiment.table(seen) if seen is not None else None
    return {
        "runs": [{"name": name, "state": part.state, "score": _score(part.result), "step": part.step, "steps": part.spec.steps,
                  "run": part.run.id if part.run else "", "reason": part.run.reason if part.run and part.state == "failed" else ""}
                 for name, part in zip(names([part.spec for part in found]), found, strict=True)],
        "of": len(found), "done": states.count("finished"), "way": sum(state in ("queued", "running") for state in states),
        "broken": sum(state in ("failed", "cancelled") for state in states), "left": sum(state in ("known", "missing") for state in states),
        "cost": cost(bench, found), "full": full, "knobs": experiment.model_dump(mode="json"), "value": seen,
        "says": list(experiment.says(seen)) if seen is not None else [], "figure": FIGURES.get(experiment.key, lambda _: None)(seen) if seen else None,
        "table": {"columns": list(table.columns), "rows": [[_cell(cell) for cell in row] for row in table.rows]} if table else None,
    }


def cost(bench: Bench, found: Sequence[Part]) -> str:
    """How many runs it takes, how many of them there are, and how long the others take, before anything is pressed."""
    there = sum(part.state in ("finished", "known") for part in found)
    waiting = [part for part in found if part.state not in ("finished", "known")]
    runs = f"{len(found)} trainings" + (f", {'all' if there == len(found) else there} of them made before" if there else "")
    if not waiting:
        return f"{runs}: nothing has to be trained."
    paces = [bench.paces.of(part.spec) for part in waiting]
    if None in paces:
        return f"{runs}. How long one takes is not known yet: no run like it has ended here."
    workers = max(1, len(bench.workers()))
    seconds = sum(pace.total(part.spec.steps) * (1 - part.step / max(1, part.spec.steps)) for pace, part in zip(paces, waiting, strict=True)) / workers
    return f"{runs}; {about(seconds)} on {workers} worker{'s' * (workers > 1)}, {paces[0].source}."


def names(specs: Sequence[RunSpec]) -> list[str]:
    """Each run by the settings in which the runs of a plan differ."""
    flat = [_flat(spec.to_dict()) for spec in specs]
    varied = [key for key in flat[0] if any(each.get(key) != flat[0][key] for each in flat)]
    return [", ".join(f"{label(key).lower()} {_said(each.get(key))}" for key in varied) for each in flat]


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: value for key, value in settings.items() if key != "method"}, **settings["method"]}


def _said(value: Any) -> str:
    return plain(value) if isinstance(value, int | float) else f"“{value}”" if isinstance(value, str) else str(value)


def _score(result: RunResult | None) -> str:
    tuned = result.scores.get("tuned") if result else None
    return score(tuned.score, tuned.standard_error, tuned.metric) if tuned else ""


def _cell(cell: Any) -> str:
    if cell is None:
        return "–"
    return said(cell) if isinstance(cell, int | float) and not isinstance(cell, bool) else " ".join(cell) if isinstance(cell, list | tuple) else str(cell)


def waywardness(value: Mapping[str, Any]) -> dict[str, Any] | None:
    """What it costs to make a prompt read as a given text: the score lost against how much of the text its nearest words are."""
    points = sorted((point for point in value["points"] if point.get("score") is not None and point.get("f1") is not None), key=lambda point: point["g"])
    free = next((point["score"] for point in points if point["g"] == 0), None)
    if free is None:
        return None
    x, lost, errors = [point["f1"] for point in points], [free - point["score"] for point in points], [point["standard_error"] for point in points]
    names = [f"g = {plain(point['g'])}" for point in points]
    low, high = min(0.0, *(y - error for y, error in zip(lost, errors, strict=True))), max(0.05, *(y + error for y, error in zip(lost, errors, strict=True)))
    return {
        "data": [{"x": x, "y": lost, "text": [f" {name} " for name in names], "mode": "lines+markers+text",
                  "textposition": ["top left" if at > 0.7 else "top right" for at in x],
                  "xaxis": "x", "yaxis": "y2", "line": {"color": charts.GREY, "width": 1, "dash": "dot"},
                  "marker": {"size": 11, "color": charts.VERMILLION, "line": {"width": 2}},
                  "error_y": {"type": "data", "array": errors, "thickness": 1, "width": 0, "color": charts.VERMILLION}, "cliponaxis": False,
                  "hovertemplate": "%{text}: token F1 %{x:.2f}, score lost %{y:.3f}<extra></extra>"}],
        "layout": {"xaxis": {"range": [-0.06, 1.08], "anchor": "y2", "nticks": 6,
                             "title": {"text": "token F1 against your text", "standoff": 4}},
                   "yaxis2": {"range": [low - 0.15 * (high - low), high + 0.25 * (high - low)], "nticks": 5, "title": {"text": "score lost"}},
                   "shapes": [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y2", "y0": 0, "y1": 0, "line": {"dash": "dash", "width": 1}}]},
        "labels": [], "caption": "Right: the nearest words read as your text. Low: nothing was lost. Bars are one standard error of each score.",
        "alt": "Chart of the score lost by the token F1 against the text. " + "; ".join(
            f"{name}: F1 {at:.2f}, lost {said(round(y, 3))}" for name, at, y in zip(names, x, lost, strict=True)) + ".",
        "table": {"columns": ["g", "token F1", "score", "score lost"],
                  "rows": [[plain(point["g"]), f"{point['f1']:.2f}", score(point["score"], point["standard_error"]), said(round(y, 3))]
                           for point, y in zip(points, lost, strict=True)]},
    }


FIGURES: Mapping[str, Callable[[Any], dict[str, Any] | None]] = {"waywardness": waywardness}
