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
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab import catalogue
from lab.accounting.shapes import shape_of
from lab.contracts import LabError, Method, Model
from lab.waiting import spin_briefly

DECLARED = "declared"  # how a refusal was found: the method says so itself
LIBRARIES = ("peft", "torch", "transformers")
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
    from lab.engine.trial import Trial

    done: list[str] = []
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries warn of what is found out here anyway
        trial = Trial(method, model, workshop, Path(folder))
        try:
            for step in trial.steps():
                if getattr(trial, step)():
                    done.append(step)
        except Exception as error:
            return Probed(False, tuple(done), libraries(), f"{step} failed: {type(error).__name__}: {error}")
    return Probed(True, tuple(done), libraries(), latency=trial.latency)


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
