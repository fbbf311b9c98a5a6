"""How much of the base's arrangement of words each method leaves, layer by layer: linear CKA of the trained model's states with the untouched one's."""
from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

from lab.contracts import knob
from lab.measurement import Gives, Measurement, Progress
from lab.measurements._trained import last, over_seeds, trained
from lab.spec import RunSpec

METHODS = {"houlsby": "adapters", "lora": "LoRA", "prompt_tuning": "prompt tuning", "full": "full fine-tuning"}
ITEMS = 100


class LikeTheBase(Measurement):
    """He et al. 2021, section 3 and figure 2, who take RSA; linear CKA is that of Kornblith et al. 2019. Mean over the blocks, each method at its own
    default learning rate."""

    key = "like-the-base"
    title = "How like the base each method leaves it"
    about = ("Four methods learn the same texts. Then the states behind each block are compared with the untouched model's, for the same words: 1 is the same "
             "arrangement, 0 an unrelated one. Who stays nearest?")
    source = "He et al. 2021, section 3"
    gives = {**{method: Gives("points", f"similarity to the base after {name}, mean over the blocks") for method, name in METHODS.items()},
             "adapter_nearer": Gives("points", "similarity after adapters, less that after full fine-tuning")}

    model: str = knob("minilm-l6", "base model")
    task: str = knob("movies", "what it learns")
    seeds: int = knob(3, "runs of each method, each with a seed of its own", low=1, high=10)

    def specs(self) -> dict[str, RunSpec]:
        return {f"{method}{seed}": RunSpec.parse({"model": self.model, "task": self.task, "method": method, "seed": seed})
                for seed in range(self.seeds) for method in METHODS}

    def measure(self, workshop: Any) -> Generator[Progress, None, dict[str, Any]]:
        specs = self.specs()
        of, like, rows = 2 * len(specs), {method: [] for method in METHODS}, []
        with TemporaryDirectory() as home:
            results = yield from trained(specs, workshop, Path(home), of)
            for done, (name, spec) in enumerate(specs.items(), len(specs)):
                yield done, of
                blocks = _blocks(Path(home) / name, workshop)
                like[spec.method.key].append(fmean(blocks))
                rows.append([spec.method.key, spec.seed, results[name].scores["tuned"].score, *blocks])
        nearer = [one - other for one, other in zip(like["houlsby"], like["full"], strict=True)]
        values = {method: over_seeds(each) for method, each in like.items()} | {"adapter_nearer": over_seeds(nearer)}
        blocks = [f"block {number}" for number in range(1, len(rows[0]) - 2)]
        return {"values": values, "columns": ["method", "seed", "score", *blocks], "rows": sorted(rows)}


def _blocks(folder: Path, workshop: Any) -> list[float]:
    from lab.engine.specimen import reopened
    from lab.lenses.representations import Representations

    seen = last(Representations(items=ITEMS).look(last(reopened(folder, workshop))))
    return [layer["cka"] for layer in seen["layers"] if layer["layer"] is not None]


entry = LikeTheBase
