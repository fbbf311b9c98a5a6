"""The chart in which a diagnosis is to be seen: of answers that were given, tokens that were read, gradients, bytes; or where it stands already."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from string import ascii_lowercase
from string import digits as numerals
from typing import Any

from lab.diagnosed import Found, diagnose
from lab.events import RunResult
from lab.recording import Recorded
from lab.spec import RunSpec
from lab.ui import cards, charts
from lab.ui.inside.curves import Line, figure
from lab.ui.wording import asked, score, whole

ABOVE = {"loss": "The loss in the chart above shows it.", "scores": "The scores above show it.",
         "counts": "The count of what was trained, above, shows it.", "memory": "The bar of memory above shows it.",
         "answers": "The scores above show it."}
FACTORS = {"A", "B"}
WHO = {"majority": "commonest label", "base": "untouched model", "prompt": "hand-written prompt", "tuned": "this run, tested",
       "reloaded": "saved, loaded again"}
LETTERS = numerals + ascii_lowercase  # of answers, one for each label
Evidence = dict[str, Any]


def wrong(spec: RunSpec, result: RunResult, recorded: Sequence[Recorded] = ()) -> list[dict[str, Any]]:
    """All that is wrong with a run that has ended, by name, each with `figure`, `bars` or `above`: what to look at. `recorded` are sound runs to hold it
    against."""
    return [{**vars(found), **evidence(found, spec, result, recorded)} for found in diagnose(result)]


def evidence(found: Found, spec: RunSpec, result: RunResult, recorded: Sequence[Recorded]) -> Evidence:
    sound = next((each for each in recorded if (each.spec.model, each.spec.task, each.spec.method.key) == (spec.model, spec.task, "lora")), None)
    draw = OF_DIAGNOSIS.get(found.key) or OF_PLACE.get(found.shown)
    drawn = draw(spec, result, sound) if draw else None
    return drawn or {"above": ABOVE[found.shown]}


def answers(spec: RunSpec, result: RunResult, sound: Recorded | None) -> Evidence | None:
    """How often each label was given, beside how often it is right. That is known where the commonest label is no commoner than any other."""
    given, majority = Counter((result.seen("answers") or {}).get("tuned", "")), result.scores.get("majority")
    labels = spec.goal.labels
    if not given or not labels or any(int(letter, 36) >= len(labels) for letter in given):
        return None
    items = given.total()
    counts = [given.get(letter, 0) for letter in LETTERS[:len(labels)]]
    alike = majority is not None and abs(majority.score * len(labels) - 1) < 1e-9
    bars = [("right", [items / len(labels)] * len(labels), charts.GREY)] if alike else []
    bars.append(("given", counts, charts.VERMILLION))
    drawn = _bars(labels, bars, asked(spec.task, "test"))
    share = "" if alike or majority is None else f" The commonest label is right for {majority.score:.0%} of them."
    also = ", and how often it is right" if alike else ""
    said = (f"{label}: " + ", ".join(f"{values[at]:,.0f} times {name}" for name, values, _ in bars) for at, label in enumerate(labels))
    return {"figure": drawn | {"caption": f"Of {whole(items)} {asked(spec.task, 'test')}: how often each answer was given{also}.{share}",
                               "alt": f"Answers. {'; '.join(said)}."}}


def scores(spec: RunSpec, result: RunResult, sound: Recorded | None) -> Evidence | None:
    """What the diagnosis holds against each other, with standard errors."""
    tuned = result.scores.get("tuned")
    if tuned is None:
        return None
    last = next((each for each in reversed(result.evaluations) if (each.who, each.split) == ("tuned", "validation")), None)
    seen = [(name, result.scores.get(who), who) for who, name in WHO.items()] + [("this run, while it learned", last, "validation")]
    rows = [(name, each, charts.VERMILLION if who == "tuned" else charts.GREY) for name, each, who in seen if each is not None and each.metric == tuned.metric]
    drawn = _lying([(name, each.score, colour) for name, each, colour in rows], tuned.metric, 2)
    drawn["data"][0] |= {"error_x": {**charts.error_bars([each for _, each, _ in rows]), "thickness": 1.5, "width": 5}}
    drawn["table"] = {"columns": ["who answers", tuned.metric], "rows": [[name, score(each.score, each.standard_error, each.metric)] for name, each, _ in rows]}
    what = f" “While it learned” is its last look at {last.items:,} validation texts." if last is not None and last.metric == tuned.metric else ""
    return {"figure": drawn | {"caption": f"Scores on {tuned.items:,} {asked(spec.task, 'test')}; bars are one standard error.{what}",
                               "alt": "Scores. " + "; ".join(f"{name}: {each.score:.3f}" for name, each, _ in rows) + "."}}


def read(spec: RunSpec, result: RunResult, sound: Recorded | None) -> Evidence | None:
    """Tokens of an average test text that were read, and what they would fill if more could be."""
    seen = result.seen("read")
    if not seen:
        return None
    rows = [(f"this run, at most {spec.tokens}", _used(spec, seen), charts.VERMILLION)]
    other = sound.result.seen("read") if sound and sound.spec.tokens > spec.tokens else None
    if other:
        rows.append((f"a recorded run, at most {sound.spec.tokens}", _used(sound.spec, other), charts.GREY))
    drawn = _lying(rows, "tokens read of a text", 1)
    return {"figure": drawn | {"caption": "Tokens of the average test text that were read, its two or three marks included.",
                               "alt": "Tokens read of the average test text. " + "; ".join(f"{name}: {value:.1f}" for name, value, _ in rows) + "."}}


def _used(spec: RunSpec, seen: Mapping[str, Any]) -> float:
    return seen["tokens_per_answer"] - spec.method.virtual_tokens_used()


def break_even(spec: RunSpec, result: RunResult, sound: Recorded | None) -> Evidence | None:
    """What two thin matrices hold at each rank, against the one that they are to spare."""
    rank, sides = getattr(spec.method, "rank", None), _sides(spec)
    if rank is None or sides is None:
        return None
    inside, out = sides
    ranks = [1, round(inside * out / (inside + out)), rank]
    lines = [Line("A and B", ranks, [each * (inside + out) for each in ranks], charts.VERMILLION),
             Line(f"{out:,} × {inside:,}", [1, rank], [inside * out] * 2, charts.GREY, "dash")]
    drawn = figure(lines, "rank", "numbers", f"The lines cross at break-even, rank {ranks[1]}; the run's rank is {rank}, at the right end.", low=0.0)
    return {"figure": drawn}


def _sides(spec: RunSpec) -> tuple[int, int] | None:
    """(in, out) of the first matrix that A: (r, in) and B: (out, r) hold more numbers than."""
    for place in spec.method.places(spec.shape):
        named = {name.rpartition(".")[2].partition("_")[0]: sizes for name, sizes in place.tensors}
        if set(named) >= FACTORS and all(len(named[name]) == 2 for name in FACTORS):
            (rank, inside), (out, _) = named["A"], named["B"]
            if rank * (inside + out) > inside * out:
                return inside, out
    return None


def gradients(spec: RunSpec, result: RunResult, sound: Recorded | None) -> Evidence | None:
    """The norms of the gradients at each look, beside those of a recorded run that started as usual."""
    lines = _norms(result, "here", (charts.VERMILLION, charts.BLUE), "solid")
    if sound is not None:
        lines += _norms(sound.result, "recorded, usual start", (charts.GREY, charts.GREY), "dash")
    if not lines:
        return None
    drawn = figure(lines, "step", "norm of the gradient", "Marks: the steps at which it looked.", low=0.0)
    drawn["layout"]["xaxis"] = {key: value for key, value in drawn["layout"]["xaxis"].items() if not key.startswith("tick")}  # looks stand close at first
    return {"figure": drawn}


def _norms(result: RunResult, whose: str, colours: Sequence[str], dash: str) -> list[Line]:
    looks = [(each.step, each.value) for each in result.observed if each.lens == "gradient_norms" and each.value]
    names = sorted({name for _, value in looks for name in value})[:len(colours)]
    return [Line(f"{name}, {whose}", [step for step, value in looks if name in value], [value[name] for _, value in looks if name in value], colour, dash)
            for name, colour in zip(names, colours, strict=False)]


def far(spec: RunSpec, result: RunResult, sound: Recorded | None) -> Evidence | None:
    """How far each vector of a prompt lies from its nearest word."""
    drift = result.seen("prompt_drift")
    if not drift:
        return None
    vectors = [f"{place}" for place in range(1, len(drift["nearest"]) + 1)]
    drawn = _bars(vectors, [("", drift["nearest"], charts.VERMILLION)], "times as far", text=False)
    drawn["layout"]["xaxis"] |= {"title": {"text": "vector of the prompt", "standoff": 6}}
    drawn["layout"]["shapes"] = [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y2", "y0": 1, "y1": 1, "line": {"dash": "dash", "width": 1}}]
    drawn["table"] = {"columns": ["vector", "times as far"], "rows": [[name, f"{value:.1f}"] for name, value in zip(vectors, drift["nearest"], strict=True)]}
    return {"figure": drawn | {"caption": "Distance of each vector to its nearest word; the dashed line, 1, is how far neighbouring words lie apart.",
                               "alt": f"Distance of {len(vectors)} vectors to their nearest words: {min(drift['nearest']):.1f} to {max(drift['nearest']):.1f} "
                                      "times as far as neighbouring words lie apart."}}


def bytes_of(spec: RunSpec, result: RunResult, sound: Recorded | None) -> Evidence | None:
    """A step's memory part by part, above that of a recorded run of LoRA."""
    memory, other = result.seen("memory"), sound.result.seen("memory") if sound else None
    if not memory:
        return None
    bars = [cards.bar(memory, f"{spec.method.title}, this run"), *([cards.bar(other, f"{sound.spec.method.title}, recorded")] if other else [])]
    return {"bars": bars}


def _bars(names: Sequence[str], groups: Sequence[tuple[str, Sequence[float], Any]], axis: str, digits: int = 0, text: bool = True) -> dict[str, Any]:
    """Side by side, each with its number above it: (name, values, colour or a colour for each)."""
    top = max(value for _, values, _ in groups for value in values)
    traces = [{"type": "bar", "x": list(names), "y": list(values), "name": name, "marker": {"color": colour}, "yaxis": "y2", "cliponaxis": False,
               "hovertemplate": f"%{{x}}: %{{y:,.{digits or 1}f}} {name}<extra></extra>",
               **({"text": [f"{value:,.{digits}f} {name}" for value in values], "textposition": "outside"} if text else {})} for name, values, colour in groups]
    rows = [[each, *(f"{values[at]:,.{digits}f}" for _, values, _ in groups)] for at, each in enumerate(names)]
    return {"data": traces, "labels": [], "layout": {"barmode": "group", "bargap": 0.35, "xaxis": {"type": "category", "anchor": "y2"},
                                                     "yaxis2": {"range": [0, 1.15 * top], "nticks": 5, "title": {"text": axis}}},
            "table": {"columns": ["", *(name for name, _, _ in groups)], "rows": rows}}


def _lying(rows: Sequence[tuple[str, float, str]], axis: str, digits: int) -> dict[str, Any]:
    """Bars under each other, from the first on top, with long names on their left and the number in each: (name, value, colour)."""
    bars = {"type": "bar", "orientation": "h", "y": [name for name, _, _ in rows], "x": [value for _, value, _ in rows], "name": axis,
            "marker": {"color": [colour for _, _, colour in rows]}, "text": [f"{value:.{digits}f}" for _, value, _ in rows], "textposition": "inside",
            "insidetextanchor": "start", "textfont": {"color": "#111"}, "hovertemplate": f"%{{y}}: %{{x:.{digits + 1}f}}<extra></extra>"}
    return {"data": [bars], "labels": [], "layout": {"bargap": 0.3, "xaxis": {"rangemode": "tozero", "nticks": 5, "title": {"text": axis, "standoff": 6}},
                                                     "yaxis": {"autorange": "reversed", "ticksuffix": " "}},
            "table": {"columns": ["", axis], "rows": [[name, f"{value:.{digits}f}"] for name, value, _ in rows]}}


OF_DIAGNOSIS: Mapping[str, Callable[[RunSpec, RunResult, Recorded | None], Evidence | None]] = {
    "cut-off": read, "nothing-moves": gradients, "left-the-words": far, "above-break-even": break_even,
}
OF_PLACE: Mapping[str, Callable[[RunSpec, RunResult, Recorded | None], Evidence | None]] = {"answers": answers, "scores": scores, "memory": bytes_of}
