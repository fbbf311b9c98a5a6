"""What there is no room for follows by itself: with no page open, after a restart, within every limit, and not once it was stopped."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from lab.classroom.offer import Offer
from lab.contracts import NotNow
from lab.events import Cancelled
from lab.spec import RunSpec
from lab.store import Store
from lab.ui import following, rates
from lab.ui.bench import Bench, Limits
from lab.ui.compare.tab import questions
from lab.ui.planned import submit

BASE = {"model": "seed-bert", "task": "toy", "method": "lora", "steps": 3, "batch": 4, "tokens": 24, "eval_items": 24, "eval_every": 0, "dtype": "float32"}
DRAFT = {"base": BASE, "arms": [{"name": "LoRA", "change": {}}, {"name": "head", "change": {"method": "head"}}], "seeds": [0, 1, 2]}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as kept:
        yield kept


def bench_of(store: Store, **limits: Any) -> Bench:
    return Bench(store, limits=Limits(waiting=3, **limits), follows=True)


def ask(bench: Bench, name: str, **asked: Any) -> dict[str, Any]:
    return {question.__name__: question for question in questions(bench)}[name]({"draft": DRAFT, "owner": "me", **asked})


def work(store: Store) -> int:
    """End everything that waits, as a worker would, in no time; returns how much that was."""
    count = 0
    while (claimed := store.claim("worker")) is not None:
        store.append(claimed.id, [Cancelled(step=0)])
        count += 1
    return count


def specs(*seeds: int) -> list[RunSpec]:
    return [RunSpec.parse({**BASE, "seed": seed}) for seed in seeds]


def test_a_comparison_goes_on_when_its_page_is_closed(store: Store) -> None:
    bench = bench_of(store)
    said = ask(bench, "look", go=True)
    assert "the other 4 follow as they end, also when this page is closed" in said["full"] and store.waiting("me") == 2
    done = []
    while count := work(store):
        done.append(count)
        bench.following.tend_all()  # and nobody asks
    assert done == [2, 2, 2] and bench.following.left("me") == 0
    assert len({run.fingerprint for run in store.history("me")}) == 6


def test_somebody_watches(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "EVERY_SECONDS", 0.01)
    bench, stopped = bench_of(store), Event()
    ask(bench, "look", go=True)
    watching = Thread(target=bench.following.watch, args=(stopped,))
    watching.start()
    try:
        done = 0
        for _ in range(1000):
            done += work(store)
            if done == 6:
                break
            stopped.wait(0.01)
    finally:
        stopped.set()
        watching.join(10)
    assert done == 6 and not watching.is_alive()


def test_a_lab_that_is_started_again_goes_on(store: Store, tmp_path: Path) -> None:
    ask(bench_of(store), "look", go=True)
    work(store)
    with Store(tmp_path) as again:
        bench_of(again).following.tend_all()
        assert again.waiting("me") == 2


def test_what_was_stopped_does_not_follow(store: Store) -> None:
    bench = bench_of(store)
    ask(bench, "look", go=True)
    ask(bench, "halt", arm="head")
    assert bench.following.left("me") == 2, "two seeds of the other arm"
    ask(bench, "halt")
    bench.following.tend_all()
    assert bench.following.left("me") == 0 and store.waiting("me") == 0


def test_a_limit_that_passes_is_waited_for(store: Store) -> None:
    bench = bench_of(store, per_hour=1)
    bench.following.add(specs(0, 1), "me")
    assert "within the last hour" in bench.following.tend("me")
    assert (store.waiting("me"), bench.following.left("me")) == (1, 1)
    freed = bench_of(store)
    work(store)
    assert freed.following.tend("me") == "" and (store.waiting("me"), freed.following.left("me")) == (1, 0)


def test_what_no_room_will_help_is_told_and_forgotten(store: Store) -> None:
    bench = bench_of(store)
    bench.following.add(specs(0), "me")
    bench.__dict__["offer"] = Offer(methods=("head",))
    assert "lora" in bench.following.tend("me").lower()
    assert bench.following.left("me") == 0 and store.waiting("me") == 0


def test_equal_ones_are_made_once(store: Store) -> None:
    bench = bench_of(store)
    bench.following.add(specs(0, 0, 1), "me")
    bench.following.add(specs(1), "me")
    assert bench.following.left("me") == 2
    bench.following.tend("me")
    bench.following.add(specs(0), "me")
    bench.following.tend("me")
    assert store.waiting("me") == 2 and bench.following.left("me") == 0, "the one that waits already is that run"


def test_nobody_floods_the_lab(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "MOST", 3)
    bench = bench_of(store)
    bench.following.add(specs(0, 1, 2), "me")
    with pytest.raises(NotNow, match="4 runs would wait to follow, and this lab keeps at most 3"):
        bench.following.add(specs(3), "me")
    assert bench.following.left("me") == 3, "none is lost, and none of the others taken"
    bench.following.add(specs(3), "somebody else")


def test_what_follows_counts_for_the_address_that_asked(store: Store) -> None:
    bench = bench_of(store, address_per_hour=2)
    token = rates.ASKING.set("203.0.113.9")
    try:
        bench.following.add(specs(0, 1, 2), "me")
    finally:
        rates.ASKING.reset(token)
    bench.following.tend_all()
    work(store)
    bench.following.tend_all()
    assert bench.following.left("me") == 1 and store.waiting("me") == 0, "the third waits for the hour to pass"


def test_what_waited_for_days_is_forgotten(tmp_path: Path) -> None:
    clock = [1000.0]
    with Store(tmp_path, clock=lambda: clock[0]) as store:
        bench = bench_of(store, per_hour=1)
        bench.following.add(specs(0, 1), "me")
        bench.following.tend("me")
        clock[0] += following.LONGEST_SECONDS + 1
        bench.following.tend_all()
        assert bench.following.left("me") == 0 and store.waiting("me") == 1


def test_others_are_not_held_up(store: Store) -> None:
    bench = bench_of(store)

    class Part:
        def __init__(self, spec: RunSpec) -> None:
            self.spec, self.run, self.known, self.state = spec, None, False, "missing"

    assert "the other 3 follow" in submit(bench, [Part(spec) for spec in specs(0, 1, 2, 3, 4)], "me", ())
    assert submit(bench, [Part(specs(9)[0])], "somebody else", ()) == ""
    assert store.waiting("somebody else") == 1
