"""What is asked: a spec and a device, with everything that a run would choose by itself decided."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lab.accounting.devices import UNKNOWN_GPU, Device, device
from lab.accounting.memory import EIGHT_BITS
from lab.contracts import LabError
from lab.forecast.plan import Plan, plan, with_depths
from lab.spec import LARGEST_SPEC_BYTES, RunSpec

RECIPE = 3  # raise it when recordings change: older ones are then made anew
SHORT = 128  # tokens up to which the engine computes attention as plain products on a CPU (lab/engine/job.py; a test holds the two together)
NO_MATTER = ("steps", "lr", "warmup", "weight_decay", "seed", "train_items", "eval_items", "eval_every", "shuffle_labels", "device", "batch", "tokens")
SETTLED = 10  # a run of so many steps has a second one like any later one; of fewer, AdaLoRA takes ranks away before it knows any
LIBRARIES = ("torch", "transformers", "peft")


@dataclass(frozen=True)
class Order:
    """`spec` has its dtype and attention decided."""

    spec: RunSpec
    device: Device

    @classmethod
    def parse(cls, data: Any) -> Order:
        """From the dict form of a spec whose `device` may also name a GPU. Raises LabError."""
        wanted = data.get("device") if isinstance(data, Mapping) else None
        if wanted in (None, "auto", "cuda"):  # a GPU without a name has no known size
            return cls.of(RunSpec.parse(data), "cpu" if wanted != "cuda" else UNKNOWN_GPU)
        return cls.of(RunSpec.parse({**data, "device": "auto"}), wanted)

    @classmethod
    def read(cls, path: Path) -> Order:
        """From a file that holds a spec."""
        try:
            return cls.parse(RunSpec.read(path).to_dict())
        except LabError:
            data = _json(path)
            if isinstance(data, dict) and data.get("device") not in (None, "auto", "cpu", "cuda"):
                return cls.parse(data)
            raise

    @classmethod
    def of(cls, spec: RunSpec, wanted: Any = "cpu") -> Order:
        on = device(wanted)
        if not on.gpu and spec.optimizer in EIGHT_BITS:
            raise LabError(f"optimizer is {spec.optimizer}: its 8-bit states need a GPU, and this step is on the CPU; choose adamw, or a GPU as the device")
        changes: dict[str, Any] = {"device": "auto"}
        _ = spec.labels  # a number that is none is refused before anything is traced
        if 0 < spec.steps < SETTLED:
            changes["steps"] = SETTLED
        if spec.dtype == "auto":
            changes["dtype"] = "bfloat16" if on.gpu and (spec.task or not spec.method.trains_base) else "float32"
        if spec.attention == "auto":
            short = spec.task is not None and not on.gpu and spec.longest + spec.method.virtual_tokens_used() <= SHORT
            changes["attention"] = "eager" if short else "sdpa"
        return cls(RunSpec.parse(spec.to_dict() | changes), on)

    def changed(self, **changes: Any) -> Order:
        """The same with other settings. Raises LabError where they do not go together."""
        on = changes.pop("device", self.device.key)
        return Order.of(RunSpec.parse(self.spec.to_dict() | changes), on)

    @property
    def way(self) -> str:
        """With a task it is the lab's own run; a bare config is trained as the library alone does it, on every token."""
        return "lab" if self.spec.task else "library"

    @property
    def target(self) -> str:
        return "cuda" if self.device.gpu else "cpu"

    @property
    def tokens(self) -> int:
        return self.spec.longest

    @cached_property
    def plan(self) -> Plan:
        return plan(self.spec.method, self.config)

    @property
    def config(self) -> Mapping[str, Any]:
        return self.spec.model["config"] if isinstance(self.spec.model, Mapping) else self.spec.base.config

    def to_trace(self, depths: tuple[int, ...], batch: int, tokens: int, **exactly: Any) -> dict[str, Any]:
        """One order to the tracing process; `exactly` is what is known of one certain batch."""
        model = {"config": with_depths(self.config, depths)}
        if isinstance(self.spec.model, Mapping) and self.spec.labels:
            model["num_labels"] = self.spec.labels
        return {"spec": self.spec.to_dict() | {"model": model}, "batch": batch, "tokens": tokens, "way": self.way, "target": self.target,
                "tail": self.plan.tail, **exactly}

    @cached_property
    def key(self) -> str:
        """Names a recorded family: all that matters but batch, tokens and how many alike blocks there are."""
        about = {name: value for name, value in self.to_trace(self.plan.short, 0, 0)["spec"].items() if name not in NO_MATTER}
        kinds = (RECIPE, self.way, self.target, self.plan.short, self.plan.fewer, self.plan.tail, self.tokens - self.spec.tokens)
        text = json.dumps([about, kinds, _versions()], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def grid(self) -> list[tuple[int, int]]:
        """Batches and lengths to record for a fit. One text alone is a family of its own: copies that several need are left out there."""
        window = self.spec.shape.positions - self.spec.method.virtual_tokens_used()
        unit = max(2, min(64, window // 24 * 4))
        lengths = (unit, 2 * unit, 4 * unit) if self.spec.shape.kind != "vision" else (unit,)
        return [(batch, length) for batch in ((1,) if self.spec.batch == 1 else (2, 3)) for length in lengths]


@cache
def _versions() -> tuple[str, ...]:
    """Read from files, which takes longer than all else here."""
    return tuple(version(name) for name in LIBRARIES)


def _json(path: Path) -> Any:
    """None where the file cannot be read, which the spec's own reading tells better."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size <= LARGEST_SPEC_BYTES else None
    except (OSError, ValueError, RecursionError):
        return None
