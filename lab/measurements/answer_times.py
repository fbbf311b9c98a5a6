"""What each way to keep a trained part costs when answering: the base, LoRA merged and unmerged, a bottleneck adapter and a soft prompt, timed in turn."""
from __future__ import annotations

import time
from collections.abc import Callable, Generator
from statistics import median, quantiles
from typing import Any

from lab.contracts import knob
from lab.measurement import Gives, Measurement, Progress

NAMED = {"lora_merged": "merged LoRA", "lora": "LoRA, not merged", "adapter": "adapters", "prompt": "a soft prompt"}
FORMS = {"lora_merged": "lora", "lora": "lora", "adapter": "houlsby", "prompt": "prompt_tuning"}


class AnswerTimes(Measurement):
    """Hu et al. 2021, table 1 and section 3: latency of one forward pass. Calls go in turn, base first each time, so that whatever else the machine does
    hits all alike; a time is told as a multiple of the base's in the same turn, and the first turn warms up. What was learned makes no difference to the
    time, so nothing is trained."""

    key = "answer-times"
    title = "What an answer costs"
    about = ("The same texts go through the untouched base and through it with a trained part beside it or merged into it, one text at a time and many at "
             "once. How many times as long does each take?")
    source = "Hu et al. 2021, table 1"
    gives = {**{f"{form}_{size}": Gives("times", f"time with {NAMED[form]} as a multiple of the base's, {what}")
                for size, what in (("one", "one text"), ("many", "many texts")) for form in FORMS},
             "adapter_shrinks": Gives("points", "overhead of the adapter with one text, less that with many, as shares of the base's time")}

    model: str = knob("minilm-l6", "base model")
    tokens: int = knob(128, "tokens of each text", low=8, high=1024)
    many: int = knob(32, "texts in the larger batch", low=2, high=256)
    calls: int = knob(40, "timed passes of each", low=3, high=500)

    def measure(self, workshop: Any) -> Generator[Progress, None, dict[str, Any]]:
        from lab.engine.scoring import finished

        base, modules = finished(_forms(self.model, workshop))
        of, done, rows, values = 2 * (self.calls + 1), 0, [], {}
        for size, texts in (("one", 1), ("many", self.many)):
            given = _texts(base.config.vocab_size, texts, self.tokens)
            ways = [_passing(module, given) for module in (base, *modules.values())]
            turns = []
            for _ in range(self.calls + 1):
                yield done, of
                done += 1
                turns.append([_seconds(way) for way in ways])
            turns = turns[1:]
            rows.append([texts, "base", median(turn[0] for turn in turns), 1.0])
            for place, form in enumerate(modules, 1):
                values[f"{form}_{size}"] = _ratio([turn[place] / turn[0] for turn in turns])
                rows.append([texts, form, median(turn[place] for turn in turns), values[f"{form}_{size}"][0]])
        (one, error), (many, other) = values["adapter_one"], values["adapter_many"]
        values["adapter_shrinks"] = [one - many, (error ** 2 + other ** 2) ** 0.5]
        return {"values": values, "columns": ["texts", "form", "seconds", "times the base"], "rows": rows}


def _forms(model: str, workshop: Any) -> Generator[Any, None, tuple[Any, dict[str, Any]]]:
    """The base and the four forms, in float32 and without the lab's own faster blocks: as their libraries run them."""
    from lab.engine.job import prepare
    from lab.spec import RunSpec

    found = {}
    for form, method in FORMS.items():
        job = yield from prepare(RunSpec.parse({"model": model, "method": method, "dtype": "float32", "device": "cpu"}), workshop, plainly=True)
        found[form] = (job.module.merge_and_unload() if form == "lora_merged" else job.module).eval()
    return job.pristine.module, found


def _texts(words: int, texts: int, tokens: int) -> dict[str, Any]:
    import torch

    ids = torch.randint(words // 2, words, (texts, tokens), generator=torch.Generator().manual_seed(0))  # no special ones among them
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _passing(module: Any, given: dict[str, Any]) -> Callable[[], None]:
    import torch

    def once() -> None:
        with torch.no_grad():
            module(**given)

    return once


def _seconds(way: Callable[[], None]) -> float:
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


def _ratio(each: list[float]) -> list[float]:
    """The median, which a pause of the machine cannot move far, and its standard error as of nearly normal values."""
    low, _, high = quantiles(each, n=4)
    return [median(each), 1.2533 * (high - low) / 1.349 / len(each) ** 0.5]


entry = AnswerTimes
