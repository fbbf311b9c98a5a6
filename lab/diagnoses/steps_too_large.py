"""The learning rate is so high that each step jumps over what it looks for."""
from lab.contracts import number
from lab.diagnosed import Diagnosis, above, learned, losses, rate
from lab.events import RunResult
from lab.spec import RunSpec

FAR = 3  # times the default


class StepsTooLarge(Diagnosis):
    key = "steps-too-large"
    title = "The steps are too large"
    about = "LoRA was given 33 times its usual learning rate. Each step undoes what the one before has found."
    knob = "lr"
    shown = "loss"
    mistaken = ("nothing-moves", "nothing-to-learn", "steps-too-small")
    broken = {"model": "minilm-l6", "task": "movies", "method": "lora", "lr": 0.1}

    @classmethod
    def found(cls, spec: RunSpec, result: RunResult) -> str | None:
        if result.state == "failed":
            return result.reason if result.knob == "lr" else None
        ends, over = losses(result), above(result, "majority")
        if ends is None or not rate(spec).default or spec.lr < FAR * rate(spec).default:
            return None
        stays = ends[1] > 0.95 * ends[0]
        chance = over is not None and over < 2 and not learned(result)
        if not (stays or chance):
            return None
        fell = f"the loss went from {ends[0]:.2f} to {ends[1]:.2f}"
        ended = ", and the score is that of always giving the commonest label" if chance else ""
        return f"The learning rate is {number(spec.lr)}, {spec.lr / rate(spec).default:.0f} times the usual one of {spec.method.title}; {fell}{ended}."

    @classmethod
    def against(cls, spec: RunSpec, result: RunResult) -> str:
        ends, low, high = losses(result), rate(spec).low, rate(spec).high
        fell = f" And the loss fell from {ends[0]:.2f} to {ends[1]:.2f}; steps that are too long keep it up." if ends and ends[1] < ends[0] else ""
        known = f"; {spec.method.title} is known to learn between {number(low)} and {number(high)}" if high else ""
        return f"The learning rate is {number(spec.lr)}{known}.{fell}"

    @classmethod
    def advice(cls, spec: RunSpec) -> str:
        return f"Take {number(rate(spec).default)}; it learns between {number(rate(spec).low)} and {number(rate(spec).high)}."


entry = StepsTooLarge
