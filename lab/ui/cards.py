"""The three cards of a run, and the panel before it: what it learned, what it trained, what it cost. Formats results, computes none."""
from __future__ import annotations

from collections.abc import Mapping
from math import hypot
from typing import Any

from lab import catalogue
from lab.contracts import LabError, Shape
from lab.events import Evaluated, RunResult
from lab.metrics import METRICS
from lab.owndata.entry import known as known_task
from lab.spec import RunSpec
from lab.ui import anatomy, formula
from lab.ui.charts import PARTS, task_of
from lab.ui.pace import Pace
from lab.ui.wording import about, asked, pace, percent, positions, roughly, score, seconds, size, whole

WHO = {
    "majority": ("Always the most frequent answer", "what needs no model at all"),
    "base": ("Untouched model", "before any training"),
    "prompt": ("Hand-written prompt", "the same model, not trained, asked in other words"),
    "untrained": ("The method, untrained", "attached, not one step made"),
    "tuned": ("The method, trained", "after the last step"),
    "reloaded": ("Loaded again", "the saved run, as it was put on a fresh base"),
}
ASKED = {"encoder": "each text goes to the class whose training texts lie nearest", "vision": "each image goes to the class whose training images lie nearest",
         "decoder": "asked as it is", "seq2seq": "asked as it is"}
MOMENTS = {  # when a step's memory was at its peak, and what that means for its parts
    "forward_peak": "within the forward pass: gradients do not exist yet",
    "forward_end": "at the end of the forward pass: gradients do not exist yet",
    "backward_peak": "within the backward pass: gradients come, activations go",
    "optimizer_peak": "when the optimizer moves the weights: the activations are gone by then",
}
NEW_HEAD = "its new head guesses at random; the untouched model above is read without a head"
UNREAD = "This model began with random weights: what this run has not taught it to write comes out as noise."
STOPPED = "The run was stopped before its first step, so there is nothing to show. Run it again, or change its settings."
ENDED = "It ended before anything was scored."
WORSE = "It answers worse than the untouched model: too few steps, or a learning rate that does not suit."
BLOCK = ("query", "key", "value", "qkv", "output", "ffn_gate", "ffn_in", "ffn_out")


def before(spec: RunSpec, dtype: str) -> dict[str, Any]:
    """The instant panel: everything that arithmetic knows before a run, in the number format it will probably have here."""
    return {**trained(spec), "memory": bar(spec.memory(dtype), "if float32" if dtype == "auto" else f"in {dtype}"),
            "anatomy": drawn(spec, dtype).to_dict(), "symbols": formula.symbols(spec), "linked": linked(spec)}


def linked(spec: RunSpec) -> list[str]:
    """For each line of the count by hand the parts of the model that it counts."""
    names = anatomy.names_by_role(spec.method, spec.shape)
    found = [list(dict.fromkeys(names[place.role] for place in term.places)) for term in formula.terms(spec.method.places(spec.shape))]
    return [*(" ".join(dict.fromkeys(" ".join(each).split())) for each in found), *(["head"] if spec.counts.head else [])]


def drawn(spec: RunSpec, dtype: str = "auto") -> anatomy.Drawing:
    """One block of the model, with what the method trains."""
    labels = len(spec.goal.labels) if spec.task else 0
    return anatomy.draw(spec.shape, spec.method, labels=labels, quantization=spec.quantization, dtype=dtype, adapter_dtype=spec.adapter_dtype,
                        model=spec.base.title.partition(" (")[0] if isinstance(spec.model, str) else "")


def trained(spec: RunSpec) -> dict[str, Any]:
    counts = spec.counts
    return {
        "trainable": whole(counts.trainable), "share": percent(counts.trainable / counts.total), "part": counts.trainable / counts.total,
        "rows": [
            {"name": "method", "value": whole(counts.method), "about": f"what {spec.method.title} trains"},
            {"name": "head", "value": whole(counts.head),
             "about": "a new classifier, the same for every method" if counts.head else "none: the model answers in words"},
            {"name": "frozen", "value": whole(counts.frozen), "about": "stays as it is"},
            {"name": "total", "value": whole(counts.total), "about": "each number once"},
        ],
        "formula": spec.method.formula, "terms": formula.lines(spec), "block": block(spec), "total": whole(counts.trainable),
    }


def block(spec: RunSpec) -> dict[str, Any]:
    """The model in boxes, for the drawing: which of them the method trains, and how much in each layer that it touches."""
    shape, places = spec.shape, spec.method.places(spec.shape)
    here = [role for role in BLOCK if any(linear.role == role and linear.layer is not None for linear in shape.linears)]
    layers = sorted({place.layer for place in places if place.layer is not None})
    each = {role: sum(place.count for place in places if place.role == role and place.layer == layers[-1]) if layers else 0 for role in here}
    outside = {role: sum(place.count for place in places if place.role == role and place.layer is None) for role in ("prompt", "embedding")}
    norms = sum(place.count for place in places if place.role == "norm" and layers and place.layer == layers[-1])
    head = [_box("head", spec.counts.head)] if spec.counts.head else []
    return {
        "before": [_box(role, count) for role, count in outside.items() if count or role == "embedding"], "boxes": [_box(role, each[role]) for role in here]
        + ([_box("norm", norms)] if norms else []), "after": head,
        "caption": f"{shape.layers} layers, each:" if len(layers) in (0, shape.layers) else f"{formula.layers_said(layers, shape.layers)}, each:",
    }


def _box(role: str, count: int) -> dict[str, Any]:
    return {"name": formula.ROLE_WORDS.get(role, role), "count": whole(count) if count else "", "trained": bool(count)}


def learned(result: RunResult, shape: Shape | None) -> dict[str, Any]:
    order = [*WHO, *(who for who in result.scores if who not in WHO)]
    seen = [(who, result.scores[who]) for who in order if who in result.scores]
    return {"rows": [_score(who, each, shape, task_of(result)) for who, each in seen], "noise": _noise(result),
            "verdict": WORSE if worse(result) else "", "samples": result.seen("samples") or [],
            "about": _measured(seen[-1][1], result) if seen else "", "more": _more(seen), "general": _general(result)}


def nothing(result: RunResult, state: str, task: str | None) -> str:
    """What stands in place of the scores while there are none."""
    if state in ("finished", "failed", "cancelled"):
        return STOPPED if state == "cancelled" and not result.step else ENDED
    return f"The {asked(task, 'test')} are answered after the last step."


def _seeded(result: RunResult) -> bool:
    """Whether the run began with random weights."""
    model = result.started.spec.get("model") if result.started else None
    known = catalogue.entries("models").get(model) if isinstance(model, str) else None
    return bool(known and known.seeded)


def _noise(result: RunResult) -> str:
    """Why a written answer may be no text at all."""
    task = known_task(task_of(result))
    return UNREAD if task and task.writes and _seeded(result) else ""


def _general(result: RunResult) -> str:
    """Whether the model paid for what it learned with its general English, in a sentence; noise is called noise."""
    seen = result.seen("general_text")
    if not seen or _seeded(result):  # random weights know no English that they could forget
        return ""
    change, error = seen["ratio"] - 1, seen["standard_error"]
    verdict = "no difference that these paragraphs can show" if abs(change) <= 2 * error else f"{'worse' if change > 0 else 'better'} by {percent(abs(change))}"
    return (f"General English: perplexity {seen['before']:.1f} before and {seen['after']:.1f} after, {verdict} "
            f"(± {percent(error)}, {seen['paragraphs']} paragraphs no task trains on; lower is better).")


def _measured(seen: Evaluated, result: RunResult) -> str:
    """What the scores are, and of which items."""
    metric = METRICS.get(seen.metric)
    what = f"{seen.metric[0].upper()}{seen.metric[1:]} on {seen.items:,} {asked(task_of(result), 'test')}"
    task = known_task(task_of(result))
    unseen = " about what it was taught" if task and task.recalls else " that no step has seen"
    return f"{what}{unseen}; ± is one standard error. {metric.about if metric and seen.metric != 'accuracy' else ''}".rstrip()


def _more(seen: list[tuple[str, Evaluated]]) -> dict[str, Any] | None:
    """Further metrics of the same answers, one row each, of the untouched and of the trained model."""
    shown = {"base": "untouched", "tuned": "trained"}
    found = {who: each.more for who, each in seen if who in shown and each.more}
    names = list(dict.fromkeys(name for more in found.values() for name in more))
    if not names:
        return None
    rows = [[name, *(score(*more[name], name.partition(" (")[0]) if name in more else "" for more in found.values())] for name in names]
    return {"columns": ["also", *(shown[who] for who in found)], "rows": rows}


def worse(result: RunResult) -> bool:
    """Whether training has done harm: by more than two standard errors of the difference."""
    base, tuned = (result.scores.get(who) for who in ("base", "tuned"))
    if not (base and tuned and result.state == "finished" and result.step):
        return False
    metric = METRICS.get(tuned.metric)
    lost = (base.score - tuned.score) * (-1 if metric and not metric.higher_is_better else 1)
    return lost > 2 * hypot(base.standard_error, tuned.standard_error)


def _score(who: str, seen: Evaluated, shape: Shape | None, task: str | None) -> dict[str, Any]:
    name, about = WHO.get(who, (who.replace("_", " "), ""))
    if who == "base" and shape:
        about = ASKED[shape.kind]
    known = known_task(task)
    if who == "prompt" and known:
        about = f"the same model, not trained: of {1 + len(known.wordings)} wordings the one that did best on validation items"
    if who == "untrained" and shape and not shape.writes:
        about = NEW_HEAD
    most = METRICS[seen.metric].most if seen.metric in METRICS else 1.0
    return {"who": who, "name": name, "about": about, "score": seen.score / most, "error": seen.standard_error / most,
            "text": score(seen.score, seen.standard_error, seen.metric), "exact": f"{seen.score!r} on {seen.items} {asked(task, seen.split)}"}


def cost(result: RunResult) -> dict[str, Any]:
    """Times and memory; whatever a run that ended early has is shown."""
    times = [{"name": name, "value": seconds(result.seconds[key])} for key, name in
             (("training", "training"), ("first_step", "until the first step"), ("total", "in all, scoring included")) if result.seconds.get(key)]
    if result.steps_per_second:
        name, value = pace(result.steps_per_second)
        times.append({"name": name, "value": value})
    if result.tokens and result.seconds.get("training"):
        times.append({"name": f"{positions(task_of(result))} a second", "value": whole(result.tokens / result.seconds["training"])})
    if read := result.seen("read"):
        times.append({"name": "tokens read for each answer", "value": whole(read["tokens_per_answer"])})
    measured, predicted = result.seen("memory"), result.started.predicted if result.started else {}
    bars = ([bar(measured, "measured")] if measured else []) + ([bar(predicted, "estimated before")] if predicted else [])
    machine = f"{result.started.device}, {result.started.dtype}, {result.started.threads} threads" if result.started else ""
    moment = MOMENTS.get(measured.get("peak_moment", ""), "") if measured else ""
    return {"times": times, "bars": bars, "moment": f"Measured at its peak, which was {moment}." if moment else "",
            "against": against(predicted["peak_bytes"] / measured["peak_bytes"] - 1, "The estimate before the run") if measured and predicted else "",
            "adapter": size(result.adapter_bytes) if result.adapter_bytes else "", "machine": machine}


def against(error: float, what: str) -> str:
    """By how much a predicted peak is off the measured one."""
    if abs(error) < 0.00005:
        return f"{what}: exactly what was measured."
    return f"{what}: {percent(abs(error))} {'more' if error > 0 else 'less'} than was measured."


def bar(memory: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One stacked bar of a training step's peak."""
    known = {part: memory["parts"].get(part, 0) for part in PARTS}
    parts = [{"name": part, "bytes": amount, "text": size(amount), "colour": PARTS[part]} for part, amount in known.items()]
    return {"name": name, "peak": size(memory["peak_bytes"]), "bytes": memory["peak_bytes"], "parts": parts}


def estimated_time(pace: Pace | None, spec: RunSpec) -> str:
    """The whole wait first: the test items are answered after the training."""
    if pace is None:
        return "not known yet: the first run on this machine measures it" if spec.steps else "no training: only the time of scoring"
    total = f"{about(pace.total(spec.steps))} in all"
    if not spec.steps:
        return f"{total}, no training, {pace.source}"
    training = spec.steps / pace.steps_per_second
    return ", ".join([total, *([f"{roughly(training)} of it training"] if pace.total(spec.steps) >= 3 else []), pace.source])


def spec_of(result: RunResult) -> RunSpec | None:
    """The settings of a run as they were stored; None where the catalogue has moved on."""
    try:
        return RunSpec.parse(result.started.spec) if result.started else None
    except LabError:
        return None
