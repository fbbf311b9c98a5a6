"""Two factors that both start at zero: the gradient of each has the other as a factor, so neither ever moves."""
from lab.diagnosed import Diagnosis
from lab.events import RunResult
from lab.spec import RunSpec


class NothingMoves(Diagnosis):
    key = "nothing-moves"
    title = "A and B are both zero and stay so"
    about = "LoRA was started with A at zero as well as B. The run ends without an error, and the head alone makes the loss fall."
    knob = "init"
    shown = "loss"
    mistaken = ("cut-off", "nothing-to-learn", "steps-too-small")
    broken = {"model": "minilm-l6", "task": "movies", "method": {"name": "lora", "init": "zero_a"}}

    @classmethod
    def found(cls, spec: RunSpec, result: RunResult) -> str | None:
        seen = [each.value for each in result.observed if each.lens == "gradient_norms" and each.value]
        if result.state != "finished" or len(seen) < 2 or any(value for looked in seen for value in looked.values()):
            return None
        if getattr(spec.method, "init", "") != "zero_a":
            return (f"At all {len(seen)} looks the gradient of every part of {spec.method.title} was exactly 0, so it has added nothing. That is so where the "
                    "parts are multiplied by 0: look at scales and start values.")
        return (f"At all {len(seen)} looks the gradients of A and of B were exactly 0: that of A has B as a factor and that of B has A, and both are 0. "
                "The method has added nothing.")

    @classmethod
    def against(cls, spec: RunSpec, result: RunResult) -> str:
        looks = [(each.step, each.value) for each in result.observed if each.lens == "gradient_norms" and each.value]
        if not looks:
            return f"{spec.method.title} has no A and no B."
        step, norms = looks[-1]
        found = ", ".join(f"{name} {value:.2g}" for name, value in norms.items())
        return f"At step {step} the gradients were not 0 (their norms: {found}), so what the method trains did move."

    @classmethod
    def advice(cls, spec: RunSpec) -> str:
        if getattr(spec.method, "init", "") != "zero_a":
            return "Give what scales the method, alpha for instance, a value that is not 0, and start values that are not all 0."
        return "Start A with small random numbers and only B at 0, as init kaiming does."


entry = NothingMoves
