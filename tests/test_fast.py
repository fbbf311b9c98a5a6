"""The fast paths: the numbers of the plain model, its own code wherever they do not apply, and compiled blocks that never disturb a run."""
from __future__ import annotations

import copy
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from torch import nn

from lab.contracts import Base, Kind, Shape
from lab.engine import Workshop, bases, train
from lab.engine.chance import drawn_from
from lab.engine.fast import bert, blocks, compiled, dropout, lay_out, speed_up
from lab.engine.job import Job, choose_dtype, prepare
from lab.engine.learner import Classifier, Head, Writer
from lab.engine.texts import Batch, Encoded
from lab.events import Finished, fold
from lab.methods import _peft
from lab.spec import RunSpec

BERT = {"model": "seed-bert", "task": "toy", "method": "lora", "dtype": "float32", "eval_items": 20}
LLAMA = {**BERT, "model": "seed-llama"}
BOTH = pytest.mark.parametrize("base", [BERT, LLAMA], ids=["encoder", "decoder"])
TEXTS = {  # token counts of a batch
    "padded": (9, 4, 7, 1, 12), "without padding": (8, 8, 8), "one text": (6,), "one token": (1,), "two of one token": (1, 1),
}
Learner = Classifier | Writer


def job_of(workshop: Workshop, finish: Any, **spec: Any) -> Job:
    return finish(prepare(RunSpec.parse(spec), workshop))[1]


def without_dropout(job: Job) -> bases.Pristine:
    """The base of the job with its own, independent dropout of 0."""
    module = bases.fresh(job.pristine)
    _no_dropout(module)
    return replace(job.pristine, module=module)


def _no_dropout(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0


def moved(module: Any) -> Any:
    """Adapters away from their start, where B is 0."""
    source = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if "lora_" in name:
                weight += torch.randn(weight.shape, generator=source) * 0.1
    return module


def blocks_of(learner: Learner, shape: Shape) -> Any:
    base = learner.module.get_base_model() if hasattr(learner.module, "get_base_model") else learner.module
    return base.get_submodule(shape.blocks)


def both_of(job: Job, laid_out: bool = True) -> tuple[Learner, Learner]:
    """The job's method twice, (fast, plain), with equal weights and in training mode."""
    return attach(job, without_dropout(job), fast=True, laid_out=laid_out), attach(job, without_dropout(job), fast=False)


def attach(job: Job, pristine: bases.Pristine, fast: bool, laid_out: bool = True) -> Learner:
    module, spec = bases.fresh(pristine), job.spec
    bases.unshare(module, pristine, everything=True)
    if laid_out:
        lay_out(module, spec.shape)
    with drawn_from(spec.seed, "adapter"):
        module = spec.method.attach(Base(module, spec.shape, job.reader.tokenizer, spec.goal.words, spec.steps))
    codes = speed_up(module, spec.shape) if fast else []
    moved(module).train()
    return learner_of(spec.shape.kind, module, job, codes)


def both_with(job: Job, **config: Any) -> tuple[Learner, Learner]:
    """The same with any LoRA of peft, also one that the lab does not offer."""
    found = []
    for fast in (True, False):
        torch.manual_seed(3)
        module = get_peft_model(without_dropout(job).module, LoraConfig(task_type=_peft.task_type(job.spec.shape), **config))
        codes = speed_up(module, job.spec.shape) if fast else []
        moved(module).train()
        found.append(learner_of(job.spec.shape.kind, module, job, codes))
    return found[0], found[1]


def learner_of(kind: Kind, module: Any, job: Job, codes: list[blocks.Code]) -> Learner:
    if kind == "decoder":
        return Writer(module, job.reader.answers(), "cpu", codes)
    torch.manual_seed(4)
    return Classifier(module, Head(job.spec.shape.width, len(job.spec.goal.labels)), codes)


def batch_of(job: Job, counts: tuple[int, ...]) -> Batch:
    source = torch.Generator().manual_seed(len(counts))
    rows = [torch.randint(6, 100, (count,), generator=source).tolist() for count in counts]
    vocabulary = job.pristine.module.config.vocab_size
    return job.batch([Encoded(tuple(token % vocabulary for token in row), place % 2) for place, row in enumerate(rows)])


def numbers(learner: Learner, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor], int]:
    """The loss, every gradient, and how many blocks ran as one function."""
    learner.module.zero_grad(set_to_none=True)
    loss = learner.loss(batch)
    fast = runs(loss)
    loss.backward()
    return loss.detach(), {name: weight.grad for name, weight in learner.module.named_parameters() if weight.requires_grad}, fast


def runs(loss: torch.Tensor) -> int:
    seen, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [before for before, _ in node.next_functions]
    return sum(node.name() == "ThroughBackward" for node in seen)


def same(fast: Learner, plain: Learner, batch: Batch, tolerance: float = 1e-4) -> int:
    """Compare losses and all gradients relative to their size; returns how many blocks ran fast."""
    (loss, grads, count), (loss2, grads2, count2) = numbers(fast, batch), numbers(plain, batch)
    assert count2 == 0 and grads.keys() == grads2.keys() and grads
    torch.testing.assert_close(loss, loss2, rtol=1e-5, atol=1e-6)
    largest = max(float(grad.norm()) for grad in grads2.values() if grad is not None)
    for name, grad in grads2.items():
        assert (grads[name] is None) == (grad is None), name
        if grad is not None:
            assert float((grads[name] - grad).norm()) <= tolerance * float(grad.norm()) + 1e-6 * largest, name
    return count


# ── the same numbers ──────────────────────────────────────────────────────────────────────────────────────────────────


METHODS = {
    "all": {"name": "lora", "targets": "all"}, "q and v": {"name": "lora"}, "ffn": {"name": "lora", "targets": "ffn", "alpha": 3.0},
    "output": {"name": "lora", "targets": ["output"], "rank": 4, "alpha": 0.5}, "rank 1": {"name": "lora", "rank": 1, "targets": "all"},
    "prompt": {"name": "prompt_tuning", "virtual_tokens": 3},
}


@pytest.mark.parametrize("laid_out", [True, False], ids=["one matrix", "apart"])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@BOTH
def test_loss_and_gradients_are_those_of_the_plain_model(
    base: dict[str, Any], method: dict[str, Any], laid_out: bool, workshop: Workshop, finish: Any,
) -> None:
    job = job_of(workshop, finish, **{**base, "method": method})
    fast, plain = both_of(job, laid_out)
    if method["name"] == "lora":
        assert any(len(group) > 1 for group in fast.codes[0].plan.groups) == laid_out
    assert len(fast.codes) == (2 if base is BERT and method["name"] == "lora" else 1), "an encoder's lowest block has code of its own"
    for counts in TEXTS.values():
        batch = batch_of(job, counts)
        assert same(fast, plain, batch) == len(blocks_of(fast, job.spec.shape))
        fast.module.eval(), plain.module.eval()
        with torch.no_grad():
            torch.testing.assert_close(fast.scores(batch), plain.scores(batch), rtol=1e-4, atol=1e-5)
        fast.module.train(), plain.module.train()


@BOTH
def test_bfloat16_is_as_close_to_float32_as_the_plain_model_is(base: dict[str, Any], workshop: Workshop, finish: Any) -> None:
    exact = job_of(workshop, finish, **{**base, "method": METHODS["all"]})
    short = job_of(workshop, finish, **{**base, "method": METHODS["all"], "dtype": "bfloat16"})
    batch = batch_of(exact, TEXTS["padded"])
    truth = numbers(both_of(exact)[1], batch)[1]
    errors = []
    for learner in both_of(short):
        grads = numbers(learner, batch)[1]
        errors.append(sum(float((grads[name] - grad).norm() / grad.norm()) for name, grad in truth.items()) / len(truth))
    assert errors[0] < 1.5 * errors[1] < 0.5, errors


@BOTH
def test_the_whole_training_curve_is_that_of_the_plain_model(base: dict[str, Any], tmp_path: Path, finish: Any) -> None:
    workshop = Workshop(tmp_path, offline=True)
    curves = []
    for attention in ("auto", "sdpa"):
        spec = {**base, "attention": attention, "method": METHODS["all"], "steps": 12, "optimizer": "adamw"}
        job = job_of(workshop, finish, **spec)
        assert bool(job.learner.codes) == (attention == "auto")
        _no_dropout(job.pristine.module)
        result = fold(list(train(RunSpec.parse(spec), workshop)))
        assert result.state == "finished"
        curves.append(([loss for _, loss in result.losses], result.scores["tuned"].score))
    assert curves[0][0] == pytest.approx(curves[1][0], rel=1e-4) and curves[0][1] == curves[1][1]
    assert curves[0][0][0] != pytest.approx(curves[0][0][-1], rel=1e-2), "something was learned"


def test_padding_is_left_out_of_the_rows() -> None:
    x = torch.randn(7 * 30, 5)
    padding = torch.arange(30) >= torch.tensor([30, 4, 9, 12, 1, 20, 2]).unsqueeze(1)
    pack = bert.Pack(*bert.places(padding, torch.float32))
    rows = pack.rows(x)
    assert len(rows) == 96, "78 tokens, rounded up to what products have been written for"
    left_out = (pack.all(rows, zero=True) == 0).all(1)
    assert int(left_out.sum()) == 7 * 30 - 96 and padding.view(-1)[left_out].all(), "nothing but padding"
    assert torch.equal(pack.all(rows, zero=True)[~left_out], x[~left_out])
    full = bert.Pack(*bert.places(torch.zeros(3, 7, dtype=torch.bool), torch.float32))
    assert torch.equal(full.all(full.rows(x[:21]), zero=True), x[:21])


def test_noise_is_0_or_1_by_the_chance_and_comes_from_torchs_generator() -> None:
    def drawn(sizes: tuple[int, ...], chance: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return dropout.noise(dropout.seeds(1)[0], sizes, chance, dtype)

    torch.manual_seed(5)
    first, second = (drawn((300, 401), 0.1) for _ in range(2))
    torch.manual_seed(5)
    assert torch.equal(first, drawn((300, 401), 0.1)) and not torch.equal(first, second)
    assert first.shape == (300, 401)
    torch.testing.assert_close(first.unique(), torch.tensor([0.0, 1 / 0.9]))
    for chance in (0.1, 0.5, 0.9):
        found = drawn((1000, 1000), chance)
        assert float((found == 0).float().mean()) == pytest.approx(chance, abs=0.002) and float(found.mean()) == pytest.approx(1, abs=0.02)
    assert drawn((7,), 0.0, torch.bfloat16).tolist() == [1.0] * 7 and drawn((0, 3), 0.1).shape == (0, 3)


@pytest.mark.slow
def test_noise_of_neighbours_places_and_seeds_is_independent() -> None:
    """Correlations of n independent values lie within 1 / sqrt(n): 4.5 of these, for about a hundred looks."""
    torch.manual_seed(6)
    chance, size = 0.1, 2**20
    seeds = dropout.seeds(6)
    seeds[1, 0], seeds[2, 1] = seeds[0, 0], seeds[0, 1]  # a half in common
    seeds[3] = seeds[0] + torch.tensor([1, 0], dtype=torch.int32)  # next to one another
    seeds[4] = seeds[0].flip(0)
    hit = [((dropout.noise(seed, (size,), chance, torch.float32) == 0).double() - chance) / (chance * (1 - chance)) ** 0.5 for seed in seeds]
    for one in hit:
        assert abs(float(one.mean())) * size ** 0.5 < 4.5
        for lag in (1, 2, 3, 4, 8, 16, 30, 64, 384, 1024, 65_536):
            assert abs(float((one[lag:] * one[:-lag]).mean())) * (size - lag) ** 0.5 < 4.5, lag
    for place, one in enumerate(hit):
        assert all(abs(float((one * other).mean())) * size ** 0.5 < 4.5 for other in hit[:place])
    runs = torch.stack([dropout.noise(seed, (4,), 0.5, torch.float32) for seed in dropout.seeds(4096)]) == 0  # few numbers, many seeds
    counts = torch.bincount((runs.long() * torch.tensor([1, 2, 4, 8])).sum(1), minlength=16)
    assert float(((counts - 256) ** 2 / 256).sum()) < 37.7, "chi-square of 15 degrees at 0.001"


def test_dropout_modules_are_torchs_own_but_for_the_noise() -> None:
    layer, x = nn.Dropout(0.25), torch.randn(64, 500, requires_grad=True)
    dropout.quicken(nn.Sequential(layer))
    out = layer(x)
    kept = out != 0
    torch.testing.assert_close(out, torch.where(kept, x / 0.75, 0.0))
    assert float(kept.float().mean()) == pytest.approx(0.75, abs=0.02)
    torch.testing.assert_close(torch.autograd.grad(out.sum(), x)[0], kept / 0.75)
    assert torch.equal(layer.eval()(x), x)
    layer.train().p = 1.0
    assert not layer(x).any()


@pytest.mark.slow
def test_dropout_of_a_fast_block_is_that_of_a_plain_one_on_average(workshop: Workshop, finish: Any) -> None:
    job = job_of(workshop, finish, **BERT)
    batch = batch_of(job, TEXTS["padded"] * 20)
    means = []
    for fast in (True, False):
        learner = attach(job, job.pristine, fast)
        torch.manual_seed(1)
        with torch.no_grad():
            scores = torch.stack([learner.scores(batch) for _ in range(30)])
        means.append((scores.mean(0).mean(0), scores.std(0).mean(0)))
    for mean, mean2 in zip(*means, strict=True):
        torch.testing.assert_close(mean, mean2, rtol=0.05, atol=0.01)


def test_gradients_of_gradients_are_refused(workshop: Workshop, finish: Any) -> None:
    fast, _ = both_of(job := job_of(workshop, finish, **LLAMA))
    weight = next(weight for weight in fast.module.parameters() if weight.requires_grad)
    found, = torch.autograd.grad(fast.loss(batch_of(job, (4, 5))), weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        found.sum().backward()


@BOTH
def test_a_base_lies_in_memory_as_it_is_read(base: dict[str, Any], workshop: Workshop, finish: Any, tmp_path: Path) -> None:
    """And holds the numbers of the file, each once, for every copy."""
    job = job_of(workshop, finish, **base)
    group, *_ = job.learner.codes[0].plan.groups
    assert [role for role, *_ in group] == ["query", "key", "value"]
    query, key, value = (job.pristine.module.get_submodule(linear.module).weight for linear in job.spec.shape.linears[:3])
    assert query.untyped_storage().data_ptr() == value.untyped_storage().data_ptr() != job.pristine.module.get_input_embeddings().weight.data_ptr()
    assert key.data_ptr() == query.data_ptr() + query.nbytes and value.data_ptr() == key.data_ptr() + key.nbytes
    folder = finish(workshop.supply.model(job.spec.base))[1].folder
    stored = {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}
    named = {name: tensor for name, tensor in job.pristine.module.state_dict().items() if name.endswith("weight")}
    found = [(stored[name], tensor) for name, tensor in named.items() if name in stored]
    assert len(found) > 10 and all(torch.equal(*pair) for pair in found)


def test_a_weight_that_is_moved_is_seen(workshop: Workshop, finish: Any) -> None:
    fast, plain = both_of(job := job_of(workshop, finish, **LLAMA))
    for learner in (fast, plain):
        weight = blocks_of(learner, job.spec.shape)[0].self_attn.k_proj.weight
        weight.data = weight.data * 1.5
    assert same(fast, plain, batch_of(job, (4, 5))) == len(blocks_of(fast, job.spec.shape)) - 1


# ── where a fast path does not apply ──────────────────────────────────────────────────────────────────────────────────


FIRST = r".*\.0\..*"  # the first block
KINDS = {  # of LoRA: what peft is told, and whether blocks may run fast
    "rsLoRA": ({"use_rslora": True}, True),
    "own ranks, one scale": ({"rank_pattern": {FIRST: 2}, "alpha_pattern": {FIRST: 4}}, True),
    "own scales in a block": ({"alpha_pattern": {"query|q_proj": 5}}, False),
    "DoRA": ({"use_dora": True}, False),
    "dropout": ({"lora_dropout": 0.3}, False),
    "bias of B": ({"lora_bias": True}, False),
    "biases": ({"bias": "all"}, None),  # Llama has none
}


@pytest.mark.parametrize("kind", KINDS)
@BOTH
def test_kinds_of_lora(kind: str, base: dict[str, Any], workshop: Workshop, finish: Any) -> None:
    job = job_of(workshop, finish, **base)
    given, fits = KINDS[kind]
    linears = [linear.module for linear in job.spec.shape.select(("all",))]
    fast, plain = both_with(job, r=4, lora_alpha=8, target_modules=linears, **given)
    if fits is None:
        fits = base is LLAMA
    assert bool(fast.codes) == fits
    assert len(fast.codes) == (2 if fits and (kind == "own ranks, one scale" or base is BERT) else int(fits)), "code is shared only between equal blocks"
    if kind == "dropout":
        fast.module.eval(), plain.module.eval()
    assert bool(same(fast, plain, batch_of(job, TEXTS["padded"]))) == fits


@pytest.mark.parametrize("method", ["full", "houlsby", {"name": "top_layers", "layers": 1}], ids=["full", "houlsby", "top_layers"])
@BOTH
def test_blocks_with_anything_else_to_train_run_as_their_library_wrote_them(base: dict[str, Any], method: Any, workshop: Workshop, finish: Any) -> None:
    job = job_of(workshop, finish, **{**base, "method": method})
    hooked = ["forward" in vars(block) for block in blocks_of(job.learner, job.spec.shape)]
    assert hooked == ([True, False] if isinstance(method, dict) else [False, False]), "below what is trained"
    for dtype in ("float32", "bfloat16"):  # of the arithmetic only
        job = job_of(workshop, finish, **{**base, "method": method, "dtype": dtype})
        fast, plain = both_of(job)
        batch = batch_of(job, TEXTS["padded"])
        with job.arithmetic():
            assert same(fast, plain, batch) == 0


def test_norms_and_embeddings_to_train(workshop: Workshop, finish: Any) -> None:
    for base, norm in ((BERT, "output.LayerNorm"), (LLAMA, "input_layernorm")):
        job = job_of(workshop, finish, **base)
        linear = [linear.module for linear in job.spec.shape.select(("all",))]
        fast, plain = both_with(job, target_modules=linear, modules_to_save=[norm])
        assert not fast.codes and same(fast, plain, batch_of(job, (5, 3))) == 0
    fast, plain = both_with(job, target_modules=linear, modules_to_save=["embed_tokens"])
    assert fast.codes and same(fast, plain, batch_of(job, (5, 3))) == 2, "what lies outside the blocks is none of their business"


@BOTH
def test_the_students_own_choice_of_attention_and_checkpointing(base: dict[str, Any], workshop: Workshop, finish: Any) -> None:
    for change in ({"attention": "sdpa"}, {"checkpointing": True}, {"tokens": 200}):
        job = job_of(workshop, finish, **base, **change)
        assert not job.learner.codes and not any("forward" in vars(block) for block in blocks_of(job.learner, job.spec.shape))
        if "checkpointing" not in change:  # see `checkpointed` below
            assert same(*both_of(job), batch_of(job, TEXTS["padded"])) == 0
    assert job_of(workshop, finish, **base, attention="eager").learner.codes


def merged(module: Any, shape: Shape) -> None:
    module.merge_adapter()


def unloaded(module: Any, shape: Shape) -> None:
    module.unload()


def another_adapter(module: Any, shape: Shape) -> None:
    torch.manual_seed(8)
    module.add_adapter("second", LoraConfig(task_type=_peft.task_type(shape), target_modules=module.peft_config["default"].target_modules))
    module.set_adapter("second")


def rescaled(module: Any, shape: Shape) -> None:
    for part in module.modules():
        if hasattr(part, "lora_A"):
            part.scaling["default"] = 0.25


def unfrozen_norms(module: Any, shape: Shape) -> None:
    for name, weight in module.named_parameters():
        if "norm" in name.lower():
            weight.requires_grad_(True)


def hooked(module: Any, shape: Shape) -> None:
    for linear in shape.select(("output",)):
        module.get_base_model().get_submodule(linear.module).register_forward_hook(lambda part, given, found: found * 0.5)


def other_attention(module: Any, shape: Shape) -> None:
    module.get_base_model().set_attn_implementation("sdpa")


def checkpointed(module: Any, shape: Shape) -> None:
    module.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    module.enable_input_require_grads()


@pytest.mark.parametrize("change", [merged, unloaded, another_adapter, rescaled, unfrozen_norms, hooked, other_attention, checkpointed])
@BOTH
def test_what_somebody_changes_later_is_respected(
    change: Callable[[Any, Shape], None], base: dict[str, Any], workshop: Workshop, finish: Any,
) -> None:
    job = job_of(workshop, finish, **{**base, "method": METHODS["all"]})
    batch = batch_of(job, TEXTS["padded"])
    fast, plain = both_of(job)
    with torch.no_grad():
        before = fast.scores(batch)
    for learner in (fast, plain):
        change(learner.module, job.spec.shape)
        if change is unloaded:
            learner.module = learner.module.get_base_model()
    with torch.no_grad():
        after, expected = fast.scores(batch), plain.scores(batch)
    torch.testing.assert_close(after, expected, rtol=1e-5, atol=1e-6)
    if change not in (merged, unfrozen_norms, other_attention, checkpointed):
        assert not torch.allclose(before, after)
    if change not in (merged, unloaded):  # there nothing is left to train
        assert same(fast, plain, batch) == 0


@BOTH
def test_embeddings_that_somebody_trains_later_get_their_gradient(base: dict[str, Any], workshop: Workshop, finish: Any) -> None:
    job = job_of(workshop, finish, **base)
    fast, plain = both_of(job)
    batch = batch_of(job, TEXTS["padded"])
    assert same(fast, plain, batch) == 2
    for learner in (fast, plain):
        learner.module.get_input_embeddings().weight.requires_grad_(True)
    assert same(fast, plain, batch) == (1 if base is BERT else 2), "the code of an encoder's lowest block leaves that gradient out"


@BOTH
def test_without_the_adapter_for_a_moment(base: dict[str, Any], workshop: Workshop, finish: Any) -> None:
    job = job_of(workshop, finish, **{**base, "method": METHODS["all"]})
    fast, plain = both_of(job)
    batch = batch_of(job, TEXTS["padded"])
    with torch.no_grad():
        found = fast.scores(batch)
        with fast.module.disable_adapter(), plain.module.disable_adapter():
            torch.testing.assert_close(fast.scores(batch), plain.scores(batch), rtol=1e-5, atol=1e-6)
            assert not torch.allclose(fast.scores(batch), found)
        torch.testing.assert_close(fast.scores(batch), found)
        fast.module.merge_adapter()
        torch.testing.assert_close(fast.scores(batch), found, rtol=1e-3, atol=1e-4)
        fast.module.unmerge_adapter()
    assert same(fast, plain, batch, tolerance=1e-3) == 2


def test_a_copy_stands_on_its_own(workshop: Workshop, finish: Any) -> None:
    job = job_of(workshop, finish, **LLAMA)
    fast, plain = both_of(job)
    fast.module = copy.deepcopy(fast.module)
    for learner in (fast, plain):
        with torch.no_grad():
            for name, weight in learner.module.named_parameters():
                if "lora_B" in name:
                    weight.mul_(-3)
    assert same(fast, plain, batch_of(job, (5, 3))) == 0


@BOTH
def test_attentions_can_be_looked_at(base: dict[str, Any], workshop: Workshop, finish: Any) -> None:
    job = job_of(workshop, finish, **base)
    batch = batch_of(job, TEXTS["padded"])
    found = []
    for learner in both_of(job):
        seen = learner.module(input_ids=batch.ids, attention_mask=batch.mask, output_attentions=True, output_hidden_states=True)
        assert len(seen.attentions) == 2 and len(seen.hidden_states) == 3
        found.append((*seen.attentions, *seen.hidden_states))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_words_are_generated_with_and_without_a_cache(workshop: Workshop, finish: Any) -> None:
    job = job_of(workshop, finish, **{**LLAMA, "method": METHODS["all"]})
    ids = torch.tensor([[0, 0, 9, 8, 30], [11, 5, 60, 70, 41]])
    texts = []
    for learner in both_of(job):
        learner.module.eval()
        for cached in (True, False):
            texts.append(learner.module.generate(input_ids=ids, attention_mask=(ids > 0).long(), max_new_tokens=6, do_sample=False, use_cache=cached,
                                                 eos_token_id=None, pad_token_id=0))
    assert texts[0].shape == (2, 11) and all(torch.equal(texts[0], text) for text in texts[1:])


@BOTH
def test_a_saved_adapter_answers_alike_in_plain_peft(base: dict[str, Any], workshop: Workshop, finish: Any, tmp_path: Path) -> None:
    job = job_of(workshop, finish, **{**base, "method": METHODS["all"]})
    fast, _ = both_of(job)
    fast.module.eval()
    _peft.save(fast.module, tmp_path)
    loaded = learner_of(job.spec.shape.kind, _peft.load(bases.fresh(job.pristine), tmp_path).eval(), job, [])
    loaded.head = fast.head
    with torch.no_grad():
        torch.testing.assert_close(fast.scores(batch_of(job, (7, 3))), loaded.scores(batch_of(job, (7, 3))), rtol=1e-5, atol=1e-5)


# ── compiled blocks never disturb a run ───────────────────────────────────────────────────────────────────────────────


def waited(compiler: compiled.Compiler, seconds: float = 120) -> None:
    """Until the program that compiles has ended, and the compiler has looked."""
    if compiler._child is not None:
        compiler._child.wait(seconds)
    compiler.look()


@pytest.fixture
def no_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    yield


def test_nothing_is_started_without_a_compiler(no_path: None, tmp_path: Path, workshop: Workshop, finish: Any) -> None:
    compiler = compiled.Compiler(tmp_path / "compiled", builds=True)
    assert not compiler.builds
    compiler.use(job_of(workshop, finish, **LLAMA).learner.codes)
    assert compiler._child is None and not (tmp_path / "compiled").exists()


def test_nothing_is_compiled_unless_asked_for(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, offline=True)
    assert isinstance(list(train(RunSpec.parse({**LLAMA, "steps": 3}), workshop))[-1], Finished)
    assert workshop.compiler._child is None and not (tmp_path / "compiled").exists()


@pytest.mark.parametrize(("comparable", "format"), [(True, torch.float32), (False, torch.bfloat16)])
def test_comparable_runs_have_one_number_format_whatever_is_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comparable: bool,
                                                                   format: torch.dtype) -> None:
    workshop = Workshop(tmp_path, offline=True, comparable=comparable)
    monkeypatch.setattr(workshop.notes, "get", lambda *_: 3.0)  # bfloat16 was measured to be three times as fast
    assert choose_dtype(RunSpec.parse({**LLAMA, "dtype": "auto"}), "cpu", workshop) is format
    assert choose_dtype(RunSpec.parse({**LLAMA, "dtype": "bfloat16"}), "cpu", workshop) is torch.bfloat16
    assert workshop.compiler.uses is not comparable


def test_where_code_cannot_be_kept_nothing_is_started(tmp_path: Path) -> None:
    (tmp_path / "compiled").write_text("in the way")
    workshop = Workshop(tmp_path, offline=True, compiles=True)
    assert workshop.compiler.builds == compiled.compiler_found()
    for _ in range(2):
        assert isinstance(list(train(RunSpec.parse({**LLAMA, "steps": 3}), workshop))[-1], Finished)
        assert not workshop.compiler.builds and workshop.compiler._child is None and not workshop.compiler._waiting


def test_damaged_code_is_dropped_and_the_run_goes_on(tmp_path: Path, finish: Any) -> None:
    workshop = Workshop(tmp_path, offline=True)
    code, = job_of(workshop, finish, **LLAMA).learner.codes
    (tmp_path / "compiled").mkdir()
    for half in compiled.HALVES:
        (tmp_path / "compiled" / f"{compiled.key(code)}.{half}.pt2").write_bytes(b"PK\3\4 cut short")
    assert isinstance(list(train(RunSpec.parse({**LLAMA, "steps": 3}), workshop))[-1], Finished)
    assert not list((tmp_path / "compiled").iterdir()) and code.compiled is None


def test_what_code_depends_on_is_in_its_name(workshop: Workshop, finish: Any) -> None:
    specs = [LLAMA, BERT, {**LLAMA, "dtype": "bfloat16"}, *({**LLAMA, "method": {"name": "lora", **knobs}} for knobs in (
        {"rank": 4}, {"alpha": 5.0}, {"targets": "all"}, {"targets": ["key", "value"]}))]
    names = [compiled.key(job_of(workshop, finish, **spec).learner.codes[0]) for spec in specs]
    assert len(set(names)) == len(specs) and names[0] == compiled.key(job_of(workshop, finish, **LLAMA, seed=9).learner.codes[0])

def test_a_run_is_not_disturbed_by_compiling(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, offline=True, compiles=True)
    compiler, spec = workshop.compiler, RunSpec.parse({**LLAMA, "steps": 3})
    if not compiler.builds:
        return  # nothing is ever compiled here
    for _ in range(2):  # the second run finds the child of the first at work
        for event in train(spec, workshop):
            assert compiler._child is None, event
        assert isinstance(event, Finished) and compiler._child.poll() is None
    with compiler.making_way():
        assert compiler._child is None and not list((tmp_path / "compiled").iterdir())
    compiler._child.kill()


def ended_within(child: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


@pytest.mark.slow
def test_the_program_that_compiles_ends_with_whoever_asked(tmp_path: Path, workshop: Workshop, finish: Any) -> None:
    code, = job_of(workshop, finish, **LLAMA).learner.codes
    child = compiled._start(code, tmp_path, compiled.key(code))
    for _ in range(600):
        if list(tmp_path.iterdir()):
            break
        time.sleep(0.2)
    assert list(tmp_path.iterdir()), "it has begun"
    child.stdin.close()  # as the system does when the process ends, in whatever way
    assert ended_within(child, 120) and child.returncode == 1
    assert not list(tmp_path.iterdir())


ALL = {"method": {"name": "lora", "targets": "all", "rank": 5, "alpha": 7.0}}  # a rank that examples are traced with


def alike(fast: Learner, plain: Learner, job: Job) -> None:
    """Compiled, at any number of tokens, the block computes what is written."""
    assert all(code.compiled is not None for code in fast.codes)
    for counts in ((9, 4, 7, 1, 12), (3, 2), (17,) * 11, *TEXTS.values()):
        assert same(fast, plain, batch_of(job, counts)) == 2


@pytest.mark.slow
def test_compiled_is_as_written(tmp_path: Path, workshop: Workshop, finish: Any) -> None:
    """An encoder's, with LoRA where it usually is; a decoder's with all matrices below."""
    job = job_of(workshop, finish, **BERT)
    fast, plain = both_of(job)
    compiled.Compiler(tmp_path).build(fast.codes)
    assert [path.suffix for path in tmp_path.iterdir()] == [".pt2", ".pt2"] * len(fast.codes)
    again, _ = both_of(job)
    compiled.Compiler(tmp_path).use(again.codes)
    for learner in (fast, again):
        alike(learner, plain, job)
    third, _ = both_of(job)
    compiled.Compiler(tmp_path, builds=True, uses=False).use(third.codes)
    assert all(code.compiled is None for code in third.codes), "where runs are to be compared none has what others left"
    with compiled.as_written(fast.codes):
        assert fast.codes[0].compiled is None
    assert fast.codes[0].compiled is not None


@pytest.mark.slow
def test_code_is_put_in_place_between_steps(tmp_path: Path, finish: Any) -> None:
    workshop = Workshop(tmp_path, offline=True, compiles=True)
    spec = RunSpec.parse({**LLAMA, **ALL, "steps": 4})
    first = fold(list(train(spec, workshop)))
    assert workshop.compiler._child is not None and first.state == "finished"
    code = workshop.compiler._waiting[0]
    assert code.compiled is None
    waited(workshop.compiler, 900)
    assert code.compiled is not None and not workshop.compiler._waiting
    second = fold(list(train(spec, workshop)))
    assert workshop.compiler._child is None and (first.compiled, second.compiled) == (0.0, 1.0), "a run tells in which way it ran"
    assert [loss for _, loss in second.losses] == pytest.approx([loss for _, loss in first.losses], rel=1e-4)
    job = job_of(workshop, finish, **{**LLAMA, **ALL})
    fast, plain = both_of(job)
    workshop.compiler.use(fast.codes)
    alike(fast, plain, job)


@pytest.mark.slow
def test_a_compiler_that_fails_leaves_a_note_and_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken-compiler"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    spec = RunSpec.parse({**LLAMA, "steps": 3})
    for started in (True, False):
        workshop = Workshop(tmp_path, offline=True, compiles=True)
        assert isinstance(list(train(spec, workshop))[-1], Finished)
        assert (workshop.compiler._child is not None) == started
        waited(workshop.compiler, 900)
        assert [path.suffix for path in (tmp_path / "compiled").iterdir()] == [".failed"] and not workshop.compiler._waiting
    assert os.environ["CXX"] == str(broken)
