"""One base for many tasks: a batch whose rows belong to different adapters and prompts, against one batch for each of them."""
from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab.contracts import knob
from lab.measurement import Gives, Measurement, Progress
from lab.measurements._trained import asked, trained
from lab.spec import RunSpec

METHODS = ("lora", "prompt_tuning")


class MixedBatch(Measurement):
    """Lester et al. 2021, figure 2: rows of several tasks in one batch. Every row has its own prompt or its own LoRA, and its own head. In float32; the
    difference is told as a share of the largest logit."""

    key = "mixed-batch"
    title = "Many tasks in one batch"
    about = ("Four LoRAs and four soft prompts are trained on four tasks. One batch with a text for each of the eight goes through one base; then each is "
             "asked alone. How far apart are the answers, how long does it take, and what must be stored?")
    source = "Lester et al. 2021, figure 2; mixed batches of adapters as in S-LoRA (Sheng et al. 2023)"
    gives = {
        "far": Gives("points", "largest difference of a logit, of the largest logit"),
        "speed": Gives("times", "time of one batch a task, as a multiple of that of the mixed batch, one text of each"),
        "base_bytes": Gives("bytes", "the base in memory"),
        "parts_bytes": Gives("bytes", "files of all eight trained parts together"),
        "whole_copies": Gives("times", "eight whole models, as a multiple of one base and eight parts"),
    }

    model: str = knob("minilm-l6", "base model")
    tasks: str = knob("movies products editorials tweets", "tasks, a word each")
    steps: int = knob(25, "training steps of each; what they learn does not matter here", low=1, high=500)
    calls: int = knob(15, "timed batches of each kind", low=4, high=25)

    def specs(self) -> dict[str, RunSpec]:
        return {f"run{place}": RunSpec.parse({"model": self.model, "task": task, "method": method, "steps": self.steps, "seed": place, "dtype": "float32",
                                              "eval_items": 20, "eval_every": 0})
                for place, (method, task) in enumerate((method, task) for method in METHODS for task in self.tasks.split())}

    def measure(self, workshop: Any) -> Generator[Progress, None, dict[str, Any]]:
        from lab.engine import Shelf, answer
        from lab.serving import THROUGHPUT, Gathering

        specs = self.specs()
        with TemporaryDirectory() as home:
            yield from trained(specs, workshop, Path(home), len(specs) + 1)
            yield len(specs), len(specs) + 1
            question = Gathering(runs=tuple(specs), texts=("A text.",) * len(specs), calls=self.calls, dtype="float32")
            seen = asked(answer(question, Path(home) / "run0", Shelf(workshop)), THROUGHPUT)
        return _told(seen, len(specs))


def _told(seen: dict[str, Any], runs: int) -> dict[str, Any]:
    base, parts = seen["storage"]["base"], sum(seen["storage"]["parts"])
    first = seen["sizes"][0]
    speed = first["apart"]["median"] / first["mixed"]["median"]
    spread = sum(((first[kind]["high"] - first[kind]["low"]) / 1.349 / first[kind]["median"]) ** 2 for kind in ("apart", "mixed")) ** 0.5
    values = {"far": [seen["far"], 0.0], "speed": [speed, 1.2533 * speed * spread / seen["calls"] ** 0.5], "base_bytes": [base, 0.0],
              "parts_bytes": [parts, 0.0], "whole_copies": [runs * base / (base + parts), 0.0]}
    rows = [[size["each"], size["texts"], size["mixed"]["median"], size["apart"]["median"]] for size in seen["sizes"]]
    return {"values": values, "columns": ["texts of each task", "texts in all", "seconds, one mixed batch", "seconds, one batch a task"], "rows": rows}


entry = MixedBatch
