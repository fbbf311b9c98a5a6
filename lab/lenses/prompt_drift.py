"""Drift: how far each vector of a soft prompt has moved, in units of the distance between words, and whether it lies where words lie."""
from typing import Any

from lab.contracts import Support
from lab.lens import Seen, Specimen, Table, Trace
from lab.lenses import _soft
from lab.spec import RunSpec

USUAL = 99  # percentile: a vector longer or stranger than 99 of 100 words is outside


class PromptDrift(Trace):
    """Distances, angles, lengths and margins of each vector, look by look."""

    key = "prompt_drift"
    title = "How far the vectors move"
    about = ("How far each vector has moved from its start, counted in distances between neighbouring words, and how usual its length and its place are among "
             "the words. Far outside the words a nearest word means little: something is always nearest.")
    source = "Bailey et al. 2023, on soft prompts in regions of their own; Khashabi et al. 2022, on prompts next to any text"

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        return _soft.has_prompt(spec, among_words=True)

    def begin(self, specimen: Specimen) -> Any:
        from lab.lenses import _started

        start = _started.begun(specimen)
        start.drift(start.vectors)  # what looks need and does not change is worked out now, so that none pays for it
        return start

    def look(self, specimen: Specimen, begun: Any, gradients: bool) -> dict[str, list[float]]:
        """A number for each position:
        "distance" |p - p0|; "natural" the same over the median distance between a word and the nearest other word; "angle" between p and p0 in degrees;
        "norm_percentile" how many of 100 words are shorter; "mahalanobis_percentile" how many of 100 words lie nearer to the mean, distances taken along
        the words' own spread; "nearest" the distance to the nearest word over the median spacing; "margin" how far p is from the border of the cell of the
        token it started nearest to, over the median spacing, below 0 once it has left it"""
        from lab.lenses import _prompt

        return begun.drift(_prompt.vectors(specimen.module).to(begun.vectors.device))

    @classmethod
    def says(cls, value: list[Seen]) -> tuple[str, ...]:
        if not value:
            return ()
        last = value[-1].value
        natural, n = sorted(last["natural"]), len(last["natural"])
        left = sum(margin < 0 for margin in last["margin"])
        outside = sum(percentile > USUAL for percentile in last["mahalanobis_percentile"])
        return (f"After {value[-1].step} steps the vectors have moved {natural[n // 2]:.2g} times the distance between neighbouring words (the middle one of "
                f"{n}), and {left} of {n} now lie nearer to another word than to the one they began beside.",
                f"{outside} of {n} lie further out than {USUAL} of 100 words: the nearest word of such a vector is the least far one, not its meaning.")

    @classmethod
    def table(cls, value: list[Seen]) -> Table:
        names = ("distance", "natural", "angle", "norm_percentile", "mahalanobis_percentile", "nearest", "margin")
        rows = ((seen.step, position, *(seen.value[name][position] for name in names))
                for seen in value for position in range(len(seen.value["distance"])))
        return Table(("step", "position", *names), tuple(rows))


entry = PromptDrift
