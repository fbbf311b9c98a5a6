"""Vocabulary map: the words and the vectors of a soft prompt on two axes, and the way the vectors go while they are trained."""
from typing import Any

from lab.contracts import Support
from lab.lens import Seen, Specimen, Table, Trace
from lab.lenses import _soft
from lab.spec import RunSpec


class PromptMap(Trace):
    """Where each vector lies in the plane in which the words are most spread out."""

    key = "prompt_map"
    title = "Map of the words"
    about = ("The two directions in which the model's words differ most (principal components of its whole vocabulary), with common words and the way of each "
             "vector. Most of the space is not on the map: two points that fall together here may lie far apart.")

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        return _soft.has_prompt(spec, among_words=True)

    def begin(self, specimen: Specimen) -> Any:
        from lab.lenses import _started

        start = _started.begun(specimen)
        return start, [start.legend()]

    def look(self, specimen: Specimen, begun: Any, gradients: bool) -> dict[str, Any]:
        """{"points": [x, y] of each position}; the first look also has "words": [x, y, text] of about 400 common tokens and "explained": the share of the
        words' variance that lies along each axis"""
        from lab.lenses import _prompt

        start, legends = begun  # the legend goes with the first look
        points = start.points(_prompt.vectors(specimen.module).to(start.vectors.device))
        return {"points": points} | (legends.pop() if legends else {})

    @classmethod
    def says(cls, value: list[Seen]) -> tuple[str, ...]:
        if not value:
            return ()
        share = sum(value[0].value["explained"])
        return (f"The map shows {share:.1%} of how the words differ; the rest lies in directions that a sheet of paper has not.",)

    @classmethod
    def table(cls, value: list[Seen]) -> Table:
        rows = [(seen.step, position, "", x, y) for seen in value for position, (x, y) in enumerate(seen.value["points"])]
        words = value[0].value["words"] if value else ()
        return Table(("step", "position", "word", "x", "y"), (*rows, *(("", "", text, x, y) for x, y, text in words)))


entry = PromptMap
