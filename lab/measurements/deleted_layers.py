"""Which blocks a trained adapter is needed in: those of the lower or of the upper third are taken out, and nothing is trained again."""
from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab.contracts import knob
from lab.measurement import Gives, Measurement, Progress
from lab.measurements._trained import last, over_seeds, trained
from lab.spec import RunSpec

PARTS = ("lower", "middle", "upper")


class DeletedLayers(Measurement):
    """Houlsby et al. 2019, section 3.6 and figure 6: the score with the adapters of a span of blocks taken out, less the score with all of them."""

    key = "deleted-layers"
    title = "Adapters taken out again"
    about = ("Bottleneck adapters are trained in all blocks. Then those of the lower, the middle or the upper third are taken out and the test items are asked "
             "again. Where are they missed most?")
    source = "Houlsby et al. 2019, section 3.6, figure 6"
    gives = {**{part: Gives("points", f"score lost without the {part} third") for part in PARTS},
             "upper_more": Gives("points", "score lost without the upper third, less that without the lower"),
             "all": Gives("points", "score lost without any of them"),
             "score": Gives("points", "score with all of them")}

    model: str = knob("minilm-l6", "base model")
    task: str = knob("movies", "what it learns")
    method: str = knob("houlsby", "method at its defaults")
    seeds: int = knob(3, "runs, each with a seed of its own", low=1, high=10)

    def specs(self) -> dict[str, RunSpec]:
        return {f"seed{seed}": RunSpec.parse({"model": self.model, "task": self.task, "method": self.method, "seed": seed}) for seed in range(self.seeds)}

    def measure(self, workshop: Any) -> Generator[Progress, None, dict[str, Any]]:
        specs = self.specs()
        rows, lost = [], {name: [] for name in (*PARTS, "upper_more", "all", "score")}
        with TemporaryDirectory() as home:
            yield from trained(specs, workshop, Path(home), 2 * self.seeds)
            for done, (name, spec) in enumerate(specs.items(), self.seeds):
                yield done, 2 * self.seeds
                scores = _scores(Path(home) / name, spec.shape.layers, workshop)
                without = {part: scores["none out"] - scores[part] for part in (*PARTS, "all")}
                for part, value in (without | {"upper_more": without["upper"] - without["lower"], "score": scores["none out"]}).items():
                    lost[part].append(value)
                rows += [[spec.seed, part, score] for part, score in scores.items()]
        return {"values": {part: over_seeds(each) for part, each in lost.items()}, "columns": ["seed", "taken out", "score"], "rows": rows}


def _scores(folder: Path, depth: int, workshop: Any) -> dict[str, float]:
    from lab.engine.specimen import reopened
    from lab.lenses import _switch

    specimen = last(reopened(folder, workshop))
    third = max(1, depth // 3)
    spans = {"none out": (), "lower": tuple(range(third)), "middle": tuple(range(third, depth - third)), "upper": tuple(range(depth - third, depth)),
             "all": tuple(range(depth))}
    found = {}
    for name, layers in spans.items():
        with _switch.without(specimen.module, specimen.base, specimen.shape, layers):
            found[name] = last(specimen.scored(specimen.module)).score
    return found


entry = DeletedLayers
