"""A soft prompt whose vectors lie far outside all words: longer than any, and nearest to nothing."""
from statistics import median

from lab.diagnosed import Diagnosis, above
from lab.events import RunResult
from lab.spec import RunSpec

FAR = 4.0  # spacings between neighbouring words


class LeftTheWords(Diagnosis):
    key = "left-the-words"
    title = "The prompt has the wrong size"
    about = "The vectors of the soft prompt started as standard random numbers, as in many scripts. So long, they drown the text behind them."
    knob = "lr"
    shown = "scores"
    mistaken = ("cut-off", "nothing-to-learn", "steps-too-small")
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
    def against(cls, spec: RunSpec, result: RunResult) -> str:
        drift = result.seen("prompt_drift")
        if not drift:
            return f"{spec.method.title} has no prompt whose vectors could be too long."
        return (f"Among its vectors the middle one lies {median(drift['nearest']):.1f} times as far from its nearest word as neighbouring words do: "
                "that is no other size.")

    @classmethod
    def advice(cls, spec: RunSpec) -> str:
        return "Start from words (init vocabulary): their vectors have the right size. Where it did, lower the learning rate."


entry = LeftTheWords
