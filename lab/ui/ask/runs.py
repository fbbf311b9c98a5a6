"""The run that is asked: which ones there are, whether one can be asked here, in which forms, and if not, why and what to do."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.contracts import LabError
from lab.events import RunResult
from lab.recording import Recorded
from lab.serving import LONGEST_TEXT, LONGEST_WORDING, MOST_SHOTS, askable, forms, prompts, shows_examples
from lab.spec import RunSpec
from lab.store import Run
from lab.ui import address, charts
from lab.ui.bench import Bench
from lab.ui.controls import label
from lab.ui.picture import RECORDED, made, sentence, title
from lab.ui.wording import cell, score, task_said

LISTED = 40  # runs of this browser in the menu
REMEMBERED = 256  # finished runs whose score is kept
CALLS = {False: 9, True: 3}  # of each form where its time is taken: of labels, and of written answers, which take longer
TOLD = {"virtual_tokens": "{} virtual tokens", "rank": "rank {}", "shots": "{} examples"}
FORMS = {"adapter": "as it was trained", "merged": "merged into the base", "nf4": "on a base in 4 bits"}
WAYS_OUT = {"recorded": "Run it yourself", "going": "Watch it", "ended": "Change it and run it again", "gone": "Run it again", "images": "Choose a text task",
            "unknown": "Choose and train"}


@dataclass(frozen=True)
class Known:
    """What a finished run's events say that is wanted here."""

    score: str
    dtype: str


class Runs:
    """Opens runs by the key the page asks with, and remembers of finished ones what does not change."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._recorded = {RECORDED + each.key: each for each in bench.recorded}
        self._known: OrderedDict[str, Known] = OrderedDict()

    def choices(self, owner: str) -> dict[str, Any]:
        """The menu: this browser's finished runs, newest first, then the recorded ones, which brought no weights along."""
        mine = self.bench.store.history(owner, state="finished", limit=LISTED) if owner else []
        return {"mine": [self._choice(run) for run in mine],
                "recorded": self._recorded_choices()}

    def _recorded_choices(self) -> list[dict[str, Any]]:
        settings = [each.spec.to_dict() for each in self._recorded.values()]
        own = apart(settings)
        return [{"run": key, "name": title(settings[place]), "told": " · ".join(filter(None, (told(settings[place]), own[place], _score(each.result))))}
                for place, (key, each) in enumerate(self._recorded.items())]

    def run(self, key: str) -> Run:
        """A run of the store. Raises LabError for anything else."""
        if key in self._recorded:
            raise LabError("recorded runs ship no weights: run it yourself, then ask it")
        run = self.bench.store.run(key)
        if run.kind != "train":
            raise LabError("this is no training, but something asked of one: choose the run itself")
        return run

    def view(self, key: str, owner: str) -> dict[str, Any]:
        """The run as the page shows it, and whether it can be asked."""
        recorded = self._recorded.get(key)
        if recorded is not None:
            return self._recorded_view(key, recorded)
        run = self.run(key)
        self.bench.check_reader(run, owner)
        spec = _spec(run)
        state, reason = self.standing(run, spec)
        known = self.known(run) if run.state == "finished" else Known("", "auto")
        return {**_about(key, run.settings, spec), "title": run.title, "state": run.state, "mine": bool(owner) and run.owner == owner, "score": known.score,
                "standing": state, "reason": reason, "way_out": WAYS_OUT.get(state, ""), "here": self._base_here(spec)}

    def standing(self, run: Run, spec: RunSpec | None) -> tuple[str, str]:
        """("ready", "") where it can be asked; otherwise a word for why not, and the reason in a sentence."""
        if spec is None:
            return "unknown", "The catalogue no longer has this run's model, task or method, so it cannot be opened."
        if not run.ended:
            return "going", "It is still waiting for its turn." if run.state == "queued" else "It is still training: it can be asked when it has finished."
        if run.state != "finished":
            return "ended", f"It {'failed' if run.state == 'failed' else 'was stopped'} before its end, so it kept no adapter that could be asked."
        fits = askable(spec)
        if not fits.ok:
            return "images", f"It cannot be asked with a text: {fits.reason}."
        if not (self.bench.store.folder(run.id) / "adapter" / "lab.json").is_file():
            return "gone", "Its adapter is not on this machine any more: the folder of runs was cleared, or copied without it. Its scores are still there."
        return "ready", ""

    def known(self, run: Run) -> Known:
        if run.id not in self._known:
            while len(self._known) >= REMEMBERED:
                self._known.popitem(last=False)
            result = self.bench.store.result(run.id)
            self._known[run.id] = Known(_score(result), result.started.dtype if result.started else "auto")
        return self._known[run.id]

    def _choice(self, run: Run) -> dict[str, Any]:
        return {"run": run.id, "name": run.title or title(run.settings), "told": " · ".join(filter(None, (told(run.settings), self.known(run).score)))}

    def _recorded_view(self, key: str, recorded: Recorded) -> dict[str, Any]:
        reason = "Recorded runs ship no weights: what they measured is here, the adapter is not. Make this run yourself, then ask it."
        return {**_about(key, recorded.spec.to_dict(), recorded.spec), "title": "", "state": "finished", "mine": False, "label": made(recorded), "here": "",
                "standing": "recorded", "reason": reason, "way_out": WAYS_OUT["recorded"],
                "score": _score(recorded.result)}

    def _base_here(self, spec: RunSpec | None) -> str:
        """What the first question has to wait for where the base does not lie here; "" where it does."""
        if spec is None or spec.base.seeded or self.bench.hashes(spec)[0]:
            return ""
        return f"{spec.base.title} is not on this machine now. The first question fetches it, which may take minutes. {spec.base.origin}"


def told(settings: Mapping[str, Any]) -> str:
    """What tells runs of one method apart, down to the seed."""
    method = settings["method"]
    knobs = [words.format(method[key]) for key, words in TOLD.items() if method.get(key)]
    return ", ".join([task_said(settings.get("task")), *knobs, *([f"{settings['steps']} steps"] if settings.get("steps") else []),
                      *([f"seed {settings['seed']}"] if "seed" in settings else [])])


def apart(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of each run what it has otherwise than those that are told in the same words; "" where its words are its own."""
    flat = [{**{key: value for key, value in each.items() if key != "method"}, **each["method"]} for each in runs]
    words = [(title(each), told(each)) for each in runs]
    found = []
    for place, own in enumerate(flat):
        alike = [other for other, said in zip(flat, words, strict=True) if said == words[place]]
        differ = [key for key, value in own.items() if any(other.get(key) != value for other in alike)]
        found.append(", ".join(f"{label(key).lower()} {cell(own[key])}" for key in differ))
    return found


def _about(key: str, settings: Mapping[str, Any], spec: RunSpec | None) -> dict[str, Any]:
    """What is to be said of a run from its settings alone."""
    about = {"run": key, "name": title(settings), "settings": sentence(settings), "model": settings["model"], "task": settings.get("task"),
             "colour": charts.colour(settings["method"]["name"]), "label": "", "address": address.query(spec) if spec else "",
             "longest": LONGEST_TEXT, "longest_wording": LONGEST_WORDING}
    if spec is None:
        return about
    task, prompted = spec.goal, prompts(spec)
    return {**about, "base": spec.base.title.partition(" (")[0], "method": spec.method.title, "task_title": task.title, "writes": task.writes,
            "labels": list(task.labels), "calls": CALLS[task.writes], "most_shots": MOST_SHOTS,
            "forms": [{"key": form, "title": FORMS[form], "ok": fits.ok, "reason": fits.reason} for form, fits in forms(spec).items()],
            "prompt": {"ok": prompted.ok, "reason": prompted.reason, "examples": shows_examples(spec), "own": task.prompt, "others": list(task.wordings)}}


def _score(result: RunResult) -> str:
    tuned = result.scores.get("tuned")
    return score(tuned.score, tuned.standard_error, tuned.metric) if tuned else ""


def _spec(run: Run) -> RunSpec | None:
    try:
        return run.spec
    except LabError:
        return None
