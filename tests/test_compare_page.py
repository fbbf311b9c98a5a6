"""The Compare tab without a browser: a draft is priced and checked, arms are added, runs follow seed by seed, and verdicts say no more than the report."""
from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

import pytest

from lab.compare import Comparison
from lab.compare.report import look_of
from lab.comparing import Shelf, record
from lab.contracts import LabError
from lab.engine import train
from lab.events import Evaluated, Failed, Started, Stepped
from lab.recording import Recorded
from lab.reporting.front import cost_of, front, placed
from lab.reporting.measures import half_width, measures
from lab.spec import RunSpec
from lab.store import Store
from lab.supply import Supply
from lab.sweeping import Sweep, Tried
from lab.ui import charts
from lab.ui.bench import Bench, Limits
from lab.ui.compare import adding, arms, asked, parts
from lab.ui.compare.front import LETTER, _beside, _boxes, _overlap, _shares, scatter
from lab.ui.compare.items import PAGE, Given
from lab.ui.compare.result import scripts
from lab.ui.compare.tab import questions
from lab.ui.compare.verdicts import more

BASE = {"model": "seed-bert", "task": "toy", "method": "lora", "steps": 3, "batch": 4, "tokens": 24, "eval_items": 24, "eval_every": 0, "dtype": "float32"}
PAIR = [{"name": "LoRA", "change": {}}, {"name": "head", "change": {"method": "head"}}]


def draft(pair: Any = PAIR, seeds: Any = (0, 1, 2), **base: Any) -> dict[str, Any]:
    return {"base": {**BASE, **base}, "arms": list(pair), "seeds": list(seeds)}


class Page:
    """The questions of one browser."""

    def __init__(self, bench: Bench, owner: str = "me") -> None:
        self.bench, self.owner = bench, owner
        self.known = {question.__name__: question for question in questions(bench)}

    def ask(self, name: str, chosen: Any = None, **asked: Any) -> dict[str, Any]:
        return self.known[name]({"draft": chosen or draft(), "owner": self.owner, **asked})

    def work(self, workshop: Any, runs: int = 1) -> list[RunSpec]:
        """What a worker does: take the oldest run and train it."""
        done = []
        for _ in range(runs):
            claimed = self.bench.store.claim("worker")
            with TemporaryDirectory() as out:
                self.bench.store.append(claimed.id, train(claimed.spec, workshop, out=Path(out)))
            done.append(claimed.spec)
        return done

    def finish(self, workshop: Any, chosen: Any = None, **asked: Any) -> dict[str, Any]:
        """Go on until everything has ended."""
        while (said := self.ask("look", chosen, go=True, **asked))["way"]:
            self.work(workshop, said["way"])
        return said


@pytest.fixture
def page(tmp_path: Path, workshop: Any) -> Iterator[Callable[..., Page]]:
    """A lab that allows four waiting runs to a browser."""
    supply = Supply(workshop.supply.cache, offline=True)
    with Store(tmp_path) as store:
        yield lambda **more: Page(Bench(store, **{"limits": Limits(waiting=4), "data": supply.data, "hashes": lambda spec: (
            supply.known_sha256(spec.base) or "", supply.known_data_sha256(spec.goal) or ""), **more}))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, workshop: Any) -> Iterator[tuple[Page, dict[str, Any]]]:
    """A pair of arms over three seeds, run to the end."""
    supply = Supply(workshop.supply.cache, offline=True)
    with Store(tmp_path_factory.mktemp("store")) as store:
        seen = Page(Bench(store, data=supply.data, hashes=lambda spec: (supply.known_sha256(spec.base) or "", supply.known_data_sha256(spec.goal) or "")))
        yield seen, seen.finish(workshop)


# ── building ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_page_has_all_it_needs_to_begin(page: Callable[..., Page]) -> None:
    seen = page()
    begun = seen.ask("begin")
    assert begun["blank"]["seeds"] == [0, 1, 2] and begun["blank"]["arms"] == [] and begun["catalogues"]["models"]
    planned = seen.ask("plan", begun["blank"])
    assert planned["arms"] == [] and planned["error"] is None
    form = seen.ask("base", begun["blank"])
    assert [each["name"] for each in form["front"]] == ["steps", "batch"]
    assert next(each for each in form["folded"] if each["name"] == "lr")["optional"]


def test_the_usual_suspects_are_those_the_model_takes_and_come_once(page: Callable[..., Page]) -> None:
    seen = page()
    found = seen.ask("add", draft([]), how="suspects")["arms"]
    assert [arm["change"]["method"] for arm in found] == ["lora", "prompt_tuning", "pfeiffer", "bitfit", "head", "full"]
    again = seen.ask("add", draft(PAIR), how="suspects")["arms"]
    assert not {"lora", "head"} & {arm["change"]["method"] for arm in again}
    llama = seen.ask("add", draft([], model="seed-llama"), how="suspects")["arms"]
    assert "bitfit" not in [arm["change"]["method"] for arm in llama] and "ia3" in [arm["change"]["method"] for arm in llama]


def test_each_arm_says_what_it_trains_and_what_follows_from_it(page: Callable[..., Page]) -> None:
    planned = page().ask("plan")
    lora, head = planned["arms"]
    assert lora["trainable"] and lora["memory"] and "rank 8" in lora["settings"] and "learning rate" in lora["settings"]
    assert head["changes"] == ["method"] and any("learning rate" in note for note in head["notes"])
    assert lora["colour"] != head["colour"] and planned["error"] is None and len(planned["pairs"]) == 1
    assert Comparison.from_json(unquote(planned["address"])) == Comparison.parse(draft())


def test_what_an_arm_may_have_otherwise_is_a_form_with_the_base_as_its_defaults(page: Callable[..., Page]) -> None:
    seen = page()
    chosen = draft(method={"name": "lora", "rank": 3})
    form = seen.ask("arm", chosen, change={"method": {"name": "lora", "alpha": 2.0}, "steps": 9})
    assert next(each for each in form["front"] if each["name"] == "rank")["default"] == 3 and form["values"] == {"alpha": 2.0, "steps": 9}
    other = seen.ask("arm", chosen, change={"method": "prompt_tuning"})
    assert other["method"] == "prompt_tuning" and "virtual_tokens" in [each["name"] for each in other["front"]]
    assert not {"eval_items", "seed"} & {each["name"] for each in (*form["front"], *form["folded"])}
    few = seen.ask("arm", chosen, change={"method": "lora", "quantization": "nf4"})
    bits = next(each for each in few["folded"] if each["name"] == "quantization")
    assert bits["default"] is None and few["values"]["quantization"] == "nf4" and "nf4" in [value for value, _ in bits["choices"]]


def test_a_knob_is_swept_and_two_things_at_once_are_warned_of(page: Callable[..., Page]) -> None:
    seen = page()
    knobs = seen.ask("knobs", draft([]), method="lora")["knobs"]
    assert knobs[0]["name"] == "rank" and knobs[0]["some"]
    found = seen.ask("add", draft([]), how="sweep", method="lora", knob="rank", values=[1, 4])["arms"]
    assert [arm["name"] for arm in found] == ["LoRA, rank 1", "LoRA, rank 4"]
    assert seen.ask("plan", draft(found))["warnings"] == []
    other = seen.ask("add", draft([]), how="sweep", method="prompt_tuning", knob="virtual_tokens", values=[2, 5])["arms"]
    assert [Comparison.parse(draft(other)).specs[arm["name"]].method.virtual_tokens for arm in other] == [2, 5]
    found[0]["change"]["lr"] = 0.1
    assert any("2 things at once (rank, learning rate)" in warning for warning in seen.ask("plan", draft(found))["warnings"])


@pytest.mark.parametrize(("how", "words"), [
    ({"how": "sweep", "method": "lora", "knob": "rank", "values": [0]}, "rank is 0"),
    ({"how": "sweep", "method": "lora", "knob": "rank", "values": []}, "values is empty"),
    ({"how": "sweep", "method": "lora", "knob": "colour", "values": [1]}, "unknown knob"),
    ({"how": "method", "method": "gpt"}, "unknown method"),
    ({"how": "copy", "place": 9}, "not there any more"),
    ({"how": "sweep", "method": "lora", "knob": "rank", "values": list(range(1, 13))}, "at most 12"),
])
def test_what_cannot_be_added_is_told_in_words(page: Callable[..., Page], how: dict[str, Any], words: str) -> None:
    assert words in page().ask("add", **how)["error"]


def test_a_copy_and_a_second_of_a_method_have_names_of_their_own(page: Callable[..., Page]) -> None:
    seen = page()
    assert seen.ask("add", how="copy", place=0)["arms"] == [{"name": "LoRA 2", "change": {}}]
    assert seen.ask("add", how="method", method="lora")["arms"][0]["name"] == "LoRA 2"


def test_a_bad_value_is_told_at_its_arm_and_the_others_stay(page: Callable[..., Page]) -> None:
    seen = page()
    planned = seen.ask("plan", draft([*PAIR, {"name": "odd", "change": {"method": {"name": "lora", "rank": 0}}}]))
    assert planned["arms"][2]["error"].startswith("rank is 0: must be 1 to") and planned["arms"][0]["trainable"]
    assert seen.ask("plan", draft(steps=0))["error"].startswith("steps is 0")
    twice = seen.ask("plan", draft([*PAIR, PAIR[0]]))["error"]
    assert 'name "LoRA" more than once' in twice["text"]
    assert "seeds has 1 more than once" in seen.ask("plan", draft(seeds=[1, 1]))["error"]["text"]
    limited = page(limits=Limits(steps=2)).ask("plan")["error"]
    assert limited["arm"] == "LoRA" and limited["text"] == "steps is 3: this lab allows 2"
    assert seen.ask("plan", {"base": 3})["error"] and seen.ask("look", draft([]))["error"]


def test_every_arm_looks_different() -> None:
    specs = [RunSpec.parse({**BASE, "method": {"name": "lora", "rank": rank}}) for rank in range(1, 13)]
    found = arms.looks(specs)
    seen = [(look["colour"], look["dash"]) for look in found]
    assert len(set(seen)) == 12 and seen[0] == (charts.colour("lora"), "solid")
    assert len({colour for colour, _ in seen[:6]}) == 6 and {dash for _, dash in seen[:6]} == {"solid"}, "with one method, a colour for each arm"
    assert {look["symbol"] for look in found} == {charts.marker("lora")}


def test_a_method_keeps_its_colour_and_marker_whoever_stands_before_it() -> None:
    keys = ["lora", "lora", "lora", "lora", "full", "prompt_tuning", "head", "prefix_tuning", "houlsby", "pfeiffer", "bitfit", "ia3"]
    found = arms.looks([RunSpec.parse({**BASE, "method": {"name": key, **({"rank": place + 1} if key == "lora" else {})}}) for place, key in enumerate(keys)])
    for key, look in zip(keys, found, strict=True):
        if key != "lora":
            assert (look["colour"], look["symbol"]) == (charts.colour(key), charts.marker(key)), key
    assert (found[0]["colour"], found[0]["symbol"], found[0]["dash"]) == (charts.colour("lora"), charts.marker("lora"), "solid")
    assert len({(look["colour"], look["dash"]) for look in found}) == 12


# ── running ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_runs_follow_seed_by_seed_as_room_appears(page: Callable[..., Page], workshop: Any) -> None:
    seen = page()
    said = seen.ask("look", go=True)
    assert (said["way"], said["left"], said["done"]) == (3, 3, 0) and "the other 3 follow" in said["full"]
    assert seen.bench.store.waiting("me") == 3 and seen.ask("look", go=True)["way"] == 3, "asked again, nothing is made twice"
    done = seen.work(workshop, 3)
    assert [(spec.method.key, spec.seed) for spec in done] == [("lora", 0), ("head", 0), ("lora", 1)]
    said = seen.ask("look", go=True)
    assert (said["done"], said["way"], said["left"]) == (3, 3, 0) and said["result"]["verdicts"]["over"] is False
    assert said["result"]["verdicts"]["lead"].startswith("No verdict yet: 3 of 6 runs are in.")
    assert said["race"]["data"] and said["rows"][0]["done"] == 2 and said["rows"][0]["state"] == "queued"
    assert seen.ask("look", mark=said["mark"]) .get("rows") is None or said["full"], "nothing new is not sent again"


def test_one_arm_or_all_are_stopped(page: Callable[..., Page], workshop: Any) -> None:
    seen = page()
    third = [*PAIR, {"name": "bias", "change": {"method": "bitfit"}}]
    seen.ask("look", draft(third), go=True)
    seen.ask("halt", draft(third), arm="bias")
    said = seen.ask("look", draft(third), go=True, without=["bias"])
    assert next(row for row in said["rows"] if row["name"] == "bias")["state"] == "cancelled"
    said = seen.finish(workshop, draft(third), without=["bias"])
    assert said["result"]["verdicts"]["over"] and [row["name"] for row in said["result"]["table"]["rows"]] == ["LoRA", "head"]
    assert "bias was stopped: it is not judged" in said["result"]["warnings"]
    seen.ask("look", draft(third, seeds=[7, 8, 9]), go=True)
    seen.ask("halt", draft(third, seeds=[7, 8, 9]))
    assert seen.bench.store.waiting("me") == 0 and seen.ask("look", draft(third, seeds=[7, 8, 9]))["stopped"] == 3
    assert seen.finish(workshop, draft(third, seeds=[7, 8, 9]), again=["cancelled"])["done"] == 9, "those that were stopped are run with the rest"
    assert Page(seen.bench, "you").ask("look", draft(third))["rows"][0]["state"] == "missing", "somebody else's runs are not theirs"


def test_equal_runs_are_taken_from_the_history_and_from_recorded_ones(made: tuple[Page, dict[str, Any]], workshop: Any) -> None:
    seen, _ = made
    other = Page(seen.bench, "you")
    planned = other.ask("plan")
    assert planned["cost"] == "6 runs (2 arms × 3 seeds), all of them made before: nothing has to be trained." and planned["known"] == 6
    said = other.ask("look", go=True)
    assert said["done"] == 6 and said["result"]["verdicts"]["over"]
    spec = Comparison.parse(draft(seeds=[5])).run("LoRA", 5)
    recorded = Recorded("one", {"cores": 2, "date": "2026-01-01"}, tuple(train(spec, workshop)))
    third = Page(Bench(seen.bench.store, recorded=[recorded]), "they")
    assert third.ask("plan", draft(seeds=[5]))["cost"].startswith("2 runs (2 arms × 1 seed), 1 of them recorded; ")


def test_runs_beside_recorded_ones_are_made_in_their_number_format(page: Callable[..., Page], workshop: Any) -> None:
    """A machine might choose another one; what lies there already in another one is taken, and the two are named."""
    chosen = draft(seeds=[0], dtype="auto")
    full = [*PAIR, {"name": "adapter", "change": {"method": "pfeiffer"}}]
    comparison = Comparison.parse({**chosen, "arms": full})
    wanted = comparison.run("LoRA", 0)
    made = train(RunSpec.parse({**wanted.to_dict(), "dtype": "bfloat16"}), workshop)
    recorded = Recorded("one", {"cores": 2, "date": "2026-01-01"}, tuple(
        replace(event, spec=wanted.to_dict(), fingerprint=wanted.fingerprint) if isinstance(event, Started) else event for event in made))
    seen = page(recorded=[recorded])
    said = seen.finish(workshop, {**chosen, "arms": full})
    assert [run.settings["dtype"] for run in seen.bench.store.history("me", limit=9)] == ["bfloat16", "bfloat16"] and said["done"] == 3
    assert "in the same number format (bfloat16)" in said["result"]["sources"]["says"]
    assert not [text for text in said["result"]["warnings"] if "number formats" in text]
    assert seen.ask("look", {**chosen, "arms": full}, go=True)["way"] == 0, "they are found again"
    other = page()
    other.bench.submit(comparison.run("head", 0), "you")
    other.work(workshop)
    here = next(event.dtype for _, event in other.bench.store.events(other.bench.store.history("you", limit=1)[0].id) if isinstance(event, Started))
    there = "bfloat16" if here == "float32" else "float32"
    events = tuple(replace(event, dtype=there) if isinstance(event, Started) else event for event in recorded.events)
    told = Page(Bench(other.bench.store, recorded=[replace(recorded, events=events)]), "you").ask("look", chosen)["result"]
    assert f"in another number format ({here}; the recorded ones in {there}): scores may differ a little" in told["sources"]["says"]
    assert any(f"LoRA {there}, head {here}" in text and "scores may differ a little" in text for text in told["warnings"])


MOVED = [{"name": "LoRA", "change": {}}, {"name": "full", "change": {"method": "full"}}]


def test_a_method_that_moves_the_base_calculates_as_the_others_do(page: Callable[..., Page], workshop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.engine.precision.CLEARLY", 0.0)  # bfloat16 wherever it is a machine's choice
    seen, chosen = page(), draft([*MOVED, {"name": "biases", "change": {"method": "bitfit"}}], seeds=[0], dtype="auto")
    assert not [text for text in seen.ask("plan", chosen)["warnings"] if "number format" in text]
    said = seen.finish(workshop, chosen)
    made = [event.dtype for run in seen.bench.store.history("me", limit=9) for _, event in seen.bench.store.events(run.id) if isinstance(event, Started)]
    assert made == ["bfloat16"] * 3
    assert not [text for text in said["result"]["warnings"] if "number format" in text]


def test_a_number_format_that_was_chosen_stays_and_what_it_spoils_is_said_before(page: Callable[..., Page]) -> None:
    seen, chosen = page(), draft([{"name": "LoRA", "change": {"dtype": "bfloat16"}}, MOVED[1]], seeds=[0], dtype="float32")
    assert any("different number formats (LoRA: bfloat16; full: float32)" in text and "neither memory nor times compare" in text
               for text in seen.ask("plan", chosen)["warnings"])
    seen.ask("look", chosen, go=True)
    assert "bfloat16" in {run.settings["dtype"] for run in seen.bench.store.history("me", limit=9)}


def test_what_was_recorded_for_a_question_goes_before_an_equal_run_recorded_for_itself(page: Callable[..., Page], workshop: Any, tmp_path: Path) -> None:
    wanted = Comparison.parse(draft(seeds=[0])).run("LoRA", 0)
    record([wanted], workshop, tmp_path / "asked")
    there = Shelf(tmp_path / "asked").of(wanted)
    alone = Recorded("one", {"date": "2020-01-01"}, tuple(train(wanted, workshop)))
    for recorded, ready, date in (([alone], Shelf(tmp_path / "asked"), there.made["date"]), ([alone], Shelf(tmp_path), "2020-01-01")):
        bench = page(recorded=recorded, ready=ready).bench
        assert parts.parts(parts.Results(bench), Comparison.parse(draft(seeds=[0])), "me")[0].made["date"] == date


def test_the_cost_says_what_is_known_and_what_is_not(page: Callable[..., Page], made: tuple[Page, dict[str, Any]]) -> None:
    assert page().ask("plan")["cost"] == "6 runs (2 arms × 3 seeds); how long that takes is not known yet, since no run like these has ended here."
    third = [*PAIR, {"name": "bias", "change": {"method": "bitfit"}}]
    cost = made[0].ask("plan", draft(third))["cost"]
    assert "6 of them made before" in cost and "is not known yet" in cost
    more = made[0].ask("plan", draft(third, seeds=[0, 1, 2, 3]))["cost"]
    assert "how long “bias” will take beside that is not known" in more and "on 1 worker, as in" in more


def test_the_loss_is_drawn_until_there_is_a_score(page: Callable[..., Page], workshop: Any) -> None:
    """Its first point comes with the first step, a score after the first look."""
    seen, chosen = page(), draft(seeds=[0], steps=4, eval_every=4)
    seen.ask("look", chosen, go=True)
    claimed = seen.bench.store.claim("worker")
    events = list(train(claimed.spec, workshop))
    first = next(place for place, event in enumerate(events) if isinstance(event, Stepped))
    looked = next(place for place, event in enumerate(events) if isinstance(event, Evaluated) and event.split == "validation")
    assert first < looked
    seen.bench.store.append(claimed.id, events[:first + 1])
    said = seen.ask("look", chosen, chart="")
    assert said["chart"] == "loss" and said["race"]["table"]["rows"][0][:2] == ["LoRA", "1"]
    assert seen.ask("look", chosen, chart="score")["chart"] == "score", "unless somebody chose"
    seen.bench.store.append(claimed.id, events[first + 1:looked + 1])
    said = seen.ask("look", chosen, chart="")
    assert said["chart"] == "score" and said["race"]["table"]["rows"]


# ── results ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_result_has_verdict_table_front_and_what_is_shared(made: tuple[Page, dict[str, Any]]) -> None:
    _, said = made
    result = said["result"]
    pair = [*result["verdicts"]["told"], *result["verdicts"]["open"]]
    assert result["verdicts"]["over"] and len(pair) == 1 and ("beats" in pair[0]["says"] or pair[0]["says"].startswith("Cannot tell"))
    rows = {row["name"]: row["cells"] for row in result["table"]["rows"]}
    assert "±" in rows["LoRA"]["score"]["text"] and rows["LoRA"]["trainable"]["value"] > rows["head"]["trainable"]["value"]
    assert rows["LoRA"]["score"]["exact"].count("seed") == 3 and rows["LoRA"]["rates"]["text"] == "–"
    assert result["axes"] == {"x": "trainable", "y": "score"}
    assert result["scatter"]["table"]["columns"][1:3] == ["trained", "accuracy"] and "On the front:" in result["scatter"]["says"]
    assert result["shared"]["same"] and len(result["shared"]["rows"]) == 3 and "base weights" in result["shared"]["says"]
    assert len({row[1] for row in result["shared"]["rows"]}) == 3 and len(result["on_items"]) == 3
    assert any(trace.get("fill") == "toself" for trace in said["race"]["data"]) is False, "no look at validation items was asked for, so there is no band"


def test_runs_of_ones_own_say_how_long_one_text_takes_unmerged_and_merged(made: tuple[Page, dict[str, Any]]) -> None:
    table = made[1]["result"]["table"]
    assert [column["title"] for column in table["columns"] if column["key"] in ("alone_times", "merged_times")] == ["one text", "merged"]
    lora = next(row["cells"] for row in table["rows"] if row["name"] == "LoRA")
    for key in ("alone_times", "merged_times"):
        assert re.fullmatch(r"~?× \d+\.\d\d", lora[key]["text"]) and "the base" in lora[key]["exact"]
    report = json.loads(made[0].ask("export", format="json")["text"])
    assert all(run["alone_seconds"] and run["merged_seconds"] and run["base_seconds"] for run in report["arms"][0]["runs"])


def test_every_arm_has_its_script_and_an_encoder_says_why_it_forgets_nothing(made: tuple[Page, dict[str, Any]]) -> None:
    scripts = made[1]["result"]["scripts"]
    assert [each["name"] for each in scripts] == ["LoRA", "head"] and all(each["file"].endswith("-script.zip") for each in scripts)
    for each, spec in zip(scripts, Comparison.parse(draft()).specs.values(), strict=True):
        route, _, asked = each["href"].partition("?spec=")
        assert route == "script.zip" and RunSpec.from_json(unquote(asked)) == spec
    assert any("an encoder foretells no next word" in text for text in made[1]["result"]["hints"])


def test_equal_arms_are_counted_as_the_one_training_that_they_are(page: Callable[..., Page]) -> None:
    said = page().ask("plan", draft([*PAIR, {"name": "LoRA again", "change": {}}]))
    assert said["left"] == 6 and said["cost"].startswith("6 runs (3 arms × 3 seeds are 9, but arms that are equal are trained once)")


def test_an_arm_without_a_script_says_why() -> None:
    asked = Comparison.parse(draft([*PAIR, {"name": "Pfeiffer", "change": {"method": "pfeiffer"}}]))
    *there, missing = scripts(asked)
    assert [each["name"] for each in there if "href" in each] == ["LoRA", "head"]
    assert missing["name"] == "Pfeiffer" and missing["why"].startswith("peft has no ") and "href" not in missing


def test_only_an_arm_that_beats_all_others_is_bold(made: tuple[Page, dict[str, Any]]) -> None:
    _, said = made
    bold = [row["name"] for row in said["result"]["table"]["rows"] if row["bold"]]
    assert bool(bold) == bool(said["result"]["verdicts"]["told"])


def test_the_loss_has_bands_and_its_numbers(made: tuple[Page, dict[str, Any]]) -> None:
    figure = made[0].ask("look", chart="loss")["race"]
    assert sum(trace.get("fill") == "toself" for trace in figure["data"]) == 2 and figure["table"]["columns"][2] == "loss, mean"
    assert {row[0] for row in figure["table"]["rows"]} == {"LoRA", "head"} and "3 steps" not in figure["alt"]


def test_seeds_after_a_look_are_another_look(made: tuple[Page, dict[str, Any]], workshop: Any) -> None:
    seen, said = made
    offer = said["result"]["more"]
    if offer is not None and offer["count"]:
        assert "look 2 where 1 was planned" in offer["says"] and "1.25%" in offer["says"]
    longer = draft(seeds=[0, 1, 2, 3])
    done = seen.finish(workshop, longer, looked={pair: [[0, 1, 2]] for pair in said["pairs"]})
    assert done["result"]["looks"].startswith("Look 2, where 1 was planned") and done["pairs"] == said["pairs"]
    assert seen.ask("look", longer)["result"]["looks"] == "", "with all four planned at the start it is the first"


def judged(*wanted: int | None, seeds: int = 3, looks: int = 1, **more: Any) -> dict[str, Any]:
    """As much of a report as the offer of seeds reads: an open pair for each number of seeds that would tell it."""
    return {"state": "finished", "seeds": list(range(seeds)), "arms": [{"runs": []}] * 3, "measure": "score",
            "looks": {"look": 1, "planned": looks, "strictness": 0.05}, "pairs": [{"verdict": "cannot_tell", "more_seeds": each} for each in wanted], **more}


def test_seeds_are_offered_where_one_pair_at_least_would_be_told() -> None:
    assert more(judged(None, 7, 90))["count"] == 7 and "look 2 where 1 was planned" in more(judged(7))["says"] and "1.25%" in more(judged(7))["says"]
    assert "look 2 of the 2" in more(judged(7, looks=2))["says"]
    assert more(judged()) is None and more(judged(7, state="running")) is None, "all is told, or nothing can be yet"
    far = more(judged(None, 90))
    assert far["count"] == 0 and "would need about 90 more seeds, and at most 20 can be added here. A new comparison with 93 seeds" in far["says"]
    never = more(judged(None, None))
    assert never["count"] == 0 and "not even 200 more would tell any of these pairs apart" in never["says"]
    failed = more(judged(None, arms=[{"runs": [{"state": "failed"}]}]))
    assert failed["count"] == 0 and "what failed would have to be run first" in failed["says"]
    assert more(judged(9, seeds=195))["count"] == 0 and more(judged(5, seeds=195))["count"] == 5, "no more than a comparison may have"
    assert "more test items would tell more" in more(judged(None), outcome="vote")["says"]


def test_a_result_can_be_read_by_all_that_was_measured(made: tuple[Page, dict[str, Any]]) -> None:
    _, said = made
    found = {each["key"]: each for each in said["result"]["outcomes"]}
    assert next(iter(found)) == "score" and {"last_loss", "gap", "step_seconds", "alone_times", "peak_bytes"} <= set(found) and "forgetting" not in found
    assert found["score"]["verdicts"] == said["result"]["verdicts"] and found["score"]["says"] == ""
    for key, each in found.items():
        pairs = [*each["verdicts"]["told"], *each["verdicts"]["open"]]
        assert len(pairs) == (2 if key == "vote" else 1) and (key == "score" or "was not planned to be read by" in each["says"]), key
        assert each["shown"] == {"score": "scores", "vote": "votes"}[key] if key in ("score", "vote") else each["figure"]["figure"]["data"], key
    memory = found["peak_bytes"]["verdicts"]["told"][0]["says"]
    assert memory.startswith("head takes less memory than LoRA by a factor of")
    assert f"of all of them together that is up to {min(100, 5 * len(found))}%" in found["gap"]["says"]


def test_an_arm_that_goes_or_comes_or_is_renamed_makes_no_look_an_early_one() -> None:
    bias, again = {"name": "bias", "change": {"method": "bitfit"}}, {"name": "LoRA of mine", "change": {}}
    three = Comparison.parse(draft([*PAIR, bias], seeds=[0, 1, 2, 3]))
    kept = {pair: [[0, 1, 2], [0, 1, 2, 3]] for pair in asked.pairs(three)}  # two looks at three arms
    assert len(kept) == 3
    for left in ([PAIR[0], bias], [*PAIR], [again, PAIR[1]], [*PAIR, bias, {"name": "more", "change": {"method": "full"}}]):
        now = Comparison.parse(draft(left, seeds=[0, 1, 2, 3, 4]))
        assert look_of(now, asked.looked({"looked": kept}, now)) == (3, [3, 4, 5]), left
    other = Comparison.parse(draft([PAIR[0], {"name": "more", "change": {"method": "full"}}], seeds=[0, 1, 2, 3, 4]))
    assert look_of(other, asked.looked({"looked": kept}, other))[0] == 1, "a pair that nobody has looked at"
    assert look_of(three, asked.looked({"looked": kept}, three))[0] == 2, "the same seeds again are no new look"
    for odd in (None, [], {"x": 3}, dict.fromkeys(kept, "no"), {pair: [3, ["a"]] for pair in kept}):
        assert asked.looked({"looked": odd}, three) in ([], [[]])


def test_a_failed_run_stays_with_its_reason(page: Callable[..., Page], workshop: Any) -> None:
    seen = page()
    seen.ask("look", draft(seeds=[0]), go=True)
    lost = seen.bench.store.claim("worker")
    seen.bench.store.append(lost.id, [Failed("it diverged", "take a lower rate", "lr")])
    seen.work(workshop)
    said = seen.ask("look", draft(seeds=[0]), go=True)
    row = next(row for row in said["result"]["table"]["rows"] if row["name"] == "LoRA")
    assert row["failed"] == ["seed 0: it diverged"] and row["advice"] == "take a lower rate" and said["failed"] == 1 and said["way"] == 0
    assert said["rows"][0]["state"] == "failed" and said["rows"][0]["reasons"] == ["seed 0: it diverged"]
    assert seen.ask("look", draft(seeds=[0]), go=True, again=["failed"])["way"] == 1


def test_items_on_which_arms_disagree(made: tuple[Page, dict[str, Any]]) -> None:
    found = made[0].ask("differ", seed=1, start=0)
    assert found["of"] == 24 and len(found["rows"]) == min(PAGE, found["count"]) and found["arms"] == ["LoRA", "head"]
    for row in found["rows"]:
        assert len({each["answer"] for each in row["answers"].values()}) > 1 and row["label"] in ("negative", "positive") and row["text"].startswith("the ")
        assert all(each["right"] == (each["answer"] == row["label"]) for each in row["answers"].values())
    assert "seed 9 is none" in made[0].ask("differ", seed=9)["error"]


def test_two_different_wrong_answers_are_different(page: Callable[..., Page], workshop: Any) -> None:
    """A model that was never taught writes nonsense: no letter tells one nonsense from another, the text does."""
    chosen = {"base": {"model": "seed-llama", "task": "random_pairs", "method": {"name": "full"}, "steps": 4, "eval_items": 6, "train_items": 8,
                       "eval_every": 0, "dtype": "float32", "lr": 0.01},
              "arms": [{"name": "full", "change": {}}, {"name": "LoRA", "change": {"method": "lora"}}], "seeds": [0]}
    seen = page()
    seen.finish(workshop, chosen)
    found = seen.ask("differ", chosen, seed=0)
    answers = [row["answers"] for row in found["rows"] if not any(each["right"] for each in row["answers"].values())]
    assert answers and all(each["full"]["answer"] != each["LoRA"]["answer"] for each in answers)
    assert not {"right", "not right"} & {each["answer"] for row in answers for each in row.values()}
    items = list(csv.reader(io.StringIO(seen.ask("export", chosen, format="items")["text"])))
    assert len(items) == 7 and any(row[3] != row[4] for row in items[1:])
    columns = {column["key"] for column in seen.ask("look", chosen)["result"]["table"]["columns"]}
    assert {"alone_times", "merged_times", "forgetting"} <= columns, "a written answer is timed to its first token"
    old = Given("0011")
    assert [old.said(place, RunSpec.parse({**chosen["base"]}).goal) for place in (0, 2)] == ["not right", "right"], "recordings without texts are read"


def test_downloads_say_the_same(made: tuple[Page, dict[str, Any]]) -> None:
    seen, _ = made
    report = json.loads(seen.ask("export", format="json")["text"])
    rows = list(csv.DictReader(io.StringIO(seen.ask("export", format="csv")["text"])))
    assert len(rows) == 6 and {row["arm"] for row in rows} == {"LoRA", "head"} and report["pairs"][0]["a"] == "LoRA"
    assert [float(row["score"]) for row in rows if row["arm"] == "head"] == report["arms"][1]["scores"]
    assert "nothing to download" in seen.ask("export", draft(seeds=[77]), format="csv")["error"]


def test_a_link_opens_it_with_its_looks(page: Callable[..., Page]) -> None:
    seen = page()
    found = seen.ask("open_link", compare=json.dumps(draft(seeds=[0, 1, 2, 3])), looked="3")
    assert found["draft"]["seeds"] == [0, 1, 2, 3] and found["looked"] == [[0, 1, 2]] and found["pairs"] == seen.ask("plan")["pairs"]
    assert "is not JSON" in seen.ask("open_link", compare="{")["error"]


def test_a_finished_run_is_put_beside_another_method(page: Callable[..., Page]) -> None:
    seen = page()
    spec = RunSpec.parse({**BASE, "method": {"name": "lora", "rank": 3}, "seed": 4})
    chosen = seen.ask("beside", spec=spec.to_dict())["draft"]
    comparison = Comparison.parse(chosen)
    assert list(comparison.specs) == ["LoRA", "Prompt tuning"] and comparison.seeds == (4, 5, 6) and comparison.run("LoRA", 4) == spec
    other = seen.ask("beside", spec={**BASE, "method": "prompt_tuning"})["draft"]
    assert [arm["name"] for arm in other["arms"]] == ["Prompt tuning", "LoRA"]


def test_a_score_is_drawn_against_a_cost_in_which_the_arms_differ() -> None:
    chosen = measures("accuracy", True)

    def drawn(**costs: list[float]) -> str:
        rows = [{"name": str(place), "loaded": [], "runs": [{"train_items": 100}], **{key: values[place] for key, values in costs.items()}} for place in (0, 1)]
        found = cost_of(rows, chosen)
        return found.key if found else ""

    assert drawn(trainable=[10, 20], peak_bytes=[5, 5]) == "trainable"
    assert drawn(trainable=[10, 10], peak_bytes=[50, 60]) == "peak_bytes"
    assert drawn(trainable=[10, 10], peak_bytes=[100, 101]) == "", "a percent is none to draw"
    fewer = [{"name": "few", "loaded": [], "trainable": 10, "runs": [{"train_items": 16}]}, {"name": "all", "loaded": [], "trainable": 10,
                                                                                              "runs": [{"train_items": 5992}]}]
    assert cost_of(fewer, chosen).key == "train_items"
    shaken = [{"name": str(place), "loaded": ["train_seconds"], "train_seconds": 1.0 + place, "runs": []} for place in (0, 1)]
    assert cost_of(shaken, chosen) is None, "a time that is the machine's load is no cost"


def test_the_front_has_what_nothing_beats_in_both() -> None:
    y, x = measures("accuracy", True)[:2]
    points = [("cheap", (1.0, 0, 0), (0.6, 0, 0)), ("good", (9.0, 0, 0), (0.9, 0, 0)), ("poor", (9.0, 0, 0), (0.7, 0, 0)), ("fair", (4.0, 0, 0), (0.8, 0, 0))]
    assert [name for name, _, _ in front(points, x, y)] == ["cheap", "fair", "good"]


def test_the_rates_behind_a_default_are_counted(made: tuple[Page, dict[str, Any]]) -> None:
    lr = RunSpec.parse(BASE).lr
    swept = {("seed-bert", "lora"): Sweep("toy", 3, 0.5, (Tried(lr, 0.7, 0.1), Tried(10 * lr, 0.6, 0.1)))}
    said = Page(Bench(made[0].bench.store, sweeps=swept)).ask("look")
    cells = {row["name"]: row["cells"]["rates"]["text"] for row in said["result"]["table"]["rows"]}
    assert cells == {"LoRA": "2", "head": "–"}


def test_half_an_interval_is_students() -> None:
    assert half_width([0.5]) is None
    assert half_width([0.7, 0.8, 0.9]) == pytest.approx(4.302652729911275 * 0.1 / 3**0.5)


def test_adding_never_makes_more_than_can_be_compared() -> None:
    with pytest.raises(LabError, match="at most 12"):
        adding.suspects(draft([{"name": f"arm {place}", "change": {"lr": 0.001 * (place + 1)}} for place in range(12)]))


def test_names_beside_their_marks_keep_clear_of_each_other_and_are_nearest_to_their_own() -> None:
    """Of the arms that learn from 16 to 5,992 texts the last two stand close together."""
    by_key = {each.key: each for each in measures("accuracy", True)}
    texts = {"16 texts": 16, "64 texts": 64, "256 texts": 256, "1,024 texts": 1024, "4,096 texts": 4096, "all 5,992 texts": 5992}
    rows = [{"name": name, "trainable": count, "loaded": [], "runs": [{"score": score + wide} for wide in (-0.002, 0.0, 0.002)]}
            | {"mean": score} for (name, count), score in zip(texts.items(), (0.597, 0.726, 0.807, 0.830, 0.829, 0.834), strict=True)]
    x, y = by_key["trainable"], by_key["score"]
    points = placed(rows, x, y)[0]
    ways = _beside(points, {name: name for name in texts}, x, y)
    across, up = _shares(x, [point[1] for point in points]), _shares(y, [point[2] for point in points])
    spots = [(at, height) for (at, _, _), (height, _, _) in zip(across, up, strict=True)]
    boxes = [_boxes(*spot, LETTER * len(name))[way] for name, spot, way in zip(texts, spots, ways, strict=True)]
    assert not [pair for pair in combinations(boxes, 2) if _overlap(*pair)], ways
    for own, (left, right, bottom, top) in enumerate(boxes):
        away = [((left + right) / 2 - at) ** 2 + ((bottom + top) / 2 - height) ** 2 for at, height in spots]
        assert min(away) == away[own], (list(texts)[own], ways)


def test_no_name_is_struck_through_by_an_error_bar() -> None:
    """As of five methods by what they forget: one of them has a bar over a third of the chart."""
    x, y = ({each.key: each for each in measures("accuracy", True)}[key] for key in ("forgetting", "score"))
    points = [("LoRA", (1.25, 0.03, 0.05), (0.611, 0.014, 0.014)), ("LoRA, 0.01", (2.34, 0.2, 0.14), (0.677, 0.011, 0.011)),
              ("Prompt tuning", (1.27, 0.2, 0.4), (0.601, 0.042, 0.042)), ("Prefix tuning", (1.30, 0.01, 0.02), (0.551, 0.047, 0.047)),
              ("Full fine-tuning", (1.02, 0.0, 0.0), (0.644, 0.047, 0.047))]
    across, up = _shares(x, [point[1] for point in points]), _shares(y, [point[2] for point in points])
    names = [name for name, _, _ in points]
    ways = _beside(points, {name: name for name in names}, x, y)
    boxes = [_boxes(at, height, LETTER * len(name))[way] for name, (at, _, _), (height, _, _), way in zip(names, across, up, ways, strict=True)]
    bars = [bar for (at, left, right), (height, below, above) in zip(across, up, strict=True)
            for bar in ((left, right, height - 0.004, height + 0.004), (at - 0.002, at + 0.002, below, above))]
    struck = [name for name, (left, right, bottom, top) in zip(names, boxes, strict=True) for bar in bars
              if _overlap((left, right, bottom + 0.015, top - 0.015), bar)]
    assert not struck, ways


def test_marks_of_one_method_are_joined_and_their_names_keep_their_ends() -> None:
    by_key = {each.key: each for each in measures("accuracy", True)}
    names = [f"Full fine-tuning, {rate}" for rate in ("0.00001", "0.0001", "0.001")]
    rows = [{"name": name, "trainable": count, "mean": 0.5 + 0.1 * place, "loaded": [], "runs": [{"score": 0.5 + 0.1 * place}]}
            for place, (name, count) in enumerate(zip([*names, "LoRA"], (10, 20, 30, 40), strict=True))]
    look = {row["name"]: {"colour": "#0072B2", "dash": "solid", "symbol": "circle"} for row in rows}
    figure = scatter(rows, look, by_key["trainable"], by_key["score"], [names])
    assert [trace["text"][0].strip() for trace in figure["data"] if trace["mode"] == "markers+text"] == [
        "Full … 0.00001", "Full … 0.0001", "Full … 0.001", "LoRA"]
    assert [trace["x"] for trace in figure["data"] if trace.get("name", "").startswith("strand")] == [[10, 20, 30]]
    assert "differ in one number" in figure["caption"] and "differ in one number" not in scatter(rows, look, by_key["trainable"], by_key["score"])["caption"]
    assert figure["layout"]["xaxis"]["tickvals"] == [10, 20, 30, 40]


def test_a_cost_that_most_arms_share_is_not_chosen() -> None:
    rows = [{"name": str(place), "loaded": [], "trainable": 90 if place else 50, "peak_bytes": 100.0 + 20 * place, "runs": []} for place in range(7)]
    assert cost_of(rows, measures("accuracy", True)).key == "peak_bytes"


def test_what_was_made_since_the_start_was_not_made_before(made: tuple[Page, dict[str, Any]]) -> None:
    page, _ = made
    whole = page.ask("look")["cost"]
    assert "all of them made before" in whole, "nobody has started it here"
    new = page.ask("look", before=[["LoRA", 0]])["cost"]
    assert "1 of them made before, 5 of them done" in new and "made before" not in page.ask("look", before=[])["cost"]
