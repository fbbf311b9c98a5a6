"""How a comparison stands: a row an arm while it runs, the race, and what the report makes of the results. Reports are kept as long as nothing has come."""
from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from threading import Lock
from typing import Any

from lab import export
from lab.compare import Comparison, report
from lab.compare.report import judged_by, known_outcomes, spares_blocks
from lab.compare.says import listed
from lab.compare.varied import strands
from lab.contracts import LabError
from lab.owndata.shelf import is_own
from lab.reporting.evidence import evidence
from lab.reporting.front import cost_of
from lab.reporting.measures import Measure, measures
from lab.sweeping import note_rates
from lab.ui import address
from lab.ui.bench import Bench
from lab.ui.compare.arms import looks
from lab.ui.compare.figures import figures, of_outcome, shows
from lab.ui.compare.front import scatter
from lab.ui.compare.interaction import beside
from lab.ui.compare.items import TestItems
from lab.ui.compare.parts import Part
from lab.ui.compare.race import MEASURES, Runner, first_chart, race
from lab.ui.compare.sources import gone, had, marked, sources
from lab.ui.compare.table import failures, table
from lab.ui.compare.verdicts import aside, more, shared, verdicts, winners
from lab.ui.wording import scored

KEPT_REPORTS = 16
SAME = "These arms cost the same: they differ neither in what is trained nor in texts, memory or time. Choose two other measures to draw them."
GOING = ("queued", "running")
FAILED = re.compile(r" failed with seed \d+: ")  # the report says it for each run, the page once for all that had the same reason


@dataclass(frozen=True)
class Stand:
    """A comparison with its runs; `judged` is it without the arms that were stopped, None where fewer than two are left."""

    comparison: Comparison
    parts: Sequence[Part]
    judged: Comparison | None
    looked: Sequence[Sequence[int]] = ()

    @property
    def looks(self) -> dict[str, dict[str, str]]:
        return dict(zip(self.comparison.specs, looks(list(self.comparison.specs.values())), strict=True))

    @property
    def counted(self) -> list[Part]:
        """The runs that verdicts wait for."""
        return [part for part in self.parts if self.judged and part.arm in self.judged.specs]


class Reports:
    """A report takes a tenth of a second and more: it is made once for the same results."""

    def __init__(self, bench: Bench, items: TestItems) -> None:
        self.bench, self.items = bench, items
        self._kept: OrderedDict[Any, dict[str, Any]] = OrderedDict()
        self._lock = Lock()

    def of(self, stand: Stand) -> dict[str, Any] | None:
        """None while nothing has ended."""
        ended = {part.spec.fingerprint: part for part in stand.counted if part.ended}
        if stand.judged is None or not ended:
            return None
        runs = tuple(sorted((fingerprint, part.state, part.run.id if part.run else "") for fingerprint, part in ended.items()))
        key = (stand.judged.to_json(), runs, tuple(map(tuple, stand.looked)), self.items.here(stand.judged.base_spec))
        with self._lock:
            if key not in self._kept:
                while len(self._kept) >= KEPT_REPORTS:
                    self._kept.popitem(last=False)
                self._kept[key] = self._made(stand, ended)
            return self._kept[key]

    def _made(self, stand: Stand, ended: Mapping[str, Part]) -> dict[str, Any]:
        made = report(stand.judged, {fingerprint: part.result for fingerprint, part in ended.items()}, self.items.labels(stand.judged), stand.looked)
        made["apart"] = marked(made, ended)
        note_rates(made["arms"], stand.judged.specs.values(), self.bench.sweeps)
        known = known_outcomes(stand.judged, made)
        made["by"] = judged_by(stand.judged, made, list(known))  # anew: by now it is known whose times cannot be held against each other
        made["pairs"] = made["by"][stand.judged.measure]
        made["scripts"] = scripts(stand.judged)
        made["evidence"] = evidence(stand.judged, self.bench.sweeps, self.bench.ready, self.bench.recorded)
        both = beside(self.bench, stand.judged, made, stand.looks)
        made["figures"] = figures(stand.judged, made, stand.looks, _chosen(made), made["evidence"], both)
        made["figures_by"] = {key: of_outcome(outcome, stand.judged.measure, made, stand.looks, made["figures"]) for key, outcome in known.items()}
        return made


def _chosen(made: Mapping[str, Any]) -> tuple[Measure, ...]:
    return measures(made["metric"], made["higher_is_better"], made["test_metric"])


def running(stand: Stand) -> list[dict[str, Any]]:
    """A row an arm: how many seeds are done, and what the one that goes on is doing."""
    return [_row(name, [part for part in stand.parts if part.arm == name], stand) for name in stand.comparison.specs]


def _row(name: str, own: Sequence[Part], stand: Stand) -> dict[str, Any]:
    states = [part.state for part in own]
    done = [part for part in own if part.state == "finished"]
    final = [part.result.scores["tuned"] for part in done if "tuned" in part.result.scores]
    going = [_going(part) for part in own if part.state == "running"]
    waiting = states.count("queued")
    said = going[:1] or ([f"{waiting} waiting"] if waiting else [])
    return {
        "name": name, **stand.looks[name], "stopped": stand.judged is None or name not in stand.judged.specs, "done": len(done), "of": len(own),
        "progress": sum(1.0 if part.ended else _share(part) for part in own) / max(1, len(own)), "says": said[0] if said else "",
        "state": next((state for state in ("running", "queued") if state in states),
                      "finished" if len(done) == len(own) else "failed" if "failed" in states else "cancelled" if "cancelled" in states else "missing"),
        "score": scored(fmean(each.score for each in final), final[0].metric) if final and all(each.score is not None for each in final) else "",
        "reasons": [f"seed {part.seed}: {part.result.reason or (part.run.reason if part.run else '')}" for part in own if part.state == "failed"],
        "run": next((part.run.id for part in (*(part for part in own if part.state == "running"), *own) if part.run), ""),
    }


def _share(part: Part) -> float:
    return 0.95 * part.result.step / part.spec.steps if part.state == "running" and part.spec.steps else 0.0


def _going(part: Part) -> str:
    if part.result.started is None:
        return f"seed {part.seed}: loading"
    if part.result.step >= part.spec.steps:
        return f"seed {part.seed}: answering the test"
    return f"seed {part.seed}: step {part.result.step} of {part.spec.steps}"


def told(bench: Bench, reports: Reports, stand: Stand, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the page shows of a comparison that has been started."""
    states = [part.state for part in stand.parts]
    made = reports.of(stand)
    over = bool(made and made["state"] == "finished")
    open_still = ("missing", "known", *(("cancelled",) if asked.get("go") and "cancelled" in (asked.get("again") or ()) else ()))
    begun = [part for part in stand.parts if part.result.started]
    runners = [Runner(name, look, [(part.seed, part.result, part.state == "finished") for part in stand.parts if part.arm == name])
               for name, look in stand.looks.items() if any(part.arm == name for part in begun)]
    chart = asked.get("chart") if asked.get("chart") in MEASURES else first_chart(runners, stand.comparison.scored)
    return {
        "rows": running(stand), "of": len(states), "done": states.count("finished"), "failed": states.count("failed"),
        "stopped": states.count("cancelled"), "way": sum(state in GOING for state in states),
        "left": sum(part.state in open_still for part in stand.counted), "known": sum(part.state == "known" for part in stand.counted),
        "race": race(runners, chart, over, stand.comparison.base_spec.task, stand.comparison.train) if runners else None, "chart": chart,
        "result": shown(stand, made, asked) if made else None, "had": had(stand.parts), "gone": gone(stand.parts, asked.get("had")),
    }


def shown(stand: Stand, made: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    chosen = _chosen(made)
    counted = stand.counted
    said = verdicts(made, sum(part.ended for part in counted), len(counted))
    missing = [name for name in stand.comparison.specs if name not in stand.judged.specs]
    x, y = axes(made, chosen, asked)
    return {
        "verdicts": said, "more": more(made), "outcomes": _outcomes(stand.judged, made, counted), "looks": made["looks"]["says"], "seeds": made["seeds"],
        "warnings": [*(text for text in made["warnings"] if not FAILED.search(text)),
                     *(f"{arm['name']} failed with {text}" for arm in made["arms"] for text in failures(arm)),
                     *(f"{name} was stopped: it is not judged" for name in missing)],
        "table": table(made["arms"], chosen, stand.looks, winners(made), made["apart"], made["measure"]), "figures": made["figures"],
        "sources": sources(counted, made["apart"]), "shared": shared(made), "questions": made["questions"],
        "hints": [text for text in (made["load"], _untimed(stand.judged), _no_forgetting(stand.judged, made)) if text], "scripts": made["scripts"],
        "measures": [{"key": each.key, "title": each.title} for each in chosen if any(each.of(arm) is not None for arm in made["arms"])],
        "scatter": _scatter(stand, made, x, y) if x and y else None, "axes": {"x": x.key if x else "", "y": y.key}, "no_axis": "" if x else SAME,
        "by": stand.judged.by,
        "on_items": [{"seed": row["seed"], "says": row["says"]} for row in made["on_items"]],
    }


def _outcomes(judged: Comparison, made: Mapping[str, Any], counted: Sequence[Part]) -> list[dict[str, Any]]:
    """What the comparison can be read by, first what it is about: each with its verdicts, its offer of seeds, and the figure that shows it."""
    known, about, ended = known_outcomes(judged, made), judged.measure, sum(part.ended for part in counted)
    return [{"key": key, "title": outcome.title, "verdicts": verdicts(made, ended, len(counted), made["by"][key], key),
             "more": more(made, made["by"][key], key), "says": aside(outcome, about, len(known) - 1, made["looks"]["spent"]),
             "shown": shows(key, about, made["figures"]), "figure": made["figures_by"].get(key)} for key, outcome in known.items()]


def _untimed(judged: Comparison) -> str:
    """Whose answers in batches would seem faster than they are."""
    arms = [name for name, spec in judged.specs.items() if spares_blocks(spec)]
    return (f"No time of an answer is told of {listed(arms)}: nothing is trained in the lowest blocks, so the lab keeps what those give for a text and does "
            "not read a known text anew. One text alone is read from the start by every arm.") if arms else ""


def _no_forgetting(judged: Comparison, made: Mapping[str, Any]) -> str:
    """Why there is no such column, where none of the arms can have one."""
    if any(arm["forgetting"] is not None for arm in made["arms"]) or any(spec.shape.kind == "decoder" for spec in judged.specs.values()):
        return ""
    kinds = {"encoder": "an encoder foretells no next word", "vision": "an image model reads no text"}
    why = kinds.get(judged.base_spec.shape.kind, "only a decoder foretells the next word of any text")
    return f"There is no column for forgetting: it is told by the perplexity of general English, and {why}."


def scripts(judged: Comparison) -> list[dict[str, str]]:
    """The program of each arm, with its first seed, or {"name", "why"} there is none; recorded arms have theirs as well, data of one's own stay with their
    owner."""
    found = []
    for name, spec in judged.specs.items():
        try:
            if is_own(str(spec.task)):
                raise LabError("what was uploaded is handed out with a run of it only, to its owner: open the run, and there “Show code”")
            export.script(spec)
            found.append({"name": name, "href": f"script.zip?spec={address.query(spec)}", "file": f"{spec.method.key}-{spec.model}-script.zip"})
        except LabError as error:
            found.append({"name": name, "why": str(error)})
    return found


def axes(made: Mapping[str, Any], chosen: Sequence[Measure], asked: Mapping[str, Any]) -> tuple[Measure | None, Measure]:
    """What is drawn against what: as it was asked for, else the score against the first cost in which the arms differ, if there is one."""
    by_key = {each.key: each for each in chosen}
    return by_key.get(str(asked.get("x"))) or cost_of(made["arms"], chosen), by_key.get(str(asked.get("y"))) or by_key["score"]


def _scatter(stand: Stand, made: Mapping[str, Any], x: Measure, y: Measure) -> dict[str, Any] | None:
    found = scatter(made["arms"], stand.looks, x, y, strands(stand.comparison))
    if found and made["apart"] and (x.timed or y.timed):
        found["says"] = f"Times of recorded arms are of another machine, so this compares machines as well. {found['says']}"
    return found
