"""Events survive their JSON line, and the fold makes the result from them alone."""
from __future__ import annotations

import json

import pytest

from lab.contracts import LabError
from lab.events import Cancelled, Evaluated, Event, Failed, Finished, Observed, Preparing, Restarted, Started, Stepped, fold, from_json, to_json

STARTED = Started(spec={"model": "m"}, fingerprint="f", weights_sha256="w", data_sha256="d", versions={"torch": "2"}, counts={"trainable": 3},
                  device="cpu", dtype="float32", threads=2, items={"test": 10})
STREAM: list[Event] = [
    Preparing("weights", 1, 2), STARTED,
    Evaluated(0, "majority", "test", "accuracy", 0.5, 0.1, 10),
    Stepped(1, 0.9, 0.1, 0.2, [[1, 0.9]], 20),
    Observed(2, "memory", {"peak_bytes": 5}),
    Stepped(3, 0.7, 0.1, 0.6, [[2, 0.8], [3, 0.7]], 60),
    Evaluated(3, "tuned", "validation", "accuracy", 0.6, 0.1, 10),
    Evaluated(3, "tuned", "test", "accuracy", 0.8, 0.1, 10),
    Finished(3, {"first_step": 0.1, "training": 0.6, "total": 1.0}, 5.0, 100),
]


@pytest.mark.parametrize("event", [*STREAM, Failed("because", "do this", "lr", 3), Cancelled(3), Restarted(2, "lost")], ids=lambda event: event.name)
def test_an_event_is_one_line_and_comes_back_equal(event: Event) -> None:
    line = to_json(event)
    assert "\n" not in line and json.loads(line)["event"] == event.name
    assert from_json(line) == event


def test_a_loss_that_is_no_number_becomes_null() -> None:
    line = to_json(Stepped(1, float("nan"), 0.1, 0.1, [[1, float("nan")]]))
    assert json.loads(line)["loss"] is None


def test_the_fold_of_every_prefix_is_a_state() -> None:
    states = [fold(STREAM[:count]).state for count in range(len(STREAM) + 1)]
    assert states == ["queued", "preparing", *["running"] * 7, "finished"]


def test_the_result_has_the_keys_scripts_rely_on() -> None:
    result = fold(STREAM).to_dict()
    assert result["losses"] == [[1, 0.9], [2, 0.8], [3, 0.7]]
    assert set(result["scores"]) == {"majority", "tuned"} and result["scores"]["tuned"] == {
        "metric": "accuracy", "score": 0.8, "standard_error": 0.1, "items": 10}
    assert result["memory"]["measured"] == {"peak_bytes": 5}
    for key in ("schema", "state", "reason", "spec", "fingerprint", "weights_sha256", "data_sha256", "versions", "counts", "evaluations", "seconds",
                "steps_per_second", "samples"):
        assert key in result
    json.dumps(result, allow_nan=False)


def test_a_run_that_begins_anew_forgets_what_the_lost_machine_told() -> None:
    lost = [*STREAM[:-1], Restarted(2, "the machine that ran it was lost")]
    assert fold(lost).state == "preparing" and "start 2" in fold(lost).preparing.what
    assert not fold(lost).losses and not fold(lost).scores and not fold(lost).observed and fold(lost).started is None
    assert fold([*lost, *STREAM]) == fold(STREAM)


def test_a_failed_run_keeps_its_curve_and_its_reason() -> None:
    result = fold([*STREAM[:6], Failed("too hot", "cool it", "lr", 3)])
    assert (result.state, result.reason, result.knob, len(result.losses)) == ("failed", "too hot", "lr", 3)


def test_a_line_that_is_no_event_is_refused() -> None:
    with pytest.raises(LabError, match="not an event"):
        from_json('{"event": "exploded"}')
    assert from_json('{"event": "cancelled", "step": 1, "reason": "x", "added_later": 1}') == Cancelled(1, "x")
