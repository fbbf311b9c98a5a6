"""The museum of failures on the page: exhibits with what one sees at first, names to choose from, and then the lab's own diagnosis."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lab import catalogue
from lab.contracts import LabError, shorten
from lab.diagnosed import Diagnosis
from lab.events import RunResult
from lab.museum import spec_of
from lab.ui import address
from lab.ui.bench import Bench
from lab.ui.learn.evidence import wrong
from lab.ui.picture import made, picture, reference, sentence, settled, title
from lab.ui.wording import scored

LATER = "asked again, later"  # of a score whose usual name says what went wrong
LATER_ROW = {"name": "Asked again, later", "about": "the same texts, once the run was put to use"}


def labels(bench: Bench) -> list[dict[str, Any]]:
    """Those that are recorded: method and model, settings and score of each, and which names it might have. The right one is not said."""
    keys = list(catalogue.entries("diagnoses"))
    return [{"key": key, "number": keys.index(key) + 1, "says": _says(_label(catalogue.find("diagnoses", key)), bench.museum[key].result), "names": _names(key)}
            for key in keys if key in bench.museum]


def _says(settings: Mapping[str, Any], result: RunResult) -> str:
    """LoRA · MiniLM-L6 · Movie reviews · … · accuracy 0.503: runs of the same settings are told apart by what came out."""
    tuned = result.scores.get("tuned")
    came = f"{tuned.metric} {scored(tuned.score, tuned.metric)}" if tuned and tuned.score is not None else ""
    return " · ".join(filter(None, (title(settings), sentence(settings), came)))


def _label(diagnosis: type[Diagnosis]) -> Mapping[str, Any]:
    """The settings without the knob of the method that was turned: what it did is to be seen, and that is the question."""
    settings = spec_of(diagnosis).to_dict()
    return {**settings, "method": {knob: value for knob, value in settings["method"].items() if knob != diagnosis.knob}}


def _names(key: str) -> list[dict[str, str]]:
    """The right name among those that one may take it for, in the order of the alphabet."""
    titles = [{"key": each, "title": catalogue.find("diagnoses", each).title} for each in (key, *catalogue.find("diagnoses", key).mistaken)]
    return sorted(titles, key=lambda each: each["title"])


def _unnamed(result: RunResult) -> RunResult:
    """Without a score's name that says it all."""
    return replace(result, scores={LATER if who == "reloaded" else who: seen for who, seen in result.scores.items()})


def shown(bench: Bench, key: Any) -> dict[str, Any]:
    """Raises LabError for an exhibit that there is not."""
    if key not in bench.museum:
        raise LabError(f'there is no exhibit "{shorten(key)}": there are {", ".join(bench.museum) or "none recorded yet"}')
    recorded, diagnosis = bench.museum[key], catalogue.find("diagnoses", key)
    spec, settings = recorded.spec, recorded.spec.to_dict()
    seen = picture(spec, settings, settled(spec, settings), _unnamed(recorded.result), recorded.result.state, reference(bench.recorded, settings))
    seen["learned"]["rows"] = [{**row, **LATER_ROW} if row["who"] == LATER else row for row in seen["learned"]["rows"]]
    found = wrong(spec, recorded.result, bench.recorded)
    against = {each: catalogue.find("diagnoses", each).against(spec, recorded.result) for each in diagnosis.mistaken}
    return {"about": diagnosis.about, "against": against, "diagnoses": sorted(found, key=lambda each: each["key"] != key),
            "chip": made(recorded), "draft": address.short(spec), **{part: seen[part] for part in ("figure", "learned", "trained", "cost", "reason")}}
