"""What a machine of a cluster does with a job: it has none of the lab's folders, so all that a job needs comes with it, and what it leaves goes back.

No Ray here: a job is a plain generator, and whatever brings it to a machine brings home what it yields.
"""
from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab.contracts import LabError
from lab.events import ENDS, to_json
from lab.serving import KIND

Told = tuple[str, Any]  # ("event", a line of JSON) or ("files", {path in the run's folder: bytes})
MOST_BYTES = 2_000_000_000  # of what a run leaves: the adapter


def packed(folder: Path) -> bytes:
    """All files below a folder, as one zip; nothing where it is not there."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    return whole.getvalue()


def unpacked(data: bytes, folder: Path) -> None:
    """Raises LabError for names that lead out of the folder, and for more than MOST_BYTES."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(each.file_size for each in archive.infolist()) > MOST_BYTES:
            raise LabError(f"a run left more than {MOST_BYTES:,} bytes")
        for each in archive.infolist():
            target = (folder / each.filename).resolve()
            if not target.is_relative_to(folder.resolve()):
                raise LabError(f'a run left a file "{each.filename}" outside its folder')
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(each))


def job(kind: str, spec_json: str, run: str, sent: Mapping[str, bytes], threads: int) -> Iterator[Told]:
    """Do a run, a look or a question. `sent`: {folder below the lab's: zip}, the runs that are looked into or asked, and uploaded sets; `run` names the
    folder that a training fills. The last event comes behind the files, so that who sees the end finds them."""
    import torch

    torch.set_num_threads(threads)
    with TemporaryDirectory(prefix="peft-lab-") as name:
        home = Path(name)
        for place, data in sent.items():
            unpacked(data, home / place)
        os.environ["LAB_DATA"] = str(home)  # where uploaded sets lie
        for event in _works(threads)[kind](spec_json, home / "runs" / run):
            if isinstance(event, ENDS) and kind == "train":
                yield "files", packed(home / "runs" / run)
            yield "event", to_json(event)


@cache
def _works(threads: int) -> dict[str, Callable[[str, Path], Iterator[Any]]]:
    """What this process can do; bases stay warm between jobs."""
    from lab.engine import Shelf, Workshop, answer, look, train
    from lab.lens import Look
    from lab.serving import asked
    from lab.spec import RunSpec
    from lab.supply import default_cache

    workshop = Workshop(default_cache())
    shelf = Shelf(workshop)
    return {
        "train": lambda spec, out: train(RunSpec.from_json(spec), workshop, out=out),
        "look": lambda spec, out: look(Look.from_json(spec), out, workshop),
        KIND: lambda spec, out: answer(asked(spec), out, shelf),
    }
