"""Where the memory of one training step goes as texts get longer: counted on the step itself, batch and method the same."""
from __future__ import annotations

from collections.abc import Generator
from typing import Any

from lab.accounting.points import PARTS
from lab.contracts import LabError, knob
from lab.measurement import Gives, Measurement, Progress

LENGTHS = (64, 512, 2048)


class LongerTexts(Measurement):
    """The step is recorded without memory (fake tensors), as every forecast of the lab is, and that is tested within 1 % of real steps."""

    key = "longer-texts"
    title = "The memory of a step against the length of its texts"
    about = "The same method on the same model and batch, with texts of 64, 512 and 2,048 tokens. Which part of the memory grows, and which one does not?"
    gives = {**{f"trainable_{length}": Gives("share", f"trainable share, {length:,} tokens") for length in LENGTHS},
             **{f"peak_{length}": Gives("bytes", f"peak of a step, {length:,} tokens") for length in LENGTHS},
             **{f"activations_{length}": Gives("share", f"share of the peak that is activations, {length:,} tokens") for length in LENGTHS}}

    model: str = knob("smollm2-135m", "base model")
    method: str = knob("lora", "method at its defaults")
    batch: int = knob(8, "texts in a step", low=1, high=256)

    def measure(self, workshop: Any) -> Generator[Progress, None, dict[str, Any]]:
        from lab.forecast.forecaster import Forecaster
        from lab.forecast.order import Order

        forecaster = Forecaster(workshop.supply.cache / "forecast")
        values, rows = {}, []
        try:
            for done, length in enumerate(LENGTHS):
                yield done, len(LENGTHS)
                order = Order.parse({"model": self.model, "method": self.method, "batch": self.batch, "tokens": length})
                found = forecaster.memory(order)
                if not found["traced"]:
                    raise LabError(f"the step with {length:,} tokens could not be traced: {found['assumptions'][0]}")
                share = order.spec.counts.to_dict()["share"]
                values |= {f"peak_{length}": [found["peak_bytes"], 0.0], f"trainable_{length}": [share, 0.0],
                           f"activations_{length}": [found["parts"]["activations"] / found["peak_bytes"], 0.0]}
                rows.append([length, found["peak_bytes"], *(found["parts"][part] for part in PARTS)])
        finally:
            forecaster.close()
        return {"values": values, "columns": ["tokens", "peak bytes", *PARTS], "rows": rows}


entry = LongerTexts
