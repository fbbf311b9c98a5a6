"""What came out of a comparison: from the results of its runs, in one dict; the only place where verdicts are made."""
from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations, product
from math import sqrt
from statistics import fmean, geometric_mean, stdev
from typing import Any

from lab.compare import outcomes, paired, says, steady
from lab.compare.arms import blurred, differences, warnings
from lab.compare.comparison import Comparison
from lab.compare.outcomes import VOTE, Outcome
from lab.compare.paired import Gap
from lab.events import RunResult, finite
from lab.spec import RunSpec

SCHEMA = 1
SHORT = 12  # characters of a hash
ENDED = ("finished", "failed")
TIMES = tuple(steady.TIMES)  # of one machine, else not comparable
MIDDLE = (*TIMES, "base_seconds", "peak_bytes", "weights_bytes", "adapter_bytes", "answer_tokens")  # of an arm the median of its runs
FEWEST_VOTES = 3
QUESTIONS = {
    "over_seeds": "Would it come out so again with other seeds? A paired t over seeds, Holm over all pairs.",
    "on_items": "Would these very runs differ on new items of the same kind? McNemar's exact test or a paired bootstrap, one pair of runs at a time, Holm over "
                "all of them.",
}


def report(comparison: Comparison, results: Mapping[str, RunResult], labels: Sequence[int] | None = None,
           looks: Sequence[Sequence[int]] = ()) -> dict[str, Any]:
    """`results` by the fingerprint of their spec, as far as there are any; `labels` are the right ones of the test items, where there are labels; `looks`
    the seeds behind each earlier look at the verdicts, in order. Verdicts are given once every run has ended."""
    runs = {(name, seed): results.get(comparison.run(name, seed).fingerprint, RunResult()) for seed in comparison.seeds for name in comparison.specs}
    over = all(run.state in ENDED for run in runs.values())
    look, counted = look_of(comparison, looks)
    arms = [_arm(comparison, name, {seed: runs[name, seed] for seed in comparison.seeds}) for name in comparison.specs]
    steady.mark(arms)
    metric = next((arm["metric"] for arm in arms if arm["metric"]), comparison.headline)
    tested = next((run["test_metric"] for arm in arms for run in arm["runs"] if run["test_metric"]), comparison.base_spec.goal.metric)
    shared = [_shared({name: (comparison.run(name, seed), runs[name, seed]) for name in comparison.specs}, seed, comparison.mixed) for seed in comparison.seeds]
    for arm in arms:
        arm["vote"] = _vote(comparison, [runs[arm["name"], seed] for seed in comparison.seeds], labels)
    said = says.looked(look, comparison.looks, paired.alpha_of(look, comparison.looks), paired.spent(look, comparison.looks))
    made = {
        "schema": SCHEMA, "title": comparison.title, "fingerprint": comparison.fingerprint, "comparison": comparison.to_dict(),
        "state": "finished" if over else "running", "metric": metric, "higher_is_better": says.better(metric) > 0, "test_metric": tested,
        "seeds": list(comparison.seeds), "load": steady.said(arms), "measure": comparison.measure,
        "tests": list(comparison.base_spec.tested_on), "mixed": comparison.mixed, "arms": arms,
        "on_items": _on_items(comparison, arms, runs, labels),
        "shared": shared, "references": {} if comparison.mixed or not comparison.scored else _references(runs.values()), "questions": QUESTIONS,
        "looks": {"planned": comparison.looks, "look": look, "seeds": counted, "strictness": paired.alpha_of(look, comparison.looks),
                  "spent": paired.spent(look, comparison.looks), "says": said},
        "warnings": [*warnings(comparison), *_found(arms, shared), *([said] if over and look > comparison.looks else [])],
    }
    return made | {"pairs": judged_by(comparison, made)[comparison.measure], "untouched": _untouched(comparison, made, runs)}


def look_of(comparison: Comparison, looks: Sequence[Sequence[int]]) -> tuple[int, list[int]]:
    """Which look this is, counted from 1, and how many seeds each had so far; the same seeds looked at again are no new look."""
    seen = [sorted(seeds) for seeds in looks]
    if sorted(comparison.seeds) not in seen:
        seen.append(sorted(comparison.seeds))
    look = seen.index(sorted(comparison.seeds)) + 1
    return look, [len(seeds) for seeds in seen[:look]]


# ── arms ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _arm(comparison: Comparison, name: str, runs: Mapping[int, RunResult]) -> dict[str, Any]:
    spec = comparison.specs[name]
    things, notes = differences(comparison.base_spec, spec)
    rows = [_run(comparison, comparison.run(name, seed), seed, run) for seed, run in runs.items()]
    scores = [row["score"] for row in rows]
    known = [score for score in scores if score is not None]
    counts = spec.counts.to_dict()
    return {
        "name": name, "title": spec.method.title, "spec": spec.to_dict(), "changes": things, "notes": notes,
        "metric": next((row["metric"] for row in rows if row["metric"]), ""), "scores": scores,
        "mean": fmean(known) if known else None, "deviation": stdev(known) if len(known) > 1 else None,
        **{key: _mean(row[key] for row in rows) for key in ("test_score", "last_loss")},
        **{key: counts[key] for key in ("trainable", "method", "head", "total", "share")},
        **{key: _middle(row[key] for row in rows) for key in MIDDLE}, "forgetting": _factor(row["forgetting"] for row in rows),
        "runs": rows,
    }


def _run(comparison: Comparison, spec: RunSpec, seed: int, run: RunResult) -> dict[str, Any]:
    """`score` is what the comparison is about: that on the test, or the loss on training texts."""
    tuned = run.scores.get("tuned") if run.state == "finished" else None
    tests, mixed = _tests(spec, run) if tuned else {}, comparison.mixed
    tested, error, items = _scored(spec, tests, mixed)
    last = run.last_loss if tuned else None
    score, metric = (tested, tuned.metric if tuned else "") if comparison.scored else (last, comparison.headline if tuned else "")
    memory, general, alone = (run.seen(lens) or {} for lens in ("memory", "general_text", "one_text"))
    return {
        "seed": seed, "fingerprint": spec.fingerprint, "state": run.state,
        "reason": run.reason or (_missing(comparison, run) if run.state == "finished" and score is None else ""), "advice": run.advice,
        "metric": metric, "score": score, "standard_error": error if comparison.scored else None,
        "items": items, "more": dict(tuned.more) if tuned else {}, "tests": tests,
        "test_score": tested, "test_metric": tuned.metric if tuned else "", "last_loss": last, "test_loss": finite(tuned.loss) if tuned else None,
        "peak_bytes": memory.get("peak_bytes"), "weights_bytes": (memory.get("parts") or {}).get("weights"),
        "step_seconds": 1 / run.steps_per_second if run.steps_per_second else None,
        "train_seconds": run.seconds.get("training"), "total_seconds": run.seconds.get("total"), "adapter_bytes": run.adapter_bytes or None,
        "answer_seconds": tuned.seconds / tuned.items if tuned and tuned.seconds and tuned.items and not spares_blocks(spec) else None,
        "alone_seconds": alone.get("tuned"), "merged_seconds": alone.get("merged"), "base_seconds": alone.get("base"),
        "alone_times": _times(alone, "tuned"), "merged_times": _times(alone, "merged"),
        "answer_tokens": (run.seen("read") or {}).get("tokens_per_answer"), "general": general or None, "forgetting": general.get("ratio"),
        "train_items": run.started.items.get("train") if run.started else None,
        "compiled": run.compiled, "dtype": run.started.dtype if run.started else None, "device": run.started.device if run.started else None,
        "shared": _hash(_parts(spec, run, mixed)) if run.started else None,
    }


def spares_blocks(spec: RunSpec) -> bool:
    """Whether the lowest block lies under all that is trained: the engine keeps what such blocks gave for a text, also from one run to the next, so the test
    texts may have been answered without them, which tells nothing of how long an answer takes."""
    if not spec.steps or spec.shape.kind not in ("encoder", "decoder") or spec.method.format.key == "peft":
        return False
    return not any(place.layer in (0, None) for place in spec.method.places(spec.shape))


def _missing(comparison: Comparison, run: RunResult) -> str:
    return f"its {'score' if comparison.scored else comparison.headline} is not a number" if comparison.scored or run.losses else "it has trained nothing"


def _times(alone: Mapping[str, float | None], form: str) -> float | None:
    """Over what the untouched base took in the same turn: what else the machine did hits both."""
    return alone[form] / alone["base"] if alone.get(form) and alone.get("base") else None


def _tests(spec: RunSpec, run: RunResult) -> dict[str, dict[str, Any]]:
    """{task: score on its test} of the run's own task and of those it was tested on as well."""
    own = run.scores["tuned"]
    seen = {str(spec.task): (own.score, own.standard_error, own.items),
            **{key: (each["score"], each["standard_error"], each["items"]) for key, each in (run.seen("transfer") or {}).items()}}
    return {key: {"score": finite(score), "standard_error": error, "items": items}
            for key, (score, error, items) in seen.items()}


def _scored(spec: RunSpec, tests: Mapping[str, Mapping[str, Any]], mixed: bool) -> tuple[float | None, float | None, int]:
    """Score, standard error over items, and items: of the run's own test, or the mean over the tests of all tasks where arms learn different ones."""
    asked = spec.tested_on if mixed else (str(spec.task),)
    seen = [tests[key] for key in asked if key in tests and tests[key]["score"] is not None]
    if not seen or len(seen) < len(asked):
        return None, tests[str(spec.task)]["standard_error"] if tests else None, tests[str(spec.task)]["items"] if tests else 0
    return fmean(each["score"] for each in seen), sqrt(sum(each["standard_error"] ** 2 for each in seen)) / len(seen), sum(each["items"] for each in seen)


def _vote(comparison: Comparison, runs: Sequence[RunResult], labels: Sequence[int] | None) -> dict[str, Any] | None:
    """What the seeds of an arm answer together: the label that most of them give, shared among those that tie (after Lester et al. 2021, section 6).
    `gain` is its lead over the mean of its members, with its standard error over items: about these runs on new items. `apart` counts how many items have
    which lead."""
    said = [letters for run in runs if run.state == "finished" and (letters := (run.seen("answers") or {}).get("tuned", ""))]
    if not labels or not comparison.itemised or comparison.base_spec.goal.writes or len(said) < FEWEST_VOTES or any(len(each) != len(labels) for each in said):
        return None
    votes, members = [], []
    for label, *answers in zip(labels, *said, strict=True):
        given = [int(letter, 36) for letter in answers]
        most = max(map(given.count, given))
        first = {answer for answer in given if given.count(answer) == most}
        votes.append((label in first) / len(first))
        members.append(given.count(label) / len(given))
    apart = [vote - member for vote, member in zip(votes, members, strict=True)]
    each = [fmean(int(letter, 36) == label for letter, label in zip(letters, labels, strict=True)) for letters in said]
    return {"score": fmean(votes), "members": each, "mean": fmean(each), "best": max(each), "gain": fmean(apart),
            "standard_error": stdev(apart) / sqrt(len(apart)), "items": len(labels),
            "apart": sorted(Counter(apart).items())}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _factor(values: Iterable[float | None]) -> float | None:
    """The geometric mean of what is told as a factor, which is what its verdicts compare."""
    known = [value for value in values if value]
    return geometric_mean(known) if known else None


def _middle(values: Iterable[float | None]) -> float | None:
    """The median of what is known, a real value of one of the runs."""
    known = sorted(value for value in values if value is not None)
    return known[(len(known) - 1) // 2] if known else None


# ── what all arms share ───────────────────────────────────────────────────────────────────────────────────────────────


def _parts(spec: RunSpec, run: RunResult, mixed: bool = False) -> dict[str, str]:
    """What two runs must have in common to be paired, each part as what decides it in the engine: order and head are drawn from generators of their own,
    which start from the seed alone, so no method can move them. Weights and data have the beginning of the hash that is shown of them everywhere."""
    started = run.started
    known = {
        "base weights": [started.weights_sha256],
        "data": [started.data_sha256],
        "test items": [started.data_sha256, spec.task, started.items.get("test")],
        "data order": [started.data_sha256, started.weights_sha256, spec.seed, spec.batch, spec.tokens, spec.train_items, spec.shuffle_labels],
        "start of the head": [spec.seed, spec.shape.writes or (spec.shape.width, spec.labels)],
    }
    if mixed:  # they learn from different texts, and are asked the same ones
        del known["data"], known["data order"]
        others = {key: (seen["data_sha256"], seen["items"]) for key, seen in (run.seen("transfer") or {}).items()}
        known["test items"] = sorted((others | {str(spec.task): (started.data_sha256, started.items.get("test"))}).items())
    return {part: value[0][:SHORT] if part in ("base weights", "data") else _hash(value) for part, value in known.items()}


def _hash(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:SHORT]


def _shared(runs: Mapping[str, tuple[RunSpec, RunResult]], seed: int, mixed: bool) -> dict[str, Any]:
    """One hash where all arms that have begun share everything, and otherwise what they do not share."""
    parts = {name: _parts(spec, run, mixed) for name, (spec, run) in runs.items() if run.started}
    hashes = {name: _hash(each) for name, each in parts.items()}
    first = next(iter(parts.values()), {})
    differ = [part for part in first if len({each[part] for each in parts.values()}) > 1]
    return {"seed": seed, "same": bool(parts) and not differ, "hash": next(iter(hashes.values())) if parts and not differ else None,
            "parts": first if not differ else {}, "differ": differ, "arms": hashes}


def _found(arms: Sequence[Mapping[str, Any]], shared: Sequence[Mapping[str, Any]]) -> list[str]:
    """Warnings about what has been run."""
    differ = list(dict.fromkeys(part for row in shared for part in row["differ"]))
    found = [f"The arms do not share {', '.join(differ)}: part of a gap may come from there"] if differ else []
    kinds = {arm["name"]: {run["dtype"] for run in arm["runs"] if run["dtype"]} for arm in arms}
    if len(set().union(*kinds.values())) > 1:
        each = ", ".join(f"{says.named(name)} {' and '.join(sorted(kind))}" for name, kind in kinds.items() if kind)
        found.append(f"The arms compute in different number formats ({each}): scores may differ a little by that, times and bytes do not compare; the number "
                     "format in the settings that all arms share settles it")
    return found + [_failure(arm["name"], run) for arm in arms for run in arm["runs"] if run["state"] == "failed"]


def _failure(name: str, run: Mapping[str, Any]) -> str:
    return f"{says.named(name)} failed with seed {run['seed']}: {run['reason']}"


def _references(runs: Iterable[RunResult]) -> dict[str, Any]:
    """The lines to hold arms against: the majority class, the untouched model, the best hand-written prompt; of the first run that has them."""
    found: dict[str, Any] = {}
    for run in runs:
        for who in ("majority", "base", "prompt"):
            if who in run.scores:
                seen = run.scores[who]
                found.setdefault(who, {"metric": seen.metric, "score": seen.score, "standard_error": seen.standard_error, "items": seen.items})
    return found


def _untouched(comparison: Comparison, made: Mapping[str, Any], runs: Mapping[tuple[str, int], RunResult]) -> str:
    """That no arm is ahead of the model as it was with the same seed, where that is so; else nothing."""
    held, before = [], []
    for arm in made["arms"] if made["state"] == "finished" and made["references"].get("base", {}).get("metric") == made["metric"] else ():
        both = [(run["score"], base.score) for run in arm["runs"] if run["score"] is not None and (base := runs[arm["name"], run["seed"]].scores.get("base"))
                and base.score is not None]
        held.append([says.better(made["metric"]) * (score - base) for score, base in both])
        before += [base for _, base in both]
    if not held or any(not each or fmean(each) > 0 for each in held):
        return ""
    gaps = paired.judged(held, grain=outcomes.outcomes(comparison, made["arms"], made["metric"], made["test_metric"])["score"].grain)
    return says.untouched(fmean(before), made["metric"], all(gap.told for gap in gaps), all(spec.steps for spec in comparison.specs.values()))


# ── pairs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def known_outcomes(comparison: Comparison, made: Mapping[str, Any]) -> dict[str, Outcome]:
    """What a report can be read by, as it was measured; first what the comparison is about, also where nothing of that was."""
    known = outcomes.outcomes(comparison, made["arms"], made["metric"], made["test_metric"])
    there = outcomes.measured(known, made["arms"])
    if any(arm.get("vote") for arm in made["arms"]):
        known, there = known | {"vote": VOTE}, [*there, "vote"]
    about = comparison.measure
    return {about: known.get(about, VOTE)} | {key: known[key] for key in there}


def judged_by(comparison: Comparison, made: Mapping[str, Any], keys: Sequence[str] | None = None) -> dict[str, list[dict[str, Any]]]:
    """The pairs of a report, judged by each of these outcomes; by what the comparison is about, where none is named. Each outcome is a question of its own:
    the correction is over its pairs, and not over outcomes."""
    known = outcomes.outcomes(comparison, made["arms"], made["metric"], made["test_metric"])
    things = _things(comparison)
    words = _called(comparison, things)
    return {key: _votes(comparison, made, words) if key == "vote" else _pairs(comparison, made, known[key], things, words)
            for key in keys or (comparison.measure,)}


def _things(comparison: Comparison) -> dict[tuple[str, str], list[str]]:
    """What each pair of arms differs in."""
    return {(a, b): differences(comparison.specs[a], comparison.specs[b])[0] for a, b in combinations(comparison.specs, 2)}


def _called(comparison: Comparison, things: Mapping[tuple[str, str], list[str]]) -> dict[str, str]:
    """Each arm's name as sentences have it: a bare number with what it is of, where arms differ in that alone."""
    differ = {tuple(each) for each in things.values()}
    one = next(iter(differ)) if len(differ) == 1 else ()
    return says.called(list(comparison.specs), one[0] if len(one) == 1 and one[0] != "method" else "")


def _pairs(comparison: Comparison, made: Mapping[str, Any], outcome: Outcome, things: Mapping[tuple[str, str], list[str]],
           words: Mapping[str, str]) -> list[dict[str, Any]]:
    """While runs are missing there are means, and no verdicts."""
    couples = list(combinations(made["arms"], 2))
    values = {arm["name"]: outcome.values(arm) for arm in made["arms"]}
    fixed = {arm["name"] for arm in made["arms"] if arm["spec"]["steps"] == 0 and len(set(values[arm["name"]])) == 1}
    unfit = [outcomes.unfit(outcome, a, b) for a, b in couples]
    both = [[(seed, x, y) for seed, x, y in zip(made["seeds"], values[a["name"]], values[b["name"]], strict=True) if x is not None and y is not None]
            if a["metric"] == b["metric"] else [] for a, b in couples]
    held = [[] if why or {a["name"], b["name"]} <= fixed else [x - y for _, x, y in scores] for (a, b), scores, why in zip(couples, both, unfit, strict=True)]
    look, planned = made["looks"]["look"], comparison.looks
    gaps = paired.judged(held, paired.alpha_of(look, planned), outcome.grain)
    family = sum(gap.judged for gap in gaps)
    later = paired.alpha_of(look + 1, planned) / paired.alpha_of(look, planned)  # how much stricter the next look is
    found = []
    for (a, b), scores, gap, why in zip(couples, both, gaps, unfit, strict=True):
        names = a["name"], b["name"]
        said = _verdict(made, outcome, (a, b), words, scores, gap, why, set(names) <= fixed, family, later)
        blur = blurred(words[a["name"]], words[b["name"]], things[names])
        found.append(_row(made, names, said, gap, [seed for seed, _, _ in scores], [x - y for _, x, y in scores], things[names], blur))
    return found


def _row(made: Mapping[str, Any], names: tuple[str, str], said: tuple[str, int | None, str], gap: Gap, seeds: list[int], apart: list[float],
         things: list[str], blur: str = "") -> dict[str, Any]:
    over = made["state"] == "finished"
    return {
        "a": names[0], "b": names[1], "seeds": seeds, "differences": apart, "difference": fmean(apart) if apart else None,
        "low": gap.low if over else None, "high": gap.high if over else None, "p": gap.p if over else None, "verdict": said[0], "more_seeds": said[1],
        "alone": {"low": gap.alone_low, "high": gap.alone_high, "p": gap.alone_p} if over else None, "strictness": gap.strictness if over else None,
        "says": said[2], "differ": things, "warning": blur,
        "items": [row for row in made["on_items"] if (row["a"], row["b"]) == names and row["seed"] in seeds],
    }


def _verdict(made: Mapping[str, Any], outcome: Outcome, both: tuple[Mapping[str, Any], Mapping[str, Any]], called: Mapping[str, str],
             scores: list[tuple[int, float, float]], gap: Gap, unfit: str, fixed: bool, family: int, later: float) -> tuple[str, int | None, str]:
    """(verdict, seeds that would tell it, the sentence)"""
    a, b = both
    names, seeds, planned = (called[a["name"]], called[b["name"]]), len(scores), len(made["seeds"])
    if made["state"] != "finished":
        return "cannot_tell", None, says.early(seeds, planned)
    if unfit:
        return "cannot_tell", None, says.unfit(*names, unfit)
    if seeds >= paired.FEWEST and fixed:
        return "cannot_tell", None, says.fixed(*names)
    if not gap.judged:
        failed = [_failure(arm["name"], run) for arm in (a, b) for run in arm["runs"] if run["state"] == "failed"]
        unmeasured = all(run["state"] == "finished" for arm in (a, b) for run in arm["runs"]) and planned >= paired.FEWEST  # more of the same tell nothing
        return "cannot_tell", None if failed or unmeasured else paired.FEWEST - seeds, says.few(seeds, planned, failed, _what(outcome, "a "))
    if all(x == y for _, x, y in scores):
        return "cannot_tell", None, says.same(*names, [outcome.said(x) for _, x, _ in scores], _what(outcome))
    words = {"ahead": outcome.ahead, "sign": outcome.better, "factor": outcome.factor}
    wide = says.corrected(family, made["looks"]["look"])
    if gap.told:
        first = gap.difference * outcome.better > 0
        return "a_better" if first else "b_better", 0, says.verdict(*names, gap, outcome.metric, 0, wide, **words)
    more = paired.more_seeds(gap, gap.strictness * later)
    return "cannot_tell", more, says.verdict(*names, gap, outcome.metric, more, wide, **words)


def _what(outcome: Outcome, article: str = "") -> str:
    return f"{article}{'score' if outcome.key in ('score', 'elsewhere') else 'value'}"


def _votes(comparison: Comparison, made: Mapping[str, Any], called: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row an arm: the vote of its seeds against their mean, over test items, Holm over the arms. Seeds are inside a vote, so none is left to test over."""
    arms = [arm for arm in made["arms"] if arm.get("vote")]
    over, look = made["state"] == "finished", made["looks"]["look"]
    gaps = paired.judged([[lead for lead, count in arm["vote"]["apart"] for _ in range(count)] for arm in arms], paired.alpha_of(look, comparison.looks))
    wide = says.corrected(len(gaps), look, "arms")
    found = []
    for arm, gap in zip(arms, gaps, strict=True):
        verdict = "cannot_tell" if not (over and gap.told) else "a_better" if gap.difference > 0 else "b_better"
        more = paired.more_items(gap, gap.strictness) if verdict == "cannot_tell" else None
        words = says.vote(called[arm["name"]], len(arm["vote"]["members"]), gap, made["test_metric"], more, wide) if over else says.early(
            sum(run["score"] is not None for run in arm["runs"]), len(made["seeds"]))
        row = _row(made, (f"{arm['name']}, vote", f"{arm['name']}, mean of its seeds"), (verdict, None, words), gap, list(made["seeds"]), [], [])
        found.append(row | {"difference": gap.difference})
    return found


def _on_items(comparison: Comparison, arms: Sequence[Mapping[str, Any]], runs: Mapping[tuple[str, int], RunResult],
              labels: Sequence[int] | None) -> list[dict[str, Any]]:
    """A row for each pair and seed: the two runs item by item, where both say how they answered each; Holm over all rows."""
    if not comparison.itemised:
        return []
    right = {(arm["name"], run["seed"]): _right(comparison.run(arm["name"], run["seed"]), runs[arm["name"], run["seed"]], labels)
             for arm in arms for run in arm["runs"] if run["score"] is not None}
    writes = comparison.base_spec.goal.writes
    words = _called(comparison, _things(comparison))
    found = []
    for (a, b), seed in product(combinations(comparison.specs, 2), comparison.seeds):
        one, other = right.get((a, seed)), right.get((b, seed))
        if one and other and len(one) == len(other):
            found.append((a, b, seed, paired.bootstrap(one, other) if writes else paired.mcnemar(one, other)))
    corrected = paired.holm([tested.p for *_, tested in found])[0]
    return [{"a": a, "b": b, "seed": seed, **asdict(tested), "corrected_p": p, "tests": len(found),
             "says": says.on_items(words[a], words[b], seed, tested, "word for word" if writes else "right", p, len(found))}
            for (a, b, seed, tested), p in zip(found, corrected, strict=True)]


def _right(spec: RunSpec, run: RunResult, labels: Sequence[int] | None) -> list[int]:
    """1 for each test item that the trained model has right, 0 for the others; nothing where that is not known. A written answer is right word for word."""
    letters = (run.seen("answers") or {}).get("tuned", "")
    if spec.goal.writes:
        return [int(letter) for letter in letters]
    return [int(int(letter, 36) == label) for letter, label in zip(letters, labels, strict=True)] if labels and len(labels) == len(letters) else []
