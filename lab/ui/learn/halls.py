"""The museum of failures on the page: exhibits with what one sees at first, names to choose from, and then the lab's own diagnosis."""
from __future__ import annotations

from typing import Any

from lab import catalogue
from lab.contracts import LabError, shorten
from lab.diagnosed import diagnose
from lab.museum import spec_of
from lab.recording import Recorded
from lab.ui import address
from lab.ui.bench import Bench
from lab.ui.learn.evidence import wrong
from lab.ui.picture import made, picture, reference, sentence, settled

CHOICES = 4  # names to choose from


def labels(bench: Bench) -> list[dict[str, Any]]:
    """Those that are recorded: what is to be seen of each, and which names it might have. The right one is not said."""
    keys = list(catalogue.entries("diagnoses"))
    return [{"key": key, "number": keys.index(key) + 1, "says": sentence(spec_of(catalogue.find("diagnoses", key)).to_dict()),
             "names": _names(bench.museum[key], key)} for key in keys if key in bench.museum]


def _names(exhibit: Recorded, key: str) -> list[dict[str, str]]:
    """The right name among its neighbours, in the order of the alphabet. What else is wrong with the run is not among them: it would be right as well."""
    keys = list(catalogue.entries("diagnoses"))
    start, also = keys.index(key), {each.key for each in diagnose(exhibit.result)}
    wrong = [each for each in (*keys[start + 1:], *keys[:start]) if each not in also]
    few = {key, *wrong[:CHOICES - 1]}
    return sorted(({"key": each, "title": catalogue.find("diagnoses", each).title} for each in few), key=lambda each: each["title"])


def shown(bench: Bench, key: Any) -> dict[str, Any]:
    """Raises LabError for an exhibit that there is not."""
    if key not in bench.museum:
        raise LabError(f'there is no exhibit "{shorten(key)}": there are {", ".join(bench.museum) or "none recorded yet"}')
    recorded, diagnosis = bench.museum[key], catalogue.find("diagnoses", key)
    spec, settings = recorded.spec, recorded.spec.to_dict()
    seen = picture(spec, settings, settled(spec, settings), recorded.result, recorded.result.state, reference(bench.recorded, settings))
    found = wrong(spec, recorded.result, bench.recorded)
    return {"about": diagnosis.about, "title": diagnosis.title, "diagnoses": sorted(found, key=lambda each: each["key"] != key),
            "chip": made(recorded), "draft": address.short(spec), **{part: seen[part] for part in ("figure", "learned", "trained", "cost", "reason")}}
