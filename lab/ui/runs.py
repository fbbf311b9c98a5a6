"""The Runs tab: what this browser has run; open, compare two, rename, delete, export."""
from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from lab import catalogue, describe
from lab.contracts import LabError, listing
from lab.events import RunResult
from lab.store import Run
from lab.ui import charts, files, wording
from lab.ui.bench import Bench
from lab.ui.controls import label
from lab.ui.picture import sentence, title
from lab.ui.sheet import sheet
from lab.ui.view import answered, view
from lab.ui.wording import percent, plain, score, seconds, size, whole

PAGE = 50
COLUMNS = ("id", "title", "created", "state", "model", "task", "method", "knobs", "steps", "batch", "lr", "seed", "trainable", "share",
           "test_score", "standard_error", "test_items", "training_seconds", "steps_per_second", "peak_bytes")


def tab(bench: Bench) -> gr.HTML:
    return view("runs.js", server_functions=questions(bench), elem_id="runs")


def questions(bench: Bench) -> list[Callable[[Any], dict[str, Any]]]:
    store = bench.store

    def mine(asked: Any) -> Run:
        return bench.mine(str(asked.get("run")), str(asked.get("owner", "")))

    @answered
    def history(asked: Any) -> dict[str, Any]:
        owner = str(asked.get("owner", ""))
        if not owner:
            return {"rows": [], "disk": size(0), "more": None}
        state, before = asked.get("state") or None, asked.get("before")
        found = store.history(owner, limit=PAGE, before=before if isinstance(before, int) else None, state=state, search=str(asked.get("search", ""))[:200])
        return {"rows": [row(run, store.result(run.id)) for run in found], "disk": size(store.disk_used(owner)),
                "more": found[-1].number if len(found) == PAGE else None}

    @answered
    def rename(asked: Any) -> dict[str, Any]:
        return {"title": store.rename(mine(asked).id, str(asked.get("title", "")).strip()).title}

    @answered
    def delete(asked: Any) -> dict[str, Any]:
        store.delete(mine(asked).id)
        return {"deleted": True}

    @answered
    def pair(asked: Any) -> dict[str, Any]:
        runs = [store.run(str(run_id)) for run_id in list(asked.get("runs", ()))[:2]]
        for run in runs:
            bench.check_reader(run, str(asked.get("owner", "")))
        if len(runs) != 2:
            raise LabError("mark two runs to see them side by side")
        for run in runs:
            bench.check_reader(run, str(asked.get("owner", "")))
        return side_by_side([(run, store.result(run.id)) for run in runs])

    @answered
    def export(asked: Any) -> dict[str, Any]:
        runs = store.history(str(asked.get("owner", "")) or "nobody", limit=1000)
        results = [(run, store.result(run.id)) for run in runs]
        return {"name": "runs.csv", "text": as_csv(results)} if asked.get("format") == "csv" else {"name": "runs.json", "text": as_json(results)}

    return [history, rename, delete, pair, export]


def row(run: Run, result: RunResult) -> dict[str, Any]:
    tuned, counts = result.scores.get("tuned"), result.started.counts if result.started else {}
    return {
        "id": run.id, "name": title(run.settings), "title": run.title, "settings": sentence(run.settings), "state": run.state, "reason": run.reason,
        "colour": charts.colour(run.settings["method"]["name"]), "created": time.strftime("%Y-%m-%d %H:%M", time.gmtime(run.created)), "at": run.created,
        "score": score(tuned.score, tuned.standard_error, tuned.metric) if tuned else "", "trained": whole(counts["trainable"]) if counts else "",
        "share": percent(counts["share"]) if counts else "", "shared": run.shared,
        "seconds": seconds(result.seconds["total"]) if "total" in result.seconds else "", "files": files.offered(run, result) if run.ended else [],
    }


def side_by_side(pair: Sequence[tuple[Run, RunResult]]) -> dict[str, Any]:
    """Two runs at a glance: their curves in one chart and what differs in their settings. No verdict: that needs several seeds."""
    names = ["A", "B"]
    curves = [charts.Curve(f"{name} {title(run.settings).partition(' · ')[0]}", run.settings["method"]["name"], result, run.settings["steps"], name)
              for name, (run, result) in zip(names, pair, strict=True)]
    rows = [row(run, result) for run, result in pair]
    lines = [{"name": words, "values": [each[key] for each in rows]} for words, key in
             (("run", "name"), ("test score", "score"), ("trained", "trained"), ("share", "share"), ("time in all", "seconds"), ("state", "state"))]
    return {"figure": charts.learning(curves), "lines": lines, "differ": differences(pair[0][0].settings, pair[1][0].settings),
            "caution": caution(pair)}


def caution(pair: Sequence[tuple[Run, RunResult]]) -> str:
    """Why the two scores are not of the same thing; "" where they are."""
    one, other = (run.settings for run, _ in pair)
    tuned = [result.scores.get("tuned") for _, result in pair]
    reasons = [f"the {key} differs" for key in ("model", "task") if one[key] != other[key]]
    if one["task"] == other["task"]:
        items = [seen.items if seen else run.settings["eval_items"] for (run, _), seen in zip(pair, tuned, strict=True)]
        if items[0] != items[1]:
            reasons.append(f"A was asked {items[0]:,} {wording.asked(one['task'], 'test')} and B {items[1]:,}")
    return f"These two scores cannot be compared directly: {listing(reasons)}." if reasons else ""


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    one, other = (_flat(each) for each in (first, second))
    keys = [key for key in one if key in other and one[key] != other[key]]  # two methods have different knobs: those are not compared
    return [{"name": label(key).lower(), "values": [_said(each[key]) for each in (one, other)]} for key in keys]


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """A knob that is not written stands at its default."""
    kind = catalogue.entries("methods").get(settings["method"]["name"])
    usual = {knob["name"]: knob["default"] for knob in describe.knobs(kind)} if kind else {}
    knobs = {("method" if key == "name" else key): value for key, value in {**usual, **settings["method"]}.items()}
    return {**knobs, **{key: value for key, value in settings.items() if key != "method"}}


def _said(value: Any) -> str:
    if value is None:
        return "all"
    return ", ".join(map(str, value)) if isinstance(value, list) else plain(value) if isinstance(value, int | float) else str(value)


def as_json(results: Sequence[tuple[Run, RunResult]]) -> str:
    return json.dumps([{"id": run.id, "title": run.title, "created": run.created, **result.to_dict(), "spec": run.settings} for run, result in results],
                      ensure_ascii=False, indent=1)


def as_csv(results: Sequence[tuple[Run, RunResult]]) -> str:
    """One row a run."""
    return sheet(COLUMNS, [_cells(run, result) for run, result in results])


def as_csv_with(column: str, results: Sequence[tuple[str, Run, RunResult]]) -> str:
    """The same behind a column of one's own."""
    return sheet([column, *COLUMNS], [[value, *_cells(run, result)] for value, run, result in results])


def _cells(run: Run, result: RunResult) -> list[Any]:
    spec, tuned, memory = run.settings, result.scores.get("tuned"), result.seen("memory") or {}
    counts = result.started.counts if result.started else {}
    knobs = json.dumps({key: value for key, value in spec["method"].items() if key != "name"}, ensure_ascii=False)
    measured = [tuned.score, tuned.standard_error, tuned.items] if tuned else [None] * 3
    return [run.id, run.title, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(run.created)), run.state, spec["model"], spec["task"],
            spec["method"]["name"], knobs, spec["steps"], spec["batch"], spec["lr"], spec["seed"], counts.get("trainable"), counts.get("share"), *measured,
            result.seconds.get("training"), result.steps_per_second or None, memory.get("peak_bytes")]
