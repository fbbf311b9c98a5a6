"""What came of a question, as the page shows it: every speaker's card, the tokens, and the time of each form, with what these numbers are worth."""
from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from lab.contracts import listing
from lab.events import RunResult
from lab.serving import Question, told
from lab.spec import RunSpec
from lab.store import Run
from lab.ui.ask.runs import FORMS
from lab.ui.wording import THIN, ordinal, percent, seconds

STARTING_SECONDS = 0.8  # a warm worker has taken a question by then
UNCALIBRATED = ("A bar is a share of the softmax over the labels and no certainty: nobody calibrated it, so of all answers given with "
                f"95{THIN}%, fewer (or more) than 95 in 100 may be right.")
LABEL_WORDS = " The model chooses among the label words alone; what it would rather have written is left out."
NEAREST = ("An untouched encoder has no head and gives no answer of its own. This is the label whose training texts lie nearest to the text, by the cosine of "
           "mean features: how alike, from −1 to 1, and no probability.")
GRID = " The weights of this model lie on a grid of 4 bits as they come from the package index, so 4 bits cost it less than they would cost others."


def shown(run: Run, spec: RunSpec, result: RunResult) -> dict[str, Any]:
    """Everything that is to be seen of a question so far."""
    question, said = Question.from_json(run.spec_json), told(result)
    answers = [_card(spec, question, said["answers"][who]) for who in ("base", "prompted", "tuned") if who in said["answers"]]
    return {
        "question": run.id, "state": run.state, "status": _status(run, result, said), "reason": result.reason or run.reason, "advice": result.advice,
        "text": question.text, "timing": bool(question.calls), "cards": answers, "caution": _caution(spec, said["answers"]),
        "expected": _expected(spec, question), "tokens": _tokens(spec, said["tokens"]) if said["tokens"] else None,
        "latency": _latency(spec, question, said["latency"]) if said["latency"] else None,
    }


def _expected(spec: RunSpec, question: Question) -> list[dict[str, str]]:
    """The cards that will come, so that their places are there from the beginning."""
    whom = ["base", *(["prompted"] if spec.shape.writes and (question.shots or question.wording) else []), "tuned"]
    return [{"who": who, "title": _title(spec, who), "about": _about(spec, question, who)} for who in whom]


def _title(spec: RunSpec, who: str) -> str:
    base = spec.base.title.partition(" (")[0]
    return {"base": f"{base}, untouched", "prompted": f"{base} with a prompt", "tuned": f"{base} with {spec.method.title}"}[who]


def _about(spec: RunSpec, question: Question, who: str) -> str:
    if who == "tuned" and spec.method.family == "none":
        return "nothing trained, asked as the run was"
    if who == "tuned":
        return {"adapter": "tuned", "merged": "tuned, merged into the base", "nf4": "tuned, on a base in 4 bits"}[question.form]
    bits = " in 4 bits" if question.form == "nf4" else ""
    if who == "base":
        return f"nothing trained{bits}" + (", asked as the tuned one is" if spec.shape.writes else "")
    shots = f"{question.shots} solved example{'s' if question.shots > 1 else ''}" if question.shots else ""
    return f"nothing trained{bits}, {listing([part for part in (shots, question.wording and 'your wording') if part])}"


def _card(spec: RunSpec, question: Question, answer: Mapping[str, Any]) -> dict[str, Any]:
    who, kind = answer["who"], answer["kind"]
    card = {"who": who, "kind": kind, "title": _title(spec, who), "about": _about(spec, question, who), "going": bool(answer.get("going")), "took": ""}
    if kind == "refused":
        return {**card, "text": answer["reason"]}
    if not card["going"]:
        card["took"] = f"reads {answer['tokens']:,} token{'s' if answer['tokens'] != 1 else ''} · {seconds(answer['seconds'])}"
    if kind == "text":
        return {**card, "text": answer["text"]}
    best = max(range(len(answer["labels"])), key=answer["logits"].__getitem__)
    values = answer["chances"] if kind == "labels" else answer["logits"]
    said = [percent(value) if kind == "labels" else f"{value:+.3f}".replace("-", "−") for value in values]
    rows = [{"label": label, "part": value if kind == "labels" else None, "said": words, "best": place == best}
            for place, (label, value, words) in enumerate(zip(answer["labels"], values, said, strict=True))]
    return {**card, "best": answer["labels"][best], "rows": rows, "unit": "share of softmax" if kind == "labels" else "cosine",
            "note": NEAREST if kind == "nearest" else ""}


def _caution(spec: RunSpec, answers: Mapping[str, Any]) -> str:
    if not any(answer["kind"] == "labels" for answer in answers.values()):
        return ""
    return UNCALIBRATED + (LABEL_WORDS if spec.shape.writes else "")


def _tokens(spec: RunSpec, seen: Mapping[str, Any]) -> dict[str, Any]:
    total, virtual, cut = seen["total"], seen["virtual"], seen["cut"]
    said = [f"{total:,} tokens of the vocabulary" + (f" and {virtual:,} virtual ones" if virtual else "")]
    if seen["shots"]:
        said.append(f"{seen['shots']} solved examples stand in front of the text")
    lines = [f"{'; '.join(said)}."]
    if virtual:
        lines.append("Virtual tokens are trained vectors that no word stands behind." + (" They are seen in every layer, as keys and values of attention."
                     if spec.method.key in ("prefix_tuning", "llama_adapter") else ""))
    if cut:
        lines.append(f"The text was too long: {cut:,} token{'s' if cut > 1 else ''} of its end were not read, for this run reads at most {seen['longest']:,}.")
    return {**seen, "says": lines}


def _latency(spec: RunSpec, question: Question, seen: Mapping[str, Any]) -> dict[str, Any]:
    """A row for each form: the middle of its calls and the middle half of them."""
    slowest = max(row["median"] for row in seen["rows"])
    names = {**FORMS, "base": "untouched base"}
    rows = [{"form": names[row["form"]], "median": _short(row["median"]), "part": row["median"] / slowest,
             "half": f"{_short(row['low'])} – {_short(row['high'])}", "answer": _answered(row), "far": percent(row["far"]) if "far" in row else "–",
             "base": row["form"] == "base"} for row in seen["rows"]]
    calls, threads = seen["rows"][0]["calls"], seen["threads"]
    note = (f"Median of {calls} calls each, taken in turn after one that does not count, and the middle half of them. It is the latency of this machine: "
            f"one text at a time, {threads} thread{'s' if threads > 1 else ''} of its CPU, beside whatever else it does. "
            "Many texts at once, or a GPU, may turn the order round.")
    grid = GRID if spec.base.gguf and any(row["form"] == "nf4" for row in seen["rows"]) else ""
    return {"rows": rows, "note": note + grid, "text": question.text, "writes": spec.goal.writes,
            "missing": [f"{FORMS[form][:1].upper()}{FORMS[form][1:]}: {reason}." for form, reason in seen["missing"].items()]}


def _answered(row: Mapping[str, Any]) -> str:
    if "text" in row:
        return f"{row['written']} tokens" + (f", {_short(row['median'] / row['written'])} each" if row["written"] else "")
    return f"{row['label']} {percent(row['chance'])}" if "label" in row else "features only"


def _short(amount: float) -> str:
    """Milliseconds where that is what one would say."""
    return f"{1000 * amount:.{0 if amount >= 0.0995 else 1}f}{THIN}ms" if amount < 0.9995 else seconds(amount)


def _status(run: Run, result: RunResult, said: Mapping[str, Any]) -> str:
    if run.state == "queued":
        if time.time() - run.created < STARTING_SECONDS:
            return "asking …"
        return "The worker that answers is starting: about ten seconds, the first time."
    if run.state == "running":
        done = said["progress"]
        if done:
            return f"timing: {ordinal(done['done'])} of {done['of']} answers"
        if result.preparing and not said["tokens"]:
            return result.preparing.what
        return "answering …" if said["tokens"] else "opening the run …"
    return ""
