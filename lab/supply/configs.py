"""The config of any model on the Hub, and nothing else of it: enough to count its parameters and to foretell its memory."""
from __future__ import annotations

import json
import re
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from lab.contracts import LabError, Unavailable, shorten
from lab.supply import hub

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96}")
LARGEST_BYTES = 1_000_000


def config_of(repository: Any) -> dict[str, Any]:
    """The config.json of `owner/name`, as anybody could have it: whoever hosts the lab lends no token to a visitor's wish.

    Raises LabError for what is no such name, Unavailable within seconds where the Hub or the file cannot be had.
    """
    if not isinstance(repository, str) or not NAME.fullmatch(repository) or ".." in repository:
        raise LabError(f'"{shorten(repository)}" names no model of the Hub: write it as owner/name, or paste the config itself')
    if hub.switched_off():
        raise Unavailable(f"{repository} was not asked for: this machine is set to leave the Hub alone. Paste the model's config.json instead")
    try:
        listing, _ = hub._listing("model", repository, "main", "config.json".__eq__, token=False)
    except Unavailable as error:
        raise Unavailable(f"the Hub cannot tell of {repository} now: {error}. Paste the model's config.json instead") from None
    size = listing.files.get("config.json", (0, None))[0]
    if not 0 < size <= LARGEST_BYTES:
        raise Unavailable(f"{repository} has {f'a config.json of {size:,} bytes: at most {LARGEST_BYTES:,}' if size else 'no config.json'}")
    found = _json(_within(hub.PROBE_SECONDS, repository, listing.commit), repository)
    if not isinstance(found, dict):
        raise LabError(f"the config.json of {repository} is no object of names and values")
    return found


def _json(text: bytes, repository: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise LabError(f"the config.json of {repository} is not JSON") from None


def _within(seconds: float, repository: str, commit: str) -> bytes:
    """A name server or a line that does not answer must not hold anybody for longer."""
    answers: SimpleQueue[Any] = SimpleQueue()
    Thread(target=lambda: answers.put(_fetched(repository, commit)), daemon=True).start()
    try:
        answer = answers.get(timeout=2 * seconds)
    except Empty:
        raise Unavailable(f"the config of {repository} did not come within {2 * seconds:.0f} seconds") from None
    if isinstance(answer, Exception):
        raise Unavailable(f"the config of {repository} did not come ({type(answer).__name__})")
    return answer


def _fetched(repository: str, commit: str) -> Any:
    from io import BytesIO

    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    file = BytesIO()
    try:
        http_get(hf_hub_url(repository, "config.json", revision=commit), file, headers=build_hf_headers(token=False))
    except Exception as error:  # whatever goes wrong is told
        return error
    return file.getvalue()[:LARGEST_BYTES]
