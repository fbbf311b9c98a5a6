"""Run a program that fetches files, watch its folder grow, and end it when nobody waits for it any more."""
from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from lab.events import Preparing

LOOK_SECONDS = 0.25  # at most four events a second …
QUIET_SECONDS = 1.0  # … and one a second while nothing moves, so that whoever listens can stop
STALLED_SECONDS = 300.0


@dataclass(frozen=True)
class Ended:
    code: int
    output: str

    @property
    def complaint(self) -> str:
        """The last line that reports an error, or the last line at all."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else f"it ended with code {self.code}")


def watched(command: Sequence[str], folder: Path, what: str, total_bytes: int, settings: Mapping[str, str]) -> Generator[Preparing, None, Ended]:
    """Run `command` in `folder`, its temporary files there as well; progress is the largest file's size."""
    temporary = {name: str(folder) for name in ("TMPDIR", "TEMP", "TMP")}
    child = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, **temporary, **settings}, start_new_session=True,
    )
    said: list[bytes] = []  # through a pipe, not a file: a program that complains of a full disk is heard as well
    listener = Thread(target=lambda: said.extend(child.stdout), daemon=True)
    listener.start()
    try:
        stalled = yield from _watch(child, folder, what, total_bytes)
    finally:
        _end(child)
        listener.join(5)  # a program of the child's own may hold the pipe for longer
        if not listener.is_alive():
            child.stdout.close()
    text = b"".join(said).decode("utf-8", errors="replace")
    return Ended(child.returncode, f"{text}\nerror: no byte came for {STALLED_SECONDS:.0f} seconds" if stalled else text)


def _watch(child: subprocess.Popen[bytes], folder: Path, what: str, total_bytes: int) -> Generator[Preparing, None, bool]:
    """Returns whether the child had to be given up."""
    yield Preparing(what, 0, total_bytes)
    seen, moved, told = 0, time.monotonic(), time.monotonic()
    while child.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            child.wait(LOOK_SECONDS)
        now, size = time.monotonic(), _largest(folder)
        if size != seen or now - told >= QUIET_SECONDS:
            moved, told = (now if size != seen else moved), now
            seen = size
            yield Preparing(what, min(size, total_bytes) if total_bytes else size, total_bytes)
        if now - moved > STALLED_SECONDS:
            return True
    return False


def _largest(folder: Path) -> int:
    """Files come and go while this looks; what is fetched is never a text, only our own notes are."""
    largest = 0
    for place, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".txt"):
                continue
            with suppress(OSError):
                largest = max(largest, os.stat(os.path.join(place, name)).st_size)  # noqa: PTH116, PTH118 a deep tree, four times a second
    return largest


def _end(child: subprocess.Popen[bytes]) -> None:
    """The child and what it started itself (pip builds source archives in programs of their own)."""
    if child.poll() is None:
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(child.pid, signal.SIGKILL)
            else:
                child.kill()
        child.wait()
