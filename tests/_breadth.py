"""Which of the many pairs a pass of all tests takes. What every method does on its own kind of model is tested always; of the rest, a spread."""
from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

WHOLE = bool(os.environ.get("LAB_WHOLE"))  # every pair there is: an hour more on two slow cores
DECODES_QUICKLY = "avx512_bf16" in Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else False  # without it a run takes five times as long
REAL = ("minilm-l6", "smollm2-135m") if WHOLE or DECODES_QUICKLY else ("minilm-l6",)  # on which what takes several runs' time is tested
ALWAYS = ("seed-bert", "seed-llama")
OF_EACH_FAMILY = ("full", "lora", "houlsby", "prompt_tuning")


def spread(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Of these (method, model): all on an encoder and a decoder, one method of each family on every model, and every tenth of what is left."""
    pairs = list(pairs)
    rest = [pair for pair in pairs if pair[1] not in ALWAYS and pair[0] not in OF_EACH_FAMILY]
    left_out = set() if WHOLE else set(rest) - set(rest[::10])
    return [pair for pair in pairs if pair not in left_out]
