"""GPUs by name, with the memory they are sold with, and what a step takes beside its tensors."""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lab.contracts import LabError, shorten

GB = 10**9
CONTEXT_BYTES = 600_000_000  # CUDA's own, before the first tensor: 0.3 to 0.6 GB
RESERVED, RESERVED_MOST = 1.02, 1.08  # of the allocated bytes: the middle of 52 published runs, and the most seen

BEFORE_AMPERE = ("NVIDIA T4",)


@dataclass(frozen=True)
class Device:
    """Where a step is imagined. `bytes` in decimal GB, as sold, which some cards exceed by a few percent; 0 where nothing is known."""

    key: str
    bytes: int = 0
    watts: int = 0  # board power at full load
    teraflops: float = 0.0  # dense, 16-bit, as the maker prints it

    @property
    def halves(self) -> str:
        """The 16-bit format that its matrix units have: bfloat16 came with Ampere."""
        return "float16" if self.key in BEFORE_AMPERE else "bfloat16"

    @property
    def gpu(self) -> bool:
        return self.key != "cpu"

    def to_dict(self) -> dict[str, Any]:
        return {"key": self.key, "bytes": self.bytes, "watts": self.watts, "teraflops": self.teraflops}


CPU = Device("cpu", 0, 65, 0.5)
UNKNOWN_GPU = Device("cuda", 0, 300, 100)
GPUS = tuple(Device(f"NVIDIA {name}", size * GB, watts, teraflops) for name, size, watts, teraflops in (
    ("T4", 16, 70, 65), ("L4", 24, 72, 121), ("A10G", 24, 150, 70), ("GeForce RTX 3090", 24, 350, 71), ("GeForce RTX 4090", 24, 450, 165),
    ("RTX A5000", 24, 230, 111), ("A100 40GB", 40, 400, 312), ("L40S", 48, 350, 362), ("RTX A6000", 48, 300, 155), ("A100 80GB", 80, 400, 312),
    ("H100 80GB", 80, 700, 989), ("RTX PRO 6000", 96, 600, 500), ("H200", 141, 700, 989),
))
OWN = re.compile(r"^(?:my gpu:?\s*)?(\d+(?:\.\d+)?)\s*gb$", re.IGNORECASE)


def device(wanted: Any) -> Device:
    """`cpu`, a GPU of the list by its name or a part of it that is no other's (`L40S`, `A100 80GB`, `H100`), or `N GB`."""
    if isinstance(wanted, Device):
        return wanted
    text = " ".join(str(wanted).split()) if isinstance(wanted, str) else ""
    if text.lower() == "cpu":
        return CPU
    own = OWN.match(text)
    if own and 0 < float(own[1]) <= 10_000:
        return Device(f"{float(own[1]):g} GB", int(float(own[1]) * GB), 300, 100)
    if text.lower() == "cuda":
        return UNKNOWN_GPU
    found = _named(text)
    if len(found) > 1:
        raise LabError(f'device is "{shorten(wanted)}": there is more than one, {" and ".join(gpu.key for gpu in found)}; name the one that is meant')
    if not found:
        raise LabError(f'device is "{shorten(wanted)}": use cpu, one of {", ".join(gpu.key for gpu in GPUS)}, or the size of your GPU such as "12 GB"')
    return found[0]


def largest_bytes(name: str) -> int:
    """Memory of the GPU that a name may stand for, of several the largest one's; 0 where none of the list is meant."""
    return max((gpu.bytes for gpu in _named(" ".join(name.split()))), default=0)


def _named(text: str) -> list[Device]:
    """By the last words of the name, however they are spaced; else by some of its words, so that H100 is found and A10 is not an A100."""
    words = set(text.lower().split())
    ends = [gpu for gpu in GPUS if words and _plain(text) in _tails(gpu.key.split())]
    return ends or [gpu for gpu in GPUS if words and words <= set(gpu.key.lower().split())]


def _tails(words: list[str]) -> set[str]:
    return {_plain("".join(words[begin:])) for begin in range(len(words))}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def reserved(peak_bytes: int) -> dict[str, int]:
    """What torch takes from the GPU for an allocated peak: usually, and at most."""
    return {"reserved_bytes": round(peak_bytes * RESERVED), "reserved_most_bytes": round(peak_bytes * RESERVED_MOST)}


def fits(peak_bytes: int, on: Device) -> str:
    """`fits`, `tight` (only if torch's allocator wastes no more than usual) or `too_large`; nothing for a GPU of unknown size."""
    if not on.bytes:
        return ""
    room = on.bytes - CONTEXT_BYTES
    taken = reserved(peak_bytes)
    if taken["reserved_most_bytes"] <= room:
        return "fits"
    return "tight" if taken["reserved_bytes"] <= room else "too_large"
