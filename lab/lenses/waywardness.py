"""Waywardness: can a prompt be made to read as any text you like and still do its work? Runs that are pulled towards one text, harder and harder.

    loss + (g/n) sum_i |p_i - e_i|^2,  e_i the token of the text for vector i;  accuracy against token F1 as g grows
"""
from collections.abc import Sequence
from typing import Any

from lab.contracts import LabError, Support, knob
from lab.events import RunResult
from lab.lens import Experiment, Table
from lab.spec import RunSpec

ALONE = "it is not prompt tuning; only there can the vectors be pulled towards a text"
ADDED = "its vectors are added to words and lie at none; choose position front"
STRONGEST = 1000.0


class Waywardness(Experiment):
    """Runs pulled towards a text of your choice, from not at all to hard."""

    key = "waywardness"
    title = "Make it say anything"
    about = ("The same run again and again, its vectors pulled harder each time towards a text that you type. If accuracy stays while the nearest words come "
             "to read as your text, then what nearest words say of a prompt is not what the prompt does.")
    source = "Prompt Waywardness, Khashabi et al. 2022"

    text: str = knob("the quick brown fox jumps over the lazy dog", "the text to pull towards: the less it has to do with the task, the better")
    strongest: float = knob(1.0, "the largest pull, g; each other one is a tenth of the next, and one run has none", low=0.001, high=STRONGEST)
    pulls: int = knob(4, "pulls tried beside none", low=1, high=6)

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        if spec.method.key != "prompt_tuning":
            return Support(False, ALONE)
        return Support(False, ADDED) if spec.method.position == "added" else Support(True)

    def specs(self, spec: RunSpec) -> tuple[RunSpec, ...]:
        """From no pull to the strongest. The first carries the text too, so that its distance to it is recorded."""
        if not self.text.strip():
            raise LabError("text is empty: type the text to pull towards")
        whole = spec.to_dict()
        return tuple(RunSpec.parse({**whole, "method": {**whole["method"], "pull": pull, "pull_text": self.text}}) for pull in self._pulls())

    def _pulls(self) -> list[float]:
        return [0.0, *(float(f"{self.strongest / 10 ** back:.6g}") for back in reversed(range(self.pulls)))]

    def shown(self, spec: RunSpec, results: Sequence[RunResult | None]) -> Any:
        """{"points": [{"g", "state", "score", "standard_error", "distance": mean distance to the text's tokens, "relative": over the median length of a word's
        vector, "kept": share of vectors nearest to their own word, "f1": token F1 of nearest words against the text, "words": the nearest words}],
        "target": the text, "base": score of the untouched model or None}. What has not ended has None for its numbers."""
        base = next((result.scores["base"].score for result in results if result and "base" in result.scores), None)
        return {"points": [_point(pull, result) for pull, result in zip(self._pulls(), results, strict=True)], "target": self.text, "base": base}

    @classmethod
    def says(cls, value: Any) -> tuple[str, ...]:
        done = [point for point in value["points"] if point["score"] is not None and point["f1"] is not None]
        if len(done) < 2 or done[0]["g"]:
            return ()
        free, near = done[0], max(done[1:], key=lambda point: (point["f1"], point["score"]))
        lost, error = free["score"] - near["score"], (free["standard_error"] ** 2 + near["standard_error"] ** 2) ** 0.5
        told = f"{abs(lost):.3f} {'lower' if lost > 0 else 'higher'}" if abs(lost) > 2 * error else f"{abs(lost):.3f} apart, which cannot be told from nothing"
        return (f"With a pull of {near['g']:g} the nearest words spell {near['f1']:.0%} of your text; the score is {told} ({near['score']:.3f}, "
                f"without a pull {free['score']:.3f}, standard error of the difference {error:.3f}).",
                "One seed each: the spread between seeds comes on top of these errors.")

    @classmethod
    def table(cls, value: Any) -> Table:
        names = ("g", "state", "score", "standard_error", "distance", "relative", "kept", "f1")
        return Table((*names, "words"), tuple((*(point[name] for name in names), " ".join(point["words"])) for point in value["points"]))


def _point(pull: float, result: RunResult | None) -> dict[str, Any]:
    tuned, seen = (result.scores.get("tuned"), result.seen("prompt_pull") or {}) if result else (None, {})
    return {"g": pull, "state": result.state if result else "queued", "score": tuned.score if tuned else None,
            "standard_error": tuned.standard_error if tuned else None, **{name: seen.get(name) for name in ("distance", "relative", "kept", "f1")},
            "words": seen.get("words", [])}


entry = Waywardness
