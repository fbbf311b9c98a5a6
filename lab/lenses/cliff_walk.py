"""Cliff walk: from the nearest words to the trained vectors in a straight line, and where on the way the prompt begins to work.

    v(a) = (1 - a) w + a p,  p: (n, width) the prompt, w: (n, width) the nearest word of each vector by centred cosine
"""
from collections.abc import Generator, Sequence
from itertools import pairwise
from typing import Any

from lab.contracts import Support, knob
from lab.lens import Probe, Progress, Specimen, Table
from lab.lenses import _soft
from lab.spec import RunSpec


class CliffWalk(Probe):
    """The loss on the way from the nearest words to the prompt."""

    key = "cliff_walk"
    title = "From words to vectors"
    about = ("The loss as each vector is moved in a straight line from its nearest word (a = 0) to where training put it (a = 1). If the gain is lost long "
             "before a reaches the words, the prompt is a place between words, and the words are only what happens to be near.")
    source = "Khashabi et al. 2022, on prompts and their nearest words; the straight line as in Goodfellow et al. 2015"

    points: int = knob(9, "places on the way, both ends included", low=3, high=41)
    items: int = knob(100, "evaluation items asked at each place", low=10, high=1000)

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        return _soft.has_prompt(spec, among_words=True)

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        usual = cls()
        return f"{usual.points + 1} evaluations of {min(usual.items, spec.eval_items)} items"

    def look(self, specimen: Specimen) -> Generator[Progress, None, Any]:
        """{"walk": [{"a", "loss", "score", "standard_error" of the score}, … from a = 0 to 1],
        "half": the a at which half the gain over no prompt is lost, or None where it never is or there is no gain,
        "gain": {"loss": loss without a prompt minus loss with it, "standard_error": of that difference over the items, None for written answers},
        "none": score and loss without a prompt, "words": the nearest word of each vector, "items"}"""
        from lab.lenses import _effect, _prompt
        from lab.lenses._vocabulary import vocabulary

        words, prompt = vocabulary(specimen), _prompt.vectors(specimen.module)
        near = [line[0] for line in words.nearest(prompt.to(words.table.device), 1, ("centred",))["centred"]]
        start = words.rows([each.token for each in near]).to(prompt)
        places = [step / (self.points - 1) for step in range(self.points)]
        items = min(self.items, specimen.spec.eval_items)
        none, *found = yield from _effect.asked(specimen, [None, *(start.lerp(prompt, a) for a in places)], items)
        error = _effect.paired_error(specimen, none, found[-1])
        walk = [{"a": round(a, 4), **_short(each.to_dict())} for a, each in zip(places, found, strict=True)]
        gain = {"loss": round(none.loss - found[-1].loss, 4), "standard_error": None if error is None else round(error, 4)}
        return {"walk": walk, "half": half(walk, none.loss), "gain": gain, "none": none.to_dict(), "words": [each.text for each in near], "items": none.items}

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        gain, start = value["gain"], value["walk"][0]
        if gain["loss"] <= 2 * (gain["standard_error"] or 0):
            side = f"{abs(gain['loss']):.3g} {'lower' if gain['loss'] > 0 else 'higher'}"
            told = "clearly more" if gain["loss"] < -2 * (gain["standard_error"] or 0) else f"which {value['items']} items cannot tell from nothing"
            return (f"With the prompt the loss is {side} than without, {told}: there is no gain whose loss could be watched.",)
        left = (value["none"]["loss"] - start["loss"]) / gain["loss"]
        where = ("more than half of the gain is still there at the words themselves" if value["half"] is None else
                 f"half of the gain is lost at a = {value['half']:.2f}")
        kept = f"the words keep {left:.0%} of it" if left > 0 else "with the words themselves the model does no better than without a prompt"
        few = " The gain itself is small beside its error, so this is a sketch." if gain["loss"] < 4 * (gain["standard_error"] or 0) else ""
        return (f"On the way from the vectors (a = 1) to their nearest words (a = 0), {where}; {kept}.{few}",
                f"Measured on {value['items']} items; a straight line is one way among many, and the loss may rise and fall between the places looked at.")

    @classmethod
    def table(cls, value: Any) -> Table:
        names = ("a", "loss", "score", "standard_error")
        return Table(names, tuple(tuple(place[name] for name in names) for place in value["walk"]))


def half(walk: Sequence[dict[str, float]], none: float) -> float | None:
    """From the trained end, the first a at which the loss has risen half of the way to `none`; between two places in proportion."""
    least = walk[-1]["loss"]
    level = (least + none) / 2
    if none <= least:
        return None
    for nearer, further in pairwise(reversed(walk)):
        if further["loss"] >= level:
            share = (level - nearer["loss"]) / (further["loss"] - nearer["loss"])
            return round(nearer["a"] + share * (further["a"] - nearer["a"]), 4)
    return None


def _short(scored: dict[str, float]) -> dict[str, float]:
    return {name: scored[name] for name in ("loss", "score", "standard_error")}


entry = CliffWalk
