"""The text of a report: what was asked, what came out, what it cost, and all that is needed to do it again."""
from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from statistics import fmean
from typing import Any

from lab.compare.comparison import TRAINING_LOSS, Comparison
from lab.compare.outcomes import Outcome
from lab.compare.report import judged_by, known_outcomes
from lab.compare.says import listed, with_warning
from lab.contracts import listing
from lab.events import RunResult
from lab.reporting.figures import Curve, Dot, Spread, curves, grouped, intervals, scattered
from lab.reporting.front import cost_of, front, placed
from lab.reporting.measures import Measure, columns, half_width, measures, told
from lab.reporting.tradeoffs import FEWEST_AXES, Evidence, axes
from lab.reporting.varied import by_number, tested, voted
from lab.ui import charts
from lab.ui.looks import looks
from lab.ui.wording import percent, score, scored, seconds, size, unit, whole

NOTHING = Evidence()
Looks = Mapping[str, Mapping[str, str]]
SMOOTH = 9  # steps of a training loss that are averaged for a curve
STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1b2430, #e6ebf1); --soft: light-dark(#5a6675, #9fb0c3); --line: light-dark(#d9dfe6, #33404f);
  --paper: light-dark(#fff, #141b24); }
body { max-width: 82rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere;
  background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } .soft, .tick { color: var(--soft); fill: var(--soft); }
p, li { max-width: 60rem; } .wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .3rem .5rem; border-bottom: 1px solid var(--line); text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th { white-space: normal; overflow-wrap: normal; vertical-align: bottom; }
th:first-child, td:first-child, td.words { text-align: left; white-space: normal; } th:first-child, td:first-child { min-width: 7rem; }
dl.columns { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .85rem; color: var(--soft); max-width: 60rem; }
dl.columns dd { margin: 0; } dl.columns dt { color: var(--ink); }
pre { overflow-x: auto; padding: .8rem; border: 1px solid var(--line); border-radius: .4rem; font-size: .8rem; } ul.verdicts li { margin: .4rem 0; }
svg { width: 100%; min-width: 36rem; max-width: 60rem; height: auto; font: 12px system-ui, sans-serif; } svg .grid { stroke: var(--line); }
svg .tick { text-anchor: middle; }
svg .tick.left, svg .name { text-anchor: end; } svg text { fill: var(--ink); stroke: var(--paper); stroke-width: 3px; paint-order: stroke; }
svg text.tick { fill: var(--soft); }
svg polyline, svg line { fill: none; } svg .thick { stroke-width: 2.5; } svg .thin { stroke-width: 1; opacity: .45; } svg .one { opacity: .5; }
svg .level { stroke: var(--soft); stroke-dasharray: 2 4; } svg .stairs { stroke: var(--soft); stroke-dasharray: 5 4; }
@page { size: A4 landscape; margin: 12mm; }
@media print { :root { color-scheme: light; } body { max-width: none; margin: 0; font-size: 10pt; } .wide, pre { overflow: visible; }
  pre { white-space: pre-wrap; }  table { font-size: 6.5pt; } th, td { padding: .2rem .25rem; } th:first-child, td:first-child { min-width: 4rem; }
  svg { min-width: 0; } svg, tr, li { break-inside: avoid; } h2 { break-after: avoid; } }
"""
STROKES = {"solid": "none", "dash": "9 6", "dot": "2 5", "dashdot": "9 5 2 5", "longdash": "16 6"}
ALONE = ({"colour": charts.BLUE, "dash": "solid"},)  # of one run
FEW = 3  # arms that a title names
OWN = ("score", "last_loss", "vote")  # outcomes that have a section of their own


def of_comparison(report: Mapping[str, Any], results: Mapping[str, RunResult], made: str = "", known: Evidence = NOTHING, drawn: Looks | None = None) -> str:
    """`report` is what lab.compare.report says, `results` its runs by the fingerprint of their spec. `made` says when and where, where it is known;
    `known` is what is known of the arms beside their runs; `drawn` how the page draws them, where it draws more of them."""
    metric, arms = report["metric"], report["arms"]
    chosen = measures(metric, report["higher_is_better"], report["test_metric"])
    title = report["title"] or f"A comparison of {listed([arm['name'] for arm in arms]) if len(arms) <= FEW else f'{len(arms)} arms'}"
    seeds = ", ".join(map(str, report["seeds"]))
    asked = Comparison.parse(report["comparison"])
    ways = drawn or dict(zip(asked.specs, looks(list(asked.specs.values())), strict=True))
    word, swept = by_number(report)
    levels = _levels(report)
    body = [
        _section("Verdicts", _stands(report) + _told(report["pairs"]) + _soft(report["questions"]["over_seeds"]) + _soft(report["looks"]["says"])),
        *(_outcome(asked, report, key) for key in first(asked, report)),
        _section(f"By {word}", swept + _soft("Bars are 95 % intervals of the mean over seeds.")) if swept else "",
        _section("Scores", intervals([row for number, arm in enumerate(arms) if (row := _spread(arm, number))],
                                     metric if metric == TRAINING_LOSS else f"{metric} on test items", levels=list(levels.values()))
                 + _soft(f"Dotted: {listing([f'{name} {scored(value, metric)}' for name, value in levels.items()])}." if levels else "")
                 + _soft("A small dot is one seed, a large one their mean, a bar the 95 % interval of the mean over seeds.")),
        *(_section(name, _table(*table)) for name, table in (("Tested on other tasks", tested(report)), ("A vote of the seeds", voted(report))) if table),
        _section("Training", curves(_learned(report, results), "step", "training loss, smoothed")
                 + _soft("Thin lines are single seeds, thick ones their mean.")),
        _section("Numbers", _table(("arm", *(each.title for each in columns(chosen, arms))),
                                   [(arm["name"], *(told(each, arm) for each in columns(chosen, arms))) for arm in arms])
                 + _soft("± is half of the 95 % interval of an arm's mean over its seeds.") + _soft(report["load"]) + _meant(columns(chosen, arms))),
        _section("What does a score cost?", _front(arms, chosen, levels.get(charts.REFERENCES["base"]))),
        _section("Trade-offs", _trade_offs(report, known)),
        _section("Warnings", "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in report["warnings"]) + "</ul>") if report["warnings"] else "",
        _section("Run by run", _table(("arm", "seed", metric, "state"), [
            (arm["name"], str(run["seed"]), _known(run["score"], lambda value, run=run: score(value, run["standard_error"] or 0, run["metric"])),
             f"{run['state']}{': ' + run['reason'] if run['reason'] else ''}") for arm in arms for run in arm["runs"]])
                 + _soft("Here ± is the standard error of this score over test items.")),
        _again(report["comparison"], "python -m lab compare comparison.json --out DIR", results.values()),
    ]
    return _page(title, f"{_setting(asked)} {len(arms)} arms, seeds {seeds}. {report['state'].capitalize()}. {made}", body, [ways[arm["name"]] for arm in arms])


def _setting(asked: Comparison) -> str:
    """MiniLM-L6 learns film reviews: 100 steps of 16 texts. What arms have in different amounts is told with its range."""
    specs = list(asked.specs.values())
    models, goals = (list(dict.fromkeys(each)) for each in ([spec.base.title.partition(" (")[0] for spec in specs], [spec.goal.title for spec in specs]))
    steps, batch = (_amounts(sorted({getattr(spec, key) for spec in specs})) for key in ("steps", "batch"))
    head, one = f"{listing(models)} {'learns' if len(models) == 1 else 'learn'} the task{'s' * (len(goals) > 1)} {listing(goals)}", steps == "1"
    return f"{head}: {steps} step{'s' * (not one)} of {batch} {unit(specs[0].task)}{' each' * (not one)}."


def _amounts(values: Sequence[int]) -> str:
    return whole(values[0]) if len(values) == 1 else f"{whole(values[0])} to {whole(values[-1])}"


def _levels(report: Mapping[str, Any]) -> dict[str, float]:
    """What the arms' scores are held against, by name: the untouched model, and always the most frequent answer."""
    return {charts.REFERENCES[who]: seen["score"] for who, seen in report["references"].items()
            if who in charts.REFERENCES and seen["metric"] == report["metric"] and seen["score"] is not None}


def of_run(result: RunResult, title: str, made: str = "") -> str:
    """Raises nothing: what is not known of a run that was stopped or failed is left out."""
    spec = result.started.spec if result.started else {}
    counts = result.started.counts if result.started else {}
    memory = result.seen("memory") or {}
    scores = [(who, score(seen.score, seen.standard_error, seen.metric), seen.metric, whole(seen.items)) for who, seen in result.scores.items()]
    costs = [("trainable", whole(counts["trainable"])), ("of all parameters", percent(counts["share"]))] if counts else []
    costs += [("memory of a step", size(memory["peak_bytes"]))] if memory else []
    costs += [(f"seconds, {name.replace('_', ' ')}", seconds(amount)) for name, amount in result.seconds.items()]
    losses = [(step, loss) for step, loss in result.losses if loss is not None]
    body = [
        _section("Scores", _table(("who", "score", "metric", "items"), scores)
                 + _soft("± is the standard error over test items: other items would give another score. What another seed changes is not in it."))
        if scores else "",
        _section("Training", curves([Curve(losses, 0), Curve(_smooth(losses), 0, "loss, smoothed")], "step", "training loss")),
        _section("What it cost", _table(("", ""), costs)) if costs else "",
        _section("Examples", _table(("text", "right answer", "before", "after"), [
            tuple(str(sample.get(part, "")) for part in ("text", "label", "before", "after")) for sample in (result.seen("samples") or [])[:8]])),
        _again(spec, "python -m lab train spec.json", [result]),
    ]
    return _page(title, f"{result.state.capitalize()}{': ' + result.reason if result.reason else ''}. {made}", body)


def first(asked: Comparison, report: Mapping[str, Any]) -> list[str]:
    """The outcomes whose figures stand before the scores: that of the question, where it is about something else, and the one it is read by."""
    about = "gap" if asked.measure == "score" and asked.train else asked.measure
    return [key for key in dict.fromkeys((about, asked.by)) if key in known_outcomes(asked, report) and key not in OWN]


def _outcome(asked: Comparison, report: Mapping[str, Any], key: str) -> str:
    """An outcome with the mean of each arm, its interval and its seeds; and its verdicts, where it is not what the comparison is about."""
    outcome = known_outcomes(asked, report)[key]
    rows = [(number, arm["name"], values) for number, arm in enumerate(report["arms"]) if (values := _values(outcome, arm))]
    spreads = []
    for number, name, values in rows:
        mean, half = fmean(values), half_width(values)
        ends = (outcome.shown(mean - half), outcome.shown(mean + half)) if half is not None else (None, None)
        spreads.append(Spread(name, number, [outcome.shown(value) for value in values], outcome.shown(mean), *ends))
    every = [value for row in spreads for value in row.values]
    wide = outcome.factor is not None and charts.logarithmic(every)
    pairs = [] if key == asked.measure else (report.get("by") or {}).get(key) or judged_by(asked, report, [key])[key]
    said = _told(pairs) if pairs else ""
    title = outcome.title[:1].upper() + outcome.title[1:]
    return _section(title, intervals(spreads, f"{outcome.title}{outcome.units}", wide) + _soft("A small dot is one seed, a large one their mean, a bar "
                    f"the 95 % interval of the mean over seeds; {'more' if outcome.better > 0 else 'less'} is better. {outcome.note}") + said)


def _stands(report: Mapping[str, Any]) -> str:
    """That no arm is ahead of the untouched model, where none is."""
    return f"<p>{escape(report['untouched'])}</p>" if report["untouched"] else ""


def _told(pairs: Iterable[Mapping[str, Any]]) -> str:
    """What can be told stands first."""
    rows = sorted(pairs, key=lambda pair: pair["verdict"] == "cannot_tell")
    return "<ul class='verdicts'>" + "".join(f"<li>{escape(with_warning(pair))}</li>" for pair in rows) + "</ul>"


def _values(outcome: Outcome, arm: Mapping[str, Any]) -> list[float]:
    return [value for value in outcome.values(arm) if value is not None]


def _meant(shown: Sequence[Measure]) -> str:
    """What each column of the table says."""
    return "<dl class='columns'>" + "".join(f"<dt>{escape(each.title)}</dt><dd>{escape(each.help)}</dd>" for each in shown) + "</dl>"


def _coloured(ways: Sequence[Mapping[str, str]]) -> str:
    """A class an arm."""
    return "".join(f"svg .c{number} {{ stroke: {way['colour']}; }} svg :is(circle, rect, tspan).c{number} {{ fill: {way['colour']}; stroke: none; }} "
                   f"svg polyline.c{number} {{ stroke-dasharray: {STROKES[way['dash']]}; }} "
                   + ("" if way["dash"] == "solid" else f"svg circle.mean.c{number} {{ fill: var(--paper); stroke: {way['colour']}; stroke-width: 2; }}")
                   + "\n" for number, way in enumerate(ways))


def _page(title: str, about: str, body: Iterable[str], ways: Sequence[Mapping[str, str]] = ALONE) -> str:
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
            f"<style>{STYLE}{_coloured(ways)}</style></head><body><h1>{escape(title)}</h1>{_soft(about)}{''.join(body)}</body></html>\n")


def _section(title: str, inside: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{inside}</section>" if inside else ""


def _soft(text: str) -> str:
    return f'<p class="soft">{escape(text.strip())}</p>' if text.strip() else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    lines = "".join("<tr>" + "".join(f'<td{" class=words" if len(text) > 24 else ""}>{escape(text)}</td>' for text in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def _again(asked: Mapping[str, Any], command: str, results: Iterable[RunResult]) -> str:
    """What was asked, with what it was done, and the hashes of what it was done on."""
    started = [result.started for result in results if result.started]
    versions = sorted({f"{name} {version}" for one in started for name, version in one.versions.items()})
    told = "".join(_soft(f"{name}: {', '.join(values)}") for name, values in (
        ("Versions", versions), ("SHA-256 of the weights", sorted({one.weights_sha256 for one in started if one.weights_sha256})),
        ("SHA-256 of the data", sorted({one.data_sha256 for one in started if one.data_sha256})),
        ("Computed", sorted({f"{one.dtype} on {one.device}" for one in started}))) if values)
    file = escape(json.dumps(asked, ensure_ascii=False, indent=1))
    return _section("To do it again", f"<p><code>{escape(command)}</code>, with this file:</p><pre>{file}</pre>{told}")


def _front(arms: Sequence[Mapping[str, Any]], chosen: Sequence[Measure], level: float | None) -> str:
    """The score against a cost in which the arms differ, as the page shows it first; nothing where they cost the same."""
    x, y = cost_of(arms, chosen), next(each for each in chosen if each.key == "score")
    if x is None:
        return ""
    points, hollow = placed(arms, x, y)
    best = front([point for point in points if point[0] not in hollow], x, y)
    numbers = {arm["name"]: number for number, arm in enumerate(arms)}
    dots = [Dot(name, numbers[name], at[0], up[0], up[1], any(name == each[0] for each in best)) for name, at, up in points]
    drawn = scattered(dots, f"{x.title}, less is better", y.title, x.said, x.key.endswith("_seconds"), level)
    return drawn + _soft(f"On the front: {listed([name for name, _, _ in best])}. No other arm is at least as good in both and better in one. Bars are 95 % "
                         f"intervals over seeds.{' Dotted: the untouched model.' if level is not None else ''}") if drawn else ""


def _trade_offs(report: Mapping[str, Any], known: Evidence) -> str:
    """Nothing with fewer axes than the page asks for."""
    found, missing = axes(report, known)
    if len(found) < FEWEST_AXES:
        return ""
    numbers = {arm["name"]: number for number, arm in enumerate(report["arms"])}
    rows = [(axis.name, [(numbers[name], name, place, axis.said(axis.values[name])) for name, place in axis.places.items()]) for axis in found]
    return (grouped(rows, "1 is the best of these arms") + _soft(" ".join(f"{axis.name.capitalize()}: {axis.scale}." for axis in found))
            + (_soft(f"Left out: {listing(missing)}.") if missing else ""))


def _known(value: Any, said: Any) -> str:
    return "–" if value is None else said(value)


def _spread(arm: Mapping[str, Any], colour: int) -> Spread | None:
    values = [value for value in arm["scores"] if value is not None]
    if not values:
        return None
    mean, half = arm["mean"], half_width(values)
    return Spread(arm["name"], colour, values, mean, *((mean - half, mean + half) if half is not None else (None, None)))


def _learned(report: Mapping[str, Any], results: Mapping[str, RunResult]) -> list[Curve]:
    found = []
    for colour, arm in enumerate(report["arms"]):
        lines = [_smooth([(step, loss) for step, loss in results[run["fingerprint"]].losses if loss is not None])
                 for run in arm["runs"] if run["fingerprint"] in results]
        found += [Curve(line, colour) for line in lines if line]
        steps = set.intersection(*({step for step, _ in line} for line in lines)) if lines else set()
        found.append(Curve([(step, sum(dict(line)[step] for line in lines) / len(lines)) for step in sorted(steps)], colour, arm["name"]))
    return [curve for curve in found if curve.points]


def _smooth(losses: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A running mean over the steps around each."""
    half = SMOOTH // 2
    return [(step, sum(loss for _, loss in near) / len(near)) for place, (step, _) in enumerate(losses)
            if (near := losses[max(0, place - half):place + half + 1])]
