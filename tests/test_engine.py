"""The engine: what a run tells, that it is right, that it repeats, and how it ends when something goes wrong."""
from __future__ import annotations

import json
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from _trials import every_nth

from lab import catalogue
from lab.accounting.shapes import shape_of
from lab.contracts import Item
from lab.engine import Workshop, bases, diagnosis, optimizers, train
from lab.engine.chance import generator
from lab.engine.job import prepare
from lab.engine.loop import EVENT_SECONDS, Progress, Scored
from lab.engine.notes import Notes
from lab.engine.scoring import Answers
from lab.engine.texts import Encoded, Reader, by_length, collate, epochs
from lab.events import Cancelled, Evaluated, Failed, Finished, Observed, Preparing, Started, Stepped, fold
from lab.spec import RunSpec

BERT = {"model": "seed-bert", "task": "toy", "method": "lora", "dtype": "float32"}
LLAMA = {**BERT, "model": "seed-llama"}
BOTH = pytest.mark.parametrize("base", [BERT, LLAMA], ids=["encoder", "decoder"])


def events_of(workshop: Workshop, **spec: Any) -> list[Any]:
    return list(train(RunSpec.parse(spec), workshop))


# ── what a run tells ──────────────────────────────────────────────────────────────────────────────────────────────────


@BOTH
def test_a_run_tells_everything_in_order(base: dict[str, Any], workshop: Workshop) -> None:
    events = [event for event in events_of(workshop, **base, steps=6, eval_every=3) if not isinstance(event, Preparing)]
    assert isinstance(events[0], Started) and isinstance(events[-1], Finished)
    result = fold(events).to_dict()
    assert result["state"] == "finished" and len(result["losses"]) == 6 and [step for step, _ in result["losses"]] == [1, 2, 3, 4, 5, 6]
    assert set(result["scores"]) == {"majority", "base", "untrained", "tuned"} | ({"prompt"} if base is LLAMA else set())
    assert len({score["items"] for score in result["scores"].values()}) == 1
    assert [seen["step"] for seen in result["evaluations"] if seen["split"] == "validation"] == [3, 6]
    assert sum(result["memory"]["measured"]["parts"].values()) == result["memory"]["measured"]["peak_bytes"]
    assert result["counts"]["trainable"] == result["counts"]["method"] + result["counts"]["head"]
    assert {"text", "label", "before", "after"} <= set(result["samples"][0])
    for key in ("weights_sha256", "data_sha256", "fingerprint"):
        assert len(result[key]) == 64
    json.dumps(result, allow_nan=False)


@BOTH
def test_the_first_loss_is_that_of_the_untouched_model(base: dict[str, Any], workshop: Workshop, finish: Any) -> None:
    """The loss of step 1, computed again by hand from the texts alone."""
    spec = RunSpec.parse({**base, "steps": 2})
    first = next(event for event in train(spec, workshop) if isinstance(event, Stepped))
    job = finish(prepare(spec, workshop))[1]
    rows = next(epochs(job.texts.train, spec.batch, generator(spec.seed, "order")))
    losses = []
    for row in rows:  # one text at a time: no padding at all
        ids = torch.tensor([row.ids])
        with torch.no_grad():
            if base is BERT:
                logits = job.learner.head.linear(job.pristine.module(input_ids=ids).last_hidden_state.mean(1))[0]
                losses.append(-logits.log_softmax(0)[row.label])
            else:
                answer = job.reader.tokenizer(spec.goal.words[row.label], add_special_tokens=False)["input_ids"][0]
                losses.append(-job.pristine.module(input_ids=ids).logits[0, -1].log_softmax(0)[answer])
    dropout = 0.0 if base is LLAMA else 0.15  # BERT trains with dropout
    assert first.loss == pytest.approx(float(sum(losses) / len(losses)), abs=1e-5 + dropout)


@BOTH
def test_padding_and_neighbours_change_nothing(base: dict[str, Any], workshop: Workshop, finish: Any) -> None:
    for method in ("lora", "prompt_tuning"):
        job = finish(prepare(RunSpec.parse({**base, "method": method}), workshop))[1]
        rows = sorted(job.texts.test[:40], key=lambda row: len(row.ids))
        assert len(rows[0].ids) < len(rows[-1].ids)
        job.module.eval()
        with torch.no_grad():
            alone = torch.cat([job.learner.scores(job.batch([row])) for row in rows])
            together = job.learner.scores(job.batch(rows))
        assert (alone - together).abs().max() <= 1e-5 * max(1.0, float(alone.abs().max()))


def test_scores_come_back_in_the_items_order(workshop: Workshop, finish: Any) -> None:
    job = finish(prepare(RunSpec.parse(BERT), workshop))[1]
    rows = job.texts.test[:50]
    assert [place for group in by_length(rows, 7) for place, _ in group] != list(range(50))
    whole = job.answers(rows)
    assert whole.labels.tolist() == [row.label for row in rows]
    torch.testing.assert_close(whole.logits[13], job.answers([rows[13]]).logits[0])


def test_a_score_is_the_share_of_right_answers_and_its_binomial_error() -> None:
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    seen = Answers(logits, torch.tensor([0, 1, 0, 1]), 0.0).evaluated("tuned", "test", 1, "accuracy")
    assert (seen.score, seen.standard_error, seen.items) == (0.5, 0.25, 4)
    assert Answers(logits, torch.tensor([0, 1, 0, 1]), 0.0).letters() == "0110"


def test_events_come_at_most_twice_a_second_and_lose_no_step(workshop: Workshop) -> None:
    events = events_of(workshop, **LLAMA, steps=300, eval_every=0)
    stepped = [event for event in events if isinstance(event, Stepped)]
    seconds = stepped[-1].seconds
    assert len(stepped) <= 3 + 2 * seconds
    assert [int(step) for event in stepped for step, _ in event.losses] == list(range(1, 301))


# ── it repeats, and arms share what they must ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["lora", "full", "houlsby", "prompt_tuning", "top_layers"])
@BOTH
def test_one_seed_one_curve(base: dict[str, Any], method: str, workshop: Workshop, run: Any) -> None:
    curves = [run(workshop, **{**base, "method": method, "steps": 8, "seed": seed}).losses for seed in (3, 3, 4)]
    assert curves[0] == curves[1] != curves[2]


def test_methods_share_data_order_and_head(workshop: Workshop, finish: Any) -> None:
    jobs = [finish(prepare(RunSpec.parse({**BERT, "method": method, "seed": 5}), workshop))[1] for method in ("lora", "prompt_tuning", "full")]
    heads = [job.learner.head.linear.weight for job in jobs]
    assert torch.equal(heads[0], heads[1]) and torch.equal(heads[0], heads[2])
    orders = [list(islice(epochs(job.texts.train, 8, generator(5, "order")), 3)) for job in jobs]
    assert orders[0] == orders[1] == orders[2]


def test_every_item_is_seen_once_a_pass() -> None:
    rows = [Encoded((place,) * (1 + place % 7), 0) for place in range(100)]
    batches = list(islice(epochs(rows, 4, torch.Generator().manual_seed(0)), 50))  # two passes
    assert all(len(batch) == 4 for batch in batches)
    seen = [row.ids[0] for batch in batches for row in batch]
    assert sorted(seen[:100]) == sorted(seen[100:]) == list(range(100)) and seen[:100] != seen[100:]
    few = list(islice(epochs(rows[:3], 4, torch.Generator().manual_seed(0)), 30))  # fewer texts than a batch holds
    assert all(len(batch) == 4 for batch in few) and {row.ids[0] for batch in few for row in batch} == {0, 1, 2}


def test_texts_of_similar_length_share_a_batch() -> None:
    rows = [Encoded((0,) * (1 + place * 37 % 50), 0) for place in range(640)]
    batches = list(islice(epochs(rows, 8, torch.Generator().manual_seed(0)), 80))
    real = sum(len(row.ids) for batch in batches for row in batch)
    padded = sum(8 * max(len(row.ids) for row in batch) for batch in batches)
    assert real / padded > 0.85


def test_shuffled_labels_are_a_control_and_leave_the_test_alone(workshop: Workshop, finish: Any) -> None:
    plain, shuffled = (finish(prepare(RunSpec.parse({**BERT, "shuffle_labels": flag}), workshop))[1] for flag in (False, True))
    assert [row.label for row in plain.texts.train] != [row.label for row in shuffled.texts.train]
    assert plain.texts.test == shuffled.texts.test
    assert [row.ids for row in plain.texts.train] == [row.ids for row in shuffled.texts.train]


def test_it_learns(workshop: Workshop, run: Any) -> None:
    for base in (BERT, LLAMA):
        result = run(workshop, **{**base, "method": "full", "lr": 3e-3, "steps": 60})
        assert result.scores["tuned"].score > 0.8 > result.scores["untrained"].score


# ── the base stays as it was ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("base", [BERT, LLAMA], ids=["bert", "llama"])
def test_a_base_that_was_looked_into_hands_out_copies_that_are_as_fast(base: dict[str, Any], workshop: Workshop, finish: Any) -> None:
    """transformers leaves hooks in a module that was asked for its attention, and a block with hooks inside is not run as one function."""
    spec = RunSpec.parse({**base, "method": "lora"})
    pristine = finish(prepare(spec, workshop))[1].pristine
    ids = torch.tensor([[5, 6, 7]])
    attentions = pristine.module(input_ids=ids, output_attentions=True).attentions
    copied = bases.fresh(pristine)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in copied.modules())
    assert all(torch.equal(one, other) for one, other in zip(attentions, copied(input_ids=ids, output_attentions=True).attentions, strict=True))


SUPPORTED = [pytest.param(base, name, id=f"{base['model']}-{name}") for base in (BERT, LLAMA) for name, kind in catalogue.entries("methods").items()
             if kind().supports(shape_of(catalogue.find("models", base["model"]).config)).ok]


@pytest.mark.parametrize(("base", "method"), every_nth(3, SUPPORTED))
def test_the_base_is_the_same_bit_by_bit_after_any_run(base: dict[str, Any], method: str, workshop: Workshop, finish: Any) -> None:
    spec = RunSpec.parse({**base, "method": method, **({"steps": 4} if method != "in_context" else {})})
    pristine = finish(prepare(spec, workshop))[1].pristine
    before = [tensor.clone() for tensor in (*pristine.module.parameters(), *pristine.module.buffers())]
    assert isinstance(list(train(spec, workshop))[-1], Finished)
    after = [*pristine.module.parameters(), *pristine.module.buffers()]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert not any(weight.requires_grad for weight in pristine.module.parameters())
    assert finish(prepare(spec, workshop))[1].pristine is pristine, "the warm base was used again"


def test_a_damaged_base_is_noticed_and_read_again(tmp_path: Path, finish: Any) -> None:
    workshop = Workshop(tmp_path, offline=True)
    job = finish(prepare(RunSpec.parse(LLAMA), workshop))[1]
    with torch.no_grad():
        next(job.pristine.module.parameters())[3, 5] += 1
    assert not workshop.check(job.pristine)
    again = finish(prepare(RunSpec.parse(LLAMA), workshop))[1].pristine
    assert again is not job.pristine and again.intact


def test_copies_share_memory_until_they_train(workshop: Workshop, finish: Any) -> None:
    job = finish(prepare(RunSpec.parse(LLAMA), workshop))[1]
    kept = {weight.data_ptr() for weight in job.pristine.module.parameters()}
    frozen = [weight for weight in job.module.parameters() if not weight.requires_grad]
    assert frozen and all(weight.data_ptr() in kept for weight in frozen)
    copy = bases.fresh(job.pristine)
    assert copy.lm_head.weight is copy.model.embed_tokens.weight, "tied weights stay tied"


# ── endings ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stop_comes_at_the_next_step_and_loses_nothing(workshop: Workshop) -> None:
    asked = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 6

    events = list(train(RunSpec.parse({**LLAMA, "steps": 500}), workshop, cancelled=cancelled))
    assert events[-1] == Cancelled(5)
    assert len(fold(events).losses) == 5 and fold(events).state == "cancelled"


@BOTH
def test_a_stop_while_the_test_texts_are_asked_is_heeded_too(base: dict[str, Any], workshop: Workshop) -> None:
    seen: list[Any] = []
    spec = RunSpec.parse({**base, "steps": 4, "eval_every": 0})
    for event in train(spec, workshop, cancelled=lambda: any(isinstance(event, Stepped) and event.step == 4 for event in seen)):
        seen.append(event)
    assert seen[-1] == Cancelled(4) and "tuned" not in fold(seen).scores and len(fold(seen).losses) == 4


def test_a_long_scoring_says_how_far_it_is() -> None:
    def asking() -> Any:
        for done in (1, 2, 3):
            time.sleep(EVENT_SECONDS * 1.05 if done > 1 else 0)
            yield done
        return "answers"

    told = []
    telling = Scored(lambda: False, Progress()).told("tuned", asking(), 3)
    while True:
        try:
            told.append(next(telling).value)
        except StopIteration as end:
            assert end.value == "answers"
            break
    assert told == [{"who": "tuned", "done": done, "items": 3} for done in (1, 2, 3)]


def test_a_loss_that_is_no_number_is_explained(tmp_path: Path, finish: Any) -> None:
    workshop = Workshop(tmp_path, offline=True)
    job = finish(prepare(RunSpec.parse(LLAMA), workshop))[1]
    with torch.no_grad():
        job.pristine.module.model.norm.weight[0] = float("nan")
    events = events_of(workshop, **{**LLAMA, "lr": 100.0})
    assert isinstance(events[-1], Failed) and not events[-1].knob and "not a number before anything was trained" in events[-1].reason
    assert fold(events).to_dict()["losses"] == [[1, None]]
    with pytest.raises(diagnosis.Diverged) as later:
        diagnosis.check_loss(float("nan"), 2, 0.7, 0)
    said = diagnosis.diagnose(later.value, RunSpec.parse({**LLAMA, "lr": 100.0}), 2)
    assert said.knob == "lr" and "not a number any more, from step 2" in said.reason and "try 10" in said.advice


def test_a_learning_rate_far_too_high_is_explained(workshop: Workshop) -> None:
    end = events_of(workshop, **{**LLAMA, "method": "full", "lr": 100.0, "clip": 0.0, "warmup": 0.0, "steps": 60})[-1]
    assert isinstance(end, Failed) and end.knob == "lr" and "usually learns between" in end.advice


def test_a_handful_of_test_items_is_enough_to_run(workshop: Workshop, run: Any) -> None:
    assert len(run(workshop, **{**LLAMA, "eval_items": 2, "steps": 2}).seen("samples")) == 2


def test_a_loss_that_runs_away_is_explained() -> None:
    far = 0
    with pytest.raises(diagnosis.Diverged, match="ran away"):
        for step in range(2, 40):
            far = diagnosis.check_loss(9.0, step, 0.7, far)
    assert diagnosis.check_loss(0.5, 50, 0.7, 19) == 0


def test_a_run_that_cannot_fit_is_refused_before_it_starts(workshop: Workshop) -> None:
    events = events_of(workshop, model="smollm2-135m", method="full", batch=256, tokens=4096)
    assert len(events) == 1 and isinstance(events[0], Failed)
    assert "GB of memory" in events[0].reason and "Halve the batch (now 256)" in events[0].advice


def test_an_exception_keeps_no_path_of_this_machine() -> None:
    spec = RunSpec.parse(LLAMA)
    failed = diagnosis.diagnose(RuntimeError("broken at " + "/ro" + "ot/secret/file.py"), spec, 3)
    assert "secret" not in failed.reason + failed.detail and "mistake" in failed.reason
    for words in ("DefaultCPUAllocator: can't allocate memory: you tried", "unable to mmap: Cannot allocate memory (12)", "CUDA out of memory. Tried"):
        assert "Halve the batch" in diagnosis.diagnose(RuntimeError(words), spec, 1).advice


def test_a_gpu_that_is_not_there_is_said(workshop: Workshop) -> None:
    if torch.cuda.is_available():
        assert events_of(workshop, **{**LLAMA, "device": "cuda", "steps": 2})[-1].name == "finished"
    else:
        assert "no GPU" in events_of(workshop, **{**LLAMA, "device": "cuda"})[-1].reason


# ── small parts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_learning_rate_rises_then_falls() -> None:
    rates = [optimizers.factor(step, 10, 0.2) for step in range(1, 11)]
    assert rates[:2] == [0.5, 1.0] and rates[2] == 1.0 and rates == [*rates[:2], *sorted(rates[2:], reverse=True)] and rates[-1] > 0
    assert optimizers.factor(1, 10, 0.0) == 1.0 and optimizers.factor(1, 1, 0.1) == 1.0


@pytest.mark.parametrize("name", ["adamw", "adamw_foreach", "adamw_fused", "sgd", "adafactor"])
def test_every_optimizer_of_the_cpu_trains(name: str, workshop: Workshop, run: Any) -> None:
    assert run(workshop, **{**LLAMA, "optimizer": name, "steps": 3}).state == "finished"


def test_the_three_adamw_are_one_optimizer(workshop: Workshop, run: Any) -> None:
    curves = [[loss for _, loss in run(workshop, **{**LLAMA, "optimizer": name, "steps": 6}).losses] for name in ("adamw", "adamw_foreach", "adamw_fused")]
    assert curves[0] == pytest.approx(curves[1], abs=1e-5) and curves[0] == pytest.approx(curves[2], abs=1e-5)


def test_checkpointing_changes_memory_and_nothing_else(workshop: Workshop, run: Any) -> None:
    plain, recomputed = (run(workshop, **{**LLAMA, "checkpointing": flag, "steps": 4}) for flag in (False, True))
    assert [loss for _, loss in plain.losses] == pytest.approx([loss for _, loss in recomputed.losses], abs=1e-5)
    kept = [result.seen("memory")["moments"][0]["parts"]["activations"] for result in (plain, recomputed)]
    assert kept[1] < 0.6 * kept[0]


def test_bfloat16_and_eager_or_fused_attention_agree_roughly(workshop: Workshop, run: Any) -> None:
    exact = [run(workshop, **{**LLAMA, "attention": kind, "steps": 6}).losses for kind in ("eager", "sdpa")]
    assert [loss for _, loss in exact[0]] == pytest.approx([loss for _, loss in exact[1]], abs=1e-4)
    coarse = run(workshop, **{**LLAMA, "dtype": "bfloat16", "steps": 6}).losses
    assert [loss for _, loss in coarse] == pytest.approx([loss for _, loss in exact[0]], abs=0.1)


@pytest.mark.parametrize(("spec", "moved"), [({**BERT, "method": "bitfit"}, "bias"), ({**LLAMA, "method": "norms"}, "norm"), ({**BERT, "method": "full"}, "")])
def test_what_moves_is_float32_also_where_the_arithmetic_has_16_bits(spec: dict[str, Any], moved: str, workshop: Workshop, finish: Any, run: Any) -> None:
    """Frozen matrices are stored as they are multiplied, except where matrices move."""
    job = finish(prepare(RunSpec.parse({**spec, "dtype": "bfloat16"}), workshop))[1]
    assert {weight.dtype for weight in job.trained()} == {torch.float32}
    frozen = {weight.dtype for weight in job.module.parameters() if not weight.requires_grad and weight.dim() > 1}
    assert frozen == ({torch.bfloat16} if moved else set())
    assert all(moved in name for name, weight in job.module.named_parameters() if weight.requires_grad)
    exact, coarse = (run(workshop, **{**spec, "dtype": dtype, "steps": 6}) for dtype in ("float32", "bfloat16"))
    assert [loss for _, loss in coarse.losses] == pytest.approx([loss for _, loss in exact.losses], abs=0.1)
    assert coarse.seen("memory")["peak_bytes"] < exact.seen("memory")["peak_bytes"] or not moved


def test_a_long_text_loses_its_end_and_never_the_question(workshop: Workshop, finish: Any) -> None:
    job = finish(prepare(RunSpec.parse({**LLAMA, "tokens": 24}), workshop))[1]
    long = Item("x", "the film was good " * 40, 1, "x")
    ids = job.reader.encode([long])[0].ids
    assert len(ids) <= 24
    assert job.reader.tokenizer.decode(ids).endswith("Sentiment:")


def test_label_words_that_begin_alike_are_refused(workshop: Workshop, finish: Any) -> None:
    job = finish(prepare(RunSpec.parse(LLAMA), workshop))[1]
    task = replace(job.spec.goal, words=(" good", " good news"))
    with pytest.raises(Exception, match="cannot be told apart"):
        Reader(job.reader.tokenizer, "decoder", task, 32, 256).answers()


def test_a_batch_is_padded_on_the_right(workshop: Workshop, finish: Any) -> None:
    job = finish(prepare(RunSpec.parse(LLAMA), workshop))[1]
    rows = sorted(job.texts.test[:30], key=lambda row: len(row.ids))
    batch = collate([rows[0], rows[-1]], job.reader.tokenizer.pad_token_id, "cpu")
    assert batch.mask[0].tolist() == sorted(batch.mask[0].tolist(), reverse=True) and batch.last.tolist() == [len(rows[0].ids) - 1, len(rows[-1].ids) - 1]


def test_notes_never_fail_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    notes = Notes(tmp_path / "file")
    assert notes.put("topic", "key", 3) == 3 and notes.get("topic", "key") is None
    good = Notes(tmp_path / "notes")
    good.put("topic", "key", {"a": 1})
    assert good.get("topic", "key") == {"a": 1} and good.get("topic", "other") is None


def test_the_folder_to_take_home(workshop: Workshop, run: Any, tmp_path: Path) -> None:
    result = run(workshop, out=tmp_path, **{**BERT, "steps": 3})
    files = {path.name for path in (tmp_path / "adapter").iterdir()}
    assert files == {"adapter_config.json", "adapter_model.safetensors", "head.safetensors", "README.md", "lab.json"}
    readme = (tmp_path / "adapter" / "README.md").read_text()
    assert f"{result.scores['tuned'].score:.3f}" in readme and "def classify(" in readme
    assert json.loads((tmp_path / "adapter" / "lab.json").read_text())["fingerprint"] == result.started.fingerprint
    assert result.adapter_bytes == sum(path.stat().st_size for path in (tmp_path / "adapter").glob("*.safetensors"))


def test_the_readmes_own_lines_give_the_same_scores(workshop: Workshop, run: Any, tmp_path: Path, finish: Any) -> None:
    """Executed here; the slow tests execute it in a fresh process on the real models."""
    near = {key: value for key, value in LLAMA.items() if key not in ("steps", "lr")} | {"method": {
        "name": "in_context", "shots": 3, "examples": "nearest", "order": "by_label"}}
    for number, base in enumerate(({**BERT, "steps": 5}, {**LLAMA, "steps": 5}, near)):
        folder = tmp_path / str(number)
        run(workshop, out=folder, **base)
        code = (folder / "adapter" / "README.md").read_text().split("```python\n")[1].split("```")[0]
        names: dict[str, Any] = {}
        exec(compile(code, "README", "exec"), names)
        job = finish(prepare(RunSpec.parse(base), workshop))[1]
        items = job.data.splits.test[:100]
        where = str(workshop.supply.cache / "models" / catalogue.file_name(base["model"]))
        found = names["classify"]([item.text for item in items], folder=str(folder / "adapter"), base=where)
        seen = json.loads((folder / "adapter" / "lab.json").read_text())["scores"]["tuned"]
        right = (found.argmax(1) == torch.tensor([item.label for item in items])).float().mean()
        assert float(right) == pytest.approx(seen["score"], abs=1e-6) and seen["items"] == 100


def test_the_hand_written_prompt_is_chosen_on_validation_items_only(tmp_path: Path) -> None:
    result = fold(events_of(Workshop(tmp_path, offline=True), **LLAMA, steps=2))
    task = RunSpec.parse(LLAMA).goal
    chosen = result.seen("wording")
    assert set(chosen["validation"]) == {task.prompt, *task.wordings} and chosen["best"] == max(chosen["validation"], key=chosen["validation"].get)
    assert (result.scores["prompt"].split, result.scores["prompt"].items) == ("test", 100)


def test_majority_and_base_are_cached_scores_of_the_same_items(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, offline=True)
    first, second = (events_of(workshop, **LLAMA, steps=2) for _ in range(2))
    place = [next(i for i, event in enumerate(events) if isinstance(event, Evaluated) and event.who == "base") for events in (first, second)]
    stepped = [next(i for i, event in enumerate(events) if isinstance(event, Stepped)) for events in (first, second)]
    assert place[0] > stepped[0] and place[1] < stepped[1], "asked after the first run, known before the second"
    assert fold(first).scores["base"].score == fold(second).scores["base"].score
    assert [event.lens for event in second if isinstance(event, Observed)].count("samples") == 1


def test_methods_that_start_as_the_base_are_asked_once_before_training(tmp_path: Path, run: Any) -> None:
    """The same head on the same base: arms of a comparison share what they answered before any step, and it is what each would have answered by itself."""
    workshop = Workshop(tmp_path, offline=True)
    spec = {**BERT, "steps": 2, "dtype": "float32"}
    first = run(workshop, **{**spec, "method": "lora"})
    assert len(workshop._starts) == 1
    shared = run(workshop, **{**spec, "method": "bitfit"})
    assert len(workshop._starts) == 1
    alone = run(Workshop(tmp_path, offline=True), **{**spec, "method": "bitfit"})
    for seen in (shared, alone):
        assert seen.seen("answers")["untrained"] == first.seen("answers")["untrained"]
        assert seen.scores["untrained"].loss == pytest.approx(first.scores["untrained"].loss, rel=1e-5)
    other = run(workshop, **{**spec, "method": "lora", "seed": 1})
    assert len(workshop._starts) == 2 and other.scores["untrained"].loss != first.scores["untrained"].loss, "another head"
    run(workshop, **{**spec, "method": "prompt_tuning"})
    run(workshop, **{**spec, "method": "lora", "eval_items": 20})
    assert len(workshop._starts) == 3, "a prompt changes the answers at once, and other texts are other questions"


def test_a_base_that_is_damaged_in_memory_costs_one_run(tmp_path: Path) -> None:
    """Its loss is no number before anything was trained, which is no matter of the learning rate; the next run reads the weights anew."""
    workshop, spec = Workshop(tmp_path, offline=True), RunSpec.parse({**BERT, "steps": 2})
    assert isinstance(list(train(spec, workshop))[-1], Finished)
    for kept in workshop._bases.values():
        for weight in kept.module.parameters():
            weight.data.fill_(float("nan"))
    failed = list(train(RunSpec.parse({**BERT, "steps": 2, "seed": 1}), workshop))[-1]
    assert isinstance(failed, Failed) and "before anything was trained" in failed.reason and "read anew" in failed.advice and not failed.knob
    assert isinstance(list(train(spec, workshop))[-1], Finished)


def test_a_full_disk_is_named_whoever_says_it() -> None:
    said = diagnosis.diagnose(RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), RunSpec.parse(BERT), 3)
    assert said.reason == "The disk got in the way: No space left on device." and "Free some space" in said.advice
    gone = diagnosis.diagnose(FileNotFoundError("Unable to find '/srv/somebody/cache/data/x.parquet'"), RunSpec.parse(BERT), 3)
    assert "x.parquet" in gone.reason and "somebody" not in gone.reason, "where things lie on the host's disk is nobody's business"
