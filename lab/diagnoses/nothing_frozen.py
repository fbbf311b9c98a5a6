"""Everything is trained where a few numbers were meant to be: at a learning rate made for few, and with the memory of all."""
from lab.contracts import number
from lab.diagnosed import Diagnosis, rate
from lab.events import RunResult
from lab.spec import RunSpec


class NothingFrozen(Diagnosis):
    key = "nothing-frozen"
    title = "Nothing is frozen"
    about = "The base was left trainable, and a learning rate kept that suits a few added numbers. It runs, and it unlearns what the model knew."
    knob = "method"
    shown = "memory"
    mistaken = ("above-break-even", "by-heart", "nothing-to-learn")
    broken = {"model": "minilm-l6", "task": "movies", "method": "full", "lr": 0.001}

    @classmethod
    def found(cls, spec: RunSpec, result: RunResult) -> str | None:
        counts, memory = result.started.counts, result.seen("memory")
        if counts["share"] < 0.99 or not memory or spec.lr < 5 * rate(spec).default:
            return None
        more = memory["parts"]["gradients"] + memory["parts"]["optimizer"]
        return (f"All {counts['total']:,} numbers are trained, so gradients and optimizer states take {more / 1e6:,.0f} MB beside "
                f"{memory['parts']['weights'] / 1e6:,.0f} MB of weights; and the learning rate, {number(spec.lr)}, "
                f"is {spec.lr / rate(spec).default:.0f} times what training all of them takes.")

    @classmethod
    def against(cls, spec: RunSpec, result: RunResult) -> str:
        counts = result.started.counts
        return f"{counts['trainable']:,} of {counts['total']:,} numbers were trained, which is {counts['share']:.2%}: all the others were frozen."

    @classmethod
    def advice(cls, spec: RunSpec) -> str:
        return f"Freeze the base and train a method, LoRA for instance; or, to train everything, take a learning rate of {number(rate(spec).default)}."


entry = NothingFrozen
