"""The tracing process: one line of JSON in, one out. It has no network, limited memory, and ends with whoever started it."""
from __future__ import annotations

import base64
import gc
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np


def main(budget_bytes: int) -> None:
    """Answers orders until the other side closes the pipe."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries print must not come between the answers
    if hasattr(os, "nice"):
        os.nice(5)
    _warm()
    gc.collect()
    gc.freeze()  # the libraries stay: looking through them again and again would take longer than a trace
    _limit(budget_bytes)
    answers.write(b'{"ready": true}\n')
    for line in sys.stdin.buffer:
        first, *more = json.loads(line)
        beside = [_beside(order) for order in more] if hasattr(os, "fork") else []  # one model and one with a block less take as long as the longer
        found = [_answered(first), *(_read(pipe) for pipe in beside)]
        answers.write(json.dumps(found + [_answered(order) for order in more[len(beside):]]).encode() + b"\n")


def _beside(order: dict[str, Any]) -> BinaryIO:
    """A copy of this process, with all that is warm in it, writes its answer into the pipe and ends; at the latest when this process ends."""
    read, write = os.pipe()
    if os.fork():
        os.close(write)
        return os.fdopen(read, "rb")
    try:
        with suppress(OSError, AttributeError):
            import ctypes

            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, where there is such a thing
        with os.fdopen(write, "wb") as pipe:
            pipe.write(json.dumps(_answered(order)).encode())
    finally:
        os._exit(0)


def _read(pipe: BinaryIO) -> dict[str, Any]:
    with pipe:
        written = pipe.read()
    with suppress(OSError, AttributeError):
        os.wait()
    return json.loads(written) if written else {"error": "a copy of the tracing process ended, probably for want of memory"}


def _answered(order: dict[str, Any]) -> dict[str, Any]:
    from lab.contracts import LabError
    from lab.engine.forecast.step import record
    from lab.spec import RunSpec

    try:
        recording = record(RunSpec.parse(order.pop("spec")), **order)
    except LabError as error:
        return {"refused": str(error)}
    except MemoryError:
        return {"error": "it needs more memory than the tracing process may take"}
    except Exception as error:  # of whatever library cannot work on tensors without memory
        return {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"[:300]}
    return {"outline": recording.described(), "numbers": base64.b85encode(recording.bytes.astype(np.float64).tobytes()).decode()}


def _warm() -> None:
    """Import what every order needs, and what libraries put off until they are first used."""
    import torch

    from lab.engine.forecast.step import record
    from lab.spec import RunSpec

    torch.set_num_threads(1)
    config = {"model_type": "llama", "num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 16}
    for method in ("lora", "full", "qlora"):
        record(RunSpec.parse({"model": {"config": config}, "method": method, "attention": "eager"}), 2, 8, "library", "cpu", 1)


def _limit(budget_bytes: int) -> None:
    """More memory becomes an error that can be told, not the system's kill."""
    try:
        import resource
    except ImportError:
        return
    status = Path("/proc/self/status")
    used = next((int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmData")), None) if status.exists() else None
    if used is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = used + budget_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


if __name__ == "__main__":
    main(int(sys.argv[1]))
