"""Labels drawn at random: a loss may still fall, and nothing of it is true."""
from lab.diagnosed import Diagnosis, above, losses
from lab.events import RunResult
from lab.spec import RunSpec


class NothingToLearn(Diagnosis):
    key = "nothing-to-learn"
    title = "There is nothing to learn in these labels"
    about = "The labels of the training texts were drawn at random. The run looks like any other, until it is asked about texts it has not seen."
    knob = "shuffle_labels"
    shown = "scores"
    broken = {"model": "minilm-l6", "task": "movies", "method": "lora", "shuffle_labels": True}

    @classmethod
    def found(cls, spec: RunSpec, result: RunResult) -> str | None:
        ends, over = losses(result), above(result, "majority")
        if result.state != "finished" or not spec.shuffle_labels or ends is None or over is None or over > 3:
            return None
        return (f"The loss went from {ends[0]:.2f} to {ends[1]:.2f}, and the test score, {result.scores['tuned'].score:.3f}, cannot be told from that of "
                f"the commonest label, {result.scores['majority'].score:.3f}: the labels say nothing about the texts.")

    @classmethod
    def advice(cls, spec: RunSpec) -> str:
        return "As a control this is what should come out. In a run of your own, check that labels and texts belong together, row by row."


entry = NothingToLearn
