"""A model that gives one label to every text scores as high as that label is common."""
from collections import Counter

from lab.diagnosed import Diagnosis, above, learned
from lab.events import RunResult
from lab.spec import RunSpec

ALWAYS = 0.97


class OneAnswer(Diagnosis):
    key = "one-answer"
    title = "It gives the same answer to everything"
    about = "All numbers of the model were trained, at 30 times the learning rate that suits that. A score of a half looks like half the way."
    shown = "answers"
    mistaken = ("cut-off", "nothing-to-learn", "steps-too-small")
    broken = {"model": "minilm-l6", "task": "movies", "method": "full", "lr": 0.003}

    @classmethod
    def found(cls, spec: RunSpec, result: RunResult) -> str | None:
        said, over = (result.seen("answers") or {}).get("tuned", ""), above(result, "majority")
        if result.state != "finished" or len(said) < 20 or over is None or over > 2 or spec.shuffle_labels or learned(result):
            return None
        letter, times = Counter(said).most_common(1)[0]
        if times < ALWAYS * len(said):
            return None
        tuned = result.scores["tuned"]
        does = "has learned to answer, not to read" if spec.steps else "answers and does not read"
        return (f"{times:,} of {len(said):,} texts got the answer “{spec.goal.labels[int(letter, 36)]}”, so the score of {tuned.score:.3f} is what that "
                f"label's share gives ({result.scores['majority'].score:.3f}): it {does}.")

    @classmethod
    def against(cls, spec: RunSpec, result: RunResult) -> str:
        said = (result.seen("answers") or {}).get("tuned", "")
        if not said:
            return "What it answered was not kept, so nothing here says that it was always the same."
        letter, times = Counter(said).most_common(1)[0]
        return (f"It said “{spec.goal.labels[int(letter, 36)]}” to {times:,} of {len(said):,} test texts, and something else to the other "
                f"{len(said) - times:,}.")

    @classmethod
    def advice(cls, spec: RunSpec) -> str:
        if not spec.steps:
            return ("Nothing is trained here, so the prompt does it: try another order of the examples, as many of each label, another wording, or none. "
                    "Judge a score by its distance to the line of the commonest label.")
        return "Look at the learning rate first; then train longer. Judge a score by its distance to the line of the commonest label."


entry = OneAnswer
