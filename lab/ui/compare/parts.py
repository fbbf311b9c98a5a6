"""The runs of a comparison as they stand: found in the history or among the recorded ones. Nothing is kept here but what has been read."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from lab.compare import Comparison
from lab.comparing import KEPT, Kept
from lab.events import Event, RunResult, fold
from lab.recording import Recorded
from lab.spec import RunSpec
from lab.store import Run
from lab.ui.bench import Bench
from lab.ui.planned import mine, room

KEPT_RUNS = 640  # that stay parsed: more than a comparison has
KEPT_LENSES = (*KEPT, "scoring")  # what is kept of a recorded run, and how far one is that goes on


@dataclass(frozen=True)
class Part:
    """An arm with a seed. `made` says where and how it was recorded, of a run that was; `known` that an equal run has ended here, whoever made it."""

    arm: str
    seed: int
    spec: RunSpec
    run: Run | None
    result: RunResult
    made: Mapping[str, Any] | None = None
    known: bool = False

    @property
    def recorded(self) -> bool:
        return self.made is not None

    @property
    def state(self) -> str:
        return "finished" if self.recorded else "known" if self.known else self.run.state if self.run else "missing"

    @property
    def ended(self) -> bool:
        """Whether the report may have it."""
        return self.state in ("finished", "failed")


@dataclass
class Parsed:
    """Events of a run that goes on; of one that has ended only what a comparison shows."""

    seq: int = 0
    events: list[Event] = field(default_factory=list)
    result: RunResult = field(default_factory=RunResult)
    ended: bool = False


class Results:
    """Results of runs; reading one again costs what is new."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._parsed: OrderedDict[str, Parsed] = OrderedDict()
        self._lock = Lock()

    def of(self, run: Run) -> RunResult:
        if run.state == "queued":
            return RunResult()
        with self._lock:
            parsed = self._parsed.pop(run.id, None) or Parsed()
            while len(self._parsed) >= KEPT_RUNS:
                self._parsed.popitem(last=False)
            self._parsed[run.id] = parsed
            if not parsed.ended:
                self._read(parsed, run)
            return parsed.result

    def _read(self, parsed: Parsed, run: Run) -> None:
        new = self.bench.store.events(run.id, parsed.seq)
        if new:
            parsed.events += [event for _, event in new]
            parsed.seq, parsed.result = new[-1][0], slim(fold(parsed.events))
        if run.ended:
            parsed.ended, parsed.events = True, []


def slim(result: RunResult) -> RunResult:
    return replace(result, observed=tuple(seen for seen in result.observed if seen.lens in KEPT_LENSES))


def parts(results: Results, comparison: Comparison, owner: str) -> list[Part]:
    """Seed by seed over all arms, so that one point of everything comes first."""
    bench = results.bench
    own = mine(bench, list(comparison.runs.values()), owner)
    recorded = {each.spec.fingerprint: each for each in bench.recorded}
    hashes: dict[tuple[str, str | None], tuple[str, str]] = {}
    return [_part(results, name, seed, spec, own.get(spec.fingerprint), recorded.get(spec.fingerprint), hashes)
            for (name, seed), spec in comparison.runs.items()]


def _part(results: Results, name: str, seed: int, spec: RunSpec, run: Run | None, recorded: Recorded | None,
          hashes: dict[tuple[str, str | None], tuple[str, str]]) -> Part:
    """A finished run of one's own goes before a recorded one, that before one that has not finished."""
    if run and run.state == "finished":
        return Part(name, seed, spec, run, results.of(run))
    shelf = results.bench.ready
    kept = Kept(recorded.made, slim(recorded.result)) if recorded is not None else shelf.of(spec) if shelf is not None else None
    if kept is not None:
        return Part(name, seed, spec, None, kept.result, made=kept.made)
    bench, key = results.bench, (str(spec.model), spec.task)
    if key not in hashes and (run is None or run.ended):
        hashes[key] = bench.hashes(spec)
    known = (run is None or run.ended) and bench.store.has_equal(spec, *hashes[key])
    return Part(name, seed, spec, run, results.of(run) if run else RunResult(), known=known)


def waits(bench: Bench, left: int) -> str:
    follow = f"the other {left} follow" if left > 1 else "the last one follows"
    return f"At most {room(bench)} of your runs wait or run at a time in this lab; {follow} as they end, while this page is open."
