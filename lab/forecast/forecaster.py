"""Predictions, the quickest way first: an answer kept on disk, a fit of recorded steps, a step recorded now, or what arithmetic alone knows."""
from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from lab.accounting.points import Deep, Fit
from lab.contracts import LabError
from lab.forecast.answer import addressed, answered, static
from lab.forecast.order import Order
from lab.forecast.tracer import Tracer, Untraceable

KEPT_FITS = 16  # in memory; on the disk, the most recently used
KEPT_FILES = 400
LONGEST_WAY = 5.0  # seconds that a fit in the making gives way before each of its steps
TOLERANCE = 1e-3  # how far a fit may be from a step that it was not made of


class Forecaster:
    """One per process. `folder` holds what was recorded; nothing in it is needed, all of it can be made again."""

    def __init__(self, folder: Path, tracer: Tracer | None = None) -> None:
        self.folder, self.tracer = folder, tracer or Tracer()
        self._fits: OrderedDict[str, Fit | None] = OrderedDict()
        self._lock = threading.Lock()
        self._wanted: OrderedDict[str, Order] = OrderedDict()
        self._worker: threading.Thread | None = None
        self._closed, self._waited_for = False, 0

    def memory(self, order: Order) -> dict[str, Any]:
        """The whole answer, recorded now if need be: at most a few seconds. Raises LabError for an order that makes no sense."""
        known = self.at_once(order)
        if known is not None:
            return known
        try:
            with self._first():
                deep = self.recorded(order, order.spec.batch, order.tokens)
        except Untraceable as error:
            return static(order, str(error))
        found = answered(order, deep)
        self._keep_answer(self._answer_path(order), found)
        return found

    def at_once(self, order: Order, closely: bool = True) -> dict[str, Any] | None:
        """The answer if it can be had without the tracing process, in milliseconds."""
        fit = self._fit(order)
        if fit is not None:
            return answered(order, fit.at(order.spec.batch, order.tokens), closely)
        found = self._kept_answer(self._answer_path(order))
        return found and addressed(order, found)

    def prepare(self, order: Order) -> None:
        """Have a fit made in the background, so that any batch and length answers at once."""
        with self._lock:
            if self._closed or self._fit_path(order).exists():
                return
            self._wanted[order.key] = order
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._work, daemon=True)
                self._worker.start()

    def fit(self, order: Order) -> Fit | None:
        """Record the grid and keep what goes through it; None where no polynomial does. Checked against a step that it was not made of."""
        grid = order.grid()
        try:
            fit = Fit.through(grid, [self._later(order, *sizes) for sizes in grid])
        except Untraceable:
            fit = None
        if fit is not None and not self._holds(order, fit, grid):
            fit = None
        self._keep_fit(order, fit)
        return fit

    def recorded(self, order: Order, batch: int, tokens: int, **exactly: Any) -> Deep:
        """A step of this batch and length, recorded in the tracing process."""
        plan = order.plan
        depths = (plan.short, *(plan.without_one(stack) for stack in plan.fewer))
        short, *fewer = self.tracer.record(*(order.to_trace(each, batch, tokens, **exactly) for each in depths))
        deep = Deep(short, dict(zip(plan.fewer, fewer, strict=True)))
        if not deep.corresponds:
            raise Untraceable("a model with a block less goes through other steps, so nothing follows for more of them")
        return deep

    def against(self, order: Order, measured: Mapping[str, Any]) -> dict[str, Any]:
        """The step that a run has measured, foretold for its very batch: {"predicted": answer, "error": share of the measured peak by which it is off}.

        Raises LabError where the step cannot be traced, or where the run is older than the sizes in what it measured.
        """
        if "real_tokens" not in measured:
            raise LabError("this run did not write down the sizes of the batch that it measured: run it again to compare")
        exactly = {"real": measured["real_tokens"]}
        if "answer_tokens" in measured:
            exactly["said"] = (measured["longest_answer"], measured["answer_tokens"])
        sizes = (measured["batch"], measured["tokens"])
        path = self._path(order.key, order.plan.depths, *sizes, exactly)
        found = self._kept_answer(path)
        if found is None:
            with self._first():
                found = answered(order, self.recorded(order, *sizes, **exactly))
            self._keep_answer(path, found)
        return {"predicted": found, "error": found["peak_bytes"] / measured["peak_bytes"] - 1}

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._wanted.clear()
        self.tracer.close()

    # ── whose turn it is ──────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _first(self) -> Iterator[None]:
        """Somebody waits for this: fits in the making give way."""
        with self._lock:
            self._waited_for += 1
        try:
            yield
        finally:
            with self._lock:
                self._waited_for -= 1

    def _later(self, order: Order, batch: int, tokens: int) -> Deep:
        ends = time.monotonic() + LONGEST_WAY
        while self._waited_for and not self._closed and time.monotonic() < ends:
            time.sleep(0.02)
        return self.recorded(order, batch, tokens)

    # ── what is kept ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._worker = None
                    return
                _, order = self._wanted.popitem()  # the latest is the one somebody looks at
            with suppress(LabError, OSError):
                self.fit(order)

    def _holds(self, order: Order, fit: Fit, grid: list[tuple[int, int]]) -> bool:
        batch, tokens = order.spec.batch, order.tokens
        if (batch, tokens) in grid:
            tokens += grid[0][1]
        seen, guess = (answered(order, deep)["moments"] for deep in (self.recorded(order, batch, tokens), fit.at(batch, tokens)))
        return all(abs(one["bytes"] - two["bytes"]) <= TOLERANCE * one["bytes"] for one, two in zip(seen, guess, strict=True))

    def _fit(self, order: Order) -> Fit | None:
        name = self._fit_path(order).name
        with self._lock:
            if name in self._fits:
                self._fits.move_to_end(name)
                return self._fits[name]
        with suppress(OSError, EOFError, ValueError, KeyError, BadZipFile):  # a damaged file is made again
            path = self._fit_path(order)
            fit = Fit.read(path) if path.stat().st_size else None
            path.touch()
            self._remember(name, fit)
            return fit
        return None

    def _keep_fit(self, order: Order, fit: Fit | None) -> None:
        path = self._fit_path(order)
        with suppress(OSError):
            self._make_room(path.parent)
            if fit is None:
                path.touch()
            else:
                fit.write(path)
        self._remember(path.name, fit)

    def _remember(self, name: str, fit: Fit | None) -> None:
        with self._lock:
            self._fits[name] = fit
            while len(self._fits) > KEPT_FITS:
                self._fits.popitem(last=False)

    def _kept_answer(self, path: Path) -> dict[str, Any] | None:
        with suppress(OSError, ValueError):
            return json.loads(path.read_text(encoding="utf-8"))
        return None

    def _keep_answer(self, path: Path, found: dict[str, Any]) -> None:
        with suppress(OSError):
            self._make_room(path.parent)
            part = path.with_suffix(".part")
            part.write_text(json.dumps(found), encoding="utf-8")
            part.replace(path)

    def _fit_path(self, order: Order) -> Path:
        return self.folder / "fits" / f"{order.key}{'-one' if order.spec.batch == 1 else ''}.npz"

    def _answer_path(self, order: Order) -> Path:
        return self._path(order.key, order.plan.depths, order.spec.batch, order.tokens)  # the key says whether on a GPU; which one changes no tensor

    def _path(self, *about: Any) -> Path:
        return self.folder / "answers" / f"{hashlib.sha256(repr(about).encode()).hexdigest()[:32]}.json"

    def _make_room(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in files[:max(0, len(files) - KEPT_FILES)]:
            path.unlink(missing_ok=True)


