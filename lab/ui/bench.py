"""What the tabs share: the store, the recorded runs, the limits, and what is known of this machine's pace."""
from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any

from lab import catalogue
from lab.classroom import Limits, Offer, Settings
from lab.classroom.addresses import Addresses
from lab.classroom.meter import Meter
from lab.classroom.offer import check_limits, completed
from lab.classroom.register import Register
from lab.comparing import Shelf
from lab.contracts import LabError, NotNow, Task
from lab.forecast.forecaster import Forecaster
from lab.lens import Look
from lab.lessons import Lesson
from lab.lessons.bank import Bank
from lab.lessons.glossary import Entry
from lab.logs import short
from lab.measurement import KIND, Measuring
from lab.owndata.shelf import Shelf as OwnData
from lab.owndata.shelf import is_own
from lab.recording import Recorded
from lab.spec import RunSpec, check_length
from lab.store import Run, Store
from lab.sweeping import Sweep
from lab.ui import rates
from lab.ui.desk import Desk
from lab.ui.following import KEPT_FREE, Following
from lab.ui.pace import Paces

LOG = logging.getLogger(__name__)
HOUR_SECONDS = 3600.0
FIRST = {"model": "minilm-l6", "method": "lora"}  # what stands in a form first, as far as it is offered


def pass_of(run: Run) -> str:
    """What a link to a file of a run carries: only who was let in to look at the run has been given it, and nobody learns the owner's key from it."""
    return hashlib.sha256(f"{run.id} {run.owner}".encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Bench:
    """Handed to every tab by the composition; a tab keeps nothing of its own."""

    store: Store
    recorded: Sequence[Recorded] = ()
    limits: Limits = field(default_factory=Limits)
    settings: Settings = field(default_factory=Settings)  # of whoever hosts the lab
    workers: Callable[[], Sequence[Any]] = tuple  # as the runner reports them: name, state …
    submitted: Callable[[Run], None] = lambda run: None  # told of each run that was queued, in the context of whoever asked for it
    data: Callable[[Task], Generator[Any, None, Any]] | None = None  # reads the items of a task whose files lie here
    hashes: Callable[[RunSpec], tuple[str, str]] = lambda spec: ("", "")  # of the weights and data that lie here, "" where they do not
    sweeps: Mapping[tuple[str, str], Sweep] = field(default_factory=dict)  # (model, method) → the learning rates that were tried
    forecaster: Forecaster | None = None  # foretells memory with a process of its own, which is started when first needed
    ready: Shelf | None = None  # questions that can be compared at once, and what was recorded of them
    lessons: Mapping[str, Lesson] = field(default_factory=dict)
    glossary: Mapping[str, Entry] = field(default_factory=dict)  # what technical words mean, by each of their forms
    bank: Bank | None = None  # the test before and after the course
    museum: Mapping[str, Recorded] = field(default_factory=dict)  # runs that are broken on purpose, by the diagnosis of each
    measures: bool = False  # whether the workers take measurements as well
    assets: Path | None = None  # the folder with what was recorded for lessons
    follows: bool = False  # whether somebody submits what is to follow while no page is open
    _gate: Lock = field(default_factory=Lock, repr=False, compare=False)  # between counting somebody's runs and adding one

    @cached_property
    def desk(self) -> Desk:
        """Where all tabs ask for a foretold step: one queue for one tracing process."""
        return Desk(self.forecaster)

    @cached_property
    def paces(self) -> Paces:
        return Paces(self.store)

    @cached_property
    def following(self) -> Following:
        return Following(self.store, self.submit, max(1, self.limits.waiting - KEPT_FREE), self.follows)

    @cached_property
    def owndata(self) -> OwnData:
        """Sets that people uploaded; each is used by its owner only."""
        return OwnData(self.store.root)

    @cached_property
    def offer(self) -> Offer:
        return Offer.of(self.settings)

    @cached_property
    def meter(self) -> Meter:
        return Meter(self.store, self.settings.budgets)

    @cached_property
    def addresses(self) -> Addresses:
        return Addresses(self.store, self.limits)

    @cached_property
    def register(self) -> Register:
        """Who is in the class, and what they sent of their lessons."""
        return Register(self.store)

    @cached_property
    def first(self) -> dict[str, Any]:
        """Model, task and method that are offered and go together: the usual ones where they are, else the first that do."""
        models = [FIRST["model"], *catalogue.entries("models")]
        methods = [FIRST["method"], *catalogue.entries("methods")]
        tasks = [None, *catalogue.entries("tasks")]
        for model, method, task in product(models, methods, tasks):
            with suppress(LabError):
                if self.offer.has("models", model) and self.offer.has("methods", method):
                    spec = self.drafted({"model": model, "method": method, **({"task": task} if task else {})})
                    return {"model": spec.model, "method": method, **({"task": task} if task else {})}
        raise LabError("models, tasks and methods are such that none of these models learns one of these tasks with one of these methods: offer more of them")

    def drafted(self, draft: Mapping[str, Any]) -> RunSpec:
        """A spec from what somebody chose, with this lab's limits for what was left open. Raises LabError for what is not offered."""
        spec = RunSpec.parse(completed(draft, self.limits))
        self.offer.check(spec)
        return spec

    def check(self, spec: RunSpec) -> None:
        """Raises LabError for a run that this lab does not offer, or not of this size."""
        check_length(spec)
        self.offer.check(spec)
        known = self.paces.of(spec) if self.limits.seconds is not None else None
        check_limits(spec, self.limits, known.total(spec.steps) if known else None)

    def submit(self, spec: RunSpec, owner: str, *, anew: bool = False) -> Run:
        """Queue a run; or, unless it is to be made `anew`, answer it from the history where an equal one has finished: it has ended then, at no cost.

        Raises LabError where a limit of this lab is reached.
        """
        self.check(spec)
        self._check_maker(spec, owner)
        if not anew and (answer := self._answer(spec, owner)):
            LOG.info("run answered from the history", extra={"run": answer.id, "owner": short(owner)})
            return answer
        pace = self.paces.of(spec)
        run = self._queued(spec, owner, "train", pace.total(spec.steps) if pace else None, anew=anew)
        LOG.info("run submitted", extra={"run": run.id, "owner": short(owner), "model": str(spec.model), "method": spec.method.key})
        return run

    def _queued(self, job: Any, owner: str, kind: str, seconds: float | None, *, anew: bool = False) -> Run:
        """Raises LabError where this owner, their address or the lab has enough."""
        address = rates.asking()
        with self._gate:
            self._check_room(owner)
            self.addresses.check(address, trains=True)
            if self.limits.per_hour is not None and self.store.submitted(owner, HOUR_SECONDS) >= self.limits.per_hour:
                raise NotNow(f"you have started {self.limits.per_hour} runs within the last hour, as many as this lab allows: wait a little, or look at "
                               "those you have")
            run = self.store.submit(job, owner, kind=kind, seconds=seconds, anew=anew)
            self.addresses.note(address, run)
        self.submitted(run)
        return run

    def measure(self, asked: Measuring, owner: str, recorded_seconds: float | None = None) -> Run:
        """Queue a measurement as a run is queued: it takes a worker's place like one. Raises LabError where a limit of this lab is reached."""
        self.check_measurement(asked)
        self._check_member(owner)
        self.meter.check()
        run = self._queued(asked, owner, KIND, self.measuring_seconds(asked) or recorded_seconds)
        LOG.info("measurement submitted", extra={"run": run.id, "owner": short(owner), "measurement": asked.measurement})
        return run

    def check_measurement(self, asked: Measuring) -> None:
        """Raises LabError for one with something that is not offered, or for which runs would be trained that are not allowed."""
        if not self.measures:
            raise LabError("this lab's workers make no measurements: look at the recorded numbers")
        for folder, name in (("models", "model"), ("tasks", "task"), ("methods", "method")):
            value = getattr(asked.made, name, None)
            if value is not None and not self.offer.has(folder, value):
                raise LabError(f'{name} is "{value}": this lab does not offer it')
        for spec in asked.made.specs().values():
            self.check(spec)
        seconds = self.measuring_seconds(asked)
        if self.limits.seconds is not None and seconds is not None and seconds > self.limits.seconds:
            raise LabError(f"this takes about {round(seconds):,} seconds here: this lab allows {self.limits.seconds:,}")

    def measuring_seconds(self, asked: Measuring) -> float | None:
        """As long as an equal one took here, or its trainings take here; None where that is not known."""
        if (took := self.store.took(KIND, asked.fingerprint)) is not None:
            return took
        known = [(self.paces.of(spec), spec.steps) for spec in asked.made.specs().values()]
        return sum(pace.total(steps) for pace, steps in known) if known and all(pace for pace, _ in known) else None

    def look(self, asked: Look, owner: str) -> Run:
        """Queue a look at a finished run, ahead of trainings, which take longer. One that equals a look already there, made or on its way, is that look."""
        address = rates.asking()
        with self._gate:
            equal = (run for run in self.store.looks(asked.run) if run.fingerprint == asked.fingerprint and run.state not in ("failed", "cancelled"))
            found = next(equal, None)
            if found is None:
                self._check_member(owner)
                self._check_room(owner)
                self.addresses.check(address, trains=False)
                self.meter.check()
                found = self.store.submit(asked, owner, kind="look", priority=1)
                self.addresses.note(address, found)
            return found

    def _check_maker(self, spec: RunSpec, owner: str) -> None:
        self.owndata.check(spec.task, owner)
        self._check_member(owner)
        self.meter.check()

    def _check_member(self, owner: str) -> None:
        if self.settings.members_only and not self.register.member(owner):
            raise LabError("only members of the class can start runs here: join it in the Class tab, with the class code and your name")

    def _check_room(self, owner: str) -> None:
        if self.store.waiting(owner) >= self.limits.waiting:
            raise NotNow(f"{self.limits.waiting} of your runs are waiting or running: let one end, or stop one")
        if self.store.waiting() >= self.limits.queue:
            raise NotNow("the lab's queue is full: try again in a minute")

    def made_before(self, spec: RunSpec) -> bool:
        """Whether a finished run of the same spec, weights and data is in the history, whoever made it."""
        return self.store.has_equal(spec, *self.hashes(spec))

    def again(self, spec: RunSpec, owner: str) -> Run:
        """That run's result as a run of this browser, which may have it already. Raises LabError where it is gone."""
        self.offer.check(spec)
        self._check_maker(spec, owner)
        if (run := self._answer(spec, owner)) is None:
            raise LabError("that run has been deleted meanwhile: press Train to make it again")
        return run

    def _answer(self, spec: RunSpec, owner: str) -> Run | None:
        """A finished run of the same spec, weights and data: this browser's own, else a copy that tells nobody whose it was; None where there is none."""
        hashes = self.hashes(spec)
        with self._gate:
            if not self.store.has_equal(spec, *hashes):
                return None
            return self.store.own_equal(owner, spec, *hashes) or self.store.reuse(owner, spec, *hashes)

    def mine(self, run_id: str, owner: str) -> Run:
        """A run that this browser may change. Raises LabError for anybody else's."""
        run = self.store.run(run_id)
        if not owner or run.owner != owner:
            raise LabError("only the browser that started this run can change it")
        return run

    def share(self, run_id: str, owner: str) -> bool:
        """Whoever knows its address may look at this run from now on. Raises LabError for somebody else's."""
        return self.store.share(self.mine(run_id, owner).id).shared

    def check_reader(self, run: Run, owner: str) -> None:
        """A run is its owner's until they share it; then whoever knows its address may look at it."""
        if not run.shared and run.owner != owner:
            what = "this run was made with somebody's own data" if is_own(run.settings.get("task")) else "this run is private"
            raise LabError(f"{what}: only the browser that made it can open it, until it is shared there with “Copy link”")

    def check_taker(self, run: Run, given: str) -> None:
        """Whoever may read a run may take its files home. Raises LabError for anybody else."""
        if not secrets.compare_digest(given.encode(), pass_of(run).encode()):
            self.check_reader(run, "")
