"""Every lens as a run shows it: what it saw, in words, as a table and as a figure, or why there is nothing and what to do about that."""
from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from lab import catalogue, describe
from lab.contracts import LabError, Support
from lab.lens import Lens, Look, Probe, Seen, Table, Trace
from lab.store import Run
from lab.ui.inside.figures import FIGURES
from lab.ui.inside.subject import Subject, Subjects
from lab.ui.wording import ordinal

SHOWN_ROWS = 300  # of a table on the page; the file has them all
WITHIN = {"swap_test": ("prompt_neighbours", "swap")}  # lenses whose value another one's carries along
PROGRESS = "progress"
OLDER = "These numbers were written by another version of this lens and cannot be shown: look again, or make the run again."
NO_LENS = "The catalogue no longer has this run's model, task or method."


def rows(subject: Subject, subjects: Subjects, marks: Mapping[str, Any], owner: str) -> list[dict[str, Any]]:
    """One row a lens. What the page has already, by its mark, is left out, and `kept` says so."""
    lenses, found = catalogue.entries("lenses"), []
    told = subjects.once(subject.key, lambda: {key: about(lens, subject) for key, lens in lenses.items()})
    for key, lens in lenses.items():
        mark, value = sighted(lens, subject, subjects)
        asks = told[key]["ok"] and issubclass(lens, Probe) and subject.state == "finished" and not subject.label
        row = {"key": key, "mark": mark, "look": looked(lens, subject, subjects, owner), "asks": asks,
               "missing": "" if value is not None or asks else missing(lens, subject, told[key]["ok"])}
        found.append({**row, "kept": True} if marks.get(key) == mark else {**told[key], **row, **drawn(lens, subject, subjects, mark, value)})
    return found


def about(lens: type[Lens], subject: Subject) -> dict[str, Any]:
    """What is to be said of a lens before it has seen anything."""
    fits = lens.applies(subject.spec) if subject.spec else Support(False, NO_LENS)
    cost = lens.cost(subject.spec) if fits.ok and issubclass(lens, Probe) else ""
    return {"key": lens.key, "title": lens.title, "about": lens.about, "source": lens.source, "kind": lens.kind, "ok": fits.ok, "reason": fits.reason,
            "cost": cost, "knobs": describe.knobs(lens)}


def sighted(lens: type[Lens], subject: Subject, subjects: Subjects) -> tuple[str, Any]:
    """(a mark that changes with the value, the value): of a trace its looks so far, of a probe what the newest look that ended well returned."""
    if issubclass(lens, Trace):
        seen = [Seen(each.step, each.value) for each in subject.result.observed if each.lens == lens.key]
        return (f"trace.{len(seen)}", seen) if seen else ("", None)
    if not issubclass(lens, Probe):
        return "", None
    recorded = subject.result.seen(lens.key)
    if recorded is not None:
        return "recorded", recorded
    look = next((run for run in subject.looks if run.state == "finished" and run.settings["lens"] == lens.key), None)
    if look is not None:
        return look.id, subjects.result(look).seen(lens.key)
    if lens.key in WITHIN:
        other, part = WITHIN[lens.key]
        mark, value = sighted(catalogue.entries("lenses")[other], subject, subjects) if other in catalogue.entries("lenses") else ("", None)
        return (f"{mark}.{part}", value.get(part)) if isinstance(value, Mapping) and value.get(part) is not None else ("", None)
    return "", None


def drawn(lens: type[Lens], subject: Subject, subjects: Subjects, mark: str, value: Any) -> dict[str, Any]:
    """The value as the page gets it, with its sentences, its table and its figure."""
    if value is None:
        return {"value": None, "says": [], "table": None, "figure": None}
    return subjects.once((subject.key, lens.key, mark), lambda: _drawn(lens, value))


def _drawn(lens: type[Lens], value: Any) -> dict[str, Any]:
    plain = [{"step": seen.step, "value": seen.value} for seen in value] if issubclass(lens, Trace) else value
    try:
        return {"value": plain, "says": list(lens.says(value)), "table": _shortened(lens.table(value)), "figure": FIGURES.get(lens.key, lambda _: None)(value)}
    except (LookupError, TypeError, ValueError, AttributeError):  # written by a lens that saw something else
        return {"value": None, "says": [OLDER], "table": None, "figure": None}


def _shortened(table: Table) -> dict[str, Any]:
    return {"columns": list(table.columns), "rows": [list(row) for row in table.rows[:SHOWN_ROWS]], "total": len(table.rows)}


def looked(lens: type[Lens], subject: Subject, subjects: Subjects, owner: str) -> dict[str, Any] | None:
    """The newest look through a lens that has not ended well: on its way, stopped or failed."""
    run = next((run for run in subject.looks if run.settings["lens"] == lens.key), None)
    if run is None or run.state == "finished":
        return None
    result = subjects.result(run)
    seen = result.seen(PROGRESS) or {}
    return {"id": run.id, "state": run.state, "done": seen.get("done", 0), "of": seen.get("of", 0), "status": _status(run, subjects, seen),
            "reason": result.reason or run.reason, "advice": result.advice, "mine": bool(owner) and run.owner == owner}


def _status(run: Run, subjects: Subjects, seen: Mapping[str, Any]) -> str:
    if run.state == "queued":
        place = subjects.bench.store.place(run.id)
        return "next in line" if place <= 1 else f"{ordinal(place)} in line"
    if run.state == "running":
        preparing = subjects.result(run).preparing
        return f"{seen['done']:,} of {seen['of']:,}" if seen else preparing.what if preparing else "a worker is opening the run"
    return ""


def missing(lens: type[Lens], subject: Subject, ok: bool) -> str:
    """Why nothing is to be seen, and nothing can be asked for."""
    if not ok or not issubclass(lens, Trace | Probe):
        return ""
    ended = subject.state not in ("queued", "running")
    if issubclass(lens, Trace) and ended:
        return "Nothing was recorded: the run is older than this lens, or it ended before the first look. A new run records it."
    if issubclass(lens, Trace):
        return "It comes with the first look at this run, before its first step."
    if subject.label:
        return "It was not recorded with this run: make a run of your own, and look through this lens there."
    if not ended:
        return "It can be asked for when the run has finished."
    return f"It needs a finished run, and this one {'failed' if subject.state == 'failed' else 'was stopped'} at step {subject.result.step:,}."


def ask(asked: Any, subject: Subject, owner: str, subjects: Subjects) -> Run:
    """Queue a look. Raises LabError where it cannot be made, or a limit of this lab is reached."""
    look = Look.parse({"run": subject.key, "lens": asked.get("lens"), "knobs": asked.get("knobs") or {}})
    lens, row = type(look.probe), about(type(look.probe), subject)
    if not row["ok"]:
        raise LabError(f"{lens.title}: {row['reason']}")
    if subject.state != "finished" or subject.label:
        raise LabError(f"{lens.title}: {missing(lens, subject, True)}")
    return subjects.bench.look(look, owner)


def as_csv(lens: type[Lens], subject: Subject, subjects: Subjects) -> str:
    """All rows of its table; a text that a spreadsheet would take for a formula is marked as text."""
    value = sighted(lens, subject, subjects)[1]
    if value is None:
        raise LabError(f"{lens.title}: there are no numbers of it yet")
    table, written = lens.table(value), io.StringIO()
    writer = csv.writer(written)
    writer.writerow(table.columns)
    writer.writerows([_cell(cell) for cell in row] for row in table.rows)
    return written.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
