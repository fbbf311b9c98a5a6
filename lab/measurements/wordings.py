"""What the wording of a question does to the answers of a language model: questions that fit, one beside the point, one that misleads."""
from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from lab.contracts import knob
from lab.measurement import Gives, Measurement, Progress
from lab.measurements._halves import mean, unpicked

WORDINGS = {
    "own": "Review: {text}\nSentiment:",
    "question": "Is the following text positive or negative?\nText: {text}\nAnswer:",
    "bare": "{text}\nOverall, the text is",
    "irrelevant": "{text}\nThe weather tomorrow will be",
    "misleading": "Text: {text}\nIs this about sport or about politics?\nAnswer:",
}
FITTING = ("own", "question", "bare")


class Wordings(Measurement):
    """Webson and Pavlick 2022: instructive, irrelevant and misleading templates. The answer is always one of the words negative and positive; differences are
    paired over the items."""

    key = "wordings"
    title = "One task in five wordings"
    about = ("The untouched model is asked about the same reviews in five wordings: three that fit the task, one beside the point, and one that asks for "
             "something else. It may only answer positive or negative. How much does the wording move the score?")
    source = "Webson and Pavlick 2022"
    gives = {
        **{name: Gives("points", f"accuracy with the wording “{name}”") for name in WORDINGS},
        "range": Gives("points", "best fitting wording less the worst fitting one, on texts that did not pick them"),
        "fits": Gives("points", "mean of the fitting wordings less mean of the two others"),
    }

    model: str = knob("smollm2-135m", "base model")
    task: str = knob("movies", "task that is asked")
    items: int = knob(300, "test texts", low=4, high=2500)

    def measure(self, workshop: Any) -> Generator[Progress, None, dict[str, Any]]:
        import torch

        from lab.engine.job import prepare
        from lab.engine.scoring import finished
        from lab.engine.texts import Reader
        from lab.spec import RunSpec

        spec = RunSpec.parse({"model": self.model, "task": self.task, "method": {"name": "in_context", "shots": 0}, "eval_items": self.items, "device": "cpu"})
        job = finished(prepare(spec, workshop, plainly=True))
        reader, right = job.reader, {}
        for done, (name, prompt) in enumerate(WORDINGS.items()):
            yield done, len(WORDINGS)
            asked = Reader(reader.tokenizer, reader.kind, replace(reader.task, prompt=prompt), reader.tokens, reader.window)
            answers = job.answers(asked.encode(job.texts.asked))
            right[name] = (answers.predicted == answers.labels).double()
        apart = torch.stack([right[name] for name in FITTING]).mean(0) - (right["irrelevant"] + right["misleading"]) / 2
        best = unpicked(torch.stack([right[name] for name in FITTING]))
        values = {**{name: mean(each) for name, each in right.items()}, "range": mean(best), "fits": mean(apart)}
        return {"values": values, "columns": ["wording", "accuracy", "standard error", "prompt"],
                "rows": [[name, *values[name], prompt] for name, prompt in WORDINGS.items()]}


entry = Wordings
