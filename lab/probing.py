"""Which model takes which method: every method tried on every seeded model, and the table of what came of it, which the page shows.

    python -m lab.probing [--methods KEY …] [--models KEY …] [--again] [--out FILE]

A pair is built, trained for two steps, asked to write where the model writes, saved, loaded into a fresh base, and merged where that can be done. What a
method itself refuses is not tried: its reason is kept. Each pair is written down at once, and one that was tried with the same library versions is passed over,
so that a stopped search goes on where it was.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab import catalogue
from lab.accounting.shapes import shape_of
from lab.contracts import LabError, Method, Model
from lab.spec import RunSpec
from lab.waiting import spin_briefly

DECLARED = "declared"  # how a refusal was found: the method says so itself
TASKS = {"encoder": "toy", "vision": "digits", "decoder": "new_facts", "seq2seq": "new_facts"}
STEPS = 2  # a method that starts as the base often feels only half of its tensors at the first step: LoRA's A waits for B
LIBRARIES = ("peft", "torch", "transformers")
ROUNDED = 1e-4  # of the largest number: the loaded model runs its products in another order
MERGED = 1e-5
OPTIONAL = ("reason", "latency")
Pair = tuple[str, str]  # method, model


@dataclass(frozen=True)
class Probed:
    """What came of one pair. `how`: the steps that were done, or `declared`; `latency`: what answering with it costs beside the base alone."""

    ok: bool
    how: tuple[str, ...]
    versions: Mapping[str, str]
    reason: str = ""
    latency: str = ""


# ── the stored table ──────────────────────────────────────────────────────────────────────────────────────────────────


def table() -> Path:
    return Path(__file__).parents[1] / "assets" / "capabilities.json"


def read(path: Path) -> dict[Pair, Probed]:
    """Empty where there is no table yet."""
    if not path.exists():
        return {}
    stored = json.loads(path.read_text(encoding="utf-8"))
    return {(method, model): Probed(each["ok"], tuple(each["how"].split()), stored["versions"][each["versions"]], *(each.get(key, "") for key in OPTIONAL))
            for method, row in stored["pairs"].items() for model, each in row.items()}


def write(path: Path, found: Mapping[Pair, Probed]) -> None:
    """Sorted, one pair a line; whole or not at all."""
    versions = sorted({json.dumps(each.versions, sort_keys=True) for each in found.values()})
    rows: dict[str, list[str]] = {}
    for (method, model), each in sorted(found.items()):
        about: dict[str, Any] = {"ok": each.ok, "how": " ".join(each.how), "versions": versions.index(json.dumps(each.versions, sort_keys=True))}
        about |= {name: value for name in OPTIONAL if (value := getattr(each, name))}
        rows.setdefault(method, []).append(f"  {json.dumps(model)}: {json.dumps(about, ensure_ascii=False)}")
    pairs = ",\n".join(f" {json.dumps(method)}: {{\n" + ",\n".join(lines) + "\n }" for method, lines in rows.items())
    text = f'{{"versions": [{", ".join(versions)}],\n"pairs": {{\n{pairs}\n}}}}\n'
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def seeded() -> list[str]:
    return [key for key, model in catalogue.entries("models").items() if model.seeded]


def kin(model: Model) -> str | None:
    """The seeded model of the same architecture, on which methods are tried in its place; None where there is none."""
    kind = model.config["model_type"]
    return next((key for key in seeded() if catalogue.find("models", key).config["model_type"] == kind), None)


def pairs(methods: Iterable[str] = (), models: Iterable[str] = ()) -> list[Pair]:
    """Model by model, so that a base is loaded once."""
    return [(method, model) for model in (list(models) or seeded()) for method in (list(methods) or catalogue.entries("methods"))]


def libraries() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


# ── trying ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def probe(method: type[Method], model: Model, workshop: Any) -> Probed:
    """Declared, or tried until a step fails; the reason of a failure names the step."""
    support = method().supports(shape_of(model.config))
    if not support.ok:
        return Probed(False, (DECLARED,), libraries(), support.reason)
    done: list[str] = []
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries warn of what is found out here anyway
        trial = _Trial(method, model, workshop, Path(folder))
        try:
            for step in trial.steps():
                if getattr(trial, step)():
                    done.append(step)
        except Exception as error:
            return Probed(False, tuple(done), libraries(), f"{step} failed: {type(error).__name__}: {error}")
    return Probed(True, tuple(done), libraries(), latency=trial.latency)


class _Trial:
    """One method on one model. Each step returns whether there was something to do, and raises where the method breaks its word."""

    def __init__(self, method: type[Method], model: Model, workshop: Any, folder: Path) -> None:
        settings = {"dtype": "float32", "batch": 4, "eval_items": 8, **({} if "steps" in method.fixed else {"steps": STEPS})}
        self.spec = RunSpec.parse({"model": model.key, "method": method(), "task": TASKS[model.kind], **settings})
        self.workshop, self.folder = workshop, folder

    def steps(self) -> tuple[str, ...]:
        return ("attach", "train", "write", "save", "load", "merge")

    def attach(self) -> bool:
        wanted = self.spec.counts.method
        found = sum(weight.numel() for weight in self.job.trained())
        if found != wanted:
            raise LabError(f"{found:,} numbers train, and {wanted:,} are declared")
        return True

    def train(self) -> bool:
        """Two steps as the loop makes them; every declared tensor is reached by a gradient."""
        if not self.spec.steps:
            return False
        job, method, reached = self.job, self.spec.method, set()
        groups = method.groups(job.module, self.spec.lr)
        if job.learner.head is not None:
            groups.append({"params": list(job.learner.head.parameters()), "lr": method.head_rate(self.spec.lr)})
        optimizer = method.optimizer(job.module, groups, 0.0) or self._adam(groups)
        job.module.train()
        for step in range(1, STEPS + 1):
            method.before_step(job.module, step)
            self._loss(step).backward()
            reached |= {name for name, weight in job.module.named_parameters() if weight.grad is not None and bool(weight.grad.any())}
            optimizer.step()
            method.after_step(job.module, step)
            optimizer.zero_grad()
        job.module.eval()
        unfelt = {name for name, weight in job.module.named_parameters() if weight.requires_grad} - reached
        if method.trains_base:
            unfelt -= self._never_felt()
        if unfelt:
            raise LabError(f"no gradient reached {', '.join(sorted(unfelt)[:3])}")
        return True

    def write(self) -> bool:
        if not self.spec.shape.writes:
            return False
        self.texts = self._written(self.job.module)
        return True

    def save(self) -> bool:
        self.spec.method.format.save(self.job.module, self.folder)
        return True

    def load(self) -> bool:
        """Into an untouched base, which then answers the same."""
        self.numbers, self.loaded = self._numbers(self.job.module), self.spec.method.format.load(self._base(), self.folder).eval()
        far = self._distance(self.loaded)
        if far > ROUNDED:
            raise LabError(f"loaded it answers otherwise, by {far:.1e} of the largest number")
        if self.spec.shape.writes and self._written(self.loaded) != self.texts:
            raise LabError("loaded it writes another text")
        return True

    def merge(self) -> bool:
        """Whether it becomes part of the base's own weights without changing an answer. Raises where the method promises so and it does not."""
        import copy

        self.merged, promised = None, self.spec.method.merges
        if not self.spec.steps or not hasattr(self.job.module, "merge_and_unload"):
            if promised:
                raise LabError("it promises to merge, and there is nothing that merges it")
            return False
        try:
            merged = copy.deepcopy(self.job.module).merge_and_unload()
            far = self._distance(merged)
            if hasattr(self.loaded, "merge_and_unload"):  # the trained one runs on the lab's own fast blocks, merged or not
                merged = copy.deepcopy(self.loaded).merge_and_unload()
                far = max(far, self._distance(merged))
        except Exception:
            if promised:
                raise
            return False
        if far > MERGED and promised:
            raise LabError(f"merged it answers otherwise, by {far:.1e} of the largest number")
        self.merged = merged if far <= MERGED else None
        return self.merged is not None

    @property
    def latency(self) -> str:
        """Counted in tensor operations and in the numbers they give: what is there beside the base's own, as loaded and as merged."""
        alone = self._work(self.job.pristine.module, self.plain)
        if self._work(self.loaded, self.rows) == alone:
            return "none"
        return "until merged" if self.merged is not None and self._work(self.merged, self.rows) == alone else "always"

    @cached_property
    def job(self) -> Any:
        from lab.engine.job import prepare

        return _finished(prepare(self.spec, self.workshop))

    @cached_property
    def rows(self) -> list[Any]:
        """Items with their answers, as the method has them read."""
        return self.job.texts.validation[:8]

    @cached_property
    def plain(self) -> list[Any]:
        """The same without what a method puts in front of them."""
        from lab.engine.texts import Reader

        reader, task = self.job.reader, self.spec.goal
        items = self.job.data.splits.validation[:8]
        return Reader(reader.tokenizer, reader.kind, task, reader.tokens, reader.window).encode(items, task.writes)

    def _base(self) -> Any:
        from lab.engine import bases

        module = bases.fresh(self.job.pristine)
        bases.unshare(module, self.job.pristine, everything=True)
        return module

    def _adam(self, groups: list[dict[str, Any]]) -> Any:
        from torch.optim import AdamW

        return AdamW([group for group in groups if group["params"]] or [{"params": []}])

    def _loss(self, step: int) -> Any:
        from torch import isfinite

        rows = self.job.texts.train[4 * step - 4:4 * step]
        loss, penalty = self.job.learner.loss(self.job.batch(rows)), self.spec.method.penalty(self.job.module)
        loss = loss if penalty is None else loss + penalty
        if not isfinite(loss):
            raise LabError(f"the loss of step {step} is {float(loss)}")
        return loss

    def _never_felt(self) -> set[str]:
        """Weights of the base that no gradient reaches even where all of it trains: patches of an image have no mask, for instance."""
        from lab.engine.job import attached

        job = self.job
        full = RunSpec.parse({**self.spec.to_dict(), "method": "full", "quantization": None})
        learner = attached(full, job.pristine, job.reader, job.device, job.workshop.kept(job.pristine, job.dtype))
        learner.loss(job.batch(job.texts.train[:8])).backward()
        return {name for name, weight in learner.module.named_parameters() if weight.grad is None or not weight.grad.any()}

    def _numbers(self, module: Any, rows: list[Any] | None = None) -> Any:
        """Logits of a few items, by this module."""
        from torch import no_grad

        learner, batch = self.job.learner, self.job.batch(self.rows if rows is None else rows)
        kept, learner.module = learner.module, module.eval()
        try:
            with no_grad():
                return learner.logits(batch)[0] if self.spec.shape.writes else learner.scores(batch)
        finally:
            learner.module = kept

    def _distance(self, module: Any) -> float:
        return float((self._numbers(module) - self.numbers).abs().max() / self.numbers.abs().max())

    def _written(self, module: Any) -> list[str]:
        from lab.engine import decoding

        prompts, how = [row.ids for row in self.job.texts.test[:2]], decoding.Decoding(4)
        return _finished(decoding.written(module, self.job.reader.tokenizer, prompts, how, self.job.device, self.spec.shape.kind))

    def _work(self, module: Any, rows: list[Any]) -> tuple[int, int]:
        """Tensor operations behind the answers to these rows, and how many numbers they give; views are free."""
        from torch import Tensor
        from torch.utils._python_dispatch import TorchDispatchMode

        class Counting(TorchDispatchMode):
            operations = numbers = 0

            def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), more: Any = None) -> Any:
                given = operation(*arguments, **(more or {}))
                if not getattr(operation, "is_view", False):
                    self.operations += 1
                    self.numbers += given.numel() if isinstance(given, Tensor) else 0
                return given

        with Counting() as seen:
            self._numbers(module, rows)
        return seen.operations, seen.numbers


def _finished(generator: Any) -> Any:
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


# ── the command ───────────────────────────────────────────────────────────────────────────────────────────────────────


def fill(path: Path, wanted: Iterable[Pair], workshop: Any, again: bool = False) -> dict[Pair, Probed]:
    """Probe what is not in the table, or no longer as it stands there, and write each pair down at once."""
    known = [(method, model) for method in catalogue.entries("methods") for model in seeded()]
    found = {pair: each for pair, each in read(path).items() if pair in known}  # what the catalogue no longer has is left out
    for pair in wanted:
        if again or not _current(pair, found.get(pair)):
            found[pair] = probe(catalogue.find("methods", pair[0]), catalogue.find("models", pair[1]), workshop)
            write(path, found)
            print(f"{pair[0]} on {pair[1]}: {' '.join(found[pair].how)} {found[pair].reason}", file=sys.stderr)
    return found


def _current(pair: Pair, known: Probed | None) -> bool:
    if known is None:
        return False
    support = catalogue.find("methods", pair[0])().supports(shape_of(catalogue.find("models", pair[1]).config))
    if not support.ok:
        return known.how == (DECLARED,) and known.reason == support.reason
    return known.ok and dict(known.versions) == libraries()


def main() -> int:
    spin_briefly(os.environ)
    from lab.engine import Workshop
    from lab.supply import default_cache

    parser = argparse.ArgumentParser(prog="python -m lab.probing", description="Try every method on every seeded model and keep what came of it.")
    parser.add_argument("--methods", nargs="*", default=(), metavar="KEY")
    parser.add_argument("--models", nargs="*", default=(), metavar="KEY", help="seeded ones")
    parser.add_argument("--again", action="store_true", help="also what was tried with the same library versions before")
    parser.add_argument("--out", type=Path, default=table())
    options = parser.parse_args()
    wanted = pairs(options.methods, options.models)
    try:
        found = fill(options.out, wanted, Workshop(default_cache()), options.again)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    failed = [pair for pair in wanted if not found[pair].ok and found[pair].how != (DECLARED,)]
    print(f"{sum(found[pair].ok for pair in wanted)} pairs work, {len(failed)} fail, the rest is refused by the method", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
