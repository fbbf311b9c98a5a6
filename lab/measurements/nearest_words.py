"""What the words nearest to a trained soft prompt are worth: were they there before training, and do they do what the prompt does?"""
from __future__ import annotations

from collections.abc import Generator
from math import hypot
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab.contracts import knob
from lab.measurement import Gives, Measurement, Progress
from lab.measurements._trained import last, trained
from lab.spec import RunSpec

DRAWS = 100


class NearestWords(Measurement):
    """Lester et al. 2021, section 7, lists the nearest words; Khashabi et al. 2022 and Bailey et al. 2023 say why that is not enough. The errors of a
    difference take both scores for independent, which makes them too large rather than too small: the same items are asked."""

    key = "nearest-words"
    title = "The words nearest to a prompt, put to the test"
    about = ("A soft prompt is trained. Then each vector is replaced by its nearest word and the test items are asked again; and the list of words is compared "
             "with the one from before training.")
    source = "Lester et al. 2021, section 7; Khashabi et al. 2022"
    gives = {
        "prompt": Gives("points", "score with the trained vectors"),
        "nearest": Gives("points", "score with the nearest words in their place"),
        "none": Gives("points", "score without any"),
        "lost": Gives("points", "score lost when the words take the vectors' place"),
        "words_gain": Gives("points", "score with the words, less that without any"),
        "stayed": Gives("share", "share of the vectors whose first word from before training is still among their nearest five"),
        "nearer": Gives("share", "share of the vectors that lie nearer to a word than chance would bring them (p below 0.05, all vectors together)"),
        "agreement": Gives("share", "words in all of four lists of nearest words (centred cosine, cosine, distance, dot product), of those in any"),
    }

    model: str = knob("smollm2-135m", "base model")
    task: str = knob("movies", "what it learns")
    init: str = knob("vocabulary", "where the prompt starts: random, vocabulary, text or labels")
    items: int = knob(300, "test items asked each time", low=10, high=5000)

    def specs(self) -> dict[str, RunSpec]:
        return {"run": RunSpec.parse({"model": self.model, "task": self.task, "method": {"name": "prompt_tuning", "init": self.init}})}

    def measure(self, workshop: Any) -> Generator[Progress, None, dict[str, Any]]:
        from lab.engine.specimen import reopened
        from lab.lenses.prompt_neighbours import SURE, PromptNeighbours

        with TemporaryDirectory() as home:
            yield from trained(self.specs(), workshop, Path(home), 2)
            yield 1, 2
            seen = last(PromptNeighbours(draws=DRAWS, items=self.items).look(last(reopened(Path(home) / "run", workshop))))
        scores = {name: (each["score"], each["standard_error"]) for name, each in seen["swap"]["scores"].items()}
        values = {name: list(scores[name]) for name in ("prompt", "nearest", "none")}
        values |= {"lost": _less(scores["prompt"], scores["nearest"]), "words_gain": _less(scores["nearest"], scores["none"]),
                   "stayed": [seen["persistence"], 0.0], "agreement": [seen["agreement"], 0.0],
                   "nearer": [sum(place["p"] < SURE for place in seen["positions"]) / len(seen["positions"]), 0.0]}
        rows = [[place["position"] + 1, _first(place["init"]), _first(place["neighbours"]["centred"]), f"{place['p']:.3f}",
                 _first(place["neighbours"]["l2"])] for place in seen["positions"]]
        return {"values": values, "rows": rows,
                "columns": ["vector", "nearest before training", "nearest after (centred cosine)", "p of chance", "nearest after (distance)"]}


def _first(words: list[dict[str, Any]]) -> str:
    return words[0]["text"]


def _less(one: tuple[float, float], other: tuple[float, float]) -> list[float]:
    return [one[0] - other[0], hypot(one[1], other[1])]


entry = NearestWords
