"""Claims of the lessons that a few steps settle, on runs made here and now: counts, memory, and what is exactly so. The others are held on recorded runs."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.events import RunResult, fold
from lab.lessons import Lesson, lessons
from lab.lessons.asking import quantities
from lab.lessons.claims import outcome
from lab.lessons.known import Known
from lab.lessons.lesson import Claim
from lab.measuring import measure
from lab.spec import RunSpec

ROOT = Path(__file__).parent.parent
SETTLED_EARLY = {"trainable", "method", "head", "total", "share", "peak_bytes", "weights_bytes", "gradients_bytes", "optimizer_bytes", "state_bytes",
                 "adapter_bytes"}  # what more steps do not change
QUICK = {"first-step", "merging", "number-formats"}  # measurements of seconds
STEPS = 4
FEWEST = 18


def quick(lesson: Lesson, claim: Claim) -> bool:
    """Of runs of the small encoder alone, and of measurements that take seconds."""
    measured = lesson.matter.measurements
    return all(measured[reference].name in QUICK if reference in measured
               else reference in lesson.runs and lesson.runs[reference].model == "minilm-l6" and measure in SETTLED_EARLY
               for measure, reference in quantities(lesson, claim))


@pytest.mark.slow
def test_what_a_few_steps_settle_comes_out_as_the_lessons_say(real_workshop: Any, tmp_path: Path) -> None:
    from lab.engine import train

    runs: dict[str, RunResult] = {}
    measured: dict[str, Any] = {}

    def ran(spec: RunSpec) -> None:
        if spec.fingerprint not in runs:
            short = RunSpec.parse({**spec.to_dict(), "steps": STEPS, "eval_items": 20, "eval_every": 0})
            result = fold(train(short, real_workshop, out=tmp_path / spec.fingerprint))
            assert result.state == "finished", result.reason
            runs[spec.fingerprint] = result

    held = []
    for lesson in lessons([ROOT / "lessons"], ROOT / "assets" / "comparisons").values():
        for name, claim in lesson.matter.claims.items():
            if not quick(lesson, claim):
                continue
            here: dict[str, Any] = {}
            for _, reference in quantities(lesson, claim):
                if reference in lesson.runs:
                    ran(lesson.runs[reference])
                else:
                    wanted = lesson.matter.measurements[reference]
                    key = f"{wanted.name} {wanted.knobs}"
                    if key not in measured:
                        *_, found = measure(wanted.name, wanted.knobs, real_workshop)
                        measured[key] = found["values"]
                    here[reference] = measured[key]
            verdict = outcome(claim, Known(lesson, runs, here))
            assert verdict.verdict == claim.here, (lesson.key, name, verdict.says)
            held.append(name)
    assert len(held) >= FEWEST, held
