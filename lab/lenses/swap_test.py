"""Swap test: real words in place of the trained vectors; what is left of the gain says whether the words are the prompt.

    F = (score(words) - score(none)) / (score(prompt) - score(none))
"""
from collections.abc import Generator, Mapping
from typing import Any

from lab.contracts import Support, knob
from lab.lens import Probe, Progress, Specimen, Table
from lab.lenses import _soft
from lab.spec import RunSpec

ARMS = {  # what stands in for the prompt, in words
    "nearest": "the nearest words", "before": "the vectors as they were before training", "random": "random words",
    "written": "a hand-written prompt", "labels": "the label words"}
LITTLE, MUCH = 0.25, 0.75


def _scores(value: Mapping[str, Any], name: str) -> str:
    """`0.640 against 0.755`: a share of a gain that is below nothing says little to anybody."""
    return f"{value['scores'][name]['score']:.3f} against {value['scores']['none']['score']:.3f}"


def sure(gain: Mapping[str, float]) -> bool:
    """Whether the prompt gains enough to say what share of it something else keeps."""
    return gain["score"] >= 2 * gain["standard_error"]


class SwapTest(Probe):
    """Scores with other vectors in the prompt's place, on the run's own test items."""

    key = "swap_test"
    title = "Are the words the prompt?"
    about = ("Puts the nearest words in place of the trained vectors and asks the test items again: if little of the gain is left, the words are not what "
             "was learned. The same is done with the vectors before training, random words, a hand-written prompt and the label words, so that there is "
             "something to compare with.")
    source = "Khashabi et al. 2022; Bailey et al. 2023"

    items: int = knob(200, "test items to ask, seven times over", low=10, high=5000)

    @classmethod
    def applies(cls, spec: RunSpec) -> Support:
        return _soft.has_prompt(spec, among_words=True)

    @classmethod
    def cost(cls, spec: RunSpec) -> str:
        items = min(cls().items, spec.eval_items)
        return f"{len(ARMS) + 2} times {items} test items are asked: {(len(ARMS) + 2) * items:,} texts through the model"

    def look(self, specimen: Specimen) -> Generator[Progress, None, dict[str, Any]]:
        """{"scores": {"none" (no vectors; an encoder keeps its trained head), "prompt", "nearest", "before", "random", "written", "labels":
        {"score", "standard_error", "loss", "items"}},
        "kept": {arm: F, or None without a gain}, "between": {arm: [low, high], the 95 % interval of F over items, or None where the gain is not sure},
        "kl": {arm: nats between the trained prompt's answers and these}, "gain": {"score", "standard_error" over the same items},
        "words": the nearest word of each position, "written_text", "random_words"}
        "labels" is left out of tasks without labels; "between" and "kl" are empty for written answers, whose score is token accuracy."""
        from lab.lenses import _swapping

        return (yield from _swapping.swapped(specimen, self.items))

    @classmethod
    def says(cls, value: Mapping[str, Any]) -> tuple[str, ...]:
        gain, kept = value["gain"], value["kept"]["nearest"]
        sizes = f"{100 * gain['score']:.1f} ± {100 * gain['standard_error']:.1f} points on {value['scores']['prompt']['items']} items"
        if kept is None or not sure(gain):
            return (f"The prompt gains {sizes}: too little to say what other words keep of it.",)
        between = value["between"].get("nearest")
        spread = f" ({between[0]:.0%} to {between[1]:.0%})" if between else ""
        means = ("the words are not the prompt" if kept < LITTLE else
                 "the words do most of what the prompt does, on these items" if kept > MUCH else "the words are a part of the prompt at most")
        best = max((name for name in value["kept"] if name != "nearest"), key=lambda name: value["kept"][name])
        swapped = (f"With their nearest words in place of the vectors the model does worse than without any prompt, {_scores(value, 'nearest')}, while the "
                   f"vectors gained {sizes}: the words are not the prompt." if kept < 0 else
                   f"Replacing the vectors by their nearest words keeps {kept:.0%}{spread} of what was learned, a gain of {sizes}: {means}.")
        does, keeps = ("does", "keeps") if best == "written" else ("do", "keep")
        kept_too = f"{keeps} {value['kept'][best]:.0%}"
        worse = f"{does} worse than no prompt, too, {_scores(value, best)}"
        return swapped, f"For comparison, {ARMS[best]} {worse if value['kept'][best] < 0 else kept_too}."

    @classmethod
    def table(cls, value: Mapping[str, Any]) -> Table:
        def row(name: str, scored: Mapping[str, Any]) -> tuple[Any, ...]:
            between = value["between"].get(name) or (None, None)
            return (name, scored["score"], scored["standard_error"], scored["loss"], scored["items"], value["kept"].get(name), *between, value["kl"].get(name))

        return Table(("instead of the prompt", "score", "standard error", "loss", "items", "share kept", "low", "high", "KL"),
                     tuple(row(name, scored) for name, scored in value["scores"].items()))


entry = SwapTest
