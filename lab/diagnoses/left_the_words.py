"""A soft prompt whose vectors lie far outside all words: longer than any, and nearest to nothing."""
from statistics import median

from lab.diagnosed import Diagnosis, above
from lab.events import RunResult
from lab.spec import RunSpec

FAR = 4.0  # spacings between neighbouring words


class LeftTheWords(Diagnosis):
    key = "left-the-words"
    title = "The prompt has the wrong size"
    about = ("A soft prompt whose vectors start as standard random numbers, as in many scripts. "
             "They are many times longer than those of any word, and drown the text.")
    knob = "lr"
    shown = "scores"
    broken = {"model": "minilm-l6", "task": "movies", "method": {"name": "prompt_tuning", "init": "random"}}

    @classmethod
    def found(cls, spec: RunSpec, result: RunResult) -> str | None:
        drift, over = result.seen("prompt_drift"), above(result, "base")
        if result.state != "finished" or not drift or over is None or over > 2:
            return None
        longer = sum(percentile >= 99.5 for percentile in drift["norm_percentile"])
        if longer < 0.9 * len(drift["norm_percentile"]) or median(drift["nearest"]) < FAR:
            return None
        return (f"{longer} of {len(drift['norm_percentile'])} vectors are longer than nearly every word's, and the middle one lies "
                f"{median(drift['nearest']):.0f} times as far from its nearest word as neighbouring words do. The score is no better than without a prompt.")

    @classmethod
    def advice(cls, spec: RunSpec) -> str:
        return "Start from words (init vocabulary): their vectors have the right size. Where it did, lower the learning rate."


entry = LeftTheWords
