"""What a comparison will take, said before it is started: runs, those that are there already, and time where runs like them are known."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.compare.says import listed
from lab.contracts import LabError, listing
from lab.events import RunResult
from lab.recording import find
from lab.spec import RunSpec
from lab.ui.bench import Bench
from lab.ui.compare.parts import Part
from lab.ui.pace import Pace
from lab.ui.wording import about

ASKED = 3  # times that a run's own test texts are answered: trained, untrained, and by the base


def cost(bench: Bench, found: Sequence[Part], arms: int, seeds: int, before: Any = None) -> str:
    """18 runs (6 arms × 3 seeds), 12 of them recorded and 2 made before; about 5 min on 1 worker, as in 3 past runs here. `before` are the arms and seeds
    that were there when it was started: what came since is done, and was not made before."""
    each = distinct(found)
    waiting = [part for part in each if part.state not in ("finished", "known")]
    recorded = sum(part.recorded for part in each)
    new = sum(part.state == "finished" and not part.recorded and [part.arm, part.seed] not in before for part in each) if isinstance(before, list) else 0
    there = [(recorded, "recorded"), (len(each) - len(waiting) - recorded - new, "made before"), (new, "done")]
    words = [f"{'all' if count == len(each) else count} of them {how}" for count, how in there if count]
    runs = ", ".join([_counted(len(each), arms, seeds), *words])
    return f"{runs}: nothing has to be trained." if not waiting else f"{runs}; {time(bench, waiting)}{_beyond(waiting)}."


def _counted(runs: int, arms: int, seeds: int) -> str:
    """18 runs (6 arms × 3 seeds); where arms are equal, why there are fewer."""
    grid = f"{arms} arms × {seeds} seed{'s' * (seeds > 1)}"
    said = f"{runs} run{'s' * (runs > 1)}"
    return f"{said} ({grid})" if runs == arms * seeds else f"{said} ({grid} are {arms * seeds}, but arms that are equal are trained once)"


def distinct(found: Sequence[Part]) -> list[Part]:
    """Equal arms are run once."""
    return list({part.spec.fingerprint: part for part in found}.values())


def time(bench: Bench, waiting: Sequence[Part]) -> str:
    paces: dict[str, Pace | None] = {part.arm: pace(bench, part.spec) for part in waiting}
    known = [(part, paces[part.arm]) for part in waiting if paces[part.arm] is not None]
    unknown = [name for name, found in paces.items() if found is None]
    if not known:
        return "how long that takes is not known yet, since no run like these has ended here"
    workers = max(1, len(bench.workers()))
    seconds = sum(left(each, part) for part, each in known) / workers
    sources = list(dict.fromkeys(found.source for found in paces.values() if found is not None))
    said = f"{about(seconds)} on {workers} worker{'s' * (workers > 1)}, {sources[0] if len(sources) == 1 else 'as in past runs here or recorded ones'}"
    others = listed(unknown) if len(unknown) <= 3 else f"{len(unknown)} of the arms"
    return said + (f"; how long {others} will take beside that is not known" if unknown else "")


def left(each: Pace, part: Part) -> float:
    """Seconds that a run has before it, by such a pace. Test texts of other tasks are asked once, where its own are asked about three times."""
    spec = part.spec
    return each.total(spec.steps) * (1 - part.result.step / max(1, spec.steps)) + each.rest / ASKED * len(spec.beyond)


def _beyond(waiting: Sequence[Part]) -> str:
    """What is asked on top of each run's own test."""
    tasks = list(dict.fromkeys(key for part in waiting for key in part.spec.tested_on))
    return f"; each run also answers test texts of the other tasks among {listing(tasks)}" if tasks else ""


def pace(bench: Bench, spec: RunSpec) -> Pace | None:
    """From runs here, else from a recorded one of the same model and method, on the same task where there is one."""
    here = bench.paces.of(spec)
    if here is not None:
        return here
    found = _alone(bench, spec) or _compared(bench, spec)
    if found is None or not found[1].steps_per_second:
        return None
    made, result = found
    rest = max(0.0, result.seconds.get("total", 0.0) - result.seconds.get("training", 0.0)) / max(1, result.started.spec["eval_items"])
    return Pace(result.steps_per_second, rest * spec.eval_items, f"as in runs recorded on {_cores(made)}")


def _cores(made: Mapping[str, Any]) -> str:
    count = made.get("threads") or made.get("cores")
    return f"{count} CPU core{'' if count == 1 else 's'}"


def _alone(bench: Bench, spec: RunSpec) -> tuple[Mapping[str, Any], RunResult] | None:
    """A recorded run that is no part of a comparison."""
    try:
        found = find(bench.recorded, str(spec.model), str(spec.task), spec.method.key)
    except LabError:
        return None
    return None if found is None else (found.made, found.result)


def _compared(bench: Bench, spec: RunSpec) -> tuple[Mapping[str, Any], RunResult] | None:
    """A run of a recorded comparison, with as many texts in a step."""
    runs = [run for asked in bench.ready.questions.values() for run in asked.runs.values()] if bench.ready else []
    alike = [run for run in runs if (run.model, run.method.key, run.batch, run.quantization) == (spec.model, spec.method.key, spec.batch, spec.quantization)]
    for run in sorted(alike, key=lambda run: run.task != spec.task):
        if kept := bench.ready.of(run):
            return kept.made, kept.result
    return None
