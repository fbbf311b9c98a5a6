"""The first screen: two recorded runs side by side, a sentence made from their numbers, and no verdict."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.recording import Recorded
from lab.ui import address, charts
from lab.ui.picture import RECORDED, made
from lab.ui.wording import asked, percent, score, seconds, size, unit, whole

PAIRS = (("lora", "full"), ("lora", "prompt_tuning"), ("lora", "head"))  # the first that is recorded is shown


def home(recorded: Sequence[Recorded]) -> dict[str, Any] | None:
    """None where nothing is recorded: the page then starts with the form alone."""
    pair = _pair(recorded)
    if pair is None:
        return None
    curves = [charts.Curve(each.spec.method.title, each.spec.method.key, each.result, each.spec.steps) for each in pair]
    return {"sentence": sentence(pair), "question": "Do you believe that these two scores differ?", "figure": charts.scores(curves),
            "runs": [_card(each) for each in pair], "draft": address.short(pair[0].spec),
            "about": f"{pair[0].spec.base.title} on {pair[0].spec.goal.title.lower()}: same {unit(pair[0].spec.task)}, same seed, same head, one run each."}


def _pair(recorded: Sequence[Recorded]) -> tuple[Recorded, Recorded] | None:
    """Two runs that differ in the method alone."""
    for first, second in PAIRS:
        for one in (each for each in recorded if each.spec.method.key == first):
            for other in (each for each in recorded if each.spec.method.key == second):
                if _same(one, other):
                    return one, other
    return None


def _same(one: Recorded, other: Recorded) -> bool:
    started = [each.result.started for each in (one, other)]
    keys = ("model", "task", "steps", "batch", "tokens", "seed", "eval_items")
    return (all(getattr(one.spec, key) == getattr(other.spec, key) for key in keys)
            and started[0].weights_sha256 == started[1].weights_sha256 and started[0].data_sha256 == started[1].data_sha256)


def sentence(pair: Sequence[Recorded]) -> str:
    """What the two runs measured, without a verdict: one run each cannot give one."""
    parts = []
    for each in pair:
        counts, tuned = each.spec.counts, each.result.scores["tuned"]
        share = percent(counts.trainable / counts.total)
        parts.append(f"{each.spec.method.title} trained {share} of the weights and reached {score(tuned.score, tuned.standard_error, tuned.metric)}")
    return "; ".join(parts) + "."


def _card(recorded: Recorded) -> dict[str, Any]:
    spec, result = recorded.spec, recorded.result
    counts, tuned, memory = spec.counts, result.scores["tuned"], result.seen("memory")
    facts = [("trained", f"{whole(counts.trainable)} of {whole(counts.total)}"), ("training took", seconds(result.seconds["training"]))]
    if memory:
        facts.append(("memory of a step", size(memory["peak_bytes"])))
    return {"title": spec.method.title, "colour": charts.colour(spec.method.key), "marker": charts.marker(spec.method.key),
            "score": score(tuned.score, tuned.standard_error, tuned.metric), "metric": f"{tuned.metric} on {tuned.items:,} {asked(spec.task, 'test')}",
            "part": counts.trainable / counts.total, "facts": [{"name": name, "value": value} for name, value in facts],
            "label": made(recorded), "run": RECORDED + recorded.key}
