"""The Hugging Face Hub as a source: asked briefly whether it is there, then fetched from in a program of its own, so that it can be stopped."""
from __future__ import annotations

import os
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from lab.contracts import Unavailable
from lab.events import Preparing
from lab.supply.child import watched
from lab.supply.folders import remove, sha256_of

PROBE_SECONDS = 3.0
WEIGHTS = "model.safetensors"
WANTED = frozenset((
    "config.json", "generation_config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "chat_template.jinja",
))  # weights as safetensors only: no pickle, no code

FETCH = """
import sys
from huggingface_hub import snapshot_download
repository, commit, folder, *files = sys.argv[1:]
snapshot_download(repository, revision=commit, local_dir=folder, allow_patterns=files)
"""


@dataclass(frozen=True)
class Listing:
    """A repository as it is now: its commit and {file: (bytes, sha256 where the Hub tells it)}."""

    repository: str
    commit: str
    files: dict[str, tuple[int, str | None]]


def switched_off() -> bool:
    """Whether the environment asks to leave the Hub alone."""
    return any(os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def look(repository: str) -> Listing:
    """Raises Unavailable after three seconds: a name server that does not answer would hold a student for longer."""
    answers: SimpleQueue[Any] = SimpleQueue()
    Thread(target=lambda: answers.put(_ask(repository)), daemon=True).start()
    try:
        answer = answers.get(timeout=PROBE_SECONDS)
    except Empty:
        raise Unavailable(f"no answer within {PROBE_SECONDS:.0f} seconds") from None
    if isinstance(answer, Exception):
        raise Unavailable(f"not reachable ({type(answer).__name__})")
    files = {file.rfilename: (file.size or 0, file.lfs.sha256 if file.lfs else None) for file in answer.siblings or () if file.rfilename in WANTED}
    if not {"config.json", WEIGHTS} <= files.keys():
        raise Unavailable(f"{repository} has no config.json with one {WEIGHTS}")
    return Listing(repository, answer.sha, files)


def _ask(repository: str) -> Any:
    try:
        from huggingface_hub import HfApi

        return HfApi().model_info(repository, files_metadata=True, timeout=PROBE_SECONDS)
    except Exception as error:  # whatever goes wrong, the next source is tried
        return error


def fetch(listing: Listing, folder: Path, what: str) -> Generator[Preparing, None, None]:
    """Into `folder`, which keeps what an interrupted attempt had. Raises Unavailable with the reason."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", FETCH, listing.repository, listing.commit, str(folder.resolve()), *sorted(listing.files)]
    ended = yield from watched(command, folder, f"fetching {what} from the Hub", listing.files[WEIGHTS][0], {"HF_HUB_DISABLE_PROGRESS_BARS": "1"})
    if ended.code:
        raise Unavailable(f"stopped half-way: {ended.complaint[:300]}")
    expected, found = listing.files[WEIGHTS][1], sha256_of(folder / WEIGHTS)
    if expected not in (None, found):
        remove(folder)
        raise Unavailable(f"{WEIGHTS} was refused and not kept: expected sha256 {expected}, found {found}")
    for path in folder.iterdir():
        if path.name not in listing.files:
            remove(path)  # the Hub client's notes on its downloads
