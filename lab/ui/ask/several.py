"""Several finished runs at once: which of them share a base, a batch for all of them, a mix of them, and the four domain experts to mix."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lab import catalogue
from lab.contracts import LabError, shorten
from lab.serving import KIND, Gathering, Mixture, mixable, shares, together
from lab.serving.several import LORAS, MOST_RUNS, PRUNES
from lab.spec import RunSpec
from lab.store import Run
from lab.ui import charts
from lab.ui.ask.runs import LISTED, Runs, told
from lab.ui.bench import Bench
from lab.ui.picture import title
from lab.ui.planned import mine, submit
from lab.ui.view import answered
from lab.ui.wording import about

DOMAINS = ("movies", "products", "editorials", "tweets")
PLANS = {  # runs that one press trains: what is mixed, and what shows that quite different parts share a base
    "experts": tuple((task, "lora") for task in DOMAINS),
    "starters": (("movies", "lora"), ("products", "prompt_tuning"), ("tweets", "ia3")),
}
CALLS = 7  # of each kind, where batches are timed
ITEMS = {False: 300, True: 100}  # of each domain behind a mix's scores; a model that writes takes its time
MIXED = ("way", "weights", "density", "prior", "split", "seed")  # what the page may say of a mix
WAYS = {
    "posterior": ("Answers, by the text's domain",
                  "Each text is asked of all; whose answer counts how much is the probability of its domain, as its own words show it (DEMix)."),
    "average": ("Answers, in fixed shares", "Each text is asked of all, and their answers are averaged in the shares of the sliders."),
    "stack": ("Parts of different kinds, stacked",
              "One pass with the LoRA of one run and the soft prompt (or IA3) of another. Each was trained without the other; the method Combination trains "
              "them together."),
    "sum": ("Changes, added up",
            "W₀ + Σ w ΔW: every expert's change times its weight, exactly. A weight below 0 takes an expert's change away (task arithmetic)."),
    "linear": ("Matrices, added up (linear)",
               "A with A and B with B, each times √w. Their product has terms of two experts at once, so it is another model than the sum, and a larger one: "
               "two halves of the same expert come out twice as large as the expert."),
    "ties": ("TIES",
             "Experts that pull one number up and down cancel each other. TIES keeps the largest numbers of A and B, lets the majority decide each sign, and "
             "averages what agrees with it."),
    "dare_linear": ("DARE, linear",
                    "Numbers of A and B are left out at random: experts meet in fewer places; the rest is made larger for it, then averaged."),
    "dare_ties": ("DARE, TIES",
                  "First numbers are dropped at random as in DARE, so that experts meet in fewer places; then a majority settles each sign, as in TIES."),
    "svd": ("Changes, added up and cut (SVD)",
            "A sum of experts has a higher rank than each. A singular value decomposition (SVD) sorts the exact sum by strength, and only the strongest "
            "directions are kept: as many as the largest of the ranks."),
    "ties_svd": ("TIES on changes (SVD)", "TIES on the changes themselves instead of A and B, then cut to the largest rank."),
    "dare_linear_svd": ("DARE on changes (SVD)", "DARE on the changes themselves, then cut to the largest rank."),
    "dare_ties_svd": ("DARE and TIES on changes (SVD)", "Both on the changes themselves, then cut to the largest rank."),
}


@dataclass(frozen=True)
class Part:
    """One run of a plan."""

    spec: RunSpec
    run: Run | None
    known: bool

    @property
    def state(self) -> str:
        return self.run.state if self.run else "known" if self.known else "missing"


def several(bench: Bench, known: Runs, check_room: Callable[[str], None]) -> list[Callable[[Any], dict[str, Any]]]:
    """What the page may ask of several runs. An answer to `gather` and `blend` is told of by `reply`, as of any question."""

    @answered
    def beside(asked: Any) -> dict[str, Any]:
        """{"owner"} → this browser's finished runs by base, each with why it cannot share one, where it cannot."""
        owner = str(asked.get("owner", ""))
        runs = bench.store.history(owner, state="finished", limit=LISTED) if owner else []
        found = [choice for run in runs if (choice := _choice(known, run))]
        bases = {each["model"]: catalogue.find("models", each["model"]).title.partition(" (")[0] for each in found}
        return {"bases": [{"model": model, "title": name} for model, name in bases.items()], "runs": found, "most": MOST_RUNS, "ways": ways(),
                "domains": DOMAINS}

    @answered
    def gather(asked: Any) -> dict[str, Any]:
        """{"runs", "texts", "owner", "time"} → {"question"}"""
        runs = _ready(known, asked)
        _check(together([run.spec for run in runs]))
        texts = asked.get("texts")
        question = Gathering.parse({"runs": [run.id for run in runs], "texts": texts if isinstance(texts, list) else [], "base": True,
                                    "dtype": _dtype(known, runs), "calls": CALLS if asked.get("time") is True else 0})
        return _submitted(question, str(asked.get("owner", "")))

    @answered
    def blend(asked: Any) -> dict[str, Any]:
        """{"runs", "way", "weights" …, "owner"} → {"question"}"""
        runs = _ready(known, asked)
        weights = asked.get("weights")
        settings = {key: asked[key] for key in MIXED if key in asked} | {"weights": [float(each) for each in weights] if _numbers(weights) else []}
        question = Mixture.parse({"runs": [run.id for run in runs], "dtype": _dtype(known, runs), "items": ITEMS[runs[0].spec.shape.writes], **settings})
        _check(mixable([run.spec for run in runs], question.way))
        return _submitted(question, str(asked.get("owner", "")))

    @answered
    def plan(asked: Any) -> dict[str, Any]:
        """{"plan", "model", "owner", "start"} → the runs of a plan on a base and how far they are; with `start` those that are missing are queued."""
        owner, model = str(asked.get("owner", "")), str(asked.get("model") or "minilm-l6")
        if asked.get("plan") not in PLANS:
            raise LabError(f"plan is {shorten(asked.get('plan'))}: there are {', '.join(PLANS)}")
        found, trouble = _planned(bench, asked["plan"], model, owner), ""
        if asked.get("start") is True and owner:
            trouble = submit(bench, found, owner, ("failed", "cancelled"))
            found = _planned(bench, asked["plan"], model, owner)
        return {"runs": [{"name": _short(each), "state": each.state} for each in found], "trouble": trouble, "says": _price(bench, found),
                "done": all(each.state == "finished" for each in found), "going": any(each.state in ("queued", "running") for each in found),
                "missing": any(each.state not in ("queued", "running", "finished") for each in found)}

    def _submitted(question: Gathering | Mixture, owner: str) -> dict[str, Any]:
        check_room(owner)
        return {"question": bench.store.submit(question, owner, kind=KIND, priority=1).id}

    return [beside, gather, blend, plan]


def ways() -> list[dict[str, Any]]:
    """As the page offers them: whether they have sliders, from which weight on, and whether they prune, or take nothing but LoRA."""
    return [{"key": key, "title": name, "about": words, "slides": key not in ("posterior", "stack"), "low": 0 if key == "average" else -1,
             "prunes": key in PRUNES, "loras": key not in ("posterior", "average", "stack")} for key, (name, words) in WAYS.items()]


def _choice(known: Runs, run: Run) -> dict[str, Any] | None:
    try:
        spec = run.spec
    except LabError:
        return None
    state, reason = known.standing(run, spec)
    fits = shares(spec) if state == "ready" else None
    ok = bool(fits and fits.ok)
    knobs = told(run.settings).removeprefix(f"{spec.task}, ")
    return {"run": run.id, "model": str(spec.model), "task": spec.task, "name": run.title or f"{spec.method.title} on {spec.task}", "told": knobs, "ok": ok,
            "reason": "" if ok else fits.reason if fits else reason, "colour": charts.colour(spec.method.key), "method": spec.method.title,
            "labels": list(spec.goal.labels), "lora": spec.method.key in LORAS, "score": known.known(run).score, "ended": run.finished}


def _ready(known: Runs, asked: Mapping[str, Any]) -> list[Run]:
    keys = asked.get("runs")
    runs = [known.run(str(key)) for key in keys[:MOST_RUNS + 1]] if isinstance(keys, list) else []
    for run in runs:
        known.bench.check_reader(run, str(asked.get("owner", "")))
        state, reason = known.standing(run, run.spec)
        if state != "ready":
            raise LabError(f"{title(run.settings)}: {reason}")
    if len(runs) < 2:
        raise LabError("one run alone shares nothing: choose at least two")
    return runs


def _check(fits: Any) -> None:
    if not fits.ok:
        raise LabError(fits.reason)


def _numbers(weights: Any) -> bool:
    return isinstance(weights, list) and all(isinstance(each, int | float) and not isinstance(each, bool) for each in weights)


def _dtype(known: Runs, runs: list[Run]) -> str:
    """One base has one number format: the runs' own where they agree, and else the finer one."""
    formats = {known.known(run).dtype for run in runs}
    return formats.pop() if len(formats) == 1 else "float32"


def _planned(bench: Bench, plan: str, model: str, owner: str) -> list[Part]:
    specs = [RunSpec.parse({"model": model, "task": task, "method": method}) for task, method in PLANS[plan]]
    runs = mine(bench, specs, owner)
    return [Part(spec, runs.get(spec.fingerprint), bench.made_before(spec)) for spec in specs]


def _short(part: Part) -> str:
    return f"{part.spec.method.title} on {part.spec.task}"


def _price(bench: Bench, found: list[Part]) -> str:
    """How long the missing ones will take, as far as that is known."""
    missing = [each for each in found if each.state not in ("queued", "running", "finished")]
    if not missing:
        going = sum(each.state in ("queued", "running") for each in found)
        return f"{len(found) - going} of {len(found)} are trained." if going else "All are trained."
    paces = [bench.paces.of(each.spec) for each in missing]
    known = [pace.total(each.spec.steps) for pace, each in zip(paces, missing, strict=True) if pace]
    time = about(sum(known)) if len(known) == len(missing) else "about half a minute each on a small model and a quiet machine"
    base = missing[0].spec.base.title.partition(" (")[0]
    return f"{len(missing)} of {len(found)} are still to be trained, on {base}: {time}."
