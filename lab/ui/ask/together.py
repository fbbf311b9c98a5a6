"""What came of a question to several runs, as the page shows it: answers of one batch, what sharing saves, and how well a mix does."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.events import RunResult
from lab.serving import MIXED, PROGRESS, THROUGHPUT, TOGETHER, Gathering, Mixture, asked
from lab.store import Run
from lab.ui.ask import figures
from lab.ui.ask.several import WAYS
from lab.ui.wording import THIN, percent, scored, seconds, size

ONE_PASS = "These are the answers of one batch: every row went through the same base, with its own trained part and its own head."
ONLY_THESE = "It answers for these very runs on new texts of the same kinds. Experts trained with other seeds might differ more than that."
CHOOSING = ("These are validation items, to choose with. The best of several tries looks better than it is, since luck was chosen along with it: when you have "
            "decided, score that mix on the test items.")
HEADS = "These experts began with different random heads (their seeds differ), so a sum of what they trained has no common start: expect it to do badly."


def shown(run: Run, runs: Sequence[Run], result: RunResult) -> dict[str, Any]:
    """Everything that is to be seen of it so far. `runs` are those it was put to, in its order."""
    question = asked(run.spec_json)
    said: dict[str, Any] = {"question": run.id, "state": run.state, "status": _status(run, result), "reason": result.reason or run.reason,
                            "advice": result.advice}
    if isinstance(question, Gathering):
        return said | {"timing": bool(question.calls), "answers": _answers(question, runs, result.seen(TOGETHER)),
                       "storage": _storage(result.seen(TOGETHER) or result.seen(THROUGHPUT)), "throughput": _throughput(result.seen(THROUGHPUT))}
    return said | {"mixed": _mixed(question, runs, result.seen(MIXED))}


def _status(run: Run, result: RunResult) -> str:
    if run.state == "queued":
        return "waiting for the worker that answers; it starts with the first question, which takes about ten seconds"
    if run.state != "running":
        return ""
    done = result.seen(PROGRESS)
    if done:
        return f"timing: batch {done['done']} of {done['of']}" if "texts" in run.settings else f"{done['done']:,} of {done['of']:,} texts read"
    return result.preparing.what if result.preparing else "opening the runs on one base …"


def name(run: Run) -> str:
    return run.title or f"{run.spec.method.title} on {run.spec.task}"


def _answers(question: Gathering, runs: Sequence[Run], seen: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not seen:
        return None
    rows = []
    for run, text in zip(runs, question.texts, strict=True):
        said = {each["who"]: each for each in seen["rows"] if each["run"] == run.id}
        tuned = said["tuned"]
        rows.append({"run": run.id, "name": name(run), "text": text, "tuned": _said(tuned), "base": _said(said["base"]) if "base" in said else "",
                     "tokens": f"{tuned['tokens']}" + (f" + {tuned['virtual']} virtual" if tuned["virtual"] else "")})
    note = f"{ONE_PASS} {len(seen['rows'])} rows of up to {seen['positions']} positions in {seconds(seen['seconds'])}."
    return {"rows": rows, "based": any(row["base"] for row in rows), "note": note}


def _said(answer: Mapping[str, Any]) -> str:
    if "text" in answer:
        return answer["text"] or "(nothing)"
    best = max(range(len(answer["labels"])), key=answer["chances"].__getitem__)
    return f"{answer['labels'][best]} ({percent(answer['chances'][best])})"


def _storage(seen: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not seen:
        return None
    base, parts = seen["storage"]["base"], seen["storage"]["parts"]
    shared, copies = base + sum(parts), len(parts) * base
    says = (f"{len(parts)} trained parts beside one base take {size(shared)}; {len(parts)} whole copies of the model would take {size(copies)}, "
            f"{copies / shared:.1f} times as much. The parts themselves are {size(sum(parts))}, {percent(sum(parts) / shared)} of it. Each further task adds "
            f"about {size(sum(parts) / len(parts))} instead of {size(base)}.")
    return {"figure": figures.storage(base, parts), "says": says}


def _throughput(seen: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not seen:
        return None
    threads = f"{seen['threads']} thread{'s' if seen['threads'] > 1 else ''}"
    note = (f"Median of {seen['calls']} batches of each kind, taken in turn after one that does not count; bars are the middle half. From token ids to "
            f"scores, on {threads} of this machine's CPU in {seen['dtype']}, beside whatever else it does. The largest difference between the answers of the "
            f"two kinds was {_tiny(seen['far'])} of the largest logit.")
    note += "" if seen["dtype"] == "float32" else " Numbers in 16 bits are rounded differently in another batch."
    return {"figure": figures.throughput(seen["sizes"]), "says": [_pace(each) for each in seen["sizes"]], "note": note, "why": _why(seen["sizes"][-1])}


def _pace(each: Mapping[str, Any]) -> str:
    mixed, apart = each["mixed"], each["apart"]
    texts = f"{each['each']} text{'s' if each['each'] > 1 else ''} of each run"
    overlap = mixed["low"] <= apart["high"] and apart["low"] <= mixed["high"]
    ratio = apart["median"] / mixed["median"]
    if overlap:
        return f"{texts}: {ratio:.2f} times as fast in one batch, which the middle halves do not tell from no difference."
    return f"{texts}: {ratio:.2f} times as fast in one batch as one after the other." if ratio >= 1 else \
        f"{texts}: one batch is slower, {1 / ratio:.2f} times the time of one after the other."


def _tiny(share: float) -> str:
    """2·10⁻⁷"""
    if not share:
        return "nothing"
    digits, power = f"{share:.0e}".split("e")
    return f"{digits}·10{str(int(power)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def _why(largest: Mapping[str, Any]) -> str:
    empty = 1 - largest["filled"] / largest["positions"]
    return (f"A pass has costs that do not depend on how many texts are in it, and one batch pays them once. With many texts they hardly count, and all rows "
            f"are as long as the longest: in the largest batch {percent(empty)} of the positions are padding.")


def _mixed(question: Mixture, runs: Sequence[Run], seen: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not seen:
        return None
    best, writes = seen["best"], "perplexity" in seen["rows"][0]["all"]
    names = {f"run {place}": name(run) for place, run in enumerate(runs)}
    names |= {"own": "each text's own expert (told which)", "uniform": "all answers alike", "mix": f"this mix: {WAYS[question.way][0].lower()}"}
    rows = [{"who": row["who"], "name": names[row["who"]], "best": row["who"] == f"run {best}", "mix": row["who"] == "mix",
             "cells": [_cell(cell) for cell in (*row["cells"], row["all"])]} for row in seen["rows"]]
    columns = [*(each["task"] for each in seen["domains"]), "all"]
    items = seen["domains"][0]["items"]
    how = f"Accuracy ± one standard error, on {items:,} {question.split} items of each domain; “all” is their mean."
    if writes:
        how += " Below it the perplexity of the right label word among all words: 1 would be certainty, lower is better."
    return {"columns": columns, "rows": rows, "how": how, "says": _verdict(question, seen, names[f"run {best}"]), "split": question.split,
            "cautions": [HEADS] if not seen["starts"] and "posterior" not in seen and question.way != "average" and not writes else [],
            "figure": figures.mix(columns, rows, seen), "posterior": _posterior(question, runs, seen), "rank": seen.get("rank")}


def _cell(cell: Mapping[str, float]) -> dict[str, str]:
    found = {"said": f"{scored(cell['accuracy'], 'accuracy')} ± {scored(cell['error'], 'accuracy')}"}
    if "perplexity" in cell:
        found["perplexity"] = f"{cell['perplexity']:.3g} ± {cell['perplexity_error']:.2g}"
    return found


def _verdict(question: Mixture, seen: Mapping[str, Any], best: str) -> str:
    if question.split == "validation":
        return CHOOSING
    found = seen["verdict"]
    points = f"{100 * found['difference']:+.1f} points ({100 * found['low']:+.1f} to {100 * found['high']:+.1f})".replace("-", "−")
    counts = (f"Of {found['items']:,} test texts, {found['only_mix']} are right in the mix alone and {found['only_best']} in the best single expert alone "
              f"({best}; the best one was chosen on validation items): {points}, McNemar's exact test p{THIN}={THIN}{_p(found['p'])}.")
    if found["p"] >= 0.05:
        return f"{counts} That is no more than chance would bring: the mix cannot be told from the best single expert. {ONLY_THESE}"
    return f"{counts} The mix is {'better' if found['difference'] > 0 else 'worse'} than the best single expert, beyond the noise of items. {ONLY_THESE}"


def _p(value: float) -> str:
    return f"{value:.2f}" if value >= 0.095 else f"{value:.3f}" if value >= 0.001 else "less than 0.001"


def _posterior(question: Mixture, runs: Sequence[Run], seen: Mapping[str, Any]) -> dict[str, Any] | None:
    """Whom texts of each domain were taken to come from, on average."""
    if "posterior" not in seen:
        return None
    alike = question.prior == "uniform"
    prior = "before a text is read, all domains are alike" if alike else "each text is expected to be of the kind the texts before it were"
    rows = [{"task": domain["task"], "cells": [percent(each) for each in shares], "shares": shares}
            for domain, shares in zip(seen["domains"], seen["posterior"], strict=True)]
    note = (f"How much each expert counted in texts of each domain, on average; {prior}. The domain is guessed from the text's own words: one Gaussian for "
            "each domain over the untouched base's features of training texts. DEMix itself takes it from how likely each expert finds the text, which experts "
            "trained on labels cannot say.")
    return {"columns": [name(run) for run in runs], "rows": rows, "note": note}

