"""A fresh adapter in the place of the trained one: nothing complains, and the model answers as if it had never been trained."""
from lab.diagnosed import Diagnosis
from lab.events import RunResult
from lab.spec import RunSpec


class AdapterNotLoaded(Diagnosis):
    key = "adapter-not-loaded"
    title = "The trained adapter was not loaded"
    about = ("The adapter was trained and saved. To use it, a new one was attached where the saved one should have been loaded: get_peft_model in place of "
             "PeftModel.from_pretrained. LoRA's B starts at 0, so this is the base again, and no error says so.")
    knob = "mistake"
    shown = "scores"
    mistaken = ("by-heart", "nothing-moves", "wrong-template")
    broken = {"model": "seed-llama", "task": "toy", "method": {"name": "lora", "targets": ["all"]}, "steps": 100, "lr": 0.01, "eval_items": 200,
              "mistake": "fresh_adapter"}

    @classmethod
    def found(cls, spec: RunSpec, result: RunResult) -> str | None:
        seen, tuned, loaded = result.seen("reloaded"), result.scores.get("tuned"), result.scores.get("reloaded")
        if result.state != "finished" or not seen or tuned is None or loaded is None:
            return None
        old = seen["untrained"] == seen["items"] > seen["same"]
        as_before = " All its answers are those of the model before training: what was trained is in the folder, and not in this model." if old else ""
        return (f"At the end of training {tuned.score:.3f} of the test texts were answered rightly. Loaded again, the run answers {loaded.score:.3f} rightly, "
                f"and only {seen['same']:,} of {seen['items']:,} texts as it did.{as_before}")

    @classmethod
    def against(cls, spec: RunSpec, result: RunResult) -> str:
        seen = result.seen("reloaded")
        if seen:
            return (f"Saved and loaded again it gave {seen['same']:,} of {seen['items']:,} texts the answer that it had given before: what was trained "
                    "was there.")
        return f"The score of {result.scores['tuned'].score:.3f} is that of the very model that had been trained: nothing was loaded in between."

    @classmethod
    def advice(cls, spec: RunSpec) -> str:
        load = "Load the saved adapter into the base (PeftModel.from_pretrained), and compare a few answers with those from before saving."
        return load if spec.mistake else f"{load} Here the saved files and the trained model differ, so do not trust this run's folder."


entry = AdapterNotLoaded
