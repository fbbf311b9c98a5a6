"""Texts longer than what is read of them: the end, where a verdict often stands, is never seen."""
from lab.diagnosed import Diagnosis
from lab.events import RunResult
from lab.spec import RunSpec

MOST = 0.9  # of what may be read is used by the average text


class CutOff(Diagnosis):
    key = "cut-off"
    title = "Most of each text is cut off"
    about = "Each review was cut after 8 tokens, about five words. Such a run is quick and takes little memory, and nothing complains."
    knob = "tokens"
    shown = "answers"
    mistaken = ("nothing-moves", "nothing-to-learn", "steps-too-small")
    broken = {"model": "minilm-l6", "task": "movies", "method": "lora", "tokens": 8}

    @classmethod
    def found(cls, spec: RunSpec, result: RunResult) -> str | None:
        read = result.seen("read") or {}
        used = read.get("tokens_per_answer", 0) - spec.method.virtual_tokens_used()
        if not read or spec.tokens > 32 or not MOST * spec.tokens <= used <= spec.tokens:
            return None
        return (f"At most {spec.tokens} tokens of a text are read, its two or three marks included, and the average test text fills {used:.1f} of them: "
                "nearly all texts end before their end.")

    @classmethod
    def against(cls, spec: RunSpec, result: RunResult) -> str:
        read = result.seen("read")
        used = f", and the average test text fills {read['tokens_per_answer'] - spec.method.virtual_tokens_used():.1f} of them" if read else ""
        return f"Up to {spec.tokens} tokens of a text are read{used}, so the average text is read to its end."

    @classmethod
    def advice(cls, spec: RunSpec) -> str:
        return "Let it read more: 64 tokens hold most of these texts. Memory and time grow with it."


entry = CutOff
