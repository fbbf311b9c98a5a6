"""Experiments from the page: what they take is said first, runs are submitted as room appears, equal ones are found again, and results show as they come."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.engine import train
from lab.events import Failed, fold
from lab.recording import Recorded
from lab.spec import RunSpec
from lab.store import Store
from lab.ui.bench import Bench, Limits
from lab.ui.inside import trials
from lab.ui.inside.subject import Subjects

PROMPT = {"model": "seed-llama", "task": "toy", "method": {"name": "prompt_tuning", "virtual_tokens": 3}, "steps": 2, "batch": 2, "tokens": 24,
          "eval_items": 4, "eval_every": 0, "dtype": "float32"}
WAY = {"lens": "waywardness", "knobs": {"text": "one two three", "strongest": 1.0, "pulls": 1}}
TWINS = {"lens": "twins", "knobs": {"seeds": 2}}


class Page:
    """The questions of one browser about the run it has made."""

    def __init__(self, bench: Bench, run: str, owner: str = "me") -> None:
        self.bench, self.run, self.owner = bench, run, owner
        self.known = {question.__name__: question for question in trials.questions(Subjects(bench))}

    def ask(self, name: str, **asked: Any) -> dict[str, Any]:
        return self.known[name]({"run": self.run, "owner": self.owner, **asked})

    def trial(self, **asked: Any) -> dict[str, Any]:
        return self.ask("trial", **asked)

    def work(self, workshop: Any, runs: int = 1) -> None:
        """What a worker does: take the oldest run and train it."""
        for _ in range(runs):
            claimed = self.bench.store.claim("worker")
            self.bench.store.append(claimed.id, train(claimed.spec, workshop))


@pytest.fixture(scope="module")
def events(workshop: Any) -> list[Any]:
    return list(train(RunSpec.parse(PROMPT), workshop))


@pytest.fixture
def page(tmp_path: Path, events: list[Any]) -> Iterator[Callable[..., Page]]:
    """A lab that allows three waiting runs to a browser, in which one run has ended."""
    with Store(tmp_path) as store:
        def opened(**more: Any) -> Page:
            begun = fold(events).started
            run = store.submit(RunSpec.parse(PROMPT), "me")
            store.claim("worker")
            store.append(run.id, events)
            return Page(Bench(store, limits=Limits(waiting=3), hashes=lambda spec: (begun.weights_sha256, begun.data_sha256), **more), run.id)

        yield opened


def states(told: dict[str, Any]) -> list[str]:
    return [run["state"] for run in told["runs"]]


def test_what_it_takes_is_said_before_anything_runs(page: Callable[..., Page]) -> None:
    seen = page()
    told = seen.trial(**TWINS)
    assert states(told) == ["finished", "missing", "missing", "missing"] and told["left"] == 3
    assert told["cost"].startswith("4 trainings, 1 of them made before; ") and "on 1 worker, as in 1 past run here." in told["cost"]
    assert [run["name"] for run in told["runs"]] == [f"seed {seed}, shuffle the labels {on}" for on in ("off", "on") for seed in (0, 1)]
    assert seen.bench.store.waiting() == 0


def test_runs_follow_as_room_appears_and_one_place_stays_free(page: Callable[..., Page], workshop: Any) -> None:
    seen = page()
    told = seen.trial(**TWINS, go=True)
    assert states(told) == ["finished", "queued", "queued", "missing"] and seen.bench.store.waiting("me") == 2
    assert told["full"].startswith("At most 2 of your runs wait or run at a time in this lab; the last one follows")
    assert states(seen.trial(**TWINS, go=True)) == states(told), "asked again, nothing is made twice"
    seen.work(workshop)
    told = seen.trial(**TWINS, go=True)
    assert states(told) == ["finished", "finished", "queued", "queued"] and told["full"] == ""
    assert told["value"]["ended"] == {"real": 2, "shuffled": 0} and "at least two of each kind" in told["says"][0]
    seen.work(workshop, 2)
    told = seen.trial(**TWINS)
    assert told["done"] == told["of"] == 4 and told["value"]["ended"] == {"real": 2, "shuffled": 2}
    assert told["value"]["tokens"] and told["table"]["rows"] and told["cost"].endswith("nothing has to be trained.")


def test_waywardness_fills_in_as_its_runs_end(page: Callable[..., Page], workshop: Any) -> None:
    seen = page()
    told = seen.trial(**WAY, go=True)
    assert states(told) == ["queued", "queued"] and told["value"] is None and told["figure"] is None
    assert [run["name"] for run in told["runs"]] == ["pull 0", "pull 1"]
    seen.work(workshop)
    half = seen.trial(**WAY)
    assert [point["score"] is None for point in half["value"]["points"]] == [False, True]
    assert half["figure"]["data"][0]["y"] == [0.0], "against itself nothing is lost"
    seen.work(workshop)
    told = seen.trial(**WAY)
    drawn, points = told["figure"]["data"][0], told["value"]["points"]
    assert drawn["x"] == [point["f1"] for point in points] and len(points[1]["words"]) == 3
    assert drawn["y"][1] == pytest.approx(points[0]["score"] - points[1]["score"])
    low, high = told["figure"]["layout"]["yaxis2"]["range"]
    assert low < min(drawn["y"]) and high > max(drawn["y"])


def test_an_equal_run_of_somebody_else_is_not_made_again(page: Callable[..., Page], events: list[Any]) -> None:
    seen = page()
    other = Page(seen.bench, seen.run, "somebody else")
    assert "this run is private" in other.trial(**TWINS)["error"]
    seen.bench.store.share(seen.run)
    told = other.trial(**TWINS)
    assert states(told)[0] == "known" and "1 of them made before" in told["cost"]
    told = other.trial(**TWINS, go=True)
    assert states(told) == ["finished", "queued", "queued", "missing"]
    found = seen.bench.store.run(told["runs"][0]["run"])
    assert found.reused and found.owner == "somebody else" and told["runs"][0]["run"] != seen.run


def test_a_recorded_run_is_one_of_them_as_it_is(page: Callable[..., Page], events: list[Any]) -> None:
    recorded = Recorded("prompt", {"date": "2026-01-01", "cores": 2}, tuple(events))
    seen = page(recorded=(recorded,))
    other = Page(seen.bench, "recorded.prompt", "nobody yet")
    assert states(other.trial(**TWINS))[0] == "finished" and other.bench.store.history("nobody yet") == []


def test_a_failed_run_is_told_and_made_again_only_when_asked(page: Callable[..., Page]) -> None:
    seen = page()
    seen.trial(**WAY, go=True)
    failed = seen.bench.store.claim("worker")
    seen.bench.store.append(failed.id, [Failed("There was not enough memory.")])
    told = seen.trial(**WAY, go=True)
    assert states(told) == ["failed", "queued"] and told["broken"] == 1 and "not enough memory" in told["runs"][0]["reason"]
    told = seen.trial(**WAY, go=True, again=True)
    assert states(told) == ["queued", "queued"] and told["runs"][0]["run"] != failed.id


def test_stopping_ends_what_waits_and_only_ones_own(page: Callable[..., Page]) -> None:
    seen = page()
    seen.trial(**TWINS, go=True)
    seen.bench.store.share(seen.run)
    other = Page(seen.bench, seen.run, "somebody else")
    assert states(other.ask("halt", **TWINS))[1:] == ["missing"] * 3 and seen.bench.store.waiting("me") == 2
    assert states(seen.ask("halt", **TWINS)) == ["finished", "cancelled", "cancelled", "missing"] and seen.bench.store.waiting("me") == 0


def test_who_has_no_key_makes_no_runs(page: Callable[..., Page]) -> None:
    seen = page()
    Page(seen.bench, seen.run, "").trial(**TWINS, go=True)
    assert seen.bench.store.waiting() == 0


def test_a_full_lab_says_so_and_loses_nothing(page: Callable[..., Page]) -> None:
    seen = page()
    full = Page(Bench(seen.bench.store, limits=Limits(waiting=3, queue=1)), seen.run)
    told = full.trial(**WAY, go=True)
    assert states(told) == ["queued", "missing"] and "the lab's queue is full" in told["full"]


@pytest.mark.parametrize(("asked", "words"), [
    ({"lens": "waywardness", "knobs": {"text": "  "}}, "text is empty"),
    ({"lens": "waywardness", "knobs": {"pulls": 70}}, "pulls is 70"),
    ({"lens": "twins", "knobs": {"seeds": "many"}}, "seeds"),
    ({"lens": "blind_reader"}, "it is a probe, not a experiment"),
    ({"lens": "nothing"}, 'unknown lens "nothing"'),
    ({"lens": "twins", "run": "0" * 24}, "unknown run"),
])
def test_what_cannot_be_planned_is_explained(page: Callable[..., Page], asked: dict[str, Any], words: str) -> None:
    seen = page()
    assert words in seen.trial(**asked)["error"] and seen.bench.store.waiting() == 0


def test_a_run_that_does_not_suit_says_why(page: Callable[..., Page]) -> None:
    seen = page()
    run = seen.bench.store.submit(RunSpec.parse({**PROMPT, "method": "lora"}), "me")
    assert "it is not prompt tuning" in Page(seen.bench, run.id).trial(**WAY)["error"]


def test_without_an_unpulled_run_no_loss_is_claimed() -> None:
    point = {"g": 1.0, "score": 0.5, "standard_error": 0.1, "f1": 0.5, "words": []}
    assert trials.waywardness({"points": [point], "target": "x"}) is None
