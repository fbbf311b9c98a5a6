"""A model that gives one label to every text scores as high as that label is common."""
from collections import Counter

from lab.diagnosed import Diagnosis, above, learned
from lab.events import RunResult
from lab.spec import RunSpec

ALWAYS = 0.97


class OneAnswer(Diagnosis):
    key = "one-answer"
    title = "It gives the same answer to everything"
    about = ("A model that was driven too hard and now says the same to every text. "
             "A score of a half looks like half the way; it is what one constant answer gets.")
    shown = "answers"
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
    def advice(cls, spec: RunSpec) -> str:
        if not spec.steps:
            return ("Nothing is trained here, so the prompt does it: try another order of the examples, as many of each label, another wording, or none. "
                    "Judge a score by its distance to the line of the commonest label.")
        return "Look at the learning rate first; then train longer. Judge a score by its distance to the line of the commonest label."


entry = OneAnswer
