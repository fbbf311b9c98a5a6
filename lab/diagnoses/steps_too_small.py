"""The learning rate is so low that what the method adds has hardly moved when the run ends."""
from lab.contracts import number
from lab.diagnosed import Diagnosis, above, rate
from lab.events import RunResult
from lab.spec import RunSpec

FAR = 3  # times below the band


class StepsTooSmall(Diagnosis):
    key = "steps-too-small"
    title = "The steps are too small"
    about = "LoRA was given a hundredth of its usual learning rate. The head has a rate of its own, so the loss falls all the same."
    knob = "lr"
    shown = "scores"
    mistaken = ("cut-off", "nothing-moves", "nothing-to-learn")
    broken = {"model": "minilm-l6", "task": "movies", "method": "lora", "lr": 0.00003}

    @classmethod
    def found(cls, spec: RunSpec, result: RunResult) -> str | None:
        over = above(result, "base")
        if result.state != "finished" or not spec.steps or not rate(spec).low or spec.lr > rate(spec).low / FAR or over is None or over > 2:
            return None
        tuned, base = result.scores["tuned"], result.scores["base"]
        if not spec.lr:
            return f"The learning rate is 0: nothing that {spec.method.title} adds can move, and the score ({tuned.score:.3f}) owes nothing to it."
        head = " What the loss lost can come from the head alone, which has a learning rate of its own." if result.started.counts["head"] else ""
        return (f"The learning rate is {number(spec.lr)}, {rate(spec).low / spec.lr:.0f} times below the lowest with which {spec.method.title} is "
                f"known to learn, and the score ({tuned.score:.3f}) cannot be told from that of the untouched model ({base.score:.3f}).{head}")

    @classmethod
    def against(cls, spec: RunSpec, result: RunResult) -> str:
        low = rate(spec).low
        known = f", and {spec.method.title} is known to learn from {number(low)} on" if low else ""
        return f"The learning rate is {number(spec.lr)}{known}: that is no small step."

    @classmethod
    def advice(cls, spec: RunSpec) -> str:
        return f"Take {number(rate(spec).default)}, or many more steps."


entry = StepsTooSmall
