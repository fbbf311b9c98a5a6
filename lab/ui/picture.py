"""What is to be seen of a run, as plain values: made from its settings and the fold of its events, for live, past and recorded runs alike."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab import catalogue, describe
from lab.contracts import LabError
from lab.diagnosed import diagnose
from lab.events import Evaluated, RunResult
from lab.owndata import entry as tasks
from lab.owndata.shelf import is_own
from lab.recording import Recorded, find
from lab.spec import RunSpec
from lab.ui import address, cards, charts
from lab.ui.controls import ONLY
from lab.ui.wording import about, asked, plain, positions, roughly, seconds, size, speed, unit, whole

RECORDED = "recorded."  # in front of a recorded run's key, where a run's id is asked for
FORWARD = 1 / 3  # of a training step's time goes into its forward pass: used until a look at validation texts has been timed
ASKING = {"base": "asking the untouched model", "prompt": "asking the untouched model",
          "untrained": "asking the method before training", "general": "reading general English", "reloaded": "asking the saved run, loaded again"}


def replay(recorded: Recorded, others: Sequence[Recorded]) -> dict[str, Any]:
    """A recorded run in the same view as one's own."""
    settings = recorded.spec.to_dict()
    view = picture(recorded.spec, settings, settled(recorded.spec, settings), recorded.result, "finished", reference(others, settings))
    return {**view, "id": RECORDED + recorded.key, "title": "", "shared": True, "stopping": False, "label": made(recorded),
            "cost": {**view["cost"], "adapter": ""}}


def made(recorded: Recorded) -> str:
    return f"recorded {recorded.made['date']} on {recorded.made['cores']} CPU cores"


def settled(spec: RunSpec | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be seen of the settings; it stays the same while a run goes on, so it is made once."""
    fixed = {"name": title(settings), "settings": sentence(settings), "steps": int(settings.get("steps", 0)), "draft": dict(settings), "next": [],
             "beside": ""}
    if spec:
        fixed |= {"trained": cards.trained(spec), "address": address.query(spec), "draft": address.short(spec), "next": next_steps(spec),
                  "beside": beside(spec)}
    return fixed


def picture(spec: RunSpec | None, settings: Mapping[str, Any], fixed: Mapping[str, Any], result: RunResult, state: str,
            references: Mapping[str, Evaluated]) -> dict[str, Any]:
    """Everything that is to be seen, the same for a live, a past and a recorded run."""
    steps, method = fixed["steps"], settings["method"]["name"]
    curve = charts.Curve(fixed["name"], method, result, steps)
    lines = charts.own_references([curve]) | {key: seen for key, seen in references.items() if method != "full"}
    unbegun = bool(state == "cancelled" and steps and not result.step)
    again = [{"words": "Run it again", "draft": fixed["draft"]}] if unbegun else []
    after = [*again, *(longer(spec) if spec and cards.worse(result) else ()), *fixed["next"]]
    return {
        **fixed, "next": after, "state": state, "step": result.step, "status": status(spec, result, state, steps), "progress": progress(result, state, steps),
        "figure": charts.learning([curve], lines), "reason": result.reason, "advice": result.advice, "knob": result.knob, "done": state == "finished",
        "scoring": scoring(result, state, steps), "cost": cards.cost(result), "learned": cards.learned(result, spec.shape if spec else None),
        "diagnoses": diagnosed(result, state), "nothing": cards.nothing(result, state, settings.get("task")), "unbegun": unbegun,
        "asked": asked(settings.get("task"), "test"),
    }


def diagnosed(result: RunResult, state: str) -> list[dict[str, Any]]:
    """What is wrong with a run that has ended, by name; a failed one's reason is said anyway."""
    return [vars(each) for each in diagnose(result)] if state == "finished" else []


def status(spec: RunSpec | None, result: RunResult, state: str, steps: int) -> str:
    """One line under the title: what is happening now."""
    match state:
        case "preparing":
            return _preparing(result)
        case "running" if steps and result.step < steps:
            parts = [f"step {result.step} of {steps}"]
            if result.steps_per_second and result.step >= 3:
                parts += [f"{roughly(left(spec, result, steps))} left", speed(result.steps_per_second)]
                parts.append(f"{whole(result.tokens / result.seconds['training'])} {positions(charts.task_of(result))}/s")
            return " · ".join(parts)
        case "running":
            return ("training done; " if steps else "") + _asked(spec, result)
        case "finished":
            training = f"{seconds(result.seconds.get('training', 0))} of training, " if steps else ""
            return f"finished: {training}{seconds(result.seconds.get('total', 0))} in all"
        case "failed":
            return f"failed at step {result.step}" if result.step else "failed before the first step"
        case "cancelled" if steps and result.step >= steps:
            return f"stopped after all {steps} steps, before the score was known"
        case "cancelled":
            return f"stopped at step {result.step} of {steps}" if result.step else "stopped before the first step"
    return ""


def scoring(result: RunResult, state: str, steps: int) -> bool:
    """Whether all steps are done and the test items are being answered."""
    return state == "running" and result.step >= steps


def _asked(spec: RunSpec | None, result: RunResult) -> str:
    """Whom the test items are put to, how many of them are answered, and how long the rest takes."""
    seen, answering = result.seen("scoring"), f"answering the {asked(charts.task_of(result), 'test')}"
    if not seen:
        return answering
    text, parts = _text_seconds(spec, result), [f"{ASKING.get(seen['who'], answering)}: {seen['done']:,} of {seen['items']:,}"]
    if text:
        parts.append(f"{about(text * unasked(spec, result))} left")
    return ", ".join(parts)


def _text_seconds(spec: RunSpec | None, result: RunResult) -> float:
    """Seconds that one answer takes: as timed in this run, else a guess from its steps; 0 where nothing is known."""
    timed = [seen for seen in result.evaluations if seen.who == "tuned" and seen.seconds]
    if timed:
        return timed[-1].seconds / timed[-1].items
    return FORWARD / (result.steps_per_second * spec.batch) if spec and result.steps_per_second else 0.0


def unasked(spec: RunSpec | None, result: RunResult) -> int:
    """Test texts that are still to be answered: by the method, by it untrained, and by the base where nobody has asked it before."""
    items, seen = result.started.items.get("test", 0) if result.started else 0, result.seen("scoring")
    words = ("prompt",) if spec and spec.shape.kind == "decoder" and "base" not in result.scores else ()
    waiting = [who for who in ("tuned", "base", *words, "untrained") if who not in result.scores]
    if seen and seen["who"] in waiting:
        return items * (len(waiting) - 1 - waiting.index(seen["who"])) + max(0, seen["items"] - seen["done"])
    return items * len(waiting)


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
    if scoring(result, state, steps) and result.started and result.seen("scoring"):
        passes = result.started.items.get("test", 0) * 3
        return max(0.0, 1 - unasked(None, result) / passes) if passes else 1.0
    return result.step / steps if steps and state not in ("queued", "preparing") else 0.0


def left(spec: RunSpec | None, result: RunResult, steps: int) -> float:
    """Seconds to the end: the steps, the looks at validation texts between them, and the scoring after the last."""
    training = (steps - result.step) / result.steps_per_second
    if spec is None or result.started is None:
        return training
    between = steps // spec.eval_every - result.step // spec.eval_every if spec.eval_every else 0
    return training + _text_seconds(spec, result) * (between * result.started.items.get("validation", 0) + unasked(spec, result))


def reference(recorded: Sequence[Recorded], settings: Mapping[str, Any]) -> dict[str, Evaluated]:
    """The score of recorded full fine-tuning of the same model and task, as a line to compare with."""
    full = find(recorded, settings.get("model"), settings.get("task"), "full")
    return {"full fine-tuning, recorded": full.result.scores["tuned"]} if full and "tuned" in full.result.scores else {}


def longer(spec: RunSpec) -> list[dict[str, Any]]:
    """The offer to a run that had too few steps."""
    return _offers(spec, [("Twice the steps", {"steps": 2 * spec.steps, "lr": spec.lr, "method": spec.method.settings()})])


def next_steps(spec: RunSpec) -> list[dict[str, Any]]:
    """Offers to run something near by: the same seed and data order, one thing changed."""
    high = spec.method.rates[spec.shape.kind].high
    beyond = " (an experiment: above the usual band)" if high and spec.lr * 10 > high * 1.0001 else ""
    other = "prompt_tuning" if spec.method.key != "prompt_tuning" else "lora"
    offers = [(f"Try {catalogue.find('methods', other).title}, same seed", {"method": {"name": other}}),
              ("The same with another seed", {"seed": spec.seed + 1, "lr": spec.lr, "method": spec.method.settings()}),
              (f"Learning rate × 10{beyond}", {"lr": spec.lr * 10, "method": spec.method.settings()})]
    return _offers(spec, offers if spec.steps else offers[:1])


def beside(spec: RunSpec) -> str:
    """The offer to compare this run, over several seeds, with a method of another sort; "" where that does not fit."""
    other = "prompt_tuning" if spec.method.key != "prompt_tuning" else "lora"
    title = "prompt tuning" if other == "prompt_tuning" else catalogue.find("methods", other).title
    return f"Compare with {title}" if _offers(spec, [("", {"method": {"name": other}})]) else ""


def _offers(spec: RunSpec, offers: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    kept = {key: value for key, value in address.short(spec).items() if key not in ("method", "lr")}
    found = []
    for words, change in offers:
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
    run = [f"{settings['steps']} steps of {settings['batch']} {unit(settings['task'])}", f"learning rate {plain(settings['lr'])}", f"seed {settings['seed']}"]
    return " · ".join([_task(settings["task"]), *([", ".join(knobs)] if knobs else []), *run])


def _told(method: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The knobs worth a mention: the advanced ones only where they were turned."""
    try:
        known = describe.knobs(catalogue.find("methods", method["name"]))
    except LabError:
        return [(key, value) for key, value in method.items() if key != "name"]
    needless = {name for name, (other, value) in ONLY.items() if method.get(other) != value}
    return [(knob["name"], method[knob["name"]]) for knob in known
            if knob["name"] in method and knob["name"] not in needless and (not knob["advanced"] or method[knob["name"]] != knob["default"])]


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(str(part) for part in value)
    return plain(value) if isinstance(value, int | float) else str(value)


def _task(key: str) -> str:
    """Its title; one that somebody uploaded says whose it is."""
    known = tasks.known(key)
    if known is None or not is_own(key):
        return known.title if known else str(key)
    return f"{known.title} (own data{', removed meanwhile' if known.gone else ''})"


def _known(folder: str, key: str) -> str:
    try:
        return catalogue.find(folder, key).title
    except LabError:
        return str(key)
