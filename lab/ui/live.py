"""The polled view of one run: new events are folded with the old ones, and the page gets what is to be seen; nothing when nothing is new."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from lab import catalogue, describe
from lab.contracts import LabError
from lab.events import Evaluated, Event, RunResult, fold
from lab.recording import Recorded, find
from lab.spec import RunSpec
from lab.store import Run
from lab.ui import address, cards, charts
from lab.ui.bench import Bench
from lab.ui.wording import ordinal, plain, roughly, seconds, size, whole

RECORDED = "recorded."  # in front of a recorded run's key, where a run's id is asked for
FORWARD = 1 / 3  # of a training step's time goes into its forward pass: used until a look at validation texts has been timed
KEPT_RUNS = 64  # whose events stay parsed between two looks


class Watcher:
    """Answers polls. Events of recently watched runs are kept parsed, so a poll costs what is new."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._events: OrderedDict[str, tuple[int, list[Event]]] = OrderedDict()

    def poll(self, asked: Any) -> dict[str, Any]:
        """{"run", "mark", "owner"} → the view, or {"mark"} alone when it has not changed, or {"error"}."""
        asked = asked if isinstance(asked, Mapping) else {}
        recorded = next((each for each in self.bench.recorded if asked.get("run") == RECORDED + each.key), None)
        if recorded:
            return {"mark": "recorded"} if asked.get("mark") == "recorded" else {"mark": "recorded", "mine": False, **replay(recorded, self.bench.recorded)}
        try:
            run = self.bench.store.run(str(asked.get("run", "")))
            place = self.bench.store.place(run.id)
            seq, events = self._read(run.id)
        except LabError as error:
            return {"error": str(error)}
        mark = f"{seq}.{run.state}.{place}.{run.cancel:d}.{run.title}.{run.shared:d}"
        if asked.get("mark") == mark:
            return {"mark": mark}
        result = fold(events)
        return {"mark": mark, "mine": run.owner == asked.get("owner"), **show(run, result, place, self.bench)}

    def _read(self, run_id: str) -> tuple[int, list[Event]]:
        seq, events = self._events.pop(run_id, (0, []))
        new = self.bench.store.events(run_id, seq)
        events = [*events, *(event for _, event in new)] if new else events
        seq = new[-1][0] if new else seq
        while len(self._events) >= KEPT_RUNS:
            self._events.popitem(last=False)
        self._events[run_id] = (seq, events)
        return seq, events


def show(run: Run, result: RunResult, place: int, bench: Bench) -> dict[str, Any]:
    """Everything the page shows of a run of the store."""
    state = "preparing" if run.state == "running" and result.state in ("queued", "preparing") else run.state
    spec = _spec(run)
    view = picture(spec, run.settings, result, state, reference(bench.recorded, run.settings))
    view |= {"id": run.id, "title": run.title, "shared": run.shared, "stopping": run.cancel and not run.ended, "created": run.created}
    if run.state == "queued":
        view["status"] = _waiting(place, bench)
    if run.state == "failed":
        view["reason"] = result.reason or run.reason
    return view


def replay(recorded: Recorded, others: Sequence[Recorded]) -> dict[str, Any]:
    """A recorded run in the same view as one's own."""
    settings = recorded.spec.to_dict()
    view = picture(recorded.spec, settings, recorded.result, "finished", reference(others, settings))
    return {**view, "id": RECORDED + recorded.key, "title": "", "shared": True, "stopping": False, "label": made(recorded),
            "cost": {**view["cost"], "adapter": ""}}


def made(recorded: Recorded) -> str:
    return f"recorded {recorded.made['date']} on {recorded.made['cores']} CPU cores"


def picture(spec: RunSpec | None, settings: Mapping[str, Any], result: RunResult, state: str, references: Mapping[str, Evaluated]) -> dict[str, Any]:
    """The same for a live, a past and a recorded run."""
    steps = int(settings.get("steps", 0))
    name = title(settings)
    curve = charts.Curve(name, settings["method"]["name"], result, steps)
    lines = charts.own_references([curve]) | {key: seen for key, seen in references.items() if settings["method"]["name"] != "full"}
    view = {
        "state": state, "name": name, "step": result.step, "steps": steps, "status": status(spec, result, state, steps),
        "progress": progress(result, state, steps), "figure": charts.learning([curve], lines), "settings": sentence(settings),
        "reason": result.reason, "advice": result.advice, "knob": result.knob, "done": state == "finished", "cost": cards.cost(result),
        "learned": cards.learned(result, spec.shape if spec else None), "draft": dict(settings), "next": [],
    }
    if spec:
        view |= {"trained": cards.trained(spec), "address": address.query(spec), "draft": address.short(spec), "next": next_steps(spec)}
    return view


def status(spec: RunSpec | None, result: RunResult, state: str, steps: int) -> str:
    """One line under the title: what is happening now."""
    match state:
        case "preparing":
            return _preparing(result)
        case "running" if steps and result.step < steps:
            parts = [f"step {result.step} of {steps}"]
            if result.steps_per_second and result.step >= 3:
                parts += [f"{roughly(left(spec, result, steps))} left", f"{result.steps_per_second:.1f} steps/s"]
                parts.append(f"{whole(result.tokens / result.seconds['training'])} tokens/s")
            return " · ".join(parts)
        case "running":
            return f"{'training done, now' if steps else 'now'} answering the test texts"
        case "finished":
            training = f"{seconds(result.seconds.get('training', 0))} of training, " if steps else ""
            return f"finished: {training}{seconds(result.seconds.get('total', 0))} in all"
        case "failed":
            return f"failed at step {result.step}" if result.step else "failed before the first step"
        case "cancelled":
            return f"stopped at step {result.step} of {steps}" if result.step else "stopped before the first step"
    return ""


def _preparing(result: RunResult) -> str:
    seen = result.preparing
    if seen is None:
        return "a worker has taken your run and is loading the model"
    if seen.total_bytes:
        return f"{seen.what}: {size(seen.done_bytes)} of {size(seen.total_bytes)}"
    return seen.what


def progress(result: RunResult, state: str, steps: int) -> float:
    """0…1 for the bar."""
    if state == "preparing" and result.preparing and result.preparing.total_bytes:
        return result.preparing.done_bytes / result.preparing.total_bytes
    return result.step / steps if steps and state not in ("queued", "preparing") else 0.0


def left(spec: RunSpec | None, result: RunResult, steps: int) -> float:
    """Seconds to the end: the steps, the looks at validation texts between them, and the scoring after the last."""
    training = (steps - result.step) / result.steps_per_second
    if spec is None or result.started is None:
        return training
    looks = [seen for seen in result.evaluations if seen.split == "validation" and seen.seconds]
    text = looks[-1].seconds / looks[-1].items if looks else FORWARD / (result.steps_per_second * spec.batch)
    between = steps // spec.eval_every - result.step // spec.eval_every if spec.eval_every else 0
    passes = 2 if "base" in result.scores else 3  # tuned and untrained, and the base where nobody has asked it before
    items = result.started.items
    return training + text * (between * items.get("validation", 0) + passes * items.get("test", 0))


def _waiting(place: int, bench: Bench) -> str:
    workers = list(bench.workers())
    if workers and all(worker.state in ("starting", "waiting") for worker in workers):
        return "the worker is still warming up, a few seconds after the lab's start"
    wait = bench.wait(place, max(1, len(workers)))
    return ("next in line" if place == 1 else f"{ordinal(place)} in line") + (f", about {roughly(wait)}" if wait else "")


def reference(recorded: Sequence[Recorded], settings: Mapping[str, Any]) -> dict[str, Evaluated]:
    """The score of recorded full fine-tuning of the same model and task, as a line to compare with."""
    full = find(recorded, settings.get("model"), settings.get("task"), "full")
    return {"full fine-tuning, recorded": full.result.scores["tuned"]} if full and "tuned" in full.result.scores else {}


def next_steps(spec: RunSpec) -> list[dict[str, Any]]:
    """Offers to run something near by: the same seed and data order, one thing changed."""
    other = "prompt_tuning" if spec.method.key != "prompt_tuning" else "lora"
    offers = [(f"Try {catalogue.find('methods', other).title}, same seed", {"method": {"name": other}}),
              ("The same with another seed", {"seed": spec.seed + 1, "lr": spec.lr, "method": spec.method.settings()}),
              ("Learning rate × 10", {"lr": spec.lr * 10, "method": spec.method.settings()})]
    kept = {key: value for key, value in address.short(spec).items() if key not in ("method", "lr")}
    found = []
    for words, change in offers if spec.steps else offers[:1]:
        try:
            found.append({"words": words, "draft": address.short(RunSpec.parse({**kept, **change}))})
        except LabError:  # a value at its limit has no such neighbour
            continue
    return found


def title(settings: Mapping[str, Any]) -> str:
    """LoRA · MiniLM-L6"""
    return f"{_known('methods', settings['method']['name'])} · {_known('models', settings['model']).partition(' (')[0]}"


def sentence(settings: Mapping[str, Any]) -> str:
    """rank 8, alpha 16, targets query value · 100 steps of 16 texts · learning rate 0.001 · seed 0 · movies"""
    knobs = [f"{key.replace('_', ' ')} {_value(value)}" for key, value in _told(settings["method"])]
    run = [f"{settings['steps']} steps of {settings['batch']} texts", f"learning rate {plain(settings['lr'])}", f"seed {settings['seed']}"]
    return " · ".join([_known("tasks", settings["task"]), *([", ".join(knobs)] if knobs else []), *run])


def _told(method: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The knobs worth a mention: the advanced ones only where they were turned."""
    try:
        known = describe.knobs(catalogue.find("methods", method["name"]))
    except LabError:
        return [(key, value) for key, value in method.items() if key != "name"]
    return [(knob["name"], method[knob["name"]]) for knob in known
            if knob["name"] in method and (not knob["advanced"] or method[knob["name"]] != knob["default"])]


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(str(part) for part in value)
    return plain(value) if isinstance(value, int | float) else str(value)


def _known(folder: str, key: str) -> str:
    try:
        return catalogue.find(folder, key).title
    except LabError:
        return str(key)


def _spec(run: Run) -> RunSpec | None:
    try:
        return run.spec
    except LabError:
        return None
