"""A finished run's own step, foretold by tracing and held against what the run measured."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.contracts import LabError
from lab.events import RunResult
from lab.forecast.order import Order
from lab.spec import RunSpec
from lab.ui import cards
from lab.ui.bench import Bench
from lab.ui.picture import RECORDED


def foretold(bench: Bench, asked: Mapping[str, Any]) -> dict[str, Any]:
    """{"bar", "against"} once the trace has come, {"waiting": True} until then. `bar` is None where it cannot be had, and `against` says why."""
    name = str(asked.get("run", ""))
    result = _result(bench, name, str(asked.get("owner", "")))
    measured = result.seen("memory")
    if result.state != "finished" or not measured or result.started is None:
        raise LabError("only a finished run has measured its memory")
    try:
        found = bench.desk.against(f"run {name}", order(result), measured)
    except LabError as error:
        return {"bar": None, "against": f"It cannot be foretold by tracing: {error}.", "waiting": False}
    if found is None:
        return {"waiting": True}
    known = cards.against(found["error"], "Foretold by tracing a step of this size without training")
    return {"bar": cards.bar(found["predicted"], "foretold"), "against": known, "waiting": False}


def _result(bench: Bench, name: str, owner: str) -> RunResult:
    """Raises LabError for a run that is not here, or that `owner` may not see."""
    recorded = next((each for each in bench.recorded if name == RECORDED + each.key), None)
    if recorded:
        return recorded.result
    run = bench.store.run(name)
    bench.check_reader(run, owner)
    return bench.store.result(run.id)


def order(result: RunResult) -> Order:
    """The step as this run made it: on its device, in the number format that it chose. Raises LabError where the catalogue has moved on."""
    settings = dict(result.started.spec) | {"dtype": result.started.dtype, "device": "auto"}
    return Order.of(RunSpec.parse(settings), "cpu" if result.started.device == "cpu" else "cuda")
