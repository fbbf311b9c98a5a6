"""What goes to a person's account on the Hugging Face Hub: an adapter with its card, private and never over something public, or the lab as a Space.

The token is handed in with each call and kept nowhere: no store, no worker and no message ever has it.
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.contracts import LabError, Unavailable, shorten

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,78}[A-Za-z0-9])?")
MESSAGE = "Adapter trained in the PEFT Lab"
KEPT_BACK = ["*.partial", ".*"]


@dataclass(frozen=True)
class Pushed:
    """Where it lies now."""

    repository: str
    address: str
    commit: str


def push(folder: Path, name: str, token: str, endpoint: str | None = None) -> Pushed:
    """Raises LabError for what a person can put right, Unavailable where the Hub cannot be reached."""
    check_name(name)
    if not (folder / "README.md").is_file():
        raise LabError("this run left no adapter with a card: only a finished run has one")
    with _hub(token, endpoint, "try again later, or download the adapter") as hub:
        repository = f"{hub.whoami()['name']}/{name}"
        made = hub.create_repo(repository, private=True, exist_ok=True)
        if not hub.model_info(repository).private:
            raise LabError(f"name is {name}: {repository} is there already and public; choose another name, or make it private on the Hub")
        done = hub.upload_folder(repo_id=repository, folder_path=folder, commit_message=MESSAGE, ignore_patterns=KEPT_BACK)
    return Pushed(repository, str(made), done.oid)


def push_space(folder: Path, name: str, token: str, endpoint: str | None = None) -> Pushed:
    """Make the Space `name`, or `owner/name`, hold exactly what `lab.hosting.build` put into `folder`; a new one is private. Raises as `push`."""
    owner, _, short = name.rpartition("/")
    for part in (owner, short) if owner else (short,):
        check_name(part)
    missing = [file for file in ("README.md", "app.py", "requirements.txt") if not (folder / file).is_file()]
    if missing:
        raise LabError(f"{folder} has no {' and no '.join(missing)}: fill it with `python -m lab space build --out {folder}`")
    with _hub(token, endpoint, "try again later") as hub:
        repository = name if owner else f"{hub.whoami()['name']}/{name}"
        made = hub.create_repo(repository, repo_type="space", space_sdk="gradio", private=True, exist_ok=True)
        done = hub.upload_folder(repo_id=repository, repo_type="space", folder_path=folder, commit_message="The PEFT Lab", ignore_patterns=KEPT_BACK,
                                 delete_patterns="*")
    return Pushed(repository, str(made), done.oid)


@contextmanager
def _hub(token: str, endpoint: str | None, way_out: str) -> Iterator[Any]:
    """The Hub's client; its errors in words, with the way out where it does not work."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    try:
        yield HfApi(endpoint=endpoint, token=token)
    except HfHubHTTPError as error:
        raise _said(error.response.status_code if error.response is not None else 0, way_out) from None
    except Exception as error:
        if not isinstance(error, OSError) and not type(error).__module__.startswith("httpx"):  # its client's own, whose name differs between versions
            raise
        raise Unavailable(f"the Hub cannot be reached ({type(error).__name__}): {way_out}") from None


def check_name(name: str) -> None:
    if not NAME.fullmatch(name) or ".." in name or "--" in name or name.endswith((".git", ".ipynb")):
        raise LabError(f'name is "{shorten(name)}": must be 1 to 80 letters, digits, dots, hyphens and underscores, none of them doubled, like lora-movies')


def _said(status: int, way_out: str) -> LabError:
    if status in (401, 403):
        return LabError("the Hub does not take this sign-in for writing: sign in again, and allow the lab to make repositories")
    if status == 429:
        return LabError("the Hub takes no more from this account for now: try again in some minutes")
    return Unavailable(f"the Hub answered with error {status}: {way_out}")
