"""The Hugging Face Hub as a source: asked briefly whether it is there, then fetched from in a program of its own, so that it can be stopped."""
from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Literal

from lab.contracts import HubData, Unavailable
from lab.events import Preparing
from lab.supply.child import watched
from lab.supply.folders import fresh, remove, sha256_of

PROBE_SECONDS = 3.0
WEIGHTS = "model.safetensors"
WANTED = frozenset((
    "config.json", "generation_config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "spiece.model", "tokenizer.model", "chat_template.jinja",
))  # weights as safetensors only: no pickle, no code
TOKENIZERS = (("tokenizer.json",), ("vocab.txt",), ("vocab.json", "merges.txt"))  # one of these is enough to make a tokenizer of

NOTE = "commit.txt"  # in a folder of files that are still arriving

# The client's own snapshot_download throws a half-fetched file away when it stops; this one goes on with it, the next day if need be.
FETCH = """
import json, sys
from pathlib import Path
from huggingface_hub import hf_hub_url
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers
kind, repository, commit, folder, sizes = sys.argv[1:]
for name, size in json.loads(sizes).items():
    whole = Path(folder, name)
    if not whole.exists():
        whole.parent.mkdir(parents=True, exist_ok=True)
        part = whole.with_name(whole.name + ".part")
        with part.open("ab") as file:
            if file.tell() > size:
                file.truncate(0)
            if file.tell() < size or not size:
                url = hf_hub_url(repository, name, repo_type=kind, revision=commit)
                http_get(url, file, resume_size=file.tell(), headers=build_hf_headers(), expected_size=size or None)
        part.rename(whole)
"""


@dataclass(frozen=True)
class Listing:
    """A repository as it is now: its commit and {file: (bytes, sha256 where the Hub tells it)}, of the files that are wanted."""

    kind: Literal["model", "dataset"]
    repository: str
    commit: str
    files: dict[str, tuple[int, str | None]]


def switched_off() -> bool:
    """Whether the environment asks to leave the Hub alone."""
    return any(os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def look(repository: str) -> Listing:
    """What to fetch of a model. Raises Unavailable, naming what is missing."""
    listing, others = _listing("model", repository, "main", WANTED.__contains__)
    missing = [name for name in ("config.json", WEIGHTS) if name not in listing.files]
    if not any(listing.files.keys() >= set(names) for names in TOKENIZERS):
        missing.append("tokenizer: " + ", or ".join(" with ".join(names) for names in TOKENIZERS))
    if missing:
        raise Unavailable(f"{repository} has no {', and no '.join(missing)}{_pickled(others) if WEIGHTS in missing else ''}")
    return listing


def _pickled(others: list[str]) -> str:
    """Why files that do hold weights are of no use."""
    parts = [name for name in others if name.endswith((".safetensors", ".safetensors.index.json"))]
    pickles = [name for name in others if name.endswith((".bin", ".pt", ".ckpt", ".h5", ".msgpack"))]
    if parts:
        return f" (its weights lie in several parts, and the lab reads models of one file: {parts[0]})"
    return f" ({pickles[0]} is not read: such a file can run code)" if pickles else ""


def look_for_data(data: HubData) -> Listing:
    """What to fetch of a data set: Parquet files and nothing else. Raises Unavailable where a split has none."""
    def wanted(name: str) -> bool:
        return name.endswith(".parquet") and any(fnmatch(name, glob) for glob in data.files.values())

    listing, others = _listing("dataset", data.repository, data.revision, wanted)
    absent = [glob for glob in data.files.values() if not any(fnmatch(name, glob) for name in listing.files)]
    if absent:
        found = ", ".join([*listing.files, *others][:6]) or "nothing"
        raise Unavailable(f"{data.repository} has no Parquet file {' and no '.join(absent)} in {data.revision}; there is {found}")
    return listing


def _listing(kind: Literal["model", "dataset"], repository: str, revision: str, wanted: Callable[[str], bool],
             token: bool | None = None) -> tuple[Listing, list[str]]:
    """And the names of the other files; `token` False asks without the host's.

    Raises Unavailable after three seconds: a name server that does not answer would hold a student for longer.
    """
    from huggingface_hub import HfApi  # before the clock starts: a busy machine takes a second or two for it

    answers: SimpleQueue[Any] = SimpleQueue()
    Thread(target=lambda: answers.put(_ask(HfApi(token=token), kind, repository, revision)), daemon=True).start()
    try:
        answer = answers.get(timeout=PROBE_SECONDS)
    except Empty:
        raise Unavailable(f"no answer within {PROBE_SECONDS:.0f} seconds") from None
    if isinstance(answer, Exception):
        raise Unavailable(f"not reachable ({type(answer).__name__})")
    siblings = [file for file in answer.siblings or () if ".." not in PurePosixPath(file.rfilename).parts]
    files = {file.rfilename: (file.size or 0, file.lfs.sha256 if file.lfs else None) for file in siblings if wanted(file.rfilename)}
    return Listing(kind, repository, answer.sha, files), [file.rfilename for file in siblings if file.rfilename not in files]


def _ask(api: Any, kind: str, repository: str, revision: str) -> Any:
    try:
        return api.repo_info(repository, repo_type=kind, revision=revision, files_metadata=True, timeout=PROBE_SECONDS)
    except Exception as error:  # whatever goes wrong, the next source is tried
        return error


def fetch(listing: Listing, folder: Path, what: str) -> Generator[Preparing, None, Path]:
    """Into `folder`, which keeps what an interrupted attempt had, and is returned. Raises Unavailable with the reason."""
    _go_on(folder, f"{listing.repository} {listing.commit}")
    sizes = {name: size for name, (size, _) in sorted(listing.files.items())}
    command = [sys.executable, "-c", FETCH, listing.kind, listing.repository, listing.commit, str(folder.resolve()), json.dumps(sizes)]
    ended = yield from watched(command, folder, f"fetching {what} from the Hub", max(sizes.values()), {"HF_HUB_DISABLE_PROGRESS_BARS": "1"})
    if ended.code:
        raise Unavailable(f"stopped half-way, what has arrived is kept: {re.sub(r'https?://[^ ]+', 'the Hub', ended.complaint)[:300]}")
    for name, (size, expected) in listing.files.items():
        found = sha256_of(folder / name) if expected else (folder / name).stat().st_size
        if found != (expected or size):
            remove(folder)
            raise Unavailable(f"{name} was refused and not kept: expected {'sha256' if expected else 'bytes'} {expected or size}, found {found}")
    (folder / NOTE).unlink()
    return folder


def _go_on(folder: Path, source: str) -> None:
    """Files of another commit are of no use."""
    note = folder / NOTE
    if not note.exists() or note.read_text(encoding="utf-8") != source:
        fresh(folder)
        note.write_text(source, encoding="utf-8")
