"""What the order of the same few examples does to the answers of a language model, and what examples cost."""
from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import permutations
from typing import Any

from lab.contracts import knob
from lab.measurement import Gives, Measurement, Progress
from lab.measurements._halves import mean, unpicked

SHOTS = 4  # 24 orders


class ExampleOrders(Measurement):
    """Lu et al. 2022, figure 1: accuracy of all orders of four examples. The best of 24 orders is best by luck too, so the gap is also told on items that
    did not choose; its standard error is over the items, each with the mean of its gaps over the sets."""

    key = "example-orders"
    title = "Four examples in 24 orders"
    about = ("Four solved reviews stand in front of each text, the same four in all their 24 orders, for several sets of four. How far apart are the best and "
             "the worst order, and how much of it stays on texts that did not pick them?")
    source = "Lu et al. 2022, Fantastically Ordered Prompts; Zhao et al. 2021"
    gives = {
        "best": Gives("points", "accuracy of the best order, mean over the sets"),
        "middle": Gives("points", "mean accuracy over all orders and sets"),
        "worst": Gives("points", "accuracy of the worst order, mean over the sets"),
        "range": Gives("points", "accuracy of the best order less that of the worst, mean over the sets"),
        "kept": Gives("points", "accuracy of the best order less that of the worst, on texts that did not pick them"),
        "sets": Gives("points", "best set less worst set of four, mean over orders"),
        "longer": Gives("times", "tokens to read for an answer with four examples, as a multiple of those without"),
    }

    model: str = knob("smollm2-135m", "base model")
    task: str = knob("movies", "task that is asked")
    sets: int = knob(5, "sets of four examples", low=1, high=50)
    items: int = knob(100, "test texts", low=4, high=1000)

    def measure(self, workshop: Any) -> Generator[Progress, None, dict[str, Any]]:
        import torch

        from lab.engine.job import prepare
        from lab.engine.scoring import finished
        from lab.spec import RunSpec

        rights, tokens, done, of = [], [], 0, self.sets * 24
        for seed in range(self.sets):
            spec = RunSpec.parse({"model": self.model, "task": self.task, "method": {"name": "in_context", "shots": SHOTS}, "seed": seed,
                                  "eval_items": self.items, "device": "cpu"})
            job = finished(prepare(spec, workshop, plainly=True))
            orders = []
            for order in permutations(job.texts.shots):
                yield done, of
                rows = _showing(job.reader, order).encode(job.texts.asked)
                answers = job.answers(rows)
                orders.append((answers.predicted == answers.labels).double())
                done += 1
            rights.append(torch.stack(orders))
            alone = _showing(job.reader, ()).encode(job.texts.asked)
            tokens.append(sum(len(row.ids) for row in rows) / sum(len(row.ids) for row in alone))
        scores = torch.stack([each.mean(1) for each in rights])  # (sets, orders)
        gaps = torch.stack([unpicked(each) for each in rights]).mean(0)  # (items,)
        best, worst = scores.amax(1), scores.amin(1)
        values = {"best": float(best.mean()), "middle": float(scores.mean()), "worst": float(worst.mean()), "range": float((best - worst).mean()),
                  "sets": float(scores.mean(1).max() - scores.mean(1).min()), "longer": sum(tokens) / len(tokens)}
        found = {key: [value, 0.0] for key, value in values.items()} | {"kept": mean(gaps)}
        return {"values": found, "columns": ["set of four", "worst order", "mean of 24", "best order"],
                "rows": [[place + 1, float(worst[place]), float(scores[place].mean()), float(best[place])] for place in range(self.sets)]}


def _showing(reader: Any, shots: Sequence[Any]) -> Any:
    """A reader that shows these examples with every text."""
    from lab.engine.texts import Reader, unaided

    shown = (lambda text: tuple(shots)) if shots else unaided
    return Reader(reader.tokenizer, reader.kind, reader.task, reader.tokens, reader.window, shown)


entry = ExampleOrders
