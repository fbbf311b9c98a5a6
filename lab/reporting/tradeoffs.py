"""The trade-offs of the course texts, made of measured values alone: an axis that was not measured for every arm is left out, and said to be.

Each axis goes from 0 to 1, and 1 is the best of these arms:
    parameters       how few are trained, on a logarithmic scale from all of the model's numbers (0) to the fewest here (1)
    memory           the smallest peak of a step here / an arm's own
    training speed   the shortest step here / an arm's own
    inference        the shortest answer here / an arm's own, in batches and not merged; where that is the machine's load, or none, one text over the base's
    quality          the lead over always giving the most frequent answer, as a share of the best lead here
    flexibility      (width of the good learning rates, in powers of ten) × (share of tasks within 2 points of the best at default knobs), over the best here
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log10
from typing import Any

from lab.compare.says import listed
from lab.ui.wording import figures, percent, scored, seconds, size

FEWEST_TASKS = 2  # behind a share of tasks
FEWEST_AXES = 3  # of a radar
POINTS = 0.02


@dataclass(frozen=True)
class Evidence:
    """What is known of arms beside their own runs: by name the width of their good learning rates in powers of ten, and on how many of how many tasks
    they came within 2 points of the best at default knobs."""

    widths: Mapping[str, float] = field(default_factory=dict)
    tasks: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Axis:
    """`values` by arm, as measured; `places` from 0 to 1."""

    name: str
    scale: str
    values: Mapping[str, float]
    places: Mapping[str, float]
    said: Callable[[float], str]


def axes(report: Mapping[str, Any], evidence: Evidence) -> tuple[list[Axis], list[str]]:
    """Those that are known for every arm with a score; and why each other one is left out."""
    arms = [arm for arm in report["arms"] if arm["mean"] is not None]
    apart = len({arm.get("elsewhere", "") for arm in arms}) > 1
    formats = _formats(arms)
    answers, inference, took = _answers(arms)
    found, missing = [], []
    for name, scale, values, places, said in (
        ("parameters", "fewest numbers trained; 0 is all of the model's, logarithmic", *_few(arms), percent),
        ("memory", "smallest peak of a step ÷ its own", *(_least(arms, "peak_bytes") if not formats else ({}, {})), size),
        ("training speed", "shortest step ÷ its own", *(_least(arms, "step_seconds") if not apart and not formats else ({}, {})), seconds),
        ("inference", inference, *(_least(arms, answers) if not apart and not formats else ({}, {})), took),
        ("quality", "lead over the most frequent answer ÷ the best lead", *_lead(report, arms), lambda value: scored(value, report["metric"])),
        ("flexibility", "width of the good learning rates, in powers of ten, × share of tasks within 2 points of the best ÷ the best such product",
         *_flexible(arms, evidence), figures),
    ):
        if len(values) == len(arms) and len(arms) > 1:
            found.append(Axis(name, scale, values, places, said))
        else:
            missing.append(name)
    keys = {"training speed": "step_seconds", "inference": answers}
    return found, [f"{name} ({_why(name, apart, formats, [arm['name'] for arm in arms if keys.get(name) in arm.get('loaded', ())])})" for name in missing]


def _answers(arms: Sequence[Mapping[str, Any]]) -> tuple[str, str, Callable[[float], str]]:
    """Which time of answering is steady: the measure, its scale and how it is written."""
    def steady(key: str) -> bool:
        return all(arm.get(key) and key not in arm.get("loaded", ()) for arm in arms)

    if not steady("answer_seconds") and steady("alone_times") and len({(arm["spec"]["model"], arm["spec"]["quantization"]) for arm in arms}) == 1:
        return "alone_times", "shortest answer ÷ its own, one text over the base's time, not merged", lambda value: f"× {value:.2f}"
    return "answer_seconds", "shortest answer ÷ its own, in batches, not merged", seconds


def _formats(arms: Sequence[Mapping[str, Any]]) -> bool:
    """Whether arms compute in different number formats though nobody chose that: then neither bytes nor times are the methods' own."""
    kinds = {run["dtype"] for arm in arms for run in arm["runs"] if run.get("dtype")}
    return len(kinds) > 1 and any(arm["spec"]["dtype"] == "auto" for arm in arms)


def _why(name: str, apart: bool, formats: bool, loaded: Sequence[str]) -> str:
    if name == "flexibility":
        return f"it takes a sweep of learning rates of every arm and scores at default knobs on at least {FEWEST_TASKS} tasks"
    if formats and name in ("memory", "training speed", "inference"):
        return "arms compute in different number formats"
    if apart and name in ("training speed", "inference"):
        return "arms were timed on different machines"
    if loaded:
        return f"this time of {listed(loaded)} cannot be told from the machine's load"
    return "not measured for every arm"


def _few(arms: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """Nothing where an arm trains nothing: its place would be endless."""
    values = {arm["name"]: arm["share"] for arm in arms if arm["share"]}
    if not arms or len(values) < len(arms):
        return {}, {}
    least = min(values.values())
    return values, {name: log10(value) / log10(least) if least < 1 else 1.0 for name, value in values.items()}


def _least(arms: Sequence[Mapping[str, Any]], key: str) -> tuple[dict[str, float], dict[str, float]]:
    """Nothing of an arm whose time cannot be told from the machine's load."""
    values = {arm["name"]: arm[key] for arm in arms if arm[key] and key not in arm.get("loaded", ())}
    least = min(values.values(), default=0.0)
    return values, {name: least / value for name, value in values.items()}


def _lead(report: Mapping[str, Any], arms: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """Where there is no most frequent answer, from 0."""
    if not report["higher_is_better"]:
        return {}, {}
    floor = report["references"].get("majority", {}).get("score", 0.0)
    values = {arm["name"]: arm["mean"] for arm in arms}
    most = max(value - floor for value in values.values()) if values else 0.0
    return values, {name: max(0.0, (value - floor) / most) if most > 0 else 0.0 for name, value in values.items()}


def _flexible(arms: Sequence[Mapping[str, Any]], evidence: Evidence) -> tuple[dict[str, float], dict[str, float]]:
    values = {}
    for arm in arms:
        near, of = evidence.tasks.get(arm["name"], (0, 0))
        if arm["name"] in evidence.widths and of >= FEWEST_TASKS:
            values[arm["name"]] = evidence.widths[arm["name"]] * near / of
    most = max(values.values(), default=0.0)
    return values, {name: value / most if most else 0.0 for name, value in values.items()}
