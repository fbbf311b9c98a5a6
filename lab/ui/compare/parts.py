"""The runs of a comparison as they stand: found in the history or among the recorded ones. Nothing is kept here but what has been read."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, get_args

from lab.compare import Comparison
from lab.comparing import KEPT, Kept
from lab.events import Event, RunResult, fold
from lab.spec import Dtype, RunSpec
from lab.store import Run
from lab.ui.bench import Bench
from lab.ui.planned import mine

KEPT_RUNS = 640  # that stay parsed: more than a comparison has
KEPT_LENSES = (*KEPT, "scoring")  # what is kept of a recorded run, and how far one is that goes on


@dataclass(frozen=True)
class Part:
    """An arm with a seed. `made` says where and how it was recorded, of a run that was; `known` that an equal run has ended here, whoever made it; `alike` are
    the settings with which a missing run is made, where they name a number format that was left open: that of the recorded ones beside it, or of
    the other arms."""

    arm: str
    seed: int
    spec: RunSpec
    run: Run | None
    result: RunResult
    made: Mapping[str, Any] | None = None
    known: bool = False
    alike: RunSpec | None = None

    @property
    def recorded(self) -> bool:
        return self.made is not None

    @property
    def state(self) -> str:
        return self.result.state if self.recorded else "known" if self.known else self.run.state if self.run else "missing"

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
    bench, specs = results.bench, {spec.fingerprint: spec for spec in comparison.runs.values()}
    recorded = _recorded(bench, specs)
    kind = format_of(recorded.values())
    alike = {fingerprint: other for fingerprint, spec in specs.items() if fingerprint not in recorded and (other := _alike(spec, kind)) is not None}
    own = mine(bench, [*specs.values(), *alike.values()], owner)
    hashes: dict[tuple[str, str | None], tuple[str, str]] = {}
    return [_part(results, name, seed, spec, own, recorded.get(spec.fingerprint), alike.get(spec.fingerprint), hashes)
            for (name, seed), spec in comparison.runs.items()]


def _recorded(bench: Bench, specs: Mapping[str, RunSpec]) -> dict[str, Kept]:
    """Those of the runs, by fingerprint, that came recorded with the lab. What was recorded for a question goes before an equal run that was recorded for
    itself: only the former were all made in one number format."""
    found = {each.spec.fingerprint: Kept(each.made, slim(each.result)) for each in bench.recorded if each.spec.fingerprint in specs}
    if bench.ready is not None:
        found |= {fingerprint: kept for fingerprint, spec in specs.items() if (kept := bench.ready.of(spec)) is not None}
    return found


def format_of(recorded: Iterable[Kept]) -> str:
    """The number format of recorded runs, where all have the same one; else nothing."""
    kinds = {kept.result.started.dtype for kept in recorded if kept.result.started}
    return kinds.pop() if len(kinds) == 1 and kinds <= set(get_args(Dtype)) else ""


def _alike(spec: RunSpec, kind: str) -> RunSpec | None:
    """The same in a number format that it leaves open, and this machine might choose otherwise."""
    if not kind or spec.dtype != "auto":
        return None
    return RunSpec.parse({**spec.to_dict(), "dtype": kind})


def _part(results: Results, name: str, seed: int, spec: RunSpec, own: Mapping[str, Run], kept: Kept | None, alike: RunSpec | None,
          hashes: dict[tuple[str, str | None], tuple[str, str]]) -> Part:
    """A finished run of one's own goes before a recorded one, that before one that has not finished; one in the format of the recorded ones before others."""
    run = own.get(alike.fingerprint) if alike is not None and alike.fingerprint in own else own.get(spec.fingerprint)
    if run and run.state == "finished":
        return Part(name, seed, spec, run, results.of(run), alike=alike)
    if kept is not None:
        return Part(name, seed, spec, None, kept.result, made=kept.made)
    bench, key = results.bench, (str(spec.model), spec.task)
    if key not in hashes and (run is None or run.ended):
        hashes[key] = bench.hashes(spec)
    known = (run is None or run.ended) and bench.store.has_equal(alike or spec, *hashes[key])
    return Part(name, seed, spec, run, results.of(run) if run else RunResult(), known=known, alike=alike)


def to_make(found: Iterable[Part]) -> list[Part]:
    """The runs as they are submitted: in the number format of the recorded ones beside them, where they leave it open."""
    return [replace(part, spec=part.alike) if part.alike is not None else part for part in found]
