"""The Compare tab: what the page may ask. A comparison lives in the page and its address; its runs are ordinary runs of this browser."""
from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from lab import catalogue
from lab.compare import Comparison, in_common, warnings
from lab.contracts import LabError, listing
from lab.spec import RunSpec
from lab.ui import offered
from lab.ui.bench import Bench
from lab.ui.compare import adding, arms, formats, forms, parts, ready
from lab.ui.compare import asked as sent
from lab.ui.compare.cost import cost, distinct
from lab.ui.compare.files import file
from lab.ui.compare.items import TestItems, disagreements
from lab.ui.compare.result import Reports, Stand, told
from lab.ui.planned import stop, submit
from lab.ui.view import answered, view

PLACE = re.compile(r'^arm "(.*?)": ', re.DOTALL)


def tab(bench: Bench) -> gr.HTML:
    return view("compare.js", server_functions=questions(bench), elem_id="compare")


def questions(bench: Bench) -> list[Callable[[Any], dict[str, Any]]]:
    """`plan` says what a draft would be, `look` how its runs stand and with `go` makes what is missing, `halt` stops them."""
    results, items = parts.Results(bench), TestItems(bench)
    reports = Reports(bench, items)

    def stand(asked: Mapping[str, Any], go: bool = False) -> tuple[Stand, str]:
        comparison = sent.comparison_of(bench, sent.draft_of(asked))
        owner, stopped = str(asked.get("owner", "")), [str(name) for name in asked.get("without") or ()]
        for spec in comparison.specs.values():
            bench.owndata.check_owner(spec.task, owner)
        judged, full = sent.without(comparison, stopped), ""
        if go and owner:
            wanted = parts.to_make(part for part in parts.parts(results, comparison, owner) if part.arm not in stopped)
            again = [state for state in ("failed", "cancelled") if state in (asked.get("again") or ())]
            full = submit(bench, wanted, owner, again)
        return Stand(comparison, parts.parts(results, comparison, owner), judged, sent.looked(asked, comparison)), full

    @answered
    def begin(asked: Any) -> dict[str, Any]:
        return {"catalogues": offered.catalogues(bench), "blank": sent.blank(bench), "steps": bench.limits.steps}

    @answered
    def plan(asked: Any) -> dict[str, Any]:
        return planned(bench, results, sent.draft_of(asked), str(asked.get("owner", "")))

    @answered
    def look(asked: Any) -> dict[str, Any]:
        here, full = stand(asked, go=bool(asked.get("go")))
        found = {"full": full, "pairs": sent.pairs(here.comparison), **told(bench, reports, here, asked),
                 "cost": cost(bench, here.parts, len(here.comparison.arms), len(here.comparison.seeds), asked.get("before"))}
        mark = hashlib.sha256(json.dumps(found, sort_keys=True, default=str).encode()).hexdigest()[:16]
        return {"mark": mark} if asked.get("mark") == mark else {"mark": mark, **found}

    @answered
    def halt(asked: Any) -> dict[str, Any]:
        here, _ = stand(asked)
        arm = asked.get("arm")
        stop(bench, parts.to_make(part for part in here.parts if arm is None or part.arm == arm), str(asked.get("owner", "")))
        return {"stopped": True}

    @answered
    def base(asked: Any) -> dict[str, Any]:
        return forms.base_form(bench, sent.draft_of(asked))

    @answered
    def arm(asked: Any) -> dict[str, Any]:
        change = asked.get("change")
        return forms.arm_form(bench, sent.draft_of(asked), change if isinstance(change, Mapping) else {})

    @answered
    def knobs(asked: Any) -> dict[str, Any]:
        return forms.knobs(bench, sent.draft_of(asked), str(asked.get("method")))

    @answered
    def add(asked: Any) -> dict[str, Any]:
        draft, values = sent.draft_of(asked), asked.get("values")
        match asked.get("how"):
            case "suspects":
                found = adding.suspects(draft, bench.offer)
            case "method":
                found = adding.one(draft, str(asked.get("method")))
            case "sweep":
                found = adding.sweep(draft, str(asked.get("method")), str(asked.get("knob")), values if isinstance(values, list) else [])
            case _:
                found = adding.copy(draft, asked.get("place"))
        return {"arms": found}

    @answered
    def beside(asked: Any) -> dict[str, Any]:
        """A run of the Train tab against another method."""
        spec = RunSpec.parse(asked.get("spec"))
        other = "lora" if spec.method.key == "prompt_tuning" else "prompt_tuning"
        return {"draft": sent.beside(spec, other, catalogue.find("methods", other).title)}

    @answered
    def open_link(asked: Any) -> dict[str, Any]:
        draft = sent.read(str(asked.get("compare")))
        comparison = sent.comparison_of(bench, draft)
        counts = [int(count) for count in re.findall(r"\d{1,3}", str(asked.get("looked") or ""))[:20]]
        return {"draft": draft, "pairs": sent.pairs(comparison), "looked": [draft["seeds"][:count] for count in counts]}

    @answered
    def differ(asked: Any) -> dict[str, Any]:
        """Items on which arms disagree."""
        here, _ = stand(asked)
        seed, start = asked.get("seed"), asked.get("start")
        return disagreements(items.of(here.comparison), here.comparison, here.parts, seed if isinstance(seed, int) else here.comparison.seeds[0],
                             start if isinstance(start, int) else 0)

    @answered
    def export(asked: Any) -> dict[str, Any]:
        here = stand(asked)[0]
        made = reports.of(here)
        if made is None:
            raise LabError("no run of this comparison has ended yet: there is nothing to download")
        return file(str(asked.get("format")), here, made, items)

    @answered
    def all_questions(asked: Any) -> dict[str, Any]:
        """The ready questions, and where each stands."""
        groups = ready.listed(results, str(asked.get("owner", "")))
        return {"groups": groups, "broken": [f"{name} cannot be asked: {why}" for name, why in (bench.ready.broken if bench.ready else {}).items()]}

    @answered
    def question(asked: Any) -> dict[str, Any]:
        return {"draft": ready.opened(bench, str(asked.get("key")))}

    return [begin, plan, look, halt, base, arm, knobs, add, beside, open_link, differ, export, all_questions, question]


def planned(bench: Bench, results: parts.Results, draft: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """The arms, each for itself; then the whole, or what is missing of it or wrong with it."""
    rows, _ = arms.cards(bench, draft)
    said = {"arms": rows, "address": sent.query(draft), "warnings": [], "cost": "", "error": None, "pairs": []}
    if len(draft["arms"]) < sent.FEWEST_ARMS or any("error" in row for row in rows):
        return said
    try:
        comparison = sent.comparison_of(bench, draft)
    except LabError as error:
        text = str(error)
        arm = PLACE.match(text)
        return {**said, "error": {"text": text[arm.end():] if arm else text, "arm": arm[1] if arm else "", "field": text.partition(" ")[0]}}
    found = parts.parts(results, comparison, owner)
    each = distinct(found)
    return {**said, "warnings": [*warnings(comparison), *formats.told(bench, found)], "pairs": sent.pairs(comparison),
            "cost": cost(bench, found, len(comparison.arms), len(comparison.seeds)), "common": common(comparison), "left": sum(not part.ended for part in each),
            "known": sum(part.state == "known" for part in each)}


def common(comparison: Comparison) -> str:
    """Every arm gets the same weights, head and test items, once for each seed; the data order is not the same for all."""
    same, apart = in_common(comparison)
    differ = f" Not the same for all: {listing(apart)}." if apart else ""
    return f"Every arm gets the same {listing(same)}, once for each seed.{differ}"
