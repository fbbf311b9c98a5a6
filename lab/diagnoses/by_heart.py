"""A few texts seen again and again: learned by heart, which the loss shows as success."""
from lab.diagnosed import Diagnosis, above, losses
from lab.events import RunResult
from lab.spec import RunSpec

OFTEN = 10  # times that each text is seen
LEARNED = 0.1  # of the first loss


class ByHeart(Diagnosis):
    key = "by-heart"
    title = "The texts were learned by heart"
    about = "Only 32 texts were given to learn from, for 200 steps of 16. The falling loss looks like success."
    knob = "train_items"
    shown = "scores"
    mistaken = ("cut-off", "nothing-to-learn", "steps-too-large")
    broken = {"model": "minilm-l6", "task": "movies", "method": {"name": "lora", "rank": 32, "alpha": 64.0}, "lr": 0.003, "train_items": 32, "steps": 200}

    @classmethod
    def found(cls, spec: RunSpec, result: RunResult) -> str | None:
        ends, tuned = losses(result), result.scores.get("tuned")
        items = result.started.items.get("train", 0)
        if result.state != "finished" or ends is None or tuned is None or not items or tuned.metric != "accuracy":
            return None
        often = spec.steps * spec.batch / items
        if often < OFTEN or ends[1] > LEARNED * ends[0] or tuned.score > 0.95 or _useful(result):
            return None
        return (f"Each of the {items:,} texts was seen {often:.0f} times and the loss on them fell from {ends[0]:.2f} to {ends[1]:.3f}, yet "
                f"{1 - tuned.score:.0%} of the test texts are answered wrongly: what was learned is these texts.")

    @classmethod
    def against(cls, spec: RunSpec, result: RunResult) -> str:
        items, ends = result.started.items.get("train", 0), losses(result)
        read = f"The {spec.steps} steps read {spec.steps * spec.batch:,} texts, from a set of {items:,}"
        return f"{read}, and the loss ended at {ends[1]:.2f}: of texts that are known by heart it is next to 0." if ends else f"{read}."

    @classmethod
    def advice(cls, spec: RunSpec) -> str:
        return "Take more texts or fewer steps, and choose the moment to stop by the validation score, never by the loss."


def _useful(result: RunResult) -> bool:
    """Whether it is better than an untouched model that knows something of the task: then it learned from these texts what is true of others as well."""
    over, base, majority = above(result, "base"), result.scores.get("base"), result.scores.get("majority")
    knows = base is not None and majority is not None and base.score - majority.score > 2 * base.standard_error
    return knows and over is not None and over > 2


entry = ByHeart
