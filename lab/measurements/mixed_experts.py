"""A LoRA for each of several domains, mixed for texts of all of them: by each text's domain, all alike, or added up into one."""
from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab.contracts import knob
from lab.measurement import Gives, Measurement, Progress
from lab.measurements._trained import NORMAL, asked, trained
from lab.spec import RunSpec

WAYS = ("posterior", "sum")


class MixedExperts(Measurement):
    """Gururangan et al. 2021 (DEMix), in style: p(y|x) = Σ_d p(d|x) p_d(y|x). Their experts are whole feed-forward blocks of a language model, weighed by how
    likely each finds the text; ours are LoRAs with a head, weighed by an estimate of the text's domain. The best single expert is chosen on validation
    items."""

    key = "mixed-experts"
    title = "Four experts, one answer"
    about = ("Four LoRAs learn the same labels on four kinds of text. Then texts of all four kinds are answered: by the best single one, by all with equal "
             "weight, by all weighed for each text, and by one LoRA that is the mean of the four.")
    source = "Gururangan et al. 2021, DEMix Layers; sums of task vectors: Ilharco et al. 2022"
    gives = {
        "mix": Gives("points", "score of the experts weighed for each text, over texts of all domains"),
        "uniform": Gives("points", "score of all experts with equal weight"),
        "best": Gives("points", "score of the best single expert"),
        "own": Gives("points", "score where each text is answered by the expert of its own domain"),
        "sum": Gives("points", "score of one LoRA, the mean of the four"),
        "over_best": Gives("points", "the weighed mix less the best single expert, on the same items"),
    }

    model: str = knob("minilm-l6", "base model")
    tasks: str = knob("movies products editorials tweets", "domains, a task each, with the same labels")
    items: int = knob(500, "test items of each domain", low=20, high=1000)

    def specs(self) -> dict[str, RunSpec]:
        tasks = self.tasks.split()
        return {f"run{place}": RunSpec.parse({"model": self.model, "task": task, "method": "lora", "seed": 0 if len(set(tasks)) > 1 else place})
                for place, task in enumerate(tasks)}

    def measure(self, workshop: Any) -> Generator[Progress, None, dict[str, Any]]:
        from lab.engine import Shelf, answer
        from lab.serving import MIXED, Mixture

        specs = self.specs()
        of = len(specs) + len(WAYS)
        with TemporaryDirectory() as home:
            yield from trained(specs, workshop, Path(home), of)
            shelf, seen = Shelf(workshop), {}
            for done, way in enumerate(WAYS, len(specs)):
                yield done, of
                weight = 1.0 / len(specs)
                question = Mixture(runs=tuple(specs), way=way, weights=(weight,) * len(specs), split="test", items=self.items, dtype="float32")
                seen[way] = asked(answer(question, Path(home) / "run0", shelf), MIXED)
        return _told(seen, list(self.tasks.split()))


def _told(seen: dict[str, Any], tasks: list[str]) -> dict[str, Any]:
    found, verdict = seen["posterior"], seen["posterior"]["verdict"]
    rows = {row["who"]: row for row in found["rows"]}
    rows["sum"] = next(row for row in seen["sum"]["rows"] if row["who"] == "mix")
    names = {f"run {place}": f"expert for {task}" for place, task in enumerate(tasks)}
    best = rows[f"run {found['best']}"]
    values = {name: [row["all"]["accuracy"], row["all"]["error"]]
              for name, row in (("mix", rows["mix"]), ("uniform", rows["uniform"]), ("best", best), ("own", rows.get("own", best)), ("sum", rows["sum"]))}
    values["over_best"] = [verdict["difference"], (verdict["high"] - verdict["low"]) / 2 / NORMAL]
    domains = [domain["task"] for domain in found["domains"]]
    told = [[names.get(who, who), *(cell["accuracy"] for cell in row["cells"]), row["all"]["accuracy"]] for who, row in rows.items()]
    return {"values": values, "columns": ["who answers", *(f"on {task}" for task in domains), "over all"], "rows": told}


entry = MixedExperts
