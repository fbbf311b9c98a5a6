"""The contract of every method, on seeded models that support it: what it trains, where it starts, what it saves, what it leaves alone."""
from __future__ import annotations

import re
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from _trials import EXACT, IMAGES, METHODS, OF_EACH_FAMILY, PAIRS, SEEDED, TRAINING, Trial, fetching_slow, logits, optimise, some_slow, spec_for
from safetensors.torch import load_file

from lab.contracts import LabError
from lab.engine.job import prepare
from lab.methods import _lora
from tests._breadth import spread

# What does not depend on the model's family is asked of one model of each kind, and of one whose matrices lie transposed; of some methods on all.
OF_EACH_KIND = ("seed-bert", "seed-llama", "seed-gpt2", "seed-t5")
SOME = spread([*PAIRS, *IMAGES])  # that each trains what it counts is asked of all
SOME_TRAINING = [pair for pair in SOME if pair in TRAINING or pair in IMAGES]
THOROUGH = [(method, model) for method, model in SOME_TRAINING if model in OF_EACH_KIND or method in OF_EACH_FAMILY or (method, model) in IMAGES]
MERGING = [(method, model) for method, model in THOROUGH if METHODS[method].merges]
REPEATED = [pytest.param(method, model, id=f"{method}-{model}", marks=() if (model == "seed-bert") == (place % 2 == 0) else pytest.mark.slow)
            for place, method in enumerate(METHODS) for model in ("seed-bert", "seed-llama") if (method, model) in TRAINING]
REPEATED += [pytest.param(*pair, id="-".join(pair), marks=pytest.mark.slow) for pair in IMAGES if pair[0] in OF_EACH_FAMILY]

# positions and types that no text here has, and choices of the one token that an encoder-decoder's answer starts from
UNUSED = re.compile(r"\bembeddings\.(?!word)|decoder\.block\.\d+\.layer\.0\.SelfAttention\.(q|k|relative_attention_bias)\.")


@pytest.fixture(scope="module")
def tried(request: pytest.FixtureRequest, workshop: Any, finish: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The trial of a method on a model, the same for all tests of this file."""
    folder, trials = tmp_path_factory.mktemp("trials"), {}

    def trial(method: str, model: str) -> Trial:
        if (method, model) not in trials:
            used = request.getfixturevalue("kept_workshop") if (method, model) in IMAGES else workshop
            trials[method, model] = Trial(method, model, used, finish, folder / f"{method} {model}")
        return trials[method, model]

    return trial


@pytest.fixture
def made(workshop: Any, finish: Any) -> Any:
    return lambda method, model, **changes: finish(prepare(spec_for(method, model, **changes), workshop))[1]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_what_a_student_needs(name: str) -> None:
    method = METHODS[name]
    assert method.title and method.formula and method.__doc__ and method.paper.link.startswith("https://")
    for field in method.model_fields.values():
        assert field.description, f"{name} has a knob without a line of help"
    for rate in method.rates.values():
        assert rate.low <= rate.default <= rate.high


@pytest.mark.parametrize(("method", "model"), fetching_slow([*PAIRS, *IMAGES]))
def test_it_trains_exactly_what_it_counts(method: str, model: str, tried: Any) -> None:
    job = tried(method, model).job
    counts, places = job.spec.counts, job.spec.method.places(job.spec.shape)
    assert sum(weight.numel() for weight in job.trained()) == counts.method == sum(counts.by_role.values())
    assert sum(place.count for place in places) == counts.method
    sizes = sorted(tuple(weight.shape) for weight in job.trained())
    assert sizes == sorted(tuple(size) for place in places for _, size in place.tensors)
    head = job.learner.head
    assert counts.head == (sum(weight.numel() for weight in head.parameters()) if head is not None else 0)
    everything = {weight.data_ptr(): prod(getattr(weight, "quant_state", weight).shape) for weight in job.module.parameters()}
    assert sum(everything.values()) + counts.head == counts.total


@pytest.mark.parametrize(("method", "model"), some_slow(SOME))
def test_step_0_is_the_base_where_it_promises_so(method: str, model: str, tried: Any) -> None:
    trial = tried(method, model)
    same = torch.equal(trial.start, trial.base)
    if trial.job.spec.method.starts_as_base():
        assert same
    elif method != "in_context":  # its module is the base; the prompt differs
        assert not same


@pytest.mark.parametrize(("method", "model"), some_slow(SOME_TRAINING))
def test_all_of_it_moves_and_nothing_else(method: str, model: str, tried: Any) -> None:
    trial = tried(method, model)
    reached, changed = trial.training
    trained = {name for name, weight in trial.job.module.named_parameters() if weight.requires_grad}
    exempt = {name for name in trained if UNUSED.search(name)}
    assert trained - exempt <= reached, "no gradient within three steps"
    assert trained - exempt <= changed <= trained
    assert trial.job.pristine.intact, "the base itself was written to"


@pytest.mark.parametrize(("method", "model"), some_slow(THOROUGH))
def test_saved_and_loaded_it_answers_the_same(method: str, model: str, tried: Any) -> None:
    trial = tried(method, model)
    rounded = {"rtol": 0, "atol": 1e-5 * float(trial.trained.abs().max())}  # the loaded one runs as its library wrote it, products in another order
    exact = not trial.job.learner.codes and METHODS[method].format is not _lora.DIFFERENCE  # a difference of two products, where one was subtracted before
    torch.testing.assert_close(trial.loaded, trial.trained, **EXACT if exact else rounded)
    assert trial.job.pristine.intact


@pytest.mark.parametrize(("method", "model"), some_slow(MERGING))
def test_merged_it_answers_as_unmerged(method: str, model: str, tried: Any) -> None:
    trial = tried(method, model)
    assert (trial.merged - trial.trained).abs().max() <= 1e-5 * trial.trained.abs().max()
    assert torch.equal(logits(trial.job), trial.trained), "a copy was merged: what it was copied from goes on"


@pytest.mark.parametrize(("method", "model"), some_slow(THOROUGH))
def test_it_leaves_the_base_as_it_found_it(method: str, model: str, tried: Any) -> None:
    """After training, saving, loading and merging: the same bits, and the same start for whoever comes next."""
    trial = tried(method, model)
    _ = trial.loaded, METHODS[method].merges and trial.merged
    assert trial.job.pristine.intact
    assert torch.equal(trial.again, trial.start)


@pytest.mark.parametrize(("method", "model"), REPEATED)
def test_the_same_seed_gives_the_same_curve(method: str, model: str, workshop: Any, run: Any, request: pytest.FixtureRequest) -> None:
    """Through the whole loop, with the method's own optimizer and hooks."""
    used = request.getfixturevalue("kept_workshop") if (method, model) in IMAGES else workshop
    spec = spec_for(method, model, steps=4, batch=4, eval_items=8, eval_every=0).to_dict()
    first, second = (run(used, **spec) for _ in range(2))
    assert len(first.losses) == 4 and first.losses == second.losses
    scores = [{who: (seen.score, seen.loss) for who, seen in result.scores.items()} for result in (first, second)]
    assert scores[0] == scores[1]


# ── single methods ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_loras_a_has_no_gradient_before_b_has_moved(made: Any) -> None:
    first = optimise(made("lora", "seed-llama"), steps=2)
    assert not [name for name in first[0] if "lora_A" in name] and [name for name in first[1] if "lora_A" in name]


@pytest.mark.parametrize("model", SEEDED)
def test_with_a_and_b_at_zero_nothing_can_ever_move(model: str, made: Any) -> None:
    job = made({"name": "lora", "init": "zero_a"}, model)
    assert not set().union(*optimise(job))


@pytest.mark.parametrize("init", ["kaiming", "gaussian", "orthogonal"])
def test_every_start_of_lora_is_the_base(init: str, made: Any) -> None:
    job = made({"name": "lora", "init": init}, "seed-llama")
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if init == "orthogonal" else EXACT  # A and B are not 0 there, their product is
    torch.testing.assert_close(logits(job), logits(job, job.pristine.module), **tolerance)


@pytest.mark.parametrize("init", ["vocabulary", "text", "labels"])
@pytest.mark.parametrize("model", SEEDED)
def test_a_prompt_starts_from_rows_of_the_embedding_table(init: str, model: str, made: Any) -> None:
    job = made({"name": "prompt_tuning", "init": init, "virtual_tokens": 7, "text": "good or bad"}, model)
    table = job.pristine.module.get_submodule(job.spec.shape.embedding).weight
    for vector in job.trained()[0]:
        assert (table == vector).all(dim=1).any()


def test_a_text_without_tokens_is_said(made: Any) -> None:
    with pytest.raises(LabError, match="text is empty"):
        made({"name": "prompt_tuning", "init": "text", "text": " "}, "seed-llama")


def test_the_wording_around_examples_is_a_choice(made: Any) -> None:
    """The same examples and texts, in one of the task's other prompts; texts are read anew for each, also without examples."""
    for shots in (2, 0):
        usual, other = (made({"name": "in_context", "shots": shots, "wording": wording}, "seed-llama", steps=0) for wording in (0, 1))
        goal, texts = usual.spec.goal, [other.reader.shown(other.texts.test[place]) for place in range(3)]
        assert usual.texts.shots == other.texts.shots and len(goal.wordings) == 1
        for item, text in zip(other.texts.asked, texts, strict=False):
            assert text.split() == replace(goal, prompt=goal.wordings[0]).ask(item.text, other.texts.shots).split()
        assert not torch.equal(logits(usual), logits(other))
        assert usual.spec.fingerprint == spec_for({"name": "in_context", "shots": shots}, "seed-llama", steps=0).fingerprint
        assert other.spec.fingerprint != usual.spec.fingerprint
    assert spec_for({"name": "in_context", "shots": 0}, "seed-llama", steps=0).method.starts_as_base() and not other.spec.method.starts_as_base()
    with pytest.raises(LabError, match="wording is 2: the task toy has 2, so choose 0 to 1"):
        spec_for({"name": "in_context", "wording": 2}, "seed-llama", steps=0)


def test_examples_in_context_come_from_the_training_set_in_a_balanced_draw(made: Any) -> None:
    job = made({"name": "in_context", "shots": 6}, "seed-llama", steps=0)
    shots = job.texts.shots
    assert len({shot.id for shot in shots}) == 6 and [sum(shot.label == label for shot in shots) for label in (0, 1)] == [3, 3]
    assert set(shots) <= set(job.data.splits.train)
    again = spec_for({"name": "in_context", "shots": 6}, "seed-llama", steps=0, seed=1).method.shots_shown(job.data.splits.train, 1)
    assert again != shots
    few = made({"name": "in_context", "shots": 6}, "seed-llama", steps=0, train_items=20)
    assert set(few.texts.shots) <= set(few.data.splits.train[:20])


def test_files_are_safetensors_only(made: Any, tmp_path: Path) -> None:
    job = made("full", "seed-bert")
    job.spec.method.format.save(job.module, tmp_path)
    assert set(load_file(tmp_path / "weights.safetensors")) == {name for name, _ in job.module.named_parameters()}
