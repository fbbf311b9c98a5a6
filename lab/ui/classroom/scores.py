"""Test scores of finished runs, read once each: a finished run does not change."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any

from lab import catalogue
from lab.classroom.tally import Scored, leaderboard
from lab.contracts import LabError
from lab.ui.bench import Bench
from lab.ui.picture import sentence, title
from lab.ui.wording import score, seconds, whole

KEPT = 5000
READ = 1000  # newest runs of a task


class Scores:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._known: OrderedDict[str, Scored | None] = OrderedDict()
        self._lock = Lock()

    def members(self, task: str) -> list[Scored]:
        """Of runs that members of the class made on a task; one taken from the history counts as its owner's own."""
        found = self._bench.store.rows("SELECT runs.id FROM runs JOIN members ON members.owner = runs.owner WHERE kind = 'train' AND state = 'finished' "
                                       "AND json_extract(spec, '$.task') = ? ORDER BY number DESC LIMIT ?", task, READ)
        return [scored for (run_id,) in found if (scored := self._of(run_id)) is not None]

    def tasks(self) -> list[dict[str, Any]]:
        """Tasks that members have finished runs of, the busiest first."""
        rows = self._bench.store.rows("SELECT json_extract(spec, '$.task') AS task, count(*), count(DISTINCT runs.owner) FROM runs JOIN members "
                                      "ON members.owner = runs.owner WHERE kind = 'train' AND state = 'finished' GROUP BY task ORDER BY 3 DESC, 2 DESC")
        return [{"key": task, "title": self.titled(task), "runs": runs, "owners": owners} for task, runs, owners in rows if task in catalogue.entries("tasks")]

    def titled(self, task: str) -> str:
        known = catalogue.entries("tasks").get(task)
        return known.title if known else task

    def _of(self, run_id: str) -> Scored | None:
        with self._lock:
            if run_id in self._known:
                return self._known[run_id]
        try:
            run, result = self._bench.store.run(run_id), self._bench.store.result(run_id)
        except LabError:  # deleted meanwhile
            return None
        tuned, counts = result.scores.get("tuned"), result.started.counts if result.started else {}
        scored = None if tuned is None or result.started is None else Scored(
            run.id, run.owner, title(run.settings), run.settings["model"], run.settings["method"]["name"], tuned.score, tuned.standard_error, tuned.metric,
            tuned.items, counts.get("trainable", 0), result.seconds.get("total", 0.0), run.created)
        with self._lock:
            self._known[run_id] = scored
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return scored

    def settings(self, run_id: str) -> str:
        return sentence(self._bench.store.run(run_id).settings)


def rows(scored: Sequence[Scored], mine: str = "") -> list[dict[str, Any]]:
    """The leaderboard in words."""
    return [{"place": row["place"], "mine": row["mine"], **told(row["scored"])} for row in leaderboard(scored, mine)]


def told(scored: Scored) -> dict[str, Any]:
    return {"title": scored.title, "method": scored.method, "score": score(scored.score, scored.standard_error, scored.metric), "value": scored.score,
            "metric": scored.metric, "items": f"{scored.items:,}", "trainable": whole(scored.trainable), "seconds": seconds(scored.seconds)}
