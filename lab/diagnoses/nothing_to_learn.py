"""Labels that do not belong to their texts: a loss may still fall, and nothing of it is true."""
from math import log

from lab.diagnosed import Diagnosis, above, learned, losses, rate
from lab.events import RunResult
from lab.spec import RunSpec

CHANCE = 2.0  # standard errors from the score of the commonest label
CLEAR = 3.0
TEXTS = 50  # to learn from: fewer teach little, whatever their labels are
SEEN = 800  # texts in all steps together: with fewer a run may just not have got anywhere
HALF = 0.5  # of the first loss


class NothingToLearn(Diagnosis):
    key = "nothing-to-learn"
    title = "The labels seem to say nothing about the texts"
    about = "The labels of the training texts were drawn at random, and nothing else was changed."
    knob = "shuffle_labels"
    shown = "scores"
    mistaken = ("by-heart", "one-answer", "steps-too-small")
    broken = {"model": "minilm-l6", "task": "movies", "method": "lora", "shuffle_labels": True}

    @classmethod
    def found(cls, spec: RunSpec, result: RunResult) -> str | None:
        ends, over = losses(result), above(result, "majority")
        if result.state != "finished" or ends is None or over is None:
            return None
        tuned, majority = result.scores["tuned"].score, result.scores["majority"].score
        if spec.shuffle_labels:
            return None if over > 3 else (
                f"The loss went from {ends[0]:.2f} to {ends[1]:.2f}, and the test score, {tuned:.3f}, cannot be told from that of the commonest label, "
                f"{majority:.3f}: the labels were drawn at random, so there was nothing else to learn.")
        if abs(over) > CHANCE or not _could_learn(spec, result):
            return None
        by_heart = ends[1] < HALF * ends[0]
        if not by_heart and (spec.steps * spec.batch < SEEN or not _blind(result)):
            return None
        what = (f"On the training texts the loss fell from {ends[0]:.2f} to {ends[1]:.2f}" if by_heart else
                f"After {spec.steps * spec.batch:,} texts the loss went from {ends[0]:.2f} to {ends[1]:.2f}, the untouched model finds nothing in the texts "
                "either")
        return (f"{what}, and the score on texts it has not seen, {tuned:.3f}, cannot be told from that of the commonest label, {majority:.3f}. "
                "Perhaps labels and texts do not belong together, or the texts do not tell what the labels ask.")

    @classmethod
    def against(cls, spec: RunSpec, result: RunResult) -> str:
        over, tuned, majority = above(result, "majority"), result.scores["tuned"].score, result.scores["majority"].score
        if over is not None and over > CLEAR:
            return (f"The test score, {tuned:.3f}, lies {over:.0f} standard errors above that of the commonest label, {majority:.3f}: so the labels did tell "
                    "something about the texts.")
        worst, guessing = max(loss for _, loss in result.losses if loss is not None), log(len(spec.goal.labels))
        return (f"At one step the loss rose to {worst:.2f}. Labels that say nothing would keep it near {guessing:.2f}, which is what guessing costs: "
                "something drove it up.")

    @classmethod
    def advice(cls, spec: RunSpec) -> str:
        if spec.shuffle_labels:
            return "As a control this is what should come out. In a run of your own, check that labels and texts belong together, row by row."
        return ("Read ten rows: would you give these labels? A table that was sorted in one column alone looks like this. Where the labels are right, the task "
                "may be too hard for this model: try a larger one, or more steps.")


def _could_learn(spec: RunSpec, result: RunResult) -> bool:
    """Whether all else was as it usually is when such a run learns: enough texts, and a usual learning rate."""
    band = rate(spec)
    return band.high > 0 and band.low <= spec.lr <= band.high and result.started.items.get("train", 0) >= TEXTS and not learned(result)


def _blind(result: RunResult) -> bool:
    """Whether the untouched model scores as the commonest label does: of an encoder that is read from the training labels, so it is blind to wrong ones."""
    base, majority = result.scores.get("base"), result.scores["majority"]
    return base is not None and base.score - majority.score <= CHANCE * base.standard_error


entry = NothingToLearn
