"""The run that is looked into, of the store or recorded, in one form; runs that were looked at lately stay parsed."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from lab.contracts import LabError
from lab.events import Event, RunResult, fold
from lab.recording import Recorded
from lab.spec import RunSpec
from lab.store import Run
from lab.ui.bench import Bench
from lab.ui.picture import RECORDED, made

KEPT_RUNS = 32  # that stay parsed between two looks
KEPT_SAID = 160  # sentences, tables and figures that stay made


@dataclass(frozen=True)
class Subject:
    """`owner` is "" and `label` says how it was made where it is a recorded run; `spec` is None where the catalogue no longer has what it names."""

    key: str
    settings: Mapping[str, Any]
    spec: RunSpec | None
    result: RunResult
    state: str
    title: str = ""
    owner: str = ""
    label: str = ""
    looks: tuple[Run, ...] = ()  # newest first


@dataclass
class Parsed:
    """Events that have been read of a run, or of a look at one, and what they add up to."""

    seq: int = 0
    events: list[Event] = field(default_factory=list)
    result: RunResult = field(default_factory=RunResult)


class Subjects:
    """Opens runs by the key the page asks with. Reading costs what is new, as long as few runs are looked at."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._recorded = {RECORDED + each.key: each for each in bench.recorded}
        self._parsed: OrderedDict[str, Parsed] = OrderedDict()
        self._said: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = Lock()

    def open(self, key: str) -> Subject:
        """Raises LabError for a run that is not here."""
        if key in self._recorded:
            return _recorded(key, self._recorded[key])
        run = self.bench.store.run(key)
        if run.kind != "train":
            raise LabError("this is a look at a run, not a run: open the run itself")
        return Subject(key, run.settings, _spec(run), self.result(run), run.state, run.title, run.owner, looks=tuple(self.bench.store.looks(key)))

    def read(self, key: str, owner: str) -> Subject:
        """The same for whoever may see it. Raises LabError for somebody else's private run."""
        subject = self.open(key)
        if not subject.label:
            self.bench.check_reader(self.bench.store.run(subject.key), owner)
        return subject

    def result(self, run: Run) -> RunResult:
        """What is known of a run, or of a look at one."""
        with self._lock:
            parsed = _kept(self._parsed, run.id, Parsed, KEPT_RUNS)
            new = self.bench.store.events(run.id, parsed.seq)
            if new:
                parsed.events += [event for _, event in new]
                parsed.seq, parsed.result = new[-1][0], fold(parsed.events)
            return parsed.result

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What is made of values that do not change any more."""
        with self._lock:
            return _kept(self._said, key, make, KEPT_SAID)


def _kept(kept: OrderedDict[Any, Any], key: Hashable, make: Callable[[], Any], most: int) -> Any:
    found = kept.pop(key) if key in kept else make()
    while len(kept) >= most:
        kept.popitem(last=False)
    kept[key] = found
    return found


def _recorded(key: str, recorded: Recorded) -> Subject:
    return Subject(key, recorded.spec.to_dict(), recorded.spec, recorded.result, "finished", label=made(recorded))


def _spec(run: Run) -> RunSpec | None:
    try:
        return run.spec
    except LabError:
        return None
