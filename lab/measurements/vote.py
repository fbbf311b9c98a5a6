"""Several soft prompts of one frozen base, which differ by their seed alone: what most of them answer, against what they score on average."""
from __future__ import annotations

import string
from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any

from lab.contracts import knob
from lab.measurement import Gives, Measurement, Progress
from lab.measurements._trained import last, over_seeds, trained
from lab.metrics import share_error
from lab.spec import RunSpec

DIGITS = string.digits + string.ascii_lowercase  # how a run notes its answers, a letter an item


class Vote(Measurement):
    """Lester et al. 2021, section 6: a majority vote; answers that tie share the vote. The gain's error is over items, for these very prompts."""

    key = "vote"
    title = "A vote of prompts"
    about = ("Prompts are trained with several seeds on one frozen base and answer the same test texts. Is what most of them say better than what they score "
             "on average, and than the best of them?")
    source = "Lester et al. 2021, section 6, table 3"
    gives = {
        "vote": Gives("points", "score of the vote"),
        "mean": Gives("points", "mean score of its members"),
        "best": Gives("points", "score of the best member"),
        "gain": Gives("points", "score of the vote less the mean of its members"),
    }

    model: str = knob("minilm-l6", "base model")
    task: str = knob("movies", "what it learns")
    method: str = knob("prompt_tuning", "method at its defaults")
    members: int = knob(5, "prompts that vote", low=3, high=15)

    def specs(self) -> dict[str, RunSpec]:
        return {f"seed{seed}": RunSpec.parse({"model": self.model, "task": self.task, "method": self.method, "seed": seed, "eval_every": 0})
                for seed in range(self.members)}

    def measure(self, workshop: Any) -> Generator[Progress, None, dict[str, Any]]:
        specs = self.specs()
        with TemporaryDirectory() as home:
            results = yield from trained(specs, workshop, Path(home), len(specs))
        spec = next(iter(specs.values()))
        right = [DIGITS[item.label] for item in last(workshop.data(spec.goal)).splits.test[:spec.eval_items]]
        said = [result.seen("answers")["tuned"] for result in results.values()]
        members = [fmean(letter == label for letter, label in zip(letters, right, strict=True)) for letters in said]
        votes = [voted(label, answers) for label, *answers in zip(right, *said, strict=True)]
        gains = [vote - answers.count(label) / len(answers) for vote, (label, *answers) in zip(votes, zip(right, *said, strict=True), strict=True)]
        score = fmean(votes)
        values = {"vote": [score, share_error(score, len(votes))], "mean": over_seeds(members), "best": [max(members), share_error(max(members), len(votes))],
                  "gain": [fmean(gains), stdev(gains) / len(gains) ** 0.5]}
        rows = [*([name, score] for name, score in zip(specs, members, strict=True)), ["vote", score]]
        return {"values": values, "columns": ["who answers", "score"], "rows": rows}


def voted(label: str, answers: Sequence[str]) -> float:
    """1 where most say the right label, and its share where several are said equally often."""
    counts = Counter(answers)
    first = [answer for answer, times in counts.items() if times == max(counts.values())]
    return (label in first) / len(first)


entry = Vote
