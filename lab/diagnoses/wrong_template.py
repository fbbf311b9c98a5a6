"""Words around the text that do not fit: others than the model learned with, or a question that it cannot answer well."""
from math import hypot

from lab.diagnosed import Diagnosis, looked
from lab.events import Evaluated, RunResult
from lab.spec import RunSpec

CLEAR = 3.0  # standard errors between two scores


class WrongTemplate(Diagnosis):
    key = "wrong-template"
    title = "The template does not fit"
    about = ("The texts were learned inside one template, and the finished model is asked inside another. Both are sensible questions; the model knows only "
             "one of them.")
    knob = "mistake"
    shown = "scores"
    mistaken = ("adapter-not-loaded", "by-heart", "one-answer")
    broken = {"model": "seed-llama", "task": "toy", "method": {"name": "lora", "targets": ["all"]}, "steps": 100, "lr": 0.01, "eval_items": 200,
              "mistake": "other_wording"}

    @classmethod
    def found(cls, spec: RunSpec, result: RunResult) -> str | None:
        tuned = result.scores.get("tuned")
        if result.state != "finished" or tuned is None:
            return None
        return _asked_otherwise(result, tuned) or _badly_asked(spec, result, tuned)

    @classmethod
    def against(cls, spec: RunSpec, result: RunResult) -> str:
        if spec.shape.kind == "encoder":
            return f"{spec.base.title} reads the bare text: there are no words around it that could fit or not."
        tuned = result.scores["tuned"]
        return (f"In the words that it had learned with, the trained model answered {tuned.score:.3f} of {tuned.items:,} test texts rightly, and in the same "
                "words it was asked again.")

    @classmethod
    def advice(cls, spec: RunSpec) -> str:
        if spec.steps:
            return "Ask with the very template of the training, to the last space and line break; keep it in the adapter's folder, next to the weights."
        return "Choose the wording by its score on validation texts, never on the test texts. A trained prompt is found by steps instead of by trying."


def _asked_otherwise(result: RunResult, tuned: Evaluated) -> str | None:
    told, last = result.seen("template"), looked(result)
    if not told or told["learned"] == told["asked"] or last is None or not _below(tuned, last):
        return None
    return (f"It learned with “{_shown(told['learned'])}” and was tested with “{_shown(told['asked'])}”. Asked as it had learned, it answered {last.score:.2f} "
            f"of {last.items:,} validation texts rightly at step {last.step}; asked in the other words, {tuned.score:.2f} of {tuned.items:,} test texts.")


def _badly_asked(spec: RunSpec, result: RunResult, tuned: Evaluated) -> str | None:
    """Without solved examples, whose choice and order move the score as well, only the wording is left."""
    best, known = result.scores.get("prompt"), result.seen("wording")
    if spec.steps or getattr(spec.method, "shots", None) != 0 or best is None or not known or known["best"] == spec.question.prompt or not _below(tuned, best):
        return None
    return (f"Asked with “{_shown(spec.question.prompt)}”, the model answers {tuned.score:.3f} of the test texts rightly; with “{_shown(known['best'])}”, "
            f"{best.score:.3f} of the same ones.")


def _below(one: Evaluated, other: Evaluated) -> bool:
    return other.score - one.score > CLEAR * hypot(one.standard_error, other.standard_error)


def _shown(prompt: str) -> str:
    return " ".join(prompt.replace("{text}", "…").split())


entry = WrongTemplate
